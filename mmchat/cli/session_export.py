"""`mmchat sessions export`: write conversations to read, to keep and to import."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from mmchat.errors import UsageError


def add_export(app: typer.Typer) -> None:
    """Register `export` with the commands on conversations."""
    app.command("export")(export_sessions)


def export_sessions(
    sessions: Annotated[list[str] | None, typer.Argument(metavar="SESSION")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every conversation.")] = False,
    file_format: Annotated[
        str, typer.Option("--format", "-f", metavar="jsonl|md", help="Rows for import and finetuning, or to read.")
    ] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", "--to", "-o", metavar="FILE", help="Else stdout.")] = None,
    files_dir: Annotated[
        Path | None, typer.Option("--with-files", metavar="DIR", help="Copy pictures and sounds there.")
    ] = None,
    is_rated: Annotated[
        bool, typer.Option("--rated", help="Only rated replies, as rows for finetuning; files are copied beside them.")
    ] = False,
    rated_as: Annotated[
        str, typer.Option("--as", metavar="preference|pairs|thumbs|dialogue", help="Which rows of rated replies.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --rated: print how many rows of each kind.")] = False,
) -> None:
    """Write conversations, or what was rated in them.

    Conversations as JSON Lines or Markdown; with --rated, rated replies as rows for finetuning.
    """
    from mmchat.cli.rated_export import write_rated
    from mmchat.cli.session_rows import chosen, write_export
    from mmchat.wiring import open_settings, open_store

    if file_format not in ("jsonl", "md"):
        raise UsageError(f"'{file_format}' is not a format.", hint="One of: jsonl, md.")
    if not is_rated and (rated_as or as_json):
        raise UsageError("--as and --json are for rated replies.", hint="Add --rated.")
    if is_rated and file_format != "jsonl":
        raise UsageError("Rated replies are written as rows.", hint="Leave --format out.")
    if (bool(sessions) == is_all) if not is_rated else (bool(sessions) and is_all):
        raise UsageError("Say which conversations to export.", hint="Name them, or use --all.")
    with closing(open_store()) as store:
        found = [chosen(store, each) for each in sessions] if sessions else store.list_sessions(limit=-1)[::-1]
        if is_rated:
            write_rated(
                store, found, rated_as=rated_as or "preference", system=open_settings().system, output=output,
                files_dir=files_dir, as_json=as_json,
            )  # fmt: skip
            return
        write_export(store, found, file_format=file_format, output=output, files_dir=files_dir)
