"""`mmchat finetune --list-methods`: what each method trains, and when to take it."""

from __future__ import annotations

from dataclasses import dataclass

from mmchat.cli.output import print_json, print_table
from mmchat.train.base import METHODS, MethodName


@dataclass(frozen=True, slots=True)
class MethodWords:
    """A line of the list."""

    trains: str
    when: str
    learning_rate: float
    """The default. The same numbers as `train.methods.METHODS`, which torch comes with; a test compares them."""


WORDS: dict[MethodName, MethodWords] = {
    "lora": MethodWords("low-rank additions to all linear layers", "the default", 2e-4),
    "dora": MethodWords("LoRA, with the length of each weight learnt apart", "a little better at low ranks", 2e-4),
    "rslora": MethodWords("LoRA, scaled for high ranks", "with --rank 64 and more", 1e-4),
    "full": MethodWords("every weight", "many rows, much memory; forgets most", 2e-5),
    "last-layers": MethodWords("the last layers whole", "a cheap kind of full", 2e-4),
    "bitfit": MethodWords("biases of the value projections", "very few numbers", 1e-2),
    "prefix": MethodWords("virtual tokens before every layer", "the weights stay as they are", 3e-2),
    "prompt": MethodWords("virtual tokens before the prompt", "the fewest numbers; learns least", 3e-2),
    "ia3": MethodWords("a factor for keys, values and inner activations", "few rows", 5e-3),
    "adalora": MethodWords("LoRA that moves ranks to where they help", "a tight budget of ranks", 5e-3),
    "qlora": MethodWords("LoRA over a base in 4 bits", "a large base on a small NVIDIA GPU", 2e-4),
    "projector": MethodWords("a map from pictures into the prompt", "a model for words is to see; words stay", 1e-3),
    "projector-lora": MethodWords("that map, and LoRA", "the same; learns more, forgets a little", 1e-3),
}


def list_methods(*, as_json: bool) -> None:
    """Print every method, in a line each."""
    if as_json:
        print_json(
            [
                {
                    "method": name,
                    "trains": WORDS[name].trains,
                    "when": WORDS[name].when,
                    "learning_rate": WORDS[name].learning_rate,
                }
                for name in METHODS
            ]
        )
        return
    rows = [(name, f"{WORDS[name].learning_rate:g}", WORDS[name].trains, WORDS[name].when) for name in METHODS]
    print_table(("METHOD", ">RATE", "TRAINS", "WHEN"), rows)
