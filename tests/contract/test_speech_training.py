"""Whisper learns what is said in sounds, and both engines hear it afterwards."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from whisper.model import ModelDimensions, Whisper

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.audio_io import SAMPLE_RATE_HZ, decode_audio, write_wav
from mmchat.engines.registry import load_engine
from mmchat.errors import DataError, UsageError
from mmchat.rows.values import Place, RowFile, SpeechRow
from mmchat.train.base import BaseModel, TrainEvent, TrainResult, TrainSettings, TrainStepped, TrainValidated
from mmchat.train.speech import SpeechTrainer
from mmchat.train.speech_fit import nats
from mmchat.train.speech_rows import IGNORED, SpeechEncoder, collator
from mmchat.weights.prepare_whisper import as_checkpoint, for_openai_whisper
from mmchat.weights.store import WeightsStore
from tests.unit.weights.test_prepare_whisper import as_ctranslate2, write_model_bin
from tests.virtual_mic import synthesise

FILE = Path("/data/speech.jsonl")
SENTENCES = ("Please call Zorblix today.", "Zorblix is on the phone.", "Where did Zorblix go?")
TINY = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=16,
    n_audio_head=2,
    n_audio_layer=1,
    n_vocab=51864,
    n_text_ctx=448,
    n_text_state=16,
    n_text_head=2,
    n_text_layer=2,
)
MULTILINGUAL = replace(TINY, n_vocab=51865)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[SpeechRow]:
    if shutil.which("espeak-ng") is None:
        pytest.skip("speech synthesis missing: apt-get install -y espeak-ng")
    folder = tmp_path_factory.mktemp("spoken")
    found = []
    for line, sentence in enumerate(SENTENCES, start=1):
        synthesise(sentence, folder / f"{line}.wav")
        found.append(SpeechRow(Place(FILE, line), folder / f"{line}.wav", sentence))
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """An English-only Whisper with random weights."""
    folder = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(1)
    state = Whisper(TINY).state_dict()
    state["decoder.positional_embedding"] = torch.randn(TINY.n_text_ctx, TINY.n_text_state) * 0.1
    write_model_bin(folder / "model.bin", as_ctranslate2(state, TINY))
    (folder / "tokenizer.json").write_text("{}")
    return BaseModel("tiny", "asr", folder)


def settings(**changes: Any) -> TrainSettings:
    return replace(
        TrainSettings(
            data=(str(FILE),),
            model="tiny",
            name="tuned",
            max_steps=4,
            batch_size=2,
            micro_batch=2,
            learning_rate=3e-3,
            evaluate_every=2,
            validation_share=0.3,
            last_layers=1,
            dtype="float32",
            log_to="none",
        ),
        **changes,
    )


class Told:
    """What a training told, and a way to cancel it after a step."""

    def __init__(self, cancel_at: int = 0) -> None:
        self.events: list[TrainEvent] = []
        self.cancel = Event()
        self._cancel_at = cancel_at

    def __call__(self, event: TrainEvent) -> None:
        self.events.append(event)
        if isinstance(event, TrainStepped) and event.step == self._cancel_at:
            self.cancel.set()


def trained(
    rows: Sequence[SpeechRow],
    base: BaseModel,
    folder: Path,
    told: Told,
    *,
    should_resume: bool = False,
    **changes: Any,
) -> TrainResult:
    file = RowFile(FILE, "0" * 64, "speech", tuple(rows))
    trainer = SpeechTrainer()
    preparation = trainer.prepare([file], settings(**changes), base)
    return trainer.train(preparation, [file], base, folder, told, told.cancel, should_resume=should_resume)


# --- rows ---------------------------------------------------------------------------------------


def test_tokens_are_those_the_engines_decode(rows: list[SpeechRow]) -> None:
    encoder = SpeechEncoder(MULTILINGUAL, "en")
    first, chinese = encoder.rows([rows[0], replace(rows[0], text="你好", language="zh")]).examples
    text = encoder.tokenizer().decode_with_timestamps
    time = f"<|{round(first.seconds / 0.02) * 0.02:.2f}|>"
    assert text(list(first.tokens)) == (
        f"<|startoftranscript|><|en|><|transcribe|><|0.00|> Please call Zorblix today.{time}<|endoftext|>"
    )
    assert text(list(chinese.tokens)) == f"<|startoftranscript|><|zh|><|transcribe|><|0.00|>你好{time}<|endoftext|>"
    assert text(list(first.tokens[first.first :])).startswith(" Please")
    assert first.seconds < decode_audio(rows[0].audio_path).size / SAMPLE_RATE_HZ + 0.01


def test_sounds_and_texts_that_cannot_be_used_are_named(rows: list[SpeechRow], tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", np.full(31 * SAMPLE_RATE_HZ, 0.1, np.float32))
    write_wav(tmp_path / "silent.wav", np.zeros(SAMPLE_RATE_HZ, np.float32))
    bad = [
        replace(rows[0], place=Place(FILE, 5), audio_path=tmp_path / "long.wav"),
        replace(rows[0], place=Place(FILE, 6), audio_path=tmp_path / "silent.wav"),
        replace(rows[0], place=Place(FILE, 7), text="word " * 230),
        replace(rows[0], place=Place(FILE, 8), text="  "),
    ]
    encoder = SpeechEncoder(TINY, "")
    with pytest.raises(DataError) as caught:
        encoder.rows([*rows, *bad])
    lines = caught.value.message.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["speech.jsonl:5", "audio"],
        ["speech.jsonl:6", "audio"],
        ["speech.jsonl:7", "text"],
        ["speech.jsonl:8", "text"],
    ]
    assert "long.wav" in lines[0]
    assert "nobody speaks" in lines[1]
    found = encoder.rows([*rows, *bad], should_skip=True)
    assert len(found.examples) == 3
    assert found.dropped == lines
    with pytest.raises(DataError, match="nothing|No row"):
        encoder.rows(bad, should_skip=True)


def test_languages_that_the_base_does_not_know_are_refused(rows: list[SpeechRow]) -> None:
    with pytest.raises(UsageError, match="hears English only"):
        SpeechEncoder(TINY, "").rows([replace(rows[0], language="de")])
    with pytest.raises(UsageError, match="'xx', which Whisper does not know"):
        SpeechEncoder(MULTILINGUAL, "").rows([replace(rows[0], language="xx")])


# --- the loss -----------------------------------------------------------------------------------


def test_any_time_is_right_and_only_what_is_written_counts() -> None:
    batch = collator(9)([{"mel": torch.zeros(1, 1), "tokens": (0, 1, 2, 6, 3), "first": 2}])
    assert batch["tokens"].tolist() == [[0, 1, 2, 6]]
    assert batch["labels"].tolist() == [[IGNORED, 2, 6, 3]]
    logits = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    total, count = nats(lambda mel, tokens: logits, batch, 5)
    chances = logits[0].softmax(-1)
    expected = -math.log(chances[1, 2]) - math.log(chances[2, 5:].sum()) - math.log(chances[3, 3])
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert int(count) == 3
    other = {**batch, "labels": torch.tensor([[IGNORED, 2, 7, 3]])}
    assert float(nats(lambda mel, tokens: logits, other, 5)[0]) == float(total)


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "last-layers", "full"])
def test_each_method_learns_and_leaves_a_folder_for_both_engines(
    rows: list[SpeechRow], base: BaseModel, tmp_path: Path, method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    told = Told()
    result = trained(rows, base, tmp_path, told, method=method)
    validations = [event for event in told.events if isinstance(event, TrainValidated)]
    assert result.status == "complete"
    assert validations[-1].loss < validations[0].loss
    before, after = (as_checkpoint(path)["model_state_dict"] for path in (base.path, tmp_path / "weights"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    if method == "lora":
        assert changed
        assert all(".attn." in name or ".cross_attn." in name for name in changed)
        assert any(name.startswith("encoder") for name in changed)
    elif method == "last-layers":
        assert changed
        assert all(name.startswith(("decoder.blocks.1.", "decoder.ln.")) for name in changed)
    else:
        assert {"encoder.conv1.weight", "decoder.token_embedding.weight"} <= changed
    assert (tmp_path / "weights" / "tokenizer.json").is_file()
    assert capfd.readouterr() == ("", "")


def test_a_resumed_training_has_the_losses_of_an_unbroken_one(
    rows: list[SpeechRow], base: BaseModel, tmp_path: Path
) -> None:
    whole = trained(rows, base, tmp_path / "whole", Told())
    broken = trained(rows, base, tmp_path / "broken", Told(cancel_at=2))
    assert (broken.status, broken.steps) == ("interrupted", 3)
    assert not (tmp_path / "broken" / "weights").exists()
    resumed = trained(rows, base, tmp_path / "broken", Told(), should_resume=True)
    assert resumed.losses == whole.losses
    assert len(set(whole.losses)) == 4


def test_smaller_micro_batches_give_the_same_losses(rows: list[SpeechRow], base: BaseModel, tmp_path: Path) -> None:
    plain: dict[str, Any] = {"dropout": 0.0, "max_steps": 2}
    by_one = trained(rows, base, tmp_path / "one", Told(), micro_batch=1, **plain)
    at_once = trained(rows, base, tmp_path / "two", Told(), micro_batch=2, **plain)
    assert by_one.losses == pytest.approx(at_once.losses, abs=1e-4)


def test_methods_that_are_not_offered_are_refused(rows: list[SpeechRow], base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'prompt' is not offered for speech"):
        trained(rows, base, tmp_path, Told(), method="prompt")
    with pytest.raises(UsageError, match="2 layers, and the last 3"):
        trained(rows, base, tmp_path, Told(), method="last-layers", last_layers=3)


# --- real weights -------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.slow
def test_both_engines_hear_an_invented_word_after_a_few_steps(
    rows: list[SpeechRow], weights_dir: Path, tmp_path: Path
) -> None:
    name = "whisper-tiny.en"
    path = WeightsStore(weights_dir).prepared(load_models_file()[name], "faster-whisper")
    assert not any("Zorblix" in text for text in transcripts("faster-whisper", path, rows))
    base = BaseModel(name, "asr", path)
    changes: dict[str, Any] = {
        "max_steps": 5,
        "batch_size": 3,
        "micro_batch": 3,
        "validation_share": 0.0,
        "learning_rate": 1e-3,
    }
    result = trained(rows, base, tmp_path, Told(), dtype="auto", **changes)
    assert result.losses[-1] < result.losses[0] / 4
    assert transcripts("faster-whisper", tmp_path / "weights", rows) == list(SENTENCES)
    for_openai_whisper(tmp_path / "weights", tmp_path / "openai-whisper")
    assert transcripts("openai-whisper", tmp_path / "openai-whisper", rows) == list(SENTENCES)


def transcripts(engine: str, path: Path, rows: Sequence[SpeechRow]) -> list[str]:
    loaded: Any = load_engine("asr", EngineSpec(name="tuned", engine=engine, path=path, device="cpu"))
    texts = []
    for row in rows:
        *segments, _ = loaded.transcribe(decode_audio(row.audio_path))
        texts.append(" ".join(segment.text.strip() for segment in segments))
    loaded.close()
    return texts
