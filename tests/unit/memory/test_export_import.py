"""What is exported as JSON Lines and imported again is the same conversation, whatever was said in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmchat.domain import (
    HandOver,
    Heard,
    Likely,
    Passage,
    PreparedKind,
    Rating,
    Recalled,
    Role,
    Seen,
    Segment,
    Tag,
    TurnStatus,
    Understood,
    Usage,
    Word,
)
from mmchat.memory import branches
from mmchat.memory.export_markdown import marked_markdown
from mmchat.memory.export_rows import FileCopier, dialogue_row, kept_path, row_line
from mmchat.memory.export_turns import ExportedTurn, read_conversation
from mmchat.memory.import_markdown import read_markdown
from mmchat.memory.import_rows import read_conversations
from mmchat.memory.incoming import NO_PARENT, NewConversation, NewFile, NewTurn, store_conversation
from mmchat.memory.store import MemoryStore
from mmchat.memory.text_search import storable
from tests.variants import retire

# SQLite keeps any text but halves of characters; rows may not hold those either.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["<image>", "  \n", "## You, 2026-01-01 10:00", "谢谢，再见", "\x00\u2028", "</script>"]
)
TIMES = st.datetimes(min_value=datetime(1990, 1, 1)).map(lambda t: f"{t:%Y-%m-%dT%H:%M:%S.%fZ}")
NUMBERS = st.integers(0, 10_000)
SECONDS = st.floats(0, 1e6, allow_nan=False)
LIKELY = st.builds(Likely, TEXTS, st.floats(0, 1))
UNDERSTOOD = st.builds(
    Understood, st.lists(LIKELY, max_size=3).map(tuple), TEXTS, st.none() | st.floats(-1, 1, allow_nan=False), TEXTS
)
CITED = st.builds(
    lambda path, heading, page, line, score: Recalled(
        "", "", "user", "", "", score, passage=Passage("", "d", "shop", path, path.name, heading, "", page, line)
    ),
    st.sampled_from([Path("/docs/returns.md"), Path("/文件/退货.md")]),
    TEXTS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    SECONDS,
)
HAND_OVERS = st.tuples(st.sampled_from(["mood", "intent", "unknown", "asked"]), TEXTS, TIMES)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[MemoryStore, MemoryStore]]:
    pair = tuple(MemoryStore(tmp_path / name / "mmchat.db", tmp_path / name / "blobs") for name in ("one", "two"))
    yield pair[0], pair[1]
    for store in pair:
        store.close()


@st.composite
def files(draw: st.DrawFn) -> NewFile:
    words = (Word(draw(TEXTS), 0.0, draw(SECONDS), 0.5),)
    heard = Heard(draw(TEXTS), "zh", draw(SECONDS), (Segment(0.0, draw(SECONDS), draw(TEXTS), words=words),), "ears")
    seen = Seen((Tag(draw(TEXTS), 0.5),), draw(TEXTS), draw(TEXTS), "eyes", draw(SECONDS))
    name, content = draw(TEXTS.filter(bool)), draw(st.binary(max_size=8))
    if draw(st.booleans()):
        return NewFile(
            "image", "image/png", name, read=lambda: b"picture" + content, seen=draw(st.none() | st.just(seen))
        )
    return NewFile("audio", "audio/wav", name, read=lambda: b"sound" + content, heard=draw(st.none() | st.just(heard)))


@st.composite
def conversations(draw: st.DrawFn) -> NewConversation:
    turns: list[NewTurn] = []
    for at in range(draw(st.integers(0, 6))):
        statuses: list[TurnStatus] = ["complete", "stopped", "failed"]
        rating = draw(st.none() | st.builds(Rating, st.sampled_from(["good", "bad", None]), TEXTS))
        roles: list[Role] = ["user", "assistant", "system"]
        turns.append(
            NewTurn(
                draw(st.sampled_from(roles)),
                draw(TEXTS),
                draw(TIMES),
                speaker=draw(TEXTS),
                files=tuple(draw(st.lists(files(), max_size=2))),
                row_id=str(at),
                parent=draw(st.sampled_from(["", NO_PARENT, *map(str, range(at))])),
                model=draw(TEXTS),
                engine=draw(TEXTS),
                status=draw(st.sampled_from(statuses)),
                notice=draw(TEXTS),
                rating=rating if rating != Rating() else None,
                usage=draw(st.none() | st.builds(Usage, NUMBERS, NUMBERS, NUMBERS, SECONDS, SECONDS)),
                understood=draw(st.none() | UNDERSTOOD),
                prepared=draw(st.sampled_from(get_args(PreparedKind))),
                cited=draw(st.lists(CITED, max_size=2).map(tuple)),
                is_pinned=draw(st.booleans()),
                is_retired=draw(st.booleans()),
                retired_order=draw(NUMBERS),
            )
        )
    tags = draw(st.lists(st.sampled_from(["work", "花园", "red bike"]), max_size=3, unique=True))
    return NewConversation(
        draw(TEXTS),
        tuple(turns),
        draw(TEXTS),
        draw(TEXTS),
        draw(TEXTS),
        draw(TIMES),
        draw(TIMES),
        draw(TIMES),
        tuple(tags),
        hand_overs=tuple(HandOver("", "", *each) for each in draw(st.lists(HAND_OVERS, max_size=2))),
    )


def everything(store: MemoryStore, session_id: str) -> object:
    """A conversation without what differs by right: ids are told by their place, files by their bytes."""
    found = read_conversation(store, store.get_session(session_id))
    places = {each.turn.id: at for at, each in enumerate(found.turns)}

    def plain(each: ExportedTurn) -> object:
        turn = each.turn
        parent = places[turn.parent_id] if turn.parent_id is not None else None
        attached = [
            (file.path.read_bytes(), replace(file, id="", turn_id="", path=Path())) for file in turn.attachments
        ]
        bare = replace(turn, id="", session_id="", parent_id=None, attachments=(), variant=1, variants=1)
        return parent, attached, replace(each, turn=bare, position=places[turn.id])

    hand_overs = [replace(each, id="", session_id="") for each in found.hand_overs]
    return replace(found.session, id=""), [plain(each) for each in found.turns], hand_overs


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=conversations())
def test_an_export_that_is_imported_is_the_same_conversation(
    stores: tuple[MemoryStore, MemoryStore], tmp_path: Path, conversation: NewConversation
) -> None:
    one, two = stores
    session = store_conversation(one, conversation)
    path = tmp_path / "talks.jsonl"
    row = dialogue_row(read_conversation(one, session), FileCopier(tmp_path / "files", tmp_path))
    if not row["messages"]:
        return  # nothing was said: there is nothing to export
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    (read,) = read_conversations(path)
    copy = store_conversation(two, read)
    assert everything(two, copy.id) == everything(one, session.id)
    assert read.source == (storable(conversation.source) or f"mmchat:{session.id}")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pair=st.lists(conversations(), min_size=2, max_size=2))
def test_exported_markdown_is_read_back(
    stores: tuple[MemoryStore, MemoryStore], tmp_path: Path, pair: list[NewConversation]
) -> None:
    one, _ = stores
    kept = [read_conversation(one, store_conversation(one, each)) for each in pair]
    path = tmp_path / "talks.md"
    copier = FileCopier(tmp_path / "files", tmp_path)
    path.write_bytes("\n".join(marked_markdown(each, copier) for each in kept).encode())
    read = list(read_markdown(path))
    assert [(each.title, each.persona, each.created_at, each.tags) for each in read] == [
        (each.session.title, each.session.persona, each.session.created_at, each.session.tags) for each in kept
    ]
    for copy, original in zip(read, kept, strict=True):
        standing = original.turns
        assert [
            (turn.role, turn.text, turn.created_at, turn.speaker, turn.model, turn.status, turn.notice, turn.rating)
            for turn in copy.turns
        ] == [
            (of.role, of.text, of.created_at, each.speaker, of.model, of.status, of.notice, of.rating)
            for each in standing
            for of in [each.turn]
        ]
        assert [(turn.is_retired, turn.retired_order) for turn in copy.turns] == [
            (each.is_retired, each.retired_order) for each in standing
        ]
        assert [[file.path.read_bytes() for file in turn.files if file.path] for turn in copy.turns] == [
            [file.path.read_bytes() for file in each.turn.attachments] for each in standing
        ]


def test_branches_can_be_flipped_through_after_they_came_back(
    stores: tuple[MemoryStore, MemoryStore], tmp_path: Path
) -> None:
    one, two = stores
    session = one.create_session(title="bread")
    asked = one.add_user_turn(session.id, "How long?")
    for text in ("An hour.", "Two hours."):
        if text != "An hour.":
            retire(one, one.turns(session.id)[-1].id)
        reply = one.start_reply(session.id, parent_id=asked.id, model="m", engine="e", text="")
        one.finish_reply(reply.id, text, status="complete")
    one.add_user_turn(session.id, "Thanks")
    branches.add_edited_turn(one, asked.id, "How warm?")
    (tmp_path / "talks.jsonl").write_text(
        row_line(dialogue_row(read_conversation(one, session), kept_path)), encoding="utf-8"
    )
    (read,) = read_conversations(tmp_path / "talks.jsonl")
    copy = store_conversation(two, read)
    for store, session_id in ((one, session.id), (two, copy.id)):
        (shown,) = store.turns(session_id)
        assert (shown.text, shown.variant, shown.variants) == ("How warm?", 2, 2)
        first, _ = branches.variants(store, shown.id)
        branches.show_variant(store, shown.id, first)
        turns = store.turns(session_id)
        assert [turn.text for turn in turns] == ["How long?", "Two hours.", "Thanks"]
        assert [(turn.variant, turn.variants) for turn in turns[:2]] == [(1, 2), (2, 2)]
        older, newer = branches.variants(store, turns[1].id)
        branches.show_variant(store, newer, older)
        assert [turn.text for turn in store.turns(session_id)] == ["How long?", "An hour."]


def test_variants_in_markdown_are_folded_away_and_read_back(
    stores: tuple[MemoryStore, MemoryStore], tmp_path: Path
) -> None:
    one, two = stores
    session = one.create_session(title="Fruit")
    asked = one.add_user_turn(session.id, "Name a <fruit>.")
    for text in ("An apple.\n\n</details>\n\n## You, 2020-01-01 10:00", "A pear."):
        reply = one.start_reply(session.id, parent_id=asked.id, model="m </summary>", engine="e", text="")
        one.finish_reply(reply.id, text, status="complete")
    path = tmp_path / "talk.md"
    path.write_text(marked_markdown(read_conversation(one, session), str), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert text.count("<details><summary>Another variant: m &lt;/summary&gt;, ") == 1
    (conversation,) = read_markdown(path)
    copy = store_conversation(two, conversation)
    turns = two.turns(copy.id)
    assert [(turn.text, turn.variant, turn.variants) for turn in turns] == [
        ("Name a <fruit>.", 1, 1),
        ("A pear.", 2, 2),
    ]
    assert [row["text"] for row in two.file.rows("SELECT text FROM turns WHERE is_retired")] == [
        "An apple.\n\n</details>\n\n## You, 2020-01-01 10:00"
    ]


def test_markdown_without_its_marks_holds_what_was_in_view(
    stores: tuple[MemoryStore, MemoryStore], tmp_path: Path
) -> None:
    one, _ = stores
    session = one.create_session(title="Fruit")
    asked = one.add_user_turn(session.id, "Name a fruit.")
    for text in ("An apple.", "A pear."):
        reply = one.start_reply(session.id, parent_id=asked.id, model="m", engine="e", text="")
        one.finish_reply(reply.id, text, status="complete")
    text = marked_markdown(read_conversation(one, session), str)
    path = tmp_path / "talk.md"
    path.write_text("\n".join(line for line in text.split("\n") if not line.startswith("<!--")), encoding="utf-8")
    (conversation,) = read_markdown(path)
    assert [turn.text for turn in conversation.turns] == ["Name a fruit.", "A pear."]
