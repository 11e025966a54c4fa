"""Finetuning of an OpenCLIP model on pictures and their captions."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file

from mmchat.engines.device import resolve_device
from mmchat.engines.image_io import open_image
from mmchat.errors import DataError, WeightsError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import CaptionRow, RowFile
from mmchat.train.base import BaseModel, MethodName, OnEvent, Preparation, Span, TrainNotice, TrainResult, TrainSettings
from mmchat.train.bases import precision_of
from mmchat.train.contrastive_trainer import ContrastiveTrainer, Draw, PictureCollator, Pictures, symmetric_loss
from mmchat.train.curves import require_logger
from mmchat.train.features import FeatureCache, feature_key
from mmchat.train.loop import LoopPlan, last_checkpoint, run_loop, training_arguments
from mmchat.train.order import Batching, row_order
from mmchat.train.record import FEATURES, WEIGHTS, require_same, write_settings
from mmchat.train.splits import split_rows
from mmchat.train.towers import CaptionMethod, Towers, embed_pictures, open_towers, save_towers

LEARNING_RATES: dict[str, float] = {"last-layers": 1e-3, "full": 1e-4}
DEFAULTS: dict[str, float] = {
    "epochs": 24.0,
    "batch_size": 256,
    "weight_decay": 0.1,
    "dropout": 0.5,
    "last_layers": 0,
    "patience": 4,
}
"""Found on 250 photos held out of 1,500 with five captions each, on features of the whole text tower frozen."""
_CHUNK = 32
_PROBED_ROWS = 8
_MIN_ROWS = 10
_VALIDATIONS = 10


@dataclass(frozen=True, slots=True)
class _Data:
    train: tuple[CaptionRow, ...]
    held_out: tuple[CaptionRow, ...]


class CaptionTrainer:
    """Contrastive finetuning. Keeps `train.base.Trainer`."""

    task = "caption"
    row_kind = "caption"
    model_kind = "vision"
    methods: tuple[MethodName, ...] = ("last-layers", "full")

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and measure; see `train.base.Trainer`."""
        settings = _with_defaults(settings)
        data = _split(files, settings)
        settings = _with_steps(settings, len(data.train))
        require_logger(settings.log_to)
        device = resolve_device("auto")
        towers = open_towers(base, settings.dropout, device)
        towers.choose(_method(settings), settings.last_layers)
        seconds = _measured(towers, data, settings)
        counts = [len(row.captions) for row in (*data.train, *data.held_out)]
        learns = sum(each.numel() for each in towers.model.parameters() if each.requires_grad)
        learns += _projection_size(towers, settings)
        first = data.train[0]
        return Preparation(
            task="caption",
            method=cast(Any, settings.method),
            settings=settings,
            rows=sum(len(each.rows) for each in files),
            train_rows=len(data.train),
            validation_rows=len(data.held_out),
            skipped=tuple(str(problem) for each in files for problem in each.problems),
            example=(Span(f"[{first.image_path.name}] ", False), *(Span(f"{each}\n", True) for each in first.captions)),
            trainable_parameters=learns,
            all_parameters=sum(each.numel() for each in towers.model.parameters()),
            steps=settings.max_steps,
            estimated_s=seconds,
            notes=(f"{sum(counts):,} captions, {min(counts)} to {max(counts)} of each picture.", *_notes(settings)),
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
        """Train into `folder`; see `train.base.Trainer`. Cached features are gone on with, too."""
        settings = preparation.settings
        if should_resume:
            require_same(folder, preparation, files, base)
        started = time.monotonic()
        write_settings(folder, preparation, files, base)
        data, device = _split(files, settings), resolve_device("auto")
        pictures = _pictures(data, settings, base, folder, cancel, on_event)
        if pictures is None:
            return _nothing_yet(preparation, folder, time.monotonic() - started)
        learnt, held_out = pictures
        plan = _plan(folder, settings, len(data.train), device)
        draws = _draws(data.train, plan)

        def build(batching: Batching) -> ContrastiveTrainer:
            return _trainer(plan, batching, base, learnt, held_out, draws)

        # Every example is a draw of its own, read once and in order.
        outcome = run_loop(
            build,
            replace(plan, order=tuple(range(len(draws)))),
            on_event,
            cancel,
            # Cut off while the pictures were looked at, there is no step to go on from, but their features are there.
            should_resume=should_resume and last_checkpoint(folder) is not None,
        )
        if outcome.status != "interrupted":
            for note in _save(outcome.best_checkpoint, plan, base, learnt):
                on_event(TrainNotice(note))
        return outcome.result(folder, preparation, elapsed_s=time.monotonic() - started)


# --- settings and rows --------------------------------------------------------------------------


def _method(settings: TrainSettings) -> CaptionMethod:
    return cast(CaptionMethod, settings.method)


def _with_defaults(settings: TrainSettings) -> TrainSettings:
    method = settings.method or "last-layers"
    settings = settings.suited(**(DEFAULTS if method == "last-layers" else {**DEFAULTS, "batch_size": 64}))
    return replace(settings, method=method, learning_rate=settings.learning_rate or LEARNING_RATES[method])


def _with_steps(settings: TrainSettings, rows: int) -> TrainSettings:
    batch_size = min(settings.batch_size, rows)
    steps = settings.steps_for(rows, batch_size)
    every = settings.evaluate_every or max(1, math.ceil(steps / _VALIDATIONS))
    return replace(
        settings, batch_size=batch_size, micro_batch=batch_size, max_steps=steps, evaluate_every=min(every, steps)
    )


def _split(files: Sequence[RowFile], settings: TrainSettings) -> _Data:
    rows = [row for each in files for row in each.rows if isinstance(row, CaptionRow)]
    if settings.validation:
        file = read_rows(Path(settings.validation), should_skip_bad=settings.should_skip_bad)
        if file.kind != "caption":
            raise DataError(
                f"{file.path} holds {file.kind} rows, and the training is of pictures with captions.",
                hint="Give --validation a file of such rows.",
            )
        train, held_out = rows, [row for row in file.rows if isinstance(row, CaptionRow)]
    else:
        train, held_out = split_rows(
            rows, settings.validation_share, settings.seed, same=lambda row: row.image_path.resolve()
        )
    if len(train) < _MIN_ROWS or len(held_out) < 2:
        raise DataError(
            f"There are {len(train)} pictures to learn from and {len(held_out)} to validate on; "
            f"{_MIN_ROWS} and 2 are the least.",
            hint="Each picture learns by being told from the others: give more rows.",
        )
    return _Data(tuple(train), tuple(held_out))


def _notes(settings: TrainSettings) -> list[str]:
    if settings.method == "full":
        return ["Both towers are trained on the pixels of every picture in every epoch: this takes long without a GPU."]
    layers = f"last map and {settings.last_layers} layers learn." if settings.last_layers else "last map learns."
    return [
        "The image tower is frozen below its last linear map: each picture is seen twice (once mirrored), and its "
        f"features are kept. Of the text tower the {layers}"
    ]


# --- measuring ----------------------------------------------------------------------------------


def _projection_size(towers: Towers, settings: TrainSettings) -> int:
    head = getattr(getattr(towers.reader.network.visual, "head", None), "proj", None)
    if settings.method != "last-layers" or head is None:
        return 0
    return sum(each.numel() for each in head.parameters() if not each.requires_grad)


def _measured(towers: Towers, data: _Data, settings: TrainSettings) -> float:
    """Seconds of the whole training, from one small batch."""
    rows = data.train[:_PROBED_ROWS]
    pixels = towers.reader.pixels([open_image(row.image_path) for row in rows])
    tokens = towers.reader.tokens([row.captions[0] for row in rows])
    is_cached = settings.method == "last-layers"
    features = torch.from_numpy(embed_pictures(towers, pixels, is_flipped=False))  # the first pass is slow
    started = time.perf_counter()
    if is_cached:
        features = torch.from_numpy(embed_pictures(towers, pixels, is_flipped=True))
    seeing_s = (time.perf_counter() - started) / len(rows)
    towers.set_mode(is_training=True)
    durations = []
    for _ in range(2):
        started = time.perf_counter()
        images, texts, scale = towers(tokens, features if is_cached else None, None if is_cached else pixels)
        symmetric_loss(images, texts, scale, torch.arange(len(rows))).backward()  # type: ignore[no-untyped-call]
        durations.append(time.perf_counter() - started)
    towers.zero_grad()
    step_s = min(durations) * settings.batch_size / len(rows)
    views = 2 * len(data.train) + len(data.held_out) if is_cached else 0
    validation_s = step_s / 3 * len(data.held_out) / settings.batch_size * min(map(lambda r: len(r.captions), rows))
    return views * seeing_s + settings.max_steps * step_s + _VALIDATIONS * validation_s


# --- features and examples ------------------------------------------------------------------------


def _pictures(
    data: _Data, settings: TrainSettings, base: BaseModel, folder: Path, cancel: Event, on_event: OnEvent
) -> tuple[Pictures, Pictures] | None:
    """To learn from, and held out; None when cancelled."""
    if settings.method == "full":
        return _plain(data.train), _plain(data.held_out)
    towers = open_towers(base, 0.0, resolve_device("auto"))
    towers.set_mode(is_training=False)
    towers.model.visual.to(memory_format=torch.channels_last)  # 2.5 times as fast on a CPU
    on_event(TrainNotice(f"Looking at {len(data.train) + len(data.held_out):,} pictures."))
    found = []
    for name, rows, views in (("train", data.train, 2), ("held-out", data.held_out, 1)):
        seen = [_features(f"{name}-{view}", rows, towers, base, folder, cancel, view == 1) for view in range(views)]
        if any(each is None for each in seen):
            return None
        found.append(replace(_plain(rows), features=np.stack([each for each in seen if each is not None])))
    return found[0], found[1]


def _features(
    name: str, rows: Sequence[CaptionRow], towers: Towers, base: BaseModel, folder: Path, cancel: Event, flip: bool
) -> NDArray[np.float32] | None:
    def compute(piece: range) -> NDArray[np.float32]:
        pixels = towers.reader.pixels([open_image(rows[index].image_path) for index in piece])
        return embed_pictures(towers, pixels, is_flipped=flip)

    stamps = [f"{row.image_path}|{row.image_path.stat().st_mtime_ns}" for row in rows]
    key = feature_key([str(base.path), str(flip), *stamps])
    return FeatureCache(folder / FEATURES).rows(name, key, len(rows), compute, cancel, chunk=_CHUNK)


def _plain(rows: Sequence[CaptionRow]) -> Pictures:
    return Pictures(tuple(row.image_path for row in rows), tuple(row.captions for row in rows), None)


class _Ones(Sequence[int]):
    """Every row counts once."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: Any) -> Any:
        return 1


def _plan(folder: Path, settings: TrainSettings, rows: int, device: str) -> LoopPlan:
    return LoopPlan(
        folder=folder,
        settings=settings,
        steps=settings.max_steps,
        order=row_order([1] * rows, settings.batch_size, settings.max_steps, settings.seed),
        sizes=_Ones(rows),
        batching=Batching(settings.micro_batch, settings.batch_size // settings.micro_batch),
        has_validation=True,
        device=device,
        precision=cast(Any, precision_of(settings.dtype, device)),
    )


def _draws(rows: Sequence[CaptionRow], plan: LoopPlan) -> list[Draw]:
    """Every example of the training, decided before the first step: each time another caption, at times mirrored."""
    chance = random.Random(plan.settings.seed)
    return [Draw(row, chance.randrange(len(rows[row].captions)), chance.random() < 0.5) for row in plan.order]


# --- training -----------------------------------------------------------------------------------


def _open(plan: LoopPlan, base: BaseModel, learnt: Pictures) -> Towers:
    towers = open_towers(base, plan.settings.dropout, plan.device)
    towers.choose(_method(plan.settings), plan.settings.last_layers)
    if learnt.features is not None:
        towers.open_projection(torch.from_numpy(learnt.features[0]).to(plan.device))
    return towers


def _trainer(
    plan: LoopPlan, batching: Batching, base: BaseModel, learnt: Pictures, held_out: Pictures, draws: list[Draw]
) -> ContrastiveTrainer:
    towers = _open(plan, base, learnt)
    text_rate = 1.0
    if learnt.features is not None:
        towers.soften()
        text_rate = towers.settle_text([captions[0] for captions in learnt.captions[:64]])
    trainer = ContrastiveTrainer(
        model=towers,
        args=training_arguments(transformers.TrainingArguments, plan, batching),
        data_collator=PictureCollator(towers, learnt),
        train_dataset=cast(Any, draws),
        eval_dataset=cast(Any, draws[:1]),
    )
    trainer.pictures = held_out
    trainer.text_rate = text_rate
    return trainer


def _save(checkpoint: Path, plan: LoopPlan, base: BaseModel, learnt: Pictures) -> tuple[str, ...]:
    """Write `weights/` from the best checkpoint."""
    towers = _open(plan, base, learnt)
    state = load_file(checkpoint / "model.safetensors")
    missing, unknown = towers.load_state_dict(state, strict=False)
    if missing or unknown:
        raise WeightsError(
            f"{checkpoint} does not fit the model: {', '.join((*missing, *unknown)[:3])}.",
            hint="Train again under another name.",
        )
    towers.close_projection()
    features = None if learnt.features is None else torch.from_numpy(learnt.features[0])
    return save_towers(towers, base, plan.folder / WEIGHTS, features)


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
