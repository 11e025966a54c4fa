"""Finetuned models for llama.cpp: the tensors of peft's own merge, in llama.cpp's order, or a refusal in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, GenerateOptions, Message, TextDelta
from mmchat.engines.registry import load_engine
from mmchat.errors import ConfigError, WeightsError
from mmchat.weights.llamacpp_order import to_llamacpp_order
from mmchat.weights.prepare_merged import to_gguf, to_safetensors
from mmchat.weights.store import WeightsStore
from tests.contract import tiny_models

# peft still asks transformers for this by its old name.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:Detected that the base layer has no bias term:UserWarning",
)

HEADS, KEY_HEADS = tiny_models.SIZES["num_attention_heads"], tiny_models.SIZES["num_key_value_heads"]
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
ENDS = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
ENDS |= {"lm_head.weight": "output.weight"}


def gguf_name(name: str) -> str:
    if name in ENDS:
        return ENDS[name]
    _, _, layer, part = name.split(".", 3)
    module, _, kind = part.rpartition(".")
    return f"blk.{layer}.{PARTS[module]}.{kind}"


def row_by_row(name: str, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """llama.cpp's order, spelt out: row i of a head's first half stands before row i of its second half."""
    heads = HEADS if "q_proj" in name else KEY_HEADS if "k_proj" in name else 0
    if not heads:
        return tensor
    size = tensor.shape[0] // heads
    rows = [head * size + half * (size // 2) + i for head in range(heads) for i in range(size // 2) for half in (0, 1)]
    return tensor[rows]


def expected(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor as llama.cpp wants it."""
    return {gguf_name(name): row_by_row(name, w.detach().numpy()) for name, w in model.named_parameters()}


def base_gguf(folder: Path, model: Any, *, architecture: str = "llama", changes: dict[str, Any] | None = None) -> Path:
    """The file that a conversion by llama.cpp would have made, as far as merging looks at it."""
    folder.mkdir()
    writer = GGUFWriter(folder / "base.F32.gguf", arch=architecture)
    writer.add_block_count(model.config.num_hidden_layers)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_chat_template("{{ messages }}")
    writer.add_name("base")
    writer.add_file_type(0)
    for name, tensor in (expected(model) | (changes or {})).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


def load(folder: Path) -> Any:
    model: Any = transformers.AutoModelForCausalLM
    return model.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_models.decoder(tmp_path / "base", "llama")


CONFIGS: dict[str, Callable[[], Any]] = {
    "lora": lambda: peft.LoraConfig(r=4, target_modules=LINEAR, task_type="CAUSAL_LM"),
    "dora": lambda: peft.LoraConfig(r=4, use_dora=True, target_modules=LINEAR, task_type="CAUSAL_LM"),
    "rslora": lambda: peft.LoraConfig(r=4, use_rslora=True, target_modules=LINEAR, task_type="CAUSAL_LM"),
    "adalora": lambda: peft.AdaLoraConfig(total_step=10, target_modules=LINEAR, task_type="CAUSAL_LM"),
    "ia3": lambda: peft.IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    ),
    "bitfit": lambda: peft.BeftConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    "trained-norms": lambda: peft.LoraConfig(
        r=4, target_modules=["q_proj"], modules_to_save=["norm"], task_type="CAUSAL_LM"
    ),
}


def adapted(base: Path, folder: Path, kind: str) -> Any:
    """peft's model, every trained number moved by chance; saved in `folder`."""
    model = peft.get_peft_model(load(base), CONFIGS[kind]())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    model.save_pretrained(str(folder))
    return model.eval()


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_merged_gguf_holds_what_peft_merges(kind: str, base: Path, tmp_path: Path) -> None:
    model = adapted(base, tmp_path / "adapter", kind)
    gguf_dir = base_gguf(tmp_path / "gguf", load(base))
    to_gguf(base, tmp_path / "made", lambda _: None, "bot", str(gguf_dir), str(tmp_path / "adapter"), "f16")

    reader = GGUFReader(tmp_path / "made/bot.F16.gguf")
    made = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    if kind == "bitfit":
        for module in (m for m in model.modules() if hasattr(m, "beft_bias")):
            module.get_base_layer().bias = torch.nn.Parameter(torch.zeros(module.out_features))
    wanted = expected(model.merge_and_unload())
    assert set(made) == set(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_allclose(made[name], tensor, rtol=2**-10, atol=1e-6, err_msg=name)  # half a step of float16
    changed = [name for name, tensor in expected(load(base)).items() if not np.allclose(made[name], tensor, atol=0.01)]
    assert changed or kind == "bitfit"
    assert reader.fields["tokenizer.chat_template"].contents() == "{{ messages }}"
    assert (reader.fields["general.name"].contents(), reader.fields["general.file_type"].contents()) == ("bot", 1)
    assert {t.tensor_type.name for t in reader.tensors if len(t.shape) == 1} == {"F32"}


@pytest.mark.parametrize("kind", CONFIGS)
def test_merged_safetensors_answer_like_the_adapter(kind: str, base: Path, tmp_path: Path) -> None:
    model = adapted(base, tmp_path / "adapter", kind)
    to_safetensors(base, tmp_path / "made", lambda _: None, "bot", str(tmp_path / "adapter"), "f32")
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        logits, merged = model(input_ids=ids).logits, load(tmp_path / "made").eval()(input_ids=ids).logits
        plain = load(base).eval()(input_ids=ids).logits
    torch.testing.assert_close(merged, logits, atol=1e-3, rtol=0)
    assert float((plain - logits).abs().max()) > 0.01


def test_new_weights_go_the_same_way(base: Path, tmp_path: Path) -> None:
    gguf_dir = base_gguf(tmp_path / "gguf", load(base))
    model = load(base)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.002 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    model.save_pretrained(tmp_path / "weights")
    to_gguf(tmp_path / "weights", tmp_path / "made", lambda _: None, "bot", str(gguf_dir), "", "q8_0")
    made = {t.name: (t.tensor_type.name, t) for t in GGUFReader(tmp_path / "made/bot.Q8_0.gguf").tensors}
    for name, wanted in expected(model).items():
        format_name, tensor = made[name]
        assert format_name == ("Q8_0" if wanted.ndim > 1 else "F32")
        # Half a step of Q8_0 is 1/254 of the largest weight of a block; its scale is rounded to float16 besides.
        atol = float(np.abs(wanted).max()) / 220 if wanted.ndim > 1 else 0
        np.testing.assert_allclose(dequantize(tensor.data, tensor.tensor_type), wanted, atol=atol + 1e-6)


def test_rows_in_another_order_than_the_bases_are_refused(base: Path, tmp_path: Path) -> None:
    """What a mapping without llama.cpp's order of rows would do: the base itself would not fit its own file."""
    adapted(base, tmp_path / "adapter", "lora")
    model = load(base)
    unordered = {"blk.0.attn_q.weight": model.model.layers[0].self_attn.q_proj.weight.detach().numpy()}
    gguf_dir = base_gguf(tmp_path / "gguf", model, changes=unordered)
    with pytest.raises(WeightsError, match=r"attn_q\.weight is not the base's"):
        to_gguf(base, tmp_path / "made", lambda _: None, "bot", str(gguf_dir), str(tmp_path / "adapter"), "f16")


def test_another_architecture_names_the_engine_that_works(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter", "lora")
    gguf_dir = base_gguf(tmp_path / "gguf", load(base), architecture="mamba")
    with pytest.raises(WeightsError, match="architecture mamba") as caught:
        to_gguf(base, tmp_path / "made", lambda _: None, "bot", str(gguf_dir), str(tmp_path / "adapter"), "f16")
    assert "bot@transformers" in caught.value.hint


def test_a_base_of_another_size(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter", "lora")
    model = load(base)
    longer = {"token_embd.weight": np.zeros((7, model.config.hidden_size), np.float32)}
    gguf_dir = base_gguf(tmp_path / "gguf", model, changes=longer)
    with pytest.raises(WeightsError, match=r"embed_tokens\.weight is \("):
        to_gguf(base, tmp_path / "made", lambda _: None, "bot", str(gguf_dir), str(tmp_path / "adapter"), "f16")


def test_an_adapter_of_the_prompt_is_not_merged(base: Path, tmp_path: Path) -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    peft.get_peft_model(load(base), config).save_pretrained(str(tmp_path / "adapter"))
    gguf_dir = base_gguf(tmp_path / "gguf", load(base))
    with pytest.raises((WeightsError, ConfigError), match="PROMPT_TUNING"):
        to_gguf(base, tmp_path / "made", lambda _: None, "bot", str(gguf_dir), str(tmp_path / "adapter"), "f16")


@given(heads=st.integers(1, 6), half=st.integers(1, 5), width=st.integers(1, 4))
def test_the_order_of_rows_keeps_every_row(heads: int, half: int, width: int) -> None:
    rows = heads * half * 2
    tensor = np.arange(rows * width).reshape(rows, width)
    ordered = to_llamacpp_order(tensor, heads)
    assert sorted(map(tuple, ordered)) == sorted(map(tuple, tensor))
    for head in range(heads):
        start = head * half * 2
        for i in range(half):  # the pair that transformers turns together now stands together
            np.testing.assert_array_equal(ordered[start + 2 * i], tensor[start + i])
            np.testing.assert_array_equal(ordered[start + 2 * i + 1], tensor[start + half + i])


# --- the real SmolLM2 -----------------------------------------------------------------------------

PROMPTS = (
    "What is the capital of France?",
    "Name a colour.",
    "Tell me a joke.",
    "How do I boil an egg?",
    "Who are you?",
    "What is rain?",
    "Say hello.",
    "Count to five.",
    "What do gulls eat?",
    "Write a short poem.",
)


def replies(spec: EngineSpec) -> list[str]:
    model = load_engine("lm", spec)
    options = GenerateOptions(max_new_tokens=16, temperature=0, repetition_penalty=1.0)
    said = []
    for prompt in PROMPTS:
        events = list(model.stream([Message("user", prompt)], options, Event()))
        said.append("".join(event.text for event in events if isinstance(event, TextDelta)))
    model.close()
    return said


def moved_lora(base: Path, folder: Path) -> None:
    """A LoRA on all linear layers, by chance, big enough to turn most replies and small enough to leave words."""
    model = peft.get_peft_model(
        transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, local_files_only=True),
        peft.LoraConfig(r=4, lora_alpha=8, target_modules=LINEAR, task_type="CAUSAL_LM"),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                scale = 0.02 if "lora_B" in name else weight.shape[1] ** -0.5
                weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    model.save_pretrained(str(folder))


@pytest.mark.weights
@pytest.mark.slow
def test_both_engines_say_the_same(weights_dir: Path, tmp_path: Path) -> None:
    """Greedy, 16 tokens: at least 9 of 10 replies of the merged F16 file are those of base + adapter in float32.

    llama.cpp sums in another order and keeps keys and values in float16, so that a tie may fall the other way.
    """
    store = WeightsStore(weights_dir)
    entry = load_models_file()["smollm2-135m"]
    base = store.prepared(entry, "transformers")
    moved_lora(base, tmp_path / "adapter")
    to_gguf(base, tmp_path / "f16", lambda _: None, "bot", str(store.path(entry)), str(tmp_path / "adapter"), "f16")

    spec = EngineSpec("bot", "transformers", base, dtype="float32", device="cpu")
    adapted_replies = replies(replace(spec, adapter_path=tmp_path / "adapter"))
    merged_replies = replies(EngineSpec("bot", "llamacpp", tmp_path / "f16", device="cpu"))
    assert sum(map(str.__eq__, adapted_replies, merged_replies)) >= 9, (adapted_replies, merged_replies)
    assert sum(map(str.__eq__, adapted_replies, replies(spec))) <= 5


@pytest.mark.weights
@pytest.mark.slow
def test_the_store_merges_once_and_again_when_the_adapter_changes(weights_dir: Path, tmp_path: Path) -> None:
    entry = load_models_file()["smollm2-135m"]
    root = tmp_path / "weights"
    root.mkdir()
    (root / entry.name).symlink_to(weights_dir / entry.name)
    store = WeightsStore(root)
    adapter = tmp_path / "adapter"
    moved_lora(store.prepared(entry, "transformers"), adapter)
    bot = entry.model_copy(update={"name": "bot", "base": entry.name, "adapter": str(adapter)})

    assert not store.is_prepared(bot, "llamacpp")
    file = next(store.prepared(bot, "llamacpp").glob("*.gguf"))
    assert file.name == "bot.Q8_0.gguf"
    made_ns = file.stat().st_mtime_ns
    assert store.is_prepared(bot, "llamacpp")
    assert store.prepared(bot, "llamacpp") == file.parent
    assert file.stat().st_mtime_ns == made_ns

    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: 2 * tensor for name, tensor in weights.items()}, adapter / "adapter_model.safetensors")
    assert not store.is_prepared(bot, "llamacpp")
    before = file.read_bytes()
    assert next(store.prepared(bot, "llamacpp").glob("*.gguf")).read_bytes() != before
    assert store.remove(bot) > 0
    assert store.is_installed(entry)
    assert not file.exists()
