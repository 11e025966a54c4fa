"""How much sooner does a reply begin where its message was read while it was typed, and what does that cost?

    python -m benchmarks.read_ahead [-m MODEL] [--turns N] [--tokens N] [--json FILE]

One growing conversation through `ChatSession`; near its beginning, in its middle and at its end, messages are in turn
not read before they are sent, read but for their last word, and read whole. Then the same conversation just opened,
when nothing of it has been read yet. Last the app itself on a pseudo-terminal: how long a typed letter takes to be
echoed while the model reads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, process_time, sleep
from typing import Any

from benchmarks.app import echo_ms
from benchmarks.figures import Bar, Cell, Ratio, Report, Spread, Table
from benchmarks.reply import home
from benchmarks.terminal import FRAME, Terminal
from mmchat.chat.session import ChatSession, UserInput
from mmchat.domain import ReplyDelta, ReplyEnded
from mmchat.openmp import settle_waiting
from mmchat.wiring import WiringOptions, open_desk

MESSAGES = (
    "What did the keepers burn in the lamp before there was electricity, and how was it brought up there?",
    "How are towers built on rocks that the sea covers at every high tide, and who paid for all that work?",
    "Who lived there through the long winter nights, and what did they do when a storm was coming up?",
    "Tell me how a ship out in the fog finds its way home when nobody on board can see the light at all.",
    "Why do some of the lamps turn while others stand still, and how does a captain tell them apart?",
)
NOT_READ, BUT_ONE, WHOLE = "not read", "read but for its last word", "read whole"
WAYS = (NOT_READ, BUT_ONE, WHOLE)
EARLY, MIDDLE = range(2, 11), range(19, 25)
LATE_TURNS = 9
INTERRUPTED_AFTER_S = 1.0
ECHOES = 16
Row = dict[str, Any]


def send(session: ChatSession, message: str) -> Row:
    """Seconds to the first token, what was held, and the processor time of the whole turn."""
    started, spent, row = perf_counter(), process_time(), Row()
    for event in session.reply(UserInput(message), Event()):
        if isinstance(event, ReplyDelta) and "first_s" not in row:
            row["first_s"] = perf_counter() - started
        if isinstance(event, ReplyEnded) and event.turn.usage is not None:
            row |= {"prompt": event.turn.usage.prompt_tokens, "held": event.turn.usage.cached_tokens}
    return row | {"reply_processor_s": process_time() - spent}


def typed(session: ChatSession, message: str, way: str) -> float:
    """Read as the app does with a pause in the middle and one at the end; the processor time of it."""
    words, spent = message.split(), process_time()
    if way != NOT_READ:
        for draft in ("", " ".join(words[: len(words) // 2]), " ".join(words[: None if way == WHOLE else -1])):
            session.ahead.read(draft, Event())
    return process_time() - spent


def growing(options: WiringOptions, turns: int) -> tuple[list[Row], str]:
    """The conversation, and its id."""
    rows, late = [], range(turns - LATE_TURNS + 1, turns + 1)
    desk = open_desk(options)
    session = desk.new_session()
    desk.engines.language_model()
    for turn in range(1, turns + 1):
        where = next((name for name, part in depths(turns).items() if turn in part), "")
        way = WAYS[turn % len(WAYS)] if turn in (*EARLY, *MIDDLE, *late) else NOT_READ
        message = MESSAGES[turn % len(MESSAGES)]
        spent = typed(session, message, way)
        rows.append({"turn": turn, "where": where, "way": way, "reading_processor_s": spent, **send(session, message)})
    assert session.info is not None
    desk.close()
    return rows, session.info.id


def depths(turns: int) -> dict[str, range]:
    """The turns that are measured."""
    return {
        f"turns {part[0]} to {part[-1]}": part for part in (EARLY, MIDDLE, range(turns - LATE_TURNS + 1, turns + 1))
    }


@contextmanager
def opened(options: WiringOptions, session_id: str) -> Iterator[ChatSession]:
    """The conversation in a new program, its model loaded and nothing read."""
    desk = open_desk(options)
    desk.engines.language_model()
    yield desk.open_session(session_id)
    desk.close()


def just_opened(options: WiringOptions, session_id: str, rounds: int) -> dict[str, list[float]]:
    """Seconds to the first token of the first message."""
    found: dict[str, list[float]] = {NOT_READ: [], "sent a second after its first key": [], WHOLE: []}
    for number in range(rounds):
        message = MESSAGES[number % len(MESSAGES)]
        for way, seconds in found.items():
            with opened(options, session_id) as session:
                cancel = Event()
                reading = Thread(target=session.ahead.read, args=("", cancel))
                if way == WHOLE:
                    typed(session, message, WHOLE)
                elif way != NOT_READ:
                    reading.start()
                    sleep(INTERRUPTED_AFTER_S)
                    cancel.set()
                seconds.append(send(session, message)["first_s"])
                if reading.ident is not None:
                    reading.join()
    return found


def echoes(*, does_read: bool) -> tuple[list[float], list[float]]:
    """Milliseconds until a letter is echoed: without a pause after the first key, and after pauses."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment["MMCHAT_READ_AHEAD"] = "true" if does_read else "false"
    terminal = Terminal([sys.executable, "-m", "mmchat", "talk", "-c"], environment, (40, 120))
    found: tuple[list[float], list[float]] = ([], [])
    try:
        terminal.until(FRAME.decode(), 30)
        terminal.read(6.0)  # the model is loaded and the conversation shown
        terminal.write("So ")
        for pause_s, seconds in zip((0.15, 0.4), found, strict=True):
            for _ in range(ECHOES):
                terminal.read(pause_s)
                seconds.append(echo_ms(terminal))
    finally:
        terminal.close()
    return found


def first_tokens(rows: list[Row], where: str, way: str) -> list[float]:
    """Those of one depth."""
    return [row["first_s"] for row in rows if row["where"] == where and row["way"] == way]


def report_of(
    rows: list[Row], opening: dict[str, list[float]], keys: dict[str, tuple[list[float], list[float]]]
) -> Report:
    """Tables, ratios and the bar."""
    report = Report("Reading while you type", (__doc__ or "").split("\n\n")[2].replace("\n", " "))
    places = list(dict.fromkeys(row["where"] for row in rows if row["where"]))
    lines: list[list[Cell]] = []
    for where in places:
        for way in WAYS:
            chosen = [row for row in rows if row["where"] == where and row["way"] == way]
            reading = Spread.of([row["reading_processor_s"] for row in chosen]).cell() if way != NOT_READ else ""
            lines.append(
                [
                    f"{where}, {way}",
                    Spread.of([row["first_s"] for row in chosen]).cell(),
                    f"{statistics.median(row['prompt'] - row['held'] for row in chosen):.0f}",
                    reading,
                    Spread.of([row["reply_processor_s"] for row in chosen]).cell(),
                ]
            )
    columns = ("message", "first token, s", "tokens left to read", "processor s, reading", "processor s, the turn")
    report.tables.append(Table("First token in a growing conversation", columns, lines))
    report.tables.append(
        Table(
            "First token in a conversation just opened",
            ("message", "first token, s"),
            [[way, Spread.of(seconds).cell()] for way, seconds in opening.items()],
        )
    )
    echo_lines = [[name, *(f"{Spread.of(each).cell(0)}" for each in found)] for name, found in keys.items()]
    report.tables.append(
        Table(
            "A letter typed into a conversation just opened is echoed, ms",
            ("", "while the conversation is read", "after pauses, while the draft is"),
            list(echo_lines),
        )
    )
    medians = {(where, way): statistics.median(first_tokens(rows, where, way)) for where in places for way in WAYS}
    early, late = places[0], places[-1]
    report.bars.append(
        Bar(
            "first token, turn 40 / turn 2, read while typed",
            1.5,
            medians[late, WHOLE] / medians[early, WHOLE],
            "times",
        )
    )
    report.ratios.append(
        Ratio(
            f"first token, {late}, {WHOLE}", f"{early}, {NOT_READ}", medians[late, WHOLE], medians[early, NOT_READ], "s"
        )
    )
    for way in (BUT_ONE, WHOLE):
        what = f"first token, {late}, {way}"
        report.ratios.append(Ratio(what, "the same not read", medians[late, way], medians[late, NOT_READ], "s"))
    report.ratios.append(
        Ratio(
            "first token of a conversation just opened, read whole",
            "the same not read",
            statistics.median(opening[WHOLE]),
            statistics.median(opening[NOT_READ]),
            "s",
        )
    )
    report.samples = {"turns": rows, "opened": opening, "echo_ms": keys}
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model")
    parser.add_argument("--turns", type=int, default=42)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=1, help="how often the conversation is opened in each way")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settle_waiting()
    options = WiringOptions(model=arguments.model, max_tokens=arguments.tokens, temperature=0.0, seed=1)
    with home():
        rows, session_id = growing(options, arguments.turns)
        keys = {
            "not read": echoes(does_read=False),
            "read": echoes(does_read=True),
        }
        opening = just_opened(options, session_id, arguments.rounds)
    report_of(rows, opening, keys).finish(arguments.json)


if __name__ == "__main__":
    main()
