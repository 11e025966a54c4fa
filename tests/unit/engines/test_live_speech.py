"""Live text: what counts never changes, comes early, and a slow machine shows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmchat.domain import TEXT_ONLY, Heard, ListenOptions, LiveText, Segment, Word
from mmchat.engines import live_speech
from mmchat.engines.audio_io import SAMPLE_RATE_HZ
from mmchat.engines.live_speech import CUT_AFTER_S, HELD_S, Agreement, LiveSpeech


def words(text: str, start_s: float = 0.0) -> list[Word]:
    """One word a second, from `start_s` on."""
    said = [each if not at else f" {each}" for at, each in enumerate(text.split())]
    return [Word(each, start_s + at, start_s + at + 0.9, 0.9) for at, each in enumerate(said)]


def test_what_two_passes_agree_on_counts() -> None:
    agreement = Agreement()
    assert agreement.take(words("please summary"), 2.0) == LiveText("", "please summary")
    assert agreement.take(words("Please summarise the at"), 4.0) == LiveText("Please", " summarise the at")
    text = agreement.take(words("please summarise the attached picture."), 8.0)
    assert text == LiveText("Please summarise the", " attached picture.")
    assert agreement.take(words("please summarise the attached picture."), 9.0).tentative == ""


def test_the_last_word_counts_once_silence_follows_it() -> None:
    agreement = Agreement()
    agreement.take(words("good mor"), 2.0)
    assert agreement.take(words("good mor"), 2.2) == LiveText("good", " mor")
    assert agreement.take(words("good morning"), 4.0) == LiveText("good", " morning")
    assert agreement.take(words("good morning"), 5.0) == LiveText("good morning", "")


def test_a_word_heard_again_at_a_shifted_time_is_not_said_twice() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.take(words("one two three"), 5.0)
    text = agreement.take(words("three four", start_s=2.95), 6.0)
    assert text == LiveText("one two three", " four")


def test_chinese_has_no_spaces() -> None:
    agreement = Agreement()
    heard = [Word(each, at, at + 0.9, 0.9) for at, each in enumerate("今天天气很好")]
    agreement.take(heard[:4], 4.0)
    assert agreement.take(heard, 6.0) == LiveText("今天天气", "很好")


@given(st.lists(st.lists(st.sampled_from(["red", "green", "blue"]), max_size=8), max_size=8))
def test_what_counts_only_grows(passes: list[list[str]]) -> None:
    agreement = Agreement()
    before = ""
    for end_s, said in enumerate(passes, start=1):
        text = agreement.take(words(" ".join(said)), float(end_s))
        assert text.confirmed.startswith(before)
        before = text.confirmed


def test_long_speech_is_cut_at_the_end_of_a_sentence() -> None:
    agreement = Agreement()
    said = words("It rains. Bring an umbrella. And then we shall walk home to the other side of town")
    for _ in range(2):
        agreement.take(said, CUT_AFTER_S + 1)
    assert agreement.cut_s(0.0, CUT_AFTER_S) == 0.0
    assert agreement.cut_s(0.0, CUT_AFTER_S + 1) == said[4].end_s  # umbrella.
    assert agreement.cut_s(said[4].end_s, HELD_S) == said[4].end_s
    assert agreement.cut_s(said[4].end_s, said[4].end_s + HELD_S + 1) == agreement.confirmed[-1].end_s
    assert Agreement().cut_s(0.0, HELD_S + 1) == HELD_S + 1 - CUT_AFTER_S


class Timed:
    """A recogniser that hears one word a second, and takes its time on a clock of its own."""

    name = engine = device = "timed"
    model_names = ("timed",)

    def __init__(self, takes_s: float) -> None:
        self.now_s = 0.0
        self.expected: list[str] = []
        self.longest_s = 0.0
        self._takes_s = takes_s

    def transcribe(
        self,
        pcm: NDArray[np.float32] | Iterator[NDArray[np.float32]],
        *,
        language: str | None = None,
        prompt: str = "",
        cancel: Event | None = None,
        options: ListenOptions = TEXT_ONLY,
    ) -> Iterator[Segment | Heard]:
        assert isinstance(pcm, np.ndarray)
        assert options.is_draft
        assert options.with_words
        self.expected.append(options.expected)
        self.now_s += self._takes_s
        duration_s = pcm.size / SAMPLE_RATE_HZ
        self.longest_s = max(self.longest_s, duration_s)
        said: Sequence[Word] = [Word(f" w{int(pcm[at])}.", s, s + 0.9, 1.0) for s, at in self._seconds(pcm)]
        segment = Segment(0.0, duration_s, "".join(word.text for word in said), words=tuple(said))
        yield segment
        yield Heard(segment.text.strip(), "en", duration_s, (segment,))

    @staticmethod
    def _seconds(pcm: NDArray[np.float32]) -> Iterator[tuple[float, int]]:
        """Where each whole second of the recording that is in `pcm` begins."""
        for at in np.flatnonzero(pcm != np.floor(pcm)).tolist():
            if at + SAMPLE_RATE_HZ <= pcm.size:
                yield at / SAMPLE_RATE_HZ, at

    def close(self) -> None: ...


def speech(seconds: int) -> NDArray[np.float32]:
    """Each second holds its number; its first sample is marked by a half more."""
    pcm = np.repeat(np.arange(seconds, dtype=np.float32), SAMPLE_RATE_HZ)
    pcm[::SAMPLE_RATE_HZ] += 0.5
    return pcm


def listened(seconds: int, takes_s: float, monkeypatch: pytest.MonkeyPatch) -> tuple[list[LiveText], Timed]:
    monkeypatch.setattr(live_speech, "_LOOK_EVERY_S", 0.0)
    pcm, at = speech(seconds), [0]
    recognizer = Timed(takes_s)

    def sound(since: int) -> NDArray[np.float32]:
        at[0] += SAMPLE_RATE_HZ
        return pcm[since : at[0]]

    live = LiveSpeech(recognizer, None, clock=lambda: recognizer.now_s)
    return list(live.listen(sound, lambda: at[0] < pcm.size, Event())), recognizer


def test_words_appear_a_second_after_they_were_said(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, recognizer = listened(40, 0.3, monkeypatch)
    assert texts[0] == LiveText("", "w0.")
    assert texts[1] == LiveText("w0.", " w1.")
    assert texts[-1].confirmed == " ".join(f"w{n}." for n in range(39))
    assert recognizer.longest_s <= HELD_S
    assert recognizer.expected[0] == ""
    assert recognizer.expected[-1] == "en"  # the language is settled once enough was said


def test_a_slow_machine_shows_nothing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, recognizer = listened(40, 1.5, monkeypatch)
    assert len(texts) <= 1
    assert len(recognizer.expected) == 2


def test_a_pass_that_takes_longer_makes_them_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    _, quick = listened(20, 0.3, monkeypatch)
    _, slower = listened(20, 0.9, monkeypatch)
    assert len(slower.expected) <= len(quick.expected) / 2 + 1


def test_it_ends_when_told() -> None:
    over = Event()
    over.set()
    live = LiveSpeech(Timed(0.1), None)
    assert list(live.listen(lambda since: speech(3)[since:], lambda: True, over)) == []
