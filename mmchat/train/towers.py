"""An OpenCLIP model as it is finetuned: what is trained, what is frozen, and the ordinary folder that comes of it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mmchat.domain import EngineSpec
from mmchat.engines.tag_prototypes import read_class_prototypes
from mmchat.engines.vision_open_clip import OpenClipReader, load
from mmchat.errors import UsageError
from mmchat.image_tower import TOWER_NAME
from mmchat.train.base import BaseModel

WEIGHTS_FILE = "open_clip_model.safetensors"
PROTOTYPES_FILE = "class_prototypes.safetensors"
_OTHER_WEIGHTS = ("open_clip_pytorch_model", "open_clip_model", "model.", "pytorch_model", PROTOTYPES_FILE, TOWER_NAME)
_SOFT = 0.1
"""Added to the deviation of each feature: those that hardly move are not blown up."""
MAX_SCALE = 100.0
"""Of the logits; CLIP's own bound (Radford et al. 2021, section 2.5)."""
SOFTENING = 0.4
"""Of the base's scale of the logits, while only the last layers learn. Held there: left to learn, the scale grows and
the maps learn their few pictures by heart, which costs more than any other setting brings."""

CaptionMethod = Literal["last-layers", "full"]


class Projection(nn.Module):
    """The image tower's last linear map, on centred and scaled features. `fold` gives the plain map it stands for.

    Features of unlike size would be learnt at unlike speed; and dropout takes a feature back to its mean, not to zero.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, features: Tensor, dropout: float) -> None:
        """`weight`: (D, F); `bias`: (D,); `features`: (N, F) of the training pictures; all float32."""
        super().__init__()
        self.register_buffer("centre", features.mean(0))
        self.register_buffer("scale", features.std(0) + _SOFT)
        self.weight = nn.Parameter(weight * self.scale)
        self.bias = nn.Parameter(bias + weight @ self.centre)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            # Only directions count. At the size of fresh random weights the usual learning rates fit.
            size = (len(weight) / 3) ** 0.5 / self.weight.norm()
            self.weight.mul_(size)
            self.bias.mul_(size)

    def forward(self, features: Tensor) -> Tensor:
        inputs = self.dropout((features - self.centre) / self.scale)
        return functional.linear(inputs, self.weight, self.bias)

    def fold(self) -> tuple[Tensor, Tensor]:
        """(D, F) and (D,) of the same map on plain features."""
        weight = self.weight.detach() / self.scale
        return weight, self.bias.detach() - weight @ self.centre


class Towers(nn.Module):
    """The model in training. Pictures come as pixels or, below a frozen trunk, as its cached features."""

    def __init__(self, reader: OpenClipReader, dropout: float) -> None:
        super().__init__()
        self.reader = reader
        self.model: nn.Module = reader.network
        self.projection: Projection | None = None
        self._dropout = dropout

    def forward(self, tokens: Tensor, features: Tensor | None = None, pixels: Tensor | None = None) -> Any:
        """(B, D) unit vectors of pictures and of texts, and the scale of their similarities."""
        images = self.project(features) if features is not None else self._network.encode_image(pixels)
        texts = self._network.encode_text(tokens)
        with torch.autocast(tokens.device.type, enabled=False):
            scale = self._network.logit_scale.float().exp().clamp(max=MAX_SCALE)
            return functional.normalize(images.float(), dim=-1), functional.normalize(texts.float(), dim=-1), scale

    @property
    def _network(self) -> Any:
        return self.model

    # --- the image tower, in two -----------------------------------------------------------------

    def trunk(self, pixels: Tensor) -> Tensor:
        """(B, F) float32: what comes out below the last linear map."""
        visual = self._network.visual
        if isinstance(visual, TimmModel):
            found: Tensor = visual.trunk(pixels)
            return found.float()
        with _without_projection(visual):
            pooled: Tensor = visual(pixels)
        return pooled.float()

    def project(self, features: Tensor) -> Tensor:
        """(B, D) of (B, F)."""
        with torch.autocast(features.device.type, enabled=False):
            if self.projection is not None:
                out: Tensor = self.projection(features)
                return out
            visual = self._network.visual
            mapped: Tensor = visual.head(features) if isinstance(visual, TimmModel) else features @ visual.proj
            return mapped

    def open_projection(self, features: Tensor) -> None:
        """Take the last linear map of the image tower out to train it on cached features, (N, F) of the pictures."""
        visual = self._network.visual
        if isinstance(visual, TimmModel):
            linear = visual.head.proj
            bias = linear.bias if linear.bias is not None else torch.zeros(len(linear.weight))
            self.projection = Projection(linear.weight.detach(), bias.detach(), features, self._dropout)

    def close_projection(self) -> None:
        """Put the trained map back into its place."""
        if self.projection is None:
            return
        linear = self._network.visual.head.proj
        weight, bias = self.projection.fold()
        with torch.no_grad():
            linear.weight.copy_(weight)
            if linear.bias is not None:
                linear.bias.copy_(bias)
        self.projection = None

    # --- what is trained ---------------------------------------------------------------------------

    def choose(self, method: CaptionMethod, last_layers: int) -> None:
        """Set which parameters learn.

        Raises:
            UsageError: the image tower ends otherwise than in a linear map, so that its features cannot be cached.
        """
        network = self._network
        for parameter in self.model.parameters():
            parameter.requires_grad_(method == "full")
        network.logit_scale.requires_grad_(method == "full")
        if method == "full":
            return
        if not can_cache(network):
            raise UsageError(
                f"'{self.reader.name}' does not end in a linear map; its last layers cannot be trained alone.",
                hint="Train all of it: --method full",
            )
        for module in (*text_layers(network, last_layers), *_text_heads(network)):
            for parameter in module.parameters():
                parameter.requires_grad_(True)
        if isinstance(plain := getattr(_text_tower(network), "text_projection", None), nn.Parameter):
            plain.requires_grad_(True)
        if not isinstance(network.visual, TimmModel):
            network.visual.proj.requires_grad_(True)

    def soften(self) -> None:
        """Lower the scale of the logits (`SOFTENING`): a soft choice among the pictures is learnt by heart less."""
        with torch.no_grad():
            self._network.logit_scale.add_(math.log(SOFTENING))

    def settle_text(self, captions: list[str]) -> float:
        """Bring a Hugging Face text tower's last map to the size of fresh random weights.

        Returns:
            How much faster it has to learn than a map of inputs about one: the inverse deviation of its inputs.
        """
        tower = _text_tower(self._network)
        if not isinstance(tower, HFTextEncoder) or not isinstance(tower.proj, nn.Linear):
            return 1.0
        seen: list[Tensor] = []
        hook = tower.proj.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        with torch.no_grad():
            tower(self.reader.tokens(captions))
            hook.remove()
            tower.proj.weight.mul_((len(tower.proj.weight) / 3) ** 0.5 / tower.proj.weight.norm())
        return 1.0 / max(float(seen[0].float().std()), 1e-3)

    def set_mode(self, *, is_training: bool) -> None:
        """Dropout on or off where something learns; statistics of batch normalisation stay those of the base."""
        self.train(is_training)
        for module in self.model.modules():
            own = list(module.parameters())
            is_frozen = bool(own) and not any(each.requires_grad for each in own)
            if is_frozen or isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def open_towers(base: BaseModel, dropout: float, device: str) -> Towers:
    """Load a base for training, in float32.

    Raises:
        ModelNotFound, WeightsError, DeviceError: as for seeing with it.
    """
    spec = EngineSpec(name=base.name, engine="open_clip", path=base.path, device=device, dtype="float32")
    return Towers(load(spec), dropout)


def can_cache(network: Any) -> bool:
    """Whether the image tower ends in a linear map that can be trained on cached features."""
    visual = network.visual
    if isinstance(visual, TimmModel):
        head = dict(visual.head.named_children())
        return set(head) <= {"drop", "proj"} and isinstance(head.get("proj"), nn.Linear)
    return isinstance(getattr(visual, "proj", None), nn.Parameter)


def text_layers(network: Any, count: int) -> list[nn.Module]:
    """The last layers of the text tower, at most `count`."""
    tower = _text_tower(network)
    if isinstance(tower, HFTextEncoder):
        encoder = getattr(tower.transformer, "encoder", tower.transformer)
        names = ("layer", "block", "layers")
        layers: list[nn.Module] = next((list(getattr(encoder, name)) for name in names if hasattr(encoder, name)), [])
    else:
        layers = list(tower.transformer.resblocks)
    return layers[-count:] if count > 0 else []


def _text_tower(network: Any) -> Any:
    return getattr(network, "text", network)


def _text_heads(network: Any) -> list[nn.Module]:
    tower = _text_tower(network)
    if isinstance(tower, HFTextEncoder):
        return [tower.proj]
    found = [getattr(tower, name, None) for name in ("ln_final", "text_projection")]
    return [each for each in found if isinstance(each, nn.Module)]


@contextmanager
def _without_projection(visual: Any) -> Iterator[None]:
    kept, visual.proj = visual.proj, None
    try:
        yield
    finally:
        visual.proj = kept


# --- the folder -----------------------------------------------------------------------------------


def save_towers(towers: Towers, base: BaseModel, folder: Path, features: Tensor | None) -> tuple[str, ...]:
    """Write an ordinary OpenCLIP folder: the base's description, the new weights.

    Tags of a model that was assembled from a classifier are made by that classifier, on the image tower's output.
    It is carried over to the new output, so that a frozen trunk gives the very tags that it gave before.

    Args:
        towers: trained, their projection put back.
        base: where the description lies.
        folder: made here; what lay there is replaced.
        features: (N, F) of training pictures where the trunk was frozen; None where it was trained.

    Returns:
        What the user should know, in words.
    """
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for path in base.path.iterdir():
        if path.is_file() and not path.name.startswith(_OTHER_WEIGHTS):
            shutil.copyfile(path, draft / path.name)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in towers.model.state_dict().items()}
    save_file(state, draft / WEIGHTS_FILE, metadata={"format": "pt"})
    notes = _save_prototypes(towers, base, draft, features)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
    return notes


def _save_prototypes(towers: Towers, base: BaseModel, draft: Path, features: Tensor | None) -> tuple[str, ...]:
    own = read_class_prototypes(base.path)
    if own is None:
        return ()
    before = load(EngineSpec(name=base.name, engine="open_clip", path=base.path, device="cpu"))
    known = before.prototypes()
    old_weight, old_bias = _last_map(before.network)
    new_weight, new_bias = _last_map(towers.model)
    before.close()
    rows, biases = carry_classifier(known.rows, known.biases, (old_weight, old_bias), (new_weight, new_bias))
    save_arrays(
        {"rows": rows, "biases": biases, "text_gain": np.array(own.text_gain, dtype=np.float32)},
        draft / PROTOTYPES_FILE,
    )
    if features is not None:
        return ()
    return ("The image tower was trained, so its tags are approximate: check them with mmchat see.",)


def _last_map(network: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    linear = network.visual.head.proj
    weight = linear.weight.detach().double().cpu().numpy()
    bias = linear.bias.detach().double().cpu().numpy() if linear.bias is not None else np.zeros(len(weight))
    return weight, bias


def carry_classifier(
    rows: NDArray[np.float32],
    biases: NDArray[np.float32],
    old: tuple[NDArray[np.float64], NDArray[np.float64]],
    new: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A classifier on the old output, rewritten for the new one: the same logits for every picture.

    Output = weight · feature + bias. Solving new-rows · new-weight = rows · old-weight gives the rows; the biases
    take up the rest. Exact where the new map loses nothing (full column rank), otherwise closest.

    Args:
        rows: (K, D).
        biases: (K,).
        old: (D, F) and (D,), the map that the rows were made for.
        new: (D, F) and (D,).
    """
    wanted = rows.astype(np.float64) @ old[0]  # (K, F)
    carried = np.linalg.lstsq(new[0].T, wanted.T, rcond=None)[0].T
    shifts = biases + rows.astype(np.float64) @ old[1] - carried @ new[1]
    # safetensors writes the bytes as they lie: a transposed array would come back as another one.
    return np.ascontiguousarray(carried, dtype=np.float32), shifts.astype(np.float32)


def embed_pictures(towers: Towers, pixels: Tensor, *, is_flipped: bool) -> NDArray[np.float32]:
    """(B, F) float32 of the frozen trunk."""
    with torch.inference_mode():
        turned = pixels.flip(3) if is_flipped else pixels
        return towers.trunk(turned.contiguous(memory_format=torch.channels_last)).cpu().numpy()
