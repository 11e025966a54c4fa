"""The `mmchat` command. A subcommand's module is imported when it is named, all of them by --help."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from mmchat import __version__

COMMANDS: dict[str, str] = {
    "talk": "mmchat.cli.talk:talk",
    "ask": "mmchat.cli.ask:ask",
    "transcribe": "mmchat.cli.transcribe:transcribe",
    "see": "mmchat.cli.see:see",
    "recall": "mmchat.cli.recall:recall",
    "sessions": "mmchat.cli.sessions:app",
    "memory": "mmchat.cli.memory:app",
    "roles": "mmchat.cli.roles:app",
    "docs": "mmchat.cli.docs:app",
    "finetune": "mmchat.cli.finetune:finetune",
    "eval": "mmchat.cli.eval:app",
    "models": "mmchat.cli.models:app",
    "doctor": "mmchat.cli.doctor:doctor",
}
"""Name → "module:attribute" of a function or a Typer app, in the order of the help."""


def _load(name: str) -> Any:
    module_name, _, attribute = COMMANDS[name].partition(":")
    target = getattr(import_module(module_name), attribute)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False)
        target.command(name, epilog=getattr(import_module(module_name), "EPILOG", None))(function)
    # Plain help: reads well aloud and in a pipe, keeps the examples' lines, and never takes [text] for markup.
    target.rich_markup_mode = None
    target._add_completion = False  # the root offers it, for all
    loaded: Any = get_command(target)
    loaded.name = name
    return loaded


class LazyGroup(TyperGroup):
    """Imports the one command that was asked for."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        if cmd_name not in COMMANDS:
            for name in COMMANDS:  # the suggestion for a mistyped name looks through the loaded ones
                self.get_command(ctx, name)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"mmchat {__version__}")
        raise typer.Exit


@app.callback(
    epilog="\b\nExamples:\n"
    "  mmchat talk                                     a conversation in the terminal\n"
    '  mmchat ask "What is this?" -a dog.jpg           one question, one answer\n'
    "  mmchat doctor                                   is everything in place?\n"
    "\n\nMMCHAT_HOME moves settings, conversations and weights under one folder."
)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """A private multimodal chat that lives in the terminal: type, show, speak; a local model answers and remembers."""


def command() -> Any:
    """The whole command line, ready to run."""
    return get_command(app)
