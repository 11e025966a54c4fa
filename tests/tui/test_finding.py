"""Finding a conversation as one types, opening it at the hit, and putting conversations where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from mmchat.chat.library import in_words_and_tags
from mmchat.memory import shelves
from mmchat.tui.messages import SessionsListed
from mmchat.tui.screens.dialogs import AskScreen
from mmchat.tui.screens.session_lines import HIT, Found, found_line
from mmchat.tui.screens.sessions import SessionsScreen

from .conftest import Stage, StageMaker
from .real import RealDesk


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealDesk]:
    desk = RealDesk(tmp_path)
    desk.lisbon = desk.add("A week in Lisbon", "A quiet hotel in Lisbon?", "Estrela has quiet hotels.")
    desk.trip = desk.add("旅行计划", "我想找一家安静的酒店", "埃斯特雷拉有酒店")
    desk.bread = desk.add("Bread", "Why does my bread not rise?", "The yeast may be old.")
    yield desk
    desk.close()


async def opened(s: Stage, keys: str = "ctrl+s") -> SessionsScreen:
    await s.pilot.press(keys)
    await s.until(lambda: isinstance(s.app.screen, SessionsScreen), "the list is open")
    screen = s.app.screen
    assert isinstance(screen, SessionsScreen)
    await s.until(lambda: screen._found, "it is filled")
    return screen


async def looks_for(s: Stage, screen: SessionsScreen, words: str, count: int) -> list[Found]:
    screen.query_one(Input).value = words
    await s.until(
        lambda: len(screen._found) == count and (not count or screen._found[0].hit), f"{words}: {count} found"
    )
    return list(screen._found)


def lines(screen: SessionsScreen) -> list[str]:
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(at).prompt) for at in range(options.option_count)]


def words_of(screen: SessionsScreen, name: str) -> str:
    return str(screen.query_one(name, Static).render())


@pytest.mark.parametrize(
    ("typed", "marked", "turn"),
    [
        ("yea", "yeast", "The yeast may be old."),
        ("酒店", "酒店", "我想找一家安静的酒店"),
        ("rising", "rise", "Why does"),
    ],
)
async def test_hits_are_marked_and_opened_where_they_stand(
    real: RealDesk, stage: StageMaker, typed: str, marked: str, turn: str
) -> None:
    async with stage(real) as s:
        screen = await opened(s)
        screen.query_one(Input).value = typed
        await s.until(lambda: screen._found and screen._found[0].hit, "something is found")
        at = next(place for place, each in enumerate(screen._found) if turn in each.hit.turn.text)  # type: ignore[union-attr]
        line = found_line(screen._found[at], 70, "")
        spans = [span for span in line.spans if span.style == HIT]
        assert marked in [line.plain[span.start : span.end] for span in spans]
        await s.pilot.press(*["down"] * at, "enter")
        await s.until(lambda: s.chat.query(".-found"), "the conversation is open at the hit")
        (view,) = s.chat.query(".-found")
        assert view.turn_id == screen._found[at].turn_id


async def test_the_words_may_come_with_the_command(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.send("/search quiet hotel")
        await s.until(
            lambda: isinstance(s.app.screen, SessionsScreen) and len(s.app.screen._found) == 2, "they are looked for"
        )
        assert s.app.screen.query_one(Input).value == "quiet hotel"


async def test_results_for_words_that_changed_meanwhile_are_dropped(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        screen = await opened(s)
        before = screen._found
        screen.query_one(Input).value = "hotel"
        screen.post_message(SessionsListed("ho", "listed", ()))
        await s.pilot.pause()
        assert screen._found == before
        await s.until(lambda: screen._found and screen._found[0].hit, "those for the words as they are come")


async def test_a_look_into_what_is_highlighted(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        screen = await opened(s)
        await s.until(lambda: "The yeast may be old." in words_of(screen, "#preview"), "the newest is shown")
        await s.pilot.press("down")
        await s.until(lambda: "埃斯特雷拉有酒店" in words_of(screen, "#preview"), "the next is shown")
    async with stage(real, size=(140, 40)) as s:
        screen = await opened(s)
        await looks_for(s, screen, "quiet", 2)
        await s.until(lambda: "A quiet hotel in Lisbon?" in words_of(screen, "#preview"), "beside the hits as well")


async def test_what_is_not_found_is_said(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        screen = await opened(s)
        await looks_for(s, screen, "zebra", 0)
        assert "Nothing holds “zebra”" in words_of(screen, "#no-sessions")
        await s.pilot.press("enter", "ctrl+d", "ctrl+r", "ctrl+g", "ctrl+t")
        assert s.app.screen is screen


async def test_archive_and_tag_from_the_list_with_undo(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        screen = await opened(s)
        await s.pilot.press("ctrl+g")
        await s.until(lambda: len(screen._found) == 2, "it is put away")
        await looks_for(s, screen, "yeast", 1)
        assert "archived" in lines(screen)[0]
        screen.query_one(Input).value = ""
        await s.pilot.press("ctrl+l")
        await s.until(lambda: [each.session.id for each in screen._found] == [real.bread], "the archive is shown")
        await s.pilot.press("ctrl+z")
        await s.until(lambda: not screen._found, "it is taken out again")
        await s.pilot.press("ctrl+l", "ctrl+l")
        await s.until(lambda: len(screen._found) == 3, "all are listed")
        await s.pilot.press("ctrl+t")
        await s.until(lambda: isinstance(s.app.screen, AskScreen), "it asks for tags")
        s.app.screen.query_one(Input).value = "Baking, 周末"
        await s.pilot.press("enter")
        await s.until(lambda: screen._found[0].session.tags == ("baking", "周末"), "it is tagged")
        assert "#baking  #周末" in lines(screen)[0]
        screen.query_one(Input).value = "#baking"
        await s.until(lambda: len(screen._found) == 1, "the tag narrows")
        await s.pilot.press("ctrl+z")
        await s.until(lambda: not screen._found, "the tags are off again")


async def test_the_open_conversation_deleted_and_brought_back_stays_open(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real, real.open_session(real.bread)) as s:
        await s.until(lambda: s.users(), "it is open")
        screen = await opened(s)
        await s.pilot.press("ctrl+d")
        await s.until(lambda: len(screen._found) == 2, "it is in the trash")
        await s.pilot.press("ctrl+z")
        await s.until(lambda: len(screen._found) == 3, "it is back")
        await s.pilot.press("escape")
        await s.until(lambda: s.app.screen is s.chat, "the list is closed")
        assert s.chat.session.info is not None
        screen = await opened(s)
        await s.pilot.press("ctrl+d", "escape")
        await s.until(lambda: s.app.screen is s.chat and s.chat.session.info is None, "an empty one is left")
        await s.send("/restore")
        await s.until(lambda: isinstance(s.app.screen, SessionsScreen) and s.app.screen._found, "the trash is shown")
        await s.pilot.press("enter")
        await s.until(lambda: s.chat.session.info and s.chat.session.info.id == real.bread, "it is open again")
        assert real.store.get_session(real.bread).deleted_at is None


async def test_tags_and_archive_by_command(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real, real.open_session(real.bread)) as s:
        await s.until(lambda: s.users(), "it is open")
        await s.send("/tag baking +周末 -none")
        await s.until(lambda: "Tags: baking, 周末." in s.chat.activity.words, "they are told")
        await s.send("/archive")
        await s.until(lambda: "Archived" in s.chat.activity.words, "it is put away")
        assert real.store.get_session(real.bread).archived_at is not None
        await s.send("/unarchive")
        await s.until(lambda: "Listed again" in s.chat.activity.words, "it is listed")
        await s.send("/tag #")
        await s.until(lambda: "cannot be a tag" in s.text_of("ErrorView"), "a mistake is a sentence")


def test_words_and_tags_are_told_apart() -> None:
    assert in_words_and_tags("lisbon hotel ") == ("lisbon hotel ", ())
    assert in_words_and_tags("#work quiet #旅行 hotel") == ("quiet hotel", ("work", "旅行"))
    assert in_words_and_tags("#") == ("", ())


def test_long_and_hostile_titles_keep_to_one_line(real: RealDesk) -> None:
    session = real.store.rename_session(real.bread, "很长的标题\n\x1b[31m" * 30)
    shelves.change_tags(real.store, session.id, add=["x" * 40, "旅行" * 10])
    line = found_line(Found(real.store.get_session(session.id)), 60, "")
    assert "\n" not in line.plain
    assert "\x1b" not in line.plain
    assert line.cell_length <= 60


async def test_a_few_hits_of_each_conversation_until_all_are_asked_for(real: RealDesk, stage: StageMaker) -> None:
    real.add("Birds", *(f"heron number {number}" for number in range(10)))
    real.add("Pond", "a heron stood there")
    async with stage(real) as s:
        screen = await opened(s)
        few = await looks_for(s, screen, "heron", 4)
        assert [each.session.title for each in few].count("Birds") == 3
        assert sum("+7 more · Ctrl+O" in line for line in lines(screen)) == 1
        assert all(len(part) <= 76 for line in lines(screen) for part in line.split("\n"))
        await s.pilot.press("ctrl+o")
        await s.until(lambda: len(screen._found) == 11, "all are listed")
        await s.pilot.press("ctrl+o")
        await s.until(lambda: len(screen._found) == 4, "and a few again")
