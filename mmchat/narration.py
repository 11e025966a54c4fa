"""A word from below while somebody waits, e.g. for the upgrade of a large memory; the command line shows it."""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[[str], None]


def _nobody(text: str) -> None:
    """Until somebody listens."""


_listener: Listener = _nobody


def listen(listener: Listener) -> None:
    """From now on, `tell` goes to this one; empty words mean that it is over."""
    global _listener
    _listener = listener


def tell(text: str) -> None:
    """Say what is being done; nobody need listen."""
    _listener(text)
