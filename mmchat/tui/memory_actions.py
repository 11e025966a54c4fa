"""Slash commands on what mmchat knows of the user."""

from __future__ import annotations

from mmchat.tui.action_base import ActionGroup


class MemoryActions(ActionGroup):
    """Facts, and conversations that leave none."""
