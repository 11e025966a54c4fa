"""The commands of the plain mode on conversations and their branches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mmchat.chat.library import KEPT_DAYS, in_words_and_tags
from mmchat.chat.session import UserInput
from mmchat.cli.output import print_text
from mmchat.cli.replies import shorten
from mmchat.errors import UsageError
from mmchat.moments import local_minute
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat
    from mmchat.domain import Session, Turn

_BACK_AND_TEXT = re.compile(r"(?:-(\d+)(?:\s+|$))?(.*)", re.DOTALL)


def start_new(chat: PlainChat, _argument: str) -> None:
    """`/new`."""
    chat.conversation = chat.desk.new_session()
    chat.say("A new conversation.")
    chat.say_greeting()


def play(chat: PlainChat, key: str) -> None:
    """`/persona`."""
    if not key:
        for role in chat.desk.roles():
            print_text(f"{role.name} ({' '.join(role.languages)}): {role.description}")
        return
    chat.conversation = chat.desk.play(key)
    persona = chat.conversation.persona
    chat.say(f"A new conversation with {persona.text.title}." if persona else "A new conversation, with nobody else.")
    chat.say_greeting()


def list_sessions(chat: PlainChat, query: str) -> None:
    """`/sessions`."""
    words, tags = in_words_and_tags(query)
    sessions = chat.desk.library.list(words, tags=tags, shelf="kept" if words.strip() else "listed")
    for session in sessions:
        tagged = "".join(f"  #{plain_line(tag)}" for tag in session.tags)
        print_text(f"{session.id}  {local_minute(session.updated_at)}  {title_of(session)}{tagged}")
    if not sessions:
        chat.say("No conversation matches." if query else "No conversations yet.")


def search(chat: PlainChat, words: str) -> None:
    """`/search`."""
    if not words:
        raise UsageError("Which words?", hint="For example: /search lisbon hotel")
    hits = chat.desk.library.search(words)
    for hit in hits:
        who = "title" if hit.turn is None else "you" if hit.turn.role == "user" else "reply"
        print_text(f"{hit.session.id}  {who}: {plain_line(hit.snippet)}")
    if not hits:
        chat.say("Nothing holds all of these words.")


def open_session(chat: PlainChat, session_id: str) -> None:
    """`/open`."""
    if not session_id:
        raise UsageError("Which conversation?", hint="/sessions lists their ids; /open takes one.")
    chat.conversation = chat.desk.open_session(session_id)
    if session := chat.conversation.info:
        chat.say(f"Going on with {title_of(session)} ({session.turn_count} messages).")


def rename(chat: PlainChat, title: str) -> None:
    """`/rename`."""
    if not title:
        raise UsageError("What should it be called?", hint="For example: /rename Holiday plans")
    chat.say(f"Now called {title_of(chat.conversation.rename(title))}.")


# --- shelves ------------------------------------------------------------------------------------


def delete(chat: PlainChat, _argument: str) -> None:
    """`/delete`."""
    session = _stored(chat, "delete")
    chat.desk.library.delete(session.id)
    chat.conversation = chat.desk.new_session()
    chat.say(
        f"Moved {title_of(session)} to the trash, where it is kept for {KEPT_DAYS} days. "
        f"/restore {session.id} brings it back. This is a new conversation."
    )


def restore(chat: PlainChat, session_id: str) -> None:
    """`/restore`."""
    if session_id:
        session = chat.desk.library.restore(session_id)
        chat.conversation = chat.desk.open_session(session.id)
        chat.say(f"Brought back, and going on with {title_of(session)}.")
        return
    in_trash = chat.desk.library.list(shelf="trash")
    for session in in_trash:
        print_text(f"{session.id}  {local_minute(session.updated_at)}  {title_of(session)}")
    chat.say("/restore ID brings one back." if in_trash else "The trash is empty.")


def archive(chat: PlainChat, _argument: str) -> None:
    """`/archive`."""
    session = chat.desk.library.archive(_stored(chat, "archive").id)
    chat.say(f"Archived {title_of(session)}: not listed any more, still found. /unarchive undoes it.")


def unarchive(chat: PlainChat, _argument: str) -> None:
    """`/unarchive`."""
    session = chat.desk.library.archive(_stored(chat, "unarchive").id, False)
    chat.say(f"{title_of(session)} is listed again.")


def tag(chat: PlainChat, names: str) -> None:
    """`/tag`."""
    words = names.split()
    add = [word.removeprefix("+") for word in words if not word.startswith("-")]
    remove = [word[1:] for word in words if word.startswith("-")]
    tags = chat.desk.library.tag(_stored(chat, "tag").id, add, remove).tags
    chat.say(f"Tags: {plain_line(', '.join(tags))}" if tags else "No tags.")


# --- branches -----------------------------------------------------------------------------------


def variant(chat: PlainChat, which: str) -> None:
    """`/variant`."""
    branches, word = chat.conversation.branches, which.lower()
    turn = branches.flippable()
    if turn is None:
        raise UsageError("No message has variants yet.", hint="/regen and /edit make them.")
    if word in ("", "next", "prev"):
        shown = branches.step(turn.id, {"": 0, "next": 1, "prev": -1}[word])
    elif word.isdecimal():
        shown = branches.show(turn.id, int(word))
    else:
        raise UsageError(f"'{plain_line(which)}' is no variant.", hint="/variant 2, /variant prev, /variant next")
    place = next(each for each in chat.conversation.turns() if each.id == shown.id)
    chat.say(f"Variant {place.variant} of {place.variants}:")
    _print_end(chat, shown)


def edit(chat: PlainChat, argument: str) -> None:
    """`/edit`."""
    match = _BACK_AND_TEXT.fullmatch(argument)
    back, text = int((match and match[1]) or 1), (match and match[2]) or ""
    said = [turn for turn in chat.conversation.turns() if turn.role == "user"]
    if not 1 <= back <= len(said):
        raise UsageError("There is no such message to edit.", hint="/edit TEXT changes your last message.")
    turn = said[-back]
    if not text.strip():
        chat.say(f"The message is: {turn.text}")
        chat.say("/edit TEXT puts TEXT in its place; what was said is kept, /variant goes back to it.")
        return
    new = UserInput(text, tuple(each.path for each in turn.attachments))
    chat.print_reply(lambda cancel: chat.conversation.reply(new, cancel, turn.id))


def undo(chat: PlainChat, _argument: str) -> None:
    """`/undo`."""
    turn = chat.conversation.branches.take_back()
    chat.say(f"Out of view, and kept: {shorten(turn.text)} /redo brings it back.")


def redo(chat: PlainChat, _argument: str) -> None:
    """`/redo`."""
    _print_end(chat, chat.conversation.branches.bring_back())


def fork(chat: PlainChat, _argument: str) -> None:
    """`/fork`."""
    source = _stored(chat, "fork")
    chat.conversation = chat.desk.open_session(chat.conversation.branches.fork().id)
    chat.say(f"This is a copy; /open {source.id} goes back to the original.")


# --- within -------------------------------------------------------------------------------------


def title_of(session: Session) -> str:
    """What to call a conversation."""
    return f'"{plain_line(session.title)}"' if session.title else f"conversation {session.id}"


def _stored(chat: PlainChat, verb: str) -> Session:
    session = chat.conversation.info
    if session is None:
        raise UsageError(f"This conversation is empty, so there is nothing to {verb}.")
    return session


def _print_end(chat: PlainChat, start: Turn) -> None:
    """What is in view from a turn on."""
    turns = chat.conversation.turns()
    ids = [turn.id for turn in turns]
    for turn in turns[ids.index(start.id) :] if start.id in ids else ():
        print_text(f"{'You' if turn.role == 'user' else 'Model'}: {turn.text}")
