"""A conversation summed up for a person: what it says, in which language, where it is kept."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image

from mmchat.chat.hand_over import ANSWERED_AT_MOST, CARRIED_CHARACTERS, Answered, Open, Shown, sum_up, write_summary
from mmchat.chat.hand_over_text import as_text, mood_word
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import Attachment, Heard, Likely, Passage, Recalled, Seen, Session, Tag, Turn, Understood
from mmchat.engines.scripted import ScriptedRecognizer
from mmchat.engines.scripted_texts import ScriptedTextReader
from mmchat.errors import MemoryStoreError, UsageError
from mmchat.memory.citations import as_citation
from mmchat.memory.hand_overs import add_hand_over, hand_overs
from mmchat.role_values import Persona
from tests.fakes import Bench
from tests.unit.chat.test_understanding import CLERK, SHOP

SESSION = Session("01m803shop", "Refund", "2026-03-14T06:00:00Z", "2026-03-14T06:05:00Z", role="shop")
RETURNS = Passage("p1", "d1", "shop", Path("/docs/returns.md"), "returns.md", "When the money arrives", "5 days.")


class Talk:
    """Turns as they would be stored."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def _add(self, role: Any, text: str, **fields: Any) -> None:
        number = len(self.turns)
        parent = self.turns[-1].id if self.turns else None
        moment = f"2026-03-14T06:0{min(number, 9)}:00Z"
        turn = Turn(f"t{number}", SESSION.id, parent, role, text, "complete", moment)
        self.turns.append(replace(turn, **fields))

    def user(self, text: str, intent: str = "", p: float = 0.9, mood: float | None = None, **fields: Any) -> Talk:
        intents = (Likely(intent, p),) if intent else ()
        self._add("user", text, understood=Understood(intents, mood=mood), **fields)
        return self

    def reply(self, text: str, **fields: Any) -> Talk:
        self._add("assistant", text, **fields)
        return self


def attached(name: str, kind: Any, **fields: Any) -> Attachment:
    return replace(Attachment(name, "t", kind, name, "0" * 64, "x/y", 1, Path(name)), **fields)


def shop_talk() -> Talk:
    heard = attached("complaint.wav", "audio", heard=Heard("My lamp arrived with a broken switch.", "en", 4.0))
    seen = attached("lamp.jpg", "image", seen=Seen((Tag("lamp", 0.9),), text="LO-204518", caption="A lamp on a table."))
    cited: tuple[Recalled, ...] = (as_citation(RETURNS, 1.0), as_citation(RETURNS, 0.5))
    return (
        Talk()
        .reply("Hello, how can I help?")
        .user("When does the money arrive after a return?", "return", 0.7, 0.0)
        .reply("Usually within 5 working days.", recalled=cited)
        .user("", "repair", 0.8, -0.5, attachments=(heard, seen))
        .reply("I am sorry, I do not know that.", prepared="unknown")
        .user("I want my money back now!", "refund", 0.93, -0.9)
        .reply("Please tell me your order number.", prepared="intent")
        .user("Which pills help against anger?", "", 0.0, -0.9)
        .reply("Only lamps.", prepared="forbidden")
    )


def test_a_summary_holds_what_was_wanted_said_answered_and_left_open() -> None:
    summary = sum_up(SESSION, shop_talk().turns, CLERK)
    assert [(each.intent, each.probability, each.words) for each in summary.wanted] == [
        ("return", 0.7, "When does the money arrive after a return?"),
        ("repair", 0.8, "My lamp arrived with a broken switch."),
        ("refund", 0.93, "I want my money back now!"),
    ]
    assert "My lamp arrived with a broken switch." in summary.own_words
    assert summary.answered == (
        Answered(
            "When does the money arrive after a return?",
            "Usually within 5 working days.",
            ("returns.md › When the money arrives",),
        ),
        Answered("I want my money back now!", "Please tell me your order number."),
    )
    assert summary.open == (
        Open("My lamp arrived with a broken switch.", "unknown"),
        Open("I want my money back now!", "prepared"),
        Open("Which pills help against anger?", "forbidden"),
    )
    assert summary.files == (
        Shown("complaint.wav", "audio", "My lamp arrived with a broken switch."),
        Shown("lamp.jpg", "image", "A lamp on a table.", "LO-204518"),
    )
    assert (summary.moods, summary.reason, summary.language, summary.role) == (
        (0.0, -0.5, -0.9, -0.9),
        "mood",
        "en",
        "Shop",
    )


def test_nothing_is_said_that_was_not_said() -> None:
    """Every quotation stands in the conversation."""
    turns = shop_talk().turns
    said = (
        " ".join(" ".join((turn.text, *(each.heard.text for each in turn.attachments if each.heard))) for turn in turns)
        + " LO-204518"
    )
    quoted = [part.split("”")[0] for part in as_text(sum_up(SESSION, turns, CLERK)).split("“")[1:]]
    assert len(quoted) > 8
    for each in quoted:
        assert each.rstrip("…") in said


def test_the_layout_in_english() -> None:
    text = as_text(sum_up(SESSION, shop_talk().turns, CLERK))
    assert text.startswith("# Hand-over: Shop\n\nConversation 01m803shop, ")
    assert "Why: the mood fell." in text
    assert "- refund (93%): “I want my money back now!”" in text
    assert "“Usually within 5 working days.” (from returns.md › When the money arrives)" in text
    assert "- “My lamp arrived with a broken switch.” (not known)" in text
    assert "- lamp.jpg (picture): A lamp on a table, text in it: “LO-204518”" in text
    assert "- neutral → unhappy → very unhappy (-0.65 on the whole, from -1 to 1, falling)" in text


def test_the_layout_in_chinese() -> None:
    talk = Talk().reply("您好").user("我要退款！", "refund", 0.9, -0.8).reply("请告诉我订单号。", prepared="intent")
    photo = attached("灯.jpg", "image", seen=Seen((Tag("table lamp", 0.9),), caption="A table lamp."))
    talk.user("这是照片", "repair", 0.7, -0.8, attachments=(photo,)).reply("这个我不知道。", prepared="unknown")
    text = as_text(sum_up(SESSION, talk.turns, Persona(SHOP, "zh")))
    assert text.startswith("# 转人工摘要：灯店\n")
    for part in (
        "## 对方的需求",
        "refund（90%）：“我要退款！”",
        "## 未解决",
        "“这是照片”（不知道答案）",
        "“我要退款！”（只有预设的答复）",
        "图片",
        "很不满",
    ):
        assert part in text
    assert "A table lamp" not in text


def test_without_intents_what_was_asked_for_stands_there() -> None:
    talk = Talk().user("Where is my parcel?").reply("Soon.").user("I live in Delft.").reply("Nice.")
    summary = sum_up(replace(SESSION, role=""), talk.turns, None)
    assert [(each.intent, each.words) for each in summary.wanted] == [("", "Where is my parcel?")]
    assert "- “Where is my parcel?”" in as_text(summary)
    assert "Mood" not in as_text(summary)


def test_small_talk_and_what_broke_off_are_no_answers() -> None:
    talk = (
        Talk()
        .user("Hello", "small_talk")
        .reply("Hi.")
        .user("Is it dimmable?")
        .reply("", status="failed")
        .user("And red?")
    )
    summary = sum_up(SESSION, talk.turns, CLERK)
    assert summary.answered == ()
    assert [each.intent for each in summary.wanted] == ["", ""]
    assert [each.asked for each in summary.open] == ["Is it dimmable?", "And red?"]


def test_what_got_a_prepared_reply_only_and_who_wants_a_person_is_open() -> None:
    talk = (
        Talk()
        .user("I want my money back", "refund")
        .reply("Your order number?", prepared="intent")
        .user("LO-204518", "details")
        .reply("Noted.", prepared="intent")
        .user("My lamp is broken", "repair")
        .reply("A photo?", prepared="intent")
        .user("How do I repair the switch?", "repair")
        .reply("Turn it off first.", prepared="quote")
        .user("Give me a person", "person")
        .reply("Of course.")
        .user("A person, I said", "person")
        .reply("Of course.")
    )
    summary = sum_up(SESSION, talk.turns, CLERK)
    assert summary.open == (Open("I want my money back", "prepared"), Open("Give me a person", "person"))
    text = as_text(summary)
    assert "- “I want my money back” (answered by a prepared reply only)" in text
    assert "- “Give me a person” (a person is wanted)" in text


def test_a_long_message_is_cut_and_carried_once_in_each_part() -> None:
    long = "Why is my lamp broken? " * 3_000
    talk = Talk().user(long).reply(long).user(long).reply("", status="failed").user(long).reply("", status="failed")
    summary = sum_up(SESSION, talk.turns, None)
    assert (len(summary.wanted), len(summary.answered), len(summary.open)) == (1, 1, 1)
    for words in (summary.wanted[0].words, summary.answered[0].asked, summary.answered[0].reply, summary.open[0].asked):
        assert words.endswith("…")
        assert len(words) <= CARRIED_CHARACTERS


def test_a_long_conversation_keeps_its_last_answers() -> None:
    talk = Talk()
    for number in range(2 * ANSWERED_AT_MOST):
        talk.user(f"Question {number}?").reply(f"Answer {number}. " + "long " * 100)
    summary = sum_up(SESSION, talk.turns, CLERK)
    assert [each.asked for each in summary.answered][0] == f"Question {ANSWERED_AT_MOST}?"
    assert max(map(len, as_text(summary).splitlines())) < 600


@pytest.mark.parametrize(
    ("mood", "word"), [(-1, "very unhappy"), (-0.3, "unhappy"), (0, "neutral"), (1, "very pleased")]
)
def test_moods_have_words(mood: float, word: str) -> None:
    assert mood_word(mood) == word


# --- kept -----------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "data", settings=SessionSettings(persona=CLERK, should_recall=False))) as made:
        yield made


def spoken(bench: Bench, *texts: str) -> ChatSession:
    session = bench.session()
    for text in texts:
        list(session.reply(UserInput(text), Event()))
    return session


def test_a_hand_over_is_kept_once_and_goes_with_its_conversation(bench: Bench) -> None:
    session = spoken(bench, "I want my money back!", "I want to talk to a person")
    made = session.hand_over.prepare()
    assert session.hand_over.prepare() == made
    assert session.info is not None
    assert hand_overs(bench.store, session.info.id) == (made,)
    assert made.reason == "intent"
    list(session.reply(UserInput("Hello?"), Event()))
    newer = session.hand_over.prepare()
    assert (newer.id, newer.text == made.text) == (made.id, False)
    assert hand_overs(bench.store, session.info.id) == (newer,)
    bench.store.delete_session(session.info.id)
    assert hand_overs(bench.store, session.info.id) == ()


def test_looking_is_no_hand_over_and_keeping_thrice_is_one(bench: Bench) -> None:
    session = spoken(bench, "Is it dimmable?")
    assert session.info is not None
    looked_at = session.hand_over.prepare()
    assert (looked_at.reason, hand_overs(bench.store, session.info.id)) == ("asked", ())
    for text in ("And red?", "And blue?", "And green?"):
        list(session.reply(UserInput(text), Event()))
        session.hand_over.keep(session.hand_over.prepare())
    [kept] = hand_overs(bench.store, session.info.id)
    assert "And green?" in kept.text
    list(session.reply(UserInput("I want to talk to a person"), Event()))
    session.hand_over.prepare()
    assert [each.reason for each in hand_overs(bench.store, session.info.id)] == ["asked", "intent"]


def test_a_photographed_product_and_a_spoken_complaint_are_acted_on_and_told(bench: Bench, tmp_path: Path) -> None:
    bench.engines.asr = ScriptedRecognizer("I want my money back!")
    bench.engines.texts = ScriptedTextReader({(255, 0, 0): "LO-204518"})
    picture, sound = tmp_path / "lamp.png", tmp_path / "complaint.wav"
    Image.new("RGB", (32, 32), "red").save(picture)
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\x00\x01" * 16_000)
    session = bench.session()
    list(session.reply(UserInput("my lamp is broken", (picture,)), Event()))
    list(session.reply(UserInput("", (sound,)), Event()))
    asked, answer, spoken_to, _ = session.turns()
    assert (answer.prepared, answer.text) == ("intent", "Please send us a photo of the lamp.")
    assert spoken_to.understood is not None
    assert (spoken_to.understood.intent, spoken_to.understood.mood) == ("refund", -0.8)
    text = session.hand_over.prepare().text
    assert "lamp.png (picture): " in text
    assert "text in it: “LO-204518”" in text
    assert "- complaint.wav (sound): “I want my money back!”" in text
    assert "- refund (80%): “I want my money back!”" in text
    assert asked.text == "my lamp is broken"


def test_hand_overs_are_those_of_one_conversation(bench: Bench) -> None:
    first, second = spoken(bench, "one").info, spoken(bench, "two").info
    assert first is not None
    assert second is not None
    kept = add_hand_over(bench.store, first.id, reason="asked", text="told")
    assert hand_overs(bench.store, second.id) == ()
    assert hand_overs(bench.store, first.id) == (kept,)


def test_an_empty_conversation_cannot_be_handed_over(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to hand over"):
        bench.session().hand_over.prepare()
    with pytest.raises(UsageError):
        bench.session().hand_over.path_for("", tmp_path)


def test_it_is_written_where_one_says_or_under_a_name_of_its_own(bench: Bench, tmp_path: Path) -> None:
    session = spoken(bench, "I want my money back")
    own = session.hand_over.path_for("", tmp_path)
    assert (own.parent, own.suffix) == (tmp_path, ".md")
    assert own.name.startswith("handover-")
    assert session.hand_over.path_for("for-femke.txt", tmp_path) == tmp_path / "for-femke.txt"
    text = session.hand_over.prepare().text
    write_summary(text, own)
    assert own.read_text("utf-8") == text
    if os.name == "posix":
        assert own.stat().st_mode & 0o777 == 0o600
    with pytest.raises(MemoryStoreError, match="could not be written"):
        write_summary(text, tmp_path / "no-such-folder" / "a.md")
