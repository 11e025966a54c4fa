"""settings.toml and the environment over it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.config.settings import Settings, _toml_value, _with_setting, load_settings, save_setting
from mmchat.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.toml", {}) == Settings()


def test_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = write(tmp_path, 'temperature = 0.2\nmax_tokens = 99\n[keymap]\nrecord = "ctrl+r"\n')
    settings = load_settings(path, {"MMCHAT_TEMPERATURE": "0.9", "MMCHAT_RECALL": "false", "MMCHAT_TOP_P": ""})
    assert settings.temperature == 0.9
    assert settings.max_tokens == 99
    assert settings.top_p == Settings().top_p
    assert settings.recall is False
    assert settings.keymap == {"record": "ctrl+r"}


def test_flag_beats_environment_beats_file_beats_models_toml(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole chain, as wiring lays it: the name of the language model."""
    from mmchat.wiring import WiringOptions, open_hub

    def chosen(options: WiringOptions) -> str:
        hub = open_hub(options, kinds=("lm",))
        (state,) = hub.states()
        return state.model

    assert chosen(WiringOptions()) == "smollm2-135m"
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text('[defaults]\nlm = "smollm2-360m"\n')
    assert chosen(WiringOptions()) == "smollm2-360m"
    (home / "config" / "settings.toml").write_text('model = "qwen3-0.6b"\n')
    assert chosen(WiringOptions()) == "qwen3-0.6b"
    monkeypatch.setenv("MMCHAT_MODEL", "qwen3-1.7b")
    assert chosen(WiringOptions()) == "qwen3-1.7b"
    assert chosen(WiringOptions(model="qwen3-4b")) == "qwen3-4b"


def test_every_wrong_key_and_value_is_said_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, 'temperatur = 1\nmax_tokens = "many"\n[keymap]\nrecord = 1\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {"MMCHAT_DEVICE": "gpu", "MMCHAT_MAX_TOKENS": "7"})
    message = caught.value.message
    assert f"{path}: temperatur: no such key. Did you mean 'temperature'?" in message
    assert f"{path}: max_tokens: " in message
    assert f"{path}: keymap.record: " in message
    assert "environment: MMCHAT_DEVICE: 'gpu' is none of" in message


def test_a_saved_setting_leaves_the_rest_alone(tmp_path: Path) -> None:
    path = write(tmp_path, '# mine\ntemperature = 0.2\n\n[keymap]\ntheme = "f5"\n')
    save_setting("theme", "mmchat-light", path)
    save_setting("temperature", 0.5, path)
    assert path.read_text() == '# mine\ntemperature = 0.5\n\ntheme = "mmchat-light"\n[keymap]\ntheme = "f5"\n'
    settings = load_settings(path, {})
    assert (settings.theme, settings.temperature, settings.keymap) == ("mmchat-light", 0.5, {"theme": "f5"})
    with pytest.raises(ConfigError, match="no such key"):
        save_setting("themes", "x", path)


def test_a_setting_is_saved_where_there_is_no_file_yet(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.toml"
    save_setting("system", 'Say "hi"\n你好', path)
    assert load_settings(path, {}).system == 'Say "hi"\n你好'


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_survives_being_saved(text: str) -> None:
    data = tomllib.loads(_with_setting("recall = true\n", f"system = {_toml_value(text)}", "system"))
    assert data == {"recall": True, "system": text}


def test_what_is_masked_is_a_list_with_commas_in_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('mask = ["mail"]')
    assert load_settings(path, {}).mask == ("mail",)
    assert load_settings(path, {"MMCHAT_MASK": "card, phone"}).mask == ("card", "phone")
    with pytest.raises(ConfigError, match="MMCHAT_MASK"):
        load_settings(path, {"MMCHAT_MASK": "card,iris"})


@pytest.mark.parametrize("is_on", [True, False])
def test_drafts_are_read_unless_the_settings_say_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, is_on: bool
) -> None:
    from mmchat.wiring import open_desk

    monkeypatch.setenv("MMCHAT_READ_AHEAD", str(is_on).lower())
    desk = open_desk()
    assert desk.new_session().ahead.is_on == is_on
    desk.close()
