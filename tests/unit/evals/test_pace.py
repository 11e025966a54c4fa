from __future__ import annotations

import pytest

from mmchat.evals.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_time_left_is_unknown_until_something_was_measured(clock: Clock) -> None:
    pace = Pace([("talks", "lm", 10)], clock)
    assert pace.left_s() is None
    pace.start("talks")
    clock.now = 4.0
    assert pace.left_s() is None
    pace.advance("talks", 2)
    assert pace.left_s() == pytest.approx(16.0)
    clock.now = 10.0
    pace.advance("talks", 8)
    assert pace.left_s() == 0
    assert (pace.done, pace.total) == (10, 10)


def test_loading_a_model_does_not_count_and_samples_of_earlier_are_not_measured(clock: Clock) -> None:
    pace = Pace([("talks", "lm", 10)], clock)
    pace.skip("talks", 5)
    assert pace.left_s() is None
    clock.now = 100.0
    pace.start("talks")
    clock.now = 101.0
    pace.advance("talks", 1)
    assert pace.done == 6
    assert pace.left_s() == pytest.approx(4.0)


def test_works_of_one_kind_of_model_speak_for_each_other_but_not_for_another_kind(clock: Clock) -> None:
    pace = Pace([("talks", "lm", 10), ("more", "lm", 30), ("sounds", "asr", 5)], clock)
    pace.start("talks")
    clock.now = 5.0
    pace.advance("talks", 10)
    assert pace.left_s() is None, "nobody knows yet how long the sounds take"
    pace.leave_out("sounds")
    assert pace.left_s() == pytest.approx(15.0)
    pace.start("more")
    clock.now = 7.0
    pace.advance("more", 1)
    assert pace.left_s() == pytest.approx(58.0)
