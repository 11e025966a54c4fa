"""Hands-free: listen, send, answer, listen again. Never listens while a reply is drawn or spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.tui.text import clean, sentence

if TYPE_CHECKING:
    from textual.timer import Timer

    from mmchat.tui.messages import SpeechTranscribed
    from mmchat.tui.screens.chat_box import ChatBox

LOOK_S = 0.2
NOT_UNDERSTOOD = "No words were understood; listening again."


class HandsFree:
    """Decides when the microphone opens by itself; looks several times a second while it is on."""

    def __init__(self, screen: ChatBox) -> None:
        self._screen = screen
        self._timer: Timer | None = None

    @property
    def is_on(self) -> bool:
        """Whether it goes round."""
        return self._screen.voice.is_hands_free

    def begin(self) -> None:
        """Listen from now on, as soon as nothing is answered or spoken."""
        self._screen.voice.set_hands_free(True, "getting ready")
        if self._timer is None:
            self._timer = self._screen.set_interval(LOOK_S, self.look)
        self.look()

    def leave(self, why: str) -> None:
        """Listen no more: a recording is discarded, a reply goes on."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._screen.voice.set_hands_free(False)
        self._screen.voice.cancel()
        self._screen.activity.set_hint(why)

    def look(self) -> None:
        """Open the microphone when its time has come, and say what goes on until then."""
        voice = self._screen.voice
        if not self.is_on or voice.state != "off" or voice.has_news:
            return
        if self._screen.flow.is_busy:
            voice.set_hands_free(True, "answering")
        elif self._screen.desk.speaker.is_speaking:
            voice.set_hands_free(True, "speaking")
        elif self._screen.app.screen is not self._screen:
            voice.set_hands_free(True, "waiting until this window is closed")  # a dialog is open
        else:
            self._screen.watch_models()
            voice.start()

    async def take(self, event: SpeechTranscribed) -> None:
        """Send what was said, with what stands in the box."""
        screen = self._screen
        text = event.heard.text.strip() if event.heard else ""
        if not text:
            screen.activity.set_hint(sentence(event.trouble) or NOT_UNDERSTOOD)
            return
        screen.voice.set_hands_free(True, "answering")
        screen.composer.insert_words(clean(text))
        draft = screen.composer.draft
        screen.composer.clear_draft()
        screen.composer.remember(draft)
        screen.watch_models()
        await screen.flow.send(draft)
