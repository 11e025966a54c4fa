"""Pictures in the app: previews, looking at them large, pasting, opening."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from PIL import Image, ImageDraw
from textual.color import Color

from mmchat.domain import Attachment, Recalled
from mmchat.errors import EngineUnavailable, ImageError
from mmchat.tui.picture_cells import HALF, CellSize
from mmchat.tui.picture_loader import Made, PictureLoader, Wish
from mmchat.tui.screens.pictures import PicturesScreen
from mmchat.tui.widgets.pictures import PictureRow

from .conftest import Stage, StageMaker
from .fakes import NOW, WAIT_S, FakeDesk, make_attachment, make_turn, make_turns


def draw(path: Path, colour: str = "red", size: tuple[int, int] = (120, 80)) -> Path:
    """A picture of one colour above and white below."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle((0, 0, size[0], size[1] // 2), fill=colour)
    image.save(path)
    return path


def shown_to(turn: int, *paths: Path) -> Any:
    attachments = tuple(replace(make_attachment(f"t{turn}", path), id=f"a-{path.stem}") for path in paths)
    return make_turn(turn, attachments=attachments)


def rows(s: Stage) -> list[PictureRow]:
    return list(s.app.screen.query(PictureRow))


def lines(row: PictureRow) -> list[str]:
    return [row.render_line(y).text.rstrip() for y in range(row.size.height)]


def is_drawn(row: PictureRow) -> bool:
    return row.size.height > 0 and HALF in row.render_line(0).text


def colours(row: PictureRow) -> set[str]:
    styles = [segment.style for y in range(row.size.height) for segment in row.render_line(y) if HALF in segment.text]
    return {Color.from_rich_color(style.color).hex for style in styles if style is not None}


async def test_a_sent_picture_is_shown_below_its_message(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    async with stage(desk) as s:
        s.chat.composer.attach(draw(tmp_path / "red.png"), "image")
        await s.say("what is this?")
        await s.until(lambda: rows(s) and is_drawn(rows(s)[0]), "the picture")
        (row,) = rows(s)
        assert row.region.y == s.users()[0].region.bottom
        assert {"#FF0000", "#FFFFFF"} <= colours(row)
        assert row.size.height == 8  # a third of the screen


async def test_a_sound_has_no_picture(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    async with stage(desk) as s:
        s.chat.composer.attach(tmp_path / "song.wav", "audio")
        await s.say("what is this?")
        assert rows(s) == []


@pytest.mark.parametrize(("width", "fitting"), [(80, 4), (140, 6)])
async def test_several_pictures_stand_side_by_side(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path, width: int, fitting: int
) -> None:
    paths = [draw(tmp_path / f"{name}.png") for name in ("海边的小狗和一只非常大的猫", "b", "c", "d", "e", "f", "g")]
    desk.add_session("s1", "seven", [shown_to(0, *paths), make_turn(1, "assistant")])
    async with stage(desk, desk.open_session("s1"), size=(width, 40)) as s:
        await s.until(lambda: rows(s) and is_drawn(rows(s)[0]), "the pictures")
        (row,) = rows(s)
        names = lines(row)[-1]
        assert names.startswith("海边")
        assert f"+{7 - fitting} more" in names
        assert all(row.render_line(y).cell_length == row.size.width for y in range(row.size.height))


async def test_a_file_that_is_no_picture_any_more_says_so(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    desk.add_session("s1", "one", [shown_to(0, tmp_path / "broken.png")])
    async with stage(desk, desk.open_session("s1")) as s:
        await s.until(lambda: rows(s) and "(no preview)" in lines(rows(s)[0])[0], "it says so")


async def test_only_what_is_seen_is_made_and_nothing_jumps(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    turns = make_turns(60)
    paths = [draw(tmp_path / f"{number}.png", size=(40, 30)) for number in range(30)]
    stored = [shown_to(n, paths[n // 2]) if n % 2 == 0 else turn for n, turn in enumerate(turns)]
    desk.add_session("s1", "many", stored)
    async with stage(desk, desk.open_session("s1")) as s:
        await s.until(lambda: rows(s) and is_drawn(rows(s)[-1]), "the last picture")
        await s.until(lambda: not s.app.pictures._pending, "all that is seen is made")
        height = s.chat.transcript._scroll.virtual_size.height
        assert len(s.app.pictures._kept) <= 4
        before = len(s.app.pictures._kept)
        await s.pilot.press("pageup", "pageup")
        await s.until(lambda: len(s.app.pictures._kept) > before, "those scrolled to are made")
        assert len(s.app.pictures._kept) < 15
        added = len(s.chat.query(PictureRow)) - len([row for row in s.chat.query(PictureRow) if row.size.height == 8])
        assert added == 0  # each is as high before it is made as after
        assert s.chat.transcript._scroll.virtual_size.height >= height


async def test_a_wider_window_draws_them_anew(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    desk.add_session("s1", "one", [shown_to(0, draw(tmp_path / "wide.png", size=(400, 100)))])
    async with stage(desk, desk.open_session("s1")) as s:
        await s.until(lambda: rows(s) and is_drawn(rows(s)[0]), "the picture")
        before = lines(rows(s)[0])[0].count(HALF)
        await s.pilot.resize_terminal(140, 50)
        await s.until(lambda: lines(rows(s)[0])[0].count(HALF) > before, "a larger picture")


async def test_previews_can_be_turned_off_and_it_is_remembered(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path
) -> None:
    saved: list[str] = []
    desk.add_session("s1", "one", [shown_to(0, draw(tmp_path / "red.png"))])
    async with stage(desk, desk.open_session("s1"), save_previews=saved.append) as s:
        await s.until(lambda: rows(s) and is_drawn(rows(s)[0]), "the picture")
        await s.send("/previews off")
        await s.until(lambda: not rows(s)[0].display, "no picture")
        await s.send("/previews")
        await s.until(lambda: rows(s)[0].display, "the picture is back")
        await s.send("/previews blocks")
        await s.until(lambda: "half blocks" in s.chat.activity.words, "it says how")
        await s.send("/previews tiny")
        await s.until(lambda: "auto, blocks or off" in s.text_of("ErrorView"), "it says what there is")
        assert saved == ["off", "auto", "blocks"]


async def test_with_previews_off_none_is_made(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    desk.add_session("s1", "one", [shown_to(0, draw(tmp_path / "red.png"))])
    async with stage(desk, desk.open_session("s1"), previews="off") as s:
        await s.until(lambda: s.users(), "the message")
        assert not rows(s)[0].display
        assert not s.app.pictures._kept
        assert not s.app.pictures._pending


async def test_the_drafts_pictures_are_looked_at_large(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    async with stage(desk) as s:
        for name in ("red", "blue"):
            s.chat.composer.attach(draw(tmp_path / f"{name}.png", name), "image")
        await s.pilot.press("alt+p")
        await s.until(lambda: isinstance(s.app.screen, PicturesScreen) and is_drawn(rows(s)[0]), "the first")
        assert "#FF0000" in colours(rows(s)[0])
        assert rows(s)[0].size.height > 8
        await s.pilot.press("right")
        await s.until(lambda: "#0000FF" in colours(rows(s)[0]), "the second")
        assert "2 of 2" in str(s.app.screen.query_one("#pictures-title").render())
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "it is closed")
        assert len(s.chat.composer.draft.files) == 2


class FakeFinder:
    """Opens nothing, and says what it was asked to open."""

    def __init__(self, error: Exception | None = None) -> None:
        self.opened: list[str] = []
        self._error = error

    def open_file(self, attachment: Attachment) -> None:
        if self._error is not None:
            raise self._error
        self.opened.append(attachment.name)


async def test_the_conversations_pictures_newest_first_and_enter_opens(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path
) -> None:
    desk.finder = FakeFinder()
    old, new, recalled = (draw(tmp_path / f"{name}.png") for name in ("old", "new", "recalled"))
    note = Recalled("s0", "t9", "user", "look", NOW, 1.0, replace(make_attachment("t9", recalled), id="a-recalled"))
    reply = make_turn(1, "assistant", recalled=(note,))
    desk.add_session("s1", "pictures", [shown_to(0, old), reply, shown_to(2, new), make_turn(3, "assistant")])
    async with stage(desk, desk.open_session("s1")) as s:
        await s.send("/pictures")
        await s.until(lambda: isinstance(s.app.screen, PicturesScreen), "the newest")
        assert s.app.screen.shown.name == "new.png"
        await s.pilot.press("right")
        assert s.app.screen.shown.name == "recalled.png"
        await s.pilot.press("enter")
        await s.until(lambda: desk.finder.opened == ["recalled.png"], "it is opened")
        await s.until(lambda: "Opened recalled.png" in s.chat.activity.words, "it says so")
        await s.send("/pictures ol")
        await s.until(lambda: isinstance(s.app.screen, PicturesScreen), "the one of that name")
        assert s.app.screen.shown.name == "old.png"


async def test_a_click_on_a_picture_opens_it(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    desk.finder = FakeFinder()
    paths = [draw(tmp_path / "one.png"), draw(tmp_path / "two.png")]
    desk.add_session("s1", "two", [shown_to(0, *paths)])
    async with stage(desk, desk.open_session("s1")) as s:
        await s.until(lambda: rows(s) and is_drawn(rows(s)[0]), "the pictures")
        second = lines(rows(s)[0])[-1].index("two.png")
        await s.pilot.click(PictureRow, offset=(second + 3, 2))
        await s.until(lambda: desk.finder.opened == ["two.png"], "it is opened")


async def test_where_nothing_can_show_it_the_path_is_told(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    why = "This terminal has no screen to show pictures on."
    desk.finder = FakeFinder(EngineUnavailable(why, hint="The file: /blobs/ab.png"))
    desk.add_session("s1", "one", [shown_to(0, draw(tmp_path / "red.png"))])
    async with stage(desk, desk.open_session("s1")) as s:
        await s.until(lambda: rows(s) and is_drawn(rows(s)[0]), "the picture")
        await s.pilot.click(PictureRow, offset=(3, 2))
        await s.until(lambda: "/blobs/ab.png" in s.chat.activity.words, "it says where the file is")


async def test_pictures_without_any_says_what_to_do(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/pictures")
        await s.until(lambda: "no picture here yet" in s.text_of("ErrorView"), "it says so")


# --- pasting ------------------------------------------------------------------------------------


class FakeClipboard:
    def __init__(self, taken: Path | Exception) -> None:
        self.taken = taken
        self.is_closed = False

    def take(self) -> Path:
        if isinstance(self.taken, Exception):
            raise self.taken
        return self.taken

    def close(self) -> None:
        self.is_closed = True


NO_PICTURE = ImageError("The clipboard holds no picture.", hint="Copy one.")


@pytest.mark.parametrize("key", ["alt+v", "ctrl+v"])
async def test_a_key_pastes_the_picture_as_a_chip(desk: FakeDesk, stage: StageMaker, tmp_path: Path, key: str) -> None:
    path = draw(tmp_path / "pasted 10.20.30.png")
    async with stage(desk) as s:
        s.app._pasted = FakeClipboard(path)
        await s.type("Look: ")
        await s.pilot.press(key)
        await s.until(lambda: s.chat.composer.draft.files == (path,), "the chip")
        assert s.chat.composer.text == "Look: [Image 1: pasted 10.20.30.png] "
        clipboard = s.app._pasted
    assert clipboard.is_closed


async def test_an_empty_paste_of_the_terminal_looks_for_a_picture(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path
) -> None:
    from textual.events import Paste

    async with stage(desk) as s:
        s.app._pasted = FakeClipboard(draw(tmp_path / "shot.png"))
        s.chat.composer.post_message(Paste(""))
        await s.until(lambda: s.chat.composer.draft.files, "the chip")


async def test_ctrl_v_pastes_text_where_there_is_no_picture(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        s.app._pasted = FakeClipboard(NO_PICTURE)
        s.app._clipboard = "copied here"
        await s.pilot.press("ctrl+v")
        await s.until(lambda: s.chat.composer.text == "copied here", "the text")
        assert "no picture" not in s.chat.activity.words


async def test_paste_says_why_there_is_nothing(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        s.app._pasted = FakeClipboard(NO_PICTURE)
        await s.send("/paste")
        await s.until(lambda: "The clipboard holds no picture." in s.chat.activity.words, "it says why")
        s.app._pasted = FakeClipboard(EngineUnavailable("Pasting pictures needs xclip.", hint="Install xclip."))
        await s.pilot.press("alt+v")
        await s.until(lambda: "Install xclip." in s.chat.activity.words, "it says what to do")


# --- real pixels --------------------------------------------------------------------------------


async def test_pixels_are_put_in_where_the_screen_has_marks(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    desk.add_session("s1", "one", [shown_to(0, draw(tmp_path / "red.png"))])
    async with stage(desk, desk.open_session("s1"), graphics="sixel", cell=CellSize(10, 20)) as s:
        await s.until(lambda: rows(s) and s.app.pictures.stripes, "the picture")
        stripes = s.app.pictures.stripes
        assert len(stripes) == rows(s)[0].size.height
        assert all(stripe.startswith("\x1b7\x1b[") and "\x1bP" in stripe for stripe in stripes.values())
        marks = [mark for mark in stripes if mark in rows(s)[0].render_line(2).text]
        assert len(marks) == 1
        await s.pilot.press("f1")  # a dialog covers it: pixels would lie above the dialog
        await s.until(lambda: s.app.screen is not s.chat, "the help")
        assert not any(mark in s.chat.query_one(PictureRow).render_line(2).text for mark in stripes)
        await s.pilot.press("escape")
        await s.until(lambda: marks[0] in rows(s)[0].render_line(2).text, "it is back")
        await s.send("/previews blocks")
        await s.until(lambda: is_drawn(rows(s)[0]), "half blocks")
        assert not s.app.pictures.stripes


async def test_kitty_is_told_of_a_picture_once_and_to_forget_it(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path
) -> None:
    desk.add_session("s1", "one", [shown_to(0, draw(tmp_path / "red.png"))])
    written: list[str] = []
    async with stage(desk, desk.open_session("s1"), graphics="kitty", cell=CellSize(10, 20)) as s:
        s.app.pictures._write = written.append
        await s.until(lambda: rows(s) and "\U0010eeee" in rows(s)[0].render_line(0).text, "the placeholders")
        row = rows(s)[0]
        row.refresh()
        await s.pilot.pause()
        assert sum("a=T" in each for each in written) <= 1
        assert row.render_line(0).cell_length == row.size.width
    assert any("a=d" in each for each in written)


def test_a_picture_made_twice_is_told_and_forgotten_once(tmp_path: Path) -> None:
    written: list[str] = []
    loader = PictureLoader("kitty", CellSize(10, 20), written.append)
    wish = Wish(draw(tmp_path / "red.png"), 20, 6)
    made: Queue[Made] = Queue()
    cells: list[Made] = []
    for _ in range(2):  # wished for again before the first was kept
        assert loader.get(wish, lambda wish, each: made.put(each)) is None
        cells.append(made.get(timeout=WAIT_S))
    for each in cells:
        loader.keep(wish, each)
    loader.forget_all()
    assert [each[:6] for each in written] == ["\x1b_Ga=T", "\x1b_Ga=d"]
    assert re.findall(r"i=(\d+)", written[0]) == re.findall(r"i=(\d+)", written[1])
