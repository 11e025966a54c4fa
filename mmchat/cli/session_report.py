"""`mmchat sessions report`: what the conversations with a role tell of what users want, miss and think."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmchat.cli.output import confirm, narrate, print_json, warn
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.chat.report_values import Report
    from mmchat.memory.report import Scope


def add_report(app: typer.Typer) -> None:
    """Register `report` with the commands on conversations."""
    app.command(
        "report",
        epilog="\b\nExamples:\n"
        "  mmchat sessions report --role support --since 30\n"
        "  mmchat sessions report --role support --html report.html\n"
        "  mmchat sessions report --role support --rows rows.jsonl      then fill in rows.todo.csv, and repeat it\n"
        '\n\nA time is a day (2026-03-01), a number of days back (30), or such as "last week".',
    )(report_sessions)


def report_sessions(
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="Only with this role; 'none': without one.")
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Only what was said since then.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Only what was said up to then.")] = "",
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to read and pass on.")
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option("--rows", metavar="FILE", help="Write rows for finetuning, and a sheet of what they still need."),
    ] = None,
    rows_as: Annotated[
        str, typer.Option("--as", metavar="dialogue|preference|label", help="Which rows; else dialogue.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Replace files without asking.")] = False,
) -> None:
    """Look back: intents, moods, gaps, ratings, speed."""
    from mmchat.chat.report import make_report
    from mmchat.cli.report_export import check_rows_as, write_report_rows
    from mmchat.cli.report_view import print_report
    from mmchat.cli.spans import span_bounds
    from mmchat.memory.report import Scope, exchanges
    from mmchat.wiring import open_store

    if rows_as and rows is None:
        raise UsageError("--as is for rows.", hint="Add --rows FILE.")
    kind = check_rows_as(rows_as)
    now = datetime.now().astimezone()
    scope = Scope(_scope_role(role), *span_bounds(since, until, now))
    with closing(open_store()) as store:
        report = make_report(store, scope, now)
        if not report.messages:
            has_others = scope.role == "" and bool(exchanges(store, Scope()))
            _say_nothing(report, scope, as_json=as_json, has_others=has_others)
            return
        for path in (html, rows):
            if path is not None and path.exists() and not is_sure and not confirm(f"Replace {path}?"):
                narrate("Nothing was written.")
                raise typer.Exit(1)
        counts = write_report_rows(store, report, scope, rows, kind) if rows is not None else {}
    if html is not None:
        from mmchat.cli.report_page import write_page
        from mmchat.moments import utc_text

        write_page(html, report, utc_text(datetime.now(UTC)))
        narrate(f"Wrote {html}.")
    if as_json:
        print_json(report_object(report) | ({"rows": counts} if rows is not None else {}))
    elif html is None and rows is None:
        print_report(report)


def _scope_role(role: str | None) -> str | None:
    """A role as `Scope` has it. Raises UsageError where neither a role nor a conversation has that name."""
    from mmchat.chat.roles import NOBODY

    return "" if role in NOBODY else role


def report_object(report: Report) -> dict[str, Any]:
    """What `--json` prints: the fields of `chat.report_values.Report`, numbers to four places."""
    rounded: dict[str, Any] = _rounded(asdict(report))
    return rounded


def _rounded(value: object) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def _say_nothing(report: Report, scope: Scope, *, as_json: bool, has_others: bool) -> None:
    """There is no message: say what to do. Raises UsageError where there is no such role."""
    from mmchat.chat.roles import find_persona

    if scope.role:
        find_persona(scope.role)
    if as_json:
        print_json(report_object(report))
    elif scope.since or scope.until:
        warn("Nothing was said in that time. Leave out --since and --until to see all.")
    elif scope.role:
        warn(f"No conversation with {scope.role} yet: mmchat talk --persona {scope.role}")
    elif has_others:
        warn("All conversations have a role. Leave out --role to see them.")
    else:
        warn("No conversation yet: mmchat talk")
