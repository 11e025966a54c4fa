"""What somebody means by the name of a document."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mmchat.errors import UsageError
from mmchat.knowledge_values import Document


def shown_name(document: Document) -> str:
    """A file's name, in the folder that was added where it came with one: two files may have the same name."""
    if document.path == document.root or not document.path.is_relative_to(document.root.parent):
        return document.name
    return document.path.relative_to(document.root.parent).as_posix()


def fitting(documents: Sequence[Document], name: str) -> tuple[Document, ...]:
    """What a name means, the surest first. Raises UsageError where it is the name of several."""
    wanted = name.strip().casefold()
    if not wanted or "\0" in name:
        return ()
    path = Path(name).expanduser().absolute()
    paths = (path, Path(os.path.realpath(path)))
    groups: tuple[Callable[[Document], bool], ...] = (
        lambda each: any(each.path.is_relative_to(path) for path in paths),
        lambda each: each.root != each.path and each.root.name.casefold() == wanted,
    )
    singles: tuple[Callable[[Document], bool], ...] = (
        lambda each: each.id == name,
        lambda each: each.path.as_posix().casefold().endswith("/" + wanted.removeprefix("./")),
        lambda each: wanted in (each.path.stem.casefold(), each.title.casefold()),
    )
    for fits in groups:
        if found := tuple(document for document in documents if fits(document)):
            return found
    for fits in singles:
        if found := tuple(document for document in documents if fits(document)):
            if len(found) > 1:
                paths_said = "\n".join(f"  {document.path}" for document in found[:10])
                raise UsageError(f"{len(found)} documents are called '{name}':\n{paths_said}", hint="Give the path.")
            return found
    return ()
