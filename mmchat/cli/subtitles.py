"""Segments as subtitle files: cues of at most two lines that can be read while they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from mmchat.domain import Segment, Word
from mmchat.script import is_cjk

MIN_SHOWN_S = 0.2
"""Players drop a subtitle that ends when it begins."""
MAX_SHOWN_S = 7.0
LINE_COLUMNS = 42
"""What players show on one line; a Chinese character takes two columns. Netflix's guide asks for 42 and 7 s too."""
CUE_COLUMNS = 2 * LINE_COLUMNS - 12
"""Two lines, less what is lost where a long word stands in the middle."""
_PIECE = re.compile(r"\s*(?:[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+)")
_PAUSES = (".", ",", ";", ":", "?", "!", "。", "，", "、", "；", "：", "？", "！", "…")


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen at one time."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues(segments: Sequence[Segment]) -> Iterator[Cue]:
    """Cut segments where they are too long or stand too long, at pauses where there are any.

    Segments with words are cut at the words' own times; for the others the times are shared out by length.
    """
    for segment in segments:
        words = list(segment.words) or _shared_out(segment)
        columns = _columns("".join(word.text for word in words))
        parts = max(ceil(columns / CUE_COLUMNS), ceil((segment.end_s - segment.start_s) / MAX_SHOWN_S), 1)
        for part in _cut(words, ceil(columns / parts)):
            text = _one_line("".join(word.text for word in part))
            if text:
                yield Cue(part[0].start_s, max(part[-1].end_s, part[0].start_s + MIN_SHOWN_S), _lines(text))


def to_srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered, a comma before the milliseconds."""
    return "".join(
        f"{number}\n{_times(cue, ',')}\n{_joined(cue)}\n\n" for number, cue in enumerate(cues(segments), start=1)
    )


def to_vtt(segments: Sequence[Segment]) -> str:
    """WebVTT: a header, a full stop before the milliseconds, markup characters escaped."""
    blocks = (
        f"{_times(cue, '.')}\n{_joined(cue).replace('&', '&amp;').replace('<', '&lt;')}\n\n" for cue in cues(segments)
    )
    return "WEBVTT\n\n" + "".join(blocks)


def _shared_out(segment: Segment) -> list[Word]:
    """Words of a segment that has none, each with its share of the time."""
    pieces = _PIECE.findall(segment.text)
    total, at = max(sum(map(len, pieces)), 1), 0
    duration_s = segment.end_s - segment.start_s
    words = []
    for piece in pieces:
        start_s = segment.start_s + duration_s * at / total
        at += len(piece)
        words.append(Word(piece, start_s, segment.start_s + duration_s * at / total, 1.0))
    return words


def _cut(words: Sequence[Word], wanted_columns: int) -> Iterator[Sequence[Word]]:
    """Parts of about so many columns; a pause a little before is the better place to cut."""
    start, columns = 0, 0
    for at, word in enumerate(words):
        is_long = columns + _columns(word.text) > CUE_COLUMNS
        stands_long = word.end_s - words[start].start_s > MAX_SHOWN_S
        if at > start and (is_long or stands_long):
            yield words[start:at]
            start, columns = at, 0
        columns += _columns(word.text)
        is_pause = word.text.rstrip().endswith(_PAUSES)
        if columns >= (0.7 if is_pause else 1.0) * wanted_columns and at + 1 < len(words):
            yield words[start : at + 1]
            start, columns = at + 1, 0
    if start < len(words):
        yield words[start:]


def _lines(text: str) -> tuple[str, ...]:
    """One line, or two of about the same length."""
    columns = _columns(text)
    if columns <= LINE_COLUMNS:
        return (text,)
    places = [match.end() for match in _PIECE.finditer(text)][:-1]
    if not places:
        return (text,)

    def badness(place: int) -> float:
        first = _columns(text[:place])
        pause = 6 if text[:place].endswith(_PAUSES) else 0
        return max(first, columns - first) - pause

    best = min(places, key=badness)
    return text[:best].rstrip(), text[best:].lstrip()


def _columns(text: str) -> int:
    return sum(2 if is_cjk(character) else 1 for character in text)


def _times(cue: Cue, mark: str) -> str:
    return f"{_clock(cue.start_s, mark)} --> {_clock(cue.end_s, mark)}"


def _clock(time_s: float, mark: str) -> str:
    total_ms = round(time_s * 1000)
    hours, rest_ms = divmod(total_ms, 3_600_000)
    minutes, rest_ms = divmod(rest_ms, 60_000)
    seconds, millis = divmod(rest_ms, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{millis:03}"


def _joined(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _one_line(text: str) -> str:
    """A blank line would end the cue, and an arrow would be taken for its times."""
    return " ".join(text.split()).replace("-->", "->")
