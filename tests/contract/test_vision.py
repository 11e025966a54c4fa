"""What every image reader promises: the assembled default on its real weights, and a tiny random OpenCLIP."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from safetensors.numpy import load_file, save_file

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.engines.base import ImageReader
from mmchat.engines.registry import load_engine
from mmchat.engines.see import see
from mmchat.engines.vision_exported import ExportedReader
from mmchat.engines.vision_open_clip import load as load_open_clip
from mmchat.errors import EngineUnavailable, ModelNotFound, WeightsError
from mmchat.image_tower import TOWER_NAME
from mmchat.weights.store import WeightsStore

TINY_CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


def write_tiny_clip(folder: Path) -> Path:
    """A hub-style OpenCLIP folder with random weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file as save_tensors

    config = TINY_CONFIG["model_cfg"]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = open_clip.CLIP(**json.loads(json.dumps(config)))
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(
        {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    (folder / "open_clip_config.json").write_text(json.dumps(TINY_CONFIG))
    return folder


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def default_folder(weights_dir: Path) -> Path:
    return WeightsStore(weights_dir).prepared(load_models_file()["lite2-minilm"], "open_clip")


READERS = ["tiny", *(pytest.param(name, marks=pytest.mark.weights) for name in ("exported", "torch"))]


@pytest.fixture(scope="module", params=READERS)
def reader(request: pytest.FixtureRequest, tiny_folder: Path) -> Iterator[ImageReader]:
    path = tiny_folder if request.param == "tiny" else request.getfixturevalue("default_folder")
    spec = EngineSpec(request.param, "open_clip", path, device="cpu")
    loaded: ImageReader = load_open_clip(spec) if request.param == "torch" else load_engine("vision", spec)
    assert isinstance(loaded, ExportedReader) == (request.param == "exported")
    yield loaded
    loaded.close()


def drawn() -> list[Image.Image]:
    """Three unlike pictures, of unlike shapes."""
    red = Image.new("RGB", (90, 40), "red")
    grid = Image.new("RGB", (64, 64), "white")
    for at in range(0, 64, 8):
        ImageDraw.Draw(grid).line((at, 0, at, 64), fill="black", width=3)
    sea = Image.linear_gradient("L").resize((50, 120)).convert("RGB")
    return [red, grid, sea]


def test_embeddings_are_unit_rows_in_one_space(reader: ImageReader) -> None:
    images, texts = reader.embed_images(drawn()), reader.embed_texts(["a dog", "", "今天", "\udcff", "word " * 500])
    assert images.shape == (3, reader.embedding_dim)
    assert texts.shape == (5, reader.embedding_dim)
    for rows in (images, texts):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert reader.embed_images([]).shape == (0, reader.embedding_dim)
    assert reader.embed_texts([]).shape == (0, reader.embedding_dim)


def test_the_batch_changes_nothing(reader: ImageReader) -> None:
    together = reader.embed_texts(["a cat", "a long sentence about a cat that sleeps on a mat"])
    np.testing.assert_allclose(together[0], reader.embed_texts(["a cat"])[0], atol=1e-4)
    images = reader.embed_images(drawn())
    np.testing.assert_allclose(images[1], reader.embed_images([drawn()[1]])[0], atol=1e-4)


def test_labels_are_ranked_with_scores_that_sum_to_one(reader: ImageReader) -> None:
    tags = reader.tag(drawn()[0], labels=["a dog", "a cat", "a dog", "a car"])
    assert sorted(tag.label for tag in tags) == ["a car", "a cat", "a dog"]
    scores = [tag.score for tag in tags]
    assert sum(scores) == pytest.approx(1, abs=1e-6)
    assert scores == sorted(scores, reverse=True)
    assert reader.tag(drawn()[0], labels=[]) == ()


def test_open_tags_are_the_same_from_the_cache(reader: ImageReader, home: Path) -> None:
    first = reader.tag(drawn()[1], top_k=4)
    assert reader.tag(drawn()[1], top_k=4) == first
    assert len(first) <= 4
    assert all(0 <= tag.score <= 1 for tag in first)


def test_tags_of_a_batch_are_those_of_each(reader: ImageReader) -> None:
    pictures = [*drawn(), drawn()[0].transpose(Image.Transpose.ROTATE_90)]
    together = reader.tag_batch(pictures, top_k=6)
    for image, tags in zip(pictures, together, strict=True):
        assert [tag.label for tag in reader.tag(image, top_k=6)] == [tag.label for tag in tags]
    assert "mostly red" in {tag.label for tag in together[0]}
    assert reader.tag_batch([]) == []


def test_prototypes_are_kept_for_the_next_start(tiny_folder: Path, home: Path) -> None:
    spec = EngineSpec("tiny", "open_clip", tiny_folder, device="cpu")
    computed = load_engine("vision", spec).sights([drawn()[0]])[0].above
    assert len(list((home / "cache" / "vision").glob("*.safetensors"))) == 1
    again = load_engine("vision", spec)
    again.embed_texts = None  # what is cached needs no text encoder
    np.testing.assert_allclose(again.sights([drawn()[0]])[0].above, computed, atol=1e-6)


def test_a_closed_reader_says_so(tiny_folder: Path) -> None:
    reader = load_engine("vision", EngineSpec("tiny", "open_clip", tiny_folder, device="cpu"))
    reader.close()
    reader.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        reader.embed_images(drawn())


def test_missing_and_damaged_folders_are_told_apart(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="pull"):
        load_engine("vision", EngineSpec("tiny", "open_clip", tmp_path))
    (tmp_path / "open_clip_config.json").write_text(json.dumps(TINY_CONFIG))
    with pytest.raises(WeightsError, match="open_clip_model"):
        load_engine("vision", EngineSpec("tiny", "open_clip", tmp_path, device="cpu"))
    whole = (tiny_folder / "open_clip_model.safetensors").read_bytes()
    (tmp_path / "open_clip_model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_engine("vision", EngineSpec("tiny", "open_clip", tmp_path, device="cpu"))


@pytest.mark.weights
def test_assembly_keeps_the_classifier_and_agrees_with_the_class_names(default_folder: Path) -> None:
    """The map is right when a class's own row is nearest to its own name, for most of 1,000 classes."""
    import open_clip

    reader: ImageReader = load_engine("vision", EngineSpec("lite2-minilm", "open_clip", default_folder, device="cpu"))
    rows = load_file(default_folder / "class_prototypes.safetensors")["rows"]
    rows = rows - rows.mean(axis=0)
    picked = list(range(0, 1000, 10))
    texts = reader.embed_texts([f"a photo of a {open_clip.IMAGENET_CLASSNAMES[index]}." for index in picked])
    ranked = np.argsort(-(texts @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T), axis=1)
    assert np.mean([index in best[:5] for index, best in zip(picked, ranked, strict=True)]) > 0.6
    reader.close()


@pytest.mark.weights
def test_a_drawing_is_told_and_its_traffic_light_found_among_labels(default_folder: Path) -> None:
    """One picture made here, so that the whole path (file, pixels, words, doubt) is run on something known."""
    reader: ImageReader = load_engine("vision", EngineSpec("lite2-minilm", "open_clip", default_folder, device="cpu"))
    image = Image.new("RGB", (300, 300), (150, 190, 235))
    pen = ImageDraw.Draw(image)
    pen.rectangle((145, 200, 155, 300), fill=(60, 60, 60))
    pen.rectangle((115, 40, 185, 205), fill=(25, 25, 25))
    for top, colour in ((48, (230, 30, 30)), (100, (90, 70, 10)), (152, (10, 70, 30))):
        pen.ellipse((127, top, 173, top + 46), fill=colour)
    seen = see(reader, image)
    assert {"drawing", "mostly blue"} <= {tag.label for tag in seen.tags}  # of drawings little more is said for certain
    assert "drawing" in seen.caption.lower()
    assert seen.model == "lite2-minilm"
    among = see(reader, image, labels=("an elephant", "a traffic light", "a bicycle"))
    assert among.tags[0].label == "a traffic light"
    reader.close()


@pytest.mark.weights
def test_the_exported_tower_sees_what_torch_sees(default_folder: Path) -> None:
    spec = EngineSpec("lite2-minilm", "open_clip", default_folder, device="cpu")
    exported, whole = load_engine("vision", spec), load_open_clip(spec)
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (301, 447, 3), dtype=np.uint8))
    pictures = [*drawn(), noise, Image.new("RGB", (5, 900), "green")]
    np.testing.assert_allclose(exported.embed_images(pictures), whole.embed_images(pictures), atol=1e-5)
    for one, other in zip(exported.sights(pictures), whole.sights(pictures), strict=True):
        np.testing.assert_allclose(one.above, other.above, atol=1e-5)
    for found, expected in zip(exported.tag_batch(pictures), whole.tag_batch(pictures), strict=True):
        assert [tag.label for tag in found] == [tag.label for tag in expected]
        assert [tag.score for tag in found] == pytest.approx([tag.score for tag in expected], abs=1e-4)
    exported.close()
    whole.close()


LOOK_WITHOUT_TORCH = """
import sys
from pathlib import Path
from PIL import Image
from mmchat.domain import EngineSpec
from mmchat.engines.registry import load_engine
reader = load_engine("vision", EngineSpec("lite2-minilm", "open_clip", Path(sys.argv[1]), device="cpu"))
picture = Image.linear_gradient("L").resize((300, 200)).convert("RGB")
reader.tag(picture)
reader.embed_images([picture])
print(sorted({"torch", "torchvision", "timm", "open_clip", "transformers", "sympy", "cv2"} & set(sys.modules)))
"""


@pytest.mark.weights
def test_looking_at_a_picture_imports_no_torch(default_folder: Path, home: Path) -> None:
    command = [sys.executable, "-c", LOOK_WITHOUT_TORCH, str(default_folder)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.weights
def test_an_exported_tower_of_other_weights_is_not_used_and_a_damaged_one_is_said(
    default_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(default_folder, tmp_path / "changed")
    spec = EngineSpec("lite2-minilm", "open_clip", folder, device="cpu")
    tensors = load_file(folder / "open_clip_model.safetensors")
    tensors["visual.head.proj.bias"] += np.float32(0.1)
    save_file(tensors, folder / "open_clip_model.safetensors")
    reader = load_engine("vision", spec)
    assert not isinstance(reader, ExportedReader)
    reader.close()
    whole = (folder / TOWER_NAME).read_bytes()
    (folder / TOWER_NAME).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_engine("vision", spec)
