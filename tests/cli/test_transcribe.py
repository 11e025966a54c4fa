"""`mmchat transcribe`: what goes to stdout, what to stderr, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mmchat.cli.subtitles import to_srt, to_vtt
from mmchat.cli.transcribe import transcribe
from mmchat.domain import Segment
from mmchat.engines.audio_io import write_wav
from tests.virtual_mic import synthesise, wait_until

SENTENCE = "the weather in paris is warm today."
"""Compared in small letters: tiny.en is not sure of its capitals with a synthetic voice."""
DRIVER = "import sys; from mmchat.cli.exits import main; sys.exit(main(['transcribe', *sys.argv[1:]]))"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("espeak-ng") is None:
        pytest.skip("speech synthesis missing: apt-get install -y espeak-ng")
    path = tmp_path_factory.mktemp("speech") / "paris.wav"
    synthesise(SENTENCE, path)
    return path


def run(arguments: Sequence[object], **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.weights
def test_json_is_a_list_with_the_agreed_keys(speech: Path, weights_dir: Path) -> None:
    done = run([speech, "-m", "whisper-tiny.en", "--json"])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (row,) = json.loads(done.stdout)
    assert list(row) == ["file", "text", "language", "duration_s", "elapsed_s", "segments"]
    assert row["file"] == str(speech)
    assert row["text"].lower() == SENTENCE
    assert row["language"] == "en"
    assert row["duration_s"] == pytest.approx(2.4, abs=0.8)
    assert row["elapsed_s"] > 0
    assert [list(segment) for segment in row["segments"]] == [["start_s", "end_s", "text"]]


@pytest.mark.weights
def test_a_bad_file_is_named_and_the_others_go_on(speech: Path, weights_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("not a sound at all " * 50)
    write_wav(tmp_path / "quiet.wav", np.zeros(16_000, dtype=np.float32))
    files = [tmp_path / "notes.mp3", speech, tmp_path / "gone.wav", tmp_path / "quiet.wav"]
    done = run([*files, "-m", "whisper-tiny.en"])
    assert done.returncode == 4
    assert done.stdout.lower() == f"{speech}:\n{SENTENCE}\n{tmp_path / 'quiet.wav'}:\n\n".lower()
    assert "Error: 'notes.mp3' is not a sound file" in done.stderr
    assert "Error: There is no file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.weights
def test_subtitles(speech: Path, weights_dir: Path) -> None:
    done = run([speech, "-m", "whisper-tiny.en", "--srt"])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "1"
    assert lines[1].startswith("00:00:0")
    assert " --> 00:00:0" in lines[1]
    assert [line.lower() for line in lines[2:]] == [SENTENCE, ""]


@pytest.mark.weights
def test_ctrl_c_prints_what_was_done_and_ends_with_130(speech: Path, weights_dir: Path, tmp_path: Path) -> None:
    from mmchat.engines.audio_io import decode_audio

    pause = np.zeros(48_000, dtype=np.float32)
    write_wav(
        tmp_path / "long.wav", np.concatenate([part for _ in range(80) for part in (decode_audio(speech), pause)])
    )
    gone = tmp_path / "gone.wav"
    command = [sys.executable, "-c", DRIVER, str(gone), str(tmp_path / "long.wav"), "-m", "whisper-tiny.en", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    threads = Path(f"/proc/{process.pid}/task")
    wait_until(lambda: len(os.listdir(threads)) > 3, "the model's threads", timeout_s=120)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    rows = json.loads(output)
    assert all(row["text"].count("Paris") < 80 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav", "--json", "--srt"], "exclude each other"),
        (["a.wav", "b.wav", "--vtt"], "one file at a time"),
        (["a.wav", "-m", "whisper-nonsense"], "No model named 'whisper-nonsense'"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_is_said(arguments: list[str], words: str) -> None:
    done = run(arguments)
    assert done.returncode in (2, 3)
    assert words in done.stderr
    assert done.stdout == ""


def test_it_imports_nothing_heavy_to_show_its_help() -> None:
    script = (
        "import sys; from mmchat.cli.transcribe import transcribe\n"
        "print(sorted({'torch', 'whisper', 'faster_whisper', 'ctranslate2', 'av', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_subtitle_times_and_markup() -> None:
    segments = [Segment(0.0, 0.0, "a < b & c --> d"), Segment(3661.5, 3662.25, "two\n\nlines")]
    assert to_srt(segments) == (
        "1\n00:00:00,000 --> 00:00:00,200\na < b & c -> d\n\n2\n01:01:01,500 --> 01:01:02,250\ntwo lines\n\n"
    )
    assert to_vtt(segments).startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.200\na &lt; b &amp; c -> d\n\n")


def test_the_function_is_a_command() -> None:
    import typer

    app = typer.Typer()
    app.command()(transcribe)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "--language" in result.stdout
