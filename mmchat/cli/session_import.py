"""`mmchat sessions import`: bring conversations in, from mmchat and from other programs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmchat.cli.output import StatusLine, narrate, print_json, print_table, warn
from mmchat.errors import MmchatError, UsageError
from mmchat.moments import local_minute

if TYPE_CHECKING:
    from mmchat.memory.import_open import ImportSource
    from mmchat.memory.import_run import ImportTally

_SHOWN_UNREADABLE = 10


def add_import(app: typer.Typer) -> None:
    """Register `import` with the commands on conversations."""
    app.command(
        "import",
        epilog="\b\nExamples:\n"
        "  mmchat sessions import chatgpt-export.zip --dry-run\n"
        "  mmchat sessions import chatgpt-export.zip --grown\n"
        "  mmchat sessions import talks.zip\n"
        '  mmchat sessions import "$(llm logs path)"\n',
    )(import_sessions)


def import_sessions(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file, a folder or a zip.")],
    kind: Annotated[
        str,
        typer.Option(
            "--from", metavar="auto|mmchat|chatgpt|claude|llm|oterm|markdown", help="Refuse anything but this."
        ),
    ] = "auto",
    is_dry: Annotated[bool, typer.Option("--dry-run", help="List what would come; store nothing.")] = False,
    should_repeat: Annotated[bool, typer.Option("--again", help="Also those that are there already.")] = False,
    should_take_grown: Annotated[
        bool, typer.Option("--grown", help="Of those there already, the ones with more turns by now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    should_skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad rows of JSON Lines out, and say which.")
    ] = False,
) -> None:
    """Bring in conversations, of mmchat or of other programs.

    What FILE is, is found out: an export of `mmchat sessions export` (JSON Lines, Markdown, zip); other dialogue rows
    (messages, ShareGPT, LLaVA, Alpaca, prompt and completion) or memory rows; a ChatGPT or Claude export (the zip or
    its conversations.json); the database of `llm` or of oterm. Conversations that are there already are passed over.
    """
    from mmchat.cli.stoppable import run_stoppable
    from mmchat.memory.import_open import open_source
    from mmchat.memory.import_run import ImportChoice, ImportTally, run_import
    from mmchat.rows.reader import problem_lines
    from mmchat.wiring import open_store

    if should_repeat and should_take_grown:
        raise UsageError("--again takes all of them, --grown only some.", hint="Use one of the two.")
    tally, status = ImportTally(), StatusLine()
    choice = ImportChoice(should_repeat, should_take_grown, is_dry)
    with closing(open_store()) as store, open_source(path, kind, should_skip_bad=should_skip_bad) as source:
        if source.problems:
            warn("\n".join(["Left out, with what is wrong:", *problem_lines(source.problems)]))

        def work(cancel: Event) -> None:
            run_import(store, source.incoming, choice, tally=tally, cancel=cancel)

        try:
            run_stoppable(
                work,
                on_stop=lambda: status.show("Stopping after the conversation at hand…"),
                on_wait=lambda: status.show(_progress(source, tally)),
            )
        except MmchatError:
            status.clear()
            _say(source, tally, is_dry=is_dry, is_broken=True)
            raise
        status.clear()
        if as_json:
            print_json(_object(source, tally))
        elif is_dry:
            _print_looked(tally)
        _say(source, tally, is_dry=is_dry)
    if tally.is_stopped:
        raise typer.Exit(130)


def _progress(source: ImportSource, tally: ImportTally) -> str:
    done = len(tally.imported) or len(tally.looked)
    words = f"Importing: {done:,} conversations, {tally.turns:,} turns"
    if source.total_bytes > 10_000_000:
        words += f"; {source.done_bytes() / 1e6:,.0f} of {source.total_bytes / 1e6:,.0f} MB read"
    return words


def _print_looked(tally: ImportTally) -> None:
    words = {"new": "new", "there": "there", "grown": "there, has grown"}
    print_table(
        ["LAST TURN", ">TURNS", "STATE", "TITLE"],
        [
            [
                local_minute(each.last_said_at) if each.last_said_at else "-",
                str(each.turn_count),
                words[each.standing],
                each.title or "-",
            ]
            for each in tally.looked
        ],
    )


def _say(source: ImportSource, tally: ImportTally, *, is_dry: bool, is_broken: bool = False) -> None:
    """What came, what was there, and what could not come: nothing is lost without a word."""
    from mmchat.memory.import_values import counted

    would = sum(each.standing == "new" for each in tally.looked) if is_dry else len(tally.imported)
    head = "Would import" if is_dry else "Imported"
    files = f" and {counted(tally.files, 'file')}" if tally.files else ""
    line = f"{head} {counted(would, 'conversation')} with {counted(tally.turns, 'turn')}{files} ({source.kind})."
    if tally.is_stopped or is_broken:
        (warn if would or is_broken else narrate)(f"Stopped. {line} What was imported stays; the same command goes on.")
    else:
        narrate(line)
    if tally.there:
        grown = (
            f", {tally.grown:,} of them with fewer turns than the file: --grown imports those" if tally.grown else ""
        )
        warn(f"Passed over {counted(tally.there, 'conversation')} that are there already{grown}.")
    if tally.empty:
        warn(f"Passed over {counted(tally.empty, 'conversation')} in which nothing was said.")
    if tally.unreadable:
        shown = [f"  {each.name}: {each.reason}" for each in tally.unreadable[:_SHOWN_UNREADABLE]]
        if len(tally.unreadable) > _SHOWN_UNREADABLE:
            shown.append(f"  … and {len(tally.unreadable) - _SHOWN_UNREADABLE} more")
        warn("\n".join([f"Could not import {counted(len(tally.unreadable), 'conversation')}:", *shown]))
    if tally.left_out:
        warn(f"Left out of them: {'; '.join(_pieces(tally))}.")


def _pieces(tally: ImportTally) -> list[str]:
    return [f"{number:,} {what if number == 1 else _plural(what)}" for what, number in tally.left_out.most_common()]


def _plural(what: str) -> str:
    first, *rest = what.split(" that ", 1)
    first = {"other branch": "other branches"}.get(first, f"{first}s" if not first.startswith("message of") else first)
    return " that ".join([first, *rest])


def _object(source: ImportSource, tally: ImportTally) -> dict[str, Any]:
    from mmchat.cli.session_rows import session_object

    return {
        "from": source.kind,
        "imported": [session_object(session) for session in tally.imported],
        "turns": tally.turns,
        "files": tally.files,
        "there": tally.there,
        "grown": tally.grown,
        "empty": tally.empty,
        "unreadable": [{"name": each.name, "reason": each.reason} for each in tally.unreadable],
        "left_out": dict(tally.left_out),
        "stopped": tally.is_stopped,
        "would_import": [
            {
                "title": each.title,
                "source": each.source,
                "turns": each.turn_count,
                "last_turn": each.last_said_at,
                "state": each.standing,
            }
            for each in tally.looked
        ],
    }
