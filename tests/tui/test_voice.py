"""The microphone: every way in, every way out, nothing sent."""

from __future__ import annotations

from threading import Event

import pytest

from mmchat.domain import Heard
from mmchat.errors import AudioError
from mmchat.tui.widgets.voice import ASCII_LEVELS, level_mark

from .conftest import StageMaker
from .fakes import FakeDesk, FakeRecorder


async def test_speech_lands_in_the_draft_and_is_not_sent(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.type("Tell me:")
        await s.pilot.press("ctrl+t")
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
        assert "0:07" in s.chat.voice.words
        assert "Fake microphone" in s.chat.voice.words
        await s.pilot.press("enter")
        await s.until(lambda: "what is this" in s.chat.composer.text, "the words arrive")
        assert s.chat.composer.text == "Tell me:what is this" or s.chat.composer.text == "Tell me: what is this"
        assert s.session.sent == []
        assert not s.chat.voice.display


async def test_starting_is_shown_until_the_microphone_runs(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.recorder = FakeRecorder(gate=gate)
    async with stage(desk) as s:
        await s.pilot.press("f2")
        assert "starting mic" in s.chat.voice.words
        gate.set()
        await s.until(lambda: s.chat.voice.state == "recording", "it records")


async def test_esc_while_starting_closes_the_microphone(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.recorder = FakeRecorder(gate=gate)
    async with stage(desk) as s:
        await s.pilot.press("ctrl+t")
        await s.pilot.press("escape")
        assert s.chat.voice.state == "off"
        gate.set()
        await s.until(lambda: desk.recorder.was_cancelled, "the late microphone is closed")
        assert s.chat.voice.state == "off"


async def test_esc_discards_a_recording(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.type("draft")
        await s.pilot.press("ctrl+t")
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
        await s.pilot.press("escape")
        await s.until(lambda: desk.recorder.was_cancelled, "the microphone is closed")
        assert s.chat.composer.text == "draft"


async def test_esc_while_transcribing_keeps_the_draft(desk: FakeDesk, stage: StageMaker) -> None:
    desk.transcribe_gate = Event()
    async with stage(desk) as s:
        await s.pilot.press("ctrl+t")
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
        await s.pilot.press("ctrl+t")
        assert "transcribing" in s.chat.voice.words
        await s.pilot.press("escape")
        await s.pilot.pause(0.05)
        assert s.chat.voice.state == "off"
        assert s.chat.composer.text == ""


@pytest.mark.parametrize(
    ("seconds", "heard", "words"),
    [(1.0, Heard("  ", "en", 1.0), "No speech heard"), (0.0, Heard("x", "en", 0.0), "No sound came")],
)
async def test_nothing_said_leaves_the_draft(
    desk: FakeDesk, stage: StageMaker, seconds: float, heard: Heard, words: str
) -> None:
    desk.recorder, desk.heard = FakeRecorder(seconds=seconds), heard
    async with stage(desk) as s:
        await s.type("draft")
        await s.pilot.press("ctrl+t")
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
        await s.pilot.press("ctrl+t")
        await s.until(lambda: words in s.chat.activity.words, "it is said")
        assert s.chat.composer.text == "draft"


async def test_no_microphone_is_a_sentence_that_stays(desk: FakeDesk, stage: StageMaker) -> None:
    desk.recorder = FakeRecorder(error=AudioError("No microphone was found.", hint="Install libportaudio2."))
    async with stage(desk) as s:
        await s.type("draft")
        await s.pilot.press("ctrl+t")
        await s.until(lambda: "No microphone was found." in s.text_of("ErrorView"), "it is said")
        assert "Install libportaudio2." in s.text_of("ErrorView")
        assert s.chat.composer.text == "draft"
        assert s.chat.voice.state == "off"


async def test_a_warning_shows_while_recording(desk: FakeDesk, stage: StageMaker) -> None:
    desk.recorder.warning = "only silence: muted?"
    async with stage(desk) as s:
        await s.pilot.press("ctrl+t")
        await s.until(lambda: "only silence: muted?" in s.chat.voice.words, "the warning shows")


async def test_leaving_closes_the_microphone(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("ctrl+t")
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
    assert desk.recorder.was_cancelled


def test_level_marks_cover_the_range() -> None:
    assert level_mark(-96.0) == "▁"
    assert level_mark(0.0) == "█"
    assert level_mark(-96.0, ASCII_LEVELS) == "."
    assert level_mark(3.0, ASCII_LEVELS) == "@"


async def test_a_bug_while_transcribing_is_logged_and_told(desk: FakeDesk, stage: StageMaker) -> None:
    desk.heard = ZeroDivisionError("x")
    async with stage(desk) as s:
        await s.pilot.press("ctrl+t")
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
        await s.pilot.press("enter")
        await s.until(lambda: "ZeroDivisionError" in s.text_of("ErrorView"), "it is told")
        assert s.chat.voice.state == "off"
