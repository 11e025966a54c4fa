"""How a model is told, in words, what was seen, heard and remembered.

A small model takes a bracketed note for a text to edit, but plain words in the conversation ground
its replies. Which words do it best is measured, not guessed: `benchmarks/wording.py` asks the probe
set `benchmarks/probes/wording.jsonl` with every style below and counts the replies that use what
they were told. Styles are named so that a models.toml entry can choose (`notes = "spoken"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmchat.domain import Attachment, Message, Recalled, Seen, Turn
from mmchat.engines.see import with_article
from mmchat.memory.rows import sensed_text
from mmchat.script import is_mostly_chinese

MAX_TAGS = 4
MIN_TAG_SCORE = 0.15
MAX_NOTE_CHARS = 240
"""A recalled turn is quoted up to here: enough for a fact, short enough for a small model."""
MAX_QUESTION_CHARS = 160
"""The question of an exchange is quoted up to here; it is its end that asks."""


@dataclass(frozen=True, slots=True)
class NoteStyle:
    """Sentences around what the model is told; `{}` takes the content."""

    photo: str
    """Before the user's words, in the user's voice."""
    photo_unclear: str
    photo_text: str
    sound: str
    sound_empty: str
    memory: str
    """Before the user's words; `{}` takes the quoted turns."""
    memory_user: str
    """One quoted turn of the user's."""
    memory_assistant: str
    memory_asked: str
    """A question of the user's and how it was answered."""
    memory_answered: str
    """A question of the model's and what the user answered."""
    memory_photo: str
    """One recalled picture; `{}` takes what was seen in it."""
    photo_answer: str = ""
    """When set, the picture is told as the assistant's own words, in an exchange before the question."""
    photo_ask: str = ""
    memory_answer: str = ""
    """When set, the memory is told as the assistant's own words, in an exchange before the question."""
    memory_ask: str = ""


STYLES: dict[str, dict[str, NoteStyle]] = {
    "spoken": {
        "en": NoteStyle(
            photo="I am showing you a photo of {}.",
            photo_unclear="I am showing you a photo, but it is hard to make out.",
            photo_text='The photo has this text in it: "{}".',
            sound='I am playing you a recording. It says: "{}".',
            sound_empty="I am playing you a recording in which nobody speaks.",
            memory="{}",
            memory_user='Earlier I told you: "{}".',
            memory_assistant='Earlier you told me: "{}".',
            memory_asked='Earlier I asked you: "{}" You told me: "{}".',
            memory_answered='Earlier you asked me: "{}" I told you: "{}".',
            memory_photo="Earlier I showed you a photo of {}.",
        ),
        "zh": NoteStyle(
            photo="我给你看一张照片，上面有{}。",
            photo_unclear="我给你看一张照片，但看不太清楚。",
            photo_text="照片里写着：“{}”。",
            sound="我给你放一段录音，内容是：“{}”。",
            sound_empty="我给你放一段录音，里面没有人说话。",
            memory="{}",
            memory_user="我以前告诉过你：“{}”。",
            memory_assistant="你以前告诉过我：“{}”。",
            memory_asked="我以前问过你：“{}”你告诉我：“{}”。",
            memory_answered="你以前问过我：“{}”我告诉你：“{}”。",
            memory_photo="我以前给你看过一张照片，上面有{}。",
        ),
    },
    "witness": {
        "en": NoteStyle(
            photo="{}",
            photo_ask="Please look at the photo I am showing you.",
            photo_answer="I can see {} in your photo.",
            photo_unclear="I am showing you a photo, but it is hard to make out.",
            photo_text='The photo has this text in it: "{}".',
            sound='I am playing you a recording. It says: "{}".',
            sound_empty="I am playing you a recording in which nobody speaks.",
            memory="{}",
            memory_ask="Do you remember what we said before?",
            memory_answer="Yes, I remember. {}",
            memory_user='You told me: "{}".',
            memory_assistant='I told you: "{}".',
            memory_asked='You asked me: "{}" I told you: "{}".',
            memory_answered='I asked you: "{}" You told me: "{}".',
            memory_photo="You showed me a photo of {}.",
        ),
        "zh": NoteStyle(
            photo="{}",
            photo_ask="请看看我给你的照片。",
            photo_answer="我在照片里看到了{}。",
            photo_unclear="我给你看一张照片，但看不太清楚。",
            photo_text="照片里写着：“{}”。",
            sound="我给你放一段录音，内容是：“{}”。",
            sound_empty="我给你放一段录音，里面没有人说话。",
            memory="{}",
            memory_ask="你还记得我们以前说过什么吗？",
            memory_answer="记得。{}",
            memory_user="你告诉过我：“{}”。",
            memory_assistant="我告诉过你：“{}”。",
            memory_asked="你问过我：“{}”我告诉你：“{}”。",
            memory_answered="我问过你：“{}”你告诉我：“{}”。",
            memory_photo="你给我看过一张照片，上面有{}。",
        ),
    },
    "plain": {
        "en": NoteStyle(
            photo="I am showing you a photo of {}.",
            photo_unclear="I am showing you a photo, but it is hard to make out.",
            photo_text="The photo says: {}.",
            sound="In the recording somebody says: {}",
            sound_empty="In the recording nobody speaks.",
            memory="{}",
            memory_user="{}",
            memory_assistant='Earlier you told me: "{}".',
            memory_asked='Earlier I asked you: "{}" You told me: "{}".',
            memory_answered='Earlier you asked me: "{}" I told you: "{}".',
            memory_photo="Earlier I showed you a photo of {}.",
        ),
        "zh": NoteStyle(
            photo="我给你看一张照片，上面有{}。",
            photo_unclear="我给你看一张照片，但看不太清楚。",
            photo_text="照片里写着：{}。",
            sound="录音里有人说：{}",
            sound_empty="录音里没有人说话。",
            memory="{}",
            memory_user="{}",
            memory_assistant="你以前告诉过我：“{}”。",
            memory_asked="我以前问过你：“{}”你告诉我：“{}”。",
            memory_answered="你以前问过我：“{}”我告诉你：“{}”。",
            memory_photo="我以前给你看过一张照片，上面有{}。",
        ),
    },
    "bracket": {
        "en": NoteStyle(
            photo="[Photo: {}]",
            photo_unclear="[Photo: unclear]",
            photo_text="[Text in the photo: {}]",
            sound="[Recording: {}]",
            sound_empty="[Recording: no speech]",
            memory="[Notes from earlier conversations: {}]",
            memory_user="the user said: {}",
            memory_assistant="the assistant said: {}",
            memory_asked="the user asked: {} the assistant said: {}",
            memory_answered="the assistant asked: {} the user said: {}",
            memory_photo="the user showed a photo of {}",
        ),
        "zh": NoteStyle(
            photo="[照片：{}]",
            photo_unclear="[照片：不清楚]",
            photo_text="[照片里的文字：{}]",
            sound="[录音：{}]",
            sound_empty="[录音：没有人说话]",
            memory="[以前的对话：{}]",
            memory_user="用户说：{}",
            memory_assistant="助手说：{}",
            memory_asked="用户问：{}助手说：{}",
            memory_answered="助手问：{}用户说：{}",
            memory_photo="用户给看过一张照片：{}",
        ),
    },
}

DEFAULT_STYLE = "spoken"


def style_for(name: str, text: str) -> NoteStyle:
    """The sentences of a style in the language of `text`."""
    return STYLES[name]["zh" if is_mostly_chinese(text) else "en"]


OPENERS = {False: "Hello.", True: "你好。"}
"""What the user is taken to have said before an assistant that speaks first; by whether that one speaks Chinese."""


def turn_messages(
    turn: Turn, recalled: Sequence[Recalled] = (), *, style: str = DEFAULT_STYLE, has_pixels: bool = False
) -> tuple[Message, ...]:
    """A stored turn as the model reads it, byte for byte the same every time it is in view.

    Args:
        turn: a turn of the user's or the model's.
        recalled: what was recalled when a user turn was answered; told just before its words.
        style: a key of `STYLES`.
        has_pixels: the model takes images itself, so pictures are passed and not described.
    """
    if turn.role != "user":
        told = (Message(turn.role, turn.text),) if turn.text else ()
        if told and turn.role == "assistant" and turn.parent_id is None:
            # A greeting: templates insist that the user speaks first, and no example's reply may run into it.
            return (Message("user", OPENERS[is_mostly_chinese(turn.text)]), *told)
        return told
    words = style_for(style, turn.text or " ".join(a.heard.text for a in turn.attachments if a.heard))
    before: list[Message] = []
    parts: list[str] = []
    _tell_memory(recalled, words, before, parts)
    images = tuple(a.path for a in turn.attachments if a.kind == "image") if has_pixels else ()
    if not has_pixels:
        for attachment in turn.attachments:
            if attachment.kind == "image" and attachment.seen is not None:
                _tell_photo(attachment.seen, words, before, parts)
    spoken = [a for a in turn.attachments if a.kind == "audio" and a.heard is not None]
    if not turn.text and spoken and not parts and all(a.heard and a.heard.text for a in spoken):
        # A turn that is nothing but speech is the user speaking, not a recording to discuss.
        parts.extend(a.heard.text for a in spoken if a.heard)
    else:
        parts.extend(_tell_sound(attachment, words) for attachment in spoken)
    if turn.text:
        parts.append(turn.text)
    return (*before, Message("user", _join(parts), image_paths=images))


def _tell_memory(recalled: Sequence[Recalled], words: NoteStyle, before: list[Message], parts: list[str]) -> None:
    if not recalled:
        return
    quotes = _join([_note(note, words) for note in recalled])
    if words.memory_answer:
        before += [Message("user", words.memory_ask), Message("assistant", words.memory_answer.format(quotes))]
    else:
        parts.append(words.memory.format(quotes))


def _note(note: Recalled, words: NoteStyle) -> str:
    """A recalled turn in words: what was said, and what was in the picture that came with it."""
    if note.partner is not None:
        is_first = note.partner.is_first
        asked, said = (note.partner.text, note.text) if is_first else (note.text, note.partner.text)
        is_user = (note.role == "user") != is_first
        return (words.memory_asked if is_user else words.memory_answered).format(_asking(asked), _quotable(said))
    seen = note.attachment.seen if note.attachment is not None else None
    content = describe(seen, is_chinese=is_mostly_chinese(words.photo_unclear)) if seen is not None else ""
    if not content:
        return (words.memory_user if note.role == "user" else words.memory_assistant).format(_quotable(note.text))
    photo = words.memory_photo.format(content)
    # What was seen stands in the place of words where there were none.
    has_words = note.attachment is not None and not note.text.startswith(sensed_text(note.attachment))
    return _join([words.memory_user.format(_quotable(note.text)), photo]) if has_words else photo


def _tell_photo(seen: Seen, words: NoteStyle, before: list[Message], parts: list[str]) -> None:
    content = describe(seen, is_chinese=is_mostly_chinese(words.photo_unclear))
    if not content:
        parts.append(words.photo_unclear)
    elif words.photo_answer:
        before += [Message("user", words.photo_ask), Message("assistant", words.photo_answer.format(content))]
    else:
        parts.append(words.photo.format(content))
    if seen.text:
        parts.append(words.photo_text.format(_quotable(seen.text)))


def _tell_sound(attachment: Attachment, words: NoteStyle) -> str:
    heard = attachment.heard
    return words.sound.format(heard.text) if heard and heard.text else words.sound_empty


def describe(seen: Seen, *, is_chinese: bool = False) -> str:
    """What is in a picture, as a phrase: "a dog, grass and a frisbee"; empty when nothing is sure enough."""
    labels = [tag.label for tag in seen.tags if tag.score >= MIN_TAG_SCORE][:MAX_TAGS]
    if not labels and seen.tags and seen.tags[0].score >= MIN_TAG_SCORE / 2:
        labels = [seen.tags[0].label]
    if is_chinese:
        return "、".join(labels)
    words = [with_article(label) for label in labels]
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} and {words[-1]}"


def _quotable(text: str) -> str:
    text = " ".join(text.split()).replace('"', "'")
    return text if len(text) <= MAX_NOTE_CHARS else text[: MAX_NOTE_CHARS - 1].rstrip() + "…"


def _asking(text: str) -> str:
    """A question, of a long one its end."""
    text = " ".join(text.split()).replace('"', "'")
    return text if len(text) <= MAX_QUESTION_CHARS else "…" + text[1 - MAX_QUESTION_CHARS :].lstrip()


def _join(parts: Sequence[str]) -> str:
    """Chinese sentences stand side by side, others are parted by a space."""
    joined = ""
    for part in parts:
        needs_space = joined and not is_mostly_chinese(joined[-1] + part[:1])
        joined += (" " if needs_space else "") + part
    return joined
