"""The language of a conversation: detected once, shown, pinned, changed."""

from __future__ import annotations

import pytest

from mmchat.chat.listening import Listening, language_words
from mmchat.domain import Heard
from mmchat.errors import UsageError
from mmchat.speech_languages import code_of, name_of

ENGLISH = Heard("hello there", "en", 3.0, language_probability=0.98)
CHINESE = Heard("你好", "zh", 3.0, language_probability=0.9)


def state(listening: Listening) -> tuple[str | None, str | None]:
    return listening.language, listening.chosen


def test_the_first_sure_language_is_kept() -> None:
    listening = Listening()
    assert state(listening) == (None, None)
    listening.note(ENGLISH)
    assert state(listening) == ("en", None)


@pytest.mark.parametrize(
    "heard",
    [
        Heard("", "nn", 3.0, language_probability=0.98),
        Heard("ja", "nn", 0.5, language_probability=0.98),
        Heard("hello", "cy", 3.0, language_probability=0.4),
        Heard("hello", "en", 3.0),  # it was expected, not detected
    ],
)
def test_what_says_nothing_of_the_language_changes_nothing(heard: Heard) -> None:
    listening = Listening()
    listening.note(heard)
    assert listening.language is None


def test_who_goes_on_in_another_language_takes_it_along() -> None:
    listening = Listening()
    listening.note(ENGLISH)
    listening.note(CHINESE)
    assert listening.language == "zh"


def test_a_chosen_language_stays_until_it_is_let_go() -> None:
    listening = Listening("de")
    listening.note(CHINESE)
    assert state(listening) == ("de", "de")
    assert listening.choose("Chinese") == "zh"
    listening.note(ENGLISH)
    assert state(listening) == ("zh", "zh")
    assert listening.choose("auto") is None
    assert state(listening) == (None, None)
    listening.note(ENGLISH)
    assert state(listening) == ("en", None)


@pytest.mark.parametrize(
    ("words", "code"),
    [("zh", "zh"), ("ZH-cn", "zh"), (" 中文 ", "zh"), ("German", "de"), ("日本語", "ja"), ("haitian creole", "ht")],
)
def test_a_language_has_several_names(words: str, code: str) -> None:
    assert code_of(words) == code


def test_an_unknown_language_is_refused_with_the_way_out() -> None:
    listening = Listening("en")
    with pytest.raises(UsageError, match="'Klingon'") as caught:
        listening.choose("Klingon")
    assert "auto" in caught.value.hint
    assert listening.language == "en"


def test_the_state_is_told_in_words() -> None:
    listening = Listening()
    assert "detected" in language_words(listening)
    listening.note(CHINESE)
    assert language_words(listening).startswith("Chinese, as was heard")
    listening.choose("en")
    assert language_words(listening).startswith("English, as you chose")
    assert name_of("xx") == "xx"


def test_a_role_that_speaks_a_language_is_taken_to_be_spoken_to_in_it() -> None:
    listening = Listening(expected="zh")
    assert (listening.chosen, listening.language) == (None, "zh")
    assert "as this role speaks" in language_words(listening)
    listening.note(ENGLISH)
    assert listening.language == "en"
    assert "as was heard" in language_words(listening)
    listening.choose("auto")
    assert listening.language == "zh"
