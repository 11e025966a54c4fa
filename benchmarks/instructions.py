"""Where, and in which words, does a model heed what a role has it do with a message?

Asks every probe in a conversation with the shipped shop's role, greedily, with the instructions in several places and
wordings, and counts the replies that do as they were told; `none` is what the model says of itself.

    python benchmarks/instructions.py [-m MODEL] [--show]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

from mmchat.chat.prompt import merge_same_role
from mmchat.config.role_file import read_role
from mmchat.config.role_shelf import SHIPPED_DIR
from mmchat.domain import Message, TextDelta
from mmchat.wiring import WiringOptions, open_hub

PROBES = Path(__file__).parent / "probes" / "instructions.jsonl"

Way = Callable[[str, str, bool], tuple[Message, ...]]


def _user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


WAYS: dict[str, Way] = {
    "none": lambda message, order, zh: _user(message),
    "brackets after": lambda message, order, zh: _user(
        f"{message}\n\n（{order}）" if zh else f"{message}\n\n({order})"
    ),
    "plain after": lambda message, order, zh: _user(f"{message}\n\n{order}"),
    "plain before": lambda message, order, zh: _user(f"{order}\n\n{message}"),
    "reply so": lambda message, order, zh: _user(
        f"{message}\n\n你回答时：{order}" if zh else f"{message}\n\nIn your reply: {order}"
    ),
    "customer says": lambda message, order, zh: _user(
        f"顾客说：“{message}”\n{order}" if zh else f'A customer says: "{message}"\n{order}'
    ),
    "reply to": lambda message, order, zh: _user(
        f"{order}用一句话回答顾客：“{message}”" if zh else f'{order} Answer the customer in one sentence: "{message}"'
    ),
    "system message": lambda message, order, zh: (Message("user", message), Message("system", order)),
    "system before": lambda message, order, zh: (Message("system", order), Message("user", message)),
    "exchange": lambda message, order, zh: (
        Message("user", order),
        Message("assistant", "好的。" if zh else "I will."),
        Message("user", message),
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default=None)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--show", action="store_true", help="print every reply")
    arguments = parser.parse_args()

    hub = open_hub(WiringOptions(model=arguments.model), kinds=("lm",))
    model, habits = hub.language_model(), hub.habits()
    options = replace(habits.options, max_new_tokens=64, temperature=0.0, seed=1)
    role = read_role(SHIPPED_DIR / "support", is_shipped=True)
    probes = [json.loads(line) for line in PROBES.read_text("utf-8").splitlines()]
    for name in arguments.ways:
        heeded = {"en": 0, "zh": 0}
        for probe in probes:
            text = role.text(probe["lang"])
            head = [Message("system", text.system)]
            head += [each for shown in text.examples for each in (
                Message("user", shown.user), Message("assistant", shown.reply))]  # fmt: skip
            said = WAYS[name](probe["message"], probe["instructions"], probe["lang"] == "zh")
            reply = "".join(
                piece.text
                for piece in model.stream(merge_same_role((*head, *said)), options, Event())
                if isinstance(piece, TextDelta)
            )
            is_heeded = any(word in reply.casefold() for word in probe["said"])
            heeded[probe["lang"]] += is_heeded
            if arguments.show:
                print(f"  {'+' if is_heeded else '-'} {probe['message']} ({probe['instructions']})\n    {reply!r}")
        print(f"{name:16} en {heeded['en']}/10  zh {heeded['zh']}/10", flush=True)


if __name__ == "__main__":
    main()
