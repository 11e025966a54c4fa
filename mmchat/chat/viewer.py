"""Kept pictures and sounds, and the user's documents, in the system's own viewer. No shell is involved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmchat.documents.kinds import kind_of
from mmchat.domain import Attachment
from mmchat.errors import EngineUnavailable, MediaError, UsageError

ENDINGS = frozenset(
    {".jpg", ".png", ".gif", ".webp", ".bmp", ".tiff", ".heic", ".wav", ".mp3", ".flac", ".m4a", ".ogg", ".webm"}
)
"""What `memory.blobs` gives to kept files."""
_HEADS = frozenset({"image", "audio"})
_FAILS_WITHIN_S = 2.0
"""A viewer that cannot open the file says so by then; one that shows it may run for as long as it likes."""

Start = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]


def start_apart(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A program of its own: without this terminal, and not stopped with this one."""
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


class Viewer:
    """Opens files of the blobs folder. May block for a moment: for a worker thread."""

    def __init__(
        self,
        folder: Path,
        *,
        platform: str = sys.platform,
        environment: Mapping[str, str] = os.environ,
        which: Callable[[str], str | None] = shutil.which,
        start: Start = start_apart,
    ) -> None:
        self._folder = folder
        self._platform = platform
        self._environment = environment
        self._which = which
        self._start = start

    def open(self, attachment: Attachment) -> None:
        """Show a picture, or play a sound.

        Raises:
            UsageError: it is not a kept picture or sound.
            MediaError: its file is gone.
            EngineUnavailable: this machine has no viewer, or the viewer failed; the hint says where the file is.
        """
        self._show(self._checked(attachment), attachment.name)

    def open_document(self, path: Path) -> None:
        """Show a document that the caller knows to be one of the user's.

        Raises:
            UsageError: it is no kind of document.
            MediaError: the file is gone.
            EngineUnavailable: this machine has no viewer, or the viewer failed; the hint says where the file is.
        """
        if kind_of(path) is None:
            raise UsageError(f"'{path.name}' is not opened from here: it is no document.", hint=f"The file: {path}")
        if not path.is_file():
            raise MediaError(f"'{path.name}' is not there any more.", hint=f"It was {path}")
        self._show(path, path.name)

    def _show(self, path: Path, name: str) -> None:
        if self._platform == "win32":
            self._start_file(path)
            return
        command = [*self._command(path), str(path)]
        try:
            process = self._start(command)
        except OSError as error:
            raise _no_viewer(f"{command[0]} could not be started: {error.strerror or error}.", path) from error
        try:
            code = process.wait(_FAILS_WITHIN_S)
        except subprocess.TimeoutExpired:
            # It runs; somebody has to notice its end, or it stays behind as a zombie.
            threading.Thread(target=process.wait, name="viewer", daemon=True).start()
            return
        if code:
            raise _no_viewer(f"{command[0]} could not open {name}.", path)

    def _checked(self, attachment: Attachment) -> Path:
        path = attachment.path
        is_kept = path.suffix in ENDINGS and attachment.media_type.partition("/")[0] in _HEADS
        # Resolved: a link that was put into the folder must not lead out of it.
        if not is_kept or not path.resolve().is_relative_to(self._folder.resolve()):
            raise UsageError(
                f"'{attachment.name}' is not opened from here: only kept pictures and sounds are.",
                hint=f"The file: {path}",
            )
        if not path.is_file():
            raise MediaError(f"The kept copy of '{attachment.name}' is gone.", hint="mmchat doctor says more.")
        return path

    def _command(self, path: Path) -> list[str]:
        if self._platform == "darwin":
            return ["/usr/bin/open"]
        if found := self._which("wslview"):
            return [found]
        has_screen = self._environment.get("DISPLAY") or self._environment.get("WAYLAND_DISPLAY")
        found = self._which("xdg-open")
        if not has_screen or found is None:
            why = "xdg-open is not installed." if has_screen else "This terminal has no screen to show files on."
            raise _no_viewer(why, path)
        return [found]

    def _start_file(self, path: Path) -> None:
        try:
            os.startfile(path)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            raise _no_viewer(f"Windows could not open it: {error.strerror or error}.", path) from error


def _no_viewer(why: str, path: Path) -> EngineUnavailable:
    return EngineUnavailable(why, hint=f"The file: {path}")
