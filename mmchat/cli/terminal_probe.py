"""What this terminal can do, as far as it says."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping

from mmchat.cli.findings import Finding

_ANSWER_TIMEOUT_S = 0.5
_CLIPBOARD_TERMINALS = {"kitty", "WezTerm", "ghostty", "iTerm.app", "foot", "alacritty", "contour", "rio", "vscode"}
_NO_CLIPBOARD_TERMINALS = {"Apple_Terminal"}
_MIN_COLUMNS, _MIN_LINES = 60, 15


def check_terminal() -> list[Finding]:
    """Size, colours, letters, keys, clipboard and multiplexer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return [Finding("terminal", "ok", "not a terminal; mmchat talk works line by line here")]
    answer = ask_terminal()
    environment = os.environ
    findings = [_size(), _colours(environment), _letters(), _keys(answer), _clipboard(answer, environment)]
    return [*findings, *_tmux(environment)]


def ask_terminal(question: bytes = b"\x1b[?u") -> str:
    """The terminal's answers to a question and to "what are you?"; empty if it does not answer.

    Args:
        question: by default "which keyboard protocol?".
    """
    if os.name == "nt":
        return ""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    attributes = termios.tcgetattr(terminal)
    answer = b""
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        # Every terminal answers the second question, so there is no need to wait out the first.
        os.write(sys.stdout.fileno(), question + b"\x1b[c")
        ends_at = time.monotonic() + _ANSWER_TIMEOUT_S
        while not re.search(rb"\x1b\[\?[\d;]*c", answer) and (left_s := ends_at - time.monotonic()) > 0:
            if select.select([terminal], [], [], left_s)[0]:
                answer += os.read(terminal, 256)
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, attributes)
    return answer.decode("ascii", "replace")


def _size() -> Finding:
    size = shutil.get_terminal_size()
    detail = f"{size.columns} columns, {size.lines} lines"
    if size.columns < _MIN_COLUMNS or size.lines < _MIN_LINES:
        return Finding("size", "warn", detail, f"Make the window at least {_MIN_COLUMNS} by {_MIN_LINES}.")
    return Finding("size", "ok", detail)


def _colours(environment: Mapping[str, str]) -> Finding:
    term = environment.get("TERM", "")
    if environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"} or "direct" in term or os.name == "nt":
        return Finding("colours", "ok", "16 million")
    if "256color" in term:
        fix = "If yours can show all colours: export COLORTERM=truecolor"
        return Finding("colours", "ok", "256", fix)
    fix = "Use a terminal with 256 colours, or: mmchat talk --no-tui"
    return Finding("colours", "warn", f"few (TERM is '{term}')", fix)


def _letters() -> Finding:
    encoding = (sys.__stdout__.encoding if sys.__stdout__ else None) or "ascii"
    if encoding.lower().replace("-", "") == "utf8":
        return Finding("letters", "ok", "Unicode")
    return Finding("letters", "warn", f"{encoding}, without Chinese", "export LANG=C.UTF-8   (or set PYTHONUTF8=1)")


def _keys(answer: str) -> Finding:
    if re.search(r"\x1b\[\?\d+u", answer):
        return Finding("keys", "ok", "the kitty protocol: Shift+Enter makes a new line")
    return Finding("keys", "ok", "the usual ones: Shift+Enter arrives as Enter; Ctrl+J makes a new line")


def _clipboard(answer: str, environment: Mapping[str, str]) -> Finding:
    attributes = re.search(r"\x1b\[\?([\d;]*)c", answer)
    program = environment.get("TERM_PROGRAM") or environment.get("TERM", "").removeprefix("xterm-")
    if attributes and "52" in attributes[1].split(";"):
        return Finding("clipboard", "ok", "the terminal takes copied text (OSC 52)")
    if program in _CLIPBOARD_TERMINALS or "WT_SESSION" in environment:
        return Finding("clipboard", "ok", f"{program or 'Windows Terminal'} is known to take copied text (OSC 52)")
    if program in _NO_CLIPBOARD_TERMINALS:
        fix = "mmchat copies with pbcopy here; over SSH use another terminal."
        return Finding("clipboard", "warn", f"{program} ignores copied text (OSC 52)", fix)
    tool = next((name for name in ("wl-copy", "xclip", "xsel", "pbcopy", "clip.exe") if shutil.which(name)), "")
    if tool:
        return Finding("clipboard", "ok", f"{tool} copies; whether the terminal does (OSC 52) it does not say")
    fix = "If copying does nothing, install wl-clipboard or xclip, or allow OSC 52 in the terminal."
    return Finding("clipboard", "warn", "no tool that copies, and the terminal does not say whether it does", fix)


def _tmux(environment: Mapping[str, str]) -> list[Finding]:
    if "TMUX" not in environment:
        return []
    wanted = {
        "allow-passthrough": ("on", "all"),
        "set-clipboard": ("on", "external"),
        "extended-keys": ("on", "always"),
    }
    lacking = [name for name, good in wanted.items() if _tmux_option(name) not in good]
    if not lacking:
        return [Finding("tmux", "ok", "passes keys, clipboard and escapes on")]
    fix = "In ~/.tmux.conf: " + "; ".join(f"set -g {name} on" for name in lacking)
    return [Finding("tmux", "warn", f"holds back: {', '.join(lacking)}", fix)]


def _tmux_option(name: str) -> str:
    for scope in ("-gv", "-gsv"):
        try:
            done = subprocess.run(
                ["tmux", "show-options", scope, name], capture_output=True, text=True, timeout=2, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if done.stdout.strip():
            return done.stdout.strip()
    return ""
