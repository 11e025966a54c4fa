"""`mmchat docs`, and `/docs` line by line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run

FILES = 60
"""So many take some seconds to read."""
ROLE = """
description = "Sells lamps"
system = "You sell lamps."
memory = "own"
knowledge = ["docs"]
"""


@pytest.fixture
def pipe(scripted_home: Path, run: Run) -> Run:
    return run


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "my docs"
    folder.mkdir()
    (folder / "returns.md").write_text(
        "# Returns\n\nLamps go back within thirty days.\n\n## 退货\n\n三十天内可以退货。"
    )
    (folder / "prices.csv").write_text("Lamp;Price\nHeron;119\nMoth;45\n")
    return folder


@pytest.fixture
def shop(scripted_home: Path) -> Path:
    """A role of the user's with a folder of documents."""
    folder = scripted_home / "config" / "roles" / "shop"
    (folder / "docs").mkdir(parents=True)
    (folder / "role.toml").write_text(ROLE)
    (folder / "docs" / "repairs.md").write_text("# Repairs\n\nLamps are repaired in Delft.")
    return folder


def listed(run: Run, *args: str) -> list[str]:
    return [each["name"] for each in json.loads(run("docs", "list", "--json", *args).out)]


def test_add_list_search_and_remove(pipe: Run, docs: Path) -> None:
    added = json.loads(pipe("docs", "add", str(docs), "--json").out)
    assert [(each["name"], each["passages"], each["problem"]) for each in added["read"]] == [
        ("prices.csv", 1, ""),
        ("returns.md", 2, ""),
    ]
    assert (added["unchanged"], added["problems"], added["stopped"]) == (0, [], False)
    assert json.loads(pipe("docs", "add", str(docs), "--json").out)["unchanged"] == 2
    rows = [line.split("\t") for line in pipe("docs", "list").out.splitlines()]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("-", "1", "my docs/prices.csv"),
        ("-", "2", "my docs/returns.md"),
    ]
    assert "returns.md › Returns" in pipe("docs", "search", "thirty", "days").out
    (found,) = json.loads(pipe("docs", "search", "退货", "-k", "1", "--json").out)
    assert (found["heading"], found["text"], found["line"]) == ("Returns › 退货", "三十天内可以退货。", 7)
    assert found["file"] == str(docs / "returns.md")
    removed = pipe("docs", "remove", "prices.csv", "--yes")
    assert (removed.code, listed(pipe)) == (0, ["returns.md"])
    assert pipe("docs", "remove", str(docs), "-y").code == 0
    assert listed(pipe) == []


def test_a_search_reads_what_changed_since(pipe: Run, docs: Path) -> None:
    pipe("docs", "add", str(docs))
    (docs / "returns.md").write_text("By now lamps go back within sixty days, and not sooner.")
    assert "sixty" in pipe("docs", "search", "sixty days").out


def test_a_roles_own_folder_comes_by_itself_and_more_can_be_added(pipe: Run, docs: Path, shop: Path) -> None:
    assert "Delft" in pipe("docs", "search", "where are lamps repaired", "--role", "shop").out
    assert pipe("docs", "add", str(docs / "returns.md"), "--role", "shop").code == 0
    assert listed(pipe, "--role", "shop") == ["repairs.md", "returns.md"]
    assert "Delft" not in pipe("docs", "search", "where are lamps repaired").out
    assert pipe("docs", "search", "x", "--role", "nobody").code == 2


def test_the_first_question_to_a_role_knows_its_documents(pipe: Run, shop: Path) -> None:
    asked = json.loads(pipe("ask", "--persona", "shop", "Where are lamps repaired?", "--json").out)
    assert [Path(each["file"]).name for each in asked["cited"]] == ["repairs.md"]
    (shop / "docs" / "repairs.md").write_text("# Repairs\n\nLamps are repaired in Gouda by now.")
    again = json.loads(pipe("ask", "--persona", "shop", "Where are lamps repaired?", "--json").out)
    assert "Gouda" in again["cited"][0]["text"]


def test_what_cannot_be_done_is_said(pipe: Run, docs: Path, tmp_path: Path) -> None:
    assert pipe("docs", "add", str(tmp_path / "none")).code == 2
    (tmp_path / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0")
    failed = pipe("docs", "add", str(tmp_path / "locked.docx"))
    assert (failed.code, "locked.docx: It is locked by a password" in failed.err) == (4, True)
    assert pipe("docs", "remove", "nothing", "-y").code == 2
    pipe("docs", "add", str(docs))
    unsure = pipe("docs", "remove", "returns.md")
    assert (unsure.code, "--yes" in unsure.err) == (2, True)
    assert "returns.md" in listed(pipe)
    (docs / "en").mkdir()
    (docs / "en" / "returns.md").write_text("Another one.")
    pipe("docs", "add", str(docs))
    twice = pipe("docs", "remove", "returns.md", "-y")
    assert (twice.code, "2 documents are called 'returns.md'" in twice.err) == (2, True)


def test_what_is_no_document_is_not_kept(pipe: Run, docs: Path) -> None:
    (docs / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(range(256)) * 20)
    alone = pipe("docs", "add", str(docs / "old.doc"))
    assert (alone.code, alone.out) == (4, "Nothing was read.\n")
    assert "old.doc: It is no document. Save it as DOCX first." in alone.err
    assert listed(pipe) == []
    among = pipe("docs", "add", str(docs))
    assert (among.code, among.err) == (0, "")
    assert among.out == "Read 2 documents: 3 passages. 1 file of a kind that is not read: old.doc.\n"


def test_damaged_files_alone_fail_each_time(pipe: Run, docs: Path) -> None:
    (docs / "bad.pdf").write_text("no pdf")
    for _ in range(2):
        failed = pipe("docs", "add", str(docs / "bad.pdf"))
        assert (failed.code, failed.err) == (4, "bad.pdf: It is damaged, or no PDF at all.\n")
    assert pipe("docs", "add", str(docs)).code == 0


def test_files_that_are_gone_are_marked_in_the_list(pipe: Run, docs: Path) -> None:
    pipe("docs", "add", str(docs))
    (docs / "returns.md").unlink()
    assert "The file is not there." in pipe("docs", "list").out


@pytest.mark.skipif(os.name == "nt", reason="signals; run on Linux or macOS")
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    pipe: Run, scripted_home: Path, docs: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(FILES):
        (many / f"{number:03}.md").write_text(f"# Chapter {number}\n\n" + f"Words of chapter {number}. " * 120)
    program = [sys.executable, "-c", "import sys; from mmchat.cli.exits import main; sys.exit(main())"]
    adding = subprocess.Popen([*program, "docs", "add", str(many)], stderr=subprocess.PIPE, env=os.environ)
    deadline_s = time.monotonic() + 60
    while not listed(pipe) and time.monotonic() < deadline_s:
        assert adding.poll() is None, adding.communicate()
    adding.send_signal(signal.SIGINT)
    _, said = adding.communicate(timeout=60)
    kept = listed(pipe)
    assert (adding.returncode, 0 < len(kept) < FILES) == (130, True), said
    assert b"Stopped; what was read is kept" in said
    again = json.loads(pipe("docs", "add", str(many), "--json").out)
    assert (again["unchanged"], len(again["read"])) == (len(kept), FILES - len(kept))


# --- line by line ---------------------------------------------------------------------------------


def test_the_plain_mode_lists_adds_searches_and_removes(pipe: Run, docs: Path) -> None:
    lines = [
        "/docs",
        f"/docs add '{docs}'",
        "/docs",
        "/docs search thirty days",
        "/docs remove prices.csv",
        "/docs",
    ]
    done = pipe("talk", "--no-tui", stdin="\n".join(lines))
    assert done.code == 0
    assert "There are no documents yet" in done.err
    assert "Read 2 documents: 3 passages." in done.err
    assert "my docs/returns.md “Returns” (2 passages)" in done.out
    assert "returns.md › Returns: Lamps go back within thirty days." in done.out
    assert "Removed prices.csv" in done.err
    assert done.out.count("prices.csv") == 1


@pytest.mark.parametrize("said", ["/docs add", "/docs add /nowhere/x.md", "/docs remove", "/docs search", "/docs foo"])
def test_the_plain_mode_says_what_is_missing(pipe: Run, said: str) -> None:
    assert pipe("talk", "--no-tui", stdin=said).code == 2


def test_the_plain_mode_lists_what_the_conversation_uses(pipe: Run, docs: Path, shop: Path) -> None:
    pipe("docs", "add", str(docs / "prices.csv"))
    pipe("docs", "search", "--role", "shop", "lamps")
    of_role = pipe("talk", "--no-tui", "--persona", "shop", stdin="/docs")
    assert ("repairs.md" in of_role.out, "prices.csv" in of_role.out) == (True, False)
    assert "1 document that this conversation does not use: /docs all" in of_role.err
    everything = pipe("talk", "--no-tui", "--persona", "shop", stdin="/docs all")
    assert ("repairs.md" in everything.out, "prices.csv" in everything.out) == (True, True)
