"""Rows with pictures as examples: what a caption answers, and who sees whom behind one prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmchat.rows.picture_questions import QUESTIONS, as_sentence, picture_questions, question_for
from mmchat.rows.values import CaptionRow, Place
from mmchat.train.projector_rows import BranchedExample, branch_layout, caption_dialogue
from mmchat.train.samples import IGNORED, Example


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a dog runs", "A dog runs."),
        ("Two kids in red jerseys are playing soccer .", "Two kids in red jerseys are playing soccer."),
        ("some outdoor tables sitting next to  some umbrellas", "Some outdoor tables sitting next to some umbrellas."),
        ("What a day !", "What a day!"),
        ("一只狗在跑", "一只狗在跑。"),
        ("一只狗在跑。", "一只狗在跑。"),
        ("", ""),
    ],
)
def test_a_caption_is_said_as_a_sentence(written: str, said: str) -> None:
    assert as_sentence(written) == said
    assert as_sentence(said) == said


@given(st.text(), st.sampled_from(["en", "zh", "fr", ""]))
def test_a_row_is_always_asked_the_same(place: str, language: str) -> None:
    question = question_for(place, language)
    assert question == question_for(place, language)
    assert question in picture_questions(language)


def test_a_caption_answers_in_its_own_language() -> None:
    asked = {}
    for captions, language in ((("a dog",), ""), (("一只狗",), ""), (("ein Hund",), "de")):
        row = CaptionRow(Place(Path("rows.jsonl"), 3), Path("/a.png"), captions, language)
        dialogue = caption_dialogue(row, captions[0])
        assert [message.role for message in dialogue.messages] == ["user", "assistant"]
        assert [part.kind for part in dialogue.messages[0].parts] == ["image", "text"]
        asked[captions[0]] = dialogue.messages[0].text
    assert asked["a dog"] in QUESTIONS["en"]
    assert asked["一只狗"] in QUESTIONS["zh"]
    assert asked["ein Hund"] in QUESTIONS["en"]


def test_branches_see_the_prompt_and_themselves() -> None:
    """Prompt 1 2 3, replies "4 5" and "6"; 3 stands again before 6, and the last column is padding."""
    example = BranchedExample((1, 2, 3, 4, 5, 3, 6), (IGNORED, IGNORED, IGNORED, 4, 5, IGNORED, 6), (5,))
    positions, sees = branch_layout(example, 8)
    assert positions.tolist() == [0, 1, 2, 3, 4, 2, 3, 7]
    assert [set(row.nonzero().flatten().tolist()) for row in sees] == [
        {0},
        {0, 1},
        {0, 1, 2},
        {0, 1, 2, 3},
        {0, 1, 2, 3, 4},
        {0, 1, 5},
        {0, 1, 5, 6},
        {7},
    ]


@given(st.integers(1, 12), st.integers(0, 5))
def test_an_example_without_branches_sees_all_before_it(length: int, padding: int) -> None:
    example = Example(tuple(range(length)), (IGNORED,) * (length - 1) + (length - 1,))
    positions, sees = branch_layout(example, length + padding)
    assert positions.tolist() == list(range(length + padding))
    assert torch.equal(sees[:length, :length], torch.ones(length, length, dtype=torch.bool).tril())
    assert not sees[:length, length:].any()
