"""Retrieval: where a picture's captions stand among all captions, and a caption's picture among all pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from mmchat.domain import ModelKind
from mmchat.errors import MediaError
from mmchat.evals.base import Models, Outcome, RankOutcome, Sample, TaskName, TaskOptions
from mmchat.evals.metrics.retrieval import DEPTHS
from mmchat.evals.tasks.common import Languages, Problems, chunks, language_doubts, of_row, shortened
from mmchat.rows.values import CaptionRow, RowFile, RowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from mmchat.engines.base import ImageReader

EMBEDDED_AT_ONCE = 32
"""Pictures or captions between two looks at `cancel`."""
COMPARED_AT_ONCE = 256
"""Rows of the table of similarities in memory: 256 × 25,000 captions are 26 MB."""
TIE = 1e-6
"""Similarities this near are equal: the same sentence need not come out the same to the last bit twice."""


@dataclass(frozen=True, slots=True)
class CaptionSample:
    """A picture and its captions."""

    id: str
    group: str
    language: str
    image_path: Path
    captions: tuple[str, ...]


class RetrievalTask:
    """Ranks of pictures and captions. Keeps `evals.base.Task`."""

    name: TaskName = "retrieval"
    row_kinds: tuple[RowKind, ...] = ("caption",)

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "vision"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[CaptionSample, ...]:
        problems = Problems(rows.path)
        pictures = cast(Sequence[CaptionRow], rows.rows)
        languages = Languages(options, problems, (row.captions for row in pictures))
        samples = []
        for row in pictures:
            line = row.place.line
            if not row.captions or not all(caption.strip() for caption in row.captions):
                problems.add(line, "captions", "needs at least one caption, and none may be empty; fill it")
            language = languages.of(row.captions, row.language, line)
            samples.append(CaptionSample(str(row.place), str(row.place), language, row.image_path, row.captions))
        problems.check()
        return tuple(samples)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        pictures = cast(Sequence[CaptionRow], rows.rows)
        doubts = language_doubts([caption for row in pictures for caption in row.captions], options.language)
        few = _few_candidates(self.samples(rows, options))
        if not rows.rest:
            return (*doubts, *few)
        captions = sum(len(row.captions) for row in pictures)
        return (
            *doubts,
            *few,
            f"--limit leaves {len(pictures)} pictures and {captions} captions to choose from, of "
            f"{len(pictures) + len(rows.rest)} pictures in the file: the fewer candidates, the easier.",
        )

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        models.image_reader(model)
        # All candidates of a language at once: the ranks of a part would be too good.
        languages = dict.fromkeys(sample.language for sample in samples)
        return [tuple(each for each in samples if each.language == language) for language in languages]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        pictures = cast(Sequence[CaptionSample], batch)
        reader = models.image_reader(model)
        images = _embed_images(reader, pictures, cancel)
        captions = _embed_texts(reader, [text for sample in pictures for text in sample.captions], cancel)
        if images is None or captions is None:
            return
        owners = np.repeat(np.arange(len(pictures)), [len(sample.captions) for sample in pictures])
        by_image = image_ranks(images, captions, owners)
        by_caption = caption_ranks(images, captions, owners)
        position = 0
        for index, sample in enumerate(pictures):
            shown = sample.image_path.name
            yield _outcome(sample, "image", shown, "image-to-text", int(by_image[index]), len(captions))
            for number, caption in enumerate(sample.captions):
                rank = int(by_caption[position])
                yield _outcome(sample, str(number), shortened(caption), "text-to-image", rank, len(images))
                position += 1


def _few_candidates(samples: Sequence[CaptionSample]) -> list[str]:
    """About ranks that no model can miss."""
    said = []
    for language in dict.fromkeys(sample.language for sample in samples):
        captions = [len(sample.captions) for sample in samples if sample.language == language]
        for direction, candidates, noun in (
            ("image→text", sum(captions), "caption"),
            ("text→image", len(captions), "picture"),
        ):
            sure = [f"R@{depth}" for depth in DEPTHS if candidates <= depth]
            if sure:
                said.append(
                    f"{direction} {' and '.join(sure)}, {language}: there {'is' if candidates == 1 else 'are'} only "
                    f"{candidates} {noun}{'' if candidates == 1 else 's'} to choose from, so any model has 100%."
                )
    return said


def image_ranks(
    images: NDArray[np.float32], captions: NDArray[np.float32], owners: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where the best of each picture's captions stands among all captions.

    Captions of the same picture do not stand in each other's way; others that are as similar go before it.

    Args:
        images: (I, D) unit rows.
        captions: (C, D) unit rows.
        owners: (C,) the picture of each caption; every picture has one.

    Returns:
        (I,) ranks from 1.
    """
    ranks = np.empty(len(images), np.int64)
    for piece in chunks(len(images), COMPARED_AT_ONCE):
        similarities = images[piece] @ captions.T
        is_own = owners[None, :] == np.arange(piece.start, piece.stop)[:, None]
        best = np.where(is_own, similarities, -np.inf).max(axis=1, keepdims=True)
        ranks[piece] = 1 + ((similarities >= best - TIE) & ~is_own).sum(axis=1)
    return ranks


def caption_ranks(
    images: NDArray[np.float32], captions: NDArray[np.float32], owners: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where each caption's picture stands among all pictures; others that are as similar go before it.

    Args and shapes as in `image_ranks`.

    Returns:
        (C,) ranks from 1.
    """
    ranks = np.empty(len(captions), np.int64)
    for piece in chunks(len(captions), COMPARED_AT_ONCE):
        similarities = captions[piece] @ images.T
        own = similarities[np.arange(len(similarities)), owners[piece]][:, None]
        ranks[piece] = (similarities >= own - TIE).sum(axis=1)  # itself among them: from 1
    return ranks


def _embed_images(reader: ImageReader, samples: Sequence[CaptionSample], cancel: Event) -> NDArray[np.float32] | None:
    """(I, D); None when cancelled."""
    from mmchat.engines.image_io import open_image

    def opened(sample: CaptionSample) -> Image.Image:
        try:
            return open_image(sample.image_path)
        except MediaError as error:
            raise of_row(sample.id, "image", error) from error

    found = []
    for piece in chunks(len(samples), EMBEDDED_AT_ONCE):
        if cancel.is_set():
            return None
        found.append(reader.embed_images([opened(sample) for sample in samples[piece]]))
    return np.concatenate(found)


def _embed_texts(reader: ImageReader, texts: Sequence[str], cancel: Event) -> NDArray[np.float32] | None:
    """(C, D); None when cancelled. Short ones together, so that a batch is padded little."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found = np.empty((len(texts), reader.embedding_dim), np.float32)
    for piece in chunks(len(order), EMBEDDED_AT_ONCE):
        if cancel.is_set():
            return None
        found[order[piece]] = reader.embed_texts([texts[index] for index in order[piece]])
    return found


def _outcome(
    sample: CaptionSample,
    part: str,
    question: str,
    direction: Literal["image-to-text", "text-to-image"],
    rank: int,
    candidates: int,
) -> RankOutcome:
    return RankOutcome(
        id=f"{sample.id}#{part}",
        group=sample.group,
        language=sample.language,
        question=question,
        direction=direction,
        rank=rank,
        candidates=candidates,
        right=len(sample.captions) if direction == "image-to-text" else 1,
    )
