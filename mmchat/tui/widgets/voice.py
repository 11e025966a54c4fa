"""The microphone: opened, watched, stopped and turned into words, without ever sending anything."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from textual import on, work
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from mmchat.domain import LiveText
from mmchat.errors import AudioError, MmchatError
from mmchat.speech_languages import name_of
from mmchat.tui.messages import LiveHeard, MicrophoneFailed, MicrophoneOpened, RecordingEnded, SpeechTranscribed
from mmchat.tui.text import MUTED, clean, clock, elide, elide_start, one_line
from mmchat.tui.threads import in_daemon_thread

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.chat.listening import Listening
    from mmchat.chat.mic import Ending
    from mmchat.chat.ports import Recorder
    from mmchat.chat.session import ChatSession
    from mmchat.tui.app import MmchatApp

VoiceState = Literal["off", "starting", "recording", "transcribing"]
LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
QUIETEST_DBFS = -60.0
SHOWN_PEAKS = 16
SAMPLES_PER_S = 16_000
LIVE_LINES = 2
NOTHING_YET = LiveText("", "")


def level_mark(peak_dbfs: float, levels: str = LEVELS) -> str:
    """One column of the level bar."""
    share = (peak_dbfs - QUIETEST_DBFS) / -QUIETEST_DBFS
    return levels[min(max(int(share * len(levels)), 0), len(levels) - 1)]


class VoiceBar(Static):
    """Shown while the microphone is in use. Bubbles `SpeechTranscribed` and `MicrophoneFailed` to the screen.

    Args:
        desk: gives the microphone and turns sound into words.
        session: the conversation that is spoken in.
    """

    app: MmchatApp

    def __init__(
        self,
        desk: Desk,
        session: Callable[[], ChatSession],
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        super().__init__(id=id, markup=False)
        self._desk = desk
        self._session = session
        self._recorder: Recorder | None = None
        self._cancel = Event()
        self._over = Event()
        """The recording ends: nobody need watch it any more."""
        self._peaks: deque[float] = deque(maxlen=SHOWN_PEAKS)
        self._take = 0
        self._waits_for = ""
        self._resting = ""
        self._live = NOTHING_YET
        self.state: VoiceState = "off"
        self.has_news = False
        """What it told last was not taken in yet by the screen: it must not open again before."""
        self.is_hands_free = False
        """Whether it listens again by itself: `hands_free` decides when."""
        encoding = (getattr(sys.__stdout__, "encoding", "") or "").lower()
        self._levels = LEVELS if encoding.startswith("utf") else ASCII_LEVELS

    def on_mount(self) -> None:
        """Look at the level ten times a second while recording."""
        self.display = False
        self._timer = self.set_interval(0.1, self.refresh_level, pause=True)

    def on_unmount(self) -> None:
        """Never leave a microphone open."""
        self._cancel.set()
        self._over.set()
        if self._recorder is not None:
            self._recorder.cancel()

    @property
    def words(self) -> str:
        """What the bar says."""
        return str(self.render())

    def toggle(self) -> None:
        """Start a recording, or end it."""
        if self.state == "off":
            self.start()
        elif self.state == "recording":
            self.finish()

    def start(self) -> None:
        """Open the microphone; whoever speaks falls silent before."""
        self._take += 1
        self._cancel, self._over = Event(), Event()
        self._peaks.clear()
        self._live = NOTHING_YET
        self._recorder = self._desk.mic.new_recorder()
        self._set_state("starting")
        self._desk.warm(("asr",))  # it loads while one speaks
        self._run_start(self._take, self._recorder, self._cancel)

    def finish(self, ending: Ending = "asked") -> None:
        """End the recording and have it turned into words."""
        if self.state == "recording" and self._recorder is not None:
            self._over.set()
            self._set_state("transcribing")
            self._run_transcribe(self._take, self._recorder, self._cancel, ending)

    def retranscribe(self, model: str) -> None:
        """Turn the last recording into words anew; does nothing while the microphone is in use."""
        if self.state == "off":
            self._take += 1
            self._cancel = Event()
            self._set_state("transcribing")
            self._run_again(self._take, self._cancel, model)

    def cancel(self) -> VoiceState:
        """Discard the recording, or give up the transcription; what was cancelled."""
        self._cancel.set()
        self._over.set()
        recorder, was = self._recorder, self.state
        self._take += 1
        self._set_state("off")
        if recorder is not None and was == "recording":
            self._run_discard(recorder)
        return was

    # --- in threads -----------------------------------------------------------------------------

    # In threads that leaving never waits for: a sound server may hang.

    @work(group="microphone", exit_on_error=False)
    async def _run_start(self, take: int, recorder: Recorder, cancel: Event) -> None:
        def start() -> None:
            try:
                self._desk.speaker.stop()
                recorder.start()
            except MmchatError as error:
                self.post_message(MicrophoneFailed(take, error))
                return
            if cancel.is_set():
                recorder.cancel()
            else:
                self.post_message(MicrophoneOpened(take))

        await in_daemon_thread(start, "microphone")

    @work(group="microphone", exit_on_error=False)
    async def _run_discard(self, recorder: Recorder) -> None:
        await in_daemon_thread(recorder.cancel, "microphone")

    @work(group="microphone", exit_on_error=False)
    async def _run_follow(self, take: int, recorder: Recorder, over: Event) -> None:
        def follow() -> None:
            ending = self._desk.mic.follow(recorder, over, is_hands_free=self.is_hands_free)
            self.post_message(RecordingEnded(take, ending, recorder.warning))

        await in_daemon_thread(follow, "listen")

    @work(group="microphone", exit_on_error=False)
    async def _run_live(self, take: int, recorder: Recorder, over: Event, listening: Listening) -> None:
        def listen() -> None:
            with suppress(MmchatError):  # the transcription says what is wrong with the model
                for text in self._desk.live_transcript(recorder, over, listening=listening):
                    self.post_message(LiveHeard(take, text))

        await in_daemon_thread(listen, "live")

    @work(group="microphone", exit_on_error=False)
    async def _run_transcribe(self, take: int, recorder: Recorder, cancel: Event, ending: Ending) -> None:
        session = self._session()

        def transcribe() -> None:
            told = SpeechTranscribed(take, None, ending)
            is_kept = False
            try:
                pcm = recorder.stop()
                told.duration_s, told.trouble = pcm.size / SAMPLES_PER_S, recorder.warning
                if pcm.size:
                    try:
                        self._desk.mic.keep(pcm, is_private=session.is_private)
                        is_kept = True
                    except AudioError as error:  # a full disk takes no recording, but the words are wanted all the same
                        told.problem = error
                    told.heard = self._desk.transcribe(pcm, cancel, listening=session.listening)
            except MmchatError as error:
                self.post_message(MicrophoneFailed(take, error, is_kept))
            else:
                self.post_message(told)

        await in_daemon_thread(transcribe, "transcribe")

    @work(group="microphone", exit_on_error=False)
    async def _run_again(self, take: int, cancel: Event, model: str) -> None:
        listening = self._session().listening

        def transcribe() -> None:
            try:
                pcm = self._desk.mic.last()
                heard = self._desk.transcribe(pcm, cancel, listening=listening, model=model)
            except MmchatError as error:
                self.post_message(MicrophoneFailed(take, error))
            else:
                self.post_message(SpeechTranscribed(take, heard, "again", duration_s=pcm.size / SAMPLES_PER_S))

        await in_daemon_thread(transcribe, "transcribe")

    # --- what the threads tell ------------------------------------------------------------------

    @on(MicrophoneOpened)
    def _microphone_opened(self, event: MicrophoneOpened) -> None:
        event.stop()
        if event.take == self._take and self._recorder is not None:
            self._set_state("recording")
            self._run_follow(self._take, self._recorder, self._over)
            if self._desk.mic.has_live_text:
                self._run_live(self._take, self._recorder, self._over, self._session().listening)

    @on(LiveHeard)
    def _live_heard(self, event: LiveHeard) -> None:
        event.stop()
        if event.take == self._take and self.state == "recording":
            self._live = event.text
            self.refresh_level()

    @on(RecordingEnded)
    def _recording_ended(self, event: RecordingEnded) -> None:
        if event.take != self._take or self.state != "recording":
            event.stop()
        elif event.ending == "nothing said":
            self.has_news = True
            self.cancel()
        elif event.ending != "asked":
            self.finish(event.ending)

    @on(MicrophoneFailed)
    @on(SpeechTranscribed)
    def _take_ended(self, event: MicrophoneFailed | SpeechTranscribed) -> None:
        if event.take == self._take:
            self.has_news = True
            self._set_state("off")
        else:
            event.stop()

    @on(Worker.StateChanged)
    async def _worker_changed(self, event: Worker.StateChanged) -> None:
        if await self.app.worker_changed(event):
            self.set_hands_free(False)  # it would only fail again
            self.cancel()

    # --- the bar --------------------------------------------------------------------------------

    def _set_state(self, state: VoiceState) -> None:
        self.state = state
        if state == "off":
            self._timer.pause()
            self._recorder = None
        else:
            self._timer.resume()
        self._show()

    def _show(self) -> None:
        self.display = self.state != "off" or self.is_hands_free
        self.refresh_level()

    def set_waiting(self, words: str) -> None:
        """What the transcription has to wait for (a speech model being fetched)."""
        self._waits_for = words

    def set_hands_free(self, is_on: bool, resting: str = "") -> None:
        """Say that it listens by itself, and what happens while it does not."""
        if (is_on, resting) != (self.is_hands_free, self._resting):
            self.is_hands_free, self._resting = is_on, resting
            self._show()

    def refresh_level(self) -> None:
        """Draw the bar anew."""
        width = max(self.size.width, 40)
        mode, leave = ("hands-free: ", "Esc leaves") if self.is_hands_free else ("", "Esc cancels")
        recorder = self._recorder
        if self.state == "starting":
            self.update(Content.assemble(("○ ", "$warning"), f"{mode}starting mic…  ", (leave, MUTED)))
        elif self.state == "transcribing":
            waits = f" {clean(self._waits_for)} " if self._waits_for else " "
            self.update(Content.assemble(("… ", "$primary"), f"{mode}transcribing{waits} ", (leave, MUTED)))
        elif self.state == "recording" and recorder is not None:
            self._peaks.append(recorder.peak_dbfs)
            self.update(self._recording_line(recorder, width))
        elif self.is_hands_free:
            self.update(Content.assemble(("◇ ", "$primary"), f"{mode}{self._resting}  ", (leave, MUTED)))

    def _recording_line(self, recorder: Recorder, width: int) -> Content:
        bar = "".join(level_mark(peak, self._levels) for peak in self._peaks).rjust(SHOWN_PEAKS)
        warning = clean(recorder.warning)
        before = "hands-free: speak " if self.is_hands_free else ""
        keys = self._keys()
        spoken = self._session().listening.language
        language = f" · {name_of(spoken)}" if spoken else ""
        room = width - len(keys) - len(before) - len(language) - SHOWN_PEAKS - 15
        about = elide(clean(recorder.device_name), max(room, 8)) + language
        return Content.assemble(
            ("● ", "$error"),
            f"{before}{clock(recorder.elapsed_s)} ",
            (bar, "$success"),
            (f"  {about}  ", MUTED),
            (keys, "bold"),
            (f"\n  {warning}" if warning else "", "$warning"),
            *self._live_words(width),
        )

    def _live_words(self, width: int) -> tuple[tuple[str, str], ...]:
        """The end of what is being said; what may still change is dim."""
        confirmed, tentative = one_line(self._live.confirmed), one_line(self._live.tentative)
        tentative = " " * self._live.tentative.startswith(" ") + tentative.lstrip()
        if not confirmed and not tentative:
            return ()
        room = width * LIVE_LINES - 4
        tentative = elide_start(tentative, room)
        confirmed = elide_start(confirmed, max(room - cell_len(tentative), 0))
        return (("\n  ", ""), (confirmed, ""), (tentative, f"{MUTED} italic"))

    def _keys(self) -> str:
        if self.is_hands_free:
            return "Esc leaves"
        return "Esc cancel  Enter or a pause ends" if self._desk.mic.auto_stop_s else "Esc cancel  Enter done"
