"""window_to_bar on a million trades: field by field what pandas and polars count, however they are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from numpy.typing import NDArray

from rtflow import operators as op
from rtflow.columns import Columns
from rtflow.events import Trade
from rtflow.operators import _bars_in_columns
from rtflow.operators._through_rows import BY_NUMPY, tools
from rtflow.time import SECOND, parse

MILLION = 1_000_000
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
DELAY = SECOND // 20
MORNING = parse("2026-11-20T14:30:00Z")
FIELDS = ("open", "high", "low", "close", "volume", "count", "value", "buy_volume", "sell_volume")
STAMPS = ("ts_open", "ts_close", "ts_recv")


@pytest.fixture(autouse=True)
def _by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not numba is installed."""
    monkeypatch.setattr(_bars_in_columns, "tools", lambda: BY_NUMPY)


@pytest.fixture(scope="module")
def million() -> Columns[Trade]:
    """Half an hour: stamps shared by several trades, trades that come twice, and some that come seconds late.

    The line takes a twentieth of a second, or longer; so the venue's clock is known to have passed what comes
    less that delay, and a nanosecond. Sums are exact in any order, for others add otherwise.
    """
    random = np.random.default_rng(20261120)
    recv = MORNING + DELAY + np.sort(random.integers(0, 1800 * 50, MILLION)) * (SECOND // 50)
    late = np.where(random.random(MILLION) < 0.02, random.integers(0, 4 * SECOND, MILLION), 0)
    late[0] = 0
    trades = Columns(
        Trade,
        symbol=np.array(SYMBOLS, object)[random.integers(0, 4, MILLION)],
        ts_event=recv - DELAY - late,
        ts_recv=recv,
        price=random.integers(64 * 90, 64 * 110, MILLION) / 64,
        size=random.integers(1, 800, MILLION) / 8,
        side=random.integers(-1, 2, MILLION).astype(np.int8),
        id=np.array([str(number) for number in range(1000)], object)[random.integers(0, 1000, MILLION)],
        venue="x",
    )
    order = np.arange(MILLION)
    again = 1 + np.flatnonzero(random.random(MILLION - 1) < 0.01)
    order[again] = order[again - 1]  # the line said them twice
    return trades[order]


def bars_of(trades: Columns[Trade], size: int, **options: Any) -> dict[str, NDArray[Any]]:
    """The bars of so large batches, by symbol and start, as columns."""
    kernel = op.window_to_bar(**options).kernel()
    made = [bar for at in range(0, MILLION, size) for bar in kernel.push(trades[at : at + size])]
    made += kernel.flush()
    bars: Columns[Any] = Columns.of(made)
    order = np.lexsort((bars["start"], bars["symbol"].astype(str)))
    return {name: bars[name][order] for name in ("symbol", "start", "end", *FIELDS, *STAMPS)}


def test_a_million_trades_make_the_bars_that_pandas_makes(million: Columns[Trade]) -> None:
    bars = bars_of(million, 10_000, every=1, grace=1)
    frame = pd.DataFrame({name: million[name] for name in ("symbol", "ts_event", "ts_recv", "price", "size")})
    frame["start"] = frame.ts_event // SECOND * SECOND
    frame["value"] = frame.price * frame["size"]
    for side, name in ((1, "buy_volume"), (-1, "sell_volume")):
        frame[name] = frame["size"].where(million["side"] == side, 0.0)
    reached = np.maximum(frame.ts_event.cummax(), frame.ts_recv - DELAY - 1)
    in_time = frame[frame.start + 2 * SECOND > reached]
    assert MILLION * 0.98 < len(in_time) < MILLION
    by_stamp = in_time.sort_values("ts_event", kind="stable").groupby(["symbol", "start"])
    expected = by_stamp.agg(
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("size", "sum"),
        count=("size", "count"),
        value=("value", "sum"),
        buy_volume=("buy_volume", "sum"),
        sell_volume=("sell_volume", "sum"),
        ts_open=("ts_event", "first"),
        ts_close=("ts_event", "last"),
        ts_recv=("ts_recv", "max"),
    ).reset_index()
    assert len(expected) == len(bars["start"]) == 1800 * 4
    for name in ("symbol", "start", *FIELDS, *STAMPS):
        assert (expected[name].to_numpy() == bars[name]).all(), name
    assert (bars["end"] == bars["start"] + SECOND).all()


def test_a_million_trades_make_the_bars_that_polars_makes(million: Columns[Trade]) -> None:
    bars = bars_of(million, MILLION, every="1m", grace=2)
    frame = pl.DataFrame(million).with_columns(
        pl.col("symbol").cast(pl.String), pl.col("ts_event", "ts_recv").dt.epoch("ns")
    )
    start = pl.col("ts_event") - pl.col("ts_event") % (60 * SECOND)
    expected = (
        frame.with_columns(start=start)
        .filter(
            pl.col("start") + 62 * SECOND
            > pl.max_horizontal(pl.col("ts_event").cum_max(), pl.col("ts_recv") - DELAY - 1)
        )
        .sort("ts_event", maintain_order=True)
        .group_by("symbol", "start")
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("size").sum().alias("volume"),
            pl.len().alias("count"),
            (pl.col("price") * pl.col("size")).sum().alias("value"),
            pl.col("size").filter(pl.col("side") == 1).sum().alias("buy_volume"),
            pl.col("size").filter(pl.col("side") == -1).sum().alias("sell_volume"),
            pl.col("ts_event").first().alias("ts_open"),
            pl.col("ts_event").last().alias("ts_close"),
            pl.col("ts_recv").max().alias("ts_recv"),
        )
        .sort("symbol", "start")
    )
    assert len(expected) == len(bars["start"])
    for name in ("symbol", "start", *FIELDS, *STAMPS):
        assert (expected[name].to_numpy() == bars[name]).all(), name


@pytest.mark.parametrize("size", [997, 50_000])
def test_single_events_make_the_same_bars(million: Columns[Trade], size: int) -> None:
    part = million[:50_000]
    made: list[list[Any]] = []
    for items in (part, [part[at : at + size] for at in range(0, len(part), size)]):
        kernel = op.window_to_bar(1, grace=1).kernel()
        made.append([*(bar for item in items for bar in kernel.push(item)), *kernel.flush()])
    assert made[1] == made[0]


def test_the_compiled_loop_makes_the_same_bars(
    million: Columns[Trade], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba", reason="the extra fast")
    assert tools() is not BY_NUMPY
    same = {name: million[name] for name in ("symbol", "ts_event", "ts_recv", "side", "venue")}
    inexact = Columns(Trade, **same, price=million["price"] * 0.1, size=million["size"] * 0.3)
    monkeypatch.setattr(_bars_in_columns, "tools", tools)
    compiled = bars_of(inexact, MILLION, every=1, grace=1)
    monkeypatch.setattr(_bars_in_columns, "tools", lambda: BY_NUMPY)
    for name, column in bars_of(inexact, MILLION, every=1, grace=1).items():
        assert (compiled[name] == column).all(), name
