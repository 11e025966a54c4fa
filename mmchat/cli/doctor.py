"""`mmchat doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from mmchat.cli.findings import Finding, Status
from mmchat.cli.output import StatusLine, has_colour, print_json
from mmchat.errors import MmchatError
from mmchat.sanitize import plain_line

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat doctor\n"
    "  mmchat doctor --no-listen         do not open the microphone\n"
    "  mmchat doctor --json | jq '.[] | select(.status != \"ok\")'\n"
    "\n\nThe exit code is 0 unless something is broken; what is merely missing is a warning."
)
_COLOURS: dict[Status, str] = {"ok": "32", "warn": "33", "fail": "31"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of findings instead.")] = False,
    no_listen: Annotated[bool, typer.Option("--no-listen", help="Do not open the microphone.")] = False,
) -> None:
    """Check that everything is in place, and say what to do."""
    from mmchat import paths
    from mmchat.native_noise import native_noise_to

    with native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True):
        findings = examine(should_listen=not no_listen, should_print=not as_json)
        if as_json:
            print_json([finding.row() for finding in findings])
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(*, should_listen: bool, should_print: bool) -> list[Finding]:
    """Run all checks in order, printing each finding as it comes."""
    from mmchat.cli import checks, speech, terminal_probe

    listening: tuple[Callable[[], list[Finding]], ...] = (lambda: checks.check_microphone(should_listen=should_listen),)
    findings: list[Finding] = []
    status = StatusLine()
    for check in (*checks.CHECKS, *listening, speech.check_speaking, terminal_probe.check_terminal):
        status.show(f"Checking {len(findings)} …" if findings else "Checking …")
        try:
            found = check()
        except MmchatError as error:
            # A check knows its own subject; what it could not foresee still has a message and a fix.
            found = [Finding(checks.name_of(check), "fail", error.message, error.hint)]
        status.clear()
        findings += found
        if should_print:
            for finding in found:
                sys.stdout.write(render(finding) + "\n")
            sys.stdout.flush()
    return findings


def render(finding: Finding) -> str:
    """A finding as a line, and its fix as another."""
    word = f"{finding.status:4}"
    if has_colour(sys.stdout):
        word = f"\x1b[{_COLOURS[finding.status]}m{word}\x1b[0m"
    lines = [f"{word}  {finding.name:<13} {plain_line(finding.detail)}"]
    if finding.fix:
        lines.append(f"{'':6}{'':13} -> {plain_line(finding.fix)}")
    return "\n".join(lines)
