"""How fast is memory when it is large? Recall, search and opening among 1,000 to 1,000,000 turns, beside `llm logs`.

    python -m benchmarks.remember [--turns 1000 10000 100000] [--store FOLDER] [--json FILE]

Stores are made (`benchmarks/made_store.py`; a million turns take half an hour) in a folder that goes at the end, or in
FOLDER, where they are used again. Whole commands are compared interleaved, each round with another word.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.figures import Bar, Cell, Report, Table, interleaved, ratio_of
from benchmarks.made_store import make
from benchmarks.peers.environment import PeerMissing
from benchmarks.remember_measure import FIRST, Figures
from benchmarks.remember_peer import LISTED, LlmLogs
from mmchat import paths
from mmchat.memory.store import MemoryStore
from mmchat.memory.turn_search import search_turns

SIZES = (1_000, 10_000, 100_000)
RECALL_BARS = {100_000: 20.0, 1_000_000: 60.0}
MANY = 20
"""Of so many measurements on, the 95th percentile is told."""
OPEN_BAR_S, OPENED_TURNS = 0.5, 10_000
RECALLED = (
    "recall",
    "recall by words alone",
    "nearest 100 turns",
    "of the exact nearest 100 turns, %",
    "nearest 100 pictures",
    "of the exact nearest 100 pictures, %",
    "embedding a question",
    FIRST,
    "memory that recall takes, MB",
    "file, MB",
)
SEARCHED = (
    "search as one types, English",
    "search as one types, Chinese",
    "list of conversations as one types, English",
    "list of conversations as one types, Chinese",
    "list of 200 conversations",
)
OPENED = (
    "turns of the longest conversation",
    "its newest turns painted, in an app that has just started",
    "first paint on a terminal",
    "all its turns read, in that app",
)
SEARCH, RECALL, PEER = "mmchat sessions search WORD", "mmchat recall WORD", "llm logs -q WORD"
OWN_QUERY, PEER_QUERY = "the query alone, mmchat", "the query alone, llm"


def measured(home: Path, queries: int, opened: int) -> Figures:
    """What one store takes, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.remember_measure", "--queries", str(queries), "--opened", str(opened)]
    told = subprocess.run(command, env=variables(home), check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: Figures = json.loads(told.splitlines()[-1])
    return figures


def variables(home: Path) -> dict[str, str]:
    """Of the environment, for a program whose home that is; the weights stay where they are."""
    return {**os.environ, "MMCHAT_HOME": str(home), "MMCHAT_WEIGHTS": str(paths.weights_dir())}


def compared(home: Path, peer: LlmLogs, rounds: int) -> dict[str, list[float]]:
    """Seconds of whole commands and of queries alone, one after the other with the same words."""
    with closing(MemoryStore(home / "data" / "mmchat.db", home / "data" / "blobs")) as store:
        words = chosen_words(store, rounds + 1)
        at = {name: iter(words) for name in (SEARCH, RECALL, PEER, OWN_QUERY, PEER_QUERY)}

        def command(name: str, *arguments: str) -> float:
            started = time.perf_counter()
            program = [sys.executable, "-m", "mmchat", *arguments, next(at[name])]
            subprocess.run(program, env=variables(home), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            return time.perf_counter() - started

        def command_of_peer() -> float:
            started = time.perf_counter()
            peer.run(next(at[PEER]))
            return time.perf_counter() - started

        def query() -> float:
            started = time.perf_counter()
            search_turns(store, next(at[OWN_QUERY]), limit=LISTED)
            return time.perf_counter() - started

        tasks = {
            SEARCH: lambda: command(SEARCH, "sessions", "search", "--limit", str(LISTED)),
            RECALL: lambda: command(RECALL, "recall"),
            PEER: command_of_peer,
            OWN_QUERY: query,
            PEER_QUERY: lambda: peer.query(next(at[PEER_QUERY]))[0],
        }
        return interleaved(tasks, rounds, warm_up=1)


def chosen_words(store: MemoryStore, count: int) -> list[str]:
    """English words of some letters, out of turns here and there."""
    rng = np.random.default_rng(8)
    last = store.file.rows("SELECT max(number) AS last FROM turns")[0]["last"]
    words: list[str] = []
    while len(words) < count:
        (row,) = store.file.rows("SELECT text FROM turns WHERE number = ?", (int(rng.integers(1, last)),))
        own = [word.strip(".").lower() for word in row["text"].split() if word.isascii() and len(word) > 6]
        words += own[:1]
    return words


def rows_of(names: tuple[str, ...], found: dict[int, Figures]) -> list[list[Cell]]:
    """A row for each figure, a column for each store: the median, and the 95th percentile of many."""

    def cell(name: str, values: list[float] | None) -> Cell:
        if not values:
            return None
        if name.endswith("%"):
            return f"{statistics.mean(values):.1f}"
        middle = statistics.median(values)
        if len(values) >= MANY:
            return f"{middle:,.1f} / {np.quantile(values, 0.95):,.1f}"
        return f"{middle:,.1f}" if middle < 100 else f"{middle:,.0f}"

    return [[name, *(cell(name, figures.get(name)) for figures in found.values())] for name in names]


def report_of(found: dict[int, Figures], beside: dict[int, dict[str, list[float]]], peer: str) -> Report:
    """Tables, bars and ratios."""
    heads = ("", *(f"{turns:,} turns" for turns in found))
    report = Report(
        "Remembering",
        "Made-up stores: words are real, vectors are clustered as those of real sentences are, a picture in ten turns."
        " Milliseconds on the clock, the median / the 95th percentile.",
    )
    note = (
        "Recall is without embedding the question, which a row of its own tells; its vectors are made up. "
        "The first questions of a program read much of the file for the first time."
    )
    report.tables += [
        Table("Recall", heads, rows_of(RECALLED, found), note),
        Table("Search", heads, rows_of(SEARCHED, found), "At each letter of two words; three hits of a conversation."),
        Table("Opening the longest conversation", heads, rows_of(OPENED, found), "Milliseconds from its choice on."),
    ]
    if beside:
        seconds = [
            [
                name,
                *(f"{1000 * statistics.median(each[name]):,.0f}" if name in each else None for each in beside.values()),
            ]
            for name in (SEARCH, RECALL, PEER, OWN_QUERY, PEER_QUERY)
        ]
        sizes = ("", *(f"{turns:,} turns" for turns in beside))
        report.tables.append(Table(f"Beside {peer}, the same texts, {LISTED} hits", sizes, seconds, "Milliseconds."))
        for turns, each in beside.items():
            at = f"among {turns:,} turns"
            report.ratios += [
                ratio_of(f"`{SEARCH}` {at}", f"`{PEER}`", each[SEARCH], each[PEER], "s"),
                ratio_of(f"`{RECALL}` {at}", f"`{PEER}`", each[RECALL], each[PEER], "s"),
                ratio_of(f"search {at}, the query alone", f"`{PEER}`", each[OWN_QUERY], each[PEER_QUERY], "s"),
            ]
    for turns, figures in found.items():
        if turns in RECALL_BARS:
            # All that were asked: a user's first questions count too.
            late = float(np.quantile(figures[FIRST] + figures["recall"], 0.95))
            report.bars.append(Bar(f"recall among {turns:,} turns, p95", RECALL_BARS[turns], late, "ms"))
        if figures["turns of the longest conversation"][0] >= OPENED_TURNS:
            paint_s = statistics.median(figures["first paint on a terminal"]) / 1000
            what = f"a conversation of {OPENED_TURNS:,} turns among {turns:,}, first paint"
            report.bars.append(Bar(what, OPEN_BAR_S, paint_s, "s"))
    report.samples = {str(turns): figures | beside.get(turns, {}) for turns, figures in found.items()}
    return report


def main() -> None:
    """Make what is missing, measure, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, nargs="+", default=SIZES)
    parser.add_argument("--store", type=Path, help="keep the stores here, and use those that are here")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--opened", type=int, default=3, help="how often the longest conversation is opened")
    parser.add_argument("--rounds", type=int, default=5, help="of whole commands")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--make-only", action="store_true", help="make the stores and measure nothing")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[int, Figures] = {}
    beside: dict[int, dict[str, list[float]]] = {}
    name, missing = "llm", ""
    with tempfile.TemporaryDirectory() as folder:
        for turns in arguments.turns:
            home = (arguments.store or Path(folder)).absolute() / str(turns)
            home.mkdir(parents=True, exist_ok=True)
            make(home, turns)
            try:
                if not arguments.without_peer:
                    with closing(LlmLogs(home)) as peer:
                        name = f"llm {peer.version}"
                        if not arguments.make_only:
                            beside[turns] = compared(home, peer, arguments.rounds)
            except PeerMissing as error:
                missing = str(error)
            if not arguments.make_only:
                found[turns] = measured(home, arguments.queries, arguments.opened)
    if not arguments.make_only:
        report = report_of(found, beside, name)
        report.notes += [missing] if missing else []
        report.finish(arguments.json)


if __name__ == "__main__":
    main()
