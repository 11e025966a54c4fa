"""Captions beside several that people wrote: BLEU-4 as the COCO server counts it, and CIDEr-D.

The server's own code needs Java to cut texts into words, and weighs 100 MB; a library without Java does not run on
Windows. So CIDEr-D is written anew from its paper, and the golden tests compare it with the server's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt
from typing import cast

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, MetricInfo, Outcome, ReplyOutcome, Scorer
from mmchat.evals.metrics.additive import AdditiveScorer, mean_scorer
from mmchat.evals.metrics.bleu import reference_streams
from mmchat.evals.metrics.replies import replies_of, tokenizer_for

LONGEST = 4
"""Runs of 1 to so many words are compared."""
SIGMA = 6.0
"""Of the bell curve by which a caption of another length than the reference loses."""
_SCALE = 10.0
"""The paper's own; times 100, as captions are reported: 113 rather than 1.13."""

Grams = Counter[tuple[str, ...]]


class Cider:
    """CIDEr-D: how much of what is telling about a picture is said of it.

    Source: Vedantam et al. 2015, sections 4 and 6; written anew. Runs of words count by their frequency in a caption
    and by how few pictures have them in their references (tf-idf).
    """

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty caption scores 0; how rare a word is, all pictures together say.

        Raises:
            EvalError: nothing to score, a single picture, an empty reference, or Chinese called another language.
        """
        replies = replies_of(outcomes, context, self.info.title)
        if len(replies) < 2:
            raise EvalError(
                "CIDEr asks how rare a word is among pictures, and there is only one.", hint="Give it more rows."
            )
        tokenizer = tokenizer_for(context.language)
        scores = cider_scores(
            [tokenizer.tokenize(reply.reply) for reply in replies],
            [[tokenizer.tokenize(reference) for reference in reply.references] for reply in replies],
        )
        signature = (
            f"cider-d|n:{LONGEST}|sigma:{SIGMA:g}|idf:references of {len(replies)} pictures|tok:{tokenizer.name}"
        )
        return mean_scorer(scores, signature, scale=100)


def cider_scores(replies: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """CIDEr-D of each picture's caption, from 0 to 10.

    Args:
        replies: words of N captions.
        references: for each of the N pictures, the words of what people wrote, at least one.
    """
    grams = [[_grams(reference) for reference in each] for each in references]
    pictures_with = Counter(gram for each in grams for gram in set().union(*each))
    idf = {gram: log(len(references)) - log(count) for gram, count in pictures_with.items()}
    unknown = log(len(references))
    return [
        _SCALE * sum(_similarity(_grams(reply), reference, idf, unknown) for reference in each) / len(each)
        for reply, each in zip(replies, grams, strict=True)
    ]


def _grams(words: Sequence[str]) -> Grams:
    return Counter(
        tuple(words[at : at + length]) for length in range(1, LONGEST + 1) for at in range(len(words) - length + 1)
    )


def _similarity(reply: Grams, reference: Grams, idf: dict[tuple[str, ...], float], unknown: float) -> float:
    """Mean cosine over lengths of runs, no run counted more often than the reference has it; less for other lengths."""

    def weighted(grams: Grams) -> list[dict[tuple[str, ...], float]]:
        tables: list[dict[tuple[str, ...], float]] = [{} for _ in range(LONGEST)]
        for gram, count in grams.items():
            tables[len(gram) - 1][gram] = count * idf.get(gram, unknown)
        return tables

    total = 0.0
    for said, wanted in zip(weighted(reply), weighted(reference), strict=True):
        norms = sqrt(sum(each * each for each in said.values())) * sqrt(sum(each * each for each in wanted.values()))
        shared = sum(min(weight, wanted[gram]) * wanted[gram] for gram, weight in said.items() if gram in wanted)
        total += shared / norms if norms else 0.0
    # As the server's code has it, which counts pairs of words.
    longer = sum(n for gram, n in reply.items() if len(gram) == 2) - sum(
        n for gram, n in reference.items() if len(gram) == 2
    )
    return total / LONGEST * exp(-(longer**2) / (2 * SIGMA**2))


class CaptionBleu:
    """BLEU over runs of up to four words, as captions are compared: lower case, no punctuation."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty caption counts as it is.

        Raises:
            EvalError: nothing to score, an empty reference, or Chinese called another language.
        """
        from sacrebleu.metrics.bleu import BLEU  # slow to import

        replies = replies_of(outcomes, context, self.info.title)
        tokenizer = tokenizer_for(context.language)

        def words(text: str) -> str:
            return " ".join(tokenizer.tokenize(text)) or text  # of "!" nothing would be left

        plain = [[words(reference) for reference in reply.references] for reply in replies]
        library = BLEU(tokenize="none", force=True)
        rows = library._extract_corpus_statistics(
            [" ".join(tokenizer.tokenize(reply.reply)) for reply in replies],
            cast("Sequence[Sequence[str]]", reference_streams(plain)),  # its documentation allows None
        )
        # The last column counts samples: a resample without any has no score.
        statistics = np.column_stack((np.array(rows, dtype=np.float64), np.ones(len(rows))))
        signature = f"{library.get_signature()}|words:{tokenizer.name}"
        return AdditiveScorer(
            statistics,
            lambda sums: np.array(
                [library._compute_score_from_stats(row[:-1]).score if row[-1] else np.nan for row in sums.tolist()]
            ),
            signature,
        )


def words_of(reply: ReplyOutcome, language: str) -> int:
    """How long a caption is."""
    return len(tokenizer_for(language).tokenize(reply.reply))


class CaptionLength:
    """Mean length of captions in words; in Chinese, characters."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty caption has length 0.

        Raises:
            EvalError: nothing to score.
        """
        replies = replies_of(outcomes, context, self.info.title)
        name = tokenizer_for(context.language).name
        return mean_scorer([words_of(reply, context.language) for reply in replies], f"mean:captions|tok:{name}")


METRICS = (
    Cider(
        MetricInfo(
            name="cider",
            title="CIDEr",
            tasks=("caption",),
            direction="higher",
            range="0 to 1000",
            description="what a caption shares with those that people wrote, by how telling each run of words is",
            source="CIDEr-D (Vedantam et al. 2015)",
            is_in_all=False,
        )
    ),
    CaptionBleu(
        MetricInfo(
            name="bleu-4",
            title="BLEU-4",
            tasks=("caption",),
            direction="higher",
            range="0 to 100",
            description="runs of 1 to 4 words shared with any caption of the picture, without case and punctuation",
            source="sacrebleu (Post 2018)",
            decimals=2,
            is_in_all=False,
        )
    ),
    CaptionLength(
        MetricInfo(
            name="caption-length",
            title="caption length",
            tasks=("caption",),
            direction="neither",
            range="0 up",
            description="words of a caption, or characters in Chinese",
            source="mmchat",
            is_in_all=False,
        )
    ),
)
