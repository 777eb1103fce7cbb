"""broadcast: one source, many subscribers, none of whom can hurt another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from msgspec.structs import replace
from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from rtflow.events import Frame, FrameKind, Status
from rtflow.scheduler import report

_T = TypeVar("_T")


def broadcast() -> Callable[[Observable[_T]], Observable[_T]]:  # an alias of it mypy would not infer through
    """Everything the source says, to every subscriber, over one subscription to the source.

    ::

        --------OPEN--1--2-----3--CLOSE--|
        [ broadcast()                    ]
        a  -----OPEN--1--2-----3--CLOSE--|
        b                  OPEN3--CLOSE--|      b came late

    The source is subscribed with the first subscriber (and its scheduler) and disposed with the last; who
    comes after that, or after the source has ended, begins anew.

    Late subscribers are told first where they are: if the current connection's opening has passed (an
    ``OPEN`` frame, or a ``Status`` whose state is ``"open"``) and its close has not, they get it at once; of
    several connections those of all. One that has taken over is told as ``"open"``.

    A subscriber that raises hurts itself only. The exception goes to its own ``on_error`` and it is
    removed; the others get every item and the source notices nothing. If that ``on_error`` raises too, as
    it does for a subscriber that has none, :func:`rtflow.scheduler.report` tells of it.

    Subscribers may come and go at any time and from any thread, also inside ``on_next``: who leaves gets
    nothing more, who comes gets the next item on. Passing on an item takes no lock.

        >>> from reactivex import Subject
        >>> source = Subject()
        >>> shared = source.pipe(broadcast())
        >>> a = shared.subscribe(lambda item: print("a", item))
        >>> b = shared.subscribe(lambda item: print("b", item))
        >>> source.on_next(1)
        a 1
        b 1
        >>> a.dispose(); b.dispose()
        >>> source.observers
        []
    """

    def operator(source: Observable[_T]) -> Observable[_T]:
        return Observable(_Broadcast(source).subscribe)

    return operator


class _Broadcast(Generic[_T]):
    """Which run the next subscriber joins."""

    def __init__(self, source: Observable[_T]) -> None:
        self.source = source
        self.lock = threading.Lock()  # for who comes and goes, and for what opens and closes
        self.run: _Run[_T] | None = None  # None: nobody is here, or the source has ended
        self.leaving = 0  # runs whose subscription to the source is being disposed right now

    def subscribe(
        self, observer: abc.ObserverBase[_T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        with self.lock:
            run, begins = self.run, False
            if run is None:
                run = self.run = _Run(self, scheduler)
                begins = not self.leaving  # else the leaver connects it: the old subscription ends first
            subscriber = _Subscriber(observer, [*run.openings.values()])
            run.subscribers = (*run.subscribers, subscriber)
        if begins:
            run.connect()
        try:
            subscriber.catch_up()
        except Exception as error:  # noqa: BLE001 - its own, like any other
            _tell(partial(observer.on_error, error))
        return Disposable(lambda: run.leave(subscriber))

    def successor(self) -> _Run[_T] | None:
        """Who came while others left, to be connected when the last of those is gone."""
        return None if self.leaving else self.run


class _Run(Generic[_T]):
    """One subscription to the source, and who hears it."""

    def __init__(self, shared: _Broadcast[_T], scheduler: abc.SchedulerBase | None) -> None:
        self._shared = shared
        self._scheduler = scheduler
        self._connection = SingleAssignmentDisposable()
        self.subscribers: tuple[_Subscriber[_T], ...] = ()  # never changed, only replaced
        self.openings: dict[int, Any] = {}  # what each open connection began with, by its epoch

    def connect(self) -> None:
        if not self._connection.is_disposed:
            self._connection.disposable = self._shared.source.subscribe(
                self._on_next, self._on_error, self._on_completed, scheduler=self._scheduler
            )

    def leave(self, subscriber: _Subscriber[_T]) -> None:
        """Without ``subscriber`` from here on; the last one to leave gives up the source."""
        shared = self._shared
        with shared.lock:
            self.subscribers = tuple(each for each in self.subscribers if each is not subscriber)
            if self.subscribers or shared.run is not self:
                return
            shared.run = None
            shared.leaving += 1
        try:
            self._connection.dispose()
        finally:
            with shared.lock:
                shared.leaving -= 1
                successor = shared.successor()
        if successor is not None:
            successor.connect()

    def _on_next(self, item: _T) -> None:
        kind = item.__class__
        for each in self._turned(item) if kind is Frame or kind is Status else self.subscribers:
            try:
                each.emit(item)
            except Exception as error:  # noqa: BLE001 - the subscriber's own: the others go on
                _tell(partial(each.observer.on_error, error))  # which makes it leave

    def _on_error(self, error: Exception) -> None:
        self._end(lambda observer: observer.on_error(error))

    def _on_completed(self) -> None:
        self._end(lambda observer: observer.on_completed())

    def _end(self, say: Callable[[abc.ObserverBase[_T]], None]) -> None:
        shared = self._shared
        with shared.lock:
            subscribers, self.subscribers = self.subscribers, ()
            if shared.run is self:
                shared.run = None
        self._connection.dispose()  # before anybody who hears of the end can begin anew
        for each in subscribers:
            each.end(partial(_tell, partial(say, each.observer)))

    def _turned(self, item: Any) -> tuple[_Subscriber[_T], ...]:
        """Who is to hear ``item``; if it opens or closes a connection, then whoever comes later knows."""
        turn = _turn_of(item)
        if not turn:
            return self.subscribers
        with self._shared.lock:  # so that a newcomer hears it once: either told first, or with the others
            openings = self.openings
            if turn == "bridged" and openings:
                _, before = openings.popitem() if len(openings) == 1 else (0, [*openings.values()][-1])
                openings[item.epoch] = replace(before, epoch=item.epoch, ts_recv=item.ts_recv)
            elif turn == "closes":
                openings.pop(item.epoch, None)  # another's end is none of theirs
            elif turn != "bridged":
                if turn == "opens":
                    openings.clear()
                openings[item.epoch] = item
            return self.subscribers


_OPEN, _CLOSE = FrameKind.OPEN, FrameKind.CLOSE  # looking up an enum's member costs more than the comparison
_Turn: TypeAlias = Literal["", "opens", "joins", "bridged", "closes"]
_TURNS: dict[str, _Turn] = {
    "open": "opens",
    "joined": "joins",
    "bridged": "bridged",
    "closed": "closes",
    "parted": "closes",
}


def _turn_of(item: Any) -> _Turn:
    """What an item says of a connection: it opens as the only one, joins others, takes over, or closes."""
    if item.__class__ is Status:
        return _TURNS.get(item.state, "")
    if item.kind is _OPEN:
        return "joins" if item.payload[:1] == b"{" else "opens"  # an Opening, or no more than the URL
    return "closes" if item.kind is _CLOSE else ""


class _Subscriber(Generic[_T]):
    """An observer, and while it is told what it missed, what must wait meanwhile."""

    def __init__(self, observer: abc.ObserverBase[_T], openings: list[_T]) -> None:
        self.observer = observer
        self.emit: Callable[[_T], None] = observer.on_next
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] | None = None
        if openings:
            self._waiting = deque(partial(observer.on_next, opening) for opening in openings)
            self.emit = self._emit

    def catch_up(self) -> None:
        while self._waiting is not None:
            with self._lock:
                if not self._waiting:
                    self._waiting = None
                    self.emit = self.observer.on_next
                    return
                say = self._waiting.popleft()
            say()

    def end(self, say: Callable[[], None]) -> None:
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(say)
                return
        say()

    def _emit(self, item: _T) -> None:
        self.end(partial(self.observer.on_next, item))


def _tell(say: Callable[[], None]) -> None:
    """What an ``on_error`` or ``on_completed`` raises has nowhere to go: report it, and go on."""
    try:
        say()
    except Exception as error:  # noqa: BLE001 - reported
        report(error)
