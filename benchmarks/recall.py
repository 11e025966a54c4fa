"""Evidence recall on memory rows: the share of the turns that answer a question among the first k found.

    python benchmarks/recall.py --data ../shared/data/memory/locomo.dev.jsonl

Each row's conversation gets a store of its own. Reported over all questions: words alone, words and
vectors, the questions for which nothing was returned, and milliseconds a query.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from mmchat.memory.import_rows import read_conversations, store_conversations
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.wiring import open_hub


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON Lines of memory rows with questions")
    parser.add_argument("-k", type=int, default=10)
    arguments = parser.parse_args()
    embedder = open_hub(kinds=("embed",)).embedder()
    totals: dict[str, list[int]] = {"words": [0, 0, 0], "words+vectors": [0, 0, 0]}
    times_ms: dict[str, list[float]] = {name: [] for name in totals}
    for line in arguments.data.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            one = Path(folder, "row.jsonl")
            one.write_text(line, encoding="utf-8")
            store = MemoryStore(Path(folder, "m.db"), Path(folder, "blobs"))
            _, ids = store_conversations(store, read_conversations(one))
            recall = Recall(store, lambda: embedder)
            started = time.perf_counter()
            count = recall.backfill()
            print(f"{row['id']}: {count} turns embedded in {time.perf_counter() - started:.1f} s")
            for question in row["questions"]:
                wanted = {ids[each] for each in question["evidence"] if each in ids}
                for name, total in totals.items():
                    started = time.perf_counter()
                    found = recall.find(question["question"], k=arguments.k, use_vectors="vectors" in name)
                    times_ms[name].append(1000 * (time.perf_counter() - started))
                    total[0] += len(wanted.intersection(each.turn for each in found))
                    total[1] += len(wanted)
                    total[2] += not found
            store.close()
    for name, (hits, wanted_count, empty) in totals.items():
        times = sorted(times_ms[name])
        print(
            f"{name}: recall@{arguments.k} {100 * hits / wanted_count:.1f} ({hits} of {wanted_count}),"
            f" nothing returned for {empty} of {len(times)} questions,"
            f" {statistics.median(times):.1f} ms median, {times[int(0.95 * len(times))]:.1f} ms p95"
        )


if __name__ == "__main__":
    main()
