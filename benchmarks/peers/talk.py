"""mmchat's replies beside what people would use instead, on the same weights (SmolLM2-135M).

    python -m benchmarks.peers.talk [--keep FOLDER] [--wheels FOLDER] [--llama-server PROGRAM] [--without PEER]

Peers: `llm` with llama-cpp-python, llama.cpp's own server (as xllamacpp starts it, and the `llama-server` program),
transformers' generate, and a plain HTTP client beside mmchat's engine for servers. Each is asked in turns with mmchat,
round after round: in a running program, as one command, and through sixty turns of a conversation.

`llm` is installed once into an environment of its own; llama-cpp-python is compiled then (about 15 minutes on two
cores, needs a compiler) unless `--wheels` holds its wheel. `--llama-server`, or one on the PATH, is the program.
`--native FOLDER` shows mmchat on another build of xllamacpp, too. A peer that is not there is left out with a line that
says why. With GCC 12 on a processor with AMX what is compiled dies of an illegal instruction (llama.cpp's pull request
26954): the stores of `ggml_tile_config_init` in `ggml-cpu/amx/mmq.cpp` need a barrier before `_tile_loadconfig`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.figures import Cell, Report, Spread, Table, interleaved, ratio_of
from benchmarks.peers.commands import measure_commands
from benchmarks.peers.environment import PeerMissing, peer_environment, peer_versions, tell
from benchmarks.peers.place import QUESTIONS, WORDS, Place
from benchmarks.peers.speakers import (
    ROOT,
    Figures,
    LlamaServer,
    OverHttp,
    Speaker,
    Voice,
)

LLM = "llm"
BARE_SERVER = "xllamacpp's server over HTTP"
LLAMA_SERVER = "llama-server"
TRANSFORMERS = "transformers"
PEERS = (LLM, BARE_SERVER, LLAMA_SERVER, TRANSFORMERS)
NAMES = {"llm": LLM, "bare-server": BARE_SERVER, "llama-server": LLAMA_SERVER, "transformers": TRANSFORMERS}
OURS = "mmchat"
SERVED = "mmchat over llama-server"
NATIVE = "mmchat, llama.cpp compiled here"
LLM_NEEDS = ("llm", "llm-gguf", "llm-llama-cpp", "llama-cpp-python")
CONTEXT = 8192
TURNS_SHOWN = (2, 20, 40, 60)
ABOUT = (
    "SmolLM2-135M as mmchat runs it (Q8_0, made from the published Q4_1), the likeliest token each time; peers with "
    "the settings they have by themselves. What mmchat tells the model of itself is told to all. mmchat speaks "
    "through a session that stores every turn; beside short prompts it recalls nothing, as the others have no memory."
)
GROWING_TOKENS = 16
"""Of each reply of the growing conversation."""
OTHERS = 1000
READ_WORDS = 460
"""Words of the long message: about 500 tokens with the rest."""


# --- in a running program ---------------------------------------------------------------------------


@contextmanager
def speakers(place: Place, wanted: set[str], program: Path | None, native: Path | None) -> Iterator[dict[str, Speaker]]:
    """All that hold the model, by name; those that fail are left out."""
    with ExitStack() as stack:
        started: dict[str, Speaker] = {}

        def start(name: str, make: Callable[[], Speaker]) -> None:
            try:
                started[name] = make()
            except PeerMissing as error:
                place.left_out.append(f"left out: {name}: {error}")
            else:
                stack.callback(started[name].close)

        tokens, file = place.tokens, str(place.ours)
        own = {"tokens": tokens, "recall": False}
        start(OURS, lambda: Voice("mmchat", own, **place.variables()))
        if native is not None:
            path = f"{native.absolute()}{os.pathsep}{ROOT}"
            start(NATIVE, lambda: Voice("mmchat", own, **(place.variables() | {"PYTHONPATH": path})))
        if place.llm is not None:
            for path in (file, str(place.published)):
                kind = path.rpartition(".gguf")[0].rpartition(".")[2]
                options = {"tokens": tokens, "file": path, "context": CONTEXT}
                start(f"llama-cpp-python, {kind}", lambda o=options: Voice("llama-cpp-python", o, place.llm))  # type: ignore[misc]
        if BARE_SERVER in wanted:
            start(BARE_SERVER, lambda: OverHttp(Voice("bare-server", {"file": file}), tokens))
        if LLAMA_SERVER in wanted and program is not None:
            start(LLAMA_SERVER, lambda: OverHttp(LlamaServer(program, place.ours), tokens))
        if isinstance(served := started.get(LLAMA_SERVER), OverHttp):
            own = own | {"model": "served"}
            _name_server(place.home / "mmchat", served.server.address)
            start(SERVED, lambda: Voice("mmchat", own, **place.variables()))
        if TRANSFORMERS in wanted:
            python = _transformers(place)
            for dtype in ("float32", "bfloat16") if python else ():
                options = {"tokens": tokens, "dtype": dtype, "folder": str(place.weights / "smollm2-135m/transformers")}
                start(f"transformers, {dtype}", lambda o=options: Voice("transformers", o, python))  # type: ignore[misc]
        yield started


def _transformers(place: Place) -> Path | None:
    try:
        return peer_environment("transformers", ["torch", "transformers"], borrows=True)
    except PeerMissing as error:
        place.left_out.append(f"left out: {error}")
        return None


def _name_server(home: Path, address: str) -> None:
    """An entry for the server, in the home's own models.toml."""
    from mmchat.paths import config_dir

    os.environ["MMCHAT_HOME"] = str(home)
    file = config_dir() / "models.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    entry = f'[models.served]\nkind = "lm"\nengine = "openai"\nbase_url = "{address}/v1"\ncontext_tokens = {CONTEXT}\n'
    file.write_text(f"schema_version = 1\n{entry}decoding = {{ repetition_penalty = 1.05 }}\n", encoding="utf-8")


def measure_replies(report: Report, started: dict[str, Speaker], rounds: int) -> str:
    """Short messages and long unread ones, each the first of a conversation; returns what mmchat is told to be."""
    tell("replies")
    started[OURS].begin("")
    system = str(started[OURS].say("Hello.").get("system", ""))
    short: dict[str, list[Figures]] = {name: [] for name in started}
    long: dict[str, list[Figures]] = {name: [] for name in started}
    # Others than its plain client's: the server they share would hold them.
    turns = {name: OTHERS if name == SERVED else 0 for name in started}

    def ask(name: str) -> float:
        turns[name] += 1
        # The same for all but one; no message twice, as all keep what they have read.
        chosen = random.Random(turns[name])
        started[name].begin(system)
        short[name].append(started[name].say(f"({turns[name]}) {QUESTIONS[turns[name] % len(QUESTIONS)]}"))
        started[name].begin(system)
        words = " ".join(chosen.choice(WORDS.split()) for _ in range(READ_WORDS))
        long[name].append(started[name].say(f"{words}. {QUESTIONS[0]}"))
        return 0.0

    interleaved({name: lambda n=name: ask(n) for name in started}, rounds + 1)  # type: ignore[misc]
    # The first round warms up; `interleaved` cannot know of figures that are kept here.
    views: dict[str, tuple[dict[str, list[Figures]], str, int]] = {
        "first token, s": (short, "first_s", 3),
        "tokens/s": (short, "tokens_per_s", 0),
        "500 tokens read, s": (long, "first_s", 2),
        "tokens/s after 500": (long, "tokens_per_s", 0),
    }
    values = {
        title: {name: [each[key] for each in figures[name][1:]] for name in started}
        for title, (figures, key, _) in views.items()
    }
    rows: list[list[Cell]] = []
    for name, speaker in started.items():
        cells = [Spread.of(values[title][name]).cell(digits) for title, (_, _, digits) in views.items()]
        rows.append([name, *cells, round(speaker.peak_mb())])
    read = statistics.median(each.get("prompt_tokens", 0) for each in long[OURS])
    report.tables.append(
        Table(
            "In a running program: median (least to most)",
            ("", *views, "peak memory, MB"),
            rows,
            note=f"The long prompt has {read:.0f} tokens. `{SERVED}` holds no weights: the server does.",
        )
    )
    for title, by_name in values.items():
        for name in started:
            ours, theirs = (SERVED, LLAMA_SERVER) if name == LLAMA_SERVER and SERVED in started else (OURS, name)
            unit, is_more_better = ("s", False) if title.endswith(", s") else ("tokens/s", True)
            what = title.removesuffix(", s")
            if name == LLAMA_SERVER and ours == SERVED:
                report.ratios.append(
                    ratio_of(
                        f"{what}, mmchat's engine for servers", "a plain client of the same llama-server",
                        by_name[SERVED], by_name[theirs], unit, is_more_better=is_more_better,
                    )
                )  # fmt: skip
            if name not in (OURS, SERVED):
                report.ratios.append(
                    ratio_of(what, name, by_name[OURS], by_name[name], unit, is_more_better=is_more_better)
                )
    report.samples["replies"] = {"short": short, "long": long}
    return system


def measure_growing(report: Report, place: Place, started: dict[str, Speaker], system: str, turns: int) -> None:
    """One conversation with each, turn by turn; every one goes on from its own replies."""
    tell("a growing conversation")
    home = place.home / "growing"
    talking = {OURS: Voice("mmchat", {"tokens": GROWING_TOKENS, "recall": True}, **place.variables(home))}
    servers = [name for name in (BARE_SERVER, LLAMA_SERVER) if name in started]
    both: dict[str, Speaker] = talking | {name: started[name] for name in servers}
    said: dict[str, list[Figures]] = {name: [] for name in both}

    def say(name: str) -> float:
        turn = len(said[name]) + 1
        said[name].append(both[name].say(f"{QUESTIONS[turn % len(QUESTIONS)]} ({turn})"))
        return 0.0

    try:
        for name, speaker in both.items():
            if isinstance(speaker, OverHttp):
                speaker.tokens = GROWING_TOKENS
            speaker.begin(system)
            say(name)
        interleaved({name: lambda n=name: say(n) for name in both}, turns - 1)  # type: ignore[misc]
    finally:
        talking[OURS].close()
    shown = [turn for turn in TURNS_SHOWN if turn <= turns]
    values = {
        (name, turn, key): [each[key] for each in figures[max(1, turn - 3) : turn + 2]]
        for name, figures in said.items()
        for turn in shown
        for key in ("first_s", "tokens_per_s", "prompt_tokens", "cached_tokens")
    }
    rows: list[list[Cell]] = []
    for turn in shown:
        for name in both:
            figures = said[name][turn - 1]
            first, speed = (Spread.of(values[name, turn, key]) for key in ("first_s", "tokens_per_s"))
            held = (figures["prompt_tokens"], figures["cached_tokens"])
            rows.append([f"turn {turn}, {name}", *held, first.cell(3), speed.cell(0)])
            if name != OURS:
                for what, key, is_more in (("first token", "first_s", False), ("tokens/s", "tokens_per_s", True)):
                    ours, theirs = values[OURS, turn, key], values[name, turn, key]
                    unit = "tokens/s" if is_more else "s"
                    report.ratios.append(
                        ratio_of(f"{what}, turn {turn}", name, ours, theirs, unit, is_more_better=is_more)
                    )
    report.tables.append(
        Table(
            "A growing conversation: median of five turns around each (least to most)",
            ("", "prompt tokens", "of them held", "first token, s", "tokens/s"),
            rows,
            note="mmchat stores each turn and looks for memories; the servers are sent the whole conversation.",
        )
    )
    report.samples["growing"] = said


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=60, help="of the growing conversation")
    parser.add_argument("--tokens", type=int, default=24, help="longest reply")
    parser.add_argument("--without", action="append", default=[], choices=sorted(NAMES), metavar="PEER")
    parser.add_argument("--only", action="append", default=[], choices=("replies", "growing", "commands"))
    parser.add_argument("--keep", type=Path, help="folder where the peers' environments stay")
    parser.add_argument("--wheels", type=Path, help="folder with a wheel of llama-cpp-python")
    parser.add_argument("--llama-server", type=Path, help="the program; default: the one on the PATH")
    parser.add_argument("--native", type=Path, help="folder with another build of xllamacpp, for mmchat")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (place := _place(arguments)):
        raise SystemExit(
            "weights are missing; once each: mmchat ask Hello, mmchat ask -m smollm2-135m@transformers Hello"
        )
    report = Report("Replies beside what people would use instead", about=ABOUT)
    wanted = set(PEERS) - {NAMES[each] for each in arguments.without}
    try:
        _measure(report, place, arguments, wanted)
    finally:
        shutil.rmtree(place.home, ignore_errors=True)
    report.notes += place.left_out
    report.finish(arguments.json)


def _place(arguments: argparse.Namespace) -> Place | None:
    from mmchat.paths import weights_dir

    weights = weights_dir()
    held = weights / "smollm2-135m"
    needed = (held / "source", held / "llamacpp", held / "transformers")
    if not all(folder.is_dir() for folder in needed):
        return None
    return Place(Path(tempfile.mkdtemp(prefix="mmchat-peers-run-")), weights, arguments.tokens)


def _measure(report: Report, place: Place, arguments: argparse.Namespace, wanted: set[str]) -> None:
    if arguments.keep is not None:
        os.environ["MMCHAT_PEERS"] = str(arguments.keep.absolute())
    found = arguments.llama_server or shutil.which("llama-server")
    program = Path(found) if found else None
    if LLAMA_SERVER in wanted and program is None:
        place.left_out.append("left out: llama-server: it is not on the PATH, and --llama-server names none")
    if LLM in wanted:
        try:
            place.llm = peer_environment("llm", LLM_NEEDS, wheels=arguments.wheels)
        except PeerMissing as error:
            place.left_out.append(f"left out: {error}")
    parts = set(arguments.only) or {"replies", "growing", "commands"}
    if place.llm is not None:
        versions = peer_versions(place.llm, *LLM_NEEDS)
        report.notes.append("Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
        if "commands" in parts:
            measure_commands(report, place, arguments.rounds)
    if parts & {"replies", "growing"}:
        with speakers(place, wanted, program, arguments.native) as started:
            system = measure_replies(report, started, arguments.rounds if "replies" in parts else 0)
            if "growing" in parts:
                measure_growing(report, place, started, system, arguments.turns)


if __name__ == "__main__":
    main()
