"""How well words find the photo they describe, among many photos and a thousand turns of talk. Prints JSON.

    python benchmarks/picture_recall.py --images ../shared/data/images --talk ../shared/data/memory/locomo.dev.jsonl
        [--store DIR]

Two stores are made with the default models: one with the photos of coco-cc alone, one with these and those of
flickr8k-dev among the first 1,000 turns of the talk. Every caption is asked for twice: bare, and as people ask for a
photo. Measured is the share of captions whose photo is among the first 1, 5 and 10 found: with words and sentence
vectors of what was seen (`before`), with pictures themselves as a further ranking (`after`), and by a search for
pictures alone (`search`). The questions of the talk, and those of `--questions` (rows with "text"), are about no photo:
what share of them brings one up is the false alarm. `--store DIR` keeps the stores, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmchat.chat.senses import Senses
from mmchat.domain import Recalled
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.wiring import WiringOptions, open_hub, open_recall
from mmchat.wiring.hub import EngineHub

TURNS = 1000
DEPTH = 10
AT = (1, 5, 10)
ASKED = (
    "that photo of {}",
    "Where is the picture I showed you of {}?",
    "Do you remember the picture with {}?",
    "Find the image of {}",
)
ASKED_CHINESE = ("{}的照片", "我给你看过的那张{}的图片呢？", "找一下{}的照片", "你还记得{}那张照片吗")

Find = Callable[[Recall, str], tuple[Recalled, ...]]


@dataclass(frozen=True)
class Photo:
    """A photo and the texts that describe it."""

    name: str
    path: Path
    english: tuple[str, ...]
    chinese: tuple[str, ...]


def before(recall: Recall, query: str) -> tuple[Recalled, ...]:
    """Words and sentence vectors of what was seen."""
    return recall.find(query, k=DEPTH, use_pictures=False)


def after(recall: Recall, query: str) -> tuple[Recalled, ...]:
    """The same with pictures as one more ranking."""
    return recall.find(query, k=DEPTH)


def search(recall: Recall, query: str) -> tuple[Recalled, ...]:
    """Pictures alone."""
    return recall.find_pictures(query, k=DEPTH)


WAYS: dict[str, Find] = {"before": before, "after": after, "search": search}


def read_photos(path: Path, captions: int) -> list[Photo]:
    """The rows of one set."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Photo(
            Path(row["image"]).name,
            path.parent / row["image"],
            tuple(row["captions"][:captions]),
            tuple(row.get("captions_zh", ())[:captions]),
        )
        for row in rows
    ]


def fill(store: MemoryStore, hub: EngineHub, photos: Sequence[Photo], talk: Sequence[str]) -> None:
    """Photos evenly among the talk, each a turn of its own without a word, seen and embedded as in a conversation."""
    recall = open_recall(store, hub)
    session = store.create_session(title="measured")
    every = max(1, len(talk) // len(photos))
    waiting = list(talk)
    for photo in photos:
        for text in waiting[:every]:
            store.add_turn(session.id, role="user", text=text)
        del waiting[:every]
        turn = store.add_user_turn(session.id, "", [NewAttachment(photo.path, "image", "image/jpeg", photo.name)])
        Senses(store, recall, hub, None).look(turn.attachments[0])
    for text in waiting:
        store.add_turn(session.id, role="user", text=text)


@contextmanager
def opened(folder: Path, hub: EngineHub, photos: Sequence[Photo], talk: Sequence[str]) -> Iterator[Recall]:
    """Recall over a store of these, made where it is not there yet."""
    is_new = not (folder / "mmchat.db").exists()
    folder.mkdir(parents=True, exist_ok=True)
    store = MemoryStore(folder / "mmchat.db", folder / "blobs")
    if is_new:
        fill(store, hub, photos, talk)
    recall = open_recall(store, hub)
    recall.backfill()
    yield recall
    store.close()


def found_shares(recall: Recall, find: Find, asked: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Share of (query, name of the photo) found among the first 1, 5 and 10, in per cent."""
    ranks: list[int] = []
    for query, name in asked:
        names = [each.attachment.name if each.attachment else "" for each in find(recall, query)]
        ranks.append(names.index(name) if name in names else DEPTH)
    return {f"at_{depth}": round(100 * sum(rank < depth for rank in ranks) / len(ranks), 1) for depth in AT}


def alarm_share(recall: Recall, find: Find, questions: Sequence[str]) -> float:
    """Per cent of questions that bring up a picture."""
    alarms = sum(any(each.attachment is not None for each in find(recall, question)) for question in questions)
    return round(100 * alarms / len(questions), 1)


def spoken(caption: str) -> str:
    """A caption inside a sentence."""
    return caption.strip().rstrip(" .。").lower()


def queries(photos: Sequence[Photo]) -> dict[str, list[tuple[str, str]]]:
    """(query, name of the photo), by the kind of query."""
    english = [(spoken(caption), photo.name) for photo in photos for caption in photo.english]
    chinese = [(spoken(caption), photo.name) for photo in photos for caption in photo.chinese]
    kinds = {
        "English, bare": english,
        "English, asked": [(ASKED[at % len(ASKED)].format(text), name) for at, (text, name) in enumerate(english)],
        "Chinese, bare": chinese,
        "Chinese, asked": [
            (ASKED_CHINESE[at % len(ASKED_CHINESE)].format(text), name) for at, (text, name) in enumerate(chinese)
        ],
    }
    return {kind: asked for kind, asked in kinds.items() if asked}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--talk", type=Path, required=True)
    parser.add_argument("--questions", type=Path, nargs="*", default=[])
    parser.add_argument("--store", type=Path)
    parser.add_argument("--captions", type=int, default=5, help="of each photo at most")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    coco, flickr = (read_photos(args.images / name, args.captions) for name in ("coco-cc.jsonl", "flickr8k-dev.jsonl"))
    dialogues = [json.loads(line) for line in args.talk.read_text(encoding="utf-8").splitlines()]
    talk = [turn["text"] for row in dialogues for turn in row["turns"]][:TURNS]
    questions = {args.talk.stem: [each["question"] for row in dialogues for each in row["questions"]]}
    for path in args.questions:
        lines = path.read_text(encoding="utf-8").splitlines()
        questions[path.stem] = [json.loads(line)["text"] for line in lines[:: max(1, len(lines) // 500)]]
    hub = open_hub(WiringOptions(should_pull=False), kinds=("vision", "embed"))
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = args.store or Path(temporary)
        with opened(root / "few", hub, coco, []) as recall:
            report["51 photos"] = {
                f"coco, {kind}, {way}": found_shares(recall, WAYS[way], asked)
                for kind, asked in queries(coco).items()
                for way in args.ways
            }
        with opened(root / "many", hub, [*coco, *flickr], talk) as recall:
            report["301 photos among 1,000 turns"] = {
                f"{name}, {kind}, {way}": found_shares(recall, WAYS[way], asked)
                for name, photos in (("coco", coco), ("flickr", flickr))
                for kind, asked in queries(photos).items()
                for way in args.ways
            }
            report["false alarms, per cent"] = {
                f"{name}, {way}": alarm_share(recall, WAYS[way], texts)
                for name, texts in questions.items()
                for way in args.ways
                if way != "search"
            }
    hub.close()
    print(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
