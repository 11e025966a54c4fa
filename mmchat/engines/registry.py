"""Kind and engine name → loader. Naming an engine imports nothing; loading imports exactly one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mmchat.domain import EngineSpec, ModelKind
from mmchat.errors import ConfigError

LOADERS: dict[tuple[ModelKind, str], str] = {
    ("lm", "llamacpp"): "mmchat.engines.lm_llamacpp:load",
    ("lm", "transformers"): "mmchat.engines.lm_transformers:load",
    ("lm", "openai"): "mmchat.engines.lm_openai:load",
    ("lm", "scripted"): "mmchat.engines.scripted:load_lm",
    ("asr", "faster-whisper"): "mmchat.engines.asr_faster_whisper:load",
    ("asr", "openai-whisper"): "mmchat.engines.asr_whisper:load",
    ("asr", "scripted"): "mmchat.engines.scripted:load_asr",
    ("vision", "open_clip"): "mmchat.engines.vision_exported:load",
    ("vision", "scripted"): "mmchat.engines.scripted:load_vision",
    ("embed", "ctranslate2"): "mmchat.engines.embed_ctranslate2:load",
    ("embed", "scripted"): "mmchat.engines.scripted:load_embedder",
    ("head", "fused"): "mmchat.engines.head_fused:load",
}


def engine_names(kind: ModelKind) -> tuple[str, ...]:
    """Names of the engines for a kind, in order of registration."""
    return tuple(engine for each_kind, engine in LOADERS if each_kind == kind)


def load_engine(kind: ModelKind, spec: EngineSpec) -> Any:
    """Load one engine. The result keeps the protocol of `kind` in `engines.base`.

    Raises:
        ConfigError: no such engine for that kind.
        MmchatError: whatever the loader says (weights missing, no memory, no library).
    """
    target = LOADERS.get((kind, spec.engine))
    if target is None:
        raise ConfigError(
            f"Model '{spec.name}' asks for the engine '{spec.engine}', which is not one for {kind}.",
            hint=f"Engines for {kind}: {', '.join(engine_names(kind))}.",
        )
    module_name, _, function_name = target.partition(":")
    return getattr(import_module(module_name), function_name)(spec)
