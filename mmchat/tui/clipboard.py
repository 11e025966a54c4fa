"""Copying that tells the truth about where the text went."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

TIMEOUT_S = 3


def native_command(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> list[str] | None:
    """The tool that reaches this desktop's clipboard; None where there is none."""
    candidates: list[list[str]] = []
    if platform == "darwin":
        candidates.append(["pbcopy"])
    if platform == "win32" or "WSL_DISTRO_NAME" in environ:
        candidates.append(["clip.exe"])
    if environ.get("WAYLAND_DISPLAY"):
        candidates.append(["wl-copy"])
    if environ.get("DISPLAY"):
        candidates += [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    return next((command for command in candidates if shutil.which(command[0])), None)


def copy_natively(text: str) -> str:
    """Copy with the desktop's own tool, and name it; empty where there is none or it failed. Blocks briefly."""
    command = native_command()
    if command is None:
        return ""
    data = text.encode("utf-16-le" if command[0] == "clip.exe" else "utf-8")
    try:
        # xclip and wl-copy stay behind to serve the text: with a pipe for their output this would wait for them.
        done = subprocess.run(
            command, input=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return command[0] if done.returncode == 0 else ""
