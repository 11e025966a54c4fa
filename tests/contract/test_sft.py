"""Supervised finetuning on tiny models: every method learns, a broken training goes on exactly, results are whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from mmchat.domain import EngineSpec, Message
from mmchat.engines.registry import load_engine
from mmchat.errors import DataError, DeviceError, MmchatError, UsageError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, RowFile
from mmchat.train.base import (
    BaseModel,
    MethodName,
    TrainEvent,
    TrainNotice,
    TrainResult,
    TrainSettings,
    TrainStepped,
    TrainValidated,
)
from mmchat.train.bases import load_weights, open_base
from mmchat.train.methods import apply_method
from mmchat.train.quiet import quiet
from mmchat.train.sft import DialogueTrainer
from tests.contract import tiny_models

REPLIES = ("the cat sat on the mat", "the dog ran", "the mat and the cat")
SAME = 1e-6
"""Two runs of the same steps differ by the order of sums in threads, if at all."""


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.decoder(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = []
    for index in range(24):
        turns = [{"role": "user", "content": f"what did {index} do" + " and then" * (index % 5)}]
        turns.append({"role": "assistant", "content": REPLIES[index % 3]})
        if index % 2:
            turns += [{"role": "user", "content": "and"}, {"role": "assistant", "content": REPLIES[(index + 1) % 3]}]
        lines.append(json.dumps({"messages": turns}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def base_at(path: Path) -> BaseModel:
    return BaseModel("tiny", "lm", path, 512)


def settings_for(rows: Path, **changes: Any) -> TrainSettings:
    plain = TrainSettings(
        (str(rows),), "tiny", "result", max_steps=12, batch_size=4, evaluate_every=4, dtype="float32", log_to="none"
    )
    return replace(plain, **{"micro_batch": 4, "rank": 4, "alpha": 8, "learning_rate": 1e-2, **changes})


class Log:
    """Events, and a cancel after a step."""

    def __init__(self, cancel_after: int = 0) -> None:
        self.events: list[TrainEvent] = []
        self.cancel = Event()
        self._cancel_after = cancel_after

    def __call__(self, event: TrainEvent) -> None:
        self.events.append(event)
        if isinstance(event, TrainStepped) and event.step + 1 == self._cancel_after:
            self.cancel.set()  # seen at the end of the next step

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def train(
    file: RowFile, settings: TrainSettings, base: Path, folder: Path, log: Log | None = None, *, resume: bool = False
) -> TrainResult:
    log = log or Log()
    trainer = DialogueTrainer()
    preparation = trainer.prepare([file], settings, base_at(base))
    return trainer.train(preparation, [file], base_at(base), folder, log, log.cancel, should_resume=resume)


@pytest.mark.parametrize("method", [each for each in DialogueTrainer.methods if each != "qlora"])
def test_every_method_lowers_the_validation_loss(method: MethodName, llama: Path, rows: Path, tmp_path: Path) -> None:
    log = Log()
    changes: dict[str, Any] = {"learning_rate": None} if method in ("prefix", "prompt") else {}
    settings = settings_for(rows, method=method, last_layers=1, max_steps=24, evaluate_every=8, **changes)
    result = train(read_rows(rows), settings, llama, tmp_path, log)
    assert result.status == "complete"
    assert result.first_validation_loss is not None
    assert result.best_validation_loss is not None
    assert result.best_validation_loss < result.first_validation_loss
    assert [event.step for event in log.of(TrainStepped)] == list(range(1, 25))
    assert [event.step for event in log.of(TrainValidated)] == [0, 8, 16, 24]
    assert 0 < result.trainable_parameters <= result.all_parameters
    assert (tmp_path / ("weights" if method in ("full", "last-layers") else "adapter")).is_dir()
    assert all(event.tokens_per_s > 0 and event.memory_bytes > 0 for event in log.of(TrainStepped))


@torch.no_grad()
def test_a_prefix_begins_as_a_sentence_that_was_said(llama: Path) -> None:
    text = open_base(base_at(llama))
    model = load_weights(text, "prefix", "float32").eval()
    said, asked = [list(range(5, 25)), [7, 3, 9, 30, 2]]
    expected = model(input_ids=torch.tensor([said + asked])).logits[0, -len(asked) :]
    with quiet():
        adapted = apply_method(model, "prefix", TrainSettings((), "tiny", "t"), 1, opening=said).eval()
        found = adapted(input_ids=torch.tensor([asked])).logits[0]
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)  # float32, another order of sums


@pytest.mark.parametrize("method", ["lora", "prefix", "prompt"])
def test_the_result_is_the_best_checkpoint_and_the_engine_scores_it_the_same(
    method: MethodName, llama: Path, rows: Path, tmp_path: Path
) -> None:
    """The validation loss is exactly what evaluation measures: same tokens, same mean."""
    file = read_rows(rows)
    trainer = DialogueTrainer()
    preparation = trainer.prepare([file], settings_for(rows, method=method), base_at(llama))
    result = trainer.train(preparation, [file], base_at(llama), tmp_path, Log(), Event(), should_resume=False)
    spec = EngineSpec("tiny", "transformers", llama, dtype="float32")
    scored: dict[Path | None, float | None] = {tmp_path / "adapter": result.best_validation_loss}
    if method == "lora":  # which changes nothing before its first step; virtual tokens begin at random
        scored[None] = result.first_validation_loss
    for adapter, expected in scored.items():
        model = load_engine("lm", replace(spec, adapter_path=adapter))
        found = model.likelihoods(*_held_out(preparation.held_out), Event())
        model.close()
        loss = sum(each.nats for each in found) / sum(each.tokens for each in found)
        assert loss == pytest.approx(expected, rel=1e-5)


def _held_out(rows: Sequence[Any]) -> tuple[list[list[Message]], list[str]]:
    prompts, replies = [], []
    for row in rows:
        assert isinstance(row, DialogueRow)
        turns = [Message(each.role, each.text) for each in row.messages]
        for at, turn in enumerate(turns):
            if turn.role == "assistant":
                prompts.append(turns[:at])
                replies.append(turn.text)
    return prompts, replies


@pytest.mark.parametrize(
    ("method", "stop"), [("lora", 3), ("lora", 8), ("adalora", 5), ("adalora", 10), ("full", 3), ("prefix", 3)]
)
def test_a_broken_training_goes_on_exactly(
    method: MethodName, stop: int, llama: Path, rows: Path, tmp_path: Path
) -> None:
    """With dropout and in the middle of an epoch; 10 is behind the step at which AdaLoRA has made its choice."""
    settings = settings_for(rows, method=method, micro_batch=2, dropout=0.1, patience=0)
    file = read_rows(rows)
    whole = train(file, settings, llama, tmp_path / "whole")
    broken = train(file, settings, llama, tmp_path / "broken", Log(cancel_after=stop))
    assert (broken.status, broken.steps) == ("interrupted", stop)
    log = Log()
    resumed = train(file, settings, llama, tmp_path / "broken", log, resume=True)
    assert resumed.status == "complete"
    assert resumed.losses == pytest.approx(whole.losses, abs=SAME)
    assert [event.loss for event in log.of(TrainStepped)] == pytest.approx(whole.losses[stop:], abs=SAME)
    assert resumed.first_validation_loss == whole.first_validation_loss
    assert resumed.best_step == whole.best_step
    name = "weights/model" if method == "full" else "adapter/adapter_model"
    expected = load_file(tmp_path / "whole" / f"{name}.safetensors")
    for key, tensor in load_file(tmp_path / "broken" / f"{name}.safetensors").items():
        torch.testing.assert_close(tensor, expected[key], atol=SAME, rtol=0)


def test_an_interrupted_training_leaves_an_adapter(llama: Path, rows: Path, tmp_path: Path) -> None:
    result = train(read_rows(rows), settings_for(rows), llama, tmp_path, Log(cancel_after=2))
    assert result.status == "interrupted"
    assert load_file(tmp_path / "adapter" / "adapter_model.safetensors")


def test_adalora_moves_ranks(llama: Path, rows: Path, tmp_path: Path) -> None:
    """What PEFT's users most often miss: nothing adapts unless it is told to after every step."""
    settings = settings_for(rows, method="adalora", max_steps=40)
    train(read_rows(rows), settings, llama, tmp_path)
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    kept = {name: int((each != 0).sum()) for name, each in weights.items() if "lora_E" in name}
    assert sum(kept.values()) <= 4 * len(kept) < 6 * len(kept)
    assert len(set(kept.values())) > 1


def test_the_same_seed_gives_the_same_losses(llama: Path, rows: Path, tmp_path: Path) -> None:
    file = read_rows(rows)
    first = train(file, settings_for(rows), llama, tmp_path / "a")
    again = train(file, settings_for(rows), llama, tmp_path / "b")
    other = train(file, settings_for(rows, seed=1), llama, tmp_path / "c")
    assert first.losses == again.losses
    assert first.losses != other.losses


def test_micro_batches_do_not_change_the_losses(llama: Path, rows: Path, tmp_path: Path) -> None:
    file = read_rows(rows)
    results = [
        train(file, settings_for(rows, micro_batch=size, dropout=0.0), llama, tmp_path / str(size)).losses
        for size in (4, 2, 1)
    ]
    assert results[1] == pytest.approx(results[0], abs=1e-5)
    assert results[2] == pytest.approx(results[0], abs=1e-5)


def test_early_stopping_keeps_the_best(llama: Path, rows: Path, tmp_path: Path) -> None:
    log = Log()
    settings = settings_for(rows, learning_rate=0.5, max_steps=60, evaluate_every=2, patience=2, max_grad_norm=0.0)
    result = train(read_rows(rows), settings, llama, tmp_path, log)
    assert result.status == "stopped early"
    assert result.steps < 60
    validated = log.of(TrainValidated)
    assert result.best_validation_loss == min(event.loss for event in validated[1:])
    assert result.best_step == next(event.step for event in validated if event.loss == result.best_validation_loss)
    assert "Stopped early" in log.of(TrainNotice)[0].text


def test_a_loss_that_is_no_number_stops_with_words(llama: Path, rows: Path, tmp_path: Path) -> None:
    settings = settings_for(rows, method="full", learning_rate=1e30, max_grad_norm=0.0)
    with pytest.raises(MmchatError, match="The loss became"):
        train(read_rows(rows), settings, llama, tmp_path)


def test_memory_that_runs_out_halves_the_micro_batch_once(
    llama: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The allocator's own words, raised where rows are read; losses stay those of the same batch."""
    file = read_rows(rows)
    settings = settings_for(rows, dropout=0.0)
    whole = train(file, settings, llama, tmp_path / "whole")
    real = transformers.LlamaModel.forward
    most = 2

    def scarce(self: Any, *args: Any, **options: Any) -> Any:
        if self.training and torch.is_grad_enabled() and options["input_ids"].shape[0] > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(self, *args, **options)

    trainer, log = DialogueTrainer(), Log()
    preparation = trainer.prepare([file], settings, base_at(llama))
    monkeypatch.setattr(transformers.LlamaModel, "forward", scarce)
    result = trainer.train(preparation, [file], base_at(llama), tmp_path / "a", log, log.cancel, should_resume=False)
    assert result.losses == pytest.approx(whole.losses, abs=1e-5)
    assert "Memory ran out with 4 rows at once" in log.of(TrainNotice)[0].text
    most = 1
    with pytest.raises(DeviceError, match="not enough memory"):
        trainer.train(preparation, [file], base_at(llama), tmp_path / "b", log, log.cancel, should_resume=False)


def test_what_prepare_finds(llama: Path, rows: Path) -> None:
    found = DialogueTrainer().prepare([read_rows(rows)], settings_for(rows, micro_batch=0), base_at(llama))
    assert (found.rows, found.train_rows, found.validation_rows) == (24, 22, 2)
    assert len(found.held_out) == 2
    assert 0 < found.supervised_tokens < found.tokens == sum(found.lengths)
    assert found.settings.micro_batch == 4
    assert found.estimated_s is not None
    assert found.estimated_s > 0
    assert found.estimated_bytes is not None
    assert found.estimated_bytes > 4 * found.all_parameters
    assert any(span.is_supervised for span in found.example)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "qlora"}, "need an NVIDIA GPU"),
        ({"method": "adalora", "max_steps": 3}, "at least 10 steps"),
        ({"method": "last-layers", "last_layers": 9}, "has 2 layers"),
        ({"log_to": "trackio"}, "not installed"),
        ({"dtype": "float16"}, "cannot train in float16"),
    ],
)
def test_refusals_name_the_reason(changes: dict[str, Any], words: str, llama: Path, rows: Path) -> None:
    with pytest.raises(UsageError, match=words):
        DialogueTrainer().prepare([read_rows(rows)], settings_for(rows, **changes), base_at(llama))


def test_rows_without_anything_to_learn(llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"messages": [{"role": "user", "content": "the cat"}]}
    path.write_text(f"{json.dumps(row)}\n" * 2, encoding="utf-8")
    with pytest.raises(DataError, match="rows.jsonl:1: the assistant never replies"):
        DialogueTrainer().prepare([read_rows(path)], settings_for(path), base_at(llama))


def test_going_on_with_other_settings_is_refused(llama: Path, rows: Path, tmp_path: Path) -> None:
    file = read_rows(rows)
    train(file, settings_for(rows), llama, tmp_path, Log(cancel_after=2))
    with pytest.raises(UsageError, match="batch_size was 4 and is 2"):
        train(file, settings_for(rows, batch_size=2), llama, tmp_path, resume=True)
    with pytest.raises(UsageError, match="already holds a training"):
        train(file, settings_for(rows), llama, tmp_path)


@pytest.mark.parametrize(
    ("family", "method"),
    [("t5", "lora"), ("blenderbot", "lora"), ("blenderbot", "full"), ("blenderbot", "last-layers")],
)
def test_encoder_decoders(family: str, method: MethodName, rows: Path, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path / "base", family)
    settings = settings_for(rows, method=method, last_layers=1, max_length=100)
    result = train(read_rows(rows), settings, path, tmp_path / "out")
    assert result.first_validation_loss is not None
    assert result.best_validation_loss is not None
    assert result.best_validation_loss < result.first_validation_loss


@pytest.mark.parametrize(
    ("family", "method"), [("llama-plain", "lora"), ("qwen3", "bitfit"), ("gemma3", "prefix"), ("gemma3", "ia3")]
)
def test_other_decoders(family: str, method: MethodName, rows: Path, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", family)
    result = train(read_rows(rows), settings_for(rows, method=method), path, tmp_path / "out")
    assert result.first_validation_loss is not None
    assert result.best_validation_loss is not None
    assert result.best_validation_loss < result.first_validation_loss


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_virtual_tokens_are_refused_on_encoder_decoders(method: MethodName, rows: Path, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path / "base", "t5")
    with pytest.raises(UsageError, match="no place for virtual tokens"):
        train(read_rows(rows), settings_for(rows, method=method), path, tmp_path / "out")


def test_curves_are_written(llama: Path, rows: Path, tmp_path: Path) -> None:
    train(read_rows(rows), settings_for(rows, log_to="tensorboard", max_steps=2), llama, tmp_path)
    assert list((tmp_path / "logs").glob("events.*"))


def test_settings_are_enough_to_know_what_was_done(llama: Path, rows: Path, tmp_path: Path) -> None:
    file = read_rows(rows)
    train(file, settings_for(rows, max_steps=2), llama, tmp_path)
    record = json.loads((tmp_path / "settings.json").read_text(encoding="utf-8"))
    assert record["data"][0]["sha256"] == file.sha256
    assert record["base"] == "tiny"
    assert record["settings"]["learning_rate"] == 1e-2
    assert record["packages"]["peft"]


def test_nothing_is_printed(llama: Path, rows: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(read_rows(rows), settings_for(rows, max_steps=4), llama, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_replay_learns_the_bases_own_answers_and_measures_forgetting(llama: Path, rows: Path, tmp_path: Path) -> None:
    log = Log(cancel_after=5)
    settings = settings_for(rows, replay_share=0.5)
    train(read_rows(rows), settings, llama, tmp_path, log)
    first = log.of(TrainValidated)[0]
    # The base says greedily what it is surest of: less surprising than the rows.
    assert first.metrics["general_loss"] < first.loss
    answers = (tmp_path / "replay.jsonl").read_text(encoding="utf-8")
    resumed = train(read_rows(rows), settings, llama, tmp_path, resume=True)
    assert resumed.status == "complete"
    assert (tmp_path / "replay.jsonl").read_text(encoding="utf-8") == answers


def test_replay_needs_rows_of_ones_own(llama: Path, rows: Path) -> None:
    with pytest.raises(UsageError, match="leaves none of your own"):
        DialogueTrainer().prepare([read_rows(rows)], settings_for(rows, replay_share=1.0), base_at(llama))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_activations_calculated_twice_give_the_same_losses(
    method: MethodName, llama: Path, rows: Path, tmp_path: Path
) -> None:
    file, trainer, base = read_rows(rows), DialogueTrainer(), base_at(llama)
    losses = []
    for is_checkpointed in (False, True):
        preparation = trainer.prepare([file], settings_for(rows, method=method, max_steps=3), base)
        preparation = replace(preparation, settings=replace(preparation.settings, is_checkpointed=is_checkpointed))
        folder = tmp_path / str(is_checkpointed)
        result = trainer.train(preparation, [file], base, folder, Log(), Event(), should_resume=False)
        losses.append(result.losses)
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
