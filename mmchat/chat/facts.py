"""What a message of the user's says of the user: clauses of their own words, found by rules.

Nothing is made up: a fact is a stretch of the message, letter for letter. The rules are strict, for a wrong fact is
told to the model for months and a missed one can be told with /remember. So a message that hands over a text (to be
translated, mended, summarised, acted) holds no facts at all, nor does anything quoted, supposed, doubted or asked.
Measured with `benchmarks/facts.py`.
"""
# ruff: noqa: E501 - a pattern is read as a line

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mmchat.chat import facts_chinese, facts_english
from mmchat.script import is_mostly_chinese

MAX_MESSAGE = 1200
"""Characters; what is longer was pasted."""
MAX_FACT = 160
"""Characters of one clause; what is longer is a story."""
MAX_FACTS = 6
"""Of one message; who says more at once hands over a text."""


@dataclass(frozen=True, slots=True)
class FoundFact:
    """A clause that says something of the user."""

    start: int
    end: int
    text: str
    """The message from `start` to `end`."""
    topic: str
    """What it is about: of one topic, the newest counts."""


def find_facts(message: str) -> tuple[FoundFact, ...]:
    """The facts in a message of the user's, in order. Quick and pure.

    Args:
        message: what was typed or dictated, without what was attached to it.
    """
    if len(message) > MAX_MESSAGE or not _SELF.search(message):
        return ()
    plain = facts_chinese.simplified(message.translate(_PLAIN))
    if _HANDS_OVER.search(plain) or _PUZZLE.search(plain):
        return ()
    is_lower = not any(character.isupper() for character in plain)
    found: list[FoundFact] = []
    for sentence in _sentences(_without_quotes(plain)):
        found += _facts_of(message, plain, sentence, is_lower=is_lower)
    distinct = {fact.text: fact for fact in found}
    return tuple(distinct.values()) if len(distinct) <= MAX_FACTS else ()


_EXCLUSIVE = re.compile(
    "name|age|birthday|zodiac|birthplace|origin|nationality|home|household|marriage|standing|work|study|allergy|diet|smoking|"
    "alcohol|health|medicine|measure|taste|mine|have|drives|speaks|plays|skill"
)


@lru_cache(maxsize=4096)
def is_exclusive(topic: str) -> bool:
    """Whether of this topic only the newest fact counts: one lives in one place, but has many plans."""
    kind, _, about = topic.partition(":")
    return bool(_EXCLUSIVE.fullmatch(kind)) or (kind == "plan" and bool(about))


def topic_of(text: str) -> str:
    """What a text is about that the user gave as a fact; empty where the rules do not know."""
    plain = facts_chinese.simplified(text.translate(_PLAIN)).strip(_TRIMMED)
    is_lower = not any(character.isupper() for character in plain)
    return _topic(plain, is_lower=is_lower, is_greeted=False) or ""


# --- the message ----------------------------------------------------------------------------------

_PLAIN = str.maketrans("’‘ʼ´\u00a0", "'''' ")
_SELF = re.compile(r"\b(?:i|im|i'm|my|we|our|me)\b|我|俺|咱|remember|记", re.IGNORECASE)
_TEXTS = (
    r"(?:story|stories|tale|poem|haiku|limerick|verse|song|rap|lyrics|letter|novel|scene|dialogues?|conversation|essay|speech|"
    r"e-?mails?|script|screenplay|monologue|introduction|intro|bio|biography|cv|résumé|resume|caption|tweet|post|diary|"
    r"journal|paragraph|sentences?|text|passage|message|reply|riddle|joke|fairy tale|sketch|review|blog|profile|quote)"
)
_HANDS_OVER = re.compile(
    r"""
    \b(?:translat\w+|proof-?read\w*|paraphras\w+|rephras\w+|rewrit\w+|re-?word\w*|summari[sz]\w+|typos?|spelling|grammar|
        grammatical\w*|pronounce|role-?play\w*|pretend\w*|imagin\w+|suppos(?:e|ing)|act\s+as|acting\s+as|you\s+are\s+(?:an?|the|my|now)\s|
        let'?s\s+(?:say|pretend|play|assume|suppose)|repeat\s+after|classify|sentiment|in\s+the\s+first\s+person|hypothetical\w*|
        fictional|for\s+example|e\.g\.|for\s+instance|lyrics|who\s+(?:sang|sings|said|wrote)|continue\s+this|kidding|joking|just\s+a\s+joke|
        jk|lol|haha+|ha\s+ha|correct\s+english|which\s+(?:is|one\s+is|sentence\s+is)\s+(?:right|correct|better|best|more)|what\s+does\s+.{0,30}\s+mean|first\s+line\s+of|
        which\s+(?:film|movie|book|song|novel|play)\s+is|the\s+narrator|the\s+protagonist|the\s+hero|complete\s+the|fill\s+in|finish\s+(?:the|this)\s+sentence|
        continue\s+(?:the|this|my)\s+(?:story|text)|dear\s+(?:sir|madam|team|mr|mrs|ms|dr|all|hiring|friend)\b|sincerely|faithfully|
        best\s+regards|kind\s+regards|once\s+upon\s+a\s+time|(?:following|below)\s+(?:text|passage|paragraph|e-?mail|letter|sentence)|
        i(?:'m|\s+am)\s+writing\s+an?\s+(?:novel|book|story|poem|song|script|letter|e-?mail|essay|speech|text|message)
        |next\s+line|explain\s+like|emoji|div|elements?|variables?)\b
    | \b(?:write|compose|draft|invent|make\s+up|create|sing|tell\s+me|give\s+me|make|generate|correct|fix|edit|improve|check|analy[sz]e|mend|
        polish|continue|here\s+is|here's|this\s+is|below\s+is|say|recite|explain)\b[^.!?\n]{0,40}?\b"""
    + _TEXTS
    + r"""\b
    | \bhow\s+(?:do|would|can|should|to)\s+(?:i|you|we)?\s*(?:say|spell|write|pronounce)\b
    | (?:^|[.!?\n]\s*)(?:please\s+)?(?:say|repeat|sing|print|echo|recite|question|riddle|puzzle|quote|prompt|example|correct|fix|text|title|caption|lyrics)\b\s*[:"'“]
    | ^\s*(?:user|assistant|human|ai|bot|system|me|you|q|a)\s*:
    | \n\s*(?:user|assistant|human|ai|bot|system)\s*:
    | 翻译|译成|译为|改写|润色|续写|扩写|缩写|仿写|造句|作文|改错|病句|语法|总结(?:一下)?(?:下面|以下|这)|概括|摘要|归纳|跟我读|朗读|背诵|扮演|角色|假装|假设|想象|
        设想|模拟|开玩笑|哈哈|逗你|出自|歌词|台词|什么意思|主角|小说|剧本|例如|比如|譬如|举例|举个例子|简历|尊敬的|敬爱的|亲爱的|此致|敬礼|下面(?:是|的)|以下(?:是|的)|
        你(?:来|现在)?(?:是|当|做)一?(?:个|名|只|位)|你来(?:当|做|扮)|来玩.{0,4}游戏|
        (?:写|编|讲|创作|来|作)(?:一|个|首|篇|段|封|点|出)?.{0,8}(?:故事|诗|歌|文章|信|邮件|对话|剧|日记|段子|笑话|介绍|演讲|台词|文案|童话|散文|检讨|请假条|短文|情书)
    | (?:^|\n)\s*(?:用户|助手|问|答|甲|乙|主持人|记者|客服|顾客)[:：]
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A message that holds a text to work on or a part to play: none of its sentences need be the user's own."""
_PUZZLE = re.compile(
    r"how\s+(?:many|old|much|far|long)\b[^?]{0,60}\b(?:left|have|are\s+they|am\s+i|is\s+(?:he|she|it)|altogether|in\s+total|now|pets|remain\w*)\b[^?]*\?"
    r"|还剩|一共(?:有)?多少|总共|各多少|各几岁|是几岁|多少只|几只|几条腿",
    re.IGNORECASE,
)
"""Sums in words begin with "I have three apples"."""
_QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\"[^\"\n]{2,}\"|“[^”\n]+”|「[^」\n]+」|『[^』\n]+』|《[^》\n]+》|‘[^’\n]+’|«[^»\n]+»"
    r"|(?<![\w])'[^'\n]{6,}'(?![\w])|^[ \t]*(?:>|\||#|\$|//|import |def |\w+\().*$",
    re.DOTALL | re.MULTILINE,
)


def _without_quotes(text: str) -> str:
    """The text with quotations and code blanked out, as long as before."""
    return _QUOTED.sub(lambda match: re.sub(r"[^\n]", "\x00", match[0]), text)


# --- sentences and their clauses ------------------------------------------------------------------

_SENTENCE = re.compile(
    r"(?:(?<=\b[A-Z])\.|(?<=\bDr)\.|(?<=\bMr)\.|(?<=\bSt)\.|(?<=\bMrs)\.|\.(?=\w)|\.(?=\d)|[^.!?。！？\n])+[.!?。！？]*"
)
_ENGLISH_CLAUSE = re.compile(
    r"\s*(?:[;,]|--?\s|–|—|:(?=\s)|\()\s*(?:(?:and|but|so|because|since|though|although|as|while|yet|or|plus|also)\s+)?"
    r"|\s+(?:but|so|because|since|although|though)\s+(?=(?:i|we|my|our|i'm|i've|we're|can|could|what|how|which|do|please)\b)"
    r"|\s+and\s+(?=(?:i|we|my|our|i'm|i've|we're)\b)"
    r"|\s+(?=(?:what|how|which|where|why|who|can|could|should|would|do|does)\s+(?:i|you|we|should|can|do|does|is|are|shall)\b)",
    re.IGNORECASE,
)
_CHINESE_CLAUSE = re.compile(r"[，,；;：:、（）()\s]+(?:而且|但是|但|所以|因为|并且|不过|可是|同时|另外|也)?")
_ENGLISH_OPENING = re.compile(
    r"(?:(?:hi|hello|hey|hiya|howdy|greetings|good (?:morning|evening|afternoon|day))(?: there| all| everyone)?|well|oh|ok|okay|yes|yeah|yep|sure|no|thanks|thank "
    r"you|by the way|btw|actually|also|fyi|just so you know|so|and|but|because|since|as|you know|please|anyway|besides|"
    r"in fact|honestly|personally|unfortunately|sadly|luckily|of course|plus|although|though|for context|context|"
    r"some background|about me|for your information|you should know(?: that)?|(?:just )?to let you know|i should mention(?: that)?|"
    r"i should say(?: that)?|just to mention(?: that)?|as you know|one thing|another thing)\b[\s,:!-]*",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"(?:^|\b)(?:hi|hello|hey|good (?:morning|evening|afternoon|day)|greetings)\b|nice to meet you|pleased to meet",
    re.IGNORECASE,
)
_CHINESE_OPENING = re.compile(
    r"(?:你好|您好|大家好|嗨|哈喽|谢谢|多谢|好的|嗯|对了|顺便说一下|顺便说|另外|其实|因为|由于|不过|但是|但|而且|所以|还有|补充一下|说明一下|老实说|说实话|实话说|请注意|首先|是的|没错|那个|哦|啊|唉)[，,\s！!]*"
)
_UNSURE = re.compile(
    r"""
    \b(?:if|unless|whether|suppose|supposing|assume|assuming|imagine|pretend|wish|hope|maybe|perhaps|might|probably|possibly|
        think|thinks|thought|guess|believe|believes|believed|doubt|dream\w*|dreamt|feel\s+like|say|says|said|saying|
        tell|tells|told|ask|asks|asked|claim\w*|wonder\w*|heard|would|could\s+be|as\s+though|like\s+when|what\s+about|
        when\s+i\s+(?:was|am|were)|in\s+case|until|once\s+i|after\s+i|before\s+i|every\s+day|every\s+time|not\s+that|not\s+sure|
        don'?t\s+know|bet|seem\w*|apparently|supposedly|write|answer\w*|reply|replies|one\s+day|someday|used\s+to\s+think|
        called\s+me|the\s+book|the\s+novel|my\s+character|character)\b
    | 如果|要是|假如|假使|倘若|若是|万一|除非|即使|哪怕|以为|梦见|梦到|希望|可能|也许|或许|大概|好像|似乎|感觉|觉得|怀疑|听说|据说|说我|说过|
      说他|说她|告诉|认为|问我|问你|猜|当我|等我|每当|不知道|不确定|不清楚|想知道|谁说|都说|还以为|差点|恨不得|巴不得|只要|一旦|说：|说:|叫作|所谓|像我
    """,
    re.IGNORECASE | re.VERBOSE,
)
_REPORTED = re.compile(
    r"[\s,'\"”’]*(?:(?:says?|said|replied|asks?|asked|writes|wrote|cries|sings)\b|as (?:the|they|he|she|it)\b|or so (?:he|she|they|i)\b|he |she )",
    re.IGNORECASE,
)
"""What follows a clause that somebody else speaks."""
_TAG = re.compile(
    r"\s*(?:right|correct|true|no|yes|eh|huh|innit|ok|isn't it|is(?:n't)? (?:that|it) (?:so|right|true|correct)|am i (?:right|wrong)|"
    r"(?:do|does|did|is|are|was|were|have|has|am|will|would|can)n?'?t? (?:i|we|it|they|he|she|that)|ain't i)\s*\?",
    re.IGNORECASE,
)
_CHINESE_TAG = re.compile(r"(?:对吗|对吧|是吗|是吧|对不对|是不是|好吗|知道吗|没错吧|真的吗|吗|吧|呢)？?\??$")
_TRIMMED = " \t,;:.!?。！？，；：、~～…-–—()（）\"'"
_MEMORISE = re.compile(
    r"(?:(?:please|so|and|also|ok|okay|well|btw|by the way|oh)[, ]+)*"
    r"(?:(?P<open>(?:remember|do remember|don't forget|never forget|keep in mind|bear in mind|make a note|take note|note)"
    r"(?: that| this(?: for (?:me|later))?| for (?:me|later|next time))?\s*[:,-]?"
    r"|for (?:future|your) reference[,:]?|(?:i want|i'd like|i need) you to remember(?: that)?[:,]?)"
    r"|(?:请|麻烦|你|帮我|给我|你要|一定要|也|另外|顺便)*(?P<zh>记住|记下|记得|别忘了|不要忘了|不要忘记|别忘记|记一下|记着)(?:了|一下|这个|这件事|这一点)?[:：，,]?)\s*",
    re.IGNORECASE,
)
_MEMORABLE = re.compile(
    r"(?:i|i'm|i've|we|we're|my|our)\b.{4,}|(?:the|there|this is|\w+'s)\b.{8,}|[A-Z][a-z]+ (?:is|has|lives|likes|was)\b.{2,}"
    r"|(?:我|我们|咱)(?!(?:说的|刚才|的话)).{3,}|[\u4e00-\u9fff]{2,8}(?:是|在|叫|放在|停在|密码|号码).{1,}",
    re.IGNORECASE | re.DOTALL,
)
_NO_MEMORY = re.compile(
    r"\b(?:must|should|shall|has to|have to|need to|needs to|return\w*|output|answer|answers|reply|respond|format|json|the code|your code|"
    r"function|variable|array|sentence|paragraph|sorted|array|step|above|below|example|when we|the titans|the alamo|the time when|"
    r"the number of|keep it|for you|to you|your|you)\b|要简短|简短|简洁|要用|不要用|用中文|用英文|字以内|回答|格式|代码|函数|多喝水|加盐|带伞|休息",
    re.IGNORECASE,
)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    for match in _SENTENCE.finditer(text):
        if "\x00" not in match[0]:
            yield match.span()


def _facts_of(message: str, plain: str, span: tuple[int, int], *, is_lower: bool) -> Iterator[FoundFact]:
    start, end = span
    sentence = plain[start:end]
    lead = len(sentence) - len(sentence.lstrip(_TRIMMED))
    start += lead
    sentence = plain[start:end]
    memory = _MEMORISE.match(sentence)
    if memory is not None:
        rest = plain[start + memory.end() : end]
        if memory.end() < len(sentence) and _is_memorable(memory, rest):
            yield _fact(message, start + memory.end(), end, topic_of(rest))
        return
    is_chinese = is_mostly_chinese(sentence)
    is_greeted = bool(_GREETING.search(plain))
    at = 0
    separators = _CHINESE_CLAUSE if is_chinese else _ENGLISH_CLAUSE
    for clause_start, clause_end in _clauses(sentence, separators):
        before, clause, after = sentence[:clause_start], sentence[clause_start:clause_end], sentence[clause_end:]
        at = clause_start
        opening = (_CHINESE_OPENING if is_chinese else _ENGLISH_OPENING).match(clause)
        while opening is not None and opening.end():
            at += opening.end()
            clause = clause[opening.end() :]
            opening = (_CHINESE_OPENING if is_chinese else _ENGLISH_OPENING).match(clause)
        if _UNSURE.search(before) or _REPORTED.match(after) or _is_asked(clause, after, is_chinese=is_chinese):
            continue
        bare = clause.strip(_TRIMMED)
        if not bare or len(bare) > MAX_FACT or _UNSURE.search(bare):
            continue
        topic = _topic(bare, is_lower=is_lower, is_greeted=is_greeted)
        if topic is not None:
            offset = start + at + clause.index(bare)
            yield _fact(message, offset, offset + len(bare), topic)


def _clauses(sentence: str, separators: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    at = 0
    for match in separators.finditer(sentence):
        if match.end() == match.start():
            continue
        if re.fullmatch(r"\s+and\s+", match[0], re.IGNORECASE) and re.fullmatch(
            r"(?:\w+ )?my(?: [\w'-]+){1,2}", sentence[at : match.start()].strip(), re.IGNORECASE
        ):
            continue  # "My wife and I live …"
        if match.start() > at:
            yield at, match.start()
        at = match.end()
    if at < len(sentence):
        yield at, len(sentence)


def _is_asked(clause: str, after: str, *, is_chinese: bool) -> bool:
    """Whether the clause itself is a question, or is put to the reader by what follows."""
    stripped = clause.rstrip(" \"')）")
    if stripped.endswith(("?", "？")):
        return True
    rest = after.strip(" ,，")
    if not rest.rstrip().endswith(("?", "？")):
        return False
    if is_chinese:
        return bool(
            _CHINESE_TAG.fullmatch(rest.rstrip("?？ "))
            or re.fullmatch(r"(?:对|是|没错|好|真的).{0,3}", rest.rstrip("?？ "))
        )
    return bool(_TAG.fullmatch(rest))


def _topic(clause: str, *, is_lower: bool, is_greeted: bool) -> str | None:
    if is_mostly_chinese(clause):
        return facts_chinese.topic_of(clause)
    return facts_english.topic_of(clause, is_lower=is_lower, is_greeted=is_greeted)


def _is_memorable(memory: re.Match[str], rest: str) -> bool:
    """Whether what is to be remembered is a fact and not an order for the replies to come."""
    if rest.rstrip().endswith(("?", "？")) or _NO_MEMORY.search(rest) or len(rest) > MAX_FACT:
        return False
    said = rest.strip(_TRIMMED)
    if memory["open"] and memory["open"].casefold() in ("remember", "note", "do remember", "take note"):
        # "Remember the Titans is a good film": without "that" or a colon only what the user says of themselves.
        return bool(re.match(r"(?:i|i'm|i've|we|we're|my|our)\b.{4,}", said, re.IGNORECASE))
    return bool(_MEMORABLE.match(said))


def _fact(message: str, start: int, end: int, topic: str) -> FoundFact:
    text = message[start:end]
    lead = len(text) - len(text.lstrip(_TRIMMED))
    text = text.strip(_TRIMMED)
    return FoundFact(start + lead, start + lead + len(text), text, topic)
