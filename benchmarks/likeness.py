"""Which questions a report takes for alike: pairs that it puts into one group, against pairs that ask the same.

    python benchmarks/likeness.py

Questions to a shop that its documents do not answer, each in several wordings, and a few others. English and Chinese
pairs are counted apart: what asks the same in the other language is not looked for.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

from mmchat.chat.report import make_report
from mmchat.memory.recall import Recall
from mmchat.memory.report import Scope
from mmchat.memory.store import MemoryStore
from mmchat.script import is_mostly_chinese
from mmchat.wiring import open_hub

SAME: tuple[tuple[str, ...], ...] = (
    ("Do you ship to Norway?", "Can you deliver to Norway?", "I live in Oslo, do you send parcels to Norway?"),
    ("Which bulb fits the Heron?", "What kind of bulb does the Heron take?", "What bulb do I need for the Heron lamp?"),
    ("Do you have a shop in Rome?", "Is there a store in Rome?"),
    ("Can I pay with bitcoin?", "Do you accept bitcoin?", "Is payment by bitcoin possible?"),
    ("How heavy is the floor lamp?", "What does the floor lamp weigh?"),
    ("Do you have gift wrapping?", "Can you wrap it as a present?"),
    ("Who designed the lamps?", "What is the name of the designer?"),
    ("Is the wood from sustainable forests?", "Is your wood sustainable?"),
    ("Do you hire?", "Are there any open jobs at your company?"),
    ("Can I rent a lamp for a wedding?", "Do you rent out lamps for events?"),
    ("I want my money back",),
    ("The lamp is broken",),
    ("Where is my parcel?",),
    ("How long is the guarantee?",),
    ("你们送货到挪威吗？", "可以寄到挪威吗？"),
    ("Heron 用什么灯泡？", "Heron 配哪种灯泡？"),
    ("你们在罗马有店吗？", "罗马有没有门店？"),
    ("可以用比特币付款吗？", "支持比特币支付吗？"),
    ("落地灯有多重？", "落地灯重量是多少？"),
    ("可以包装成礼物吗？", "有礼品包装吗？"),
    ("这些灯是谁设计的？", "设计师是谁？"),
    ("木材是可持续的吗？", "木头来自可持续的森林吗？"),
    ("你们招人吗？", "有招聘吗？"),
    ("可以租灯吗？", "婚礼可以租灯用吗？"),
    ("我要退款",),
    ("灯坏了",),
    ("包裹在哪里？",),
    ("保修多久？",),
)


def main() -> None:
    """Print how many pairs of each language are put together rightly and wrongly, by words and with vectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    embedder = open_hub(kinds=("embed",)).embedder()
    name = embedder.name if embedder is not None else ""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(MemoryStore(Path(folder, "m.db"), Path(folder, "b"))) as store,
    ):
        for text in (text for group in SAME for text in group):
            question = store.add_user_turn(store.create_session().id, text)
            row = store.start_reply(question.session_id, parent_id=question.id, model="", engine="role", text="")
            store.finish_reply(row.id, "I do not know.", status="complete", prepared="unknown")
        _show("words alone", store)
        Recall(store, lambda: embedder).backfill()
        _show(f"words and {name}", store)
        store.close()


def _show(name: str, store: MemoryStore) -> None:
    found: dict[str, int] = {}
    for place, gap in enumerate(make_report(store, Scope(), datetime.now(UTC)).gaps):
        found |= {turn.text: place for turn in store.turns_with_ids(gap.turns)}
    meant = {text: place for place, group in enumerate(SAME) for text in group}
    for language, is_chinese in (("English", False), ("Chinese", True)):
        pairs = list(combinations([text for text in meant if is_mostly_chinese(text) is is_chinese], 2))
        right = sum(found[a] == found[b] for a, b in pairs if meant[a] == meant[b])
        wrong = sum(found[a] == found[b] for a, b in pairs if meant[a] != meant[b])
        same = sum(meant[a] == meant[b] for a, b in pairs)
        print(
            f"{name:20} {language}: {right:2} of {same} pairs that ask the same, {wrong} of {len(pairs) - same} others"
        )


if __name__ == "__main__":
    main()
