"""Replies drawn anew, messages edited, exchanges taken back, copies: on the screen, over the real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.memory import branches
from mmchat.tui.screens.pick import PickTurnScreen
from tests.variants import retire

from .conftest import Stage, StageMaker
from .real import RealDesk, shown


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealDesk]:
    desk = RealDesk(tmp_path, ["one", "two", "three", "four", "five"])
    yield desk
    desk.close()


async def sees(s: Stage, *texts: str) -> None:
    await s.until(lambda: shown(s) == list(texts), f"the screen shows {texts}, not {shown(s)}")


async def test_replies_drawn_anew_are_flipped_through(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("hello")
        await s.pilot.press("alt+left")
        await s.until(lambda: "No message has variants yet" in s.chat.activity.words, "there is none yet")
        for number in ("two", "three"):
            await s.pilot.press("ctrl+r")
            await s.until(lambda n=number: shown(s)[-1].startswith(n), "it is drawn anew")
            await s.idle()
        await sees(s, "hello", "three ‹ 3/3 ›")
        await s.pilot.press("alt+left")
        await sees(s, "hello", "two ‹ 2/3 ›")
        await s.pilot.press("alt+right")
        await sees(s, "hello", "three ‹ 3/3 ›")
        await s.pilot.press("alt+right")
        await sees(s, "hello", "one ‹ 1/3 ›")
        assert s.chat.turn_count == 2
        await s.send("/variant 2")
        await sees(s, "hello", "two ‹ 2/3 ›")
        await s.send("/variant 7")
        await s.until(lambda: "There are 1 to 3." in s.chat.activity.words, "it says which there are")
        await s.send("/variant")
        await s.until(lambda: "variant 2 of 3" in s.chat.activity.words, "it says which is shown")


async def test_a_click_on_the_mark_flips(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("hello")
        await s.pilot.press("ctrl+r")
        await s.until(lambda: shown(s)[-1] == "two ‹ 2/2 ›", "it is drawn anew")
        await s.idle()
        await s.pilot.click(".ending", offset=(0, 0))
        await sees(s, "hello", "one ‹ 1/2 ›")


async def test_an_earlier_message_is_edited_and_its_branch_stays(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        await s.say("second")
        await s.send("/edit 2")
        await s.until(lambda: s.chat.composer.text == "first", "the message is in the box")
        assert "editing an earlier message" in str(s.chat.query_one("#box").border_title)
        s.chat.composer.text = "changed"
        await s.pilot.press("enter")
        await s.until(lambda: len(shown(s)) == 2, "what followed is out of view")
        await s.idle()
        await sees(s, "changed ‹ 2/2 ›", "three")
        assert s.chat.turn_count == 2
        assert s.chat.query_one("#box").border_title is None
        await s.pilot.press("alt+left")
        await sees(s, "first ‹ 1/2 ›", "one", "second", "two")
        await s.say("third")
        await sees(s, "first ‹ 1/2 ›", "one", "second", "two", "third", "four")
        await s.pilot.press("alt+right")
        await sees(s, "changed ‹ 2/2 ›", "three")


async def test_esc_gives_an_edit_up(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        await s.pilot.press("alt+e")
        await s.until(lambda: s.chat.composer.text == "first", "the message is in the box")
        await s.pilot.press("escape")
        assert s.chat.composer.text == ""
        await s.say("second")
        await sees(s, "first", "one", "second", "two")


async def test_an_edit_that_fails_leaves_the_old_branch_and_the_draft(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        await s.send("/edit")
        await s.until(lambda: s.chat.composer.text == "first", "the message is in the box")
        retire(real.store, real.store.turns(s.chat.session.info.id)[0].id)
        await s.pilot.press("enter")
        await s.until(lambda: "changed in another window" in s.text_of("ErrorView"), "it is told")
        assert s.chat.composer.text == "first"


async def test_the_files_of_an_edited_message_come_along(real: RealDesk, stage: StageMaker, tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "red.png"
    Image.new("RGB", (8, 8), (220, 20, 20)).save(picture)
    async with stage(real) as s:
        s.chat.composer.attach(picture, "image")
        await s.say("what is this?")
        picture.unlink()
        await s.send("/edit")
        await s.until(lambda: "[Image 1: red.png]" in s.chat.composer.text, "the chip is in the box")
        await s.pilot.press("enter")
        await s.until(lambda: not s.chat.composer.text, "it is sent")
        await s.idle()
        (user, _) = s.chat.session.turns()
        assert [(each.name, each.path.is_file()) for each in user.attachments] == [("red.png", True)]
        assert user.variants == 2


async def test_undo_and_redo(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        await s.say("second")
        await s.send("/undo")
        await sees(s, "first", "one")
        assert "“second”" in s.chat.activity.words
        await s.send("/redo")
        await sees(s, "first", "one", "second", "two")
        await s.send("/redo")
        await s.until(lambda: "nothing to redo" in s.chat.activity.words, "there is no more")
        await s.send("/undo")
        await sees(s, "first", "one")
        await s.say("other")
        await sees(s, "first", "one", "other ‹ 2/2 ›", "three")


async def test_a_copy_is_made_here_or_at_a_turn(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        await s.say("second")
        original = s.chat.session.info.id
        await s.send("/fork pick")
        await s.until(lambda: isinstance(s.app.screen, PickTurnScreen), "it asks where")
        await s.pilot.press(*"one", "enter")
        await sees(s, "first", "one")
        fork = s.chat.session.info
        assert fork is not None
        assert fork.id != original
        await s.send("/fork")
        await s.until(lambda: s.chat.session.info and s.chat.session.info.id not in (fork.id, original), "a copy")
        assert [turn.text for turn in real.store.turns(original)] == ["first", "one", "second", "two"]


async def test_what_another_window_did_is_shown_after_the_next_reply(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        await s.say("second")
        assert "Another window" not in s.chat.activity.words
        session = s.chat.session.info
        assert session is not None
        branches.take_back(real.store, session.id)
        await s.send("third")
        await s.until(lambda: "Another window changed" in s.chat.activity.words, "it is told")
        await sees(s, "first", "one", "third ‹ 2/2 ›", "three")


async def test_nothing_branches_while_a_reply_streams(real: RealDesk, stage: StageMaker) -> None:
    async with stage(real) as s:
        await s.say("first")
        real.bench.engines.lm = ScriptedLanguageModel([" ".join(map(str, range(2000)))], delay_s=0.05)
        await s.send("second")
        await s.until(lambda: s.chat.flow.is_busy, "it is being answered")
        for command in ("/undo", "/redo", "/edit", "/fork", "/variant 1"):
            await s.send(command)
            await s.until(lambda: "A reply is running" in s.chat.activity.words, f"{command} waits")
            assert s.chat.flow.is_busy
            s.chat.activity.set_hint("")
        await s.pilot.press("escape")
        await s.idle()
        assert shown(s)[:3] == ["first", "one", "second"]
