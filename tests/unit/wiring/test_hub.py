"""Models on demand: loaded once, switched, fetched in the background, honest about failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mmchat.config.models_file import load_models_file
from mmchat.domain import ModelKind, PullProgress
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import ModelNotFound, WeightsError
from mmchat.paths import user_models_path
from mmchat.wiring.hub import EngineHub, HubOptions
from mmchat.wiring.slots import describe_progress

MODELS = """
[models.parrot]
kind = "lm"
engine = "scripted"
notes = "plain"
decoding = { temperature = 0.1 }

[models.other]
kind = "lm"
engine = "scripted"

[models.heavy]
kind = "lm"
engine = "scripted"
format = "gguf"
sources = [{ source = "pypi:heavy==1.0", sha256 = "SHA", files = { "a" = "a" } }]

[models.vectors]
kind = "embed"
engine = "scripted"
format = "gguf"
sources = [{ source = "pypi:heavy==1.0", sha256 = "SHA", files = { "a" = "a" } }]
""".replace("SHA", "0" * 64)


class FakeWeights:
    """Weights that arrive when the test says so."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.pulls: list[str] = []
        self.may_arrive = Event()
        self.may_arrive.set()
        self.has_begun = Event()
        self.error: WeightsError | None = None

    def is_installed(self, entry: Any) -> bool:
        return entry.name in self.here

    def is_prepared(self, entry: Any, engine: str) -> bool:
        return entry.name in self.here

    def pull(self, entry: Any, *, on_progress: Callable[[PullProgress], None], engine: str) -> None:
        self.pulls.append(entry.name)
        on_progress(PullProgress(entry.name, "downloading", 62, 100, 1e6, 8.0))
        self.has_begun.set()
        assert self.may_arrive.wait(10)
        if self.error is not None:
            raise self.error
        self.here.add(entry.name)

    def prepared(self, entry: Any, engine: str, *, on_progress: Callable[[PullProgress], None]) -> Path:
        assert entry.name in self.here
        return Path("weights", entry.name)


@pytest.fixture
def weights() -> FakeWeights:
    return FakeWeights()


@pytest.fixture
def make_hub(home: Path, weights: FakeWeights) -> Callable[..., EngineHub]:
    user_models_path().parent.mkdir(parents=True)
    user_models_path().write_text(MODELS)

    def make(names: dict[ModelKind, str], **options: Any) -> EngineHub:
        return EngineHub(load_models_file(), weights, names, HubOptions(**options))  # type: ignore[arg-type]

    return make


def test_a_model_is_loaded_once_and_its_state_is_told(make_hub: Callable[..., EngineHub]) -> None:
    hub = make_hub({"lm": "parrot"})
    assert hub.states()[0].stage == "idle"
    model = hub.language_model()
    assert hub.language_model() is model
    state = hub.states()[0]
    assert (state.stage, state.model, state.engine, state.context_tokens) == ("ready", "parrot", "scripted", 4096)


def test_the_entry_says_how_to_speak_to_it(make_hub: Callable[..., EngineHub]) -> None:
    hub = make_hub({"lm": "parrot"})
    assert hub.habits().options.temperature == 0.1
    assert hub.habits().note_style == "plain"
    hub.use_language_model("other")
    assert hub.habits().note_style == "spoken"


def test_switching_frees_the_old_one_and_refuses_the_unknown(make_hub: Callable[..., EngineHub]) -> None:
    hub = make_hub({"lm": "parrot"})
    old = hub.language_model()
    assert isinstance(old, ScriptedLanguageModel)
    with pytest.raises(ModelNotFound, match="nobody"):
        hub.use_language_model("nobody")
    assert hub.language_model() is old
    assert not old.is_closed
    hub.use_language_model("other")
    assert hub.language_model().name == "other"
    assert old.is_closed


def test_missing_weights_are_fetched(make_hub: Callable[..., EngineHub], weights: FakeWeights) -> None:
    hub = make_hub({"lm": "heavy"})
    assert hub.language_model().name == "heavy"
    assert weights.pulls == ["heavy"]


def test_without_leave_to_fetch_the_command_is_named(make_hub: Callable[..., EngineHub]) -> None:
    hub = make_hub({"lm": "heavy"}, should_pull=False)
    with pytest.raises(ModelNotFound) as caught:
        hub.language_model()
    assert caught.value.hint == "mmchat models pull heavy"


def test_a_failure_is_shown_and_the_next_use_tries_again(
    make_hub: Callable[..., EngineHub], weights: FakeWeights
) -> None:
    weights.error = WeightsError("The disk is full.", hint="Make room.")
    hub = make_hub({"lm": "heavy"})
    with pytest.raises(WeightsError, match="disk is full"):
        hub.language_model()
    state = hub.states()[0]
    assert (state.stage, state.detail) == ("failed", "The disk is full.\nMake room.")
    weights.error = None
    assert hub.language_model().name == "heavy"


def test_a_load_joins_the_background_fetch(make_hub: Callable[..., EngineHub], weights: FakeWeights) -> None:
    weights.may_arrive.clear()
    hub = make_hub({"lm": "heavy"})
    hub.fetch_in_background(["lm"])
    assert weights.has_begun.wait(10)
    hub.start(["lm"])
    weights.may_arrive.set()
    assert hub.language_model().name == "heavy"
    assert weights.pulls == ["heavy"]


def test_recall_does_not_wait_for_a_download(make_hub: Callable[..., EngineHub], weights: FakeWeights) -> None:
    hub = make_hub({"lm": "parrot", "embed": "vectors"})
    assert hub.embedder() is None
    assert weights.pulls == []
    weights.here.add("vectors")
    assert hub.embedder() is not None


def test_a_model_of_another_kind_is_refused(make_hub: Callable[..., EngineHub]) -> None:
    with pytest.raises(ModelNotFound, match="'vectors' is a memory model, not a language model"):
        make_hub({"lm": "vectors"})
    hub = make_hub({"lm": "parrot"})
    old = hub.language_model()
    with pytest.raises(ModelNotFound, match="not a language model"):
        hub.use_language_model("vectors")
    assert hub.language_model() is old


@pytest.mark.parametrize(
    ("progress", "words", "fraction"),
    [
        (
            PullProgress("m", "downloading", 62, 100, 2.5e6, 8.0),
            "downloading m: 62% of 0 MB at 2.5 MB/s, 8 s left",
            0.62,
        ),
        (PullProgress("m", "downloading", 5, 0), "downloading m", None),
        (PullProgress("m", "downloading", 0, 400_000_000, 0, 125.0), "downloading m: 0% of 400 MB, 2 min 05 s left", 0),
        (PullProgress("m", "preparing", detail="writing Q8_0"), "preparing m: writing Q8_0", None),
        (PullProgress("m", "verifying"), "verifying m", None),
    ],
)
def test_progress_in_words(progress: PullProgress, words: str, fraction: float | None) -> None:
    assert describe_progress(progress) == (words, fraction)
