"""A conversation written to a file of the user's choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.domain import Session
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


class SessionExport:
    """Writes one conversation: JSON Lines, Markdown, a page of HTML or a zip, by the file's ending."""

    def __init__(self, store: MemoryStore, session: Callable[[], Session | None]) -> None:
        self._store = store
        self._session = session

    def path_for(self, argument: str, cwd: Path) -> Path:
        """The file that the user means: as named, in the folder that was named, or of a name of our own in `cwd`.

        Raises:
            UsageError: nothing was said yet; or the ending tells no format.
        """
        from mmchat.memory.export_write import file_name, format_of

        session = self._chosen()
        path = (cwd / Path(argument).expanduser()) if argument.strip() else cwd
        if path.is_dir():
            path = path / f"{file_name(session)}.md"
        if format_of(path) is None and path.suffix.lower() != ".zip":
            raise UsageError(
                f"'{path.suffix or path.name}' tells no format.",
                hint="End the file's name in .md, .html, .jsonl, or .zip for JSON Lines with pictures and sounds.",
            )
        return path

    def write(self, path: Path) -> str:
        """Slow. Write the conversation, in the place of what is there, and return what was written in words.

        Pictures and sounds are copied beside JSON Lines and Markdown, into `<file>.files`; the others hold them.

        Raises:
            UsageError: nothing was said yet.
            MemoryStoreError: the file cannot be written; one that was there is as it was.
        """
        from mmchat.memory.export_write import format_of, write_export

        session = self._store.get_session(self._chosen().id)
        file_format = format_of(path) or "jsonl"
        has_files = any(turn.attachments for turn in self._store.turns(session.id))
        is_open = path.suffix.lower() != ".zip" and file_format != "html"
        files_dir = path.with_name(f"{path.name}.files") if has_files and is_open else None
        tally = write_export(self._store, [session], path, file_format, files_dir=files_dir)
        beside = f", its pictures and sounds in {files_dir.name}" if files_dir is not None else ""
        return f"{tally.turns} {'turn' if tally.turns == 1 else 'turns'} written to {path}{beside}"

    def _chosen(self) -> Session:
        session = self._session()
        if session is None:
            raise UsageError("Nothing to export yet: this conversation is empty.")
        return session
