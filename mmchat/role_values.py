"""What an assistant can be: a role's words, examples and habits, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

MemoryScope = Literal["shared", "own"]
Answering = Literal["model", "quote"]
MaskKind = Literal["card", "phone", "mail", "identity", "account"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)


@dataclass(frozen=True, slots=True)
class RoleExample:
    """How the role answers, shown once."""

    user: str
    reply: str


@dataclass(frozen=True, slots=True)
class IntentAction:
    """What a role does with a message of one intent."""

    instructions: str = ""
    """Told to the model beside the message."""
    reply: str = ""
    """Said in the place of the model's first reply to that intent in a conversation."""
    hand_over: bool = False
    """A person is suggested, with a summary of the conversation."""


@dataclass(frozen=True, slots=True)
class RoleText:
    """A role in one language."""

    title: str
    system: str
    greeting: str = ""
    """What it says before anybody has spoken; empty: nothing."""
    examples: tuple[RoleExample, ...] = ()
    unknown: str = ""
    """Said where its documents tell nothing of what is asked; empty: mmchat's own sentence."""
    forbidden: str = ""
    """Said of a forbidden topic; empty: mmchat's own sentence."""
    hand_over: str = ""
    """Said when a person is suggested; empty: mmchat's own sentence."""
    on_intent: Mapping[str, IntentAction] = field(default_factory=dict)
    """By intent."""


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
    knowledge: tuple[Path, ...] = ()
    """Folders and files of its documents, absolute."""
    is_bound_to_documents: bool = False
    """What its documents do not tell, it does not know."""
    answers: Answering = "model"
    """`quote`: in the documents' own words instead of the model's."""
    intents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What users want, each with messages of that kind, in any language."""
    intent_model: str = ""
    """A trained head that tells intents, instead of the examples."""
    forbid: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Topics that it does not talk about, each with messages of that kind."""
    mask: tuple[MaskKind, ...] = ()
    """Personal data that is masked before it is stored or read by anything."""
    reads_mood: bool = False
    """The mood of messages is read; where it falls, a person is suggested."""

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
