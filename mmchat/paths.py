"""Where mmchat keeps things.

`MMCHAT_HOME` moves config, data, cache and logs under one folder (tests and portable use);
otherwise the platform's own folders are used. Nothing here creates a folder by being imported.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("mmchat", appauthor=False)


def _home() -> Path | None:
    value = os.environ.get("MMCHAT_HOME")
    return Path(value).expanduser().absolute() if value else None


def config_dir() -> Path:
    """Settings and the user's own models.toml."""
    home = _home()
    return home / "config" if home else Path(_DIRS.user_config_dir)


def data_dir() -> Path:
    """The database, kept attachments and recordings."""
    home = _home()
    return home / "data" if home else Path(_DIRS.user_data_dir)


def cache_dir() -> Path:
    """What can be made again."""
    home = _home()
    return home / "cache" if home else Path(_DIRS.user_cache_dir)


def log_dir() -> Path:
    """Log files; never transcripts."""
    home = _home()
    return home / "log" if home else Path(_DIRS.user_log_dir)


def weights_dir() -> Path:
    """One folder per model. `MMCHAT_WEIGHTS` overrides it, so that tests and several homes share one copy."""
    value = os.environ.get("MMCHAT_WEIGHTS")
    return Path(value).expanduser().absolute() if value else cache_dir() / "weights"


def database_path() -> Path:
    """The one SQLite file."""
    return data_dir() / "mmchat.db"


def blobs_dir() -> Path:
    """Content-addressed copies of attachments."""
    return data_dir() / "blobs"


def recording_path() -> Path:
    """The last recording, in the place of the one before."""
    return data_dir() / "last-recording.wav"


def seen_cache_path() -> Path:
    """What was seen in pictures that no conversation keeps."""
    return cache_dir() / "seen.db"


def readers_cache_dir() -> Path:
    """Vectors of the messages that roles tell intents by."""
    return cache_dir() / "readers"


def evals_dir() -> Path:
    """Saved evaluations, a folder each."""
    return data_dir() / "evals"


def user_models_path() -> Path:
    """The user's models.toml, merged over the packaged one."""
    return config_dir() / "models.toml"


def roles_dir() -> Path:
    """The user's own roles, a file or a folder each."""
    return config_dir() / "roles"


def settings_path() -> Path:
    """The user's settings."""
    return config_dir() / "settings.toml"


def private_dir(path: Path) -> Path:
    """Create `path` and its parents, readable by the user alone, and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def replace_text(path: Path, text: str, *, is_private: bool = False) -> None:
    """Write a file in UTF-8, whole or not at all. Raises OSError, and leaves what was there.

    `is_private`: readable by the user alone, as the database is.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if is_private:
            partial.unlink(missing_ok=True)  # of a crash: its mode would stay
            make_private(partial)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def make_private(path: Path) -> None:
    """Create an empty file that the user alone can read. Raises FileExistsError, and OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def sync_dir(folder: Path) -> None:
    """Make names that were made or changed in a folder survive a power cut; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
