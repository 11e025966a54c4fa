"""Markdown that grows while it is read: what stands already is neither made nor laid out again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from textual.containers import Vertical
from textual.content import Content
from textual.widget import AwaitMount, Widget
from textual.widgets import Markdown

# Textual offers its blocks under no public name, but for two.
from textual.widgets._markdown import (
    MarkdownBulletList,
    MarkdownListItem,
    MarkdownOrderedList,
    MarkdownParagraph,
)
from textual.widgets.markdown import MarkdownBlock, MarkdownFence

PART_BLOCKS = 16
"""Blocks of a growing reply, or items of its list, that stand in one widget."""


def _keep_line_breaks(state: StateCore) -> None:
    """A line break in a reply is meant: verses, addresses and lists without marks keep their shape."""
    for token in state.tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"


def make_parser() -> MarkdownIt:
    """Markdown for replies: HTML is shown as written, addresses are not made into links."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("keep_line_breaks", _keep_line_breaks)
    return parser


class _Paragraph(MarkdownParagraph):
    """Lays the conversation out again only when it becomes a line higher: a layout looks at every mounted turn."""

    def set_content(self, content: Content) -> None:
        width, height = self.content_size
        self._content = content
        self.update(content, layout=not width or content.get_height({}, width) != height)


class _BulletList(MarkdownBulletList):
    """A list that is added to at its end; Textual's own is made anew, all of it, with every piece that comes."""

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if not await _grow(self, block):
            await super()._update_from_block(block)


class _OrderedList(MarkdownOrderedList):
    """As above."""

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if not await _grow(self, block):
            await super()._update_from_block(block)


class Reply(Markdown):
    """Markdown that is appended to, and never opens anything by itself."""

    BLOCKS = {
        **Markdown.BLOCKS,
        "paragraph_open": _Paragraph,
        "bullet_list_open": _BulletList,
        "ordered_list_open": _OrderedList,
    }

    def __init__(self, markdown: str | None = None) -> None:
        super().__init__(markdown, parser_factory=make_parser, open_links=False)

    @property
    def is_long(self) -> bool:
        """Whether what comes next should stand in another widget."""
        return len(self.children) > PART_BLOCKS or self._ends_with_long_list

    @property
    def _ends_with_long_list(self) -> bool:
        last = self.children[-1] if self.children else None
        return isinstance(last, _BulletList) and len(last.children) > PART_BLOCKS

    def mount(
        self, *widgets: Widget, before: int | str | Widget | None = None, after: int | str | Widget | None = None
    ) -> AwaitMount:
        """Mark the last block, which has no margin.

        With `:last-child` in the stylesheet, every block was styled anew whenever one came, with all that stands in
        it: half of the processor time of a streamed reply.
        """
        for last in self.children[-1:]:
            last.remove_class("-last")
        for last in widgets[-1:]:
            last.add_class("-last")
        return super().mount(*widgets, before=before, after=after)

    async def cut(self) -> str:
        """Take out the last block, or the last item of a long list, and return its source; after `append` only.

        Not of a numbered list: what the numbers go on from would stand in the other widget.
        """
        lines, start = self.source.splitlines(keepends=True), self._last_parsed_line
        last: Widget = self.children[-1]
        if self._ends_with_long_list:
            tokens = make_parser().parse("".join(lines[start:]))
            start += [each.map[0] for each in tokens if each.type == "list_item_open" and each.level == 1 and each.map][
                -1
            ]
            last = last.children[-1]
        else:
            self.add_class("-continued")
        self._markdown = "".join(lines[:start])
        await last.remove()
        self.children[-1].add_class("-last")
        return "".join(lines[start:])


class ReplyParts:
    """A reply that grows: when it is long, it goes on in a widget of its own.

    A block that comes has all those beside it styled and placed anew; what stands in another widget is left alone.
    """

    def __init__(self, first: Reply) -> None:
        self._parts = [first]
        self._lock = asyncio.Lock()

    @property
    def source(self) -> str:
        """All of its Markdown."""
        return "".join(part.source for part in self._parts)

    async def append(self, text: str) -> None:
        """Add to its end; only the last block is parsed again."""
        async with self._lock:
            last = self._parts[-1]
            if not last.is_long or not isinstance(last.parent, Widget):
                await last.append(text)
                return
            with last.app.batch_update():
                text = await last.cut() + text
                part = Reply()
                self._parts.append(part)
                await last.parent.mount(part, after=last)
                await part.append(text)

    async def update(self, text: str) -> None:
        """Show another text instead."""
        async with self._lock:
            first, *others = self._parts
            self._parts = [first]
            for part in others:
                await part.remove()
            first.remove_class("-continued")
            await first.update(text)


async def _grow(shown: Widget, now: MarkdownBlock) -> bool:
    """Make a shown block what it has become; False, with nothing changed, where it must be made anew."""
    if isinstance(shown, _Paragraph | MarkdownFence) and type(now) is type(shown):
        await shown._update_from_block(now)
        return True
    if isinstance(shown, _BulletList | _OrderedList) and type(now) is type(shown):
        return await _grow_list(shown, now)
    return False


async def _grow_list(shown: _BulletList | _OrderedList, now: MarkdownBlock) -> bool:
    """Only the last item can have changed, and some may have come."""
    items = [block for block in now._blocks if isinstance(block, MarkdownListItem)]
    rows = list(shown.children)
    if not rows or len(items) < len(rows) or (isinstance(now, _OrderedList) and _is_wider(items, len(rows))):
        return False
    last = rows[-1]
    new = len(rows)
    if not await _grow_blocks(last.children[-1], items[new - 1]._blocks):
        await last.remove()
        new -= 1
    now._blocks = list(items[new:])
    if now._blocks:
        await shown.mount_all(list(now.compose()))
    shown._copy_context(now)
    return True


def _is_wider(items: Sequence[MarkdownListItem], shown: int) -> bool:
    """Whether a number has more digits than those that are shown, so that all texts move."""
    return len(items[-1].bullet) > len(items[shown - 1].bullet)


async def _grow_blocks(body: Widget, now: Sequence[MarkdownBlock]) -> bool:
    """The same for what stands in an item."""
    shown = list(body.children)
    if not isinstance(body, Vertical) or not shown or len(now) < len(shown):
        return False
    if not await _grow(shown[-1], now[len(shown) - 1]):
        return False
    if more := now[len(shown) :]:
        await body.mount_all(more)
    return True
