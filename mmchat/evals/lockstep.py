"""Several processes at one evaluation: all do the next step, or all learn why one could not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mmchat.errors import EvalError, MmchatError
from mmchat.evals.base import ProcessGroup


def together(group: ProcessGroup, action: Callable[[], Any]) -> list[Any]:
    """Do `action` in every process, then exchange what came of it.

    Args:
        group: every process of it must come here equally often.
        action: returns what JSON can hold.

    Returns:
        By rank.

    Raises:
        MmchatError: this process's own.
        EvalError: another one's; the message names it.
    """
    if group.size == 1:
        return [action()]
    value: Any = None
    problem: MmchatError | None = None
    try:
        value = action()
    except MmchatError as error:
        problem = error  # raised below, once the others know
    note = {"value": value} if problem is None else {"problem": problem.message, "hint": problem.hint}
    answers = [json.loads(answer) for answer in group.share(json.dumps(note))]
    if problem is not None:
        raise problem
    for rank, answer in enumerate(answers):
        if "problem" in answer:
            raise EvalError(f"Process {rank} of {group.size}: {answer['problem']}", hint=answer["hint"])
    return [answer["value"] for answer in answers]


def agreed(group: ProcessGroup, what: str, action: Callable[[], Any]) -> Any:
    """`together`, for what must be the same everywhere.

    Raises:
        EvalError: it is not; `what` says what.
    """
    values = together(group, action)
    other = next((rank for rank, value in enumerate(values) if value != values[0]), None)
    if other is not None:
        raise EvalError(
            f"Processes 0 and {other} have different {what}: {values[0]!s:.300} and {values[other]!s:.300}.",
            hint="Give all machines the same version of mmchat, data and models.",
        )
    return values[0]
