"""Saved runs: a folder each, with `run.json` (what was asked, what came out) and `outcomes.jsonl` (every sample)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmchat.errors import EvalError
from mmchat.evals.base import (
    ConsistencyOutcome,
    LabelOutcome,
    LikelihoodOutcome,
    Outcome,
    RankOutcome,
    RecallOutcome,
    ReplyOutcome,
    TaskName,
)
from mmchat.evals.plain import NotPlain, from_plain, to_plain
from mmchat.evals.results import Run
from mmchat.paths import private_dir

FORMAT = 1
"""Of the folder. Raised only when an older program would read it wrongly; a new key is no reason."""
RUN_NAME = "run.json"
OUTCOMES_NAME = "outcomes.jsonl"
LOCK_NAME = ".lock"

OUTCOME_TYPES: dict[TaskName, type[Outcome]] = {
    "dialogue": ReplyOutcome,
    "speech": ReplyOutcome,
    "likelihood": LikelihoodOutcome,
    "retrieval": RankOutcome,
    "caption": ReplyOutcome,
    "label": LabelOutcome,
    "memory": RecallOutcome,
    "persona": ConsistencyOutcome,
}


@dataclass(frozen=True, slots=True)
class SavedOutcome:
    """A line of `outcomes.jsonl`."""

    model: str
    dataset: str
    task: TaskName
    outcome: Outcome

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it one of its kind in a run: model, dataset, task, sample."""
        return (self.model, self.dataset, self.task, self.outcome.id)


class RunStore:
    """A folder of runs, readable by its user alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # --- reading ----------------------------------------------------------------------------------

    def get(self, name: str) -> Run:
        """A run by its id, by a beginning of it that no other has, or the newest as "last".

        Raises:
            EvalError: no such run, several that begin so, or one that cannot be read.
        """
        return self._read(self._resolve(name))

    def list(self) -> tuple[Run, ...]:
        """All runs that can be read, newest first. `unreadable` tells of the others."""
        runs = [run for run in map(self._read_or_error, self._ids()) if isinstance(run, Run)]
        return tuple(runs)

    def unreadable(self) -> tuple[EvalError, ...]:
        """Why some runs are not listed."""
        return tuple(error for error in map(self._read_or_error, self._ids()) if isinstance(error, EvalError))

    def outcomes(self, run_id: str) -> Iterator[SavedOutcome]:
        """Every saved outcome, in the order of saving. A last line that a crash has torn is left out.

        Raises:
            EvalError: another line is damaged.
        """
        path = self.folder / run_id / OUTCOMES_NAME
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if not line.endswith(b"\n"):
                        return  # the program was killed while it wrote this one
                    yield _read_outcome(path, number, line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EvalError(f"{path} cannot be read: {error.strerror or error}.") from error

    # --- writing ----------------------------------------------------------------------------------

    def create(self, run: Run) -> Run:
        """Save a new run and return it with its id and time. Until `finish`, it counts as interrupted.

        Args:
            run: its `id`, `created_at` and `status` are not looked at.

        Raises:
            EvalError: the folder cannot be written.
        """
        now = datetime.now(UTC)
        with self._writing_to(self.folder):
            private_dir(self.folder)
            run_id = self._make_folder(now.strftime("%y%m%d-%H%M%S"))
        created = replace(run, id=run_id, created_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"), status="interrupted")
        self.save(created)
        return created

    def save(self, run: Run) -> None:
        """Replace `run.json`, whole or not at all. Raises EvalError."""
        path = self.folder / run.id / RUN_NAME
        partial = path.with_name(f".{RUN_NAME}.{os.getpid()}")
        text = json.dumps({"format": FORMAT, **to_plain(run)}, ensure_ascii=False, indent=1, allow_nan=False)
        with self._writing_to(path):
            try:
                _write(partial, _utf8(text + "\n"), os.O_TRUNC)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)

    finish = save

    def append(self, run_id: str, outcomes: Sequence[SavedOutcome]) -> None:
        """Add lines and hand them to the disk. A torn last line of a killed program goes first. Raises EvalError."""
        if not outcomes:
            return
        path = self.folder / run_id / OUTCOMES_NAME
        lines = [json.dumps(to_plain(each), ensure_ascii=False, allow_nan=False) + "\n" for each in outcomes]
        with self._writing_to(path):
            if path.exists():
                _drop_torn_line(path)
            _write(path, _utf8("".join(lines)), os.O_APPEND)

    def delete(self, run_id: str) -> None:
        """Remove a run for good.

        Args:
            run_id: in full.

        Raises:
            EvalError: no such run, or it is being written.
        """
        if run_id not in self._ids():
            raise self._unknown(run_id)
        with self.writing(run_id):
            self.discard(run_id)

    def discard(self, run_id: str) -> None:
        """Remove a run that is being written here. Raises EvalError."""
        folder = self.folder / run_id
        with self._writing_to(folder):
            # Without run.json a folder is no run: a removal that is cut short leaves nothing half there.
            (folder / RUN_NAME).unlink()
            shutil.rmtree(folder)

    @contextmanager
    def writing(self, run_id: str) -> Iterator[None]:
        """Keep other processes from going on with the same run.

        Raises:
            EvalError: one is at it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / run_id / LOCK_NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise EvalError(
                f"Another mmchat is working on run {run_id}.", hint="Wait until it has ended, or stop it with Ctrl+C."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def is_at_work(self, run_id: str) -> bool:
        """Whether another evaluation, of this or another process, is writing the run."""
        if not (self.folder / run_id / LOCK_NAME).exists():
            return False
        try:
            with self.writing(run_id):
                return False
        except EvalError:
            return True
        except OSError:  # somebody else's folder: whoever can write it is not seen from here
            return False

    # --- inside -----------------------------------------------------------------------------------

    def _ids(self) -> tuple[str, ...]:
        """Newest first: ids begin with their time."""
        return tuple(sorted((path.parent.name for path in self.folder.glob(f"*/{RUN_NAME}")), key=_age, reverse=True))

    def _resolve(self, name: str) -> str:
        ids = self._ids()
        if name == "last" and ids:
            return ids[0]
        if name in ids:
            return name
        matching = [run_id for run_id in ids if name and run_id.startswith(name)]
        if len(matching) > 1:
            shown = ", ".join(matching[:5]) + (", …" if len(matching) > 5 else "")
            raise EvalError(f"'{name}' may be any of {len(matching)} runs: {shown}.", hint="Type more of its id.")
        if not matching:
            raise self._unknown(name)
        return matching[0]

    def _unknown(self, name: str) -> EvalError:
        if not self._ids():
            return EvalError("There are no saved runs.", hint="`mmchat eval` makes one.")
        return EvalError(f"There is no run '{name}'.", hint="`mmchat eval runs` lists them.")

    def _make_folder(self, name: str) -> str:
        """A folder of that name, or of the next free one: two programs may start in the same second."""
        for number in range(1, 1000):
            run_id = name if number == 1 else f"{name}-{number}"
            try:
                (self.folder / run_id).mkdir(mode=0o700)
            except FileExistsError:
                continue
            return run_id
        raise EvalError(f"{self.folder} has a thousand runs of this second.", hint="Try again.")

    def _read_or_error(self, run_id: str) -> Run | EvalError:
        try:
            return self._read(run_id)
        except EvalError as error:
            return error

    def _read(self, run_id: str) -> Run:
        path = self.folder / run_id / RUN_NAME
        hint = f"`mmchat eval remove {run_id}` removes it; its samples are in {OUTCOMES_NAME} beside it."
        try:
            plain = json.loads(path.read_bytes())
            if isinstance(plain, dict) and isinstance(plain.get("format"), int) and plain["format"] > FORMAT:
                raise EvalError(
                    f"Run {run_id} was saved by a newer mmchat ({plain.get('version', 'unknown')}).",
                    hint="Update mmchat: pip install --upgrade mmchat",
                )
            # The folder's name is the id: a folder that was copied is a run of its own, not the one it was copied from.
            return replace(from_plain(Run, plain), id=run_id)
        except OSError as error:
            raise EvalError(f"{path} cannot be read: {error.strerror or error}.") from error
        except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or not a run (NotPlain)
            raise EvalError(f"{path} is damaged: {error}.", hint=hint) from error

    @contextmanager
    def _writing_to(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EvalError(
                f"{path} cannot be written: {error.strerror or error}.",
                hint="Free some space or check the folder's permissions; what was saved before is kept.",
            ) from error


def outcome_from_plain(plain: Any) -> SavedOutcome:
    """A line of `outcomes.jsonl`, parsed. Raises NotPlain."""
    task = plain.get("task") if isinstance(plain, dict) else None
    if task not in OUTCOME_TYPES:
        raise NotPlain(f"task cannot be {task!r:.60}")
    outcome = from_plain(OUTCOME_TYPES[task], plain.get("outcome"))
    model, dataset = plain.get("model"), plain.get("dataset")
    if not isinstance(model, str) or not isinstance(dataset, str):
        raise NotPlain("model or dataset is missing")
    return SavedOutcome(model, dataset, task, outcome)


def _read_outcome(path: Path, number: int, line: bytes) -> SavedOutcome:
    try:
        return outcome_from_plain(json.loads(line))
    except (ValueError, RecursionError) as error:
        raise EvalError(
            f"{path}:{number} is damaged: {error}.",
            hint="Take that line out of the file; `mmchat eval --resume` then asks for its sample again.",
        ) from error


def _age(run_id: str) -> tuple[str, int, str]:
    """Sorts the tenth run of a second after the second one."""
    time, _, number = run_id[:13], run_id[13:14], run_id[14:]
    return (time, int(number) if number.isdecimal() else 1, run_id)


def _utf8(text: str) -> bytes:
    """A half of a surrogate pair, which a model may utter, becomes its JSON escape: it stands inside a string."""
    return text.encode("utf-8", "backslashreplace")


def _write(path: Path, data: bytes, flag: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    """Cut the file after its last newline."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        at = end
        while at > 0:
            start = max(0, at - 65536)
            file.seek(start)
            newline = file.read(at - start).rfind(b"\n")
            if newline >= 0:
                at = start + newline + 1
                break
            at = start
        if at < end:
            file.truncate(at)
