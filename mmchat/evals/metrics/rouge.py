"""ROUGE by rouge-score, for Chinese too: its own tokeniser keeps nothing but a to z and digits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from mmchat.evals.base import MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.metrics.additive import mean_scorer
from mmchat.evals.metrics.replies import replies_of, tokenizer_for

_TYPES = {"rouge-1": "rouge1", "rouge-2": "rouge2", "rouge-l": "rougeL"}
"""Names here → names in rouge-score."""


class Rouge:
    """Mean F1 of each reply with its best reference."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info
        self._type = _TYPES[info.name]

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty reply scores 0.

        Raises:
            EvalError: nothing to score, an empty reference, or Chinese called another language.
        """
        from rouge_score.rouge_scorer import RougeScorer  # slow to import: it takes nltk along

        replies = replies_of(outcomes, context, self.info.title)
        tokenizer = tokenizer_for(context.language)
        library = RougeScorer([self._type], use_stemmer=False, tokenizer=tokenizer)
        values = [library.score_multi(reply.references, reply.reply)[self._type].fmeasure for reply in replies]
        signature = (
            f"{self._type}:f1|mean:replies|refs:best|stem:no|tok:{tokenizer.name}|rouge-score:{version('rouge-score')}"
        )
        return mean_scorer(values, signature, scale=100)


METRICS = (
    Rouge(
        MetricInfo(
            name="rouge-1",
            title="ROUGE-1",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="words shared with the reference (characters for Chinese), F1 of each reply, averaged",
            source="rouge-score (Lin 2004)",
            decimals=2,
        )
    ),
    Rouge(
        MetricInfo(
            name="rouge-2",
            title="ROUGE-2",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="pairs of words shared with the reference (characters for Chinese), F1 of each reply, averaged",
            source="rouge-score (Lin 2004)",
            decimals=2,
        )
    ),
    Rouge(
        MetricInfo(
            name="rouge-l",
            title="ROUGE-L",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="longest sequence of words shared with the reference, gaps allowed, F1 of each reply, averaged",
            source="rouge-score (Lin 2004)",
            decimals=2,
        )
    ),
)
