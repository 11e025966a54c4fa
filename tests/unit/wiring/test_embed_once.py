"""Within one turn no text is embedded twice, and the facts are read once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from mmchat.chat.session import ChatSession, SessionSettings, UserInput
from mmchat.config.models_file import load_models_file
from mmchat.engines.embed_once import FEW_TEXTS, KEPT_TEXTS, EmbedsOnce
from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.memory.database import Row
from mmchat.memory.recall import Recall
from mmchat.memory.store import MemoryStore
from mmchat.paths import user_models_path
from mmchat.weights.store import WeightsStore
from mmchat.wiring.hub import EngineHub, HubOptions

MODELS = """
[models.parrot]
kind = "lm"
engine = "scripted"
options = { replies = ["The copper kettle is on the upper shelf. Take care, it is heavy."] }

[models.vectors]
kind = "embed"
engine = "scripted"
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[EngineHub]:
    user_models_path().parent.mkdir(parents=True, exist_ok=True)
    user_models_path().write_text(MODELS, encoding="utf-8")
    names = {"lm": "parrot", "embed": "vectors"}
    with closing(EngineHub(load_models_file(), WeightsStore(tmp_path), names, HubOptions())) as hub:  # type: ignore[arg-type]
        yield hub


def test_a_turn_embeds_each_text_once_and_reads_the_facts_once(
    hub: EngineHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []
    embed = ScriptedEmbedder.embed

    def counted(self: ScriptedEmbedder, texts: list[str]) -> object:
        embedded.extend(texts)
        return embed(self, texts)

    monkeypatch.setattr(ScriptedEmbedder, "embed", counted)
    with closing(MemoryStore(tmp_path / "m.db", tmp_path / "blobs")) as store:
        recall, settings = Recall(store, hub.embedder), SessionSettings()
        first = ChatSession(store, recall, hub, settings, None)
        list(first.reply(UserInput("I live in Porto. Where is the copper kettle of my aunt?"), Event()))
        assert len(embedded) == len(set(embedded))

        embedded.clear()
        statements: list[str] = []
        rows = store.file.rows

        def noted(sql: str, parameters: tuple[object, ...] = ()) -> list[Row]:
            statements.append(sql)
            return rows(sql, parameters)

        monkeypatch.setattr(store.file, "rows", noted)
        question = "Where do I live, and where did you say the copper kettle is?"
        list(ChatSession(store, recall, hub, settings, None).reply(UserInput(question), Event()))
        assert embedded.count(question) == 1
        assert len(embedded) == len(set(embedded))
        assert sum("FROM facts f LEFT JOIN turns t" in sql and "f.vector_model" not in sql for sql in statements) == 1


def test_the_vectors_are_those_of_the_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = ScriptedEmbedder()
    once = EmbedsOnce(inner)
    texts = ["a dog", "a cat", "a dog", ""]
    np.testing.assert_array_equal(once.embed(texts), ScriptedEmbedder().embed(texts))
    np.testing.assert_array_equal(once.embed(["a cat", "a bird"]), ScriptedEmbedder().embed(["a cat", "a bird"]))
    assert inner.calls == [("a dog", "a cat", ""), ("a bird",)]
    assert once.embed([]).shape == (0, once.embedding_dim)


def test_little_is_kept() -> None:
    inner = ScriptedEmbedder()
    once = EmbedsOnce(inner)
    once.embed(["first"])
    many = [f"old turn {number}" for number in range(FEW_TEXTS + 1)]
    once.embed(many)
    once.embed(many[:1])
    assert len(inner.calls) == 3  # a large call is not remembered
    for number in range(KEPT_TEXTS):
        once.embed([f"new {number}"])
    once.embed(["first"])
    assert inner.calls[-1] == ("first",)
    once.close()
    assert inner.is_closed
