"""Speech is found, packed into windows, and its times survive the packing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmchat.engines import speech_windows as speech_windows_module
from mmchat.engines.audio_io import SAMPLE_RATE_HZ
from mmchat.engines.speech_windows import SpeechWindow, speech_windows

PCM = np.arange(60 * SAMPLE_RATE_HZ, dtype=np.float32)


def window_of(spans: list[tuple[int, int]]) -> SpeechWindow:
    return SpeechWindow(tuple(spans), np.concatenate([PCM[start:end] for start, end in spans]))


@st.composite
def windows(draw: st.DrawFn) -> SpeechWindow:
    edges = sorted(draw(st.sets(st.integers(0, 60 * SAMPLE_RATE_HZ), min_size=2, max_size=12)))
    edges = edges[: len(edges) // 2 * 2]
    return window_of(list(zip(edges[::2], edges[1::2], strict=True)))


@given(windows(), st.data())
def test_times_map_back_to_where_the_sound_was(window: SpeechWindow, data: st.DataObject) -> None:
    sample = data.draw(st.integers(0, window.sound.size - 1))
    assert window.original_s(sample / SAMPLE_RATE_HZ) == pytest.approx(
        float(window.sound[sample]) / SAMPLE_RATE_HZ, abs=1e-4
    )


def test_at_a_joint_an_end_stays_with_its_own_span() -> None:
    window = window_of([(0, 16_000), (48_000, 64_000)])
    assert window.original_s(1.0) == 3.0
    assert window.original_s(1.0, is_end=True) == 1.0
    assert window.original_s(99.0) == 4.0


def test_no_speech_gives_no_window() -> None:
    rng = np.random.default_rng(1)
    noise = (rng.standard_normal(10 * SAMPLE_RATE_HZ) * 0.05).astype(np.float32)
    hum = (0.2 * np.sin(2 * np.pi * 50 * np.arange(10 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)
    for sound in (np.zeros(SAMPLE_RATE_HZ, dtype=np.float32), noise, hum):
        assert list(speech_windows(sound)) == []


def test_pieces_of_any_size_are_the_same_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    spoken = [
        (2, 5),
        (58, 63),
        (100, 130),
        (130, 150),
        (179, 181),
    ]  # over edges of blocks
    pcm = np.zeros(200 * SAMPLE_RATE_HZ, dtype=np.float32)
    for start_s, end_s in spoken:
        part = slice(start_s * SAMPLE_RATE_HZ, end_s * SAMPLE_RATE_HZ)
        pcm[part] = rng.standard_normal(part.stop - part.start) * 0.1

    def loud_spans(block: NDArray[np.float32], options: object) -> list[dict[str, int]]:
        loud = np.flatnonzero(np.diff((np.abs(block) > 0).astype(int), prepend=0, append=0))
        return [{"start": int(start), "end": int(end)} for start, end in zip(loud[::2], loud[1::2], strict=True)]

    monkeypatch.setattr(speech_windows_module, "get_speech_timestamps", loud_spans)
    whole = list(speech_windows(pcm))
    cut = list(speech_windows(iter(np.split(pcm, np.sort(rng.integers(1, pcm.size, 40))))))
    assert [window.spans for window in cut] == [window.spans for window in whole]
    assert all(np.array_equal(one.sound, other.sound) for one, other in zip(cut, whole, strict=True))
    assert sum(window.sound.size for window in whole) == sum(end - start for start, end in spoken) * SAMPLE_RATE_HZ
    assert all(window.sound.size <= 30 * SAMPLE_RATE_HZ for window in whole)
