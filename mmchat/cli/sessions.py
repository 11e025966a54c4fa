"""`mmchat sessions`: look through conversations, and bring them in and out."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import narrate, print_json, print_table, print_text
from mmchat.cli.session_backup import add_backup
from mmchat.cli.session_care import add_care
from mmchat.cli.session_export import add_export
from mmchat.cli.session_hand_over import add_hand_over
from mmchat.cli.session_import import add_import
from mmchat.cli.session_report import add_report
from mmchat.cli.session_shelves import add_shelves
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.memory.shelves import Shelf

app = typer.Typer(
    help="List, search, tag, fork, delete, export, import.",
    no_args_is_help=True,
    epilog="\b\nExamples:\n"
    '  mmchat sessions search "lisbon hotel"\n'
    "  mmchat sessions show 01m803 | less\n"
    "  mmchat sessions list --tag travel\n"
    "  mmchat sessions delete 01m803     to the trash\n"
    "  mmchat sessions export --all -o talks.jsonl --with-files talks-files\n"
    "  mmchat sessions export --rated --to rows.jsonl\n"
    "  mmchat sessions report --role support\n"
    "\n\nSESSION is an id or a unique beginning of one; 'last' is the latest conversation.",
)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id, or its unique beginning, or 'last'.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many at most.")]


@app.command("list")
def list_sessions(
    query: Annotated[str, typer.Option("--query", "-q", help="Only those that hold these words.")] = "",
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only with this tag; again: both.")
    ] = None,
    is_archived: Annotated[bool, typer.Option("--archived", help="The archived ones.")] = False,
    is_trash: Annotated[bool, typer.Option("--trash", help="Those in the trash.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List conversations, the latest first. With words, archived ones too."""
    from mmchat.cli.session_rows import LIST_COLUMNS, list_row, session_object
    from mmchat.wiring import open_store

    if is_archived and is_trash:
        raise UsageError("--archived and --trash name two places.", hint="Use one of them.")
    with closing(open_store()) as store:
        shelf = _shelf(query, is_archived=is_archived, is_trash=is_trash)
        sessions = store.list_sessions(limit=limit, query=query, shelf=shelf, tags=tags or ())
        if as_json:
            print_json([session_object(session) for session in sessions])
        elif sessions:
            print_table(LIST_COLUMNS, [list_row(session) for session in sessions])
        elif query or tags:
            narrate("No conversations match.")
        elif is_archived:
            narrate("Nothing is archived. `mmchat sessions archive SESSION` puts one away.")
        else:
            narrate("The trash is empty." if is_trash else "No conversations yet. Start one: mmchat talk")


def _shelf(query: str, *, is_archived: bool, is_trash: bool) -> Shelf:
    if is_archived or is_trash:
        return "archived" if is_archived else "trash"
    return "kept" if query.strip() else "listed"


@app.command()
def show(session: SessionId, as_json: Json = False) -> None:
    """Print a conversation as Markdown. With --json, everything known of it."""
    from mmchat.cli.session_rows import chosen, session_object, turn_object
    from mmchat.memory.export_markdown import markdown
    from mmchat.memory.export_rows import kept_path
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        found = chosen(store, session)
        turns = store.turns(found.id)
        if as_json:
            print_json({**session_object(found), "turns": [turn_object(turn) for turn in turns]})
        else:
            print_text(markdown(found, turns, kept_path), end="")


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="Words; the last may be unfinished.")],
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Find the turns that hold all the words. In English and Chinese."""
    from mmchat.cli.session_rows import hit_object, print_hit
    from mmchat.memory.turn_search import search_turns
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        hits = search_turns(store, " ".join(query), limit=limit)
        if as_json:
            print_json([hit_object(hit) for hit in hits])
            return
        for hit in hits:
            print_hit(hit)
        if not hits:
            narrate("Nothing holds all of these words. `mmchat recall` also looks by meaning.")


@app.command()
def rename(session: SessionId, title: Annotated[str, typer.Argument(metavar="TITLE")]) -> None:
    """Give a conversation another title."""
    from mmchat.cli.session_rows import chosen
    from mmchat.wiring import open_store

    if not title.strip():
        raise UsageError("The title is empty.", hint="Give one in quotes.")
    with closing(open_store()) as store:
        renamed = store.rename_session(chosen(store, session).id, title.strip())
        narrate(f"{renamed.id} is now called {renamed.title}")


@app.command()
def fork(
    session: SessionId,
    at_turn: Annotated[str | None, typer.Option("--at", metavar="TURN", help="The last turn to copy.")] = None,
) -> None:
    """Copy a conversation, to go on from there. Whole, or up to a turn; prints the new id."""
    from mmchat.cli.session_rows import chosen
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        print_text(store.fork_session(chosen(store, session).id, at_turn=at_turn).id)


add_shelves(app)
add_export(app)
add_hand_over(app)
add_import(app)
add_report(app)
add_backup(app)
add_care(app)
