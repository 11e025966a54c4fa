"""What kind of thing a message is, for those who look things up: does it ask, does it go on from what was said?"""

from __future__ import annotations

from mmchat.chat.worth import is_asking, is_small_talk
from mmchat.patterns import later

_QUESTIONS = later(
    r"^\W*(?:(?:and|but|so|or|well|hi|hello|hey|ok|okay|please|then|also)\b[\s,]*)*"
    r"(?:who|whom|whose|what|what's|when|where|where's|which|why|how|how's|is|are|was|were|do|does|did|can|could|"
    r"will|would|should|shall|may|must|has|have|am|isn't|aren't|don't|doesn't|can't)\b"
    r"|吗|呢|什么|怎么|怎样|如何|多少|多久|几[天个年次点]|哪|谁|为什么|为何|能不能|可不可以|是不是|有没有|会不会|要不要|是否|请问",
)
_WISHES = later(
    r"\b(?:i (?:want|need|would like|'d like|wonder)|i'd like|looking for|tell me|i am looking|let me know)\b"
    r"|需要|想知道|想问|我想|我要",
)
_ABOUT_ASSISTANT = later(
    r"\b(?:who|what) are you\b|\bwhat(?:'s| is) your name\b|\bwhat can you do\b|\bhow (?:can|could) you help\b"
    r"|\b(?:can|could) you help(?: me)?\W*$|\bhow are you\b|\bhow do you do\b"
    r"|\bare you (?:a |an )?(?:real |human|robot|bot|person|machine|ai|chatbot|there)\b|\bdo you speak\b"
    r"|你是谁|您是谁|你叫什么|您叫什么|你是(?:不是)?(?:机器|真人|人工|AI)|你能做什么|你会做什么|你好吗|您好吗|你能帮我吗|在吗",
)
_THANKS = later(
    r"^\W*(?:(?:ok|okay|great|perfect|alright|all right|good|super|wonderful|oh|no|yes|lovely|very|well|got it|"
    r"i see)\b[\s,.!]*)*"
    r"(?:thanks|thank you|thx|cheers|many thanks|that(?:'s| is| was)? (?:all|helpful|great|clear|helps|it)|"
    r"bye|goodbye|have a (?:nice|good))\b"
    r"|^\W*(?:好的?|行|明白了?|知道了|太好了|没有?了|不用了)?[，,。！!\s]*(?:谢谢|多谢|感谢|辛苦|再见|拜拜|没别的|没有别的|没问题)",
)
_COURTESY = later(
    r"\b(?:hi|hello|hey|good (?:morning|afternoon|evening|night|day)|thanks?|thx|cheers|bye|goodbye)\b"
    r"|你好|您好|大家好|嗨|早上好|下午好|晚上好|早安|晚安|再见|拜拜|谢|辛苦",
)
_QUESTION_MARKS = ("?", "？")
_GOES_ON = later(
    r"^\W*(?:and|but|or|also|then|so|what about|how about|what if|even|only|not)\b"
    r"|^\W*(?:那|那么|还有|如果|要是|可是|但|而|也|或者)|呢\W*$",
)
_ASKS_FOR_FIGURE = later(r"\bhow (?:much|many|long|far|old|big|tall)\b(?! (?:thanks|thank))|多少")
"""All of its words may be those of small talk: "How much is it?"."""
_POINTS_BACK = later(
    r"\b(?:it|that|they|them|those|these|this|ones?|its|their|there|the same|either|neither|else|another)\b"
    r"|它|[这那]一?[个些样款盏张台件把种只条本块双辆部座]|同样|其他|别的",
)
_IT_IS_SO = later(r"\b(?:is|was|would) it (?:also )?(?:possible|allowed|ok|okay|true|necessary)\b")
"""Here "it" is what follows."""


def is_chat(text: str) -> bool:
    """Whether a message is a greeting, thanks, or about the assistant itself: no document tells of that."""
    said = _folded(text)
    if (is_small_talk(said) and not _ASKS_FOR_FIGURE().search(said)) or _ABOUT_ASSISTANT().search(said):
        return True
    return bool(_THANKS().match(said)) and not said.rstrip().endswith(_QUESTION_MARKS)


def is_courtesy(text: str) -> bool:
    """Whether a message is a greeting, thanks, or about the assistant, but no nod: that answers what was said."""
    said = _folded(text)
    return is_chat(said) and bool(_COURTESY().search(said) or _ABOUT_ASSISTANT().search(said))


def wants_answer(text: str) -> bool:
    """Whether a message asks for something, with or without a question mark."""
    said = _folded(text)
    return not is_chat(said) and (is_asking(said) or is_question(said) or bool(_WISHES().search(said)))


def is_question(text: str) -> bool:
    """Whether a message is a question, with or without a mark, rather than a wish or an order."""
    said = _folded(text)
    return said.endswith(_QUESTION_MARKS) or bool(_QUESTIONS().search(said))


def goes_on(text: str) -> bool:
    """Whether a message begins as one that only adds to the question before it: "And for unused ones?"."""
    return bool(_GOES_ON().search(_folded(text)))


def points_back(text: str) -> bool:
    """Whether it speaks of something that was named before: "How long does that take?"."""
    return bool(_POINTS_BACK().search(_IT_IS_SO().sub(" ", _folded(text))))


def _folded(text: str) -> str:
    return text.strip().casefold().replace("’", "'")
