"""The networks of classification heads: small, on frozen vectors of texts and pictures.

Linear parts look at sentence vectors, picture vectors and character n-grams, and their logits are summed (the
"wide" part of Cheng et al. 2016, "Wide & Deep"); where text and picture have to be understood together, a hidden
layer on both (`concat`), or attention of the text over the parts of the picture (`attention`), adds to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmchat.engines.head_files import HeadShape

HEADS = 4
"""Of the attention; the hidden width is a multiple of it."""


@dataclass(frozen=True, slots=True)
class GramBatch:
    """Weighted n-grams of some texts, laid end to end."""

    columns: Tensor
    """(T,) int64."""
    weights: Tensor
    """(T,) float32."""
    starts: Tensor
    """(B,) int64: where each text begins."""


@dataclass(frozen=True, slots=True)
class HeadInputs:
    """A batch as a head reads it; None for what it has no use for."""

    text: Tensor | None = None
    """(B, D) float32, unit rows."""
    image: Tensor | None = None
    """(B, V, D) float32, unit vectors: the whole picture first."""
    grams: GramBatch | None = None


class Scaler(nn.Module):
    """Centres vectors and brings their numbers to about one; both learnt from the training rows, not by descent.

    One scale for all dimensions: a dimension that hardly moves says little and must not be blown up.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, rows: Tensor) -> None:
        """Learn from (N, D)."""
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(1 / (rows - self.mean).std().clamp(min=1e-6))

    def forward(self, rows: Tensor) -> Tensor:
        scaled: Tensor = (rows - self.mean) * self.scale
        return scaled


class HeadNetwork(nn.Module):
    """Inputs to (B, L) logits."""

    def __init__(self, shape: HeadShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        if shape.text_width:
            self.text_scaler = Scaler(shape.text_width)
            self.text_linear = nn.Linear(shape.text_width, shape.classes)
        if shape.image_width:
            self.image_scaler = Scaler(shape.image_width)
            self.image_linear = nn.Linear(shape.image_width, shape.classes)
        if shape.columns:
            self.grams = nn.EmbeddingBag(shape.columns, shape.classes, mode="sum")
            self.gram_bias = nn.Parameter(torch.zeros(shape.classes))
            nn.init.zeros_(self.grams.weight)
        self.dropout = nn.Dropout(dropout)
        if shape.hidden:
            build = _Attention if shape.fusion == "attention" else _Concat
            self.deep: nn.Module = build(shape, dropout)

    def fit_scalers(self, inputs: HeadInputs) -> None:
        """Learn the scales from the training rows."""
        with torch.no_grad():
            if inputs.text is not None and self.shape.text_width:
                self.text_scaler.fit(inputs.text)
            if inputs.image is not None and self.shape.image_width:
                self.image_scaler.fit(inputs.image.flatten(0, 1))

    def forward(self, inputs: HeadInputs) -> Tensor:
        logits: Tensor | None = None
        text = image = None
        if self.shape.text_width:
            assert inputs.text is not None
            text = self.dropout(self.text_scaler(inputs.text))
            logits = self.text_linear(text)
        if self.shape.image_width:
            assert inputs.image is not None
            image = self.dropout(self.image_scaler(inputs.image))
            seen = self.image_linear(image[:, 0])
            logits = seen if logits is None else logits + seen
        if self.shape.columns:
            assert inputs.grams is not None
            grams = inputs.grams
            read = self.grams(grams.columns, grams.starts, per_sample_weights=grams.weights) + self.gram_bias
            logits = read if logits is None else logits + read
        if self.shape.hidden:
            deep = self.deep(text, image)
            logits = deep if logits is None else logits + deep
        assert logits is not None
        return logits


class _Concat(nn.Module):
    """A hidden layer on the vectors side by side."""

    def __init__(self, shape: HeadShape, dropout: float) -> None:
        super().__init__()
        width = shape.text_width + shape.image_width
        self.layers = nn.Sequential(
            nn.Linear(width, shape.hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(shape.hidden, shape.hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(shape.hidden, shape.classes),
        )

    def forward(self, text: Tensor | None, image: Tensor | None) -> Tensor:
        parts = [part for part in (text, None if image is None else image[:, 0]) if part is not None]
        logits: Tensor = self.layers(torch.cat(parts, dim=1))
        return logits


class _Attention(nn.Module):
    """The text asks, the parts of the picture answer.

    The sentence vector is the query of a multi-head attention (Vaswani et al. 2017) over the views of the picture;
    query, answer and their product, which lets the question choose what of the answer matters, give the logits.
    """

    def __init__(self, shape: HeadShape, dropout: float) -> None:
        super().__init__()
        self.query = nn.Linear(shape.text_width, shape.hidden)
        self.view = nn.Linear(shape.image_width, shape.hidden)
        self.place = nn.Parameter(torch.randn(shape.views, shape.hidden) * 0.02)
        self.attention = nn.MultiheadAttention(shape.hidden, HEADS, dropout=dropout, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(shape.hidden) for _ in range(3)])
        self.out = nn.Sequential(
            nn.Linear(3 * shape.hidden, shape.hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(shape.hidden, shape.classes),
        )

    def forward(self, text: Tensor | None, image: Tensor | None) -> Tensor:
        assert text is not None
        assert image is not None
        query = self.norms[0](self.query(text))
        views = self.norms[1](self.view(image)) + self.place
        answer, _ = self.attention(query.unsqueeze(1), views, views, need_weights=False)
        answer = self.norms[2](answer.squeeze(1))
        logits: Tensor = self.out(torch.cat([query, answer, query * answer], dim=1))
        return logits
