"""The window of a real conversation, whatever is said, pinned, compacted and undone."""

from __future__ import annotations

import tempfile
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

from hypothesis import given, settings
from hypothesis import strategies as st

from mmchat.chat.compact import SummaryDraft
from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.domain import Message, Notice, PromptReady
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import UsageError
from tests.fakes import Bench, FakeEngines

ACTS = ("say", "say", "say", "say long", "pin", "unpin", "compact", "undo", "redo")


def act(session: ChatSession, name: str, number: int) -> None:
    """Change the window; what cannot be done is refused in words."""
    turns = session.turns()
    with suppress(UsageError):
        if name == "pin" and turns:
            session.window.pin(turns[number % len(turns)])
        elif name == "unpin" and session.window.pinned():
            session.window.unpin(session.window.pinned()[0])
        elif name == "compact":
            for event in session.compaction.write("sentences", Event()):
                if isinstance(event, SummaryDraft):
                    session.compaction.accept(event, event.text)
        elif name == "undo":
            session.compaction.undo()
        elif name == "redo":
            session.compaction.redo()


@settings(max_examples=12)
@given(st.lists(st.sampled_from(ACTS), max_size=16), st.integers(120, 500))
def test_whatever_is_done_the_window_holds_what_it_says(acts: list[str], context: int) -> None:
    model = ScriptedLanguageModel(context_tokens=context)
    settings_ = SessionSettings(options={"max_new_tokens": 12}, system="Be kind.")
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Bench(Path(folder), FakeEngines(model), settings_)) as bench,
    ):
        list(bench.session().reply(UserInput("My sister Amelia plays the cello in Lisbon."), Event()))
        session = bench.session()
        before: tuple[Message, ...] = ()
        for number, name in enumerate([*acts, "say"]):
            if not name.startswith("say"):
                act(session, name, number)
                before = ()
                continue
            text = f"Does Amelia play piece {number} on her cello? I like number {number}."
            text = " ".join([text] * (12 if name == "say long" else 1))
            events = list(session.reply(UserInput(text), Event()))
            (ready,) = [event for event in events if isinstance(event, PromptReady)]
            told = [event.text for event in events if isinstance(event, Notice)]
            window, shown = ready.window, "\n".join(message.text for message in ready.messages)

            assert window.tokens == model.count_tokens(ready.messages) <= window.budget
            assert sum(part.tokens for part in window.parts) == window.tokens
            was_cut = any("its middle was left out" in notice for notice in told)
            assert was_cut == (not ready.messages[-1].text.endswith(text)), "whole, or its cut is announced"
            has_moved = any("out of view now" in notice for notice in told)
            if before and not was_cut and not has_moved and not any("no room" in notice for notice in told):
                assert ready.messages[: len(before)] == before, "the prompt only grows at its end"
            if not was_cut and not window.pins_out:
                pinned = session.window.pinned()
                assert all(turn.text in shown for turn in session.turns() if turn.id in pinned), "pins survive"
            before = () if was_cut else ready.messages
            view = session.window.view(session.turns())
            assert view.window == session.turns()[-1].window, "what was stored is what is shown"


def test_a_window_that_was_seen_by_another_model_is_seen_anew(tmp_path: Path) -> None:
    """A view that a short context has cut opens up again for a model that reads more."""
    engines = FakeEngines(ScriptedLanguageModel(name="short", context_tokens=100))
    with closing(
        Bench(tmp_path, engines, SessionSettings(options={"max_new_tokens": 10}, should_recall=False))
    ) as bench:
        session = bench.session()
        for number in range(8):
            list(session.reply(UserInput(f"This is message number {number} of our talk"), Event()))
        short = session.turns()[-1].window
        assert short is not None
        assert short.turns_out > 0
        engines.lm = ScriptedLanguageModel(name="long", context_tokens=4000)
        list(session.reply(UserInput("And now?"), Event()))
        assert session.turns()[-1].window.turns_out == 0  # type: ignore[union-attr]
