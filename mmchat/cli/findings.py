"""What a check of `mmchat doctor` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    status: Status
    """warn: something is missing or could be better; fail: something is broken."""
    detail: str
    fix: str = ""
    """The next step; empty when there is none to take."""

    def row(self) -> dict[str, str]:
        """As `--json` prints it."""
        return asdict(self)
