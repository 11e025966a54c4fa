"""Which terminals are trusted to draw pixels."""

from __future__ import annotations

import pytest

from mmchat.cli import terminal_graphics
from mmchat.cli.terminal_graphics import look, terminal_name
from mmchat.tui.picture_cells import NO_PIXELS, CellSize

CELL = CellSize(10, 20)
SIXEL, PLAIN = "\x1b[?62;4;22c", "\x1b[?62;22c"
KITTY = "\x1b_Gi=31;OK\x1b\\" + PLAIN


@pytest.fixture(autouse=True)
def cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_graphics, "cell_size", lambda: CELL)


@pytest.mark.parametrize(
    ("environment", "answer", "expected"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, KITTY, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, KITTY, "kitty"),
        ({"TERM": "xterm-kitty"}, PLAIN, "blocks"),  # it does not answer
        ({"TERM": "foot"}, SIXEL, "sixel"),
        ({"TERM_PROGRAM": "iTerm.app"}, SIXEL, "sixel"),
        ({"TERM_PROGRAM": "iTerm.app"}, PLAIN, "blocks"),  # an old one
        ({"TERM_PROGRAM": "WezTerm", "TERM": "xterm-256color"}, SIXEL, "sixel"),
        ({"KONSOLE_VERSION": "221200"}, KITTY, "blocks"),  # it has kitty's pictures, but not by letters
        ({"KONSOLE_VERSION": "221200"}, SIXEL, "sixel"),
        ({"TERM": "foot", "TMUX": "/tmp/tmux"}, SIXEL, "blocks"),
        ({"TERM": "screen", "STY": "1.pts"}, SIXEL, "blocks"),
    ],
)
def test_only_what_is_known_and_answers_draws_pixels(environment: dict[str, str], answer: str, expected: str) -> None:
    assert look(environment, lambda question: answer) == (expected, CELL)


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "xterm-256color"}, {}, {"TERM_PROGRAM": "Apple_Terminal"}, {"TERM": "xterm-kitty", "TMUX": "x"}],
)
def test_others_are_not_even_asked(environment: dict[str, str]) -> None:
    def ask(question: bytes) -> str:
        raise AssertionError("asked")

    assert look(environment, ask)[0] == "blocks"


def test_a_terminal_that_hides_its_pixels_gets_half_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_graphics, "cell_size", lambda: NO_PIXELS)
    assert look({"TERM": "foot"}, lambda question: SIXEL) == ("blocks", NO_PIXELS)


def test_terminals_are_known_by_what_they_set() -> None:
    assert terminal_name({"TERM": "xterm-256color", "GHOSTTY_RESOURCES_DIR": "/x"}) == "ghostty"
    assert terminal_name({"WT_SESSION": "1"}) == "windows terminal"
    assert terminal_name({}) == ""
