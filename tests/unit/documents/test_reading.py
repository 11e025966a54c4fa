"""Whatever a file is, reading it ends in passages or in a sentence about what is wrong with it."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat.documents.kinds import kind_of
from mmchat.documents.reading import MAX_TEXT_BYTES, read_document
from mmchat.errors import ImageError
from tests.paper import make_pdf

CHINESE = "灯具三十天内可以退货，没有使用过的全额退款。"
TRADITIONAL = "燈具三十天內可以退貨，沒有使用過的全額退款。"


def read_text(tmp_path: Path, data: bytes, name: str = "a.txt") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return "\n".join(piece.text for piece in read_document(path).pieces)


def problem(tmp_path: Path, data: bytes, name: str) -> str:
    path = tmp_path / name
    path.write_bytes(data)
    read = read_document(path)
    assert (read.pieces, read.title) == ((), name)
    return read.problem


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8-sig"),
        (CHINESE, "gb18030"),
        (CHINESE[:4], "gbk"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL[:4], "big5"),
        (CHINESE, "utf-16"),
        (f"A lamp. {CHINESE} Good.", "utf-16-le"),
        (f"A lamp. {CHINESE} Good.", "utf-16-be"),
        ("Café à la crème. Größe: 5 €.", "cp1252"),
        ("Лампы можно вернуть в течение тридцати дней, если они не были в употреблении.", "cp1251"),
        ("ランプは三十日以内に返品できます。未使用のものは全額返金します。", "shift_jis"),
    ],
)
def test_text_is_read_whatever_it_is_written_in(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_text(tmp_path, text.encode(encoding)) == text


def test_nothing_that_a_terminal_acts_on_is_kept(tmp_path: Path) -> None:
    assert read_text(tmp_path, b"red \x1b[31mlamp\x1b]0;title\x07 ok") == "red lamp ok"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.md", b"", "empty"),
        ("a.txt", b" \n\n", "no text"),
        ("a.txt", bytes(range(256)) * 50, "no text: it holds"),
        ("a.csv", b"\x00\x01" * 100, "no text: it holds"),
        ("a.pdf", b"no pdf", "damaged"),
        ("a.pdf", make_pdf([["x"]], password="p"), "password"),
        ("a.docx", b"PK\x03\x04", "damaged"),
        ("a.xlsx", b"PK\x03\x04\x00\x00", "Save it as CSV"),
        ("a.bin", b"\x00\x01\x02", "mmchat reads Markdown"),
    ],
    ids=["nothing", "blank", "noise", "noise-csv", "no-pdf", "locked", "no-docx", "xlsx", "bin"],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    assert words in problem(tmp_path, data, name)


def test_a_file_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"<a>" + b" " * 61_000_000)
    assert "too large" in problem(tmp_path, packed.getvalue(), "bomb.docx")


def test_word_documents_expand_no_entities(tmp_path: Path) -> None:
    from docx import Document

    document = Document()
    document.add_paragraph("MARK")
    saved = io.BytesIO()
    document.save(saved)
    evil = io.BytesIO()
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(evil, "w") as target:
        for part in source.infolist():
            data = source.read(part)
            if part.filename == "word/document.xml":
                entity = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname"><!ENTITY y "yyyy">]>'
                data = data.replace(b"standalone='yes'?>", b"standalone='yes'?>" + entity).replace(b"MARK", b"a&x;&y;b")
                assert entity in data
            target.writestr(part, data)
    assert read_text(tmp_path, evil.getvalue(), "evil.docx") in ("ab", "a", "")


def test_a_large_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(MAX_TEXT_BYTES + 1)
    assert "too large" in read_document(path).problem


def test_what_is_no_file_or_not_there_or_not_allowed(tmp_path: Path) -> None:
    assert "not there" in read_document(tmp_path / "none.md").problem
    assert read_document(tmp_path).problem == "It is no file."
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    assert "cannot be read" in read_document(tmp_path / "loop.md").problem
    locked = tmp_path / "locked.md"
    locked.write_text("x")
    locked.chmod(0)
    if not os.access(locked, os.R_OK):  # the superuser reads everything
        assert "permission" in read_document(locked).problem


def test_pictures_are_read_by_what_is_handed_in(tmp_path: Path) -> None:
    path = tmp_path / "sign.png"
    read = read_document(path, read_picture=lambda at: f"OPEN\n{at.name}")
    assert [piece.text for piece in read.pieces] == ["OPEN\nsign.png"]
    assert read_document(path, read_picture=lambda _: "").problem == "No text was found in it."
    assert "not read" in read_document(path).problem

    def fail(_: Path) -> str:
        raise ImageError("'sign.png' is damaged.")

    assert read_document(path, read_picture=fail).problem == "'sign.png' is damaged."


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.sampled_from(["a.md", "a.txt", "a.html", "a.csv", "a.pdf", "a.docx", "a"]))
def test_no_bytes_raise(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    read = read_document(path)
    assert read.pieces or read.problem


def test_kinds_go_by_the_name() -> None:
    kinds = {name: kind_of(Path(name)) for name in ("A.MD", "b.JPG", "c.tsv", "d.htm", "e", "f.py")}
    assert list(kinds.values()) == ["markdown", "picture", "csv", "html", None, None]
