"""The model reads what stands in the box: when, and when not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.tui import ahead_keeper
from mmchat.tui.drafts import Draft

from .conftest import StageMaker
from .fakes import FakeDesk, answer


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_keeper, "PAUSE_S", 0.05)


async def test_the_conversation_is_read_with_the_first_key_and_the_draft_in_a_pause(
    desk: FakeDesk, stage: StageMaker
) -> None:
    async with stage(desk) as s:
        assert desk.read == []
        await s.pilot.press("h")
        await s.until(lambda: desk.read[:1] == [""], "the conversation is read")
        await s.pilot.press("i")
        await s.until(lambda: desk.read[-1] == "hi", "the draft is read")
        await s.say("")
        assert [each.text for each in s.session.sent] == ["hi"]
        await s.pilot.press("a")
        await s.until(lambda: desk.read[-1] == "a", "the next draft is read")
        assert desk.read.count("") == 2


async def test_a_key_ends_the_reading_of_a_draft_and_the_next_pause_reads_on(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.type("half a ")
        await s.until(lambda: desk.read == ["", "half a"], "the draft is read")
        desk.reading = Event()
        await s.type("thought")
        await s.until(lambda: desk.read[-1] == "half a thought", "what came since is being read")
        await s.type(" more")
        await s.until(lambda: desk.unread == ["half a thought"], "a key has ended it")
        desk.reading.set()
        await s.until(lambda: desk.read[-1] == "half a thought more", "the pause reads the whole")
        assert desk.unread == ["half a thought"]


async def test_who_types_without_a_pause_is_read_too(
    desk: FakeDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead_keeper, "PAUSE_S", 60.0)
    monkeypatch.setattr(ahead_keeper, "LONGEST_S", 0.05)
    async with stage(desk) as s:
        for _ in range(200):
            await s.pilot.press("a")
            if len(desk.read) > 1:
                break
        assert desk.read[0] == ""
        assert set(desk.read[1]) == {"a"}


async def test_a_key_does_not_end_the_reading_of_the_conversation(desk: FakeDesk, stage: StageMaker) -> None:
    desk.reading = Event()
    async with stage(desk) as s:
        await s.pilot.press("h")
        await s.until(lambda: desk.read == [""], "the conversation is being read")
        await s.pilot.press("e", "y")
        desk.reading.set()
        await s.until(lambda: desk.read == ["", "hey"], "then the draft")
        assert desk.unread == []


@pytest.mark.parametrize("words", ["", "hello"])
async def test_a_message_does_not_wait_for_the_reading(desk: FakeDesk, stage: StageMaker, words: str) -> None:
    desk.reading = Event()
    async with stage(desk) as s:
        await s.type("hello")
        if words:
            desk.reading.set()
            await s.until(lambda: desk.read[-1] == words, "the draft is read")
            desk.reading = Event()
            await s.type(" you")
            words = "hello you"
        await s.until(lambda: desk.read[-1] == words, "it is being read")
        await s.pilot.press("enter")
        await s.idle()
        assert s.session.stored[-1].role == "assistant"
        assert desk.unread == [words]


async def test_what_is_typed_during_a_reply_is_read_after_it(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("Hello", gates=[gate])
    async with stage(desk) as s:
        await s.send("one")
        await s.until(lambda: s.chat.flow.run is not None and s.chat.flow.run.prompt, "the reply has begun")
        read = list(desk.read)
        await s.type("two")
        await s.pilot.pause(0.1)
        assert desk.read == read
        gate.set()
        await s.until(lambda: desk.read[-1:] == ["two"], "it is read when the reply has ended")


async def test_what_is_no_plain_message_is_not_read(desk: FakeDesk, stage: StageMaker, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"\x89PNG\r\n\x1a\n")
    async with stage(desk) as s:
        box = s.chat.composer
        for draft in (Draft("/model "), Draft("an edit", instead_of="t1"), Draft("  \n")):
            box.draft = draft
            await s.pilot.pause(0.1)
            box.clear_draft()
        box.attach(photo, "image")
        await s.type("what is this?")
        await s.pilot.pause(0.1)
        assert desk.read == []


async def test_off_is_off(desk: FakeDesk, stage: StageMaker) -> None:
    desk.does_read_ahead = False
    async with stage(desk) as s:
        await s.type("hello")
        await s.pilot.pause(0.1)
        assert desk.read == []


async def test_another_conversation_is_read_anew_and_the_old_one_no_longer(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Owls", ())
    desk.reading = Event()
    async with stage(desk) as s:
        await s.type("hello")
        await s.until(lambda: desk.read == [""], "the first is being read")
        first = s.session
        s.chat.open("s1")
        await s.until(lambda: s.session is not first, "the other is there")
        await s.until(lambda: desk.unread == [""], "the first is not read on")
        desk.reading.set()
        await s.type("who?")
        await s.until(lambda: desk.read[-1] == "who?", "the draft is read")
        assert desk.read.count("") == 2
    assert replace(desk.infos["s1"]).title == "Owls"
