"""What the tasks share: the language of a sample, its seed, and problems told by their lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmchat.errors import DataError, MediaError
from mmchat.evals.base import TaskOptions
from mmchat.rows.values import RowProblem
from mmchat.script import language_of

SHOWN_CHARS = 200
UNDETERMINED = "und"
"""The language of a file without letters, by ISO 639-2."""
_LETTERS = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean"}
_UNSPACED = frozenset({"yue", *_LETTERS})
"""Languages whose tokenisers know these letters."""
_SHOWN_PROBLEMS = 20
# What sets the parts of a prompt apart in the templates of the usual models, such as <|im_end|>, </s> or [INST].
_MARK = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:bos|eos|pad|unk|mask|(?:start|end)_of_turn)>|\[/?INST\]|\[(?:PAD|UNK|CLS|SEP|MASK)\]"
)


class BadRows(DataError):
    """Rows that a task cannot score; without them it could score the others."""

    def __init__(self, message: str, problems: Sequence[RowProblem], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class Problems:
    """Rows that cannot be scored, collected, so that all are told at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[RowProblem] = []

    def add(self, line: int, field: str, text: str) -> None:
        """Note one."""
        self._found.append(RowProblem(self._path, line, field, text))

    def check(self) -> None:
        """Raise BadRows if there are any."""
        if self._found:
            more = len(self._found) - _SHOWN_PROBLEMS
            shown = [str(problem) for problem in self._found[:_SHOWN_PROBLEMS]]
            raise BadRows(
                "\n".join([*shown, *([f"… and {more} more"] if more > 0 else [])]),
                self._found,
                hint="Nothing was scored. Mend these rows, or leave them out with --skip-bad.",
            )


class Languages:
    """The language that each row's references are scored in, ISO 639-1.

    What the user says goes before what the row says, and that before what the letters look like; a row of
    digits alone is in the language of its file. Chinese, Japanese or Korean letters under another language
    are a problem: its tokeniser would score them as 0.
    """

    def __init__(self, options: TaskOptions, problems: Problems, references: Iterable[Sequence[str]]) -> None:
        """`references`: those of all rows of the file."""
        self._declared = options.language
        self._problems = problems
        self._of_file = language_of([text for each in references for text in each]) or UNDETERMINED

    def of(self, references: Sequence[str], row_language: str, line: int) -> str:
        """The language of one row, whose `lang` may be empty."""
        declared = (self._declared or row_language).replace("_", "-").partition("-")[0].lower()
        letters = language_of(references)
        if not declared:
            return letters or self._of_file
        if is_unknown_script(letters, declared):
            who = "--language says" if self._declared else "the row says"
            mend = f"write --language {letters}" if self._declared else f'write "lang": "{letters}"'
            shown = shortened(" ".join(references), 40)
            text = f"{who} '{declared}', but the text is {_LETTERS[letters]}: '{shown}'; {mend}"
            self._problems.add(line, "lang", text)
        return declared


def only_mark(text: str) -> str:
    """What to say of a text that is template marks and nothing else; empty of any other."""
    if not text.strip() or _MARK.sub("", text).strip():
        return ""
    return f"is only a template mark, '{shortened(text, 40)}'; give it words, or leave the row out"


def language_doubts(references: Iterable[str], language: str) -> tuple[str, ...]:
    """What to say where the letters of a whole file are not those of the language that the user named for it.

    Args:
        references: all of the file.
        language: as typed after `--language`; empty where nothing was.
    """
    declared = language.replace("_", "-").partition("-")[0].lower()
    letters = language_of(list(references))
    if declared not in _UNSPACED or not letters or letters == declared or (declared, letters) == ("yue", "zh"):
        return ()
    found = _LETTERS.get(letters, "Latin, as in English")
    return (
        f"--language says '{declared}', but the letters are {found}: the tokeniser of another language scores them; "
        "leave --language out to have it found row by row.",
    )


def of_row(sample_id: str, key: str, error: MediaError) -> MediaError:
    """The same error, saying which row's file it is."""
    return type(error)(f"{sample_id}: {key}: {error.message}", hint=error.hint)


def is_unknown_script(letters: str, language: str) -> bool:
    """Whether the tokeniser of a language cannot part texts in letters that `language_of` calls so."""
    return letters in _LETTERS and language not in _UNSPACED


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
