"""From class probabilities to words: grouping, doubt, and what the pixels add."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mmchat.engines.picture_looks import DRAWING, GREY_PHOTO, PHOTO, TEXT, Looks
from mmchat.engines.tag_prototypes import Prototypes, word_directions
from mmchat.engines.vision_tags import ASSEMBLED_CURVES, MIN_SCORE, RAW_CURVES, Sight, above_noise, softmax, tag_words
from mmchat.picture_sentences import COLOURS, DOINGS, MEDIA, PLACES, SPORT, chinese_word
from mmchat.picture_vocabulary import build_vocabulary, plain_label

# OpenCLIP's names are not needed here, and importing them takes seconds.
NAMES = [f"class {index}" for index in range(1000)]
VOCABULARY = build_vocabulary(NAMES)
WORDS = [word.label for word in VOCABULARY.words]
DOGS, HORSE, TENCH = range(151, 269), 339, 0


def looks(kind: str = PHOTO, *, grass: float = 0.0, brightness: float = 0.5, **colours: float) -> Looks:
    return Looks(kind, tuple(colours.items()), brightness, grass)


def sight(values: NDArray[np.float64], seen: Looks | None = None, **near: float) -> Sight:
    """What would be seen: each word as near as its evidence suggests, but for those given."""
    above = above_noise(values)
    likeness = np.array([0.5 * min(1.0, float(above[list(word.classes)].sum())) for word in VOCABULARY.words])
    for label, value in near.items():
        likeness[WORDS.index(label)] = value
    return Sight(above, likeness, seen)


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
    tags = tag_words(sight(spread), VOCABULARY, ASSEMBLED_CURVES, 5)
    assert tags[0].label == "dog"
    assert "animal" not in {tag.label for tag in tags}  # "dog" says it better


def test_a_clear_breed_follows_its_word() -> None:
    tags = tag_words(sight(probabilities(c207=0.95)), VOCABULARY, ASSEMBLED_CURVES, 5)
    assert [tag.label for tag in tags[:2]] == ["dog", "class 207"]
    assert tags[1].score <= tags[0].score


def test_unsure_between_animals_says_animal() -> None:
    mixed = probabilities(c339=0.2, c345=0.2, c281=0.2, c207=0.2)
    assert tag_words(sight(mixed), VOCABULARY, ASSEMBLED_CURVES, 5)[0].label == "animal"


def test_what_is_probably_wrong_is_not_said() -> None:
    nothing = sight(probabilities(), person=0.0)
    assert tag_words(nothing, VOCABULARY, RAW_CURVES, 5) == ()
    assert tag_words(nothing, VOCABULARY, ASSEMBLED_CURVES, 5) == ()


def test_what_somebody_does_needs_somebody() -> None:
    racket = probabilities(c752=0.9)
    alone = tag_words(sight(racket, person=-0.9), VOCABULARY, ASSEMBLED_CURVES, 9)
    held = tag_words(sight(racket, person=0.9), VOCABULARY, ASSEMBLED_CURVES, 9)
    assert "playing tennis" not in {tag.label for tag in alone}
    assert {"playing tennis", "person"} <= {tag.label for tag in held}
    assert "swimming" not in {tag.label for tag in held}


def test_a_page_of_text_is_not_named_by_a_network_for_photos() -> None:
    dog = probabilities(c207=0.95)
    page = tag_words(sight(dog, looks(TEXT)), VOCABULARY, ASSEMBLED_CURVES, 5)
    assert [tag.label for tag in page] == [TEXT]
    drawn = {tag.label: tag.score for tag in tag_words(sight(dog, looks(DRAWING)), VOCABULARY, ASSEMBLED_CURVES, 5)}
    photo = {tag.label: tag.score for tag in tag_words(sight(dog, looks()), VOCABULARY, ASSEMBLED_CURVES, 5)}
    assert DRAWING in drawn
    assert drawn["dog"] < photo["dog"]


def test_the_pixels_add_colour_darkness_grass_and_the_lack_of_colour() -> None:
    dog = probabilities(c207=0.95)
    seen = looks(GREY_PHOTO, grass=0.9, brightness=0.1, green=0.7, red=0.1)
    labels = {tag.label for tag in tag_words(sight(dog, seen), VOCABULARY, ASSEMBLED_CURVES, 9)}
    assert {"dog", "grass", "mostly green", "darkness", GREY_PHOTO} <= labels
    assert "mostly red" not in labels
    plain = {tag.label for tag in tag_words(sight(dog, looks()), VOCABULARY, ASSEMBLED_CURVES, 9)}
    assert not plain & {"grass", "mostly green", "darkness", PHOTO}


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, len(VOCABULARY.class_names), elements=st.floats(-20, 20, width=32)),
    arrays(np.float64, len(VOCABULARY.words), elements=st.floats(-1, 1)),
    st.integers(1, 8),
)
def test_tags_are_ordered_probabilities_without_repetition(
    logits: NDArray[np.float32], likeness: NDArray[np.float64], top_k: int
) -> None:
    for curves in (ASSEMBLED_CURVES, RAW_CURVES):
        tags = tag_words(Sight(above_noise(softmax(logits)), likeness, looks(blue=0.6)), VOCABULARY, curves, top_k)
        scores = [tag.score for tag in tags]
        assert len(tags) <= top_k
        assert scores == sorted(scores, reverse=True)
        assert all(MIN_SCORE <= score <= 1 for score in scores)
        assert len({tag.label for tag in tags}) == len(tags)


def test_directions_are_those_of_the_classes_and_of_texts_only_where_there_are_none() -> None:
    rows = np.random.default_rng(3).normal(size=(len(VOCABULARY.class_names), 32)).astype(np.float32)
    directions = word_directions(Prototypes(rows, np.zeros(len(rows), np.float32), is_unit=False), VOCABULARY)
    lengths = np.linalg.norm(directions, axis=1)
    grass = WORDS.index("grass")
    np.testing.assert_allclose(np.delete(lengths, grass), 1, atol=1e-5)
    assert lengths[grass] == 0  # told by pixels alone
    centred = rows[HORSE] - rows[:1000].mean(axis=0)
    np.testing.assert_allclose(directions[WORDS.index("horse")], centred / np.linalg.norm(centred), atol=1e-5)
    changed = rows.copy()
    changed[VOCABULARY.class_names.index("woman")] *= -5
    again = word_directions(Prototypes(changed, np.zeros(len(rows), np.float32), is_unit=False), VOCABULARY)
    np.testing.assert_allclose(again[WORDS.index("person")], directions[WORDS.index("person")], atol=1e-5)


def test_every_word_can_be_put_into_both_sentences() -> None:
    kinds = {word.label: word.kind for word in VOCABULARY.words}
    assert set(DOINGS) == {label for label, kind in kinds.items() if kind == "doing"}
    assert set(PLACES) >= {label for label, kind in kinds.items() if kind in ("place", "ground")}
    assert set(PLACES) <= set(kinds)
    assert kinds[SPORT[0]] == "family"
    named = [label for label in kinds if not label.startswith("class ")]
    said = (*named, *MEDIA, "darkness", *(f"mostly {colour}" for colour in COLOURS))
    assert [label for label in said if chinese_word(label).isascii()] == []


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("dog", "dog"),
        ("A photo of a  Dog.", "dog"),
        ("an orange", "orange"),
        ("the sea", "sea"),
        ("antelope", "antelope"),
    ],
)
def test_labels_are_taken_for_the_words_they_mean(label: str, word: str) -> None:
    assert plain_label(label) == word


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_softmax_sums_to_one(shape: tuple[int, ...]) -> None:
    np.testing.assert_allclose(softmax(np.full(shape, 1e4, np.float32)).sum(-1), 1)
