"""Whisper on CTranslate2: the default recogniser on a CPU (int8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import merge_punctuations
from numpy.typing import NDArray

from mmchat.domain import EngineSpec, Segment, Word
from mmchat.engines import speech_gates as gates
from mmchat.engines.device import usable_threads
from mmchat.engines.speech_base import (
    AFTER_WORDS,
    BEFORE_WORDS,
    Decoding,
    WindowedRecognizer,
    wanted_chinese,
    words_of_segments,
)
from mmchat.errors import ConfigError, DeviceError, EngineUnavailable, ModelNotFound

BEAM_SIZE = 5
_HOP = 160
"""Samples of a frame."""
_WINDOW_FRAMES = 3000
_NEEDED_FILES = ("model.bin", "config.json", "tokenizer.json")  # without tokenizer.json the library asks a hub
_COMPUTE_TYPES = {"float32": "float32", "float16": "float16", "bfloat16": "bfloat16"}


class FasterWhisperRecognizer(WindowedRecognizer):
    """A CTranslate2 folder behind the `SpeechRecognizer` protocol."""

    engine = "faster-whisper"

    def __init__(self, name: str, model: _OnceEncodingModel, device: str, chinese: str = "simplified") -> None:
        super().__init__(chinese)
        self.name = name
        self.device = device
        self.dtype = str(model.model.compute_type)
        self.languages = tuple(model.supported_languages)
        self._model: _OnceEncodingModel | None = model

    def _loaded(self) -> _OnceEncodingModel:
        assert self._model is not None  # the base class refuses work after close()
        return self._model

    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        model = self._loaded()
        with _translated_errors(self.name):
            # The same frames as decoding takes, so that one pass of the encoder serves both.
            features = model.feature_extractor(window)[:, :-1]
            token, probability = model.model.detect_language(model.encode(pad_or_trim(features)))[0][0]
        return str(token)[2:-2], float(probability)

    def _decode(self, window: NDArray[np.float32], how: Decoding, cancel: Event) -> Iterator[Segment]:
        model = self._loaded()
        with _translated_errors(self.name):
            ctranslate2.set_random_seed(0)  # the fallback's temperatures draw: same sound, same words
            segments, _ = model.transcribe(
                window,
                language=how.language,
                beam_size=1 if how.is_draft else BEAM_SIZE,
                temperature=list(gates.TEMPERATURES[:1] if how.is_draft else gates.TEMPERATURES),
                initial_prompt=how.prompt or None,
                condition_on_previous_text=False,
                vad_filter=False,  # done for all engines alike in speech_windows
                no_speech_threshold=gates.NO_SPEECH_PROB,
                log_progress=False,
            )
            # What was decoded from one place comes at once; the encoder's last pass is then the one for it.
            for seek, group in groupby(segments, key=lambda raw: raw.seek):
                raws = list(_with_encoded(group, model))
                frames = window.size // _HOP - seek
                words = _words(model, raws, frames, how.language) if how.with_words else [()] * len(raws)
                for (raw, _), told in zip(raws, words, strict=True):
                    yield Segment(raw.start, raw.end, raw.text, raw.avg_logprob, raw.no_speech_prob, told)
                    if cancel.is_set():
                        return

    def _free(self) -> None:
        self._model = None


class _OnceEncodingModel(WhisperModel):  # type: ignore[misc]  # faster-whisper ships no types
    """Remembers its last encoder pass: on a CPU it is two thirds of the work.

    Detecting the language, decoding, and decoding again with other words in sight ask for the same window.
    """

    last: tuple[NDArray[np.float32], ctranslate2.StorageView] | None = None

    def encode(self, features: NDArray[np.float32]) -> ctranslate2.StorageView:
        if self.last is not None and np.array_equal(self.last[0], features):
            return self.last[1]
        encoded = super().encode(features)
        self.last = features.copy(), encoded
        return encoded


def _with_encoded(
    raws: Iterable[Any], model: _OnceEncodingModel
) -> Iterator[tuple[Any, ctranslate2.StorageView | None]]:
    """Each segment with the encoder's pass that it comes from, which the next segment's may replace."""
    for raw in raws:
        yield raw, model.last[1] if model.last is not None else None


def _words(
    model: _OnceEncodingModel, raws: Sequence[tuple[Any, ctranslate2.StorageView | None]], frames: int, language: str
) -> list[tuple[Word, ...]]:
    """The words of segments that were decoded from one place.

    The library's own `word_timestamps` go on decoding from where the last word ends, into silence that it fills with
    invented sentences; here the text is aligned after it is settled, at one pass of the decoder.
    """
    tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language)
    tokens = [[token for token in raw.tokens if token < tokenizer.eot] for raw, _ in raws]
    flat = [token for each in tokens for token in each]
    if not flat:
        return [()] * len(raws)
    aligned = model.find_alignment(tokenizer, [flat], raws[0][1], min(frames, _WINDOW_FRAMES))[0]
    merge_punctuations(aligned, BEFORE_WORDS, AFTER_WORDS)
    offset_s = raws[0][0].seek / model.frames_per_second
    words = (
        (
            Word(w["word"], offset_s + float(w["start"]), offset_s + float(w["end"]), float(w["probability"])),
            len(w["tokens"]),
        )
        for w in aligned
    )
    return words_of_segments(words, [len(each) for each in tokens])


@contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    """CTranslate2 speaks in RuntimeErrors."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if "out of memory" in str(error).lower():
            raise _no_memory(name) from error
        raise EngineUnavailable(
            f"The speech model '{name}' failed: {error}.", hint="`mmchat doctor` checks the machine."
        ) from error
    except MemoryError as error:
        raise _no_memory(name) from error


def _no_memory(name: str) -> DeviceError:
    return DeviceError(f"There is not enough memory for the speech model '{name}'.", hint="Choose a smaller one.")


def load(spec: EngineSpec) -> FasterWhisperRecognizer:
    """Load a CTranslate2 Whisper folder. Nothing is fetched.

    `device = "auto"` is the CPU: CTranslate2 needs its own CUDA libraries, and openai-whisper serves a GPU.

    Raises:
        ModelNotFound: the folder or one of its files is missing.
        ConfigError: the device, the number type or the option `chinese` is not one there is.
        DeviceError: no memory for it.
        EngineUnavailable: CTranslate2 cannot use the files or the device.
    """
    folder = _checked_folder(spec)
    if spec.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"faster-whisper cannot run on '{spec.device}'.", hint='Set device = "cpu" or "cuda".')
    device = "cuda" if spec.device == "cuda" else "cpu"
    if device == "cuda" and ctranslate2.get_cuda_device_count() == 0:
        raise EngineUnavailable("CTranslate2 finds no CUDA device.", hint='Set device = "cpu" for this model.')
    compute_type = _COMPUTE_TYPES.get(spec.dtype, "int8" if device == "cpu" else "float16")
    with _translated_errors(spec.name):
        model = _OnceEncodingModel(
            str(folder),
            device=device,
            compute_type=compute_type,
            cpu_threads=spec.threads or usable_threads(),
            local_files_only=True,
        )
    return FasterWhisperRecognizer(spec.name, model, device, wanted_chinese(spec))


def _checked_folder(spec: EngineSpec) -> Path:
    missing = [name for name in _NEEDED_FILES if spec.path is None or not (spec.path / name).is_file()]
    if spec.path is None or missing:
        raise ModelNotFound(
            f"The speech model '{spec.name}' is not complete on this machine: {', '.join(missing)} missing.",
            hint=f"Run `mmchat models pull {spec.name}`.",
        )
    return spec.path
