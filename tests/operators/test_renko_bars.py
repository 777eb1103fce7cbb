"""renko_bars: bricks between whole multiples, and every trade in one of them."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum, isclose
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.conditions import SALE_CONDITIONS
from rtflow.events import Bar, Event, Gap, Side, Status, Trade, TradeCancel
from rtflow.operators import renko_bars
from rtflow.time import SECOND
from tests import naive_bars
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def trade(second: int, price: float, size: float = 1.0, *conditions: str) -> Trade:
    stamp = second * SECOND
    return Trade("A", stamp, stamp, price, size, Side.BUY, str(second), "x", conditions=conditions, tape="A")


def push(kernel: Any, *events: Event) -> list[Bar]:
    return [bar for event in events for bar in kernel.push(event)]


def bricks(*prices: float, brick: float = 1, **options: Any) -> list[tuple[float, float]]:
    kernel = renko_bars(brick=brick, **options).kernel()
    made = push(kernel, *(trade(second, price) for second, price in enumerate(prices)))
    return [(bar.open, bar.close) for bar in made]


def test_all_that_is_said_of_a_brick() -> None:
    (bar,) = push(renko_bars(brick=0.5).kernel(), trade(1, 10.0, 2.0), trade(3, 9.75), trade(2, 10.625))
    assert bar == Bar(
        "A",
        1 * SECOND,
        3 * SECOND + 1,
        open=10.0,
        high=10.5,
        low=10.0,
        close=10.5,
        volume=4.0,
        count=3,
        value=40.375,
        buy_volume=4.0,
        ts_open=1 * SECOND,
        ts_close=3 * SECOND,
        ts_recv=2 * SECOND,
        venue="x",
    )


def test_the_first_brick_needs_a_whole_one_beyond_the_multiples_around_the_first_price() -> None:
    assert bricks(10.0, 10.9, 11.0) == [(10, 11)]
    assert bricks(10.5, 11.9, 12.0) == [(11, 12)]
    assert bricks(10.5, 9.1, 9.0) == [(10, 9)]


def test_a_price_that_turns_round_comes_back_by_two() -> None:
    assert bricks(10.0, 12.0, 11.0, 10.1, 10.0) == [(10, 11), (11, 12), (11, 10)]
    assert bricks(10.0, 8.0, 9.9, 10.0) == [(10, 9), (9, 8), (9, 10)]


def test_tenths_are_tenths() -> None:
    assert bricks(0.1, 0.3, brick=0.1) == [(0.1, 0.2), (0.2, 0.3)]
    assert bricks(0.3, 0.1, brick=0.1) == [(0.3, 0.2), (0.2, 0.1)]


def test_prices_below_zero_have_bricks_too() -> None:
    assert bricks(0.5, -2.0) == [(0, -1), (-1, -2)]


def test_of_several_bricks_by_one_trade_the_first_has_the_volume() -> None:
    kernel = renko_bars(brick=1).kernel()
    made = push(kernel, trade(1, 10.0, 2.0), trade(2, 12.5, 4.0))
    assert [(bar.volume, bar.count, bar.value, bar.buy_volume) for bar in made] == [
        (6.0, 2, 70.0, 6.0),
        (0.0, 0, 0.0, 0.0),
    ]
    assert [(bar.start, bar.end, bar.ts_open, bar.ts_close) for bar in made] == [
        (1 * SECOND, 2 * SECOND + 1, 1 * SECOND, 2 * SECOND),
        (2 * SECOND, 2 * SECOND + 1, 2 * SECOND, 2 * SECOND),
    ]
    assert list(kernel.flush()) == []


def test_wicks_reach_as_far_as_the_price_had_gone_the_other_way() -> None:
    made = push(
        renko_bars(brick=1, wicks=True).kernel(),
        *(trade(n, price) for n, price in enumerate((10.0, 9.5, 12.5, 12.7, 9.0))),
    )
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in made] == [
        (10.0, 11.0, 9.5, 11.0),
        (11.0, 12.0, 11.0, 12.0),
        (11.0, 12.7, 10.0, 10.0),
        (10.0, 10.0, 9.0, 9.0),
    ]


def test_what_is_left_at_the_end_is_as_it_was_traded() -> None:
    kernel = renko_bars(brick=1).kernel()
    push(kernel, trade(1, 10.0), trade(2, 11.0), trade(3, 11.5), trade(4, 10.5))
    assert [(bar.open, bar.high, bar.low, bar.close, bar.partial) for bar in kernel.flush()] == [
        (11.5, 11.5, 10.5, 10.5, "end")
    ]


def test_unsubscribing_cuts_off() -> None:
    kernel = renko_bars(brick=1).kernel()
    (bar,) = push(kernel, trade(1, 10.0), Status("unsubscribed", 2, "", "A", "trades", venue="x"))
    assert (bar.close, bar.partial) == (10.0, "end")


def test_updates_show_what_was_traded_since_the_last_brick() -> None:
    made = push(renko_bars(brick=1, emit="update").kernel(), *(trade(n, 10 + n / 2) for n in range(4)))
    assert [(bar.open, bar.close, bar.final) for bar in made] == [
        (10.0, 10.0, False),
        (10.0, 10.5, False),
        (10.0, 11.0, True),
        (11.5, 11.5, False),
    ]


def test_every_brick_that_one_trade_makes_after_a_gap_says_so() -> None:
    kernel = renko_bars(brick=1).kernel()
    opened, ended = Gap(1, None, 1, 1, "", "x"), Gap(1, 2, 1, 2, "", "x")
    made = push(kernel, trade(1, 10.0), opened, ended, trade(2, 12.0), trade(3, 13.0))
    assert [bar.gap for bar in made] == [True, True, False]


def test_a_price_that_may_not_be_the_last_moves_no_brick() -> None:
    kernel = renko_bars(brick=1, wicks=True, eligibility=SALE_CONDITIONS).kernel()
    assert push(kernel, trade(1, 10.0), trade(2, 99.0, 5.0, "I"), trade(3, 50.0, 1.0, "Z")) == []
    (bar,) = push(kernel, trade(4, 11.0))
    assert (bar.volume, bar.high, bar.low) == (8.0, 11.0, 10.0)


def test_a_price_without_a_range_draws_no_wick() -> None:
    only_close = SALE_CONDITIONS["regular"].minute
    kernel = renko_bars(
        brick=1, wicks=True, eligibility=lambda *_: type(only_close)(True, False, False, True)
    ).kernel()
    assert [(bar.low, bar.high) for bar in push(kernel, trade(1, 10.0), trade(2, 11.0))] == [(10.0, 11.0)]


def test_a_price_that_is_taken_back_begins_nothing() -> None:
    kernel = renko_bars(brick=1).kernel()
    push(kernel, trade(1, 10.0), TradeCancel("A", 2, 2, "1", 10.0, 1.0, "x"))
    assert [(bar.open, bar.close) for bar in push(kernel, trade(3, 20.0), trade(4, 21.0))] == [(20.0, 21.0)]


def test_a_price_of_which_no_end_of_bricks_would_come_is_refused() -> None:
    with pytest.raises(ValueError, match=r"more than 100,000 bricks of 0.01 at Trade"):
        bricks(10.0, 1e30, brick=0.01)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"brick": 0}, "positive height, not 0"),
        ({"brick": float("nan")}, "positive height, not nan"),
        ({"brick": float("inf")}, "positive height, not inf"),
        ({"brick": 1, "emit": "all"}, "'all' is none of"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        renko_bars(**options)


@pytest.mark.parametrize("height", [0.05, 0.1, 0.25, 1.0])
def test_five_thousand_trades_make_the_bricks_that_a_pencil_would(height: float) -> None:
    trades = naive_bars.market(11, 5_000)
    made = push(renko_bars(brick=height).kernel(), *trades)
    assert [(bar.open, bar.close, bar.volume, bar.count) for bar in made] == naive_bars.bricks(trades, height)
    assert len(made) >= 3


RULES: tuple[Callable[[], Any], ...] = (
    lambda: renko_bars(brick=0.125),
    lambda: renko_bars(brick=1, wicks=True),
    lambda: renko_bars(brick=0.3, emit="update"),
)


@settings(max_examples=60)
@given(event_streams(venues=("x", "y")), st.sampled_from(RULES))
def test_it_is_held_to_the_laws(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)
    same_live_and_virtual(operator(), events)


@settings(max_examples=100)
@given(event_streams(), st.sampled_from(RULES[:2]))
def test_volume_value_and_count_are_conserved(events: list[Event], operator: Callable[[], Any]) -> None:
    trades = [event for event in events if isinstance(event, Trade)]
    made = run(operator().kernel(), events)
    assert sum(bar.count for bar in made) == len(trades)
    assert isclose(fsum(bar.volume for bar in made), fsum(each.size for each in trades), rel_tol=1e-12)
    assert isclose(
        fsum(b.value for b in made), fsum(each.size * each.price for each in trades), rel_tol=1e-12
    )
    for bar in made:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.start <= bar.ts_open <= bar.ts_close < bar.end
