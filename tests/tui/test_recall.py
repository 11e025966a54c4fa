"""/recall and /view: what is found, going there, and the files that came with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from mmchat.chat.finder import Found
from mmchat.domain import Attachment, Recalled, Seen, Tag
from mmchat.errors import EngineUnavailable
from mmchat.tui.screens.recall import RecallScreen
from mmchat.tui.widgets.turns import RecalledLine, ReplyView

from .conftest import Stage, StageMaker
from .fakes import NOW, FakeDesk, answer, make_attachment, make_turns

BIKE = replace(make_attachment("t3", Path("bike.jpg")), id="a1", seen=Seen((Tag("bicycle", 0.9),)))


def found(text: str, turn: str, attachment: Attachment | None = None) -> Found:
    return Found(Recalled("a", turn, "user", text, NOW, 1.0, attachment), "Trip to the lake")


@dataclass
class FakeFinder:
    """Finds what a test put in, and notes what it was asked."""

    turns: tuple[Found, ...] = ()
    asked: list[tuple[str, bool]] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    opened: list[Attachment] = field(default_factory=list)
    refuse: EngineUnavailable | None = None

    def by_words(self, query: str, *, are_pictures: bool = False) -> tuple[Found, ...]:
        self.asked.append((query, are_pictures))
        return tuple(each for each in self.turns if not are_pictures or each.turn.attachment is not None)

    def by_picture(self, path: Path) -> tuple[Found, ...]:
        self.pictures.append(path)
        return tuple(each for each in self.turns if each.turn.attachment is not None)

    def open_file(self, attachment: Attachment) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.opened.append(attachment)


@pytest.fixture
def finder(desk: FakeDesk) -> FakeFinder:
    turns = (found("my bike [red]", "t3", BIKE), found("我的自行车", "t8"))
    desk.finder = made = FakeFinder(turns)
    desk.add_session("a", "Trip to the lake", make_turns(12, "a"))
    return made


async def screen_of(s: Stage) -> RecallScreen:
    await s.until(lambda: isinstance(s.app.screen, RecallScreen) and s.app.screen._found, "turns are listed")
    assert isinstance(s.app.screen, RecallScreen)
    return s.app.screen


def note_of(s: Stage) -> str:
    return str(s.app.screen.query_one("#recall-note", Static).render())


async def test_words_find_turns_and_enter_goes_there(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/recall red bike")
        screen = await screen_of(s)
        assert finder.asked == [("red bike", False)]
        assert "2 turns" in note_of(s)
        listed = str(screen._line(screen._found[0]))
        assert "▪ bike.jpg" in listed
        assert "my bike [red]" in listed
        assert "Trip to the lake" in listed
        keys = screen.query_one(".dialog-keys").region
        assert keys.height == 1
        assert screen.query_one("#recall").region.contains_region(keys)  # however many are found
        await s.pilot.press("down", "enter")
        await s.until(lambda: len(s.users()) == 6, "the conversation is open")
        await s.until(lambda: s.chat.query(".-found"), "the turn is marked")


async def test_it_looks_while_one_types_and_can_look_for_pictures_alone(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker
) -> None:
    async with stage(desk) as s:
        await s.send("/recall")
        await s.until(lambda: isinstance(s.app.screen, RecallScreen), "the screen is open")
        assert finder.asked == []
        s.app.screen.query_one(Input).value = "自行车"
        screen = await screen_of(s)
        assert finder.asked == [("自行车", False)]
        await s.pilot.press("ctrl+l")
        await s.until(lambda: len(screen._found) == 1, "pictures alone")
        assert finder.asked[-1] == ("自行车", True)
        await s.pilot.press("escape")
        assert not isinstance(s.app.screen, RecallScreen)


async def test_a_picture_in_the_box_is_what_is_looked_for(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker, tmp_path: Path
) -> None:
    picture = tmp_path / "x.jpg"
    picture.write_bytes(b"bytes")
    async with stage(desk) as s:
        s.chat.composer.insert("/recall ")
        s.chat.composer.attach(picture, "image")
        await s.pilot.press("enter")
        screen = await screen_of(s)
        assert finder.pictures == [picture]
        assert [each.turn.turn for each in screen._found] == ["t3"]
        assert not s.session.sent


async def test_nothing_found_is_said(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    finder.turns = ()
    async with stage(desk) as s:
        await s.send("/recall quantum")
        await s.until(lambda: isinstance(s.app.screen, RecallScreen) and "Nothing" in note_of(s), "it is said")


async def test_the_file_of_a_turn_opens_in_the_viewer_or_its_path_is_told(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker
) -> None:
    async with stage(desk) as s:
        await s.send("/recall bike")
        await screen_of(s)
        await s.pilot.press("ctrl+o")
        await s.until(lambda: finder.opened == [BIKE], "it is opened")
        finder.refuse = EngineUnavailable("This terminal has no screen.", hint="The file: /kept/bike.jpg")
        await s.pilot.press("ctrl+o")
        await s.until(lambda: "/kept/bike.jpg" in note_of(s), "the path is told")
        await s.pilot.press("down", "ctrl+o")
        await s.until(lambda: "No file came" in note_of(s), "a turn without a file")


async def test_recalled_pictures_are_chips_that_open(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    note = finder.turns[0].turn
    desk.script = answer("That was at the lake.", recalled=(note,))
    async with stage(desk) as s:
        await s.say("where was my bike?")
        (line,) = s.chat.query(RecalledLine)
        assert "▪\u00a0bike.jpg" in str(line.render())
        at = str(line.render()).index("bike.jpg")
        await s.pilot.click(RecalledLine, offset=(at, 0))
        await s.until(lambda: finder.opened == [BIKE], "the chip opened its file")
        assert "you:" not in str(line.render())  # and did not unfold the line
        await s.pilot.click(RecalledLine, offset=(1, 0))
        await s.until(lambda: "you: my bike [red]" in str(line.render()), "elsewhere it unfolds")
        assert s.chat.query_one(ReplyView)


async def test_view_takes_the_newest_file_or_one_by_name(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    desk.script = answer("Nice.", recalled=(finder.turns[0].turn,))
    async with stage(desk) as s:
        await s.send("/view")
        await s.until(lambda: "No file came up here" in s.text_of(".error-view"), "there is none yet")
        await s.say("where was my bike?")
        await s.send("/view BIKE")
        await s.until(lambda: finder.opened == [BIKE], "it is opened")
        assert "Opened bike.jpg" in s.text_of("#activity")
        await s.send("/view cat")
        await s.until(lambda: "No file here is called 'cat'" in s.text_of(".error-view"), "no such file")
