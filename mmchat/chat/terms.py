"""Names and terms of a conversation: what a recogniser would misspell if nobody told it."""

from __future__ import annotations

from collections.abc import Iterable

from mmchat.patterns import later

MAX_TERMS = 12
"""More would be a text of their own to a recogniser."""
_SENTENCE = later(r"(?<=[.!?:。！？：\n])\s*")
_WORD = later(r"[^\W_]+(?:['’.+#-][^\W_]+)*\+*")
_QUOTED = later(r"[《「『“]([^《》「」『』“”\n]{2,12})[》」』”]")
_INTRODUCED = later(r"(?:名叫|叫做|叫|名字是|姓名是|我是)([\u4e00-\u9fff]{2,3})(?=[^\u4e00-\u9fff]|$)")
"""A Chinese name is told by no capital; "my sister is called …" tells it."""
_FAMILIAR = frozenset(
    [
        "i",
        "i'm",
        "i've",
        "i'll",
        "i'd",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "english",
        "ok",
        "mr",
        "mrs",
        "ms",
        "dr",
        "tv",
        "usa",
        "uk",
        "pdf",
    ]
)


def terms_of(texts: Iterable[str], limit: int = MAX_TERMS) -> tuple[str, ...]:
    """The names and terms that stand in `texts`, in order of appearance, each once.

    A rule, no list of names: in Latin script, words with a capital that no sentence begins with, or with capitals or
    figures inside; in Chinese, titles in quotation marks and names that are introduced.

    Args:
        texts: the newest first.
        limit: the most there may be.
    """
    found: dict[str, str] = {}
    for text in texts:
        for term in _terms(text):
            found.setdefault(term.casefold(), term)
            if len(found) >= limit:
                return tuple(found.values())
    return tuple(found.values())


def _terms(text: str) -> Iterable[str]:
    yield from (match[1].strip() for match in _QUOTED().finditer(text) if match[1][0] > "\u3000")
    yield from (match[1] for match in _INTRODUCED().finditer(text))
    for sentence in _SENTENCE().split(text):
        words = list(_WORD().finditer(sentence))
        if len(words) > 3 and 4 * sum(word[0][0].isupper() for word in words) > 3 * len(words):
            words = [word for word in words if not word[0].isupper() and _is_odd(word[0])]  # a headline, or shouting
        name: list[str] = []
        for at, word in enumerate(words):
            is_next = bool(name) and sentence[words[at - 1].end() : word.start()] == " "
            if name and not (is_next and _is_name(word[0])):
                yield " ".join(name)
                name = []
            if _is_odd(word[0]) or (_is_name(word[0]) and (at > 0 or is_next)):
                name.append(word[0])
        if name:
            yield " ".join(name)


def _is_name(word: str) -> bool:
    return len(word) > 2 and word[0].isupper() and word.casefold() not in _FAMILIAR


def _is_odd(word: str) -> bool:
    """Written as no common word is: PyTorch, CLIP, H264."""
    if len(word) < 3 or word.casefold() in _FAMILIAR or not any(letter.isalpha() for letter in word):
        return False
    has_figure = any(letter.isdigit() for letter in word) and word[0].isalpha()
    return has_figure or any(letter.isupper() for letter in word[1:])
