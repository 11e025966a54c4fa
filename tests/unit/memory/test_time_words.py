"""Times in questions, in English and Chinese."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.memory.time_words import time_in

NOW = datetime(2024, 2, 28, 15, 30, tzinfo=timezone(timedelta(hours=8)))  # a Wednesday


@pytest.mark.parametrize(
    ("question", "start", "end"),
    [
        ("What did I say yesterday about tea?", "2024-02-27", "2024-02-28"),
        ("what did we discuss last week?", "2024-02-19", "2024-02-26"),
        ("the film I saw last weekend", "2024-02-24", "2024-02-26"),
        ("my plans in March", "2023-03-01", "2023-04-01"),
        ("in January", "2024-01-01", "2024-02-01"),
        ("on 31 July, 2023", "2023-07-31", "2023-08-01"),
        ("on July 31st 2023", "2023-07-31", "2023-08-01"),
        ("on 2023-07-31", "2023-07-31", "2023-08-01"),
        ("in May 2022", "2022-05-01", "2022-06-01"),
        ("since 2021", "2021-01-01", "2022-01-01"),
        ("three days ago", "2024-02-25", "2024-02-26"),
        ("a couple of months ago", "2023-12-01", "2024-01-01"),
        ("in the last 3 days", "2024-02-25", "2024-02-29"),
        ("on Monday", "2024-02-26", "2024-02-27"),
        ("on Wednesday", "2024-02-21", "2024-02-22"),
        ("last summer", "2023-06-01", "2023-09-01"),
        ("the week before August 3, 2023", "2023-07-27", "2023-08-04"),
        ("last year", "2023-01-01", "2024-01-01"),
        ("昨天我说了什么", "2024-02-27", "2024-02-28"),
        ("上周聊了什么", "2024-02-19", "2024-02-26"),
        ("上上周三", "2024-02-14", "2024-02-15"),
        ("上周末看的电影", "2024-02-24", "2024-02-26"),
        ("三天前", "2024-02-25", "2024-02-26"),
        ("上个月", "2024-01-01", "2024-02-01"),
        ("去年", "2023-01-01", "2024-01-01"),
        ("五月份的计划", "2023-05-01", "2023-06-01"),
        ("2023年7月31号", "2023-07-31", "2023-08-01"),
        ("最近三天", "2024-02-25", "2024-02-29"),
        ("星期五", "2024-02-23", "2024-02-24"),
    ],
)
def test_times_are_counted_from_now(question: str, start: str, end: str) -> None:
    span, _ = time_in(question, NOW)
    assert span is not None
    assert (span.start.isoformat(), span.end.isoformat()) == (f"{start}T00:00:00+08:00", f"{end}T00:00:00+08:00")


@pytest.mark.parametrize(
    "question",
    [
        "",
        "may I march home?",
        "what is my name?",
        "30 February 2023",
        "the second week",
        "我叫什么？",
        "月亮",
        "999 years",
    ],
)
def test_other_words_are_no_times(question: str) -> None:
    assert time_in(question, NOW) == (None, question)


def test_the_question_is_left_without_its_time() -> None:
    assert time_in("What did I say last week about tea?", NOW)[1] == "What did I say about tea?"
    assert time_in("上周我说了什么", NOW)[1] == "我说了什么"


_WORDS = st.sampled_from(
    ["last", "week", "3", "days", "ago", "in", "May", "2023", "31", "before", "July", "上", "周", "三", "天前"]
    + ["月", "9999"]
)


@given(words=st.lists(_WORDS, max_size=8), year=st.integers(1, 9999))
def test_any_question_has_a_time_or_none(words: list[str], year: int) -> None:
    question = " ".join(words)
    span, rest = time_in(question, datetime(year, 2, 28, tzinfo=UTC))
    assert span is None or span.start < span.end
    assert len(rest) <= len(question)
