"""A history of rows as the chat would show it to a model: the same sentences, the same window."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmchat.chat.prompt import Entry, Standing, assemble
from mmchat.chat.roles import system_text
from mmchat.chat.wording import turn_messages
from mmchat.domain import Attachment, AttachmentKind, Heard, Message, Seen, Turn
from mmchat.rows.values import RowMessage, RowPart


class FileSenses(Protocol):
    """What is seen and heard in files."""

    def seen(self, path: Path) -> Seen:
        """Look at a picture. Raises ImageError, or what loading the model raises."""
        ...

    def heard(self, path: Path) -> Heard:
        """Listen to a sound. Raises AudioError, or what loading the model raises."""
        ...


class Reader(Protocol):
    """What must be known of a model that is told; every language model is one."""

    @property
    def accepts_images(self) -> bool: ...

    @property
    def context_tokens(self) -> int: ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Of a whole prompt."""
        ...


@dataclass(frozen=True, slots=True)
class Listener:
    """The model that is told, and how it likes to be told."""

    model: Reader
    note_style: str


def told_history(
    history: Sequence[RowMessage],
    persona: str,
    listener: Listener,
    senses: FileSenses,
    *,
    room: int,
    examples: Sequence[Message] = (),
    window_tokens: int = 0,
) -> tuple[Message, ...]:
    """The prompt for the reply that follows a history.

    Persona and system messages become the system text. Pictures are passed as pixels to a model that takes
    them and told in words to others; sounds are told in words.

    Args:
        history: everything before the reply, with at least one message that is not the system's.
        persona: the row's: a system text, or the name of a role, which stands for its own; may be empty.
        listener: the model.
        senses: reads the files, if there are any.
        room: tokens of the context to keep free.
        examples: exchanges that show how a role answers, told as the chat tells them.
        window_tokens: the most tokens the prompt may take; 0: what the context leaves.

    Raises:
        UsageError: there is no role of that name.
        ConfigError: its file cannot be used.
    """
    model = listener.model
    given = (system_text(persona), *(message.text for message in history if message.role == "system"))
    system = "\n\n".join(text for text in given if text.strip())
    entries = [
        Entry(
            str(index),
            message.role == "user",
            turn_messages(
                _turn(index, message, senses, has_pixels=model.accepts_images),
                style=listener.note_style,
                has_pixels=model.accepts_images,
            ),
        )
        for index, message in enumerate(each for each in history if each.role != "system")
    ]
    budget = max(1, model.context_tokens - room)
    if window_tokens:
        budget = min(budget, window_tokens)
    standing = Standing(examples=tuple(examples))
    return assemble(system, entries, count_tokens=model.count_tokens, budget=budget, standing=standing).messages


def _turn(index: int, message: RowMessage, senses: FileSenses, *, has_pixels: bool) -> Turn:
    turn_id = str(index)
    files = message.files if message.role == "user" else ()  # what a model is told comes from the user
    return Turn(
        id=turn_id,
        session_id="",
        parent_id=str(index - 1) if index else None,
        role=message.role,
        text=message.text.strip(),  # as a conversation stores what the user sends
        status="complete",
        created_at="",
        attachments=tuple(_attachment(turn_id, part, senses, has_pixels=has_pixels) for part in files),
    )


def _attachment(turn_id: str, part: RowPart, senses: FileSenses, *, has_pixels: bool) -> Attachment:
    path = part.path
    if path is None:
        raise ValueError(f"a part of kind {part.kind} without its file")
    kind: AttachmentKind = "image" if part.kind == "image" else "audio"
    return Attachment(
        id=str(path),
        turn_id=turn_id,
        kind=kind,
        name=path.name,
        sha256="",
        media_type=mimetypes.guess_type(path.name)[0] or kind,
        size_bytes=0,
        path=path,
        heard=senses.heard(path) if kind == "audio" else None,
        seen=senses.seen(path) if kind == "image" and not has_pixels else None,
    )
