"""`mmchat see`: what is in pictures, one or a folder of thousands."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmchat.cli.exits import EXIT_INTERRUPTED
from mmchat.cli.output import StatusLine, narrate, print_error, print_json, print_table, print_text
from mmchat.cli.stoppable import leave, run_stoppable
from mmchat.errors import MediaError, UsageError
from mmchat.terminal_language import terminal_language

if TYPE_CHECKING:
    from mmchat.chat.gallery import Gallery, Looked
    from mmchat.domain import Seen
    from mmchat.wiring.hub import EngineHub

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat see dog.jpg\n"
    "  mmchat see Holiday/ --json > holiday.json\n"
    '  mmchat see cat.png --labels "a cat,a dog,a lion"\n'
    "  mmchat see photo.webp --labels-file labels.txt --top 3\n"
    "\n\nScores say how likely each word is true; with labels, they are shares of 1. What was seen is kept in the"
    " cache folder, so that the same picture is not looked at twice."
)
STOP_GRACE_S = 10.0
"""How long the pictures at hand may take when interrupted."""
_Ending = Literal["done", "interrupted", "still at work"]


def see(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Pictures, or folders of them: png, jpg, webp, gif, tiff …")
    ],
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
    no_text: Annotated[bool, typer.Option("--no-text", help="Do not read what is written in them.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Look again at what was seen before, and keep nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object for each picture.")] = False,
) -> None:
    """Say what is in pictures."""
    from mmchat import paths
    from mmchat.chat.gallery import Look, pictures_in
    from mmchat.native_noise import native_noise_to
    from mmchat.wiring import WiringOptions, open_gallery, open_hub

    wanted = _labels(labels, labels_file)
    look = Look(top or 5, tuple(wanted) if wanted is not None else None)
    files = pictures_in(images)
    options = WiringOptions(vision=model, should_read_text=not no_text)
    with (
        native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True),
        closing(open_hub(options, kinds=("vision",))) as hub,
        closing(open_gallery(hub, look, should_remember=not again)) as gallery,
    ):
        job = _Job(files, top, as_json=as_json)
        ending = _run(job, gallery, hub)
        job.print_rest()
        if ending != "done":
            narrate(f"Interrupted; what was seen in {len(job.looked):,} of {len(files):,} pictures is printed.")
        if ending == "still at work":
            leave(EXIT_INTERRUPTED)
    if ending == "interrupted":
        raise typer.Exit(EXIT_INTERRUPTED)
    if job.failures:
        raise typer.Exit(MediaError.exit_code)


@dataclass(slots=True)
class _Job:
    """Pictures on their way to words."""

    files: Sequence[Path]
    top: int | None
    as_json: bool
    looked: list[Looked] = field(default_factory=list)
    """In the order of the files; filled by the worker's thread, read by the one that prints."""
    failures: int = 0
    _printed: int = 0

    def print_new(self, status: StatusLine) -> None:
        """Say what has come since; JSON waits for the end."""
        done = len(self.looked)
        if done > self._printed and not self.as_json:
            status.clear()
        for number in range(self._printed, done):
            self._print(number)
        self._printed = done

    def print_rest(self) -> None:
        """Say what is left."""
        self.print_new(StatusLine())
        if self.as_json:
            print_json([_row(each.path, self._cut(each.seen), each.is_known) for each in self.looked if each.seen])

    def _print(self, number: int) -> None:
        each = self.looked[number]
        if each.error is not None:
            self.failures += 1
            print_error(each.error)
        elif each.seen is not None and not self.as_json:
            if len(self.files) > 1:
                print_text(f"{each.path}:" if number == 0 else f"\n{each.path}:")
            _print_seen(self._cut(each.seen))

    def _cut(self, seen: Seen) -> Seen:
        from dataclasses import replace

        return replace(seen, tags=seen.tags[: self.top])


def _run(job: _Job, gallery: Gallery, hub: EngineHub) -> _Ending:
    """Look at all; on Ctrl+C, wait a little for the pictures at hand.

    Raises:
        MmchatError: the model cannot be had, or failed.
    """
    shown_from_s = time.monotonic() + 0.5
    status = StatusLine()

    def work(cancel: threading.Event) -> _Ending:
        for looked in gallery.look_at(job.files, cancel):
            job.looked.append(looked)
        return "interrupted" if cancel.is_set() else "done"

    def show() -> None:
        job.print_new(status)
        if time.monotonic() > shown_from_s:
            status.show(_progress(job, hub))

    try:
        return run_stoppable(work, on_stop=lambda: status.show("stopping …"), on_wait=show, grace_s=STOP_GRACE_S)
    except KeyboardInterrupt:
        return "still at work"
    finally:
        status.clear()


def _progress(job: _Job, hub: EngineHub) -> str:
    for state in hub.states():
        if state.stage in ("pulling", "loading"):
            return f"vision model: {state.detail or state.stage}"
    done = len(job.looked)
    if done == len(job.files):
        return ""
    return f"looking at {job.files[done].name} ({done + 1:,} of {len(job.files):,})"


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


def _print_seen(seen: Seen) -> None:
    from mmchat.picture_sentences import caption_of  # not at the top: --help imports every command

    print_table((">score", "label"), [(f"{tag.score:.2f}", tag.label) for tag in seen.tags])
    if seen.part:
        print_text(f"This is {seen.part}.")
    if seen.caption:
        print_text(caption_of(seen, is_chinese=terminal_language() == "zh"))
    elif not seen.tags and not seen.text:
        print_text("这张照片看不清楚是什么。" if terminal_language() == "zh" else "Not sure what this is.")
    if seen.text:
        print_text("It reads:\n" + "\n".join(f"  {line}" for line in seen.text.splitlines()))


def _row(path: Path, seen: Seen, is_known: bool) -> dict[str, object]:
    return {
        "file": str(path),
        "tags": [{"label": tag.label, "score": round(tag.score, 4)} for tag in seen.tags],
        "text": seen.text,
        "caption": seen.caption,
        "elapsed_s": round(seen.elapsed_s, 3),
        "part": seen.part,
        "known": is_known,
    }
