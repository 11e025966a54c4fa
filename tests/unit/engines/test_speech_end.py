"""When speech begins and stops, by the real Silero on sounds made here; speech itself is in the contract tests."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.engines.speech_end import SpeechEnd

RATE = 16_000


def seconds(value: NDArray[np.float64]) -> NDArray[np.float32]:
    return value.astype(np.float32)


def has_speech(watch: SpeechEnd) -> bool:
    """Now. Read in place, it would be taken for what it was asserted to be before."""
    return watch.has_speech


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(3 * RATE),
        np.random.default_rng(0).normal(0, 0.05, 3 * RATE),
        0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE),
        np.where(np.arange(3 * RATE) % RATE < 80, 0.8, 0.0),
    ],
    ids=["silence", "noise", "tone", "clicks"],
)
def test_what_nobody_said_is_no_speech(sound: NDArray[np.float64]) -> None:
    watch = SpeechEnd()
    watch.add(seconds(sound))
    assert not watch.has_speech
    assert watch.silence_s == pytest.approx(3, abs=0.2)


def test_the_pieces_it_comes_in_do_not_matter() -> None:
    sound = seconds(np.random.default_rng(1).normal(0, 0.2, RATE))
    whole, pieces = SpeechEnd(), SpeechEnd()
    whole.add(sound)
    for start in range(0, sound.size, 777):
        pieces.add(sound[start : start + 777])
    pieces.add(sound[:0])
    assert pieces.silence_s == whole.silence_s


def test_speech_is_what_silero_is_sure_of_for_longer_than_a_click() -> None:
    watch = SpeechEnd()
    for probability in [0.9] * 5 + [0.1] * 5:
        watch._judge(probability)
    assert not has_speech(watch)  # 0.16 s
    for probability in [0.9] * 3 + [0.4] * 4:
        watch._judge(probability)
    assert has_speech(watch)
    assert watch.silence_s == 0  # 0.4 goes on, though it would not begin
    for probability in [0.2, 0.4, 0.4]:
        watch._judge(probability)
    assert watch.silence_s == pytest.approx(3 * 0.032)


def test_clicks_far_apart_do_not_add_up() -> None:
    watch = SpeechEnd()
    for _ in range(10):
        for probability in [0.9] * 3 + [0.0] * 40:
            watch._judge(probability)
    assert not watch.has_speech
