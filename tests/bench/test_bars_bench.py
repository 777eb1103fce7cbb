"""What a bar of trades costs, per trade: single events, batches, and what others take for the same day.

pytest tests/bench/test_bars_bench.py --benchmark-only -s

A day of four symbols, a million trades in the order of their stamps. Everybody gets them ready-made: we as
Trades or Columns, nautilus_trader as its ticks, the others as columns of their own. pandas resamples by
symbol; polars and DuckDB group, in as many threads as there are. A peer that is not installed is skipped.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow import operators as op
from rtflow.columns import Columns
from rtflow.events import Trade
from rtflow.operators import _bars_in_columns
from rtflow.operators._through_rows import BY_NUMPY, Tools, tools
from rtflow.time import SECOND, parse

DAY = 23_400
MILLION = 1_000_000
FEW = 100_000  # of single events, on which a day would take a minute
SYMBOLS = ("AUD/USD", "EUR/USD", "GBP/USD", "USD/CHF")
MORNING = parse("2026-11-20T14:30:00Z")


@cache
def day() -> Columns[Trade]:
    random = np.random.default_rng(1)
    stamps = MORNING + np.sort(random.integers(0, DAY * SECOND, MILLION))
    return Columns(
        Trade,
        symbol=np.array(SYMBOLS, object)[random.integers(0, 4, MILLION)],
        ts_event=stamps,
        ts_recv=stamps + SECOND // 100,
        price=random.integers(90_000, 110_000, MILLION) / 100_000,
        size=random.integers(1, 500, MILLION).astype(float),
        side=random.integers(-1, 2, MILLION).astype(np.int8),
        venue="x",
    )


def timed(benchmark: BenchmarkFixture, work: Callable[[], int], trades: int, every: int) -> None:
    """The best of some rounds, in ns a trade; ``work`` says how many bars it made."""
    gc.collect()
    made = benchmark.pedantic(work, rounds=7, warmup_rounds=1)
    assert made >= 3.9 * (DAY * trades // MILLION // every - 1)  # now and then a second has no trade
    if benchmark.stats is not None:
        each = benchmark.stats.stats.min / trades * 1e9
        benchmark.extra_info["ns a trade"] = round(each, 1)
        print(f"\n{each:,.1f} ns a trade, {made:,} bars")


BARS = pytest.mark.parametrize("every", [60, 1], ids=["minutes", "seconds"])


@BARS
def test_single_events(benchmark: BenchmarkFixture, every: int) -> None:
    trades = list(day()[:FEW])

    def work() -> int:
        push, made = op.window_to_bar(every).kernel().push, 0
        for trade in trades:
            made += len(push(trade))  # type: ignore[arg-type]
        return made

    timed(benchmark, work, FEW, every)


@BARS
@pytest.mark.parametrize("size", [100, 10_000, MILLION])
@pytest.mark.parametrize("way", ["numpy", "numba"])
def test_batches(
    benchmark: BenchmarkFixture, every: int, size: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: Tools = tools() if way == "numba" else BY_NUMPY
    if way == "numba" and chosen is BY_NUMPY:
        pytest.skip("numba is not installed: pip install 'rtflow[fast]'")
    monkeypatch.setattr(_bars_in_columns, "tools", lambda: chosen)
    trades = FEW if size < 1000 else MILLION
    batches = [day()[at : min(at + size, trades)] for at in range(0, trades, size)]

    def work() -> int:
        kernel: Any = op.window_to_bar(every).kernel()
        return sum(len(kernel.push(batch)) for batch in batches)

    timed(benchmark, work, trades, every)


@BARS
def test_polars(benchmark: BenchmarkFixture, every: int) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(plain()).with_columns(pl.from_epoch("ts_event", time_unit="ns"))
    price, size = pl.col("price"), pl.col("size")

    def work() -> int:
        bars = frame.group_by("symbol", pl.col("ts_event").dt.truncate(f"{every}s")).agg(
            price.first().alias("open"),
            price.max().alias("high"),
            price.min().alias("low"),
            price.last().alias("close"),
            size.sum().alias("volume"),
            pl.len().alias("count"),
            (price * size).sum().alias("value"),
            size.filter(pl.col("side") == 1).sum().alias("buy_volume"),
            size.filter(pl.col("side") == -1).sum().alias("sell_volume"),
        )
        return len(bars)

    timed(benchmark, work, MILLION, every)


@BARS
def test_duckdb(benchmark: BenchmarkFixture, every: int) -> None:
    duckdb, pyarrow = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow")
    line = duckdb.connect()
    line.register("given", pyarrow.table(plain()))
    line.execute("create table trades as select * from given")

    def work() -> int:
        bars = line.execute(
            f"""select symbol, ts_event // {every * SECOND} as stretch, arg_min(price, ts_event),
            max(price), min(price), arg_max(price, ts_event), sum(size), count(*), sum(price * size),
            sum(size) filter (side = 1), sum(size) filter (side = -1) from trades group by all"""
        )
        return len(bars.fetchnumpy()["stretch"])

    timed(benchmark, work, MILLION, every)


@BARS
def test_pandas(benchmark: BenchmarkFixture, every: int) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(plain())
    frame["ts_event"] = pd.to_datetime(frame.ts_event)
    frame["symbol"] = frame.symbol.astype("category")
    frame["value"] = frame.price * frame["size"]
    frame = frame.set_index("ts_event")

    def work() -> int:
        bars = frame.groupby("symbol", observed=True).resample(f"{every}s")
        bars["price"].ohlc()
        return len(bars[["size", "value"]].sum())

    timed(benchmark, work, MILLION, every)


@BARS
@pytest.mark.parametrize("ticks", ["ready-made", "built on the way"])
def test_nautilus_trader(benchmark: BenchmarkFixture, every: int, ticks: str) -> None:
    pytest.importorskip("nautilus_trader")
    from nautilus_trader.common.component import TestClock  # type: ignore[import-not-found]
    from nautilus_trader.data.aggregation import TimeBarAggregator  # type: ignore[import-not-found]
    from nautilus_trader.model.data import (  # type: ignore[import-not-found]
        BarSpecification,
        BarType,
        TradeTick,
    )
    from nautilus_trader.model.enums import (  # type: ignore[import-not-found]
        AggressorSide,
        BarAggregation,
        PriceType,
    )
    from nautilus_trader.model.identifiers import TradeId, Venue  # type: ignore[import-not-found]
    from nautilus_trader.model.objects import Price, Quantity  # type: ignore[import-not-found]
    from nautilus_trader.test_kit.providers import TestInstrumentProvider  # type: ignore[import-not-found]

    instruments = {each: TestInstrumentProvider.default_fx_ccy(each, Venue("SIM")) for each in SYMBOLS}
    sides = {1: AggressorSide.BUYER, -1: AggressorSide.SELLER, 0: AggressorSide.NO_AGGRESSOR}
    one = TradeId("1")

    def tick(trade: Trade) -> tuple[str, int, Any]:
        made = TradeTick(
            instruments[trade.symbol].id,
            Price(trade.price, 5),
            Quantity(trade.size, 0),
            sides[trade.side],
            one,
            trade.ts_event,
            trade.ts_recv,
        )
        return trade.symbol, trade.ts_event, made

    trades = list(day()[:FEW])
    built = [tick(trade) for trade in trades] if ticks == "ready-made" else None
    unit = BarAggregation.MINUTE if every == 60 else BarAggregation.SECOND

    def work() -> int:
        clock, made = TestClock(), list[Any]()
        clock.set_time(MORNING)
        handle = {}
        for symbol, instrument in instruments.items():
            kind = BarType(instrument.id, BarSpecification(1, unit, PriceType.LAST))
            handle[symbol] = TimeBarAggregator(instrument, kind, made.append, clock).handle_trade_tick
        due = clock.next_time_ns
        names = clock.timer_names
        end = min(due(name) for name in names)
        for symbol, stamp, each in built or map(tick, trades):
            if stamp > end:
                for event in clock.advance_time(stamp):
                    event.handle()
                end = min(due(name) for name in names)
            handle[symbol](each)
        return len(made)

    timed(benchmark, work, FEW, every)


@cache
def plain() -> dict[str, Any]:
    """What the others need of the day."""
    return {name: day()[name].copy() for name in ("symbol", "ts_event", "price", "size", "side")}
