"""Many pictures: in order, each once, and what is done stays done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.chat.gallery import Gallery, Look, Looked, pictures_in
from mmchat.domain import Tag
from mmchat.engines.scripted import ScriptedImageReader
from mmchat.engines.scripted_texts import ScriptedTextReader
from mmchat.memory.seen_cache import SeenCache
from tests.fakes import FakeEngines


class CountingReader(ScriptedImageReader):
    """Remembers how many pictures came together."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def tag_batch(
        self, images: Sequence[Image.Image], *, top_k: int = 5, labels: Sequence[str] | None = None
    ) -> list[tuple[Tag, ...]]:
        self.batches.append(len(images))
        return super().tag_batch(images, top_k=top_k, labels=labels)


@pytest.fixture
def reader() -> CountingReader:
    return CountingReader()


@pytest.fixture
def engines(reader: CountingReader) -> FakeEngines:
    return FakeEngines(vision=reader)


def picture(path: Path, colour: str | tuple[int, int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), colour).save(path)
    return path


def shades(folder: Path, count: int) -> list[Path]:
    return [picture(folder / f"{number:03}.png", (number * 7 % 256, 30, 90)) for number in range(count)]


def looked(gallery: Gallery, paths: Sequence[Path]) -> list[Looked]:
    return list(gallery.look_at(paths, Event()))


def test_all_come_in_order_and_more_than_one_is_looked_at_together(
    tmp_path: Path, engines: FakeEngines, reader: CountingReader
) -> None:
    paths = shades(tmp_path, 30)
    found = looked(Gallery(engines, Look()), paths)
    assert [each.path for each in found] == paths
    assert all(each.seen is not None and not each.is_known for each in found)
    assert sum(reader.batches) == 30
    assert max(reader.batches) <= 16


def test_the_same_bytes_are_looked_at_once(tmp_path: Path, engines: FakeEngines, reader: CountingReader) -> None:
    one, other = picture(tmp_path / "one.png", "red"), picture(tmp_path / "other.png", "blue")
    (tmp_path / "copy.png").write_bytes(one.read_bytes())
    found = looked(Gallery(engines, Look()), [one, other, tmp_path / "copy.png"])
    assert sum(reader.batches) == 2
    assert [each.is_known for each in found] == [False, False, True]
    assert found[2].seen is not None
    assert found[0].seen is not None
    assert found[2].seen.tags == found[0].seen.tags


def test_what_an_earlier_call_saw_needs_no_model(tmp_path: Path, engines: FakeEngines) -> None:
    class Blind(FakeEngines):
        def image_reader(self) -> ScriptedImageReader:
            raise AssertionError("loaded")

    paths = shades(tmp_path, 5)
    first = looked(Gallery(engines, Look(), SeenCache(tmp_path / "seen.db", "eyes")), paths)
    again = looked(Gallery(Blind(), Look(), SeenCache(tmp_path / "seen.db", "eyes")), paths)
    assert [each.is_known for each in again] == [True] * 5
    assert [each.seen.tags for each in again if each.seen] == [each.seen.tags for each in first if each.seen]


def test_one_that_cannot_be_read_stops_none(tmp_path: Path, engines: FakeEngines) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    paths = [tmp_path / "gone.png", picture(tmp_path / "a.png", "red"), tmp_path / "bad.png", tmp_path]
    found = looked(Gallery(engines, Look()), paths)
    assert [each.error is None for each in found] == [False, True, False, False]


def test_a_cancelled_look_keeps_what_is_done(tmp_path: Path, engines: FakeEngines) -> None:
    cache = SeenCache(tmp_path / "seen.db", "eyes")
    cancel = Event()
    done = 0
    for _ in Gallery(engines, Look(), cache).look_at(shades(tmp_path, 60), cancel):
        done += 1
        cancel.set()
    assert 0 < done < 60
    found = looked(Gallery(engines, Look(), cache), shades(tmp_path, 60))
    assert [each.is_known for each in found[:done]] == [True] * done


def test_what_is_written_in_them_is_read(tmp_path: Path, engines: FakeEngines) -> None:
    engines.texts = ScriptedTextReader({(255, 0, 0): "EXIT\n出口"})
    found = looked(Gallery(engines, Look()), [picture(tmp_path / "a.png", "red"), picture(tmp_path / "b.png", "blue")])
    assert [each.seen.text for each in found if each.seen] == ["EXIT\n出口", ""]


def test_labels_are_ranked_for_each(tmp_path: Path, engines: FakeEngines) -> None:
    look = Look(labels=("red", "blue"))
    found = looked(Gallery(engines, look), [picture(tmp_path / "a.png", "blue"), picture(tmp_path / "b.png", "red")])
    assert [each.seen.tags[0].label for each in found if each.seen] == ["blue", "red"]


def test_folders_are_opened_hidden_files_and_other_files_passed_over(tmp_path: Path) -> None:
    wanted = [picture(tmp_path / name, "red") for name in ("a.png", "b/c.jpg", "b/d/e.webp")]
    picture(tmp_path / ".hidden.png", "red")
    picture(tmp_path / ".trash" / "x.png", "red")
    (tmp_path / "notes.txt").touch()
    assert sorted(pictures_in([tmp_path])) == sorted(wanted)
    assert pictures_in([wanted[1], tmp_path, wanted[1]])[0] == wanted[1]
    assert len(pictures_in([wanted[1], tmp_path, wanted[1]])) == 3


def test_a_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    only = picture(tmp_path / "in" / "a.png", "red")
    try:
        (tmp_path / "in" / "again").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert pictures_in([tmp_path]) == [only]


def test_a_folder_without_pictures_is_said_and_stops_none(tmp_path: Path, engines: FakeEngines) -> None:
    (tmp_path / "empty.png").mkdir()
    paths = pictures_in([tmp_path / "empty.png", picture(tmp_path / "a.png", "red")])
    empty, found = looked(Gallery(engines, Look()), paths)
    assert empty.error is not None
    assert "no pictures" in empty.error.message
    assert found.seen is not None
