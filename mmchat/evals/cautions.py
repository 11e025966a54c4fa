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
            count = len(facts.skipped)
            words = "bad row was" if count == 1 else "bad rows were"
            cautions.append(f"{facts.name}: {count} {words} left out: {shown}")
    replies: dict[tuple[str, str, str], list[ReplyOutcome]] = {}
    for saved in outcomes:
        if isinstance(saved.outcome, ReplyOutcome):
            replies.setdefault((saved.dataset, saved.task, saved.model), []).append(saved.outcome)
    for (dataset, task, model), group in replies.items():
        noun = "transcripts" if task == "speech" else "replies"
        cautions += [f"{dataset}, {model}: {caution}" for caution in _reply_cautions(group, noun, run)]
    return cautions


def few_groups(results: Iterable[Score | Comparison]) -> list[str]:
    """About scores that rest on too little. Where a sentence says so of the comparison, it is not said twice."""
    found = tuple(results)
    told = {
        (each.dataset, each.task, each.language)
        for each in found
        if isinstance(each, Comparison) and each.verdict == "too few"
    }
    most: dict[tuple[str, str, str], int] = {}
    for each in found:
        key = (each.dataset, each.task, each.language)
        most[key] = max(most.get(key, 0), each.groups)
    return [
        f"{dataset}, {task}, {language}: {groups} independent {'group' if groups == 1 else 'groups'} of samples;"
        f" fewer than {MIN_GROUPS} are too few for a verdict."
        for (dataset, task, language), groups in most.items()
        if groups < MIN_GROUPS and (dataset, task, language) not in told
    ]


def _reply_cautions(replies: Sequence[ReplyOutcome], noun: str, run: Run) -> Iterable[str]:
    total = len(replies)
    empty = sum(not outcome.reply.strip() for outcome in replies)
    cut = sum(outcome.finish_reason == "length" for outcome in replies)
    repeated = sum(outcome.finish_reason == "repetition" for outcome in replies)
    if empty:
        yield f"{empty} of {total} {noun} {'is empty; it is' if empty == 1 else 'are empty; they are'} scored as such."
    most = run.settings.max_new_tokens
    if cut:
        yield (
            f"{cut} of {total} {noun} ({cut / total:.0%}) {'was' if cut == 1 else 'were'} cut at {most} "
            f"token{'' if most == 1 else 's'}; `mmchat eval --max-tokens` allows more."
        )
    if repeated:
        words = (
            "was ended because it repeated itself" if repeated == 1 else "were ended because they repeated themselves"
        )
        yield f"{repeated} of {total} {noun} {words}."
