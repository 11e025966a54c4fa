"""Which of the turns that recall found are worth telling the model.

Recall finds what is about the same thing. A question or an order of long ago is about it too, but holds
nothing to know, and a small model takes it for a present one: told "Say this in French:" before "What is
the capital of France?", SmolLM2 spoke French for the rest of the conversation. Nor is an old reply a fact:
it may be wrong, and told again it would be believed. It is told to those who ask what the model said.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmchat.domain import Recalled
from mmchat.memory.question import asks_for_reply
from mmchat.patterns import later

_SENTENCE = later(r"(?:[^.!?。！？\n]|\.(?=[^\W一-鿿])|\?(?=\w+=))+[.!?。！？]*")
"""A dot inside a mail address, a number or a file's name ends none; before a Chinese character it does."""
_OF_THEMSELVES = later(r"\b(?:i|i'm|i've|my|mine|we|our|us)\b|(?<![帮给教跟和对])(?<!告诉)我")
"""Who speaks of themselves tells something, even in a question: "What can I cook for my vegan sister?"."""
_ORDER = later(
    r"(?:(?:please|now|then|and|can you|could you|would you|will you)\s+)*"
    r"(?:answer|ask|calculate|compare|continue|count|correct|describe|draw|draft|explain|find|finish|give|go on|"
    r"help|imagine|list|make|name|paraphrase|print|proofread|read|repeat|reply|respond|rewrite|say|show|sing|"
    r"solve|spell|suggest|summari[sz]e|tell|think|translate|try|use|write)\b"
    r"|(?:请|现在|再|帮我|给我|用)*(?:请|写|说|讲|翻译|总结|解释|列出|列举|继续|回答|介绍|描述|告诉|推荐|比较|改写|帮我|给我|用)"
)
_SMALL_TALK = later(
    r"(?:hi|hello|hey|there|good|morning|afternoon|evening|night|day|thanks?|thx|you|very|much|so|ok|okay|yes|no|"
    r"yeah|nope|sure|fine|great|nice|cool|wow|bye|goodbye|please|go|on|more|and|how|are|is|it|going|what's|up|"
    r"continue|again|stop|sorry|"
    r"你好|您好|大家好|嗨|喂|早上好|下午好|晚上好|早安|晚安|再见|谢谢你?|多谢|好的?|行|嗯|是的?|不是?|对|继续|再来|请|吗|呀|啊|吧|了)+"
)
_WORD = later(r"[\w']+")
_CLOSING = " \n\t\"'”’」』)）*_"
_ASKS_FOR_QUESTIONS = later(r"\b(?:ask|asked|question|questions)\b|问过|问了|问题")


def is_small_talk(text: str) -> bool:
    """Whether a message is a greeting, a thank-you or a nod: nothing of long ago bears on that."""
    words = _WORD().findall(text.casefold())
    return bool(words) and all(_SMALL_TALK().fullmatch(word) for word in words)


def worth_telling(query: str, found: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """Those of `found` that tell the model something, in their order.

    Args:
        query: what they were found for; whoever asks what they asked is told their questions too.
        found: what recall found.
    """
    if _ASKS_FOR_QUESTIONS().search(query.casefold()):
        return tuple(found)
    has_replies = asks_for_reply(query)
    return tuple(note for note in found if (note.role == "user" or has_replies) and _tells_something(note, has_replies))


def telling_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a message of the user's that hold something to know, in order."""
    sentences = (sentence.strip() for sentence in _SENTENCE().findall(text))
    return tuple(sentence for sentence in sentences if _is_telling(sentence, is_user=True))


def is_request(sentence: str) -> bool:
    """Whether a sentence asks or orders something, whatever else it tells."""
    said = sentence.strip().casefold().replace("’", "'")
    return said.endswith(("?", "？", ":", "：")) or bool(_ORDER().match(said))


def is_asking(text: str) -> bool:
    """Whether any sentence of a message asks or orders something."""
    return any(is_request(sentence) for sentence in _SENTENCE().findall(text))


def speaks_of_self(text: str) -> bool:
    """Whether the one who says it speaks of themselves."""
    return bool(_OF_THEMSELVES().search(text.casefold().replace("’", "'")))


def asks_at_end(text: str) -> bool:
    """Whether it ends with a question: one that waits for an answer."""
    return text.rstrip(_CLOSING).endswith(("?", "？"))


def _tells_something(note: Recalled, has_replies: bool) -> bool:
    if note.attachment is not None and note.attachment.seen is not None:
        return True  # "What is this?" asks nothing any more; the picture it came with is still what it was
    if has_replies and note.role == "user" and note.partner is not None and not note.partner.is_first:
        return True  # a question that holds nothing to know, but stands before the reply that is asked for
    return any(_is_telling(sentence, is_user=note.role == "user") for sentence in _SENTENCE().findall(note.text))


def _is_telling(sentence: str, *, is_user: bool) -> bool:
    said = sentence.strip().casefold().replace("’", "'")
    if not said or is_small_talk(said):
        return False
    if is_user and _OF_THEMSELVES().search(said):
        return True
    # The model's own orders are advice: "Use reversed(items)" is what was asked for.
    return not said.endswith(("?", "？")) and not (is_user and (said.endswith((":", "：")) or _ORDER().match(said)))
