"""Hub repositories over HTTP on this machine: placing, the user's cache, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmchat.config.model_entries import LmEntry
from mmchat.errors import WeightsError
from mmchat.weights.hub import DEFAULT_INCLUDES, is_wanted
from mmchat.weights.store import WeightsStore

from .fake_hub import FakeHub, serve

COMMIT = "a" * 40
FILES = {
    "config.json": b'{"model_type": "tiny"}',
    "model.safetensors": b"tensors" * 500,
    "pytorch_model.bin": b"a pickle that could run code",
    "onnx/model.onnx": b"not wanted",
    "onnx/config.json": b"not wanted",
    "README.md": b"not wanted",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serve(FakeHub("org/tiny", COMMIT, dict(FILES))) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield hub


def hub_entry(revision: str | None = COMMIT, **fields: object) -> LmEntry:
    source: dict[str, object] = {"source": "hub:org/tiny", "revision": revision}
    return LmEntry.model_validate(
        {
            "name": "tiny",
            "weights_name": "tiny",
            "kind": "lm",
            "engine": "transformers",
            "format": "safetensors",
            "sources": [source],
            **fields,
        }
    )


def test_a_repository_is_placed_without_its_pickles(store: WeightsStore, hub: FakeHub) -> None:
    entry = hub_entry()
    store.pull(entry)
    names = sorted(path.name for path in store.path(entry).rglob("*") if path.is_file())
    assert names == ["config.json", "model.safetensors"]
    assert (store.path(entry) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert store.revision(entry) == COMMIT
    assert store.check(entry) == []


def test_an_unpinned_entry_records_the_commit_it_got(store: WeightsStore, hub: FakeHub) -> None:
    entry = hub_entry(revision=None)
    assert not entry.is_pinned
    store.pull(entry)
    assert store.revision(entry) == COMMIT
    assert store.is_installed(entry)
    assert not store.is_installed(hub_entry(revision="b" * 40))


def test_a_checksum_other_than_the_published_one_is_refused(store: WeightsStore, hub: FakeHub) -> None:
    hub.announced_sha256["model.safetensors"] = "0" * 64
    with pytest.raises(WeightsError, match="model.safetensors has the wrong checksum"):
        store.pull(hub_entry())
    assert not store.is_installed(hub_entry())


def test_an_interrupted_fetch_goes_on(store: WeightsStore, hub: FakeHub) -> None:
    missing = hub.files.pop("model.safetensors")
    tree = hub.tree
    hub.files["model.safetensors"] = missing
    complete = tree()
    del hub.files["model.safetensors"]
    hub.tree = lambda: complete  # type: ignore[method-assign]
    with pytest.raises(WeightsError):
        store.pull(hub_entry())
    assert not store.is_installed(hub_entry())

    hub.files["model.safetensors"] = missing
    hub.asked.clear()
    store.pull(hub_entry())
    assert not [line for line in hub.asked if line.startswith("GET") and "config.json" in line]


def test_what_is_whole_in_the_users_cache_is_used_in_place(
    store: WeightsStore, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    snapshot = tmp_path / "hf/hub/models--org--tiny/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_bytes(FILES[name])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    entry = hub_entry()
    store.pull(entry)
    assert store.path(entry) == snapshot
    assert hub.asked == []
    store.remove(entry)
    assert (snapshot / "config.json").is_file()


def test_offline_and_not_in_the_cache_asks_nobody(
    store: WeightsStore, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="no connection was attempted"):
        store.pull(hub_entry())
    assert hub.asked == []


def test_a_gated_repository_says_how_to_get_in(store: WeightsStore, hub: FakeHub) -> None:
    hub.is_gated = True
    with pytest.raises(WeightsError, match="licence") as caught:
        store.pull(hub_entry())
    assert "hf auth login" in caught.value.hint


def test_an_unknown_repository_or_commit_is_said(store: WeightsStore, hub: FakeHub) -> None:
    with pytest.raises(WeightsError, match="no commit bbbb"):
        store.pull(hub_entry(revision="b" * 40))
    with pytest.raises(WeightsError, match="has no org/other"):
        store.pull(hub_entry(sources=[{"source": "hub:org/other"}]))


def test_an_unreachable_hub_is_said(store: WeightsStore, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="hub cannot be reached, so org/tiny"):
        store.pull(hub_entry())


def test_no_default_pattern_takes_a_pickle_but_the_format_that_says_so() -> None:
    for weights_format, patterns in DEFAULT_INCLUDES.items():
        for name in ("pytorch_model.bin", "model.pt", "model.pkl", "weights.ckpt"):
            is_allowed = weights_format == "pytorch" and name == "pytorch_model.bin"
            assert is_wanted(name, patterns) == is_allowed, (weights_format, name)
