"""Bars by time: a venue's watermark closes them, whether or not anything trades."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

import msgspec

from rtflow.book import BookState
from rtflow.columns import Columns, pass_over
from rtflow.counters import Counters
from rtflow.events import (
    Bar,
    Event,
    Gap,
    Imbalance,
    LateTrade,
    Lost,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Side,
    Status,
    Ticker,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
)
from rtflow.kernel import Kernel
from rtflow.operators._bars_in_columns import time_bars
from rtflow.operators._forming import Forming
from rtflow.operators._stretches import Stretch, Stretches

_Stamped: TypeAlias = (
    Trade
    | TradeCorrection
    | TradeCancel
    | Quote
    | OrderBookUpdate
    | Ticker
    | ReferencePrice
    | PriceBands
    | TradingStatus
    | Imbalance
    | BookState
)
STAMPED: frozenset[type] = frozenset(get_args(_Stamped))
_BUY, _SELL = Side.BUY, Side.SELL
_NEVER = (1 << 63) - 1
_LONG_AGO = -_NEVER
_FAR = 1 << 62  # later than this is never, give or take a delay


class TimeRules(msgspec.Struct, frozen=True):
    """How bars are cut and when they close; lengths and stamps in nanoseconds."""

    length: int
    grace: int
    revise_for: int
    tolerance: int
    origin: int
    by_arrival: bool  # clock="recv"
    flat: bool  # empty="flat"
    updates: bool  # emit="update"
    tells_late: bool  # late="emit"
    stretches: Stretches | None = None  # where the calendar cuts them, and not length and origin alone

    @property
    def open_for(self) -> int:
        """How long after its end a bar may still change."""
        return self.grace + self.revise_for

    def around(self, stamp: int) -> Stretch | None:
        """The stretch of time whose bar takes what is stamped so; None where that is outside of all."""
        if self.stretches is not None:
            return self.stretches.around(stamp)
        length = self.length
        start = stamp - (stamp - self.origin) % length
        return start, start + length

    def after(self, end: int) -> Stretch | None:
        """The stretch to be filled after one that ended at ``end``; None where there is no more."""
        return (end, end + self.length) if self.stretches is None else self.stretches.after(end)

    def settled(self, reached: int) -> int:
        """Up to which stamp no bar may change any more, when time has reached ``reached``."""
        reached -= self.open_for
        if self.stretches is None:
            return reached - self.length
        stretch = self.stretches.around(reached) or self.stretches.after(reached)
        return reached if stretch is None else stretch[0] - 1


class TimeBars(Kernel[Event | Columns[Any], Bar | LateTrade]):
    """The venues, and the earliest moment at which a bar of any of them is due."""

    _prints: frozenset[type] = frozenset((Trade, TradeCorrection, TradeCancel))  # what goes by _apply()
    _kinds: frozenset[str] = frozenset(("", "trades"))  # the gaps and subscriptions that concern the bars

    def __init__(self, rules: TimeRules, counters: Counters) -> None:
        self._rules = rules
        self._plain: type[Any] | None = Trade  # what goes the short way instead, at the end of push()
        self._by_arrival, self._updates, self._least_lag = rules.by_arrival, rules.updates, -rules.tolerance
        self._counters = counters
        self._venues: dict[str, Venue] = {}
        self._due = _NEVER  # no bar is due before; _pass() knows whether one is

    def push(self, item: Event | Columns[Any]) -> tuple[Bar | LateTrade, ...]:
        kind = type(item)
        if kind not in STAMPED:
            return self._push_other(item)
        event: _Stamped = item  # type: ignore[assignment]
        ts_recv = event.ts_recv
        # On a line the timers due before this item have run; where there is none, it is their turn now.
        made = () if ts_recv <= self._due else self._pass(ts_recv - 1)
        try:
            venue = self._venues[event.venue]
        except KeyError:
            venue = self._meet(event.venue, ts_recv)
        stamp = ts_recv if self._by_arrival else event.ts_event
        if stamp > venue.newest:
            mark, lag, known = stamp, ts_recv - stamp, venue.lag
            if lag > known:  # the watermark falls back, but what it has reached stays closed
                reached = ts_recv - 1 - known
                if reached > venue.closed:
                    venue.closed = reached
                venue.lag = lag
            elif lag < known:
                if lag < self._least_lag:
                    mark, lag = ts_recv - self._least_lag, self._least_lag
                venue.lag = lag
                due = venue.boundary + lag
                if due < self._due:
                    self._due = due
            venue.newest = mark
            if mark >= venue.boundary:
                made += self._close(venue, mark)
        if kind is not self._plain:
            if kind in self._prints:
                return (*made, *self._apply(venue, event, stamp))
            return made
        trade: Trade = item  # type: ignore[assignment]
        bar = venue.bars.get(trade.symbol)
        if bar is None or stamp >= bar.end or stamp < bar.start:
            bar = self._open_bar(venue, trade, stamp)
            if bar is None:
                return made + self._late(trade, stamp)
        price, size, side = trade.price, trade.size, trade.side
        bar.volume += size
        bar.value += price * size
        bar.count += 1
        bar.ts_recv = ts_recv
        if side is _BUY:
            bar.buy_volume += size
        elif side is _SELL:
            bar.sell_volume += size
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        if stamp >= bar.ts_close:
            bar.close, bar.ts_close = price, stamp
        elif stamp < bar.ts_open:
            bar.open, bar.ts_open = price, stamp
        return (*made, venue.bar(bar, final=False)) if self._updates else made

    def _push_other(self, item: Event | Columns[Any]) -> tuple[Bar | LateTrade, ...]:
        """What tells no time by itself."""
        if isinstance(item, Columns):
            return time_bars(self, item)
        made = self._pass(item.ts_recv - 1)
        self._hear(item)
        return made

    def flush(self) -> Iterator[Bar]:
        cut_off = [(bar, venue) for venue in self._venues.values() for bar in venue.open_bars()]
        self._venues, self._due = {}, _NEVER
        cut_off.sort(key=lambda each: (each[0].end, each[1].name, each[0].symbol))
        for bar, venue in cut_off:
            bar.partial = "end"
            yield from self._finish(venue, bar)

    def due(self) -> int | None:
        return self._due if self._due < _FAR else None

    def wake(self, now: int) -> tuple[Bar, ...]:
        return self._pass(now)

    def state(self) -> Any:
        return msgspec.to_builtins(self._venues)

    def restore(self, state: Any) -> None:
        self._venues = msgspec.convert(state, dict[str, Venue])
        self._due = self._earliest()

    def _earliest(self) -> int:
        return min((venue.due for venue in self._venues.values()), default=_NEVER)

    def _meet(self, name: str, now: int) -> Venue:
        venue = self._venues[name] = Venue(name, began=now)
        return venue

    def _pass(self, now: int) -> tuple[Bar, ...]:
        """Close what is due by ``now``, each at its own moment, however late we are told."""
        made: list[Bar] = []
        self._due = self._earliest()
        while self._due <= now:
            venue = min(self._venues.values(), key=lambda each: (each.due, each.boundary, each.name))
            made += self._close(venue, venue.boundary)
        return tuple(made)

    def _close(self, venue: Venue, watermark: int) -> tuple[Bar, ...]:
        """Close the bars whose boundaries ``watermark`` has reached."""
        rules = self._rules
        made: list[Bar] = []
        while venue.boundary <= watermark:
            venue.closed = max(venue.closed, venue.boundary)
            end = venue.boundary - rules.grace
            bars = venue.take(end)
            fill = rules.after(venue.filled) if venue.prices else None
            for symbol in sorted(bars.keys() | venue.prices.keys()):
                finished = self._finish(venue, bars[symbol]) if symbol in bars else ()
                made += finished
                if finished and rules.flat:
                    venue.prices[symbol] = finished[0].close, finished[0].ts_recv
                elif not finished and symbol in venue.prices and fill is not None and fill[1] == end:
                    made.append(_flat_bar(venue, symbol, *fill))
            venue.filled = end
            self._set_boundary(venue)
        if venue.holes:
            self._forget_holes(venue)
        return tuple(made)

    def _finish(self, venue: Venue, bar: Forming) -> tuple[Bar, ...]:
        """What leaves when a bar's time is over."""
        return (venue.bar(bar),)

    def _apply(self, venue: Venue, event: _Stamped, stamp: int) -> tuple[Bar | LateTrade, ...]:
        """What does not go the short way."""
        self._counters.add("unapplied")
        return ()

    def _forget_holes(self, venue: Venue) -> None:
        """Those that no bar can touch any more."""
        over = self._rules.settled(max(venue.closed, venue.newest))
        venue.holes = [hole for hole in venue.holes if hole.last > over]

    def _set_boundary(self, venue: Venue) -> None:
        end = min((bar.end for bar in venue.open_bars()), default=_NEVER)
        if venue.prices and (fill := self._rules.after(venue.filled)) is not None:
            end = min(end, fill[1])
        venue.boundary = _NEVER if end == _NEVER else end + self._rules.grace
        self._due = self._earliest()

    def _open_bar(self, venue: Venue, trade: Trade, stamp: int) -> Forming | None:
        """The bar that takes a trade, begun if need be; None where its stretch has closed, or is none."""
        rules, symbol = self._rules, trade.symbol
        stretch = rules.around(stamp)
        if stretch is None or stretch[1] + rules.grace <= venue.watermark(trade.ts_recv):
            return None
        start, end = stretch
        for other in venue.aside.get(symbol, ()):
            if other.start == start:
                return other
        bar = self._begin(venue, trade, stamp, stretch)
        if symbol in venue.bars:
            venue.aside.setdefault(symbol, []).append(venue.bars[symbol])
        venue.bars[symbol] = bar
        if end + rules.grace < venue.boundary:
            self._set_boundary(venue)
        return bar

    def _begin(self, venue: Venue, trade: Trade, stamp: int, stretch: Stretch) -> Forming:
        symbol, price, (start, end) = trade.symbol, trade.price, stretch
        bar = Forming(symbol, start, end, price, price, price, price, stamp, stamp, trade.ts_recv)
        if start + venue.lag < venue.since.get(symbol, venue.began):
            bar.partial = "start"
        return bar

    def _late(self, trade: Trade, stamp: int) -> tuple[LateTrade, ...]:
        """Of a trade that no bar takes: it is too late, or there is no bar at such a time."""
        stretch = self._rules.around(stamp)
        self._counters.add("outside" if stretch is None else "late")
        if stretch is None or not self._rules.tells_late:
            return ()
        return (LateTrade(trade, *stretch, trade.ts_recv),)

    def _hear(self, item: Event) -> None:
        """What is said about the line."""
        if isinstance(item, Gap):
            if item.kind not in self._kinds:
                return
            venue = self._venues.get(item.venue) or self._meet(item.venue, item.ts_recv)
            venue.remember(item)
            self._forget_holes(venue)
            if item.ts_end is None and not item.symbols:
                venue.end_connection()
        elif isinstance(item, Lost):
            symbols = (item.symbol,) if item.symbol else ()
            for venue in self._venues.values():
                delay = venue.delay()
                hole = _Hole(item.ts_first, item.ts_first - delay, item.ts_last - delay, symbols)
                venue.holes.append(hole)
                self._forget_holes(venue)
        elif isinstance(item, Status):
            self._hear_status(item)
        else:
            pass_over(item, "window_to_bar")

    def _hear_status(self, status: Status) -> None:
        if status.state in ("open", "joined"):  # a latecomer is told of these, too: they are no first sign
            if status.state == "open" and status.venue in self._venues:
                self._venues[status.venue].end_connection()
            return
        venue = self._venues.get(status.venue) or self._meet(status.venue, status.ts_recv)
        if status.symbol and status.kind in self._kinds:
            if status.state == "subscribed":
                venue.since.setdefault(status.symbol, status.ts_recv)  # after a reconnect, there is a Gap
            elif status.state == "unsubscribed":
                venue.forget(status.symbol)
                self._set_boundary(venue)


def _flat_bar(venue: Venue, symbol: str, start: int, end: int) -> Bar:
    price, ts_recv = venue.prices[symbol]
    return Bar(
        symbol,
        start,
        end,
        price,
        price,
        price,
        price,
        volume=0.0,
        count=0,
        value=0.0,
        ts_open=start,
        ts_close=start,
        ts_recv=ts_recv,
        venue=venue.name,
        gap=venue.touched(symbol, start, end),
        synthetic=True,
    )


@dataclass(slots=True)
class _Hole:
    """Event time of which something may be missing: ``first`` to ``last``, both included."""

    ts_start: int  # as the Gap said it: what its second coming is known by
    first: int
    last: int
    symbols: tuple[str, ...]  # empty: all of them

    def touches(self, symbol: str, start: int, end: int) -> bool:
        return self.first < end and start <= self.last and (not self.symbols or symbol in self.symbols)


@dataclass(slots=True)
class Venue:
    """A venue's watermark and its open bars.

    The watermark at the moment ``t`` is ``t - lag``, so ``boundary`` is due at ``boundary + lag``.
    """

    name: str
    began: int  # ts_recv of its first sign
    newest: int = _LONG_AGO  # largest event time of this connection
    lag: int = _NEVER  # ts_recv - ts_event of the event that carried it; _NEVER before the first
    closed: int = _LONG_AGO  # highest that the watermark has been, as far as ``newest`` and ``lag`` forgot
    boundary: int = _NEVER  # what the watermark must reach for the next bars to close
    filled: int = _NEVER  # empty="flat": the end of the last bars, where the next flat ones begin
    # Of each symbol, the bar that was begun last, and the others: grace keeps several open.
    bars: dict[str, Forming] = field(default_factory=dict[str, Forming])
    aside: dict[str, list[Forming]] = field(default_factory=dict[str, list[Forming]])
    # The last close and its ts_recv, for empty="flat"; the ts_recv at which trades were acknowledged.
    prices: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])
    since: dict[str, int] = field(default_factory=dict[str, int])
    holes: list[_Hole] = field(default_factory=list[_Hole])
    kept: dict[str, list[Forming]] = field(default_factory=dict[str, list[Forming]])  # closed, to be revised

    @property
    def due(self) -> int:
        """When the next of its bars leave."""
        return self.boundary + self.lag

    def watermark(self, now: int) -> int:
        """What it has reached before ``now``, the stamp of an item that has come."""
        return max(self.closed, self.newest, now - 1 - self.lag)

    def touched(self, symbol: str, start: int, end: int) -> bool:
        """Whether something may be missing there."""
        return any(hole.touches(symbol, start, end) for hole in self.holes)

    def bar(self, bar: Forming, *, final: bool = True, revision: int = 0) -> Bar:
        """What a bar is now."""
        gap = self.touched(bar.symbol, bar.start, bar.end)
        return bar.bar(self.name, gap=gap, final=final, revision=revision)

    def delay(self) -> int:
        """What to take from a stamp of arrival for event time."""
        return 0 if self.lag == _NEVER else self.lag

    def open_bars(self) -> Iterator[Forming]:
        """Those whose stretch has not closed."""
        yield from self.bars.values()
        for bars in self.aside.values():
            yield from bars

    def take(self, end: int) -> dict[str, Forming]:
        """The bars that end at ``end``, which are then open no more."""
        taken = {bar.symbol: bar for bar in self.open_bars() if bar.end == end}
        for bar in taken.values():
            self.drop(bar)
        return taken

    def drop(self, bar: Forming) -> None:
        """Let go of a bar that is open no more."""
        if self.bars.get(bar.symbol) is bar:
            del self.bars[bar.symbol]
        else:
            self.aside[bar.symbol].remove(bar)

    def remember(self, gap: Gap) -> None:
        """A gap, or what has become of it."""
        delay = self.delay()
        first = gap.ts_start - delay
        for hole in self.holes:
            if hole.last == _NEVER and hole.ts_start == gap.ts_start and hole.symbols == gap.symbols:
                first = min(first, hole.first)
                self.holes.remove(hole)
                break
        if gap.filled is not None:
            return  # what was missing follows: no hole is left
        # At ts_end itself all is seen again.
        last = _NEVER if gap.ts_end is None else max(first, gap.ts_end - delay - 1)
        self.holes.append(_Hole(gap.ts_start, first, last, gap.symbols))

    def end_connection(self) -> None:
        """The next connection's clock speaks for itself; until it does, this one's is carried on."""
        self.closed = max(self.closed, self.newest)
        self.newest = _LONG_AGO

    def forget(self, symbol: str) -> None:
        """Nothing more will come of this symbol's trades."""
        for bar in self.open_bars():
            if bar.symbol == symbol:
                bar.partial = "end"
        self.prices.pop(symbol, None)
        self.since.pop(symbol, None)
