"""Does recall stay silent when nothing bears on the message? A small probe set of the project's own.

    python benchmarks/recall_probe.py

Prints, for questions with an answer in memory and for messages without one, the best cosine and the
best coverage by words, and how often `Recall.find` is right with its present floors.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.memory.word_search import Filters
from mmchat.wiring import open_hub

PROBES = Path(__file__).parent / "probes" / "recall.json"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    embedder = open_hub(kinds=("embed",)).embedder()
    probes = json.loads(PROBES.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        store = MemoryStore(Path(folder, "m.db"), Path(folder, "blobs"))
        for conversation in probes["conversations"]:
            session = store.create_session()
            for position, text in enumerate(conversation):
                store.add_turn(session.id, role="assistant" if position % 2 else "user", text=text)
        recall = Recall(store, lambda: embedder)
        recall.backfill()
        right_answered = 0
        for query, answer in probes["answered"]:
            found = recall.find(query, k=5)
            is_right = any(answer in each.text for each in found[:3])
            right_answered += is_right
            _show(recall, query, "ok" if is_right else "MISSED", len(found))
        print()
        silent = 0
        for query in probes["unanswered"]:
            found = recall.find(query, k=5)
            silent += not found
            _show(recall, query, "FOUND " + found[0].text[:40] if found else "silent", len(found))
        print(f"\nanswered: {right_answered} of {len(probes['answered'])} among the first three")
        print(f"unanswered: silent for {silent} of {len(probes['unanswered'])}")
        store.close()


def _show(recall: Recall, query: str, verdict: str, count: int) -> None:
    candidates = recall.look_up(query, Filters()).candidates.values()
    coverage = max((each.words for each in candidates), default=0.0)
    cosine = max((each.nearest for each in candidates), default=-1.0)
    print(f"coverage {coverage:.2f}  cosine {cosine:.2f}  {count}  {verdict:8}  {query}")


if __name__ == "__main__":
    main()
