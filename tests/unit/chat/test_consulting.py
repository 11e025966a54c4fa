"""Answering from documents: what is looked up, told, quoted, cited, and what is said where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from mmchat.chat.consulting import MAX_PASSAGES, Consulting
from mmchat.chat.finder import Finder, InPlace
from mmchat.chat.prepared import Prepared
from mmchat.chat.session import SessionSettings, UserInput
from mmchat.chat.unknown import UNKNOWN
from mmchat.chat.window import SessionWindow
from mmchat.chat.wording import turn_messages
from mmchat.domain import (
    Attachment,
    Likely,
    Notice,
    Passage,
    PromptReady,
    Recalled,
    ReplyEnded,
    ReplyEvent,
    Seen,
    Tag,
    Turn,
    WorkStarted,
)
from mmchat.engines.scripted import ScriptedEmbedder, ScriptedLanguageModel
from mmchat.errors import EngineUnavailable, MediaError, UsageError
from mmchat.knowledge_values import GONE, ReadDocument, ReadPiece
from mmchat.memory.documents import remove_documents, save_document
from mmchat.memory.knowledge import Knowledge
from mmchat.role_values import IntentAction, Persona, Role, RoleText
from tests.fakes import Bench, FakeEngines, ScriptedIntentReader

RETURNS = ReadPiece("Unused lamps can be returned within 30 days. Used lamps get 80 percent back.", "Returns › Refunds")
SHIPPING = ReadPiece("Parcels to Germany take 3 days. We do not deliver outside Europe.", "Shipping › Delivery")
GUARANTEE = ReadPiece("The guarantee is 3 years. It does not cover bulbs.", "Guarantee")
RETURNS_ZH = ReadPiece("未使用的灯具三十天内可以退货。用过的灯具退还八成。", "退货")
GUARANTEE_ZH = ReadPiece("保修期为三年。灯泡不在保修范围内。", "保修")


class WordsOnly(FakeEngines):
    """No embedder: words decide, as in a program whose user wants none."""

    def embedder(self) -> ScriptedEmbedder:
        return cast(ScriptedEmbedder, None)


def shop(**changes: object) -> Persona:
    texts = {"en": RoleText("Shop", "You sell lamps."), "zh": RoleText("灯店", "你卖灯。")}
    role = Role("shop", "sells lamps", texts, Path("shop.toml"), memory="own")
    return Persona(replace(role, **changes), "en")  # type: ignore[arg-type]


def shelve(bench: Bench, *pieces: ReadPiece, shelf: str = "shop", name: str = "returns.md") -> str:
    document = save_document(
        bench.store,
        shelf=shelf,
        root=Path("/docs"),
        path=Path("/docs") / name,
        sha256="0" * 64,
        size_bytes=1,
        modified_ns=1,
        read=ReadDocument(name, "text/markdown", pieces),
        reader="test",
    )
    return document.id


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(persona: Persona | None = None, model: ScriptedLanguageModel | None = None, **options: object) -> Bench:
        settings = SessionSettings(persona=persona, **options)  # type: ignore[arg-type]
        made.append(Bench(tmp_path, WordsOnly(model), settings))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def say(bench: Bench, text: str) -> tuple[Turn, list[ReplyEvent]]:
    """The reply, and all that happened."""
    session = bench.session(bench.store.latest_session())
    events = list(session.reply(UserInput(text), Event()))
    return next(event.turn for event in events if isinstance(event, ReplyEnded)), events


# --- what is looked up ----------------------------------------------------------------------------


@dataclass
class FakeKnowledge:
    """Finds what a test put in, by a word of the query."""

    notes: list[tuple[str, Recalled]] = field(default_factory=list)
    asked: list[tuple[str, tuple[str, ...], bool]] = field(default_factory=list)
    error: EngineUnavailable | None = None

    def find(self, query: str, *, shelves: Sequence[str], k: int = 5, use_vectors: bool = True) -> tuple[Recalled, ...]:
        self.asked.append((query, tuple(shelves), use_vectors))
        if self.error is not None and use_vectors:
            raise self.error
        return tuple(note for word, note in self.notes if word in query)[:k]


def note(text: str, *, number: int = 1, is_sure: bool = True, heading: str = "Heading") -> Recalled:
    passage = Passage(f"p{number}", "d", "shop", Path("/docs/a.md"), "a.md", heading, text)
    return Recalled("", "", "user", text, "", 1.0, is_sure=is_sure, passage=passage)


def user(text: str) -> Turn:
    return Turn("q", "s", None, "user", text, "complete", "")


def looked_up(
    bench: Bench, knowledge: FakeKnowledge, text: str, history: Sequence[Turn] = (), persona: Persona | None = None
) -> tuple[tuple[Recalled, ...], list[ReplyEvent], Consulting]:
    consulting = Consulting(bench.store, bench.engines, persona or shop(), lambda: cast(Knowledge, knowledge))
    events: list[ReplyEvent] = []
    steps = consulting.passages(user(text), history)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events, consulting


def test_without_documents_nothing_happens(make_bench: Callable[..., Bench]) -> None:
    knowledge = FakeKnowledge()
    found, events, _ = looked_up(make_bench(), knowledge, "How long is the guarantee?")
    assert (found, events, knowledge.asked) == ((), [], [])


@pytest.mark.parametrize(
    "text", ["Hello!", "ok, thanks", "Thanks, that is all I needed.", "谢谢，没别的了", "Who are you?", "你好"]
)
def test_nothing_is_looked_up_for_talk(make_bench: Callable[..., Bench], text: str) -> None:
    bench, knowledge = make_bench(), FakeKnowledge()
    shelve(bench, RETURNS)
    assert looked_up(bench, knowledge, text)[:2] == ((), [])
    assert not knowledge.asked


def test_only_what_is_sure_is_told_and_only_a_few(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    notes = [("lamp", note(f"text {number}", number=number, is_sure=number > 1)) for number in range(1, 8)]
    found, events, _ = looked_up(bench, FakeKnowledge(notes), "Is there a lamp?")
    assert [each.text for each in found] == [f"text {number}" for number in range(2, 2 + MAX_PASSAGES)]
    assert events == [WorkStarted("looking it up")]


def test_of_two_languages_that_of_the_question_is_told(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    english, chinese = note("The guarantee is 3 years."), note("保修三年。", number=2)
    knowledge = FakeKnowledge([("", english), ("", chinese)])
    assert looked_up(bench, knowledge, "保修几年？")[0] == (chinese,)
    assert looked_up(bench, knowledge, "How long is it under guarantee?")[0] == (english,)
    assert looked_up(bench, FakeKnowledge([("", chinese)]), "How long is the guarantee?")[0] == (chinese,)


def test_whose_documents_are_looked_in(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    assert Consulting(bench.store, bench.engines, None).shelves == ("",)
    assert Consulting(bench.store, bench.engines, shop()).shelves == ("shop",)
    assert Consulting(bench.store, bench.engines, shop(memory="shared")).shelves == ("shop", "")


def test_a_question_that_goes_on_is_looked_up_with_the_one_before(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    refunds = note("Used lamps get 80 percent back.", heading="Refunds")
    knowledge = FakeKnowledge([("return", refunds), ("pizza", note("Nothing", number=2, is_sure=False))])
    history = [user("Can I return a lamp?")]
    assert looked_up(bench, knowledge, "And for used ones?", history)[0] == (refunds,)
    assert knowledge.asked[-1][0] == "Can I return a lamp? And for used ones?"
    assert looked_up(bench, knowledge, "And do you sell pizza?", history)[0] == ()
    assert looked_up(bench, knowledge, "And for used ones?", [])[0] == ()
    thanked = [*history, user("Thank you!")]
    assert looked_up(bench, knowledge, "And for used ones?", thanked)[0] == (refunds,)


def test_what_the_last_reply_cited_is_still_known(make_bench: Callable[..., Bench]) -> None:
    """Whatever the search makes of "And bulbs?": the passage that lies before us tells of them."""
    bench = make_bench()
    shelve(bench, GUARANTEE, RETURNS, SHIPPING)
    cited = note("The guarantee is 3 years. It does not cover bulbs.")
    reply = replace(user("3 years."), role="assistant", recalled=(cited,))
    history = [user("How long is the guarantee?"), reply]
    assert looked_up(bench, FakeKnowledge(), "And bulbs?", history)[0] == (cited,)
    assert looked_up(bench, FakeKnowledge(), "And Saturn?", history)[0] == ()


def photo(text: str, seen: str) -> Turn:
    file = Attachment("a", "q", "image", "a.png", "", "", 0, Path(), seen=Seen((Tag("invoice", 0.9),), text=seen))
    return replace(user(text), attachments=(file,))


def test_the_words_typed_decide_and_what_is_seen_may_add(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    typed, added = note("The guarantee is 3 years."), note("The Wren takes a bulb.", number=2)
    knowledge = FakeKnowledge([("guarantee", typed), ("Wren", added), ("Wren", note("Nothing like it", number=3))])
    consulting = Consulting(bench.store, bench.engines, shop(), lambda: cast(Knowledge, knowledge))

    def found(question: Turn) -> tuple[Recalled, ...]:
        steps = consulting.passages(question, ())
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return cast(tuple[Recalled, ...], end.value)

    assert found(photo("How long is the guarantee?", "Wren pendant")) == (typed,)
    assert knowledge.asked[0][0] == "How long is the guarantee?"
    assert found(photo("Which bulb?", "Wren pendant")) == (added,)
    assert found(photo("", "Wren pendant"))[0] == added


@pytest.mark.parametrize("text", ["Which bulb fits this lamp?", "How much is it?"])
def test_this_is_what_the_picture_names(make_bench: Callable[..., Bench], text: str) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    bulbs = note("This lamp takes any bulb, and how much you like it.")
    wren = note("Lamp: Wren. Bulb: E14. Price: 59 euros", number=2, is_sure=False)
    knowledge = FakeKnowledge([("", bulbs), ("Wren", wren)])
    consulting = Consulting(bench.store, bench.engines, shop(), lambda: cast(Knowledge, knowledge))
    asked = photo(text, "Wren LO-204518")
    list(consulting.passages(asked, ()))
    assert consulting._looked.sure[0] == wren


OWN_REPLY = {"details": IntentAction(reply="Noted."), "repair": IntentAction(reply="Send a photo.")}


@pytest.mark.parametrize(
    ("intent", "question", "kind"),
    [
        ("repair", "How long is the guarantee?", "quote"),
        ("repair", "How long do penguins live?", "intent"),
        ("repair", "my lamp is broken", "intent"),
        ("details", "How long do penguins live?", "unknown"),
    ],
)
def test_a_question_is_looked_up_before_an_intent_answers_it(
    make_bench: Callable[..., Bench], intent: str, question: str, kind: str
) -> None:
    texts = {"en": RoleText("Shop", "You sell lamps.", on_intent=OWN_REPLY)}
    examples = {"repair": ("my lamp is broken",), "details": ("LO-204518",)}
    bench = make_bench(shop(answers="quote", is_bound_to_documents=True, texts=texts, intents=examples))
    shelve(bench, RETURNS, SHIPPING, GUARANTEE)
    reader = ScriptedIntentReader(examples)
    reader.read = lambda text, image=None: (Likely(intent, 0.93),)  # type: ignore[method-assign]
    bench.engines.intent_reader = lambda examples, model="": reader  # type: ignore[method-assign]
    assert say(bench, question)[0].prepared == kind


def test_without_the_embedder_words_decide(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    knowledge = FakeKnowledge([("lamp", note("text"))], error=EngineUnavailable("The memory model is not there."))
    found, events, _ = looked_up(bench, knowledge, "Is there a lamp?")
    assert len(found) == 1
    assert any(isinstance(event, Notice) and "by words only" in event.text for event in events)
    assert [use_vectors for _, _, use_vectors in knowledge.asked] == [True, False]


# --- what is said instead of the model --------------------------------------------------------------


def prepared(bench: Bench, text: str, persona: Persona, *notes: Recalled) -> Prepared | None:
    knowledge = FakeKnowledge([("", each) for each in notes])
    found, _, consulting = looked_up(bench, knowledge, text, persona=persona)
    return consulting.prepared(user(text), found)


def test_a_role_that_quotes_answers_in_the_documents_own_words(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    refunds = note(RETURNS.text)
    said = prepared(bench, "What do I get back for used lamps?", shop(answers="quote"), refunds)
    assert said == Prepared("quote", "Used lamps get 80 percent back.", (refunds,))
    assert prepared(bench, "What do I get back for used lamps?", shop(), refunds) is None
    unsure = replace(refunds, is_sure=False)
    assert prepared(bench, "What do I get back for used lamps?", shop(answers="quote"), unsure) is None


def test_a_passage_without_a_sentence_that_answers_is_not_quoted(make_bench: Callable[..., Bench]) -> None:
    """The search was sure of the passage, but of what was asked nothing stands there."""
    bench = make_bench()
    shelve(bench, RETURNS)
    refunds = note(RETURNS.text)
    question = "Who designed, painted, polished, photographed and sold Ophelia?"
    said = prepared(bench, question, shop(answers="quote", is_bound_to_documents=True), refunds)
    assert said is not None
    assert said.kind == "unknown"
    assert prepared(bench, question, shop(answers="quote"), refunds) is None, "the model is told of it instead"


@pytest.mark.parametrize(("language", "question"), [("en", "Do you sell kites?"), ("zh", "你们卖风筝吗？")])
def test_what_is_not_known_is_said_with_what_is(make_bench: Callable[..., Bench], language: str, question: str) -> None:
    bench = make_bench()
    shelve(bench, RETURNS, SHIPPING, RETURNS_ZH, GUARANTEE_ZH)
    near = (
        note("x", is_sure=False, heading="Shipping › Delivery"),
        note("保", number=2, is_sure=False, heading="保修"),
    )
    said = prepared(bench, question, shop(is_bound_to_documents=True), *near)
    assert said is not None
    assert said.kind == "unknown"
    assert said.text.startswith(UNKNOWN[language])
    topics = said.text.removeprefix(UNKNOWN[language])
    assert ("Delivery, Returns" in topics) if language == "en" else ("保修、退货" in topics)
    assert not said.recalled


def test_a_role_says_it_in_its_own_words(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    texts = {"en": RoleText("Shop", "You sell lamps.", unknown="No idea.")}
    said = prepared(bench, "Do you sell kites?", shop(is_bound_to_documents=True, texts=texts))
    assert said is not None
    assert said.text == "No idea."


@pytest.mark.parametrize("text", ["Thanks!", "My name is Anna.", "Who are you?", "我叫安娜。"])
def test_what_asks_nothing_is_left_to_the_model(make_bench: Callable[..., Bench], text: str) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    assert prepared(bench, text, shop(is_bound_to_documents=True)) is None


@pytest.mark.parametrize("text", ["unused lamps returned", "returned within 30 days"])
def test_keywords_are_a_question(make_bench: Callable[..., Bench], text: str) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    said = prepared(bench, text, shop(is_bound_to_documents=True, answers="quote"), note(RETURNS.text))
    assert said is not None
    assert said.kind == "quote"


@pytest.mark.parametrize("text", ["My name is Anna.", "It is about lamps that can be returned.", "我叫安娜。"])
def test_who_says_only_what_was_written_leaves_no_statement_to_the_model(
    make_bench: Callable[..., Bench], text: str
) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    said = prepared(bench, text, shop(is_bound_to_documents=True, answers="quote"), note(RETURNS.text))
    assert said is not None
    assert said.kind == "unknown"


def test_who_is_not_bound_may_know_more_than_the_documents(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, RETURNS)
    assert prepared(bench, "Do you sell kites?", shop()) is None
    assert Consulting(bench.store, bench.engines, None).prepared(user("Do you sell kites?"), ()) is None


# --- whole conversations ------------------------------------------------------------------------------

COVERED = "Does the guarantee cover bulbs?"
CONVERSATIONS = {
    "en": ("How long can unused lamps be returned?", "And used lamps?", "Thank you!", "Do you sell kites?"),
    "zh": ("未使用的灯具多少天内可以退货？", "那用过的灯具呢？", "谢谢！", "你们卖风筝吗？"),
}
ANSWERS = {
    "en": ("Unused lamps can be returned within 30 days.", "Used lamps get 80 percent back."),
    "zh": ("未使用的灯具三十天内可以退货。", "用过的灯具退还八成。"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_question_follow_up_thanks_and_what_is_not_known(make_bench: Callable[..., Bench], language: str) -> None:
    bench = make_bench(shop(answers="quote", is_bound_to_documents=True))
    shelve(bench, RETURNS, SHIPPING, GUARANTEE, RETURNS_ZH, GUARANTEE_ZH)
    first, second, thanks, other = CONVERSATIONS[language]
    for text, answer in zip((first, second), ANSWERS[language], strict=True):
        reply, events = say(bench, text)
        assert answer in reply.text
        assert (reply.prepared, reply.engine, reply.model) == ("quote", "role", "")
        assert reply.sources == (("returns.md › Returns › Refunds" if language == "en" else "returns.md › 退货"),)
        assert not any(isinstance(event, PromptReady) for event in events), "no model is asked"
    reply, _ = say(bench, thanks)
    assert (reply.prepared, reply.cited) == ("", ())
    assert reply.model
    reply, _ = say(bench, other)
    assert (reply.prepared, reply.cited) == ("unknown", ())
    assert reply.text.startswith(UNKNOWN[language])


def test_the_model_is_told_a_passage_once_and_every_reply_cites_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(shop())
    shelve(bench, GUARANTEE, RETURNS, SHIPPING)
    for text in (COVERED, "Are bulbs not covered by the guarantee?"):
        reply, events = say(bench, text)
        assert reply.sources == ("returns.md › Guarantee",)
        (ready,) = [event for event in events if isinstance(event, PromptReady)]
        told = "\n".join(message.text for message in ready.messages if message.role == "user")
        assert told.count("The guarantee is 3 years.") == 1
        (part,) = [part for part in ready.window.parts if part.kind == "documents"]
        assert part.tokens > 0
        assert part.count == 1
        assert sum(part.tokens for part in ready.window.parts) == ready.window.tokens
    assert say(bench, "Thanks!")[0].cited == ()


def test_a_passage_whose_turn_left_the_view_is_told_again(make_bench: Callable[..., Bench]) -> None:
    model = ScriptedLanguageModel(context_tokens=150)
    bench = make_bench(shop(), model, options={"max_new_tokens": 10}, should_recall=False)
    shelve(bench, GUARANTEE, RETURNS, SHIPPING)
    had_moved = False
    for number in range(8):
        reply, events = say(bench, f"Does the guarantee cover bulbs{'?' * number}?")
        (ready,) = [event for event in events if isinstance(event, PromptReady)]
        had_moved = had_moved or ready.window.turns_out > 0
        told = "\n".join(message.text for message in ready.messages if message.role == "user")
        assert reply.cited
        assert told.count("It does not cover bulbs.") == 1
    assert had_moved


def test_passages_have_a_share_of_a_short_context(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(shop(), ScriptedLanguageModel(context_tokens=60), options={"max_new_tokens": 10})
    shelve(bench, replace(GUARANTEE, text="The guarantee covers much: " + "this and that, " * 40))
    reply, events = say(bench, COVERED)
    assert reply.cited == ()
    assert any(isinstance(event, PromptReady) and not event.recalled for event in events)


def test_a_citation_whose_document_is_gone_says_so(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(shop(answers="quote"))
    document = shelve(bench, GUARANTEE, RETURNS, SHIPPING)
    reply, _ = say(bench, COVERED)
    (cited,) = bench.store.get_turn(reply.id).cited
    assert cited.passage is not None
    assert cited.passage.text == GUARANTEE.text
    remove_documents(bench.store, [document])
    stored = bench.store.get_turn(reply.id)
    assert stored.sources == (f"returns.md › Guarantee ({GONE})",)
    assert stored.cited[0].passage is not None
    assert stored.cited[0].passage.is_gone
    assert stored.text == reply.text
    messages = turn_messages(user("Again?"), stored.cited)
    assert [message.text for message in messages] == ["Again?"], "nothing is told of what is gone"


def test_why_shows_the_passages_with_their_words(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(shop())
    shelve(bench, GUARANTEE, RETURNS, SHIPPING)
    say(bench, COVERED)
    session = bench.session(bench.store.latest_session())
    assert isinstance(session.window, SessionWindow)
    (source,) = [source for source in session.window.why().sources if source.kind == "documents"]
    assert source.text == GUARANTEE.text
    assert source.title == "returns.md › Guarantee"
    assert source.passage is not None


def test_the_user_s_own_documents_are_told_without_a_role(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    shelve(bench, GUARANTEE, RETURNS, SHIPPING, shelf="")
    shelve(bench, replace(GUARANTEE, text="The guarantee is 9 years."), shelf="shop", name="secret.md")
    reply, _ = say(bench, COVERED)
    assert reply.sources == ("returns.md › Guarantee",)


def test_documents_are_none_of_what_is_remembered(make_bench: Callable[..., Bench]) -> None:
    """Cited passages are no turns: nothing else that a reply was told is lost beside them."""
    bench = make_bench(should_recall=True)
    shelve(bench, GUARANTEE, RETURNS, SHIPPING, shelf="")
    with closing(bench.store.file):
        say(bench, "My guarantee covers the blue bulbs that I bought.")
        bench.recall.backfill()
        session = bench.session()
        events = list(session.reply(UserInput("Does my guarantee cover bulbs that are blue?"), Event()))
        reply = next(event.turn for event in events if isinstance(event, ReplyEnded))
    assert any(each.turn for each in reply.recalled)


def test_the_finder_shows_a_passage_in_its_place_and_opens_only_documents(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(shop(answers="quote"))
    document = shelve(bench, RETURNS, GUARANTEE, SHIPPING)
    reply, _ = say(bench, COVERED)
    passage = reply.cited[0].passage
    assert passage is not None
    finder = Finder(bench.store, bench.recall, bench.engines)
    there = finder.in_place(passage)
    assert (there.before, there.after) == (RETURNS.text, SHIPPING.text)
    assert (there.heading_before, there.heading_after) == (RETURNS.heading, SHIPPING.heading)
    with pytest.raises(MediaError, match="not there any more"):
        finder.open_document(passage)
    remove_documents(bench.store, [document])
    with pytest.raises(UsageError, match="not among the documents"):
        finder.open_document(passage)
    assert finder.in_place(passage) == InPlace(passage)
