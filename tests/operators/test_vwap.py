"""vwap: the value of the last trades over their volume."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.counters import Counters
from rtflow.events import Event, Gap, Trade, TradeCancel, Vwap
from rtflow.operators import vwap
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def trade(at: int, price: float, size: float = 1.0) -> Trade:
    return Trade("A", at * SECOND, at * SECOND, price, size, venue="v")


def test_all_that_is_said_of_an_average() -> None:
    kernel = vwap(over=60).kernel()
    _ = kernel.push(trade(0, 10.0, 2.0))
    assert kernel.push(trade(15, 13.0, 1.0)) == (
        Vwap("A", 15 * SECOND, 15 * SECOND, 11.0, 3.0, 33.0, 2, "v", partial=True, gap=False),
    )
    hole = Gap(15 * SECOND, 20 * SECOND, 1, 20 * SECOND, venue="v")
    assert kernel.push(hole) == ()
    assert kernel.wake(60 * SECOND) == (
        Vwap("A", 60 * SECOND, 60 * SECOND, 13.0, 1.0, 13.0, 1, "v", partial=False, gap=True),
    )
    assert kernel.wake(75 * SECOND) == (
        Vwap("A", 75 * SECOND, 75 * SECOND, None, 0.0, 0.0, 0, "v", partial=False, gap=True),
    )


def test_of_the_last_trades_by_number() -> None:
    kernel = vwap(count=2).kernel()
    items = trade(0, 1.0), trade(1, 2.0), trade(99, 4.0, 3.0)
    assert [each.price for item in items for each in kernel.push(item)] == [1.0, 1.5, 3.5]


def test_trades_of_no_size_have_no_average() -> None:
    (made,) = vwap(count=2).kernel().push(trade(0, 1.0, 0.0))
    assert (made.price, made.volume, made.count) == (None, 0.0, 1)


def test_counters_and_clock_are_those_of_rolling() -> None:
    counters = Counters()
    kernel = vwap(over=5, clock="recv", counters=counters).kernel()
    late = Trade("A", 0, 9 * SECOND, 1.0, 1.0)
    assert [each.ts_event for each in kernel.push(late)] == [9 * SECOND]
    _ = kernel.push(TradeCancel("A", 0, 9 * SECOND, "1", 1.0, 1.0))
    assert counters == {"unapplied": 1}


def test_a_large_trade_that_has_left_leaves_no_rounding_behind() -> None:
    kernel = vwap(count=2).kernel()
    _ = kernel.push(trade(0, 1e9, 1e9))
    prices = [each.price for at in range(1, 9) for each in kernel.push(trade(at, 0.1, 0.1))]
    assert prices[1:] == pytest.approx([0.1] * 7, rel=1e-15)


@given(event_streams(venues=("x", "y")), st.sampled_from([0.25, 1.0, 7.0]))
def test_it_is_held_to_the_laws(events: list[Event], over: float) -> None:
    resumes_anywhere(vwap(over=over, count=5), events)
    same_live_and_virtual(vwap(over=over, count=5), events)


@given(event_streams(lost_lines=False, venues=("x",)), st.sampled_from([0.5, 2.0, 9.0]))
def test_it_is_the_quotient_of_two_exact_sums(events: list[Event], over: float) -> None:
    """By arrival: after each trade, those that came less than ``over`` before it."""
    trades = [each for each in events if isinstance(each, Trade)]
    made = [each for each in run(vwap(over=over, clock="recv").kernel(), events) if each.count]
    expected = []
    for at, last in enumerate(trades):
        inside = [
            each
            for each in trades[: at + 1]
            if each.symbol == last.symbol and each.ts_recv > last.ts_recv - over * SECOND
        ]
        value = sum(Fraction(each.price) * Fraction(each.size) for each in inside)
        volume = sum(Fraction(each.size) for each in inside)
        expected.append((last.symbol, last.ts_recv, float(value / volume), float(volume), len(inside)))
    got = [(each.symbol, each.ts_recv, each.price, each.volume, each.count) for each in made]
    assert set(expected) <= set(got), "and what is said besides is of trades that left"


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade(210, 10.0)),
        ReactiveTest.on_next(225, trade(225, 20.0)),
        ReactiveTest.on_completed(240),
    )
    got = scheduler.start(lambda: source.pipe(vwap(over=20), ops.map(_average)))
    assert got.messages == [
        ReactiveTest.on_next(210, 10.0),
        ReactiveTest.on_next(225, 15.0),
        ReactiveTest.on_next(230, 20.0),
        ReactiveTest.on_completed(240),
    ]


def _average(made: Vwap) -> float | None:
    return made.price


def test_a_window_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a window needs a length"):
        vwap()
