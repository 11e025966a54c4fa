"""What a conversation needs from the rest of the program, as protocols.

`wiring` passes the real ones in; tests pass scripted ones. The app knows these and nothing below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import TYPE_CHECKING, Literal, Protocol

from mmchat.domain import LoadState, ModelHabits, ModelKind, ModelSummary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.engines.base import (
        ImageReader,
        IntentReader,
        LanguageModel,
        MoodReader,
        SpeechRecognizer,
        TextEmbedder,
        TextReader,
    )


class Engines(Protocol):
    """Loaded models. Each getter blocks until its model is pulled and loaded, or raises why not.

    Call them from worker threads. `states` never blocks.
    """

    def language_model(self) -> LanguageModel: ...

    def habits(self) -> ModelHabits:
        """What suits the chosen language model; never blocks."""
        ...

    def recognizer(self) -> SpeechRecognizer: ...

    def recognizer_named(self, name: str) -> SpeechRecognizer:
        """Another speech model than the chosen one; stays loaded until the next that is named.

        Raises:
            ModelNotFound: no such speech model.
        """
        ...

    def image_reader(self) -> ImageReader: ...

    def text_reader(self) -> TextReader | None:
        """What reads text in pictures; None where the settings do without."""
        ...

    def embedder(self) -> TextEmbedder | None:
        """None where recall is to work on words alone (no embedder configured or wanted)."""
        ...

    def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> IntentReader:
        """What tells intents: a trained head, or else messages that are examples of each.

        Args:
            examples: intent → messages of that kind, English or Chinese; may be empty with `model`.
            model: name of a trained head; empty: none.

        Raises:
            ModelNotFound, WeightsError: there is no such head, or it cannot be used.
        """
        ...

    def mood_reader(self) -> MoodReader:
        """What tells how messages sound."""
        ...

    def start(self, kinds: Sequence[ModelKind]) -> None:
        """Begin pulling and loading in the background; returns at once."""
        ...

    def fetch_in_background(self, kinds: Sequence[ModelKind]) -> None:
        """Fetch missing weights one after the other without loading them; returns at once."""
        ...

    def is_in_place(self, kind: ModelKind) -> bool:
        """Whether the model of a kind can be loaded without fetching anything."""
        ...

    def states(self) -> tuple[LoadState, ...]:
        """Where each engine stands now."""
        ...

    def use_language_model(self, name: str) -> None:
        """Switch to another model; the next reply uses it, loading begins at once.

        Raises:
            ModelNotFound: no such model in models.toml.
        """
        ...

    def language_models(self) -> tuple[ModelSummary, ...]:
        """What `/model` offers."""
        ...

    def speech_models(self) -> tuple[ModelSummary, ...]:
        """What `/retranscribe` offers."""
        ...

    def close(self) -> None: ...


RecorderState = Literal["idle", "starting", "recording", "stopped", "failed"]


class Recorder(Protocol):
    """A microphone. Never raises from its state readers; safe to poll from the interface thread."""

    @property
    def state(self) -> RecorderState: ...

    @property
    def elapsed_s(self) -> float:
        """Sound captured so far."""
        ...

    @property
    def peak_dbfs(self) -> float:
        """Peak of the last tenth of a second, in dBFS; -96 for digital silence."""
        ...

    @property
    def device_name(self) -> str: ...

    @property
    def warning(self) -> str:
        """What seems wrong while recording ("only digital silence: muted, or no permission"); else empty."""
        ...

    def start(self) -> None:
        """Open the microphone. Blocks briefly: call it from a worker.

        Raises:
            AudioError: no PortAudio, no device, no permission; with the fix as its hint.
        """
        ...

    def sound(self, since: int = 0) -> NDArray[np.float32]:
        """What was captured so far, from sample `since` on. (S,) float32 in [-1, 1], 16 000 Hz."""
        ...

    def stop(self) -> NDArray[np.float32]:
        """End the recording, keeping its tail. (S,) float32 in [-1, 1], 16 000 Hz; may be empty."""
        ...

    def cancel(self) -> None:
        """End and discard."""
        ...


class Voice(Protocol):
    """What speaks."""

    @property
    def name(self) -> str:
        """The program, as the user knows it."""
        ...

    def speak(self, sentence: str, language: str, cancel: Event) -> None:
        """Speak a sentence, and come back when its sound is over. Setting `cancel` ends it within milliseconds.

        Args:
            sentence: plain words.
            language: ISO 639-1.
            cancel: ends it.

        Raises:
            EngineUnavailable: the program failed, or there is no way for sound out.
        """
        ...
