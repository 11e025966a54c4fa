"""Tags as one sentence, in both languages: what is stated, doubted, or left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.domain import Seen, Tag
from mmchat.picture_sentences import COLOURS, DOINGS, MEDIA, PLACES, caption_of, describe, likely_words

LABELS = ("dog", "person", "apple", "elephant", "ice cream", "darkness", *MEDIA, *PLACES, *DOINGS)


def tags(**scores: float) -> tuple[Tag, ...]:
    found = [Tag(label.replace("_", " "), score) for label, score in scores.items()]
    return tuple(sorted(found, key=lambda tag: -tag.score))


@pytest.mark.parametrize(
    ("seen", "english", "chinese"),
    [
        ({}, "", ""),
        ({"dog": 0.2}, "", ""),
        ({"dog": 0.9}, "A dog.", "照片里有狗。"),
        ({"dog": 0.6}, "Probably a dog.", "照片里可能有狗。"),
        ({"dog": 0.3, "cat": 0.28}, "Perhaps a dog or a cat.", "照片里也许有狗或猫。"),
        (
            {"dog": 0.9, "grass": 0.85, "frisbee": 0.6},
            "A dog on grass, probably with a frisbee.",
            "照片里有狗，在草地上，可能还有飞盘。",
        ),
        (
            {"person": 0.95, "playing_tennis": 0.7, "tennis_racket": 0.4},
            "A person, probably playing tennis.",
            "照片里有人，可能在打网球。",
        ),
        ({"person": 0.7, "skiing": 0.7, "snow": 0.6}, "Probably a person skiing in the snow.", None),
        ({"kitchen": 0.9}, "A kitchen.", "照片里是厨房。"),
        ({"kitchen": 0.6, "oven": 0.3}, "Probably a kitchen.", "照片里可能是厨房。"),
        ({"animal": 0.9, "bowl": 0.4}, "An animal.", "照片里有动物。"),
        ({"person": 0.9, "sport": 0.9}, "A person doing sports.", "照片里有人，在运动。"),
        (
            {"person": 0.9, "playing_baseball": 0.7, "sports_field": 0.7, "bench": 0.6},
            "A person, probably playing baseball on a sports field with a bench.",
            "照片里有人，可能在运动场上，可能在打棒球，可能还有长椅。",
        ),
        ({"page_of_text": 0.95}, "A page of text.", "一页文字。"),
        ({"drawing": 0.85, "bicycle": 0.4}, "A drawing, perhaps of a bicycle.", "图画，里面也许有自行车。"),
        (
            {"black-and-white_photo": 0.9, "boat": 0.9, "sea": 0.9},
            "A black-and-white photo of a boat by the sea.",
            "黑白照片，里面有船，在海边。",
        ),
        ({"bird": 0.9, "mostly_blue": 0.7}, "A bird, mostly in blue.", "照片里有鸟，画面以蓝色为主。"),
        ({"person": 0.9, "car": 0.85, "darkness": 0.9}, "A car and a person, in the dark.", None),
    ],
)
def test_the_sentence_keeps_the_doubt(seen: dict[str, float], english: str, chinese: str | None) -> None:
    assert describe(tags(**seen)) == english
    if chinese is not None:
        assert describe(tags(**seen), is_chinese=True) == chinese


def test_what_is_done_is_said_of_somebody_only() -> None:
    assert describe(tags(tennis_racket=0.9, playing_tennis=0.7)) == "A tennis racket."


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.floats(0, 1)), max_size=6, unique_by=lambda pair: pair[0]))
def test_any_tags_make_one_whole_sentence_or_none(pairs: list[tuple[str, float]]) -> None:
    found = sorted((Tag(label, score) for label, score in pairs), key=lambda tag: -tag.score)
    english, chinese = describe(found), describe(found, is_chinese=True)
    for sentence, stop in ((english, "."), (chinese, "。")):
        assert not sentence or (sentence.endswith(stop) and sentence.count(stop) == 1)
        assert "  " not in sentence
        assert ",," not in sentence
    assert bool(english) == bool(chinese)
    if not any(tag.score >= 0.25 for tag in found):
        assert english == ""


def test_the_reader_chooses_the_language_where_there_are_tags() -> None:
    seen = Seen(tags(dog=0.9), caption="A dog.")
    assert caption_of(seen, is_chinese=False) == "A dog."
    assert caption_of(seen, is_chinese=True) == "照片里有狗。"
    own = Seen((), caption="Grandma at the lake")  # came with the picture
    assert caption_of(own, is_chinese=True) == "Grandma at the lake"


def test_words_to_list_leave_out_the_weak_and_the_looks() -> None:
    seen = tags(person=0.9, skiing=0.6, dog=0.3, mostly_white=0.9, drawing=0.8, darkness=0.9)
    assert likely_words(seen, 0.25, 4) == ["a person skiing", "a drawing", "a dog"]
    assert likely_words(seen, 0.5, 4, is_chinese=True) == ["滑雪的人", "图画"]
    assert likely_words(seen, 0.25, 1) == ["a person skiing"]
    assert {f"mostly {colour}" for colour in COLOURS} >= {"mostly red"}
