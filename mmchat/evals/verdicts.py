"""Which of two models is better, in words that the data can bear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from mmchat.evals import layout
from mmchat.evals.base import MetricInfo, TaskName
from mmchat.evals.results import Comparison, ModelFacts
from mmchat.evals.stats import MIN_GROUPS, MIN_GROUPS_FOR_INTERVAL, Estimate

MANY_VERDICTS = 5
"""From here on, one difference in twenty by chance alone is worth a word: with five, one shows up one time in four."""

Verdict = Literal["better", "worse", "chance", "too few", "none"]


class _Slice(NamedTuple):
    """What one sentence is about."""

    dataset: str
    task: TaskName
    language: str
    base: str
    other: str


def verdict(info: MetricInfo, difference: Estimate) -> Verdict:
    """What may be said of the other model, by one metric.

    Args:
        info: of the metric; one without a direction is not judged.
        difference: other minus base, paired.

    Returns:
        "better" or "worse" where the 95% interval leaves out zero; "none" where there is no honest interval.
    """
    if info.direction == "neither" or (difference.low is None and difference.groups >= MIN_GROUPS_FOR_INTERVAL):
        return "none"
    if difference.groups < MIN_GROUPS or difference.low is None or difference.high is None:
        return "too few"
    if difference.low <= 0 <= difference.high:
        return "chance"
    return "better" if (difference.low > 0) == (info.direction == "higher") else "worse"


def sentences(comparisons: Iterable[Comparison]) -> tuple[str, ...]:
    """The comparisons in plain words: one sentence for each set of rows and pair of models.

    Metrics without a direction or an interval are not judged. Too few groups are told instead of a verdict.
    """
    slices: dict[_Slice, list[Comparison]] = {}
    for each in comparisons:
        if each.verdict != "none":
            slices.setdefault(_Slice(each.dataset, each.task, each.language, each.base, each.other), []).append(each)
    told = []
    for part, judged in slices.items():
        place = _place(part, slices)
        enough = [each for each in judged if each.verdict != "too few"]
        if enough:
            told.append(f"{place}{': ' if place else ''}{_judgement(part, enough)}")
        if len(enough) < len(judged):
            told.append(f"{place or part.dataset}: {_too_few(judged)}")
    judged_count = sum(each.verdict in ("better", "worse", "chance") for every in slices.values() for each in every)
    if judged_count >= MANY_VERDICTS:
        told.append(
            f"These are {judged_count} comparisons at 95%: of models that do not differ at all, one in twenty would "
            "still be told apart by chance."
        )
    return tuple(dict.fromkeys(told))


def differences_besides(base: ModelFacts, other: ModelFacts) -> str:
    """What else sets two models apart but their weights, as a warning; empty if nothing does."""
    pairs = [(name, getattr(base, name), getattr(other, name)) for name in ("engine", "device", "dtype")]
    keys = dict.fromkeys([*base.decoding, *other.decoding])
    pairs += [(key.replace("_", " "), base.decoding.get(key), other.decoding.get(key)) for key in keys]
    unlike = [f"{name} {_shown(left)} and {_shown(right)}" for name, left, right in pairs if left != right]
    if not unlike:
        return ""
    return (
        f"{base.name} and {other.name} were not asked alike ({'; '.join(unlike)}): a difference between them may come "
        "from that."
    )


def _place(part: _Slice, slices: Iterable[_Slice]) -> str:
    """The rows by as many words as tell them from the others; empty where there are no others."""
    others = [each for each in slices if (each.base, each.other) == (part.base, part.other)]
    if len(others) == 1:
        return ""
    same_file = [each for each in others if each.dataset == part.dataset]
    words = [part.dataset]
    if len({each.task for each in same_file}) > 1:
        words.append(part.task)
    if len({each.language for each in same_file}) > 1:
        words.append(layout.language_name(part.language))
    return ", ".join(words)


def _judgement(part: _Slice, judged: Sequence[Comparison]) -> str:
    clauses = []
    for verdict in ("better", "worse"):
        found = [_with_numbers(each) for each in judged if each.verdict == verdict]
        if found:
            clauses.append(f"{verdict} than {part.base} on {layout.join_words(found)}")
    same = [each for each in judged if each.verdict == "chance" and each.low == each.high == 0]
    chance = [each for each in judged if each.verdict == "chance" and each not in same]
    parts = [f"{part.other} is {', and '.join(clauses)}"] if clauses else []
    between = "" if clauses else f" between {part.base} and {part.other}"
    if chance:
        parts.append(f"on {_titles(chance)} the difference{between} could be chance")
    if same:
        parts.append(f"on {_titles(same)} {part.base} and {part.other} score the same")
    sentence = "; ".join(parts) + "."
    return sentence if clauses else sentence[0].upper() + sentence[1:]


def _titles(comparisons: Iterable[Comparison]) -> str:
    return layout.join_words(layout.info(each.metric).title for each in comparisons)


def _with_numbers(each: Comparison) -> str:
    """Such as "chrF++ (+3.1, 95% 1.9 to 4.4)", with as many digits as tell the bounds from zero."""
    info = layout.info(each.metric)
    assert each.low is not None, "a verdict has an interval"
    assert each.high is not None, "a verdict has an interval"
    nearest = min(abs(each.low), abs(each.high))
    decimals = next((places for places in range(info.decimals, 8) if round(nearest, places) != 0), info.decimals)
    unit = " ms" if info.name == "milliseconds" else " points" if "%" in info.range else ""
    difference = layout.number(each.difference, decimals, sign=True)
    low, high = layout.number(each.low, decimals), layout.number(each.high, decimals)
    return f"{info.title} ({difference}{unit}, 95% {low} to {high})"


def _too_few(judged: Sequence[Comparison]) -> str:
    fewest = min(judged, key=lambda each: each.groups)
    words = layout.count_words(fewest.task, fewest.samples, fewest.groups).rpartition(" of ")[2]
    return f"{words} {'is' if fewest.groups == 1 else 'are'} too few for a verdict; it takes {MIN_GROUPS}."


def _shown(value: object) -> str:
    return "none" if value is None or value == "" else str(value)
