"""watchdog: silence that should not be, said and acted upon."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from rtflow.columns import pass_over
from rtflow.events import Event, Gap, Stale, Status
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import SECOND, Duration, nanoseconds


def watchdog(
    *,
    silent_for: Duration = 30.0,
    per_symbol: Duration | Mapping[str, Duration] | None = None,
    quiet: Collection[str] = (),
    resync: Callable[[str], object] | None = None,
    reconnect: Callable[[], object] | None = None,
) -> Lifted[Event, Event]:
    """Every event, and a ``Stale`` where nothing has come for longer than it should take.

    ::

        --S--t1--t2-----------------------t3--|    S: the subscription is acknowledged
        [ watchdog(silent_for=10, …)          ]
        --S--t1--t2--------s1--------s2---t3--|    s1: asks for a resync; s2: for a new connection

    Two watches, each armed by the ``Status`` that acknowledges a subscription and not by the first data, and
    both at rest from the moment the line is lost:

    - **the stream**: no event of a venue, heartbeats included, for ``silent_for``. It asks for a resync of
      every symbol that is watched, and, after as long again, for a new connection.
    - **a symbol**: nothing of it for ``per_symbol`` (one duration, or each symbol's own; None watches none),
      unless it is ``quiet``. A venue's heartbeats do not count here. It asks for a resync of that symbol, and
      for a new connection when every symbol that is watched has been silent for twice its time.

    Quiet is no fault, so nothing here takes a line down and up for ever: each next new connection takes
    twice the silence of the last. That ends when something shows its pace again: two events no further apart
    than they should be, after the first burst that follows the acknowledgement.

    To ask is to call ``resync=feed.resync`` and ``reconnect=feed.reconnect``, and to say so in the
    :class:`~rtflow.events.Stale`; without the function nothing is asked, and the first ``Stale`` is the last
    until something comes. A line so dead that it answers no ping is found by the transport itself, see
    ``keepalive`` of :func:`rtflow.connect`.

    Silence is measured from the stamps of arrival, on the line, after everything that was read by then: a
    slow subscriber of ours is no silence of theirs. Raises ValueError for a duration that is not positive.

        >>> kernel = watchdog(silent_for=10).kernel()
        >>> _ = kernel.push(Status("subscribed", 0, symbol="BTC/USD", kind="trades"))
        >>> kernel.due() // SECOND
        10
        >>> [(stale.tier, stale.silent_for, stale.action) for stale in kernel.wake(10 * SECOND)]
        [('stream', 10.0, '')]
    """
    stream = _positive("silent_for", silent_for)
    intervals: dict[str, int] = {}
    default: int | None = None
    if isinstance(per_symbol, Mapping):
        for symbol, each in per_symbol.items():
            intervals[symbol] = _positive(f"per_symbol[{symbol!r}]", each)
    elif per_symbol is not None:
        default = _positive("per_symbol", per_symbol)
    unwatched = frozenset((quiet,) if isinstance(quiet, str) else quiet)

    def interval(symbol: str) -> int | None:
        return None if symbol in unwatched else intervals.get(symbol, default)

    return lift(lambda: _Watchdog(stream, interval, resync, reconnect))


def _positive(name: str, duration: Duration) -> int:
    length = nanoseconds(duration)
    if length <= 0:
        raise ValueError(f"{name} must be more than nothing, not {duration!r}")
    return length


_Action: TypeAlias = Literal["", "resync", "reconnect"]


class _Watched(msgspec.Struct):
    """A stream or a symbol: how long it may be silent, since when it is, and what was done about that."""

    length: int
    armed: int
    heard: int
    asked: int = 0  # 0: nothing; 1: it was said, and a resync asked for; 2: so was a new connection

    def hear(self, now: int) -> bool:
        """Something came; True if it came at the pace that is expected."""
        steady = self.heard - self.armed > self.length >= now - self.heard
        self.heard = now
        self.asked = 0
        return steady

    def due(self, tries: int) -> int | None:
        """When its silence has lasted too long, by as many new connections as did not help."""
        if self.asked == 2:
            return None
        return self.heard + (self.length if self.asked == 0 else self.length << tries + 1)


class _Venue(msgspec.Struct):
    """One venue's line; at rest, until something on it is subscribed."""

    stream: _Watched | None = None
    symbols: dict[str, _Watched] = {}
    tries: int = 0  # new connections asked for since it last showed its pace

    def rest(self, symbols: tuple[str, ...] = ()) -> None:
        """The line is down: a retry's to mend, and an acknowledgement's to arm us again.

        Where it was one of several connections, it is down for its ``symbols`` alone.
        """
        for symbol in symbols:
            self.symbols.pop(symbol, None)
        if not symbols:
            self.stream = None
            self.symbols = {}


class _Watchdog(Kernel[Event, Event]):
    """The venues, and a moment before which none of them can have been silent for too long."""

    def __init__(
        self,
        stream: int,
        interval: Callable[[str], int | None],
        resync: Callable[[str], object] | None,
        reconnect: Callable[[], object] | None,
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._resync = resync
        self._reconnect = reconnect
        self._venues: dict[str, _Venue] = {}
        self._due: int | None = None

    def push(self, item: Event) -> tuple[Event, ...]:
        if isinstance(item, Status):
            self._heed(item)
        venue = self._venues.get(getattr(item, "venue", ""))
        if venue is None or venue.stream is None:
            pass_over(item, "watchdog")
            return (item,)
        if isinstance(item, Gap) and item.ts_end is None:
            venue.rest(item.symbols)
            if not item.symbols:
                return (item,)
        now = item.ts_recv
        asked = venue.stream.asked
        steady = venue.stream.hear(now)
        watched = venue.symbols.get(getattr(item, "symbol", ""))
        if watched is not None and not isinstance(item, Status):
            asked += watched.asked
            steady = watched.hear(now)
        if steady and not (venue.symbols and watched is None):
            venue.tries = 0
        if asked:
            self._look_ahead()
        return (item,)

    def due(self) -> int | None:
        return self._due

    def wake(self, now: int) -> tuple[Event, ...]:
        said = tuple(stale for name, venue in self._venues.items() for stale in self._look(name, venue, now))
        self._look_ahead()
        return said

    def state(self) -> Any:
        return msgspec.to_builtins([self._venues, self._due])

    def restore(self, state: Any) -> None:
        self._venues, self._due = msgspec.convert(state, tuple[dict[str, _Venue], int | None])

    def _heed(self, status: Status) -> None:
        """What arms, and what lays to rest."""
        venue = self._venues.setdefault(status.venue, _Venue())
        now = status.ts_recv
        if status.state in ("open", "closed"):
            venue.rest()
        elif status.state == "subscribed":
            if venue.stream is None:
                venue.stream = _Watched(self._stream, now, now)
            length = self._interval(status.symbol) if status.symbol else None
            if length is not None and status.symbol not in venue.symbols:
                venue.symbols[status.symbol] = _Watched(length, now, now)
            self._look_ahead()
        elif status.state in ("unsubscribed", "rejected"):
            venue.symbols.pop(status.symbol, None)

    def _look(self, name: str, venue: _Venue, now: int) -> Iterator[Stale]:
        """What is to be said and done about a venue's silences by ``now``."""
        if venue.stream is None:
            return
        if self._is_over(venue.stream, venue, now):
            step = self._act(venue.stream, venue, list(venue.symbols))
            yield Stale(now, _silence(venue.stream, now), "", "stream", step, name)
        for symbol, watched in venue.symbols.items():
            if self._is_over(watched, venue, now):
                if watched.asked == 0:
                    step = self._act(watched, venue, [symbol])
                    yield Stale(now, _silence(watched, now), symbol, "symbol", step, name)
                    continue
                watched.asked = 2
                if all(each.asked == 2 for each in venue.symbols.values()) and venue.stream.asked < 2:
                    step = self._act(watched, venue, [])
                    yield Stale(now, _silence(watched, now), symbol, "symbol", step, name)

    def _is_over(self, watched: _Watched, venue: _Venue, now: int) -> bool:
        due = watched.due(venue.tries)
        return due is not None and due <= now

    def _act(self, watched: _Watched, venue: _Venue, symbols: list[str]) -> _Action:
        """The next step about a silence: a resync of ``symbols``, then a new connection, then no more."""
        if watched.asked == 0:
            watched.asked = 1 if self._reconnect is not None else 2
            if self._resync is None or not symbols:
                return ""
            for symbol in symbols:
                self._resync(symbol)
            return "resync"
        watched.asked = 2
        venue.tries += 1
        assert self._reconnect is not None, "without it, the first step is the last"
        self._reconnect()
        return "reconnect"

    def _look_ahead(self) -> None:
        self._due = min(
            (
                due
                for venue in self._venues.values()
                if venue.stream is not None
                for watched in (venue.stream, *venue.symbols.values())
                if (due := watched.due(venue.tries)) is not None
            ),
            default=None,
        )


def _silence(watched: _Watched, now: int) -> float:
    return (now - watched.heard) / SECOND
