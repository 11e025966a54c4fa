"""The turns of a conversation, each one widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.style import Style
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from mmchat.domain import Attachment, Fact, Rating, Recalled, Turn, Window
from mmchat.tui.keymap import Keys
from mmchat.tui.text import MUTED, attachment_line, clean, elide, one_line, plural
from mmchat.tui.widgets.file_chips import click_to_open, is_on_chip, recalled_chips, source_chips
from mmchat.tui.widgets.growing import Reply, ReplyParts
from mmchat.tui.widgets.pictures import PictureRow, shown_pictures

if TYPE_CHECKING:
    from mmchat.tui.app import MmchatApp

MAX_SHOWN_BETTER = 200
"""Columns of a better text; /better opens it whole."""
MAX_SHOWN_LINES = 40
"""A user's turn longer than this is folded in the transcript; a click unfolds it."""


class NoticeLine(Static):
    """Something the user should know."""

    def __init__(self, text: str, *, classes: str = "") -> None:
        super().__init__(Content(clean(text)), classes=f"notice {classes}".strip(), markup=False)


class WindowMark(Static):
    """Where the model's view begins."""

    def __init__(self, window: Window) -> None:
        # One line also at 80 columns.
        out = plural(window.turns_out, "older turn") + (" summed up" if window.summary_id else " out of view")
        words = f"── the model reads from here; {out} ──"
        super().__init__(Content(words), classes="window-mark", markup=False)


def variant_mark(turn: Turn) -> Content:
    """Which of its variants a turn is, as `‹ 2/3 ›`; a click on either side flips."""
    back, forward = (Style.from_meta({"@click": f"app.flip('{turn.id}', {step})"}) for step in (-1, 1))
    return Content.assemble(("‹ ", back), (f"{turn.variant}/{turn.variants}", MUTED), (" ›", forward))


PINNED = Content.styled("▚ pinned", "$text-warning")


class UserTurnView(Static):
    """What the user said and sent along."""

    def __init__(self, text: str, file_names: Sequence[str] = (), turn: Turn | None = None) -> None:
        super().__init__(classes="user-turn", markup=False)
        self._text = text
        self._file_names = tuple(file_names)
        self._attachments: dict[str, Attachment] = {}
        self._is_unfolded = False
        self._learnt: tuple[Fact, ...] = ()
        self._mark: Content | None = None
        self._is_pinned = False
        self.turn_id = ""
        if turn is not None:
            self.store(turn)
        else:
            self._show()

    def store(self, turn: Turn) -> None:
        """Take over the turn as it was stored."""
        self.turn_id = turn.id
        self._text = turn.text
        self._mark = variant_mark(turn) if turn.variants > 1 else None
        self._attachments = {attachment.id: attachment for attachment in turn.attachments}
        self._show()

    def picture_row(self) -> PictureRow | None:
        """The turn's pictures, to stand right below it; None where it has none."""
        pictures = shown_pictures(tuple(self._attachments.values()))
        self.set_class(bool(pictures), "-pictured")
        return PictureRow(pictures) if pictures else None

    def set_pinned(self, is_pinned: bool) -> None:
        """Say that the turn stays in the model's view, or not."""
        if is_pinned != self._is_pinned:
            self._is_pinned = is_pinned
            self._show()

    def set_attachment(self, attachment: Attachment) -> None:
        """Show what was made of a file."""
        if attachment.id in self._attachments:
            self._attachments[attachment.id] = attachment
            self._show()

    def set_learnt(self, facts: Sequence[Fact]) -> None:
        """Show what was remembered of the message; quiet, and only until the conversation is opened again."""
        self._learnt = tuple(facts)
        self._show()

    def on_click(self) -> None:
        """Unfold a long message, or fold it again."""
        if clean(self._text).count("\n") >= MAX_SHOWN_LINES:
            self._is_unfolded = not self._is_unfolded
            self._show()

    def _show(self) -> None:
        lines = clean(self._text).split("\n")
        parts: list[Content] = []
        if len(lines) > MAX_SHOWN_LINES and not self._is_unfolded:
            hidden = len(lines) - MAX_SHOWN_LINES // 2
            parts.append(Content("\n".join(lines[: MAX_SHOWN_LINES // 2])))
            parts.append(Content.styled(f"… {plural(hidden, 'more line')} (click to unfold)", MUTED))
        elif self._text:
            parts.append(Content("\n".join(lines)))
        files = [Content.assemble(("▪ ", "$accent"), (one_line(name), MUTED)) for name in self._file_names]
        parts += [
            Content.assemble(("▪ ", "$accent"), (attachment_line(each, self._text), MUTED)).stylize(click_to_open(each))
            for each in self._attachments.values()
        ] or files
        marks = [PINNED] if self._is_pinned else []
        marks += [self._mark] if self._mark is not None else []
        if marks:
            parts.append(Content("  ").join(marks))
        if self._learnt:
            said = "; ".join(one_line(fact.text) for fact in self._learnt)
            parts.append(Content.styled(f"remembered: {elide(said, MAX_SHOWN_BETTER)} · /forget takes it back", MUTED))
        self.update(Content("\n").join(parts))


class RecalledLine(Static):
    """How many facts and older turns were told to the model; a click shows them."""

    def __init__(self, recalled: Sequence[Recalled]) -> None:
        super().__init__(classes="recalled", markup=False)
        self._recalled = tuple(recalled)
        self._is_open = False
        self._show()

    def on_click(self, event: events.Click) -> None:
        """Unfold, or fold again; a click on a file opens that."""
        if not is_on_chip(event):
            self._is_open = not self._is_open
            self._show()

    def _show(self) -> None:
        mark = "▾" if self._is_open else "▸"
        facts = sum(bool(note.fact) for note in self._recalled)
        turns = len(self._recalled) - facts
        counted = [plural(facts, "fact")] * bool(facts) + [plural(turns, "earlier turn")] * bool(turns)
        head = Content("   ").join(
            [Content(f"{mark} recalled {' and '.join(counted)}"), *recalled_chips(self._recalled)]
        )
        lines = [head]
        if self._is_open:
            for note in self._recalled:
                who = "fact" if note.fact else "you" if note.role == "user" else "reply"
                said = f"    {note.created_at[:10]}  {who}: {elide(one_line(note.exchange), 160)}"
                lines.append(Content("  ").join([Content(said), *recalled_chips([note])]))
        self.update(Content("\n").join(lines))


class RatingLine(Static):
    """What the user thinks of a reply, in words as well as in colour."""

    def __init__(self, rating: Rating) -> None:
        super().__init__(classes="rating", markup=False)
        self.say(rating)

    def say(self, rating: Rating) -> None:
        """Show another rating."""
        parts: list[Content] = []
        if rating.mark == "good":
            parts.append(Content.styled("▲ good", "$text-success"))
        elif rating.mark == "bad":
            parts.append(Content.styled("▼ bad", "$text-error"))
        if rating.better:
            better = elide(one_line(" ".join(rating.better.split())), MAX_SHOWN_BETTER)
            parts.append(Content.assemble(("◆ better: ", "$accent"), (better, MUTED)))
        self.update(Content("  ").join(parts))


class ReplyView(Vertical):
    """A reply, growing or stored, with what was recalled for it and how it ended."""

    app: MmchatApp

    def __init__(self, turn: Turn | None = None, *, recalled: Sequence[Recalled] = ()) -> None:
        super().__init__(classes="reply-turn")
        self.turn_id = turn.id if turn else ""
        self._turn = turn
        self._recalled = tuple(note for note in (turn.recalled if turn else recalled) if note.passage is None)
        self._first_part = Reply(clean(turn.text) if turn else None)
        self._words = ReplyParts(self._first_part)
        self._sources = Static(classes="sources", markup=False)
        self._ending = Static(classes="ending", markup=False)
        self._stream: MarkdownStream | None = None
        self.text = turn.text if turn else ""
        self.rating = turn.rating if turn else None
        self._rating_line: RatingLine | None = None
        self._is_pinned = False
        self._ending_parts: list[Content] = []

    def compose(self) -> ComposeResult:
        """Recalled notes, words, ending."""
        if self._recalled:
            yield RecalledLine(self._recalled)
        yield self._first_part
        yield self._sources
        yield self._ending
        if self.rating is not None:
            self._rating_line = RatingLine(self.rating)
            yield self._rating_line
        self._show_sources(self._turn)
        self._show_ending(self._turn)

    async def append(self, text: str) -> None:
        """Add to a growing reply; only its last block is parsed again."""
        self.text += text
        if self._stream is None:
            self._stream = MarkdownStream(cast(Markdown, self._words))  # of a Markdown it needs `append` alone
            self._stream.start()
        await self._stream.write(clean(text))

    async def end(self, turn: Turn | None = None, *, failed: bool = False, should_show_notice: bool = True) -> None:
        """Close the stream and say how the reply ended."""
        if self._stream is not None:
            await self._stream.stop()
            self._stream = None
        if turn is not None:
            self.turn_id = turn.id
            if clean(turn.text).strip() != self._words.source.strip():
                await self._words.update(clean(turn.text))
            self.text = turn.text
        self._show_sources(turn)
        self._show_ending(turn, failed=failed, should_show_notice=should_show_notice)

    def _show_sources(self, turn: Turn | None) -> None:
        """Where what was looked up for it stands; nothing where nothing was."""
        chips = source_chips(turn) if turn is not None else []
        self._sources.display = bool(chips)
        self._sources.update(Content("   ").join(chips))

    def set_rating(self, rating: Rating | None) -> None:
        """Show what the user thinks of the reply; nothing for None."""
        self.rating = rating
        if rating is None:
            if self._rating_line is not None:
                self._rating_line.remove()
                self._rating_line = None
        elif self._rating_line is not None:
            self._rating_line.say(rating)
        else:
            self._rating_line = RatingLine(rating)
            self.mount(self._rating_line)

    def _show_ending(self, turn: Turn | None, *, failed: bool = False, should_show_notice: bool = True) -> None:
        parts: list[Content] = []
        if failed or (turn is not None and turn.status == "failed"):
            parts.append(
                Content.assemble(("[failed]", "$text-error"), (f"  {self.app.keys.label('regen')} tries again", MUTED))
            )
        elif turn is not None and turn.status == "stopped":
            parts.append(Content.styled("[stopped]", "$text-warning"))
        if turn is not None and turn.notice and should_show_notice:
            parts.append(Content.styled(clean(turn.notice), MUTED))
        if turn is not None and turn.variants > 1:
            parts.insert(0, variant_mark(turn))
        self._ending_parts = parts
        self._show_marks()

    def set_pinned(self, is_pinned: bool) -> None:
        """Say that the turn stays in the model's view, or not."""
        if is_pinned != self._is_pinned:
            self._is_pinned = is_pinned
            self._show_marks()

    def _show_marks(self) -> None:
        parts = [PINNED, *self._ending_parts] if self._is_pinned else self._ending_parts
        self._ending.display = bool(parts)
        self._ending.update(Content("  ").join(parts))


class ErrorView(Static):
    """An error as three lines: what happened, what was kept, what to do next."""

    def __init__(self, what: str, kept: str = "", next_step: str = "") -> None:
        parts = [Content.styled(clean(what), "$text-error")]
        if kept:
            parts.append(Content(clean(kept)))
        if next_step:
            parts.append(Content.assemble(("→ ", "$accent"), clean(next_step)))
        super().__init__(Content("\n").join(parts), classes="error-view", markup=False)


class Welcome(Static):
    """What to do with an empty conversation."""

    def __init__(self, keys: Keys) -> None:
        lines = Content.assemble(
            ("mmchat", "bold $primary"),
            ("   a private chat that stays on this machine\n\n", MUTED),
            "Type below and press ", ("Enter", "bold"), ".\n",
            "Drop in a picture or a sound file, or press ", (keys.label("voice"), "bold"), " and speak.\n",
            (keys.label("help"), "bold"), " shows keys and commands; ",
            (keys.label("sessions"), "bold"), " finds earlier conversations.",
        )  # fmt: skip
        super().__init__(lines, classes="welcome", markup=False)
