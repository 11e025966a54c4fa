"""`mmchat recall`, through the program's own entry point, with scripted engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.wiring import open_hub, open_store
from tests.cli.conftest import Run
from tests.cli.test_ask import write_sound


@pytest.fixture
def store(scripted_home: Path) -> Iterator[MemoryStore]:
    opened = open_store()
    yield opened
    opened.close()


def colour(folder: Path, name: str) -> Path:
    path = folder / f"{name}.png"
    Image.new("RGB", (32, 32), name).save(path)
    return path


def test_json_is_exactly_as_designed(run: Run, store: MemoryStore) -> None:
    session = store.create_session()
    turn = store.add_user_turn(session.id, "our hotel in 里斯本 is near the river")
    store.add_user_turn(session.id, "something else altogether")
    (found,) = json.loads(run("recall", "which hotel near the river", "-k", "1", "--json").out)
    keys = [
        "session",
        "turn",
        "role",
        "text",
        "created_at",
        "score",
        "is_sure",
        "attachment",
        "attachment_name",
        "attachment_kind",
    ]
    assert list(found) == keys
    assert (found["session"], found["turn"], found["role"]) == (session.id, turn.id, "user")
    assert (found["created_at"], found["attachment"]) == (turn.created_at, None)
    assert found["score"] > 0
    assert "里斯本" in run("recall", "里斯本").out


def test_nothing_fitting_is_an_empty_list(run: Run, store: MemoryStore) -> None:
    session = store.create_session()
    store.add_user_turn(session.id, "our hotel is near the river")
    assert run("recall", "quantum", "chromodynamics", "--json").out == "[]\n"


def test_a_session_may_be_named(run: Run, store: MemoryStore) -> None:
    sessions = [store.create_session(), store.create_session()]
    for session in sessions:
        store.add_user_turn(session.id, f"hotel number {session.id}")
    found = json.loads(run("recall", "hotel", "-s", sessions[0].id, "--json").out)
    assert [each["session"] for each in found] == [sessions[0].id]
    assert run("recall", "hotel", "-s", "nope").code == 2


def test_a_picture_finds_the_turn_with_a_picture_like_it(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    hub = open_hub(kinds=("vision", "embed"))
    reader, recall = hub.image_reader(), Recall(store, hub.embedder)
    session = store.create_session()
    kept: dict[str, str] = {}
    for name in ("red", "blue"):
        path = colour(tmp_path, name)
        turn = store.add_user_turn(session.id, "", [NewAttachment(path, "image", "image/png", path.name)])
        with Image.open(path) as image:
            recall.index_image(turn.attachments[0].id, reader.embed_images([image])[0], reader.name)
        kept[name] = str(turn.attachments[0].path)
    hub.close()
    found = json.loads(run("recall", "--image", str(colour(tmp_path, "darkred")), "--json").out)
    assert [each["attachment"] for each in found] == [kept["red"]]  # the blue one is not like it


def show(store: MemoryStore, folder: Path, name: str, text: str = "") -> str:
    hub = open_hub(kinds=("vision", "embed"))
    path = colour(folder, name)
    turn = store.add_user_turn(store.create_session().id, text, [NewAttachment(path, "image", "image/png", path.name)])
    with Image.open(path) as image:
        vector = hub.image_reader().embed_images([image])[0]
    Recall(store, hub.embedder).index_image(turn.attachments[0].id, vector, hub.image_reader().name)
    hub.close()
    return turn.id


def test_words_find_pictures_alone_when_asked_to(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    store.add_user_turn(store.create_session().id, "my blue car broke down")
    shown = {name: show(store, tmp_path, name) for name in ("red", "blue")}
    (best, *_) = json.loads(run("recall", "something", "blue", "--pictures", "--json").out)
    assert best["turn"] == shown["blue"]
    assert (best["attachment_name"], best["attachment_kind"]) == ("blue.png", "image")
    assert Path(best["attachment"]).is_file()
    told = run("recall", "那张蓝色的照片", "--pictures")
    assert "blue.png" in told.out
    assert run("recall", "--pictures", "--image", str(colour(tmp_path, "red"))).code == 2


def test_a_question_that_asks_for_a_photo_finds_it(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    shown = show(store, tmp_path, "red")
    (best, *_) = json.loads(run("recall", "where is that photo of the red door?", "--json").out)
    assert best["turn"] == shown
    assert json.loads(run("recall", "how do I renew my passport?", "--json").out) == []


def test_where_there_is_no_such_picture_none_is_found(run: Run, store: MemoryStore) -> None:
    store.add_user_turn(store.create_session().id, "my blue car broke down")
    done = run("recall", "blue", "--pictures")
    assert (done.code, done.out) == (0, "")


def test_a_question_or_a_picture_is_needed_and_not_both(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    assert run("recall").code == 2
    assert run("recall", "x", "--image", str(colour(tmp_path, "red"))).code == 2
    assert run("recall", "--image", str(tmp_path / "gone.png")).code == 4


# --- what was heard ---------------------------------------------------------------------------------


def test_a_spoken_sentence_is_found_by_its_words(run: Run, scripted_home: Path, tmp_path: Path) -> None:
    memo = write_sound(tmp_path / "memo.wav")
    assert run("ask", "-a", str(memo)).code == 0  # nothing but speech
    assert run("ask", "keep this", "-a", str(memo)).code == 0
    found = json.loads(run("recall", "a fine day", "--json").out)
    heard = [each for each in found if each["role"] == "user"]
    assert {(each["attachment_name"], each["attachment_kind"]) for each in heard} == {("memo.wav", "audio")}
    assert {each["text"] for each in heard} == {"what a fine day", "keep this"}


def test_spoken_chinese_is_found_by_words_of_two_characters(run: Run, scripted_home: Path, tmp_path: Path) -> None:
    models = scripted_home / "config" / "models.toml"
    models.write_text(models.read_text().replace("what a fine day", "明天下午三点开会讨论预算"))
    assert run("ask", "-a", str(write_sound(tmp_path / "memo.wav"))).code == 0
    for words in ("预算", "开会", "开会讨论什么？"):
        (heard,) = [each for each in json.loads(run("recall", words, "--json").out) if each["role"] == "user"]
        assert (heard["text"], heard["attachment_name"]) == ("明天下午三点开会讨论预算", "memo.wav")


# --- in the plain mode of talk --------------------------------------------------------------------


def test_talk_recalls_in_words_and_with_the_attached_picture(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    show(store, tmp_path, "red", "our new door")
    assert "our new door" in run("talk", stdin="/recall the photo of the red door\n").out
    like = colour(tmp_path, "darkred")
    done = run("talk", stdin=f"/image {like}\n/recall\n/quit\n")
    assert "our new door" in done.out
    assert "red.png" in done.out
    assert run("talk", stdin="/recall\n").code == 2


def test_talk_says_where_a_file_is_that_it_cannot_open(
    run: Run, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    path = colour(tmp_path, "red")
    done = run("talk", stdin=f"what is {path}\n/view red\n")
    (kept,) = store.blobs.folder.rglob("*.png")
    assert str(kept) in done.err
    assert run("talk", stdin="/view\n").code == 2


def test_why_names_the_file_of_a_recalled_turn(run: Run, store: MemoryStore, tmp_path: Path) -> None:
    show(store, tmp_path, "red", "our new door")
    assert "[red.png]" in run("talk", stdin="where is that photo of the red door?\n/why\n").out
