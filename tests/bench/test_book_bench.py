"""What a book costs: one-level deltas near the touch, one BookState for each, held or not.

pytest tests/bench/test_book_bench.py --benchmark-only --benchmark-group-by=group
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from random import Random
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow.book import BookState, OrderBook
from rtflow.events import Event, Level, OrderBookUpdate, Trade
from rtflow.kernel import Kernel
from rtflow.operators._book_apply import book_apply

DELTAS = 2_000


def whole(levels: int) -> OrderBookUpdate:
    bids = tuple((10_000 - tick / 10, 1.0) for tick in range(levels))
    asks = tuple((10_001 + tick / 10, 1.0) for tick in range(levels))
    return OrderBookUpdate("A", 1, 1, bids, asks, snapshot=True)


def deltas(levels: int) -> list[OrderBookUpdate]:
    """60 % new sizes, 20 % deletions, and the levels that come back; nearer the touch is likelier."""
    random = Random(1)
    made = []
    for at in range(DELTAS):
        ticks = min(int(random.expovariate(1 / 4)), levels - 1)
        size = 0.0 if random.random() < 0.2 else round(random.random() + 0.01, 4)
        bid = random.random() < 0.5
        level: tuple[Level, ...] = ((10_000 - ticks / 10 if bid else 10_001 + ticks / 10, size),)
        made.append(OrderBookUpdate("A", at, at, level if bid else (), () if bid else level))
    return made


def kernel(levels: int, **options: Any) -> Kernel[Event, BookState]:
    made = book_apply(**options).kernel()
    made.push(whole(levels))
    return made


@pytest.mark.benchmark(group="2,000 deltas")
@pytest.mark.parametrize("levels", [10, 100, 1000])
def test_a_delta_alone(benchmark: BenchmarkFixture, levels: int) -> None:
    book, stream = OrderBook(), deltas(levels)
    book.apply(whole(levels))

    def run() -> None:
        apply = book.apply
        for update in stream:
            apply(update)

    benchmark(run)
    assert book.best_bid is not None


@pytest.mark.benchmark(group="2,000 deltas")
@pytest.mark.parametrize("depth", [None, 10])
@pytest.mark.parametrize("held", [False, True], ids=["nobody holds it", "the last one is held"])
@pytest.mark.parametrize("levels", [10, 100, 1000])
def test_a_delta_and_its_state(
    benchmark: BenchmarkFixture, levels: int, held: bool, depth: int | None
) -> None:
    books, stream = kernel(levels, depth=depth), deltas(levels)
    last: list[Iterable[BookState]] = [()]

    def drop() -> None:
        push = books.push
        for update in stream:
            push(update)

    def hold() -> None:
        push = books.push
        for update in stream:
            last[0] = push(update)

    benchmark(hold if held else drop)
    assert held == bool(last[0])


@pytest.mark.benchmark(group="2,000 deltas")
def test_a_delta_and_its_checksum(benchmark: BenchmarkFixture) -> None:
    books, sides = kernel(10), whole(10)
    right = zlib.crc32(b"1" * 20)
    spelled = {"checksum_rule": "crc32-top10", "checksum": right}
    digits = {"bid_digits": ("1",) * 10, "ask_digits": ("1",) * 10}
    books.push(msgspec.structs.replace(sides, **spelled, **digits))
    update = OrderBookUpdate("A", 2, 2, sides.bids[:1], (), bid_digits=("1",))
    stream = [msgspec.structs.replace(update, **spelled)] * DELTAS

    def run() -> str:
        push = books.push
        for update in stream:
            push(update)
        (state,) = push(stream[0])
        return state.status

    assert benchmark(run) == "live"


@pytest.mark.benchmark(group="2,000 other events")
def test_an_event_that_is_none_of_its_business(benchmark: BenchmarkFixture) -> None:
    books, trade = kernel(10), Trade("A", 1, 1, 1.0, 1.0)

    def run() -> None:
        push = books.push
        for _ in range(DELTAS):
            push(trade)

    benchmark(run)


@pytest.mark.benchmark(group="a ten-level view")
@pytest.mark.parametrize("levels", [10, 1000])
def test_ten_levels_of_a_side(benchmark: BenchmarkFixture, levels: int) -> None:
    book = OrderBook()
    book.apply(whole(levels))
    assert len(benchmark(book.levels, "bid", 10)) == 10
