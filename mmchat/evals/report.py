"""A run as one HTML file that needs nothing else: no scripts, no fonts, no pictures from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mmchat.errors import EvalError
from mmchat.evals import layout, plots
from mmchat.evals.layout import Section, number
from mmchat.evals.results import Comparison, Exhibit, Run
from mmchat.evals.runs import SavedOutcome
from mmchat.evals.samples import SHOWN, SampleView, Yardstick, views, yardstick
from mmchat.moments import local_minute


@dataclass(frozen=True, slots=True)
class SectionPage:
    """A section with its drawings and samples, as the template takes it."""

    section: Section
    forest: Markup
    histogram: Markup = Markup("")
    yardstick: Yardstick | None = None
    worst: list[SampleView] = field(default_factory=list)
    best: list[SampleView] = field(default_factory=list)
    gains: list[SampleView] = field(default_factory=list)
    """Where the second of two models is most ahead of the first; losses the other way round."""
    losses: list[SampleView] = field(default_factory=list)
    exhibits: tuple[Exhibit, ...] = ()


def write_report(path: Path, run: Run, outcomes: Iterable[SavedOutcome]) -> None:
    """Write the report of a run; a file of that name is replaced, whole or not at all.

    Args:
        path: in a folder that is there.
        run: with its scores.
        outcomes: of the same run, or of all runs whose scores it shows.

    Raises:
        EvalError: the file cannot be written.
    """
    text = render_report(run, outcomes)
    try:
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise EvalError(
            f"The report cannot be written to {path}: {error.strerror or error}.",
            hint=f"The run is saved: mmchat eval show {run.id} --report FILE.html",
        ) from error


def render_report(run: Run, outcomes: Iterable[SavedOutcome]) -> str:
    """The report's HTML."""
    saved = list(outcomes)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(layout=layout, number=number, info=layout.info, colours=plots.COLOURS)
    template = files("mmchat.evals").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        run=run,
        when=local_minute(run.created_at),
        pages=[_page(section, saved) for section in layout.sections(run)],
        shipped=layout.shipped_words(run.data),
        models=layout.join_words(dict.fromkeys(score.model for score in run.scores)),
    )


def merged(
    a: tuple[Run, Iterable[SavedOutcome]],
    b: tuple[Run, Iterable[SavedOutcome]],
    comparisons: Sequence[Comparison],
    sentences: Sequence[str],
    warnings: Sequence[str],
) -> tuple[Run, list[SavedOutcome]]:
    """Two saved runs as one, for the report of their comparison: models and files under the comparison's names.

    A model that took part in both is told apart by the run's id, and a file that is the same by its bytes is
    called as in `a`.
    """
    runs = (a[0], b[0])
    shared = {facts.name for facts in a[0].models} & {facts.name for facts in b[0].models}
    files = {facts.sha256: facts for facts in (*b[0].data, *a[0].data)}
    scores, models, outcomes, exhibits = [], [], [], []
    for run, saved in (a, b):
        names = {facts.name: f"{facts.name} ({run.id})" if facts.name in shared else facts.name for facts in run.models}
        data = {facts.name: (Path(facts.path).name, files[facts.sha256]) for facts in run.data}
        models += [replace(facts, name=names[facts.name]) for facts in run.models]
        for score in run.scores:
            dataset = data[score.dataset][1].name
            scores.append(replace(score, model=names.get(score.model, score.model), dataset=dataset))
        for exhibit in run.exhibits:
            dataset = data[exhibit.dataset][1].name
            exhibits.append(replace(exhibit, model=names.get(exhibit.model, exhibit.model), dataset=dataset))
        for each in saved:
            file_name, facts = data[each.dataset]
            sample_id = Path(facts.path).name + each.outcome.id.removeprefix(file_name)
            outcome = replace(each.outcome, id=sample_id)
            outcomes.append(SavedOutcome(names.get(each.model, each.model), facts.name, each.task, outcome))
    run = replace(
        b[0],
        id=" and ".join(run.id for run in runs),
        status="complete",
        data=tuple(files[sha256] for sha256 in dict.fromkeys(facts.sha256 for run in runs for facts in run.data)),
        models=tuple(models),
        scores=tuple(scores),
        comparisons=tuple(comparisons),
        exhibits=tuple(exhibits),
        sentences=tuple(sentences),
        warnings=tuple(dict.fromkeys((*warnings, *a[0].warnings, *b[0].warnings))),
        elapsed_s=sum(run.elapsed_s for run in runs),
    )
    return run, outcomes


def _page(section: Section, saved: Sequence[SavedOutcome]) -> SectionPage:
    panels = []
    for metric in section.metrics:
        info = layout.info(metric)
        bars = [
            plots.Bar(score.model, score.score, score.low, score.high)
            for score in section.row(metric)
            if score is not None and score.score == score.score
        ]
        if len(bars) > 1 or any(bar.low is not None for bar in bars):  # a dot alone says nothing
            panels.append((f"{info.title} {layout.ARROWS[info.direction]}".rstrip(), bars))
    page = SectionPage(
        section,
        forest=Markup(plots.forest(panels, section.models, key=section.heading))
        if panels
        else Markup(""),  # our own SVG, escaped within
        exhibits=section.exhibits,
    )
    found = {
        model: [
            each.outcome
            for each in saved
            if (each.model, each.dataset, each.task) == (model, section.dataset, section.task)
            and each.outcome.language == section.language
        ]
        for model in section.models
    }
    found = {model: outcomes for model, outcomes in found.items() if outcomes}
    samples = views(found)
    if not samples:
        return page
    measure = yardstick(next(iter(found.values()))[0])
    spread = [
        (model, [answer.score for view in samples for answer in view.answers if answer.model == model])
        for model in found
    ]
    worst_first = sorted(samples, key=lambda view: view.mean if measure.is_higher_better else -view.mean)
    shown = min(SHOWN, len(samples) // 2)  # no sample is among the worst and the best at once
    page = replace(
        page,
        histogram=Markup(plots.histogram(measure.title, spread, key=section.heading, is_counted=measure.is_rank)),
        yardstick=measure,
        worst=worst_first[: shown or 1],
        best=worst_first[::-1][:shown],
    )
    if len(found) != 2:
        return page
    sign = 1 if measure.is_higher_better else -1
    by_gain = sorted(samples, key=lambda view: -sign * view.difference)
    return replace(
        page,
        gains=[view for view in by_gain[:SHOWN] if sign * view.difference > 0],
        losses=[view for view in by_gain[::-1][:SHOWN] if sign * view.difference < 0],
    )
