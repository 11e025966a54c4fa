"""Makes a folder of files for an engine, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mmchat.errors import WeightsError
from mmchat.weights.manifest import PlacedFile, hash_tree
from mmchat.weights.preparers import Preparer, run_preparer
from mmchat.weights.progress import Meter
from mmchat.weights.sources import no_room_error
from mmchat.weights.unpack import replace_folder


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is run to make a folder for an engine, and what it is made of."""

    preparer: Preparer
    source_dir: Path
    digest: str
    """Changes whenever one of its sources does."""
    arguments: tuple[str, ...] = ()
    """Handed to the preparer after the usual ones."""


def make(
    recipe: Recipe, name: str, target_dir: Path, meter: Meter, cancel: Event | None = None, phrase: str = ""
) -> dict[str, PlacedFile]:
    """Run a recipe into `target_dir`. The caller holds the model's lock.

    Progress says `phrase` until the preparer says more; absent: for whom it is.

    Returns:
        The files made.

    Raises:
        WeightsError: the preparer failed; what was in `target_dir` is still there.
        PullCancelled: `cancel` was set.
    """
    for leftover in target_dir.parent.glob(f".{target_dir.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = target_dir.with_name(f".{target_dir.name}-{os.getpid()}")
    partial.mkdir(parents=True)
    phrase = phrase or f"for {target_dir.name}"
    try:
        meter.report("preparing", detail=phrase)
        run_preparer(
            recipe.preparer,
            name,
            recipe.source_dir,
            partial,
            lambda text: meter.report("preparing", detail=text or phrase),
            cancel,
            recipe.arguments,
        )
        files = hash_tree(partial)
        if not files:
            raise WeightsError(f"Preparing '{name}' {phrase} left no files.")
        replace_folder(partial, target_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


@contextmanager
def disk_watched(name: str, root: Path) -> Iterator[None]:
    """Say in words what the disk refuses while the weights of `name` are placed below `root`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room_error(root) from error
        raise WeightsError(
            f"'{name}' could not be placed: {error.filename or root}: {error.strerror or error}",
            hint="Check the folder's permissions, or name another with MMCHAT_WEIGHTS.",
        ) from error
