"""window_to_bar by trades, volume and value: every bar is exactly full, and nothing is lost between two."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import accumulate, pairwise
from math import fsum, isclose
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rtflow.conditions import SALE_CONDITIONS
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Lost, Quote, Side, Status, Trade, TradeCancel, TradeCorrection
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.time import SECOND
from tests import naive_bars
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def trade(
    second: int,
    price: float = 10.0,
    size: float = 1.0,
    *,
    symbol: str = "A",
    side: Side = Side.UNKNOWN,
    conditions: tuple[str, ...] = (),
    venue: str = "x",
) -> Trade:
    stamp = second * SECOND
    return Trade(symbol, stamp, stamp, price, size, side, venue=venue, conditions=conditions, tape="A")


def push(kernel: Any, *events: Event) -> list[Bar]:
    return [bar for event in events for bar in kernel.push(event)]


def named(id: str, second: int, price: float = 10.0, size: float = 1.0, side: Side = Side.BUY) -> Trade:  # noqa: A002
    return replace(trade(second, price, size, side=side), id=id)


def cancel(second: int, id: str) -> TradeCancel:  # noqa: A002
    return TradeCancel("A", second * SECOND, second * SECOND, id, 1.0, 1.0, "x")


def correction(second: int, id: str, price: float, size: float, *conditions: str) -> TradeCorrection:  # noqa: A002
    stamp = second * SECOND
    return TradeCorrection(
        "A", stamp, stamp, id, 1.0, 1.0, id + "'", price, size, "x", conditions=conditions, tape="A"
    )


def gap(start: int, end: int | None, *symbols: str, kind: str = "", filled: int | None = None) -> Gap:
    stop = None if end is None else end * SECOND
    return Gap(start * SECOND, stop, 1, (end or start) * SECOND, "", "x", symbols, kind, filled)


# A bar that is full


def test_a_bar_of_so_many_trades_leaves_with_the_last_of_them() -> None:
    kernel = window_to_bar(ticks=3).kernel()
    assert push(kernel, trade(1, 10.0, 1.0, side=Side.BUY), trade(5, 12.0, 2.0, side=Side.SELL)) == []
    assert push(kernel, trade(3, 11.0, 0.5)) == [
        Bar(
            "A",
            1 * SECOND,
            5 * SECOND + 1,
            open=10.0,
            high=12.0,
            low=10.0,
            close=12.0,
            volume=3.5,
            count=3,
            value=39.5,
            buy_volume=1.0,
            sell_volume=2.0,
            ts_open=1 * SECOND,
            ts_close=5 * SECOND,
            ts_recv=3 * SECOND,
            venue="x",
        )
    ]
    assert list(kernel.flush()) == []


def test_ten_trades_of_a_tenth_are_one() -> None:
    (bar,) = push(window_to_bar(volume=1).kernel(), *(trade(n, 0.1, 0.1) for n in range(10)))
    assert (bar.volume, bar.count, bar.value) == (1.0, 10, 0.1)


def test_a_trade_that_is_too_large_is_split_and_counts_where_it_begins() -> None:
    kernel = window_to_bar(volume=2).kernel()
    made = push(kernel, trade(1, 10.0, 1.5), trade(2, 11.0, 5.0, side=Side.BUY))
    assert [(bar.open, bar.close, bar.volume, bar.value, bar.count, bar.buy_volume) for bar in made] == [
        (10.0, 11.0, 2.0, 20.5, 2, 0.5),
        (11.0, 11.0, 2.0, 22.0, 0, 2.0),
        (11.0, 11.0, 2.0, 22.0, 0, 2.0),
    ]
    assert [bar.start for bar in made] == [1 * SECOND, 2 * SECOND, 2 * SECOND]
    (rest,) = kernel.flush()
    assert (rest.volume, rest.count, rest.partial) == (0.5, 0, "end")


def test_a_trade_that_fits_exactly_leaves_nothing_over() -> None:
    kernel = window_to_bar(volume=2).kernel()
    (bar,) = push(kernel, trade(1), trade(2))
    assert bar.volume == 2.0
    assert list(kernel.flush()) == []


def test_a_bar_of_value_is_split_by_its_price() -> None:
    kernel = window_to_bar(value=100).kernel()
    made = push(kernel, trade(1, 10.0, 4.0), trade(2, 20.0, 8.0, side=Side.SELL))
    assert [(bar.value, bar.volume, bar.count, bar.sell_volume) for bar in made] == [
        (100.0, 7.0, 2, 3.0),
        (100.0, 5.0, 0, 5.0),
    ]
    assert list(kernel.flush()) == []


def test_a_price_below_zero_fills_by_its_size() -> None:
    kernel = window_to_bar(value=10).kernel()
    made = push(kernel, trade(1, -37.0, 0.0), trade(1, -4.0, 4.0))
    assert [(bar.value, bar.volume) for bar in made] == [(-10.0, 2.5)]
    assert [(bar.value, bar.volume) for bar in kernel.flush()] == [(-6.0, 1.5)]


def test_a_large_trade_may_be_kept_whole() -> None:
    kernel = window_to_bar(volume=2, overshoot="keep").kernel()
    made = push(kernel, trade(1, 10.0, 1.5), trade(2, 11.0, 5.0), trade(3, 12.0, 2.0))
    assert [(bar.volume, bar.count) for bar in made] == [(6.5, 2), (2.0, 1)]


def test_every_symbol_and_every_venue_fills_its_own() -> None:
    kernel = window_to_bar(ticks=2).kernel()
    assert push(kernel, trade(1), trade(1, symbol="B"), trade(1, venue="y")) == []
    assert [(bar.symbol, bar.venue) for bar in push(kernel, trade(2, venue="y"), trade(2))] == [
        ("A", "y"),
        ("A", "x"),
    ]
    assert push(kernel, trade(3, venue="y")) == []
    assert [(bar.symbol, bar.venue, bar.partial) for bar in kernel.flush()] == [
        ("B", "x", "end"),
        ("A", "y", "end"),
    ]


def test_updates_show_the_bar_so_far_and_what_a_split_has_left() -> None:
    kernel = window_to_bar(volume=2, emit="update").kernel()
    made = push(kernel, trade(1, size=1.0), trade(2, size=1.5), trade(3, size=1.5))
    assert [(bar.volume, bar.final) for bar in made] == [(1.0, False), (2.0, True), (0.5, False), (2.0, True)]


def test_a_size_that_no_sum_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="no bar adds up with Trade"):
        push(window_to_bar(volume=2).kernel(), trade(1, size=float("inf")))
    with pytest.raises(ValueError, match="no bar adds up with Trade"):
        push(window_to_bar(volume=2).kernel(), trade(1, price=float("nan")))


# What is put right


def test_a_trade_that_is_taken_back_has_never_been_in_the_bar_that_forms() -> None:
    kernel = window_to_bar(ticks=3).kernel()
    push(kernel, named("a", 1, 10.0, 1.0), named("b", 2, 99.0, 2.0), cancel(3, "b"))
    (bar,) = push(kernel, named("c", 4, 12.0, 4.0), named("d", 5, 11.0, 8.0))
    assert (bar.open, bar.high, bar.low, bar.close) == (10.0, 12.0, 10.0, 11.0)
    assert (bar.volume, bar.count, bar.value, bar.buy_volume) == (13.0, 3, 146.0, 13.0)


def test_a_bar_that_has_lost_all_of_its_trades_begins_anew() -> None:
    kernel = window_to_bar(ticks=2, emit="update").kernel()
    assert push(kernel, gap(0, None), gap(0, 1), named("a", 1), cancel(2, "a"))[1:] == []
    made = push(kernel, named("b", 3, 12.0), named("c", 4, 12.0))
    assert [(bar.start, bar.count, bar.open) for bar in made] == [
        (3 * SECOND, 1, 12.0),
        (3 * SECOND, 2, 12.0),
    ]


def test_what_is_said_of_a_gap_outlives_a_cancel() -> None:
    kernel = window_to_bar(ticks=2).kernel()
    push(kernel, named("a", 1), gap(1, 2), cancel(3, "a"))
    assert [bar.gap for bar in push(kernel, named("b", 3), named("c", 4))] == [True]


def test_a_correction_takes_the_place_of_its_trade_and_keeps_its_stamp_and_side() -> None:
    kernel = window_to_bar(volume=10, emit="update").kernel()
    push(kernel, named("a", 1, 10.0, 1.0), named("b", 2, 11.0, 1.0))
    (bar,) = push(kernel, correction(3, "a", 9.5, 2.5))
    assert (bar.open, bar.low, bar.volume, bar.buy_volume, bar.count) == (9.5, 9.5, 3.5, 3.5, 2)
    assert (bar.start, bar.ts_recv, bar.final) == (1 * SECOND, 3 * SECOND, False)
    (bar,) = push(kernel, cancel(4, "a'"))
    assert (bar.volume, bar.ts_recv) == (1.0, 4 * SECOND)


def test_a_correction_may_fill_the_bar_and_more() -> None:
    kernel = window_to_bar(volume=2).kernel()
    push(kernel, named("a", 1, 10.0, 0.5), named("b", 2, 11.0, 0.5))
    made = push(kernel, correction(3, "a", 10.0, 4.0))
    assert [(bar.volume, bar.count, bar.close, bar.ts_recv) for bar in made] == [
        (2.0, 1, 10.0, 3 * SECOND),
        (2.0, 0, 10.0, 3 * SECOND),
    ]
    assert [(bar.volume, bar.count, bar.close) for bar in kernel.flush()] == [(0.5, 1, 11.0)]


def test_a_correction_to_a_print_that_does_not_count_takes_it_out() -> None:
    kernel = window_to_bar(ticks=2, eligibility=SALE_CONDITIONS).kernel()
    push(kernel, named("a", 1), correction(2, "a", 10.0, 1.0, "M"))
    assert push(kernel, named("b", 3)) == []


def test_what_has_left_in_a_bar_whole_or_in_part_stays() -> None:
    counters = Counters()
    kernel = window_to_bar(volume=2, counters=counters).kernel()
    push(kernel, named("a", 1, size=1.5), named("b", 2, size=1.0), cancel(3, "a"), cancel(3, "b"))
    assert counters == {"unapplied": 2}
    assert [bar.volume for bar in kernel.flush()] == [0.5]


# Sums


@pytest.mark.parametrize(
    "sizes",
    [
        [1.0, 0.1, 0.01, 0.001],  # each finer than the one before
        [1e-30, 1e-7, 5.0],
        [12345678.12345678, 0.1, 123456789012345680.0],
        [1e22, 1e-9],
        [5e-324, 0.0],
    ],
)
@pytest.mark.parametrize("rule", [{"ticks": 9}, {"volume": 1e30}, {"value": 1e60, "overshoot": "keep"}])
def test_sums_are_exact_however_many_digits_there_are(sizes: list[float], rule: dict[str, Any]) -> None:
    prices = [0.3, 1e-8, 9999999999999998.0, 70000.01]
    trades = [trade(n, price, size) for n, (price, size) in enumerate(zip(prices, sizes, strict=False))]
    (bar,) = run(window_to_bar(**rule).kernel(), trades)
    assert bar.volume == float(sum(naive_bars.exact(each.size) for each in trades))
    assert bar.value == float(
        sum(naive_bars.exact(each.size) * naive_bars.exact(each.price) for each in trades)
    )


def test_a_rest_remembers_how_fine_it_is() -> None:
    trades: list[Event] = [trade(1, 10.0, 0.12345), trade(2, 10.0, 3.0), trade(3, 10.0, 1.0)]
    operator: Any = window_to_bar(volume=2)
    resumes_anywhere(operator, trades)
    assert [bar.volume for bar in run(window_to_bar(volume=2).kernel(), trades)] == [2.0, 2.0, 0.12345]


def test_a_trade_of_which_no_end_of_bars_would_come_is_refused() -> None:
    kernel = window_to_bar(volume=0.1).kernel()
    with pytest.raises(ValueError, match=r"more than 100,000 bars of 0\.1 at Trade"):
        push(kernel, trade(1, size=10_000.5))


def test_a_size_beyond_all_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="no bar adds up with Trade"):
        push(window_to_bar(ticks=2).kernel(), trade(1, size=1e200))


# What else is said


def test_corrections_and_cancels_of_nothing_that_we_know_are_counted() -> None:
    counters = Counters()
    kernel = window_to_bar(ticks=2, counters=counters).kernel()
    push(kernel, trade(1), cancel(2, ""), cancel(2, "1"), correction(2, "1", 1.0, 1.0))
    assert counters == {"unapplied": 3}


def test_quotes_are_passed_over() -> None:
    kernel = window_to_bar(ticks=1).kernel()
    assert push(kernel, Quote("A", 1, 1, 1.0, 1.0, 2.0, 1.0, "x"), Status("open", 1, venue="x")) == []


def test_unsubscribing_cuts_the_bar_off() -> None:
    kernel = window_to_bar(ticks=2).kernel()
    push(kernel, trade(1))
    assert push(kernel, Status("unsubscribed", 2, "", "A", "books", venue="x")) == []
    (bar,) = push(kernel, Status("unsubscribed", 2, "", "A", "trades", venue="x"))
    assert (bar.count, bar.partial) == (1, "end")
    assert push(kernel, Status("unsubscribed", 2, "", "A", "trades", venue="x")) == []


def test_a_gap_marks_the_bar_that_it_falls_into_and_no_other() -> None:
    kernel = window_to_bar(ticks=2).kernel()
    made = push(kernel, trade(1), trade(2), trade(3), gap(3, None), gap(3, 5), *map(trade, (5, 6, 7)))
    assert [bar.gap for bar in made] == [False, True, False]


def test_a_gap_between_two_bars_marks_the_next() -> None:
    kernel = window_to_bar(ticks=1).kernel()
    assert [bar.gap for bar in push(kernel, trade(1), gap(1, None), gap(1, 5), trade(5), trade(6))] == [
        False,
        True,
        False,
    ]


def test_while_a_gap_is_open_every_bar_that_leaves_is_marked() -> None:
    kernel = window_to_bar(ticks=1).kernel()
    made = push(kernel, gap(0, None, "A"), trade(1), trade(2), trade(2, symbol="B"), gap(0, 3, "A"), trade(3))
    assert [bar.gap for bar in made] == [True, True, False, True]


def test_a_gap_that_was_filled_or_is_of_something_else_marks_nothing() -> None:
    kernel = window_to_bar(ticks=2).kernel()
    made = push(kernel, trade(1), gap(1, None), gap(1, 4, filled=1), gap(2, None, kind="books"), trade(2))
    assert [bar.gap for bar in made] == [False]


@pytest.mark.parametrize(
    ("symbol", "marked"), [("", [True, True]), ("A", [True, False]), ("C", [False, False])]
)
def test_what_was_lost_marks_the_bars_that_are_open(symbol: str, marked: list[bool]) -> None:
    kernel = window_to_bar(ticks=2).kernel()
    push(kernel, trade(1), trade(1, symbol="B"), Lost(symbol, "Trade", 1, SECOND, SECOND, "ring", SECOND))
    assert [bar.gap for bar in kernel.flush()] == marked


# Eligibility


def test_an_odd_lot_fills_and_sets_no_price() -> None:
    kernel = window_to_bar(volume=10, eligibility=SALE_CONDITIONS).kernel()
    (bar,) = push(kernel, trade(1, 10.0, 4.0), trade(2, 99.0, 6.0, conditions=("I",)))
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (10.0, 10.0, 10.0, 10.0, 10.0)
    assert (bar.count, bar.value) == (2, 634.0)


def test_a_bar_waits_for_a_price_however_full_it_is() -> None:
    counters = Counters()
    kernel = window_to_bar(volume=10, emit="update", eligibility=SALE_CONDITIONS, counters=counters).kernel()
    assert push(kernel, trade(1, 99.0, 25.0, conditions=("I",))) == []
    (bar,) = push(kernel, trade(2, 10.0, 4.0))
    assert (bar.open, bar.high, bar.volume, bar.count, bar.final) == (10.0, 10.0, 29.0, 2, True)
    push(kernel, trade(3, 99.0, 1.0, conditions=("I",)))
    assert list(kernel.flush()) == []
    assert counters == {"unpriced": 1}


def test_what_an_odd_lot_is_too_large_for_waits_in_the_next_bar() -> None:
    kernel = window_to_bar(volume=10, eligibility=SALE_CONDITIONS).kernel()
    made = push(kernel, trade(1, 10.0, 4.0), trade(2, 99.0, 26.0, conditions=("I",)), trade(3, 11.0, 1.0))
    assert [(bar.close, bar.volume, bar.count) for bar in made] == [(10.0, 10.0, 2), (11.0, 21.0, 1)]


def test_a_print_that_repeats_others_does_nothing() -> None:
    kernel = window_to_bar(ticks=1, eligibility=SALE_CONDITIONS).kernel()
    assert push(kernel, trade(1, conditions=("M",))) == []
    assert list(kernel.flush()) == []


# Options


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "exactly one of every, ticks, volume and value"),
        ({"every": 1, "ticks": 1}, "exactly one"),
        ({"volume": 1, "value": 1}, "exactly one"),
        ({"ticks": 0}, "positive amount, not ticks=0"),
        ({"ticks": True}, "whole numbers, not by ticks=True"),
        ({"ticks": 1.5}, "whole numbers, not by ticks=1.5"),
        ({"ticks": 1, "overshoot": "keep"}, "option of volume and of value"),
        ({"every": 1, "overshoot": "keep"}, "option of volume and of value"),
        ({"volume": 1, "overshoot": "drop"}, "'drop' is none of 'split', 'keep'"),
        ({"volume": -1.5}, "positive amount, not volume=-1.5"),
        ({"value": float("nan")}, "positive amount, not value=nan"),
        ({"value": float("inf")}, "positive amount, not value=inf"),
        ({"ticks": 1, "grace": 1}, "an option of every is of no use"),
        ({"ticks": 1, "late": "emit"}, "an option of every is of no use"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        window_to_bar(**options)


# Laws

RULES: tuple[Callable[[], Any], ...] = (
    lambda: window_to_bar(ticks=3),
    lambda: window_to_bar(volume=1.5),
    lambda: window_to_bar(volume=0.375, emit="update"),
    lambda: window_to_bar(value=2),
    lambda: window_to_bar(value=2, overshoot="keep"),
    lambda: window_to_bar(volume=1, eligibility=SALE_CONDITIONS.eligibility),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Trades are odd lots, late, or the official open, which repeats another; some are taken back."""
    said = st.sampled_from([(), (), ("I",), ("Z",), ("Q",)])
    made: list[Event] = []
    for number, each in enumerate(draw(event_streams(venues=("x", "y")))):
        if isinstance(each, Trade):
            each = replace(each, id=str(number), conditions=draw(said), tape="A")
        elif isinstance(each, TradeCancel):
            each = replace(each, id=str(number - draw(st.integers(1, 6))))
        made.append(each)
    return made


@settings(max_examples=100, deadline=None)
@given(streams(), st.sampled_from(RULES))
def test_it_resumes_anywhere_and_live_and_virtual_runs_agree(
    events: list[Event], operator: Callable[[], Any]
) -> None:
    resumes_anywhere(operator(), events)
    same_live_and_virtual(operator(), events)


PRICES = st.decimals("0.01", "500", places=2).map(float)
SIZES = st.decimals("0.00000001", "20", places=8).map(float)
TRADES = st.lists(st.tuples(PRICES, SIZES, st.sampled_from(Side)), max_size=30).map(
    lambda made: [trade(n, price, size, side=side) for n, (price, size, side) in enumerate(made)]
)
MEASURES: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("count", lambda: window_to_bar(ticks=4)),
    ("volume", lambda: window_to_bar(volume=3.3)),
    ("value", lambda: window_to_bar(value=777.7)),
    ("volume", lambda: window_to_bar(volume=3.3, overshoot="keep")),
)


@settings(max_examples=200)
@given(TRADES, st.sampled_from(MEASURES))
def test_volume_value_and_count_are_conserved(
    trades: list[Trade], rule: tuple[str, Callable[[], Any]]
) -> None:
    made = run(rule[1]().kernel(), trades)
    assert sum(bar.count for bar in made) == len(trades)
    one = Decimal(1)
    for name, amounts in {
        "volume": [(one, each.size) for each in trades],
        "value": [(Decimal(str(each.price)), each.size) for each in trades],
        "buy_volume": [(one, each.size) for each in trades if each.side is Side.BUY],
        "sell_volume": [(one, each.size) for each in trades if each.side is Side.SELL],
    }.items():
        exact = sum(factor * Decimal(str(size)) for factor, size in amounts)
        assert isclose(fsum(getattr(bar, name) for bar in made), exact, rel_tol=1e-15)
    for bar in made:
        assert bar.high >= max(bar.open, bar.close)
        assert bar.low <= min(bar.open, bar.close)
        assert bar.start <= bar.ts_open <= bar.ts_close < bar.end


@settings(max_examples=200)
@given(TRADES, st.sampled_from(MEASURES[:3]))
def test_every_bar_but_the_last_is_exactly_full(
    trades: list[Trade], rule: tuple[str, Callable[[], Any]]
) -> None:
    made = run(rule[1]().kernel(), trades)
    target = {"count": 4, "volume": 3.3, "value": 777.7}[rule[0]]
    assert all(getattr(bar, rule[0]) == target for bar in made if bar.partial is None)
    assert all(bar.partial is None for bar, _ in pairwise(made))


@pytest.mark.parametrize(
    ("of", "target"), [("ticks", 7), ("volume", 333.33), ("value", 4321.9), ("volume", 0.75)]
)
def test_thousands_of_trades_on_a_line_that_is_cut(of: str, target: float) -> None:
    trades = naive_bars.market(5, 200 if target < 1 else 3_000)
    expected = naive_bars.split_bars(trades, of, target)
    options: dict[str, Any] = {of: target}
    assert run(window_to_bar(**options).kernel(), trades) == expected
    assert len(expected) > 300


@pytest.mark.parametrize(("of", "target"), [("volume", 333.33), ("value", 4321.9)])
def test_thousands_of_trades_that_are_kept_whole(of: str, target: float) -> None:
    trades = naive_bars.market(6, 3_000)
    so_far = list(accumulate(naive_bars.measures(trades, of), initial=Fraction(0)))
    goal, options = naive_bars.exact(target), cast("dict[str, Any]", {of: target})
    expected = naive_bars.bars_until(trades, lambda first, last: so_far[last + 1] - so_far[first] >= goal)
    assert run(window_to_bar(**options, overshoot="keep").kernel(), trades) == expected


@settings(max_examples=100)
@given(
    TRADES,
    st.sampled_from(MEASURES),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30), st.booleans()), max_size=6),
)
def test_what_was_put_right_in_time_is_as_if_it_had_come_right(
    trades: list[Trade], rule: tuple[str, Callable[[], Any]], changes: list[tuple[int, int, bool]]
) -> None:
    """Bars are full or left when a change comes too late for them; so only what is told of as applied is."""
    counters = Counters()
    kernel = rule[1]().kernel()
    kernel._counters = counters
    made: list[Bar] = []
    remaining: dict[str, float] = {}
    for second, each in enumerate(trades):
        made += push(kernel, replace(each, id=str(second)))
        remaining[str(second)] = each.size
        for at, which, cancels in changes:
            if at == second:
                before = counters["unapplied"]
                id = str(which)  # noqa: A001
                made += push(kernel, cancel(second, id) if cancels else correction(second, id, 7.0, 0.25))
                if counters["unapplied"] == before:
                    del remaining[id]
                    if not cancels:
                        remaining[id + "'"] = 0.25
    made += kernel.flush()
    assert sum(bar.count for bar in made) == len(remaining)
    assert isclose(fsum(bar.volume for bar in made), fsum(remaining.values()), rel_tol=1e-14)
    for bar in made:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


@settings(max_examples=200)
@given(TRADES)
def test_bars_of_three_times_as_much_are_three_bars_in_one(trades: list[Trade]) -> None:
    short, long = run(window_to_bar(ticks=2).kernel(), trades), run(window_to_bar(ticks=6).kernel(), trades)
    merged = [reduce(Bar.merge, short[n : n + 3]) for n in range(0, len(short), 3)]
    for mine, its in zip(merged, long, strict=True):
        assert (mine.start, mine.end, mine.open, mine.high, mine.low, mine.close, mine.count) == (
            its.start,
            its.end,
            its.open,
            its.high,
            its.low,
            its.close,
            its.count,
        )
        assert isclose(mine.volume, its.volume, rel_tol=1e-12)
