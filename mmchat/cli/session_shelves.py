"""`mmchat sessions archive`, `tag`, `delete`, `restore`: where conversations lie, and what they are labelled with."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import confirm, narrate, print_json, print_text, warn
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.domain import Session

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id, or its unique beginning, or 'last'.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IsSure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

TAG_EPILOG = (
    "\b\nExamples:\n"
    "  mmchat sessions tag last travel 旅行\n"
    "  mmchat sessions tag 01m803 +work -draft\n"
    "  mmchat sessions tag 01m803\n"
    "  mmchat sessions list --tag work\n"
    "\n\nOptions come before SESSION. A tag with spaces goes in quotes; capitals are made small."
)
DELETE_EPILOG = (
    "\b\nExamples:\n"
    "  mmchat sessions delete 01m803\n"
    "  mmchat sessions restore 01m803\n"
    "  mmchat sessions delete 01m803 --now\n"
    "\n\nIn the trash a conversation is neither listed nor found nor recalled. `mmchat sessions gc` removes what has "
    "been there for 30 days; `empty-trash` removes all of it at once."
)


def add_shelves(app: typer.Typer) -> None:
    """Register these commands with the others on conversations."""
    app.command("archive")(archive)
    app.command("unarchive")(unarchive)
    # What begins with a minus after SESSION is a tag to take off, no option.
    app.command("tag", epilog=TAG_EPILOG, context_settings={"allow_interspersed_args": False})(tag)
    app.command("delete", epilog=DELETE_EPILOG)(delete)
    app.command("restore")(restore)
    app.command("empty-trash")(empty_trash)


def archive(session: SessionId) -> None:
    """Put a conversation away; it is still found and recalled."""
    _set_archived(session, True)


def unarchive(session: SessionId) -> None:
    """List an archived conversation again."""
    _set_archived(session, False)


def _set_archived(session_id: str, is_archived: bool) -> None:
    from mmchat.cli.session_rows import chosen
    from mmchat.memory.shelves import set_archived
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        session = set_archived(store, chosen(store, session_id).id, is_archived)
    if is_archived:
        narrate(f"Archived {name_of(session)}. `mmchat sessions unarchive {session.id}` undoes it.")
    else:
        narrate(f"{name_of(session)} is listed again.")


def tag(
    session: SessionId,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[+|-]TAG", help="To add, or with - to take off.")] = None,
    as_json: Json = False,
) -> None:
    """Add tags to a conversation, or take them off. Prints its tags, one a line."""
    from mmchat.cli.session_rows import chosen, session_object
    from mmchat.memory.shelves import change_tags
    from mmchat.wiring import open_store

    add = [each.removeprefix("+") for each in tags or () if not each.startswith("-")]
    remove = [each[1:] for each in tags or () if each.startswith("-")]
    with closing(open_store()) as store:
        tagged = change_tags(store, chosen(store, session).id, add, remove)
    if as_json:
        print_json(session_object(tagged))
    elif tagged.tags:
        print_text("\n".join(tagged.tags))
    else:
        narrate("It has no tags.")


def delete(
    session: SessionId,
    is_now: Annotated[bool, typer.Option("--now", help="For good, not to the trash.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="With --now: do not ask.")] = False,
) -> None:
    """Move a conversation to the trash. `restore` brings it back."""
    from mmchat.cli.session_rows import chosen
    from mmchat.memory.trash import KEPT_DAYS, move_to_trash
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        found = chosen(store, session)
        if not is_now:
            was_there = found.deleted_at is not None
            move_to_trash(store, found.id)
            # Also in a script's log: it is how to undo it.
            warn(
                f"{name_of(found)} {'was' if was_there else 'is'} in the trash, for {KEPT_DAYS} days. "
                f"`mmchat sessions restore {found.id}` brings it back."
            )
            return
        files = sum(len(turn.attachments) for turn in store.turns(found.id))
        question = f"Delete {name_of(found)} with {found.turn_count} turns and {files} files for good?"
        if not is_sure and not confirm(question):
            narrate("Nothing was deleted.")
            raise typer.Exit(1)
        store.delete_session(found.id)
        narrate(f"Deleted {name_of(found)} for good.")


def restore(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Id; 'last' is what was deleted last.")],
) -> None:
    """Bring a conversation back from the trash."""
    from mmchat.memory import trash
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        if session == "last":
            in_trash = store.list_sessions(shelf="trash", limit=-1)
            if not in_trash:
                raise UsageError("The trash is empty.", hint="`mmchat sessions list` shows what is not in it.")
            found = max(in_trash, key=lambda each: each.deleted_at or "")
        else:
            found = store.get_session(session)
        if found.deleted_at is None:
            narrate(f"{name_of(found)} is not in the trash.")
            return
        trash.restore(store, found.id)
        narrate(f"Brought back {name_of(found)}.")


def empty_trash(is_sure: IsSure = False, as_json: Json = False) -> None:
    """Delete for good all conversations in the trash."""
    from mmchat.memory.trash import purge
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        due = purge(store, 0, should_remove=False)
        if not due:
            narrate("The trash is empty.")
        turns = sum(session.turn_count for session in due)
        count = f"{len(due)} conversations" if len(due) != 1 else f"{name_of(due[0])}"
        if due and not is_sure and not confirm(f"Delete {count} with {turns} turns for good?"):
            narrate("Nothing was deleted.")
            raise typer.Exit(1)
        gone = purge(store, 0) if due else ()
    if gone:
        narrate(f"Deleted for good: {', '.join(name_of(each) for each in gone)}")
    if as_json:
        print_json([each.id for each in gone])


def name_of(session: Session) -> str:
    """A conversation by title and id."""
    return f"'{session.title}' ({session.id})" if session.title else session.id
