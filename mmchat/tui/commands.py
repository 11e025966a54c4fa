"""The slash commands: one table for the dispatcher, the completion list, the palette and the help.

Their keys are in `keymap`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """One thing the user can ask of the app."""

    name: str
    help: str
    argument: str = ""
    """How the argument is written in the help; in brackets when it may be left out."""
    aliases: tuple[str, ...] = ()

    @property
    def needs_argument(self) -> bool:
        """Whether the command means nothing without one."""
        return bool(self.argument) and not self.argument.startswith("[")

    @property
    def usage(self) -> str:
        """As it is typed."""
        return f"/{self.name} {self.argument}".rstrip()


COMMANDS: tuple[Command, ...] = (
    Command("help", "Keys and commands", aliases=("?",)),
    Command("new", "Start a new conversation", aliases=("clear",)),
    Command("sessions", "Find, open, name, tag, delete", "[WORDS]", aliases=("resume",)),
    Command("search", "Find words in all conversations", "WORDS"),
    Command("recall", "Find what was said, shown or heard, also by a picture", "[WORDS]"),
    Command("view", "Open a picture or sound of this conversation", "[NAME]"),
    Command("pictures", "See pictures large: the draft's, or those here", "[NAME]"),
    Command("previews", "Show pictures in the conversation, or not", "[auto|blocks|off]"),
    Command("image", "Attach a picture", "PATH"),
    Command("paste", "Attach the picture on the clipboard"),
    Command("audio", "Attach a sound file", "PATH"),
    Command("attach", "Attach a file, with completion", "[PATH]"),
    Command("voice", "Speak: start or end a recording"),
    Command("handsfree", "Listen, send, answer, listen again; Esc leaves", aliases=("hands-free",)),
    Command("retranscribe", "Turn the last recording into words anew", "[MODEL]"),
    Command("mic", "Show or choose the microphone", "[NAME|pick]", aliases=("microphone",)),
    Command("language", "Show or choose the language you speak", "[NAME|auto]"),
    Command("autostop", "End recordings at a pause", "[on|off|SECONDS]"),
    Command("speak", "Speak replies aloud, or not any more", "[on|off]"),
    Command("regen", "Draw the last reply anew", aliases=("regenerate",)),
    Command("variant", "Flip through replies and edits of one message", "[N|pick]"),
    Command("edit", "Change an earlier message; the old one is kept", "[N|pick]"),
    Command("undo", "Take the last exchange out of view"),
    Command("redo", "Bring back what /undo took"),
    Command("fork", "Go on in a copy, from here or from a turn", "[pick]"),
    Command("good", "Mark the last reply as good; again takes it back"),
    Command("bad", "Mark the last reply as bad; again takes it back"),
    Command("better", "Say what the last reply should have been", "[TEXT]"),
    Command("unrate", "Take back all you said of the last reply"),
    Command("stop", "Stop the reply, keeping its text"),
    Command("model", "Show or switch the language model", "[NAME]"),
    Command("persona", "Show the roles, or begin anew with one; off for nobody", "[ROLE|off]", aliases=("role",)),
    Command("copy", "Copy the last reply, or all", "[all]"),
    Command("export", "Write this conversation to .md, .html, .jsonl or .zip", "[FILE]"),
    Command("handover", "Sum this conversation up for a person", "[FILE]"),
    Command("context", "Show exactly what the model sees now, in tokens", aliases=("tokens", "window")),
    Command("sources", "See in its place what the last reply cites", "[N]", aliases=("cited",)),
    Command("why", "Show what fed the last reply, and go to it"),
    Command("pin", "Keep a turn in the model's view for good", "[N|pick]"),
    Command("unpin", "Let a pinned turn drop out of view again", "[N|pick]"),
    Command("pins", "List the pinned turns, and go to one"),
    Command("compact", "Put a summary in the place of older turns", "[edit|undo|redo]"),
    Command("rename", "Give this conversation a title", "[TITLE]"),
    Command("tag", "Tag this conversation; -NAME takes a tag off", "[NAME]"),
    Command("archive", "Put this conversation away; it is still found"),
    Command("unarchive", "List this conversation again"),
    Command("delete", "Move this conversation to the trash"),
    Command("restore", "Bring back a deleted conversation"),
    Command("memory", "What I know of you: look, edit, forget", "[WORDS]", aliases=("facts",)),
    Command("remember", "Keep a fact about you", "TEXT"),
    Command("forget", "Forget what was remembered last, or a fact", "[WORDS|undo]"),
    Command("docs", "What your documents say: list, add, search, remove", "[all|add|search|remove]"),
    Command("private", "Talk without storing or recalling anything"),
    Command("theme", "Show or switch the colours", "[NAME]"),
    Command("quit", "Leave; everything is saved", aliases=("exit", "bye")),
)
_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
_WORD = re.compile(r"/(\?|[A-Za-z][A-Za-z_-]*)(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command with its argument."""

    command: Command
    argument: str


@dataclass(frozen=True, slots=True)
class UnknownCommand:
    """A slash and a word that names no command."""

    word: str


def parse(text: str) -> Invocation | UnknownCommand | None:
    """Read a slash command; None where the text is a message.

    A path is a message: `/home/me/a.png` holds a second slash, `/tmp` exists on this machine.
    """
    match = _WORD.fullmatch(text.strip())
    if match is None:
        return None
    word, argument = match[1].lower(), (match[2] or "").strip()
    command = _BY_NAME.get(word)
    if command is not None:
        return Invocation(command, argument)
    if Path(f"/{match[1]}").exists():
        return None
    return UnknownCommand(f"/{match[1]}")


def matching(prefix: str) -> Sequence[Command]:
    """Commands whose name starts with what stands after the slash, then those with such an alias."""
    prefix = prefix.lower()
    by_name = [command for command in COMMANDS if command.name.startswith(prefix)]
    by_alias = [command for command in COMMANDS if any(alias.startswith(prefix) for alias in command.aliases)]
    return by_name + [command for command in by_alias if command not in by_name]
