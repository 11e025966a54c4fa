"""The text side of the default dual encoder without the encoder, and drawn pictures found with it: real weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import mmchat
from mmchat.chat.picture_backlog import PictureBacklog
from mmchat.chat.quiet import Quiet
from mmchat.config.models_file import load_models_file
from mmchat.engines.picture_texts import MappedTexts, mapped_texts
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore, NewAttachment
from mmchat.weights.store import WeightsStore
from mmchat.wiring import open_hub, open_recall
from mmchat.wiring.hub import EngineHub

PICTURES = Path(mmchat.__file__).parent / "evals" / "data" / "pictures"

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def hub(weights_dir: Path) -> Iterator[EngineHub]:
    made = open_hub(kinds=("vision", "embed"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def album(hub: EngineHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recall]:
    """The drawn pictures that the project ships, among a few turns of talk, looked at as imported ones are."""
    folder = tmp_path_factory.mktemp("album")
    store = MemoryStore(folder / "mmchat.db", folder / "blobs")
    session = store.create_session()
    for path in sorted(PICTURES.glob("*.png")):
        store.add_user_turn(session.id, "", [NewAttachment(path, "image", "image/png", path.name)])
    for text in ("We booked the hotel near the station.", "My sister plays the cello.", "The soup was too salty."):
        store.add_user_turn(session.id, text)
    recall = open_recall(store, hub)
    assert PictureBacklog(store, recall, hub, Quiet()).work(Event()) == len(list(PICTURES.glob("*.png")))
    recall.backfill()
    yield recall
    store.close()


def test_the_map_and_the_embedder_are_the_encoders_text_side(hub: EngineHub) -> None:
    light = hub.picture_texts(may_load=False)
    assert isinstance(light, MappedTexts)
    assert light.name == hub.image_reader().name
    texts = ["a red bike", "A cat asleep on a windowsill, seen from outside.", "hello", ""]
    cosines = (light.embed_texts(texts) * hub.image_reader().embed_texts(texts)).sum(axis=1)
    assert cosines == pytest.approx(np.ones(len(texts)), abs=1e-4)


def test_an_encoder_with_another_text_tower_is_not_taken_for_it(
    hub: EngineHub, tmp_path: Path, weights_dir: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    embedder = hub.embedder()
    assert embedder is not None
    models, weights = load_models_file(), WeightsStore(weights_dir)
    vision, sentences = weights.prepared(models["lite2-minilm"], "open_clip"), weights.path(models["minilm"])
    assert mapped_texts("eyes", vision, embedder, sentences) is not None
    (tmp_path / "open_clip_config.json").write_text((vision / "open_clip_config.json").read_text())
    tensors = load_file(vision / "open_clip_model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith("text.")}
    changed = "text.transformer.encoder.layer.5.output.dense.bias"
    save_file({**kept, changed: kept[changed] + np.float32(0.001)}, tmp_path / "open_clip_model.safetensors")
    assert mapped_texts("eyes", tmp_path, embedder, sentences) is None
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"not tensors")
    assert mapped_texts("eyes", tmp_path, embedder, sentences) is None
    assert mapped_texts("eyes", tmp_path / "nowhere", embedder, sentences) is None


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("that photo of the bicycle", "bicycle.png"),
        ("Where is the picture I showed you of a kite?", "kite.png"),
        ("the picture with the bookshelf", "bookshelf.png"),
        ("我给你看过的那张自行车的照片呢？", "bicycle.png"),
        ("找一下风筝的图片", "kite.png"),
    ],
)
def test_drawn_pictures_are_found_by_what_is_in_them(album: Recall, query: str, name: str) -> None:
    names = [each.attachment.name for each in album.find(query, k=3) if each.attachment is not None]
    assert name in names


@pytest.mark.parametrize(
    "query", ["How do I renew my passport?", "What instrument does my sister play?", "天空为什么是蓝色的？", "hello"]
)
def test_questions_about_other_things_bring_up_no_picture(album: Recall, query: str) -> None:
    assert [each for each in album.find(query) if each.attachment is not None] == []


def test_recall_by_words_needs_no_torch(album: Recall, tmp_path: Path, weights_dir: Path) -> None:
    program = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from mmchat.memory.store import MemoryStore\n"
        "from mmchat.wiring import open_recall\n"
        "store = MemoryStore(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "found = open_recall(store).find('that photo of the bicycle', k=1)\n"
        "print(json.dumps([found[0].attachment.name, 'torch' in sys.modules, 'open_clip' in sys.modules]))\n"
    )
    store = album.pictures._store
    path = store.file.path
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(store.blobs.folder)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["bicycle.png", False, False]
