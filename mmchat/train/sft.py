"""Learning from conversations: every reply of the assistant is what the model shall say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import transformers
from trl import SFTConfig

from mmchat.engines.device import resolve_device, usable_threads
from mmchat.engines.torch_memory import free_bytes
from mmchat.errors import DataError, UsageError
from mmchat.rows.values import DialogueRow, Row, RowFile
from mmchat.train.adalora import AdaLoraSteps
from mmchat.train.base import METHODS, PICTURE_METHODS, BaseModel, OnEvent, Preparation, TrainResult, TrainSettings
from mmchat.train.bases import TextBase, load_weights, open_base, precision_of
from mmchat.train.curves import require_logger
from mmchat.train.estimate import Probe, probe, useful_rows
from mmchat.train.loop import LoopPlan, plan_for, run_loop, training_arguments
from mmchat.train.methods import METHODS as METHOD_DETAILS
from mmchat.train.methods import apply_method, count_parameters, require_method
from mmchat.train.order import Batching, spread
from mmchat.train.processes import is_main_process, process_count, smallest
from mmchat.train.quiet import quiet
from mmchat.train.record import keep_best, require_same, write_settings
from mmchat.train.replay import replay_rows
from mmchat.train.samples import DialogueEncoder, Example, Examples, spans_of
from mmchat.train.sft_trainer import Collator, DialogueSft, dataset_of
from mmchat.train.splits import split_rows, validation_rows

_CPU_MICRO_BATCH, _GPU_MICRO_BATCH = 8, 32
_FREE_SHARE = 0.7
"""Of the free memory, what a training may take."""
_VALIDATIONS = 10
_PROBED_ROWS = 4


@dataclass(frozen=True, slots=True)
class SftData:
    """What is learnt and what is held out."""

    train: Examples
    validation: Examples
    train_rows: int
    held_out: tuple[Row, ...]
    general: tuple[Example, ...] = ()
    """General answers of the base that are held out: what their loss rises by was forgotten."""

    @property
    def lengths(self) -> list[int]:
        return [each.tokens for each in self.train.examples]


class DialogueTrainer:
    """Supervised finetuning of language models."""

    task = "dialogue"
    row_kind = "dialogue"
    model_kind = "lm"
    methods = tuple(each for each in METHODS if each not in PICTURE_METHODS)

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and measure; see `train.base.Trainer`."""
        text = open_base(base)
        settings = _with_method(settings, text)
        device = resolve_device("auto")
        data = _encoded(files, settings, text)
        settings = _with_steps(settings, len(data.train.examples))
        require_method(cast(Any, settings.method), text.config, device, settings, settings.max_steps)
        require_logger(settings.log_to)
        model, seen = _measured(text, settings, data, device)
        settings, notes = with_micro_batch(settings, data, seen, device)
        learns, everything = count_parameters(model)
        batching = spread(settings.batch_size, settings.micro_batch, process_count())
        all_examples = [*data.train.examples, *data.validation.examples]
        return Preparation(
            task="dialogue",
            method=cast(Any, settings.method),
            settings=settings,
            rows=sum(len(each.rows) for each in files),
            train_rows=data.train_rows,
            validation_rows=len(data.held_out),
            skipped=tuple(str(problem) for each in files for problem in each.problems),
            dropped=(*data.train.dropped, *data.validation.dropped),
            cut_rows=data.train.cut_rows + data.validation.cut_rows,
            cut_turns=data.train.cut_turns + data.validation.cut_turns,
            tokens=sum(each.tokens for each in all_examples),
            supervised_tokens=sum(each.supervised for each in all_examples),
            lengths=tuple(each.tokens for each in all_examples),
            example=spans_of(data.train.examples[0], text.tokenizer),
            trainable_parameters=learns,
            all_parameters=everything,
            steps=settings.max_steps,
            estimated_s=estimated_s(settings, data, seen, batching),
            estimated_bytes=seen.bytes_for(batching.micro_batch * max(data.lengths)),
            notes=(*notes, *_notes(data, settings, seen)),
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
        text = open_base(base)
        data = _with_replay(_encoded(files, settings, text), settings, text, folder)
        plan = plan_for(folder, settings, data.lengths, has_validation=bool(data.validation.examples))
        if is_main_process():
            write_settings(folder, preparation, files, base)
        outcome = run_loop(
            lambda batching: _trainer(text, plan, batching, data), plan, on_event, cancel, should_resume=should_resume
        )
        if is_main_process():
            keep_best(outcome.best_checkpoint, folder, is_adapter=METHOD_DETAILS[cast(Any, settings.method)].is_adapter)
        return outcome.result(folder, preparation)


# --- settings and rows --------------------------------------------------------------------------


def _with_method(settings: TrainSettings, text: TextBase) -> TrainSettings:
    method = settings.method or "lora"
    context = text.base.context_tokens or settings.max_length
    return replace(
        settings,
        method=method,
        learning_rate=settings.learning_rate or METHOD_DETAILS[method].learning_rate,
        max_length=min(settings.max_length, context),
    )


def _with_steps(settings: TrainSettings, examples: int) -> TrainSettings:
    """How many steps, and how often to validate."""
    spread(settings.batch_size, 1, process_count())  # complains where the processes cannot share a batch
    if not 0 <= settings.replay_share < 1:
        raise UsageError(
            f"A share of {settings.replay_share} of general rows leaves none of your own.", hint="Give 0.1 or so."
        )
    examples = round(examples / (1 - settings.replay_share))
    steps = settings.steps_for(examples)
    every = settings.evaluate_every or max(1, math.ceil(steps / _VALIDATIONS))
    return replace(settings, max_steps=steps, evaluate_every=every)


def _encoded(files: Sequence[RowFile], settings: TrainSettings, text: TextBase) -> SftData:
    rows = [row for each in files for row in each.rows if isinstance(row, DialogueRow)]
    encoder = DialogueEncoder(
        text.prompt_format,
        settings.max_length,
        is_seq2seq=text.is_seq2seq,
        tell=text.base.tell,
    )
    if settings.validation:
        held_out = validation_rows(settings, DialogueRow, "dialogue")
        train = rows
    else:
        train, held_out = split_rows(rows, settings.validation_share, settings.seed, same=_conversation)
    if not train:
        raise DataError("There are no rows of dialogue to learn from.")
    return SftData(encoder.rows(train), encoder.rows(held_out), len(train), tuple(held_out))


def _with_replay(data: SftData, settings: TrainSettings, text: TextBase, folder: Path) -> SftData:
    """The base's own general answers mixed in, as many as the share says and there are."""
    if not settings.replay_share:
        return data
    precision = precision_of(settings.dtype, resolve_device("auto"))
    use_threads("cpu")
    if is_main_process():
        replay_rows(folder, text, precision, settings.seed)
    smallest(0)  # the others wait for the file
    train, held_out = replay_rows(folder, text, precision, settings.seed)
    own = len(data.train.examples)
    wanted = min(len(train), round(own * settings.replay_share / (1 - settings.replay_share)))
    encoder = DialogueEncoder(text.prompt_format, settings.max_length, is_seq2seq=text.is_seq2seq)
    data.train.examples += encoder.rows(train[:wanted]).examples
    return replace(data, general=tuple(encoder.rows(held_out).examples))


def _conversation(row: DialogueRow) -> tuple[object, ...]:
    return (row.persona, row.messages)


def _notes(data: SftData, settings: TrainSettings, seen: Probe) -> list[str]:
    both = (data.train, data.validation)
    notes = [f"Time is estimated from one forward and backward pass of {seen.tokens} tokens, padding counted."]
    if split := sum(each.split_rows for each in both):
        notes.append(
            f"{split} conversations became several examples: the model's template shows older replies in another "
            "way than the last, so each is learnt where it is the last."
        )
    if openings := sum(each.openings for each in both):
        notes.append(f"{openings} replies open their conversation; they are read but not learnt.")
    if settings.method == "bitfit":
        notes.append("The base has no biases of its own to train; PEFT's BEFT adds them to the value projections.")
    return notes


# --- measuring ----------------------------------------------------------------------------------


def _measured(text: TextBase, settings: TrainSettings, data: SftData, device: str) -> tuple[Any, Probe]:
    """The model with its method, and what a few rows of middle length take."""
    precision = precision_of(settings.dtype, device)
    use_threads(device)
    with quiet():
        transformers.set_seed(settings.seed)
        model = apply_method(
            load_weights(text, cast(Any, settings.method), precision),
            cast(Any, settings.method),
            settings,
            settings.max_steps,
            opening=text.opening,
        )
    ordered = sorted(data.train.examples, key=lambda each: each.tokens)
    middle = len(ordered) // 2
    rows = ordered[max(0, middle - _PROBED_ROWS // 2) : middle + (_PROBED_ROWS + 1) // 2]
    batch = Collator(text.pad_id)([{"input_ids": each.ids, "labels": each.labels} for each in rows])
    probe(model, {name: tensor[:1] for name, tensor in batch.items()}, precision, device)  # the first is slow
    return model, probe(model, batch, precision, device)


def with_micro_batch(
    settings: TrainSettings, data: SftData, seen: Probe, device: str
) -> tuple[TrainSettings, list[str]]:
    """As many rows at once as are useful and fit into what is free now, and whether to calculate activations twice."""
    longest = max(data.lengths)
    room = int(free_bytes(device) * _FREE_SHARE)
    most = settings.micro_batch or useful_rows(device, longest, _CPU_MICRO_BATCH, _GPU_MICRO_BATCH)
    fitting = next((rows for rows in range(most, 0, -1) if seen.bytes_for(rows * longest) <= room), 0)
    size = settings.micro_batch or smallest(max(fitting, 1))
    size = spread(settings.batch_size, size, process_count()).micro_batch
    notes = []
    if fitting == 0:
        notes.append("Memory is scarce: activations are calculated twice instead of being kept, which takes longer.")
    return replace(settings, micro_batch=size, is_checkpointed=fitting == 0), notes


def estimated_s(settings: TrainSettings, data: SftData, seen: Probe, batching: Batching) -> float:
    """Steps by their tokens; validation is a forward pass, about a third of a step."""
    per_token = seen.seconds / max(1, seen.tokens) / batching.processes
    lengths = data.lengths
    learning = settings.max_steps * settings.batch_size * sum(lengths) / len(lengths) * per_token
    once = sum(each.tokens for each in data.validation.examples) * per_token / 3
    return learning + once * (1 + settings.max_steps / settings.evaluate_every)


# --- training -----------------------------------------------------------------------------------


def use_threads(device: str) -> None:
    """As many threads as are worth starting, shared by the processes of this machine."""
    if device == "cpu":
        import torch

        torch.set_num_threads(max(1, usable_threads() // process_count()))


def _trainer(text: TextBase, plan: LoopPlan, batching: Batching, data: SftData) -> DialogueSft:
    settings, method = plan.settings, cast(Any, plan.settings.method)
    use_threads(plan.device)
    model = apply_method(load_weights(text, method, plan.precision), method, settings, plan.steps, opening=text.opening)
    arguments = training_arguments(
        SFTConfig,
        plan,
        batching,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        gradient_checkpointing=settings.is_checkpointed,
    )
    trainer = DialogueSft(
        model=model,
        args=arguments,
        data_collator=Collator(text.pad_id),
        train_dataset=dataset_of(data.train.examples),
        eval_dataset=dataset_of(data.validation.examples) if data.validation.examples else None,
        processing_class=text.tokenizer,
    )
    trainer.held_out = {"loss": data.validation.examples} if data.validation.examples else {}
    if trainer.held_out and data.general:
        trainer.held_out = {**trainer.held_out, "general_loss": data.general}
    if method == "adalora":
        trainer.add_callback(AdaLoraSteps())
    return trainer
