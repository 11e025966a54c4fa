"""What the test starts with torchrun: one training; the main process writes down how it went."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from threading import Event

from mmchat.rows.reader import read_rows
from mmchat.train.base import BaseModel, TrainSettings
from mmchat.train.sft import DialogueTrainer


def main(rows: Path, base_path: Path, folder: Path, micro_batch: int, batch_size: int) -> None:
    settings = TrainSettings(
        (str(rows),),
        "tiny",
        "result",
        max_steps=6,
        batch_size=batch_size,
        micro_batch=micro_batch,
        learning_rate=1e-2,
        evaluate_every=3,
        dropout=0.0,
        rank=4,
        alpha=8,
        dtype="float32",
        log_to="none",
    )
    file, base, trainer = read_rows(rows), BaseModel("tiny", "lm", base_path, 512), DialogueTrainer()
    events: list[object] = []
    preparation = trainer.prepare([file], settings, base)
    result = trainer.train(preparation, [file], base, folder, events.append, Event(), should_resume=False)
    outcome = {
        "losses": result.losses,
        "validation": [result.first_validation_loss, result.best_validation_loss],
        "events": len(events),
    }
    rank = os.environ.get("RANK", "0")
    (folder / f"outcome-{rank}.json").write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
