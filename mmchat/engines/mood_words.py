"""Words and phrases that tell a mood by themselves, in English and Chinese, and how those around them change it.

Only what people say of how they feel or how they judge stands here. What goes wrong in everyday service ("refund",
"problem", "broken", "lost", "complaint") does not: it is asked about calmly every day. It counts where it has
happened ("arrived broken", 「坏了」 in a statement), and questions of how to go about something are calm.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from mmchat.patterns import later
from mmchat.script import is_mostly_chinese

_ENGLISH = {
    -3.0: """hate|hated|furious|livid|outrageous|outraged|disgusting|disgusted|disgrace|disgraceful|unacceptable|
        scam|scammers|scammed|liars|you lied|lied to me|lying to me|fuck|fucking|shit|bullshit|shut up|
        worst|never again|what a joke|are you kidding|you kidding me|you must be joking|sick of|
        sick and tired|fed up|had enough|so angry|useless|garbage|rubbish|crap|pathetic|idiot|idiots|
        ripped off|rip off|thieves|terrible|horrible|awful|appalling|atrocious|dreadful|abysmal|ridiculous|
        scandal|waste of money|waste of time|wasting my time|wasted my time|money back now|hell""",
    -2.0: """angry|mad at|upset|annoyed|annoying|frustrated|frustrating|disappointed|disappointing|
        disappointment|unhappy|dissatisfied|miserable|heartbroken|crying|depressed|lonely|ugly|nasty|rude|
        poor quality|quality is poor|bad service|bad experience|bad quality|ruined|still waiting|
        been waiting|on hold for|still nothing|still haven't received|still have not received|
        still hasn't arrived|still has not arrived|still not arrived|still no answer|still no reply|
        still doesn't work|still does not work|still not working|still isn't solved|third time|fourth time|
        fifth time|hundredth time|how many times|called four times|called three times|nobody answers|
        no one answers|nobody replies|no one replies|nobody calls|no one calls|nobody cares|no one cares|
        nobody helps|no one helps|no one seems to care|nobody seems to care|nobody told me|no one told me|
        every single time|expected better|let down|losing my patience|out of patience|regret|
        doesn't work at all|does not work at all|stopped working|keeps crashing|arrived broken|came broken|
        arrived damaged|came damaged|arrived scratched|came in pieces|fell apart|wrong again|
        again the wrong|late again|another delay|what the|wtf|ffs|i give up|stressed|desperate|ashamed|
        insulted|ignored""",
    -1.2: """sad|worried|afraid|scared|nervous|unfortunately|not what i ordered|wrong item|isn't what i|
        is not what i|didn't help|did not help|doesn't help|does not help|too slow|so slow|takes forever|
        take so long|takes so long|taking so long|takes ages|not happy|not satisfied|not pleased|not good|
        not great|not impressed|don't like|do not like|uncomfortable|confusing|cheap and|smells|tired of|
        boring|pity|ugh|argh|sigh|seriously|come on|why does it|why is it always|miss my|i miss|hurts|
        lost everything|extra charges|hidden charges|hidden fees|overcharged""",
    -0.8: """bad|doesn't work|does not work|not working""",
    1.0: """thanks|thank you|thx|ty|cheers|good|nice|fine|glad|ok great|okay great|sounds good|looking forward|
        helpful|helps|helped|appreciate|appreciated|kind of you|pleased|pretty good|not bad|no worries|
        happy to|can't complain|cannot complain|funny|haha|hahaha|lol|lovely colours|better now|feel better|
        feel much better|quick answer|that was quick|that was fast|works now|works again|works fine|fixed|
        solved|relieved|comfortable|cute""",
    2.0: """great|happy|love|loves|loved|loving|lovely|beautiful|perfect|perfectly|delighted|excellent|superb|
        very helpful|good job|well done|well made|impressed|excited|so excited|yay|hooray|hurray|wow|
        very satisfied|exactly what i|just what i|what i was looking for|made my day|much appreciated|
        really like|satisfied|enjoy|enjoyed|congratulations|proud|best""",
    3.0: """amazing|awesome|fantastic|brilliant|wonderful|incredible|outstanding|couldn't be happier|
        could not be happier|over the moon|best ever|best service|best purchase|absolutely love|
        thank you so much|thank you very much|thanks a lot|thanks so much|thank you thank you|you're a star|
        you are a star|lifesaver""",
}
_CHINESE = {
    -3.0: """气死|气炸|生气|愤怒|恨死|恶心|垃圾|骗子|骗人|骗我|骗钱|坑人|坑钱|黑店|破店|无耻|不要脸|太过分|过分|
        太离谱|离谱|不能接受|无法接受|没法接受|受够|听够|忍无可忍|再也不|太差|最差|极差|差劲|差评给你|糟透|
        烂透|太烂|糟糕|可恶|他妈|妈的|滚|闭嘴|耻辱|丢人|什么破|破玩意|什么玩意|开什么玩笑|搞什么|浪费钱|
        浪费时间|浪费我|白花钱|白花了|毁了|欺负|投诉你们|退钱|骗了|傻|蠢|没救了|崩溃""",
    -2.0: """失望|不满|难过|伤心|郁闷|烦人|烦死|很烦|真烦|好烦|太烦|心烦|讨厌|难受|孤单|孤独|委屈|后悔|不耐烦|
        没耐心|没人理|没人管|没人回|没人接|没人帮|没人告诉|打不通|没有答复|没有回复|还没发货|还没收到|
        还没到|都没收到|都不发货|还没解决|还是不能用|还是没|第三次|第四次|第五次|好几遍|要我说几遍|说了几遍|
        催了|等了三天|等了一个|等了半|等了好久|等了这么久|等到现在|质量真差|质量很差|质量差|服务差|态度差|
        一点用都没有|没用|什么用|不管用|太慢|这么慢|又慢|又晚|又错|又发错|又坏|又延迟|服了|无语|呵呵|
        等于没说|老是|总是这样|全没了|全碎|摔碎|是碎的|碎了也|开线|粗糙|心情不好|糟心|绝望|焦虑|哭|坑|气人|
        扯淡""",
    -1.2: """唉|哎|不喜欢|不满意|不好用|不怎么好|不太好|不好看|担心|害怕|着急|赶不上|可惜|遗憾|划痕|不是我要的|
        不是我想要|没想到你们|有点烦|无聊|累死|好累|坏了|不能用|用不了|难用|难看|很丑|又丑|廉价|怪味|
        跟说好的不一样|没帮上|失落|我怕|想我|另外收费|乱收费|乱七八糟|看不懂|太贵|麻烦死""",
    1.0: """谢谢|多谢|谢了|谢啦|感谢|辛苦了|好的好的|好嘞|不错|挺好|还好|放心|明白了谢|没关系|没事|哈哈|嘻嘻|
        真逗|有帮助|帮上忙|解决了|修好了|好多了|好用|可以用了|简单多了|听起来|幸好|舒服|挺快|真快|期待|好看|
        便宜又""",
    2.0: """喜欢|开心|高兴|满意|漂亮|完美|真好|很好|非常好|特别好|太感谢|非常感谢|十分感谢|帮了大忙|帮大忙|
        正是我|就是我想要|好评|赞|爱了|可爱|愉快|幸福|惊喜|厉害|给力|一流|优秀|精致|贴心|耶|最值|值得|
        心情都好|心情很好|没什么可挑|没得挑|很棒|真棒|舒心|感动""",
    3.0: """太棒|太好了|太赞|超赞|超棒|爱死|太喜欢|好喜欢|五星|太完美|高兴得不得了|开心得|最好的|太厉害|
        万分感谢|激动""",
}
_MARKS = {
    -2.5: "😡🤬😠👿💢🖕",
    -1.8: "😞😢😭😔😤😒🙁☹😩😫😖😣💔👎😟😥🙄",
    1.8: "😊🙂😀😃😄😁😆😍🥰❤💖💕👍🎉😘🤗😂🤣👏🙏✨🥳😋💯♥",
}
_TYPED_MARKS = {
    -1.8: later(r"(?<![\w:])(?:[:;=]['’]?-?[(\[/]|>:\()"),
    1.8: later(r"(?<![\w:])(?:[:;=]-?[)\]D]|<3|\^_?\^)"),
}

_NEGATIONS = """
    ain't aren't barely can't cannot couldn't didn't doesn't don't hardly isn't neither never no nor not
    shouldn't wasn't weren't without won't wouldn't
"""
_STRONGER = "absolutely complete completely extremely incredibly really so such super too total totally utterly very"
_WEAKER = "bit kinda little rather slightly somewhat"
_NOT = "不没别未无"
_VERY = ("非常", "特别", "十分", "极其", "实在", "真的", "超级", "太", "很", "超", "好", "真", "最")
_HARDLY = ("有点", "有些", "稍微", "比较")
_CALM = """
    accept accepted accepts agree alarm alarms alert allow allows best better block blocked blocking
    bomb break broke broken cancel canceled canceling cancellation cancelled cancelling cancels careful
    carefully celebrate certain certainly challenge charge charged charges clear clearly complain
    complaint complaints confused cool crack cracked credit crime criminal critical cut damage damaged
    damages dead death debt decline declined defect defective defects delay delayed delays demand
    demands denied deny die died dispute disputed drop dropped easily easy emergency energetic energy
    error errors excuse expired fail failed failing fails failure fault faulty fee fight fine fire
    forget forgot forgotten fraud fraudulent free fresh gain gift gifts greater gun hand hard hello help
    helping hey hi hope hopefully hot hurt ill important interest interested interests issue issues jail
    kill killed kind late leave leaving like lose losing loss lost low luck lucky match matter matters
    miss missing murder natural need no number ok okay pain party pay payment peace play playing please
    poor poorly popular prison problem problems refuse refused reject rejected resolve resolved rich
    risk rob robbed safe safety save saved secure security sentence share short shortage sick solution
    special steal stole stolen stop stopped stops strange strong super support supported supporting
    supports sure suspicious tank theft tired top treat treats trouble true trust trusted unknown value
    want wanted wants war warn warned warning weak weakness wealth wealthy weapon weapons weird wish
    worth wrong yes
"""
"""Words of VADER's that everyday service needs: what is asked about calmly, and politeness."""
VADER_SHARE = 0.7
"""Its scale is that of our phrases, which are chosen for more than they are."""
NEGATED = -0.5
"""What a word's mood becomes when it is denied: "not good" is bad, but "not bad" is not "good"."""
ASKED = 0.25
"""What is left of the mood of a question about how to go about something."""

_WORDS = later(r"[a-z]+(?:['’][a-z]+)?|!+")
_ENGLISH_QUESTION = later(
    r"^(?:(?:hi|hello|hey|sorry|excuse me|please|and|so|but|ok|okay)[ ,]+)*(?:how (?:do|can|could|should|would|to|long|"
    r"much|often|heavy|old|big|far)|what(?:'s| is| are| do| does| should| happens| would| time| colou?rs?| if)|where|"
    r"when|which|who|can (?:i|you|we|it)|could (?:i|you|we)|do (?:i|you|we|they)|does|is (?:it|there|this|the|that)|"
    r"are (?:there|they|these)|am i|may i|would (?:it|you)|will|i(?:'d| would) like to|i (?:want|need) to|"
    r"tell me (?:about|how|what|where))\b"
)
_CHINESE_QUESTION = later(
    r"吗[?？]?$|^(?:请问|如何|怎么(?!每|这|那|还|又|老|总|到|回事)|怎样|哪|什么时候|多少|几|谁|可以|能不能|能否|有没有|是不是|为什么我的)"
    r"|怎么(?:办|处理|退|换|弄|取消|删|挂失|联系|除|关)|在哪|多少钱|几天|几点|多久|流程|区别"
)


@cache
def _entries(is_chinese: bool) -> dict[str, float]:
    table = _CHINESE if is_chinese else _ENGLISH
    return {" ".join(each.split()): value for value, words in table.items() for each in words.split("|")}


@cache
def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


@cache
def _vader() -> dict[str, float]:
    """Some 7,000 English words with what ten people said of each, from -4 to 4 (Hutto and Gilbert 2014, MIT)."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # reads its files, so at the first message

    lexicon: dict[str, float] = SentimentIntensityAnalyzer().lexicon
    return lexicon


@cache
def _longest(is_chinese: bool) -> int:
    return max(len(entry) if is_chinese else len(entry.split()) for entry in _entries(is_chinese))


def mood_of_words(text: str) -> tuple[float, int]:
    """What the words of a message say of its mood, and how many of them do.

    Returns:
        Valence in [-1, 1], 0 where no word tells, and the number of words and marks that told.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").strip()
    is_chinese = is_mostly_chinese(plain)
    found = _chinese(plain) if is_chinese else _english(plain)
    question = _CHINESE_QUESTION() if is_chinese else _ENGLISH_QUESTION()
    if question.search(plain.rstrip("。.!！ ")):
        found = [value * (ASKED if abs(value) < 3 else 1) for value in found]
    found += [value for value, marks in _MARKS.items() for character in plain if character in marks]
    found += [value for value, pattern in _TYPED_MARKS.items() for _ in pattern().findall(text)]
    total = sum(found)
    if total < 0 and any(mark in plain for mark in ("!!", "??")):
        total *= 1.3
    return total / (total**2 + 4.0) ** 0.5, len(found)


def _english(plain: str) -> list[float]:
    words = _WORDS().findall(plain)
    entries, longest, vader = _entries(False), _longest(False), _vader()
    found = []
    at = 0
    while at < len(words):
        size = next(
            (
                size
                for size in range(min(longest, len(words) - at), 0, -1)
                if " ".join(words[at : at + size]) in entries
            ),
            0,
        )
        if size:
            value = entries[" ".join(words[at : at + size])]
        else:
            size = 1
            value = 0.0 if words[at] in _set(_CALM) else VADER_SHARE * vader.get(words[at], 0.0)
            if not value:
                at += 1
                continue
        before = words[max(0, at - 3) : at]
        if any(word in _set(_NEGATIONS) for word in before):
            value *= NEGATED
        if before and before[-1] in _set(_STRONGER):
            value *= 1.4
        elif before and before[-1] in _set(_WEAKER):
            value *= 0.6
        found.append(value)
        at += size
    return found


def _chinese(plain: str) -> list[float]:
    entries, longest = _entries(True), _longest(True)
    found = []
    at = 0
    while at < len(plain):
        sizes = range(min(longest, len(plain) - at), 0, -1)
        size = next((size for size in sizes if plain[at : at + size] in entries), 0)
        if not size:
            at += 1
            continue
        value = entries[plain[at : at + size]]
        before = plain[max(0, at - 3) : at]
        if before.endswith(_HARDLY):
            value *= 0.6
        elif before.endswith(_VERY):
            value *= 1.3
        if any(mark in before for mark in _NOT) and not before.endswith(("没想到", "不得了")):
            value *= NEGATED
        found.append(value)
        at += size
    return found
