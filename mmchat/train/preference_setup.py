"""What is settled before preferences are learnt: which loss, how many steps, how many rows at once, how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import transformers

from mmchat.engines.torch_memory import free_bytes
from mmchat.errors import DataError, DeviceError, UsageError
from mmchat.rows.values import PreferenceRow, RowFile
from mmchat.train.base import BaseModel, MethodName, TrainSettings
from mmchat.train.bases import TextBase, load_weights, open_base, precision_of
from mmchat.train.estimate import Probe, probe, useful_rows
from mmchat.train.methods import apply_method
from mmchat.train.order import spread
from mmchat.train.preference_rows import Loss, Pair, Preference, PreferenceEncoder, Preferences, loss_for
from mmchat.train.processes import process_count, smallest
from mmchat.train.quiet import quiet
from mmchat.train.sft import use_threads
from mmchat.train.sft_trainer import Collator
from mmchat.train.splits import split_rows, validation_rows

LEARNING_RATES: dict[MethodName, float] = {"lora": 5e-5, "dora": 5e-5, "rslora": 2.5e-5, "full": 2e-6}
"""A quarter and less of what imitation takes: a preference says which way, not where to."""
_DISLIKED_ONLY_FACTOR = 0.2
"""Nothing but the reference holds a model that only hears what was bad. Source: TRL's guide to KTO asks for less."""
_CPU_MICRO_BATCH, _GPU_MICRO_BATCH = 4, 16
_FREE_SHARE = 0.7
_VALIDATIONS = 10
_PROBED_ROWS = 2
_WORDS: dict[Loss, str] = {
    "pairs": "The {pairs} pairs are learnt by DPO.",
    "thumbs": "The {good} liked and {bad} disliked replies are learnt by KTO; both sorts count the same in all.",
    "liked only": "All {good} replies were liked: learnt by the loss apo_zero_unpaired, which needs no disliked ones.",
    "disliked only": "All {bad} replies were disliked: learnt by the loss apo_zero_unpaired, slowly, because nothing "
    "says what would have been better.",
}


@dataclass(frozen=True, slots=True)
class PreferenceData:
    """What is learnt, what is held out, and how."""

    loss: Loss
    train: list[Preference]
    validation: list[Preference]
    encoded: tuple[Preferences, Preferences]
    train_rows: int
    held_out: tuple[PreferenceRow, ...]

    @property
    def lengths(self) -> list[int]:
        return [each.tokens for each in self.train]

    @property
    def good_and_bad(self) -> tuple[int, int]:
        """Replies of each sort."""
        thumbs = [thumb for each in self.train for thumb in (each.thumbs() if isinstance(each, Pair) else (each,))]
        good = sum(thumb.is_liked for thumb in thumbs)
        return good, len(thumbs) - good


# --- settings and rows --------------------------------------------------------------------------


def method_of(settings: TrainSettings) -> MethodName:
    """The method, once it is chosen."""
    return cast(MethodName, settings.method)


def open_decoder(base: BaseModel) -> TextBase:
    """Read a base's configuration and tokenizer.

    Raises:
        UsageError: an encoder–decoder, which TRL's trainers do not take.
        WeightsError: see `bases.open_base`.
    """
    text = open_base(base)
    if text.is_seq2seq:
        raise UsageError(
            f"'{base.name}' is an encoder–decoder, and preferences are learnt by decoders only.",
            hint="Choose a model such as smollm2-135m.",
        )
    return text


def with_method(settings: TrainSettings, text: TextBase) -> TrainSettings:
    """Choose the method, and no more tokens than the model reads.

    Raises:
        UsageError: a method that is not offered here.
    """
    method = settings.method or "lora"
    if method not in LEARNING_RATES:
        raise UsageError(
            f"The method '{method}' is not offered for preferences.", hint=f"Use one of {', '.join(LEARNING_RATES)}."
        )
    context = text.base.context_tokens or settings.max_length
    return replace(settings, method=method, max_length=min(settings.max_length, context))


def with_steps(settings: TrainSettings, data: PreferenceData) -> TrainSettings:
    """How many steps, how fast, and how often to validate."""
    spread(settings.batch_size, 1, process_count())  # complains where the processes cannot share a batch
    steps = settings.steps_for(len(data.train))
    every = settings.evaluate_every or max(1, math.ceil(steps / _VALIDATIONS))
    factor = _DISLIKED_ONLY_FACTOR if data.loss == "disliked only" else 1.0
    rate = settings.learning_rate or LEARNING_RATES[method_of(settings)] * factor
    return replace(settings, max_steps=steps, evaluate_every=every, learning_rate=rate)


def encoded(files: Sequence[RowFile], settings: TrainSettings, text: TextBase) -> PreferenceData:
    """Split the rows by what is replied to, and make tokens of them.

    Raises:
        DataError: no row has anything to learn.
    """
    rows = [row for each in files for row in each.rows if isinstance(row, PreferenceRow)]
    encoder = PreferenceEncoder(text.prompt_format, settings.max_length, text.base.tell)
    if settings.validation:
        train, held_out = rows, validation_rows(settings, PreferenceRow, "preference")
    else:
        train, held_out = split_rows(rows, settings.validation_share, settings.seed, same=lambda row: row.messages)
    if not train:
        raise DataError("There are no rows of preferences to learn from.")
    learnt, kept = encoder.rows(train), encoder.rows(held_out)
    loss = loss_for(learnt)
    validation = kept.of(loss)
    if loss == "thumbs" and len(validation) == 1:
        validation = []  # its term for how far the model has moved needs a neighbour
    return PreferenceData(loss, learnt.of(loss), validation, (learnt, kept), len(train), tuple(held_out))


def notes_on(data: PreferenceData) -> list[str]:
    """What a user should know of the rows."""
    good, bad = data.good_and_bad
    learnt, kept = data.encoded
    notes = [_WORDS[data.loss].format(pairs=len(data.train), good=good, bad=bad)]
    if data.loss != "pairs" and learnt.pairs:
        notes.append(
            f"{len(learnt.pairs)} pairs stand among {len(learnt.thumbs)} single replies: each pair is learnt as a "
            "liked and a disliked reply."
        )
    if data.loss == "pairs" and kept.thumbs:
        notes.append(f"{len(kept.thumbs)} held-out rows are single replies; only pairs are validated on.")
    if not data.validation and data.held_out:
        notes.append("Too little is held out to validate on: the training runs to its last step.")
    return notes


# --- measuring ----------------------------------------------------------------------------------


def measured(text: TextBase, settings: TrainSettings, data: PreferenceData, device: str) -> tuple[Any, Probe]:
    """The model with its method, and what rows of middle length take."""
    precision = precision_of(settings.dtype, device)
    use_threads(device)
    with quiet():
        transformers.set_seed(settings.seed)
        model = load_weights(text, method_of(settings), precision)
        model = apply_method(model, method_of(settings), settings, settings.max_steps, opening=text.opening)
    ordered = sorted(data.train, key=lambda each: each.tokens)
    middle = len(ordered) // 2
    rows = [
        {"input_ids": [*thumb.prompt, *thumb.reply], "labels": [*([-100] * len(thumb.prompt)), *thumb.reply]}
        for each in ordered[max(0, middle - 1) : middle + _PROBED_ROWS - 1] or ordered[:1]
        for thumb in (each.thumbs() if isinstance(each, Pair) else (each,))
    ]
    batch = Collator(text.pad_id)(rows)
    probe(model, {name: tensor[:1] for name, tensor in batch.items()}, precision, device)  # the first is slow
    return model, probe(model, batch, precision, device)


def micro_tokens(data: PreferenceData, micro_batch: int) -> int:
    """The most tokens of a micro-batch, padding counted."""
    sequences = 2 if data.loss == "pairs" else 1
    return micro_batch * sequences * max(each.length for each in data.train)


def with_micro_batch(
    settings: TrainSettings, data: PreferenceData, seen: Probe, reference_bytes: int, device: str
) -> tuple[TrainSettings, list[str]]:
    """As many rows at once as are useful and fit.

    Raises:
        UsageError: KTO with one row in a batch.
        DeviceError: the model and its reference alone do not fit.
    """
    room = int(free_bytes(device) * _FREE_SHARE) - reference_bytes
    if seen.fixed_bytes > room and reference_bytes:
        raise DeviceError(
            f"The method 'full' needs {(seen.fixed_bytes + reference_bytes) / 1e9:.1f} GB for the model and its "
            f"reference, and {free_bytes(device) / 1e9:.1f} GB are free.",
            hint="Use lora, the default.",
        )
    most = settings.micro_batch or useful_rows(device, micro_tokens(data, 1), _CPU_MICRO_BATCH, _GPU_MICRO_BATCH)
    fitting = next((rows for rows in range(most, 0, -1) if seen.bytes_for(micro_tokens(data, rows)) <= room), 0)
    size = settings.micro_batch or smallest(max(fitting, 1))
    size = spread(settings.batch_size, size, process_count()).micro_batch
    own = settings.batch_size // process_count()
    if data.loss == "thumbs" and size == 1:
        if own == 1:
            raise UsageError(
                "KTO, by which liked and disliked replies are learnt, compares the rows of a batch: one is too few.",
                hint="Give a --batch-size of 2 or more for each process.",
            )
        size = next(rows for rows in range(2, own + 1) if own % rows == 0)
    notes = []
    if fitting == 0:
        notes.append("Memory is scarce: activations are calculated twice instead of being kept, which takes longer.")
    return replace(settings, micro_batch=size, is_checkpointed=fitting == 0), notes


def estimated_s(settings: TrainSettings, data: PreferenceData, seen: Probe) -> float:
    """Steps by their tokens. A forward pass is about a third of one forward and backward.

    Beside it, the reference reads each row once; and KTO reads it twice more, with another reply behind it.
    """
    per_token = seen.seconds / max(1, seen.tokens) / process_count()
    readings = 3 if data.loss == "thumbs" else 1
    lengths = data.lengths
    learning = settings.max_steps * settings.batch_size * sum(lengths) / len(lengths) * per_token * (1 + readings / 3)
    once = sum(each.tokens for each in data.validation) * per_token * (1 + readings) / 3
    return learning + once * (1 + settings.max_steps / settings.evaluate_every)
