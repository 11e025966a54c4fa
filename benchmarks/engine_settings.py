"""Which settings of llama.cpp are quickest for the default model? All in turns, so that none has the quiet moments.

    python -m benchmarks.engine_settings [NAME…] [--rounds N] [--busy] [--json FILE]

Each setting lives in a process of its own, with the model loaded once; they are asked one after the other, round
after round: a message of 22 tokens after 140 and after 2,640 that the model still holds, 600 tokens it has not read,
a text of its own, and a text to be given back with its mistakes mended. `--busy` keeps one core busy meanwhile.
Names are those of `SETTINGS`; the first is what mmchat does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.figures import Report, Spread, Table, interleaved, ratio_of
from mmchat.openmp import settle_waiting

OURS = "as mmchat"
WORDS = "the keeper of the lighthouse walked up the stairs and looked out over the grey sea while wind was blowing"


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs from mmchat's own."""

    parameters: dict[str, Any] = field(default_factory=dict)
    """Of `xllamacpp.CommonParams`: dotted names; a value "enum.NAME" is looked up."""
    environment: dict[str, str] = field(default_factory=dict)
    file: str = ""
    """A GGUF file instead of the default model's."""


def _flash(kind: str) -> dict[str, Any]:
    return {"flash_attn_type": f"llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_{kind}"}


def _cache(kind: str) -> dict[str, Any]:
    return {f"cache_type_{part}": f"ggml_type.GGML_TYPE_{kind}" for part in "kv"}


def _guess(kind: str) -> dict[str, Any]:
    return {"speculative.types": [f"common_speculative_type.COMMON_SPECULATIVE_TYPE_{kind}"]}


_UNTOLD = {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": ""}
SETTINGS = {
    OURS: Setting(),
    "threads, untold": Setting(environment=_UNTOLD),
    "threads sleep": Setting(environment={"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}),
    "threads spin 200": Setting(environment={"GOMP_SPINCOUNT": "200"}),
    "threads spin 2000": Setting(environment={"GOMP_SPINCOUNT": "2000"}),
    "threads spin 10000": Setting(environment={"GOMP_SPINCOUNT": "10000"}),
    "threads spin 50000": Setting(environment={"GOMP_SPINCOUNT": "50000"}),
    "one thread": Setting({"cpuparams.n_threads": 1}),
    "flash attention": Setting(_flash("ENABLED")),
    "no flash attention": Setting(_flash("DISABLED")),
    "no flash attention, bf16": Setting(_flash("DISABLED") | _cache("BF16")),
    "flash attention, bf16": Setting(_flash("ENABLED") | _cache("BF16")),
    "flash attention, q8": Setting(_flash("ENABLED") | _cache("Q8_0")),
    "no flash attention, f32": Setting(_flash("DISABLED") | _cache("F32")),
    "no flash attention, k q8": Setting(_flash("DISABLED") | {"cache_type_k": "ggml_type.GGML_TYPE_Q8_0"}),
    "micro-batch 128": Setting({"n_ubatch": 128}),
    "micro-batch 32": Setting({"n_ubatch": 32}),
    "no rearranged weights": Setting({"no_extra_bufts": True}),
    "guess: n-gram simple": Setting(_guess("NGRAM_SIMPLE")),
    "guess: n-gram map k": Setting(_guess("NGRAM_MAP_K")),
    "guess: n-gram map k4v": Setting(_guess("NGRAM_MAP_K4V")),
    "guess: n-gram mod": Setting(_guess("NGRAM_MOD")),
    "guess: n-gram cache": Setting(_guess("NGRAM_CACHE")),
}
OWN, GIVEN_BACK = -1, -2
GIVEN = (
    "The keeper of the lighthouse got up at five. He filled the kettle, lit the stove and climbed the stairs to trim "
    "the lamp, wich had burned all night. From the gallery he cuold see the boats comming home."
)
TASKS = {
    "first token after 140, s": ("first_s", 120),
    "first token after 2,640, s": ("first_s", 2600),
    "tokens/s after 140": ("tokens_per_s", 120),
    "tokens/s after 2,640": ("tokens_per_s", 2600),
    "600 tokens read, s": ("first_s", 0),
    "tokens/s, own text": ("tokens_per_s", OWN),
    "tokens/s, given back": ("tokens_per_s", GIVEN_BACK),
}


# --- a process with one setting ---------------------------------------------------------------------


def serve(setting: Setting, tokens: int) -> None:
    """Load the model and answer requests: a line with the words that are held, a line of figures."""
    from unittest.mock import patch

    from mmchat.domain import GenerateOptions, GenerationDone, Message
    from mmchat.engines import lm_llamacpp
    from mmchat.wiring import open_hub

    own = lm_llamacpp._parameters

    def changed(*args: Any) -> Any:
        parameters = own(*args)
        for name, value in setting.parameters.items():
            *parts, last = name.split(".")
            place = parameters
            for part in parts:
                place = getattr(place, part)
            setattr(place, last, [_looked_up(each) for each in value] if isinstance(value, list) else _looked_up(value))
        if setting.file:
            parameters.model.path = setting.file
        return parameters

    with patch.object(lm_llamacpp, "_parameters", changed):
        model = open_hub(kinds=("lm",)).language_model()
    options = GenerateOptions(max_new_tokens=tokens, temperature=0.0, seed=1)
    number = 0
    print("ready", flush=True)
    for line in sys.stdin:
        held, number = int(line), number + 1
        drawn = replace(options, max_new_tokens=96) if held in (OWN, GIVEN_BACK) else options
        if held == OWN:
            messages = [Message("user", f"Tell me a story about a lighthouse and the number {number}.")]
        elif held == GIVEN_BACK:
            messages = [Message("user", f"Correct the spelling of this text ({number}) and repeat it whole:\n{GIVEN}")]
        elif held:
            before = [Message("user", _text(held, 0)), Message("assistant", "Yes, I see.")]
            messages = [*before, Message("user", _text(16, number))]
        else:
            messages = [Message("user", _text(590, number))]
        done = [each for each in model.stream(messages, drawn, Event()) if isinstance(each, GenerationDone)][-1]
        print(json.dumps({"first_s": done.first_token_s, "tokens_per_s": done.tokens_per_s}), flush=True)
    model.close()


def _looked_up(value: Any) -> Any:
    import xllamacpp

    if isinstance(value, str) and "." in value:
        kind, _, name = value.partition(".")
        return getattr(getattr(xllamacpp, kind), name)
    return value


def _text(words: int, seed: int) -> str:
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS.split()) for _ in range(words))


# --- asking them in turns ---------------------------------------------------------------------------


class Served:
    """A process that holds the model with one setting."""

    def __init__(self, setting: Setting, tokens: int) -> None:
        settle_waiting()
        environment = os.environ | setting.environment
        environment = {key: value for key, value in environment.items() if value}
        command = [
            sys.executable,
            "-m",
            "benchmarks.engine_settings",
            "--serve",
            json.dumps(asdict(setting)),
            "--tokens",
            str(tokens),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        self.is_ready = self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, held: int) -> dict[str, float]:
        """Figures of one reply to a message after so many words."""
        assert self._process.stdin is not None
        print(held, file=self._process.stdin, flush=True)
        answer: dict[str, float] = json.loads(self._line())
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


@contextmanager
def one_core_busy(is_wanted: bool) -> Iterator[None]:
    """Another process that never rests."""
    if not is_wanted:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def measure(
    settings: dict[str, Setting], rounds: int, tokens: int, is_busy: bool, tasks: dict[str, tuple[str, int]]
) -> Report:
    """Ask all settings in turns."""
    served = {name: Served(setting, tokens) for name, setting in settings.items()}
    report = Report(
        "Settings of llama.cpp",
        about="The default model; each setting in a process of its own, asked in turns."
        + (" One core is kept busy by another process." if is_busy else ""),
    )
    report.notes += [f"{name}: not loaded" for name, each in served.items() if not each.is_ready]
    served = {name: each for name, each in served.items() if each.is_ready}
    answers: dict[tuple[str, int], list[dict[str, float]]] = {}

    def ask(name: str, held: int) -> float:
        answer = served[name].ask(held)
        answers.setdefault((name, held), []).append(answer)
        return answer["first_s"]

    with one_core_busy(is_busy):
        for held in sorted({held for _, held in tasks.values()}):
            interleaved({name: lambda n=name, h=held: ask(n, h) for name in served}, rounds + 1)  # type: ignore[misc]
    for each in served.values():
        each.close()
    # The first answer after a change of conversation reads all of it.
    values = {
        task: {name: [each[figure] for each in answers[name, held][1:]] for name in served}
        for task, (figure, held) in tasks.items()
    }
    rows = [
        [name, *(Spread.of(values[task][name]).cell(3 if "first" in tasks[task][0] else 0) for task in tasks)]
        for name in served
    ]
    report.tables.append(Table("Median (least to most)", ("setting", *tasks), rows))  # type: ignore[arg-type]
    for name in served:
        for task, (figure, _) in tasks.items():
            if name != OURS and OURS in served:
                unit = "s" if figure == "first_s" else "tokens/s"
                report.ratios.append(
                    ratio_of(
                        task.rpartition(",")[0] or task,
                        name,
                        values[task][OURS],
                        values[task][name],
                        unit,
                        is_more_better=figure != "first_s",
                    )
                )
    report.samples = values
    return report


def main() -> None:
    """Measure and print, or be one of those asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--busy", action="store_true", help="keep one core busy with another process")
    parser.add_argument("--held", type=int, help="only one kind of task: 0, 120, 2600, -1 or -2")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(Setting(**json.loads(arguments.serve)), arguments.tokens)
        return
    names = arguments.names or [OURS, "threads spin", "one thread", "flash attention", "guess: n-gram mod"]
    tasks = {name: each for name, each in TASKS.items() if arguments.held in (None, each[1])}
    measure({name: SETTINGS[name] for name in names}, arguments.rounds, arguments.tokens, arguments.busy, tasks).finish(
        arguments.json
    )


if __name__ == "__main__":
    main()
