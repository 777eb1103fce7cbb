"""rolling: any fold over the last seconds or the last items of each symbol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

import msgspec

from rtflow.columns import pass_over
from rtflow.counters import Counters
from rtflow.events import (
    Bar,
    Event,
    Gap,
    Lost,
    OrderBookUpdate,
    Quote,
    Rolled,
    Status,
    Trade,
    TradeCancel,
    TradeCorrection,
)
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import Duration, nanoseconds

_A = TypeVar("_A")
_V = TypeVar("_V")
_R = TypeVar("_R")


@overload
def rolling(
    *,
    of: type[_A],
    fold: Callable[[Sequence[_A]], _V],
    over: Duration | None = ...,
    count: int | None = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    counters: Counters | None = ...,
) -> Lifted[Any, Rolled[_V]]: ...
@overload
def rolling(
    *,
    of: type[_A],
    each: Callable[[_A], _V],
    merge: Callable[[_V, _V], _V],
    over: Duration | None = ...,
    count: int | None = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    counters: Counters | None = ...,
) -> Lifted[Any, Rolled[_V]]: ...


def rolling(
    *,
    of: type[Any],
    fold: Callable[[Sequence[Any]], Any] | None = None,
    each: Callable[[Any], Any] | None = None,
    merge: Callable[[Any, Any], Any] | None = None,
    over: Duration | None = None,
    count: int | None = None,
    clock: Literal["event", "recv"] = "event",
    tolerance: Duration = 1.0,
    counters: Counters | None = None,
) -> Lifted[Any, Rolled[Any]]:
    """What a fold makes of each symbol's items of the last ``over`` seconds, each time they change.

    ::

        --1--2---------3---------|
        [ rolling(over=6, …)     ]     a sum
        --1--3--2--n---3-----n---|     2: the 1 has left by the time that passed; n: all have, it is None

    Give it the whole event stream: the items ``of`` one type make the windows, every event tells the time,
    gaps leave their mark. Each venue's each symbol has its own.

    **The fold**, one of two:

    - ``fold``: a function of all the items in the window, oldest first: a median, a regression. It is asked
      anew at every change, so that n items cost n steps each time.
    - ``each`` and ``merge``: ``each`` makes a value of one item, ``merge`` one of two neighbours, the
      earlier one first. ``merge`` must be associative, as addition, ``max`` and :meth:`Bar.merge` are;
      nothing needs to be taken back. An item costs a few merges, however long the window (two stacks:
      Tangwongsan, Hirzel and Schneider 2021, "In-order sliding-window aggregation in worst-case constant
      time"). So no error adds up: a sum is as good as if it were taken anew. Only an item that comes late
      costs a merge for each item it overtakes, or was overtaken by.

    **The window** holds the items stamped in ``(now - over, now]``, or the last ``count``, or, with both,
    those that are among both; in the order of their stamps, and for equal stamps, as they came. ``now`` is
    the watermark of the venue, as in :func:`window_to_bar`: the largest ``ts_event`` of any of its events,
    carried forward by the time passed since that event's ``ts_recv``; a stamp further than ``tolerance``
    ahead of its ``ts_recv`` counts as ``tolerance`` ahead. ``clock="recv"`` goes by ``ts_recv`` instead, as
    do items without a ``ts_event``.

    **When.** At each item that comes in, and at each moment at which time alone takes items out, one
    :class:`~rtflow.events.Rolled`: an empty window says so once, with the value ``None``. An item received at
    the very nanosecond at which another is due to leave comes before that, and takes it out itself. Items too
    late for their window are counted as ``late`` in ``counters``, corrections and cancels of trades, which
    are not applied, as ``unapplied``.

    **Marks.** A lost line empties no window: what was seen in the last ``over`` seconds remains true. But
    ``gap=True`` as long as the window reaches back into a ``Gap`` of the venue or a ``Lost``, and while the
    line is down; not for a gap that ``op.backfill`` filled. ``partial=True``: we have not watched for
    ``over`` yet, from the ``Status`` that acknowledged the symbol, else from the venue's first sign; with
    ``count`` only, so many have not come yet. A mark alone makes no item. An unsubscribed symbol is
    forgotten.

    Items must be what msgspec encodes, and functions the same each time, for ``state()`` and ``restore()``.

        >>> from rtflow.time import SECOND
        >>> high = rolling(of=Trade, each=lambda trade: trade.price, merge=max, over=60).kernel()
        >>> for second, price in (0, 10.0), (20, 12.0), (50, 11.0):
        ...     for rolled in high.push(Trade("A", second * SECOND, second * SECOND, price, size=1.0)):
        ...         print(rolled.value, rolled.count, rolled.partial)
        10.0 1 True
        12.0 2 True
        12.0 3 True
        >>> while (due := high.due()) is not None:
        ...     for rolled in high.wake(due):
        ...         print(rolled.ts_event // SECOND, rolled.value, rolled.count, rolled.partial)
        60 12.0 2 False
        80 11.0 1 False
        110 None 0 False

    Raises ValueError where the window has no length, ``over`` is not positive, ``count`` is no whole number
    from 1 up, ``tolerance`` is negative, or for another ``clock``; TypeError where ``of`` is no type, and
    where the fold is not given in exactly one of its two ways.
    """
    rules = _rules("rolling", of, over, count, clock, tolerance)
    make: Callable[[], _Window[Any, Any]]
    if fold is not None and each is None and merge is None:
        folded = fold
        make = lambda: _Folded(folded)  # noqa: E731 - two lines of one choice
    elif fold is None and each is not None and merge is not None:
        one, two = each, merge
        make = lambda: _Merged(one, two)  # noqa: E731
    else:
        raise TypeError("rolling() wants either fold= or each= and merge=")
    counted = Counters() if counters is None else counters
    return lift(lambda: _Rolling[Any, Any, Rolled[Any]](rules, make, Rolled, counted))


class _Rules(msgspec.Struct, frozen=True):
    """What is in a window; lengths in nanoseconds."""

    operator: str  # by name
    of: type[Any]
    kind: str  # of the subscriptions and gaps that concern it; "" where that is not known: all
    over: int | None
    count: int | None
    by_arrival: bool
    tolerance: int


_KINDS: dict[type, str] = {Trade: "trades", Quote: "quotes", OrderBookUpdate: "books", Bar: "bars"}


def _rules(
    operator: str, of: type[Any], over: Duration | None, count: int | None, clock: str, tolerance: Duration
) -> _Rules:
    if not isinstance(of, type):
        raise TypeError(f"of= wants a type, as in of=Trade, not {of!r}")
    length, ahead = None if over is None else nanoseconds(over), nanoseconds(tolerance)
    if length is None and count is None:
        raise ValueError("a window needs a length: over= seconds, count= items, or both")
    if length is not None and length <= 0:
        raise ValueError(f"a window needs a positive length, not over={over!r}")
    if count is not None and (count < 1 or count % 1):
        raise ValueError(f"count must be a whole number, 1 or more, not {count!r}")
    if ahead < 0:
        raise ValueError(f"tolerance cannot be negative: {tolerance!r}")
    if clock not in ("event", "recv"):
        raise ValueError(f"{clock!r} is none of 'event', 'recv'")
    return _Rules(operator, of, _KINDS.get(of, ""), length, count, clock == "recv", ahead)


_NEVER = (1 << 63) - 1
_LONG_AGO = -_NEVER

_Say: TypeAlias = Callable[[str, int, int, _V | None, int, str, bool, bool], _R]
"""Makes the item of symbol, ts_event, ts_recv, value, count, venue, partial and gap."""


class _Window(ABC, Generic[_A, _V]):
    """One symbol's items and their stamps, oldest first."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.items: list[_A] = []

    def add(self, stamp: int, item: _A) -> int:
        """Put it in its place, and say which that is."""
        place = bisect_right(self.stamps, stamp)
        self.stamps.insert(place, stamp)
        self.items.insert(place, item)
        return place

    def drop(self, many: int) -> None:
        """Let the oldest go."""
        del self.stamps[:many], self.items[:many]

    @abstractmethod
    def value(self) -> _V:
        """Of a window that is not empty."""
        ...

    def cut(self) -> int:
        """All that :meth:`restore` needs beside the items."""
        return 0

    def restore(self, stamps: list[int], items: list[_A], cut: int) -> None:
        self.stamps, self.items = stamps, items


class _Folded(_Window[_A, _V]):
    """Folds all of it each time it is asked."""

    def __init__(self, fold: Callable[[Sequence[_A]], _V]) -> None:
        super().__init__()
        self._fold = fold

    def value(self) -> _V:
        return self._fold(tuple(self.items))


class _Merged(_Window[_A, _V]):
    """Two stacks: what each of the older items makes with those after it, and what all the newer make."""

    def __init__(self, each: Callable[[_A], _V], merge: Callable[[_V, _V], _V]) -> None:
        super().__init__()
        self._each = each
        self._merge = merge
        self._older: list[_V] = []  # the last is of all the older items, the first of the youngest of them
        self._newer: _V | None = None  # means nothing where all items are older

    def add(self, stamp: int, item: _A) -> int:
        cut = len(self._older)
        place = super().add(stamp, item)
        if place < cut:
            del self._older[cut - place :]
            self._stack(place)
        elif place == len(self.items) - 1 > cut:
            self._newer = self._merge(cast("_V", self._newer), self._each(item))
        else:
            self._pile(cut)
        return place

    def drop(self, many: int) -> None:
        super().drop(many)
        left = len(self._older) - many
        if left > 0:
            del self._older[left:]
        else:
            self._older = []
            self._stack(len(self.items) - 1)

    def value(self) -> _V:
        older = self._older
        if not older:
            return cast("_V", self._newer)
        return older[-1] if len(older) == len(self.items) else self._merge(older[-1], cast("_V", self._newer))

    def cut(self) -> int:
        return len(self._older)

    def restore(self, stamps: list[int], items: list[_A], cut: int) -> None:
        super().restore(stamps, items, cut)
        self._stack(cut - 1)
        if cut < len(items):
            self._pile(cut)

    def _stack(self, last: int) -> None:
        """Put the items from ``last`` down to the oldest on top of the older."""
        older = self._older
        for item in reversed(self.items[: last + 1]):
            value = self._each(item)
            older.append(self._merge(value, older[-1]) if older else value)

    def _pile(self, cut: int) -> None:
        """Make the newer of the items from ``cut`` on, of which there is one at least."""
        value = self._each(self.items[cut])
        for item in self.items[cut + 1 :]:
            value = self._merge(value, self._each(item))
        self._newer = value


class _Holes(msgspec.Struct):
    """Of what is missing, only how far it reaches: every window ends now."""

    open: list[str] = []  # the symbols whose line is down; "" for all of them
    last: dict[str, int] = {}  # the last event time that something is missing of

    def touch(self, symbol: str, begin: int) -> bool:
        """Whether a window from after ``begin`` until now has a hole."""
        return (
            "" in self.open
            or symbol in self.open
            or self.last.get("", _LONG_AGO) > begin
            or self.last.get(symbol, _LONG_AGO) > begin
        )

    def close(self, symbol: str, last: int) -> None:
        self.last[symbol] = max(self.last.get(symbol, _LONG_AGO), last)


class _Clock(msgspec.Struct):
    """A venue's watermark, which at the moment ``t`` is ``t - lag``, and never runs back."""

    began: int  # ts_recv of its first sign
    newest: int = _LONG_AGO  # largest event time of this connection
    lag: int = _NEVER  # ts_recv - ts_event of the event that carried it; _NEVER before the first
    reached: int = _LONG_AGO
    since: dict[str, int] = {}  # ts_recv of the acknowledgements
    holes: _Holes = msgspec.field(default_factory=_Holes)

    def hear(self, stamp: int, ts_recv: int) -> None:
        """An event says what time it is."""
        self.carry(ts_recv - 1)  # a timer of this very moment comes after
        if stamp > self.newest:
            self.newest, self.lag = stamp, ts_recv - stamp
            self.reached = max(self.reached, stamp)

    def carry(self, now: int) -> None:
        self.reached = max(self.reached, now - self.lag)

    def delay(self) -> int:
        """What to take from a stamp of arrival for event time."""
        return 0 if self.lag == _NEVER else self.lag


class _Venue(Generic[_A, _V]):
    """A venue's clock, and its windows."""

    def __init__(self, name: str, clock: _Clock) -> None:
        self.name = name
        self.clock = clock
        self.windows: dict[str, _Window[_A, _V]] = {}
        self._oldest: list[tuple[int, str]] = []  # a heap of the windows' oldest stamps, some of them gone

    def oldest(self) -> int | None:
        """The oldest stamp in any window."""
        heap = self._oldest
        while heap:
            stamp, symbol = heap[0]
            window = self.windows.get(symbol)
            if window is not None and window.stamps and window.stamps[0] == stamp:
                return stamp
            heappop(heap)
        return None

    def watch(self, symbol: str, window: _Window[_A, _V]) -> None:
        """It has another oldest item."""
        heappush(self._oldest, (window.stamps[0], symbol))

    def expire(self, until: int) -> list[str]:
        """Drop what is stamped ``until`` or before; whose that was, in order."""
        changed: set[str] = set()
        while (stamp := self.oldest()) is not None and stamp <= until:
            _, symbol = heappop(self._oldest)
            window = self.windows[symbol]
            window.drop(bisect_right(window.stamps, until))
            changed.add(symbol)
            if window.stamps:
                self.watch(symbol, window)
        return sorted(changed)

    def restore(self, windows: dict[str, _Window[_A, _V]]) -> None:
        self.windows = windows
        self._oldest = [(window.stamps[0], symbol) for symbol, window in windows.items() if window.stamps]
        heapify(self._oldest)


class _Rolling(Kernel[Any, _R], Generic[_A, _V, _R]):
    """The venues."""

    def __init__(
        self,
        rules: _Rules,
        make: Callable[[], _Window[_A, _V]],
        say: _Say[_V, _R],
        counters: Counters,
    ) -> None:
        self._rules = rules
        self._make = make
        self._say = say
        self._counters = counters
        self._venues: dict[str, _Venue[_A, _V]] = {}
        self._due: int | None = None

    def push(self, item: Any) -> tuple[_R, ...]:
        now: int = item.ts_recv
        # Where nobody wakes us, the timers' turn is now.
        made = self._pass(now - 1) if self._due is not None and self._due < now else ()
        if isinstance(item, Gap | Lost | Status):
            self._hear(item)
        else:
            made += self._heed(item, now)
        self._look_ahead()
        return made

    def due(self) -> int | None:
        return self._due

    def wake(self, now: int) -> tuple[_R, ...]:
        return self._pass(now)

    def state(self) -> Any:
        return msgspec.to_builtins(
            [
                (
                    name,
                    venue.clock,
                    [
                        (symbol, window.stamps, window.items, window.cut())
                        for symbol, window in venue.windows.items()
                    ],
                )
                for name, venue in self._venues.items()
            ]
        )

    def restore(self, state: Any) -> None:
        self._venues = {}
        for name, clock, saved in msgspec.convert(state, list[tuple[str, _Clock, list[Any]]]):
            venue = self._venues[name] = _Venue[_A, _V](name, clock)
            windows: dict[str, _Window[_A, _V]] = {}
            for symbol, stamps, items, cut in saved:
                window = windows[symbol] = self._make()
                window.restore(list(stamps), [msgspec.convert(each, self._rules.of) for each in items], cut)
            venue.restore(windows)
        self._look_ahead()

    def _heed(self, item: Any, now: int) -> tuple[_R, ...]:
        """What happened at the venue."""
        rules = self._rules
        wanted = isinstance(item, rules.of)
        stamp: int | None = getattr(item, "ts_event", now if wanted else None)
        if stamp is None:
            pass_over(item, rules.operator)
            return ()
        stamp = now if rules.by_arrival else min(stamp, now + rules.tolerance)
        venue = self._venue(getattr(item, "venue", ""), now)
        venue.clock.hear(stamp, now)
        changed = [] if rules.over is None else venue.expire(venue.clock.reached - rules.over)
        if wanted and self._take(venue, item, stamp):
            changed = [*(symbol for symbol in changed if symbol != item.symbol), item.symbol]
        elif rules.of is Trade and isinstance(item, TradeCorrection | TradeCancel):
            self._counters.add("unapplied")
        return tuple([self._said(venue, symbol, now) for symbol in changed])

    def _venue(self, name: str, now: int) -> _Venue[_A, _V]:
        venue = self._venues.get(name)
        if venue is None:
            venue = self._venues[name] = _Venue(name, _Clock(now))
        return venue

    def _look_ahead(self) -> str:
        """When time takes something out next, and at which venue."""
        over = self._rules.over
        if over is None:
            return ""
        dues = [
            (stamp + over + venue.clock.lag, name)
            for name, venue in self._venues.items()
            if (stamp := venue.oldest()) is not None
        ]
        self._due, name = min(dues) if dues else (None, "")
        return name

    def _pass(self, now: int) -> tuple[_R, ...]:
        """Take out what is due by ``now``, each at its own moment, however late we are told."""
        made: list[_R] = []
        over = self._rules.over
        while self._due is not None and self._due <= now:
            assert over is not None, "else nothing is due"
            due, venue = self._due, self._venues[self._look_ahead()]
            venue.clock.carry(due)
            made += [self._said(venue, symbol, due) for symbol in venue.expire(venue.clock.reached - over)]
            self._look_ahead()
        return tuple(made)

    def _take(self, venue: _Venue[_A, _V], item: Any, stamp: int) -> bool:
        """Put an item into its window, if it is not too late for it."""
        rules, symbol = self._rules, item.symbol
        window = venue.windows.get(symbol)
        if window is None:
            window = venue.windows[symbol] = self._make()
        full = rules.count is not None and len(window.stamps) == rules.count
        if (rules.over is not None and stamp <= venue.clock.reached - rules.over) or (
            full and stamp < window.stamps[0]
        ):
            self._counters.add("late")
            return False
        place = window.add(stamp, item)
        if full:
            window.drop(1)
        if place == 0 or full:
            venue.watch(symbol, window)
        return True

    def _said(self, venue: _Venue[_A, _V], symbol: str, now: int) -> _R:
        rules, clock, window = self._rules, venue.clock, venue.windows[symbol]
        begin = _LONG_AGO if rules.over is None else clock.reached - rules.over
        if rules.count is not None and len(window.stamps) == rules.count:
            begin, partial = max(begin, window.stamps[0] - 1), False
        else:
            partial = rules.over is None or begin + clock.lag + 1 < clock.since.get(symbol, clock.began)
        return self._say(
            symbol,
            clock.reached,
            now,
            window.value() if window.stamps else None,
            len(window.stamps),
            venue.name,
            partial,
            clock.holes.touch(symbol, begin),
        )

    def _hear(self, item: Event) -> None:
        """What is said about the line."""
        kind = self._rules.kind
        if isinstance(item, Gap):
            if not kind or item.kind in ("", kind):
                _note(self._venue(item.venue, item.ts_recv).clock, item)
        elif isinstance(item, Lost):
            for venue in self._venues.values():
                venue.clock.holes.close(item.symbol, item.ts_last - venue.clock.delay())
        elif isinstance(item, Status) and item.state == "open":
            if item.venue in self._venues:  # who joins a broadcast late is told this too: it is no first sign
                self._venues[item.venue].clock.newest = _LONG_AGO
        elif isinstance(item, Status) and item.symbol and (not kind or item.kind in ("", kind)):
            venue = self._venue(item.venue, item.ts_recv)
            if item.state == "subscribed":
                venue.clock.since.setdefault(item.symbol, item.ts_recv)  # after a reconnect, there is a Gap
            elif item.state == "unsubscribed":
                venue.clock.since.pop(item.symbol, None)
                venue.windows.pop(item.symbol, None)


def _note(clock: _Clock, gap: Gap) -> None:
    """A gap, or what has become of it."""
    symbols = gap.symbols or ("",)
    holes = clock.holes
    if gap.ts_end is None:
        holes.open = sorted({*holes.open, *symbols})
        if not gap.symbols:
            clock.newest = _LONG_AGO  # the next connection's clock speaks for itself
        return
    holes.open = [symbol for symbol in holes.open if symbol not in symbols]
    if gap.filled is None:  # else what was missing follows: no hole is left
        for symbol in symbols:  # at ts_end itself all is seen again
            holes.close(symbol, max(gap.ts_start, gap.ts_end - 1) - clock.delay())
