"""Unanswered messages grouped by likeness: what the documents should tell, and do not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmchat.chat.report_values import Gap
from mmchat.chat.unanswered import shelves_of
from mmchat.config.models_file import load_models_file
from mmchat.memory.knowledge import Knowledge
from mmchat.memory.question import CJK_LIMIT
from mmchat.memory.report import Exchange, MessageVectors, message_vectors
from mmchat.memory.text_search import cjk_share, informative, terms
from mmchat.script import language_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.memory.store import MemoryStore

ALIKE = 0.55
"""Messages are alike from here on by their vectors: by how much nearer they are than those of two messages that have
nothing to do with each other (0), the same ones being 1. These three were measured with `benchmarks/likeness.py`."""
ALIKE_WORDS = 0.45
"""By their words alone, as the cosine of what they hold."""
ALIKE_CHINESE = 0.35
"""The same in Chinese, where pairs across the borders of words are counted too."""
MOST_GROUPED = 2000
"""So many different messages are compared, the newest; older ones make groups of their own."""
MOST_PLACED = 50
"""For so many groups, the largest, the documents are searched."""
_CHINESE = frozenset({"multilingual", "zh"})
_BLANKS = re.compile(r"\W+")


def find_gaps(
    store: MemoryStore, unanswered: Sequence[Exchange], reasons: Mapping[str, str], shelves: Mapping[str, str]
) -> tuple[Gap, ...]:
    """The largest group first.

    Args:
        store: where the vectors and the documents are.
        unanswered: the messages, in any order.
        reasons: why each is unanswered, by its id.
        shelves: those with documents on them.
    """
    grouped = group_alike(unanswered, _telling_vectors(store, unanswered))
    knowledge = Knowledge(store, lambda: None)
    gaps = []
    for place, group in enumerate(grouped):
        typical = group[0]
        near = ("", "")
        if place < MOST_PLACED and any(shelf in shelves for shelf in shelves_of(typical)):
            near = _nearest(knowledge, typical)
        gaps.append(
            Gap(
                question=typical.text,
                language=language_of([typical.text]),
                times=len(group),
                reasons=_counts(reasons[each.turn] for each in group),
                intents=_counts(each.intent for each in group if each.intent),
                last_at=max(each.said_at for each in group),
                nearest_document=near[0],
                nearest_heading=near[1],
                sessions=tuple(dict.fromkeys(each.session for each in group)),
                turns=tuple(each.turn for each in group),
            )
        )
    return tuple(gaps)


def _telling_vectors(store: MemoryStore, messages: Sequence[Exchange]) -> MessageVectors | None:
    """Vectors of those messages that the model understands: to one that knows English only all Chinese is alike."""
    vectors = message_vectors(store, [each.number for each in messages])
    chinese = {each.number for each in messages if cjk_share(each.text) > CJK_LIMIT}
    if vectors is None or chinese.isdisjoint(vectors.by_number) or _knows_chinese(vectors.model):
        return vectors
    return replace(
        vectors, by_number={number: row for number, row in vectors.by_number.items() if number not in chinese}
    )


def _knows_chinese(model: str) -> bool:
    entry = load_models_file().entries.get(model)
    return entry is not None and not _CHINESE.isdisjoint(entry.languages)


def group_alike(messages: Sequence[Exchange], vectors: MessageVectors | None) -> list[list[Exchange]]:
    """Groups around their most typical message, which comes first; the largest group first.

    The message that most others are like takes these to itself, then the next of those that are left. So each group
    has a centre that it is named by, and nothing is in it that is not like that one.
    """
    same: dict[str, list[Exchange]] = {}
    for each in sorted(messages, key=lambda each: each.said_at, reverse=True):
        same.setdefault(_plain(each.text) or each.turn, []).append(each)
    bundles = list(same.values())
    compared, rest = bundles[:MOST_GROUPED], bundles[MOST_GROUPED:]
    alike = _alike([bundle[0] for bundle in compared], vectors)
    sizes = np.array([len(bundle) for bundle in compared], np.int64)
    around = alike.astype(np.float32) @ sizes.astype(np.float32)
    left = np.ones(len(compared), bool)
    groups = []
    while left.any():
        # Among equals the newest, which stands first.
        centre = int(np.argmax(np.where(left, around, -1)))
        members = [centre, *(int(at) for at in np.flatnonzero(alike[centre] & left) if at != centre)]
        left[members] = False
        around -= alike[:, members] @ sizes[members]  # exact: whole numbers
        groups.append([each for at in members for each in compared[at]])
    return sorted([*groups, *rest], key=len, reverse=True)


def _alike(messages: Sequence[Exchange], vectors: MessageVectors | None) -> NDArray[np.bool_]:
    """(N, N): by words or by vectors; every message is like itself."""
    chinese = np.array([cjk_share(each.text) > CJK_LIMIT for each in messages], bool)
    needed = np.where(chinese[:, None] & chinese[None, :], ALIKE_CHINESE, ALIKE_WORDS)
    alike: NDArray[np.bool_] = _shared_words([each.text for each in messages]) >= needed
    if vectors is not None:
        places = [at for at, each in enumerate(messages) if each.number in vectors.by_number]
        if places:
            matrix = np.stack([vectors.by_number[messages[at].number] for at in places])
            alike[np.ix_(places, places)] |= matrix @ matrix.T >= vectors.usual + ALIKE * (1 - vectors.usual)
    np.fill_diagonal(alike, True)
    return alike


def _shared_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """(N, N): cosines of the words that texts hold; 0 for a text without words that tell anything."""
    places: dict[str, int] = {}
    held = [[places.setdefault(word, len(places)) for word in informative(text)] for text in texts]
    table = np.zeros((len(texts), len(places)), np.float32)
    for row, words in enumerate(held):
        table[row, words] = max(1, len(words)) ** -0.5
    shared: NDArray[np.float32] = table @ table.T
    return shared


def _nearest(knowledge: Knowledge, message: Exchange) -> tuple[str, str]:
    """File and heading of the passage that comes nearest by its words; empty where none shares any."""
    found = knowledge.find(message.text, shelves=shelves_of(message), k=1, use_vectors=False)
    passage = found[0].passage if found else None
    return (passage.name, passage.heading) if passage is not None else ("", "")


def _plain(text: str) -> str:
    """The same for messages that differ in blanks, marks and letters' size only."""
    return _BLANKS.sub(" ", " ".join(terms(text))).strip()


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
