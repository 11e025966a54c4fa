"""`mmchat see`: what is in a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import StatusLine, print_error, print_json, print_table, print_text
from mmchat.domain import Seen
from mmchat.errors import MediaError, UsageError

if TYPE_CHECKING:
    from mmchat.engines.base import ImageReader
    from mmchat.wiring.hub import EngineHub

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat see dog.jpg\n"
    "  mmchat see *.jpg --json\n"
    '  mmchat see cat.png --labels "a cat,a dog,a lion"\n'
    "  mmchat see photo.webp --labels-file labels.txt --top 3\n"
    "\n\nScores say how likely each word is true; with labels, they are shares of 1."
)
POLL_S = 0.1


def see(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Pictures: png, jpg, webp, gif, bmp, tiff.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Vision model; see 'mmchat models list'.")
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, help="At most so many tags; usually 5.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="A,B,C", help="Rank these, separated by commas.")
    ] = None,
    labels_file: Annotated[
        Path | None, typer.Option("--labels-file", metavar="FILE", help="Rank the lines of a text file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object for each picture.")] = False,
) -> None:
    """Say what is in a picture."""
    from mmchat import paths
    from mmchat.native_noise import native_noise_to
    from mmchat.wiring import WiringOptions, open_hub

    wanted = _labels(labels, labels_file)
    with (
        native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True),
        closing(open_hub(WiringOptions(vision=model), kinds=("vision",))) as hub,
    ):
        seen, failures = _see_all(images, hub, wanted, top)
        if as_json:
            print_json([_row(path, result) for path, result in seen])
        else:
            _print(seen)
    if failures:
        raise typer.Exit(MediaError.exit_code)


def _see_all(
    images: Sequence[Path], hub: EngineHub, labels: list[str] | None, top: int | None
) -> tuple[list[tuple[Path, Seen]], int]:
    """Look at each picture; those that cannot be read are reported and counted, the others go on."""
    from mmchat.engines.image_io import open_image
    from mmchat.engines.see import see as look_at

    seen: list[tuple[Path, Seen]] = []
    failures = 0
    status = StatusLine()
    try:
        for number, path in enumerate(images, 1):
            try:
                image = open_image(path)
                reader = _wait_for_reader(hub, status)  # only now: a wrong path is answered at once
                status.show(f"looking at {path.name} ({number} of {len(images)})")
                result = look_at(reader, image, top_k=top or 5, labels=labels)
            except MediaError as error:
                status.clear()
                print_error(error)
                failures += 1
            else:
                seen.append((path, replace(result, tags=result.tags[:top])))
    finally:
        status.clear()
    return seen, failures


def _wait_for_reader(hub: EngineHub, status: StatusLine) -> ImageReader:
    """The vision model; what its loading waits for is shown meanwhile."""
    hub.start(("vision",))
    while any(state.stage in ("pulling", "loading") for state in hub.states()):
        status.show(next(f"vision model: {state.detail or state.stage}" for state in hub.states()))
        time.sleep(POLL_S)
    return hub.image_reader()


def _labels(typed: str | None, file: Path | None) -> list[str] | None:
    """The labels to rank, in order and without repetition; None when none are wanted.

    Raises:
        UsageError: both were given, the file cannot be read, or there is none in it.
    """
    if typed is None and file is None:
        return None
    if typed is not None and file is not None:
        raise UsageError("--labels and --labels-file exclude each other.", hint="Choose one.")
    if file is not None:
        try:
            parts = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"The labels in '{file}' cannot be read: {reason}.", hint="One label per line.") from error
    else:
        parts = (typed or "").replace("，", ",").split(",")
    labels = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not labels:
        raise UsageError("There are no labels to rank.", hint='Try: --labels "a cat,a dog"')
    return labels


def _print(seen: Sequence[tuple[Path, Seen]]) -> None:
    for number, (path, result) in enumerate(seen):
        if len(seen) > 1:
            print_text(f"{path}:" if number == 0 else f"\n{path}:")
        print_table((">score", "label"), [(f"{tag.score:.2f}", tag.label) for tag in result.tags])
        if result.caption:
            print_text(result.caption)


def _row(path: Path, seen: Seen) -> dict[str, object]:
    return {
        "file": str(path),
        "tags": [{"label": tag.label, "score": round(tag.score, 4)} for tag in seen.tags],
        "text": seen.text,
        "caption": seen.caption,
        "elapsed_s": round(seen.elapsed_s, 3),
    }
