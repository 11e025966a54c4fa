"""How near in meaning a reply is to its reference, by a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.metrics.additive import mean_scorer
from mmchat.evals.metrics.replies import replies_of


class EmbeddingSimilarity:
    """Mean cosine of each reply with its nearest reference."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty reply scores 0.

        Raises:
            EvalError: nothing to score, an empty reference, no encoder, or one that does not know the language.
        """
        replies = replies_of(outcomes, context, self.info.title)
        embedder = context.embedder
        if embedder is None:
            raise EvalError(
                "There is no sentence encoder to compare meanings with.",
                hint="mmchat models pull minilm, or choose one with `embed` under [defaults] in models.toml.",
            )
        known = context.embedder_languages or ("en",)
        if context.language not in known:
            raise EvalError(
                f"“{embedder.name}” knows {', '.join(known)}, not {context.language}: the nearness of such replies "
                "would say nothing.",
                hint="Make an encoder for that language the default one: `embed` in models.toml, with its `languages`.",
            )
        texts = list(dict.fromkeys(text for reply in replies for text in (reply.reply, *reply.references)))
        places = {text: place for place, text in enumerate(texts)}
        vectors = embedder.embed(texts).astype(np.float64)  # (T, D), unit rows
        values = [
            max(float(vectors[places[reply.reply]] @ vectors[places[each]]) for each in reply.references)
            if reply.reply.strip()
            else 0.0
            for reply in replies
        ]
        signature = f"cosine|mean:replies|refs:best|model:{embedder.name}|engine:{embedder.engine}"
        return mean_scorer(np.clip(values, -1, 1), signature)  # rounding may carry a cosine past 1


METRICS = (
    EmbeddingSimilarity(
        MetricInfo(
            name="embedding",
            title="embedding similarity",
            tasks=("dialogue",),
            direction="higher",
            range="-1 to 1",
            description="nearness in meaning of a reply and its reference; only in languages that the encoder knows",
            source="cosine (Reimers and Gurevych 2019)",
            decimals=3,
        )
    ),
)
