"""Rating the last reply: by key and by command, shown on the turn without needing colour."""

from __future__ import annotations

from threading import Event

from mmchat.cli.talk import chosen_keys
from mmchat.domain import Rating
from mmchat.tui.screens.help import HelpScreen
from mmchat.tui.widgets.turns import RatingLine

from .conftest import StageMaker
from .fakes import FakeDesk, answer, make_turn


async def test_keys_mark_the_last_reply_and_take_the_mark_back(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("hi")
        await s.type("a draft")
        await s.pilot.press("f3")
        await s.until(lambda: "▲ good" in s.text_of("RatingLine"), "it is marked as good")
        assert s.session.stored[-1].rating == Rating("good")
        assert "sessions export --rated" in s.chat.activity.words
        await s.pilot.press("f4")
        await s.until(lambda: "▼ bad" in s.text_of("RatingLine"), "the mark is replaced")
        assert "good" not in s.text_of("RatingLine")
        await s.pilot.press("f4")
        await s.until(lambda: not s.chat.query(RatingLine), "the mark is gone")
        assert s.session.stored[-1].rating is None
        assert "not rated any more" in s.chat.activity.words
        assert s.chat.composer.text == "a draft"


async def test_commands_rate_the_last_reply_only(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("one")
        await s.say("two")
        await s.send("/good")
        await s.until(lambda: s.session.stored[-1].rating == Rating("good"), "it is rated")
        assert [turn.rating for turn in s.session.stored[:-1]] == [None] * 3
        assert [view.rating for view in s.replies()] == [None, Rating("good")]
        await s.send("/unrate")
        await s.until(lambda: not s.chat.query(RatingLine), "the mark is gone")


async def test_a_better_text_stands_on_the_turn(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("首都是哪里？")
        await s.send("/better 是北京，\x1b[31m不是上海。")
        await s.until(lambda: "◆ better: 是北京" in s.text_of("RatingLine"), "it is shown")
        assert s.session.stored[-1].rating is not None
        assert s.session.stored[-1].rating.mark is None
        assert "\x1b" not in s.text_of("RatingLine")
        assert s.replies()[0].text == "Hello there.", "the reply itself stays"
        await s.pilot.press("f4")
        await s.until(lambda: "▼ bad  ◆ better: 是北京" in s.text_of("RatingLine"), "both are shown")


async def test_without_a_text_the_reply_is_opened_in_the_box(desk: FakeDesk, stage: StageMaker) -> None:
    desk.script = answer("Rome is\nthe capitol.")
    async with stage(desk) as s:
        await s.say("hi")
        await s.send("/better")
        await s.until(lambda: s.chat.composer.text == "/better Rome is\nthe capitol.", "the reply is in the box")
        assert "Enter keeps" in s.chat.activity.words
        s.chat.composer.text = "/better Rome is\nthe capital."
        await s.pilot.press("enter")
        await s.until(lambda: s.session.stored[-1].rating == Rating(None, "Rome is\nthe capital."), "it is kept whole")
        assert s.chat.composer.text == ""
        await s.send("/better")
        await s.until(lambda: s.chat.composer.text == "/better Rome is\nthe capital.", "the better text comes back")


async def test_a_long_paste_is_kept_in_full(desk: FakeDesk, stage: StageMaker) -> None:
    words = "\n".join(f"line {number}" for number in range(30))
    async with stage(desk) as s:
        await s.say("hi")
        await s.type("/better ")
        s.chat.composer.insert_words(s.chat.composer._shelf.add_paste(words).label)
        await s.pilot.press("enter")
        await s.until(lambda: s.session.stored[-1].rating == Rating(None, words), "it is kept in full")


async def test_nothing_to_rate_is_said_in_a_line(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("one", gates=[gate])
    async with stage(desk) as s:
        await s.pilot.press("f3")
        await s.until(lambda: "no reply to rate" in s.chat.activity.words, "it is said")
        assert not s.chat.query("ErrorView")
        await s.send("go")
        await s.until(lambda: s.chat.flow.is_busy, "a reply runs")
        await s.pilot.press("f4")
        await s.until(lambda: "Rate it when it has ended" in s.chat.activity.words, "it is said")
        gate.set()
        await s.idle()
        assert s.session.stored[-1].rating is None


async def test_ratings_are_there_when_a_conversation_is_opened_again(desk: FakeDesk, stage: StageMaker) -> None:
    turns = [make_turn(0), make_turn(1, "assistant", rating=Rating("bad", "better")), make_turn(2)]
    desk.add_session("a", "one", turns)
    async with stage(desk, session=desk.open_session("a")) as s:
        await s.until(lambda: s.text_of("RatingLine") == "▼ bad  ◆ better: better", "it is shown")


async def test_a_reply_drawn_anew_begins_unrated(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("hi")
        await s.pilot.press("f4")
        await s.until(lambda: s.chat.query(RatingLine), "it is rated")
        await s.pilot.press("ctrl+r")
        await s.until(lambda: not s.chat.query(RatingLine), "the new one is not")
        await s.idle()


async def test_the_keys_can_be_chosen_and_stand_in_the_help(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, keys=chosen_keys({"good": "alt+g"}), size=(120, 50)) as s:
        await s.say("hi")
        await s.pilot.press("f3")
        await s.pilot.press("alt+g")
        await s.until(lambda: s.session.stored[-1].rating == Rating("good"), "the chosen key works, once")
        await s.pilot.press("f1")
        await s.until(lambda: isinstance(s.app.screen, HelpScreen), "the help")
        shown = "\n".join(str(each.render()) for each in s.app.screen.query("Static"))
        for words in ("/good", "Alt+G", "/bad", "F4", "/better [TEXT]", "/unrate"):
            assert words in shown
