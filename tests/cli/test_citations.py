"""Where a reply's words come from, as `ask`, the plain mode, `sessions` and the exports tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmchat.chat.desk import Desk
from mmchat.domain import ModelKind
from mmchat.knowledge_values import GONE
from tests.cli.conftest import Run

ROLE = """
description = "Sells lamps"
system = "You sell lamps."
memory = "own"
knowledge = ["docs"]
answers = "quote"
is_bound_to_documents = true
"""
RETURNS = """# Returns

## Refunds

Unused lamps can be returned within 30 days. Used lamps get 80 percent back.

## Sending back

Print the label from your account and bring the parcel to a post office.
"""
GUARANTEE = "# Guarantee\n\nThe guarantee covers the switch and the cable. It does not cover bulbs.\n"
ASKED = "What do used lamps get back?"
SOURCE = "returns.md › Returns › Refunds"


@pytest.fixture
def shop(scripted_home: Path) -> Path:
    """A role that answers in the words of its documents; words alone find them."""
    folder = scripted_home / "config" / "roles" / "shop"
    (folder / "docs").mkdir(parents=True)
    (folder / "role.toml").write_text(ROLE)
    (folder / "docs" / "returns.md").write_text(RETURNS)
    (folder / "docs" / "guarantee.md").write_text(GUARANTEE)
    return folder


def test_ask_quotes_and_names_its_sources(run: Run, shop: Path) -> None:
    done = run("ask", "--persona", "shop", ASKED)
    assert done.code == 0
    assert "Used lamps get 80 percent back." in done.out
    assert f"From: {SOURCE}" in done.err
    assert "From:" not in done.out


def test_ask_tells_citations_apart_from_what_was_recalled(run: Run, shop: Path) -> None:
    done = run("ask", "--persona", "shop", ASKED, "--json")
    reply = json.loads(done.out)
    assert "From:" not in done.err
    assert (reply["recalled"], reply["facts"], reply["engine"], reply["model"]) == ([], [], "role", "")
    (cited,) = reply["cited"]
    assert set(cited) == {"document", "file", "heading", "page", "line", "text", "score"}
    assert cited["file"] == str(shop / "docs" / "returns.md")
    assert cited["heading"] == "Returns › Refunds"
    assert cited["line"] == 5
    assert cited["text"].startswith("Unused lamps")
    again = json.loads(run("ask", "-c", "Do you sell kites?", "--json").out)
    assert again["cited"] == []
    assert "I do not know" in again["reply"]


def test_a_role_that_only_quotes_has_no_model_loaded(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[tuple[ModelKind, ...]] = []
    monkeypatch.setattr(Desk, "warm", lambda desk, kinds: warmed.append(tuple(kinds)))
    assert run("ask", "--persona", "shop", ASKED).code == 0
    assert warmed == []
    assert run("ask", "Hello there.").code == 0
    assert warmed == [("lm",)]


def test_a_stored_conversation_names_them(run: Run, shop: Path, tmp_path: Path) -> None:
    run("ask", "--persona", "shop", ASKED)
    assert f"*(from: {SOURCE})*" in run("sessions", "show", "last").out
    (_, reply) = json.loads(run("sessions", "show", "last", "--json").out)["turns"][-2:]
    assert [each["heading"] for each in reply["cited"]] == ["Returns › Refunds"]
    assert reply["recalled"] == []
    page = tmp_path / "talk.html"
    assert run("sessions", "export", "last", "-o", str(page)).code == 0
    assert f"from: {SOURCE}" in page.read_text(encoding="utf-8")


def test_citations_come_back_and_say_when_their_document_is_gone(run: Run, shop: Path, tmp_path: Path) -> None:
    run("ask", "--persona", "shop", ASKED)
    rows = tmp_path / "talk.jsonl"
    assert run("sessions", "export", "last", "-o", str(rows)).code == 0
    assert "Used lamps get 80 percent back. " not in json.dumps(
        json.loads(rows.read_text(encoding="utf-8"))["messages"]
    )
    run("sessions", "delete", "last")
    run("sessions", "gc", "--yes")
    assert run("sessions", "import", str(rows)).code == 0
    turns = json.loads(run("sessions", "show", "last", "--json").out)["turns"]
    assert turns[-1]["prepared"] == "quote"
    assert turns[-1]["cited"][0]["text"].startswith("Unused lamps")
    (shop / "docs" / "returns.md").unlink()
    run("ask", "--persona", "shop", "Does the guarantee cover bulbs?")
    oldest = json.loads(run("sessions", "list", "--json").out)[-1]["id"]
    assert f"*(from: {SOURCE} ({GONE}))*" in run("sessions", "show", oldest).out
    shown = json.loads(run("sessions", "show", oldest, "--json").out)["turns"][-1]
    assert shown["cited"][0]["text"] == ""


def test_the_plain_mode_names_and_shows_them(run: Run, shop: Path) -> None:
    script = f"{ASKED}\n/sources\n/sources 7\n"
    done = run("talk", "--no-tui", "--persona", "shop", stdin=script)
    assert done.code == 2, "one of its commands failed"
    assert f"From: {SOURCE}" in done.err
    assert "Used lamps get 80 percent back." in done.out
    assert f"{SOURCE} [{shop / 'docs' / 'returns.md'}, line 5]" in done.out
    assert "'7' is no source here." in done.err
    assert "There is one: /sources 1" in done.err
    assert "The last reply cites nothing" not in done.err
    why = run("talk", "--no-tui", "-c", stdin="/why\n")
    assert f"Looked up in {SOURCE}: Unused lamps can be returned" in why.out
    later = run("talk", "--no-tui", "-c", stdin="Do you sell kites?\n/sources 1\n")
    assert "The last reply cites nothing. An earlier one does: " in later.err
    assert f"{SOURCE} [" in later.out
    none = run("talk", "--no-tui", stdin="hello\n/sources\n")
    assert "cites a document" in none.err
