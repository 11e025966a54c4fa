"""Models of every listed architecture with a few random weights, made in a second and saved as a real folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE_MARK{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<pad>", "<|im_start|>", "<|im_end|>"]
VISION_FAMILIES = ("idefics3", "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "gemma3")
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def tokenizer(
    *,
    has_template: bool = True,
    specials: tuple[str, ...] = (),
    image_mark: str = "",
    names: dict[str, str] | None = None,
) -> Any:
    """A byte-level tokenizer, so that any text survives a round trip; `names`: what processors call `specials`."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[*SPECIALS, *specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["the cat sat on the mat and the dog ran"] * 4, trainer)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        bos_token="<|im_start|>",
        pad_token="<pad>",
        extra_special_tokens=names or {},
    )
    if has_template:
        made.chat_template = CHATML.replace("IMAGE_MARK", image_mark)
    return made


def save(folder: Path, config: Any, auto_class: Any, tokens: Any) -> Path:
    """A model with random weights, its tokenizer beside it."""
    torch.manual_seed(0)
    model = auto_class.from_config(config)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def decoder(folder: Path, family: str) -> Path:
    """Llama, Qwen3 or Gemma 3 (with a sliding window shorter than a prompt)."""
    tokens = tokenizer(has_template=family != "llama-plain")
    ids = {
        "eos_token_id": tokens.eos_token_id,
        "bos_token_id": tokens.bos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }
    common = {**SIZES, **ids, "vocab_size": len(tokens)}
    config: Any
    if family.startswith("llama"):
        config = transformers.LlamaConfig(**common)
    elif family == "qwen3":
        config = transformers.Qwen3Config(**common, head_dim=8)
    else:
        config = transformers.Gemma3TextConfig(
            **common, head_dim=8, sliding_window=16, layer_types=["sliding_attention", "full_attention"]
        )
    return save(folder, config, transformers.AutoModelForCausalLM, tokens)


def seq2seq(folder: Path, family: str) -> Path:
    """T5 or BlenderBot."""
    tokens = tokenizer(has_template=False)
    ids = {"eos_token_id": tokens.eos_token_id, "pad_token_id": tokens.pad_token_id, "decoder_start_token_id": 0}
    config: Any
    if family == "t5":
        config = transformers.T5Config(
            vocab_size=len(tokens),
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            **ids,
        )
    else:
        config = transformers.BlenderbotConfig(
            vocab_size=len(tokens),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            bos_token_id=tokens.bos_token_id,
            **ids,
        )
    return save(folder, config, transformers.AutoModelForSeq2SeqLM, tokens)


def vision(folder: Path, family: str) -> Path:
    """Idefics 3 (which SmolVLM 256M and 500M are), a Qwen-VL or Gemma 3, with a real processor."""
    makers = {"idefics3": _idefics3, "gemma3": _gemma3}
    processor, config = makers[family]() if family in makers else _qwen_vl(family)
    torch.manual_seed(0)
    model = transformers.AutoModelForImageTextToText.from_config(config)
    for weight in model.parameters():
        if weight.dim() > 1 and not weight.any():  # Gemma 3 begins blind
            torch.nn.init.normal_(weight)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _idefics3() -> tuple[Any, Any]:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    specials = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles)
    tokens = tokenizer(specials=specials, image_mark="<image>")
    processor = transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessor(
            size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
        ),
        tokenizer=tokens,
        image_seq_len=4,
        chat_template=tokens.chat_template,
    )
    config = transformers.Idefics3Config(
        text_config={**SIZES, "model_type": "llama", "vocab_size": len(tokens), "pad_token_id": tokens.pad_token_id},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return processor, config


def _gemma3() -> tuple[Any, Any]:
    specials = ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
    tokens = tokenizer(
        specials=specials,
        image_mark="<start_of_image>",
        names={"boi_token": specials[0], "eoi_token": specials[1], "image_token": specials[2]},
    )
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessor(size={"height": 32, "width": 32}),
        tokenizer=tokens,
        image_seq_length=4,
        chat_template=tokens.chat_template,
    )
    config = transformers.Gemma3Config(
        text_config={
            **SIZES,
            "head_dim": 8,
            "vocab_size": len(tokens),
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "eos_token_id": tokens.eos_token_id,
            "pad_token_id": tokens.pad_token_id,
            "bos_token_id": tokens.bos_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        mm_tokens_per_image=4,
        image_token_index=tokens.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokens.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokens.convert_tokens_to_ids("<end_of_image>"),
    )
    return processor, config


QWEN_VL: dict[str, tuple[Any, Any]] = {
    "qwen2-vl": (transformers.Qwen2VLProcessor, transformers.Qwen2VLConfig),
    "qwen2.5-vl": (transformers.Qwen2_5_VLProcessor, transformers.Qwen2_5_VLConfig),
    "qwen3-vl": (transformers.Qwen3VLProcessor, transformers.Qwen3VLConfig),
}
QWEN_EYES: dict[str, dict[str, Any]] = {
    "qwen2-vl": {"depth": 1, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2},
    "qwen2.5-vl": {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [0],
    },
    "qwen3-vl": {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
        "patch_size": 14,
    },
}


def _qwen_vl(family: str) -> tuple[Any, Any]:
    specials = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokens = tokenizer(specials=specials, image_mark="<|vision_start|><|image_pad|><|vision_end|>")
    processor_class, config_class = QWEN_VL[family]
    processor = processor_class(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=56 * 56),
        tokenizer=tokens,
        video_processor=transformers.Qwen2VLVideoProcessor(),
        chat_template=tokens.chat_template,
    )
    ids = {name: tokens.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    config = config_class(
        text_config={
            **SIZES,
            "head_dim": 8,
            "vocab_size": len(tokens),
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
            "eos_token_id": tokens.eos_token_id,
        },
        vision_config=QWEN_EYES[family],
        image_token_id=tokens.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokens.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
    )
    return processor, config
