"""The branches of one conversation: other variants, exchanges taken back, copies. Nothing is ever lost by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmchat.chat.senses import examine
from mmchat.domain import Session, Turn
from mmchat.errors import UsageError
from mmchat.memory import branches, trash

if TYPE_CHECKING:
    from mmchat.memory.store import MemoryStore, NewAttachment


class Branches:
    """What can be done with the turns of a conversation besides adding to them. Quick; any thread may call.

    Each method raises `UsageError` where another program is writing a reply in what would leave the view, or has
    changed the conversation meanwhile.
    """

    def __init__(self, store: MemoryStore, session: Callable[[], Session | None]) -> None:
        self._store = store
        self._session = session

    def turns(self) -> tuple[Turn, ...]:
        """The turns in view, oldest first."""
        session = self._session()
        return self._store.turns(session.id) if session else ()

    def step(self, turn_id: str, step: int) -> Turn:
        """Show the variant so many after a turn in view, or before it; past the last comes the first.

        Returns:
            The turn that is in view now.

        Raises:
            UsageError: it has no other variant.
        """
        known = branches.variants(self._store, turn_id)
        if len(known) < 2:
            raise UsageError("There is no other variant.", hint="/regen draws another reply, /edit changes a message.")
        return self._show(turn_id, known[(known.index(turn_id) + step) % len(known)])

    def show(self, turn_id: str, place: int) -> Turn:
        """Show the variant with this number in the place of a turn in view.

        Raises:
            UsageError: there is none with this number.
        """
        known = branches.variants(self._store, turn_id)
        if not 1 <= place <= len(known):
            numbers = f"There are 1 to {len(known)}." if len(known) > 1 else "There is only this one."
            raise UsageError(f"There is no variant {place}.", hint=numbers)
        return self._show(turn_id, known[place - 1])

    def _show(self, shown_id: str, wanted_id: str) -> Turn:
        branches.show_variant(self._store, shown_id, wanted_id)
        return self._store.get_turn(wanted_id)

    def flippable(self) -> Turn | None:
        """The last turn in view that has variants: the one that keys and commands flip."""
        return next((turn for turn in reversed(self.turns()) if turn.variants > 1), None)

    def take_back(self) -> Turn:
        """Take the last message of the user out of view with its reply; `bring_back` returns it.

        Raises:
            UsageError: there is none.
        """
        session = self._session()
        taken = branches.take_back(self._store, session.id) if session else None
        if taken is None:
            raise UsageError("There is nothing to undo: no message is in view.")
        return self._store.get_turn(taken)

    def bring_back(self) -> Turn:
        """Bring back the exchange that was taken back last.

        Raises:
            UsageError: there is none at this place of the conversation.
        """
        session = self._session()
        brought = branches.bring_back(self._store, session.id) if session else None
        if brought is None:
            raise UsageError("There is nothing to redo here.", hint="What was said instead of it is its variant.")
        return self._store.get_turn(brought)

    def fork(self, at_turn: str = "") -> Session:
        """A copy of the conversation up to and including a turn, or whole.

        Raises:
            UsageError: nothing was said yet.
        """
        session = self._session()
        if session is None:
            raise UsageError("This conversation is empty, so there is nothing to fork.", hint="Say something first.")
        return self._store.fork_session(session.id, at_turn=at_turn or None)

    def add_edited(self, turn_id: str, text: str, files: Sequence[Path]) -> Turn:
        """Store a message in the place of an earlier one, which becomes its variant. Kept files keep their names.

        Raises:
            MediaError: a file cannot be read; nothing was changed.
            UsageError: the earlier message is not in view any more.
        """
        kept = {each.path: each for each in self._store.get_turn(turn_id).attachments}
        attachments: list[NewAttachment] = []
        for path in files:
            new = examine(path)
            if path in kept:
                new = replace(new, name=kept[path].name, media_type=kept[path].media_type)
            attachments.append(new)
        return branches.add_edited_turn(self._store, turn_id, text, attachments)

    def is_in_trash(self) -> bool:
        """Whether the conversation was deleted meanwhile; speaking in it brings it back."""
        session = self._session()
        return session is not None and trash.is_in_trash(self._store, session.id)

    def before(self, turn: Turn) -> tuple[Turn, ...]:
        """What stands before a turn, oldest first, also when it has left the view meanwhile."""
        turns = self.turns()
        ids = [each.id for each in turns]
        return turns[: ids.index(turn.id)] if turn.id in ids else branches.path_to(self._store, turn.id)[:-1]


def to_answer_anew(turns: Sequence[Turn]) -> Turn:
    """The last message of the user.

    Raises:
        UsageError: there is none, or another program is writing the reply.
    """
    question = next((turn for turn in reversed(turns) if turn.role == "user"), None)
    if question is None:
        raise UsageError("There is no message to regenerate.", hint="Send one first.")
    if any(turn.status == "streaming" for turn in turns):
        raise UsageError("A reply is being written in another window.", hint="Wait until it has ended, or stop it.")
    return question
