"""The microphone in the plain mode: speak a message, hands-free, another model, another microphone."""

from __future__ import annotations

import io
import sys
import threading
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.listening import language_words
from mmchat.chat.mic import auto_stop_seconds
from mmchat.cli import speech
from mmchat.cli.output import print_text
from mmchat.errors import AudioError, UsageError
from mmchat.sanitize import plain_line, plain_text

if TYPE_CHECKING:
    from mmchat.chat.mic import Ending
    from mmchat.chat.ports import Recorder
    from mmchat.cli.plain import PlainChat

LOOK_S = 0.1
_ENDED: dict[Ending, str] = {
    "paused": "You paused: the recording is over.",
    "nothing said": "Nothing was said, so the microphone was closed.",
    "limit": "The longest recording is reached; all of it is kept.",
    "failed": "The microphone went away. What was heard until then follows.",
}


def record(chat: PlainChat, _argument: str) -> None:
    """`/voice`: speak, mend the words, send them."""
    text = _listen(chat, is_hands_free=False)
    if text:
        _send_mended(chat, text)


def go_hands_free(chat: PlainChat, _argument: str) -> None:
    """`/handsfree`: listen, send, answer, listen again, never while a reply is spoken."""
    _refuse_pipes(chat)
    chat.say("Hands-free: speak, and pause when you have finished. Ctrl+C leaves.")
    try:
        while (text := _listen(chat, is_hands_free=True)) is not None:
            if text:
                chat.say(f"You: {text}")
                chat.reply(text)
                speech.speak_to_the_end(chat.desk)
    except KeyboardInterrupt:
        print_text("")
    chat.say("Hands-free is over.")


def retranscribe(chat: PlainChat, model: str) -> None:
    """`/retranscribe`: the last recording once more, with the chosen model or another one."""
    pcm = chat.desk.mic.last()
    chat.say(f"Transcribing {pcm.size / 16_000:.1f} s" + (f" with {plain_line(model)}." if model else "."))
    text = plain_text(chat.desk.transcribe(pcm, listening=chat.conversation.listening, model=model).text.strip())
    if not text:
        chat.say("No speech heard.")
    elif chat.is_interactive:
        _send_mended(chat, text)
    else:
        print_text(text)


def choose(chat: PlainChat, name: str) -> None:
    """`/mic`: list the microphones plugged in now, or use one."""
    mic = chat.desk.mic
    if name:
        label = mic.choose(name)
        chat.say(f"Recordings come from {plain_line(label) or 'the default microphone'} from now on.")
        return
    devices = mic.devices()
    if not devices:
        raise UsageError("No microphone was found on this machine.", hint="Plug one in, or attach a sound file.")
    print_text(f"The system's default{'' if mic.device else ' (in use)'}: /mic default")
    for device in devices:
        state = "in use, " if device.is_chosen else ""
        print_text(f"{plain_line(device.label)} ({state}{device.about})")


def choose_language(chat: PlainChat, words: str) -> None:
    """`/language`: which language is heard in this conversation."""
    listening = chat.conversation.listening
    if words:
        listening.choose(words)
    chat.say(language_words(listening))


def set_auto_stop(chat: PlainChat, word: str) -> None:
    """`/autostop`: end recordings at a pause, or only when they are ended."""
    seconds = auto_stop_seconds(word, chat.desk.mic.auto_stop_s)
    chat.desk.mic.set_auto_stop(seconds)
    pause = f"A recording ends by itself {seconds:g} s after you stop speaking."
    chat.say(pause if seconds else "A recording ends when you press Enter.")


def _refuse_pipes(chat: PlainChat) -> None:
    if not chat.is_interactive:
        raise UsageError("Recording needs a person at the keyboard.", hint="/audio PATH sends a sound file.")


def _listen(chat: PlainChat, *, is_hands_free: bool) -> str | None:
    """Record and transcribe; empty where nothing was understood, None where nobody spoke or the device failed."""
    _refuse_pipes(chat)
    desk = chat.desk
    desk.speaker.stop()
    desk.warm(("asr",))
    recorder = desk.mic.new_recorder()
    recorder.start()
    over = Event()
    try:
        threading.Thread(target=_attend, args=(chat, recorder, over, is_hands_free), daemon=True).start()
        ending = desk.mic.follow(recorder, over, is_hands_free=is_hands_free)
        over.set()
        if ending == "nothing said":
            recorder.cancel()
            chat.say(_ENDED[ending])
            return None
        if ending in _ENDED and not is_hands_free:
            chat.say(_ENDED[ending])
        pcm = recorder.stop()
    except KeyboardInterrupt:
        over.set()
        recorder.cancel()
        if is_hands_free:
            raise
        chat.say("\nRecording discarded.")
        return None
    if ending == "failed" and is_hands_free:
        chat.say(_ENDED[ending])
    try:
        desk.mic.keep(pcm, is_private=chat.conversation.is_private)
    except AudioError as error:  # a full disk: the words are wanted all the same
        chat.say(f"{error.message} {error.hint}".rstrip())
    heard = desk.transcribe(pcm, listening=chat.conversation.listening) if pcm.size else None
    text = plain_text(heard.text.strip()) if heard else ""
    if not text:
        chat.say(f"No speech heard: {recorder.warning}." if recorder.warning else "No speech heard.")
    return None if ending == "failed" and is_hands_free and not text else text


def _attend(chat: PlainChat, recorder: Recorder, over: Event, is_hands_free: bool) -> None:
    """In a thread: say when to speak and what is wrong, and end the recording at the Enter key."""
    said = ""
    has_begun = False
    while not over.wait(LOOK_S):
        if not has_begun and recorder.state == "recording":
            has_begun = True
            how = "" if is_hands_free else " Enter ends it, Ctrl+C discards it."
            chat.say(f"Listening through {plain_line(recorder.device_name)}.{how}")
        warning = recorder.warning
        if warning and warning != said and recorder.state == "recording":
            chat.say(f"Note: {warning}.")
        said = warning or said
        if not is_hands_free and _enter_was_pressed():
            over.set()


def _enter_was_pressed() -> bool:
    """Whether a line waits on the terminal; it is taken."""
    if sys.platform == "win32":
        import msvcrt

        return bool(msvcrt.kbhit()) and msvcrt.getwch() in "\r\n"
    import select

    try:
        can_read = bool(select.select([sys.stdin], [], [], 0)[0])
    except (io.UnsupportedOperation, ValueError):  # no terminal: the recording ends at a pause
        return False
    return can_read and bool(sys.stdin.readline())


def _send_mended(chat: PlainChat, text: str) -> None:
    """Send the words as the person wants them: in the prompt to be mended where the terminal edits lines."""
    try:
        import readline
    except ImportError:  # Windows
        readline = None  # type: ignore[assignment]
    if readline is None or not sys.stdin.isatty():
        chat.say(f"Heard: {text}")
        if chat.confirm("Send it? [Y/n] ", otherwise=True):
            chat.reply(text)
        return
    line = text.replace("\n", " ")
    readline.set_startup_hook(lambda: readline.insert_text(line))
    try:
        mended = chat.read_line("You said (mend it, Enter sends): ")
    finally:
        readline.set_startup_hook(None)
    if mended and mended.strip():
        chat.reply(mended.strip())
