"""Every style tells several pictures, in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmchat.chat.note_styles import STYLES
from mmchat.chat.wording import turn_messages
from mmchat.domain import Attachment, Seen, Tag, Turn


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("text", "labels"), [("Compare them.", ("dog", "cat")), ("比较一下。", ("狗", "猫"))])
def test_all_of_them_are_told_before_the_question(style: str, text: str, labels: tuple[str, str]) -> None:
    files = tuple(
        Attachment(label, "t", "image", f"{label}.png", "", "", 0, Path(), seen=Seen((Tag(label, 0.9),), text="EXIT"))
        for label in labels
    )
    messages = turn_messages(Turn("t", "s", None, "user", text, "complete", "", attachments=files), style=style)
    told = " ".join(message.text for message in messages)
    assert 0 <= told.index(labels[0]) < told.index(labels[1])
    assert told.count("EXIT") == 2
    assert messages[-1].text.endswith(text)
    assert [message.role for message in messages] in (["user"], ["user", "assistant", "user"])
