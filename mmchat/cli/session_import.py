"""`mmchat sessions import`: bring conversations in."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from mmchat.cli.output import narrate, print_json, warn


def add_import(app: typer.Typer) -> None:
    """Register `import` with the commands on conversations."""
    app.command("import")(import_sessions)


def import_sessions(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    should_skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and say which.")] = False,
) -> None:
    """Bring in conversations from JSON Lines.

    Dialogue rows (messages, ShareGPT, LLaVA, Alpaca, prompt and completion) or memory rows; all or, on an error, none.
    """
    from mmchat.cli.session_rows import session_object
    from mmchat.memory.import_rows import conversations_of, store_conversations
    from mmchat.rows.reader import problem_lines, read_rows
    from mmchat.wiring import open_store

    rows = read_rows(file, should_skip_bad=should_skip_bad)
    if rows.problems:
        warn("\n".join(["Left out, with what is wrong:", *problem_lines(rows.problems)]))
    conversations = conversations_of(rows)
    with closing(open_store()) as store:
        imported, _ = store_conversations(store, conversations)
    turns = sum(session.turn_count for session in imported)
    narrate(f"Imported {len(imported)} conversations with {turns} turns.")
    if as_json:
        print_json([session_object(session) for session in imported])
