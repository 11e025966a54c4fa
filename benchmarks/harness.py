"""lm-evaluation-harness in an environment of its own, asked for likelihoods of given texts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environment import PeerMissing, peer_environment, peer_variables, peer_versions

_TASK = """\
task: likelihoods
dataset_path: json
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: loglikelihood
doc_to_text: "{{{{context}}}}"
doc_to_target: "{{{{text}}}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""
# Only the logged likelihoods are used. Its own perplexity is of whole texts, and of a long one more than a float holds.
_TOLD_LINES = 5


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text, and what stands before it. The harness moves blanks at the end of a context into the text."""

    context: str
    text: str


@dataclass(frozen=True, slots=True)
class Harness:
    """An installed one."""

    python: Path
    version: str

    @classmethod
    def install(cls) -> Harness:
        """In an environment that borrows this one's torch and transformers.

        Raises:
            PeerMissing: pip failed.
        """
        python = peer_environment("lm-eval", ["lm_eval"], borrows=True)
        return cls(python, peer_versions(python, "lm-eval")["lm-eval"])

    def nats(self, base: Path, rows: Sequence[Continuation], folder: Path, batch: int) -> tuple[list[float], float]:
        """Negative log-likelihoods in float32, and the seconds of the whole command.

        Args:
            base: folder of a model for transformers.
            rows: what is scored.
            folder: an empty one.
            batch: rows at once.

        Raises:
            PeerMissing: it failed.
        """
        data, task, out = folder / "rows.jsonl", folder / "likelihoods.yaml", folder / "out"
        data.write_text("".join(json.dumps({"context": each.context, "text": each.text}) + "\n" for each in rows))
        task.write_text(_TASK.format(rows=data))
        command = [self.python, "-m", "lm_eval", "run", "--model", "hf"]
        command += ["--model_args", f"pretrained={base},dtype=float32", "--device", "cpu"]
        command += ["--tasks", "likelihoods", "--include_path", str(folder), "--batch_size", str(batch)]
        command += ["--output_path", str(out), "--log_samples"]
        told = peer_variables(HF_HOME=str(folder / "hub"), HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
        began = time.perf_counter()
        done = subprocess.run(command, env=told, cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode:
            last = " ".join((done.stderr or done.stdout).strip().splitlines()[-_TOLD_LINES:])
            raise PeerMissing(f"lm-eval {self.version} ended with {done.returncode}: {last}")
        (samples,) = out.rglob("samples_likelihoods_*.jsonl")
        told_rows = [json.loads(line) for line in samples.read_text().splitlines()]
        found = {row["doc_id"]: -float(row["filtered_resps"][0][0]) for row in told_rows}
        return [found[at] for at in range(len(rows))], seconds
