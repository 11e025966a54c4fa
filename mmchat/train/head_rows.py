"""Label rows for a classification head: checked, and parted into those to learn from and those held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmchat.errors import DataError, UsageError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import LabelRow, RowFile
from mmchat.train.base import TrainSettings
from mmchat.train.splits import split_rows

_SMALL_CLASS = 5


@dataclass(frozen=True, slots=True)
class LabelData:
    """Rows of one task, all with the same parts."""

    train: tuple[LabelRow, ...]
    held_out: tuple[LabelRow, ...]
    labels: tuple[str, ...]
    has_text: bool
    has_image: bool


def split(files: Sequence[RowFile], settings: TrainSettings) -> LabelData:
    """Rows to learn from and held out, each class in both where it has two rows.

    Raises:
        DataError: rows without the parts that others have, empty labels, or fewer than two classes.
    """
    rows = [row for each in files for row in each.rows if isinstance(row, LabelRow)]
    held_out: list[LabelRow] = []
    if settings.validation:
        file = read_rows(Path(settings.validation), should_skip_bad=settings.should_skip_bad)
        if file.kind != "label":
            raise DataError(
                f"{file.path} holds {file.kind} rows, and the training is of rows with labels.",
                hint="Give --validation a file of label rows.",
            )
        held_out = [row for row in file.rows if isinstance(row, LabelRow)]
    _check(rows, held_out)
    train = rows
    if not settings.validation:
        train = []
        for label in dict.fromkeys(row.label for row in rows):
            own = [row for row in rows if row.label == label]
            learnt, tested = split_rows(
                own, settings.validation_share, settings.seed, same=lambda row: (row.text, row.image_path)
            )
            train += learnt
            held_out += tested
    if not held_out:
        raise DataError(
            "No row can be held out: each class has only one.", hint="Give more rows, or a file to --validation."
        )
    labels = tuple(sorted({row.label for row in train}))
    held_out = [row for row in held_out if row.label in labels]
    return LabelData(tuple(train), tuple(held_out), labels, bool(rows[0].text.strip()), rows[0].image_path is not None)


def _check(rows: Sequence[LabelRow], held_out: Sequence[LabelRow]) -> None:
    wrong = []
    first = rows[0]
    wanted = (bool(first.text.strip()), first.image_path is not None)
    for row in (*rows, *held_out):
        where = f"{row.place.path}:{row.place.line}"
        if not row.label.strip():
            wrong.append(f"{where}: label: is empty; name the class")
        if (bool(row.text.strip()), row.image_path is not None) != wanted:
            wrong.append(f"{where}: row: has not the same parts (text, image) as {first.place}; keep such rows apart")
    if wanted == (False, False):
        wrong.append(f"{first.place.path}:{first.place.line}: row: has neither text nor picture to classify")
    if wrong:
        more = f"\n… and {len(wrong) - 20} more." if len(wrong) > 20 else ""
        raise DataError("\n".join(wrong[:20]) + more, hint="A head needs the same parts and a label in every row.")
    if len({row.label for row in rows}) < 2:
        raise DataError(
            f"All rows have one label: {first.label}; there is nothing to tell apart.",
            hint="Give rows of at least two classes.",
        )


def require_fusion(data: LabelData, settings: TrainSettings) -> None:
    """Raise UsageError where attention has nothing to join."""
    if settings.fusion == "attention" and not (data.has_text and data.has_image):
        have = "text" if data.has_text else "picture"
        raise UsageError(
            f"Attention joins text and picture, and these rows have a {have} only.", hint="Leave out --fusion."
        )


def notes_on(data: LabelData) -> tuple[str, ...]:
    """What to know of the classes before training."""
    sizes = Counter(row.label for row in (*data.train, *data.held_out))
    small = [f"{label} ({count})" for label, count in sorted(sizes.items()) if count < _SMALL_CLASS]
    common, rare = sizes.most_common()[0], sizes.most_common()[-1]
    notes = [f"{len(sizes)} classes, from {rare[1]} rows ({rare[0]}) to {common[1]} ({common[0]})."]
    if small:
        shown = ", ".join(small[:10]) + (", …" if len(small) > 10 else "")
        notes.append(f"Too small to be learnt well (fewer than {_SMALL_CLASS} rows): {shown}.")
    senses = " and ".join(name for name, has in (("text", data.has_text), ("picture", data.has_image)) if has)
    notes.append(f"A head on frozen vectors of {senses}; a resumed training fits it anew, on the kept vectors.")
    if data.has_text:
        notes.append("Sentence vectors, character n-grams and both are tried; what is best on the held-out rows stays.")
    return tuple(notes)
