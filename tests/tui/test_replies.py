"""A turn on the screen: sent, streamed, stopped, failed, queued, drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from mmchat.chat.session import UserInput
from mmchat.domain import LoadState, Recalled, ReplyEvent, Turn, Window, WorkStarted
from mmchat.errors import DeviceError, MediaError
from mmchat.tui.messages import ReplyProgressed
from mmchat.tui.widgets.turns import ErrorView, RecalledLine, WindowMark

from .conftest import StageMaker
from .fakes import NOW, READY, WAIT_S, FakeDesk, FakeSession, answer, make_turns


async def test_a_message_is_sent_and_its_reply_streams_in(desk: FakeDesk, stage: StageMaker) -> None:
    gates = [Event(), Event()]
    desk.script = answer("Hello", " **there**.", gates=gates)
    async with stage(desk) as s:
        await s.send("hi")
        assert s.chat.composer.text == ""
        gates[0].set()
        await s.until(lambda: s.replies() and s.replies()[0].text == "Hello", "the first piece is shown")
        gates[1].set()
        await s.idle()
        assert s.session.sent[0].text == "hi"
        assert [view.text for view in s.replies()] == ["Hello **there**."]
        assert "hi" in s.text_of("UserTurnView")
        assert s.text_of("Reply MarkdownParagraph") == "Hello there."
        assert s.chat.status.standing.tokens_per_s == 97.0


async def test_esc_stops_a_reply_and_keeps_its_text(desk: FakeDesk, stage: StageMaker) -> None:
    desk.script = answer("Once upon", " a time", gates=[_set(), Event()])
    async with stage(desk) as s:
        await s.send("a story")
        await s.until(lambda: s.replies() and s.replies()[0].text, "text is shown")
        await s.pilot.press("escape")
        await s.idle()
        assert s.replies()[0].text == "Once upon"
        assert "[stopped]" in s.text_of(".ending")


async def test_esc_while_the_model_loads_frees_the_box_at_once(desk: FakeDesk, stage: StageMaker) -> None:
    loaded = Event()

    def wait(session: FakeSession, given: UserInput | None, turn: Turn, cancel: Event) -> Iterator[ReplyEvent]:
        yield WorkStarted("waiting for the model")
        assert loaded.wait(WAIT_S)
        if not cancel.is_set():
            yield from answer("too late")(session, given, turn, cancel)

    desk.script = wait
    desk.states = (LoadState("lm", "smollm2", "llamacpp", "pulling", "downloading 62%, 8 s left", 0.62),)
    async with stage(desk) as s:
        await s.send("hello")
        await s.until(lambda: "waiting for the model" in s.chat.activity.words, "it waits")
        assert "downloading 62%, 8 s left" in s.chat.activity.words
        await s.pilot.press("escape")
        await s.idle()
        assert "Your message is kept" in s.text_of("NoticeLine")
        loaded.set()
        desk.script, desk.states = answer("Here I am."), READY
        await s.pilot.press("ctrl+r")
        await s.until(lambda: s.replies() and s.replies()[-1].text == "Here I am.", "it answers when asked again")


async def test_typing_goes_on_while_a_reply_streams_and_enter_queues(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("one", gates=[gate])
    async with stage(desk) as s:
        await s.send("first")
        await s.send("second")
        assert "queued: second" in s.text_of("#queue")
        assert s.chat.composer.text == ""
        gate.set()
        await s.idle()
        assert [given.text for given in s.session.sent] == ["first", "second"]
        assert not s.chat.query_one("#queue").display


async def test_up_takes_a_queued_message_back(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("one", gates=[gate])
    async with stage(desk) as s:
        await s.send("first")
        await s.send("second")
        await s.pilot.press("up")
        assert s.chat.composer.text == "second"
        gate.set()
        await s.idle()
        assert len(s.session.sent) == 1


async def test_an_error_before_anything_was_stored_gives_the_message_back(desk: FakeDesk, stage: StageMaker) -> None:
    desk.refuse = MediaError("That picture cannot be read: [red]a.png[/red]", hint="Try a PNG or a JPEG.")
    async with stage(desk) as s:
        await s.send("look at this")
        await s.until(lambda: s.chat.query(ErrorView), "the error is shown")
        assert s.chat.composer.text == "look at this"
        assert s.users() == []
        shown = s.text_of("ErrorView")
        assert "[red]a.png[/red]" in shown, "markup is shown as written"
        assert "Try a PNG" in shown


async def test_an_error_while_replying_keeps_the_text_and_names_the_next_step(
    desk: FakeDesk, stage: StageMaker
) -> None:
    desk.script = answer("Half a", error=DeviceError("Out of memory.", hint="Choose a smaller model."))
    async with stage(desk) as s:
        await s.say("go")
        assert s.replies()[0].text == "Half a"
        assert "[failed]" in s.text_of(".ending")
        assert "Choose a smaller model." in s.text_of("ErrorView")
        assert len(s.users()) == 1
        assert s.chat.composer.text == ""


async def test_a_bug_in_the_reply_is_logged_and_the_app_goes_on(desk: FakeDesk, stage: StageMaker, home: Path) -> None:
    desk.script = answer("x", error=ZeroDivisionError("secret words"))
    async with stage(desk) as s:
        await s.send("go")
        await s.until(lambda: s.chat.query(ErrorView), "the crash is shown")
        log = home / "log" / "mmchat.log"
        assert "ZeroDivisionError" in s.text_of("ErrorView")
        assert "mmchat.log" in s.text_of("ErrorView").replace("\n", "")
        assert "Traceback" in log.read_text()
        assert log.stat().st_mode & 0o077 == 0
        desk.script = answer("fine")
        await s.say("again")
        assert s.replies()[-1].text == "fine"


async def test_regenerate_replaces_the_last_reply(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.say("hi")
        desk.script = answer("Something else")
        await s.pilot.press("ctrl+r")
        await s.until(lambda: s.replies() and s.replies()[-1].text == "Something else", "the new reply is shown")
        await s.idle()
        assert len(s.replies()) == 1
        assert s.chat.turn_count == 2


async def test_regenerate_in_an_empty_conversation_says_so(desk: FakeDesk, stage: StageMaker) -> None:
    async with stage(desk) as s:
        await s.pilot.press("ctrl+r")
        await s.until(lambda: "No message to regenerate" in s.chat.activity.words, "it is said")


async def test_events_of_an_abandoned_turn_are_dropped(desk: FakeDesk, stage: StageMaker) -> None:
    gate = Event()
    desk.script = answer("late", gates=[gate])
    async with stage(desk) as s:
        await s.send("hi")
        await s.until(lambda: s.chat.flow.run and s.chat.flow.run.prompt, "the turn runs")
        old = s.chat.flow.run
        await s.pilot.press("ctrl+n")
        await s.until(lambda: s.chat.flow.run is None, "a new conversation is open")
        assert old.cancel.is_set()
        from mmchat.domain import ReplyDelta

        s.chat.post_message(ReplyProgressed(old.id, ReplyDelta("ghost")))
        await s.pilot.pause()
        assert s.replies() == []


async def test_what_was_seen_and_heard_is_shown_under_the_turn(
    desk: FakeDesk, stage: StageMaker, tmp_path: Path
) -> None:
    for name in ("a dog.png", "x.wav"):
        (tmp_path / name).write_bytes(b"x")
    async with stage(desk) as s:
        s.chat.composer.attach(tmp_path / "a dog.png", "image")
        s.chat.composer.attach(tmp_path / "x.wav", "audio")
        await s.say("what is this?")
        shown = s.text_of("UserTurnView")
        assert "a dog.png  seen: dog 0.82, grass 0.41" in shown
        assert "x.wav  heard (en, 3.2 s): hello there" in shown
        assert s.session.sent[0].text == "what is this?"
        assert [path.name for path in s.session.sent[0].files] == ["a dog.png", "x.wav"]


async def test_recalled_turns_are_counted_and_unfold(desk: FakeDesk, stage: StageMaker) -> None:
    note = Recalled("s0", "t0", "user", "my bike is [bold]red[/bold]", NOW, 1.0)
    desk.script = answer("Red.", recalled=[note, note])
    async with stage(desk) as s:
        await s.say("colour of my bike?")
        assert "recalled 2 earlier turns" in s.text_of("RecalledLine")
        await s.pilot.click(RecalledLine)
        assert "my bike is [bold]red[/bold]" in s.text_of("RecalledLine")


async def test_a_mark_shows_where_the_models_view_begins(desk: FakeDesk, stage: StageMaker) -> None:
    desk.add_session("s1", "Long", make_turns(8))
    desk.script = answer("ok", window=Window(4, 4, 700, 800, "t4"))
    async with stage(desk, desk.open_session("s1")) as s:
        await s.until(lambda: len(s.users()) == 4, "the turns are shown")
        await s.say("more")
        marks = list(s.chat.query(WindowMark))
        assert len(marks) == 1
        siblings = list(marks[0].parent.children)
        assert siblings[siblings.index(marks[0]) + 1].turn_id == "t4"
        assert "4 turns" not in s.text_of("#status")


async def test_terminal_escapes_and_markup_of_a_model_are_inert(desk: FakeDesk, stage: StageMaker) -> None:
    desk.script = answer("[bold]x[/bold] \x1b]0;owned\x07", "\x1b[2Jend <script>hidden?</script>")
    async with stage(desk) as s:
        await s.say("\x1b[31mred [blink]")
        shown = s.text_of("Reply MarkdownParagraph") + s.text_of("UserTurnView")
        assert "\x1b" not in shown
        assert "[bold]x[/bold]" in shown
        assert "<script>hidden?</script>" in shown
        assert "red [blink]" in shown


def _set() -> Event:
    event = Event()
    event.set()
    return event
