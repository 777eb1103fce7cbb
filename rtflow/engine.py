"""engine: callbacks over a pipeline, for people who want no Rx."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, get_args, overload

from reactivex import Observable, Subject, abc
from reactivex.disposable import SingleAssignmentDisposable

from rtflow import operators as op
from rtflow import transport
from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.errors import MalformedFrame, Overflow, Rejected, RtflowError
from rtflow.events import (
    Bar,
    Event,
    Frame,
    Gap,
    Lost,
    Malformed,
    OrderBookUpdate,
    Quote,
    Status,
    Ticker,
    Trade,
)
from rtflow.kernel import Operator
from rtflow.operators._bars_of_lengths import Lengths, bars_of_lengths
from rtflow.operators._reconnections import Reconnected
from rtflow.provider import Provider
from rtflow.scheduler import report, wait
from rtflow.time import Duration, Interval, interval
from rtflow.transport import Feed

_T = TypeVar("_T")

State: TypeAlias = Literal["stopped", "connecting", "live", "reconnecting", "parked", "failed"]
"""Where an engine is: not started; on its way to its first connection; on one; on its way to the next one,
the retries spent if ``parked``; ended by an error."""

Symbols: TypeAlias = str | Iterable[str]


class CallbackFailed(RtflowError):
    """A callback of yours raised: its exception is the ``__cause__``; ``item`` is what it was given."""

    def __init__(self, callback: Callable[..., object], item: object) -> None:
        name = getattr(callback, "__qualname__", type(callback).__qualname__)  # no repr: it may hold a secret
        super().__init__(f"{name} raised, given {item!r}")
        self.callback = callback
        self.item = item


class Registration(Generic[_T]):
    """A callback that an engine calls, until :meth:`unregister`; calling it calls the callback."""

    def __init__(
        self, engine: RealtimeEngine, kind: type[_T], callback: Callable[[_T], object], symbol: str | None
    ) -> None:
        update_wrapper(self, callback, updated=())  # what the callback knows of itself is not ours
        self.callback = callback
        self.symbol = symbol
        self.registered = True
        """Whether it is called still."""
        self._engine = engine
        self._kind = kind

    def __call__(self, item: _T) -> object:
        return self.callback(item)

    def __repr__(self) -> str:
        return f"<{self._kind.__name__} to {self.callback!r}>"

    def unregister(self) -> None:
        """Be called no more, not even with the item that others get now; from any thread, once or twice."""
        self._engine._unregister(self._kind, self)


class Hook(Generic[_T]):
    """Where callbacks are registered for one kind of item: a method, and a decorator with or without options.

    ``symbol`` leaves what is of other symbols. What comes back is a :class:`Registration`.
    """

    def __init__(self, engine: RealtimeEngine, kind: type[_T]) -> None:
        self._engine = engine
        self._kind = kind

    @overload
    def __call__(
        self, callback: Callable[[_T], object], /, *, symbol: str | None = ...
    ) -> Registration[_T]: ...
    @overload
    def __call__(
        self, callback: None = ..., /, *, symbol: str | None = ...
    ) -> Callable[[Callable[[_T], object]], Registration[_T]]: ...

    def __call__(
        self, callback: Callable[[_T], object] | None = None, /, *, symbol: str | None = None
    ) -> Registration[_T] | Callable[[Callable[[_T], object]], Registration[_T]]:
        """Register ``callback``; without one, answer a decorator that does."""

        def register(callback: Callable[[_T], object]) -> Registration[_T]:
            if not callable(callback):
                raise TypeError(f"a callback is something to call with one {self._kind.__name__}")
            registration = Registration(self._engine, self._kind, callback, symbol)
            self._engine._register(self._kind, registration)
            return registration

        return register if callback is None else register(callback)


class RealtimeEngine:
    """One venue's live market as callbacks; behind them is a pipeline like any other.

    ::

        engine = RealtimeEngine(Kraken())

        @engine.on_trade
        def show(trade):
            print(trade.symbol, trade.price, trade.size)

        @engine.on_bar(symbol="BTC/USD")
        def bar(bar): ...

        with engine.start(["BTC/USD", "ETH/USD"]):
            engine.join()  # until Ctrl-C, or an error that no retry cures

    The pipeline is ``connect``, ``retry``, ``op.normalize``, ``op.backfill`` (where ``backfill`` fetches what
    was missed), ``op.watchdog`` (unless ``silent_for`` is None), and side by side ``op.window_to_bar`` and
    ``op.book_apply``, then ``op.handoff``. ``connect`` is :func:`rtflow.connect`, or a
    ``functools.partial`` of it that says more, a proxy or a clock.

    **Callbacks** run on one thread, ``rtflow-engine``, one at a time and never on the socket's; ``dispatch``
    names a reactivex scheduler instead. At most ``capacity`` items wait for them, and ``overflow`` says what
    happens then, as for ``op.handoff``: the line waits (``"block"``), or only the latest of what is a state
    is kept and the oldest event dropped (``"conflate"``). What was dropped is told as an
    :class:`~rtflow.errors.Overflow`. Only what somebody is called for is handed over.

    **Errors** come to ``on_error``: what ended the stream (after which the engine has failed, and may be
    started again), a venue's refusal of a symbol (``Rejected``), a ``MalformedFrame``, an ``Overflow``, and
    what a callback raised (:class:`CallbackFailed`), which hurts no other callback. What ``on_error`` itself
    raises, and every error while nobody is registered for it, goes to ``threading.excepthook``.

    **Bars** are ``bar_interval`` long; :meth:`set_bar_interval` changes that. **Books** show ``depth``
    levels.

        >>> from rtflow.providers import Kraken
        >>> engine = RealtimeEngine(Kraken())
        >>> handle = engine.on_trade(print)
        >>> engine.state
        'stopped'
        >>> handle.unregister()
    """

    def __init__(
        self,
        provider: Provider,
        *,
        bar_interval: Interval = 1.0,
        depth: int | None = None,
        retry: Operator[Frame, Frame] | None = None,
        silent_for: Duration | None = 30.0,
        per_symbol: Duration | Mapping[str, Duration] | None = None,
        backfill: Callable[[Gap], Iterable[Event]] | None = None,
        capacity: int = 65_536,
        overflow: Literal["block", "drop_oldest", "conflate", "error"] = "block",
        dispatch: abc.SchedulerBase | None = None,
        counters: Counters | None = None,
        connect: Callable[..., Feed] = transport.connect,
    ) -> None:
        if isinstance(provider, type) or not isinstance(getattr(provider, "name", None), str):
            raise TypeError(
                f"RealtimeEngine() takes a provider, as in RealtimeEngine(Kraken()), not {provider!r}"
            )
        self.provider = provider
        self.counters = Counters() if counters is None else counters
        """The counts of every operator; ``engine.in`` and so on are those of the hand-over to callbacks."""
        self._connect = connect
        self._depth = depth
        self._retry = retry or op.retry_with_backoff(park=True)
        self._silent_for, self._per_symbol = silent_for, per_symbol
        self._backfill = backfill
        self._lengths = Lengths(_length(bar_interval))
        self._handed: Operator[Any, Any] = _HANDOFF(
            capacity=capacity, overflow=overflow, to=dispatch, name="engine", counters=self.counters
        )
        self._guard = threading.RLock()  # for who registers, starts and stops
        self._called: dict[type, tuple[Registration[Any], ...]] = {}  # never changed, only replaced
        self._run: _Run | None = None  # while it runs
        self._last: _Run | None = None  # that one, or the one before
        self._ended: State = "stopped"  # while it does not

    def __repr__(self) -> str:
        return f"<RealtimeEngine {self.provider.name} {self.state}>"

    # -- callbacks -----------------------------------------------------------------------------------------

    def on(self, kind: type[_T]) -> Hook[_T]:
        """Any type of item, as ``engine.on(rtflow.Stale)(print)``.

        Raises TypeError for what is no type of item: an event, ``BookState``, ``Reconnected``, ``Exception``.
        """
        if kind not in _ITEMS:
            raise TypeError(f"on() takes a type of item, as in on(rtflow.Stale), not {kind!r}")
        return Hook(self, kind)

    @property
    def on_trade(self) -> Hook[Trade]:
        """Each ``Trade``."""
        return self.on(Trade)

    @property
    def on_quote(self) -> Hook[Quote]:
        """Each ``Quote``: the best bid and offer."""
        return self.on(Quote)

    @property
    def on_book_update(self) -> Hook[BookState]:
        """Each ``BookState``: the whole book after an update, or what became of it."""
        return self.on(BookState)

    @property
    def on_bar(self) -> Hook[Bar]:
        """Each ``Bar`` that is over."""
        return self.on(Bar)

    @property
    def on_gap(self) -> Hook[Gap]:
        """Each ``Gap``, twice: when the line is lost, and closed, with the first data after that."""
        return self.on(Gap)

    @property
    def on_status(self) -> Hook[Status]:
        """Each ``Status``: connections, subscriptions, refusals, retries."""
        return self.on(Status)

    @property
    def on_reconnect(self) -> Hook[Reconnected]:
        """Each ``Reconnected``: data flows again, after so many attempts and seconds, and this gap."""
        return self.on(Reconnected)

    @property
    def on_error(self) -> Hook[Exception]:
        """Each error; which, is said above."""
        return self.on(Exception)

    # -- life ----------------------------------------------------------------------------------------------

    def start(
        self,
        symbols: Symbols = (),
        *,
        trades: Symbols = (),
        quotes: Symbols = (),
        books: Symbols = (),
        **others: Symbols,
    ) -> Self:
        """Connect, and call back from now on; returns the engine, at once.

        Of ``symbols`` it wants what callbacks are registered for (trades for ``on_trade`` and ``on_bar``,
        books for ``on_book_update``, tickers for ``on(Ticker)``), at any time; if there are none, trades,
        quotes and books, as far as the venue has them. Of symbols that are named by a kind it wants just
        that, whatever the venue calls it: ``start(tickers=["nse_cm:3045"])``.

        Raises RuntimeError while it runs, ValueError where nothing is wanted, Unsupported for a kind that the
        venue does not have.
        """
        with self._guard:
            if self._run is not None:
                raise RuntimeError("the engine runs already: add() wants more, stop() ends it")
            plain = _listed(symbols)
            kinds = self._kinds(plain, trades=trades, quotes=quotes, books=books, **others)
            if not any(kinds.values()):
                raise ValueError("start() wants symbols")
            run = _Run(self._connect(self.provider, counters=self.counters, **kinds), plain)
            self._run = self._last = run
            told = self._pipeline(run.feed).pipe(self._told(run), self._handed)
            run.subscription.disposable = told.subscribe(
                partial(self._dispatch, run), partial(self._fail, run)
            )
        return self

    def stop(self) -> None:
        """Disconnect, and call nothing any more but what is being called; within a second or so.

        From any thread, also from a callback. What runs no longer is stopped already. It can be started
        again.
        """
        with self._guard:
            run, self._run = self._run, None
            if run is not None:
                self._ended = "stopped"
        if run is not None:
            run.end()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped or failed, up to ``timeout`` seconds; whether it has.

        Raises the error that it failed by, unless an ``on_error`` was there to take that.
        """
        run = self._last
        if run is None:
            return True
        ended = wait(run.over, timeout)
        if ended and run.error is not None:
            error, run.error = run.error, None
            raise error
        return ended

    @property
    def state(self) -> State:
        """Where it is at this moment, however far the callbacks are."""
        run = self._run
        return self._ended if run is None else run.state

    def __enter__(self) -> Self:
        """The engine; leaving the block stops it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """The engine; leaving the block stops it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def __aiter__(self) -> AsyncIterator[Any]:
        """Every item from now on, whether or not a callback is there for it, until the engine stops.

        Bounded, and the line waits for a loop that is slow; ``engine.items.pipe(op.to_async(…))`` has a say
        in that. An error that ends the stream is raised.
        """
        return aiter(self.items.pipe(op.to_async(counters=self.counters)))

    @property
    def items(self) -> Observable[Any]:
        """The pipeline while it runs: events, bars, books and reconnections, on the line.

        It completes when the engine stops. Raises RuntimeError while that does not run.
        """
        return self._running().listeners.pipe(op.broadcast())  # which keeps what one raises from the rest

    # -- what is wanted ------------------------------------------------------------------------------------

    def add(
        self,
        symbols: Symbols = (),
        *,
        trades: Symbols = (),
        quotes: Symbols = (),
        books: Symbols = (),
        **others: Symbols,
    ) -> None:
        """Want these too, as :meth:`start` does. Raises RuntimeError while the engine does not run."""
        with self._guard:
            run, plain = self._running(), _listed(symbols)
            kinds = self._kinds(plain, trades=trades, quotes=quotes, books=books, **others)
            run.feed.add(**kinds)
            run.symbols |= dict.fromkeys(plain)
            run.gone.difference_update(*kinds.values())

    def remove(self, symbols: Symbols) -> None:
        """Want nothing of these any more. Raises RuntimeError while the engine does not run."""
        with self._guard:
            run, gone = self._running(), _listed(symbols)
            run.feed.remove(**dict.fromkeys(self.provider.kinds, gone))
            run.gone.update(gone)
            for symbol in gone:
                run.symbols.pop(symbol, None)
                run.books.pop(symbol, None)

    def set_bar_interval(self, seconds: Interval, symbol: str | None = None) -> None:
        """How long bars are from now on, those of one ``symbol`` or of all that have no length of their own.

        Seconds, a ``timedelta`` or a text such as ``"5m"``. While the engine runs, the bar that is forming is
        finished, and the first of the new length is the first whole stretch that begins after this: a longer
        one may leave a while between the two without a bar, a shorter one may begin before the old bar ends.
        """
        length = _length(seconds)
        with self._guard:
            every, own = self._lengths.every, self._lengths.own
            self._lengths = Lengths(length, own) if symbol is None else Lengths(every, own | {symbol: length})

    def book(self, symbol: str) -> BookState | None:
        """This symbol's book as it is at this moment; None before anything is known of it."""
        return None if self._last is None else self._last.books.get(symbol)

    @property
    def books(self) -> dict[str, BookState]:
        """The books by symbol, as they are at this moment; after a stop, as they were then."""
        return {} if self._last is None else self._last.books.copy()  # the line goes on to change them

    # -- the pipeline, on the line -------------------------------------------------------------------------

    def _pipeline(self, feed: Feed) -> Observable[Any]:
        events = feed.pipe(self._retry, op.normalize(self.provider, counters=self.counters))
        if self._backfill is not None:
            events = events.pipe(op.backfill(self._backfill, counters=self.counters))
        if self._silent_for is not None:
            watchdog = op.watchdog(
                silent_for=self._silent_for,
                per_symbol=self._per_symbol,
                resync=feed.resync,
                reconnect=feed.reconnect,
            )
            events = events.pipe(watchdog)
        return events.pipe(
            op.together(
                op.only(object),
                bars_of_lengths(lambda: self._lengths, counters=self.counters),
                op.book_apply(depth=self._depth, resync=feed.resync, counters=self.counters),
                op.reconnections(),
            )
        )

    def _told(self, run: _Run) -> Operator[Any, Any]:
        """Of what is made, what somebody is to be called for; all of it is told to ``items`` and noted."""
        listeners, books = run.listeners, run.books

        def operator(source: Observable[Any]) -> Observable[Any]:
            def subscribe(
                observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
            ) -> abc.DisposableBase:
                emit = observer.on_next

                def on_next(item: Any) -> None:
                    kind = item.__class__
                    if kind is BookState:
                        if item.status == "empty" or item.symbol in run.gone:
                            books.pop(item.symbol, None)  # it was unsubscribed
                        else:
                            books[item.symbol] = item
                    elif kind is Status or kind is Gap:
                        run.state = _state_after(item, run.state)
                    if listeners.observers:
                        listeners.on_next(item)
                    if kind in self._called or kind in _TROUBLE:
                        emit(item)

                def on_error(error: Exception) -> None:
                    listeners.on_error(error)
                    observer.on_error(error)

                return source.subscribe(on_next, on_error, observer.on_completed, scheduler=scheduler)

            return Observable(subscribe)

        return operator

    # -- the callbacks, on their own thread ----------------------------------------------------------------

    def _dispatch(self, run: _Run, item: Any) -> None:
        for each in self._called.get(item.__class__, ()):
            if self._run is not run:
                return  # the callback before has stopped it
            if each.registered and (each.symbol is None or _is_of(item, each.symbol)):
                try:
                    each.callback(item)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - the callback's own; the next is called
                    failure = CallbackFailed(each.callback, item)
                    failure.__cause__ = error
                    self._tell(failure)
        if item.__class__ in _TROUBLE and (trouble := _TROUBLE[item.__class__](item)) is not None:
            self._tell(trouble)

    def _fail(self, run: _Run, error: Exception) -> None:
        """The stream has ended; what came before has been told."""
        with self._guard:
            if self._run is run:
                self._run = None
                self._ended = "failed"
            if Exception not in self._called:
                run.error = error
        run.end()
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        called = self._called.get(Exception, ())
        if not called:
            report(error)
        for each in called:
            try:
                if each.registered:
                    each.callback(error)
            except (Exception, SystemExit) as raised:  # noqa: BLE001 - an error about one has nowhere else to go
                report(raised)

    # -- who is called, and what that needs ----------------------------------------------------------------

    def _register(self, kind: type, registration: Registration[Any]) -> None:
        with self._guard:
            called = (*self._called.get(kind, ()), registration)
            needs = [each for each, types in _NEEDED_BY.items() if kind in types]
            if self._run is not None and self._run.symbols and needs:
                self._run.feed.add(**{each: list(self._run.symbols) for each in needs})
            self._called = self._called | {kind: called}

    def _unregister(self, kind: type, registration: Registration[Any]) -> None:
        with self._guard:
            registration.registered = False
            left = tuple(each for each in self._called.get(kind, ()) if each is not registration)
            others = {other: called for other, called in self._called.items() if other is not kind}
            self._called = others | {kind: left} if left else others

    def _kinds(self, plain: list[str], **named: Symbols) -> dict[str, list[str]]:
        """What is wanted, by kind: what was named, and of ``plain`` symbols what somebody is called for."""
        offered = self.provider.kinds
        needed = [kind for kind, types in _NEEDED_BY.items() if types & self._called.keys()]
        needed = needed or [kind for kind in _USUAL if kind in offered] or [*offered]
        kinds = {kind: _listed(each) for kind, each in named.items()}
        return kinds | {kind: kinds.get(kind, []) + plain for kind in needed}

    def _running(self) -> _Run:
        if self._run is None:
            raise RuntimeError("the engine does not run: start() it first")
        return self._run


class _Run:
    """From one start to its end."""

    def __init__(self, feed: Feed, symbols: list[str]) -> None:
        self.feed = feed
        self.state: State = "connecting"  # which only the line changes
        self.symbols = dict.fromkeys(symbols)  # those that follow the callbacks, in order
        self.gone: set[str] = set()  # whose books may be on their way still
        self.books: dict[str, BookState] = {}
        self.listeners: Subject[Any] = Subject()  # to all that is made
        self.subscription = SingleAssignmentDisposable()
        self.over = threading.Event()
        self.error: Exception | None = None  # that ended it, and that nobody was registered to take

    def end(self) -> None:
        self.listeners.on_completed()  # first: whoever iterates may hold up the line
        self.subscription.dispose()
        self.over.set()


_NEEDED_BY: dict[str, frozenset[type]] = {
    "trades": frozenset((Trade, Bar)),
    "quotes": frozenset((Quote,)),
    "books": frozenset((BookState, OrderBookUpdate)),
    "tickers": frozenset((Ticker,)),
}
_USUAL = ("trades", "quotes", "books")
_ITEMS: frozenset[object] = frozenset((*get_args(Event), BookState, Reconnected, Exception))

_HANDOFF: Any = op.handoff  # its overloads tell its outputs apart, which a dispatcher has no use for


def _refusal(status: Status) -> Rejected | None:
    if status.state != "rejected":
        return None
    about = " ".join(part for part in (status.venue, status.kind, status.symbol) if part)
    return Rejected(f"{about}: {status.text}")


_TROUBLE: dict[type, Callable[[Any], RtflowError | None]] = {
    Malformed: lambda item: MalformedFrame(item.reason, item.frame),
    Lost: lambda item: Overflow(f"{item.count} {item.kind or 'items'} were lost in the {item.where}"),
    Status: _refusal,
}
"""Items that are errors to people who have callbacks."""


def _state_after(item: Status | Gap, state: State) -> State:
    if isinstance(item, Gap):
        return "reconnecting" if item.ts_end is None and not item.symbols and not item.kind else state
    if item.state in ("open", "joined"):
        return "live"
    if item.state == "closed":  # of several connections, the last one
        return "reconnecting"
    return "parked" if item.state == "parked" else state


def _is_of(item: Any, symbol: str) -> bool:
    """Whether an item concerns a symbol; what names none concerns all."""
    named: tuple[str, ...] = getattr(item, "symbols", ())
    own = getattr(item, "symbol", "")
    return own == symbol or (not own and (not named or symbol in named))


def _listed(symbols: Symbols) -> list[str]:
    return [symbols] if isinstance(symbols, str) else list(symbols)


def _length(every: Interval) -> int:
    length = interval(every)
    if length <= 0:
        raise ValueError(f"a bar is longer than {every!r}")
    return length
