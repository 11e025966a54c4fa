"""`mmchat eval`: what goes to stdout, what to stderr, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from rich.cells import cell_len
from rich.console import Console

from mmchat.cli.eval_view import show_run
from mmchat.evals.results import Run
from tests.cli.conftest import Run as Command
from tests.fake_runs import BLEU, fake_run, label_run
from tests.virtual_mic import wait_until

DRIVER = "import sys; from mmchat.cli.exits import main; sys.exit(main(['eval', *sys.argv[1:]]))"
RUN_KEYS = [
    "run", "version", "status", "created_at", "libraries", "machine", "settings", "data", "models", "scores",
    "comparisons", "exhibits", "sentences", "warnings", "elapsed_s",
]  # fmt: skip
SCORE_KEYS = [
    "dataset", "task", "language", "model", "metric", "score", "low", "high", "samples", "groups", "direction",
    "signature",
]  # fmt: skip


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Forty short dialogues. The model `echo` repeats what the user said; half of the references are just that."""
    path = tmp_path / "talks.jsonl"
    lines = []
    for number in range(40):
        said = f"please book table number {number} for tonight"
        reply = f"You said: {said}" if number % 2 else f"table {number} is free tonight"
        lines.append({"messages": [{"role": "user", "content": said}, {"role": "assistant", "content": reply}]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_scores_are_rows_in_a_pipe(run: Command, scripted_home: Path, talks: Path) -> None:
    done = run("eval", "--data", str(talks), "--metric", "bleu,chrf++", "--metric", "exact-match")
    assert done.code == 0, done.err
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[:5] for row in rows] == [
        ["talks", "dialogue", "en", "echo", metric] for metric in ("bleu", "chrf++", "exact-match")
    ]
    exact = rows[2]
    assert float(exact[5]) == 50
    assert float(exact[6]) < 50 < float(exact[7])
    assert exact[8:10] == ["40", "40"]
    assert rows[0][10].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert done.err.splitlines()[0] == "Evaluating the default model on talks.jsonl"
    assert done.err.splitlines()[-1].startswith("Saved as run ")


def test_json_is_one_object_with_the_agreed_keys(run: Command, scripted_home: Path, talks: Path) -> None:
    done = run("eval", "-d", str(talks), "--metric", "chrf++", "--limit", "10", "--seed", "7", "--json")
    assert done.code == 0, done.err
    made = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert list(made) == RUN_KEYS
    assert [list(score) for score in made["scores"]] == [SCORE_KEYS]
    assert (made["status"], made["settings"]["seed"], made["settings"]["limit"]) == ("complete", 7, 10)
    assert (made["data"][0]["rows"], made["data"][0]["used"], made["data"][0]["is_shipped"]) == (40, 10, False)
    assert made["models"][0]["decoding"]["temperature"] == 0


def test_two_models_are_compared(run: Command, scripted_home: Path, talks: Path) -> None:
    models = scripted_home / "config" / "models.toml"
    models.write_text(
        models.read_text() + '[models.mute]\nkind = "lm"\nengine = "scripted"\noptions = { replies = ["hm"] }\n'
    )
    done = run("eval", "-d", str(talks), "--metric", "chrf++", "-m", "mute", "-m", "echo", "--json")
    assert done.code == 0, done.err
    made = json.loads(done.out)
    (comparison,) = made["comparisons"]
    assert (comparison["base"], comparison["other"], comparison["verdict"]) == ("mute", "echo", "better")
    assert comparison["low"] > 0
    assert "echo is better than mute" in made["sentences"][0]
    piped = run("eval", "show", "last")
    assert made["sentences"][0] in piped.err.splitlines()


def test_saved_runs_are_listed_shown_compared_and_removed(run: Command, scripted_home: Path, talks: Path) -> None:
    assert run("eval", "runs").out == ""
    assert run("eval", "runs", "--json").out == "[]\n"
    for limit in ("30", "40"):
        assert run("eval", "-d", str(talks), "--metric", "bleu", "--metric", "chrf++", "--limit", limit).code == 0
    listed = json.loads(run("eval", "runs", "--json").out)
    assert [each["data"] for each in listed] == [["talks"], ["talks"]]
    assert listed[0]["headline"]["metric"] == "chrf++"
    newest, oldest = (each["run"] for each in listed)
    rows = [line.split("\t") for line in run("eval", "runs").out.splitlines()]
    assert [row[0] for row in rows] == [newest, oldest]
    assert rows[0][2:] == ["complete", f"chrF++ {listed[0]['headline']['score']:.2f}", "echo", "talks"]
    assert json.loads(run("eval", "show", oldest, "--json").out)["run"] == oldest
    compared = json.loads(run("eval", "compare", oldest, "last", "--json").out)
    assert [(each["metric"], each["difference"], each["samples"]) for each in compared["comparisons"]] == [
        ("bleu", 0.0, 30),
        ("chrf++", 0.0, 30),
    ]
    assert any("10 samples are in only one" in warning for warning in compared["warnings"])
    assert run("eval", "compare", "last", "last").code == 4
    refused = run("eval", "remove", oldest)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert run("eval", "remove", oldest, "last", "--yes").code == 0
    assert run("eval", "runs", "--json").out == "[]\n"


def test_a_damaged_run_is_named_and_can_be_removed(run: Command, scripted_home: Path, talks: Path) -> None:
    assert run("eval", "-d", str(talks), "--metric", "bleu").code == 0
    (folder,) = (scripted_home / "data" / "evals").iterdir()
    (folder / "run.json").write_text("{")
    done = run("eval", "runs")
    assert (done.code, done.out) == (0, "")
    assert "damaged" in done.err
    assert f"mmchat eval remove {folder.name}" in done.err
    assert run("eval", "show", folder.name).code == 4
    assert run("eval", "remove", folder.name, "-y").code == 0
    assert not folder.exists()


def test_a_run_is_scored_anew_without_its_model(run: Command, scripted_home: Path, talks: Path) -> None:
    assert run("eval", "-d", str(talks), "--metric", "bleu").code == 0
    models = scripted_home / "config" / "models.toml"
    models.write_text(models.read_text().replace("[models.echo]", "[models.other]").replace('"echo"', '"other"'))
    done = run("eval", "--rescore", "last", "--metric", "exact-match", "--json")
    assert done.code == 0, done.err
    assert {score["metric"]: score["score"] for score in json.loads(done.out)["scores"]}["exact-match"] == 50


def test_the_report_is_written(run: Command, scripted_home: Path, talks: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "talks.html"
    refused = run("eval", "-d", str(talks), "--metric", "chrf++", "--report", str(page))
    assert (refused.code, "no folder" in refused.err) == (2, True)
    page.parent.mkdir()
    page.write_text("an older page")
    done = run("eval", "-d", str(talks), "--metric", "chrf++", "--report", str(page))
    assert done.code == 0, done.err
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "please book table number 39 for tonight" in text
    assert [each.name for each in page.parent.iterdir()] == ["talks.html"]
    again = tmp_path / "again.html"
    assert run("eval", "show", "last", "--report", str(again)).code == 0
    assert again.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--metric", "bluе"], 2, "There is no metric"),
        (["--metric", "chrf+"], 2, "Did you mean 'chrf++'?"),
        (["-m", "nobody"], 3, "No model named 'nobody'"),
        (["-m", "ears"], 2, "'ears' is a speech model"),
        (["--metric", "wer"], 2, "wer fits none of the files"),
        (["--report", "page.txt"], 2, "--report page.txt.html"),
        (["--resume", "last", "--limit", "3"], 2, "--resume and --data, --limit exclude each other"),
        (["--list", "--seed", "3"], 2, "exclude each other"),
        (["--dtype", "float23"], 2, "Did you mean 'float32'?"),
        (["--limit", "0"], 2, "--limit"),
        (["--language", "english"], 2, "'english' is no language code"),
        (["--language", "eng"], 2, "is no language code"),
        (["--language", "zh", "--metric", "bleu"], 0, ""),
    ],
)
def test_wrong_usage_is_said(
    run: Command, scripted_home: Path, talks: Path, arguments: list[str], code: int, words: str
) -> None:
    done = run("eval", "--data", str(talks), *arguments)
    assert (done.code, words in done.err) == (code, True), done.err
    assert code == 0 or done.out == ""
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--data", "gone.jsonl"], 4, "gone.jsonl"),
        (["--resume", "last"], 4, "There are no saved runs"),
        (["show", "nothing"], 4, "There are no saved runs"),
        (["--json", "runs"], 2, "mmchat eval runs …"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_what_is_not_there_is_named(
    run: Command, scripted_home: Path, arguments: list[str], code: int, words: str
) -> None:
    done = run("eval", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_bad_rows_are_all_named_or_skipped(run: Command, scripted_home: Path, talks: Path) -> None:
    lines = talks.read_text().splitlines()
    lines[3], lines[7] = '{"messages": [{"role": "user"}]}', "not json"
    talks.write_text("\n".join(lines) + "\n")
    done = run("eval", "--data", str(talks), "--metric", "chrf++")
    assert (done.code, done.out) == (4, "")
    assert "talks.jsonl:4: " in done.err
    assert "talks.jsonl:8: " in done.err
    done = run("eval", "--data", str(talks), "--metric", "chrf++", "--skip-bad", "--json")
    assert done.code == 0, done.err
    assert len(json.loads(done.out)["data"][0]["skipped"]) == 2


def test_the_list_names_every_metric(run: Command) -> None:
    from mmchat.evals.registry import metric_infos

    done = run("eval", "--list")
    names = [line.split("\t")[0] for line in done.out.splitlines()]
    assert names == [info.name for info in metric_infos()]
    assert [each["name"] for each in json.loads(run("eval", "--list", "--json").out)] == names


# --- Ctrl+C ---------------------------------------------------------------------------------------


@pytest.fixture
def slow_home(scripted_home: Path) -> Path:
    models = scripted_home / "config" / "models.toml"
    models.write_text(models.read_text().replace("delay_s = 0.05", "delay_s = 0.2"))
    return scripted_home


def started(home: Path, talks: Path) -> tuple[subprocess.Popen[str], Path]:
    """An evaluation by the slow model that has saved its first samples."""
    command = [sys.executable, "-c", DRIVER, "-d", str(talks), "-m", "slow", "--batch-size", "1", "--metric", "chrf++"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    evals = home / "data" / "evals"
    wait_until(lambda: any(evals.glob("*/outcomes.jsonl")), "the first saved sample", timeout_s=60)
    return process, next(evals.glob("*/outcomes.jsonl"))


def test_ctrl_c_prints_the_scores_of_what_was_done(run: Command, slow_home: Path, talks: Path) -> None:
    process, outcomes = started(slow_home, talks)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    run_id = outcomes.parent.name
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].endswith(f"Go on with: mmchat eval --resume {run_id}")
    (row,) = [line.split("\t") for line in out.splitlines()]
    done_count = int(row[8])
    assert 0 < done_count < 40
    assert len(outcomes.read_text().splitlines()) == done_count
    models = slow_home / "config" / "models.toml"
    models.write_text(models.read_text().replace("options = { delay_s = 0.2 }", ""))
    resumed = run("eval", "--resume", run_id[:9], "--json")
    assert resumed.code == 0, resumed.err
    made = json.loads(resumed.out)
    assert (made["run"], made["status"], made["scores"][0]["samples"]) == (run_id, "complete", 40)
    assert run("eval", "--resume", run_id).code == 4


def test_a_run_at_work_is_listed_as_running(run: Command, slow_home: Path, talks: Path) -> None:
    process, _ = started(slow_home, talks)
    try:
        (listed,) = json.loads(run("eval", "runs", "--json").out)
        assert listed["status"] == "running"
        assert run("eval", "runs").out.split("\t")[2] == "running"
    finally:
        process.kill()
        process.communicate(timeout=60)
    (listed,) = json.loads(run("eval", "runs", "--json").out)
    assert listed["status"] == "interrupted"


def test_ctrl_c_before_the_first_sample_says_that_nothing_was_done(
    run: Command, scripted_home: Path, talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmchat.cli import eval_run

    def stopped_at_once(work: Callable[[Event], Run], on_stop: Callable[[], None]) -> Run:
        cancel = Event()
        cancel.set()
        return work(cancel)

    monkeypatch.setattr(eval_run, "run_stoppable", stopped_at_once)
    done = run("eval", "-d", str(talks), "--metric", "chrf++")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1] == "Stopped before anything was done."
    assert run("eval", "runs", "--json").out == "[]\n"


# --- tables ---------------------------------------------------------------------------------------


def shown(run: Run, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    show_run(run, console, saved_at="~/evals/x")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(cell_len, text.splitlines())) <= width
    return str(text)


def test_a_table_shows_scores_with_intervals_and_how_they_were_computed() -> None:
    text = shown(fake_run(), 80)
    lines = text.splitlines()
    assert "talk-en · dialogue · English · 480 replies of 60 conversations" in lines
    assert "客服对话 · dialogue · Chinese · 210 replies of 26 conversations" in lines
    bleu = ["BLEU", "↑", "2.34", "1.11", "to", "3.84", "5.34", "4.11", "to", "6.84"]
    assert any(line.split() == bleu for line in lines)
    assert any(line.split() == ["BLEU,", "reply", "length", BLEU.format("zh")] for line in lines)
    assert "mine is better on chrF++" in text
    assert "! base: 12 of 480 replies were cut" in text
    assert "mmchat's own 94 dialogues" in text
    for fact in ("weights 9c1f22ab", "sha256 3f2a91c0", "greedy", "seed 0", "1000 resamples", "mmchat 0.2.0"):
        assert fact in text


def test_a_chinese_name_does_not_shift_the_columns() -> None:
    run = fake_run(("小模型", "mine"))
    lines = shown(run, 80).splitlines()
    heading = next(line for line in lines if "小模型" in line)
    row = next(line for line in lines if line.startswith("chrF++"))
    assert cell_len(heading[: heading.index("mine")]) == cell_len(row[: row.index("20.50")])


@pytest.mark.parametrize("width", [60, 80, 140])
def test_many_models_stay_readable(width: int) -> None:
    names = ("smollm2-135m", "smollm2-360m-instruct", "mine", "qwen3-0.6b")
    text = shown(fake_run(names), width)
    for name in names:
        assert name in text
    assert "25.27 to 28.00" in text


def test_a_name_cannot_act_on_the_terminal() -> None:
    text = shown(fake_run(("base", "mi\x1b[2Jne"), chinese="客\x1b]0;owned\x07服[bold]"), 100)
    assert "\x1b" not in text
    assert "客服[bold]" in text


def test_a_big_exhibit_says_where_the_rest_is() -> None:
    run, _ = label_run()
    assert "… and 3 more rows" in shown(run, 80)
    assert "too wide for this screen" in " ".join(shown(run, 24).split())
