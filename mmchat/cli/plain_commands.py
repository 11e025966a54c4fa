"""The slash commands of the plain mode: one table for the dispatcher and the help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.cli import (
    plain_export,
    plain_memory,
    plain_ratings,
    plain_recall,
    plain_sessions,
    plain_voice,
    plain_window,
    speech,
)

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat


@dataclass(frozen=True, slots=True)
class PlainCommand:
    """A slash command of the plain mode."""

    name: str
    argument: str
    help: str
    run: Callable[[PlainChat, str], None]


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
        PlainCommand("view", "[NAME]", "Open a picture or sound of this conversation", plain_recall.view),
        PlainCommand(
            "image", "PATH", "Attach a picture to the next message", lambda chat, argument: chat.attach(argument)
        ),
        PlainCommand(
            "audio", "PATH", "Attach a sound file to the next message", lambda chat, argument: chat.attach(argument)
        ),
        PlainCommand("paste", "", "Attach the picture on the clipboard", lambda chat, _: chat.paste()),
        PlainCommand("voice", "", "Speak your next message", plain_voice.record),
        PlainCommand("handsfree", "", "Listen, send, answer, listen again; Ctrl+C leaves", plain_voice.go_hands_free),
        PlainCommand("retranscribe", "[MODEL]", "Turn the last recording into words anew", plain_voice.retranscribe),
        PlainCommand("mic", "[NAME]", "List the microphones, or choose one", plain_voice.choose),
        PlainCommand("language", "[NAME|auto]", "Show or choose the language you speak", plain_voice.choose_language),
        PlainCommand("autostop", "[on|off|SECONDS]", "End recordings at a pause", plain_voice.set_auto_stop),
        PlainCommand("speak", "[on|off]", "Speak replies aloud, or not any more", speech.switch),
        PlainCommand("regen", "", "Draw the last reply anew", lambda chat, argument: chat.regenerate(argument)),
        PlainCommand("good", "", "Mark the last reply as good; again takes it back", plain_ratings.mark_good),
        PlainCommand("bad", "", "Mark the last reply as bad; again takes it back", plain_ratings.mark_bad),
        PlainCommand("better", "TEXT", "Say what the last reply should have been", plain_ratings.give_better),
        PlainCommand("unrate", "", "Take back all you said of the last reply", plain_ratings.take_back),
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
        PlainCommand("undo", "", "Take the last exchange out of view", plain_sessions.undo),
        PlainCommand("redo", "", "Bring back what /undo took", plain_sessions.redo),
        PlainCommand("fork", "", "Go on in a copy of this conversation", plain_sessions.fork),
        PlainCommand("new", "", "Start a new conversation", plain_sessions.start_new),
        PlainCommand("sessions", "[WORDS]", "List conversations, or those with WORDS", plain_sessions.list_sessions),
        PlainCommand("search", "WORDS", "Find words in all conversations", plain_sessions.search),
        PlainCommand("open", "ID", "Go on with another conversation", plain_sessions.open_session),
        PlainCommand("rename", "TITLE", "Give this conversation a title", plain_sessions.rename),
        PlainCommand("tag", "[NAME]", "Tag this conversation; -NAME takes a tag off", plain_sessions.tag),
        PlainCommand("export", "[FILE]", "Write this conversation to .md, .html, .jsonl or .zip", plain_export.export),
        PlainCommand("archive", "", "Put this conversation away; it is still found", plain_sessions.archive),
        PlainCommand("unarchive", "", "List this conversation again", plain_sessions.unarchive),
        PlainCommand("delete", "", "Move this conversation to the trash", plain_sessions.delete),
        PlainCommand("restore", "[ID]", "Bring back a deleted conversation", plain_sessions.restore),
        PlainCommand("memory", "[WORDS]", "What is remembered of you", plain_memory.list_facts),
        PlainCommand("remember", "TEXT", "Keep a fact about you", plain_memory.remember),
        PlainCommand("forget", "[WORDS|undo]", "Forget what was remembered last, or a fact", plain_memory.forget),
        PlainCommand("private", "", "Talk without storing or recalling anything", plain_memory.go_private),
        PlainCommand("quit", "", "Leave; everything is stored", lambda chat, argument: chat.leave(argument)),
    )
}
ALIASES = {
    "?": "help",
    "hands-free": "handsfree",
    "microphone": "mic",
    "exit": "quit",
    "bye": "quit",
    "clear": "new",
    "resume": "open",
    "regenerate": "regen",
    "tokens": "context",
    "window": "context",
}
