"""What a finetune leaves: a folder with its weights, a card that says what they are, and an entry for models.toml.

```
<data folder>/models/<name>/
    adapter/, weights/ or projector/    what was trained
    settings.json           everything it was trained with, resolved, and the data's checksums
    README.md               the model card
    before_after.json       the scores of base and result, where they were compared
    checkpoints/, logs/     of the training
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmchat import __version__, paths
from mmchat.adapter_files import CONFIG_NAME, adapter_kind, changes_prompt
from mmchat.config.model_entries import ModelEntry
from mmchat.rows.values import RowFile
from mmchat.train.base import Preparation, TrainResult

ADAPTER = "adapter"
WEIGHTS = "weights"
PROJECTOR = "projector"
SETTINGS_NAME = "settings.json"
CARD_NAME = "README.md"
_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "open_clip_torch")


def results_dir() -> Path:
    """Where results lie, a folder each."""
    return paths.data_dir() / "models"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a finetuned model was made of."""

    name: str
    """Of the result."""
    base: ModelEntry
    base_revision: str = ""
    """The hub commit of the base, or the checksum of its files."""
    data: tuple[RowFile, ...] = ()


# --- the entry ------------------------------------------------------------------------------------


def entry_fields(
    origin: Origin, folder: Path, *, engine: str = "", weights_format: str = "", vision: str = ""
) -> dict[str, Any]:
    """The keys of `[models.NAME]`.

    An adapter names its base, and takes its engines; so do a language model's new weights, for llama.cpp
    needs the base's tokenizer. Other kinds stand for themselves.

    Args:
        origin: of the result.
        folder: of the result, with `adapter/` or `weights/`.
        engine: what runs it, where that is not the base's.
        weights_format: of `weights/`; absent: the base's, but what was a GGUF has become safetensors.
        vision: the model that a language model has learnt to see through; there is a `projector/` then.
    """
    base = origin.base
    fields: dict[str, Any] = {
        "kind": base.kind,
        "description": f"finetuned from {base.name}",
        "license": base.license,
    }
    has_adapter = (folder / ADAPTER / CONFIG_NAME).is_file()
    if has_adapter and changes_prompt(adapter_kind(folder / ADAPTER)):
        engine = engine or "transformers"  # nothing to merge, so llama.cpp cannot run it
    is_listed = base.weights_name == base.name  # a folder or a file named by its path is not in models.toml
    is_on_top = has_adapter or bool(vision)  # of the base's weights, which stay as they are
    own_weights = not is_on_top or not is_listed
    if vision:
        engine = "transformers"
        fields |= {"projector": str(folder / PROJECTOR), "vision": vision, "accepts_images": True}
    if base.kind == "lm" and is_listed:
        fields["base"] = base.name
    else:
        fields |= {"engine": base.engine, "gpu_engine": base.gpu_engine, "languages": base.languages or None}
    if has_adapter:
        fields["adapter"] = str(folder / ADAPTER)
    if is_on_top and own_weights:
        fields |= {"format": base.format, "sources": [{"source": each.source} for each in base.sources]}
    elif own_weights:
        new_format = weights_format or ("safetensors" if base.format == "gguf" else base.format)
        fields |= {"format": new_format, "sources": [{"source": f"dir:{folder / WEIGHTS}"}]}
    if engine:
        fields |= {"engine": engine, "gpu_engine": engine}
    return {key: value for key, value in fields.items() if value is not None}


# --- the files ------------------------------------------------------------------------------------


def write_settings(folder: Path, origin: Origin, preparation: Preparation, result: TrainResult) -> None:
    """Write `settings.json`: enough to train the same model again."""
    paths.replace_text(
        folder / SETTINGS_NAME,
        json.dumps(
            {
                "name": origin.name,
                "base": origin.base.name,
                "base_revision": origin.base_revision,
                "task": preparation.task,
                "method": preparation.method,
                "settings": asdict(preparation.settings),
                "data": [{"path": str(d.path), "sha256": d.sha256, "rows": len(d.rows)} for d in origin.data],
                "train_rows": preparation.train_rows,
                "validation_rows": preparation.validation_rows,
                "trainable_parameters": result.trainable_parameters,
                "all_parameters": result.all_parameters,
                "labels": list(preparation.labels),
                "packages": _packages(),
            },
            ensure_ascii=False,
            indent=1,
        )
        + "\n",
    )


def write_card(
    folder: Path,
    origin: Origin,
    preparation: Preparation,
    result: TrainResult,
    table: Sequence[Sequence[str]] = (),
    sentences: Sequence[str] = (),
) -> None:
    """Write the model card.

    Args:
        folder: of the result.
        origin: what it was made of.
        preparation: what was found before training.
        result: what came of it.
        table: scores of base and result, a row of headings first; empty where they were not compared.
        sentences: what they say in plain words.
    """
    name, base = origin.name, origin.base
    share = 100 * result.trainable_parameters / max(1, result.all_parameters)
    settings = preparation.settings
    training = [
        ("task", preparation.task),
        ("method", preparation.method),
        ("rows", f"{preparation.train_rows} to train on, {preparation.validation_rows} held out"),
        ("trained parameters", f"{result.trainable_parameters:,} of {result.all_parameters:,} ({share:.2f} %)"),
        ("steps", f"{result.steps}, the best after {result.best_step} ({result.status})"),
        ("validation loss", _change(result.first_validation_loss, result.best_validation_loss)),
        ("batch", f"{settings.batch_size} rows a step, learning rate {settings.learning_rate:g}")
        if settings.learning_rate is not None
        else ("batch", f"{settings.batch_size} rows a step"),
        ("seed", str(settings.seed)),
        ("time", f"{result.elapsed_s:.0f} s, {result.seconds_per_step:.2f} s a step"),
        ("software", ", ".join(f"{package} {number}" for package, number in _packages().items())),
    ]
    data = [("file", "rows", "SHA-256"), *((d.path.name, str(len(d.rows)), f"`{d.sha256}`") for d in origin.data)]
    parts = [
        _front_matter(origin),
        f"# {name}",
        f"Finetuned from **{base.name}** ({base.description or base.kind}) with mmchat {__version__}.",
        f"## Licence\n\nThe base is under **{base.license}**, and so is what was made of it, as far as that licence "
        "says so. What the rows may be used for is for whoever brought them to know.",
        "## Data\n\n" + _markdown(data),
        "## Training\n\n" + _markdown([("", ""), *training]),
        f"## Before and after\n\n{_comparison(table, sentences)}",
        _how_to(name, base.kind, preparation.task),
    ]
    paths.replace_text(folder / CARD_NAME, "\n\n".join(parts) + "\n")


def _how_to(name: str, kind: str, task: str) -> str:
    commands = [f"mmchat models info {name}", f"mmchat models remove {name}"]
    if task == "picture":
        commands = [f"mmchat talk -m {name} -a PICTURE", *commands]
    elif kind == "lm":
        commands = [f"mmchat talk -m {name}", f"mmchat models export {name} --to gguf", *commands]
    lines = "\n".join(commands)
    return (
        f"## Use, and removal\n\n```\n{lines}\n```\n\nRemoving deletes this folder and the entry in models.toml. "
        f"Everything it was trained with is in `{SETTINGS_NAME}`."
    )


def _front_matter(origin: Origin) -> str:
    quoted = json.dumps(origin.base.name, ensure_ascii=False)
    return (
        f"---\nbase_model: {quoted}\nlicense: {json.dumps(origin.base.license.lower())}\ntags: [mmchat, finetuned]\n---"
    )


def _comparison(table: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    if not table:
        return "They were not compared."
    return "\n\n".join([_markdown(table), *sentences])


def _change(first: float | None, best: float | None) -> str:
    if best is None:
        return "not measured"
    return f"{best:.4f}" if first is None else f"{first:.4f} before, {best:.4f} after"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _packages() -> Mapping[str, str]:
    found = {"mmchat": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
