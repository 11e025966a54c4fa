"""`mmchat see`: what it prints, where, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("scripted_home")


def picture(path: Path, colour: str) -> Path:
    Image.new("RGB", (32, 32), colour).save(path)
    return path


def test_a_table_and_a_sentence(run: Run, tmp_path: Path) -> None:
    done = run("see", str(picture(tmp_path / "a.png", "red")), "--top", "2")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split("\t")[1] == "red"
    assert len(lines) == 3
    assert "red" in lines[2]
    assert done.err == ""


def test_the_sentence_is_in_the_language_of_the_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(picture(tmp_path / "a.png", "red"))
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "照片里" in run("see", path).out
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert "照片里" not in run("see", path).out


def test_json_has_the_documented_keys_best_first(run: Run, tmp_path: Path) -> None:
    files = [picture(tmp_path / "a.png", "red"), picture(tmp_path / "b.png", "blue")]
    done = run("see", *map(str, files), "--json", "--top", "3")
    rows = json.loads(done.out)
    assert done.code == 0
    assert [list(row) for row in rows] == [["file", "tags", "text", "caption", "elapsed_s", "part", "known"]] * 2
    assert [row["file"] for row in rows] == [str(path) for path in files]
    assert [row["tags"][0]["label"] for row in rows] == ["red", "blue"]
    for row in rows:
        scores = [tag["score"] for tag in row["tags"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 3


@pytest.mark.parametrize("how", ["typed", "file"])
def test_labels_are_ranked(run: Run, tmp_path: Path, how: str) -> None:
    path = picture(tmp_path / "a.png", "blue")
    (tmp_path / "labels.txt").write_text("red\n\nblue\ngreen\nblue\n", encoding="utf-8")
    labels = (
        ("--labels", "red, blue,,green,blue") if how == "typed" else ("--labels-file", str(tmp_path / "labels.txt"))
    )
    (row,) = json.loads(run("see", str(path), *labels, "--json").out)
    tags = row["tags"]
    assert row["caption"] == ""  # the likeliest of a few words need not be true
    assert tags[0]["label"] == "blue"
    assert {tag["label"] for tag in tags} == {"red", "blue", "green"}
    assert sum(tag["score"] for tag in tags) == pytest.approx(1, abs=1e-3)


def test_a_bad_file_is_reported_and_the_others_go_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    good = picture(tmp_path / "good.png", "green")
    done = run("see", str(tmp_path / "bad.png"), str(tmp_path / "gone.png"), str(good), "--json")
    assert done.code == 4
    assert [row["file"] for row in json.loads(done.out)] == [str(good)]
    assert "bad.png" in done.err
    assert "gone.png" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--labels", "a", "--labels-file", "x"), "exclude"),
        (("--labels", " , "), "no labels"),
        (("--labels-file", "missing.txt"), "cannot be read"),
    ],
)
def test_wrong_labels_are_usage_errors(run: Run, tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    done = run("see", str(picture(tmp_path / "a.png", "red")), *args)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


def test_an_unknown_model_is_named(run: Run, tmp_path: Path) -> None:
    done = run("see", str(picture(tmp_path / "a.png", "red")), "-m", "nobody")
    assert done.code == 3
    assert "nobody" in done.err


def test_a_folder_is_looked_through_and_the_second_time_remembered(run: Run, tmp_path: Path) -> None:
    (tmp_path / "album" / "in").mkdir(parents=True)
    picture(tmp_path / "album" / "b.png", "blue")
    picture(tmp_path / "album" / "in" / "a.png", "red")
    first = json.loads(run("see", str(tmp_path / "album"), "--json").out)
    assert [Path(row["file"]).name for row in first] == ["b.png", "a.png"]
    assert [row["known"] for row in first] == [False, False]
    assert [row["known"] for row in json.loads(run("see", str(tmp_path / "album"), "--json").out)] == [True, True]
    again = json.loads(run("see", str(tmp_path / "album"), "--json", "--again").out)
    assert [row["known"] for row in again] == [False, False]


def test_an_animation_says_which_frame_it_is(run: Run, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "This is frame 1 of 2." in run("see", str(tmp_path / "a.gif")).out


def test_a_name_with_escapes_does_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    name = "evil\x1b]0;gotcha\x07\x1b[2J.png"
    try:
        path = picture(tmp_path / name, "red")
    except OSError:
        pytest.skip("this system takes no such names")
    (tmp_path / "bad\x1b[2J.png").write_bytes(b"nothing")
    done = run("see", str(path), str(tmp_path / "bad\x1b[2J.png"))
    assert "\x1b" not in done.out + done.err
