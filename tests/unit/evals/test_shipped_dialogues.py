"""The dialogues that mmchat ships: what a program can check of them. The rest was read by eye."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmchat.evals
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow
from mmchat.script import is_cjk, is_mostly_chinese

DATA_DIR = Path(mmchat.evals.__file__).parent / "data"
REPOSITORY_DIR = Path(__file__).parents[3]
LANGUAGES = ("en", "zh")
LEAST_DIALOGUES = {"en": 64, "zh": 34}
LEAST_PER_TOPIC = {
    "en": {"everyday": 16, "support": 16, "roleplay": 16, "picture": 10},
    "zh": {"everyday": 8, "support": 8, "roleplay": 8, "picture": 5},
}
LETTERS_OF_A_REPLY = {"en": (10, 420), "zh": (5, 160)}
LARGEST_PICTURE_BYTES = 25_000
BOILERPLATE = re.compile(
    r"\b(as an ai|language model|i hope this helps|certainly!|feel free to)|作为一个?(AI|人工智能)|希望.{0,4}帮到", re.I
)


def _rows(language: str) -> list[dict[str, Any]]:
    text = (DATA_DIR / f"talk-{language}.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _pictures(row: dict[str, Any]) -> list[str]:
    parts = [part for message in row["messages"] if isinstance(message["content"], list) for part in message["content"]]
    return [part["image"] for part in parts if part["type"] == "image"]


def _replies(row: dict[str, Any]) -> list[str]:
    return [_text(message) for message in row["messages"] if message["role"] == "assistant"]


def _each(language: str) -> list[tuple[str, str]]:
    """The id of the row and the text, of every message and persona."""
    rows = _rows(language)
    texts = [(row["id"], _text(message)) for row in rows for message in row["messages"]]
    return texts + [(row["id"], row["persona"]) for row in rows if "persona" in row]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reader_of_rows_takes_every_dialogue(language: str) -> None:
    file = read_rows(DATA_DIR / f"talk-{language}.jsonl")
    assert file.kind == "dialogue"
    assert not file.problems
    assert len(file.rows) == len(_rows(language)) >= LEAST_DIALOGUES[language]
    for row in file.rows:
        assert isinstance(row, DialogueRow)
        assert row.language == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_topic_has_enough_dialogues_under_names_of_their_own(language: str) -> None:
    rows = _rows(language)
    topics = Counter(row["topic"] for row in rows)
    assert topics.keys() == LEAST_PER_TOPIC[language].keys()
    for topic, least in LEAST_PER_TOPIC[language].items():
        assert topics[topic] >= least, topic
        numbers = [int(row["id"].rpartition("-")[2]) for row in rows if row["topic"] == topic]
        assert numbers == list(range(1, topics[topic] + 1)), topic
    assert all(row["id"].startswith(f"{language}-{row['topic']}-") for row in rows)
    assert all(("persona" in row) == (row["topic"] == "roleplay") for row in rows)
    assert all(bool(_pictures(row)) == (row["topic"] == "picture") for row in rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_user_and_assistant_take_turns_and_the_assistant_has_the_last_word(language: str) -> None:
    for row in _rows(language):
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2), row["id"]
        assert 4 <= len(roles) <= 14, row["id"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reply_and_no_opening_is_said_twice(language: str) -> None:
    rows = _rows(language)
    replies = Counter(reply.casefold() for row in rows for reply in _replies(row))
    openings = Counter(_text(row["messages"][0]).casefold() for row in rows)
    assert [text for text, times in (replies + openings).items() if times > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_replies_are_concise_and_begin_in_many_ways(language: str) -> None:
    replies = [(row["id"], reply) for row in _rows(language) for reply in _replies(row)]
    least, most = LETTERS_OF_A_REPLY[language]
    assert [(name, len(reply)) for name, reply in replies if not least <= len(reply) <= most] == []
    assert [(name, reply) for name, reply in replies if BOILERPLATE.search(reply)] == []
    beginnings = Counter(reply.split()[0] if language == "en" else reply[:2] for _, reply in replies)
    assert beginnings.most_common(1)[0][1] <= 0.06 * len(replies), beginnings.most_common(5)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_dialogue_is_in_the_language_it_declares(language: str) -> None:
    for row in _rows(language):
        assert row["lang"] == language
        assert is_mostly_chinese(" ".join(_replies(row))) == (language == "zh"), row["id"]
    if language == "en":
        assert [name for name, text in _each(language) if any(map(is_cjk, text))] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_stray_blanks_and_no_invisible_characters(language: str) -> None:
    for name, text in _each(language):
        assert text, name
        assert text == text.strip(), name
        assert not re.search(r"  |[ \t]\n|[\u00a0\u200b-\u200f\ufeff]", text), name


def test_chinese_sentences_use_chinese_punctuation() -> None:
    chinese = r"[\u3400-\u9fff]"
    ascii_mark = r"[,.!?;:()\"']"
    wrong = re.compile(f"{chinese} ?{ascii_mark}|{ascii_mark} ?{chinese}")
    assert [(name, text) for name, text in _each("zh") if wrong.search(text)] == []
    for name, text in _each("zh"):
        assert text.count("“") == text.count("”"), name
        assert text.count("（") == text.count("）"), name


def test_english_sentences_use_plain_quotes() -> None:
    assert [name for name, text in _each("en") if re.search("[“”‘’…]", text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_replies_end_as_sentences_do(language: str) -> None:
    ends = (".", "!", "?", '."', '!"', '?"') if language == "en" else ("。", "！", "？", "”")
    assert [(row["id"], reply) for row in _rows(language) for reply in _replies(row) if not reply.endswith(ends)] == []


def test_pictures_are_there_are_small_and_are_all_talked_about() -> None:
    named = {name for language in LANGUAGES for row in _rows(language) for name in _pictures(row)}
    shipped = {f"pictures/{path.name}" for path in (DATA_DIR / "pictures").iterdir()}
    assert named == shipped
    for name in named:
        path = DATA_DIR / name
        assert path.stat().st_size <= LARGEST_PICTURE_BYTES, name
        with Image.open(path) as picture:
            assert picture.size == (640, 480), name


def test_the_program_draws_the_shipped_pictures(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY_DIR / "benchmarks" / "draw_pictures.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    drawn = sorted(tmp_path.iterdir())
    assert [path.name for path in drawn] == sorted(path.name for path in (DATA_DIR / "pictures").iterdir())
    for path in drawn:
        with Image.open(path) as new, Image.open(DATA_DIR / "pictures" / path.name) as shipped:
            pixels, expected = (np.asarray(each.convert("RGB"), dtype=np.float32) for each in (new, shipped))
        # Not to the byte: another Pillow may smooth edges and choose its palette a little differently.
        assert np.abs(pixels - expected).mean() < 3, path.name


def test_the_readme_counts_what_is_there() -> None:
    readme = (DATA_DIR / "README.md").read_text(encoding="utf-8")
    for language in LANGUAGES:
        rows = _rows(language)
        topics = Counter(row["topic"] for row in rows)
        counts = [topics[topic] for topic in ("everyday", "support", "roleplay", "picture")]
        cells = [f"`talk-{language}.jsonl`", *counts, len(rows), sum(len(_replies(row)) for row in rows)]
        assert f"| {' | '.join(map(str, cells))} |" in readme
