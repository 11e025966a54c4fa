"""A conversation's documents are looked through before its first answer, and a role's folders come by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.bookshelf import Bookshelf
from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone, MicSettings
from mmchat.chat.reading_up import ReadingUp, drop_moved
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import Notice, ReplyEvent, WorkStarted
from mmchat.role_values import Persona, Role, RoleText
from tests.fakes import Bench


def make_role(folder: Path, **changes: object) -> Persona:
    fields = {"memory": "own", "knowledge": (folder,)} | changes
    role = Role("shop", "", {"en": RoleText("Shop", "You sell lamps.")}, folder.parent, **fields)  # type: ignore[arg-type]
    return Persona(role, "en")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "home")
    yield bench
    bench.close()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "shop" / "docs"
    folder.mkdir(parents=True)
    (folder / "returns.md").write_text("# Returns\n\nLamps go back within thirty days.")
    return folder


def reading(bench: Bench, persona: Persona | None, closing: Event | None = None) -> ReadingUp:
    shelf = Bookshelf(bench.store)
    return ReadingUp(bench.store, lambda: shelf, persona, closing or Event())


def told(reading_up: ReadingUp) -> list[Notice]:
    """Wait for it; what is said but how far it is."""
    return [event for event in reading_up.awaited(Event()) if isinstance(event, Notice)]


def names(bench: Bench, shelf: str) -> list[str]:
    return [document.name for document in Bookshelf(bench.store).all(shelf)]


def test_a_roles_folder_is_read_when_its_conversation_begins(bench: Bench, docs: Path) -> None:
    told(reading(bench, make_role(docs)))
    assert (names(bench, "shop"), names(bench, "")) == (["returns.md"], [])


def test_what_changed_is_read_at_the_start_of_the_next_conversation(bench: Bench, docs: Path) -> None:
    told(reading(bench, make_role(docs)))
    (docs / "returns.md").write_text("Lamps go back within sixty days.")
    (docs / "new.md").write_text("More.")
    told(reading(bench, make_role(docs)))
    assert names(bench, "shop") == ["new.md", "returns.md"]
    assert Bookshelf(bench.store).search("sixty", shelves=("shop",), use_vectors=False)


def test_the_users_own_documents_are_looked_through_where_the_role_shares_them(
    bench: Bench, docs: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.md"
    for persona, is_read in ((None, True), (make_role(docs, memory="shared"), True), (make_role(docs), False)):
        mine.write_text("Before.")
        Bookshelf(bench.store).add([mine])
        mine.write_text("Afterwards it is another text.")
        told(reading(bench, persona))
        found = Bookshelf(bench.store).search("afterwards", use_vectors=False)
        assert bool(found) == is_read


def test_without_documents_nothing_is_opened(bench: Bench) -> None:
    def never() -> Bookshelf:
        raise AssertionError("there is nothing to read")

    assert list(ReadingUp(bench.store, never, None, Event()).awaited(Event())) == []


def test_what_takes_long_is_told_and_the_answer_waits(bench: Bench, docs: Path) -> None:
    go_on = Event()

    class Slow(Bookshelf):
        def _read_picture(self, path: Path) -> str:
            go_on.wait(10)
            return "OPEN"

    (docs / "sign.png").write_bytes(b"picture")
    slow = Slow(bench.store)
    events = ReadingUp(bench.store, lambda: slow, make_role(docs), Event()).awaited(Event())
    first = next(events)
    assert isinstance(first, WorkStarted)
    assert first.text.startswith(("reading the documents of shop: 2 of 2, sign.png", "looking through"))
    go_on.set()
    list(events)
    assert names(bench, "shop") == ["returns.md", "sign.png"]


def test_who_stops_the_reply_does_not_wait(bench: Bench, docs: Path) -> None:
    stop, go_on = Event(), Event()
    stop.set()

    class Slow(Bookshelf):
        def _read_picture(self, path: Path) -> str:
            go_on.wait(10)
            return "OPEN"

    (docs / "sign.png").write_bytes(b"picture")
    slow = Slow(bench.store)
    reading_up = ReadingUp(bench.store, lambda: slow, make_role(docs), Event())
    assert list(reading_up.awaited(stop)) == []
    go_on.set()
    reading_up.finish(10)


def test_a_damaged_document_is_said_once(bench: Bench, docs: Path) -> None:
    (docs / "bad.pdf").write_text("no pdf")
    (notice,) = told(reading(bench, make_role(docs)))
    assert notice == Notice("1 document could not be read in full: mmchat docs list --role shop")
    assert told(reading(bench, make_role(docs))) == []


def test_a_store_that_cannot_be_read_is_a_sentence(bench: Bench, docs: Path) -> None:
    reading_up = reading(bench, make_role(docs))
    bench.store.close()
    (notice,) = told(reading_up)
    assert notice.text.startswith("The documents could not be looked through:")


def test_what_was_read_where_the_role_was_before_goes(bench: Bench, tmp_path: Path) -> None:
    old, new = (tmp_path / place / "roles" / "shop" / "docs" for place in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "a.md").write_text("One.")
    extra = tmp_path / "extra.md"
    extra.write_text("Added by hand.")
    told(reading(bench, make_role(old)))
    Bookshelf(bench.store).add([extra], "shop")
    told(reading(bench, make_role(new)))
    paths = [document.path for document in Bookshelf(bench.store).all("shop")]
    assert sorted(paths) == sorted([extra, new / "a.md"])
    assert drop_moved(bench.store, make_role(new).role) == 0


def make_desk(bench: Bench, persona: Persona | None) -> Desk:
    def no_recorder(device: str) -> object:
        raise AssertionError("nobody speaks here")

    mic = Microphone(no_recorder, MicSettings())  # type: ignore[arg-type]
    return Desk(bench.store, bench.recall, bench.engines, SessionSettings(persona=persona), mic)


def say(session: ChatSession, text: str) -> list[ReplyEvent]:
    return list(session.reply(UserInput(text), Event()))


def test_the_first_answer_knows_the_roles_documents(bench: Bench, docs: Path) -> None:
    desk = make_desk(bench, make_role(docs))
    session = desk.new_session()
    assert session.shelves == ("shop",)
    assert names(bench, "shop") == [], "not before anything is asked"
    say(session, "How many days do I have to send a lamp back?")
    assert names(bench, "shop") == ["returns.md"]
    assert [document.name for document in desk.documents.all()] == ["returns.md"]
    desk.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "read-documents"]


def test_a_missing_folder_is_told_once(bench: Bench, tmp_path: Path) -> None:
    reading_up = reading(bench, make_role(tmp_path / "nodocs", memory="shared", is_bound_to_documents=True))
    assert [notice.text for notice in told(reading_up)] == [f"knowledge: there is nothing at {tmp_path / 'nodocs'}."]
    assert told(reading_up) == []
