"""How text is spelled for the full-text index, and how a query is put to it.

FTS5's own tokenizer takes a run of Chinese for one word. So runs of Chinese, Japanese and Korean are
stored as overlapping pairs (机器学习 as 机器 器学 学习 习): a two-character word is then one token, a
longer one a phrase of pairs, and a single character the beginning of a pair (or the last token of its
run). English is left to FTS5's porter stemmer.
"""

from __future__ import annotations

import re
import unicodedata

_CJK = "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"([{_CJK}]+)")
_WORDS_OR_RUNS = re.compile(rf"[{_CJK}]+|(?:(?![{_CJK}])\w)+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def storable(text: str) -> str:
    """Text as SQLite can hold it: paired surrogates joined, lone ones replaced by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def indexed(text: str) -> str:
    """Text as the full-text index holds it."""
    plain = _CONTROLS.sub(" ", unicodedata.normalize("NFKC", storable(text)))
    return _RUNS.sub(lambda match: f" {' '.join(_pairs(match[0], is_indexed=True))} ", plain)


def terms(query: str) -> tuple[str, ...]:
    """Words and runs of Chinese of a query, in order, case folded, each once."""
    plain = unicodedata.normalize("NFKC", storable(query)).casefold()
    return tuple(dict.fromkeys(_WORDS_OR_RUNS.findall(plain)))


def is_cjk(term: str) -> bool:
    """Whether a term is a run of Chinese, Japanese or Korean."""
    return bool(_RUNS.fullmatch(term))


def cjk_share(text: str) -> float:
    """Share of the letters of `text` that are Chinese, Japanese or Korean; 0 for no letters."""
    letters = sum(character.isalnum() for character in text)
    return sum(len(run) for run in _RUNS.findall(text)) / letters if letters else 0.0


def all_of(query: str) -> str:
    """FTS5 expression for text that holds every term; the last word may still be being typed.

    Empty when the query holds nothing that is indexed (emoji, punctuation).
    """
    found = terms(query)
    is_unfinished = bool(found) and query.rstrip().casefold().endswith(found[-1]) and query == query.rstrip()
    parts = [_phrase(term) for term in found]
    if parts and is_unfinished and not is_cjk(found[-1]):
        # The whole word as well: its stem may not begin with what was typed (studies, studi).
        parts[-1] = f"({parts[-1]} OR {_quoted(found[-1])} *)"
    return " AND ".join(parts)


def any_of(wanted: tuple[str, ...]) -> str:
    """FTS5 expression for text that holds at least one of the terms; pairs of a run count singly."""
    parts: list[str] = []
    for term in wanted:
        if is_cjk(term) and len(term) > 1:
            parts += [_quoted(pair) for pair in _pairs(term, is_indexed=False)]
        else:
            parts.append(_phrase(term))
    return " OR ".join(dict.fromkeys(parts))


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
