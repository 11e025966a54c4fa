"""`mmchat roles`: whom the assistant can play."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import narrate, print_json, print_table, print_text, warn
from mmchat.errors import ConfigError, ModelNotFound, UsageError

if TYPE_CHECKING:
    from mmchat.config.role_shelf import BrokenRole
    from mmchat.role_values import Role, RoleText

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
    from mmchat.config.role_shelf import all_roles

    roles, broken = all_roles()
    if as_json:
        print_json([_object(role) for role in roles])
    else:
        rows = [(role.name, " ".join(role.languages), _origin(role), role.description) for role in roles]
        print_table(["NAME", "SPEAKS", "FROM", "ABOUT"], rows)
    for each in broken:
        warn(f"{each.name} cannot be used; 'mmchat roles check {each.name}' says why.")


@app.command()
def show(role: RoleName, as_json: Json = False) -> None:
    """Show all that a role says and sets."""
    from mmchat.config.role_shelf import find_role

    found = find_role(role)
    if as_json:
        print_json(_object(found) | {"texts": {language: _texts(text) for language, text in found.texts.items()}})
        return
    print_text(f"{found.name} ({_origin(found)}): {found.description}".rstrip(": "))
    print_text(f"File: {found.path}")
    print_text(f"Memory: {_MEMORY[found.memory]}")
    for name, value in (("Model", found.model), ("Creator", found.creator)):
        if value:
            print_text(f"{name}: {value}")
    if found.options:
        print_text("Decoding: " + ", ".join(f"{key} {value}" for key, value in found.options.items()))
    for language, text in found.texts.items():
        print_text(f"\n[{language}] {text.title}\n\n{text.system}")
        if text.greeting:
            print_text(f"\nGreeting: {text.greeting}")
        for example in text.examples:
            print_text(f"\nExample: {example.user}\n      -> {example.reply}")


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
    """Say everything that is wrong with roles' files."""
    from mmchat.config.models_file import load_models_file
    from mmchat.config.role_shelf import BrokenRole, all_roles, find_role

    good, broken = all_roles() if not roles else ([], list[BrokenRole]())
    for name in roles or []:
        try:
            good.append(find_role(name))
        except (ConfigError, UsageError) as error:
            broken.append(BrokenRole(name, Path(name), ConfigError(error.message, hint=error.hint)))
    models = load_models_file()
    for role in [role for role in good if role.model]:
        try:
            models.resolve(role.model)
        except (ConfigError, ModelNotFound) as error:
            broken.append(BrokenRole(role.name, role.path, ConfigError(f"{role.path}: model: {error.message}")))
            good.remove(role)
    if as_json:
        print_json([_verdict(role.name, "") for role in good] + [_verdict(e.name, e.error.message) for e in broken])
    else:
        _tell(good, broken)
    if broken:
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


_MEMORY = {"shared": "shares yours", "own": "its own; its conversations recall only each other"}
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

[decoding]
# temperature = 0.7

# [text.zh]                  # the same in Chinese; add "zh" to languages
# title = "…"
# system = "…"
'''


def _name_of(title: str) -> str:
    """A file name out of a character's: "Captain Isolde Marsh" is captain-isolde-marsh."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    if not kept:
        raise UsageError(f"'{title}' has no letters for a file name.", hint="Give it one: --name NAME")
    return "-".join(kept)[:60]


def _origin(role: Role) -> str:
    return "mmchat" if role.is_shipped else "you"


def _object(role: Role) -> dict[str, object]:
    return {
        "name": role.name,
        "description": role.description,
        "languages": list(role.languages),
        "is_shipped": role.is_shipped,
        "path": str(role.path),
        "model": role.model,
        "memory": role.memory,
        "decoding": dict(role.options),
        "creator": role.creator,
    }


def _texts(text: RoleText) -> dict[str, object]:
    return {
        "title": text.title,
        "system": text.system,
        "greeting": text.greeting,
        "examples": [{"user": each.user, "reply": each.reply} for each in text.examples],
    }


def _verdict(name: str, problems: str) -> dict[str, object]:
    return {"name": name, "is_good": not problems, "problems": problems.splitlines()}


def _tell(good: list[Role], broken: list[BrokenRole]) -> None:
    for role in good:
        print_text(f"{role.name}: good")
    for each in broken:
        print_text(f"{each.name}: cannot be used")
        for line in each.error.message.splitlines():
            print_text(f"  {line}")
