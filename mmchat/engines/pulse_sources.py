"""PulseAudio's and PipeWire's own microphones: PortAudio knows them only as "pulse" and "default".

Through the sound server itself they have names, can be chosen, and tell when they are muted or unplugged while they
are recorded. Where there is no such server, everything here is empty and PortAudio's word stands.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Event, Thread
from typing import Any

HOST_API = "PulseAudio"
"""How these devices are told from those that PortAudio names itself."""
SOURCE_VARIABLE = "PULSE_SOURCE"
"""libpulse reads it when a stream is opened."""
_LOOK_EVERY_S = 0.4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PulseSource:
    """A microphone of the sound server."""

    name: str
    """What the server calls it."""
    label: str
    """What people call it."""
    is_default: bool = False
    channels: int = 1
    rate_hz: int = 48_000


def pulse_sources() -> tuple[PulseSource, ...]:
    """The server's microphones, without the sound that the machine itself plays; empty where no server answers."""
    found: list[PulseSource] = []
    with _server() as server:
        if server is not None:
            default = server.server_info().default_source_name
            found = [
                PulseSource(
                    source.name,
                    source.description or source.name,
                    source.name == default,
                    source.channel_count,
                    source.sample_spec.rate,
                )
                for source in server.source_list()
                if not source.monitor_of_sink_name
            ]
    return tuple(found)


class SourceWatch:
    """Looks twice a second which source this process records, in a thread of its own: a server may hang.

    Args:
        wanted: the source that was asked for; a stream that was given another one is moved there.
        server: opens a connection; tests pass a fake.
    """

    def __init__(self, wanted: str = "", server: Callable[[], Any] | None = None) -> None:
        self._wanted = wanted
        self._connect = server or _connected
        self._first = ""
        self._labels: dict[str, str] = {}
        self._over = Event()
        self.label = ""
        """The source's name for people; empty while it is not known."""
        self.problem = ""
        """What is wrong with it, in words."""

    def start(self) -> None:
        """Begin to look."""
        Thread(target=self._run, name="mmchat-mic-source", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _run(self) -> None:
        with _server(self._connect) as server:
            while server is not None and not self._over.is_set():
                self.look(server)
                self._over.wait(_LOOK_EVERY_S)

    def look(self, server: Any) -> None:
        """See where the stream of this process comes from now."""
        sources = {source.index: source for source in server.source_list()}
        ours = [
            stream
            for stream in server.source_output_list()
            if stream.proplist.get("application.process.id") == str(os.getpid()) and stream.source in sources
        ]
        if not ours:
            return
        stream = max(ours, key=lambda each: each.index)
        source = sources[stream.source]
        names = {each.name: each for each in sources.values()}
        if not self._first and self._wanted in names and source.name != self._wanted:
            server.source_output_move(stream.index, names[self._wanted].index)
            source = names[self._wanted]
        self._first = self._first or source.name
        self._labels.update({each.name: each.description or each.name for each in sources.values()})
        self.label = self._labels[source.name]
        if source.name != self._first:
            what = "was switched off" if self._first in names else "was unplugged"
            self.problem = f"'{self._labels[self._first]}' {what}; recording goes on from '{self.label}'"
        elif _is_muted(source) or stream.mute:
            self.problem = f"'{self.label}' is muted in the system's sound settings"
        else:
            self.problem = ""


def _is_muted(source: Any) -> bool:
    return bool(source.mute) or float(source.volume.value_flat) == 0.0


def _connected() -> Any:
    """A connection, closed by its `close`; None where there is no library or no server."""
    try:
        pulsectl = import_module("pulsectl")
    except (ImportError, OSError):  # not Linux, or no libpulse
        return None
    server = pulsectl.Pulse("mmchat", connect=False)
    try:
        server.connect(autospawn=False)
    except pulsectl.PulseError:
        server.close()
        return None
    return server


@contextmanager
def _server(connect: Callable[[], Any] = _connected) -> Iterator[Any]:
    """A connection for a block; a server that dies meanwhile ends the block quietly."""
    server = connect()
    if server is None:
        yield None
        return
    from pulsectl import PulseDisconnected, PulseError

    try:
        yield server
    except (PulseError, PulseDisconnected) as error:
        _log.info("the sound server went away: %s", error)
    finally:
        server.close()
