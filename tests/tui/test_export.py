"""`/export`: the conversation in a file, and nothing overwritten without a yes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.tui.screens.dialogs import ConfirmScreen

from .conftest import StageMaker
from .real import RealDesk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealDesk]:
    monkeypatch.chdir(tmp_path)
    made = RealDesk(tmp_path, ["Bread needs time."])
    yield made
    made.close()


async def test_export_writes_by_the_ending_and_asks_before_it_replaces(
    desk: RealDesk, stage: StageMaker, tmp_path: Path
) -> None:
    async with stage(desk) as s:
        await s.send("/export talk.md")
        await s.until(lambda: "Nothing to export yet" in s.chat.activity.words, "it says that there is nothing")
        await s.say("How do I bake?")
        await s.send("/export talk.md")
        await s.until(lambda: "2 turns written to" in s.chat.activity.words, "it is written")
        assert "Bread needs time." in (tmp_path / "talk.md").read_text()
        await s.send("/export talk.html")
        await s.until(lambda: (tmp_path / "talk.html").is_file(), "the page is written")
        await s.send("/export talk.pdf")
        await s.until(lambda: "'.pdf' tells no format" in s.chat.activity.words, "it names the formats")
        (tmp_path / "talk.md").write_text("mine")
        await s.send("/export talk.md")
        await s.until(lambda: isinstance(s.app.screen, ConfirmScreen), "it asks")
        await s.pilot.press("escape")
        await s.until(lambda: s.chat.activity.words == "Nothing was written.", "it is left alone")
        assert (tmp_path / "talk.md").read_text() == "mine"
        await s.send("/export talk.md")
        await s.until(lambda: isinstance(s.app.screen, ConfirmScreen), "it asks again")
        await s.pilot.press("y")
        await s.until(lambda: "Bread" in (tmp_path / "talk.md").read_text(), "it is replaced")


async def test_export_without_a_name_makes_one(desk: RealDesk, stage: StageMaker, tmp_path: Path) -> None:
    async with stage(desk) as s:
        await s.say("How do I bake?")
        await s.send("/export")
        await s.until(lambda: "2 turns written to" in s.chat.activity.words, "it is written")
        (written,) = tmp_path.glob("*.md")
        assert "How-do-I-bake" in written.name


async def test_what_cannot_be_written_is_an_error_in_the_transcript(desk: RealDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("How do I bake?")
        await s.send("/export nowhere/talk.md")
        await s.until(lambda: s.chat.query("ErrorView"), "the error is shown")
