"""The commands of the plain mode on what the model sees."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mmchat.chat.compact import SummaryDraft, SummaryProgressed, Writer
from mmchat.chat.understood_words import why_words
from mmchat.chat.why import NOTHING_KNOWN
from mmchat.cli.output import print_text
from mmchat.cli.replies import describe_attachment, shorten, stop_on_interrupt
from mmchat.domain import SENTENCES
from mmchat.errors import UsageError
from mmchat.moments import local_minute
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.chat.why import Source
    from mmchat.cli.plain import PlainChat
    from mmchat.domain import Summary, Turn, Window

_PART_NAMES = {
    "system": "system text and chat template",
    "summary": "summary of older turns",
    "pinned": "pinned turns",
    "kept": "turns in view",
    "documents": "passages of documents",
    "recalled": "recalled notes",
    "facts": "facts about you",
    "senses": "pictures and sounds",
    "newest": "your message",
}


def show_context(chat: PlainChat, _argument: str) -> None:
    """`/context`."""
    ready = chat.conversation.window.preview()
    for line in window_lines(ready.window):
        print_text(line)
    for message in ready.messages:
        pictures = f" (with {len(message.image_paths)} pictures)" if message.image_paths else ""
        print_text(f"{message.role}{pictures}: {message.text}")


def window_lines(window: Window) -> list[str]:
    """The parts of a window, one a line."""
    lines = [f"The model sees {window.tokens:,} of {window.budget:,} tokens:"]
    for part in window.parts:
        count = f" ({part.count})" if part.count > 1 else ""
        lines.append(f"{_PART_NAMES[part.kind]}{count}: {part.tokens:,}")
    if window.turns_out:
        about = f", about {window.tokens_out:,} tokens" if window.tokens_out else ""
        lines.append(f"out of view: {window.turns_out:,} older messages{about}")
    return lines


def explain(chat: PlainChat, _argument: str) -> None:
    """`/why`."""
    why = chat.conversation.window.why()
    reply = why.reply
    if window := reply.window:
        print_text(
            f"{reply.model} was shown {window.turns_in} messages ({window.tokens} of {window.budget} tokens); "
            f"{window.turns_out} older ones were out of view."
        )
    if reply.window is None and not reply.recalled and not reply.prepared:
        chat.say(NOTHING_KNOWN)
    for line in why_words(why):
        print_text(f"{line[:1].upper()}{line[1:]}")
    for source in why.sources:
        if line := _source_line(source, why.summary):
            print_text(line)
        if source.kind == "recalled" and source.attachment is not None:
            print_text(f"    [{plain_line(source.attachment.name)}] {plain_line(str(source.attachment.path))}")
    if usage := reply.usage:
        print_text(
            f"{usage.reply_tokens} tokens at {usage.tokens_per_s:.0f} per second, the first after "
            f"{usage.first_token_s:.2f} s; {usage.cached_tokens} of {usage.prompt_tokens} prompt tokens reused."
        )


def _source_line(source: Source, summary: Summary | None) -> str:
    text = shorten(source.text)
    match source.kind:
        case "summary":
            return f"Summary ({_written_by(summary)}): {text}" if summary else ""
        case "pinned":
            return f"Pinned: {text}"
        case "recalled" | "facts":
            what = "Recalled" if source.kind == "recalled" else "Known of you"
            when = local_minute(source.created_at) if source.created_at else ""
            where = f' in "{shorten(source.title, 40)}"' if source.title else ""
            score = f", score {source.score:.3f}" if source.score is not None else ""
            place = f" (/open {source.session_id})" if source.title and source.session_id else ""
            return f"{what}: {text} [{when}{where}{score}]{place}"
        case "documents" if source.passage is not None:
            score = f", score {source.score:.3f}" if source.score is not None else ""
            where = ", ".join(each for each in (str(source.passage.path), source.passage.position) if each)
            return f"Looked up in {source.passage.source}: {text} [{where}{score}]"
        case "senses" if source.attachment is not None:
            return describe_attachment(source.attachment)
    return ""


# --- pins -----------------------------------------------------------------------------------------


def pin(chat: PlainChat, argument: str) -> None:
    """`/pin`."""
    turn = _turn_meant(argument, chat.conversation.turns(), "pin")
    chat.conversation.window.pin(turn)
    chat.say(f"Pinned: {shorten(turn.text)}")


def unpin(chat: PlainChat, argument: str) -> None:
    """`/unpin`."""
    pinned = _pinned(chat)
    if not pinned:
        raise UsageError("No message is pinned.", hint="/pin pins the last one.")
    if not argument and len(pinned) > 1:
        raise UsageError("Which one?", hint="/pins numbers them; /unpin takes a number.")
    word = argument or "1"
    if not (word.isdecimal() and 1 <= int(word) <= len(pinned)):
        raise UsageError(f"There is no pinned message '{argument}'.", hint="/pins numbers them.")
    turn = pinned[int(word) - 1]
    chat.conversation.window.unpin(turn.id)
    chat.say(f"Not pinned any more: {shorten(turn.text)}")


def list_pins(chat: PlainChat, _argument: str) -> None:
    """`/pins`."""
    pinned = _pinned(chat)
    for number, turn in enumerate(pinned, start=1):
        print_text(f"{number}. {'You' if turn.role == 'user' else 'Model'}: {shorten(turn.text)}")
    if not pinned:
        chat.say("No message is pinned. /pin pins the last one.")


def _pinned(chat: PlainChat) -> list[Turn]:
    pins = set(chat.conversation.window.pinned())
    return [turn for turn in chat.conversation.turns() if turn.id in pins]


def _turn_meant(argument: str, turns: tuple[Turn, ...], verb: str) -> Turn:
    if not turns:
        raise UsageError("Nothing was said yet.")
    word = argument or "1"
    if not (word.isdecimal() and 1 <= int(word) <= len(turns)):
        raise UsageError(
            f"'{argument}' is no message here.", hint=f"/{verb} 1 is the last, /{verb} {len(turns)} the first."
        )
    return turns[-int(word)]


# --- summaries ------------------------------------------------------------------------------------


def compact(chat: PlainChat, argument: str) -> None:
    """`/compact`."""
    word, _, text = argument.partition(" ") if " " in argument else argument.partition("\n")
    compaction = chat.conversation.compaction
    match word.lower():
        case "undo":
            left = compaction.undo()
            chat.say("The summary before it is in force again." if left else "The messages speak for themselves again.")
        case "redo":
            chat.say(f"In force again: {compaction.redo().text}")
        case "show":
            summary = chat.conversation.window.summary()
            if summary is None:
                raise UsageError("No summary is in force.", hint="/compact writes one.")
            print_text(f"Written {_written_by(summary)}:\n{summary.text}")
        case "edit":
            if not text.strip():
                raise UsageError(
                    "What should it say?", hint='/compact edit TEXT. Several lines: """/compact edit … """'
                )
            compaction.edit(text)
            chat.say("Kept. The model reads it so from now on.")
        case "" | "model" | "sentences":
            _write(chat, word.lower())
        case _:
            raise UsageError(f"/compact {word}: there is no such thing.", hint="/help lists the commands.")


def _write(chat: PlainChat, word: str) -> None:
    compaction = chat.conversation.compaction
    writer: Writer = "model" if word == "model" else "sentences" if word else compaction.usual_writer
    cancel = threading.Event()
    draft: SummaryDraft | None = None
    with stop_on_interrupt(cancel):
        for event in compaction.write(writer, cancel):
            if isinstance(event, SummaryProgressed):
                chat.say(f"{event.what[:1].upper()}{event.what[1:]} …")
            elif isinstance(event, SummaryDraft):
                draft = event
    if draft is None:
        chat.say("Nothing was changed.")
        return
    who = "out of your own sentences" if draft.writer == SENTENCES else f"by {draft.writer}"
    chat.say(f"For the first {draft.turn_count} messages, {who}:")
    print_text(draft.text)
    if not chat.confirm("Put it in their place? They stay stored. [Y/n] ", otherwise=True):
        chat.say("Nothing was changed.")
        return
    compaction.accept(draft, draft.text)
    chat.say("Done. /compact edit TEXT changes it, /compact undo takes it back.")


def _written_by(summary: Summary | None) -> str:
    if summary is None:
        return ""
    who = "out of your own sentences" if summary.writer == SENTENCES else f"by {summary.writer}"
    return f"{who}, edited by you" if summary.is_edited else who
