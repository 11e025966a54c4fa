"""Kept files in the system's viewer: an allow-list, no shell, and words where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmchat.chat.viewer import Viewer
from mmchat.domain import Attachment
from mmchat.errors import EngineUnavailable, MediaError, UsageError


class Viewers:
    """Notes what would be started, and starts something harmless."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "blobs"
        (self.folder / "ab").mkdir(parents=True)
        self.commands: list[list[str]] = []
        self.code = "pass"

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        self.commands.append(list(command))
        return subprocess.Popen([sys.executable, "-c", self.code])

    def viewer(self, platform: str = "linux", *, display: str = ":0", known: str = "xdg-open") -> Viewer:
        return Viewer(
            self.folder,
            platform=platform,
            environment={"DISPLAY": display} if display else {},
            which=lambda name: f"/usr/bin/{name}" if name == known else None,
            start=self.start,
        )

    def kept(self, name: str = "ab/abc.jpg", media_type: str = "image/jpeg") -> Attachment:
        path = self.folder / name
        path.write_bytes(b"bytes")
        return attachment(path, media_type)


def attachment(path: Path, media_type: str = "image/jpeg") -> Attachment:
    return Attachment("a", "t", "image", "bike; rm -rf ~.jpg", "0" * 64, media_type, 5, path)


@pytest.fixture
def viewers(tmp_path: Path) -> Viewers:
    return Viewers(tmp_path)


def test_the_kept_copy_is_handed_over_as_one_argument(viewers: Viewers) -> None:
    kept = viewers.kept()
    viewers.viewer().open(kept)
    viewers.viewer("darwin").open(kept)
    viewers.viewer(display="", known="wslview").open(kept)
    path = str(kept.path)
    assert viewers.commands == [["/usr/bin/xdg-open", path], ["/usr/bin/open", path], ["/usr/bin/wslview", path]]


def test_what_is_not_a_kept_picture_or_sound_is_not_opened(viewers: Viewers, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"bytes")
    link = viewers.folder / "link.jpg"
    link.symlink_to(outside)
    up = viewers.folder / ".." / "outside.jpg"
    script = viewers.kept("ab/abc.desktop")
    page = viewers.kept("ab/abc.png", "text/html")
    for each in (attachment(outside), attachment(link), attachment(up), script, page):
        with pytest.raises(UsageError, match="only kept pictures and sounds"):
            viewers.viewer().open(each)
    assert viewers.commands == []


def test_a_copy_that_is_gone_is_said(viewers: Viewers) -> None:
    kept = viewers.kept()
    kept.path.unlink()
    with pytest.raises(MediaError, match="gone"):
        viewers.viewer().open(kept)


@pytest.mark.parametrize(("display", "known", "words"), [("", "xdg-open", "no screen"), (":0", "", "not installed")])
def test_without_a_viewer_the_path_is_told(viewers: Viewers, display: str, known: str, words: str) -> None:
    kept = viewers.kept()
    with pytest.raises(EngineUnavailable, match=words) as told:
        viewers.viewer(display=display, known=known).open(kept)
    assert str(kept.path) in told.value.hint


def test_a_viewer_that_fails_or_is_not_there_is_told(viewers: Viewers) -> None:
    kept = viewers.kept()
    viewers.code = "raise SystemExit(3)"
    with pytest.raises(EngineUnavailable, match="could not open") as told:
        viewers.viewer().open(kept)
    assert str(kept.path) in told.value.hint
    gone = Viewer(
        viewers.folder, platform="linux", environment={"DISPLAY": ":0"}, which=lambda name: "/nowhere/xdg-open"
    )
    with pytest.raises(EngineUnavailable, match="could not be started"):
        gone.open(kept)


def test_a_viewer_that_stays_open_is_not_waited_for(viewers: Viewers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmchat.chat.viewer._FAILS_WITHIN_S", 0.05)
    viewers.code = "import time; time.sleep(0.4)"
    viewers.viewer().open(viewers.kept())
    assert len(viewers.commands) == 1


def test_a_document_is_opened_and_nothing_else_of_the_user_s(viewers: Viewers, tmp_path: Path) -> None:
    page, script = tmp_path / "returns; rm -rf ~.md", tmp_path / "run.sh"
    page.write_text("# Returns")
    script.write_text("#!/bin/sh")
    viewers.viewer().open_document(page)
    assert viewers.commands == [["/usr/bin/xdg-open", str(page)]]
    with pytest.raises(UsageError, match="no document"):
        viewers.viewer().open_document(script)
    page.unlink()
    with pytest.raises(MediaError, match="not there any more"):
        viewers.viewer().open_document(page)
    page.write_text("# Returns")
    with pytest.raises(EngineUnavailable) as refused:
        viewers.viewer(display="").open_document(page)
    assert str(page) in refused.value.hint
