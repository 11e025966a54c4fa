"""Probes of a role, read from a row: what it is asked, and how one sees that it stayed who it is."""

from __future__ import annotations

from typing import Any, cast, get_args

from mmchat.rows.fields import RowFields, described, language_code, quoted
from mmchat.rows.values import Exchange, PersonaRow, Probe, ProbeKind

DEFAULT_TURNS = (2, 20, 60)
MOST_TURNS = 1000


def read_probes(fields: RowFields) -> PersonaRow:
    """A row with `role` and `probes`; what is wrong with it is noted in `fields`."""
    row = fields.row
    probes = [
        probe
        for position, value in enumerate(fields.items(row["probes"], "probes", "probe"))
        if (probe := _probe(fields, value, f"probes[{position}]")) is not None
    ]
    filler = _exchanges(fields, row["filler"], "filler") if row.get("filler") is not None else ()
    return PersonaRow(fields.place, fields.text("role").strip(), tuple(probes), _turns(fields), filler)


def _turns(fields: RowFields) -> tuple[int, ...]:
    """At which of the user's messages the probes are asked, from 1."""
    given = fields.row.get("at")
    if given is None:
        return DEFAULT_TURNS
    turns = fields.items(given, "at", "turn")
    for position, turn in enumerate(turns):
        if not isinstance(turn, int) or isinstance(turn, bool) or not 1 <= turn <= MOST_TURNS:
            fields.wrong(f"at[{position}]", f"is {described(turn)}; write a whole number from 1 to {MOST_TURNS}")
            return DEFAULT_TURNS
    return tuple(dict.fromkeys(turns))


def _probe(fields: RowFields, value: Any, where: str) -> Probe | None:
    if not isinstance(value, dict):
        fields.wrong(where, f"is {described(value)}; it must be an object")
        return None
    kind = value.get("kind")
    if kind not in get_args(ProbeKind):
        said = quoted(kind) if isinstance(kind, str) else described(kind)
        fields.wrong(f"{where}.kind", f"is {said}; it must be one of {', '.join(get_args(ProbeKind))}")
        return None
    keys = tuple(
        _texts(fields, group, f"{where}.keys[{position}]") for position, group in enumerate(value.get("keys") or ())
    )
    if kind in ("fact", "contradiction") and not keys:
        fields.wrong(f"{where}.keys", 'is missing; name what the reply must say: [["30 days", "a month"]]')
    reply_in = fields.optional_text("reply_in", of=value, where=f"{where}.reply_in")
    if reply_in and not language_code(reply_in):
        fields.wrong(f"{where}.reply_in", f"{quoted(reply_in)} is no language code; write two letters such as en")
    never = value.get("never")
    before = value.get("before")
    return Probe(
        kind=cast("ProbeKind", kind),
        ask=fields.text("ask", of=value, where=f"{where}.ask"),
        keys=keys,
        never=_texts(fields, never, f"{where}.never") if never is not None else (),
        reply_in=language_code(reply_in),
        before=_exchanges(fields, before, f"{where}.before") if before is not None else (),
    )


def _texts(fields: RowFields, value: Any, where: str) -> tuple[str, ...]:
    """One text, or a list of them."""
    items = [value] if isinstance(value, str) else fields.items(value, where, "text")
    return tuple(fields.checked_text(item, f"{where}[{position}]") for position, item in enumerate(items))


def _exchanges(fields: RowFields, value: Any, where: str) -> tuple[Exchange, ...]:
    """Pairs of what the user says and what is replied."""
    found = []
    for position, pair in enumerate(fields.items(value, where, "pair")):
        if not isinstance(pair, list) or len(pair) != 2:
            fields.wrong(f"{where}[{position}]", f"is {described(pair)}; it must be a pair: a message and its reply")
            continue
        user, reply = (fields.checked_text(text, f"{where}[{position}][{side}]") for side, text in enumerate(pair))
        found.append(Exchange(user, reply))
    return tuple(found)
