"""Slash commands about pictures."""

from __future__ import annotations

from mmchat.tui.action_base import ActionGroup


class PictureActions(ActionGroup):
    """`do_<name>` for each; takes the argument."""
