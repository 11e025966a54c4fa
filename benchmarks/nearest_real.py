"""Do codes point at the nearest vectors of real sentences too?

    python -m benchmarks.nearest_real FILE.jsonl... [--most 20000]

Embeds every text of these rows with the default embedder, takes one in forty for questions, and compares what the
index finds with the naive full matrix, with all but the newest vectors coded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmchat.memory.database import DatabaseFile
from mmchat.memory.vectors import VectorIndex
from mmchat.wiring import open_hub

NEAREST = 100
HELD_OUT = 40


def texts_in(value: object) -> Iterator[str]:
    """All texts of several words."""
    if isinstance(value, str):
        if len(value) > 15 and " " in value:
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def main() -> None:
    """Embed, search, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--most", type=int, default=20_000)
    arguments = parser.parse_args()
    lines = [line for path in arguments.files for line in path.read_text(encoding="utf-8").splitlines()]
    texts = list(dict.fromkeys(text for line in lines for text in texts_in(json.loads(line))))
    texts = [texts[place] for place in np.random.default_rng(3).permutation(len(texts))[: arguments.most]]
    embedder = open_hub(kinds=("embed",)).embedder()
    if embedder is None:
        raise SystemExit("The embedder is not here; fetch it: mmchat models pull minilm")
    vectors = np.concatenate([embedder.embed(texts[start : start + 256]) for start in range(0, len(texts), 256)])
    queries, kept = vectors[::HELD_OUT], np.delete(vectors, np.s_[::HELD_OUT], axis=0)
    with tempfile.TemporaryDirectory() as folder:
        file = DatabaseFile(Path(folder) / "m.db")
        with file.write() as db:
            db.execute("INSERT INTO sessions (id, created_at, updated_at) VALUES ('s', '', '')")
            for place in range(len(kept)):
                db.execute(
                    "INSERT INTO turns (id, session_id, position, role, text, status, created_at, updated_at)"
                    " VALUES (?, 's', ?, 'user', '', 'complete', '', '')",
                    [f"t{place}", place],
                )
        index = VectorIndex(file, "turn", "m", coded_at_once=64)
        index.save(dict(enumerate(kept, start=1)))
        exact = kept.astype(np.float16).astype(np.float32) @ queries.T
        shares = []
        for query, cosines in zip(queries, exact.T, strict=True):
            nearest = np.argsort(-cosines)[:NEAREST] + 1
            shares.append(np.isin(nearest, index.nearest(query, limit=NEAREST).owners).mean())
        file.close()
    print(f"{len(kept):,} vectors, {len(queries)} questions, {embedder.name}")
    print(f"share of the exact first {NEAREST}: mean {np.mean(shares):.4f}, least {np.min(shares):.2f}")


if __name__ == "__main__":
    main()
