"""The input box: keys, history, chips, pastes, commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from mmchat.tui.drafts import FOLD_LINES

from .conftest import Stage, StageMaker
from .fakes import FakeDesk


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for name in ("dog.png", "a cat.jpg", "song.wav"):
        (folder / name).write_bytes(b"x")
    monkeypatch.chdir(folder)
    return folder


async def paste(s: Stage, text: str) -> None:
    s.chat.composer.post_message(events.Paste(text))
    await s.pilot.pause()


async def test_the_box_takes_keys_at_once(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("h", "i")
        assert s.chat.composer.text == "hi"


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter", "alt+enter"])
async def test_newline_keys(desk: FakeDesk, stage: StageMaker, key: str) -> None:
    async with stage(desk) as s:
        await s.pilot.press("a", key, "b")
        assert s.chat.composer.text == "a\nb"
        assert s.session.sent == []


async def test_up_walks_back_and_down_returns_to_the_draft(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("one")
        await s.say("two")
        await s.type("a draft")
        await s.pilot.press("up")
        assert s.chat.composer.text == "two"
        await s.pilot.press("up", "up")
        assert s.chat.composer.text == "one"
        await s.pilot.press("down", "down")
        assert s.chat.composer.text == "a draft"


async def test_up_inside_several_lines_moves_the_cursor(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("one")
        await s.type("first\nsecond")
        await s.pilot.press("up")
        assert s.chat.composer.text == "first\nsecond"
        assert s.chat.composer.cursor_location[0] == 0


@pytest.mark.parametrize(
    "dropped",
    ["{}/a cat.jpg", "'{}/a cat.jpg'", '"{}/a cat.jpg" ', "file://{}/a%20cat.jpg\r\n"],
    ids=["raw", "single", "double", "uri"],
)
async def test_a_dropped_picture_becomes_a_chip(
    desk: FakeDesk, stage: StageMaker, pictures: Path, dropped: str
) -> None:
    async with stage(desk) as s:
        where = str(pictures).replace(" ", "%20") if dropped.startswith("file:") else str(pictures)
        await paste(s, dropped.format(where))
        assert s.chat.composer.text == "[Image 1: a cat.jpg] "
        assert s.chat.composer.draft.files == (pictures / "a cat.jpg",)
        assert "vision" in desk.warmed, "the eyes open while the question is typed"


async def test_several_dropped_at_once_become_chips_in_order(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        await paste(s, f"'{pictures}/dog.png' '{pictures}/song.wav'")
        assert s.chat.composer.text == "[Image 1: dog.png] [Sound 1: song.wav] "
        await s.say("what are these?")
        assert s.session.sent[0].text == "what are these?"
        assert [path.name for path in s.session.sent[0].files] == ["dog.png", "song.wav"]


async def test_a_typed_path_is_attached_when_sent(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        await s.say("what is in ./dog.png ?")
        assert [path.name for path in s.session.sent[0].files] == ["dog.png"]
        assert "dog.png" not in s.session.sent[0].text


async def test_a_missing_picture_is_told_once_then_sent_as_words(
    desk: FakeDesk, stage: StageMaker, pictures: Path
) -> None:
    async with stage(desk) as s:
        await s.send("look at ./nothere.png")
        assert "No such file" in s.chat.activity.words
        assert s.chat.composer.text == "look at ./nothere.png"
        await s.pilot.press("enter")
        await s.idle()
        assert s.session.sent[0].text == "look at ./nothere.png"


@pytest.mark.parametrize("key", ["backspace", "ctrl+w"])
async def test_a_chip_goes_as_one_unit_and_undo_brings_it_back(
    desk: FakeDesk, stage: StageMaker, pictures: Path, key: str
) -> None:
    async with stage(desk) as s:
        await s.type("see ")
        s.chat.composer.attach(pictures / "dog.png", "image")
        await s.pilot.press("backspace", key)
        assert s.chat.composer.text.strip() == "see"
        assert s.chat.composer.draft.files == ()
        await s.pilot.press("ctrl+z")
        assert s.chat.composer.draft.files == (pictures / "dog.png",)


async def test_delete_takes_the_chip_to_the_right(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        s.chat.composer.attach(pictures / "dog.png", "image")
        await s.pilot.press("home", "delete")
        assert s.chat.composer.text == " "


async def test_the_cursor_skips_over_a_chip(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        s.chat.composer.attach(pictures / "dog.png", "image")
        end = len("[Image 1: dog.png]")
        await s.pilot.press("left")
        assert s.chat.composer.cursor_location == (0, end)
        await s.pilot.press("left")
        assert s.chat.composer.cursor_location == (0, 0)
        await s.pilot.press("right")
        assert s.chat.composer.cursor_location == (0, end)


async def test_a_long_paste_is_folded_and_sent_in_full(desk: FakeDesk, stage: StageMaker) -> None:
    text = "\n".join(f"line {n}" for n in range(FOLD_LINES + 5))
    async with stage(desk) as s:
        await s.type("explain: ")
        await paste(s, text.replace("\n", "\r"))
        assert s.chat.composer.text == f"explain: [Pasted text 1: +{FOLD_LINES + 5} lines]"
        await s.pilot.press("enter")
        await s.idle()
        assert s.session.sent[0].text == f"explain: {text}"


async def test_ctrl_c_clears_then_asks_then_quits(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.type("half a thought")
        await s.pilot.press("ctrl+c")
        assert s.chat.composer.text == ""
        await s.pilot.press("up")
        assert s.chat.composer.text == "half a thought", "what was cleared is still in the history"
        await s.pilot.press("ctrl+c", "ctrl+c")
        assert "again to quit" in s.chat.activity.words
        assert s.app.is_running
        await s.pilot.press("ctrl+c")
        await s.until(lambda: not s.app.is_running or s.app._exit, "the app ends")


async def test_ctrl_d_quits_only_on_an_empty_box(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.type("ab")
        await s.pilot.press("home", "ctrl+d")
        assert s.chat.composer.text == "b"
        await s.pilot.press("ctrl+d", "ctrl+d")
        assert s.app._exit


async def test_slash_lists_commands_and_tab_completes(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("/", "r", "e")
        assert s.chat.completions.is_open
        await s.pilot.press("tab")
        assert s.chat.composer.text.startswith("/re")
        assert s.chat.composer.text.strip() != "/re"


async def test_esc_closes_the_list_and_keeps_the_text(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("/", "escape")
        assert not s.chat.completions.is_open
        assert s.chat.composer.text == "/"


async def test_unknown_commands_are_answered(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/frobnicate now")
        assert s.chat.activity.words == "Unknown command '/frobnicate'. Type /help."
        assert s.session.sent == []


async def test_a_path_is_not_a_command(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        await s.say(f"{pictures}/dog.png")
        assert [path.name for path in s.session.sent[0].files] == ["dog.png"]


async def test_image_command_attaches_without_sending(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        await s.send("/image a cat.jpg")
        await s.until(lambda: s.chat.composer.draft.files, "the picture is attached")
        assert s.chat.composer.text == "[Image 1: a cat.jpg] "
        assert s.session.sent == []


async def test_image_command_with_a_bad_path_says_so(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk) as s:
        await s.send("/image ghost.png")
        await s.until(lambda: "No such file" in s.text_of("ErrorView"), "the error is shown")


async def test_words_on_the_command_line_stand_in_the_box(desk: FakeDesk, stage: StageMaker, pictures: Path) -> None:
    async with stage(desk, draft_text="./dog.png hello") as s:
        assert s.chat.composer.text == "[Image 1: dog.png] hello"
