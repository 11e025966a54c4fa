"""How well intents and moods are told as they are in a conversation: through the hub, message by message.

Intents: trained heads on public sets in mmchat's row format, and the same sets with a few messages of each intent as
a role's file gives them. Out of scope counts as an answer: of CLINC150 by its own queries, of the other sets, which
have none, by queries of CLINC150 that belong to no intent of its own. Seconds are processor time of this process.

python -m benchmarks.intents --data FOLDER --head banking77=NAME --head clinc150=NAME --head crosswoz-zh=NAME
python -m benchmarks.intents --data FOLDER --examples 5 --examples 10 --examples 20
python -m benchmarks.intents --moods
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmchat.domain import OUT_OF_SCOPE
from mmchat.engines.intents_head import is_out_of_scope
from mmchat.wiring import WiringOptions, open_hub

if TYPE_CHECKING:
    from mmchat.engines.base import IntentReader

SETS = ("banking77", "clinc150", "crosswoz-zh")
SEEDS = 3
BINS = 15
"""Of the calibration error, of equal width (Guo et al. 2017), as in `mmchat eval`."""
TOLD = 0.25
"""A mood is bad or good from here on, and neutral between."""
PROBES = Path(__file__).parent / "probes" / "moods.jsonl"


@dataclass(frozen=True)
class Answered:
    """Messages, what they want, and what was told of them."""

    wanted: list[str]
    told: list[str]
    confidence: list[float]
    seconds: list[float]


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with intents/")
    parser.add_argument("--head", action="append", default=[], help="SET=NAME of a trained head")
    parser.add_argument("--examples", action="append", type=int, default=[], help="messages for each intent")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--intents", type=int, default=0, help="only so many of a set's, drawn by chance; 0: all")
    parser.add_argument("--moods", action="store_true")
    parser.add_argument("--limit", type=int, default=0, help="messages of each set; 0: all")
    options = parser.parse_args()
    hub = open_hub(WiringOptions(should_pull=False), kinds=("embed", "vision"))
    print("set | reader | intents | right | macro-F1 | lost to none | none found | none precise | ECE | ms | p95")
    for pair in options.head:
        name, _, head = pair.partition("=")
        reader = hub.intent_reader({}, head)
        report(name, f"head {head}", ask(reader, test_rows(options, name, None)))
    for count in options.examples:
        for name in options.sets:
            parts = []
            for seed in range(SEEDS):
                rows = drawn(options.data, name, count, options.intents, seed)
                started = time.process_time()
                reader = hub.intent_reader(rows)
                fit_s = time.process_time() - started
                parts.append(ask(reader, test_rows(options, name, set(rows))))
            report(name, f"{count} examples (fit {fit_s:.2f} s)", *parts)
    if options.moods:
        moods(lambda text: hub.mood_reader().read(text))
    hub.close()


def rows_of(data: Path, name: str) -> list[tuple[str, str]]:
    """Text and label of each row, the label of what is none of them as mmchat calls it."""
    rows = [json.loads(line) for line in (data / "intents" / f"{name}.jsonl").read_text("utf-8").splitlines()]
    return [(row["text"], OUT_OF_SCOPE if is_out_of_scope(row["label"]) else row["label"]) for row in rows]


def test_rows(options: argparse.Namespace, name: str, intents: set[str] | None) -> list[tuple[str, str]]:
    """Of the test file: those of `intents`, and as many again, at most, of none of them."""
    rows = rows_of(options.data, f"{name}.test")
    if name == "banking77":
        rows += [row for row in rows_of(options.data, "clinc150.test") if row[1] == OUT_OF_SCOPE]
    if intents is not None:
        rows = [(text, label if label in intents else OUT_OF_SCOPE) for text, label in rows]
        inside = [row for row in rows if row[1] != OUT_OF_SCOPE]
        outside = [row for row in rows if row[1] == OUT_OF_SCOPE]
        random.Random(0).shuffle(outside)
        rows = inside + outside[: len(inside)]
    random.Random(0).shuffle(rows)
    return rows[: options.limit or None]


def drawn(data: Path, name: str, count: int, intents: int, seed: int) -> dict[str, list[str]]:
    """So many messages for each intent out of the training file."""
    chance = random.Random(seed)
    rows = rows_of(data, f"{name}.train")
    chance.shuffle(rows)
    labels = sorted({label for _, label in rows} - {OUT_OF_SCOPE})
    chosen = chance.sample(labels, min(intents, len(labels))) if intents else labels
    return {label: [text for text, each in rows if each == label][:count] for label in chosen}


def ask(reader: IntentReader, rows: Sequence[tuple[str, str]]) -> Answered:
    """Each message alone, as a conversation asks."""
    answered = Answered([], [], [], [])
    reader.read("a first one, so that nothing is loaded while time is taken")
    for text, label in rows:
        started = time.process_time()
        best = reader.read(text)[0]
        answered.seconds.append(time.process_time() - started)
        answered.wanted.append(label)
        answered.told.append(best.label)
        answered.confidence.append(best.probability)
    return answered


def report(name: str, reader: str, *parts: Answered) -> None:
    """A row of the table: means over the parts."""
    figures = np.array([_figures(part) for part in parts]).mean(axis=0)
    seconds = [each for part in parts for each in part.seconds]
    shown = " | ".join("-" if np.isnan(figure) else f"{100 * figure:.1f}" for figure in figures)
    labels = len(set(parts[0].wanted) - {OUT_OF_SCOPE})
    times = f"{1000 * float(np.median(seconds)):.1f} | {1000 * float(np.quantile(seconds, 0.95)):.1f}"
    print(f"{name} | {reader} | {labels} | {shown} | {times}", flush=True)


def _figures(part: Answered) -> list[float]:
    wanted, told = np.array(part.wanted), np.array(part.told)
    right, confidence = wanted == told, np.array(part.confidence)
    inside, none = wanted != OUT_OF_SCOPE, told == OUT_OF_SCOPE
    with_none = bool((~inside).any())
    return [
        float(right[inside].mean()),
        float(np.mean([_f1(wanted, told, label) for label in sorted(set(wanted))])),
        float(none[inside].mean()),
        float(right[~inside].mean()) if with_none else float("nan"),
        float((~inside)[none].mean()) if with_none and none.any() else float("nan"),
        _calibration_error(right, confidence),
    ]


def _f1(wanted: np.ndarray, told: np.ndarray, label: str) -> float:
    both = float(((wanted == label) & (told == label)).sum())
    return 2 * both / max(1.0, float((wanted == label).sum() + (told == label).sum()))


def _calibration_error(right: np.ndarray, confidence: np.ndarray) -> float:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == each).mean() * abs(right[bins == each].mean() - confidence[bins == each].mean())
        for each in range(BINS)
        if (bins == each).any()
    ]
    return float(sum(gaps))


def moods(read: Callable[[str], float | None]) -> None:
    """The probe set: those written after the words and weights were settled, and those before."""
    rows = [json.loads(line) for line in PROBES.read_text("utf-8").splitlines()]
    print("language | split | messages | correlation | three ways right | neutral right | bad found | good found | ms")
    for language in ("en", "zh"):
        for split in ("tune", "test"):
            own = [row for row in rows if (row["language"], row["split"]) == (language, split)]
            wanted = np.array([row["mood"] for row in own])
            started = time.process_time()
            told = np.array([read(row["text"]) or 0.0 for row in own])
            each_ms = 1000 * (time.process_time() - started) / len(own)
            kinds, found = _kind(wanted), _kind(told)
            shares = [(found == kinds).mean(), *((found == kind)[kinds == kind].mean() for kind in (0, -1, 1))]
            shown = " | ".join(f"{100 * share:.0f}" for share in shares)
            correlation = float(np.corrcoef(wanted, told)[0, 1])
            print(f"{language} | {split} | {len(own)} | {correlation:.2f} | {shown} | {each_ms:.1f}")


def _kind(values: np.ndarray) -> np.ndarray:
    return np.sign(np.where(np.abs(values) > TOLD, values, 0))


if __name__ == "__main__":
    main()
