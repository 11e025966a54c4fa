"""Tables beside the scores: classes taken for others and found worst, how far to trust confidence, when roles slip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from mmchat.evals.base import ConsistencyOutcome, LabelOutcome, Outcome, TaskName
from mmchat.evals.metrics.consistency import is_held
from mmchat.evals.metrics.labels import ECE_BINS, calibration_sums
from mmchat.evals.results import Exhibit

WHOLE_TABLE_CLASSES = 12
"""A confusion table of more classes is read by nobody: the pairs most often confused are shown instead."""
SHOWN_PAIRS = 20
SHOWN_CLASSES = 10


def exhibits_of(
    dataset: str, task: TaskName, language: str, model: str, outcomes: Sequence[Outcome]
) -> tuple[Exhibit, ...]:
    """The tables of one model's outcomes; only classes and roles have any.

    Args:
        dataset: the file's name.
        task: of the outcomes.
        language: of the outcomes.
        model: as the user named it.
        outcomes: of one file, task, language and model.

    Raises:
        EvalError: a confidence that is no probability.
    """

    def exhibit(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]]) -> Exhibit:
        return Exhibit(dataset, task, language, model, title, tuple(columns), tuple(map(tuple, rows)))

    probes = [outcome for outcome in outcomes if isinstance(outcome, ConsistencyOutcome)]
    if probes:
        columns = ("", *(f"{word} {turn}" for word in ("pinned, turn", "unpinned, turn") for turn in _turns(probes)))
        by_kind = exhibit("held, by what is tried", columns, _held_rows(probes, [probe.kind for probe in probes]))
        by_role = exhibit("held, by role", columns, _held_rows(probes, [probe.role for probe in probes]))
        return by_kind, by_role
    choices = [outcome for outcome in outcomes if isinstance(outcome, LabelOutcome)]
    if not choices:
        return ()
    confused = Counter((choice.label, choice.predicted) for choice in choices)
    classes = sorted({name for pair in confused for name in pair})
    if len(classes) <= WHOLE_TABLE_CLASSES:
        table = ([label, *(str(confused[label, chosen]) for chosen in classes)] for label in classes)
        confusion = exhibit("confusion table: true classes down, chosen ones across", ["", *classes], table)
    else:
        columns = ("true class", "taken for", "times", "of the class")
        confusion = exhibit("classes most often confused", columns, _confused_pairs(confused))
    shown = f"the {SHOWN_CLASSES} classes found worst" if len(classes) > SHOWN_CLASSES else "classes, worst first"
    by_class = exhibit(shown, ("class", "rows", "chosen", "precision", "recall", "F1"), _class_rows(confused, classes))
    reliability = exhibit(
        "confidence against accuracy", ("confidence", "rows", "mean confidence", "accuracy"), _bin_rows(choices)
    )
    return tuple(each for each in (confusion, by_class, reliability) if each.rows)


def _turns(probes: Sequence[ConsistencyOutcome]) -> list[int]:
    return sorted({probe.turn for probe in probes})


def _held_rows(probes: Sequence[ConsistencyOutcome], names: Sequence[str]) -> Iterable[Sequence[str]]:
    """A row for each name: how many of its probes are held at each turn, pinned, then unpinned."""
    held: Counter[tuple[str, bool, int]] = Counter()
    asked: Counter[tuple[str, bool, int]] = Counter()
    for name, probe in zip(names, probes, strict=True):
        key = name, probe.is_pinned, probe.turn
        asked[key] += 1
        held[key] += is_held(probe)
    for name in sorted(set(names)):
        keys = [(name, is_pinned, turn) for is_pinned in (True, False) for turn in _turns(probes)]
        yield name, *(f"{held[key]} of {asked[key]}" if asked[key] else "–" for key in keys)


def _confused_pairs(confused: Counter[tuple[str, str]]) -> Iterable[Sequence[str]]:
    totals = _totals(confused, 0)
    wrong = [(pair, times) for pair, times in confused.items() if pair[0] != pair[1]]
    for (label, chosen), times in sorted(wrong, key=lambda each: (-each[1], each[0]))[:SHOWN_PAIRS]:
        yield label, chosen, str(times), _percent(times, totals[label])


def _class_rows(confused: Counter[tuple[str, str]], classes: Sequence[str]) -> Iterable[Sequence[str]]:
    """Worst F1 first; of equals, the class with more rows first."""
    true, chosen = _totals(confused, 0), _totals(confused, 1)

    def f1(name: str) -> float:
        return 2 * confused[name, name] / (true[name] + chosen[name])

    for name in sorted(classes, key=lambda each: (f1(each), -true[each], each))[:SHOWN_CLASSES]:
        hits = confused[name, name]
        precision, recall = _percent(hits, chosen[name]), _percent(hits, true[name])
        yield name, str(true[name]), str(chosen[name]), precision, recall, f"{100 * f1(name):.1f}%"


def _bin_rows(choices: Sequence[LabelOutcome]) -> Iterable[Sequence[str]]:
    """The bins of the expected calibration error that hold anything."""
    for number, (rows, hits, confidence) in enumerate(calibration_sums(choices).sum(axis=0).T):
        if rows:
            span = f"{100 * number / ECE_BINS:.0f} to {100 * (number + 1) / ECE_BINS:.0f}%"
            yield span, f"{rows:.0f}", _percent(confidence, rows), _percent(hits, rows)


def _totals(confused: Counter[tuple[str, str]], side: int) -> Counter[str]:
    totals: Counter[str] = Counter()
    for pair, times in confused.items():
        totals[pair[side]] += times
    return totals


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "–"
