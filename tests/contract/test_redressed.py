"""A change of adapter on weights that stay in memory: the very replies of models that are loaded anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from gguf import GGUFReader
from safetensors.numpy import save_file as save_arrays

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.base import LanguageModel, RedressableModel
from mmchat.engines.registry import load_engine
from mmchat.errors import EngineUnavailable, ModelNotFound
from mmchat.weights.lora_file import can_be_worn, lora_file
from mmchat.weights.store import WeightsStore
from tests.contract import tiny_models

# peft still asks transformers for this by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

OPTIONS = GenerateOptions(max_new_tokens=12, temperature=0, repetition_penalty=1.0)
PROMPT = [Message("user", "the cat sat on the mat and the dog ran")]
KINDS = ("", "lora", "dora", "prefix", "prompt")


def make_adapter(folder: Path, base: Path, kind: str) -> Path:
    """An adapter with random weights, big enough to turn every reply."""
    configs: dict[str, Any] = {
        "lora": lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
        "dora": lambda: peft.LoraConfig(
            r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], use_dora=True, task_type="CAUSAL_LM"
        ),
        "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM"),
        "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM"),
    }
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    adapted = peft.get_peft_model(model, configs[kind]())
    generator = torch.Generator().manual_seed(len(kind))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "prompt" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EngineSpec]:
    folder = tmp_path_factory.mktemp("redressed")
    base = tiny_models.decoder(folder / "base", "llama")
    bare = EngineSpec("bare", "transformers", base, device="cpu", dtype="float32")
    return {
        kind: replace(bare, name=kind, adapter_path=make_adapter(folder / kind, base, kind)) if kind else bare
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def anew(specs: dict[str, EngineSpec]) -> dict[str, str]:
    """What each model replies that is loaded by itself."""
    replies = {}
    for kind, spec in specs.items():
        model = load_engine("lm", spec)
        replies[kind] = said(model)
        model.close()
    assert len(set(replies.values())) == len(KINDS)  # each adapter makes a difference
    return replies


def said(model: LanguageModel, prompt: list[Message] = PROMPT) -> str:
    return "".join(event.text for event in model.stream(prompt, OPTIONS, Event()) if isinstance(event, TextDelta))


def test_every_change_gives_the_replies_of_a_model_loaded_anew(
    specs: dict[str, EngineSpec], anew: dict[str, str]
) -> None:
    model: Any = load_engine("lm", specs[""])
    weights = model.dressed[1].base
    before = {name: value.clone() for name, value in weights.state_dict().items()}
    for kind in ("lora", "prefix", "dora", "", "prompt", "lora", "lora", ""):
        assert isinstance(model, RedressableModel)
        model = model.redressed(specs[kind])
        assert model.name == specs[kind].name
        assert said(model) == anew[kind]
        assert said(model) == anew[kind]  # and again, from what it kept
        (batched,) = model.reply_batch([PROMPT], OPTIONS, Event(), seeds=[0])
        assert batched.text == anew[kind]
        assert model.dressed[1].base is weights
    after = weights.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    model.close()


def test_what_was_read_with_one_adapter_is_not_used_with_another(specs: dict[str, EngineSpec]) -> None:
    model: Any = load_engine("lm", specs["lora"])
    said(model)
    model = model.redressed(specs[""])
    *_, done = model.stream(PROMPT, OPTIONS, Event())
    assert isinstance(done, GenerationDone)
    assert done.cached_tokens == 0
    model.close()


def test_the_old_model_is_closed(specs: dict[str, EngineSpec]) -> None:
    old: Any = load_engine("lm", specs[""])
    new = old.redressed(specs["lora"])
    with pytest.raises(EngineUnavailable):
        said(old)
    with pytest.raises(EngineUnavailable):
        old.redressed(specs["lora"])
    old.close()  # harmless to the new one
    assert said(new)
    new.close()


def test_an_adapter_that_is_not_there_is_named(specs: dict[str, EngineSpec], tmp_path: Path) -> None:
    model: Any = load_engine("lm", specs[""])
    with pytest.raises(ModelNotFound, match=r"The adapter of 'gone' is not there"):
        model.redressed(replace(specs[""], name="gone", adapter_path=tmp_path / "gone"))


@pytest.mark.weights
def test_llamacpp_puts_on_what_a_role_names_and_takes_it_off_again(
    home: Path, weights_dir: Path, tmp_path: Path
) -> None:
    """As if each had been merged or loaded alone, with one load of the base for all."""
    store = WeightsStore(weights_dir)
    entry = load_models_file()["smollm2-135m"]
    gguf_dir = store.prepared(entry, "llamacpp")
    adapter = tmp_path / "adapter"
    random_lora(adapter, gguf_dir)
    file = lora_file("bot", adapter, gguf_dir, tmp_path / "files")
    assert lora_file("bot", adapter, gguf_dir, tmp_path / "files") == file
    options = {"adapters": {"bot": str(file)}}
    spec = EngineSpec("smollm2-135m", "llamacpp", gguf_dir, context_tokens=512, device="cpu", options=options)
    alone = load_engine("lm", replace(spec, options={}))
    bare = said(alone)
    alone.close()
    base: Any = load_engine("lm", spec)
    assert said(base) == bare
    bot = base.redressed(replace(spec, name="bot"))
    changed = said(bot)
    assert changed != bare
    assert said(bot) == changed
    with pytest.raises(EngineUnavailable):
        said(base)
    base.close()  # harmless to the other
    again = bot.redressed(spec)
    *_, done = again.stream(PROMPT, OPTIONS, Event())
    assert isinstance(done, GenerationDone)
    assert done.cached_tokens == 0
    assert said(again) == bare
    again.close()


def random_lora(folder: Path, gguf_dir: Path) -> None:
    """A LoRA on queries and down projections of a GGUF base's first two layers."""
    reader = GGUFReader(next(gguf_dir.glob("*.gguf")))
    shapes = {tensor.name: [int(length) for length in tensor.shape] for tensor in reader.tensors}
    random = np.random.default_rng(0)
    tensors = {}
    for layer in (0, 1):
        for part, module in (("attn_q", "self_attn.q_proj"), ("ffn_down", "mlp.down_proj")):
            into, out = shapes[f"blk.{layer}.{part}.weight"]
            for letter, shape in (("A", (4, into)), ("B", (out, 4))):
                key = f"base_model.model.model.layers.{layer}.{module}.lora_{letter}.weight"
                tensors[key] = (0.3 * random.normal(size=shape)).astype(np.float32)
    folder.mkdir()
    save_arrays(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def test_what_llamacpp_cannot_put_on_is_not_tried(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, object], bool]] = [
        ({}, True),
        ({"use_rslora": True}, True),
        ({"use_dora": True}, False),
        ({"bias": "all"}, False),
        ({"peft_type": "IA3"}, False),
        ({"modules_to_save": ["lm_head"]}, False),
    ]
    for changes, can in cases:
        config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none"} | changes
        (tmp_path / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        assert can_be_worn(tmp_path) is can
