"""Training of classification heads on texts, pictures or both, over frozen encoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from mmchat.domain import EngineSpec
from mmchat.engines.base import ImageReader, TextEmbedder
from mmchat.engines.head_files import Encoder, HeadConfig, HeadShape
from mmchat.engines.head_fused import Features, embed_views, encoder_checksum, save_head
from mmchat.engines.head_grams import Grams
from mmchat.engines.head_network import HeadNetwork
from mmchat.engines.image_io import open_image
from mmchat.engines.registry import load_engine
from mmchat.errors import UsageError
from mmchat.rows.values import LabelRow, RowFile
from mmchat.train.base import (
    BaseModel,
    MethodName,
    OnEvent,
    Preparation,
    Span,
    TrainNotice,
    TrainResult,
    TrainSettings,
    TrainStepped,
    TrainValidated,
)
from mmchat.train.curves import curves, require_logger
from mmchat.train.features import FeatureCache, feature_key
from mmchat.train.head_fit import DENSE_RATE, Fitted, HeadData, HeadScore, HeadStep, fit_head
from mmchat.train.head_rows import LabelData, notes_on, require_fusion, split
from mmchat.train.record import FEATURES, WEIGHTS, require_same, write_settings

DEFAULTS: dict[str, float] = {"epochs": 60.0, "batch_size": 64, "dropout": 0.2, "patience": 5}
HIDDEN = 256
VIEWS = 5
_ENGINES: dict[Encoder, str] = {"embed": "ctranslate2", "vision": "open_clip"}
_TEXT_CHUNK, _IMAGE_CHUNK = 512, 32
_PROBED_TEXTS, _PROBED_IMAGES = 32, 2
_FIT_S_PER_ROW = 2e-5
"""Of one epoch, on one slow core: the fit itself is seconds, the encoders are what takes time."""


class LabelTrainer:
    """Classification heads. Keeps `train.base.Trainer`.

    What the encoders say is kept on disk; the head on top takes seconds, so a resumed training fits it from the
    beginning, with the same seed and thus the same losses.
    """

    task = "label"
    row_kind = "label"
    model_kind = "embed"
    methods: tuple[MethodName, ...] = ("last-layers",)

    def prepare(self, files: Sequence[RowFile], settings: TrainSettings, base: BaseModel) -> Preparation:
        """Check, count and measure; see `train.base.Trainer`."""
        settings = settings.suited(**DEFAULTS)
        settings = replace(settings, method="last-layers", learning_rate=settings.learning_rate or DENSE_RATE)
        require_logger(settings.log_to)
        data = split(files, settings)
        require_fusion(data, settings)
        # The last batch of an epoch may be small; it is a step all the same.
        steps = settings.steps_for(-(-len(data.train) // settings.batch_size), 1)
        encoders = _open_encoders(data, base)
        seconds = _measured(data, settings, encoders)
        columns = len(Grams.fit([row.text for row in data.train]).buckets) if data.has_text else 0
        network = HeadNetwork(_candidates(data, settings, encoders, columns)[0])
        for encoder in encoders.values():
            encoder.close()
        first = data.train[0]
        shown = f"[{first.image_path.name}] {first.text}" if first.image_path else first.text
        size = sum(each.numel() for each in network.parameters())
        return Preparation(
            task="label",
            method="last-layers",
            settings=settings,
            rows=sum(len(each.rows) for each in files),
            train_rows=len(data.train),
            validation_rows=len(data.held_out),
            skipped=tuple(str(problem) for each in files for problem in each.problems),
            example=(Span(f"{shown} → ", False), Span(first.label, True)),
            labels=data.labels,
            trainable_parameters=size,
            all_parameters=size,
            steps=steps,
            estimated_s=seconds,
            notes=notes_on(data),
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
        if should_resume:
            require_same(folder, preparation, files, base)
        started = time.monotonic()
        settings = preparation.settings
        write_settings(folder, preparation, files, base)
        data = split(files, settings)
        encoders = _open_encoders(data, base)
        found = _head_data(data, settings, encoders, folder, cancel, on_event)
        best: tuple[HeadShape, Fitted] | None = None
        if found is not None:
            with curves(settings.log_to, settings.name, folder, on_event) as tell:
                best = _fit_best(data, found, settings, encoders, tell, cancel)
        if best is not None:
            shape, fitted = best
            names: dict[Encoder, dict[str, str]] = {
                kind: {"name": encoder.name, "sha256": encoder_checksum(_path(kind, base))}
                for kind, encoder in encoders.items()
                if kind == "vision" or shape.text_width
            }
            config = HeadConfig(data.labels, shape, fitted.temperature, names, fitted.scope)
            kept = {kind: encoders[kind] for kind in names}
            assert found is not None
            save_head(folder / WEIGHTS, config, fitted.network, found.grams if shape.columns else None, kept)
        for encoder in encoders.values():
            encoder.close()
        return _result(preparation, folder, best[1] if best else None, time.monotonic() - started)


# --- encoders and features ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """What the encoders say, and the n-grams of the training texts."""

    data: HeadData
    grams: Grams | None


def _path(kind: Encoder, base: BaseModel) -> Path:
    if base.kind == kind:
        return base.path
    if kind not in base.helpers:
        raise UsageError(f"The rows need a model of kind {kind}, and none is at hand.", hint="mmchat models list")
    return base.helpers[kind]


def _open_encoders(data: LabelData, base: BaseModel) -> dict[Encoder, TextEmbedder | ImageReader]:
    kinds: list[Encoder] = []
    kinds += ["embed"] if data.has_text else []
    kinds += ["vision"] if data.has_image else []
    return {kind: load_engine(kind, _spec(kind, base)) for kind in kinds}


def _spec(kind: Encoder, base: BaseModel) -> EngineSpec:
    path = _path(kind, base)
    # Prepared weights lie in <name>/<engine>; a folder of the user's is called as he likes.
    name = base.name if base.kind == kind else path.parent.name if path.name == _ENGINES[kind] else path.name
    return EngineSpec(name=name, engine=_ENGINES[kind], path=path)


def _head_data(
    data: LabelData,
    settings: TrainSettings,
    encoders: dict[Encoder, TextEmbedder | ImageReader],
    folder: Path,
    cancel: Event,
    on_event: OnEvent,
) -> _Found | None:
    """None when cancelled."""
    grams = Grams.fit([row.text for row in data.train]) if data.has_text else None
    grams = None if grams is None or not len(grams.buckets) else grams
    cache = FeatureCache(folder / FEATURES)
    on_event(TrainNotice(f"Reading {len(data.train) + len(data.held_out):,} rows with the encoders."))
    parts = []
    for name, rows in (("train", data.train), ("held-out", data.held_out)):
        arrays: dict[Encoder, NDArray[np.float32]] = {}
        for kind, encoder in encoders.items():
            once, places = _distinct(kind, rows)
            compute, chunk = _computing(kind, encoder, once, _views(settings))
            found = cache.rows(f"{kind}-{name}", _key(kind, encoder, once, settings), len(once), compute, cancel,
                               chunk=chunk)  # fmt: skip
            if found is None:
                return None
            arrays[kind] = np.array(found)[places]
        text = torch.from_numpy(arrays["embed"]) if "embed" in arrays else None
        image = torch.from_numpy(arrays["vision"]) if "vision" in arrays else None
        parts.append(Features(text, image, None if grams is None else grams([row.text for row in rows])))
    numbers = {label: index for index, label in enumerate(data.labels)}
    wanted = [torch.tensor([numbers[row.label] for row in rows]) for rows in (data.train, data.held_out)]
    return _Found(HeadData(parts[0], wanted[0], parts[1], wanted[1], data.labels), grams)


def _distinct(kind: Encoder, rows: Sequence[LabelRow]) -> tuple[list[LabelRow], list[int]]:
    """A row for each text or picture, and which of them each row has: a picture may be asked about many times."""
    first: dict[str | Path | None, int] = {}
    once: list[LabelRow] = []
    places = []
    for row in rows:
        key = row.text if kind == "embed" else row.image_path
        if key not in first:
            first[key] = len(once)
            once.append(row)
        places.append(first[key])
    return once, places


def _views(settings: TrainSettings) -> int:
    return VIEWS if settings.fusion == "attention" else 1


def _key(kind: Encoder, encoder: Any, rows: Sequence[LabelRow], settings: TrainSettings) -> str:
    if kind == "embed":
        return feature_key([encoder.name, *(row.text for row in rows)])
    stamps = [f"{path}|{path.stat().st_mtime_ns}" for row in rows if (path := row.image_path) is not None]
    return feature_key([encoder.name, str(_views(settings)), *stamps])


def _computing(
    kind: Encoder, encoder: Any, rows: Sequence[LabelRow], views: int
) -> tuple[Callable[[range], NDArray[np.float32]], int]:
    def of_texts(piece: range) -> NDArray[np.float32]:
        return cast(TextEmbedder, encoder).embed([rows[index].text for index in piece])

    def of_images(piece: range) -> NDArray[np.float32]:
        paths = [path for index in piece if (path := rows[index].image_path) is not None]
        return embed_views(cast(ImageReader, encoder), [open_image(path) for path in paths], views)

    return (of_texts, _TEXT_CHUNK) if kind == "embed" else (of_images, _IMAGE_CHUNK)


def _measured(data: LabelData, settings: TrainSettings, encoders: dict[Encoder, Any]) -> float:
    """Seconds of the whole training: the encoders timed on a few rows, the fit by rule."""
    rows = (*data.train, *data.held_out)
    seconds = settings.epochs * len(rows) * _FIT_S_PER_ROW * 3
    for kind, encoder in encoders.items():
        count = min(len(rows), _PROBED_TEXTS if kind == "embed" else _PROBED_IMAGES)
        compute, _ = _computing(kind, encoder, rows, _views(settings))
        compute(range(1))  # the first is slow
        started = time.perf_counter()
        compute(range(count))
        seconds += (time.perf_counter() - started) / count * len(_distinct(kind, rows)[0])
    return seconds


# --- fitting ----------------------------------------------------------------------------------------


def _candidates(
    data: LabelData, settings: TrainSettings, encoders: dict[Encoder, Any], columns: int
) -> list[HeadShape]:
    """Heads to try, the largest first."""
    text = encoders["embed"].embedding_dim if data.has_text else 0
    image = encoders["vision"].embedding_dim if data.has_image else 0
    hidden = HIDDEN if text and image else 0
    whole = HeadShape(
        classes=len(data.labels),
        text_width=text,
        image_width=image,
        views=_views(settings),
        columns=columns,
        hidden=hidden,
        fusion=settings.fusion,
    )
    if not columns:
        return [whole]
    fewer = [replace(whole, columns=0)]
    if not image:
        fewer.append(replace(whole, text_width=0))
    return [whole, *fewer]


def _fit_best(
    data: LabelData,
    found: _Found,
    settings: TrainSettings,
    encoders: dict[Encoder, Any],
    on_event: OnEvent,
    cancel: Event,
) -> tuple[HeadShape, Fitted] | None:
    """Fit each candidate and keep the one with the least validation loss; None when cancelled."""
    columns = 0 if found.grams is None else len(found.grams.buckets)
    best: tuple[HeadShape, Fitted] | None = None
    for shape in _candidates(data, settings, encoders, columns):
        fitted = fit_head(shape, found.data, settings, _translator(on_event), cancel)
        if fitted is None:
            return None
        on_event(
            TrainNotice(
                f"{_words(shape)}: {100 * fitted.accuracy:.1f}% of the held-out rows are right, "
                f"loss {fitted.best_loss:.3f}."
            )
        )
        if best is None or fitted.best_loss < best[1].best_loss:
            best = (shape, fitted)
    return best


def _words(shape: HeadShape) -> str:
    parts = [
        name
        for name, has in (
            ("sentence vectors", shape.text_width),
            ("character n-grams", shape.columns),
            ("picture vectors", shape.image_width),
        )
        if has
    ]
    return " + ".join(parts).capitalize()


def _translator(on_event: OnEvent) -> Callable[[HeadStep | HeadScore], None]:
    def tell(event: HeadStep | HeadScore) -> None:
        if isinstance(event, HeadScore):
            on_event(TrainValidated(event.step, event.loss, event.is_best, {"accuracy": event.accuracy}))
            return
        on_event(
            TrainStepped(
                step=event.step,
                steps=event.steps,
                epoch=event.epoch,
                loss=event.loss,
                learning_rate=event.learning_rate,
                grad_norm=event.grad_norm,
                tokens_per_s=event.rows_per_s,
                left_s=None,
            )
        )

    return tell


def _result(preparation: Preparation, folder: Path, fitted: Fitted | None, elapsed_s: float) -> TrainResult:
    size = sum(each.numel() for each in fitted.network.parameters()) if fitted else preparation.trainable_parameters
    status = "interrupted" if fitted is None else "stopped early" if fitted.is_early else "complete"
    return TrainResult(
        folder=folder,
        status=cast(Any, status),
        steps=len(fitted.losses) if fitted else 0,
        best_step=fitted.best_step if fitted else 0,
        first_validation_loss=fitted.first_loss if fitted else None,
        best_validation_loss=fitted.best_loss if fitted else None,
        losses=tuple(fitted.losses) if fitted else (),
        trainable_parameters=size,
        all_parameters=size,
        elapsed_s=elapsed_s,
        seconds_per_step=median(fitted.step_times_s) if fitted else 0.0,
    )
