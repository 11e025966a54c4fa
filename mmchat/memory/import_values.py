"""Values of other programs' files, whatever stands in their places: nothing of a foreign export is relied on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mmchat.moments import utc_text

Fields = Mapping[str, Any]
_NOTHING: Fields = {}
_TITLE_CHARACTERS = 60


def fields_of(value: object) -> Fields:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else _NOTHING


def list_of(value: object) -> Sequence[Any]:
    """A list; empty for anything else."""
    return value if isinstance(value, list) else ()


def text_of(value: object) -> str:
    """A text; "" for anything else."""
    return value if isinstance(value, str) else ""


def moment_of(value: object) -> str:
    """A time as the store spells it, from seconds since 1970 or ISO text; "" for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
            return utc_text(datetime.fromtimestamp(value, UTC))
        if isinstance(value, str) and value:
            moment = datetime.fromisoformat(value)
            return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        pass
    return ""


def counted(number: int, what: str) -> str:
    """Such as "1 picture", "2 pictures"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def title_from(text: str) -> str:
    """A title for a conversation without one: the beginning of what was said first."""
    words = re.sub(r"\s+", " ", text).strip()
    return words if len(words) <= _TITLE_CHARACTERS else words[: _TITLE_CHARACTERS - 1].rstrip() + "…"


def joined(parts: Sequence[str]) -> str:
    """Pieces of a message, one below the other with a blank line between."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())
