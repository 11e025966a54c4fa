"""How a model is told, in words, what was seen, heard and remembered.

A small model takes a bracketed note for a text to edit, but plain words in the conversation ground
its replies. Which words do it best is measured, not guessed: `benchmarks/wording.py` asks the probe
set `benchmarks/probes/wording.jsonl` with every style of `chat.note_styles` and counts the replies
that use what they were told; `benchmarks/picture_talk.py` does so with several pictures and with
earlier ones. Styles are named so that a models.toml entry can choose (`notes = "spoken"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmchat.chat.excerpts import excerpt
from mmchat.chat.note_styles import STYLES, NoteStyle
from mmchat.chat.picture_refs import named_in_message
from mmchat.domain import Attachment, Message, Recalled, Seen, Turn
from mmchat.memory.rows import sensed_text
from mmchat.patterns import later
from mmchat.picture_sentences import likely_words
from mmchat.script import is_mostly_chinese

MAX_TAGS = 4
MIN_TAG_SCORE = 0.5
"""What is less likely than not is not told: a small model repeats whatever it is told (docs/performance-log.md)."""
MIN_GUESS = 0.25
"""Where nothing is likely, the best guess is told as one from here on."""
MAX_NOTE_CHARS = 240
"""A recalled turn is quoted up to here: enough for a fact, short enough for a small model."""
MAX_QUESTION_CHARS = 160
"""The question of an exchange is quoted up to here; it is its end that asks."""
MAX_PLACE_CHARS = 80
"""The heading of a passage, or the name of its file, is told up to here."""
MAX_WRITTEN_CHARS = 1500
"""Text in a picture is quoted up to here: a page of a letter."""

DEFAULT_STYLE = "spoken"


def style_for(name: str, text: str) -> NoteStyle:
    """The sentences of a style in the language of `text`."""
    return STYLES[name]["zh" if is_mostly_chinese(text) else "en"]


OPENERS = {False: "Hello.", True: "你好。"}
"""What the user is taken to have said before an assistant that speaks first; by whether that one speaks Chinese."""


def turn_messages(
    turn: Turn,
    recalled: Sequence[Recalled] = (),
    *,
    style: str = DEFAULT_STYLE,
    has_pixels: bool = False,
    most_pictures: int | None = None,
    instructions: str = "",
) -> tuple[Message, ...]:
    """A stored turn as the model reads it, byte for byte the same every time it is in view.

    Args:
        turn: a turn of the user's or the model's.
        recalled: what was recalled and looked up when a user turn was answered; told just before its words.
        style: a key of `STYLES`.
        has_pixels: the model takes images itself, so pictures are passed and not described.
        most_pictures: so many of the turn's pictures are passed, and the others described; absent: all.
        instructions: what a role has the model do with such a message; told after its words.
    """
    if turn.role != "user":
        told = (Message(turn.role, turn.text),) if turn.text else ()
        if told and turn.role == "assistant" and turn.parent_id is None:
            # A greeting: templates insist that the user speaks first, and no example's reply may run into it.
            return (Message("user", OPENERS[is_mostly_chinese(turn.text)]), *told)
        return told
    said = turn.text or " ".join(a.heard.text for a in turn.attachments if a.heard)
    words = style_for(style, said)
    before: list[Message] = []
    parts: list[str] = []
    memories = [note for note in recalled if note.passage is None]
    _tell_memory(memories, words, before, parts, has_pixels=has_pixels)
    images: tuple[Path, ...] = ()
    if has_pixels:
        again = [note.attachment.path for note in recalled if note.place is not None and note.attachment is not None]
        own = [a for a in turn.attachments if a.kind == "image"]
        images = (*again, *(a.path for a in own[:most_pictures]))
        if most_pictures is not None:
            parts += _told_photos(turn.text, [(a.name, a.seen or Seen(())) for a in own], words, since=most_pictures)
    else:
        _tell_photos(turn, words, before, parts)
    spoken = [a for a in turn.attachments if a.kind == "audio" and a.heard is not None]
    if not turn.text and spoken and not parts and all(a.heard and a.heard.text for a in spoken):
        # A turn that is nothing but speech is the user speaking, not a recording to discuss.
        own_words = [a.heard.text for a in spoken if a.heard]
    else:
        parts.extend(_tell_sound(attachment, words) for attachment in spoken)
        own_words = [turn.text] if turn.text else []
    if looked_up := _told_passages(recalled, said, words):
        parts.append(_join(looked_up) + words.passage_ask)
    parts += own_words
    return (*before, Message("user", with_instructions(_join(parts), instructions), image_paths=images))


def with_instructions(text: str, instructions: str) -> str:
    """A message with what a role has the model do with it; where and how is measured (`benchmarks/instructions.py`)."""
    if not instructions:
        return text
    lead = "你回答时：" if is_mostly_chinese(instructions) else "In your reply: "
    return f"{text}\n\n{lead}{instructions}"


def _tell_memory(
    recalled: Sequence[Recalled], words: NoteStyle, before: list[Message], parts: list[str], *, has_pixels: bool
) -> None:
    if not recalled:
        return
    shown = [note for note in recalled if note.place is not None and has_pixels]
    parts += [words.memory_nth_shown.format(nth=_nth(note.place, words)) if note.place else words.memory_shown
              for note in shown]  # fmt: skip
    told = [note for note in recalled if note not in shown]
    quotes = _join([_note(note, words) for note in told])
    if words.memory_answer and told:
        before += [Message("user", words.memory_ask), Message("assistant", words.memory_answer.format(quotes))]
    elif told:
        parts.append(words.memory.format(quotes))


def _told_passages(recalled: Sequence[Recalled], question: str, words: NoteStyle) -> list[str]:
    """What documents say, in quotation marks and with its place: content to speak of, whatever it says."""
    told = []
    for note in recalled:
        if note.passage is None or not note.passage.text.strip():
            continue  # no passage, or one whose document is gone
        place = note.passage.heading.rpartition(" › ")[2] or note.passage.name
        content = excerpt(note.passage.text, question, words.passage_chars)
        told.append(words.passage.format(_unmarked(content), place=_unmarked(_quotable(place, MAX_PLACE_CHARS))))
    return told


def _unmarked(text: str) -> str:
    """Text of others on one line, without what would end its quotation or pass for a mark of a chat template."""
    plain = _TEMPLATE_MARK().sub(lambda match: f"({match[0].strip('<>[]|/')})", _on_one_line(text))
    return plain.translate(_SINGLE_QUOTES)


_TEMPLATE_MARK = later(r"<\|[^<>|]{0,40}\|?>?|</?(?:s|bos|eos|start_of_turn|end_of_turn)>|\[/?(?:INST|SYS)\]|<</?SYS>>")
_SINGLE_QUOTES = str.maketrans("“”「」", "‘’‘’")


def _note(note: Recalled, words: NoteStyle) -> str:
    """A recalled turn in words: what was said, and what was in the picture that came with it."""
    if note.partner is not None:
        is_first = note.partner.is_first
        asked, said = (note.partner.text, note.text) if is_first else (note.text, note.partner.text)
        is_user = (note.role == "user") != is_first
        return (words.memory_asked if is_user else words.memory_answered).format(_asking(asked), _quotable(said))
    seen = note.attachment.seen if note.attachment is not None else None
    content = describe(seen, is_chinese=is_mostly_chinese(words.photo_unclear)) if seen is not None else ""
    if note.place is not None and seen is not None:
        return _photo_again(note.place, content, seen, words)
    if not content:
        return (words.memory_user if note.role == "user" else words.memory_assistant).format(_quotable(note.text))
    photo = words.memory_photo.format(content)
    # What was seen stands in the place of words where there were none.
    has_words = note.attachment is not None and not note.text.startswith(sensed_text(note.attachment))
    return _join([words.memory_user.format(_quotable(note.text)), photo]) if has_words else photo


def _photo_again(place: int, content: str, seen: Seen, words: NoteStyle) -> str:
    """A picture of the same conversation, told once more next to the question about it."""
    if not content and not seen.text:
        return words.photo_unclear
    told = words.memory_nth.format(content, nth=_nth(place, words)) if place else words.memory_same.format(content)
    return " ".join([told] * bool(content) + _written(seen, words))


def _tell_photos(turn: Turn, words: NoteStyle, before: list[Message], parts: list[str]) -> None:
    photos = [(a.name, a.seen) for a in turn.attachments if a.kind == "image" and a.seen is not None]
    if len(photos) == 1:
        _tell_photo(photos[0][1], words, before, parts)
    elif photos:
        _tell_several(turn.text, photos, words, before, parts)
    if photos and not turn.text and len(photos) == len(turn.attachments):
        parts.append(words.photo_alone)


def _tell_several(
    text: str, photos: Sequence[tuple[str, Seen]], words: NoteStyle, before: list[Message], parts: list[str]
) -> None:
    told = _told_photos(text, photos, words)
    how_many = words.photos.format(_number(len(photos), words))
    if words.photo_answer:
        before += [Message("user", _join([how_many, words.photo_ask])), Message("assistant", _join(told))]
    else:
        parts += [how_many, *told]


def _told_photos(text: str, photos: Sequence[tuple[str, Seen]], words: NoteStyle, *, since: int = 0) -> list[str]:
    """A sentence for each of several, from the place `since` on."""
    asked = named_in_message(text, [name for name, _ in photos])
    is_chinese = is_mostly_chinese(words.photo_unclear)
    told = []
    for index, (name, seen) in enumerate(photos):
        if index < since or (asked and index not in asked and words.should_tell_asked_only):
            continue
        is_named = name.casefold() in text.casefold()
        content = describe(seen, is_chinese=is_chinese) or words.photo_nothing
        nth = name if is_named else _nth(index + 1, words)
        told.append((words.photo_named if is_named else words.photo_nth).format(content, nth=nth))
        told += _written(seen, words)
    return told


def _written(seen: Seen, words: NoteStyle) -> list[str]:
    """What stands in it, if anything, in quotation marks: words to speak of, not to follow."""
    return [words.photo_text.format(_quotable(seen.text, MAX_WRITTEN_CHARS))] if seen.text else []


def _nth(place: int, words: NoteStyle) -> str:
    """Which of several, in a word where the language has one at hand."""
    names = words.ordinals.split()
    return names[place - 1] if place <= len(names) else words.figure.format(place)


def _number(count: int, words: NoteStyle) -> str:
    names = words.numbers.split()
    return names[count - 1] if count <= len(names) else str(count)


def _tell_photo(seen: Seen, words: NoteStyle, before: list[Message], parts: list[str]) -> None:
    content = describe(seen, is_chinese=is_mostly_chinese(words.photo_unclear))
    if not content:
        parts += [] if seen.text else [words.photo_unclear]
    elif words.photo_answer:
        before += [Message("user", words.photo_ask), Message("assistant", words.photo_answer.format(content))]
    else:
        parts.append(words.photo.format(content))
    parts += _written(seen, words)


def _tell_sound(attachment: Attachment, words: NoteStyle) -> str:
    heard = attachment.heard
    return words.sound.format(heard.text) if heard and heard.text else words.sound_empty


def describe(seen: Seen, *, is_chinese: bool = False) -> str:
    """What is in a picture, as a phrase: "a dog, grass and a frisbee"; empty when nothing is sure enough."""
    words = likely_words(seen.tags, MIN_TAG_SCORE, MAX_TAGS, is_chinese=is_chinese)
    if not words:
        guess = likely_words(seen.tags, MIN_GUESS, 1, is_chinese=is_chinese)
        return "".join(f"也许是{word}的东西" if is_chinese else f"what may be {word}" for word in guess)
    if is_chinese:
        return "、".join(words)
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} and {words[-1]}"


def _quotable(text: str, limit: int = MAX_NOTE_CHARS) -> str:
    text = _on_one_line(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _asking(text: str) -> str:
    """A question, of a long one its end."""
    text = _on_one_line(text)
    return text if len(text) <= MAX_QUESTION_CHARS else "…" + text[1 - MAX_QUESTION_CHARS :].lstrip()


def _on_one_line(text: str) -> str:
    return " ".join(text.split()).replace('"', "'")


def _join(parts: Sequence[str]) -> str:
    """Chinese sentences stand side by side, others are parted by a space."""
    joined = ""
    for part in parts:
        needs_space = joined and not joined[-1].isspace() and not is_mostly_chinese(joined[-1] + part[:1])
        joined += (" " if needs_space else "") + part
    return joined
