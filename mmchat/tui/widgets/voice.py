"""The microphone: opened, watched, stopped and turned into words, without ever sending anything."""

from __future__ import annotations

import sys
from collections import deque
from threading import Event
from typing import TYPE_CHECKING, Literal

from textual import on, work
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from mmchat.errors import MmchatError
from mmchat.tui.messages import MicrophoneFailed, MicrophoneOpened, SpeechTranscribed
from mmchat.tui.text import MUTED, clean, clock, elide
from mmchat.tui.threads import in_daemon_thread

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.ports import Recorder
    from mmchat.tui.app import MmchatApp

VoiceState = Literal["off", "starting", "recording", "transcribing"]
LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
QUIETEST_DBFS = -60.0
SHOWN_PEAKS = 16


def level_mark(peak_dbfs: float, levels: str = LEVELS) -> str:
    """One column of the level bar."""
    share = (peak_dbfs - QUIETEST_DBFS) / -QUIETEST_DBFS
    return levels[min(max(int(share * len(levels)), 0), len(levels) - 1)]


class VoiceBar(Static):
    """Shown while the microphone is in use. Bubbles `SpeechTranscribed` and `MicrophoneFailed` to the screen."""

    app: MmchatApp

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, markup=False)
        self._desk = desk
        self._recorder: Recorder | None = None
        self._cancel = Event()
        self._peaks: deque[float] = deque(maxlen=SHOWN_PEAKS)
        self._take = 0
        self._waits_for = ""
        self.state: VoiceState = "off"
        encoding = (getattr(sys.__stdout__, "encoding", "") or "").lower()
        self._levels = LEVELS if encoding.startswith("utf") else ASCII_LEVELS

    def on_mount(self) -> None:
        """Look at the level ten times a second while recording."""
        self.display = False
        self._timer = self.set_interval(0.1, self.refresh_level, pause=True)

    def on_unmount(self) -> None:
        """Never leave a microphone open."""
        self._cancel.set()
        if self._recorder is not None:
            self._recorder.cancel()

    @property
    def words(self) -> str:
        """What the bar says."""
        return str(self.render())

    def toggle(self) -> None:
        """Start a recording, or end it."""
        if self.state == "off":
            self._start()
        elif self.state == "recording":
            self.finish()

    def finish(self) -> None:
        """End the recording and have it turned into words."""
        if self.state == "recording" and self._recorder is not None:
            self._set_state("transcribing")
            self._run_transcribe(self._take, self._recorder, self._cancel)

    def cancel(self) -> None:
        """Discard the recording, or give up the transcription."""
        self._cancel.set()
        recorder, was = self._recorder, self.state
        self._take += 1
        self._set_state("off")
        if recorder is not None and was == "recording":
            self._run_discard(recorder)

    def _start(self) -> None:
        self._take += 1
        self._cancel = Event()
        self._peaks.clear()
        self._recorder = self._desk.new_recorder()
        self._set_state("starting")
        self._desk.warm(("asr",))  # it loads while one speaks
        self._run_start(self._take, self._recorder, self._cancel)

    # --- in threads -----------------------------------------------------------------------------

    @work(thread=True, group="microphone", exit_on_error=False)
    def _run_start(self, take: int, recorder: Recorder, cancel: Event) -> None:
        try:
            self._desk.speaker.stop()  # the microphone must not hear what is spoken
            recorder.start()
        except MmchatError as error:
            self.post_message(MicrophoneFailed(take, error))
            return
        if cancel.is_set():
            recorder.cancel()
        else:
            self.post_message(MicrophoneOpened(take))

    @work(thread=True, group="microphone", exit_on_error=False)
    def _run_discard(self, recorder: Recorder) -> None:
        recorder.cancel()

    @work(group="microphone", exit_on_error=False)
    async def _run_transcribe(self, take: int, recorder: Recorder, cancel: Event) -> None:
        def transcribe() -> None:
            try:
                pcm = recorder.stop()
                heard = self._desk.transcribe(pcm, cancel) if pcm.size else None
            except MmchatError as error:
                self.post_message(MicrophoneFailed(take, error))
            else:
                self.post_message(SpeechTranscribed(take, heard))

        await in_daemon_thread(transcribe, "transcribe")

    # --- what the threads tell ------------------------------------------------------------------

    @on(MicrophoneOpened)
    def _microphone_opened(self, event: MicrophoneOpened) -> None:
        event.stop()
        if event.take == self._take:
            self._set_state("recording")

    @on(MicrophoneFailed)
    def _microphone_failed(self, event: MicrophoneFailed) -> None:
        if event.take == self._take:
            self._set_state("off")
        else:
            event.stop()

    @on(SpeechTranscribed)
    def _speech_transcribed(self, event: SpeechTranscribed) -> None:
        if event.take == self._take:
            self._set_state("off")
        else:
            event.stop()

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        if await self.app.worker_changed(event):
            self.cancel()

    # --- the bar --------------------------------------------------------------------------------

    def _set_state(self, state: VoiceState) -> None:
        self.state = state
        self.display = state != "off"
        if state == "off":
            self._timer.pause()
            self._recorder = None
        else:
            self._timer.resume()
        self.refresh_level()

    def set_waiting(self, words: str) -> None:
        """What the transcription has to wait for (a speech model being fetched)."""
        self._waits_for = words

    def refresh_level(self) -> None:
        """Draw the bar anew."""
        width = max(self.size.width, 40)
        recorder = self._recorder
        if self.state == "starting":
            self.update(Content.assemble(("○ ", "$warning"), "starting mic…  ", ("Esc cancels", MUTED)))
        elif self.state == "transcribing":
            waits = f" {clean(self._waits_for)} " if self._waits_for else " "
            self.update(Content.assemble(("… ", "$primary"), f"transcribing{waits} ", ("Esc cancels", MUTED)))
        elif self.state == "recording" and recorder is not None:
            self._peaks.append(recorder.peak_dbfs)
            bar = "".join(level_mark(peak, self._levels) for peak in self._peaks).rjust(SHOWN_PEAKS)
            warning = "the microphone stopped" if recorder.state == "failed" else clean(recorder.warning)
            keys = "Esc cancel  Enter done"
            about = elide(clean(recorder.device_name), width - len(keys) - SHOWN_PEAKS - 14)
            self.update(
                Content.assemble(
                    ("● ", "$error"),
                    f"{clock(recorder.elapsed_s)} ",
                    (bar, "$success"),
                    (f"  {about}  ", MUTED),
                    (keys, "bold"),
                    (f"\n  {warning}" if warning else "", "$warning"),
                )
            )
