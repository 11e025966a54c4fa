"""What has left the view or lies in the trash is not found by anybody; what comes back is found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmchat.domain import Rating, Turn
from mmchat.memory import branches, shelves, trash
from mmchat.memory.ratings import rate_reply, rated_replies
from mmchat.memory.turn_search import search_turns
from tests.fakes import Bench

QUERY = "walrus tusks"
Finder = Callable[[Bench], list[str]]


def by_search(bench: Bench) -> list[str]:
    return [hit.turn.id for hit in search_turns(bench.store, QUERY) if hit.turn is not None]


def by_words(bench: Bench) -> list[str]:
    return [found.turn for found in bench.recall.find(QUERY, use_vectors=False)]


def by_vectors_too(bench: Bench) -> list[str]:
    return [found.turn for found in bench.recall.find(QUERY)]


def by_list(bench: Bench) -> list[str]:
    return [turn.id for each in bench.store.list_sessions(query=QUERY) for turn in bench.store.turns(each.id)]


def by_rating(bench: Bench) -> list[str]:
    return [rated.history[0].id for rated in rated_replies(bench.store, bench.store.list_sessions())]


EVERYBODY = [by_search, by_words, by_vectors_too, by_list]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "data")) as bench:
        other = bench.store.create_session(title="other")
        for text in ("the kettle is on", "a letter from Vienna"):
            bench.recall.index(bench.store.add_user_turn(other.id, text).id)
        yield bench


@pytest.fixture
def turn(bench: Bench) -> Turn:
    session = bench.store.create_session(title="animals")
    turn = bench.store.add_user_turn(session.id, "My walrus broke one of its tusks on the ice.")
    reply = bench.store.start_reply(session.id, parent_id=turn.id, model="m", engine="e", text="")
    bench.store.finish_reply(reply.id, "Poor thing.", status="complete")
    rate_reply(bench.store, reply.id, Rating("good"))
    bench.recall.index(turn.id)
    return turn


@pytest.mark.parametrize("finder", EVERYBODY)
def test_a_variant_out_of_view_is_not_found_until_it_is_shown_again(bench: Bench, turn: Turn, finder: Finder) -> None:
    assert turn.id in finder(bench)
    edited = branches.add_edited_turn(bench.store, turn.id, "My seal is well.")
    bench.recall.index(edited.id)
    assert turn.id not in finder(bench)
    branches.show_variant(bench.store, edited.id, turn.id)
    assert turn.id in finder(bench)
    branches.take_back(bench.store, turn.session_id)
    assert turn.id not in finder(bench)
    branches.bring_back(bench.store, turn.session_id)
    assert turn.id in finder(bench)


def test_a_turn_that_was_out_of_view_when_vectors_were_read_is_found_once_it_is_shown(bench: Bench, turn: Turn) -> None:
    edited = branches.add_edited_turn(bench.store, turn.id, "My seal is well.")
    bench.recall.index(edited.id)
    assert turn.id not in by_vectors_too(bench)
    branches.show_variant(bench.store, edited.id, turn.id)
    assert turn.id in by_vectors_too(bench)
    assert edited.id not in by_vectors_too(bench)


@pytest.mark.parametrize("finder", [*EVERYBODY, by_rating])
def test_a_conversation_in_the_trash_is_not_found_until_it_is_restored(
    bench: Bench, turn: Turn, finder: Finder
) -> None:
    assert turn.id in finder(bench)
    trash.move_to_trash(bench.store, turn.session_id)
    assert turn.id not in finder(bench)
    trash.restore(bench.store, turn.session_id)
    assert turn.id in finder(bench)


@pytest.mark.parametrize("finder", [*EVERYBODY, by_rating])
def test_an_archived_conversation_is_found(bench: Bench, turn: Turn, finder: Finder) -> None:
    shelves.set_archived(bench.store, turn.session_id, True)
    assert turn.id in finder(bench)


def test_ratings_pins_and_vectors_stay_with_a_turn_that_is_out_of_view(bench: Bench, turn: Turn) -> None:
    def rows(table: str) -> int:
        return len(bench.store.file.rows(f"SELECT * FROM {table}"))

    before = rows("ratings"), rows("embeddings")
    reply = bench.store.turns(turn.session_id)[1]
    branches.add_edited_turn(bench.store, turn.id, "My seal is well.")
    assert (rows("ratings"), rows("embeddings")) == before
    assert bench.store.get_turn(reply.id).rating == Rating("good")
    (rated,) = rated_replies(bench.store, bench.store.list_sessions())
    assert [each.id for each in rated.history] == [turn.id], "finetuning learns from it in its own conversation"
    assert rated.is_variant
