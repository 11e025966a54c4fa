"""Turns found by what is in their pictures: by a text, or by another picture.

A query is compared with each picture twice: with its tags, as sentences ("a photo of a bicycle, a street"), and with
the picture itself, in the dual encoder's space. Both cosines are counted in standard deviations above what texts
that have nothing to do with pictures reach with the pictures stored; their mean is the score. A cosine itself would
say nothing: texts lie far from all pictures, and how far differs from encoder to encoder.

Whether a query is about pictures at all, these scores cannot tell: a question about a hotel lies as near to some
photo as a caption to its own. Words tell it ("the photo of …"), so the floor is low where they are there and high
where they are not. Measured with `benchmarks/picture_recall.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmchat.domain import Recalled, Seen
from mmchat.later import np
from mmchat.memory import rows as convert
from mmchat.memory.database import Row
from mmchat.memory.picture_spaces import Embeds, MapsSentences, Space, Spreads, Texts, embedded
from mmchat.memory.store import MemoryStore
from mmchat.memory.vectors import VectorIndex, stored_vector
from mmchat.memory.word_search import Filters, where_of
from mmchat.picture_sentences import is_look
from mmchat.picture_words import picture_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKED_FLOOR = 2.0
"""Standard deviations from which a picture bears on a query that asks for pictures."""
UNASKED_FLOOR = 6.0
"""The same for a query that does not. One in Chinese never reaches it: of a question about a hotel nothing but "hotel"
may be known here, which is near to any picture of a house."""
SEARCHED_FLOOR = 1.0
"""The same for one who looks through pictures: more is shown than is told."""
RANK_CONSTANT = 60
"""Reciprocal rank fusion as Cormack, Clarke and Buettcher 2009."""
DEPTH = 64
UNASKED_DEPTH = 16
"""How many pictures are looked at in each of the two spaces. What reaches the higher floor is among the first."""
NEWEST = 3
"""How many pictures "that photo" finds, where nothing says which."""
ALIKE_FLOOR = 0.2
"""A picture is like another from here on. With the default dual encoder and 51 photos it keeps changed copies
(cut, framed, grey, squeezed, small: 98 to 100 in 100; turned on their side: 92) and drops 99 in 100 pairs of
photos without an object in common; of pairs with one it keeps 13. Encoders whose vectors are not centred put
all pictures nearer; there it drops nothing. Measured with `benchmarks/image_recall.py`."""

ALL_TURNS = Filters()


@dataclass(frozen=True, slots=True)
class PictureHit:
    """A turn with a picture that is near to a query."""

    turn: int
    """Number of the turn."""
    attachment: int
    """Number of its picture."""
    score: float
    """Standard deviations above unrelated texts; 0 where the query does not say what is in the picture."""
    is_bearing: bool
    """Whether that is enough to say that the picture is what the query is about."""


class PictureRecall:
    """Finds pictures that were shown. Safe from any thread."""

    def __init__(
        self,
        store: MemoryStore,
        embedder: Callable[[], Embeds | None],
        texts: Callable[[bool], Texts | None],
        vectors: Callable[[str], VectorIndex],
    ) -> None:
        """Nothing is loaded before it is needed, and nothing at all while no picture is stored.

        Args:
            store: the conversations.
            embedder: the sentence embedder, or None where there is none.
            texts: texts in the space of the picture model; told whether the model may be loaded for it.
            vectors: the index of the pictures' vectors of a model.
        """
        self._store = store
        self._embedder = embedder
        self._texts = texts
        self._vectors = vectors
        self._spreads = Spreads(store)

    # --- putting in -----------------------------------------------------------------------------

    def index(self, attachment_id: str, vector: NDArray[np.float32], model: str) -> None:
        """Store a picture's vector, (D,) float32, unit length, and that of its tags, where they are known."""
        found = self._store.file.rows("SELECT number FROM attachments WHERE id = ?", (attachment_id,))
        if found:
            self._vectors(model).save({found[0]["number"]: vector})
            self.index_tags_of(attachment_id)

    def index_tags_of(self, attachment_id: str) -> None:
        """Store the vector of a picture's tags, where they are known."""
        found = self._store.file.rows("SELECT number, seen FROM attachments WHERE id = ?", (attachment_id,))
        self.index_tags({row["number"]: row["seen"] for row in found})

    def index_tags(self, seen: dict[int, str | None]) -> None:
        """Store the vectors of what was seen, by numbers of attachments; `seen` as its column has it."""
        sentences = {number: tag_sentence(convert.seen_from_json(text)) for number, text in seen.items()}
        sentences = {number: sentence for number, sentence in sentences.items() if sentence}
        embedder = self._embedder() if sentences else None
        if embedder is not None:
            vectors = embedder.embed(list(sentences.values()))
            self._vectors(embedder.name).save(dict(zip(sentences, vectors, strict=True)))

    def prepare(self) -> None:
        """Measure beforehand what unrelated texts reach, so that the first question need not wait for it."""
        if self._has_vectors():
            for space in self._spaces(may_load=False):
                self._spreads.of(space)

    # --- finding by a text ------------------------------------------------------------------------

    def find(
        self, query: str, filters: Filters = ALL_TURNS, *, limit: int = 50, must_bear: bool = False
    ) -> tuple[PictureHit, ...]:
        """Turns whose pictures are nearest to a query, nearest first; one picture is found once.

        Costs nothing while no picture is stored. The picture model is loaded only for a query that asks for
        pictures, and not even then where its text side can be had without it.

        Args:
            query: in the user's words, English or Chinese.
            filters: which turns may be found; nor are other turns with the very pictures of those left out.
            limit: how many at most.
            must_bear: leave out those that are near without being what the query is about.
        """
        if not self._has_vectors():
            return ()
        question = picture_question(query)
        if not question.content:
            return self._newest(filters) if question.is_about_pictures else ()
        floor = ASKED_FLOOR if question.is_about_pictures else math.inf if question.is_glossed else UNASKED_FLOOR
        if must_bear and floor == math.inf:
            return ()
        depth = UNASKED_DEPTH if must_bear and not question.is_about_pictures else DEPTH
        scores = self._scores(question.content, self._spaces(question.is_about_pictures), filters, depth)
        if must_bear:
            scores = {number: score for number, score in scores.items() if score >= floor}
        rows = sorted(self._rows(filters, scores), key=lambda row: (-scores[row["picture"]], -row["number"]))
        hits = [
            PictureHit(row["number"], row["picture"], scores[row["picture"]], scores[row["picture"]] >= floor)
            for row in _once_each(rows)
        ]
        return tuple(hits[:limit])

    def search(
        self, query: str, by_words: Sequence[Recalled], *, k: int, session_id: str | None = None
    ) -> tuple[Recalled, ...]:
        """Pictures alone, best first, for one who looks for a picture: what is in them, and what was said with them.

        Args:
            query: in the user's words.
            by_words: turns that bear on the query, best first; those without a picture are left out.
            k: how many at most.
            session_id: look in this conversation only.
        """
        hits = [
            hit
            for hit in self.find(query, Filters(session_id=session_id))
            if hit.score >= SEARCHED_FLOOR or hit.is_bearing
        ]
        found = {each.turn: each for each in self.recalled(hits)}
        scores = {turn_id: 1 / (RANK_CONSTANT + rank) for rank, turn_id in enumerate(found, start=1)}
        worded = [each for each in by_words if each.attachment is not None and each.attachment.kind == "image"]
        for rank, each in enumerate(worded, start=1):
            found.setdefault(each.turn, each)
            scores[each.turn] = scores.get(each.turn, 0.0) + 1 / (RANK_CONSTANT + rank)
        ranked = sorted(found.values(), key=lambda each: -scores[each.turn])
        return tuple(replace(each, score=scores[each.turn]) for each in ranked[:k])

    def recalled(self, hits: Sequence[PictureHit]) -> tuple[Recalled, ...]:
        """The turns of hits, each with the picture that was found, in the order of `hits`."""
        rows = {row["picture"]: row for row in self._rows(ALL_TURNS, [hit.attachment for hit in hits])}
        return self._recalled([(rows[hit.attachment], hit.score) for hit in hits if hit.attachment in rows])

    # --- finding by a picture -----------------------------------------------------------------------

    def like(
        self,
        vector: NDArray[np.float32],
        model: str,
        filters: Filters = ALL_TURNS,
        *,
        k: int = 5,
        floor: float = ALIKE_FLOOR,
    ) -> tuple[Recalled, ...]:
        """Turns by their pictures, most alike first; the score is the cosine. Empty when none is alike.

        Args:
            vector: (D,) float32, unit length: a picture's, or a text's in the same space.
            model: the dual encoder's name; pictures are compared within one model.
            filters: which turns may be found.
            k: how many at most. One picture sent several times is found once.
            floor: the least cosine. For a text give -1: texts lie far from even the picture they describe.
        """
        near = self._near(self._vectors(model), vector, filters)
        cosines = {owner: cosine for owner, cosine in near.items() if cosine >= floor}
        rows = sorted(
            self._rows(filters, cosines, should_hide_copies=False),
            key=lambda row: (-cosines[row["picture"]], -row["number"]),
        )
        return self._recalled([(row, cosines[row["picture"]]) for row in _once_each(rows)][:k])

    def like_picture(
        self, attachment_id: str, model: str, filters: Filters = ALL_TURNS, *, k: int = 5, floor: float = ALIKE_FLOOR
    ) -> tuple[Recalled, ...]:
        """As `like`, by the stored vector of a picture; empty where it has none of that model."""
        found = self._store.file.rows(
            "SELECT e.vector FROM embeddings e JOIN attachments a ON a.number = e.owner"
            " WHERE e.owner_kind = 'attachment' AND a.id = ? AND e.model = ?",
            (attachment_id, model),
        )
        if not found:
            return ()
        return self.like(stored_vector(found[0]["vector"]), model, filters, k=k, floor=floor)

    # --- within ---------------------------------------------------------------------------------

    def _has_vectors(self) -> bool:
        return bool(self._store.file.rows("SELECT 1 FROM embeddings WHERE owner_kind = 'attachment' LIMIT 1"))

    def _spaces(self, may_load: bool) -> list[Space]:
        spaces: list[Space] = []
        embedder = self._embedder()
        if embedder is not None:
            spaces.append(Space(self._vectors(embedder.name), embedder.name, embedder.embed))
        texts = self._texts(may_load)
        if texts is not None:
            of_sentences = texts.map_sentences if spaces and isinstance(texts, MapsSentences) else None
            spaces.append(Space(self._vectors(texts.name), texts.name, texts.embed_texts, of_sentences))
        return spaces

    def _scores(self, content: str, spaces: Sequence[Space], filters: Filters, depth: int) -> dict[int, float]:
        """Mean score of each picture that is among the nearest of a space, by its number."""
        asked = [(space, vectors[0]) for space, vectors in zip(spaces, embedded([content], spaces), strict=True)]
        near = [self._near(space.index, vector, filters, depth) for space, vector in asked]
        candidates = sorted(set().union(*near))
        scores: dict[int, list[float]] = {number: [] for number in candidates}
        for (space, vector), known in zip(asked, near, strict=True):
            cosines = known | space.index.cosines_of(vector, [each for each in candidates if each not in known])
            if cosines:
                spread = self._spreads.of(space)
                for number, cosine in cosines.items():
                    scores[number].append((cosine - spread.mean) / spread.deviation)
        return {number: sum(each) / len(each) for number, each in scores.items() if each}

    def _near(
        self, index: VectorIndex, vector: NDArray[np.float32], filters: Filters, depth: int = DEPTH
    ) -> dict[int, float]:
        near = index.nearest(
            vector,
            limit=depth,
            session=self._session_number(filters.session_id),
            exclude_session=self._session_number(filters.exclude_session),
            scope=filters.scope,
        )
        return dict(zip(near.owners.tolist(), near.cosines.tolist(), strict=True))

    def _newest(self, filters: Filters) -> tuple[PictureHit, ...]:
        rows = self._rows(filters, None, limit=8 * NEWEST)
        return tuple(PictureHit(row["number"], row["picture"], 0.0, True) for row in _once_each(rows)[:NEWEST])

    def _rows(
        self, filters: Filters, pictures: Iterable[int] | None, *, limit: int = -1, should_hide_copies: bool = True
    ) -> list[Row]:
        """Live turns with their pictures, newest first: those of `pictures`, or all."""
        where, parameters = where_of(filters)
        where = f"a.kind = 'image' AND {where}"
        if pictures is not None:
            where += " AND a.number IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(list(pictures)))
        if filters.exclude_turns and should_hide_copies:
            where += (
                " AND a.sha256 NOT IN (SELECT sha256 FROM attachments"
                " WHERE turn_id IN (SELECT value FROM json_each(?)))"
            )
            parameters.append(json.dumps(list(filters.exclude_turns)))
        return self._store.file.rows(
            "SELECT t.*, a.number AS picture, a.id AS picture_id, a.sha256 FROM attachments a"
            f" JOIN turns t ON t.id = a.turn_id WHERE {where} ORDER BY t.number DESC, a.position LIMIT ?",
            (*parameters, limit),
        )

    def _recalled(self, found: Sequence[tuple[Row, float]]) -> tuple[Recalled, ...]:
        files = self._store.attachments_by_turn(
            "SELECT value FROM json_each(?)", (json.dumps([row["id"] for row, _ in found]),)
        )
        recalled: list[Recalled] = []
        for row, score in found:
            # Its own picture first: that is the one to show.
            own = sorted(files.get(row["id"], ()), key=lambda each: each.id != row["picture_id"])
            recalled.append(convert.recalled_from_row(row, own, score))
        return tuple(recalled)

    def _session_number(self, session_id: str | None) -> int | None:
        if session_id is None:
            return None
        found = self._store.file.rows("SELECT number FROM sessions WHERE id = ?", (session_id,))
        return int(found[0]["number"]) if found else -1


def tag_sentence(seen: Seen | None) -> str:
    """What was seen, as captions are written; empty where nothing was."""
    labels = [tag.label for tag in seen.tags if not is_look(tag.label)] if seen is not None else []
    return f"a photo of {', '.join(labels)}" if labels else ""


def _once_each(rows: Iterable[Row]) -> list[Row]:
    """The first of each picture's bytes."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["sha256"], row)
    return list(first.values())
