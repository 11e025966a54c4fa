"""Evaluations in batches beside one by one, and beside lm-evaluation-harness on the same rows.

    python -m benchmarks.score [--data FOLDER] [--limit N] [--rounds N] [--json FILE]

Both ways of asking are whole evaluations with the model loaded beforehand, in turns, and must give the same scores; the
comparison with the harness is of whole commands, `mmchat eval --metric perplexity` beside `lm_eval run`, with one
number of rows at once, in float32. Rows are mmchat's own dialogues; with the folder of public data that --data names,
classes (CLINC150) and recall (LoCoMo) are scored in batches too. --no-harness leaves the harness out, which is
installed with pip.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.figures import Cell, Report, Spread, Table, interleaved, ratio_of
from benchmarks.harness import Continuation, Harness
from benchmarks.peers.environment import PeerMissing
from mmchat import paths
from mmchat.config.models_file import load_models_file
from mmchat.domain import Message
from mmchat.evals.base import LikelihoodOutcome, ReplyOutcome
from mmchat.evals.results import Run, RunSettings
from mmchat.evals.runner import evaluate
from mmchat.evals.runs import RunStore
from mmchat.weights.store import WeightsStore
from mmchat.wiring import open_eval_models, open_process_group

OWN_ROWS = Path(__file__).parents[1] / "mmchat/evals/data/talk-en.jsonl"
MODEL = "smollm2-135m"
AT_ONCE = 16
"""Rows of a batch of both programs."""
REPLIES_SHARE = 4
"""Replies are drawn for one row of so many: they take longer than likelihoods."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked for in both ways."""

    name: str
    settings: RunSettings


@dataclass(slots=True)
class Asked:
    """One evaluation."""

    run: Run
    outcomes: dict[str, Any]
    seconds: float


# --- batches beside one by one --------------------------------------------------------------------


def cases(rows: Path, data: Path | None, limit: int) -> Iterator[Case]:
    """Those that the data allow."""
    few = RunSettings(data=(str(rows),), models=(MODEL,), metrics=("bleu",), limit=max(1, limit // REPLIES_SHARE))
    yield Case("replies (BLEU), transformers", few)
    yield Case("replies (BLEU), llama.cpp", replace(few, models=(f"{MODEL}@llamacpp",)))
    yield Case("likelihoods (perplexity)", replace(few, metrics=("perplexity",), limit=limit))
    if data is not None:
        labels = str((data / "intents/clinc150.test.jsonl").absolute())
        turns = str((data / "memory/locomo.dev.jsonl").absolute())
        yield Case(
            "classes (accuracy)", RunSettings(data=(labels,), models=(), metrics=("accuracy",), limit=50 * limit)
        )
        yield Case("recall (recall@10)", RunSettings(data=(turns,), models=(), metrics=("recall@10",), limit=1))


def asked(settings: RunSettings, store: RunStore) -> Asked:
    """Evaluate with a model that is loaded; its loading is not counted."""
    models = open_eval_models(settings, lambda state: None)
    for name in settings.models or (models.default("embed"),):
        models.facts(name)
    began = time.perf_counter()
    run = evaluate(
        settings,
        models=models,
        runs=store,
        group=open_process_group(),
        on_progress=lambda progress: None,
        cancel=Event(),
    )
    seconds = time.perf_counter() - began
    models.close()
    return Asked(run, {each.outcome.id: each.outcome for each in store.outcomes(run.id)}, seconds)


def batches(report: Report, chosen: Sequence[Case], rounds: int) -> None:
    """Fill in what batches gain, and whether they change anything."""
    rows: list[list[Cell]] = []
    for case in chosen:
        many, one = both_ways(case, rounds)
        batched, single = (Spread.of([each.seconds for each in way]) for way in (many, one))
        same = _same(many[0], one[0])
        times = (batched.cell(1), single.cell(1), batched.median / single.median)
        rows.append([case.name, len(many[0].outcomes), *times, same, _scores(many[0].run), _scores(one[0].run)])
    columns = ("", "samples", "batched, s", "one by one, s", "of it", "the same", "score", "score, one by one")
    report.tables.append(Table("In batches and one by one", columns, rows, "The model is loaded beforehand."))


def both_ways(case: Case, rounds: int) -> tuple[list[Asked], list[Asked]]:
    """Evaluations in batches and one by one, in turns."""
    found: dict[int, list[Asked]] = {0: [], 1: []}
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))

        def ask(batch_size: int) -> float:
            found[batch_size].append(asked(replace(case.settings, batch_size=batch_size), store))
            return found[batch_size][-1].seconds

        interleaved({"batched": lambda: ask(0), "one by one": lambda: ask(1)}, rounds)
    return found[0], found[1]


def _same(own: Asked, other: Asked) -> str:
    """How many outcomes do not depend on the batch."""
    same = sum(_essence(each) == _essence(other.outcomes[name]) for name, each in own.outcomes.items())
    return f"{same} of {len(own.outcomes)}"


def _essence(outcome: Any) -> Any:
    if isinstance(outcome, ReplyOutcome):
        return outcome.reply
    if isinstance(outcome, LikelihoodOutcome):
        return f"{outcome.nats:.3f}"
    return {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in ((name, getattr(outcome, name)) for name in outcome.__slots__)
        if key != "elapsed_s"
    }


def _scores(run: Run) -> str:
    values = [each.score for each in run.scores if each.score is not None]
    return f"{values[0]:.4g}" if values else "none"


# --- beside the harness ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one row: its name in mmchat's outcomes, and what the harness is asked."""

    id: str
    asked: Continuation


def replies_of(rows: Path) -> list[Sample]:
    """Every message of the assistant's after all that was said before it."""
    tokenizer = _tokenizer()
    found: list[Sample] = []
    for number, line in enumerate(rows.read_text(encoding="utf-8").splitlines(), start=1):
        said = [Message(each["role"], each["content"]) for each in json.loads(line)["messages"]]
        for at, message in enumerate(said):
            if message.role == "assistant" and at:
                turns = [{"role": each.role, "content": each.text} for each in said[:at]]
                context = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
                text = f"{message.text.strip()}{tokenizer.eos_token}"
                found.append(Sample(f"{rows.name}:{number}#{at}", Continuation(context, text)))
    return found


def texts_of(dialogues: Path, rows: Path) -> list[Sample]:
    """Each dialogue as one plain text, written to `rows`; the harness is told its first token as context."""
    tokenizer, found = _tokenizer(), []
    with rows.open("w", encoding="utf-8") as file:
        for number, line in enumerate(dialogues.read_text(encoding="utf-8").splitlines(), start=1):
            text = "\n".join(each["content"] for each in json.loads(line)["messages"])
            file.write(json.dumps({"text": text, "lang": "en"}) + "\n")
            first = tokenizer.decode(tokenizer(text)["input_ids"][:1])
            found.append(Sample(f"{rows.name}:{number}", Continuation(first, text.removeprefix(first))))
    return found


def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_folder())


def base_folder() -> Path:
    """Of the default model, as transformers reads it."""
    entry, _ = load_models_file().resolve(MODEL)
    return WeightsStore(paths.weights_dir()).prepared(
        entry, "transformers", on_progress=lambda progress: None, cancel=Event()
    )


def command_nats(rows: Path, home: Path) -> tuple[dict[str, LikelihoodOutcome], float]:
    """What `mmchat eval` finds, and the seconds of the whole command."""
    command = [sys.executable, "-m", "mmchat", "eval", "--data", str(rows), "--metric", "perplexity", "--json"]
    command += ["-m", MODEL, "--batch-size", str(AT_ONCE)]
    told = os.environ | {"MMCHAT_HOME": str(home), "MMCHAT_WEIGHTS": str(paths.weights_dir())}
    began = time.perf_counter()
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"mmchat eval ended with {done.returncode}: {done.stderr}")
    (found,) = home.rglob("outcomes.jsonl")
    store = RunStore(found.parents[1])
    outcomes = [each.outcome for each in store.outcomes(found.parent.name)]
    return {each.id: each for each in outcomes if isinstance(each, LikelihoodOutcome)}, seconds


def beside_harness(report: Report, dialogues: Path, rounds: int) -> None:
    """Fill in both programs' times and perplexities."""
    try:
        harness = Harness.install()
        with tempfile.TemporaryDirectory() as folder:
            texts = Path(folder) / "texts.jsonl"
            kinds = {
                "plain texts": (texts, texts_of(dialogues, texts)),
                "replies in dialogues": (dialogues, replies_of(dialogues)),
            }
            table = [_beside(report, harness, name, *each, rounds) for name, each in kinds.items()]
    except PeerMissing as missing:
        report.notes.append(f"No comparison with lm-evaluation-harness: {missing}")
        return
    columns = ("", "samples", "tokens", "mmchat, s", "harness, s", "of it", "perplexity", "harness", "furthest, nats")
    note = (
        f"lm-evaluation-harness {harness.version}, whole commands, float32, {AT_ONCE} rows at once. The last column is "
        "the largest difference of one sample. The harness also scores the line break before a reply."
    )
    report.tables.append(Table("Beside lm-evaluation-harness", columns, table, note))


def _beside(
    report: Report, harness: Harness, name: str, rows: Path, samples: Sequence[Sample], rounds: int
) -> list[Cell]:
    ours: dict[str, LikelihoodOutcome] = {}
    theirs: list[float] = []

    def ask_mmchat() -> float:
        with tempfile.TemporaryDirectory() as home:
            found, seconds = command_nats(rows, Path(home))
        ours.update(found)
        return seconds

    def ask_harness() -> float:
        with tempfile.TemporaryDirectory() as folder:
            theirs[:], seconds = harness.nats(base_folder(), [each.asked for each in samples], Path(folder), AT_ONCE)
        return seconds

    seconds = interleaved({"mmchat": ask_mmchat, "harness": ask_harness}, rounds)
    report.ratios.append(
        ratio_of(f"perplexity of {name}", "lm-evaluation-harness", seconds["mmchat"], seconds["harness"], "s")
    )
    own = [ours[each.id] for each in samples]
    tokens = sum(each.tokens for each in own)
    return [
        name,
        len(samples),
        tokens,
        Spread.of(seconds["mmchat"]).cell(1),
        Spread.of(seconds["harness"]).cell(1),
        report.ratios[-1].times,
        f"{math.exp(sum(each.nats for each in own) / tokens):.4f}",
        f"{math.exp(sum(theirs) / tokens):.4f}",
        max(abs(each.nats - other) for each, other in zip(own, theirs, strict=True)),
    ]


def write_words_only(rows: Path, limit: int) -> None:
    """The first of mmchat's own dialogues that need no picture and no role, whose text would stand before them."""
    told = [(line, json.loads(line)) for line in OWN_ROWS.read_text(encoding="utf-8").splitlines()]
    words = [
        line
        for line, row in told
        if "persona" not in row and all(isinstance(each["content"], str) for each in row["messages"])
    ]
    rows.write_text("\n".join(words[:limit]) + "\n", encoding="utf-8")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of public data")
    parser.add_argument("--limit", type=int, default=12, help="dialogues")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-harness", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    about = f"SmolLM2-135M on the first {arguments.limit} of mmchat's own English dialogues without pictures and roles."
    report = Report("Scoring", about=about)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "dialogues.jsonl"
        write_words_only(rows, arguments.limit)
        batches(report, list(cases(rows, arguments.data, arguments.limit)), arguments.rounds)
        if not arguments.no_harness:
            beside_harness(report, rows, arguments.rounds)
    if arguments.data is None:
        report.notes.append("Classes and recall were left out: they need `--data`.")
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
