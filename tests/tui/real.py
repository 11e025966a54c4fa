"""A desk on the real store with a scripted model, for what the fake desk does not keep: branches, search, the trash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmchat.chat.desk import Desk
from mmchat.chat.mic import Microphone
from mmchat.chat.session import ChatSession
from mmchat.engines.scripted import ScriptedLanguageModel
from tests.fakes import Bench, FakeEngines

from .conftest import Stage
from .fakes import FakeDesk, FakeRecorder


class RealDesk(FakeDesk):
    """Stands where `stage` expects a fake desk, and hands the app a real one."""

    lisbon = trip = bread = ""
    """Ids of conversations that a test keeps."""

    def __init__(self, folder: Path, replies: Sequence[str] = ()) -> None:
        super().__init__()
        lm = ScriptedLanguageModel(list(replies)) if replies else ScriptedLanguageModel()
        self.bench = Bench(folder / "real", FakeEngines(lm))
        self.store = self.bench.store
        bench = self.bench
        mic = Microphone(lambda name: FakeRecorder())
        self.real = Desk(bench.store, bench.recall, bench.engines, bench.settings, mic)

    def as_desk(self) -> Desk:
        return self.real

    def new_session(self) -> ChatSession:  # type: ignore[override]
        return self.real.new_session()

    def open_session(self, session_id: str) -> ChatSession:  # type: ignore[override]
        return self.real.open_session(session_id)

    def add(self, title: str, *texts: str) -> str:
        """A stored conversation of these texts in turn."""
        session = self.store.create_session(title=title)
        for place, text in enumerate(texts):
            if place % 2 == 0:
                asked = self.store.add_user_turn(session.id, text)
            else:
                reply = self.store.start_reply(session.id, parent_id=asked.id, model="m", engine="e", text="")
                self.store.finish_reply(reply.id, text, status="complete")
        return session.id

    def close(self) -> None:
        self.real.close()


def shown(s: Stage) -> list[str]:
    """What is said on the screen, with its mark where it has variants."""
    from mmchat.tui.widgets.turns import ReplyView, UserTurnView

    views = [view for view in s.chat.query(".user-turn, .reply-turn")]
    texts = []
    for view in views:
        if isinstance(view, UserTurnView):
            texts.append(" ".join(str(view.render()).split()))
        elif isinstance(view, ReplyView):
            ending = " ".join(str(each.render()) for each in view.query(".ending") if each.display)
            texts.append(f"{view.text} {ending}".strip())
    return texts
