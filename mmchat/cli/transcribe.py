"""`mmchat transcribe`: sound files to text."""

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
from mmchat.cli.output import StatusLine, narrate, print_error, print_json, print_text
from mmchat.cli.stoppable import leave, run_stoppable
from mmchat.errors import MediaError, UsageError

if TYPE_CHECKING:
    from mmchat.domain import Heard, ListenOptions, LoadState, Segment
    from mmchat.engines.base import SpeechRecognizer
    from mmchat.wiring.hub import EngineHub

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat transcribe talk.m4a\n"
    "  mmchat transcribe *.flac --json\n"
    "  mmchat transcribe talk.mp4 --srt > talk.srt\n"
    "  mmchat transcribe 采访.mp3 --language zh\n"
    "\n\nText goes to stdout, progress to stderr. A file that cannot be read is named, the others go on."
)
STOP_GRACE_S = 5.0
"""How long a window of sound that was interrupted may take to end."""
_Ending = Literal["done", "interrupted", "still at work"]


def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Sound files, or videos with sound.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Speech model; see 'mmchat models list'.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="L", help="Such as en or Chinese; detected when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object for each file.")] = False,
    as_srt: Annotated[bool, typer.Option("--srt", help="Print subtitles (SubRip).")] = False,
    as_vtt: Annotated[bool, typer.Option("--vtt", help="Print subtitles (WebVTT).")] = False,
    as_text: Annotated[bool, typer.Option("--txt", help="Print the text alone, which is the default.")] = False,
    with_words: Annotated[
        bool, typer.Option("--words", help="With --json: the words with their times and how sure each is.")
    ] = False,
) -> None:
    """Turn speech into text."""
    from mmchat import paths
    from mmchat.domain import ListenOptions  # not at the top: --help imports every command
    from mmchat.native_noise import native_noise_to
    from mmchat.speech_languages import code_of
    from mmchat.wiring import WiringOptions, open_hub

    if as_json + as_srt + as_vtt + as_text > 1:
        raise UsageError("--json, --srt, --vtt and --txt exclude each other.", hint="Choose one.")
    if with_words and not as_json:
        raise UsageError("--words belongs to --json.", hint="Give both.")
    if (as_srt or as_vtt) and len(files) > 1:
        raise UsageError(
            f"Subtitles are for one file at a time, not for {len(files)}.", hint="Repeat the command for each."
        )
    code = None if language is None or language.casefold() == "auto" else code_of(language)
    # Subtitles are cut at words' times.
    options = ListenOptions(with_words=with_words or as_srt or as_vtt)
    with (
        native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True),
        closing(open_hub(WiringOptions(asr=model), kinds=("asr",))) as hub,
    ):
        hub.start(("asr",))
        jobs = [Job(path, code, options) for path in files]
        ending = _run(jobs, hub)
        _print(jobs, as_json=as_json, subtitles="srt" if as_srt else "vtt" if as_vtt else "")
        if ending != "done":
            narrate("Interrupted; what was done is printed.")
        if ending == "still at work":
            leave(EXIT_INTERRUPTED)
    if ending == "interrupted":
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(job.error is not None for job in jobs):
        raise typer.Exit(MediaError.exit_code)


@dataclass(slots=True)
class Job:
    """One file on its way to text."""

    path: Path
    language: str | None
    options: ListenOptions
    segments: list[Segment] = field(default_factory=list)
    heard: Heard | None = None
    error: MediaError | None = None
    duration_s: float = 0.0
    started_s: float = 0.0
    elapsed_s: float = 0.0
    """Reading and recognising; loading the model is not counted."""

    def work(self, recognizer: SpeechRecognizer, cancel: threading.Event) -> None:
        """Decode and recognise, piece by piece; a file that cannot be read is noted, not raised."""
        from mmchat.domain import Segment
        from mmchat.engines.audio_io import stream_audio

        started_s = self.started_s = time.perf_counter()
        try:
            pieces = stream_audio(self.path, on_length=self._expect)
            with closing(pieces):
                for event in recognizer.transcribe(pieces, language=self.language, cancel=cancel, options=self.options):
                    if isinstance(event, Segment):
                        self.segments.append(event)
                    else:
                        self.heard = event
                        self.duration_s = event.duration_s
        except MediaError as error:
            self.error = error
        self.elapsed_s = time.perf_counter() - started_s

    def _expect(self, duration_s: float) -> None:
        self.duration_s = duration_s

    def progress(self) -> str:
        """How far it is, in words."""
        if not self.segments:
            return f"{self.path.name}: listening"
        done_s = self.segments[-1].end_s
        if not self.duration_s:
            return f"{self.path.name}: {_clock(done_s)} heard"
        share = min(1.0, done_s / self.duration_s)
        left_s = (time.perf_counter() - self.started_s) * (1 - share) / share if share else 0.0
        return f"{self.path.name}: {share:.0%} of {_clock(self.duration_s)}, {_clock(left_s)} left"


def _run(jobs: Sequence[Job], hub: EngineHub) -> _Ending:
    """Do the jobs; on Ctrl+C, wait a little for the window of sound at hand.

    Raises:
        MmchatError: the model cannot be had, or does not know the language.
    """
    current = jobs[0]
    shown_from_s = time.monotonic() + 1.0
    status = StatusLine()

    def work(cancel: threading.Event) -> _Ending:
        nonlocal current
        recognizer = hub.recognizer()
        for current in jobs:
            if cancel.is_set():
                break
            current.work(recognizer, cancel)
        return "interrupted" if cancel.is_set() else "done"

    def show() -> None:
        if time.monotonic() > shown_from_s:
            status.show(_waiting_for(hub.states()) or current.progress())

    try:
        return run_stoppable(work, on_stop=lambda: status.show("stopping …"), on_wait=show, grace_s=STOP_GRACE_S)
    except KeyboardInterrupt:
        return "still at work"
    finally:
        status.clear()


def _waiting_for(states: Sequence[LoadState]) -> str:
    return next((f"speech model: {state.detail or state.stage}" for state in states if state.stage != "ready"), "")


def _print(jobs: Sequence[Job], *, as_json: bool, subtitles: str) -> None:
    for job in jobs:
        if job.error is not None:
            print_error(job.error)
            if job.segments:
                narrate(f"What was heard of {job.path} until there is printed.")
    done = [job for job in jobs if job.heard is not None or job.segments]
    if as_json:
        print_json([_row(job) for job in done])
        return
    for job in done:
        if subtitles:
            from mmchat.cli.subtitles import to_srt, to_vtt

            print_text((to_srt if subtitles == "srt" else to_vtt)(job.segments), end="")
            continue
        if len(jobs) > 1:
            print_text(f"{job.path}:")
        print_text(_text(job))
        if not job.segments:
            narrate(f"No speech was heard in {job.path}.")


def _text(job: Job) -> str:
    return job.heard.text if job.heard is not None else " ".join(segment.text for segment in job.segments)


def _row(job: Job) -> dict[str, object]:
    return {
        "file": str(job.path),
        "text": _text(job),
        "language": job.heard.language if job.heard is not None else "",
        "duration_s": round(job.duration_s, 3),
        "elapsed_s": round(job.elapsed_s, 3),
        "segments": [_segment_row(each) for each in job.segments],
        "model": job.heard.model if job.heard is not None else "",
    }


def _segment_row(segment: Segment) -> dict[str, object]:
    row: dict[str, object] = {"start_s": segment.start_s, "end_s": segment.end_s, "text": segment.text}
    if segment.words:
        row["words"] = [
            {
                "text": word.text.strip(),
                "start_s": word.start_s,
                "end_s": word.end_s,
                "probability": round(word.probability, 3),
            }
            for word in segment.words
        ]
    return row


def _clock(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest_s:02}" if hours else f"{minutes}:{rest_s:02}"
