"""Pictures that were imported, or sent while the picture model was missing: looked at in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.listening import Listening
from mmchat.chat.masked import Masking
from mmchat.chat.quiet import Quiet
from mmchat.chat.senses import Senses
from mmchat.domain import Attachment, Session
from mmchat.errors import DeviceError, EngineUnavailable, MediaError, UsageError, WeightsError
from mmchat.memory.waiting_pictures import count_waiting, untold_tags, waiting_pictures

if TYPE_CHECKING:
    from mmchat.chat.ports import Engines
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore
    from mmchat.role_values import MaskKind

log = logging.getLogger(__name__)


class PictureBacklog:
    """Looks at pictures one after the other, so that no more than one is in memory.

    Each is stored by itself: it may be stopped at any time, and goes on with the next at the next start.
    """

    def __init__(
        self,
        store: MemoryStore,
        recall: Recall,
        engines: Engines,
        quiet: Quiet,
        kinds_of: Callable[[Session], tuple[MaskKind, ...]] = lambda _: (),
    ) -> None:
        """`kinds_of`: what is masked in a conversation; a picture may have been sent while its reader was missing."""
        self._store = store
        self._kinds_of = kinds_of
        self._recall = recall
        self._engines = engines
        self._quiet = quiet

    def waiting(self) -> int:
        """How many pictures wait; the same bytes count once."""
        model = self._model()
        return count_waiting(self._store, model) if model else 0

    def work(self, cancel: Event) -> int:
        """Look at all that wait, while no reply is drawn; returns at how many.

        The picture model is loaded only where a picture waits for it, and never fetched for it. A picture that
        cannot be decoded is passed over; it is tried again at the next start.
        """
        self._embed_tags(cancel)
        if self._quiet.wait(cancel):
            self._recall.pictures.prepare()
        model = self._model()
        if not model or not self._engines.is_in_place("vision"):
            return 0
        done, last = 0, 0
        while batch := waiting_pictures(self._store, model, after=last):
            last = batch[-1][0]
            for _, picture in batch:
                if not self._quiet.wait(cancel):
                    return done
                try:
                    self._senses_of(picture).look(picture)
                    self._recall.index(picture.turn_id)
                except (MediaError, UsageError) as error:  # damaged, missing, or its conversation is gone by now
                    log.warning("picture %s passed over: %s", picture.id, error)
                    continue
                done += 1
        return done

    def _senses_of(self, picture: Attachment) -> Senses:
        session = self._store.get_session(self._store.get_turn(picture.turn_id).session_id)
        return Senses(self._store, self._recall, self._engines, Listening(), Masking(self._kinds_of(session)))

    def _embed_tags(self, cancel: Event) -> None:
        """What was seen while the sentence embedder was missing."""
        embedder = self._engines.embedder()
        if embedder is None:
            return
        last = 0
        while self._quiet.wait(cancel) and (seen := untold_tags(self._store, embedder.name, after=last)):
            last = max(seen)
            self._recall.pictures.index_tags(dict(seen))

    def _model(self) -> str:
        return next((state.model for state in self._engines.states() if state.kind == "vision"), "")

    def work_quietly(self, cancel: Event) -> None:
        """As `work`; where a model cannot be used, pictures wait for the next start."""
        try:
            self.work(cancel)
        except (EngineUnavailable, WeightsError, DeviceError):
            log.warning("pictures not looked at", exc_info=True)
