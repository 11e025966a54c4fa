"""How surprised a model is by what was really said: for each token, and for each byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import LikelihoodOutcome, MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.metrics.additive import AdditiveScorer, outcomes_of, ratios

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Perplexity:
    """exp of all negative log-likelihoods by all tokens or bytes: long texts weigh more, as is usual."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`.

        Raises:
            EvalError: nothing to score, or an empty text.
        """
        texts = outcomes_of(LikelihoodOutcome, outcomes, self.info.title)
        for text in texts:
            if text.tokens < 1 or text.bytes < 1:
                raise EvalError(
                    f"“{text.id}” is empty and has no {self.info.title}.", hint="Leave that row out, or give it a text."
                )
        if self.info.name == "perplexity":
            lengths = [text.tokens for text in texts]
            signature = "exp(nats/tokens)|end-mark:included|compare:one-tokeniser-only"
        else:
            lengths = [text.bytes for text in texts]
            signature = "exp(nats/utf8-bytes)|end-mark:included(its nats, no byte)|compare:any-tokeniser"
        statistics = list(zip((text.nats for text in texts), lengths, strict=True))
        return AdditiveScorer(statistics, _exponentials, signature)


def _exponentials(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # beyond e**709 it is infinite, which is what it says
        return np.exp(ratios(sums))


METRICS = (
    Perplexity(
        MetricInfo(
            name="perplexity",
            title="perplexity",
            tasks=("likelihood",),
            direction="lower",
            range="1 up",
            description="how surprised the model is by each token of the reference; compares only models "
            "with one tokeniser",
            source="Jelinek et al. 1977",
            decimals=2,
        )
    ),
    Perplexity(
        MetricInfo(
            name="byte-perplexity",
            title="byte perplexity",
            tasks=("likelihood",),
            direction="lower",
            range="1 up",
            description="how surprised the model is by each byte of the reference; compares models with "
            "different tokenisers too",
            source="Jelinek et al. 1977",
            decimals=3,
        )
    ),
)
