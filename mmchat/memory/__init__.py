"""What is remembered: one SQLite file, search over it, import, export, backup and repair."""

from __future__ import annotations

import sys


def _import_sqlite_utils() -> None:
    """Import sqlite-utils as if pandas were not installed.

    It imports pandas where it can (TRL brings it along) only to know the column type of a Timestamp, and that takes
    longer than all the rest of a start: a third of a second of every command that opens the store.
    """
    if "pandas" in sys.modules or "sqlite_utils" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        import sqlite_utils.db  # noqa: F401
    finally:
        del sys.modules["pandas"]


_import_sqlite_utils()
