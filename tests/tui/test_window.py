"""The window on the screen, over the real store: its bar, /context, /why, pins and summaries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from textual.widgets import OptionList, TextArea

from mmchat.chat.compact import SummaryDraft
from mmchat.domain import Window, WindowPart
from mmchat.tui.screens.compact import CompactScreen
from mmchat.tui.screens.pick import PickTurnScreen
from mmchat.tui.screens.why import WhyScreen
from mmchat.tui.widgets.window_bar import PATTERNS, bar, legend

from .conftest import Stage, StageMaker
from .real import RealDesk

SAID = ("My name is Ada.", "My cat is called Biscuit.", "Hello there", "Go on")
REPLIES = ["Nice to meet you, Ada.", "A fine name.", "Hello!", "Gladly.", "Written by a model.", "More."]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealDesk]:
    desk = RealDesk(tmp_path, REPLIES)
    yield desk
    desk.close()


async def talked(s: Stage) -> None:
    for text in SAID:
        await s.say(text)


def hint(s: Stage) -> str:
    return s.chat.activity.words


def screen_text(s: Stage) -> str:
    return "\n".join(str(each.render()) for each in s.app.screen.query("Static"))


async def back(s: Stage) -> None:
    await s.pilot.press("escape")
    await s.until(lambda: s.app.screen is s.chat, "the conversation is in front")


async def compacted(s: Stage, command: str = "/compact sentences") -> None:
    await s.send(command)
    await s.until(lambda: isinstance(s.app.screen, CompactScreen), "it is open")
    await s.until(lambda: "Change what you like" in screen_text(s), "it is written")


async def test_a_turn_is_pinned_shown_listed_and_unpinned(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.send("/pin")
        await s.until(lambda: "Nothing was said yet" in hint(s), "there is nothing to pin")
        await talked(s)
        await s.send("/pin 8")
        await s.until(lambda: "Pinned: “My name is Ada.”" in hint(s), "it says what was pinned")
        assert "pinned" in s.text_of("UserTurnView")
        await s.send("/pin")
        await s.until(lambda: "Pinned: “Gladly.”" in hint(s), "the last turn is the reply")
        assert s.chat.session.window.pinned() == tuple(s.chat.session.turns()[n].id for n in (0, 7))
        await s.send("/pins")
        await s.until(lambda: isinstance(s.app.screen, PickTurnScreen), "they are listed")
        assert "2 pinned turns" in screen_text(s)
        await back(s)
        await s.send("/unpin 1")
        await s.until(lambda: "Not pinned any more: “Gladly.”" in hint(s), "it says which")
        await s.send("/unpin")
        await s.until(lambda: "Not pinned any more: “My name is Ada.”" in hint(s), "there is only one")
        assert "pinned" not in s.text_of("UserTurnView")
        await s.send("/pin 99")
        await s.until(lambda: "'99' is no turn here." in s.text_of("ErrorView"), "it says which there are")


async def test_context_counts_what_the_model_sees_now(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await talked(s)
        await s.send("/context")
        await s.until(lambda: "word for word" in screen_text(s), "it was counted")
        text = screen_text(s)
        assert "8 turns as they were said" in text
        assert "My cat is called Biscuit." in text
        assert "Gladly." in text, "the last reply is in view by now"
        await back(s)


async def test_a_summary_is_written_changed_used_and_undone(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await talked(s)
        await compacted(s)
        box = s.app.screen.query_one(TextArea)
        assert box.text == "- My name is Ada.\n- My cat is called Biscuit."
        assert "out of your own sentences" in screen_text(s)
        box.text = "Ada has a cat."
        await s.pilot.press("ctrl+s")
        await s.until(lambda: "The summary stands for 4 turns" in hint(s), "it is in force")
        assert "4 older turns summed up" in s.text_of("WindowMark")
        await s.until(lambda: _kinds(s) >= {"summary", "kept"}, "the bar shows it")
        await s.send("/context")
        await s.until(lambda: "word for word" in screen_text(s), "it was counted")
        assert "for older turns, out of your own sentences, edited by you" in screen_text(s)
        assert "Earlier I told you:\nAda has a cat." in screen_text(s)
        await back(s)
        await s.send("/compact edit")
        await s.until(lambda: isinstance(s.app.screen, CompactScreen), "it is open")
        s.app.screen.query_one(TextArea).text = "Ada has two cats."
        await s.pilot.press("ctrl+s")
        await s.until(lambda: "Kept." in hint(s), "it was changed")
        await s.send("/compact undo")
        await s.until(lambda: "the turns speak for themselves again" in hint(s), "it is undone")
        assert not s.chat.query("WindowMark")
        await s.send("/compact redo")
        await s.until(lambda: "in force again" in hint(s), "it is back")
        assert s.chat.session.window.summary().text == "Ada has two cats."


async def test_the_other_writer_is_a_key_away_and_escape_changes_nothing(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await talked(s)
        await compacted(s)
        await s.pilot.press("ctrl+r")
        await s.until(lambda: "which may be wrong" in screen_text(s), "the model wrote")
        assert s.app.screen.query_one(TextArea).text == "Written by a model."
        await back(s)
        await s.until(lambda: "Nothing was changed." in hint(s), "it says so")
        assert s.chat.session.window.summary() is None
        await s.send("/compact sideways")
        await s.until(lambda: "there is no such thing" in s.text_of("ErrorView"), "it says what there is")


async def test_a_short_conversation_is_not_compacted(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("Hello")
        await s.send("/compact")
        await s.until(lambda: "nothing to compact yet" in hint(s), "it says why")


async def test_a_resumed_conversation_shows_its_window_before_the_first_reply(
    real: RealDesk, stage: StageMaker
) -> None:
    session = real.open_session(
        real.add("Ada", *(text for pair in zip(SAID * 2, REPLIES[:4] * 2, strict=True) for text in pair))
    )
    session.window.pin(session.turns()[0])
    *_, draft = session.compaction.write("sentences", Event())
    assert isinstance(draft, SummaryDraft)
    session.compaction.accept(draft, draft.text)
    async with stage(real, session) as s:
        await s.until(lambda: s.chat.query("WindowMark"), "the mark is there")
        assert "11 older turns summed up" in s.text_of("WindowMark")
        await s.until(lambda: _kinds(s) >= {"summary", "pinned", "kept"}, "it was counted without being asked")


async def test_why_lists_the_sources_and_goes_to_one(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.send("/why")
        await s.until(lambda: "no reply to explain yet" in hint(s), "there is none")
        await talked(s)
        await s.send("/why")
        await s.until(lambda: isinstance(s.app.screen, WhyScreen), "it is open")
        options = s.app.screen.query_one(OptionList)
        listed = [str(options.get_option_at_index(index).prompt) for index in range(options.option_count)]
        assert [line.split()[1] for line in listed] == ["in", "asked"]
        assert "and 5 more turns" in listed[0]
        assert "“Gladly.”" in screen_text(s)
        assert "tok/s" in screen_text(s), "what it cost"
        await s.pilot.press("enter")
        await s.until(lambda: s.app.screen is s.chat, "the conversation is in front")
        await s.until(lambda: any(view.has_class("-found") for view in s.users()), "the first turn in view is marked")


@pytest.mark.parametrize("cells", [9, 12, 30, 64])
def test_the_bar_fits_and_shows_every_part(cells: int) -> None:
    kinds = list(PATTERNS)
    window = Window(3, 4, 1200, 7680, "t", parts=tuple(WindowPart(kind, 150, 1) for kind in kinds))
    drawn = bar(window, cells)
    assert drawn.cell_length == cells
    assert all(PATTERNS[kind][0] in drawn.plain for kind in kinds)
    assert len(legend(window)) == len(kinds) + 2
    full = Window(3, 0, 7680, 7680, "t", parts=(WindowPart("system", 30), WindowPart("kept", 7650)))
    assert "─" not in bar(full, cells).plain
    assert bar(Window(1, 0, 10, 100, "t"), cells).cell_length == cells, "stored before there were parts"


def _kinds(s: Stage) -> set[str]:
    window = s.chat.status.standing.window
    return {part.kind for part in window.parts} if window else set()
