"""What is wrong with a role, beyond what its file alone tells; and what is not wrong, but weak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmchat.errors import ConfigError, ModelNotFound
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmchat.config.models_file import ModelsFile
    from mmchat.role_values import Role

FEW_MESSAGES = 5
"""Of an intent, or of a forbidden topic: with fewer, others are not told from it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out for one role."""

    problems: tuple[str, ...] = ()
    """With these it does not do what its file says."""
    advice: tuple[str, ...] = ()


def check_role(role: Role, models: ModelsFile) -> Verdict:
    """Look at what the role refers to, and at its messages."""
    problems = [
        *_model_problems(role, models),
        *_knowledge_problems(role),
        *_same_messages(role),
    ]
    advice = [*_knowledge_advice(role), *_message_advice(role), *_action_advice(role)]
    return Verdict(tuple(f"{role.path}: {each}" for each in problems), tuple(advice))


def _model_problems(role: Role, models: ModelsFile) -> Iterator[str]:
    for key, name, kind in (("model", role.model, "lm"), ("intent_model", role.intent_model, "head")):
        if not name:
            continue
        try:
            found = models.resolve(name)[0].kind
        except (ConfigError, ModelNotFound) as error:
            yield f"{key}: {error.message}"
            continue
        if found != kind:
            wanted = "a head that tells labels" if kind == "head" else "a language model"
            yield f"{key}: '{name}' is not {wanted} (its kind is {found}); 'mmchat models list' names some."


def _knowledge_problems(role: Role) -> Iterator[str]:
    for path in role.knowledge:
        if not path.exists():
            yield f"knowledge: there is nothing at {path}."
    if role.is_bound_to_documents and not role.knowledge:
        yield "is_bound_to_documents: it has no documents to be bound to; name some in 'knowledge'."


def _knowledge_advice(role: Role) -> Iterator[str]:
    from mmchat.documents.kinds import READABLE, kind_of

    for path in role.knowledge:
        files = (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else iter([path])
        if path.exists() and not any(kind_of(each) is not None for each in files):
            yield f"knowledge: there is no document in {path}; mmchat reads {READABLE}."
    if role.answers == "quote" and not role.knowledge:
        yield 'answers: "quote" does nothing without documents.'
    if role.is_bound_to_documents and role.memory == "shared":
        yield 'memory: with "shared" it also tells of your own documents; with memory = "own" of its own only.'


def _same_messages(role: Role) -> Iterator[str]:
    """What stands under two names can be told as neither."""
    places: dict[str, list[str]] = {}
    for table, messages_of in (("intents", role.intents), ("forbid", role.forbid)):
        for name, messages in messages_of.items():
            for message in {" ".join(each.casefold().split()) for each in messages}:
                places.setdefault(message, []).append(f"{table}.{name}")
    for message, found in places.items():
        if len(found) > 1:
            yield f"{' and '.join(found)}: '{message}' stands in both."


def _message_advice(role: Role) -> Iterator[str]:
    for table, messages_of in (("intents", role.intents), ("forbid", role.forbid)):
        for name, messages in messages_of.items():
            place = f"{table}.{name}"
            twice = [message for message, count in Counter(messages).items() if count > 1]
            if twice:
                yield f"{place}: '{twice[0]}' stands there twice."
            if len(messages) < FEW_MESSAGES:
                yield f"{place}: {len(messages)} messages are few; with 10 or more it is told more surely."
            if "zh" in role.languages and not any(map(is_mostly_chinese, messages)):
                yield f"{place}: no message of it is Chinese, which the role speaks."
            if "en" in role.languages and all(map(is_mostly_chinese, messages)):
                yield f"{place}: no message of it is English, which the role speaks."


def _action_advice(role: Role) -> Iterator[str]:
    done = {intent for text in role.texts.values() for intent in text.on_intent}
    for language, text in role.texts.items():
        if missing := sorted(done - set(text.on_intent)):
            yield f"[{language}] does nothing for {', '.join(missing)}, which another language does something for."
