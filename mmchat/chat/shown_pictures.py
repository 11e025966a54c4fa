"""Earlier pictures of the same conversation that a message asks about, told once more next to the question."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mmchat.chat.picture_refs import Shown, looks_back, named_before
from mmchat.domain import Attachment, Recalled, Turn, Window
from mmchat.memory.rows import told_text


def asked_about(
    question: Turn, history: Sequence[Turn], in_view: Collection[str], *, has_pixels: bool
) -> tuple[Recalled, ...]:
    """The pictures that a message asks about, as notes with a place.

    A model that reads words is told of them even while they are in view: ten turns back they are half forgotten. One
    that takes pixels is shown those again that it does not see any more.

    Args:
        question: the message.
        history: all turns before it.
        in_view: ids of the turns that the model sees.
        has_pixels: whether it takes the pixels.
    """
    has_own = any(a.kind == "image" for a in question.attachments)
    if not question.text or (has_own and not looks_back(question.text)):
        return ()
    found = [(turn, file, at) for at, turn in enumerate(history) for file in _pictures(turn)]
    shown = [
        Shown(file.name, tuple(tag.label for tag in file.seen.tags) if file.seen else (), at) for _, file, at in found
    ]
    places = {file.id: index for index, (_, file, _) in enumerate(found)}
    named = named_before(question.text, shown, _lately(history, places))
    return tuple(
        _note(found[each.index][0], found[each.index][1], each.place)
        for each in named
        if not (has_pixels and found[each.index][0].id in in_view)
    )


def seen_turns(history: Sequence[Turn], window: Window) -> list[str]:
    """Ids of the turns that a model sees."""
    ids = [turn.id for turn in history]
    start = ids.index(window.first_turn_id) if window.first_turn_id in ids else len(ids)
    return [*ids[start:], *window.pins]


def _pictures(turn: Turn) -> list[Attachment]:
    return [a for a in turn.attachments if a.kind == "image"] if turn.role == "user" else []


def _lately(history: Sequence[Turn], places: dict[str, int]) -> list[int]:
    """Which pictures were talked about last: those of the newest message with pictures, or asked about since."""
    for turn in reversed(history):
        files = _pictures(turn) or [
            note.attachment for note in turn.recalled if note.place is not None and note.attachment is not None
        ]
        if lately := [places[file.id] for file in files if file.id in places]:
            return lately
    return []


def _note(turn: Turn, file: Attachment, place: int) -> Recalled:
    text = told_text(turn.text, turn.attachments)
    return Recalled(turn.session_id, turn.id, turn.role, text, turn.created_at, 1.0, file, place=place)
