"""What both Whisper engines share: checks, windows, language, gates, cancelling. Subclasses decode one window."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import TEXT_ONLY, EngineSpec, Heard, ListenOptions, Segment, Word
from mmchat.engines import speech_gates as gates
from mmchat.engines.audio_io import SAMPLE_RATE_HZ
from mmchat.engines.speech_windows import SpeechWindow, speech_windows
from mmchat.errors import AudioError, ConfigError, EngineUnavailable, UsageError

BEFORE_WORDS, AFTER_WORDS = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the word after it, and before it."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How one window is decoded."""

    language: str
    prompt: str = ""
    with_words: bool = False
    is_draft: bool = False
    """One try, greedy."""


@dataclass(slots=True)
class _Language:
    """What is known of a sound's language while it is heard."""

    given: str | None
    """Nobody questions it."""
    expected: str = ""
    """What was heard before."""
    found: str = ""
    """Of the last window."""
    probability: float = 0.0

    @property
    def code(self) -> str:
        return self.found or self.given or self.expected


class WindowedRecognizer(ABC):
    """A `SpeechRecognizer` that finds speech, decodes it window by window, and keeps invented words out."""

    name: str
    engine: str
    device: str
    languages: tuple[str, ...]
    """ISO 639-1 codes the model knows; only "en" for an English model."""
    should_settle = False
    """Whether a language that is surely detected is expected of the rest of the sound: where detecting costs."""

    def __init__(self, chinese: str = "simplified") -> None:
        """`chinese`: the characters wanted for Mandarin, a key of `speech_gates.CHINESE_PROMPTS`."""
        self.chinese = chinese
        self._lock = Lock()
        self._last_language = ""
        self._is_closed = False

    @property
    def model_names(self) -> tuple[str, ...]:
        """Models whose results are as good as new ones."""
        return (self.name,)

    def transcribe(
        self,
        pcm: NDArray[np.float32] | Iterator[NDArray[np.float32]],
        *,
        language: str | None = None,
        prompt: str = "",
        cancel: Event | None = None,
        options: ListenOptions = TEXT_ONLY,
    ) -> Iterator[Segment | Heard]:
        """See `engines.base.SpeechRecognizer`. An English model takes everything for English.

        Raises:
            AudioError: pcm is empty, not one-dimensional or not float32.
            UsageError: the model does not know the language.
            EngineUnavailable: the recogniser failed or was closed.
        """
        given = self._checked_language(language)
        sound: Iterable[NDArray[np.float32]] = pcm
        if not isinstance(pcm, Iterator):
            check_pcm(pcm)
            sound = (pcm,)
        expected = options.expected if options.expected in self.languages else ""
        return self._transcribe(sound, _Language(given, expected), prompt, options, cancel or Event())

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        with self._lock:
            self._is_closed = True
            self._free()

    @abstractmethod
    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        """The language of (S,) float32, S up to 30 s, and its probability."""

    @abstractmethod
    def _decode(self, window: NDArray[np.float32], how: Decoding, cancel: Event) -> Iterator[Segment]:
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
        self,
        sound: Iterable[NDArray[np.float32]],
        language: _Language,
        prompt: str,
        options: ListenOptions,
        cancel: Event,
    ) -> Iterator[Segment | Heard]:
        started_s = time.perf_counter()
        kept: list[Segment] = []
        meter = _Meter()
        for window in speech_windows(meter.counted(sound)):
            if cancel.is_set():
                break
            for segment in self._hear(window, language, prompt, options, cancel):
                kept.append(segment)
                yield segment
                if cancel.is_set():
                    break
        code = language.code or self._last_language
        yield Heard(
            text=gates.join_texts([segment.text for segment in kept], code),
            language=code,
            duration_s=meter.samples / SAMPLE_RATE_HZ,
            segments=tuple(kept),
            model=self._model_of(code),
            elapsed_s=time.perf_counter() - started_s,
            language_probability=language.probability,
        )

    def _model_of(self, language: str) -> str:
        """The model that heard a sound of that language."""
        return self.name

    def _hear(
        self, window: SpeechWindow, language: _Language, prompt: str, options: ListenOptions, cancel: Event
    ) -> Sequence[Segment]:
        """One window under the lock. Not across windows: a reader who pauses must not shut others out."""
        with self._lock:
            if self._is_closed:
                raise EngineUnavailable(f"The speech model '{self.name}' was closed.", hint="Load it again.")
            segments = self._in_its_language(window.sound, language, prompt, options, cancel)
            segments = self._with_names(window.sound, segments, language.found, prompt, options, cancel)
            if not options.is_draft:
                self._last_language = language.found
        return [_placed(segment, window) for segment in segments]

    def _in_its_language(
        self,
        sound: NDArray[np.float32],
        language: _Language,
        prompt: str,
        options: ListenOptions,
        cancel: Event,
    ) -> Sequence[Segment]:
        """The window in the language that is given, or else detected.

        Where detecting costs, the language that is expected goes before, unless its text comes out doubtful.
        """
        if not language.given and language.expected and not self._detects_for_free(language.expected):
            segments = self._decoded(sound, self._how(language.expected, prompt, options), cancel)
            if not gates.is_doubtful(segments) or cancel.is_set():
                language.found = language.expected
                return segments
        if language.given:
            language.found = language.given
        else:
            self._find_language(sound, language)
        return self._decoded(sound, self._how(language.found, prompt, options), cancel)

    def _detects_for_free(self, language: str) -> bool:
        """Whether the pass of the encoder that detecting takes serves decoding in `language` too."""
        return True

    def _find_language(self, sound: NDArray[np.float32], language: _Language) -> None:
        """Detect it; where detection only guesses, the language heard before is the better one."""
        found, probability = self._detect(sound)
        before = language.expected or language.found or self._last_language
        if before and probability < (gates.SETTLED_PROB if language.expected else gates.LANGUAGE_PROB):
            found = before
        language.found, language.probability = found, probability
        if self.should_settle and probability >= gates.SETTLED_PROB:
            language.expected = found

    def _with_names(
        self,
        sound: NDArray[np.float32],
        plain: Sequence[Segment],
        language: str,
        prompt: str,
        options: ListenOptions,
        cancel: Event,
    ) -> Sequence[Segment]:
        """Where words are in doubt and names are known, the better of two texts."""
        if not options.terms or options.is_draft or cancel.is_set() or not gates.has_doubt(plain):
            return plain
        how = self._how(language, f"{prompt} {gates.told(options.terms, language)}", options)
        helped = self._decoded(sound, how, cancel)
        return helped if gates.is_helped(plain, helped, options.terms) else plain

    def _how(self, language: str, prompt: str, options: ListenOptions) -> Decoding:
        shown = gates.prompt_for(language, prompt, self.chinese)
        with_words = options.with_words or bool(options.terms)
        return Decoding(language, shown, with_words, options.is_draft)

    def _decoded(self, sound: NDArray[np.float32], how: Decoding, cancel: Event) -> Sequence[Segment]:
        segments = [gates.clean(raw, how.prompt) for raw in self._decode(sound, how, cancel)]
        kept = [segment for segment in segments if segment is not None]
        if how.language != "zh" or self.chinese == "any":
            return kept
        from mmchat.engines.chinese_script import in_script  # tables that only Chinese needs

        return [in_script(segment, self.chinese) for segment in kept]


class _Meter:
    """Counts and checks the pieces of a sound as they go by."""

    def __init__(self) -> None:
        self.samples = 0

    def counted(self, sound: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for piece in sound:
            check_pcm(piece)
            self.samples += piece.size
            yield piece


def words_of_segments(aligned: Iterable[tuple[Word, int]], lengths: Sequence[int]) -> list[tuple[Word, ...]]:
    """Aligned words given to the segments whose tokens they are made of.

    Args:
        aligned: each word with the number of its tokens, in order; one whose text went to its neighbour has none left.
        lengths: the number of tokens of each segment.
    """
    rest = iter(aligned)
    shared: list[tuple[Word, ...]] = []
    for length in lengths:
        words: list[Word] = []
        taken = 0
        while taken < length and (entry := next(rest, None)) is not None:
            word, tokens = entry
            taken += tokens
            if word.text:
                words.append(word)
        shared.append(tuple(words))
    return shared


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


def check_pcm(pcm: NDArray[np.float32]) -> None:
    """Raise AudioError unless it is (S,) float32 with at least one sample."""
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.float32:
        raise AudioError("The sound is not an array of float32 samples.", hint="Decode it with audio_io.decode_audio.")
    if pcm.ndim != 1:
        raise AudioError(f"The sound has {pcm.ndim} dimensions instead of one.", hint="Average its channels first.")
    if pcm.size == 0:
        raise AudioError("The sound is empty: it holds no samples.", hint="Record again.")


def _placed(segment: Segment, window: SpeechWindow) -> Segment:
    def placed(start_s: float, end_s: float) -> tuple[float, float]:
        start = window.original_s(start_s)
        return round(start, 2), round(max(start, window.original_s(end_s, is_end=True)), 2)

    start_s, end_s = placed(segment.start_s, segment.end_s)
    words = []
    for word in segment.words:
        word_start_s, word_end_s = placed(word.start_s, word.end_s)
        words.append(replace(word, start_s=word_start_s, end_s=word_end_s))
    return replace(segment, start_s=start_s, end_s=end_s, words=tuple(words))
