"""Replies spoken sentence by sentence, and silence at once."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from mmchat.chat.ports import Voice
from mmchat.chat.speaking import Speaker
from mmchat.errors import EngineUnavailable

WAIT_S = 10.0


class FakeVoice:
    """Writes down what it is to say; a gate holds it up until it is opened, or until it is told to stop."""

    name = "fake"

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.begun = Event()
        self.gate = Event()
        self.gate.set()
        self.was_cut = Event()
        self.failure: Exception | None = None

    def speak(self, sentence: str, language: str, cancel: Event) -> None:
        self.said.append((sentence, language))
        self.begun.set()
        if self.failure is not None:
            raise self.failure
        for _ in range(int(WAIT_S / 0.01)):
            if self.gate.is_set():
                return
            if cancel.wait(0.01):
                self.was_cut.set()
                return
        raise AssertionError("nobody opened the gate")


@pytest.fixture
def voice() -> FakeVoice:
    return FakeVoice()


@pytest.fixture
def speaker(voice: FakeVoice) -> Iterator[Speaker]:
    def find() -> Voice:
        return voice

    speaker = Speaker(find)
    speaker.turn_on()
    yield speaker
    speaker.close()


def test_sentences_are_spoken_in_order_each_in_its_language(speaker: Speaker, voice: FakeVoice) -> None:
    speaker.say("Good morning. 你好，我是助手。Bye")
    assert speaker.wait(WAIT_S)
    assert voice.said == [("Good morning.", "en"), ("你好，我是助手。", "zh"), ("Bye", "en")]


def test_the_first_sentence_is_spoken_while_the_reply_streams(speaker: Speaker, voice: FakeVoice) -> None:
    speaker.begin()
    speaker.feed("One is done. Two")
    assert speaker.wait(WAIT_S)
    assert [sentence for sentence, _ in voice.said] == ["One is done."]
    speaker.feed(" follows.")
    speaker.finish()
    assert speaker.wait(WAIT_S)
    assert [sentence for sentence, _ in voice.said] == ["One is done.", "Two follows."]


def test_hush_cuts_the_sentence_and_drops_the_rest_of_the_reply(speaker: Speaker, voice: FakeVoice) -> None:
    voice.gate.clear()
    speaker.begin()
    speaker.feed("One. Two. Three")
    assert voice.begun.wait(WAIT_S)
    assert speaker.is_speaking
    assert speaker.hush()
    assert voice.was_cut.wait(WAIT_S)
    assert speaker.wait(WAIT_S)
    speaker.feed(" and four. Five.")
    speaker.finish()
    assert speaker.wait(WAIT_S)
    assert [sentence for sentence, _ in voice.said] == ["One."]
    assert not speaker.hush()


def test_after_silence_the_next_reply_is_spoken(speaker: Speaker, voice: FakeVoice) -> None:
    speaker.say("Old words.")
    speaker.stop()
    voice.said.clear()
    speaker.say("New words.")
    assert speaker.wait(WAIT_S)
    assert voice.said == [("New words.", "en")]


def test_stop_comes_back_when_it_is_silent(speaker: Speaker, voice: FakeVoice) -> None:
    voice.gate.clear()
    speaker.say("A sentence that takes long.")
    assert voice.begun.wait(WAIT_S)
    speaker.stop()
    assert voice.was_cut.is_set()
    assert not speaker.is_speaking


def test_a_reply_takes_the_place_of_the_one_before(speaker: Speaker, voice: FakeVoice) -> None:
    voice.gate.clear()
    speaker.say("First reply. More of it.")
    assert voice.begun.wait(WAIT_S)
    speaker.begin()
    voice.gate.set()
    speaker.feed("Second reply.")
    speaker.finish()
    assert speaker.wait(WAIT_S)
    assert [sentence for sentence, _ in voice.said] == ["First reply.", "Second reply."]


def test_while_off_nothing_is_spoken(voice: FakeVoice) -> None:
    speaker = Speaker(lambda: voice)
    speaker.say("Nobody hears this.")
    assert not speaker.is_speaking
    assert speaker.wait(0)
    speaker.turn_on()
    speaker.turn_off()
    speaker.say("Nor this.")
    assert speaker.wait(0)
    assert voice.said == []
    speaker.close()


def test_a_failure_is_told_once_and_turns_it_off(speaker: Speaker, voice: FakeVoice) -> None:
    told = Event()
    speaker.watch(lambda: told.set() if not speaker.is_speaking else None)
    voice.failure = EngineUnavailable("fake has no sound card")
    speaker.say("One. Two. Three.")
    assert speaker.wait(WAIT_S)
    assert told.wait(WAIT_S)
    assert len(voice.said) == 1
    assert not speaker.is_on
    problem = speaker.take_problem()
    assert problem is not None
    assert "sound card" in problem.message
    assert speaker.take_problem() is None
    voice.failure = None
    speaker.turn_on()
    speaker.say("Again.")
    assert speaker.wait(WAIT_S)
    assert voice.said[-1] == ("Again.", "en")


def test_watchers_learn_that_speaking_begins_and_ends(speaker: Speaker, voice: FakeVoice) -> None:
    seen: list[bool] = []
    ended = Event()

    def look() -> None:
        seen.append(speaker.is_speaking)
        if not seen[-1]:
            ended.set()

    speaker.watch(look)
    voice.gate.clear()
    speaker.say("One. Two.")
    voice.gate.set()
    assert ended.wait(WAIT_S)
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("chosen", "text", "expected"),
    [
        ("de", "Guten Morgen.", "de"),
        ("zh", "Good morning.", "en"),
        ("zh", "早上好。", "zh"),
        ("de", "早上好。", "zh"),
        (None, "おはようございます。", "ja"),
        ("ru", "Доброе утро.", "ru"),
        ("zh", "42.", "zh"),
    ],
)
def test_the_language_is_the_letters_or_the_chosen_one(
    voice: FakeVoice, chosen: str | None, text: str, expected: str
) -> None:
    speaker = Speaker(lambda: voice, chosen)
    speaker.turn_on()
    speaker.say(text)
    assert speaker.wait(WAIT_S)
    speaker.close()
    assert [language for _, language in voice.said] == [expected]
