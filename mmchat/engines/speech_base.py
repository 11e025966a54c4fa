"""What both Whisper engines share: checks, windows, language, gates, cancelling. Subclasses decode one window."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import EngineSpec, Heard, Segment
from mmchat.engines import speech_gates as gates
from mmchat.engines.audio_io import SAMPLE_RATE_HZ, is_silent
from mmchat.engines.speech_windows import SpeechWindow, speech_windows
from mmchat.errors import AudioError, ConfigError, EngineUnavailable, UsageError


class WindowedRecognizer(ABC):
    """A `SpeechRecognizer` that finds speech, decodes it window by window, and keeps invented words out."""

    name: str
    engine: str
    device: str
    languages: tuple[str, ...]
    """ISO 639-1 codes the model knows; only "en" for an English model."""

    def __init__(self, chinese: str = "simplified") -> None:
        """`chinese`: the characters wanted for Mandarin, a key of `speech_gates.CHINESE_PROMPTS`."""
        self._chinese = chinese
        self._lock = Lock()
        self._last_language = ""
        self._is_closed = False

    def transcribe(
        self, pcm: NDArray[np.float32], *, language: str | None = None, prompt: str = "", cancel: Event | None = None
    ) -> Iterator[Segment | Heard]:
        """See `engines.base.SpeechRecognizer`. An English model takes everything for English.

        Raises:
            AudioError: pcm is empty, not one-dimensional or not float32.
            UsageError: the model does not know the language.
            EngineUnavailable: the recogniser failed or was closed.
        """
        _check_pcm(pcm)
        return self._transcribe(pcm, self._checked_language(language), prompt, cancel or Event())

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        with self._lock:
            self._is_closed = True
            self._free()

    @abstractmethod
    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        """The language of (S,) float32, S up to 30 s, and its probability."""

    @abstractmethod
    def _decode(self, window: NDArray[np.float32], language: str, prompt: str, cancel: Event) -> Iterator[Segment]:
        """Raw segments of one window, with times from its beginning."""

    @abstractmethod
    def _free(self) -> None:
        """Drop the weights."""

    def _checked_language(self, language: str | None) -> str | None:
        if len(self.languages) == 1:
            known = self.languages[0]
            if language not in (None, "", known):
                raise UsageError(
                    f"The speech model '{self.name}' knows only '{known}', not '{language}'.",
                    hint="Choose a multilingual speech model: `mmchat models list`.",
                )
            return known
        if not language:
            return None
        code = language.lower().replace("_", "-").partition("-")[0]  # zh-CN is zh to Whisper
        if code not in self.languages:
            raise UsageError(
                f"The speech model '{self.name}' does not know the language '{language}'.",
                hint="Give a two-letter code such as en, zh, de, fr or ja, or none to have it detected.",
            )
        return code

    def _transcribe(
        self, pcm: NDArray[np.float32], language: str | None, prompt: str, cancel: Event
    ) -> Iterator[Segment | Heard]:
        started_s = time.perf_counter()
        kept: list[Segment] = []
        if pcm.size >= gates.MIN_DURATION_S * SAMPLE_RATE_HZ and not is_silent(pcm):
            for window in speech_windows(pcm):
                if cancel.is_set():
                    break
                language, segments = self._hear(window, pcm, language, prompt, cancel)
                for segment in segments:
                    kept.append(segment)
                    yield segment
                    if cancel.is_set():
                        break
        language = language or self._last_language
        yield Heard(
            text=gates.join_texts([segment.text for segment in kept], language),
            language=language,
            duration_s=pcm.size / SAMPLE_RATE_HZ,
            segments=tuple(kept),
            model=self.name,
            elapsed_s=time.perf_counter() - started_s,
        )

    def _hear(
        self, window: SpeechWindow, pcm: NDArray[np.float32], language: str | None, prompt: str, cancel: Event
    ) -> tuple[str, Sequence[Segment]]:
        """One window under the lock. Not across windows: a reader who pauses must not shut others out."""
        with self._lock:
            if self._is_closed:
                raise EngineUnavailable(f"The speech model '{self.name}' was closed.", hint="Load it again.")
            sound = window.cut(pcm)
            if language is None:
                language = self._detected_language(sound)
            shown = gates.prompt_for(language, prompt, self._chinese)
            segments = [gates.clean(raw, shown) for raw in self._decode(sound, language, shown, cancel)]
        self._last_language = language
        return language, [_placed(segment, window) for segment in segments if segment is not None]

    def _detected_language(self, sound: NDArray[np.float32]) -> str:
        """The detected language, or the last one heard where detection only guesses."""
        language, probability = self._detect(sound)
        return self._last_language if probability < gates.LANGUAGE_PROB and self._last_language else language


def wanted_chinese(spec: EngineSpec) -> str:
    """The option `chinese` of a speech model.

    Raises:
        ConfigError: it is none of `speech_gates.CHINESE_PROMPTS`.
    """
    wanted = str(spec.options.get("chinese", "simplified"))
    if wanted not in gates.CHINESE_PROMPTS:
        raise ConfigError(
            f"'{wanted}' is no kind of Chinese characters that '{spec.name}' can be asked for.",
            hint=f"Set chinese to one of {', '.join(gates.CHINESE_PROMPTS)} in its options in models.toml.",
        )
    return wanted


def _check_pcm(pcm: NDArray[np.float32]) -> None:
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.float32:
        raise AudioError("The sound is not an array of float32 samples.", hint="Decode it with audio_io.decode_audio.")
    if pcm.ndim != 1:
        raise AudioError(f"The sound has {pcm.ndim} dimensions instead of one.", hint="Average its channels first.")
    if pcm.size == 0:
        raise AudioError("The sound is empty: it holds no samples.", hint="Record again.")


def _placed(segment: Segment, window: SpeechWindow) -> Segment:
    start_s = window.original_s(segment.start_s)
    end_s = max(start_s, window.original_s(segment.end_s, is_end=True))
    return Segment(round(start_s, 2), round(end_s, 2), segment.text, segment.avg_logprob, segment.no_speech_prob)
