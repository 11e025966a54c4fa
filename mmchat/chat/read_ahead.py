"""The model reads a message while it is typed, so that its reply begins sooner."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.role_actions import speaks_prepared
from mmchat.chat.window import SessionWindow, reply_options
from mmchat.domain import Recalled, ReplyEvent, Turn

if TYPE_CHECKING:
    from mmchat.chat.masked import Masking
    from mmchat.chat.ports import Engines
    from mmchat.chat.session import SessionSettings

Notes = Generator[ReplyEvent, None, tuple[Recalled, ...]]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the prompt of the next message is made of."""

    engines: Engines
    settings: SessionSettings
    window: SessionWindow
    masking: Masking
    turns: Callable[[], tuple[Turn, ...]]
    """All turns of the conversation."""
    notes: Callable[[Turn, Sequence[Turn], bool], Notes]
    """What is told beside a message, by the turns before it and whether the model sees pictures."""


class ReadingAhead:
    """Reads drafts of one conversation. Nothing is stored, and no model is loaded for it."""

    def __init__(self, ahead: Ahead) -> None:
        self._ahead = ahead

    @property
    def is_on(self) -> bool:
        """Whether drafts are read at all."""
        settings = self._ahead.settings
        return settings.should_read_ahead and not speaks_prepared(settings.persona)

    def read(self, draft: str, cancel: Event) -> None:
        """Slow. Have the model read the conversation, and what is about to be sent; it gives way to replies.

        Nothing happens where the model is not loaded, or gains nothing by it.

        Args:
            draft: the words typed so far; empty: the conversation alone.
            cancel: ends it.

        Raises:
            MmchatError: the model failed.
        """
        from mmchat.engines.base import AheadReader

        ahead = self._ahead
        model = ahead.window.loaded_model() if self.is_on else None
        if not (isinstance(model, AheadReader) and model.gains_by_reading):
            return
        history = ahead.turns()
        session_id = history[-1].session_id if history else ""
        question = Turn("", session_id, None, "user", ahead.masking.words(draft.strip()), "complete", "")
        options = reply_options(ahead.engines, ahead.settings)
        notes: tuple[Recalled, ...] = ()
        if question.text and self._can_recall():
            found = _result(ahead.notes(question, history, model.accepts_images))
            notes = ahead.window.fitting_notes(model, options, question, found)
        if not cancel.is_set():
            prompt = ahead.window.prompt(model, options, history, question, notes)
            model.read_ahead(prompt.messages, cancel)

    def _can_recall(self) -> bool:
        """Whether recall needs no model that is still to be loaded."""
        return all(state.stage == "ready" for state in self._ahead.engines.states() if state.kind == "embed")


def _result(steps: Notes) -> tuple[Recalled, ...]:
    """What a step of a turn comes to; what it tells on the way is for a message that is sent."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return tuple(end.value)
