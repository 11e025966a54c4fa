"""What of a reply is spoken, and where it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.chat.spoken_words import MAX_CHARACTERS, SentenceCutter, spoken


def sentences(text: str, step: int = 1) -> list[str]:
    cutter = SentenceCutter()
    found = [each for at in range(0, len(text), step) for each in cutter.feed(text[at : at + step])]
    return found + cutter.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("你好！我是助手。很高兴认识你", ["你好！", "我是助手。", "很高兴认识你"]),
        ("他说：“走吧。”然后走了。", ["他说：“走吧。”", "然后走了。"]),
        ("Dr. Smith paid 3.14 dollars, e.g. in the U.S. for it.", None),
        ("J. K. Rowling wrote it.", None),
        ("Is it No. 5? Yes!", ["Is it No. 5?", "Yes!"]),
        ("1. Open the lid.\n2. Look.", ["1. Open the lid.", "2. Look."]),
        ("# Title\n\n- one\n* two\n> three", ["Title", "one", "two", "three"]),
        ("好!我们走", ["好!", "我们走"]),
        ("等等……真的？！是的", ["等等……", "真的？！", "是的"]),
        ('"Really?" he said.', ['"Really?"', "he said."]),
        ("Run `a.b. c` now. Then stop.", ["Run a.b. c now.", "Then stop."]),
        ("See [the page. Really](https://a.b/c). Good.", ["See the page. Really.", "Good."]),
        ("Look at https://a.com/b?c=1. It is good.", ["Look at.", "It is good."]),
        ("请看https://a.com/b。谢谢", ["请看。", "谢谢"]),
        ("**Bold** and *soft* and ~~gone~~ and snake_case", ["Bold and soft and gone and snake case"]),
        ("2 * 3 * 4 = 24", ["2 * 3 * 4 = 24"]),
        ("Good 😀👍🏽! Yes", ["Good!", "Yes"]),
        ("![a dog](dog.png) sits", ["a dog sits"]),
        ("a<br>b", ["a b"]),
        ("[[slnc 5000]] hello", ["slnc 5000 hello"]),
        ("---\n***\n😀\n", []),
    ],
)
def test_sentences_are_cut_and_cleaned(text: str, expected: list[str] | None) -> None:
    assert sentences(text) == (expected if expected is not None else [text])


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_code_blocks_are_left_out(fence: str) -> None:
    text = f"Here it is.\n{fence}python\nprint('never. spoken')\n\nx = 1\n{fence}\nDone."
    assert sentences(text) == ["Here it is.", "Done."]


def test_a_block_of_code_that_never_ends_is_left_out_to_the_end() -> None:
    assert sentences("So:\n```\nrm -rf. Really.\nmore") == ["So:"]


def test_tables_and_formulas_are_left_out() -> None:
    text = (
        "A table.\n| a | b |\n|---|---|\n| 1 | 2 |\nname | age | town | x\nA sum:\n$$\nx = 1.\n$$\n\\[ y = 2. \\]\nEnd."
    )
    assert sentences(text) == ["A table.", "A sum:", "End."]


def test_a_sentence_is_given_before_the_reply_is_whole() -> None:
    cutter = SentenceCutter()
    assert cutter.feed("One is done. Two is") == ["One is done."]
    assert cutter.feed(" too. ") == ["Two is too."]
    assert cutter.feed("第三句。第") == ["第三句。"]
    assert cutter.finish() == ["第"]


@pytest.mark.parametrize("unit", ["word and more words, ", "一个很长的句子没有句号，"])
def test_a_sentence_without_end_is_cut_at_a_comma(unit: str) -> None:
    found = sentences(unit * 60)
    assert len(found) > 1
    assert all(len(each) <= MAX_CHARACTERS for each in found)
    assert all(each[-1] in ",，" for each in found[:-1])
    assert "".join(found).replace(" ", "") == (unit * 60).replace(" ", "")


@given(st.text(alphabet="ab .。,!?`*_|#\n你好-[]()$\\~:/w0", max_size=120), st.integers(1, 40))
def test_how_the_text_arrives_changes_nothing(text: str, step: int) -> None:
    assert sentences(text, step) == sentences(text, max(len(text), 1))


@given(st.text(alphabet="aaaaab .,。你", min_size=200, max_size=600), st.integers(1, 40))
def test_how_a_long_sentence_arrives_changes_nothing(text: str, step: int) -> None:
    assert sentences(text, step) == sentences(text, len(text))


@given(st.text(alphabet="abc .,!?\n你好。，！", max_size=200))
def test_of_plain_words_nothing_is_lost(text: str) -> None:
    def letters(words: str) -> str:
        return "".join(character for character in words if character.isalnum())

    assert letters("".join(sentences(text))) == letters(text)


@given(st.text(max_size=200))
def test_nothing_that_a_program_could_obey_is_left(text: str) -> None:
    words = spoken(text)
    assert not set(words) & set("[]<>`{}|\n")
