"""Which microphones there are, and which one is meant.

PortAudio freezes its list when it is initialised, so listing runs in a process of its own.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from mmchat.engines.pulse_sources import HOST_API, PulseSource, pulse_sources
from mmchat.errors import AudioError

_LIST_TIMEOUT_S = 15.0
_SERVER_DEVICES = ("pulse", "pipewire", "default")
"""Behind these of ALSA's devices the sound server stands."""


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that can record."""

    name: str
    host_api: str
    """How it is reached: ALSA, Core Audio, MME, WASAPI, …, or the sound server itself."""
    channels: int
    rate_hz: int
    is_default: bool


def import_sounddevice() -> ModuleType:
    """The sounddevice module.

    Raises:
        AudioError: it or PortAudio is missing, with the way to install it.
    """
    try:
        return import_module("sounddevice")
    except OSError as error:
        raise AudioError("Recording needs PortAudio, which is not on this machine.", hint=_portaudio_hint()) from error
    except ImportError as error:
        raise AudioError(
            "Recording needs the package sounddevice, which is not installed.",
            hint="Install it: `pip install sounddevice`.",
        ) from error


def input_devices(library: Any) -> tuple[tuple[int, InputDevice], ...]:
    """PortAudio's recording devices with their indices, as of its initialisation."""
    apis = [str(api["name"]) for api in library.query_hostapis()]
    default = int(library.default.device[0])
    return tuple(
        (
            index,
            InputDevice(
                name=str(info["name"]),
                host_api=apis[int(info["hostapi"])],
                channels=int(info["max_input_channels"]),
                rate_hz=int(info["default_samplerate"]),
                is_default=index == default,
            ),
        )
        for index, info in enumerate(library.query_devices())
        if int(info["max_input_channels"]) > 0
    )


def choose_device(library: Any, name: str, sources: tuple[PulseSource, ...] = ()) -> tuple[int, Any]:
    """Index and PortAudio's description of the device meant by `name`, or through which a source of that name comes.

    Args:
        library: the sounddevice module.
        name: a device's name, "name, host API", or an unmistakable part of it; empty for the default.
        sources: the sound server's microphones.

    Raises:
        AudioError: no device at all, none of that name, or several.
    """
    try:
        devices = input_devices(library)
    except library.PortAudioError as error:
        raise AudioError(f"The sound system does not answer: {error}.", hint=_no_device_hint()) from error
    if not devices:
        raise AudioError("No microphone was found on this machine.", hint=_no_device_hint())
    through = next((index for index, device in devices if device.name in _SERVER_DEVICES), None)
    if name and through is not None and chosen_source(sources, name) is not None:
        index = through
    elif name:
        index = _named(devices, name, sources)
    else:
        index = next((index for index, device in devices if device.is_default), devices[0][0])
    return index, library.query_devices(index)


def chosen_source(sources: tuple[PulseSource, ...], name: str) -> PulseSource | None:
    """The sound server's microphone meant by `name`; None where it means none of them, or several.

    Args:
        sources: the server's microphones.
        name: a label with or without the host API, the server's own name, or an unmistakable part.
    """
    wanted = name.casefold()
    names = {
        source: tuple(name.casefold() for name in (source.label, f"{source.label}, {HOST_API}", source.name))
        for source in sources
    }
    exact = [source for source, called in names.items() if wanted in called]
    matches = exact or [source for source, called in names.items() if any(wanted in each for each in called)]
    return matches[0] if len(matches) == 1 else None


def reload_devices(library: Any) -> None:
    """Make PortAudio look for devices again. Ends every stream: only while none is open.

    Raises:
        AudioError: PortAudio does not come up again.
    """
    try:
        library._terminate()
        library._initialize()
    except library.PortAudioError as error:
        raise AudioError(f"The sound system does not answer: {error}.", hint=_no_device_hint()) from error


def list_input_devices() -> tuple[InputDevice, ...]:
    """The recording devices plugged in now; empty when there are none.

    Raises:
        AudioError: PortAudio is missing, or the sound system hangs.
    """
    command = [sys.executable, "-m", "mmchat.engines.input_devices"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=_LIST_TIMEOUT_S, check=False
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise AudioError(
            f"The sound system did not answer within {_LIST_TIMEOUT_S:.0f} s.", hint="Restart the sound server."
        ) from error
    except (OSError, ValueError) as error:
        raise AudioError(f"Microphones cannot be listed: {error}.", hint="Run `mmchat doctor`.") from error
    if "error" in answer:
        raise AudioError(answer["error"], hint=answer["hint"])
    return tuple(InputDevice(**device) for device in answer["devices"])


def _named(devices: tuple[tuple[int, InputDevice], ...], name: str, sources: tuple[PulseSource, ...]) -> int:
    wanted = name.casefold()
    labels = {
        index: (device.name.casefold(), f"{device.name}, {device.host_api}".casefold()) for index, device in devices
    }
    exact = [index for index, both in labels.items() if wanted in both]
    matches = exact or [index for index, (_, label) in labels.items() if wanted in label]
    if len(matches) > 1:
        # The same device is offered by several host APIs; the one of the default device is the system's choice.
        default_api = next((device.host_api for _, device in devices if device.is_default), devices[0][1].host_api)
        by_index = dict(devices)
        matches = [index for index in matches if by_index[index].host_api == default_api] or matches
    if len(matches) == 1:
        return matches[0]
    labels_of_all = [f"{source.label}, {HOST_API}" for source in sources]
    labels_of_all += [f"{device.name}, {device.host_api}" for _, device in devices]
    names = "; ".join(dict.fromkeys(labels_of_all))
    problem = f"Several microphones are called '{name}'" if matches else f"There is no microphone called '{name}'"
    raise AudioError(f"{problem}.", hint=f"Choose one of: {names}.")


def _portaudio_hint() -> str:
    if platform.system() == "Linux":
        return "Install it: `sudo apt install libportaudio2 libasound2-plugins` (Fedora: `dnf install portaudio`)."
    return "Reinstall sounddevice, whose wheel brings it: `pip install --force-reinstall sounddevice`."


def _no_device_hint() -> str:
    if platform.system() == "Linux":
        return (
            "Plug one in. Over SSH and in containers the sound server must be reachable "
            "(`libasound2-plugins`, PULSE_SERVER); a sound file can be attached instead."
        )
    return "Plug one in, or allow your terminal to use it in the system's privacy settings."


def _answer() -> dict[str, Any]:
    try:
        devices = input_devices(import_sounddevice())
    except AudioError as error:
        return {"error": error.message, "hint": error.hint}
    return {"devices": [asdict(device) for device in (*_source_devices(), *(device for _, device in devices))]}


def _source_devices() -> tuple[InputDevice, ...]:
    return tuple(
        InputDevice(source.label, HOST_API, source.channels, source.rate_hz, source.is_default)
        for source in pulse_sources()
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer()))
