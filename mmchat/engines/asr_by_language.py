"""Speech left to the model that suits its language: a small one for English, one of many languages for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import numpy as np
from numpy.typing import NDArray

from mmchat.domain import Segment
from mmchat.engines.speech_base import Decoding, WindowedRecognizer


class RecognizerByLanguage(WindowedRecognizer):
    """One recogniser out of two. Detection is the main one's; each decodes with its own encoder."""

    should_settle = True  # detecting costs a pass of the larger encoder

    def __init__(
        self, main: WindowedRecognizer, english_name: str, load_english: Callable[[], WindowedRecognizer | None]
    ) -> None:
        """Take over both.

        Args:
            main: knows all the languages.
            english_name: of the model that takes over for English.
            load_english: called for English until it gives one; None where it cannot be had now: `main` does it then.
        """
        super().__init__(main.chinese)
        self.name, self.engine, self.device = main.name, main.engine, main.device
        self.languages = main.languages
        self._main = main
        self._english_name = english_name
        self._load_english = load_english
        self._english: WindowedRecognizer | None = None

    @property
    def model_names(self) -> tuple[str, ...]:
        return self.name, self._english_name

    def _model_of(self, language: str) -> str:
        return self._english.name if language == "en" and self._english is not None else self.name

    def _detect(self, window: NDArray[np.float32]) -> tuple[str, float]:
        return self._main._detect(window)

    def _detects_for_free(self, language: str) -> bool:
        return language != "en" or self._for_english() is None

    def _decode(self, window: NDArray[np.float32], how: Decoding, cancel: Event) -> Iterator[Segment]:
        suited = self._for_english() if how.language == "en" else None
        yield from (suited or self._main)._decode(window, how, cancel)

    def _for_english(self) -> WindowedRecognizer | None:
        if self._english is None:
            self._english = self._load_english()
        return self._english

    def _free(self) -> None:
        self._main.close()
        if self._english is not None:
            self._english.close()
