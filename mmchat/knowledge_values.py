"""What the user's documents say, as values. `Passage` is imported from `mmchat.domain`, where its like are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OWN_SHELF = ""
"""The shelf of the user's own documents; those of a role stand on a shelf of its name."""


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
