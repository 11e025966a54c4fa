"""A disk that fills in the middle of a reply: the reply goes on, and its end is stored once there is room."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.session import ChatSession, UserInput
from mmchat.domain import Notice, ReplyDelta, ReplyEvent, ReplyStarted
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import DiskFull, ReplyUnsaved
from tests.fakes import Bench, FakeEngines

LONG = " ".join(hashlib.sha512(bytes([number])).hexdigest() for number in range(200))


def limit(bench: Bench, *, is_full: bool) -> None:
    """Whether SQLite may make this thread's database larger."""
    with bench.store.file.read() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages if is_full else 1_000_000}").fetchone()


def reply_while_the_disk_fills(bench: Bench, session: ChatSession, events: list[ReplyEvent]) -> None:
    """The disk is full from the reply's first word on."""
    for event in session.reply(UserInput("a story"), Event()):
        events.append(event)
        if isinstance(event, ReplyStarted):
            limit(bench, is_full=True)


def test_a_reply_goes_on_when_the_disk_is_full_and_is_stored_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmchat.chat.reply.CHECKPOINT_EVERY_S", 0.0)
    bench = Bench(tmp_path, FakeEngines(ScriptedLanguageModel([LONG, "short"], context_tokens=100_000)))
    with closing(bench):
        session = bench.session()
        events: list[ReplyEvent] = []
        with pytest.raises(ReplyUnsaved, match="not stored yet") as error:
            reply_while_the_disk_fills(bench, session, events)
        shown = "".join(event.text for event in events if isinstance(event, ReplyDelta))
        assert shown == LONG, "what the user reads is whole"
        assert sum("The reply goes on" in event.text for event in events if isinstance(event, Notice)) == 1
        assert "the disk is full" in error.value.message
        (question, reply) = session.turns()
        assert LONG.startswith(reply.text)
        assert reply.status == "streaming"
        with pytest.raises(DiskFull):
            list(session.reply(UserInput("harbour " * 5000), Event()))
        assert [turn.id for turn in session.turns()] == [question.id, reply.id]
        limit(bench, is_full=False)
        list(session.reply(UserInput("go on"), Event()))
        texts = [(turn.text, turn.status) for turn in session.turns()]
        assert texts == [("a story", "complete"), (LONG, "complete"), ("go on", "complete"), ("short", "complete")]
        assert bench.store.check_integrity() == []


def test_the_end_of_a_reply_is_stored_when_the_program_ends(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEngines(ScriptedLanguageModel([LONG], context_tokens=100_000)))
    session = bench.session()
    with pytest.raises(ReplyUnsaved):
        reply_while_the_disk_fills(bench, session, [])
    limit(bench, is_full=False)
    bench.close()
    with closing(Bench(tmp_path)) as again:
        latest = again.store.latest_session()
        assert latest is not None
        assert [turn.text for turn in again.store.turns(latest.id)] == ["a story", LONG]
