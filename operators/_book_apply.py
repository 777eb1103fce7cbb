"""book_apply: order book updates to books, and when not to believe them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from rtflow.book import CHECKSUMS, BookState, BookStatus, OrderBook, joins_on
from rtflow.columns import Columns, pass_over
from rtflow.counters import Counters
from rtflow.errors import Unsupported
from rtflow.events import Event, Frame, Gap, Lost, OrderBookUpdate, Status
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import SECOND, Duration, nanoseconds


def book_apply(
    *,
    depth: int | None = None,
    verify: Literal["always", "never"] = "always",
    resync: Callable[[str], object] | None = None,
    emit: Literal["update", "top"] | Duration = "update",
    resyncs: int = 5,
    pending: int = 1000,
    crossed_for: Duration = 1.0,
    snapshot_within: Duration = 10.0,
    counters: Counters | None = None,
) -> Lifted[Event, BookState]:
    """The book of every venue and symbol, said anew after each update, with how far it can be trusted.

    ::

        --snapshot--u1--u2--Gap-------snapshot--u3--bad-----snapshot--|
        [                         book_apply()                        ]
        --L---------L---L---S---------L---------L---XS------L---------|   L: live, S: syncing, X: suspect

    Give it the whole event stream: a ``Gap`` or a new connection is what makes a book worthless, and the
    book says so. Levels are shown by a live book only; what is not known to be right is not shown at all.

    - **live** after a snapshot. Each update, however many levels it has, makes one
      :class:`~rtflow.book.BookState`, or none with ``emit="top"`` if best bid and ask and their sizes stayed.
      With ``emit=0.1``, or any seconds or ``timedelta``, a book that was updated speaks at the end of that
      stretch, aligned to the epoch, or of the source, and says what it then is; only a change of status
      never waits. ``depth`` limits the levels a state shows; the book itself is kept as deep as the venue
      sends it. A snapshot of a newer epoch takes over a live book in place: a planned cut was bridged, and
      nothing was ever in doubt.
    - **syncing** while it waits for a snapshot: after a ``Gap``, an ``"open"`` of a newer connection, or a
      resync that was asked for. Of several connections that share what is wanted, each is the affair of the
      books alone that it serves. A delta that meets a book nobody asked a snapshot for asks for one, as it
      does where a symbol is first seen. Deltas with a sequence wait for the snapshot, at most ``pending`` of
      them, the oldest giving way. Those that cannot be placed are counted ``before_snapshot``.
    - **suspect**, with the ``reason``, after a wrong checksum (``verify="always"``, taken over the depth the
      venue prescribes), a break in the sequence, an update with a level that can be none (a negative size),
      updates that a buffer lost, bid above ask for longer than ``crossed_for`` (until then ``crossed=True``
      is all), or when prices have left what a limited snapshot reached (``known_depth`` says how much of it
      is left). ``resync(symbol)`` is called, one symbol and nothing else; without ``resync`` the book waits
      for a snapshot that comes by itself. It is one feed's: of several feeds with a ``resync`` each, merge
      the books and not the events.
    - **failed**, said once, when the venue refused the symbol or when ``resyncs`` of them in a row did not
      help: the first is asked for at once, those after it 1, 5, and then each 30 seconds after the failure,
      which is another bad update or no snapshot ``snapshot_within`` seconds (where a venue paces hundreds of
      them, allow for it). 30 good seconds end the row. A snapshot or a new connection (not after a refusal)
      revives it.
    - **empty** when it was unsubscribed, other than by a resync; what still comes is counted ``unwanted``.

    A live book takes no snapshot that is older than itself, by sequence. Counted, too: ``old_epoch`` and
    ``duplicate`` updates and each ``old_snapshot``, which are dropped; the suspicions by ``checksum``,
    ``sequence``, ``broken``, ``crossed`` and ``exhausted``; ``resyncs`` asked for. A ``Malformed`` item
    suspects nothing, as nobody can tell what it would have said.

    Raises Unsupported where an update names a checksum rule that is not in :data:`rtflow.book.CHECKSUMS`,
    ValueError for options below 1, TypeError for those of another type, and for a frame, which ``normalize``
    has to read first. What ``resync`` raises ends the stream.

        >>> kernel = book_apply().kernel()
        >>> for event in (OrderBookUpdate("A", 1, 1, ((99.0, 2.0),), ((101.0, 1.0),), snapshot=True),
        ...               OrderBookUpdate("A", 2, 2, ((99.0, 0.0), (98.5, 4.0)), ()),
        ...               Gap(2, None, epoch=1, ts_recv=3, reason="the line is lost")):
        ...     print(*kernel.push(event))
        <BookState A live 99.0×2.0 | 101.0×1.0>
        <BookState A live 98.5×4.0 | 101.0×1.0>
        <BookState A syncing – | –, the line is lost>

    Times are ``ts_recv``; where nothing can wait, the updates themselves tell the time. Kraken's words on
    resynchronising: https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2
    """
    if depth is not None:
        whole_number("depth", depth)
    whole_number("resyncs", resyncs)
    whole_number("pending", pending)
    if not isinstance(verify, str):
        raise TypeError(f"verify is 'always' or 'never', not {verify!r}")
    if verify not in ("always", "never"):
        raise ValueError(f"verify is 'always' or 'never', not {verify!r}")
    if resync is not None and not callable(resync):
        raise TypeError(f"resync is a function of a symbol, as in resync=feed.resync, not {resync!r}")
    if counters is not None and not isinstance(counters, Counters):
        raise TypeError(f"counters is a Counters, not {counters!r}")
    every = _stretch(emit)
    patience, within = nanoseconds(crossed_for), nanoseconds(snapshot_within)
    if within <= 0:
        raise ValueError(f"snapshot_within must be more than nothing, not {snapshot_within!r}")
    counted = Counters() if counters is None else counters

    def kernel() -> _Books:
        asks = resync, resyncs, within
        rules = depth, verify == "always", emit == "top", pending, patience, asks, counted
        return _BooksByTheClock(*rules, every=every) if every else _Books(*rules)

    return lift(kernel)


def whole_number(name: str, number: object) -> None:
    """Refuse an option that is no whole number, or none from 1 up."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name} is a whole number, not {number!r}")
    if number < 1:
        raise ValueError(f"{name} must be a whole number, 1 or more, not {number!r}")


def _stretch(emit: object) -> int:
    """The nanoseconds between two words of a book that speaks by the clock; 0 for one that does not."""
    if isinstance(emit, bool) or not isinstance(emit, str | int | float | timedelta):
        raise TypeError(f"emit is 'update', 'top' or a duration, not {emit!r}")
    if isinstance(emit, str) and emit not in ("update", "top"):
        raise ValueError(f"emit is 'update', 'top' or a duration, not {emit!r}")
    every = 0 if isinstance(emit, str) else nanoseconds(emit)
    if every <= 0 and not isinstance(emit, str):
        raise ValueError(f"emit must be more than no time, not {emit!r}")
    return every


_PAUSES = (1 * SECOND, 5 * SECOND, 30 * SECOND)  # between a failure and the next resync; the last one repeats
_GOOD_AFTER = 30 * SECOND

_Said: TypeAlias = Iterator[BookState]


class _Known(msgspec.Struct):
    """What is known of one book beside its levels."""

    venue: str
    symbol: str
    exchange: str
    epoch: int
    status: BookStatus = "empty"
    ts_event: int = 0
    sequence: int | None = None
    down: bool = False  # the connection of this epoch is gone
    unwanted: bool = False  # refused or unsubscribed: a delta is no reason to ask for it
    served: int | None = None  # the epoch of another connection that serves it by now, too
    asked: int = 0  # resyncs in a row
    asked_at: int | None = None  # ts_recv of the last of them; it may begin with an unsubscription of ours
    beginning: bool = False  # asked for because a delta came before any snapshot: no failure of anybody's
    good_since: int | None = None  # ts_recv of the snapshot that made it live
    waits: Literal["", "snapshot", "pause", "uncrossing"] = ""  # what for, until …
    until: int = 0
    touch: tuple[float | None, ...] | None = None  # as last said, for emit="top"; None before it was said
    pending: list[OrderBookUpdate] = []
    # Only where a book speaks by the clock:
    held: int | None = None  # ts_recv of the last update, where the book has yet to say it …
    speaks: int = 0  # … at this moment
    levels: int | None = None  # how many a side the venue then kept for us


class _Followed(_Known):
    """One book, and what is known of it."""

    book: OrderBook = msgspec.field(default_factory=OrderBook)


class _Saved(msgspec.Struct):
    """What :meth:`_Books.state` says: books with their levels, and the epoch of each venue."""

    books: list[tuple[_Known, Any]]
    epochs: dict[str, int]


class _Books(Kernel[Event, BookState]):
    """Every book there is, and the next moment at which one of them has waited long enough."""

    def __init__(
        self,
        depth: int | None,
        verify: bool,
        top: bool,
        pending: int,
        crossed_for: int,
        asks: tuple[Callable[[str], object] | None, int, int],
        counters: Counters,
    ) -> None:
        self._depth = depth
        self._verify = verify
        self._resync, self._resyncs, self._within = asks
        self._top = top
        self._pending = pending
        self._crossed_for = crossed_for
        self._counters = counters
        self._books: dict[tuple[str, str, str], _Followed] = {}
        self._epochs: dict[str, int] = {}
        self._due: int | None = None

    def push(self, item: Event) -> Iterable[BookState]:
        if type(item) is not OrderBookUpdate:
            return tuple(self._hear(item)) if type(item) in _HEEDED else ()
        followed = self._books.get((item.venue, item.symbol, item.exchange))
        if (
            followed is None
            or followed.status != "live"
            or item.snapshot
            or item.epoch != followed.epoch
            or (self._due is not None and self._due < item.ts_recv)
        ):
            return tuple(self._consider(item))
        return self._apply(followed, item) if item.sequence is None else self._follow_on(followed, item)

    def due(self) -> int | None:
        return self._due

    def wake(self, now: int) -> tuple[BookState, ...]:
        waited = [each for each in self._books.values() if each.waits and each.until <= now]
        waited.sort(key=lambda each: each.until)
        return tuple(state for followed in waited for state in self._waited(followed, now))

    def state(self) -> Any:
        names = _Known.__struct_fields__
        known = [_Known(*(getattr(each, name) for name in names)) for each in self._books.values()]
        levels = [each.book.state() for each in self._books.values()]
        return msgspec.to_builtins(_Saved(list(zip(known, levels, strict=True)), self._epochs))

    def restore(self, state: Any) -> None:
        saved = msgspec.convert(state, _Saved)
        self._epochs = saved.epochs
        for known, levels in saved.books:
            followed = _Followed(*(getattr(known, name) for name in _Known.__struct_fields__))
            followed.book.restore(levels)
            self._books[known.venue, known.symbol, known.exchange] = followed
        self._look_ahead()

    # -- updates

    def _apply(self, followed: _Followed, update: OrderBookUpdate) -> tuple[BookState, ...]:
        """An update that the book is ready for."""
        book = followed.book
        try:
            book.apply(update)
        except ValueError as error:  # the provider let through what can be no level
            self._counters.add("broken")
            return tuple(self._suspect(followed, update.ts_recv, str(error)))
        followed.ts_event = update.ts_event
        checksum = update.checksum
        if checksum is not None and self._verify and (wrong := _wrong(book, update, checksum)):
            self._counters.add("checksum")
            return tuple(self._suspect(followed, update.ts_recv, wrong))
        if book.limited and book.exhausted:
            followed.asked = 0  # it was good; nobody has failed
            self._counters.add("exhausted")
            return tuple(self._suspect(followed, update.ts_recv, "prices left what the snapshot reached"))
        return self._show(followed, update.ts_recv, update.depth)

    def _show(self, followed: _Followed, now: int, levels: int | None) -> tuple[BookState, ...]:
        """What there is to say of a live book that was updated."""
        depth, book = self._depth, followed.book
        if book.limited:
            levels = book.reach
        state = book.view(
            followed.symbol,
            followed.ts_event,
            now,
            "live",
            followed.venue,
            followed.epoch,
            followed.sequence,
            levels if depth is None or (levels is not None and levels < depth) else depth,
            "",
            depth,
            followed.exchange,
        )
        if state.crossed:
            if not followed.waits:
                self._wait(followed, "uncrossing", now + self._crossed_for)
        elif followed.waits:
            self._wait(followed, "")
        if self._top:
            touch = (state.bid, state.bid_size, state.ask, state.ask_size)
            if touch == followed.touch:
                return ()
            followed.touch = touch
        return (state,)

    def _consider(self, update: OrderBookUpdate) -> _Said:
        """An update that begins something, is out of place, or comes after somebody's time was up."""
        now = update.ts_recv
        yield from self._pass(now)
        followed = self._follow(update.venue, update.symbol, update.exchange, update.epoch)
        if update.snapshot and followed.unwanted and followed.status == "empty":
            # Whoever served it before does so no longer.
            followed.epoch, followed.down = update.epoch, False
        if update.epoch < followed.epoch or (followed.down and update.epoch == followed.epoch):
            self._counters.add("old_epoch")
            return
        if update.epoch > followed.epoch:
            if update.snapshot and followed.status == "live":  # a bridged cut: it was never in doubt
                followed.epoch, followed.sequence = update.epoch, None
            else:
                yield from self._renew(followed, update.epoch, now)
        if update.snapshot:
            yield from self._begin(followed, update)
        elif followed.status == "live":
            yield from self._follow_on(followed, update)
        elif followed.unwanted or followed.status == "failed":
            self._counters.add("unwanted")
        else:
            self._keep(followed, update)
            if followed.status == "empty":
                followed.status = "syncing"
                if self._resync is None:
                    yield self._say(followed, now, "a delta came before any snapshot")
            if followed.status == "syncing" and not followed.waits:
                followed.beginning = followed.asked == 0
                yield from self._ask(followed, now, "a delta came before any snapshot")

    def _begin(self, followed: _Followed, update: OrderBookUpdate) -> _Said:
        """A snapshot, and the deltas that have waited for it; what is live is shown when all are in."""
        if followed.status == "live" and _older(update.sequence, followed.sequence):
            self._counters.add("old_snapshot")
            return
        if followed.status != "live":
            followed.touch = None
        if followed.beginning:
            followed.beginning, followed.asked = False, 0
        followed.status = "live"
        followed.unwanted = False
        followed.good_since = update.ts_recv if followed.good_since is None else followed.good_since
        followed.sequence = update.sequence
        kept, followed.pending = followed.pending, []
        if followed.waits != "uncrossing":  # a feed of snapshots would put that off for ever
            self._wait(followed, "")
        if not kept:
            yield from self._apply(followed, update)
            return
        if update.sequence is None:
            self._counters.add("before_snapshot", len(kept))
            kept = []
        yield from _only_doubts(self._apply(followed, update))
        for delta in kept:
            yield from _only_doubts(self._consider(delta))
        if followed.status == "live":
            followed.touch = None
            yield from self._show(followed, update.ts_recv, update.depth)

    def _follow_on(self, followed: _Followed, update: OrderBookUpdate) -> tuple[BookState, ...]:
        """A delta to a live book, whose sequence, if it has one, joins on to the one before."""
        sequence, last = update.sequence, followed.sequence
        if sequence is not None:
            if last is not None and sequence <= last:
                self._counters.add("duplicate")
                return ()
            if last is not None and not joins_on(update, last):
                first = sequence if update.first_sequence is None else update.first_sequence
                self._counters.add("sequence")
                return tuple(self._suspect(followed, update.ts_recv, f"sequence {first} came after {last}"))
            followed.sequence = sequence
        return self._apply(followed, update)

    def _keep(self, followed: _Followed, update: OrderBookUpdate) -> None:
        if update.sequence is None:
            self._counters.add("before_snapshot")
            return
        followed.pending.append(update)
        if len(followed.pending) > self._pending:
            del followed.pending[0]
            self._counters.add("before_snapshot")

    def _drop_pending(self, followed: _Followed) -> None:
        if followed.pending:
            self._counters.add("before_snapshot", len(followed.pending))
            followed.pending.clear()

    # -- what is said about the line and the subscriptions

    def _hear(self, event: Event | Frame) -> _Said:
        yield from self._pass(event.ts_recv)
        yield from self._heed(event)

    def _heed(self, event: Event | Frame) -> _Said:
        match event:
            case Gap(kind="" | "books"):
                for followed in self._concerned(event.venue, event.symbols):
                    yield from self._hole(followed, event)
            case Lost(kind="" | "OrderBookUpdate"):  # of frames that were lost, a Gap says so, too
                reason = f"{event.count} updates lost in the {event.where}"
                for followed in self._concerned("", (event.symbol,) if event.symbol else ()):
                    yield from self._doubt(followed, event.ts_recv or event.ts_last, reason)
            case Status(state="open"):
                self._epochs[event.venue] = max(event.epoch, self._epochs.get(event.venue, 0))
                for followed in self._concerned(event.venue, ()):
                    if event.epoch > followed.epoch:
                        yield from self._renew(followed, event.epoch, event.ts_recv)
            case Status(state="unbridged"):
                for followed in self._concerned(event.venue, ()):
                    if followed.served == event.epoch:
                        followed.served = None
            case Status(kind="books" | "top_books" | "deep_books") if event.symbol:
                yield from self._subscription(event)
            case _:
                pass_over(event, "book_apply")

    def _concerned(self, venue: str, symbols: tuple[str, ...]) -> list[_Followed]:
        """The books of ``venue`` and of ``symbols``; "" and () are all."""
        return [
            each
            for each in self._books.values()
            if (not venue or each.venue == venue) and (not symbols or each.symbol in symbols)
        ]

    def _hole(self, followed: _Followed, gap: Gap) -> _Said:
        """The line was lost (an open gap), or only some of what it carried (a closed one of this epoch)."""
        if gap.epoch < followed.epoch or (gap.symbols and gap.epoch != followed.epoch):
            return  # it was of another connection
        yield from self._forget(followed, gap.ts_recv, gap.reason or "there is a gap")
        if gap.ts_end is None:
            followed.down = True
        elif followed.status == "syncing" and not followed.down:
            yield from self._retry(followed, gap.ts_recv, gap.reason)

    def _renew(self, followed: _Followed, epoch: int, now: int) -> _Said:
        """A new connection: a new chance, and a snapshot will come with it."""
        followed.epoch = epoch
        followed.served = None
        followed.down = False
        followed.asked = 0
        if followed.status == "failed" and not followed.unwanted:
            followed.status = "suspect"
        yield from self._forget(followed, now, "a new connection")

    def _forget(self, followed: _Followed, now: int, reason: str) -> _Said:
        """All a book knew is void; a snapshot will come, or be asked for by the next delta."""
        self._drop_pending(followed)
        self._wait(followed, "")
        if followed.status in ("live", "suspect"):
            self._count_good(followed, now)
            followed.book.clear()
            followed.status = "syncing"
            yield self._say(followed, now, reason)

    def _doubt(self, followed: _Followed, now: int, reason: str) -> Iterable[BookState]:
        self._drop_pending(followed)
        return self._suspect(followed, now, reason) if followed.status == "live" else ()

    def _subscription(self, status: Status) -> _Said:
        if status.state == "rejected":
            refused = self._concerned(status.venue, (status.symbol,))
            for followed in refused or [self._follow(status.venue, status.symbol, "", status.epoch)]:
                followed.asked = 0
                if not (followed.unwanted and followed.status == "failed"):
                    yield self._end(followed, "failed", status.ts_recv, status.text)
                followed.unwanted = True
        elif status.state == "unsubscribed":
            for followed in self._concerned(status.venue, (status.symbol,)):
                served, followed.served = followed.served, None
                if served not in (None, status.epoch):  # it has moved there
                    yield from self._renew(followed, served, status.ts_recv)
                    continue
                # A resync may begin with an unsubscribe; what we asked for ourselves is no farewell, not even
                # when a snapshot that was on its way has come before it.
                if followed.waits not in ("", "uncrossing"):
                    continue
                since = followed.asked_at if followed.status == "live" else None
                if since is not None and status.ts_recv - since < self._within:
                    yield from self._forget(followed, status.ts_recv, "taken anew")
                else:
                    if followed.status not in ("empty", "failed"):
                        yield self._end(followed, "empty", status.ts_recv, status.text or "unsubscribed")
                    followed.unwanted = True
        elif status.state == "subscribed":
            for followed in self._concerned(status.venue, (status.symbol,)):
                followed.unwanted = False
                if followed.status in ("empty", "failed"):
                    followed.epoch, followed.down = status.epoch, False
                followed.served = None if followed.epoch == status.epoch else status.epoch

    # -- doubt

    def _suspect(self, followed: _Followed, now: int, reason: str) -> _Said:
        """The book is wrong: say so, and have it sent anew."""
        self._count_good(followed, now)
        followed.book.clear()
        followed.status = "suspect"
        self._wait(followed, "")
        if followed.asked < self._resyncs or self._resync is None:
            yield self._say(followed, now, reason)
        yield from self._retry(followed, now, reason)

    def _retry(self, followed: _Followed, now: int, reason: str) -> _Said:
        """The first resync is asked for at once, the others after a pause, and then no more."""
        if self._resync is None:
            return
        if followed.asked == 0 or followed.asked >= self._resyncs:
            yield from self._ask(followed, now, reason)
        else:
            self._wait(followed, "pause", now + _PAUSES[min(followed.asked, len(_PAUSES)) - 1])

    def _ask(self, followed: _Followed, now: int, reason: str) -> _Said:
        if self._resync is None:
            return
        if followed.asked >= self._resyncs:
            tries = f"{followed.asked} resync{'s' if followed.asked > 1 else ''}"
            yield self._end(followed, "failed", now, f"{reason}, after {tries}")
            return
        followed.asked += 1
        followed.asked_at = None if followed.beginning else now
        followed.status = "syncing"
        self._counters.add("resyncs")
        self._wait(followed, "snapshot", now + self._within)
        self._resync(followed.symbol)
        yield self._say(followed, now, f"resync {followed.asked} of {self._resyncs}: {reason}")

    def _waited(self, followed: _Followed, now: int) -> _Said:
        match followed.waits:
            case "uncrossing":
                self._counters.add("crossed")
                yield from self._suspect(followed, now, f"crossed for {self._crossed_for / SECOND:g} s")
            case "pause":
                yield from self._ask(followed, now, "the last one did not help")
            case _:
                reason = f"no snapshot within {self._within / SECOND:g} s"
                yield from self._suspect(followed, now, reason)

    def _count_good(self, followed: _Followed, now: int) -> None:
        """A book that was good for long enough has its resyncs back."""
        if followed.good_since is not None and now - followed.good_since >= _GOOD_AFTER:
            followed.asked = 0
        followed.good_since = None

    def _end(
        self, followed: _Followed, status: Literal["failed", "empty"], now: int, reason: str
    ) -> BookState:
        followed.book.clear()
        self._drop_pending(followed)
        followed.good_since = None
        followed.status = status
        self._wait(followed, "")
        return self._say(followed, now, reason)

    # -- what they all lean on

    def _pass(self, now: int) -> _Said:
        """What was due before ``now``: on a line that was done, and where nothing can wait it is now."""
        while self._due is not None and self._due < now:
            yield from self.wake(self._due)

    def _follow(self, venue: str, symbol: str, exchange: str, epoch: int) -> _Followed:
        followed = self._books.get((venue, symbol, exchange))
        if followed is None:
            followed = _Followed(venue, symbol, exchange, max(epoch, self._epochs.get(venue, 0)))
            self._books[venue, symbol, exchange] = followed
        return followed

    def _say(self, followed: _Followed, now: int, reason: str) -> BookState:
        """A book that shows nothing, and why."""
        return followed.book.view(
            followed.symbol,
            followed.ts_event,
            now,
            followed.status,
            followed.venue,
            followed.epoch,
            None,
            None,
            reason,
            self._depth,
            followed.exchange,
        )

    def _wait(
        self, followed: _Followed, waits: Literal["", "snapshot", "pause", "uncrossing"], until: int = 0
    ) -> None:
        if waits or followed.waits:
            followed.waits = waits
            followed.until = until
            self._look_ahead()

    def _look_ahead(self) -> None:
        self._due = min((each.until for each in self._books.values() if each.waits), default=None)


class _BooksByTheClock(_Books):
    """The same, but a book that was live before says what becomes of it on the grid only."""

    def __init__(self, *rules: Any, every: int) -> None:
        super().__init__(*rules)
        self._every = every

    def flush(self) -> list[BookState]:
        held = [(each, each.held) for each in self._books.values()]
        return [state for each, last in held if last is not None for state in self._speak(each, last)]

    def wake(self, now: int) -> tuple[BookState, ...]:
        made = super().wake(now)
        due = [each for each in self._books.values() if each.held is not None and each.speaks <= now]
        due.sort(key=lambda each: each.speaks)
        made += tuple(state for each in due for state in self._speak(each, now))
        self._look_ahead()
        return made

    def _show(self, followed: _Followed, now: int, levels: int | None) -> tuple[BookState, ...]:
        followed.levels = levels
        if followed.touch is None:
            followed.touch = ()
            made = self._speak(followed, now)
            self._look_ahead()
            return made
        crossed = followed.book.crossed
        if crossed != (followed.waits == "uncrossing"):
            self._wait(followed, "uncrossing" if crossed else "", now + self._crossed_for)
        if followed.held is None:
            followed.speaks = -(-now // self._every) * self._every
            if self._due is None or followed.speaks < self._due:
                self._due = followed.speaks
        followed.held = now
        return ()

    def _speak(self, followed: _Followed, now: int) -> tuple[BookState, ...]:
        followed.held = None
        return super()._show(followed, now, followed.levels)

    def _say(self, followed: _Followed, now: int, reason: str) -> BookState:
        if followed.held is not None:
            followed.held = None
            self._look_ahead()
        return super()._say(followed, now, reason)

    def _look_ahead(self) -> None:
        super()._look_ahead()
        speaks = min((each.speaks for each in self._books.values() if each.held is not None), default=None)
        if speaks is not None and (self._due is None or speaks < self._due):
            self._due = speaks


_HEEDED = frozenset((Gap, Lost, Status, Frame, Columns))  # the last two are refused


def _older(sequence: int | None, known: int | None) -> bool:
    return sequence is not None and known is not None and sequence < known


def _only_doubts(states: Iterable[BookState]) -> _Said:
    return (state for state in states if state.status != "live")


def _wrong(book: OrderBook, update: OrderBookUpdate, checksum: int) -> str:
    """What is wrong with the book by the venue's checksum; "" for nothing."""
    rule = CHECKSUMS.get(update.checksum_rule)
    if rule is None:
        raise Unsupported(
            f"{update.symbol}: no checksum rule {update.checksum_rule!r} in rtflow.book.CHECKSUMS, "
            f"only {', '.join(sorted(CHECKSUMS))}"
        )
    computed = rule(book)
    return "" if computed == checksum else f"checksum {computed}, the venue says {checksum}"
