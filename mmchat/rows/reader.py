"""Files of rows, read and checked whole before any row is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmchat.errors import DataError
from mmchat.rows.convert import to_row
from mmchat.rows.kinds import kind_of, unknown_kind, without_nulls
from mmchat.rows.lines import JsonLines, unreadable
from mmchat.rows.values import Row, RowFile, RowKind, RowProblem

SHOWN_PROBLEMS = 20
_APART = "put it into a file of its own"


def find_row_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Files as they are, folders searched for `*.jsonl`, at any depth and sorted; each file once.

    Raises:
        DataError: a path that is not there, or a folder without any such file.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            inside = sorted(each for each in path.rglob("*.jsonl") if each.is_file()) if path.is_dir() else [path]
            is_there = path.exists()
        except OSError as error:
            raise unreadable(path, error) from error
        if not is_there:
            raise DataError(f"There is no {path}.", hint="Check the path.")
        if not inside:
            raise DataError(f"The folder {path} holds no file of rows.", hint="Rows are in files that end in .jsonl.")
        for each in inside:
            found.setdefault(each.resolve(), each)
    return tuple(found.values())


def read_rows(path: Path, *, should_skip_bad: bool = False) -> RowFile:
    """Read and check a whole file of rows. What kind they are is found from their keys.

    A file holds one kind: the one that most of its rows are of. A dialogue needs no reply here (one that
    is imported may end anywhere); whoever needs replies complains.

    Args:
        path: JSON Lines in UTF-8.
        should_skip_bad: leave bad rows out and list them in `problems`, instead of refusing the file.

    Raises:
        DataError: names the bad rows, each as `file:line: field: what is wrong, and how to mend it`; or the
            file cannot be read, or holds no (good) row.
    """
    lines = JsonLines(path)
    found: list[tuple[RowKind, int, Row | None]] = []
    problems: list[RowProblem] = []
    for fields in lines:
        if not fields.problems:
            fields.row = without_nulls(fields.row)
            kind = kind_of(fields.row)
            if kind is None:
                fields.wrong("row", unknown_kind(fields.row))
            else:
                found.append((kind, fields.place.line, to_row(fields, kind)))
        problems += fields.problems
    if not found and not problems:
        raise DataError(f"{path} holds no rows.", hint="Give a file of JSON Lines: one object on each line.")
    kind = Counter(kind for kind, _, _ in found).most_common(1)[0][0] if found else "text"
    others = {line: other for other, line, _ in found if other != kind}
    # What else is wrong with a row of another kind shows once it is where it belongs.
    problems = [each for each in problems if each.line not in others]
    problems += [
        RowProblem(path, line, "row", f"is a {other} row among {kind} rows; {_APART}") for line, other in others.items()
    ]
    problems.sort(key=lambda each: each.line)
    rows = tuple(row for other, _, row in found if other == kind and row is not None)
    if problems and not (should_skip_bad and rows):
        raise _refusal(problems, is_skipping=should_skip_bad)
    return RowFile(path, lines.sha256, kind, rows, tuple(problems))


def problem_lines(problems: Sequence[RowProblem]) -> list[str]:
    """The first problems, one a line, and how many more there are."""
    shown = [str(each) for each in problems[:SHOWN_PROBLEMS]]
    return [*shown, f"… and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else shown


def _refusal(problems: Sequence[RowProblem], *, is_skipping: bool) -> DataError:
    hint = (
        "No row of the file is good; mend them."
        if is_skipping
        else "No row was used. Mend these, or leave them out with --skip-bad."
    )
    return DataError("\n".join(problem_lines(problems)), hint=hint)
