"""Which kind of row is trained on by which task. Its module, and with it torch, is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from mmchat.errors import UsageError
from mmchat.rows.values import RowKind
from mmchat.train.base import PICTURE_METHODS, Trainer

TRAINERS: dict[RowKind, str] = {
    "dialogue": "mmchat.train.sft:DialogueTrainer",
    "preference": "mmchat.train.preference:PreferenceTrainer",
    "caption": "mmchat.train.contrastive:CaptionTrainer",
    "label": "mmchat.train.heads:LabelTrainer",
    "speech": "mmchat.train.speech:SpeechTrainer",
}
"""Row kind → "module:class"; the class is called without arguments."""

PICTURE_TRAINER = "mmchat.train.projector:ProjectorTrainer"
PICTURE_KINDS: tuple[RowKind, ...] = ("caption", "dialogue")
"""What its methods take, also together."""


def load_trainer(kind: RowKind, method: str = "", trainers: Mapping[RowKind, str] = TRAINERS) -> Trainer:
    """The task for rows of a kind.

    Args:
        kind: of the rows.
        method: wanted; those that teach a language model to see have a task of their own.
        trainers: where to look.

    Raises:
        UsageError: nothing can be trained on such rows.
    """
    if kind not in trainers:
        raise UsageError(
            f"There is nothing to train on {kind} rows.", hint=f"Rows to train on are {', '.join(trainers)} rows."
        )
    is_seeing = method in PICTURE_METHODS and kind in PICTURE_KINDS
    module, _, name = (PICTURE_TRAINER if is_seeing else trainers[kind]).partition(":")
    return cast(Trainer, getattr(import_module(module), name)())
