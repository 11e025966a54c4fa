"""Sortable identifiers: 26 characters, later ones sort after earlier ones of the same process."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from threading import Lock

from mmchat.moments import utc_text

# Crockford's base 32: no i, l, o, u, so that an id read aloud or retyped is not mistaken.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80

_lock = Lock()
_last = 0


def new_id() -> str:
    """48 bits of milliseconds and 80 random bits (the layout of a ULID), strictly increasing."""
    global _last
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = value = max(value, _last + 1)
    return "".join(_DIGITS[value >> shift & 31] for shift in range(125, -1, -5))


def now_text() -> str:
    """The present as the store spells it."""
    return utc_text(datetime.now(UTC))
