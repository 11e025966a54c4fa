"""Whether this terminal draws pictures with real pixels: only where it is known to, and says so when it is asked."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Callable, Mapping

from mmchat.cli.terminal_probe import ask_terminal
from mmchat.tui.picture_cells import NO_PIXELS, CellSize, Graphics

_KITTY_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_KITTY_ANSWER = re.compile(r"\x1b_Gi=31;OK")
_ATTRIBUTES = re.compile(r"\x1b\[\?([\d;]*)c")
_SIXEL = "4"
_PLACEHOLDERS = ("kitty", "ghostty")
"""Terminals whose pictures can be told by letters, so that they scroll with the text (kitty from 0.28)."""
_SIXELS = ("foot", "wezterm", "iterm", "mlterm", "contour", "konsole", "mintty", "rio", "vscode", "windows terminal")


def look(
    environment: Mapping[str, str] = os.environ, ask: Callable[[bytes], str] = ask_terminal
) -> tuple[Graphics, CellSize]:
    """The best way to draw pictures here, and the pixels of a cell.

    In tmux and screen, which lay pictures out as they think best, and where the terminal does not say how large its
    cells are, it is half blocks.
    """
    cell = cell_size()
    name = terminal_name(environment)
    wanted = name.startswith((*_PLACEHOLDERS, *_SIXELS))
    if cell == NO_PIXELS or not wanted or "TMUX" in environment or "STY" in environment:
        return "blocks", cell
    answer = ask(_KITTY_QUERY)
    if name.startswith(_PLACEHOLDERS) and _KITTY_ANSWER.search(answer):
        return "kitty", cell
    attributes = _ATTRIBUTES.search(answer)
    if name.startswith(_SIXELS) and attributes and _SIXEL in attributes[1].split(";"):
        return "sixel", cell
    return "blocks", cell


def terminal_name(environment: Mapping[str, str]) -> str:
    """What the terminal calls itself, in small letters; empty where nothing tells."""
    for variable, name in (
        ("KITTY_WINDOW_ID", "kitty"),
        ("GHOSTTY_RESOURCES_DIR", "ghostty"),
        ("WEZTERM_PANE", "wezterm"),
        ("KONSOLE_VERSION", "konsole"),
        ("MLTERM", "mlterm"),
        ("WT_SESSION", "windows terminal"),
    ):
        if variable in environment:
            return name
    return (environment.get("TERM_PROGRAM") or environment.get("TERM", "").removeprefix("xterm-")).lower()


def cell_size() -> CellSize:
    """Pixels of a cell, as the terminal driver knows them; zeros where it does not."""
    if os.name == "nt":
        return NO_PIXELS
    import fcntl
    import termios

    try:
        packed = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
    except (OSError, ValueError):
        return NO_PIXELS
    lines, columns, width, height = struct.unpack("HHHH", packed)
    if not (lines and columns and width >= columns and height >= lines):
        return NO_PIXELS
    return CellSize(width // columns, height // lines)
