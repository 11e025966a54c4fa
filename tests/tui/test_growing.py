"""Long replies while they stream: they go on in widgets of their own, and look as they will when they are stored."""

from __future__ import annotations

import pytest
from textual.widgets.markdown import MarkdownBlock

from mmchat.tui.widgets.growing import PART_BLOCKS, Reply
from mmchat.tui.widgets.transcript import MAX_TURNS
from mmchat.tui.widgets.turns import ReplyView

from .conftest import Stage, StageMaker
from .fakes import FakeDesk, answer, make_turns

PARAGRAPHS = "\n\n".join(
    f"Paragraph {number} with **words** and `code` in it." for number in range(PART_BLOCKS * 2 + 3)
)
BULLETS = "Before\n\n" + "\n".join(f"- item {number}" for number in range(PART_BLOCKS * 2 + 3)) + "\n\nBehind"
NUMBERS = "\n".join(f"{number}. thing\n   - part of it\n   - another" for number in range(1, 14))
MIXED = (
    PARAGRAPHS
    + "\n\n# Title\n\n> said\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nx = 1\n\ny = 2\n```\n\n"
    + "- one\n- two\n\n  more of two\n-- not a third\n\n***\n\nlast"
)


def lines_of(s: Stage) -> list[str]:
    return ["".join(part.text for part in strip).rstrip() for strip in s.app.screen._compositor.render_strips()]


async def grown(s: Stage, source: str, size: int) -> ReplyView:
    """A reply that came in pieces."""
    s.desk.script = answer("go")
    await s.say("go")
    (reply,) = s.replies()
    await reply._words.update("")
    for start in range(0, len(source), size):
        await reply._words.append(source[start : start + size])
    return reply


async def test_paragraphs_go_on_in_widgets_of_their_own(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, size=(80, 120)) as s:
        reply = await grown(s, PARAGRAPHS, 30)
        parts = list(reply.query(Reply))
        assert len(parts) == 3
        assert reply._words.source == PARAGRAPHS
        assert all(len(part.children) <= PART_BLOCKS + 1 for part in parts)


async def test_a_long_list_goes_on_in_another_widget(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, size=(80, 120)) as s:
        reply = await grown(s, BULLETS, 5)
        assert len(list(reply.query(Reply))) == 3
        assert reply._words.source == BULLETS


@pytest.mark.parametrize(
    ("source", "size"),
    [(PARAGRAPHS, 37), (BULLETS, 11), (NUMBERS, 7), (MIXED, 5)],
    ids=["text", "list", "steps", "all"],
)
async def test_a_grown_reply_looks_like_one_shown_at_once(
    desk: FakeDesk, stage: StageMaker, source: str, size: int
) -> None:
    async with stage(desk, size=(60, 240)) as s:
        reply = await grown(s, source, size)
        for _ in range(3):
            await s.pilot.pause()
        lines = lines_of(s)
        await reply._words.update(source)
        for _ in range(3):
            await s.pilot.pause()
        assert "\n".join(lines) == "\n".join(lines_of(s))


async def test_what_stands_in_a_growing_list_is_not_made_anew(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, size=(80, 60)) as s:
        reply = await grown(s, "- one\n- two\n- thr", 100)
        before = list(reply.query(MarkdownBlock))
        await reply._words.append("ee\n- four")
        after = list(reply.query(MarkdownBlock))
        assert {id(each) for each in before} < {id(each) for each in after}
        assert "three" in [str(each.render()) for each in after]


async def test_turns_are_let_go_after_a_long_stay(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Long", make_turns(300))
    async with stage(desk, desk.open_session("s1")) as s:
        transcript = s.chat.transcript
        while len(transcript._turn_views()) <= MAX_TURNS:
            await transcript.load_earlier()
            await s.until(lambda: not transcript._is_loading, "older turns are mounted")
        transcript.scroll_to_end()
        await s.until(lambda: transcript.is_at_end, "the end is shown")
        last = transcript._turns[-1].id
        await s.say("hi")
        shown = [view.turn_id for view in transcript._turn_views()]
        assert len(shown) <= MAX_TURNS // 2 + 4
        assert last in shown
        await transcript.load_earlier()
        assert len(transcript._turn_views()) > len(shown)
