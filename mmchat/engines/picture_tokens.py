"""What pictures cost in tokens, for models that take the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mmchat.domain import Message

PICTURE_SHARE = 1 / 6
"""Of the context; what one picture takes at most, where a model can look at it in less detail."""
MOST_PICTURE_TOKENS = 2048
LEAST_PICTURE_TOKENS = 64

_Count = Callable[[Sequence[Message]], int]


def most_picture_tokens(context_tokens: int) -> int:
    """How many tokens one picture may take of a context, for models that leave the choice."""
    return max(LEAST_PICTURE_TOKENS, min(MOST_PICTURE_TOKENS, int(context_tokens * PICTURE_SHARE)))


class PictureTokens:
    """Counts prompts with pictures. Each picture is laid out once, however many prompts it is in.

    Assembling one prompt takes a dozen counts, and an engine would decode and cut up all pictures of a conversation
    for each.
    """

    def __init__(self, count_marked: _Count, count_whole: _Count) -> None:
        """`count_marked`: tokens of a prompt with one token in the place of every picture; `count_whole`: of all."""
        self._count_marked = count_marked
        self._count_whole = count_whole
        self._beyond_mark: dict[tuple[Path, int], int] = {}

    def __call__(self, messages: Sequence[Message]) -> int:
        pictures = [path for message in messages for path in message.image_paths]
        return self._count_marked(messages) + sum(self._more_than_mark(path) for path in pictures)

    def _more_than_mark(self, path: Path) -> int:
        key = (path, path.stat().st_mtime_ns if path.exists() else 0)
        if key not in self._beyond_mark:
            alone = [Message("user", ".", (path,))]
            self._beyond_mark[key] = self._count_whole(alone) - self._count_marked(alone)
        return self._beyond_mark[key]
