"""A run as an HTML page: whole, escaped, in need of nothing else."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mmchat.errors import EvalError
from mmchat.evals import layout
from mmchat.evals.base import LikelihoodOutcome, MetricContext, RecallOutcome, ReplyOutcome
from mmchat.evals.registry import load_metric
from mmchat.evals.report import merged, render_report, write_report
from mmchat.evals.runs import SavedOutcome
from mmchat.evals.samples import sample_scores, views
from tests.fake_runs import fake_outcomes, fake_run, label_run, rank_run

VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Collects the text and notices a tag that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


def test_the_page_shows_everything() -> None:
    run = fake_run()
    page = checked(render_report(run, fake_outcomes(run)))
    for text in (
        "Evaluation of base and mine",
        "mmchat's own 94 dialogues",
        "talk-en: mine is better on chrF++ (+3.1, 95% 1.9 to 4.4)",
        "base: 12 of 480 replies were cut at 64 tokens",
        "480 replies of 60 conversations",
        "客服对话 · dialogue · Chinese",
        "16.27 to 19.00",
        "could be chance",
        "nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:2.6.0",
        "9c1f22ab" * 8,
        "3f2a91c0" * 8,
        "repetition_penalty 1.1",
        "the train leaves at nine from platform two",
        "火车九点从二号站台出发",
        "Where mine is most ahead",
        "sentence chrF++",
        "sacrebleu 2.6.0",
    ):
        assert text in page.text, text


def test_the_page_needs_nothing_else() -> None:
    run = fake_run()
    page = checked(render_report(run, fake_outcomes(run)))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "image"}
    links = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "xlink:href", "srcset")]
    assert all(link and link.startswith("#") for link in links)
    assert "url(http" not in render_report(run, fake_outcomes(run))


def test_what_models_say_is_escaped() -> None:
    run = fake_run(("ba<b>se", "mi$ne_{x}$&"), chinese="<i>客服</i>")
    evil = "</dd><script>alert(1)</script><img src=x onerror=alert(1)>"
    outcomes = [
        replace(each, outcome=replace(each.outcome, reply=evil, question=evil, references=(evil,)))
        for each in fake_outcomes(run)
        if isinstance(each.outcome, ReplyOutcome)
    ]
    run = replace(run, sentences=(evil,), warnings=(evil,), machine=evil)
    page = checked(render_report(run, outcomes))
    assert not {tag for tag, _ in page.tags} & {"script", "img", "i"}
    assert evil in page.text
    assert "mi$ne_{x}$&" in page.text


def test_drawings_are_sound_and_take_their_colours_from_the_page() -> None:
    run = fake_run(("base", "小模型"))
    text = render_report(run, fake_outcomes(run))
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 4
    ids: list[str] = []
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert "currentColor" in drawing
        assert "#000" not in drawing
        ids += [each.get("id", "") for each in root.iter("{http://www.w3.org/2000/svg}clipPath")]
        assert "小模型" in "".join(root.itertext())  # as text, not as the shapes of a font that lacks it
    assert len(ids) == len(set(ids))
    assert render_report(run, fake_outcomes(run)) == text


@pytest.mark.parametrize("made", [rank_run, label_run])
def test_other_kinds_of_samples(made: object) -> None:
    run, outcomes = rank_run() if made is rank_run else label_run()
    page = checked(render_report(run, outcomes))
    expected = ("rank 400 of 400", "rank of the right one") if made is rank_run else ("label 14", "b 60%", "a 30%")
    for text in expected:
        assert text in page.text


def test_a_run_without_scores_is_a_page_too() -> None:
    run = replace(fake_run(), scores=(), comparisons=(), sentences=(), status="interrupted")
    page = checked(render_report(run, []))
    assert "Interrupted." in page.text
    assert f"mmchat eval --resume {run.id}" in page.text


def test_a_score_that_is_no_number_is_a_dash() -> None:
    run = fake_run(("base",))
    run = replace(run, scores=(replace(run.scores[0], score=math.nan, low=None, high=None),))
    assert "–" in checked(render_report(run, [])).text


def test_writing_replaces_a_file_whole_or_not_at_all(tmp_path: Path) -> None:
    run = fake_run()
    path = tmp_path / "报告.html"
    path.write_text("older")
    with pytest.raises(ZeroDivisionError):
        write_report(path, run, (1 // 0 for _ in range(1)))  # type: ignore[misc]
    assert path.read_text() == "older"
    write_report(path, run, fake_outcomes(run))
    assert "Evaluation of base and mine" in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(EvalError, match="cannot be written"):
        write_report(tmp_path / "folder.html", run, [])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.html", path.name]


def test_two_runs_of_one_model_are_told_apart() -> None:
    a, b = replace(fake_run(("base",)), id="run-a"), replace(fake_run(("base",)), id="run-b")
    b = replace(b, data=(replace(b.data[0], name="talk", path="/y/talk.jsonl"), b.data[1]))
    b = replace(b, scores=tuple(replace(s, dataset="talk" if s.dataset == "talk-en" else s.dataset) for s in b.scores))
    renamed = [
        replace(each, dataset="talk", outcome=replace(each.outcome, id=each.outcome.id.replace("talk-en", "talk")))
        if each.dataset == "talk-en"
        else each
        for each in fake_outcomes(fake_run(("base",)))
    ]
    run, outcomes = merged((a, fake_outcomes(a)), (b, renamed), (), (), ("different seeds",))
    sections = layout.sections(run)
    assert [each.models for each in sections] == [("base (run-a)", "base (run-b)")] * 2
    assert [each.dataset for each in sections] == ["talk-en", "客服对话"]
    page = checked(render_report(run, outcomes))
    assert "base (run-b)" in page.text
    assert page.text.count("talk-en.jsonl:1#1") > 0


# --- samples --------------------------------------------------------------------------------------


def reply(number: int, text: str, **more: object) -> ReplyOutcome:
    made = ReplyOutcome(f"x:{number}", f"x:{number}", "en", "q", ("the cat sat on the mat",), text)
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_sample_scores_as_sacrebleu_scores_the_sentence() -> None:
    from sacrebleu.metrics.chrf import CHRF

    texts = ["the cat sat on the mat", "a cat sat there", "dogs", ""]
    outcomes = [reply(number, text) for number, text in enumerate(texts)]
    expected = [CHRF(word_order=2).sentence_score(text, ["the cat sat on the mat"]).score for text in texts]
    assert sample_scores(outcomes) == pytest.approx(expected, abs=1e-9)


def test_a_recording_scores_as_the_metric_scores_it_alone() -> None:
    texts = ["the cat sat on the mat", "the cat sat on a mat", "cat sat on the mat mat"]
    outcomes = [reply(number, text, duration_s=2.0) for number, text in enumerate(texts)]
    assert sample_scores(outcomes) == pytest.approx([0.0, 100 / 6, 200 / 6])
    import numpy as np

    scorer = load_metric("wer").scorer(outcomes, MetricContext("en"))
    assert np.mean(sample_scores(outcomes)) == pytest.approx(float(scorer.scores(np.ones((1, 3), dtype=np.int64))[0]))


def test_more_samples_than_are_scored_at_once() -> None:
    outcomes = [reply(number, "the cat" if number % 2 else "the mat") for number in range(300)]
    scores = sample_scores(outcomes)
    assert len(scores) == 300
    assert scores[::2] == pytest.approx([scores[0]] * 150)
    assert scores[1::2] == pytest.approx([scores[1]] * 150)


def test_scores_of_other_kinds() -> None:
    text = LikelihoodOutcome("x:1", "x:1", "en", "q", "text", math.log(8) * 10, 10, 40)
    assert sample_scores([text]) == pytest.approx([8.0])
    recall = RecallOutcome("x:1", "x:1", "en", "q", ("a", "b"), ("b", "c"), 10, 1.0)
    assert sample_scores([recall]) == [50.0]


def test_only_samples_that_all_models_answered_are_set_side_by_side() -> None:
    found = views({"a": [reply(1, "the cat"), reply(2, "the mat")], "b": [reply(2, "mat")]})
    assert [(view.id, [answer.model for answer in view.answers]) for view in found] == [("x:2", ["a", "b"])]


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "text"),
    [
        (17.456, 2, False, "17.46"),
        (0.004, 2, True, "+0.00"),
        (-0.004, 2, True, "+0.00"),
        (-0.004, 2, False, "0.00"),
        (3.0, 1, True, "+3.0"),
        (math.nan, 1, False, "–"),
        (None, 1, False, "–"),
        (math.inf, 1, False, "∞"),
        (12345678.9, 1, False, "1.23e+07"),
    ],
)
def test_numbers(value: float | None, decimals: int, sign: bool, text: str) -> None:
    assert layout.number(value, decimals, sign=sign) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (42.4, "42 s"), (185, "3 min 05 s"), (3725, "1 h 02 min"), (59.7, "1 min 00 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert layout.duration(seconds) == text


def test_signatures_that_are_the_same_are_told_once() -> None:
    section = layout.sections(fake_run())[0]
    assert [names for names, _ in section.signatures()] == [("bleu", "reply-length"), ("chrf++",), ("dist-1", "dist-2")]


def test_outcomes_of_another_language_stay_out() -> None:
    run = fake_run(("base",))
    stray = SavedOutcome("base", "talk-en", "dialogue", reply(1, "STRAY", language="zh"))
    assert "STRAY" not in render_report(run, [*fake_outcomes(run), stray])
