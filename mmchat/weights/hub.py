"""Fetches Hugging Face repositories at one commit, in a process of its own.

`python -m mmchat.weights.hub REQUEST` (one JSON object) is that process. It looks into the user's own
Hugging Face cache first; what is whole there is used in place, anything else is fetched into our
folder, where an interrupted fetch goes on.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import Event
from typing import Any

from mmchat.config.model_entries import Source
from mmchat.errors import WeightsError
from mmchat.weights.child import claim_stdout, run_child
from mmchat.weights.manifest import tree_bytes
from mmchat.weights.sources import is_hub_offline, no_room_error

_TEXT_FILES = ("*.json", "*.txt", "*.jinja", "*.model")
DEFAULT_INCLUDES: dict[str, tuple[str, ...]] = {
    "safetensors": ("*.safetensors", *_TEXT_FILES),
    "pytorch": ("pytorch_model*.bin", *_TEXT_FILES),
    "gguf": ("*.gguf",),
    "ctranslate2": ("model.bin", "*.json", "vocabulary.*"),
    "open_clip": ("open_clip_config.json", "open_clip_model.safetensors", *_TEXT_FILES),
    "sentence-transformers": ("model.safetensors", "1_Pooling/config.json", *_TEXT_FILES),
}
"""Format → the files it needs; never pickles that could run code. Subfolders only where a pattern names one."""


@dataclass(frozen=True)
class HubFiles:
    """A repository's files, on this machine."""

    folder: Path
    revision: str
    """The full commit."""
    sha256: dict[str, str]
    """Checksums that the hub published for its large files; empty when it was not asked."""
    is_in_user_cache: bool


def is_wanted(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a file of a repository is among the patterns, `*` staying within a folder."""
    return any(path.count("/") == pattern.count("/") and fnmatch(path, pattern) for pattern in patterns)


def fetch_hub(
    source: Source,
    weights_format: str,
    target_dir: Path,
    on_bytes: Callable[[int, int], None],
    cancel: Event | None = None,
) -> HubFiles:
    """Have a repository's files here.

    Args:
        source: a `hub:` source.
        weights_format: decides which files, where the source names none.
        target_dir: receives the files; what an earlier try left there is used.
        on_bytes: told several times a second (bytes that have come, bytes in all or 0).
        cancel: ends the fetch when set; what has come stays in `target_dir`.

    Raises:
        WeightsError: offline and not in the cache, unreachable, gated, unknown, or no room.
        PullCancelled: `cancel` was set.
    """
    patterns = source.include or DEFAULT_INCLUDES[weights_format]
    total = 0

    def hear(message: dict[str, Any]) -> None:
        nonlocal total
        total = int(message.get("total", total))

    request = {
        "repo": source.target,
        "revision": source.revision,
        "patterns": patterns,
        "target": str(target_dir),
        "is_offline": is_hub_offline(),
    }
    target_dir.mkdir(parents=True, exist_ok=True)
    result = run_child(
        [sys.executable, "-P", "-m", "mmchat.weights.hub", json.dumps(request)],
        log_path=target_dir.parent / "hub.log",
        env={"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
        cancel=cancel,
        on_poll=lambda: on_bytes(tree_bytes(target_dir), total),
        on_message=hear,
        reads_stdout=True,
    )
    for message in result.messages:
        if message.get("has_no_room"):
            raise no_room_error(target_dir, int(message.get("needed", 0)))
        if "error" in message:
            raise WeightsError(message["error"], hint=message["hint"])
        if "folder" in message:
            return HubFiles(Path(message["folder"]), message["revision"], message["sha256"], message["is_in_cache"])
    raise WeightsError(f"Fetching {source.source} failed: {result.last_line}", hint="Pull again.")


# --- the child's side -----------------------------------------------------------------------------


def main(request_text: str) -> int:
    """The child: one request in, JSON lines out."""
    request = json.loads(request_text)
    send = claim_stdout()
    from huggingface_hub import errors

    # HTTPError of httpx or httpx2, whichever this huggingface_hub is built on
    network_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    repo = request["repo"]
    try:
        send(_fetch(request, send))
    except errors.GatedRepoError:
        hint = "Accept its licence on the model's page, then log in: hf auth login"
        send({"error": f"{repo} is behind a licence that has to be accepted first.", "hint": hint})
    except errors.RepositoryNotFoundError:
        send({"error": f"The hub has no {repo}, or it is private.", "hint": "Check the name, or log in: hf auth login"})
    except errors.RevisionNotFoundError:
        send({"error": f"{repo} has no commit {request['revision']}.", "hint": "Mend revision in models.toml."})
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, network_error, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            send({"has_no_room": True})
        else:
            send(_unreachable(repo, request["is_offline"], error))
    return 0


def _unreachable(repo: str, is_offline: bool, error: BaseException) -> dict[str, str]:
    if is_offline:
        return {
            "error": f"{repo} is not on this machine, and offline mode is on: no connection was attempted.",
            "hint": "Unset MMCHAT_OFFLINE and HF_HUB_OFFLINE to fetch it, or take a model of the default stack.",
        }
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    reason = str(root).strip().splitlines()[0][:160] if str(root).strip() else type(root).__name__
    return {
        "error": f"The Hugging Face hub cannot be reached, so {repo} was not fetched ({reason}). "
        "What has come so far is kept.",
        "hint": "Check the network, or name a mirror with HF_ENDPOINT; the default stack needs no hub.",
    }


def _fetch(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from huggingface_hub import HfApi, errors, snapshot_download
    from huggingface_hub.hf_api import RepoFile

    repo, revision = request["repo"], request["revision"]
    patterns = tuple(request["patterns"])
    try:
        cached = Path(snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=list(patterns)))
    except errors.LocalEntryNotFoundError:
        cached = None
    if cached is not None and is_whole(cached, patterns):
        return {"folder": str(cached), "revision": cached.name, "sha256": {}, "is_in_cache": True}
    if request["is_offline"]:
        raise errors.OfflineModeIsEnabled(repo)

    api = HfApi()
    # Asked first also for a known commit: it fails at once where listing files would try for half a minute.
    commit = api.model_info(repo, revision=revision).sha
    files = [
        item
        for item in api.list_repo_tree(repo, recursive=True, revision=commit)
        if isinstance(item, RepoFile) and is_wanted(item.path, patterns)
    ]
    if not files:
        return {"error": f"{repo} holds none of {', '.join(patterns)}.", "hint": "Mend include in models.toml."}
    total = sum(item.size for item in files)
    send({"total": total})
    target = Path(request["target"])
    free = os.statvfs(target) if hasattr(os, "statvfs") else None
    if free is not None and free.f_bavail * free.f_frsize < total - tree_bytes(target):
        return {"has_no_room": True, "needed": total - tree_bytes(target)}
    snapshot_download(repo, revision=commit, local_dir=target, allow_patterns=[item.path for item in files])
    checksums = {item.path: item.lfs.sha256 for item in files if item.lfs is not None}
    return {"folder": str(target), "revision": commit, "sha256": checksums, "is_in_cache": False}


def is_whole(folder: Path, patterns: tuple[str, ...]) -> bool:
    """Whether a snapshot in the user's cache has weights among the patterns, and all shards its index names."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    wanted = [name for name in names if is_wanted(name, patterns)]
    if not any(name.endswith((".safetensors", ".gguf", ".bin")) for name in wanted):
        return False
    for index in (name for name in wanted if name.endswith(".index.json")):
        shards = set(json.loads((folder / index).read_text(encoding="utf-8")).get("weight_map", {}).values())
        if shards - set(names):
            return False
    literal = [pattern for pattern in patterns if not set(pattern) & set("*?[")]
    return all(pattern in names for pattern in literal)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
