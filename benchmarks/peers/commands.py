"""`mmchat ask` beside `llm`, each from the start of its program."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Cell, Report, Spread, Table, interleaved, ratio_of
from benchmarks.peers.environment import peer_variables, tell
from benchmarks.peers.place import QUESTIONS, WORDS, Place
from benchmarks.peers.speakers import Command, run_command

SEED_LLM = """
import json, sys, llm, sqlite_utils
from llm.migrations import migrate
turns = json.load(sys.stdin)
class Told(llm.Model):
    model_id = sys.argv[1]
    can_stream = True
    def execute(self, prompt, stream, response, conversation=None):
        yield answers.pop(0)
answers = [answer for _, answer in turns]
database = sqlite_utils.Database(llm.user_dir() / "logs.db")
migrate(database)
conversation = llm.Conversation(model=Told())
for question, _ in turns:
    response = conversation.prompt(question)
    response.text()
    response.log_to_db(database)
"""


def measure_commands(report: Report, place: Place, rounds: int) -> None:
    """`mmchat ask` and `llm`, from the start of the program."""
    assert place.llm is not None
    tell("commands")
    python, home = str(place.llm), place.home / "llm"
    home.mkdir(parents=True, exist_ok=True)
    variables = peer_variables(LLM_USER_PATH=str(home))
    files = {"Q8_0": place.ours, "Q4_1": place.published}
    for kind, file in files.items():
        for command in (
            ["llama-cpp", "add-model", str(file), "-a", f"raw{kind}"],
            ["gguf", "register-model", kind, str(file)],
        ):
            subprocess.run([python, "-m", "llm", *command], env=variables, check=True, stdout=subprocess.DEVNULL)
    question = "Tell me a long story about a lighthouse."
    # llm-llama-cpp hands over the text as it is, so the marks of the chat are written out.
    marked = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    ours = [sys.executable, "-m", "mmchat", "ask"]
    limit = str(place.tokens)
    once: dict[str, list[Command]] = {"mmchat ask": []} | {f"llm, {kind}": [] for kind in files}
    own = peer_variables() | place.variables(place.home / "ask")

    def ask(name: str) -> float:
        command = [*ours, question, "--max-tokens", limit]
        if name != "mmchat ask":
            model = f"raw{name.rpartition(' ')[2]}"
            command = [python, "-m", "llm", "-m", model, "-o", "max_tokens", limit, marked]
        once[name].append(run_command(command, own if name == "mmchat ask" else variables))
        return 0.0

    interleaved({name: lambda n=name: ask(n) for name in once}, rounds + 1)  # type: ignore[misc]
    _tell_commands(report, f"One command, a reply of {limit} tokens", once, has_end=True)
    later = _continued(place, rounds, {kind: f"gguf/{kind}" for kind in files})
    _tell_commands(report, "One command that goes on with a conversation of ten turns", later, has_end=False)
    report.samples["commands"] = {
        "once": {name: [[each.first_s, each.whole_s] for each in runs] for name, runs in once.items()},
        "continued": {name: [each.first_s for each in runs] for name, runs in later.items()},
    }


def _continued(place: Place, rounds: int, models: dict[str, str]) -> dict[str, list[Command]]:
    """`ask -c` and `llm -c` after the same ten turns, up to the first letter; each from a fresh copy of its home."""
    turns = [[question, f"{question} {WORDS}. {WORDS}."] for question in QUESTIONS * 2]
    ready = place.home / "llm"
    python = str(place.llm)
    subprocess.run(
        [python, "-c", SEED_LLM, next(iter(models.values()))],
        input=json.dumps(turns),
        text=True,
        env=peer_variables(LLM_USER_PATH=str(ready)),
        check=True,
    )
    held = place.home / "held"
    _seed_mmchat(place, held, ready / "logs.db")
    later: dict[str, list[Command]] = {"mmchat ask -c": []} | {f"llm -c, {kind}": [] for kind in models}

    def ask(name: str) -> float:
        copy = Path(tempfile.mkdtemp(dir=place.home))
        shutil.copytree(held if name == "mmchat ask -c" else ready, copy, dirs_exist_ok=True)
        command = [sys.executable, "-m", "mmchat", "ask", "-c", QUESTIONS[0]]
        variables = peer_variables() | place.variables(copy)
        if name != "mmchat ask -c":
            command = [python, "-m", "llm", "-c", "-m", models[name.rpartition(" ")[2]], QUESTIONS[0]]
            variables = peer_variables(LLM_USER_PATH=str(copy))
        later[name].append(run_command(command, variables, stops_early=True))
        shutil.rmtree(copy)
        return 0.0

    interleaved({name: lambda n=name: ask(n) for name in later}, rounds + 1)  # type: ignore[misc]
    return later


def _seed_mmchat(place: Place, home: Path, logs: Path) -> None:
    """Import `llm`'s conversation, and ask once: what is done once for new turns is not timed."""
    variables = peer_variables() | place.variables(home)
    for arguments in (["sessions", "import", str(logs)], ["ask", "-c", "And then?", "--max-tokens", "8"]):
        subprocess.run(
            [sys.executable, "-m", "mmchat", *arguments], env=variables, check=True, stdout=subprocess.DEVNULL
        )


def _tell_commands(report: Report, title: str, runs: dict[str, list[Command]], *, has_end: bool) -> None:
    """A table and ratios; the first run of each, which found the files cold, is not counted."""
    counted = {name: each[1:] for name, each in runs.items()}
    rows: list[list[Cell]] = []
    ours = next(iter(counted))
    for name, each in counted.items():
        whole: list[Cell] = [Spread.of([run.whole_s for run in each]).cell()] if has_end else []
        peak = max(run.peak_mb for run in each)
        rows.append([name, Spread.of([run.first_s for run in each]).cell(), *whole, round(peak) or None])
        if name != ours:
            views = {"to the first letter": "first_s"} | ({"to the end": "whole_s"} if has_end else {})
            for what, key in views.items():
                mine, theirs = ([getattr(run, key) for run in counted[one]] for one in (ours, name))
                report.ratios.append(ratio_of(f"`{ours}` {what}", f"`{name}`", mine, theirs, "s"))
    columns = ("", "to the first letter, s", *(("to the end, s",) if has_end else ()), "peak memory, MB")
    report.tables.append(Table(f"{title}: median (least to most)", columns, rows))
