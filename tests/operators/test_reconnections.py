"""reconnections: one word when the market is there again, with what it took."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.events import Event, Gap, Status, Trade
from rtflow.operators._reconnections import Reconnected, reconnections
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def lost(at: int, start: int = 10, **rest: Any) -> Gap:
    return Gap(start, None, epoch=1, ts_recv=at, **rest)


def closed(at: int, start: int = 10, **rest: Any) -> Gap:
    return Gap(start, at, epoch=1, ts_recv=at, **rest)


def said(state: Any, at: int, **rest: Any) -> Status:
    return Status(state, at, **rest)


@settings(max_examples=50)
@given(event_streams(venues=("x", "y")))
def test_it_resumes_anywhere_and_is_the_same_live(events: list[Event]) -> None:
    resumes_anywhere(reconnections(), events)
    same_live_and_virtual(reconnections(), events)


def test_it_resumes_in_the_middle_of_an_outage() -> None:
    events: list[Event] = [lost(20), said("retrying", 21), said("open", 30), closed(40), lost(50, 45)]
    resumes_anywhere(reconnections(), events)


def test_attempts_are_counted_and_downtime_ends_with_the_last_connection() -> None:
    second = SECOND
    events: list[Event] = [
        said("retrying", second),  # before there was any connection: nothing was lost yet
        said("open", 2 * second),
        lost(4 * second, 3 * second),
        said("retrying", 4 * second),
        said("open", 5 * second),  # and lost again, before any data: the same hole
        said("heartbeat", 5 * second),
        said("parked", 6 * second),
        said("open", 7 * second),
        closed(9 * second, 3 * second),
        Trade("A", 9 * second, 9 * second, 1.0, 1.0),
    ]
    gap = closed(9 * second, 3 * second)
    assert run(reconnections().kernel(), events) == [Reconnected(9 * second, 2, 3.0, gap)]


def test_of_several_connections_each_is_told_of_with_its_symbols() -> None:
    a: dict[str, Any] = {"symbols": ("A",)}
    b: dict[str, Any] = {"symbols": ("B", "C")}
    events: list[Event] = [
        lost(20, **a),
        lost(30, start=25, **b),
        said("retrying", 30),
        said("joined", 40),
        said("joined", 41, venue="w"),
        closed(50, start=25, **b),
        closed(60, **a),
    ]
    assert run(reconnections().kernel(), events) == [
        Reconnected(50, 1, 10 / SECOND, closed(50, start=25, **b)),
        Reconnected(60, 1, 20 / SECOND, closed(60, **a)),
    ]
    resumes_anywhere(reconnections(), events)


def test_venues_are_told_apart() -> None:
    events: list[Event] = [
        lost(20, venue="x"),
        said("open", 30, venue="y"),
        closed(40, venue="y"),
        closed(50, venue="x"),
    ]
    (made,) = run(reconnections().kernel(), events)
    assert (made.venue, made.attempt, made.downtime) == ("x", 0, (50 - 20) / SECOND)


@pytest.mark.parametrize(
    "gap", [closed(20, symbols=("A",)), lost(20, kind="trades"), closed(20), closed(20, start=11)]
)
def test_a_hole_on_a_line_that_stands_is_no_reconnection(gap: Gap) -> None:
    kernel = reconnections().kernel()
    if gap.ts_start == 11:
        assert run(kernel, [lost(15), gap]) == []
    else:
        assert run(kernel, [gap, closed(30, symbols=gap.symbols)]) == []


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source: Any = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, lost(20)),
        ReactiveTest.on_next(220, said("retrying", 20)),
        ReactiveTest.on_next(230, said("open", 30)),
        ReactiveTest.on_next(240, closed(40)),
    )
    got = scheduler.start(lambda: source.pipe(reconnections()))
    assert got.messages == [ReactiveTest.on_next(240, Reconnected(40, 1, 10 / SECOND, closed(40)))]
