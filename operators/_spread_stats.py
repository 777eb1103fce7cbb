"""spread_stats: how wide, how deep and how sound each book was, per stretch of time."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rtflow.book import BookState, SpreadStats
from rtflow.columns import pass_over
from rtflow.events import Event
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.operators._book_apply import whole_number
from rtflow.time import SECOND, Duration, nanoseconds


def spread_stats(
    every: Duration, *, levels: int = 10, origin: int = 0
) -> Lifted[BookState | Event, SpreadStats]:
    """Spread, mid, depth and imbalance of each book, averaged over time, per stretch of ``every`` seconds.

    ::

        --L1--L2------L3-----S------L4--|     L: live, S: syncing
        [ spread_stats(every=60)        ]
        ---------s1----------s2----s3---s4|   by the time that passed; s4: cut off

    What a book shows counts for as long as it shows it, on the clock of arrival (``ts_recv``), the only one
    that goes on while a venue is silent or gone. Stretches are ``[start, end)``, aligned to the epoch or to
    the stamp ``origin``, and leave at their end for each book that there is, whether it spoke or not, by
    venue, then symbol, then exchange. A book is there from its first state until it is ``"empty"``; with
    that, or the end of the source, what was seen of the last stretch leaves too.

    Depth and imbalance are of the best ``levels`` of each side, or of as many as the state shows. See
    :class:`~rtflow.book.SpreadStats` for what counts in which average. Anything but a ``BookState`` only
    tells the time.

        >>> from rtflow.book import OrderBook
        >>> book, kernel = OrderBook.of(bids=[(99.0, 3.0)], asks=[(101.0, 1.0)]), spread_stats(10).kernel()
        >>> _ = kernel.push(book.view("BTC/USD", 0, 0))
        >>> book.add("bid", 100.0, 1.0)
        >>> _ = kernel.push(book.view("BTC/USD", 0, 5 * SECOND))
        >>> kernel.due() // SECOND
        10
        >>> for stats in kernel.wake(10 * SECOND):
        ...     print(stats.spread, stats.mid, stats.bid_depth, stats.live)
        1.5 100.25 3.5 1.0

    Raises ValueError for a length that is not positive and for fewer levels than one, TypeError for levels
    that are no whole number, and for a frame, which ``normalize`` has to read first.
    """
    length = nanoseconds(every)
    if length <= 0:
        raise ValueError(f"a stretch needs a positive length, not every={every!r}")
    whole_number("levels", levels)
    return lift(lambda: _SpreadStats(length, levels, origin))


_Place: TypeAlias = tuple[str, str, str]
"""Venue, symbol and exchange."""

_Values: TypeAlias = tuple[float, float, float, float, float, float]
"""Spread, the same in basis points, mid, depth of bids and of asks, imbalance."""

_ZERO: _Values = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class _Watched(msgspec.Struct):
    """What a book shows since ``since``, and the sums of what it showed before in this stretch (times ns)."""

    since: int
    live: bool = False
    crossed: bool = False
    values: _Values | None = None
    seen_for: int = 0
    live_for: int = 0
    crossed_for: int = 0
    valued_for: int = 0
    sums: _Values = _ZERO

    def pass_to(self, now: int) -> None:
        """What is shown was so until ``now``."""
        lasted = now - self.since
        self.since = now
        self.seen_for += lasted
        self.live_for += lasted * self.live
        self.crossed_for += lasted * self.crossed
        if self.values is not None:
            self.valued_for += lasted
            spread, bps, mid, bids, asks, imbalance = self.sums
            values = self.values
            self.sums = (
                spread + values[0] * lasted,
                bps + values[1] * lasted,
                mid + values[2] * lasted,
                bids + values[3] * lasted,
                asks + values[4] * lasted,
                imbalance + values[5] * lasted,
            )

    def show(self, state: BookState, levels: int) -> None:
        """From here on it shows ``state``."""
        self.live = state.status == "live"
        self.crossed = state.crossed
        self.values = None if state.crossed else _values(state, levels)

    def begin(self) -> None:
        """A new stretch, in which it goes on as it was."""
        self.seen_for = self.live_for = self.crossed_for = self.valued_for = 0
        self.sums = _ZERO


def _values(state: BookState, levels: int) -> _Values | None:
    """What counts in the averages; None where a side is empty, or where there are no basis points."""
    spread, mid = state.spread, state.mid
    if spread is None or not mid:
        return None
    bids = sum(size for _, size in state.levels("bid", levels))
    asks = sum(size for _, size in state.levels("ask", levels))
    return spread, 10_000 * spread / abs(mid), mid, bids, asks, (bids - asks) / (bids + asks)


class _SpreadStats(Kernel[BookState | Event, SpreadStats]):
    """The books, and the end of the stretch that all of them are in."""

    def __init__(self, length: int, levels: int, origin: int) -> None:
        self._length = length
        self._levels = levels
        self._origin = origin
        self._books: dict[_Place, _Watched] = {}
        self._now = 0  # the last moment that was heard of
        self._end: int | None = None  # None while there is no book

    def push(self, item: BookState | Event) -> tuple[SpreadStats, ...]:
        now = item.ts_recv
        made = self.wake(now) if self._end is not None and self._end <= now else ()
        if now > self._now:
            self._now = now
        if not isinstance(item, BookState):
            pass_over(item, "spread_stats")
            return made
        now = self._now
        place = (item.venue, item.symbol, item.exchange)
        book = self._books.get(place)
        if item.status == "empty":
            return made if book is None else made + self._part(place, now)
        if book is None:
            book = self._books[place] = _Watched(now)
            if self._end is None:
                self._end = now - (now - self._origin) % self._length + self._length
        book.pass_to(now)
        book.show(item, self._levels)
        return made

    def flush(self) -> tuple[SpreadStats, ...]:
        return tuple(stats for place in sorted(self._books) for stats in self._part(place, self._now))

    def due(self) -> int | None:
        return self._end

    def wake(self, now: int) -> tuple[SpreadStats, ...]:
        made: list[SpreadStats] = []
        while self._end is not None and self._end <= now:
            for place in sorted(self._books):
                book = self._books[place]
                book.pass_to(self._end)
                made.append(self._stats(place, book, self._end))
                book.begin()
            self._now = self._end
            self._end += self._length
        return tuple(made)

    def state(self) -> Any:
        return msgspec.to_builtins([list(self._books.items()), self._now, self._end])

    def restore(self, state: Any) -> None:
        books, self._now, self._end = msgspec.convert(
            state, tuple[list[tuple[_Place, _Watched]], int, int | None]
        )
        self._books = dict(books)

    def _part(self, place: _Place, now: int) -> tuple[SpreadStats, ...]:
        """A book is there no longer; what was seen of it."""
        book = self._books.pop(place)
        book.pass_to(now)
        made = (self._stats(place, book, now),) if book.seen_for else ()
        if not self._books:
            self._end = None
        return made

    def _stats(self, place: _Place, book: _Watched, now: int) -> SpreadStats:
        assert self._end is not None, "there is a book"
        venue, symbol, exchange = place
        seen, valued = book.seen_for, book.valued_for
        spread, bps, mid, bids, asks, imbalance = (total / valued if valued else None for total in book.sums)
        return SpreadStats(
            symbol,
            self._end - self._length,
            self._end,
            now,
            seen / SECOND,
            book.live_for / seen,
            book.crossed_for / seen,
            spread,
            bps,
            mid,
            bids,
            asks,
            imbalance,
            self._levels,
            venue,
            exchange,
        )
