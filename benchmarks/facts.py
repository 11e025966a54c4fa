"""How often is what is remembered of a message right, and how much of what could be remembered is?

Reads `benchmarks/probes/facts.txt`: messages with what is to be remembered in [[ ]], and messages that hold nothing.
Half of them, drawn by a hash of the text, were for tuning the rules; the other half only for the figures.
`facts_later.txt` was written when the rules stood, and measured once (34 found, 31 right, 40 wanted) before they were
sharpened by it; `facts_last.txt` after that, and measured last.

    python benchmarks/facts.py [--half tuning|testing|later|last|all] [--show]
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

from mmchat.chat.facts import find_facts
from mmchat.script import is_mostly_chinese

PROBES = Path(__file__).parent / "probes" / "facts.txt"
LATER, LAST = PROBES.with_name("facts_later.txt"), PROBES.with_name("facts_last.txt")
HALVES = ("tuning", "testing", "later", "last")


@dataclass(frozen=True)
class Probe:
    """A message and what is to be remembered of it."""

    text: str
    wanted: tuple[str, ...]
    written: str = ""

    @property
    def half(self) -> str:
        """Which half it belongs to, or when it was written."""
        return self.written or HALVES[hashlib.sha256(self.text.encode()).digest()[0] % 2]

    @property
    def language(self) -> str:
        """Of the message."""
        return "zh" if is_mostly_chinese(self.text) else "en"


def load_probes(path: Path = PROBES) -> list[Probe]:
    """All probes of the file."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        mark, _, marked = line.partition(" ")
        if mark in ("+", "-"):
            marked = marked.replace("\\n", "\n")
            wanted = tuple(re.findall(r"\[\[(.+?)\]\]", marked))
            found.append(Probe(re.sub(r"\[\[|\]\]", "", marked), wanted, {LATER: "later", LAST: "last"}.get(path, "")))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=[*HALVES, "all"], default="all")
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    arguments = parser.parse_args()
    find_facts("I live in Lyon. 我住在成都。")  # compiles the patterns
    find_facts("i live in lyon")
    print(f"{'':16}{'messages':>9}{'holding':>9}{'found':>7}{'right':>7}{'wanted':>8}{'precision':>11}{'recall':>8}")
    probes = [
        probe
        for probe in (*load_probes(), *load_probes(LATER), *load_probes(LAST))
        if arguments.half in ("all", probe.half)
    ]
    began = time.perf_counter()
    results = [(probe, [fact.text for fact in find_facts(probe.text)]) for probe in probes]
    took_s = time.perf_counter() - began
    for half in HALVES:
        for language in ("en", "zh", ""):
            chosen = [each for each in results if each[0].half == half and language in ("", each[0].language)]
            if not chosen:
                continue
            found = sum(len(texts) for _, texts in chosen)
            right = sum(any(want in text for want in probe.wanted) for probe, texts in chosen for text in texts)
            wanted = sum(len(probe.wanted) for probe, _ in chosen)
            met = sum(any(want in text for text in texts) for probe, texts in chosen for want in probe.wanted)
            holding = sum(bool(probe.wanted) for probe, _ in chosen)
            print(
                f"{half + ' ' + (language or 'all'):16}{len(chosen):9}{holding:9}{found:7}{right:7}{wanted:8}"
                f"{right / max(found, 1):11.1%}{met / max(wanted, 1):8.1%}"
            )
    print(f"{1000 * took_s / len(results):.2f} ms a message")
    if arguments.show:
        for probe, texts in results:
            wrong = [text for text in texts if not any(want in text for want in probe.wanted)]
            missed = [want for want in probe.wanted if not any(want in text for text in texts)]
            if wrong or missed:
                print(f"wrong {wrong} missed {missed}: {probe.text!r}")


if __name__ == "__main__":
    main()
