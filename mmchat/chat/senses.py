"""Hearing and seeing what came with a turn; done once for the same bytes and model."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.attachments import kind_of
from mmchat.chat.masked import NOTHING, Masking
from mmchat.domain import Attachment, Heard, ListenOptions, Recalled, Seen, Turn
from mmchat.engines.hear import hear
from mmchat.errors import MediaError
from mmchat.masking import Masked
from mmchat.memory.store import NewAttachment
from mmchat.memory.waiting_pictures import take_over_vector
from mmchat.memory.word_search import Filters
from mmchat.picture_words import asks_for_alike

if TYPE_CHECKING:
    from mmchat.chat.listening import Listening
    from mmchat.chat.ports import Engines
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore

MAX_ALIKE = 2
"""How many earlier pictures a picture brings to mind."""
SHOWN_FLOOR = 0.6
"""Cosine from which a picture was shown before, or one of the very same thing. With the default encoder, of 301 photos
4 in 100 are so near to any other, and half or more of changed copies are (`benchmarks/image_recall.py`)."""
ASKED_FLOOR = 0.3
"""The same where the message asks whether it was: 95 in 100 of most kinds of copies, and 2 in 100 pairs of photos."""


def examine(path: Path) -> NewAttachment:
    """Make sure that a file can be read at all, before the turn is stored.

    Raises:
        MediaError: missing, or neither a picture nor a sound that can be read.
    """
    path = path.expanduser()
    kind = kind_of(path)
    if kind is None:
        raise MediaError(
            f"'{path.name}' is neither a picture nor a sound, going by its name.",
            hint="Pictures: png, jpg, webp, gif, bmp, tiff. Sounds: wav, mp3, flac, m4a, ogg, opus, webm.",
        )
    if kind == "image":
        from mmchat.engines.image_io import open_image

        open_image(path)
    else:
        from mmchat.engines.audio_io import check_audio

        check_audio(path)
    media_type = mimetypes.guess_type(path.name)[0] or f"{kind}/{path.suffix.lstrip('.').lower()}"
    return NewAttachment(path=path, kind=kind, media_type=media_type, name=path.name)


class Senses:
    """Reads attachments with the models at hand and keeps what they said."""

    def __init__(
        self,
        store: MemoryStore,
        recall: Recall,
        engines: Engines,
        listening: Listening,
        masking: Masking = NOTHING,
    ) -> None:
        self._store = store
        self._recall = recall
        self._engines = engines
        self._listening = listening
        self._masking = masking
        self._masked: dict[str, Masked] = {}

    @staticmethod
    def needs_work(attachment: Attachment) -> bool:
        """Whether `read` has anything to do."""
        return attachment.seen is None if attachment.kind == "image" else attachment.heard is None

    def read(self, attachment: Attachment, cancel: Event) -> Attachment:
        """The attachment with what was seen or heard. Waits for the model to load; an abandoned sound stays unheard.

        Raises:
            MediaError: the kept copy cannot be decoded.
            MmchatError: the model cannot be had.
        """
        if not self.needs_work(attachment):
            return attachment
        return self.look(attachment) if attachment.kind == "image" else self._listen(attachment, cancel)

    def take_masked(self, attachment_id: str) -> Masked:
        """What was masked in what was read of an attachment, told once."""
        return self._masked.pop(attachment_id, Masked(""))

    def look(self, attachment: Attachment) -> Attachment:
        """The picture with what was seen in it; it is found by that, and by its likeness, from now on.

        Raises:
            MediaError: the kept copy cannot be decoded.
            MmchatError: the model cannot be had.
        """
        from mmchat.engines.image_io import open_image
        from mmchat.engines.see import see

        reader = self._engines.image_reader()
        known = self._store.find_seen(attachment.sha256, reader.name)
        if known is not None and take_over_vector(self._store, attachment.id, reader.name):
            read = self._save_seen(attachment, known)
            self._recall.pictures.index_tags_of(attachment.id)
            return read
        image = open_image(attachment.path)
        read = self._save_seen(attachment, known or see(reader, image, texts=self._engines.text_reader()))
        self._recall.index_image(attachment.id, reader.embed_images([image])[0], reader.name)
        return read

    def _listen(self, attachment: Attachment, cancel: Event) -> Attachment:
        from mmchat.engines.audio_io import stream_audio

        recognizer = self._engines.recognizer()
        for name in recognizer.model_names:
            known = self._store.find_heard(attachment.sha256, name)
            if known is not None:
                return self._save_heard(attachment, known)
        # What was spoken elsewhere says nothing of a file; whom it is sent to does.
        heard = hear(
            recognizer,
            stream_audio(attachment.path),
            language=self._listening.chosen,
            cancel=cancel,
            options=ListenOptions(expected=self._listening.expected),
        )
        if cancel.is_set():
            # Half a transcript must not pass for the whole of it the next time these bytes come.
            return replace(attachment, heard=self._masking.heard(heard)[0])
        return self._save_heard(attachment, heard)

    # Known or new, it is masked: the same bytes may have been read where nothing was.

    def _save_seen(self, attachment: Attachment, seen: Seen) -> Attachment:
        seen, self._masked[attachment.id] = self._masking.seen(seen)
        return self._store.save_seen(attachment.id, seen)

    def _save_heard(self, attachment: Attachment, heard: Heard) -> Attachment:
        heard, self._masked[attachment.id] = self._masking.heard(heard)
        return self._store.save_heard(attachment.id, heard)

    def shown_before(self, turn: Turn, hidden: Sequence[str], scope: str = "") -> tuple[Recalled, ...]:
        """Earlier turns with the pictures of this one, or with pictures much like them; at most `MAX_ALIKE`.

        Args:
            turn: its pictures were looked at.
            hidden: ids of turns that are not to be found.
            scope: the memory that is looked through; '' is the user's.
        """
        found: dict[str, Recalled] = {}
        floor = ASKED_FLOOR if asks_for_alike(turn.text) else SHOWN_FLOOR
        for picture in turn.attachments:
            if picture.kind == "image" and picture.seen is not None:
                for each in self._recall.pictures.like_picture(
                    picture.id, picture.seen.model, Filters(exclude_turns=hidden, scope=scope), k=MAX_ALIKE, floor=floor
                ):
                    found.setdefault(each.turn, each)
        return tuple(sorted(found.values(), key=lambda each: -each.score)[:MAX_ALIKE])
