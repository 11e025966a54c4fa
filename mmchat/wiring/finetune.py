"""A finetune from rows to a model that the chat knows: checked, trained, registered, compared with its base."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from mmchat import paths
from mmchat.config import user_models
from mmchat.domain import LoadState, PullProgress
from mmchat.errors import DataError, MmchatError, UsageError
from mmchat.evals.plain import NotPlain, from_plain, to_plain
from mmchat.evals.results import Progress
from mmchat.rows.reader import find_row_files, read_rows
from mmchat.rows.values import RowFile, RowKind, RowProblem
from mmchat.train.base import (
    PICTURE_METHODS,
    BaseModel,
    OnEvent,
    Preparation,
    Trainer,
    TrainEvent,
    TrainResult,
    TrainSettings,
    TrainValidated,
)
from mmchat.train.record import CHECKPOINTS, FEATURES
from mmchat.train.registry import PICTURE_KINDS, load_trainer
from mmchat.train.results import (
    WEIGHTS,
    Origin,
    entry_fields,
    results_dir,
    write_card,
    write_settings,
)
from mmchat.wiring.finetune_base import FinetuneSources, choose_base, default_name, fetch_base, helper_kinds

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.wiring.before_after import BeforeAfter
    from mmchat.wiring.eval_models import EvalSources

REQUEST_NAME = "request.json"
RESULT_NAME = "result.json"
BEFORE_AFTER_NAME = "before_after.json"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; saved in the folder of the result, so that it can be gone on with by its name alone."""

    settings: TrainSettings
    eval_data: tuple[str, ...] = ()
    """Files of rows for the comparison with the base; empty: the held-out rows."""
    should_evaluate: bool = True
    checksums: tuple[tuple[str, str], ...] = ()
    """(path, SHA-256) of each file of rows, the validation file among them."""
    asked: TrainSettings | None = None
    """The settings as they were typed; in the saved request, `settings` are resolved."""


@dataclass(frozen=True, slots=True)
class Reports:
    """Who is told what while it runs. Called from the thread that does the work."""

    on_phase: Callable[[str], None] = lambda text: None
    """What is being done, in a few words."""
    on_pull: Callable[[PullProgress], None] = lambda progress: None
    on_event: OnEvent = lambda event: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    """Of the comparison."""
    on_state: Callable[[LoadState], None] = lambda state: None


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of it."""

    request: Request
    preparation: Preparation
    result: TrainResult
    before_after: BeforeAfter | None
    """None where it was not asked for, or where training was interrupted."""
    validations: tuple[tuple[int, float], ...] = ()
    """(step, loss) of each validation in this session."""
    trouble: MmchatError | None = None
    """Why there is no comparison, though it was asked for; the model is kept all the same."""


class Finetune:
    """One finetune. `check`, then `prepare`, then `train`; each may raise what is wrong.

    Under torchrun every process does the same; only the first one writes and compares.
    """

    def __init__(
        self,
        request: Request,
        sources: EvalSources,
        *,
        should_resume: bool = False,
        is_forced: bool = False,
        load: Callable[[RowKind, str], Trainer] = load_trainer,
    ) -> None:
        self.request = request
        self.should_resume = should_resume
        self._is_forced = is_forced
        self._sources = sources
        self._load = load
        self._trainer: Trainer
        self._files: tuple[RowFile, ...] = ()
        self._entry: ModelEntry
        self._base: BaseModel
        self.preparation: Preparation
        self.problems: tuple[RowProblem, ...] = ()
        """Bad rows that were left out."""

    @property
    def folder(self) -> Path:
        """Of the result."""
        return results_dir() / self.request.settings.name

    # --- before training --------------------------------------------------------------------------

    def check(self, on_phase: Callable[[str], None] = lambda text: None, *, is_dry: bool = False) -> None:
        """Read the rows and choose the base and the name. The libraries that train are loaded after the rows passed.

        Args:
            on_phase: told what is being done.
            is_dry: nothing will be written, so a name in use is no obstacle.

        Raises:
            DataError: all bad rows of all files.
            UsageError, ModelNotFound, ConfigError: what was asked for cannot be done.
        """
        on_phase("reading rows")
        settings = self.request.settings
        wanted = find_row_files([Path(path) for path in settings.data])
        others = [Path(path) for path in (settings.validation, *self.request.eval_data) if path]
        # A dry run shows every bad row, and what could be made of the others.
        should_skip_bad = settings.should_skip_bad or is_dry
        files = _read_all([*wanted, *find_row_files(others)], should_skip_bad=should_skip_bad)
        self._files = files[: len(wanted)]
        self.problems = tuple(problem for file in files for problem in file.problems)
        kind = _one_kind(files, settings.method)
        on_phase("loading what trains")
        self._trainer = self._load(kind, settings.method)
        if settings.method and settings.method not in self._trainer.methods:
            raise UsageError(
                f"The method '{settings.method}' is not for {kind} rows.",
                hint=f"Methods for them: {', '.join(self._trainer.methods)}.",
            )
        entry = choose_base(self._sources, settings.model, self._trainer.model_kind, kind)
        base = settings.model if "/" in settings.model else entry.name
        name = settings.name or default_name(base, wanted)
        self.request = replace(
            self.request,
            settings=replace(settings, model=base, name=name, data=tuple(str(path.absolute()) for path in wanted)),
            checksums=tuple((str(file.path.absolute()), file.sha256) for file in files),
        )
        user_models.check_name(name)
        self._entry = entry
        if not is_dry and is_first_process():
            self._check_folder()

    def _check_folder(self) -> None:
        name = self.request.settings.name
        state = folder_state(self.folder)
        if self.should_resume:
            if state == "none":
                raise UsageError(f"There is no interrupted finetune '{name}'.", hint=_interrupted_hint())
            if state == "complete":
                raise UsageError(f"'{name}' is finished.", hint=f"Use it: mmchat talk -m {name}")
            self._check_unchanged()
            return
        if name in self._sources.models and state == "none":
            raise UsageError(f"There is a model '{name}' already.", hint="Give this one another name with --name.")
        if self._is_forced:
            return
        if state == "complete":
            raise UsageError(
                f"There is a finetune '{name}' already.",
                hint="Give this one another name with --name, or replace that one with --force.",
            )
        if state == "interrupted":
            raise UsageError(
                f"A finetune '{name}' was interrupted.",
                hint=f"Go on with it: mmchat finetune --resume {name}\n"
                "Or give this one another name with --name, or begin anew with --force.",
            )

    def _check_unchanged(self) -> None:
        before = dict(load_request(self.folder).checksums)
        changed = [path for path, sha256 in self.request.checksums if before.get(path) != sha256]
        changed += [path for path in before if path not in dict(self.request.checksums)]
        if changed:
            raise DataError(
                f"'{self.request.settings.name}' cannot go on: {', '.join(changed)} changed since it began.",
                hint="Bring back the rows as they were, or begin anew with --force.",
            )

    def prepare(self, reports: Reports, cancel: Event) -> Preparation:
        """Fetch the base, and let the task check, count and estimate.

        Raises:
            MmchatError: see `Trainer.prepare`; or the base could not be had.
        """
        settings, entry = self.request.settings, self._entry
        reports.on_phase(f"fetching {entry.name}")
        self._base = fetch_base(
            entry,
            helper_kinds(self._files, settings.method),
            FinetuneSources(self._sources, reports.on_pull),
            cancel,
            is_to_see=self._trainer.task == "picture",
        )
        reports.on_phase("reading the rows as the model will")
        self.preparation = self._trainer.prepare(self._files, settings, self._base)
        return self.preparation

    # --- training ---------------------------------------------------------------------------------

    def train(self, reports: Reports, cancel: Event) -> Finished:
        """Train, register the model, and compare it with its base.

        Args:
            reports: who is told what.
            cancel: training saves a checkpoint and ends "interrupted"; a comparison ends with what it has.

        Raises:
            MmchatError: training failed; checkpoints are kept.
        """
        if is_first_process():
            self._begin_folder()
        reports.on_phase("training")
        validations: list[tuple[int, float]] = []

        def on_event(event: TrainEvent) -> None:
            if isinstance(event, TrainValidated):
                validations.append((event.step, event.loss))
            reports.on_event(event)

        result = self._trainer.train(
            self.preparation,
            self._files,
            self._base,
            self.folder,
            on_event,
            cancel,
            should_resume=self.should_resume,
        )
        finished = Finished(self.request, self.preparation, result, None, tuple(validations))
        if result.status == "interrupted" or not is_first_process():
            return finished
        self._register(result)
        return self._compare(finished, reports, cancel)

    def _begin_folder(self) -> None:
        if self.should_resume:
            return
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            paths.private_dir(self.folder)
            request = replace(
                self.request, settings=self.preparation.settings, asked=self.request.asked or self.request.settings
            )
            _save(self.folder / REQUEST_NAME, request)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _register(self, result: TrainResult) -> None:
        """Write beside the weights what they are, and the entry into the user's models.toml.

        Raises:
            ConfigError, DataError: something cannot be written; the weights are kept.
        """
        origin = self._origin()
        try:
            write_settings(self.folder, origin, self.preparation, result)
            write_card(self.folder, origin, self.preparation, result)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        user_models.register(origin.name, self._entry_fields(origin))
        _save(self.folder / RESULT_NAME, result)
        for name in (CHECKPOINTS, FEATURES):
            shutil.rmtree(self.folder / name, ignore_errors=True)  # complete: nothing goes on from them

    def _entry_fields(self, origin: Origin) -> dict[str, Any]:
        if self.preparation.task != "label":
            # Whatever the base was assembled from, a trained one is an ordinary OpenCLIP folder.
            weights_format = "open_clip" if self.preparation.task == "caption" else ""
            eyes = self._base.helper_names.get("vision", "") if self.preparation.task == "picture" else ""
            return entry_fields(origin, self.folder, weights_format=weights_format, vision=eyes)
        sees = "vision" in helper_kinds(self._files)
        return {
            "kind": "head",
            "engine": "fused",
            "format": "head",
            "description": f"labels: {len(self.preparation.labels)} classes",
            "license": origin.base.license,
            "embed": origin.base.name,
            "vision": self._sources.defaults["vision"] if sees else None,
            "sources": [{"source": f"dir:{self.folder / WEIGHTS}"}],
        }

    def _origin(self) -> Origin:
        return Origin(
            name=self.request.settings.name,
            base=self._entry,
            base_revision=self._sources.weights.revision(self._entry) or "",
            data=self._files,
        )

    def _compare(self, finished: Finished, reports: Reports, cancel: Event) -> Finished:
        from mmchat.wiring import open_eval_models, open_runs
        from mmchat.wiring.before_after import Question, compare

        if not self.request.should_evaluate:
            return finished
        settings = self.preparation.settings
        question = Question(
            task=self.preparation.task,
            # Rows with pictures are for the model that sees them.
            base=self._sources.defaults["vision"] if helper_kinds(self._files) else settings.model,
            name=settings.name,
            folder=self.folder,
            held_out=self.preparation.held_out,
            data=self.request.eval_data,
            language=settings.language,
            seed=settings.seed,
        )
        reports.on_phase("comparing with the base")
        try:
            before_after = compare(
                question, open_eval_models, open_runs(), reports.on_progress, reports.on_state, cancel
            )
        except MmchatError as error:
            return replace(finished, trouble=error)
        _save(self.folder / BEFORE_AFTER_NAME, before_after)
        table, sentences = before_after.table(), before_after.sentences
        write_card(self.folder, self._origin(), self.preparation, finished.result, table, sentences)
        return replace(finished, before_after=before_after)


# --- rows -----------------------------------------------------------------------------------------


def _read_all(files: Sequence[Path], *, should_skip_bad: bool) -> tuple[RowFile, ...]:
    """All files; what is wrong with any of them is told together."""
    read: list[RowFile] = []
    problems: list[DataError] = []
    for path in files:
        try:
            read.append(read_rows(path, should_skip_bad=should_skip_bad))
        except DataError as error:
            problems.append(error)
    if problems:
        raise DataError("\n".join(each.message for each in problems), hint=problems[0].hint)
    return tuple(read)


def _one_kind(files: Sequence[RowFile], method: str) -> RowKind:
    first = files[0]
    kinds = PICTURE_KINDS if method in PICTURE_METHODS and first.kind in PICTURE_KINDS else (first.kind,)
    other = next((file for file in files if file.kind not in kinds), None)
    if other is not None:
        raise DataError(
            f"{first.path} holds {first.kind} rows, {other.path} {other.kind} rows.",
            hint="One finetune takes one kind; train on them one after the other.",
        )
    return first.kind


# --- folders --------------------------------------------------------------------------------------


def folder_state(folder: Path) -> str:
    """Whether a finetune left something: "none", "interrupted" or "complete"."""
    if (folder / RESULT_NAME).is_file():
        return "complete"
    # One that ended before its first checkpoint, or before the first vectors were kept, left nothing to go on from.
    has_work = any((folder / CHECKPOINTS).glob("checkpoint-*")) or any((folder / FEATURES).glob("*.npy"))
    return "interrupted" if (folder / REQUEST_NAME).is_file() and has_work else "none"


def interrupted_names() -> tuple[str, ...]:
    """Finetunes that can be gone on with, the latest first."""
    folders = [path.parent for path in results_dir().glob(f"*/{REQUEST_NAME}")]
    folders.sort(key=lambda folder: (folder / REQUEST_NAME).stat().st_mtime, reverse=True)
    return tuple(folder.name for folder in folders if folder_state(folder) == "interrupted")


def _interrupted_hint() -> str:
    names = interrupted_names()
    return f"Interrupted ones: {', '.join(names)}." if names else "Leave out --resume to begin."


def load_request(folder: Path) -> Request:
    """What an earlier finetune was asked for.

    Raises:
        UsageError: there is none.
        DataError: what it saved is damaged.
    """
    path = folder / REQUEST_NAME
    try:
        return from_plain(Request, json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise UsageError(f"There is no interrupted finetune '{folder.name}'.", hint=_interrupted_hint()) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, NotPlain) as error:
        raise DataError(
            f"{path} is damaged: {error}.", hint="Begin anew: repeat the whole command with --force."
        ) from error


def _save(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all."""
    plain: Any = to_plain(value)
    if isinstance(value, TrainResult):
        plain["folder"] = str(value.folder)
    try:
        paths.replace_text(path, json.dumps(plain, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be written: {error.strerror or error}.",
        hint="Free some space or check the folder's permissions.",
    )


def is_first_process() -> bool:
    """Whether this one speaks and writes: the only one, or the first that torchrun has started."""
    return os.environ.get("RANK", "0") == "0" or "WORLD_SIZE" not in os.environ
