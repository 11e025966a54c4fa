"""A role on paper: as lines and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmchat.cli.output import print_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmchat.role_values import IntentAction, Role, RoleText

_MEMORY = {"shared": "shares yours", "own": "its own; its conversations recall only each other"}
_SHOWN_MESSAGES = 3


def origin(role: Role) -> str:
    """Who wrote its file."""
    return "mmchat" if role.is_shipped else "you"


def print_role(role: Role) -> None:
    """Print all that a role says and sets."""
    print_text(f"{role.name} ({origin(role)}): {role.description}".rstrip(": "))
    for name, value in _settings(role):
        print_text(f"{name}: {value}")
    for title, messages in (("Intents", role.intents), ("Does not talk about", role.forbid)):
        if messages:
            print_text(f"\n{title}:")
            for name, told in messages.items():
                print_text(f"  {name} ({len(told)}): {_some(told)}")
    for language, text in role.texts.items():
        _print_text(language, text)


def _settings(role: Role) -> Iterator[tuple[str, str]]:
    yield "File", str(role.path)
    yield "Memory", _MEMORY[role.memory]
    for name, value in (("Model", role.model), ("Creator", role.creator), ("Intent model", role.intent_model)):
        if value:
            yield name, value
    if role.options:
        yield "Decoding", ", ".join(f"{key} {value}" for key, value in role.options.items())
    for path in role.knowledge:
        yield "Documents", str(path)
    if role.is_bound_to_documents:
        yield "Bound", "what its documents do not tell, it does not know"
    if role.answers == "quote":
        yield "Answers", "in its documents' own words"
    if role.mask:
        yield "Masks", ", ".join(role.mask)
    if role.reads_mood:
        yield "Mood", "is read; where it falls, a person is suggested"


def _print_text(language: str, text: RoleText) -> None:
    print_text(f"\n[{language}] {text.title}\n\n{text.system}")
    said = (
        ("Greeting", text.greeting),
        ("Not known", text.unknown),
        ("Forbidden", text.forbidden),
        ("Hand-over", text.hand_over),
    )
    for name, words in said:
        if words:
            print_text(f"\n{name}: {words}")
    for example in text.examples:
        print_text(f"\nExample: {example.user}\n      -> {example.reply}")
    for intent, action in text.on_intent.items():
        print_text(f"\nOn {intent}: {' · '.join(_action_words(action))}")


def _action_words(action: IntentAction) -> Iterator[str]:
    if action.reply:
        yield f"says first: {action.reply}"
    if action.instructions:
        yield f"is told: {action.instructions}"
    if action.hand_over:
        yield "suggests a person"


def _some(messages: Sequence[str]) -> str:
    shown = "; ".join(messages[:_SHOWN_MESSAGES])
    return shown if len(messages) <= _SHOWN_MESSAGES else f"{shown}; …"


def role_object(role: Role) -> dict[str, object]:
    """A role without its words, for JSON."""
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
        "knowledge": [str(path) for path in role.knowledge],
        "is_bound_to_documents": role.is_bound_to_documents,
        "answers": role.answers,
        "intents": _messages(role.intents),
        "intent_model": role.intent_model,
        "forbid": _messages(role.forbid),
        "mask": list(role.mask),
        "reads_mood": role.reads_mood,
    }


def text_object(text: RoleText) -> dict[str, object]:
    """A role's words in one language, for JSON."""
    return {
        "title": text.title,
        "system": text.system,
        "greeting": text.greeting,
        "examples": [{"user": each.user, "reply": each.reply} for each in text.examples],
        "unknown": text.unknown,
        "forbidden": text.forbidden,
        "hand_over": text.hand_over,
        "on_intent": {
            intent: {"instructions": each.instructions, "reply": each.reply, "hand_over": each.hand_over}
            for intent, each in text.on_intent.items()
        },
    }


def _messages(messages: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {name: list(each) for name, each in messages.items()}
