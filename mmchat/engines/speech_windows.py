"""Where speech is: Silero voice activity detection, packed into windows that fit Whisper's 30 seconds.

Both Whisper engines work on these windows, so that silence gives no text in either, long sounds need no
more memory than short ones, and a prompt reaches every window, not only the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps
from numpy.typing import NDArray

from mmchat.engines.audio_io import SAMPLE_RATE_HZ, is_silent

WINDOW_S = 30.0
MIN_DURATION_S = 0.3
"""A key press, not an utterance."""
_WINDOW_SAMPLES = int(WINDOW_S * SAMPLE_RATE_HZ)
_BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ
"""Detection looks at a minute at a time: five would take 130 MB more, and find the same."""
_OPTIONS = VadOptions(threshold=0.5, min_silence_duration_ms=2000, speech_pad_ms=400, max_speech_duration_s=WINDOW_S)


@dataclass(frozen=True, slots=True, eq=False)
class SpeechWindow:
    """Up to 30 s of speech with the silences between its spans left out."""

    spans: tuple[tuple[int, int], ...]
    """First and past-the-last sample of each span in the whole sound, in order."""
    sound: NDArray[np.float32]
    """(S,) float32: the spans, joined."""

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


def speech_windows(sound: NDArray[np.float32] | Iterable[NDArray[np.float32]]) -> Iterator[SpeechWindow]:
    """Find speech and pack it, lazily, so that the first window is at hand before the last is looked for.

    Args:
        sound: (S,) float32 in [-1, 1], 16 000 Hz; or its pieces, in order, of any sizes: no more than two minutes
            of them are held.

    Yields:
        Windows in order; none where nobody speaks.
    """
    spans: list[tuple[int, int]] = []
    pieces: list[NDArray[np.float32]] = []
    length = 0
    for start, piece in _speech_spans((sound,) if isinstance(sound, np.ndarray) else sound):
        if spans and length + piece.size > _WINDOW_SAMPLES:
            yield SpeechWindow(tuple(spans), np.concatenate(pieces))
            spans, pieces, length = [], [], 0
        spans.append((start, start + piece.size))
        pieces.append(piece)
        length += piece.size
    if spans:
        yield SpeechWindow(tuple(spans), np.concatenate(pieces))


def _speech_spans(sound: Iterable[NDArray[np.float32]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Spans of speech of at most 30 s: the first sample's number, and the samples.

    A span that touches the end of a block is looked at again with the next.
    """
    held = np.empty(0, dtype=np.float32)
    position = 0
    for part, is_last in _blocks(sound):
        block = np.concatenate([held, part]) if held.size else part
        if is_last and not position and block.size < MIN_DURATION_S * SAMPLE_RATE_HZ:
            return
        spans = [] if is_silent(block) else get_speech_timestamps(block, _OPTIONS)
        found = [(int(each["start"]), int(each["end"])) for each in spans]
        resume = block.size
        if not is_last:
            if found and found[-1][1] >= block.size:
                resume = found.pop()[0]
            else:  # a word that has only just begun is not seen yet: look at the last second again
                resume = max(found[-1][1] if found else 0, block.size - SAMPLE_RATE_HZ)
        for start, end in found:
            # Padding can lift a span over the limit by a fraction of a second.
            for first in range(start, end, _WINDOW_SAMPLES):
                yield position + first, block[first : min(first + _WINDOW_SAMPLES, end)]
        position += resume
        held = block[resume:]


def _blocks(sound: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """The pieces joined or cut into blocks of a minute, and whether each is the last."""
    held: list[NDArray[np.float32]] = []
    size = 0
    for piece in sound:
        for first in range(0, piece.size, _BLOCK_SAMPLES):
            part = piece[first : first + _BLOCK_SAMPLES]
            if size + part.size > _BLOCK_SAMPLES:
                yield _joined(held), False
                held, size = [], 0
            held.append(part)
            size += part.size
    if held:
        yield _joined(held), True


def _joined(pieces: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
