"""`mmchat roles`: whom the assistant can play."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import narrate, print_json, print_table, print_text, warn
from mmchat.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmchat.cli.role_checks import Verdict

app = typer.Typer(
    help="List, show, write, check, import.",
    no_args_is_help=True,
    epilog="\b\nExamples:\n"
    "  mmchat roles list\n"
    "  mmchat talk --persona tutor\n"
    "  mmchat roles new guide --from tutor      a copy of your own, to be edited\n"
    "  mmchat roles import captain.png          a character card\n"
    "  mmchat roles check\n"
    "\n\nROLE is a name, or the path of a role's file or folder.",
)

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="Name, as 'mmchat roles list' shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_roles(as_json: Json = False) -> None:
    """List the roles at hand."""
    from mmchat.cli.role_view import origin, role_object
    from mmchat.config.role_shelf import all_roles

    roles, broken = all_roles()
    if as_json:
        print_json([role_object(role) for role in roles])
    else:
        rows = [(role.name, " ".join(role.languages), origin(role), role.description) for role in roles]
        print_table(["NAME", "SPEAKS", "FROM", "ABOUT"], rows)
    for each in broken:
        warn(f"{each.name} cannot be used; 'mmchat roles check {each.name}' says why.")


@app.command()
def show(role: RoleName, as_json: Json = False) -> None:
    """Show all that a role says and sets."""
    from mmchat.cli.role_view import print_role, role_object, text_object
    from mmchat.config.role_shelf import find_role

    found = find_role(role)
    if as_json:
        print_json(
            role_object(found) | {"texts": {language: text_object(text) for language, text in found.texts.items()}}
        )
    else:
        print_role(found)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the role is to be called.")],
    base: Annotated[
        str | None, typer.Option("--from", metavar="ROLE", help="Copy this role instead of an empty form.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a role's file for you to edit."""
    import shutil

    from mmchat.config.role_file import ROLE_FILE, read_role
    from mmchat.config.role_shelf import find_role, new_role_path, write_role

    path = new_role_path(name)
    source = find_role(base).path if base is not None else None
    if source is not None and source.is_dir():
        path = path.with_suffix("")
        shutil.copytree(source, path)
        path = path / ROLE_FILE
    else:
        write_role(path, source.read_text(encoding="utf-8") if source is not None else _FORM)
    read_role(path.parent if path.name == ROLE_FILE else path)
    if as_json:
        print_json({"name": name, "path": str(path)})
    else:
        narrate(f"Written. Edit it, then: mmchat talk --persona {name}")
        print_text(str(path))


@app.command()
def check(
    roles: Annotated[list[str] | None, typer.Argument(metavar="[ROLE]...", help="Names or paths; else all.")] = None,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with roles, and what is weak."""
    from mmchat.cli.role_checks import Verdict, check_role
    from mmchat.config.models_file import load_models_file
    from mmchat.config.role_shelf import BrokenRole, all_roles, find_role

    good, broken = all_roles() if not roles else ([], list[BrokenRole]())
    for name in roles or []:
        try:
            good.append(find_role(name))
        except (ConfigError, UsageError) as error:
            broken.append(BrokenRole(name, Path(name), ConfigError(error.message, hint=error.hint)))
    models = load_models_file()
    verdicts = {role.name: check_role(role, models) for role in good}
    verdicts |= {each.name: Verdict(tuple(each.error.message.splitlines())) for each in broken}
    if as_json:
        print_json([_object(name, verdict) for name, verdict in verdicts.items()])
    else:
        _tell(verdicts)
    if any(verdict.problems for verdict in verdicts.values()):
        raise typer.Exit(ConfigError.exit_code)


@app.command("import")
def import_card(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A character card, PNG or JSON.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to call the role; made from the character's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a role of a character card (V1, V2, V3). Nothing in it is run or fetched."""
    from mmchat.config.character_card import read_card
    from mmchat.config.role_file import role_toml
    from mmchat.config.role_shelf import new_role_path, write_role

    card = read_card(file.expanduser())
    path = new_role_path(name or _name_of(card.name))
    write_role(path, role_toml(card.table, head=f"Imported from the character card {file.name}"))
    if as_json:
        print_json({"name": path.stem, "path": str(path), "left_out": list(card.left_out)})
        return
    narrate(f"{card.name} is a role now. Read the file, then: mmchat talk --persona {path.stem}")
    for each in card.left_out:
        warn(f"Left out: {each}.")
    print_text(str(path))


_FORM = '''# A role: who the assistant is. 'mmchat roles check' reads it with you.
description = "What it is for, in a line"
languages = ["en"]
title = "Name as it is shown"
system = """
You are … Say here who it is, how it speaks, what it knows, what it never does."""
greeting = ""                # what it says first; may stay empty
examples = [                 # how it answers; few and short
  { user = "Hello!", reply = "Hello, what can I do for you?" },
]
memory = "shared"            # or "own": its conversations recall only each other
# model = "smollm2-135m"     # a model or a finetuned adapter of its own

# knowledge = ["docs/"]      # folders and files with what it knows, beside this file
# is_bound_to_documents = true  # what they do not tell, it does not know
# answers = "quote"          # in their own words instead of the model's
# unknown = "I am sorry, I do not know that."
# mask = ["card", "phone", "mail", "identity", "account"]  # taken out before anything is stored
# reads_mood = true          # where it falls, a person is suggested
# hand_over = "Shall I pass you on to a colleague?"
# forbidden = "I only talk about lamps."
# intent_model = "my-head"   # a trained head that tells intents, instead of the examples below

[decoding]
# temperature = 0.7

# [intents]                  # what users want: ten or more messages of each, in every language it speaks
# refund = ["I want my money back", "Please refund my order"]

# [on_intent]                # what it does then: words for the model, or a table
# refund = "Ask for the order number."
# person = { reply = "Of course.", hand_over = true }

# [forbid]                   # what it does not talk about: messages of that kind
# medical = ["Which pills help against a headache?"]

# [text.zh]                  # its words in Chinese; add "zh" to languages
# title = "…"
# system = "…"
'''


def _name_of(title: str) -> str:
    """A file name out of a character's: "Captain Isolde Marsh" is captain-isolde-marsh."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    if not kept:
        raise UsageError(f"'{title}' has no letters for a file name.", hint="Give it one: --name NAME")
    return "-".join(kept)[:60]


def _object(name: str, verdict: Verdict) -> dict[str, object]:
    problems, advice = list(verdict.problems), list(verdict.advice)
    return {"name": name, "is_good": not problems, "problems": problems, "advice": advice}


def _tell(verdicts: Mapping[str, Verdict]) -> None:
    for name, verdict in verdicts.items():
        print_text(f"{name}: {'cannot be used as it is' if verdict.problems else 'good'}")
        for problem in verdict.problems:
            print_text(f"  {problem}")
        for advice in verdict.advice:
            print_text(f"  advice: {advice}")
