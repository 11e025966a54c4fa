"""What all metrics over replies share: which languages are cut how, and the checks before anything is counted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, Outcome, ReplyOutcome
from mmchat.evals.metrics.additive import outcomes_of
from mmchat.script import HAN, HAN_MARKS, KANA, UNSPACED_LANGUAGES, Ranges, language_of

_UNSPACED_LETTERS: Ranges = (
    *HAN,
    *HAN_MARKS,
    *KANA,
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
)
_LANGUAGES_OF_CHARACTERS = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean"}
"""That `language_of` tells by their letters, and the tokenisers for words at spaces do not know."""
_ENGLISH_WORD = re.compile(r"[a-z0-9]+")


def replies_of(outcomes: Sequence[Outcome], context: MetricContext, title: str) -> list[ReplyOutcome]:
    """The replies that a metric over words can score.

    Raises:
        EvalError: there are none, one has an empty reference, or they are Chinese, Japanese or Korean but called
            another language: cut at spaces, good and bad replies alike would score 0.
    """
    replies = outcomes_of(ReplyOutcome, outcomes, title)
    for reply in replies:
        if not reply.references or not all(reference.strip() for reference in reply.references):
            raise EvalError(
                f"“{reply.id}” has no reference, or an empty one, and cannot be scored by {title}.",
                hint="Leave that row out, or give it a reference.",
            )
    letters = language_of([reference for reply in replies for reference in reply.references])
    if letters in _LANGUAGES_OF_CHARACTERS and context.language not in UNSPACED_LANGUAGES | {"ko"}:
        raise EvalError(
            f"{title} would cut {_LANGUAGES_OF_CHARACTERS[letters]} at its spaces, as if it were "
            f"“{context.language}”, and the score would say nothing.",
            hint=f"Name the language of the rows: --language {letters}.",
        )
    return replies


class Tokenizer(Protocol):
    """What rouge-score takes as a tokeniser too."""

    name: str
    """For signatures."""

    def tokenize(self, text: str) -> list[str]: ...


class EnglishWords:
    """Runs of a to z and digits, lower case: rouge-score's own rule, word by word."""

    name = "rouge-score"

    def tokenize(self, text: str) -> list[str]:
        return _ENGLISH_WORD.findall(text.lower())


class WordsAndCharacters:
    """Words where a script sets them apart by spaces, else characters; no punctuation, lower case, NFKC."""

    name = "words+cjk-characters"

    def tokenize(self, text: str) -> list[str]:
        tokens: list[str] = []
        is_in_word = False
        for character in unicodedata.normalize("NFKC", text).lower():
            category = unicodedata.category(character)[0]
            if category == "M" and tokens:
                tokens[-1] += character  # an accent or a vowel sign belongs to what it is written on
            elif category not in "LMN":
                is_in_word = False
            elif _is_unspaced(character):
                tokens.append(character)
                is_in_word = False
            elif is_in_word:
                tokens[-1] += character
            else:
                tokens.append(character)
                is_in_word = True
        return tokens


def tokenizer_for(language: str) -> Tokenizer:
    """How ROUGE and Dist cut a language into words."""
    return EnglishWords() if language == "en" else WordsAndCharacters()


def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return any(low <= code <= high for low, high in _UNSPACED_LETTERS)
