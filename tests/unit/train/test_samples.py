"""What is supervised: every reply with its end mark, nothing else, behind what the chat puts before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from mmchat.config.models_file import load_models_file
from mmchat.domain import Message
from mmchat.engines.lm_prompts import ChatTemplateFormat, InstructionFormat, PlainFormat, PromptFormat
from mmchat.errors import DataError
from mmchat.rows.values import DialogueRow, Place, RowMessage, RowPart
from mmchat.train.samples import IGNORED, DialogueEncoder, Example, spans_of
from mmchat.weights.store import WeightsStore
from tests.contract import tiny_models

PLACE = Path("rows.jsonl")
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}"
    "{% endif %}<|im_start|>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n{{ m['content'] | trim }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
TURNS = ("hello there", "hi, the cat sat", "and the dog?", "it ran", "bye", "see you")


def row(*turns: str, system: str = "", persona: str = "", line: int = 1) -> DialogueRow:
    roles = ("user", "assistant")
    messages = [RowMessage("system", (RowPart("text", system),))] if system else []
    messages += [
        RowMessage(roles[at % 2], (RowPart("text", text),))  # type: ignore[arg-type]
        for at, text in enumerate(turns)
    ]
    return DialogueRow(Place(PLACE, line), tuple(messages), persona=persona)


def templated(template: str = "") -> tuple[Any, PromptFormat]:
    tokens = tiny_models.tokenizer()
    if template:
        tokens.chat_template = template
    return tokens, ChatTemplateFormat(tokens)


def supervised(example: Example, tokens: Any) -> list[str]:
    return [span.text for span in spans_of(example, tokens) if span.is_supervised]


@pytest.mark.parametrize(("template", "count"), [("", 1), (NO_SYSTEM, 1), (THINKING, 3)])
def test_exactly_the_replies_and_their_end_marks(template: str, count: int) -> None:
    tokens, prompt_format = templated(template)
    found = DialogueEncoder(prompt_format, 500).rows([row(*TURNS, system="be kind")])
    assert len(found.examples) == count
    assert found.split_rows == (count > 1)
    texts = [text for example in found.examples for text in supervised(example, tokens)]
    assert texts == [f"{reply}<|im_end|>" for reply in TURNS[1::2]]
    assert not found.dropped


@pytest.mark.parametrize("template", ["", NO_SYSTEM, THINKING])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])), min_size=2, max_size=7))
@settings(max_examples=30, deadline=None)
def test_tokens_are_those_of_evaluation(template: str, turns: list[str]) -> None:
    """Each reply is learnt behind the very tokens that it is scored behind."""
    _, prompt_format = templated(template)
    found = DialogueEncoder(prompt_format, 10_000).row(row(*turns))
    messages = [Message("user" if at % 2 == 0 else "assistant", text.strip()) for at, text in enumerate(turns)]
    expected = set()
    for at in range(1, len(messages), 2):
        if messages[at].text:
            ids, first = prompt_format.encode_with_reply(messages[:at], messages[at].text)
            expected.add((tuple(ids[:first]), tuple(ids[first:])))
    learnt = set()
    for example in found.examples:
        marks = [label != IGNORED for label in example.labels]
        edges = [at for at in range(1, len(marks)) if marks[at] != marks[at - 1]] + [len(marks)]
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            learnt.add((example.ids[:begin], example.ids[begin:end]))
    assert learnt == expected


def test_a_long_conversation_keeps_every_reply_and_only_whole_turns() -> None:
    tokens, prompt_format = templated()
    turns = [f"turn {number} the cat sat on the mat" for number in range(12)]
    found = DialogueEncoder(prompt_format, 120).rows([row(*turns, system="be kind")])
    assert len(found.examples) > 1
    assert (found.cut_rows, found.split_rows) == (1, 0)
    assert found.cut_turns > 0
    texts = [text for example in found.examples for text in supervised(example, tokens)]
    assert sorted(texts) == sorted(f"{reply}<|im_end|>" for reply in turns[1::2])
    for example in found.examples:
        assert example.tokens <= 120
        text = "".join(span.text for span in spans_of(example, tokens))
        assert text.startswith("<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nturn ")


def test_one_exchange_that_is_too_long_is_named() -> None:
    _, prompt_format = templated()
    found = DialogueEncoder(prompt_format, 60).rows([row("short", "reply"), row("the cat " * 40, "ran", line=2)])
    assert len(found.examples) == 1
    assert found.dropped[0].startswith("rows.jsonl:2: message 2: this one exchange is too long")


def test_nothing_to_learn_is_an_error() -> None:
    _, prompt_format = templated()
    encoder = DialogueEncoder(prompt_format, 60)
    with pytest.raises(DataError, match="rows.jsonl:1: the assistant never replies"):
        encoder.rows([row("only the user")])
    with pytest.raises(DataError, match="too long"):
        encoder.rows([row("the cat " * 40, "ran")])


def test_an_opening_by_the_assistant_is_read_but_not_learnt() -> None:
    tokens, prompt_format = templated()
    greeting = RowMessage("assistant", (RowPart("text", "welcome"),))
    plain = row("hello", "hi")
    found = DialogueEncoder(prompt_format, 100).row(DialogueRow(plain.place, (greeting, *plain.messages)))
    assert found.openings == 1
    [example] = found.examples
    assert supervised(example, tokens) == ["hi<|im_end|>"]
    assert "welcome" in spans_of(example, tokens)[0].text


def test_persona_becomes_system_text() -> None:
    tokens, prompt_format = templated()
    [example] = DialogueEncoder(prompt_format, 100).row(row("hello", "hi", system="be kind", persona="a cat")).examples
    assert spans_of(example, tokens)[0].text.startswith("<|im_start|>system\na cat\n\nbe kind<|im_end|>")


def test_histories_are_told_as_in_the_chat() -> None:
    tokens, prompt_format = templated()
    told = [Message("user", "[picture: a cat] what is it")]
    encoder = DialogueEncoder(prompt_format, 100, tell=lambda history, persona: told)
    [example] = encoder.row(row("what is it", "a cat")).examples
    assert "[picture: a cat] what is it" in spans_of(example, tokens)[0].text
    assert supervised(example, tokens) == ["a cat<|im_end|>"]


def test_files_need_someone_who_tells() -> None:
    _, prompt_format = templated()
    picture = RowMessage("user", (RowPart("image", path=Path("/cat.png")),))
    answer = RowMessage("assistant", (RowPart("text", "a cat"),))
    with pytest.raises(DataError, match="pictures or sounds"):
        DialogueEncoder(prompt_format, 100).row(DialogueRow(Place(PLACE, 1), (picture, answer)))


def test_models_without_a_template() -> None:
    tokens = tiny_models.tokenizer(has_template=False)
    found = DialogueEncoder(PlainFormat(tokens), 400).row(row(*TURNS))
    texts = [text for example in found.examples for text in supervised(example, tokens)]
    assert texts == [f" {reply}<|im_end|>" for reply in TURNS[1::2]]


def test_encoder_decoders_learn_one_reply_at_a_time() -> None:
    tokens = tiny_models.tokenizer(has_template=False)
    found = DialogueEncoder(InstructionFormat(tokens), 400, is_seq2seq=True).row(row(*TURNS))
    assert [tokens.decode(list(each.labels)) for each in found.examples] == [
        f"{each}<|im_end|>" for each in TURNS[1::2]
    ]
    assert all(IGNORED not in each.labels for each in found.examples)


@pytest.mark.weights
def test_smollm2(weights_dir: Path) -> None:
    folder = WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], "transformers")
    tokens: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    [example] = DialogueEncoder(ChatTemplateFormat(tokens), 500).row(row(*TURNS)).examples
    assert supervised(example, tokens) == [f"{reply}<|im_end|>" for reply in TURNS[1::2]]
