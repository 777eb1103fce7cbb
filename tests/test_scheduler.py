"""One rule for live, replay and tests: timers due before an item run before it, at their due time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rtflow.scheduler import Inlet, Line, NanoScheduler, NanoTimers, report, running, running_line, wait


class FakeClock:
    """A clock that a test turns by hand."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Log(list[tuple[int, str]]):
    """What ran, and when it thought it was."""

    def say(self, scheduler: NanoTimers, what: str) -> None:
        self.append((scheduler.now_ns, what))

    def saying(self, scheduler: NanoTimers, what: str) -> Callable[[], None]:
        return partial(self.say, scheduler, what)


# -- the running line --------------------------------------------------------------------------------------


def test_there_is_no_running_line_outside() -> None:
    assert running_line() is None


def test_the_running_line_is_the_innermost_and_comes_back() -> None:
    outer, inner = NanoScheduler(), NanoScheduler()
    with running(outer):
        with contextlib.suppress(ZeroDivisionError), running(inner):
            assert running_line() is inner
            raise ZeroDivisionError
        assert running_line() is outer
    assert running_line() is None


def test_virtual_time_is_the_running_line_while_it_advances() -> None:
    scheduler = NanoScheduler()
    seen: list[NanoTimers | None] = []
    scheduler.at(1, lambda: seen.append(running_line()))
    scheduler.advance_to(1)
    assert seen == [scheduler]


# -- NanoScheduler -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 20)))
def test_timers_run_in_due_order_and_ties_in_order_of_scheduling(dues: list[int]) -> None:
    scheduler, ran = NanoScheduler(), list[tuple[int, int]]()
    for order, due in enumerate(dues):
        scheduler.at(due, partial(lambda due, order: ran.append((due, order)), due, order))
    scheduler.advance_to(20)
    assert ran == sorted((due, order) for order, due in enumerate(dues))


def test_a_timer_is_given_its_due_time_to_the_nanosecond() -> None:
    scheduler, log = NanoScheduler(), Log()
    start = 1_790_358_506_844_359_566
    for due in (start + 1, start, start + 2):
        scheduler.at(due, log.saying(scheduler, "timer"))
    scheduler.advance_to(start + 1)
    assert log == [(start, "timer"), (start + 1, "timer")]
    assert scheduler.now_ns == start + 1


def test_ten_thousand_actions_at_one_instant_do_not_move_the_clock() -> None:
    scheduler, left = NanoScheduler(5), [10_000]

    def again(_: abc.SchedulerBase, __: object = None) -> None:
        left[0] -= 1
        if left[0]:
            scheduler.schedule(again)

    scheduler.schedule(again)
    scheduler.run()
    assert (left, scheduler.now_ns) == ([0], 5)


def test_data_goes_before_what_is_due_at_the_same_instant() -> None:
    scheduler, log = NanoScheduler(), Log()
    scheduler.at(9, log.saying(scheduler, "before"))
    scheduler.at(10, log.saying(scheduler, "same instant"))
    scheduler.advance_to(10, inclusive=False)
    log.say(scheduler, "data")
    scheduler.advance_to(10)
    assert log == [(9, "before"), (10, "data"), (10, "same instant")]


def test_the_clock_never_goes_back() -> None:
    scheduler, log = NanoScheduler(100), Log()
    scheduler.at(40, log.saying(scheduler, "overdue"))
    scheduler.advance_to(50)
    assert log == [(100, "overdue")]
    assert scheduler.now_ns == 100


def test_what_an_action_schedules_on_the_way_runs_on_the_way() -> None:
    scheduler, log = NanoScheduler(), Log()
    scheduler.at(1, lambda: scheduler.at(2, log.saying(scheduler, "second")))
    scheduler.advance_to(3)
    assert log == [(2, "second")]


def test_reactivex_speaks_seconds_timedeltas_and_datetimes() -> None:
    scheduler, log = NanoScheduler(), Log()

    def act(_: abc.SchedulerBase, state: str | None) -> None:
        log.say(scheduler, state or "")

    scheduler.schedule_relative(1.5, act, "relative seconds")
    scheduler.schedule_relative(timedelta(seconds=2), act, "relative timedelta")
    scheduler.schedule_relative(-1, act, "in the past")
    scheduler.schedule_absolute(3.0, act, "absolute seconds")
    scheduler.schedule_absolute(datetime(1970, 1, 1, 0, 0, 4, tzinfo=UTC), act, "absolute datetime")
    scheduler.run()
    assert log == [
        (0, "in the past"),
        (1_500_000_000, "relative seconds"),
        (2_000_000_000, "relative timedelta"),
        (3_000_000_000, "absolute seconds"),
        (4_000_000_000, "absolute datetime"),
    ]
    assert scheduler.now == datetime(1970, 1, 1, 0, 0, 4, tzinfo=UTC)


def test_a_disposed_action_does_not_run_nor_what_it_scheduled() -> None:
    scheduler, log = NanoScheduler(), Log()

    def outer(_: abc.SchedulerBase, __: object = None) -> abc.DisposableBase:
        return scheduler.schedule_relative(1, lambda *_: log.say(scheduler, "inner"))

    first = scheduler.schedule(outer)
    second = scheduler.schedule(lambda *_: log.say(scheduler, "second"))
    second.dispose()
    scheduler.advance_by(0.5)
    first.dispose()
    scheduler.run()
    assert log == []


def test_disposing_a_timer_twice_or_after_it_ran_is_harmless() -> None:
    scheduler, log = NanoScheduler(), Log()
    ran = scheduler.at(1, log.saying(scheduler, "ran"))
    scheduler.at(1, lambda: ran.dispose())
    twice = scheduler.at(2, log.saying(scheduler, "never"))
    twice.dispose()
    twice.dispose()
    scheduler.run()
    assert log == [(1, "ran")]


def test_cancelled_timers_do_not_pile_up() -> None:
    scheduler = NanoScheduler()
    keep = scheduler.at(10**9, lambda: None)
    for due in range(10_000):
        scheduler.at(2 * 10**9 + due, lambda: None).dispose()
    assert len(scheduler._timers) < 200
    assert isinstance(keep, Disposable)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=300))
def test_exactly_the_timers_not_cancelled_run(plan: list[tuple[int, bool]]) -> None:
    scheduler, ran = NanoScheduler(), list[int]()
    handles = [(scheduler.at(due, partial(ran.append, due)), cancel) for due, cancel in plan]
    for handle, cancel in handles:
        if cancel:
            handle.dispose()
    scheduler.run()
    assert ran == sorted(due for due, cancel in plan if not cancel)


def test_reactivex_operators_run_on_it() -> None:
    scheduler, seen = NanoScheduler(), list[tuple[int, int]]()
    reactivex.interval(0.000_001, scheduler=scheduler).pipe(ops.take(3)).subscribe(
        lambda n: seen.append((scheduler.now_ns, n)), scheduler=scheduler
    )
    scheduler.run()
    assert seen == [(1_000, 0), (2_000, 1), (3_000, 2)]


def test_the_shared_clock_is_told_what_it_is_by_its_heirs() -> None:
    assert NanoScheduler(7).now_ns == 7


# -- Line --------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000)


@pytest.fixture
def line(clock: FakeClock) -> Iterator[Line]:
    line = Line(clock=clock)
    yield line
    for inlet in list(line._inlets):
        inlet.close()
    assert line._wait_for_the_end(2.0), "the line's thread did not end"


class Gate:
    """Lets a test wait until the line got somewhere."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self, *_: object) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(5.0), "the line never got there"


def ignore(_: str) -> None:
    """A subscriber that does not care."""


def both(*actions: Callable[[], object]) -> Callable[[], None]:
    """One after the other."""

    def act() -> None:
        for action in actions:
            action()

    return act


def put(inlet: Inlet[str], clock: FakeClock, stamp: int, *items: str) -> int:
    clock.now = stamp
    assert inlet.stamp() == stamp
    return inlet.put(items)


def test_a_line_without_work_has_no_thread(line: Line) -> None:
    assert line.join(0)
    assert line._thread is None


def test_items_arrive_on_the_line_with_their_stamp_as_the_time(line: Line, clock: FakeClock) -> None:
    log, done = Log(), Gate()

    def deliver(item: str) -> None:
        assert running_line() is line
        log.say(line, item)
        if item == "c":
            done.open()

    inlet = line.inlet(deliver)
    put(inlet, clock, 1001, "a", "b")
    put(inlet, clock, 1005, "c")
    done.wait()
    assert log == [(1001, "a"), (1001, "b"), (1005, "c")]


def test_timers_due_before_an_item_run_before_it_and_those_due_with_it_after(
    line: Line, clock: FakeClock
) -> None:
    log, done = Log(), Gate()

    def deliver(item: str) -> None:
        log.say(line, item)
        if item == "first":
            line.at(1010, log.saying(line, "timer 1010"))
            line.at(1009, log.saying(line, "timer 1009"))
            line.at(1020, done.open)

    inlet = line.inlet(deliver)
    put(inlet, clock, 1000, "first")
    put(inlet, clock, 1010, "data 1010")
    put(inlet, clock, 1030, "data 1030")
    done.wait()
    assert log[:4] == [(1000, "first"), (1009, "timer 1009"), (1010, "data 1010"), (1010, "timer 1010")]


def test_a_timer_waits_for_the_reader_that_holds_an_earlier_stamp(line: Line, clock: FakeClock) -> None:
    log, timer_ran, data_came = Log(), Gate(), Gate()

    def deliver(item: str) -> None:
        log.say(line, item)
        data_came.open()

    inlet = line.inlet(deliver)
    clock.now = 1004
    inlet.stamp()  # read at 1004, not yet split into items
    clock.now = 2000
    line.at(1005, both(log.saying(line, "timer"), timer_ran.open))
    inlet.put(["data"])
    timer_ran.wait()
    data_came.wait()
    assert log == [(1004, "data"), (1005, "timer")]


def test_an_overdue_timer_runs_in_the_middle_of_a_batch_but_time_does_not_go_back(
    line: Line, clock: FakeClock
) -> None:
    log, done = Log(), Gate()

    def deliver(item: str) -> None:
        log.say(line, item)
        if item == "a":
            line.at(5, log.saying(line, "overdue"))
        else:
            done.open()

    put(line.inlet(deliver), clock, 1001, "a", "b")
    done.wait()
    assert log == [(1001, "a"), (1001, "overdue"), (1001, "b")]


def test_two_readers_merge_in_the_order_of_their_stamps(line: Line, clock: FakeClock) -> None:
    log, blocked, release, done = Log(), Gate(), Gate(), Gate()

    def hold(_: str) -> None:
        blocked.open()
        release.wait()

    def deliver(item: str) -> None:
        log.say(line, item)
        if item == "1005":
            done.open()

    first, second = line.inlet(deliver), line.inlet(deliver)
    put(line.inlet(hold), clock, 1000, "hold")
    blocked.wait()
    clock.now = 1003
    first.stamp()
    put(second, clock, 1004, "1004")
    first.put(["1003"])
    put(first, clock, 1004, "1004 too")
    put(second, clock, 1005, "1005")
    release.open()
    done.wait()
    assert [what for _, what in log] == ["1003", "1004", "1004 too", "1005"]


def test_a_stamp_never_goes_back_even_if_the_clock_does(line: Line, clock: FakeClock) -> None:
    inlet = line.inlet(ignore)
    clock.now = 2000
    assert inlet.stamp() == 2000
    inlet.put([])
    clock.now = 1500
    assert inlet.stamp() == 2000
    inlet.put([])


def test_after_the_clock_was_set_back_time_goes_on_at_half_its_speed_until_it_has_caught_up(
    line: Line, clock: FakeClock
) -> None:
    readings = []
    for clock.now in (2000, 1000, 1400, 1300, 900, 1700, 1699, 3000, 3500, 2900, 3600):
        readings.append(line.now_ns)
    assert readings == [2000, 2000, 2200, 2200, 2200, 2600, 2600, 3000, 3500, 3500, 3600]


def test_a_clock_that_jitters_does_not_run_away(line: Line, clock: FakeClock) -> None:
    for _ in range(1000):
        for clock.now in (2000, 1990):
            assert line.now_ns == 2000


def test_what_does_not_fit_is_refused_and_room_comes_back(line: Line, clock: FakeClock) -> None:
    blocked, release, done, got = Gate(), Gate(), Gate(), list[str]()

    def deliver(item: str) -> None:
        got.append(item)
        blocked.open()
        release.wait()
        if item == "must":
            done.open()

    inlet = line.inlet(deliver, capacity=2)
    assert put(inlet, clock, 1001, "a") == 1
    blocked.wait()
    assert put(inlet, clock, 1002, "b", "c") == 1
    assert put(inlet, clock, 1003, "d") == 0
    clock.now = 1004
    inlet.stamp()
    assert inlet.put(["must"], even_if_full=True) == 1
    release.open()
    done.wait()
    assert got == ["a", "b", "must"]


def test_put_without_a_stamp_is_the_callers_mistake(line: Line) -> None:
    inlet = line.inlet(ignore)
    with pytest.raises(RuntimeError, match=r"stamp\(\)"):
        inlet.put(["a"])


def test_nothing_is_delivered_after_close_not_even_the_rest_of_a_batch(line: Line, clock: FakeClock) -> None:
    got = list[str]()

    def deliver(item: str) -> None:
        got.append(item)
        inlet.close()

    inlet = line.inlet(deliver)
    put(inlet, clock, 1001, "a", "b")
    assert line.join(5.0)
    assert got == ["a"]
    inlet.stamp()
    assert inlet.put(["c"]) == 0
    inlet.close()


def test_the_thread_ends_by_itself_and_comes_back_with_new_work(line: Line, clock: FakeClock) -> None:
    first, second = Gate(), Gate()
    line.at(900, first.open)
    first.wait()
    assert line.join(5.0)
    line.at(900, second.open)
    second.wait()


def test_cancelling_the_last_timer_lets_the_thread_end(line: Line) -> None:
    handle = line.at(10**18, lambda: None)
    assert not line.join(0)
    handle.dispose()
    assert line.join(5.0)


def test_an_exception_of_a_timer_is_reported_and_the_line_lives_on(
    line: Line, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, after = list[type[BaseException]](), Gate()
    monkeypatch.setattr(threading, "excepthook", lambda report: reported.append(report.exc_type))
    inlet: Inlet[str] = line.inlet(after.open)
    line.at(999, lambda: [][0])
    put(inlet, clock, 1001, "after")
    after.wait()
    assert reported == [IndexError]


def test_who_joins_is_told_of_the_last_exception_nobody_handled(
    line: Line, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = list[BaseException | None]()
    monkeypatch.setattr(threading, "excepthook", lambda report: reported.append(report.exc_value))
    errors = {name: ZeroDivisionError(name) for name in ("first", "last")}
    done = Gate()

    def deliver(name: str) -> None:
        if name == "done":
            done.open()
            return
        for _ in range(3):
            report(errors[name])
        raise errors[name]

    inlet = line.inlet(deliver)
    put(inlet, clock, 1001, "first", "last", "done")
    done.wait()
    inlet.close()
    with pytest.raises(ZeroDivisionError, match="last"):
        line.join(5.0)
    assert reported == [*errors.values()], "one exception that several hear of is printed once"
    assert line.join(5.0), "and it is raised once"


def test_a_wait_ends_by_what_it_waits_for_or_by_its_time() -> None:
    event = threading.Event()
    assert wait(event, 0.0) is False
    assert wait(event, 0.25) is False, "longer than it goes without an ear for Ctrl-C"
    threading.Timer(0.25, event.set).start()
    assert wait(event) is True
    assert wait(event, 0.0) is True


def test_off_the_line_it_is_only_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = list[BaseException | None]()
    monkeypatch.setattr(threading, "excepthook", lambda report: reported.append(report.exc_value))
    error = ZeroDivisionError()
    report(error)
    assert reported == [error]


def test_an_exception_of_a_timer_in_the_middle_of_a_batch_loses_no_item(
    line: Line, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, done, got = list[type[BaseException]](), Gate(), list[str]()
    monkeypatch.setattr(threading, "excepthook", lambda report: reported.append(report.exc_type))

    def deliver(item: str) -> None:
        got.append(item)
        if item == "a":
            line.at(5, lambda: [][0])
        elif item == "b":
            raise ZeroDivisionError
        else:
            done.open()

    put(line.inlet(deliver), clock, 1001, "a", "b", "c")
    done.wait()
    assert got == ["a", "b", "c"]
    assert reported == [IndexError, ZeroDivisionError]


def test_the_time_elsewhere_is_the_clocks(line: Line, clock: FakeClock) -> None:
    clock.now = 1234
    assert line.now_ns == 1234


def test_the_line_does_not_wait_for_itself(line: Line, clock: FakeClock) -> None:
    answers, done = list[bool](), Gate()
    line.at(900, both(lambda: answers.append(line.join(0)), done.open))
    done.wait()
    assert answers == [True]


def test_on_the_real_clock_a_timer_comes_in_time() -> None:
    line, done = Line(), Gate()
    due = time.time_ns() + 5_000_000
    stamps = list[int]()
    line.at(due, both(lambda: stamps.append(line.now_ns), done.open))
    done.wait()
    assert stamps == [due]
    assert line.join(5.0)
