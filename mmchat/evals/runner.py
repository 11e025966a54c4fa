"""An evaluation from rows to scores: asks the models, saves as it goes, goes on where it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from threading import Event
from typing import Any

from mmchat import __version__
from mmchat.engines.base import ScoringLanguageModel
from mmchat.errors import EvalError, MmchatError
from mmchat.evals.base import Models, ProcessGroup, Sample
from mmchat.evals.cautions import run_cautions
from mmchat.evals.environment import loaded_libraries, machine_words
from mmchat.evals.lockstep import agreed, together
from mmchat.evals.models_met import check_data, check_helper, check_model, with_facts
from mmchat.evals.pace import Pace
from mmchat.evals.plain import from_plain, to_plain
from mmchat.evals.plan import Plan, Work, is_explicit, make_plan
from mmchat.evals.results import ModelFacts, Progress, Run, RunSettings
from mmchat.evals.runs import RunStore, SavedOutcome, outcome_from_plain
from mmchat.evals.scoring import scored

SAVE_EVERY_S = 1.0
"""Within a batch: a batch may be a whole file of recordings."""
SAVE_RUN_EVERY_S = 10.0
"""So that a run that is killed knows how long it took."""


def evaluate(
    settings: RunSettings,
    *,
    models: Models,
    runs: RunStore,
    group: ProcessGroup,
    resume: Run | None = None,
    on_progress: Callable[[Progress], None],
    cancel: Event,
) -> Run:
    """Ask the models about the rows, score what they say, and save all of it.

    With several processes each of them calls this alike. The first one writes and scores; all return the same.

    Args:
        settings: what was asked for; not looked at when a run goes on.
        models: loaded when they are needed, one at a time.
        runs: where the run is saved, batch by batch.
        group: the processes that share the batches.
        resume: an interrupted run to go on with, by its own settings.
        on_progress: told after each batch, by the first process only.
        cancel: ends the work after the samples at hand; what is done is scored, and can be gone on with.

    Returns:
        The saved run; "interrupted" where it was cancelled.

    Raises:
        UsageError: a metric or a model that fits none of the files.
        DataError: rows that cannot be used.
        EvalError: what changed since the run that was to go on; or the run cannot be saved.
        MmchatError: a model failed; what is done is kept, and the message names the run.
    """
    evaluation = _Evaluation(models, runs, group, on_progress, cancel)
    return evaluation.run(settings if resume is None else resume.settings, resume)


class _Evaluation:
    """One call of `evaluate`."""

    def __init__(
        self,
        models: Models,
        runs: RunStore,
        group: ProcessGroup,
        on_progress: Callable[[Progress], None],
        cancel: Event,
    ) -> None:
        self._models = models
        self._runs = runs
        self._group = group
        self._on_progress = on_progress
        self._cancel = cancel
        self._is_first = group.rank == 0
        self._started = self._saved_at = time.perf_counter()
        self._warnings: list[str] = []
        self._kept: dict[tuple[str, str, str, str], SavedOutcome] = {}
        """By key, in the order of saving."""
        self._done: dict[Work, set[str]] = {}
        """Ids of the samples that need not be asked again."""
        self._is_stopped = False
        self._plan: Plan
        self._pace: Pace
        self._run: Run

    def run(self, settings: RunSettings, resume: Run | None) -> Run:
        def plan() -> Any:
            if resume is not None and resume.status == "complete":
                raise EvalError(
                    f"Run {resume.id} is complete.", hint=f"mmchat eval --rescore {resume.id} scores it anew."
                )
            self._plan = make_plan(settings, self._models)
            check_data(resume, self._plan.data)
            return [[facts.name, facts.sha256, facts.used] for facts in self._plan.data]

        agreed(self._group, "data", plan)
        together(self._group, lambda: self._begin(settings, resume))
        with self._runs.writing(self._run.id) if self._is_first else nullcontext():
            self._load_kept()
            self._pace = Pace([(work.text, work.kind, len(work.samples)) for work in self._plan.works])
            for work in self._plan.works:
                self._done[work] = _done_samples(work, self._kept.values())
                self._pace.skip(work.text, len(self._done[work]))
            try:
                self._ask_all()
            except MmchatError as error:
                raise self._with_what_is_kept(error) from error
            return self._end()

    # --- before and after -------------------------------------------------------------------------

    def _begin(self, settings: RunSettings, resume: Run | None) -> None:
        draft = Run(
            id="",
            created_at="",
            status="interrupted",
            version=__version__,
            libraries={},
            machine=machine_words(),
            settings=settings,
            data=self._plan.data,
            models=(),
        )
        if not self._is_first:
            self._run = draft
        elif resume is None:
            self._run = self._runs.create(draft)
        else:
            if resume.version != __version__:
                self._warnings.append(f"The run was begun with mmchat {resume.version} and ended with {__version__}.")
            self._run = resume

    def _load_kept(self) -> None:
        """What an earlier process has saved, told to all."""

        def load() -> list[Any]:
            saved = self._runs.outcomes(self._run.id) if self._is_first else ()
            for each in saved:
                self._kept.setdefault(each.key, each)
            return [] if self._group.size == 1 else [to_plain(each) for each in self._kept.values()]

        plain = together(self._group, load)[0]
        for each in map(outcome_from_plain, plain):
            self._kept.setdefault(each.key, each)

    def _end(self) -> Run:
        run: Run | None = None

        def score() -> Any:
            nonlocal run
            if not self._is_first:
                return None
            self._tell("scoring")
            run = self._scored_run()
            self._runs.finish(run)
            return None if self._group.size == 1 else to_plain(run)

        plain = together(self._group, score)[0]
        return run if run is not None else from_plain(Run, plain)

    def _scored_run(self) -> Run:
        plan = self._plan
        outcomes = tuple(self._kept.values())
        embedder = None
        known: tuple[str, ...] = ()
        facts = self._run.models
        if plan.embedder and (self._kept or not self._is_stopped):  # not loaded for nothing after a cancel
            embedder = self._models.embedder(plan.embedder)
            known = self._models.languages(plan.embedder)
            facts = with_facts(facts, self._models.facts(plan.embedder))
        run = replace(
            self._run,
            status="complete" if all(map(self._is_complete, plan.works)) else "interrupted",
            data=plan.data,
            models=facts,
            elapsed_s=self._elapsed_s(),
            warnings=(),
        )
        result = scored(run, outcomes, [metric.name for metric in plan.metrics], embedder, known)
        unfinished = [_unfinished(work, len(self._done[work])) for work in plan.works]
        cautions = [*plan.warnings, *self._warnings, *filter(None, unfinished), *run_cautions(run, outcomes)]
        return replace(
            run,
            libraries=loaded_libraries(),  # now that the metrics' own are among them
            scores=result.scores,
            comparisons=result.comparisons,
            exhibits=result.exhibits,
            sentences=result.sentences,
            warnings=tuple(dict.fromkeys([*cautions, *result.warnings])),
        )

    def _with_what_is_kept(self, error: MmchatError) -> MmchatError:
        """The same error, saying what is saved and how to go on; an empty run goes."""
        if not self._is_first:
            return error
        if not self._kept:
            self._runs.discard(self._run.id)
            return error
        kept = f"{len(self._kept)} of {self._plan.total} samples are saved as run {self._run.id}."
        on = f"`mmchat eval --resume {self._run.id}` goes on from there."
        return type(error)(f"{error.message}\n{kept}", hint=f"{error.hint} {on}".strip())

    # --- asking -----------------------------------------------------------------------------------

    def _ask_all(self) -> None:
        for model in self._plan.models:
            works = [work for work in self._plan.works if work.model == model]
            if all(map(self._is_complete, works)) and self._has_met(model):
                continue  # an earlier process has asked it everything
            if self._should_stop():
                return
            self._meet(model)
            for work in works:
                if self._can_do(work):
                    self._ask(work)
                if self._is_stopped:
                    return
            self._models.release(model)

    def _has_met(self, model: str) -> bool:
        """Whether an earlier process has loaded and described it; the first process knows."""
        known = together(self._group, lambda: [each.name for each in self._run.models if not each.role])[0]
        return model in known

    def _should_stop(self) -> bool:
        self._is_stopped = any(together(self._group, self._cancel.is_set))
        return self._is_stopped

    def _meet(self, model: str) -> None:
        """Load a model, and see that it is the same one everywhere and the same as before."""
        self._tell(f"loading {model}")
        plain = agreed(self._group, f"versions of '{model}'", lambda: to_plain(self._models.facts(model)))
        facts = from_plain(ModelFacts, plain)
        known = next((each for each in self._run.models if each.name == model and not each.role), None)
        if known is not None:
            check_model(self._run.id, known, facts)
            if known.device != facts.device:
                self._warnings.append(f"{model} was asked on {known.device} first, then on {facts.device}.")
        self._run = replace(self._run, models=with_facts(self._run.models, facts))
        if self._is_first:
            self._save()
        if facts.kind == "lm" and self._plan.options.batch_size != 1:
            language_model = self._models.language_model(model)
            if not language_model.is_batch_exact:
                self._warnings.append(
                    f"{model}: on {facts.engine} a reply depends a little on what else is in its batch;"
                    " --batch-size 1 avoids that."
                )

    def _note_helpers(self) -> None:
        """Write down which models tell pictures and sounds, and see that they are the same as before."""
        for facts in self._models.helpers():
            if self._is_first:
                check_helper(self._run, facts)
            self._run = replace(self._run, models=with_facts(self._run.models, facts))
        if self._is_first:
            self._save()

    def _save(self) -> None:
        self._run = replace(self._run, elapsed_s=self._elapsed_s())
        self._runs.save(self._run)
        self._saved_at = time.perf_counter()

    def _can_do(self, work: Work) -> bool:
        if work.task.name != "likelihood":
            return True
        language_model = self._models.language_model(work.model)
        if isinstance(language_model, ScoringLanguageModel):
            return True
        why = f"{work.model} runs on {language_model.engine}, which cannot say how likely it finds a text"
        if is_explicit(self._run.settings.metrics):
            raise EvalError(f"No perplexity: {why}.", hint="Use a model on transformers: -m NAME@transformers")
        self._warnings.append(f"No perplexity on {work.dataset}: {why}.")
        self._plan = replace(self._plan, works=tuple(each for each in self._plan.works if each is not work))
        self._pace.leave_out(work.text)
        return False

    def _ask(self, work: Work) -> None:
        """Batch i is for process i mod size: the batches are those of one process alone."""
        self._tell(work.text)
        batches = work.task.batches(work.samples, work.model, self._models, self._plan.options)
        together(self._group, self._note_helpers)
        # A batch that was interrupted is asked again whole: ranking needs all candidates, and a model whose
        # replies depend on the batch must see the same one.
        left = [batch for batch in batches if not all(sample.id in self._done[work] for sample in batch)]
        self._pace.start(work.text)
        size = self._group.size
        for first in range(0, len(left), size):
            if size > 1:
                self._ask_shared(work, left[first : first + size])
            elif not self._should_stop():
                self._ask_alone(work, left[first])
            if self._is_stopped:
                return

    def _ask_alone(self, work: Work, batch: Sequence[Sample]) -> None:
        fresh: list[SavedOutcome] = []
        saved_at = time.perf_counter()
        try:
            for outcome in work.task.run(batch, work.model, self._models, self._plan.options, self._cancel):
                fresh.append(SavedOutcome(work.model, work.dataset, work.task.name, outcome))
                if time.perf_counter() - saved_at > SAVE_EVERY_S:
                    self._keep(work, fresh)
                    fresh, saved_at = [], time.perf_counter()
        finally:
            self._keep(work, fresh)

    def _ask_shared(self, work: Work, batches: Sequence[Sequence[Sample]]) -> None:
        def ask() -> dict[str, Any]:
            mine = batches[self._group.rank] if self._group.rank < len(batches) else ()
            ran = work.task.run(mine, work.model, self._models, self._plan.options, self._cancel) if mine else ()
            outcomes = [to_plain(SavedOutcome(work.model, work.dataset, work.task.name, each)) for each in ran]
            return {"outcomes": outcomes, "is_stopped": self._cancel.is_set()}

        answers = together(self._group, ask)
        self._keep(work, [outcome_from_plain(plain) for answer in answers for plain in answer["outcomes"]])
        self._is_stopped = any(answer["is_stopped"] for answer in answers)

    def _keep(self, work: Work, outcomes: Sequence[SavedOutcome]) -> None:
        fresh = [each for each in outcomes if each.key not in self._kept]
        if self._is_first:
            self._runs.append(self._run.id, fresh)
            if time.perf_counter() - self._saved_at > SAVE_RUN_EVERY_S:
                self._save()
        self._kept.update((each.key, each) for each in fresh)
        done = {_sample_id(work, each.outcome.id) for each in outcomes} - self._done[work]
        self._done[work] |= done
        self._pace.advance(work.text, len(done))
        self._tell(work.text)

    # --- small things -----------------------------------------------------------------------------

    def _is_complete(self, work: Work) -> bool:
        return len(self._done[work]) == len(work.samples)

    def _tell(self, text: str) -> None:
        if self._is_first:
            self._on_progress(Progress(text, self._pace.done, self._pace.total, self._pace.left_s()))

    def _elapsed_s(self) -> float:
        earlier_s = self._run.elapsed_s
        now = time.perf_counter()
        elapsed_s = earlier_s + now - self._started
        self._started = now
        return elapsed_s


def _done_samples(work: Work, kept: Iterable[SavedOutcome]) -> set[str]:
    """The samples of a work that have all their outcomes."""
    mine = [each.outcome.id for each in kept if each.key[:3] == (work.model, work.dataset, work.task.name)]
    done = {_sample_id(work, outcome_id) for outcome_id in mine}
    if mine and mine[-1] not in done:
        # Of a sample with several outcomes, a picture and its captions, the last saved one may lack some.
        done.discard(_sample_id(work, mine[-1]))
    return done


def _sample_id(work: Work, outcome_id: str) -> str:
    """The sample that an outcome is of: it has the sample's id, or that and "#" and more."""
    parent = outcome_id.rpartition("#")[0]
    return parent if parent in work.ids else outcome_id


def _unfinished(work: Work, done: int) -> str:
    total = len(work.samples)
    if done == total:
        return ""
    if work.task.name == "retrieval" and not done:
        return f"{work.text}: interrupted; ranking needs all {total} candidates, so there is no score."
    # Not the first ones of the file: long prompts are asked first.
    bias = ", the longest first" if work.kind == "lm" and done else ""
    return f"{work.text}: interrupted; scores are over {done} of {total} samples{bias}."
