"""What the tasks share: the language of a sample, its seed, and problems told by their lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mmchat.errors import DataError
from mmchat.evals.base import TaskOptions
from mmchat.rows.values import RowProblem
from mmchat.script import is_mostly_chinese

SHOWN_CHARS = 200
_CHINESE_LETTERED = frozenset({"zh", "yue", "ja", "ko"})
"""Languages that may be written in Chinese characters."""
_SHOWN_PROBLEMS = 20


class Problems:
    """Rows that cannot be scored, collected, so that all are told at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[RowProblem] = []

    def add(self, line: int, field: str, text: str) -> None:
        """Note one."""
        self._found.append(RowProblem(self._path, line, field, text))

    def check(self) -> None:
        """Raise DataError if there are any."""
        if self._found:
            more = len(self._found) - _SHOWN_PROBLEMS
            shown = [str(problem) for problem in self._found[:_SHOWN_PROBLEMS]]
            raise DataError(
                "\n".join([*shown, *([f"… and {more} more"] if more > 0 else [])]),
                hint="Nothing was scored. Mend these rows, then run again.",
            )


def language_of(
    references: Sequence[str], row_language: str, options: TaskOptions, problems: Problems, line: int
) -> str:
    """The language that a row's references are scored in, ISO 639-1.

    What the user says goes before what the row says, and that before what the letters look like. Chinese
    letters under a language without them are a problem: its tokeniser would score them as 0.

    Args:
        references: all of the row's.
        row_language: its `lang`, or empty.
        options: `language` is the user's word.
        problems: takes the contradiction.
        line: of the row.
    """
    text = " ".join(references)
    declared = (options.language or row_language).replace("_", "-").partition("-")[0].lower()
    if declared and declared not in _CHINESE_LETTERED and is_mostly_chinese(text):
        who = "--language says" if options.language else "the row says"
        mend = "leave --language out, or write --language zh" if options.language else 'write "lang": "zh"'
        problems.add(line, "lang", f"{who} '{declared}', but the text is Chinese: '{shortened(text, 40)}'; {mend}")
    return declared or ("zh" if is_mostly_chinese(text) else "en")


def sample_seed(seed: int, sample_id: str) -> int:
    """A seed of the sample's own, the same in every process, batch and version of Python."""
    digest = hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def shortened(text: str, limit: int = SHOWN_CHARS) -> str:
    """A text on one line, cut at its end."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def chunks(total: int, size: int) -> list[slice]:
    """Slices of at most `size` that cover `total`."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]
