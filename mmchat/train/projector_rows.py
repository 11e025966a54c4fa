"""Rows with pictures as examples to learn from.

A caption becomes the answer to a question about its picture. The captions of one picture share its prompt: they stand
behind it as branches that do not see each other, each at the positions that it would have alone. So a picture with five
captions is read once instead of five times, which more than halves the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from mmchat.errors import DataError
from mmchat.rows.picture_questions import as_sentence, question_for
from mmchat.rows.values import CaptionRow, DialogueRow, RowMessage, RowPart
from mmchat.script import language_of
from mmchat.train.base import Span
from mmchat.train.samples import IGNORED, DialogueEncoder, Example, Examples

CAPTIONS_AT_ONCE = 5
"""Of a picture, in one example."""

PictureRow = CaptionRow | DialogueRow


@dataclass(frozen=True, slots=True)
class BranchedExample(Example):
    """A prompt with several replies to it, one after the other.

    A branch begins with the prompt's last token once more, where its first word is foretold.
    """

    branches: tuple[int, ...] = ()
    """Where each reply after the first begins; none in an ordinary example."""


def encode_rows(rows: Sequence[PictureRow], encoder: DialogueEncoder, captions: int = 0) -> Examples:
    """All rows, one example for the captions of each picture.

    Args:
        rows: any of both kinds.
        encoder: of the base.
        captions: so many of a picture; 0: all.

    Raises:
        DataError: no row has anything to learn.
    """
    found = Examples()
    for row in rows:
        found.add(encoder.row(row) if isinstance(row, DialogueRow) else _captions(row, encoder, captions))
    if rows and not found.examples:
        raise DataError(
            "No row has anything to learn:\n" + "\n".join(found.dropped[:20]),
            hint="A row to learn from has a caption, or a reply of the assistant, that fits into --max-length.",
        )
    return found


def caption_dialogue(row: CaptionRow, caption: str) -> DialogueRow:
    """Somebody shows the picture and asks about it; the caption is the answer."""
    language = row.language.partition("-")[0].lower() or language_of(row.captions) or "en"
    asked = RowMessage(
        "user", (RowPart("image", path=row.image_path), RowPart("text", question_for(str(row.place), language)))
    )
    return DialogueRow(row.place, (asked, RowMessage("assistant", (RowPart("text", as_sentence(caption)),))))


def _captions(row: CaptionRow, encoder: DialogueEncoder, most: int) -> Examples:
    found = Examples()
    for caption in dict.fromkeys(row.captions[: most or None]):
        found.add(encoder.row(caption_dialogue(row, caption)))
    singles = found.examples
    found.examples = [
        _joined(singles[start : start + CAPTIONS_AT_ONCE]) for start in range(0, len(singles), CAPTIONS_AT_ONCE)
    ]
    return found


def _joined(examples: Sequence[Example]) -> Example:
    """Several replies to one prompt as one example."""
    first = next(at for at, label in enumerate(examples[0].labels) if label != IGNORED)
    ids, labels = list(examples[0].ids), list(examples[0].labels)
    branches = []
    for other in examples[1:]:
        assert other.ids[:first] == examples[0].ids[:first], "captions of one row answer one question"
        branches.append(len(ids))
        ids += other.ids[first - 1 :]
        labels += other.labels[first - 1 :]
    return BranchedExample(tuple(ids), tuple(labels), tuple(branches))


def branch_layout(example: Example, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of an example's tokens, and who sees whom.

    Args:
        example: with or without branches.
        width: of the batch; what is behind the example is padding that nothing sees.

    Returns:
        (T,) int64 and (T, T) bool, true where the row's token may look at the column's.
    """
    length = len(example.ids)
    branches = getattr(example, "branches", ())
    positions, owner = torch.arange(width), torch.zeros(width, dtype=torch.long)
    if branches:
        prompt = next(at for at, label in enumerate(example.labels) if label != IGNORED) - 1
        for number, (begin, end) in enumerate(zip((prompt, *branches), (*branches, length), strict=True), start=1):
            positions[begin:end] = torch.arange(prompt, prompt + end - begin)
            owner[begin:end] = number
    owner[length:] = -1
    sees = (owner[:, None] == owner[None, :]) | ((owner[None, :] == 0) & (owner[:, None] >= 0))
    return positions, sees & torch.ones(width, width, dtype=torch.bool).tril()


def example_spans(example: Example, tokenizer: Any, first_place: int) -> tuple[Span, ...]:
    """An example as text, one reply of it, with the supervised part marked.

    Args:
        example: with or without branches.
        tokenizer: of the base.
        first_place: ids from here on are places of pictures.
    """
    branches = getattr(example, "branches", ())
    pairs = list(zip(example.ids, example.labels, strict=True))[: branches[0] if branches else None]
    spans = []
    for (is_place, is_supervised), group in groupby(pairs, lambda pair: (pair[0] >= first_place, pair[1] != IGNORED)):
        ids = [token for token, _ in group]
        shown = f"[{len(ids)} places of a picture]" if is_place else str(tokenizer.decode(ids))
        spans.append(Span(shown, is_supervised))
    return tuple(spans)
