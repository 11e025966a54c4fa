"""Exact match and token F1 as for SQuAD, and how long replies are."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from mmchat.evals.base import MetricContext, MetricInfo, Outcome, ReplyOutcome, Scorer
from mmchat.evals.metrics.additive import mean_scorer
from mmchat.evals.metrics.replies import WordsAndCharacters, replies_of
from mmchat.script import UNSPACED_LANGUAGES

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain_words(text: str, language: str) -> list[str]:
    """The words that exact match and token F1 compare.

    English as SQuAD's script has it: lower case, no ASCII punctuation ("don't" is "dont"), no articles.
    Other languages: words, or characters where no spaces set words apart, without punctuation, lower case.

    Source: Rajpurkar et al. 2016, evaluate-v1.1.py; rewritten.
    """
    if language != "en":
        return WordsAndCharacters().tokenize(text)
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def exact_match(reply: str, reference: str, language: str) -> float:
    """1 where nothing but case, punctuation and articles differs, else 0."""
    said, wanted = plain_words(reply, language), plain_words(reference, language)
    # of "?!" or "The" nothing is left: such texts are compared as they are
    return float(said == wanted if said or wanted else _bare(reply) == _bare(reference))


def token_f1(reply: str, reference: str, language: str) -> float:
    """F1 of the words that reply and reference share, each as often as both have it."""
    said, wanted = plain_words(reply, language), plain_words(reference, language)
    if not said or not wanted:
        return exact_match(reply, reference, language)
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted))


class Overlap:
    """The mean over replies of a comparison with the best reference.

    Args:
        info: the metric's line in `mmchat eval --list`.
        compare: reply, reference, language → [0, 1].
    """

    def __init__(self, info: MetricInfo, compare: Callable[[str, str, str], float]) -> None:
        self.info = info
        self._compare = compare

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty reply scores 0.

        Raises:
            EvalError: nothing to score, an empty reference, or Chinese called another language.
        """
        replies = replies_of(outcomes, context, self.info.title)
        rule = "squad" if context.language == "en" else f"{WordsAndCharacters.name}|punct:no|case:lc"
        signature = f"{self.info.name}|mean:replies|refs:best|norm:{rule}"
        return mean_scorer([self._best(reply, context.language) for reply in replies], signature, scale=100)

    def _best(self, reply: ReplyOutcome, language: str) -> float:
        return max(self._compare(reply.reply, reference, language) for reference in reply.references)


class ReplyLength:
    """Mean length of replies: words between spaces, or characters without spaces."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty reply has length 0.

        Raises:
            EvalError: nothing to score, an empty reference, or Chinese called another language.
        """
        replies = replies_of(outcomes, context, self.info.title)
        if context.language in UNSPACED_LANGUAGES:
            lengths = [len("".join(reply.reply.split())) for reply in replies]
            return mean_scorer(lengths, "mean:replies|unit:character(punctuation counts, white space does not)")
        return mean_scorer(
            [len(reply.reply.split()) for reply in replies], "mean:replies|unit:word(between white space)"
        )


def _bare(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().strip()


METRICS = (
    Overlap(
        MetricInfo(
            name="exact-match",
            title="exact match",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100%",
            description="replies that are their reference, apart from case, punctuation and articles",
            source="SQuAD (Rajpurkar et al. 2016)",
        ),
        exact_match,
    ),
    Overlap(
        MetricInfo(
            name="token-f1",
            title="token F1",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="words shared with the reference (characters for Chinese), apart from case, "
            "punctuation and articles, F1 of each reply, averaged",
            source="SQuAD (Rajpurkar et al. 2016)",
            decimals=2,
        ),
        token_f1,
    ),
    ReplyLength(
        MetricInfo(
            name="reply-length",
            title="reply length",
            tasks=("dialogue",),
            direction="neither",
            range="0 up",
            description="words in a reply, averaged; characters where no spaces set words apart, as in Chinese",
            source="counted between white space",
        )
    ),
)
