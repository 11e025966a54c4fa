"""What does a session cost on top of the bare engine, and does the cached prefix hold?

    python benchmarks/reply.py [-m MODEL] [--turns N] [--json FILE]

Holds one growing conversation twice in one process, turn by turn in alternation: through
`ChatSession` (store, recall, window) and through the bare engine with the same messages. Prints
decoding speed and first token for both, and how the first token grows from turn 2 on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

from mmchat.chat.session import UserInput
from mmchat.domain import GenerationDone, PromptReady, ReplyDelta, ReplyEnded
from mmchat.wiring import WiringOptions, open_desk

QUESTIONS = (
    "Tell me something about lighthouses.",
    "How are they built?",
    "Who works there?",
    "What did they burn before electricity?",
    "Describe a storm as the keeper sees it.",
)


def through_session(session, question: str) -> tuple[float, GenerationDone | None, tuple]:
    """One turn; seconds from sending to the first delta, the reply's usage, and the prompt."""
    started, first_s, usage, messages = time.perf_counter(), 0.0, None, ()
    for event in session.reply(UserInput(question), Event()):
        if isinstance(event, PromptReady):
            messages = event.messages
        if isinstance(event, ReplyDelta) and not first_s:
            first_s = time.perf_counter() - started
        if isinstance(event, ReplyEnded):
            usage = event.turn.usage
    return first_s, usage, messages


def bare(model, messages, options) -> GenerationDone:
    """The same prompt given to the engine itself."""
    return [each for each in model.stream(messages, options, Event()) if isinstance(each, GenerationDone)][-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    home = tempfile.mkdtemp()
    from os import environ

    from mmchat.paths import weights_dir

    environ.update(MMCHAT_WEIGHTS=str(weights_dir()), MMCHAT_HOME=home)
    options = WiringOptions(model=arguments.model, max_tokens=arguments.tokens, temperature=0.0, seed=1)
    desk, other = open_desk(options), open_desk(options)
    session = desk.new_session()
    engine = other.engines.language_model()  # a second copy, so that neither spoils the other's cache
    desk.engines.language_model()
    habits = replace(desk.engines.habits().options, max_new_tokens=arguments.tokens, temperature=0.0, seed=1)
    rows = []
    for turn in range(1, arguments.turns + 1):
        first_s, usage, messages = through_session(session, f"{QUESTIONS[turn % len(QUESTIONS)]} ({turn})")
        done = bare(engine, messages, habits)
        rows.append(
            {
                "turn": turn,
                "prompt_tokens": usage.prompt_tokens,
                "cached_tokens": usage.cached_tokens,
                "session_first_s": first_s,
                "bare_first_s": done.first_token_s,
                "session_tokens_per_s": usage.tokens_per_s,
                "bare_tokens_per_s": done.tokens_per_s,
            }
        )
    desk.close()
    other.close()
    shutil.rmtree(home, ignore_errors=True)

    ratios = [row["session_tokens_per_s"] / row["bare_tokens_per_s"] for row in rows if row["bare_tokens_per_s"]]
    early = statistics.median(row["session_first_s"] for row in rows[1:6])
    late = statistics.median(row["session_first_s"] for row in rows[-5:])
    print(f"{engine.name} on {engine.engine}, {arguments.turns} turns, replies of {arguments.tokens} tokens")
    print(f"tokens/s, session / bare engine: median {statistics.median(ratios):.3f} of {len(ratios)} turns")
    speeds = [row["session_tokens_per_s"] for row in rows]
    print(
        f"tokens/s through the session: median {statistics.median(speeds):.0f}, {min(speeds):.0f} to {max(speeds):.0f}"
    )
    print(f"first token: turns 2-6 {early:.3f} s, last five {late:.3f} s, ratio {late / early:.2f}")
    last = rows[-1]
    print(f"turn {last['turn']}: {last['prompt_tokens']} prompt tokens, {last['cached_tokens']} of them cached")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
