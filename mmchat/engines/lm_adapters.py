"""The adapter that an entry names, on models that run on transformers."""

from __future__ import annotations

from typing import Any

from mmchat import adapter_files
from mmchat.domain import EngineSpec


def require_adapter(spec: EngineSpec) -> None:
    """Look at the adapter's folder before the model is loaded, which takes long.

    Raises:
        ModelNotFound: no such folder, or files are missing.
        WeightsError: it is saved as a pickle.
    """
    if spec.adapter_path is not None:
        adapter_files.require_adapter(spec.name, spec.adapter_path)


def with_adapter(model: Any, spec: EngineSpec, *, may_change_prompt: bool = False) -> Any:
    """Put the adapter that `spec` names on the model; the model itself where it names none.

    Raises:
        ModelNotFound, WeightsError: as `require_adapter`; or damaged, or made for another model.
        ConfigError: an adapter that changes the prompt instead of the layers, where it may not.
    """
    if spec.adapter_path is None:
        return model
    return adapter_files.attach_adapter(model, spec.name, spec.adapter_path, may_change_prompt=may_change_prompt)
