"""What kind of thing a question asks for (a duration, a price, a number, a time, a place) and what texts name one."""

from __future__ import annotations

from dataclasses import dataclass

from mmchat.patterns import Later, later

_NUMBER = r"(?:\d[\d.,:]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|a few|half an?)"
_HAN_NUMBER = r"(?:\d[\d.,]*|[零一二两三四五六七八九十百千万半几]+)"
_TIME_UNIT = r"(?:(?:working |business )?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|weekdays?))"
_HAN_TIME_UNIT = r"\s?(?:个)?(?:多)?(?:秒|分钟|小时|钟头|工作日|天|日|星期|礼拜|周|月|年)"
_MONEY = (
    r"(?:euros?|eur|dollars?|pounds?|cents?|yuan|percent|price)\b|[€$£¥￥%]"
    r"|欧元|元|块钱|美元|打[一二三四五六七八九]折|价格"
)
_FREE = r"|\bfree\b|costs? nothing|in full|免费|免运费|不收|不要钱|不花钱"
_PLACE = (
    r"\b(?:at|in|near|behind|beside|opposite|in front of|next to) (?:the |our |my |your )?"
    r"(?:[A-Z]\w+|\w+ (?:street|square)|street|town|city|yard|station|shop|workshop)|\bfrom (?:[A-Z]|certified)|@|https?://"
    r"|地址|位于|前面|后面|旁边|隔壁|对面|院子|"
    r"在[^，。]{1,12}里|来自|网站|邮箱|到[^，。]{1,8}(?:店|站|点)"
)
_WEEKDAY = (
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(?:weekdays?|noon|midnight|january|february|march|april|june|july"
    r"|august|september|october|november|december)\b"
)
_LONG = (
    rf"\b{_NUMBER}\b(?:\s(?:to|-|–)\s\d+)?[\s-]{_TIME_UNIT}\b|\bdays?:|\b(?:until|till)\b|{_HAN_NUMBER}{_HAN_TIME_UNIT}"
    "|天数|直到|为止"
)
_MOMENT = (
    rf"{_WEEKDAY}|\b\d{{1,2}}(?::\d\d)?\s?(?:am|pm|o'clock)\b|\bfrom \d{{1,2}}(?::\d\d)? to \d"
    rf"|,? \d{{1,2}} to \d{{1,2}}\b"
    rf"|\bwhen\b|\bonce\b|\bas soon as\b|\b(?:19|20)\d\d\b"
    rf"|周[一二三四五六日末]|星期[一二三四五六天日]|[\d零一二三四五六七八九十两]+\s?点|"
    r"\d{4}\s?年|[一二三四五六七八九十\d]+月|之前|之后|时候|当天"
)


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """What a question asks for."""

    name: str
    asks: Later
    """In a case folded question."""
    names: Later
    """In a text that may answer it."""


KINDS = (
    AnswerKind(
        "duration",
        later(
            r"\bhow (?:long|soon|fast|quick|quickly|many (?:\w+ )?(?:seconds|minutes|hours|days|weeks|months|years))\b"
            r"(?! is the (?:cable|cord|arm))"
            r"|\b(?:until|till|by) when\b|\bhow much (?:longer|time)\b"
            r"|多久|多长时间|多少(?:天|小时|时间|年|个月|分钟)|几(?:天|个?小时|个?月|年|分钟|个?星期|周|个?工作日)|期限|有效期"
        ),
        later(_LONG),
    ),
    AnswerKind(
        "money",
        later(
            r"\bhow much\b(?! (?:longer|time|does .* weigh|taller|bigger))|\bcosts?\b|\bprices?\b|\bfees?\b"
            r"|\bexpensive\b|\bwhat .*\b(?:pay|charge)\b"
            r"|多少钱|多少(?:运费|邮费|费用)|几(?:块|欧)|价格|价钱|费用|怎么卖|贵吗"
        ),
        later(_MONEY + _FREE),
    ),
    AnswerKind(
        "moment",
        later(
            r"\bwhen\b|\bwhat time\b|\bwhat day\b|\bwhich days?\b|\bopening hours\b"
            r"|什么时候|啥时候|几点|何时|星期几|周几|哪(?:天|年|一天|一年)"
        ),
        later(f"{_MOMENT}|{_LONG}"),
    ),
    AnswerKind(
        "number",
        later(
            r"\bhow many\b|\bhow (?:tall|high|heavy|wide|big|large|thick|strong|deep)\b"
            r"|多少[个盏张人种款次度]|几[个盏张种款次人位]|多[高重宽大厚]"
        ),
        later(rf"\b{_NUMBER}\b|{_HAN_NUMBER}\s?[^\s，。]|\d"),
    ),
    AnswerKind(
        "place",
        later(r"\bwhere\b|\baddress\b|哪里|哪儿|在哪|什么地方|何处|地址|到哪"),
        later(_PLACE),
    ),
)
"""The first that fits is what is asked for."""


def kind_of(question: str) -> AnswerKind | None:
    """What a question asks for; None: nothing that can be told by its form."""
    folded = question.casefold().replace("’", "'")
    return next((kind for kind in KINDS if kind.asks().search(folded)), None)


def answers(kind: AnswerKind, text: str) -> bool:
    """Whether a text names something of that kind."""
    return bool(kind.names().search(text if kind.name == "place" else text.casefold()))
