"""What the user thinks of replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmchat.chat.masked import NOTHING, Masking
from mmchat.domain import Mark, Rating, Turn
from mmchat.errors import UsageError
from mmchat.memory.ratings import rate_reply

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore


class Ratings:
    """Marks and better texts of the replies of one conversation."""

    def __init__(
        self,
        store: MemoryStore,
        turns: Callable[[], Sequence[Turn]],
        *,
        is_kept: bool,
        masking: Masking = NOTHING,
    ) -> None:
        """What can be rated.

        Args:
            store: where it is kept.
            turns: all of the conversation, oldest first.
            is_kept: whether it outlives the program; otherwise nothing can be rated.
            masking: takes personal data out of better texts.
        """
        self._masking = masking
        self._store = store
        self._turns = turns
        self._is_kept = is_kept

    def rate(self, mark: Mark) -> Turn:
        """Mark the last reply; the same mark again takes it back, the other one replaces it.

        Returns:
            The reply, with its rating as it is now.

        Raises:
            UsageError: there is no reply that can be rated, or the conversation is not kept.
        """
        reply = self._rateable_reply()
        rating = reply.rating or Rating()
        return self._set(reply, replace(rating, mark=None if rating.mark == mark else mark))

    def improve(self, text: str) -> Turn:
        """Say what the last reply should have been. It is kept beside the reply, which stays as it is.

        Raises:
            UsageError: as for `rate`; or the text is empty or the reply's own.
        """
        reply, better = self._rateable_reply(), self._masking.words(text.strip())
        if not better:
            raise UsageError("There is no better text.", hint="Say what the reply should have been: /better TEXT")
        if better == reply.text.strip():
            raise UsageError("These are the reply's own words.", hint="/good says that they are right.")
        return self._set(reply, replace(reply.rating or Rating(), better=better))

    def unrate(self) -> Turn:
        """Take back all that was said of the last reply.

        Raises:
            UsageError: as for `rate`; or nothing was said of it.
        """
        reply = self._rateable_reply()
        if reply.rating is None:
            raise UsageError("The last reply is not rated.")
        return self._set(reply, Rating())

    def _rateable_reply(self) -> Turn:
        if not self._is_kept:
            raise UsageError(
                "This conversation is not kept, so a rating would be lost with it.",
                hint="/new starts one that is kept; --no-log keeps none.",
            )
        reply = next((turn for turn in reversed(self._turns()) if turn.role == "assistant"), None)
        if reply is None or reply.parent_id is None:  # a greeting answers nobody
            raise UsageError("There is no reply to rate yet.")
        if reply.status == "streaming":
            raise UsageError("The reply is still being written.", hint="Rate it when it has ended.")
        if not reply.text.strip():
            raise UsageError("The last reply has no words, so there is nothing to rate.")
        return reply

    def _set(self, reply: Turn, rating: Rating) -> Turn:
        return rate_reply(self._store, reply.id, rating if rating != Rating() else None)
