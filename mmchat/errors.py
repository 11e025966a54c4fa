"""The errors a user may see.

Every error says what happened (`message`, with the offending value), what to do next (`hint`) and
which exit code the command line ends with. Foreign exceptions are translated into this tree at the
edge where they arise, always with `raise … from`.
"""

from __future__ import annotations


class MmchatError(Exception):
    """Base of all errors that mmchat raises on purpose.

    Args:
        message: what happened, in one sentence, naming the offending value.
        hint: the one next step (a command, a key, a setting); may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(MmchatError):
    """A command, an option or a value that cannot be carried out as given."""

    exit_code = 2


class ConfigError(MmchatError):
    """A settings or models file that cannot be used."""

    exit_code = 2


class ModelNotFound(MmchatError):
    """No model of that name, or its weights are not on this machine."""

    exit_code = 3


class EngineUnavailable(MmchatError):
    """The library or the server behind an engine is missing or does not answer."""

    exit_code = 3


class WeightsError(MmchatError):
    """Weights that could not be fetched, verified, placed or converted."""

    exit_code = 3


class MediaError(MmchatError):
    """A picture or a sound that cannot be read."""

    exit_code = 4


class AudioError(MediaError):
    """A sound file, a recording or a microphone that cannot be used."""


class ImageError(MediaError):
    """A picture that cannot be used."""


class DataError(MmchatError):
    """Rows or files that do not hold what they should."""

    exit_code = 4


class EvalError(MmchatError):
    """Outcomes that cannot be scored, or a saved run that cannot be used."""

    exit_code = 4


class DeviceError(MmchatError):
    """The machine lacks memory or a capability for what was asked."""

    exit_code = 5


class MemoryStoreError(MmchatError):
    """The database of conversations cannot be read or written."""


class DatabaseDamaged(MemoryStoreError):
    """The database of conversations holds pages that make no sense."""


class ReplyUnsaved(MemoryStoreError):
    """A reply was drawn to its end and could not be stored whole; its text stands on the screen."""


class DiskFull(MemoryStoreError):
    """The disk has no room for what was to be stored."""
