"""`mmchat roles`, and `--persona`."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run


def test_roles_are_listed_and_shown(run: Run, home: Path) -> None:
    done = run("roles", "list", "--json")
    assert done.code == 0
    assert [each["name"] for each in json.loads(done.out)] == [
        "assistant",
        "interviewer",
        "narrator",
        "support",
        "tutor",
    ]
    shown = json.loads(run("roles", "show", "tutor", "--json").out)
    assert set(shown["texts"]) == {"en", "zh"}
    assert "Robin" in run("roles", "show", "tutor").out
    assert run("roles", "show", "nobody").code == 2


def test_a_role_is_written_checked_and_played(run: Run, scripted_home: Path) -> None:
    made = json.loads(run("roles", "new", "guide", "--from", "tutor", "--json").out)
    path = Path(made["path"])
    path.write_text(path.read_text(encoding="utf-8").replace("Robin", "Sam"), encoding="utf-8")
    assert run("roles", "new", "guide").code == 2  # nothing is overwritten
    assert "Sam" in path.read_text(encoding="utf-8")
    assert run("roles", "check").code == 0
    reply = json.loads(run("ask", "--persona", "guide", "hello", "--json").out)
    listed = json.loads(run("sessions", "list", "--json").out)
    assert (listed[0]["id"], listed[0]["role"]) == (reply["session"], "guide")
    assert "Sam" in listed[0]["persona"]


def test_a_folder_is_copied_whole(run: Run, home: Path) -> None:
    path = Path(json.loads(run("roles", "new", "shop", "--from", "support", "--json").out)["path"])
    assert path.name == "role.toml"
    assert path.parent.name == "shop"
    assert run("roles", "check", "shop").out.strip() == "shop: good"


def test_what_is_wrong_with_a_role_is_said(run: Run, home: Path) -> None:
    made = Path(json.loads(run("roles", "new", "guide", "--json").out)["path"])
    made.write_text('system = "x"\nmodel = "no-such-model"\n')
    done = run("roles", "check", "guide", "tutor")
    assert done.code == 2
    assert "tutor: good" in done.out
    assert "no-such-model" in done.out
    made.write_text("nonsense = 1\n")
    assert "cannot be used" in run("roles", "list").err
    verdicts = json.loads(run("roles", "check", "--json").out)
    assert [each["name"] for each in verdicts if not each["is_good"]] == ["guide"]


def test_a_card_is_imported(run: Run, scripted_home: Path, tmp_path: Path) -> None:
    card = tmp_path / "isolde.json"
    card.write_text(json.dumps({"name": "Captain Isolde", "description": "sails", "alternate_greetings": ["Hi"]}))
    done = run("roles", "import", str(card))
    assert done.code == 0
    assert Path(done.out.strip()).name == "captain-isolde.toml"
    assert "Left out: 1 further greetings." in done.err
    assert run("roles", "import", str(card)).code == 2
    assert json.loads(run("roles", "import", str(card), "--name", "other", "--json").out)["name"] == "other"
    assert run("ask", "--persona", "captain-isolde", "hello").code == 0
    card.write_text("{}")
    assert run("roles", "import", str(card)).code == 4


def test_a_conversation_keeps_its_role(run: Run, scripted_home: Path) -> None:
    assert run("ask", "-c", "--persona", "tutor", "hello").code == 2
    assert run("ask", "--system", "x", "--persona", "tutor", "hello").code == 2
    assert run("talk", "-c", "--persona", "tutor").code == 2
    assert run("talk", "--persona", "nobody", stdin="hello\n").code == 2


def test_a_roles_model_is_used_unless_one_is_typed(run: Run, scripted_home: Path) -> None:
    made = Path(json.loads(run("roles", "new", "idler", "--json").out)["path"])
    made.write_text('system = "You take your time."\nmodel = "slow"\n', encoding="utf-8")

    def model(*args: str) -> str:
        return str(json.loads(run("ask", *args, "hello", "--json").out)["model"])

    assert model("--persona", "idler") == "slow"
    assert model("-c") == "slow"
    assert model("-c", "-m", "echo") == "echo"
    assert model("--persona", "idler", "-m", "echo") == "echo"


def test_the_setting_names_a_role_and_off_does_without(run: Run, scripted_home: Path) -> None:
    (scripted_home / "config" / "settings.toml").write_text('persona = "tutor:zh"\n')
    run("ask", "hello")
    run("ask", "--persona", "off", "hello")
    roles = [each["role"] for each in json.loads(run("sessions", "list", "--json").out)]
    assert roles == ["", "tutor:zh"]


def test_roles_in_the_plain_mode(run: Run, scripted_home: Path) -> None:
    done = run("talk", stdin="/persona\n/persona tutor\nhello\n/persona off\n")
    assert done.code == 0
    assert "narrator" in done.out
    assert "A new conversation with Language tutor." in done.err
    assert "with nobody else" in done.err
