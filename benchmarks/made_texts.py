"""Conversations made up for `benchmarks/made_store.py`: real words in no order, as often as words are in real text.

English and Chinese words are those of openai-whisper's two vocabularies, whose order is about that of their
frequency. A conversation has a topic: some words that it uses often, and a place in the space of vectors.
"""

from __future__ import annotations

import base64
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHINESE_SHARE = 0.2
"""Of the conversations."""
TOPICS = 2000
_SUBJECTS = 10
_TOPIC_WORDS = 60
_TOPIC_SHARE = 0.3
"""Of the words of a turn."""
_MEAN_TURNS = 24.0
_LONG = 10_000


@dataclass(frozen=True, slots=True)
class MadeTurn:
    """A turn to be stored."""

    role: str
    text: str


class Inventor:
    """Makes the same conversations for the same seed, each by itself, so that a broken run goes on."""

    def __init__(self, seed: int, *, has_long: bool = True) -> None:
        self._seed = seed
        self._has_long = has_long
        # Not imported: that would load torch.
        package = importlib.util.find_spec("whisper")
        assert package is not None
        assert package.origin is not None
        assets = Path(package.origin).parent / "assets"
        self._english = _words(assets / "gpt2.tiktoken", r" ([a-z]{2,})")
        self._chinese = _words(assets / "multilingual.tiktoken", "([\u4e00-\u9fff]+)")

    def is_long(self, ordinal: int) -> bool:
        """Whether this is the one of 10,000 turns."""
        return self._has_long and ordinal == 1

    def topic(self, ordinal: int) -> int:
        """What a conversation is about; some topics come often: the first of 2,000 in one of 45 conversations."""
        return int(TOPICS * self._rng(ordinal, 0).random() ** 2)

    def is_chinese(self, ordinal: int) -> bool:
        """Whether a conversation is in Chinese."""
        return bool(self._rng(ordinal, 1).random() < CHINESE_SHARE)

    def conversation(self, ordinal: int) -> tuple[str, list[MadeTurn]]:
        """A title and turns; user and assistant by turns."""
        rng = self._rng(ordinal, 2)
        is_chinese = self.is_chinese(ordinal)
        words = self._chinese if is_chinese else self._english
        own = self._rng(self.topic(ordinal), 3).integers(20, len(words), _TOPIC_WORDS)
        count = _LONG if self.is_long(ordinal) else int(np.clip(rng.lognormal(np.log(_MEAN_TURNS) - 0.5, 1.0), 2, 2000))
        lengths = np.where(np.arange(count) % 2, rng.lognormal(3.3, 0.6, count), rng.lognormal(2.2, 0.7, count))
        turns = []
        for position, length in enumerate(np.clip(lengths, 2, 250).astype(int)):
            text = self._sentences(rng, words, own, length, is_chinese=is_chinese)
            turns.append(MadeTurn("assistant" if position % 2 else "user", text))
        title = self._sentences(rng, words, own, 4, is_chinese=is_chinese).rstrip(".。")
        return ("The long one" if self.is_long(ordinal) else title), turns

    def _sentences(
        self, rng: np.random.Generator, words: list[str], own: NDArray[np.int64], count: int, *, is_chinese: bool
    ) -> str:
        # Zipf's law with exponent 1: the log of a rank is evenly spread.
        ranks = np.exp(rng.random(count) * np.log(len(words))).astype(np.int64) - 1
        is_own = rng.random(count) < _TOPIC_SHARE
        ranks[is_own] = rng.choice(own, int(is_own.sum()))
        chosen = [words[rank] for rank in ranks]
        parts = []
        for start in range(0, count, 12):
            part = ("" if is_chinese else " ").join(chosen[start : start + 12])
            parts.append(part + "。" if is_chinese else part[:1].upper() + part[1:] + ".")
        return ("" if is_chinese else " ").join(parts)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *key])


class Space:
    """Made-up vectors. Turns of one topic lie near each other, those of one of its ten subjects nearer.

    Their spread over directions is about that of MiniLM's vectors of real sentences (half of the variance in 40 of
    384 directions), and so are their cosines: less than 0.1 on average, 0.7 to the nearest and 0.4 to the hundredth.
    """

    def __init__(self, seed: int, width: int) -> None:
        self._seed = seed
        self._width = width
        rng = np.random.default_rng([seed, 4, width])
        spread = 1.0 / np.sqrt(1.0 + np.arange(width) / 6.0)
        turned = np.linalg.qr(rng.standard_normal((width, width)))[0]
        self._turn = np.asarray(spread[:, None] * turned, np.float32)
        self._mean = _unit(rng.standard_normal(width).astype(np.float32))
        self._topics = self._directions(rng, TOPICS)
        self._subjects = self._directions(rng, TOPICS * _SUBJECTS)

    def vectors(self, ordinal: int, topic: int, count: int) -> NDArray[np.float32]:
        """(count, D) float32, unit rows, of the turns of one conversation."""
        rng = np.random.default_rng([self._seed, 5, self._width, ordinal])
        # What is spoken of changes every eight turns.
        subjects = topic * _SUBJECTS + rng.integers(0, _SUBJECTS, 1 + count // 8)[np.arange(count) // 8]
        common = 0.25 * self._mean + 0.45 * self._topics[topic] + 0.55 * self._subjects[subjects]
        return _unit(common + 0.45 * self._directions(rng, count))

    def queries(self, rows: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
        """What questions about these turns might be: (count, D) float32, unit rows, as `rows` are."""
        return _unit(rows + 0.5 * self._directions(np.random.default_rng([self._seed, 6, seed]), len(rows)))

    def _directions(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        return _unit(rng.standard_normal((count, self._width), dtype=np.float32) @ self._turn)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def _words(path: Path, pattern: str) -> list[str]:
    tokens = [base64.b64decode(line.split()[0]).decode("utf-8", "replace") for line in path.read_bytes().splitlines()]
    return [match[1] for token in tokens if (match := re.fullmatch(pattern, token))]
