"""The models of a run as they are met one by one, and whether those of a run that goes on are still the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmchat.errors import EvalError
from mmchat.evals.results import DataFacts, ModelFacts, Run


def with_facts(known: Iterable[ModelFacts], facts: ModelFacts) -> tuple[ModelFacts, ...]:
    """One model more, or met again. Those that only help come last; one that is scored too is no helper."""
    by_name = {each.name: each for each in known}
    if not (facts.role and facts.name in by_name and not by_name[facts.name].role):
        by_name[facts.name] = facts
    return tuple(sorted(by_name.values(), key=lambda each: bool(each.role)))


def check_data(resume: Run | None, data: Sequence[DataFacts]) -> None:
    """See that the rows of a run that goes on are the same. Raises EvalError."""
    if resume is None:
        return
    before = {facts.name: facts.sha256 for facts in resume.data}
    after = {facts.name: facts.sha256 for facts in data}
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    if changed:
        raise EvalError(
            f"Run {resume.id} cannot go on: {', '.join(changed)} changed since it began.",
            hint="Bring back the rows as they were, or begin a new run.",
        )


def check_model(run_id: str, before: ModelFacts, after: ModelFacts) -> None:
    """See that a model is the same. Raises EvalError."""
    names = ("engine", "dtype", "weights_sha256", "adapter_sha256", "decoding")
    changed = [name.removesuffix("_sha256") for name in names if getattr(before, name) != getattr(after, name)]
    if changed:
        raise EvalError(
            f"Run {run_id} cannot go on: {' and '.join(changed)} of '{before.name}' changed since it began.",
            hint="Bring back the model as it was, or begin a new run.",
        )


def check_helper(run: Run, helper: ModelFacts) -> None:
    """See that pictures and sounds are told by the same model as before. Raises EvalError."""
    before = next((each for each in run.models if each.role == helper.role), None)
    if before is None:
        return
    if before.name != helper.name:
        raise EvalError(
            f"Run {run.id} cannot go on: the model that {helper.role} was '{before.name}' and is now '{helper.name}'.",
            hint=f"Make '{before.name}' the default model again, or begin a new run.",
        )
    check_model(run.id, before, helper)
