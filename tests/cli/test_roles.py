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


SHOP = """
languages = ["en", "zh"]
system = "You sell lamps."
knowledge = ["docs/"]
mask = ["card", "mail"]
forbidden = "Only lamps."
[text.zh]
system = "你卖灯。"
[intents]
refund = ["I want my money back", "退款", "Refund me", "money", "Give it back"]
[on_intent]
refund = { instructions = "Ask for the number.", reply = "I am sorry.", hand_over = true }
[forbid]
medical = ["Which pills?"]
"""


def shop(run: Run, text: str) -> Path:
    made = Path(json.loads(run("roles", "new", "shop", "--json").out)["path"])
    made.write_text(text, encoding="utf-8")
    return made


def test_all_that_a_role_sets_is_shown(run: Run, home: Path) -> None:
    shop(run, SHOP)
    shown = json.loads(run("roles", "show", "shop", "--json").out)
    assert shown["mask"] == ["card", "mail"]
    assert shown["knowledge"][0].endswith("docs")
    assert shown["forbid"] == {"medical": ["Which pills?"]}
    assert shown["texts"]["en"]["on_intent"]["refund"]["hand_over"] is True
    assert shown["texts"]["en"]["forbidden"] == "Only lamps."
    out = run("roles", "show", "shop").out
    assert "Masks: card, mail" in out
    assert "medical (1): Which pills?" in out
    assert "On refund: says first: I am sorry. · is told: Ask for the number. · suggests a person" in out


def test_documents_that_are_missing_or_empty_are_named(run: Run, home: Path) -> None:
    path = shop(run, SHOP)
    done = run("roles", "check", "shop")
    assert done.code == 2
    assert "knowledge: there is nothing at" in done.out
    (path.parent / "docs").mkdir()
    (path.parent / "docs" / "data.bin").write_bytes(b"x")
    done = run("roles", "check", "shop")
    assert done.code == 0
    assert "advice: knowledge: there is no document in" in done.out
    (path.parent / "docs" / "returns.md").write_text("# Returns")
    (verdict,) = json.loads(run("roles", "check", "shop", "--json").out)
    assert verdict["is_good"]
    assert verdict["advice"] == [
        "forbid.medical: 1 messages are few; with 10 or more it is told more surely.",
        "forbid.medical: no message of it is Chinese, which the role speaks.",
        "[zh] does nothing for refund, which another language does something for.",
    ]


def test_messages_and_models_that_cannot_work_are_named(run: Run, home: Path) -> None:
    shop(
        run, SHOP.replace('knowledge = ["docs/"]', "is_bound_to_documents = true") + 'legal = ["i want  my money back"]'
    )
    out = run("roles", "check", "shop").out
    assert "is_bound_to_documents: it has no documents" in out
    assert "intents.refund and forbid.legal: 'i want my money back' stands in both." in out
    found = next(home.rglob("shop.toml"))
    found.write_text('system = "x"\nintent_model = "smollm2-135m"\n')
    done = run("roles", "check", "shop")
    assert done.code == 2
    assert "intent_model: 'smollm2-135m' is not a head that tells labels (its kind is lm)" in done.out
    found.write_text('system = "x"\nintent_model = "nothing"\n')
    assert "intent_model: " in run("roles", "check", "shop").out


def test_the_shipped_roles_are_good(run: Run, home: Path) -> None:
    verdicts = json.loads(run("roles", "check", "--json").out)
    assert [each for each in verdicts if each["problems"] or each["advice"]] == []


def test_a_copied_shop_brings_its_documents(run: Run, home: Path) -> None:
    path = Path(json.loads(run("roles", "new", "mine", "--from", "support", "--json").out)["path"])
    assert list((path.parent / "docs").rglob("*.md"))
    shown = json.loads(run("roles", "show", "mine", "--json").out)
    assert shown["knowledge"] == [str(path.parent / "docs")]


def test_a_bound_role_that_also_tells_of_the_users_own_documents_is_advised(run: Run, home: Path) -> None:
    made = Path(json.loads(run("roles", "new", "guide", "--json").out)["path"])
    (made.parent / "notes.md").write_text("# Notes\n\nTea is green.")
    bound = 'system = "x"\nknowledge = ["notes.md"]\nis_bound_to_documents = true\n'
    made.write_text(bound)
    assert 'advice: memory: with "shared" it also tells of your own documents' in run("roles", "check", "guide").out
    made.write_text(bound + 'memory = "own"\n')
    assert run("roles", "check", "guide").out.strip() == "guide: good"
