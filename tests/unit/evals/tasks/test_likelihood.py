from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, cast

import pytest

from mmchat.domain import BatchReply, GenerateOptions, Message
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import DataError, UsageError
from mmchat.evals.base import LikelihoodOutcome, Models, TaskOptions
from mmchat.evals.tasks.likelihood import LikelihoodTask
from mmchat.rows.values import RowFile
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]

TALK = {
    "messages": [
        {"role": "user", "content": "say red"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "what did you say"},
        {"role": "assistant", "content": "red again 你好"},
    ],
    "persona": "a parrot",
}


def run(
    file: RowFile, models: EvalModels, *, model: str = "echo", cancel: Event | None = None, size: int = 0
) -> dict[str, LikelihoodOutcome]:
    task, options = LikelihoodTask(), TaskOptions(batch_size=size)
    batches = task.batches(task.samples(file, options), model, models, options)
    found = [each for batch in batches for each in task.run(batch, model, models, options, cancel or Event())]
    return {each.id: cast(LikelihoodOutcome, each) for each in found}


@pytest.mark.parametrize("size", [0, 1])
def test_true_replies_are_scored_after_their_true_histories(size: int, rows: Rows, models: MakeModels) -> None:
    found = run(rows(TALK), models(), size=size)
    assert set(found) == {"rows.jsonl:1#1", "rows.jsonl:1#3"}
    # The scripted model takes 1 nat for a token said before, 4 for another, 0.5 for the end mark.
    first, second = found["rows.jsonl:1#1"], found["rows.jsonl:1#3"]
    assert (first.nats, first.tokens, first.bytes) == (1 + 0.5, 2, 3)
    assert (second.nats, second.tokens, second.bytes) == (1 + 4 + 4 + 4 + 0.5, 5, 16)
    assert (second.text, second.question, second.group) == ("red again 你好", "what did you say", "rows.jsonl:1")


def test_plain_texts_are_scored_alone(rows: Rows, models: MakeModels) -> None:
    found = run(rows({"text": "one two one"}, {"text": "三个字"}), models())
    english, chinese = found["rows.jsonl:1"], found["rows.jsonl:2"]
    assert (english.nats, english.tokens, english.bytes, english.language) == (4 + 1, 2, 11, "en")
    assert (chinese.tokens, chinese.bytes, chinese.language) == (2, 9, "zh")


def test_the_replies_of_a_conversation_go_together(rows: Rows, models: MakeModels) -> None:
    longer = {"messages": [*TALK["messages"], *TALK["messages"], *TALK["messages"][:2]]}
    file = rows(TALK, longer, {"messages": TALK["messages"][:2]})
    task, opened = LikelihoodTask(), models()

    def batched(size: int) -> list[list[str]]:
        options = TaskOptions(batch_size=size)
        batches = task.batches(task.samples(file, options), "echo", opened, options)
        return [[sample.id.removeprefix("rows.jsonl:") for sample in batch] for batch in batches]

    assert batched(6) == [["2#9", "2#7", "2#5", "2#3", "2#1"], ["1#3", "1#1", "3#1"]]
    assert batched(4) == [["2#9", "2#7", "2#5", "2#3"], ["2#1", "1#3", "1#1", "3#1"]]
    assert [len(batch) for batch in batched(1)] == [1] * 8


def test_room_is_kept_for_the_reply_itself(rows: Rows, models: MakeModels) -> None:
    long = {"messages": [*TALK["messages"][:2]] * 8 + [*TALK["messages"][2:3]]}
    long["messages"].append({"role": "assistant", "content": "word " * 29 + "word"})
    found = run(rows(long), models(), model="short")
    assert found["rows.jsonl:1#17"].tokens == 31
    too_long = {"messages": [TALK["messages"][0], {"role": "assistant", "content": "word " * 70}]}
    with pytest.raises(
        DataError, match=r"rows\.jsonl:1#1: this message has about \d+ tokens; 'short' reads at most 64"
    ):
        run(rows(too_long, name="rows.jsonl"), models(), model="short")


def test_a_cancelled_batch_yields_what_is_whole(rows: Rows, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    assert run(rows(TALK), models(), cancel=cancel) == {}


class WithoutLikelihoods:
    """An engine as llama.cpp's: replies, and nothing else."""

    name = "mute"
    engine = "llamacpp"
    device = "cpu"
    context_tokens = 4096
    accepts_images = False
    reply_tokens = 0
    preferred_batch = 8
    is_batch_exact = False

    def __init__(self) -> None:
        inner = ScriptedLanguageModel()
        self.count_tokens, self.stream, self.close = inner.count_tokens, inner.stream, inner.close

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        raise AssertionError("not asked for replies")


class OneModel:
    """`evals.base.Models` as far as it is needed here."""

    def language_model(self, name: str) -> Any:
        return WithoutLikelihoods()


def test_an_engine_without_likelihoods_says_which_has_them(rows: Rows) -> None:
    task = LikelihoodTask()
    samples = task.samples(rows(TALK), TaskOptions())
    with pytest.raises(UsageError) as caught:
        task.batches(samples, "mute@llamacpp", cast(Models, OneModel()), TaskOptions())
    assert "llamacpp" in caught.value.message
    assert "-m mute@transformers" in caught.value.hint


def test_a_text_that_is_only_a_mark_is_a_bad_row_and_other_letters_than_the_flags_are_told(rows: Rows) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:2: text: is only a template mark, '<\|endoftext\|>'"):
        LikelihoodTask().samples(rows({"text": "words"}, {"text": "<|endoftext|>"}), TaskOptions())
    (warning,) = LikelihoodTask().warnings(rows({"text": "words"}), TaskOptions(language="zh"))
    assert "'zh', but the letters are Latin" in warning
