"""The damaged, hostile and odd files of `benchmarks/odd_files.py`, without the very large ones.

Each is read, or refused in words. The benchmark runs all through the commands, in processes whose memory is watched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.odd_pictures import Odd, odd_pictures
from benchmarks.odd_sounds import odd_sounds
from mmchat.engines.audio_io import decode_audio
from mmchat.engines.image_io import TARGET_PX, open_image
from mmchat.errors import AudioError, ImageError, MediaError

SEED = 3
READ = "unusual but sound"


def outcome(odd: Odd, folder: Path, read: Callable[[Path], object]) -> str:
    """What it got: nothing, or the complaint about it."""
    path = folder / odd.name
    path.write_bytes(odd.data)
    try:
        read(path)
    except MediaError as error:
        return error.message
    return ""


def see(path: Path) -> None:
    image = open_image(path)
    assert image.mode == "RGB"
    assert 0 < max(image.size) <= TARGET_PX


def hear(path: Path) -> None:
    pcm = decode_audio(path)
    assert pcm.dtype == np.float32
    assert pcm.size > 0
    assert np.isfinite(pcm).all()
    assert np.abs(pcm).max() <= 1


def test_every_odd_picture_is_read_or_refused(tmp_path: Path) -> None:
    said = {odd.name: (odd.kind, outcome(odd, tmp_path, see)) for odd in odd_pictures(SEED, is_quick=True)}
    assert len(said) > 150
    for name, (kind, message) in said.items():
        assert name in message or not message
        if kind in (READ, "turned by its metadata", "broken metadata", "several pages", "very small or very long"):
            assert message == "", name
        if kind in (
            "no picture, or of a kind that is not read",
            "a size that cannot be",
            "noise after a true beginning",
        ):
            assert message, name


def test_every_odd_sound_is_read_or_refused(tmp_path: Path) -> None:
    said = {odd.name: (odd.kind, outcome(odd, tmp_path, hear)) for odd in odd_sounds(SEED, is_quick=True)}
    assert len(said) > 80
    for name, (kind, message) in said.items():
        assert name in message or not message
        if kind in (READ, "nothing to hear", "not a number, infinite, far too loud"):
            assert message == "", name
        if kind == "no sound, or of a kind that is not read" or name.startswith("rate-"):
            assert message, name


@pytest.mark.parametrize(("name", "error"), [("list.mp3", AudioError), ("drawing.svg", ImageError)])
def test_what_names_other_files_is_not_followed(tmp_path: Path, name: str, error: type[MediaError]) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    text = "#EXTM3U\n#EXTINF:9,\nsecret.wav\n" if error is AudioError else '<svg><image href="secret.wav"/></svg>'
    (tmp_path / name).write_text(text)
    with pytest.raises(error):
        (decode_audio if error is AudioError else open_image)(tmp_path / name)
