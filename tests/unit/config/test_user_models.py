"""Single entries in the user's models.toml: written, replaced, taken out; everything else stays as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat import paths
from mmchat.config.models_file import load_models_file
from mmchat.config.user_models import check_name, own_names, register, unregister
from mmchat.errors import ConfigError, UsageError

FIELDS = {"kind": "lm", "base": "smollm2-135m", "adapter": "/data/bot", "description": 'said "hi"', "license": "MIT"}
MINE = """\
# mine, and dear to me
schema_version = 1

[defaults]   # my own
lm = "zeta"

[models.zeta]  # the last one
kind = "lm"
engine = "scripted"   # no weights
"""
FORMS = {
    "tables": MINE,
    "dotted": 'models.zeta.kind = "lm"\nmodels.zeta.engine = "scripted"\n# end\n',
    "inline": 'models = { zeta = { kind = "lm", engine = "scripted" } }\n',
    "defaults-last": '[models.zeta]\nkind = "lm"\nengine = "scripted"\n\n[defaults]\nlm = "zeta"\n',
    "windows": '[models]\r\nzeta = { kind = "lm", engine = "scripted" }\r\n# end',
    "empty": "",
}


@pytest.fixture
def user(home: Path) -> Path:
    path = paths.user_models_path()
    path.parent.mkdir(parents=True)
    return path


def test_a_first_entry_makes_the_file(home: Path) -> None:
    path = register("bot", FIELDS)
    entry = load_models_file()["bot"]
    assert (entry.base, entry.adapter, entry.engine, entry.description) == (
        "smollm2-135m",
        "/data/bot",
        "llamacpp",
        'said "hi"',
    )
    assert path == paths.user_models_path()
    assert own_names() == {"bot"}
    assert not list(path.parent.glob(".models.toml.[0-9]*"))


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_there_stays(form: str, user: Path) -> None:
    user.write_bytes(FORMS[form].encode())
    register("bot", FIELDS)
    once = user.read_text()
    register("bot", FIELDS)
    assert user.read_text() == once
    if form != "inline":
        assert once.startswith(FORMS[form].replace("\r\n", "\n"))
    assert tomllib.loads(once)["models"]["bot"] == FIELDS
    register("bot", {**FIELDS, "license": "Apache-2.0"})
    assert load_models_file()["bot"].license == "Apache-2.0"
    assert unregister("bot")
    assert tomllib.loads(user.read_text()) == tomllib.loads(FORMS[form])
    assert user.read_text().rstrip() == FORMS[form].replace("\r\n", "\n").rstrip()
    assert not unregister("bot")


def test_sources_and_names_with_dots(user: Path) -> None:
    user.write_text(MINE)
    source = {"source": "dir:/data/a b/weights"}
    register("bot.v2", {**FIELDS, "adapter": None, "format": "safetensors", "sources": [source]})
    entry = load_models_file()["bot.v2"]
    assert (entry.sources[0].source, entry.format, entry.adapter) == ("dir:/data/a b/weights", "safetensors", None)


@pytest.mark.parametrize("broken", ["[models.bot\n", 'a = "\n', "\xff"])
def test_a_file_that_is_no_toml_is_left_alone(broken: str, user: Path) -> None:
    user.write_bytes(broken.encode("latin-1"))
    with pytest.raises(ConfigError, match="models.toml"):
        register("bot", FIELDS)
    assert user.read_bytes() == broken.encode("latin-1")


def test_an_entry_that_could_not_be_used_is_not_written(user: Path) -> None:
    user.write_text(MINE)
    with pytest.raises(ConfigError, match=r"models\.toml: models\.bot\.base: 'smollm3' is no other model"):
        register("bot", {**FIELDS, "base": "smollm3"})
    assert user.read_text() == MINE


def test_names_that_are_taken_or_none(home: Path) -> None:
    for name in ("smollm2-135m", "smollm2", "a/b", "..", "", "-x"):
        with pytest.raises(UsageError):
            check_name(name)
    check_name("bot-2.b")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    description=TEXTS, comment=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=20)
)
def test_any_text_comes_back(user: Path, description: str, comment: str) -> None:
    user.write_bytes(f"# {comment}\n{MINE}".encode())
    register("bot", {**FIELDS, "description": description})
    assert tomllib.loads(user.read_bytes().decode())["models"]["bot"]["description"] == description
    assert user.read_bytes().startswith(f"# {comment}\n".encode())
