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
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.page import PAGE, RESULTS, page

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them."""

    about: str
    arguments: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Option → a folder that may be given and the path below it; left out where the folder is not given."""
    is_report: bool = True
    """Its JSON is a `figures.Report` and stands on the page."""
    module: str = ""
    """Absent: its name."""


BENCHMARKS = {
    "start": Benchmark("until --help is printed, a letter is echoed, the first token comes"),
    "imports": Benchmark("what a start imports, and how long each takes"),
    "reply": Benchmark("a session beside the bare engine, turn 1 to 60", ("--turns", "60")),
    "read_ahead": Benchmark("the first token of a message that was read while it was typed"),
    "talk": Benchmark(
        "replies beside llm, llama.cpp's server and transformers",
        places={"--keep": ("peers", ""), "--wheels": ("peers", "wheels"), "--llama-server": ("peers", "llama-server")},
        module="peers.talk",
    ),
    "engine_settings": Benchmark("settings of llama.cpp beside those of mmchat"),
    "file_formats": Benchmark("formats of the default model's file: perplexity and speed"),
    "torch_engine": Benchmark("settings of the torch engine, beside llama.cpp"),
    "hear": Benchmark(
        "speech beside the bare engines",
        ("-m", "whisper-tiny.en"),
        places={"--data": ("data", "speech/ljspeech.jsonl")},
    ),
    "see": Benchmark("pictures beside bare open_clip", places={"--data": ("data", "images/coco-cc.jsonl")}),
    "remember": Benchmark("recall, search and opening among 1,000 to 100,000 turns", places={"--store": ("store", "")}),
    "remember_million": Benchmark(
        "the same among a million turns (half an hour to make them)",
        ("--turns", "1000000", "--without-peer", "--opened", "1"),
        places={"--store": ("store", "")},
        module="remember",
    ),
    "train": Benchmark("finetuning beside plain TRL"),
    "score": Benchmark(
        "scoring in batches, one by one and beside lm-evaluation-harness", places={"--data": ("data", "")}
    ),
    "app": Benchmark("frames, processor time and echo while a reply streams"),
    "check": Benchmark("counts of work, compared with their limits; for CI", is_report=False),
    "wording": Benchmark("how models are told what was seen, heard, remembered: quality", is_report=False),
    "faults": Benchmark(
        "kills, power cuts, damaged files", ("--kills", "50", "--cuts", "50", "--damages", "75"), is_report=False
    ),
}
REPORTS = [name for name, each in BENCHMARKS.items() if each.is_report]


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


def run(name: str, out: Path, folders: dict[str, str]) -> int:
    """Run one and keep what it says."""
    benchmark = BENCHMARKS[name]
    arguments = list(benchmark.arguments)
    for option, (folder, below) in benchmark.places.items():
        if folders[folder]:
            arguments += [option, str(Path(folders[folder]) / below)]
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
    parser.add_argument("--store", default="", help="folder where the made stores of 'remember' are kept")
    parser.add_argument("--peers", default="", help="folder where the environments of others are kept")
    arguments = parser.parse_args()
    if not arguments.names:
        for name, each in BENCHMARKS.items():
            print(f"{name:16} {each.about}")
        return 0
    if arguments.names == ["page"]:
        PAGE.write_text(page(RESULTS, REPORTS), encoding="utf-8")
        return 0
    names = list(BENCHMARKS) if "all" in arguments.names else arguments.names
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    (out / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    failed = []
    for name in names:
        print(f"\n== {name}: {BENCHMARKS[name].about}", flush=True)
        code = run(name, out, {"data": arguments.data, "store": arguments.store, "peers": arguments.peers})
        if code:
            failed.append(name)
    print(f"\n{len(names) - len(failed)} of {len(names)} went well; figures are in {out}")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
