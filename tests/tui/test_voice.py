"""The microphone: every way in, every way out, nothing sent."""

from __future__ import annotations

from threading import Event

import pytest

from mmchat.chat.mic import Ending
from mmchat.domain import Heard, LiveText, Segment, Word
from mmchat.errors import AudioError, ModelNotFound
from mmchat.tui.screens.choose import ChooseScreen
from mmchat.tui.widgets.voice import ASCII_LEVELS, level_mark

from .conftest import Stage, StageMaker
from .fakes import FakeDesk, FakeRecorder, answer


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


# --- recordings that end by themselves ----------------------------------------------------------


async def recording(s: Stage) -> None:
    await s.pilot.press("ctrl+t")
    await s.until(lambda: s.chat.voice.state == "recording", "it records")


async def test_a_pause_ends_a_recording(desk: FakeDesk, stage: StageMaker) -> None:
    desk.mic.auto_stop_s = 1.5
    async with stage(desk) as s:
        await recording(s)
        assert "Enter or a pause ends" in s.chat.voice.words
        desk.mic.ending = "paused"
        await s.until(lambda: s.chat.composer.text == "what is this", "the words arrive")
        assert s.session.sent == []


async def test_a_microphone_that_goes_away_leaves_what_was_heard(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await recording(s)
        desk.mic.ending = "failed"
        await s.until(lambda: s.chat.composer.text == "what is this", "the words arrive")
        told = s.text_of("ErrorView")
        assert "The microphone went away after 1.0 s." in told
        assert "What was heard until then is in the box." in told
        assert "/mic lists what is plugged in" in told
        assert s.chat.voice.state == "off"


async def test_the_limit_is_told_and_nothing_is_lost(desk: FakeDesk, stage: StageMaker) -> None:
    desk.recorder.warning = "the limit of 5 min was reached; the recording is kept"
    async with stage(desk) as s:
        await recording(s)
        desk.mic.ending = "limit"
        await s.until(lambda: s.chat.composer.text == "what is this", "the words arrive")
        assert "The limit of 5 min was reached; the recording is kept." in s.chat.activity.words


async def test_a_microphone_that_nobody_speaks_into_is_closed(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.type("draft")
        await recording(s)
        desk.mic.ending = "nothing said"
        await s.until(lambda: "Nothing was said" in s.chat.activity.words, "it is told")
        await s.until(lambda: desk.recorder.was_cancelled, "the microphone is closed")
        assert s.chat.composer.text == "draft"
        assert desk.mic.kept == []


async def test_autostop_is_switched_and_remembered(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/autostop")
        await s.until(lambda: "1.5 s after you stop" in s.chat.activity.words, "it is told")
        assert desk.mic.auto_stop_s == 1.5
        await s.send("/autostop 3")
        await s.until(lambda: desk.mic.auto_stop_s == 3.0, "it is changed")
        await s.send("/autostop off")
        await s.until(lambda: "ends when you end it" in s.chat.activity.words, "it is told")
        await s.send("/autostop soon")
        await s.until(lambda: "'soon' is no pause." in s.text_of("ErrorView"), "it is refused")
        assert desk.mic.auto_stop_s == 0.0


# --- live words, doubts, language ---------------------------------------------------------------


async def test_words_show_while_one_speaks_and_go_with_the_bar(desk: FakeDesk, stage: StageMaker) -> None:
    desk.live = (LiveText("", "what"), LiveText("what is", " that"))
    async with stage(desk) as s:
        await recording(s)
        await s.until(lambda: "what is that" in s.chat.voice.words, "the words show")
        content = s.chat.voice.render()
        styles = {str(content)[span.start : span.end]: str(span.style) for span in content.spans}
        assert "italic" in styles[" that"]
        assert "italic" not in styles.get("what is", "")
        assert s.chat.composer.text == ""  # the draft is left alone until the last word
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.composer.text == "what is this", "the final words arrive")


def heard_unsurely() -> Heard:
    words = (Word("Call", 0, 1, 0.9), Word(" Siobhan", 1, 2, 0.1), Word(" now", 2, 3, 0.8))
    return Heard("Call Siobhan now", "en", 3.0, (Segment(0, 3, "Call Siobhan now", words=words),))


async def test_doubtful_words_are_underlined_until_they_are_edited(desk: FakeDesk, stage: StageMaker) -> None:
    desk.heard = heard_unsurely()
    async with stage(desk) as s:
        await s.type("Note: ")
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: "Siobhan" in s.chat.composer.text, "the words arrive")
        assert "1 underlined word may be wrong." in s.chat.activity.words

        def underlined() -> list[str]:
            line = s.chat.composer.get_line(0)
            return [line.plain[span.start : span.end] for span in line.spans if getattr(span.style, "underline", False)]

        assert underlined() == ["Siobhan"]
        await s.pilot.press("home", "x")
        assert underlined() == ["Siobhan"]
        s.chat.composer.move_cursor((0, s.chat.composer.text.index("bhan")))
        await s.pilot.press("x")
        assert underlined() == []


async def test_the_language_is_told_once_and_can_be_chosen(desk: FakeDesk, stage: StageMaker) -> None:
    desk.heard = Heard("你好", "zh", 2.0)
    async with stage(desk) as s:
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: "Heard as Chinese; /language changes it." in s.chat.activity.words, "it is told")
        await s.pilot.press("ctrl+u")
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.composer.text == "你好", "the words arrive again")
        assert "Heard as" not in s.chat.activity.words
        await s.pilot.press("ctrl+u")
        await s.send("/language german")
        await s.until(lambda: "heard as German" in s.chat.activity.words, "it is chosen")
        assert s.session.listening.language == "de"
        await recording(s)
        assert "German" in s.chat.voice.words


# --- the last recording -------------------------------------------------------------------------


async def test_the_last_recording_is_kept_and_heard_again_by_another_model(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/retranscribe")
        await s.until(lambda: "Nothing was recorded yet." in s.text_of("ErrorView"), "it is told")
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.composer.text == "what is this", "the words arrive")
        assert desk.mic.kept == [(16_000, False)]
        desk.heard = Heard("what is that", "en", 1.0)
        s.chat.voice.retranscribe("whisper-small")
        await s.until(lambda: "what is that" in s.chat.composer.text, "the other words arrive")
        assert s.chat.composer.text == "what is that"  # in the place of the first
        assert desk.transcribed_by == ["", "whisper-small"]
        await s.pilot.press("ctrl+z")
        assert s.chat.composer.text == "what is this"


async def test_a_failed_transcription_says_that_the_sound_is_kept(desk: FakeDesk, stage: StageMaker) -> None:
    desk.heard = ModelNotFound("The weights of 'whisper' are not on this machine.", hint="mmchat models pull whisper")
    async with stage(desk) as s:
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: "/retranscribe tries again" in s.text_of("ErrorView"), "it is told")
        assert "mmchat models pull whisper" in s.text_of("ErrorView")


async def test_a_full_disk_costs_the_recording_and_not_the_words(desk: FakeDesk, stage: StageMaker) -> None:
    desk.mic.keep_error = AudioError("The recording could not be saved.", hint="Check the free space.")
    async with stage(desk) as s:
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.composer.text == "what is this", "the words arrive")
        assert "could not be saved" in s.text_of("ErrorView")


async def test_esc_while_transcribing_says_how_to_have_the_words_yet(desk: FakeDesk, stage: StageMaker) -> None:
    desk.transcribe_gate = Event()
    async with stage(desk) as s:
        await recording(s)
        await s.pilot.press("ctrl+t")
        await s.pilot.press("escape")
        assert "/retranscribe" in s.chat.activity.words


async def test_a_private_recording_is_not_stored(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, desk.private_session()) as s:
        await recording(s)
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.composer.text == "what is this", "the words arrive")
        assert desk.mic.kept == [(16_000, True)]


# --- which microphone ---------------------------------------------------------------------------


async def test_microphones_are_listed_and_chosen_by_name(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/mic")
        await s.until(lambda: "Headset, ALSA" in s.text_of(".notice"), "they are listed")
        await s.send("/mic Head")
        await s.until(lambda: "Recordings come from Headset, ALSA" in s.chat.activity.words, "it is chosen")
        assert desk.mic.device == "Headset, ALSA"
        await s.send("/mic Studio")
        await s.until(lambda: "No microphone is called 'Studio'." in s.text_of("ErrorView"), "it is refused")
        assert desk.mic.device == "Headset, ALSA"


async def test_a_microphone_is_picked_from_a_list(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/mic pick")
        await s.until(lambda: isinstance(s.app.screen, ChooseScreen), "the list opens")
        await s.pilot.press("down", "down", "enter")
        await s.until(lambda: desk.mic.device == "Headset, ALSA", "it is chosen")
        await s.send("/mic pick")
        await s.until(lambda: isinstance(s.app.screen, ChooseScreen), "the list opens")
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "it is closed")
        assert desk.mic.device == "Headset, ALSA"


# --- hands-free ---------------------------------------------------------------------------------


async def test_hands_free_goes_round_until_esc(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("Yes.", gates=[gate])
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: "hands-free: speak" in s.chat.voice.words, "it listens")
        assert desk.mic.was_hands_free
        desk.mic.ending = "paused"
        await s.until(lambda: "hands-free: answering" in s.chat.voice.words, "it sends and waits")
        assert [sent.text for sent in s.session.sent] == ["what is this"]
        assert s.chat.voice.state == "off"  # half duplex: the microphone is closed meanwhile
        gate.set()
        await s.until(lambda: "hands-free: speak" in s.chat.voice.words, "it listens again")
        await s.pilot.press("escape")
        assert not s.chat.voice.display
        await s.until(lambda: desk.recorder.was_cancelled, "the microphone is closed")
        assert "Hands-free is over." in s.chat.activity.words


async def test_esc_while_answering_leaves_and_the_reply_goes_on(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("Yes.", gates=[gate])
    async with stage(desk) as s:
        await s.send("/handsfree")
        await s.until(lambda: "hands-free: speak" in s.chat.voice.words, "it listens")
        desk.mic.ending = "paused"
        await s.until(lambda: "hands-free: answering" in s.chat.voice.words, "it answers")
        await s.pilot.press("escape")
        assert "Esc again stops the reply" in s.chat.activity.words
        gate.set()
        await s.idle()
        assert "Yes." in s.replies()[0].text
        assert s.chat.voice.state == "off"


async def test_what_was_not_understood_is_not_sent(desk: FakeDesk, stage: StageMaker) -> None:
    desk.heard = Heard("", "en", 1.0)
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: s.chat.voice.state == "recording", "it listens")
        desk.mic.ending = "paused"
        await s.until(lambda: "No words were understood" in s.chat.activity.words, "it is told")
        await s.until(lambda: s.chat.voice.state == "recording", "it listens again")
        assert s.session.sent == []


@pytest.mark.parametrize("ending", ["failed", "nothing said"])
async def test_hands_free_ends_when_there_is_nothing_to_hear(desk: FakeDesk, stage: StageMaker, ending: Ending) -> None:
    desk.heard = Heard("", "en", 1.0)
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: s.chat.voice.state == "recording", "it listens")
        desk.mic.ending = ending
        await s.until(lambda: not s.chat.hands_free.is_on, "it ends")
        assert not s.chat.voice.display


async def test_without_a_microphone_hands_free_ends_with_a_sentence(desk: FakeDesk, stage: StageMaker) -> None:
    desk.recorder = FakeRecorder(error=AudioError("No microphone was found.", hint="Plug one in."))
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: "No microphone was found." in s.text_of("ErrorView"), "it is said")
        assert not s.chat.hands_free.is_on


async def test_what_is_typed_goes_before_what_is_spoken(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: s.chat.voice.state == "recording", "it listens")
        await s.send("typed instead")
        await s.until(lambda: s.session.sent, "it is sent")
        assert [sent.text for sent in s.session.sent] == ["typed instead"]
        await s.until(lambda: s.chat.voice.state == "recording", "it listens again")


async def test_it_does_not_listen_again_before_what_was_said_is_taken_in(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: s.chat.voice.state == "recording", "it listens")
        s.chat.voice.has_news = True
        s.chat.voice.cancel()
        s.chat.hands_free.look()
        assert s.chat.voice.state == "off"
        s.chat.voice.has_news = False
        s.chat.hands_free.look()
        assert s.chat.voice.state == "starting"


async def test_a_bug_ends_hands_free(desk: FakeDesk, stage: StageMaker) -> None:
    desk.heard = ZeroDivisionError("x")
    async with stage(desk, is_hands_free=True) as s:
        await s.until(lambda: s.chat.voice.state == "recording", "it listens")
        desk.mic.ending = "paused"
        await s.until(lambda: "ZeroDivisionError" in s.text_of("ErrorView"), "it is told")
        await s.until(lambda: not s.chat.hands_free.is_on, "it ends")
        assert s.chat.voice.state == "off"
