"""Which adapters are put on a base that is in memory, and when weights are loaded anew instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec
from mmchat.paths import roles_dir, user_models_path
from mmchat.weights.store import WeightsStore
from mmchat.wiring.slots import Slot
from mmchat.wiring.wardrobe import Wardrobe, can_change, redressed_or_loaded

SPEC = EngineSpec("base", "transformers", Path("base"))


def adapter(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none"} | changes
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "can"),
    [
        ({"name": "other"}, True),
        ({"name": "other", "path": Path("another")}, False),
        ({"name": "other", "context_tokens": 512}, False),
        ({"name": "other", "dtype": "float32"}, False),
        ({"name": "other", "options": {"thinking": True}}, False),
    ],
)
def test_only_adapters_may_differ(changes: Mapping[str, Any], can: bool) -> None:
    assert can_change(SPEC, replace(SPEC, **changes)) is can


@pytest.mark.parametrize(
    ("kind", "can"), [("LORA", True), ("PREFIX_TUNING", True), ("PROMPT_TUNING", True), ("IA3", False)]
)
def test_only_adapters_that_leave_the_base_as_it_was_are_taken_off(kind: str, can: bool, tmp_path: Path) -> None:
    dressed = replace(SPEC, name="dressed", adapter_path=adapter(tmp_path / "adapter", peft_type=kind))
    assert can_change(SPEC, dressed) is can
    assert can_change(dressed, SPEC) is can


def test_a_model_with_a_projector_keeps_what_it_has() -> None:
    eyes = replace(SPEC, options={"projector": "eyes"})
    assert not can_change(eyes, replace(eyes, name="other"))


def test_llamacpp_is_given_the_lora_that_roles_name_and_no_other(home: Path, tmp_path: Path) -> None:
    kinds: dict[str, dict[str, object]] = {"pirate": {}, "dora": {"use_dora": True}, "unnamed": {}}
    lines = ["schema_version = 1"]
    for name, changes in kinds.items():
        folder = adapter(tmp_path / name, **changes)
        lines.append(f'[models.{name}]\nkind = "lm"\nbase = "smollm2-135m"\nadapter = "{folder}"')
    user_models_path().parent.mkdir(parents=True, exist_ok=True)
    user_models_path().write_text("\n".join(lines), encoding="utf-8")
    roles_dir().mkdir(parents=True)
    for role in ("pirate", "dora", "nobody"):
        (roles_dir() / f"{role}.toml").write_text(f'system = "You are {role}."\nmodel = "{role}"\n', encoding="utf-8")
    models = load_models_file()
    wardrobe = Wardrobe(models, WeightsStore(tmp_path / "weights"))
    base = models["smollm2-135m"]
    assert wardrobe.base_of(base, "llamacpp") is base
    assert wardrobe.base_of(models["pirate"], "llamacpp") is base
    for name, engine in (("dora", "llamacpp"), ("unnamed", "llamacpp"), ("pirate", "transformers")):
        assert wardrobe.base_of(models[name], engine) is None
    (roles_dir() / "pirate.toml").unlink()
    assert wardrobe.base_of(base, "llamacpp") is None  # loaded as ever where no role needs it otherwise


class Redressable:
    """A model that is told what to put on."""

    engine, device, context_tokens, accepts_images, reply_tokens = "transformers", "cpu", 64, False, 0

    def __init__(self, name: str) -> None:
        self.name, self.is_closed = name, False

    def redressed(self, spec: EngineSpec) -> Redressable:
        self.is_closed = True
        return Redressable(spec.name)

    def count_tokens(self, messages: object) -> int:
        return 0

    def stream(self, *arguments: object) -> None: ...

    def close(self) -> None:
        self.is_closed = True


def slot(name: str, model: object, spec: EngineSpec, before: Slot | None = None) -> Slot:
    made = Slot("lm", name, lambda slot: model, before)
    made.spec = spec
    made.get()
    return made


def test_a_slot_takes_over_the_weights_of_the_one_before() -> None:
    old = Redressable("base")
    before = slot("base", old, SPEC)
    after = Slot("lm", "other", lambda slot: redressed_or_loaded(slot, replace(SPEC, name="other")), before)
    assert after.get().name == "other"
    assert old.is_closed


def test_a_slot_before_that_was_never_loaded_gives_nothing() -> None:
    before = Slot("lm", "base", lambda slot: pytest.fail("it is not loaded for this"))
    spec = EngineSpec("scripted", "scripted", None)
    after = Slot("lm", "other", lambda slot: redressed_or_loaded(slot, spec), before)
    assert after.get().engine == "scripted"


def test_other_weights_are_loaded_after_the_ones_before_are_freed() -> None:
    old = Redressable("base")
    after = Slot(
        "lm",
        "other",
        lambda slot: redressed_or_loaded(slot, EngineSpec("x", "scripted", None)),
        slot("base", old, SPEC),
    )
    assert after.get().engine == "scripted"
    assert old.is_closed
