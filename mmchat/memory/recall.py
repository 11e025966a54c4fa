"""Search over everything said, shown and heard. (Skeleton of the agreed interface.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mmchat.domain import Recalled
from mmchat.memory.store import MemoryStore


class Embeds(Protocol):
    """What recall needs of an embedder; `engines.base.TextEmbedder` has it."""

    name: str
    embedding_dim: int

    def embed(self, texts: Sequence[str]): ...  # (B, D) float32 unit rows


class Recall:
    """Finds the older turns that bear on a query."""

    def __init__(self, store: MemoryStore, embedder: Callable[[], Embeds | None]) -> None:
        """`embedder` is called (it may block while loading) only when vectors are needed."""

    def index(self, turn_id: str) -> None:
        """Embed and store the vector of a turn (its text, what was heard, what was seen)."""

    def index_image(self, attachment_id: str, vector, model: str) -> None:
        """Store a picture's vector, (D,) float32."""

    def find(
        self, query: str, *, k: int = 5, session_id: str | None = None,
        exclude_turns: Sequence[str] = (), exclude_session: str | None = None, use_vectors: bool = True,
    ) -> tuple[Recalled, ...]:
        """Best first; empty when nothing bears on it. Turns without a vector yet are found by words."""

    def find_by_image(self, vector, model: str, *, k: int = 5) -> tuple[Recalled, ...]: ...
