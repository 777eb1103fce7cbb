"""Where plain state meets Rx: fresh state, errors by fault, timers in order, nothing after the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable, SerialDisposable
from reactivex.scheduler import CurrentThreadScheduler, EventLoopScheduler, ImmediateScheduler
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.kernel import Kernel, lift
from rtflow.scheduler import NanoScheduler, running, wait_until

on_next, on_completed, on_error = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error


class Sum(Kernel[int, int]):
    """Says the sum so far after each item, and once more, negated, at the end."""

    def __init__(self) -> None:
        self.sum = 0

    def push(self, item: int) -> Iterable[int]:
        self.sum += item
        return (self.sum,)

    def flush(self) -> Iterable[int]:
        yield -self.sum


class Burst(Kernel[int, int]):
    """Each item as many times as it says; fails on 13 after having made one."""

    def push(self, item: int) -> Iterable[int]:
        for _ in range(item):
            yield item
            if item == 13:
                raise ValueError("thirteen")

    def flush(self) -> Iterable[int]:
        raise ValueError("nothing to end with")


class TimedBurst(Burst):
    """The same, worked as a kernel that has timers."""

    def due(self) -> int | None:
        return None


class Echo(Kernel[int, int]):
    """Each item, and its negation ``delay`` ns later."""

    def __init__(self, delay: int = 10) -> None:
        self.delay = delay
        self.waiting: list[tuple[int, int]] = []

    def push(self, item: int) -> Iterable[int]:
        self.waiting.append((item + self.delay, item))
        return (item,)

    def due(self) -> int | None:
        return self.waiting[0][0] if self.waiting else None

    def wake(self, now: int) -> Iterable[int]:
        while self.waiting and self.waiting[0][0] <= now:
            yield -self.waiting.pop(0)[1]

    def flush(self) -> Iterable[int]:
        return [-item for _, item in self.waiting]


class Got(abc.ObserverBase[Any]):
    """Remembers everything, and may misbehave on cue."""

    def __init__(self, misbehave: Any = None) -> None:
        self.items: list[Any] = []
        self.errors: list[Exception] = []
        self.completed = 0
        self.misbehave = misbehave

    def on_next(self, value: Any) -> None:
        self.items.append(value)
        if self.misbehave:
            self.misbehave(value)

    def on_error(self, error: Exception) -> None:
        self.errors.append(error)

    def on_completed(self) -> None:
        self.completed += 1


class Source(Subject[int]):
    """A subject that knows whether anybody is left."""

    @property
    def has_subscribers(self) -> bool:
        return bool(self.observers)


# -- items, the end, errors --------------------------------------------------------------------------------


def test_every_subscription_has_a_kernel_of_its_own() -> None:
    sums = reactivex.of(1, 2, 3).pipe(lift(Sum))
    for _ in range(2):
        got = Got()
        sums.subscribe(got)
        assert got.items == [1, 3, 6, -6]


def test_an_operator_gives_its_kernel_to_a_for_loop() -> None:
    kernel = lift(Sum).kernel()
    assert [made for item in (1, 2) for made in kernel.push(item)] == [1, 3]


def test_under_the_stock_test_scheduler_items_and_the_end_keep_their_times() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 2), on_completed(230))
    got = scheduler.start(lambda: source.pipe(lift(Sum)))
    assert got.messages == [on_next(210, 1), on_next(220, 3), on_next(230, -3), on_completed(230)]


@pytest.mark.parametrize("kernel", [Burst, TimedBurst])
def test_what_a_failing_kernel_had_made_is_not_emitted_and_its_exception_is_the_streams(
    kernel: type[Burst],
) -> None:
    source, got = Source(), Got()
    source.pipe(lift(kernel)).subscribe(got)
    source.on_next(2)
    source.on_next(13)
    source.on_next(1)
    assert got.items == [2, 2]
    assert [(type(error), str(error)) for error in got.errors] == [(ValueError, "thirteen")]
    assert not source.has_subscribers


def test_an_exception_while_flushing_is_the_streams_error_instead_of_its_completion() -> None:
    got = Got()
    reactivex.empty().pipe(lift(Burst)).subscribe(got)
    assert [str(error) for error in got.errors] == ["nothing to end with"]
    assert got.completed == 0


def test_an_error_from_above_passes_and_nothing_is_flushed() -> None:
    got = Got()
    reactivex.throw(KeyError("above")).pipe(lift(Sum)).subscribe(got)
    assert (got.items, [type(error) for error in got.errors]) == ([], [KeyError])


@pytest.mark.parametrize("kernel", [Sum, Echo])
def test_an_error_that_comes_later_passes_too(kernel: type[Sum | Echo]) -> None:
    source, got = Source(), Got()
    source.pipe(lift(kernel)).subscribe(got)
    source.on_next(1)
    source.on_error(KeyError("above"))
    assert (got.items, [type(error) for error in got.errors]) == ([1], [KeyError])


@pytest.mark.parametrize("kernel", [Sum, Echo])
def test_the_source_is_subscribed_on_the_scheduler_that_was_named(kernel: type[Sum | Echo]) -> None:
    named: list[abc.SchedulerBase | None] = []

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        named.append(scheduler)
        return Disposable()

    scheduler = NanoScheduler()
    Observable(subscribe).pipe(lift(kernel)).subscribe(Got(), scheduler=scheduler)
    assert named == [scheduler]


def test_a_subscribers_exception_goes_through_untouched() -> None:
    def angry(_: object) -> None:
        raise ZeroDivisionError

    source, got = Source(), Got(misbehave=angry)
    source.pipe(lift(Sum)).subscribe(got)
    with pytest.raises(ZeroDivisionError):
        source.on_next(1)
    assert got.errors == []


def test_leaving_disposes_upstream() -> None:
    source = Source()
    subscription = source.pipe(lift(Sum)).subscribe(Got())
    assert source.has_subscribers
    subscription.dispose()
    assert not source.has_subscribers


def test_leaving_from_inside_on_next_stops_the_rest_of_what_was_made() -> None:
    source, subscription = Source(), SerialDisposable()
    got = Got(misbehave=lambda _: subscription.dispose())
    subscription.disposable = source.pipe(lift(Burst)).subscribe(got)
    source.on_next(3)
    source.on_next(3)
    assert got.items == [3]
    assert not source.has_subscribers


def test_taking_what_is_needed_completes_in_the_middle_of_a_burst() -> None:
    source, got = Source(), Got()
    source.pipe(lift(Burst), ops.take(2)).subscribe(got)
    source.on_next(5)
    assert (got.items, got.completed, source.has_subscribers) == ([5, 5], 1, False)


def test_a_source_that_goes_on_after_its_end_is_not_heard() -> None:
    def rude(observer: abc.ObserverBase[int], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_next(1)
        observer.on_completed()
        observer.on_next(2)
        observer.on_completed()
        return Disposable()

    got = Got()
    Observable(rude).pipe(lift(Sum)).subscribe(got)
    assert (got.items, got.completed) == ([1, -1], 1)


def test_a_kernel_that_says_nothing_of_state_has_none() -> None:
    kernel = Burst()
    assert kernel.state() is None
    kernel.restore(None)
    assert Kernel[int, int]().flush() == ()
    assert Kernel[int, int]().due() is None
    assert Kernel[int, int]().wake(0) == ()


def test_a_kernel_without_push_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Kernel[int, int]().push(1)


# -- timers ------------------------------------------------------------------------------------------------


def push_at(scheduler: NanoScheduler, source: Source, *stamps: int) -> None:
    """As replay does: the timers due before an item, then the item."""
    for stamp in stamps:
        scheduler.advance_to(stamp, inclusive=False)
        with running(scheduler):
            source.on_next(stamp)


@pytest.mark.parametrize("named", [True, False], ids=["named in subscribe", "the running line"])
def test_timers_run_to_the_nanosecond_on_the_scheduler_named_or_else_on_the_running_line(named: bool) -> None:
    scheduler, source = NanoScheduler(), Source()
    seen: list[tuple[int, int]] = []
    source.pipe(lift(Echo)).subscribe(
        lambda item: seen.append((scheduler.now_ns, item)), scheduler=scheduler if named else None
    )
    push_at(scheduler, source, 100, 107, 110)
    scheduler.advance_to(200)
    assert seen == [(100, 100), (107, 107), (110, 110), (110, -100), (117, -107), (120, -110)]


@pytest.mark.parametrize("sleeper", [CurrentThreadScheduler(), ImmediateScheduler()])
def test_a_scheduler_that_cannot_wait_is_passed_over_for_the_running_line(sleeper: abc.SchedulerBase) -> None:
    scheduler, source, got = NanoScheduler(), Source(), Got()
    source.pipe(lift(Echo)).subscribe(got, scheduler=sleeper)
    push_at(scheduler, source, 100)
    scheduler.advance_to(110)
    assert got.items == [100, -100]


def test_with_no_scheduler_at_all_the_kernel_works_from_data_and_completion() -> None:
    got = Got()
    reactivex.of(100, 200).pipe(lift(Echo)).subscribe(got)
    assert got.items == [100, 200, -100, -200]
    assert got.completed == 1


def test_one_timer_is_outstanding_however_many_items_come() -> None:
    scheduler, source = NanoScheduler(), Source()
    source.pipe(lift(lambda: Echo(1_000_000))).subscribe(Got(), scheduler=scheduler)
    push_at(scheduler, source, *range(1000))
    assert len(scheduler._timers) == 1


class Alarm(Kernel[int, str]):
    """Due when the latest item says."""

    def __init__(self) -> None:
        self.at: int | None = None

    def push(self, item: int) -> Iterable[str]:
        self.at = item if item >= 0 else None
        return ()

    def due(self) -> int | None:
        return self.at

    def wake(self, now: int) -> Iterable[str]:
        self.at = None
        yield f"woken at {now}"


@pytest.mark.parametrize(
    ("pushed", "woken"),
    [
        ([50], ["woken at 50"]),
        ([50, 30], ["woken at 30"]),
        ([30, 50], ["woken at 50"]),
        ([30, -1], []),
        ([30, -1, 40], ["woken at 40"]),
    ],
    ids=["on time", "moved earlier", "moved later", "called off", "called off and set again"],
)
def test_the_timer_follows_a_due_time_that_moves(pushed: list[int], woken: list[str]) -> None:
    scheduler, source, got = NanoScheduler(), Source(), Got()
    source.pipe(lift(Alarm)).subscribe(got, scheduler=scheduler)
    for item in pushed:
        source.on_next(item)
    scheduler.advance_to(100)
    assert got.items == woken


def test_a_due_time_that_stays_or_moves_later_costs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    set_for: list[int] = []

    def counted(scheduler: abc.SchedulerBase, due: int, action: Callable[[int], None]) -> abc.DisposableBase:
        set_for.append(due)
        return wait_until(scheduler, due, action)

    monkeypatch.setattr("rtflow.kernel.wait_until", counted)
    scheduler, source, got = NanoScheduler(), Source(), Got()
    source.pipe(lift(Alarm)).subscribe(got, scheduler=scheduler)
    for due in (50, 50, 60):
        source.on_next(due)
    assert set_for == [50]


def test_an_overdue_kernel_is_woken_with_the_time_it_is_by_then() -> None:
    scheduler, source, got = NanoScheduler(500), Source(), Got()
    source.pipe(lift(Alarm)).subscribe(got, scheduler=scheduler)
    source.on_next(30)
    scheduler.advance_to(500)
    assert got.items == ["woken at 500"]


@pytest.mark.parametrize("by", ["completion", "disposal"])
def test_completion_and_disposal_call_the_timer_off(by: str) -> None:
    scheduler, source, got = NanoScheduler(), Source(), Got()
    subscription = source.pipe(lift(Echo)).subscribe(got, scheduler=scheduler)
    push_at(scheduler, source, 100)
    if by == "completion":
        source.on_completed()
    else:
        subscription.dispose()
    made = list(got.items)
    assert not scheduler._timers
    scheduler.advance_to(200)
    assert got.items == made


def test_an_exception_in_wake_is_the_streams_error() -> None:
    class Broken(Echo):
        def wake(self, now: int) -> Iterable[int]:
            raise ValueError("overslept")

    scheduler, source, got = NanoScheduler(), Source(), Got()
    source.pipe(lift(Broken)).subscribe(got, scheduler=scheduler)
    push_at(scheduler, source, 100)
    scheduler.advance_to(110)
    assert [str(error) for error in got.errors] == ["overslept"]
    assert not source.has_subscribers


def test_an_exception_in_due_after_a_timer_is_the_streams_error() -> None:
    class Broken(Alarm):
        def due(self) -> int | None:
            if self.at == 30 and scheduler.now_ns == 30:
                raise ValueError("no idea")
            return self.at

    scheduler, source, got = NanoScheduler(), Source(), Got()
    source.pipe(lift(Broken)).subscribe(got, scheduler=scheduler)
    source.on_next(30)
    scheduler.advance_to(30)
    assert [str(error) for error in got.errors] == ["no idea"]


def test_a_subscriber_that_raises_on_a_timer_gets_its_own_exception_and_the_clock_goes_on() -> None:
    def angry(item: int) -> None:
        if item < 0:
            raise ZeroDivisionError

    scheduler, source, got = NanoScheduler(), Source(), Got(misbehave=angry)
    source.pipe(lift(Echo)).subscribe(got, scheduler=scheduler)
    push_at(scheduler, source, 100)
    scheduler.advance_to(200)
    assert [type(error) for error in got.errors] == [ZeroDivisionError]
    assert not source.has_subscribers
    assert scheduler.now_ns == 200


def test_a_subscriber_that_raises_on_an_item_costs_the_kernel_no_timer() -> None:
    def angry(item: int) -> None:
        if item == 100:
            raise ZeroDivisionError

    scheduler, source, got = NanoScheduler(), Source(), Got(misbehave=angry)
    source.pipe(lift(Echo)).subscribe(got, scheduler=scheduler)
    with pytest.raises(ZeroDivisionError):
        source.on_next(100)
    scheduler.advance_to(110)
    assert got.items == [100, -100]


SECOND = 1_000_000_000


def test_the_stock_test_scheduler_keeps_the_timers_too() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, 210 * SECOND), on_next(240, 240 * SECOND))
    got = scheduler.start(lambda: source.pipe(lift(lambda: Echo(20 * SECOND))))
    assert got.messages == [
        on_next(210, 210 * SECOND),
        on_next(230, -210 * SECOND),
        on_next(240, 240 * SECOND),
        on_next(260, -240 * SECOND),
    ]


def test_a_scheduler_without_nanoseconds_is_asked_for_the_microsecond_after() -> None:
    scheduler, source = TestScheduler(), Source()
    got = Got(misbehave=lambda _: clocks.append(scheduler.clock))
    clocks: list[float] = []
    source.pipe(lift(Alarm)).subscribe(got, scheduler=scheduler)
    source.on_next(1_000_000_001)
    scheduler.advance_to(2.0)
    assert clocks == [1.000001]
    assert got.items == ["woken at 1000001000"]


def test_a_scheduler_with_a_thread_of_its_own_takes_turns_with_the_source() -> None:
    scheduler, source = EventLoopScheduler(), Source()
    inside, outside, done = threading.Event(), threading.Event(), threading.Event()
    order: list[int] = []

    def slow(item: int) -> None:
        order.append(item)
        if item == -1:
            inside.set()
            outside.wait(0.05)  # the source's thread tries to push meanwhile, and must wait
            order.append(0)
            done.set()

    source.pipe(lift(Echo)).subscribe(slow, scheduler=scheduler)
    source.on_next(1)
    assert inside.wait(5.0)
    source.on_next(2)
    outside.set()
    assert done.wait(5.0)
    scheduler.dispose()
    assert order[:4] == [1, -1, 0, 2]


def test_lift_wants_what_makes_a_kernel_and_not_a_kernel() -> None:
    with pytest.raises(TypeError, match=r"lift\(\) takes what makes a kernel"):
        lift(Kernel[int, int]())  # type: ignore[arg-type]


class Forgetful(Kernel[int, int]):
    """Its methods return nothing, or what is no iterable, or what cannot be read to its end."""

    def __init__(self, **given: Any) -> None:
        self.given = given

    def push(self, item: int) -> Iterable[int]:
        return self._given("push")

    def flush(self) -> Iterable[int]:
        return self._given("flush")

    def wake(self, now: int) -> Iterable[int]:
        return self._given("wake")

    def _given(self, method: str) -> Iterable[int]:
        made: Iterable[int] = self.given.get(method, ())
        return made


class ForgetfulInTime(Forgetful):
    """The same, with a timer."""

    def due(self) -> int | None:
        at: int | None = self.given.get("due")
        return at


def failure(kernel: Kernel[int, int]) -> Exception:
    """What a stream of one item ends with."""
    failed: list[Exception] = []
    scheduler = NanoScheduler()
    source = Source()
    _ = source.pipe(lift(lambda: kernel)).subscribe(on_error=failed.append, scheduler=scheduler)
    source.on_next(1)
    scheduler.run()
    source.on_completed()
    (error,) = failed
    return error


@pytest.mark.parametrize("kind", [Forgetful, ForgetfulInTime])
@pytest.mark.parametrize(("method", "made"), [("push", None), ("push", 5), ("flush", None)])
def test_a_kernel_that_gives_no_iterable_is_told_so_by_name(
    kind: type[Forgetful], method: str, made: object
) -> None:
    error = failure(kind(**{method: made}))
    name = kind.__name__
    assert type(error) is TypeError
    assert str(error) == f"{name}.{method}() gave {made}, and must give an iterable: () for nothing"


def test_a_kernel_that_wakes_to_no_iterable_is_told_so_by_name() -> None:
    error = failure(ForgetfulInTime(wake=None, due=7))
    assert str(error) == "ForgetfulInTime.wake() gave None, and must give an iterable: () for nothing"


@pytest.mark.parametrize("kind", [Forgetful, ForgetfulInTime])
@pytest.mark.parametrize("method", ["push", "flush"])
def test_a_type_error_inside_what_it_gives_stays_the_kernels_own(kind: type[Forgetful], method: str) -> None:
    cause, own = KeyError("cause"), TypeError("own")

    def made() -> Iterator[int]:
        yield 1
        raise own from cause

    assert failure(kind(**{method: made()})) is own
    assert own.__cause__ is cause
