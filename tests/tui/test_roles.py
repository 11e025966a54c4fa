"""Roles in the app: choosing one, its greeting, its name in the header."""

from __future__ import annotations

from mmchat.tui.widgets.status import HeaderLine

from .conftest import Stage, StageMaker
from .fakes import FakeDesk, make_turns


def header(s: Stage) -> str:
    return str(s.chat.query_one(HeaderLine).render())


async def test_a_role_is_chosen_greets_and_is_named(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/persona luz")
        await s.until(lambda: s.replies(), "the greeting is shown")
        assert s.replies()[0].text == "Hola, what did you do today?"
        assert "Luz" in header(s)
        assert s.session.info is None  # looking at a role stores nothing
        await s.say("I swam.")
        assert [reply.text for reply in s.replies()] == ["Hola, what did you do today?", "Hello there."]


async def test_a_role_in_chinese_and_then_nobody(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/persona luz:zh")
        await s.until(lambda: "露丝" in header(s), "the header names it")
        assert s.replies()[0].text == "你好，我们来练习吧。"
        await s.send("/persona off")
        await s.until(lambda: "露丝" not in header(s), "nobody is played")
        assert not s.replies()


async def test_roles_are_listed_and_a_wrong_name_keeps_the_conversation(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("a", "Trip", make_turns(2, "a"))
    async with stage(desk, desk.open_session("a")) as s:
        await s.until(lambda: s.replies(), "the conversation is shown")
        await s.send("/persona")
        await s.until(lambda: "Helps to practise Spanish" in s.text_of("NoticeLine"), "the roles are listed")
        await s.send("/persona nobody")
        await s.until(lambda: "There is no role 'nobody'" in s.text_of("ErrorView"), "the error is shown")
        assert s.session.info is not None
        assert s.session.info.id == "a"


async def test_the_app_opens_with_the_greeting(desk: FakeDesk, stage: StageMaker) -> None:
    desk.play("luz")
    async with stage(desk) as s:
        await s.until(lambda: s.replies(), "the greeting is shown")
        assert s.replies()[0].text == "Hola, what did you do today?"
