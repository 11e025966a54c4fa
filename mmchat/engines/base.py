"""The protocols that every engine keeps, and the contract behind them.

An engine is safe to call from any thread: a lock inside it lets one call use the model at a time.
It checks `cancel` at least once per token, segment or image. It translates its library's exceptions
into `mmchat.errors`, prints nothing, and never connects to anything unless that is its purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mmchat.domain import (
    TEXT_ONLY,
    BatchReply,
    EngineSpec,
    GenerateOptions,
    GenerationDone,
    Heard,
    Likelihood,
    Likely,
    ListenOptions,
    Message,
    Segment,
    Tag,
    TextDelta,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@runtime_checkable
class LanguageModel(Protocol):
    """Streams replies to a list of messages."""

    name: str
    engine: str
    device: str
    context_tokens: int
    accepts_images: bool
    reply_tokens: int
    """The most tokens of a reply that has room of its own beside the prompt (encoder–decoders); 0 where both share
    the context."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt, with the model's own template and the opening of the reply."""
        ...

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions, cancel: Event
    ) -> Iterator[TextDelta | GenerationDone]:
        """Yield the reply as it is drawn, then exactly one `GenerationDone`.

        Deltas joined are the reply; a character is never split; template marks never appear.
        Cancelling ends the stream within one token with `finish_reason="cancelled"`. Closing the
        generator early also stops the work. The same messages, options and seed give the same text.

        Raises:
            UsageError: the prompt does not fit the context.
            EngineUnavailable: the server behind the engine failed.
            DeviceError: out of memory.
        """
        ...

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        ...


@runtime_checkable
class AheadReader(LanguageModel, Protocol):
    """A language model that can read a prompt before there is anything to answer."""

    gains_by_reading: bool
    """Whether what it has read makes a reply begin sooner."""

    def read_ahead(self, messages: Sequence[Message], cancel: Event) -> None:
        """Read a prompt and draw nothing; a later prompt is then only read from where it differs.

        It gives way: it ends when `cancel` is set or another call wants the model, keeping what it has read so far,
        and does nothing while another call is at work. Nothing of a reply depends on it but when it begins.

        Raises:
            UsageError: the prompt does not fit the context.
            EngineUnavailable: the model was closed.
            DeviceError: out of memory.
        """
        ...


@runtime_checkable
class RedressableModel(LanguageModel, Protocol):
    """A language model whose adapter can be changed while its weights stay in memory."""

    def redressed(self, spec: EngineSpec) -> LanguageModel:
        """A model of the same weights with the adapter that `spec` names, or with none.

        This one is closed: what it was doing ends, and nothing of its conversations is kept, because keys and values
        are the adapter's too. Its weights go over to the other.

        Args:
            spec: differs from the one this was loaded by in its name and its adapter alone.

        Raises:
            EngineUnavailable: it was closed before.
            ModelNotFound, WeightsError, ConfigError: the adapter is not there or does not fit; the weights are freed.
        """
        ...


@runtime_checkable
class BatchLanguageModel(LanguageModel, Protocol):
    """A language model that answers many prompts at once, for evaluation."""

    preferred_batch: int
    """How many prompts one call had best hold."""
    is_batch_exact: bool
    """Whether a prompt gets the same greedy reply whatever else is in its batch."""

    def reply_batch(
        self, prompts: Sequence[Sequence[Message]], options: GenerateOptions, cancel: Event, *, seeds: Sequence[int]
    ) -> tuple[BatchReply, ...]:
        """Replies in the order of the prompts, each the text that `stream` would join to.

        Args:
            prompts: any number; what does not fit at once is done in turns.
            options: its seed is ignored.
            cancel: ends the work soon; replies not finished then say `cancelled`.
            seeds: one for each prompt, so that a sampled reply does not depend on its batch.

        Raises:
            UsageError: a prompt does not fit the context.
            EngineUnavailable: the server behind the engine failed.
            DeviceError: out of memory even one by one.
        """
        ...


@runtime_checkable
class ScoringLanguageModel(BatchLanguageModel, Protocol):
    """A language model that says how likely it finds a text."""

    def likelihoods(
        self, prompts: Sequence[Sequence[Message]], replies: Sequence[str], cancel: Event
    ) -> tuple[Likelihood, ...]:
        """How likely each reply is after its prompt, its end mark included.

        A prompt without messages scores the reply as plain text, without template or end mark, from its
        second token on where the model has no begin mark. Stops early, with fewer results, when cancelled.

        Raises:
            UsageError: prompt and reply together do not fit the context.
            DeviceError: out of memory even one by one.
        """
        ...


@runtime_checkable
class SpeechRecognizer(Protocol):
    """Turns 16 kHz sound into text."""

    name: str
    engine: str
    device: str

    @property
    def model_names(self) -> tuple[str, ...]:
        """Models whose results count as its own: itself, and those that it leaves some languages to."""
        ...

    def transcribe(
        self,
        pcm: NDArray[np.float32] | Iterator[NDArray[np.float32]],
        *,
        language: str | None = None,
        prompt: str = "",
        cancel: Event | None = None,
        options: ListenOptions = TEXT_ONLY,
    ) -> Iterator[Segment | Heard]:
        """Yield segments as they are recognised, then exactly one `Heard`.

        Args:
            pcm: (S,) float32 in [-1, 1], 16 000 Hz, mono; or an iterator over its pieces, for long sounds.
            language: ISO 639-1, or None to detect it.
            prompt: words that bias the recogniser (names, spelling, script).
            cancel: ends the stream after the current segment; `Heard` then holds what was done.
            options: what else is wanted.

        Raises:
            AudioError: pcm is empty, not one-dimensional or not float32, or a piece cannot be read.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


@runtime_checkable
class ImageReader(Protocol):
    """A dual encoder: pictures and texts in one space."""

    name: str
    engine: str
    device: str
    embedding_dim: int

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows. Images are RGB and already oriented."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows, comparable with `embed_images` by dot product."""
        ...

    def tag(self, image: Image, *, top_k: int = 5, labels: Sequence[str] | None = None) -> tuple[Tag, ...]:
        """The best tags, best first: from the open vocabulary, or of `labels` (their scores sum to 1)."""
        ...

    def tag_batch(
        self, images: Sequence[Image], *, top_k: int = 5, labels: Sequence[str] | None = None
    ) -> list[tuple[Tag, ...]]:
        """`tag` of each picture, looked at together."""
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """Reads text that stands in pictures."""

    name: str
    engine: str

    def read(self, image: Image) -> str:
        """The text, a row of it a line; empty where there is none to be sure of. The image is RGB and oriented.

        Raises:
            EngineUnavailable: the library failed.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


@runtime_checkable
class PictureTexts(Protocol):
    """Texts where the pictures they describe are; an `ImageReader` is one."""

    name: str
    """Of the dual encoder: texts are compared with pictures of that name alone."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows, comparable with the encoder's pictures by dot product."""
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """Sentences as vectors, for recall."""

    name: str
    engine: str
    embedding_dim: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's own tokeniser, whole and without marks around it."""
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """Tells which of its labels a text, a picture or both belong to."""

    name: str
    engine: str
    device: str
    labels: tuple[str, ...]
    needs_text: bool
    needs_image: bool

    def classify(self, texts: Sequence[str], images: Sequence[Image]) -> NDArray[np.float32]:
        """Probabilities of the labels.

        Args:
            texts: B of them; may be empty for one that needs none.
            images: B of them, RGB and oriented; may be empty for one that needs none.

        Returns:
            (B, L) float32 in the order of `labels`, rows summing to 1.

        Raises:
            UsageError: a text or a picture that it needs is missing.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


class IntentReader(Protocol):
    """Tells what a message wants."""

    name: str

    def read(self, text: str, image: Image | None = None) -> tuple[Likely, ...]:
        """The likeliest few intents, best first, with calibrated probabilities; `OUT_OF_SCOPE` is one of them.

        Args:
            text: the message, with what was heard and seen in its files; English or Chinese.
            image: the first picture that came with it, RGB and oriented, for readers that look at it.

        Returns:
            Up to six; nothing at all from a head that was trained on pictures or texts where there is none.

        Raises:
            EngineUnavailable: the model behind it was closed.
        """
        ...


class MoodReader(Protocol):
    """Tells how a message sounds."""

    def read(self, text: str) -> float | None:
        """Valence in [-1, 1]; about 0 for a calm message, None where nothing tells: no words, or another language.

        From 0.25 on, either way, it is rarely wrong; many a mood is not told.

        Args:
            text: the user's own words, typed or heard; English or Chinese.
        """
        ...
