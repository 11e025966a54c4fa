"""`/compact`: a summary takes the place of old turns in the model's view. The turns stay stored.

Two writers: the language model itself, piece by piece where the turns are more than it can read; or nobody, for a
small model writes worse than the user: then their own sentences are chosen (`chat.sentences`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Literal

from mmchat.chat.window import SessionWindow, reply_options, start_after
from mmchat.domain import SENTENCES, GenerationDone, Message, Session, Summary, Turn
from mmchat.errors import DeviceError, EngineUnavailable, UsageError, WeightsError
from mmchat.later import np
from mmchat.memory import summaries as rows
from mmchat.script import is_mostly_chinese

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.chat.ports import Engines
    from mmchat.chat.sentences import Embed
    from mmchat.chat.session import SessionSettings
    from mmchat.engines.base import LanguageModel
    from mmchat.memory.store import MemoryStore

log = logging.getLogger(__name__)

Writer = Literal["model", "sentences"]

KEPT_EXCHANGES = 2
"""The newest exchanges stay as they are: the talk goes on from them."""
SUMMARY_SHARE = 0.2
"""Of the budget, what a summary is given."""
MAX_SUMMARY_TOKENS = 600
PIECE_TOKENS = 1500
"""What a model is given to sum up at once: more, and a small one forgets the beginning."""
PIECE_SHARE = 0.8
"""Or this share of what it can read beside the order to sum up, where that is less."""
FEWEST_TOKENS = 48
"""A summary is given so much of a short context, if system text and pins leave it."""
EMBED_AT_ONCE = 32
LEAST_TOKENS = 10
"""A shorter one says nothing."""


@dataclass(frozen=True, slots=True)
class SummaryProgressed:
    """Which piece is being worked at, of how many."""

    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True)
class SummaryGrew:
    """More of the text that is being written."""

    text: str


@dataclass(frozen=True, slots=True)
class SummaryDraft:
    """A summary that nobody has agreed to yet. The last event."""

    text: str
    writer: str
    last_turn_id: str
    turn_count: int
    """How many turns it stands for."""


CompactEvent = SummaryProgressed | SummaryGrew | SummaryDraft


class Compaction:
    """The summaries of one conversation."""

    def __init__(
        self,
        store: MemoryStore,
        engines: Engines,
        settings: SessionSettings,
        window: SessionWindow,
        get_session: Callable[[], Session | None],
    ) -> None:
        self._store = store
        self._engines = engines
        self._settings = settings
        self._window = window
        self._get_session = get_session

    @property
    def usual_writer(self) -> Writer:
        """Who writes best with this model, as measured (`benchmarks/compact.py`)."""
        return self._engines.habits().summaries

    def old_turns(self) -> tuple[Turn, ...]:
        """What a new summary would stand for: all but the newest exchanges.

        Raises:
            UsageError: the conversation is too short, or all of that has its summary.
        """
        session = self._get_session()
        turns = self._store.turns(session.id) if session else ()
        asked = [index for index, turn in enumerate(turns) if turn.role == "user"]
        if len(asked) <= KEPT_EXCHANGES:
            raise UsageError(
                "There is nothing to compact yet.",
                hint=f"A summary stands for all but the newest {KEPT_EXCHANGES} exchanges.",
            )
        old = turns[: asked[-KEPT_EXCHANGES]]
        summary = self._window.summary()
        if summary is not None and start_after(turns, summary) >= len(old):
            raise UsageError(
                "The summary in force stands for all older turns already.", hint="/compact edit changes it."
            )
        return old

    def write(self, writer: Writer, cancel: Event) -> Iterator[CompactEvent]:
        """Draft a summary of the old turns. Slow; nothing is changed before `accept`.

        Setting `cancel` ends it within a token, without a draft.

        Raises:
            UsageError: there is nothing to sum up.
            MmchatError: the model failed.
        """
        old = self.old_turns()
        yield SummaryProgressed(0, 0, "waiting for the model")
        model = self._engines.language_model()
        limit = self._limit(model)
        if writer == "sentences":
            yield SummaryProgressed(0, 0, "choosing among your sentences")
            text = self._chosen(model, old, limit, cancel)
            if not text and not cancel.is_set():
                raise UsageError(
                    "Nothing you said in the older turns tells of anything that could be kept.",
                    hint="/compact model lets the model write.",
                )
        else:
            text = yield from self._written(model, old, limit, cancel)
        if not cancel.is_set() and text:
            yield SummaryDraft(text, SENTENCES if writer == "sentences" else model.name, old[-1].id, len(old))

    def _limit(self, model: LanguageModel) -> int:
        """The most tokens of a summary.

        Raises:
            UsageError: there is no room for one beside system text and pins.
        """
        budget = self._window.budget(model, reply_options(self._engines, self._settings))
        room = self._window.room_for_summary(model)
        if room < LEAST_TOKENS:
            raise UsageError(
                f"'{model.name}' reads too little for a summary beside your messages.",
                hint="/unpin makes room, or choose a model that reads more.",
            )
        return min(room, max(FEWEST_TOKENS, min(MAX_SUMMARY_TOKENS, int(budget * SUMMARY_SHARE))))

    def accept(self, draft: SummaryDraft, text: str) -> Summary:
        """Put a draft in force, in the words that the user left it in.

        Raises:
            UsageError: it is empty, or the conversation has changed meanwhile.
        """
        text, session = _worded(text), self._get_session()
        if session is None or draft.last_turn_id not in {turn.id for turn in self._store.turns(session.id)}:
            raise UsageError("The turns of this summary are not in view any more.", hint="/compact writes a new one.")
        return rows.add_summary(
            self._store,
            session.id,
            last_turn_id=draft.last_turn_id,
            text=text,
            writer=draft.writer,
            is_edited=text != draft.text.strip(),
        )

    def edit(self, text: str) -> Summary:
        """Change the words of the summary in force.

        Raises:
            UsageError: none is in force, or the text is empty.
        """
        summary = self._window.summary()
        if summary is None:
            raise UsageError("No summary is in force.", hint="/compact writes one.")
        return rows.edit_summary(self._store, summary.id, _worded(text))

    def undo(self) -> Summary | None:
        """Take the summary out of force; returns the one before it, None where its turns speak for themselves now.

        Raises:
            UsageError: none is in force.
        """
        session = self._get_session()
        if session is None:
            raise UsageError("No summary is in force, so there is nothing to undo.")
        return rows.undo_summary(self._store, session.id)

    def redo(self) -> Summary:
        """Bring back what was undone last.

        Raises:
            UsageError: nothing was undone.
        """
        session = self._get_session()
        if session is None:
            raise UsageError("No summary was undone, so there is none to bring back.")
        return rows.redo_summary(self._store, session.id)

    # --- the user's own sentences -----------------------------------------------------------------

    def _chosen(self, model: LanguageModel, old: Sequence[Turn], limit: int, cancel: Event) -> str:
        from mmchat.chat.sentences import choose, sentences_of  # with the rules for facts: not before they are needed

        found = sentences_of(old)
        lines = [_listed([sentence.text]) for sentence in found]
        whole = "\n".join(lines)
        # All counted at once: one by one they would take seconds.
        tokens_a_character = _own_tokens(model, whole) / max(1, len(whole))
        sizes = [(len(line) + 1) * tokens_a_character for line in lines]
        room: float = limit
        while True:
            text = _listed(choose(found, sizes, room, self._embed(cancel) if sum(sizes) > room else None))
            if not text or cancel.is_set() or (excess := _own_tokens(model, text) - limit) <= 0:
                return text
            room -= max(1, excess)

    def _embed(self, cancel: Event) -> Embed | None:
        try:
            embedder = self._engines.embedder()
        except (EngineUnavailable, WeightsError, DeviceError):
            log.warning("sentences are compared by their words", exc_info=True)
            return None
        if embedder is None:
            return None
        known = embedder  # for the type checker: it stays what it is

        def embed(texts: Sequence[str]) -> NDArray[np.float32]:
            """In small batches, so that a cancel is heeded; what is left then is near nothing."""
            vectors = np.zeros((len(texts), known.embedding_dim), dtype=np.float32)
            for at in range(0, len(texts), EMBED_AT_ONCE):
                if cancel.is_set():
                    break
                vectors[at : at + EMBED_AT_ONCE] = known.embed(texts[at : at + EMBED_AT_ONCE])
            return vectors

        return embed

    # --- the model's own words --------------------------------------------------------------------

    def _written(
        self, model: LanguageModel, old: Sequence[Turn], limit: int, cancel: Event
    ) -> Generator[CompactEvent, None, str]:
        """In pieces; where their summaries are still too long together, those are summed up again."""
        summary = self._window.summary()
        done = start_after(old, summary) if summary is not None else 0
        texts = [summary.text] if summary is not None and done else []
        texts += [line for turn in old[done:] if (line := _said(turn))]
        is_chinese = is_mostly_chinese("".join(texts))
        at_once = _readable_tokens(model, limit, is_chinese=is_chinese)
        while True:
            pieces = _pieces(model, texts, at_once)
            share = max(FEWEST_TOKENS, limit // len(pieces))
            parts: list[str] = []
            for number, piece in enumerate(pieces):
                what = "summing up" if len(pieces) == 1 else f"summing up part {number + 1} of {len(pieces)}"
                yield SummaryProgressed(number, len(pieces), what)
                part = yield from self._ask(model, _request(piece, is_chinese=is_chinese), share, cancel)
                if cancel.is_set():
                    return ""
                parts += [part] if part else []
                yield SummaryGrew("\n")
            text = "\n".join(parts)
            if len(pieces) == 1 or _own_tokens(model, text) <= limit:
                return text
            texts = parts

    def _ask(
        self, model: LanguageModel, messages: tuple[Message, ...], limit: int, cancel: Event
    ) -> Generator[CompactEvent, None, str]:
        options = replace(reply_options(self._engines, self._settings), max_new_tokens=limit, temperature=0.0, seed=0)
        text = ""
        with closing(model.stream(messages, options, cancel)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                if isinstance(piece, GenerationDone):
                    return _whole_sentences(text) if piece.finish_reason == "length" else text.strip()
                text += piece.text
                yield SummaryGrew(piece.text)
        raise RuntimeError(f"the engine {model.engine} ended without saying how")


def _worded(text: str) -> str:
    text = text.strip()
    if not text:
        raise UsageError("A summary needs words.", hint="/compact undo brings the turns themselves back.")
    return text


def _said(turn: Turn) -> str:
    """A turn as a line of a transcript; empty where nothing was said."""
    heard = [attachment.heard.text for attachment in turn.attachments if attachment.heard]
    words = " ".join(" ".join((turn.text, *heard)).split())
    return f"{'User' if turn.role == 'user' else 'Assistant'}: {words}" if words else ""


def _readable_tokens(model: LanguageModel, limit: int, *, is_chinese: bool) -> int:
    """How many tokens of turns a model can be given at once, with the order to sum them up.

    Raises:
        UsageError: hardly any.
    """
    room = model.context_tokens - model.count_tokens(_request((), is_chinese=is_chinese))
    room -= 0 if model.reply_tokens else limit
    # Counted one by one, texts take a little less than they do together.
    room = min(PIECE_TOKENS, int(room * PIECE_SHARE))
    if room < FEWEST_TOKENS:
        raise UsageError(
            f"'{model.name}' reads too little at once to write a summary.",
            hint="/compact sentences puts one together out of your own sentences.",
        )
    return room


def _pieces(model: LanguageModel, texts: Sequence[str], limit: int) -> list[list[str]]:
    """The texts in order, as many to a piece as fit; one that is too long alone is cut."""
    pieces: list[list[str]] = []
    room = 0
    for text in texts:
        tokens = _own_tokens(model, text)
        if tokens > limit:
            text = text[: max(1, len(text) * limit // tokens)]
            tokens = limit
        if not pieces or tokens > room:
            pieces.append([])
            room = limit
        pieces[-1].append(text)
        room -= tokens
    return pieces


def _request(lines: Sequence[str], *, is_chinese: bool) -> tuple[Message, ...]:
    said = "\n".join(lines)
    if is_chinese:
        order = "请用几句话总结上面的对话：用户说了自己的哪些事，问了什么，决定了什么。只写对话里有的内容。"
    else:
        order = (
            "Summarize the conversation above in a few sentences: what the user said about themselves, what they asked "
            "for, and what was decided. Write only what was said."
        )
    return (Message("user", f"{said}\n\n{order}"),)


def _own_tokens(model: LanguageModel, text: str) -> int:
    return model.count_tokens((Message("user", text),)) - model.count_tokens((Message("user", ""),))


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _whole_sentences(text: str) -> str:
    """Without a last sentence that was broken off."""
    ends = [at for at, character in enumerate(text) if character in ".!?。！？\n"]
    return text[: ends[-1] + 1].strip() if ends else text.strip()
