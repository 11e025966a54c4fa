"""What a model thinks before it answers is no part of the reply, however the text arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines import lm_openai
from mmchat.engines.lm_batches import BatchWriter
from mmchat.engines.lm_likelihoods import LikelihoodScorer
from mmchat.engines.lm_prompts import ChatTemplateFormat
from mmchat.engines.lm_transformers import Limits, TransformersModel, Workers
from mmchat.engines.lm_turns import Room
from mmchat.engines.lm_virtual_tokens import VirtualTokens
from mmchat.engines.reply_text import ReplyText, opens_thought
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.engines.token_reply import ReplyRules
from tests.contract import openai_server, tiny_models

THOUGHT = "<think>\nThe user greets me. <b>Maybe</b> I greet back </thin\n</think>\n\n"


def shown(text: str, piece: int, *, stop: tuple[str, ...] = (), is_thinking: bool = False) -> tuple[str, str | None]:
    reply = ReplyText(stop, is_thinking=is_thinking)
    parts = [reply.push(text[start : start + piece]) for start in range(0, len(text), piece)]
    return "".join(parts) + reply.flush(), reply.ended_by


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 500])
@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (THOUGHT + "Hello.", "Hello."),
        ("\n " + THOUGHT + "Hello.", "Hello."),
        ("<think></think>Hello.", "Hello."),
        ("<think>\n\n</think>\n\n  Hello. ", "Hello. "),
        ("<think>never ends", ""),
        ("<think>never ends </thin", ""),
        (THOUGHT, ""),
        ("Hello <think>this is said</think> aloud.", "Hello <think>this is said</think> aloud."),
        (THOUGHT + "Write <think>x</think>.", "Write <think>x</think>."),
        ("<thi", "<thi"),
        ("<thing>", "<thing>"),
        (" \n", " \n"),
        ("", ""),
    ],
)
def test_a_thought_before_the_reply_is_left_out(text: str, reply: str, piece: int) -> None:
    assert shown(text, piece) == (reply, None)


@pytest.mark.parametrize("piece", [1, 4, 500])
def test_a_prompt_may_have_begun_the_thought(piece: int) -> None:
    assert shown("\nI greet back.\n</think>\n\nHello.", piece, is_thinking=True) == ("Hello.", None)
    assert shown("no end", piece, is_thinking=True) == ("", None)


@given(
    st.text(max_size=60).filter(lambda text: "</think>" not in text),
    st.text(max_size=60).filter(lambda text: not text[:1].isspace()),
    st.integers(1, 9),
)
def test_any_thought_split_anywhere(thought: str, reply: str, piece: int) -> None:
    text, ended_by = shown(f"<think>{thought}</think>\n{reply}", piece)
    if ended_by is None:
        assert text == reply
    else:
        assert reply.startswith(text)


def test_a_thought_holds_no_stop_string() -> None:
    assert shown("<think>\nUser: says hello</think>Hi.\nUser: more", 3, stop=("\nUser:",)) == ("Hi.", "stop")


def test_a_thought_that_goes_in_circles_ends_the_reply() -> None:
    text = "<think>" + "Wait, let me think about that once more. " * 60
    assert shown(text, 5) == ("", "repetition")


def test_a_prompt_that_opens_a_thought_is_known() -> None:
    assert opens_thought("<|im_start|>assistant\n<think>\n")
    assert not opens_thought("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not opens_thought("<|im_start|>assistant\n")


# --- in the engines -----------------------------------------------------------------------------


class _Recited:
    """Steps of a model that says one text, token by token, whatever it is asked."""

    cached_tokens = 0

    def __init__(self, ids: Sequence[int], vocabulary: int) -> None:
        self._ids = list(ids)
        self._vocabulary = vocabulary
        self._at = 0

    def begin(self, prompt_ids: Sequence[int], *, may_reuse: bool) -> Iterator[torch.Tensor | None]:
        self._at = 0
        yield self._logits()

    def next(self, token: int) -> torch.Tensor:
        self._at += 1
        return self._logits()

    def _logits(self) -> torch.Tensor:
        logits = torch.zeros(self._vocabulary)
        logits[self._ids[self._at]] = 50.0
        return logits


def transformers_model(text: str, opening: str = "") -> TransformersModel:
    tokens: Any = tiny_models.tokenizer()
    tokens.chat_template += opening
    ids = [*tokens(text)["input_ids"], tokens.eos_token_id]
    prompt_format = ChatTemplateFormat(tokens, is_thinking=True)
    rules = ReplyRules(tokens, frozenset([tokens.eos_token_id]), opens_thought=prompt_format.opens_thought)
    workers = Workers(_Recited(ids, len(tokens)), *_no_batches())
    return TransformersModel(
        "tiny", workers, prompt_format, rules, Limits(512, is_exact=True, preferred_batch=1), "cpu"
    )


def _no_batches() -> tuple[BatchWriter, LikelihoodScorer]:
    weights = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=False))
    room = Room(bytes_per_token=1, free_bytes=1, most_rows=1, most_tokens=1)
    nothing = VirtualTokens()
    return BatchWriter("tiny", weights, room, nothing), LikelihoodScorer("tiny", weights, room, nothing)


def run(model: Any, max_new_tokens: int = 400) -> tuple[str, GenerationDone]:
    options = GenerateOptions(max_new_tokens=max_new_tokens, temperature=0, repetition_penalty=1.0)
    events = list(model.stream([Message("user", "hello")], options, Event()))
    assert isinstance(events[-1], GenerationDone)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1]


MODELS: dict[str, Callable[[], Any]] = {
    "transformers": lambda: transformers_model(THOUGHT + "Hello 你好."),
    "transformers, begun by the template": lambda: transformers_model(
        THOUGHT.removeprefix("<think>") + "Hello 你好.", "<think>\n"
    ),
    "scripted": lambda: ScriptedLanguageModel([THOUGHT + "Hello 你好."]),
}


@pytest.mark.parametrize("name", MODELS)
def test_an_engine_says_only_the_reply(name: str) -> None:
    text, done = run(MODELS[name]())
    assert text == "Hello 你好."
    assert done.finish_reason == "stop"
    assert done.reply_tokens > 10  # what was thought was drawn, and counts


def test_a_thought_that_fills_the_reply_leaves_it_empty() -> None:
    text, done = run(transformers_model(THOUGHT + "Hello."), max_new_tokens=12)
    assert (text, done.finish_reason, done.reply_tokens) == ("", "length", 12)


@pytest.mark.parametrize("mode", openai_server.THOUGHTS)
def test_a_server_that_passes_thoughts_on(mode: str) -> None:
    with openai_server.running(mode) as server:
        server.model = ScriptedLanguageModel(["Hello."], context_tokens=600)
        model = lm_openai.load(EngineSpec("served", "openai", options={"base_url": server.base_url}))
        text, done = run(model)
    assert text == "Hello."
    assert done.finish_reason == "stop"
