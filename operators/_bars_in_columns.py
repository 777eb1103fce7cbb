"""Bars of batches by time: what a batch of trades does to them all at once.

Sums are formed as the event kernel forms them: each bar's own are added from left to right in the order of
arrival (``np.add.at`` goes through them one by one), on top of what the bar held before. So how trades are
cut into batches cannot matter, to the last bit. What this cannot take, or must not, goes through the event
kernel row by row.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtflow.columns import Columns
from rtflow.events import (
    Bar,
    Imbalance,
    LateTrade,
    PriceBands,
    Quote,
    ReferencePrice,
    Ticker,
    Trade,
    TradingStatus,
)
from rtflow.operators._forming import Forming, Partial
from rtflow.operators._through_rows import Folds, Whole, tools

if TYPE_CHECKING:
    from rtflow.operators._bars_by_time import TimeBars, Venue

_FEW = 100  # below so many rows, single events are faster
_MANY = 1 << 15  # so many at once stay in the processor's cache
_FAR = 1 << 60  # stamps and lengths beyond this might not add up in 64 bits
_NEVER = (1 << 63) - 1
_CLOCKS: frozenset[type] = frozenset(
    (Trade, Quote, Ticker, ReferencePrice, PriceBands, TradingStatus, Imbalance)
)


def time_bars(kernel: TimeBars, batch: Columns[Any]) -> tuple[Bar | LateTrade, ...]:
    """The same as pushing each of its rows."""
    made: list[Bar | LateTrade] = []
    plain = _is_plain(kernel) and batch.kind in _CLOCKS and len(batch) >= _FEW
    for begin in range(0, len(batch), _MANY):
        part = batch[begin : begin + _MANY] if len(batch) > _MANY else batch
        if plain and _is_regular(kernel, part):
            made += _timed(kernel, part)
        else:
            for event in part:
                made += kernel.push(event)
    return tuple(made)


def _is_plain(kernel: TimeBars) -> bool:
    """Whether it folds trades, and a bar leaves once, when it is over."""
    rules = kernel._rules
    return kernel._plain is Trade and rules.stretches is None and not rules.flat and not rules.updates


def _is_regular(kernel: TimeBars, part: Columns[Any]) -> bool:
    """Whether the rows are of one venue, in the order of their arrival, and numbers that can be compared."""
    rules, recv, stamp = kernel._rules, part["ts_recv"], part["ts_event"]
    venues, _ = part.codes("venue")
    return bool(
        max(rules.length, rules.grace, rules.tolerance, abs(rules.origin)) < _FAR
        and recv[0] >= 0
        and recv[-1] < 2 * _FAR
        and (recv[1:] >= recv[:-1]).all()
        and stamp.min() > -_FAR
        and stamp.max() < 2 * _FAR
        and (venues == venues[0]).all()
        and not (part.kind is Trade and np.isnan(part["price"]).any())
    )


def _timed(kernel: TimeBars, part: Columns[Any]) -> list[Bar | LateTrade]:
    """Stretches of rows, each up to where another venue's bars are due in between."""
    made: list[Bar | LateTrade] = []
    recv = part["ts_recv"]
    codes, names = part.codes("venue")
    name = names[codes[0]]
    at = 0
    while at < len(part):
        now = int(recv[at])
        if now > kernel._due:
            made += kernel._pass(now - 1)
        venue = kernel._venues.get(name) or kernel._meet(name, now)
        others = min((each.due for each in kernel._venues.values() if each is not venue), default=_NEVER)
        until = int(recv.searchsorted(min(others, _NEVER), "right"))
        rows = part[at:until] if until - at < len(part) else part
        told = None if venue.newest > now + kernel._rules.tolerance else _Clock(kernel, venue, rows)
        if told is None or (kernel._rules.tells_late and rows.kind is Trade and told.late.any()):
            for event in rows:
                made += kernel.push(event)
        else:
            made += _fold(kernel, venue, rows, told)
        at = until
    return made


class _Clock:
    """What each row does to the watermark, and which rows are late by it."""

    def __init__(self, kernel: TimeBars, venue: Venue, rows: Columns[Any]) -> None:
        rules, recv = kernel._rules, _solid(rows["ts_recv"])
        self.stamp: Whole = recv if rules.by_arrival else _solid(rows["ts_event"])
        self.lag, self.watermark, newest = tools().watermarks(
            self.stamp, recv, rules.tolerance, venue.newest, venue.lag, venue.closed
        )
        self.newest = int(newest)
        self.stretch: Whole = (self.stamp - rules.origin) // rules.length
        self.late = (self.stretch + 1) * rules.length + (rules.origin + rules.grace) <= self.watermark


def _solid(column: NDArray[Any]) -> NDArray[Any]:
    """One piece of memory, read-only: a compiled loop is compiled for each kind of array that it meets."""
    column = np.ascontiguousarray(column).view()
    column.flags.writeable = False
    return column


def _fold(kernel: TimeBars, venue: Venue, rows: Columns[Any], clock: _Clock) -> list[Bar]:
    """Take the trades, move the watermark, and close what it has passed."""
    rules, reached = kernel._rules, int(clock.watermark[-1])
    made, whole = list[Bar](), list[Bar]()
    if rows.kind is Trade:
        late = int(np.count_nonzero(clock.late))
        if late:
            kernel._counters.add("late", late)
        if late < len(rows):
            made, whole = _take(kernel, venue, rows, clock, ~clock.late if late else slice(None), reached)
    venue.newest, venue.lag, venue.closed = clock.newest, int(clock.lag[-1]), max(venue.closed, reached)
    over = [bar for bar in venue.open_bars() if bar.end + rules.grace <= reached]
    for bar in over:
        venue.drop(bar)
        made.append(venue.bar(bar))
    made.sort(key=lambda bar: (bar.end, bar.symbol))
    made += whole  # they all began later
    if made and venue.holes:
        kernel._forget_holes(venue)
    kernel._set_boundary(venue)
    return made


def _take(
    kernel: TimeBars, venue: Venue, rows: Columns[Any], clock: _Clock, kept: Any, reached: int
) -> tuple[list[Bar], list[Bar]]:
    """Fold the trades into the bars that are open, and into new ones; those of the new that are over.

    The grid has first those that may be open already, then those that begin and end with these rows, and then
    those that stay open. Short bars are nearly all of the second kind, so these are made at once.
    """
    rules, made = kernel._rules, list[Bar]()
    length, grace = rules.length, rules.grace
    grid = _Grid(rows.codes("symbol"), clock.stretch, kept)
    begin = grid.stretches * length + rules.origin
    latest = max((bar.start for bar in venue.open_bars()), default=-_NEVER)
    near = int(begin.searchsorted(latest, "right"))
    until = max(near, int(begin.searchsorted(reached - length - grace, "right")))
    symbols, starts, ends = grid.named(), begin.tolist(), (begin + length).tolist()
    folded = _Folded(grid, rows, clock, kept)
    standing: dict[int, Forming] = {}
    wanted = {each: place for place, each in enumerate(zip(symbols[:near], starts[:near], strict=True))}
    for bar in venue.open_bars():
        place = wanted.get((bar.symbol, bar.start))
        if place is not None:
            standing[place] = bar
            folded.begin_with(int(grid.used[place]), bar)
    delays, sums = folded.sums()
    since, began = venue.since, venue.began
    partial: list[Partial] = [
        "start" if start + delay < since.get(symbol, began) else None
        for symbol, start, delay in zip(symbols, starts, delays, strict=True)
    ]
    for place in (*range(near), *range(until, len(starts))):
        each = _Sums(*[column[place] for column in sums])
        if place in standing:
            each.onto(standing[place])
            continue
        symbol, end = symbols[place], ends[place]
        bar = each.begun(symbol, starts[place], end, partial[place])
        if end + grace <= reached:
            made.append(venue.bar(bar))
            continue
        if symbol in venue.bars:
            venue.aside.setdefault(symbol, []).append(venue.bars[symbol])
        venue.bars[symbol] = bar
    whole = [column[near:until] for column in (symbols, starts, ends, *sums)]
    gaps = [*map(venue.touched, *whole[:3])] if venue.holes else repeat(False)
    return made, [*map(Bar, *whole, repeat(venue.name), partial[near:until], gaps)]


@lru_cache(maxsize=1)
def _ranked(texts: tuple[str, ...]) -> tuple[list[str], Whole]:
    """The texts in order, and the place there of each; parts of one batch ask for the same."""
    places = sorted(range(len(texts)), key=texts.__getitem__)
    ranks = np.empty(len(texts), np.int64)
    ranks[places] = np.arange(len(texts))
    return [texts[place] for place in places], ranks


class _Grid:
    """The bar that each row belongs to, as a small number: by stretch, and then by symbol."""

    def __init__(self, symbols: tuple[NDArray[np.int32], tuple[str, ...]], stretch: Whole, kept: Any) -> None:
        codes, texts = symbols
        self._names, ranks = _ranked(texts)
        first = int(stretch[kept].min())
        key = stretch[kept] - first
        self.bins = (int(key.max()) + 1) * len(texts)
        if len(texts) > 1:
            key = key * len(texts) + ranks[codes[kept]]
        meant: Whole | None = None  # what the numbers stand for, where most would stand for nothing
        if self.bins > 4 * len(key) + 64:
            meant, key = np.unique(key, return_inverse=True)
            self.bins = len(meant)
        self.key: Whole = key
        self.count = np.bincount(key, minlength=self.bins)
        self.used = np.flatnonzero(self.count)
        stretches, self._symbols = np.divmod(self.used if meant is None else meant[self.used], len(texts))
        self.stretches: Whole = stretches + first

    def named(self) -> list[str]:
        """The symbols of those in use."""
        return [*map(self._names.__getitem__, self._symbols.tolist())]


class _Sums(NamedTuple):
    """What the trades of one bar make together, on top of what it held before, in a Bar's order."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    many: int  # these trades alone
    value: float
    bought: float
    sold: float
    ts_open: int
    ts_close: int
    ts_recv: int

    def begun(self, symbol: str, start: int, end: int, partial: Partial) -> Forming:
        """A bar of these alone."""
        return Forming(
            symbol,
            start,
            end,
            self.open,
            self.high,
            self.low,
            self.close,
            self.ts_open,
            self.ts_close,
            self.ts_recv,
            self.volume,
            self.many,
            self.value,
            self.bought,
            self.sold,
            partial,
        )

    def onto(self, bar: Forming) -> None:
        """The bar that these come after."""
        bar.volume, bar.value, bar.count = self.volume, self.value, bar.count + self.many
        bar.buy_volume, bar.sell_volume = self.bought, self.sold
        bar.high, bar.low, bar.ts_recv = self.high, self.low, self.ts_recv
        if self.ts_close >= bar.ts_close:
            bar.close, bar.ts_close = self.close, self.ts_close
        if self.ts_open < bar.ts_open:
            bar.open, bar.ts_open = self.open, self.ts_open


class _Folded:
    """The trades of each bar of the grid, added from left to right."""

    def __init__(self, grid: _Grid, rows: Columns[Any], clock: _Clock, kept: Any) -> None:
        self._grid = grid
        self._price, self._recv = _solid(rows["price"][kept]), rows["ts_recv"][kept]
        self._size, self._side = _solid(rows["size"][kept]), _solid(rows["side"][kept])
        self._stamp, self._lag = _solid(clock.stamp[kept]), clock.lag[kept]
        self._folds = Folds.of(grid.bins)

    def begin_with(self, place: int, bar: Forming) -> None:
        """The trades of this place come after what ``bar`` holds."""
        folds = self._folds
        folds.volume[place], folds.value[place] = bar.volume, bar.value
        folds.flow[3 * place], folds.flow[3 * place + 2] = bar.sell_volume, bar.buy_volume
        folds.high[place], folds.low[place] = bar.high, bar.low

    def sums(self) -> tuple[list[int], list[list[Any]]]:
        """Of the bars in use, the line's delay when the first trade had come, and :class:`_Sums` by field."""
        folds, grid, used = self._folds, self._grid, self._grid.used
        folds.take(tools(), grid.key, self._price, self._size, self._side, self._stamp)
        first, last = folds.first[used], folds.last[used]
        columns = (
            self._price[first],
            folds.high[used],
            folds.low[used],
            self._price[last],
            folds.volume[used],
            grid.count[used],
            folds.value[used],
            folds.flow[3 * used + 2],
            folds.flow[3 * used],
            self._stamp[first],
            self._stamp[last],
            self._recv[folds.came_last[used]],
        )
        return self._lag[folds.came_first[used]].tolist(), [column.tolist() for column in columns]
