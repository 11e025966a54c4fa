"""Conversations as llama.cpp's server takes them, pictures among the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmchat.domain import Message
from mmchat.engines.control_marks import ControlMarks
from mmchat.engines.picture_uris import data_uri

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """How one model is asked."""

    template_options: Mapping[str, object]
    accepts_images: bool
    mark: str
    """A special token of the model's, which counts for one and parts the words around it as a picture does."""
    marks: ControlMarks
    """What no message may hold."""

    def request(self, messages: Sequence[Message]) -> Request:
        """The prompt with its pictures.

        Raises:
            ImageError: a picture cannot be read.
        """
        return self._request(messages, lambda path: {"type": "image_url", "image_url": {"url": data_uri(path)}})

    def request_of_words(self, messages: Sequence[Message]) -> Request:
        """The same with `mark` in the place of every picture, to count what is around them."""
        return self._request(messages, lambda _: {"type": "text", "text": self.mark})

    def _request(self, messages: Sequence[Message], show: Callable[[Path], Request]) -> Request:
        return {
            "messages": [
                {"role": message.role, "content": self._content(message, show)}
                for message in self.marks.harmless_messages(messages)
            ],
            "chat_template_kwargs": self.template_options,
        }

    def _content(self, message: Message, show: Callable[[Path], Request]) -> str | list[Request]:
        if not (self.accepts_images and message.image_paths):
            return message.text
        return [*(show(path) for path in message.image_paths), {"type": "text", "text": message.text}]
