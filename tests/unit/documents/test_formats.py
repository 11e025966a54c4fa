"""Markdown, text, web pages, tables and Word documents as headings and what stands under them."""

from __future__ import annotations

import io

import pytest
from docx import Document

from mmchat.documents.blocks import TOO_DEEP, Parsed, Unreadable, tidied
from mmchat.documents.csv_file import parse_csv
from mmchat.documents.cutting import cut
from mmchat.documents.docx_file import parse_docx
from mmchat.documents.html_file import page_text, parse_html
from mmchat.documents.markdown_file import parse_markdown
from mmchat.documents.text_file import parse_text
from mmchat.knowledge_values import ReadPiece


def passages(parsed: Parsed) -> list[tuple[str, str]]:
    return [(piece.heading, piece.text) for piece in pieces(parsed)]


def pieces(parsed: Parsed) -> tuple[ReadPiece, ...]:
    return cut(tidied(parsed.blocks))


# --- Markdown -------------------------------------------------------------------------------------


def test_markdown_front_matter_gives_the_title_and_is_no_text() -> None:
    parsed = parse_markdown('---\ntitle: "Lamp care"\ntags: [a, b]\n---\n# Care\n\nDust *weekly*.\n')
    assert parsed.title == "Lamp care"
    assert passages(parsed) == [("Care", "Dust weekly.")]
    assert pieces(parsed)[0].line == 7


def test_markdown_lists_code_and_quotes_stay_what_they_are() -> None:
    text = "# Lamp\n\nYou need:\n\n1. a bulb\n2. a socket\n   - E14\n\n```sh\nturn  on\n```\n\n> Mind the\n> glass.\n"
    assert passages(parse_markdown(text)) == [
        ("Lamp", "You need:\n1. a bulb\n2. a socket\n  - E14\n\nturn  on\n\nMind the glass.")
    ]


def test_markdown_tables_tell_each_rows_columns() -> None:
    text = "| Lamp | Price |\n|---|---|\n| Heron | 119 € |\n| Moth | |\n"
    assert passages(parse_markdown(text)) == [("", "Lamp: Heron\nPrice: 119 €\n\nLamp: Moth")]


def test_markdown_links_tell_an_address_that_their_words_do_not() -> None:
    text = "Write [to us](mailto:help@shop.example), see [the shop](https://shop.example), not [here](other.md)."
    assert passages(parse_markdown(text)) == [
        ("", "Write to us (help@shop.example), see the shop (https://shop.example), not here.")
    ]


def test_markdown_comments_and_pictures() -> None:
    text = "<!-- secret -->\n\nSee ![a lamp](x.png)<br>now.\n\n<div>In <b>html</b></div>\n"
    assert passages(parse_markdown(text)) == [("", "See a lamp\nnow.\n\nIn html")]


def test_chinese_lines_are_joined_without_a_space() -> None:
    assert passages(parse_markdown("三十天内\n可以退货。\n")) == [("", "三十天内可以退货。")]


def test_markdown_that_is_nested_too_deeply_says_so() -> None:
    assert parse_markdown("> " * 500 + "deep").problem == TOO_DEEP


def test_what_would_take_the_square_of_its_length_is_read_as_text() -> None:
    assert parse_markdown("[" * 20_000 + "end").blocks[0].text.endswith("end")


# --- text -----------------------------------------------------------------------------------------


def test_text_has_underlined_headings_and_joined_lines() -> None:
    text = (
        "Shop\n====\n\nReturns\n-------\nLamps can be returned within\nthirty days of delivery by\npost.\n\n- 1\n- 2\n"
    )
    assert passages(parse_text(text)) == [
        ("Shop › Returns", "Lamps can be returned within thirty days of delivery by post.\n\n- 1\n- 2")
    ]


def test_chinese_chapters_are_headings() -> None:
    text = "第一章 总则\n本规定适用于所有灯具。\n第二章 退货\n第一节 期限\n三十天。\n"
    found = passages(parse_text("第一章 总则\n\n本规定适用于所有灯具。\n\n第二章 退货\n\n第一节 期限\n\n三十天。\n"))
    assert found == [("第一章 总则", "本规定适用于所有灯具。"), ("第二章 退货 › 第一节 期限", "三十天。")]
    assert "三十天" in passages(parse_text(text))[-1][1]


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_rows_are_told_with_the_names_of_their_columns(mark: str) -> None:
    rows = [["Order", "State", "Note"], ["17", "sent", "by post"], ["18", "", "late"]]
    parsed = parse_csv("\n".join(mark.join(row) for row in rows))
    assert passages(parsed) == [("", "Order: 17\nState: sent\nNote: by post\n\nOrder: 18\nNote: late")]


def test_a_row_that_tells_much_is_a_passage_that_its_first_cell_names() -> None:
    heron = 'Lamp,About\nHeron,"A desk lamp with a long arm, of oak and brass, dimmed"\n'
    text = heron + 'Moth,"A lamp for the wall, of birch plywood, for children"\n'
    found = parse_csv(text)
    assert [piece.heading for piece in pieces(found)] == ["Heron", "Moth"]
    assert [piece.line for piece in pieces(found)] == [2, 3]
    assert pieces(found)[0].text == "Lamp: Heron\nAbout: A desk lamp with a long arm, of oak and brass, dimmed"


def test_rows_of_numbers_have_no_names() -> None:
    assert passages(parse_csv("1,2,3\n4,5,6\n")) == [("", "1\n2\n3\n\n4\n5\n6")]


def test_two_columns_without_names_are_a_thing_and_its_value() -> None:
    assert passages(parse_csv("Weight,2\nHeight,40\n")) == [("", "Weight: 2\n\nHeight: 40")]


# --- web pages ------------------------------------------------------------------------------------

PAGE = """<!doctype html><html><head><title>Lamp &amp; care</title><style>p {}</style></head><body>
<nav><a href="/">Home</a></nav><header><h1>Care</h1></header><script>steal()</script>
<p>Wipe with a <b>dry</b> cloth.<br>Never water.</p><h2>Parts</h2><p>You may replace:</p>
<ul><li>the bulb<li>the shade<ul><li>paper</ul></ul>
<table><tr><th>Lamp</th><th>Price</th></tr><tr><td><p>Heron</p></td><td>119 &euro;</td></tr></table>
<pre>on
  off</pre><p hidden>never</p><footer>(c) us</footer></body></html>"""


def test_a_page_is_read_without_what_is_around_it() -> None:
    parsed = parse_html(PAGE)
    assert parsed.title == "Lamp & care"
    assert passages(parsed) == [
        ("Care", "Wipe with a dry cloth.\nNever water."),
        (
            "Care › Parts",
            "You may replace:\n- the bulb\n- the shade\n  - paper\n\nLamp: Heron\nPrice: 119 €\n\non\n  off",
        ),
    ]


def test_the_main_part_of_a_page_is_what_counts() -> None:
    page = f"<body><div>Cookies?</div><main><h1>Returns</h1><p>{'Thirty days. ' * 30}</p></main><div>Buy!</div></body>"
    assert {piece.heading for piece in pieces(parse_html(page))} == {"Returns"}
    assert not any("Cookies" in piece.text or "Buy" in piece.text for piece in pieces(parse_html(page)))


def test_entities_that_a_page_declares_are_not_expanded() -> None:
    page = (
        '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "yy">]><p>&x; &y; ok</p>'
    )
    assert passages(parse_html(page)) == [("", "&x; &y; ok")]


def test_a_page_that_is_nested_too_deeply_says_so() -> None:
    assert parse_html("<div>" * 5_000 + "deep").problem == TOO_DEEP


@pytest.mark.parametrize("encoding", ["gb2312", "gbk", "big5", "utf-8", "utf-16"])
def test_pages_are_read_in_the_encoding_that_they_name(encoding: str) -> None:
    name = "utf-8" if encoding == "utf-16" else encoding
    page = f'<html><head><meta charset="{name}"></head><body><p>三十天可以修理</p></body></html>'
    assert passages(parse_html(page_text(page.encode(encoding)))) == [("", "三十天可以修理")]


# --- Word -----------------------------------------------------------------------------------------


def word_file() -> bytes:
    document = Document()
    document.core_properties.title = "Shop manual"
    document.add_heading("Manual", 0)
    document.add_heading("Returns", 1)
    document.add_paragraph("Within thirty days, except:")
    document.add_paragraph("bulbs", style="List Bullet")
    document.add_paragraph("gift cards", style="List Bullet")
    table = document.add_table(rows=2, cols=3)
    for cell, text in zip(
        [*table.rows[0].cells, *table.rows[1].cells], ["Lamp", "Price", "Bulb", "Heron", "119", "LED"], strict=True
    ):
        cell.text = text
    document.add_heading("退货", 2)
    document.add_paragraph("三十天。")
    saved = io.BytesIO()
    document.save(saved)
    return saved.getvalue()


def test_word_documents_have_headings_items_and_tables() -> None:
    parsed = parse_docx(word_file())
    assert parsed.title == "Shop manual"
    assert passages(parsed) == [
        (
            "Manual › Returns",
            "Within thirty days, except:\n- bulbs\n- gift cards\n\nLamp: Heron\nPrice: 119\nBulb: LED",
        ),
        ("Manual › Returns › 退货", "三十天。"),
    ]


def test_damaged_and_old_word_files_are_told_apart() -> None:
    data = word_file()
    for broken in (b"PK\x03\x04", data[: len(data) // 2], b"hello", data[:-40] + b"x" * 40):
        with pytest.raises(Unreadable, match="damaged"):
            parse_docx(broken)
    with pytest.raises(Unreadable, match="password"):
        parse_docx(b"\xd0\xcf\x11\xe0 old")
