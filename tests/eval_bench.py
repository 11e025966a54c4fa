"""Rows of every kind and scripted models, for tests that run whole evaluations."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event
from typing import Any

from PIL import Image

from mmchat.engines.process_group import SoleProcess
from mmchat.evals.results import Progress, Run, RunSettings
from mmchat.evals.runner import evaluate
from mmchat.evals.runs import RunStore
from mmchat.paths import evals_dir
from mmchat.wiring import open_eval_models

MODELS = """
schema_version = 1
[defaults]
lm = "echo"
asr = "ears"
vision = "eyes"
embed = "words"
[models.echo]
kind = "lm"
engine = "scripted"
[models.yes]
kind = "lm"
engine = "scripted"
options = { replies = "yes, a number and a colour" }
[models.slow]
kind = "lm"
engine = "scripted"
options = { delay_s = 0.01 }
[models.ears]
kind = "asr"
engine = "scripted"
options = { text = "what a fine day" }
[models.eyes]
kind = "vision"
engine = "scripted"
[models.words]
kind = "embed"
engine = "scripted"
"""
COLOURS = ("red", "green", "blue", "yellow")


def write_models(home: Path) -> None:
    """A home whose default models need no weights; `echo` repeats what it was told, `yes` always says the same."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "models.toml").write_text(MODELS, encoding="utf-8")


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    """JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def talks(count: int = 40) -> list[dict[str, Any]]:
    """Conversations of two exchanges; echoing gets some of the words right."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"tell me about number {index}"},
                {"role": "assistant", "content": f"it said: a number is {index} " + "and more " * (index % 5)},
                {"role": "user", "content": f"and its colour {COLOURS[index % 4]}"},
                {"role": "assistant", "content": f"the colour {COLOURS[index % 4]} is the one of number {index}"},
            ]
        }
        for index in range(count)
    ]


def chinese_talks(count: int = 6) -> list[dict[str, Any]]:
    """The same in Chinese."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"第{i}天天气"},
                {"role": "assistant", "content": f"今天天气很好{i}"},
            ]
        }
        for i in range(count)
    ]


def write_all_kinds(folder: Path) -> tuple[Path, ...]:
    """A file of each kind that can be scored."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, colour in enumerate(COLOURS):
        Image.new("RGB", (40, 40), colour).save(folder / f"{index}.png")
        with wave.open(str(folder / f"{index}.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16000)
            sound.writeframes(bytes(3200 * (index + 1)))
    turns = [
        {"id": f"t{i}", "session": f"s{i % 2}", "role": "user", "text": f"I bought {word} today", "speaker": "Ann"}
        for i, word in enumerate(("apples", "a bicycle", "two books", "a piano"))
    ]
    return (
        write_lines(folder / "talks.jsonl", [*talks(6), *chinese_talks(3)]),
        write_lines(folder / "sounds.jsonl", [{"audio": f"{i}.wav", "text": "what a fine day"} for i in range(4)]),
        write_lines(
            folder / "pictures.jsonl",
            [{"image": f"{i}.png", "captions": [f"a {c} wall", f"all {c}"]} for i, c in enumerate(COLOURS)],
        ),
        write_lines(
            folder / "labels.jsonl", [{"image": f"{i}.png", "label": colour} for i, colour in enumerate(COLOURS)]
        ),
        write_lines(
            folder / "memory.jsonl",
            [{"id": "m", "turns": turns, "questions": [{"question": "who bought a piano", "evidence": ["t3"]}]}],
        ),
    )


def run_settings(paths: Iterable[Path], **others: Any) -> RunSettings:
    """What a user asks for; few resamples, because tests need no narrow intervals."""
    chosen: dict[str, Any] = {"models": (), "metrics": (), "resamples": 50, **others}
    return RunSettings(data=tuple(str(path) for path in paths), **chosen)


def run_here(
    settings: RunSettings,
    *,
    runs: RunStore | None = None,
    resume: Run | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    cancel: Event | None = None,
) -> Run:
    """`evaluate` in this process alone, with the models of the home."""
    with closing(open_eval_models(settings)) as models:
        return evaluate(
            settings,
            models=models,
            runs=runs or RunStore(evals_dir()),
            group=SoleProcess(),
            resume=resume,
            on_progress=on_progress,
            cancel=cancel or Event(),
        )


class ThreadGroup:
    """Threads as a `ProcessGroup`."""

    def __init__(self, rank: int, size: int, barrier: Barrier, notes: list[str]) -> None:
        self.rank = rank
        self.size = size
        self._barrier = barrier
        self._notes = notes

    @classmethod
    def of(cls, size: int) -> list[ThreadGroup]:
        """A group of that many."""
        barrier, notes = Barrier(size, timeout=60), [""] * size
        return [cls(rank, size, barrier, notes) for rank in range(size)]

    def share(self, note: str) -> tuple[str, ...]:
        self._notes[self.rank] = note
        self._barrier.wait()
        shared = tuple(self._notes)
        self._barrier.wait()
        return shared
