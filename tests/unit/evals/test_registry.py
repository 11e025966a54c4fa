"""Names of metrics: what a user may type, and what listing them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmchat.errors import UsageError
from mmchat.evals import metrics as metrics_package
from mmchat.evals.registry import (
    GROUPS,
    MODULES,
    expand_metrics,
    load_metric,
    metric_infos,
    metrics_for,
    needs_embedder,
)

PROMISED = (
    "bleu",
    "sentence-bleu",
    "chrf++",
    "ter",
    "rouge-1",
    "rouge-2",
    "rouge-l",
    "dist-1",
    "dist-2",
    "embedding",
    "exact-match",
    "token-f1",
    "reply-length",
    "perplexity",
    "byte-perplexity",
    "wer",
    "cer",
    "image-to-text-r@1",
    "image-to-text-r@5",
    "image-to-text-r@10",
    "image-to-text-median-rank",
    "text-to-image-r@1",
    "text-to-image-r@5",
    "text-to-image-r@10",
    "text-to-image-median-rank",
    "cider",
    "bleu-4",
    "caption-length",
    "accuracy",
    "macro-f1",
    "ece",
    "recall@1",
    "recall@5",
    "recall@10",
    "recall@10-any",
    "recall@10-all",
    "mrr",
    "tokens-injected",
    "milliseconds",
    "consistency",
    "consistency-fact",
    "consistency-contradiction",
    "consistency-language",
    "consistency-instructions",
    "consistency-unpinned",
    "pinning-gain",
)


def test_every_promised_metric_is_there_and_no_other() -> None:
    assert sorted(info.name for info in metric_infos()) == sorted(PROMISED)


def test_every_module_with_metrics_is_listed() -> None:
    folder = Path(metrics_package.__path__[0])
    with_metrics = {path.stem for path in folder.glob("*.py") if "\nMETRICS" in path.read_text(encoding="utf-8")}
    assert {module.rpartition(".")[2] for module in MODULES} == with_metrics


@pytest.mark.parametrize("name", PROMISED)
def test_each_metric_explains_itself_in_a_line(name: str) -> None:
    info = load_metric(name).info
    assert info.name == name
    assert info.tasks
    assert "\n" not in info.description
    assert 20 < len(info.description) < 170
    assert info.range
    assert info.source


def test_listing_loads_no_library_of_a_metric() -> None:
    code = (
        "import sys; from mmchat.evals.registry import metric_infos; metric_infos();"
        "heavy = {'torch', 'sacrebleu', 'rouge_score', 'nltk', 'jiwer', 'sklearn', 'scipy', 'whisper'};"
        "print(*(heavy & {*sys.modules}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert printed.strip() == ""


def test_groups_are_made_of_metrics_and_hide_none() -> None:
    for group, names in GROUPS.items():
        assert set(names) <= set(PROMISED), group
        assert group not in PROMISED


def test_names_groups_tasks_and_commas() -> None:
    assert expand_metrics(["ROUGE", "bleu, Chrf", "rouge-1"]) == ("rouge-1", "rouge-2", "rouge-l", "bleu", "chrf++")
    assert expand_metrics(["r@1"]) == ("image-to-text-r@1", "text-to-image-r@1")
    assert expand_metrics(["recall"]) == ("recall@1", "recall@5", "recall@10", "recall@10-any", "recall@10-all")
    assert expand_metrics(["dist"]) == ("dist-1", "dist-2")
    assert expand_metrics(["speech"]) == ("wer", "cer")


def test_all_is_what_fits_the_rows() -> None:
    assert expand_metrics(["all"], ["speech"]) == ("wer", "cer")
    assert expand_metrics([], ["label"]) == ("accuracy", "macro-f1", "ece")
    assert set(expand_metrics(["all"])) == set(PROMISED) - set(expand_metrics(["caption"]))
    assert expand_metrics(["caption"]) == ("cider", "bleu-4", "caption-length")
    assert expand_metrics(["wer"], ["dialogue"]) == ("wer",)  # kept: the caller says which rows it needs


@pytest.mark.parametrize(
    ("typed", "meant"), [("blue", "bleu"), ("chrf+", "chrf++"), ("roug", "rouge"), ("WERR", "wer")]
)
def test_an_unknown_metric_names_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand_metrics([typed])
    assert caught.value.message == f"There is no metric “{typed.lower()}”. Did you mean '{meant}'?"


def test_only_embedding_needs_an_encoder() -> None:
    assert [name for name in PROMISED if needs_embedder(name)] == ["embedding"]
    assert "embedding" in [info.name for info in metrics_for("dialogue")]
