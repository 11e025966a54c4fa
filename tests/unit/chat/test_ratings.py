"""Rating the last reply: the same mark takes it back, the other one replaces it, a better text stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import Rating, ReplyStarted
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import UsageError
from tests.fakes import Bench, FakeEngines


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "data")) as made:
        yield made


def said(bench: Bench, text: str = "hello") -> ChatSession:
    session = bench.session()
    list(session.reply(UserInput(text), Event()))
    return session


def test_the_same_mark_takes_it_back_and_the_other_one_replaces_it(bench: Bench) -> None:
    session = said(bench)
    assert session.ratings.rate("good").rating == Rating("good")
    assert session.ratings.rate("bad").rating == Rating("bad")
    assert session.ratings.rate("bad").rating is None
    assert session.turns()[-1].rating is None


def test_a_better_text_stands_beside_the_reply_and_its_mark(bench: Bench) -> None:
    session = said(bench)
    session.ratings.rate("bad")
    reply = session.ratings.improve("  你好，世界！\n")
    assert reply.rating == Rating("bad", "你好，世界！")
    assert reply.text == "You said: hello"
    assert session.ratings.rate("bad").rating == Rating(None, "你好，世界！")
    assert session.ratings.improve("Hi.").rating == Rating(None, "Hi.")
    assert session.ratings.unrate().rating is None


def test_the_model_is_not_shown_the_better_text(bench: Bench) -> None:
    session = said(bench)
    session.ratings.improve("Something else")
    list(session.reply(UserInput("again"), Event()))
    assert "You said: hello" in [message.text for message in bench.engines.lm.calls[-1]]


def test_a_reply_drawn_anew_is_rated_apart_from_the_old_one(bench: Bench) -> None:
    session = said(bench)
    old = session.ratings.rate("bad")
    list(session.regenerate(Event()))
    new = session.ratings.rate("good")
    assert new.id != old.id
    assert bench.store.get_turn(old.id).rating == Rating("bad")


@pytest.mark.parametrize("text", ["", " \n", "You said: hello", " You said: hello\n"])
def test_no_text_and_the_replys_own_words_are_no_better_reply(bench: Bench, text: str) -> None:
    session = said(bench)
    with pytest.raises(UsageError):
        session.ratings.improve(text)
    assert session.turns()[-1].rating is None


def test_what_cannot_be_rated_is_refused_in_words(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no reply to rate"):
        bench.session().ratings.rate("good")
    with pytest.raises(UsageError, match="is not rated"):
        said(bench).ratings.unrate()
    events = said(bench).reply(UserInput("more"), Event())
    session = bench.session(bench.store.latest_session())
    for event in events:
        if isinstance(event, ReplyStarted):
            with pytest.raises(UsageError, match="still being written"):
                session.ratings.rate("good")
    with ExitStack() as stack:
        silent = stack.enter_context(closing(Bench(tmp_path / "b", FakeEngines(ScriptedLanguageModel([""])))))
        with pytest.raises(UsageError):
            said(silent).ratings.rate("good")
        gone = stack.enter_context(closing(Bench(tmp_path / "c", settings=SessionSettings(is_temporary=True))))
        with pytest.raises(UsageError, match="not kept") as caught:
            said(gone).ratings.rate("good")
        assert "--no-log" in caught.value.hint
        assert gone.store.file.rows("SELECT * FROM ratings") == []
