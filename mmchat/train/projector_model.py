"""What a projector is trained with: the pictures as features, and the model that learns."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import peft
import torch
import transformers
from numpy.typing import NDArray
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from trl import SFTConfig

from mmchat.domain import EngineSpec
from mmchat.engines.image_io import open_image
from mmchat.engines.lm_projector import first_place
from mmchat.engines.picture_patches import patch_features
from mmchat.engines.projector import PictureEmbedding, Projector, ProjectorSizes
from mmchat.engines.vision_open_clip import OpenClipReader
from mmchat.engines.vision_open_clip import load as load_reader
from mmchat.train.base import BaseModel, TrainSettings
from mmchat.train.bases import TextBase, load_weights, precision_of
from mmchat.train.dropout import quickened
from mmchat.train.estimate import Probe, probe
from mmchat.train.features import FeatureCache, feature_key
from mmchat.train.loop import LoopPlan, training_arguments
from mmchat.train.order import Batching
from mmchat.train.projector_sft import PictureCollator, ProjectorSft, begin, picture_dataset
from mmchat.train.quiet import quiet
from mmchat.train.record import FEATURES
from mmchat.train.samples import IGNORED, Example
from mmchat.train.sft import SftData, use_threads

GRID = 3
"""Patches along a side: nine places of the prompt."""
HIDDEN = 1024
_CHUNK = 32
_PROBED_ROWS = 4


@dataclass(frozen=True, slots=True)
class PictureData(SftData):
    """Examples whose ids hold places of pictures."""

    pictures: tuple[Path, ...] = ()
    """By their numbers."""


# --- looking --------------------------------------------------------------------------------------


def _reader(base: BaseModel) -> OpenClipReader:
    """The vision model, to look through.

    Raises:
        ModelNotFound, WeightsError: it is missing or damaged.
    """
    name = base.helper_names.get("vision", "the vision model")
    reader = load_reader(EngineSpec(name, "open_clip", base.helpers.get("vision")))
    reader.network.visual.to(memory_format=torch.channels_last)  # 2.5 times as fast on a CPU
    return reader


def tower_sizes(data: PictureData, base: BaseModel, text: TextBase) -> tuple[ProjectorSizes, float]:
    """What the projector will be made of, and how long a picture takes to look at."""
    reader = _reader(base)
    images = [open_image(path) for path in data.pictures[:_PROBED_ROWS]]
    patch_features(reader, images[:1], GRID)  # the first is slow
    started = time.perf_counter()
    found = patch_features(reader, images, GRID)
    seeing_s = (time.perf_counter() - started) / len(images)
    return ProjectorSizes(int(found.shape[2]), GRID, width_of(text), HIDDEN, reader.name), seeing_s


def kept_patches(data: PictureData, base: BaseModel, folder: Path, cancel: Event) -> NDArray[np.floating] | None:
    """(P, N, F) of all pictures, from the folder as far as they are there; None when cancelled."""
    readers: list[OpenClipReader] = []

    def compute(piece: range) -> NDArray[Any]:
        readers[:] = readers or [_reader(base)]
        images = [open_image(path) for path in data.pictures[piece.start : piece.stop]]
        return patch_features(readers[0], images, GRID).half().numpy()

    stamps = [f"{path}|{path.stat().st_mtime_ns}" for path in data.pictures]
    key = feature_key([str(base.helpers.get("vision")), str(GRID), *stamps])
    return FeatureCache(folder / FEATURES).rows("patches", key, len(stamps), compute, cancel, chunk=_CHUNK)


def width_of(text: TextBase) -> int:
    """Numbers of one of the base's embeddings."""
    return int(text.config.get_text_config(decoder=True).hidden_size)


# --- the model --------------------------------------------------------------------------------------


def _model(text: TextBase, settings: TrainSettings, projector: Projector, patches: Any, precision: str) -> Any:
    """The base, frozen or with LoRA, and the projector in its input embedding."""
    model = load_weights(text, "lora", precision)
    if settings.method == "projector-lora":
        model = _with_lora(model, settings)
    else:
        model.requires_grad_(False)
    words, first = model.get_input_embeddings(), first_place(text.config, text.tokenizer)
    model.set_input_embeddings(PictureEmbedding(words, projector, patches, first))
    return model


def _with_lora(model: Any, settings: TrainSettings) -> Any:
    """LoRA where its paper has it, on queries and values, without dropout.

    On all layers, with dropout, a step takes twice as long on a CPU as with the base frozen; so it takes no longer.
    """
    known = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model.config.model_type)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(known or ()) or "all-linear",
    )
    model = quickened(peft.get_peft_model(model, config))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # steps of Adam are smaller than bfloat16 can add
    return model


def _is_boolean(model: Any) -> bool:
    """Whether the attention takes a mask of booleans."""
    return str(model.config._attn_implementation) == "sdpa"


def measured(
    text: TextBase, settings: TrainSettings, data: PictureData, sizes: ProjectorSizes, device: str
) -> tuple[Any, Probe]:
    """The model, and what a few examples of middle length take."""
    precision = precision_of(settings.dtype, device)
    use_threads(device)
    nothing = torch.zeros(sizes.places, sizes.features)
    with quiet():
        transformers.set_seed(settings.seed)
        model = _model(text, settings, Projector(sizes, settings.dropout), lambda number: nothing, precision)
    ordered = sorted(data.train.examples, key=lambda each: each.tokens)
    middle = len(ordered) // 2
    rows = ordered[max(0, middle - _PROBED_ROWS // 2) : middle + (_PROBED_ROWS + 1) // 2]
    batch = PictureCollator(text.pad_id, is_boolean=_is_boolean(model))(picture_dataset(rows).to_list())
    probe(model, {name: tensor[:1] for name, tensor in batch.items()}, precision, device)  # the first is slow
    return model, probe(model, batch, precision, device)


def open_trainer(
    text: TextBase,
    plan: LoopPlan,
    batching: Batching,
    data: PictureData,
    sizes: ProjectorSizes,
    patches: NDArray[np.floating],
) -> ProjectorSft:
    """What takes the steps, with a projector that begins where it can.

    Args:
        text: the base.
        plan: of the training.
        batching: of this attempt.
        data: the examples.
        sizes: of the projector.
        patches: (P, N, F) of all pictures by their numbers.
    """
    settings = plan.settings
    use_threads(plan.device)
    projector = Projector(sizes, settings.dropout)
    model = _model(text, settings, projector, lambda number: torch.from_numpy(patches[number]).float(), plan.precision)
    first = first_place(text.config, text.tokenizer)
    said = _words_about(data.train.examples, first, sizes.places, len(data.pictures))
    begin(projector, torch.from_numpy(np.asarray(patches)), said, model.get_input_embeddings().weight.detach())
    trainer = ProjectorSft(
        model=model,
        args=training_arguments(
            SFTConfig,
            plan,
            batching,
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
            gradient_checkpointing=settings.is_checkpointed,
        ),
        data_collator=PictureCollator(text.pad_id, is_boolean=_is_boolean(model)),
        train_dataset=picture_dataset(data.train.examples),
        eval_dataset=picture_dataset(data.validation.examples) if data.validation.examples else None,
        processing_class=text.tokenizer,
    )
    trainer.held_out = {"loss": data.validation.examples} if data.validation.examples else {}
    return trainer


def _words_about(examples: Sequence[Example], first: int, places: int, pictures: int) -> list[dict[int, int]]:
    """For each picture, the words that are to be said of it and how often."""
    said: list[Counter[int]] = [Counter() for _ in range(pictures)]
    for example in examples:
        words = [label for label in example.labels if label != IGNORED]
        for number in {(token - first) // places for token in example.ids if token >= first}:
            said[number].update(words)
    return [dict(each) for each in said]
