"""`mmchat sessions backup` and `restore-backup`: the whole memory in a zip, and back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import StatusLine, confirm, narrate, print_json, print_text, warn
from mmchat.moments import local_minute

if TYPE_CHECKING:
    from mmchat.memory.backup import BackupReport


def add_backup(app: typer.Typer) -> None:
    """Register both commands with those on conversations."""
    app.command("backup", epilog="\b\nExamples:\n  mmchat sessions backup\n  mmchat sessions backup /media/stick\n")(
        backup
    )
    app.command(
        "restore-backup",
        epilog="\b\nExample:\n  mmchat sessions restore-backup mmchat-backup-2026-11-22-0530.zip\n",
    )(restore)


def backup(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new zip, or a folder for one. Else among mmchat's files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the whole memory into a zip, also while in use.

    All conversations with their files, facts, summaries, ratings and vectors. The zip is read back and checked; its
    path is printed.
    """
    from mmchat import paths
    from mmchat.cli.stoppable import run_stoppable
    from mmchat.memory.backup import default_name, write_backup
    from mmchat.memory.import_values import counted
    from mmchat.wiring import open_store

    if path is None:
        path = paths.private_dir(paths.data_dir() / "backups") / default_name()
    elif path.is_dir():
        path = path / default_name()
    target, status, doing = path, StatusLine(), [""]
    with closing(open_store()) as store:

        def work(cancel: Event) -> BackupReport:
            return write_backup(store, target, cancel=cancel, say=lambda text: doing.__setitem__(0, text))

        try:
            report = run_stoppable(
                work, on_stop=lambda: status.show("Giving up…"), on_wait=lambda: status.show(f"{doing[0]}…")
            )
        finally:
            status.clear()
    if as_json:
        print_json({**asdict(report), "path": str(report.path)})
    else:
        print_text(str(report.path))
    narrate(
        f"{counted(report.conversations, 'conversation')}, {counted(report.turns, 'turn')},"
        f" {counted(report.files, 'file')};"
        f" {report.size_bytes / 1e6:,.1f} MB, checked. Keep a copy on another disk."
    )
    if report.problems:
        warn("\n".join(["Not whole even before:", *(f"  {each}" for each in report.problems[:10])]))


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A zip of `mmchat sessions backup`.")],
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Bring a backup back. What is there now is moved aside, not deleted.

    The zip is checked whole before anything is moved. Close every other mmchat first.
    """
    from mmchat import paths
    from mmchat.memory.import_values import counted
    from mmchat.memory.restore import look_into_backup, restore_backup, stored_conversations

    contents = look_into_backup(path)
    said_at = local_minute(contents.created_at) if contents.created_at else "an unknown time"
    now = stored_conversations(paths.database_path())
    yours = "your conversations" if now is None else f"your {now:,} conversations"
    question = f"Replace {yours} by the {contents.conversations:,} of {said_at}? Yours are moved aside."
    if now != 0 and not is_sure and not confirm(question):
        narrate("Nothing was changed.")
        raise typer.Exit(1)
    status = StatusLine()
    try:
        aside = restore_backup(path, paths.database_path(), paths.blobs_dir(), say=lambda text: status.show(f"{text}…"))
    finally:
        status.clear()
    back = f"{counted(contents.conversations, 'conversation')} with {counted(contents.turns, 'turn')}"
    narrate(f"Brought back {back} of {said_at}.")
    if aside is not None:
        warn(f"What was there before is in {aside}; delete that folder when you need it no more.")
