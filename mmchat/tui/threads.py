"""Threads that leaving the app never waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def in_daemon_thread(work: Callable[[], object], name: str) -> None:
    """Run `work` in a thread of its own and wait for it; raises what it raised.

    Textual's own thread workers use the event loop's pool, which is joined when the app ends. Work
    that may wait for a download or a load would hold the shell's prompt back for as long.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        failure: BaseException | None = None
        try:
            work()
        except BaseException as error:  # handed to whoever waits
            failure = error
        with suppress(RuntimeError):  # the app has ended meanwhile: nobody waits
            loop.call_soon_threadsafe(end, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    await done
