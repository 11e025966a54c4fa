"""What a finetune decides by itself: a name, the rows it is judged on, and the picture it draws of its curves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len

from mmchat.cli.curve_plot import BEST_MARK, MARK, curve_plot
from mmchat.config.model_entries import is_model_name
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow
from mmchat.wiring.before_after import Question, evaluations, plain_row
from mmchat.wiring.finetune_base import default_name


@pytest.mark.parametrize(
    ("base", "path", "name"),
    [
        ("smollm2-135m", "taskmaster4.train.jsonl", "smollm2-135m-taskmaster4.train"),
        ("smollm2-135m@transformers", "my talks (2).jsonl", "smollm2-135m-my-talks-2"),
        ("smollm2-135m", "对话.jsonl", "smollm2-135m-tuned"),
        ("/models/my base", "a.jsonl", "my-base-a"),
    ],
)
def test_a_result_is_named_after_base_and_rows(base: str, path: str, name: str) -> None:
    assert default_name(base, [Path(path)]) == name


@given(st.text(min_size=1, max_size=30))
def test_any_file_gives_a_name_that_models_toml_takes(stem: str) -> None:
    assert is_model_name(default_name("base", [Path(stem.replace("/", "_").replace("\0", "") + ".jsonl")]))


def test_held_out_rows_are_read_again_as_they_were(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    written = [
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "what?"}]},
                {"role": "assistant", "content": "a square"},
            ],
            "persona": "a painter",
            "lang": "en",
        },
        {"messages": [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好！"}]},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    rows = read_rows(tmp_path / "rows.jsonl").rows
    (tmp_path / "elsewhere").mkdir()
    question = Question("dialogue", "base", "mine", tmp_path / "elsewhere", rows, language="")
    read, write, general = evaluations(question)
    (path,) = read.data
    again = read_rows(Path(path)).rows
    for before, after in zip(rows, again, strict=True):
        assert isinstance(before, DialogueRow)
        assert isinstance(after, DialogueRow)
        assert (before.messages, before.persona, before.language) == (after.messages, after.persona, after.language)
    assert (read.models, read.metrics, write.metrics) == (("base", "mine"), ("perplexity",), ("chrf++", "bleu"))
    shipped = read_rows(Path(general.data[0])).rows
    assert len(shipped) >= 30  # fewer conversations would give no verdict
    assert not any(message.files for row in shipped if isinstance(row, DialogueRow) for message in row.messages)


def test_a_preference_is_scored_as_the_dialogue_that_was_wanted(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "hi"}]
    rows = (
        {"messages": asked, "chosen": "hello", "rejected": "go"},
        {"messages": asked, "chosen": "hello there", "rejected": "no"},
    )
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [plain_row(row) for row in read_rows(path).rows] == [
        {"messages": [*asked, {"role": "assistant", "content": row["chosen"]}]} for row in rows
    ]
    path.write_text(json.dumps({"messages": asked, "completion": "no", "label": False}) + "\n")
    assert [plain_row(row) for row in read_rows(path).rows] == [None]


# --- curves ---------------------------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(
    losses=st.lists(NUMBERS, max_size=40),
    marks=st.lists(st.tuples(st.integers(0, 40), NUMBERS), max_size=6),
    width=st.integers(1, 120),
    height=st.integers(1, 12),
)
def test_a_plot_stays_within_its_room(
    losses: list[float], marks: list[tuple[int, float]], width: int, height: int
) -> None:
    lines = curve_plot(list(enumerate(losses, 1)), marks, width=width, height=height, last=40)
    assert len(lines) in (0, height + 1)
    assert all(cell_len(line.plain) <= width for line in lines)


def test_a_plot_shows_a_fall_and_marks_the_lowest() -> None:
    losses = [(step, 3 * math.exp(-step / 20) + 1) for step in range(1, 101)]
    marks = [(25, 2.0), (50, 1.4), (75, 1.5), (100, 1.6)]
    lines = [line.plain for line in curve_plot(losses, marks, width=80, height=8, last=100)]
    text = "\n".join(lines)
    assert (text.count(BEST_MARK), text.count(MARK)) == (1, 3)
    best_line = next(line for line in lines if BEST_MARK in line)
    assert 40 < best_line.index(BEST_MARK) < 50  # half of the way
    top, bottom = (next(i for i, c in enumerate(lines[row][7:]) if c != " ") for row in (0, 7))
    assert top < bottom
