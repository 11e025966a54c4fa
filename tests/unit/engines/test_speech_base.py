"""What a windowed recogniser shows its model, with a model that only writes it down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.domain import Segment
from mmchat.engines import speech_base
from mmchat.engines.speech_base import Decoding, WindowedRecognizer
from mmchat.engines.speech_gates import CHINESE_PROMPTS
from mmchat.engines.speech_windows import SpeechWindow


class NotingRecognizer(WindowedRecognizer):
    """Notes the prompts it is shown."""

    name, engine, device = "noting", "noting", "cpu"
    languages = ("en", "zh")

    def __init__(self, chinese: str) -> None:
        super().__init__(chinese)
        self.shown: list[str] = []

    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        return "zh", 0.9

    def _decode(self, window: NDArray[np.float32], how: Decoding, cancel: Event) -> Iterator[Segment]:
        self.shown.append(how.prompt)
        return iter([Segment(0.0, 1.0, "好")])

    def _free(self) -> None: ...


@pytest.mark.parametrize("chinese", CHINESE_PROMPTS)
def test_the_wanted_characters_are_asked_for_in_chinese_only(chinese: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(pieces: Iterable[NDArray[np.float32]]) -> list[SpeechWindow]:
        pcm = np.concatenate(list(pieces))
        return [SpeechWindow(((0, pcm.size),), pcm)]

    monkeypatch.setattr(speech_base, "speech_windows", whole)
    engine = NotingRecognizer(chinese)
    sound = np.asarray(np.sin(np.arange(16_000)) / 2, dtype=np.float32)
    list(engine.transcribe(sound))
    list(engine.transcribe(sound, language="en", prompt="Ada"))
    assert engine.shown == [CHINESE_PROMPTS[chinese], "Ada"]
