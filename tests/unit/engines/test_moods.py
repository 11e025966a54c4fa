"""How messages sound: complaints, calm questions about bad things, thanks; in English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmchat.engines.mood import Moods
from mmchat.engines.mood_examples import examples
from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.script import is_mostly_chinese

BAD = (
    "this is the worst shop ever",
    "I am still waiting for my parcel",
    "this is the third time I have to ask",
    "nobody answers me and I am fed up",
    "not happy with this at all",
    "the vase arrived broken",
    "😡",
    "where is it :(",
    "太差了",
    "等了三天还没发货",
    "气死我了",
    "第三次问了都没人理",
    "我不喜欢这个",
    "到底怎么回事，太过分了",
)
GOOD = (
    "thank you so much",
    "I love it",
    "this is great",
    "谢谢",
    "太棒了",
    "很满意",
    "😊",
    "that works :)",
    "not bad at all",
)
CALM = (
    "how do I get a refund",
    "I have a problem with the login page",
    "what happens if my card is lost or stolen",
    "how do I file a complaint",
    "do you repair broken chairs",
    "can I cancel my order",
    "the order number is 4711",
    "怎么退款",
    "登录有问题怎么办",
    "商品破损怎么退货",
    "投诉的流程是什么",
    "我要换一个尺码",
)


@pytest.fixture(params=[None, ScriptedEmbedder()], ids=["words", "vectors"])
def moods(request: pytest.FixtureRequest) -> Moods:
    return Moods(request.param)


@pytest.mark.parametrize("text", BAD)
def test_a_complaint_sounds_bad(moods: Moods, text: str) -> None:
    mood = moods.read(text)
    assert mood is not None
    assert mood < -0.2


@pytest.mark.parametrize("text", GOOD)
def test_thanks_sound_good(moods: Moods, text: str) -> None:
    mood = moods.read(text)
    assert mood is not None
    assert mood > 0.1


@pytest.mark.parametrize("text", CALM)
def test_a_calm_question_about_something_bad_is_calm(text: str) -> None:
    mood = Moods().read(text)
    assert mood is not None
    assert abs(mood) < 0.2


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("I am disappointed", "I am very disappointed"),
        ("not good", "terrible"),
        ("有点失望", "非常失望"),
        ("slightly annoyed", "annoyed"),
    ],
)
def test_words_around_a_word_make_it_stronger_or_weaker(weaker: str, stronger: str) -> None:
    low, high = Moods().read(weaker), Moods().read(stronger)
    assert low is not None
    assert high is not None
    assert high < low < 0


@pytest.mark.parametrize(
    ("plain", "denied"), [("I am happy", "I am not happy"), ("满意", "不满意"), ("好用", "不好用")]
)
def test_what_is_denied_turns_round(plain: str, denied: str) -> None:
    good, bad = Moods().read(plain), Moods().read(denied)
    assert good is not None
    assert bad is not None
    assert good > 0 > bad


def test_what_was_heard_has_no_marks() -> None:
    assert Moods().read("I hate this. Nobody answers!") == pytest.approx(
        Moods().read("i hate this nobody answers"), abs=0.1
    )


@pytest.mark.parametrize("text", ["", "  ", "4711", "Где моя посылка", "荷物はどこですか"])
def test_nothing_is_told_of_nothing_and_of_other_languages(moods: Moods, text: str) -> None:
    assert moods.read(text) is None


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_a_mood_lies_between_the_ends(text: str) -> None:
    mood = Moods(ScriptedEmbedder()).read(text) if len(text) < 3 else Moods().read(text)
    assert mood is None or -1 <= mood <= 1


def test_an_english_embedder_is_not_asked_about_chinese() -> None:
    embedder = ScriptedEmbedder()
    reader = Moods(embedder)
    reader.read("我的包裹到哪里了")
    assert not embedder.calls
    reader.read("where is my parcel")
    assert not [text for call in embedder.calls for text in call if is_mostly_chinese(text)]


def test_vectors_tell_what_no_word_does() -> None:
    said = "you keep apologising and nothing ever happens"  # one of the examples
    by_words, by_both = Moods().read(said), Moods(ScriptedEmbedder()).read(said)
    assert by_words is not None
    assert by_both is not None
    assert by_both < by_words - 0.1


def test_the_examples_are_of_both_languages_and_a_third_of_them_is_calm() -> None:
    texts = [text for text, _ in examples()]
    assert len(set(texts)) == len(texts)
    for is_chinese in (True, False):
        own = [mood for text, mood in examples() if is_mostly_chinese(text) == is_chinese]
        assert len(own) >= 80
        assert 0.25 < sum(mood == 0 for mood in own) / len(own) < 0.5
