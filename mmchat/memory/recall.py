"""Search over everything said, shown and heard: what words and vectors find, in the order of all that is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import TYPE_CHECKING, Protocol

from mmchat.domain import Recalled
from mmchat.later import np
from mmchat.memory import rows as convert
from mmchat.memory.database import Row
from mmchat.memory.embedding_backlog import May
from mmchat.memory.picture_recall import ALIKE_FLOOR, PictureRecall
from mmchat.memory.picture_spaces import Texts
from mmchat.memory.question import Question, can_compare, read_question
from mmchat.memory.ranking import Candidate, Reach, bearing_scores
from mmchat.memory.statements import LIVE_TURN
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import terms
from mmchat.memory.time_words import TimeSpan
from mmchat.memory.turn_parts import PartVectors
from mmchat.memory.turn_vectors import TurnVectors
from mmchat.memory.vector_owners import OwnerKind
from mmchat.memory.vectors import Near, VectorIndex
from mmchat.memory.word_search import Filters, find_by_words, where_of
from mmchat.picture_words import picture_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTH = 100
"""How far down each ranking is read."""
ASKED_PICTURE_WEIGHT = 2.0
"""What a rank among pictures counts where the query asks for one."""
_COLUMNS = "t.number, t.id, t.session_id, t.role, t.speaker, t.text, t.created_at"
"""Of `turns`: what ranking and `Recalled` need of hundreds of candidates."""
TOLD_LATER = timedelta(days=7)
"""What happened at a time is told up to so long after it."""


class Embeds(Protocol):
    """What recall needs of an embedder; `engines.base.TextEmbedder` has it."""

    name: str
    embedding_dim: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows."""
        ...


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A question as it was read, and what was found for it."""

    question: Question
    candidates: dict[int, Candidate]
    """By the number of the turn."""
    rows: list[Row]
    """The candidates' rows of `turns`."""


@dataclass(frozen=True, slots=True)
class _Nearest:
    """What the vectors of turns say of a question."""

    query: NDArray[np.float32]
    """(D,) unit length."""
    index: VectorIndex
    parts: PartVectors
    near: Near


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
        self._aside = ThreadPoolExecutor(1, "recall-words")
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
            self._turn_vectors(embedder).write([turn_id])

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

        May be stopped at any time and called again; each batch is stored by itself. The vectors of parts of turns
        come after those of all turns: they refine what those find.

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

        return self._turn_vectors(embedder).fill(may, on_progress)

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
        reach: Reach = "bearing",
        scope: str | None = None,
        now: datetime | None = None,
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
            reach: "sure" leaves out turns that alone would not have broken the silence; "nearest" never keeps silent,
                but says of each turn that it is not sure.
            scope: look only in conversations that share this memory, '' being the user's; None: in all.
            now: aware; what "yesterday" in the query is counted from. The present, in local time, unless given.
        """
        looked = self.look_up(
            query,
            Filters(session_id, exclude_session, tuple(exclude_turns), scope=scope),
            use_vectors=use_vectors,
            use_pictures=use_pictures,
            now=now,
        )
        found, question = looked.rows, looked.question
        bearing = bearing_scores(
            looked.candidates.values(), is_chinese=question.is_chinese, is_time_all=question.is_time_all, reach=reach
        )
        scores = bearing.scores
        rows = [row for row in found if row["number"] in scores]
        rows.sort(key=lambda row: (-scores[row["number"]], -row["number"]))
        chosen = _without_copies(rows, self._texts_of(exclude_turns), k)
        files = self._store.attachments_by_turn(
            "SELECT value FROM json_each(?)", (json.dumps([row["id"] for row in chosen]),)
        )
        recalled = (convert.recalled_from_row(row, files.get(row["id"], ()), scores[row["number"]]) for row in chosen)
        return tuple(replace(each, is_sure=bearing.is_sure) for each in recalled)

    def look_up(
        self,
        query: str,
        filters: Filters,
        *,
        use_vectors: bool = True,
        use_pictures: bool = True,
        now: datetime | None = None,
        is_plain: bool = False,
    ) -> LookedUp:
        """All that any ranking finds, whether or not it bears on the query.

        Arguments are as for `find`; with `is_plain`, names and times in the query are words like others.
        """
        speakers = self._speakers()
        question = read_question(query, now or datetime.now().astimezone(), speakers)
        if is_plain:
            question = replace(question, span=None, to_embed=(query,))
        # Words and vectors are looked for side by side: most of either runs outside the interpreter's lock.
        worded = self._aside.submit(self._by_words, question, filters, speakers)
        near = self._nearest(question, filters) if use_vectors and query.strip() else None
        candidates = worded.result()
        if question.span is not None:
            self._add_timely(candidates, question, question.span, filters, speakers)
        if near is not None:
            self._add_near(candidates, near)
        if use_vectors and use_pictures:
            self._add_pictures(candidates, query, filters)
        rows = self._fill(candidates, question)
        return LookedUp(question, candidates, rows)

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

    def _speakers(self) -> frozenset[str]:
        """Words of the names of all who speak, case folded."""
        # From name to name through the index: there may be a million turns of the same two.
        found = self._store.file.rows(
            "WITH RECURSIVE names(name) AS (SELECT min(speaker) FROM turns WHERE speaker <> '' UNION ALL"
            " SELECT (SELECT min(speaker) FROM turns WHERE speaker <> '' AND speaker > name) FROM names"
            " WHERE name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL"
        )
        return frozenset(word for row in found for word in terms(row["name"]))

    def _by_words(self, question: Question, filters: Filters, speakers: frozenset[str]) -> dict[int, Candidate]:
        with self._store.file.read() as db:
            hits = find_by_words(db, question.text, filters, limit=DEPTH, names=speakers)
        return {hit.number: Candidate(hit.number, words=hit.share) for hit in hits}

    def _add_timely(
        self,
        candidates: dict[int, Candidate],
        question: Question,
        span: TimeSpan,
        filters: Filters,
        speakers: frozenset[str],
    ) -> None:
        """Turns of the time asked for, which others with the same words may have crowded out."""
        within = replace(filters, start=_stored_time(span.start), end=_stored_time(span.end))
        with self._store.file.read() as db:
            hits = find_by_words(db, question.timeless, within, limit=DEPTH, names=speakers)
            for hit in hits:
                known = candidates.setdefault(hit.number, Candidate(hit.number))
                known.words = max(known.words, hit.share)
            if not hits:
                where, parameters = where_of(within)
                newest = f"SELECT t.number FROM turns t WHERE {where} ORDER BY t.created_at DESC LIMIT ?"
                for (number,) in db.execute(newest, [*parameters, DEPTH]):
                    candidates.setdefault(number, Candidate(number))

    def _nearest(self, question: Question, filters: Filters) -> _Nearest | None:
        """The turns whose own vectors are near the question's; None where there is nothing to compare."""
        embedder = self._embedder()
        if embedder is None or not can_compare(embedder, question.text):
            return None
        wordings = embedder.embed(question.to_embed).mean(axis=0)
        vector = np.asarray(wordings / np.linalg.norm(wordings), np.float32)
        index = self._vectors("turn", embedder.name)
        near = index.nearest(
            vector,
            limit=DEPTH,
            session=self._session_number(filters.session_id),
            exclude_session=self._session_number(filters.exclude_session),
            exclude=self._numbers_of(filters.exclude_turns),
            scope=filters.scope,
        )
        return _Nearest(vector, index, PartVectors(self._store.file, embedder.name), near)

    def _add_near(self, candidates: dict[int, Candidate], found: _Nearest) -> None:
        for owner, cosine in zip(found.near.owners.tolist(), found.near.cosines.tolist(), strict=True):
            candidates.setdefault(owner, Candidate(owner)).cosine = cosine
        others = [number for number, each in candidates.items() if each.cosine is None]
        for number, cosine in found.index.cosines_of(found.query, others).items():
            candidates[number].cosine = cosine
        for number, parts in found.parts.nearness(found.query, list(candidates)).items():
            candidates[number].around, candidates[number].sentence = parts.around, parts.sentence

    def _add_pictures(self, candidates: dict[int, Candidate], query: str, filters: Filters) -> None:
        hits = self.pictures.find(query, filters, must_bear=True)
        weight = ASKED_PICTURE_WEIGHT if picture_question(query).is_about_pictures else 1.0
        for rank, hit in enumerate(hits, start=1):
            candidates.setdefault(hit.turn, Candidate(hit.turn)).ranks.append((weight, rank))

    def _fill(self, candidates: dict[int, Candidate], question: Question) -> list[Row]:
        """Rows of the candidates that are still live, and what these tell; the others are dropped."""
        found = self._rows_of(candidates)
        for number in candidates.keys() - {row["number"] for row in found}:
            del candidates[number]
        seen_alone = self._seen_alone([row["id"] for row in found if not row["text"].strip()])
        is_asked_for: dict[tuple[str, str], bool] = {}
        for row in found:
            each = candidates[row["number"]]
            each.session = row["session_id"]
            each.is_seen_alone = row["id"] in seen_alone
            spoke = row["role"], row["speaker"]
            if spoke not in is_asked_for:
                is_asked_for[spoke] = question.is_for(*spoke)
            each.is_asked_for = is_asked_for[spoke]
            each.is_asking = row["text"].rstrip().endswith(("?", "？"))
            if question.span is not None:
                each.timeliness = _timeliness(row["created_at"], question.span)
        return found

    def _seen_alone(self, wordless: Sequence[str]) -> set[str]:
        """Ids of those of these turns that are pictures and nothing else."""
        found = self._store.file.rows(
            "SELECT turn_id FROM attachments WHERE turn_id IN (SELECT value FROM json_each(?))"
            " GROUP BY turn_id HAVING min(kind) = 'image'",  # 'audio' comes before it
            (json.dumps(wordless),),
        )
        return {row["turn_id"] for row in found}

    def _turn_vectors(self, embedder: Embeds) -> TurnVectors:
        return TurnVectors(self._store, embedder, self._vectors("turn", embedder.name))

    def _vectors(self, kind: OwnerKind, model: str) -> VectorIndex:
        with self._lock:
            key = (kind, model)
            if key not in self._indexes:
                self._indexes[key] = VectorIndex(self._store.file, kind, model)
            return self._indexes[key]

    def _rows_of(self, numbers: Iterable[int]) -> list[Row]:
        return self._store.file.rows(
            f"SELECT {_COLUMNS} FROM json_each(?) w JOIN turns t ON t.number = w.value WHERE {LIVE_TURN}",
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


def _stored_time(moment: datetime) -> str:
    """As far as it is the same in every spelling of `created_at`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _timeliness(created_at: str, span: TimeSpan) -> float:
    created = datetime.fromisoformat(created_at)
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    if span.start <= created < span.end:
        return 1.0
    return 0.5 if span.end <= created < span.end + max(TOLD_LATER, span.length) else 0.0


def _copy_key(row: Row) -> tuple[str, str]:
    return row["role"], " ".join(row["text"].casefold().split())


def _without_copies(found: list[Row], seen: set[tuple[str, str]], most: int) -> list[Row]:
    """The first turns that do not say the very same as an earlier one (forks, repeated questions) or one in `seen`."""
    kept: list[Row] = []
    for row in found:
        if len(kept) >= most:
            break
        key = _copy_key(row)
        if key not in seen or not key[1]:
            kept.append(row)
        seen.add(key)
    return kept
