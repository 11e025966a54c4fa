"""Nothing is lost or doubled when a file is cut, and passages are about as long as they should be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.documents.blocks import Block, tidied
from mmchat.documents.cutting import cut
from mmchat.documents.sentences import pieces_of, words_in
from mmchat.knowledge_values import ReadPiece

words = st.sampled_from(
    [
        "lamp",
        "Oak",
        "3.5",
        "e.g.",
        "Dr.",
        "returns,",
        "so:",
        "end.",
        "Why?",
        "灯。",
        "退货，三十天",
        "保修三年！",
        "\n",
        "https://a.example/b",
    ]
)
texts = st.lists(words, min_size=1, max_size=120).map(" ".join)
blocks = st.lists(
    st.builds(Block, texts, level=st.sampled_from([0, 0, 0, 1, 2, 3]), is_tight=st.booleans(), line=st.integers(1, 9)),
    max_size=12,
)


def marked(found: list[Block]) -> tuple[Block, ...]:
    """With headings that can be told from what stands under them."""
    return tidied(replace(block, text=f"§{block.text[:100]}") if block.level else block for block in found)


def letters(text: str) -> str:
    return "".join(text.split())


def told(pieces: tuple[ReadPiece, ...]) -> str:
    return letters("".join(piece.text for piece in pieces))


@given(blocks, st.sampled_from([5, 20, 120]))
def test_every_word_of_the_text_is_in_exactly_one_passage(found: list[Block], most: int) -> None:
    tidy = marked(found)
    pieces = cut(tidy, most_words=most)
    bodies = [block.text for block in tidy if not block.level]
    assert told(tuple(piece for piece in pieces if not piece.text.startswith("§"))) == letters("".join(bodies))


@given(blocks)
def test_every_heading_is_told_with_a_passage_or_as_one(found: list[Block]) -> None:
    tidy = marked(found)
    pieces = cut(tidy)
    said = "\n".join(f"{piece.heading}\n{piece.text}" for piece in pieces)
    assert all(block.text in said for block in tidy if block.level)


@given(texts, st.sampled_from([3, 10, 50]))
def test_sentences_joined_are_the_text(text: str, most: int) -> None:
    assert "".join(pieces_of(text, most)) == text


@given(blocks)
def test_passages_are_no_longer_than_they_may_be(found: list[Block]) -> None:
    pieces = cut(tidied(block for block in found if not block.level), most_words=50)
    assert all(words_in(piece.text) <= 51 for piece in pieces)


def test_headings_make_a_path_that_ends_where_they_do() -> None:
    pieces = cut(
        (
            Block("Shop", 1),
            Block("Returns", 2),
            Block("Within 30 days."),
            Block("Unused", 3),
            Block("Full price."),
            Block("Repairs", 2),
            Block("In Delft."),
        )
    )
    assert [(piece.heading, piece.text) for piece in pieces] == [
        ("Shop › Returns", "Within 30 days."),
        ("Shop › Returns › Unused", "Full price."),
        ("Shop › Repairs", "In Delft."),
    ]


def test_a_heading_that_says_it_all_is_a_passage() -> None:
    pieces = cut((Block("Questions", 1), Block("Do you ship to Rome? No.", 2), Block("Do you gift-wrap? Yes.", 2)))
    assert [(piece.heading, piece.text) for piece in pieces] == [
        ("Questions", "Do you ship to Rome? No."),
        ("Questions", "Do you gift-wrap? Yes."),
    ]


def test_a_long_section_is_cut_into_about_equal_parts_between_paragraphs() -> None:
    paragraphs = [Block(f"{'word ' * 39}end{number}.") for number in range(5)]
    sizes = [words_in(piece.text) for piece in cut(paragraphs, most_words=120)]
    assert sizes == [120, 80]


def test_a_long_paragraph_is_cut_between_sentences_in_english_and_chinese() -> None:
    english = "The oak lamp is small. " * 40
    chinese = "这盏灯三十天内可以退货。" * 40
    for text, end in ((english, "."), (chinese, "。")):
        pieces = cut((Block(text.strip()),), most_words=60)
        assert len(pieces) > 2
        assert all(piece.text.endswith(end) for piece in pieces)


def test_items_that_are_cut_from_what_introduces_them_still_say_it() -> None:
    lead = "The guarantee does not cover:"
    items = [Block(f"- {'scratch ' * 20}{n}", is_tight=True, lead=lead) for n in range(8)]
    pieces = cut((Block("Guarantee", 1), Block(lead), *items), most_words=60)
    assert pieces[0].heading == "Guarantee"
    assert pieces[0].text.startswith(lead)
    assert {piece.heading for piece in pieces[1:]} == {f"Guarantee › {lead}"}


def test_lines_and_pages_are_those_of_the_first_word() -> None:
    pieces = cut((Block("a " * 100, line=3), Block("b " * 100, line=9)), most_words=100)
    assert [piece.line for piece in pieces] == [3, 9]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("He paid. She left.", ["He paid. ", "She left."]),
        ("Dr. Smith and e.g. Mr. Li came.", ["Dr. Smith and e.g. Mr. Li came."]),
        ("It costs 3.5 euros. Fine?", ["It costs 3.5 euros. ", "Fine?"]),
        ("“走吧。”他说。好！", ["“走吧。”", "他说。", "好！"]),
    ],
)
def test_sentences_end_where_they_end(text: str, parts: list[str]) -> None:
    assert pieces_of(text, 100) == parts


def test_chinese_characters_count_for_half_a_word() -> None:
    assert words_in("灯具三十天内可以退货") == 5
    assert words_in("Lamps can be returned") == 4
    assert words_in("x" * 120) == 10
