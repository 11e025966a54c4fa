"""The spaces in which a text is compared with pictures, and what a cosine means in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mmchat.later import np
from mmchat.memory.store import MemoryStore
from mmchat.memory.vectors import VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNRELATED = tuple(
    """
Can you help me write an email to my landlord?|I slept badly last night and have a meeting at nine.
What is the capital of Portugal?|How do I undo the last commit in git?|My sister starts her new job on Monday.
Thanks, that was exactly what I needed.|I think the second option is better for us.|What did we decide about the rent?
Remind me why we chose that bank.|How much does it cost to renew a passport?|Translate this sentence into French.
The doctor said it will take six weeks to heal.|Give me three names for a small bakery.|I forgot my password again.
What time is it in Tokyo now?|Could you explain how interest rates work?|She said she would call back tomorrow.
Why is my code so slow?|I would like to learn a new language this year.|Summarise what we talked about yesterday.
My favourite author has written another novel.|How long should I boil an egg?|Please make it shorter and more polite.
We moved here four years ago because of work.|What is the difference between a virus and a bacterium?
I am allergic to nuts, so nothing with almonds.|Tell me a joke about teachers.|Who won the election in 1960?
How many days are left until the deadline?|I don't agree with what he wrote.|Can you check my grammar?
The train was late and I missed the interview.|What should I say at the funeral?|How do I cancel my subscription?
Is it safe to take both pills together?|My budget is about eight hundred a month.|I feel a bit lonely since the move.
Let's go on with the story where we stopped.|He has been learning the cello since March.
""".strip()
    .replace("\n", "|")
    .split("|")
)
"""What people say in a chat without a picture in mind; our own sentences."""
_SAMPLE = 128
_LEAST_SPREAD = 1e-3


class Embeds(Protocol):
    """The sentence embedder; `engines.base.TextEmbedder` is one."""

    name: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows."""
        ...


class Texts(Protocol):
    """Texts in a dual encoder's space; `engines.base.PictureTexts` is one."""

    name: str

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows."""
        ...


@runtime_checkable
class MapsSentences(Protocol):
    """Texts whose vectors are a map of the sentence embedder's, so that a query is embedded once."""

    def map_sentences(self, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, D) float32, unit rows, of the embedder's (B, E)."""
        ...


@dataclass(frozen=True, slots=True)
class Space:
    """Where texts and pictures are compared."""

    index: VectorIndex
    name: str
    """Of the model whose vectors these are."""
    embed: Callable[[Sequence[str]], NDArray[np.float32]]
    of_sentences: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    """Makes its vectors of those of the first space, where it can."""


def embedded(texts: Sequence[str], spaces: Sequence[Space]) -> list[NDArray[np.float32]]:
    """The vectors of texts in each space; the first is the sentence embedder's where others are made of it."""
    vectors: list[NDArray[np.float32]] = []
    for space in spaces:
        vectors.append(space.embed(texts) if space.of_sentences is None else space.of_sentences(vectors[0]))
    return vectors


@dataclass(frozen=True, slots=True)
class Spread:
    """What unrelated texts reach with the pictures of one space."""

    pictures: int
    """How many it was measured with."""
    mean: float
    deviation: float


class Spreads:
    """Measured once for each space, and again while there are few pictures. Safe from any thread."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._known: dict[str, Spread] = {}
        self._lock = Lock()

    def of(self, space: Space) -> Spread:
        """Of the newest pictures; the first time takes some tenths of a second."""
        newest = self._store.file.rows(
            "SELECT owner FROM embeddings WHERE owner_kind = 'attachment' AND model = ? ORDER BY number DESC LIMIT ?",
            (space.name, _SAMPLE),
        )
        with self._lock:
            spread = self._known.get(space.name)
            if spread is None or spread.pictures < len(newest):
                owners = [row["owner"] for row in newest]
                cosines = [
                    cosine
                    for vector in space.embed(UNRELATED)
                    for cosine in space.index.cosines_of(vector, owners).values()
                ]
                deviation = max(float(np.std(cosines)), _LEAST_SPREAD) if cosines else 1.0
                mean = float(np.mean(cosines)) if cosines else 0.0
                spread = self._known[space.name] = Spread(len(newest), mean, deviation)
        return spread
