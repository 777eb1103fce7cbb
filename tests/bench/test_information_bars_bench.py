"""What a trade costs in each kind of bar, beside bars of ten seconds in the same run.

pytest tests/bench/test_information_bars_bench.py --benchmark-only --benchmark-group-by=group

Divide by 20,000 for a trade; ratios to the first row are what travels.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow import operators as op
from rtflow.events import Side, Trade
from rtflow.kernel import Kernel, Lifted
from rtflow.time import SECOND

TRADES = 20_000
KINDS: dict[str, Lifted[Any, Any]] = {
    "10 seconds": op.window_to_bar(10),
    "100 trades": op.window_to_bar(ticks=100),
    "volume 500": op.window_to_bar(volume=500),
    "volume 500, kept whole": op.window_to_bar(volume=500, overshoot="keep"),
    "value 50,000": op.window_to_bar(value=50_000),
    "imbalance of trades": op.imbalance_bars(threshold=10),
    "imbalance of volume": op.imbalance_bars(of="volume", threshold=50),
    "imbalance of value": op.imbalance_bars(of="value", threshold=5_000),
    "imbalance of volume, expected": op.imbalance_bars(of="volume", trades=100),
    "run of trades": op.run_bars(threshold=40),
    "run of volume": op.run_bars(of="volume", threshold=200),
    "run of volume, expected": op.run_bars(of="volume", trades=100),
    "bricks": op.renko_bars(brick=0.1),
}


def market() -> list[Trade]:
    """Ten trades a second, cents, and sizes of four places, hardly one like another."""
    random, price, trades = Random(1), 10_000, list[Trade]()
    for number in range(TRADES):
        price += random.choice((-1, 0, 1))
        size, side = round(random.random() * 10 + 0.0001, 4), random.choice((Side.BUY, Side.SELL))
        trades.append(Trade("A", number * SECOND // 10, number * SECOND // 10, price / 100, size, side))
    return trades


@pytest.mark.benchmark(group="20,000 trades")
@pytest.mark.parametrize("kind", KINDS)
def test_a_trade(benchmark: BenchmarkFixture, kind: str) -> None:
    trades, made = market(), [0]

    def ready() -> tuple[tuple[Kernel[Any, Any]], dict[str, Any]]:
        return (KINDS[kind].kernel(),), {}

    def run(kernel: Kernel[Any, Any]) -> None:
        push, made[0] = kernel.push, 0
        for trade in trades:
            if bars := push(trade):
                made[0] += len(tuple(bars))

    benchmark.pedantic(run, setup=ready, rounds=15)
    assert made[0] > 20
