"""What the reply thread does: drive the turn, merge its text, tell the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import TYPE_CHECKING

from mmchat.domain import ReplyDelta, ReplyEvent
from mmchat.errors import MmchatError
from mmchat.tui.messages import ReplyFailed, ReplyFinished, ReplyProgressed

if TYPE_CHECKING:
    from textual.message import Message

MERGE_S = 0.04
"""Text is shown 25 times a second: smoother is not seen, and more costs a core."""


def coalesce(
    events: Iterable[ReplyEvent], *, every_s: float = MERGE_S, now: Callable[[], float] = time.monotonic
) -> Iterator[tuple[ReplyEvent, int]]:
    """Merge neighbouring deltas that come within `every_s`, keeping the order of all events.

    Yields:
        The event, and how many deltas it stands for (0 for other events). The first delta passes at
        once; text never waits past the next event.
    """
    pending: list[str] = []
    flushed_at = float("-inf")
    for event in events:
        if isinstance(event, ReplyDelta):
            pending.append(event.text)
            if now() - flushed_at < every_s:
                continue
            yield ReplyDelta("".join(pending)), len(pending)
            pending.clear()
            flushed_at = now()
            continue
        if pending:
            yield ReplyDelta("".join(pending)), len(pending)
            pending.clear()
        yield event, 0
    if pending:
        yield ReplyDelta("".join(pending)), len(pending)


def run_reply(
    run_id: int, events: Callable[[], Iterable[ReplyEvent]], cancel: Event, post: Callable[[Message], object]
) -> None:
    """Drive one turn to its end and report it. Runs in a worker thread.

    Args:
        run_id: marks every message, so that a turn no longer shown can be told apart.
        events: starts the turn.
        cancel: the turn's own stop signal.
        post: a thread-safe `post_message`.
    """
    try:
        for event, delta_count in coalesce(events()):
            post(ReplyProgressed(run_id, event, delta_count))
    except MmchatError as error:
        post(ReplyFailed(run_id, error))
    else:
        post(ReplyFinished(run_id, was_cut=cancel.is_set()))
