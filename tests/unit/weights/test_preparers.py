"""Preparing in a process of its own: outcome, noise, failure, staleness."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Event

import pytest

from mmchat import paths
from mmchat.domain import PullProgress
from mmchat.errors import WeightsError
from mmchat.weights import preparers
from mmchat.weights.child import PullCancelled
from mmchat.weights.preparers import PREPARERS, Preparer, preparer_for
from mmchat.weights.store import WeightsStore

from .conftest import MakeWheel, from_wheel, make_entry

MODULE = """
import os, sys, time
from pathlib import Path
from mmchat.errors import WeightsError

def upper(source, target, report):
    print("noise on stdout")
    os.write(1, b"noise of a C library\\n")
    report("turning letters")
    (target / "out.txt").write_text((source / "m").read_text().upper())

def refuse(source, target, report):
    (target / "half.txt").write_text("half")
    raise WeightsError("these weights are odd", hint="take others")

def crash(source, target, report):
    raise KeyError("no such tensor")

def die(source, target, report):
    os.kill(os.getpid(), 9)

def forever(source, target, report):
    report("going on")
    time.sleep(600)

def nothing(source, target, report):
    pass
"""


@pytest.fixture(autouse=True)
def toy_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "toy_preparers.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))


def use(monkeypatch: pytest.MonkeyPatch, function: str, version: int = 1) -> None:
    key = ("ctranslate2", "openai-whisper")
    monkeypatch.setitem(preparers.PREPARERS, key, Preparer(f"toy_preparers:{function}", version))


@pytest.fixture
def entry(make_wheel: MakeWheel) -> object:
    wheel = make_wheel("tiny-weights", {"m": b"abc"})
    return make_entry(sources=[from_wheel(wheel, {"m": "m"})])


def test_pull_prepares_for_the_engine_asked_for(
    store: WeightsStore, entry: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, "upper")
    seen: list[PullProgress] = []
    store.pull(entry, seen.append, engine="openai-whisper")  # type: ignore[arg-type]
    assert store.prepared_engines(entry) == ("openai-whisper",)  # type: ignore[arg-type]
    folder = store.prepared(entry, "openai-whisper", lambda _: pytest.fail("prepared twice"))  # type: ignore[arg-type]
    assert (folder / "out.txt").read_text() == "ABC"
    assert "turning letters" in [each.detail for each in seen]
    assert capfd.readouterr() == ("", "")
    assert "noise of a C library" in (paths.log_dir() / "prepare-tiny-upper.log").read_text()


def test_prepared_makes_what_is_missing_or_old(
    store: WeightsStore, entry: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pull(entry)  # type: ignore[arg-type]
    use(monkeypatch, "upper")
    folder = store.prepared(entry, "openai-whisper")  # type: ignore[arg-type]
    first = (folder / "out.txt").stat().st_mtime_ns
    use(monkeypatch, "upper", version=2)
    assert (store.prepared(entry, "openai-whisper") / "out.txt").stat().st_mtime_ns != first  # type: ignore[arg-type]
    (folder / "out.txt").unlink()
    assert store.check(entry) == [f"{folder / 'out.txt'} is missing"]  # type: ignore[arg-type]
    assert (store.prepared(entry, "openai-whisper") / "out.txt").is_file()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("refuse", "these weights are odd"),
        ("crash", "KeyError: 'no such tensor'"),
        ("die", "was killed"),
        ("nothing", "left no files"),
    ],
)
def test_a_failed_preparer_leaves_the_files_and_no_half(
    store: WeightsStore, entry: object, monkeypatch: pytest.MonkeyPatch, function: str, message: str
) -> None:
    use(monkeypatch, function)
    with pytest.raises(WeightsError, match=message):
        store.pull(entry, engine="openai-whisper")  # type: ignore[arg-type]
    assert store.is_installed(entry)  # type: ignore[arg-type]
    assert sorted(path.name for path in (store.root / "tiny").iterdir()) == ["manifest.json", "source"]


def test_cancel_ends_the_process(store: WeightsStore, entry: object, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "forever")
    cancel = Event()

    def on_progress(progress: PullProgress) -> None:
        if progress.detail == "going on":
            cancel.set()

    with pytest.raises(PullCancelled):
        store.pull(entry, on_progress, cancel, engine="openai-whisper")  # type: ignore[arg-type]
    assert not list((store.root / "tiny").glob(".openai-whisper-*"))


def test_an_engine_that_cannot_read_the_format_is_said_first(store: WeightsStore, entry: object) -> None:
    with pytest.raises(WeightsError, match=r"\(ctranslate2\) do not fit the engine 'open_clip'") as caught:
        store.pull(entry, engine="open_clip")  # type: ignore[arg-type]
    assert caught.value.hint == "Engines for these weights: faster-whisper, openai-whisper."
    assert not store.is_installed(entry)  # type: ignore[arg-type]


def test_every_preparer_exists() -> None:
    from importlib.util import find_spec

    for preparer in filter(None, PREPARERS.values()):
        module, _, function = preparer.target.partition(":")
        spec = find_spec(module)
        assert spec is not None, module
        assert f"def {function}(" in Path(str(spec.origin)).read_text(encoding="utf-8")
    assert preparer_for("x", "safetensors", "transformers") is None


def test_the_preparers_module_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys; import mmchat.weights.store, mmchat.weights.preparers; "
        "print([m for m in ('torch', 'transformers', 'huggingface_hub', 'ctranslate2') if m in sys.modules])"
    )
    env = {**os.environ}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "[]"


def test_leaving_the_program_ends_a_pull_in_a_daemon_thread(tmp_path: Path) -> None:
    import subprocess

    marker = tmp_path / "pid"
    child = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = f"""
import sys, threading
from pathlib import Path
from mmchat.weights.child import run_child
started = threading.Event()
def poll():
    if Path({str(marker)!r}).exists() and Path({str(marker)!r}).read_text():
        started.set()
command = [sys.executable, "-c", {child!r}]
kwargs = dict(log_path=Path({str(tmp_path / "log")!r}), on_poll=poll)
threading.Thread(target=run_child, args=(command,), kwargs=kwargs, daemon=True).start()
assert started.wait(60)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=90)
    pid = int(marker.read_text())
    tries = 0
    while _is_alive(pid):  # it was told to end; the system takes a moment
        tries += 1
        assert tries < 1000, "the child outlived its parent"
        Event().wait(0.01)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
