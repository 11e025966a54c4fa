from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from mmchat.errors import AudioError, DataError
from mmchat.evals.base import ReplyOutcome, TaskOptions
from mmchat.evals.tasks.speech import SpeechTask
from mmchat.rows.values import RowFile
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]


@pytest.fixture
def sounds(tmp_path: Path) -> None:
    for name, seconds in (("short.wav", 1), ("long.wav", 3), ("middle.wav", 2)):
        with wave.open(str(tmp_path / name), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16000)
            sound.writeframes(bytes(2 * 16000 * seconds))


def run(file: RowFile, models: EvalModels, cancel: Event | None = None) -> list[ReplyOutcome]:
    task, options = SpeechTask(), TaskOptions()
    batches = task.batches(task.samples(file, options), "ears", models, options)
    found = [each for batch in batches for each in task.run(batch, "ears", models, options, cancel or Event())]
    return cast(list[ReplyOutcome], found)


@pytest.mark.usefixtures("sounds")
def test_every_sound_is_transcribed_longest_first(rows: Rows, models: MakeModels) -> None:
    file = rows(*({"audio": f"{name}.wav", "text": f"a {name} day"} for name in ("short", "long", "middle")))
    found = run(file, models())
    assert [(each.id, each.question, each.references, each.duration_s) for each in found] == [
        ("rows.jsonl:2", "long.wav", ("a long day",), 3.0),
        ("rows.jsonl:3", "middle.wav", ("a middle day",), 2.0),
        ("rows.jsonl:1", "short.wav", ("a short day",), 1.0),
    ]
    assert {each.reply for each in found} == {"what a fine day"}


@pytest.mark.usefixtures("sounds")
def test_the_recogniser_is_told_only_a_language_that_is_known(rows: Rows) -> None:
    file = rows(
        {"audio": "short.wav", "text": "bonjour à tous"},
        {"audio": "short.wav", "text": "bonjour à tous", "lang": "fr"},
        {"audio": "short.wav", "text": "大家好，早上好"},
    )
    task = SpeechTask()
    assert [(each.language, each.spoken) for each in task.samples(file, TaskOptions())] == [
        ("en", None),
        ("fr", "fr"),
        ("zh", "zh"),
    ]
    with pytest.raises(DataError, match="but the text is Chinese"):
        task.samples(file, TaskOptions(language="fr"))


@pytest.mark.usefixtures("sounds")
def test_a_cancelled_sound_is_no_outcome(rows: Rows, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    assert run(rows({"audio": "long.wav", "text": "a day"}), models(), cancel) == []


def test_a_file_that_is_no_sound_is_said(rows: Rows, models: MakeModels, tmp_path: Path) -> None:
    (tmp_path / "words.wav").write_text("these are words")
    with pytest.raises(AudioError, match=r"^rows\.jsonl:1: audio: 'words\.wav'"):
        run(rows({"audio": "words.wav", "text": "a day"}), models())
