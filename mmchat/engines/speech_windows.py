"""Where speech is: Silero voice activity detection, packed into windows that fit Whisper's 30 seconds.

Both Whisper engines work on these windows, so that silence gives no text in either, long sounds need no
more memory than short ones, and a prompt reaches every window, not only the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps
from numpy.typing import NDArray

from mmchat.engines.audio_io import SAMPLE_RATE_HZ

WINDOW_S = 30.0
_WINDOW_SAMPLES = int(WINDOW_S * SAMPLE_RATE_HZ)
_BLOCK_SAMPLES = 300 * SAMPLE_RATE_HZ
"""Detection looks at five minutes at a time: its buffers are twice the size of what it is given."""
_OPTIONS = VadOptions(threshold=0.5, min_silence_duration_ms=2000, speech_pad_ms=400, max_speech_duration_s=WINDOW_S)


@dataclass(frozen=True, slots=True)
class SpeechWindow:
    """Up to 30 s of speech with the silences between its spans left out."""

    spans: tuple[tuple[int, int], ...]
    """First and past-the-last sample of each span in the whole sound, in order."""

    def cut(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """(S,) float32: the spans of `pcm`, joined."""
        return np.concatenate([pcm[start:end] for start, end in self.spans])

    def original_s(self, time_s: float, *, is_end: bool = False) -> float:
        """A time within the window as a time within the whole sound.

        Args:
            time_s: seconds from the window's beginning.
            is_end: at a joint, take the end of the span before it instead of the start of the one after.
        """
        sample = round(time_s * SAMPLE_RATE_HZ)
        for start, end in self.spans:
            length = end - start
            if sample < length or (is_end and sample == length):
                return (start + max(sample, 0)) / SAMPLE_RATE_HZ
            sample -= length
        return self.spans[-1][1] / SAMPLE_RATE_HZ


def speech_windows(pcm: NDArray[np.float32]) -> Iterator[SpeechWindow]:
    """Find speech and pack it, lazily, so that the first window is at hand before the last is looked for.

    Args:
        pcm: (S,) float32 in [-1, 1], 16 000 Hz.

    Yields:
        Windows in order; none where nobody speaks.
    """
    spans: list[tuple[int, int]] = []
    length = 0
    for start, end in _speech_spans(pcm):
        if spans and length + end - start > _WINDOW_SAMPLES:
            yield SpeechWindow(tuple(spans))
            spans, length = [], 0
        spans.append((start, end))
        length += end - start
    if spans:
        yield SpeechWindow(tuple(spans))


def _speech_spans(pcm: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Spans of speech of at most 30 s. A span that touches the end of a block is looked at again with the next."""
    position = 0
    while position < pcm.size:
        block = pcm[position : position + _BLOCK_SAMPLES]
        is_last = position + block.size >= pcm.size
        found = [(int(each["start"]), int(each["end"])) for each in get_speech_timestamps(block, _OPTIONS)]
        resume = block.size
        if not is_last:
            if found and found[-1][1] >= block.size:
                resume = found.pop()[0]
            else:  # a word that has only just begun is not seen yet: look at the last second again
                resume = max(found[-1][1] if found else 0, block.size - SAMPLE_RATE_HZ)
        for start, end in found:
            # Padding can lift a span over the limit by a fraction of a second.
            while end - start > _WINDOW_SAMPLES:
                yield position + start, position + start + _WINDOW_SAMPLES
                start += _WINDOW_SAMPLES
            yield position + start, position + end
        position += resume
