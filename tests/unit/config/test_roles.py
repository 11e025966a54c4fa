"""Roles: their files, the shelf, character cards."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmchat import paths
from mmchat.config.character_card import read_card
from mmchat.config.role_file import MAX_FILE_BYTES, RoleTable, read_role, role_toml
from mmchat.config.role_shelf import all_roles, find_persona, find_role, new_role_path, write_role
from mmchat.errors import ConfigError, DataError, UsageError

SPANISH = """
description = "Helps to practise Spanish"
languages = ["en", "zh"]
title = "Luz"
system = "You are {{char}}, who teaches {{user}} Spanish."
greeting = "Hola, {{user}}!"
examples = [{ user = "dog?", reply = "Un perro." }]
memory = "own"
[decoding]
temperature = 0.3
[text.zh]
title = "露丝"
system = "你是{{char}}，教{{user}}西班牙语。"
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def put(text: str, name: str = "luz.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


def test_a_role_says_who_it_is_in_each_language(write: Any) -> None:
    role = read_role(write(SPANISH))
    assert (role.name, role.languages, role.memory, role.options) == ("luz", ("en", "zh"), "own", {"temperature": 0.3})
    english, chinese = role.text("en"), role.text("zh")
    assert english.system == "You are Luz, who teaches the user Spanish."
    assert english.greeting == "Hola!"
    assert [(each.user, each.reply) for each in english.examples] == [("dog?", "Un perro.")]
    assert (chinese.title, chinese.system) == ("露丝", "你是露丝，教用户西班牙语。")
    assert role.text("fr") == english


def test_a_folder_is_a_role_too(write: Any) -> None:
    path = write(SPANISH, "teacher/role.toml")
    assert read_role(path.parent).name == "teacher"


def test_everything_wrong_with_a_role_is_said_at_once(write: Any) -> None:
    path = write('languages = ["English"]\nsytem = "x"\nmemory = "mine"\n[decoding]\ntemperature = 9\n')
    with pytest.raises(ConfigError) as caught:
        read_role(path)
    message = caught.value.message
    assert "system: is missing." in message
    assert "sytem: no such key. Did you mean 'system'?" in message
    assert "memory: 'mine' is none of 'shared' or 'own'" in message
    assert "decoding.temperature" in message
    assert "languages.0" in message
    assert all(line.startswith(str(path)) for line in message.splitlines())


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("on_intent.a = { handover = true }", ["on_intent.a.handover: no such key. Did you mean 'hand_over'?"]),
        ("on_intent.a = 5", ["on_intent.a: should be text or a table, not 5."]),
        ('on_intent.a = { hand_over = "yes" }', ["on_intent.a.hand_over: should be true or false, not 'yes'."]),
        ('is_bound_to_documents = "yes"', ["is_bound_to_documents: should be true or false, not 'yes'."]),
        ('text.zh = { sistem = "y", system = "x" }', ["text.zh.sistem: no such key. Did you mean 'system'?"]),
        (
            'sytem = "x"\non_intent.b = "Ask."',
            [
                "sytem: no such key. Did you mean 'system'?",
                "on_intent.b: there are no messages of that kind; give some under [intents].",
            ],
        ),
        ('intent.b = ["x"]\non_intent.b = "Ask."', ["intent: no such key. Did you mean 'intents'?"]),
    ],
)
def test_a_mistake_is_one_line_in_the_files_own_words(write: Any, text: str, complaints: list[str]) -> None:
    intents = "" if "intent.b =" in text.splitlines()[0] else 'intents.a = ["Hello"]'
    path = write(f'system = "x"\n{intents}\n{text}')
    with pytest.raises(ConfigError) as caught:
        read_role(path)
    assert caught.value.message.splitlines() == [f"{path}: {each}" for each in complaints]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('system = "x"\nlanguages = ["en", "zh"]', "'zh' has no [text.zh] table"),
        ('system = "x"\n[text.en]\nsystem = "y"', "'en' is the language of the texts at the top"),
        ("system = ", "not valid TOML"),
    ],
)
def test_a_role_that_contradicts_itself(write: Any, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint.replace("[", r"\[").replace("]", r"\]")):
        read_role(write(text))


def test_what_is_no_role_at_all(write: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no role at"):
        read_role(tmp_path / "nobody.toml")
    with pytest.raises(ConfigError, match="too much for a role"):
        read_role(write("#" * (MAX_FILE_BYTES + 1)))
    with pytest.raises(ConfigError, match="its name may hold"):
        read_role(write(SPANISH, "a b.toml"))


def test_the_shipped_roles_speak_english_and_chinese(home: Path) -> None:
    roles, broken = all_roles()
    assert not broken
    assert {role.name for role in roles} == {"assistant", "interviewer", "narrator", "support", "tutor"}
    for role in roles:
        assert role.is_shipped
        assert role.languages == ("en", "zh")
        assert role.description
        assert role.text("zh").title != role.text("en").title
        assert len(role.text("en").examples) == len(role.text("zh").examples)


def test_ones_own_role_goes_before_a_shipped_one(home: Path) -> None:
    write_role(new_role_path("tutor"), SPANISH)
    role = find_role("tutor")
    assert not role.is_shipped
    assert role.text().title == "Luz"
    with pytest.raises(UsageError, match="There is a role 'tutor' already"):
        new_role_path("tutor")
    (paths.roles_dir() / "broken.toml").write_text("x")
    assert [each.name for each in all_roles()[1]] == ["broken"]


def test_a_role_is_found_by_name_or_path(home: Path, write: Any) -> None:
    assert find_role(str(write(SPANISH))).name == "luz"
    with pytest.raises(UsageError, match="There is no role 'tutr'. Did you mean 'tutor'?"):
        find_role("tutr")
    with pytest.raises(UsageError, match="cannot name a role"):
        new_role_path("../x")


def test_a_role_speaks_the_language_that_is_asked_for_or_the_terminals(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert find_persona("tutor").language == "zh"
    assert find_persona("tutor").key == "tutor:zh"
    assert find_persona("tutor:en").key == "tutor"
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    assert find_persona("tutor").language == "en"
    monkeypatch.setenv("LC_ALL", "C")
    assert find_persona("tutor").language == "en"
    with pytest.raises(UsageError, match="does not speak 'fr'"):
        find_persona("tutor:fr")


# --- character cards ----------------------------------------------------------------------------

CAPTAIN: dict[str, Any] = {
    "name": "Isolde Marsh",
    "description": "{{Char}} sails the Merrow.",
    "personality": "blunt",
    "scenario": "<USER> came aboard.",
    "first_mes": "Who are you, {{user}}?\x1b[31m",
    "mes_example": "<START>\n{{user}}: Where to?\n{{char}}: North,\nalways.\n<START>\n{{char}}: Alone.",
}


def v2(**changes: Any) -> dict[str, Any]:
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": CAPTAIN | changes}


def png(**texts: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    held = b"".join(chunk(b"tEXt", key.encode() + b"\0" + text) for key, text in texts.items())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0" * 13) + chunk(b"IDAT", b"") + held + chunk(b"IEND", b"")


def packed(value: Any) -> bytes:
    return base64.b64encode(json.dumps(value).encode())


def card_file(folder: Path, data: bytes | dict[str, Any]) -> Path:
    path = folder / "card"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


@pytest.mark.parametrize(
    "data",
    [CAPTAIN, v2(), png(chara=packed(v2())), png(chara=packed(CAPTAIN))],
    ids=["V1", "V2", "V2 in a PNG", "V1 in a PNG"],
)
def test_a_card_becomes_a_role(tmp_path: Path, data: bytes | dict[str, Any]) -> None:
    card = read_card(card_file(tmp_path, data))
    path = tmp_path / "isolde.toml"
    path.write_text(role_toml(card.table, head="from a card"), encoding="utf-8")
    role = read_role(path)
    text = role.text()
    assert text.title == card.name == "Isolde Marsh"
    assert text.system.splitlines()[0] == "You are Isolde Marsh. Stay in character."
    assert "Isolde Marsh sails the Merrow." in text.system
    assert "Personality: blunt" in text.system
    assert "Scenario: the user came aboard." in text.system
    assert text.greeting == "Who are you?"
    assert [(each.user, each.reply) for each in text.examples] == [("Where to?", "North,\nalways.")]
    assert role.memory == "own"


def test_the_newer_of_two_cards_in_a_picture_counts(tmp_path: Path) -> None:
    third = {"spec": "chara_card_v3", "spec_version": "3.0", "data": CAPTAIN | {"name": "Third"}}
    assert read_card(card_file(tmp_path, png(chara=packed(v2()), ccv3=packed(third)))).name == "Third"


def test_what_a_role_has_no_place_for_is_told(tmp_path: Path) -> None:
    book = {"entries": [{"content": "The sea is dark.", "constant": True}, {"content": "x", "keys": ["whale"]}, 7]}
    card = read_card(
        card_file(
            tmp_path,
            v2(
                system_prompt="{{original}} Be brief.",
                alternate_greetings=["a", "b"],
                post_history_instructions="!",
                character_book=book,
            ),
        )
    )
    assert card.table["system"].startswith("You are {{char}}. Stay in character. Be brief.")
    assert "The sea is dark." in card.table["system"]
    told = " ".join(card.left_out)
    assert "2 further greetings" in told
    assert "1 entries of its book" in told
    assert "after the conversation" in told


def test_a_chinese_card_speaks_chinese(tmp_path: Path) -> None:
    card = read_card(card_file(tmp_path, v2(name="船长", description="你是一位在海上航行了三十年的老船长。" * 4)))
    assert card.table["languages"] == ["zh"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "neither a PNG nor UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"name": 3}', "names no character"),
        (b"[]", "names no character"),
        (png(), "without a character"),
        (png(chara=b"***"), "is damaged"),
        (png(chara=b"aGk="), "is not JSON"),
        (png(chara=packed(v2()))[:90], "is cut off"),
    ],
    ids=["empty", "binary", "deep", "number", "list", "plain PNG", "no base64", "no JSON in it", "cut"],
)
def test_what_is_no_card_is_refused_in_words(tmp_path: Path, data: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_card(card_file(tmp_path, data))
    with pytest.raises(DataError, match="cannot be read"):
        read_card(tmp_path / "gone.png")


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from([*CAPTAIN, "system_prompt", "character_book", "creator", "creator_notes"]),
        st.recursive(
            st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        ),
    ),
    st.text(min_size=1).filter(lambda name: name.strip()),
)
def test_any_card_is_a_role_or_refused(tmp_path_factory: pytest.TempPathFactory, fields: Any, name: str) -> None:
    folder = tmp_path_factory.mktemp("card")
    try:
        card = read_card(card_file(folder, {**fields, "name": name}))
    except DataError:
        return
    written = role_toml(card.table)
    RoleTable.model_validate(card.table)
    (folder / "role.toml").write_text(written, encoding="utf-8")
    assert "\x1b" not in read_role(folder / "role.toml").text().system
