"""The models of an evaluation: each loaded when it is first asked for, and described so that it can be found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmchat.chat.told import Listener, told_history
from mmchat.domain import GenerateOptions, Heard, LoadState, Message, ModelKind, Seen
from mmchat.engines.hear import hear
from mmchat.errors import ModelNotFound
from mmchat.evals.results import ModelFacts, RunSettings
from mmchat.wiring.eval_choice import Choice, adapter_checksum, choose, this_machine, weights_checksum
from mmchat.wiring.hub import EngineHub, HubOptions

if TYPE_CHECKING:
    from mmchat.config.models_file import ModelsFile
    from mmchat.engines.base import (
        BatchLanguageModel,
        Classifier,
        ImageReader,
        SpeechRecognizer,
        TextEmbedder,
        TextReader,
    )
    from mmchat.rows.values import RowMessage
    from mmchat.weights.store import WeightsStore

_SLOTS = 8
"""Replies that llama.cpp or a server draws at once unless `--batch-size` says otherwise."""


@dataclass(frozen=True, slots=True)
class EvalSources:
    """Where models come from."""

    models: ModelsFile
    weights: WeightsStore
    defaults: Mapping[ModelKind, str]
    """The user's model of each kind."""
    hub: HubOptions = HubOptions()


@dataclass(slots=True)
class _Held:
    """A model in memory."""

    choice: Choice
    hub: EngineHub
    engine: Any


class EvalModels:
    """Keeps `evals.base.Models`. For one thread."""

    def __init__(
        self, settings: RunSettings, sources: EvalSources, on_state: Callable[[LoadState], None] = lambda state: None
    ) -> None:
        """`on_state` is told several times a second how far a model's download and loading have come."""
        self._settings = settings
        self._sources = sources
        self._on_state = on_state
        self._held: dict[str, _Held] = {}
        self._facts: dict[str, ModelFacts] = {}
        self.senses = _Senses(self)
        """What is seen and heard in the files of rows."""

    # --- names ----------------------------------------------------------------------------------

    def kind(self, name: str) -> ModelKind:
        return self._sources.models.resolve(name)[0].kind

    def default(self, kind: ModelKind) -> str:
        return self._sources.defaults[kind]

    @property
    def should_read_text(self) -> bool:
        """Whether the text that stands in pictures is told."""
        return self._sources.hub.should_read_text

    def languages(self, name: str) -> tuple[str, ...]:
        return self._sources.models.resolve(name)[0].languages

    # --- loaded models --------------------------------------------------------------------------

    def language_model(self, name: str) -> BatchLanguageModel:
        model: BatchLanguageModel = self._hold(name, "lm").engine
        return model

    def recognizer(self, name: str) -> SpeechRecognizer:
        model: SpeechRecognizer = self._hold(name, "asr").engine
        return model

    def image_reader(self, name: str) -> ImageReader:
        model: ImageReader = self._hold(name, "vision").engine
        return model

    def embedder(self, name: str = "") -> TextEmbedder:
        model: TextEmbedder = self._hold(name or self.default("embed"), "embed").engine
        return model

    def classifier(self, name: str) -> Classifier:
        model: Classifier = self._hold(name, "head").engine
        return model

    def release(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            held.hub.close()

    def close(self) -> None:
        """Release all."""
        for name in tuple(self._held):
            self.release(name)

    def _hold(self, name: str, kind: ModelKind) -> _Held:
        if name not in self._held:
            choice = self._choice(name)
            options = replace(self._sources.hub, dtype=choice.dtype, parallel=self._settings.batch_size or _SLOTS)
            hub = EngineHub(self._sources.models, self._sources.weights, {kind: choice.name}, options)
            self._held[name] = _Held(choice, hub, hub.load(kind, self._on_state))
        held = self._held[name]
        if held.choice.entry.kind != kind:
            raise ModelNotFound(f"'{name}' is of kind {held.choice.entry.kind}, not {kind}.", hint="mmchat models list")
        return held

    def _choice(self, name: str) -> Choice:
        # The wished number format is for the models under test, not for those that help to tell a picture.
        is_helper = name not in self._settings.models and self.kind(name) != "lm"
        dtype = "auto" if is_helper else self._settings.dtype
        return choose(self._sources.models, name, this_machine(self._sources.hub.device), dtype=dtype)

    # --- what identifies a model ----------------------------------------------------------------

    def facts(self, name: str) -> ModelFacts:
        if name not in self._facts:
            self._facts[name] = self._find_facts(name)
        return self._facts[name]

    def _find_facts(self, name: str) -> ModelFacts:
        held = self._hold(name, self.kind(name))
        entry, engine = held.choice.entry, held.choice.engine
        device = str(getattr(held.engine, "device", "cpu"))  # an embedder names none: it runs on the CPU
        return ModelFacts(
            name=name,
            kind=entry.kind,
            engine=engine,
            device=device,
            # As the engine says, which alone knows what it made of the file and of the wish.
            dtype=getattr(held.engine, "dtype", "") or _dtype_name(engine, held.choice.dtype or entry.dtype, device),
            source=entry.summary_source or str(getattr(entry, "base_url", "") or ""),
            revision=self._sources.weights.revision(entry) or "",
            weights_sha256=weights_checksum(self._sources.weights, entry, engine),
            adapter_sha256=adapter_checksum(entry.adapter),
            decoding=self._decoding(name) if entry.kind == "lm" else {},
        )

    def _decoding(self, name: str) -> dict[str, object]:
        options = self.options(name)
        return {
            "temperature": options.temperature,
            "top_p": options.top_p,
            "top_k": options.top_k,
            "repetition_penalty": options.repetition_penalty,
            "max_new_tokens": options.max_new_tokens,
        }

    # --- dialogue -------------------------------------------------------------------------------

    def options(self, name: str) -> GenerateOptions:
        habits = self._hold(name, "lm").hub.habits().options
        settings = self._settings
        return replace(
            habits, temperature=settings.temperature, max_new_tokens=settings.max_new_tokens, seed=settings.seed
        )

    def messages(
        self,
        name: str,
        history: Sequence[RowMessage],
        persona: str,
        *,
        room: int,
        examples: Sequence[Message] = (),
        window_tokens: int = 0,
    ) -> tuple[Message, ...]:
        held = self._hold(name, "lm")
        listener = Listener(held.engine, held.hub.habits().note_style)
        return told_history(
            history, persona, listener, self.senses, room=room, examples=examples, window_tokens=window_tokens
        )

    def helpers(self) -> tuple[ModelFacts, ...]:
        return tuple(replace(self.facts(self.default(kind)), role=role) for kind, role in self.senses.used().items())

    @property
    def language(self) -> str | None:
        """What the user says is spoken; None to detect it."""
        return self._settings.language or None


class _Senses:
    """Keeps `chat.told.FileSenses` with the default models; each file is looked at or listened to once."""

    def __init__(self, models: EvalModels) -> None:
        self._models = models
        self._seen: dict[Path, Seen] = {}
        self._heard: dict[Path, Heard] = {}
        self._texts: TextReader | None = None

    def used(self) -> dict[ModelKind, str]:
        """The kinds of models that were needed, and what for."""
        roles: dict[ModelKind, str] = {}
        if self._seen:
            roles["vision"] = "tells pictures"
        if self._heard:
            roles["asr"] = "tells sounds"
        return roles

    def seen(self, path: Path) -> Seen:
        if path not in self._seen:
            from mmchat.engines.image_io import open_image
            from mmchat.engines.see import see

            reader = self._models.image_reader(self._models.default("vision"))
            self._seen[path] = see(reader, open_image(path), texts=self._text_reader())
        return self._seen[path]

    def _text_reader(self) -> TextReader | None:
        if self._texts is None and self._models.should_read_text:
            from mmchat.engines.text_glance import load

            self._texts = load()
        return self._texts

    def heard(self, path: Path) -> Heard:
        if path not in self._heard:
            from mmchat.engines.audio_io import decode_audio

            recognizer = self._models.recognizer(self._models.default("asr"))
            sound = decode_audio(path)
            self._heard[path] = hear(recognizer, sound, language=self._models.language, cancel=None)
        return self._heard[path]


def _dtype_name(engine: str, wanted: str, device: str) -> str:
    """The number format in use; empty where the engine alone knows."""
    if engine != "transformers" or wanted != "auto":
        return "" if wanted == "auto" else wanted
    from mmchat.engines.lm_transformers import pick_dtype  # torch is loaded already: the model was

    return str(pick_dtype(wanted, device)).removeprefix("torch.")
