"""What a role does about what a message wants: a reply of its own, instructions, a refusal, a person."""

from __future__ import annotations

from collections.abc import Sequence

from mmchat.chat.asking import goes_on, is_courtesy, is_question
from mmchat.chat.worth import is_small_talk
from mmchat.domain import Likely, Turn, Understood
from mmchat.role_values import IntentAction, Persona
from mmchat.script import language_of

SURE = 0.5
"""An intent is acted on from this probability on: more likely right than wrong."""
SURE_OF_REPLY = 0.6
"""What goes in the place of an answer wants to be surer."""
SURE_OF_MORE = 0.8
"""What begins with thanks or a greeting is taken for something else from here on: "Hello, my lamp is broken"."""
SMALL_TALK = "small_talk"
IDLE_INTENTS = frozenset({SMALL_TALK, "details"})
"""What a role calls the intents of messages that want nothing more: greetings and thanks; what one was asked for."""
MEANT_FOR_QUESTIONS = 0.3
"""An intent is one of questions where this share of its examples are."""
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
    return _action_of(understood.intent, persona, language)


def _action_of(intent: str, persona: Persona | None, language: str) -> IntentAction | None:
    if persona is None:
        return None
    action = persona.role.text(language).on_intent.get(intent)
    if action is not None:
        return action
    own = persona.role.text().on_intent.get(intent)
    return IntentAction(own.instructions, hand_over=own.hand_over) if own is not None else None


def wants_person(likely: Likely, persona: Persona | None) -> bool:
    """Whether an intent is one after which a person is suggested."""
    action = _action_of(likely.label, persona, persona.language) if persona is not None else None
    return action is not None and action.hand_over and likely.probability >= SURE_OF_REPLY


def speaks_prepared(persona: Persona | None) -> bool:
    """Whether a role says only what was written for it: it quotes its documents, and knows nothing else."""
    return persona is not None and persona.role.answers == "quote" and persona.role.is_bound_to_documents


def instructions_for(turn: Turn, persona: Persona | None) -> str:
    """What the model is told beside a message of the user's, for as long as that is in view; empty: nothing.

    It follows from the turn alone, so that it is byte for byte the same with every later reply.
    """
    if turn.role != "user" or turn.understood is None:
        return ""
    action = action_for(turn.understood, persona, language_spoken(persona, (turn,)))
    return action.instructions if action is not None else ""


def own_reply(question: Turn, history: Sequence[Turn], persona: Persona | None) -> str:
    """What a role says to an intent itself, the first time that it comes up in a conversation; empty: nothing.

    To greetings and thanks it says it each time, and to everything where it says only what was written for it. A
    question that goes on from what was said before gets none, unless a person is asked for: what it wants lies in
    the question before it.
    """
    intent = _intent(question)
    action = _action_of(intent, persona, language_spoken(persona, (*history, question)))
    if action is None or not action.reply:
        return ""
    if intent == SMALL_TALK:
        return action.reply
    words = spoken_words(question)
    if history and not action.hand_over and goes_on(words) and is_question(words):
        return ""
    if speaks_prepared(persona):  # again and again, but not twice in a row
        last = next((turn.text for turn in reversed(history) if turn.role == "assistant"), "")
        return action.reply if last.strip() != action.reply else hand_over_offer(persona, (*history, question))
    said_before = {turn.parent_id for turn in history if turn.prepared == "intent"}
    is_again = any(turn.id in said_before and _intent(turn) == intent for turn in history)
    return "" if is_again else action.reply


def answers_questions(question: Turn, persona: Persona | None) -> bool:
    """Whether a role's own reply to a message may come before what its documents say.

    It may to what is no question, and to an intent whose examples are questions ("Where is my order?"). A question
    that was taken for another intent is first looked up.
    """
    if persona is None or question.understood is None or not is_question(spoken_words(question)):
        return True
    action = action_for(question.understood, persona, language_spoken(persona, (question,)))
    if action is not None and action.hand_over:
        return True
    examples = persona.role.intents.get(question.understood.intent, ())
    asked = sum(is_question(each) for each in examples)
    return bool(examples) and asked >= MEANT_FOR_QUESTIONS * len(examples)


def _intent(question: Turn) -> str:
    """What a message is surely enough taken for to be answered with a role's own words; empty: nothing.

    Greetings and thanks are told by their words too, in every language: a reader may know one only.
    """
    understood = question.understood
    intent = ""
    if understood is not None and not understood.topic and understood.confidence >= SURE_OF_REPLY:
        intent = understood.intent
    words = spoken_words(question)
    if is_courtesy(words) and not (understood is not None and understood.topic):
        is_surely_more = understood is not None and understood.confidence >= SURE_OF_MORE and not is_small_talk(words)
        return intent if is_surely_more and intent not in IDLE_INTENTS else SMALL_TALK
    return "" if intent in IDLE_INTENTS and is_question(words) else intent


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
