"""Models that take the pixels themselves, with random weights of the listed architectures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import transformers
from PIL import Image

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.base import LanguageModel
from mmchat.engines.picture_uris import data_uri, shown_size
from mmchat.engines.registry import load_engine
from mmchat.errors import ImageError, ModelNotFound, UsageError, WeightsError
from tests.contract import tiny_gguf, tiny_models

GGUF = [f"gguf-{family}" for family in tiny_gguf.FAMILIES]


@pytest.fixture(scope="module", params=[*tiny_models.VISION_FAMILIES, *GGUF])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageModel]:
    folder = tmp_path_factory.mktemp("vision")
    if request.param in GGUF:
        path = tiny_gguf.folder_with_eyes(folder, request.param.removeprefix("gguf-"))
        spec = EngineSpec("tiny", "llamacpp", path, device="cpu", threads=1, options={"accepts_images": True})
    else:
        spec = EngineSpec("tiny", "transformers", tiny_models.vision(folder, request.param), dtype="float32")
    loaded: LanguageModel = load_engine("lm", spec)
    yield loaded
    loaded.close()


def picture(folder: Path, colour: str) -> Path:
    path = folder / f"{colour}.png"
    Image.new("RGB", (48, 48), colour).save(path)
    return path


def run(model: LanguageModel, messages: list[Message], **changes: object) -> tuple[str, GenerationDone]:
    options = GenerateOptions(**{"max_new_tokens": 8, "seed": 3, "temperature": 1.0, **changes})  # type: ignore[arg-type]
    events = list(model.stream(messages, options, Event()))
    done = events[-1]
    assert isinstance(done, GenerationDone)
    return "".join(event.text for event in events[:-1] if isinstance(event, TextDelta)), done


def test_pixels_reach_the_model(model: LanguageModel, tmp_path: Path) -> None:
    assert model.accepts_images
    red, blue = (
        run(model, [Message("user", "what is it?", (picture(tmp_path, colour),))], max_new_tokens=30)[0]
        for colour in ("red", "blue")
    )
    again = run(model, [Message("user", "what is it?", (tmp_path / "red.png",))], max_new_tokens=30)[0]
    assert red == again
    assert red != blue


def test_counts_include_the_pictures(model: LanguageModel, tmp_path: Path) -> None:
    path = picture(tmp_path, "green")
    shown, told = [Message("user", "this", (path, path))], [Message("user", "this")]
    assert model.count_tokens(shown) > model.count_tokens(told) + 4
    assert run(model, shown)[1].prompt_tokens == model.count_tokens(shown)


def test_words_alone_and_a_second_turn(model: LanguageModel, tmp_path: Path) -> None:
    messages = [Message("user", "hello", (picture(tmp_path, "red"),))]
    text, _ = run(model, messages)
    _, done = run(model, [*messages, Message("assistant", text), Message("user", "and now?")])
    assert done.prompt_tokens > 0
    assert run(model, [Message("user", "only words")])[1].reply_tokens > 0


def test_a_cancel_ends_it_within_a_token(model: LanguageModel, tmp_path: Path) -> None:
    cancel, deltas, done = Event(), 0, None
    messages = [Message("user", "what?", (picture(tmp_path, "red"),))]
    for event in model.stream(messages, GenerateOptions(max_new_tokens=200, seed=1), cancel):
        if isinstance(event, TextDelta):
            deltas += 1
            cancel.set()
        else:
            done = event
    assert deltas <= 2
    assert done is not None
    assert done.finish_reason == "cancelled"


def test_a_file_that_is_no_picture(model: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "not.png").write_text("words")
    with pytest.raises(ImageError, match=r"not\.png"):
        run(model, [Message("user", "what?", (tmp_path / "not.png",))])


def test_too_long(model: LanguageModel) -> None:
    with pytest.raises(UsageError):
        run(model, [Message("user", "cat " * 1200)])


def test_what_was_shown_before_need_not_be_looked_at_again(tmp_path: Path) -> None:
    path = tiny_gguf.folder_with_eyes(tmp_path / "m", "smolvlm")
    model: LanguageModel = load_engine("lm", EngineSpec("tiny", "llamacpp", path, device="cpu", threads=1))
    first = [Message("user", "what is it?", (picture(tmp_path, "red"), picture(tmp_path, "blue")))]
    text, shown = run(model, first)
    _, done = run(model, [*first, Message("assistant", text), Message("user", "and the second?")])
    assert done.cached_tokens >= shown.prompt_tokens
    # Another picture at the same place is another prompt from there on.
    _, done = run(model, [Message("user", "what is it?", (tmp_path / "red.png", picture(tmp_path, "green")))])
    assert 0 < done.cached_tokens < shown.prompt_tokens - 8
    model.close()


def test_a_gguf_model_without_its_second_file_reads_words(tmp_path: Path) -> None:
    tiny_gguf.language_model(tmp_path / "tiny.gguf", "smolvlm")
    model: LanguageModel = load_engine("lm", EngineSpec("tiny", "llamacpp", tmp_path, device="cpu", threads=1))
    assert not model.accepts_images
    blind = [Message("user", "what is it?", (picture(tmp_path, "red"),))]
    assert model.count_tokens(blind) == model.count_tokens([Message("user", "what is it?")])
    model.close()
    spec = EngineSpec("tiny", "llamacpp", tmp_path, device="cpu", options={"accepts_images": True})
    with pytest.raises(ModelNotFound, match="mmproj"):
        load_engine("lm", spec)


@pytest.mark.parametrize(("content", "words"), [(b"GGUF" + bytes(40), "damaged"), (b"", "not a GGUF"), (None, "tiny")])
def test_second_files_that_do_not_fit(
    content: bytes | None, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny_gguf.language_model(tmp_path / "tiny.gguf", "smolvlm")
    projector = tmp_path / "mmproj-other.gguf"
    if content is None:
        tiny_gguf.projector(projector, "smolvlm", into=48)  # of a wider model
    else:
        projector.write_bytes(content)
    with pytest.raises(WeightsError, match=words) as caught:
        load_engine("lm", EngineSpec("tiny", "llamacpp", tmp_path, device="cpu", threads=1))
    assert "mmproj-other.gguf" in caught.value.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("family", ["idefics3", "qwen3-vl"])
def test_a_large_picture_is_looked_at_in_as_much_detail_as_there_is_room(family: str, tmp_path: Path) -> None:
    path = tiny_models.vision(tmp_path / "m", family)
    processor = transformers.AutoProcessor.from_pretrained(path)
    images = processor.image_processor
    if family == "idefics3":
        images.do_image_splitting, images.size = True, {"longest_edge": 128}
    else:
        images.size = {"shortest_edge": 28 * 28, "longest_edge": 4096 * 28 * 28}
    processor.save_pretrained(path)
    Image.new("RGB", (400, 300), "red").save(tmp_path / "large.png")
    Image.new("RGB", (800, 600), "red").save(tmp_path / "larger.png")
    costs = {}
    for context in (192, 8192):
        model: LanguageModel = load_engine(
            "lm", EngineSpec("tiny", "transformers", path, dtype="float32", context_tokens=context)
        )
        costs[context] = [
            model.count_tokens([Message("user", "", (tmp_path / name,))]) - model.count_tokens([Message("user", "")])
            for name in ("large.png", "larger.png")
        ]
        model.close()
    assert max(costs[192]) <= 66
    assert costs[8192][0] > costs[192][0]


def test_every_kind_of_file_becomes_a_picture_that_llamacpp_reads(tmp_path: Path) -> None:
    image = Image.new("RGB", (3000, 1000), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    image.save(tmp_path / "turned.jpg", exif=exif)
    for name in ("a.webp", "b.gif", "c.tiff", "d.png"):
        image.save(tmp_path / name)
    for path in tmp_path.iterdir():
        kind, _, data = data_uri(path).partition(";base64,")
        made = Image.open(io.BytesIO(base64.b64decode(data)))
        assert kind == f"data:image/{made.format.lower()}"  # type: ignore[union-attr]
        assert made.format in ("JPEG", "PNG")
        assert made.size == ((512, 1536) if path.name == "turned.jpg" else (1536, 512))
        assert shown_size(path) == made.size
    before = data_uri(tmp_path / "d.png")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "d.png")
    assert data_uri(tmp_path / "d.png") != before
