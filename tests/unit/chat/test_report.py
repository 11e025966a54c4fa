"""What a report counts, and that it counts the same however the conversations are split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmchat.chat.report import make_report
from mmchat.chat.report_values import RatingCount, Report, Spread
from mmchat.domain import Usage
from mmchat.memory.forks import fork
from mmchat.memory.report import Scope
from mmchat.moments import utc_text
from tests.told_talks import BEGINNING, Talks, fill_shop

NOW = BEGINNING + timedelta(days=30)


@pytest.fixture
def talks(tmp_path: Path) -> Iterator[Talks]:
    found = Talks(tmp_path)
    yield found
    found.store.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talks]:
    """The shop's conversations, one without a role, and one with another."""
    found = Talks(tmp_path_factory.mktemp("shop"))
    fill_shop(found)
    own = found.begin("", scope="shared")
    found.say(own, "What is the capital of France?", "Paris.", mark=1)
    found.say(found.begin("tutor", days_later=3, scope="shared"), "How do I say lamp?", intent="word", mood=0.4)
    yield found
    found.store.close()


def reported(talks: Talks, scope: Scope | None = None, now: datetime = NOW) -> Report:
    return make_report(talks.store, scope or Scope("support"), now)


def test_it_counts_what_was_said(shop: Talks) -> None:
    report = reported(shop)
    assert (report.conversations, report.messages, report.replies) == (3, 11, 11)
    assert [(each.language, each.messages, each.words) for each in report.languages] == [("en", 8, 40), ("zh", 3, 15)]
    assert (report.first_at, report.last_at) == ("2026-03-02T09:01:00.000000Z", "2026-03-10T09:11:00.000000Z")
    assert report.forbidden == {"politics": 1}
    assert report.lengths.sizes == {"1": 0, "2": 0, "3-5": 3, "6-10": 0, "11-20": 0, "21+": 0}
    assert report.lengths.minutes is not None
    assert report.lengths.minutes.median == 2.0


def test_intents_with_their_shares_confidence_and_what_is_out_of_scope(shop: Talks) -> None:
    report = reported(shop)
    assert (report.intents_read, report.out_of_scope) == (10, 0.2)
    found = {each.intent: each for each in report.intents}
    assert report.intents[0].intent == "shipping"
    assert (found["shipping"].messages, found["shipping"].share, found["shipping"].unanswered) == (4, 0.4, 3)
    assert found["out_of_scope"].confidence == pytest.approx(0.55)
    assert found["complaint"].mood == -0.8
    assert found["refund"].by_period == (1, 1, 0, 0, 0, 0, 0, 0, 0)


def test_moods_and_conversations_that_ended_worse_than_they_began(shop: Talks) -> None:
    mood = reported(shop).mood
    assert (mood.messages, mood.conversations, mood.ended_worse, mood.ended_better) == (6, 2, 1, 1)
    assert mood.mean == pytest.approx(-0.05)
    assert [(each.title, each.first, each.last) for each in mood.lowest] == [("A broken lamp", 0.1, -0.8)]


def test_questions_without_an_answer_that_are_alike_stand_together(shop: Talks) -> None:
    report = reported(shop)
    assert (report.unanswered, report.unanswered_reasons) == (5, {"unknown": 3, "failed": 1, "uncited": 1})
    assert [(gap.question, gap.times, gap.reasons) for gap in report.gaps] == [
        ("Do you ship to Norway, please?", 2, {"unknown": 2}),
        ("Tell me about the guarantee", 1, {"failed": 1}),
        ("Which bulb fits the lamp?", 1, {"uncited": 1}),
        ("你们送货到挪威吗？", 1, {"unknown": 1}),
    ]
    assert report.gaps[0].intents == {"shipping": 2}
    assert len(report.gaps[0].sessions) == 2


def test_a_gap_names_what_comes_nearest_in_the_documents(talks: Talks) -> None:
    talks.document("delivery.md", ["Delivery", "Delivery › Norway"])
    talks.say(talks.begin(), "Is there delivery to Norway?", "I do not know.", prepared="unknown")
    (gap,) = reported(talks).gaps
    assert (gap.nearest_document, gap.nearest_heading) == ("delivery.md", "Delivery › Norway")


def test_near_vectors_make_questions_alike_in_the_languages_that_their_model_knows(talks: Talks) -> None:
    session = talks.begin()
    near = [
        talks.say(session, text, "I do not know.", prepared="unknown")
        for text in ("How heavy is it?", "What does it weigh?", "多重？", "几公斤？")
    ]
    others = [talks.say(session, f"number {word}") for word in "abcdefgh"]
    directions = [[1.0, 0.1, 0], [1.0, 0, 0.1], [1, 0.2, 0], [1, 0, 0.2]]
    talks.embed({turn.id: row for turn, row in zip(near, directions, strict=True)})
    talks.embed({turn.id: [(-1.0) ** place, place % 3, place - 4.0] for place, turn in enumerate(others)})
    gaps = reported(talks).gaps
    assert [(gap.question, gap.times) for gap in gaps] == [("What does it weigh?", 2), ("几公斤？", 1), ("多重？", 1)]
    with talks.store.file.write() as db:
        db.execute("UPDATE embeddings SET model = 'e5-small'")
    assert [gap.times for gap in reported(talks).gaps] == [4]


def test_what_is_no_gap(talks: Talks) -> None:
    session = talks.begin()
    talks.say(session, "What does delivery cost?", "It is free.")  # there were no documents to look into
    talks.document("delivery.md", ["Delivery"])
    talks.say(session, "Thank you very much!")
    talks.say(session, "I want my money back, how?", "Tell me the number.", prepared="intent")
    talks.say(session, "What does delivery cost?", cites=["Delivery"])
    talks.say(session, "Is anybody there?", "")
    just_now = talks.now + timedelta(minutes=1)
    with talks.store.file.write() as db:
        early = utc_text(BEGINNING + timedelta(minutes=1, seconds=30))
        db.execute("UPDATE documents SET created_at = ?", [early])
    assert reported(talks, now=just_now).unanswered == 0
    assert reported(talks).unanswered_reasons == {"missing": 1}


def test_documents_cited_and_never_cited(shop: Talks) -> None:
    documents = reported(shop).documents
    assert documents.replies == 2
    assert [(each.document, each.heading, each.times) for each in documents.cited] == [
        ("delivery.md", "Delivery", 1),
        ("delivery.md", "Delivery › Cost", 1),
        ("returns.md", "Returns", 1),
    ]
    assert [(each.document, each.heading) for each in documents.never] == [("returns.md", "Returns › Time")]


def test_ratings_by_intent_and_by_kind_also_of_replies_that_gave_way(talks: Talks) -> None:
    session = talks.begin()
    question = talks.say(session, "Which bulb?", "Any.", intent="product", mark=-1)
    row = talks.store.start_reply(session, parent_id=question.id, model="tiny", engine="x", text="")
    talks.store.finish_reply(row.id, "E27.", status="complete", usage=Usage(1, 0, 2, 0.1, 9.0))
    talks.say(session, "Refund!", "Yes.", intent="refund", prepared="intent", mark=1, better="Of course.")
    ratings = reported(talks).ratings
    assert ratings.total == RatingCount(good=1, bad=1, better=1)
    assert ratings.by_intent == {"product": RatingCount(bad=1), "refund": RatingCount(good=1, better=1)}
    assert ratings.by_kind == {"": RatingCount(bad=1), "intent": RatingCount(good=1, better=1)}


def test_speed_with_prepared_replies_apart(shop: Talks) -> None:
    latency = reported(shop).latency
    assert latency.drawn.replies == 5
    assert latency.drawn.first_token_s == Spread(0.5, 0.5)
    assert latency.drawn.reply_s == Spread(1.5, 1.5)  # 21 tokens, 20 of them at 20 a second
    assert latency.drawn.wait_s == Spread(2.0, 2.0)
    assert {kind: pace.replies for kind, pace in latency.prepared.items()} == {
        "unknown": 3, "forbidden": 1, "intent": 1
    }  # fmt: skip
    assert latency.prepared["unknown"].first_token_s is None


def test_hand_overs_and_why(shop: Talks) -> None:
    found = reported(shop).hand_overs
    assert (found.total, found.conversations, found.by_reason) == (1, 1, {"mood": 1})
    assert found.latest[0].title == "A broken lamp"


@pytest.mark.parametrize(
    ("days", "unit", "periods"), [(0, "day", 1), (30, "day", 31), (31, "week", 5), (200, "month", 7)]
)
def test_the_unit_of_time_fits_the_span(talks: Talks, days: int, unit: str, periods: int) -> None:
    talks.say(talks.begin(), "one")
    talks.say(talks.begin(days_later=days), "two")
    report = reported(talks)
    assert (report.unit, len(report.periods)) == (unit, periods)
    assert sum(period.messages for period in report.periods) == 2


def test_whose_conversations(shop: Talks) -> None:
    counts = {role: reported(shop, Scope(role)).messages for role in (None, "support", "support:zh", "tutor", "", "no")}
    assert counts == {None: 13, "support": 11, "support:zh": 3, "tutor": 1, "": 1, "no": 0}


def test_copies_and_the_trash_do_not_count(talks: Talks) -> None:
    session = talks.begin()
    talks.say(session, "one", intent="refund", mark=1)
    copy = fork(talks.store, session)
    assert (reported(talks).messages, reported(talks).ratings.total.good) == (1, 1)
    talks.now = datetime.now(UTC)
    talks.say(copy.id, "two")
    assert reported(talks).messages == 2
    with talks.store.file.write() as db:
        db.execute("UPDATE sessions SET deleted_at = 'now' WHERE id = ?", [copy.id])
    assert reported(talks).messages == 1


def test_nothing_was_said(talks: Talks) -> None:
    report = reported(talks)
    assert (report.messages, report.periods, report.gaps, report.out_of_scope) == (0, (), (), None)
    json.dumps(asdict(report))


# --- whatever the split -----------------------------------------------------------------------------


def tallies(report: Report) -> Counter[str]:
    """All that adds up."""
    found = Counter[str](messages=report.messages, replies=report.replies, unanswered=report.unanswered)
    found.update({f"why {name}": count for name, count in report.unanswered_reasons.items()})
    found.update({f"intent {each.intent}": each.messages for each in report.intents})
    found.update({f"words {each.language}": each.words for each in report.languages})
    found.update({f"gap {turn}": 1 for gap in report.gaps for turn in gap.turns})
    found.update({f"topic {name}": count for name, count in report.forbidden.items()})
    found.update({f"cited {each.heading}": each.times for each in report.documents.cited})
    found.update({f"rated {name} good": count.good for name, count in report.ratings.by_kind.items()})
    found.update({f"rated {name} bad": count.bad for name, count in report.ratings.by_intent.items()})
    found.update({f"handed {name}": count for name, count in report.hand_overs.by_reason.items()})
    found.update({f"drawn {name}": pace.replies for name, pace in report.latency.by_model.items()})
    return +found


@settings(max_examples=12)
@given(minutes=st.lists(st.integers(-10, 14 * 24 * 60), max_size=4))
def test_spans_that_meet_add_up(shop: Talks, minutes: list[int]) -> None:
    borders = ["", *sorted(utc_text(BEGINNING + timedelta(minutes=minute)) for minute in minutes), ""]
    parts = [
        tallies(reported(shop, Scope(None, since, until))) for since, until in zip(borders, borders[1:], strict=False)
    ]
    assert sum(parts, Counter()) == tallies(reported(shop, Scope(None)))


def test_roles_add_up(shop: Talks) -> None:
    parts = [tallies(reported(shop, Scope(role))) for role in ("support", "tutor", "")]
    assert sum(parts, Counter()) == tallies(reported(shop, Scope(None)))


@settings(max_examples=12)
@given(minute=st.integers(-10, 14 * 24 * 60))
def test_what_is_told_over_time_and_by_intent_is_the_whole(shop: Talks, minute: int) -> None:
    report = reported(shop, Scope(None, utc_text(BEGINNING + timedelta(minutes=minute))))
    assert sum(period.messages for period in report.periods) == report.messages
    assert sum(period.unanswered for period in report.periods) == report.unanswered
    assert sum(each.messages for each in report.intents) == report.intents_read
    assert sum(each.share for each in report.intents) == pytest.approx(1.0 if report.intents else 0.0)
    assert all(sum(each.by_period) == each.messages for each in report.intents)
    assert sum(gap.times for gap in report.gaps) == report.unanswered == sum(report.unanswered_reasons.values())
    assert sum(report.lengths.sizes.values()) == report.conversations
