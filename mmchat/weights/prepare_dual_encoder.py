"""The default vision model: EfficientNet-Lite2 and MiniLM joined into an OpenCLIP folder, without any picture.

The image feature is the classifier's input (1,280 numbers), centred. The text side is MiniLM and a linear map,
found by ridge regression from the embeddings of the 1,000 ImageNet class names to the classifier's rows, so that
a text lands where pictures of it land (the idea of a locked image tower: Zhai et al. 2022, "LiT").
Only tensors are read from the checkpoint (`weights_only`); what is written is safetensors and JSON.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import open_clip
import timm
import torch
import transformers
from onnxruntime import InferenceSession
from safetensors.torch import save_file
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor
from torch.nn.functional import normalize

from mmchat.errors import WeightsError
from mmchat.image_tower import FINGERPRINT_KEY, TOWER_NAME, tower_fingerprint
from mmchat.picture_vocabulary import PROMPTS, WORDS_ALONE, WORDS_KEY
from mmchat.weights.prepare_minilm import minilm_folder
from mmchat.weights.write_image_tower import write_image_tower

TRUNK = "tf_efficientnet_lite2"
FEATURES = 1280
TEXT_WIDTH = 384
IMAGE_PX = 260
RESIZE_PX = 297
MEAN, STD = 0.498, 0.502
RIDGE = 1.0
LOGIT_SCALE = 33.0
"""Softmax scale of cosine similarities. Source: least negative log likelihood of picking each of 51 COCO photos'
captions among theirs, both ways, 31 to 36 for each of the five captions (`benchmarks/vision.py --fit`)."""
MAX_TOKENS = 128
TOLERANCE = 1e-4
"""Of the largest feature. Convolutions add up in another order; measured 2e-6."""
REPULL = "Remove and pull the model again: mmchat models remove, then mmchat models pull."


def assemble(source_dir: Path, target_dir: Path, report: Callable[[str], None]) -> None:
    """Build the OpenCLIP folder that `engines.vision_open_clip` loads.

    Args:
        source_dir: holds the EfficientNet-Lite2 checkpoint (.pth) and MiniLM's folder, at any depth.
        target_dir: an empty or missing folder.
        report: told in words what is going on.

    Raises:
        WeightsError: a file is missing or does not hold what it should.
    """
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    minilm_dir = minilm_folder(source_dir)
    target_dir.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (minilm_dir / name).is_file():
            shutil.copyfile(minilm_dir / name, target_dir / name)
    report("reading the image tower")
    trunk = read_image_tower(source_dir)
    report("fitting the text side to 1,000 class names")
    text_tower = transformers.AutoModel.from_pretrained(minilm_dir, add_pooling_layer=False).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_dir)
    rows, biases = trunk["classifier.weight"], trunk["classifier.bias"]
    names = class_name_embeddings(text_tower, tokenizer)
    text_map = fit_text_map(names, rows)
    centre = expected_feature(trunk["bn2.weight"], trunk["bn2.bias"])
    report("writing the model")
    model = _joined(trunk, text_tower, text_map, centre, target_dir)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, target_dir / "open_clip_model.safetensors", metadata={"format": "pt"})
    # With the centre added back, these are exactly the classifier's own logits, for tagging.
    prototypes = {"rows": rows.contiguous(), "biases": (rows @ centre + biases).contiguous()}
    # How long a text's logits should be: the rows' own length, times what the map leaves of it (it is unsure).
    certainty = normalize(names, dim=1).matmul(text_map.T).norm(dim=1).mean()
    prototypes["text_gain"] = (rows - rows.mean(0)).norm(dim=1).mean() * certainty
    words = [_embed([prompt.format(word) for word in WORDS_ALONE], text_tower, tokenizer) for prompt in PROMPTS]
    prototypes["words"] = normalize(torch.stack([normalize(each @ text_map.T, dim=1) for each in words]).mean(0), dim=1)
    save_file(prototypes, target_dir / "class_prototypes.safetensors", {WORDS_KEY: "\n".join(WORDS_ALONE)})
    report("writing the image tower for ONNX Runtime")
    fingerprint = tower_fingerprint(lambda name: state[name].numpy())
    write_image_tower(model.visual.trunk, centre, target_dir / TOWER_NAME, {FINGERPRINT_KEY: fingerprint})
    compare_image_tower(model, target_dir / TOWER_NAME)
    config = {"model_cfg": model_config(), "preprocess_cfg": _preprocess_config()}
    (target_dir / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    extra = {"resize_px": RESIZE_PX, "curves": "assembled", "class_names": list(open_clip.IMAGENET_CLASSNAMES)}
    (target_dir / "mmchat_vision.json").write_text(json.dumps(extra, indent=2) + "\n", encoding="utf-8")


def compare_image_tower(model: Any, path: Path) -> None:
    """See that the written tower computes what the model does, for pictures of even and odd sizes.

    Raises:
        WeightsError: it does not.
    """
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    for height, width in ((IMAGE_PX, IMAGE_PX), (288, 384)):
        pixels = torch.randn(2, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected = model.encode_image(pixels).numpy()
        found = session.run(["whole"], {"pixels": pixels.numpy()})[0]
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        if difference > TOLERANCE:
            raise WeightsError(f"ONNX Runtime computes other features of a picture than torch: {difference:.2g} off.")


def read_image_tower(source_dir: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors under timm's names, which follow in the same order and shapes.

    Raises:
        WeightsError: no checkpoint, or not this network's.
    """
    checkpoints = sorted(source_dir.rglob("*.pth"))
    if not checkpoints:
        raise WeightsError(f"No image checkpoint (.pth) was found in {source_dir}.", hint=REPULL)
    try:
        loaded = torch.load(checkpoints[0], map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise WeightsError(f"{checkpoints[0]} is not a checkpoint of plain tensors: {error}", hint=REPULL) from error
    expected = timm.create_model(TRUNK, pretrained=False).state_dict()
    tensors = list(loaded.items()) if isinstance(loaded, dict) else []
    is_same = len(tensors) == len(expected) and all(
        isinstance(tensor, Tensor) and tensor.shape == other.shape and name.split(".")[-1] == other_name.split(".")[-1]
        for (name, tensor), (other_name, other) in zip(tensors, expected.items(), strict=True)
    )
    if not is_same:
        raise WeightsError(f"{checkpoints[0]} does not hold EfficientNet-Lite2.", hint=REPULL)
    return dict(zip(expected, (tensor for _, tensor in tensors), strict=True))


def expected_feature(scale: Tensor, shift: Tensor) -> Tensor:
    """The mean feature without a picture: (C,) mean of relu6(x), x normal with mean `shift`, deviation |`scale`|.

    That is how the last batch normalisation was trained to put its numbers out.
    """
    deviation = scale.abs().double().clamp(min=1e-6)
    mean = shift.double()
    lower, upper = (0 - mean) / deviation, (6 - mean) / deviation
    inside = torch.special.ndtr(upper) - torch.special.ndtr(lower)
    tilt = (torch.exp(-(lower**2) / 2) - torch.exp(-(upper**2) / 2)) / (2 * torch.pi) ** 0.5
    clipped: Tensor = mean * inside + deviation * tilt + 6 * (1 - torch.special.ndtr(upper))
    return clipped.float()


def class_name_embeddings(text_tower: Any, tokenizer: Any) -> Tensor:
    """(1000, 384): the mean of each class's texts: its name, "a photo of a …", WordNet's words, the same defined."""
    info: Any = ImageNetInfo("imagenet-1k")
    names = open_clip.IMAGENET_CLASSNAMES
    texts = [
        list(names),
        [f"a photo of a {name}." for name in names],
        [info.label_name_to_description(name) for name in info.label_names()],
        [info.label_name_to_description(name, detailed=True) for name in info.label_names()],
    ]
    return torch.stack([normalize(_embed(each, text_tower, tokenizer), dim=1) for each in texts]).mean(0)


def _embed(texts: Sequence[str], text_tower: Any, tokenizer: Any, batch: int = 100) -> Tensor:
    pooled = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch):
            tokens = tokenizer(
                list(texts[start : start + batch]),
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
            hidden = text_tower(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            pooled.append((hidden * mask).sum(1) / mask.sum(1))
    return torch.cat(pooled).clone()


def fit_text_map(embeddings: Tensor, rows: Tensor) -> Tensor:
    """(1280, 384) ridge solution from class-name embeddings to the centred, normalised classifier rows."""
    targets = normalize(rows - rows.mean(0), dim=1).double()
    inputs = embeddings.double()
    gram = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution: Tensor = torch.linalg.solve(gram, inputs.T @ targets)
    return solution.T.float()


def model_config() -> dict[str, Any]:
    """OpenCLIP's description of the two towers; the text tower's files lie in the model's own folder."""
    return {
        "embed_dim": FEATURES,
        "vision_cfg": {
            "timm_model_name": TRUNK,
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": IMAGE_PX,
        },
        "text_cfg": {
            "hf_model_name": ".",
            "hf_tokenizer_name": ".",
            "hf_model_pretrained": False,
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
            "context_length": MAX_TOKENS,
            "vocab_size": 30522,
        },
    }


def _preprocess_config() -> dict[str, Any]:
    return {
        "size": [IMAGE_PX, IMAGE_PX],
        "mode": "RGB",
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }


def _joined(
    trunk: dict[str, Tensor], text_tower: Any, text_map: Tensor, centre: Tensor, folder: Path
) -> open_clip.CustomTextCLIP:
    config = model_config()
    model = open_clip.CustomTextCLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=config["vision_cfg"],
        text_cfg={**config["text_cfg"], "hf_model_name": str(folder)},
    )
    with torch.no_grad():
        body = {name: tensor for name, tensor in trunk.items() if not name.startswith("classifier.")}
        model.visual.trunk.load_state_dict(body)
        model.visual.head.proj.weight.copy_(torch.eye(FEATURES))
        model.visual.head.proj.bias.copy_(-centre)
        model.text.transformer.load_state_dict(text_tower.state_dict())
        model.text.proj.weight.copy_(text_map)
        model.logit_scale.fill_(torch.log(torch.tensor(LOGIT_SCALE)))
    return model.eval()
