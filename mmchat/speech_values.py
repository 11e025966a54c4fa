"""Speech as values, and which of its words are in doubt. Part of `domain`, which names the letters of shapes."""

from __future__ import annotations

from dataclasses import dataclass

UNSURE_BELOW = 0.55
"""A word that the recogniser gives a lower probability is in doubt. Of English words one in twenty is, and about half
of those are wrong, which are half of all that are wrong; of Chinese characters one in six, and a third of those."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a segment (in Chinese, a character or a few), with the space before it."""

    text: str
    start_s: float
    end_s: float
    probability: float
    """How sure the recogniser was, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech."""

    start_s: float
    end_s: float
    text: str
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    words: tuple[Word, ...] = ()
    """Empty where the recogniser was not asked for them, or gives none."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Speech turned into text. `text` is empty when no speech was found."""

    text: str
    language: str
    """ISO 639-1, as Whisper names it."""
    duration_s: float
    segments: tuple[Segment, ...] = ()
    model: str = ""
    elapsed_s: float = 0.0
    language_probability: float = 0.0
    """How sure the language is, in [0, 1]; 0 where it was given and not detected."""


@dataclass(frozen=True, slots=True)
class LiveText:
    """What is being said, while it is still being recorded; for showing only."""

    confirmed: str
    """Grows only: what two passes in a row agreed on."""
    tentative: str
    """What the last pass heard after it, which may still change; with the space before it where one belongs."""


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """What a recogniser is asked for beyond the text."""

    expected: str = ""
    """The language that was heard before: taken for granted unless the text comes out doubtful. ISO 639-1."""
    with_words: bool = False
    """Tell the words of each segment with their times and probabilities."""
    terms: tuple[str, ...] = ()
    """Names and terms that may come up, to be spelled so; no text is made of them where nothing is heard."""
    is_draft: bool = False
    """The text is shown for a moment only: no second tries."""


TEXT_ONLY = ListenOptions()
