"""Where, and in which words, does a model heed what a role has it do with a message?

Asks every probe in a conversation with the shipped shop's role, greedily, with the instructions in several places and
wordings, and counts the replies that speak of it, and those that do it: that ask, or please, or apologise, and do not
say that they have none. `none` is what the model says of itself.

    python benchmarks/instructions.py [-m MODEL] [--show]
"""

from __future__ import annotations

import argparse
import json
import re
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

_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_DOES = re.compile(
    r"\?|please|could you|can you|would you|let me know|provide|send me|sorry|apolog|manual|call you"
    r"|？|请|抱歉|对不起|说明书|打电话"
)
_LACKS = re.compile(
    r"(?:do not|don't|can't|cannot|not able to) (?:have|know|provide|send|find|give)|没有(?!使用过|用过)|不知道|无法"
)

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
    "reply so, short": lambda message, order, zh: _user(
        f"{message}\n\n你用一句话回答：{order}" if zh else f"{message}\n\nIn your reply of one sentence: {order}"
    ),
    "task": lambda message, order, zh: _user(
        f"顾客的消息：“{message}”\n\n你的任务：{order}"
        if zh
        else f'A customer\'s message: "{message}"\n\nYour task: {order}'
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


def does(reply: str, said: list[str]) -> bool:
    """Whether a sentence of the reply does what it was to do, as far as words tell."""
    sentences = [each.casefold() for each in _SENTENCE.findall(reply)]
    return any(
        any(word in each for word in said) and _DOES.search(each) and not _LACKS.search(each) for each in sentences
    )


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
        heeded, done = {"en": 0, "zh": 0}, {"en": 0, "zh": 0}
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
            is_done = does(reply, probe["said"])
            done[probe["lang"]] += is_done
            if arguments.show:
                mark = "++" if is_done else "+" if is_heeded else "-"
                print(f"  {mark} {probe['message']} ({probe['instructions']})\n    {reply!r}")
        told = "  ".join(f"{language} {heeded[language]}/10, done {done[language]}" for language in heeded)
        print(f"{name:16} {told}", flush=True)


if __name__ == "__main__":
    main()
