"""GGUF models with a few random weights and the second file that lets them take pictures, for llama.cpp.

Of the families that models.toml lists: SmolVLM (llama, idefics3), Qwen2.5-VL (qwen2vl), Qwen3-VL, Gemma 3.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from tests.contract import tiny_models

FAMILIES = ("smolvlm", "qwen2.5-vl", "qwen3-vl", "gemma3")
WIDTH, INNER, LAYERS, HEADS, KEY_HEADS = 32, 64, 2, 4, 2
CONTEXT_TOKENS = 512
MARKS = {
    "smolvlm": ("<fake_token_around_image>", "<global-img>", "<row_1_col_1>", "\n\n"),
    "qwen2.5-vl": ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
    "qwen3-vl": ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
    "gemma3": ("<start_of_image>", "<end_of_image>"),
}
"""What llama.cpp puts around the pictures of a family."""
_NORMAL, _CONTROL = 1, 3


class _File:
    """A GGUF file in the making."""

    def __init__(self, path: Path, architecture: str) -> None:
        self.path = path
        self.writer = GGUFWriter(path, arch=architecture)
        self.writer.add_name("tiny")
        self.writer.add_file_type(0)
        self._random = np.random.default_rng(0)

    def matrix(self, name: str, *shape: int, scale: float = 0.3) -> None:
        self.writer.add_tensor(name, (scale * self._random.normal(size=shape)).astype(np.float32))

    def linear(self, name: str, out: int, into: int, *, has_bias: bool = True) -> None:
        self.matrix(f"{name}.weight", out, into)
        if has_bias:
            self.matrix(f"{name}.bias", out)

    def norm(self, name: str, width: int = WIDTH, *, has_bias: bool = False) -> None:
        self.writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))
        if has_bias:
            self.writer.add_tensor(f"{name}.bias", np.zeros(width, dtype=np.float32))

    def write(self) -> Path:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path


def folder_with_eyes(folder: Path, family: str) -> Path:
    """A folder as a pull leaves it: the model, and its mmproj beside it."""
    folder.mkdir(exist_ok=True)
    language_model(folder / "tiny.F32.gguf", family)
    projector(folder / "mmproj-tiny.F32.gguf", family)
    return folder


def language_model(path: Path, family: str) -> Path:
    """The model of words."""
    names = {"smolvlm": "llama", "qwen2.5-vl": "qwen2vl", "qwen3-vl": "qwen3vl", "gemma3": "gemma3"}
    architecture = names[family]
    file = _File(path, architecture)
    writer = file.writer
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    head = WIDTH // HEADS
    if family == "qwen2.5-vl":
        writer.add_rope_dimension_sections([1, 1, 2, 0])
    if family == "qwen3-vl":
        writer.add_rope_dimension_sections([1, 1, 2, 0])
        writer.add_uint32("qwen3vl.n_deepstack_layers", 1)
    if family in ("qwen3-vl", "gemma3"):
        writer.add_key_length(head)
        writer.add_value_length(head)
    if family == "gemma3":
        writer.add_sliding_window(64)
    words = _add_tokenizer(writer, MARKS[family])
    file.matrix("token_embd.weight", words, WIDTH, scale=1.0)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        file.norm(f"{block}.attn_norm")
        file.norm(f"{block}.ffn_norm")
        has_bias = family == "qwen2.5-vl"
        file.linear(f"{block}.attn_q", WIDTH, WIDTH, has_bias=has_bias)
        file.linear(f"{block}.attn_k", KEY_HEADS * head, WIDTH, has_bias=has_bias)
        file.linear(f"{block}.attn_v", KEY_HEADS * head, WIDTH, has_bias=has_bias)
        file.linear(f"{block}.attn_output", WIDTH, WIDTH, has_bias=False)
        if family in ("qwen3-vl", "gemma3"):
            for name in ("attn_q_norm", "attn_k_norm"):
                file.norm(f"{block}.{name}", head)
        if family == "gemma3":
            for name in ("post_attention_norm", "post_ffw_norm"):
                file.norm(f"{block}.{name}")
        file.linear(f"{block}.ffn_gate", INNER, WIDTH, has_bias=False)
        file.linear(f"{block}.ffn_up", INNER, WIDTH, has_bias=False)
        file.linear(f"{block}.ffn_down", WIDTH, INNER, has_bias=False)
    file.norm("output_norm")
    file.matrix("output.weight", words, WIDTH)
    return file.write()


def _add_tokenizer(writer: GGUFWriter, marks: tuple[str, ...]) -> int:
    """The byte-level tokenizer of `tiny_models`; how many words it has."""
    inner = json.loads(tiny_models.tokenizer(specials=marks).backend_tokenizer.to_str())
    places: dict[str, int] = inner["model"]["vocab"]
    special = {token["content"] for token in inner["added_tokens"]}
    words = sorted(places, key=places.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_types([_CONTROL if word in special else _NORMAL for word in words])
    merges = inner["model"]["merges"]
    writer.add_token_merges([" ".join(merge) if isinstance(merge, list) else merge for merge in merges])
    writer.add_bos_token_id(places["<|im_start|>"])
    writer.add_eos_token_id(places["<|im_end|>"])
    writer.add_pad_token_id(places["<pad>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(tiny_models.CHATML)
    return len(words)


def projector(path: Path, family: str, *, into: int = WIDTH) -> Path:
    """What sees: two layers, 32 or 64 pixels a side, 8 to a patch; `into`: the width of the language model."""
    file = _File(path, "clip")
    writer = file.writer
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    kind = {"smolvlm": "idefics3", "qwen2.5-vl": "qwen2.5vl_merger", "qwen3-vl": "qwen3vl_merger", "gemma3": "gemma3"}
    writer.add_string("clip.projector_type", kind[family])
    size, patch, merged = (64 if family == "gemma3" else 32), 8, (4 if family == "gemma3" else 2)
    numbers = {
        "image_size": size,
        "patch_size": patch,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "block_count": LAYERS,
        "projection_dim": into,
        "attention.head_count": 2,
        "preproc_image_size": size,
        "projector.scale_factor": merged,
        "spatial_merge_size": merged,
    }
    if family == "qwen2.5-vl":
        numbers["n_wa_pattern"] = LAYERS  # the last layer looks at the whole picture, those before at windows of it
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for name in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{name}", [0.5, 0.5, 0.5])
    writer.add_bool("clip.use_silu" if family == "qwen2.5-vl" else "clip.use_gelu", True)
    if family == "qwen3-vl":
        writer.add_array("clip.vision.is_deepstack_layers", [True, False])
    file.matrix("v.patch_embd.weight", WIDTH, 3, patch, patch)
    is_qwen, is_newer = family == "qwen2.5-vl", family == "qwen3-vl"
    if is_qwen or is_newer:
        file.matrix("v.patch_embd.weight.1", WIDTH, 3, patch, patch)
    if not is_qwen:
        file.matrix("v.patch_embd.bias", WIDTH)
        file.matrix("v.position_embd.weight", (size // patch) ** 2, WIDTH)
    for layer in range(LAYERS):
        block = f"v.blk.{layer}"
        for name in ("ln1", "ln2"):
            file.norm(f"{block}.{name}", has_bias=not is_qwen)
        if is_newer:
            file.linear(f"{block}.attn_qkv", 3 * WIDTH, WIDTH)
        for name in ("attn_out",) if is_newer else ("attn_q", "attn_k", "attn_v", "attn_out"):
            file.linear(f"{block}.{name}", WIDTH, WIDTH)
        for name in ("ffn_up", *(["ffn_gate"] if is_qwen else [])):
            file.linear(f"{block}.{name}", INNER, WIDTH)
        file.linear(f"{block}.ffn_down", WIDTH, INNER)
    file.norm("v.post_ln", has_bias=not is_qwen)
    if family == "smolvlm":
        file.linear("mm.model.fc", into, WIDTH * merged**2, has_bias=False)
    elif is_qwen or is_newer:
        file.linear("mm.0", WIDTH * merged**2, WIDTH * merged**2)
        file.linear("mm.2", into, WIDTH * merged**2)
        if is_newer:
            file.norm("v.deepstack.0.norm", WIDTH * merged**2, has_bias=True)
            file.linear("v.deepstack.0.fc1", WIDTH * merged**2, WIDTH * merged**2)
            file.linear("v.deepstack.0.fc2", into, WIDTH * merged**2)
    else:
        file.matrix("mm.input_projection.weight", WIDTH, into)
        file.norm("mm.soft_emb_norm")
    return file.write()
