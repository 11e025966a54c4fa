"""Learning from preferences: better and worse replies, or replies that were liked or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from trl.trainer.dpo_config import DPOConfig
from trl.trainer.kto_config import KTOConfig

from mmchat.engines.device import resolve_device
from mmchat.errors import DeviceError
from mmchat.rows.values import RowFile
from mmchat.train.base import (
    BaseModel,
    MethodName,
    OnEvent,
    Preparation,
    TrainEvent,
    TrainResult,
    TrainSettings,
    TrainValidated,
)
from mmchat.train.bases import TextBase, load_weights
from mmchat.train.curves import require_logger
from mmchat.train.loop import LoopPlan, plan_for, run_loop, training_arguments
from mmchat.train.methods import METHODS as METHOD_DETAILS
from mmchat.train.methods import apply_method, count_parameters, require_method
from mmchat.train.order import Batching
from mmchat.train.preference_rows import collator_for, dataset_of, spans_of
from mmchat.train.preference_setup import (
    LEARNING_RATES,
    PreferenceData,
    encoded,
    estimated_s,
    measured,
    method_of,
    micro_tokens,
    notes_on,
    open_decoder,
    with_method,
    with_micro_batch,
    with_steps,
)
from mmchat.train.preference_trl import Pairs, Prepared, Thumbs
from mmchat.train.processes import is_main_process
from mmchat.train.record import keep_best, require_same, write_settings
from mmchat.train.sft import use_threads

_MEASURES = ("reward_accuracy", "reward_margin", "reward_good", "reward_bad")


class PreferenceTrainer:
    """Finetuning of language models on what was preferred."""

    task = "preference"
    row_kind = "preference"
    model_kind = "lm"
    methods: tuple[MethodName, ...] = tuple(LEARNING_RATES)

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and measure; see `train.base.Trainer`."""
        text = open_decoder(base)
        device = resolve_device("auto")
        settings = with_method(settings, text)
        data = encoded(files, settings, text)
        settings = with_steps(settings, data)
        require_method(method_of(settings), text.config, device, settings, settings.max_steps)
        require_logger(settings.log_to)
        model, seen = measured(text, settings, data, device)
        learns, everything = count_parameters(model)
        reference_bytes = 0 if METHOD_DETAILS[method_of(settings)].is_adapter else 4 * everything
        settings, notes = with_micro_batch(settings, data, seen, reference_bytes, device)
        examples = [*data.train, *data.validation]
        both = data.encoded
        return Preparation(
            task="preference",
            method=method_of(settings),
            settings=settings,
            rows=sum(len(each.rows) for each in files),
            train_rows=data.train_rows,
            validation_rows=len(data.held_out),
            skipped=tuple(str(problem) for each in files for problem in each.problems),
            dropped=tuple(reason for each in both for reason in each.dropped),
            cut_rows=sum(each.cut_rows for each in both),
            cut_turns=sum(each.cut_turns for each in both),
            tokens=sum(each.tokens for each in examples),
            supervised_tokens=sum(each.supervised for each in examples),
            lengths=tuple(each.length for each in examples),
            example=spans_of(data.train[0], text.tokenizer),
            trainable_parameters=learns,
            all_parameters=everything,
            steps=settings.max_steps,
            estimated_s=estimated_s(settings, data, seen),
            estimated_bytes=seen.bytes_for(micro_tokens(data, settings.micro_batch)) + reference_bytes,
            notes=(*notes_on(data), *notes),
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
        text = open_decoder(base)
        data = encoded(files, settings, text)
        plan = plan_for(folder, settings, data.lengths, has_validation=bool(data.validation))
        if is_main_process():
            write_settings(folder, preparation, files, base)
        outcome = run_loop(
            lambda batching: _trainer(text, plan, batching, data),
            plan,
            _readable(on_event),
            cancel,
            should_resume=should_resume,
        )
        if is_main_process():
            keep_best(outcome.best_checkpoint, folder, is_adapter=METHOD_DETAILS[method_of(settings)].is_adapter)
        return outcome.result(folder, preparation)


# --- training -----------------------------------------------------------------------------------


def _trainer(text: TextBase, plan: LoopPlan, batching: Batching, data: PreferenceData) -> Prepared:
    settings, method = plan.settings, method_of(plan.settings)
    if data.loss == "thumbs" and batching.micro_batch == 1:
        raise DeviceError(
            "There is not enough memory to train with 2 rows at once, the fewest that KTO can compare.",
            hint="Give a smaller --max-length or a smaller base.",
        )
    use_threads(plan.device)
    model = apply_method(load_weights(text, method, plan.precision), method, settings, plan.steps, opening=text.opening)
    is_adapter = METHOD_DETAILS[method].is_adapter
    if text.tokenizer.pad_token is None:
        text.tokenizer.pad_token = text.tokenizer.eos_token  # behind the rows; masked
    kind, arguments = (Pairs, _pair_arguments) if data.loss == "pairs" else (Thumbs, _thumb_arguments)
    return kind(
        model=model,
        ref_model=None if is_adapter else load_weights(text, method, plan.precision).requires_grad_(False),
        args=arguments(plan, batching, data),
        data_collator=collator_for(data.loss, text.pad_id, settings.max_length),
        train_dataset=dataset_of(data.train),
        eval_dataset=dataset_of(data.validation) if data.validation else None,
        processing_class=text.tokenizer,
    )


def _pair_arguments(plan: LoopPlan, batching: Batching, data: PreferenceData) -> DPOConfig:
    return training_arguments(DPOConfig, plan, batching, **_common(plan))


def _thumb_arguments(plan: LoopPlan, batching: Batching, data: PreferenceData) -> KTOConfig:
    """Both sorts count the same in all: Ethayarajh et al. 2024, equation 8, asks for a ratio of 1 to 4/3."""
    good, bad = data.good_and_bad
    half = (good + bad) / 2
    held_out = len(data.validation)
    # No row may be validated alone, without a neighbour.
    sizes = range(batching.micro_batch, max(batching.micro_batch, held_out) + 1)
    eval_batch = next((size for size in sizes if held_out % size != 1), batching.micro_batch)
    return training_arguments(
        KTOConfig,
        plan,
        batching,
        **_common(plan),
        loss_type="kto" if data.loss == "thumbs" else "apo_zero_unpaired",
        desirable_weight=half / good if data.loss == "thumbs" else 1.0,
        undesirable_weight=half / bad if data.loss == "thumbs" else 1.0,
        per_device_eval_batch_size=eval_batch,
    )


def _common(plan: LoopPlan) -> dict[str, Any]:
    return {
        "beta": plan.settings.preference_beta,
        "max_length": None,
        "gradient_checkpointing": plan.settings.is_checkpointed,
        "disable_dropout": True,  # the reference has none either, and the two are compared
        "prediction_loss_only": True,
    }


def _readable(on_event: OnEvent) -> Callable[[TrainEvent], None]:
    """Of what a validation measures, what means something to a user."""

    def tell(event: TrainEvent) -> None:
        if isinstance(event, TrainValidated):
            kept = {name: event.metrics[name] for name in _MEASURES if name in event.metrics}
            if event.step == 0:  # nothing has gained anything yet: no pair is right or wrong
                kept.pop("reward_accuracy", None)
            event = replace(event, metrics=kept)
        on_event(event)

    return tell
