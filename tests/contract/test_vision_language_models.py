"""Models that take the pixels themselves, with random weights of the listed architectures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.base import LanguageModel
from mmchat.engines.registry import load_engine
from mmchat.errors import ImageError, UsageError
from tests.contract import tiny_models


@pytest.fixture(scope="module", params=["idefics3", "qwen2.5-vl"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageModel]:
    path = tiny_models.vision(tmp_path_factory.mktemp("vision"), request.param)
    loaded: LanguageModel = load_engine("lm", EngineSpec("tiny", "transformers", path, dtype="float32"))
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
    assert done.cached_tokens == 0
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
