"""Whom the assistant can play: the roles at hand, and the model that each wants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mmchat.domain import Message
from mmchat.errors import MmchatError, UsageError
from mmchat.patterns import later

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.domain import Session
    from mmchat.role_values import MaskKind, Persona, Role, RoleText

log = logging.getLogger(__name__)

NOBODY = ("off", "none")
"""What `/persona` and `--persona` take for no role."""

_ROLE_KEY = later(r"[A-Za-z0-9][A-Za-z0-9._-]*(?::[a-z]{2,3})?")


def find_persona(key: str) -> Persona:
    """A role by name, with a language where one is named (`tutor:zh`).

    Raises:
        UsageError: there is none of that name, or it does not speak that language.
        ConfigError: its file cannot be used.
    """
    from mmchat.config import role_shelf

    return role_shelf.find_persona(key)


def usable_roles() -> tuple[Role, ...]:
    """All roles whose files can be used, by name."""
    from mmchat.config.role_shelf import all_roles

    return tuple(all_roles()[0])


def find_named(key: str) -> Persona:
    """A role as a stored name means it: without a language its own, whatever the terminal's is.

    Raises:
        UsageError, ConfigError: as `find_persona`.
    """
    return _in_its_words(find_persona(key), key)


def _in_its_words(persona: Persona, key: str) -> Persona:
    return persona if ":" in key else replace(persona, language=persona.role.languages[0])


def system_text(persona: str) -> str:
    """What a `persona` of a row says: a role's system text where it is a role's name, else the text itself.

    Raises:
        UsageError: one word that is no role's name; no model could play that.
        ConfigError: the role's file cannot be used.
    """
    if not _ROLE_KEY().fullmatch(persona.strip()):
        return persona
    try:
        return find_named(persona.strip()).text.system
    except UsageError as error:
        hint = "Name a role of `mmchat roles list`, or write out in a sentence who it is."
        raise UsageError(f"persona: {error.message}", hint=hint) from error


def example_messages(text: RoleText) -> tuple[Message, ...]:
    """Exchanges that show how a role answers."""
    return tuple(each for one in text.examples for each in (Message("user", one.user), Message("assistant", one.reply)))


class Casting:
    """Finds who is played, and changes to the model that a role brings and back."""

    def __init__(
        self,
        engines: Engines,
        *,
        usual_model: str = "",
        is_model_typed: bool = False,
        find: Callable[[str], Persona] = find_persona,
    ) -> None:
        """What is so when it begins.

        Args:
            engines: the models.
            usual_model: the one to go back to, where a role has brought its own already.
            is_model_typed: the user named the model; no role changes it.
            find: a role by its key.
        """
        self._engines = engines
        self._find = find
        self._usual_model = usual_model
        self._is_model_typed = is_model_typed

    def choose(self, key: str) -> Persona | None:
        """Whom new conversations are with from now on; empty for nobody. Its model begins to load.

        Raises:
            UsageError, ConfigError: there is no such role.
            ModelNotFound: the role wants a model that is not in models.toml; nothing was changed.
        """
        persona = None if not key or key in NOBODY else self._find(key)
        self._use_model_of(persona)
        return persona

    def of(self, session: Session) -> Persona | None:
        """Whom a stored conversation is with; None where its role's file is gone, whose text it keeps itself."""
        persona = None
        try:
            if session.role:
                persona = _in_its_words(self._find(session.role), session.role)
            self._use_model_of(persona)
        except MmchatError:
            log.warning("the role %s of a conversation cannot be used", session.role, exc_info=True)
            return None
        return persona

    def masked_in(self, session: Session) -> tuple[MaskKind, ...]:
        """What whoever a stored conversation is with masks; nothing where the role's file is gone or cannot be read."""
        try:
            return self._find(session.role).role.mask if session.role else ()
        except MmchatError:
            log.warning("the role %s of a conversation cannot be used", session.role, exc_info=True)
            return ()

    def _use_model_of(self, persona: Persona | None) -> None:
        if self._is_model_typed:
            return
        wanted = persona.role.model if persona is not None else ""
        current = next((each.name for each in self._engines.language_models() if each.is_default), "")
        if wanted and wanted != current:
            self._engines.use_language_model(wanted)
            self._usual_model = self._usual_model or current
        elif not wanted and self._usual_model:
            self._engines.use_language_model(self._usual_model)
            self._usual_model = ""
