"""Work in the background gives way to replies, and what a reply leaves to be done does not hold up the next."""

from __future__ import annotations

import logging
import threading
from threading import Event

import pytest

from mmchat.chat.quiet import Backstage, Quiet
from mmchat.errors import MmchatError

WAIT_S = 20.0


def test_without_a_thread_what_is_left_is_done_at_once() -> None:
    done: list[int] = []
    with Quiet().broken():
        pass
    Quiet().afterwards(lambda: done.append(1))
    assert done == [1]


def test_what_is_left_is_done_in_order_once_the_reply_is_out() -> None:
    quiet, done, all_done = Backstage(), list[str](), Event()
    with quiet.broken():
        quiet.afterwards(lambda: done.append(threading.current_thread().name))
        quiet.afterwards(lambda: done.append("second"))
        quiet.afterwards(all_done.set)
        assert not quiet.finish(0.05)  # a reply holds it up: leaving does not wait for it
        assert done == []
    assert all_done.wait(WAIT_S)
    assert done == ["after-replies", "second"]
    assert quiet.finish(WAIT_S)


def test_a_reply_does_not_wait_for_what_another_left() -> None:
    quiet, started, gate = Backstage(), Event(), Event()

    def slow() -> None:
        started.set()
        gate.wait(WAIT_S)

    quiet.afterwards(slow)
    assert started.wait(WAIT_S)
    with quiet.broken():
        pass  # entered although the slow work is under way
    gate.set()
    assert quiet.finish(WAIT_S)


def test_one_failure_does_not_keep_the_rest_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    quiet, done = Backstage(), list[int]()

    def fail() -> None:
        raise MmchatError("the disk is full")

    with quiet.broken(), caplog.at_level(logging.WARNING):
        quiet.afterwards(fail)
        quiet.afterwards(lambda: done.append(1))
    assert quiet.finish(WAIT_S)
    assert done == [1]
    assert "left undone" in caplog.text


def test_it_starts_again_after_a_rest() -> None:
    quiet, done = Backstage(), list[int]()
    for number in range(3):
        quiet.afterwards(lambda number=number: done.append(number))  # type: ignore[misc]
        assert quiet.finish(WAIT_S)
    assert done == [0, 1, 2]
