"""Learning from preferences: what is learnt, that it is learnt, and that it can be gone on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from mmchat.adapter_files import attach_adapter
from mmchat.config.models_file import load_models_file
from mmchat.domain import Message
from mmchat.errors import DataError, UsageError
from mmchat.rows.values import Place, PreferenceRow, RowFile, RowMessage, RowPart
from mmchat.train.base import BaseModel, Preparation, TrainEvent, TrainResult, TrainSettings, TrainStepped
from mmchat.train.base import TrainValidated as Validated
from mmchat.train.bases import open_base
from mmchat.train.preference import PreferenceTrainer
from mmchat.train.preference_rows import (
    Pair,
    PreferenceEncoder,
    Preferences,
    Thumb,
    ThumbCollator,
    loss_for,
)
from mmchat.train.preference_trl import means
from mmchat.weights.store import WeightsStore
from tests.contract import tiny_models

FILE = Path("/data/rated.jsonl")


def said(*texts: str) -> tuple[RowMessage, ...]:
    """User and assistant in turn."""
    return tuple(
        RowMessage("assistant" if at % 2 else "user", (RowPart("text", text),)) for at, text in enumerate(texts)
    )


def pair(line: int, *, chosen: str = "the dog ran", rejected: str = "the mat sat") -> PreferenceRow:
    return PreferenceRow(Place(FILE, line), said(f"the cat {line}?"), chosen=f"{chosen} {line}", rejected=rejected)


def thumb(line: int, *, is_liked: bool) -> PreferenceRow:
    reply = "the dog ran" if is_liked else "the mat sat"
    return PreferenceRow(Place(FILE, line), said(f"the cat {line}?"), completion=reply, is_liked=is_liked)


PAIRS = tuple(pair(line) for line in range(1, 15))
THUMBS = tuple(thumb(line, is_liked=bool(line % 3)) for line in range(1, 22))


def file_of(rows: Sequence[PreferenceRow]) -> RowFile:
    return RowFile(FILE, "0" * 64, "preference", tuple(rows))


def settings(**changes: Any) -> TrainSettings:
    return replace(
        TrainSettings(
            data=(str(FILE),),
            model="tiny",
            name="tuned",
            max_steps=8,
            batch_size=4,
            micro_batch=2,
            learning_rate=5e-3,
            evaluate_every=4,
            validation_share=0.2,
            dtype="float32",
            log_to="none",
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return BaseModel("tiny", "lm", tiny_models.decoder(tmp_path_factory.mktemp("base"), "llama"))


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

    @property
    def validations(self) -> list[Validated]:
        return [event for event in self.events if isinstance(event, Validated)]


def prepared(rows: Sequence[PreferenceRow], base: BaseModel, **changes: Any) -> Preparation:
    return PreferenceTrainer().prepare([file_of(rows)], settings(**changes), base)


def trained(
    rows: Sequence[PreferenceRow],
    base: BaseModel,
    folder: Path,
    told: Told,
    *,
    should_resume: bool = False,
    **changes: Any,
) -> TrainResult:
    return PreferenceTrainer().train(
        prepared(rows, base, **changes),
        [file_of(rows)],
        base,
        folder,
        told,
        told.cancel,
        should_resume=should_resume,
    )


# --- rows ---------------------------------------------------------------------------------------


def test_prompt_and_reply_are_the_tokens_of_chat_and_evaluation(base: BaseModel) -> None:
    text = open_base(base)
    (found,) = PreferenceEncoder(text.prompt_format, 512).rows([pair(1)]).pairs
    messages = [Message("user", "the cat 1?")]
    assert list(found.prompt) == text.prompt_format.encode(messages)
    for reply, ids in (("the dog ran 1", found.chosen), ("the mat sat", found.rejected)):
        whole, first = text.prompt_format.encode_with_reply(messages, reply)
        assert [*found.prompt, *ids] == whole
        assert len(found.prompt) == first
    assert text.tokenizer.decode(found.chosen) == "the dog ran 1<|im_end|>"


def test_rows_too_long_lose_whole_exchanges_and_never_words_of_a_reply(base: BaseModel) -> None:
    text = open_base(base)
    row = replace(pair(1), messages=said("the cat sat?", "the mat.", "the dog ran?", "the mat.", "and the cat?"))
    whole = PreferenceEncoder(text.prompt_format, 512).rows([row]).pairs[0]
    found = PreferenceEncoder(text.prompt_format, whole.length - 1).rows([row])
    assert (found.cut_rows, found.cut_turns) == (1, 2)
    assert text.tokenizer.decode(found.pairs[0].prompt).startswith("<|im_start|>user\nthe dog ran?<|im_end|>")
    assert (found.pairs[0].chosen, found.pairs[0].rejected) == (whole.chosen, whole.rejected)


def test_rows_without_anything_to_learn_are_named(base: BaseModel) -> None:
    text = open_base(base)
    same = replace(pair(2), chosen=" the mat sat ")
    silent = replace(pair(3), messages=(RowMessage("system", (RowPart("text", "Be kind."),)),))
    long = replace(pair(4), messages=said("the cat " * 40))
    found = PreferenceEncoder(text.prompt_format, 60).rows([pair(1), same, silent, long])
    assert len(found.pairs) == 1
    assert [reason.partition(":")[0] for reason in found.dropped] == ["rated.jsonl"] * 3
    assert [reason.split(":")[1] for reason in found.dropped] == ["2", "3", "4"]
    with pytest.raises(DataError, match=r"rated\.jsonl:2: chosen and rejected are the same reply"):
        PreferenceEncoder(text.prompt_format, 60).rows([same])


@pytest.mark.parametrize(
    ("kinds", "loss"),
    [("p", "pairs"), ("gb", "thumbs"), ("pg", "thumbs"), ("pb", "thumbs"), ("g", "liked only"), ("b", "disliked only")],
)
def test_the_loss_follows_from_the_rows(kinds: str, loss: str) -> None:
    found = Preferences(
        pairs=[Pair((1,), (2,), (3,))] * kinds.count("p"),
        thumbs=[Thumb((1,), (2,), True)] * kinds.count("g") + [Thumb((1,), (2,), False)] * kinds.count("b"),
    )
    assert loss_for(found) == loss
    assert len(found.of(loss_for(found))) == (1 if kinds == "p" else len(kinds) + kinds.count("p"))


def test_each_prompt_is_also_read_with_a_neighbours_reply() -> None:
    collate = ThumbCollator(pad_token_id=0, max_length=4)
    batch = collate(
        [
            {"prompt_ids": [1, 2, 3], "completion_ids": [4], "label": True},
            {"prompt_ids": [5], "completion_ids": [6, 7], "label": False},
        ]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]
    assert batch["KL_input_ids"].tolist() == [[1, 2, 3, 6], [5, 4, 0, 0]], "cut only where it never was a row"
    assert batch["KL_completion_mask"].tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
    assert batch["label"].tolist() == [True, False]


@given(st.lists(st.lists(st.tuples(st.booleans(), st.floats(-9, 9)), min_size=1), min_size=1))
def test_measures_are_means_over_rows(batches: list[list[tuple[bool, float]]]) -> None:
    sides = {True: "rewards/chosen", False: "rewards/rejected"}
    collected: dict[str, list[float]] = {name: [] for name in sides.values()}
    for batch in batches:
        for side, name in sides.items():
            if values := [value for is_good, value in batch if is_good == side]:
                collected[name].append(math.fsum(values) / len(values))
    counts = [(sum(good for good, _ in batch), sum(not good for good, _ in batch)) for batch in batches]
    found = means(collected, counts)
    for side, name in ((True, "reward_good"), (False, "reward_bad")):
        values = [value for batch in batches for is_good, value in batch if is_good == side]
        assert (name in found) == bool(values)
        if values:
            assert found[name] == pytest.approx(math.fsum(values) / len(values), abs=1e-9)


# --- preparation --------------------------------------------------------------------------------


def test_preparation_counts_and_shows(base: BaseModel) -> None:
    found = prepared([*PAIRS, replace(pair(90), chosen="the mat sat")], base, validation_share=0.1)
    assert (found.rows, found.train_rows + found.validation_rows) == (15, 15)
    assert found.dropped == ("rated.jsonl:90: chosen and rejected are the same reply",)
    assert len(found.lengths) == 14
    assert [span.text for span in found.example if span.is_supervised] == [
        "the dog ran 1<|im_end|>",
        "the mat sat<|im_end|>",
    ]
    assert "[chosen]" in "".join(span.text for span in found.example if not span.is_supervised)
    assert 0 < found.trainable_parameters < found.all_parameters
    assert found.estimated_s is not None
    assert found.estimated_s > 0
    assert "DPO" in found.notes[0]


def test_replies_to_the_same_words_stay_on_one_side(base: BaseModel) -> None:
    rows = [replace(each, messages=said(f"the cat {each.place.line // 3}?")) for each in THUMBS]
    found = prepared(rows, base, validation_share=0.3)
    held_out = {row.messages for row in found.held_out if isinstance(row, PreferenceRow)}
    kept = [row for row in rows if row not in found.held_out]
    assert held_out
    assert not held_out & {row.messages for row in kept}


def test_pairs_among_single_replies_are_learnt_too(base: BaseModel) -> None:
    found = prepared([*PAIRS[:4], *THUMBS], base, validation_share=0.0)
    assert "18 liked and 11 disliked" in found.notes[0]
    assert "4 pairs stand among 21 single replies" in found.notes[1]


def test_only_disliked_replies_are_learnt_slowly(base: BaseModel) -> None:
    rows = [row for row in THUMBS if not row.is_liked]
    bad = prepared(rows, base, learning_rate=None)
    both = prepared(THUMBS, base, learning_rate=None)
    assert "apo_zero_unpaired" in bad.notes[0]
    assert bad.settings.learning_rate is not None
    assert both.settings.learning_rate is not None
    assert bad.settings.learning_rate < both.settings.learning_rate


def test_what_cannot_be_done_is_refused(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'ia3' is not offered for preferences"):
        prepared(PAIRS, base, method="ia3")
    with pytest.raises(UsageError, match="one is too few"):
        prepared(THUMBS, base, batch_size=1)
    seq2seq = BaseModel("t5", "lm", tiny_models.seq2seq(tmp_path / "t5", "t5"))
    with pytest.raises(UsageError, match="encoder–decoder"):
        prepared(PAIRS, seq2seq)


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "full"])
def test_pairs_are_learnt(base: BaseModel, tmp_path: Path, method: str, capfd: pytest.CaptureFixture[str]) -> None:
    told = Told()
    result = trained(PAIRS, base, tmp_path, told, method=method, learning_rate=5e-3 if method == "lora" else 1e-3)
    assert result.status == "complete"
    first, *_, last = told.validations
    assert first.loss == pytest.approx(math.log(2), abs=1e-5), "policy and reference begin as one"
    assert first.metrics["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert last.metrics["reward_margin"] > 0.05
    assert last.metrics["reward_accuracy"] == 1.0
    assert last.loss < first.loss
    assert result.best_validation_loss == pytest.approx(min(each.loss for each in told.validations[1:]))
    assert (tmp_path / ("adapter" if method == "lora" else "weights")).is_dir()
    assert not list(tmp_path.glob("checkpoints/*/ref")), "no second adapter is kept"
    assert capfd.readouterr() == ("", "")


def test_the_saved_adapter_prefers_what_was_chosen(base: BaseModel, tmp_path: Path) -> None:
    trained(PAIRS, base, tmp_path, Told())
    text = open_base(base)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    row = PreferenceEncoder(text.prompt_format, 512).rows([PAIRS[0]]).pairs[0]
    before = margin(model, row)
    tuned = attach_adapter(model, "tuned", tmp_path / "adapter")
    assert margin(tuned, row) > before + 0.5


def margin(model: Any, row: Pair) -> float:
    """How much likelier a model finds the better reply, in nats."""
    return log_likelihood(model, row.prompt, row.chosen) - log_likelihood(model, row.prompt, row.rejected)


@torch.no_grad()
def log_likelihood(model: Any, prompt: Sequence[int], reply: Sequence[int]) -> float:
    logits = model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0].float().log_softmax(-1)
    at = range(len(prompt) - 1, len(prompt) + len(reply) - 1)
    return float(sum(logits[position, token] for position, token in zip(at, reply, strict=True)))


def test_liked_and_disliked_replies_are_learnt(base: BaseModel, tmp_path: Path) -> None:
    told = Told()
    result = trained(THUMBS, base, tmp_path, told)
    assert result.status == "complete"
    last = told.validations[-1]
    assert last.metrics["reward_margin"] > 0.05
    assert last.metrics["reward_good"] > last.metrics["reward_bad"]
    assert last.loss < told.validations[0].loss


@pytest.mark.parametrize("is_liked", [True, False])
def test_replies_of_one_sort_are_learnt(base: BaseModel, tmp_path: Path, is_liked: bool) -> None:
    told = Told()
    trained([row for row in THUMBS if row.is_liked == is_liked], base, tmp_path, told)
    last = told.validations[-1]
    assert set(last.metrics) == {"reward_good" if is_liked else "reward_bad"}
    assert (next(iter(last.metrics.values())) > 0.01) if is_liked else (next(iter(last.metrics.values())) < -0.01)


@pytest.mark.parametrize("rows", [PAIRS, THUMBS], ids=["pairs", "thumbs"])
def test_a_resumed_training_has_the_losses_of_an_unbroken_one(
    base: BaseModel, tmp_path: Path, rows: tuple[PreferenceRow, ...]
) -> None:
    whole = trained(rows, base, tmp_path / "whole", Told())
    told = Told(cancel_at=2)  # seen at the end of the step after
    broken = trained(rows, base, tmp_path / "broken", told)
    assert (broken.status, broken.steps) == ("interrupted", 3)
    resumed = trained(rows, base, tmp_path / "broken", Told(), should_resume=True)
    assert resumed.status == "complete"
    assert resumed.losses == whole.losses
    assert resumed.best_validation_loss == whole.best_validation_loss
    assert len(set(whole.losses)) > 4


def test_smaller_micro_batches_give_the_same_losses_of_pairs(base: BaseModel, tmp_path: Path) -> None:
    by_one = trained(PAIRS, base, tmp_path / "one", Told(), micro_batch=1)
    at_once = trained(PAIRS, base, tmp_path / "four", Told(), micro_batch=4)
    assert by_one.losses == pytest.approx(at_once.losses, abs=1e-4)


# --- real weights -------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.slow
def test_a_few_steps_make_smollm2_prefer_what_was_chosen(weights_dir: Path, tmp_path: Path) -> None:
    path = WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], "transformers")
    base = BaseModel("smollm2-135m", "lm", path, context_tokens=2048)
    questions = ("How do you do?", "What is the capital of France?", "Tell me a joke.", "What is a cat?")
    rows = [
        PreferenceRow(
            Place(FILE, line), said(question), chosen="Ahoy! Ask me at the harbour.", rejected="I am happy to help."
        )
        for line, question in enumerate(questions, start=1)
    ]
    told = Told()
    changes: dict[str, Any] = {
        "max_steps": 5,
        "evaluate_every": 5,
        "dtype": "auto",
        "validation_share": 0.0,
        "learning_rate": 2e-4,
    }
    result = trained(rows, base, tmp_path, told, **changes)
    assert result.losses[-1] < result.losses[0] - 0.1
    text = open_base(base)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    found = PreferenceEncoder(text.prompt_format, 512).rows(rows).pairs
    before = [margin(model, row) for row in found]
    tuned = attach_adapter(model, "tuned", tmp_path / "adapter")
    after = [margin(tuned, row) for row in found]
    assert all(now > then + 1 for then, now in zip(before, after, strict=True))
