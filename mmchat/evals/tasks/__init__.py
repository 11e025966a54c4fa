"""The tasks of an evaluation, by name; each is imported when it is first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from mmchat.evals.base import Task, TaskName
from mmchat.rows.values import RowKind

TASKS: dict[TaskName, str] = {
    "dialogue": "mmchat.evals.tasks.dialogue:DialogueTask",
    "likelihood": "mmchat.evals.tasks.likelihood:LikelihoodTask",
    "speech": "mmchat.evals.tasks.speech:SpeechTask",
    "retrieval": "mmchat.evals.tasks.retrieval:RetrievalTask",
    "caption": "mmchat.evals.tasks.caption:CaptionTask",
    "label": "mmchat.evals.tasks.label:LabelTask",
    "memory": "mmchat.evals.tasks.memory:MemoryTask",
    "persona": "mmchat.evals.tasks.persona:PersonaTask",
}
ROW_TASKS: dict[RowKind, tuple[TaskName, ...]] = {
    "dialogue": ("dialogue", "likelihood"),
    "text": ("likelihood",),
    "speech": ("speech",),
    "caption": ("retrieval", "caption"),
    "label": ("label",),
    "memory": ("memory",),
    "persona": ("persona",),
    "preference": (),
}
"""Which tasks can be made of which rows; nothing is imported to look here."""


@cache
def load_task(name: TaskName) -> Task:
    """The task of that name, one object for the whole program."""
    module, _, attribute = TASKS[name].partition(":")
    return cast(Task, getattr(import_module(module), attribute)())
