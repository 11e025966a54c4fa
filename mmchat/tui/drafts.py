"""What stands in the input box: words, and chips that stand for files and folded pastes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mmchat.chat.attachments import find_files, find_missing
from mmchat.chat.session import UserInput
from mmchat.domain import AttachmentKind, Turn
from mmchat.tui.text import clean, elide_middle, one_line

ChipKind = Literal["image", "audio", "paste"]
FOLD_LINES = 10
"""A paste longer than this many lines becomes a chip."""
FOLD_CHARACTERS = 4_000
"""So does one longer than this."""
_NAMES: dict[ChipKind, str] = {"image": "Image", "audio": "Sound", "paste": "Pasted text"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A label in the draft, and what it stands for."""

    label: str
    kind: ChipKind
    path: Path | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """The input box at one moment."""

    text: str = ""
    chips: tuple[Chip, ...] = ()
    """All chips whose label stands in `text`, in that order."""
    instead_of: str = ""
    """Id of the earlier message whose place it takes; empty for a new one."""

    @property
    def is_empty(self) -> bool:
        """Nothing to send."""
        return not self.text.strip()

    @property
    def files(self) -> tuple[Path, ...]:
        """Attached files, in the order of their chips."""
        return tuple(chip.path for chip in self.chips if chip.path is not None)

    @property
    def words(self) -> str:
        """The text as it is sent: file chips taken out, pastes in full."""
        text = self.text
        for chip in self.chips:
            if chip.path is not None:
                text = re.sub(rf"[ \t]?{re.escape(chip.label)}", "", text, count=1)
        for chip in self.chips:
            if chip.kind == "paste":
                text = text.replace(chip.label, chip.text, 1)
        return text.strip()

    def to_input(self) -> UserInput:
        """What the conversation is given."""
        return UserInput(self.words, self.files)

    def unusable_files(self, cwd: Path) -> list[str]:
        """Sentences about what reads like a file in the words and is none."""
        masked = ChipShelf(dict.fromkeys(self.chips)).masked(self.text)
        return [clean(str(entry)) for entry in find_missing(masked, cwd=cwd)]

    def with_typed_files(self, cwd: Path) -> Draft:
        """Turn paths of existing pictures and sounds that were typed into chips."""
        shelf = ChipShelf(dict.fromkeys(self.chips))
        return replace(shelf.draft(shelf.chip_files(self.text, cwd)), instead_of=self.instead_of)

    @staticmethod
    def of_turn(turn: Turn) -> Draft:
        """A stored message, to be edited: its words, and chips for the kept copies of its files."""
        shelf = ChipShelf()
        chips = [shelf.add_path(each.path, each.kind, each.name) for each in turn.attachments]
        text = " ".join(part for part in (clean(turn.text), *(chip.label for chip in chips)) if part)
        return replace(shelf.draft(text), instead_of=turn.id)


@dataclass(slots=True)
class ChipShelf:
    """Makes chips for one draft and remembers them, so that an undo brings a deleted one back to life."""

    _chips: dict[Chip, None] = field(default_factory=dict)

    def chip_files(self, text: str, cwd: Path) -> str:
        """`text` with a chip in the place of every readable picture and sound file that it names."""
        pieces, at = [], 0
        for file in find_files(self.masked(text), cwd=cwd):
            pieces += [text[at : file.start], self.add_path(file.path, file.kind).label]
            at = file.end
        return "".join(pieces) + text[at:]

    def masked(self, text: str) -> str:
        """`text` with its chips blanked out, place for place: the name in a chip is no file name."""
        for chip in self._chips:
            text = text.replace(chip.label, "\n" * len(chip.label))
        return text

    def add_path(self, path: Path, kind: AttachmentKind, name: str = "") -> Chip:
        """A chip for a file; `name` is what it is called where its path does not tell."""
        shown = one_line(name or path.name).replace("[", "(").replace("]", ")")
        return self._add(kind, elide_middle(shown, 32), path=path)

    def add_paste(self, text: str) -> Chip:
        """A chip for a long text."""
        lines = text.count("\n") + 1
        size = f"+{lines} lines" if lines > FOLD_LINES else f"+{len(text):,} characters"
        return self._add("paste", size, text=text)

    def _add(self, kind: ChipKind, about: str, *, path: Path | None = None, text: str = "") -> Chip:
        number = 1 + sum(chip.kind == kind for chip in self._chips)
        chip = Chip(f"[{_NAMES[kind]} {number}: {about}]", kind, path, text)
        self._chips[chip] = None
        return chip

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where chips stand in a line, as column ranges."""
        found = ((line.find(chip.label), len(chip.label)) for chip in self._chips)
        return sorted((start, start + length) for start, length in found if start >= 0)

    def draft(self, text: str) -> Draft:
        """The draft that `text` is with these chips."""
        placed = sorted((text.find(chip.label), chip.label, chip) for chip in self._chips if chip.label in text)
        return Draft(text, tuple(chip for _, _, chip in placed))


def drafts_to_text(drafts: Sequence[Draft]) -> str:
    """Drafts as JSON, to be kept; empty where there are none."""
    if not drafts:
        return ""
    return json.dumps(
        [
            {
                "text": draft.text,
                "instead_of": draft.instead_of,
                "chips": [
                    {"label": chip.label, "kind": chip.kind, "path": str(chip.path or ""), "text": chip.text}
                    for chip in draft.chips
                ],
            }
            for draft in drafts
        ]
    )


def drafts_from_text(text: str) -> list[Draft]:
    """The inverse of `drafts_to_text`. Raises ValueError, KeyError or TypeError on anything else."""
    return [
        Draft(
            each["text"],
            tuple(
                Chip(chip["label"], chip["kind"], Path(chip["path"]) if chip["path"] else None, chip["text"])
                for chip in each["chips"]
            ),
            each["instead_of"],
        )
        for each in json.loads(text)
    ]


def masked_drafts(text: str, mask: Callable[[str], str]) -> str:
    """What `drafts_to_text` made, its words and pastes masked; labels of chips stay as they are."""
    if not text:
        return ""
    return drafts_to_text([_masked(draft, mask) for draft in drafts_from_text(text)])


def _masked(draft: Draft, mask: Callable[[str], str]) -> Draft:
    labels = "|".join(re.escape(chip.label) for chip in draft.chips)
    pieces = re.split(f"({labels})", draft.text) if labels else [draft.text]
    words = "".join(piece if index % 2 else mask(piece) for index, piece in enumerate(pieces))
    return replace(draft, text=words, chips=tuple(replace(chip, text=mask(chip.text)) for chip in draft.chips))


def fold_paste(text: str) -> bool:
    """Whether a paste is too long to stand in the box."""
    return text.count("\n") >= FOLD_LINES or len(text) > FOLD_CHARACTERS


def pasted_text(text: str) -> str:
    """A paste, made harmless, with plain newlines (terminals send carriage returns)."""
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))
