"""Bars of batches by amount: the trades between two that fill a bar are added up at once, in whole numbers.

A trade that fills a bar, and the one that begins the next, go through the event kernel by themselves; so what
is split, and what of it is left, is decided in one place. Sums are of whole units, as the event kernel has
them: exact, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from rtflow.columns import Columns
from rtflow.events import Bar, Trade
from rtflow.operators._forming import EVERYTHING
from rtflow.operators._through_rows import Numbers, Whole

if TYPE_CHECKING:
    from rtflow.operators._bars_by_amount import AmountBars, _Run

_FEW = 100  # below so many rows, single events are faster
_SHORT = 30  # and in bars of fewer trades than that
_SURE = 10**15  # of decimals with no more digits than this, no two are the same float
_MOST = 2.0**62  # what sums may come to


def amount_bars(kernel: AmountBars, batch: Columns[Any]) -> tuple[Bar, ...]:
    """The same as pushing each of its rows."""
    if len(batch) < _FEW or not _is_plain(kernel, batch):
        return tuple(bar for event in batch for bar in kernel.push(event))
    codes, symbols = batch.codes("symbol")
    place = codes.astype(np.int64) + len(symbols) * batch.codes("venue")[0]
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    made: list[tuple[int, tuple[Bar, ...]]] = []
    for rows in np.split(order, starts[1:]):
        made += _of_one_symbol(kernel, batch, rows)
    made.sort(key=lambda each: each[0])
    return tuple(bar for _, bars in made for bar in bars)


def _is_plain(kernel: AmountBars, batch: Columns[Any]) -> bool:
    """Whether each trade counts in full, and bars leave once, when they are full."""
    if batch.kind is not Trade or kernel._updates:
        return False
    conditions, tapes = batch.codes("conditions"), batch.codes("tape")
    pairs = np.unique(conditions[0].astype(np.int64) * len(tapes[1]) + tapes[0])
    said = (divmod(pair, len(tapes[1])) for pair in pairs.tolist())
    return all(kernel._judge(conditions[1][one], tapes[1][two]) == EVERYTHING for one, two in said)


def _of_one_symbol(
    kernel: AmountBars, batch: Columns[Any], rows: Whole
) -> Iterator[tuple[int, tuple[Bar, ...]]]:
    """What the rows of one symbol make, each with the row that made it."""

    def push(at: int) -> tuple[int, tuple[Bar, ...]]:
        row = int(rows[at])
        return row, kernel.push(batch[row])

    yield push(0)  # there is a bar now
    first: Trade = batch[int(rows[0])]
    runs = kernel._venues[first.venue].runs
    units = _in_units(kernel, batch, rows, runs[first.symbol])
    if units is not None:
        _refine(kernel, units, first)
    if units is None or int(units.filled[-1]) * _SHORT > runs[first.symbol].goal * len(rows):
        yield from (push(at) for at in range(1, len(rows)))
        return
    at = 1
    while at < len(rows):
        run = runs[first.symbol]
        if not run.forming.priced:
            yield push(at)
            at += 1
            continue
        before = int(units.filled[at - 1])
        full = int(units.filled.searchsorted(before + min(run.goal - run.filled, int(_MOST)), "left"))
        units.onto(run, at, full)
        if full < len(rows):
            yield push(full)
        else:
            run.trades += batch[rows[at:]]
        at = full + 1


def _refine(kernel: AmountBars, units: _Units, first: Trade) -> None:
    """Give the bar units that are fine enough for all that follows."""
    venue = kernel._venues[first.venue]
    run = venue.runs[first.symbol]
    memory = replace(run.memory, price_places=units.price_places, size_places=units.size_places)
    if memory != run.memory:
        kernel._again(venue, run, memory, run.trades)


class _Units(NamedTuple):
    """The trades of one symbol; sizes and values in whole units, and how far they fill a bar, added up."""

    price_places: int
    size_places: int
    price: Numbers
    stamp: Whole
    recv: Whole
    side: NDArray[np.int8]
    size: Whole
    value: Whole
    filled: Whole

    def onto(self, run: _Run, begin: int, end: int) -> None:
        """Add the rows from ``begin`` to ``end`` to a bar that they do not fill."""
        if begin >= end:
            return
        part = slice(begin, end)
        price, stamp, size, side = self.price[part], self.stamp[part], self.size[part], self.side[part]
        run.volume += int(size.sum())
        run.value += int(self.value[part].sum())
        run.bought += int(size[side > 0].sum())
        run.sold += int(size[side < 0].sum())
        run.count += end - begin
        run.filled += int(self.filled[end - 1] - self.filled[begin - 1])
        forming = run.forming
        first, last = int(stamp.argmin()), len(stamp) - 1 - int(stamp[::-1].argmax())
        earliest, latest = int(stamp[first]), int(stamp[last])
        forming.start, forming.end = min(forming.start, earliest), max(forming.end, latest + 1)
        forming.high = max(forming.high, float(price.max()))
        forming.low = min(forming.low, float(price.min()))
        forming.ts_recv = int(self.recv[end - 1])
        if earliest < forming.ts_open:
            forming.open, forming.ts_open = float(price[first]), earliest
        if latest >= forming.ts_close:
            forming.close, forming.ts_close = float(price[last]), latest


def _in_units(kernel: AmountBars, batch: Columns[Any], rows: Whole, run: _Run) -> _Units | None:
    """None where a whole number of 64 bits does not hold them, or an amount is below zero."""
    price: Numbers = batch["price"][rows]
    prices = _whole(price, run.memory.price_places)
    sizes = _whole(batch["size"][rows], run.memory.size_places)
    if prices is None or sizes is None:
        return None
    price_places, whole = prices
    size_places, size = sizes
    if float(np.abs(whole.astype(float) * size).sum()) >= _MOST or np.abs(size.astype(float)).sum() >= _MOST:
        return None
    value = whole * size
    measure = kernel._measure
    amount = np.abs(value) if measure == "value" else size if measure == "volume" else np.ones_like(size)
    if amount.min() < 0:
        return None
    stamp, recv, side = batch["ts_event"][rows], batch["ts_recv"][rows], batch["side"][rows]
    return _Units(
        price_places, size_places, price, stamp, recv, side, size, value, np.cumsum(amount, dtype=np.int64)
    )


def _whole(numbers: Numbers, places: int) -> tuple[int, Whole] | None:
    """How many decimal places they need, ``places`` at least, and what they are then as whole numbers."""
    if not np.isfinite(numbers).all():
        return None
    for each in range(places, 16):
        scale = 10.0**each
        scaled = np.rint(numbers * scale)
        if np.abs(scaled).max() >= _SURE:
            return None
        if (scaled / scale == numbers).all():
            return each, scaled.astype(np.int64)
    return None
