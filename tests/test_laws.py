"""The laws hold what they promise: they pass kernels that obey and catch those that do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings

from rtflow.events import Event, Gap, Lost, Quote, Status, Trade
from rtflow.kernel import Kernel, lift
from tests.laws import (
    BEGIN,
    TICK,
    event_streams,
    live,
    resumes_anywhere,
    run,
    same_live_and_virtual,
    virtually,
)


class Sums(Kernel[int, int]):
    """The sum so far after each number; 5 ns after the last number a 0; at the end the sum, negated."""

    def __init__(self) -> None:
        self.sum = 0
        self.quiet: int | None = None

    def push(self, item: int) -> Iterable[int]:
        if item == 13:
            raise ValueError("thirteen")
        self.sum += item
        self.quiet = item + 5
        return (self.sum,)

    def flush(self) -> Iterable[int]:
        return (-self.sum,)

    def due(self) -> int | None:
        return self.quiet

    def wake(self, now: int) -> Iterable[int]:
        self.quiet = None
        return (0,)

    def state(self) -> Any:
        return self.sum, self.quiet

    def restore(self, state: Any) -> None:
        self.sum, self.quiet = state


class Forgetful(Sums):
    def state(self) -> Any:
        return self.sum, None


class Restless(Sums):
    def wake(self, now: int) -> Iterable[int]:
        return (0,)


class Loose(Sums):
    """Makes much of the exact moment at which it is asked."""

    asked = 0

    def due(self) -> int | None:
        self.asked += 1
        return self.quiet

    def push(self, item: int) -> Iterable[int]:
        return (*super().push(item), self.asked)


STAMPS = [1, 4, 9, 10, 15, 16, 40]  # 15 is received when a timer is due, and 40 long after


def itself(number: int) -> int:
    return number


def test_a_kernel_is_woken_before_the_item_that_comes_after_its_due_time() -> None:
    assert run(Sums(), STAMPS, at=itself) == [1, 5, 14, 24, 39, 55, 0, 95, -95]


def test_time_flows_alike_on_every_road() -> None:
    same_live_and_virtual(Sums, STAMPS, at=itself)
    same_live_and_virtual(lift(Sums), STAMPS, at=itself)


def test_a_kernel_that_keeps_nothing_back_resumes_anywhere() -> None:
    resumes_anywhere(Sums, STAMPS, at=itself)
    resumes_anywhere(lift(Sums), [], at=itself)


def test_a_kernel_that_forgets_its_timer_is_caught() -> None:
    with pytest.raises(AssertionError, match="resumed after 6 items"):
        resumes_anywhere(Forgetful, STAMPS, at=itself)


def test_a_kernel_whose_items_hang_on_how_it_is_driven_is_caught() -> None:
    with pytest.raises(AssertionError, match="in virtual time"):
        same_live_and_virtual(Loose, STAMPS, at=itself)


def test_a_wake_that_does_not_move_the_due_time_on_is_caught() -> None:
    with pytest.raises(AssertionError, match="must move due"):
        run(Restless(), STAMPS, at=itself)


def test_a_kernels_own_error_comes_out() -> None:
    for road in virtually, live:
        with pytest.raises(ValueError, match="thirteen"):
            road(Sums, [13], at=itself)


def test_items_without_a_stamp_meet_no_timer() -> None:
    assert run(Sums(), [1, 9]) == [1, 10, -10]


@settings(max_examples=100)
@given(event_streams(venues=("x", "y")))
def test_a_stream_is_in_the_order_of_arrival_and_every_gap_is_said_twice(events: list[Event]) -> None:
    arrivals = [event.ts_recv for event in events]
    assert arrivals == sorted(arrivals)
    assert all(arrival >= BEGIN for arrival in arrivals)
    assert all(arrival % TICK == 0 for arrival in arrivals)
    for venue in "x", "y":
        gaps = [event for event in events if isinstance(event, Gap) and event.venue == venue]
        assert all(first.ts_end is None for first in gaps[::2])
        assert all(second.ts_end is not None for second in gaps[1::2])


@settings(max_examples=100)
@given(event_streams(lost_lines=False))
def test_a_stream_whose_line_holds_has_no_hole(events: list[Event]) -> None:
    assert not any(isinstance(event, Gap | Lost) for event in events)
    assert sum(isinstance(event, Status) and event.state == "open" for event in events) <= 1
    for event in events:
        if isinstance(event, Trade | Quote):
            assert event.venue == "x"
