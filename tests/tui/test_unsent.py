"""What was typed and not sent is there again: after leaving, a crash, another conversation; never of a private one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.masked import Masking
from mmchat.chat.unsent import UnsentDrafts
from mmchat.memory.drafts import find_draft, keep_draft
from mmchat.memory.store import MemoryStore
from mmchat.tui import draft_keeper
from mmchat.tui.draft_keeper import RESTORED
from mmchat.tui.drafts import Chip, Draft, drafts_from_text, drafts_to_text, masked_drafts

from .conftest import StageMaker
from .fakes import FakeDesk, FakeSession, answer
from .real import RealDesk


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealDesk]:
    desk = RealDesk(tmp_path)
    yield desk
    desk.close()


def test_drafts_as_text_and_back() -> None:
    chips = (Chip("[Image 1: a.png]", "image", Path("/p/a.png")), Chip("[Pasted text 1: +20 lines]", "paste", text="x"))
    drafts = [Draft("[Image 1: a.png] 看 [Pasted text 1: +20 lines]", chips, "turn"), Draft("二\n三")]
    assert drafts_from_text(drafts_to_text(drafts)) == drafts
    assert drafts_to_text([]) == ""


async def test_a_draft_is_saved_while_it_is_typed_and_comes_back(
    real: RealDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_keeper, "SAVE_AFTER_S", 0.05)
    async with stage(real) as s:
        await s.type("half a thou")
        await s.until(lambda: "half a thou" in find_draft(real.store, None), "it is saved")
        await s.pilot.press("escape")
        await s.type("ght")
    # Leaving saves the rest without waiting.
    assert "half a thought" in find_draft(real.store, None)
    async with stage(real) as s:
        await s.until(lambda: s.chat.composer.text == "half a thought", "it is back")
        assert RESTORED in s.text_of("#activity")
        await s.pilot.press("enter")
        await s.idle()
        assert find_draft(real.store, None) == ""
    async with stage(real) as s:
        await s.pilot.pause()
        assert s.chat.composer.text == ""


async def test_each_conversation_has_its_own(real: RealDesk, stage: StageMaker) -> None:
    bread, trip = real.add("Bread", "flour?", "yes"), real.add("Trip", "where?", "there")
    async with stage(real, real.open_session(bread)) as s:
        await s.type("about bread")
        s.chat.open(trip)
        await s.until(lambda: s.chat.session.info.id == trip, "the other one is open")
        await s.until(lambda: s.chat.composer.text == "", "its box is empty")
        await s.type("about the trip")
        s.chat.open(bread)
        await s.until(lambda: s.chat.composer.text == "about bread", "the first draft is back")
    async with stage(real, real.open_session(trip)) as s:
        await s.until(lambda: s.chat.composer.text == "about the trip", "the second one is back")


async def test_a_draft_goes_along_into_a_new_conversation(real: RealDesk, stage: StageMaker) -> None:
    bread = real.add("Bread", "flour?", "yes")
    async with stage(real, real.open_session(bread)) as s:
        await s.type("something else")
        await s.pilot.press("ctrl+n")
        await s.until(lambda: s.chat.session.info is None, "a new one is open")
        assert s.chat.composer.text == "something else"
        await s.chat.keeper.leave()
    assert find_draft(real.store, bread) == ""
    assert "something else" in find_draft(real.store, None)


async def test_queued_messages_are_drafts_until_they_are_stored(stage: StageMaker) -> None:
    gate = Event()
    desk = FakeDesk(script=answer("one", " two", gates=(gate,)))
    async with stage(desk) as s:
        await s.send("first")
        await s.until(lambda: s.session.sent, "the first is under way")
        await s.send("second")
        await s.type("third")
        await s.until(lambda: s.chat.flow.queue, "the second waits")
        s.chat.keeper.save_soon()
        await s.until(lambda: desk.drafts.kept.get("s-new"), "they are saved")
        assert [draft.text for draft in drafts_from_text(desk.drafts.kept["s-new"])] == ["second", "third"]
        gate.set()
        await s.idle()
    assert [draft.text for draft in drafts_from_text(desk.drafts.kept["s-new"])] == ["third"]


async def test_walking_through_the_history_keeps_the_draft(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("said before")
        await s.type("my draft")
        await s.pilot.press("up")
        assert s.chat.composer.text == "said before"
    assert [draft.text for draft in drafts_from_text(desk.drafts.kept["s-new"])] == ["my draft"]


async def test_nothing_private_is_saved(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk, FakeSession(desk, is_private=True)) as s:
        await s.type("a secret")
        s.chat.keeper.save_soon()
        await s.pilot.pause()
        await s.chat.start_new()
        assert s.chat.composer.text == ""
    assert "secret" not in str(desk.drafts.kept)


async def test_a_draft_of_another_mmchat_harms_nothing(desk: FakeDesk, stage: StageMaker) -> None:
    desk.drafts.kept[None] = '[{"words": "from the future"}]'
    async with stage(desk) as s:
        await s.pilot.pause()
        await s.type("mine")
        assert s.chat.composer.text == "mine"


def test_two_windows_do_not_take_each_others_drafts(tmp_path: Path) -> None:
    first = MemoryStore(tmp_path / "m.db", tmp_path / "blobs")
    second = MemoryStore(tmp_path / "m.db", tmp_path / "blobs")
    keep_draft(first, None, "of the first")
    assert find_draft(second, None) == ""
    keep_draft(second, None, "of the second")
    assert find_draft(first, None) == "of the first"
    first.close()  # its program ends: the draft is free
    keep_draft(second, None, "")
    assert find_draft(second, None) == "of the first"
    third = MemoryStore(tmp_path / "m.db", tmp_path / "blobs")
    assert find_draft(third, None) == "", "one takes it, once"
    third.close()
    second.close()


def test_a_draft_goes_with_its_conversation(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "m.db", tmp_path / "blobs")
    session = store.create_session()
    keep_draft(store, session.id, "later")
    store.delete_session(session.id)
    keep_draft(store, session.id, "too late")
    assert store.file.rows("SELECT * FROM drafts") == []
    store.close()
    UnsentDrafts(store).keep(session.id, "nowhere")  # told to the log alone
    assert UnsentDrafts(store).find(None) == ""


def test_drafts_are_kept_without_what_is_masked() -> None:
    mask = Masking(("card", "phone")).words
    chips = (
        Chip("[Image 1: 13812345678.png]", "image", Path("/p/13812345678.png")),
        Chip("[Pasted text 1: +20 lines]", "paste", text="card 4111 1111 1111 1111"),
    )
    kept = masked_drafts(drafts_to_text([Draft("[Image 1: 13812345678.png] 电话13812345678", chips)]), mask)
    (draft,) = drafts_from_text(kept)
    assert draft.text == "[Image 1: 13812345678.png] 电话[电话号码，尾号78]"
    assert draft.chips[0] == chips[0]
    assert draft.chips[1].text == "card [card number ending 1111]"
    assert masked_drafts("", mask) == ""


async def test_a_masked_conversation_keeps_no_card_of_a_draft(
    real: RealDesk, stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_keeper, "SAVE_AFTER_S", 0.05)
    async with stage(real) as s:
        s.chat.session.masking = Masking(("card",))
        await s.type("use 4111 1111 1111 1111")
        await s.until(lambda: "[card number ending 1111]" in find_draft(real.store, None), "it is saved")
        assert s.chat.composer.text == "use 4111 1111 1111 1111"
    assert "1111 1111" not in find_draft(real.store, None)
