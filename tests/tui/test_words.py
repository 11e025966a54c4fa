"""The parts without a screen: merging, parsing, completing, drafts, words, clipboards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.message import Message

from mmchat.domain import Notice, ReplyDelta, ReplyEvent
from mmchat.errors import DeviceError
from mmchat.tui.clipboard import native_command
from mmchat.tui.commands import COMMANDS, Invocation, UnknownCommand, parse
from mmchat.tui.drafts import Chip, ChipShelf, Draft
from mmchat.tui.messages import ReplyFailed, ReplyFinished, ReplyProgressed
from mmchat.tui.reply_worker import coalesce, run_reply
from mmchat.tui.suggest import complete_path, suggestions
from mmchat.tui.text import clean, elide, elide_middle, meter, short_count
from mmchat.tui.widgets.status import taking_in_words

EVENTS = st.lists(st.one_of(st.builds(ReplyDelta, st.text(min_size=1)), st.builds(Notice, st.text())), max_size=40)


@given(EVENTS, st.lists(st.floats(0, 0.1), min_size=80, max_size=80))
def test_merging_keeps_text_order_and_count(events: list[ReplyEvent], steps: list[float]) -> None:
    clock = iter(_running_sum(steps))
    merged = list(coalesce(events, now=lambda: next(clock)))
    assert _flat(event for event, _ in merged) == _flat(events)
    assert sum(count for _, count in merged) == sum(isinstance(event, ReplyDelta) for event in events)


def test_merging_joins_what_comes_at_once_and_shows_the_first_at_once() -> None:
    times = iter([0.0, 0.0, 0.01, 0.02, 0.1, 0.1])
    merged = [event for event, _ in coalesce(map(ReplyDelta, "abcd"), now=lambda: next(times))]
    assert merged == [ReplyDelta("a"), ReplyDelta("bcd")]


def test_the_worker_reports_an_error_after_what_came_before() -> None:
    posted: list[Message] = []

    def events() -> Iterator[ReplyEvent]:
        yield ReplyDelta("half")
        raise DeviceError("out of memory")

    run_reply(7, events, Event(), posted.append)
    assert [type(message) for message in posted] == [ReplyProgressed, ReplyFailed]
    assert all(message.run_id == 7 for message in posted)  # type: ignore[attr-defined]


def test_the_worker_says_whether_it_was_cut() -> None:
    posted: list[Message] = []
    cancel = Event()
    cancel.set()
    run_reply(1, lambda: iter(()), cancel, posted.append)
    assert isinstance(posted[0], ReplyFinished)
    assert posted[0].was_cut


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_alias_parses_and_is_carried_out(command: object) -> None:
    from mmchat.tui.actions import Actions
    from mmchat.tui.commands import Command

    assert isinstance(command, Command)
    for name in (command.name, *command.aliases):
        assert parse(f"/{name}") == Invocation(command, "")
        assert parse(f" /{name.upper()}  some thing ") == Invocation(command, "some thing")
    assert command.name in ("image", "audio", "attach") or hasattr(Actions, f"do_{command.name}")


@pytest.mark.parametrize("text", ["/home/me/a.png", "/tmp", "hello /help", "a/b", "//x", "/ help", "/1"])
def test_messages_that_only_look_like_commands(text: str) -> None:
    assert parse(text) is None


def test_an_unknown_command_is_named() -> None:
    assert parse("/xyzzy now") == UnknownCommand("/xyzzy")


@given(st.text())
def test_clean_leaves_nothing_a_terminal_obeys(text: str) -> None:
    shown = clean(text)
    assert not any(ord(c) < 32 and c != "\n" or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in shown)
    shown.encode()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), st.integers(3, 40))
def test_cut_text_fits(text: str, cells: int) -> None:
    assert cell_len(elide(text, cells)) <= cells
    assert cell_len(elide_middle(text, max(cells, 8))) <= max(cells, 8) + 3


def test_small_words() -> None:
    assert [short_count(n) for n in (0, 999, 1204, 9949, 9951, 12_345)] == ["0", "999", "1.2k", "9.9k", "10k", "12k"]
    assert meter(0.0, 4) == ("", "────")
    assert meter(0.001, 4) == ("━", "───")
    assert meter(7.0, 4) == ("━━━━", "")


def test_a_draft_sends_words_and_files_apart() -> None:
    shelf = ChipShelf()
    dog = shelf.add_path(Path("/p/dog.png"), "image")
    song = shelf.add_path(Path("/p/song.wav"), "audio")
    paste = shelf.add_paste("\n".join("x" * 20))
    draft = shelf.draft(f"{song.label} compare {dog.label} with\n{paste.label}")
    assert draft.files == (Path("/p/song.wav"), Path("/p/dog.png"))
    assert draft.words == "compare with\n" + "\n".join("x" * 20)


def test_a_chip_cannot_be_forged_by_a_file_name() -> None:
    shelf = ChipShelf()
    chip = shelf.add_path(Path("/p/[Image 2: \x1b[31mevil].png"), "image")
    assert "\x1b" not in chip.label
    assert chip.label.count("[") == 1


def test_words_that_look_like_a_chip_are_words() -> None:
    assert Draft("[Image 1: dog.png] hm").files == ()
    assert Draft("see", (Chip("[Image 1: a]", "image", Path("/a")),)).words == "see"


def test_suggestions_for_names_paths_models(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "dog.png").write_bytes(b"")
    (tmp_path / "pics" / "song.wav").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()

    def offered(text: str) -> list[str]:
        names = {"model": lambda: ["smol", "qwen"], "theme": lambda: ["dark"], "language": lambda: ["German"]}
        return [each.insert for each in suggestions(text, tmp_path, names)]

    assert len(offered("/")) == len(COMMANDS)
    assert offered("/reg") == ["/regen"]
    assert offered("/image ") == ["pics/"]
    assert offered("/image pics/") == ["pics/dog.png"]
    assert offered("/audio pics/s") == ["pics/song.wav"]
    assert offered("/model q") == ["qwen"]
    assert offered("/language g") == ["German"]
    assert offered("/theme ") == ["dark"]
    assert offered("/rename g") == []
    assert offered("hello") == []
    assert offered("/home/me") == []
    assert complete_path("nowhere/x", tmp_path, ("image",)) == []


@pytest.mark.parametrize(
    ("environ", "platform", "tools", "expected"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "linux", {"wl-copy", "xclip"}, "wl-copy"),
        ({"DISPLAY": ":0"}, "linux", {"xsel"}, "xsel"),
        ({}, "linux", {"xclip"}, None),
        ({}, "darwin", {"pbcopy"}, "pbcopy"),
        ({"WSL_DISTRO_NAME": "u"}, "linux", {"clip.exe"}, "clip.exe"),
    ],
)
def test_the_clipboard_tool_of_this_desktop(
    environ: dict[str, str],
    platform: str,
    tools: set[str],
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for tool in tools:
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = native_command(environ, platform)
    assert (command[0] if command else None) == expected


def _flat(events: object) -> list[object]:
    flat: list[object] = []
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, ReplyDelta) and flat and isinstance(flat[-1], str):
            flat[-1] += event.text
        else:
            flat.append(event.text if isinstance(event, ReplyDelta) else event)
    return flat


def _running_sum(steps: list[float]) -> Iterator[float]:
    total = 0.0
    for step in [0.0, *steps, *steps]:
        total += step
        yield total


def test_long_work_in_the_background_is_told_and_short_work_is_not() -> None:
    assert taking_in_words((1500, 6000)) == "memory: taking in 6,000 earlier turns, 25%"
    assert taking_in_words((0, 150)) == ""
    assert taking_in_words(None) == ""
