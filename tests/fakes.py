"""Collaborators for tests: the real store and recall around scripted engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL.Image import Image

from mmchat.chat.session import ChatSession, SessionSettings
from mmchat.domain import OUT_OF_SCOPE, Likely, LoadState, ModelHabits, ModelKind, ModelSummary, Session
from mmchat.engines.scripted import ScriptedEmbedder, ScriptedImageReader, ScriptedLanguageModel, ScriptedRecognizer
from mmchat.engines.scripted_texts import ScriptedTextReader
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore


class ScriptedIntentReader:
    """The intent with the example that shares most words; none shared: out of scope."""

    name = "scripted"

    def __init__(self, examples: Mapping[str, Sequence[str]]) -> None:
        self._examples = examples

    def read(self, text: str, image: Image | None = None) -> tuple[Likely, ...]:
        said = set(text.casefold().split())
        shared = {
            intent: max(len(said & set(each.casefold().split())) / len(each.split()) for each in messages)
            for intent, messages in self._examples.items()
        }
        best = max(shared, key=lambda intent: shared[intent], default=OUT_OF_SCOPE)
        score = shared.get(best, 0.0)
        return (Likely(best, score),) if score >= 0.5 else (Likely(OUT_OF_SCOPE, 1.0 - score),)


class ScriptedMoodReader:
    """Exclamation marks are anger, smiles are joy."""

    def read(self, text: str) -> float | None:
        if "!" in text or "！" in text:
            return -0.8
        return 0.8 if ":)" in text else 0.0


class FakeEngines:
    """Keeps `chat.ports.Engines` with models that are there from the start."""

    def __init__(
        self,
        lm: ScriptedLanguageModel | None = None,
        asr: ScriptedRecognizer | None = None,
        vision: ScriptedImageReader | None = None,
    ) -> None:
        self.lm = lm or ScriptedLanguageModel()
        self.asr = asr or ScriptedRecognizer("hello from the recording")
        self.vision = vision or ScriptedImageReader()
        self.texts = ScriptedTextReader()
        self.embed = ScriptedEmbedder()
        self.started: list[ModelKind] = []

    def language_model(self) -> ScriptedLanguageModel:
        return self.lm

    def habits(self) -> ModelHabits:
        return ModelHabits()

    def recognizer(self) -> ScriptedRecognizer:
        return self.asr

    def recognizer_named(self, name: str) -> ScriptedRecognizer:
        return self.asr

    def image_reader(self) -> ScriptedImageReader:
        return self.vision

    def text_reader(self) -> ScriptedTextReader:
        return self.texts

    def embedder(self) -> ScriptedEmbedder:
        return self.embed

    def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> ScriptedIntentReader:
        return ScriptedIntentReader(examples)

    def mood_reader(self) -> ScriptedMoodReader:
        return ScriptedMoodReader()

    def start(self, kinds: Sequence[ModelKind]) -> None:
        self.started += kinds

    def fetch_in_background(self, kinds: Sequence[ModelKind]) -> None: ...

    def is_in_place(self, kind: ModelKind) -> bool:
        return True

    def states(self) -> tuple[LoadState, ...]:
        return (
            LoadState("lm", self.lm.name, "scripted", "ready", context_tokens=self.lm.context_tokens),
            LoadState("vision", self.vision.name, "scripted", "idle"),
        )

    def use_language_model(self, name: str) -> None:
        self.lm = ScriptedLanguageModel(name=name)

    def language_models(self) -> tuple[ModelSummary, ...]:
        return ()

    def speech_models(self) -> tuple[ModelSummary, ...]:
        return ()

    def close(self) -> None:
        self.lm.close()


class Bench:
    """A store in a folder, engines around it, and conversations on both."""

    def __init__(
        self, folder: Path, engines: FakeEngines | None = None, settings: SessionSettings | None = None
    ) -> None:
        self.store = MemoryStore(folder / "mmchat.db", folder / "blobs")
        self.engines = engines or FakeEngines()
        self.recall = Recall(self.store, self.engines.embedder)
        self.settings = settings or SessionSettings()

    def session(self, session: Session | None = None) -> ChatSession:
        return ChatSession(self.store, self.recall, self.engines, self.settings, session)

    def close(self) -> None:
        self.store.close()
