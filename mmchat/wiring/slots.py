"""One model of the hub: its state for everybody, itself for whoever waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

from mmchat.domain import EngineSpec, LoadState, ModelKind, PullProgress
from mmchat.errors import MmchatError

log = logging.getLogger(__name__)


def describe_progress(progress: PullProgress) -> tuple[str, float | None]:
    """A pull in a few words, and how much of it is done."""
    if progress.stage == "downloading" and progress.total_bytes:
        fraction = progress.done_bytes / progress.total_bytes
        left = f", {_duration(progress.left_s)} left" if progress.left_s is not None else ""
        speed = f" at {progress.bytes_per_s / 1e6:.1f} MB/s" if progress.bytes_per_s else ""
        total = f"{progress.total_bytes / 1e6:.0f} MB"
        return f"downloading {progress.model}: {fraction:.0%} of {total}{speed}{left}", fraction
    words = f"{progress.stage} {progress.model}"
    return (f"{words}: {progress.detail}" if progress.detail else words), None


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Slot:
    """One model: its state for everybody, itself for whoever waits."""

    def __init__(self, kind: ModelKind, name: str, load: Callable[[Slot], Any], before: Slot | None = None) -> None:
        """`before`: what it takes the place of, whose weights it may take over; closed once it has."""
        self._load = load
        self.before = before
        self.spec: EngineSpec | None = None
        """By which it was loaded, for language models."""
        self.fetching = threading.Lock()
        """Held while the weights are fetched and prepared."""
        self._lock = threading.Lock()
        self._future: Future[Any] | None = None
        self.state = LoadState(kind=kind, model=name, engine="", stage="idle")

    def start(self) -> Future[Any]:
        """Begin loading unless it has begun; a failed load is tried anew."""
        with self._lock:
            if self._future is None or (self._future.done() and self._future.exception() is not None):
                self._future = Future()
                self.state = replace(self.state, stage="loading", detail="starting", fraction=None)
                # A daemon: leaving the program must not wait for a download or a load.
                threading.Thread(
                    target=self._run, args=(self._future,), name=f"load-{self.state.kind}", daemon=True
                ).start()
            return self._future

    def get(self) -> Any:
        """The loaded model; waits. Raises what its loading raised."""
        return self.start().result()

    def loaded(self) -> Any:
        """The model if it is there or on its way; waits for that. None where it was never asked for, or has failed."""
        with self._lock:
            future = self._future
        return None if future is None or future.exception() is not None else future.result()

    def let_go(self) -> None:
        """Free what it takes the place of, unless that was done."""
        before, self.before = self.before, None
        if before is not None:
            before.close_when_loaded()

    def close_when_loaded(self) -> None:
        """Free the model now, or as soon as it has come."""

        def close(future: Future[Any]) -> None:
            if future.exception() is None:
                future.result().close()

        with self._lock:
            future = self._future
        if future is not None:
            future.add_done_callback(close)

    def report(self, stage: str, detail: str, fraction: float | None) -> None:
        """Say where it stands."""
        self.state = replace(self.state, stage=cast("Any", stage), detail=detail, fraction=fraction)

    def rest(self, detail: str) -> None:
        """Fetching is over; back to idle unless loading has begun meanwhile."""
        with self._lock:
            if self._future is None:
                self.report("idle", detail, None)

    def _run(self, future: Future[Any]) -> None:
        try:
            model = self._load(self)
        except MmchatError as error:
            self.report("failed", str(error), None)
            future.set_exception(error)
        except BaseException as error:  # whoever waits must learn of a fault of ours too, not hang
            log.exception("loading %s failed", self.state.model)
            self.report("failed", f"internal error: {error}", None)
            future.set_exception(error)
        else:
            self.state = replace(
                self.state,
                stage="ready",
                detail="",
                fraction=None,
                engine=model.engine,
                device=getattr(model, "device", ""),
                context_tokens=getattr(model, "context_tokens", 0),
            )
            future.set_result(model)
