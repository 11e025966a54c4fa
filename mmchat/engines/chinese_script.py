"""Chinese in the characters that are wanted: a prompt makes Whisper mostly write them, this makes it certain."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from opencc import OpenCC

from mmchat.domain import Segment

_CONVERSIONS = {"simplified": "t2s", "traditional": "s2tw"}
"""Names of OpenCC's tables. Traditional as Taiwan writes it, where most who write so live."""


def in_script(segment: Segment, wanted: str) -> Segment:
    """The segment, words included, in `wanted` characters, a key of `speech_gates.CHINESE_PROMPTS`."""
    name = _CONVERSIONS.get(wanted)
    if name is None:
        return segment
    convert = _converter(name).convert
    together = convert("".join(word.text for word in segment.words))
    words = []
    at = 0
    for word in segment.words:  # as a whole, for 发 is 發 or 髮 by what stands beside it; lengths stay the same
        words.append(replace(word, text=together[at : at + len(word.text)]))
        at += len(word.text)
    return replace(segment, text=convert(segment.text), words=tuple(words) if at == len(together) else segment.words)


@cache
def _converter(name: str) -> OpenCC:
    return OpenCC(name)
