"""A conversation summed up for the person who takes it over.

Nothing in it is written anew: what was said is quoted, what was answered is quoted with what it cited, and what was
seen and heard stands as it was stored. `chat.hand_over_text` lays it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat import paths
from mmchat.chat.mood import Reason, exchanges_of, suggestions
from mmchat.chat.role_actions import IDLE_INTENTS, SURE, action_for, language_spoken, spoken_words
from mmchat.chat.wording import describe
from mmchat.chat.worth import is_asking, is_small_talk
from mmchat.domain import OUT_OF_SCOPE, Attachment, HandOver, Session, Turn
from mmchat.errors import MemoryStoreError, MmchatError, UsageError
from mmchat.memory import hand_overs as rows
from mmchat.memory.ids import new_id, now_text
from mmchat.moments import local_day
from mmchat.picture_sentences import caption_of

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore
    from mmchat.role_values import Persona

OWN_WORDS_CHARACTERS = 600
"""The customer's own sentences together."""
WANTED_AT_MOST = 8
ANSWERED_AT_MOST = 10
"""Of more, the last: the talk goes on from them."""
CARRIED_CHARACTERS = 1_000
"""A message or a reply is carried up to here; whole, it stands in the conversation."""

ASKED = "asked"
"""The reason where nobody suggested a person."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that the customer wants."""

    intent: str
    """Empty where intents are not read: then a message that asks for something."""
    probability: float
    words: str
    """The message that said it best."""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """A message and what was said to it."""

    asked: str
    reply: str
    cited: tuple[str, ...] = ()
    """File and heading of what the reply was told."""


@dataclass(frozen=True, slots=True)
class Open:
    """A message that got no answer."""

    asked: str
    why: str
    """"unknown", "forbidden", "broken off", "person" (one was wanted) or "prepared" (the role's own reply is all)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture or a sound."""

    name: str
    kind: str
    words: str
    """What was heard, or what was seen."""
    text: str = ""
    """What stands in a picture."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All that a person is told. Field names are those of `sessions handover --json`."""

    session: str
    title: str
    role: str
    language: str
    """That the customer speaks."""
    began_at: str
    ended_at: str
    messages: int
    reason: str
    wanted: tuple[Wanted, ...]
    own_words: tuple[str, ...]
    answered: tuple[Answered, ...]
    open: tuple[Open, ...]
    files: tuple[Shown, ...]
    moods: tuple[float, ...]


class HandingOver:
    """Prepares hand-overs of one conversation."""

    def __init__(self, store: MemoryStore, persona: Persona | None, get_session: Callable[[], Session | None]) -> None:
        """`persona`: whom the conversation is with."""
        self._store = store
        self._persona = persona
        self._get_session = get_session

    def prepare(self) -> HandOver:
        """Sum the conversation up as it is now, to be looked at.

        It is kept where a person was suggested, for that is taken up so; else once `keep` is told that it was used.

        Raises:
            UsageError: nothing was said yet.
        """
        made, _ = self.with_summary()
        return made if made.reason == ASKED else self.keep(made)

    def with_summary(self) -> tuple[HandOver, Summary]:
        """The same, with what it says piece by piece; nothing is kept. Raises UsageError."""
        from mmchat.chat.hand_over_text import as_text

        session = self._get_session()
        turns = self._store.turns(session.id) if session is not None else ()
        if session is None or not any(turn.role == "user" for turn in turns):
            raise _nothing_said()
        summary = sum_up(session, turns, self._persona)
        return HandOver(new_id(), session.id, summary.reason, as_text(summary), now_text()), summary

    def keep(self, made: HandOver) -> HandOver:
        """Keep a summary that was copied, written or passed on; one that is kept already is not kept twice."""
        return rows.keep_hand_over(self._store, made)

    def path_for(self, argument: str, cwd: Path) -> Path:
        """Where it is to be written: as named, in the folder that was named, or of a name of our own in `cwd`.

        Raises:
            UsageError: nothing was said yet.
        """
        session = self._get_session()
        if session is None:
            raise _nothing_said()
        path = (cwd / Path(argument).expanduser()) if argument.strip() else cwd
        return path / f"handover-{local_day(session.updated_at)}-{session.id[-6:]}.md" if path.is_dir() else path


def _nothing_said() -> UsageError:
    return UsageError("Nothing was said yet, so there is nothing to hand over.", hint="Say something first.")


def write_summary(text: str, path: Path) -> None:
    """Write a summary, in the place of what is there.

    Raises:
        MemoryStoreError: it cannot be written; a file that was there is as it was.
    """
    try:
        paths.replace_text(path, text, is_private=True)
    except OSError as error:
        raise MemoryStoreError(
            f"{path} could not be written: {error.strerror or error}.", hint="Give another name or folder."
        ) from error


def persona_of(session: Session) -> Persona | None:
    """Whom a stored conversation was with; None for nobody, and where the role's file is gone."""
    from mmchat.chat.roles import find_named

    try:
        return find_named(session.role) if session.role else None
    except MmchatError:  # what was said stands without it
        return None


def sum_up(session: Session, turns: Sequence[Turn], persona: Persona | None) -> Summary:
    """What a person needs to know of a conversation."""
    said = [turn for turn in turns if turn.role == "user"]
    replies = {turn.parent_id: turn for turn in turns if turn.role == "assistant" and turn.parent_id is not None}
    language = language_spoken(persona, turns)
    answered = [_answered(turn, replies[turn.id]) for turn in said if _is_answered(turn, replies.get(turn.id))]
    moods = (turn.understood.mood for turn in said if turn.understood is not None)
    return Summary(
        session=session.id,
        title=session.title,
        role=persona.role.text(language).title if persona is not None else session.role,
        language=language,
        began_at=turns[0].created_at,
        ended_at=turns[-1].created_at,
        messages=len(said),
        reason=_reason(turns, persona),
        wanted=_wanted(said),
        own_words=_own_words(said),
        answered=tuple(answered[-ANSWERED_AT_MOST:]),
        open=_open(said, replies, persona, language),
        files=tuple(_shown(each, language) for turn in said for each in turn.attachments),
        moods=tuple(mood for mood in moods if mood is not None),
    )


def _reason(turns: Sequence[Turn], persona: Persona | None) -> Reason | str:
    """Why a person was suggested last."""
    told = [reason for reason in suggestions(exchanges_of(turns, persona)) if reason is not None]
    return told[-1] if told and persona is not None else ASKED


def _wanted(said: Sequence[Turn]) -> tuple[Wanted, ...]:
    """Intents in the order in which they came up, each with its surest message; else what asks for something."""
    found: dict[str, Wanted] = {}
    for turn in said:
        understood = turn.understood
        if understood is None or understood.topic or understood.intent in ("", OUT_OF_SCOPE):
            continue
        if understood.confidence < SURE or understood.intent in IDLE_INTENTS:
            continue
        now = Wanted(understood.intent, understood.confidence, _said(turn))
        known = found.get(now.intent)
        best = now if known is None or now.probability > known.probability else known
        found[now.intent] = replace(best, times=known.times + 1 if known is not None else 1)
    if not found:
        asking = dict.fromkeys(_said(turn) for turn in said if is_asking(spoken_words(turn)))
        return tuple(Wanted("", 0.0, words) for words in list(asking)[:WANTED_AT_MOST])
    return tuple(found.values())[:WANTED_AT_MOST]


def _own_words(said: Sequence[Turn]) -> tuple[str, ...]:
    """The sentences that stand best for all that they told."""
    from mmchat.chat.sentences import choose, sentences_of  # with the rules for facts: not before they are needed

    found = sentences_of(said)
    return tuple(choose(found, [len(each.text) for each in found], OWN_WORDS_CHARACTERS, None))


def _is_answered(turn: Turn, reply: Turn | None) -> bool:
    has_answer = reply is not None and bool(reply.text.strip()) and not _why_open(turn, reply)
    return has_answer and not is_small_talk(spoken_words(turn))


def _answered(turn: Turn, reply: Turn) -> Answered:
    cited = (note.passage.label for note in reply.recalled if note.passage is not None)
    return Answered(_said(turn), _cut(reply.text), tuple(dict.fromkeys(cited)))


def _why_open(turn: Turn, reply: Turn | None) -> str:
    if reply is None or (reply.status != "complete" and not reply.text.strip()):
        return "broken off"
    return reply.prepared if reply.prepared in ("unknown", "forbidden") else ""


def _open(
    said: Sequence[Turn], replies: Mapping[str, Turn], persona: Persona | None, language: str
) -> tuple[Open, ...]:
    """What nobody answered, and what got no more than a reply that the role has ready; the same words once."""
    drawn = ((turn, replies.get(turn.id)) for turn in said)
    told = {
        _sure_intent(turn)
        for turn, reply in drawn
        if reply is not None and reply.prepared != "intent" and _is_answered(turn, reply)
    }
    found: dict[str, Open] = {}
    asked_for: set[str] = set()
    for turn in said:
        why = _why_open(turn, replies.get(turn.id))
        intent = _sure_intent(turn)
        if not why and intent and intent not in IDLE_INTENTS:
            action = action_for(turn.understood, persona, language)
            if action is not None and action.hand_over:
                why = "person" if intent not in asked_for else ""
            elif intent not in told | asked_for and replies[turn.id].prepared == "intent":
                why = "prepared"
            if why:
                asked_for.add(intent)
        if why:
            found.setdefault(_said(turn), Open(_said(turn), why))
    return tuple(found.values())


def _sure_intent(turn: Turn) -> str:
    understood = turn.understood
    is_sure = understood is not None and not understood.topic and understood.confidence >= SURE
    return understood.intent if understood is not None and is_sure else ""


def _shown(attachment: Attachment, language: str) -> Shown:
    if attachment.heard is not None:
        return Shown(attachment.name, attachment.kind, _cut(attachment.heard.text))
    seen = attachment.seen
    if seen is None:
        return Shown(attachment.name, attachment.kind, "")
    caption = caption_of(seen, is_chinese=language == "zh") or describe(seen, is_chinese=language == "zh")
    return Shown(attachment.name, attachment.kind, caption, _cut(seen.text))


def _said(turn: Turn) -> str:
    """A message on one line; of one without words, the names of its files."""
    return _cut(spoken_words(turn)) or ", ".join(each.name for each in turn.attachments)


def _cut(text: str) -> str:
    """A text on one line, as far as it is carried."""
    line = " ".join(text.split())
    return line if len(line) <= CARRIED_CHARACTERS else line[: CARRIED_CHARACTERS - 1].rstrip() + "…"
