"""A clean home for every test, no network, and the default weights fetched once for those that need them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mmchat.openmp import settle_waiting

# A slow machine is no failure. With CI set, hypothesis loads a profile of its own: no deadline, no chance.
settings.register_profile("mmchat", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("mmchat")

# Before any library reads them: the tests never reach a hub, and never draw progress bars.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settle_waiting()  # on a busy machine torch is ten times faster so

# Each program that a test starts would compile two hundred modules of mmchat again: 0.7 s of processor time a start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that runs the tests in its background has them ignore Ctrl+C, and so would the programs they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost", "0.0.0.0"}


class NetworkBlocked(AssertionError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MMCHAT_HOME of the test's own."""
    path = tmp_path / "home"
    monkeypatch.setenv("MMCHAT_HOME", str(path))
    for name in [name for name in os.environ if name.startswith("MMCHAT_") and name not in KEPT_VARIABLES]:
        monkeypatch.delenv(name)
    return path


KEPT_VARIABLES = {"MMCHAT_HOME", "MMCHAT_WEIGHTS"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that is not to this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            host = str(address[0])
            if host not in LOCAL_HOSTS:
                raise NetworkBlocked(f"connection to {host}")
        return connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def weights_dir() -> Iterator[Path]:
    """The folder with the whole default stack, pulled on first use and shared by all tests.

    It is the user's own weights folder (or MMCHAT_WEIGHTS), so a second run fetches nothing.
    """
    from mmchat.config.models_file import load_models_file
    from mmchat.paths import weights_dir as default_weights_dir
    from mmchat.weights.store import WeightsStore

    saved_home = os.environ.pop("MMCHAT_HOME", None)
    try:
        path = default_weights_dir()
    finally:
        if saved_home is not None:
            os.environ["MMCHAT_HOME"] = saved_home
    store = WeightsStore(path)
    models = load_models_file()
    for name in models.default_stack():
        if not store.is_installed(models[name]):
            store.pull(models[name])
    saved_weights = os.environ.get("MMCHAT_WEIGHTS")
    os.environ["MMCHAT_WEIGHTS"] = str(path)
    yield path
    if saved_weights is None:
        del os.environ["MMCHAT_WEIGHTS"]
    else:
        os.environ["MMCHAT_WEIGHTS"] = saved_weights


# --- a skip that nobody expects must not pass for a success -------------------------------------

MAY_SKIP = ("gpu",)
"""Marks of tests for machines that CI is not."""
_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # Not `makereport`: with several processes that one runs in the others, and this one is told here.
    is_expected = hasattr(report, "wasxfail") or any(mark in report.keywords for mark in MAY_SKIP)
    if report.skipped and not is_expected:
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI set, unexpected skips fail the run; their reasons stand in the summary."""
    if os.environ.get("CI") and _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("CI") and _skipped:
        terminalreporter.section("unexpected skips fail this run", red=True)
        for name in _skipped:
            terminalreporter.write_line(name)
