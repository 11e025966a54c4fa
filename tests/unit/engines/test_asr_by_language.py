"""Which model hears which language, and what is done where a language was taken for granted wrongly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.domain import TEXT_ONLY, Heard, ListenOptions, Segment
from mmchat.engines import speech_base
from mmchat.engines.asr_by_language import RecognizerByLanguage
from mmchat.engines.speech_base import Decoding, WindowedRecognizer
from mmchat.engines.speech_windows import SpeechWindow

SOUND = np.asarray(np.sin(np.arange(16_000)) / 2, dtype=np.float32)


class Whisper(WindowedRecognizer):
    """Believes its text where the window's language is the one it is told to write."""

    engine, device = "fake", "cpu"

    def __init__(self, name: str, languages: tuple[str, ...]) -> None:
        super().__init__()
        self.name, self.languages = name, languages
        self.spoken = ["en"]
        """The language of each window to come; the last goes on for ever."""
        self.sureness = 0.95
        self.asked: list[str] = []
        self.is_free = False

    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        self.asked.append("detect")
        return self.spoken[0], self.sureness

    def _decode(self, window: NDArray[np.float32], how: Decoding, cancel: Event) -> Iterator[Segment]:
        self.asked.append(how.language)
        is_right = how.language == self.spoken[0]
        return iter([Segment(0.0, 1.0, f"{self.name} in {how.language}", avg_logprob=-0.2 if is_right else -1.2)])

    def _free(self) -> None:
        self.is_free = True


@pytest.fixture(autouse=True)
def _one_window_for_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(pieces: Iterable[NDArray[np.float32]]) -> Iterator[SpeechWindow]:
        for piece in pieces:
            yield SpeechWindow(((0, piece.size),), piece)

    monkeypatch.setattr(speech_base, "speech_windows", windows)


@pytest.fixture
def base() -> Whisper:
    return Whisper("base", ("en", "zh", "de"))


@pytest.fixture
def tiny() -> Whisper:
    return Whisper("tiny.en", ("en",))


@pytest.fixture
def both(base: Whisper, tiny: Whisper) -> RecognizerByLanguage:
    return RecognizerByLanguage(base, tiny.name, lambda: tiny)


def heard(
    recognizer: WindowedRecognizer, *, pieces: int = 1, language: str | None = None, options: ListenOptions = TEXT_ONLY
) -> Heard:
    sound = iter([SOUND] * pieces)
    return [e for e in recognizer.transcribe(sound, language=language, options=options) if isinstance(e, Heard)][-1]


def test_english_goes_to_the_english_model(both: RecognizerByLanguage, base: Whisper, tiny: Whisper) -> None:
    outcome = heard(both)
    assert (outcome.text, outcome.language, outcome.model) == ("tiny.en in en", "en", "tiny.en")
    assert outcome.language_probability == 0.95
    assert base.asked == ["detect"]
    assert both.model_names == ("base", "tiny.en")


def test_other_languages_stay(both: RecognizerByLanguage, base: Whisper, tiny: Whisper) -> None:
    base.spoken = ["zh"]
    outcome = heard(both)
    assert (outcome.text, outcome.model) == ("base in zh", "base")
    assert tiny.asked == []


def test_a_language_that_is_given_is_not_questioned(both: RecognizerByLanguage, base: Whisper, tiny: Whisper) -> None:
    base.spoken = ["de"]
    assert heard(both, language="zh").text == "base in zh"
    assert heard(both, language="en").text == "tiny.en in en"
    assert "detect" not in base.asked


def test_a_settled_language_is_detected_once(both: RecognizerByLanguage, base: Whisper, tiny: Whisper) -> None:
    heard(both, pieces=5)
    assert base.asked == ["detect"]
    assert tiny.asked == ["en"] * 5


def test_an_unsure_language_is_looked_at_again(both: RecognizerByLanguage, base: Whisper) -> None:
    base.sureness = 0.6
    heard(both, pieces=3)
    assert base.asked == ["detect"] * 3


def test_who_speaks_another_language_than_expected_is_heard(
    both: RecognizerByLanguage, base: Whisper, tiny: Whisper
) -> None:
    base.spoken = tiny.spoken = ["zh"]
    outcome = heard(both, options=ListenOptions(expected="en"))
    assert (outcome.text, outcome.language) == ("base in zh", "zh")
    assert tiny.asked == ["en"]
    assert base.asked == ["detect", "zh"]
    tiny.spoken = ["en"]
    assert heard(both, options=ListenOptions(expected="en")).text == "tiny.en in en"


def test_a_guess_does_not_take_the_place_of_what_is_expected(base: Whisper) -> None:
    base.spoken, base.sureness = ["de"], 0.3
    assert heard(base, options=ListenOptions(expected="zh")).language == "zh"
    assert base.asked == ["detect", "zh"]
    base.sureness = 0.9
    assert heard(base, options=ListenOptions(expected="zh")).language == "de"


def test_an_english_model_that_is_not_there_yet_is_asked_for_again(base: Whisper, tiny: Whisper) -> None:
    there: list[Whisper] = []
    both = RecognizerByLanguage(base, "tiny.en", lambda: there[0] if there else None)
    outcome = heard(both)
    assert (outcome.text, outcome.model) == ("base in en", "base")
    there.append(tiny)
    assert heard(both).model == "tiny.en"


def test_whoever_goes_back_to_english_is_not_taken_for_chinese(
    both: RecognizerByLanguage, base: Whisper, tiny: Whisper
) -> None:
    assert heard(both, options=ListenOptions(expected="zh")).text == "tiny.en in en"
    assert base.asked == ["detect"]  # the encoder's pass is made for decoding anyway: no text is tried first


def test_closing_frees_both(both: RecognizerByLanguage, base: Whisper, tiny: Whisper) -> None:
    heard(both)
    both.close()
    assert base.is_free
    assert tiny.is_free


def test_a_draft_leaves_no_trace(base: Whisper) -> None:
    base.spoken = ["zh"]
    heard(base, options=ListenOptions(is_draft=True))
    base.spoken, base.sureness = ["en"], 0.3
    assert heard(base).language == "en"  # had the draft counted, the guess would have lost against it
