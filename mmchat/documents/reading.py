"""Reads a document of the user's and cuts it into passages. What cannot be read is said, not raised."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from threading import Event

from mmchat.documents.blocks import Block, Parsed, Unreadable, tidied
from mmchat.documents.cutting import MOST_WORDS, cut
from mmchat.documents.decoding import decoded
from mmchat.documents.kinds import MEDIA_TYPES, Kind, kind_of, what_to_do
from mmchat.errors import EngineUnavailable, ImageError
from mmchat.knowledge_values import ReadDocument

READER = f"1/{MOST_WORDS}"
"""Names this way of reading and cutting: raise the number with any change by which passages come out otherwise, and
every file is read again."""
MAX_FILE_BYTES = 100_000_000
MAX_TEXT_BYTES = 10_000_000
"""Of files that are nothing but text: some twenty novels."""
MAX_PIECES = 20_000

ReadPicture = Callable[[Path], str]
"""The text that stands in a picture."""


def read_document(
    path: Path,
    *,
    read_picture: ReadPicture | None = None,
    cancel: Event | None = None,
    most_words: float = MOST_WORDS,
) -> ReadDocument:
    """What a file says, in passages. Never raises for what is in it, or wrong with it: `problem` says that.

    Args:
        path: the file.
        read_picture: reads text in pictures; None where nothing does.
        cancel: set it to stop early, in a long PDF; `problem` says so then.
        most_words: of a passage, as `cutting.MOST_WORDS`.
    """
    kind = kind_of(path) or "text"
    try:
        parsed = _parsed(path, kind, read_picture, cancel or Event())
    except Unreadable as error:
        return ReadDocument(path.name, MEDIA_TYPES[kind], (), str(error))
    pieces = cut(tidied(parsed.blocks), most_words=most_words)
    problem = parsed.problem
    if not pieces:
        problem = problem or "There is no text in it."
    if len(pieces) > MAX_PIECES:
        pieces, problem = pieces[:MAX_PIECES], f"Only its first {MAX_PIECES:,} passages were kept."
    title = " ".join(tidied([Block(parsed.title)])[0].text.split())[:200] if parsed.title.strip() else path.name
    return ReadDocument(title, MEDIA_TYPES[kind], pieces, problem)


def _parsed(path: Path, kind: Kind, read_picture: ReadPicture | None, cancel: Event) -> Parsed:
    if kind == "picture":
        return _picture(path, read_picture)
    data = file_bytes(path, MAX_FILE_BYTES if kind in ("pdf", "docx") else MAX_TEXT_BYTES)
    match kind:
        case "pdf":
            from mmchat.documents.pdf_file import parse_pdf

            return parse_pdf(data, is_over=cancel.is_set)
        case "docx":
            from mmchat.documents.docx_file import parse_docx

            return parse_docx(data)
        case "html":
            from mmchat.documents.html_file import page_text, parse_html

            return parse_html(page_text(data))
        case "csv":
            from mmchat.documents.csv_file import parse_csv

            return parse_csv(decoded(data))
        case "markdown":
            from mmchat.documents.markdown_file import parse_markdown

            return parse_markdown(decoded(data))
        case _:
            return _plain(path, data)


def _plain(path: Path, data: bytes) -> Parsed:
    from mmchat.documents.text_file import parse_text

    try:
        return parse_text(decoded(data))
    except Unreadable as error:
        raise error if kind_of(path) else Unreadable(f"It is no document. {what_to_do(path)}") from error


def _picture(path: Path, read_picture: ReadPicture | None) -> Parsed:
    if read_picture is None:
        raise Unreadable("Text in pictures is not read: `read_text = false` in the settings.")
    try:
        text = read_picture(path)
    except (ImageError, EngineUnavailable) as error:
        raise Unreadable(error.message) from error
    lines = [Block(line, is_tight=True) for line in text.split("\n")]
    return Parsed(tuple(lines), problem="" if text.strip() else "No text was found in it.")


def file_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        Unreadable: missing, no file, empty, too large, not allowed; said apart.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("It is no file.")  # a pipe or device might never end
        if status.st_size > most:
            raise Unreadable(f"It is too large: {status.st_size / 1e6:,.0f} MB, of at most {most / 1e6:,.0f} MB.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError as error:
        raise Unreadable("It is not there any more.") from error
    except PermissionError as error:
        raise Unreadable("You have no permission to read it.") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"It cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not data:
        raise Unreadable("It is empty.")
    if len(data) > most:
        raise Unreadable(f"It is too large: more than {most / 1e6:,.0f} MB.")
    return data
