"""The composition root: settings, models and store put together into what a command needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmchat import paths
from mmchat.domain import LoadState, ModelKind

if TYPE_CHECKING:
    from mmchat.chat.bookshelf import Bookshelf
    from mmchat.chat.desk import Desk
    from mmchat.chat.gallery import Gallery, Look
    from mmchat.chat.known import KnownFacts
    from mmchat.chat.mic import Microphone, SpeechWatch
    from mmchat.chat.ports import Recorder
    from mmchat.config.models_file import ModelsFile
    from mmchat.config.settings import Settings
    from mmchat.engines.input_devices import InputDevice
    from mmchat.engines.process_group import SoleProcess, TorchProcessGroup
    from mmchat.engines.speak_command import CommandVoice
    from mmchat.evals.results import RunSettings
    from mmchat.evals.runs import RunStore
    from mmchat.memory.recall import Recall
    from mmchat.memory.recovery import Recovered
    from mmchat.memory.store import MemoryStore
    from mmchat.memory.temporary import TemporaryStore
    from mmchat.role_values import Persona
    from mmchat.wiring.eval_models import EvalModels, EvalSources
    from mmchat.wiring.finetune import Finetune, Request
    from mmchat.wiring.hub import EngineHub

ALL_KINDS: tuple[ModelKind, ...] = ("lm", "asr", "vision", "embed")


@dataclass(frozen=True, slots=True)
class WiringOptions:
    """What the user typed; None leaves it to environment, settings.toml, models.toml and code, in that order."""

    model: str | None = None
    """Language model, as `ModelsFile.resolve` takes it."""
    asr: str | None = None
    vision: str | None = None
    system: str | None = None
    persona: str | None = None
    """Whom the assistant plays; "off" for nobody, whatever the settings say."""
    language: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    should_log: bool = True
    """False: the conversation is kept in a folder that goes with the program, and nothing is recalled."""
    should_recall: bool = True
    """False: nothing of other conversations is told and no facts are learnt, whatever the settings say."""
    should_learn: bool = True
    """False: nothing is learnt of the user from what is sent, which was not theirs alone."""
    should_pull: bool = True
    should_read_text: bool = True
    """False: text that stands in pictures is not read, whatever the settings say."""


def open_settings() -> Settings:
    """The user's settings, checked. Raises ConfigError."""
    from mmchat.config.settings import load_settings

    return load_settings()


def open_store() -> MemoryStore:
    """The user's conversations. Raises MemoryStoreError."""
    from mmchat.memory.store import MemoryStore

    return MemoryStore(paths.database_path(), paths.blobs_dir())


def recover_store(on_progress: Callable[[str], None]) -> Recovered:
    """Mend the user's conversations if they are damaged. Raises MemoryStoreError."""
    from mmchat.memory.recovery import recover

    return recover(paths.database_path(), paths.blobs_dir(), on_progress=on_progress)


def open_hub(options: WiringOptions = WiringOptions(), kinds: tuple[ModelKind, ...] = ALL_KINDS) -> EngineHub:
    """Engines of the chosen models; nothing is loaded yet.

    Raises:
        ConfigError, ModelNotFound: the files or the names are wrong.
    """
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore
    from mmchat.wiring.hub import EngineHub, HubOptions

    settings, models = open_settings(), load_models_file()
    names = _chosen_names(settings, models, options, kinds)
    hub_options = HubOptions(
        should_pull=options.should_pull,
        threads=settings.threads,
        device=settings.device,
        should_read_text=settings.read_text and options.should_read_text,
        speech_by_language=not (options.asr or settings.asr),
        chinese=settings.chinese,
        should_share_weights=True,
    )
    return EngineHub(models, WeightsStore(paths.weights_dir()), names, hub_options)


def _chosen_names(
    settings: Settings, models: ModelsFile, options: WiringOptions, kinds: tuple[ModelKind, ...]
) -> dict[ModelKind, str]:
    """The model of each kind: a flag, or else the settings, or else models.toml."""
    wanted: dict[ModelKind, str | None] = {
        "lm": options.model or settings.model,
        "asr": options.asr or settings.asr,
        "vision": options.vision or settings.vision,
        "embed": settings.embed,
    }
    return {kind: wanted[kind] or models.defaults.for_kind(kind) for kind in kinds}


def open_eval_models(run: RunSettings, on_state: Callable[[LoadState], None] = lambda state: None) -> EvalModels:
    """The models of an evaluation; nothing is loaded yet.

    Args:
        run: what was asked for.
        on_state: told several times a second how far a model's download and loading have come.

    Raises:
        ConfigError: settings.toml or models.toml cannot be used.
    """
    from mmchat.wiring.eval_models import EvalModels

    return EvalModels(run, _model_sources(), on_state)


def _model_sources() -> EvalSources:
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore
    from mmchat.wiring.eval_models import EvalSources
    from mmchat.wiring.hub import HubOptions

    settings, models = open_settings(), load_models_file()
    return EvalSources(
        models,
        WeightsStore(paths.weights_dir()),
        _chosen_names(settings, models, WiringOptions(), ALL_KINDS),
        HubOptions(threads=settings.threads, device=settings.device, should_read_text=settings.read_text),
    )


def open_finetune(request: Request, *, should_resume: bool = False, is_forced: bool = False) -> Finetune:
    """A finetune; nothing is read or loaded yet.

    Args:
        request: what was asked for.
        should_resume: go on with the interrupted one of that name.
        is_forced: replace a result of that name.

    Raises:
        ConfigError: settings.toml or models.toml cannot be used.
    """
    from mmchat.wiring.finetune import Finetune

    return Finetune(request, _model_sources(), should_resume=should_resume, is_forced=is_forced)


def open_runs() -> RunStore:
    """The user's saved evaluations."""
    from mmchat.evals.runs import RunStore

    return RunStore(paths.evals_dir())


def open_process_group() -> SoleProcess | TorchProcessGroup:
    """The processes that share an evaluation: this one, or those that torchrun has started. Close it at the end.

    Raises:
        UsageError, EngineUnavailable: the variables of torchrun are wrong, or the others do not answer.
    """
    from mmchat.engines import process_group

    return process_group.open_process_group()


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of those that torchrun has started."""
    from mmchat.engines import process_group

    return process_group.is_first_process()


def open_recall(store: MemoryStore, hub: EngineHub | None = None) -> Recall:
    """Search over `store`; vectors come from `hub`, or from the default models. Nothing is loaded yet."""
    from mmchat.memory.recall import Recall

    hub = hub or open_hub(kinds=("vision", "embed"))
    return Recall(store, hub.embedder, hub.picture_texts)


def open_gallery(hub: EngineHub, look: Look, *, should_remember: bool = True) -> Gallery:
    """Looks at many pictures. `should_remember`: what was seen earlier in the same bytes is not looked at again."""
    from mmchat.chat.gallery import Gallery
    from mmchat.engines.see import REVISION
    from mmchat.memory.seen_cache import SeenCache

    if not should_remember:
        return Gallery(hub, look)
    stamp = f"{hub.stamp('vision')}\n{look.top_k}\n{look.labels}\n{hub.text_reader_name()}\n{REVISION}"
    return Gallery(hub, look, SeenCache(paths.seen_cache_path(), stamp))


def open_bookshelf(store: MemoryStore, hub: EngineHub | None = None) -> Bookshelf:
    """The user's documents; models come from `hub`, or are the default ones. Nothing is loaded yet."""
    from mmchat.chat.bookshelf import Bookshelf

    hub = hub or open_hub(kinds=("embed",))
    return Bookshelf(store, hub.embedder, hub.text_reader)


def open_facts(store: MemoryStore) -> KnownFacts:
    """What is known of the user, for looking and changing; nothing is loaded."""
    from mmchat.chat.known import KnownFacts

    return KnownFacts(store, lambda: None)


def open_desk(options: WiringOptions = WiringOptions()) -> Desk:
    """All that a front end needs. Cheap: engines load when they are first needed or `warm`ed.

    Raises:
        ConfigError, ModelNotFound, MemoryStoreError: what is wrong, before anything was said.
    """
    from mmchat.chat.desk import Desk
    from mmchat.chat.roles import Casting
    from mmchat.chat.session import SessionSettings
    from mmchat.config.models_file import load_models_file

    settings = open_settings()
    persona = _chosen_persona(settings, options)
    usual_model, is_model_typed = "", options.model is not None
    if persona is not None and persona.role.model and not is_model_typed:
        usual_model = _chosen_names(settings, load_models_file(), options, ("lm",))["lm"]
        options = replace(options, model=persona.role.model)
    hub = open_hub(options)
    _remove_leftovers()
    temporary = None if options.should_log else _temporary_store()
    store = temporary.store if temporary else open_store()
    session_settings = SessionSettings(
        options=_set_options(settings),
        typed_options=_typed_options(options),
        persona=persona,
        system=settings.system if options.system is None else options.system,
        is_system_typed=options.system is not None,
        language=options.language or settings.language,
        should_recall=options.should_log and options.should_recall and settings.recall,
        should_know_facts=options.should_log and options.should_recall and settings.facts,
        should_read_ahead=settings.read_ahead,
        should_learn=options.should_learn,
        window_tokens=settings.window_tokens,
        mask=settings.mask,
        intent_model=settings.intent_model,
        reads_mood=settings.mood,
        is_temporary=not options.should_log,
    )
    return Desk(
        store,
        open_recall(store, hub),
        hub,
        session_settings,
        _microphone(settings, should_store=options.should_log),
        on_close=temporary.close if temporary else None,
        make_private=_temporary_store,
        find_voice=lambda: open_voice(settings),
        casting=Casting(hub, usual_model=usual_model, is_model_typed=is_model_typed),
    )


def _remove_leftovers() -> None:
    """What programs that were killed left of private conversations goes at the next start; nothing waits for it."""
    from mmchat.memory.temporary import remove_leftovers

    threading.Thread(target=remove_leftovers, name="leftovers", daemon=True).start()


def _temporary_store() -> TemporaryStore:
    from mmchat.memory.temporary import TemporaryStore

    return TemporaryStore()


def _chosen_persona(settings: Settings, options: WiringOptions) -> Persona | None:
    """Who is played: what was typed, or else the settings; a system text that was typed stands alone."""
    from mmchat.chat.roles import NOBODY, find_persona

    wanted = settings.persona if options.persona is None else options.persona
    if not wanted or wanted in NOBODY or (options.system is not None and options.persona is None):
        return None
    return find_persona(wanted)


def _set_options(settings: Settings) -> dict[str, int | float]:
    """What the settings say of decoding."""
    wanted = {
        "max_new_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": settings.seed,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _typed_options(options: WiringOptions) -> dict[str, int | float]:
    """What was typed of decoding."""
    wanted = {"max_new_tokens": options.max_tokens, "temperature": options.temperature, "seed": options.seed}
    return {key: value for key, value in wanted.items() if value is not None}


def open_voice(settings: Settings) -> CommandVoice:
    """The program that speaks. Raises EngineUnavailable."""
    from mmchat.engines.speak_command import find_voice

    return find_voice(settings.speak_command, settings.voices)


def _microphone(settings: Settings, *, should_store: bool) -> Microphone:
    from mmchat.chat.mic import Microphone, MicSettings
    from mmchat.config.settings import save_setting

    def recorder(device: str) -> Recorder:
        from mmchat.engines.microphone import MicrophoneRecorder

        return MicrophoneRecorder(device, max_duration_s=settings.recording_limit_s)

    def devices() -> tuple[InputDevice, ...]:
        from mmchat.engines.input_devices import list_input_devices

        return list_input_devices()

    def speech_watch() -> SpeechWatch:
        from mmchat.engines.speech_end import SpeechEnd

        return SpeechEnd()

    chosen = MicSettings(
        settings.microphone,
        settings.auto_stop_s,
        settings.live_text,
        settings.keep_recording,
        paths.recording_path() if should_store else None,
    )
    return Microphone(recorder, chosen, list_devices=devices, save=save_setting, make_speech_watch=speech_watch)
