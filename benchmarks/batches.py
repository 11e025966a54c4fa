"""Replies drawn in batches against the same replies one by one: the scores, the texts, the times.

    python benchmarks/batches.py --data ../shared/data/dialogues/taskmaster4.test.jsonl --limit 20

Both ways are whole evaluations, one after the other in this process, with the model loaded beforehand.
Prints one JSON object. Without --data, mmchat's own dialogues are used.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from mmchat.evals.base import ReplyOutcome
from mmchat.evals.results import Run, RunSettings
from mmchat.evals.runner import evaluate
from mmchat.evals.runs import RunStore
from mmchat.wiring import open_eval_models, open_process_group


def measure(settings: RunSettings, store: RunStore) -> tuple[Run, dict[str, str], float, int]:
    """One evaluation: the run, the reply to each sample, the seconds of drawing, the tokens drawn."""
    models = open_eval_models(settings, lambda state: None)
    for name in settings.models or (models.default("lm"),):
        models.facts(name)
    started_s = time.perf_counter()
    run = evaluate(
        settings,
        models=models,
        runs=store,
        group=open_process_group(),
        on_progress=lambda progress: None,
        cancel=Event(),
    )
    taken_s = time.perf_counter() - started_s
    models.close()
    replies = [each.outcome for each in store.outcomes(run.id) if isinstance(each.outcome, ReplyOutcome)]
    return run, {each.id: each.reply for each in replies}, taken_s, sum(each.reply_tokens for each in replies)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="JSON Lines of dialogues")
    parser.add_argument("-m", "--model", help="the default one where not given")
    parser.add_argument("--limit", type=int, default=20, help="rows")
    parser.add_argument("--batch-size", type=int, default=0, help="0: what the engine prefers")
    arguments = parser.parse_args()
    settings = RunSettings(
        data=(str(arguments.data.absolute()),) if arguments.data else (),
        models=(arguments.model,) if arguments.model else (),
        metrics=("bleu", "chrf++", "rouge-l"),
        limit=arguments.limit,
        batch_size=arguments.batch_size,
    )
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        batched = measure(settings, store)
        single = measure(replace(settings, batch_size=1), store)
    print(json.dumps(summary(batched, single), indent=2))


def summary(batched: Any, single: Any) -> dict[str, Any]:
    """What is printed."""
    texts, others = batched[1], single[1]
    scores = {
        (each.dataset, each.metric): (each.score, other.score)
        for each, other in zip(batched[0].scores, single[0].scores, strict=True)
    }
    return {
        "model": [facts.name for facts in batched[0].models],
        "replies": len(texts),
        "same_texts": sum(texts[key] == others[key] for key in texts),
        "scores_batched_and_one_by_one": {" ".join(key): values for key, values in scores.items()},
        "tokens": batched[3],
        "batched_s": round(batched[2], 1),
        "one_by_one_s": round(single[2], 1),
        "tokens_per_s_batched": round(batched[3] / batched[2], 1),
        "tokens_per_s_one_by_one": round(single[3] / single[2], 1),
        "ratio_of_times": round(single[2] / batched[2], 2),
    }


if __name__ == "__main__":
    main()
