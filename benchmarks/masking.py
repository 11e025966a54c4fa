"""How well personal data is found: precision and recall of each kind on sentences of our own.

    python -m benchmarks.masking

A piece of data counts as found where all its digits and letters are masked under its kind. What is masked and holds
none of it is a false alarm. Sentences: `benchmarks/probes/masking.jsonl`, English and Chinese, a third of them without
any personal data (orders, prices, dates, versions, addresses of machines).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmchat.masking import find_personal_data
from mmchat.role_values import MASK_KINDS

PROBES = Path(__file__).parent / "probes" / "masking.jsonl"


@dataclass
class Counts:
    """What came out for one kind, or for one language."""

    found: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Read one sentence."""
        text, findings = row["text"], find_personal_data(row["text"])
        for each in row["data"]:
            start = text.index(each["value"])
            end = start + len(each["value"])
            is_found = any(
                one.kind == each["kind"] and one.start <= start + 1 and one.end >= end  # a bracket may stay
                for one in findings
            )
            (self.found if is_found else self.missed)[each["kind"]] += 1
            if not is_found:
                self.wrong.append(f"missed {each['kind']}: {text}")
        for one in findings:
            shown = text[one.start : one.end]
            if not any(
                each["kind"] == one.kind and _overlaps(text, each["value"], one.start, one.end) for each in row["data"]
            ):
                self.false[one.kind] += 1
                self.wrong.append(f"false {one.kind} '{shown}': {text}")


def _overlaps(text: str, value: str, start: int, end: int) -> bool:
    at = text.index(value)
    return at < end and start < at + len(value)


def lines(counts: Counts) -> Iterator[str]:
    """The table."""
    yield "| kind | pieces | recall | false alarms | precision |"
    yield "|---|---|---|---|---|"
    for kind in MASK_KINDS:
        found, missed, false = counts.found[kind], counts.missed[kind], counts.false[kind]
        recall = f"{100 * found / max(1, found + missed):.1f}"
        yield f"| {kind} | {found + missed} | {recall} | {false} | {100 * found / max(1, found + false):.1f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PROBES)
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.data.read_text(encoding="utf-8").splitlines()]
    find_personal_data("+1 212 736 5000")  # what is imported at the first number is not counted
    for language in ("en", "zh"):
        counts = Counts()
        chosen = [row for row in rows if row["language"] == language]
        began = time.process_time()
        for row in chosen:
            counts.add(row)
        each_ms = 1000 * (time.process_time() - began) / len(chosen)
        print(
            f"{language}: {len(chosen)} sentences, {sum(not row['data'] for row in chosen)} without personal data, "
            f"{each_ms:.2f} ms of processor time each"
        )
        print("\n".join(lines(counts)))
        print("\n".join(counts.wrong))


if __name__ == "__main__":
    main()
