"""What fed the last reply, and the way to each piece of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from mmchat.chat.understood_words import why_words
from mmchat.chat.why import NOTHING_KNOWN, Source, Why
from mmchat.domain import Passage
from mmchat.moments import local_minute
from mmchat.tui.screens.context import written_by
from mmchat.tui.text import MUTED, attachment_line, clean, elide, one_line, plural, usage_line, window_line
from mmchat.tui.widgets.window_bar import PATTERNS, bar

NAMES = {
    "summary": "summary",
    "pinned": "pinned",
    "kept": "in view",
    "documents": "document",
    "recalled": "recalled",
    "facts": "fact",
    "senses": "file",
    "newest": "asked",
}


@dataclass(frozen=True, slots=True)
class GoTo:
    """A turn that the user wants to see."""

    session_id: str
    turn_id: str


class WhyScreen(ModalScreen[GoTo | Passage | None]):
    """The sources of a reply; Enter goes to the highlighted one, a turn or a passage."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("ctrl+c", "dismiss(None)", "Close", priority=True),
    ]

    def __init__(self, why: Why) -> None:
        super().__init__()
        self._why = why

    def compose(self) -> ComposeResult:
        """Figures, sources, the whole text of the highlighted one, keys."""
        with Vertical(classes="dialog -large", id="why"):
            yield Static(Content("\n").join(self._figures()), markup=False)
            yield OptionList(*(Option(self._line(source)) for source in self._why.sources), markup=False, compact=True)
            with VerticalScroll(id="source"):
                yield Static(id="source-text", markup=False)
            keys = Content.assemble(
                ("↑ ↓", "bold"), " look   ", ("Enter", "bold"), " go there   ", ("Esc", "bold"), " closes"
            )
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Begin with what was brought from elsewhere: that is what one asks about."""
        options = self.query_one(OptionList)
        kinds = [source.kind for source in self._why.sources]
        brought = [at for at, kind in enumerate(kinds) if kind in ("documents", "recalled")]
        options.highlighted = brought[0] if brought else 0 if kinds else None
        options.focus()

    def _figures(self) -> list[Content]:
        reply, window = self._why.reply, self._why.reply.window
        lines = [Content.styled("What fed the last reply", "bold $primary")]
        lines.append(Content(elide(f"“{one_line(reply.text)}”", self._width)))
        if window is not None and window.budget:
            lines += [bar(window, self._width), Content(window_line(window))]
        lines += [Content(elide(one_line(line), self._width)) for line in why_words(self._why)]
        if window is None and not reply.recalled and not reply.prepared:
            lines.append(Content.styled(NOTHING_KNOWN, MUTED))
        if reply.usage is not None:
            lines.append(Content.styled(usage_line(reply.usage), MUTED))
        if reply.model:
            lines.append(Content.styled(f"{one_line(reply.model)} on {one_line(reply.engine)}", MUTED))
        return lines

    @property
    def _width(self) -> int:
        return max(20, min(self.app.size.width * 94 // 100, 86) - 8)

    def _line(self, source: Source) -> Content:
        glyph, style = PATTERNS[source.kind]
        about = f"  {source_about(source)}" if source_about(source) else ""
        text = attachment_line(source.attachment) if source.kind == "senses" and source.attachment else source.text
        room = max(10, self._width - 13 - len(about))
        return Content.assemble(
            (glyph, style), f" {NAMES[source.kind]:<9} ", elide(one_line(" ".join(text.split())), room), (about, MUTED)
        )

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        source = self._why.sources[event.option_index]
        lines = [Content.styled(clean(head), MUTED) for head in _heads(source, written_by(self._why.summary))]
        lines.append(Content(clean(source.text)))
        if source.attachment is not None:
            lines.append(Content.styled(attachment_line(source.attachment), MUTED))
        self.query_one("#source-text", Static).update(Content("\n").join(lines))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        source = self._why.sources[event.option_index]
        if source.passage is not None:
            self.dismiss(source.passage)
        elif source.turn_id:
            self.dismiss(GoTo(source.session_id, source.turn_id))


def source_about(source: Source) -> str:
    """Where a source comes from, in a few words."""
    if source.kind == "kept":
        return f"and {plural(source.count - 1, 'more turn')}" if source.count > 1 else ""
    parts = [f"score {source.score:.3f}" if source.score is not None else "", elide(one_line(source.title), 24)]
    return " · ".join(part for part in parts if part)


def _heads(source: Source, writer: str) -> list[str]:
    who = "you" if source.role == "user" else "the reply"
    when = local_minute(source.created_at) if source.created_at else ""
    match source.kind:
        case "summary":
            return [f"the summary in the place of older turns, {writer}"]
        case "kept":
            return [f"the first of {plural(source.count, 'turn')} in view; {who}, {when}"]
        case "documents" if source.passage is not None:
            passage = source.passage
            return [passage.source, ", ".join(part for part in (str(passage.path), passage.position) if part)]
        case "facts" if not source.turn_id:
            return [f"a fact that you told outright, {when}"]
    where = f" in “{one_line(source.title)}”" if source.title else ""
    return [f"{who}, {when}{where}"]
