"""What the user's documents say, as values. `Passage` is imported from `mmchat.domain`, where its like are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OWN_SHELF = ""
"""The shelf of the user's own documents; those of a role stand on a shelf of its name."""

GONE = "changed or removed since"
"""Said of a citation whose passage is not there any more."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file whose passages are found."""

    id: str
    shelf: str
    path: Path
    """Absolute; the file itself stays where it is."""
    name: str
    """Of the file, without folders."""
    title: str
    """What it calls itself; its name where it does not."""
    root: Path
    """What was added: the file, or a folder that it lies in."""
    media_type: str
    sha256: str
    size_bytes: int
    passages: int
    updated_at: str
    problem: str = ""
    """Why nothing, or not all, could be read; empty where all went well."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, whole in itself."""

    id: str
    """Empty for one that is no longer there: its document was changed or removed after it was cited."""
    document: str
    """Id of the document."""
    shelf: str
    path: Path
    name: str
    """Of the file."""
    heading: str
    """The headings that it stands under, outermost first, parted by " › "; empty for none."""
    text: str
    page: int | None = None
    """From 1, in files that have pages."""
    line: int | None = None
    """From 1, where it begins, in files of text."""

    @property
    def label(self) -> str:
        """File and heading, as a citation shows it."""
        place = self.heading or (f"p. {self.page}" if self.page is not None else "")
        return f"{self.name} › {place}" if place else self.name

    @property
    def is_gone(self) -> bool:
        """Its document was changed or removed after it was cited, so that its words are not kept."""
        return not self.id

    @property
    def source(self) -> str:
        """The label, and that it is gone if it is."""
        return f"{self.label} ({GONE})" if self.is_gone else self.label

    @property
    def position(self) -> str:
        """Page or line, in words; empty where neither is known."""
        if self.page is not None:
            return f"page {self.page}"
        return f"line {self.line}" if self.line is not None else ""


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """A piece of a document as it was cut out of it: what becomes a `Passage`."""

    text: str
    heading: str = ""
    """As in `Passage`."""
    page: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """What was read of a file."""

    title: str
    media_type: str
    pieces: tuple[ReadPiece, ...]
    problem: str = ""
    """What could not be read, in words ("page 3 is a picture without text"); empty where all went well."""
