"""The evaluation sets that come with mmchat: dialogues and probes of its roles that the project wrote itself."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mmchat.errors import EvalError

SHIPPED_NAMES = ("talk-en", "talk-zh")
PROBE_NAMES = ("persona-en", "persona-zh")


def shipped_paths(names: tuple[str, ...] = SHIPPED_NAMES) -> tuple[Path, ...]:
    """The files of rows, English first. Pictures lie beside them.

    Args:
        names: which sets.

    Raises:
        EvalError: the installation is incomplete.
    """
    folder = Path(str(files("mmchat.evals"))) / "data"
    paths = tuple(folder / f"{name}.jsonl" for name in names)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise EvalError(
            f"mmchat's own evaluation set is not complete: {missing[0]} is missing.",
            hint="Install mmchat again, or name rows of your own with --data.",
        )
    return paths
