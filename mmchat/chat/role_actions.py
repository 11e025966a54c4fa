"""What a role does about what a message wants: a reply of its own, instructions, a refusal, a person."""

from __future__ import annotations

from collections.abc import Sequence

from mmchat.domain import Turn, Understood
from mmchat.role_values import IntentAction, Persona
from mmchat.script import language_of

SURE = 0.5
"""An intent is acted on from this probability on: more likely right than wrong."""
SURE_OF_REPLY = 0.6
"""What goes in the place of an answer wants to be surer."""
IDLE_INTENTS = frozenset({"small_talk", "details"})
"""What a role calls the intents of messages that want nothing more: greetings and thanks; what one was asked for."""
FORBIDDEN_REPLY = {
    "en": "I am sorry, that is something I cannot talk about here. Is there anything else I can help you with?",
    "zh": "抱歉，这个话题我在这里不能谈。还有别的事情可以帮您吗？",
}
"""Said of a forbidden topic where a role has no words of its own for it."""
HAND_OVER_OFFER = {
    "en": "Would you rather talk to a person? Our conversation can be summed up for them.",
    "zh": "需要转给人工吗？可以先把我们的对话整理好交给同事。",
}
"""Said when a person is suggested where a role has no words of its own for it."""


def spoken_words(turn: Turn) -> str:
    """The user's own words: typed, and heard in sounds."""
    heard = (attachment.heard.text for attachment in turn.attachments if attachment.heard is not None)
    return " ".join(text for text in (turn.text, *heard) if text)


def language_spoken(persona: Persona | None, turns: Sequence[Turn]) -> str:
    """The language of a conversation: that of what the user said in it, where whoever is played speaks it.

    Args:
        persona: whom the assistant plays; None: English or Chinese are spoken.
        turns: what was said; a single message tells its own language.
    """
    said = language_of([spoken_words(turn) for turn in turns if turn.role == "user"])
    known = persona.role.languages if persona is not None else ("en", "zh")
    if said in known:
        return said
    return persona.language if persona is not None else "en"


def action_for(understood: Understood | None, persona: Persona | None, language: str) -> IntentAction | None:
    """What a role does about a message; None: nothing, or nobody is sure enough of what it wants.

    What a role says in its own language only is done in the others too, but for the replies, which are words.
    """
    if understood is None or persona is None or understood.topic or understood.confidence < SURE:
        return None
    action = persona.role.text(language).on_intent.get(understood.intent)
    if action is not None:
        return action
    own = persona.role.text().on_intent.get(understood.intent)
    return IntentAction(own.instructions, hand_over=own.hand_over) if own is not None else None


def instructions_for(turn: Turn, persona: Persona | None) -> str:
    """What the model is told beside a message of the user's, for as long as that is in view; empty: nothing.

    It follows from the turn alone, so that it is byte for byte the same with every later reply.
    """
    if turn.role != "user" or turn.understood is None:
        return ""
    action = action_for(turn.understood, persona, language_spoken(persona, (turn,)))
    return action.instructions if action is not None else ""


def own_reply(question: Turn, history: Sequence[Turn], persona: Persona | None) -> str:
    """What a role says to an intent itself, the first time that it comes up in a conversation; empty: nothing."""
    action = action_for(question.understood, persona, language_spoken(persona, (*history, question)))
    if action is None or not action.reply or question.understood is None:
        return ""
    if question.understood.confidence < SURE_OF_REPLY:
        return ""
    said_before = {turn.parent_id for turn in history if turn.prepared == "intent"}
    intent = question.understood.intent
    is_again = any(turn.id in said_before and turn.understood and turn.understood.intent == intent for turn in history)
    return "" if is_again else action.reply


def refusal(question: Turn, history: Sequence[Turn], persona: Persona | None) -> str:
    """What is said of a forbidden topic; empty where a message is about none."""
    if persona is None or question.understood is None or not question.understood.topic:
        return ""
    language = language_spoken(persona, (*history, question))
    return persona.role.text(language).forbidden or _own(FORBIDDEN_REPLY, language)


def hand_over_offer(persona: Persona | None, turns: Sequence[Turn]) -> str:
    """What is said when a person is suggested."""
    language = language_spoken(persona, turns)
    words = persona.role.text(language).hand_over if persona is not None else ""
    return words or _own(HAND_OVER_OFFER, language)


def _own(sentences: dict[str, str], language: str) -> str:
    return sentences.get(language, sentences["en"])
