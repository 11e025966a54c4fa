"""The words of a question that are looked for in documents, and which of them stand nowhere.

Words that only ask are left out, and words that mean the same are looked for together.
Chinese has no spaces, so it is found by pairs of characters, and a pair may be the end of one word and the beginning
of the next. Such a pair that stands nowhere tells nothing, where both of its characters are part of pairs that do;
where several characters in a row are part of none, they are a word that the documents do not know: 比特币, 日本.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mmchat.memory.text_search import FUNCTION_CHARACTERS, informative, is_cjk, terms
from mmchat.patterns import later

_ASKING = later(
    r"请问|想问(?:一下)?|想知道|能不能|可不可以|是不是|有没有|会不会|要不要|行不行|能否|是否|可以|多久(?:之内|以内)?|多长时间|多少(?:[钱个张盏种次]|(?:天|年|小时|时间|分钟)(?:之内|以内|内)?)?|多[高长重宽大](?![小])|"
    r"什么时候|啥时候|什么|怎么办|咋办|怎么样|怎样|怎么|如何|为什么|为何|哪里|哪儿|哪些|哪个|哪种|哪款|哪|几[天个年次号位张盏种点]|"
    r"以后|的话|已经|现在|吗|呢|啊|吧|呀|谁"
)
_ASKING_ENGLISH = later(
    r"\bis it possible to\b|\bhow (?:long|soon|much|many|often|far|late|early|tall|high|heavy|big|large|wide|fast)\b",
    re.IGNORECASE,
)
_SAME = (
    ("运费", "邮费", "快递费", "送货费", "配送费"),
    ("包邮", "免运费", "免邮"),
    ("退货", "退回", "寄回", "退掉", "退还"),
    ("退款", "退钱", "钱退", "退回来的钱", "退的钱"),
    ("发货", "寄出", "发出", "寄过来", "寄出来"),
    ("送到", "寄到", "配送", "送货", "到货"),
    ("保修", "质保", "保固"),
    ("维修", "修理", "修好", "修一"),
    ("坏了", "损坏", "碎了", "破了"),
    ("快递", "包裹", "物流"),
    ("优惠", "折扣", "打折", "九折"),
    ("付款", "支付", "付钱", "结账"),
    ("分期", "分期付款"),
    ("营业", "开门", "开店"),
    ("星期天", "周日", "星期日", "礼拜天"),
    ("星期六", "周六", "礼拜六"),
    ("洗手间", "浴室", "卫生间", "厕所"),
    ("小孩", "孩子", "儿童", "宝宝"),
    ("过期", "有效期", "到期"),
    ("人工", "真人", "客服"),
    ("停车", "停哪", "车停"),
    ("室外", "户外", "阳台", "外面淋"),
    ("下雨", "淋雨"),
    ("取消", "不要了"),
    ("地址", "位置"),
    ("电线", "线缆", "电源线"),
    ("价格", "价钱", "售价"),
    ("擦亮", "抛光", "亮的"),
    ("变暗", "发暗", "发黑"),
    ("清洁", "清洗", "打扫"),
    ("充电", "充满", "充一次电", "充好电"),
    ("安装", "装上"),
    ("课", "课程"),
    ("零件", "配件"),
)
"""Words of everyday dealings that mean about the same; documents use one, people who ask another."""
_SENT_BACK = later(r"\b(?:send|sent|give|bring|take|ship)\b([^.,;!?]{0,30}?)\bback\b", re.IGNORECASE)
_WORDS = {word: group for group in _SAME for word in group}
_SAID = later("|".join(sorted(_WORDS, key=len, reverse=True)))
_ALONE = later(r"(?<!\w)\w(?!\w)")
_WHETHER = later(
    r"^\W*(?:(?:and|but|so|or|well|hi|hello|hey|ok|okay|please|then|also)\b[\s,]*)*"
    r"(?:is|are|was|were|do|does|did|can|could|will|would|may|must|has|have|is it possible)\b"
    r"|吗\W*$|能不能|可不可以|是不是|有没有|会不会|能否|是否"
)


@dataclass(frozen=True, slots=True)
class AskedWord:
    """A word of a question, or several that mean the same."""

    expression: str
    """For FTS5."""
    forms: tuple[str, ...]
    """What a text may hold, case folded."""


_RETURNED = AskedWord('("return" OR "send back" OR "sent back")', ("return", "send back", "sent back"))
"""What English says with a verb and "back", with words between them: "send a lamp back"."""


def asks_whether(query: str) -> bool:
    """Whether a question is answered with yes or no."""
    return bool(_WHETHER().search(query.strip().casefold()))


def asked_words(query: str) -> tuple[AskedWord, ...]:
    """The words that tell passages apart, in order, each once."""
    plain, groups = _without_groups(query)
    words = [AskedWord(term, (term.strip('"* ').replace(" ", ""),)) for term in informative(plain)]
    found = dict.fromkeys((*groups, *words))
    return tuple(found) or tuple(AskedWord(term, (term.strip('"* ').replace(" ", ""),)) for term in informative(query))


def unknown_words(query: str, stands: Callable[[str], bool]) -> tuple[frozenset[str], frozenset[str]]:
    """Chinese words of a question that stand nowhere, and pairs of characters that are no words of it.

    Args:
        query: the question.
        stands: whether a pair of characters stands anywhere.

    Returns:
        the words; and pairs that stand nowhere and tell nothing, since they only come from two words side by side.
    """
    plain, _ = _without_groups(query)
    unknown: list[str] = []
    chance: set[str] = set()
    for run in terms(plain):
        if not is_cjk(run) or len(run) < 2:
            continue
        pairs = [run[at : at + 2] for at in range(len(run) - 1)]
        is_known = [stands(pair) for pair in pairs]
        known = {at + side for at, is_there in enumerate(is_known) if is_there for side in (0, 1)}
        lost = [at not in known and character not in FUNCTION_CHARACTERS for at, character in enumerate(run)]
        chance |= {pair for at, pair in enumerate(pairs) if not is_known[at] and not (lost[at] and lost[at + 1])}
        unknown += "".join(character if is_lost else " " for character, is_lost in zip(run, lost, strict=True)).split()
    return frozenset(word for word in unknown if len(word) > 1), frozenset(chance)


def _without_groups(query: str) -> tuple[str, list[AskedWord]]:
    """A question less the words that only ask and those of `_SAME`, and these."""
    said = list(dict.fromkeys(_WORDS[match] for match in _SAID().findall(query)))
    groups = [
        AskedWord("(" + " OR ".join(expression for form in group for expression in _phrase(form)) + ")", group)
        for group in said
    ]
    if any(map(is_cjk, terms(query))):
        plain = _ASKING().sub(" ", _SAID().sub(" ", query))
        # A character that is left over is no word.
        alone = set(terms(plain)) - set(terms(query))
        return _ALONE().sub(lambda match: " " if match[0] in alone else match[0], plain), groups
    plain, is_returned = _SENT_BACK().subn(r" \1 ", _ASKING_ENGLISH().sub(" ", query))
    return plain, [_RETURNED] * bool(is_returned)


def _phrase(form: str) -> tuple[str, ...]:
    """FTS5 expression for a run of Chinese."""
    if len(form) == 1:
        return (f'"{form}" *',)
    return ('"' + " ".join(form[at : at + 2] for at in range(len(form) - 1)) + '"',)
