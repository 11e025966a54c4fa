"""Models on demand: pulled, prepared and loaded in the background, each once, switched without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mmchat.config.model_entries import AsrEntry, HeadEntry, LmEntry
from mmchat.domain import (
    EngineSpec,
    GenerateOptions,
    LoadState,
    ModelHabits,
    ModelKind,
    ModelSummary,
    PullProgress,
)
from mmchat.engines.device import has_gpu
from mmchat.engines.head_files import read_config
from mmchat.engines.registry import load_engine
from mmchat.errors import ConfigError, EngineUnavailable, MmchatError, ModelNotFound
from mmchat.weights.finetuned import is_merged
from mmchat.wiring.readers import Readers
from mmchat.wiring.slots import Slot, describe_progress
from mmchat.wiring.speech_models import by_language
from mmchat.wiring.wardrobe import Wardrobe, redressed_or_loaded

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.config.models_file import ModelsFile
    from mmchat.engines.base import (
        ImageReader,
        IntentReader,
        LanguageModel,
        MoodReader,
        PictureTexts,
        SpeechRecognizer,
        TextEmbedder,
        TextReader,
    )
    from mmchat.weights.store import WeightsStore

log = logging.getLogger(__name__)

_TELL_EVERY_S = 0.2

_KIND_WORDS: dict[ModelKind, str] = {
    "lm": "language",
    "asr": "speech",
    "vision": "picture",
    "embed": "memory",
    "head": "label",
}


@dataclass(frozen=True, slots=True)
class HubOptions:
    """How models are had."""

    should_pull: bool = True
    """Fetch missing weights; otherwise they are an error that names the command."""
    threads: int = 0
    device: str = "auto"
    dtype: str = ""
    """Goes before what the entry says; empty: the entry's own."""
    parallel: int = 1
    """How many replies a language model draws at once."""
    speech_by_language: bool = False
    """Leave English to the model that the speech model names for it."""
    chinese: str | None = None
    """Characters that Chinese speech is written in; None: as the model's entry says."""
    should_read_text: bool = True
    """Read the text that stands in pictures."""
    should_share_weights: bool = False
    """Put the adapters that roles name on a loaded base, so that a change of role reloads nothing."""


class EngineHub:
    """Keeps the protocol `chat.ports.Engines` over models.toml and the weights folder."""

    def __init__(
        self, models: ModelsFile, weights: WeightsStore, names: Mapping[ModelKind, str], options: HubOptions
    ) -> None:
        """`names`: the model of each kind; a kind left out has none.

        Raises:
            ConfigError, ModelNotFound: a name is unknown, broken, or a model's of another kind.
        """
        self._models = models
        self._weights = weights
        self._options = options
        self._lock = threading.Lock()
        self._wardrobe = Wardrobe(models, weights)
        for kind, name in names.items():
            self._check(kind, name)  # a wrong name is said now, not when the first reply is due
        self._reading = threading.Lock()
        self._text_reader: TextReader | None = None
        self._mapping = threading.Lock()
        self._mapped: dict[str, PictureTexts | None] = {}
        """The light text side of a picture model; None for one that has none."""
        self._slots: dict[ModelKind, Slot] = {kind: self._slot(kind, name) for kind, name in names.items()}
        self._heads: dict[str, Slot] = {}
        """Heads that were asked for as readers of intents, by name; they stay."""
        self._readers = Readers(self.embedder, lambda: self.stamp("embed"))
        self._second_ears: Slot | None = None
        """The speech model that was asked for by name last, beside the chosen one."""

    def _slot(self, kind: ModelKind, name: str, before: Slot | None = None) -> Slot:
        return Slot(kind, name, self._load, before)

    # --- chat.ports.Engines ---------------------------------------------------------------------

    def language_model(self) -> LanguageModel:
        return cast("LanguageModel", self._get("lm"))

    def habits(self) -> ModelHabits:
        entry, _ = self._resolve(self._slots["lm"].state.model)
        if entry.kind != "lm":
            return ModelHabits()
        chosen = {key: value for key, value in entry.decoding.model_dump().items() if value is not None}
        return ModelHabits(
            options=replace(GenerateOptions(), **chosen), note_style=entry.notes, summaries=entry.summaries
        )

    def recognizer(self) -> SpeechRecognizer:
        return cast("SpeechRecognizer", self._get("asr"))

    def recognizer_named(self, name: str) -> SpeechRecognizer:
        self._check("asr", name)
        with self._lock:
            known = [self._slots.get("asr"), self._second_ears]
            slot = next((each for each in known if each is not None and each.state.model == name), None)
            old, is_new = self._second_ears, slot is None
            if slot is None:
                slot = self._second_ears = self._slot("asr", name)
        if is_new and old is not None:
            old.close_when_loaded()
        return cast("SpeechRecognizer", slot.get())

    def image_reader(self) -> ImageReader:
        return cast("ImageReader", self._get("vision"))

    def text_reader_name(self) -> str:
        """What `text_reader` would be; loads nothing."""
        return f"rapidocr {version('rapidocr')}" if self._options.should_read_text else ""

    def text_reader(self) -> TextReader | None:
        if not self._options.should_read_text:
            return None
        with self._reading:
            if self._text_reader is None:
                from mmchat.engines.text_glance import load

                self._text_reader = load(self._options.threads)
            return self._text_reader

    def embedder(self) -> TextEmbedder | None:
        # Recall works on words alone until the vectors' model is in place: no reply waits for its download.
        slot = self._slots.get("embed")
        if slot is None or not (slot.state.stage == "ready" or self._is_in_place(slot.state.model)):
            return None
        return cast("TextEmbedder", slot.get())

    def picture_texts(self, may_load: bool) -> PictureTexts | None:
        """Texts in the space of the picture model, for recall; None where only loading it would give them.

        Nothing is fetched. Where the sentence embedder and a map are all there is to the model's text side, the
        model itself is never loaded for it.
        """
        slot = self._slots.get("vision")
        if slot is None or not (slot.state.model in self._mapped or self._is_in_place(slot.state.model)):
            return None
        with self._mapping:
            embedder = self.embedder()
            if embedder is not None and slot.state.model not in self._mapped:
                self._mapped[slot.state.model] = self._mapped_texts(slot.state.model, embedder)
            mapped = self._mapped.get(slot.state.model)
        if mapped is not None:
            return mapped
        return self.image_reader() if may_load or slot.state.stage == "ready" else None

    def _mapped_texts(self, name: str, embedder: TextEmbedder) -> PictureTexts | None:
        if embedder.engine != "ctranslate2":
            return None
        from mmchat.engines.picture_texts import mapped_texts

        vision, engine = self._resolve(name)
        sentences, _ = self._resolve(embedder.name)
        if not vision.needs_weights or not sentences.needs_weights:
            return None
        return mapped_texts(name, self._weights.prepared(vision, engine), embedder, self._weights.path(sentences))

    def intent_reader(self, examples: Mapping[str, Sequence[str]], model: str = "") -> IntentReader:
        if not model:
            return self._readers.of_examples(examples)
        self._check("head", model)
        with self._lock:
            slot = self._heads.setdefault(model, self._slot("head", model))
        return self._readers.of_head(slot.get())

    def mood_reader(self) -> MoodReader:
        return self._readers.of_moods()

    def start(self, kinds: Sequence[ModelKind]) -> None:
        for kind in kinds:
            if kind in self._slots:
                self._slots[kind].start()

    def is_in_place(self, kind: ModelKind) -> bool:
        return kind in self._slots and self._is_in_place(self._slots[kind].state.model)

    def stamp(self, kind: ModelKind) -> str:
        """What tells a model's weights, and the code that uses them, from others of that name. Loads nothing."""
        name = self._slots[kind].state.model
        entry, engine = self._resolve(name)
        folder = self._weights.prepared(entry, engine) if entry.needs_weights and self._is_in_place(name) else None
        files = [*(folder.iterdir() if folder is not None else ()), *Path(__file__).parent.parent.glob("engines/*.py")]
        return f"{name}\n{engine}\n{folder}\n{max(file.stat().st_mtime_ns for file in files)}"

    def states(self) -> tuple[LoadState, ...]:
        return tuple(slot.state for slot in self._all_slots())

    def _all_slots(self) -> tuple[Slot, ...]:
        second = [self._second_ears] if self._second_ears is not None else []
        with self._lock:
            return (*self._slots.values(), *second, *self._heads.values())

    def use_language_model(self, name: str) -> None:
        self._check("lm", name)  # a wrong name is refused before anything is given up
        with self._lock:
            old = self._slots.get("lm")
            if old is not None and old.state.model == name and old.state.stage != "failed":
                return
            is_like = old is not None and self._has_same_weights(old.state.model, name)
            self._slots["lm"] = self._slot("lm", name, old if is_like else None)
        self._slots["lm"].start()
        if old is not None and not is_like:
            old.close_when_loaded()

    def language_models(self) -> tuple[ModelSummary, ...]:
        return self._models_of("lm")

    def speech_models(self) -> tuple[ModelSummary, ...]:
        return self._models_of("asr")

    def _models_of(self, kind: ModelKind) -> tuple[ModelSummary, ...]:
        current = self._slots[kind].state.model if kind in self._slots else ""
        return tuple(
            self._weights.summary(entry, is_default=entry.name == current)
            for entry in self._models.values()
            if entry.kind == kind
        )

    def close(self) -> None:
        for slot in self._all_slots():
            slot.close_when_loaded()
        with self._reading:
            if self._text_reader is not None:
                self._text_reader.close()

    def load(self, kind: ModelKind, on_state: Callable[[LoadState], None]) -> Any:
        """The model of a kind, fetched and loaded now; unlike `embedder`, waits for its download too.

        `on_state` is told from this thread, several times a second. Raises what the loading raises.
        """
        slot = self._slots[kind]
        future = slot.start()
        while not wait([future], timeout=_TELL_EVERY_S).done:
            on_state(slot.state)
        on_state(slot.state)
        return future.result()

    # --- weights without loading ----------------------------------------------------------------

    def fetch_in_background(self, kinds: Sequence[ModelKind]) -> None:
        """Fetch the missing weights of `kinds` one after the other, so that the first picture need not wait.

        Nothing is loaded. A failure is logged and shown as the slot's detail; the next use says it in full.
        """
        if self._options.should_pull:
            slots = [self._slots[kind] for kind in kinds if kind in self._slots]
            threading.Thread(target=self._fetch, args=(slots,), name="fetch-weights", daemon=True).start()

    def _fetch(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            try:
                entry, engine = self._resolve(slot.state.model)
                if entry.needs_weights and slot.state.stage == "idle":
                    self._weights_path(entry, engine, slot)
                    if english := self._english_of(entry):
                        self._weights_path(*self._resolve(english), slot)
                    slot.rest("")
            except MmchatError as error:
                log.warning("fetching %s: %s", slot.state.model, error)
                slot.rest(error.message)

    def _check(self, kind: ModelKind, name: str) -> None:
        entry, _ = self._models.resolve(name)
        if entry.kind != kind:
            raise ModelNotFound(
                f"'{name}' is a {_KIND_WORDS[entry.kind]} model, not a {_KIND_WORDS[kind]} model.",
                hint=f"`mmchat models list` names them; those for this say {kind}.",
            )

    def _is_in_place(self, name: str) -> bool:
        """Whether loading needs no fetching and no preparing."""
        entry, engine = self._resolve(name)
        return not entry.needs_weights or self._weights.is_prepared(self._base_of(entry, engine) or entry, engine)

    def _get(self, kind: ModelKind) -> Any:
        slot = self._slots.get(kind)
        if slot is None:
            raise EngineUnavailable(
                f"No {kind} model is chosen.", hint=f'Set {kind} = "…" under [defaults] in models.toml.'
            )
        return slot.get()

    # --- loading, in a slot's own thread --------------------------------------------------------

    def _load(self, slot: Slot) -> Any:
        name, kind = slot.state.model, slot.state.kind
        entry, engine = self._resolve(name)
        _require_eyes(entry, engine)
        try:
            loaded = self._loaded(entry, engine, slot)
        finally:
            slot.let_go()
        if kind == "embed":
            from mmchat.engines.embed_once import EmbedsOnce  # numpy: not before something is loaded

            return EmbedsOnce(loaded)
        return self._by_language(loaded, english) if (english := self._english_of(entry)) else loaded

    def _loaded(self, entry: ModelEntry, engine: str, slot: Slot) -> Any:
        """The model of an entry: weights that are in memory with another adapter, or loaded."""
        base = self._base_of(entry, engine)
        path = self._weights_path(base or entry, engine, slot) if entry.needs_weights else None
        spec = self._spec(entry, engine, path)
        if base is not None and path is not None:
            files = self._wardrobe.files(base, path, entry.name)
            spec = replace(spec, adapter_path=None, options={**spec.options, "adapters": files})
        if isinstance(entry, HeadEntry):
            spec = replace(spec, options={**spec.options, **self._encoders(entry, path, slot)})
        if isinstance(entry, LmEntry) and entry.projector:
            eyes = {"projector": entry.projector, "encoders": {"vision": self._encoder("vision", entry.vision, slot)}}
            spec = replace(spec, options={**spec.options, **eyes})
        slot.report("loading", "loading", None)
        return redressed_or_loaded(slot, spec)

    def _base_of(self, entry: ModelEntry, engine: str) -> LmEntry | None:
        """The model whose weights are loaded for an entry, with adapters that roles name beside them."""
        return self._wardrobe.base_of(entry, engine) if self._options.should_share_weights else None

    def _has_same_weights(self, name: str, other: str) -> bool:
        """Whether two models may differ in their adapters alone."""
        (one, engine), (two, engine_two) = self._resolve(name), self._resolve(other)
        return one.needs_weights and (one.weights_name, engine) == (two.weights_name, engine_two)

    def _english_of(self, entry: ModelEntry) -> str:
        """The speech model that takes over for English; empty where none is to."""
        return entry.english if self._options.speech_by_language and isinstance(entry, AsrEntry) else ""

    def _by_language(self, main: SpeechRecognizer, english: str) -> SpeechRecognizer:
        self._check("asr", english)
        entry, engine = self._resolve(english)

        def load() -> SpeechRecognizer:
            spec = self._spec(entry, engine, self._weights.prepared(entry, engine))
            return cast("SpeechRecognizer", load_engine("asr", spec))

        return by_language(main, english, lambda: self._is_in_place(english), load)

    def _encoders(self, entry: HeadEntry, path: Path | None, slot: Slot) -> dict[str, dict[str, object]]:
        """The encoders that a head stands on: those that the hub has anyway, and what loads the others."""
        chosen = {"embed": entry.embed, "vision": entry.vision}
        found: dict[str, dict[str, object]] = {"encoders": {}, "loaded": {}}
        for kind in read_config(path, entry.name).encoders:
            own = self._slots.get(kind)
            if own is not None and own.state.model == (chosen[kind] or self._models.defaults.for_kind(kind)):
                found["loaded"][kind] = own.get()
            else:
                found["encoders"][kind] = self._encoder(kind, chosen[kind], slot)
        return found

    def _encoder(self, kind: ModelKind, name: str, slot: Slot) -> EngineSpec:
        """What loads a model that another one stands on; the default one of its kind where none is named."""
        name = name or self._models.defaults.for_kind(kind)
        self._check(kind, name)
        encoder, engine = self._resolve(name)
        weights = self._weights_path(encoder, engine, slot) if encoder.needs_weights else None
        return self._spec(encoder, engine, weights)

    def _resolve(self, name: str) -> tuple[ModelEntry, str]:
        return self._models.resolve(name, has_gpu=self._options.device != "cpu" and has_gpu())

    def _weights_path(self, entry: ModelEntry, engine: str, slot: Slot) -> Path:
        def on_progress(progress: PullProgress) -> None:
            slot.report("pulling", *describe_progress(progress))

        # A load that finds the background fetch at work waits for it, and its progress stays in view.
        with slot.fetching:
            if not self._weights.is_installed(entry):
                if not self._options.should_pull:
                    raise ModelNotFound(
                        f"The weights of '{entry.name}' are not on this machine.",
                        hint=f"mmchat models pull {entry.name}",
                    )
                self._weights.pull(entry, on_progress=on_progress, engine=engine)
            return self._weights.prepared(entry, engine, on_progress=on_progress)

    def _spec(self, entry: ModelEntry, engine: str, path: Path | None) -> EngineSpec:
        options: dict[str, object] = dict(entry.options)
        for key in ("task", "accepts_images", "base_url", "api_model", "api_key_env", "languages"):
            value = getattr(entry, key, None)
            if value is not None:
                options.setdefault(key, value)
        if entry.kind == "asr" and self._options.chinese:
            options["chinese"] = self._options.chinese
        return EngineSpec(
            name=entry.name,
            engine=engine,
            path=path,
            context_tokens=getattr(entry, "context_tokens", 0),
            device=entry.device if self._options.device == "auto" else self._options.device,
            dtype=self._options.dtype or entry.dtype,
            threads=self._options.threads,
            # What is merged already must not be put on once more.
            adapter_path=Path(entry.adapter) if entry.adapter and not is_merged(entry, engine) else None,
            parallel=self._options.parallel,
            options=options,
        )


def _require_eyes(entry: ModelEntry, engine: str) -> None:
    """Refuse an engine that would leave a model blind.

    Raises:
        ConfigError: it has learnt to see, and the engine knows no projectors.
    """
    if isinstance(entry, LmEntry) and entry.projector and engine != "transformers":
        raise ConfigError(
            f"'{entry.name}' sees through a projector, which {engine} cannot use.", hint=f"Use -m {entry.name}"
        )
