"""Characters come out as they were asked for, in the text and in its words alike."""

from __future__ import annotations

import pytest

from mmchat.domain import Segment, Word
from mmchat.engines.chinese_script import in_script


def segment(text: str) -> Segment:
    return Segment(0.0, 1.0, text, words=tuple(Word(each, 0.0, 1.0, 0.5) for each in text))


@pytest.mark.parametrize(
    ("heard", "wanted", "shown"),
    [
        ("其餘12位選手被分為四組。", "simplified", "其余12位选手被分为四组。"),
        ("其余12位选手", "simplified", "其余12位选手"),
        ("她的头发很长，我发现了。", "traditional", "她的頭髮很長，我發現了。"),
        ("其餘选手 OK", "any", "其餘选手 OK"),
    ],
)
def test_the_wanted_characters_come(heard: str, wanted: str, shown: str) -> None:
    outcome = in_script(segment(heard), wanted)
    assert outcome.text == shown
    assert "".join(word.text for word in outcome.words) == shown
    assert [word.probability for word in outcome.words] == [0.5] * len(heard)
