"""Pages of HTML: they hold what they show, and nothing that was said in them can act."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmchat.domain import Rating, Seen, Session, Tag
from mmchat.errors import MemoryStoreError
from mmchat.memory import export_html
from mmchat.memory.export_html import words
from mmchat.memory.export_write import ExportCancelled, file_name, format_of, write_export
from mmchat.memory.incoming import NewConversation, NewFile, NewTurn, store_conversation
from mmchat.memory.store import MemoryStore

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "![](https://tracker.example/p.png)",
    "<https://a.example/\"onmouseover='alert(1)'>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "`</code><script>`",
    "[a]: javascript:alert(1)\n\n[a]",
    "&lt;script&gt; {{ 7*7 }} {% raw %}",
    "| a |\n|---|\n| <iframe src=x> |",
]
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "nav", "ul", "ol", "li", "a", "header", "h1", "h2", "h3", "h4"),
    *("h5", "h6", "p", "article", "time", "figure", "img", "audio", "figcaption", "div", "blockquote", "pre", "code"),
    *("em", "strong", "s", "br", "hr", "table", "thead", "tbody", "tr", "th", "td", "span"),
}


class Elements(HTMLParser):
    """Checks each element as a browser would meet it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert tag in ALLOWED, tag
        for name, value in attrs:
            assert not name.startswith("on"), (name, value)
            if name == "src":
                assert value is not None
                assert re.match(r"data:(image|audio)/[a-z+.-]+;base64,", value), value
            if name == "href":
                assert not re.match(r"\s*(javascript|vbscript|data|file):", value or "", re.IGNORECASE), value

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    elements.close()
    return elements


def png(side: int = 8, colour: str = "red") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(tmp_path / "data" / "mmchat.db", tmp_path / "data" / "blobs")
    yield opened
    opened.close()


def page_of(store: MemoryStore, folder: Path, *conversations: NewConversation) -> str:
    sessions = [store_conversation(store, each) for each in conversations]
    write_export(store, sessions, folder / "page.html", "html")
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words_wherever_they_stand(store: MemoryStore, tmp_path: Path, text: str) -> None:
    picture = NewFile("image", "image/png", text, read=png, seen=Seen((Tag(text, 0.5),), text, text, "eyes"))
    sound = NewFile("audio", f"audio/x{text}", text, read=lambda: b"sound")
    turns = (
        NewTurn("user", text, files=(picture, sound)),
        NewTurn("assistant", text, model=text, status="failed", notice=text, rating=Rating("bad", text)),
        NewTurn("system", text),
    )
    conversation = NewConversation(text, turns, text, model=text, tags=(text[:30],))
    page = page_of(store, tmp_path, conversation, conversation)
    elements = checked(page)
    assert "script" not in elements.names
    assert "default-src 'none'" in page
    assert text.split()[0][:8] in "".join(elements.text) or text.startswith(("[", "!", "<http", "`", "|"))


@given(st.text(st.sampled_from("<>\"'&`[]()!:/\\\n* _|~#-=abjavscript{}%\u202e\x00")))
def test_no_markdown_becomes_more_than_text(text: str) -> None:
    checked(str(words(text)))


def test_a_page_reads_as_the_conversation(store: MemoryStore, tmp_path: Path) -> None:
    turns = (
        NewTurn(
            "user",
            "看**这个**",
            "2026-03-14T06:05:00.000000Z",
            files=(NewFile("image", "image/png", "a.png", read=png),),
        ),
        NewTurn("assistant", "```python\nx = a < b\n```\n\n| a |\n|---|\n| 1 |", model="mm-small"),
        NewTurn("assistant", "drawn before", is_retired=True),
    )
    page = page_of(store, tmp_path, NewConversation("花园", turns, tags=("旅行",)))
    assert "<title>花园</title>" in page
    assert "<strong>这个</strong>" in page
    assert '<pre><code class="language-python">x = a &lt; b' in page
    assert "<td>1</td>" in page
    assert 'datetime="2026-03-14T06:05:00.000000Z"' in page
    assert base64.b64encode(png()).decode() in page
    assert "旅行" in page
    assert "mm-small" in page
    assert "drawn before" not in page
    assert "prefers-color-scheme: dark" in page
    assert "<nav>" not in page


def test_large_pictures_are_embedded_smaller_and_long_sounds_named(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_html, "PICTURE_LIMIT_BYTES", 100)
    monkeypatch.setattr(export_html, "PICTURE_SIDE_PX", 16)
    monkeypatch.setattr(export_html, "SOUND_LIMIT_BYTES", 3)
    files = (
        NewFile("image", "image/png", "big.png", read=lambda: png(64)),
        NewFile("image", "image/png", "no.png", read=lambda: b"rubbish" * 100),
        NewFile("audio", "audio/wav", "long.wav", read=lambda: b"sound"),
        NewFile("image", "image/bmp", "odd.bmp", read=lambda: b"BM"),
    )
    session = store_conversation(store, NewConversation("t", (NewTurn("user", "", files=files),)))
    store.turns(session.id)[0].attachments[3].path.unlink()
    write_export(store, [session], tmp_path / "page.html", "html")
    page = (tmp_path / "page.html").read_text()
    (source,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(source))).size == (16, 16)
    assert "big.png (a smaller copy of 64 × 64)" in page
    assert "no.png (not in this page: it cannot be read as a picture)" in page
    assert "long.wav (not in this page: 0.0 MB)" in page
    assert "odd.bmp (the kept file is missing)" in page


# --- where it goes ------------------------------------------------------------------------------


def talks(store: MemoryStore, count: int) -> list[Session]:
    picture = NewFile("image", "image/png", "a.png", read=png)
    return [
        store_conversation(store, NewConversation(f"talk / {number}", (NewTurn("user", "hi", files=(picture,)),)))
        for number in range(count)
    ]


@pytest.mark.parametrize(("file_format", "ending"), [("jsonl", "jsonl"), ("md", "md"), ("html", "html")])
def test_a_zip_holds_the_text_and_each_file_once(
    store: MemoryStore, tmp_path: Path, file_format: str, ending: str
) -> None:
    wanted = format_of(Path(f"x.{ending}"))
    assert wanted == file_format
    tally = write_export(store, talks(store, 2), tmp_path / "talks.zip", wanted)
    assert (tally.conversations, tally.turns) == (2, 2)
    with zipfile.ZipFile(tmp_path / "talks.zip") as archive:
        names = archive.namelist()
        assert f"conversations.{ending}" in names
        assert sum(name.startswith("files/") for name in names) == (0 if ending == "html" else 1)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_gets_a_file_of_each_conversation(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    sessions = talks(store, 2)
    tally = write_export(store, sessions, tmp_path / "out", "md")
    assert sorted(tally.paths) == sorted(tmp_path / "out" / f"{file_name(each)}.md" for each in sessions)
    assert all("/" not in path.name and path.read_text().startswith("<!-- mmchat:") for path in tally.paths)


def test_what_fails_or_is_given_up_leaves_the_file_as_it_was(store: MemoryStore, tmp_path: Path) -> None:
    target, cancel = tmp_path / "talks.jsonl", Event()
    target.write_text("mine")
    sessions = talks(store, 3)
    with pytest.raises(ExportCancelled):
        write_export(store, sessions, target, "jsonl", cancel=cancel, on_step=lambda tally: cancel.set())
    store.turns(sessions[1].id)[0].attachments[0].path.unlink()
    with pytest.raises(MemoryStoreError, match=r"a\.png could not be copied"):
        write_export(store, sessions, target, "jsonl", files_dir=tmp_path / "files")
    with pytest.raises(MemoryStoreError, match="No such file or directory"):
        write_export(store, sessions, tmp_path / "nowhere" / "x.jsonl", "jsonl")
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(max_size=80))
def test_any_title_makes_a_name_that_stays_in_its_folder(title: str) -> None:
    session = Session("0" * 26, title, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    name = file_name(session)
    assert Path(name).name == name
    assert len(name.encode()) < 255
    assert not name.startswith((".", "-"))
