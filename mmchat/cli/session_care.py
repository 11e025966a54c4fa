"""`mmchat sessions recover` and `mmchat sessions gc`: mending the store, and tidying it up."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmchat.cli.output import StatusLine, confirm, narrate, print_json, print_text

if TYPE_CHECKING:
    from mmchat.memory.collect import Litter
    from mmchat.memory.recovery import Recovered

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

RECOVER_EPILOG = (
    "\b\nExamples:\n"
    "  mmchat doctor                    says whether there is damage\n"
    "  mmchat sessions recover          leave mmchat everywhere else first\n"
    "  mmchat sessions recover --json\n"
    "\n\nThe damaged file is never written to. It stays beside the new one as mmchat.db.damaged-TIME, with its log; "
    "delete it when you are content. A full-text index that alone is damaged is built anew in place."
)
GC_EPILOG = (
    "\b\nExamples:\n"
    "  mmchat sessions gc --dry-run     only say what would go\n"
    "  mmchat sessions gc --yes --compact\n"
    "\n\nWhat goes: conversations that have been in the trash for 30 days, kept files that no turn uses, vectors and "
    "lock files without an owner, folders of crashed --no-log conversations, copies from before an upgrade after 30 "
    "days. Files younger than an hour stay: somebody may be about to need them."
)


def add_care(app: typer.Typer) -> None:
    """Register `recover` and `gc` with the commands on conversations."""
    app.command("recover", epilog=RECOVER_EPILOG)(recover)
    app.command("gc", epilog=GC_EPILOG)(gc)


def recover(as_json: Json = False) -> None:
    """Mend a damaged database. What can be read goes into a new one, which takes its place."""
    from mmchat.wiring import recover_store

    status = StatusLine()
    try:
        recovered = recover_store(lambda text: status.show(f"{text[:1].upper()}{text[1:]} …"))
    finally:
        status.clear()
    if as_json:
        print_json(recovered_object(recovered))
    else:
        for line in recovered_lines(recovered):
            print_text(line)


def recovered_lines(recovered: Recovered) -> list[str]:
    """What was done, in words."""
    if not recovered.problems:
        return ["Nothing is wrong with the conversations, so nothing was done."]
    lines = [f"Found: {problem}" for problem in recovered.problems[:3]]
    if len(recovered.problems) > 3:
        lines.append(f"… and {len(recovered.problems) - 3} more problems.")
    if recovered.kept is None:
        return [*lines, "The full-text index was built anew. Nothing was lost."]
    done = recovered.rebuilt
    turns, sessions = _count(done.rows.get("turns", 0), "turn"), _count(done.rows.get("sessions", 0), "conversation")
    lines.append(f"Recovered {turns} in {sessions}.")
    if done.lost_turns:
        lines.append(f"Lost: {_count(done.lost_turns, 'turn')}.")
    if done.cut_turns:
        lines.append(f"Came over in part, and say so: {_count(done.cut_turns, 'turn')}.")
    if done.unreadable_pages:
        lines.append(f"Pages that could not be read: {done.unreadable_pages} of {done.page_count}.")
    if done.renamed_sessions:
        lines.append(f"Conversations without their title: {done.renamed_sessions}, now 'Recovered conversation'.")
    if done.stray_turns:
        lines.append(f"Found by their shape: {_count(done.stray_turns, 'turn')}; deleted ones may be among them.")
    if done.missing_files:
        lines.append(f"Kept files that are gone: {done.missing_files}; what was seen and heard in them is there.")
    others = {table: lost for table, lost in done.lost_rows.items() if table != "turns"}
    if others:
        lines.append("Also lost: " + ", ".join(f"{lost} of {table}" for table, lost in sorted(others.items())) + ".")
    return [*lines, f"The damaged file is kept: {recovered.kept}"]


def recovered_object(recovered: Recovered) -> dict[str, Any]:
    """The object that `--json` prints."""
    done = recovered.rebuilt
    return {
        "problems": list(recovered.problems),
        "kept": str(recovered.kept) if recovered.kept else None,
        "rows": done.rows,
        "lost_turns": done.lost_turns,
        "cut_turns": done.cut_turns,
        "stray_turns": done.stray_turns,
        "lost_rows": done.lost_rows,
        "unreadable_pages": done.unreadable_pages,
        "pages": done.page_count,
        "renamed_sessions": done.renamed_sessions,
        "missing_files": done.missing_files,
    }


def gc(
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    should_compact: Annotated[
        bool, typer.Option("--compact", help="Also write the database anew without its gaps.")
    ] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what nobody needs any more. Safe beside a running app."""
    from mmchat.memory.collect import compact, find_litter, remove_litter
    from mmchat.wiring import open_store

    with closing(open_store()) as store:
        litter = find_litter(store)
        if not as_json:
            for line in litter_lines(litter):
                print_text(line)
        if not is_dry and litter.holds_words and not is_sure and not confirm("Remove it for good?"):
            narrate("Nothing was removed.")
            raise typer.Exit(1)
        if not is_dry and not litter.is_none:
            remove_litter(store, litter)
        freed = compact(store) if should_compact and not is_dry else 0
    if as_json:
        print_json({**litter_object(litter), "compacted_bytes": freed, "is_dry_run": is_dry})
        return
    if is_dry and not litter.is_none:
        narrate("Nothing was removed; leave out --dry-run to do so.")
    if should_compact and not is_dry:
        print_text(f"The database is {_megabytes(freed)} smaller.")


def litter_lines(litter: Litter) -> list[str]:
    """What can go, in words."""
    if litter.is_none:
        return ["There is nothing to remove."]
    titles = "".join(f"\n  {each.title or each.id}" for each in litter.trash)
    lines = [
        (len(litter.trash), f"conversations in the trash for 30 days:{titles}"),
        (len(litter.files), "kept files that no turn uses"),
        (litter.vectors, "vectors of turns that are gone"),
        (len(litter.locks), "lock files of programs that are gone"),
        (len(litter.private_folders), "folders of --no-log conversations that crashed"),
        (len(litter.copies), "copies from before an upgrade or an unfinished recovery"),
    ]
    return [f"{count} {what}" for count, what in lines if count] + [f"Files: {_megabytes(litter.size_bytes)}"]


def litter_object(litter: Litter) -> dict[str, Any]:
    """The object that `--json` prints."""
    return {
        "trash": [each.id for each in litter.trash],
        "files": [str(path) for path in litter.files],
        "vectors": litter.vectors,
        "locks": len(litter.locks),
        "private_folders": [str(path) for path in litter.private_folders],
        "copies": [str(path) for path in litter.copies],
        "bytes": litter.size_bytes,
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
