"""The picture on the clipboard, as a file that can be attached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.attachments import kind_of
from mmchat.engines.image_frames import DECODER_ERRORS
from mmchat.errors import EngineUnavailable, ImageError

if TYPE_CHECKING:
    from PIL import Image

    Grabbed = Image.Image | list[str] | None
    Grab = Callable[[], Grabbed]

_OVER_SSH = "Over SSH the clipboard is on the other machine: copy the picture here as a file, and name its path."
_INSTALL_WAYLAND = "Install wl-clipboard (Debian: sudo apt install wl-clipboard)."
_INSTALL_X = "Install xclip (Debian: sudo apt install xclip)."


def grab() -> Grabbed:
    """What Pillow finds: a picture, or names of files, or nothing."""
    from PIL import Image, ImageGrab

    try:
        return ImageGrab.grabclipboard()
    except Image.DecompressionBombError as error:
        raise ImageError("The picture on the clipboard has too many pixels.", hint="Make it smaller first.") from error


class PastedPictures:
    """Takes pictures from the clipboard into a folder of its own, which goes with the program.

    A message that is sent keeps a copy, as of any file.
    """

    def __init__(
        self,
        *,
        platform: str = sys.platform,
        environment: Mapping[str, str] = os.environ,
        which: Callable[[str], str | None] = shutil.which,
        grab: Grab = grab,
    ) -> None:
        self._platform = platform
        self._environment = environment
        self._which = which
        self._grab = grab
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def take(self) -> Path:
        """Slow. The picture on the clipboard, as a PNG file; or the picture file that was copied.

        Raises:
            ImageError: the clipboard holds no picture.
            EngineUnavailable: it cannot be reached from here; the hint says what would help.
        """
        self._check_reach()
        try:
            grabbed = self._grab()
        except (NotImplementedError, ChildProcessError, subprocess.SubprocessError) as error:
            raise _unreadable(error) from error
        except DECODER_ERRORS as error:  # some programs hand over text, whatever they are asked for
            raise _no_picture() from error
        if isinstance(grabbed, list):
            files = [Path(name) for name in grabbed if kind_of(name) == "image"]
            if not files:
                raise _no_picture()
            return files[0]
        if grabbed is None:
            raise _no_picture()
        return self._save(grabbed)

    def close(self) -> None:
        """Remove what was pasted."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _save(self, picture: Image.Image) -> Path:
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="mmchat-pasted-")  # readable by the user alone
            taken = f"pasted {datetime.now():%H.%M.%S}"
            names = (f"{taken}{f' ({number})' if number else ''}.png" for number in range(10_000))
            path = next(path for name in names if not (path := Path(self._folder.name) / name).exists())
            picture.save(path, compress_level=1)
        except OSError as error:
            raise ImageError(f"The pasted picture cannot be kept: {error.strerror or error}.") from error
        return path

    def _check_reach(self) -> None:
        if self._platform in ("darwin", "win32"):
            return
        has_wayland = bool(self._environment.get("WAYLAND_DISPLAY"))
        has_x = bool(self._environment.get("DISPLAY"))
        if not has_wayland and not has_x:
            if self._environment.get("SSH_CONNECTION") or self._environment.get("SSH_TTY"):
                raise EngineUnavailable("There is no clipboard here.", hint=_OVER_SSH)
            raise EngineUnavailable(
                "There is no clipboard here: this terminal is not on a desktop.", hint="Name the picture's path."
            )
        if has_wayland and not self._which("wl-paste"):
            raise EngineUnavailable("Pasting pictures needs wl-paste, which is not installed.", hint=_INSTALL_WAYLAND)
        if not has_wayland and not self._which("xclip"):
            raise EngineUnavailable("Pasting pictures needs xclip, which is not installed.", hint=_INSTALL_X)


def _no_picture() -> ImageError:
    return ImageError("The clipboard holds no picture.", hint="Copy one, or take a screenshot into the clipboard.")


def _unreadable(error: Exception) -> EngineUnavailable:
    lines = str(error).strip().splitlines()
    return EngineUnavailable(f"The clipboard does not answer: {lines[-1] if lines else type(error).__name__}.")
