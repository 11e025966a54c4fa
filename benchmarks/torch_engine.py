"""How fast is the engine on transformers, plain and with weights in fewer bits, beside llama.cpp on the same weights?

    python -m benchmarks.torch_engine [--rounds N] [--tokens N] [--json FILE]

All models are loaded in one process and reply in turns, greedily: to a message of about 200 tokens that none of them
has read, and after about 1,500 tokens that are held. Then one conversation of twenty turns, for what is read anew.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import psutil

from benchmarks.figures import Cell, Report, Spread, Table, interleaved, ratio_of
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Likelihood, Message, TextDelta
from mmchat.engines.registry import load_engine
from mmchat.openmp import settle_waiting
from mmchat.paths import weights_dir
from mmchat.weights.store import WeightsStore

MODEL = "smollm2-135m"
BARE, OURS, LLAMA = "transformers' generate, float32", "mmchat on transformers", "mmchat on llama.cpp"
KINDS: dict[str, dict[str, Any]] = {
    "mmchat on transformers, float32": {"dtype": "float32"},
    OURS: {},
    'weights = "int8"': {"options": {"weights": "int8"}},
    'weights = "int4"': {"options": {"weights": "int4"}},
}
WORDS = "the keeper of the lighthouse walked up the stairs and looked out over the grey sea while wind was blowing"
TEXT = Path(__file__).parents[1] / "docs" / "models.md"
TURNS, STOPPED_TURN, DROPPING_TURN = 20, 8, 14


def message(words: int, number: int) -> Message:
    """A message of about so many tokens, unlike any before from its first words on."""
    told = (WORDS.split() * (words // 20 + 1))[:words]
    return Message("user", f"{number}. {' '.join(told)}")


def replied(model: Any, messages: Sequence[Message], tokens: int) -> GenerationDone:
    """One greedy reply."""
    chosen = GenerateOptions(max_new_tokens=tokens, temperature=0.0)
    return [each for each in model.stream(messages, chosen, Event()) if isinstance(each, GenerationDone)][-1]


class Bare:
    """`generate` as its documentation shows it: the whole prompt is read for each reply."""

    def __init__(self, path: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(path)
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)

    def reply(self, messages: Sequence[Message], tokens: int) -> tuple[float, float]:
        """Seconds to the first token, and tokens a second after it."""
        turns = [{"role": each.role, "content": each.text} for each in messages]
        inputs = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        times: list[float] = []

        class Clock:
            def put(self, _: Any) -> None:
                times.append(perf_counter())

            def end(self) -> None:
                pass

        started = perf_counter()
        self._model.generate(**inputs, max_new_tokens=tokens, do_sample=False, streamer=Clock())
        first, *later = times[1:]  # the streamer is given the prompt at first
        return first - started, (len(later) / (later[-1] - first)) if later else 0.0


def grown_mb(load: Callable[[], Any]) -> tuple[Any, float]:
    """What is loaded, and by how much the process grew for it."""
    process = psutil.Process()
    before = process.memory_info().rss
    loaded = load()
    if not isinstance(loaded, Bare):
        replied(loaded, [message(20, 0)], 2)
    return loaded, (process.memory_info().rss - before) / 1e6


def perplexity(model: Any) -> float:
    """Of the beginning of a page of our own."""
    found: tuple[Likelihood, ...] = model.likelihoods([()], [TEXT.read_text(encoding="utf-8")[:6000]], Event())
    return float(2.718281828459045 ** (found[0].nats / found[0].tokens))


def read_anew(model: Any) -> list[Table]:
    """A conversation of twenty turns; of each prompt, how much was not held any more."""
    messages: list[Message] = []
    rows: list[list[Cell]] = []
    counts: dict[str, list[int]] = {}
    for turn in range(1, TURNS + 1):
        kind = "the first" if turn == 1 else "ordinary"
        if turn == STOPPED_TURN + 1:
            kind = "after a stopped reply"
        if turn == DROPPING_TURN:
            kind, messages = "the oldest exchanges are dropped", messages[8:]
        messages.append(message(20, turn))
        cancel, said = Event(), []
        for event in model.stream(messages, GenerateOptions(max_new_tokens=16, temperature=0.0), cancel):
            if isinstance(event, TextDelta):
                said.append(event.text)
                if turn == STOPPED_TURN and len(said) == 5:
                    cancel.set()
            else:
                counts.setdefault(kind, []).append(event.prompt_tokens - event.cached_tokens)
                last = event.prompt_tokens
        messages.append(Message("assistant", "".join(said)))
    rows = [[kind, len(each), Spread.of(each).cell(0)] for kind, each in counts.items()]
    note = f"The last prompt has {last:,} tokens. A message has about 30 with its marks."
    return [Table(f"Tokens read anew in {TURNS} turns", ("turn", "how many", "tokens read anew"), rows, note)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settle_waiting()
    entry, store = load_models_file()[MODEL], WeightsStore(weights_dir())
    path = store.prepared(entry, "transformers")
    models: dict[str, Any] = {}
    memory_mb: dict[str, float] = {}
    for name, how in KINDS.items():
        spec = EngineSpec(MODEL, "transformers", path, context_tokens=8192, device="cpu", **how)
        models[name], memory_mb[name] = grown_mb(lambda each=spec: load_engine("lm", each))  # type: ignore[misc]
    llama = EngineSpec(MODEL, "llamacpp", store.prepared(entry, "llamacpp"), context_tokens=8192, device="cpu")
    models[LLAMA], memory_mb[LLAMA] = grown_mb(lambda: load_engine("lm", llama))
    bare, memory_mb[BARE] = grown_mb(lambda: Bare(path))
    report = Report(
        "The engine on transformers",
        about=f"{MODEL}, one process, replies of {arguments.tokens} tokens in turns, greedy.",
    )
    compare(report, models, bare, memory_mb, arguments.rounds, arguments.tokens)
    report.tables += read_anew(models[OURS])
    for each in models.values():
        each.close()
    report.finish(arguments.json)


def compare(
    report: Report, models: dict[str, Any], bare: Bare, memory_mb: dict[str, float], rounds: int, tokens: int
) -> None:
    """All of them in turns."""
    figures: dict[str, dict[str, list[float]]] = {
        name: {"first": [], "short": [], "long": []} for name in (BARE, *models)
    }
    number = 0
    held = [message(1300, 0), Message("assistant", "I see.")]

    def fresh(name: str) -> float:
        nonlocal number
        number += 1
        if name == BARE:
            first, speed = bare.reply([message(170, number)], tokens)
        else:
            done = replied(models[name], [message(170, number)], tokens)
            first, speed = done.first_token_s, done.tokens_per_s
        figures[name]["first"].append(first)
        figures[name]["short"].append(speed)
        return speed

    def after_much(name: str) -> float:
        done = replied(models[name], [*held, message(5, 1)], tokens)
        figures[name]["long"].append(done.tokens_per_s)
        return done.tokens_per_s

    interleaved({name: lambda n=name: fresh(n) for name in figures}, rounds)  # type: ignore[misc]
    interleaved({name: lambda n=name: after_much(n) for name in models}, max(2, rounds // 2))  # type: ignore[misc]
    rows: list[list[Cell]] = []
    for name, each in figures.items():
        told = [Spread.of(each["first"]).cell(), Spread.of(each["short"]).cell(0)]
        long = Spread.of(each["long"]).cell(0) if each["long"] else None
        judged = None if name in (BARE, LLAMA) else round(perplexity(models[name]), 2)
        rows.append([name, *told, long, round(memory_mb[name]), judged])
    columns = ("", "first token, s", "tokens/s", "tokens/s after 1,500", "memory, MB", "perplexity")
    note = "Memory: by how much the process grew. Perplexity: of the beginning of docs/models.md; less is better."
    report.tables.append(Table("Median (least to most)", columns, rows, note))
    for name in (BARE, LLAMA):
        for ours in (OURS, *list(KINDS)[2:]):
            report.ratios.append(
                ratio_of(
                    f"tokens/s, {ours}",
                    name,
                    figures[ours]["short"],
                    figures[name]["short"],
                    "tokens/s",
                    is_more_better=True,
                )
            )
    report.samples = {name: {key: list(value) for key, value in each.items()} for name, each in figures.items()}
    fastest = max(list(KINDS), key=lambda name: statistics.median(figures[name]["short"]))
    report.notes.append(f"The quickest on transformers: {fastest}.")


if __name__ == "__main__":
    main()
