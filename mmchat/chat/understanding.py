"""What the user's messages are taken to want, how they sound, and what a role does about it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmchat.chat.mood import exchanges_of, person_suggested
from mmchat.chat.prepared import Prepared
from mmchat.chat.remembering import searchable_text
from mmchat.chat.role_actions import (
    IDLE_INTENTS,
    SURE_OF_REPLY,
    answers_questions,
    hand_over_offer,
    own_reply,
    refusal,
    spoken_words,
    wants_person,
)
from mmchat.domain import (
    OUT_OF_SCOPE,
    Likely,
    MessageUnderstood,
    Notice,
    PersonSuggested,
    ReplyEvent,
    Turn,
    Understood,
    WorkStarted,
)
from mmchat.errors import (
    ConfigError,
    DeviceError,
    EngineUnavailable,
    MediaError,
    MmchatError,
    ModelNotFound,
    WeightsError,
)
from mmchat.memory.text_search import cjk_share
from mmchat.memory.understood import save_understood
from mmchat.patterns import later
from mmchat.role_values import Persona

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmchat.chat.ports import Engines
    from mmchat.engines.base import IntentReader
    from mmchat.memory.store import MemoryStore

TOPIC = "forbidden:"
"""Before the label of a forbidden topic, so that it is no intent of the same name."""
SURE_TOPIC = 0.5
"""A topic is refused from this probability on."""
MAX_CLAUSES = 6
"""Of a long message, the first so many parts are read by themselves too."""
_CLAUSE_END = later(r"[，。；！？\n]+|[,;.!?]+(?=\s|$)")
KEPT_INTENTS = 3
"""The likeliest few are stored: the one that is acted on, and its runners-up."""

_CANNOT_READ = (ConfigError, ModelNotFound, EngineUnavailable, WeightsError, DeviceError, MediaError)


class Understanding:
    """Reads the messages of one conversation."""

    def __init__(
        self,
        store: MemoryStore,
        engines: Engines,
        persona: Persona | None,
        *,
        intent_model: str = "",
        reads_mood: bool = False,
    ) -> None:
        """Nothing is read without a role that asks for it, or one of the last two.

        Args:
            store: keeps what is read.
            engines: what reads.
            persona: whose intents and topics.
            intent_model: a head that tells intents where nobody is played.
            reads_mood: read the mood whoever is played.
        """
        self._store = store
        self._engines = engines
        self._persona = persona
        role = persona.role if persona is not None else None
        self._intents: Mapping[str, tuple[str, ...]] = role.intents if role is not None else {}
        self._topics = {TOPIC + topic: messages for topic, messages in role.forbid.items()} if role is not None else {}
        self._head = role.intent_model if role is not None else intent_model
        self._reads_mood = reads_mood or (role is not None and role.reads_mood)
        self._told: set[str] = set()
        """Problems that the user was told of; once is enough."""

    @property
    def reads(self) -> bool:
        """Whether anything is read of messages."""
        return bool(self._head or self._intents or self._topics or self._reads_mood)

    def read(self, question: Turn) -> Generator[ReplyEvent, None, Turn]:
        """Read a message, with what was heard and seen in its files, and store what it is taken for.

        A reader that cannot be had is told of once, and the turn goes on without it.

        Returns:
            The message with `understood`.
        """
        if not self.reads:
            return question
        yield WorkStarted("reading what is wanted")
        intents: tuple[Likely, ...] = ()
        topic, reader, mood = "", "", None
        try:
            intents, topic, reader = self._read_intents(question)
        except _CANNOT_READ as error:
            yield from self._tell("What is wanted is not read", error)
        try:
            mood = self._read_mood(question)
        except _CANNOT_READ as error:
            yield from self._tell("Moods are not read", error)
        if not reader and mood is None:
            return question
        understood = Understood(intents, topic, mood, reader)
        save_understood(self._store, question.id, understood)
        yield MessageUnderstood(question.id, understood)
        return replace(question, understood=understood)

    def _read_intents(self, question: Turn) -> tuple[tuple[Likely, ...], str, str]:
        """The likeliest intents, the forbidden topic if it is one, and what read them; nothing where nobody asks."""
        if not (self._head or self._intents or self._topics) or not searchable_text(question):
            return (), "", ""
        if not self._head:
            reader = self._engines.intent_reader({**self._intents, **self._topics})
            likely = self._surest(reader, question)
            return self._intents_of(likely), _topic_of(likely), reader.name
        head = self._engines.intent_reader({}, self._head)
        topics: tuple[Likely, ...] = ()
        if self._topics:  # what a head knows was settled when it was trained
            topics = self._surest(self._engines.intent_reader(self._topics), question)
        return self._intents_of(self._surest(head, question)), _topic_of(topics), head.name

    def _surest(self, reader: IntentReader, question: Turn) -> tuple[Likely, ...]:
        """What a message is likeliest to want: by the user's own words, or by them with what was seen, if surer.

        What stands in a picture says what "this" is, and drowns a sentence that is clear by itself. In the same way
        an order number drowns the wish for a person beside it: a wish that is clear in one part of the message goes
        before what wants nothing, and that for a person before all.
        """
        image, own, whole = _first_picture(question), spoken_words(question), searchable_text(question)
        readings = [reader.read(text, image) for text in dict.fromkeys((own, whole)) if text]
        best = max(readings, key=_sureness)
        clear = [each for text in _clauses(own) if _sureness(each := reader.read(text)) >= SURE_OF_REPLY]
        for each in sorted((best, *clear), key=_sureness, reverse=True):
            if each and wants_person(each[0], self._persona):
                return each
        is_unsure = _sureness(best) < SURE_OF_REPLY
        wishes = [each for each in clear if each[0].label not in IDLE_INTENTS]
        if wishes and (is_unsure or best[0].label in IDLE_INTENTS):
            return max(wishes, key=_sureness)
        return max(clear, key=_sureness) if clear and is_unsure else best

    def _intents_of(self, likely: Sequence[Likely]) -> tuple[Likely, ...]:
        if not (self._head or self._intents):
            return ()
        return tuple(each for each in likely if not each.label.startswith(TOPIC))[:KEPT_INTENTS]

    def _read_mood(self, question: Turn) -> float | None:
        words = spoken_words(question)
        return self._engines.mood_reader().read(words) if self._reads_mood and words else None

    def _tell(self, what: str, error: MmchatError) -> Iterator[ReplyEvent]:
        text = f"{what}: {error.message} {error.hint}".rstrip()
        if text not in self._told:
            self._told.add(text)
            yield Notice(text)

    def prepared(self, question: Turn, history: Sequence[Turn]) -> Prepared | None:
        """What is said instead of the model: an intent's own reply, or that a topic is forbidden. None: nothing."""
        if text := refusal(question, history, self._persona):
            return Prepared("forbidden", text)
        if answers_questions(question, self._persona):
            return self.otherwise(question, history)
        return None

    def otherwise(self, question: Turn, history: Sequence[Turn]) -> Prepared | None:
        """An intent's own reply to a question about which the documents say nothing sure. None: there is none."""
        text = own_reply(question, history, self._persona)
        return Prepared("intent", text) if text else None

    def afterwards(self, question: Turn, history: Sequence[Turn], reply: Turn) -> Iterator[ReplyEvent]:
        """Whether a person is suggested now."""
        if self._persona is None or (question.understood is None and reply.prepared != "unknown"):
            return  # what suggests a person is a wish or a mood that was read, or one more answer that is not known
        turns = (*history, question, reply)
        if reason := person_suggested(exchanges_of(turns, self._persona)):
            offer = hand_over_offer(self._persona, turns)
            if offer == reply.text:  # said just now; the line that names the command says it in other words
                offer = hand_over_offer(None, turns)
            yield PersonSuggested(offer, reason)


def _clauses(text: str) -> list[str]:
    """The parts of a message that stand by themselves; empty where it is one."""
    parts = [part.strip() for part in _CLAUSE_END().split(text)]
    found = [part for part in parts if len(part.split()) > 1 or cjk_share(part) > 0 and len(part) > 2]
    return found[:MAX_CLAUSES] if len(parts) > 1 else []


def _sureness(likely: Sequence[Likely]) -> float:
    return likely[0].probability if likely and likely[0].label != OUT_OF_SCOPE else 0.0


def _topic_of(likely: Sequence[Likely]) -> str:
    """The forbidden topic that a message is about, if that is what it is likeliest about; empty for none."""
    best = likely[0] if likely else None
    if best is None or not best.label.startswith(TOPIC) or best.probability < SURE_TOPIC:
        return ""
    return best.label.removeprefix(TOPIC)


def _first_picture(turn: Turn) -> Image | None:
    """Raises MediaError."""
    from mmchat.engines.image_io import open_image

    picture = next((each for each in turn.attachments if each.kind == "image"), None)
    return open_image(picture.path) if picture is not None else None
