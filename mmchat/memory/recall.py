"""Search over everything said, shown and heard: words and vectors, fused by rank."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mmchat.domain import Recalled
from mmchat.memory import rows as convert
from mmchat.memory.database import Row
from mmchat.memory.embedding_backlog import May, embeddable, unembedded
from mmchat.memory.picture_recall import ALIKE_FLOOR, PictureRecall, Texts
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import cjk_share, terms
from mmchat.memory.vectors import Near, OwnerKind, VectorIndex
from mmchat.memory.word_search import Filters, find_by_words
from mmchat.picture_words import picture_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANK_CONSTANT = 60
"""Reciprocal rank fusion as Cormack, Clarke and Buettcher 2009: a rank r is worth 1 / (60 + r)."""
DEPTH = 100
"""How far down each ranking is read."""
COSINE_FLOOR = 0.38
COVERAGE_FLOOR = 0.45
CJK_COVERAGE_FLOOR = 0.33
"""A turn bears on a query when it is this near or holds this share of the query's information.
Lower for Chinese, where pairs across word borders take up part of a query's information.
Measured with `benchmarks/recall_probe.py`."""
SPEAKER_BONUS = 0.005
"""For turns of the speaker whom the query names: about what five ranks at the top are worth."""
ASKED_PICTURE_WEIGHT = 2.0
"""What a rank among pictures counts where the query asks for one."""
CJK_LIMIT = 0.3
"""MiniLM knows English only: above this share of Chinese letters, words alone decide."""
EMBEDDED_CHARACTERS = 2000
"""The embedder cuts after 256 tokens anyway."""
TEXTS_AT_ONCE = 8
"""The encoder is held for so many: the question of a reply that begins meanwhile waits for them, 0.1 s at most."""

_ASKS_FOR_USER = re.compile(
    r"\b(?:did|have|had) i (?:\w+ )?(?:say|said|tell|told|ask|asked|mention|mentioned)\b"
    r"|\bi (?:said|told|asked|mentioned)\b|我(?:之前|上次|刚才)?(?:说过|提过|提到|问过)"
)
_ASKS_FOR_ASSISTANT = re.compile(
    r"\bdid you (?:say|tell|suggest|recommend|answer|explain)\b"
    r"|\byou (?:said|told|suggested|recommended|answered|explained)\b"
    r"|你(?:之前|上次|刚才)?(?:说过|提过|建议|推荐|回答)"
)


class Embeds(Protocol):
    """What recall needs of an embedder; `engines.base.TextEmbedder` has it."""

    name: str
    embedding_dim: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows."""
        ...


@dataclass(slots=True)
class _Candidate:
    """A turn that one or both rankings found."""

    score: float = 0.0
    coverage: float = 0.0
    cosine: float = -1.0
    is_shown: bool = False
    """Its picture bears on the query."""


class Recall:
    """Finds the older turns that bear on a query. Safe from any thread."""

    def __init__(
        self,
        store: MemoryStore,
        embedder: Callable[[], Embeds | None],
        picture_texts: Callable[[bool], Texts | None] = lambda may_load: None,
    ) -> None:
        """Nothing is loaded before it is needed.

        Args:
            store: the conversations.
            embedder: called (it may block while loading) only when vectors are needed.
            picture_texts: texts in the space of the picture model, as `PictureRecall` takes it.
        """
        self._store = store
        self._embedder = embedder
        self._indexes: dict[tuple[OwnerKind, str], VectorIndex] = {}
        self._lock = Lock()
        self.pictures = PictureRecall(store, embedder, picture_texts, lambda model: self._vectors("attachment", model))

    # --- putting in -----------------------------------------------------------------------------

    def index(self, turn_id: str) -> None:
        """Embed and store the vector of a turn (its text, what was heard, what was seen).

        Raises:
            UsageError: no such turn.
            MmchatError: whatever the embedder says.
        """
        embedder = self._embedder()
        self._store.get_turn(turn_id)
        if embedder is not None:
            found = self._store.file.rows("SELECT * FROM turns t WHERE t.id = ?", (turn_id,))
            self._embed_rows(embedder, found)

    def index_image(self, attachment_id: str, vector: NDArray[np.float32], model: str) -> None:
        """Store a picture's vector, (D,) float32, unit length."""
        self.pictures.index(attachment_id, vector, model)

    def backfill(
        self,
        *,
        cancel: Event | None = None,
        may_go_on: May = lambda: True,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> int:
        """Embed the turns that lack a vector of the present model, oldest first; returns how many.

        May be stopped at any time and called again; each batch is stored by itself.

        Args:
            cancel: set it to stop within a few texts.
            may_go_on: asked between a few texts, so that it may wait while somebody else needs the processor.
            on_progress: told how many of how many turns were looked at.
        """
        embedder = self._embedder()
        if embedder is None:
            return 0

        def may() -> bool:
            return may_go_on() and not (cancel is not None and cancel.is_set())

        waiting = unembedded(self._store.file, embedder.name, may)
        done = 0
        for start in range(0, len(waiting), TEXTS_AT_ONCE):
            on_progress(start, len(waiting))
            if not may():
                return done
            found = embeddable(self._store.file, waiting[start : start + TEXTS_AT_ONCE])
            done += self._embed_rows(embedder, found)
        if may():
            self._vectors("turn", embedder.name).pack(cancel)
        return done

    # --- finding --------------------------------------------------------------------------------

    def find(
        self,
        query: str,
        *,
        k: int = 5,
        session_id: str | None = None,
        exclude_turns: Sequence[str] = (),
        exclude_session: str | None = None,
        use_vectors: bool = True,
        use_pictures: bool = True,
    ) -> tuple[Recalled, ...]:
        """Best first; empty when nothing bears on it. Turns without a vector yet are found by words.

        Args:
            query: in the user's words.
            k: how many at most.
            session_id: look in this conversation only.
            exclude_turns: ids not to return, e.g. those the model sees anyway; nor are copies of them.
            exclude_session: a conversation to leave out.
            use_vectors: False searches by words alone and never waits for the embedder.
            use_pictures: False looks for no pictures but by the words that were said of them.
        """
        filters = Filters(session_id, exclude_session, tuple(exclude_turns))
        candidates = self._by_words(query, filters)
        is_cjk = cjk_share(query) > CJK_LIMIT
        coverage_floor = CJK_COVERAGE_FLOOR if is_cjk else COVERAGE_FLOOR
        if use_vectors and query.strip() and not is_cjk:
            embedder = self._embedder()
            if embedder is not None:
                self._add_vectors(candidates, embedder, query, filters)
        if use_vectors and use_pictures:
            self._add_pictures(candidates, query, filters)
        bearing = {
            number: candidate
            for number, candidate in candidates.items()
            if candidate.cosine >= COSINE_FLOOR or candidate.coverage >= coverage_floor or candidate.is_shown
        }
        if not bearing:
            return ()
        found = self._rows_of(bearing)
        for row in found:
            if _is_asked_for(query, row):
                bearing[row["number"]].score += SPEAKER_BONUS
        found.sort(key=lambda row: (-bearing[row["number"]].score, -row["number"]))
        chosen = _without_copies(found, self._texts_of(exclude_turns))[:k]
        files = self._store.attachments_by_turn(
            "SELECT value FROM json_each(?)", (json.dumps([row["id"] for row in chosen]),)
        )
        return tuple(
            convert.recalled_from_row(row, files.get(row["id"], ()), bearing[row["number"]].score) for row in chosen
        )

    def find_pictures(self, query: str, *, k: int = 5, session_id: str | None = None) -> tuple[Recalled, ...]:
        """Turns with a picture that the query describes, or that were found by what was said with it."""
        by_words = self.find(query, k=DEPTH, session_id=session_id, use_pictures=False)
        return self.pictures.search(query, by_words, k=k, session_id=session_id)

    def find_by_image(
        self,
        vector: NDArray[np.float32],
        model: str,
        *,
        k: int = 5,
        session_id: str | None = None,
        floor: float = ALIKE_FLOOR,
    ) -> tuple[Recalled, ...]:
        """Turns by their pictures, most alike first: `PictureRecall.like`."""
        return self.pictures.like(vector, model, Filters(session_id=session_id), k=k, floor=floor)

    # --- within ---------------------------------------------------------------------------------

    def _by_words(self, query: str, filters: Filters) -> dict[int, _Candidate]:
        with self._store.file.read() as db:
            names = frozenset(
                word
                for (speaker,) in db.execute("SELECT DISTINCT speaker FROM turns WHERE speaker <> ''")
                for word in terms(speaker)
            )
            hits = find_by_words(db, query, filters, limit=DEPTH, names=names)
        return {
            hit.number: _Candidate(score=_rank_score(rank), coverage=hit.coverage)
            for rank, hit in enumerate(hits, start=1)
        }

    def _add_vectors(self, candidates: dict[int, _Candidate], embedder: Embeds, query: str, filters: Filters) -> None:
        vector = embedder.embed([query[:EMBEDDED_CHARACTERS]])[0]
        index = self._vectors("turn", embedder.name)
        near: Near = index.nearest(
            vector,
            limit=DEPTH,
            session=self._session_number(filters.session_id),
            exclude_session=self._session_number(filters.exclude_session),
            exclude=self._numbers_of(filters.exclude_turns),
        )
        for rank, (owner, cosine) in enumerate(zip(near.owners.tolist(), near.cosines.tolist(), strict=True), start=1):
            candidate = candidates.setdefault(owner, _Candidate())
            candidate.score += _rank_score(rank)
            candidate.cosine = cosine

    def _add_pictures(self, candidates: dict[int, _Candidate], query: str, filters: Filters) -> None:
        hits = [hit for hit in self.pictures.find(query, filters) if hit.is_bearing]
        weight = ASKED_PICTURE_WEIGHT if picture_question(query).is_about_pictures else 1.0
        for rank, hit in enumerate(hits[:DEPTH], start=1):
            candidate = candidates.setdefault(hit.turn, _Candidate())
            candidate.score += weight * _rank_score(rank)
            candidate.is_shown = True

    def _embed_rows(self, embedder: Embeds, found: list[Row]) -> int:
        files = self._store.attachments_by_turn(
            "SELECT value FROM json_each(?)", (json.dumps([row["id"] for row in found]),)
        )
        texts = {
            row["number"]: _embedded_text(row, map(convert.sensed_text, files.get(row["id"], ()))) for row in found
        }
        texts = {number: text for number, text in texts.items() if text}
        if texts:
            vectors = embedder.embed(list(texts.values()))
            self._vectors("turn", embedder.name).save(dict(zip(texts, vectors, strict=True)))
        return len(texts)

    def _vectors(self, kind: OwnerKind, model: str) -> VectorIndex:
        with self._lock:
            key = (kind, model)
            if key not in self._indexes:
                self._indexes[key] = VectorIndex(self._store.file, kind, model)
            return self._indexes[key]

    def _rows_of(self, numbers: Iterable[int]) -> list[Row]:
        return self._store.file.rows(
            "SELECT * FROM turns WHERE number IN (SELECT value FROM json_each(?))"
            " AND NOT is_retired AND status <> 'streaming'",
            (json.dumps(list(numbers)),),
        )

    def _session_number(self, session_id: str | None) -> int | None:
        if session_id is None:
            return None
        found = self._store.file.rows("SELECT number FROM sessions WHERE id = ?", (session_id,))
        return int(found[0]["number"]) if found else -1

    def _numbers_of(self, turn_ids: Sequence[str]) -> NDArray[np.int64]:
        found = self._store.file.rows(
            "SELECT number FROM turns WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(turn_ids)),)
        )
        return np.array([row["number"] for row in found], np.int64)

    def _texts_of(self, turn_ids: Sequence[str]) -> set[tuple[str, str]]:
        found = self._store.file.rows(
            "SELECT role, text FROM turns WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(turn_ids)),)
        )
        return {_copy_key(row) for row in found if row["text"].strip()}


def _rank_score(rank: int) -> float:
    return 1.0 / (RANK_CONSTANT + rank)


def _embedded_text(row: Row, sensed: Iterable[str]) -> str:
    text = "\n".join(part for part in (row["text"].strip(), *sensed) if part)[:EMBEDDED_CHARACTERS]
    return f"{row['speaker']}: {text}" if row["speaker"] and text else text


def _is_asked_for(query: str, row: Row) -> bool:
    """Whether the query names the one who spoke: by name, or as "did I say", "you suggested"."""
    asked = query.casefold()
    if row["speaker"]:
        return not set(terms(row["speaker"])).isdisjoint(terms(asked))
    return bool(_ASKS_FOR_USER.search(asked)) if row["role"] == "user" else asks_for_reply(query)


def asks_for_reply(query: str) -> bool:
    """Whether a query is after what the model said: "What did you suggest …?"."""
    return bool(_ASKS_FOR_ASSISTANT.search(query.casefold()))


def _copy_key(row: Row) -> tuple[str, str]:
    return row["role"], " ".join(row["text"].casefold().split())


def _without_copies(found: list[Row], seen: set[tuple[str, str]]) -> list[Row]:
    """Drop turns that say the very same as an earlier one (forks, repeated questions) or as one in `seen`."""
    kept: list[Row] = []
    for row in found:
        key = _copy_key(row)
        if key not in seen or not key[1]:
            kept.append(row)
        seen.add(key)
    return kept
