"""The repetition guard and the stop strings, as every language model uses them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.engines.reply_text import ReplyText

SENTENCE = "The sky is blue because of the way that light is scattered. "
TABLE = "| Name | Age | City |\n|------|-----|------|\n" + "".join(
    f"| Person {index} | {20 + index} | Paris |\n" for index in range(40)
)
CODE = "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n\n" + "".join(
    f"    assert f({index}) == {index % 2}\n" for index in range(40)
)
HONEST = {
    "laughter": "ha " * 20 + "that is funny",
    "table": TABLE,
    "code": CODE,
    "list": "".join(f"{index}. item number {index}\n" for index in range(1, 60)),
    "rule": "-" * 120 + "\nNext part\n" + "=" * 120,
    "matrix": "[0, 0, 0, 0, 0, 0, 0, 0]\n" * 8,
    "refrain": "Row, row, row your boat,\nGently down the stream.\n" * 2,
    "chinese": "床前明月光，疑是地上霜。举头望明月，低头思故乡。" * 2,
    "chinese laughter": "哈哈哈哈哈哈哈哈，真好笑",
}
LOOPS = {
    "sentence": SENTENCE,
    "phrase": "I like cats. ",
    "chinese sentence": "我喜欢在公园里散步。",
    "chinese without marks": "今天天气很好我们去玩",
    "paragraph": (SENTENCE + "It was a long day in the old town, and nobody knew what would come of it. ") * 1 + "\n\n",
    "blank lines": "\n",
}


def shown(text: str, piece: int = 4, stop: tuple[str, ...] = ()) -> tuple[str, str | None]:
    reply = ReplyText(stop)
    parts = [reply.push(text[start : start + piece]) for start in range(0, len(text), piece)]
    return "".join(parts) + reply.flush(), reply.ended_by


@pytest.mark.parametrize("name", HONEST)
def test_honest_repetition_passes_unchanged(name: str) -> None:
    assert shown(HONEST[name]) == (HONEST[name], None)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_cut(name: str) -> None:
    text, ended_by = shown("An honest beginning.\n" + LOOPS[name] * 600)
    assert ended_by == "repetition"
    assert len(text) < 500
    assert text.startswith("An honest beginning.")


def test_the_cut_falls_between_two_copies() -> None:
    text, _ = shown("Well: " + SENTENCE * 30)
    assert text.removeprefix("Well: ").rstrip() == (SENTENCE * 2).rstrip()


@given(st.text(max_size=300), st.integers(1, 9))
def test_text_arrives_whole_and_in_order(text: str, piece: int) -> None:
    result, ended_by = shown(text, piece)
    assert text.startswith(result)
    assert ended_by == "repetition" or result == text


@given(
    st.text(alphabet="abcdefgh ,.", max_size=80),
    st.text(alphabet="aeiourstln 你好吗", min_size=12, max_size=90).filter(
        lambda copy: sum(c.isalpha() for c in copy) > 9
    ),
    st.integers(1, 7),
)
def test_any_passage_said_for_ever_is_cut(beginning: str, copy: str, piece: int) -> None:
    text, ended_by = shown(beginning + copy * 60, piece)
    assert ended_by == "repetition"
    assert (beginning + copy * 60).startswith(text)


@given(st.text(alphabet="abc</s>", max_size=30), st.text(alphabet="abc</s>", max_size=20), st.integers(1, 7))
def test_a_stop_string_is_never_shown(before: str, after: str, piece: int) -> None:
    text, _ = shown(f"{before}</s>{after}", piece, ("</s>",))
    assert text == f"{before}</s>{after}"[: f"{before}</s>".index("</s>")]


def test_a_beginning_of_a_stop_string_is_shown_when_nothing_follows() -> None:
    assert shown("a < b </", 1, ("</s>",)) == ("a < b </", None)


def test_the_first_of_several_stop_strings_wins() -> None:
    assert shown("one\nUser: two END", 30, ("END", "\nUser:")) == ("one", "stop")
