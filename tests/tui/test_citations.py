"""What a reply cites, in the app: chips below it, the passage in its place, the file in its viewer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll
from textual.widgets import OptionList, Static

from mmchat.chat.finder import InPlace
from mmchat.chat.why import Source, Why
from mmchat.domain import Passage, Recalled
from mmchat.errors import EngineUnavailable
from mmchat.tui.screens.passage import GONE_WORDS, PassageScreen
from mmchat.tui.screens.why import WhyScreen
from mmchat.tui.widgets.turns import RecalledLine

from .conftest import Stage, StageMaker
from .fakes import FakeDesk, answer, make_turn

REFUNDS = Passage(
    "p1", "d", "shop", Path("/docs/returns.md"), "returns.md", "Returns › Refunds", "Used lamps get 80 percent.", line=5
)
BULBS = Passage("p2", "d", "shop", Path("/docs/bulbs.pdf"), "bulbs.pdf", "", "No bulbs are covered [ever].", page=3)


def note(passage: Passage) -> Recalled:
    return Recalled("", "", "user", passage.text, "", 0.8, passage=passage)


@dataclass
class FakeFinder:
    """Notes what is opened."""

    opened: list[Passage] = field(default_factory=list)
    refuse: EngineUnavailable | None = None
    before: str = "Before it."

    def in_place(self, passage: Passage) -> InPlace:
        return InPlace(passage, self.before, "After it.", "Returns › Deadlines", "")

    def open_document(self, passage: Passage) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.opened.append(passage)


@pytest.fixture
def finder(desk: FakeDesk) -> FakeFinder:
    desk.finder = made = FakeFinder()
    desk.script = answer("Eighty percent.", recalled=(note(REFUNDS), note(BULBS)))
    return made


async def screen_of(s: Stage) -> PassageScreen:
    await s.until(lambda: isinstance(s.app.screen, PassageScreen), "the passage is shown")
    screen: Any = s.app.screen
    return screen  # type: ignore[no-any-return]


def shown(s: Stage) -> str:
    return "\n".join(str(widget.render()) for widget in s.app.screen.query(Static))


async def test_chips_stand_below_the_reply_and_open_the_passage(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker
) -> None:
    async with stage(desk) as s:
        await s.say("What do I get back?")
        chips = s.text_of(".sources")
        assert "▤\u00a0returns.md › Refunds" in chips
        assert "▤\u00a0bulbs.pdf › p. 3" in chips
        assert not s.chat.query(RecalledLine), "passages are no earlier turns"
        await s.pilot.click(".sources", offset=(4, 0))
        await screen_of(s)
        await s.until(lambda: "After it." in shown(s), "what stands around it was read")
        text = shown(s)
        for part in (
            "Cited: Returns › Refunds",
            "Before it: Returns › Deadlines",
            "/docs/returns.md",
            "Line 5.",
            "Used lamps get 80 percent.",
            "1 of 2",
        ):
            assert part in text
        assert text.index("Before it.") < text.index("Used lamps") < text.index("After it.")
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "the conversation is in front")


async def test_the_cited_passage_is_in_view_at_once_in_a_small_terminal(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker
) -> None:
    finder.before = "\n".join(f"{number} days" for number in range(40))
    async with stage(desk) as s:
        await s.say("What do I get back?")
        await s.send("/sources")
        screen = await screen_of(s)
        cited, scroll = screen.query_one("#passage-text"), screen.query_one(VerticalScroll)
        await s.until(lambda: scroll.max_scroll_y > 0, "what stands before it was read")
        await s.until(lambda: scroll.region.contains_region(cited.region), "the cited one is in view")


async def test_keys_reach_every_passage_and_open_its_file(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker
) -> None:
    async with stage(desk) as s:
        await s.say("What do I get back?")
        await s.send("/sources 2")
        await screen_of(s)
        await s.until(lambda: "No bulbs are covered [ever]." in shown(s), "it begins with the one that is meant")
        assert "Page 3." in shown(s)
        await s.pilot.press("right")
        await s.until(lambda: "Used lamps" in shown(s), "they go round")
        await s.pilot.press("o")
        await s.until(lambda: finder.opened == [REFUNDS], "the file was opened")
        finder.refuse = EngineUnavailable("This terminal has no screen to show files on.", hint="The file: /docs")
        await s.pilot.press("enter")
        await s.until(lambda: "no screen to show files on" in shown(s), "why it cannot be opened")
        await s.pilot.press("q")
        await s.until(lambda: s.app.screen is s.chat, "closed")


async def test_sources_that_are_not_there(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/sources")
        await s.until(lambda: "cites a document" in s.text_of("#activity"), "there is none yet")
        await s.say("What do I get back?")
        await s.send("/sources 9")
        await s.until(lambda: "is no source here" in s.text_of(".error-view"), "there is no ninth")


async def test_sources_of_an_earlier_reply_say_whose_they_are(
    desk: FakeDesk, finder: FakeFinder, stage: StageMaker
) -> None:
    async with stage(desk) as s:
        await s.say("What do I get back?")
        await s.send("/sources")
        await screen_of(s)
        assert "The last reply" not in shown(s)
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "closed")
        desk.script = answer("You are welcome.")
        await s.say("Thank you!")
        await s.send("/sources 2")
        await screen_of(s)
        await s.until(lambda: "After it." in shown(s), "what stands around it was read")
        assert 'The last reply cites nothing. An earlier one does: "Eighty percent."' in shown(s)


async def test_why_shows_a_passage_that_enter_opens(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    source = Source("documents", REFUNDS.text, title=REFUNDS.source, score=0.8, passage=REFUNDS)
    chosen: list[object] = []
    async with stage(desk) as s:
        why = Why(make_turn(1, "assistant", recalled=(note(REFUNDS),)), (source,))
        s.app.push_screen(WhyScreen(why), chosen.append)
        await s.until(lambda: isinstance(s.app.screen, WhyScreen), "it is open")
        listed = str(s.app.screen.query_one(OptionList).get_option_at_index(0).prompt)
        assert listed.split()[1] == "document"
        for part in ("returns.md › Returns › Refunds", "/docs/returns.md, line 5", "Used lamps get 80 percent."):
            assert part in shown(s)
        await s.pilot.press("enter")
        await s.until(lambda: chosen == [REFUNDS], "it is what was chosen")


async def test_a_document_that_is_gone_says_so(desk: FakeDesk, finder: FakeFinder, stage: StageMaker) -> None:
    gone = replace(REFUNDS, id="", text="")
    turns = (make_turn(0), make_turn(1, "assistant", recalled=(note(gone),)), make_turn(2), make_turn(3, "assistant"))
    desk.add_session("a", "Lamps", turns)
    async with stage(desk, desk.open_session("a")) as s:
        await s.until(lambda: len(s.replies()) == 2, "the conversation is shown")
        assert "changed or removed since" in s.text_of(".sources")
        assert [widget.display for widget in s.chat.query(".sources")] == [True, False], "nothing cited, nothing shown"
        await s.send("/sources")
        await screen_of(s)
        assert GONE_WORDS in shown(s)
