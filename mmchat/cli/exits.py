"""The program's entry point: every way out of mmchat, and its exit code.

0 done, 1 internal or other, 2 usage and configuration, 3 missing model or library, 4 media and
data, 5 device, 130 interrupted. The only place that catches every exception.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mmchat import __version__, paths
from mmchat.cli.output import StatusLine, print_error, print_error_text
from mmchat.errors import MmchatError
from mmchat.narration import listen
from mmchat.openmp import settle_waiting
from mmchat.sanitize import plain_line, plain_text

EXIT_INTERNAL = 1
EXIT_INTERRUPTED = 130
MAX_LOG_BYTES = 1 << 20


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        args: without the program's name; None takes the process's own.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without our letters shows "?", it does not stop us
    if args is None:
        _start_quickly()
        _quiet_libraries()
    status = StatusLine()
    listen(lambda text: status.show(text) if text else status.clear())
    try:
        code = _run(sys.argv[1:] if args is None else list(args))
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_INTERNAL
    return code


def _start_quickly() -> None:
    """Spare a start what it does not need."""
    # Importing makes hundreds of thousands of objects that stay. Python looks them over for garbage again and again:
    # with its own threshold of 700 that was a seventh of the time until the box of `talk` takes a letter.
    gc.set_threshold(20_000, 10, 10)
    # pydantic would read the metadata of every installed package to find plugins of its own; we use none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class _LogFile(logging.Handler):
    """Appends records to the log; opens it only when there is something to write."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # a log that cannot be written must not stop what is being logged
            append_to_log(self.format(record) + "\n")


def _quiet_libraries() -> None:
    """Send what libraries log and warn of to a file: the screen is the conversation's. Python's -W still holds."""
    handler = _LogFile(level=logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    settle_waiting()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _run(args: list[str]) -> int:
    try:
        import typer

        from mmchat.cli.app import command
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    try:
        result = command().main(args, prog_name="mmchat", standalone_mode=False)
    except MmchatError as error:
        print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        _print_usage_error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print_error_text("Interrupted.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return _report_internal_error(error)
    return result if isinstance(result, int) else 0


def _print_usage_error(error: Exception) -> None:
    """Say what is wrong with the command as typed; without a command, show the help that Typer put in its place."""
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        print_error_text(str(context.get_help()))
        return
    message = getattr(error, "format_message", error.__str__)()
    print_error_text(f"Error: {plain_line(message)}")
    if context is not None:
        print_error_text(f"Try '{context.command_path} --help'.")


def _report_internal_error(error: Exception) -> int:
    """A mistake of ours: one line for the user, the traceback for a bug report."""
    summary = plain_line(f"{type(error).__name__}: {error}")[:300]
    print_error_text(f"Internal error, a mistake in mmchat: {summary}")
    try:
        path = write_traceback(error)
    except OSError as log_error:
        print_error_text(f"The details could not be saved: {plain_line(str(log_error))}")
    else:
        print_error_text(f"Nothing stored was lost. Details for a bug report: {plain_text(str(path))}")
    return EXIT_INTERNAL


def write_traceback(error: BaseException) -> Path:
    """Append an exception's traceback to the log, and return the log's path."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return append_to_log(f"--- {time} mmchat {__version__}\n" + "".join(traceback.format_exception(error)))


def append_to_log(text: str) -> Path:
    """Append to the log, which its user alone can read, and return its path. Above 1 MiB it is begun anew.

    Raises:
        OSError: it cannot be written.
    """
    path = paths.private_dir(paths.log_dir()) / "mmchat.log"
    is_full = path.exists() and path.stat().st_size > MAX_LOG_BYTES
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if is_full else 0), 0o600)
    with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(text)
    return path


def _silence_stdout() -> None:
    """The reader of our output has gone; keep Python from complaining about it on the way out."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
