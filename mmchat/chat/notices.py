"""What the user is told of a prompt that does not hold all they might expect in it."""

from __future__ import annotations

from mmchat.chat.prompt import Prompt
from mmchat.domain import Window


def prompt_notices(prompt: Prompt, before: Window | None) -> list[str]:
    """Sentences on what has changed since the last reply, whose window was `before`."""
    notices = []
    window = prompt.window
    if prompt.has_moved:
        notices.append(
            f"This conversation is longer than the model can read: {_messages(window.turns_out)} out of view now. "
            "They stay stored, and recall can find them. /compact puts a summary in their place, "
            "/pin keeps one in view."
        )
    if prompt.was_cut:
        notices.append("Your message is longer than the model can read: its middle was left out for the model.")
    if window.pins_out and (before is None or before.pins_out != window.pins_out):
        what = "1 pinned turn is" if window.pins_out == 1 else f"{window.pins_out:,} pinned turns are"
        notices.append(f"There is no room for all pinned turns: {what} out of view. /pins shows them.")
    if "summary" in prompt.left_out:
        notices.append("There is no room for the summary: it was left out. /compact edit makes it shorter.")
    if "system" in prompt.left_out:
        notices.append("There is no room for the system text beside your message: it was left out this time.")
    if prompt.pictures_in_words:
        what = "the last picture is" if prompt.pictures_in_words == 1 else f"the last {prompt.pictures_in_words} are"
        notices.append(f"There is no room for all pictures of your message: {what} told to the model in words.")
    return notices


def _messages(count: int) -> str:
    return "1 older message is" if count == 1 else f"{count:,} older messages are"
