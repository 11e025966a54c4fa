"""From messages to token ids, and from token ids back to text, for models that run on transformers.

Only the tokenizer is used here: any object with the methods of `transformers`' tokenizers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from jinja2 import TemplateError

from mmchat.domain import Message
from mmchat.engines.control_marks import marks_of, unspoken_names
from mmchat.engines.reply_text import THOUGHT_BEGINS, THOUGHT_ENDS, opens_thought
from mmchat.errors import UsageError

_REPLACEMENT = "\ufffd"
_WRITTEN_THOUGHT = re.compile(rf"\s*(?:{THOUGHT_BEGINS})?\s*{THOUGHT_ENDS}\s*")
"""An empty thought that a template writes before a reply, or the rest of one that the prompt has begun."""


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

    def encode_with_reply(self, messages: Sequence[Message], reply: str) -> tuple[list[int], int]:
        """The prompt and a finished reply, as the model would have read and written them.

        Returns:
            All tokens, and the index of the first that belongs to the reply. Before it stands what `encode`
            gives (and an empty thought, where the template writes one before a reply); from it on only what
            the model has to write itself: the words and the first end mark after them. For an
            encoder–decoder, the tokens up to the index go to the encoder, the others to the decoder.

        Raises:
            UsageError: the template cannot render these messages.
        """
        ...


class ChatTemplateFormat:
    """The model's own chat template."""

    stop: tuple[str, ...] = ()

    def __init__(self, tokenizer: Any, *, is_thinking: bool = False, end_ids: Collection[int] = ()) -> None:
        """`end_ids`: the model's end marks; the tokenizer's own is always one."""
        self._tokenizer = tokenizer
        self._marks = marks_of(tokenizer)
        self._is_thinking = is_thinking
        self._end_marks = end_marks(tokenizer, end_ids)
        self.opens_thought = opens_thought(self._text([Message("user", "Hello.")]))

    def encode(self, messages: Sequence[Message]) -> list[int]:
        return self._ids(self._text(messages))

    def encode_with_reply(self, messages: Sequence[Message], reply: str) -> tuple[list[int], int]:
        prompt = self._text(messages)
        whole = self._text([*messages, Message("assistant", reply.strip())], is_reply_next=False)
        context, written = split_at_reply(prompt, whole, reply, self._end_marks)
        return joined(self._ids, context, written)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, messages: Sequence[Message], *, is_reply_next: bool = True) -> str:
        messages = self._marks.harmless_messages(messages)
        try:
            return self._render(messages, is_reply_next)
        except TemplateError:
            # Some templates know no system role, or insist on turns that alternate.
            try:
                return self._render(_folded(messages), is_reply_next)
            except TemplateError as error:
                raise UsageError(f"The model's chat template cannot render these messages: {error}") from error

    def _render(self, messages: Sequence[Message], is_reply_next: bool) -> str:
        turns = [{"role": message.role, "content": message.text} for message in messages]
        return str(
            self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=is_reply_next, enable_thinking=self._is_thinking
            )
        )


_SPEAKERS = ("User", "Assistant")


class PlainFormat:
    """For models without a chat template: the system text, then lines that begin with who speaks."""

    stop: tuple[str, ...] = ("\nUser:",)
    opens_thought = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._marks = marks_of(tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        return _ids(self._tokenizer, self._text(messages))

    def encode_with_reply(self, messages: Sequence[Message], reply: str) -> tuple[list[int], int]:
        ids, first = joined(lambda text: _ids(self._tokenizer, text), self._text(messages), f" {reply.strip()}")
        return ids + _end_of(self._tokenizer), first

    def _text(self, messages: Sequence[Message]) -> str:
        names = {"user": "User: ", "assistant": "Assistant: ", "system": ""}
        lines = [
            names[message.role] + unspoken_names(message.text, _SPEAKERS)
            for message in self._marks.harmless_messages(messages)
        ]
        return "\n".join([*lines, "Assistant:"])


class InstructionFormat:
    """For FLAN-T5 and its like: one message is the instruction itself; several become a short script to go on with."""

    stop: tuple[str, ...] = ("\nUser:",)
    opens_thought = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._marks = marks_of(tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        messages = self._marks.harmless_messages(messages)
        spoken = [message for message in messages if message.role != "system"]
        system = [message.text for message in messages if message.role == "system" and message.text]
        if len(spoken) <= 1:
            text = "\n".join([*system, *(message.text for message in spoken)])
        else:
            names = {"user": "User", "assistant": "Assistant"}
            lines = [f"{names[message.role]}: {unspoken_names(message.text, _SPEAKERS)}" for message in spoken]
            text = "\n".join([*(system or ["Continue the conversation."]), *lines, "Assistant:"])
        return _ids(self._tokenizer, text)

    def encode_with_reply(self, messages: Sequence[Message], reply: str) -> tuple[list[int], int]:
        return _for_both_sides(self._tokenizer, self.encode(messages), reply)


class JoinedTurnsFormat:
    """For BlenderBot: the turns, two blanks between them, as it was trained; it takes no system text but as a turn."""

    stop: tuple[str, ...] = ()
    opens_thought = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._marks = marks_of(tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        messages = self._marks.harmless_messages(messages)
        turns = [" ".join(message.text.split()) for message in messages]
        return _ids(self._tokenizer, "  ".join(turn for turn in turns if turn))

    def encode_with_reply(self, messages: Sequence[Message], reply: str) -> tuple[list[int], int]:
        return _for_both_sides(self._tokenizer, self.encode(messages), reply)


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


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text that is no message: the begin mark if the tokenizer writes one, and no end mark."""
    ids = list(tokenizer(text)["input_ids"])
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id and not text.endswith(tokenizer.eos_token) else ids


def end_marks(tokenizer: Any, end_ids: Collection[int] = ()) -> tuple[str, ...]:
    """The end marks as a rendered template shows them, the tokenizer's own first."""
    ids = dict.fromkeys([tokenizer.eos_token_id, *sorted(end_ids)])
    return tuple(str(tokenizer.convert_ids_to_tokens(each)) for each in ids if each is not None)


def split_at_reply(prompt: str, whole: str, reply: str, marks: Sequence[str]) -> tuple[str, str]:
    """Find the part of a rendered conversation that the model has to write itself.

    No template is trusted to mark it. The rendered whole is cut behind the prompt: what stands between it and
    the reply's words is context if it is more than blanks (an empty thought), and what stands behind the
    first end mark after the words is left out. Where the whole does not begin with the prompt, or does
    not hold the words (a template may rewrite older turns, or drop what it takes for a thought), the two
    parts are put together by hand: the prompt as it is, a thought that it has begun ended, then the words and the
    tokenizer's end mark.

    Args:
        prompt: rendered with the opening of a reply.
        whole: rendered with the reply as the last message and without an opening.
        reply: the words.
        marks: end marks (`end_marks`).

    Returns:
        Context and what is written; joined they are a text for the tokenizer.
    """
    words = reply.strip()
    rest = whole.removeprefix(prompt)
    first_mark = marks[0] if marks else ""
    at = -1
    if whole.startswith(prompt):
        thought = _WRITTEN_THOUGHT.match(rest)
        at = rest.find(words, thought.end() if thought else 0)
    if at < 0:
        return prompt + ("\n" + THOUGHT_ENDS + "\n\n" if opens_thought(prompt) else ""), words + first_mark
    before, after = rest[:at], rest[at + len(words) :]
    ends = [(where, mark) for mark in marks if (where := after.find(mark)) >= 0]
    end = min(ends)[0] + len(min(ends)[1]) if ends else 0
    written = words + (after[:end] if ends else first_mark)
    return (prompt, before + written) if not before.strip() else (prompt + before, written)


def joined(encode: Callable[[str], list[int]], context: str, written: str) -> tuple[list[int], int]:
    """Tokens of both texts, and where the second begins.

    They are the tokens of the joined text where those begin with the context's. Elsewhere a token would reach
    over the border, which a model that goes on from the context cannot write: there each is encoded alone.
    """
    before, both = encode(context), encode(context + written)
    if both[: len(before)] != before:
        both = before + encode(written)
    return both, len(before)


def _for_both_sides(tokenizer: Any, prompt_ids: list[int], reply: str) -> tuple[list[int], int]:
    words = list(tokenizer(text_target=reply.strip(), add_special_tokens=False)["input_ids"])
    return prompt_ids + words + _end_of(tokenizer), len(prompt_ids)


def _end_of(tokenizer: Any) -> list[int]:
    return [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]


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
