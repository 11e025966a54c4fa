"""What a conversation tells the recogniser, and what it learns from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from mmchat.chat.ear import Ear
from mmchat.chat.session import UserInput
from mmchat.domain import TEXT_ONLY, Heard, ListenOptions, Segment
from mmchat.engines.scripted import ScriptedRecognizer
from tests.fakes import Bench, FakeEngines

SOUND = np.full(32_000, 0.1, dtype=np.float32)


class Noting(ScriptedRecognizer):
    """Hears Chinese, surely, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__("你好")
        self.asked: list[tuple[str | None, ListenOptions]] = []

    def transcribe(
        self,
        pcm: NDArray[np.float32] | Iterator[NDArray[np.float32]],
        *,
        language: str | None = None,
        prompt: str = "",
        cancel: Event | None = None,
        options: ListenOptions = TEXT_ONLY,
    ) -> Iterator[Segment | Heard]:
        self.asked.append((language, options))
        segment = Segment(0.0, 2.0, "你好")
        yield segment
        yield Heard("你好", language or "zh", 2.0, (segment,), language_probability=0.0 if language else 0.97)


def test_the_conversation_tells_its_language_and_its_names(tmp_path: Path) -> None:
    asr = Noting()
    bench = Bench(tmp_path, FakeEngines(asr=asr))
    session = bench.session()
    list(session.reply(UserInput("My dog is called Rex and I live in Reykjavik."), Event()))
    ear = Ear(bench.engines)
    ear.transcribe(SOUND, None, session.listening)
    ear.transcribe(SOUND, None, session.listening)
    session.listening.choose("en")
    ear.transcribe(SOUND, None, session.listening)
    assert [language for language, _ in asr.asked] == [None, None, "en"]
    assert [options.expected for _, options in asr.asked] == ["", "zh", "en"]
    assert all(options.with_words and set(options.terms) >= {"Rex", "Reykjavik"} for _, options in asr.asked)
    bench.close()


def test_what_was_given_up_says_nothing_of_the_language(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEngines(asr=Noting()))
    session = bench.session()
    given_up = Event()
    given_up.set()
    Ear(bench.engines).transcribe(SOUND, given_up, session.listening)
    assert session.listening.language is None
    bench.close()
