"""What tells intents and moods is fitted once, and its examples are embedded once on a machine."""

from __future__ import annotations

from pathlib import Path

from mmchat.engines.base import TextEmbedder
from mmchat.engines.scripted import ScriptedEmbedder
from mmchat.paths import readers_cache_dir
from mmchat.wiring import readers
from mmchat.wiring.readers import Readers

ROLE = {"refund": ["I want my money back", "refund please"], "delivery": ["where is my parcel", "when does it come"]}


def made(embedder: TextEmbedder | None, stamp: str = "weights 1") -> Readers:
    return Readers(lambda: embedder, lambda: stamp)


def test_the_same_examples_are_fitted_once() -> None:
    own = made(ScriptedEmbedder())
    first = own.of_examples(ROLE)
    assert own.of_examples(dict(ROLE)) is first
    assert own.of_examples({**ROLE, "refund": ["money back"]}) is not first


def test_an_embedder_that_comes_later_is_used_from_then_on() -> None:
    at_hand: list[TextEmbedder] = []
    own = Readers(lambda: at_hand[0] if at_hand else None, lambda: "")
    words = own.of_examples(ROLE)
    calm = own.of_moods()
    at_hand.append(ScriptedEmbedder())
    assert own.of_examples(ROLE) is not words
    assert own.of_moods() is not calm
    assert own.of_moods() is own.of_moods()


def test_another_program_need_not_embed_the_examples_again() -> None:
    made(ScriptedEmbedder()).of_examples(ROLE)
    later, changed = ScriptedEmbedder(), ScriptedEmbedder()
    reader = made(later).of_examples(ROLE)
    assert not later.calls
    assert reader.read("refund please")[0].label == "refund"
    made(changed, "weights 2").of_examples(ROLE)
    assert changed.calls


def test_kept_vectors_that_were_cut_off_are_computed_anew() -> None:
    made(ScriptedEmbedder()).of_examples(ROLE)
    (path,) = readers_cache_dir().glob("*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    again = ScriptedEmbedder()
    made(again).of_examples(ROLE)
    assert again.calls
    assert path.read_bytes() == whole


def test_a_cache_folder_that_cannot_be_written_stops_nothing() -> None:
    readers_cache_dir().parent.mkdir(parents=True, exist_ok=True)
    readers_cache_dir().write_text("a file in its place", encoding="utf-8")
    assert made(ScriptedEmbedder()).of_examples(ROLE).read("refund please")[0].label == "refund"


def test_old_vectors_leave_the_cache() -> None:
    own = made(ScriptedEmbedder())
    for number in range(readers.KEPT_FILES + 3):
        own.of_examples({**ROLE, f"more {number}": [f"something else {number}"]})
    assert len(list(Path(readers_cache_dir()).glob("*.npy"))) == readers.KEPT_FILES
    assert not list(Path(readers_cache_dir()).glob("*.part"))


def test_moods_are_read_with_kept_vectors_too() -> None:
    made(ScriptedEmbedder()).of_moods().read("where is my parcel")
    later = ScriptedEmbedder()
    made(later).of_moods().read("where is my parcel")
    assert later.calls == [("where is my parcel",)]
