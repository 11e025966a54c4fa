"""From messages to token ids, and from token ids back to text, for models that run on transformers.

Only the tokenizer is used here: any object with the methods of `transformers`' tokenizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from jinja2 import TemplateError

from mmchat.domain import Message
from mmchat.engines.reply_text import opens_thought
from mmchat.errors import UsageError

_REPLACEMENT = "\ufffd"


class PromptFormat(Protocol):
    """How a model wants to be spoken to."""

    stop: tuple[str, ...]
    """Strings that end a reply beside the model's own end mark."""
    opens_thought: bool
    """Whether the prompt ends inside a thought, so that the model only writes its end."""

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The whole prompt, with the opening of the reply.

        Raises:
            UsageError: the template cannot render these messages.
        """
        ...


class ChatTemplateFormat:
    """The model's own chat template."""

    stop: tuple[str, ...] = ()

    def __init__(self, tokenizer: Any, *, is_thinking: bool = False) -> None:
        self._tokenizer = tokenizer
        self._is_thinking = is_thinking
        self.opens_thought = opens_thought(self._text([Message("user", "Hello.")]))

    def encode(self, messages: Sequence[Message]) -> list[int]:
        text = self._text(messages)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, messages: Sequence[Message]) -> str:
        try:
            return self._render(messages)
        except TemplateError:
            # Some templates know no system role, or insist on turns that alternate.
            try:
                return self._render(_folded(messages))
            except TemplateError as error:
                raise UsageError(f"The model's chat template cannot render these messages: {error}") from error

    def _render(self, messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": message.text} for message in messages]
        return str(
            self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, enable_thinking=self._is_thinking
            )
        )


class PlainFormat:
    """For models without a chat template: the system text, then lines that begin with who speaks."""

    stop: tuple[str, ...] = ("\nUser:",)
    opens_thought = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, messages: Sequence[Message]) -> list[int]:
        names = {"user": "User: ", "assistant": "Assistant: ", "system": ""}
        lines = [names[message.role] + message.text for message in messages]
        return _ids(self._tokenizer, "\n".join([*lines, "Assistant:"]))


class InstructionFormat:
    """For FLAN-T5 and its like: one message is the instruction itself; several become a short script to go on with."""

    stop: tuple[str, ...] = ("\nUser:",)
    opens_thought = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, messages: Sequence[Message]) -> list[int]:
        spoken = [message for message in messages if message.role != "system"]
        system = [message.text for message in messages if message.role == "system" and message.text]
        if len(spoken) <= 1:
            text = "\n".join([*system, *(message.text for message in spoken)])
        else:
            names = {"user": "User", "assistant": "Assistant"}
            lines = [f"{names[message.role]}: {message.text}" for message in spoken]
            text = "\n".join([*(system or ["Continue the conversation."]), *lines, "Assistant:"])
        return _ids(self._tokenizer, text)


class JoinedTurnsFormat:
    """For BlenderBot: the turns, two blanks between them, as it was trained; it takes no system text but as a turn."""

    stop: tuple[str, ...] = ()
    opens_thought = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, messages: Sequence[Message]) -> list[int]:
        turns = [" ".join(message.text.split()) for message in messages]
        return _ids(self._tokenizer, "  ".join(turn for turn in turns if turn))


class TokenText:
    """Text of a growing list of tokens, without ever splitting a character.

    A token may hold half a character, and a tokenizer may drop the blank before a word that it decodes
    alone; so each piece is decoded together with the tokens before it, and only when it is whole.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context_start = 0
        self._done = 0

    def push(self, token_id: int) -> str:
        """The text that became whole with this token; may be empty."""
        self._ids.append(token_id)
        known = self._decode(self._ids[self._context_start : self._done])
        text = self._decode(self._ids[self._context_start :])
        if len(text) <= len(known) or text.endswith(_REPLACEMENT):
            return ""
        self._context_start, self._done = self._done, len(self._ids)
        return text[len(known) :]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text; an end mark for none, because no model reads nothing at all."""
    return list(tokenizer(text)["input_ids"]) or [int(tokenizer.eos_token_id)]


def _folded(messages: Sequence[Message]) -> list[Message]:
    """The same words as strictly alternating turns without a system role."""
    folded: list[Message] = []
    for message in messages:
        role = "user" if message.role == "system" else message.role
        if folded and folded[-1].role == role:
            folded[-1] = Message(
                role, f"{folded[-1].text}\n\n{message.text}", folded[-1].image_paths + message.image_paths
            )
        else:
            folded.append(Message(role, message.text, message.image_paths))
    return folded
