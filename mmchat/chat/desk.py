"""The front ends' one counterpart: conversations, models and the microphone behind plain calls.

The app, the plain mode and `ask` are handed a `Desk`; none of them sees the store or an engine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING

from mmchat.chat.ear import Ear
from mmchat.chat.finder import Finder
from mmchat.chat.forgetting import Forgetting
from mmchat.chat.known import KnownFacts
from mmchat.chat.library import Library
from mmchat.chat.listening import Listening
from mmchat.chat.masked import Masking, kinds_of
from mmchat.chat.mic import Microphone
from mmchat.chat.picture_backlog import PictureBacklog
from mmchat.chat.ports import Engines, Recorder, Voice
from mmchat.chat.private import PrivateRoom, PrivateStore
from mmchat.chat.quiet import Backstage
from mmchat.chat.roles import Casting, usable_roles
from mmchat.chat.session import ChatSession, SessionSettings
from mmchat.chat.speaking import Speaker, no_voice
from mmchat.chat.unsent import UnsentDrafts
from mmchat.domain import Heard, LiveText, LoadState, ModelKind, ModelSummary, Recalled, Session, Turn
from mmchat.errors import MmchatError, UsageError
from mmchat.memory.embedding_backlog import is_waiting_after, last_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmchat.chat.bookshelf import Bookshelf
    from mmchat.chat.reading_up import ReadingUp
    from mmchat.memory.recall import Recall
    from mmchat.memory.store import MemoryStore
    from mmchat.role_values import MaskKind, Role

log = logging.getLogger(__name__)

BACKGROUND_AFTER_S = 3.0
LOOK_AGAIN_S = 60.0
"""How often it is looked for what other programs stored meanwhile."""
PROMPTS_AT_HAND = 500
LAST_WORK_S = 3.0
"""How long leaving waits at most for the last exchange to become findable by meaning; mostly it takes 0.1 s."""


class Desk:
    """Conversations at hand. Every method may be called from any thread; those marked slow, from a worker."""

    def __init__(
        self,
        store: MemoryStore,
        recall: Recall,
        engines: Engines,
        settings: SessionSettings,
        mic: Microphone,
        on_close: Callable[[], None] | None = None,
        make_private: Callable[[], PrivateStore] | None = None,
        find_voice: Callable[[], Voice] = no_voice,
        casting: Casting | None = None,
    ) -> None:
        self._store = store
        self._recall = recall
        self.engines = engines
        self._settings = settings
        self.mic = mic
        """The microphone: which one, how it is watched, what was recorded last."""
        self._on_close = on_close
        self._closing = Event()
        self._ear = Ear(engines)
        self._listening = Listening(settings.language)
        self._taken_in: tuple[int, int] | None = None
        self._quiet = Backstage()
        self._backlog = PictureBacklog(store, recall, engines, self._quiet, self._masked_in)
        self.finder = Finder(store, recall, engines)
        """Looks through all that was said, shown and heard, and opens kept files."""
        self.library = Library(store)
        """The other conversations."""
        self.facts = KnownFacts(store, engines.embedder, self._masking)
        """What is known of the user."""
        self.forgetting = Forgetting(self.facts)
        self._casting = casting or Casting(engines)
        self.drafts = UnsentDrafts(store)
        """What stands in the input box, so that it outlives the program."""
        self._private = PrivateRoom(make_private) if make_private is not None else None
        self._bookshelf: Bookshelf | None = None
        self._reading_up: ReadingUp | None = None
        """Of the conversation begun last."""
        self._may_read_up = Event()
        self.speaker = Speaker(find_voice, settings.language)
        """Speaks replies aloud once it is turned on."""

    # --- conversations --------------------------------------------------------------------------

    def new_session(self) -> ChatSession:
        """A conversation that is stored with its first turn, so that looking around leaves nothing behind."""
        return self._session(self._settings)

    def _session(
        self, settings: SessionSettings, session: Session | None = None, private: MemoryStore | None = None
    ) -> ChatSession:
        """With its documents, which are looked through in the background; `private`: in a store of its own."""
        from mmchat.chat.reading_up import ReadingUp

        store = private or self._store

        def bookshelf() -> Bookshelf:
            return self.documents if store is self._store else self._bookshelf_of(store)

        self._reading_up = ReadingUp(store, bookshelf, settings.persona, self._closing)
        if self._may_read_up.is_set():
            self._reading_up.begin()
        recall = self._recall
        if private is not None:
            from mmchat.memory.recall import Recall

            recall = Recall(private, lambda: None)
        return ChatSession(store, recall, self.engines, settings, session, self._quiet, self._reading_up)

    @property
    def documents(self) -> Bookshelf:
        """What was read of the user's documents, and of roles'."""
        self._bookshelf = self._bookshelf or self._bookshelf_of(self._store)
        return self._bookshelf

    def _bookshelf_of(self, store: MemoryStore) -> Bookshelf:
        from mmchat.chat.bookshelf import Bookshelf  # parsers: not before there is something to read

        return Bookshelf(store, self.engines.embedder, self.engines.text_reader)

    def roles(self) -> tuple[Role, ...]:
        """Whom the assistant can play."""
        return usable_roles()

    def play(self, key: str) -> ChatSession:
        """A new conversation with somebody, as all further ones; an empty key for nobody.

        Raises:
            UsageError, ConfigError, ModelNotFound: there is no such role, or not its model; nothing was changed.
        """
        self._settings = replace(self._settings, persona=self._casting.choose(key))
        return self.new_session()

    def open_session(self, session_id: str) -> ChatSession:
        """Go on with a conversation, by its id or a unique beginning of it.

        Raises:
            UsageError: no such conversation, or the beginning fits several, or it is in the trash.
        """
        session = self._store.get_session(session_id)
        if session.deleted_at is not None:
            raise UsageError(
                f"Conversation {session.id} is in the trash.", hint=f"mmchat sessions restore {session.id}"
            )
        return self._session(self._settings_of(session), session)

    def _settings_of(self, session: Session) -> SessionSettings:
        """As the conversation began, whatever role new ones get."""
        if self._settings.is_system_typed:
            return replace(self._settings, persona=None)
        persona = self._casting.of(session)
        kept = session.persona if persona is None else ""
        return replace(self._settings, persona=persona, system=kept or self._settings.system)

    def _masking(self) -> Masking:
        return Masking(kinds_of(self._settings.mask, self._settings.persona))

    def _masked_in(self, session: Session) -> tuple[MaskKind, ...]:
        return tuple({*self._settings.mask, *self._casting.masked_in(session)})

    def private_session(self) -> ChatSession:
        """A conversation that is neither kept nor recalled, and from which nothing is learnt.

        Raises:
            MemoryStoreError: there is no room for it among the temporary files.
            UsageError: this desk has no such room.
        """
        if self._private is None:
            raise UsageError("There are no private conversations here.")
        settings = replace(self._settings, is_temporary=True, should_recall=False, should_know_facts=False)
        return self._session(settings, private=self._private.enter())

    def leave_private(self) -> None:
        """Remove what was said in private; harmless where nothing was."""
        if self._private is not None:
            self._private.leave()
            self.mic.forget_private()

    def latest_session(self) -> Session | None:
        """The conversation last spoken in, of those that are listed."""
        return self._store.latest_session()

    def recall(self, query: str, k: int = 5) -> tuple[Recalled, ...]:
        """Slow. Older turns of any conversation that bear on `query`."""
        return self._recall.find(query, k=k, reach="nearest")

    def index_in_background(self) -> None:
        """Make findable by meaning what was imported, or said while the embedder was missing.

        Replies come first; leaving the program stops it at once, and the next start goes on. What other programs
        store meanwhile is taken in too, within a minute.
        """
        self._taken_in = (0, 0)
        threading.Thread(target=self._backfill, name="index-turns", daemon=True).start()

    def taken_in(self) -> tuple[int, int] | None:
        """How many of how many earlier turns were made findable by meaning; None once that is over."""
        return self._taken_in

    def _backfill(self) -> None:
        # The first seconds belong to the screen and to the language model.
        if self._closing.wait(BACKGROUND_AFTER_S):
            return
        self._may_read_up.set()
        if self._reading_up is not None:
            self._reading_up.begin()
        last: int | None = None
        while True:
            try:
                if last is None or self._has_come_since(last):  # another program imported, or had no embedder
                    last = last_number(self._store.file)
                    self._take_in()
            except MmchatError:
                log.warning("new turns not looked for", exc_info=True)
            if self._closing.wait(LOOK_AGAIN_S):
                return

    def _has_come_since(self, number: int) -> bool:
        embedder = self.engines.embedder()
        return (
            embedder is not None
            and self._quiet.wait(self._closing)
            and is_waiting_after(self._store.file, embedder.name, number)
        )

    def _take_in(self) -> None:
        def on_progress(done: int, total: int) -> None:
            self._taken_in = (done, total)

        try:
            self._recall.backfill(
                cancel=self._closing, may_go_on=lambda: self._quiet.wait(self._closing), on_progress=on_progress
            )
        except MmchatError:
            log.warning("turns not embedded", exc_info=True)
        self._taken_in = None
        self._take_in_documents()
        self.facts.index_quietly()
        self._backlog.work_quietly(self._closing)

    def _take_in_documents(self) -> None:
        """Passages that were read while the embedder was missing, or embedded with another one."""
        from mmchat.memory.knowledge import Knowledge

        try:
            Knowledge(self._store, self.engines.embedder).backfill(
                cancel=self._closing, may_go_on=lambda: self._quiet.wait(self._closing)
            )
        except MmchatError:
            log.warning("passages not embedded", exc_info=True)

    # --- models ---------------------------------------------------------------------------------

    def load_states(self) -> tuple[LoadState, ...]:
        """Where each engine stands; cheap, for polling."""
        return self.engines.states()

    def language_models(self) -> tuple[ModelSummary, ...]:
        """What `/model` offers."""
        return self.engines.language_models()

    def speech_models(self) -> tuple[ModelSummary, ...]:
        """What `/retranscribe` offers."""
        return self.engines.speech_models()

    def use_language_model(self, name: str) -> None:
        """Switch model; loading begins in the background."""
        self.engines.use_language_model(name)

    def warm(self, kinds: Sequence[ModelKind]) -> None:
        """Begin pulling and loading in the background, e.g. when a picture was attached but not yet sent."""
        self.engines.start(kinds)

    def fetch(self, kinds: Sequence[ModelKind]) -> None:
        """Fetch what is missing in the background, so that the first picture or sound need not wait for it."""
        self.engines.fetch_in_background(kinds)

    # --- voice ----------------------------------------------------------------------------------

    def transcribe(
        self,
        pcm: NDArray[np.float32],
        cancel: Event | None = None,
        *,
        listening: Listening | None = None,
        model: str = "",
    ) -> Heard:
        """Slow. A recording as words; empty text when no speech was heard.

        Args:
            pcm: (S,) float32 in [-1, 1], 16 000 Hz.
            cancel: set it to give up early.
            listening: `ChatSession.listening` of the conversation that it is for; the desk has one for the rest.
            model: another speech model than the chosen one.
        """
        return self._ear.transcribe(pcm, cancel, listening or self._listening, model)

    def live_transcript(
        self, recorder: Recorder, over: Event, *, listening: Listening | None = None
    ) -> Iterator[LiveText]:
        """Slow. What is being said while `recorder` records, for showing only: `transcribe` has the last word.

        Iterate it in a worker of its own. Ends when the recording does, or soon after `over` is set: set it before
        the recording is stopped, so that no pass is in the way of the last word. Yields nothing where this machine
        is too slow for it.
        """
        return self._ear.live(recorder, over, listening or self._listening)

    def close(self) -> None:
        """Free the models and close the store."""
        self.speaker.close()
        self._quiet.finish(LAST_WORK_S)
        self._closing.set()
        if self._reading_up is not None:
            self._reading_up.finish(LAST_WORK_S)
        self.engines.close()
        if self._private is not None:
            self._private.close()
        self._store.close()
        if self._on_close is not None:
            self._on_close()


def history_prompts(turns: tuple[Turn, ...]) -> tuple[str, ...]:
    """What the user typed before, oldest first, for the up arrow; the newest `PROMPTS_AT_HAND`."""
    newest_first = (turn.text for turn in reversed(turns) if turn.role == "user" and turn.text)
    return tuple(islice(newest_first, PROMPTS_AT_HAND))[::-1]
