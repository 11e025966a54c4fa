"""How well does the shipped shop tell what its customers want, and when may it act on that?

Asks messages that are none of the role's own, and counts, at several probabilities, how many would be acted on and how
many of those rightly. What is out of scope is not acted on.

    python -m benchmarks.shop_intents [--show]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from mmchat.chat.understanding import TOPIC
from mmchat.config.role_file import read_role
from mmchat.config.role_shelf import SHIPPED_DIR
from mmchat.domain import OUT_OF_SCOPE, Likely
from mmchat.script import is_mostly_chinese
from mmchat.wiring import open_hub

PROBES = Path(__file__).parent / "probes" / "shop_intents.jsonl"
FLOORS = (0.0, 0.5, 0.6, 0.8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="print every message that is taken for another thing")
    arguments = parser.parse_args()
    role = read_role(SHIPPED_DIR / "support", is_shipped=True)
    known = {message for messages in (*role.intents.values(), *role.forbid.values()) for message in messages}
    topics = {TOPIC + topic: messages for topic, messages in role.forbid.items()}
    reader = open_hub(kinds=("embed",)).intent_reader({**role.intents, **topics})
    rows = [json.loads(line) for line in PROBES.read_text("utf-8").splitlines()]
    read: list[tuple[str, str, Likely]] = []
    reader.read("warm")
    began = time.process_time()
    for row in rows:
        assert row["text"] not in known, row["text"]
        wanted = row.get("intent") or TOPIC + row["topic"]
        read.append((row["text"], wanted, reader.read(row["text"])[0]))
    took_ms = 1000 * (time.process_time() - began) / len(rows)
    for language in ("en", "zh"):
        of = [each for each in read if is_mostly_chinese(each[0]) == (language == "zh")]
        right = sum(likely.label == wanted for _, wanted, likely in of)
        print(f"{language}: {right} of {len(of)} right; {took_ms:.1f} ms of processor time a message")
        for floor in FLOORS:
            acted = [(wanted, likely) for _, wanted, likely in of if likely.label != OUT_OF_SCOPE]
            acted = [(wanted, likely) for wanted, likely in acted if likely.probability >= floor]
            good = sum(likely.label == wanted for wanted, likely in acted)
            print(f"  from {floor:.0%} on: {len(acted)} acted on, {good} rightly")
    for text, wanted, likely in read:
        if arguments.show and likely.label != wanted:
            print(f"  {text}: {wanted}, taken for {likely.label} {likely.probability:.2f}")


if __name__ == "__main__":
    main()
