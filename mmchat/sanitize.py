"""Makes text from models, files and names harmless to a terminal.

Everything that did not come from mmchat's own source passes through here before it is shown: a
model's reply, a transcript, a file name, a title, a foreign error. Markup needs no rule here: such
text is handed to Rich and Textual as plain text, never as markup.
"""

from __future__ import annotations

import re

from mmchat.patterns import later

_SEQUENCES = later(
    r"""
    (?: \x1b\[ | \x9b ) [0-?]* [ -/]* [@-~]                     # CSI: colour, cursor, modes
  | (?: \x1b[\]PX^_] | [\x9d\x90\x98\x9e\x9f] )                 # OSC, DCS, SOS, PM, APC: title, clipboard, …
    [^\x07\x1b\x9c]* (?: \x07 | \x1b\\ | \x9c )                 #   up to their end; an unended one is not swallowed
  | \x1b [ -/]+ [0-~]                                           # character sets
  | \x1b [0-Z\\^-~]                                             # two-character sequences
    """,
    re.VERBOSE,
)

_CONTROLS = later(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0 without tab and newline, delete, C1, and the marks that reorder what follows them."""

_SURROGATES = later(r"[\ud800-\udfff]")
"""Bytes of a file name that are not UTF-8, as Python carries them; no terminal can be sent these."""


def plain_text(text: str) -> str:
    """`text` with nothing in it that a terminal acts on, but tabs and newlines.

    Safe on pieces of a stream too: a sequence cut in two loses its escape character and stays
    visible as inert text.
    """
    if text.isprintable():  # mostly: no controls, no surrogates, no marks
        return text
    text = _SEQUENCES().sub("", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES().sub("\ufffd", _CONTROLS().sub("", text))


def plain_line(text: str) -> str:
    """`plain_text` on one line, for names, titles and status lines."""
    return " ".join(plain_text(text).split())
