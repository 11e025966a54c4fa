"""What an assistant can be: a role's words, examples and habits, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MemoryScope = Literal["shared", "own"]


@dataclass(frozen=True, slots=True)
class RoleExample:
    """How the role answers, shown once."""

    user: str
    reply: str


@dataclass(frozen=True, slots=True)
class RoleText:
    """A role in one language."""

    title: str
    system: str
    greeting: str = ""
    """What it says before anybody has spoken; empty: nothing."""
    examples: tuple[RoleExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """Who the assistant is in a conversation."""

    name: str
    """Also the name of its file or folder."""
    description: str
    texts: Mapping[str, RoleText]
    """By language, ISO 639-1, the first one being its own."""
    path: Path
    is_shipped: bool = False
    """It came with mmchat."""
    options: Mapping[str, int | float] = field(default_factory=dict)
    """Fields of `GenerateOptions` that it sets."""
    model: str = ""
    """Language model or finetuned adapter; empty: the user's."""
    memory: MemoryScope = "shared"
    """`own`: its conversations recall only each other, and no others recall them."""
    creator: str = ""

    @property
    def languages(self) -> tuple[str, ...]:
        """Its own first."""
        return tuple(self.texts)

    def text(self, language: str = "") -> RoleText:
        """Its words in a language, or in its own where it does not speak that one."""
        return self.texts.get(language) or next(iter(self.texts.values()))


@dataclass(frozen=True, slots=True)
class Persona:
    """A role as it is played in one conversation."""

    role: Role
    language: str

    @property
    def text(self) -> RoleText:
        """Its words."""
        return self.role.text(self.language)

    @property
    def key(self) -> str:
        """How a conversation names it: the name, and the language where that is not the role's own."""
        is_own = self.language == self.role.languages[0]
        return self.role.name if is_own else f"{self.role.name}:{self.language}"
