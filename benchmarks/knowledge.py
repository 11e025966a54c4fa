"""Are the passages found that answer a question, and is it known when none does? Questions of the project's own.

    python benchmarks/knowledge.py [--embed minilm --embed e5-small] [--words 120] [--show] [--to results.json]

`benchmarks/probes/knowledge.jsonl` asks about the invented shop's documents (`mmchat/roles/support/docs`, English and
Chinese) and about mmchat's own (README.md and docs/, English). A question with answers names the files and phrases
that hold them, and `facts`, one of which an answer should have; one without has none. The shop is asked on its own
shelf, mmchat on another; small talk and general knowledge are asked of the shop.

Weights, floors and the size of passages were chosen with the 258 questions that are not `fresh`. Those that are were
written when all that stood, and what is said about what is sure is of them alone. `--words` cuts the documents into
passages of another size.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmchat.documents.cutting import MOST_WORDS
from mmchat.documents.reading import read_document
from mmchat.domain import Passage
from mmchat.memory.documents import save_document
from mmchat.memory.knowledge import NEAR_FLOOR, WORDS_FLOOR, Found, Knowledge
from mmchat.memory.recall import Embeds
from mmchat.memory.store import MemoryStore
from mmchat.wiring import open_hub

ROOT = Path(__file__).parent.parent
PROBES = Path(__file__).parent / "probes" / "knowledge.jsonl"
SHOP = ROOT / "mmchat" / "roles" / "support" / "docs"
WORDS_ONLY = "words"
DEPTH = 5
_MARKS = re.compile(r"[*`]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what was found."""

    row: dict[str, Any]
    found: tuple[Found, ...]
    rank: int | None
    """Of the first passage that answers it, from 1; None where it is not among the first `DEPTH`."""
    processor_ms: float

    @property
    def is_answerable(self) -> bool:
        return bool(self.row["answers"])

    @property
    def is_tuned_on(self) -> bool:
        return not self.row.get("fresh", False)

    @property
    def is_sure(self) -> bool:
        return any(each.is_sure for each in self.found)

    @property
    def evidence(self) -> float:
        return max((each.evidence for each in self.found), default=0.0)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embed", action="append", help="a sentence encoder; both of the project's unless given")
    parser.add_argument("--words", type=float, default=MOST_WORDS, help="of a passage at most")
    parser.add_argument("--round", type=int, default=0, help="only the questions of this round; 0: all")
    parser.add_argument("--show", action="store_true", help="every question that went wrong")
    parser.add_argument("--to", type=Path, help="write the figures there, as JSON")
    args = parser.parse_args()
    rows = [json.loads(line) for line in PROBES.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if not args.round or row.get("round", 1) == args.round]
    results: dict[str, Any] = {"words_of_a_passage": args.words, "questions": len(rows)}
    with tempfile.TemporaryDirectory() as folder:
        store = MemoryStore(Path(folder, "m.db"), Path(folder, "blobs"))
        results["passages"] = _fill(store, args.words)
        print(f"{results['passages']} passages of at most {args.words:g} words, {len(rows)} questions\n")
        _missing(store, rows)
        for name in (WORDS_ONLY, *(args.embed or ("minilm", "e5-small"))):
            embedder = None if name == WORDS_ONLY else _embedder(name)
            knowledge = Knowledge(store, lambda embedder=embedder: embedder)  # type: ignore[misc]
            knowledge.backfill()
            asked = [_ask(knowledge, row, use_vectors=embedder is not None) for row in rows]
            results[name] = _report(name, asked)
            if args.show:
                _show(asked)
        store.close()
    if args.to:
        args.to.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _fill(store: MemoryStore, words: float) -> int:
    files = [("shop", SHOP, path) for path in sorted(SHOP.rglob("*.*"))]
    files += [("mmchat", ROOT, path) for path in (ROOT / "README.md", *_own_documents())]
    for shelf, root, path in files:
        read = read_document(path, most_words=words)
        save_document(
            store,
            shelf=shelf,
            root=root,
            path=path,
            sha256="0" * 64,
            size_bytes=0,
            modified_ns=0,
            read=read,
            reader="benchmark",
        )
    return int(store.file.rows("SELECT count(*) AS count FROM passages")[0]["count"])


def _own_documents() -> list[Path]:
    return sorted((ROOT / "docs").glob("*.md"))


def _embedder(name: str) -> Embeds:
    os.environ["MMCHAT_EMBED"] = name
    embedder = open_hub(kinds=("embed",)).embedder()
    if embedder is None:
        raise SystemExit(f"The encoder '{name}' is not there: mmchat models pull {name}")
    embedder.embed(["Warm up."])
    return embedder


def _ask(knowledge: Knowledge, row: dict[str, Any], *, use_vectors: bool) -> Asked:
    shelf = "shop" if row["corpus"] == "both" else row["corpus"]
    started = time.process_time()
    found = knowledge.look_up(row["question"], shelves=[shelf], use_vectors=use_vectors)[:DEPTH]
    elapsed_ms = (time.process_time() - started) * 1000
    ranks = (rank for rank, each in enumerate(found, start=1) if _answers(row, each.passage))
    return Asked(row, found, next(ranks, None), elapsed_ms)


def _answers(row: dict[str, Any], passage: Passage) -> bool:
    told = _plain(f"{passage.heading} {passage.text}")
    path = passage.path.as_posix()
    return any(
        path.endswith(f"/{answer['file']}") and all(_plain(phrase) in told for phrase in answer["phrases"])
        for answer in row["answers"]
    )


def _missing(store: MemoryStore, rows: Sequence[dict[str, Any]]) -> None:
    """Say which answers stand in no passage: the documents or the cutting changed."""
    from mmchat.memory.citations import PASSAGES, passage_from_row

    passages = [passage_from_row(row) for row in store.file.rows(PASSAGES)]
    for row in rows:
        if row["answers"] and not any(_answers(row, passage) for passage in passages):
            print(f"No passage holds the answer: {row['question']}")


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub("", text).split())


# --- telling ------------------------------------------------------------------------------------


def _report(name: str, asked: Sequence[Asked]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    print(f"{name:10} {'asked':>8}  recall@1  recall@5   MRR")
    groups = [(language, corpus) for corpus in ("shop", "mmchat") for language in ("en", "zh")]
    for language, corpus in (*groups, ("", "")):
        group = [
            each
            for each in asked
            if each.is_answerable and (not language or (each.row["language"], each.row["corpus"]) == (language, corpus))
        ]
        first = np.array([1 / each.rank if each.rank else 0.0 for each in group])
        values = {"at_1": (first == 1).mean(), "at_5": (first > 0).mean(), "mrr": first.mean(), "asked": len(group)}
        label = f"{language} {corpus}".strip() or "all"
        told[label] = {key: round(float(value), 3) for key, value in values.items()}
        print(
            f"  {label:10}{len(group):6}  {100 * values['at_1']:8.1f}  {100 * values['at_5']:8.1f}  {values['mrr']:.2f}"
        )
    fresh = [each for each in asked if each.is_answerable and not each.is_tuned_on]
    for language in ("en", "zh"):
        ranks = [each.rank or 0 for each in fresh if each.row["language"] == language]
        at_1, at_5 = ranks.count(1) / len(ranks), sum(rank > 0 for rank in ranks) / len(ranks)
        told[f"{language} fresh"] = {"at_1": round(at_1, 3), "at_5": round(at_5, 3), "asked": len(ranks)}
        print(f"  {language} fresh  {len(ranks):6}  {100 * at_1:8.1f}  {100 * at_5:8.1f}")
    told["sure"] = _sureness(name, asked)
    told["processor_ms"] = round(float(np.median([each.processor_ms for each in asked])), 1)
    print(f"  processor time for a question: {told['processor_ms']} ms (median)\n")
    return told


def _sureness(name: str, asked: Sequence[Asked]) -> dict[str, Any]:
    told: dict[str, Any] = {"floor": WORDS_FLOOR if name == WORDS_ONLY else NEAR_FLOOR}
    print("  of the fresh questions: sure where there is an answer, not sure where there is none")
    for label, languages in (("en", ("en",)), ("zh", ("zh",)), ("all", ("en", "zh"))):
        held = [each for each in asked if not each.is_tuned_on and each.row["language"] in languages]
        tuned = [each for each in asked if each.is_tuned_on and each.row["language"] in languages]
        kinds = sorted({each.row["style"] for each in held if not each.is_answerable})
        shares = {kind: _unsure([each for each in held if each.row["style"] == kind]) for kind in kinds}
        told[label] = {
            "answerable_sure": 1 - _unsure([each for each in held if each.is_answerable]),
            "answerable_sure_and_found": _found([each for each in held if each.is_answerable]),
            "unanswerable_unsure": _unsure([each for each in held if not each.is_answerable]),
            "unanswerable": sum(not each.is_answerable for each in held),
            "auc": _auc(held),
            "kinds": shares,
            "best_floor_of_the_others": _best_floor(tuned),
        }
        each = told[label]
        found = f"(found too {100 * each['answerable_sure_and_found']:.1f})"
        print(
            f"    {label:4} {100 * each['answerable_sure']:5.1f} {found}  {100 * each['unanswerable_unsure']:5.1f}  "
            + ", ".join(f"{kind} {100 * share:.0f}" for kind, share in shares.items())
            + f"  AUC {each['auc']:.2f}  best floor of the others {each['best_floor_of_the_others']:.2f}"
        )
    return told


def _unsure(asked: Sequence[Asked]) -> float:
    return sum(not each.is_sure for each in asked) / max(1, len(asked))


def _found(asked: Sequence[Asked]) -> float:
    return sum(each.is_sure and each.rank is not None for each in asked) / max(1, len(asked))


def _auc(asked: Sequence[Asked]) -> float:
    """How often a question with an answer has more evidence than one without."""
    answered = np.array([each.evidence for each in asked if each.is_answerable])
    others = np.array([each.evidence for each in asked if not each.is_answerable])
    if not (answered.size and others.size):
        return float("nan")
    return float((answered[:, None] > others).mean() + 0.5 * (answered[:, None] == others).mean())


def _best_floor(asked: Sequence[Asked]) -> float:
    """That with the highest mean of both shares."""
    answered = np.array([each.evidence for each in asked if each.is_answerable])
    others = np.array([each.evidence for each in asked if not each.is_answerable])
    floors = np.arange(0.1, 0.8, 0.01)
    return float(max(floors, key=lambda floor: (answered >= floor).mean() + (others < floor).mean()))


def _show(asked: Sequence[Asked]) -> None:
    for each in asked:
        verdict = "not found" if each.rank is None else "not sure" if not each.is_sure else ""
        if not each.is_answerable:
            verdict = "SURE" if each.is_sure else ""
        if verdict:
            first = each.found[0].passage.label if each.found else "nothing"
            print(f"  {verdict:9} {each.evidence:.2f}  {each.row['question']}  -> {first}")
    print()


if __name__ == "__main__":
    main()
