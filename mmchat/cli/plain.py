"""The conversation line by line: for screen readers, pipes and plain terminals. No colour, no cursor movement."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.attachments import find_files, find_missing, is_command, kind_of
from mmchat.chat.pasting import PastedPictures
from mmchat.chat.private import STORED_ONLY
from mmchat.chat.session import UserInput
from mmchat.cli import plain_memory, plain_ratings, speech
from mmchat.cli.output import print_error, print_error_text, print_text
from mmchat.cli.plain_commands import ALIASES, COMMANDS
from mmchat.cli.plain_sessions import title_of
from mmchat.cli.progress_lines import ProgressLines
from mmchat.cli.replies import read_turn, sources_line
from mmchat.errors import MmchatError, UsageError
from mmchat.sanitize import plain_line, plain_text

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.session import ChatSession
    from mmchat.domain import ReplyEvent

FENCE = '"""'
YOU, MODEL = "You: ", "Model: "
YOU_IN_PRIVATE = "You (private): "
_SENSE_WORDS = {"image": "picture", "audio": "sound"}


class _Leave(Exception):
    """The user asked to leave."""


class PlainChat:
    """Reads what the user says from stdin, a line at a time, and prints the replies.

    With a person there, it prompts, tells what is going on and survives errors. In a pipe, stdout holds
    the replies and what commands print, and the rest goes to stderr. A command that fails is told and the next line
    is read; a message that fails ends it, for what follows was written to go with its reply.
    """

    def __init__(
        self, desk: Desk, conversation: ChatSession, files: tuple[Path, ...] = (), *, is_interactive: bool
    ) -> None:
        self.desk = desk
        self._conversation = conversation
        self._files = list(files)
        self.is_interactive = is_interactive
        self._interrupts = 0
        self._exit_code = 0
        self._pasted = PastedPictures()

    @property
    def conversation(self) -> ChatSession:
        """The conversation that is spoken in."""
        return self._conversation

    @conversation.setter
    def conversation(self, conversation: ChatSession) -> None:
        if self._conversation.is_private and not conversation.is_private:
            self.desk.leave_private()
        self._conversation = conversation

    @property
    def files(self) -> tuple[Path, ...]:
        """Attached to the next message."""
        return tuple(self._files)

    # --- the loop -------------------------------------------------------------------------------

    def run(self, *, is_hands_free: bool = False) -> int:
        """Talk until the input ends or `/quit`; the exit code, with nobody there that of the first failed command.

        Raises:
            MmchatError: a message failed and nobody is there to be told.
        """
        self.desk.warm(("lm",))
        if self.is_interactive:
            self._greet()
        try:
            if is_hands_free:
                self._handle("/handsfree")
            for message in self._messages():
                self._handle(message)
            self._flush_files()
        except _Leave:
            pass
        finally:
            self._pasted.close()
        if self.is_interactive:
            is_stored = self.conversation.info is not None and not self.conversation.is_private
            self.say("Everything is stored." if is_stored else "Goodbye.")
        return self._exit_code

    def say(self, text: str) -> None:
        """Tell the person; beside the data when the data go into a pipe."""
        if self.is_interactive:
            print_text(text)
        else:
            print_error_text(plain_text(text))

    def say_greeting(self) -> None:
        """What whoever is played says first; a person is there to hear it."""
        if self.is_interactive and self.conversation.greeting:
            self.say(MODEL + self.conversation.greeting)

    def _greet(self) -> None:
        session = self.conversation.info
        if session is not None:
            self.say(f"Going on with {title_of(session)} ({session.turn_count} messages).")
            for turn in self.conversation.turns()[-2:]:
                self.say((YOU if turn.role == "user" else MODEL) + turn.text)
                if turn.rating is not None:
                    self.say(f"(rated: {plain_ratings.rating_words(turn.rating)})")
        self.say_greeting()
        self.say("Type a message and press Enter. /help lists the commands, /quit leaves.")
        for path in self._files:
            self.say(f"Attached {path.name} to your first message.")

    def _messages(self) -> Iterator[str]:
        """What the user says, several lines between triple quotes joined."""
        while (line := self.read_line(YOU_IN_PRIVATE if self.conversation.is_private else YOU)) is not None:
            if line.strip().startswith(FENCE):
                line = self._read_fenced(line.strip().removeprefix(FENCE))
            yield line

    def _read_fenced(self, line: str) -> str:
        lines = []
        while not line.rstrip().endswith(FENCE):
            lines.append(line)
            following = self.read_line("... ")
            if following is None:
                return "\n".join(lines).strip()
            line = following
        return "\n".join([*lines, line.rstrip().removesuffix(FENCE)]).strip()

    def read_line(self, prompt: str) -> str | None:
        """A line without its newline; None at the end. The second Ctrl+C in a row ends too."""
        while True:
            try:
                line = _input(prompt) if self.is_interactive else sys.stdin.readline()
            except EOFError:
                print_text("")
                return None
            except KeyboardInterrupt:
                if self.desk.speaker.hush():
                    print_text("")
                    continue
                if not self.is_interactive or self._interrupts:
                    raise
                self._interrupts += 1
                print_text("\nPress Ctrl+C again, or type /quit, to leave.")
                continue
            self._interrupts = 0
            if not self.is_interactive and not line:
                return None
            return line.rstrip("\r\n")

    def _handle(self, message: str) -> None:
        self.desk.speaker.hush()
        speech.tell_problem(self)
        try:
            if is_command(message):
                self._run_command(message)
            elif message.strip() or (self._files and self.is_interactive):
                self._send(message)
        except MmchatError as error:
            if not self.is_interactive:
                if not is_command(message):
                    raise
                self._exit_code = self._exit_code or error.exit_code
            print_error(error)

    # --- messages -------------------------------------------------------------------------------

    def _send(self, message: str) -> None:
        text = self._take_files(message)
        if not text and message.strip():  # nothing but files, or nothing that could be sent
            if self._files and self.is_interactive:
                self.say("They go with your next message; an empty line sends them alone.")
            return
        self.reply(text)

    def _take_files(self, message: str) -> str:
        """The message without the files named in it, which are attached; what cannot be attached is told."""
        text = message
        for file in reversed(find_files(message, cwd=Path.cwd())):
            text = text[: file.start].rstrip(" \t") + text[file.end :]
        for file in find_files(message, cwd=Path.cwd()):
            self._attach(file.path)
        unusable = find_missing(message, cwd=Path.cwd())
        for entry in unusable:
            self.say(str(entry))
        is_only_unusable = len(unusable) == 1 and message.strip(" \t'\"") == unusable[0].name
        return "" if is_only_unusable else text.strip()

    def _attach(self, path: Path) -> None:
        self._files.append(path)
        self.say(f"Attached the {_SENSE_WORDS[kind_of(path) or 'image']} {path.name}.")

    def paste(self) -> None:
        """`/paste`."""
        self._attach(self._pasted.take())

    def _flush_files(self) -> None:
        if self._files:
            self.reply("")

    def reply(self, text: str) -> None:
        """Send words with the attached files, and print the reply."""
        user_input = UserInput(text, tuple(self._files))
        self.print_reply(lambda cancel: self.conversation.reply(user_input, cancel))
        self._files.clear()

    def print_reply(self, start: Callable[[Event], Iterator[ReplyEvent]]) -> None:
        """Run a turn and print its reply as it comes."""
        has_begun = False

        def on_text(piece: str) -> None:
            nonlocal has_begun
            print_text((MODEL if self.is_interactive and not has_begun else "") + piece, end="")
            self.desk.speaker.feed(piece)
            has_begun = True

        self.desk.speaker.begin()
        status = ProgressLines(self.say if self.is_interactive else lambda _: None)
        try:
            outcome = read_turn(
                start, load_states=self.desk.load_states, on_text=on_text, say=self._between(lambda: has_begun),
                status=status,
            )  # fmt: skip
        except KeyboardInterrupt:
            if not self.is_interactive:
                raise
            self.desk.speaker.hush()
            self.say("\nStopped. Your message is kept; /regen answers it.")
            return
        if has_begun:
            print_text("")
        if sources := sources_line(outcome.reply):
            self.say(sources)
        self._end_speech(outcome.was_interrupted)
        plain_memory.tell_learnt(self, outcome.learnt)
        if outcome.person is not None:
            self.say(f"{outcome.person.text} (/handover)")
        if outcome.was_interrupted:
            if not self.is_interactive:
                raise KeyboardInterrupt
            self.say("Stopped. What came is kept.")

    def _end_speech(self, was_interrupted: bool) -> None:
        """Speak the reply to its end: beside the prompt with a person there, else before the next line is read."""
        if was_interrupted:
            self.desk.speaker.hush()
        self.desk.speaker.finish()
        if not self.is_interactive:
            speech.speak_to_the_end(self.desk)
        speech.tell_problem(self)

    def _between(self, has_begun: Callable[[], bool]) -> Callable[[str], None]:
        """Tells a line in the middle of a reply on a line of its own."""

        def say(text: str) -> None:
            self.say(f"\n{text}" if has_begun() and self.is_interactive else text)

        return say

    # --- commands -------------------------------------------------------------------------------

    def _run_command(self, message: str) -> None:
        word, *rest = message.strip().removeprefix("/").split(maxsplit=1)
        argument = rest[0] if rest else ""
        command = COMMANDS.get(ALIASES.get(word.lower(), word.lower()))
        if command is None:
            raise UsageError(f"Unknown command '/{plain_line(word)}'.", hint="/help lists the commands.")
        if self.conversation.is_private and command.name in STORED_ONLY:
            raise UsageError("This conversation is not stored.", hint="/new starts one that is.")
        command.run(self, argument.strip())

    def show_help(self, _argument: str) -> None:
        """`/help`."""
        for command in COMMANDS.values():
            print_text(f"/{command.name} {command.argument}".rstrip() + f": {command.help}")
        print_text(f"Several lines: begin with {FENCE} and end with {FENCE}. Files: name them in your message.")
        print_text("Ctrl+C stops a reply, Ctrl+D leaves.")

    def leave(self, _argument: str) -> None:
        """`/quit`."""
        raise _Leave

    def attach(self, argument: str) -> None:
        """`/image` and `/audio`."""
        files = find_files(argument, cwd=Path.cwd())
        for file in files:
            self._attach(file.path)
        if not files:
            problems = find_missing(argument, cwd=Path.cwd())
            raise UsageError(
                str(problems[0]) if problems else "Which file? Nothing was attached.",
                hint="For example: /image dog.jpg",
            )

    def switch_model(self, name: str) -> None:
        """`/model`."""
        if name:
            self.desk.use_language_model(name)
            self.say(f"The next reply comes from {name}.")
            return
        current = next((state.model for state in self.desk.load_states() if state.kind == "lm"), "")
        for model in self.desk.language_models():
            state = "in use" if model.name == current else "here" if model.is_installed else "not fetched yet"
            print_text(f"{model.name} ({state}): {model.description}")

    def regenerate(self, _argument: str) -> None:
        """`/regen`."""
        self.print_reply(self.conversation.regenerate)

    def confirm(self, question: str, *, otherwise: bool = False) -> bool:
        """Ask a person; an empty answer, and a pipe, mean `otherwise`."""
        if not self.is_interactive:
            return otherwise
        answer = (self.read_line(question) or "").strip().lower()
        return answer in {"y", "yes"} if answer else otherwise


def _input(prompt: str) -> str:
    """A line from a person, with the editing and history that readline gives where there is one."""
    with suppress(ImportError):  # Windows edits lines by itself
        import readline  # noqa: F401  (importing it is what turns editing on)
    return input(prompt)
