"""What the documents at hand say to a message, and what is said where they say nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.chat.prepared import Prepared
from mmchat.chat.remembering import searchable_text
from mmchat.domain import Notice, Recalled, ReplyEvent, Turn, WorkStarted
from mmchat.errors import DeviceError, EngineUnavailable, WeightsError
from mmchat.knowledge_values import OWN_SHELF
from mmchat.role_values import Persona
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from mmchat.chat.own_words import Embed
    from mmchat.chat.ports import Engines
    from mmchat.memory.knowledge import Knowledge
    from mmchat.memory.store import MemoryStore

MAX_PASSAGES = 3
"""Few: what is found fourth seldom answers, and a small model drowns in notes."""
MIN_NAME = 2
"""Letters of a name that is read in a picture."""
MOST_KEYWORDS, MOST_KEYWORDS_ZH = 5, 10
"""What is no longer and says nothing of the one who writes it is taken for a search: words, Chinese characters."""
DEPTH = 8
"""How many are looked at, for those in the message's language and for what could be asked instead."""
KIND_BONUS = 0.1
"""What a passage has before others that names what is asked for."""
LEAST_OWN = 0.34
"""A question that goes on from the one before it is answered by a passage that holds this share of its own words."""


@dataclass(frozen=True, slots=True)
class _LookedUp:
    """What was found for one message."""

    question_id: str = ""
    before: str = ""
    """The question that the message goes on from; empty where it stands for itself."""
    sure: tuple[Recalled, ...] = ()
    near: tuple[Recalled, ...] = ()
    """What comes nearest, sure or not."""
    is_named: bool = False
    """What was found is what a picture of the message names."""


class Consulting:
    """Looks up the passages that bear on a message."""

    def __init__(
        self,
        store: MemoryStore,
        engines: Engines,
        persona: Persona | None,
        knowledge: Callable[[], Knowledge] | None = None,
    ) -> None:
        """Nothing is loaded before there is something to look up.

        Args:
            store: where the documents are.
            engines: brings the embedder.
            persona: whose documents, beside the user's own where it shares their memory; None: the user's alone.
            knowledge: makes what searches; `memory.knowledge.Knowledge` on the store unless given.
        """
        self._store = store
        self._engines = engines
        self._persona = persona
        self._make = knowledge
        self._knowledge: Knowledge | None = None
        self._looked = _LookedUp()

    @property
    def shelves(self) -> tuple[str, ...]:
        """Whose documents are looked in."""
        if self._persona is None:
            return (OWN_SHELF,)
        role = self._persona.role
        return (role.name,) if role.memory == "own" else (role.name, OWN_SHELF)

    def passages(self, question: Turn, history: Sequence[Turn]) -> Generator[ReplyEvent, None, tuple[Recalled, ...]]:
        """At most `MAX_PASSAGES`, best first; each is told to the model, unless it sees it already, and cited."""
        from mmchat.chat.asking import is_chat
        from mmchat.memory.contents import has_passages

        self._looked = _LookedUp()
        query = _asked(question)
        if not query or is_chat(query) or not has_passages(self._store, self.shelves):
            return ()
        yield WorkStarted("looking it up")
        try:
            self._looked = self._look_up(question, query, history)
        except (EngineUnavailable, WeightsError, DeviceError) as error:
            yield Notice(f"Looking it up by words only: {error}")
            self._looked = self._look_up(question, query, history, use_vectors=False)
        return self._looked.sure

    def prepared(self, question: Turn, passages: Sequence[Recalled]) -> Prepared | None:
        """What is said instead of the model: that it is not known, or the documents' own words. None: nothing."""
        from mmchat.chat.asking import is_chat, wants_answer
        from mmchat.chat.role_actions import speaks_prepared, spoken_words
        from mmchat.chat.unknown import unknown_reply

        role = self._persona.role if self._persona is not None else None
        if role is None:
            return None
        words = spoken_words(question)
        is_closed = speaks_prepared(self._persona) and not is_chat(words)
        wants = wants_answer(words) or not words or (is_closed and _is_keywords(words))
        is_quoting = role.answers == "quote"
        if passages and is_quoting and (wants or not is_closed) and (said := self._quoted(question, passages)):
            return said
        is_told = bool(passages) and not is_quoting  # what is not quoted bears on the matter and answers nothing
        if is_told or not role.is_bound_to_documents or not (wants or is_closed):
            return None
        near = self._looked.near if self._looked.question_id == question.id else ()
        return Prepared("unknown", unknown_reply(self._store, self._persona, question, self.shelves, near))

    # --- within -------------------------------------------------------------------------------------

    def _find(self, query: str, *, use_vectors: bool) -> tuple[Recalled, ...]:
        if self._knowledge is None:
            from mmchat.memory.knowledge import Knowledge

            self._knowledge = self._make() if self._make else Knowledge(self._store, self._engines.embedder)
        return self._knowledge.find(query, shelves=self.shelves, k=DEPTH, use_vectors=use_vectors)

    def _look_up(self, question: Turn, query: str, history: Sequence[Turn], *, use_vectors: bool = True) -> _LookedUp:
        from mmchat.chat.asking import goes_on, points_back

        near = self._find(query, use_vectors=use_vectors)
        if (shown := _names_shown(question)) and points_back(query):
            named = self._named(query, shown, use_vectors=use_vectors)
            if named:
                return _LookedUp(question.id, shown, _in_language(query, named)[:1], near, is_named=True)
        sure = tuple(note for note in near if note.is_sure)
        went_on = ""
        before = _asked_before(history)
        if before and (points_back(query) or (goes_on(query) and not sure)):
            more = self._going_on(query, before, history, use_vectors=use_vectors)
            if more:
                sure, went_on = _each_once((*more, *sure)), before
        if not sure and (seen := searchable_text(question)) != query:
            # What stands in a picture adds to what was asked, but does not decide.
            sure = self._with_more(query, seen, (), use_vectors=use_vectors)
        told = _fitting(query, _in_language(query, sure))[:MAX_PASSAGES]
        return _LookedUp(question.id, went_on, told, near)

    def _going_on(self, query: str, before: str, history: Sequence[Turn], *, use_vectors: bool) -> tuple[Recalled, ...]:
        """What bears on a message together with the question before it; of that, what holds some of its own words."""
        cited = [note for note in _cited_last(history) if note.passage is not None and note.passage.text]
        return self._with_more(query, f"{before} {query}", cited, use_vectors=use_vectors)

    def _named(self, query: str, shown: str, *, use_vectors: bool) -> tuple[Recalled, ...]:
        """What bears on a message about "this", of that which a picture names: the passages that hold the name."""
        from mmchat.chat.answer_kinds import answers, kind_of
        from mmchat.chat.excerpts import holds, share, wanted_words

        kind = kind_of(query)
        names = [word for word in wanted_words(shown) if len(word) >= MIN_NAME]
        weights = dict.fromkeys(wanted_words(query), 1.0)

        def bears(text: str) -> bool:
            is_asked = not weights or share(text, weights) > 0 or (kind is not None and answers(kind, text))
            return is_asked and any(holds(text, name) for name in names)

        found = self._find(f"{shown} {query}", use_vectors=use_vectors)
        named = [each for each in found if each.passage and bears(f"{each.passage.heading}\n{each.text}")]
        # "Heron" is the Heron before it is the Tall Heron.
        return tuple(sorted(named, key=lambda each: _more_than(names, each)))

    def _with_more(
        self, query: str, whole: str, known: Sequence[Recalled], *, use_vectors: bool
    ) -> tuple[Recalled, ...]:
        """What bears on a longer text, or is known already; of that, what holds some of the query's own words."""
        from mmchat.chat.asking import points_back
        from mmchat.chat.excerpts import share, wanted_words

        found = [*(note for note in self._find(whole, use_vectors=use_vectors) if note.is_sure), *known]
        weights = dict.fromkeys(wanted_words(query), 1.0)
        is_pointing = points_back(query)

        def bears(note: Recalled) -> bool:
            own = share(note.text, weights, note.passage.heading if note.passage is not None else "")
            return not weights or own >= (0.0 if is_pointing else LEAST_OWN)

        return _each_once(tuple(note for note in found if bears(note)))

    def _quoted(self, question: Turn, passages: Sequence[Recalled]) -> Prepared | None:
        from mmchat.chat.own_words import own_words

        query = _asked(question)
        before = self._looked.before if self._looked.question_id == question.id else ""
        said = own_words(query, passages, self._embed(query), before=before)
        if said is None or not (said.is_sure or self._looked.is_named):
            return None
        return Prepared("quote", said.text, said.cited)

    def _embed(self, query: str) -> Embed | None:
        """What compares sentences by meaning, in the languages that the embedder knows; None without one."""
        from mmchat.memory.question import can_compare

        try:
            embedder = self._engines.embedder()
        except (EngineUnavailable, WeightsError, DeviceError):
            return None  # said when the passages were looked up
        return embedder.embed if embedder is not None and can_compare(embedder, query) else None


def _more_than(names: Sequence[str], note: Recalled) -> int:
    """How many words a passage's heading has beside some names."""
    from mmchat.chat.excerpts import wanted_words

    tail = note.passage.heading.rpartition(" › ")[2] if note.passage is not None else ""
    return sum(word not in names for word in wanted_words(tail))


def _names_shown(turn: Turn) -> str:
    """The words that stand in a message's pictures, numbers left out."""
    texts = [attachment.seen.text for attachment in turn.attachments if attachment.seen is not None]
    return " ".join(word for word in " ".join(texts).split() if word.isalpha())


def _asked(turn: Turn) -> str:
    """The user's own words; where there are none, what is seen in their pictures."""
    from mmchat.chat.role_actions import spoken_words

    return spoken_words(turn).strip() or searchable_text(turn)


def _is_keywords(words: str) -> bool:
    """Whether it is what one types into a search box: "free shipping", 检查费."""
    from mmchat.chat.worth import speaks_of_self
    from mmchat.script import is_mostly_chinese

    is_chinese = is_mostly_chinese(words)
    is_short = len(words) <= MOST_KEYWORDS_ZH if is_chinese else len(words.split()) <= MOST_KEYWORDS
    return is_short and not speaks_of_self(words)


def _asked_before(history: Sequence[Turn]) -> str:
    """The last question of the user's, for one that goes on from it."""
    from mmchat.chat.asking import is_chat

    for turn in reversed(history):
        if turn.role == "user" and (text := _asked(turn)) and not is_chat(text):
            return text
    return ""


def _cited_last(history: Sequence[Turn]) -> list[Recalled]:
    """Passages that the last reply with any was told."""
    for turn in reversed(history):
        told = [note for note in turn.recalled if note.passage is not None]
        if told:
            return told
    return []


def _each_once(notes: Sequence[Recalled]) -> tuple[Recalled, ...]:
    kept: dict[str, Recalled] = {}
    for note in notes:
        if note.passage is not None:
            kept.setdefault(note.passage.id, note)
    return tuple(kept.values())


def _in_language(query: str, found: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """Those in the language of the question, where there are any: documents often stand there in both."""
    is_chinese = is_mostly_chinese(query)
    own = tuple(note for note in found if is_mostly_chinese(note.text) == is_chinese)
    return own or tuple(found)


def _fitting(query: str, found: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """Best first, those a little before others that name what is asked for: a duration, a price."""
    from mmchat.chat.answer_kinds import answers, kind_of

    kind = kind_of(query)
    if kind is None:
        return tuple(found)
    return tuple(sorted(found, key=lambda note: -note.score - KIND_BONUS * answers(kind, note.text)))
