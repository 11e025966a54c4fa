"""One contract for every language-model engine (`engines.base.LanguageModel`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.base import LanguageModel
from mmchat.engines.registry import load_engine
from mmchat.errors import ConfigError, EngineUnavailable, UsageError
from tests.contract import openai_server, tiny_models

DECODERS = ["llama", "llama-plain", "qwen3", "gemma3"]
SEQ2SEQ = ["t5", "blenderbot"]
REAL = [
    pytest.param("real-llamacpp", marks=pytest.mark.weights),
    pytest.param("real-transformers", marks=[pytest.mark.weights, pytest.mark.slow]),
]
KINDS = ["scripted", "openai", *DECODERS, *SEQ2SEQ, *REAL]
KEEPS_CACHE = [kind for kind in KINDS if kind not in SEQ2SEQ]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageModel]:
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    if kind == "scripted":
        yield from _closing(load_engine("lm", EngineSpec("tiny", "scripted", context_tokens=600)))
    elif kind == "openai":
        with openai_server.running() as server:
            spec = EngineSpec("tiny", "openai", options={"base_url": server.base_url})
            yield from _closing(load_engine("lm", spec))
    elif kind.startswith("real-"):
        engine = kind.removeprefix("real-")
        path = _prepared(request.getfixturevalue("weights_dir"), engine)
        yield from _closing(load_engine("lm", EngineSpec("smollm2-135m", engine, path, dtype="float32")))
    else:
        path = tiny_models.seq2seq(folder, kind) if kind in SEQ2SEQ else tiny_models.decoder(folder, kind)
        yield from _closing(load_engine("lm", EngineSpec("tiny", "transformers", path, dtype="float32")))


def _closing(loaded: LanguageModel) -> Iterator[LanguageModel]:
    yield loaded
    loaded.close()


def _prepared(weights_dir: Path, engine: str) -> Path:
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore

    return WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], engine)


def options(**changes: object) -> GenerateOptions:
    return GenerateOptions(**{"max_new_tokens": 12, "seed": 7, **changes})  # type: ignore[arg-type]


def user(text: str) -> Message:
    return Message("user", text)


def run(
    model: LanguageModel, messages: list[Message], chosen: GenerateOptions | None = None
) -> tuple[str, GenerationDone]:
    events = list(model.stream(messages, chosen or options(), Event()))
    assert all(isinstance(event, TextDelta) and event.text for event in events[:-1])
    done = events[-1]
    assert isinstance(done, GenerationDone)
    return "".join(event.text for event in events[:-1] if isinstance(event, TextDelta)), done


def every(kinds: Sequence[object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", kinds, indirect=True)


@every(KINDS)
class TestEveryEngine:
    def test_keeps_the_protocol(self, model: LanguageModel) -> None:
        assert isinstance(model, LanguageModel)
        assert model.context_tokens > 0

    def test_streams_then_ends_once(self, model: LanguageModel) -> None:
        text, done = run(model, [user("Say something about the cat.")])
        assert done.finish_reason in ("stop", "length")
        assert text
        assert 0 < done.reply_tokens <= 12
        assert done.first_token_s >= 0
        assert done.decode_s >= 0

    def test_a_reply_ends_at_the_token_limit(self, model: LanguageModel) -> None:
        text, done = run(model, [user("the cat and the dog")], options(max_new_tokens=2))
        assert done.finish_reason in ("length", "stop")
        assert done.reply_tokens <= 2

    def test_same_seed_same_text(self, model: LanguageModel) -> None:
        messages = [user("Tell me of the mat.")]
        first, _ = run(model, messages, options(temperature=1.0))
        run(model, [user("Something else in between.")], options(max_new_tokens=1))
        assert run(model, messages, options(temperature=1.0))[0] == first

    def test_a_cancel_ends_it_within_a_token(self, model: LanguageModel) -> None:
        cancel = Event()
        deltas = 0
        done = None
        for event in model.stream([user("the cat sat on the mat " * 3)], options(max_new_tokens=60), cancel):
            if isinstance(event, TextDelta):
                deltas += 1
                cancel.set()
            else:
                assert done is None
                done = event
        assert deltas <= 2
        assert done is not None
        assert done.finish_reason == "cancelled"

    def test_a_cancel_before_the_first_token(self, model: LanguageModel) -> None:
        cancel = Event()
        cancel.set()
        events = list(model.stream([user("hello")], options(), cancel))
        assert [event.finish_reason for event in events if isinstance(event, GenerationDone)] == ["cancelled"]
        assert len(events) == 1

    def test_a_stream_left_alone_frees_the_model(self, model: LanguageModel) -> None:
        stream = model.stream([user("the dog ran and ran")], options(max_new_tokens=60), Event())
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert run(model, [user("hello")])[0]

    def test_an_empty_prompt_is_refused_and_counts_nothing(self, model: LanguageModel) -> None:
        with pytest.raises(UsageError):
            list(model.stream([], options(), Event()))
        assert model.count_tokens([]) == 0

    def test_empty_words_are_answered(self, model: LanguageModel) -> None:
        run(model, [user("")])

    def test_it_counts_what_it_reports(self, model: LanguageModel) -> None:
        for messages in (
            [user("hello 你好 🎉")],
            [Message("system", "Be kind."), user("hi"), Message("assistant", "Hello."), user("and now?")],
        ):
            _, done = run(model, messages)
            assert model.count_tokens(messages) == done.prompt_tokens

    def test_a_prompt_that_is_too_long_is_a_usage_error(self, model: LanguageModel) -> None:
        words = "cat " * (model.context_tokens * 2)
        with pytest.raises(UsageError):
            run(model, [user(words)])
        assert run(model, [user("still there?")])[1].prompt_tokens > 0

    def test_two_threads_take_turns(self, model: LanguageModel) -> None:
        prompts = ["the cat", "the dog"]
        alone = [run(model, [user(prompt)])[0] for prompt in prompts]
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(lambda prompt: run(model, [user(prompt)])[0], prompts * 2))
        assert together == alone * 2


@every(KEEPS_CACHE)
def test_the_second_turn_reuses_the_first(model: LanguageModel) -> None:
    messages = [user("Tell me about the cat on the mat.")]
    text, first = run(model, messages)
    messages += [Message("assistant", text), user("And the dog?")]
    _, second = run(model, messages)
    assert second.cached_tokens >= first.prompt_tokens - 4
    assert second.cached_tokens < second.prompt_tokens


@pytest.mark.parametrize("model", SEQ2SEQ, indirect=True)
def test_an_encoder_says_that_it_keeps_nothing(model: LanguageModel) -> None:
    for _ in range(2):
        assert run(model, [user("the cat")])[1].cached_tokens == 0


@every(KINDS[:1])
def test_closing_twice_is_harmless(model: LanguageModel) -> None:
    model.close()
    model.close()


@pytest.mark.parametrize("family", [*DECODERS, *SEQ2SEQ])
def test_a_closed_model_says_so(family: str, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path, family) if family in SEQ2SEQ else tiny_models.decoder(tmp_path, family)
    model = load_engine("lm", EngineSpec("tiny", "transformers", path))
    model.close()
    model.close()
    with pytest.raises(EngineUnavailable):
        run(model, [user("hello")])


@pytest.mark.parametrize("family", DECODERS)
def test_the_cache_changes_nothing(family: str, tmp_path: Path) -> None:
    """A second turn over kept keys and values says what a fresh model says."""
    path = tiny_models.decoder(tmp_path, family)
    spec = EngineSpec("tiny", "transformers", path, dtype="float32")
    kept, fresh = load_engine("lm", spec), load_engine("lm", spec)
    messages = [user("the cat sat on the mat and the dog ran")]
    text, _ = run(kept, messages, options(temperature=0))
    messages += [Message("assistant", text), user("the mat")]
    again, done = run(kept, messages, options(temperature=0))
    assert done.cached_tokens > 16  # past Gemma's window
    assert again == run(fresh, messages, options(temperature=0))[0]


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("family", [*DECODERS, *SEQ2SEQ])
def test_weights_in_fewer_bits_reply(family: str, weights: str, tmp_path: Path) -> None:
    """Twice the same, with and without what is kept of the turn before."""
    path = tiny_models.seq2seq(tmp_path, family) if family in SEQ2SEQ else tiny_models.decoder(tmp_path, family)
    spec = EngineSpec("tiny", "transformers", path, device="cpu", options={"weights": weights})
    model = load_engine("lm", spec)
    first, done = run(model, [user("the cat sat on the mat")], options(temperature=0))
    again, _ = run(model, [user("the cat sat on the mat")], options(temperature=0))
    model.close()
    assert done.reply_tokens > 0
    assert first == again


def test_weights_that_cannot_be_had_are_refused(tmp_path: Path) -> None:
    spec = EngineSpec("tiny", "transformers", tiny_models.decoder(tmp_path, "llama"), device="cpu")
    with pytest.raises(ConfigError, match='weights = "int2" is not known'):
        load_engine("lm", replace(spec, options={"weights": "int2"}))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match="without an adapter"):
        load_engine("lm", replace(spec, options={"weights": "int8"}, adapter_path=tmp_path))


@pytest.mark.parametrize("family", DECODERS)
def test_what_is_read_anew_is_the_new_message(family: str, tmp_path: Path) -> None:
    """Over ten turns, one of them stopped, and one after which the oldest exchanges are out of the window."""
    path = tiny_models.decoder(tmp_path, family)
    model = load_engine("lm", EngineSpec("tiny", "transformers", path, dtype="float32"))
    messages: list[Message] = []
    before = -1
    for turn in range(10):
        if turn == 7:
            messages = messages[4:]
        messages.append(user(f"the dog {turn}"))
        text, done = run(model, messages, options(temperature=0, max_new_tokens=2 if turn == 4 else 6))
        messages.append(Message("assistant", text.strip() or "."))
        if turn == 7:
            assert done.cached_tokens < 12  # nothing but how a prompt begins
        elif turn:
            assert done.cached_tokens >= before - 1
        before = done.prompt_tokens
    model.close()
