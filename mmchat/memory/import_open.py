"""What a file, a folder or a zip is, by what stands in it, and the conversations it holds."""

from __future__ import annotations

import contextlib
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from mmchat.errors import DataError, UsageError
from mmchat.memory import import_chatgpt, import_claude, import_llm, import_oterm
from mmchat.memory.import_bundle import Bundle, folder_bundle, zip_bundle
from mmchat.memory.import_database import MAGIC, ForeignDatabase, foreign_database
from mmchat.memory.import_markdown import is_own_markdown, read_markdown
from mmchat.memory.import_rows import conversations_of
from mmchat.memory.import_run import Incoming
from mmchat.memory.json_items import JsonItems
from mmchat.rows.reader import read_rows
from mmchat.rows.values import RowProblem

SourceKind = Literal["mmchat", "chatgpt", "claude", "llm", "oterm", "markdown"]
KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
BACKUP_MANIFEST = "mmchat-backup.json"
_LISTS = r"conversations(-\d+)?\.json"
_NOTHING_KNOWN = (
    "Give a ChatGPT or Claude export (the zip or its conversations.json), JSON Lines, Markdown that mmchat wrote,"
    " or the database of llm or oterm."
)


@dataclass(slots=True)
class ImportSource:
    """Conversations to be read, and how far the reading is."""

    kind: SourceKind
    incoming: Iterator[Incoming]
    total_bytes: int = 0
    """0 where it is not worth telling."""
    done_bytes: Callable[[], int] = field(default=lambda: 0)
    problems: tuple[RowProblem, ...] = ()
    """Rows that were left out on demand."""


@contextlib.contextmanager
def open_source(path: Path, kind: str = "auto", *, should_skip_bad: bool = False) -> Iterator[ImportSource]:
    """Find out what `path` is.

    Args:
        path: a file, a folder or a zip.
        kind: one of `KINDS`, to be sure; or "auto".
        should_skip_bad: leave out rows of JSON Lines that are wrong.

    Raises:
        UsageError: there is no such kind.
        DataError: nothing is there, nothing known is in it, or something of another kind; rows that are wrong.
    """
    if kind not in ("auto", *KINDS):
        raise UsageError(f"'{kind}' is nothing to import from.", hint=f"One of: auto, {', '.join(KINDS)}.")
    with contextlib.ExitStack() as stack:
        source = _Opening(stack, should_skip_bad).open(path)
        if kind not in ("auto", source.kind):
            raise DataError(f"{path} is not of {kind}: it looks like {source.kind}.", hint="Leave --from out.")
        yield source


class _Opening:
    """Keeps open what a source is read from."""

    def __init__(self, stack: contextlib.ExitStack, should_skip_bad: bool) -> None:
        self._stack = stack
        self._should_skip_bad = should_skip_bad

    def open(self, path: Path) -> ImportSource:
        try:
            if path.is_dir():
                return self._bundle(folder_bundle(path))
            with path.open("rb") as file:
                head = file.read(1 << 16)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the path.") from error
        if head.startswith(MAGIC):
            return self._database(path)
        if zipfile.is_zipfile(path):
            return self._bundle(self._stack.enter_context(zip_bundle(path)))
        return self._text(path, head)

    # --- single files ---------------------------------------------------------------------------

    def _text(self, path: Path, head: bytes) -> ImportSource:
        beginning = head.decode("utf-8-sig", "replace").lstrip()
        if beginning.lower().startswith(("<!doctype html", "<html")):
            raise DataError(
                f"{path} is HTML, which is only to be read.",
                hint="Import the JSON Lines or Markdown of the same export; of ChatGPT's, conversations.json.",
            )
        if path.suffix.lower() in (".md", ".markdown") or is_own_markdown(beginning):
            return ImportSource("markdown", read_markdown(path))
        if beginning.startswith("[") or _is_conversation(beginning):
            with path.open("rb") as file:
                kind = _kind_of_list(file, path.name)
            if kind is not None:
                # Pictures lie beside the file, if the export was unpacked.
                return self._lists([path.name], _beside(path), kind)
        rows = read_rows(path, should_skip_bad=self._should_skip_bad)
        return ImportSource("mmchat", iter(conversations_of(rows)), problems=rows.problems)

    def _database(self, path: Path) -> ImportSource:
        database = self._stack.enter_context(foreign_database(path))
        if import_oterm.is_oterm(database):
            return ImportSource("oterm", import_oterm.incoming(database))
        if import_llm.is_llm(database):
            return ImportSource("llm", import_llm.incoming(database))
        raise _unknown(path, database)

    # --- folders and zips -----------------------------------------------------------------------

    def _bundle(self, bundle: Bundle) -> ImportSource:
        if bundle.named(re.escape(BACKUP_MANIFEST)):
            raise DataError(
                f"{bundle.path} is a backup of mmchat's whole memory.",
                hint=f"Bring it back with: mmchat sessions restore-backup {bundle.path}",
            )
        lists = bundle.named(_LISTS)
        if lists:
            with bundle.open(lists[0]) as file:
                kind = _kind_of_list(file, lists[0])
            if kind is None:
                raise DataError(
                    f"{lists[0]} in {bundle.path} holds conversations of no known kind.", hint=_NOTHING_KNOWN
                )
            # Those of one folder belong together: another one is another export.
            folder = lists[0].rpartition("/")[0]
            return self._lists([each for each in lists if each.rpartition("/")[0] == folder], bundle, kind)
        texts = bundle.named(r"(?!\.).*\.(jsonl|md|markdown)")
        if texts:
            return self._texts(texts, bundle)
        databases = [name for name in bundle.named(r"(logs|store)\.db") if not zipfile.is_zipfile(bundle.path)]
        if databases:
            return self._database(bundle.path / databases[0])
        raise DataError(f"{bundle.path} holds nothing to import.", hint=_NOTHING_KNOWN)

    def _lists(self, names: list[str], bundle: Bundle, kind: SourceKind) -> ImportSource:
        before = 0
        current: list[JsonItems] = []

        def items() -> Iterator[object]:
            nonlocal before
            for name in names:
                with bundle.open(name) as file:
                    current[:] = [JsonItems(file, name)]
                    yield from current[0]
                    before += current[0].bytes_read
                    current.clear()

        read = import_chatgpt.incoming(items(), bundle) if kind == "chatgpt" else import_claude.incoming(items())
        return ImportSource(
            kind,
            read,
            total_bytes=sum(bundle.sizes.get(name, 0) for name in names),
            done_bytes=lambda: before + sum(each.bytes_read for each in current),
        )

    def _texts(self, names: list[str], bundle: Bundle) -> ImportSource:
        """Our own exports: rows or Markdown, with files beside them."""
        folder = bundle.path
        if not folder.is_dir():
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mmchat-import-")))
            try:
                with zipfile.ZipFile(bundle.path) as archive:
                    # `extract` keeps every name within the folder.
                    for name in bundle.sizes:
                        archive.extract(name, folder)
            except (OSError, zipfile.BadZipFile, RuntimeError) as error:
                raise DataError(f"{bundle.path} cannot be unpacked: {error}.", hint="Check the free space.") from error
        is_rows = [name for name in names if name.endswith(".jsonl")]
        if not is_rows:
            found = [folder / name for name in names if _holds_own_markdown(folder / name)]
            if not found:
                raise DataError(f"{bundle.path} holds nothing to import.", hint=_NOTHING_KNOWN)
            return ImportSource("markdown", chain.from_iterable(map(read_markdown, found)))
        try:
            files = [read_rows(folder / name, should_skip_bad=self._should_skip_bad) for name in is_rows]
        except DataError as error:
            # The user knows the zip, not the folder that it was unpacked to.
            raise DataError(error.message.replace(str(folder), str(bundle.path)), hint=error.hint) from error
        conversations = [each for rows in files for each in conversations_of(rows)]
        problems = tuple(each for rows in files for each in rows.problems)
        return ImportSource("mmchat", iter(conversations), problems=problems)


def _is_conversation(beginning: str) -> bool:
    """Whether a file that begins with an object holds conversations of other programs, and no rows."""
    first_key = re.match(r'\{\s*"(messages|from|prompt|instruction|text|turns)"', beginning)
    telling = re.search(r'"(mapping|chat_messages|conversations)"\s*:\s*[\[{]', beginning)
    return beginning.startswith("{") and first_key is None and telling is not None and '"from"' not in beginning


def _kind_of_list(file: BinaryIO, name: str) -> SourceKind | None:
    """Whose conversations a list holds, by the first one that tells."""
    for number, item in enumerate(JsonItems(file, name)):
        if import_chatgpt.is_chatgpt(item):
            return "chatgpt"
        if import_claude.is_claude(item):
            return "claude"
        if number >= 20:
            break
    return None


def _beside(path: Path) -> Bundle:
    bundle = folder_bundle(path.parent, is_deep=False)
    return Bundle(
        bundle.path, {**bundle.sizes, path.name: path.stat().st_size}, lambda name: (path.parent / name).open("rb")
    )


def _holds_own_markdown(path: Path) -> bool:
    try:
        return is_own_markdown(path.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError:
        return False


def _unknown(path: Path, database: ForeignDatabase) -> DataError:
    if database.has("sessions", "id", "title") and database.has("turns", "session_id"):
        return DataError(
            f"{path} is a database of mmchat.",
            hint="Export from it there (`mmchat sessions export --all -o talks.zip`), or restore a backup of it.",
        )
    names = ", ".join(sorted(database.tables)[:5]) or "none"
    return DataError(f"{path} is a database of no known program (its tables: {names}).", hint=_NOTHING_KNOWN)
