"""Pictures that wait are looked at in the background, one after the other, and never while a reply is drawn."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.picture_backlog import PictureBacklog
from mmchat.chat.quiet import Quiet
from mmchat.domain import Tag, Turn
from mmchat.engines.scripted import ScriptedImageReader
from mmchat.memory.store import NewAttachment
from mmchat.memory.trash import move_to_trash
from mmchat.memory.waiting_pictures import count_waiting
from tests.fakes import Bench, FakeEngines


class CountingReader(ScriptedImageReader):
    """Counts the pictures it looks at, and may stop the work after some."""

    def __init__(self) -> None:
        super().__init__(name="eyes")
        self.looked = 0
        self.cancel: Event | None = None
        self.cancel_at = 0

    def tag(self, image: Image.Image, *, top_k: int = 5, labels: Sequence[str] | None = None) -> tuple[Tag, ...]:
        self.looked += 1
        if self.cancel is not None and self.looked == self.cancel_at:
            self.cancel.set()
        return super().tag(image, top_k=top_k, labels=labels)


class Backlog:
    """Pictures in a store that nobody has looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader = CountingReader()
        self.bench = Bench(folder, FakeEngines(vision=self.reader))
        self.session = self.bench.store.create_session()
        self.quiet = Quiet()
        self.backlog = PictureBacklog(self.bench.store, self.bench.recall, self.bench.engines, self.quiet)

    def add(self, shade: int, text: str = "") -> Turn:
        path = self.folder / f"{shade}.png"
        Image.new("RGB", (16, 16), (shade, 40, 200 - shade)).save(path)
        new = NewAttachment(path, "image", "image/png", path.name)
        return self.bench.store.add_user_turn(self.session.id, text, [new])


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Backlog]:
    made = Backlog(tmp_path)
    yield made
    made.bench.close()


def test_all_that_wait_are_looked_at_and_found(waiting: Backlog) -> None:
    turns = [waiting.add(shade) for shade in range(0, 200, 5)]
    assert waiting.backlog.waiting() == 40
    assert waiting.backlog.work(Event()) == 40
    assert waiting.backlog.waiting() == 0
    stored = waiting.bench.store.get_turn(turns[0].id).attachments[0]
    assert stored.seen is not None
    assert stored.seen.model == "eyes"
    with Image.open(stored.path) as image:
        vector = waiting.reader.embed_images([image])[0]
    assert waiting.bench.recall.find_by_image(vector, "eyes")[0].turn == turns[0].id
    assert waiting.backlog.work(Event()) == 0


def test_the_same_bytes_are_looked_at_once(waiting: Backlog) -> None:
    for _ in range(5):
        waiting.add(100)
    assert waiting.backlog.waiting() == 1
    assert waiting.backlog.work(Event()) == 5
    assert waiting.reader.looked == 1
    rows = waiting.bench.store.file.rows("SELECT DISTINCT vector FROM embeddings WHERE model = 'eyes'")
    assert len(rows) == 1


def test_it_may_be_stopped_and_goes_on_with_the_next(waiting: Backlog) -> None:
    for shade in range(0, 100, 10):
        waiting.add(shade)
    waiting.reader.cancel, waiting.reader.cancel_at = Event(), 4
    assert waiting.backlog.work(waiting.reader.cancel) == 4
    assert waiting.backlog.waiting() == 6
    assert waiting.backlog.work(Event()) == 6
    assert waiting.reader.looked == 10


def test_a_picture_that_is_gone_or_broken_is_passed_over(waiting: Backlog) -> None:
    broken, gone, sound = (waiting.add(shade).attachments[0] for shade in (10, 20, 30))
    broken.path.write_bytes(b"no picture")
    gone.path.unlink()
    assert waiting.backlog.work(Event()) == 1
    assert waiting.backlog.waiting() == 2
    assert waiting.bench.store.get_turn(sound.turn_id).attachments[0].seen is not None


def test_it_waits_while_a_reply_is_drawn(waiting: Backlog) -> None:
    waiting.add(10)
    done = threading.Thread(target=waiting.backlog.work, args=(Event(),))
    with waiting.quiet.broken():
        done.start()
        done.join(0.05)
        assert waiting.reader.looked == 0
    done.join(10)
    assert waiting.reader.looked == 1


def test_a_conversation_breaks_the_quiet_for_as_long_as_it_replies(waiting: Backlog) -> None:
    from mmchat.chat.session import UserInput

    session = waiting.bench.session()
    session._quiet = waiting.quiet
    events = session.reply(UserInput("hello there, what is new?"), Event())
    next(events)
    next(events)
    cancelled = Event()
    cancelled.set()
    assert not waiting.quiet.wait(cancelled)
    for _ in events:
        pass
    assert waiting.quiet.wait(Event())


def test_pictures_in_the_trash_do_not_wait(waiting: Backlog) -> None:
    waiting.add(10)
    move_to_trash(waiting.bench.store, waiting.session.id)
    assert count_waiting(waiting.bench.store, "eyes") == 0


def test_tags_get_their_vectors_when_the_sentence_embedder_has_come(waiting: Backlog) -> None:
    turn = waiting.add(10)
    waiting.backlog.work(Event())
    store = waiting.bench.store
    with store.file.write() as db:
        db.execute("DELETE FROM embeddings WHERE model = ?", [waiting.bench.engines.embed.name])
    waiting.backlog.work(Event())
    rows = store.file.rows("SELECT owner_kind, model FROM embeddings WHERE model = 'scripted-embed'")
    assert [row["owner_kind"] for row in rows] == ["attachment"]
    assert waiting.reader.looked == 1
    assert store.get_turn(turn.id).attachments[0].seen is not None


def test_nothing_is_loaded_where_nothing_waits_or_the_model_would_have_to_be_fetched(waiting: Backlog) -> None:
    class Unfetched(FakeEngines):
        def is_in_place(self, kind: object) -> bool:
            return False

        def image_reader(self) -> ScriptedImageReader:
            raise AssertionError("loaded")

    waiting.add(10)
    backlog = PictureBacklog(waiting.bench.store, waiting.bench.recall, Unfetched(), waiting.quiet)
    assert backlog.work(Event()) == 0
