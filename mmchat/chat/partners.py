"""The other half of a recalled turn: a question goes with its answer, an answer with its question.

"Biscuit." says nothing without "What is your dog called?", and "Soak it in cold water." nothing without what was to be
soaked. What stands for itself is told alone: a small model drowns in notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmchat.chat.reply import REPEATED
from mmchat.chat.worth import asks_at_end, is_asking, speaks_of_self
from mmchat.domain import Partner, Recalled, Turn
from mmchat.memory.exchanges import Exchange, exchanges
from mmchat.memory.rows import told_text
from mmchat.patterns import later

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore

SHORT_ANSWER = 60
"""Characters up to which an answer of the user's is taken for one that says little without its question."""
_STOCK = later(
    r"\b(?:how|what|anything|something) (?:else )?(?:can|may|could|would|do) (?:i|you) (?:help|assist|do for|like me)"
    r"|\b(?:anything|something|what) else\b|\blike to know more\b|\bhow are you\b"
    r"|(?:可以|能)(?:为|帮)(?:你|您|到)|帮(?:助|到)?(?:你|您)|还有(?:什么|其他)|你好吗"
)
"""Questions that are no more than manners."""


def with_partners(store: MemoryStore, found: Sequence[Recalled], hidden: Iterable[str]) -> tuple[Recalled, ...]:
    """Recalled turns, each with the other half of its exchange where it needs that; no exchange twice.

    A question of the model's gives its place to what the user answered. Replies that went round in circles, which
    would lead the next one there, are left out.

    Args:
        store: holds the turns.
        found: turns, best first.
        hidden: ids of turns that the model sees anyway.
    """
    hidden, told = set(hidden), set[str]()
    known = exchanges(store, [note.turn for note in found])
    whole: list[Recalled] = []
    for note in found:
        exchange = known.get(note.turn)
        if exchange is None or exchange.turn.notice == REPEATED:
            continue
        note = _with_partner(note, exchange)
        halves = {note.turn, *([note.partner.turn] if note.partner is not None else ())}
        if note.partner is not None and note.partner.turn in hidden:
            note = replace(note, partner=None)
        if not halves & told and note.turn not in hidden:
            whole.append(note)
            told |= halves
    return tuple(whole)


def _with_partner(note: Recalled, exchange: Exchange) -> Recalled:
    before, after = exchange.before, exchange.after
    if note.attachment is not None and note.attachment.seen is not None:
        return note  # "What is this?" is told with what was seen
    if note.role == "user":
        if is_asking(note.text):
            return replace(note, partner=_partner(after) if _is_good_answer(after) else None)
        is_answer = is_answer_alone(note.text) and _is_question(before)
        return replace(note, partner=_partner(before, is_first=True)) if is_answer else note
    if _is_question(exchange.turn) and after is not None and after.role == "user" and not is_asking(_words(after)):
        answer = Recalled(note.session, after.id, "user", _words(after), after.created_at, note.score)
        return replace(answer, partner=_partner(exchange.turn, is_first=True)) if answer.text else note
    is_answer = before is not None and before.role == "user" and is_asking(_words(before))
    return replace(note, partner=_partner(before, is_first=True)) if is_answer else note


def _partner(turn: Turn | None, *, is_first: bool = False) -> Partner | None:
    return Partner(turn.id, turn.role, _words(turn), is_first) if turn is not None else None


def _words(turn: Turn) -> str:
    return told_text(turn.text, turn.attachments)


def is_answer_alone(text: str) -> bool:
    """Whether a message of the user's may be an answer that says little without its question: "Biscuit."."""
    return len(text) <= SHORT_ANSWER and not speaks_of_self(text)


def _is_question(turn: Turn | None) -> bool:
    if turn is None or turn.role != "assistant" or turn.notice == REPEATED:
        return False
    return asks_at_end(turn.text) and not _STOCK().search(turn.text.casefold())


def _is_good_answer(turn: Turn | None) -> bool:
    """Whether it is a reply that is worth quoting: one with words, that did not fail and was not disliked."""
    if turn is None or turn.role != "assistant" or turn.notice == REPEATED or turn.status == "failed":
        return False
    return bool(turn.text.strip()) and (turn.rating is None or turn.rating.mark != "bad")
