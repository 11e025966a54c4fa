"""Pictures found by a text: with the scripted eyes, for which a colour's name lands where that colour lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmchat.domain import Seen, Tag, Turn
from mmchat.engines.scripted import ScriptedEmbedder, ScriptedImageReader
from mmchat.memory.picture_recall import NEWEST, PictureRecall
from mmchat.memory.ranking import Candidate, bearing_scores
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.memory.trash import move_to_trash
from mmchat.memory.vectors import VectorIndex
from mmchat.memory.word_search import Filters

Show = Callable[..., Turn]


class Album:
    """A store in which pictures of one colour are shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore(folder / "mmchat.db", folder / "blobs")
        self.reader = ScriptedImageReader(name="eyes")
        self.embedder = ScriptedEmbedder(name="words")
        self.asked_to_load: list[bool] = []
        self.recall = Recall(self.store, lambda: self.embedder, self._texts)
        self.session = self.store.create_session(title="Album")

    def _texts(self, may_load: bool) -> ScriptedImageReader:
        self.asked_to_load.append(may_load)
        return self.reader

    def show(self, colour: str, text: str = "", *, tags: tuple[str, ...] = (), session: str = "") -> Turn:
        path = self.folder / f"{colour}.png"
        Image.new("RGB", (24, 24), ScriptedImageReader.COLOURS[colour]).save(path)
        attachment = NewAttachment(path, "image", "image/png", path.name)
        turn = self.store.add_user_turn(session or self.session.id, text, [attachment])
        picture = turn.attachments[0]
        self.store.save_seen(picture.id, Seen(tuple(Tag(each, 0.9) for each in tags), model="eyes"))
        with Image.open(path) as image:
            self.recall.index_image(picture.id, self.reader.embed_images([image])[0], "eyes")
        return turn


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    made = Album(tmp_path)
    yield made
    made.store.close()


def found(album: Album, query: str, filters: Filters | None = None) -> list[str]:
    hits = album.recall.pictures.find(query, filters or Filters())
    return [each.turn for each in album.recall.pictures.recalled([hit for hit in hits if hit.is_bearing])]


def test_nothing_is_embedded_or_loaded_while_no_picture_is_stored(album: Album) -> None:
    album.store.add_user_turn(album.session.id, "hello")
    assert album.recall.pictures.find("that photo of a red door") == ()
    assert album.embedder.calls == []
    assert album.asked_to_load == []


def test_a_photo_is_found_by_what_is_in_it(album: Album) -> None:
    shown = {colour: album.show(colour) for colour in ("red", "blue", "green")}
    for colour, turn in shown.items():
        assert found(album, f"that photo of something {colour}")[0] == turn.id
        assert album.recall.find(f"that photo of something {colour}")[0].turn == turn.id


def test_the_tags_find_it_where_the_picture_model_is_not_at_hand(album: Album) -> None:
    turn = album.show("red", tags=("bicycle", "street"))
    album.show("blue", tags=("whale", "sea"))
    alone = PictureRecall(album.store, lambda: album.embedder, lambda may_load: None, index_of(album))
    hits = alone.find("the photo of a bicycle")
    assert hits[0].is_bearing
    assert alone.recalled(hits)[0].turn == turn.id


def index_of(album: Album) -> Callable[[str], VectorIndex]:
    return lambda model: VectorIndex(album.store.file, "attachment", model)


def test_a_question_that_names_no_picture_needs_far_more_to_find_one(album: Album) -> None:
    album.show("yellow")  # not far from red
    (asked,), (unasked,) = (album.recall.pictures.find(text) for text in ("that photo of red", "red"))
    assert asked.score == pytest.approx(unasked.score)
    assert asked.is_bearing
    assert not unasked.is_bearing
    assert not any(hit.is_bearing for hit in album.recall.pictures.find("黄色"))
    assert album.asked_to_load == [True, False, False]


def test_chinese_finds_it_too(album: Album) -> None:
    turn = album.show("red")
    album.show("blue")
    assert found(album, "那张红色的照片")[0] == turn.id


def test_that_photo_is_the_newest(album: Album) -> None:
    turns = [album.show(colour) for colour in ("red", "blue", "green", "yellow", "red")]
    newest = found(album, "what was that photo?")
    assert newest == [turns[4].id, turns[3].id, turns[2].id][:NEWEST]


def test_the_same_bytes_are_found_once_where_they_were_shown_last(album: Album) -> None:
    album.show("red", "look")
    last = album.show("red", "look again")
    assert found(album, "that photo of red") == [last.id]


def test_pictures_in_view_are_left_out_and_so_are_copies_of_them(album: Album) -> None:
    album.show("red")
    in_view = album.show("red")
    assert found(album, "that photo of red", Filters(exclude_turns=(in_view.id,))) == []


def test_a_conversation_can_be_asked_for_or_left_out(album: Album) -> None:
    other = album.store.create_session()
    here, there = album.show("red"), album.show("green", session=other.id)
    assert found(album, "the photo of green", Filters(session_id=other.id)) == [there.id]
    assert there.id not in found(album, "the photo of green", Filters(exclude_session=other.id))
    assert found(album, "what was that photo?", Filters(session_id=album.session.id)) == [here.id]


def test_what_lies_in_the_trash_is_not_found(album: Album) -> None:
    other = album.store.create_session()
    gone = album.show("green", "my green wall", session=other.id)
    kept = album.show("red")
    query = "the photo of my green wall"
    assert found(album, query)[0] == gone.id
    move_to_trash(album.store, other.id)
    assert gone.id not in found(album, query)
    assert gone.id not in [each.turn for each in album.recall.find_pictures(query)]
    vector = album.reader.embed_texts(["green"])[0]
    assert [each.turn for each in album.recall.find_by_image(vector, "eyes", floor=-1)] == [kept.id]


def test_vectors_of_two_models_are_never_mixed(album: Album) -> None:
    turn = album.show("red")
    picture = turn.attachments[0].id
    album.recall.index_image(picture, album.reader.embed_texts(["blue"])[0], "other eyes")
    assert found(album, "the photo of red") == [turn.id]
    assert album.recall.find_by_image(album.reader.embed_texts(["red"])[0], "third eyes") == ()
    stored = album.store.file.rows("SELECT model, count(*) AS n FROM embeddings GROUP BY model ORDER BY model")
    assert {row["model"]: row["n"] for row in stored} == {"eyes": 1, "other eyes": 1}


def test_a_search_for_pictures_finds_them_by_what_was_said_with_them_and_nothing_else(album: Album) -> None:
    named = album.show("blue", "our holiday house in Denmark")
    alike = album.show("red")
    album.store.add_user_turn(album.session.id, "the house in Denmark was red")
    turns = [each.turn for each in album.recall.find_pictures("red house in Denmark")]
    assert set(turns) == {named.id, alike.id}
    (first, *_) = album.recall.find_pictures("red")
    assert first.turn == alike.id
    assert first.attachment is not None
    assert first.attachment.name == "red.png"


def test_scores_are_deviations_from_what_unrelated_texts_reach(album: Album) -> None:
    album.show("red")
    album.show("green")
    (best, *_) = album.recall.pictures.find("a picture of red")
    assert best.score > 2
    noise = [hit.score for hit in album.recall.pictures.find("my landlord wrote about the rent")]
    assert all(abs(score) < 4 for score in noise)
    assert np.isfinite(noise).all()


def test_tags_alone_bear_on_less_than_words_do() -> None:
    said, seen = (Candidate(number, cosine=0.44, is_seen_alone=number == 2) for number in (1, 2))
    assert set(bearing_scores([said, seen], is_chinese=False).scores) == {1}
    seen.cosine = 0.55
    assert set(bearing_scores([said, seen], is_chinese=False).scores) == {1, 2}
    seen.cosine, seen.ranks = 0.1, [(1.0, 1)]
    assert set(bearing_scores([said, seen], is_chinese=False).scores) == {1, 2}
