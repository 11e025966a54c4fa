"""One turn, end to end, on the real store with scripted engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TypeVar

import pytest
from PIL import Image

from mmchat.chat.reply import REPEATED
from mmchat.chat.session import SessionSettings, UserInput
from mmchat.chat.window import view_start
from mmchat.domain import (
    AttachmentRead,
    Notice,
    PromptReady,
    ReplyDelta,
    ReplyEnded,
    ReplyEvent,
    ReplyStarted,
    Turn,
    UserTurnStored,
    Window,
    WorkStarted,
)
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import DeviceError, MediaError, UsageError
from mmchat.memory import trash
from tests.fakes import Bench, FakeEngines

T = TypeVar("T")


def say(bench: Bench, text: str, *files: Path) -> list[ReplyEvent]:
    session = bench.session(bench.store.latest_session())
    return list(session.reply(UserInput(text, files), Event()))


def of_type(events: Iterable[ReplyEvent], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(Bench(tmp_path / "data", *arguments)))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "red square.png"
    Image.new("RGB", (64, 64), (220, 20, 20)).save(path)
    return path


def test_the_events_of_a_turn_come_in_order(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["Hello there, friend."])))
    events = say(bench, "Good morning")
    kinds = [type(event) for event in events if not isinstance(event, WorkStarted)]
    assert kinds[:3] == [UserTurnStored, PromptReady, ReplyStarted]
    assert set(kinds[3:-1]) == {ReplyDelta}
    assert kinds[-1] is ReplyEnded
    assert "".join(delta.text for delta in of_type(events, ReplyDelta)) == "Hello there, friend."
    user, reply = bench.session(bench.store.latest_session()).turns()
    assert (user.text, user.status) == ("Good morning", "complete")
    assert (reply.text, reply.status, reply.parent_id) == ("Hello there, friend.", "complete", user.id)
    assert reply.usage is not None
    assert reply.usage.reply_tokens == 3
    assert reply.window is not None
    assert reply.window.turns_in == 1


def test_the_next_turn_sees_the_last_one_and_its_prefix_is_unchanged(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "My name is Ada")
    say(bench, "What is my name?")
    first, second = bench.engines.lm.calls
    assert second[: len(first)] == first
    assert [message.text for message in second][-3:] == [
        "My name is Ada",
        "You said: My name is Ada",
        "What is my name?",
    ]


def test_nothing_is_stored_by_looking_around_or_by_sending_nothing(make_bench: MakeBench) -> None:
    bench = make_bench()
    session = bench.session()
    with pytest.raises(UsageError, match="nothing to send"):
        list(session.reply(UserInput("  \n"), Event()))
    assert session.info is None
    assert bench.store.list_sessions() == ()


def test_going_on_with_a_conversation_that_was_deleted_meanwhile_brings_it_back(make_bench: MakeBench) -> None:
    bench = make_bench()
    session = bench.session()
    list(session.reply(UserInput("one"), Event()))
    assert session.info is not None
    trash.move_to_trash(bench.store, session.info.id)
    notices = of_type(session.reply(UserInput("two"), Event()), Notice)
    assert "It is listed again" in notices[0].text
    assert [each.id for each in bench.store.list_sessions()] == [session.info.id]
    assert of_type(session.reply(UserInput("three"), Event()), Notice) == []


def test_an_edited_message_is_answered_by_what_stands_before_it(make_bench: MakeBench) -> None:
    bench = make_bench()
    session = bench.session()
    for text in ("one", "two", "three"):
        list(session.reply(UserInput(text), Event()))
    second = session.turns()[2]
    list(session.reply(UserInput("zwei"), Event(), second.id))
    assert [message.text for message in bench.engines.lm.calls[-1]][-3:] == ["one", "You said: one", "zwei"]
    assert [turn.text for turn in session.turns()] == ["one", "You said: one", "zwei", "You said: zwei"]
    session.branches.step(session.turns()[2].id, -1)
    assert [turn.text for turn in session.turns()][2:] == ["two", "You said: two", "three", "You said: three"]


def test_what_another_program_is_answering_is_not_drawn_anew(make_bench: MakeBench) -> None:
    bench = make_bench()
    session = bench.session()
    list(session.reply(UserInput("one"), Event()))
    (asked, _) = session.turns()
    reply = bench.store.start_reply(asked.session_id, parent_id=asked.id, model="m", engine="e", text="grow")
    with pytest.raises(UsageError, match="being written in another window"):
        list(session.regenerate(Event()))
    bench.store.finish_reply(reply.id, "grown", status="complete")
    list(session.regenerate(Event()))
    assert session.turns()[1].variants == 3


def test_a_stopped_reply_keeps_its_text(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["one two three four five six"])))
    cancel = Event()
    events = []
    for event in bench.session().reply(UserInput("count"), cancel):
        events.append(event)
        if len(of_type(events, ReplyDelta)) == 2:
            cancel.set()
    (ended,) = of_type(events, ReplyEnded)
    assert ended.turn.status == "stopped"
    assert ended.turn.text == "".join(delta.text for delta in of_type(events, ReplyDelta))
    assert "one two" in ended.turn.text
    assert "six" not in ended.turn.text


def test_a_reader_that_goes_away_leaves_a_stopped_reply(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["one two three four five six"])))
    stream = bench.session().reply(UserInput("count"), Event())
    for event in stream:
        if isinstance(event, ReplyDelta):
            break
    stream.close()  # type: ignore[attr-defined]
    reply = bench.session(bench.store.latest_session()).turns()[-1]
    assert (reply.role, reply.status) == ("assistant", "stopped")
    assert reply.text == "one"


def test_a_failing_engine_leaves_the_question_and_what_was_said(make_bench: MakeBench) -> None:
    failing = ScriptedLanguageModel(["one two three four"], error=DeviceError("out of memory"), error_after=2)
    bench = make_bench(FakeEngines(failing))
    with pytest.raises(DeviceError, match="out of memory"):
        say(bench, "count")
    user, reply = bench.session(bench.store.latest_session()).turns()
    assert user.text == "count"
    assert (reply.status, reply.text) == ("failed", "one two")


def test_after_a_failure_the_roles_still_alternate(make_bench: MakeBench) -> None:
    failing = ScriptedLanguageModel(["x"], error=DeviceError("out of memory"))
    bench = make_bench(FakeEngines(failing))
    with pytest.raises(DeviceError):
        say(bench, "first")
    bench.engines.lm = ScriptedLanguageModel()
    say(bench, "second")
    (messages,) = bench.engines.lm.calls
    assert [(message.role, message.text) for message in messages] == [("user", "first\n\nsecond")]


def test_a_picture_is_kept_seen_and_told(make_bench: MakeBench, photo: Path) -> None:
    bench = make_bench()
    events = say(bench, "What colour is it?", photo)
    (read,) = of_type(events, AttachmentRead)
    assert read.attachment.seen is not None
    assert read.attachment.path != photo
    assert read.attachment.path.read_bytes() == photo.read_bytes()
    told = bench.engines.lm.calls[0][-1].text
    assert read.attachment.seen.tags[0].label in told
    assert told.endswith("What colour is it?")


def test_the_same_bytes_are_not_looked_at_twice(make_bench: MakeBench, photo: Path) -> None:
    bench = make_bench()
    say(bench, "What colour is it?", photo)
    first = bench.store.turns(bench.store.latest_session().id)[0].attachments[0].seen  # type: ignore[union-attr]
    bench.engines.vision.tag = None  # type: ignore[assignment,method-assign]
    events = say(bench, "And again?", photo)
    assert of_type(events, AttachmentRead)[0].attachment.seen == first


def test_a_model_that_takes_pixels_gets_them(make_bench: MakeBench, photo: Path) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(accepts_images=True)))
    say(bench, "What is it?", photo)
    message = bench.engines.lm.calls[0][-1]
    assert message.text == "What is it?"
    assert [path.read_bytes() for path in message.image_paths] == [photo.read_bytes()]


@pytest.mark.parametrize("name", ["gone.png", "broken.png", "notes.txt"])
def test_a_file_that_cannot_be_read_stores_nothing(make_bench: MakeBench, tmp_path: Path, name: str) -> None:
    bench = make_bench()
    path = tmp_path / name
    if name != "gone.png":
        path.write_bytes(b"this is no picture")
    with pytest.raises(MediaError, match=name):
        say(bench, "look", path)
    assert bench.store.list_sessions() == ()


def test_the_first_words_become_the_title(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "How do I prune an apple tree? It is ten years old.")
    assert bench.store.latest_session().title == "How do I prune an apple tree?"  # type: ignore[union-attr]
    bench.session(bench.store.latest_session()).rename("Garden")
    say(bench, "And a pear tree?")
    assert bench.store.latest_session().title == "Garden"  # type: ignore[union-attr]


def test_an_older_conversation_is_recalled_and_stays_where_it_was_told(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "My sister Amelia plays the cello in Lisbon")
    session = bench.session()
    events = list(session.reply(UserInput("Which instrument does Amelia play, the cello?"), Event()))
    (ready,) = of_type(events, PromptReady)
    assert any("Amelia plays the cello" in note.text for note in ready.recalled)
    first = bench.engines.lm.calls[-1]
    assert "Amelia plays the cello" in " ".join(message.text for message in first)
    list(session.reply(UserInput("Thank you"), Event()))
    assert bench.engines.lm.calls[-1][: len(first)] == first
    assert session.turns()[1].recalled


def test_a_reply_that_went_in_circles_and_old_questions_are_not_told(make_bench: MakeBench) -> None:
    circles = "The cello of Amelia, the cello of Amelia, " * 8
    bench = make_bench(FakeEngines(ScriptedLanguageModel([circles])))
    say(bench, "Who plays the cello, Amelia?")
    (reply,) = of_type(say(bench, "Who then plays the cello?"), ReplyEnded)
    assert reply.turn.notice == REPEATED
    (ready,) = of_type(bench.session().reply(UserInput("Does Amelia play the cello?"), Event()), PromptReady)
    assert ready.recalled == ()


def test_what_is_in_view_is_not_recalled(make_bench: MakeBench) -> None:
    bench = make_bench()
    say(bench, "Amelia plays the cello")
    (ready,) = of_type(say(bench, "Who plays the cello? Amelia?"), PromptReady)
    assert ready.recalled == ()


def test_a_long_conversation_says_what_is_out_of_view(make_bench: MakeBench) -> None:
    engines = FakeEngines(ScriptedLanguageModel(context_tokens=120))
    settings = SessionSettings(options={"max_new_tokens": 20}, should_recall=False)
    bench = make_bench(engines, settings)
    notices = []
    for number in range(12):
        notices += of_type(say(bench, f"This is message number {number} of our talk"), Notice)
    assert any("out of view" in notice.text for notice in notices)
    reply = bench.session(bench.store.latest_session()).turns()[-1]
    assert reply.window is not None
    assert reply.window.turns_out > 0
    assert reply.window.tokens <= reply.window.budget == 100


def test_an_unknown_beginning_means_from_the_start() -> None:
    asked = Turn("q", "s", None, "user", "Hello", "complete", "")
    answered = Turn("r", "s", "q", "assistant", "Hi", "complete", "", window=Window(turns_in=1, first_turn_id="gone"))
    assert view_start((asked, answered, replace(asked, id="q2"))) == 0
    known = replace(answered, window=Window(turns_in=1, first_turn_id="q2"))
    assert view_start((asked, answered, replace(asked, id="q2"), known)) == 2


def test_regenerate_draws_anew_and_keeps_the_old_one_out_of_view(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["first try", "second try"])))
    say(bench, "Tell me a joke")
    session = bench.session(bench.store.latest_session())
    list(session.regenerate(Event()))
    assert [turn.text for turn in session.turns()] == ["Tell me a joke", "second try"]
    assert bench.engines.lm.calls[1] == bench.engines.lm.calls[0]


def test_a_failed_regeneration_costs_nothing(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["first try"])))
    say(bench, "Tell me a joke")
    bench.engines.lm = ScriptedLanguageModel(["x"], error=DeviceError("out of memory"))
    session = bench.session(bench.store.latest_session())
    with pytest.raises(DeviceError):
        list(session.regenerate(Event()))
    assert [turn.text for turn in session.turns()] == ["Tell me a joke", "first try"]


def test_nothing_to_regenerate_is_said(make_bench: MakeBench) -> None:
    with pytest.raises(UsageError, match="no message to regenerate"):
        list(make_bench().session().regenerate(Event()))


def test_an_empty_reply_is_announced(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel([""])))
    events = say(bench, "hm")
    assert any("nothing to say" in notice.text for notice in of_type(events, Notice))
    assert of_type(events, ReplyEnded)[0].turn.text == ""


def test_a_thought_that_fills_the_reply_is_announced(make_bench: MakeBench) -> None:
    settings = SessionSettings(options={"max_new_tokens": 3})
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["<think> on and on and on"])), settings)
    events = say(bench, "hm")
    assert any("still thinking" in notice.text for notice in of_type(events, Notice))


def test_a_reply_that_repeats_is_cut_and_says_so(make_bench: MakeBench) -> None:
    bench = make_bench(FakeEngines(ScriptedLanguageModel(["It goes round and round. " * 80])))
    events = say(bench, "go")
    assert any("repeat itself" in notice.text for notice in of_type(events, Notice))
    assert "repeat itself" in of_type(events, ReplyEnded)[0].turn.notice
