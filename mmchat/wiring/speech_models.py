"""The speech model of a hub, with the one that it leaves English to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from mmchat.errors import MmchatError

if TYPE_CHECKING:
    from mmchat.engines.base import SpeechRecognizer
    from mmchat.engines.speech_base import WindowedRecognizer

log = logging.getLogger(__name__)


def by_language(
    main: SpeechRecognizer, english: str, is_in_place: Callable[[], bool], load: Callable[[], SpeechRecognizer]
) -> SpeechRecognizer:
    """`main`, with English left to another model.

    Args:
        main: one of the Whisper recognisers.
        english: the other one's name.
        is_in_place: whether the other one can be loaded without fetching; speech does not wait for a download.
        load: loads it; a failure is logged, and `main` hears English too.
    """
    from mmchat.engines.asr_by_language import RecognizerByLanguage

    has_failed = False

    def load_english() -> WindowedRecognizer | None:
        nonlocal has_failed
        if has_failed or not is_in_place():
            return None
        try:
            return cast("WindowedRecognizer", load())
        except MmchatError:
            has_failed = True
            log.warning("English is left to %s", main.name, exc_info=True)
            return None

    return RecognizerByLanguage(cast("WindowedRecognizer", main), english, load_english)
