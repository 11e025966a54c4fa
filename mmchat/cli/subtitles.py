"""Segments as subtitle files."""

from __future__ import annotations

from collections.abc import Sequence

from mmchat.domain import Segment

MIN_SHOWN_S = 0.2
"""Players drop a subtitle that ends when it begins."""


def to_srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered, a comma before the milliseconds."""
    return "".join(
        f"{number}\n{_times(segment, ',')}\n{_words(segment)}\n\n" for number, segment in enumerate(segments, start=1)
    )


def to_vtt(segments: Sequence[Segment]) -> str:
    """WebVTT: a header, a full stop before the milliseconds, markup characters escaped."""
    cues = (
        f"{_times(segment, '.')}\n{_words(segment).replace('&', '&amp;').replace('<', '&lt;')}\n\n"
        for segment in segments
    )
    return "WEBVTT\n\n" + "".join(cues)


def _times(segment: Segment, mark: str) -> str:
    end_s = max(segment.end_s, segment.start_s + MIN_SHOWN_S)
    return f"{_clock(segment.start_s, mark)} --> {_clock(end_s, mark)}"


def _clock(time_s: float, mark: str) -> str:
    total_ms = round(time_s * 1000)
    hours, rest_ms = divmod(total_ms, 3_600_000)
    minutes, rest_ms = divmod(rest_ms, 60_000)
    seconds, millis = divmod(rest_ms, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{millis:03}"


def _words(segment: Segment) -> str:
    """One line: a blank one would end the cue, and an arrow would be taken for its times."""
    return " ".join(segment.text.split()).replace("-->", "->")
