"""Replies spoken aloud, sentence by sentence, while they stream. It is silent at once when it is told to be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from mmchat.chat.ports import Voice
from mmchat.chat.spoken_words import SentenceCutter
from mmchat.errors import EngineUnavailable, MmchatError
from mmchat.script import language_of

SILENT_WITHIN_S = 2.0
"""How long `stop` waits at most for the sound to end; it takes milliseconds."""


def no_voice() -> Voice:
    """For a desk that was given no voice."""
    raise EngineUnavailable("Nothing here speaks.")


class Speaker:
    """Speaks one reply at a time. Every method may be called from any thread; those marked slow, from a worker.

    Off until `turn_on`; while it is off, everything else does nothing. It never listens: who opens a microphone
    calls `stop` before.

    Args:
        find_voice: finds the program that speaks.
        language: what is taken for spoken where the letters do not tell, ISO 639-1.
    """

    def __init__(self, find_voice: Callable[[], Voice], language: str | None = None) -> None:
        self._find_voice = find_voice
        self._language = language
        self._voice: Voice | None = None
        self._changed = threading.Condition()
        self._sentences: SimpleQueue[tuple[int, str] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._cutter = SentenceCutter()
        self._round = 0
        """Counts up with every silence: sentences of an earlier round are not spoken any more."""
        self._open_round = -1
        """The round of the reply that is being fed."""
        self._waiting = 0
        """Sentences queued or being spoken, of any round."""
        self._cancel = threading.Event()
        self._problem: MmchatError | None = None
        self._watchers: list[Callable[[], object]] = []

    # --- on and off -----------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether replies are spoken."""
        return self._voice is not None

    @property
    def program(self) -> str:
        """The program that speaks; empty while this is off."""
        return self._voice.name if self._voice is not None else ""

    def turn_on(self) -> None:
        """Speak from now on.

        Raises:
            EngineUnavailable: no program that speaks is on this machine; the hint says which to install.
        """
        self._voice = self._find_voice()
        self._problem = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
            self._thread.start()

    def turn_off(self) -> None:
        """Fall silent, and stay so."""
        self._voice = None
        self.hush()

    # --- a reply --------------------------------------------------------------------------------

    def begin(self) -> None:
        """A reply begins; what is left of another is not spoken any more."""
        self.hush()
        with self._changed:
            self._cutter = SentenceCutter()
            self._open_round = self._round

    def feed(self, text: str) -> None:
        """More of the reply."""
        self._queue(lambda: self._cutter.feed(text))

    def finish(self) -> None:
        """The reply is whole; the rest of it is spoken yet."""
        self._queue(lambda: self._cutter.finish())

    def say(self, text: str) -> None:
        """Speak a whole text."""
        self.begin()
        self.feed(text)
        self.finish()

    def _queue(self, cut: Callable[[], list[str]]) -> None:
        with self._changed:
            if self._voice is None or self._open_round != self._round:
                return
            sentences = cut()
            was_silent = not self._waiting
            for sentence in sentences:
                self._waiting += 1
                self._sentences.put((self._round, sentence))
        if sentences and was_silent:
            self._tell()

    # --- silence --------------------------------------------------------------------------------

    @property
    def is_speaking(self) -> bool:
        """Whether something is being spoken or about to be."""
        return self._waiting > 0

    def hush(self) -> bool:
        """Fall silent now, and leave out the rest of this reply. Never blocks.

        Returns:
            Whether something was being spoken.
        """
        with self._changed:
            was_speaking = self.is_speaking
            self._round += 1
            self._cancel.set()
        return was_speaking

    def stop(self) -> None:
        """Slow. `hush`, and wait until no sound comes any more: for opening a microphone."""
        self.hush()
        self.wait(SILENT_WITHIN_S)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Slow. Wait until all that was fed is spoken or hushed; False where that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def close(self) -> None:
        """The end: fall silent."""
        self.turn_off()
        if self._thread is not None:
            self.wait(SILENT_WITHIN_S)
            self._sentences.put(None)
            self._thread = None

    # --- what is told ---------------------------------------------------------------------------

    def watch(self, callback: Callable[[], object]) -> None:
        """Have `callback` called, from any thread, when speaking begins or ends, and when it has failed."""
        self._watchers.append(callback)

    def take_problem(self) -> MmchatError | None:
        """Why speaking was given up; told once."""
        problem, self._problem = self._problem, None
        return problem

    def report(self, problem: MmchatError) -> None:
        """Keep a problem for whoever asks for it next."""
        self._problem = problem

    def _tell(self) -> None:
        for callback in tuple(self._watchers):
            callback()

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while (entry := self._sentences.get()) is not None:
            try:
                self._speak(*entry)
            finally:
                with self._changed:
                    self._waiting -= 1
                    is_silent = not self._waiting
                    self._changed.notify_all()
                if is_silent:
                    self._tell()

    def _speak(self, number: int, sentence: str) -> None:
        with self._changed:
            voice = self._voice
            if number != self._round or voice is None:
                return
            cancel = self._cancel = threading.Event()
        try:
            voice.speak(sentence, self._language_of(sentence), cancel)
        except MmchatError as error:
            # One sentence that cannot be spoken means that none can: it is said once, and the rest stays unspoken.
            self._problem = error
            self.turn_off()

    def _language_of(self, sentence: str) -> str:
        written = language_of([sentence])
        if written == "en" or not written:  # Latin letters do not tell French from English
            chosen = self._language or "en"
            return "en" if written == "en" and chosen in ("zh", "yue", "ja", "ko") else chosen
        return written
