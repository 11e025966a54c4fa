"""The full-screen app. It is handed a `Desk` and knows nothing of models, files or SQL."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.theme import Theme
from textual.worker import Worker, WorkerState

from mmchat.chat.pasting import PastedPictures
from mmchat.errors import MmchatError
from mmchat.paths import log_dir, private_dir
from mmchat.tui.commands import COMMANDS
from mmchat.tui.drafts import Draft
from mmchat.tui.keymap import DEFAULT_KEYS, STANDARD_KEYS, Keys
from mmchat.tui.messages import Copied
from mmchat.tui.picture_cells import NO_PIXELS, CellSize, Graphics, PreviewChoice, with_stripes
from mmchat.tui.picture_loader import PictureLoader
from mmchat.tui.screens.chat import LAST_WORDS_S, ChatScreen
from mmchat.tui.text import one_line
from mmchat.tui.threads import in_daemon_thread
from mmchat.tui.widgets.pictures import PictureRow
from mmchat.tui.widgets.turns import ErrorView

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.session import ChatSession

DARK = Theme(
    name="mmchat-dark",
    primary="#7fb4ca",
    secondary="#5a7d95",
    accent="#c8a66b",
    warning="#d9a65b",
    error="#e07a7a",
    success="#8fb573",
    foreground="#d8dadd",
    background="#14171b",
    surface="#1b1f25",
    panel="#242a32",
    dark=True,
)
LIGHT = Theme(
    name="mmchat-light",
    primary="#2b6a87",
    secondary="#5d8196",
    accent="#8f6a1c",
    warning="#9a5b00",
    error="#b3312f",
    success="#4a7a2c",
    foreground="#23272e",
    background="#fbfaf7",
    surface="#f1efe9",
    panel="#e6e3da",
    dark=False,
)
DEFAULT_THEME = DARK.name
_SIGNALLED = 128
"""Added to a signal's number, it is the exit code of a program that the signal ended."""


class MmchatApp(App[None]):
    """Talk to a local model.

    Args:
        desk: conversations, models and the microphone.
        session: the conversation to begin with.
        draft_text: words already in the input box; paths of files among them become chips.
        theme: a theme's name; empty for the default.
        save_theme: called with the name of a theme that the user chose.
        keys: the keys that the user chose.
        is_hands_free: whether it listens from the start.
        previews: whether pictures are shown in the conversation, and how.
        graphics: the best way of drawing that the terminal is known to answer to.
        cell: the pixels of a cell, as far as the terminal says.
        save_previews: called with how pictures are to be shown from now on.
    """

    CSS_PATH = "mmchat.tcss"
    TITLE = "mmchat"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(DEFAULT_KEYS["quit"], "quit", "Quit", id="quit"),
        Binding(DEFAULT_KEYS["palette"], "command_palette", "Palette", show=False, priority=True, id="palette"),
    ]

    def __init__(
        self,
        desk: Desk,
        session: ChatSession,
        *,
        draft_text: str = "",
        theme: str = "",
        save_theme: Callable[[str], None] | None = None,
        keys: Keys = STANDARD_KEYS,
        is_hands_free: bool = False,
        previews: PreviewChoice = "auto",
        graphics: Graphics = "blocks",
        cell: CellSize = NO_PIXELS,
        save_previews: Callable[[str], None] | None = None,
    ) -> None:
        # Before the base class, which asks for the driver.
        self.pictures = PictureLoader(graphics, cell, self._write_terminal)
        super().__init__()
        self.desk = desk
        self.keys = keys
        self._chat = ChatScreen(desk, session)
        self._draft_text = draft_text
        self._is_hands_free = is_hands_free
        self._save_theme = save_theme
        self._save_previews = save_previews
        self._pasted = PastedPictures()
        for each in (DARK, LIGHT):
            self.register_theme(each)
        self.theme = theme if theme in self.available_themes else DEFAULT_THEME
        self.last_deleted = ""
        """Id of the conversation that /restore brings back."""
        self.previews: PreviewChoice = previews
        self.has_hushed = False
        """Whether the last key stopped the voice."""
        self._unknown_theme = "" if theme in ("", self.theme) else theme

    def get_driver_class(self) -> type[Driver]:
        """The terminal's own, which puts the pictures in where the screen has marks for them."""
        stripes = self.pictures.stripes
        base = super().get_driver_class()

        class PictureDriver(base):  # type: ignore[misc,valid-type]
            """Writes pictures over the cells that were kept free for them."""

            def write(self, data: str) -> None:
                super().write(with_stripes(data, stripes))

        return PictureDriver if self.pictures.graphics == "sixel" else base

    def get_default_screen(self) -> Screen[None]:
        """The conversation."""
        return self._chat

    def on_mount(self) -> None:
        """Keep the terminal's own title for the end."""
        self._write_terminal("\x1b[22;0t")
        self.use_previews(self.previews)
        self.set_keymap(dict(self.keys.chosen))
        self._leave_on_signals()
        if self._draft_text:
            self._chat.composer.draft = Draft(self._draft_text).with_typed_files(Path.cwd())
        if self._is_hands_free:
            self.call_after_refresh(self._chat.hands_free.begin)
        if self._unknown_theme:
            self.notify(
                f"No theme is called '{self._unknown_theme}'. /theme lists them.", severity="warning", markup=False
            )

    def _leave_on_signals(self) -> None:
        """Told to end, the app leaves as by the key: the reply so far is stored."""
        if self.is_headless or os.name != "posix":
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, None, _SIGNALLED + signal.SIGTERM)
        # Not by the loop: without its terminal, Textual waits for ever to write its last words.
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=self._hang_up, daemon=True).start())

    def _hang_up(self) -> None:
        """The terminal is gone: store what there is, and end."""
        self._chat.end_reply()
        self._chat.keeper.save_last()
        closing = threading.Thread(target=self.desk.close, daemon=True)
        closing.start()
        closing.join(LAST_WORDS_S)
        os._exit(_SIGNALLED + signal.SIGHUP)

    def on_unmount(self) -> None:
        """Give the terminal its title back, and the room that pictures take in it."""
        self.pictures.forget_all()
        self._pasted.close()
        self._write_terminal("\x1b[23;0t")

    async def on_event(self, event: events.Event) -> None:
        """Any key, whatever else it does, stops the voice at once."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self.has_hushed = self.desk.speaker.hush()
        await super().on_event(event)

    # --- commands -------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: our commands, under the words of the help."""
        for command in COMMANDS:
            if not command.needs_argument:
                words = f"{command.name.capitalize()}  {self.keys.label(command.name)}".rstrip()
                yield SystemCommand(words, command.help, lambda name=command.name: self.run_command(name))

    def action_command(self, name: str) -> None:
        """A key that stands for a command."""
        self.run_command(name)

    def run_command(self, name: str, argument: str = "", draft: Draft | None = None) -> None:
        """Carry out a slash command, a key or a line of the palette."""
        from mmchat.tui.actions import Actions

        self.run_worker(Actions(self, self._chat).run(name, argument, draft), exit_on_error=False, group="command")

    def action_flip(self, turn_id: str, step: int) -> None:
        """A key, or a click on a mark: show another variant of a turn, or of the last that has some."""
        from mmchat.tui.actions import Actions

        self.run_worker(Actions(self, self._chat).flip(turn_id, step), exit_on_error=False, group="command")

    def action_open_file(self, attachment_id: str) -> None:
        """A click on a file's chip: show it with the system's program."""
        from mmchat.tui.actions import Actions

        self.run_worker(Actions(self, self._chat).open_chip(attachment_id), exit_on_error=False, group="command")

    def action_show_source(self, turn_id: str, at: int) -> None:
        """A click on what a reply cites: show the passage in its place."""
        from mmchat.tui.actions import Actions

        self.run_worker(Actions(self, self._chat).show_source(turn_id, at), exit_on_error=False, group="command")

    # --- copying --------------------------------------------------------------------------------

    def copy(self, text: str, what: str) -> None:
        """Copy text, and say where it went."""
        self._run_copy(text, what)

    @work(thread=True, group="copy", exit_on_error=False)
    def _run_copy(self, text: str, what: str) -> None:
        from mmchat.tui.clipboard import copy_natively

        self.post_message(Copied(text, what, copy_natively(text)))

    @on(Copied)
    def _copied(self, event: Copied) -> None:
        if event.how:
            self._chat.activity.set_hint(f"Copied the {event.what} with {event.how}.")
            return
        self.copy_to_clipboard(event.text)
        self._chat.activity.set_hint(
            f"Sent the {event.what} to the terminal's clipboard (OSC 52); some terminals ignore it."
        )

    # --- themes ---------------------------------------------------------------------------------

    def choose_theme(self, name: str) -> None:
        """Switch the colours and remember them."""
        self.theme = name
        if self._save_theme is not None:
            self._save_theme(name)

    # --- pictures -------------------------------------------------------------------------------

    def use_previews(self, previews: PreviewChoice) -> None:
        """Show pictures in the conversation, or not."""
        self.previews = previews
        self.pictures.use(blocks_only=previews == "blocks")
        self._chat.set_class(previews == "off", "-no-pictures")
        for row in self._chat.query(PictureRow):
            row.refresh()

    def choose_previews(self, previews: PreviewChoice) -> None:
        """Show pictures so, and remember it."""
        self.use_previews(previews)
        if self._save_previews is not None:
            self._save_previews(previews)

    async def pasted_picture(self) -> Path:
        """The picture on the clipboard, as a file. Raises MmchatError where there is none."""
        taken: list[Path | MmchatError] = []

        def take() -> None:
            try:
                taken.append(self._pasted.take())
            except MmchatError as error:
                taken.append(error)

        await in_daemon_thread(take, "paste")  # whoever offers the clipboard may take its time, or never answer
        if isinstance(taken[0], MmchatError):
            raise taken[0]
        return taken[0]

    # --- the terminal ---------------------------------------------------------------------------

    def set_terminal_title(self, title: str) -> None:
        """Name the terminal window after the conversation."""
        self.sub_title = title
        words = f"{title} - mmchat" if title else "mmchat"
        self._write_terminal(f"\x1b]0;{one_line(words)}\x07")

    def _write_terminal(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless and not self.is_web:
            self._driver.write(sequence)

    # --- when something is wrong with mmchat itself ---------------------------------------------

    async def worker_changed(self, event: Worker.StateChanged) -> bool:
        """For every owner of workers: a worker that died of a bug is logged and told; True if it did.

        These messages do not bubble, so each owner passes its own on.
        """
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None:
            return False
        view = ErrorView(
            f"Something went wrong inside mmchat ({type(error).__name__}).",
            "Everything stored is kept.",
            details_of(error),
        )
        await self._chat.transcript.add(view)
        self._chat.transcript.scroll_to_end()
        return True

    @on(Worker.StateChanged)
    async def _command_changed(self, event: Worker.StateChanged) -> None:
        await self.worker_changed(event)

    def _fatal_error(self) -> None:
        """Textual's last word before it closes: a sentence and a file instead of a traceback on the screen."""
        error = self._exception
        if error is None:
            super()._fatal_error()
            return
        self._exit_renderables.append(
            Text(f"mmchat had to stop: {type(error).__name__}. Everything stored is kept.\n{details_of(error)}")
        )
        self._close_messages_no_wait()


def log_crash(error: BaseException) -> Path | None:
    """Append a traceback to the log, readable by the user alone, and return the log's path.

    None where it cannot be written, e.g. on a full disk: that must not bring down what the error spared.
    """
    path = log_dir() / "mmchat.log"
    lines = "".join(traceback.format_exception(error))
    try:
        private_dir(log_dir())
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {lines}\n")
    except OSError:
        return None
    return path


def details_of(error: BaseException) -> str:
    """Where its traceback can be read, in a sentence."""
    path = log_crash(error)
    return f"The details are in {path}" if path else "The details could not be written: the log cannot be used."
