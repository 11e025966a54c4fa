"""What every group of slash commands is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmchat.tui.app import MmchatApp
    from mmchat.tui.screens.chat import ChatScreen


class ActionGroup:
    """Commands that belong together, one method each: `do_<name>`, which takes the argument."""

    def __init__(self, app: MmchatApp, chat: ChatScreen) -> None:
        self._app = app
        self._chat = chat
