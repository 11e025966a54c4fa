"""/docs: list, add, search, remove."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.bookshelf import Bookshelf
from mmchat.memory.store import MemoryStore
from mmchat.tui.screens.dialogs import ConfirmScreen

from .conftest import StageMaker
from .fakes import FakeDesk


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "my docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nLamps go back within thirty days.")
    (folder / "care.txt").write_text("Dust the lamps weekly.")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    store = MemoryStore(tmp_path / "home" / "mmchat.db", tmp_path / "home" / "blobs")
    yield store
    store.close()


@pytest.fixture
def desk(store: MemoryStore) -> FakeDesk:
    return FakeDesk(documents=Bookshelf(store))


async def test_without_documents_it_says_how_to_add_some(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/docs")
        await s.until(lambda: "no documents yet. /docs add PATH" in s.chat.activity.words, "the next step is said")


async def test_a_dropped_folder_is_added_listed_and_searched(desk: FakeDesk, docs: Path, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send(f"/docs add '{docs}'")
        await s.until(lambda: "Read 2 documents: 2 passages." in s.chat.activity.words, "it is read")
        await s.send("/docs")
        await s.until(lambda: "my docs/returns.md “Returns” (1 passage)" in s.text_of("NoticeLine"), "it is listed")
        await s.send("/docs search thirty days")
        await s.until(lambda: "Lamps go back within" in s.text_of("NoticeLine"), "the passage is shown")
        assert "returns.md › Returns" in s.text_of("NoticeLine")


async def test_a_dropped_picture_is_added_although_it_is_a_chip(desk: FakeDesk, docs: Path, stage: StageMaker) -> None:
    Image.new("RGB", (8, 8)).save(docs / "sign.png")
    async with stage(desk) as s:
        await s.send(f"/docs add {docs / 'sign.png'}".replace(" ", "\\ ").replace("/docs\\ add\\ ", "/docs add "))
        await s.until(lambda: "sign.png: Text in pictures is not read" in s.text_of("NoticeLine"), "it was looked at")


async def test_what_is_not_there_or_makes_no_sense_is_said(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        for said, answer in (
            ("/docs add /nowhere/at/all.md", "There is no file or folder"),
            ("/docs remove nothing", "No document is called 'nothing'"),
            ("/docs frobnicate", "there is no such thing"),
            ("/docs search ", "Search for what?"),
        ):
            await s.send(said)
            await s.until(lambda answer=answer: answer in s.text_of("ErrorView"), answer)


async def test_removing_asks_before_it_takes_a_whole_folder(desk: FakeDesk, docs: Path, stage: StageMaker) -> None:
    desk.documents.add([docs])
    async with stage(desk) as s:
        await s.send("/docs remove care.txt")
        await s.until(lambda: "Removed care.txt" in s.chat.activity.words, "one goes without a question")
        (docs / "more.md").write_text("More.")
        desk.documents.refresh()
        await s.send("/docs remove my docs")
        await s.until(lambda: isinstance(s.app.screen, ConfirmScreen), "it asks")
        await s.pilot.press("escape")
        await s.until(lambda: "Nothing was removed" in s.chat.activity.words, "no is no")
        await s.send("/docs remove my docs")
        await s.until(lambda: isinstance(s.app.screen, ConfirmScreen), "it asks again")
        await s.pilot.press("y")
        await s.until(lambda: "Removed 2 documents" in s.chat.activity.words, "they are gone")
    assert desk.documents.all() == ()


async def test_it_tells_how_far_it_is_and_can_be_stopped(store: MemoryStore, docs: Path, stage: StageMaker) -> None:
    go_on = Event()

    class Slow(Bookshelf):
        def _read_picture(self, path: Path) -> str:
            go_on.wait(10)
            return "OPEN"

    Image.new("RGB", (8, 8)).save(docs / "a.png")
    desk = FakeDesk(documents=Slow(store))
    async with stage(desk) as s:
        await s.send(f"/docs add '{docs}'")
        await s.until(lambda: "Reading documents: 1 of 3, a.png" in s.chat.activity.words, "it says how far it is")
        await s.send("/docs add .")
        await s.until(lambda: "being read already" in s.chat.activity.words, "one at a time")
        await s.send("/docs stop")
        go_on.set()
        await s.until(lambda: "Stopped; what was read is kept" in s.chat.activity.words, "it stopped")
        await s.send("/docs stop")
        await s.until(lambda: "No documents are being read" in s.chat.activity.words, "nothing is left to stop")


async def test_nothing_is_taken_in_during_a_private_conversation(desk: FakeDesk, docs: Path, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/private")
        await s.until(lambda: s.chat.session.is_private, "it is private")
        await s.send(f"/docs add '{docs}'")
        await s.until(lambda: "Nothing is taken in" in s.text_of("ErrorView"), "it is refused")


async def test_what_the_conversation_does_not_use_is_listed_where_asked(
    desk: FakeDesk, docs: Path, stage: StageMaker
) -> None:
    desk.documents.add([docs / "care.txt"])
    desk.documents.add([docs / "returns.md"], "shop")
    async with stage(desk) as s:
        await s.send("/docs")
        await s.until(
            lambda: "1 document that this conversation does not use: /docs all" in s.text_of("NoticeLine"), ""
        )
        assert "shop: " not in s.text_of("NoticeLine")
        await s.send("/docs all")
        await s.until(lambda: "shop: returns.md" in s.text_of("NoticeLine"), "all are listed")
