"""Reading a prompt before there is anything to answer (`engines.base.AheadReader`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.base import AheadReader
from mmchat.engines.lm_base import Precedence
from mmchat.engines.registry import load_engine
from mmchat.errors import EngineUnavailable, UsageError
from tests.contract import openai_server, tiny_gguf, tiny_models

KINDS = [
    "scripted",
    "llama",
    "qwen3",
    "gemma3",
    "gguf",
    pytest.param("real-llamacpp", marks=pytest.mark.weights),
]
HISTORY = (
    Message("user", "Tell me about the cat on the mat."),
    Message("assistant", "the cat sat on the mat and the dog ran"),
)
Make = Callable[[], AheadReader]


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Loads one more of the kind each time."""
    kind, loaded = request.param, []
    spec = EngineSpec("tiny", "scripted", context_tokens=600)
    if kind == "gguf":
        path = tiny_gguf.language_model(tmp_path / "tiny.gguf", "smolvlm")
        spec = EngineSpec("tiny", "llamacpp", path, device="cpu")
    elif kind == "real-llamacpp":
        from mmchat.config.models_file import load_models_file
        from mmchat.weights.store import WeightsStore

        store = WeightsStore(request.getfixturevalue("weights_dir"))
        path = store.prepared(load_models_file()["smollm2-135m"], "llamacpp")
        spec = EngineSpec("smollm2-135m", "llamacpp", path, context_tokens=2048)
    elif kind != "scripted":
        spec = EngineSpec("tiny", "transformers", tiny_models.decoder(tmp_path, kind), dtype="float32")

    def load() -> AheadReader:
        model: Any = load_engine("lm", spec)
        loaded.append(model)
        assert isinstance(model, AheadReader)
        assert model.gains_by_reading
        return model

    yield load
    for model in loaded:
        model.close()


every = pytest.mark.parametrize("make", KINDS, indirect=True)


def prompt(text: str) -> list[Message]:
    return [*HISTORY, Message("user", text)]


def run(model: AheadReader, messages: list[Message]) -> tuple[str, GenerationDone]:
    events = list(model.stream(messages, GenerateOptions(max_new_tokens=8, temperature=0.0), Event()))
    done = events[-1]
    assert isinstance(done, GenerationDone)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), done


@every
def test_what_was_read_is_held_and_changes_no_reply(make: Make) -> None:
    plain, begun, ahead = make(), make(), make()
    said, before = run(plain, prompt("And what did the dog do on the mat?"))
    begun.read_ahead(prompt("the"), Event())
    history = run(begun, prompt("And what did the dog do on the mat?"))[1].cached_tokens
    ahead.read_ahead(prompt("And what did the dog"), Event())
    ahead.read_ahead(prompt("And what did the dog do on"), Event())
    again, after = run(ahead, prompt("And what did the dog do on the mat?"))
    assert again == said
    assert after.prompt_tokens == before.prompt_tokens
    assert before.cached_tokens <= 1 < history < after.cached_tokens


@pytest.mark.parametrize("make", KINDS[:-1], indirect=True)
def test_it_gives_way(make: Make) -> None:
    model = make()
    said, _ = run(model, prompt("And the dog?"))
    cancel = Event()
    cancel.set()
    model.read_ahead(prompt("Something quite different"), cancel)
    stream = model.stream(prompt("And the dog?"), GenerateOptions(max_new_tokens=8, temperature=0.0), Event())
    first = next(stream)
    assert isinstance(first, TextDelta)
    model.read_ahead(prompt("the mat the mat"), Event())  # returns, for a reply is being drawn
    rest = "".join(event.text for event in stream if isinstance(event, TextDelta))
    assert first.text + rest == said


@every
def test_a_prompt_that_cannot_be_read_is_refused_and_the_next_is_read(make: Make) -> None:
    model = make()
    with pytest.raises(UsageError):
        model.read_ahead([], Event())
    with pytest.raises(UsageError):
        model.read_ahead(prompt("cat " * (model.context_tokens * 2)), Event())
    model.read_ahead(prompt("And the dog?"), Event())
    assert run(model, prompt("And the dog?"))[1].cached_tokens > 0


@pytest.mark.parametrize("make", ["llama", "gguf"], indirect=True)
def test_a_closed_model_says_so(make: Make) -> None:
    model = make()
    model.close()
    with pytest.raises(EngineUnavailable):
        model.read_ahead(prompt("hello"), Event())


def test_an_encoder_gains_nothing(tmp_path: Path) -> None:
    model: Any = load_engine("lm", EngineSpec("tiny", "transformers", tiny_models.seq2seq(tmp_path, "t5")))
    assert not model.gains_by_reading
    model.close()


def test_no_server_is_sent_a_draft() -> None:
    with openai_server.running() as server:
        model: Any = load_engine("lm", EngineSpec("tiny", "openai", options={"base_url": server.base_url}))
        assert not isinstance(model, AheadReader)
        model.close()


def test_a_call_that_waits_ends_the_reading() -> None:
    """And is next, however much there was left to read."""
    precedence = Precedence()
    order: list[str] = []

    def call() -> None:
        with precedence.held():
            order.append("call")

    with precedence.spare(Event()) as is_over:
        assert is_over is not None
        assert not is_over.is_set()
        waiting = Thread(target=call)
        waiting.start()
        assert is_over.wait(10)
        order.append("read")
    waiting.join()
    assert order == ["read", "call"]
    with precedence.held(), precedence.spare(Event()) as is_over:
        assert is_over is None
