"""Tables of classes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmchat.evals.base import LabelOutcome, RecallOutcome
from mmchat.evals.exhibits import SHOWN_CLASSES, SHOWN_PAIRS, exhibits_of
from mmchat.evals.results import Exhibit


def tables(rows: Sequence[tuple[str, str, float]]) -> tuple[Exhibit, ...]:
    outcomes = [LabelOutcome(str(line), str(line), "en", "", *row) for line, row in enumerate(rows)]
    return exhibits_of("intents", "label", "en", "mine", outcomes)


FEW = [("a", "a", 0.9), ("a", "b", 0.91), ("b", "b", 0.3), ("b", "b", 0.32), ("c", "a", 1.0)]


def test_few_classes_have_a_whole_confusion_table() -> None:
    confusion, _, _ = tables(FEW)
    assert (confusion.dataset, confusion.task, confusion.language, confusion.model) == (
        "intents",
        "label",
        "en",
        "mine",
    )
    assert confusion.columns == ("", "a", "b", "c")
    assert confusion.rows == (("a", "1", "1", "0"), ("b", "0", "2", "0"), ("c", "1", "0", "0"))


def test_classes_are_listed_worst_first_as_scikit_learn_scores_them() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    _, by_class, _ = tables(FEW)
    truth, chosen, _ = zip(*FEW, strict=True)
    precision, recall, f1, support = precision_recall_fscore_support(truth, chosen, zero_division=0)
    assert [row[0] for row in by_class.rows] == ["c", "a", "b"]
    for name, rows, times, ours_precision, ours_recall, ours_f1 in by_class.rows:
        place = "abc".index(name)
        assert (int(rows), int(times)) == (support[place], chosen.count(name))
        # of a class that was never chosen there is no precision; scikit-learn says 0
        assert ours_precision == (f"{100 * precision[place]:.1f}%" if chosen.count(name) else "–")
        assert ours_recall == f"{100 * recall[place]:.1f}%"
        assert ours_f1 == f"{100 * f1[place]:.1f}%"


def test_reliability_shows_the_bins_that_hold_anything() -> None:
    _, _, reliability = tables(FEW)
    assert reliability.rows == (
        ("27 to 33%", "2", "31.0%", "100.0%"),
        ("87 to 93%", "2", "90.5%", "50.0%"),
        ("93 to 100%", "1", "100.0%", "0.0%"),
    )


def test_many_classes_show_the_pairs_most_often_confused() -> None:
    names = [f"c{number:02d}" for number in range(40)]
    rows = [(name, name, 0.5) for name in names]
    rows += [(name, names[0], 0.5) for number, name in enumerate(names) for _ in range(number)]
    confusion, by_class, _ = tables(rows)
    assert confusion.columns == ("true class", "taken for", "times", "of the class")
    assert len(confusion.rows) == SHOWN_PAIRS
    assert confusion.rows[0] == ("c39", "c00", "39", "97.5%")
    assert confusion.rows[-1] == ("c20", "c00", "20", "95.2%")
    assert len(by_class.rows) == SHOWN_CLASSES
    assert by_class.rows[0][0] == "c00"


def test_nothing_confused_makes_no_table_of_confused_pairs() -> None:
    shown = tables([(f"c{number}", f"c{number}", 1.0) for number in range(20)])
    assert [each.title for each in shown] == ["the 10 classes found worst", "confidence against accuracy"]


@pytest.mark.parametrize("count", [0, 1])
def test_other_outcomes_have_no_tables(count: int) -> None:
    outcomes = [RecallOutcome("q", "g", "en", "?", ("a",), ("a",), 1, 1.0)] * count
    assert exhibits_of("talks", "memory", "en", "mine", outcomes) == ()
