"""What each ingredient of recall brings: the share of evidence turns within the first ten, each added in turn.

    python benchmarks/recall_ingredients.py --data conversations.jsonl [--leave-one-out] [--json]

`--data` holds memory rows (docs/evaluating.md). Every conversation is a store of its own and is asked its questions
at the time of its last turn. Each line of the table ranks what `Recall.look_up` finds, with less than the product
knows; the last is the product, `Recall.find`. Weights are the product's and are not fitted here; `--leave-one-out`
shows what fitting would have chosen for each conversation from the others, and what that scores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mmchat.evals.tasks.memory import asked_at
from mmchat.memory.import_rows import conversations_of, store_conversations
from mmchat.memory.ranking import Candidate, Weights, score_all
from mmchat.memory.recall import LookedUp, Recall
from mmchat.memory.store import MemoryStore
from mmchat.memory.word_search import Filters
from mmchat.rows.reader import read_rows
from mmchat.rows.values import MemoryRow
from mmchat.wiring import open_hub

DEPTH = 10
NOTHING = Weights(words=0, session=0, speaker=0, time=0, asking=0, ranked=0)
GRID = {
    "words": (0.2, 0.3, 0.4),
    "session": (0.0, 0.1, 0.2),
    "speaker": (0.1, 0.2, 0.3),
    "time": (0.1, 0.2, 0.3),
    "asking": (-0.1, -0.05, 0.0),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the turns that answer it, and what memory found: as the product reads it, and read plainly."""

    text: str
    evidence: frozenset[int]
    looked: LookedUp
    plain: LookedUp
    found: tuple[int, ...]
    """What the product returns."""
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the table: which turns, in which order."""

    name: str
    score: Callable[[Asked], dict[int, float]]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="memory rows with questions")
    parser.add_argument("--leave-one-out", action="store_true", help="also fit the weights, on the other conversations")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    conversations = asked_rows(options.data)
    table = {step.name: [share_found(step.score, each) for each in conversations] for step in STEPS}
    table["the product: silent where nothing surely bears on it"] = [
        _share([(asked.found, asked.evidence) for asked in each]) for each in conversations
    ]
    fitted = leave_one_out(conversations) if options.leave_one_out and len(conversations) > 1 else None
    times = [asked.elapsed_ms for each in conversations for asked in each]
    if options.json:
        print(json.dumps({"recall@10": {name: _percent(shares) for name, shares in table.items()}, "fitted": fitted}))
        return
    for name, shares in table.items():
        own = "  ".join(f"{100 * found / wanted:5.1f}" for found, wanted in shares)
        print(f"{_percent(shares):5.1f}   {own}   {name}")
    print(f"a question: median {statistics.median(times):.1f} ms with its embedding")
    if fitted is not None:
        print(f"weights fitted on the other conversations: {fitted:.1f}")


# --- the ingredients ----------------------------------------------------------------------------


def _candidates(looked: LookedUp, change: Callable[[Candidate], Candidate]) -> list[Candidate]:
    return [change(each) for each in looked.candidates.values()]


def _with(weights: Weights, *, has_parts: bool, is_plain: bool = False) -> Callable[[Asked], dict[int, float]]:
    def score(asked: Asked) -> dict[int, float]:
        looked = asked.plain if is_plain else asked.looked
        return score_all(
            _candidates(looked, lambda each: each if has_parts else replace(each, around=None, sentence=None)), weights
        )

    return score


def _by_words(asked: Asked) -> dict[int, float]:
    """Shares of the question's information."""
    return {number: each.words for number, each in asked.plain.candidates.items()}


def _by_vectors(asked: Asked) -> dict[int, float]:
    return {number: each.cosine or 0.0 for number, each in asked.plain.candidates.items()}


def _by_ranks(asked: Asked) -> dict[int, float]:
    """Reciprocal rank fusion of words and vectors (Cormack, Clarke and Buettcher 2009)."""
    scores = dict.fromkeys(asked.plain.candidates, 0.0)
    for ranking in (_by_words(asked), _by_vectors(asked)):
        for rank, number in enumerate(_order(ranking), start=1):
            scores[number] += 1 / (60 + rank)
    return scores


def _with_sentences(asked: Asked) -> dict[int, float]:
    return score_all(_candidates(asked.looked, lambda each: replace(each, around=None)), WORDS)


WORDS = replace(NOTHING, words=Weights().words)
SPEAKER = replace(WORDS, speaker=Weights().speaker)
SESSION = replace(SPEAKER, session=Weights().session)
ASKING = replace(SESSION, asking=Weights().asking)
TIME = replace(ASKING, time=Weights().time)
STEPS = (
    Step("words: idf-weighted share of the question, stemmed, no stop words", _by_words),
    Step("vectors alone", _by_vectors),
    Step("words and vectors by reciprocal rank", _by_ranks),
    Step("words and vectors by a sum of scores", _with(WORDS, has_parts=False, is_plain=True)),
    Step("  + names and times left out of the vector", _with(WORDS, has_parts=False)),
    Step("  + the nearest sentence", _with_sentences),
    Step("  + the turns around it, embedded with it", _with(WORDS, has_parts=True)),
    Step("  + the speaker named", _with(SPEAKER, has_parts=True)),
    Step("  + the conversation", _with(SESSION, has_parts=True)),
    Step("  + turns that ask count less", _with(ASKING, has_parts=True)),
    Step("  + the time named", _with(TIME, has_parts=True)),
)


# --- measuring ----------------------------------------------------------------------------------


def asked_rows(data: Path) -> list[list[Asked]]:
    """All questions of all rows, asked; a list a row."""
    embedder = open_hub(kinds=("embed",)).embedder()
    rows = read_rows(data)
    conversations: list[list[Asked]] = []
    for row in rows.rows:
        assert isinstance(row, MemoryRow)
        with tempfile.TemporaryDirectory() as folder:
            store = MemoryStore(Path(folder, "m.db"), Path(folder, "blobs"))
            _, ids = store_conversations(store, conversations_of(replace(rows, rows=(row,))))
            recall = Recall(store, lambda: embedder)
            recall.backfill()
            conversations.append(_ask_all(store, recall, row, ids))
            store.close()
    return conversations


def _ask_all(store: MemoryStore, recall: Recall, row: MemoryRow, ids: dict[str, str]) -> list[Asked]:
    numbers = {each["id"]: each["number"] for each in store.file.rows("SELECT id, number FROM turns")}
    now = asked_at(row)
    asked: list[Asked] = []
    for question in row.questions:
        if not question.evidence:
            continue
        started = time.perf_counter()
        found = recall.find(question.question, k=DEPTH, now=now)
        elapsed_ms = 1000 * (time.perf_counter() - started)
        asked.append(
            Asked(
                question.question,
                frozenset(numbers[ids[each]] for each in question.evidence if each in ids),
                recall.look_up(question.question, Filters(), now=now),
                _looked_up_plainly(recall, question.question, now),
                tuple(numbers[each.turn] for each in found),
                elapsed_ms,
            )
        )
    return asked


def _looked_up_plainly(recall: Recall, question: str, now: datetime | None) -> LookedUp:
    return recall.look_up(question, Filters(), now=now, is_plain=True)


def share_found(score: Callable[[Asked], dict[int, float]], asked: Sequence[Asked]) -> tuple[int, int]:
    """Evidence turns within the first ten, and how many there are."""
    return _share([(tuple(_order(score(each))[:DEPTH]), each.evidence) for each in asked])


def _share(pairs: Sequence[tuple[tuple[int, ...], frozenset[int]]]) -> tuple[int, int]:
    return sum(len(evidence.intersection(found)) for found, evidence in pairs), sum(
        len(evidence) for _, evidence in pairs
    )


def _order(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda number: (-scores[number], -number))


def _percent(shares: Sequence[tuple[int, int]]) -> float:
    return round(100 * sum(found for found, _ in shares) / sum(wanted for _, wanted in shares), 1)


def leave_one_out(conversations: Sequence[Sequence[Asked]]) -> float:
    """Recall where each conversation is ranked with the weights that are best for the others."""
    grid = [Weights(**dict(zip(GRID, values, strict=True))) for values in itertools.product(*GRID.values())]
    found = {weights: [share_found(_with(weights, has_parts=True), each) for each in conversations] for weights in grid}
    shares: list[tuple[int, int]] = []
    for left_out in range(len(conversations)):
        best = max(grid, key=lambda weights: sum(hits for at, (hits, _) in enumerate(found[weights]) if at != left_out))
        shares.append(found[best][left_out])
    return _percent(shares)


if __name__ == "__main__":
    main()
