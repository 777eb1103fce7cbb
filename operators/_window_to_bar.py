"""window_to_bar: trades to one bar per stretch of time, closed by the time that has passed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args, overload

import msgspec

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
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import Duration, nanoseconds


@overload
def window_to_bar(
    every: Duration,
    *,
    grace: Duration = ...,
    empty: Literal["none", "flat"] = ...,
    emit: Literal["final", "update"] = ...,
    late: Literal["count"] = ...,
    origin: int = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    counters: Counters | None = ...,
) -> Lifted[Event, Bar]: ...
@overload
def window_to_bar(
    every: Duration,
    *,
    grace: Duration = ...,
    empty: Literal["none", "flat"] = ...,
    emit: Literal["final", "update"] = ...,
    late: Literal["emit"],
    origin: int = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    counters: Counters | None = ...,
) -> Lifted[Event, Bar | LateTrade]: ...


def window_to_bar(
    every: Duration,
    *,
    grace: Duration = 0.0,
    empty: Literal["none", "flat"] = "none",
    emit: Literal["final", "update"] = "final",
    late: Literal["count", "emit"] = "count",
    origin: int = 0,
    clock: Literal["event", "recv"] = "event",
    tolerance: Duration = 1.0,
    counters: Counters | None = None,
) -> Lifted[Event, Any]:
    """One bar for every symbol and every stretch of ``every`` seconds in which it traded.

    ::

        --t1--q1-t2-------t3-----q2-----|
        [      window_to_bar(60)        ]
        ------------b1------------b2----b3|     b1: by the time that passed; b2: by a quote; b3: cut off

    Give it the whole event stream: trades make the bars, every event tells the time, gaps leave their mark.

    **Stretches.** ``[start, end)`` in integer nanoseconds, aligned to the epoch, or to the stamp ``origin``.
    A trade stamped exactly ``end`` opens the next bar. ``clock="recv"`` cuts by ``ts_recv`` instead of
    ``ts_event``; ``ts_open`` and ``ts_close`` are stamps of the clock that was chosen.

    **Closing.** A bar leaves when the watermark of its venue reaches ``end + grace``. The watermark is the
    largest ``ts_event`` of any event of that venue and connection, carried forward by the time passed since
    that event's ``ts_recv``; so a quiet symbol's bar waits for nobody, and the line's own delay is allowed
    for. A stamp further than ``tolerance`` ahead of its ``ts_recv`` moves it by ``tolerance`` only. An item
    that is received at the very nanosecond at which a bar is due comes before that. Bars that are due at one
    moment leave by ``end``, then by venue, then by symbol.

    **Late trades**, whose stretch has closed, are counted as ``late`` in ``counters``; with ``late="emit"``
    they leave as :class:`~rtflow.events.LateTrade`, too. Corrections and cancels are not applied but counted,
    as ``unapplied``. Sampled prices count as trades.

    **Marks.** ``partial="start"``: the stretch had begun when we did. We begin with a symbol at the
    ``Status`` that acknowledges its trades, or else at the first sign of its venue; the ``"open"`` of a
    connection is none, since who joins a ``broadcast`` late is told that too. ``partial="end"``: the source
    completed, or the symbol was unsubscribed, before the end. ``gap=True``: a ``Gap`` of the venue, open or
    closed, or a ``Lost`` overlaps the stretch; not a gap that ``op.backfill`` filled. Those two carry stamps
    of arrival, which the watermark's delay (``ts_recv - ts_event``) at that moment makes event time.

    ``empty="flat"`` fills the stretches without a trade, from a symbol's first bar on for as long as it is
    subscribed: open, high, low and close are the last close, the volume is 0, ``synthetic=True``.
    ``emit="update"`` also emits, at each trade, the bar so far, with ``final=False``.

        >>> from rtflow.events import Trade
        >>> from rtflow.time import SECOND
        >>> kernel = window_to_bar(60).kernel()
        >>> for second, price in (0, 10.0), (20, 12.0), (59, 11.0), (60, 13.0):
        ...     for bar in kernel.push(Trade("A", second * SECOND, second * SECOND, price, size=1.0)):
        ...         print(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap)
        10.0 12.0 10.0 11.0 3.0 11.0
        >>> kernel.due() // SECOND            # when to wake it, should nothing come
        120
        >>> [bar.open for bar in kernel.wake(120 * SECOND)]
        [13.0]

    Raises ValueError for a length that is not positive, a negative ``grace`` or ``tolerance``, and for words
    that are none of the above.
    """
    length, wait, ahead = nanoseconds(every), nanoseconds(grace), nanoseconds(tolerance)
    if length <= 0:
        raise ValueError(f"a bar needs a positive length, not every={every!r}")
    if wait < 0 or ahead < 0:
        raise ValueError(f"grace and tolerance cannot be negative: grace={grace!r}, tolerance={tolerance!r}")
    for word, known in (empty, _EMPTY), (emit, _EMIT), (late, _LATE), (clock, _CLOCK):
        if word not in known:
            raise ValueError(f"{word!r} is none of {', '.join(map(repr, known))}")
    rules = _Rules(
        length, wait, ahead, origin, clock == "recv", empty == "flat", emit == "update", late == "emit"
    )
    counted = Counters() if counters is None else counters
    return lift(lambda: _Bars(rules, counted))


_EMPTY, _EMIT, _LATE, _CLOCK = ("none", "flat"), ("final", "update"), ("count", "emit"), ("event", "recv")
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
)
_STAMPED: frozenset[type] = frozenset(get_args(_Stamped))
_BUY, _SELL = Side.BUY, Side.SELL
_NEVER = (1 << 63) - 1
_LONG_AGO = -_NEVER
_FAR = 1 << 62  # later than this is never, give or take a delay


class _Rules(msgspec.Struct, frozen=True):
    """How bars are cut and when they close; lengths and stamps in nanoseconds."""

    length: int
    grace: int
    tolerance: int
    origin: int
    by_arrival: bool  # clock="recv"
    flat: bool  # empty="flat"
    updates: bool  # emit="update"
    tells_late: bool  # late="emit"


class _Bars(Kernel[Event, Bar | LateTrade]):
    """The venues, and the earliest moment at which a bar of any of them is due."""

    def __init__(self, rules: _Rules, counters: Counters) -> None:
        self._rules = rules
        self._by_arrival, self._updates, self._least_lag = rules.by_arrival, rules.updates, -rules.tolerance
        self._counters = counters
        self._venues: dict[str, _Venue] = {}
        self._due = _NEVER  # no bar is due before; _pass() knows whether one is

    def push(self, item: Event) -> tuple[Bar | LateTrade, ...]:
        ts_recv = item.ts_recv
        # On a line the timers due before this item have run; where there is none, it is their turn now.
        made = () if ts_recv <= self._due else self._pass(ts_recv - 1)
        kind = type(item)
        if kind not in _STAMPED:
            self._hear(item)
            return made
        event: _Stamped = item  # type: ignore[assignment]
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
        if kind is not Trade:
            if kind is TradeCorrection or kind is TradeCancel:
                self._counters.add("unapplied")
            return made
        trade: Trade = item  # type: ignore[assignment]
        bar = venue.bars.get(trade.symbol)
        if bar is None or stamp >= bar.end or stamp < bar.start:
            bar = self._bar_at(venue, trade, stamp)
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
        return (*made, _bar(venue, bar, bar.partial, final=False)) if self._updates else made

    def flush(self) -> list[Bar]:
        cut_off = [(bar, venue) for venue in self._venues.values() for bar in venue.open_bars()]
        self._venues, self._due = {}, _NEVER
        cut_off.sort(key=lambda each: (each[0].end, each[1].name, each[0].symbol))
        return [_bar(venue, bar, "end") for bar, venue in cut_off]

    def due(self) -> int | None:
        return self._due if self._due < _FAR else None

    def wake(self, now: int) -> tuple[Bar, ...]:
        return self._pass(now)

    def state(self) -> Any:
        return msgspec.to_builtins(self._venues)

    def restore(self, state: Any) -> None:
        self._venues = msgspec.convert(state, dict[str, _Venue])
        self._due = self._earliest()

    def _earliest(self) -> int:
        return min((venue.due for venue in self._venues.values()), default=_NEVER)

    def _meet(self, name: str, now: int) -> _Venue:
        venue = self._venues[name] = _Venue(name, began=now)
        return venue

    def _pass(self, now: int) -> tuple[Bar, ...]:
        """Close what is due by ``now``, each at its own moment, however late we are told."""
        made: list[Bar] = []
        self._due = self._earliest()
        while self._due <= now:
            venue = min(self._venues.values(), key=lambda each: (each.due, each.boundary, each.name))
            made += self._close(venue, venue.boundary)
        return tuple(made)

    def _close(self, venue: _Venue, watermark: int) -> tuple[Bar, ...]:
        """Close the bars whose boundaries ``watermark`` has reached."""
        rules = self._rules
        made: list[Bar] = []
        while venue.boundary <= watermark:
            venue.closed = max(venue.closed, venue.boundary)
            end = venue.boundary - rules.grace
            bars = venue.take(end)
            for symbol in sorted(bars.keys() | venue.prices.keys()):
                bar = bars.get(symbol)
                if bar is None:
                    made.append(_flat_bar(venue, symbol, end - rules.length, end))
                    continue
                made.append(_bar(venue, bar, bar.partial))
                if rules.flat:
                    venue.prices[symbol] = bar.close, bar.ts_recv
            venue.filled = end
            self._set_boundary(venue)
        if venue.holes:
            self._forget_holes(venue)
        return tuple(made)

    def _forget_holes(self, venue: _Venue) -> None:
        """Those that no bar can touch any more."""
        over = max(venue.closed, venue.newest) - self._rules.grace - self._rules.length
        venue.holes = [hole for hole in venue.holes if hole.last > over]

    def _set_boundary(self, venue: _Venue) -> None:
        end = min((bar.end for bar in venue.open_bars()), default=_NEVER)
        if venue.prices:
            end = min(end, venue.filled + self._rules.length)
        venue.boundary = _NEVER if end == _NEVER else end + self._rules.grace
        self._due = self._earliest()

    def _bar_at(self, venue: _Venue, trade: Trade, stamp: int) -> _Forming | None:
        """The bar that takes a trade, begun if need be; None where its stretch has closed."""
        rules, symbol = self._rules, trade.symbol
        start = stamp - (stamp - rules.origin) % rules.length
        end = start + rules.length
        if end + rules.grace <= max(venue.closed, venue.newest, trade.ts_recv - 1 - venue.lag):
            return None
        for other in venue.aside.get(symbol, ()):
            if other.start == start:
                return other
        price, began = trade.price, venue.since.get(symbol, venue.began)
        bar = _Forming(symbol, start, end, price, price, price, price, stamp, stamp, trade.ts_recv)
        if start + venue.lag < began:
            bar.partial = "start"
        if symbol in venue.bars:
            venue.aside.setdefault(symbol, []).append(venue.bars[symbol])
        venue.bars[symbol] = bar
        if end + rules.grace < venue.boundary:
            self._set_boundary(venue)
        return bar

    def _late(self, trade: Trade, stamp: int) -> tuple[LateTrade, ...]:
        self._counters.add("late")
        if not self._rules.tells_late:
            return ()
        start = stamp - (stamp - self._rules.origin) % self._rules.length
        return (LateTrade(trade, start, start + self._rules.length, trade.ts_recv),)

    def _hear(self, item: Event) -> None:
        """What is said about the line."""
        if isinstance(item, Gap):
            if item.kind not in ("", "trades"):
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

    def _hear_status(self, status: Status) -> None:
        if status.state == "open":
            if status.venue in self._venues:
                self._venues[status.venue].end_connection()
            return
        venue = self._venues.get(status.venue) or self._meet(status.venue, status.ts_recv)
        if status.symbol and status.kind in ("", "trades"):
            if status.state == "subscribed":
                venue.since.setdefault(status.symbol, status.ts_recv)  # after a reconnect, there is a Gap
            elif status.state == "unsubscribed":
                venue.forget(status.symbol)
                self._set_boundary(venue)


def _bar(venue: _Venue, bar: _Forming, partial: Literal["start", "end"] | None, *, final: bool = True) -> Bar:
    gap = any(hole.touches(bar.symbol, bar.start, bar.end) for hole in venue.holes)
    return Bar(
        bar.symbol,
        bar.start,
        bar.end,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.count,
        bar.value,
        bar.buy_volume,
        bar.sell_volume,
        bar.ts_open,
        bar.ts_close,
        bar.ts_recv,
        venue.name,
        partial,
        gap,
        final=final,
    )


def _flat_bar(venue: _Venue, symbol: str, start: int, end: int) -> Bar:
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
        gap=any(hole.touches(symbol, start, end) for hole in venue.holes),
        synthetic=True,
    )


@dataclass(slots=True)
class _Forming:
    """A bar that is still open."""

    symbol: str
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    ts_open: int
    ts_close: int
    ts_recv: int
    volume: float = 0.0
    count: int = 0
    value: float = 0.0
    buy_volume: float = 0.0
    sell_volume: float = 0.0
    partial: Literal["start", "end"] | None = None


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
class _Venue:
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
    bars: dict[str, _Forming] = field(default_factory=dict[str, _Forming])
    aside: dict[str, list[_Forming]] = field(default_factory=dict[str, list[_Forming]])
    # The last close and its ts_recv, for empty="flat"; the ts_recv at which trades were acknowledged.
    prices: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])
    since: dict[str, int] = field(default_factory=dict[str, int])
    holes: list[_Hole] = field(default_factory=list[_Hole])

    @property
    def due(self) -> int:
        return self.boundary + self.lag

    def delay(self) -> int:
        """What to take from a stamp of arrival for event time."""
        return 0 if self.lag == _NEVER else self.lag

    def open_bars(self) -> Iterator[_Forming]:
        yield from self.bars.values()
        for bars in self.aside.values():
            yield from bars

    def take(self, end: int) -> dict[str, _Forming]:
        """The bars that end at ``end``, which are then open no more."""
        taken = {bar.symbol: bar for bar in self.open_bars() if bar.end == end}
        for symbol, bar in taken.items():
            if self.bars.get(symbol) is bar:
                del self.bars[symbol]
            else:
                self.aside[symbol].remove(bar)
        return taken

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
