"""From class probabilities to words: grouping, doubt, and the sentence made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mmchat.domain import Tag
from mmchat.engines.see import describe
from mmchat.engines.vision_tags import ASSEMBLED_CURVES, RAW_CURVES, softmax, tag_words
from mmchat.engines.vocabulary import build_vocabulary

# OpenCLIP's names are not needed here, and importing them takes seconds.
NAMES = [f"class {index}" for index in range(1000)]
VOCABULARY = build_vocabulary(NAMES)
DOGS, HORSE, TENCH = range(151, 269), 339, 0


def probabilities(**at: float) -> NDArray[np.float64]:
    """Named classes as given, the rest of the mass spread evenly."""
    values: NDArray[np.float64] = np.full(len(VOCABULARY.class_names), 0.0)
    for name, value in at.items():
        values[int(name.removeprefix("c"))] = value
    values += (1 - values.sum()) / len(values)
    return values


def test_every_class_stands_under_exactly_one_thing() -> None:
    things = [word for word in VOCABULARY.words if word.kind == "thing"]
    classes = sorted(index for word in things for index in word.classes)
    assert classes == list(range(len(VOCABULARY.class_names)))
    assert len({word.label for word in VOCABULARY.words}) == len(VOCABULARY.words)


def test_breeds_add_up_to_a_dog() -> None:
    spread = probabilities(**{f"c{index}": 0.8 / len(DOGS) for index in DOGS})
    tags = tag_words(spread, VOCABULARY, ASSEMBLED_CURVES, 5)
    assert tags[0].label == "dog"
    assert "animal" not in {tag.label for tag in tags}  # "dog" says it better


def test_a_clear_breed_follows_its_word() -> None:
    labels = [tag.label for tag in tag_words(probabilities(c207=0.9), VOCABULARY, ASSEMBLED_CURVES, 5)]
    assert labels[:2] == ["dog", "class 207"]


def test_unsure_between_animals_says_animal() -> None:
    mixed = probabilities(c339=0.2, c345=0.2, c281=0.2, c207=0.2)
    assert tag_words(mixed, VOCABULARY, ASSEMBLED_CURVES, 5)[0].label == "animal"


def test_even_spread_says_nothing() -> None:
    assert tag_words(probabilities(), VOCABULARY, RAW_CURVES, 5) == ()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, len(VOCABULARY.class_names), elements=st.floats(-20, 20, width=32)), st.integers(1, 8))
def test_tags_are_ordered_probabilities_without_repetition(logits: NDArray[np.float32], top_k: int) -> None:
    for curves in (ASSEMBLED_CURVES, RAW_CURVES):
        tags = tag_words(softmax(logits), VOCABULARY, curves, top_k)
        scores = [tag.score for tag in tags]
        assert len(tags) <= top_k
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert len({tag.label for tag in tags}) == len(tags)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ((), ""),
        ((Tag("dog", 0.1),), ""),
        ((Tag("dog", 0.9),), "A dog."),
        ((Tag("dog", 0.9), Tag("street", 0.6), Tag("apple", 0.3)), "A dog; probably the street; maybe an apple."),
        ((Tag("food", 0.6), Tag("cup", 0.5), Tag("knife", 0.3), Tag("fork", 0.3)), None),
        ((Tag("a cat", 0.9),), "A cat."),
    ],
)
def test_the_sentence_keeps_the_doubt(tags: tuple[Tag, ...], sentence: str | None) -> None:
    expected = "Probably food and a cup; maybe a knife or a fork." if sentence is None else sentence
    assert describe(tags) == expected
