"""Long conversations: what is mounted, what loads on the way up, what never jumps."""

from __future__ import annotations

from threading import Event

import pytest

from mmchat.domain import Turn
from mmchat.tui.screens.chat import LONG_TURNS
from mmchat.tui.widgets.transcript import FIRST_TURNS, MORE_TURNS

from .conftest import Stage, StageMaker
from .fakes import FakeDesk, FakeSession, answer, make_turns


def shown_ids(s: Stage) -> list[str]:
    return [view.turn_id for view in s.chat.transcript._turn_views()]


async def opened(s: Stage) -> None:
    await s.until(lambda: len(shown_ids(s)) >= FIRST_TURNS, "the last turns are shown")
    await s.until(lambda: s.chat.transcript._scroll.virtual_size.height >= 2 * 17, "the screen is filled")


async def test_a_long_conversation_mounts_only_its_end(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Ten thousand", make_turns(10_000))
    async with stage(desk, desk.open_session("s1")) as s:
        await opened(s)
        assert shown_ids(s)[-1] == "t9999"
        assert len(shown_ids(s)) < 60
        assert "10,000 turns" in s.text_of("#header")
        assert s.chat.transcript.is_at_end


async def test_page_up_loads_older_turns_and_keeps_the_place(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Long", make_turns(200))
    async with stage(desk, desk.open_session("s1")) as s:
        await opened(s)
        scroll = s.chat.transcript._scroll
        first = len(shown_ids(s))
        assert first < 40
        while len(shown_ids(s)) == first:
            before = [view.turn_id for view in s.chat.transcript._turn_views() if view.region.y >= scroll.region.y]
            await s.pilot.press("pageup")
        await s.until(lambda: not s.chat.transcript._is_loading, "older turns are mounted")
        ids = shown_ids(s)
        assert len(ids) >= first + MORE_TURNS
        assert ids == [f"t{n}" for n in range(200 - len(ids), 200)]
        assert before
        assert not s.chat.transcript.is_at_end
        assert scroll.scroll_y > 0, "the view did not jump to the new top"


async def test_scrolled_up_while_streaming_nothing_moves_and_a_pill_shows(desk: FakeDesk, stage: StageMaker) -> None:
    gates = [Event() for _ in range(3)]
    gates[0].set()
    desk.add_session("s1", "Long", make_turns(60))
    desk.script = answer("first\n\n", "more\n\n" * 30, "end", gates=gates)
    async with stage(desk, desk.open_session("s1")) as s:
        await opened(s)
        await s.send("go on")
        await s.until(lambda: s.replies()[-1].text.startswith("first"), "the reply begins")
        assert s.chat.transcript.is_at_end
        await s.pilot.press("pageup")
        await s.until(lambda: not s.chat.transcript._is_loading, "settled")
        top = s.chat.transcript._scroll.scroll_y
        gates[1].set()
        await s.until(lambda: "more" in s.replies()[-1].text, "the reply grows")
        assert s.chat.transcript._scroll.scroll_y == top
        assert s.chat.transcript._pill.display
        assert "still writing below" in s.text_of(".pill")
        await s.pilot.press("end")
        await s.until(lambda: s.chat.transcript.is_at_end and not s.chat.transcript._pill.display, "the end is back")
        gates[2].set()
        await s.idle()


async def test_an_empty_conversation_says_what_to_do(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.until(lambda: s.chat.query("Welcome"), "the welcome is shown")
        shown = s.text_of("Welcome")
        assert "Enter" in shown
        assert "F1" in shown
        await s.say("hi")
        assert not s.chat.query("Welcome")


async def test_streamed_markdown_equals_markdown_parsed_whole(desk: FakeDesk, stage: StageMaker) -> None:
    source = "# Title\n\nA *b* c\nd\n\n1. one\n2. two\n\n```py\nx = 1\n\ny = 2\n```\n\n"
    source += "| a | b |\n|---|---|\n| 1 | 2 |\n\nlast"
    desk.script = answer(*source)
    async with stage(desk, size=(80, 60)) as s:
        await s.say("go")
        streamed = [(type(w).__name__, str(w.render())) for w in s.replies()[0].query("MarkdownBlock")]
        await s.replies()[0]._words.update(source)
        whole = [(type(w).__name__, str(w.render())) for w in s.replies()[0].query("MarkdownBlock")]
        assert streamed == whole


async def test_a_turn_deep_in_a_long_conversation_is_shown_alone_with_its_neighbours(
    desk: FakeDesk, stage: StageMaker
) -> None:
    desk.add_session("s1", "Ten thousand", make_turns(10_000))
    async with stage(desk) as s:
        s.chat.open("s1", "t500")
        await s.until(lambda: s.chat.query(".-found"), "the turn is marked")
        scroll = s.chat.transcript._scroll
        (found,) = s.chat.query(".-found")
        await s.until(lambda: scroll.virtual_size.height >= 2 * 17, "the screen is filled")
        await s.until(lambda: 0 < found.region.y - scroll.region.y < 9, "it stands near the top")
        assert len(shown_ids(s)) <= 120
        assert not s.chat.transcript.is_at_end
        for _ in range(6):
            await s.pilot.press("pagedown")
        await s.until(lambda: int(shown_ids(s)[-1][1:]) > 520, "newer turns load on the way down")
        ids = shown_ids(s)
        assert ids == [f"t{n}" for n in range(int(ids[0][1:]), int(ids[-1][1:]) + 1)]
        await s.pilot.press("end")
        await s.until(lambda: shown_ids(s)[-1:] == ["t9999"] and s.chat.transcript.is_at_end, "End goes to the end")
        assert len(shown_ids(s)) < 60


async def test_a_message_sent_from_deep_within_comes_to_the_end(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Long", make_turns(400))
    async with stage(desk) as s:
        s.chat.open("s1", "t100")
        await s.until(lambda: s.chat.query(".-found"), "the turn is marked")
        await s.say("and now?")
        await s.until(lambda: s.chat.transcript.is_at_end, "the end is followed")
        assert shown_ids(s)[-3:-2] == ["t399"]
        assert s.replies()[-1].text == "Hello there."


async def test_a_long_conversation_is_shown_before_all_of_it_is_read(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Ten thousand", make_turns(10_000))
    session = desk.open_session("s1")
    asked: list[int] = []
    gate, turns = Event(), session.turns

    def slowly(*, newest: int = 0, around: str = "") -> tuple[Turn, ...]:
        asked.append(newest)
        if not newest:
            assert gate.wait(20)
        return turns(newest=newest, around=around)

    session.turns = slowly  # type: ignore[method-assign]
    async with stage(desk, session) as s:
        await opened(s)
        assert shown_ids(s)[-1] == "t9999"
        assert asked == [LONG_TURNS, 0]
        assert "10,000 turns" in s.text_of("#header")
        scroll = s.chat.transcript._scroll
        while "t9900" not in shown_ids(s):
            await s.pilot.press("pageup")
        gate.set()
        await s.until(lambda: len(s.chat.composer._history) == 500, "the rest is read")
        while "t9890" not in shown_ids(s):
            await s.pilot.press("pageup")
        ids = shown_ids(s)
        assert ids == [f"t{n}" for n in range(10_000 - len(ids), 10_000)]
        assert scroll.scroll_y > 0


async def test_a_hit_deep_in_a_long_conversation_is_shown_before_all_of_it_is_read(
    desk: FakeDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add_session("s1", "Ten thousand", make_turns(10_000))
    gate, turns, asked = Event(), FakeSession.turns, list[tuple[int, str]]()

    def slowly(self: FakeSession, *, newest: int = 0, around: str = "") -> tuple[Turn, ...]:
        asked.append((newest, around))
        if not newest:
            assert gate.wait(20)
        return turns(self, newest=newest, around=around)

    monkeypatch.setattr(FakeSession, "turns", slowly)
    async with stage(desk) as s:
        s.chat.open("s1", "t500")
        await s.until(lambda: s.chat.query(".-found"), "the turn is marked")
        assert asked == [(LONG_TURNS // 2, "t500"), (0, "")]
        assert "10,000 turns" in s.text_of("#header")
        gate.set()
        await s.until(lambda: len(s.chat.composer._history) == 500, "the rest is read")
        assert not s.chat.transcript.is_at_end
        for _ in range(12):
            await s.pilot.press("pagedown")
        await s.until(lambda: int(shown_ids(s)[-1][1:]) > 560, "turns beyond the first ones load on the way down")
        ids = shown_ids(s)
        assert ids == [f"t{n}" for n in range(int(ids[0][1:]), int(ids[-1][1:]) + 1)]
        await s.pilot.press("end")
        await s.until(lambda: shown_ids(s)[-1:] == ["t9999"] and s.chat.transcript.is_at_end, "End goes to the end")


async def test_what_is_said_before_the_rest_is_read_stands_at_the_end_after_it(
    desk: FakeDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add_session("s1", "Long", make_turns(400))
    gate, turns = Event(), FakeSession.turns

    def slowly(self: FakeSession, *, newest: int = 0, around: str = "") -> tuple[Turn, ...]:
        assert newest or gate.wait(20)
        return turns(self, newest=newest, around=around)

    monkeypatch.setattr(FakeSession, "turns", slowly)
    async with stage(desk) as s:
        s.chat.open("s1", "t100")
        await s.until(lambda: s.chat.query(".-found"), "the turn is marked")
        await s.say("and now?")
        gate.set()
        await s.until(lambda: "t399" in shown_ids(s) and s.chat.transcript.is_at_end, "all is read, and its end shown")
        assert shown_ids(s)[-2:] == ["t400", "t401"]
