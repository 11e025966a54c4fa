"""`mmchat finetune`: what is refused, what a dry run shows, what a training prints and leaves, and how it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mmchat.cli.finetune_dry import histogram
from mmchat.cli.finetune_methods import WORDS
from mmchat.train.base import METHODS
from tests.cli.conftest import Run
from tests.contract import tiny_models

REPLIES = ("the cat sat on the mat", "the dog ran", "the mat and the cat")
MODELS = """
schema_version = 1
[defaults]
lm = "tiny"
vision = "eyes"
[models.tiny]
kind = "lm"
engine = "transformers"
format = "safetensors"
license = "Apache-2.0"
context_tokens = 512
sources = [{{ source = "dir:{folder}" }}]
[models.away]
kind = "lm"
engine = "openai"
base_url = "http://localhost:9/v1"
[models.echo]
kind = "lm"
engine = "scripted"
[models.tuned]
kind = "lm"
base = "tiny"
adapter = "somewhere"
[models.eyes]
kind = "vision"
engine = "scripted"
"""
SMALL = ("--batch-size", "4", "--rank", "4", "--lr", "1e-2", "--dtype", "float32", "--log-to", "none")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.decoder(tmp_path_factory.mktemp("tiny"), "llama")


@pytest.fixture
def tuning_home(home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose language model is a few random numbers that can be trained in seconds."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text(MODELS.format(folder=tiny_folder))
    monkeypatch.setenv("MMCHAT_WEIGHTS", str(home / "weights"))
    return home


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"what did {i} do"},
                {"role": "assistant", "content": REPLIES[i % 3]},
            ]
        }
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


# --- refused before anything is loaded ------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Which rows?"),
        (("--method", "lorra"), "There is no method 'lorra'. Did you mean 'lora'?"),
        (("--dtype", "bfloat61"), "There is no number format 'bfloat61'. Did you mean 'bfloat16'?"),
        (("--fusion", "sum"), "There is no way to join 'sum'."),
        (("--log-to", "paper"), "There is no place for curves 'paper'."),
        (("--validation", "a.jsonl", "--validation-share", "0.1"), "--validation and --validation-share exclude"),
        (("--no-eval", "--eval-data", "a.jsonl"), "--eval-data and --no-eval exclude"),
        (("--resume", "--force"), "--resume and --force exclude each other"),
        (("--resume", "--dry-run"), "--resume and --dry-run exclude each other"),
        (("--resume",), "There is no interrupted finetune to go on with."),
        (("--resume", "nothing"), "There is no interrupted finetune 'nothing'."),
        (("--list-methods", "--epochs", "2"), "--list-methods and --epochs exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, tuning_home: Path, args: tuple[str, ...], said: str) -> None:
    done = run("finetune", *args)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("-m", "eyes"), 2, "'eyes' is a picture model; dialogue rows train a language model."),
        (("-m", "away"), 2, "'away' is served at http://localhost:9/v1"),
        (("-m", "echo"), 2, "'echo' has no weights to train"),
        (("-m", "tuned"), 2, "'tuned' is itself an adapter over 'tiny'."),
        (("-m", "tinny"), 3, "Did you mean 'tiny'?"),
        (("--name", "a b"), 2, "'a b' cannot name a model."),
        (("--name", "echo"), 2, "There is a model 'echo' already."),
        (("--name", "echo", "--force"), 2, "There is a model 'echo' already."),
    ],
)
def test_the_wrong_base_or_name_is_refused(
    run: Run, tuning_home: Path, rows: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    done = run("finetune", str(rows), *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert not (tuning_home / "data" / "models").exists()


def test_a_list_of_methods_with_the_rates_that_are_used(run: Run) -> None:
    from mmchat.train.methods import METHODS as USED

    found = {each["method"]: each for each in json.loads(run("finetune", "--list-methods", "--json").out)}
    assert tuple(found) == METHODS
    assert {name: each["learning_rate"] for name, each in found.items()} == {
        name: method.learning_rate for name, method in USED.items()
    }
    lines = run("finetune", "--list-methods").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(WORDS)


# --- rows -----------------------------------------------------------------------------------------

BROKEN = """\
{"messages": [{"role": "narrator", "content": "hi"}]}
{"mesages": []}
{"messages": [{"role": "user", "content": [{"type": "image", "image": "gone.png"}]}]}
"""
BROKEN_REPORT = """\
{path}:25: messages[0].role: is 'narrator'; it must be one of system, user, assistant
{path}:26: row: unknown key 'mesages': did you mean 'messages'?
{path}:27: messages[0].content[0].image: 'gone.png' is not a file; paths are relative to the file of rows
"""


@pytest.fixture
def broken(rows: Path) -> Path:
    with rows.open("a", encoding="utf-8") as file:
        file.write(BROKEN)
    return rows


def test_bad_rows_stop_the_run_and_are_all_named(run: Run, tuning_home: Path, broken: Path) -> None:
    done = run("finetune", str(broken))
    assert (done.code, done.out) == (4, "")
    report = BROKEN_REPORT.format(path=broken)
    assert done.err == (
        f"reading rows\nError: {report}No row was used. Mend these, or leave them out with --skip-bad.\n"
    )


def test_a_failing_row_check_loads_nothing_that_trains(tuning_home: Path, broken: Path) -> None:
    script = (
        "import sys\nfrom mmchat.cli.exits import main\n"
        f"code = main(['finetune', {str(broken)!r}])\n"
        "heavy = {'torch', 'trl', 'transformers', 'peft'} & {name.partition('.')[0] for name in sys.modules}\n"
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "4 []\n"


def test_a_dry_run_names_bad_rows_and_shows_the_others(run: Run, tuning_home: Path, broken: Path) -> None:
    done = run("finetune", str(broken), "--dry-run", *SMALL)
    assert done.code == 4
    assert f"Bad rows (3)\n{BROKEN_REPORT.format(path=broken)}" in done.out
    assert "3 bad rows; training would not begin." in done.err
    skipped = run("finetune", str(broken), "--dry-run", "--skip-bad", *SMALL)
    assert skipped.code == 0
    assert f"Bad rows (3)\n{BROKEN_REPORT.format(path=broken)}" in skipped.out


def test_files_of_different_kinds_are_refused(run: Run, tuning_home: Path, rows: Path, tmp_path: Path) -> None:
    other = tmp_path / "labels.jsonl"
    other.write_text('{"text": "hi", "label": "a"}\n')
    done = run("finetune", str(rows), str(other))
    assert done.code == 4
    assert "holds dialogue rows" in done.err
    assert "label rows" in done.err


def test_other_processes_of_torchrun_are_silent(
    run: Run, tuning_home: Path, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run("finetune", str(broken))
    assert (done.code, done.out, done.err) == (4, "", "")


# --- a dry run ------------------------------------------------------------------------------------


def test_a_dry_run_shows_what_would_be_learnt_and_writes_nothing(run: Run, tuning_home: Path, rows: Path) -> None:
    done = run("finetune", str(rows), "--dry-run", "--max-steps", "6", *SMALL)
    assert done.code == 0
    assert done.out.startswith("dialogue · lora on tiny → tiny-talks\n")
    assert "rows        24: 22 to train on, 2 held out to watch and compare\n" in done.out
    assert "<|im_start|>assistant\n«" in done.out
    assert done.out.rstrip().endswith("»")
    shown, _, example = done.out.partition("One row as the model sees it")
    assert sum(int(line.split()[-1]) for line in shown.splitlines() if "–" in line[:12]) == 24
    assert example.count("«") == example.count("»") == 2  # in the heading and in the row
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("Note"))
    assert not (tuning_home / "data" / "models").exists()


def test_a_dry_run_as_json(run: Run, tuning_home: Path, rows: Path) -> None:
    done = run("finetune", str(rows), "--dry-run", "--json", "--max-steps", "6", *SMALL)
    found = json.loads(done.out)
    assert {"task", "method", "settings", "rows", "bad_rows", "lengths", "example", "steps"} <= found.keys()
    assert (found["method"], found["settings"]["model"], found["steps"]) == ("lora", "tiny", 6)
    assert sum(each["rows"] for each in found["lengths"]["histogram"]) == found["rows"] == 24
    supervised = "".join(span["text"] for span in found["example"] if span["is_supervised"])
    assert supervised.removesuffix("<|im_end|>") in REPLIES


@pytest.mark.parametrize("lengths", [[0], [7], [8], [79], [80], [5, 1000, 1024], [100_000]])
def test_every_length_is_in_the_histogram(lengths: list[int]) -> None:
    ranges = histogram(lengths)
    assert len(ranges) <= 10
    assert sum(count for _, _, count in ranges) == len(lengths)
    for length in lengths:
        assert sum(low <= length <= high for low, high, _ in ranges) == 1


# --- a training -----------------------------------------------------------------------------------


def trained(run: Run, rows: Path, *args: str) -> dict[str, Any]:
    done = run("finetune", str(rows), "--json", *SMALL, *args)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_finetuned_model_is_compared_and_answers_at_once(run: Run, tuning_home: Path, rows: Path) -> None:
    found = trained(run, rows, "--max-steps", "12", "--name", "mine")
    assert found["status"] == "complete"
    assert found["use"] == "mmchat talk -m mine"
    assert found["result"]["best_validation_loss"] < found["result"]["first_validation_loss"]
    compared = found["before_after"]
    assert compared["is_complete"]
    (perplexity,) = (
        each for each in compared["comparisons"] if (each["dataset"], each["metric"]) == ("held-out", "perplexity")
    )
    assert (perplexity["base"], perplexity["other"]) == ("tiny", "mine")
    assert perplexity["difference"] < 0
    assert {each["dataset"] for each in compared["scores"]} == {"held-out", "general"}
    assert {each["metric"] for each in compared["scores"]} == {"perplexity", "chrf++", "bleu"}

    folder = Path(found["folder"])
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert not (folder / "checkpoints").exists()
    saved = json.loads((folder / "before_after.json").read_text())
    assert [run_["id"] for run_ in saved["runs"]] == compared["runs"]
    card = (folder / "README.md").read_text()
    assert "| held-out | perplexity |" in card
    entry = tomllib.loads((tuning_home / "config" / "models.toml").read_text())["models"]["mine"]
    assert (entry["base"], entry["adapter"]) == ("tiny", str(folder / "adapter"))
    assert run("ask", "what did 3 do", "-m", "mine", "--no-log", "--max-tokens", "8").code == 0


def test_a_result_is_not_overwritten_unless_forced(run: Run, tuning_home: Path, rows: Path) -> None:
    trained(run, rows, "--max-steps", "2", "--no-eval")
    again = run("finetune", str(rows), *SMALL)
    assert again.code == 2
    assert "There is a finetune 'tiny-talks' already." in again.err
    assert "--name" in again.err
    assert "--force" in again.err
    finished = run("finetune", "--resume", "tiny-talks")
    assert (finished.code, "'tiny-talks' is finished." in finished.err) == (2, True)
    forced = trained(run, rows, "--max-steps", "3", "--no-eval", "--force")
    assert (forced["result"]["steps"], forced["before_after"]) == (3, None)


def test_a_pipe_gets_rows_and_a_line_for_each_validation(run: Run, tuning_home: Path, rows: Path) -> None:
    done = run("finetune", str(rows), *SMALL, "--max-steps", "4", "--evaluate-every", "2", "--eval-data", str(rows))
    assert done.code == 0
    found = [line.split("\t") for line in done.out.splitlines()]
    assert ["talks", "perplexity"] in [line[:2] for line in found]
    assert {len(line) for line in found} == {8}
    validations = [line for line in done.err.splitlines() if line.startswith("step ")]
    assert [line.partition(":")[0] for line in validations] == [
        "step 0",
        "step 2/4, epoch 0.36",
        "step 4/4, epoch 0.73",
    ]
    assert "step 2/4" in validations[1]
    compared = [line.partition(":")[0] for line in done.err.splitlines() if line.startswith("talks · ")]
    assert {line.rpartition(" · ")[2] for line in compared} == {"tiny", "tiny-talks"}  # somebody reads the log
    assert done.err.rstrip().endswith("Use it: mmchat talk -m tiny-talks")
    assert "\x1b" not in done.err + done.out


@pytest.mark.slow
def test_a_long_training_asks_first(tuning_home: Path, rows: Path) -> None:
    ours, theirs = os.openpty()  # somebody is there to ask
    args = ["finetune", str(rows), *SMALL, "--max-steps", "9000000", "--name", "long"]
    try:
        os.write(ours, b"n\n")
        done = subprocess.run(
            [sys.executable, "-m", "mmchat", *args],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (1, "")
    assert "This will take about " in done.stderr
    assert done.stderr.endswith(" Begin? [y/N] Nothing was trained.\n")
    assert not (tuning_home / "data" / "models").exists()


@pytest.mark.slow
def test_an_interrupted_training_says_how_to_go_on_and_does(run: Run, tuning_home: Path, rows: Path) -> None:
    args = ["finetune", str(rows), *SMALL, "--max-steps", "2000", "--evaluate-every", "1000", "--patience", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mmchat", *args, "--name", "long", "--no-eval"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("step 0"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    lines.append(err)
    assert process.returncode == 130, "".join(lines)
    assert err.endswith("Go on with: mmchat finetune --resume long\n"), err
    assert "Traceback" not in err
    folder = tuning_home / "data" / "models" / "long"
    assert not (folder / "result.json").exists()

    refused = run("finetune", str(rows), "--name", "long", *SMALL)
    assert refused.code == 2
    assert "Go on with it: mmchat finetune --resume long" in refused.err
    other = run("finetune", "--resume", "long", "--lr", "0.5")
    assert other.code == 2
    assert "'long' was begun with --lr 0.01, not 0.5." in other.err
    original = rows.read_text()
    rows.write_text(original.replace("dog", "cow"))
    changed = run("finetune", "--resume", "long")
    assert (changed.code, "changed since it began" in changed.err) == (4, True)
