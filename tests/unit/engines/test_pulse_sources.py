"""What the sound server says of its microphones, and of the one that is being recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import pytest

from mmchat.engines.input_devices import chosen_source
from mmchat.engines.pulse_sources import PulseSource, SourceWatch


@dataclass
class Volume:
    value_flat: float = 1.0


@dataclass
class Source:
    index: int
    name: str
    description: str = ""
    mute: int = 0
    volume: Volume = field(default_factory=Volume)


@dataclass
class Stream:
    index: int
    source: int
    proplist: dict[str, str]
    mute: int = 0


class Server:
    """The calls of pulsectl that the watch makes."""

    def __init__(self) -> None:
        self.sources = [Source(1, "usb", "USB mic"), Source(2, "internal", "Built-in")]
        self.streams = [
            Stream(7, 2, {"application.process.id": "1"}),
            Stream(8, 1, {"application.process.id": str(os.getpid())}),
        ]
        self.moved: list[tuple[int, int]] = []

    def source_list(self) -> list[Source]:
        return self.sources

    def source_output_list(self) -> list[Stream]:
        return self.streams

    def source_output_move(self, stream: int, source: int) -> None:
        self.moved.append((stream, source))
        self.streams[1].source = source


def test_it_names_the_source_of_this_process() -> None:
    watch = SourceWatch()
    watch.look(Server())
    assert (watch.label, watch.problem) == ("USB mic", "")


def test_a_muted_source_is_named_and_an_unmuted_one_forgiven() -> None:
    watch, server = SourceWatch(), Server()
    server.sources[0].mute = 1
    watch.look(server)
    assert watch.problem == "'USB mic' is muted in the system's sound settings"
    server.sources[0].mute, server.sources[0].volume = 0, Volume(0.0)
    watch.look(server)
    assert "muted" in watch.problem
    server.sources[0].volume = Volume(0.4)
    watch.look(server)
    assert watch.problem == ""


def test_an_unplugged_source_is_named_with_the_one_that_took_its_place() -> None:
    watch, server = SourceWatch(), Server()
    watch.look(server)
    server.streams[1].source = 2
    watch.look(server)
    assert watch.problem == "'USB mic' was switched off; recording goes on from 'Built-in'"
    del server.sources[0]
    watch.look(server)
    assert watch.problem == "'USB mic' was unplugged; recording goes on from 'Built-in'"
    assert watch.label == "Built-in"


def test_a_stream_that_got_another_source_than_asked_for_is_moved() -> None:
    watch, server = SourceWatch("internal"), Server()
    watch.look(server)
    assert server.moved == [(8, 2)]
    assert (watch.label, watch.problem) == ("Built-in", "")
    watch.look(server)
    assert server.moved == [(8, 2)]


def test_no_stream_of_ours_means_nothing() -> None:
    watch, server = SourceWatch(), Server()
    server.streams.pop()
    watch.look(server)
    assert (watch.label, watch.problem) == ("", "")


def test_without_a_server_the_watch_ends_at_once() -> None:
    watch = SourceWatch(server=lambda: None)
    watch.start()
    watch.stop()
    assert watch.label == ""


SOURCES = (
    PulseSource("alsa_input.usb", "USB mic"),
    PulseSource("alsa_input.pci", "Built-in"),
    PulseSource("bluez", "USB mic 2"),
    PulseSource("alsa_input.Blue_Yeti", "Desk"),
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("USB mic, PulseAudio", "alsa_input.usb"),
        ("usb MIC", "alsa_input.usb"),
        ("alsa_input.pci", "alsa_input.pci"),
        ("built", "alsa_input.pci"),
        ("Yeti", "alsa_input.Blue_Yeti"),
        ("USB", None),
        ("hw:1,0", None),
    ],
)
def test_a_source_by_its_label_its_own_name_or_a_part(name: str, found: str | None) -> None:
    source: Any = chosen_source(SOURCES, name)
    assert (source and source.name) == found
