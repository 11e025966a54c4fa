"""Personal data is masked before anything is stored: what was typed, heard, and read in pictures.

The files themselves keep it: a picture of a card is kept as it is, and what it shows is not told to the model only as
far as the text in it was read and masked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mmchat.domain import Heard, Notice, Seen, Segment
from mmchat.masking import Masked, mask, told
from mmchat.role_values import MASK_KINDS, MaskKind, Persona


def kinds_of(settings: Iterable[MaskKind], persona: Persona | None) -> tuple[MaskKind, ...]:
    """What is masked in a conversation: what the user's settings name, and what whoever is played does."""
    wanted = {*settings, *(persona.role.mask if persona is not None else ())}
    return tuple(kind for kind in MASK_KINDS if kind in wanted)


class Masking:
    """Takes personal data of some kinds out of what comes in, and tells of it."""

    def __init__(self, kinds: Iterable[MaskKind] = ()) -> None:
        self.kinds = tuple(kinds)

    def text(self, text: str) -> Masked:
        """A text without it."""
        return mask(text, self.kinds)

    def words(self, text: str) -> str:
        """The same, where nobody is told."""
        return mask(text, self.kinds).text

    def heard(self, heard: Heard) -> tuple[Heard, Masked]:
        """Speech without it. A number may be spoken over a pause, so that its parts and their words go too."""
        masked = mask(heard.text, self.kinds)
        if not masked.kinds:
            return heard, masked
        end_s = heard.segments[-1].end_s if heard.segments else heard.duration_s
        return replace(heard, text=masked.text, segments=(Segment(0.0, end_s, masked.text),)), masked

    def seen(self, seen: Seen) -> tuple[Seen, Masked]:
        """The text read in a picture without it; a caption quotes none."""
        masked = mask(seen.text, self.kinds)
        return (replace(seen, text=masked.text) if masked.kinds else seen), masked


NOTHING = Masking()
"""Leaves all as it is."""


def masked_notices(masked: Masked, place: str = "") -> tuple[Notice, ...]:
    """That something was masked, once for all kinds; nothing where nothing was.

    Args:
        masked: what became of the text.
        place: the file that it was in; empty: the message itself.
    """
    return (Notice(told(masked.kinds, place), masked=masked.kinds),) if masked.kinds else ()
