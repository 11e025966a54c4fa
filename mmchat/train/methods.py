"""The ways to train a language model: what of it learns, and how fast.

Learning rates follow PEFT's published comparison (`method_comparison/MetaMathQA`: LoRA and its kin 1e-4 to 2e-4, full
1e-5, IA3 5e-3 after tuning, prompts much more) and, for the small default model, short runs of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import peft
import torch
import transformers
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_BEFT_TARGET_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)

from mmchat.errors import UsageError
from mmchat.train.base import MethodName, TrainSettings
from mmchat.train.dropout import quickened

_VIRTUAL_TOKENS = 20
_FEWEST_ADALORA_STEPS = 10
_FINAL_NORMS = ("norm", "final_layernorm", "final_layer_norm", "layer_norm", "ln_f")


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train."""

    learning_rate: float
    is_adapter: bool = True
    """Whether an adapter is the result; otherwise all weights are."""


METHODS: dict[MethodName, Method] = {
    "lora": Method(2e-4),
    "dora": Method(2e-4),
    "rslora": Method(1e-4),  # its scale is alpha / √rank, for the default rank four times LoRA's
    "full": Method(2e-5, is_adapter=False),
    "last-layers": Method(2e-4, is_adapter=False),
    "bitfit": Method(1e-2),
    "prefix": Method(3e-2),
    "prompt": Method(3e-2),
    "ia3": Method(5e-3),
    "adalora": Method(5e-3),
    "qlora": Method(2e-4),
    "projector": Method(1e-3),
    "projector-lora": Method(1e-3),  # the projector's; the adapter learns slower (`projector_sft.ADAPTER_RATE`)
}


def require_method(method: MethodName, config: Any, device: str, settings: TrainSettings, steps: int) -> None:
    """Look at a base's configuration before its weights are loaded.

    Args:
        method: wanted.
        config: of the base, as transformers reads it.
        device: to train on.
        settings: rank, number of layers.
        steps: of the training.

    Raises:
        UsageError: the base or the machine cannot take the method, with the reason.
    """
    kind = str(config.model_type)
    refusal = {
        "qlora": lambda: _no_qlora(device),
        "bitfit": lambda: _no_place(kind, "value projections", TRANSFORMERS_MODELS_TO_BEFT_TARGET_MODULES_MAPPING),
        "ia3": lambda: _no_place(kind, "keys and values", TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING),
        "adalora": lambda: _too_few_steps(steps),
        "prefix": lambda: _no_virtual_tokens(config),
        "prompt": lambda: _no_virtual_tokens(config),
        "last-layers": lambda: _too_many_layers(config, settings.last_layers),
    }.get(method, str)()
    if refusal:
        raise UsageError(f"The method '{method}' cannot be used here: {refusal}.", hint="Use lora, the default.")


def _no_qlora(device: str) -> str:
    if device != "cuda":
        return "its 4-bit weights need an NVIDIA GPU, and there is none"
    return "" if find_spec("bitsandbytes") else "it needs bitsandbytes, which is not installed"


def _no_place(kind: str, wanted: str, known: dict[str, Any]) -> str:
    return "" if kind in known else f"PEFT does not know where a {kind} model keeps its {wanted}"


def _too_few_steps(steps: int) -> str:
    if steps >= _FEWEST_ADALORA_STEPS:
        return ""
    return f"it moves ranks between layers over at least {_FEWEST_ADALORA_STEPS} steps, and there are {steps}"


def _no_virtual_tokens(config: Any) -> str:
    return "the engine has no place for virtual tokens in an encoder–decoder" if config.is_encoder_decoder else ""


def _too_many_layers(config: Any, wanted: int) -> str:
    text = config.get_text_config(decoder=True)
    layers = int(getattr(text, "num_hidden_layers", 0) or getattr(text, "decoder_layers", 0) or 0)
    return f"the base has {layers} layers, and the last {wanted} were asked for" if 0 < layers < wanted else ""


def apply_method(model: Any, method: MethodName, settings: TrainSettings, steps: int, *, opening: Sequence[int]) -> Any:
    """The model with what learns: an adapter on it, or its own layers unfrozen.

    What learns is float32 whatever the base is: steps of Adam are smaller than bfloat16 can add.

    Args:
        model: the base.
        method: one that `require_method` lets pass.
        settings: rank, alpha, dropout, number of layers.
        steps: of the training.
        opening: tokens of any sentence. What the base keeps of them is what a prefix begins with: random keys and
            values double the loss, and short trainings never make up for it.
    """
    if method == "full":
        learns = model
    elif method == "last-layers":
        model.requires_grad_(False)
        learns = torch.nn.ModuleList(_last_layers(model, settings.last_layers)).requires_grad_(True)
    else:
        task = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
        model = quickened(peft.get_peft_model(model, _CONFIGS[method](settings, model, task, steps)))
        learns = model
    if method == "prefix":
        _begin_prefix(model, opening)
    for parameter in learns.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return model


@torch.no_grad()
def _begin_prefix(model: Any, opening: Sequence[int]) -> None:
    ids = (list(opening) * _VIRTUAL_TOKENS)[:_VIRTUAL_TOKENS]
    device = next(model.parameters()).device
    with model.disable_adapter():
        # A cache of our own keeps all tokens even where a layer looks at fewer.
        kept = transformers.DynamicCache()
        model(input_ids=torch.tensor([ids], device=device), past_key_values=kept, use_cache=True)
    peft.initialize_kv_prefix_from_past_key_values(model, past_key_values=kept)


def _lora(settings: TrainSettings, model: Any, task: str, steps: int, **more: Any) -> Any:
    return peft.LoraConfig(
        task_type=task,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        **more,
    )


def _adalora(settings: TrainSettings, model: Any, task: str, steps: int) -> Any:
    """Starts with half as many ranks again as are kept; a tenth of the steps before, a quarter after the choice."""
    return peft.AdaLoraConfig(
        task_type=task,
        init_r=max(settings.rank + 1, settings.rank * 3 // 2),
        target_r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        total_step=steps,
        tinit=max(1, steps // 10),
        tfinal=max(1, steps // 4),
        deltaT=max(1, steps // 50),
    )


def _beft(settings: TrainSettings, model: Any, task: str, steps: int) -> Any:
    """Biases of the value projections, made where the base has none. Source: PEFT's `tuners/beft`."""
    return peft.BeftConfig(task_type=task)


def _ia3(settings: TrainSettings, model: Any, task: str, steps: int) -> Any:
    kind = model.config.model_type
    return peft.IA3Config(
        task_type=task,
        target_modules=TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING[kind],
        feedforward_modules=TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[kind],
    )


def _prefix(settings: TrainSettings, model: Any, task: str, steps: int) -> Any:
    return peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=_VIRTUAL_TOKENS)


def _prompt(settings: TrainSettings, model: Any, task: str, steps: int) -> Any:
    return peft.PromptTuningConfig(task_type=task, num_virtual_tokens=_VIRTUAL_TOKENS)


_CONFIGS: dict[str, Callable[..., Any]] = {
    "lora": _lora,
    "qlora": _lora,
    "dora": lambda *given: _lora(*given, use_dora=True),
    "rslora": lambda *given: _lora(*given, use_rslora=True),
    "bitfit": _beft,
    "prefix": _prefix,
    "prompt": _prompt,
    "ia3": _ia3,
    "adalora": _adalora,
}


def _last_layers(model: Any, count: int) -> list[Any]:
    """The last blocks of the decoder, and the norm behind them."""
    decoder = model.get_decoder()
    blocks = max((each for each in decoder.modules() if isinstance(each, torch.nn.ModuleList)), key=len)
    norm = next((getattr(decoder, name) for name in _FINAL_NORMS if hasattr(decoder, name)), None)
    return [*blocks[-count:], *([norm] if norm is not None else [])]


def count_parameters(model: Any) -> tuple[int, int]:
    """Those that learn, and all; what an adapter adds is in both."""
    sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes)
