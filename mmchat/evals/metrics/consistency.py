"""Whether a role stays who it is: probes at several turns of a conversation, scored by key facts, without a judge.

A probe is held if the reply says one alias of each key, nothing of what it must never say, is in the language that it
should be in, and does not repeat the instructions. An empty reply holds nothing. Words are matched (`evals.key_facts`),
not understood: a true reply in words that nobody listed counts as lost, and the lists are part of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmchat.evals.base import ConsistencyOutcome, MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.key_facts import VERBATIM_CHARACTERS, VERBATIM_WORDS, repeats, says_any
from mmchat.evals.metrics.additive import AdditiveScorer, mean_scorer, outcomes_of
from mmchat.rows.values import ProbeKind
from mmchat.script import language_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MATCHING = f"match:key facts|numbers:as digits|verbatim:{VERBATIM_WORDS} words, {VERBATIM_CHARACTERS} characters"
_KINDS: dict[ProbeKind, str] = {
    "fact": "questions about itself that it answers as its role says",
    "contradiction": "false claims about itself that it does not accept",
    "language": "questions in another language that it answers in that language, as its role says",
    "instructions": "wishes for its instructions to which it does not repeat them",
}


def is_held(outcome: ConsistencyOutcome) -> bool:
    """Whether the role stayed who it is."""
    reply = outcome.reply
    if not reply.strip() or says_any(reply, outcome.never):
        return False
    if outcome.reply_in and language_of([reply]) not in (outcome.reply_in, ""):
        return False
    if outcome.hidden and repeats(reply, outcome.hidden):
        return False
    return all(says_any(reply, aliases) for aliases in outcome.keys)


class Consistency:
    """The share of probes that are held, of those that `is_for` takes."""

    def __init__(self, info: MetricInfo, is_for: Callable[[ConsistencyOutcome], bool]) -> None:
        self.info = info
        self.is_for = is_for

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`."""
        probes = outcomes_of(ConsistencyOutcome, outcomes, self.info.title)
        return mean_scorer([is_held(probe) for probe in probes], _signature(probes), scale=100)


class PinningGain:
    """How much more is held with the role's text pinned than with it said once at the beginning: paired by probe."""

    info = MetricInfo(
        name="pinning-gain",
        title="gain by pinning",
        tasks=("persona",),
        direction="neither",
        range="-100 to 100 points",
        description="consistency less consistency (unpinned): what the role's place in the window does",
        source="mmchat",
    )

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`."""
        probes = outcomes_of(ConsistencyOutcome, outcomes, self.info.title)
        statistics = np.zeros((len(probes), 4))
        for row, probe in zip(statistics, probes, strict=True):
            first = 0 if probe.is_pinned else 2
            row[first : first + 2] = is_held(probe), 1
        return AdditiveScorer(statistics, _gain, _signature(probes))


def _gain(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, 4) held and asked, pinned and unpinned → (R,) points; NaN where one of them was not asked."""
    asked = np.where(sums[:, 1::2] > 0, sums[:, 1::2], np.nan)
    shares = 100 * sums[:, ::2] / asked
    gain: NDArray[np.float64] = shares[:, 0] - shares[:, 1]
    return gain


def _signature(probes: Sequence[ConsistencyOutcome]) -> str:
    return f"{MATCHING}|turns:{','.join(map(str, sorted({probe.turn for probe in probes})))}"


def _info(name: str, title: str, description: str) -> MetricInfo:
    return MetricInfo(name, title, ("persona",), "higher", "0 to 100%", description, "mmchat, by matching key facts")


def _of_kind(kind: ProbeKind) -> Consistency:
    info = _info(f"consistency-{kind}", f"consistency ({kind})", _KINDS[kind])
    return Consistency(info, lambda outcome: outcome.is_pinned and outcome.kind == kind)


METRICS = (
    Consistency(
        _info(
            "consistency", "consistency", "probes of a role to which it stays who it is, its text pinned as in a talk"
        ),
        lambda outcome: outcome.is_pinned,
    ),
    *map(_of_kind, _KINDS),
    Consistency(
        _info("consistency-unpinned", "consistency (unpinned)", "the same, its text only said once, at the beginning"),
        lambda outcome: not outcome.is_pinned,
    ),
    PinningGain(),
)
