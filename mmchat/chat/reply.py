"""Streaming a reply onto the screen and into the store at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.prompt import Prompt
from mmchat.domain import (
    FinishReason,
    GenerateOptions,
    GenerationDone,
    Notice,
    Recalled,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    Turn,
    TurnStatus,
    Usage,
)
from mmchat.errors import MemoryStoreError, ReplyUnsaved

if TYPE_CHECKING:
    from mmchat.engines.base import LanguageModel
    from mmchat.memory.store import MemoryStore

log = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 1.0
"""What a crash may cost of a reply."""

REPEATED = "The model began to repeat itself, so the reply was ended there."

ENDINGS: dict[FinishReason, tuple[TurnStatus, str]] = {
    "stop": ("complete", ""),
    "cancelled": ("stopped", ""),
    "length": ("complete", 'The reply reached its longest allowed length; say "go on" for more.'),
    "repetition": ("complete", REPEATED),
}

NO_WORDS = "The model had nothing to say. Try other words, or regenerate."
NO_ANSWER_YET = "The model was still thinking when the reply reached its longest allowed length. Raise max_tokens."


def stream_reply(
    store: MemoryStore,
    model: LanguageModel,
    question: Turn,
    prompt: Prompt,
    recalled: Sequence[Recalled],
    options: GenerateOptions,
    cancel: Event,
) -> Iterator[ReplyStarted | ReplyDelta | Notice | ReplyEnded]:
    """Draw a reply; its row exists from the first token and is checkpointed every `CHECKPOINT_EVERY_S`.

    However the stream ends (by itself, by `cancel`, by an error, by the reader going away), what was
    drawn is stored with the status that says how.

    A full disk in the middle of a reply does not end it: storing is tried again until its end, and after.

    Raises:
        ReplyUnsaved: the reply has ended, and its end could not be stored.
        MmchatError: the engine failed; the text so far is stored as `failed`.
    """
    draft = _Draft(store, model, question)
    done: GenerationDone | None = None
    try:
        with closing(model.stream(prompt.messages, options, cancel)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                if isinstance(piece, GenerationDone):
                    done = piece
                    break
                if draft.append(piece.text):
                    yield ReplyStarted(draft.turn_id)
                yield ReplyDelta(piece.text)
                if trouble := draft.new_trouble():
                    yield Notice(trouble)
    except BaseException as error:
        draft.end("stopped" if isinstance(error, GeneratorExit | KeyboardInterrupt) else "failed", prompt, recalled)
        raise
    if done is None:
        raise RuntimeError(f"the engine {model.engine} ended without saying how")
    if draft.append(""):
        yield ReplyStarted(draft.turn_id)
    status, notice = ENDINGS[done.finish_reason]
    if not draft.text.strip() and status == "complete":
        notice = NO_ANSWER_YET if done.finish_reason == "length" else NO_WORDS
    turn = draft.end(status, prompt, recalled, done, notice)
    if notice:
        yield Notice(notice)
    if turn is not None:
        yield ReplyEnded(turn)


class _Draft:
    """The reply's row while it grows."""

    def __init__(self, store: MemoryStore, model: LanguageModel, question: Turn) -> None:
        self._store = store
        self._model = model
        self._question = question
        self._saved_at = 0.0
        self._trouble: MemoryStoreError | None = None
        self._is_trouble_told = False
        self.text = ""
        self.turn_id = ""

    def append(self, text: str) -> bool:
        """Add text; True when this created the row."""
        self.text += text
        now = time.monotonic()
        if not self.turn_id:
            row = self._store.start_reply(
                self._question.session_id,
                parent_id=self._question.id,
                model=self._model.name,
                engine=self._model.engine,
                text=self.text,
            )
            self.turn_id, self._saved_at = row.id, now
            return True
        if now - self._saved_at >= CHECKPOINT_EVERY_S:
            self._saved_at = now
            try:
                self._store.checkpoint_reply(self.turn_id, self.text)
            except MemoryStoreError as error:
                if self._trouble is None:
                    log.warning("a reply was not checkpointed: %s", error.message)
                self._trouble = error
        return False

    def new_trouble(self) -> str:
        """What to say of a reply that cannot be saved while it grows; empty where there is nothing new to say."""
        if self._trouble is None or self._is_trouble_told:
            return ""
        self._is_trouble_told = True
        return f"{self._trouble.message} The reply goes on, and is saved as soon as that works again."

    def end(
        self,
        status: TurnStatus,
        prompt: Prompt,
        recalled: Sequence[Recalled],
        done: GenerationDone | None = None,
        notice: str = "",
    ) -> Turn | None:
        """Store the end; None when not a single token was drawn."""
        if not self.turn_id:
            return None
        usage = None
        if done is not None:
            usage = Usage(
                prompt_tokens=done.prompt_tokens,
                cached_tokens=done.cached_tokens,
                reply_tokens=done.reply_tokens,
                first_token_s=done.first_token_s,
                tokens_per_s=done.tokens_per_s,
            )
        finish = partial(
            self._store.finish_reply,
            self.turn_id,
            self.text,
            status=status,
            usage=usage,
            window=prompt.window,
            recalled=recalled,
            notice=notice,
        )
        try:
            return finish()
        except MemoryStoreError as error:
            if error.__cause__ is None:  # nothing that passes: its conversation was deleted
                raise
            self._store.late.remember(self.turn_id, finish)
            raise ReplyUnsaved(
                f"The end of this reply is not stored yet. {error.message}",
                hint=f"{error.hint} It is stored with your next message; until then it stands only here.".lstrip(),
            ) from error
