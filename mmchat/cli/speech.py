"""Speaking replies aloud from the command line: `--speak`, and `/speak` of the plain mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.cli.findings import Finding
from mmchat.cli.output import warn
from mmchat.errors import EngineUnavailable, UsageError
from mmchat.sanitize import plain_line

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.cli.plain import PlainChat

POLL_S = 0.2


def start_speaking(desk: Desk, *, is_asked: bool) -> None:
    """Speak from the first reply on, if the flag or the settings say so.

    Raises:
        EngineUnavailable: the flag asks for it, and no program here speaks. Where only the settings want it, the
            conversation goes on without, and is told so.
    """
    from mmchat.wiring import open_settings

    if is_asked:
        desk.speaker.turn_on()
    elif open_settings().speak:
        try:
            desk.speaker.turn_on()
        except EngineUnavailable as error:
            desk.speaker.report(error)


def speak_to_the_end(desk: Desk) -> None:
    """Wait until all is spoken; Ctrl+C ends it, as any key would in the app."""
    try:
        while not desk.speaker.wait(POLL_S):  # in pieces: an endless wait would not be interrupted on Windows
            pass
    except KeyboardInterrupt:
        desk.speaker.stop()


def warn_of_silence(desk: Desk) -> None:
    """Say why the answer was not spoken."""
    problem = desk.speaker.take_problem()
    if problem is not None:
        warn(f"{problem.message} {problem.hint}".rstrip())


def check_speaking() -> list[Finding]:
    """What would speak replies: wanted by few, so its lack is no fault."""
    from mmchat.wiring import open_settings, open_voice

    settings = open_settings()
    try:
        voice = open_voice(settings)
    except EngineUnavailable as error:
        is_wanted = settings.speak or bool(settings.speak_command)
        return [Finding("speaking", "warn" if is_wanted else "ok", f"{error.message} (optional)", error.hint)]
    when = "every reply" if settings.speak else "replies when asked to (/speak, --speak)"
    return [Finding("speaking", "ok", f"{voice.name} speaks {when}")]


def switch(chat: PlainChat, word: str) -> None:
    """`/speak`."""
    speaker = chat.desk.speaker
    if word not in ("", "on", "off"):
        raise UsageError(f"/speak {plain_line(word)}: there is no such thing.", hint="Say on or off.")
    if word == "on" or (not word and not speaker.is_on):
        speaker.turn_on()
        chat.say(f"Replies are spoken by {speaker.program}. Enter or Ctrl+C stops it; /speak off ends it.")
    else:
        speaker.turn_off()
        chat.say("Replies are not spoken.")


def tell_problem(chat: PlainChat) -> None:
    """Why replies are not spoken any more, once."""
    problem = chat.desk.speaker.take_problem()
    if problem is not None:
        chat.say(f"{problem.message} {problem.hint} Replies are not spoken any more; /speak on tries again.")
