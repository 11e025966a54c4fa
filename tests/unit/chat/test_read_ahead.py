"""The model reads a message while it is typed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import LoadState, Message, PromptReady, Recalled, ReplyEnded
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.role_values import Persona, Role, RoleText
from tests.fakes import Bench, FakeEngines


def send(session: ChatSession, text: str) -> tuple[PromptReady, ReplyEnded]:
    events = list(session.reply(UserInput(text), Event()))
    (ready,) = [event for event in events if isinstance(event, PromptReady)]
    (ended,) = [event for event in events if isinstance(event, ReplyEnded)]
    return ready, ended


def read(session: ChatSession, draft: str) -> tuple[Message, ...]:
    """The prompt that the model read."""
    session.ahead.read(draft, Event())
    model = session.window.loaded_model()
    assert isinstance(model, ScriptedLanguageModel)
    return model.read[-1]


@pytest.mark.parametrize("system", ["", "Be kind."])
def test_the_prompt_is_that_of_the_message_and_nothing_is_stored(tmp_path: Path, system: str) -> None:
    with closing(Bench(tmp_path, settings=SessionSettings(system=system))) as bench:
        session = bench.session()
        for number in range(3):
            before, turns = bench.store.list_sessions(), session.turns()
            drafted = [read(session, draft) for draft in ("", f"message {number}", f"message {number} is whole ")]
            assert session.turns() == turns
            assert bench.store.list_sessions() == before
            sent, ended = send(session, f"message {number} is whole")
            assert drafted[2] == sent.messages
            for each in drafted:
                assert each[:-1] == sent.messages[:-1]
                assert sent.messages[-1].text.startswith(each[-1].text)
            usage = ended.turn.usage
            assert usage is not None
            assert usage.cached_tokens == usage.prompt_tokens - 1, "all that can be held is held"


def test_a_window_that_is_full_moves_before_the_message_is_sent(tmp_path: Path) -> None:
    """What is dropped then is dropped when it is sent, and no sooner."""
    engines = FakeEngines(ScriptedLanguageModel(context_tokens=120))
    settings = SessionSettings(options={"max_new_tokens": 10}, should_recall=False, should_know_facts=False)
    with closing(Bench(tmp_path, engines, settings)) as bench:
        session = bench.session()
        has_moved = False
        for number in range(12):
            drafted = read(session, f"This is message number {number} of our long talk")
            sent, _ = send(session, f"This is message number {number} of our long talk")
            assert drafted == sent.messages
            has_moved = has_moved or sent.window.turns_out > 0
        assert has_moved


def test_what_is_recalled_is_read_too(tmp_path: Path) -> None:
    with closing(Bench(tmp_path)) as bench:
        send(bench.session(), "My rabbit is called Nutmeg")
        session = bench.session()
        drafted = read(session, "What is my rabbit called?")
        assert session.turns() == ()
        sent, _ = send(session, "What is my rabbit called?")
        assert sent.recalled
        assert all(isinstance(note, Recalled) for note in sent.recalled)
        assert drafted == sent.messages


def test_a_role_and_its_greeting_are_read_before_anything_is_said(tmp_path: Path) -> None:
    role = Role("luz", "", {"en": RoleText("Luz", "You are Luz.", "Hola, what did you do today?")}, tmp_path / "x.toml")
    with closing(Bench(tmp_path, settings=SessionSettings(persona=Persona(role, "en")))) as bench:
        session = bench.session()
        drafted = read(session, "I wrote a letter")
        assert "Hola" in "".join(message.text for message in drafted)
        assert session.info is None
        sent, _ = send(session, "I wrote a letter")
        assert drafted == sent.messages


class NotThere(FakeEngines):
    """The model is still being loaded."""

    def language_model(self) -> ScriptedLanguageModel:
        raise AssertionError("nothing is loaded for a draft")

    def states(self) -> tuple[LoadState, ...]:
        return (LoadState("lm", self.lm.name, "scripted", "loading"),)


class Asleep(FakeEngines):
    """The embedder is not loaded."""

    def embedder(self) -> None:  # type: ignore[override]
        raise AssertionError("nothing is loaded for a draft")

    def states(self) -> tuple[LoadState, ...]:
        return (*super().states(), LoadState("embed", "scripted", "scripted", "idle"))


@pytest.mark.parametrize(
    ("engines", "settings", "is_read"),
    [
        (NotThere(), SessionSettings(), False),
        (FakeEngines(), SessionSettings(should_read_ahead=False), False),
        (Asleep(), SessionSettings(), True),
    ],
    ids=["no model", "off", "no embedder"],
)
def test_no_model_is_loaded_for_a_draft_and_it_can_be_turned_off(
    tmp_path: Path, engines: FakeEngines, settings: SessionSettings, *, is_read: bool
) -> None:
    with closing(Bench(tmp_path, engines, settings)) as bench:
        bench.session().ahead.read("What is my rabbit called?", Event())
        assert bool(engines.lm.read) == is_read


def test_a_draft_that_was_given_up_is_not_read(tmp_path: Path) -> None:
    with closing(Bench(tmp_path)) as bench:
        cancel = Event()
        cancel.set()
        bench.session().ahead.read("hello", cancel)
        assert not bench.engines.lm.read
