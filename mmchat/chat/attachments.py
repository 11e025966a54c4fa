"""Finds the picture and sound files that somebody typed, pasted or dropped among their words.

Terminals hand a dropped file over in many spellings: bare, with spaces bare or behind backslashes,
in either quotes, as a `file://` address, several on one line. All of them are tried against the disk
and the longest that exists wins, so no spelling has to be guessed.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes

from mmchat.chat.media_kinds import AUDIO_SUFFIXES, IMAGE_SUFFIXES
from mmchat.chat.media_kinds import kind_of as kind_of
from mmchat.domain import AttachmentKind
from mmchat.patterns import later
from mmchat.sanitize import plain_line

_SUFFIX = "(?:" + "|".join(sorted(IMAGE_SUFFIXES | AUDIO_SUFFIXES, key=len, reverse=True)) + ")"
_NAME_END = later(rf"\.{_SUFFIX}(?![A-Za-z0-9_/\\]|\.[A-Za-z0-9])", re.IGNORECASE)
_COMMAND = later(r"/(?:\?|[A-Za-z][A-Za-z0-9_-]*)(?=\s|$)")
_DRIVE = later(r"/?([A-Za-z]):[\\/]")
_WSL_SHARE = later(r"\\\\wsl(?:\$|\.localhost)\\[^\\]+", re.IGNORECASE)
_PATH_START = later(r"/|~|\.{1,2}[/\\]|file://|[A-Za-z]:[\\/]|\\\\", re.IGNORECASE)

_OPENERS = frozenset("'\"`([{<=:,;|")
_CLOSER = {"'": "'", '"': '"', "`": "`", "“": "”", "‘": "’", "「": "」", "『": "』", "《": "》", "<": ">"}

_MAX_PATH = 4096
_MAX_NAME_BYTES = 255
_MAX_LOOKUPS = 2000
"""Disk lookups for one text: enough for any drop, a bound for a pasted book."""
_MAX_FOLDER_ENTRIES = 5000

MissingReason = Literal["missing", "folder", "unreadable", "not media"]

_REASONS: dict[MissingReason, str] = {
    "missing": "No such file: {}",
    "folder": "That is a folder, not a file: {}",
    "unreadable": "You have no permission to read this file: {}",
    "not media": "Neither a picture nor a sound that mmchat reads: {}",
}


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A readable picture or sound file, and where in the text it was named."""

    start: int
    end: int
    """`text[start:end]` is the name as written, quotes included."""
    path: Path
    kind: AttachmentKind


@dataclass(frozen=True, slots=True)
class UnusableFile:
    """Something in the text that was meant as a file and cannot be attached."""

    start: int
    end: int
    name: str
    reason: MissingReason

    def __str__(self) -> str:
        return _REASONS[self.reason].format(plain_line(self.name))


def is_command(text: str) -> bool:
    """Whether a draft is a slash command: `/help` and `/image a.png` are, `/home/me/a.png` is not."""
    return _COMMAND().match(text) is not None and not _Finder(text, Path("/")).starts_with_file()


def find_files(text: str, *, cwd: Path, drives_dir: Path = Path("/mnt")) -> list[FoundFile]:
    r"""The readable picture and sound files named in `text`, in order, none overlapping. Never raises.

    Args:
        text: what was typed, pasted or dropped.
        cwd: where relative names are looked up.
        drives_dir: where Windows drives are mounted (WSL), for names such as `C:\Users\me\a.png`.
    """
    return _Finder(text, cwd, drives_dir).files()


def find_missing(text: str, *, cwd: Path, drives_dir: Path = Path("/mnt")) -> list[UnusableFile]:
    """What reads like a picture or sound file in `text` and is none that can be attached, with the reason.

    A text that is nothing but the name of another existing file (a dropped PDF) is reported too. Web
    addresses are not. `str()` of an entry is the sentence for the user. Never raises.
    """
    return _Finder(text, cwd, drives_dir).unusable()


def find_paths(text: str, *, cwd: Path, drives_dir: Path = Path("/mnt")) -> list[Path]:
    """The files and folders, of any kind, that a text names and nothing beside; empty where it says anything else.

    As typed or dropped: bare, in quotes, behind backslashes, as `file://` addresses, several one after the other.
    """
    return _Finder(text, cwd, drives_dir).paths()


class _Finder:
    """One text, looked through once."""

    def __init__(self, text: str, cwd: Path, drives_dir: Path = Path("/mnt")) -> None:
        self._text = text
        self._cwd = cwd
        self._drives_dir = drives_dir
        self._name_ends = [match.end() for match in _NAME_END().finditer(text)]
        self._lookups_left = _MAX_LOOKUPS
        self._folders: dict[str, list[str]] = {}

    # --- looking through the text -----------------------------------------------------------

    def files(self) -> list[FoundFile]:
        found: list[FoundFile] = []
        position = 0
        # Past the last extension there is nothing left to find.
        while self._name_ends and position < self._name_ends[-1] and self._lookups_left > 0:
            file = self._file_at(position) if self._is_start(position) else None
            if file is None:
                position += 1
            else:
                found.append(file)
                position = file.end
        return found

    def paths(self) -> list[Path]:
        whole = self._text.strip()
        if (path := self._path_of(whole)) is not None:
            return [path]
        found: list[Path] = []
        position = len(self._text) - len(self._text.lstrip())
        while position < len(self._text.rstrip()):
            word, end = _shell_word(self._text, position)
            if end == position or (path := self._path_of(word)) is None:
                return []
            found.append(path)
            position = end + len(self._text[end:]) - len(self._text[end:].lstrip())
        return found

    def _path_of(self, name: str) -> Path | None:
        """What a written name points to, if anything is there."""
        return next((path for path in self._paths_for(name) if self._state(path) != "missing"), None)

    def starts_with_file(self) -> bool:
        return bool(self._name_ends) and self._file_at(0) is not None

    def unusable(self) -> list[UnusableFile]:
        files = self.files()
        entries: list[UnusableFile] = []
        for end in self._name_ends:
            if self._lookups_left <= 0:  # what was not looked for is not missing
                break
            if not any(file.start < end <= file.end for file in files) and (entry := self._unusable_to(end)):
                entries.append(entry)
        if not files and not entries:
            whole = self._unusable_whole()
            entries = [whole] if whole else []
        return entries

    def _is_start(self, position: int) -> bool:
        """Whether a name may begin here: after a space or an opening mark, or where Chinese meets anything."""
        if position == 0:
            return True
        before, here = self._text[position - 1], self._text[position]
        return before.isspace() or before in _OPENERS or not before.isascii() or not here.isascii()

    def _file_at(self, start: int) -> FoundFile | None:
        text = self._text
        if text[start].isspace():
            return None
        if text[start] in "'\"" or start == 0 or (text[start - 1].isascii() and text[start - 1] not in "'\""):
            word, end = _shell_word(text, start)
            if kind_of(word) and (file := self._found(start, end, word)):
                return file
        line_end = text.find("\n", start)
        last = min(len(text) if line_end < 0 else line_end, start + _MAX_PATH)
        first_index = bisect_right(self._name_ends, start)
        for end in reversed(self._name_ends[first_index : bisect_right(self._name_ends, last)]):
            name = text[start:end]
            file = self._found(start, end, name)
            if file is None and "\\" in name:
                file = self._found(start, end, re.sub(r"\\(.)", r"\1", name))
            if file is not None:
                return self._with_quotes(file)
        return None

    def _with_quotes(self, file: FoundFile) -> FoundFile:
        """Widen the span over the marks around it, so that no empty quotes stay behind in the prompt."""
        before = self._text[file.start - 1] if file.start else ""
        after = self._text[file.end] if file.end < len(self._text) else ""
        if before and _CLOSER.get(before) == after:
            return FoundFile(file.start - 1, file.end + 1, file.path, file.kind)
        return file

    # --- looking on the disk ----------------------------------------------------------------

    def _found(self, start: int, end: int, name: str) -> FoundFile | None:
        kind = kind_of(name)
        for path in self._paths_for(name) if kind else ():
            if self._state(path) == "file":
                return FoundFile(start, end, path, kind) if kind else None
        return None

    def _paths_for(self, name: str) -> list[Path]:
        """Where on this machine a written name may point, likeliest first."""
        if not name or "\0" in name or self._lookups_left <= 0:
            return []
        if name[:7].lower() == "file://":
            decoded = _from_file_uri(name)
            if decoded is None:
                return []
            name = decoded
        if any(len(part) > _MAX_NAME_BYTES for part in re.split(r"[/\\]", name)):
            return []
        names = [_with_home(name)]
        if os.name != "nt":
            if drive := _DRIVE().match(name):
                names.append(str(self._drives_dir / drive[1].lower() / name[drive.end() :].replace("\\", "/")))
            elif share := _WSL_SHARE().match(name):
                names.append(name[share.end() :].replace("\\", "/"))
        paths = [self._cwd / each for each in names]
        near = self._respelled(paths[0]) if not name.isascii() or " " in name else None
        return [*paths, near] if near else paths

    def _state(self, path: Path) -> Literal["file", "folder", "unreadable", "missing"]:
        self._lookups_left -= 1
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return "missing"
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) and os.access(path, os.R_OK) else "unreadable"

    def _respelled(self, path: Path) -> Path | None:
        """The one file whose name differs from `path` only in kinds of space and in how accents are composed.

        macOS puts U+202F before AM and PM in the names of screenshots and decomposes accents; neither
        survives being typed or pasted.
        """
        if os.path.lexists(path):
            return None
        folder = Path(path.anchor)
        for part in path.parts[1:]:
            if not os.path.lexists(folder / part):
                wanted = _spelling(part)
                fitting = [name for name in self._entries(folder) if _spelling(name) == wanted]
                if len(fitting) != 1:
                    return None
                part = fitting[0]
            folder /= part
        return folder

    def _entries(self, folder: Path) -> list[str]:
        key = os.fspath(folder)
        if key not in self._folders:
            self._lookups_left -= 1
            names: list[str] = []
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        names.append(entry.name)
                        if len(names) > _MAX_FOLDER_ENTRIES:
                            names = []
                            break
            except (OSError, ValueError):
                names = []
            self._folders[key] = names
        return self._folders[key]

    # --- what cannot be attached ------------------------------------------------------------

    def _unusable_to(self, end: int) -> UnusableFile | None:
        """The name that ends at an extension without being a file."""
        start = self._name_start(end)
        name = self._text[start:end]
        if "://" in name and not name.lower().startswith("file://"):
            return None
        states = [self._state(path) for path in self._paths_for(name)]
        for state in ("folder", "unreadable"):
            if state in states:
                return UnusableFile(start, end, name, "folder" if state == "folder" else "unreadable")
        return UnusableFile(start, end, name, "missing")

    def _name_start(self, end: int) -> int:
        """Where a name that is on no disk most likely begins: its word, or a quote or path before it on the line."""
        text = self._text
        line_start = text.rfind("\n", 0, end) + 1
        previous = bisect_left(self._name_ends, end) - 1
        if previous >= 0:
            line_start = max(line_start, self._name_ends[previous])
        if end < len(text) and text[end] in "'\"":
            quote = text.rfind(text[end], line_start, end)
            if quote >= 0:
                return quote + 1
        start = end
        while start > line_start and not (
            text[start - 1].isspace() or text[start - 1] in "'\"`([{<,;|“‘「『《（，。：；、"
        ):
            start -= 1
        if _PATH_START().match(text, start):
            return start
        for match in re.finditer(r"(?<!\S)(?:/|~/|\./|\.\./|file://|[A-Za-z]:[\\/])\S*", text[line_start:start]):
            if self._state(self._cwd / _with_home(match[0])) == "missing":
                return line_start + match.start()
        return start

    def _unusable_whole(self) -> UnusableFile | None:
        """A text that is nothing but the name of a file which is neither picture nor sound."""
        name = self._text.strip()
        if not name or len(name) > _MAX_PATH or "\n" in name or not re.match(r"['\"]|" + _PATH_START().pattern, name):
            return None
        start = self._text.index(name)
        word, end = _shell_word(name, 0)
        for candidate in [name, *([word] if end == len(name) else [])]:
            for path in self._paths_for(candidate):
                state = self._state(path)
                if state == "folder":
                    return UnusableFile(start, start + len(name), candidate, "folder")
                if state != "missing":
                    reason: MissingReason = "not media" if state == "file" else "unreadable"
                    return UnusableFile(start, start + len(name), candidate, reason)
        return None


def _shell_word(text: str, start: int) -> tuple[str, int]:
    """The word a POSIX shell would read at `start`, and where it ends; without its quotes if one is left open."""
    decoded: list[str] = []
    quote = ""
    position = start
    limit = min(len(text), start + 3 * _MAX_PATH)
    while position < limit:
        char = text[position]
        following = text[position + 1] if position + 1 < len(text) else ""
        if char == quote:
            quote = ""
        elif quote == "'" or (quote and char != "\\"):
            decoded.append(char)
        elif char == "\\" and following and (not quote or following in '"\\$`'):
            decoded.append(following)
            position += 1
        elif not quote and char in "'\"":
            quote = char
        elif not quote and char.isspace():
            break
        else:
            decoded.append(char)
        position += 1
    return ("", start) if quote else ("".join(decoded), position)


def _with_home(name: str) -> str:
    """`~` expanded; names that cannot be a user's (a lone surrogate reached us) stay as they are."""
    try:
        return os.path.expanduser(name)
    except (UnicodeError, ValueError):
        return name


def _from_file_uri(uri: str) -> str | None:
    """The path in a `file://` address of this machine; None for another machine's."""
    host, slash, path = uri[7:].partition("/")
    if host.lower() not in {"", "localhost"}:
        return None
    # "surrogatepass": what cannot be a name (a lone surrogate reached us) is looked for in vain.
    decoded = os.fsdecode(unquote_to_bytes((slash + path).encode("utf-8", "surrogatepass")))
    return decoded[1:] if os.name == "nt" and _DRIVE().match(decoded) else decoded


def _spelling(name: str) -> str:
    """A name with its accents composed and every kind of space made plain."""
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in unicodedata.normalize("NFC", name))
