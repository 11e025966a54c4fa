"""The store of conversations: the only place with SQL. (Skeleton of the agreed interface.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmchat.domain import (
    Attachment, AttachmentKind, Heard, Recalled, Seen, Session, Turn, TurnStatus, Usage, Window,
)


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file about to be kept."""

    path: Path
    kind: AttachmentKind
    media_type: str
    name: str


class MemoryStore:
    """One SQLite file and a folder of blobs. Safe from any thread: each gets its own connection."""

    def __init__(self, database_path: Path, blobs_dir: Path) -> None:
        """Open, creating and migrating as needed. Raises MemoryStoreError."""

    # sessions
    def create_session(self, *, title: str = "", model: str = "", persona: str = "") -> Session: ...
    def get_session(self, session_id: str) -> Session:
        """By id or unique prefix. Raises UsageError: none, or several fit."""
    def latest_session(self) -> Session | None: ...
    def list_sessions(self, *, limit: int = 200, query: str = "") -> tuple[Session, ...]: ...
    def rename_session(self, session_id: str, title: str) -> Session: ...
    def title_session(self, session_id: str, title: str) -> None:
        """Set a title only where none was given yet (self-titling never overwrites the user's)."""
    def fork_session(self, session_id: str, *, at_turn: str | None = None) -> Session: ...
    def delete_session(self, session_id: str) -> None: ...

    # turns
    def add_user_turn(self, session_id: str, text: str, attachments: Sequence[NewAttachment] = ()) -> Turn:
        """Copies the files, then writes turn and attachments in one transaction, fsynced before returning."""
    def start_reply(self, session_id: str, *, parent_id: str, model: str, engine: str, text: str) -> Turn: ...
    def checkpoint_reply(self, turn_id: str, text: str) -> None: ...
    def finish_reply(
        self, turn_id: str, text: str, *, status: TurnStatus, usage: Usage | None = None,
        window: Window | None = None, recalled: Sequence[Recalled] = (), notice: str = "",
    ) -> Turn: ...
    def retire_reply(self, turn_id: str) -> None:
        """Take a reply out of the conversation (kept as a variant, not returned by `turns`)."""
    def turns(self, session_id: str) -> tuple[Turn, ...]:
        """The conversation, oldest first; replies that a dead process left `streaming` come back `stopped`."""
    def get_turn(self, turn_id: str) -> Turn: ...

    # what the senses said, never redone for the same bytes and model
    def save_heard(self, attachment_id: str, heard: Heard) -> Attachment: ...
    def save_seen(self, attachment_id: str, seen: Seen) -> Attachment: ...
    def find_heard(self, sha256: str, model: str) -> Heard | None: ...
    def find_seen(self, sha256: str, model: str) -> Seen | None: ...

    def check_integrity(self) -> list[str]:
        """Problems found; empty when sound."""
    def close(self) -> None: ...
