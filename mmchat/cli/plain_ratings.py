"""The commands of the plain mode that rate the last reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.domain import Rating
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat


def mark_good(chat: PlainChat, _argument: str) -> None:
    """`/good`."""
    chat.say(_told(chat.conversation.ratings.rate("good").rating))


def mark_bad(chat: PlainChat, _argument: str) -> None:
    """`/bad`."""
    chat.say(_told(chat.conversation.ratings.rate("bad").rating))


def give_better(chat: PlainChat, text: str) -> None:
    """`/better`."""
    if not text:
        raise UsageError(
            "What should the reply have been?", hint='For example: /better Rome. Several lines: """/better … """'
        )
    chat.conversation.ratings.improve(text)
    chat.say(
        "Kept as the better reply; the conversation stays as it is. "
        "`mmchat sessions export --rated` gives it to finetuning."
    )


def take_back(chat: PlainChat, _argument: str) -> None:
    """`/unrate`."""
    chat.say(_told(chat.conversation.ratings.unrate().rating))


def rating_words(rating: Rating) -> str:
    """A rating in a few words, on one line."""
    parts = [rating.mark or "", f"better: {' '.join(rating.better.split())}" if rating.better else ""]
    return "; ".join(part for part in parts if part)


def _told(rating: Rating | None) -> str:
    if rating is None:
        return "The reply is not rated any more."
    if rating.mark is None:
        return "The mark is taken back; your better reply is kept."
    return f"Marked as {rating.mark}, for finetuning."
