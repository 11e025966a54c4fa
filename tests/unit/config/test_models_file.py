"""models.toml: the packaged file, the user's over it, every problem at once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.config.model_entries import ENGINE_NAMES, LmEntry, Source, is_inside
from mmchat.config.models_file import ModelsFile, load_models_file, packaged_models_path
from mmchat.domain import EngineSpec, GenerateOptions, Message, TextDelta
from mmchat.engines.registry import LOADERS, load_engine
from mmchat.errors import ConfigError, ModelNotFound
from mmchat.weights.preparers import PREPARERS

SERVER = '[models.far]\nkind = "lm"\nengine = "openai"\nbase_url = "http://localhost:1/v1"\n'


def load(tmp_path: Path, text: str, packaged: str | None = None) -> ModelsFile:
    user = tmp_path / "models.toml"
    user.write_text(text, encoding="utf-8")
    path = None
    if packaged is not None:
        path = tmp_path / "packaged.toml"
        path.write_text(packaged, encoding="utf-8")
    return load_models_file(user, path)


# --- the packaged file --------------------------------------------------------------------------


def test_the_packaged_file_is_sound() -> None:
    models = load_models_file(Path("/nonexistent"))
    assert models.problems == ()
    assert models.default_stack() == ("smollm2-135m", "whisper-base", "whisper-tiny.en", "lite2-minilm", "minilm")
    assert (models.defaults.lm, models.defaults.asr) == ("smollm2-135m", "whisper-base")
    assert (models.defaults.vision, models.defaults.embed) == ("lite2-minilm", "minilm")


def test_every_packaged_entry_says_its_licence_size_and_use() -> None:
    for entry in load_models_file(Path("/nonexistent")).values():
        assert entry.license != "unknown", entry.name
        assert entry.download_bytes > 20_000_000, entry.name
        assert entry.description, entry.name
        assert entry.languages, entry.name
        for engine in filter(None, (entry.engine, entry.gpu_engine)):
            assert (entry.format, engine) in PREPARERS, entry.name


def test_the_default_stack_is_pinned_and_permissive() -> None:
    models = load_models_file(Path("/nonexistent"))
    for name in models.default_stack():
        entry = models[name]
        assert entry.license in ("Apache-2.0", "MIT")
        assert all(source.scheme == "pypi" and source.sha256 for source in entry.sources)


def test_the_packaged_file_names_no_registry_address() -> None:
    text = packaged_models_path().read_text(encoding="utf-8")
    data = tomllib.loads(text)
    assert "simple" not in [word for line in text.splitlines() for word in re.split(r"[/\s]", line)]
    assert not re.search(r"https?://", str(data))


def test_engine_names_are_those_of_the_registry() -> None:
    for kind, names in ENGINE_NAMES.items():
        assert set(names) == {engine for each, engine in LOADERS if each == kind}


# --- the user's file ----------------------------------------------------------------------------


def test_the_users_file_changes_one_key_and_adds_models(tmp_path: Path) -> None:
    models = load(tmp_path, f'[defaults]\nlm = "far"\n[models.smollm2-135m]\ncontext_tokens = 2048\n{SERVER}')
    changed = models["smollm2-135m"]
    assert isinstance(changed, LmEntry)
    assert changed.context_tokens == 2048
    assert changed.engine == "llamacpp"
    assert changed.sources
    assert models.defaults.lm == "far"
    assert not models["far"].needs_weights
    assert models.problems == ()


def test_an_entry_of_another_kind_replaces_the_packaged_one(tmp_path: Path) -> None:
    models = load(tmp_path, '[models.smollm2-135m]\nkind = "asr"\nengine = "scripted"\n')
    assert models["smollm2-135m"].kind == "asr"
    assert models["smollm2-135m"].sources == ()
    with pytest.raises(ConfigError, match=r"defaults\.lm: 'smollm2-135m' is of kind asr"):
        _ = models.defaults.lm


def test_all_problems_are_found_at_once_with_the_nearest_word(tmp_path: Path) -> None:
    models = load(
        tmp_path,
        """
        nonsense = 1
        [default]
        [defaults]
        lm = "smollm2-135n"
        voice = "x"
        [models.a]
        kind = "lmm"
        [models.b]
        kind = "lm"
        engine = "lamacpp"
        contxt_tokens = 5
        [models.c]
        kind = "lm"
        engine = "llamacp"
        format = "gguf"
        sources = [{ source = "hub:o/n", revision = "main" }]
        [models.d]
        kind = "asr"
        engine = "faster-whisper"
        format = "ctranslate2"
        sources = [{ source = "pypi:x==1", sha256 = "00", fils = {} }, { source = "ftp:x" }]
        [models."e f"]
        kind = "lm"
        engine = "scripted"
        [models.g]
        kind = "lm"
        engine = "openai"
        [models.i]
        kind = "lm"
        engine = "openai"
        base_url = "localhost:11434/v1"
        [models.h]
        kind = "lm"
        engine = "llamacp"
        format = "gguf"
        sources = [{ source = "dir:x" }]
        """,
    )
    text = "\n".join(models.problems)
    path = str(tmp_path / "models.toml")
    for expected in (
        f"{path}: nonsense: no such key.",
        f"{path}: default: no such key. Did you mean 'defaults'?",
        f"{path}: defaults.lm: 'smollm2-135n' is no model here. Did you mean 'smollm2-135m'?",
        f"{path}: defaults.voice: no such kind.",
        f"{path}: models.a.kind: 'lmm' is none of lm, asr, vision, embed, head. Did you mean 'lm'?",
        f"{path}: models.b.contxt_tokens: no such key. Did you mean 'context_tokens'?",
        f"{path}: models.c.sources.0.revision: must be a full commit id",
        f"{path}: models.d.sources.0.sha256: must be 64 lower-case hexadecimal digits.",
        f"{path}: models.d.sources.0.fils: no such key. Did you mean 'files'?",
        f"{path}: models.d.sources.1.source: write pypi:NAME==VERSION",
        f"{path}: models.e f: a name has letters",
        f'{path}: models.g: engine "openai" needs base_url',
        f"{path}: models.i: base_url 'localhost:11434/v1' must begin with http://",
        f"{path}: models.h.engine: 'llamacp' is not an engine for lm (llamacpp, transformers, openai, scripted). "
        "Did you mean 'llamacpp'?",
    ):
        assert expected in text, expected
    assert set(models.broken) == {"a", "b", "c", "d", "e f", "g", "h", "i"}


def test_a_broken_entry_blocks_only_its_own_use(tmp_path: Path) -> None:
    models = load(tmp_path, '[models.bad]\nkind = "lm"\nengine = "llamacpp"\nwrong = 1\n')
    assert models["minilm"].kind == "embed"
    assert models.defaults.lm == "smollm2-135m"
    assert "bad" not in models
    with pytest.raises(ConfigError, match=r"models\.bad\.wrong: no such key"):
        models.resolve("bad")


def test_a_file_that_is_not_toml_or_too_new_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path, "[models")
    with pytest.raises(ConfigError, match="schema_version: this mmchat reads 1, not 2"):
        load(tmp_path, "schema_version = 2")


def test_aliases_are_unique(tmp_path: Path) -> None:
    models = load(tmp_path, SERVER + 'aliases = ["smollm2", "minilm"]\n')
    assert len(models.problems) == 2
    assert models["smollm2"].name == "smollm2-135m"


def test_an_adapter_takes_its_weights_from_its_base(tmp_path: Path) -> None:
    text = '[models.bot]\nkind = "lm"\nbase = "smollm2-135m"\nengine = "transformers"\nadapter = "ad/bot"\n'
    models = load(tmp_path, text)
    bot = models["bot"]
    assert bot.weights_name == "smollm2-135m"
    assert bot.sources == models["smollm2-135m"].sources
    assert bot.adapter == str(tmp_path / "ad" / "bot")
    broken = load(tmp_path, text.replace("smollm2-135m", "smollm2-135x"))
    assert "Did you mean 'smollm2-135m'?" in broken.broken["bot"][0]


def test_a_projector_works_on_transformers_alone(tmp_path: Path) -> None:
    text = (
        '[models.eyes]\nkind = "lm"\nbase = "smollm2-135m"\nengine = "transformers"\ngpu_engine = "transformers"\n'
        'projector = "pr/eyes"\nvision = "lite2-minilm"\naccepts_images = true\n'
    )
    eyes = load(tmp_path, text)["eyes"]
    assert isinstance(eyes, LmEntry)
    assert eyes.projector == str(tmp_path / "pr" / "eyes")
    for line in ('engine = "transformers"\n', 'gpu_engine = "transformers"\n'):
        broken = load(tmp_path, text.replace(f"\n{line}", f"\n{line.replace('transformers', 'llamacpp')}", 1))
        assert "a projector needs engine" in broken.broken["eyes"][0]


def test_local_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    models = load(
        tmp_path,
        '[models.x]\nkind = "lm"\nengine = "llamacpp"\nformat = "gguf"\nsources = [{ source = "file:m/a.gguf" }]\n'
        '[models.y]\nkind = "lm"\nengine = "llamacpp"\nformat = "gguf"\nsources = [{ source = "file:~/a.gguf" }]\n',
    )
    assert models["x"].sources[0].target == str(tmp_path / "m" / "a.gguf")
    assert models["y"].sources[0].target == str(Path.home() / "a.gguf")


# --- names --------------------------------------------------------------------------------------


def test_resolve_picks_the_engine() -> None:
    models = load_models_file(Path("/nonexistent"))
    assert models.resolve("smollm2-135m")[1] == "llamacpp"
    assert models.resolve("smollm2-135m", has_gpu=True)[1] == "transformers"
    assert models.resolve("smollm2-135m@transformers")[1] == "transformers"
    assert models.resolve("smollm2@llamacpp", has_gpu=True)[1] == "llamacpp"
    assert models.resolve("minilm", has_gpu=True)[1] == "ctranslate2"
    with pytest.raises(ConfigError, match=r"'lamacpp' is not an engine for lm\. Did you mean 'llamacpp'\?"):
        models.resolve("smollm2-135m@lamacpp")
    with pytest.raises(ModelNotFound, match=r"No model named 'smolm2-135m'\. Did you mean 'smollm2-135m'\?") as caught:
        models.resolve("smolm2-135m")
    assert caught.value.hint == "mmchat models list"
    for name in ("~/away.gguf", "./away", "away.gguf"):
        with pytest.raises(ModelNotFound, match="There is no model file or folder"):
            models.resolve(name)


def test_a_path_is_a_model(tmp_path: Path) -> None:
    models = load_models_file(Path("/nonexistent"))
    file = tmp_path / "my@model.gguf"
    file.write_bytes(b"GGUF")
    folder = tmp_path / "minilm"
    folder.mkdir()
    entry, engine = models.resolve(str(file))
    assert (engine, entry.sources[0].source) == ("llamacpp", f"file:{file}")
    assert models.resolve(f"{file}@transformers")[1] == "transformers"
    entry, engine = models.resolve(str(folder))
    assert (engine, entry.name) == ("transformers", "minilm")
    assert entry.weights_name != "minilm"
    with pytest.raises(ModelNotFound):
        models.resolve(str(tmp_path / "nowhere.gguf"))


def test_a_gguf_file_brings_the_one_beside_it_that_sees(tmp_path: Path) -> None:
    models = load_models_file(Path("/nonexistent"))
    for name in ("model.gguf", "mmproj-model.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    entry, _ = models.resolve(str(tmp_path / "model.gguf"))
    assert [source.target for source in entry.sources] == [
        str(tmp_path / "model.gguf"),
        str(tmp_path / "mmproj-model.gguf"),
    ]
    assert isinstance(entry, LmEntry)
    assert entry.accepts_images
    (tmp_path / "another.gguf").write_bytes(b"GGUF")  # whose eyes are they now?
    entry, _ = models.resolve(str(tmp_path / "model.gguf"))
    assert len(entry.sources) == 1
    assert isinstance(entry, LmEntry)
    assert not entry.accepts_images


# --- properties ---------------------------------------------------------------------------------


@given(st.text(max_size=40))
def test_a_path_that_passes_stays_inside(text: str) -> None:
    if is_inside(text):
        resolved = (Path("/root-folder/inner") / text).resolve()
        assert resolved.is_relative_to("/root-folder/inner")


@given(st.text(max_size=60))
def test_sources_are_accepted_or_refused_never_crash(text: str) -> None:
    try:
        source = Source(source=text, sha256="0" * 64, files={"a": "b"})
    except ValueError:
        return
    assert source.scheme in ("pypi", "hub", "dir", "file")
    assert source.target


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.integers() | st.text(max_size=5) | st.booleans(), max_size=5)
)
def test_any_table_is_an_entry_or_a_problem(table: dict[str, object]) -> None:
    from mmchat.config.models_file import _Loader

    loader = _Loader()
    loader.add(Path("/u/models.toml"), {"models": {"x": dict(table)}})
    models = loader.finish()
    assert ("x" in models.entries) != ("x" in models.broken)


# --- options ------------------------------------------------------------------------------------

SCRIPTED = '[models.actor]\nkind = "lm"\nengine = "scripted"\n'


def test_options_may_be_lists_and_reach_the_engine(tmp_path: Path) -> None:
    """`replies` is one of the scripted engine's documented options."""
    entry = load(tmp_path, SCRIPTED + 'options = { replies = ["One.", "Two."], delay_s = 0.0, accepts_images = true }')[
        "actor"
    ]
    model = load_engine("lm", EngineSpec("actor", "scripted", options=entry.options))
    said = []
    for _ in range(3):
        events = model.stream([Message("user", "go on")], GenerateOptions(), Event())
        said.append("".join(event.text for event in events if isinstance(event, TextDelta)))
    assert said == ["One.", "Two.", "Two."]
    assert model.accepts_images is True


@pytest.mark.parametrize("value", ["{ deep = 1 }", "[[1], [2]]", "[1, { deep = 1 }]", "2026-01-01"])
def test_an_option_of_another_shape_is_named(tmp_path: Path, value: str) -> None:
    models = load(tmp_path, f"{SCRIPTED}options = {{ replies = {value} }}")
    assert len(models.broken["actor"]) == 1
    assert "models.actor.options: 'replies' must be a text, a number" in models.broken["actor"][0]
