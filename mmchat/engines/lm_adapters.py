"""PEFT adapters (LoRA and its kin) on models that run on transformers.

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

from safetensors import SafetensorError

from mmchat.domain import EngineSpec
from mmchat.errors import ConfigError, ModelNotFound, WeightsError

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
_PICKLE_NAME = "adapter_model.bin"


def require_adapter(spec: EngineSpec) -> None:
    """Look at the adapter's folder before the model is loaded, which takes long.

    Raises:
        ModelNotFound: no such folder, or files are missing.
        WeightsError: it is saved as a pickle.
    """
    path = spec.adapter_path
    if path is None:
        return
    if not path.is_dir():
        raise ModelNotFound(
            f"The adapter of '{spec.name}' is not there: {path}.",
            hint=f"Correct 'adapter' of '{spec.name}' in models.toml: the folder that holds {CONFIG_NAME}.",
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


def with_adapter(model: Any, spec: EngineSpec) -> Any:
    """Put the adapter that `spec` names on the model; the model itself where it names none.

    Raises:
        ModelNotFound, WeightsError: as `require_adapter`; or damaged, or made for another model.
        ConfigError: an adapter that changes the prompt instead of the layers.
    """
    path = spec.adapter_path
    if path is None:
        return model
    require_adapter(spec)
    # Deferred: only models with an adapter need it.
    import peft

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing tensors are told below, and the rest is for developers
            config = peft.PeftConfig.from_pretrained(str(path))
            if config.is_prompt_learning:
                raise ConfigError(
                    f"The adapter {path} is of the kind {config.peft_type.value}, which changes the prompt.",
                    hint="Use an adapter that changes the layers, such as LoRA.",
                )
            config.inference_mode = True
            adapted = peft.get_peft_model(model, config)
            outcome = adapted.load_adapter(str(path), "default", is_trainable=False, torch_device="cpu")
    except (json.JSONDecodeError, SafetensorError, OSError, KeyError, TypeError) as error:
        raise WeightsError(
            f"The adapter {path} is damaged: {_first_line(error)}", hint="Copy or make the adapter again."
        ) from error
    except ValueError as error:
        raise _made_for_another(spec, path, _first_line(error)) from error
    except RuntimeError as error:
        mismatch = next((line.strip() for line in str(error).splitlines() if "size mismatch" in line), None)
        if mismatch is None:
            raise  # no memory, say: the caller knows those
        raise _made_for_another(spec, path, mismatch) from error
    if outcome.missing_keys:
        raise _made_for_another(spec, path, f"it has nothing for {_named(outcome.missing_keys)}")
    if outcome.unexpected_keys:
        raise _made_for_another(spec, path, f"the model has no place for {_named(outcome.unexpected_keys)}")
    return adapted


def _made_for_another(spec: EngineSpec, path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"The adapter {path} does not fit '{spec.name}': {why.rstrip('.')}.",
        hint=f"Set 'base' of '{spec.name}' in models.toml to the model that the adapter was made for.",
    )


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"{sorted(keys)[0]}{more}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
