"""run_bars: each side is added up alone. What it shares with imbalance_bars is proved in that one's tests."""

from __future__ import annotations

from typing import Any

import pytest

from rtflow.events import Bar, Event, Side, Trade
from rtflow.operators import run_bars
from rtflow.time import SECOND
from tests.laws import run

BUY, SELL, UNKNOWN = Side.BUY, Side.SELL, Side.UNKNOWN


def sided(*sides: Side, size: float = 1.0, begin: int = 0) -> list[Trade]:
    stamps = [(begin + number) * SECOND for number in range(len(sides))]
    return [Trade("A", at, at, 10.0, size, side, venue="x") for at, side in zip(stamps, sides, strict=True)]


def push(kernel: Any, *events: Event) -> list[Bar]:
    return [bar for event in events for bar in kernel.push(event)]


def test_a_bar_leaves_when_one_side_alone_has_traded_so_much() -> None:
    made = run(run_bars(threshold=3).kernel(), sided(BUY, SELL, BUY, SELL, SELL, BUY))
    assert [(bar.buy_volume, bar.sell_volume, bar.partial) for bar in made] == [
        (2.0, 3.0, None),
        (1.0, 0.0, "end"),
    ]


def test_a_run_may_be_interrupted() -> None:
    made = push(
        run_bars(of="volume", threshold=2).kernel(), *sided(BUY, SELL, SELL, BUY, size=0.75), *sided(BUY)
    )
    assert [bar.volume for bar in made] == [4.0]


def test_the_first_bar_is_one_of_so_many_trades_and_the_next_needs_the_busier_side_to_do_it_again() -> None:
    kernel = run_bars(trades=4, bounds=(0.01, 100.0)).kernel()
    made = push(kernel, *sided(BUY, BUY, SELL, BUY, SELL, BUY, BUY, BUY, BUY, BUY, BUY))
    assert [bar.count for bar in made] == [4, 4, 3]


def test_a_side_that_had_never_traded_is_first_expected_as_it_first_came() -> None:
    kernel = run_bars(of="volume", trades=2, span=1, bounds=(0.01, 100.0)).kernel()
    assert [bar.volume for bar in push(kernel, *sided(BUY, BUY))] == [2.0]
    (bar,) = push(kernel, *sided(SELL, size=8.0))  # 2 were expected
    assert bar.sell_volume == 8.0
    assert push(kernel, *sided(SELL, SELL, SELL, size=1.0)) == []  # 8 are


def test_a_threshold_is_kept_within_bounds() -> None:
    one_sided, balanced = [BUY] * 10, [BUY, SELL] * 50
    low = push(run_bars(trades=10, bounds=(1.0, 1.0)).kernel(), *sided(*one_sided, *balanced))
    assert {bar.count for bar in low[1:]} == {9}  # five of one side, the fifth before the other's
    assert low[0].count == 10


@pytest.mark.parametrize("signs", ["side", "side_or_tick"])
def test_trades_without_a_sign_count_and_are_on_neither_side(signs: Any) -> None:
    kernel = run_bars(threshold=2, signs=signs).kernel()
    (bar,) = push(kernel, *sided(UNKNOWN, UNKNOWN, BUY, BUY))
    assert (bar.count, bar.volume, bar.buy_volume) == (4, 4.0, 2.0)
