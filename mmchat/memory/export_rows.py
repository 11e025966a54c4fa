"""Conversations as dialogue rows (JSON Lines) and as Markdown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmchat.domain import Attachment, Session, Turn
from mmchat.errors import MemoryStoreError
from mmchat.moments import local_day, local_minute

PathOf = Callable[[Attachment], str]


def dialogue_row(session: Session, turns: Sequence[Turn], path_of: PathOf) -> dict[str, Any]:
    """A conversation as `import` and finetuning take it; turns without words and files are left out.

    Args:
        session: gives title and persona.
        turns: oldest first.
        path_of: how an attachment's file is named in the row.
    """
    row: dict[str, Any] = {"messages": messages_of(turns, path_of)}
    if session.title:
        row["title"] = session.title
    if session.persona:
        row["persona"] = session.persona
    return row


def messages_of(turns: Sequence[Turn], path_of: PathOf) -> list[dict[str, Any]]:
    """Turns as the messages of a row; those without words and files are left out."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts: list[dict[str, str]] = [{"type": each.kind, each.kind: path_of(each)} for each in turn.attachments]
        if turn.text and parts:
            parts.append({"type": "text", "text": turn.text})
        if turn.text or parts:
            messages.append({"role": turn.role, "content": parts or turn.text})
    return messages


def markdown(session: Session, turns: Sequence[Turn], path_of: PathOf) -> str:
    """A conversation to read."""
    lines = [
        f"# {session.title or 'Untitled conversation'}",
        "",
        f"Conversation `{session.id}`, {local_day(session.created_at)}",
    ]
    for turn in turns:
        speaker = {"user": "You", "assistant": turn.model or "Assistant", "system": "System"}[turn.role]
        lines += ["", f"## {speaker}, {local_minute(turn.created_at)}", ""]
        for each in turn.attachments:
            lines.append(f"{'!' if each.kind == 'image' else ''}[{_escaped(each.name)}](<{path_of(each)}>)")
            if each.heard is not None:
                lines.append(f"Heard: {each.heard.text or '(no speech)'}")
            if each.seen is not None:
                told = [each.seen.caption, ", ".join(tag.label for tag in each.seen.tags), each.seen.text]
                lines.append(f"Seen: {'; '.join(part for part in told if part) or '(nothing)'}")
            lines.append("")
        lines.append(turn.text)
        if turn.status != "complete":
            lines += ["", f"*({turn.notice or turn.status})*"]
        if turn.rating is not None and turn.rating.mark:
            lines += ["", f"*(rated {turn.rating.mark})*"]
        if turn.rating is not None and turn.rating.better:
            lines += ["", "*(better:)*", "", *(f"> {line}".rstrip() for line in turn.rating.better.splitlines())]
    return "\n".join(lines).rstrip() + "\n"


class FileCopier:
    """Copies attachments beside an export, once each, and names them relative to it."""

    def __init__(self, folder: Path, relative_to: Path) -> None:
        self._folder = folder
        self._relative_to = relative_to
        self._copied: dict[str, str] = {}

    def __call__(self, attachment: Attachment) -> str:
        """Copy the file unless it is there, and return its path with forward slashes.

        Raises:
            MemoryStoreError: the kept copy is missing, or the folder cannot be written.
        """
        if attachment.sha256 not in self._copied:
            # The hash keeps two different "photo.jpg" apart; the ending tells programs what it is.
            target = self._folder / f"{attachment.sha256[:16]}{attachment.path.suffix}"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(attachment.path, target)
            except OSError as error:
                raise MemoryStoreError(
                    f"{attachment.name} could not be copied to {target}: {error.strerror or error}.",
                    hint="Check the folder and the free space; `mmchat doctor` checks the kept files.",
                ) from error
            self._copied[attachment.sha256] = Path(os.path.relpath(target, self._relative_to)).as_posix()
        return self._copied[attachment.sha256]


def kept_path(attachment: Attachment) -> str:
    """Where mmchat itself keeps the file."""
    return str(attachment.path)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
