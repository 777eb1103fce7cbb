"""retry_with_backoff: a new connection when the line fails, after a wait that is fair to the other side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Literal, NamedTuple

import msgspec
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable, SingleAssignmentDisposable
from reactivex.scheduler import (
    TimeoutScheduler,
)

from rtflow.backoff import Jitter, backoff
from rtflow.errors import Disconnected, FeedError, Rejected, Throttled
from rtflow.events import Frame, FrameKind, Status
from rtflow.kernel import Operator
from rtflow.scheduler import stamp_of, wait_until, waiting_scheduler
from rtflow.time import SECOND, Duration, nanoseconds


def retry_with_backoff(
    *,
    base: Duration = 1.0,
    cap: Duration = 60.0,
    retries: int | None = 10,
    park: bool = False,
    jitter: Jitter = "full",
    stable_for: Duration = 30.0,
    on: type[Exception] | tuple[type[Exception], ...] = FeedError,
    seed: int | None = None,
) -> Operator[Frame, Frame]:
    """The source's frames; when it fails, it is subscribed again after a wait, and the subscriber stays.

    ::

        --f1--f2--x        f3--f4--x          f5--
        [ retry_with_backoff(jitter=None)        ]
        --f1--f2--R--1 s--f3--f4--R---2 s-----f5--       x: a FeedError   R: Status("retrying")

    Each retry is announced by a ``STATUS`` frame (:class:`~rtflow.events.Status` with ``state="retrying"``,
    ``attempt``, ``wait`` in seconds, the error as ``text``) before the wait begins. The failed subscription
    is disposed before that, so the old socket is closed before a new one opens.

    - The waits are ``base``, twice ``base``, … up to ``cap``; ``jitter="full"`` draws each uniformly between
      zero and that, from a generator that ``seed`` makes repeatable. See :mod:`rtflow.backoff`.
    - ``retries`` is how many failures in a row are forgiven, None for any number; the next one's error is the
      stream's. The row ends, and the waits start over, when a connection has delivered market data for
      ``stable_for`` (``error.delivered_for``): a server that accepts and drops is not hammered.
    - ``park=True`` does not give up when they are spent: it keeps trying, with exactly ``cap`` between two
      attempts, and says ``state="parked"`` instead of ``"retrying"``.
    - A close that the other side announced (``Disconnected.announced``) is answered at once: its ``wait`` is
      0, its ``attempt`` 0, it counts neither as a failure nor as a wait. That courtesy is shown once; a
      server that keeps announcing closes is waited for like any other until a connection was stable again.
    - :class:`~rtflow.errors.Throttled` waits at least its ``retry_after``.
    - :class:`~rtflow.errors.Rejected`, whatever is not ``on``, and what a subscriber raises end the stream.

    Waits run on the scheduler given to ``subscribe`` if that one can wait; else on the line that runs where
    the failure is noticed; else on reactivex's ``TimeoutScheduler``. The announcement is stamped with that
    scheduler's time, or with the last frame's ``ts_recv`` if that is later, and carries the last frame's
    ``epoch``, 0 before the first.

        >>> import reactivex
        >>> from rtflow.scheduler import NanoScheduler
        >>> refused = reactivex.throw(Disconnected("refused"))
        >>> scheduler = NanoScheduler()
        >>> def show(frame):
        ...     status = msgspec.json.decode(frame.payload, type=Status)
        ...     print(scheduler.now_ns, status.attempt, status.wait, status.text)
        >>> attempts = refused.pipe(retry_with_backoff(jitter=None, retries=3))
        >>> subscription = attempts.subscribe(show, lambda error: print(repr(error)), scheduler=scheduler)
        >>> scheduler.run()
        0 1 1.0 refused
        1000000000 2 2.0 refused
        3000000000 3 4.0 refused
        Disconnected('refused')

    Raises ValueError for a ``base`` that is not positive, a ``cap`` below it or a negative ``retries``. What
    is no frame ends the stream with a TypeError: retry before ``normalize``.
    """
    policy = _Policy(
        nanoseconds(base) / SECOND,
        nanoseconds(cap) / SECOND,
        retries,
        park,
        jitter,
        nanoseconds(stable_for) / SECOND,
        on if isinstance(on, tuple) else (on,),
        seed,
    )
    policy.waits(Random())  # raises now what would else be raised at the first failure
    if retries is not None and retries < 0:
        raise ValueError(f"retries must not be negative, got {retries}")

    def operator(source: Observable[Frame]) -> Observable[Frame]:
        def subscribe(
            observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return _Retry(source, policy, observer, scheduler).subscribe()

        return Observable(subscribe)

    return operator


class _Policy(msgspec.Struct, frozen=True):
    """The options, durations in seconds."""

    base: float
    cap: float
    retries: int | None
    park: bool
    jitter: Jitter
    stable_for: float
    on: tuple[type[Exception], ...]
    seed: int | None

    def waits(self, random: Random) -> Iterator[float]:
        return backoff(self.base, self.cap, self.jitter, random)


class _Attempt(NamedTuple):
    """One more connection, and the seconds to wait before it."""

    state: Literal["retrying", "parked"]
    number: int
    wait: float


class _Retry:
    """One subscriber, the attempt that is under way for it, and the failures in a row behind that."""

    def __init__(
        self,
        source: Observable[Frame],
        policy: _Policy,
        observer: abc.ObserverBase[Frame],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._source = source
        self._policy = policy
        self._observer = observer
        self._scheduler = scheduler
        self._random = Random(policy.seed)
        self._waits = policy.waits(self._random)
        self._failures = 0
        self._courtesy = True  # an announced close is answered at once
        self._last: Frame | None = None
        self._raised: Exception | None = None  # by the subscriber, on its way up through the source
        self._connection = SerialDisposable()
        self._timer = SerialDisposable()

    def subscribe(self) -> abc.DisposableBase:
        self._connect()
        return CompositeDisposable(self._connection, self._timer)

    def _connect(self, *_: object) -> None:
        if self._timer.is_disposed:
            return  # the subscriber left while the timer was already running
        connection = SingleAssignmentDisposable()
        self._connection.disposable = connection
        failure = _Failure(self._failed)
        connection.disposable = self._source.subscribe(
            self._on_next, failure.hold, self._observer.on_completed, scheduler=self._scheduler
        )
        failure.let_go()

    def _on_next(self, frame: Frame) -> None:
        if frame.__class__ is not Frame:
            self._refuse(frame)
            return
        self._last = frame
        try:
            self._observer.on_next(frame)
        except Exception as error:
            self._raised = error  # a source that is still subscribing will hand it back as if it were its own
            raise

    def _refuse(self, item: object) -> None:
        """Behind ``normalize``, what a retry says of itself would be a frame among events."""
        name = type(item).__name__
        self._observer.on_error(
            TypeError(f"retry_with_backoff() takes frames, and this is a {name}: put it before op.normalize")
        )

    def _failed(self, error: Exception) -> None:
        attempt = None if error is self._raised else self._next_attempt(error)
        if attempt is None:
            self._observer.on_error(error)
            return
        self._connection.disposable = Disposable()  # the old one ends before the new one begins
        scheduler = self._waits_on()
        try:
            self._observer.on_next(self._announcement(scheduler, error, attempt))
        except Exception as raised:  # noqa: BLE001 - the subscriber's own; the source that called us is over
            self._observer.on_error(raised)
            return
        due = stamp_of(scheduler) + nanoseconds(attempt.wait)
        self._timer.disposable = wait_until(scheduler, due, self._connect)

    def _next_attempt(self, error: Exception) -> _Attempt | None:
        """What comes next; None when the error is the stream's."""
        policy = self._policy
        if isinstance(error, Rejected) or not isinstance(error, policy.on):
            return None
        if isinstance(error, FeedError) and error.delivered_for >= policy.stable_for:
            self._failures = 0
            self._waits = policy.waits(self._random)
            self._courtesy = True
        spent = policy.retries is not None and self._failures >= policy.retries
        if spent and not policy.park:
            return None
        if self._courtesy and isinstance(error, Disconnected) and error.announced:
            self._courtesy = False
            return _Attempt("retrying", 0, 0.0)
        self._failures += 1
        wait = policy.cap if spent else next(self._waits)
        if isinstance(error, Throttled):
            wait = max(wait, error.retry_after)
        return _Attempt("parked" if spent else "retrying", self._failures, wait)

    def _waits_on(self) -> abc.SchedulerBase:
        return waiting_scheduler(self._scheduler) or TimeoutScheduler.singleton()

    def _announcement(self, scheduler: abc.SchedulerBase, error: Exception, attempt: _Attempt) -> Frame:
        now, epoch = stamp_of(scheduler), 0
        if self._last is not None:
            now, epoch = max(now, self._last.ts_recv), self._last.epoch
        text = str(error) or type(error).__name__
        status = Status(attempt.state, now, text, epoch=epoch, attempt=attempt.number, wait=attempt.wait)
        return Frame(FrameKind.STATUS, msgspec.json.encode(status), now, epoch)


class _Failure:
    """Keeps an error until ``subscribe`` has returned: until then there is nothing to dispose."""

    def __init__(self, act: Callable[[Exception], None]) -> None:
        self._act = act
        self._held: list[Exception] = []
        self._subscribed = False

    def hold(self, error: Exception) -> None:
        self._held.append(error)
        if self._subscribed:
            self._pass_on()

    def let_go(self) -> None:
        self._subscribed = True
        self._pass_on()

    def _pass_on(self) -> None:
        try:
            error = self._held.pop()
        except IndexError:
            return  # nothing held, or the other of two threads has taken it
        self._act(error)
