"""What was read of a file takes the place of what was read of it before, whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat.knowledge_values import Document, ReadDocument, ReadPiece
from mmchat.memory.backup import write_backup
from mmchat.memory.collect import find_litter, remove_litter
from mmchat.memory.documents import documents, keep_unchanged, known_files, remove_documents, save_document
from mmchat.memory.knowledge import Knowledge
from mmchat.memory.recovery import recover
from mmchat.memory.restore import restore_backup
from mmchat.memory.store import MemoryStore
from mmchat.memory.temporary import TemporaryStore

FILE = Path("/books/lamps.md")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    with closing(opened(tmp_path)) as each:
        yield each


def opened(folder: Path) -> MemoryStore:
    return MemoryStore(folder / "data" / "mmchat.db", folder / "data" / "blobs")


def read(*texts: str, heading: str = "Lamps", title: str = "Lamps") -> ReadDocument:
    pieces = tuple(ReadPiece(text, heading, line=line) for line, text in enumerate(texts, start=1))
    return ReadDocument(title, "text/markdown", pieces)


def save(
    store: MemoryStore, what: ReadDocument, *, path: Path = FILE, shelf: str = "", modified_ns: int = 1
) -> Document:
    return save_document(
        store,
        shelf=shelf,
        root=path.parent,
        path=path,
        sha256="a" * 64,
        size_bytes=10,
        modified_ns=modified_ns,
        read=what,
        reader="test",
    )


def ids(store: MemoryStore) -> dict[str, str]:
    """Text of each passage → its id, in order."""
    rows = store.file.rows("SELECT p.* FROM passages p ORDER BY p.document_id, p.position")
    return {row["text"]: row["id"] for row in rows}


def found(store: MemoryStore, query: str, *shelves: str) -> list[str]:
    hits = Knowledge(store, lambda: None).find(query, shelves=shelves or ("",), use_vectors=False)
    return [hit.passage.text for hit in hits if hit.passage is not None]


def embed(store: MemoryStore, text: str) -> None:
    with store.file.write() as db:
        db.execute(
            "INSERT INTO passage_embeddings (owner, model, vector) SELECT number, 'm', ? FROM passages WHERE text = ?",
            [b"\x00\x3c" * 4, text],
        )


def test_a_document_is_told_as_it_was_saved(store: MemoryStore) -> None:
    saved = save(store, read("Oak is oiled.", "Brass is polished."))
    assert documents(store) == (saved,)
    assert (saved.name, saved.title, saved.passages, saved.root) == ("lamps.md", "Lamps", 2, FILE.parent)
    (hit,) = Knowledge(store, lambda: None).find("oiled oak", shelves=("",))
    assert hit.passage is not None
    assert (hit.passage.document, hit.passage.path, hit.passage.line) == (saved.id, FILE, 1)
    assert hit.passage.label == "lamps.md › Lamps"


def test_unchanged_passages_keep_their_ids_and_vectors(store: MemoryStore) -> None:
    first = save(store, read("Oak is oiled.", "Brass is polished.", "Linen is brushed."))
    before = ids(store)
    embed(store, "Linen is brushed.")
    second = save(store, read("Linen is brushed.", "Steel is wiped.", "Oak is oiled."), modified_ns=2)
    after = ids(store)
    assert first.id == second.id
    assert list(after) == ["Linen is brushed.", "Steel is wiped.", "Oak is oiled."]
    assert after["Oak is oiled."] == before["Oak is oiled."]
    assert after["Linen is brushed."] == before["Linen is brushed."]
    assert store.file.rows("SELECT count(*) AS n FROM passage_embeddings")[0]["n"] == 1
    assert found(store, "brass polished") == []
    assert found(store, "steel") == ["Steel is wiped."]


def test_another_heading_or_title_is_found_at_once(store: MemoryStore) -> None:
    save(store, read("It is oiled.", heading="Oak"))
    save(store, read("It is oiled.", heading="Birch", title="Woods"))
    assert found(store, "oak") == []
    assert found(store, "birch") == found(store, "woods") == ["It is oiled."]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=6), min_size=1, max_size=4))
def test_after_any_readings_there_is_the_last_alone(store: MemoryStore, readings: list[list[str]]) -> None:
    for reading in readings:
        save(store, read(*(f"word{letter}" for letter in reading)))
    wanted = [f"word{letter}" for letter in readings[-1]]
    rows = store.file.rows("SELECT text, line FROM passages ORDER BY position")
    assert [row["text"] for row in rows] == wanted
    assert [row["line"] for row in rows] == list(range(1, len(wanted) + 1))
    assert store.file.rows("SELECT count(*) AS n FROM passages_fts")[0]["n"] == len(wanted)
    assert store.file.check_integrity() == []


def test_shelves_are_apart(store: MemoryStore) -> None:
    mine, role = save(store, read("Oak of mine.")), save(store, read("Oak of the shop."), shelf="shop")
    assert found(store, "oak") == ["Oak of mine."]
    assert found(store, "oak", "shop") == ["Oak of the shop."]
    assert set(found(store, "oak", "shop", "")) == {"Oak of mine.", "Oak of the shop."}
    assert [each.id for each in documents(store, "shop")] == [role.id]
    assert remove_documents(store, [mine.id, "none"]) == 1
    assert documents(store) == (role,)
    assert found(store, "oak") == []


def test_what_changed_is_known_by_its_file(store: MemoryStore) -> None:
    saved = save(store, read("Oak."))
    known = known_files(store, "")[FILE]
    assert (known.document, known.size_bytes, known.modified_ns, known.sha256) == (saved.id, 10, 1, "a" * 64)
    keep_unchanged(store, saved.id, root=FILE, modified_ns=7)
    assert known_files(store, "")[FILE].modified_ns == 7
    assert known_files(store, "")[FILE].root == FILE
    assert known_files(store, "shop") == {}


class Breaking(tuple[ReadPiece, ...]):
    """Pieces of which the third cannot be had."""

    def __iter__(self) -> Iterator[ReadPiece]:
        yield ReadPiece("Steel.")
        yield ReadPiece("Glass.")
        raise OSError("the disk went away")


class Dying(Breaking):
    """Pieces at the third of which the program is gone."""

    def __iter__(self) -> Iterator[ReadPiece]:
        yield ReadPiece("Steel.")
        yield ReadPiece("Glass.")
        os._exit(9)


def test_a_reading_that_fails_leaves_the_earlier_one(store: MemoryStore) -> None:
    save(store, read("Oak.", "Birch."))
    before = ids(store)
    with pytest.raises(OSError, match="went away"):
        save(store, ReadDocument("Metals", "text/plain", Breaking()))
    assert ids(store) == before
    assert found(store, "birch") == ["Birch."]
    assert documents(store)[0].title == "Lamps"


def _die_while_saving(folder: Path) -> None:
    save(opened(folder), ReadDocument("Metals", "text/plain", Dying()))


def test_a_program_that_dies_while_saving_leaves_the_earlier_reading(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        save(store, read("Oak.", "Birch."))
    child = multiprocessing.get_context("spawn").Process(target=_die_while_saving, args=(tmp_path,))
    child.start()
    child.join(60)
    assert child.exitcode == 9
    with closing(opened(tmp_path)) as store:
        assert list(ids(store)) == ["Oak.", "Birch."]
        assert found(store, "birch") == ["Birch."]
        assert store.file.check_integrity() == []


def test_two_programs_read_the_same_file(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as one, closing(opened(tmp_path)) as other:
        searching = Knowledge(other, lambda: None)
        for turn in range(6):
            save((one, other)[turn % 2], read("Oak.", f"Reading {turn}."))
            (hit,) = searching.find(f"reading {turn}", shelves=("",), k=1)
            assert hit.text == f"Reading {turn}."
        assert len(documents(one)) == 1
        assert list(ids(other)) == ["Oak.", "Reading 5."]


def test_a_backup_brings_documents_back(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        saved = save(store, read("Oak is oiled.", "木头要上油。"))
        embed(store, "Oak is oiled.")
        backup = write_backup(store, tmp_path / "backup.zip").path
        remove_documents(store, [saved.id])
    restore_backup(backup, tmp_path / "data" / "mmchat.db", tmp_path / "data" / "blobs")
    with closing(opened(tmp_path)) as store:
        assert documents(store) == (saved,)
        assert found(store, "oiled") == ["Oak is oiled."]
        assert found(store, "木头") == ["木头要上油。"]
        assert store.file.rows("SELECT count(*) AS n FROM passage_embeddings")[0]["n"] == 1


def test_a_recovered_database_keeps_documents_and_lets_them_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "mmchat.db"
    with closing(opened(tmp_path)) as store:
        session = store.create_session()
        store.add_user_turn(session.id, "How is oak cared for?")
        saved = save(store, read(*(f"Passage {number} about oak." for number in range(300))))
    content = bytearray(path.read_bytes())
    content[:100] = os.urandom(100)  # the header
    path.write_bytes(content)
    recover(path, tmp_path / "data" / "blobs")
    with closing(opened(tmp_path)) as store:
        assert [turn.text for turn in store.turns(session.id)] == ["How is oak cared for?"]
        (kept,) = documents(store)
        assert (kept.id, kept.path, kept.root, kept.passages) == (saved.id, saved.path, saved.root, 0)
        known = known_files(store, "")[FILE]
        assert known.modified_ns != 1, "it is read again at the next look"
        assert known.sha256 != "a" * 64
        save(store, read("Oak is oiled."))
        assert found(store, "oiled") == ["Oak is oiled."]


def test_a_damaged_index_of_passages_is_built_anew(tmp_path: Path) -> None:
    path = tmp_path / "data" / "mmchat.db"
    with closing(opened(tmp_path)) as store:
        save(store, read(*(f"Passage {number} about oak." for number in range(50))))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM passages_fts_data WHERE id > 10")
        connection.commit()
    result = recover(path, tmp_path / "data" / "blobs")
    assert result.kept is None
    assert "passages_fts" in result.problems[0]
    with closing(opened(tmp_path)) as store:
        assert found(store, "oak 7")[0] == "Passage 7 about oak."
        assert len(ids(store)) == 50


def test_vectors_without_a_passage_are_tidied_up(store: MemoryStore) -> None:
    save(store, read("Oak."))
    embed(store, "Oak.")
    with store.file.write() as db:
        db.execute("INSERT INTO passage_embeddings (owner, model, vector) VALUES (999, 'm', x'00')")
    litter = find_litter(store)
    assert litter.vectors == 1
    remove_litter(store, litter)
    assert store.file.rows("SELECT owner FROM passage_embeddings") == [{"owner": 1}]


def test_a_private_store_has_documents_of_its_own(store: MemoryStore) -> None:
    save(store, read("Oak."))
    with closing(TemporaryStore()) as private:
        assert documents(private.store) == ()
        save(private.store, read("A secret lamp."))
        assert found(private.store, "secret") == ["A secret lamp."]
        folder = private.folder
    assert not folder.exists()
    assert found(store, "secret") == []


def test_texts_that_sqlite_cannot_hold_are_stored_all_the_same(store: MemoryStore) -> None:
    save(store, read("Oak \ud800 lamp\x00.", heading="H\udfff"), path=Path("/books/\udcff.md"))
    assert len(found(store, "lamp")) == 1
