"""Draw the app as it shows a stored conversation: `python docs/img/make.py OUT.svg [--theme NAME] [--size 100x32]`.

The picture in the README is the latest conversation of MMCHAT_HOME, held before through `mmchat talk`
with the default models; nothing in it is composed by hand.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from mmchat.tui.app import MmchatApp
from mmchat.wiring import WiringOptions, open_desk


async def draw(out: Path, theme: str, size: tuple[int, int]) -> None:
    """Run the app without a terminal until the model is ready, and save what it shows."""
    desk = open_desk(WiringOptions())
    latest = desk.latest_session()
    session = desk.open_session(latest.id) if latest else desk.new_session()
    desk.engines.language_model()
    app = MmchatApp(desk, session, theme=theme)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(2.0)
        out.write_text(app.export_screenshot(title="mmchat talk"), encoding="utf-8")
    desk.close()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", default="")
    parser.add_argument("--size", default="90x32")
    arguments = parser.parse_args()
    width, _, height = arguments.size.partition("x")
    asyncio.run(draw(arguments.out, arguments.theme, (int(width), int(height))))


if __name__ == "__main__":
    main()
