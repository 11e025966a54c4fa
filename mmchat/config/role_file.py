"""One role as a TOML file that a user writes in a minute: the schema, reading and writing it.

    description = "Helps to practise Spanish"
    system = "You are a patient teacher of Spanish."
    greeting = "¡Hola!"
    examples = [{ user = "What is a dog?", reply = "Un perro. And a cat is …?" }]

Other languages stand under `[text.zh]`; the file's own language is the first of `languages`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, ValidationError

from mmchat.config.greeting import USER, unnamed
from mmchat.config.model_entries import Decoding, absolute_path, is_model_name
from mmchat.config.problems import did_you_mean, read_toml, validation_problems
from mmchat.domain import OUT_OF_SCOPE
from mmchat.errors import ConfigError
from mmchat.role_values import Answering, IntentAction, MaskKind, MemoryScope, Role, RoleExample, RoleText

ROLE_FILE = "role.toml"
"""In a role that is a folder."""
MAX_FILE_BYTES = 1_000_000
MAX_CHARACTERS = 32_000
"""Of one text: some 8,000 tokens, more than most windows hold."""

_Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
_Words = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
_Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,60}$")]
_Message = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Messages = Annotated[tuple[_Message, ...], Field(min_length=1, max_length=200)]


class ExampleTable(BaseModel):
    """A message and the role's reply to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Annotated[_Words, StringConstraints(min_length=1)]
    reply: Annotated[_Words, StringConstraints(min_length=1)]


class ActionTable(BaseModel):
    """What the role does with a message of one intent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instructions: _Words = ""
    reply: _Words = ""
    hand_over: StrictBool = False


class TextTable(BaseModel):
    """The role's words in one language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Annotated[str, StringConstraints(max_length=80)] = ""
    """As it is shown; empty: the name of the file."""
    system: Annotated[_Words, StringConstraints(min_length=1)]
    """Said to the model before everything else, and never dropped."""
    greeting: _Words = ""
    examples: tuple[ExampleTable, ...] = Field(default=(), max_length=20)
    unknown: _Words = ""
    """Said where its documents tell nothing of what is asked."""
    forbidden: _Words = ""
    """Said of a forbidden topic."""
    hand_over: _Words = ""
    """Said when a person is suggested."""
    on_intent: dict[_Label, _Words | ActionTable] = Field(default_factory=dict)
    """Intent → instructions for the model, or a table of instructions, reply and hand_over."""


class RoleTable(TextTable):
    """The whole file."""

    description: Annotated[str, StringConstraints(max_length=300)] = ""
    languages: tuple[_Language, ...] = Field(default=("en",), min_length=1)
    """The first is that of the texts at the top; those of the others stand under `[text.LANGUAGE]`."""
    text: dict[_Language, TextTable] = Field(default_factory=dict)
    model: str = ""
    memory: MemoryScope = "shared"
    decoding: Decoding = Field(default_factory=Decoding)
    creator: Annotated[str, StringConstraints(max_length=200)] = ""
    knowledge: tuple[str, ...] = ()
    """Folders and files with what it knows, below the folder of the role's file where they are relative."""
    is_bound_to_documents: StrictBool = False
    """What the documents do not tell, it does not know: it says `unknown` then."""
    answers: Answering = "model"
    """`quote` answers in the documents' own words instead of the model's."""
    intents: dict[_Label, _Messages] = Field(default_factory=dict)
    """What users want → messages of that kind, in any language."""
    intent_model: str = ""
    """A trained head that tells intents, instead of the examples."""
    forbid: dict[_Label, _Messages] = Field(default_factory=dict)
    """Topics that it does not talk about → messages of that kind, in any language."""
    mask: tuple[MaskKind, ...] = ()
    """Personal data that is masked before it is stored."""
    reads_mood: StrictBool = False
    """The mood of messages is read; where it falls, a person is suggested."""


def read_role(path: Path, *, is_shipped: bool = False) -> Role:
    """Read a role: a TOML file, or a folder with a `role.toml`.

    Raises:
        ConfigError: it is none; everything that is wrong with it is said at once.
    """
    file = path / ROLE_FILE if path.is_dir() else path
    name = path.name if path.is_dir() else path.stem
    problems = [] if is_model_name(name) else [f"{file}: its name may hold letters, digits, '.', '_' and '-' only."]
    _check_size(file)
    table = read_toml(file)
    try:
        parsed = RoleTable.model_validate(table)
    except ValidationError as error:
        problems += [*validation_problems(error, file, "", RoleTable), *_intent_problems(file, table)]
        raise ConfigError(
            "\n".join(problems), hint="Mend what is named; 'mmchat roles new' writes an example."
        ) from error
    problems += _language_problems(file, parsed) + _intent_problems(file, table)
    if problems:
        raise ConfigError("\n".join(problems), hint="Mend what is named.")
    return _role(name, path, parsed, is_shipped=is_shipped)


def role_toml(table: dict[str, Any], head: str = "") -> str:
    """A role's file as text.

    Args:
        table: what `RoleTable` takes.
        head: comment lines before it, without their `#`.
    """
    import tomlkit  # writes roles; reading them, as a start may, does without

    document = tomlkit.document()
    for line in head.splitlines():
        document.add(tomlkit.comment(line))
    for key, value in table.items():
        if isinstance(value, str) and "\n" in value:
            document.add(key, tomlkit.string(value, multiline=True))
        else:
            document.add(key, value)
    written = tomlkit.dumps(document)
    assert tomllib.loads(written) == table
    return written


def _check_size(file: Path) -> None:
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        raise ConfigError(f"There is no role at '{file}'.", hint="mmchat roles list") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}.") from error
    if size > MAX_FILE_BYTES:
        raise ConfigError(f"{file}: {size:,} bytes are too much for a role.", hint="Is it the right file?")


def _language_problems(file: Path, table: RoleTable) -> list[str]:
    own = table.languages[0]
    problems = [
        f"{file}: languages: '{language}' has no [text.{language}] table."
        for language in table.languages[1:]
        if language not in table.text
    ]
    if own in table.text:
        problems.append(f"{file}: text.{own}: '{own}' is the language of the texts at the top already.")
    return problems


def _intent_problems(file: Path, table: dict[str, Any]) -> list[str]:
    """Intents that something is done for, and that nothing tells. What a head can tell is known to it only.

    The table is as TOML has it, so that this is said beside whatever else is wrong in it.
    """
    misspelt = table.keys() - RoleTable.model_fields.keys()
    is_unknown = "intents" not in table and any(did_you_mean(key, ("intents", "intent_model")) for key in misspelt)
    if table.get("intent_model") or is_unknown:
        return []
    told = _table(table, "intents").keys() | {OUT_OF_SCOPE}
    texts = {"": table} | {f"text.{language}.": text for language, text in _table(table, "text").items()}
    return [
        f"{file}: {place}on_intent.{intent}: there are no messages of that kind; give some under [intents]."
        for place, text in texts.items()
        for intent in _table(text, "on_intent")
        if intent not in told
    ]


def _table(table: Any, key: str) -> dict[str, Any]:
    """The table under a key; empty where something else stands there."""
    found = table.get(key) if isinstance(table, dict) else None
    return found if isinstance(found, dict) else {}


def _role(name: str, path: Path, table: RoleTable, *, is_shipped: bool) -> Role:
    others = {language: table.text[language] for language in table.languages[1:]}
    others |= {language: text for language, text in table.text.items() if language not in others}
    return Role(
        name=name,
        description=table.description,
        texts={
            language: _text(name, language, text) for language, text in {table.languages[0]: table, **others}.items()
        },
        path=path,
        is_shipped=is_shipped,
        options={key: value for key, value in table.decoding.model_dump().items() if value is not None},
        model=table.model,
        memory=table.memory,
        creator=table.creator,
        knowledge=tuple(absolute_path(each, path if path.is_dir() else path.parent) for each in table.knowledge),
        is_bound_to_documents=table.is_bound_to_documents,
        answers=table.answers,
        intents=table.intents,
        intent_model=table.intent_model,
        forbid=table.forbid,
        mask=table.mask,
        reads_mood=table.reads_mood,
    )


def _text(name: str, language: str, table: TextTable) -> RoleText:
    title = table.title or name
    them, you = ("用户", "你") if language == "zh" else ("the user", "you")

    def filled(text: str, user: str = you) -> str:
        """Character cards name the two who speak by these marks; people write them into files of their own too."""
        return text.strip().replace("{{char}}", title).replace(USER, user)

    examples = tuple(RoleExample(filled(each.user), filled(each.reply)) for each in table.examples)
    return RoleText(
        title,
        filled(table.system, them),
        filled(unnamed(table.greeting, you)),
        examples,
        unknown=filled(table.unknown),
        forbidden=filled(table.forbidden),
        hand_over=filled(table.hand_over),
        on_intent={intent: _action(told, filled) for intent, told in table.on_intent.items()},
    )


def _action(told: str | ActionTable, filled: Callable[[str], str]) -> IntentAction:
    if isinstance(told, str):
        return IntentAction(filled(told))
    return IntentAction(filled(told.instructions), filled(told.reply), told.hand_over)
