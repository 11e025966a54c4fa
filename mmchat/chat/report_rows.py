"""What a report found wanting as rows for finetuning, and as a sheet of what people have to add to it.

A row teaches, so nothing becomes one but what somebody said is right: a better text, an answer or an intent that was
written into the sheet, the role's own example messages. The rest waits in the sheet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mmchat.chat.report_sheet import Fill, SheetLine
from mmchat.chat.report_values import Report
from mmchat.chat.roles import find_named
from mmchat.domain import Rating, Session, Turn
from mmchat.errors import ConfigError, UsageError
from mmchat.memory.rated_rows import rated_rows
from mmchat.memory.ratings import RatedReply, rated_replies
from mmchat.memory.report import Exchange, Scope, rated_answers
from mmchat.memory.rows import told_text

if TYPE_CHECKING:
    from mmchat.memory.export_rows import PathOf
    from mmchat.memory.store import MemoryStore
    from mmchat.role_values import Role

RowsAs = Literal["dialogue", "preference", "label"]
ROWS_AS: tuple[RowsAs, ...] = ("dialogue", "preference", "label")
FILL: dict[RowsAs, Fill] = {"dialogue": "answer", "preference": "answer", "label": "label"}
CONFIRMED = "ok"
"""Written in the place of a label: the intent was read rightly."""
UNSURE = 0.5
"""A message whose intent is less sure than that is to be looked at."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportRows:
    """Rows, and the sheet of what they lack."""

    rows: tuple[Row, ...]
    lines: tuple[SheetLine, ...]
    """Filled ones last."""
    filled: int
    """Messages with an answer or a label out of the sheet."""
    better: int = 0
    """Replies with a better text."""
    examples: int = 0
    """Example messages of the role."""

    @property
    def waiting(self) -> int:
        """Lines that nobody filled in yet."""
        return sum(not line.fill for line in self.lines)


@dataclass(frozen=True, slots=True)
class Wanting:
    """A message that something is wrong with."""

    message: Exchange
    why: str
    nearest: str = ""


def wanting(
    report: Report, found: Sequence[Exchange], rated: Mapping[str, int], *, with_unsure: bool, why: Mapping[str, str]
) -> list[Wanting]:
    """Unanswered messages, group by group, then those with a badly rated reply, then those read with doubt.

    Args:
        report: of the same conversations.
        found: the exchanges.
        rated: marks of replies, by their ids.
        with_unsure: whether doubt about the intent matters.
        why: words for each reason.
    """
    by_turn = {each.turn: each for each in found}
    chosen: dict[str, Wanting] = {}
    for gap in report.gaps:
        near = " › ".join(part for part in (gap.nearest_document, gap.nearest_heading) if part)
        reasons = ", ".join(why[reason] for reason in gap.reasons)
        for turn in gap.turns:
            chosen[turn] = Wanting(by_turn[turn], reasons, near)
    for each in found:
        if rated.get(each.reply, 0) < 0:
            chosen.setdefault(each.turn, Wanting(each, "rated bad"))
    if with_unsure:
        for each in found:
            if each.intent and each.confidence < UNSURE:
                chosen.setdefault(each.turn, Wanting(each, "unsure"))
    return list(chosen.values())


# --- answers ----------------------------------------------------------------------------------------


def answer_rows(
    store: MemoryStore,
    scope: Scope,
    wanted: Sequence[Wanting],
    filled: Sequence[SheetLine],
    rows_as: Literal["dialogue", "preference"],
    path_of: PathOf,
) -> ReportRows:
    """Dialogues or preferences of the replies with a better text, and of the answers in the sheet.

    Args:
        store: where the conversations are.
        scope: which ratings count.
        wanted: what is to be answered.
        filled: lines of the sheet with an answer; one that the span leaves out counts all the same.
        rows_as: which rows.
        path_of: how an attachment's file is named in a row.
    """
    answers = {turn: line.fill for line in filled for turn in line.turns.split()}
    judged = [each for each in rated_answers(store, scope) if each.mark < 0 or each.has_better]
    rated, better = {each.turn for each in judged}, {each.turn for each in judged if each.has_better}
    questions = store.turns_with_ids(list(answers))
    rows: dict[str, Row] = {}
    ids = dict.fromkeys([*(each.session for each in judged), *(each.session_id for each in questions)])
    sessions = [store.get_session(session_id) for session_id in ids]
    marked: dict[str, list[RatedReply]] = {session_id: [] for session_id in ids}
    for reply in rated_replies(store, sessions):
        marked[reply.session.id].append(reply)
    for session in sessions:
        found = _told(
            session, store.turns(session.id), marked[session.id], rated, answers, is_learnt=rows_as == "dialogue"
        )
        for row in rated_rows(found, rows_as, path_of).rows:
            made = _with_persona(row, session) if rows_as == "dialogue" else _whole(row)
            rows[json.dumps(made, sort_keys=True)] = made
    lacking = [each for each in wanted if each.message.turn not in answers and each.message.reply not in better]
    replies = {each.id: each for each in store.turns_with_ids([each.message.reply for each in lacking])}
    lines = [
        _line(same, "a better answer" if same[0].why == "rated bad" else "an answer", replies)
        for same in _in_same_words(lacking)
    ]
    return ReportRows(tuple(rows.values()), (*lines, *filled), len(questions), better=len(better))


def _told(
    session: Session,
    turns: tuple[Turn, ...],
    marked: Sequence[RatedReply],
    rated: set[str],
    answers: Mapping[str, str],
    *,
    is_learnt: bool,
) -> list[RatedReply]:
    """The replies of a conversation that rows are made of, with answers out of the sheet as their better texts.

    Args:
        session: the conversation.
        turns: what is in view of it.
        marked: its rated replies.
        rated: ids of those that rows are made of; with them go the other replies to the same messages.
        answers: by the message's id.
        is_learnt: every reply before the last is learnt too; so exchanges in which it is wanting are left out.
    """
    asked = {each.history[-1].id for each in marked if each.reply.id in rated and each.history}
    found = {
        each.reply.id: replace(each, reply=_unless_drawn(each.reply) if each.reply.id in rated else each.reply)
        for each in marked
        if each.history and each.history[-1].id in asked and (_has_better(each.reply) or not each.reply.prepared)
    }
    changed: dict[str, Turn] = {}
    wanting_ids = set[str]()
    for position, turn in enumerate(turns):
        follows = turns[position + 1] if position + 1 < len(turns) else None
        reply = follows if follows is not None and follows.parent_id == turn.id else None
        if turn.role == "user" and turn.id in answers:
            answered = _answered(turn, reply, answers[turn.id])
            changed[answered.id] = answered
            found[answered.id] = RatedReply(session, turns[: position + 1], answered, is_variant=False)
        elif turn.role == "user" and reply is not None and _is_wanting(reply):
            wanting_ids |= {turn.id, reply.id}
    places = {turn.id: place for place, turn in enumerate(turns)}
    told = [
        replace(each, history=_history(each, changed, wanting_ids if is_learnt else set())) for each in found.values()
    ]
    return sorted(told, key=lambda each: places.get(each.history[-1].id, len(turns)))


def _is_wanting(reply: Turn) -> bool:
    """It does not answer, and nobody said what would."""
    return (reply.prepared == "unknown" or reply.status == "failed") and not _has_better(reply)


def _history(each: RatedReply, changed: Mapping[str, Turn], left_out: set[str]) -> tuple[Turn, ...]:
    """Up to the message that is answered, which always stays."""
    last = each.history[-1]
    before = (changed.get(turn.id, turn) for turn in each.history[:-1] if turn.id not in left_out)
    return (*before, last)


def _answered(question: Turn, reply: Turn | None, answer: str) -> Turn:
    """The reply, or a place for one, with an answer as its better text."""
    if reply is None:
        key = f"{question.id}+"
        return Turn(
            key,
            question.session_id,
            question.id,
            "assistant",
            "",
            "complete",
            question.created_at,
            rating=Rating(None, answer),
        )
    return _unless_drawn(replace(reply, rating=Rating("bad", answer)))


def _unless_drawn(reply: Turn) -> Turn:
    """A rated reply; without its words where the model drew none, or not all: that is no example of what is worse."""
    if not reply.prepared and reply.status == "complete":
        return reply
    return replace(reply, text="", rating=replace(reply.rating or Rating(), mark=None))


def _whole(row: Row) -> Row:
    """A pair without anything worse is a reply that is liked."""
    if row.get("rejected") == "":
        return {"messages": row["messages"], "completion": row["chosen"], "label": True}
    return row


def _has_better(reply: Turn) -> bool:
    return reply.rating is not None and bool(reply.rating.better)


def _with_persona(row: Row, session: Session) -> Row:
    """A dialogue with a role beside its messages, instead of the role's system text among them."""
    messages = row["messages"]
    if not session.role or not messages or messages[0] != {"role": "system", "content": session.persona}:
        return row
    try:
        find_named(session.role)
    except (UsageError, ConfigError):  # its file is gone or broken; what it said is kept
        return {"persona": session.persona, "messages": messages[1:]}
    return {"persona": session.role, "messages": messages[1:]}


# --- intents ----------------------------------------------------------------------------------------


def label_rows(
    store: MemoryStore, wanted: Sequence[Wanting], filled: Sequence[SheetLine], role: Role | None
) -> ReportRows:
    """Messages and their intents: a role's own examples, and what people wrote into the sheet.

    Args:
        store: where the messages are.
        wanted: what is to be looked at.
        filled: lines of the sheet with a label.
        role: whose examples; None for none.
    """
    examples = {text: label for label, texts in (role.intents if role is not None else {}).items() for text in texts}
    labels = {turn: line.fill for line in filled for turn in line.turns.split()}
    said: dict[str, str] = {}
    for turn in store.turns_with_ids(list(labels)):
        read = turn.understood.intent if turn.understood is not None else ""
        label = read if labels[turn.id].casefold() == CONFIRMED and read else labels[turn.id]
        if text := told_text(turn.text, turn.attachments).strip():
            said[text] = label
    rows = [{"text": text, "label": label} for text, label in {**examples, **said}.items()]
    lacking = [each for each in wanted if each.message.intent and each.message.turn not in labels]
    replies = {each.id: each for each in store.turns_with_ids([each.message.reply for each in lacking])}
    lines = [_line(same, f"its intent, or {CONFIRMED}", replies) for same in _in_same_words(lacking)]
    return ReportRows(tuple(rows), (*lines, *filled), len(said), examples=len(examples))


# --- lines ------------------------------------------------------------------------------------------


def _in_same_words(wanted: Sequence[Wanting]) -> list[list[Wanting]]:
    """Those that say the same, together, where the first of them stands."""
    same: dict[str, list[Wanting]] = {}
    for each in wanted:
        same.setdefault(" ".join(each.message.text.casefold().split()), []).append(each)
    return list(same.values())


def _line(same: Sequence[Wanting], needs: str, replies: Mapping[str, Turn]) -> SheetLine:
    first = same[0]
    message = first.message
    return SheetLine(
        message=message.text,
        fill="",
        needs=needs,
        why=first.why,
        times=str(len(same)),
        intent=f"{message.intent} {message.confidence:.0%}" if message.intent else "",
        nearest=first.nearest,
        reply=replies[message.reply].text if message.reply in replies else "",
        conversation=message.session,
        turns=" ".join(each.message.turn for each in same),
    )
