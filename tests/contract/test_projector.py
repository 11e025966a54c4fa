"""A language model for words learns to see: trained on tiny models, gone on with exactly, served by the engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mmchat.chat.told import Listener, told_history
from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Heard, Message, Seen, TextDelta
from mmchat.engines.registry import load_engine
from mmchat.errors import DataError, ImageError, MmchatError, ModelNotFound, UsageError, WeightsError
from mmchat.rows.picture_questions import as_sentence, picture_questions
from mmchat.rows.reader import read_rows
from mmchat.rows.values import CaptionRow, RowFile
from mmchat.train.base import BaseModel, MethodName, TrainEvent, TrainResult, TrainSettings, TrainStepped
from mmchat.train.bases import open_base
from mmchat.train.projector import ProjectorTrainer
from mmchat.train.projector_rows import caption_dialogue
from mmchat.train.sft import DialogueTrainer
from tests.contract import tiny_models
from tests.contract.test_vision import write_tiny_clip

COLOURS = {"red": "the cat sat", "blue": "the dog ran", "green": "on the mat"}
GREEDY = GenerateOptions(max_new_tokens=12, temperature=0.0, repetition_penalty=1.0)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers by the colour that is named: what it has to say of a picture, it knows in words."""
    folder = tmp_path_factory.mktemp("llama")
    asked = [(f"{colour} {each}", words) for colour, words in COLOURS.items() for each in picture_questions("en")]
    turns = [
        [{"role": "user", "content": ask}, {"role": "assistant", "content": as_sentence(say)}] for ask, say in asked
    ]
    path = folder / "talks.jsonl"
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in turns))
    settings = settings_for(path, method="full", max_steps=150, evaluate_every=150, validation=str(path), batch_size=12)
    base = BaseModel("tiny", "lm", tiny_models.decoder(folder, "llama"), 512)
    trainer, files = DialogueTrainer(), [read_rows(path)]
    preparation = trainer.prepare(files, settings, base)
    result = trainer.train(preparation, files, base, folder, lambda event: None, Event(), should_resume=False)
    assert result.best_validation_loss is not None
    assert result.best_validation_loss < 0.1
    return folder / "weights"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    lines = []
    for index in range(24):
        colour, words = list(COLOURS.items())[index % 3]
        picture = Image.new("RGB", (48, 48), colour)
        picture.putpixel((0, 0), (index, 0, 0))
        picture.save(folder / f"{index}.png")
        lines.append(json.dumps({"image": f"{index}.png", "captions": [words, f"{words}."]}))
    (folder / "photos.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "photos.jsonl"


class NoSenses:
    """Keeps `chat.told.FileSenses` for rows without sounds, and for a model that takes pictures itself."""

    def seen(self, path: Path) -> Seen:
        raise AssertionError("the pixels are passed")

    def heard(self, path: Path) -> Heard:
        raise AssertionError("there are no sounds")


class Sighted:
    """What `told_history` must know of the model."""

    accepts_images = True
    context_tokens = 1 << 20

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 0


def tell(history: Sequence[object], persona: str) -> Sequence[object]:
    return told_history(history, persona, Listener(Sighted(), "plain"), NoSenses(), room=0)  # type: ignore[arg-type]


def base_of(llama: Path, clip: Path) -> BaseModel:
    return BaseModel(
        "tiny", "lm", llama, 512, helpers={"vision": clip}, helper_names={"vision": "tiny-clip"}, tell=tell
    )


def settings_for(rows: Path, **changes: Any) -> TrainSettings:
    plain = TrainSettings(
        (str(rows),), "tiny", "result", max_steps=12, batch_size=4, evaluate_every=4, dtype="float32", log_to="none"
    )
    return replace(plain, **{"micro_batch": 4, "rank": 4, "patience": 0, "learning_rate": 1e-2, **changes})


def train(
    file: RowFile, settings: TrainSettings, base: BaseModel, folder: Path, *, stop: int = 0, resume: bool = False
) -> TrainResult:
    cancel = Event()

    def on_event(event: TrainEvent) -> None:
        if isinstance(event, TrainStepped) and event.step + 1 == stop:
            cancel.set()  # seen at the end of the next step

    trainer = ProjectorTrainer()
    preparation = trainer.prepare([file], settings, base)
    return trainer.train(preparation, [file], base, folder, on_event, cancel, should_resume=resume)


def spec_of(llama: Path, clip: Path, folder: Path) -> EngineSpec:
    adapter = folder / "adapter"
    return EngineSpec(
        "mine",
        "transformers",
        llama,
        dtype="float32",
        adapter_path=adapter if adapter.is_dir() else None,
        options={
            "projector": str(folder / "projector"),
            "encoders": {"vision": EngineSpec("tiny-clip", "open_clip", clip, device="cpu")},
        },
    )


def said(model: Any, messages: Sequence[Message]) -> str:
    events = list(model.stream(messages, GREEDY, Event()))
    assert isinstance(events[-1], GenerationDone)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.fixture(scope="module", params=["projector", "projector-lora"])
def learnt(
    request: pytest.FixtureRequest, llama: Path, clip: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult]:
    folder = tmp_path_factory.mktemp("learnt")
    settings = settings_for(photos, method=request.param, max_steps=60, evaluate_every=20)
    return folder, train(read_rows(photos), settings, base_of(llama, clip), folder)


# --- training ---------------------------------------------------------------------------------------


def test_it_learns_and_leaves_what_the_engine_scores_the_same(
    learnt: tuple[Path, TrainResult], llama: Path, clip: Path, photos: Path
) -> None:
    """Branches of captions, cached features and places in the prompt come to the same as one plain reply."""
    folder, result = learnt
    assert result.status == "complete"
    assert result.first_validation_loss is not None
    assert result.best_validation_loss is not None
    assert result.best_validation_loss < 0.5  # that of guessing is above 1
    assert 0 < result.trainable_parameters < result.all_parameters
    base = base_of(llama, clip)
    preparation = ProjectorTrainer().prepare([read_rows(photos)], settings_for(photos), base)
    dialogues = [caption_dialogue(row, row.captions[0]) for row in preparation.held_out if isinstance(row, CaptionRow)]
    model = load_engine("lm", spec_of(llama, clip, folder))
    prompts = [list(tell(row.messages[:1], "")) for row in dialogues]
    found = model.likelihoods(prompts, [row.messages[1].text for row in dialogues], Event())
    model.close()
    loss = sum(each.nats for each in found) / sum(each.tokens for each in found)
    # Features are kept in half precision while it learns.
    assert loss == pytest.approx(result.best_validation_loss, rel=1e-3)


@pytest.mark.parametrize(("method", "stop"), [("projector", 3), ("projector-lora", 5)])
def test_a_broken_training_goes_on_exactly(
    method: MethodName, stop: int, llama: Path, clip: Path, photos: Path, tmp_path: Path
) -> None:
    settings = settings_for(photos, method=method, micro_batch=2, dropout=0.2)
    file, base = read_rows(photos), base_of(llama, clip)
    whole = train(file, settings, base, tmp_path / "whole")
    broken = train(file, settings, base, tmp_path / "broken", stop=stop)
    assert (broken.status, broken.steps) == ("interrupted", stop)
    resumed = train(file, settings, base, tmp_path / "broken", resume=True)
    assert resumed.status == "complete"
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)
    expected = load_file(tmp_path / "whole" / "projector" / "projector.safetensors")
    for name, tensor in load_file(tmp_path / "broken" / "projector" / "projector.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)


def test_what_was_cut_off_while_it_looked_goes_on(llama: Path, clip: Path, photos: Path, tmp_path: Path) -> None:
    settings, file, base = settings_for(photos, max_steps=2, evaluate_every=2), read_rows(photos), base_of(llama, clip)
    trainer, cancel = ProjectorTrainer(), Event()
    preparation = trainer.prepare([file], settings, base)
    cancel.set()
    broken = trainer.train(preparation, [file], base, tmp_path, lambda event: None, cancel, should_resume=False)
    assert (broken.status, broken.steps) == ("interrupted", 0)
    assert train(file, settings, base, tmp_path, resume=True).status == "complete"


def test_captions_of_a_picture_cost_what_they_would_alone(
    llama: Path, clip: Path, photos: Path, tmp_path: Path
) -> None:
    """Two captions behind one prompt have the loss of two rows with one caption each."""
    rows = read_rows(photos)
    first = [row for row in rows.rows if isinstance(row, CaptionRow)]
    first = [replace(row, captions=(row.captions[0], f"the mat {index % 5}")) for index, row in enumerate(first)]
    rows = replace(rows, rows=tuple(first))
    apart = [replace(row, captions=(caption,)) for row in first for caption in row.captions]
    settings = settings_for(photos, max_steps=1, evaluate_every=1, dropout=0.0, validation=str(photos), batch_size=24)
    joined = train(rows, replace(settings, micro_batch=24), base_of(llama, clip), tmp_path / "joined")
    single = train(
        replace(rows, rows=tuple(apart)),
        replace(settings, batch_size=48, micro_batch=48),
        base_of(llama, clip),
        tmp_path / "single",
    )
    assert joined.losses[0] == pytest.approx(single.losses[0], rel=1e-5)


def test_dialogue_with_pictures_is_learnt_beside_captions(
    llama: Path, clip: Path, photos: Path, tmp_path: Path
) -> None:
    lines = []
    for index, words in enumerate(list(COLOURS.values()) * 4):
        picture = {"type": "image", "image": str(photos.parent / f"{index}.png")}
        lines.append(
            {
                "messages": [
                    {"role": "user", "content": [picture, {"type": "text", "text": "who did it"}]},
                    {"role": "assistant", "content": words},
                    {"role": "user", "content": "and then"},
                    {"role": "assistant", "content": "the mat"},
                ]
            }
        )
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    trainer, base = ProjectorTrainer(), base_of(llama, clip)
    files = [read_rows(photos), read_rows(path)]
    settings = settings_for(photos, method="projector-lora", max_steps=24, evaluate_every=12)
    preparation = trainer.prepare(files, settings, base)
    assert preparation.train_rows + preparation.validation_rows == 24 + 12
    assert any("places of a picture" in span.text for span in preparation.example)
    result = trainer.train(
        preparation, files, base, tmp_path / "both", lambda event: None, Event(), should_resume=False
    )
    assert result.status == "complete"
    assert result.best_validation_loss is not None
    assert result.first_validation_loss is not None
    assert result.best_validation_loss < result.first_validation_loss


def test_rows_without_pictures_teach_nobody_to_see(llama: Path, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "the cat"}]
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(6)))
    with pytest.raises(DataError, match="There are 0 pictures in these rows"):
        ProjectorTrainer().prepare([read_rows(path)], settings_for(path), base_of(llama, clip))


def test_an_encoder_decoder_has_no_place_for_a_picture(clip: Path, photos: Path, tmp_path: Path) -> None:
    base = base_of(tiny_models.seq2seq(tmp_path, "t5"), clip)
    with pytest.raises(UsageError, match="encoder–decoder"):
        ProjectorTrainer().prepare([read_rows(photos)], settings_for(photos), base)


# --- the engine -------------------------------------------------------------------------------------


def test_it_says_what_is_in_a_picture(
    learnt: tuple[Path, TrainResult], llama: Path, clip: Path, photos: Path, tmp_path: Path
) -> None:
    """Alone, in a batch, after other turns, and with two pictures in view."""
    model = load_engine("lm", spec_of(llama, clip, learnt[0]))
    assert model.accepts_images
    for index, (colour, words) in enumerate(COLOURS.items()):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{index}.png")
        asked = [Message("user", "What is in this picture?", (tmp_path / f"{index}.png",))]
        reply = said(model, asked)
        assert reply.lower().startswith(words), colour
        (batched,) = model.reply_batch([asked], GREEDY, Event(), seeds=[0])
        assert batched.text == reply
        later = [*asked, Message("assistant", reply), Message("user", "and")]
        before = model.count_tokens(later)
        events = list(model.stream(later, GREEDY, Event()))
        assert isinstance(events[-1], GenerationDone)
        assert (events[-1].prompt_tokens, events[-1].cached_tokens > 9) == (before, True)
    two = [Message("user", "compare", (tmp_path / "0.png", tmp_path / "1.png"))]
    one = [Message("user", "compare", (tmp_path / "0.png",))]
    assert model.count_tokens(two) == model.count_tokens(one) + 9
    assert isinstance(said(model, two), str)
    model.close()


def test_words_alone_go_as_without_it(learnt: tuple[Path, TrainResult], llama: Path, clip: Path) -> None:
    folder = learnt[0]
    spec = spec_of(llama, clip, folder)
    plain = load_engine("lm", replace(spec, options={}))
    model = load_engine("lm", spec)
    talk = [Message("user", "what did the cat do"), Message("assistant", "ran"), Message("user", "and the dog")]
    assert said(model, talk) == said(plain, talk)
    assert model.count_tokens(talk) == plain.count_tokens(talk)
    assert model.likelihoods([talk], ["sat on the mat"], Event()) == plain.likelihoods(
        [talk], ["sat on the mat"], Event()
    )
    sly = [Message("user", "the \ue0000\ue001 cat")]  # who writes the marks of our own asks for no picture
    assert said(model, sly) == said(plain, [Message("user", "the 0 cat")])
    model.close()
    plain.close()


def test_a_picture_that_has_changed_is_looked_at_again(
    learnt: tuple[Path, TrainResult], llama: Path, clip: Path, tmp_path: Path
) -> None:
    model = load_engine("lm", spec_of(llama, clip, learnt[0]))
    path = tmp_path / "a.png"
    asked = [Message("user", "What is in this picture?", (path,))]
    replies = []
    for colour in ("red", "blue"):
        Image.new("RGB", (40 if colour == "red" else 44, 40), colour).save(path)
        replies.append(said(model, asked))
    assert replies[0] != replies[1]
    model.close()


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        ("no projector", ModelNotFound, "The projector of 'mine' is not there"),
        ("cut projector", WeightsError, "is damaged"),
        ("wrong width", WeightsError, "does not fit 'mine'"),
        ("no tower", ModelNotFound, "sees through 'tiny-clip', whose weights are not on this machine"),
    ],
)
def test_what_is_missing_or_damaged_is_said_at_once(
    damage: str, error: type[MmchatError], words: str, learnt: tuple[Path, TrainResult], llama: Path, clip: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    folder = tmp_path / "copy"
    (folder / "projector").mkdir(parents=True)
    for path in (learnt[0] / "projector").iterdir():
        (folder / "projector" / path.name).write_bytes(path.read_bytes())
    weights = folder / "projector" / "projector.safetensors"
    spec = spec_of(llama, clip, folder)
    if damage == "no projector":
        weights.unlink()
    elif damage == "cut projector":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "wrong width":
        spec = replace(spec, path=_wider(tmp_path / "wide"))
    else:
        spec = spec_of(llama, tmp_path / "nowhere", folder)
    with pytest.raises(error, match=words):
        load_engine("lm", spec)


def _wider(folder: Path) -> Path:
    sizes = {**tiny_models.SIZES, "hidden_size": 64}
    old = dict(tiny_models.SIZES)
    tiny_models.SIZES.update(sizes)
    try:
        return tiny_models.decoder(folder, "llama")
    finally:
        tiny_models.SIZES.update(old)


def test_a_damaged_tower_spoils_pictures_and_not_words(
    learnt: tuple[Path, TrainResult], llama: Path, clip: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "clip"
    broken.mkdir()
    for path in clip.iterdir():
        if path.is_file():
            (broken / path.name).write_bytes(path.read_bytes())
    weights = broken / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    model = load_engine("lm", spec_of(llama, broken, learnt[0]))
    assert isinstance(said(model, [Message("user", "hello")]), str)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    with pytest.raises(WeightsError, match="'tiny-clip'.*cannot be loaded"):
        said(model, [Message("user", "what", (tmp_path / "a.png",))])
    model.close()


def test_a_file_that_is_no_picture_is_named(
    learnt: tuple[Path, TrainResult], llama: Path, clip: Path, tmp_path: Path
) -> None:
    model = load_engine("lm", spec_of(llama, clip, learnt[0]))
    (tmp_path / "a.png").write_text("no picture")
    for name in ("a.png", "nowhere.png"):
        with pytest.raises(ImageError, match=name):
            said(model, [Message("user", "what", (tmp_path / name,))])
    Image.new("RGB", (40, 40), "red").save(tmp_path / "b.png")
    assert said(model, [Message("user", "What is in this picture?", (tmp_path / "b.png",))])  # it goes on
    model.close()


def test_a_projector_of_another_tower_is_refused(
    learnt: tuple[Path, TrainResult], llama: Path, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "projector"
    folder.mkdir()
    source = learnt[0] / "projector"
    config = json.loads((source / "projector.json").read_text())
    tensors = load_file(source / "projector.safetensors")
    for name in ("linear.weight", "up.weight"):
        tensors[name] = torch.cat([tensors[name]] * 2, dim=1)
    for name in ("centre", "scale"):
        tensors[name] = torch.cat([tensors[name]] * 2)
    save_file(tensors, folder / "projector.safetensors")
    (folder / "projector.json").write_text(json.dumps({**config, "features": 2 * config["features"]}))
    model = load_engine("lm", spec_of(llama, clip, tmp_path))
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    with pytest.raises(WeightsError, match="has learnt to see through 'tiny-clip'"):
        said(model, [Message("user", "what", (tmp_path / "a.png",))])
    model.close()


def test_the_base_itself_is_untouched(llama: Path) -> None:
    text = open_base(BaseModel("tiny", "lm", llama, 512))
    assert text.end_ids
