"""The input box of a conversation, its keys, and what is spoken into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.screen import Screen
from textual.widgets import Markdown

from mmchat.domain import ModelKind
from mmchat.speech_languages import NAMES as LANGUAGES
from mmchat.speech_languages import name_of
from mmchat.tui.doubts import doubtful_spans
from mmchat.tui.hands_free import HandsFree
from mmchat.tui.messages import MicrophoneFailed, RecordingEnded, SpeakerChanged, SpeechTranscribed
from mmchat.tui.suggest import suggestions
from mmchat.tui.text import clean, plural, sentence
from mmchat.tui.widgets.completions import Completions
from mmchat.tui.widgets.composer import Composer
from mmchat.tui.widgets.turns import ErrorView

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.tui.ahead_keeper import AheadKeeper
    from mmchat.tui.app import MmchatApp
    from mmchat.tui.draft_keeper import DraftKeeper
    from mmchat.tui.reply_flow import ReplyFlow
    from mmchat.tui.widgets.status import ActivityLine
    from mmchat.tui.widgets.transcript import Transcript
    from mmchat.tui.widgets.voice import VoiceBar

QUIT_ARMED_S = 3.0
_SENSES: dict[str, ModelKind] = {"image": "vision", "audio": "asr"}
NO_SOUND = "No sound came from the microphone. Check its permission and its volume."
MIC_GONE = "Check its cable and the sound system; /mic lists what is plugged in."
DISCARDED = {
    "starting": "The microphone is closed.",
    "recording": "Recording discarded.",
    "transcribing": "Given up. /retranscribe turns the recording into words.",
    "off": "",
}
"""What is said of a recording that was cancelled."""
EDITING = " editing an earlier message · Enter sends a branch · Esc gives up "


class ChatBox(Screen[None]):
    """The lower half of the main screen; the upper half is `ChatScreen`, which builds both."""

    app: MmchatApp
    desk: Desk
    composer: Composer
    completions: Completions
    activity: ActivityLine
    transcript: Transcript
    voice: VoiceBar
    hands_free: HandsFree
    flow: ReplyFlow
    keeper: DraftKeeper
    ahead: AheadKeeper

    def __init__(self) -> None:
        super().__init__()
        self._is_quit_armed = False
        self._warmed: set[ModelKind] = set()
        self._told_language = ""
        """The language that was said to have been heard last."""

    def watch_models(self) -> None:
        """Look again how models load, until all is settled."""
        raise NotImplementedError

    # --- the input box --------------------------------------------------------------------------

    @on(Composer.Changed, "#composer")
    def _edited(self) -> None:
        if self.composer.text:  # what empties the box has its own words for it
            self.activity.drop_hint(self.composer.text)
            self._is_quit_armed = False
        self.keeper.touched()
        self.ahead.touched()
        self.query_one("#box").border_title = EDITING if self.composer.draft.instead_of else None
        senses = {_SENSES[chip.kind] for chip in self.composer.draft.chips if chip.kind in _SENSES}
        if senses - self._warmed:
            self._warmed |= senses
            self.desk.warm(tuple(senses))  # it loads while the question is typed
            self.watch_models()
        row, column = self.composer.cursor_location
        text = (
            self.composer.document.get_line(0)[:column] if row == 0 and self.composer.document.line_count == 1 else ""
        )
        found = suggestions(
            text,
            Path.cwd(),
            {
                "model": lambda: [model.name for model in self.desk.language_models()],
                "retranscribe": lambda: [model.name for model in self.desk.speech_models()],
                "language": lambda: ["auto", *LANGUAGES.values()],
                "theme": lambda: sorted(self.app.available_themes),
            },
            self.app.keys,
        )
        self.completions.offer(text, found)

    @on(Completions.Chosen)
    def _completion_chosen(self, event: Completions.Chosen) -> None:
        completion, composer = event.completion, self.composer
        typed = composer.text[completion.start :]
        if event.by_enter and not completion.insert.startswith(typed):
            # What was typed may mean something itself (an alias, "/theme light"): Enter takes it as it stands.
            self.completions.close()
            composer.post_message(Composer.Submitted(composer.draft))
            return
        composer.complete(completion.start, completion.insert)
        if event.by_enter and completion.should_run:
            self.completions.close()
            self.composer.post_message(Composer.Submitted(self.composer.draft))

    @on(Composer.PreviousWanted)
    def _previous_wanted(self) -> None:
        if self.composer.draft.is_empty and self.flow.queue:
            draft = self.flow.take_back()
            if draft is not None:
                self.composer.draft = draft
        else:
            self.composer.show_previous()

    @on(Composer.EndWanted)
    def action_to_end(self) -> None:
        """Return to the newest line."""
        self.transcript.scroll_to_end()

    @on(Composer.PictureWanted)
    def _picture_wanted(self) -> None:
        self.app.run_command("paste", "or text")

    @on(Composer.PageWanted)
    def _page_wanted(self, event: Composer.PageWanted) -> None:
        self.transcript.page(event.direction)

    # --- speech ---------------------------------------------------------------------------------

    @on(SpeechTranscribed)
    async def _transcribed(self, event: SpeechTranscribed) -> None:
        await self._take_words(event)
        self.voice.has_news = False

    async def _take_words(self, event: SpeechTranscribed) -> None:
        text = clean(event.heard.text.strip()) if event.heard else ""
        if event.problem is not None:
            await self._show_error(event.problem.message, "It is turned into words all the same.", event.problem.hint)
        if event.ending == "failed":
            what = "What was heard until then is in the box." if text else "Nothing was understood until then."
            await self._show_error(f"The microphone went away after {event.duration_s:.1f} s.", what, MIC_GONE)
            self.hands_free.leave("")
        if self.hands_free.is_on:
            await self.hands_free.take(event)
            return
        if event.heard is None:
            self.activity.set_hint(sentence(event.trouble) or NO_SOUND)
        elif not text:
            self.activity.set_hint(sentence(event.trouble) or "No speech heard.")
        else:
            self._put_in(event, text)
        self.composer.focus()

    def _put_in(self, event: SpeechTranscribed, text: str) -> None:
        """Put spoken words into the box, and say what there is to know of them."""
        assert event.heard is not None
        self.composer.insert_spoken(text, doubtful_spans(event.heard, text), is_again=event.ending == "again")
        self.activity.set_hint(self._told_of(event), about=self.composer.text)

    def _told_of(self, event: SpeechTranscribed) -> str:
        """What there is to know of spoken words, in one line."""
        if event.trouble and event.ending != "failed":
            return sentence(event.trouble)
        told = []
        if self.composer.doubt_count:
            told.append(f"{plural(self.composer.doubt_count, 'underlined word')} may be wrong.")
        language = event.heard.language if event.heard else ""
        if language and language != self._told_language:
            self._told_language = language
            told.append(f"Heard as {name_of(language)}; /language changes it.")
        return " ".join(told)

    @on(RecordingEnded)
    def _recording_ended(self, event: RecordingEnded) -> None:
        if event.ending == "nothing said":
            trouble = sentence(event.trouble)
            closed = f"{trouble} Mic closed." if trouble else "Nothing was said, so the microphone was closed."
            if self.hands_free.is_on:
                self.hands_free.leave(closed)
            else:
                self.activity.set_hint(closed)
            self.voice.has_news = False

    @on(MicrophoneFailed)
    async def _microphone_failed(self, event: MicrophoneFailed) -> None:
        kept = "The recording is kept; /retranscribe tries again." if event.is_kept else "Your draft is untouched."
        await self._show_error(event.error.message, kept, event.error.hint)
        if self.hands_free.is_on:
            self.hands_free.leave("")
        self.voice.has_news = False

    async def _show_error(self, what: str, kept: str, next_step: str) -> None:
        await self.transcript.add(ErrorView(what, kept, next_step))
        self.transcript.scroll_to_end()

    @on(SpeakerChanged)
    async def show_speaking(self) -> None:
        """Whether a reply is being spoken, and why not any more."""
        self.activity.set_speaking(self.desk.speaker.is_speaking)
        problem = self.desk.speaker.take_problem()
        if problem is not None:
            kept = "Replies are not spoken any more; /speak on tries again."
            await self.transcript.add(ErrorView(problem.message, kept, problem.hint))
            self.transcript.scroll_to_end()

    # --- keys -----------------------------------------------------------------------------------

    async def action_step_back(self) -> None:
        """Esc: give up the recording, else stop the reply."""
        if self.hands_free.is_on:
            is_answering = self.flow.is_busy
            self.hands_free.leave("Hands-free is over." + (" Esc again stops the reply." if is_answering else ""))
        elif self.voice.state != "off":
            self.activity.set_hint(DISCARDED[self.voice.cancel()])
        elif not await self.stop_reply() and not self.app.has_hushed:
            self.activity.set_hint("")
            if self.composer.draft.instead_of:
                self.composer.clear_draft()
                self.activity.set_hint("The message stays as it was.")

    async def stop_reply(self) -> bool:
        """Stop the running reply, also one that only waits for its model; False where none runs."""
        if not self.flow.stop():
            return False
        if any(state.kind == "lm" and state.stage in ("pulling", "loading") for state in self.desk.load_states()):
            await self.flow.stop_waiting()
        return True

    async def action_interrupt(self) -> None:
        """Ctrl+C: copy a selection, else stop, else clear, else quit when pressed twice."""
        selected = self.composer.selected_text or self.get_selected_text() or ""
        if selected:
            self.app.copy(selected, "selection")
            self.clear_selection()
        elif self.hands_free.is_on:
            self.hands_free.leave("Hands-free is over.")
        elif self.voice.state != "off":
            self.activity.set_hint(DISCARDED[self.voice.cancel()])
        elif self.flow.is_busy:
            await self.stop_reply()
        elif self.app.has_hushed:
            self.activity.set_hint("")
        elif not self.composer.draft.is_empty:
            self.composer.remember(self.composer.draft)
            self.composer.clear_draft()
        elif self._is_quit_armed:
            self.app.exit()
        else:
            self._is_quit_armed = True
            self.activity.set_hint("Press Ctrl+C again to quit.")
            self.set_timer(QUIT_ARMED_S, self._disarm_quit)

    def _disarm_quit(self) -> None:
        if self._is_quit_armed:
            self._is_quit_armed = False
            self.activity.set_hint("")

    def action_quit_when_empty(self) -> None:
        """Ctrl+D: quit on an empty box, else delete to the right."""
        if not self.composer.text:
            self.app.exit()
        else:
            self.composer.action_delete_right()

    @on(Markdown.LinkClicked)
    def _link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Never open what a model wrote; show where it leads."""
        event.stop()
        self.activity.set_hint(f"Link: {clean(event.href)}")
