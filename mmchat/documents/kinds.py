"""Which files are documents, going by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["markdown", "text", "html", "pdf", "docx", "csv", "picture"]

_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "markdown": (".md", ".markdown", ".mdown", ".mkd"),
    "text": (".txt", ".text", ".rst", ".adoc", ".org"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx", ".docm", ".dotx"),
    "csv": (".csv", ".tsv"),
    "picture": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"),
}
_KINDS: dict[str, Kind] = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}
MEDIA_TYPES: dict[Kind, str] = {
    "markdown": "text/markdown",
    "text": "text/plain",
    "html": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "csv": "text/csv",
    "picture": "image/*",
}
READABLE = "Markdown, text, HTML, PDF, DOCX, CSV, and pictures with text"

_SAVE_AS: dict[str, str] = {
    ".doc": "Save it as DOCX first.",
    ".odt": "Save it as DOCX first.",
    ".rtf": "Save it as DOCX first.",
    ".pages": "Save it as DOCX first.",
    ".xls": "Save it as CSV first.",
    ".xlsx": "Save it as CSV first.",
    ".ods": "Save it as CSV first.",
    ".ppt": "Save it as PDF first.",
    ".pptx": "Save it as PDF first.",
    ".epub": "Save it as HTML or PDF first.",
}


def kind_of(path: Path) -> Kind | None:
    """What a file is, going by its name; None for what is no document."""
    return _KINDS.get(path.suffix.lower())


def what_to_do(path: Path) -> str:
    """The next step for a file that is not read."""
    return _SAVE_AS.get(path.suffix.lower(), f"mmchat reads {READABLE}.")
