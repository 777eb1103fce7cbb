"""retry_with_backoff: a new connection when the line fails, after a wait that is fair to the other side."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import reactivex
from reactivex import Observable, abc
from reactivex.disposable import Disposable
from reactivex.scheduler import CurrentThreadScheduler, ImmediateScheduler, TimeoutScheduler
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.errors import Disconnected, FeedError, Rejected, RtflowError, Throttled
from rtflow.events import Frame, FrameKind, Status
from rtflow.operators._retry_with_backoff import _Failure, retry_with_backoff
from rtflow.scheduler import Line, NanoScheduler
from rtflow.time import SECOND

WAIT = 10.0  # seconds a thread may take before the test fails

EXACT = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def text(ts: int, epoch: int = 1) -> Frame:
    return Frame(FrameKind.TEXT, b"1", ts, epoch)


class Source:
    """Connections that say what the test tells them, or end at once if there is a script of endings."""

    def __init__(self, *endings: Exception | None) -> None:
        self.endings = list(endings)
        self.story: list[str] = []
        self.observer: abc.ObserverBase[Frame] = reactivex.Subject()
        self.schedulers: list[abc.SchedulerBase | None] = []

    def observable(self) -> Observable[Frame]:
        def subscribe(
            observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            self.story.append("open")
            self.schedulers.append(scheduler)
            self.observer = observer
            ending = self.endings.pop(0) if self.endings else None
            if ending is not None:
                observer.on_error(ending)
            return Disposable(lambda: self.story.append("closed"))

        return Observable(subscribe)


class Watched:
    """A subscriber that keeps what it is told, with the time at which it was."""

    def __init__(
        self,
        source: Observable[Frame],
        scheduler: NanoScheduler,
        on_next: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        self.attempts: list[tuple[int, int, float]] = []  # when, number, wait
        self.frames: list[Frame] = []
        self.statuses: list[Status] = []
        self.errors: list[Exception] = []
        self.completed = 0
        self.scheduler = scheduler
        self.also = on_next
        self.subscription = source.subscribe(
            self.on_next, self.errors.append, self.on_completed, scheduler=scheduler
        )

    def on_next(self, frame: Frame) -> None:
        if frame.kind is FrameKind.STATUS:
            status = msgspec.json.decode(frame.payload, type=Status)
            assert status.state in ("retrying", "parked")
            assert (status.ts_recv, status.epoch) == (frame.ts_recv, frame.epoch)
            self.statuses.append(status)
            self.attempts.append((self.scheduler.now_ns, status.attempt, status.wait))
        else:
            self.frames.append(frame)
        self.also(frame)

    def on_completed(self) -> None:
        self.completed += 1


def waits_of(*endings: Exception, **options: Any) -> list[float]:
    """The waits announced while connections end one after the other as scripted."""
    scheduler = NanoScheduler()
    source = Source(*endings)
    watched = Watched(source.observable().pipe(retry_with_backoff(**{"jitter": None, **options})), scheduler)
    scheduler.run()
    return [status.wait for status in watched.statuses]


def lost(delivered_for: float = 0.0) -> Disconnected:
    return Disconnected("lost", delivered_for=delivered_for)


def announced(delivered_for: float = 0.0) -> Disconnected:
    return Disconnected("bye", code=1001, announced=True, delivered_for=delivered_for)


def test_without_jitter_the_waits_are_exact_to_the_nanosecond() -> None:
    scheduler = NanoScheduler(7)
    last = Disconnected("the last")
    source = Source(*[lost() for _ in range(10)], last)
    watched = Watched(source.observable().pipe(retry_with_backoff(jitter=None)), scheduler)
    scheduler.run()
    expected = [(7 + sum(EXACT[:n]) * SECOND, n + 1, float(EXACT[n])) for n in range(10)]
    assert watched.attempts == expected
    assert watched.errors == [last]
    assert source.story == ["open", "closed"] * 11
    assert scheduler.now_ns == 7 + sum(EXACT) * SECOND


def test_without_jitter_the_waits_are_exact_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = Source(*[lost() for _ in range(11)])
    got = scheduler.start(
        lambda: source.observable().pipe(retry_with_backoff(jitter=None)), disposed=10_000.0
    )
    assert [message.time for message in got.messages] == [200.0 + sum(EXACT[:n]) for n in range(10)] + [503.0]
    assert str(got.messages[-1].value).startswith("OnError(")
    assert source.story == ["open", "closed"] * 11


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    ends = iter(
        [
            scheduler.create_cold_observable(
                ReactiveTest.on_next(10, text(1)), ReactiveTest.on_error(20, lost())
            ),
            scheduler.create_cold_observable(
                ReactiveTest.on_next(10, text(2, 2)), ReactiveTest.on_completed(20)
            ),
        ]
    )
    source: Observable[Frame] = reactivex.defer(lambda _: next(ends))
    got = scheduler.start(lambda: source.pipe(retry_with_backoff(jitter=None, base=5)))
    status = Frame(
        FrameKind.STATUS,
        msgspec.json.encode(Status("retrying", 220 * SECOND, "lost", epoch=1, attempt=1, wait=5.0)),
        220 * SECOND,
    )
    assert got.messages == [
        ReactiveTest.on_next(210, text(1)),
        ReactiveTest.on_next(220, status),
        ReactiveTest.on_next(235, text(2, 2)),
        ReactiveTest.on_completed(245),
    ]


def test_frames_of_every_connection_reach_the_one_subscriber() -> None:
    scheduler = NanoScheduler(100)
    source = Source()
    watched = Watched(source.observable().pipe(retry_with_backoff(jitter=None)), scheduler)
    source.observer.on_next(text(100))
    source.observer.on_error(lost())
    scheduler.advance_by(0.999_999_999)
    assert source.story == ["open", "closed"]
    scheduler.advance_by(0.000_000_001)
    assert source.story == ["open", "closed", "open"]
    source.observer.on_next(text(SECOND + 101, 2))
    source.observer.on_completed()
    assert watched.frames == [text(100), text(SECOND + 101, 2)]
    assert watched.completed == 1
    assert source.schedulers == [scheduler, scheduler]


def test_a_retry_is_announced_with_its_reason_and_the_last_epoch() -> None:
    scheduler = NanoScheduler(100)
    source = Source()
    watched = Watched(source.observable().pipe(retry_with_backoff(jitter=None)), scheduler)
    source.observer.on_error(FeedError(""))
    scheduler.run()
    source.observer.on_next(text(5 * SECOND, 3))
    source.observer.on_error(lost())
    assert watched.statuses == [
        Status("retrying", 100, "FeedError", epoch=0, attempt=1, wait=1.0),
        Status("retrying", 5 * SECOND, "lost", epoch=3, attempt=2, wait=2.0),  # later than the scheduler's
    ]


def test_the_old_subscription_ends_before_the_retry_is_announced_and_the_new_one_begins() -> None:
    scheduler = NanoScheduler()
    source = Source()
    Watched(
        source.observable().pipe(retry_with_backoff()), scheduler, lambda _: source.story.append("announced")
    )
    source.observer.on_error(announced())
    scheduler.run()
    assert source.story == ["open", "closed", "announced", "open"]


def test_jitter_spreads_the_waits_repeatably_and_below_their_bound() -> None:
    endings = [lost() for _ in range(10)]
    first = waits_of(*endings, jitter="full", seed=7)
    assert first == waits_of(*endings, jitter="full", seed=7)
    assert first != waits_of(*endings, jitter="full", seed=8)
    assert all(0 < wait < bound for wait, bound in zip(first, EXACT, strict=True))
    assert len(set(first)) == 10


def test_the_waits_are_jittered_unless_told_otherwise() -> None:
    scheduler = NanoScheduler()
    source = Source(lost(), lost(), lost())
    watched = Watched(source.observable().pipe(retry_with_backoff(seed=7)), scheduler)
    scheduler.run()
    assert [wait for _, _, wait in watched.attempts] == waits_of(
        lost(), lost(), lost(), jitter="full", seed=7
    )


def test_waits_that_start_over_come_from_the_same_seed() -> None:
    endings = (lost(), lost(delivered_for=30.0), lost())
    assert waits_of(*endings, jitter="full", seed=7) == waits_of(*endings, jitter="full", seed=7)


def test_every_subscription_draws_the_same_waits_from_a_seed() -> None:
    operator = retry_with_backoff(seed=7)
    waits: list[list[float]] = []
    for _ in range(2):
        scheduler = NanoScheduler()
        watched = Watched(Source(*[lost() for _ in range(5)]).observable().pipe(operator), scheduler)
        scheduler.run()
        waits.append([status.wait for status in watched.statuses])
    assert waits[0] == waits[1]


def test_the_row_of_failures_ends_when_data_has_flowed_long_enough() -> None:
    assert waits_of(lost(), lost(29.9), lost(), lost(30.0), lost()) == [1, 2, 4, 1, 2]


def test_the_row_of_failures_ends_after_stable_for() -> None:
    assert waits_of(lost(), lost(29.9), lost(5), stable_for=timedelta(seconds=5)) == [1, 1, 1]


def test_retries_counts_failures_in_a_row() -> None:
    assert waits_of(lost(), lost(), lost(31), lost(), lost(), retries=2) == [1, 2, 1, 2]


def test_retries_none_is_for_ever() -> None:
    assert waits_of(*[lost() for _ in range(50)], retries=None) == EXACT + [60] * 40


def test_parked_it_keeps_trying_at_the_cap_and_says_so() -> None:
    scheduler = NanoScheduler()
    source = Source(
        *[lost() for _ in range(5)], Throttled("slow", retry_after=90.0), lost(31), lost(), Rejected("no")
    )
    parking = retry_with_backoff(retries=2, park=True, cap=9, seed=1)
    watched = Watched(source.observable().pipe(parking), scheduler)
    scheduler.run()
    said = [(status.state, status.attempt, status.wait) for status in watched.statuses]
    assert [(state, attempt) for state, attempt, _ in said] == [
        ("retrying", 1),
        ("retrying", 2),
        ("parked", 3),
        ("parked", 4),
        ("parked", 5),
        ("parked", 6),
        ("retrying", 1),
        ("retrying", 2),
    ]
    assert [wait for state, _, wait in said if state == "parked"] == [9.0, 9.0, 9.0, 90.0], "no jitter here"
    assert str(watched.errors) == "[Rejected('no')]"


def test_retries_zero_is_never() -> None:
    for error in (lost(), announced()):
        scheduler = NanoScheduler()
        watched = Watched(Source(error).observable().pipe(retry_with_backoff(retries=0)), scheduler)
        assert (watched.errors, watched.statuses) == ([error], [])


def test_base_and_cap_bound_the_waits() -> None:
    assert waits_of(*[lost() for _ in range(5)], base=timedelta(seconds=0.1), cap=0.5) == [
        0.1,
        0.2,
        0.4,
        0.5,
        0.5,
    ]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"base": 0}, "base=0.0"),
        ({"base": 2, "cap": 1}, "base=2.0, cap=1.0"),
        ({"retries": -1}, "retries must not be negative, got -1"),
        ({"base": float("nan")}, "nan"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        retry_with_backoff(**options)


def test_an_announced_close_is_answered_at_once_and_is_no_failure() -> None:
    scheduler = NanoScheduler(5)
    watched = Watched(
        Source(announced(), lost(), lost()).observable().pipe(retry_with_backoff(jitter=None)), scheduler
    )
    scheduler.run()
    assert watched.attempts == [(5, 0, 0.0), (5, 1, 1.0), (5 + SECOND, 2, 2.0)]


def test_an_announced_close_is_answered_at_once_only_once() -> None:
    assert waits_of(lost(), announced(), announced(), announced(1.0), lost()) == [1, 0, 2, 4, 8]


def test_the_courtesy_comes_back_when_data_has_flowed_long_enough() -> None:
    assert waits_of(announced(), announced(), announced(30), announced()) == [0, 1, 0, 1]


def test_an_announced_close_after_the_last_retry_is_the_end() -> None:
    assert waits_of(lost(), announced(), retries=1) == [1]


def test_throttled_waits_at_least_as_long_as_it_was_told() -> None:
    assert waits_of(*[Throttled("slow", retry_after=3.0) for _ in range(4)]) == [3, 3, 4, 8]


@pytest.mark.parametrize("error", [Rejected("no such key"), ValueError("ours"), RtflowError("other")])
def test_what_another_connection_would_not_mend_ends_at_once(error: Exception) -> None:
    scheduler = NanoScheduler()
    source = Source(error)
    watched = Watched(source.observable().pipe(retry_with_backoff()), scheduler)
    scheduler.run()
    assert (watched.errors, watched.statuses, source.story) == ([error], [], ["open", "closed"])


def test_a_rejection_is_never_retried_whatever_on_says() -> None:
    assert waits_of(Rejected("no such key"), on=Exception) == []


def test_on_names_what_is_retried() -> None:
    assert waits_of(OSError(), ValueError(), lost(), on=(OSError, ValueError)) == [1, 2]


def test_ten_thousand_failures_in_a_row_do_not_deepen_the_stack() -> None:
    depths: list[int] = []

    def depth(_: Frame) -> None:
        frame, count = sys._getframe(), 0
        while frame.f_back is not None:
            frame, count = frame.f_back, count + 1
        depths.append(count)

    scheduler = NanoScheduler()
    source = Source(*[lost() for _ in range(10_000)])
    Watched(source.observable().pipe(retry_with_backoff(retries=None)), scheduler, depth)
    scheduler.run()
    assert len(depths) == 10_000
    assert max(depths) - min(depths) < 20


def boom(_: object) -> None:
    raise Disconnected("the subscriber's own")


def test_a_subscriber_that_raises_while_the_source_speaks_at_once_is_not_a_failed_line() -> None:
    scheduler = NanoScheduler()
    opened: list[int] = []

    def subscribe(
        observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        opened.append(1)
        observer.on_next(text(1))
        return Disposable()

    watched = Watched(Observable(subscribe).pipe(retry_with_backoff()), scheduler, boom)
    scheduler.run()
    assert (len(opened), watched.statuses) == (1, [])
    assert [str(error) for error in watched.errors] == ["the subscriber's own"]


def test_a_subscriber_that_raises_lets_its_producer_know() -> None:
    source = Source()
    watched = Watched(source.observable().pipe(retry_with_backoff()), NanoScheduler(), boom)
    with pytest.raises(Disconnected, match="own") as raised:
        source.observer.on_next(text(1))
    source.observer.on_error(raised.value)  # as a source that looks after its subscribers does
    assert (watched.errors, watched.statuses, source.story) == ([raised.value], [], ["open", "closed"])


def test_a_subscriber_that_raises_at_an_announcement_is_told_so_and_nothing_follows() -> None:
    scheduler = NanoScheduler()
    source = Source(lost())
    watched = Watched(source.observable().pipe(retry_with_backoff()), scheduler, boom)
    scheduler.run()
    assert [str(error) for error in watched.errors] == ["the subscriber's own"]
    assert source.story == ["open", "closed"]


def test_dispose_while_connected_closes() -> None:
    source = Source()
    watched = Watched(source.observable().pipe(retry_with_backoff()), NanoScheduler())
    watched.subscription.dispose()
    source.observer.on_next(text(1))
    source.observer.on_error(lost())
    assert (source.story, watched.frames, watched.statuses) == (["open", "closed"], [], [])


def test_dispose_while_waiting_ends_the_wait() -> None:
    scheduler = NanoScheduler()
    source = Source(lost())
    watched = Watched(source.observable().pipe(retry_with_backoff()), scheduler)
    watched.subscription.dispose()
    scheduler.run()
    assert (source.story, scheduler.now_ns) == (["open", "closed"], 0)


@pytest.mark.parametrize("ending", [None, lost()])
def test_dispose_inside_on_next_ends_everything(ending: Exception | None) -> None:
    scheduler = NanoScheduler()
    source = Source(lost(), ending)
    watched = Watched(source.observable().pipe(retry_with_backoff(retries=None)), scheduler)
    scheduler.advance_by(0)
    watched.also = lambda _: watched.subscription.dispose()
    scheduler.advance_by(1)
    if ending is None:
        source.observer.on_next(text(1))
    scheduler.run()
    assert source.story == ["open", "closed"] * 2
    assert len(watched.frames) + len(watched.statuses) == 2


def test_dispose_while_connecting_closes_what_was_opened() -> None:
    scheduler = NanoScheduler()
    closed: list[int] = []
    handle: list[abc.DisposableBase] = []

    def subscribe(
        observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if handle:
            handle[0].dispose()
            observer.on_next(text(2))
        else:
            observer.on_error(lost())
        return Disposable(lambda: closed.append(1))

    watched = Watched(Observable(subscribe).pipe(retry_with_backoff()), scheduler)
    handle.append(watched.subscription)
    scheduler.run()
    assert (closed, watched.frames) == ([1, 1], [])


class Deaf(NanoScheduler):
    """Cannot cancel: as a timer that has begun to run on its own thread."""

    def at(self, due: int, action: Callable[[], object], *, first: bool = False) -> abc.DisposableBase:
        super().at(due, action)
        return Disposable()


def test_a_timer_that_runs_after_dispose_connects_nothing() -> None:
    scheduler = Deaf()
    source = Source(lost())
    watched = Watched(source.observable().pipe(retry_with_backoff()), scheduler)
    watched.subscription.dispose()
    scheduler.run()
    assert source.story == ["open", "closed"]


@pytest.mark.parametrize("given", [None, CurrentThreadScheduler(), ImmediateScheduler()])
def test_without_a_scheduler_that_can_wait_it_waits_on_the_running_line(
    given: abc.SchedulerBase | None,
) -> None:
    scheduler = NanoScheduler()
    source = Source()
    source.observable().pipe(retry_with_backoff(jitter=None)).subscribe(scheduler=given)
    scheduler.at(50, lambda: source.observer.on_error(lost()))
    scheduler.run()
    assert source.story == ["open", "closed", "open"]
    assert scheduler.now_ns == 50 + SECOND


def test_on_a_live_line_it_waits_between_the_lines_own_items() -> None:
    line = Line()
    source = Source(None, None)
    opened = threading.Event()
    original = source.observable()

    def subscribe(
        observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if source.story:
            threads.append(threading.current_thread().name)
            opened.set()
        return original.subscribe(observer, scheduler=scheduler)

    threads: list[str] = []
    subscription = Observable(subscribe).pipe(retry_with_backoff(base=0.001)).subscribe()
    line.at(0, lambda: source.observer.on_error(lost()))
    assert opened.wait(WAIT)
    subscription.dispose()
    assert threads == ["rtflow-line"]
    assert line.join(WAIT)


def test_without_any_line_it_waits_on_the_timeout_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = TestScheduler(initial_clock=100.0)
    monkeypatch.setattr(TimeoutScheduler, "singleton", lambda: stock)
    source = Source(lost())
    frames: list[Frame] = []
    source.observable().pipe(retry_with_backoff(jitter=None)).subscribe(frames.append)
    stock.advance_to(101.5)
    assert source.story == ["open", "closed", "open"]
    assert [frame.ts_recv for frame in frames] == [100 * SECOND]
    assert stock.now == datetime.fromtimestamp(101.5, tz=UTC)


def test_an_error_on_another_thread_while_subscribe_returns_is_taken_once() -> None:
    taken: list[str] = []
    failure = _Failure(lambda error: taken.append(str(error)))
    failure.hold(lost())
    assert taken == []
    failure.let_go()
    failure.let_go()
    assert taken == ["lost"]
    failure.hold(announced())
    assert taken == ["lost", "bye"]


def test_each_subscriber_has_its_own_row_of_failures() -> None:
    scheduler = NanoScheduler()
    retried = Source(*[lost() for _ in range(4)]).observable().pipe(retry_with_backoff(jitter=None))
    watched = [Watched(retried, scheduler), Watched(retried, scheduler)]
    scheduler.run()
    assert [[status.wait for status in each.statuses] for each in watched] == [[1.0, 2.0], [1.0, 2.0]]


def test_what_has_been_normalized_is_refused_before_the_line_is_cut() -> None:
    scheduler = NanoScheduler()
    source = Source()
    watched = Watched(source.observable().pipe(retry_with_backoff()), scheduler)
    source.observer.on_next(text(1))
    event: Any = Status("open", 2)
    source.observer.on_next(event)
    source.observer.on_next(text(3))
    source.observer.on_error(lost())
    scheduler.run()
    assert [str(error) for error in watched.errors] == [
        "retry_with_backoff() takes frames, and this is a Status: put it before op.normalize"
    ]
    assert watched.frames == [text(1)]
    assert source.story == ["open", "closed"]
