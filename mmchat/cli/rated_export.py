"""`mmchat sessions export --rated`: rated replies as a file of rows for finetuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.cli.output import narrate, print_json, warn
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.domain import Session
    from mmchat.memory.export_rows import PathOf
    from mmchat.memory.rated_rows import RatedRows
    from mmchat.memory.store import MemoryStore

_LEFT_OUT = {
    "preference": "they answer nothing",
    "pairs": "nothing better or worse is known for the same question",
    "thumbs": "they answer nothing",
    "dialogue": "they are bad, or answer nothing",
}
_CHOICES = (
    "'preference' (better against worse, and single replies liked or not), 'pairs' (only better against worse), "
    "'thumbs' (only liked or not), 'dialogue' (what was good, to be learnt as it is)"
)


def write_rated(
    store: MemoryStore,
    sessions: Sequence[Session],
    *,
    rated_as: str,
    system: str,
    output: Path | None,
    files_dir: Path | None,
    as_json: bool,
) -> None:
    """Write the rated replies of conversations to a file or stdout.

    Raises:
        UsageError: nothing is rated, or no row of the wanted kind can be made of it; no file was written.
        MemoryStoreError: a file cannot be written.
    """
    from mmchat.cli.session_rows import write_rows
    from mmchat.memory.export_rows import FileCopier, kept_path
    from mmchat.memory.rated_rows import RATED_AS, rated_rows
    from mmchat.memory.ratings import rated_replies

    if rated_as not in RATED_AS:
        raise UsageError(f"'{rated_as}' is no kind of row for ratings.", hint=f"One of {_CHOICES}.")
    if as_json and output is None:
        raise UsageError("The rows themselves go to stdout.", hint="Give them a file with --to FILE.")
    path_of: PathOf = kept_path
    if output is not None:
        path_of = FileCopier(files_dir or output.with_name(f"{output.name}.files"), output.parent)
    elif files_dir is not None:
        path_of = FileCopier(files_dir, Path())
    rated = rated_replies(store, sessions)
    if not rated:
        raise UsageError(
            "No reply is rated there yet.",
            hint="In `mmchat talk`, /good and /bad rate the last reply; /better TEXT says how it should have been.",
        )
    made = rated_rows(rated, rated_as, path_of, system)
    if not made.rows:
        raise UsageError(
            f"{len(rated)} replies are rated, but they make no rows as '{rated_as}'.",
            hint=f"Another --as may: {_CHOICES}.",
        )
    write_rows(made.rows, output)
    counts = _counts(made, rated_as, output)
    if as_json:
        print_json(counts)
    what = f"{counts['pairs']} pairs, {counts['good']} good, {counts['bad']} bad, {counts['dialogues']} dialogues"
    narrate(f"Wrote {len(made.rows)} rows ({what})." + _next_step(output))
    if made.left_out:
        warn(f"Of {len(rated)} rated replies, {made.left_out} are in no row: {_LEFT_OUT[rated_as]}.")


def _counts(made: RatedRows, rated_as: str, output: Path | None) -> dict[str, object]:
    is_dialogue = rated_as == "dialogue"
    return {
        "file": str(output) if output is not None else None,
        "as": rated_as,
        "rows": len(made.rows),
        "pairs": made.count("chosen"),
        "good": made.count("label", True),
        "bad": made.count("label", False),
        "dialogues": len(made.rows) if is_dialogue else 0,
        "left_out": made.left_out,
    }


def _next_step(output: Path | None) -> str:
    return f" Next: mmchat finetune {output}" if output is not None else ""
