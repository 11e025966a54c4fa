from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from textual.pilot import Pilot

from mmchat.tui.app import MmchatApp
from mmchat.tui.screens.chat import ChatScreen
from mmchat.tui.widgets.turns import ReplyView, UserTurnView

from .fakes import WAIT_S, FakeDesk, FakeSession


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str) -> None:
    """Let the app work until `condition` holds; fail, naming `what`, when it never does."""
    for _ in range(int(WAIT_S / 0.01)):
        await pilot.pause(0.01)
        if condition():
            await pilot.pause()
            return
    raise AssertionError(f"never came true: {what}")


@dataclass
class Stage:
    """A running app and what tests look at."""

    app: MmchatApp
    pilot: Pilot[Any]
    desk: FakeDesk

    @property
    def chat(self) -> ChatScreen:
        return self.app._chat

    @property
    def session(self) -> FakeSession:
        session: object = self.chat.session
        assert isinstance(session, FakeSession)
        return session

    def users(self) -> list[UserTurnView]:
        return list(self.chat.query(UserTurnView))

    def replies(self) -> list[ReplyView]:
        return list(self.chat.query(ReplyView))

    def text_of(self, selector: str) -> str:
        return "\n".join(str(widget.render()) for widget in self.chat.query(selector))

    async def until(self, condition: Callable[[], object], what: str) -> None:
        await until(self.pilot, condition, what)

    async def type(self, text: str) -> None:
        self.chat.composer.insert(text)
        await self.pilot.pause()

    async def send(self, text: str) -> None:
        await self.type(text)
        await self.pilot.press("enter")

    async def idle(self) -> None:
        await self.until(lambda: not self.chat.flow.is_busy and not self.chat.flow.queue, "the reply ended")

    async def say(self, text: str) -> None:
        await self.send(text)
        await self.until(lambda: not self.chat.composer.text, "the message left the box")
        await self.idle()


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


StageMaker = Callable[..., Any]


@pytest.fixture
def stage() -> StageMaker:
    """`async with stage(desk) as s:` runs the app at 80x24."""

    @asynccontextmanager
    async def make(
        desk: FakeDesk, session: FakeSession | None = None, size: tuple[int, int] = (80, 24), **options: Any
    ) -> AsyncIterator[Stage]:
        app = MmchatApp(desk.as_desk(), session or desk.new_session(), **options)  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            app._chat.composer.cursor_blink = False
            await pilot.pause()
            yield Stage(app, pilot, desk)

    return make


Step = Callable[[Stage], Awaitable[None]]
