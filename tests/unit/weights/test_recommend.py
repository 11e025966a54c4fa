"""What suits which machine."""

from __future__ import annotations

from pathlib import Path

from mmchat.config.models_file import load_models_file
from mmchat.free_memory import available_memory_bytes
from mmchat.weights.recommend import Machine, advise, parse_nvidia_smi

GB = 1_000_000_000


def best(machine: Machine) -> dict[str, str]:
    entries = load_models_file(Path("/nonexistent")).values()
    return {each.entry.kind: each.entry.name for each in advise(entries, machine) if each.is_best}


def test_without_a_gpu_gguf_and_small_recognisers() -> None:
    assert best(Machine(memory_bytes=16 * GB, disk_bytes=100 * GB)) == {
        "lm": "qwen3-4b-gguf",
        "asr": "whisper-small",
        "vision": "clip-vit-b32",
        "embed": "minilm",
    }


def test_a_small_machine_gets_the_default_stack() -> None:
    chosen = best(Machine(memory_bytes=GB // 2, disk_bytes=GB // 2))
    assert chosen["lm"] == "smollm2-135m"
    assert chosen["asr"] == "whisper-base"


def test_a_gpu_gets_what_fits_its_memory() -> None:
    big = best(Machine("H100", 80 * GB, 100 * GB, 500 * GB))
    assert (big["lm"], big["asr"]) == ("qwen3-8b", "whisper-large-v3-turbo")
    small = best(Machine("GTX", 6 * GB, 16 * GB, 500 * GB))
    assert small["lm"] in ("qwen3-vl-2b", "qwen3-4b-gguf")


def test_reasons_are_given_and_gated_models_are_never_the_best() -> None:
    entries = load_models_file(Path("/nonexistent")).values()
    advice = {each.entry.name: each for each in advise(entries, Machine(memory_bytes=4 * GB, disk_bytes=3 * GB))}
    assert advice["qwen3-8b"].reason == "needs more memory than the machine has free"
    assert advice["qwen3-4b-gguf"].reason == "does not fit on the disk"
    assert not any(each.is_best for each in advice.values() if each.entry.is_gated)
    here = {each.entry.name: each for each in advise(entries, Machine(memory_bytes=4 * GB), ["qwen3-4b-gguf"])}
    assert here["qwen3-4b-gguf"].fits


def test_the_largest_card_counts() -> None:
    answer = "NVIDIA A2, 15356\nNVIDIA H100 80GB HBM3, 81559\n"
    assert parse_nvidia_smi(answer) == ("NVIDIA H100 80GB HBM3", 81559 << 20)
    assert parse_nvidia_smi("NVIDIA-SMI has failed because it couldn't communicate\n") == ("", 0)


def test_memory_is_what_is_free_within_the_containers_limit(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert available_memory_bytes(meminfo, tmp_path) == 8000 << 10
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert available_memory_bytes(meminfo, tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory_bytes(meminfo, tmp_path) == 8000 << 10
