"""Pictures for a language model that was made for words: seen by an image tower, mapped into its prompt.

The places of a picture are ids behind the vocabulary's (`projector.PictureEmbedding`), so that whatever the engine
does with rows of ids, it does with pictures too: keep a prefix, count tokens, write batches, score a reply. The image
tower is opened with the first picture: whoever only writes words never waits for it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from mmchat.domain import EngineSpec, Message
from mmchat.engines.image_io import open_image
from mmchat.engines.lm_prompts import ChatTemplateFormat
from mmchat.engines.projector import PictureEmbedding, Projector, load_projector
from mmchat.errors import ConfigError, ModelNotFound, WeightsError

_KEPT_PICTURES = 64
"""Whose features stay in memory; the others are looked at again when they come up."""
_OPENS, _ENDS = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPENS}(\\d+){_ENDS}")
_OUR_MARKS = str.maketrans("", "", _OPENS + _ENDS)


class PictureFormat(ChatTemplateFormat):
    """The model's chat template with the places of a picture before the words of its message."""

    def __init__(
        self, tokenizer: Any, pictures: PictureNumbers, *, is_thinking: bool, end_ids: Collection[int]
    ) -> None:
        self._pictures = pictures
        super().__init__(tokenizer, is_thinking=is_thinking, end_ids=end_ids)

    def _render(self, messages: Sequence[Message], is_reply_next: bool) -> str:
        return super()._render([self._marked(message) for message in messages], is_reply_next)

    def _marked(self, message: Message) -> Message:
        # The two characters have no meaning outside of somebody's own font.
        text = message.text.translate(_OUR_MARKS)
        marks = [f"{_OPENS}{self._pictures.number(path)}{_ENDS}" for path in message.image_paths]
        return replace(message, text="".join(marks) + text)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for at, piece in enumerate(_MARK.split(text)):
            if at % 2:
                ids += self._pictures.ids(int(piece))
            elif piece:
                ids += super()._ids(piece)
        return ids


class PictureNumbers:
    """Numbers of pictures, in the order in which they were first met, and the ids of their places."""

    def __init__(self, first: int, places: int) -> None:
        """`first`: the id behind the last word's; `places`: of one picture."""
        self._first = first
        self._places = places
        self._numbers: dict[tuple[Path, int, int], int] = {}
        self._paths: list[Path] = []

    def number(self, path: Path) -> int:
        """Of a file; another one when the file has changed.

        Raises:
            ImageError: it is not there.
        """
        try:
            found = path.stat()
        except OSError:
            open_image(path)  # says in words what is wrong with it
            raise
        key = (path, found.st_mtime_ns, found.st_size)
        if key not in self._numbers:
            self._numbers[key] = len(self._paths)
            self._paths.append(path)
        return self._numbers[key]

    @property
    def paths(self) -> tuple[Path, ...]:
        """By number."""
        return tuple(self._paths)

    def ids(self, number: int) -> list[int]:
        """The places of a picture."""
        first = self._first + number * self._places
        return list(range(first, first + self._places))


class Looker:
    """Features of pictures by their numbers; opens the image tower when it is first asked."""

    def __init__(self, name: str, spec: EngineSpec, pictures: PictureNumbers, projector: Projector) -> None:
        """`name`: of the language model, for messages; `spec`: of the vision model."""
        self._name = name
        self._spec = spec
        self._pictures = pictures
        self._sizes = projector.sizes
        self._reader: Any = None
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

    def __call__(self, number: int) -> Tensor:
        """(N, F).

        Raises:
            ImageError: the file cannot be read as a picture.
            ModelNotFound, WeightsError: the vision model is missing, damaged, or not the one that was learnt with.
        """
        if number not in self._kept:
            self._kept[number] = self._looked_at(open_image(self._pictures.paths[number]))
            if len(self._kept) > _KEPT_PICTURES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _looked_at(self, image: Any) -> Tensor:
        # Deferred: open_clip takes seconds to import.
        from mmchat.engines.picture_patches import patch_features
        from mmchat.engines.vision_open_clip import load

        if self._reader is None:
            self._reader = load(self._spec)
        found = patch_features(self._reader, [image], self._sizes.grid)[0]
        if found.shape[1] != self._sizes.features:
            raise WeightsError(
                f"'{self._name}' has learnt to see through '{self._sizes.vision}', whose patches have "
                f"{self._sizes.features} numbers; those of '{self._spec.name}' have {found.shape[1]}.",
                hint=f"Set 'vision' of '{self._name}' in models.toml to the model that it was trained with.",
            )
        return found


def with_pictures(
    model: Any, spec: EngineSpec, tokenizer: Any, ends: frozenset[int], *, is_thinking: bool
) -> PictureFormat:
    """Give a language model places for pictures.

    Args:
        model: a decoder with its adapter, where it is to work; its input embedding is replaced.
        spec: options `projector` (a folder) and `encoders` (the vision model's spec under "vision").
        tokenizer: of the model.
        ends: ids of its end marks.
        is_thinking: whether it may think before it answers.

    Returns:
        How it wants to be spoken to.

    Raises:
        ModelNotFound: the projector or the vision model is not on this machine.
        WeightsError: the projector is damaged, or made for another model.
        ConfigError: a model without a chat template.
    """
    folder = Path(str(spec.options["projector"]))
    projector = load_projector(folder, spec.name).to(model.device)
    width = int(model.get_input_embeddings().weight.shape[1])
    if projector.sizes.width != width:
        raise WeightsError(
            f"The projector {folder} does not fit '{spec.name}': it makes vectors of {projector.sizes.width} numbers, "
            f"and the model's have {width}.",
            hint=f"Set 'base' of '{spec.name}' in models.toml to the model that it was made for.",
        )
    if not tokenizer.chat_template:
        raise ConfigError(f"'{spec.name}' has no chat template, so it cannot be shown pictures.")
    first = first_place(model.config, tokenizer)
    pictures = PictureNumbers(first, projector.sizes.places)
    looker = Looker(spec.name, _vision_spec(spec, projector), pictures, projector)
    model.set_input_embeddings(PictureEmbedding(model.get_input_embeddings(), projector, looker, first))
    return PictureFormat(tokenizer, pictures, is_thinking=is_thinking, end_ids=ends)


def first_place(config: Any, tokenizer: Any) -> int:
    """The first id that no word can have."""
    return max(int(config.get_text_config(decoder=True).vocab_size), len(tokenizer))


def _vision_spec(spec: EngineSpec, projector: Projector) -> EngineSpec:
    """The spec of the vision model; its files are looked for now, and read when they are needed."""
    encoders = spec.options.get("encoders")
    vision = encoders.get("vision") if isinstance(encoders, dict) else None
    if not isinstance(vision, EngineSpec) or vision.path is None or not vision.path.is_dir():
        name = vision.name if isinstance(vision, EngineSpec) else projector.sizes.vision
        raise ModelNotFound(
            f"'{spec.name}' sees through '{name}', whose weights are not on this machine.",
            hint=f"mmchat models pull {name}",
        )
    return vision
