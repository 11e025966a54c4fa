"""Keys of the user's own choice: checked in words, in force in the app, and named where the app names keys."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from textual.binding import Binding

from mmchat.cli.talk import chosen_keys
from mmchat.errors import ConfigError
from mmchat.tui.commands import COMMANDS
from mmchat.tui.keymap import DEFAULT_KEYS, FIXED_KEYS, Keys
from mmchat.tui.screens.help import HelpScreen
from mmchat.tui.screens.sessions import SessionsScreen
from mmchat.tui.widgets.composer import NEWLINE_KEYS, Composer

from .conftest import StageMaker
from .fakes import FakeDesk


def test_keys_are_written_in_any_case_and_order() -> None:
    keys = chosen_keys({"voice": "F5", "new": "Shift+Ctrl+G, alt+n"})
    assert keys.chosen == {"voice": "f5", "new": "ctrl+shift+g,alt+n"}
    assert (keys.label("voice"), keys.label("new"), keys.label("help")) == ("F5", "Ctrl+Shift+G", "F1")
    assert (keys.label("stop"), keys.label("theme")) == ("Esc", "")
    assert chosen_keys({}) == Keys()


@pytest.mark.parametrize(
    ("keymap", "words"),
    [
        ({"voise": "f5"}, "keymap.voise: no such key to choose. Did you mean 'voice'?"),
        ({"voice": "r"}, "keymap.voice: 'r' is typed into messages"),
        ({"voice": "shift+r"}, "is typed into messages"),
        ({"voice": "ctrl+banana"}, "'ctrl+banana' is no key"),
        ({"voice": ""}, "'' is no key"),
        ({"voice": "f5,"}, "'' is no key"),
        ({"voice": "control+r"}, "'control+r' is no key"),
        ({"voice": "ctrl+k"}, "'ctrl+k' is a key of the input box"),
        ({"voice": "Enter"}, "'enter' is a key of the input box"),
        ({"voice": "ctrl+n"}, "'ctrl+n' is the key for 'new' already"),
        ({"voice": "f5", "regen": "f5"}, "'f5' is the key for"),
    ],
)
def test_what_cannot_be_a_key_is_refused_in_words(keymap: Mapping[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen_keys(keymap)
    assert words in caught.value.message
    assert "settings.toml: keymap." in caught.value.message
    assert "voice" in caught.value.hint


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        chosen_keys({"recall": "f5", "voice": "x", "new": "f11"})
    assert len(caught.value.message.splitlines()) == 2


def test_every_key_of_the_input_box_is_known_as_taken() -> None:
    own = {
        binding.key for each in Composer.__mro__ for binding in Binding.make_bindings(each.__dict__.get("BINDINGS", []))
    }
    assert own | set(NEWLINE_KEYS) <= FIXED_KEYS
    taken_by_default = {key for keys in DEFAULT_KEYS.values() for key in keys.split(",")}
    assert not taken_by_default & FIXED_KEYS
    assert set(DEFAULT_KEYS) - {"latest", "palette", "older", "newer"} <= {command.name for command in COMMANDS}


async def test_chosen_keys_work_and_the_old_ones_do_not(desk: FakeDesk, stage: StageMaker) -> None:
    keys = chosen_keys({"help": "f5", "sessions": "ctrl+g", "palette": "f12"})
    async with stage(desk, keys=keys) as s:
        await s.pilot.press("f1", "ctrl+s", "ctrl+p")
        assert s.app.screen is s.chat
        await s.pilot.press("f5")
        await s.until(lambda: isinstance(s.app.screen, HelpScreen), "the help")
        await s.pilot.press("escape", "ctrl+g")
        await s.until(lambda: isinstance(s.app.screen, SessionsScreen), "the conversations")
        await s.pilot.press("escape", "f12")
        await s.until(lambda: type(s.app.screen).__name__ == "CommandPalette", "the palette")
        await s.pilot.press("escape")


async def test_two_commands_may_swap_their_keys(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, keys=chosen_keys({"help": "ctrl+s", "sessions": "f1"})) as s:
        await s.pilot.press("f1")
        await s.until(lambda: isinstance(s.app.screen, SessionsScreen), "the conversations")
        await s.pilot.press("escape", "ctrl+s")
        await s.until(lambda: isinstance(s.app.screen, HelpScreen), "the help")


async def test_another_key_quits(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, keys=chosen_keys({"quit": "f10"})) as s:
        await s.pilot.press("ctrl+q")
        assert s.app.is_running
        await s.pilot.press("f10")
        await s.until(lambda: s.app.return_code is not None or not s.app.is_running, "the end")


async def test_the_app_names_the_keys_in_force(desk: FakeDesk, stage: StageMaker) -> None:
    keys = chosen_keys({"help": "f5", "voice": "f11", "palette": "f12", "regen": "alt+r"})
    async with stage(desk, keys=keys, size=(120, 40)) as s:
        assert "press F11 and speak" in s.text_of(".welcome")
        assert "F12 palette" in s.text_of("#status")
        assert "F5 help" in s.text_of("#status")
        await s.pilot.press("f5")
        await s.until(lambda: isinstance(s.app.screen, HelpScreen), "the help")
        shown = "\n".join(str(each.render()) for each in s.app.screen.query("Static"))
        for line in ("F12", "F11", "Alt+R", "Ctrl+N"):
            assert line in shown
        assert "Ctrl+T" not in shown
        assert "Ctrl+R" not in shown
