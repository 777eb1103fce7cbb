"""window_to_bar: trades in, one bar per stretch of time out, closed by time and never twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import reduce
from itertools import pairwise
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.counters import Counters
from rtflow.events import (
    Bar,
    Event,
    Gap,
    Instrument,
    LateTrade,
    Lost,
    OrderBookUpdate,
    Quote,
    Side,
    State,
    Status,
    Trade,
    TradeCancel,
    TradeCorrection,
)
from rtflow.kernel import Kernel
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND
from tests.laws import TICK, event_streams, resumes_anywhere, run, same_live_and_virtual

on_next, on_completed = ReactiveTest.on_next, ReactiveTest.on_completed

Bars: TypeAlias = Kernel[Event, Any]


def trade(
    second: float,
    price: float = 10.0,
    size: float = 1.0,
    symbol: str = "A",
    *,
    delay: float = 0.0,
    venue: str = "x",
    side: Side = Side.UNKNOWN,
) -> Trade:
    stamp = round(second * SECOND)
    return Trade(symbol, stamp, stamp + round(delay * SECOND), price, size, side, venue=venue)


def quote(second: float, *, delay: float = 0.0, venue: str = "x") -> Quote:
    stamp = round(second * SECOND)
    return Quote("Q", stamp, stamp + round(delay * SECOND), 1.0, 1.0, 2.0, 1.0, venue)


def gap(start: float, end: float | None, *symbols: str, venue: str = "x") -> Gap:
    last = start if end is None else end
    stop = None if end is None else round(end * SECOND)
    return Gap(round(start * SECOND), stop, 1, round(last * SECOND), "", venue, symbols)


def status(state: State, second: float, symbol: str = "", kind: str = "") -> Status:
    return Status(state, round(second * SECOND), "", symbol, kind, venue="x")


def push(kernel: Bars, *events: Event) -> list[Any]:
    return [made for event in events for made in kernel.push(event)]


def bars(made: Iterable[Any]) -> list[Bar]:
    return [each for each in made if isinstance(each, Bar)]


def spans(made: Iterable[Any]) -> list[tuple[str, float, float]]:
    return [(bar.symbol, bar.start / SECOND, bar.end / SECOND) for bar in bars(made)]


def starts(made: Iterable[Any]) -> list[float]:
    return [bar.start / SECOND for bar in bars(made)]


# A bar and its edges


def test_a_bar_tells_all_of_its_trades() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(
        kernel,
        trade(0, 10.0, 1.0, side=Side.BUY),
        trade(20, 12.5, 2.0, side=Side.SELL),
        trade(30, 9.5, 0.5),
        trade(59, 11.0, 4.0, delay=0.5, side=Side.BUY),
        trade(60),
    )
    assert made == [
        Bar(
            "A",
            0,
            60 * SECOND,
            open=10.0,
            high=12.5,
            low=9.5,
            close=11.0,
            volume=7.5,
            count=4,
            value=10.0 + 25.0 + 4.75 + 44.0,
            buy_volume=5.0,
            sell_volume=2.0,
            ts_open=0,
            ts_close=59 * SECOND,
            ts_recv=round(59.5 * SECOND),
            venue="x",
        )
    ]


def test_a_trade_stamped_exactly_end_opens_the_next_bar() -> None:
    kernel = window_to_bar(1).kernel()
    last = Trade("A", SECOND - 1, SECOND - 1, 1.0, 1.0)
    assert push(kernel, trade(0, venue=""), last) == []
    first = push(kernel, Trade("A", SECOND, SECOND, 2.0, 1.0))
    assert [(bar.count, bar.close, bar.end) for bar in bars(first)] == [(2, 1.0, SECOND)]
    assert kernel.due() == 2 * SECOND


def test_bars_are_aligned_to_the_epoch_or_to_the_origin() -> None:
    assert spans(run(window_to_bar(60).kernel(), [trade(95)])) == [("A", 60.0, 120.0)]
    moved = window_to_bar(timedelta(minutes=1), origin=15 * SECOND)
    assert spans(run(moved.kernel(), [trade(95)])) == [("A", 75.0, 135.0)]
    assert spans(run(moved.kernel(), [trade(5)])) == [("A", -45.0, 15.0)]


def test_open_is_the_earliest_trade_and_close_the_latest_whenever_they_come() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(20, 2.0), trade(40, 4.0), trade(10, 1.0, delay=31), trade(30, 3.0, delay=12))
    (bar,) = bars(kernel.flush())
    assert (bar.open, bar.close) == (1.0, 4.0)
    assert (bar.ts_open, bar.ts_close) == (10 * SECOND, 40 * SECOND)
    assert bar.ts_recv == 42 * SECOND


def test_of_simultaneous_trades_the_first_to_come_opens_and_the_last_closes() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(20, 1.0), trade(20, 3.0), trade(20, 2.0))
    (bar,) = bars(kernel.flush())
    assert (bar.open, bar.high, bar.low, bar.close) == (1.0, 3.0, 1.0, 2.0)
    push(kernel, trade(20, 1.0), trade(30, 2.0), trade(20, 3.0, delay=11), trade(30, 4.0, delay=2))
    (bar,) = bars(kernel.flush())
    assert (bar.open, bar.close) == (1.0, 4.0)


def test_every_symbol_and_every_venue_has_its_own_bar() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(1, 1.0), trade(2, 2.0, symbol="B"), trade(3, 3.0, venue="y"))
    assert [(bar.symbol, bar.venue, bar.open) for bar in bars(kernel.wake(60 * SECOND))] == [
        ("A", "x", 1.0),
        ("B", "x", 2.0),
        ("A", "y", 3.0),
    ]


def test_the_arrival_may_cut_the_bars_instead() -> None:
    kernel = window_to_bar(60, clock="recv").kernel()
    made = push(kernel, trade(50, 1.0, delay=5), trade(40, 2.0, delay=19), trade(59, 3.0, delay=1))
    (bar,) = bars(made)
    assert (bar.open, bar.close, bar.count) == (1.0, 2.0, 2)
    assert (bar.ts_open, bar.ts_close) == (55 * SECOND, 59 * SECOND)
    assert kernel.due() == 120 * SECOND


# What closes a bar


def test_a_bar_waits_for_its_end_though_nothing_comes() -> None:
    kernel = window_to_bar(60).kernel()
    assert kernel.due() is None
    push(kernel, trade(10))
    assert kernel.due() == 60 * SECOND
    assert starts(kernel.wake(60 * SECOND)) == [0.0]
    assert kernel.due() is None


def test_the_delay_of_the_line_is_allowed_for() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(10, delay=0.25))
    assert kernel.due() == round(60.25 * SECOND)
    push(kernel, quote(20, delay=0.125))
    assert kernel.due() == round(60.125 * SECOND)
    assert push(kernel, trade(59.9375, delay=0.125)) == []
    assert starts(kernel.wake(round(60.125 * SECOND))) == [0.0]


def test_a_delay_that_has_grown_is_allowed_for_when_the_time_comes() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(10), quote(20, delay=2))
    assert list(kernel.wake(60 * SECOND)) == []
    assert kernel.due() == 62 * SECOND
    assert push(kernel, trade(59, delay=3)) == [], "received at 62 s, when the bar is due, and before it"
    assert kernel.due() == 62 * SECOND
    assert list(kernel.wake(62 * SECOND)) == []
    (bar,) = bars(kernel.wake(63 * SECOND))
    assert bar.count == 2


def test_an_older_stamp_tells_no_time() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(50), quote(30, delay=25), quote(50, delay=5))
    assert starts(kernel.wake(60 * SECOND)) == [0.0]


def test_any_symbols_and_any_kinds_stamp_closes_the_bars_of_its_venue() -> None:
    book = OrderBookUpdate("B", 60 * SECOND, 60 * SECOND, (), (), venue="x")
    for event in quote(60), trade(60, symbol="B"), book:
        kernel = window_to_bar(60).kernel()
        assert spans(push(kernel, trade(10), event)) == [("A", 0.0, 60.0)]


def test_another_venues_stamp_closes_nothing() -> None:
    kernel = window_to_bar(60).kernel()
    assert push(kernel, trade(10, delay=30), quote(60, venue="y")) == []
    assert kernel.due() == 90 * SECOND
    push(kernel, trade(61, venue="y"))
    assert kernel.due() == 90 * SECOND
    assert starts(kernel.wake(90 * SECOND)) == [0.0]
    assert kernel.due() == 120 * SECOND


def test_bars_due_at_one_moment_leave_by_end_then_venue_then_symbol() -> None:
    kernel = window_to_bar(60).kernel()
    push(
        kernel,
        trade(70, symbol="B", venue="z"),
        trade(70, symbol="B", venue="y"),
        trade(10, symbol="B", delay=60),
        trade(11, symbol="A", delay=60),
    )
    assert [(bar.end // SECOND, bar.venue, bar.symbol) for bar in bars(kernel.wake(120 * SECOND))] == [
        (60, "x", "A"),
        (60, "x", "B"),
        (120, "y", "B"),
        (120, "z", "B"),
    ]


def test_a_late_wake_closes_each_bar_at_its_own_moment() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(110, delay=20), trade(70, venue="y"))
    assert [(bar.end // SECOND, bar.venue) for bar in bars(kernel.wake(10_000 * SECOND))] == [
        (120, "y"),
        (120, "x"),
    ]


def test_without_a_scheduler_the_next_item_closes_what_was_due_before_it() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(10))
    instrument = Instrument("A", 60 * SECOND, "online", 2, 8, 0.01, 1e-8, 1.0, venue="x")
    assert push(kernel, instrument) == []
    assert starts(push(kernel, status("heartbeat", 61))) == [0.0]


def test_grace_keeps_a_bar_open_to_stragglers() -> None:
    kernel = window_to_bar(60, grace=5).kernel()
    assert push(kernel, trade(59, 1.0), trade(61, 2.0), trade(59.5, 3.0, delay=4), trade(62, 4.0)) == []
    assert kernel.due() == 65 * SECOND
    (first,) = bars(push(kernel, quote(65)))
    assert (first.close, first.count) == (3.0, 2)
    (second,) = bars(push(kernel, quote(125)))
    assert (second.open, second.close, second.count) == (2.0, 4.0, 2)


def test_grace_keeps_several_bars_of_a_symbol_open() -> None:
    kernel = window_to_bar(1, grace=5).kernel()
    push(kernel, *(trade(second, second) for second in range(4)), trade(1.5, 7.0, delay=2))
    assert [(bar.start // SECOND, bar.high, bar.partial) for bar in bars(kernel.flush())] == [
        (0, 0.0, "end"),
        (1, 7.0, "end"),
        (2, 2.0, "end"),
        (3, 3.0, "end"),
    ]
    assert list(kernel.flush()) == []


def test_a_stamp_from_the_future_moves_time_by_the_tolerance_only() -> None:
    counters = Counters()
    kernel = window_to_bar(60, tolerance=2, counters=counters).kernel()
    assert push(kernel, trade(50), quote(9_000, delay=-8_949)) == []
    assert kernel.due() == 58 * SECOND
    assert push(kernel, trade(52)) == []
    assert starts(push(kernel, quote(9_001, delay=-8_943))) == [0.0]
    push(kernel, trade(58.5), trade(61))
    assert counters["late"] == 1


def test_a_trade_from_the_future_waits_in_a_bar_of_its_own() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(10), trade(9_000, delay=-8_989), trade(12))
    assert [(bar.start, bar.count) for bar in bars(kernel.wake(60 * SECOND))] == [(0, 2)]
    assert [bar.end for bar in bars(kernel.flush())] == [9_060 * SECOND]


@pytest.mark.parametrize("ending", [status("open", 51), gap(51, None)])
def test_what_a_connections_clock_said_is_carried_on_until_the_next_ones_speaks(ending: Event) -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(10), quote(50, delay=0.5), ending)
    assert list(kernel.wake(60 * SECOND)) == []
    assert kernel.due() == round(60.5 * SECOND)
    push(kernel, quote(49, delay=4))
    assert list(kernel.wake(round(60.5 * SECOND))) == []
    assert kernel.due() == 64 * SECOND


def test_a_gap_of_some_symbols_ends_no_connection() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, trade(10), quote(50), gap(51, None, "B"), gap(51, 52), quote(49, delay=4))
    assert starts(kernel.wake(60 * SECOND)) == [0.0]


def test_what_was_closed_by_one_connection_stays_closed_for_the_next() -> None:
    counters = Counters()
    kernel = window_to_bar(60, counters=counters).kernel()
    made = push(kernel, trade(10), quote(60), status("open", 60), quote(40, delay=20), trade(50, delay=20))
    assert starts(made) == [0.0]
    assert counters["late"] == 1
    kernel = window_to_bar(60, counters=counters).kernel()
    push(kernel, quote(60), status("open", 60), trade(50, delay=10))
    assert counters["late"] == 2, "though no bar had closed"


# Late trades and what is not applied


def test_a_trade_whose_bar_has_closed_is_counted_and_if_asked_for_emitted() -> None:
    counters = Counters()
    straggler = trade(59, delay=3)
    counting: Bars = window_to_bar(60, counters=counters).kernel()
    push(counting, trade(10), quote(60))
    assert push(counting, straggler) == []
    emitting: Bars = window_to_bar(60, late="emit", counters=counters).kernel()
    push(emitting, trade(10), quote(60))
    assert push(emitting, straggler) == [LateTrade(straggler, 0, 60 * SECOND, 62 * SECOND)]
    assert counters == {"late": 2}


def test_what_has_closed_stays_closed_even_to_an_item_of_that_very_moment() -> None:
    counters = Counters()
    kernel = window_to_bar(60, counters=counters).kernel()
    push(kernel, trade(10))
    assert starts(kernel.wake(60 * SECOND)) == [0.0]
    assert push(kernel, trade(59, delay=1)) == []
    assert counters["late"] == 1


def test_a_stretch_closes_for_symbols_that_have_no_bar_too() -> None:
    counters = Counters()
    kernel = window_to_bar(60, counters=counters).kernel()
    push(
        kernel, quote(10), trade(59, symbol="B", delay=2), quote(61, delay=1), trade(59, symbol="C", delay=4)
    )
    assert counters["late"] == 2
    assert list(kernel.flush()) == []


def test_time_that_has_passed_does_not_come_back_when_the_line_slows_down() -> None:
    counters = Counters()
    kernel = window_to_bar(60, counters=counters).kernel()
    push(kernel, quote(10), quote(50, delay=15), trade(59, delay=10))
    assert counters["late"] == 1, "at 65 s, before the slow quote came, the watermark was at 65 s"


@pytest.mark.parametrize(("received", "late"), [(60 * SECOND, 0), (60 * SECOND + 1, 1)])
def test_what_comes_at_the_moment_of_closing_is_in_time_and_a_nanosecond_after_it_is_late(
    received: int, late: int
) -> None:
    straggler = Trade("B", 40 * SECOND, received, 1.0, 1.0, venue="x")
    slow = Quote("Q", 50 * SECOND, received, 1.0, 1.0, 2.0, 1.0, "x")
    for events in [straggler], [slow, straggler], [quote(45), straggler]:
        counters = Counters()
        kernel = window_to_bar(60, counters=counters).kernel()
        assert starts(push(kernel, trade(10), *events)) == [0.0][:late]
        assert counters["late"] == late
        counters.clear()
        push(window_to_bar(60, counters=counters).kernel(), quote(10), *events)
        assert counters["late"] == late


def test_a_late_trade_names_its_stretch() -> None:
    kernel = window_to_bar(60, origin=15 * SECOND, late="emit").kernel()
    straggler = trade(14, delay=70)
    assert push(kernel, quote(80), straggler) == [
        LateTrade(straggler, -45 * SECOND, 15 * SECOND, straggler.ts_recv)
    ]


def test_corrections_and_cancels_are_counted_and_tell_the_time() -> None:
    counters = Counters()
    kernel = window_to_bar(60, counters=counters).kernel()
    push(kernel, trade(10))
    now = 60 * SECOND
    assert starts(kernel.push(TradeCancel("A", now, now, "1", 1.0, 1.0, "x"))) == [0.0]
    kernel.push(TradeCorrection("A", now, now, "1", 1.0, 1.0, "2", 1.0, 1.0, "x"))
    assert counters == {"unapplied": 2}


def test_a_sampled_price_counts_as_a_trade() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, Trade("A", 1, 1, 5.0, 2.0, sampled=True))
    assert [(bar.open, bar.volume) for bar in bars(kernel.flush())] == [(5.0, 2.0)]


# Partial bars


def test_the_bar_during_which_we_began_is_partial() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(kernel, trade(10), trade(60), trade(120))
    assert [bar.partial for bar in bars(made)] == ["start", None]
    assert [bar.partial for bar in bars(kernel.flush())] == ["end"]


def test_we_began_at_the_first_sign_of_the_venue() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(
        kernel, status("open", 1), status("heartbeat", 58), trade(61), trade(70, symbol="B"), quote(121)
    )
    assert [bar.partial for bar in bars(made)] == [None, None]


def test_the_opening_of_a_connection_is_no_sign_since_it_is_told_to_latecomers_too() -> None:
    kernel = window_to_bar(60).kernel()
    assert [bar.partial for bar in bars(push(kernel, status("open", 1), trade(70), quote(120)))] == ["start"]


def test_a_symbol_that_was_subscribed_later_begins_later() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(
        kernel,
        status("subscribed", 0, "A", "trades"),
        trade(10),
        status("subscribed", 20, "B", "trades"),
        status("subscribed", 20, "A", "books"),
        trade(30, symbol="B"),
        trade(61, symbol="B"),
        status("subscribed", 65, "B", "trades"),
        quote(120),
    )
    assert [(bar.symbol, bar.partial) for bar in bars(made)] == [("A", None), ("B", "start"), ("B", None)]


def test_where_we_began_is_told_in_the_time_of_events() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(kernel, status("subscribed", 950, "A", "trades"), trade(60, delay=900), quote(120, delay=900))
    assert [bar.partial for bar in bars(made)] == [None]


def test_unsubscribing_cuts_the_bar_off() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(
        kernel,
        status("subscribed", 0, "A", "trades"),
        trade(10),
        trade(10, symbol="B"),
        status("unsubscribed", 30, "A", "trades"),
        status("unsubscribed", 30, "B", "books"),
        status("rejected", 31, "B", "trades"),
        quote(60),
        status("subscribed", 70, "A", "trades"),
        trade(80),
        quote(120),
    )
    assert [(bar.symbol, bar.partial) for bar in bars(made)] == [("A", "end"), ("B", None), ("A", "start")]


# Gaps


def test_a_gap_marks_the_bars_it_overlaps() -> None:
    kernel = window_to_bar(10).kernel()
    made = push(kernel, trade(5), trade(15), gap(17, None))
    made += kernel.wake(20 * SECOND)
    made += push(kernel, gap(17, 35), trade(35), trade(45), quote(60))
    assert [(bar.start // SECOND, bar.gap) for bar in bars(made)] == [
        (0, False),
        (10, True),
        (30, True),
        (40, False),
    ]


def test_a_gap_ends_where_the_first_data_came_and_begins_after_the_last() -> None:
    kernel = window_to_bar(10).kernel()
    made = push(kernel, trade(5), quote(10), gap(10, None), gap(10, 20), trade(20), quote(30))
    assert [(bar.start // SECOND, bar.gap) for bar in bars(made)] == [(0, False), (20, False)]
    kernel = window_to_bar(10, grace=60).kernel()
    push(kernel, trade(5), trade(15), trade(25), gap(10, 20))
    assert [bar.gap for bar in bars(kernel.flush())] == [False, True, False]
    kernel = window_to_bar(10).kernel()
    made = push(kernel, trade(15), gap(15, 15), trade(20), quote(30))
    assert [bar.gap for bar in bars(made)] == [True, False], "one without a length is one all the same"


def test_bars_close_on_time_while_the_line_is_lost() -> None:
    kernel = window_to_bar(10, empty="flat").kernel()
    push(kernel, trade(5), gap(7, None))
    assert kernel.due() == 10 * SECOND
    made = bars(kernel.wake(30 * SECOND))
    assert [(bar.start // SECOND, bar.gap, bar.synthetic) for bar in made] == [
        (0, True, False),
        (10, True, True),
        (20, True, True),
    ]


def test_a_gap_of_some_symbols_marks_these_alone() -> None:
    kernel = window_to_bar(10).kernel()
    made = push(kernel, trade(5), trade(5, symbol="B"), gap(6, 7, "B", "C"), quote(10))
    assert [(bar.symbol, bar.gap) for bar in bars(made)] == [("A", False), ("B", True)]
    assert kernel.due() is None


def test_a_gap_of_another_venue_marks_nothing() -> None:
    kernel = window_to_bar(10).kernel()
    made = push(kernel, trade(5), gap(6, 7, venue="y"), quote(10))
    assert [bar.gap for bar in bars(made)] == [False]


def test_a_gap_in_something_else_than_trades_marks_nothing() -> None:
    kernel = window_to_bar(10).kernel()
    made = push(kernel, trade(5), Gap(6 * SECOND, 7 * SECOND, 1, 7 * SECOND, "", "x", (), "books"), quote(10))
    assert [bar.gap for bar in bars(made)] == [False]


def test_several_holes_may_be_open_at_once() -> None:
    kernel = window_to_bar(10).kernel()
    push(kernel, trade(1), gap(4, None, "B"), gap(5, None, "A"), gap(6, None, "A"), gap(6, 7, "A"))
    push(kernel, trade(11), trade(11, symbol="B"), trade(11, symbol="C"), gap(5, 12, "A"))
    made = push(kernel, *(trade(21, symbol=symbol) for symbol in "ABC"), quote(30))
    assert [(bar.symbol, bar.start // SECOND, bar.gap) for bar in bars(made)] == [
        ("A", 10, True),
        ("B", 10, True),
        ("C", 10, False),
        ("A", 20, False),
        ("B", 20, True),
        ("C", 20, False),
    ]


def test_a_hole_that_no_bar_can_touch_any_more_is_forgotten() -> None:
    kernel = window_to_bar(10, grace=5).kernel()

    def holes() -> int:
        return len(kernel.state()["x"]["holes"])

    push(kernel, trade(5), gap(6, 7), gap(8, 9))
    assert holes() == 2
    push(kernel, trade(26))
    kernel.wake(35 * SECOND)
    assert holes() == 0, "closing a bar after those they touch forgets them"
    push(kernel, gap(36, 37), quote(53), gap(54, 55))
    assert holes() == 1, "of no use is the first, though nothing traded"
    push(kernel, quote(75), Lost("", "Trade", 1, 76 * SECOND, 76 * SECOND, "ring", 76 * SECOND))
    assert holes() == 1


@pytest.mark.parametrize(
    ("symbol", "marked"),
    [("", [True, True, True, False]), ("A", [True, False, True, False]), ("C", [False] * 4)],
)
def test_lost_items_mark_the_bars_from_the_first_to_the_last(symbol: str, marked: list[bool]) -> None:
    kernel = window_to_bar(10, grace=60).kernel()
    lost = Lost(symbol, "Trade", 3, 9 * SECOND, 10 * SECOND, "ring", 11 * SECOND)
    push(kernel, trade(5), trade(5, symbol="B"), lost, trade(12), trade(22))
    assert [bar.gap for bar in bars(kernel.flush())] == marked


def test_what_is_lost_before_any_venue_spoke_concerns_no_bar() -> None:
    kernel = window_to_bar(10).kernel()
    assert push(kernel, Lost("", "Trade", 3, 0, 1, "ring", 1), trade(5)) == []
    assert [bar.gap for bar in bars(kernel.flush())] == [False]


def test_a_gap_is_moved_into_the_time_of_events() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(
        kernel,
        trade(10, delay=900),
        gap(930, None),
        gap(930, 950),
        trade(70, delay=900),
        quote(120, delay=900),
    )
    assert [(bar.start // SECOND, bar.gap) for bar in bars(made)] == [(0, True), (60, False)]


def test_lost_items_are_moved_into_the_time_of_events() -> None:
    kernel = window_to_bar(60, grace=900).kernel()
    lost = Lost("", "Trade", 1, 950 * SECOND, 955 * SECOND, "ring", 955 * SECOND)
    push(kernel, trade(10, delay=900), lost, *(trade(second, delay=900) for second in (70, 910)))
    assert [bar.gap for bar in bars(kernel.flush())] == [True, False, False]


def test_a_gap_that_closes_under_another_delay_keeps_its_beginning() -> None:
    kernel = window_to_bar(10, grace=60, tolerance=10).kernel()
    push(kernel, trade(5), trade(15), gap(15, None), trade(31, delay=-6), gap(15, 26))
    assert [bar.gap for bar in bars(kernel.flush())] == [False, True, True]


# Empty stretches


def test_an_empty_stretch_has_no_bar() -> None:
    kernel = window_to_bar(10).kernel()
    assert starts(push(kernel, trade(5), trade(35), quote(40))) == [0.0, 30.0]


def test_flat_bars_carry_the_last_close_from_the_first_bar_on() -> None:
    kernel = window_to_bar(10, empty="flat").kernel()
    push(kernel, quote(1))
    assert kernel.due() is None
    push(kernel, trade(15, 7.0), trade(16, 8.0))
    made = bars(kernel.wake(40 * SECOND))
    assert [(bar.start // SECOND, bar.close, bar.volume, bar.synthetic) for bar in made] == [
        (10, 8.0, 2.0, False),
        (20, 8.0, 0.0, True),
        (30, 8.0, 0.0, True),
    ]
    flat = made[1]
    assert (flat.open, flat.high, flat.low, flat.vwap, flat.count) == (8.0, 8.0, 8.0, 8.0, 0)
    assert (flat.ts_open, flat.ts_recv, flat.venue) == (20 * SECOND, 16 * SECOND, "x")
    assert kernel.due() == 50 * SECOND
    assert spans(push(kernel, trade(41, symbol="B"), trade(50, symbol="B"))) == [("A", 40, 50), ("B", 40, 50)]


def test_flat_bars_fill_the_time_up_to_a_trade_from_the_future() -> None:
    kernel = window_to_bar(10, empty="flat", tolerance=0).kernel()
    push(kernel, trade(5), trade(25, delay=-19))
    assert [(bar.start // SECOND, bar.synthetic) for bar in bars(kernel.wake(40 * SECOND))] == [
        (0, False),
        (10, True),
        (20, False),
        (30, True),
    ]


def test_a_clock_that_leaps_gets_every_flat_bar() -> None:
    kernel = window_to_bar(1, empty="flat").kernel()
    push(kernel, trade(0))
    made = bars(push(kernel, quote(5_000)))
    assert starts(made) == list(range(5_000))


def test_an_unsubscribed_symbol_goes_flat_no_more() -> None:
    kernel = window_to_bar(10, empty="flat").kernel()
    push(kernel, trade(5), trade(5, symbol="B"), quote(10), status("unsubscribed", 12, "A", "trades"))
    assert spans(kernel.wake(20 * SECOND)) == [("B", 10.0, 20.0)]
    push(kernel, status("unsubscribed", 21, "B"))
    assert kernel.due() is None


# Forming bars


def test_updates_show_the_bar_so_far_at_each_trade() -> None:
    kernel = window_to_bar(60, emit="update").kernel()
    made = push(kernel, trade(0, 1.0), trade(1, 2.0), quote(2), gap(3, 4), trade(60, 3.0))
    assert [(bar.start // SECOND, bar.close, bar.count, bar.final, bar.gap) for bar in bars(made)] == [
        (0, 1.0, 1, False, False),
        (0, 2.0, 2, False, False),
        (0, 2.0, 2, True, True),
        (60, 3.0, 1, False, False),
    ]


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"every": -1},
        {"every": float("inf")},
        {"grace": -0.5},
        {"tolerance": -1},
        {"empty": "zero"},
        {"emit": "all"},
        {"late": "drop"},
        {"clock": "wall"},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        window_to_bar(**{"every": 1, **options})


def test_each_subscription_has_bars_of_its_own() -> None:
    operator = window_to_bar(60)
    one, other = operator.kernel(), operator.kernel()
    push(one, trade(1))
    assert list(other.flush()) == []


# In virtual time


def test_a_marble_under_the_stock_test_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        on_next(210, trade(209, delay=1)),
        on_next(230, trade(229, delay=1)),
        on_next(240, quote(240)),
        on_next(270, trade(270)),
        on_completed(290),
    )
    got = scheduler.start(lambda: source.pipe(window_to_bar(20)))
    made: list[Any] = list(got.messages)
    assert made.pop() == on_completed(290)
    assert [(each.time, each.value.value.start // SECOND) for each in made] == [
        (221.0, 200),  # a second after its end, as the line delays
        (240.0, 220),  # by the quote
        (280.0, 260),  # by the time alone
    ]


def test_a_quiet_symbols_bar_leaves_on_time_under_nano_scheduler() -> None:
    scheduler, source = NanoScheduler(), Subject[Event]()
    got: list[tuple[int, Bar]] = []
    source.pipe(window_to_bar(60)).subscribe(
        lambda bar: got.append((scheduler.now_ns, bar)), scheduler=scheduler
    )
    scheduler.advance_to(10 * SECOND + 7)
    source.on_next(trade(10, delay=7e-9))
    scheduler.advance_to(60 * SECOND + 6)
    assert got == []
    scheduler.advance_by(1e-9)
    assert [(moment, bar.end) for moment, bar in got] == [(60 * SECOND + 7, 60 * SECOND)]


# Laws


OPERATORS: Sequence[Callable[[], Any]] = (
    lambda: window_to_bar(1, late="emit"),
    lambda: window_to_bar(2, grace=1.5, late="emit"),
    lambda: window_to_bar(1, empty="flat", grace=0.25),
    lambda: window_to_bar(3, emit="update", origin=SECOND // 2, tolerance=0),
    lambda: window_to_bar(1, clock="recv"),
)
VENUES = ("x", "y")


@settings(max_examples=100)
@given(event_streams(venues=VENUES), st.sampled_from(OPERATORS))
def test_it_resumes_anywhere(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)


@settings(max_examples=60, deadline=None)
@given(event_streams(venues=VENUES), st.sampled_from(OPERATORS))
def test_live_and_virtual_runs_agree(events: list[Event], operator: Callable[[], Any]) -> None:
    same_live_and_virtual(operator(), events)


@settings(max_examples=200)
@given(event_streams(venues=VENUES), st.sampled_from(OPERATORS))
def test_without_timers_the_items_bring_the_same_bars(
    events: list[Event], operator: Callable[[], Any]
) -> None:
    kernel = operator().kernel()
    assert push(kernel, *events) + list(kernel.flush()) == run(operator().kernel(), events)


@settings(max_examples=200)
@given(event_streams(venues=VENUES), st.sampled_from((0, 1, 3, 6)))
def test_bars_are_what_a_naive_count_of_the_trades_gives(events: list[Event], grace: int) -> None:
    made = run(window_to_bar(1, grace=grace / 4, late="emit").kernel(), events)
    trades, late, reached = naive(events, SECOND, grace * TICK)
    assert [each.trade for each in made if isinstance(each, LateTrade)] == late
    finals = bars(made)
    assert {(bar.venue, bar.symbol, bar.start) for bar in finals} == set(trades)
    for bar in finals:
        group = trades[bar.venue, bar.symbol, bar.start]
        in_order = sorted(group, key=lambda each: each.ts_event)  # stable: ties by arrival
        prices = [each.price for each in group]
        assert bar.end == bar.start + SECOND
        assert (bar.partial == "end") == (bar.end + grace * TICK > reached[bar.venue])
        assert (bar.open, bar.high) == (in_order[0].price, max(prices))
        assert (bar.low, bar.close) == (min(prices), in_order[-1].price)
        assert (bar.ts_open, bar.ts_close) == (in_order[0].ts_event, in_order[-1].ts_event)
        assert bar.ts_recv == group[-1].ts_recv
        assert (bar.volume, bar.count) == (sum(each.size for each in group), len(group))
        assert bar.value == sum(each.price * each.size for each in group)
        assert bar.buy_volume == sum(each.size for each in group if each.side is Side.BUY)
        assert bar.sell_volume == sum(each.size for each in group if each.side is Side.SELL)


def naive(
    events: Sequence[Event], every: int, grace: int
) -> tuple[dict[tuple[str, str, int], list[Trade]], list[Trade], dict[str, int]]:
    """The trades of each bar, the late ones, and how far time got, by the definition of the watermark."""
    groups: dict[tuple[str, str, int], list[Trade]] = defaultdict(list)
    late: list[Trade] = []
    reached = dict.fromkeys(VENUES, -1)
    carriers: dict[str, tuple[int, int] | None] = dict.fromkeys(VENUES)  # (event time, ts_recv)
    fresh = dict.fromkeys(VENUES, True)
    for event in events:
        venue = getattr(event, "venue", "")
        carrier = carriers.get(venue)
        if carrier is not None:
            reached[venue] = max(reached[venue], carrier[0] + event.ts_recv - 1 - carrier[1])
        if (isinstance(event, Status) and event.state == "open") or (
            isinstance(event, Gap) and event.ts_end is None
        ):
            fresh[venue] = True
        if not isinstance(event, Trade | Quote | OrderBookUpdate | TradeCancel):
            continue
        mark = min(event.ts_event, event.ts_recv + SECOND)
        if carrier is None or fresh[venue] or mark > carrier[0]:
            carriers[venue], fresh[venue] = (mark, event.ts_recv), False
            reached[venue] = max(reached[venue], mark)
        if isinstance(event, Trade):
            start = event.ts_event // every * every
            if start + every + grace <= reached[venue]:
                late.append(event)
            else:
                groups[venue, event.symbol, start].append(event)
    for venue, carrier in carriers.items():
        if carrier is not None:
            reached[venue] = max(reached[venue], carrier[0] + events[-1].ts_recv - 1 - carrier[1])
    return groups, late, reached


@settings(max_examples=200)
@given(event_streams(venues=VENUES), st.sampled_from(OPERATORS))
def test_nothing_is_emitted_twice_and_every_venues_bars_are_in_order(
    events: list[Event], operator: Callable[[], Any]
) -> None:
    made = [bar for bar in bars(run(operator().kernel(), events)) if bar.final]
    for venue in VENUES:
        order = [(bar.end, bar.symbol) for bar in made if bar.venue == venue]
        assert order == sorted(set(order))


@settings(max_examples=200)
@given(event_streams(venues=VENUES), st.sampled_from(("none", "flat")), st.sampled_from(("event", "recv")))
def test_no_volume_is_lost(events: list[Event], empty: Any, clock: Any) -> None:
    counters = Counters()
    operator = window_to_bar(1, grace=0.5, empty=empty, clock=clock, late="emit", counters=counters)
    made = run(operator.kernel(), events)
    traded = [event for event in events if isinstance(event, Trade)]
    late = [each.trade for each in made if isinstance(each, LateTrade)]
    assert sum(bar.volume for bar in bars(made)) + sum(each.size for each in late) == sum(
        each.size for each in traded
    )
    assert sum(bar.count for bar in bars(made)) + counters["late"] == len(traded)
    assert counters["late"] == len(late)


@settings(max_examples=200)
@given(event_streams(venues=VENUES))
def test_flat_bars_leave_no_stretch_out_and_change_none_of_the_others(events: list[Event]) -> None:
    flat = bars(run(window_to_bar(1, empty="flat").kernel(), events))
    assert [bar for bar in flat if not bar.synthetic] == run(window_to_bar(1).kernel(), events)
    chains: dict[tuple[str, str], list[Bar]] = defaultdict(list)
    for bar in flat:
        if bar.partial != "end":
            chains[bar.venue, bar.symbol].append(bar)
    for chain in chains.values():
        assert not chain[0].synthetic
        for before, after in pairwise(chain):
            assert after.start == before.end
            assert not after.synthetic or after.open == after.close == before.close


@settings(max_examples=100)
@given(st.data())
def test_how_symbols_interleave_does_not_matter(data: st.DataObject) -> None:
    in_time = [trade(n // 3 / 2, float(data.draw(st.integers(1, 9))), symbol="ABC"[n % 3]) for n in range(18)]
    shuffled = sorted(data.draw(st.permutations(in_time)), key=lambda each: each.ts_recv)
    assert run(window_to_bar(1).kernel(), shuffled) == run(window_to_bar(1).kernel(), in_time)


@st.composite
def any_bar(draw: st.DrawFn) -> Bar:
    small, yes_or_no = st.integers(0, 5), st.booleans()
    start, volume, count = draw(small), draw(small) / 8, draw(small)
    prices = sorted(float(draw(small)) for _ in range(4))
    first, last = sorted((draw(small), draw(small)))
    return Bar(
        "A",
        start,
        start + draw(small),
        open=draw(st.sampled_from(prices)),
        high=prices[3],
        low=prices[0],
        close=draw(st.sampled_from(prices)),
        volume=volume,
        count=count,
        value=volume * 4,
        buy_volume=volume / 2,
        sell_volume=volume / 4,
        ts_open=first,
        ts_close=last,
        ts_recv=draw(small),
        partial=draw(st.sampled_from((None, "start", "end"))),
        gap=draw(yes_or_no),
        synthetic=draw(yes_or_no),
        final=draw(yes_or_no),
        revision=draw(small),
    )


@settings(max_examples=200)
@given(any_bar(), any_bar(), any_bar())
def test_merging_is_associative(a: Bar, b: Bar, c: Bar) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


def test_the_price_of_a_synthetic_bar_gives_way() -> None:
    flat = Bar("A", 0, 10, 9.0, 9.0, 9.0, 9.0, 0.0, 0, 0.0, synthetic=True)
    real = Bar("A", 10, 20, 2.0, 3.0, 1.0, 2.5, 4.0, 3, 8.0, ts_open=11, ts_close=12)
    for both in flat.merge(real), real.merge(flat):
        assert (both.open, both.high, both.low, both.close, both.synthetic) == (2.0, 3.0, 1.0, 2.5, False)
        assert (both.start, both.end, both.ts_open, both.ts_close) == (0, 20, 11, 12)


@settings(max_examples=200)
@given(event_streams(symbols=("A",)))
def test_short_bars_merged_are_the_long_bar(events: list[Event]) -> None:
    in_time = [each for each in events if not isinstance(each, Trade) or each.ts_event == each.ts_recv]
    short = bars(run(window_to_bar(1, empty="flat", tolerance=0).kernel(), in_time))
    longer = bars(run(window_to_bar(1_000_000, tolerance=0).kernel(), in_time))
    assert len(longer) == bool(short)
    for bar in longer:
        merged = reduce(Bar.merge, short)
        assert (merged.open, merged.high, merged.low, merged.close) == (
            bar.open,
            bar.high,
            bar.low,
            bar.close,
        )
        assert (merged.volume, merged.count, merged.value) == (bar.volume, bar.count, bar.value)
        assert (merged.buy_volume, merged.sell_volume) == (bar.buy_volume, bar.sell_volume)
        assert (merged.ts_open, merged.ts_close, merged.ts_recv) == (bar.ts_open, bar.ts_close, bar.ts_recv)


def test_bars_of_different_symbols_do_not_merge() -> None:
    one, other = bars(run(window_to_bar(1).kernel(), [trade(0), trade(0, symbol="B")]))
    with pytest.raises(ValueError, match="do not add up"):
        one.merge(other)


# To the nanosecond, and to the word


def test_a_bar_may_be_one_nanosecond_long() -> None:
    kernel = window_to_bar(1e-9).kernel()
    assert [(bar.start, bar.end) for bar in bars(push(kernel, trade(0), trade(1)))] == [(0, 1)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"every": 0}, "positive length, not every=0"),
        ({"every": 60, "grace": -1}, "cannot be negative: grace=-1, tolerance=1.0"),
        ({"every": 60, "empty": "flast"}, "'flast' is none of 'none', 'flat'"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        window_to_bar(**options)


@pytest.mark.parametrize("rule", [{"every": 60}, {"ticks": 5}])
def test_what_cannot_judge_is_refused_at_once(rule: dict[str, Any]) -> None:
    word: Any = "regular"
    with pytest.raises(TypeError, match="eligibility= wants a table such as SALE_CONDITIONS or a function"):
        window_to_bar(**rule, eligibility=word)


@pytest.mark.parametrize("origin", [0.5, "2026-11-20"])
def test_a_stamp_is_a_whole_number(origin: Any) -> None:
    with pytest.raises(TypeError, match="origin is a stamp, in whole nanoseconds"):
        window_to_bar(60, origin=origin)


def test_a_watermark_that_falls_back_closes_nothing_that_it_had_not_reached() -> None:
    counters = Counters()
    kernel = window_to_bar(5, counters=counters).kernel()
    push(kernel, trade(10, delay=1), trade(12, delay=3), trade(12.5, symbol="B", delay=3))
    assert counters["late"] == 0
    assert [bar.symbol for bar in bars(kernel.flush())] == ["A", "B"]


def test_a_trade_of_the_stretch_before_is_late_at_the_very_nanosecond_of_the_first_of_the_next() -> None:
    counters = Counters()
    kernel = window_to_bar(60, counters=counters).kernel()
    push(kernel, trade(60, symbol="B"), trade(59, delay=1))
    assert counters["late"] == 1


def test_the_bar_so_far_says_that_we_joined_in_its_middle() -> None:
    kernel = window_to_bar(60, emit="update").kernel()
    assert [bar.partial for bar in bars(push(kernel, quote(10), trade(20)))] == ["start"]


def test_a_venue_may_begin_with_a_gap() -> None:
    kernel = window_to_bar(60).kernel()
    (bar,) = bars(push(kernel, gap(0, 5), trade(30), trade(60)))
    assert (bar.venue, bar.partial, bar.gap) == ("x", "start", True)


def test_a_gap_ends_before_its_end_and_not_after_its_start() -> None:
    kernel = window_to_bar(60).kernel()
    push(kernel, gap(60, 70), trade(30, delay=40))
    assert [bar.gap for bar in bars(kernel.flush())] == [False]
    kernel = window_to_bar(60).kernel()
    _, second = bars(push(kernel, trade(0), gap(50, 60.000000001), trade(61), trade(120)))
    assert second.gap


def test_a_flat_bar_begins_and_ends_at_its_start_and_knows_the_gaps_of_its_symbol() -> None:
    kernel = window_to_bar(60, empty="flat").kernel()
    _, flat = bars(push(kernel, trade(0), gap(70, 80, "A"), quote(120)))
    assert (flat.ts_open, flat.ts_close, flat.gap) == (60 * SECOND, 60 * SECOND, True)
