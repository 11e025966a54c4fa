"""What is answered from documents: does the reply hold the facts, and does it make others up?

Asks the questions on the invented shop of `benchmarks/probes/knowledge.jsonl` as the shop's role is asked them, with
what the chat finds and tells, each in a conversation of its own and greedily:

    python benchmarks/grounding.py                       in the documents' own words: no model is needed
    python benchmarks/grounding.py --answers model       in the model's words
    python benchmarks/grounding.py --answers model --gold --wording page using --passages 1 --chars 110

A reply is right where it holds one of the probe's key facts. A number is made up where the reply holds figures that
stand neither in the passages that were told, nor in the question, nor in the role's own text.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from mmchat.chat import consulting
from mmchat.chat.bookshelf import Bookshelf
from mmchat.chat.consulting import Consulting
from mmchat.chat.note_styles import STYLES
from mmchat.chat.prompt import merge_same_role
from mmchat.chat.roles import example_messages, find_persona
from mmchat.chat.wording import turn_messages
from mmchat.domain import Message, Passage, Recalled, TextDelta, Turn
from mmchat.memory.store import MemoryStore
from mmchat.role_values import Persona
from mmchat.wiring import WiringOptions, open_hub

PROBES = Path(__file__).parent / "probes" / "knowledge.jsonl"
USING = {"en": "\n\nUsing only the text above: ", "zh": "\n\n只根据上面的文字回答："}
ABOVE = {"en": "\n\nAnswer in the words above: ", "zh": "\n\n请用上面的话回答："}
PLACED = {"en": '{place}: "{}"', "zh": "{place}：“{}”"}
WORDINGS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "now": ({}, {}),
    "bare": ({"en": "{}", "zh": "{}"}, {}),
    "quoted": ({"en": '"{}"\n\n', "zh": "“{}”\n\n"}, {}),
    "page": ({"en": 'The page "{place}" says: "{}"', "zh": "“{place}”那一页写着：“{}”。"}, {}),
    "documents": ({"en": 'Our documents say under "{place}": "{}"', "zh": "文件里“{place}”这一节写着：“{}”"}, {}),
    "read": ({"en": 'I read on your page "{place}": "{}"', "zh": "我在你们“{place}”那一页上看到：“{}”。"}, {}),
    "using": (PLACED, USING),
    "above": (PLACED, ABOVE),
}
"""Sentences that a passage can be told in, and what may stand before the question; `--wording` names some."""
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)?")


@dataclass(slots=True)
class Tally:
    """Replies of one kind of question."""

    asked: int = 0
    right: int = 0
    made_up: int = 0
    unknown: int = 0


def of_shop(probes: Sequence[dict[str, Any]], *, has_answer: bool) -> list[dict[str, Any]]:
    """The questions on the shop, and those on neither corpus."""
    return [each for each in probes if each["corpus"] in ("shop", "both") and bool(each["answers"]) == has_answer]


def made_up(reply: str, known: str) -> set[str]:
    """Figures of a reply that stand nowhere in what it was told."""
    return set(_NUMBER.findall(reply)) - set(_NUMBER.findall(known))


def gold(store: MemoryStore, probe: dict[str, Any], shelf: str) -> tuple[Recalled, ...]:
    """The passage that answers, in the question's language."""
    rows = store.file.rows(
        "SELECT p.*, d.path FROM passages p JOIN documents d ON d.id = p.document_id WHERE d.shelf = ?", (shelf,)
    )
    for answer in probe["answers"]:
        for row in rows:
            is_there = str(row["path"]).endswith(answer["file"]) and any(
                phrase in " ".join(row["text"].split()) for phrase in answer["phrases"]
            )
            if is_there and answer["file"].startswith(probe["language"]):
                path = Path(row["path"])
                place = Passage(row["id"], row["document_id"], shelf, path, path.name, row["heading"], row["text"])
                return (Recalled("", "", "user", row["text"], "", 1.0, passage=place),)
    return ()


class Bench:
    """The shop's role with its documents."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.hub = open_hub(WiringOptions(model=arguments.model), kinds=("embed", "lm"))
        self.store = MemoryStore(folder / "mmchat.db", folder / "blobs")
        persona = find_persona("support")
        role = replace(persona.role, answers=arguments.answers, is_bound_to_documents=True)
        self.persona = Persona(role, "en")
        bookshelf = Bookshelf(self.store, self.hub.embedder, self.hub.text_reader)
        bookshelf.add(role.knowledge, role.name)

    def ask(self, probe: dict[str, Any]) -> tuple[str, str, str]:
        """The reply, why it was not drawn (or ""), and all that it was told."""
        turn = Turn("t", "s", None, "user", probe["question"], "complete", "")
        looking = Consulting(self.store, self.hub, self.persona)
        steps = looking.passages(turn, ())
        try:
            while True:
                next(steps)
        except StopIteration as end:
            found: tuple[Recalled, ...] = end.value
        if self.arguments.gold:
            found = gold(self.store, probe, self.persona.role.name)
        said = looking.prepared(turn, found)
        told = " ".join(note.text for note in found)
        if said is not None:
            return said.text, said.kind, told
        text = self.persona.role.text(probe["language"])
        known = f"{told} {probe['question']} {text.system}"
        if self.arguments.answers != "model":
            return "", "", known
        return (
            self.draw(turn, found[: self.arguments.passages], Persona(self.persona.role, probe["language"])),
            "",
            known,
        )

    def draw(self, turn: Turn, found: Sequence[Recalled], persona: Persona) -> str:
        """The model's reply, greedily."""
        model, habits = self.hub.language_model(), self.hub.habits()
        options = replace(habits.options, max_new_tokens=56, temperature=0.0, seed=1)
        told = turn_messages(turn, found, style=habits.note_style)
        system = persona.text.system if not self.arguments.system else self.arguments.system
        examples = () if self.arguments.system else example_messages(persona.text)
        head = (Message("system", system),) if system.strip() else ()
        messages = (*head, *merge_same_role((*examples, *told)))
        pieces = model.stream(messages, options, Event())
        return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def word(name: str, chars: int) -> None:
    """Tell passages in other words, and more or less of them."""
    for styles in STYLES.values():
        for language, style in styles.items():
            sentences, asks = WORDINGS[name]
            told = replace(style, passage_chars=chars or style.passage_chars)
            if name != "now":
                told = replace(told, passage=sentences[language], passage_ask=asks.get(language, ""))
            styles[language] = told


def measure(bench: Bench, probes: Sequence[dict[str, Any]], *, shows: bool) -> dict[str, Tally]:
    """Ask them all."""
    tallies: dict[str, Tally] = {}
    for probe in probes:
        reply, kind, known = bench.ask(probe)
        is_right = any(fact.casefold() in reply.casefold() for fact in probe.get("facts", [])) and kind != "unknown"
        tally = tallies.setdefault(probe["language"], Tally())
        tally.asked += 1
        tally.right += is_right
        tally.made_up += kind == "" and bool(made_up(reply, known))
        tally.unknown += kind == "unknown"
        if shows:
            print(f"{'ok' if is_right else '--'} {kind or 'model':8} {probe['question']} -> {reply!r}", flush=True)
    return tallies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default=None)
    parser.add_argument("--answers", choices=["quote", "model"], default="quote")
    parser.add_argument("--gold", action="store_true", help="tell the passage that answers, not what is found")
    parser.add_argument("--passages", type=int, default=consulting.MAX_PASSAGES, help="tell so many to the model")
    parser.add_argument("--chars", type=int, default=0, help="so much of each; 0: as the chat does")
    parser.add_argument("--wording", nargs="+", default=["now"], choices=list(WORDINGS))
    parser.add_argument("--system", default="", help="another system text than the role's, without its examples")
    parser.add_argument("--languages", nargs="+", default=["en", "zh"])
    parser.add_argument("--every", type=int, default=1, help="only every so many-th question")
    parser.add_argument("--round", type=int, default=0, help="only the questions of this round; 0: all")
    parser.add_argument("--embed", default=None, help="another sentence encoder than the settings name")
    parser.add_argument("--show", action="store_true", help="print every reply")
    arguments = parser.parse_args()
    probes = [json.loads(line) for line in PROBES.read_text("utf-8").splitlines()]
    probes = [each for each in probes if each["language"] in arguments.languages]
    probes = [each for each in probes if not arguments.round or each.get("round", 1) == arguments.round]
    if arguments.embed:
        os.environ["MMCHAT_EMBED"] = arguments.embed
    as_they_are = {name: dict(styles) for name, styles in STYLES.items()}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        with closing(bench.store):
            asked = [each for each in of_shop(probes, has_answer=True) if each["facts"]][:: arguments.every]
            for name in arguments.wording:
                STYLES.update({style: dict(languages) for style, languages in as_they_are.items()})
                word(name, arguments.chars)
                for language, tally in measure(bench, asked, shows=arguments.show).items():
                    print(
                        f"{arguments.answers} {name:10} {language}: right {tally.right}/{tally.asked}, "
                        f"numbers made up {tally.made_up}/{tally.asked}, not known {tally.unknown}/{tally.asked}",
                        flush=True,
                    )
            if arguments.gold or arguments.answers == "model":
                return
            kinds: Counter[tuple[str, str, bool]] = Counter()
            for probe in of_shop(probes, has_answer=False):
                reply, kind, _ = bench.ask(probe)
                kinds[probe["language"], "talk" if probe["style"] == "talk" else "no answer", kind == "unknown"] += 1
                if arguments.show:
                    print(f"{kind or 'model':8} {probe['question']} -> {reply!r}")
            for language in arguments.languages:
                for what in ("no answer", "talk"):
                    said, not_said = kinds[language, what, True], kinds[language, what, False]
                    print(f"{language} {what}: said not to be known {said}/{said + not_said}")


if __name__ == "__main__":
    main()
