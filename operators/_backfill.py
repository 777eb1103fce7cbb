"""backfill: a hole is filled from elsewhere, in its place, or stays labelled."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

import msgspec
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable

from rtflow.columns import pass_over
from rtflow.counters import Counters
from rtflow.events import Event, Gap
from rtflow.kernel import Operator
from rtflow.operators._dedupe import Dedupe
from rtflow.scheduler import Line, running_line, stamp_of, wait_until, waiting_scheduler
from rtflow.time import SECOND, Duration, nanoseconds


def backfill(
    fetch: Callable[[Gap], Iterable[Event]],
    *,
    within: Duration = 10.0,
    capacity: int = 100_000,
    counters: Counters | None = None,
) -> Operator[Event, Event]:
    """Every event, and what ``fetch`` finds of a ``Gap``, repaired first and then live, each event once.

    ::

        --t1--G-------g--t4--t5---------------t6--|    G: the line is lost; g: the gap, closed
        [            backfill(fetch)              ]    fetch(g) gives t2, t3 and t4
        --t1--G--------------------g t2 t3 t4 t5--t6--|

    ``fetch`` is yours: a REST history, a database. It is called with each gap that has both its ends, on a
    thread of its own where a line runs (in virtual time and on a replay at once, in place), and what comes
    meanwhile is held back. Then the gap leaves with ``filled``, the number of events that follow it out of
    ``fetch``, in the order of their ``ts_event``; then what was held back. Trades, corrections and cancels
    whose ids have come already, before the gap or from ``fetch``, do not come again (see ``op.dedupe``).

    If ``fetch`` raises, takes longer than ``within``, or ``capacity`` events wait for it, the gap leaves as
    it came, its ``reason`` says why it is not filled, and what was held back follows: a hole stays labelled.
    An answer that comes after that is let go. Counted: gaps ``filled`` and ``unfilled``, events
    ``backfilled`` and, of those and of the live ones, ``duplicate``.

    A gap of one kind, of some symbols or of all is ``fetch``'s to look at; what it has nothing for it answers
    with nothing, and the gap is filled with 0. Raises ValueError for a ``capacity`` below 1 and a ``within``
    that is not positive, TypeError for a ``fetch`` that cannot be called.

        >>> import reactivex
        >>> from rtflow.events import Trade
        >>> def history(gap):
        ...     return [Trade("BTC/USD", 15, 15, 100.0, 0.5, id="2")]
        >>> gap = Gap(10, 20, epoch=1, ts_recv=20, reason="the line was lost")
        >>> live = Trade("BTC/USD", 20, 20, 100.0, 0.5, id="3")
        >>> def show(event):
        ...     print(type(event).__name__, event.filled if isinstance(event, Gap) else event.id)
        >>> reactivex.of(gap, live).pipe(backfill(history)).subscribe(show).dispose()
        Gap 1
        Trade 2
        Trade 3
    """
    if not callable(fetch):
        raise TypeError(f"backfill() takes a function of a Gap, not {fetch!r}")
    patience = nanoseconds(within)
    if patience <= 0:
        raise ValueError(f"within must be more than nothing, not {within!r}")
    if capacity < 1:
        raise ValueError(f"capacity must be 1 or more, not {capacity}")
    counted = Counters() if counters is None else counters

    def operator(source: Observable[Event]) -> Observable[Event]:
        def subscribe(
            observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return _Backfill(fetch, patience, capacity, counted, observer, scheduler).subscribe(source)

        return Observable(subscribe)

    return operator


class _Backfill:
    """One subscriber, and what is held back from it. Everything but ``fetch`` happens on the line."""

    def __init__(
        self,
        fetch: Callable[[Gap], Iterable[Event]],
        patience: int,
        capacity: int,
        counters: Counters,
        observer: abc.ObserverBase[Event],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._fetch = fetch
        self._patience = patience
        self._capacity = capacity
        self._counters = counters
        self._observer = observer
        self._scheduler = scheduler
        self._once = Dedupe("backfill", counters=counters)
        self._held: deque[Event] = deque()
        self._filling: Gap | None = None  # waits for its fetch
        self._draining = False
        self._completed = False
        self._timer = SerialDisposable()

    def subscribe(self, source: Observable[Event]) -> abc.DisposableBase:
        connection = source.subscribe(
            self._on_next, self._on_error, self._on_completed, scheduler=self._scheduler
        )
        return CompositeDisposable(connection, self._timer)

    def _on_next(self, event: Event) -> None:
        self._held.append(event)
        if self._filling is not None and len(self._held) > self._capacity:
            self._give_up(self._filling, f"{self._capacity} events waited for it")
        else:
            self._drain()

    def _on_error(self, error: Exception) -> None:
        """The stream ends here and now: what was held back goes first."""
        if self._filling is not None:
            self._emit_unfilled(self._filling, "the stream ended")
        for event in self._held:
            self._emit(event)
        self._observer.on_error(error)

    def _on_completed(self) -> None:
        self._completed = True
        self._drain()

    def _drain(self) -> None:
        """What is held back leaves, up to the next gap that is to be filled."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._filling is None and self._held:
                event = self._held.popleft()
                if isinstance(event, Gap) and event.ts_end is not None:
                    self._fill(event)
                else:
                    self._emit(event)
        finally:
            self._draining = False
        if self._completed and self._filling is None:
            self._observer.on_completed()

    def _fill(self, gap: Gap) -> None:
        self._filling = gap
        line = running_line()
        if not isinstance(line, Line):
            self._settle(gap, self._ask(gap))
            return
        reason = f"nothing came within {self._patience / SECOND:g} s"
        scheduler = waiting_scheduler(self._scheduler) or line
        due = stamp_of(scheduler) + self._patience
        self._timer.disposable = wait_until(scheduler, due, lambda _: self._give_up(gap, reason))

        def run() -> None:
            found = self._ask(gap)
            line.at(line.now_ns, partial(self._settle, gap, found))

        threading.Thread(target=run, name="rtflow-backfill", daemon=True).start()

    def _ask(self, gap: Gap) -> list[Event] | Exception:
        try:
            found = sorted(self._fetch(gap), key=_happened)
            for event in found:
                pass_over(event, "backfill")
        except Exception as error:  # noqa: BLE001 - the gap's reason tells
            return error
        return found

    def _settle(self, gap: Gap, found: list[Event] | Exception) -> None:
        """What ``fetch`` has found, unless we have given up on it."""
        if self._filling is not gap or self._timer.is_disposed:
            return
        if isinstance(found, Exception):
            self._give_up(gap, str(found) or type(found).__name__)
            return
        self._filling = None
        self._timer.disposable = Disposable()
        fresh = [event for each in found for event in self._once.push(each)]
        self._counters.add("filled")
        self._counters.add("backfilled", len(fresh))
        self._observer.on_next(msgspec.structs.replace(gap, filled=len(fresh)))
        for event in fresh:
            self._observer.on_next(event)
        self._drain()

    def _give_up(self, gap: Gap, reason: str) -> None:
        self._filling = None
        self._timer.disposable = Disposable()
        self._emit_unfilled(gap, reason)
        self._drain()

    def _emit_unfilled(self, gap: Gap, reason: str) -> None:
        self._counters.add("unfilled")
        said = "; ".join(part for part in (gap.reason, f"not filled: {reason}") if part)
        self._observer.on_next(msgspec.structs.replace(gap, reason=said))

    def _emit(self, event: Event) -> None:
        try:
            fresh = self._once.push(event)
        except TypeError as error:  # it is no event
            self._observer.on_error(error)
            return
        for each in fresh:
            self._observer.on_next(each)


def _happened(event: Event) -> int:
    return int(getattr(event, "ts_event", event.ts_recv))
