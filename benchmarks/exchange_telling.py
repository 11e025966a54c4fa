"""Is the other half of a recalled exchange told, and does the model use it?

Every probe of `benchmarks/probes/exchanges.jsonl` is a short conversation of long ago and a question that it answers:
by what the model replied (`reply`), by what the user answered to the model's question (`answer`), or by what the user
said in asking something else, to which the reply was no good (`passing`). All are in one store with the conversations
of `recall.json`; each question is asked in a conversation of its own, greedily, with turns told whole and told alone.

    python benchmarks/exchange_telling.py [-m MODEL] [--show]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from unittest.mock import patch

from mmchat.chat import remembering
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import PromptReady, Recalled, TextDelta
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.wiring import WiringOptions, open_hub, open_settings

PROBES = Path(__file__).parent / "probes"
Counts = dict[tuple[str, str], list[tuple[bool, bool]]]


def alone(store: MemoryStore, found: tuple[Recalled, ...], hidden: list[str]) -> tuple[Recalled, ...]:
    """What recall found, as it was told before there were partners."""
    return tuple(found)


def fill(store: MemoryStore, probes: list[dict]) -> None:
    """The conversations of long ago."""
    others = json.loads((PROBES / "recall.json").read_text("utf-8"))["conversations"]
    talks = [*others, *([text for pair in probe["turns"] for text in pair] for probe in probes)]
    for talk in talks:
        session = store.create_session()
        for place, text in enumerate(talk):
            store.add_turn(session.id, role="assistant" if place % 2 else "user", text=text)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default=None)
    parser.add_argument("--show", action="store_true", help="print what is told and every reply")
    arguments = parser.parse_args()
    hub = open_hub(WiringOptions(model=arguments.model), kinds=("lm", "embed"))
    model, settings = hub.language_model(), SessionSettings(system=open_settings().system, should_learn=False)
    probes = [json.loads(line) for line in (PROBES / "exchanges.jsonl").read_text("utf-8").splitlines()]
    ways = {"whole": remembering.with_partners, "alone": alone}
    figures: dict[str, Counts] = {way: {} for way in ways}
    options = replace(hub.habits().options, max_new_tokens=48, temperature=0.0, seed=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(MemoryStore(Path(folder) / "m.db", Path(folder) / "b")) as store,
    ):
        fill(store, probes)
        recall = Recall(store, hub.embedder)
        recall.backfill()
        for probe in probes:
            for way, told_as in ways.items():
                session = ChatSession(store, recall, hub, settings, None)
                with patch.object(remembering, "with_partners", told_as):
                    events = session.reply(UserInput(probe["question"]), Event())
                    prompt = next(event for event in events if isinstance(event, PromptReady))
                    events.close()
                notes = tuple(note for note in prompt.recalled if not note.fact)
                store.delete_session(session.info.id)
                pieces = model.stream(prompt.messages, options, Event())
                reply = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
                is_told = any(word in note.exchange.lower() for note in notes for word in probe["expect"])
                is_used = any(word in reply.lower() for word in probe["expect"])
                figures[way].setdefault((probe["lang"], probe["kind"]), []).append((is_told, is_used))
                if arguments.show:
                    print(f"{way} {'T' if is_told else '-'}{'U' if is_used else '-'} {probe['question']}")
                    print(f"      {prompt.messages[-1].text!r}\n      -> {reply!r}")
    print(f"{model.name}, greedy, {len(probes)} probes; told / used")
    for key in next(iter(figures.values())):
        cells = []
        for way, counts in figures.items():
            told, used = (sum(each[at] for each in counts[key]) for at in (0, 1))
            cells.append(f"{way} {told:2}/{used:2} of {len(counts[key])}")
        print(f"{key[0]} {key[1]:8} " + "   ".join(cells))


if __name__ == "__main__":
    main()
