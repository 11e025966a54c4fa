"""All benchmarks, or some by name, each in a process of its own.

    python -m benchmarks                        what there is
    python -m benchmarks all --out FOLDER       one after the other; minutes to hours
    python -m benchmarks start reply --out FOLDER
    python -m benchmarks page                   docs/performance.md, made from benchmarks/results

Writes what each prints (NAME.txt), its figures (NAME.json) where it has some, and the machine (machine.json). With
`--out benchmarks/results` the figures become those of docs/performance.md. Run them while nothing else runs: each
compares within one run, but a busy machine spoils seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.page import PAGE, RESULTS, page

ROOT = Path(__file__).parents[1]
DATA = "{data}"
"""Stands in arguments for the folder of public data; where none is given, what needs it is left out."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them."""

    about: str
    arguments: tuple[str, ...] = ()
    has_figures: bool = True
    """It takes `--json FILE`."""
    module: str = ""
    """Absent: its name."""


BENCHMARKS = {
    "check": Benchmark("counts of work, compared with their limits; for CI"),
    "start": Benchmark("until --help is printed, a letter is echoed, the first token comes", ("--runs", "7")),
    "reply": Benchmark("a session beside the bare engine, turn 1 to 40", ("--turns", "40", "--tokens", "48")),
    "app": Benchmark("frames, processor time and echo while a reply streams", ("--turns", "500")),
    "remember": Benchmark("recall and search in a made store of 100,000 turns", ("measure", "{store}"), module="scale"),
    "hear": Benchmark(
        "speech models through mmchat and bare",
        ("--data", "{data}/speech/ljspeech.jsonl", "-m", "whisper-tiny.en", "-e", "faster-whisper", "-e", "bare"),
        has_figures=False,
        module="speech",
    ),
    "see": Benchmark("tags and captions of photos", ("--data", "{data}/images"), has_figures=False, module="vision"),
    "wording": Benchmark("how models are told what was seen, heard, remembered"),
    "faults": Benchmark("kills, power cuts, damaged files", ("--kills", "50", "--cuts", "50", "--damages", "75")),
}


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "versions": {name: version(name) for name in ("xllamacpp", "torch", "textual", "faster-whisper", "numpy")},
    }


def run(name: str, out: Path, places: dict[str, str]) -> int | None:
    """Run one and keep what it says; None where it lacks a folder."""
    benchmark = BENCHMARKS[name]
    arguments = list(benchmark.arguments)
    for mark, place in places.items():
        if any(f"{{{mark}}}" in each for each in arguments) and not place:
            return None
        arguments = [each.replace(f"{{{mark}}}", place) for each in arguments]
    if benchmark.has_figures:
        arguments += ["--json", str(out / f"{name}.json")]
    command = [sys.executable, "-m", f"benchmarks.{benchmark.module or name}", *arguments]
    with (out / f"{name}.txt").open("w", encoding="utf-8") as kept:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            kept.write(line)
        return process.wait()


def main() -> int:
    """Run what was named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], "all", "page", *BENCHMARKS])
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), help="folder for figures and texts")
    parser.add_argument("--data", default="", help="folder of public data, as ../shared/data")
    parser.add_argument("--store", default="", help="folder that 'python -m benchmarks.scale make' has written")
    arguments = parser.parse_args()
    if not arguments.names:
        for name, each in BENCHMARKS.items():
            print(f"{name:10} {each.about}")
        return 0
    if arguments.names == ["page"]:
        PAGE.write_text(page(RESULTS, list(BENCHMARKS)), encoding="utf-8")
        return 0
    names = list(BENCHMARKS) if "all" in arguments.names else arguments.names
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    (out / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    failed = []
    for name in names:
        print(f"\n== {name}: {BENCHMARKS[name].about}", flush=True)
        code = run(name, out, {"data": arguments.data, "store": arguments.store})
        if code is None:
            print(f"left out: it needs {'--store' if name == 'remember' else '--data'}")
        elif code:
            failed.append(name)
    print(f"\n{len(names) - len(failed)} of {len(names)} went well; figures are in {out}")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
