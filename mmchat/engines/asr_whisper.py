"""Whisper on torch: the reference implementation, and the recogniser for GPUs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from pickle import UnpicklingError
from threading import Event
from typing import Any

import numpy as np
import torch
import whisper
from numpy.typing import NDArray
from torch import Tensor
from whisper.audio import HOP_LENGTH, N_FRAMES, N_SAMPLES, SAMPLE_RATE
from whisper.timing import find_alignment, merge_punctuations
from whisper.tokenizer import LANGUAGES, get_tokenizer

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
CHECKPOINT_NAME = "model.pt"
"""What `weights.prepare_whisper` writes: {"dims", "model_state_dict"}, loaded without executing pickles."""

_log = logging.getLogger(__name__)


class OpenAIWhisperRecognizer(WindowedRecognizer):
    """An openai-whisper checkpoint behind the `SpeechRecognizer` protocol."""

    engine = "openai-whisper"

    def __init__(
        self, name: str, model: whisper.Whisper, *, is_half: bool, threads: int, chinese: str = "simplified"
    ) -> None:
        super().__init__(chinese)
        self.name = name
        self.device = model.device.type
        self.dtype = "float16" if is_half else "float32"
        known = tuple(LANGUAGES)[: model.num_languages]
        self.languages = known if model.is_multilingual else ("en",)
        self._is_half = is_half
        self._threads = threads
        self._model: whisper.Whisper | None = model

    def _loaded(self) -> whisper.Whisper:
        assert self._model is not None  # the base class refuses work after close()
        return self._model

    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        model = self._loaded()
        with _translated_errors(self.name), _threads(self._threads):
            # Frames exactly as `whisper.transcribe` cuts them, so that the encoder's memo serves both.
            mel = whisper.log_mel_spectrogram(window, model.dims.n_mels, padding=N_SAMPLES)
            frames = whisper.pad_or_trim(mel[:, : mel.shape[-1] - N_FRAMES], N_FRAMES).to(model.device)
            _, probabilities = model.detect_language(frames.half() if self._is_half else frames)
        assert isinstance(probabilities, dict)
        language = max(probabilities, key=lambda code: probabilities[code])
        return language, float(probabilities[language])

    def _decode(self, window: NDArray[np.float32], how: Decoding, cancel: Event) -> Iterator[Segment]:
        model = self._loaded()
        devices = [model.device] if model.device.type == "cuda" else []
        with _translated_errors(self.name), _threads(self._threads), torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)  # the fallback's temperatures draw: same sound, same words
            result = whisper.transcribe(
                model,
                window,
                verbose=None,
                language=how.language,
                beam_size=None if how.is_draft else BEAM_SIZE,
                best_of=BEAM_SIZE,
                temperature=gates.TEMPERATURES[:1] if how.is_draft else gates.TEMPERATURES,
                initial_prompt=how.prompt or None,
                condition_on_previous_text=False,
                no_speech_threshold=gates.NO_SPEECH_PROB,
                fp16=self._is_half,
            )
        raws = [raw for raw in result["segments"] if raw["text"].strip()]
        for seek, group in groupby(raws, key=lambda raw: int(raw["seek"])):
            together = list(group)
            words = self._words(window, together, seek, how.language) if how.with_words else [()] * len(together)
            for raw, told in zip(together, words, strict=True):
                times = float(raw["start"]), float(raw["end"])
                yield Segment(*times, raw["text"], raw["avg_logprob"], raw["no_speech_prob"], told)
                if cancel.is_set():
                    return

    def _words(
        self, window: NDArray[np.float32], raws: Sequence[Mapping[str, Any]], seek: int, language: str
    ) -> list[tuple[Word, ...]]:
        """The words of segments that were decoded from one place, aligned after their text is settled.

        The library's `word_timestamps` go on decoding from where the last word ends, into silence that it fills.
        """
        model = self._loaded()
        tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language=language)
        tokens = [[token for token in raw["tokens"] if token < tokenizer.eot] for raw in raws]
        with _translated_errors(self.name), _threads(self._threads):
            mel = whisper.log_mel_spectrogram(window, model.dims.n_mels, padding=N_SAMPLES)
            frames = min(N_FRAMES, mel.shape[-1] - N_FRAMES - seek)
            part = whisper.pad_or_trim(mel[:, seek : seek + frames], N_FRAMES).to(model.device)
            part = part.half() if self._is_half else part
            aligned = find_alignment(model, tokenizer, [t for each in tokens for t in each], part, frames)
        merge_punctuations(aligned, BEFORE_WORDS, AFTER_WORDS)
        offset_s = seek * HOP_LENGTH / SAMPLE_RATE
        words = (
            (Word(w.word, offset_s + float(w.start), offset_s + float(w.end), float(w.probability)), len(w.tokens))
            for w in aligned
        )
        return words_of_segments(words, [len(each) for each in tokens])

    def _free(self) -> None:
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class _OnceEncoder(torch.nn.Module):
    """The encoder with a memory of one: detection and each rung of the temperature ladder ask for the same window."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._last: tuple[Tensor, Tensor] | None = None

    def forward(self, mel: Tensor) -> Tensor:
        frames = mel if mel.ndim == 3 else mel.unsqueeze(0)
        if self._last is not None and torch.equal(self._last[0], frames):
            return self._last[1]
        encoded: Tensor = self.encoder(frames)
        self._last = (frames.clone(), encoded)
        return encoded


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch's thread count is the process's: set it for the call, and give it back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise DeviceError(
            f"There is not enough memory for the speech model '{name}'.", hint="Choose a smaller one."
        ) from error
    except RuntimeError as error:
        raise EngineUnavailable(
            f"The speech model '{name}' failed: {error}.", hint="`mmchat doctor` checks the machine."
        ) from error


def load(spec: EngineSpec) -> OpenAIWhisperRecognizer:
    """Load a checkpoint that `weights.prepare_whisper.for_openai_whisper` made. Nothing is fetched.

    Raises:
        ModelNotFound: no checkpoint in the folder, or it cannot be read.
        ConfigError: the device, the number type or the option `chinese` cannot be used.
        DeviceError: no memory for it.
        EngineUnavailable: the device is not there.
    """
    path = spec.path / CHECKPOINT_NAME if spec.path is not None else None
    if path is None or not path.is_file():
        raise ModelNotFound(
            f"The speech model '{spec.name}' is not prepared for openai-whisper on this machine.",
            hint=f"Run `mmchat models pull {spec.name}`.",
        )
    device = _device(spec)
    is_half = _is_half(spec, device)
    with _translated_errors(spec.name):
        model = _read(path, spec.name).to(device)
    model.eval().requires_grad_(False)
    model.encoder = _OnceEncoder(model.encoder)
    _log.info("openai-whisper '%s' on %s, %s", spec.name, device, "float16" if is_half else "float32")
    threads = spec.threads or usable_threads()
    return OpenAIWhisperRecognizer(spec.name, model, is_half=is_half, threads=threads, chinese=wanted_chinese(spec))


def _read(path: Path, name: str) -> whisper.Whisper:
    try:
        return whisper.load_model(str(path), device="cpu")  # reads with weights_only=True
    except (OSError, KeyError, TypeError, ValueError, EOFError, RuntimeError, UnpicklingError) as error:
        raise ModelNotFound(
            f"The speech model '{name}' cannot be read from '{path}': {error}.",
            hint=f"Remove and pull it again: `mmchat models remove {name}`, `mmchat models pull {name}`.",
        ) from error


def _device(spec: EngineSpec) -> str:
    # Not MPS: openai-whisper's alignment and beam search use float64 and sparse tensors, which MPS lacks.
    if spec.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if spec.device not in ("cpu", "cuda"):
        raise ConfigError(f"openai-whisper cannot run on '{spec.device}'.", hint='Set device = "cpu" or "cuda".')
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("torch finds no CUDA device.", hint='Set device = "cpu" for this model.')
    return spec.device


def _is_half(spec: EngineSpec, device: str) -> bool:
    if spec.dtype not in ("auto", "float32", "float16"):
        raise ConfigError(f"openai-whisper cannot compute in '{spec.dtype}'.", hint='Set dtype = "float32".')
    if spec.dtype == "float16" and device == "cpu":
        raise ConfigError("openai-whisper cannot compute in float16 on a CPU.", hint='Set dtype = "float32".')
    return device == "cuda" and spec.dtype != "float32"
