"""A greeting without the name of the user, which is not known."""

from __future__ import annotations

import re

USER = "{{user}}"
"""The user's name in character cards, and in what people write after them."""
_NAME = re.escape(USER)
_END = r"(?=\s*(?:[,.!?…;:—，。！？；：～~]|$))"
"""What follows somebody who is addressed, and not spoken of ("{{user}} comes in")."""
_BEGINNING = r"(?:^|(?<=[.!?…。！？\n])|(?<=[.!?…] ))"
_ADDRESSED = re.compile(
    rf"{_BEGINNING}{_NAME}\s*[,!，！]\s*(?P<next>\w?)"
    rf"|\s*[,，]\s*{_NAME}{_END}"
    r"|(?P<hello>\b(?:hello|hi|hey|hiya|howdy|ahoy|welcome(?: back)?|greetings|good (?:morning|afternoon|evening|day))"
    rf"|[你您]好|嗨|嘿|哈喽|欢迎(?:回来|光临)?|(?:早上|上午|中午|下午|晚上)好|早安|晚安)\s*{_NAME}{_END}",
    re.IGNORECASE,
)


def unnamed(greeting: str, you: str) -> str:
    """Leave the name out where the user is addressed by it: "Hello {{user}}, I am …" is "Hello, I am …".

    Args:
        greeting: in English or Chinese.
        you: stands for the name anywhere else.
    """

    def rest(found: re.Match[str]) -> str:
        return found["hello"] or (found["next"] or "").upper()

    return _ADDRESSED.sub(rest, greeting.strip()).replace(USER, you).strip()
