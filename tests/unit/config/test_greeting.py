"""Nobody is called "you"."""

from __future__ import annotations

import pytest

from mmchat.config.greeting import unnamed


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        ("Hello {{user}}, this is Luz.", "Hello, this is Luz."),
        ("Hello, {{user}}, this is Luz.", "Hello, this is Luz."),
        ("Good evening {{user}}! Come in.", "Good evening! Come in."),
        ("Who are you, {{user}}?", "Who are you?"),
        ("{{user}}, welcome aboard.", "Welcome aboard."),
        ("There you are. {{user}}, sit down.", "There you are. Sit down."),
        ("I waited for {{user}}.", "I waited for you."),
        ("Tell me, {{user}} or not, what is it?", "Tell me, you or not, what is it?"),
    ],
)
def test_english(greeting: str, said: str) -> None:
    assert unnamed(greeting, "you") == said


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        ("你好{{user}}，我是露丝。", "你好，我是露丝。"),
        ("你好，{{user}}！我是露丝。", "你好！我是露丝。"),
        ("{{user}}，欢迎光临。", "欢迎光临。"),
        ("你好 {{user}} ！", "你好 ！"),
        ("我一直在等{{user}}。", "我一直在等你。"),
    ],
)
def test_chinese(greeting: str, said: str) -> None:
    assert unnamed(greeting, "你") == said
