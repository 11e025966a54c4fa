"""Shows pulls on stderr: a row each with size, speed and time left; plain lines where nobody watches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmchat.cli.output import has_colour, warn
from mmchat.domain import PullProgress
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID


@contextmanager
def pull_view() -> Iterator[Callable[[PullProgress], None]]:
    """Yields what a pull reports to; it may be called from any thread."""
    if not has_colour(sys.stderr):
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.fields[model]}", markup=False),
        TextColumn("{task.fields[stage]}", markup=False, style="dim"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[numbers]}", markup=False),
        console=Console(stderr=True, highlight=False),
        refresh_per_second=8,
    ) as progress:
        yield _Rows(progress)


class _Lines:
    """One line for each stage of each model: what a log wants."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def __call__(self, progress: PullProgress) -> None:
        with self._lock:
            key = (progress.model, progress.stage)
            if key in self._seen:
                return
            self._seen.add(key)
            size = f" ({progress.total_bytes / 1e6:.1f} MB)" if progress.stage == "downloading" else ""
            detail = f": {progress.detail}" if progress.detail and progress.stage != "downloading" else ""
            warn(plain_line(f"{progress.model}: {progress.stage}{size}{detail}"))


class _Rows:
    """A bar for each model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __call__(self, progress: PullProgress) -> None:
        with self._lock:
            if progress.model not in self._tasks:
                self._tasks[progress.model] = self._progress.add_task(
                    "", model=progress.model, stage="", numbers="", total=None
                )
        task = self._tasks[progress.model]
        is_measured = progress.stage in ("downloading", "done") and progress.total_bytes > 0
        self._progress.update(
            task,
            completed=progress.done_bytes if is_measured else 0,
            total=progress.total_bytes if is_measured else None,
            stage=plain_line(_stage_words(progress)),
            numbers=numbers(progress) if is_measured else "",
        )


def _stage_words(progress: PullProgress) -> str:
    if progress.stage in ("preparing", "waiting") and progress.detail:
        return progress.detail[:48]
    return progress.stage


def numbers(progress: PullProgress) -> str:
    """`45.1/92.9 MB  10.2 MB/s  5 s left`, as far as it is known."""
    done, total = progress.done_bytes / 1e6, progress.total_bytes / 1e6
    if progress.stage == "done":
        return f"{total:.1f} MB"
    words = [f"{min(done, total):.1f}/{total:.1f} MB"]
    if progress.bytes_per_s > 0:
        words.append(f"{progress.bytes_per_s / 1e6:.1f} MB/s")
    if progress.left_s is not None:
        seconds = round(progress.left_s)
        words.append(f"{seconds} s left" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s left")
    return "  ".join(words)
