"""`mmchat talk`: a conversation, full screen or line by line."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.session import ChatSession
    from mmchat.tui.keymap import Keys

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat talk                      start, or start anew\n"
    "  mmchat talk -c                   go on where you left off\n"
    "  mmchat talk -a dog.jpg           begin with a picture\n"
    "  mmchat talk --persona tutor:zh   with somebody, in Chinese\n"
    "  mmchat talk --voice              hands-free\n"
    "  mmchat talk --no-tui             line by line, for screen readers\n"
    "  mmchat talk < questions.txt      one answer for each line\n"
    "\n\nThe first start fetches the default weights; everything after that works offline."
)


def talk(
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Language model; see 'mmchat models list'.")
    ] = None,
    should_continue: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last one.")] = False,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="ID", help="Go on with this conversation.")
    ] = None,
    persona: Annotated[
        str | None, typer.Option("--persona", metavar="ROLE", help="Who it is to be; see 'mmchat roles list'.")
    ] = None,
    attachment: Annotated[
        list[str] | None, typer.Option("--attachment", "-a", metavar="FILE", help="A picture or sound to begin with.")
    ] = None,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="Line by line, without the full-screen app.")] = False,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="The language you speak, e.g. en or zh.")
    ] = None,
    no_log: Annotated[bool, typer.Option("--no-log", "-n", help="Store nothing.")] = False,
    speak: Annotated[bool, typer.Option("--speak", help="Speak the replies aloud; any key stops it.")] = False,
    is_hands_free: Annotated[
        bool, typer.Option("--voice", help="Hands-free: listen, answer, listen again; Esc leaves.")
    ] = False,
) -> None:
    """Hold a conversation: type, drop in pictures, speak."""
    from mmchat.cli.attached import attached_files
    from mmchat.cli.replies import open_conversation
    from mmchat.cli.speech import start_speaking
    from mmchat.wiring import WiringOptions, open_desk, open_settings

    if no_log and (should_continue or session is not None):
        raise UsageError("--no-log stores nothing, so it cannot go on with a conversation.", hint="Leave one out.")
    if persona is not None and (should_continue or session is not None):
        raise UsageError("A conversation keeps its role.", hint="Leave out --persona, or -c and -s.")
    if "-" in (attachment or []):
        raise UsageError("'-a -' is for 'mmchat ask': here stdin is what you say.")
    if is_hands_free and not sys.stdin.isatty():
        raise UsageError("--voice needs a person at the terminal: here stdin is what you say.")
    is_plain = no_tui or not has_full_screen()
    keys = chosen_keys({} if is_plain else open_settings().keymap)
    with ExitStack() as cleanup:
        if not is_plain:
            from mmchat.cli.terminal_guard import guarded_terminal

            cleanup.enter_context(guarded_terminal())  # forks, so it comes before the first thread
        files = cleanup.enter_context(attached_files(attachment or []))
        options = WiringOptions(model=model, persona=persona, language=language, should_log=not no_log)
        desk = cleanup.enter_context(closing(open_desk(options)))
        start_speaking(desk, is_asked=speak)
        conversation = open_conversation(desk, should_continue=should_continue, session_id=session)
        if sys.stdin.isatty():  # a person may show a picture or speak next; a script says what it needs
            # The app begins with the language model itself, once it is painted; two pulls of one model would queue.
            desk.fetch(("lm", "embed", "asr", "vision") if is_plain else ("embed", "asr", "vision"))
            desk.index_in_background()
        if is_plain:
            code = _run_plain(desk, conversation, files, is_hands_free=is_hands_free)
        else:
            code = _run_app(desk, conversation, files, keys, is_hands_free=is_hands_free)
    if code:
        raise typer.Exit(code)


def has_full_screen() -> bool:
    """Whether a person sits at a terminal that can draw."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _run_plain(desk: Desk, conversation: ChatSession, files: tuple[Path, ...], *, is_hands_free: bool) -> int:
    from mmchat import paths
    from mmchat.cli.plain import PlainChat
    from mmchat.native_noise import native_noise_to

    # Line editing writes to descriptor 1 itself, so that one is only closed to libraries when nobody edits.
    is_interactive = sys.stdin.isatty()
    with native_noise_to(paths.log_dir() / "native.log", is_stdout_too=not is_interactive):
        return PlainChat(desk, conversation, files, is_interactive=is_interactive).run(is_hands_free=is_hands_free)


def chosen_keys(keymap: Mapping[str, str]) -> Keys:
    """The `[keymap]` of the settings, for the app.

    Raises:
        ConfigError: it names what has no key, or keys that cannot be used; everything wrong is said at once.
    """
    from mmchat import paths
    from mmchat.config.problems import did_you_mean, problem
    from mmchat.tui.keymap import DEFAULT_KEYS, Keys, key_problems, normalised

    chosen = {name: normalised(keys) for name, keys in keymap.items()}
    unknown = {
        name: f"no such key to choose.{did_you_mean(name, DEFAULT_KEYS)}" for name in chosen.keys() - DEFAULT_KEYS
    }
    known = {name: keys for name, keys in chosen.items() if name not in unknown}
    problems = unknown | key_problems(known)
    if problems:
        lines = [
            problem(paths.settings_path(), f"keymap.{name}", problems[name]) for name in chosen if name in problems
        ]
        raise ConfigError("\n".join(lines), hint=f"Keys can be chosen for: {', '.join(DEFAULT_KEYS)}.")
    return Keys(known)


def _run_app(desk: Desk, conversation: ChatSession, files: tuple[Path, ...], keys: Keys, *, is_hands_free: bool) -> int:
    from mmchat import paths
    from mmchat.config.settings import save_setting
    from mmchat.native_noise import native_noise_to
    from mmchat.wiring import open_settings

    settings = open_settings()
    with native_noise_to(paths.log_dir() / "native.log"):
        from mmchat.cli import terminal_graphics
        from mmchat.tui.app import MmchatApp

        graphics, cell = terminal_graphics.look()

        app = MmchatApp(
            desk,
            conversation,
            draft_text=" ".join(shlex.quote(str(path.absolute())) for path in files),
            theme=settings.theme,
            save_theme=lambda name: save_setting("theme", name),
            keys=keys,
            previews=settings.previews,
            graphics=graphics,
            cell=cell,
            save_previews=lambda choice: save_setting("previews", choice),
            is_hands_free=is_hands_free,
        )
        app.run()
    return app.return_code or 0
