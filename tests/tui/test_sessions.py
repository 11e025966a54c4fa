"""Conversations, dialogs, models, themes, copying."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from textual.widgets import Input

from mmchat.domain import LoadState
from mmchat.errors import ModelNotFound
from mmchat.tui.screens.context import ContextScreen
from mmchat.tui.screens.dialogs import AskScreen, AttachScreen, ConfirmScreen
from mmchat.tui.screens.help import HelpScreen
from mmchat.tui.screens.session_lines import ago
from mmchat.tui.screens.sessions import SessionsScreen

from .conftest import Stage, StageMaker
from .fakes import READY, FakeDesk, make_turns


@pytest.fixture
def two(desk: FakeDesk) -> FakeDesk:
    desk.add_session("a", "Trip to the lake", make_turns(12, "a"))
    desk.add_session("b", "学习计划 [red]", make_turns(4, "b"))
    return desk


async def open_list(s: Stage) -> SessionsScreen:
    await s.pilot.press("ctrl+s")
    await s.until(
        lambda: isinstance(s.app.screen, SessionsScreen) and s.app.screen._found, "the conversations are listed"
    )
    assert isinstance(s.app.screen, SessionsScreen)
    return s.app.screen


async def test_open_a_conversation_from_the_list(two: FakeDesk, stage: StageMaker) -> None:
    async with stage(two) as s:
        await open_list(s)
        await s.pilot.press("down", "enter")
        await s.until(lambda: len(s.users()) == 2, "the conversation is open")
        assert "学习计划 [red]" in s.text_of("#header")


async def test_typing_narrows_the_list(two: FakeDesk, stage: StageMaker) -> None:
    async with stage(two) as s:
        screen = await open_list(s)
        await s.pilot.press(*"lake")
        await s.until(lambda: [each.session.id for each in screen._found] == ["a"], "one is left")
        await s.pilot.press(*"xyz")
        await s.until(lambda: not screen._found, "none is left")
        assert "Nothing holds “lakexyz”" in str(screen.query_one("#no-sessions").render())


async def test_no_conversations_yet(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("ctrl+s")
        await s.until(
            lambda: (
                isinstance(s.app.screen, SessionsScreen)
                and "No conversations yet" in str(s.app.screen.query_one("#no-sessions").render())
            ),
            "the empty list says so",
        )
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "Esc closes the list")


async def test_what_is_deleted_lies_in_the_trash_until_it_is_deleted_there(two: FakeDesk, stage: StageMaker) -> None:
    async with stage(two) as s:
        screen = await open_list(s)
        await s.pilot.press("ctrl+d")
        await s.until(lambda: [each.session.id for each in screen._found] == ["b"], "it is out of the list")
        note = str(screen.query_one("#sessions-note").render())
        assert "“Trip to the lake” is in the trash for 30 days. Ctrl+Z undoes it." in note
        await s.pilot.press("ctrl+z")
        await s.until(lambda: len(screen._found) == 2, "it is back")
        await s.pilot.press("ctrl+d")
        await s.until(lambda: len(screen._found) == 1, "it is deleted again")
        await s.pilot.press("ctrl+l", "ctrl+l")
        await s.until(lambda: [each.session.id for each in screen._found] == ["a"], "the trash is shown")
        await s.pilot.press("ctrl+d")
        await s.until(lambda: isinstance(s.app.screen, ConfirmScreen), "for good: it asks")
        shown = " ".join(str(each.render()) for each in s.app.screen.query("Static"))
        assert "Trip to the lake" in shown
        assert "12 turns" in shown
        await s.pilot.press("enter")
        await s.until(lambda: s.app.screen is screen, "Enter alone keeps it")
        assert "a" in two.infos
        await s.pilot.press("ctrl+d")
        await s.until(lambda: isinstance(s.app.screen, ConfirmScreen), "it asks again")
        await s.pilot.press("y")
        await s.until(lambda: not screen._found, "it is gone")
        assert "a" not in two.infos
        assert "The trash is empty." in str(screen.query_one("#no-sessions").render())


async def test_deleting_the_open_conversation_leaves_an_empty_one(two: FakeDesk, stage: StageMaker) -> None:
    async with stage(two, two.open_session("a")) as s:
        await s.until(lambda: s.users(), "it is open")
        await s.send("/delete")
        await s.until(lambda: two.infos["a"].deleted_at and s.chat.session.info is None, "it is in the trash")
        assert s.users() == []
        assert "Alt+Z" in s.chat.activity.words
        await s.pilot.press("alt+z")
        await s.until(lambda: s.chat.session.info and len(s.users()) >= 3, "it is open again")
        assert two.infos["a"].deleted_at is None


async def test_rename_by_command_and_by_dialog(two: FakeDesk, stage: StageMaker) -> None:
    async with stage(two, two.open_session("a")) as s:
        await s.until(lambda: s.users(), "it is open")
        await s.send("/rename Lakes of Norway")
        await s.until(lambda: "Lakes of Norway" in s.text_of("#header"), "the header shows it")
        await s.send("/rename")
        await s.until(lambda: isinstance(s.app.screen, AskScreen), "it asks")
        s.app.screen.query_one(Input).value = "Fjords"
        await s.pilot.press("enter")
        await s.until(lambda: "Fjords" in s.text_of("#header"), "the header shows the new one")


async def test_model_command_lists_and_switches(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/model")
        await s.until(lambda: "qwen3-0.6b" in s.text_of("NoticeLine"), "models are listed")
        await s.send("/model qwen3-0.6b")
        await s.until(lambda: desk.used_models == ["qwen3-0.6b"], "it switches")


async def test_a_model_that_does_not_exist_is_a_sentence(
    desk: FakeDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ModelNotFound(f"No model is called {name}.", hint="/model lists them.")

    desk.use_language_model = refuse  # type: ignore[method-assign]
    async with stage(desk) as s:
        await s.send("/model ghost ")
        await s.until(lambda: "No model is called ghost." in s.text_of("ErrorView"), "it is said")


async def test_a_bug_in_a_command_is_logged_and_told(desk: FakeDesk, stage: StageMaker) -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError(name)

    desk.use_language_model = broken  # type: ignore[method-assign]
    async with stage(desk) as s:
        await s.send("/model ghost ")
        await s.until(lambda: "ZeroDivisionError" in s.text_of("ErrorView"), "it is told")
        assert s.app.is_running


async def test_loading_progress_is_shown_until_ready(desk: FakeDesk, stage: StageMaker) -> None:
    desk.states = (LoadState("lm", "smollm2", "llamacpp", "pulling", "downloading 62%, 8 s left", 0.62),)
    async with stage(desk) as s:
        assert "downloading 62%, 8 s left" in s.chat.activity.words
        await s.pilot.press("h")
        assert s.chat.composer.text == "h"
        desk.states = READY
        await s.until(lambda: s.chat.activity.words == "", "the line is calm again")
        assert "cpu" in s.text_of("#status")


async def test_a_model_that_failed_to_load_says_why(desk: FakeDesk, stage: StageMaker) -> None:
    desk.states = (LoadState("lm", "smollm2", "llamacpp", "failed", "No network. Run: mmchat models pull smollm2"),)
    async with stage(desk) as s:
        await s.until(lambda: "mmchat models pull" in s.chat.activity.words, "it is said")


async def test_themes(desk: FakeDesk, stage: StageMaker) -> None:
    saved: list[str] = []
    async with stage(desk, save_theme=saved.append) as s:
        await s.send("/theme light")
        await s.until(lambda: s.app.theme == "mmchat-light", "it is light")
        assert saved == ["mmchat-light"]
        await s.send("/theme plaid")
        await s.until(lambda: "No theme is called 'plaid'" in s.text_of("ErrorView"), "it is said")


async def test_help_lists_every_command(desk: FakeDesk, stage: StageMaker) -> None:
    from mmchat.tui.commands import COMMANDS

    async with stage(desk) as s:
        await s.pilot.press("f1")
        await s.until(lambda: isinstance(s.app.screen, HelpScreen), "help is open")
        shown = " ".join(str(each.render()) for each in s.app.screen.query("Static"))
        assert all(command.usage in shown for command in COMMANDS)
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "Esc closes it")


async def test_context_shows_the_exact_prompt(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("what [b]now[/b]?")
        await s.send("/context")
        await s.until(lambda: isinstance(s.app.screen, ContextScreen), "it is open")
        shown = " ".join(str(each.render()) for each in s.app.screen.query("Static"))
        assert "what [b]now[/b]?" in shown


async def test_copy_tells_the_truth_about_the_terminal(
    desk: FakeDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    async with stage(desk) as s:
        await s.send("/copy")
        await s.until(lambda: "Nothing to copy" in s.chat.activity.words, "nothing is said to be copied")
        s.chat.composer.clear_draft()
        await s.say("hi")
        await s.send("/copy")
        await s.until(lambda: "OSC 52" in s.chat.activity.words, "it says how")
        assert s.app.clipboard == "Hello there."


async def test_attach_dialog_completes(
    desk: FakeDesk, stage: StageMaker, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "work"
    (folder / "pics").mkdir(parents=True)
    (folder / "pics" / "dog.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    monkeypatch.chdir(folder)
    async with stage(desk) as s:
        await s.pilot.press("ctrl+o")
        await s.until(lambda: isinstance(s.app.screen, AttachScreen), "it asks")
        await s.pilot.press("p", "tab", "d", "tab")
        assert s.app.screen.query_one(Input).value == "pics/dog.png"
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.composer.draft.files == (folder / "pics" / "dog.png",), "it is attached")


async def test_palette_opens_with_our_commands(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("ctrl+p")
        await s.until(lambda: s.app.screen is not s.chat, "the palette is open")
        await s.pilot.press(*"Regen")
        await s.pilot.press("escape")
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "it closes")


def test_ages() -> None:
    now = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
    assert ago("2026-05-03T11:59:30+00:00", now) == "just now"
    assert ago("2026-05-03T09:00:00+00:00", now) == "3 h ago"
    assert ago("2026-04-03T09:00:00+00:00", now) == "2026-04-03"
