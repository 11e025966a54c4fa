"""What does a session cost on top of the bare engine, and does the cached prefix hold?

    python -m benchmarks.reply [-m MODEL] [--turns N] [--tokens N] [--json FILE]

One growing conversation is held twice in one process, turn by turn in alternation: through `ChatSession` (store,
recall, window) and through the bare engine with the same messages. Two more show what the model reads anew where the
window drops its oldest exchanges, and where recalled notes stand beside the messages.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import environ
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import psutil

from benchmarks.figures import Bar, Cell, Ratio, Report, Spread, Table
from mmchat.chat.session import UserInput
from mmchat.domain import GenerationDone, PromptReady, ReplyDelta, ReplyEnded
from mmchat.openmp import settle_waiting
from mmchat.paths import settings_path, weights_dir
from mmchat.wiring import WiringOptions, open_desk

QUESTIONS = (
    "Tell me something about lighthouses.",
    "How are they built?",
    "Who works there?",
    "What did they burn before electricity?",
    "Describe a storm as the keeper sees it.",
)
REMEMBERED = (
    ("My cat is called Nutmeg.", "What is my cat called?"),
    ("I work as a keeper at the lighthouse of Skerry.", "Where do I work?"),
    ("My sister Ada plays the violin in Leeds.", "What does my sister play?"),
    ("I am allergic to walnuts.", "What am I allergic to?"),
)
SMALL_WINDOW_TOKENS = 900
Row = dict[str, Any]


@contextmanager
def home(settings: str = "") -> Iterator[None]:
    """A new and empty one, with the weights that are here."""
    weights = str(weights_dir())
    with tempfile.TemporaryDirectory() as folder:
        environ.update(MMCHAT_WEIGHTS=weights, MMCHAT_HOME=folder)
        if settings:
            settings_path().parent.mkdir(parents=True, exist_ok=True)
            settings_path().write_text(settings)
        yield


def through_session(session: Any, question: str) -> Row:
    """One turn: seconds from sending to the first words, the prompt, and what the engine says of it."""
    started = perf_counter()
    row: Row = {"ready_s": 0.0, "first_s": 0.0}
    for event in session.reply(UserInput(question), Event()):
        if isinstance(event, PromptReady):
            row |= {
                "messages": event.messages,
                "ready_s": perf_counter() - started,
                "notes": len(event.recalled),
                "turns_out": event.window.turns_out,
            }
        if isinstance(event, ReplyDelta) and not row["first_s"]:
            row["first_s"] = perf_counter() - started
        if isinstance(event, ReplyEnded):
            usage = event.turn.usage
            assert usage is not None
            row |= {
                "prompt": usage.prompt_tokens,
                "anew": usage.prompt_tokens - usage.cached_tokens,
                "tokens_per_s": usage.tokens_per_s,
            }
    return row


def through_engine(model: Any, messages: Any, options: Any) -> GenerationDone:
    """The same prompt given to the engine itself."""
    return [each for each in model.stream(messages, options, Event()) if isinstance(each, GenerationDone)][-1]


def growing(report: Report, chosen: str | None, turns: int, tokens: int) -> None:
    """Turn 1 to the last, through a session and bare."""
    options = WiringOptions(model=chosen, max_tokens=tokens, temperature=0.0, seed=1)
    with home():
        desk, other = open_desk(options), open_desk(options)
        session = desk.new_session()
        engine = other.engines.language_model()  # a second copy, so that neither spoils the other's cache
        desk.engines.language_model()
        before_mb = _memory_mb()
        habits = replace(desk.engines.habits().options, max_new_tokens=tokens, temperature=0.0, seed=1)
        rows = []
        for turn in range(1, turns + 1):
            row = through_session(session, f"{QUESTIONS[turn % len(QUESTIONS)]} ({turn})")
            bare = through_engine(engine, row.pop("messages"), habits)
            rows.append(row | {"bare_first_s": bare.first_token_s, "bare_tokens_per_s": bare.tokens_per_s})
        grown_mb = _memory_mb() - before_mb
        desk.close()
        other.close()
    report.title = f"Replies of {engine.name} on {engine.engine}"
    report.samples["growing"] = rows
    _tell_growth(report, rows, grown_mb)


def _tell_growth(report: Report, rows: list[Row], grown_mb: float) -> None:
    blocks = [(2, 6), *((last - 4, last) for last in (20, 40, 60) if last <= len(rows))]
    if blocks[-1][1] != len(rows):
        blocks.append((len(rows) - 4, len(rows)))
    table: list[list[Cell]] = []
    for first, last in blocks:
        some = rows[first - 1 : last]
        table.append(
            [
                f"{first} to {last}",
                max(row["prompt"] for row in some),
                max(row["anew"] for row in some),
                *(Spread.of([row[key] for row in some]).cell() for key in ("first_s", "bare_first_s")),
                *(Spread.of([row[key] for row in some]).cell(0) for key in ("tokens_per_s", "bare_tokens_per_s")),
                Spread.of([row["ready_s"] for row in some]).cell(3),
            ]
        )
    columns = ("turns", "prompt, tokens", "most read anew", "first token, s", "bare, s", "tokens/s", "bare")
    note = (
        "First token: from sending through the session, with everything that it does; bare: from the call of the "
        f"engine. Memory grew by {grown_mb:.0f} MB, for both copies of the model."
    )
    title = "A growing conversation, session and bare engine in turns; medians (least to most)"
    report.tables.append(Table(title, (*columns, "until the prompt is ready, s"), table, note))
    ratio = statistics.median(row["tokens_per_s"] / row["bare_tokens_per_s"] for row in rows)
    bare = statistics.median(row["bare_tokens_per_s"] for row in rows)
    report.ratios.append(Ratio("tokens/s of a reply", "the bare engine", ratio * bare, bare, "tokens/s", True))
    report.bars.append(Bar("reply tokens/s, session / bare engine", 0.95, ratio, "×", is_at_most=False))
    if len(rows) >= 40:
        early = statistics.median(row["first_s"] for row in rows[1:6])
        late = statistics.median(row["first_s"] for row in rows[35:40])
        report.bars.append(
            Bar("first token, turn 40 / turn 2 (medians of turns 36–40 and 2–6)", 1.5, late / early, "×")
        )


def dropping(report: Report, chosen: str | None, turns: int) -> None:
    """A window so small that it drops a block again and again."""
    options = WiringOptions(model=chosen, max_tokens=32, temperature=0.0, seed=1)
    with home(f"window_tokens = {SMALL_WINDOW_TOKENS}\n"):
        desk = open_desk(options)
        session = desk.new_session()
        rows = [through_session(session, f"{QUESTIONS[turn % 5]} ({turn})") for turn in range(turns)]
        desk.close()
    drops = [row for before, row in zip(rows, rows[1:], strict=False) if row["turns_out"] > before["turns_out"]]
    others = [row for row in rows[1:] if row not in drops]
    title = f"A window of {SMALL_WINDOW_TOKENS} tokens, {turns} turns"
    report.tables.append(_read_anew(title, {"a block was dropped": drops, "all others": others}))
    report.samples["dropping"] = [_without_messages(row) for row in rows]


def recalling(report: Report, chosen: str | None) -> None:
    """Every second message is answered by what another conversation holds."""
    options = WiringOptions(model=chosen, max_tokens=32, temperature=0.0, seed=1)
    with home():
        desk = open_desk(options)
        earlier = desk.new_session()
        for told, _ in REMEMBERED:
            through_session(earlier, told)
        session = desk.new_session()
        rows = []
        for number, (_, asked) in enumerate(REMEMBERED * 3):
            rows += [through_session(session, asked), through_session(session, QUESTIONS[number % 5])]
        desk.close()
    noted = [row for row in rows[1:] if row["notes"]]
    others = [row for row in rows[1:] if not row["notes"]]
    title = f"Recalled notes beside messages, {len(rows)} turns"
    report.tables.append(_read_anew(title, {"with recalled notes": noted, "without": others}))
    report.samples["recalling"] = [_without_messages(row) for row in rows]


def _read_anew(title: str, kinds: dict[str, list[Row]]) -> Table:
    """What each kind of turn has the model read; kinds that did not come are left out."""
    rows: list[list[Cell]] = [
        [
            name,
            len(some),
            Spread.of([row["anew"] for row in some]).cell(0),
            Spread.of([row["first_s"] for row in some]).cell(),
        ]
        for name, some in kinds.items()
        if some
    ]
    return Table(title, ("turns", "how many", "tokens read anew", "first token, s"), rows)


def _without_messages(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "messages"}


def _memory_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settle_waiting()
    report = Report("Replies")
    growing(report, arguments.model, arguments.turns, arguments.tokens)
    dropping(report, arguments.model, 24)
    recalling(report, arguments.model)
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
