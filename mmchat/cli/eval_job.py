"""What is seen of an evaluation at work: its progress, on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mmchat.cli.output import StatusLine, has_colour
from mmchat.domain import LoadState
from mmchat.evals.layout import duration
from mmchat.evals.results import Progress
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

KIND_WORDS = {"lm": "language", "asr": "speech", "vision": "picture", "embed": "sentence", "head": "label"}


class View(Protocol):
    """What shows progress. Called from the evaluation's thread, but for `say`."""

    def progress(self, progress: Progress) -> None: ...

    def state(self, state: LoadState) -> None: ...

    def say(self, text: str) -> None:
        """Show this instead of what is being done."""
        ...


@contextmanager
def progress_view() -> Iterator[View]:
    """A bar where a person is watching, nothing in a pipe."""
    if not has_colour(sys.stderr):
        status = _Line()
        try:
            yield status
        finally:
            status.clear()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    columns = (
        TextColumn(
            "{task.fields[what]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=3)
        ),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
        TextColumn("{task.fields[numbers]}", markup=False, style="dim", table_column=Column(no_wrap=True)),
    )
    # The terminal writes "^C" behind the bar; on a full line that would wrap and leave the line behind.
    width = shutil.get_terminal_size().columns - len("^C^C")
    console = Console(stderr=True, highlight=False, width=width)
    with Progress(*columns, console=console, refresh_per_second=8, transient=True, expand=True) as bar:
        yield _Bar(bar)


class SilentView:
    """Nothing is seen of the processes beside the first."""

    def progress(self, progress: Progress) -> None: ...

    def state(self, state: LoadState) -> None: ...

    def say(self, text: str) -> None: ...


class _Line:
    """One line that is written over, on a terminal without colours; silent in a pipe."""

    def __init__(self) -> None:
        self._status = StatusLine()
        self._is_stopping = False

    def progress(self, progress: Progress) -> None:
        if not self._is_stopping:
            self._status.show(f"{progress.detail or progress.text}: {numbers(progress)}")

    def state(self, state: LoadState) -> None:
        if not self._is_stopping and state.stage != "ready":
            self._status.show(state_words(state))

    def say(self, text: str) -> None:
        self._is_stopping = True
        self._status.show(text)

    def clear(self) -> None:
        self._status.clear()


class _Bar:
    """A bar of all samples; below it, what else is going on, such as a download."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, what="looking at the rows", numbers="")
        self._text = ""
        self._is_stopping = False

    def progress(self, progress: Progress) -> None:
        self._text = progress.detail or progress.text
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total or None,
            numbers=numbers(progress),
            **({} if self._is_stopping else {"what": plain_line(self._text)}),  # type: ignore[arg-type]
        )

    def state(self, state: LoadState) -> None:
        if not self._is_stopping:
            words = state_words(state) if state.stage != "ready" else self._text
            self._bar.update(self._task, what=plain_line(words))

    def say(self, text: str) -> None:
        self._is_stopping = True
        self._bar.update(self._task, what=text)


def numbers(progress: Progress) -> str:
    """Such as "120/480, 2 min 05 s left"."""
    left = f", {duration(progress.left_s)} left" if progress.left_s is not None and progress.done else ""
    return f"{progress.done}/{progress.total}{left}"


def state_words(state: LoadState) -> str:
    """Such as "language model smollm2-135m: downloading 62%, 8 s left"."""
    return f"{KIND_WORDS.get(state.kind, state.kind)} model {state.model}: {state.detail or state.stage}"
