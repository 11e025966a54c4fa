"""Regular expressions that a start need not wait for."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

Later = Callable[[], re.Pattern[str]]


def later(source: str, flags: int = 0) -> Later:
    r"""A regular expression that is made at its first use.

    After `_WORD = later(r"\w+")`, it is `_WORD().findall(text)`. Making one takes up to some milliseconds, and a
    conversation knows a hundred, of which its first screen needs none.
    """
    return cache(lambda: re.compile(source, flags))
