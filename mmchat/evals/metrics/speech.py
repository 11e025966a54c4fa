"""Word and character error rates of transcripts.

Both are (substitutions + deletions + insertions) / length of the reference, over all samples together, as
jiwer counts them, after a normaliser that follows the language and is named in the signature.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, MetricInfo, Outcome, ReplyOutcome, Scorer
from mmchat.evals.metrics.additive import outcomes_of, ratio_scorer
from mmchat.script import CHINESE_LANGUAGES, UNSPACED_LANGUAGES, is_mostly_chinese

if TYPE_CHECKING:
    from jiwer import CharacterOutput, WordOutput


@dataclass(frozen=True, slots=True)
class Normalizer:
    """How both texts are rewritten before they are compared."""

    signature: str
    apply: Callable[[str], str]


def normalizer_for(language: str) -> Normalizer:
    """The customary normaliser of a language. Loads openai-whisper, and with it torch, where that is whisper's.

    Args:
        language: ISO 639-1.

    Returns:
        whisper's English one for English (spellings, contractions, numbers); letters, marks and digits alone
        for languages without spaces; whisper's basic one (lower case, no punctuation) for all others.

    Source: Radford et al. 2022, appendix C.
    """
    if language in UNSPACED_LANGUAGES:
        # the model's answer in the other script is an error, so that the rate shows what the reader sees
        script = "|script:as-written(traditional≠simplified)" if language in CHINESE_LANGUAGES else ""
        return Normalizer(f"norm:nfkc-letters-digits|case:lc|spaces:no{script}", letters_and_digits)
    # whisper's package imports torch as a whole, so only where a transcript is really scored
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    name, normalize = (
        ("whisper-english", EnglishTextNormalizer()) if language == "en" else ("whisper-basic", BasicTextNormalizer())
    )
    return Normalizer(f"norm:{name}|whisper:{version('openai-whisper')}", lambda text: str(normalize(text)).strip())


def letters_and_digits(text: str) -> str:
    """Compatible forms made one (full-width Latin to plain), lower case; nothing but letters, their marks and digits.

    Numbers are not rewritten: 15 and 十五 differ.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    return "".join(character for character in plain if unicodedata.category(character)[0] in "LMN")


class ErrorRate:
    """WER or CER: how many words or characters must be changed, added or removed for one that was spoken.

    An empty transcript counts as all left out. A sample has one reference: the first.
    """

    def __init__(self, unit: Literal["word", "character"]) -> None:
        self._unit = unit
        name = "wer" if unit == "word" else "cer"
        self.info = MetricInfo(
            name=name,
            title=name.upper(),
            tasks=("speech",),
            direction="lower",
            range="0 to 100%, above where words are invented",
            description=f"{unit}s wrong, missing or invented for each {unit} spoken, after a named normaliser",
            source="jiwer",
        )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: words of a language without spaces, Chinese under another language's normaliser, or a
                reference of which the normaliser leaves nothing.
        """
        transcripts = outcomes_of(ReplyOutcome, outcomes, self.info.title)
        self._check_language(transcripts, context.language)
        normalizer = normalizer_for(context.language)
        errors, lengths = zip(*(self._count(each, normalizer) for each in transcripts), strict=True)
        unit = "word" if self._unit == "word" else "character(spaces count)"
        if context.language in UNSPACED_LANGUAGES:
            unit = "character"
        signature = f"unit:{unit}|lang:{context.language}|{normalizer.signature}|jiwer:{version('jiwer')}"
        return ratio_scorer(errors, lengths, signature, scale=100)

    def _check_language(self, transcripts: Sequence[ReplyOutcome], language: str) -> None:
        if language in UNSPACED_LANGUAGES:
            if self._unit == "word":
                raise EvalError(
                    f"There is no word error rate for “{language}”: it is written without spaces between words.",
                    hint="Use --metric cer, which counts characters.",
                )
        elif is_mostly_chinese("".join(transcript.references[0] for transcript in transcripts)):
            raise EvalError(
                f"{self.info.title} would score Chinese or Japanese by the rules of “{language}”.",
                hint="Name the language of the rows: --language zh or --language ja.",
            )

    def _count(self, transcript: ReplyOutcome, normalizer: Normalizer) -> tuple[int, int]:
        """Errors and length of the reference."""
        import jiwer  # kept out of `mmchat eval --list`, which reads this module

        reference = normalizer.apply(transcript.references[0])
        # whisper's English normaliser turns a reference of dots alone into other dots
        if not any(character.isalnum() for character in reference):
            raise EvalError(
                f"“{transcript.id}” has nothing to compare with: its text “{transcript.references[0]}” holds no "
                "word that is scored.",
                hint="Leave that row out, or write down what is spoken in it.",
            )
        hypothesis = normalizer.apply(transcript.reply)
        process = jiwer.process_words if self._unit == "word" else jiwer.process_characters
        counts: WordOutput | CharacterOutput = process(reference, hypothesis)
        errors = counts.substitutions + counts.deletions + counts.insertions
        return errors, counts.hits + counts.substitutions + counts.deletions


METRICS = (ErrorRate("word"), ErrorRate("character"))
