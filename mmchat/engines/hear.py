"""A sound as words: a recogniser run to its end."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING

from mmchat.domain import TEXT_ONLY, Heard, ListenOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.engines.base import SpeechRecognizer


def hear(
    recognizer: SpeechRecognizer,
    pcm: NDArray[np.float32] | Iterator[NDArray[np.float32]],
    *,
    language: str | None,
    cancel: Event | None,
    prompt: str = "",
    options: ListenOptions = TEXT_ONLY,
) -> Heard:
    """Run a recogniser to its end. Takes what `SpeechRecognizer.transcribe` does."""
    for event in recognizer.transcribe(pcm, language=language, prompt=prompt, cancel=cancel, options=options):
        if isinstance(event, Heard):
            return event
    raise RuntimeError(f"the engine {recognizer.engine} ended without its Heard")
