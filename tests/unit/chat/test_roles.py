"""Whom the assistant plays: its text, greeting and examples in the prompt, its model and its memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mmchat.chat.desk import Desk
from mmchat.chat.entries import Entry, Standing
from mmchat.chat.mic import Microphone
from mmchat.chat.ports import Recorder
from mmchat.chat.prompt import assemble
from mmchat.chat.roles import Casting
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import Message, ModelSummary, PromptReady, Session
from mmchat.errors import ModelNotFound, UsageError
from mmchat.memory.role_sessions import begin_with_role
from mmchat.role_values import Persona, Role, RoleExample, RoleText
from tests.fakes import Bench, FakeEngines

PIRATE = Role(
    "pirate",
    "sails",
    {
        "en": RoleText("Isolde", "You are Isolde.", "Who goes there?", (RoleExample("Where?", "North."),)),
        "zh": RoleText("伊索", "你是伊索。", "谁在那儿？"),
    },
    Path("pirate.toml"),
    options={"temperature": 0.9, "top_k": 5},
    memory="own",
)
ISOLDE = Persona(PIRATE, "en")


def no_microphone(device: str) -> Recorder:
    raise AssertionError("nothing is recorded here")


NO_MICROPHONE = Microphone(no_microphone)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "data")) as made:
        yield made


def play(bench: Bench, persona: Persona | None, **changes: Any) -> ChatSession:
    bench.settings = SessionSettings(persona=persona, **changes)
    return bench.session()


def prompt_of(session: ChatSession, text: str) -> tuple[Message, ...]:
    events = list(session.reply(UserInput(text), Event()))
    return next(event.messages for event in events if isinstance(event, PromptReady))


def told(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]


def test_a_role_stands_first_with_its_examples_and_its_greeting(bench: Bench) -> None:
    session = play(bench, ISOLDE, system="Be nice.")
    assert session.greeting == "Who goes there?"
    assert told(prompt_of(session, "A friend.")) == [
        ("system", "You are Isolde."),
        ("user", "Where?"),
        ("assistant", "North."),
        ("user", "Hello."),
        ("assistant", "Who goes there?"),
        ("user", "A friend."),
    ]
    assert session.greeting == ""
    assert [turn.text for turn in session.turns()[:2]] == ["Who goes there?", "A friend."]
    info = session.info
    assert info is not None
    assert (info.role, info.persona, info.title) == ("pirate", "You are Isolde.", "A friend.")


def test_in_chinese_the_opener_is_chinese(bench: Bench) -> None:
    messages = prompt_of(play(bench, Persona(PIRATE, "zh")), "朋友。")
    assert told(messages)[:3] == [("system", "你是伊索。"), ("user", "你好。"), ("assistant", "谁在那儿？")]


def test_what_was_typed_goes_before_the_role_and_the_role_before_the_settings() -> None:
    settings = SessionSettings(
        options={"temperature": 0.1, "seed": 3}, persona=ISOLDE, typed_options={"top_k": 1, "max_new_tokens": 9}
    )
    assert settings.chosen_options == {"temperature": 0.9, "seed": 3, "top_k": 1, "max_new_tokens": 9}


def test_examples_give_way_in_a_short_context_and_the_system_text_stays() -> None:
    def count(messages: Any) -> int:
        return sum(1 + len(message.text) for message in messages)

    long = tuple(Message(role, "x" * 30) for role in ("user", "assistant"))
    entries = [Entry("t", True, (Message("user", "hi"),))]
    for budget, is_there in ((400, True), (200, False)):
        prompt = assemble("Be Isolde.", entries, count_tokens=count, budget=budget, standing=Standing(examples=long))
        assert (long[0] in prompt.messages) is is_there
        assert prompt.messages[0].text == "Be Isolde."
        assert prompt.window.tokens <= budget


def test_a_memory_of_its_own_is_neither_told_nor_learnt_elsewhere(bench: Bench) -> None:
    def recalled(session: ChatSession, text: str) -> list[str]:
        events = list(session.reply(UserInput(text), Event()))
        return [note.text for event in events if isinstance(event, PromptReady) for note in event.recalled]

    secret, question = "My zeppelin is called Gertrude and I am allergic to peanuts.", "What is my zeppelin called?"
    recalled(play(bench, ISOLDE), secret)
    assert not bench.session().facts.all()
    assert secret in recalled(play(bench, ISOLDE), question)
    assert secret not in recalled(play(bench, None), question)
    plain = "My zeppelin is called Hildegard."
    recalled(play(bench, None), plain)
    other = Persona(replace(PIRATE, name="other"), "en")
    assert not recalled(play(bench, other), question)
    assert plain in recalled(play(bench, None), question)
    shared = Persona(replace(PIRATE, memory="shared"), "en")
    assert plain in recalled(play(bench, shared), question)


class Models(FakeEngines):
    """Engines that know which model is in use."""

    def __init__(self) -> None:
        super().__init__()
        self.used = ["usual"]

    def use_language_model(self, name: str) -> None:
        if name == "gone":
            raise ModelNotFound("no such model")
        self.used.append(name)

    def language_models(self) -> tuple[ModelSummary, ...]:
        return (ModelSummary(self.used[-1], "lm", "scripted", "", 0, True, True, ""),)


def find(key: str) -> Persona:
    models = {"pirate": "", "singer": "choir", "ghost": "gone"}
    if key not in models:
        raise UsageError(f"There is no role '{key}'.")
    return Persona(replace(PIRATE, name=key, model=models[key]), "en")


def test_a_role_brings_its_model_and_takes_it_away_again() -> None:
    engines = Models()
    casting = Casting(engines, find=find)
    casting.choose("singer")
    casting.choose("singer")
    casting.choose("pirate")
    assert engines.used == ["usual", "choir", "usual"]
    with pytest.raises(ModelNotFound):
        casting.choose("ghost")
    with pytest.raises(UsageError):
        casting.choose("nobody")
    assert engines.used == ["usual", "choir", "usual"]
    assert casting.choose("off") is None


def stored(role: str) -> Session:
    return Session("s", "", "", "", role=role)


def test_a_model_that_was_typed_stays_whatever_the_role_brings() -> None:
    engines = Models()
    casting = Casting(engines, is_model_typed=True, find=find)
    assert casting.of(stored("singer")) is not None
    casting.choose("singer")
    assert engines.used == ["usual"]


def test_the_model_of_a_role_goes_with_it_wherever_one_goes_next() -> None:
    engines = Models()
    engines.used = ["choir"]  # the program was started with the role
    casting = Casting(engines, usual_model="usual", find=find)
    casting.of(stored("singer"))
    assert engines.used == ["choir"]
    assert casting.of(stored("")) is None
    assert engines.used == ["choir", "usual"]


def test_a_conversation_goes_on_in_its_language_in_any_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    casting = Casting(Models())
    for role, language in {"tutor": "en", "tutor:zh": "zh"}.items():
        persona = casting.of(stored(role))
        assert persona is not None
        assert persona.language == language


def test_a_role_that_cannot_be_had_changes_nothing(bench: Bench, home: Path) -> None:
    desk = Desk(bench.store, bench.recall, bench.engines, SessionSettings(), NO_MICROPHONE)
    desk.play("tutor")
    with pytest.raises(UsageError):
        desk.play("nobody")
    persona = desk.new_session().persona
    assert persona is not None
    assert persona.role.name == "tutor"


def test_a_conversation_keeps_its_role(bench: Bench, home: Path) -> None:
    desk = Desk(bench.store, bench.recall, bench.engines, SessionSettings(system="Be nice."), NO_MICROPHONE)
    session = desk.play("tutor")
    list(session.reply(UserInput("Hi"), Event()))
    desk.play("off")
    assert desk.new_session().persona is None
    assert session.info is not None
    again = desk.open_session(session.info.id)
    assert again.persona is not None
    assert again.persona.role.name == "tutor"


def test_a_conversation_whose_role_is_gone_keeps_its_text(bench: Bench) -> None:
    session = play(bench, ISOLDE)
    list(session.reply(UserInput("Hi"), Event()))
    assert session.info is not None
    desk = Desk(bench.store, bench.recall, bench.engines, SessionSettings(system="Be nice."), NO_MICROPHONE)
    again = desk.open_session(session.info.id)
    assert again.persona is None
    assert prompt_of(again, "And now?")[0] == Message("system", "You are Isolde.")


def test_a_greeting_is_not_rated(bench: Bench) -> None:
    bench.settings = SessionSettings(persona=ISOLDE)
    stored = begin_with_role(bench.store, "pirate", persona="You are Isolde.", greeting="Who goes there?")
    (greeting,) = bench.store.turns(stored.id)
    assert (greeting.role, greeting.parent_id) == ("assistant", None)
    assert not bench.store.file.check_integrity()
    with pytest.raises(UsageError, match="no reply to rate"):
        bench.session(bench.store.get_session(stored.id)).ratings.rate("good")
