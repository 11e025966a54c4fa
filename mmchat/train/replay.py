"""Against forgetting: what the base itself says to general questions, learnt again along with the rows.

Nothing is shipped but the questions. The base answers them greedily before its first step; some answers are learnt, the
others are held out, and the rise of the loss on those is what was forgotten.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from mmchat.domain import Message
from mmchat.rows.values import DialogueRow, Place, RowMessage, RowPart
from mmchat.train.bases import TextBase, load_weights
from mmchat.train.quiet import quiet

FILE = "replay.jsonl"
HELD_OUT = 12
"""Of the questions; those that are never learnt."""
_REPLY_TOKENS = 64
_AT_ONCE = 12


def replay_prompts() -> list[str]:
    """The project's own questions, in the order of their file."""
    text = files("mmchat.train").joinpath("replay_prompts.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def replay_rows(folder: Path, text: TextBase, precision: str, seed: int) -> tuple[list[DialogueRow], list[DialogueRow]]:
    """The base's answers, made once and kept in `replay.jsonl`, so that a resumed training learns the same.

    Args:
        folder: of the training.
        text: the base.
        precision: of the arithmetic.
        seed: chooses which questions are held out.

    Returns:
        Rows to learn from and rows held out.
    """
    path = folder / FILE
    if not path.is_file():
        prompts = replay_prompts()
        pairs = list(zip(prompts, _answers(text, prompts, precision), strict=True))
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        lines = [
            json.dumps(
                {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]},
                ensure_ascii=False,
            )
            for prompt, answer in pairs
            if answer
        ]
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
        draft.replace(path)
    rows = [
        _row(path, number, json.loads(line))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
    ]
    random.Random(seed).shuffle(rows)
    return rows[HELD_OUT:], rows[:HELD_OUT]


def _row(path: Path, number: int, value: dict[str, Any]) -> DialogueRow:
    messages = tuple(RowMessage(each["role"], (RowPart("text", each["content"]),)) for each in value["messages"])
    return DialogueRow(Place(path, number), messages)


@torch.inference_mode()
def _answers(text: TextBase, prompts: Sequence[str], precision: str) -> list[str]:
    """What the base says, greedily; answers that find no end are cut after their last whole sentence."""
    with quiet():
        model = load_weights(text, "lora", precision).eval()
        answers: list[str] = []
        for start in range(0, len(prompts), _AT_ONCE):
            rows = [text.prompt_format.encode([Message("user", each)]) for each in prompts[start : start + _AT_ONCE]]
            answers += _written(model, text, rows)
    return [_whole(answer) for answer in answers]


def _written(model: Any, text: TextBase, rows: Sequence[Sequence[int]]) -> list[str]:
    width = max(len(row) for row in rows)
    ids = torch.tensor([[text.pad_id] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    out = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=_REPLY_TOKENS, do_sample=False, pad_token_id=text.pad_id
    )
    new = out if text.is_seq2seq else out[:, width:]
    return [str(text.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in new]


def _whole(answer: str) -> str:
    """The answer up to its last sentence that ends; itself where none does."""
    end = max(answer.rfind(mark) for mark in ".!?。！？")
    return answer[: end + 1] if end > 0 else answer
