"""Intents from a few messages of each, and from a head: who is told, how sure, and when it is none of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mmchat.domain import OUT_OF_SCOPE, Likely
from mmchat.engines.intents_background import BACKGROUND
from mmchat.engines.intents_examples import RIDGE, ExampleIntents
from mmchat.engines.intents_grams import SharedGrams
from mmchat.engines.intents_head import HeadIntents, fit_scope
from mmchat.engines.intents_scope import Scale, Trial, fit_scale
from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.script import is_mostly_chinese

ROLE = {
    "refund": (
        "I want my money back", "please refund my order", "how do I get a refund", "can you refund me",
        "refund please",
        "我要退款", "请把钱退给我", "怎么申请退款", "能不能退钱给我", "我想退款",
    ),
    "delivery": (
        "where is my parcel", "when will my parcel arrive", "my parcel has not come", "track my parcel",
        "parcel is late",
        "我的包裹到哪里了", "包裹什么时候到", "包裹还没有送到", "查一下我的包裹", "包裹怎么这么慢",
    ),
}  # fmt: skip


def chance(told: Sequence[Likely], label: str) -> float:
    return next((each.probability for each in told if each.label == label), 0.0)


@pytest.mark.parametrize("embedder", [None, ScriptedEmbedder()])
@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("could I have a refund for this order", "refund"),
        ("has my parcel been sent", "delivery"),
        ("REFUND, please!!", "refund"),
        ("请问能退款吗", "refund"),
        ("包裹送到了没有", "delivery"),
        ("who painted the Mona Lisa", OUT_OF_SCOPE),
        ("谁画了蒙娜丽莎", OUT_OF_SCOPE),
        ("", OUT_OF_SCOPE),
        ("🦀", OUT_OF_SCOPE),
    ],
)
def test_a_message_is_told_by_the_examples(text: str, intent: str, embedder: ScriptedEmbedder | None) -> None:
    told = ExampleIntents(ROLE, embedder).read(text)
    assert told[0].label == intent
    assert OUT_OF_SCOPE in [each.label for each in told]
    assert [each.probability for each in told] == sorted((each.probability for each in told), reverse=True)
    assert sum(each.probability for each in told) == pytest.approx(1.0)


def test_a_single_intent_is_not_told_of_everything() -> None:
    reader = ExampleIntents({"refund": ROLE["refund"]}, ScriptedEmbedder())
    assert reader.read("I want a refund")[0].label == "refund"
    assert reader.read("who built the tallest tower of Europe")[0].label == OUT_OF_SCOPE


def test_without_an_example_everything_is_out_of_scope() -> None:
    assert ExampleIntents({"refund": (), "delivery": (" ",)}).read("refund") == (Likely(OUT_OF_SCOPE, 1.0),)


def test_what_a_role_says_is_none_of_its_intents_is_told_so() -> None:
    question = "is the parcel shop hiring"
    without = ExampleIntents(ROLE).read(question)
    given_examples = {
        **ROLE,
        OUT_OF_SCOPE: (question, "is the parcel shop looking for staff", "jobs at the parcel shop"),
    }
    assert chance(ExampleIntents(given_examples).read(question), OUT_OF_SCOPE) > chance(without, OUT_OF_SCOPE)


def test_small_talk_that_a_role_has_an_intent_for_is_that_intent() -> None:
    role = {
        **ROLE,
        "greeting": ("hey there", "good morning", "hello", "nice to meet you", "hi, how are you doing today"),
    }
    assert ExampleIntents(role).read("good morning")[0].label == "greeting"


def test_an_english_embedder_is_not_asked_about_chinese() -> None:
    embedder = ScriptedEmbedder()
    reader = ExampleIntents(ROLE, embedder)
    reader.read("我要退款")
    assert embedder.calls
    assert not [text for call in embedder.calls for text in call if is_mostly_chinese(text)]


def test_an_embedder_of_many_languages_is_asked_about_chinese() -> None:
    embedder = ScriptedEmbedder()
    embedder.is_multilingual = True  # type: ignore[attr-defined]
    ExampleIntents(ROLE, embedder).read("我要退款")
    assert embedder.calls[-1] == ("我要退款",)


def test_more_examples_make_it_surer() -> None:
    few = {intent: messages[:2] for intent, messages in ROLE.items()}
    question = "can I get my refund"
    assert chance(ExampleIntents(ROLE).read(question), "refund") > chance(ExampleIntents(few).read(question), "refund")


def test_the_scores_of_examples_left_out_are_those_of_a_fit_without_them() -> None:
    chance_numbers = np.random.default_rng(0)
    rows = chance_numbers.normal(size=(12, 5))
    kernel, targets = rows @ rows.T + 1, np.where(np.arange(12)[:, None] % 3 == np.arange(3), 1.0, -1.0)
    left = np.arange(12) % 3 == 1
    inverse = np.linalg.inv(kernel + RIDGE * np.eye(12))
    quick = targets[left] - np.linalg.solve(inverse[np.ix_(left, left)], (inverse @ targets)[left])
    without = np.linalg.solve(kernel[np.ix_(~left, ~left)] + RIDGE * np.eye(8), targets[~left])
    np.testing.assert_allclose(quick, kernel[np.ix_(left, ~left)] @ without, atol=1e-9)


def test_the_background_is_of_both_languages_and_says_nothing_twice() -> None:
    chinese = sum(map(is_mostly_chinese, BACKGROUND))
    assert min(chinese, len(BACKGROUND) - chinese) >= 80
    assert len(set(BACKGROUND)) == len(BACKGROUND)


# --- n-grams ------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_shared_grams_are_cosines(messages: list[str], text: str) -> None:
    shared = SharedGrams(messages)
    found = shared([text, *messages])
    assert found.shape == (len(messages) + 1, len(messages))
    assert (found >= 0).all()
    assert (found <= 1.0001).all()
    np.testing.assert_allclose(np.diag(found[1:]), 1, atol=1e-4)


def test_marks_and_capitals_do_not_count() -> None:
    assert SharedGrams(["where is my parcel"])(["Where is my parcel?!"])[0, 0] == pytest.approx(1)


def test_unknown_words_make_a_text_less_alike() -> None:
    shared = SharedGrams(["refund"])
    near, far = shared(["refund", "refund xylophone quartz jigsaw"])[:, 0]
    assert far < near


# --- scales -------------------------------------------------------------------------------------------


def trial(seed: int, sharpness: float, border: float) -> Trial:
    """Texts whose right answers are drawn as a scale says."""
    numbers = np.random.default_rng(seed)
    scores = numbers.normal(size=(4000, 3))
    likeness = numbers.uniform(size=4000)
    chances = Scale(sharpness, border, 4.0).probabilities(scores, likeness)
    wanted = np.array([numbers.choice(4, p=row) for row in chances])
    return Trial(scores, likeness, wanted, np.ones(4000, bool), 1.0)


@pytest.mark.parametrize(("sharpness", "border"), [(1.0, 1.0), (4.0, 2.0), (9.0, 0.0)])
def test_a_scale_is_found_again(sharpness: float, border: float) -> None:
    found = fit_scale([trial(1, sharpness, border)], Scale(5.0, 0.0, 2.0))
    assert found.sharpness == pytest.approx(sharpness, rel=0.15)
    assert found.strangeness == pytest.approx(border, abs=0.4)
    assert found.nearness == pytest.approx(4.0, abs=0.6)


def test_large_scores_do_not_throw_the_fit_off() -> None:
    scores = np.array([[20.0, -20.0], [-20.0, 20.0], [18.0, 19.0], [-9.0, -8.0]])
    known = Trial(scores, scores.max(axis=1), np.array([0, 1, 1, 2]), np.ones(4, bool), 1.0)
    found = fit_scale([known], Scale(1.0, 5.0, 0.0))
    assert found.probabilities(scores, scores.max(axis=1)).argmax(axis=1).tolist() == [0, 1, 1, 2]


# --- heads --------------------------------------------------------------------------------------------


class ScriptedHead:
    """Scores by words: each label that stands in the text scores high."""

    name = "desk"

    def __init__(
        self, labels: tuple[str, ...], *, needs_image: bool = False, scope: tuple[float, float, float] | None = None
    ) -> None:
        self.labels = labels
        self.needs_text, self.needs_image = True, needs_image
        self.scope = scope

    def scores(self, texts: Sequence[str], images: Sequence[Image.Image]) -> NDArray[np.float64]:
        assert len(images) == (len(texts) if self.needs_image else 0)
        return np.array([[9.0 if label in text else -3.0 for label in self.labels] for text in texts])


def test_a_head_tells_its_labels_and_what_is_none_of_them() -> None:
    reader = HeadIntents(ScriptedHead(("refund", "delivery")))
    assert reader.name == "desk"
    assert reader.read("a refund")[0].label == "refund"
    assert reader.read("a refund")[0].probability > 0.9
    assert reader.read("the moon")[0].label == OUT_OF_SCOPE


@pytest.mark.parametrize("label", ["oos", "out_of_scope", "OOS"])
def test_a_label_of_its_own_for_out_of_scope_counts_as_that(label: str) -> None:
    told = HeadIntents(ScriptedHead(("refund", label))).read(f"something {label}")
    assert [each.label for each in told] == [OUT_OF_SCOPE, "refund"]
    assert told[0].probability > 0.9


def test_a_head_learns_where_its_labels_end() -> None:
    wide, narrow = (HeadIntents(ScriptedHead(("refund", "parcel"), scope=(1.0, border, 0.0))) for border in (0.0, 12.0))
    assert wide.read("refund")[0].label == "refund"
    assert narrow.read("refund")[0].label == OUT_OF_SCOPE


def test_a_head_that_looks_at_pictures_gets_the_picture() -> None:
    reader = HeadIntents(ScriptedHead(("refund", "parcel"), needs_image=True))
    assert reader.read("refund", Image.new("RGB", (4, 4)))[0].label == "refund"
    assert reader.read("refund") == ()


def test_a_head_that_reads_text_tells_nothing_without_any() -> None:
    assert HeadIntents(ScriptedHead(("refund", "parcel"))).read("  ", Image.new("RGB", (4, 4))) == ()


def test_the_end_of_the_labels_lies_between_a_row_and_the_row_without_its_label() -> None:
    numbers = np.random.default_rng(0)
    wanted = np.arange(400) % 8
    scores = numbers.normal(size=(400, 8))
    scores[np.arange(400), wanted] += 10
    scale = Scale(*fit_scope(scores, wanted))
    with_label = scale.probabilities(scores, scores.max(axis=1))
    scores[np.arange(400), wanted] -= 10
    without = scale.probabilities(scores, scores.max(axis=1))
    assert (with_label.argmax(axis=1) == wanted).mean() > 0.98
    assert (without.argmax(axis=1) == 8).mean() > 0.98
