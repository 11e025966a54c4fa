"""A desk's hearing: recordings as words, while they are made and after."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.listening import Listening
from mmchat.domain import Heard, ListenOptions, LiveText
from mmchat.engines.hear import hear

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.chat.ports import Engines, Recorder


class Ear:
    """Turns what the microphone gives into words. Every method is slow: call it from a worker."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def transcribe(
        self, pcm: NDArray[np.float32], cancel: Event | None, listening: Listening, model: str = ""
    ) -> Heard:
        """A recording as words, with the probability of each word; empty text when no speech was heard.

        Args:
            pcm: (S,) float32 in [-1, 1], 16 000 Hz.
            cancel: set it to give up early.
            listening: of the conversation that it is for; learns from what is heard.
            model: another speech model than the chosen one.

        Raises:
            MmchatError: the model cannot be had, or failed.
        """
        recognizer = self._engines.recognizer_named(model) if model else self._engines.recognizer()
        heard = hear(
            recognizer,
            pcm,
            language=listening.chosen,
            cancel=cancel,
            options=ListenOptions(expected=listening.language or "", with_words=True, terms=listening.terms()),
        )
        if cancel is None or not cancel.is_set():
            listening.note(heard)
        return heard

    def live(self, recorder: Recorder, over: Event, listening: Listening) -> Iterator[LiveText]:
        """What is being said while `recorder` records, for showing only: `transcribe` has the last word.

        Ends when the recording does or `over` is set. Yields nothing where this machine is too slow for it.
        """
        from mmchat.engines.live_speech import LiveSpeech

        recognizer = self._engines.recognizer()
        live = LiveSpeech(recognizer, listening.chosen, listening.language or "")
        yield from live.listen(recorder.sound, lambda: recorder.state in ("starting", "recording"), over)
