"""Facts in the conversation: learnt from what the user says, told where they bear on it, never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.chat.known import MAX_TOLD_CHARACTERS, KnownFacts, is_over, own_words
from mmchat.chat.session import SessionSettings, UserInput
from mmchat.domain import Attachment, Fact, FactsLearned, Heard, PromptReady, ReplyEnded, ReplyEvent, Turn
from mmchat.engines.scripted import ScriptedEmbedder, ScriptedLanguageModel
from mmchat.errors import EngineUnavailable, UsageError
from mmchat.memory.facts import add_fact
from tests.fakes import Bench, FakeEngines

MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(Bench(tmp_path / "data", *arguments)))


def say(bench: Bench, text: str, *, is_new: bool = True) -> list[ReplyEvent]:
    session = bench.session(None if is_new else bench.store.latest_session())
    return list(session.reply(UserInput(text), Event()))


def learnt(events: list[ReplyEvent]) -> list[str]:
    return [fact.text for event in events if isinstance(event, FactsLearned) for fact in event.facts]


def told(events: list[ReplyEvent]) -> list[tuple[str, bool]]:
    (prompt,) = [event for event in events if isinstance(event, PromptReady)]
    return [(note.text, bool(note.fact)) for note in prompt.recalled]


def known(bench: Bench) -> KnownFacts:
    return KnownFacts(bench.store, bench.engines.embedder)


def test_a_message_is_learnt_from_before_its_turn_ends(make_bench: MakeBench) -> None:
    bench = make_bench()
    events = say(bench, "Hi! I'm allergic to peanuts. What is 2 + 2?")
    assert learnt(events) == ["I'm allergic to peanuts"]
    assert isinstance(events[-1], ReplyEnded)
    (fact,) = known(bench).all()
    assert bench.store.get_turn(fact.turn).text.startswith("Hi!")
    assert learnt(say(bench, "Thank you!")) == []


def test_replies_are_never_learnt_from(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["I live in Rome. My name is Zed."])))
    assert learnt(say(bench, "Tell me of yourself")) == []
    assert known(bench).all() == ()


def test_a_stopped_reply_does_not_cost_the_fact(make_bench: MakeBench) -> None:
    bench = make_bench()
    cancel = Event()
    cancel.set()
    events = list(bench.session().reply(UserInput("I live in Lyon."), cancel))
    assert learnt(events) == ["I live in Lyon"]


class WordsOnly(FakeEngines):
    """Engines without a sentence encoder: the scripted one finds everything a little like everything."""

    def embedder(self) -> ScriptedEmbedder:
        raise EngineUnavailable("There is no encoder here.")


def test_facts_are_told_in_other_conversations_by_what_is_asked(make_bench: MakeBench) -> None:
    bench = make_bench(WordsOnly())
    say(bench, "By the way, I'm allergic to peanuts.")
    say(bench, "My name is Judith.")
    assert told(say(bench, "Suggest a recipe for dinner")) == [("I'm allergic to peanuts", True)]
    events = say(bench, "What is my name?")
    assert told(events) == [("My name is Judith", True)], "the fact, and not its turn as well"
    reply = events[-1]
    assert isinstance(reply, ReplyEnded)
    (note,) = bench.store.get_turn(reply.turn.id).recalled
    assert (note.text, note.fact) == ("My name is Judith", known(bench).all("judith")[0].id)
    assert told(say(bench, "How tall is Mount Everest?")) == []


def test_chinese_facts_are_told_too(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "我对花生过敏。")
    assert told(say(bench, "晚饭吃什么好？")) == [("我对花生过敏", True)]


def test_what_is_in_view_is_not_told(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "My name is Judith.")
    assert told(say(bench, "What is my name?", is_new=False)) == []


def test_a_fact_is_told_once_while_it_is_in_view(make_bench: MakeBench) -> None:
    bench = make_bench()
    known(bench).remember("My name is Judith")
    assert told(say(bench, "What is my name?")) == [("My name is Judith", True)]
    assert told(say(bench, "Say my name again?", is_new=False)) == []


def test_a_newer_fact_takes_the_place_of_an_older(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "I live in Lyon.")
    say(bench, "I moved to Porto.")
    newer, older = known(bench).all()
    assert (newer.text, newer.is_superseded) == ("I moved to Porto", False)
    assert (older.text, older.is_superseded) == ("I live in Lyon", True)
    assert told(say(bench, "Where do I live?")) == [("I moved to Porto", True)], "nor is the old turn told"


def test_what_is_forgotten_is_not_told_nor_learnt_again(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "My name is Judith.")
    facts = known(bench)
    forgotten = facts.forget(facts.all())
    session = bench.session(bench.store.latest_session())
    assert learnt(list(session.regenerate(Event()))) == []
    assert told(say(bench, "What is my name?")) == []
    facts.restore(forgotten)
    assert told(say(bench, "What is my name?")) == [("My name is Judith", True)]


def test_a_forgotten_fact_leaves_the_account_of_old_replies(make_bench: MakeBench) -> None:
    bench = make_bench()
    facts = known(bench)
    facts.remember("My name is Judith")
    events = say(bench, "What is my name?")
    facts.forget(facts.all())
    reply = events[-1]
    assert isinstance(reply, ReplyEnded)
    assert bench.store.get_turn(reply.turn.id).recalled == ()


def test_turned_off_nothing_is_learnt_or_told(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(), SessionSettings(should_know_facts=False, should_recall=False))
    known(bench).remember("My name is Judith")
    assert learnt(say(bench, "I live in Lyon.")) == []
    assert told(say(bench, "What is my name?")) == []


def test_of_self_the_most_telling_come_first(make_bench: MakeBench) -> None:
    bench = make_bench()
    facts = known(bench)
    for text in ("I like chess", "My name is Judith", "I hate rain", "I live in Lyon", "I am a nurse"):
        facts.remember(text)
    notes = facts.bearing_on("What do you know about me?")
    assert [note.text for note in notes] == ["My name is Judith", "I live in Lyon", "I am a nurse"]
    assert len(facts.bearing_on("Do I like chess or rain?")) == 2


def test_a_turn_that_says_more_of_what_is_asked_is_told_instead(make_bench: MakeBench) -> None:
    bench = make_bench()
    facts = known(bench)
    say(bench, "I have a dog named Rex. The vet said that Rex weighs thirty kilograms.")
    (note,) = facts.bearing_on("dog Rex weighs")
    (turn,) = [each for each in bench.recall.find("dog Rex weighs") if each.role == "user"]
    assert [each.fact for each in facts.beside("How much does my dog Rex weigh, in kilograms?", [note], [turn])] == [""]
    assert [each.fact for each in facts.beside("What is my dog called?", [note], [turn])] == [note.fact]


def test_old_conversations_are_read_only_when_asked(make_bench: MakeBench) -> None:
    bench = make_bench()
    session = bench.store.create_session()
    bench.store.add_user_turn(session.id, "I live in Lyon. 我对花生过敏。")
    bench.store.add_user_turn(session.id, "I live in Lyon!")
    facts = known(bench)
    found = facts.unlearnt()
    assert [fact.text for fact in found] == ["我对花生过敏", "I live in Lyon"]
    assert facts.all() == ()
    assert facts.keep(found) == 2
    assert facts.unlearnt() == ()
    facts.forget(facts.all("lyon"))
    assert facts.unlearnt() == (), "what was forgotten is not offered again"


def test_what_is_told_outright_needs_words_and_an_end(make_bench: MakeBench) -> None:
    facts = known(make_bench())
    with pytest.raises(UsageError, match="nothing to remember"):
        facts.remember("  ")
    with pytest.raises(UsageError, match="at most"):
        facts.remember("x" * (MAX_TOLD_CHARACTERS + 1))
    assert facts.remember("  my   gate code\nis 12 ").text == "my gate code is 12"
    assert facts.edit(facts.all()[0].id, "I live in Lyon").topic == "home"


def test_a_spoken_message_is_the_users_own_and_a_recording_beside_words_is_not(make_bench: MakeBench) -> None:
    sound = Attachment("a", "t", "audio", "a.wav", "", "", 0, Path(), heard=Heard("I live in Lyon.", "en", 2.0))
    turn = Turn("t", "s", None, "user", "", "complete", "", attachments=(sound,))
    assert own_words(turn) == "I live in Lyon."
    assert own_words(replace(turn, text="What does he say?")) == "What does he say?"
    assert own_words(replace(turn, attachments=(sound, replace(sound, kind="image", heard=None)))) == ""
    assert own_words(replace(turn, role="assistant", text="I live in Rome.")) == ""


def test_told_and_newest_decide_which_counts(make_bench: MakeBench) -> None:
    bench = make_bench()
    add_fact(bench.store, "I live in Lyon", "home", turn_id=_turn(bench), said_at="2020-01-01T00:00:00+00:00")
    add_fact(bench.store, "I live in Porto", "home", turn_id=_turn(bench), said_at="2019-01-01T00:00:00+00:00")
    assert [(fact.text, fact.is_superseded) for fact in known(bench).all()] == [
        ("I live in Lyon", False),
        ("I live in Porto", True),
    ]


def test_a_plan_for_next_week_is_over_in_a_month() -> None:
    said = datetime(2026, 1, 1, tzinfo=UTC)
    fact = Fact("f", "I'm going to Oslo next week", "told", said.isoformat(), said.isoformat(), "plan")
    assert not is_over(fact, said + timedelta(days=13))
    assert is_over(fact, said + timedelta(days=15))
    assert is_over(replace(fact, text="我下周三要去北京"), said + timedelta(days=15))
    assert not is_over(replace(fact, text="I'm going to Oslo on 14 June"), said + timedelta(days=15))
    assert not is_over(replace(fact, topic="habit", text="I swim on Sunday"), said + timedelta(days=15))


def _turn(bench: Bench) -> str:
    return bench.store.add_user_turn(bench.store.create_session().id, "words").id


def test_chinese_facts_are_told_by_meaning_where_the_encoder_knows_chinese(make_bench: MakeBench) -> None:
    class Near(ScriptedEmbedder):
        """Puts all texts in one place."""

        is_multilingual = False

        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return super().embed(["same"] * len(texts))

    bench = make_bench()
    bench.engines.embed = Near()
    facts = known(bench)
    facts.remember("我家的金毛叫豆豆")
    facts.index()
    assert facts.bearing_on("我该买什么零食？") == ()
    Near.is_multilingual = True
    assert [note.text for note in facts.bearing_on("我该买什么零食？")] == ["我家的金毛叫豆豆"]
    assert facts.bearing_on("我该买什么零食？", use_vectors=False) == ()
