"""Kernel and lift: the one place where plain state meets Rx.

A kernel eats items and yields items; it knows no Rx, no thread and no clock, and can be tested with a
``for`` loop. :func:`lift` makes an operator of it: each subscription gets a fresh kernel, a kernel's
exception becomes ``on_error``, a subscriber's exception stays the subscriber's own.

    >>> import reactivex
    >>> class Pairs(Kernel[int, tuple[int, int]]):
    ...     def __init__(self) -> None:
    ...         self.last: int | None = None
    ...     def push(self, item: int) -> Iterable[tuple[int, int]]:
    ...         if self.last is not None:
    ...             yield self.last, item
    ...         self.last = item
    >>> reactivex.of(1, 2, 3).pipe(lift(Pairs)).run()
    (2, 3)
    >>> kernel = Pairs()
    >>> [pair for item in (1, 2, 3) for pair in kernel.push(item)]
    [(1, 2), (2, 3)]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, SerialDisposable

from rtflow.scheduler import NanoTimers, wait_until, waiting_scheduler

_A = TypeVar("_A")
_B = TypeVar("_B")
_In = TypeVar("_In", contravariant=True)  # who eats events and batches eats events
_Out = TypeVar("_Out", covariant=True)

Operator: TypeAlias = Callable[[Observable[_A]], Observable[_B]]
"""What ``pipe`` takes."""


class Kernel(Generic[_In, _Out]):
    """Plain state that eats items and yields items.

    Only :meth:`push` must be written. A kernel that has to act though nothing comes also writes :meth:`due`
    and :meth:`wake`; one that remembers anything also writes :meth:`state` and :meth:`restore`.
    """

    def push(self, item: _In, /) -> Iterable[_Out]:
        """What ``item`` makes; all of it is collected before any is emitted."""
        raise NotImplementedError

    def flush(self) -> Iterable[_Out]:
        """What is still inside when the source completes."""
        return ()

    def due(self) -> int | None:
        """The stamp (ns) at which to :meth:`wake` if nothing comes before; None for never."""
        return None

    def wake(self, now: int) -> Iterable[_Out]:
        """What the time ``now`` (ns, at or after :meth:`due`) makes; must move :meth:`due` on."""
        return ()

    def state(self) -> Any:
        """Everything the kernel knows, as plain data that msgspec encodes."""
        return None

    def restore(self, state: Any) -> None:
        """Become the kernel that said ``state``, which may have been through msgspec and back."""


class Lifted(Generic[_In, _Out]):
    """An operator made of a kernel; :meth:`kernel` gives one to test or to use elsewhere."""

    def __init__(self, make_kernel: Callable[[], Kernel[_In, _Out]]) -> None:
        self.kernel = make_kernel

    def __call__(self, source: Observable[_In]) -> Observable[_Out]:
        def subscribe(
            observer: abc.ObserverBase[_Out], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            kernel = self.kernel()
            work = _work if type(kernel).due is Kernel[Any, Any].due else _work_with_timers
            return work(kernel, source, observer, scheduler)

        return Observable(subscribe)


def lift(make_kernel: Callable[[], Kernel[_A, _B]]) -> Lifted[_A, _B]:
    """An operator whose every subscription is worked by a fresh ``make_kernel()``.

    ::

        --a----b-------|
        [ lift(Kernel) ]
        --xy---z-------w|      push(a) → x, y;  push(b) → z;  flush() → w

    An exception in the kernel ends the subscription with ``on_error``. Timers run where
    :func:`~rtflow.scheduler.waiting_scheduler` says; with no such place, the kernel works from data and
    completion alone. On a scheduler that knows no nanoseconds, the kernel is woken up to a microsecond late,
    with the later of its due time and that scheduler's.

    Raises TypeError for a kernel where a function that makes one is wanted.
    """
    if not callable(make_kernel):
        raise TypeError(f"lift() takes what makes a kernel, as in lift(Pairs), not {make_kernel!r}")
    return Lifted(make_kernel)


def _work(
    kernel: Kernel[_A, _B],
    source: Observable[_A],
    observer: abc.ObserverBase[_B],
    scheduler: abc.SchedulerBase | None,
) -> abc.DisposableBase:
    """One subscription of a kernel that only items can move."""
    push, emit, fail = kernel.push, observer.on_next, observer.on_error

    def on_next(item: _A) -> None:
        try:
            made = push(item)
            if made.__class__ is not tuple:
                try:
                    made = tuple(made)
                except TypeError:
                    _check(kernel, "push", made)
                    raise
        except Exception as error:  # noqa: BLE001 - a kernel's exception is the stream's error
            fail(error)
        else:
            for each in made:
                emit(each)

    return source.subscribe(on_next, fail, _completion(kernel, observer), scheduler=scheduler)


def _work_with_timers(
    kernel: Kernel[_A, _B],
    source: Observable[_A],
    observer: abc.ObserverBase[_B],
    scheduler: abc.SchedulerBase | None,
) -> abc.DisposableBase:
    """One subscription of a kernel that time moves too."""
    push, due, emit, fail = kernel.push, kernel.due, observer.on_next, observer.on_error

    def on_next(item: _A) -> None:
        try:
            made = push(item)
            if made.__class__ is not tuple:
                try:
                    made = tuple(made)
                except TypeError:
                    _check(kernel, "push", made)
                    raise
            at = due()
        except Exception as error:  # noqa: BLE001 - a kernel's exception is the stream's error
            fail(error)
        else:
            if at is not None and (timer.due is None or at < timer.due):
                timer.set(at)  # before a subscriber can raise
            for each in made:
                emit(each)

    def on_time(now: int) -> None:
        try:
            at = due()
            made = _all(kernel, "wake", kernel.wake(now)) if at is not None and at <= now else ()
            at = due()
            if at is not None and (timer.due is None or at < timer.due):
                timer.set(at)
            for each in made:
                emit(each)
        except Exception as error:  # noqa: BLE001 - nobody stands above us: a subscriber's ends here too
            fail(error)

    on_completed = _completion(kernel, observer)
    if scheduler is not None and not isinstance(scheduler, NanoTimers):
        # Items and timers of a line, or of virtual time, come one at a time anyway; the timers of this
        # scheduler may come from a thread of its own.
        lock = threading.RLock()
        on_next, on_time, on_completed = (_alone(lock, each) for each in (on_next, on_time, on_completed))
    timer = _Timer(scheduler, on_time)
    subscription = source.subscribe(on_next, fail, on_completed, scheduler=scheduler)
    return CompositeDisposable(
        timer.handle, subscription
    )  # in this order a line has nothing left to wait for


def _completion(kernel: Kernel[Any, _B], observer: abc.ObserverBase[_B]) -> Callable[[], None]:
    def on_completed() -> None:
        try:
            made = _all(kernel, "flush", kernel.flush())
        except Exception as error:  # noqa: BLE001 - a kernel's exception is the stream's error
            observer.on_error(error)
        else:
            for each in made:
                observer.on_next(each)
            observer.on_completed()

    return on_completed


def _all(kernel: Kernel[Any, _B], method: str, made: Iterable[_B]) -> tuple[_B, ...]:
    try:
        return tuple(made)
    except TypeError:
        _check(kernel, method, made)
        raise


def _check(kernel: Kernel[Any, Any], method: str, made: object) -> None:
    """TypeError where a kernel gave what cannot be iterated; what went wrong inside it is its own to say."""
    if not isinstance(made, Iterable):
        said = f"{type(kernel).__name__}.{method}() gave {made!r}"
        raise TypeError(f"{said}, and must give an iterable: () for nothing") from None


class _Timer:
    """The one timer that a kernel has outstanding."""

    def __init__(self, scheduler: abc.SchedulerBase | None, action: Callable[[int], None]) -> None:
        self.due: int | None = None
        self.handle = SerialDisposable()
        self._scheduler = scheduler
        self._action = action

    def set(self, due: int) -> None:
        """Make it run at ``due``, in place of what was set before."""
        scheduler = waiting_scheduler(self._scheduler)
        if scheduler is not None:
            self.due = due
            self.handle.disposable = wait_until(scheduler, due, self._ran)

    def _ran(self, now: int) -> None:
        self.due = None
        self._action(now)


def _alone(lock: threading.RLock, action: Callable[..., None]) -> Callable[..., None]:
    def alone(*arguments: Any) -> None:
        with lock:
            action(*arguments)

    return alone
