"""What kind of thing a question asks for, and which sentences name one."""

from __future__ import annotations

import pytest

from mmchat.chat.answer_kinds import answers, kind_of


@pytest.mark.parametrize(
    ("question", "kind", "text", "other"),
    [
        ("How long do I have?", "duration", "within 30 days", "Send the first one back."),
        ("Until when can I return it?", "duration", "at most two weeks", "It is red."),
        ("多久能到？", "duration", "三个工作日之内", "请先退回来"),
        ("保修几年？", "duration", "保修三年", "灯泡不保修"),
        ("How much is shipping?", "money", "It costs 4.90 euros.", "We ship to Spain."),
        ("运费多少钱？", "money", "收 4.90 欧元", "送到西班牙"),
        ("How many people can come?", "number", "for eight people", "Please sign up."),
        ("最多几个人？", "number", "最多八个人", "请写信报名"),
        ("When do you open?", "moment", "from Wednesday to Saturday", "All lamps hang there."),
        ("你们几点开门？", "moment", "十点到十八点", "所有的灯都亮着"),
        ("Where is the shop?", "place", "in front of the workshop", "Dogs are welcome."),
        ("门店在哪里？", "place", "地址是桥街十二号", "可以带狗"),
    ],
)
def test_a_question_tells_what_answers_it(question: str, kind: str, text: str, other: str) -> None:
    asked = kind_of(question)
    assert asked is not None
    assert asked.name == kind
    assert answers(asked, text)
    assert not answers(asked, other)


@pytest.mark.parametrize("question", ["Do you sell lamps?", "Which bulb fits?", "可以退货吗？", "", "!"])
def test_other_questions_ask_for_nothing_that_their_form_tells(question: str) -> None:
    assert kind_of(question) is None
