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
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mmchat.cli.subtitles import LINE_COLUMNS, MAX_SHOWN_S, cues, to_srt, to_vtt
from mmchat.cli.transcribe import transcribe
from mmchat.domain import Segment, Word
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
    assert list(row) == ["file", "text", "language", "duration_s", "elapsed_s", "segments", "model"]
    assert row["file"] == str(speech)
    assert row["text"].lower() == SENTENCE
    assert row["language"] == "en"
    assert row["duration_s"] == pytest.approx(2.4, abs=0.8)
    assert row["elapsed_s"] > 0
    assert [list(segment) for segment in row["segments"]] == [["start_s", "end_s", "text"]]
    assert row["model"] == "whisper-tiny.en"


@pytest.mark.weights
def test_words_come_where_they_are_asked_for(speech: Path, weights_dir: Path) -> None:
    done = run([speech, "-m", "whisper-tiny.en", "--json", "--words"])
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)[0]["segments"][0]["words"]
    assert [word["text"].lower() for word in words] == SENTENCE.split()
    assert [list(word) for word in words][0] == ["text", "start_s", "end_s", "probability"]


@pytest.mark.weights
def test_english_goes_to_the_english_model_where_none_is_named(speech: Path, weights_dir: Path) -> None:
    done = run([speech, "--json"])
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)[0]
    assert (row["language"], row["model"]) == ("en", "whisper-tiny.en")


@pytest.mark.weights
def test_what_was_heard_of_a_damaged_file_is_printed(speech: Path, weights_dir: Path, tmp_path: Path) -> None:
    import av

    from mmchat.engines.audio_io import decode_audio

    damaged = tmp_path / "damaged.flac"
    sound = np.concatenate([decode_audio(speech)] + [np.zeros(20 * 16_000, dtype=np.float32)] * 2)
    with av.open(damaged, "w") as box:
        stream = box.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((sound[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            box.mux(packet)
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    done = run([damaged, "-m", "whisper-tiny.en"])
    assert done.returncode == 4
    assert "is cut short" in done.stderr
    assert "Traceback" not in done.stderr


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
        (["a.wav", "--words"], "--words belongs to --json"),
        (["a.wav", "--language", "Klingon"], "'Klingon' is no language"),
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


def test_subtitles_can_be_read() -> None:
    text = (
        "For although the Chinese took impressions from wood blocks, engraved in relief for centuries before the "
        "woodcutters of the Netherlands did, by a similar process, produced the block books."
    )
    shown = list(cues([Segment(10.0, 22.0, text)]))
    assert " ".join(line for cue in shown for line in cue.lines) == text
    assert all(len(cue.lines) <= 2 and max(map(len, cue.lines)) <= LINE_COLUMNS for cue in shown)
    assert all(cue.end_s - cue.start_s <= MAX_SHOWN_S for cue in shown)
    assert shown[0].start_s == 10.0
    assert shown[-1].end_s == pytest.approx(22.0)
    assert shown[0].lines[-1].endswith(",")  # cut at a pause


def test_chinese_subtitles_are_cut_without_spaces() -> None:
    text = "虽然中国人用木版印刷已有几百年的历史，但是荷兰的木刻家用相似的方法印出了第一批书籍，后来传遍了整个欧洲。"
    shown = list(cues([Segment(0.0, 14.0, text)]))
    assert "".join(line for cue in shown for line in cue.lines) == text
    assert all(len(line) <= LINE_COLUMNS // 2 + 1 for cue in shown for line in cue.lines)


def test_words_times_are_those_of_the_cues() -> None:
    words = tuple(Word(f" word{at}", at / 2, at / 2 + 0.4, 1.0) for at in range(40))
    shown = list(cues([Segment(0.0, 20.0, "".join(word.text for word in words), words=words)]))
    assert {cue.start_s for cue in shown} <= {word.start_s for word in words}
    assert [cue.start_s for cue in shown] == sorted(cue.start_s for cue in shown)


@given(st.text(st.sampled_from("ab ,.中文，。\n"), max_size=300), st.floats(0, 60))
def test_no_word_is_lost_and_no_line_too_long(text: str, seconds: float) -> None:
    shown = list(cues([Segment(5.0, 5.0 + seconds, text)]))
    lines = [line for cue in shown for line in cue.lines]
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cue.start_s < cue.end_s and len(cue.lines) <= 2 and all(cue.lines) for cue in shown)


def test_the_function_is_a_command() -> None:
    import typer

    app = typer.Typer()
    app.command()(transcribe)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "--language" in result.stdout
