"""`mmchat sessions handover`: a conversation summed up for the person who takes it over."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mmchat.cli.output import confirm, narrate, print_json, print_text
from mmchat.errors import EngineUnavailable, UsageError

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat sessions handover last\n"
    "  mmchat sessions handover 01m803 --copy\n"
    "  mmchat sessions handover 01m803 -o handover.md\n"
    "  mmchat sessions handover last --json | jq .wanted\n"
    "\n\nNothing is invented: it quotes what was said, answered and cited, in the language that was spoken. It is kept "
    "with the conversation, and goes with it."
)


def add_hand_over(app: typer.Typer) -> None:
    """Register `handover` with the commands on conversations."""
    app.command("handover", epilog=EPILOG)(hand_over)


def hand_over(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Id, or its unique beginning, or 'last'.")],
    should_copy: Annotated[bool, typer.Option("--copy", help="Copy it to the clipboard instead.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file or folder instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it piece by piece.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Replace a file without asking.")] = False,
) -> None:
    """Sum up a conversation for a person."""
    from mmchat.chat.hand_over import HandingOver, persona_of, write_summary
    from mmchat.cli.session_rows import chosen
    from mmchat.wiring import open_store

    if should_copy + (output is not None) + as_json > 1:
        raise UsageError("--copy, --output and --json each take it elsewhere.", hint="Use one of them.")
    with closing(open_store()) as store:
        found = chosen(store, session)
        handing_over = HandingOver(store, persona_of(found), lambda: found)
        path = handing_over.path_for(str(output), Path.cwd()) if output is not None else None
        if path is not None and path.is_file() and not is_sure and not confirm(f"Replace {path}?"):
            narrate("Nothing was written.")
            raise typer.Exit(1)
        made, summary = handing_over.with_summary()
        if should_copy:
            _copy(made.text)
        elif path is not None:
            write_summary(made.text, path)
        made = handing_over.keep(made)
    if as_json:
        print_json({"id": made.id, **asdict(summary), "text": made.text, "created_at": made.created_at})
    elif path is not None:
        narrate(f"The summary was written to {path}.")
    elif not should_copy:
        print_text(made.text, end="")


def _copy(text: str) -> None:
    from mmchat.tui.clipboard import copy_natively

    how = copy_natively(text)
    if not how:
        raise EngineUnavailable(
            "No program that reaches the clipboard was found.", hint="Write it to a file instead: --output FILE"
        )
    narrate(f"The summary was copied with {how}.")
