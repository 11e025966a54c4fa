"""Summaries: what they are made of, what they change in the view, and how they are undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.chat.compact import SummaryDraft, SummaryGrew, Writer
from mmchat.chat.sentences import MAX_SENTENCES, Sentence, choose, sentences_of
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import SENTENCES, PromptReady, Turn
from mmchat.engines.scripted import ScriptedEmbedder, ScriptedLanguageModel
from mmchat.errors import UsageError
from tests.fakes import Bench, FakeEngines

MakeBench = Callable[..., Bench]
SAID = (
    "My name is Ada.",
    "I live in Lisbon. What is the capital of Italy?",
    "My cat is called Biscuit.",
    "Hello",
    "Go on",
)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(Bench(tmp_path / "data", *arguments)))


def talk(bench: Bench) -> ChatSession:
    session = bench.session()
    for text in SAID:
        list(session.reply(UserInput(text), Event()))
    return session


def draft(session: ChatSession, writer: Writer) -> SummaryDraft:
    *_, last = session.compaction.write(writer, Event())
    assert isinstance(last, SummaryDraft)
    return last


def shown(session: ChatSession, bench: Bench, text: str = "And now?") -> list[str]:
    list(session.reply(UserInput(text), Event()))
    return [message.text for message in bench.engines.lm.calls[-1]]


def bench_of(make_bench: MakeBench, *replies: str) -> Bench:
    return make_bench(FakeEngines(ScriptedLanguageModel(replies)), SessionSettings(should_recall=False))


def test_the_users_sentences_take_the_place_of_old_turns(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = talk(bench)
    made = draft(session, "sentences")
    assert made.text == "- My name is Ada.\n- I live in Lisbon.\n- My cat is called Biscuit."
    assert (made.writer, made.turn_count) == (SENTENCES, 6)
    before = bench.engines.lm.calls[-1]
    assert session.window.summary() is None, "a draft changes nothing"
    session.compaction.accept(made, made.text)
    prompt = shown(session, bench)
    assert prompt[0].startswith(f"Earlier I told you:\n{made.text}")
    assert "Hello" in prompt[0], "the talk goes on from the newest exchanges"
    assert not any("capital of Italy" in text for text in prompt)
    assert len(prompt) < len(before) + 2
    window = session.turns()[-1].window
    assert window is not None
    assert window.summary_id == session.window.summary().id  # type: ignore[union-attr]
    assert window.turns_out == 6
    assert {part.kind for part in window.parts} >= {"summary", "kept", "newest"}


def test_what_the_summary_says_is_not_recalled_beside_it(make_bench: MakeBench) -> None:
    bench = make_bench()
    session = talk(bench)
    made = draft(session, "sentences")
    session.compaction.accept(made, made.text)
    (ready,) = [
        event
        for event in session.reply(UserInput("What is my cat Biscuit called?"), Event())
        if isinstance(event, PromptReady)
    ]
    assert all(note.text not in made.text for note in ready.recalled)
    session.compaction.edit("Ada lives in Lisbon.")
    (ready,) = [
        event
        for event in session.reply(UserInput("How is my cat Biscuit called?"), Event())
        if isinstance(event, PromptReady)
    ]
    assert any("Biscuit" in note.text for note in ready.recalled)


def test_undo_brings_the_turns_back_and_redo_the_summary(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = talk(bench)
    made = draft(session, "sentences")
    session.compaction.accept(made, made.text)
    shown(session, bench)
    assert session.compaction.undo() is None
    assert any("capital of Italy" in text for text in shown(session, bench, "Once more"))
    assert session.compaction.redo().text == made.text
    assert not any("capital of Italy" in text for text in shown(session, bench, "And again"))


def test_the_user_may_change_the_words(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = talk(bench)
    made = draft(session, "sentences")
    assert session.compaction.accept(made, "Ada has a cat.").is_edited
    assert "Ada has a cat." in shown(session, bench)[0]
    session.compaction.edit("Ada has two cats.")
    assert "Ada has two cats." in shown(session, bench)[0]
    with pytest.raises(UsageError, match="needs words"):
        session.compaction.edit(" \n")


def test_a_model_writes_in_pieces_that_it_can_read(make_bench: MakeBench) -> None:
    model = ScriptedLanguageModel(["They talked. And th"], context_tokens=160)
    engines = FakeEngines(model)
    bench = make_bench(engines, SessionSettings(options={"max_new_tokens": 4}, should_recall=False))
    session = bench.session()
    for number in range(12):
        list(session.reply(UserInput(f"This is message number {number} of our very long talk about nothing"), Event()))
    asked = len(model.calls)
    events = list(session.compaction.write("model", Event()))
    assert len(model.calls) - asked > 1, "more than it can read at once"
    assert all(model.count_tokens(messages) < 160 for messages in model.calls)
    made = events[-1]
    assert isinstance(made, SummaryDraft)
    assert made.writer == "scripted"
    assert made.text
    assert any(isinstance(event, SummaryGrew) for event in events)


def test_a_summary_cut_for_its_length_ends_with_a_sentence(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench, *(["ok"] * len(SAID)), "Ada has a cat. " * 40 + "And she")
    made = draft(talk(bench), "model")
    assert made.text.endswith("Ada has a cat.")


def test_the_second_summary_builds_on_the_first(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = talk(bench)
    first = draft(session, "model")
    session.compaction.accept(first, "ADA LIVES IN LISBON")
    for text in ("I play the cello.", "Yes", "No"):
        list(session.reply(UserInput(text), Event()))
    draft(session, "model")
    asked = bench.engines.lm.calls[-1][-1].text
    assert asked.startswith("ADA LIVES IN LISBON\n")
    assert "I play the cello." in asked
    assert "My name is Ada." not in asked, "the first summary says it"


def test_cancelling_leaves_no_draft_and_changes_nothing(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = talk(bench)
    cancel = Event()
    events = []
    for event in session.compaction.write("model", cancel):
        events.append(event)
        if isinstance(event, SummaryGrew):
            cancel.set()
    assert not any(isinstance(event, SummaryDraft) for event in events)
    assert session.window.summary() is None


def test_what_cannot_be_compacted_says_so(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = bench.session()
    with pytest.raises(UsageError, match="nothing to compact"):
        session.compaction.old_turns()
    session = talk(bench)
    made = draft(session, "sentences")
    session.compaction.accept(made, made.text)
    with pytest.raises(UsageError, match="all older turns already"):
        draft(session, "sentences")
    with pytest.raises(UsageError, match="nothing to undo"):
        bench.session().compaction.undo()


def test_a_preview_tells_of_a_resumed_conversation_before_its_first_reply(make_bench: MakeBench) -> None:
    bench = bench_of(make_bench)
    session = talk(bench)
    session.window.pin(session.turns()[0])
    made = draft(session, "sentences")
    session.compaction.accept(made, made.text)
    resumed = bench.session(bench.store.latest_session())
    view = resumed.window.view(resumed.turns()).window
    assert view.budget == 0, "the stored account is of before the summary"
    assert (view.first_turn_id, view.turns_out) == (resumed.turns()[6].id, 5)
    ready = resumed.window.preview()
    assert isinstance(ready, PromptReady)
    assert (ready.window.first_turn_id, ready.window.turns_out) == (view.first_turn_id, view.turns_out)
    assert ready.window.turns_in == 5
    assert sum(part.tokens for part in ready.window.parts) == ready.window.tokens
    assert ready.messages[0].text.startswith("Earlier I told you:")
    list(resumed.reply(UserInput("And now?"), Event()))
    told_of = resumed.window.view(resumed.turns()).window
    assert told_of == resumed.turns()[-1].window, "and then it is true"
    told = bench.engines.lm.calls[-1]
    assert told[: len(ready.messages)] == ready.messages, "what was shown is what the model saw"


def test_a_pin_that_takes_too_much_is_refused(make_bench: MakeBench) -> None:
    model = ScriptedLanguageModel(context_tokens=120)
    bench = make_bench(FakeEngines(model), SessionSettings(options={"max_new_tokens": 20}, should_recall=False))
    session = bench.session()
    list(session.reply(UserInput("word " * 60), Event()))
    list(session.reply(UserInput("Remember the milk"), Event()))
    long, _, short, _ = session.turns()
    with pytest.raises(UsageError, match="50 are the most"):
        session.window.pin(long)
    session.window.pin(short)
    for number in range(12):
        list(session.reply(UserInput(f"This is message number {number} of our talk"), Event()))
    window = session.turns()[-1].window
    assert window is not None
    assert window.pins == (short.id,)
    assert "Remember the milk" in model.calls[-1][0].text
    assert session.window.unpin(short.id)
    list(session.reply(UserInput("And now?"), Event()))
    assert "Remember the milk" not in " ".join(message.text for message in model.calls[-1])


def user(text: str) -> Turn:
    return Turn(text, "s", None, "user", text, "complete", "")


def test_only_what_tells_something_is_chosen_from() -> None:
    turns = [
        user("Hello there!"),
        user("Translate this into French: dog"),
        user("I play the cello. Thanks!"),
        user("我住在成都。你好"),
    ]
    assert [sentence.text for sentence in sentences_of(turns)] == ["I play the cello.", "我住在成都。"]
    assert [
        sentence.text
        for sentence in sentences_of([user("I am called Ada."), user("I sing in a choir."), user("i am called ada")])
    ] == [
        "I sing in a choir.",
        "i am called ada",
    ]


@given(
    st.lists(
        st.sampled_from(["I am a baker", "My dog is old", "We moved to Rome", "我住在成都", "It rains"]), max_size=12
    ),
    st.integers(0, 60),
    st.booleans(),
)
def test_a_choice_fits_keeps_the_order_and_fills_the_room(texts: list[str], room: int, has_vectors: bool) -> None:
    sentences = [Sentence(f"{text} {number}", 1.0) for number, text in enumerate(texts)]
    sizes = [len(sentence.text) for sentence in sentences]
    chosen = choose(sentences, sizes, room, ScriptedEmbedder().embed if has_vectors else None)
    said = [sentence.text for sentence in sentences]
    left = room - sum(map(len, chosen))
    assert left >= 0
    assert chosen == [text for text in said if text in chosen]
    assert all(len(text) > left for text in said if text not in chosen)


def test_of_very_many_sentences_those_that_weigh_most_are_compared() -> None:
    light = [Sentence(f"It rained on day {number}", 1.0) for number in range(MAX_SENTENCES)]
    heavy = [Sentence("I am allergic to peanuts", 4.0), Sentence("I live in Lisbon", 4.0)]
    chosen = choose([*heavy, *light], [1.0] * (len(light) + 2), 3, None)
    assert chosen[:2] == ["I am allergic to peanuts", "I live in Lisbon"]
    assert len(chosen) == 3
