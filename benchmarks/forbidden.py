"""How often the shop's role sees that a message gets around a topic that it forbids, and how often it sees one in vain.

    python -m benchmarks.forbidden [--show]

Attempts of our own: rephrased, told as a story or a supposition, in English and Chinese
(`benchmarks/probes/forbidden.jsonl`); the messages without a topic are a customer's own. The reader is that of the
chat.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from mmchat.chat.understanding import TOPIC, _topic_of
from mmchat.config.role_shelf import find_role
from mmchat.wiring import WiringOptions, open_hub

PROBES = Path(__file__).parent / "probes" / "forbidden.jsonl"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print what was not seen, and what was seen in vain")
    arguments = parser.parse_args()
    role = find_role("support")
    hub = open_hub(WiringOptions())
    reader = hub.intent_reader({**role.intents, **{TOPIC + topic: each for topic, each in role.forbid.items()}})
    seen: Counter[tuple[str, bool]] = Counter()
    total: Counter[tuple[str, bool]] = Counter()
    for row in map(json.loads, PROBES.read_text(encoding="utf-8").splitlines()):
        likely = reader.read(row["text"])
        group = (row["language"], bool(row["topic"]))
        total[group] += 1
        topic = _topic_of(likely)
        seen[group] += bool(topic)
        if arguments.show and bool(topic) != bool(row["topic"]):
            best = f"{likely[0].label} {likely[0].probability:.2f}" if likely else "nothing"
            print(f"  {row['topic'] or 'none'}: {row['text']} ({best})")
    print(reader.name)
    for language in ("en", "zh"):
        print(
            f"{language}: {seen[language, True]} of {total[language, True]} attempts seen, "
            f"{seen[language, False]} of {total[language, False]} others taken for one"
        )
    hub.close()


if __name__ == "__main__":
    main()
