"""Rated replies as rows that finetuning takes: preferences, or dialogues made of what was good."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mmchat.domain import Turn
from mmchat.memory.export_rows import PathOf, messages_of
from mmchat.memory.ratings import RatedReply

RatedAs = Literal["preference", "pairs", "thumbs", "dialogue"]
RATED_AS: tuple[RatedAs, ...] = ("preference", "pairs", "thumbs", "dialogue")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RatedRows:
    """What was made of the ratings."""

    rows: tuple[Row, ...]
    left_out: int = 0
    """Rated replies that are in no row."""

    def count(self, key: str, *values: object) -> int:
        """Rows that hold this key, with one of these values if any are given."""
        return sum(key in row and (not values or row[key] in values) for row in self.rows)


def rated_rows(rated: Sequence[RatedReply], rated_as: RatedAs, path_of: PathOf, system: str = "") -> RatedRows:
    """Rows of the ratings of any number of conversations, the same row once.

    - "preference": a pair wherever something better and something worse answer the same question (a better
      text and its reply; two variants of which one is good and one bad), and for every other mark one reply
      that was liked or not.
    - "pairs": only the pairs. "thumbs": no pairs, their halves are liked and not liked.
    - "dialogue": conversations up to the last reply that is good, with better texts in the place of replies.
      What was marked bad is left out with all before it, for every reply in such a row is learnt.

    Args:
        rated: those of one conversation stand together, as `rated_replies` gives them.
        rated_as: which rows.
        path_of: how an attachment's file is named in a row.
        system: what stands at the head of conversations that have no persona of their own.
    """
    usable = [each for each in rated if any(turn.role == "user" and _says(turn) for turn in each.history)]
    make = _dialogue_rows if rated_as == "dialogue" else _preference_rows
    rows, used = make(usable, rated_as, _Writer(path_of, system))
    return RatedRows(tuple(rows), len(rated) - len(used))


@dataclass(frozen=True, slots=True)
class _Writer:
    path_of: PathOf
    system: str

    def messages(self, rated: RatedReply, turns: Sequence[Turn]) -> list[Row]:
        system = rated.session.persona or self.system
        head = [{"role": "system", "content": system}] if system.strip() else []
        return [*head, *messages_of(turns, self.path_of)]


# --- preferences --------------------------------------------------------------------------------


def _preference_rows(rated: Sequence[RatedReply], rated_as: RatedAs, writer: _Writer) -> tuple[list[Row], set[str]]:
    questions: dict[str, list[RatedReply]] = {}
    for each in rated:
        questions.setdefault(each.history[-1].id, []).append(each)
    found: dict[str, Row] = {}
    used: set[str] = set()
    for answers in questions.values():
        replies = [each.reply for each in answers]
        pairs = _pairs(replies)
        in_pairs = {turn_id for _, _, ids in pairs for turn_id in ids}
        if rated_as == "thumbs":
            said = list(_halves(replies))
        else:
            said = [mark for mark in _halves(replies) if rated_as == "preference" and mark[2] not in in_pairs]
            used |= in_pairs
        used |= {turn_id for _, _, turn_id in said}
        if not (said or pairs):
            continue
        messages = writer.messages(answers[0], answers[0].history)
        key = json.dumps(messages, sort_keys=True)
        if rated_as != "thumbs":
            for chosen, rejected, _ in pairs:
                found[f"{key}{json.dumps([chosen, rejected])}"] = {
                    "messages": messages, "chosen": chosen, "rejected": rejected
                }  # fmt: skip
        for text, is_liked, _ in said:
            # A copied conversation may be rated anew: its later word counts.
            found[f"{key}{json.dumps(text)}"] = {"messages": messages, "completion": text, "label": is_liked}
    return list(found.values()), used


def _pairs(replies: Sequence[Turn]) -> list[tuple[str, str, set[str]]]:
    """What is better, what is worse and the ids of their replies, for all replies to one question."""
    wanted: list[tuple[str, str]] = []
    unwanted: list[tuple[str, str]] = []
    found: dict[tuple[str, str], set[str]] = {}
    for reply in replies:
        mark, better = _rating(reply)
        if better:
            wanted.append((better, reply.id))
            found[(better, reply.text.strip())] = {reply.id}
        if mark == "good":
            wanted.append((reply.text.strip(), reply.id))
        elif mark == "bad":
            unwanted.append((reply.text.strip(), reply.id))
    for chosen, chosen_id in wanted:
        for rejected, rejected_id in unwanted:
            if chosen != rejected:
                found.setdefault((chosen, rejected), set()).update((chosen_id, rejected_id))
    return [(chosen, rejected, ids) for (chosen, rejected), ids in found.items()]


def _halves(replies: Sequence[Turn]) -> Iterable[tuple[str, bool, str]]:
    """Each text that was judged, whether it was liked, and the id of its reply."""
    for reply in replies:
        mark, better = _rating(reply)
        if better:
            yield better, True, reply.id
        yield reply.text.strip(), mark == "good", reply.id


# --- dialogues ----------------------------------------------------------------------------------


def _dialogue_rows(rated: Sequence[RatedReply], _: RatedAs, writer: _Writer) -> tuple[list[Row], set[str]]:
    found: dict[str, Row] = {}
    used: set[str] = set()
    for stretch in _good_stretches(rated):
        last = stretch[-1]
        turns = _without_bad([*last.history, last.reply])
        if any(turn.role == "user" for turn in turns):
            row = {"messages": writer.messages(last, turns)}
            found[json.dumps(row, sort_keys=True)] = row
            used |= {each.reply.id for each in stretch}
    return list(found.values()), used


def _good_stretches(rated: Sequence[RatedReply]) -> list[list[RatedReply]]:
    """Good replies of one conversation with no bad one between them, so that the last one's history holds all.

    A variant stands in no other reply's history, and is alone.
    """
    stretches: list[list[RatedReply]] = []
    current: dict[str, list[RatedReply]] = {}
    for each in rated:
        if not _is_good(each.reply):
            if not each.is_variant:
                current.pop(each.session.id, None)
        elif each.is_variant or each.session.id not in current:
            stretches.append([each])
            if not each.is_variant:
                current[each.session.id] = stretches[-1]
        else:
            current[each.session.id].append(each)
    return stretches


def _without_bad(turns: Sequence[Turn]) -> list[Turn]:
    """What follows the last bad reply, with better texts in the place of replies."""
    kept: list[Turn] = []
    for turn in turns:
        mark, better = _rating(turn)
        if better:
            kept.append(replace(turn, text=better))
        elif mark == "bad":
            kept = [each for each in kept if each.role == "system"]
        else:
            kept.append(turn)
    return kept


def _rating(turn: Turn) -> tuple[str | None, str]:
    """The mark, and the better text where it says something else than the reply."""
    if turn.rating is None:
        return None, ""
    better = turn.rating.better.strip()
    return turn.rating.mark, better if better != turn.text.strip() else ""


def _is_good(reply: Turn) -> bool:
    mark, better = _rating(reply)
    return bool(better) or mark == "good"


def _says(turn: Turn) -> bool:
    return bool(turn.text.strip() or turn.attachments)
