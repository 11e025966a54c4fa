"""What an engine needs is made of the fetched files once, in a process of its own.

`python -m mmchat.weights.preparers MODULE:FUNCTION SOURCE TARGET [ARGUMENT…]` is that process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Event

from mmchat import paths
from mmchat.errors import MmchatError, WeightsError
from mmchat.weights.child import claim_stdout, run_child


@dataclass(frozen=True, slots=True)
class Preparer:
    """A function `prepare(source_dir, target_dir, report, *arguments)`, by name."""

    target: str
    """"module:function"."""
    version: int = 1
    """Raise it when its output changes: prepared weights of an older version are made again."""

    @property
    def key(self) -> str:
        """What the manifest keeps."""
        return f"{self.target}@{self.version}"


PREPARERS: dict[tuple[str, str], Preparer | None] = {
    ("gguf", "llamacpp"): Preparer("mmchat.weights.prepare_gguf:for_llamacpp"),
    ("gguf", "transformers"): Preparer("mmchat.weights.prepare_gguf:for_transformers"),
    ("safetensors", "transformers"): None,
    ("pytorch", "transformers"): None,
    ("ctranslate2", "faster-whisper"): None,
    ("ctranslate2", "openai-whisper"): Preparer("mmchat.weights.prepare_whisper:for_openai_whisper"),
    ("open_clip", "open_clip"): None,
    ("dual-encoder", "open_clip"): Preparer("mmchat.weights.prepare_dual_encoder:assemble", version=2),
    ("sentence-transformers", "ctranslate2"): Preparer("mmchat.weights.prepare_minilm:for_ctranslate2"),
    ("e5-q4", "ctranslate2"): Preparer("mmchat.weights.prepare_e5:for_ctranslate2"),
    ("head", "fused"): None,
}
"""(format, engine) → what makes the one fit the other; None: it fits as it is."""


def preparer_for(model: str, weights_format: str, engine: str) -> Preparer | None:
    """What has to be run, None for nothing.

    Raises:
        WeightsError: that engine cannot read that format.
    """
    if (weights_format, engine) not in PREPARERS:
        fitting = [each for form, each in PREPARERS if form == weights_format]
        hint = f"Engines for these weights: {', '.join(fitting)}." if fitting else ""
        raise WeightsError(f"The weights of '{model}' ({weights_format}) do not fit the engine '{engine}'.", hint=hint)
    return PREPARERS[weights_format, engine]


def run_preparer(
    preparer: Preparer,
    model: str,
    source_dir: Path,
    target_dir: Path,
    on_phrase: Callable[[str], None],
    cancel: Event | None = None,
    arguments: Sequence[str] = (),
) -> None:
    """Run a preparer in a process of its own; what it prints goes to the log folder.

    Raises:
        WeightsError: it failed; the message is its own, or the last line it printed.
        PullCancelled: `cancel` was set.
    """
    function = preparer.target.rpartition(":")[2]
    log_path = paths.private_dir(paths.log_dir()) / f"prepare-{model}-{function}.log"
    phrase = ""
    last_s = 0.0

    def tell() -> None:
        nonlocal last_s
        if time.monotonic() - last_s > 0.5:
            last_s = time.monotonic()
            on_phrase(phrase)

    def hear(message: dict[str, object]) -> None:
        nonlocal phrase
        if "report" in message:
            phrase = str(message["report"])
            on_phrase(phrase)

    command = [sys.executable, "-P", "-m", "mmchat.weights.preparers", preparer.target]
    result = run_child(
        [*command, str(source_dir), str(target_dir), *arguments],
        log_path=log_path,
        env={"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"},
        cancel=cancel,
        on_poll=tell,
        on_message=hear,
        reads_stdout=True,
    )
    if result.returncode == 0:
        return
    for message in result.messages:
        if "error" in message:
            raise WeightsError(str(message["error"]), hint=str(message["hint"]))
    how = "was killed, perhaps for want of memory" if result.returncode < 0 else "failed"
    raise WeightsError(
        f"Preparing '{model}' {how}: {result.last_line or f'exit code {result.returncode}'}",
        hint=f"The fetched files are kept. All it printed: {log_path}",
    )


def main(target: str, source: str, destination: str, *arguments: str) -> int:
    """The child: run one preparer, its phrases as JSON lines on stdout, everything else on stderr."""
    send = claim_stdout()
    module_name, _, function_name = target.partition(":")
    try:
        prepare = getattr(import_module(module_name), function_name)
        prepare(Path(source), Path(destination), lambda phrase: send({"report": phrase}), *arguments)
    except MmchatError as error:
        send({"error": error.message, "hint": error.hint})
        return error.exit_code
    except OSError as error:
        send({"error": f"{error.filename or destination}: {error.strerror or error}", "hint": _room_hint(error)})
        return WeightsError.exit_code
    sys.stderr.flush()
    return 0


def _room_hint(error: OSError) -> str:
    import errno

    return "Make room on the disk, then pull again." if error.errno == errno.ENOSPC else ""


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    os._exit(status)  # native libraries of the engines may hang or crash while Python takes them down
