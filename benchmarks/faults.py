"""What is lost when things go wrong?

    python -m benchmarks.faults [--kills 200] [--cuts 200] [--damages 300] [--seconds 30] [--seed N] [--json FILE]

Kills programs that write, freezes them and tears what a power cut would tear, lets two and four write at once,
damages files and recovers them; after each, every turn that was told to be stored is looked for. Runs from the
folder of the sources, with the tests beside it. The machine's own disk is used: /tmp, or TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.crash.fault_runs import FaultRow, damage, kills, power_cuts, together


def main() -> None:
    """Run the faults that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long programs write at once; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs: list[Callable[[Path], FaultRow]] = []
    if options.kills:
        runs.append(lambda folder: kills(folder, options.kills, options.seed))
    if options.cuts:
        runs.append(lambda folder: power_cuts(folder, options.cuts, options.seed))
    if options.seconds:
        runs += [
            lambda folder: together(folder, 2, options.seconds),
            lambda folder: together(folder, 4, options.seconds),
        ]
    if options.damages:
        runs.append(lambda folder: damage(folder, options.damages, options.seed))
    rows = []
    print("| fault | times | turns looked for | lost | unsound | told | s |\n|---|---|---|---|---|---|---|")
    for run in runs:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            row = run(Path(folder))
        rows.append(row)
        told = ", ".join(f"{what}: {count:,}" for what, count in row.details.items())
        seconds = time.monotonic() - started
        figures = [row.fault, row.times, f"{row.turns:,}", len(row.lost), len(row.flaws), told, f"{seconds:.0f}"]
        print(f"| {' | '.join(map(str, figures))} |", flush=True)
        for each in [*row.lost[:5], *row.flaws[:5]]:
            print(f"    {each}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
