"""AdaLoRA adapts only where it is told to after every step, and forgets what it knows where that is not saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from safetensors.torch import load_file, save_file

_IMPORTANCE, _PATTERN = "adalora_importance.safetensors", "adalora_ranks.json"
_KEPT = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class AdaLoraSteps(transformers.TrainerCallback):
    """Moves ranks between layers, and keeps with each checkpoint how important they are."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        folder = _checkpoint(args, state)
        if not (folder / _PATTERN).is_file():
            return
        adapted = _adapted(model)
        for name, tensor in load_file(folder / _IMPORTANCE, device=str(args.device)).items():
            kind, weight = name.split("/", 1)
            getattr(adapted.rankallocator, kind)[weight] = tensor
        _config(adapted).rank_pattern = json.loads((folder / _PATTERN).read_text(encoding="utf-8"))

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        # The step is counted after this; the gradients are still there, as the method needs them.
        _adapted(model).update_and_allocate(state.global_step + 1)

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        adapted, folder = _adapted(model), _checkpoint(args, state)
        tensors = {
            f"{kind}/{name}": tensor.contiguous()
            for kind in _KEPT
            for name, tensor in getattr(adapted.rankallocator, kind).items()
        }
        save_file(tensors, folder / _IMPORTANCE)
        (folder / _PATTERN).write_text(json.dumps(_config(adapted).rank_pattern), encoding="utf-8")


@contextmanager
def whole_adalora(model: Any) -> Iterator[None]:
    """Save AdaLoRA with all its ranks.

    PEFT would leave out those that its last choice has switched off. But between two choices they grow again, and an
    adapter that is loaded without them is scaled otherwise: it would not be the model that was validated.
    """
    configs = [each for each in getattr(model, "peft_config", {}).values() if each.peft_type == "ADALORA"]
    patterns = [each.rank_pattern for each in configs]
    for each in configs:
        each.rank_pattern = None
    try:
        yield
    finally:
        for each, pattern in zip(configs, patterns, strict=True):
            each.rank_pattern = pattern


def _checkpoint(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _adapted(model: Any) -> Any:
    return getattr(model, "module", model).base_model


def _config(adapted: Any) -> Any:
    return adapted.peft_config[adapted.trainable_adapter_name]
