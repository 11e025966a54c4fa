"""`mmchat sessions report`: the table, JSON, the page, and rows that `mmchat finetune` takes."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mmchat import paths
from mmchat.cli.spans import span_bounds
from mmchat.errors import UsageError
from mmchat.rows.reader import read_rows
from mmchat.rows.values import DialogueRow, LabelRow, PreferenceRow
from tests.cli.conftest import Run
from tests.cli.test_finetune import tiny_folder as tiny_folder
from tests.cli.test_finetune import tuning_home as tuning_home
from tests.told_talks import Talks, fill_shop

GOLDEN = Path(__file__).with_name("session_report.txt")
ROLE = """
description = "A shop"
title = "Shop"
system = "You are a shop."
[intents]
refund = ["I want my money back", "Give me my money back", "我要退款", "请退钱"]
shipping = ["Do you deliver to Spain?", "What does delivery cost?", "运费多少钱？", "包邮吗？"]
"""


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Greenwich, 80 columns wide."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system has no tzset to change the time zone with; run the tests on Linux or macOS")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "80")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def talks(home: Path, utc: None) -> Iterator[Talks]:
    paths.database_path().parent.mkdir(parents=True)
    found = Talks(paths.database_path().parent)
    yield found
    found.store.close()


@pytest.fixture
def shop(talks: Talks) -> Talks:
    fill_shop(talks)
    return talks


def without_ids(text: str, shop: Talks) -> str:
    for number, session in enumerate(shop.store.list_sessions()):
        text = text.replace(session.id, f"session-{number}".ljust(26, "-"))
    return text


# --- what is shown ----------------------------------------------------------------------------------


def test_the_table_in_a_pipe_has_no_escapes_and_fits_80_columns(run: Run, shop: Talks) -> None:
    done = run("sessions", "report", "--role", "support")
    assert done.code == 0
    assert "\x1b" not in done.out
    from rich.cells import cell_len

    assert max(map(cell_len, done.out.splitlines())) <= 80
    assert without_ids(done.out, shop) == GOLDEN.read_text(encoding="utf-8")


def test_a_long_question_and_escapes_in_it_keep_the_table_whole(run: Run, talks: Talks) -> None:
    talks.say(talks.begin(title="\x1b[31mred\x07"), "挪威" * 200 + "\x1b]0;owned\x07?", "No.", prepared="unknown")
    done = run("sessions", "report")
    from rich.cells import cell_len

    assert "\x1b" not in done.out
    assert max(map(cell_len, done.out.splitlines())) <= 80
    assert "…" in done.out


def test_json_has_every_field(run: Run, shop: Talks) -> None:
    found = json.loads(run("sessions", "report", "--role", "support", "--json").out)
    assert list(found) == [
        "role", "since", "until", "first_at", "last_at", "conversations", "messages", "replies", "languages", "unit",
        "periods", "intents_read", "out_of_scope", "intents", "mood", "unanswered", "unanswered_reasons", "gaps",
        "forbidden", "documents", "ratings", "hand_overs", "latency", "lengths",
    ]  # fmt: skip
    assert set(found["gaps"][0]) == {
        "question", "language", "times", "reasons", "intents", "last_at", "nearest_document", "nearest_heading",
        "sessions", "turns",
    }  # fmt: skip
    assert found["mood"]["mean"] == -0.05
    assert found["intents"][0]["by_period"] == [1, 1, 0, 0, 0, 0, 0, 0, 2]
    assert found["latency"]["drawn"]["reply_s"] == {"median": 1.5, "p95": 1.5}


def test_every_field_of_the_json_stands_in_the_documents(run: Run, shop: Talks) -> None:
    told = (Path(__file__).parents[2] / "docs" / "support.md").read_text(encoding="utf-8")
    found = json.loads(run("sessions", "report", "--json").out)
    assert [key for key in found if f"`{key}" not in told] == []


def test_times_can_be_days_and_words(run: Run, shop: Talks) -> None:
    def messages(*args: str) -> int:
        return int(json.loads(run("sessions", "report", "--json", *args).out)["messages"])

    assert messages("--since", "2026-03-03") == 8
    assert messages("--since", "2026-03-03", "--until", "2026-03-03") == 3
    assert messages("--until", "1") == 11
    now = datetime.fromisoformat("2026-03-11T08:00:00+00:00")
    assert span_bounds("last week", "yesterday", now) == ("2026-03-02T00:00:00.000000Z", "2026-03-11T00:00:00.000000Z")
    assert span_bounds("上周", "", now)[0] == "2026-03-02T00:00:00.000000Z"
    for since, until in (("soon", ""), ("2026-02-30", ""), ("2026-03-02", "2026-03-01"), ("last week, perhaps", "")):
        with pytest.raises(UsageError):
            span_bounds(since, until, now)


def test_of_one_message_with_a_role_it_says_so(run: Run, talks: Talks) -> None:
    talks.say(talks.begin(), "Where is my lamp?")
    assert "median 1 message\n" in run("sessions", "report").out
    done = run("sessions", "report", "--role", "none")
    assert (done.code, done.err) == (0, "All conversations have a role. Leave out --role to see them.\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "No conversation yet: mmchat talk\n"),
        (("--role", "support"), "No conversation with support yet: mmchat talk --persona support\n"),
        (("--role", "none"), "No conversation yet: mmchat talk\n"),
        (("--since", "7"), "Nothing was said in that time. Leave out --since and --until to see all.\n"),
    ],
)
def test_where_nothing_was_said_it_says_the_next_step(run: Run, home: Path, args: tuple[str, ...], said: str) -> None:
    done = run("sessions", "report", *args)
    assert (done.code, done.out, done.err) == (0, "", said)
    assert json.loads(run("sessions", "report", "--json", *args).out)["messages"] == 0


def test_mistakes_are_told(run: Run, shop: Talks, tmp_path: Path) -> None:
    assert "There is no role 'suport'. Did you mean 'support'?" in run("sessions", "report", "--role", "suport").err
    assert run("sessions", "report", "--as", "label").code == 2
    done = run("sessions", "report", "--rows", str(tmp_path / "r.jsonl"), "--as", "rows")
    assert (done.code, "'dialogue'" in done.err) == (2, True)
    assert not (tmp_path / "r.jsonl").exists()


# --- the page ---------------------------------------------------------------------------------------


class Checker(HTMLParser):
    """Every element is closed, in order; nothing is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "!doctype"):
            self.open.append(tag)
        self.fetched += [
            value for name, value in attrs if name in ("src", "href", "xlink:href") and value and value[0] != "#"
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_whole_escaped_and_fetches_nothing(run: Run, shop: Talks, tmp_path: Path) -> None:
    evil = "<script>alert('&amp;')</script>"
    session = shop.begin(title=evil)
    shop.say(session, f"What is {evil}?", "No.", intent=evil, mood=0.9, prepared="unknown")
    shop.say(session, f"And {evil}?", "No.", intent=evil, mood=-0.9, topic=evil, prepared="forbidden", mark=-1)
    shop.hand_over(session, evil)
    page = tmp_path / "report.html"
    assert run("sessions", "report", "--role", "support", "--html", str(page)).code == 0
    if os.name == "posix":
        assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    assert checker.fetched == []
    assert "<script" not in text
    assert text.count("http://") == text.count("http://www.w3.org/")  # names of what SVG is, never fetched
    said = "".join(checker.words)
    assert evil in said
    assert all(
        word in said for word in ("你们送货到挪威吗？", "delivery.md › Delivery › Cost", "Handed over", "politics")
    )
    assert text.count("<svg") == text.count("</svg>") > 3
    for drawing in text.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + drawing.partition("</svg>")[0] + "</svg>")
    assert "prefers-color-scheme: dark" in text


def test_a_file_that_is_there_is_replaced_only_when_asked_to(run: Run, shop: Talks, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("mine")
    done = run("sessions", "report", "--html", str(page))
    assert (done.code, page.read_text()) == (2, "mine")
    assert "Repeat the command with --yes." in done.err
    assert run("sessions", "report", "--html", str(page), "--yes").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    done = run("sessions", "report", "--html", str(tmp_path / "no" / "report.html"))
    assert (done.code, "could not be written" in done.err) == (1, True)


# --- rows -------------------------------------------------------------------------------------------


@pytest.fixture
def role(home: Path) -> None:
    paths.roles_dir().mkdir(parents=True, exist_ok=True)
    (paths.roles_dir() / "support.toml").write_text(ROLE, encoding="utf-8")


def fill(sheet: Path, column: str, answers: dict[str, str], delimiter: str = ",") -> None:
    """Write into a sheet as a spreadsheet would."""
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names, lines = list(reader.fieldnames or ()), list(reader)
    for line in lines:
        line[column] = answers.get(line["message"], line[column])
    with sheet.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(lines)


def lines_of(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_better_texts_are_rows_at_once_and_the_rest_waits_in_a_sheet(
    run: Run, shop: Talks, role: None, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "rows.jsonl", tmp_path / "rows.todo.csv"
    done = run("sessions", "report", "--role", "support", "--rows", str(out))
    assert done.code == 0
    assert f"5 lines of {sheet} wait for an answer in the column 'answer'." in done.err
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in (out, sheet)} == {0o600}
    (row,) = read_rows(out).rows
    assert isinstance(row, DialogueRow)
    assert row.persona == "support"
    # The exchange in which it did not know is no example, and is left out.
    assert [message.text for message in row.messages] == [
        "Can I return a lamp?", "Certainly.", "That is useless!", "I am sorry."
    ]  # fmt: skip
    assert [(line["message"], line["needs"], line["why"], line["times"]) for line in lines_of(sheet)] == [
        ("Do you ship to Norway, please?", "an answer", "not known", "1"),
        ("Do you ship to Norway?", "an answer", "not known", "1"),
        ("Tell me about the guarantee", "an answer", "failed", "1"),
        ("Which bulb fits the lamp?", "an answer", "nothing cited", "1"),
        ("你们送货到挪威吗？", "an answer", "not known", "1"),
    ]


def test_answers_in_the_sheet_become_rows_that_finetune_takes(
    run: Run, tuning_home: Path, shop: Talks, role: None, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "rows.jsonl", tmp_path / "rows.todo.csv"
    answers = {
        "Do you ship to Norway?": "- Yes, we do.",
        "你们送货到挪威吗？": "送。",
        "Tell me about the guarantee": "3 years.",
    }
    for rows_as in ("dialogue", "preference"):
        run("sessions", "report", "--role", "support", "--rows", str(out), "--as", rows_as, "--yes")
        fill(sheet, "answer", answers, delimiter=";")
        done = run("sessions", "report", "--role", "support", "--rows", str(out), "--as", rows_as, "--yes", "--json")
        found = json.loads(done.out)["rows"]
        assert (found["as"], found["filled"], found["better"], found["waiting"]) == (rows_as, 3, 1, 2)
        read = read_rows(out)
        assert (read.kind, len(read.rows)) == (rows_as, found["rows"])
        # Again, with another span: what was filled in stays, and is still a row.
        run("sessions", "report", "--rows", str(out), "--as", rows_as, "--yes", "--until", "2026-03-03")
        assert {line["answer"].removeprefix("'") for line in lines_of(sheet)} == set(answers.values())
        assert len(read_rows(out).rows) == found["rows"] - (rows_as == "preference")
        done = run("finetune", str(out), "--dry-run", "--validation-share", "0.4")
        assert done.code == 0
        assert f"{rows_as} · " in done.out
        assert "cannot be learnt" not in done.out
        sheet.unlink()


def test_what_the_model_did_not_draw_is_no_worse_reply(run: Run, shop: Talks, role: None, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    run("sessions", "report", "--rows", str(out), "--as", "preference")
    fill(tmp_path / "rows.todo.csv", "answer", {"Do you ship to Norway?": "Yes.", "Which bulb fits the lamp?": "E27."})
    run("sessions", "report", "--rows", str(out), "--as", "preference", "--yes")
    rows = [row for row in read_rows(out).rows if isinstance(row, PreferenceRow)]
    assert {(row.messages[-1].text, row.chosen or row.completion, row.rejected) for row in rows} == {
        ("That is useless!", "I am sorry.", "Certainly."),
        ("Do you ship to Norway?", "Yes.", ""),
        ("Which bulb fits the lamp?", "E27.", "Any bulb."),
    }
    assert all(row.is_liked for row in rows if row.completion)


def test_labels_are_the_roles_own_examples_and_what_people_confirmed(
    run: Run, tuning_home: Path, shop: Talks, role: None, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "labels.jsonl", tmp_path / "labels.todo.csv"
    done = run("sessions", "report", "--role", "support", "--rows", str(out), "--as", "label", "--json")
    assert json.loads(done.out)["rows"]["examples"] == 8
    fill(
        sheet,
        "label",
        {"Do you ship to Norway?": "ok", "Which bulb fits the lamp?": "shipping", "你们送货到挪威吗？": "OK"},
    )
    run("sessions", "report", "--role", "support", "--rows", str(out), "--as", "label", "--yes")
    rows = {row.text: row.label for row in read_rows(out).rows if isinstance(row, LabelRow)}
    assert len(rows) == 11
    assert (
        rows["Do you ship to Norway?"] == rows["Which bulb fits the lamp?"] == rows["你们送货到挪威吗？"] == "shipping"
    )
    assert rows["我要退款"] == "refund"


def test_a_sheet_that_cannot_be_read_leaves_everything_as_it_was(
    run: Run, shop: Talks, role: None, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "rows.jsonl", tmp_path / "rows.todo.csv"
    for content in (b"message,label\nhello,refund\n", "message,answer,turns\n挪威,不,1\n".encode("gbk")):
        sheet.write_bytes(content)
        done = run("sessions", "report", "--rows", str(out))
        assert done.code == 4
        assert sheet.read_bytes() == content
        assert not out.exists()


def test_cells_are_no_formulas(run: Run, talks: Talks, tmp_path: Path) -> None:
    talks.say(talks.begin(), '=HYPERLINK("http://x")?', "-1+1", prepared="unknown")
    run("sessions", "report", "--rows", str(tmp_path / "rows.jsonl"))
    (line,) = lines_of(tmp_path / "rows.todo.csv")
    assert (line["message"], line["reply"]) == ('\'=HYPERLINK("http://x")?', "'-1+1")
    assert not (tmp_path / "rows.jsonl").exists()


def test_where_nothing_is_wanting_nothing_is_written(run: Run, talks: Talks, tmp_path: Path) -> None:
    talks.say(talks.begin(), "hello")
    done = run("sessions", "report", "--rows", str(tmp_path / "rows.jsonl"))
    assert (done.code, "there is nothing to write" in done.err) == (2, True)
    assert list(tmp_path.glob("rows*")) == []
