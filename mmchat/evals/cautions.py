"""What a reader of the scores must know: said beside them, never left to be found out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmchat.evals.base import ReplyOutcome
from mmchat.evals.results import Comparison, Run, Score
from mmchat.evals.runs import SavedOutcome
from mmchat.evals.stats import MIN_GROUPS

SHOWN_SKIPPED = 3


def run_cautions(run: Run, outcomes: Iterable[SavedOutcome]) -> list[str]:
    """About the rows and the replies."""
    cautions = []
    if any(facts.is_shipped for facts in run.data):
        cautions.append("Scored on mmchat's own evaluation set; --data takes rows of yours.")
    for facts in run.data:
        if facts.skipped:
            shown = "; ".join(facts.skipped[:SHOWN_SKIPPED]) + ("; …" if len(facts.skipped) > SHOWN_SKIPPED else "")
            cautions.append(f"{facts.name}: {len(facts.skipped)} bad rows were left out: {shown}")
    replies: dict[tuple[str, str, str], list[ReplyOutcome]] = {}
    for saved in outcomes:
        if isinstance(saved.outcome, ReplyOutcome):
            replies.setdefault((saved.dataset, saved.task, saved.model), []).append(saved.outcome)
    for (dataset, task, model), group in replies.items():
        noun = "transcripts" if task == "speech" else "replies"
        cautions += [f"{dataset}, {model}: {caution}" for caution in _reply_cautions(group, noun, run)]
    return cautions


def few_groups(results: Iterable[Score | Comparison]) -> list[str]:
    """About scores that rest on too little."""
    most: dict[tuple[str, str, str], int] = {}
    for each in results:
        key = (each.dataset, each.task, each.language)
        most[key] = max(most.get(key, 0), each.groups)
    return [
        f"{dataset}, {task}, {language}: {groups} independent {'group' if groups == 1 else 'groups'} of samples;"
        f" fewer than {MIN_GROUPS} are too few for a verdict."
        for (dataset, task, language), groups in most.items()
        if groups < MIN_GROUPS
    ]


def _reply_cautions(replies: Sequence[ReplyOutcome], noun: str, run: Run) -> Iterable[str]:
    total = len(replies)
    empty = sum(not outcome.reply.strip() for outcome in replies)
    cut = sum(outcome.finish_reason == "length" for outcome in replies)
    repeated = sum(outcome.finish_reason == "repetition" for outcome in replies)
    if empty:
        yield f"{empty} of {total} {noun} are empty; they are scored as such."
    if cut:
        yield (
            f"{cut} of {total} {noun} ({cut / total:.0%}) were cut at {run.settings.max_new_tokens} tokens;"
            " --max-tokens allows more."
        )
    if repeated:
        yield f"{repeated} of {total} {noun} were ended because they repeated themselves."
