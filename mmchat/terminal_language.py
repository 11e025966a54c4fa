"""The language that the user reads, as the terminal says it."""

from __future__ import annotations

import locale
import os


def terminal_language() -> str:
    """ISO 639-1, as the usual variables or else the system's settings say it; empty where they do not."""
    named = next((value for key in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(key))), "")
    code = (named or locale.getlocale()[0] or "").replace("-", "_").partition("_")[0].partition(".")[0].lower()
    return code if code.isalpha() and len(code) in (2, 3) else ""
