"""Time as integer nanoseconds: NanoScheduler for tests and replay, Line for a live pipeline.

Both are reactivex schedulers, so reactivex's own operators run on them, and both obey one rule: before an
item stamped ``t`` is pushed, every timer due before ``t`` has run, in due order, and was given its *due*
time; an item and a timer of the same nanosecond meet data first. That is why a live run, its replay and a
test agree.

The *running line* is the scheduler whose items or timers the current thread is in the middle of, as asyncio
has a running loop; a kernel's timers go there when the subscriber named no scheduler.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeAlias, TypeVar

from reactivex import abc, typing
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable
from reactivex.scheduler import CurrentThreadScheduler, ImmediateScheduler, TrampolineScheduler
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from rtflow.time import SECOND, Duration, from_datetime, nanoseconds, to_datetime

_S = TypeVar("_S")
_T = TypeVar("_T")

_running = threading.local()


def running_line() -> NanoTimers | None:
    """The scheduler whose work this thread is doing right now, if any."""
    return getattr(_running, "line", None)


@contextmanager
def running(line: NanoTimers) -> Generator[None, None, None]:
    """Make ``line`` the running line of this thread for the length of the block."""
    before = running_line()
    _running.line = line
    try:
        yield
    finally:
        _running.line = before


def waiting_scheduler(named: abc.SchedulerBase | None) -> abc.SchedulerBase | None:
    """Where to wait, given what ``subscribe`` named: now, on this thread.

    A :class:`Line` or virtual time of ours that was named; else the running line, which alone keeps timers
    in order with its items (``Observable.run`` names a scheduler without being asked); else what was named,
    if it can wait; else None.
    """
    if isinstance(named, NanoTimers):
        return named
    return running_line() or (None if isinstance(named, _CANNOT_WAIT) else named)


_CANNOT_WAIT = (CurrentThreadScheduler, TrampolineScheduler, ImmediateScheduler)  # they sleep, or refuse


def stamp_of(scheduler: abc.SchedulerBase) -> int:
    """What time it is on any scheduler, in ns; whole microseconds where it knows no more."""
    return scheduler.now_ns if isinstance(scheduler, NanoTimers) else from_datetime(scheduler.now)


def wait_until(scheduler: abc.SchedulerBase, due: int, action: Callable[[int], object]) -> abc.DisposableBase:
    """Run ``action`` at the stamp ``due`` (ns) on any scheduler, with the time it then is, ``due`` or later.

    A scheduler that knows no nanoseconds is asked for a relative time, rounded up to a microsecond.
    """
    if isinstance(scheduler, NanoTimers):
        return scheduler.at(due, lambda: action(scheduler.now_ns))

    def act(other: abc.SchedulerBase, _: object = None) -> None:
        action(max(due, stamp_of(other)))

    microseconds = -((stamp_of(scheduler) - due) // 1000)
    return scheduler.schedule_relative(max(0, microseconds) / 1_000_000, act)


class NanoTimers(PeriodicScheduler):
    """What both schedulers share: timers on an integer clock, in due order, ties in order of scheduling.

    reactivex's own methods take what reactivex documents (seconds, ``timedelta``, ``datetime``); :meth:`at`
    and :attr:`now_ns` speak nanoseconds.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        self._now = start  # the stamp of the item or the due time of the timer that runs, or ran last
        self._timers: list[_Timer] = []  # a heap whose head is never cancelled
        self._first_due: float = _NEVER  # of that head: may be read without the lock, once per item
        self._scheduled = 0
        self._cancelled = 0
        self._changed = threading.Condition()

    @property
    def now_ns(self) -> int:
        """The time of what is running now: an item's stamp or a timer's due time. It never goes back."""
        return self._now

    @property
    def now(self) -> datetime:
        return to_datetime(self.now_ns)

    def at(self, due: int, action: Callable[[], object], *, first: bool = False) -> abc.DisposableBase:
        """Run ``action`` at the stamp ``due`` (ns); disposing what comes back cancels it.

        With ``first``, it runs before all other timers of that stamp: as data does.
        """
        with self._changed:
            self._scheduled += 1
            timer = _Timer((due, self._scheduled - (2**63 if first else 0), action))
            heappush(self._timers, timer)
            self._first_due = self._timers[0][0]
            self._changed.notify_all()
        return Disposable(lambda: self._cancel(timer))

    def schedule(self, action: typing.ScheduledAction[_S], state: _S | None = None) -> abc.DisposableBase:
        return self._schedule(self.now_ns, action, state)

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: typing.ScheduledAction[_S], state: _S | None = None
    ) -> abc.DisposableBase:
        return self._schedule(self.now_ns + max(0, nanoseconds(duetime)), action, state)

    def schedule_absolute(
        self, duetime: typing.AbsoluteTime, action: typing.ScheduledAction[_S], state: _S | None = None
    ) -> abc.DisposableBase:
        due = from_datetime(duetime) if isinstance(duetime, datetime) else nanoseconds(duetime)
        return self._schedule(due, action, state)

    def _schedule(self, due: int, action: typing.ScheduledAction[_S], state: _S | None) -> abc.DisposableBase:
        scheduled_by_it = SerialDisposable()

        def act() -> None:
            scheduled_by_it.disposable = self.invoke_action(action, state)

        timer = self.at(due, act)
        return CompositeDisposable(timer, scheduled_by_it)

    def _cancel(self, timer: _Timer) -> None:
        with self._changed:
            if timer.over:
                return
            timer.over = True
            self._cancelled += 1
            if self._cancelled > 64 and self._cancelled > len(self._timers) // 2:
                self._timers[:] = [each for each in self._timers if not each.over]
                heapify(self._timers)
                self._cancelled = 0
            self._shed()
            self._changed.notify_all()

    def _shed(self) -> None:
        while self._timers and self._timers[0].over:
            heappop(self._timers)
            self._cancelled -= 1
        self._first_due = self._timers[0][0] if self._timers else _NEVER

    def _take_before(self, stamp: int) -> Callable[[], object] | None:
        """The action of the earliest timer due before ``stamp``, with the clock moved to its due time."""
        with self._changed:
            if not self._timers or self._timers[0][0] >= stamp:
                return None
            timer = heappop(self._timers)
            timer.over = True  # it can no longer be taken back
            self._shed()
            due, _, action = timer
            self._now = max(self._now, due)
            return action


_NEVER = float("inf")


class _Timer(tuple[int, int, Callable[[], object]]):
    """``(due, order, action)``: compares by due time, then by when it was scheduled."""

    over = False  # taken or cancelled


class NanoScheduler(NanoTimers):
    """Virtual time: a clock that moves only when told, for tests and replay.

    >>> scheduler = NanoScheduler()
    >>> _ = scheduler.at(1_000_000_007, lambda: print("at", scheduler.now_ns))
    >>> scheduler.advance_by(2)
    at 1000000007
    >>> scheduler.now_ns
    2000000000

    While it advances, it is the running line. Any number of actions may be due at one instant; they run in
    the order they were scheduled and the clock stands still meanwhile.
    """

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)

    def advance_to(self, stamp: int, *, inclusive: bool = True) -> None:
        """Move the clock to ``stamp`` (ns), running all that is due on the way.

        With ``inclusive=False`` what is due exactly at ``stamp`` stays: data of that instant goes first.
        The clock does not move back: an earlier ``stamp`` leaves it where it is.
        """
        with running(self):
            while action := self._take_before(stamp + inclusive):
                action()
        self._now = max(self._now, stamp)

    def advance_by(self, duration: Duration) -> None:
        """Move the clock on by ``duration`` (seconds or ``timedelta``), running what is due on the way."""
        self.advance_to(self._now + nanoseconds(duration))

    def run(self) -> None:
        """Run until nothing is scheduled any more; a periodic action makes that never."""
        while self._timers:
            self.advance_to(self._timers[0][0])


class Line(NanoTimers):
    """The one thread on which a live pipeline decodes, computes, waits and calls its subscribers.

    Readers hand it stamped batches through an :class:`Inlet`; the line merges those of all its inlets in
    the order of their stamps, and runs its timers between them by the rule above. The thread starts with
    the first inlet or timer and ends by itself when there is neither, so a line needs no closing.

    ``clock`` gives the time in ns. The line's own time never goes back, even if the clock is set back: it
    then runs at half the clock's speed until the clock has caught up.
    """

    def __init__(self, *, clock: Callable[[], int] = time.time_ns, name: str = "rtflow-line") -> None:
        super().__init__(0)
        self._clock = clock
        self._name = name
        self._latest = 0  # what the clock last read, or what we made of it
        self._set_back: tuple[int, int] | None = (
            None  # the lowest reading since it stepped back, and _latest then
        )
        self._inlets: list[Inlet[Any]] = []
        self._puts = 0
        self._thread: threading.Thread | None = None  # the present one, or the last
        self._alive = False
        self._working = False  # on something taken from the inlets or timers, outside the lock
        self._turn = 0  # how many times it has come back for more
        self.unhandled: BaseException | None = None  # the last one reported here

    @property
    def now_ns(self) -> int:
        """On the line's own thread, the time of what is running; elsewhere the clock's."""
        if running_line() is self:
            return self._now
        with self._changed:
            return self._read_clock()

    def at(self, due: int, action: Callable[[], object], *, first: bool = False) -> abc.DisposableBase:
        handle = super().at(due, action, first=first)
        self._start()
        return handle

    def inlet(
        self,
        deliver: Callable[[_T], object],
        *,
        failed: Callable[[Exception], object] | None = None,
        capacity: int = 65_536,
    ) -> Inlet[_T]:
        """A way in for one reader: ``deliver`` is called on the line with each item, in order.

        What ``deliver`` raises goes to ``failed``, without one to :func:`report`; the next item comes either
        way. At most ``capacity`` items wait; what does not fit is refused by :meth:`Inlet.put`.
        """
        inlet = Inlet(self, deliver, failed or _raise, capacity)
        with self._changed:
            self._inlets.append(inlet)
        self._start()
        return inlet

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end, up to ``timeout`` seconds if given; True when none is left.

        From the line's own thread there is nothing to wait for: it ends after the current item.

        Raises the last exception on the line that nobody handled, once the thread has ended: the error of a
        feed, say, whose subscribers have no ``on_error``. So a script that joins does not end as if all were
        well.
        """
        ended = self._wait_for_the_end(timeout)
        if ended and self.unhandled is not None:
            unhandled, self.unhandled = self.unhandled, None
            raise unhandled.with_traceback(
                None
            ) from None  # its way and its causes were told when it was reported
        return ended

    def _wait_for_the_end(self, timeout: float | None) -> bool:
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _start(self) -> None:
        with self._changed:
            if not self._alive and (self._inlets or self._timers):
                self._alive = True
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _read_clock(self) -> int:
        """The clock's time, or, after it was set back, half as fast as it runs until it has caught up.

        Standing still meanwhile would stop every wait for as long as the step was; going on at full speed
        would keep the error for ever.
        """
        now = self._clock()
        if now >= self._latest:
            self._latest, self._set_back = now, None
        elif self._set_back is None or now < self._set_back[0]:
            self._set_back = (now, self._latest)
        else:
            since, then = self._set_back
            self._latest = max(self._latest, then + (now - since) // 2)
        return self._latest

    def _run(self) -> None:
        with running(self):
            while work := self._next():
                self._do(work)

    def _do(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whoever scheduled it is not on this stack
            report(error)

    def _next(self) -> Callable[[], object] | None:
        """What to do next, waiting for it; None when there is nothing left to wait for."""
        with self._changed:
            self._working = False
            self._turn += 1
            self._changed.notify_all()
            while True:
                # A reader between stamp() and put() holds a stamp we have not seen: do not run past it.
                held = [inlet.held for inlet in self._inlets if inlet.held is not None]
                now = min(held) if held else self._read_clock()
                first = min((inlet for inlet in self._inlets if inlet.batches), key=_head, default=None)
                if first is not None and first.batches[0][0] <= now:
                    self._working = True
                    return partial(self._deliver, first, *first.batches.popleft())
                if action := self._take_before(now):
                    self._working = True
                    return action
                if not self._inlets and not self._timers:
                    self._alive = False
                    return None
                wait = None if held or not self._timers else (self._timers[0][0] - now) / SECOND + 1e-6
                self._changed.wait(wait and min(wait, threading.TIMEOUT_MAX))

    def _deliver(
        self,
        inlet: Inlet[_T],
        stamp: int,
        _order: int,
        items: Sequence[_T],
        then: Callable[[], object] | None,
    ) -> None:
        """One batch, with the timers due before each of its items."""
        deliver = inlet.deliver
        waiting = iter(items)
        over = False
        while not over:
            while self._first_due < stamp and (action := self._take_before(stamp)):
                self._do(action)
            self._now = max(self._now, stamp)
            if inlet.closed:
                break
            try:
                for item in waiting:
                    deliver(item)
                    if self._first_due < stamp or inlet.closed:
                        break
                else:
                    over = True
            except Exception as error:  # noqa: BLE001 - the item's, not its neighbours': failed() has the say
                self._do(partial(inlet.failed, error))
        with self._changed:
            inlet.held_items -= len(items)
        if then is not None and not inlet.closed:
            self._do(then)


class Inlet(Generic[_T]):
    """Where one reader's items enter a :class:`Line`; made by :meth:`Line.inlet`.

    The reader takes a :meth:`stamp` when bytes have come, makes items of them, and must then :meth:`put`
    them, even if there are none: until it does, the line runs nothing later than that stamp.
    """

    def __init__(
        self,
        line: Line,
        deliver: Callable[[_T], object],
        failed: Callable[[Exception], object],
        capacity: int,
    ) -> None:
        self.line = line
        self.deliver = deliver
        self.failed = failed
        self.capacity = capacity
        self.closed = False
        self.held: int | None = None
        self.held_items = 0
        self.batches: deque[_Batch[_T]] = deque()

    def stamp(self) -> int:
        """The time of what was just read (ns); never earlier than any stamp of this line before."""
        with self.line._changed:
            self.held = self.line._read_clock()
            return self.held

    def put(
        self,
        items: Sequence[_T],
        *,
        even_if_full: bool = False,
        then: Callable[[], object] | None = None,
    ) -> int:
        """Hand over what was read at the last stamp; returns how many of ``items`` were taken, from the left.

        ``then`` runs on the line after the last of them, and always fits. Raises RuntimeError when no
        :meth:`stamp` was taken.
        """
        line = self.line
        with line._changed:
            if self.closed:
                return 0  # perhaps since the stamp was taken
            if self.held is None:
                raise RuntimeError("put() hands over what was read at a stamp(); take one first")
            stamp, self.held = self.held, None
            if not even_if_full and len(items) > self.capacity - self.held_items:
                items = items[: max(0, self.capacity - self.held_items)]
            if items or then is not None:
                line._puts += 1
                self.batches.append((stamp, line._puts, items, then))
                self.held_items += len(items)
            line._changed.notify_all()
            return len(items)

    def close(self) -> None:
        """Nothing more comes and nothing that waits is delivered; the line may end."""
        with self.line._changed:
            self.closed = True
            self.held = None
            self.batches.clear()
            if self in self.line._inlets:
                self.line._inlets.remove(self)
            self.line._changed.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds, after :meth:`close`, until the line has let go; True if it has.

        It has when it is done with the item or timer that was running, and, where nothing else waits on it,
        when its thread has ended. On the line's own thread there is nothing to wait for.
        """
        line = self.line
        if running_line() is line:
            return True
        with line._changed:
            turn = line._turn
            let_go = line._changed.wait_for(lambda: not line._working or line._turn != turn, timeout)
            ends = not line._inlets and not line._timers
        return line._wait_for_the_end(timeout) if let_go and ends else let_go


_Batch: TypeAlias = tuple[int, int, Sequence[_T], Callable[[], object] | None]
"""When it was read, in what order it was put, what it is, and what follows it."""


def report(error: BaseException) -> None:
    """What nobody is left to handle: told to ``threading.excepthook``, and to whoever joins the running line.

    Of one exception that comes several times in a row, as to each subscriber of a broadcast, once.
    """
    line = running_line()
    if isinstance(line, Line):
        if line.unhandled is error:
            return
        line.unhandled = error
    threading.excepthook(
        threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
    )


def wait(event: threading.Event, seconds: float | None = None) -> bool:
    """Whether ``event`` is set before so many seconds have passed; Ctrl-C ends the wait on every system."""
    ends = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _HEARING if ends is None else ends - time.monotonic()
        if event.wait(min(left, _HEARING)):
            return True
        if left <= _HEARING and ends is not None:
            return False


_HEARING = 0.2  # seconds; on Windows, before Python 3.14, no wait hears Ctrl-C while it lasts


def _raise(error: Exception) -> None:
    raise error


def _head(inlet: Inlet[Any]) -> tuple[int, int]:
    stamp, order, _, _ = inlet.batches[0]
    return stamp, order
