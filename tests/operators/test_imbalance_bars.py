"""imbalance_bars: as the book says, and within bounds where the book's threshold runs away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum, isclose
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rtflow.columns import Columns
from rtflow.conditions import SALE_CONDITIONS
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Quote, Side, Status, Trade, TradeCancel
from rtflow.operators import imbalance_bars, renko_bars, run_bars
from rtflow.time import SECOND
from tests import naive_bars
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual

BUY, SELL, UNKNOWN = Side.BUY, Side.SELL, Side.UNKNOWN


def trade(
    second: int,
    side: Side = UNKNOWN,
    price: float = 10.0,
    size: float = 1.0,
    *conditions: str,
    symbol: str = "A",
) -> Trade:
    stamp = second * SECOND
    return Trade(symbol, stamp, stamp, price, size, side, str(second), "x", conditions=conditions, tape="A")


def sided(*sides: Side) -> list[Trade]:
    return [trade(second, side) for second, side in enumerate(sides)]


def lengths(bars: Sequence[Bar]) -> list[int]:
    return [bar.count for bar in bars]


def push(kernel: Any, *events: Event) -> list[Bar]:
    return [bar for event in events for bar in kernel.push(event)]


# A bar that is full


def test_a_bar_leaves_when_one_side_is_so_far_ahead() -> None:
    made = run(imbalance_bars(threshold=2).kernel(), sided(BUY, SELL, BUY, BUY, SELL, SELL, BUY))
    assert [(bar.count, bar.buy_volume, bar.sell_volume, bar.partial) for bar in made] == [
        (4, 3.0, 1.0, None),
        (2, 0.0, 2.0, None),
        (1, 1.0, 0.0, "end"),
    ]


def test_all_that_is_said_of_a_bar() -> None:
    trades = [trade(1, BUY, 10.0, 0.1), trade(5, UNKNOWN, 12.0, 0.2), trade(3, BUY, 11.0, 0.3)]
    (bar,) = push(imbalance_bars(of="volume", threshold=0.6).kernel(), *trades)
    assert bar == Bar(
        "A",
        1 * SECOND,
        5 * SECOND + 1,
        open=10.0,
        high=12.0,
        low=10.0,
        close=12.0,
        volume=0.6,
        count=3,
        value=6.7,
        buy_volume=0.4,
        ts_open=1 * SECOND,
        ts_close=5 * SECOND,
        ts_recv=3 * SECOND,
        venue="x",
    )


def test_sizes_add_up_in_decimal() -> None:
    tenths = [trade(n, BUY, size=0.1) for n in range(10)]
    assert lengths(push(imbalance_bars(of="volume", threshold=1).kernel(), *tenths)) == [10]


def test_a_value_below_zero_counts_without_its_sign() -> None:
    trades = [trade(1, BUY, -5.0), trade(2, BUY, 5.0)]
    assert lengths(push(imbalance_bars(of="value", threshold=10).kernel(), *trades)) == [2]


def test_every_symbol_has_its_own() -> None:
    kernel = imbalance_bars(threshold=2).kernel()
    assert push(kernel, trade(1, BUY), trade(1, BUY, symbol="B")) == []
    assert [bar.symbol for bar in push(kernel, trade(2, BUY))] == ["A"]


def test_updates_show_the_bar_so_far() -> None:
    made = run(imbalance_bars(threshold=2, emit="update").kernel(), sided(BUY, BUY, SELL))
    assert [(bar.count, bar.final) for bar in made] == [(1, False), (2, True), (1, False), (1, True)]


# Signs


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("side_or_tick", [5]),  # 0 + 1 - 1 + 1 + 1: unknown and first, up, sold, up, level
        ("tick", [3, 2]),  # 0 + 1 + 1: a level price is as the one before; then 1 + 1
        ("side", []),  # - 1
    ],
)
def test_who_bought_is_said_by_the_side_or_by_the_tick_rule(signs: Any, expected: list[int]) -> None:
    prices = [(10.0, UNKNOWN), (11.0, UNKNOWN), (11.0, SELL), (12.0, UNKNOWN), (12.0, UNKNOWN)]
    trades = [trade(n, side, price) for n, (price, side) in enumerate(prices)]
    assert lengths(push(imbalance_bars(threshold=2, signs=signs).kernel(), *trades)) == expected


def test_the_tick_rule_goes_on_from_the_bar_before() -> None:
    prices = (10.0, 9.0, 9.0, 9.0, 9.0)
    kernel = imbalance_bars(threshold=2, signs="tick").kernel()
    assert lengths(push(kernel, *(trade(n, BUY, price) for n, price in enumerate(prices)))) == [3, 2]


def test_an_odd_lot_has_a_sign_but_its_price_is_nothing_to_compare_with() -> None:
    kernel = imbalance_bars(threshold=2, signs="tick", eligibility=SALE_CONDITIONS).kernel()
    trades = [trade(1), trade(2, UNKNOWN, 99.0, 1.0, "I"), trade(3, UNKNOWN, 11.0), trade(4, price=12.0)]
    (bar,) = push(kernel, *trades)
    assert (bar.count, bar.high, bar.volume) == (3, 11.0, 3.0)


def test_what_repeats_other_prints_is_passed_over() -> None:
    kernel = imbalance_bars(threshold=1, eligibility=SALE_CONDITIONS).kernel()
    assert push(kernel, trade(1, BUY, 10.0, 1.0, "M")) == []
    assert list(kernel.flush()) == []


def test_a_price_without_a_size_fills_nothing() -> None:
    price_only = SALE_CONDITIONS["corrected consolidated close"].rule(daily=True)
    kernel = imbalance_bars(threshold=1, eligibility=lambda *_: price_only).kernel()
    assert push(kernel, trade(1, BUY)) == []
    assert [(bar.count, bar.close) for bar in kernel.flush()] == [(0, 10.0)]


def test_a_bar_waits_for_a_price() -> None:
    counters = Counters()
    kernel = imbalance_bars(threshold=1, eligibility=SALE_CONDITIONS, counters=counters).kernel()
    assert push(kernel, trade(1, BUY, 10.0, 1.0, "I")) == []
    assert lengths(push(kernel, trade(2, BUY), trade(3, BUY, 10.0, 1.0, "I"))) == [2]
    assert list(kernel.flush()) == []
    assert counters == {"unpriced": 1}


# What is expected


def test_the_first_bar_is_one_of_so_many_trades_and_the_next_is_as_far_ahead_as_that_was() -> None:
    kernel = imbalance_bars(trades=4, bounds=(0.01, 100.0)).kernel()
    assert lengths(push(kernel, *sided(BUY, SELL, BUY, BUY, SELL, BUY, SELL, SELL, SELL))) == [4, 4]


@pytest.mark.parametrize("of", ["ticks", "volume", "value"])
@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("side_or_tick", {"expected": 30}),
        ("tick", {"expected": 10, "span": 3.0}),
        ("side", {"expected": 20, "bounds": (1.0, 2.0)}),
        ("tick", {"expected": 40, "span": 5.0, "bounds": (1e-9, 1e9)}),
        ("side_or_tick", {"threshold": {"ticks": 7, "volume": 250.5, "value": 9999.9}}),
    ],
)
@pytest.mark.parametrize("kind", ["imbalance", "run"])
def test_thousands_of_trades_make_the_bars_of_the_book(
    kind: str, of: Any, how: Any, options: dict[str, Any]
) -> None:
    alone = options.get("bounds") == (1e-9, 1e9)  # then bars are short, and the naive way is slow
    trades = naive_bars.market(7, 500 if alone else 2_000, persistence=0.6)
    options = options | ({"threshold": options["threshold"][of]} if "threshold" in options else {})
    naive = {"imbalance": naive_bars.imbalance_bars, "run": naive_bars.run_bars}[kind]
    make = {"imbalance": imbalance_bars, "run": run_bars}[kind]
    expected = naive(trades, of=of, how=how, **options)
    if "expected" in options:
        options = options | {"trades": options.pop("expected")}
    assert run(make(of=of, signs=how, **options).kernel(), trades) == expected
    assert len(expected) > 5


@pytest.mark.parametrize("persistence", [0.5, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("make", [imbalance_bars, run_bars])
def test_bars_neither_explode_nor_collapse(make: Callable[..., Any], persistence: float) -> None:
    random, side, sides = Random(3), BUY, list[Side]()
    for number in range(40_000):
        if random.random() > (persistence if number % 20_000 < 10_000 else 0.5):
            side = BUY if side is SELL else SELL
        sides.append(side)
    made = run(make(trades=100).kernel(), sided(*sides))
    assert min(lengths(made[:-1])) >= 5
    assert 7 <= sorted(lengths(made))[len(made) // 2] <= 400
    assert max(lengths(made)) < 20_000


def test_left_alone_the_threshold_of_the_book_collapses() -> None:
    random = Random(3)
    trades = sided(*random.choices((BUY, SELL), k=20_000))
    alone = run(imbalance_bars(trades=100, bounds=(1e-9, 1e9)).kernel(), trades)
    bounded = run(imbalance_bars(trades=100).kernel(), trades)
    assert sorted(lengths(alone))[len(alone) // 2] <= 2
    assert sorted(lengths(bounded))[len(bounded) // 2] >= 20


def test_where_nothing_has_a_sign_no_bar_is_full() -> None:
    for make in imbalance_bars, run_bars:
        kernel = make(trades=3, signs="side").kernel()
        assert lengths(push(kernel, *sided(*[UNKNOWN] * 50))) == [3]


# What else is said


def test_a_gap_marks_the_bar_that_it_falls_into() -> None:
    kernel = imbalance_bars(threshold=1).kernel()
    opened, ended = Gap(1, None, 1, 1, "", "x"), Gap(1, 2 * SECOND, 1, 2 * SECOND, "", "x")
    made = push(kernel, trade(1, BUY), opened, trade(2, BUY), ended, trade(3, BUY), trade(4, BUY))
    assert [bar.gap for bar in made] == [False, True, True, False]


def test_what_is_taken_back_has_never_come() -> None:
    kernel = imbalance_bars(threshold=2, signs="tick").kernel()
    push(kernel, trade(1, price=10.0), trade(2, price=11.0))
    push(kernel, TradeCancel("A", 3, 3 * SECOND, "2", 11.0, 1.0, "x"))
    (bar,) = push(kernel, trade(4, price=10.5), trade(5, price=10.5))
    assert (bar.count, bar.high) == (3, 10.5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "exactly one of threshold and trades"),
        ({"threshold": 1, "trades": 1}, "exactly one of threshold and trades"),
        ({"threshold": 0}, "positive threshold, not 0"),
        ({"threshold": float("nan")}, "positive threshold, not nan"),
        ({"trades": 0}, "to have a trade at least, not 0"),
        ({"trades": 1, "span": 0}, "positive span, not 0"),
        ({"trades": 1, "bounds": (0, 1)}, "two positive numbers"),
        ({"trades": 1, "bounds": (2, 1)}, "the lower one first"),
        ({"trades": 1, "bounds": (1, float("inf"))}, "two positive numbers"),
        ({"trades": 1, "of": "dollars"}, "'dollars' is none of 'ticks', 'volume', 'value'"),
        ({"trades": 1, "signs": "both"}, "'both' is none of"),
        ({"trades": 1, "emit": "all"}, "'all' is none of"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, Any], complaint: str) -> None:
    for make in imbalance_bars, run_bars:
        with pytest.raises(ValueError, match=complaint):
            make(**options)


def test_half_a_trade_is_refused() -> None:
    with pytest.raises(TypeError):
        imbalance_bars(trades=1.5)  # type: ignore[arg-type]


# Laws

WHOLE: tuple[Callable[[], Any], ...] = (
    lambda: imbalance_bars(threshold=2),
    lambda: imbalance_bars(of="value", trades=3),
    lambda: run_bars(of="volume", trades=3, span=3, signs="side"),
)
RULES: tuple[Callable[[], Any], ...] = (
    *WHOLE,
    lambda: imbalance_bars(of="volume", threshold=0.5, emit="update"),
    lambda: imbalance_bars(trades=2, signs="tick", span=2, eligibility=SALE_CONDITIONS),
    lambda: run_bars(threshold=2, emit="update"),
    lambda: run_bars(of="value", trades=2, eligibility=SALE_CONDITIONS),
    lambda: renko_bars(brick=0.5, wicks=True),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Some trades are odd lots or late; cancels are of trades that have come, or of none."""
    made: list[Event] = []
    for number, event in enumerate(draw(event_streams(venues=("x", "y")))):
        if isinstance(event, Trade):
            said = draw(st.sampled_from([(), (), ("I",), ("Z",)]))
            event = replace(event, id=str(number), conditions=said, tape="A")
        elif isinstance(event, TradeCancel):
            event = replace(event, id=str(number - draw(st.integers(1, 6))))
        made.append(event)
    return made


@settings(max_examples=60)
@given(streams(), st.sampled_from(RULES))
def test_it_is_held_to_the_laws(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)
    same_live_and_virtual(operator(), events)


@settings(max_examples=60)
@given(event_streams(), st.sampled_from(WHOLE))
def test_volume_value_and_count_are_conserved(events: list[Event], operator: Callable[[], Any]) -> None:
    trades = [event for event in events if isinstance(event, Trade)]
    made = run(operator().kernel(), events)
    assert sum(bar.count for bar in made) == len(trades)
    for name, total in {
        "volume": fsum(each.size for each in trades),
        "value": fsum(each.size * each.price for each in trades),
        "buy_volume": fsum(each.size for each in trades if each.side is BUY),
        "sell_volume": fsum(each.size for each in trades if each.side is SELL),
    }.items():
        assert isclose(fsum(getattr(bar, name) for bar in made), total, rel_tol=1e-12)
    for bar in made:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


@settings(max_examples=60)
@given(event_streams(), st.sampled_from(RULES), st.lists(st.integers(1, 10)))
def test_any_chunking_makes_the_same_bars(
    events: list[Event], operator: Callable[[], Any], sizes: list[int]
) -> None:
    trades = [event for event in events if isinstance(event, Trade)]
    kernel, first, chunks = operator().kernel(), 0, list[Columns[Trade]]()
    for size in [*sizes, len(trades)]:
        if first < len(trades):
            chunks.append(Columns.of(trades[first : first + size]))
        first += size
    made = [bar for chunk in chunks for bar in kernel.push(chunk)]
    assert [*made, *kernel.flush()] == run(operator().kernel(), trades)


def test_quotes_and_what_is_said_of_the_line_make_nothing() -> None:
    kernel = imbalance_bars(threshold=1).kernel()
    assert push(kernel, Quote("A", 1, 1, 1.0, 1.0, 2.0, 1.0, "x"), Status("open", 1, venue="x")) == []
