"""Rules that keep invented words out of a transcript, shared by every Whisper engine. Pure functions.

Whisper invents text for silence and noise, and repeats itself when it loses the thread. Each rule asks for
two independent signs before it drops anything, and no rule is a list of phrases: people do say "thank you".
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from mmchat.domain import UNSURE_BELOW, Segment, Word

NO_SPEECH_PROB = 0.6
NO_SPEECH_LOGPROB = -0.8
"""Whisper's own rule uses -1.0, and lets " You" through on five seconds of zeros (logprob -0.94)."""
LANGUAGE_PROB = 0.5
"""A detected language below this is a guess; the language heard last is the better one."""
SETTLED_PROB = 0.8
"""From here on a detected language is taken for that of the rest."""
DOUBTED_LOGPROB = -0.7
"""Text that the model itself believes so little may be of another language: 20 of 20 Mandarin sentences are so to
tiny.en, no sentence of LJSpeech, and one in eight of AN4's spelled names."""
KEPT_SHARE = 0.6
"""Of the words that were sure, so many must stand when terms are told."""
LOOP_RATIO = 2.4
"""Text that shrinks so much goes round in circles. Whisper's own figure."""
SURE_RUN = 6
"""So many repeats in a row are a loop even in text the model believes in."""
DOUBTED_RUN = 3
"""So many are a loop where the model doubts its text."""

CHINESE_PROMPTS = {"simplified": "以下是普通话的句子。", "traditional": "以下是普通話的句子。", "any": ""}
"""What Whisper is shown before Mandarin, by the characters that are wanted. Without it, it mostly answers in
Traditional ones (character error rate 34 instead of 18 on AISHELL-1 with `base`)."""

TEMPERATURES = (0.0, 0.2, 0.4, 0.6)
"""Whisper's fallback for text that repeats or is doubted. Above 0.6 it makes text up, so the ladder ends there."""

UNSPACED = frozenset({"zh", "ja", "yue", "th", "lo", "my"})
"""Languages written without spaces between words."""

MAX_UNIT_WORDS = 4
_WORD = re.compile(r"\S+\s*")
_GLYPH_RUN = re.compile(r"([^\W\d_a-zA-Z][^\d\sa-zA-Z]{0,5}?)\1+")
"""A unit of up to six characters said again at once, in scripts without spaces."""


def is_believable(segment: Segment) -> bool:
    """False for what Whisper says into silence: it sees no speech, and does not believe its text either."""
    return not (segment.no_speech_prob > NO_SPEECH_PROB and segment.avg_logprob < NO_SPEECH_LOGPROB)


def is_doubtful(segments: Sequence[Segment]) -> bool:
    """Whether a text may be of another language: little believed, a loop, or none at all."""
    text = "".join(segment.text for segment in segments).encode()
    is_loop = bool(text) and len(text) > LOOP_RATIO * len(zlib.compress(text))
    return is_loop or _mean_logprob(segments) < DOUBTED_LOGPROB


def collapse_repeats(text: str, *, is_doubted: bool) -> str:
    """Say a looped word or phrase once.

    Digits and single letters are left alone: telephone numbers and spelled names repeat for good reason.
    """
    limit = DOUBTED_RUN if is_doubted else SURE_RUN

    def once(match: re.Match[str]) -> str:
        return match[1] if len(match[0]) // len(match[1]) >= limit else match[0]

    return _GLYPH_RUN.sub(once, _collapse_words(text, limit))


def _collapse_words(text: str, limit: int) -> str:
    words = _WORD.findall(text)
    plain = [bare(word) for word in words]
    kept = [text[: len(text) - len(text.lstrip())]]
    position = 0
    while position < len(words):
        length = next((n for n in range(1, MAX_UNIT_WORDS + 1) if _repeats(plain, position, n) >= limit), 0)
        kept += words[position : position + (length or 1)]
        position += length * _repeats(plain, position, length) if length else 1
    return text if len(kept) == len(words) + 1 else "".join(kept).rstrip()


def _repeats(words: list[str], start: int, length: int) -> int:
    """How often the `length` words at `start` stand there in a row; 1 for digits and single letters."""
    unit = words[start : start + length]
    if any(character.isdigit() for word in unit for character in word) or all(len(word) < 2 for word in unit):
        return 1
    count = 1
    while words[start + count * length : start + (count + 1) * length] == unit:
        count += 1
    return count


def prompt_for(language: str, prompt: str, chinese: str = "simplified") -> str:
    """The words Whisper is shown before a window: the caller's, after those its language needs.

    Args:
        language: of the window, ISO 639-1.
        prompt: the caller's.
        chinese: a key of `CHINESE_PROMPTS`.
    """
    needed = CHINESE_PROMPTS[chinese] if language == "zh" else ""
    return " ".join(part for part in (needed, prompt.strip()) if part)


def told(terms: Sequence[str], language: str) -> str:
    """Names and terms as a text that Whisper is shown before a window."""
    return "、".join(terms) + "。" if language in UNSPACED else ", ".join(terms) + "."


def has_doubt(segments: Sequence[Segment]) -> bool:
    """Whether the model was unsure of a word."""
    return any(word.probability < UNSURE_BELOW for segment in segments for word in segment.words)


def is_helped(plain: Sequence[Segment], helped: Sequence[Segment], terms: Sequence[str]) -> bool:
    """Whether a text drawn with `terms` in sight is better than the one without, and not a recital of them.

    It must be likelier to the model, hold a term that the plain one lacks, keep most of the words that were sure,
    and neither be much longer nor say terms in the row they were shown in.
    """
    before, after = bare("".join(s.text for s in plain)), bare("".join(s.text for s in helped))
    bare_terms = [bare(term) for term in terms]
    new = [term for term in bare_terms if term and term in after and term not in before]
    if not new or _mean_logprob(helped) <= _mean_logprob(plain):
        return False
    if any(first + second in after for first, second in zip(bare_terms, bare_terms[1:], strict=False)):
        return False
    if len(after) > 1.25 * len(before) + max(map(len, new)):
        return False
    sure = [bare(word.text) for s in plain for word in s.words if word.probability >= UNSURE_BELOW]
    kept = SequenceMatcher(a=sure, b=[bare(word.text) for s in helped for word in s.words], autojunk=False)
    return sum(block.size for block in kept.get_matching_blocks()) >= KEPT_SHARE * len(sure)


def bare(text: str) -> str:
    """Letters and figures alone, whatever their case."""
    return "".join(filter(str.isalnum, text)).casefold()


def _mean_logprob(segments: Sequence[Segment]) -> float:
    letters = sum(len(segment.text) for segment in segments)
    return sum(segment.avg_logprob * len(segment.text) for segment in segments) / letters if letters else -9.0


def clean(segment: Segment, prompt: str) -> Segment | None:
    """The segment as it may be shown, or None where it was made up.

    Args:
        segment: as the engine gave it.
        prompt: what the engine was shown; a model that hears nothing tends to recite it.
    """
    if not is_believable(segment):
        return None
    text = collapse_repeats(segment.text.strip(), is_doubted=segment.avg_logprob < NO_SPEECH_LOGPROB)
    if not any(character.isalnum() for character in text):
        return None
    for shown in filter(None, CHINESE_PROMPTS.values()):
        if shown in prompt and shown.rstrip("。") in text:
            text = text.replace(shown, "").replace(shown.rstrip("。"), "").strip()
            if not any(character.isalnum() for character in text):
                return None
    return replace(segment, text=text, words=words_of(text, segment.words))


def words_of(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Those of `words` that stand in `text`, in order; none where they do not make it up."""
    kept: list[Word] = []
    position = 0
    for word in words:
        bare = word.text.strip()
        at = position + len(text[position:]) - len(text[position:].lstrip())
        if bare and text.startswith(bare, at):
            kept.append(word)
            position = at + len(bare)
    return tuple(kept) if not text[position:].strip() else ()


def join_texts(texts: list[str], language: str) -> str:
    """Segments as one text: spaces between them, except in scripts that use none."""
    return ("" if language in UNSPACED else " ").join(texts)
