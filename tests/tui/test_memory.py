"""What is remembered: the line under the message, /memory, /remember, /forget; and private conversations."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from textual.widgets import Input, OptionList

from mmchat.chat.session import UserInput
from mmchat.domain import Fact, FactsLearned, PromptReady, Recalled, ReplyEvent, Turn
from mmchat.tui.screens.memory import MemoryScreen

from .conftest import Stage, StageMaker
from .fakes import NOW, FakeDesk, FakeSession, answer, make_turn

PEANUTS = Fact("f1", "I'm allergic to peanuts", "said", NOW, NOW, "allergy:peanuts", "t0", "s-new")


def learning(session: FakeSession, user_input: UserInput | None, turn: Turn, cancel: Event) -> Iterator[ReplyEvent]:
    for event in answer("Good to know.")(session, user_input, turn, cancel):
        if isinstance(event, PromptReady):
            session.desk.facts.kept.insert(0, PEANUTS)
            yield FactsLearned((PEANUTS,))
        yield event


def note(s: Stage) -> str:
    return str(s.app.screen.query_one("#memory-note").render())


def shown(s: Stage) -> list[str]:
    options = s.app.screen.query_one(OptionList)
    return [str(options.get_option_at_index(index).prompt) for index in range(options.option_count)]


async def open_memory(s: Stage, words: str = "") -> None:
    await s.send(f"/memory {words}".strip())
    await s.until(lambda: isinstance(s.app.screen, MemoryScreen), "the screen is open")
    await s.until(lambda: shown(s) or note(s), "the list is filled")


async def test_a_quiet_line_says_what_was_remembered_and_forget_takes_it_back(stage: StageMaker) -> None:
    desk = FakeDesk(script=learning)
    async with stage(desk) as s:
        await s.say("I'm allergic to peanuts. Suggest a snack.")
        assert "remembered: I'm allergic to peanuts · /forget takes it back" in s.text_of("UserTurnView")
        await s.send("/forget")
        await s.until(lambda: not desk.facts.kept, "it is forgotten")
        assert "Forgotten: I'm allergic to peanuts" in s.chat.activity.words
        await s.send("/forget undo")
        await s.until(lambda: desk.facts.kept == [PEANUTS], "it is back")
        await s.send("/forget undo")
        await s.until(lambda: "Nothing was forgotten just now" in s.text_of("ErrorView"), "there is nothing more")


async def test_what_was_told_to_the_model_counts_facts_apart(stage: StageMaker) -> None:
    told = (
        Recalled("", "", "user", "I live in Lyon", NOW, 1.0, fact="f1"),
        Recalled("s1", "t1", "user", "The market is on Sunday", NOW, 0.5),
    )
    async with stage(FakeDesk(script=answer("Yes.", recalled=told))) as s:
        await s.say("Where can I shop?")
        assert "recalled 1 fact and 1 earlier turn" in s.text_of("RecalledLine")


async def test_remember_and_forget_by_words(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/remember My gate code is 4471")
        await s.until(lambda: desk.facts.kept, "it is kept")
        await s.until(lambda: "Remembered: My gate code is 4471" in s.chat.activity.words, "it is said")
        desk.facts.add("My cat is deaf")
        await s.send("/forget zebra")
        await s.until(lambda: "No fact holds these words" in s.chat.activity.words, "nothing fits")
        await s.send("/forget gate code")
        await s.until(lambda: [fact.text for fact in desk.facts.kept] == ["My cat is deaf"], "that one is gone")
        await s.send("/remember")
        await s.pilot.press("enter")  # the first completes the command
        await s.until(lambda: "nothing to remember" in s.text_of("ErrorView"), "it needs words")


async def test_forgetting_that_fits_several_lets_the_user_choose(desk: FakeDesk, stage: StageMaker) -> None:
    desk.facts.add("I like tea")
    desk.facts.add("I like chess")
    desk.facts.add("I hate rain")
    async with stage(desk) as s:
        await s.send("/forget like")
        await s.until(lambda: isinstance(s.app.screen, MemoryScreen) and len(shown(s)) == 2, "both are listed")
        await s.pilot.press("down", "ctrl+d")
        await s.until(lambda: len(desk.facts.kept) == 2, "the chosen one is forgotten")
        await s.until(lambda: "Forgotten: I like tea. Ctrl+Z brings it back." in note(s), "it is said")
        await s.pilot.press("ctrl+z")
        await s.until(lambda: len(shown(s)) == 2, "it is back")
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "the conversation is back")


async def test_the_list_narrows_marks_and_edits(desk: FakeDesk, stage: StageMaker) -> None:
    desk.facts.add("I live in Lyon", is_superseded=True)
    desk.facts.add("我住在成都", origin="said", is_edited=True)
    async with stage(desk) as s:
        await open_memory(s)
        first, second = shown(s)
        assert "我住在成都" in first
        assert "edited · said · 2020-05-03" in first
        assert "older · told" in second
        s.app.screen.query_one(Input).value = "lyon"
        await s.until(lambda: len(shown(s)) == 1, "the list narrows")
        await s.pilot.press("ctrl+r")
        await s.until(lambda: not isinstance(s.app.screen, MemoryScreen), "the words are asked for")
        entry = s.app.screen.query_one(Input)
        assert entry.value == "I live in Lyon"
        entry.value = "I live in Lyon again"
        await s.pilot.press("enter")
        await s.until(lambda: desk.facts.all("again"), "the words are changed")
        await s.until(lambda: isinstance(s.app.screen, MemoryScreen) and "Changed" in note(s), "it is said")


async def test_enter_goes_to_where_it_was_said(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s7", "Snacks", [make_turn(0, text="I'm allergic to peanuts", session="s7")])
    desk.facts.add("told outright")
    desk.facts.add("I'm allergic to peanuts", origin="said", turn="t0", session="s7")
    async with stage(desk) as s:
        await open_memory(s)
        await s.pilot.press("down", "enter")
        await s.until(lambda: "no conversation to go to" in note(s), "it says why not")
        await s.pilot.press("up", "enter")
        await s.until(lambda: s.chat.session.info is not None and s.chat.session.info.id == "s7", "it is open")


async def test_an_empty_memory_says_how_to_fill_it(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await open_memory(s)
        assert "/remember TEXT" in note(s)
        await s.pilot.press("ctrl+d", "ctrl+r", "enter")
        assert isinstance(s.app.screen, MemoryScreen)


async def test_a_private_conversation_is_marked_and_left_for_good(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.send("/private")
        await s.until(lambda: "PRIVATE, not stored" in s.text_of("#header"), "it is marked")
        await s.say("a secret")
        assert s.session.is_private
        assert s.app.sub_title == "private", "the terminal's title says nothing of it"
        await s.send("/remember the secret")
        await s.until(lambda: "Nothing is remembered" in s.text_of("ErrorView"), "it is refused")
        await s.send("/delete")
        await s.until(lambda: "not stored" in s.text_of("ErrorView"), "there is nothing to delete")
        await s.send("/new")
        await s.until(lambda: desk.private_left == 1, "it is gone")
        await s.until(lambda: "PRIVATE" not in s.text_of("#header"), "the mark is gone")
        assert not s.session.is_private
        await s.pilot.press("up")
        assert "secret" not in s.chat.composer.text
        await s.send("/private")
        await s.until(lambda: s.session.is_private, "another one")
        await s.send("/private")
        await s.until(lambda: desk.private_left == 2, "it is left by the same command")
        assert desk.facts.kept == []


async def test_opening_another_conversation_leaves_the_private_one(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s7", "Other", [make_turn(0, session="s7")])
    async with stage(desk) as s:
        await s.send("/private")
        await s.until(lambda: s.session.is_private, "it is private")
        s.chat.open("s7")
        await s.until(lambda: desk.private_left == 1, "it is gone")
