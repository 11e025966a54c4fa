"""What all metrics over replies share: which languages are cut how, and the checks before anything is counted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, Outcome, ReplyOutcome
from mmchat.evals.metrics.additive import outcomes_of
from mmchat.script import is_cjk, is_mostly_chinese

CHINESE = frozenset({"zh", "yue"})
UNSPACED = CHINESE | {"ja", "th", "lo", "km", "my", "bo"}
"""Languages whose words are not set apart by spaces: counted by characters."""

_UNSPACED_RANGES = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
)
_ENGLISH_WORD = re.compile(r"[a-z0-9]+")


def replies_of(outcomes: Sequence[Outcome], context: MetricContext, title: str) -> list[ReplyOutcome]:
    """The replies that a metric over words can score.

    Raises:
        EvalError: there are none, one has an empty reference, or they are Chinese but called another language:
            cut at spaces, good and bad replies alike would score 0.
    """
    replies = outcomes_of(ReplyOutcome, outcomes, title)
    for reply in replies:
        if not reply.references or not all(reference.strip() for reference in reply.references):
            raise EvalError(
                f"“{reply.id}” has no reference, or an empty one, and cannot be scored by {title}.",
                hint="Leave that row out, or give it a reference.",
            )
    is_spaced = context.language not in UNSPACED and context.language != "ko"
    if is_spaced and is_mostly_chinese("".join(reference for reply in replies for reference in reply.references)):
        raise EvalError(
            f"{title} would cut Chinese at its spaces, as if it were “{context.language}”, and the score would say "
            "nothing.",
            hint="Name the language of the rows: --language zh.",
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
    return is_cjk(character) or any(low <= code <= high for low, high in _UNSPACED_RANGES)
