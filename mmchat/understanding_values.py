"""What a message is taken to want and how it sounds, as values. Imported from `mmchat.domain`, where their like are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OUT_OF_SCOPE = "out_of_scope"
"""The intent of a message that wants none of the known ones."""

PreparedKind = Literal["", "intent", "forbidden", "unknown", "quote"]
"""Why the words of a reply were not drawn from the model: an intent's own reply, a forbidden topic, nothing in the
documents, or the documents' own words; empty: they were drawn."""


@dataclass(frozen=True, slots=True)
class Likely:
    """A label and its calibrated probability in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Understood:
    """What a message of the user's is taken to want, and how it sounds."""

    intents: tuple[Likely, ...] = ()
    """The likeliest few, best first, `OUT_OF_SCOPE` being one of them; empty where nobody asked for intents."""
    topic: str = ""
    """The forbidden topic that it is about; empty for none."""
    mood: float | None = None
    """Valence in [-1, 1]: -1 is angry or sad, 0 neutral, 1 glad. None where nobody asked, or nothing tells."""
    reader: str = ""
    """What read the intents: a head's name, or "examples"."""

    @property
    def intent(self) -> str:
        """The likeliest; empty for none."""
        return self.intents[0].label if self.intents else ""

    @property
    def confidence(self) -> float:
        """Of the likeliest."""
        return self.intents[0].probability if self.intents else 0.0


@dataclass(frozen=True, slots=True)
class HandOver:
    """What a person is told of a conversation that is handed over to them."""

    id: str
    session_id: str
    reason: str
    """"mood", "intent" or "unknown" where it had been suggested; "asked" where nobody had suggested it."""
    text: str
    created_at: str
