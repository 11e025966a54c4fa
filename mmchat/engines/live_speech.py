"""Words while one still speaks: the recogniser runs over the growing sound again and again.

LocalAgreement-2: a word counts once two passes in a row begin with the same words up to it. The sound is cut at
ends of sentences that count, so that a pass never takes longer than one window does. Source: Macháček, Dabre,
Bojar, "Turning Whisper into Real-Time Transcription System", IJCNLP-AACL 2023 (demonstrations).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from mmchat.domain import Heard, ListenOptions, LiveText, Word
from mmchat.engines.audio_io import SAMPLE_RATE_HZ
from mmchat.engines.hear import hear
from mmchat.engines.speech_gates import bare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.engines.base import SpeechRecognizer

INTERVAL_S = 1.0
"""New sound between two passes, where a pass takes less than half of it."""
SLOWEST_INTERVAL_S = 2.0
"""Words that come later than that are of no use: a machine that needs more shows none."""
TRIES = 2
"""So many passes in a row must be too slow: the first one warms the model up."""
CUT_AFTER_S = 12.0
"""A shorter sound is heard as a whole."""
HELD_S = 24.0
"""A longer one is cut although no sentence has ended in it."""
TAIL_S = 1.0
"""The last word of a pass may be cut off, unless so much silence follows it."""
SURE_LANGUAGE_S = 3.0
"""Before so much sound is there, the language may yet turn out another."""
_LOOK_EVERY_S = 0.05
_SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…")


@dataclass(slots=True)
class Agreement:
    """Which words count so far. Times are seconds of the whole sound."""

    confirmed: list[Word] = field(default_factory=list)
    _last: Sequence[Word] = ()

    def take(self, words: Sequence[Word], end_s: float) -> LiveText:
        """Add a pass.

        Args:
            words: all that it heard since the last cut.
            end_s: where the sound ended for it.
        """
        new = self._after_confirmed(words)
        agreed = 0
        for one, other in zip(new, self._last, strict=False):
            is_cut_off = agreed == len(new) - 1 and end_s - one.end_s < TAIL_S
            if bare(one.text) != bare(other.text) or is_cut_off:
                break
            agreed += 1
        self.confirmed += new[:agreed]
        self._last = new[agreed:]
        return LiveText(_joined(self.confirmed).lstrip(), _joined(self._last, has_before=bool(self.confirmed)))

    def cut_s(self, start_s: float, end_s: float) -> float:
        """From where the next pass should listen, given what this one listened to."""
        if end_s - start_s <= CUT_AFTER_S:
            return start_s
        ends = [word.end_s for word in self.confirmed if word.end_s > start_s]
        sentences = [
            word.end_s
            for word in self.confirmed
            if word.end_s > start_s and word.text.rstrip().endswith(_SENTENCE_ENDS)
        ]
        if sentences:
            return sentences[-1]
        if end_s - start_s <= HELD_S:
            return start_s
        return ends[-1] if ends else end_s - CUT_AFTER_S

    def _after_confirmed(self, words: Sequence[Word]) -> list[Word]:
        """Those after the confirmed ones: by their times, and by the words where the times are off."""
        if not self.confirmed:
            return list(words)
        until_s = self.confirmed[-1].end_s
        new = [word for word in words if word.start_s > until_s - 0.1]
        for length in range(min(5, len(new), len(self.confirmed)), 0, -1):
            before = [bare(word.text) for word in self.confirmed[-length:]]
            if before == [bare(word.text) for word in new[:length]] and new[0].start_s < until_s + 1.0:
                return new[length:]
        return new


@dataclass(slots=True)
class LiveSpeech:
    """Hears one recording while it is made.

    Args:
        recognizer: shared with others; each pass takes its turn.
        language: None to detect it.
        expected: the language heard before.
        clock: monotonic seconds.
    """

    recognizer: SpeechRecognizer
    language: str | None
    expected: str = ""
    clock: Callable[[], float] = time.monotonic

    def listen(
        self, sound: Callable[[int], NDArray[np.float32]], is_going_on: Callable[[], bool], over: Event
    ) -> Iterator[LiveText]:
        """Yield what was said so far, about once a second; ends with the recording.

        Args:
            sound: what was recorded from that sample on.
            is_going_on: whether more will come.
            over: set it to end soon.
        """
        agreement = Agreement()
        interval_s, slow = INTERVAL_S, 0
        start, heard_until = 0, 0
        while not over.wait(_LOOK_EVERY_S) and is_going_on():
            pcm = sound(start)
            end = start + pcm.size
            if end - heard_until < interval_s * SAMPLE_RATE_HZ:
                continue
            heard_until = end
            began_s = self.clock()
            words = self._pass(pcm, start / SAMPLE_RATE_HZ, over)
            took_s = self.clock() - began_s
            if over.is_set():
                return
            interval_s = max(INTERVAL_S, 2 * took_s)
            slow = slow + 1 if interval_s > SLOWEST_INTERVAL_S else 0
            if slow >= TRIES:
                return
            interval_s = min(interval_s, SLOWEST_INTERVAL_S)
            text = agreement.take(words, end / SAMPLE_RATE_HZ)
            if text.confirmed or text.tentative:
                yield text
            start = round(agreement.cut_s(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ) * SAMPLE_RATE_HZ)

    def _pass(self, pcm: NDArray[np.float32], start_s: float, over: Event) -> list[Word]:
        options = ListenOptions(expected=self.expected, with_words=True, is_draft=True)
        heard = hear(self.recognizer, pcm, language=self.language, cancel=over, options=options)
        self._settle(heard)
        return [
            Word(word.text, start_s + word.start_s, start_s + word.end_s, word.probability)
            for segment in heard.segments
            for word in segment.words
        ]

    def _settle(self, heard: Heard) -> None:
        """Take the language for granted once enough was said in it."""
        if heard.text and heard.duration_s >= SURE_LANGUAGE_S and not self.language:
            self.expected = heard.language


def _joined(words: Sequence[Word], *, has_before: bool = True) -> str:
    text = "".join(word.text for word in words)
    return text if has_before else text.lstrip()
