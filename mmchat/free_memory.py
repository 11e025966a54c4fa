"""How much memory programs could have, found without a library."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def available_memory_bytes(proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that programs could have now, within the container's limit; 0 where the system does not say."""
    free = 0
    if proc.is_file():
        for line in proc.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) << 10
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    elif sys.platform == "win32":
        free = _windows_memory_bytes()
    try:
        limit = (cgroup / "memory.max").read_text(encoding="utf-8").strip()
        used = (cgroup / "memory.current").read_text(encoding="utf-8").strip()
    except OSError:
        return free
    return min(free, int(limit) - int(used)) if limit.isdecimal() and used.isdecimal() else free


def _windows_memory_bytes() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *[(name, ctypes.c_uint64) for name in ("total", "available", "a", "b", "c", "d", "e")],
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - exists on Windows only
    return int(status.available) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 0
