"""When somebody begins to speak and stops: Silero voice activity detection on sound as it comes in."""

from __future__ import annotations

import numpy as np
from faster_whisper.vad import get_vad_model
from numpy.typing import NDArray

from mmchat.engines.audio_io import SAMPLE_RATE_HZ

CHUNK = 512
"""Samples that Silero judges at once: 32 ms."""
CONTEXT = 64
"""Samples before them that it is shown too."""
BEGIN_PROB, GO_ON_PROB = 0.5, 0.35
"""Silero's own thresholds: it takes more to begin than to go on."""
MIN_SPEECH_S = 0.2
"""Less is a click or a cough."""
_CHUNK_S = CHUNK / SAMPLE_RATE_HZ


class SpeechEnd:
    """Fed the sound piece by piece; keeps Silero's state from one to the next. About 1 ms per 32 ms of sound."""

    def __init__(self) -> None:
        self._session = get_vad_model().session
        self._state = np.zeros((2, 1, 1, 128), dtype=np.float32)
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._rest = np.zeros(0, dtype=np.float32)
        self._chunks = 0
        self._spoken_chunks = 0
        self._last_spoken = 0
        """The chunk after the last one with speech."""
        self._is_speaking = False

    @property
    def has_speech(self) -> bool:
        """Whether somebody has spoken for longer than a click."""
        return self._spoken_chunks * _CHUNK_S >= MIN_SPEECH_S

    @property
    def silence_s(self) -> float:
        """How long it has been quiet: since the last speech, or from the beginning."""
        return (self._chunks - self._last_spoken) * _CHUNK_S

    def add(self, pcm: NDArray[np.float32]) -> None:
        """Listen to more: (S,) float32 in [-1, 1], 16 000 Hz, of any length."""
        sound = np.concatenate([self._rest, pcm])
        whole = sound.size - sound.size % CHUNK
        self._rest = sound[whole:]
        for chunk in sound[:whole].reshape(-1, CHUNK):
            self._judge(self._probability(chunk))

    def _probability(self, chunk: NDArray[np.float32]) -> float:
        heard = np.concatenate([self._context, chunk])[np.newaxis]
        self._context = chunk[-CONTEXT:]
        found, hidden, cell = self._session.run(None, {"input": heard, "h": self._state[0], "c": self._state[1]})
        self._state = np.stack([hidden, cell])
        return float(np.squeeze(found))

    def _judge(self, probability: float) -> None:
        self._chunks += 1
        self._is_speaking = probability >= (GO_ON_PROB if self._is_speaking else BEGIN_PROB)
        if self._is_speaking:
            self._spoken_chunks += 1
            self._last_spoken = self._chunks
        elif not self.has_speech and self.silence_s > 1.0:
            self._spoken_chunks = 0  # single clicks do not add up to speech
