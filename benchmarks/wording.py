"""Which words tell a model best what was seen, heard and remembered?

Asks every probe with every style of `mmchat.chat.wording`, greedily, each in a conversation of its
own and again as the third turn of a short one, and counts the replies that use what they were told.

    python benchmarks/wording.py [-m MODEL] [--kinds fact] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from threading import Event

from mmchat.chat.note_styles import STYLES
from mmchat.chat.prompt import merge_same_role
from mmchat.chat.wording import turn_messages
from mmchat.domain import Attachment, Heard, Message, Recalled, Seen, Tag, TextDelta, Turn
from mmchat.wiring import WiringOptions, open_hub, open_settings

PROBES = Path(__file__).parent / "probes" / "wording.jsonl"
FACTS = PROBES.with_name("fact_wording.jsonl")
"""Facts about the user and questions that need them (`--kinds fact`)."""
SMALL_TALK = {
    "en": (Message("user", "Good morning!"), Message("assistant", "Good morning! How can I help you today?")),
    "zh": (Message("user", "早上好！"), Message("assistant", "早上好！有什么可以帮您？")),
}


WRONG = ("jigsaw puzzle", "crutch", "trumpet")
"""Tags that are true of no probe (`--wrong`): what a weak score stands for three times of four."""
WRONG_SAID = ("jigsaw", "puzzle", "crutch", "trumpet", "拼图", "拐杖", "小号")


def turn_of(probe: dict, wrong: int = 0) -> tuple[Turn, list[Recalled]]:
    """The stored turn that the program would have made of a probe; `wrong` untrue tags are told with a picture's."""
    seen = heard = None
    if probe["kind"] == "photo":
        labels = (*probe["tags"][: 4 - wrong], *WRONG[:wrong])
        seen = Seen(tags=tuple(Tag(label, 0.8 - 0.05 * rank) for rank, label in enumerate(labels)))
    if probe["kind"] == "sound":
        heard = Heard(text=probe["heard"], language=probe["lang"], duration_s=3.0)
    attachments = ()
    if seen or heard:
        kind = "image" if seen else "audio"
        attachments = (Attachment("a", "t", kind, "file", "", "", 0, Path(), heard=heard, seen=seen),)
    turn = Turn("t", "s", None, "user", probe["question"], "complete", "", attachments=attachments)
    recalled = []
    if probe["kind"] == "memory":
        recalled = [Recalled("s0", "t0", probe["role"], probe["said"], "2026-01-01T00:00:00Z", 1.0)]
    if probe["kind"] == "fact":
        recalled = [Recalled("", "", "user", said, "2026-01-01T00:00:00Z", 1.0, fact="f0") for said in probe["said"]]
    return turn, recalled


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default=None)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--kinds", nargs="+", default=["photo", "sound", "memory"])
    parser.add_argument("--styles", nargs="+", default=list(STYLES))
    parser.add_argument("--penalty", type=float, default=None, help="another repetition penalty than the model's")
    parser.add_argument("--show", action="store_true", help="print every reply")
    parser.add_argument("--wrong", type=int, default=0, help="tell so many untrue tags with a picture's (0 to 3)")
    arguments = parser.parse_args()

    hub = open_hub(WiringOptions(model=arguments.model), kinds=("lm",))
    model, habits = hub.language_model(), hub.habits()
    system = open_settings().system
    penalty = habits.options.repetition_penalty if arguments.penalty is None else arguments.penalty
    options = replace(habits.options, max_new_tokens=48, temperature=0.0, seed=1, repetition_penalty=penalty)
    probes = [json.loads(line) for path in (PROBES, FACTS) for line in path.read_text("utf-8").splitlines()]
    probes = [probe for probe in probes if probe["kind"] in arguments.kinds]
    results: dict[str, dict[str, list[bool]]] = {}
    misled = 0
    for style in arguments.styles:
        counts: dict[str, list[bool]] = {}
        for probe in probes:
            turn, recalled = turn_of(probe, arguments.wrong)
            told = turn_messages(turn, recalled, style=style)
            for talk in ((), SMALL_TALK[probe["lang"]]):
                messages = (Message("system", system),) if system else ()
                messages = (*messages, *merge_same_role((*talk, *told)))
                pieces = model.stream(messages, options, Event())
                reply = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
                is_used = any(word in reply.lower() for word in probe["expect"])
                misled += arguments.wrong > 0 and any(word in reply.lower() for word in WRONG_SAID)
                counts.setdefault(f"{probe['kind']} {probe['lang']}", []).append(is_used)
                if arguments.show:
                    print(f"{style:8} {'ok ' if is_used else '-- '} {probe['question']} -> {reply!r}")
        results[style] = counts
    kinds = list(next(iter(results.values())))
    print(f"{model.name} on {model.engine}, greedy, penalty {penalty}, {len(probes)} probes x 2 conversations")
    print(f"{'style':10}" + "".join(f"{kind:>14}" for kind in kinds) + f"{'all':>14}")
    for style, counts in results.items():
        flat = [value for values in counts.values() for value in values]
        cells = [f"{sum(values)}/{len(values)}" for values in (*counts.values(), flat)]
        print(f"{style:10}" + "".join(f"{cell:>14}" for cell in cells))
    if arguments.wrong:
        print(f"replies that repeat one of {arguments.wrong} untrue tags: {misled}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"model": model.name, "engine": model.engine, "results": results}))


if __name__ == "__main__":
    main()
