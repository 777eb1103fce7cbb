"""handoff: from the line to another thread, through a ring that is bounded and says what it lost."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, get_args, overload

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler import VirtualTimeScheduler

from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.errors import Overflow
from rtflow.events import Bar, Event, Gap, Lost, Quote, ReferencePrice, Stale, Status, Ticker
from rtflow.scheduler import running_line
from rtflow.time import SECOND, Duration, nanoseconds

_T = TypeVar("_T")


@overload
def handoff(
    *,
    capacity: int = ...,
    overflow: Literal["block", "error"] = ...,
    to: abc.SchedulerBase | None = ...,
    name: str = ...,
    counters: Counters | None = ...,
    timeout: Duration | None = ...,
) -> Callable[[Observable[_T]], Observable[_T]]: ...  # an alias of it mypy would not infer through
@overload
def handoff(
    *,
    capacity: int = ...,
    overflow: Literal["drop_oldest", "conflate"],
    key: Callable[[Any], Hashable] | None = ...,
    to: abc.SchedulerBase | None = ...,
    name: str = ...,
    counters: Counters | None = ...,
) -> Callable[[Observable[_T]], Observable[_T | Lost]]: ...


def handoff(
    *,
    capacity: int = 1024,
    overflow: Literal["block", "drop_oldest", "conflate", "error"] = "block",
    key: Callable[[Any], Hashable] | None = None,
    to: abc.SchedulerBase | None = None,
    name: str = "handoff",
    counters: Counters | None = None,
    timeout: Duration | None = None,
) -> Callable[[Observable[Any]], Observable[Any]]:
    """The same items in the same order, on another thread.

    ::

        --1--2--3--4--5--------6-|
        [ handoff(capacity=2, overflow="drop_oldest") ]
        --1-----------L45------6-|      the subscriber was busy with 1; L: Lost, 2 and 3

    They go to a daemon thread of this subscription, named ``rtflow-`` and ``name``, or ``to`` a reactivex
    scheduler. At most ``capacity`` of them wait; ``overflow`` says what happens to the next one:

    - ``"block"``: the source waits for room, for ever or for ``timeout``, after which it is as ``"error"``.
      It never waits for itself: a source that runs on the very thread it would wait for fails at once.
    - ``"drop_oldest"``: what has waited longest is dropped, and a :class:`~rtflow.events.Lost` comes in its
      place. Losses in a row are one ``Lost``; its ``kind`` is the name of the items' type.
    - ``"conflate"``: state is kept at its latest, events are kept one by one. A ``Quote``, a ``Ticker``, a
      ``ReferencePrice``, a ``BookState`` or a forming ``Bar`` takes the place of the one waiting under the
      same key (type, venue and symbol, and a bar's start, a book's exchange, a reference price's source;
      ``key`` overrides that), wherever the older one stood in the queue: keys are served
      in turn, so a busy symbol does not starve a quiet one. No state moves ahead of a ``Gap``, a ``Status``,
      a ``Lost`` or a ``Stale``. Items that are no events of rtflow are state if ``key`` names a key for
      them and not None. What does not fit then drops the oldest, with a ``Lost``.
    - ``"error"``: the stream ends with :class:`~rtflow.errors.Overflow`.

    ``counters`` holds, under ``name`` and a dot, how many items came ``in``, went ``out``, were ``conflated``
    or ``dropped`` and are ``held``. At every moment, ``dict(counters)`` satisfies
    ``in == out + conflated + dropped + held``; a ``Lost`` made here is not counted. Several handoffs that
    share counters want a ``name`` each.

    Completion and errors come after what is held. Who disposes, from any thread, gets nothing more; the
    thread ends with the item it is at, and what was held counts as dropped. A subscriber that raises gets
    its exception at its own ``on_error``, and the source is disposed.

        >>> import reactivex
        >>> done = threading.Event()
        >>> subscription = reactivex.of(1, 2, 3).pipe(handoff()).subscribe(
        ...     lambda item: print(item, threading.current_thread().name), on_completed=done.set)
        >>> done.wait(10)
        1 rtflow-handoff
        2 rtflow-handoff
        3 rtflow-handoff
        True

    Raises ValueError where ``capacity`` is not positive.
    """
    make_ring = ring_maker(
        capacity=capacity, overflow=overflow, key=key, name=name, counters=counters, timeout=timeout
    )
    reader = partial(_Thread, name=f"rtflow-{name}") if to is None else partial(_Turns, scheduler=to)

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return make_ring(observer, reader).subscribe_to(source, scheduler)

        return Observable(subscribe)

    return operator


def ring_maker(
    *,
    capacity: int,
    overflow: str,
    key: Callable[[Any], Hashable] | None,
    name: str,
    counters: Counters | None,
    timeout: Duration | None,
) -> RingMaker:
    """What makes the ring of one subscription, by the options of :func:`handoff`, given who is to read it."""
    if capacity < 1:
        raise ValueError(f"capacity must be positive, got {capacity}")
    if overflow not in _RINGS:
        raise ValueError(f"overflow must be one of {', '.join(_RINGS)}, got {overflow!r}")
    make = _RINGS[overflow]
    tally = _Tally(Counters() if counters is None else counters, name)
    patience = math.inf if timeout is None else nanoseconds(timeout) / SECOND
    options = _Options(capacity, key or _key, patience)
    return lambda observer, reader: make(observer, reader, tally, options)


class Reader(Protocol):
    """Who empties a ring, on another thread than the one that fills it."""

    def rouse(self) -> None:
        """There is something to read; said from the source's thread to a reader that was idle."""

    def stands_here(self) -> bool:
        """Whether this is the reader's thread, on which nobody can wait for the reader."""
        ...

    def gone(self) -> bool:
        """Whether it will never read again, though the ring is open."""
        return False


class _Options(NamedTuple):
    capacity: int
    key: Callable[[Any], Hashable]
    patience: float  # seconds


class _Tally:
    """The counts of one handoff, over all its subscriptions; changed under its lock."""

    def __init__(self, counters: Counters, name: str) -> None:
        self.lock = threading.Lock()
        self.name = name
        self.entered = self.held = self.out = self.conflated = self.dropped = 0
        self._in, self._held = f"{name}.in", f"{name}.held"
        self._out, self._conflated, self._dropped = f"{name}.out", f"{name}.conflated", f"{name}.dropped"
        self._update = counters.update  # from a dict: all at once, for whoever reads on another thread
        self._update({self._in: 0, self._held: 0, self._out: 0, self._conflated: 0, self._dropped: 0})

    def enter(self) -> None:
        self.entered = entered = self.entered + 1
        self.held = held = self.held + 1
        self._update({self._in: entered, self._held: held})

    def leave(self, *, out: int = 0, dropped: int = 0) -> None:
        self.out += out
        self.dropped += dropped
        self.held -= out + dropped
        self._update({self._held: self.held, self._out: self.out, self._dropped: self.dropped})

    def conflate(self) -> None:
        self.entered += 1
        self.conflated += 1
        self._update({self._in: self.entered, self._conflated: self.conflated})

    def refuse(self) -> None:
        self.entered += 1
        self.dropped += 1
        self._update({self._in: self.entered, self._dropped: self.dropped})


class Ring(ABC, Generic[_T]):
    """What waits between one source, which writes, and one subscriber, whom a reader calls.

    A reader that has found nothing is *idle*, and whoever then brings something rouses it: a busy one costs
    the source no wake-up.
    """

    grasp = 64  # how many items the reader takes out at once; those can be neither dropped nor replaced

    def __init__(
        self,
        observer: abc.ObserverBase[Any],
        reader: Callable[[Ring[Any]], Reader],
        tally: _Tally,
        options: _Options,
    ) -> None:
        self.closed = False  # nothing more goes out
        self._shut = False  # nothing more comes in
        self._observer = observer
        self._tally = tally
        self._lock = tally.lock
        self._room = threading.Condition(self._lock)
        self._options = options
        self._capacity = options.capacity
        self._waiting: deque[Any] = deque()
        self._hole: Lost | None = None  # before all that waits
        self._ending: Callable[[], None] | None = None  # behind all that waits
        self._idle = True
        self._upstream = SingleAssignmentDisposable()
        self._reader = reader(self)

    def subscribe_to(self, source: Observable[_T], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Let ``source`` write; what comes back closes the ring."""
        self._upstream.disposable = source.subscribe(
            self.on_next, self.on_error, self.on_completed, scheduler=scheduler
        )
        return Disposable(self.close)

    def on_next(self, item: Any) -> None:
        """The source has an item: it waits here, if there is room."""
        rouse = False
        with self._lock:
            if not self._shut and (len(self._waiting) < self._capacity or self._made_room(item)):
                self._waiting.append(item)
                self._tally.enter()
                rouse, self._idle = self._idle, False
        if rouse:
            self._reader.rouse()
        elif self._shut:
            self._upstream.dispose()

    def on_error(self, error: Exception) -> None:
        """The source has failed, which is told behind all that waits."""
        self._end(partial(self._observer.on_error, error))

    def on_completed(self) -> None:
        """The source is complete, which is told behind all that waits."""
        self._end(self._observer.on_completed)

    def close(self) -> None:
        """The subscriber leaves, or has been told the end."""
        with self._lock:
            if self.closed:
                return
            self.closed = self._shut = True
            self._tally.leave(dropped=len(self._waiting))
            self._waiting.clear()
            self._hole = None
            rouse, self._idle = self._idle, False
            self._room.notify_all()
        self._upstream.dispose()
        if rouse:
            self._reader.rouse()

    def read(self) -> bool:
        """Deliver some of what waits; False if there is nothing, and whoever brings some will rouse."""
        with self._lock:
            hole, self._hole = self._hole, None
            batch = self._taken()
            work = partial(self._deliver, hole, batch) if batch else self._ending
            if work is None or self.closed:
                self._idle = True
                return False
        work()
        return True

    def _deliver(self, hole: Lost | None, batch: list[Any]) -> None:
        emit, given = self._observer.on_next, 0
        try:
            if hole is not None and not self.closed:
                emit(hole)
            for item in batch:  # behind a hole, too: who is always late is not to hear of losses alone
                if self.closed:
                    break
                given += 1
                emit(item)
        except Exception as error:  # noqa: BLE001 - the subscriber's own, and nobody stands above it here
            self.close()
            self._observer.on_error(error)
        finally:
            with self._lock:
                self._tally.leave(out=given, dropped=len(batch) - given)

    def _end(self, say: Callable[[], None]) -> None:
        with self._lock:
            if self._shut:
                return
            self._shut = True
            self._ending = partial(self._finish, say)
            rouse, self._idle = self._idle, False
            self._room.notify_all()  # whoever ends it need not be who waits
        if rouse:
            self._reader.rouse()

    def _finish(self, say: Callable[[], None]) -> None:
        try:
            say()
        finally:
            self.close()

    def _taken(self) -> list[Any]:
        """The next few items, taken out."""
        take = self._waiting.popleft
        return [take() for _ in range(min(self.grasp, len(self._waiting)))]

    @abstractmethod
    def _made_room(self, item: Any) -> bool:
        """The ring is full: whether there is room for ``item`` now."""
        ...

    def _refused(self, reason: str) -> bool:
        """There is no room, and that is the end of the stream."""
        self._tally.refuse()
        self._shut = True
        self._ending = partial(self._finish, partial(self._observer.on_error, Overflow(reason)))
        return False

    def _drop(self, old: Any, new: Any) -> None:
        """``old`` gives way to ``new``."""
        self._tally.leave(dropped=1)
        self._hole = _widened(self._hole, old, self._tally.name, getattr(new, "ts_recv", 0))


class _Failing(Ring[_T]):
    def _made_room(self, item: Any) -> bool:
        return self._refused(f"{self._tally.name} is full: {self._capacity} items wait")


class _Blocking(Ring[_T]):
    def _made_room(self, item: Any) -> bool:
        if self._reader.stands_here():
            return self._refused(f"{self._tally.name} is full, and who fills it is who should empty it")
        left = self._options.patience
        while not self._room.wait_for(self._has_room, min(left, _LOOK)):
            left -= _LOOK
            if self._reader.gone():
                return self._refused(f"{self._tally.name} is full, and nobody is there to empty it")
            if left <= 0:
                return self._refused(f"{self._tally.name} was full for {self._options.patience:g} s")
        return not self._shut

    def _has_room(self) -> bool:
        return self._shut or len(self._waiting) < self._capacity

    def _taken(self) -> list[Any]:
        self._room.notify_all()
        return super()._taken()


_LOOK = 0.25  # seconds after which who waits for room looks whether there is a reader


class _Dropping(Ring[_T]):
    grasp = 1

    def _made_room(self, item: Any) -> bool:
        self._drop(self._waiting.popleft(), item)
        return True


class _Slot:
    """A place in the queue, and what stands there now."""

    __slots__ = ("item", "key")

    def __init__(self, key: Hashable, item: Any) -> None:
        self.key = key
        self.item = item


class _Conflating(Ring[_T]):
    grasp = 1

    def __init__(
        self,
        observer: abc.ObserverBase[Any],
        reader: Callable[[Ring[Any]], Reader],
        tally: _Tally,
        options: _Options,
    ) -> None:
        super().__init__(observer, reader, tally, options)
        self._latest: dict[Hashable, _Slot] = {}  # what may still be replaced

    def on_next(self, item: _T) -> None:
        try:
            key = self._options.key(item) if _may_conflate(item) else None
        except Exception as error:  # noqa: BLE001 - the key function's: the stream's error, like a kernel's
            self.on_error(error)
            self._upstream.dispose()
            return
        new = _Slot(key, item)
        with self._lock:
            if item.__class__ in _BARRIERS:
                self._latest.clear()
            elif key is not None:
                slot = self._latest.setdefault(key, new)
                if slot is not new and not self._shut:
                    slot.item = item
                    self._tally.conflate()
                    return
        super().on_next(new)

    def _taken(self) -> list[Any]:
        return [self._first().item] if self._waiting else []

    def _made_room(self, item: _Slot) -> bool:
        self._drop(self._first().item, item.item)
        return True

    def _first(self) -> _Slot:
        slot: _Slot = self._waiting.popleft()
        if self._latest.get(slot.key) is slot:
            del self._latest[slot.key]
        return slot


RingMaker: TypeAlias = Callable[[abc.ObserverBase[Any], Callable[[Ring[Any]], Reader]], Ring[Any]]

_RINGS: dict[str, type[Ring[Any]]] = {
    "block": _Blocking,
    "drop_oldest": _Dropping,
    "conflate": _Conflating,
    "error": _Failing,
}


_REST = 0.0005  # seconds


class _Thread(Reader):
    """A reader with a thread of its own, which ends with the ring."""

    def __init__(self, ring: Ring[Any], name: str) -> None:
        self._ring = ring
        self._gate = threading.Lock()  # free when there is something to read
        self._gate.acquire()
        self._rest = threading.Event()  # which nobody sets
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def rouse(self) -> None:
        self._gate.release()

    def stands_here(self) -> bool:
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        try:
            while not self._ring.closed:
                self._gate.acquire()
                while self._ring.read():
                    pass
                self._rest.wait(_REST)  # who comes meanwhile rouses nobody: a wake-up costs more than an item
        finally:
            self._ring.close()  # nobody waits for room that no thread will make


class _Turns(Reader):
    """A reader that takes turns with whatever else its scheduler runs."""

    def __init__(self, ring: Ring[Any], scheduler: abc.SchedulerBase) -> None:
        self._ring = ring
        self._scheduler = scheduler
        self._thread: threading.Thread | None = None  # that reads right now

    def rouse(self) -> None:
        if not self._ring.closed:
            self._scheduler.schedule(self._turn)

    def stands_here(self) -> bool:
        scheduler = self._scheduler
        return (
            threading.current_thread() is self._thread
            or running_line() is scheduler
            or isinstance(scheduler, VirtualTimeScheduler)  # virtual time has but one thread
        )

    def _turn(self, *_: object) -> None:
        self._thread = threading.current_thread()
        try:
            for _turn in range(Ring.grasp // self._ring.grasp):
                if not self._ring.read():
                    return
        finally:
            self._thread = None
        self.rouse()


_EVENTS: frozenset[type] = frozenset(get_args(Event))
_STATE: frozenset[type] = frozenset((Quote, Ticker, ReferencePrice))
_BARRIERS: frozenset[type] = frozenset((Gap, Status, Lost, Stale))


def _may_conflate(item: Any) -> bool:
    kind = item.__class__
    return kind in _STATE or kind not in _EVENTS or (kind is Bar and not item.final)


def _key(item: Any) -> Hashable:
    """What an item is the latest of; None for an event, which nothing replaces."""
    kind = item.__class__
    if kind is Bar:
        return Bar, item.venue, item.symbol, item.start
    if kind is BookState:
        return kind, item.venue, item.exchange, item.symbol
    if kind is ReferencePrice:
        return kind, item.venue, item.source, item.symbol
    return (kind, item.venue, item.symbol) if kind in _STATE else None


def _widened(hole: Lost | None, item: Any, where: str, now: int) -> Lost:
    """``hole`` with ``item`` in it too; a loss that is lost itself is added up."""
    symbol, kind = getattr(item, "symbol", ""), type(item).__name__
    if isinstance(item, Lost):
        kind, count, first, last = item.kind, item.count, item.ts_first, item.ts_last
    else:
        count, first = 1, getattr(item, "ts_recv", 0)
        last = first
    if hole is None:
        return Lost(symbol, kind, count, first, last, where, now)
    symbol = symbol if symbol == hole.symbol else ""
    kind = kind if kind == hole.kind else ""
    return Lost(symbol, kind, hole.count + count, hole.ts_first, last, where, now)
