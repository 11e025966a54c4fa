"""Only what tells something is told: neither old questions and orders, nor anything to a greeting."""

from __future__ import annotations

import pytest

from mmchat.chat.worth import is_small_talk, telling_sentences, worth_telling
from mmchat.domain import Recalled, Role


def note(text: str, role: Role = "user") -> Recalled:
    return Recalled("s", "t", role, text, "2026-01-01T00:00:00Z", 0.03)


@pytest.mark.parametrize(
    "text",
    [
        "My cat is called Pixel.",
        "The Wi-Fi password is marmalade.",
        "Please remember that I am allergic to peanuts",
        "What should I feed my cat Pixel?",
        "Pixel is ill. What should be done?",
        "Amelia plays the cello",
        "我的猫叫小雪。",
        "酒店订在宽窄巷子附近。",
        "我对花生过敏，推荐菜谱的时候请注意。",
    ],
)
def test_what_the_user_told_is_told(text: str) -> None:
    assert worth_telling("anything", [note(text)])


@pytest.mark.parametrize(
    "text",
    [
        "Hello there\n\nSay this in French:",
        "What is the capital of France?",
        "Name three primary colours.",
        "Could you write a story about a holiday?",
        "Tell me a joke. Another one, please?",
        "Hi",
        "天空是什么颜色？",
        "请介绍一下成都。",
        "帮我写一首诗。",
    ],
)
def test_old_questions_and_orders_are_not(text: str) -> None:
    assert worth_telling("anything", [note(text)]) == ()
    assert worth_telling("What did I ask you?", [note(text)])


def test_the_models_orders_are_advice_and_its_questions_are_nothing() -> None:
    asked = "What did you suggest for reversing a list?"
    assert worth_telling(asked, [note("Use reversed(items).", "assistant")])
    assert worth_telling(asked, [note("Hello! How are you?", "assistant")]) == ()


def test_a_reply_is_no_fact_unless_asked_for() -> None:
    reply = note("The cat in the story is called Jigsaw.", "assistant")
    assert worth_telling("What is my cat called?", [reply]) == ()
    assert worth_telling("你之前建议过什么？", [reply]) == (reply,)


@pytest.mark.parametrize(
    "text", ["Hello", "hi there!", "Thanks, thank you very much.", "OK, go on", "你好", "好的，谢谢！"]
)
def test_small_talk_is_known(text: str) -> None:
    assert is_small_talk(text)


@pytest.mark.parametrize(
    "text", ["", "Hello, where is Pixel?", "Pixel", "成都", "你好，我对什么过敏？", "What is this?"]
)
def test_what_asks_for_something_is_not_small_talk(text: str) -> None:
    assert not is_small_talk(text)


@pytest.mark.parametrize(
    "said",
    [
        "My mail is ann@example.com, order LO-204518.",
        "I paid 12.50 for it with app v1.2.3 and sent lamp.final.jpg.",
        "I ordered at https://shop.example/a.php?id=1.2 yesterday.",
        "我的邮箱是ann@example.com，付了12.5元。",
    ],
)
def test_a_dot_with_no_blank_after_it_ends_no_sentence(said: str) -> None:
    assert telling_sentences(f"{said} I am Ann.") == (said, "I am Ann.")


def test_sentences_end_where_they_do() -> None:
    assert telling_sentences("I waited... I am angry!! We moved.") == ("I waited...", "I am angry!!", "We moved.")
    assert telling_sentences("我的灯坏了.我要退款。我很生气") == ("我的灯坏了.", "我要退款。", "我很生气")
