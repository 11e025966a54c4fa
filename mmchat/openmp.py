"""OpenMP, with which most libraries here share out their loops: how its threads wait, and that it is there at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_GNU = "libgomp.so.1"
SPINS = "500"
"""How often a waiting thread of GNU's OpenMP looks again before it sleeps: some 25 microseconds.

Between two layers of a small model threads wait for less than that. Measured with SmolLM2-135M on two cores
(`python -m benchmarks.engine_settings`): idle cores 48 tokens/s when they sleep at once, 65 with 500, 65 with 2,000;
beside a busy process 29, 25 and 18, and 12 with GNU's own.
"""


def settle_waiting() -> None:
    """Say how threads wait, for the rest of the process; what the user says in the environment stands.

    Threads that spin while they wait starve the others on a busy machine: one transcription took 10 s instead of
    0.8 s. OpenMP reads this once, when the first library that uses it is loaded.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # GNU's alone, and there it is the stronger of the two


def bring_runtime() -> None:
    """Make sure that GNU's OpenMP can be loaded by a library that needs it and does not bring it.

    xllamacpp's wheel for Linux takes the system's, which small installations lack; torch's brings one.
    """
    if sys.platform != "linux":
        return
    # Deferred: every start of the program imports this module, and only one that loads llama.cpp comes here.
    import ctypes
    from importlib.util import find_spec

    try:
        ctypes.CDLL(_GNU)
    except OSError:
        torch = find_spec("torch")  # found, not imported: that would take seconds
        for place in (torch.submodule_search_locations or ()) if torch else ():
            if (brought := Path(place) / "lib" / _GNU).is_file():
                ctypes.CDLL(str(brought), mode=ctypes.RTLD_GLOBAL)
