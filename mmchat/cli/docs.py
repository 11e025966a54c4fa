"""`mmchat docs`: what your documents say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.exits import EXIT_INTERRUPTED
from mmchat.cli.output import StatusLine, confirm, narrate, print_json, print_table, print_text, warn

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Bookshelf, OnProgress, Reading, Shelved
    from mmchat.role_values import Role

app = typer.Typer(
    help="Add, list, search, remove.",
    no_args_is_help=True,
    epilog="\b\nExamples:\n"
    "  mmchat docs add ~/manuals notes.md\n"
    "  mmchat docs add prices.csv --role support\n"
    '  mmchat docs search "how long is the guarantee?"\n'
    "  mmchat docs list\n"
    "  mmchat docs remove notes.md\n"
    "\n\nRead are Markdown, text, HTML, PDF, DOCX, CSV, and pictures with text. The files stay where they are; those "
    "that changed are read again at the start of each conversation.",
)

RoleOption = Annotated[
    str | None, typer.Option("--role", metavar="ROLE", help="Those of a role; see 'mmchat roles list'.")
]
UNSEEN_S = 0.5
"""What takes no longer needs no progress."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, and folders with all in them.")],
    role: RoleOption = None,
    as_json: Json = False,
) -> None:
    """Take in documents, so that answers can cite them. Ctrl+C keeps what is done."""
    from mmchat.chat.shelf_words import problem_lines, shelved_words
    from mmchat.cli.docs_rows import shelved_object

    shelf = _shelf(role)
    with _bookshelf() as bookshelf:
        shelved = _reading(
            lambda on_progress, cancel: bookshelf.add(paths, shelf, on_progress=on_progress, cancel=cancel)
        )
        if as_json:
            print_json(shelved_object(shelved))
        for line in problem_lines(shelved):
            warn(line)
        if shelved.was_stopped:
            warn(shelved_words(shelved))
        elif not as_json:
            print_text(shelved_words(shelved))
    if shelved.was_stopped:
        raise typer.Exit(130)
    if shelved.problems and not shelved.unchanged and not any(document.passages for document in shelved.read):
        raise typer.Exit(4)


@app.command("list")
def list_documents(role: RoleOption = None, as_json: Json = False) -> None:
    """List the documents, yours first."""
    from mmchat.chat.shelf_words import NONE_YET
    from mmchat.cli.docs_rows import document_object, document_row

    shelf = None if role is None else _shelf(role)
    with _bookshelf() as bookshelf:
        documents = bookshelf.all(shelf)
        if as_json:
            print_json([document_object(document) for document in documents])
        elif documents:
            print_table(
                ["ROLE", ">PASSAGES", "READ", "NAME", "WHERE, OR WHAT IS WRONG"],
                [document_row(document) for document in documents],
            )
        elif role is None:
            narrate(NONE_YET)
        else:
            narrate(f"Nothing was read for '{shelf}' yet. Its own folders are, when it is first asked.")


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="In your words.")],
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many at most.")] = 5,
    role: RoleOption = None,
    as_json: Json = False,
) -> None:
    """Find the passages that bear on a question."""
    from mmchat import paths
    from mmchat.chat.shelf_words import NONE_YET, sureness
    from mmchat.cli.docs_rows import found_object, print_found
    from mmchat.native_noise import native_noise_to

    shelf = _shelf(role)
    with _bookshelf() as bookshelf:
        roots = _role(role).knowledge if role is not None else ()
        refreshed = _reading(
            lambda on_progress, cancel: bookshelf.refresh(shelf, roots, on_progress=on_progress, cancel=cancel)
        )
        if refreshed.was_stopped:
            raise typer.Exit(130)
        with native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True):
            found = bookshelf.search(" ".join(query), shelves=(shelf,), k=k)
        if as_json:
            print_json([found_object(each) for each in found])
            return
        if not found and not bookshelf.all(shelf):
            narrate(NONE_YET if role is None else f"The role '{shelf}' has no documents. --role adds some to it.")
            return
        if said := sureness(found):
            narrate(said)
        for each in found:
            print_found(each)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME|PATH...", help="As 'mmchat docs list' shows them.")],
    role: RoleOption = None,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget what documents say. The files themselves stay."""
    from mmchat.cli.docs_rows import document_object
    from mmchat.memory.import_values import counted

    shelf = None if role is None else _shelf(role)
    with _bookshelf() as bookshelf:
        meant = list({each.id: each for name in names for each in bookshelf.meant(name, shelf)}.values())
        named = f"'{meant[0].path}'" if len(meant) == 1 else counted(len(meant), "document")
        if not is_sure and not confirm(f"Forget what {named} {'says' if len(meant) == 1 else 'say'}?"):
            narrate("Nothing was removed.")
            raise typer.Exit(1)
        bookshelf.remove(meant)
        if as_json:
            print_json([document_object(document) for document in meant])
        narrate(f"Removed {named}. The files are where they were.")


def _role(name: str) -> Role:
    from mmchat.chat.roles import find_persona

    return find_persona(name).role


def _shelf(role: str | None) -> str:
    return "" if role is None else _role(role).name


def _reading(work: Callable[[OnProgress, Event], Shelved]) -> Shelved:
    """Read files with progress; the first Ctrl+C stops after the file at hand, the second at once."""
    from mmchat import paths
    from mmchat.chat.shelf_words import reading_words
    from mmchat.cli.stoppable import leave, run_stoppable
    from mmchat.native_noise import native_noise_to

    status, began_s, last = StatusLine(), time.monotonic(), ""

    def on_progress(reading: Reading) -> None:
        nonlocal last
        last = reading_words(reading)

    def on_wait() -> None:
        if last and time.monotonic() - began_s > UNSEEN_S:
            status.show(last)

    try:
        with native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True):
            return run_stoppable(
                lambda cancel: work(on_progress, cancel),
                on_stop=lambda: status.show("Stopping … Ctrl+C again leaves at once."),
                on_wait=on_wait,
            )
    except KeyboardInterrupt:
        status.clear()
        warn("Stopped. What was read is kept; the same command goes on.")
        leave(EXIT_INTERRUPTED)
    finally:
        status.clear()


@contextmanager
def _bookshelf() -> Iterator[Bookshelf]:
    from mmchat.wiring import open_bookshelf, open_hub, open_store

    with closing(open_store()) as store, closing(open_hub(kinds=("embed",))) as hub:
        yield open_bookshelf(store, hub)
