"""What a message is taken to want in the status line, the offer of a person, and the hand-over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.session import UserInput
from mmchat.domain import Likely, MessageUnderstood, PersonSuggested, ReplyEnded, ReplyEvent, Turn, Understood
from mmchat.tui.widgets.status import StatusLine

from .conftest import Stage, StageMaker
from .fakes import HANDED, FakeDesk, FakeSession, Script, answer, make_turns

ANGRY = Understood((Likely("order_status", 0.924), Likely("refund", 0.05)), "", -0.8, "examples")
OFFER = PersonSuggested("Shall a colleague take over?", "mood")


def wanting(understood: Understood, person: PersonSuggested | None = None) -> Script:
    """A turn whose message is read, and after which a person may be suggested."""

    def script(session: FakeSession, user_input: UserInput | None, turn: Turn, cancel: Event) -> Iterator[ReplyEvent]:
        yield MessageUnderstood(turn.id, understood)
        for event in answer("I am sorry.")(session, user_input, turn, cancel):
            if person is not None and isinstance(event, ReplyEnded):
                yield person
            yield event

    return script


def status(s: Stage) -> str:
    return str(s.chat.query_one(StatusLine).render())


async def test_the_status_line_says_what_is_wanted_where_it_is_read(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("hello")
        assert "mood" not in status(s)
        desk.script = wanting(ANGRY)
        await s.say("Where is it?!")
        assert "order status 92 % · mood ↓" in status(s)
        desk.script = wanting(Understood((), "medical", 0.5))
        await s.say("Which pills?")
        assert "forbidden: medical · mood ↑" in status(s)
        await s.send("/new")
        await s.until(lambda: "mood" not in status(s), "nothing is read of a new conversation")


async def test_an_opened_conversation_shows_what_its_last_message_wanted(desk: FakeDesk, stage: StageMaker) -> None:
    asked, told = make_turns(2, "a")
    desk.add_session("a", "Trip", (replace(asked, understood=ANGRY), told))
    async with stage(desk, desk.open_session("a")) as s:
        await s.until(lambda: s.replies(), "the conversation is shown")
        assert "order status 92 %" in status(s)


async def test_a_person_is_suggested_in_a_line_with_the_command(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        desk.script = wanting(ANGRY, OFFER)
        await s.say("I want my money back!")
        assert "Shall a colleague take over? (/handover)" in s.text_of("NoticeLine")


async def test_a_hand_over_is_shown_copied_and_saved(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    desk.folder = tmp_path
    async with stage(desk) as s:
        await s.say("I want my money back!")
        await s.send("/handover")
        await s.until(lambda: s.app.screen is not s.chat, "the summary is shown")
        shown = "\n".join(str(each.render()) for each in s.app.screen.query("Static"))
        assert "refund (92%)" in shown
        assert "##" not in shown
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "it is closed")
        session = s.chat.session
        assert isinstance(session, FakeSession)
        assert session.handed_over == []
        await s.send("/handover")
        await s.until(lambda: s.app.screen is not s.chat, "it is shown again")
        await s.pilot.press("c")
        await s.until(lambda: "the summary" in s.chat.activity.words, "it says where it was copied to")
        await s.send("/handover")
        await s.until(lambda: s.app.screen is not s.chat, "it is shown again")
        await s.pilot.press("s")
        path = tmp_path / "handover-lamp.md"
        await s.until(lambda: str(path.name) in s.chat.activity.words, "it says where it was written")
        assert path.read_text("utf-8") == HANDED
        assert len(session.handed_over) == 2


@pytest.mark.parametrize("typed", ["", "s"])
async def test_a_hand_over_waits_for_the_reply_and_never_takes_what_is_typed(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path, typed: str
) -> None:
    desk.folder, gate = tmp_path, Event()
    desk.script = answer("one", gates=[gate])
    async with stage(desk) as s:
        await s.send("first")
        for text in ("/handover", "/handover", "second"):
            await s.send(text)
        assert s.text_of("#queue").count("/handover") == 1
        await s.pilot.press(*typed)
        gate.set()
        if typed:
            await s.until(lambda: "/handover can be used now" in s.text_of("NoticeLine"), "it says that it can be had")
            assert s.app.screen is s.chat
            assert s.chat.composer.text == "s"
        else:
            await s.until(lambda: s.app.screen is not s.chat, "the summary is shown")
        assert [given.text for given in s.session.sent] == ["first", "second"]
        assert not s.chat.flow.queue


async def test_a_file_of_ones_own_is_replaced_only_after_a_yes(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path
) -> None:
    desk.folder = tmp_path
    path = tmp_path / "mine.md"
    path.write_text("keep me")
    async with stage(desk) as s:
        await s.say("hello")
        for key, text in (("n", "keep me"), ("y", HANDED)):
            await s.send("/handover mine.md")
            await s.until(lambda: s.app.screen is not s.chat, "it asks")
            await s.pilot.press(key)
            words = "Nothing was written" if key == "n" else "mine.md"
            await s.until(lambda words=words: words in s.chat.activity.words, "it says what became of it")
            assert path.read_text() == text


async def test_nothing_said_is_nothing_to_hand_over(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/handover")
        await s.until(lambda: "nothing to hand over" in s.chat.activity.words, "it says so")


@pytest.mark.parametrize("width", [40, 60, 80, 140])
async def test_the_status_line_keeps_to_its_width(desk: FakeDesk, stage: StageMaker, width: int) -> None:
    async with stage(desk, size=(width, 24)) as s:
        desk.script = wanting(replace(ANGRY, intents=(Likely("a_very_long_intent_that_somebody_named", 0.9),)))
        await s.say("Well?!")
        line = s.chat.query_one(StatusLine)
        assert len(str(line.render()).splitlines()) == 1
        if width >= 80:
            assert "mood" in status(s) or "…" in status(s)
