"""`mmchat sessions export`: write conversations to read, to keep and to import."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import StatusLine, confirm, narrate, print_text
from mmchat.errors import UsageError
from mmchat.sanitize import plain_text

if TYPE_CHECKING:
    from mmchat.domain import Session
    from mmchat.memory.export_write import ExportFormat, ExportTally
    from mmchat.memory.store import MemoryStore


def add_export(app: typer.Typer) -> None:
    """Register `export` with the commands on conversations."""
    app.command(
        "export",
        epilog="\b\nExamples:\n"
        "  mmchat sessions export last -o talk.html\n"
        "  mmchat sessions export --all -o talks.zip\n"
        "  mmchat sessions export --all -o talks.jsonl --with-files talks.files\n"
        "  mmchat sessions export 01m803 -f md | less\n",
    )(export_sessions)


def export_sessions(
    sessions: Annotated[list[str] | None, typer.Argument(metavar="SESSION")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every conversation.")] = False,
    file_format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="jsonl|md|html", help="For import and finetuning, or to read. Else by FILE's end."
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "--to", "-o", metavar="FILE", help="A file, a folder or a .zip. Else stdout."),
    ] = None,
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
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Replace a file without asking.")] = False,
) -> None:
    """Write conversations, or what was rated in them.

    As JSON Lines, which `import` reads back, as Markdown, or as one page of HTML with its pictures; with --rated, rated
    replies as rows for finetuning.
    """
    from mmchat.cli.rated_export import write_rated
    from mmchat.cli.session_rows import chosen
    from mmchat.memory.export_write import chosen_format, format_of
    from mmchat.wiring import open_settings, open_store

    by_ending = format_of(output) if output is not None else None
    wanted = chosen_format(file_format) if file_format else by_ending or "jsonl"
    if not is_rated and (rated_as or as_json):
        raise UsageError("--as and --json are for rated replies.", hint="Add --rated.")
    if is_rated and wanted != "jsonl":
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
        elif output is None:
            _print(store, found, wanted, files_dir)
        else:
            _write(store, found, wanted, output, files_dir, is_sure=is_sure)


def _print(store: MemoryStore, sessions: Sequence[Session], wanted: ExportFormat, files_dir: Path | None) -> None:
    from mmchat.memory.export_rows import FileCopier, kept_path
    from mmchat.memory.export_write import ExportTally, export_pieces

    tally = ExportTally()
    path_of = FileCopier(files_dir, Path()) if files_dir is not None else kept_path
    for piece in export_pieces(store, sessions, wanted, path_of, tally):
        print_text(escaped(piece) if wanted == "jsonl" else piece, end="")
    _say(tally, None)


def _write(
    store: MemoryStore,
    sessions: Sequence[Session],
    wanted: ExportFormat,
    output: Path,
    files_dir: Path | None,
    *,
    is_sure: bool,
) -> None:
    from mmchat.memory.export_write import write_export

    if files_dir is not None and (output.suffix.lower() == ".zip" or wanted == "html"):
        what = "A zip" if output.suffix.lower() == ".zip" else "A page of HTML"
        raise UsageError(f"{what} holds its files itself.", hint="Leave --with-files out.")
    if output.is_file() and not is_sure and not confirm(f"Replace {output}?"):
        narrate("Nothing was written.")
        raise typer.Exit(1)
    status = StatusLine()

    def show(tally: ExportTally) -> None:
        status.show(f"Exporting: {tally.conversations} of {len(sessions)} conversations")

    try:
        tally = write_export(store, sessions, output, wanted, files_dir=files_dir, on_step=show)
    finally:
        status.clear()
    _say(tally, output)


def _say(tally: ExportTally, output: Path | None) -> None:
    from mmchat.memory.import_values import counted

    where = f" to {output}" if output is not None else ""
    without = f", without {tally.empty} that hold no words" if tally.empty else ""
    what = f"{counted(tally.conversations, 'conversation')} with {counted(tally.turns, 'turn')}"
    narrate(f"Exported {what}{where}{without}.")


def escaped(lines: str) -> str:
    """JSON in which what printing would strip is written as escapes, so that nothing is lost on stdout."""
    if plain_text(lines) == lines:
        return lines
    return "".join(each if plain_text(each) == each else json.dumps(each)[1:-1] for each in lines)
