"""AdaLoRA adapts only where it is told to after every step, and forgets what it knows where that is not saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from safetensors.torch import load_file, save_file

_FILE = "adalora_importance.safetensors"
_KEPT = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class AdaLoraSteps(transformers.TrainerCallback):
    """Moves ranks between layers, and keeps with each checkpoint how important they are."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == 0:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not (folder / _FILE).is_file():
            return
        allocator = _adapted(model).rankallocator
        for name, tensor in load_file(folder / _FILE, device=str(args.device)).items():
            kind, _, weight = name.partition("/")
            getattr(allocator, kind)[weight] = tensor

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        # The step is counted after this; the gradients are still there, as the method needs them.
        _adapted(model).update_and_allocate(state.global_step + 1)

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        allocator = _adapted(model).rankallocator
        tensors = {
            f"{kind}/{name}": tensor.contiguous() for kind in _KEPT for name, tensor in getattr(allocator, kind).items()
        }
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            save_file(tensors, folder / _FILE)


def _adapted(model: Any) -> Any:
    return getattr(model, "module", model).base_model


def ranks(model: Any) -> dict[str, int]:
    """How many ranks each layer has kept."""
    return {name: int((weight != 0).sum()) for name, weight in _adapted(model).named_parameters() if "lora_E." in name}
