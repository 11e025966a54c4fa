"""Three hundred damaged, hostile or odd picture and sound files through `mmchat see` and `mmchat transcribe`.

python -m benchmarks.odd_files FOLDER [--seed 1] [--only NAME] [--batch 40]

The files are made in FOLDER, then read in batches by child processes that run the commands themselves. A child that
ends by a signal, takes too long or too much memory is ended, and its files are tried again in halves, until the one
at fault is known. The table says what each kind got.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.odd_pictures import FORMATS, Odd, odd_pictures, scene
from benchmarks.odd_sounds import odd_sounds, wav

MAX_RSS_BYTES = 2_500 << 20
"""The vision model with torch takes 0.8 GB of it, 2 hours of sound 0.5 GB."""
SECONDS_PER_FILE, SECONDS_PER_CHILD = 40, 120
"""Wall time, on a machine that others use too."""
_UNNAMED = re.compile(r"'[^']*'")


@dataclass(slots=True)
class Case:
    """A file on the disk and what became of it."""

    kind: str
    path: Path
    sense: str
    got: str = ""
    detail: str = ""


@dataclass(slots=True)
class Child:
    """One run of the command."""

    code: int
    out: str
    err: str
    peak_bytes: int
    seconds: float
    ended: str = ""
    """Why it was ended, if it was."""
    rows: dict[str, dict[str, object]] = field(default_factory=dict)


def make(folder: Path, seed: int) -> list[Case]:
    """Write all files, and what is no plain file at all."""
    cases: list[Case] = []
    for sense, odd in [("see", each) for each in odd_pictures(seed)] + [("hear", each) for each in odd_sounds(seed)]:
        cases.append(_written(folder, sense, odd, len(cases)))
    for sense, suffix, data in (("see", "png", FORMATS["png"]), ("hear", "wav", None)):
        content = data(scene(random.Random(seed))) if data is not None else wav(b"\1\2" * 16_000)
        cases += [Case(*each, sense) for each in _places(folder / sense, suffix, content)]
    return cases


def _written(folder: Path, sense: str, odd: Odd, number: int) -> Case:
    path = folder / sense / f"{number:03}-{odd.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(odd.data)
    return Case(odd.kind, path, sense)


def _places(folder: Path, suffix: str, data: bytes) -> Iterator[tuple[str, Path]]:
    """Names and places that are odd in themselves."""
    kind = "no plain file"
    (folder / f"folder.{suffix}").mkdir()
    yield kind, folder / f"folder.{suffix}"
    yield kind, folder / f"missing.{suffix}"
    if os.name == "posix":
        os.mkfifo(folder / f"pipe.{suffix}")
        yield kind, folder / f"pipe.{suffix}"
        (folder / f"dangling.{suffix}").symlink_to("nowhere")
        (folder / f"loop.{suffix}").symlink_to(f"loop.{suffix}")
        (folder / f"endless.{suffix}").symlink_to("/dev/zero")
        yield from ((kind, folder / f"{name}.{suffix}") for name in ("dangling", "loop", "endless"))
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(folder / f"socket.{suffix}"))
        yield kind, folder / f"socket.{suffix}"
        yield kind, Path("/dev/zero")
    (folder / f"sparse.{suffix}").touch()
    os.truncate(folder / f"sparse.{suffix}", 8 << 30)
    yield kind, folder / f"sparse.{suffix}"
    names = (
        *("-rf", "--json", "a\x1b]0;title\x07\x1b[2J", "two\nlines", "a\u202egnp", "x" * 240, 'it\'s "quoted"'),
        *("$(id)", "100%s{0}", "图片 🎞", "back\\slash", "..", " "),
    )
    for name in names:
        path = folder / "names" / f"{name}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        yield "an odd name", path
    raw = os.fsencode(folder / "names") + b"/\xff\xfe." + suffix.encode()
    Path(os.fsdecode(raw)).write_bytes(data)
    yield "an odd name", Path(os.fsdecode(raw))
    deep = folder.joinpath(*["d" * 100] * 10)
    deep.mkdir(parents=True)
    (deep / f"deep.{suffix}").write_bytes(data)
    yield "an odd name", deep / ".." / ("d" * 100) / f"deep.{suffix}"


def run_child(cases: Sequence[Case]) -> Child:
    """The command on these files, watched."""
    sense = cases[0].sense
    command = (
        [*("see", "--again", "--json")] if sense == "see" else [*("transcribe", "--json", "-m", "whisper-tiny.en")]
    )
    argv = [sys.executable, "-m", "mmchat", *command, "--", *(str(case.path) for case in cases)]
    limit_s = SECONDS_PER_CHILD + SECONDS_PER_FILE * len(cases)
    started = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
        peak, ended = 0, ""
        out, err = b"", b""
        while True:
            try:
                out, err = child.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _rss_bytes(child.pid))
                if peak > MAX_RSS_BYTES:
                    ended = f"more than {MAX_RSS_BYTES >> 20} MB"
                elif time.monotonic() - started > limit_s:
                    ended = f"more than {limit_s} s"
                if ended:
                    child.kill()
        result = Child(
            child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), peak,
            time.monotonic() - started, ended,
        )  # fmt: skip
    if not result.ended and result.code >= 0:
        try:
            rows = json.loads(result.out or "[]")
        except ValueError:
            result.ended = "no JSON"
        else:
            result.rows = {row["file"]: row for row in rows}
    return result


def _rss_bytes(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")
        return int(fields[1].split()[0]) << 10 if len(fields) > 1 else 0
    except OSError:
        return 0


def is_fault(child: Child) -> bool:
    """Whether it ended otherwise than it may."""
    is_odd_end = bool(child.ended) or child.code not in (0, 4)
    return is_odd_end or "Traceback" in child.err or "\x1b" in child.out + child.err


def settle(cases: Sequence[Case], child: Child) -> None:
    """Note for each file what it got: words, or the complaint."""
    complaints = [line for line in child.err.splitlines() if line.startswith("Error: ")]
    failed = [case for case in cases if str(case.path) not in child.rows]
    for case in cases:
        row = child.rows.get(str(case.path))
        if row is not None:
            case.got = "read"
            case.detail = str(row.get("caption") or row.get("text") or "")
    for case, complaint in zip(failed, complaints, strict=False):  # both in the order of the files
        case.got = _UNNAMED.sub("'…'", complaint.removeprefix("Error: "))
    for case in failed[len(complaints) :]:
        case.got = "nothing was said"


def run(cases: Sequence[Case], batch: int) -> list[tuple[Case, Child]]:
    """All of them; returns those at fault."""
    faults: list[tuple[Case, Child]] = []
    for sense in ("see", "hear"):
        mine = [case for case in cases if case.sense == sense]
        for start in range(0, len(mine), batch):
            faults += _run_together(mine[start : start + batch])
    return faults


def _run_together(cases: Sequence[Case]) -> list[tuple[Case, Child]]:
    """In one child; where that is at fault, in two of half as many."""
    child = run_child(cases)
    said = f"FAULT {child.ended or _end(child.code)}" if is_fault(child) else "fine"
    print(
        f"{cases[0].path.name} and {len(cases) - 1} more: {child.seconds:.0f} s, {child.peak_bytes >> 20} MB, {said}",
        file=sys.stderr,
        flush=True,
    )
    if not is_fault(child):
        settle(cases, child)
        return []
    if len(cases) == 1:
        cases[0].got = f"FAULT: {child.ended or _end(child.code)}"
        return [(cases[0], child)]
    half = len(cases) // 2
    return [*_run_together(cases[:half]), *_run_together(cases[half:])]


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def print_table(cases: Sequence[Case]) -> None:
    """One row a kind: how many, and how often it got what."""
    print("| sense | kind | files | what they got |\n|---|---|---|---|")
    for sense in ("see", "hear"):
        for kind in dict.fromkeys(case.kind for case in cases if case.sense == sense):
            mine = [case for case in cases if case.sense == sense and case.kind == kind]
            got = Counter(case.got for case in mine)
            words = "; ".join(f"{count} × {what}" for what, count in got.most_common())
            print(f"| {sense} | {kind} | {len(mine)} | {words} |")


def main() -> int:
    """Make, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="files with this in sense, kind and name; others keep what they got")
    parser.add_argument("--batch", type=int, default=40)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.folder / "odd", ignore_errors=True)
    folder = arguments.folder / "odd"
    (folder / "see").mkdir(parents=True)
    (folder / "hear").mkdir()
    cases = make(folder, arguments.seed)
    results_path = arguments.folder / "results.json"
    wanted = [case for case in cases if arguments.only in f"{case.sense} {case.kind} {case.path.name}"]
    faults = run(wanted, arguments.batch)
    known = json.loads(results_path.read_text(encoding="utf-8")) if results_path.is_file() and arguments.only else {}
    known |= {ascii(str(case.path)): case.got for case in wanted}
    results_path.write_text(json.dumps(known, indent=1), encoding="utf-8")
    for case in cases:
        case.got = known.get(ascii(str(case.path)), "")
    print_table([case for case in cases if case.got])
    print(f"\n{len(wanted)} files, {len(faults)} at fault")
    for case, child in faults:
        print(f"{case.path}: {case.got}\n{child.err[-1500:]}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
