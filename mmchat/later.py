"""Libraries that a start need not wait for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["np"]


class _Later:
    """Stands for a module, which is imported when something of it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(import_module(self._name), attribute)
        setattr(self, attribute, found)  # from now on found without coming here
        return found


if TYPE_CHECKING:
    import numpy as np
else:
    # A tenth of the time until the box of `mmchat talk` takes a letter, and none of its vectors is looked at before.
    np = _Later("numpy")
