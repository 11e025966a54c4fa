"""What the model sees of one conversation: pins, the summary of old turns, the run of turns in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmchat.chat.entries import Entry, Head, Layer, Pin, Standing, merge_same_role, notes_to_tell
from mmchat.chat.prompt import HEAD_SHARE, Prompt, assemble
from mmchat.chat.role_actions import instructions_for
from mmchat.chat.why import Why, explain
from mmchat.chat.wording import style_for, turn_messages
from mmchat.domain import (
    SENTENCES,
    GenerateOptions,
    Message,
    PartKind,
    PromptReady,
    Recalled,
    Session,
    Summary,
    Turn,
    Window,
)
from mmchat.errors import UsageError
from mmchat.memory import pins as pin_rows
from mmchat.memory import summaries as summary_rows
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.chat.session import SessionSettings
    from mmchat.engines.base import LanguageModel
    from mmchat.memory.store import MemoryStore

REPLY_SHARE = 0.5
"""At most this share of a context is kept free for the reply."""
PASSAGE_SHARE = 0.25
"""At most this share of the budget goes to passages of documents for one message."""
NOTE_SHARE = 0.25
"""At most this share of the budget goes to what is recalled for one message: a short context has room for little."""
AGAIN_SHARE = 0.5
"""The same for earlier pictures that a message asks about, where the model is shown the pixels again."""
PICTURE_SHARE = 0.75
"""At most this share of the budget goes to the pictures of one message; the rest is for what is said."""


@dataclass(frozen=True, slots=True)
class View:
    """What is known of the window without asking the model."""

    window: Window
    """Where the view begins, and what is out of it; figures only where those of the last reply still hold."""
    pins: tuple[str, ...] = ()
    summary: Summary | None = None


class SessionWindow:
    """The window of one conversation."""

    def __init__(
        self,
        store: MemoryStore,
        engines: Engines,
        settings: SessionSettings,
        get_session: Callable[[], Session | None],
    ) -> None:
        """`get_session`: the conversation, None until its first turn is stored."""
        self._store = store
        self._engines = engines
        self._settings = settings
        self._get_session = get_session

    # --- pins -----------------------------------------------------------------------------------

    def pinned(self) -> tuple[str, ...]:
        """Ids of the pinned turns, oldest turn first."""
        session = self._get_session()
        return pin_rows.pinned_ids(self._store, session.id) if session else ()

    def pin(self, turn: Turn) -> None:
        """Keep a turn in view for good. May wait for the model to count, if it is loaded.

        Raises:
            UsageError: it says nothing, or together with those pinned before it takes too much of the window.
        """
        if turn.status == "streaming":
            raise UsageError("The reply is still being written.", hint="Pin it when it has ended.")
        if not turn.text.strip() and not turn.attachments:
            raise UsageError("This turn has no words, so there is nothing to pin.")
        if model := self.loaded_model():
            self._refuse_too_much(model, turn)
        pin_rows.pin_turn(self._store, turn.id)

    def unpin(self, turn_id: str) -> bool:
        """Let a turn drop out of view again; False where it was not pinned."""
        return pin_rows.unpin_turn(self._store, turn_id)

    def _refuse_too_much(self, model: LanguageModel, turn: Turn) -> None:
        pinned = {*self.pinned(), turn.id}
        turns = [each for each in self._store.turns(turn.session_id) if each.id in pinned]
        own = model.count_tokens([message for pin in self._pins(model, turns) for message in pin.alone])
        limit = int(self.budget(model, reply_options(self._engines, self._settings)) * HEAD_SHARE)
        if own > limit:
            raise UsageError(
                f"Pinned turns would take {own:,} tokens, and {limit:,} are the most: the rest is for the talk itself.",
                hint="Unpin another turn, or choose a model that reads more.",
            )

    # --- the summary ----------------------------------------------------------------------------

    def summary(self) -> Summary | None:
        """The summary in force."""
        session = self._get_session()
        return summary_rows.active_summary(self._store, session.id) if session else None

    def room_for_summary(self, model: LanguageModel) -> int:
        """How many tokens a summary may take beside the system text and the pins, its lead-in not counted."""
        session = self._get_session()
        pinned = set(self.pinned())
        turns = [turn for turn in self._store.turns(session.id) if turn.id in pinned] if session else []
        lead_in = told_summary(Summary("", "", "", "", SENTENCES, ""))
        head = Head(self._settings.head_text, lead_in, self._pins(model, turns), self._settings.examples)
        taken = model.count_tokens(merge_same_role((*head.messages(), Message("user", ""))))
        return int(self.budget(model, reply_options(self._engines, self._settings)) * HEAD_SHARE) - taken

    # --- what the model sees --------------------------------------------------------------------

    def view(self, turns: Sequence[Turn]) -> View:
        """Where the view begins, before the model is there to count; `turns`: all of the conversation."""
        summary, pins = self.summary(), self.pinned()
        start = view_start(turns, summary)
        in_force = summary is not None and start_after(turns, summary) > 0
        known = next((turn.window for turn in reversed(turns) if turn.role == "assistant"), None)
        places = {turn.id: index for index, turn in enumerate(turns)}
        left_behind = tuple(turn_id for turn_id in pins if places.get(turn_id, start) < start)
        summary_id = summary.id if summary is not None and in_force else ""
        if (
            known is None
            or known.summary_id != summary_id
            or len(left_behind) != len(known.pins) + known.pins_out
            or not set(known.pins) <= set(left_behind)
        ):
            known = Window(pins=left_behind, summary_id=summary_id)  # its figures are those of another view
        shown = len(known.pins)
        first = turns[start].id if start < len(turns) else None
        return View(replace(known, turns_out=start - shown, first_turn_id=first), pins, summary if in_force else None)

    def preview(self) -> PromptReady:
        """What the model would see now, before a next message. Slow: waits for the model to be loaded.

        Raises:
            MmchatError: the model cannot be loaded.
        """
        session = self._get_session()
        model = self._engines.language_model()
        turns = self._store.turns(session.id) if session else ()
        nothing = Turn("", session.id if session else "", None, "user", "", "complete", "")
        prompt = self.prompt(model, reply_options(self._engines, self._settings), turns, nothing, ())
        messages = prompt.messages
        if messages and not messages[-1].text and not messages[-1].image_paths:
            messages = messages[:-1]
        # The message that is still to come is no turn yet.
        window = replace(prompt.window, turns_in=prompt.window.turns_in - 1)
        window = replace(window, first_turn_id=window.first_turn_id or None)
        return PromptReady(window, (), messages)

    def why(self, turn_id: str = "") -> Why:
        """What fed a reply; the last one where none is named.

        Raises:
            UsageError: there is no such reply.
        """
        session = self._get_session()
        why = explain(self._store, self._store.turns(session.id) if session else (), turn_id)
        if why.question is None or why.reply.prepared:
            return why
        return replace(why, instructions=instructions_for(why.question, self._settings.persona))

    def budget(self, model: LanguageModel, options: GenerateOptions) -> int:
        """The most tokens a prompt may take."""
        if model.reply_tokens:
            budget = model.context_tokens
        else:
            budget = model.context_tokens - min(options.max_new_tokens, int(model.context_tokens * REPLY_SHARE))
        return min(budget, self._settings.window_tokens) if self._settings.window_tokens else budget

    def fitting_notes(
        self, model: LanguageModel, options: GenerateOptions, question: Turn, notes: Sequence[Recalled]
    ) -> tuple[Recalled, ...]:
        """As many of the notes, best first, as a short context has room for beside a message.

        The last one goes without the other half of its exchange before it goes altogether.
        What the summary says word for word is not told again. Passages have a share of their own.
        """
        passages = tuple(note for note in notes if note.passage is not None)
        notes = [note for note in notes if note.passage is None]
        is_shown = model.accepts_images and any(note.place is not None for note in notes)
        limit = int(self.budget(model, options) * (AGAIN_SHARE if is_shown else NOTE_SHARE))
        bare = model.count_tokens(self._told(model, question))
        summary = self.summary()
        summed = summary.text if summary is not None else ""
        kept = tuple(note for note in notes if note.place is not None or note.text.strip() not in summed)
        while kept and model.count_tokens(self._told(model, question, kept)) - bare > limit:
            alone = (replace(kept[-1], partner=None),) if kept[-1].partner is not None else ()
            kept = (*kept[:-1], *alone)
        limit = int(self.budget(model, options) * PASSAGE_SHARE)
        while passages and model.count_tokens(self._told(model, question, passages)) - bare > limit:
            passages = passages[:-1]
        return (*passages, *kept)

    def prompt(
        self,
        model: LanguageModel,
        options: GenerateOptions,
        history: Sequence[Turn],
        question: Turn,
        recalled: Sequence[Recalled],
    ) -> Prompt:
        """What the model is shown to answer a message.

        Args:
            model: the model that is asked.
            options: how its reply is drawn.
            history: all turns of the conversation before the message.
            question: the message.
            recalled: what is told beside it.
        """
        summary = self.summary()
        pinned = set(self.pinned())
        budget = self.budget(model, options)
        start = view_start(history, summary, model=model.name, budget=budget)
        # A note stays where it was told for as long as its turn is in view: the prompt then only grows at its end.
        notes = {turn.parent_id: turn.recalled for turn in history if turn.role == "assistant"}
        notes[question.id] = tuple(recalled)

        def begin(start: int) -> Prompt:
            told = notes_to_tell((*history[start:], question), notes)
            entries = [
                self._entry(model, turn, told[turn.id], is_pinned=turn.id in pinned)
                for turn in (*history[start:], question)
            ]
            older = [turn for turn in history[:start] if turn.id in pinned]
            return assemble(
                self._settings.head_text,
                entries,
                count_tokens=model.count_tokens,
                budget=budget,
                out_of_view=start,
                standing=Standing(told_summary(summary), self._pins(model, older), self._settings.examples),
            )

        prompt = begin(start)
        if prompt.has_moved and any(note.passage is not None for each in notes.values() for note in each):
            # What was told with a turn that left the view is told where it is needed next.
            ids = [turn.id for turn in history]
            first = prompt.window.first_turn_id
            prompt = replace(begin(ids.index(first) if first in ids else len(ids)), has_moved=True)
        in_force = summary.id if summary is not None and start_after(history, summary) else ""
        shown = len(self._told(model, question, recalled)[-1].image_paths)
        wanted = sum(a.kind == "image" for a in question.attachments) + sum(n.place is not None for n in recalled)
        in_words = wanted - shown if model.accepts_images else 0
        window = replace(
            prompt.window,
            summary_id=in_force,
            room=min(options.max_new_tokens, model.reply_tokens or max(1, model.context_tokens - prompt.window.tokens)),
            tokens_out=_tokens_out(prompt.window, history),
        )
        return replace(prompt, window=window, pictures_in_words=in_words)

    # --- within ---------------------------------------------------------------------------------

    def _entry(self, model: LanguageModel, turn: Turn, notes: Sequence[Recalled], *, is_pinned: bool) -> Entry:
        layers: list[Layer] = []
        counts: list[tuple[PartKind, int]] = []
        facts = [note for note in notes if note.fact]
        passages = [note for note in notes if note.passage is not None]
        others = [note for note in notes if note.passage is None]
        if turn.role == "user" and (notes or turn.attachments):
            layers.append(("newest", self._told(model, replace(turn, attachments=()))))
            if turn.attachments:
                layers.append(("senses", self._told(model, turn)))
                counts.append(("senses", len(turn.attachments)))
            if facts:
                layers.append(("facts", self._told(model, turn, facts)))
                counts.append(("facts", len(facts)))
            if len(others) > len(facts):
                layers.append(("recalled", self._told(model, turn, others)))
                counts.append(("recalled", len(others) - len(facts)))
            if passages:
                layers.append(("documents", self._told(model, turn, notes)))
                counts.append(("documents", len(passages)))
        return Entry(
            turn.id,
            turn.role == "user",
            layers[-1][1] if layers else self._told(model, turn),
            pin=next(iter(self._pins(model, [turn])), None) if is_pinned else None,
            layers=tuple(layers),
            counts=tuple(counts),
        )

    def _told(self, model: LanguageModel, turn: Turn, notes: Sequence[Recalled] = ()) -> tuple[Message, ...]:
        style = self._engines.habits().note_style
        wanted = instructions_for(turn, self._settings.persona)
        told = turn_messages(turn, notes, style=style, has_pixels=model.accepts_images, instructions=wanted)
        pictures = sum(a.kind == "image" for a in turn.attachments)
        if not (pictures and model.accepts_images):
            return told
        # They may be more than there is room for; the last of them are told in words then.
        room = int(self.budget(model, reply_options(self._engines, self._settings)) * PICTURE_SHARE)
        blind = turn_messages(turn, notes, style=style, has_pixels=True, most_pictures=0, instructions=wanted)
        room += model.count_tokens([replace(message, image_paths=()) for message in blind])
        while pictures and model.count_tokens(told) > room:
            pictures -= 1
            told = turn_messages(turn, notes, style=style, has_pixels=True, most_pictures=pictures, instructions=wanted)
        return told

    def _pins(self, model: LanguageModel, turns: Sequence[Turn]) -> tuple[Pin, ...]:
        pins = []
        for turn in turns:
            words = style_for(self._engines.habits().note_style, turn.text)
            if turn.role != "user":
                alone = (Message("user", words.memory_assistant.format(turn.text)),)
                pins.append(Pin(turn.id, alone, turn.parent_id or "", (Message("assistant", turn.text),)))
            else:
                pins.append(Pin(turn.id, self._told(model, turn)))
        return tuple(pins)

    def loaded_model(self) -> LanguageModel | None:
        """The model, if nobody has to wait for it."""
        is_ready = any(state.kind == "lm" and state.stage == "ready" for state in self._engines.states())
        return self._engines.language_model() if is_ready else None


def reply_options(engines: Engines, settings: SessionSettings) -> GenerateOptions:
    """What the model is used to, changed by what the user chose."""
    return replace(engines.habits().options, **settings.chosen_options)  # type: ignore[arg-type]


def told_summary(summary: Summary | None) -> str:
    """A summary as the model is told of it."""
    if summary is None:
        return ""
    is_chinese = is_mostly_chinese(summary.text)
    if summary.writer == SENTENCES:
        return f"我前面告诉过你：\n{summary.text}" if is_chinese else f"Earlier I told you:\n{summary.text}"
    return f"我们前面谈过：\n{summary.text}" if is_chinese else f"What we said before:\n{summary.text}"


def start_after(history: Sequence[Turn], summary: Summary) -> int:
    """Index behind the last turn that a summary stands for; 0 where that is not in the history."""
    places = {turn.id: index for index, turn in enumerate(history)}
    return places[summary.last_turn_id] + 1 if summary.last_turn_id in places else 0


def view_start(history: Sequence[Turn], summary: Summary | None = None, *, model: str = "", budget: int = 0) -> int:
    """Where the model's view begins: where it began at the last reply, and behind what a summary stands for.

    The whole conversation where nothing was said of it. A reply that was drawn under another summary tells nothing:
    with that one undone, the turns are back. Nor does one of another model that had less room.

    Args:
        history: all turns.
        summary: the one in force.
        model: the name of the model that is going to be asked; empty where that is not known.
        budget: what its prompt may take.
    """
    after = start_after(history, summary) if summary is not None else 0
    summary_id = summary.id if summary is not None and after else ""
    for turn in reversed(history):
        known = turn.window if turn.role == "assistant" else None
        if known is None or not known.first_turn_id or known.summary_id != summary_id:
            continue
        if model and turn.model != model and known.budget < budget:
            return after
        ids = [each.id for each in history]
        return max(after, ids.index(known.first_turn_id) if known.first_turn_id in ids else 0)
    return after


def _tokens_out(window: Window, history: Sequence[Turn]) -> int:
    """About what is out of view: its characters, at as many to a token as those in view."""
    ids = [turn.id for turn in history]
    start = ids.index(window.first_turn_id) if window.first_turn_id in ids else len(ids)
    pinned = set(window.pins)
    out = sum(len(turn.text) for turn in history[:start] if turn.id not in pinned)
    seen = sum(len(turn.text) for turn in history[start:])
    kept = sum(part.tokens for part in window.parts if part.kind == "kept")
    return round(out * kept / seen) if seen and kept else round(out / 4)
