"""Models that cut texts into different tokens are compared by bytes alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmchat.evals.base import LikelihoodOutcome
from mmchat.evals.compare import compare_runs
from mmchat.evals.results import Run
from mmchat.evals.runs import RunStore, SavedOutcome
from mmchat.evals.scoring import scored
from mmchat.paths import evals_dir
from tests.fake_runs import fake_run, model

METRICS = ("perplexity", "byte-perplexity")


def texts(name: str, nats: float, tokens: int) -> list[SavedOutcome]:
    return [
        SavedOutcome(
            name,
            "talk-en",
            "likelihood",
            LikelihoodOutcome(f"t:{n}#1", f"t:{n}", "en", "?", "x" * 40, nats + n % 5, tokens + n % 3, 40),
        )
        for n in range(40)
    ]


def run_of(*names: str) -> Run:
    run = replace(fake_run(), scores=(), comparisons=(), sentences=(), models=tuple(map(model, names)))
    return replace(run, settings=replace(run.settings, resamples=100))


@pytest.mark.parametrize(("tokens", "is_judged"), [(10, True), (12, False)])
def test_two_models_of_a_run(tokens: int, is_judged: bool) -> None:
    result = scored(run_of("base", "mine"), [*texts("base", 30, 10), *texts("mine", 20, tokens)], METRICS, None)
    verdicts = {each.metric: each.verdict for each in result.comparisons}
    assert verdicts == {"perplexity": "better" if is_judged else "none", "byte-perplexity": "better"}
    told = [text for text in result.warnings if "different tokens" in text]
    assert bool(told) is not is_judged
    assert all("base and mine" in text and "byte-perplexity" in text for text in told)
    (sentence,) = result.sentences
    assert ("perplexity (" in sentence.replace("byte perplexity (", "")) is is_judged
    assert "byte perplexity (" in sentence


def test_two_saved_runs() -> None:
    runs = RunStore(evals_dir())
    ids = []
    for name, nats, tokens in (("base", 30.0, 10), ("mine", 20.0, 12)):
        run = runs.create(run_of(name))
        outcomes = texts(name, nats, tokens)
        runs.append(run.id, outcomes)
        runs.finish(replace(run, status="complete", scores=scored(run, outcomes, METRICS, None).scores))
        ids.append(run.id)
    comparisons, sentences, warnings = compare_runs(runs, ids[0], ids[1], 100)
    assert {each.metric: each.verdict for each in comparisons} == {"perplexity": "none", "byte-perplexity": "better"}
    assert sum("byte-perplexity" in text for text in warnings) == 1
    assert len(sentences) == 1
