"""A reader of text in pictures without weights, for tests."""

from __future__ import annotations

from PIL.Image import Image


class ScriptedTextReader:
    """Answers with fixed words for pictures of a fixed colour. Keeps `engines.base.TextReader`."""

    name = "scripted-texts"
    engine = "scripted"

    def __init__(self, texts: dict[tuple[int, int, int], str] | None = None) -> None:
        """`texts`: colour of the first pixel → what is written there."""
        self.texts = texts or {}
        self.calls = 0

    def read(self, image: Image) -> str:
        self.calls += 1
        pixel = image.convert("RGB").getpixel((0, 0))
        return self.texts.get(pixel, "") if isinstance(pixel, tuple) and len(pixel) == 3 else ""

    def close(self) -> None:
        """Nothing to free."""
