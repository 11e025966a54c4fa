"""A finetune at work, on stderr: a small picture of it where a person is watching, a line now and then in a log."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mmchat.cli.output import warn
from mmchat.domain import LoadState, PullProgress
from mmchat.evals.layout import duration
from mmchat.evals.results import Progress
from mmchat.sanitize import plain_line
from mmchat.train.base import TrainEvent, TrainNotice, TrainStepped, TrainValidated

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

PLOT_HEIGHT = 8
SMALL_PLOT_HEIGHT = 4
SMALL_SCREEN_LINES = 18
BAR_CELLS = 24
GB = 1e9
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class View(Protocol):
    """What shows progress. Called from the thread that works, but for `say`."""

    def phase(self, text: str) -> None: ...

    def pull(self, progress: PullProgress) -> None: ...

    def event(self, event: TrainEvent) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def state(self, state: LoadState) -> None: ...

    def say(self, text: str) -> None:
        """Say what else is going on, such as that it is about to stop."""
        ...


@contextmanager
def finetune_view(title: str, *, unit: str = "tokens", is_silent: bool = False) -> Iterator[View]:
    """A view for this screen.

    Args:
        title: what is being made.
        unit: of the speed.
        is_silent: another process speaks.
    """
    if is_silent:
        yield Silence()
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console
        from rich.live import Live

        screen = Screen(title, unit)
        # The terminal writes "^C" behind what stands there; on a full line that would wrap and leave the line behind.
        width = shutil.get_terminal_size().columns - len("^C^C")
        console = Console(stderr=True, highlight=False, markup=False, emoji=False, width=width)
        with Live(screen, console=console, refresh_per_second=8, transient=True, vertical_overflow="crop") as live:
            screen.keep = lambda text: live.console.print(text, style="yellow")
            yield screen
    else:
        yield Lines(unit)


class Silence:
    """Keeps `View` and shows nothing."""

    def phase(self, text: str) -> None: ...

    def pull(self, progress: PullProgress) -> None: ...

    def event(self, event: TrainEvent) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def state(self, state: LoadState) -> None: ...

    def say(self, text: str) -> None: ...


class Lines(Silence):
    """For a log: a line for each validation, and for what else should be known."""

    def __init__(self, unit: str = "tokens") -> None:
        self._unit = unit
        self._step: TrainStepped | None = None
        self._phase = ""
        self._quarter = ("", 0)

    def phase(self, text: str) -> None:
        if text != self._phase:
            self._phase = text
            warn(plain_line(text))

    def event(self, event: TrainEvent) -> None:
        if isinstance(event, TrainStepped):
            self._step = event
        elif isinstance(event, TrainNotice):
            warn(plain_line(event.text))
        else:
            warn(validation_line(event, self._step, self._unit))

    def progress(self, progress: Progress) -> None:
        quarter = (progress.text, 4 * progress.done // progress.total if progress.total else 0)
        if progress.done and quarter != self._quarter:
            self._quarter = quarter
            warn(plain_line(progress_words(progress)))

    def say(self, text: str) -> None:
        warn(plain_line(text))


def progress_words(progress: Progress) -> str:
    """Of the comparison, such as "talks · dialogue · mine: 12/30, 20 s left"."""
    left = f", {duration(progress.left_s)} left" if progress.left_s is not None and progress.done else ""
    return f"{progress.detail or progress.text}: {progress.done}/{progress.total}{left}"


def validation_line(validated: TrainValidated, step: TrainStepped | None, unit: str) -> str:
    """Such as "step 40/480, epoch 0.25: loss 2.410, validation 2.502 (best), 812 tokens/s, 6 min 12 s left"."""
    place = f"step {validated.step}"
    words = []
    if step is not None:
        place = f"step {step.step}/{step.steps}, epoch {step.epoch:.2f}"
        words.append(f"loss {step.loss:.3f}")
    words.append(f"validation {validated.loss:.3f}{' (best)' if validated.is_best else ''}")
    words += [f"{name} {value:.3f}" for name, value in validated.metrics.items()]
    if step is not None:
        words += speed_words(step, unit)
    return f"{place}: {', '.join(words)}"


def speed_words(step: TrainStepped, unit: str) -> list[str]:
    """Speed, time left and memory, as far as they are known."""
    words = [f"{step.tokens_per_s:,.0f} {unit}/s"] if step.tokens_per_s else []
    if step.left_s is not None:
        words.append(f"{duration(step.left_s)} left")
    if step.memory_bytes:
        words.append(f"{step.memory_bytes / GB:.1f} GB")
    return words


class Screen:
    """Keeps `View`; rich asks it what it looks like, several times a second."""

    def __init__(self, title: str, unit: str = "tokens") -> None:
        self._title = title
        self._unit = unit
        self._lock = threading.Lock()
        self._phase = ""
        self._detail = ""
        self._fraction: float | None = None
        self._said = ""
        self._losses: list[tuple[int, float]] = []
        self._validations: list[tuple[int, float]] = []
        self._step: TrainStepped | None = None
        self._is_training = False
        self._started_s = time.monotonic()
        self.keep: Callable[[str], None] = _forget
        """Prints a line above the picture, where it stays."""

    # --- what happens -----------------------------------------------------------------------------

    def phase(self, text: str) -> None:
        with self._lock:
            self._phase, self._detail, self._fraction = text, "", None
            self._is_training = text == "training"
            self._started_s = time.monotonic()

    def pull(self, progress: PullProgress) -> None:
        from mmchat.wiring.slots import describe_progress

        self._detail, self._fraction = describe_progress(progress)

    def event(self, event: TrainEvent) -> None:
        if isinstance(event, TrainNotice):
            self.keep(plain_line(event.text))
            return
        with self._lock:
            if isinstance(event, TrainStepped):
                if self._step is not None and event.step <= self._step.step:  # it tries another way, or went back
                    self._losses, self._validations = [], []
                self._step = event
                self._losses.append((event.step, event.loss))
            else:
                self._validations.append((event.step, event.loss))

    def progress(self, progress: Progress) -> None:
        self._detail = progress_words(progress)
        self._fraction = progress.done / progress.total if progress.total else None

    def state(self, state: LoadState) -> None:
        if state.stage != "ready":
            self._detail = f"{state.model}: {state.detail or state.stage}"

    def say(self, text: str) -> None:
        self._said = text

    # --- what it looks like -----------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            yield from self._render(options.max_width, console.size.height)

    def _render(self, width: int, height: int) -> Iterator[RenderableType]:
        from rich.text import Text

        title = Text(plain_line(self._title), style="bold", no_wrap=True, overflow="ellipsis")
        yield title
        if self._is_training and self._step is not None:
            yield from self._training(self._step, width, height)
        else:
            frame = _FRAMES[int(time.monotonic() * 8) % len(_FRAMES)]
            words = plain_line(self._detail or self._phase)
            elapsed_s = time.monotonic() - self._started_s
            tail = f"  {_bar(self._fraction)}" if self._fraction is not None else f"  {duration(elapsed_s)}"
            line = Text(f"{frame} {words}", no_wrap=True, overflow="ellipsis")
            line.truncate(max(8, width - len(tail)), overflow="ellipsis")
            yield line.append(tail, style="dim")
        if self._said:
            yield Text(self._said, style="yellow")

    def _training(self, step: TrainStepped, width: int, height: int) -> Iterator[Text]:
        from rich.text import Text

        from mmchat.cli.curve_plot import BEST_STYLE, LINE_STYLE, MARK_STYLE, curve_plot, legend

        numbers = Text(f"step {step.step}/{step.steps}  ")
        numbers.append(_bar(step.step / max(1, step.steps)))
        numbers.append(f"  epoch {step.epoch:.2f}", style="dim")
        yield numbers
        losses = Text("loss ").append(f"{step.loss:.3f}", style=LINE_STYLE)
        if self._validations:
            best_step, best = min(self._validations, key=lambda each: each[1])
            losses.append("   validation ").append(f"{self._validations[-1][1]:.3f}", style=MARK_STYLE)
            losses.append("   best ").append(f"{best:.3f}", style=BEST_STYLE).append(
                f" at step {best_step}", style="dim"
            )
        losses.no_wrap, losses.overflow = True, "ellipsis"
        yield losses
        plot_height = PLOT_HEIGHT if height >= SMALL_SCREEN_LINES else SMALL_PLOT_HEIGHT
        plot = curve_plot(self._losses, self._validations, width=width, height=plot_height, last=step.steps)
        if len(self._losses) > 1:
            yield from plot
            yield Text(" " * 7).append_text(legend())
        yield Text(" · ".join(speed_words(step, self._unit)), style="dim")


def _forget(text: str) -> None: ...


def _bar(fraction: float) -> str:
    done = round(min(1.0, max(0.0, fraction)) * BAR_CELLS)
    return "━" * done + "─" * (BAR_CELLS - done) + f" {fraction:.0%}"
