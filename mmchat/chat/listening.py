"""How one conversation listens: in which language, and for which names."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from mmchat.domain import Heard
from mmchat.speech_languages import code_of, name_of

PINNED_FROM = 0.7
"""From this probability on, a detected language is taken for that of the conversation."""
PINNED_FROM_S = 1.0
"""Shorter sounds say too little of their language."""


class Listening:
    """The language of a conversation's speech. Every method may be called from any thread."""

    def __init__(
        self, language: str | None = None, terms: Callable[[], tuple[str, ...]] = tuple, *, expected: str = ""
    ) -> None:
        """Listen for a conversation.

        Args:
            language: from the settings, ISO 639-1; None: the first recording decides.
            terms: gives the names and terms that may come up; may be slow.
            expected: the language that is likely before anything was heard, e.g. that of the role; empty: none.
        """
        self.terms = terms
        self.expected = expected
        self._lock = Lock()
        self._chosen = language
        self._pinned: str | None = None

    @property
    def chosen(self) -> str | None:
        """The language that the user said; None: it is detected."""
        return self._chosen

    @property
    def language(self) -> str | None:
        """The language in force: the chosen one, or that of what was heard, or the expected one; None for none."""
        return self._chosen or self._pinned or self.expected or None

    @property
    def is_heard(self) -> bool:
        """Whether the language in force is that of something that was heard."""
        return self._pinned is not None and not self._chosen

    def choose(self, words: str) -> str | None:
        """Set the language, by its code or its name; "auto" lets the next recording decide.

        Returns:
            Its code; None for "auto".

        Raises:
            UsageError: no such language.
        """
        code = None if words.strip().casefold() == "auto" else code_of(words)
        with self._lock:
            self._chosen, self._pinned = code, None
        return code

    def note(self, heard: Heard) -> None:
        """Learn from what was heard: the first language that is sure becomes that of the conversation."""
        is_sure = heard.language_probability >= PINNED_FROM and heard.duration_s >= PINNED_FROM_S
        with self._lock:
            if heard.text and is_sure and not self._chosen:
                self._pinned = heard.language


def language_words(listening: Listening) -> str:
    """What `/language` answers."""
    if listening.chosen:
        return f"{name_of(listening.chosen)}, as you chose. /language auto has it detected."
    if listening.language:
        why = "as was heard" if listening.is_heard else "as this role speaks, unless something else is surely heard"
        return f"{name_of(listening.language)}, {why}. /language NAME chooses another."
    return "What you speak is detected. /language NAME chooses."
