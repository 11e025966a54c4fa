"""Which picture a message is about: "the second photo", "in that picture", "dog.jpg", 「最后一张」.

A small model told of two pictures mixes them up, and one told of a picture ten turns ago has half forgotten it. So the
reference is resolved here, and the picture that is asked about is told next to the question. How much that helps is
measured by `benchmarks/picture_talk.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mmchat.patterns import Later, later
from mmchat.picture_words import PICTURE_FIGURES, chinese_names

MAX_NAMED = 3
"""Pictures that one message brings back; a small model drowns in more."""

_ORDINALS = {
    word: place
    for place, words in enumerate(
        (
            ("first", "1st"),
            ("second", "2nd"),
            ("third", "3rd"),
            ("fourth", "4th"),
            ("fifth", "5th"),
            ("sixth", "6th"),
            ("seventh", "7th"),
            ("eighth", "8th"),
            ("ninth", "9th"),
            ("tenth", "10th"),
        )
    )
    for word in words
} | dict.fromkeys(("last", "latest", "newest", "final"), -1)
_NUMERALS = {character: place for place, character in enumerate("一二三四五六七八九十")}
_ONE_PICTURE = "(?:photo(?:graph)?|picture|pic|image|screen ?shot|snapshot|drawing|painting)"
_PICTURE = f"{_ONE_PICTURE}s?"
_ORDINAL = "|".join(_ORDINALS)
_NTH = later(
    rf"\b({_ORDINAL})(?: (?:of (?:the|these|those|my)(?: \w+)?|\w+))? {_PICTURE}\b"
    rf"|\b{_PICTURE} (?:no\.? ?|number |#)?(\d+|one|two|three)\b"
    r"|第([一二三四五六七八九十]|\d+)[张幅]|(最后|最新)的?一?[张幅]"
)
_NTH_BARE = later(
    rf"\b({_ORDINAL})(?: one\b|(?= ?(?:[,.;:?!]|$|and\b|or\b)))|第([一二三四五六七八九十]|\d+)个|(最后)一?个"
)
"""Only in a message that itself shows several pictures."""
_DIGITS = {"one": 0, "two": 1, "three": 2}
_ALL = later(
    r"\b(?:both|all|each|every|these|those|compare|between|others?|rest)\b"
    rf"|\b(?:two|three|four) {_PICTURE}\b|\b{_ONE_PICTURE}s\b"
    r"|[两三四几]张|所有|全部|这些|那些|每一?张|都|其他|另一?张|比较|对比"
)
_THAT = later(
    rf"\b(?:that|the|this|same) (?:(?:same|previous|earlier|old) )?{_PICTURE}\b|\bmy {_ONE_PICTURE}\b"
    rf"|\b{_PICTURE} (?:that )?(?:i|we) (?:just )?(?:showed|sent|shared|gave|posted|uploaded)\b"
    "|[那这上前]一?[张幅]|刚才的?[那张图照]|(?:照片|图片|相片|图像|截图|图)[里上中]|给你看的[那]?[张幅]?(?:照片|图)"
)
_SEVERAL = later(
    r"\b(?:both|these|those|all|which|any|each)(?: of)?(?: (?:the|these|those|my))?(?: (?:two|three|four))? "
    rf"{_PICTURE}\b"
    rf"|\b(?:the|my) (?:two|three|four)? ?{_ONE_PICTURE}s (?:that )?(?:i|we) (?:just )?(?:showed|sent|shared|gave)\b"
    "|[这那](?:[两三四几]张|些)(?:照片|图片|图)?|(?:所有|全部)的?(?:照片|图片|图)|[两三四]张(?:照片|图片|图|都|有|里|中)"
)
_ONE_BEFORE = later(rf"\b(?:one|{_PICTURE}) before\b|\bprevious {_PICTURE}\b|[上前]一[张幅]")
_WHOLE_TALK = later(
    r"\bi(?:'ve| have)? (?:ever )?(?:showed|shown|sent|shared|gave)\b|\b(?:conversation|chat|beginning|start)\b"
    "|给你[看发]|发给你|最早|一开始|开头|对话|聊天"
)
_BACK = later(r"\b(?:earlier|before|previous|already)\b|之前|以前|刚才|前面|上一?[张幅]")


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that was shown in a conversation."""

    name: str
    """Its file name."""
    labels: tuple[str, ...]
    """What was seen in it."""
    turn: int
    """Which of the conversation's turns it came with; pictures of one turn have the same."""


@dataclass(frozen=True, slots=True)
class Named:
    """A picture that a message is about."""

    index: int
    """Among those it was looked for in."""
    place: int = 0
    """As the message counts, from 1; 0 where it does not count."""


def named_in_message(text: str, names: Sequence[str]) -> tuple[int, ...]:
    """Which of the pictures that came with a message it is about; empty: all, or it does not say.

    Args:
        text: the user's words.
        names: the pictures' file names, in their order.
    """
    plain = _plain(text)
    by_name = _by_file_name(plain, names)
    if by_name:
        return by_name
    if _ALL().search(_NTH().sub(" ", plain)):
        return ()
    return _places(plain, len(names), _NTH) or _places(plain, len(names), _NTH_BARE)


def looks_back(text: str) -> bool:
    """Whether a message that shows a picture is about earlier ones too: "Is this the dog of the first photo?"."""
    plain = _plain(text)
    return bool(_BACK().search(plain) or _WHOLE_TALK().search(plain))


def named_before(text: str, shown: Sequence[Shown], lately: Sequence[int] = ()) -> tuple[Named, ...]:
    """Which earlier pictures of a conversation a message is about, at most `MAX_NAMED`; empty: none.

    Args:
        text: the user's words.
        shown: the conversation's pictures, oldest first.
        lately: indices of those that were talked about last; absent: those that were shown last.
    """
    if not shown:
        return ()
    plain = PICTURE_FIGURES().sub(" ", _plain(text))
    if by_name := _by_file_name(plain, [each.name for each in shown]):
        return tuple(Named(index) for index in by_name[:MAX_NAMED])
    together = [index for index, each in enumerate(shown) if each.turn == shown[-1].turn]
    lately = [index for index in lately if 0 <= index < len(shown)] or together
    group = list(lately) if len(lately) > 1 and not _WHOLE_TALK().search(plain) else list(range(len(shown)))
    places = _places(plain, len(group), _NTH) or _places(plain, len(shown), _NTH)
    if places:
        group = group if max(places) < len(group) else list(range(len(shown)))
        return tuple(Named(group[place], place + 1) for place in places[:MAX_NAMED])
    is_about = bool(_THAT().search(plain))
    if _SEVERAL().search(plain) or (is_about and _ALL().search(plain)):
        chosen = (together if len(together) > 1 else list(range(len(shown))))[-MAX_NAMED:]
        return tuple(Named(index, index + 1 if len(shown) == len(together) else 0) for index in chosen)
    if not is_about:
        return ()
    if fitting := _by_label(plain, shown):
        return tuple(Named(index) for index in fitting[-MAX_NAMED:])
    if _ONE_BEFORE().search(plain) and lately[0] > 0 and len(lately) == 1:
        return (Named(lately[0] - 1),)
    return tuple(Named(index) for index in lately[-MAX_NAMED:])


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split())


def _places(plain: str, count: int, pattern: Later) -> tuple[int, ...]:
    """Indices of what is counted in a text; empty also where something is counted that there is not."""
    places: list[int] = []
    for match in pattern().finditer(plain):
        word = next(group for group in match.groups() if group)
        place = _place(word)
        place = count - 1 if place < 0 else place
        if place >= count:
            return ()
        places.append(place)
    return tuple(dict.fromkeys(places))


def _place(word: str) -> int:
    if word.isdecimal():
        return max(0, int(word) - 1)
    if word in _DIGITS:
        return _DIGITS[word]
    return _ORDINALS.get(word, _NUMERALS.get(word, -1))


def _by_file_name(plain: str, names: Sequence[str]) -> tuple[int, ...]:
    found = []
    for index, name in enumerate(names):
        whole = _plain(name)
        if whole and re.search(rf"(?<![\w.]){re.escape(whole)}(?!\w)", plain):
            found.append(index)
    return tuple(found)


def _by_label(plain: str, shown: Sequence[Shown]) -> tuple[int, ...]:
    """Pictures of which the text names something that was seen in them; empty where that is all or none."""
    fitting = tuple(index for index, each in enumerate(shown) if any(_names(plain, label) for label in each.labels))
    return fitting if len(fitting) < len(shown) else ()


def _names(plain: str, label: str) -> bool:
    word = re.escape(label.casefold())
    return bool(re.search(rf"\b{word}(?:s|es)?\b", plain)) or any(name in plain for name in chinese_names(label))
