"""Learning to hear: Whisper is trained on sounds and what is said in them."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import torch
import transformers
from transformers import TrainingArguments

from mmchat.engines.device import resolve_device
from mmchat.engines.torch_memory import free_bytes
from mmchat.errors import DataError, UsageError
from mmchat.rows.values import RowFile, SpeechRow
from mmchat.train.base import BaseModel, MethodName, OnEvent, Preparation, Span, TrainResult, TrainSettings
from mmchat.train.bases import precision_of
from mmchat.train.curves import require_logger
from mmchat.train.loop import LoopPlan, plan_for, run_loop, training_arguments
from mmchat.train.methods import count_parameters
from mmchat.train.order import Batching, spread
from mmchat.train.processes import is_main_process, process_count, smallest
from mmchat.train.quiet import quiet
from mmchat.train.record import WEIGHTS, require_same, write_settings
from mmchat.train.sft import use_threads
from mmchat.train.speech_fit import LEARNING_RATES, SpeechFit, load_whisper, nats, with_method, write_result
from mmchat.train.speech_rows import (
    Sounds,
    SpeechEncoder,
    SpeechExample,
    SpeechExamples,
    collator,
    guessed_language,
)
from mmchat.train.splits import split_rows, validation_rows

_CPU_MICRO_BATCH, _GPU_MICRO_BATCH = 4, 16
_FREE_SHARE = 0.7
_VALIDATIONS = 10
_ADAM_BYTES = 12
"""A gradient and two averages in float32 for each number that learns."""


@dataclass(frozen=True, slots=True)
class _Data:
    """What is learnt and what is held out."""

    train: SpeechExamples
    validation: SpeechExamples
    train_rows: int
    held_out: tuple[SpeechRow, ...]


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a forward and backward pass over one row takes."""

    seconds: float
    activation_bytes: int
    fixed_bytes: int


class SpeechTrainer:
    """Finetuning of Whisper."""

    task = "speech"
    row_kind = "speech"
    model_kind = "asr"
    methods: tuple[MethodName, ...] = tuple(LEARNING_RATES)

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and measure; see `train.base.Trainer`."""
        settings = _with_method(settings)
        require_logger(settings.log_to)
        device = resolve_device("auto")
        use_threads(device)
        with quiet():
            transformers.set_seed(settings.seed)
        model = load_whisper(base)
        if settings.last_layers > model.dims.n_text_layer and settings.method == "last-layers":
            raise UsageError(
                f"The base's decoder has {model.dims.n_text_layer} layers, and the last {settings.last_layers} were "
                "asked for.",
                hint="Give a smaller --last-layers.",
            )
        train, held_out = _split(files, settings)
        wanted = settings.language
        settings = replace(settings, language=guessed_language([*train, *held_out], model, wanted))
        encoder = SpeechEncoder(model.dims, settings.language)
        data = _encoded(encoder, train, held_out, settings)
        settings = _with_steps(settings, len(data.train.examples))
        learner = with_method(model, settings)
        learns, everything = count_parameters(learner)
        seen = _measured(learner, data, encoder, precision_of(settings.dtype, device), device)
        settings = _with_micro_batch(settings, seen, device)
        examples = [*data.train.examples, *data.validation.examples]
        return Preparation(
            task="speech",
            method=_method(settings),
            settings=settings,
            rows=sum(len(each.rows) for each in files),
            train_rows=data.train_rows,
            validation_rows=len(data.held_out),
            skipped=tuple(str(problem) for each in files for problem in each.problems),
            dropped=(*data.train.dropped, *data.validation.dropped),
            tokens=sum(len(each.tokens) for each in examples),
            supervised_tokens=sum(each.supervised for each in examples),
            lengths=tuple(len(each.tokens) for each in examples),
            example=_spans(data.train.examples[0], encoder),
            trainable_parameters=learns,
            all_parameters=everything,
            steps=settings.max_steps,
            estimated_s=_estimated_s(settings, data, seen),
            estimated_bytes=seen.fixed_bytes + settings.micro_batch * seen.activation_bytes,
            notes=tuple(_notes(data, settings, wanted)),
            held_out=data.held_out,
        )

    def train(
        self,
        preparation: Preparation,
        files: Sequence[RowFile],
        base: BaseModel,
        folder: Path,
        on_event: OnEvent,
        cancel: Event,
        *,
        should_resume: bool,
    ) -> TrainResult:
        """Train into `folder`; see `train.base.Trainer`."""
        settings = preparation.settings
        if should_resume:
            require_same(folder, preparation, files, base)
        encoder = SpeechEncoder(load_whisper(base).dims, settings.language)
        data = _encoded(encoder, *_split(files, settings), settings)
        lengths = [len(each.tokens) for each in data.train.examples]
        plan = plan_for(folder, settings, lengths, has_validation=bool(data.validation.examples))
        if is_main_process():
            write_settings(folder, preparation, files, base)
        outcome = run_loop(
            lambda batching: _trainer(base, plan, batching, data, encoder),
            plan,
            on_event,
            cancel,
            should_resume=should_resume,
        )
        if is_main_process() and outcome.status != "interrupted":
            shutil.rmtree(folder / WEIGHTS, ignore_errors=True)
            write_result(outcome.best_checkpoint, base, settings, folder / WEIGHTS)
        return outcome.result(folder, preparation)


# --- settings and rows --------------------------------------------------------------------------


def _method(settings: TrainSettings) -> MethodName:
    return cast(MethodName, settings.method)


def _with_method(settings: TrainSettings) -> TrainSettings:
    method = settings.method or "lora"
    if method not in LEARNING_RATES:
        raise UsageError(
            f"The method '{method}' is not offered for speech.", hint=f"Use one of {', '.join(LEARNING_RATES)}."
        )
    return replace(settings, method=method, learning_rate=settings.learning_rate or LEARNING_RATES[method])


def _with_steps(settings: TrainSettings, examples: int) -> TrainSettings:
    spread(settings.batch_size, 1, process_count())  # complains where the processes cannot share a batch
    steps = settings.steps_for(examples)
    every = settings.evaluate_every or max(1, math.ceil(steps / _VALIDATIONS))
    return replace(settings, max_steps=steps, evaluate_every=every)


def _split(files: Sequence[RowFile], settings: TrainSettings) -> tuple[list[SpeechRow], list[SpeechRow]]:
    """Rows to learn from and rows held out; the same words are never on both sides."""
    rows = [row for each in files for row in each.rows if isinstance(row, SpeechRow)]
    if not settings.validation:
        return split_rows(
            rows, settings.validation_share, settings.seed, same=lambda row: " ".join(row.text.lower().split())
        )
    return rows, validation_rows(settings, SpeechRow, "speech")


def _encoded(
    encoder: SpeechEncoder, train: Sequence[SpeechRow], held_out: Sequence[SpeechRow], settings: TrainSettings
) -> _Data:
    if not train:
        raise DataError("There are no rows of speech to learn from.")
    skip = settings.should_skip_bad
    return _Data(
        encoder.rows(train, should_skip=skip),
        encoder.rows(held_out, should_skip=skip),
        len(train),
        tuple(held_out),
    )


def _spans(example: SpeechExample, encoder: SpeechEncoder) -> tuple[Span, ...]:
    text = encoder.tokenizer().decode_with_timestamps
    return (
        Span(f"[{example.seconds:.1f} s of speech in {example.path.name}] ", False),
        Span(str(text(list(example.tokens[: example.first]))), False),
        Span(str(text(list(example.tokens[example.first :]))), True),
    )


def _notes(data: _Data, settings: TrainSettings, wanted: str) -> list[str]:
    seconds = sum(each.seconds for each in data.train.examples)
    length = f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    notes = [f"{length} of speech are learnt from. Where a time is to be written, any is right."]
    if settings.language and not wanted:
        notes.append(f"Rows that do not name their language are taken for '{settings.language}', as the base hears it.")
    return notes


# --- measuring ----------------------------------------------------------------------------------


def _measured(model: Any, data: _Data, encoder: SpeechEncoder, precision: str, device: str) -> _Pass:
    """One forward and backward pass over one row; every row is 30 seconds long to Whisper."""
    mels = model.dims.n_mels
    row = Sounds(data.train.examples[:1], mels)[0]
    batch = {name: each.to(device) for name, each in collator(encoder.tokenizer().eot)([row]).items()}
    model = model.to(device).train()
    known = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    began = time.perf_counter()
    with (
        quiet(),
        torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        total, _ = nats(model, batch, encoder.time_begin)
    torch.autograd.backward(total)
    seconds = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    learns, everything = count_parameters(model)
    return _Pass(seconds, sum(kept.values()), 4 * everything + _ADAM_BYTES * learns)


def _with_micro_batch(settings: TrainSettings, seen: _Pass, device: str) -> TrainSettings:
    room = int(free_bytes(device) * _FREE_SHARE) - seen.fixed_bytes
    most = settings.micro_batch or (_CPU_MICRO_BATCH if device == "cpu" else _GPU_MICRO_BATCH)
    fitting = max(1, min(most, room // max(1, seen.activation_bytes)))
    size = settings.micro_batch or smallest(fitting)
    return replace(settings, micro_batch=spread(settings.batch_size, size, process_count()).micro_batch)


def _estimated_s(settings: TrainSettings, data: _Data, seen: _Pass) -> float:
    """Steps by their rows; validation is a forward pass, about a third of a step."""
    learning = settings.max_steps * settings.batch_size * seen.seconds / process_count()
    once = len(data.validation.examples) * seen.seconds / 3 / process_count()
    return learning + once * (1 + settings.max_steps / settings.evaluate_every)


# --- training -----------------------------------------------------------------------------------


def _trainer(base: BaseModel, plan: LoopPlan, batching: Batching, data: _Data, encoder: SpeechEncoder) -> SpeechFit:
    use_threads(plan.device)
    model = load_whisper(base)
    mels = model.dims.n_mels
    held_out = Sounds(data.validation.examples, mels) if data.validation.examples else None
    trainer = SpeechFit(
        model=with_method(model, plan.settings),
        args=training_arguments(TrainingArguments, plan, batching),
        data_collator=collator(encoder.tokenizer().eot),
        train_dataset=Sounds(data.train.examples, mels),
        eval_dataset=held_out,
    )
    trainer.held_out = held_out
    trainer.time_begin = encoder.time_begin
    return trainer
