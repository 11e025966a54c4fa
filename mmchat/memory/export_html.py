"""Conversations as one page of HTML that holds all it shows: no script, nothing fetched, every text escaped."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mmchat import __version__
from mmchat.domain import Attachment, AttachmentKind, Session, Turn
from mmchat.memory.export_markdown import SPEAKERS, UNTITLED, told
from mmchat.memory.export_turns import ExportedConversation
from mmchat.moments import local_day, local_minute

PICTURE_LIMIT_BYTES = 1 << 20
"""Larger pictures are embedded as a smaller copy."""
PICTURE_SIDE_PX = 1600
"""The longer side of such a copy."""
SOUND_LIMIT_BYTES = 8 << 20
"""Larger sounds are only named."""
_MEDIA_TYPE = re.compile(r"(image|audio)/[a-z0-9.+-]+")
_SHOWN_BY_BROWSERS = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


@dataclass(frozen=True, slots=True)
class _FileView:
    kind: AttachmentKind
    name: str
    source: str
    caption: str


@dataclass(frozen=True, slots=True)
class _TurnView:
    turn: Turn
    who: str
    words: Markup
    files: tuple[_FileView, ...]
    notes: tuple[str, ...]
    better: str


def page_head(sessions: Sequence[Session]) -> str:
    """The beginning of a page, with a list of contents for more than one conversation."""
    title = sessions[0].title or UNTITLED if len(sessions) == 1 else f"{len(sessions)} conversations"
    head = str(_macros().head(title)).lstrip()
    return head + (str(_macros().contents(sessions)) if len(sessions) > 1 else "")


def page_conversation(conversation: ExportedConversation) -> str:
    """A conversation within a page, as it is read: without variants."""
    turns = [_turn_view(turn) for turn in conversation.in_view]
    return str(_macros().conversation(conversation.session, turns))


def page_foot() -> str:
    """The end of a page."""
    return str(_macros().foot()).lstrip()


@cache
def _macros() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"day": local_day, "minute": local_minute}
    environment.globals |= {"version": __version__, "untitled": UNTITLED}
    source = Path(__file__).with_name("export_page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).module


@cache
def _renderer() -> Any:
    from markdown_it import MarkdownIt

    # HTML in a text is shown as text, and its pictures are shown as links: a page that is opened years later must not
    # tell a foreign server so.
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")


def words(text: str) -> Markup:
    """A text's Markdown as HTML."""
    # What `render` gives is escaped by construction, `html` being off; links to scripts are left as text by its own
    # check of addresses.
    return Markup(_renderer().render(text))


def _turn_view(turn: Turn) -> _TurnView:
    notes = [f"from: {'; '.join(turn.sources)}"] if turn.sources else []
    if turn.status != "complete":
        notes.append(turn.notice or turn.status)
    if turn.rating is not None and turn.rating.mark:
        notes.append(f"rated {turn.rating.mark}")
    who = turn.model if turn.role == "assistant" and turn.model else SPEAKERS[turn.role]
    files = tuple(map(_file_view, turn.attachments))
    return _TurnView(turn, who, words(turn.text), files, tuple(notes), turn.rating.better if turn.rating else "")


def _file_view(file: Attachment) -> _FileView:
    source, remark = _picture(file) if file.kind == "image" else _sound(file)
    caption = "\n".join([f"{file.name} ({remark})" if remark else file.name, *told(file)])
    return _FileView(file.kind, file.name, source, caption)


def _sound(file: Attachment) -> tuple[str, str]:
    if file.size_bytes > SOUND_LIMIT_BYTES:
        return "", f"not in this page: {file.size_bytes / 1e6:.1f} MB"
    data = _read(file)
    return (_data_uri(file.media_type, data), "") if data is not None else ("", "the kept file is missing")


def _picture(file: Attachment) -> tuple[str, str]:
    data = _read(file)
    if data is None:
        return "", "the kept file is missing"
    if file.media_type in _SHOWN_BY_BROWSERS and len(data) <= PICTURE_LIMIT_BYTES:
        return _data_uri(file.media_type, data), ""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as opened:
            width, height = opened.size
            smaller = ImageOps.exif_transpose(opened)
            smaller.thumbnail((PICTURE_SIDE_PX, PICTURE_SIDE_PX))
            copy = io.BytesIO()
            smaller.convert("RGB").save(copy, "JPEG", quality=85)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return "", "not in this page: it cannot be read as a picture"
    is_smaller = max(width, height) > PICTURE_SIDE_PX
    return _data_uri("image/jpeg", copy.getvalue()), f"a {'smaller ' * is_smaller}copy of {width} × {height}"


def _read(file: Attachment) -> bytes | None:
    try:
        return file.path.read_bytes()
    except OSError:
        return None


def _data_uri(media_type: str, data: bytes) -> str:
    # The type comes from a file. Browsers look at the bytes anyway.
    known = media_type if _MEDIA_TYPE.fullmatch(media_type) else "audio/mpeg"
    return f"data:{known};base64,{base64.b64encode(data).decode()}"
