"""Replies spoken in the app: on, off, and stopped by any key."""

from __future__ import annotations

from threading import Event

from mmchat.errors import EngineUnavailable

from .conftest import StageMaker
from .fakes import WAIT_S, FakeDesk, answer


class FakeVoice:
    """Speaks without end until it is told to stop, unless its gate is open."""

    name = "fake-espeak"

    def __init__(self, *, is_quick: bool = True, failure: Exception | None = None) -> None:
        self.said: list[str] = []
        self.was_cut = Event()
        self._is_quick = is_quick
        self._failure = failure

    def speak(self, sentence: str, language: str, cancel: Event) -> None:
        self.said.append(sentence)
        if self._failure is not None:
            raise self._failure
        if not self._is_quick:
            assert cancel.wait(WAIT_S)
            self.was_cut.set()


async def test_replies_are_spoken_once_asked_for(desk: FakeDesk, stage: StageMaker) -> None:
    voice = FakeVoice()
    desk.find_voice = lambda: voice
    desk.script = answer("Hello ", "there. `x = 1` is ", "code.\n```\nnever\n```\n")
    async with stage(desk) as s:
        await s.say("hi")
        assert voice.said == []
        await s.send("/speak")
        await s.until(lambda: "spoken by fake-espeak" in s.chat.activity.words, "it says who speaks")
        await s.say("again")
        await s.until(lambda: len(voice.said) == 2, "both sentences")
        assert voice.said == ["Hello there.", "x = 1 is code."]
        await s.send("/speak off")
        await s.until(lambda: "not spoken" in s.chat.activity.words, "it is off")
        await s.say("and now")
        assert len(voice.said) == 2


async def test_any_key_stops_the_voice_and_still_does_its_work(desk: FakeDesk, stage: StageMaker) -> None:
    voice = FakeVoice(is_quick=False)
    desk.find_voice = lambda: voice
    desk.script = answer("A long reply. With a second sentence.")
    async with stage(desk) as s:
        desk.speaker.turn_on()
        await s.send("hi")
        await s.until(lambda: "any key stops" in s.chat.activity.words, "it says how to stop it")
        await s.pilot.press("x")
        await s.until(lambda: voice.was_cut.is_set() and not desk.speaker.is_speaking, "silence")
        await s.until(lambda: "speaking" not in s.chat.activity.words, "it says so")
        assert s.chat.composer.text == "x"
        assert voice.said == ["A long reply."]


async def test_ctrl_c_stops_the_voice_before_it_means_quitting(desk: FakeDesk, stage: StageMaker) -> None:
    voice = FakeVoice(is_quick=False)
    desk.find_voice = lambda: voice
    async with stage(desk) as s:
        desk.speaker.turn_on()
        await s.send("hi")
        await s.until(lambda: "any key stops" in s.chat.activity.words, "it speaks")
        await s.pilot.press("ctrl+c")
        await s.until(lambda: voice.was_cut.is_set() and not desk.speaker.is_speaking, "silence")
        assert "again to quit" not in s.chat.activity.words
        await s.pilot.press("ctrl+c")
        assert "again to quit" in s.chat.activity.words


async def test_it_is_silent_before_the_microphone_opens(desk: FakeDesk, stage: StageMaker) -> None:
    voice = FakeVoice(is_quick=False)
    desk.find_voice = lambda: voice
    was_silent: list[bool] = []
    start = desk.recorder.start

    def start_listening() -> None:
        was_silent.append(not desk.speaker.is_speaking)
        start()

    desk.recorder.start = start_listening  # type: ignore[method-assign]
    async with stage(desk) as s:
        desk.speaker.turn_on()
        await s.send("hi")
        await s.until(lambda: bool(voice.said), "it speaks")
        s.app.run_command("voice")  # as hands-free does it: no key is pressed
        await s.until(lambda: s.chat.voice.state == "recording", "it records")
        assert was_silent == [True]


async def test_a_stopped_reply_is_not_spoken_on(desk: FakeDesk, stage: StageMaker) -> None:
    voice, gate = FakeVoice(), Event()
    desk.find_voice = lambda: voice
    desk.script = answer("One is said. ", "Two is not. ", gates=(_open(), gate))
    async with stage(desk) as s:
        desk.speaker.turn_on()
        await s.send("hi")
        await s.until(lambda: voice.said == ["One is said."], "the first sentence")
        await s.pilot.press("escape")
        gate.set()
        await s.idle()
        assert desk.speaker.wait(WAIT_S)
        assert voice.said == ["One is said."]


async def test_a_voice_that_fails_is_told_once(desk: FakeDesk, stage: StageMaker) -> None:
    desk.find_voice = lambda: FakeVoice(failure=EngineUnavailable("fake-espeak could not speak: no sound card"))
    desk.script = answer("One. Two. Three.")
    async with stage(desk) as s:
        desk.speaker.turn_on()
        await s.say("hi")
        await s.until(lambda: "no sound card" in s.text_of("ErrorView"), "it says why")
        await s.say("again")
        assert s.text_of("ErrorView").count("no sound card") == 1
        assert s.replies()[-1].text == "One. Two. Three."


async def test_without_a_program_it_is_said_what_to_install(desk: FakeDesk, stage: StageMaker) -> None:
    def find() -> FakeVoice:
        raise EngineUnavailable("No program that speaks is on this machine.", hint="Install espeak-ng.")

    desk.find_voice = find
    async with stage(desk) as s:
        await s.send("/speak on")
        await s.until(lambda: "Install espeak-ng" in s.text_of("ErrorView"), "it says what to do")
        await s.send("/speak loudly")
        await s.until(lambda: "Say on or off" in s.text_of("ErrorView"), "it says what there is")


async def test_why_the_settings_cannot_be_followed_is_told_at_the_start(desk: FakeDesk, stage: StageMaker) -> None:
    desk.speaker.report(EngineUnavailable("'hal9000' is not a program on this machine."))
    async with stage(desk) as s:
        await s.until(lambda: any("hal9000" in each.message for each in s.app._notifications), "it says why")


def _open() -> Event:
    event = Event()
    event.set()
    return event
