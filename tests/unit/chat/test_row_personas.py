"""What the `persona` of a row stands for: a text, or a role by its name."""

from __future__ import annotations

import pytest

from mmchat.chat.roles import find_persona, system_text
from mmchat.errors import UsageError


@pytest.mark.parametrize("key", ["tutor", "tutor:zh", " tutor "])
def test_a_roles_name_stands_for_its_text(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")  # a row means the same in every terminal
    language = "zh" if key.endswith(":zh") else "en"
    assert system_text(key) == find_persona("tutor").role.texts[language].system


@pytest.mark.parametrize("text", ["", "You are Ann.", "你是安。", "Ann, a pilot"])
def test_a_text_stands_for_itself(text: str) -> None:
    assert system_text(text) == text


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("tutr", "persona: There is no role 'tutr'. Did you mean 'tutor'?"),
        ("tutor:fr", "persona: The role 'tutor' does not speak 'fr'."),
    ],
)
def test_a_name_that_is_no_roles_is_refused(key: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        system_text(key)
    assert caught.value.message == complaint
