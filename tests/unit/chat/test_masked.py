"""Personal data is masked before anything is stored, in every way that words come into a conversation."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.known import KnownFacts
from mmchat.chat.listening import Listening
from mmchat.chat.masked import Masking, kinds_of
from mmchat.chat.picture_backlog import PictureBacklog
from mmchat.chat.quiet import Quiet
from mmchat.chat.senses import Senses, examine
from mmchat.chat.session import SessionSettings, UserInput
from mmchat.domain import Heard, Notice, ReplyEvent, Segment, UserTurnStored
from mmchat.engines.scripted import ScriptedRecognizer
from mmchat.engines.scripted_texts import ScriptedTextReader
from mmchat.role_values import Persona, Role, RoleText
from tests.fakes import Bench, FakeEngines

CARD = "4111 1111 1111 1111"
PHONE = "一三八零零一三八零零零"
CLERK = Persona(Role("clerk", "", {"en": RoleText("Clerk", "You help.")}, Path("clerk.toml"), mask=("card",)), "en")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    engines = FakeEngines(asr=ScriptedRecognizer(f"my card is {CARD}"))
    engines.texts = ScriptedTextReader({(255, 0, 0): f"VISA\n{CARD}"})
    with closing(Bench(tmp_path / "data", engines, SessionSettings(persona=CLERK, mask=("phone",)))) as made:
        yield made


def say(bench: Bench, text: str, *files: Path, instead_of: str = "") -> list[ReplyEvent]:
    session = bench.session(bench.store.latest_session())
    return list(session.reply(UserInput(text, files), Event(), instead_of))


def masked_of(events: list[ReplyEvent]) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.text, each.masked) for each in events if isinstance(each, Notice) and each.masked]


def everything(bench: Bench) -> str:
    """All that the database holds, whatever the table."""
    folder = bench.store.file.path.parent
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in folder.glob("mmchat.db*") if path.is_file())


def picture(folder: Path) -> Path:
    path = folder / "card.png"
    Image.new("RGB", (40, 40), "red").save(path)
    return path


def sound(folder: Path) -> Path:
    path = folder / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\x10\x20" * 16_000)
    return path


def test_what_a_role_and_the_settings_name_is_masked() -> None:
    assert kinds_of(("phone",), CLERK) == ("card", "phone")
    assert kinds_of((), None) == ()


def test_a_typed_card_is_nowhere(bench: Bench) -> None:
    events = say(bench, f"My card is {CARD}, 电话{PHONE}.")
    stored = next(each.turn for each in events if isinstance(each, UserTurnStored))
    assert stored.text == "My card is [card number ending 1111], 电话[phone number ending 00]."
    assert masked_of(events) == [
        ("A card number and a phone number were masked before they were stored.", ("card", "phone"))
    ]
    assert CARD not in "".join(message.text for message in bench.engines.lm.calls[-1])
    assert CARD not in everything(bench)
    assert PHONE not in everything(bench)
    session = bench.store.latest_session()
    assert session is not None
    assert "[card number ending 1111]" in session.title


def test_an_edited_message_is_masked_too(bench: Bench) -> None:
    say(bench, "hello")
    session = bench.session(bench.store.latest_session())
    first = next(turn for turn in session.turns() if turn.role == "user")
    events = say(bench, f"use {CARD}", instead_of=first.id)
    assert masked_of(events)[0][1] == ("card",)
    assert CARD not in everything(bench)


def test_what_is_heard_is_masked_with_its_words(bench: Bench, tmp_path: Path) -> None:
    events = say(bench, "", sound(tmp_path))
    assert masked_of(events) == [("A card number in said.wav was masked before it was stored.", ("card",))]
    kept = bench.session(bench.store.latest_session()).turns()[0].attachments[0].heard
    assert kept is not None
    assert kept.text == "my card is [card number ending 1111]"
    assert CARD not in everything(bench)


def test_what_is_read_in_a_picture_is_masked(bench: Bench, tmp_path: Path) -> None:
    path = picture(tmp_path)
    events = say(bench, "look", path)
    assert masked_of(events) == [("A card number in card.png was masked before it was stored.", ("card",))]
    assert CARD not in everything(bench)
    assert path.read_bytes() in [
        blob.read_bytes() for blob in (tmp_path / "data" / "blobs").rglob("*") if blob.is_file()
    ]


def test_known_words_of_the_same_bytes_are_masked_where_they_come_again(bench: Bench, tmp_path: Path) -> None:
    path, mine = picture(tmp_path), bench.settings
    bench.settings = SessionSettings()
    plain = bench.session()
    list(plain.reply(UserInput("look", (path,)), Event()))
    seen = plain.turns()[0].attachments[0].seen
    assert seen is not None
    assert CARD in seen.text
    bench.settings = mine
    again = bench.session()
    events = list(again.reply(UserInput("look", (path,)), Event()))
    assert masked_of(events)
    seen = again.turns()[0].attachments[0].seen
    assert seen is not None
    assert CARD not in seen.text


def test_a_picture_that_waited_for_its_model_is_masked(bench: Bench, tmp_path: Path) -> None:
    session = bench.store.create_session()
    path = picture(tmp_path)
    turn = bench.store.add_user_turn(session.id, "look", [examine(path)])
    backlog = PictureBacklog(bench.store, bench.recall, bench.engines, Quiet(), lambda _: ("card",))
    assert backlog.work(Event()) == 1
    seen = bench.store.get_turn(turn.id).attachments[0].seen
    assert seen is not None
    assert seen.text == "VISA\n[card number ending 1111]"


def test_a_number_spoken_over_a_pause_leaves_no_half_of_it() -> None:
    heard = Heard(
        "card 4111 1111 1111 1111 please", "en", 4.0,
        (Segment(0.0, 2.0, "card 4111 1111"), Segment(2.0, 3.5, "1111 1111 please")),
    )  # fmt: skip
    kept, masked = Masking(("card",)).heard(heard)
    assert masked.kinds == ("card",)
    assert [(each.start_s, each.end_s, each.text) for each in kept.segments] == [
        (0.0, 3.5, "card [card number ending 1111] please")
    ]
    assert Masking(("mail",)).heard(heard) == (heard, replace(masked, text=heard.text, kinds=()))


def test_titles_better_replies_and_told_facts_are_masked(bench: Bench) -> None:
    say(bench, "hello")
    session = bench.session(bench.store.latest_session())
    assert session.rename(f"about {CARD}").title == "about [card number ending 1111]"
    rated = session.ratings.improve(f"Never {CARD}")
    assert rated.rating is not None
    assert rated.rating.better == "Never [card number ending 1111]"
    facts = KnownFacts(bench.store, bench.engines.embedder, lambda: Masking(("card",)))
    fact = facts.remember(f"my card is {CARD}")
    assert fact.text == "my card is [card number ending 1111]"
    assert CARD not in facts.edit(fact.id, f"it is {CARD}").text


def test_nothing_is_masked_where_nobody_asked(bench: Bench) -> None:
    bench.settings = SessionSettings()
    events = say(bench, f"My card is {CARD}.")
    assert masked_of(events) == []
    assert bench.session(bench.store.latest_session()).turns()[0].text == f"My card is {CARD}."
    senses = Senses(bench.store, bench.recall, bench.engines, Listening())
    assert senses.take_masked("nothing").kinds == ()
