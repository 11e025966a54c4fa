"""PDF: headings by size, paragraphs, pages, running heads, Chinese; files that cannot be read."""

from __future__ import annotations

from threading import Event

import pytest

from mmchat.documents.blocks import Unreadable, tidied
from mmchat.documents.cutting import cut
from mmchat.documents.pdf_file import parse_pdf
from mmchat.knowledge_values import ReadPiece
from tests.paper import Line, make_pdf

BODY = [
    "Lamps that you bought from us can be returned within thirty days of the day on which",
    "they were delivered. Unused lamps are paid back in full. Of used ones we keep what the",
    "use has cost.",
]


def pieces(data: bytes) -> tuple[ReadPiece, ...]:
    return cut(tidied(parse_pdf(data).blocks))


def test_larger_lines_are_headings_and_lines_become_paragraphs() -> None:
    found = pieces(make_pdf([[("Shop manual", 20.0), ("Returns", 15.0), *BODY, "", "Bulbs are sealed."]]))
    assert [(each.heading, each.page) for each in found] == [("Shop manual › Returns", 1)]
    assert found[0].text == " ".join(BODY) + "\n\nBulbs are sealed."


def test_pages_are_told_and_running_heads_left_out() -> None:
    pages: list[list[Line]] = [
        ["Lumen & Oak manual", (f"Chapter {number}", 16.0), *BODY, f"Unlike page {'x' * number}.", str(number)]
        for number in range(1, 6)
    ]
    found = pieces(make_pdf(pages))
    assert [(each.heading, each.page) for each in found] == [(f"Chapter {number}", number) for number in range(1, 6)]
    assert not any("manual" in each.text or each.text.endswith("1") for each in found)


def test_words_that_were_parted_at_the_end_of_a_line_are_whole_again() -> None:
    lines = ["The guarantee does not cover scratches and dents, nor does it cover da-", "mage by water."]
    assert "cover damage by water" in pieces(make_pdf([lines]))[0].text


def test_chinese_is_read_without_spaces_between_lines() -> None:
    found = pieces(
        make_pdf([[("退货", 18.0), "灯具三十天内可以退货，没有使用过的灯具全额退款，", "使用过的要扣除费用。"]])
    )
    assert (found[0].heading, found[0].text) == (
        "退货",
        "灯具三十天内可以退货，没有使用过的灯具全额退款，使用过的要扣除费用。",
    )


def test_pages_without_text_are_named() -> None:
    parsed = parse_pdf(make_pdf([BODY, [], BODY]))
    assert parsed.problem == "Page 2 is without text: empty, or a picture."


def test_a_file_of_pictures_says_so() -> None:
    with pytest.raises(Unreadable, match="pictures without text"):
        parse_pdf(make_pdf([[], []]))


def test_a_locked_file_says_so() -> None:
    with pytest.raises(Unreadable, match="password"):
        parse_pdf(make_pdf([BODY], password="oak"))


@pytest.mark.parametrize("cut_to", [0, 5, 40, 300])
def test_a_damaged_file_says_so(cut_to: int) -> None:
    with pytest.raises(Unreadable, match="damaged"):
        parse_pdf(make_pdf([BODY])[:cut_to])


def test_reading_stops_when_it_is_asked_to() -> None:
    over = Event()
    over.set()
    with pytest.raises(Unreadable, match="0 of 1 pages"):
        parse_pdf(make_pdf([BODY]), is_over=over.is_set)


def test_the_title_is_the_files_own_or_its_largest_heading() -> None:
    assert parse_pdf(make_pdf([[("Manual", 20.0), *BODY]], title="Lamps for all")).title == "Lamps for all"
    assert parse_pdf(make_pdf([[("Manual", 20.0), *BODY]], title="untitled.docx")).title == "Manual"
