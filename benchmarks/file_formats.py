"""In which format should the default model's file be? Perplexity and speed together.

    python -m benchmarks.file_formats [--windows N] [--rounds N] [--json FILE]

The published file (Q4_1) is written anew in each format by mmchat's own code. Perplexity is that of the dequantised
weights, in float32 with transformers, over the English of this project's documents; speed is llama.cpp's, each format
in a process of its own, asked in turns (`benchmarks.engine_settings`).
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

from gguf import GGMLQuantizationType

from benchmarks.engine_settings import OURS, TASKS, Setting, measure
from benchmarks.figures import Cell, Report, Table
from mmchat.paths import weights_dir
from mmchat.weights.prepare_gguf import only_gguf, open_gguf, write_requantised

MODEL = "smollm2-135m"
FORMATS = ("Q8_0", "Q4_0", "Q5_0", "F16")
WINDOW_TOKENS = 512
DOCUMENTS = Path(__file__).parents[1] / "docs"


def perplexity(folder: Path, file: str, windows: int) -> float:
    """Of the documents' first windows, each read from its beginning."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=file, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, local_files_only=True, dtype=torch.float32
    )
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(DOCUMENTS.glob("*.md")))
    ids = tokenizer(text, return_tensors="pt").input_ids[0, : windows * WINDOW_TOKENS].view(-1, WINDOW_TOKENS)
    with torch.inference_mode():
        losses = [float(model(input_ids=row[None], labels=row[None]).loss) for row in ids]
    return math.exp(sum(losses) / len(losses))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    source = only_gguf(weights_dir() / MODEL / "source")
    with tempfile.TemporaryDirectory() as folder:
        files = {"Q4_1, as published": source}
        for name in FORMATS:
            files[name] = Path(folder) / f"{name}.gguf"
            write_requantised(open_gguf(source), files[name], GGMLQuantizationType[name], lambda _: None)
        sizes = {name: file.stat().st_size / 1e6 for name, file in files.items()}
        lost = {name: perplexity(file.parent, file.name, arguments.windows) for name, file in files.items()}
        settings = {OURS: Setting()} | {name: Setting(file=str(file)) for name, file in files.items()}
        tasks = {name: each for name, each in TASKS.items() if each[1] in (0, 120)}
        speed = measure(settings, arguments.rounds, 32, False, tasks)
    report = Report(
        "The format of the default model's file",
        about="Perplexity of the dequantised weights over this project's documents "
        f"({arguments.windows} windows of {WINDOW_TOKENS} tokens); speed of llama.cpp, in turns.",
    )
    rows: list[list[Cell]] = [
        [name, sizes.get(name), f"{lost[name]:.3f}" if name in lost else None, *figures]
        for name, *figures in speed.tables[0].rows
        if isinstance(name, str)
    ]
    report.tables.append(Table("Formats", ("", "MB", "perplexity", *tasks), rows))
    report.samples = speed.samples | {"perplexity": lost}
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
