"""What messages want and how they sound: read, stored, acted on, and a person suggested."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmchat.chat.mood import LOW, Exchange, person_suggested, smoothed
from mmchat.chat.role_actions import FORBIDDEN_REPLY, HAND_OVER_OFFER
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import (
    OUT_OF_SCOPE,
    AttachmentRead,
    Likely,
    MessageUnderstood,
    Notice,
    PersonSuggested,
    PromptReady,
    ReplyEnded,
    ReplyEvent,
    Turn,
    Understood,
)
from mmchat.engines.scripted import ScriptedRecognizer
from mmchat.engines.scripted_texts import ScriptedTextReader
from mmchat.errors import ModelNotFound, WeightsError
from mmchat.role_values import IntentAction, Persona, Role, RoleText
from tests.fakes import Bench, FakeEngines, ScriptedIntentReader, ScriptedMoodReader

ASK_NUMBER = "Ask for the order number."
SHOP = Role(
    "shop",
    "sells lamps",
    {
        "en": RoleText(
            "Shop",
            "You sell lamps.",
            forbidden="We only talk about lamps.",
            hand_over="Shall a colleague take over?",
            on_intent={
                "refund": IntentAction(ASK_NUMBER),
                "repair": IntentAction("Ask what is broken.", reply="Please send us a photo of the lamp."),
                "person": IntentAction(hand_over=True),
                OUT_OF_SCOPE: IntentAction("Say what you can do."),
            },
        ),
        "zh": RoleText("灯店", "你卖灯。", on_intent={"refund": IntentAction("请问订单号。")}),
    },
    Path("shop.toml"),
    intents={
        "refund": ("I want my money back", "我 要 退款"),
        "repair": ("my lamp is broken", "台灯 坏了"),
        "person": ("I want to talk to a person",),
    },
    forbid={"medical": ("which pills should I take for a headache", "头疼 吃 什么 药")},
    reads_mood=True,
)
CLERK = Persona(SHOP, "en")


class Engines(FakeEngines):
    """Notes what readers are asked for."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.asked: list[tuple[str, bool]] = []
        self.wanted: list[tuple[frozenset[str], str]] = []

    def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> ScriptedIntentReader:
        self.wanted.append((frozenset(examples), model))
        engines = self

        class Noting(ScriptedIntentReader):
            def read(self, text: str, image: Image.Image | None = None) -> tuple[Likely, ...]:
                engines.asked.append((text, image is not None))
                return (Likely("card", 0.9),) if model else super().read(text, image)

        return Noting(examples)


class Broken(FakeEngines):
    """Readers whose weights are not there."""

    def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> ScriptedIntentReader:
        raise ModelNotFound("'e5-small' is not on this machine.", hint="mmchat models pull e5-small")

    def mood_reader(self) -> ScriptedMoodReader:
        raise WeightsError("The words of moods are damaged.")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "data", Engines())) as made:
        yield made


def talk(bench: Bench, persona: Persona | None = CLERK, **changes: Any) -> ChatSession:
    bench.settings = SessionSettings(persona=persona, should_recall=False, **changes)
    return bench.session()


def say(session: ChatSession, text: str, *files: Path) -> list[ReplyEvent]:
    return list(session.reply(UserInput(text, files), Event()))


def reply_of(events: list[ReplyEvent]) -> Turn:
    return next(event.turn for event in events if isinstance(event, ReplyEnded))


def understood_of(events: list[ReplyEvent]) -> Understood | None:
    return next((event.understood for event in events if isinstance(event, MessageUnderstood)), None)


def prompted(events: list[ReplyEvent]) -> list[str]:
    return next(([message.text for message in event.messages]) for event in events if isinstance(event, PromptReady))


def suggested(events: list[ReplyEvent]) -> list[str]:
    return [event.reason for event in events if isinstance(event, PersonSuggested)]


# --- reading --------------------------------------------------------------------------------------


def test_what_is_read_is_told_stored_and_there_when_the_conversation_is_opened_again(bench: Bench) -> None:
    session = talk(bench)
    events = say(session, "I want my money back!")
    understood = Understood((Likely("refund", 0.8),), "", -0.8, "scripted")
    assert understood_of(events) == understood
    assert session.info is not None
    assert bench.store.turns(session.info.id)[0].understood == understood


def test_nothing_is_read_where_nobody_asks_for_it(bench: Bench) -> None:
    plain = Persona(Role("plain", "", {"en": RoleText("P", "Be plain.")}, Path("p.toml")), "en")
    for persona in (None, plain):
        assert understood_of(say(talk(bench, persona), "I want my money back!")) is None
    assert not bench.engines.asked  # type: ignore[attr-defined]


def test_settings_have_a_head_read_without_a_role_and_the_mood_anywhere(bench: Bench) -> None:
    events = say(talk(bench, None, intent_model="banking", reads_mood=True), "My card was eaten!")
    assert understood_of(events) == Understood((Likely("card", 0.9),), "", -0.8, "scripted")
    calm = Persona(replace(SHOP, reads_mood=False), "en")
    assert understood_of(say(talk(bench, calm, intent_model="banking"), "Oh!")) == Understood(
        (Likely(OUT_OF_SCOPE, 1.0),), reader="scripted"
    )
    assert bench.engines.wanted[-1][1] == ""  # type: ignore[attr-defined]


def test_a_head_tells_intents_and_examples_forbidden_topics(bench: Bench) -> None:
    headed = Persona(replace(SHOP, intents={}, intent_model="banking"), "en")
    events = say(talk(bench, headed), "which pills should I take")
    understood = understood_of(events)
    assert understood is not None
    assert (understood.intent, understood.topic) == ("card", "medical")
    assert bench.engines.wanted == [  # type: ignore[attr-defined]
        (frozenset(), "banking"),
        (frozenset({"forbidden:medical"}), ""),
    ]


def test_what_was_heard_and_seen_is_read_with_the_words(bench: Bench, tmp_path: Path) -> None:
    bench.engines.asr = ScriptedRecognizer("I want my money back!")
    sound, picture = tmp_path / "complaint.wav", tmp_path / "lamp.png"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\x00\x01" * 16_000)
    Image.new("RGB", (32, 32), "red").save(picture)
    session = talk(bench)
    understood = understood_of(say(session, "", sound))
    assert understood is not None
    assert (understood.intent, understood.mood) == ("refund", -0.8)
    say(session, "my lamp", picture)
    (own, has_picture), (whole, _) = bench.engines.asked[-2:]  # type: ignore[attr-defined]
    assert has_picture
    assert own == "my lamp"
    assert whole.startswith("my lamp ")


def test_a_message_that_is_stopped_while_its_files_are_read_is_not_answered(bench: Bench, tmp_path: Path) -> None:
    pictures = [tmp_path / "lamp.png", tmp_path / "cable.png"]
    for picture, color in zip(pictures, ("red", "blue"), strict=True):
        Image.new("RGB", (32, 32), color).save(picture)
    session, cancel = talk(bench), Event()
    events: list[ReplyEvent] = []
    for event in session.reply(UserInput("my lamp is broken", tuple(pictures)), cancel):
        events.append(event)
        if isinstance(event, AttachmentRead):
            cancel.set()
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "Stopped before the reply began. Your message is kept."
    ]
    assert not bench.engines.asked, "nor is it understood"  # type: ignore[attr-defined]
    (kept,) = session.turns()
    assert [attachment.seen is not None for attachment in kept.attachments] == [True, False]
    assert reply_of(list(session.regenerate(Event()))).prepared == "intent", "answered when it is asked for"
    assert [attachment.seen is not None for attachment in session.turns()[0].attachments] == [True, True]


def test_a_message_that_is_stopped_once_it_was_understood_is_not_answered(bench: Bench) -> None:
    session, cancel = talk(bench), Event()
    events: list[ReplyEvent] = []
    for event in session.reply(UserInput("my lamp is broken"), cancel):
        events.append(event)
        if isinstance(event, MessageUnderstood):
            cancel.set()
    assert isinstance(events[-1], Notice)
    assert [turn.role for turn in session.turns()] == ["user"]


def test_what_is_in_a_picture_helps_out_and_drowns_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.engines.texts = ScriptedTextReader({(255, 0, 0): "is broken"})
    picture = tmp_path / "lamp.png"
    Image.new("RGB", (32, 32), "red").save(picture)
    clear = understood_of(say(talk(bench), "my lamp is broken", picture))
    unclear = understood_of(say(talk(bench), "my lamp", picture))
    assert clear is not None
    assert unclear is not None
    assert (clear.intent, clear.confidence) == ("repair", 1.0)
    assert unclear.intent == "repair"


def test_readers_that_cannot_be_had_are_told_of_once_and_the_turn_goes_on(tmp_path: Path) -> None:
    with closing(Bench(tmp_path / "data", Broken())) as bench:
        session = talk(bench)
        events = say(session, "I want my money back!")
        notices = [event.text for event in events if isinstance(event, Notice)]
        assert notices == [
            "What is wanted is not read: 'e5-small' is not on this machine. mmchat models pull e5-small",
            "Moods are not read: The words of moods are damaged.",
        ]
        assert reply_of(events).text == "You said: I want my money back!"
        assert not [event for event in say(session, "And again!") if isinstance(event, Notice)]


# --- acting ---------------------------------------------------------------------------------------


def test_a_forbidden_topic_is_refused_without_the_model(bench: Bench) -> None:
    session = talk(bench)
    events = say(session, "which pills should I take for a headache")
    reply = reply_of(events)
    assert (reply.text, reply.prepared, reply.engine, reply.model) == (
        "We only talk about lamps.",
        "forbidden",
        "role",
        "",
    )
    assert not [event for event in events if isinstance(event, PromptReady)]
    assert understood_of(events) == Understood((), "medical", 0.0, "scripted")


def test_a_refusal_comes_in_the_language_that_is_spoken(bench: Bench) -> None:
    assert reply_of(say(talk(bench), "头疼 吃 什么 药")).text == FORBIDDEN_REPLY["zh"]
    chinese = Persona(SHOP, "zh")
    assert reply_of(say(talk(bench, chinese), "which pills should I take")).text == "We only talk about lamps."


def test_a_topic_may_bear_the_name_of_an_intent(bench: Bench) -> None:
    twice = Persona(replace(SHOP, forbid={"refund": ("refund my taxes please",)}), "en")
    understood = understood_of(say(talk(bench, twice), "I want my money back"))
    assert understood is not None
    assert (understood.intent, understood.topic) == ("refund", "")


def test_an_intents_own_reply_comes_once_and_then_its_instructions(bench: Bench) -> None:
    session = talk(bench)
    first = reply_of(say(session, "my lamp is broken"))
    assert (first.text, first.prepared) == ("Please send us a photo of the lamp.", "intent")
    events = say(session, "my lamp is broken")
    assert reply_of(events).prepared == ""
    assert prompted(events)[-1] == "my lamp is broken\n\nIn your reply: Ask what is broken."
    assert reply_of(say(talk(bench), "my lamp is broken")).prepared == "intent"  # another conversation


def test_instructions_stay_with_their_message_byte_for_byte(bench: Bench) -> None:
    session = talk(bench)
    first = prompted(say(session, "I want my money back"))
    assert first[-1] == f"I want my money back\n\nIn your reply: {ASK_NUMBER}"
    assert session.info is not None
    again = bench.session(bench.store.get_session(session.info.id))
    later = prompted(say(again, "Number 12"))
    assert later[: len(first)] == first
    assert (
        later[-1] == "Number 12\n\nIn your reply: Say what you can do."
    )  # the role says what it does outside its scope


def read_as(bench: Bench, probability: float) -> ChatSession:
    """A conversation in which everything is taken for a repair, as surely as said."""

    class Unsure(Engines):
        def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> Any:
            reader = ScriptedIntentReader(examples)
            likely = (Likely("repair", probability), Likely("refund", 0.3))
            reader.read = lambda text, image=None: likely  # type: ignore[method-assign]
            return reader

    bench.engines = Unsure()
    return talk(bench)


def test_a_reply_of_its_own_wants_to_be_surer_than_instructions(bench: Bench) -> None:
    events = say(read_as(bench, 0.55), "my lamp")
    assert (reply_of(events).prepared, prompted(events)[-1]) == ("", "my lamp\n\nIn your reply: Ask what is broken.")
    assert reply_of(say(read_as(bench, 0.65), "my lamp")).prepared == "intent"


def test_an_unsure_intent_is_not_acted_on(bench: Bench) -> None:
    events = say(read_as(bench, 0.45), "my lamp")
    assert (reply_of(events).prepared, prompted(events)[-1]) == ("", "my lamp")
    understood = understood_of(events)
    assert understood is not None
    assert [each.label for each in understood.intents] == ["repair", "refund"]


def test_what_a_role_does_holds_in_its_other_languages_but_for_its_words(bench: Bench) -> None:
    assert prompted(say(talk(bench), "我 要 退款"))[-1] == "我 要 退款\n\n你回答时：请问订单号。"
    events = say(talk(bench, Persona(SHOP, "zh")), "台灯 坏了")
    assert reply_of(events).prepared == ""
    assert prompted(events)[-1] == "台灯 坏了\n\nIn your reply: Ask what is broken."


class Reads(Engines):
    """Takes every message for one intent."""

    def __init__(self, intent: str, probability: float = 0.93) -> None:
        super().__init__()
        self.likely = (Likely(intent, probability),)

    def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> ScriptedIntentReader:
        reader = ScriptedIntentReader(examples)
        reader.read = lambda text, image=None: self.likely  # type: ignore[method-assign]
        return reader


NOTED, WELCOME = "I have noted it.", "Glad to help."
TALKER = Persona(
    replace(
        SHOP,
        texts={
            "en": RoleText(
                "Shop",
                "You sell lamps.",
                on_intent={
                    "details": IntentAction(reply=NOTED),
                    "small_talk": IntentAction(reply=WELCOME),
                    "repair": IntentAction(reply="Send a photo."),
                    "person": IntentAction(reply="Of course.", hand_over=True),
                },
            ),
            "zh": RoleText("灯店", "你卖灯。", on_intent={"small_talk": IntentAction(reply="很高兴能帮到您。")}),
        },
        intents={"details": ("LO-204518",), "repair": ("my lamp is broken",), "person": ("get me a person",)},
        forbid={},
    ),
    "en",
)


@pytest.mark.parametrize("text", ["And if I have used it?", "What if it was used?"])
def test_a_question_that_goes_on_gets_no_reply_of_an_intent(bench: Bench, text: str) -> None:
    bench.engines = Reads("repair")
    session = talk(bench, TALKER)
    say(session, "Hello!")
    assert reply_of(say(session, text)).prepared == ""
    assert reply_of(say(session, "It is broken")).text == "Send a photo."


def test_a_question_is_no_detail(bench: Bench) -> None:
    bench.engines = Reads("details")
    assert reply_of(say(talk(bench, TALKER), "LO-204518, unused")).text == NOTED
    assert reply_of(say(talk(bench, TALKER), "How long do I have?")).prepared == ""


def test_who_asks_for_a_person_gets_one_however_it_is_asked(bench: Bench) -> None:
    bench.engines = Reads("person")
    session = talk(bench, TALKER)
    say(session, "Hello!")
    assert reply_of(say(session, "And can I talk to a person?")).text == "Of course."


@pytest.mark.parametrize(("text", "said"), [("Thanks a lot!", WELCOME), ("谢谢！", "很高兴能帮到您。")])
def test_thanks_are_answered_each_time_whatever_they_are_taken_for(bench: Bench, text: str, said: str) -> None:
    bench.engines = Reads("repair", 0.7)
    session = talk(bench, TALKER)
    replies = [reply_of(say(session, text)) for _ in range(2)]
    assert [(reply.text, reply.prepared) for reply in replies] == [(said, "intent")] * 2


def test_a_greeting_that_surely_says_more_and_a_nod_are_no_small_talk(bench: Bench) -> None:
    bench.engines = Reads("repair", 0.9)
    assert reply_of(say(talk(bench, TALKER), "Thanks, but it is broken")).text == "Send a photo."
    bench.engines = Reads("card", 0.9)
    assert reply_of(say(talk(bench, TALKER), "Yes")).prepared == ""


# --- a person -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "It is order LO-204518 and was sent in May. I want to talk to a person",
        "my lamp is broken, I want to talk to a person",
    ],
)
def test_the_wish_for_a_person_is_heard_beside_everything_else(bench: Bench, text: str) -> None:
    events = say(talk(bench), text)
    understood = understood_of(events)
    assert understood is not None
    assert understood.intent == "person"
    assert suggested(events) == ["intent"]


def test_a_wish_in_one_part_of_a_message_is_heard(bench: Bench) -> None:
    understood = understood_of(say(talk(bench), "I bought it in May for my mother, I want my money back"))
    assert understood is not None
    assert understood.intent == "refund"


def test_who_says_only_what_was_written_says_it_again_but_not_twice_in_a_row(bench: Bench) -> None:
    closed = Persona(replace(SHOP, answers="quote", is_bound_to_documents=True, reads_mood=False), "en")
    session = talk(bench, closed)
    said = [reply_of(say(session, "my lamp is broken")) for _ in range(3)]
    photo, offer = "Please send us a photo of the lamp.", "Shall a colleague take over?"
    assert [(turn.text, turn.prepared) for turn in said] == [(photo, "intent"), (offer, "intent"), (photo, "intent")]


def test_an_offer_that_was_the_reply_is_not_repeated_below_it(bench: Bench) -> None:
    closed = Persona(replace(SHOP, answers="quote", is_bound_to_documents=True), "en")
    session = talk(bench, closed)
    events = [say(session, "my lamp is broken !") for _ in range(2)][-1]
    offers = [event.text for event in events if isinstance(event, PersonSuggested)]
    assert reply_of(events).text == "Shall a colleague take over?"
    assert offers == [HAND_OVER_OFFER["en"]]


def test_one_angry_message_suggests_nobody_and_a_second_does_once(bench: Bench) -> None:
    session = talk(bench)
    told = [suggested(say(session, text)) for text in ("Where is it!", "Still not here!", "Hello!", "Well!")]
    assert told == [[], ["mood"], [], []]


def test_the_suggestion_comes_before_the_end_of_the_reply_in_the_roles_words(bench: Bench) -> None:
    events = say(talk(bench), "I want to talk to a person")
    at = next(index for index, event in enumerate(events) if isinstance(event, PersonSuggested))
    assert events[at] == PersonSuggested("Shall a colleague take over?", "intent")
    assert isinstance(events[-1], ReplyEnded)
    own = Persona(
        replace(SHOP, texts={"zh": RoleText("灯店", "你卖灯。", on_intent={"refund": IntentAction(hand_over=True)})}),
        "zh",
    )
    (offer,) = [event for event in say(talk(bench, own), "我 要 退款") if isinstance(event, PersonSuggested)]
    assert offer.text == HAND_OVER_OFFER["zh"]


def test_a_person_is_offered_as_often_as_one_is_asked_for() -> None:
    asks, angry, glad = Exchange(wants_person=True), Exchange(-1.0), Exchange(1.0)
    assert person_suggested([asks]) == person_suggested([asks, asks]) == "intent"
    assert person_suggested([asks, angry, angry]) is None
    assert person_suggested([angry]) is None
    assert person_suggested([angry, angry, glad, glad, angry, angry]) == "mood"


def test_two_unknown_answers_in_a_row_suggest_a_person_once() -> None:
    known, unknown = Exchange(), Exchange(is_unknown=True)
    assert person_suggested([unknown]) is None
    assert person_suggested([unknown, unknown]) == "unknown"
    assert person_suggested([unknown, unknown, unknown]) is None
    assert person_suggested([unknown, known, unknown]) is None
    assert person_suggested([unknown, unknown, known, unknown, unknown]) == "unknown"


MOODS = st.lists(st.none() | st.floats(-1, 1))


@given(MOODS)
def test_the_level_of_a_mood_stays_within_what_was_heard(moods: list[float | None]) -> None:
    heard = [mood for mood in moods if mood is not None]
    assert min([0.0, *heard]) <= smoothed(moods) <= max([0.0, *heard])


@given(MOODS)
def test_no_person_is_suggested_for_a_mood_that_is_not_low_nor_twice_in_a_row(moods: list[float | None]) -> None:
    exchanges = [Exchange(mood) for mood in moods]
    told = [person_suggested(exchanges[: end + 1]) for end in range(len(exchanges))]
    for at, reason in enumerate(told):
        assert reason is None or smoothed(moods[: at + 1]) <= LOW
    assert not any(one and next_one for one, next_one in zip(told, told[1:], strict=False))
