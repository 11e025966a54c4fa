"""Replies as words for the ear: cut into sentences while they stream, without what only makes sense to the eye.

Code, formulas, tables, addresses and marks of Markdown are left out; a heading, a list item and a line are sentences.
"""

from __future__ import annotations

from mmchat.patterns import later
from mmchat.script import CJK_PUNCTUATION, CJK_WORDS, character_class

MAX_CHARACTERS = 240
"""A sentence that grows longer is cut at a comma or a space, so that speaking need not wait for its end."""

_CJK = character_class((*CJK_WORDS, *CJK_PUNCTUATION))
_CLOSING = "\"'”’»」』）)】》*_"
_END = later(
    rf"[。！？…｡]+[{_CLOSING}]*(?=[^。！？…｡{_CLOSING}])"  # needs no space behind it
    rf"|[.!?]+[{_CLOSING}]*(?=\s)"
    rf"|[!?]+[{_CLOSING}]*(?=[{_CJK}])"
    rf"|[;；](?=\s|[{_CJK}])"
)
_PAUSE = later(rf"[,:，、：](?=\s|[{_CJK}])|\s")
_NO_END = later(
    r"(?:^|[\s(\[“\"'])(?:[A-Z]|[Mm]rs?|[Mm]s|[Dd]r|[Pp]rof|[Ss]t|[Jj]r|[Ss]r|vs|[Nn]os?|[Ff]igs?|[Ee]tc|[Ee]\.g|[Ii]\.e"
    r"|[Cc]f|al|approx|[Cc]a|[Vv]ol|[Pp]p?|[Ee]d|[Ii]nc|[Ll]td|[Cc]o|a\.m|p\.m|U\.S|U\.K|\d{1,3})\.$"
)
"""What a full stop belongs to without ending a sentence: initials, abbreviations, the number of a list item."""
_NUMBER_ONLY = later(r"^\s*\d{1,3}\.$")
_FENCES = {"```": "```", "~~~": "~~~", "$$": "$$", r"\[": r"\]"}
_BEGINS_FENCE = ("`", "~", "$", "\\", "|")

_TABLE = later(r"^\s*\||^[\s|:+-]*-[\s|:+-]*$|\s\|\s.*\s\|\s")
_MARKS_BEFORE = later(r"^\s*(?:#{1,6}\s+|>\s?|[-*+•]\s+(?:\[[ xX]\]\s+)?)+")
_PICTURE = later(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = later(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])")
_ADDRESS = later(rf"<?(?:https?://|ftp://|www\.|mailto:)[^\s<>{_CJK}]+>?")
_ADDRESS_TAIL = later(r"[.,;:!?)\]'\"]+$")
_FORMULA = later(r"\$\$.*?\$\$|\\\[.*?\\\]|\\\((.*?)\\\)")
_TAG = later(r"</?[A-Za-z][^<>]*>")
_EMPHASIS = later(r"(?<![\w*])(\*{1,3})(?=\S)|(?<=\S)(\*{1,3})(?![\w*])|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)|~~")
_PICTOGRAMS = later("[\U0001f000-\U0001faff\U00002600-\U000027bf\U00002b00-\U00002bff\ufe0f\u200d\u20e3]+")
_LEFT_OVER = later(r"[`|\[\]{}<>\\^]+")
_SPACES = later(r"\s+")
_SPACE_BEFORE_MARK = later(r"\s+([,.;:!?，。；：！？、)])")


def spoken(text: str) -> str:
    """One sentence without marks and addresses; empty where nothing is left to say."""
    text = _FORMULA().sub(lambda match: match[1] or " ", text)
    text = _MARKS_BEFORE().sub("", text)
    text = _LINK().sub(r"\1", _PICTURE().sub(r"\1", text))
    text = _ADDRESS().sub(lambda match: tail[0] if (tail := _ADDRESS_TAIL().search(match[0])) else "", text)
    text = _PICTOGRAMS().sub(" ", _EMPHASIS().sub("", _TAG().sub(" ", text)))
    # Square brackets also because some programs take what stands in them for orders.
    text = _LEFT_OVER().sub(" ", text.replace("_", " "))
    text = _SPACE_BEFORE_MARK().sub(r"\1", _SPACES().sub(" ", text)).strip()
    return text if any(character.isalnum() for character in text) else ""


class SentenceCutter:
    """Takes a reply as it streams, and gives its sentences as soon as each has ended."""

    def __init__(self) -> None:
        self._line = ""
        """What came of the present line and is not given yet."""
        self._is_line_begun = False
        """Whether a part of the present line was given, so that it can no more turn out to be a table."""
        self._fence = ""
        """What ends the block of code or formula that is being left out."""

    def feed(self, text: str) -> list[str]:
        """Go on with the reply; the sentences that have ended now, made fit to be spoken."""
        found: list[str] = []
        *lines, rest = (self._line + text).split("\n")
        for line in lines:
            found += self._whole_line(line)
            self._is_line_begun = False
        self._line = rest
        if not self._fence and not (not self._is_line_begun and rest.lstrip().startswith(_BEGINS_FENCE)):
            sentences, self._line = _cut(rest)
            self._is_line_begun = self._is_line_begun or bool(sentences)
            found += sentences
        return [words for sentence in found if (words := spoken(sentence))]

    def finish(self) -> list[str]:
        """The reply is over: what is left of it."""
        return self.feed("\n")

    def _whole_line(self, line: str) -> list[str]:
        stripped = line.strip()
        if self._fence:
            if stripped.startswith(self._fence) or (self._fence in ("$$", r"\]") and stripped.endswith(self._fence)):
                self._fence = ""
            return []
        if not self._is_line_begun:
            opening = next((mark for mark in _FENCES if stripped.startswith(mark)), "")
            closing = _FENCES.get(opening, "")
            if opening and not (
                closing in ("$$", r"\]") and stripped.endswith(closing) and len(stripped) > len(opening)
            ):
                self._fence = closing
                return []
            if _TABLE().search(line):
                return []
        sentences, rest = _cut(line + "\n")
        return [*sentences, rest]


def _cut(text: str) -> tuple[list[str], str]:
    """The whole sentences at the beginning of a line, and what is left."""
    sentences: list[str] = []
    start = 0
    for match in _END().finditer(text):
        sentence = text[start : match.end()]
        if not _is_end(sentence):
            continue
        sentences += _parts(sentence)
        start = match.end()
    *parts, rest = _parts(text[start:])
    return sentences + parts, rest


def _parts(text: str) -> list[str]:
    """A sentence in pieces that are not too long."""
    parts: list[str] = []
    while len(text) > MAX_CHARACTERS and (at := _last_pause(text)):
        parts.append(text[:at])
        text = text[at:]
    return [*parts, text]


def _is_end(sentence: str) -> bool:
    """Whether a mark ends a sentence: not within code, a link or a formula, nor behind an abbreviation."""
    if sentence.count("`") % 2 or _is_open(sentence, "[", "]") or _is_open(sentence, r"\(", r"\)"):
        return False
    return not _NUMBER_ONLY().match(sentence) and not _NO_END().search(sentence)


def _is_open(text: str, opening: str, closing: str) -> bool:
    return text.count(opening) > text.count(closing)


def _last_pause(text: str) -> int:
    """Where to cut a text that is too long; 0 where it cannot be cut."""
    places = [
        match.end() for match in _PAUSE().finditer(text, 0, MAX_CHARACTERS) if not text[: match.end()].count("`") % 2
    ]
    commas = [at for at in places if not text[at - 1].isspace()]
    return (commas or places or [0])[-1]
