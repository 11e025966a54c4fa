"""Which picture a message is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.chat.picture_refs import MAX_NAMED, Named, Shown, looks_back, named_before, named_in_message

TWO = ["dog.jpg", "IMG 2041.png"]
THREE = ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("text", "names", "places"),
    [
        ("What is in the first photo?", TWO, (0,)),
        ("What can you see in the second one?", TWO, (1,)),
        ("And the last?", THREE, (2,)),
        ("What about picture 2?", THREE, (1,)),
        ("Is the animal in photo #3 a cat?", THREE, (2,)),
        ("Is the dog of the first picture in the third picture?", THREE, (0, 2)),
        ("the second of these photos, please", TWO, (1,)),
        ("What is in dog.jpg?", TWO, (0,)),
        ("Describe img 2041.png.", TWO, (1,)),
        ("第二张照片里有什么？", TWO, (1,)),
        ("最后一张是什么？", THREE, (2,)),
        ("第3张呢？", THREE, (2,)),
        ("Is it the first or the last one?", THREE, (0, 2)),
        ("第二个是什么？", TWO, (1,)),
        ("I took them on the third floor last spring.", THREE, ()),
        ("Compare these two.", TWO, ()),
        ("Compare the first photo with the other one.", TWO, ()),
        ("How does the first one differ from the rest?", THREE, ()),
        ("What do you see?", TWO, ()),
        ("比较这两张照片。", TWO, ()),
        ("第一张和另一张有什么不同？", TWO, ()),
        ("What is in the fourth photo?", TWO, ()),
        ("", TWO, ()),
    ],
)
def test_pictures_of_the_message_itself(text: str, names: list[str], places: tuple[int, ...]) -> None:
    assert named_in_message(text, names) == places


ONE_BY_ONE = [Shown("dog.jpg", ("dog", "beach"), 0), Shown("b.png", ("boat", "lake"), 4), Shown("c.png", ("cake",), 8)]
TOGETHER = [Shown("a.jpg", ("car",), 0), Shown("b.jpg", ("train",), 4), Shown("c.jpg", ("cat",), 4)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("What was in the first photo I showed you?", [Named(0, 1)]),
        ("what was the second picture of?", [Named(1, 2)]),
        ("And in that picture, is there a dog?", [Named(0)]),  # only one has a dog in it
        ("And in that picture, is there a zebra?", [Named(2)]),
        ("What did you see in the photo I sent?", [Named(2)]),
        ("In the photo with the boat, what is the weather like?", [Named(1)]),
        ("what was in dog.jpg?", [Named(0)]),
        ("And the picture before?", [Named(1)]),
        ("Which of the photos did you like best?", [Named(0), Named(1), Named(2)]),
        ("我给你看的第一张照片里有什么？", [Named(0, 1)]),
        ("那张照片里有什么？", [Named(2)]),
        ("上一张照片呢？", [Named(1)]),
        ("那张有狗的照片呢？", [Named(0)]),
        ("What is the first thing I should do?", []),
        ("Tell me about the second world war.", []),
        ("I have got the whole picture now.", []),
        ("Which of these pictures is the best?", [Named(0), Named(1), Named(2)]),
        ("这些照片里哪张最好？", [Named(0), Named(1), Named(2)]),
        ("How do I back up my photos?", []),
        ("我是说第一个。", []),
        ("I prefer the first one.", []),
        ("Give me tips for better pictures.", []),
        ("照片都存在哪里好？", []),
        ("Draw me a picture of a horse.", []),
        ("What is a good name for a dog?", []),
        ("给我画一张猫的图。", []),
        ("", []),
    ],
)
def test_pictures_shown_before(text: str, named: list[Named]) -> None:
    assert list(named_before(text, ONE_BY_ONE)) == named


@pytest.mark.parametrize(
    ("text", "lately", "named"),
    [
        ("What is in the second picture?", (1, 2), [Named(2, 2)]),
        ("What was in the second picture I showed you?", (1, 2), [Named(1, 2)]),
        ("What is in the third picture?", (1, 2), [Named(2, 3)]),
        ("Is that picture sharp?", (0,), [Named(0)]),
        ("Are these pictures sharp?", (1, 2), [Named(1), Named(2)]),
    ],
)
def test_what_was_talked_about_last_counts(text: str, lately: tuple[int, ...], named: list[Named]) -> None:
    assert list(named_before(text, TOGETHER, lately)) == named


def test_nothing_was_shown() -> None:
    assert named_before("What was in the first photo?", []) == ()


def test_looking_back_beside_a_new_picture() -> None:
    assert looks_back("Is this the dog of the photo I showed you before?")
    assert looks_back("和之前的照片比，有什么不同？")
    assert not looks_back("What is in the first photo?")


@given(st.text(max_size=60), st.integers(0, 5))
def test_any_text_names_pictures_that_there_are(text: str, count: int) -> None:
    shown = [Shown(f"{index}.png", ("dog",), index) for index in range(count)]
    named = named_before(text + " photo", shown)
    assert len(named) <= MAX_NAMED
    assert all(0 <= each.index < count for each in named)
    assert all(0 <= place < count for place in named_in_message(text, [each.name for each in shown]))
