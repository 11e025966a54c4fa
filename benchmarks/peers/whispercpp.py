"""whisper.cpp in its own environment: reads sounds, writes their words and what they took, one JSON line each.

python whispercpp.py MODEL THREADS BEAM LANGUAGE < lines of {"sound": FILE.npy}
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
from pywhispercpp.model import Model


def main() -> None:
    """Answer each line until there are no more."""
    model_path, threads, beam, language = sys.argv[1:5]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library prints there
    model = Model(
        model_path,
        params_sampling_strategy=1,
        redirect_whispercpp_logs_to=None,
        n_threads=int(threads),
        language=language,
        beam_search={"beam_size": int(beam), "patience": -1.0},
        print_progress=False,
        print_realtime=False,
        no_context=True,
    )
    for line in sys.stdin:
        sound = np.load(json.loads(line)["sound"])
        wall, cpu = time.perf_counter(), time.process_time()
        text = " ".join(segment.text.strip() for segment in model.transcribe(sound))
        taken = {"text": text, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        print(json.dumps(taken), file=answers, flush=True)


if __name__ == "__main__":
    main()
