"""One or several: what is said of replies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmchat.evals.base import ReplyOutcome
from mmchat.evals.cautions import run_cautions
from mmchat.evals.runs import SavedOutcome
from tests.fake_runs import fake_run


def cautions(*replies: tuple[str, str], max_new_tokens: int = 1) -> list[str]:
    run = fake_run()
    run = replace(run, data=(), settings=replace(run.settings, max_new_tokens=max_new_tokens))
    outcomes = [
        ReplyOutcome(str(at), str(at), "en", "?", ("yes",), text, finish_reason=reason)  # type: ignore[arg-type]
        for at, (text, reason) in enumerate(replies)
    ]
    return run_cautions(run, [SavedOutcome("base", "talks", "dialogue", each) for each in outcomes])


@pytest.mark.parametrize(
    ("count", "tokens", "said"),
    [
        (
            1,
            1,
            [
                "1 of 5 replies is empty; it is scored as such.",
                "1 of 5 replies (20%) was cut at 1 token; `mmchat eval --max-tokens` allows more.",
                "1 of 5 replies was ended because it repeated itself.",
            ],
        ),
        (
            2,
            64,
            [
                "2 of 8 replies are empty; they are scored as such.",
                "2 of 8 replies (25%) were cut at 64 tokens; `mmchat eval --max-tokens` allows more.",
                "2 of 8 replies were ended because they repeated themselves.",
            ],
        ),
    ],
)
def test_one_is_and_several_are(count: int, tokens: int, said: list[str]) -> None:
    odd = [(" ", "stop"), ("yes", "length"), ("yes", "repetition")]
    found = cautions(*odd * count, *[("yes", "stop")] * 2, max_new_tokens=tokens)
    assert found == [f"talks, base: {text}" for text in said]
