"""What a training leaves in its folder beside the weights, and what a resumed one must have in common with it."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmchat.errors import UsageError
from mmchat.rows.values import RowFile
from mmchat.train.base import BaseModel, Preparation

SETTINGS = "settings.json"
ADAPTER = "adapter"
WEIGHTS = "weights"
PROJECTOR = "projector"
CHECKPOINTS = "checkpoints"
FEATURES = "features"
"""Kept vectors of frozen encoders."""
_PACKAGES = ("mmchat", "torch", "transformers", "trl", "peft", "accelerate", "datasets")
_FREE_SETTINGS = frozenset({"micro_batch", "log_to"})
"""Settings that may differ between the parts of a training, since the losses are the same."""
_NOT_WEIGHTS = ("optimizer", "scheduler", "rng_state", "trainer_state", "training_args", "README", "scaler")


def write_settings(folder: Path, preparation: Preparation, files: Sequence[RowFile], base: BaseModel) -> None:
    """Write `settings.json`: enough to know what was trained on what, and to go on."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "task": preparation.task,
        "method": preparation.method,
        "base": base.name,
        "base_path": str(base.path),
        "base_license": base.license,
        "settings": asdict(preparation.settings),
        "steps": preparation.steps,
        "train_rows": preparation.train_rows,
        "validation_rows": preparation.validation_rows,
        "trainable_parameters": preparation.trainable_parameters,
        "all_parameters": preparation.all_parameters,
        "data": [{"path": str(each.path), "sha256": each.sha256, "rows": len(each.rows)} for each in files],
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }
    path = folder / SETTINGS
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)


def require_same(folder: Path, preparation: Preparation, files: Sequence[RowFile], base: BaseModel) -> None:
    """Make sure that going on gives what an unbroken training would.

    Raises:
        UsageError: there is no training, or base, rows or settings were others; each is named.
    """
    path = folder / SETTINGS
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UsageError(
            f"{folder} holds no training to go on with.", hint="Start the training without --resume."
        ) from error
    differences = [] if record["base"] == base.name else [f"the base was '{record['base']}'"]
    if [each["sha256"] for each in record["data"]] != [each.sha256 for each in files]:
        differences.append("the rows have changed")
    now = asdict(preparation.settings)
    before: dict[str, Any] = record["settings"]
    differences += [
        f"{key} was {before.get(key)!r} and is {value!r}"
        for key, value in json.loads(json.dumps(now)).items()
        if key not in _FREE_SETTINGS and key != "data" and before.get(key) != value
    ]
    if differences:
        raise UsageError(
            f"The training in {folder} cannot be gone on with: {'; '.join(differences)}.",
            hint="Give the same rows and settings, or start a new training under another name.",
        )


def keep_best(checkpoint: Path, folder: Path, *, is_adapter: bool) -> Path:
    """Copy the weights of a checkpoint to where the result is looked for.

    Args:
        checkpoint: of a `Trainer`.
        folder: of the training.
        is_adapter: whether they are an adapter's.

    Returns:
        `adapter/` or `weights/` in the folder.
    """
    target = folder / (ADAPTER if is_adapter else WEIGHTS)
    draft = target.with_name(f"{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for path in checkpoint.iterdir():
        is_tokenizer = path.name.startswith(("tokenizer", "special_tokens", "vocab", "merges", "chat_template"))
        if path.is_file() and not path.name.startswith(_NOT_WEIGHTS) and not (is_adapter and is_tokenizer):
            shutil.copy2(path, draft / path.name)
    shutil.rmtree(target, ignore_errors=True)
    draft.replace(target)
    return target


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
