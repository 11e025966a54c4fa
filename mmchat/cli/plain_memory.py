"""The commands of the plain mode on what is remembered, and private conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmchat.chat.forgetting import UNDO
from mmchat.cli.memory_rows import fact_words
from mmchat.cli.output import print_text
from mmchat.cli.replies import shorten
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.cli.plain import PlainChat
    from mmchat.domain import Fact


def list_facts(chat: PlainChat, words: str) -> None:
    """`/memory`."""
    facts = chat.desk.facts.all(words)
    for fact in facts:
        print_text(fact_words(fact))
    if not facts:
        chat.say("Nothing that is remembered holds these words." if words else "Nothing is remembered of you yet.")


def remember(chat: PlainChat, text: str) -> None:
    """`/remember`."""
    if chat.conversation.is_private:
        raise UsageError("Nothing is remembered in a private conversation.", hint="/new leaves it.")
    fact = chat.desk.facts.remember(text)
    tell_learnt(chat, (fact,))


def tell_learnt(chat: PlainChat, facts: Sequence[Fact]) -> None:
    """Say what was remembered just now, on one line."""
    if facts:
        chat.desk.forgetting.learnt(facts)
        chat.say(f"remembered: {shorten(_named(facts), 200)} · /forget takes it back")


def forget(chat: PlainChat, words: str) -> None:
    """`/forget`."""
    forgetting = chat.desk.forgetting
    if words.casefold() == UNDO:
        chat.say(f"Remembered again: {_named(forgetting.undo())}")
        return
    meant = forgetting.meant(words)
    if not meant:
        hint = "/memory lists what is remembered; /forget WORDS takes one of it away."
        raise UsageError("No fact holds these words." if words else "Nothing was remembered just now.", hint=hint)
    if words and len(meant) > 1:
        for fact in meant:
            print_text(fact_words(fact))
        raise UsageError(f"{len(meant)} facts hold these words.", hint="Give more words, so that one is left.")
    forgetting.forget(meant)
    chat.say(f"Forgotten: {_named(meant)} · /forget undo brings it back")


def go_private(chat: PlainChat, _argument: str) -> None:
    """`/private`."""
    was_private = chat.conversation.is_private
    chat.conversation = chat.desk.new_session() if was_private else chat.desk.private_session()
    if not was_private:
        chat.say("Private: not stored, not recalled. /private or /new leaves it for good.")
    elif chat.conversation.is_private:
        chat.say("With --no-log every conversation is private. This is a new one.")
    else:
        chat.say("The private conversation is gone. What you say now is stored.")


def _named(facts: Sequence[Fact]) -> str:
    return "; ".join(fact.text for fact in facts)
