"""Exports on their way to the disk: a file, a page, a zip or a folder, each written whole or not at all."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal, get_args

from mmchat.domain import Attachment, Session
from mmchat.errors import MemoryStoreError, UsageError
from mmchat.memory.export_html import page_conversation, page_foot, page_head
from mmchat.memory.export_markdown import marked_markdown
from mmchat.memory.export_rows import FileCopier, PathOf, dialogue_row, kept_path, row_line
from mmchat.memory.export_turns import read_conversation
from mmchat.memory.ids import new_id
from mmchat.memory.store import MemoryStore
from mmchat.moments import local_day
from mmchat.paths import make_private

ExportFormat = Literal["jsonl", "md", "html"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
_ENDINGS: dict[str, ExportFormat] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
}


@dataclass(slots=True)
class ExportTally:
    """What was written so far."""

    conversations: int = 0
    turns: int = 0
    empty: int = 0
    """Conversations without words, which rows cannot hold."""
    paths: list[Path] = field(default_factory=list)


def format_of(path: Path) -> ExportFormat | None:
    """The format that a file's ending tells; None where it tells none."""
    return _ENDINGS.get(path.suffix.lower())


def chosen_format(name: str) -> ExportFormat:
    """A format by its name.

    Raises:
        UsageError: there is no such format.
    """
    for each in FORMATS:
        if each == name:
            return each
    raise UsageError(f"'{name}' is not a format.", hint=f"One of: {', '.join(FORMATS)}.")


def export_pieces(
    store: MemoryStore,
    sessions: Sequence[Session],
    file_format: ExportFormat,
    path_of: PathOf,
    tally: ExportTally,
    on_step: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """The text of an export, a conversation at a time.

    Raises:
        MemoryStoreError: the store cannot be read, or a file not be copied.
    """
    if file_format == "html":
        yield page_head(sessions)
    for session in sessions:
        conversation = read_conversation(store, session)
        tally.turns += len(conversation.in_view)
        tally.conversations += 1
        if file_format == "html":
            yield page_conversation(conversation)
        elif file_format == "md":
            yield ("\n" if tally.conversations > 1 else "") + marked_markdown(conversation, path_of)
        elif (row := dialogue_row(conversation, path_of))["messages"]:
            yield row_line(row)
        else:
            tally.conversations -= 1
            tally.empty += 1
        on_step()
    if file_format == "html":
        yield page_foot()


def write_export(
    store: MemoryStore,
    sessions: Sequence[Session],
    target: Path,
    file_format: ExportFormat,
    *,
    files_dir: Path | None = None,
    cancel: Event | None = None,
    on_step: Callable[[ExportTally], None] = lambda tally: None,
) -> ExportTally:
    """Write conversations; a file that is there is replaced once the new one is whole.

    Args:
        store: what to read.
        sessions: which conversations, in order.
        target: a file; a `.zip`, which holds their pictures and sounds as well; or a folder, for a file of each.
        file_format: of the text.
        files_dir: pictures and sounds are copied there, and named relative to the text.
        cancel: set it to give up; nothing is left behind then.
        on_step: called after each conversation.

    Raises:
        MemoryStoreError: something cannot be read or written.
        ExportCancelled: it was given up.
    """
    tally = ExportTally()

    def step() -> None:
        on_step(tally)
        if cancel is not None and cancel.is_set():
            raise ExportCancelled("The export was given up; nothing was written.")

    if target.is_dir():
        for session in sessions:
            path = target / f"{file_name(session)}.{file_format}"
            copier = FileCopier(files_dir, path.parent) if files_dir is not None else kept_path
            one = ExportTally()
            with _whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(export_pieces(store, [session], file_format, copier, one))
            tally.conversations += one.conversations
            tally.turns += one.turns
            tally.empty += one.empty
            tally.paths.append(path)
            step()
        return tally
    with _whole_file(target) as part:
        if target.suffix.lower() == ".zip":
            _write_zip(store, sessions, part, file_format, tally, step)
        else:
            path_of = FileCopier(files_dir, target.parent) if files_dir is not None else kept_path
            with part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(export_pieces(store, sessions, file_format, path_of, tally, step))
    tally.paths.append(target)
    return tally


class ExportCancelled(UsageError):
    """The user gave an export up."""

    exit_code = 130


def file_name(session: Session) -> str:
    """A name for the file of one conversation: its day, its title as far as a file system takes it, its id."""
    title = re.sub(r"[^\w-]+", "-", session.title)[:60].strip("-_")
    return "-".join(part for part in (local_day(session.updated_at), title, session.id[-6:]) if part)


class _ZipFiles:
    """Puts attachments into a zip, once each."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._put: dict[str, str] = {}

    def __call__(self, attachment: Attachment) -> str:
        if attachment.sha256 not in self._put:
            name = f"files/{attachment.sha256[:16]}{attachment.path.suffix}"
            try:
                # Pictures and sounds are packed already.
                self._archive.write(attachment.path, name, zipfile.ZIP_STORED)
            except OSError as error:
                raise MemoryStoreError(
                    f"{attachment.name} could not be written: {error.strerror or error} ({attachment.path}).",
                    hint="Check the free space; `mmchat doctor` checks the kept files.",
                ) from error
            self._put[attachment.sha256] = name
        return self._put[attachment.sha256]


def _write_zip(
    store: MemoryStore,
    sessions: Sequence[Session],
    part: Path,
    file_format: ExportFormat,
    tally: ExportTally,
    step: Callable[[], None],
) -> None:
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        # A zip takes one member at a time, so the text waits beside it until the files are in.
        text_path = part.with_name(f"{part.name}.text")
        try:
            make_private(text_path)
            with text_path.open("w", encoding="utf-8", newline="") as text:
                text.writelines(export_pieces(store, sessions, file_format, _ZipFiles(archive), tally, step))
            archive.write(text_path, f"conversations.{file_format}")
        finally:
            text_path.unlink(missing_ok=True)


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file to be written beside `path`, which takes its place at the end, or goes."""
    part = path.with_name(f".{new_id()}.part")
    try:
        # A folder that is missing is an error said before any work.
        make_private(part)
        yield part
        part.replace(path)
    except OSError as error:
        raise MemoryStoreError(
            f"{path} could not be written: {error.strerror or error}.", hint="Check the folder and the free space."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
