"""Text in pictures: read in English and Chinese, nowhere invented, offline and without a sound."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mmchat.engines import text_glance
from mmchat.engines.base import TextReader
from mmchat.engines.text_glance import load
from mmchat.errors import EngineUnavailable, ModelNotFound

CHINESE = (
    "iVBORw0KGgoAAAANSUhEUgAAAUoAAABgAQAAAABTEgZMAAADPElEQVR42u2XwWscVRzHP2922plKbba3HGJnQPAom5MexJ1Dzv4Nm1LEa/Wgh5J9"
    "FUHw0hwVxAYUCp70UKEgOAs9N0tuHkpn20CDIpntBjPTzryfh5m12czbJBcP0v3Bwuzb73zn+76/3+/9ZpVwxhg4nDkW0AX0v4MmzeWhFWpISXP2"
    "ABA91MPq8qAJfTFejTIFAxcglxhQq66N1dVQZOzBSDm4RPUvpgl1trfjtgPdXQBnQw/3eP+TFL8JVYBJgb1ADHxeXh23DYy9hgaRjL4cGvq3RCSB"
    "FRUvvTd5ktKSmYgd8G7pmxc0/ATgQ/YovovbktTiawSo7yQCrnyqEmDnXGhzYHR9Nex3db1t8WCLtR+WrdmqHmQqsFnTAtn3lgwipi8iXflWKxEp"
    "3n2wku9va7yJTJrbyhXAFuTKL35X2s8AStW2VZZWg4iNDYBLwx4FwaPEqlVNU+hJ5nQga0OK3SyQIH4IQKbWQ87z/Gd7vYqDUBchISC0fgUuzhNQ"
    "iTu4dCPhHDwEkMgiwHRoH10rfyRtlKFTNcdn7APgmwIYnr+C2+gkB35zKEJcDdAuvgHgDkCrwXrZkL/GHzBQCu9jfCh/IanSMtuGPdjxGNQFU1bj"
    "BB/Qx1n1M9bcaPMxXRHGX0dmrHdVGIMcF9ACvezQqzk+rM1tg5k1S1lHXBICGOcMIy60HVKLo3gB/X9CtyiBcAvy8MAOLZXSM/Vf+uGpAgpgsP7G"
    "hcPeX8o6OCn+PZuUIxGo9CStSk37uCtJsqmfSmGF3p9O0xcTYzRQhP4c1hhEYiCFYqy0akX3GjOjgt7I6msXaBnKrzbbJzsw8hOo77oj6clm+ZAa"
    "w5u39+c58EXlYZB1wBUXUC8dORJu/ZkSL0l5LfzoXmRn7U+3dfN1tTlQIdCVs1WW183maR1MrelPRC+JZhDNgZaWk3ge61J85HuuIAgheXyq1g69"
    "IAX0n6dCvdvwTgTsaIuv4w+uzyz9vRscHxk163PIlTpSdkW77gjLtlJA1HrN08pTDR2xJPagM/IEefnAZ28pTfb2evPl6VCS6fvRRIoikKfBlyJP"
    "RnIsYhefYHrbRSBkOQFWmlrV4r/hKw/9B/mHcAY6SC7FAAAAAElFTkSuQmCC"
)
"""Two lines, drawn with Noto Sans CJK: fonts with Chinese are not on every machine."""
LINES = ("The heating will be off on Tuesday,", "14 November, from 8:30 to noon.")


@pytest.fixture(scope="module")
def reader() -> Iterator[TextReader]:
    reader = load(threads=1)
    yield reader
    reader.close()


def page(lines: tuple[str, ...], *, size_px: int = 26, at: tuple[int, int] = (20, 20)) -> Image.Image:
    image = Image.new("RGB", (640, 40 + 40 * len(lines)), "white")
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((at[0], at[1] + 40 * row), line, font=ImageFont.load_default(size_px), fill="black")
    return image


def test_english_is_read_line_by_line(reader: TextReader, capfd: pytest.CaptureFixture[str]) -> None:
    assert reader.read(page(LINES)) == "\n".join(LINES)
    assert capfd.readouterr() == ("", "")


def test_chinese_is_read(reader: TextReader) -> None:
    image = Image.open(io.BytesIO(base64.b64decode("".join(CHINESE)))).convert("RGB")
    assert reader.read(image) == "请关好三楼的窗户，\n周二上午停暖气。"


def test_what_stands_side_by_side_is_one_row(reader: TextReader) -> None:
    image = Image.new("RGB", (420, 120), "white")
    draw = ImageDraw.Draw(image)
    for row, (name, price) in enumerate((("Bread", "2.40"), ("Coffee", "7.90"))):
        draw.text((20, 20 + 50 * row), name, font=ImageFont.load_default(24), fill="black")
        draw.text((330, 20 + 50 * row), price, font=ImageFont.load_default(24), fill="black")
    assert reader.read(image) == "Bread 2.40\nCoffee 7.90"


@pytest.mark.parametrize("kind", ["plain", "noise", "stripes", "shades"])
def test_nothing_is_invented(reader: TextReader, kind: str) -> None:
    pixels = np.full((240, 320, 3), 90, np.uint8)
    if kind == "noise":
        pixels = np.random.default_rng(1).integers(0, 256, pixels.shape, dtype=np.uint8)
    elif kind == "stripes":
        pixels[:, ::9] = 250
    elif kind == "shades":
        pixels[:] = np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None]
    assert reader.read(Image.fromarray(pixels)) == ""


@pytest.mark.parametrize("size", [(1, 1), (2048, 1), (1, 2048), (9, 9), (2048, 9)])
def test_a_picture_without_room_for_letters_is_passed_over(reader: TextReader, size: tuple[int, int]) -> None:
    assert reader.read(Image.new("RGB", size, "white")) == ""


def test_two_threads_take_turns(reader: TextReader) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(reader.read(page(LINES[:1])))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [LINES[0]] * 2


def test_a_closed_one_says_so() -> None:
    closed = load(threads=1)
    closed.close()
    closed.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        closed.read(page(LINES))


def test_it_keeps_the_protocol(reader: TextReader) -> None:
    assert isinstance(reader, TextReader)


def test_a_missing_model_is_named_and_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(text_glance.MODELS, "Det", "gone.onnx")
    with pytest.raises(ModelNotFound, match="gone.onnx"):
        load(threads=1)


def test_a_damaged_model_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / text_glance.MODELS["Det"]).write_bytes(b"no network")
    monkeypatch.setattr(text_glance, "models_dir", lambda: tmp_path / "models")
    with pytest.raises(EngineUnavailable) as caught:
        load(threads=1)
    assert "pip install" in caught.value.hint
