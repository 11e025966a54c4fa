"""The slash commands of the plain mode: one table for the dispatcher and the help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.cli import (
    plain_docs,
    plain_export,
    plain_memory,
    plain_ratings,
    plain_recall,
    plain_sessions,
    plain_support,
    plain_voice,
    plain_window,
    speech,
)
from mmchat.tui.commands import COMMANDS as APP_COMMANDS

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat


@dataclass(frozen=True, slots=True)
class PlainCommand:
    """A slash command of the plain mode."""

    name: str
    argument: str
    help: str
    run: Callable[[PlainChat, str], None]


_IN_APP = {command.name: command for command in APP_COMMANDS}


def _as_in_app(name: str, run: Callable[[PlainChat, str], None]) -> PlainCommand:
    """A command that is used and told as in the app."""
    return PlainCommand(name, _IN_APP[name].argument, _IN_APP[name].help, run)


COMMANDS: dict[str, PlainCommand] = {
    command.name: command
    for command in (
        PlainCommand("help", "", "This list", lambda chat, argument: chat.show_help(argument)),
        PlainCommand(
            "recall",
            "[WORDS]",
            "Find what was said or shown, or what the attached picture is like",
            plain_recall.recall,
        ),
        _as_in_app("view", plain_recall.view),
        PlainCommand(
            "image", "PATH", "Attach a picture to the next message", lambda chat, argument: chat.attach(argument)
        ),
        PlainCommand(
            "audio", "PATH", "Attach a sound file to the next message", lambda chat, argument: chat.attach(argument)
        ),
        _as_in_app("paste", lambda chat, _: chat.paste()),
        PlainCommand("voice", "", "Speak your next message", plain_voice.record),
        PlainCommand("handsfree", "", "Listen, send, answer, listen again; Ctrl+C leaves", plain_voice.go_hands_free),
        _as_in_app("retranscribe", plain_voice.retranscribe),
        PlainCommand("mic", "[NAME]", "List the microphones, or choose one", plain_voice.choose),
        _as_in_app("language", plain_voice.choose_language),
        _as_in_app("autostop", plain_voice.set_auto_stop),
        _as_in_app("speak", speech.switch),
        _as_in_app("regen", lambda chat, argument: chat.regenerate(argument)),
        _as_in_app("good", plain_ratings.mark_good),
        _as_in_app("bad", plain_ratings.mark_bad),
        PlainCommand("better", "TEXT", "Say what the last reply should have been", plain_ratings.give_better),
        _as_in_app("unrate", plain_ratings.take_back),
        _as_in_app("sources", plain_recall.sources),
        PlainCommand("why", "", "What the last reply was drawn from, and what it cost", plain_window.explain),
        PlainCommand("context", "", "What the model sees now, in tokens", plain_window.show_context),
        PlainCommand("pin", "[N]", "Keep a message in view for good; 1 is the last", plain_window.pin),
        PlainCommand("unpin", "[N]", "Let a pinned message drop out of view", plain_window.unpin),
        PlainCommand("pins", "", "List the pinned messages", plain_window.list_pins),
        PlainCommand(
            "compact",
            "[show|edit TEXT|undo|redo]",
            "Put a summary in the place of older messages",
            plain_window.compact,
        ),
        PlainCommand("persona", "[ROLE|off]", "List the roles, or begin anew with one", plain_sessions.play),
        PlainCommand(
            "model", "[NAME]", "List the language models, or switch", lambda chat, argument: chat.switch_model(argument)
        ),
        PlainCommand("variant", "[N|prev|next]", "Flip through replies and edits", plain_sessions.variant),
        PlainCommand("edit", "[-N] [TEXT]", "Put TEXT in the place of your last message", plain_sessions.edit),
        _as_in_app("undo", plain_sessions.undo),
        _as_in_app("redo", plain_sessions.redo),
        PlainCommand("fork", "", "Go on in a copy of this conversation", plain_sessions.fork),
        _as_in_app("new", plain_sessions.start_new),
        PlainCommand("sessions", "[WORDS]", "List conversations, or those with WORDS", plain_sessions.list_sessions),
        _as_in_app("search", plain_sessions.search),
        PlainCommand("open", "ID", "Go on with another conversation", plain_sessions.open_session),
        PlainCommand("rename", "TITLE", "Give this conversation a title", plain_sessions.rename),
        _as_in_app("tag", plain_sessions.tag),
        _as_in_app("export", plain_export.export),
        _as_in_app("handover", plain_support.hand_over),
        _as_in_app("archive", plain_sessions.archive),
        _as_in_app("unarchive", plain_sessions.unarchive),
        _as_in_app("delete", plain_sessions.delete),
        PlainCommand("restore", "[ID]", "Bring back a deleted conversation", plain_sessions.restore),
        PlainCommand("memory", "[WORDS]", "What is remembered of you", plain_memory.list_facts),
        _as_in_app("remember", plain_memory.remember),
        _as_in_app("forget", plain_memory.forget),
        _as_in_app("docs", plain_docs.docs),
        _as_in_app("private", plain_memory.go_private),
        PlainCommand("quit", "", "Leave; everything is stored", lambda chat, argument: chat.leave(argument)),
    )
}
ALIASES = {alias: name for name in COMMANDS.keys() & _IN_APP for alias in _IN_APP[name].aliases} | {"resume": "open"}
"""As in the app, where `/sessions` opens too."""
