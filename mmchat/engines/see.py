"""A picture as words: tags, and one honest sentence made of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.domain import Seen
from mmchat.engines.image_frames import part_of
from mmchat.picture_sentences import describe

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmchat.engines.base import ImageReader, TextReader

REVISION = 2
"""Of the tags and sentences. Raised when the same model tells the same picture otherwise, so that nothing kept from
before is taken for what would be seen now."""


def see(
    reader: ImageReader,
    image: Image,
    *,
    top_k: int = 5,
    labels: Sequence[str] | None = None,
    texts: TextReader | None = None,
) -> Seen:
    """Look at a picture.

    Args:
        reader: the vision model.
        image: RGB and oriented (`image_io.open_image`).
        top_k: at most so many tags.
        labels: rank these instead of looking for words. There is no caption then: the likeliest of a few words
            need not be true, and they may be whole phrases.
        texts: reads what is written in the picture; None: it is not read.
    """
    return see_all(reader, [image], top_k=top_k, labels=labels, texts=texts)[0]


def see_all(
    reader: ImageReader,
    images: Sequence[Image],
    *,
    top_k: int = 5,
    labels: Sequence[str] | None = None,
    texts: TextReader | None = None,
) -> list[Seen]:
    """Look at several pictures at once: `see` of each, in their order, and quicker. Each took its share of the time."""
    started = time.perf_counter()
    batch = reader.tag_batch(images, top_k=top_k, labels=labels)
    share_s = (time.perf_counter() - started) / max(1, len(images))
    seen: list[Seen] = []
    for image, tags in zip(images, batch, strict=True):
        started = time.perf_counter()
        text = texts.read(image) if texts is not None else ""
        elapsed_s = share_s + time.perf_counter() - started
        caption = describe(tags) if labels is None else ""
        seen.append(Seen(tags, text, caption, model=reader.name, elapsed_s=elapsed_s, part=part_of(image)))
    return seen
