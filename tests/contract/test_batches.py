"""One contract for every engine that answers many prompts at once (`engines.base.BatchLanguageModel`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.domain import BatchReply, EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.base import BatchLanguageModel
from mmchat.engines.registry import load_engine
from mmchat.errors import EngineUnavailable, UsageError
from tests.contract import openai_server, tiny_models

DECODERS = ["llama", "llama-plain", "qwen3", "gemma3"]
SEQ2SEQ = ["t5", "blenderbot"]
VISION = ["idefics3", "qwen2.5-vl"]
REAL = [pytest.param("real-transformers", marks=pytest.mark.weights)]
EXACT = [*DECODERS, *SEQ2SEQ, *VISION, "scripted"]
"""Replies do not depend on their batch."""
KINDS = [*EXACT, "openai", *REAL, pytest.param("real-llamacpp", marks=pytest.mark.weights)]
DRAWN = [*DECODERS, *SEQ2SEQ, *VISION]
"""Tokens are drawn by us."""
PARALLEL = 3

PROMPTS: list[list[Message]] = [
    [Message("user", "the cat")],
    [Message("user", "the dog ran and ran and ran over the mat and the cat sat on the dog " * 2)],
    [Message("system", "Be kind."), Message("user", "hi"), Message("assistant", "Hello."), Message("user", "and now?")],
    [Message("user", "")],
    [Message("user", "你好 🎉")],
    [Message("user", "sat on the mat " * 3)],
    [Message("user", "the cat")],
]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchLanguageModel]:
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    if kind == "scripted":
        yield from _closing(load_engine("lm", EngineSpec("tiny", "scripted", context_tokens=600)))
    elif kind == "openai":
        with openai_server.running() as server:
            options = {"base_url": server.base_url}
            yield from _closing(load_engine("lm", EngineSpec("tiny", "openai", parallel=PARALLEL, options=options)))
    elif kind.startswith("real-"):
        engine = kind.removeprefix("real-")
        path = _prepared(request.getfixturevalue("weights_dir"), engine)
        spec = EngineSpec("smollm2-135m", engine, path, 600, "cpu", "float32", parallel=PARALLEL)
        yield from _closing(load_engine("lm", spec))
    else:
        make = tiny_models.vision if kind in VISION else tiny_models.seq2seq if kind in SEQ2SEQ else tiny_models.decoder
        spec = EngineSpec("tiny", "transformers", make(folder, kind), device="cpu", dtype="float32")
        yield from _closing(load_engine("lm", spec))


def _closing(loaded: BatchLanguageModel) -> Iterator[BatchLanguageModel]:
    yield loaded
    loaded.close()


def _prepared(weights_dir: Path, engine: str) -> Path:
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore

    return WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], engine)


def every(kinds: Sequence[object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", kinds, indirect=True)


def options(**changes: object) -> GenerateOptions:
    return GenerateOptions(**{"max_new_tokens": 24, "temperature": 0.0, **changes})  # type: ignore[arg-type]


def streamed(model: BatchLanguageModel, messages: Sequence[Message], chosen: GenerateOptions) -> BatchReply:
    events = list(model.stream(messages, chosen, Event()))
    done = events[-1]
    assert isinstance(done, GenerationDone)
    text = "".join(event.text for event in events[:-1] if isinstance(event, TextDelta))
    return BatchReply(text, done.finish_reason, done.prompt_tokens, done.reply_tokens)


def test_the_tiny_models_do_not_say_the_same_to_everything(tmp_path: Path) -> None:
    """Else the other tests would prove nothing."""
    model = load_engine("lm", EngineSpec("t", "transformers", tiny_models.decoder(tmp_path, "llama"), dtype="float32"))
    replies = model.reply_batch(PROMPTS, options(), Event(), seeds=range(len(PROMPTS)))
    assert len({reply.text for reply in replies}) >= len(PROMPTS) - 1


@every(KINDS)
class TestEveryEngine:
    def test_keeps_the_protocol(self, model: BatchLanguageModel) -> None:
        assert isinstance(model, BatchLanguageModel)
        assert model.preferred_batch >= 1

    def test_replies_come_in_the_order_of_the_prompts(self, model: BatchLanguageModel) -> None:
        replies = model.reply_batch(PROMPTS, options(max_new_tokens=6), Event(), seeds=[0] * len(PROMPTS))
        assert [reply.prompt_tokens for reply in replies] == [model.count_tokens(messages) for messages in PROMPTS]
        assert all(reply.finish_reason in ("stop", "length") for reply in replies)
        assert replies[0] == replies[-1]  # the same prompt

    def test_no_prompt(self, model: BatchLanguageModel) -> None:
        assert model.reply_batch([], options(), Event(), seeds=[]) == ()

    def test_a_prompt_that_is_too_long_is_refused(self, model: BatchLanguageModel) -> None:
        with pytest.raises(UsageError):
            model.reply_batch([PROMPTS[0], [Message("user", "cat " * 2000)]], options(), Event(), seeds=[0, 0])
        assert len(model.reply_batch(PROMPTS[:1], options(), Event(), seeds=[0])) == 1

    def test_a_prompt_without_messages_is_refused(self, model: BatchLanguageModel) -> None:
        with pytest.raises(UsageError):
            model.reply_batch([PROMPTS[0], []], options(), Event(), seeds=[0, 0])

    def test_a_cancel_before_the_first_token(self, model: BatchLanguageModel) -> None:
        cancel = Event()
        cancel.set()
        replies = model.reply_batch(PROMPTS, options(), cancel, seeds=[0] * len(PROMPTS))
        assert {(reply.text, reply.finish_reason) for reply in replies} == {("", "cancelled")}
        assert len(replies) == len(PROMPTS)

    def test_streaming_goes_on_as_before(self, model: BatchLanguageModel) -> None:
        before = streamed(model, PROMPTS[1], options(max_new_tokens=8))
        model.reply_batch(PROMPTS, options(max_new_tokens=8), Event(), seeds=[0] * len(PROMPTS))
        assert streamed(model, PROMPTS[1], options(max_new_tokens=8)) == before


@every(EXACT)
class TestExactBatches:
    @pytest.mark.parametrize("penalty", [1.0, 1.3])
    def test_greedy_replies_are_those_streamed(self, model: BatchLanguageModel, penalty: float) -> None:
        chosen = options(repetition_penalty=penalty)
        replies = model.reply_batch(PROMPTS, chosen, Event(), seeds=[0] * len(PROMPTS))
        assert list(replies) == [streamed(model, messages, chosen) for messages in PROMPTS]

    def test_stop_strings(self, model: BatchLanguageModel) -> None:
        free = model.reply_batch(PROMPTS, options(), Event(), seeds=[0] * len(PROMPTS))
        spoken = max(free, key=lambda reply: len(reply.text))
        stop = (spoken.text[2:4],)
        replies = model.reply_batch(PROMPTS, options(stop=stop), Event(), seeds=[0] * len(PROMPTS))
        assert list(replies) == [streamed(model, messages, options(stop=stop)) for messages in PROMPTS]
        assert replies[free.index(spoken)].finish_reason == "stop"
        assert not any(stop[0] in reply.text for reply in replies)

    def test_no_token(self, model: BatchLanguageModel) -> None:
        replies = model.reply_batch(PROMPTS, options(max_new_tokens=0), Event(), seeds=[0] * len(PROMPTS))
        assert {(reply.text, reply.finish_reason, reply.reply_tokens) for reply in replies} == {("", "length", 0)}

    def test_a_prompt_at_the_end_of_the_context(self, model: BatchLanguageModel) -> None:
        long = [Message("user", "cat")]
        while model.count_tokens(long) < model.context_tokens - 6:
            long = [Message("user", long[0].text + " cat")]
        prompts = [PROMPTS[0], long, PROMPTS[1]]
        replies = model.reply_batch(prompts, options(), Event(), seeds=[0] * 3)
        assert list(replies) == [streamed(model, messages, options()) for messages in prompts]


@every(REAL)
def test_the_default_model_says_what_it_streams(model: BatchLanguageModel) -> None:
    assert model.is_batch_exact
    prompts, seeds = PROMPTS[:4], [3, 1, 4, 1]
    for temperature in (0.0, 1.0):
        chosen = options(max_new_tokens=10, temperature=temperature, repetition_penalty=1.1)
        assert list(model.reply_batch(prompts, chosen, Event(), seeds=seeds)) == [
            streamed(model, messages, replace(chosen, seed=seed)) for messages, seed in zip(prompts, seeds, strict=True)
        ]


@every(DRAWN)
def test_sampled_replies_are_those_streamed_with_their_seed(model: BatchLanguageModel) -> None:
    seeds = [3, 1, 4, 1, 5, 9, 2]
    replies = model.reply_batch(PROMPTS, options(temperature=1.0, seed=77), Event(), seeds=seeds)
    assert list(replies) == [
        streamed(model, messages, options(temperature=1.0, seed=seed))
        for messages, seed in zip(PROMPTS, seeds, strict=True)
    ]
    assert replies[0].text != replies[-1].text  # the same prompt under another seed


@every([*DECODERS, *SEQ2SEQ])
def test_a_cancel_in_between_keeps_what_was_said(model: BatchLanguageModel) -> None:
    whole = model.reply_batch(PROMPTS, options(max_new_tokens=40), Event(), seeds=[0] * len(PROMPTS))
    cancel = _SetAfter(60)  # before each part of a layer, and after each token
    replies = model.reply_batch(PROMPTS, options(max_new_tokens=40), cancel, seeds=[0] * len(PROMPTS))
    for reply, other in zip(replies, whole, strict=True):
        assert other.text.startswith(reply.text)
        assert reply.finish_reason == "cancelled" or reply == other
    assert 0 < max(reply.reply_tokens for reply in replies) < 10
    assert "cancelled" in {reply.finish_reason for reply in replies}


class _SetAfter(Event):
    """An event that is set once it has been looked at `looks` times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks < 0


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_closed_model_says_so(family: str, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path, family) if family in SEQ2SEQ else tiny_models.decoder(tmp_path, family)
    model = load_engine("lm", EngineSpec("tiny", "transformers", path))
    model.close()
    with pytest.raises(EngineUnavailable):
        model.reply_batch(PROMPTS, options(), Event(), seeds=[0] * len(PROMPTS))


def test_a_failing_server_ends_the_batch_with_its_error() -> None:
    with openai_server.running("503") as server:
        options_ = {"base_url": server.base_url}
        model = load_engine("lm", EngineSpec("tiny", "openai", parallel=PARALLEL, options=options_))
        with pytest.raises(EngineUnavailable, match="503"):
            model.reply_batch(PROMPTS, options(), Event(), seeds=[0] * len(PROMPTS))


def test_a_cancel_ends_requests_that_hang() -> None:
    with openai_server.running("silent") as server:
        model = load_engine(
            "lm", EngineSpec("tiny", "openai", parallel=PARALLEL, options={"base_url": server.base_url})
        )
        cancel = _SetAfter(20)
        replies = model.reply_batch(PROMPTS, options(), cancel, seeds=[0] * len(PROMPTS))
    assert {reply.finish_reason for reply in replies} == {"cancelled"}
    assert len(server.bodies) <= PARALLEL
