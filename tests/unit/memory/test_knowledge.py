"""Passages are found by words and by meaning, on their shelves, and it is said whether they answer."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.domain import Recalled
from mmchat.knowledge_values import ReadDocument, ReadPiece
from mmchat.memory.documents import remove_documents, save_document
from mmchat.memory.knowledge import UNKNOWN_NAME, Knowledge
from mmchat.memory.passage_vectors import heading_text, own_text, sentences
from mmchat.memory.passage_words import names_in
from mmchat.memory.store import MemoryStore

MEANINGS = {"warranty": "guarantee", "保修": "guarantee", "ship": "send", "寄出": "send", "lamps": "lamp"}
_WORDS = re.compile(rf"{'|'.join(word for word in MEANINGS if ord(word[0]) > 255)}|\w+")


class Meanings:
    """An embedder that knows a few synonyms, also across languages where it is multilingual."""

    embedding_dim = 4096  # so many that no two words share a direction by accident

    def __init__(self, name: str = "meanings", *, is_multilingual: bool = False) -> None:
        self.name = name
        self.is_multilingual = is_multilingual
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        rows = np.full((len(texts), self.embedding_dim), 1e-4, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in _WORDS.findall(text.lower()):
                row[zlib.crc32(MEANINGS.get(word, word).encode()) % self.embedding_dim] += 1
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    with closing(MemoryStore(tmp_path / "m.db", tmp_path / "blobs")) as opened:
        yield opened


def add(store: MemoryStore, name: str, *pieces: str, shelf: str = "", title: str = "Lamp shop") -> str:
    """Each piece is "heading | text"."""
    parts = (piece.partition(" | ") for piece in pieces)
    read = ReadDocument(title, "text/markdown", tuple(ReadPiece(text, heading) for heading, _, text in parts))
    return save_document(
        store,
        shelf=shelf,
        root=Path("/shop"),
        path=Path("/shop", name),
        sha256="a" * 64,
        size_bytes=1,
        modified_ns=1,
        read=read,
        reader="test",
    ).id


def shop(store: MemoryStore) -> None:
    add(
        store,
        "shop.md",
        "Shipping | Every order is sent within two working days.",
        "Guarantee | The guarantee of a lamp is three years.",
        "Guarantee › Repairs | Repairs are made in Delft by the people who built it.",
        "Care | Oak is oiled once a year.",
        "Payment | Pay by card or by bank transfer.",
        "Opening hours | The shop is open from Wednesday to Saturday.",
    )


def texts(found: Sequence[Recalled]) -> list[str]:
    return [each.text for each in found]


def knowing(store: MemoryStore, embedder: Meanings | None = None) -> tuple[Knowledge, Meanings]:
    embedder = embedder or Meanings()
    knowledge = Knowledge(store, lambda: embedder)
    knowledge.backfill()
    return knowledge, embedder


def test_words_of_text_and_heading_find(store: MemoryStore) -> None:
    shop(store)
    knowledge = Knowledge(store, lambda: pytest.fail("no embedder is needed"))

    def first(query: str) -> str:
        return knowledge.find(query, shelves=("",), use_vectors=False)[0].text

    assert first("When is the shop open?") == "The shop is open from Wednesday to Saturday."
    assert first("care") == "Oak is oiled once a year."
    assert first("REPAIRED?") == "Repairs are made in Delft by the people who built it."


def test_meaning_finds_what_no_word_does(store: MemoryStore) -> None:
    shop(store)
    knowledge, _ = knowing(store)
    (found,) = knowledge.find("warranty", shelves=("",), k=1)
    assert found.text == "The guarantee of a lamp is three years."
    assert found.is_sure
    assert found.passage is not None
    assert found.passage.heading == "Guarantee"
    assert knowledge.find("warranty", shelves=("",), use_vectors=False) == ()


def test_what_stands_nowhere_is_not_sure(store: MemoryStore) -> None:
    shop(store)
    knowledge, _ = knowing(store)
    for use_vectors in (True, False):
        found = knowledge.find("Do you play football with penguins?", shelves=("",), use_vectors=use_vectors)
        assert not any(each.is_sure for each in found)
        found = knowledge.find("How long is the guarantee of a lamp?", shelves=("",), use_vectors=use_vectors)
        assert found[0].is_sure


def test_a_name_that_stands_nowhere_takes_from_what_is_sure(store: MemoryStore) -> None:
    shop(store)
    knowledge, _ = knowing(store)

    def evidence(query: str) -> float:
        return knowledge.look_up(query, shelves=("",))[0].evidence

    less = evidence("How do I pay with bitcoin?") - evidence("How do I pay with Bitcoin?")
    assert less == pytest.approx(UNKNOWN_NAME)
    assert evidence("Can I pay with bitcoin?") == pytest.approx(evidence("Can I pay with Bitcoin?"))
    assert evidence("Is it made in delft?") == pytest.approx(evidence("Is it made in Delft?"))


def test_names_are_told_by_capitals_and_latin_letters() -> None:
    assert names_in("Can I pay with Bitcoin or PayPal?") == {"bitcoin", "paypal"}
    assert names_in("What Is The Price Of The Owl?") == set()
    assert names_in("Do you ship? Yes") == set()
    assert names_in("可以用 PayPal 付款吗？") == {"paypal"}
    assert names_in("what about it's lamps") == set()


def test_chinese_is_found_by_pairs_and_by_meaning_where_the_encoder_knows_it(store: MemoryStore) -> None:
    add(store, "zh.md", "配送 | 订单两个工作日内寄出。", "保养 | 橡木每年上油。", title="灯店")
    english, _ = knowing(store)
    assert texts(english.find("什么时候寄出？", shelves=("",)))[:1] == ["订单两个工作日内寄出。"]
    assert english.find("ship lamps", shelves=("",), k=1)[0].is_sure is False, "English vectors say nothing of Chinese"
    both, _ = knowing(store, Meanings("both", is_multilingual=True))
    (found,) = both.find("ship", shelves=("",), k=1)
    assert found.text == "订单两个工作日内寄出。"
    assert both.find("橡木要上油吗", shelves=("",))[0].text == "橡木每年上油。"


def test_only_the_shelves_asked_for_are_looked_on(store: MemoryStore) -> None:
    add(store, "own.md", "A | My own lamp is red.")
    gone = add(store, "role.md", "A | The lamp of the role is blue.", shelf="role")
    add(store, "other.md", "A | The lamp of another role is green.", shelf="other")
    knowledge, _ = knowing(store)
    for use_vectors in (True, False):

        def found(*shelves: str, use_vectors: bool = use_vectors) -> set[str]:
            return {each.text for each in knowledge.find("lamp", shelves=shelves, use_vectors=use_vectors)}

        assert found("") == {"My own lamp is red."}
        assert found("role", "") == {"My own lamp is red.", "The lamp of the role is blue."}
        assert found() == found("none") == set()
    remove_documents(store, [gone])
    assert knowledge.find("lamp", shelves=("role",)) == ()


def test_passages_without_a_vector_are_found_by_words_beside_those_with_one(store: MemoryStore) -> None:
    shop(store)
    knowledge, _ = knowing(store)
    add(store, "new.md", "Candles | Candles are made of wax from bees.")
    found = knowledge.find("What are candles made of?", shelves=("",))
    assert found[0].text == "Candles are made of wax from bees."
    assert found[0].is_sure


def test_backfill_goes_on_where_it_was_stopped_and_embeds_nothing_twice(store: MemoryStore) -> None:
    add(store, "long.md", *(f"H | Lamp number {number} is lit." for number in range(20)))
    embedder, stop = Meanings(), Event()
    knowledge = Knowledge(store, lambda: embedder)
    steps: list[tuple[int, int]] = []

    def on_progress(done: int, total: int) -> None:
        steps.append((done, total))
        if done >= 8:
            stop.set()

    assert knowledge.backfill(cancel=stop, on_progress=on_progress) == 8
    assert steps[0] == (0, 40)
    assert knowledge.backfill() == 12
    whole = [text for text in embedder.embedded if text.startswith("Lamp shop\nH\n")]
    assert len(whole) == len(set(whole)) == 20
    embedder.embedded.clear()
    assert knowledge.backfill() == 0
    assert embedder.embedded == []


def test_backfill_waits_its_turn_and_does_without_an_embedder(store: MemoryStore) -> None:
    shop(store)
    embedder = Meanings()
    assert Knowledge(store, lambda: embedder).backfill(may_go_on=lambda: False) == 0
    assert embedder.embedded == []
    assert Knowledge(store, lambda: None).backfill() == 0
    assert texts(Knowledge(store, lambda: None).find("oak", shelves=("",))) == ["Oak is oiled once a year."]


def test_an_encoder_that_came_later_embeds_all_anew(store: MemoryStore) -> None:
    shop(store)
    knowing(store)
    later, _ = knowing(store, Meanings("later"))
    assert later.find("warranty", shelves=("",), k=1)[0].is_sure
    models = store.file.rows("SELECT DISTINCT model FROM passage_embeddings ORDER BY model")
    assert [row["model"] for row in models] == ["later", "later#parts", "meanings", "meanings#parts"]


def test_a_changed_passage_is_found_by_its_new_meaning_alone(store: MemoryStore) -> None:
    add(store, "a.md", "H | The warranty is long.", "H | Oak is oiled.")
    knowledge, _ = knowing(store)
    assert knowledge.find("guarantee", shelves=("",), k=1)[0].text == "The warranty is long."
    add(store, "a.md", "H | The shade is washed.", "H | Oak is oiled.")
    knowledge.backfill()
    assert "The warranty is long." not in texts(knowledge.find("guarantee", shelves=("",)))
    assert knowledge.find("washed shade", shelves=("",), k=1)[0].text == "The shade is washed."


@pytest.mark.parametrize("query", ["", "   ", "🙂", "?!", "的", '"', "AND OR NOT", "lamp*", "a" * 5000, "\ud800"])
def test_any_query_is_taken(store: MemoryStore, query: str) -> None:
    shop(store)
    knowledge, _ = knowing(store)
    for use_vectors in (True, False):
        assert len(knowledge.find(query, shelves=("",), k=3, use_vectors=use_vectors)) <= 3


def test_what_is_embedded_of_a_passage() -> None:
    row = {"title": "Returns", "heading": "Returns › Bulbs", "text": "Bulbs stay."}
    assert own_text(row) == "Returns\nBulbs\nBulbs stay."
    assert own_text({**row, "heading": "Returns"}) == "Returns\nBulbs stay."
    assert own_text({**row, "heading": "Returnsable"}) == "Returns\nReturnsable\nBulbs stay."
    assert heading_text(row) == "Returns: Bulbs"
    assert heading_text({**row, "heading": ""}) == "Returns"
    assert sentences("It costs 4.90 euros. It is free from 40! 免运费。真的？") == (
        "It costs 4.90 euros.",
        "It is free from 40!",
        "免运费。",
    )
    assert sentences("好") == ("好",)
