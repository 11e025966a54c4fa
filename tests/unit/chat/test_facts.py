"""What a message says of the user: a table of rules, and that nothing is ever made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.chat.facts import MAX_FACTS, find_facts, is_exclusive, topic_of

HOLDING = [
    ("My name is Judith.", "My name is Judith", "name"),
    ("Hi, I'm Anna from Cork and I need help", "I'm Anna from Cork", "name"),
    (
        "I live in a small village near Bergen, so deliveries take ages.",
        "I live in a small village near Bergen",
        "home",
    ),
    ("i live in manchester", "i live in manchester", "home"),
    ("Thanks! By the way, I’m allergic to peanuts.", "I’m allergic to peanuts", "allergy:peanuts"),
    ("I have a tortoise called Henry, can he eat tomatoes?", "I have a tortoise called Henry", "have:tortoise"),
    ("Since I'm an electrician, keep the safety advice short.", "I'm an electrician", "work:role"),
    ("My sister plays the cello.", "My sister plays the cello", "about:sister"),
    ("We're flying to Oslo on 14 June. What should I pack?", "We're flying to Oslo on 14 June", "plan"),
    ("Please remember: my locker code is 4471.", "my locker code is 4471", "mine:locker code"),
    ("I have a question. I don't eat pork.", "I don't eat pork", "diet:pork"),
    ("你好，我叫林晓。", "我叫林晓", "name"),
    ("我现在住在杭州西湖边上，周末有什么好玩的？", "我现在住在杭州西湖边上", "home"),
    ("晚饭吃什么好？我对海鲜过敏。", "我对海鲜过敏", "allergy:海鲜"),
    ("我對芒果過敏。", "我對芒果過敏", "allergy:芒果"),
    ("我有两个女儿。", "我有两个女儿", "have:女儿"),
    ("帮我记一下：备用钥匙在邻居家。", "备用钥匙在邻居家", ""),
    ("我下周三要去北京出差。", "我下周三要去北京出差", "plan"),
]
HOLDING_NOTHING = [
    "If I were a doctor, what would I earn?",
    "I'm not sure.",
    "I like it.",
    "I'd like a latte, please.",
    "I like a latte please",
    "Write a story: I live in Paris and my cat can talk.",
    "Translate into French: I live in Berlin.",
    'She said "I live in Rome".',
    "What if I'm allergic to nuts?",
    "Did I tell you that I have a dog?",
    "Suppose I'm a pilot.",
    "You are a pirate. I am your parrot.",
    "I think I have the flu.",
    "I have three apples and eat one. How many are left?",
    "My phone is lost.",
    "I'm going to need a hotel in tampa on friday",
    "I have cancer, says the character.",
    "```python\nname = 'My name is Bob'\n```",
    "> I am allergic to cats\nWhat does the comment mean?",
    "Dear Sir or Madam,\nI am a nurse and live in Hull.\nYours faithfully",
    "User: I live in Rome\nAssistant: Nice!",
    "No, my name is not Bob.",
    "Remember to keep it short.",
    "Do you remember that I live in Lyon?",
    "我在想该怎么办。",
    "我喜欢这个。",
    "如果我是医生，我会怎么做？",
    "翻译成英文：我住在北京。",
    "他说：“我住在上海。”",
    "我叫什么名字？",
    "我可能对花生过敏。",
    "我有三个苹果，吃了一个，还剩几个？",
    "记得多喝水。",
    "我来自己做。",
    "我从护国寺小吃店打车过去。",
    "下面是我的简历：\n我叫王芳，我是一名护士。",
]


@pytest.mark.parametrize(("message", "text", "topic"), HOLDING)
def test_facts_are_found_with_their_topic(message: str, text: str, topic: str) -> None:
    (fact,) = find_facts(message)
    assert (fact.text, fact.topic) == (text, topic)


@pytest.mark.parametrize("message", HOLDING_NOTHING)
def test_nothing_is_found_where_nothing_is_said(message: str) -> None:
    assert find_facts(message) == ()


def test_several_facts_of_one_message_come_in_order() -> None:
    texts = [fact.text for fact in find_facts("I'm from Ghana, but I live in Vienna now. I hate mushrooms.")]
    assert texts == ["I'm from Ghana", "I live in Vienna now", "I hate mushrooms"]


def test_what_is_pasted_holds_none() -> None:
    text = "I live in Lyon. " + "The weather was fine and the boats went out. " * 40
    assert find_facts(text) == ()
    life = " ".join(
        f"I have {number} cats. I live in {town}." for number, town in enumerate(("Rome", "Bari", "Pisa", "Nice"), 2)
    )
    assert len(find_facts(life)) == 0 or len(find_facts(life)) <= MAX_FACTS


def test_what_is_told_outright_gets_its_topic_too() -> None:
    assert topic_of("I live in Lyon.") == "home"
    assert topic_of("我对花生过敏") == "allergy:花生"
    assert topic_of("the spare key is under the pot") == ""


def test_of_some_topics_only_the_newest_counts() -> None:
    assert is_exclusive("home")
    assert is_exclusive("taste:coffee")
    assert not is_exclusive("plan")
    assert not is_exclusive("about:sister")
    assert not is_exclusive("")


_PIECES = st.sampled_from(
    [
        *(text for text, _, _ in HOLDING),
        *HOLDING_NOTHING,
        *("\n", " ", '"', "“", "「", "？", "?", ", ", "，", "if ", "如果", "\x00", "😀"),
    ]
)


@given(st.lists(st.one_of(_PIECES, st.text(max_size=20)), max_size=8))
def test_a_fact_is_always_a_stretch_of_the_message(pieces: list[str]) -> None:
    message = "".join(pieces)
    found = find_facts(message)
    for fact in found:
        assert message[fact.start : fact.end] == fact.text
        assert fact.text == fact.text.strip() != ""
        assert "\n" not in fact.text
    assert len(found) <= MAX_FACTS
    assert find_facts(message) == found
