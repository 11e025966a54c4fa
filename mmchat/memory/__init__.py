"""What is remembered: one SQLite file, search over it, import, export, backup and repair."""

from __future__ import annotations

import sys
import threading


def _import_sqlite_utils() -> None:
    """Import sqlite-utils as if pandas and NumPy were not installed.

    It imports them where it can only to know the column types of a Timestamp and of NumPy's numbers, of which none is
    stored here. pandas (TRL brings it along) takes longer than all the rest of a start: a third of a second of every
    command that opens the store; NumPy a tenth of the time until the box of `mmchat talk` takes a letter.
    """
    if "sqlite_utils" in sys.modules:
        return
    # NumPy only where no other thread can be importing it just now: it would be told that there is none.
    hidden = ["pandas", "numpy"] if threading.active_count() == 1 else ["pandas"]
    hidden = [name for name in hidden if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        import sqlite_utils.db  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


_import_sqlite_utils()
