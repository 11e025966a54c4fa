"""Files are taken in, read again when they change, left alone when they do not, and forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat import document_files
from mmchat.chat.bookshelf import Bookshelf, Reading
from mmchat.chat.shelf_words import document_words, problem_lines, reading_words, shelved_words, sureness
from mmchat.errors import UsageError
from mmchat.memory import documents as rows
from tests.fakes import Bench


class Desk:
    """A folder of documents and a bookshelf."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "home")
        self.shelf = Bookshelf(self.bench.store, lambda: None, self.bench.engines.text_reader)
        self.folder = folder / "docs"
        self.folder.mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def names(self, shelf: str | None = None) -> list[str]:
        return [document.name for document in self.shelf.all(shelf)]

    def found(self, query: str) -> list[str]:
        return [each.text for each in self.shelf.search(query, use_vectors=False)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.bench.close()


def test_a_folder_is_taken_in_with_what_is_in_it_and_is_the_users(desk: Desk) -> None:
    desk.write("returns.md", "# Returns\n\nWithin thirty days.")
    desk.write("sub/care.txt", "Dust weekly.")
    for name in (".git/a.md", "node_modules/b.md", "__pycache__/c.txt", ".hidden.md", "~$d.docx", "e.py"):
        desk.write(name, "not the user's words")
    told: list[Reading] = []
    shelved = desk.shelf.add([desk.folder], on_progress=told.append)
    assert desk.names() == ["returns.md", "care.txt"]
    assert [(each.done, each.total, each.name) for each in told] == [(0, 2, "returns.md"), (1, 2, "care.txt")]
    assert shelved_words(shelved) == "Read 2 documents: 2 passages. 1 file of a kind that is not read: e.py."
    (found,) = desk.shelf.search("how many days", use_vectors=False)
    assert found.passage is not None
    assert found.passage.label == "returns.md › Returns"


def test_what_did_not_change_is_not_read_again(desk: Desk) -> None:
    path = desk.write("a.md", "One lamp.")
    first = desk.shelf.add([path])
    again = desk.shelf.add([path])
    assert (len(first.read), len(again.read), again.unchanged) == (1, 0, 1)
    os.utime(path, ns=(1, 1))  # touched: the same bytes
    assert desk.shelf.refresh().unchanged == 1
    assert rows.known_files(desk.bench.store, "")[path].modified_ns == 1
    assert "did not change" in shelved_words(again)


def test_refreshing_reads_what_changed_or_is_new_and_drops_what_is_gone(desk: Desk) -> None:
    desk.write("a.md", "The lamp is green.")
    gone = desk.write("b.md", "The chair is red.")
    desk.shelf.add([desk.folder])
    desk.write("a.md", "The lamp is blue by now.")
    gone.unlink()
    desk.write("c.md", "The table is white.")
    shelved = desk.shelf.refresh()
    assert ([each.name for each in shelved.read], shelved.gone) == (["a.md", "c.md"], 1)
    assert desk.names() == ["a.md", "c.md"]
    assert desk.found("lamp green blue") == ["The lamp is blue by now."]
    assert desk.found("chair") == []


def test_a_file_that_was_added_by_itself_goes_with_its_file(desk: Desk) -> None:
    path = desk.write("a.md", "One.")
    desk.write("b.md", "Not added.")
    desk.shelf.add([path])
    path.unlink()
    assert desk.shelf.refresh().gone == 1
    assert desk.names() == []


def test_what_lies_on_a_disk_that_is_not_there_stays(desk: Desk) -> None:
    desk.write("stick/docs/a.md", "On a stick.")
    desk.shelf.add([desk.folder / "stick" / "docs"])
    (desk.folder / "stick").rename(desk.folder / "unplugged")
    assert desk.shelf.refresh().gone == 0
    assert desk.found("stick") == ["On a stick."]


def test_a_better_reader_reads_again(desk: Desk) -> None:
    path = desk.write("a.md", "One.")
    desk.shelf.add([path])
    with desk.bench.store.file.write() as db:
        db.execute("UPDATE documents SET reader = 'older'")
    assert [each.name for each in desk.shelf.refresh().read] == ["a.md"]


def test_what_was_removed_out_of_a_folder_stays_away_until_it_is_named(desk: Desk) -> None:
    path = desk.write("a.md", "A green lamp.")
    desk.write("b.md", "A red chair.")
    desk.shelf.add([desk.folder])
    desk.shelf.remove(desk.shelf.meant("a.md"))
    assert desk.names() == ["b.md"]
    assert desk.found("lamp") == []
    desk.shelf.refresh()
    desk.shelf.add([desk.folder])
    desk.write("a.md", "A green lamp, changed.")
    desk.shelf.refresh()
    assert desk.names() == ["b.md"]
    desk.shelf.add([path])
    assert desk.names() == ["a.md", "b.md"]


def test_a_folder_that_was_removed_is_forgotten_as_a_whole(desk: Desk) -> None:
    for name in ("a.md", "b.md", "c.md"):
        desk.write(name, name)
    desk.shelf.add([desk.folder])
    desk.shelf.remove(desk.shelf.meant("c.md"))
    desk.shelf.remove(desk.shelf.meant(str(desk.folder)))
    assert rows.documents(desk.bench.store) == ()
    assert desk.shelf.refresh().read == ()


def test_names_mean_ids_paths_folders_and_files(desk: Desk) -> None:
    desk.write("en/care.md", "# Looking after lamps\n\nDust.")
    desk.write("zh/care.md", "掸灰。")
    desk.write("zh/fees.md", "免费。")
    desk.shelf.add([desk.folder])
    fees = desk.shelf.all()[2]
    for name in (
        fees.id,
        str(fees.path),
        "fees.md",
        "zh/fees.md",
        "docs/zh/fees.md",
        "FEES",
        os.path.relpath(fees.path),
    ):
        assert desk.shelf.meant(name) == (fees,)
    assert len(desk.shelf.meant("docs")) == 3
    assert len(desk.shelf.meant(str(desk.folder / "zh"))) == 2
    assert [each.path.parent.name for each in desk.shelf.meant("looking after lamps")] == ["en"]
    with pytest.raises(UsageError, match="2 documents are called 'care.md'"):
        desk.shelf.meant("care.md")
    for name in ("nothing", "", "\0"):
        with pytest.raises(UsageError, match="No document"):
            desk.shelf.meant(name)


def test_shelves_are_apart(desk: Desk) -> None:
    path = desk.write("a.md", "A green lamp.")
    desk.shelf.add([path], "support")
    assert (desk.names(""), desk.names("support"), desk.names()) == ([], ["a.md"], ["a.md"])
    assert desk.found("lamp") == []
    assert desk.shelf.meant("a.md")[0].shelf == "support"
    assert document_words(desk.shelf.all()[0]) == "support: a.md (1 passage)"


def test_stopping_keeps_what_is_done_and_adding_again_goes_on(desk: Desk) -> None:
    for name in ("a.md", "b.md", "c.md"):
        desk.write(name, f"This is {name}.")
    cancel = Event()
    shelved = desk.shelf.add(
        [desk.folder], on_progress=lambda reading: cancel.set() if reading.done == 1 else None, cancel=cancel
    )
    assert (shelved.was_stopped, desk.names()) == (True, ["a.md"])
    assert shelved_words(shelved).startswith("Stopped; what was read is kept")
    again = desk.shelf.add([desk.folder])
    assert ([each.name for each in again.read], again.unchanged) == (["b.md", "c.md"], 1)


def test_files_that_cannot_be_read_are_told_and_not_looked_at_again(desk: Desk) -> None:
    desk.write("good.md", "Good.")
    desk.write("bad.pdf", "no pdf")
    shelved = desk.shelf.add([desk.folder])
    assert problem_lines(shelved) == ["bad.pdf: It is damaged, or no PDF at all."]
    assert document_words(desk.shelf.all()[0]) == "docs/bad.pdf (It is damaged, or no PDF at all)"
    assert (desk.shelf.refresh().problems, desk.shelf.refresh().unchanged) == ((), 2)


def test_what_is_far_too_large_is_not_even_hashed(desk: Desk) -> None:
    path = desk.write("huge.pdf", "")
    with path.open("wb") as file:
        file.truncate(100_000_001)
    (problem,) = desk.shelf.add([path]).problems
    assert "too large" in problem.problem
    assert desk.shelf.refresh().unchanged == 1


def test_what_may_not_be_read_is_told(desk: Desk) -> None:
    path = desk.write("locked.md", "x")
    path.chmod(0)
    problems = desk.shelf.add([path]).problems
    # The superuser reads everything.
    assert [each.problem for each in problems] == (
        [] if os.access(path, os.R_OK) else ["You have no permission to read it."]
    )


def test_links_lead_in_no_circles_and_out_of_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.write("a.md", "One.")
    secret = tmp_path / "secret.md"
    secret.write_text("Key.")
    (desk.folder / "in.md").symlink_to(desk.folder / "a.md")
    (desk.folder / "out.md").symlink_to(secret)
    (desk.folder / "loop.md").symlink_to(desk.folder / "loop.md")
    (desk.folder / "circle").symlink_to(desk.folder, target_is_directory=True)
    desk.shelf.add([desk.folder])
    assert desk.names() == ["a.md", "in.md"]


def test_pictures_tell_their_text(desk: Desk) -> None:
    desk.bench.engines.texts.texts[(0, 0, 0)] = "OPEN 9 TO 5"
    Image.new("RGB", (64, 64)).save(desk.folder / "sign.png")
    desk.shelf.add([desk.folder])
    assert desk.found("open") == ["OPEN 9 TO 5"]


def test_what_cannot_be_added_is_said_before_anything_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.write("a.md", "One.")
    (desk.folder / "empty").mkdir()
    for wrong in (desk.folder / "none", desk.folder / "empty", Path("\0")):
        with pytest.raises(UsageError):
            desk.shelf.add([path, wrong])
    monkeypatch.setattr(document_files, "MAX_FILES", 1)
    desk.write("b.md", "Two.")
    with pytest.raises(UsageError, match="more than"):
        desk.shelf.add([desk.folder])
    assert desk.names() == []


def test_a_file_below_a_folder_that_was_added_is_of_that_folder(desk: Desk) -> None:
    path = desk.write("a.md", "One.")
    desk.shelf.add([path])
    desk.shelf.add([desk.folder])
    assert desk.shelf.all()[0].root == desk.folder
    desk.shelf.add([path])
    assert desk.shelf.all()[0].root == desk.folder


def test_words_for_what_was_found() -> None:
    assert sureness(()) == "Nothing in the documents bears on it."
    assert reading_words(Reading(1, 3, "a.md")) == "Reading documents: 2 of 3, a.md …"
    assert reading_words(Reading(1, 3, "")) == "Taking in what was read: 33% …"
