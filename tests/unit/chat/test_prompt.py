"""The window, for any history and any budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmchat.chat.entries import Pin, Standing
from mmchat.chat.prompt import CUT_MARK, HEAD_SHARE, Entry, Prompt, assemble, merge_same_role
from mmchat.domain import Message, Role

PER_MESSAGE = 4


def count(messages: Sequence[Message]) -> int:
    """A token a word, and a template of four tokens a message."""
    return sum(PER_MESSAGE + len(message.text.split()) for message in messages)


def conversation(word_counts: Sequence[int]) -> list[Entry]:
    """User and assistant in turn, ending with the user."""
    roles: tuple[Role, Role] = ("user", "assistant")
    return [
        Entry(f"t{index}", index % 2 == 0, (Message(roles[index % 2], " ".join([f"w{index}"] * words)),))
        for index, words in enumerate(word_counts)
    ]


odd_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=41).map(lambda n: n if len(n) % 2 else n[:-1])


@given(odd_lengths, st.integers(12, 400), st.booleans())
def test_any_history_and_budget(lengths: list[int], budget: int, has_system: bool) -> None:
    entries = conversation(lengths)
    prompt = assemble("be kind" if has_system else "", entries, count_tokens=count, budget=budget)

    assert count(prompt.messages) == prompt.window.tokens <= budget
    assert prompt.window.turns_in + prompt.window.turns_out == len(entries)
    newest = entries[-1].messages[-1].text
    assert prompt.was_cut == (newest not in prompt.messages[-1].text), "a cut is always announced"
    assert prompt.messages[-1].role == "user"
    if not prompt.was_cut:
        shown = [message.text for message in prompt.messages if message.role != "system"]
        said = [message.text for entry in entries for message in entry.messages]
        assert shown == said[len(said) - len(shown) :], "order holds and nothing in the middle is missing"
        is_told = has_system and "system" not in prompt.left_out
        assert prompt.messages[1 if is_told else 0].role == "user", "a view begins with an exchange"


@given(odd_lengths, st.integers(30, 400))
def test_the_prefix_changes_only_when_a_block_is_dropped(lengths: list[int], budget: int) -> None:
    entries = conversation(lengths)
    start = 0
    before: tuple[Message, ...] = ()
    for end in range(1, len(entries) + 1, 2):
        prompt = assemble("be kind", entries[start:end], count_tokens=count, budget=budget, out_of_view=start)
        if not prompt.has_moved and not prompt.was_cut and before:
            assert prompt.messages[: len(before)] == before
        before = () if prompt.was_cut else prompt.messages
        start = prompt.window.turns_out
        assert prompt.window.first_turn_id == entries[start].turn_id


def test_dropping_makes_room_for_many_turns() -> None:
    entries = conversation([10] * 41)
    full = count([message for entry in entries[:20] for message in entry.messages])
    prompt = assemble("", entries[:21], count_tokens=count, budget=full)
    assert prompt.has_moved
    assert prompt.window.tokens <= 0.6 * full
    start = prompt.window.turns_out
    later = assemble("", entries[start:27], count_tokens=count, budget=full, out_of_view=start)
    assert not later.has_moved


def test_a_message_too_long_loses_its_middle_not_its_ends() -> None:
    words = [f"word{index}" for index in range(100)]
    entries = [Entry("t0", True, (Message("user", " ".join(words)),))]
    prompt = assemble("be kind", entries, count_tokens=count, budget=30)
    assert prompt.was_cut
    text = prompt.messages[-1].text
    assert text.startswith("word0 word1 ")
    assert text.endswith(" word98 word99")
    assert CUT_MARK in text
    assert prompt.window.tokens <= 30


def test_neighbours_of_one_role_are_joined() -> None:
    merged = merge_same_role([Message("user", "a"), Message("user", "b"), Message("assistant", "c")])
    assert merged == (Message("user", "a\n\nb"), Message("assistant", "c"))


def test_nothing_to_show_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="newest turn"):
        assemble("", [], count_tokens=count, budget=10)


# --- with pins, a summary, notes and pictures ----------------------------------------------------------


@dataclass(frozen=True)
class Talk:
    """A conversation whose every word names its turn, and what of it is pinned."""

    entries: tuple[Entry, ...]
    pinned: frozenset[int]
    summary: str
    system: str

    def prompt(self, budget: int, start: int = 0, end: int | None = None) -> Prompt:
        older = [self.entries[index] for index in sorted(self.pinned) if index < start]
        pins = tuple(entry.pin for entry in older if entry.pin is not None)
        return assemble(
            self.system,
            self.entries[start:end],
            count_tokens=count,
            budget=budget,
            out_of_view=start,
            standing=Standing(self.summary, pins),
        )

    def all_fit(self, budget: int) -> bool:
        """Whether summary and pins may stand in a budget, and leave the newest message its share."""
        pins = [message for index in self.pinned for message in self.entries[index].pin.alone]  # type: ignore[union-attr]
        text = " ".join(part for part in (self.system, self.summary) if part)
        return count([Message("system", text), *pins, Message("user", "")]) <= HEAD_SHARE * budget


@st.composite
def talks(draw: st.DrawFn) -> Talk:
    lengths = draw(odd_lengths)
    pinned = draw(st.frozensets(st.integers(0, max(0, len(lengths) - 2)), max_size=4)) if len(lengths) > 1 else []
    entries = []
    for index, words in enumerate(lengths):
        own = Message("user" if index % 2 == 0 else "assistant", " ".join([f"w{index}"] * words))
        noted = Message(own.role, f"note{index} note{index} {own.text}")
        has_note = own.role == "user" and draw(st.booleans())
        quoted = Message("user", f"Earlier: {own.text}")
        is_reply = index % 2 == 1
        entries.append(
            Entry(
                f"t{index}",
                not is_reply,
                (noted,) if has_note else (own,),
                pin=Pin(f"t{index}", (quoted,), f"t{index - 1}" if is_reply else "", (own,))
                if index in pinned
                else None,
                layers=(("newest", (own,)), ("recalled", (noted,))) if has_note else (),
                counts=(("recalled", 2),) if has_note else (),
            )
        )
    summary = " ".join(["summed"] * draw(st.integers(0, 12)))
    return Talk(tuple(entries), frozenset(pinned), summary, draw(st.sampled_from(["", "be kind"])))


@given(talks(), st.integers(12, 400))
def test_the_budget_holds_and_the_account_sums_up(talk: Talk, budget: int) -> None:
    prompt = talk.prompt(budget)
    window = prompt.window
    assert count(prompt.messages) == window.tokens <= budget
    assert sum(part.tokens for part in window.parts) == window.tokens
    assert all(part.tokens > 0 for part in window.parts)
    assert window.turns_in + window.turns_out == len(talk.entries)
    start = int((window.first_turn_id or "t0")[1:])
    shown = {index for index in talk.pinned if f"t{index}" in window.pins}
    assert len({index for index in talk.pinned if index < start} - shown) == window.pins_out


@given(talks(), st.integers(12, 400))
def test_the_newest_message_is_whole_or_its_cut_is_announced(talk: Talk, budget: int) -> None:
    prompt = talk.prompt(budget)
    newest = talk.entries[-1].messages[-1].text
    assert prompt.messages[-1].role == "user"
    assert prompt.was_cut == (not prompt.messages[-1].text.endswith(newest))


@given(talks(), st.integers(12, 400))
def test_pins_survive_or_it_is_announced(talk: Talk, budget: int) -> None:
    prompt = talk.prompt(budget)
    text = " ".join(message.text for message in prompt.messages)
    lost = [index for index in talk.pinned if f"w{index}" not in text.split()]
    assert len(lost) <= prompt.window.pins_out
    assert ("pinned" in prompt.left_out) == bool(prompt.window.pins_out)
    if talk.all_fit(budget) and not prompt.was_cut:
        assert not lost, "what fits stands, however long the conversation"
    if talk.summary and "summary" not in prompt.left_out:
        assert talk.summary in text


@given(talks(), st.integers(60, 400))
def test_order_holds_with_pins(talk: Talk, budget: int) -> None:
    prompt = talk.prompt(budget)
    assume(not prompt.was_cut)
    words = [word for message in prompt.messages for word in message.text.split() if word[0] == "w"]
    told = [int(word[1:]) for word in dict.fromkeys(words)]
    assert told == sorted(told), "pins stand before the run, oldest first, and the run is in order"
    roles = [message.role for message in prompt.messages if message.role != "system"]
    assert roles[0] == "user"
    assert all(first != second for first, second in zip(roles, roles[1:], strict=False)), "templates want alternation"


@given(talks(), st.integers(60, 400))
def test_with_pins_the_prefix_changes_only_when_a_block_is_dropped(talk: Talk, budget: int) -> None:
    start = 0
    before: tuple[Message, ...] = ()
    for end in range(1, len(talk.entries) + 1, 2):
        prompt = talk.prompt(budget, start, end)
        if before and not prompt.has_moved and not prompt.was_cut:
            assert prompt.messages[: len(before)] == before, "notes keep their place, pins and summary stand still"
        start = int((prompt.window.first_turn_id or "t0")[1:])
        # What a user message was told with stays; the next prompt only adds a reply and a message.
        before = () if prompt.was_cut else prompt.messages


@given(talks(), st.integers(60, 400))
def test_pinning_a_turn_in_view_changes_nothing(talk: Talk, budget: int) -> None:
    prompt = talk.prompt(budget)
    assume(prompt.window.turns_out == 0 and not prompt.window.pins)
    bare = Talk(
        tuple(Entry(e.turn_id, e.is_user, e.messages) for e in talk.entries), frozenset(), talk.summary, talk.system
    )
    assert bare.prompt(budget).messages == prompt.messages


def test_a_pinned_exchange_stands_as_it_was_said() -> None:
    question = Pin("t0", (Message("user", "How many?"),))
    reply = Pin("t1", (Message("user", "You said: Nine."),), "t0", (Message("assistant", "Nine."),))
    newest = [Entry("t9", True, (Message("user", "And now?"),))]
    both = assemble("", newest, count_tokens=count, budget=100, out_of_view=9, standing=Standing("", (question, reply)))
    assert [(each.role, each.text) for each in both.messages] == [
        ("user", "How many?"),
        ("assistant", "Nine."),
        ("user", "And now?"),
    ]
    alone = assemble("", newest, count_tokens=count, budget=100, out_of_view=9, standing=Standing("", (reply,)))
    assert [each.text for each in alone.messages] == ["You said: Nine.\n\nAnd now?"]
    assert (alone.window.turns_in, alone.window.turns_out, alone.window.pins) == (2, 8, ("t1",))


def test_parts_say_what_takes_what() -> None:
    kept = Entry("t0", True, (Message("user", "one two three"),))
    said = Entry("t1", False, (Message("assistant", "four five"),))
    words = Message("user", "six")
    newest = Entry(
        "t2",
        True,
        (Message("user", "I remember seven eight. six"),),
        layers=(
            ("newest", (words,)),
            ("senses", (Message("user", "a photo. six"),)),
            ("recalled", (Message("user", "I remember seven eight. a photo. six"),)),
        ),
        counts=(("senses", 1), ("recalled", 2)),
    )
    newest = Entry("t2", True, newest.layers[-1][1], layers=newest.layers, counts=newest.counts)
    prompt = assemble(
        "be kind", [kept, said, newest], count_tokens=count, budget=100, standing=Standing("they spoke of ten things")
    )
    # A message takes PER_MESSAGE; the frames of the system message and of an empty user message are the system's.
    assert {part.kind: (part.tokens, part.count) for part in prompt.window.parts} == {
        "system": (2 * PER_MESSAGE + 2, 0),
        "summary": (5, 0),
        "kept": (2 * PER_MESSAGE + 5, 2),
        "recalled": (4, 2),
        "senses": (2, 1),
        "newest": (1, 1),
    }
