"""A throw-away environment for each peer, so that what it needs never meets what mmchat needs.

    python = peer_environment("llm", ["llm", "llm-gguf"])
    subprocess.run([python, "-m", "llm", "--version"], env=peer_variables(), check=True)
    peer_versions(python, "llm")                             # {"llm": "0.27"}

Environments are kept in the folder `keep` or `$MMCHAT_PEERS`; without either they are removed when the program ends.
pip installs with the user's own settings. What failed raises `PeerMissing`, whose text is fit for the report.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from filelock import FileLock

_LIMIT_S = 1800
_TOLD_LINES = 3
_LEFT_BEHIND = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables that would lead a peer to the running environment's packages, or make its threads wait as ours do."""
_LIST_OF_VERSIONS = """
import importlib.metadata, json
found = reversed(list(importlib.metadata.distributions()))  # what comes first on the path counts
print(json.dumps({each.metadata["Name"].lower().replace("_", "-"): each.version for each in found}))
"""


class PeerMissing(Exception):
    """A peer could not be installed or started; the text says what and why."""


def peer_environment(
    name: str,
    requirements: Sequence[str],
    *,
    borrows: bool = False,
    keep: Path | None = None,
    wheels: Path | None = None,
) -> Path:
    """The python of an environment that holds `requirements`; made where it is not there yet.

    Args:
        name: what it is for; part of its folder's name.
        requirements: as pip takes them. Others of the same name make another environment.
        borrows: the packages of the running environment can be imported too, after its own: torch is not
            installed twice. What pip finds there counts as installed.
        keep: folder where environments stay; None: `$MMCHAT_PEERS`, else they go when the program ends.
        wheels: folder of wheels that pip looks into first.

    Raises:
        PeerMissing: pip or venv failed.
    """
    folder = (keep or peers_dir()).absolute() / _folder_name(name, requirements, borrows)
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with FileLock(f"{folder}.lock"):
        if not _record(folder).is_file():
            shutil.rmtree(folder, ignore_errors=True)  # a half-made one
            tell(f"{name}: making an environment with {', '.join(requirements)}, once (minutes)")
            _make(name, folder, python, requirements, borrows, wheels)
    return python


def peer_versions(python: Path, *names: str) -> dict[str, str]:
    """Versions of what can be imported in an environment, borrowed packages among them; all where none is named."""
    versions: dict[str, str] = json.loads(_record(python.parents[1]).read_text(encoding="utf-8"))
    return {name: versions[name] for name in names} if names else versions


def peer_variables(**more: str) -> dict[str, str]:
    """This process' environment variables for a peer: nothing that leads to our own packages, and `more`."""
    return {name: value for name, value in os.environ.items() if name not in _LEFT_BEHIND} | more


@cache
def peers_dir() -> Path:
    """Where environments go unless told otherwise."""
    if kept := os.environ.get("MMCHAT_PEERS"):
        return Path(kept)
    folder = Path(tempfile.mkdtemp(prefix="mmchat-peers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tell(f"environments go into {folder} and are removed at the end; MMCHAT_PEERS=FOLDER keeps them")
    return folder


def _folder_name(name: str, requirements: Sequence[str], borrows: bool) -> str:
    told = json.dumps([sorted(requirements), borrows and sys.prefix, sys.version])
    return f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _record(folder: Path) -> Path:
    """Written last: an environment that has it is whole."""
    return folder / "versions.json"


def _make(
    name: str, folder: Path, python: Path, requirements: Sequence[str], borrows: bool, wheels: Path | None
) -> None:
    _run(name, [sys.executable, "-m", "venv", str(folder)], "venv made no environment")
    if borrows:
        inside = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True, env=peer_variables()
        )
        lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (Path(inside.strip()) / "borrowed.pth").write_text("\n".join(sorted(lent)) + "\n", encoding="utf-8")
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    if wheels is not None:
        command += ["--find-links", str(wheels.absolute())]
    _run(name, [*command, *requirements], f"pip could not install {', '.join(requirements)}")
    versions = _run(name, [str(python), "-c", _LIST_OF_VERSIONS], "its python does not run")
    _record(folder).write_text(versions, encoding="utf-8")


def _run(name: str, command: list[str], failure: str) -> str:
    """What a command prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=peer_variables(), stdin=subprocess.DEVNULL, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"{name}: {failure} within {_LIMIT_S} s") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise PeerMissing(f"{name}: {failure}: {' '.join(errors[-_TOLD_LINES:])}")
    return done.stdout


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"peers: {text}", file=sys.stderr, flush=True)
