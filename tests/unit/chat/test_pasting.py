"""The clipboard's picture as a file, and why there is none."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, UnidentifiedImageError

from mmchat.chat.pasting import PastedPictures
from mmchat.errors import EngineUnavailable, ImageError

X = {"DISPLAY": ":0"}
WAYLAND = {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}


def pictures(
    grabbed: Any = None, environment: Mapping[str, str] = X, installed: tuple[str, ...] = ("xclip",), **options: Any
) -> PastedPictures:
    def grab() -> Any:
        if isinstance(grabbed, Exception):
            raise grabbed
        return grabbed

    which: Callable[[str], str | None] = lambda name: name if name in installed else None  # noqa: E731
    return PastedPictures(platform="linux", environment=environment, which=which, grab=grab, **options)


def test_a_picture_becomes_a_private_file_which_goes_at_the_end() -> None:
    pasted = pictures(Image.new("RGBA", (30, 20), (200, 10, 10, 255)))
    first, second = pasted.take(), pasted.take()
    assert first != second
    assert first.name.startswith("pasted ")
    assert first.suffix == ".png"
    with Image.open(first) as image:
        assert image.size == (30, 20)
    if os.name == "posix":
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    pasted.close()
    assert not first.parent.exists()
    pasted.close()


def test_copied_files_are_taken_as_they_are() -> None:
    assert pictures(["/home/me/notes.txt", "/home/me/dog.jpg"]).take() == Path("/home/me/dog.jpg")
    with pytest.raises(ImageError, match="holds no picture"):
        pictures(["/home/me/notes.txt"]).take()


@pytest.mark.parametrize("nothing", [None, UnidentifiedImageError("cannot identify image file")])
def test_without_a_picture_it_is_said(nothing: Any) -> None:
    with pytest.raises(ImageError, match="The clipboard holds no picture"):
        pictures(nothing).take()


@pytest.mark.parametrize(
    ("environment", "installed", "words", "hint"),
    [
        ({"SSH_CONNECTION": "1.2.3.4"}, ("xclip",), "no clipboard here", "other machine"),
        ({}, ("xclip",), "not on a desktop", "path"),
        (X, (), "needs xclip", "apt install xclip"),
        (WAYLAND, ("xclip",), "needs wl-paste", "wl-clipboard"),
    ],
)
def test_what_is_missing_is_said(
    environment: dict[str, str], installed: tuple[str, ...], words: str, hint: str
) -> None:
    with pytest.raises(EngineUnavailable, match=words) as caught:
        pictures(None, environment, installed).take()
    assert hint in caught.value.hint


def test_a_clipboard_that_does_not_answer_is_quoted() -> None:
    with pytest.raises(EngineUnavailable, match="does not answer: Error: Can't open display"):
        pictures(ChildProcessError("xclip error: \nError: Can't open display: :0")).take()


def test_a_full_disk_is_said() -> None:
    class Unwritable:
        def save(self, path: Path, **options: Any) -> None:
            raise OSError(28, "No space left on device")

    pasted = pictures(Unwritable())
    with pytest.raises(ImageError, match="No space left"):
        pasted.take()
    pasted.close()


@pytest.mark.skipif(os.name != "posix", reason="the command of this test is a shell script; run it on Linux")
def test_what_xclip_hands_over_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (7, 5), "blue").save(tmp_path / "blue.png")
    command = tmp_path / "xclip"
    command.write_text(f'#!/bin/sh\n[ "$*" = "-selection clipboard -t image/png -o" ] && cat {tmp_path}/blue.png\n')
    command.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    pasted = PastedPictures(platform="linux")
    with Image.open(pasted.take()) as image:
        assert image.size == (7, 5)
    pasted.close()
    command.write_text("#!/bin/sh\necho 'Error: target image/png not available' >&2; exit 1\n")
    with pytest.raises(ImageError, match="holds no picture"):
        pasted.take()


@pytest.mark.skipif(
    shutil.which("Xvfb") is None or shutil.which("xclip") is None,
    reason="needs a virtual screen and xclip: apt-get install -y xvfb xclip",
)
def test_the_clipboard_of_a_real_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (9, 4), "green").save(tmp_path / "green.png")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "64x64x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL) as screen:
        os.close(write)
        with os.fdopen(read) as answers:
            monkeypatch.setenv("DISPLAY", f":{answers.readline().strip()}")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        pasted = PastedPictures(platform="linux")
        with pytest.raises(ImageError, match="holds no picture"):
            pasted.take()
        copy = ["xclip", "-selection", "clipboard", "-t", "image/png", "-i", str(tmp_path / "green.png")]
        subprocess.run(copy, check=True, stdout=subprocess.DEVNULL)
        with Image.open(pasted.take()) as image:
            assert image.size == (9, 4)
        pasted.close()
        screen.terminate()
