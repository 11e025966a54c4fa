"""The window, for any history and any budget."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.chat.prompt import CUT_MARK, Entry, assemble, merge_same_role
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
        assert prompt.messages[1 if has_system else 0].role == "user", "a view begins with an exchange"


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
