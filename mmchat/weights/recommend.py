"""Which models this machine can run well. The rules are few and written down; nothing heavy is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmchat.config.model_entries import ModelEntry
from mmchat.domain import ModelKind
from mmchat.free_memory import available_memory_bytes

RUN_FACTOR = 1.25
"""Memory while running, in weights: activations and the KV cache of an ordinary conversation."""
DISK_FACTOR = 2.0
"""The download and what is made of it."""
CPU_WEIGHTS_LIMIT_BYTES: dict[ModelKind, int] = {
    "lm": 3_000_000_000,
    "asr": 600_000_000,
    "vision": 1_500_000_000,
    "embed": 600_000_000,
    "head": 600_000_000,
}
"""Without a GPU every token reads all weights of a language model: 3 GB at 20 GB/s or so is the slowest that still
feels like talk; a recogniser above Whisper small takes longer than the speech lasted."""
_OPEN_LICENSES = ("apache-2.0", "mit")
_KIND_ORDER: tuple[ModelKind, ...] = ("lm", "asr", "vision", "embed", "head")


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to run on. Bytes; 0 where it could not be found out."""

    gpu: str = ""
    """Its name; empty for none."""
    gpu_memory_bytes: int = 0
    memory_bytes: int = 0
    """Free for programs now."""
    disk_bytes: int = 0
    """Free where the weights go."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether one model suits the machine."""

    entry: ModelEntry
    fits: bool
    reason: str
    """Why not, or what to know; empty for nothing."""
    needs_bytes: int
    is_best: bool = False
    """The one to take of its kind."""


def probe_machine(weights_dir: Path) -> Machine:
    """Look at this machine: nvidia-smi, the system's own counts of memory, the disk of the weights."""
    existing = next(folder for folder in (weights_dir, *weights_dir.parents) if folder.exists())
    gpu, gpu_memory_bytes = _nvidia_gpu()
    memory_bytes = available_memory_bytes()
    if not gpu and sys.platform == "darwin" and os.uname().machine == "arm64":
        gpu, gpu_memory_bytes = "Apple GPU", int(memory_bytes * 0.7)  # shares the machine's memory
    return Machine(gpu, gpu_memory_bytes, memory_bytes, shutil.disk_usage(existing).free)


def _nvidia_gpu() -> tuple[str, int]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "", 0
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "", 0  # the program is there, the driver or the card is not
    return parse_nvidia_smi(answer)


def parse_nvidia_smi(answer: str) -> tuple[str, int]:
    """Name and memory of the largest card in `name, MiB` lines; empty and 0 where there is none."""
    cards = []
    for line in answer.splitlines():
        name, _, memory = line.rpartition(",")
        if name and memory.strip().isdecimal():
            cards.append((int(memory) << 20, name.strip()))
    memory_bytes, name = max(cards, default=(0, ""))
    return name, memory_bytes


def advise(entries: Iterable[ModelEntry], machine: Machine, installed: Iterable[str] = ()) -> tuple[Advice, ...]:
    """Every model with whether it fits, by kind, the largest that fits first; one of each kind is the best.

    Args:
        entries: models to weigh; those without weights of their own are left out.
        machine: what there is.
        installed: names whose weights are here, which need no room on the disk.
    """
    here = set(installed)
    weighed = [
        _weigh(entry, machine, entry.name in here) for entry in entries if entry.needs_weights and not entry.base
    ]
    result = []
    for kind in _KIND_ORDER:
        of_kind = sorted(
            (each for each in weighed if each.entry.kind == kind),
            key=lambda each: (not each.fits, -_strength(each.entry)),
        )
        best = next((each for each in of_kind if each.fits and _is_free_to_take(each.entry, machine)), None)
        for each in of_kind:
            result.append(Advice(each.entry, each.fits, each.reason, each.needs_bytes, each is best))
    return tuple(result)


def _weigh(entry: ModelEntry, machine: Machine, is_here: bool) -> Advice:
    size = entry.download_bytes
    needs = int(size * RUN_FACTOR)
    runs_on_gpu = bool(machine.gpu) and entry.engine_for(has_gpu=True) != "llamacpp"
    room = machine.gpu_memory_bytes if runs_on_gpu else machine.memory_bytes
    reason, fits = "", True
    if room and needs > room:
        reason, fits = f"needs more memory than the {'GPU' if runs_on_gpu else 'machine'} has free", False
    elif not is_here and machine.disk_bytes < size * DISK_FACTOR:
        reason, fits = "does not fit on the disk", False
    elif not runs_on_gpu and size > CPU_WEIGHTS_LIMIT_BYTES[entry.kind]:
        reason, fits = "would be slow without a GPU", False
    elif entry.is_gated:
        reason = "accept its licence on the hub first"
    return Advice(entry, fits, reason, needs)


def _strength(entry: ModelEntry) -> int:
    """How much a model knows, roughly: its size, an 8- or 4-bit file counted as the whole one.

    Of sentence encoders the small one comes first: a larger one knows more languages, not more English
    (LoCoMo recall@10: MiniLM 77.8, multilingual-e5-small 73.0).
    """
    if entry.kind == "embed":
        return -entry.download_bytes
    return entry.download_bytes * (3 if entry.format == "gguf" and entry.download_bytes > 1_000_000_000 else 2)


def _is_free_to_take(entry: ModelEntry, machine: Machine) -> bool:
    """Whether to name it without more ado: open licence, a talker, and the right engine for the machine."""
    task = getattr(entry, "task", "chat")
    fits_engine = entry.kind != "lm" or machine.gpu or entry.engine == "llamacpp"
    return bool(entry.license.lower() in _OPEN_LICENSES and not entry.is_gated and task != "seq2seq" and fits_engine)
