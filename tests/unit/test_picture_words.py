"""What asks for a picture, and what Chinese words are in English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.picture_vocabulary import DOINGS, EVERYDAY, IMPLIED, WORDS_ALONE
from mmchat.picture_words import asks_for_alike, chinese_names, in_english, picture_question


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("that photo of the red bike", "red bike"),
        ("Where is the picture I showed you of two dogs in the snow?", "two dogs in snow"),
        ("Find the photos with our cat", "our cat"),
        ("I sent you a pic of my breakfast", "breakfast"),
        ("do you remember the screenshot with the error?", "screenshot with error"),
        ("红色自行车的照片", "red bicycle"),
        ("我给你看过的那张两只狗的图片呢？", "dog"),
        ("你还记得雪地里的猫那张照片吗", "snow cat"),
    ],
)
def test_who_asks_for_a_picture_says_what_is_in_it(query: str, content: str) -> None:
    question = picture_question(query)
    assert question.is_about_pictures
    assert question.content == content


@pytest.mark.parametrize(
    "query", ["what was that photo?", "那张照片在哪里", "Have I shown you this before? I sent you"]
)
def test_a_picture_may_be_asked_for_without_a_word_on_what_is_in_it(query: str) -> None:
    question = picture_question(query)
    assert question.is_about_pictures
    assert question.content in ("", "before")


@pytest.mark.parametrize(
    "query",
    [
        "hello",
        "Do you remember the red bike?",
        "What is the big picture here?",
        "Draw me a picture of a cat",
        "How do I take a good photo at night?",
        "delete the image from my docker registry",
        "How can I improve my self image?",
        "帮我画一张猫的图",
        "怎么拍照片才好看",
        "图书馆几点开门",
        "我姐姐在成都工作",
    ],
)
def test_other_questions_ask_for_none(query: str) -> None:
    assert not picture_question(query).is_about_pictures


def test_a_question_without_pictures_is_compared_as_it_stands() -> None:
    assert picture_question("The dog on the  beach").content == "the dog on the beach"


def test_chinese_is_put_into_english_word_by_word() -> None:
    assert in_english("一个穿红色外套的小女孩在骑自行车") == "wearing red jacket girl riding a bicycle"
    assert in_english("用 iPhone 拍的狗") == "iphone dog"
    assert in_english("的了吗") == ""


def test_the_everyday_words_of_the_vocabulary_have_chinese_names() -> None:
    labels = {
        entry.split(":")[0].strip()
        for table in (EVERYDAY, IMPLIED, DOINGS)
        for entry in table.replace("\n", "|").split("|")
        if ":" in entry
    }
    unnamed = {label for label in (*labels, *WORDS_ALONE) if not chinese_names(label)}
    assert unnamed == set()
    assert chinese_names("bicycle")[0] == "自行车"
    assert chinese_names("Golden Retriever")[0] == "金毛"
    assert chinese_names("no such thing") == ()


@pytest.mark.parametrize("text", ["Have I shown you this before?", "我以前给你看过这个吗？", "find pictures like this"])
def test_who_asks_for_pictures_like_theirs_is_understood(text: str) -> None:
    assert asks_for_alike(text)
    assert not asks_for_alike("What is this? 这是什么？")


@given(st.text())
def test_any_text_can_be_asked(text: str) -> None:
    question = picture_question(text)
    assert question.content == question.content.strip()
