"""PEFT adapters (LoRA and its kin): what their folders must hold, and putting one on a model, whole or not at all.

Nothing is fetched and no pickle is opened. An adapter counts as loaded only if every one of its tensors
found its place and no place stayed empty: peft itself is content with less, and a model that silently
answers without its adapter looks like a bad finetune.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmchat.errors import ConfigError, ModelNotFound, WeightsError

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
_PICKLE_NAME = "adapter_model.bin"
_PROMPT_KINDS = frozenset(
    {"PREFIX_TUNING", "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "CPT", "ADAPTION_PROMPT", "CARTRIDGE"}
)
"""Adapters that go before the prompt or into the attention, so that no weight can take them up."""
_READ_PROMPT_KINDS = frozenset({"PREFIX_TUNING", "PROMPT_TUNING"})
"""Those of them that decoders on transformers can read."""
_PROMPT_TENSORS = ["prompt_embeddings"]


def require_adapter(name: str, path: Path) -> None:
    """Look at the folder of the adapter of model `name`; no library is imported.

    Raises:
        ModelNotFound: no such folder, or files are missing.
        WeightsError: it is saved as a pickle.
    """
    if not path.is_dir():
        raise ModelNotFound(
            f"The adapter of '{name}' is not there: {path}.",
            hint=f"Correct 'adapter' of '{name}' in models.toml: the folder that holds {CONFIG_NAME}.",
        )
    if (path / CONFIG_NAME).is_file() and (path / WEIGHTS_NAME).is_file():
        return
    if (path / _PICKLE_NAME).is_file():
        raise WeightsError(
            f"The adapter {path} is saved as a pickle ({_PICKLE_NAME}), which could run code when opened.",
            hint="Save it again as safetensors: save_pretrained(folder, safe_serialization=True).",
        )
    missing = next(name for name in (CONFIG_NAME, WEIGHTS_NAME) if not (path / name).is_file())
    raise ModelNotFound(
        f"{path} is no adapter: it holds no {missing}.",
        hint=f"Name the folder of a PEFT adapter: {CONFIG_NAME} and {WEIGHTS_NAME}.",
    )


def adapter_kind(path: Path) -> str:
    """What peft calls it, such as `LORA` or `PREFIX_TUNING`.

    Raises:
        WeightsError: its configuration cannot be read.
    """
    try:
        return str(json.loads((path / CONFIG_NAME).read_text(encoding="utf-8"))["peft_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def changes_prompt(kind: str) -> bool:
    """Whether adapters of that kind change what the model reads instead of its weights."""
    return kind in _PROMPT_KINDS


def attach_adapter(model: Any, name: str, path: Path, *, may_change_prompt: bool = False) -> Any:
    """The model with the adapter on it, ready to answer; for `merge` too.

    Args:
        model: a transformers model, on the CPU.
        name: of the model, for messages.
        path: the adapter's folder.
        may_change_prompt: whether prefix and prompt tuning are taken too, on decoders.

    Raises:
        ModelNotFound, WeightsError: as `require_adapter`; or damaged, or made for another model.
        ConfigError: an adapter that changes the prompt instead of the layers, where it may not.
    """
    require_adapter(name, path)
    # Deferred: only models with an adapter need them.
    import peft
    from safetensors import SafetensorError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing tensors are told below, and the rest is for developers
            config = peft.PeftConfig.from_pretrained(str(path))
            if config.is_prompt_learning:
                _require_readable(model, path, config, may_change_prompt=may_change_prompt)
            config.inference_mode = True
            adapted = peft.get_peft_model(model, config)
            outcome = adapted.load_adapter(str(path), "default", is_trainable=False, torch_device="cpu")
    except (json.JSONDecodeError, SafetensorError, OSError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    except ValueError as error:
        raise made_for_another(name, path, _first_line(error)) from error
    except RuntimeError as error:
        mismatch = next((line.strip() for line in str(error).splitlines() if "size mismatch" in line), None)
        if mismatch is None:
            raise  # no memory, say: the caller knows those
        raise made_for_another(name, path, mismatch) from error
    if config.is_prompt_learning:
        return adapted  # its one tensor has found its place, which peft does not tell here
    if outcome.missing_keys:
        raise made_for_another(name, path, f"it has nothing for {_named(outcome.missing_keys)}")
    if outcome.unexpected_keys:
        raise made_for_another(name, path, f"the model has no place for {_named(outcome.unexpected_keys)}")
    return adapted


def _require_readable(model: Any, path: Path, config: Any, *, may_change_prompt: bool) -> None:
    """Look at an adapter of the prompt, of whose tensors peft opens one and ignores the others.

    Raises:
        ConfigError: the model cannot read it.
        WeightsError: its tensors are not those of such an adapter.
    """
    from safetensors import safe_open

    kind = str(config.peft_type.value)
    is_readable = kind in _READ_PROMPT_KINDS and config.task_type == "CAUSAL_LM"
    if not may_change_prompt or not is_readable or model.config.is_encoder_decoder:
        raise ConfigError(
            f"The adapter {path} is of the kind {kind}, which changes the prompt.",
            hint="Use an adapter that changes the layers, such as LoRA.",
        )
    with safe_open(path / WEIGHTS_NAME, framework="numpy") as file:
        names = sorted(file.keys())
    if names != _PROMPT_TENSORS:
        raise _damaged(path, ValueError(f"it should hold {_PROMPT_TENSORS[0]} alone"))


def _damaged(path: Path, error: BaseException) -> WeightsError:
    return WeightsError(f"The adapter {path} is damaged: {_first_line(error)}", hint="Copy or make the adapter again.")


def made_for_another(name: str, path: Path, why: str) -> WeightsError:
    """The adapter does not fit the model, and why."""
    return WeightsError(
        f"The adapter {path} does not fit '{name}': {why.rstrip('.')}.",
        hint=f"Set 'base' of '{name}' in models.toml to the model that the adapter was made for.",
    )


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"{sorted(keys)[0]}{more}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
