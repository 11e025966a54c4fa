"""The account of a prompt: what each part of it takes, in tokens, so that the parts sum up to the whole.

A token may belong to several parts at once (to a chat template's frame around them, to two words joined), so parts
are counted as differences of whole prompts that grow by one part at a time. What the template itself
takes, its frame of an empty message and the opening of the reply included, goes to `system`; the frames of
further messages go to the part whose messages they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mmchat.chat.entries import ADDED, CountTokens, Entry, Head, Layer, merge_same_role
from mmchat.domain import Message, PartKind, WindowPart

ORDER: tuple[PartKind, ...] = (
    "system",
    "summary",
    "pinned",
    "kept",
    "documents",
    "recalled",
    "facts",
    "senses",
    "newest",
)
"""As the parts are shown; about the order in which the model reads them."""
_EMPTY = (Message("user", ""),)


def count_parts(
    head: Head,
    kept: Sequence[Entry],
    newest: Entry,
    cut: tuple[Message, ...] | None,
    *,
    count_tokens: CountTokens,
) -> tuple[WindowPart, ...]:
    """The parts of a prompt that are there, in `ORDER`.

    Args:
        head: what stands before the kept turns.
        kept: the turns before the newest one.
        newest: the one to be answered.
        cut: what is left of it where it did not fit; then all of it counts as the newest message.
        count_tokens: the model's own count of a whole prompt.
    """
    before, bare = head.messages(), head.messages(has_pins=False)
    steps: list[Layer] = [
        ("system", (*head.messages(has_summary=False, has_pins=False), *_EMPTY)),
        ("summary", (*bare, *_EMPTY)),
        ("pinned", (*before, *_EMPTY)),
    ]
    layers: list[Layer] = [("newest", cut)] if cut is not None else [(kind, newest.told_with(kind)) for kind in ADDED]
    steps += [(kind, (*before, *messages)) for kind, messages in layers]
    told = layers[-1][1]
    # The kept turns last: of the long prompts, most are the whole one, which is counted anyway.
    for kind in ADDED:
        said = [message for entry in kept for message in entry.told_with(kind)]
        steps.append(("kept" if kind == "newest" else kind, (*before, *said, *told)))
    counts: Counter[PartKind] = Counter({"pinned": len(head.pins), "kept": len(kept), "newest": 1})
    for entry in (*kept, newest):
        counts.update(dict(entry.counts))
    tokens = _differences(steps, count_tokens)
    return tuple(WindowPart(kind, tokens[kind], counts[kind]) for kind in ORDER if tokens[kind])


def _differences(steps: Sequence[Layer], count_tokens: CountTokens) -> Counter[PartKind]:
    """What each step adds; none takes anything away, and together they are the last prompt."""
    total = count_tokens(merge_same_role(steps[-1][1]))
    tokens: Counter[PartKind] = Counter()
    reached = 0
    previous: tuple[Message, ...] = ()
    for kind, messages in steps:
        if messages == previous:
            continue
        previous = messages
        counted = total if messages == steps[-1][1] else count_tokens(merge_same_role(messages))
        counted = min(max(counted, reached), total)
        tokens[kind] += counted - reached
        reached = counted
    return tokens
