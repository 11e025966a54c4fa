"""Rows of speech as Whisper learns them: what its engines hear of a sound, and the tokens it shall write.

The tokens are those of decoding with times, because so the engines decode: language, task, the time 0.00, the
words, a time, the end. Which time is right nobody has said, so any is (see `speech_fit.nats`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from numpy.typing import NDArray
from whisper.audio import N_FRAMES, N_SAMPLES
from whisper.tokenizer import LANGUAGES, Tokenizer, get_tokenizer

from mmchat.engines.audio_io import SAMPLE_RATE_HZ, decode_audio
from mmchat.engines.speech_windows import WINDOW_S, speech_windows
from mmchat.errors import AudioError, DataError, UsageError
from mmchat.rows.values import SpeechRow

IGNORED = -100
_TIME_STEP_S = 0.02
_WITHOUT_BLANKS = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages whose words Whisper writes without a blank before them. Source: `whisper.tokenizer`."""
_LISTENED_ROWS = 8


@dataclass(frozen=True, slots=True)
class SpeechExample:
    """A sound and the tokens to write."""

    path: Path
    tokens: tuple[int, ...]
    first: int
    """Index of the first token that is learnt."""
    seconds: float

    @property
    def supervised(self) -> int:
        """Tokens that are learnt."""
        return len(self.tokens) - self.first


@dataclass(slots=True)
class SpeechExamples:
    """What rows became."""

    examples: list[SpeechExample] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def heard(path: Path) -> NDArray[np.float32]:
    """What Whisper hears of a sound: its spans of speech, joined, as in `speech_base`.

    Returns:
        (S,) float32, 16 000 Hz, up to 30 s; empty where nobody speaks.

    Raises:
        AudioError: it cannot be read, or is longer than Whisper's window.
    """
    pcm = decode_audio(path, max_duration_s=WINDOW_S)
    window = next(speech_windows(pcm), None)
    return pcm[:0] if window is None else window.sound


def features(pcm: NDArray[np.float32], mels: int) -> torch.Tensor:
    """(M, F) float32 with F = 3000, exactly as `whisper.transcribe` cuts them: behind the sound there are zeros."""
    mel = whisper.log_mel_spectrogram(pcm, mels, padding=N_SAMPLES)
    cut: torch.Tensor = whisper.pad_or_trim(mel[:, : mel.shape[-1] - N_FRAMES], N_FRAMES)
    return cut


class SpeechEncoder:
    """Makes examples of rows.

    Args:
        dims: of the model.
        language: of rows that do not name theirs.
    """

    def __init__(self, dims: whisper.ModelDimensions, language: str) -> None:
        self._is_multilingual = dims.n_vocab >= 51865
        self._languages = dims.n_vocab - 51765 - int(self._is_multilingual)
        self._longest = dims.n_text_ctx // 2  # as many as Whisper writes for one window
        self._language = language
        self._seconds: dict[Path, float | str] = {}

    def tokenizer(self, language: str = "") -> Tokenizer:
        """Whisper's own."""
        return get_tokenizer(
            self._is_multilingual, num_languages=self._languages, language=language or None, task="transcribe"
        )

    @property
    def time_begin(self) -> int:
        """The token of the time 0.00; all later ones are times."""
        return int(self.tokenizer().timestamp_begin)

    def rows(self, rows: Sequence[SpeechRow], *, should_skip: bool = False) -> SpeechExamples:
        """All rows.

        Args:
            rows: as they were read.
            should_skip: leave out sounds that cannot be used, instead of refusing all.

        Raises:
            DataError: sounds that cannot be used, all of them named; or nothing is left to learn.
            UsageError: a language that the model does not know.
        """
        found = SpeechExamples()
        for row in rows:
            self._add(row, found)
        if found.dropped and not should_skip:
            raise DataError("\n".join(found.dropped[:20]), hint="Mend these rows, or leave them out with --skip-bad.")
        if rows and not found.examples:
            raise DataError(
                "No row has anything to learn:\n" + "\n".join(found.dropped[:20]), hint="Whisper learns from speech."
            )
        return found

    def _add(self, row: SpeechRow, found: SpeechExamples) -> None:
        language = self._checked(row)
        seconds = self._length_of(row.audio_path)
        words = row.text.strip()
        if isinstance(seconds, str):
            found.dropped.append(f"{row.place}: audio: {seconds}")
            return
        tokenizer = self.tokenizer(language)
        text = tokenizer.encode(words if language in _WITHOUT_BLANKS else f" {words}")
        begin = int(tokenizer.timestamp_begin)
        prefix = [*tokenizer.sot_sequence, begin]
        end = begin + min(round(seconds / _TIME_STEP_S), round(WINDOW_S / _TIME_STEP_S))
        if not words or len(text) + 2 > self._longest:
            why = f"{len(text)} tokens are more than the {self._longest} that Whisper writes" if words else "is empty"
            found.dropped.append(f"{row.place}: text: {why}")
            return
        found.examples.append(
            SpeechExample(row.audio_path, (*prefix, *text, end, int(tokenizer.eot)), len(prefix), seconds)
        )

    def _checked(self, row: SpeechRow) -> str:
        language = (row.language or self._language).lower()
        if not self._is_multilingual and language not in ("", "en"):
            raise UsageError(
                f"{row.place} is in '{language}', and this base hears English only.",
                hint="Choose a multilingual base, such as -m whisper-base.",
            )
        if self._is_multilingual and language not in tuple(LANGUAGES)[: self._languages]:
            raise UsageError(
                f"{row.place} is in '{language}', which Whisper does not know.",
                hint="Give --language, or the key 'lang' of the row, a code such as en, de or zh.",
            )
        return language if self._is_multilingual else "en"

    def _length_of(self, path: Path) -> float | str:
        """Seconds of speech, or why it cannot be used."""
        if path not in self._seconds:
            try:
                pcm = heard(path)
                self._seconds[path] = pcm.size / SAMPLE_RATE_HZ if pcm.size else "nobody speaks in it"
            except AudioError as error:
                self._seconds[path] = error.message
        return self._seconds[path]


def guessed_language(rows: Sequence[SpeechRow], model: whisper.Whisper, wanted: str) -> str:
    """The language of rows that do not name theirs, heard by the base in the first few of them.

    Returns:
        `wanted` where it is given; "" where all rows name theirs.

    Raises:
        DataError: it does not hear the same in all of them.
    """
    nameless = [row for row in rows if not row.language]
    if wanted or not nameless or not model.is_multilingual:
        return wanted
    codes: Counter[str] = Counter()
    for row in nameless[:_LISTENED_ROWS]:
        try:
            pcm = heard(row.audio_path)
        except AudioError:
            continue  # named when the rows are encoded
        if pcm.size:
            _, chances = model.detect_language(features(pcm, model.dims.n_mels))
            codes[max(chances, key=chances.get)] += 1
    if len(codes) != 1:
        raise DataError(
            f"{len(nameless)} rows do not say in which language they are"
            + (f", and {', '.join(codes)} were heard." if codes else "."),
            hint="Give --language, or each row the key 'lang'.",
        )
    return next(iter(codes))


class Sounds(torch.utils.data.Dataset[dict[str, Any]]):
    """Examples, each read from its file when it is asked for."""

    def __init__(self, examples: Sequence[SpeechExample], mels: int) -> None:
        self.examples = examples
        self._mels = mels

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self.examples[index]
        return {"mel": features(heard(example.path), self._mels), "tokens": example.tokens, "first": example.first}


def collator(end: int) -> Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]:
    """What makes batches: (B, M, F) features, (B, T) tokens that are read and labels one place ahead of them."""

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(len(row["tokens"]) for row in rows) - 1
        tokens = torch.full((len(rows), width), end)
        labels = torch.full((len(rows), width), IGNORED)
        for at, row in enumerate(rows):
            ids = torch.tensor(row["tokens"])
            tokens[at, : len(ids) - 1] = ids[:-1]
            labels[at, row["first"] - 1 : len(ids) - 1] = ids[row["first"] :]
        return {"mel": torch.stack([row["mel"] for row in rows]), "tokens": tokens, "labels": labels}

    return collate
