"""A recalled question goes with its answer, an answer with its question, and no exchange is told twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from mmchat.chat.partners import with_partners
from mmchat.chat.session import UserInput
from mmchat.chat.wording import MAX_QUESTION_CHARS, turn_messages
from mmchat.domain import GenerateOptions, Partner, PromptReady, Rating, Recalled, ReplyEnded, Turn
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.memory.facts import add_fact, forget_facts
from mmchat.memory.ratings import rate_reply
from tests.fakes import Bench, FakeEngines

MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(Bench(tmp_path / "data", *arguments)))


def talk(bench: Bench, *texts: str) -> tuple[Turn, ...]:
    session = bench.store.create_session()
    for place, text in enumerate(texts):
        bench.store.add_turn(session.id, role="assistant" if place % 2 else "user", text=text)
    return bench.store.turns(session.id)


def note(turn: Turn) -> Recalled:
    return Recalled(turn.session_id, turn.id, turn.role, turn.text, turn.created_at, 0.5)


def told(bench: Bench, *turns: Turn, hidden: tuple[str, ...] = ()) -> list[str]:
    return [each.exchange for each in with_partners(bench.store, [note(turn) for turn in turns], hidden)]


def asked(bench: Bench, text: str) -> PromptReady:
    events = list(bench.session().reply(UserInput(text), Event()))
    return next(event for event in events if isinstance(event, PromptReady))


def test_a_question_goes_with_its_answer_whichever_half_was_found(make_bench: MakeBench) -> None:
    bench = make_bench()
    question, answer = talk(bench, "How do I clean a kettle?", "With vinegar.")
    both = ["How do I clean a kettle? → With vinegar."]
    assert told(bench, question) == told(bench, answer) == told(bench, answer, question) == both


def test_what_stands_for_itself_is_told_alone(make_bench: MakeBench) -> None:
    bench = make_bench()
    said, reply = talk(bench, "My cat is called Pixel.", "A fine name. How old is Pixel?")
    assert told(bench, said) == ["My cat is called Pixel."]
    assert told(bench, reply) == [reply.text]
    polite = talk(bench, "Hello", "How can I help you today?", "The door code is 4711")
    assert told(bench, polite[2]) == ["The door code is 4711"]
    zh = talk(bench, "你好", "有什么可以帮您？", "门禁密码是4711")
    assert told(bench, zh[2]) == ["门禁密码是4711"]


@pytest.mark.parametrize(
    ("question", "answer"), [("What is your rabbit called?", "Nutmeg."), ("您的兔子叫什么名字？", "豆沙")]
)
def test_an_answer_of_the_users_goes_with_its_question(make_bench: MakeBench, question: str, answer: str) -> None:
    bench = make_bench()
    turns = talk(bench, "Help me with a form", question, answer)
    assert told(bench, turns[2]) == told(bench, turns[1]) == [f"{question} → {answer}"]
    (found,) = with_partners(bench.store, [note(turns[1])], ())
    assert (found.turn, found.role) == (turns[2].id, "user")


def test_a_question_that_was_not_answered_by_the_user_stays_the_models(make_bench: MakeBench) -> None:
    bench = make_bench()
    turns = talk(bench, "Help me", "What is your rabbit called?", "Why do you ask?")
    assert told(bench, turns[1]) == ["Help me → What is your rabbit called?"]


def test_a_disliked_reply_is_not_told_for_an_answer(make_bench: MakeBench) -> None:
    bench = make_bench()
    question, answer = talk(bench, "How do I clean a kettle?", "With petrol.")
    rate_reply(bench.store, answer.id, Rating("bad"))
    assert told(bench, question) == ["How do I clean a kettle?"]
    rate_reply(bench.store, answer.id, Rating("good"))
    assert told(bench, question) == ["How do I clean a kettle? → With petrol."]


def test_what_is_in_view_is_no_partner(make_bench: MakeBench) -> None:
    bench = make_bench()
    question, answer = talk(bench, "How do I clean a kettle?", "With vinegar.")
    assert told(bench, question, hidden=(answer.id,)) == ["How do I clean a kettle?"]
    turns = talk(bench, "Help me", "What is your rabbit called?", "Nutmeg.")
    assert told(bench, turns[1], hidden=(turns[2].id,)) == []


def test_the_model_is_told_the_exchange_the_same_way_for_good(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["With vinegar, twice a year."])))
    talk(bench, "How do I clean a copper kettle?", "With vinegar.")
    session = bench.session()
    events = list(session.reply(UserInput("What did you suggest for the copper kettle?"), Event()))
    first = bench.engines.lm.calls[-1]
    said = 'Earlier I asked you: "How do I clean a copper kettle?" You told me: "With vinegar.".'
    assert said in first[-1].text
    (ended,) = [event for event in events if isinstance(event, ReplyEnded)]
    (stored,) = bench.store.get_turn(ended.turn.id).recalled
    assert stored.partner is not None
    assert stored.exchange == "How do I clean a copper kettle? → With vinegar."
    list(session.reply(UserInput("Thank you"), Event()))
    assert bench.engines.lm.calls[-1][: len(first)] == first


def test_an_old_question_is_told_only_to_one_who_asks_what_was_replied(make_bench: MakeBench) -> None:
    bench = make_bench()
    talk(bench, "Which kettle boils fastest?", "The copper one.")
    assert [each.exchange for each in asked(bench, "Which kettle boils fastest in winter?").recalled] == []
    recalled = asked(bench, "Which kettle did you say boils fastest?").recalled
    assert [each.exchange for each in recalled] == ["Which kettle boils fastest? → The copper one."]


def test_of_what_was_forgotten_no_half_is_told(make_bench: MakeBench) -> None:
    bench = make_bench()
    turns = talk(bench, "My safe opens with 4711. How do I change the code?", "Hold the star key and enter a new one.")
    fact = add_fact(bench.store, "My safe opens with 4711", turn_id=turns[0].id)
    assert fact is not None
    forget_facts(bench.store, [fact])
    (found,) = asked(bench, "What did you tell me about the star key?").recalled
    assert (found.text, found.partner) == (turns[1].text, None)


def test_a_short_context_drops_the_other_half_before_the_note(make_bench: MakeBench) -> None:
    bench = make_bench()
    long_reply = "Vinegar and hot water, left alone for an hour, then rinsed. " * 3
    question, _ = talk(bench, "My copper kettle is dirty, how do I clean it?", long_reply)
    (whole,) = with_partners(bench.store, [note(question)], ())
    bench.engines.lm.context_tokens = 150
    message = Turn("t", "s", None, "user", "And my kettle?", "complete", "")
    window, options = bench.session().window, GenerateOptions()
    (alone,) = window.fitting_notes(bench.engines.lm, options, message, [whole])
    assert alone == replace(whole, partner=None)
    bench.engines.lm.context_tokens = 1500
    assert window.fitting_notes(bench.engines.lm, options, message, [whole]) == (whole,)
    bench.engines.lm.context_tokens = 30
    assert window.fitting_notes(bench.engines.lm, options, message, [whole]) == ()


def test_of_a_long_question_its_end_is_told() -> None:
    partner = Partner("b", "assistant", "Yes.", is_first=False)
    text = "I have thought about this for a very long time. " * 8 + "Should I repaint the boat?"
    recalled = Recalled("s", "a", "user", text, "", 0.5, partner=partner)
    turn = Turn("t", "s", None, "user", "And now?", "complete", "")
    (message,) = turn_messages(turn, [recalled])
    assert 'Should I repaint the boat?" You told me: "Yes.".' in message.text
    assert len(message.text) < MAX_QUESTION_CHARS + 80
