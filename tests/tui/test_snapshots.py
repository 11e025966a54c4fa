"""How the app looks, at fixed sizes. After a wanted change: `pytest tests/tui --snapshot-update`, then look at each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image, ImageDraw
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from mmchat.domain import Heard, LiveText, LoadState, Recalled, Segment, Window, WindowPart, Word
from mmchat.errors import DeviceError
from mmchat.tui.app import MmchatApp
from mmchat.tui.widgets.pictures import PictureRow

from .conftest import Stage, until
from .fakes import NOW, FakeDesk, answer, make_turn, make_turns
from .test_support import ANGRY, OFFER, wanting

MARKDOWN = """Here is a **short** answer with `code`:

1. Soak the beans overnight.
2. Simmer *gently* for an hour.

```python
def greet(name: str) -> str:
    return f"Hello, {name}"
```

| metric | before | after |
|---|---|---|
| BLEU | 12.4 | 15.1 |
"""

Scene = Callable[[Stage], Awaitable[None]]


def picture(s: Stage, name: str, *colours: str) -> Path:
    """Stripes, from the top."""
    image = Image.new("RGB", (240, 160))
    for number, colour in enumerate(colours):
        ImageDraw.Draw(image).rectangle((0, 160 * number // len(colours), 240, 160), fill=colour)
    path = s.desk.folder / name
    image.save(path, "PNG")
    return path


async def welcome(s: Stage) -> None:
    await s.until(lambda: s.chat.query("Welcome"), "the welcome is shown")


async def conversation(s: Stage) -> None:
    await welcome(s)
    s.chat.composer.attach(picture(s, "a dog.jpg", "#7fb4ca", "#c8a66b"), "image")
    await s.say("what is in this picture?")
    note = Recalled("s0", "t0", "user", "we cooked beans", NOW, 1.0)
    s.desk.script = answer(*MARKDOWN.splitlines(keepends=True), recalled=[note])
    await s.say("And a recipe, with some code")


async def chinese(s: Stage) -> None:
    await welcome(s)
    s.desk.script = answer("好的，我看到一只**狗**坐在草地上。\n\n- 第一：草地\n- 第二：小狗\n\n还有别的问题吗？")
    s.chat.composer.attach(picture(s, "小狗照片.jpg", "#87ceeb", "#556b2f"), "image")
    await s.say("这张图片里有什么？请用中文回答。")
    await s.type("谢谢，再说一遍 ")
    s.chat.composer.attach(Path("/sounds/录音.wav"), "audio")


async def pictures(s: Stage) -> None:
    await welcome(s)
    names = (
        "海边的小狗.jpg",
        "second one.png",
        "c.png",
        "一张名字很长的照片看省略号.jpg",
        "e.png",
        "f.png",
        "g.png",
    )
    skies = ("#87ceeb", "#f4a460", "#dcdcdc", "#191970", "#ffe4b5", "#708090", "#b0e0e6")
    for name, sky in zip(names, skies, strict=True):
        s.chat.composer.attach(picture(s, name, sky, sky, "#556b2f", "#8b4513"), "image")
    s.desk.script = answer("它们的天空不一样。")
    await s.say("比较这些照片")


async def large_picture(s: Stage) -> None:
    await welcome(s)
    s.chat.composer.attach(picture(s, "a flag.png", "#b22222", "#f5f5f5", "#4169e1"), "image")
    await s.pilot.press("alt+p")
    await s.until(lambda: s.app.screen is not s.chat, "it is looked at")


async def rated(s: Stage) -> None:
    await welcome(s)
    s.desk.script = answer("The capital of Italy is Rome.")
    await s.say("What is the capital of Italy?")
    await s.pilot.press("f3")
    await s.until(lambda: "good" in s.text_of("RatingLine"), "it is marked as good")
    s.desk.script = answer("上海是中国的首都。")
    await s.say("中国的首都是哪里？")
    await s.pilot.press("f4")
    await s.send("/better 北京是中国的首都。")
    await s.until(lambda: "better" in s.text_of("RatingLine"), "a better text stands beside it")


async def error(s: Stage) -> None:
    await welcome(s)
    hint = 'Choose a smaller model with /model, or set device = "cpu".'
    s.desk.script = answer("It was a dark and ", error=DeviceError("The graphics card ran out of memory.", hint=hint))
    await s.say("Tell me a story")


async def out_of_view(s: Stage) -> None:
    await s.until(lambda: s.users(), "the conversation is open")
    s.desk.script = answer("Yes.", window=Window(3, 6, 700, 800, "t4"))
    await s.say("Do you still know the beginning?")


PARTS = (
    WindowPart("system", 30),
    WindowPart("summary", 96, 1),
    WindowPart("pinned", 29, 1),
    WindowPart("kept", 330, 6),
    WindowPart("recalled", 44, 2),
    WindowPart("facts", 18, 1),
    WindowPart("senses", 21, 1),
    WindowPart("newest", 12, 1),
)


async def context(s: Stage) -> None:
    await welcome(s)
    view = Window(8, 19, 580, 800, "t0", parts=PARTS, room=200, tokens_out=515, summary_id="m")
    s.desk.script = answer("是的，我记得。", window=view)
    await s.say("我对什么过敏？")
    await s.send("/context")
    await s.until(lambda: "word for word" in str(s.app.screen.query("Static").first().render()), "it was counted")


async def streaming(s: Stage) -> None:
    await welcome(s)
    s.desk.script = answer("The lighthouse stood ", "alone.", gates=[_set(), Event()])
    await s.send("A story, please")
    await s.until(lambda: s.replies() and "stood" in s.replies()[0].text, "it streams")
    await s.send("and make it shorter")


async def pulling(s: Stage) -> None:
    await welcome(s)
    await s.type("I can write already")


async def commands(s: Stage) -> None:
    await welcome(s)
    await s.pilot.press("/")


async def recording(s: Stage) -> None:
    await welcome(s)
    await s.pilot.press("ctrl+t")
    await s.until(lambda: s.chat.voice.state == "recording", "it records")
    s.chat.voice._timer.pause()
    s.chat.voice._peaks.clear()
    s.chat.voice._peaks.extend([-50.0, -30.0, -12.0, -6.0, -20.0])
    s.chat.voice.refresh_level()


async def speaking_live(s: Stage) -> None:
    s.desk.live = (LiveText("what is the dog in the second", " picture doing"),)
    await recording(s)
    await s.until(lambda: "picture doing" in s.chat.voice.words, "the words show")
    s.chat.voice._timer.pause()
    s.desk.recorder.warning = "'Desk mic' is muted in the system's sound settings"
    s.chat.voice._peaks.clear()
    s.chat.voice._peaks.extend([-50.0, -30.0, -12.0, -6.0, -20.0])
    s.chat.voice.refresh_level()


async def doubtful(s: Stage) -> None:
    words = (Word("Call", 0, 1, 0.9), Word(" Siobhan", 1, 2, 0.1), Word(" tomorrow", 2, 3, 0.8))
    s.desk.heard = Heard("Call Siobhan tomorrow", "en", 3.0, (Segment(0, 3, "", words=words),))
    await welcome(s)
    await s.pilot.press("ctrl+t")
    await s.until(lambda: s.chat.voice.state == "recording", "it records")
    await s.pilot.press("enter")
    await s.until(lambda: "Siobhan" in s.chat.composer.text, "the words arrive")


async def hands_free(s: Stage) -> None:
    s.desk.script = answer("Hello", " there.", gates=[Event(), Event()])
    await welcome(s)
    s.chat.hands_free.begin()
    await s.until(lambda: s.chat.voice.state == "recording", "it listens")
    s.desk.mic.ending = "paused"
    await s.until(lambda: "hands-free: answering" in s.chat.voice.words, "it answers")
    await s.until(lambda: "sending" not in s.chat.activity.words, "the turn runs")


async def help_screen(s: Stage) -> None:
    await welcome(s)
    await s.pilot.press("f1")
    await s.until(lambda: s.app.screen is not s.chat, "help is open")


async def conversations(s: Stage) -> None:
    await welcome(s)
    await s.pilot.press("ctrl+s")
    await s.until(lambda: getattr(s.app.screen, "_found", ()), "they are listed")
    preview = s.app.screen.query_one("#preview", Static)
    await s.until(lambda: "assistant" in str(preview.render()), "a look into the first is shown")


async def hits(s: Stage) -> None:
    s.desk.add_session(
        "d", "里斯本旅行计划", [
            make_turn(0, text="我想在里斯本住一个星期，有什么安静的酒店吗？", session="d"),
            make_turn(1, "assistant", "可以住在埃斯特雷拉，那里的酒店很安静。", session="d"),
        ],
    )  # fmt: skip
    await welcome(s)
    await s.send("/search 酒店")
    await s.until(lambda: getattr(s.app.screen, "_found", ()), "they are found")
    if s.app.size == WIDE:
        preview = s.app.screen.query_one("#preview", Static)
        await s.until(lambda: "埃斯特雷拉" in str(preview.render()), "a look into the first is shown")


async def variants(s: Stage) -> None:
    turns = [
        make_turn(0, text="Name one fruit that grows in the north.", variant=1, variants=2),
        make_turn(1, "assistant", "The **cloudberry** grows far in the north.", variant=2, variants=3),
    ]
    s.desk.add_session("d", "Fruit", turns)
    await welcome(s)
    s.chat.open("d")
    await s.until(lambda: s.replies(), "the conversation is open")
    await s.send("/edit")
    await s.until(lambda: s.chat.composer.text, "the message is in the box")


async def memory(s: Stage) -> None:
    for text, changes in (
        ("I live in Lyon", {"is_superseded": True, "topic": "home"}),
        ("我对花生过敏", {"origin": "said", "turn": "t0", "session": "a"}),
        ("my sister Amelia plays the cello in an orchestra and rehearses on Tuesdays and Thursdays", {}),
        ("I moved to Porto", {"origin": "said", "turn": "t4", "session": "a", "topic": "home"}),
        ("the spare key is under the blue pot", {"is_edited": True}),
    ):
        s.desk.facts.add(text, **changes)
    await welcome(s)
    await s.send("/memory")
    await s.until(lambda: [each.option_count for each in s.app.screen.query(OptionList)] == [5], "they are listed")
    await s.pilot.press("down")


async def understood(s: Stage) -> None:
    await welcome(s)
    s.desk.script = wanting(ANGRY, OFFER)
    await s.say("I want my money back!")


async def hand_over(s: Stage) -> None:
    await understood(s)
    await s.send("/handover")
    await s.until(lambda: s.app.screen is not s.chat, "the summary is shown")


SMALL, WIDE = (80, 24), (140, 40)
PULL = (LoadState("lm", "smollm2-135m-instruct", "llamacpp", "pulling", "downloading 62%, 8 s left", 0.62),)


@pytest.mark.parametrize(
    ("scene", "size", "theme"),
    [
        pytest.param(welcome, SMALL, "mmchat-dark", id="welcome"),
        pytest.param(conversation, SMALL, "mmchat-dark", id="conversation"),
        pytest.param(conversation, SMALL, "mmchat-light", id="conversation-light"),
        pytest.param(conversation, WIDE, "mmchat-dark", id="conversation-wide"),
        pytest.param(chinese, SMALL, "mmchat-dark", id="chinese"),
        pytest.param(pictures, SMALL, "mmchat-dark", id="pictures"),
        pytest.param(pictures, SMALL, "mmchat-light", id="pictures-light"),
        pytest.param(pictures, WIDE, "mmchat-dark", id="pictures-wide"),
        pytest.param(large_picture, SMALL, "mmchat-light", id="large-picture"),
        pytest.param(rated, SMALL, "mmchat-dark", id="rated"),
        pytest.param(rated, SMALL, "mmchat-light", id="rated-light"),
        pytest.param(error, SMALL, "mmchat-dark", id="error"),
        pytest.param(out_of_view, SMALL, "mmchat-dark", id="out-of-view"),
        pytest.param(context, SMALL, "mmchat-dark", id="context"),
        pytest.param(context, SMALL, "mmchat-light", id="context-light"),
        pytest.param(context, WIDE, "mmchat-light", id="context-wide"),
        pytest.param(streaming, SMALL, "mmchat-dark", id="streaming"),
        pytest.param(pulling, SMALL, "mmchat-dark", id="pulling"),
        pytest.param(commands, SMALL, "mmchat-light", id="commands"),
        pytest.param(recording, SMALL, "mmchat-dark", id="recording"),
        pytest.param(speaking_live, SMALL, "mmchat-light", id="speaking"),
        pytest.param(doubtful, SMALL, "mmchat-dark", id="doubtful"),
        pytest.param(hands_free, SMALL, "mmchat-dark", id="hands-free"),
        pytest.param(help_screen, SMALL, "mmchat-light", id="help"),
        pytest.param(conversations, SMALL, "mmchat-dark", id="conversations"),
        pytest.param(hits, SMALL, "mmchat-dark", id="hits"),
        pytest.param(hits, WIDE, "mmchat-light", id="hits-wide"),
        pytest.param(variants, SMALL, "mmchat-light", id="variants"),
        pytest.param(memory, SMALL, "mmchat-dark", id="memory"),
        pytest.param(memory, WIDE, "mmchat-light", id="memory-wide"),
        pytest.param(understood, SMALL, "mmchat-dark", id="understood"),
        pytest.param(hand_over, SMALL, "mmchat-dark", id="hand-over"),
    ],
)
def test_look(
    snap_compare: Any, desk: FakeDesk, tmp_path: Path, scene: Scene, size: tuple[int, int], theme: str
) -> None:
    desk.folder = tmp_path
    desk.add_session("a", "Trip to the lake", make_turns(8, "a"))
    desk.add_session("b", "学习计划", make_turns(40, "b"))
    desk.add_session("c", "Support bot: refunds and returns in the winter sale", make_turns(3, "c"))
    if scene is pulling:
        desk.states = PULL
    session = desk.open_session("a") if scene is out_of_view else desk.new_session()
    app = MmchatApp(desk.as_desk(), session, theme=theme)  # type: ignore[arg-type]
    app._chat.composer.cursor_blink = False

    async def play(pilot: Pilot[None]) -> None:
        await scene(Stage(app, pilot, desk))
        await until(pilot, lambda: not app._chat.transcript._is_loading, "the transcript rests")
        await until(pilot, lambda: all(map(is_made, app.screen.query(PictureRow))), "its pictures are drawn")

    assert snap_compare(app, terminal_size=size, run_before=play)


def is_made(row: PictureRow) -> bool:
    return not row.size or all(box.made for box in row._boxes()[0])


def _set() -> Event:
    event = Event()
    event.set()
    return event
