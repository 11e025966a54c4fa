"""Who should write the summary of /compact, and where is it told?

Each probe is a conversation with questions on what the user said in it. Its older turns are compacted, by the model and
out of the user's own sentences, within so many tokens. Counted are the answers that stand in the summary, and the
replies that hold them when the model is asked with the summary in view, recall being off.

    python benchmarks/compact.py [-m MODEL] [--limits 600 120] [--show]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from threading import Event

from mmchat.chat import compact
from mmchat.chat.compact import SummaryDraft
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import ReplyEnded
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.wiring import WiringOptions, open_hub

PROBES = Path(__file__).parent / "probes" / "compact.jsonl"


def held(text: str, answers: list[str]) -> bool:
    """Whether a text holds one of the answers."""
    return any(answer in text.casefold() for answer in answers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default=None)
    parser.add_argument("--limits", type=int, nargs="+", default=[600, 120])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--writers", nargs="+", default=["none", "model", "sentences"])
    parser.add_argument("--show", action="store_true", help="print every summary and reply")
    arguments = parser.parse_args()
    probes = [json.loads(line) for line in PROBES.read_text(encoding="utf-8").splitlines()]
    hub = open_hub(WiringOptions(model=arguments.model), kinds=("lm", "embed"))
    print("limit writer     lang  in summary  in replies  seconds")
    for limit in arguments.limits:
        compact.MAX_SUMMARY_TOKENS = limit
        for writer in arguments.writers:
            counts: Counter[str] = Counter()
            for probe in probes:
                measure(probe, writer, hub, arguments, counts)
            for lang in ("en", "zh"):
                asked, times = counts[f"{lang} asked"], counts[f"{lang} times"]
                print(
                    f"{limit:5} {writer:<10} {lang}    {counts[f'{lang} kept']:3} of {asked:3}"
                    f"  {counts[f'{lang} told']:3} of {times:3}   {counts[f'{lang} ms'] / 1000:6.1f}"
                )


def measure(probe: dict, writer: str, hub: object, arguments: argparse.Namespace, counts: Counter[str]) -> None:
    """One conversation, compacted once and asked in every seed."""
    lang = probe["lang"]
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(MemoryStore(Path(folder) / "m.db", Path(folder) / "b")) as store,
    ):
        source = store.create_session(title="probe")
        for said, replied in probe["turns"]:
            store.add_turn(source.id, role="user", text=said)
            store.add_turn(source.id, role="assistant", text=replied)
        summary = ""
        # Without a summary the older turns are dropped, as a window that is too small would do.
        talk = session_on(store, hub, source, 0)
        old = talk.compaction.old_turns()
        began = time.perf_counter()
        if writer != "none":
            for event in talk.compaction.write(writer, Event()):
                if isinstance(event, SummaryDraft):
                    summary = talk.compaction.accept(event, event.text).text
        counts[f"{lang} ms"] += round(1000 * (time.perf_counter() - began))
        if arguments.show:
            print(f"--- {writer} {lang}\n{summary}")
        base = store.fork_session(source.id) if writer != "none" else None
        for wanted in probe["questions"]:
            counts[f"{lang} asked"] += 1
            counts[f"{lang} kept"] += held(summary, wanted["answers"])
            for seed in range(arguments.seeds):
                if base is not None:
                    asked = store.fork_session(base.id)
                else:
                    asked = store.create_session(title="dropped")
                    for turn in store.turns(source.id)[len(old) :]:
                        store.add_turn(asked.id, role=turn.role, text=turn.text)
                reply = ask(session_on(store, hub, asked, seed), wanted["question"])
                counts[f"{lang} times"] += 1
                counts[f"{lang} told"] += held(reply, wanted["answers"])
                if arguments.show and seed == 0:
                    print(f"  {'+' if held(reply, wanted['answers']) else '-'} {wanted['question']} {reply[:150]!r}")


def session_on(store: MemoryStore, hub: object, session: object, seed: int) -> ChatSession:
    """A conversation without recall."""
    settings = SessionSettings(options={"seed": seed, "max_new_tokens": 80}, should_recall=False)
    return ChatSession(store, Recall(store, lambda: None), hub, settings, session)  # type: ignore[arg-type]


def ask(session: ChatSession, question: str) -> str:
    """The reply to a question."""
    ended = [event for event in session.reply(UserInput(question), Event()) if isinstance(event, ReplyEnded)]
    return ended[0].turn.text if ended else ""


if __name__ == "__main__":
    main()
