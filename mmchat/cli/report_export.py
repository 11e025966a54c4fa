"""`mmchat sessions report --rows`: rows for finetuning, and the sheet of what they still need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmchat.chat.report_rows import CONFIRMED, FILL, ROWS_AS, ReportRows, RowsAs, answer_rows, label_rows, wanting
from mmchat.chat.report_sheet import read_sheet, sheet_path, sheet_text
from mmchat.cli.output import narrate, warn
from mmchat.cli.report_words import REASONS
from mmchat.cli.session_rows import write_rows
from mmchat.errors import ConfigError, MemoryStoreError, UsageError
from mmchat.memory.import_values import counted
from mmchat.memory.report import exchanges, rated_answers
from mmchat.paths import replace_text

if TYPE_CHECKING:
    from mmchat.chat.report_values import Report
    from mmchat.memory.report import Scope
    from mmchat.memory.store import MemoryStore

_CHOICES = (
    "'dialogue' (answers to be learnt as they are), 'preference' (a better reply against a worse), "
    "'label' (messages and their intents, for a head)"
)


def check_rows_as(rows_as: str) -> RowsAs:
    """Which rows; dialogues where nothing is said. Raises UsageError."""
    for each in ROWS_AS:
        if rows_as in (each, ""):
            return each
    raise UsageError(f"'{rows_as}' is no kind of row for a report.", hint=f"One of {_CHOICES}.")


def write_report_rows(store: MemoryStore, report: Report, scope: Scope, path: Path, rows_as: RowsAs) -> dict[str, Any]:
    """Write the rows, and beside them the sheet; what was filled in there before is in both.

    Returns:
        what `--json` tells of it.

    Raises:
        UsageError: nothing is wanting, so there is nothing to write.
        DataError: the sheet that is there cannot be read; nothing was written.
        MemoryStoreError: a file cannot be written.
    """
    made = _made(store, report, scope, path, rows_as)
    if not made.rows and not made.lines:
        raise UsageError(
            "No reply is rated bad there and nothing is unanswered: there is nothing to write.",
            hint="`mmchat sessions report` shows what there is; /bad and /better rate replies in a conversation.",
        )
    sheet = sheet_path(path)
    if made.rows:
        write_rows(made.rows, path)
    if made.lines:
        write_whole(sheet, sheet_text(made.lines, FILL[rows_as]))
    _tell(made, path, sheet, rows_as)
    return {
        "file": str(path) if made.rows else None,
        "as": rows_as,
        "rows": len(made.rows),
        "better": made.better,
        "examples": made.examples,
        "filled": made.filled,
        "sheet": str(sheet) if made.lines else None,
        "waiting": made.waiting,
    }


def _made(store: MemoryStore, report: Report, scope: Scope, path: Path, rows_as: RowsAs) -> ReportRows:
    from mmchat.memory.export_rows import FileCopier

    filled = read_sheet(sheet_path(path), FILL[rows_as])
    found = exchanges(store, scope)
    marks = {each.turn: each.mark for each in rated_answers(store, scope)}
    wanted = wanting(report, found, marks, with_unsure=rows_as == "label", why=REASONS)
    if rows_as == "label":
        return label_rows(store, wanted, filled, _role(scope))
    copier = FileCopier(path.with_name(f"{path.name}.files"), path.parent)
    return answer_rows(store, scope, wanted, filled, rows_as, copier)


def _role(scope: Scope) -> Any:
    from mmchat.chat.roles import find_persona

    try:
        return find_persona(scope.role).role if scope.role else None
    except (UsageError, ConfigError) as error:
        warn(f"Without the role's own examples: {error.message}")
        return None


def write_whole(path: Path, text: str) -> None:
    """Write a file that holds what users said, whole or not at all. Raises MemoryStoreError."""
    try:
        replace_text(path, text, is_private=True)
    except OSError as error:
        raise MemoryStoreError(
            f"{path} could not be written: {error.strerror or error}.", hint="Check the folder."
        ) from error


def _tell(made: ReportRows, path: Path, sheet: Path, rows_as: RowsAs) -> None:
    fill = FILL[rows_as]
    if made.rows:
        parts = {"better text": made.better, f"{fill} of {sheet.name}": made.filled, "example": made.examples}
        what = ", ".join(counted(count, name) for name, count in parts.items() if count)
        narrate(f"Wrote {counted(len(made.rows), 'row')} to {path} ({what}). Next: mmchat finetune {path}")
    else:
        warn(f"There is no row to write to {path} yet.")
    if made.waiting:
        wanted = f"an intent, or '{CONFIRMED}' where it was read rightly," if fill == "label" else "an answer"
        warn(
            f"{counted(made.waiting, 'line')} of {sheet} wait for {wanted} in the column '{fill}'. "
            "Fill it in with a spreadsheet, save it as CSV, and repeat this command."
        )
