"""Teaching a language model for words to see: a projector from an image tower's patches into its prompt.

The image tower is frozen and looks at each picture once. The language model is frozen too, or learns by LoRA beside the
projector.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

from mmchat.adapter_files import CONFIG_NAME as ADAPTER_CONFIG
from mmchat.adapter_files import WEIGHTS_NAME as ADAPTER_WEIGHTS
from mmchat.engines.device import resolve_device
from mmchat.engines.lm_projector import PictureFormat, PictureNumbers, first_place
from mmchat.engines.projector import CONFIG_NAME, WEIGHTS_NAME, ProjectorSizes
from mmchat.errors import DataError, UsageError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import CaptionRow, DialogueRow, RowFile
from mmchat.train.base import (
    PICTURE_METHODS,
    BaseModel,
    MethodName,
    OnEvent,
    Preparation,
    TrainNotice,
    TrainResult,
    TrainSettings,
)
from mmchat.train.bases import TextBase, open_base
from mmchat.train.curves import require_logger
from mmchat.train.loop import last_checkpoint, plan_for, run_loop
from mmchat.train.methods import METHODS, count_parameters
from mmchat.train.order import Batching, spread
from mmchat.train.processes import is_main_process, process_count, smallest
from mmchat.train.projector_model import (
    GRID,
    HIDDEN,
    PictureData,
    kept_patches,
    measured,
    open_trainer,
    tower_sizes,
    width_of,
)
from mmchat.train.projector_rows import PictureRow, encode_rows, example_spans
from mmchat.train.projector_sft import ProjectorSft
from mmchat.train.record import ADAPTER, PROJECTOR, require_same, write_settings
from mmchat.train.samples import DialogueEncoder
from mmchat.train.sft import estimated_s, with_micro_batch
from mmchat.train.splits import split_rows

DEFAULTS: dict[str, float] = {"epochs": 2.0, "batch_size": 8, "weight_decay": 0.1, "dropout": 0.2}
_VALIDATIONS = 6
_VALIDATED_CAPTIONS = 1
"""Of each held-out picture; the others only take time."""
_MIN_PICTURES = 4


class ProjectorTrainer:
    """A projector, and with `projector-lora` an adapter of the language model beside it."""

    task = "picture"
    row_kind = "caption"
    model_kind = "lm"
    methods: tuple[MethodName, ...] = PICTURE_METHODS

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and measure; see `train.base.Trainer`."""
        text = _open(base)
        settings = _with_defaults(settings, text)
        device = resolve_device("auto")
        data = _encoded(files, settings, text)
        settings = _with_steps(settings, len(data.train.examples))
        require_logger(settings.log_to)
        sizes, seeing_s = tower_sizes(data, base, text)
        model, seen = measured(text, settings, data, sizes, device)
        settings, notes = with_micro_batch(settings, data, seen, device)
        learns, everything = count_parameters(model)
        batching = spread(settings.batch_size, settings.micro_batch, process_count())
        examples = [*data.train.examples, *data.validation.examples]
        return Preparation(
            task="picture",
            method=_method(settings),
            settings=settings,
            rows=sum(len(each.rows) for each in files),
            train_rows=data.train_rows,
            validation_rows=len(data.held_out),
            skipped=tuple(str(problem) for each in files for problem in each.problems),
            dropped=(*data.train.dropped, *data.validation.dropped),
            cut_rows=data.train.cut_rows + data.validation.cut_rows,
            cut_turns=data.train.cut_turns + data.validation.cut_turns,
            tokens=sum(each.tokens for each in examples),
            supervised_tokens=sum(each.supervised for each in examples),
            lengths=tuple(each.tokens for each in examples),
            example=example_spans(data.train.examples[0], text.tokenizer, first_place(text.config, text.tokenizer)),
            trainable_parameters=learns,
            all_parameters=everything,
            steps=settings.max_steps,
            estimated_s=estimated_s(settings, data, seen, batching) + seeing_s * len(data.pictures),
            estimated_bytes=seen.bytes_for(batching.micro_batch * max(data.lengths)),
            notes=(*notes, *_notes(data, sizes, seeing_s)),
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
        """Train into `folder`; see `train.base.Trainer`. Features that are kept are not looked for again."""
        settings = preparation.settings
        if should_resume:
            require_same(folder, preparation, files, base)
        started = time.monotonic()
        text = _open(base)
        data = _encoded(files, settings, text)
        if is_main_process():
            write_settings(folder, preparation, files, base)
            on_event(TrainNotice(f"Looking at {len(data.pictures):,} pictures."))
            kept_patches(data, base, folder, cancel)
        smallest(0)  # the others wait for the file
        patches = kept_patches(data, base, folder, cancel)
        if patches is None:
            return _nothing_yet(preparation, folder, time.monotonic() - started)
        plan = plan_for(folder, settings, data.lengths, has_validation=bool(data.validation.examples))
        sizes = ProjectorSizes(patches.shape[2], GRID, width_of(text), HIDDEN, base.helper_names.get("vision", ""))

        def build(batching: Batching) -> ProjectorSft:
            return open_trainer(text, plan, batching, data, sizes, patches)

        outcome = run_loop(
            build,
            plan,
            on_event,
            cancel,
            # Cut off while the pictures were looked at, there is no step to go on from, but their features are there.
            should_resume=should_resume and last_checkpoint(folder) is not None,
        )
        if is_main_process():
            _keep_best(outcome.best_checkpoint, folder)
        return outcome.result(folder, preparation, elapsed_s=time.monotonic() - started)


# --- settings and rows --------------------------------------------------------------------------


def _method(settings: TrainSettings) -> MethodName:
    assert settings.method
    return settings.method


def _open(base: BaseModel) -> TextBase:
    text = open_base(base)
    if text.is_seq2seq or not text.tokenizer.chat_template:
        kind = "is an encoder–decoder" if text.is_seq2seq else "has no chat template"
        raise UsageError(
            f"'{base.name}' {kind}, so there is no place in its prompt for a picture.",
            hint="Choose a decoder that talks, such as smollm2-135m.",
        )
    return text


def _with_defaults(settings: TrainSettings, text: TextBase) -> TrainSettings:
    settings = settings.suited(**DEFAULTS)
    method = settings.method or PICTURE_METHODS[0]
    context = text.base.context_tokens or settings.max_length
    return replace(
        settings,
        method=method,
        learning_rate=settings.learning_rate or METHODS[method].learning_rate,
        max_length=min(settings.max_length, context),
    )


def _with_steps(settings: TrainSettings, examples: int) -> TrainSettings:
    if settings.replay_share:
        raise UsageError(
            f"--replay is not for the method '{settings.method}'.",
            hint="Leave it out: what was forgotten of words alone is measured after the training.",
        )
    spread(settings.batch_size, 1, process_count())  # complains where the processes cannot share a batch
    steps = settings.steps_for(examples)
    return replace(
        settings, max_steps=steps, evaluate_every=settings.evaluate_every or max(1, math.ceil(steps / _VALIDATIONS))
    )


def _encoded(files: Sequence[RowFile], settings: TrainSettings, text: TextBase) -> PictureData:
    rows = _picture_rows(row for each in files for row in each.rows)
    if settings.validation:
        file = read_rows(Path(settings.validation), should_skip_bad=settings.should_skip_bad)
        train, held_out = rows, _picture_rows(file.rows)
        if not held_out:
            raise DataError(
                f"{file.path} holds {file.kind} rows, and the training is of captions and dialogue.",
                hint="Give --validation a file of such rows.",
            )
    else:
        train, held_out = split_rows(rows, settings.validation_share, settings.seed, same=_sameness)
    numbers = PictureNumbers(first_place(text.config, text.tokenizer), GRID * GRID)
    encoder = DialogueEncoder(
        PictureFormat(text.tokenizer, numbers, is_thinking=False, end_ids=text.end_ids),
        settings.max_length,
        tell=text.base.tell,
    )
    learnt = encode_rows(train, encoder)
    watched = encode_rows(held_out, encoder, _VALIDATED_CAPTIONS)
    if len(numbers.paths) < _MIN_PICTURES:
        raise DataError(
            f"There are {len(numbers.paths)} pictures in these rows; {_MIN_PICTURES} are the least to learn from.",
            hint="Give rows with pictures: captions, or dialogue with parts of the type image.",
        )
    return PictureData(learnt, watched, len(train), tuple(held_out), pictures=numbers.paths)


def _picture_rows(rows: Iterable[object]) -> list[PictureRow]:
    return [row for row in rows if isinstance(row, CaptionRow | DialogueRow)]


def _sameness(row: PictureRow) -> object:
    """Rows about one picture are never on both sides."""
    if isinstance(row, CaptionRow):
        return row.image_path.resolve()
    seen = [part.path.resolve() for message in row.messages for part in message.files if part.path is not None]
    return seen[0] if seen else (row.persona, row.messages)


def _notes(data: PictureData, sizes: ProjectorSizes, seeing_s: float) -> list[str]:
    looking = f"{len(data.pictures):,} pictures are looked at once, {1000 * seeing_s:.0f} ms each, by '{sizes.vision}'"
    return [
        f"{looking}; each takes {sizes.places} places of the prompt.",
        "Captions of one picture are learnt together, as several answers to one question about it.",
    ]


# --- the result -------------------------------------------------------------------------------------


def _keep_best(checkpoint: Path, folder: Path) -> None:
    """Copy what learnt to where the result is looked for."""
    for target, names in ((PROJECTOR, (CONFIG_NAME, WEIGHTS_NAME)), (ADAPTER, (ADAPTER_CONFIG, ADAPTER_WEIGHTS))):
        found = [checkpoint / name for name in names if (checkpoint / name).is_file()]
        if not found:
            continue
        draft = folder / f"{target}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for path in found:
            shutil.copy2(path, draft / path.name)
        shutil.rmtree(folder / target, ignore_errors=True)
        draft.replace(folder / target)


def _nothing_yet(preparation: Preparation, folder: Path, elapsed_s: float) -> TrainResult:
    """Cancelled while the pictures were looked at; what was seen is kept."""
    return TrainResult(
        folder=folder,
        status="interrupted",
        steps=0,
        best_step=0,
        first_validation_loss=None,
        best_validation_loss=None,
        losses=(),
        trainable_parameters=preparation.trainable_parameters,
        all_parameters=preparation.all_parameters,
        elapsed_s=elapsed_s,
        seconds_per_step=0.0,
    )
