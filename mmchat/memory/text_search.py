"""How text is spelled for the full-text index, and how a query is put to it.

FTS5's own tokenizer takes a run of Chinese for one word. So runs of Chinese, Japanese and Korean are
stored as overlapping pairs (机器学习 as 机器 器学 学习 习): a two-character word is then one token, a
longer one a phrase of pairs, and a single character the beginning of a pair (or the last token of its
run). English is left to FTS5's porter stemmer.
"""

from __future__ import annotations

import re
import unicodedata

from mmchat.patterns import later
from mmchat.script import CJK_WORDS, character_class

_CJK = character_class(CJK_WORDS)
_RUNS = later(f"([{_CJK}]+)")
_WORDS_OR_RUNS = later(rf"[{_CJK}]+|(?:(?![{_CJK}])\w)+")
_CONTROLS = later(r"[\x00-\x1f\x7f-\x9f]+")


# Words of English questions that hardly tell one turn from another; after them a query keeps its subject.
_ENGLISH = """
a about above after again against all also am an and any anybody anyone anything are as ask asked at be
because been before being below between both but by can could d did do does doing don down during each either
else ever every few for from further get go going gone got had has have having he help helped helping helps
her here hers herself hey hi him himself his how i if in into is it its itself just know let like ll m may me
mention mentioned might mine more most much must my myself no nor not now of off ok okay on once only or other
our ours ourselves out over own please re really recommend recommended remember remind s said same say shall
she should so some somebody someone something such suggest suggested t talk talked tell than thank thanks that
the their theirs them themselves then there these they thing things this those through to told too under until
up us ve very was we were what when where which while who whom whose why will with would yes you your yours
yourself yourselves
"""
STOP_WORDS = frozenset(_ENGLISH.split())

# Chinese has no spaces: pairs made of these alone are no words to look for.
FUNCTION_CHARACTERS = frozenset(
    "的了着过吗呢吧啊呀嘛哦是在和与或及把被让给对从到向就都也还又很太最更我你他她它您咱们这那哪谁么什怎个些有没不要会能可以说来去上下"
)
_CHINESE = """
什么 怎么 怎样 为何 多少 哪里 哪个 这个 那个 一个 一下 一些 我们 你们 他们 她们 它们 告诉 知道 还有 以及 因为 所以
但是 如果 然后 可以 应该 需要 觉得 时候 记得 之前 上次 以前 请问 帮我 问我
"""
_FUNCTION_PAIRS = frozenset(_CHINESE.split())


def storable(text: str) -> str:
    """Text as SQLite can hold it: paired surrogates joined, lone ones replaced by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def indexed(text: str) -> str:
    """Text as the full-text index holds it."""
    plain = _CONTROLS().sub(" ", unicodedata.normalize("NFKC", storable(text)))
    return _RUNS().sub(lambda match: f" {' '.join(_pairs(match[0], is_indexed=True))} ", plain)


def terms(query: str) -> tuple[str, ...]:
    """Words and runs of Chinese of a query, in order, case folded, each once."""
    plain = unicodedata.normalize("NFKC", storable(query)).casefold()
    return tuple(dict.fromkeys(_WORDS_OR_RUNS().findall(plain)))


def words_in(text: str) -> tuple[re.Match[str], ...]:
    """Words and runs of Chinese of a text, where they stand."""
    return tuple(_WORDS_OR_RUNS().finditer(text))


def is_cjk(term: str) -> bool:
    """Whether a term is a run of Chinese, Japanese or Korean."""
    return bool(_RUNS().fullmatch(term))


def cjk_share(text: str) -> float:
    """Share of the letters of `text` that are Chinese, Japanese or Korean; 0 for no letters."""
    letters = sum(character.isalnum() for character in text)
    return sum(len(run) for run in _RUNS().findall(text)) / letters if letters else 0.0


def all_of(query: str, *, shortest_beginning: int = 1) -> str:
    """FTS5 expression for text that holds every term; the last word may still be being typed.

    Empty when the query holds nothing that is indexed (emoji, punctuation).

    Args:
        query: what was typed.
        shortest_beginning: letters from which on the last word may be the beginning of a longer one; a Chinese
            character always may.
    """
    found = terms(query)
    is_unfinished = bool(found) and query.rstrip().casefold().endswith(found[-1]) and query == query.rstrip()
    parts = [_phrase(term) for term in found]
    if parts and is_unfinished and not is_cjk(found[-1]) and len(found[-1]) >= shortest_beginning:
        # The whole word as well: its stem may not begin with what was typed. FTS5 stems beginnings too
        # and would turn a last y into i (bicy, bici), hence without it.
        beginning = found[-1][:-1] if found[-1].endswith("y") and len(found[-1]) > 3 else found[-1]
        parts[-1] = f"({parts[-1]} OR {_quoted(beginning)} *)"
    return " AND ".join(parts)


def informative(query: str, *, without: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Tokens of a query that tell turns apart, as FTS5 expressions: no stop words, Chinese in pairs.

    Args:
        query: what to look for.
        without: more words to leave out, case folded (names of the speakers, which stand in every greeting).
    """
    found: list[str] = []
    for term in terms(query):
        if not is_cjk(term):
            if term not in STOP_WORDS and term not in without:
                found.append(_quoted(term))
        elif len(term) == 1:
            if term not in FUNCTION_CHARACTERS:
                found.append(_phrase(term))
        else:
            found += [_quoted(pair) for pair in _pairs(term, is_indexed=False) if not is_function_pair(pair)]
            found += [_phrase(character) for character in _lone(term)]
    return tuple(dict.fromkeys(found))


def _lone(run: str) -> list[str]:
    """Characters of a run that are words by themselves, as 汤 in 推荐的汤是什么: after 的, and before 是 or the end."""
    return [
        character
        for before, character, after in zip(run, run[1:], f"{run[2:]}是", strict=False)
        if before == "的" and character not in FUNCTION_CHARACTERS and after in "是吗呢吧"
    ]


def is_function_pair(pair: str) -> bool:
    """Whether two Chinese characters only hold a sentence together."""
    return pair in _FUNCTION_PAIRS or all(character in FUNCTION_CHARACTERS for character in pair)


def _phrase(term: str) -> str:
    if not is_cjk(term):
        return _quoted(term)
    if len(term) == 1:
        return f"{_quoted(term)} *"
    return _quoted(" ".join(_pairs(term, is_indexed=False)))


def _pairs(run: str, *, is_indexed: bool) -> list[str]:
    pairs = [run[start : start + 2] for start in range(len(run) - 1)]
    return [*pairs, run[-1]] if is_indexed else pairs


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
