"""The files that `-a` names on the command line."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmchat.errors import MediaError, UsageError


@contextmanager
def attached_files(names: list[str]) -> Iterator[tuple[Path, ...]]:
    """The files of `-a`, in order, the one from stdin in a private folder that is removed afterwards.

    Raises:
        UsageError: stdin was asked for twice.
        MediaError: a file is missing, or stdin held no picture and no sound.
    """
    if names.count("-") > 1:
        raise UsageError("Only one attachment can come from stdin.")
    with ExitStack() as cleanup:
        piped = _file_from_stdin(cleanup) if "-" in names else None
        yield tuple(piped if piped and name == "-" else _existing_file(name) for name in names)


def _existing_file(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        raise MediaError(f"'{name}' is a folder.", hint="Attach the files in it one by one with -a.")
    if not path.exists():
        raise MediaError(f"There is no file '{name}'.", hint="Check the name; nothing was asked.")
    if not os.access(path, os.R_OK):
        raise MediaError(f"You have no permission to read '{name}'.", hint="Check the file's permissions.")
    return path


def _file_from_stdin(cleanup: ExitStack) -> Path:
    from mmchat.chat.media_kinds import media_suffix

    data = sys.stdin.buffer.read()
    suffix = media_suffix(data[:64])
    if suffix is None:
        raise MediaError(
            f"The {len(data):,} bytes from stdin are neither a picture nor a sound that mmchat knows.",
            hint="Text is piped in without '-a -'.",
        )
    try:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mmchat-"))
        path = Path(folder) / f"stdin.{suffix}"
        path.write_bytes(data)
    except OSError as error:
        raise MediaError(
            f"What came from stdin could not be put into a temporary file: {error.strerror or error}.",
            hint="Free some space, or choose another place with TMPDIR. Nothing was asked.",
        ) from error
    return path
