"""backfill: repaired first and then live, each event once, and a hole that stays is labelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.errors import Disconnected
from rtflow.events import Bar, Event, Frame, FrameKind, Gap, Quote, Status, Trade
from rtflow.operators._backfill import backfill
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.scheduler import Inlet, Line, NanoScheduler
from rtflow.time import SECOND

WAIT = 10.0  # seconds a thread may take before the test fails


def trade(number: int, at: int | None = None) -> Trade:
    stamp = number if at is None else at
    return Trade("A", stamp, stamp, 1.0, 1.0, id=str(number), venue="v")


OPEN = Gap(2, None, 1, 3, "the line is lost", "v")
CLOSED = Gap(2, 6, 1, 6, "the line is lost", "v")


def filled(count: int, gap: Gap = CLOSED) -> Gap:
    return Gap(gap.ts_start, gap.ts_end, gap.epoch, gap.ts_recv, gap.reason, gap.venue, filled=count)


def unfilled(why: str) -> Gap:
    return Gap(2, 6, 1, 6, f"the line is lost; not filled: {why}", "v")


def seen(
    events: Iterable[Event], fetch: Callable[[Gap], Iterable[Event]], **options: Any
) -> tuple[list[Any], Counters]:
    """What comes out where no line runs, with the error or "|" at the end."""
    got, counters = list[Any](), Counters()
    reactivex.from_iterable(events).pipe(backfill(fetch, counters=counters, **options)).subscribe(
        got.append, got.append, lambda: got.append("|")
    )
    return got, counters


def test_what_was_missing_comes_behind_its_gap_in_order_and_once() -> None:
    asked: list[Gap] = []

    def history(gap: Gap) -> Iterator[Event]:
        asked.append(gap)
        yield from (trade(5), trade(3), trade(4), trade(2), trade(6))

    got, counters = seen([trade(1), trade(2), OPEN, CLOSED, trade(6), trade(7)], history)
    assert got == [
        *(trade(1), trade(2), OPEN),
        *(filled(4), trade(3), trade(4), trade(5), trade(6)),
        *(trade(7), "|"),
    ], "the live sixth had been fetched already"
    assert asked == [CLOSED], "the open one has no end to ask for"
    assert counters == {"filled": 1, "backfilled": 4, "duplicate": 2}


def test_nothing_found_is_a_gap_with_nothing_in_it() -> None:
    assert seen([CLOSED, trade(7)], lambda gap: ())[0] == [filled(0), trade(7), "|"]


def test_a_fetch_that_raises_leaves_the_gap_labelled() -> None:
    def broken(gap: Gap) -> Iterator[Event]:
        yield trade(3)
        raise OSError("the database is down")

    got, counters = seen([CLOSED, trade(7)], broken)
    assert got == [unfilled("the database is down"), trade(7), "|"], "all of it, or none"
    assert counters == {"unfilled": 1}
    assert seen([CLOSED], lambda gap: [][0])[0][0] == unfilled("list index out of range")
    bare = Gap(2, 6, 1, 6)
    (said, _), _ = seen([bare], _raise)
    assert said.reason == "not filled: ZeroDivisionError"


def _raise(gap: Gap) -> Iterable[Event]:
    raise ZeroDivisionError


def test_a_filled_gap_is_no_hole_in_a_bar() -> None:
    closed = Gap(2, SECOND // 2, 1, SECOND // 2, "the line is lost", "v")
    events: list[Event] = [trade(1, SECOND // 4), OPEN, closed]

    def bar(fetch: Callable[[Gap], Iterable[Event]]) -> Bar:
        got: list[Bar] = []
        source: Observable[Event] = reactivex.from_iterable([*events, trade(9, 2 * SECOND)])
        source.pipe(backfill(fetch), window_to_bar(1)).subscribe(got.append)
        return got[0]

    assert bar(_raise).gap
    mended = bar(lambda gap: [trade(2, SECOND // 3)])
    assert (mended.gap, mended.count) == (False, 2)


@pytest.mark.parametrize(
    ("options", "error"), [({"within": 0}, "within must be more"), ({"capacity": 0}, "capacity must be 1")]
)
def test_options_of_nothing_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        backfill(lambda gap: (), **options)


def test_an_error_of_the_stream_ends_it_at_once() -> None:
    error = Disconnected("gone")
    source = reactivex.concat(reactivex.of(CLOSED, trade(7)), reactivex.throw(error))
    got: list[Any] = []
    source.pipe(backfill(lambda gap: ())).subscribe(got.append, got.append)
    assert got == [filled(0), trade(7), error]


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, CLOSED), ReactiveTest.on_next(220, trade(7)), ReactiveTest.on_completed(230)
    )
    got = scheduler.start(lambda: source.pipe(backfill(lambda gap: [trade(3)])))
    assert got.messages == [
        ReactiveTest.on_next(210, filled(1)),
        ReactiveTest.on_next(210, trade(3)),
        ReactiveTest.on_next(220, trade(7)),
        ReactiveTest.on_completed(230),
    ]


def test_in_virtual_time_it_is_filled_in_place() -> None:
    scheduler, source, got = NanoScheduler(), Subject[Event](), list[tuple[int, Event]]()
    source.pipe(backfill(lambda gap: [trade(3)])).subscribe(
        lambda event: got.append((scheduler.now_ns, event)), scheduler=scheduler
    )
    scheduler.at(5, lambda: source.on_next(CLOSED))
    scheduler.run()
    assert got == [(5, filled(1)), (5, trade(3))]


@given(st.sets(st.integers(1, 30)), st.integers(1, 29), st.integers(1, 10), st.sets(st.integers(1, 40)))
def test_every_trade_that_anyone_has_comes_once_and_in_order(
    made: set[int], start: int, length: int, known: set[int]
) -> None:
    """Live trades with a hole in them, and a history that knows some: and all of it comes out."""
    end = start + length
    live = [trade(number) for number in sorted(made) if not start < number < end]
    gap = Gap(start, end, 1, end, "lost", "v")
    events: list[Event] = [*(each for each in live if each.ts_recv <= start), gap]
    events += [each for each in live if each.ts_recv >= end]
    history = [trade(number) for number in known if start < number < end]
    got, counters = seen(events, lambda _: history)
    numbers = [int(each.id) for each in got if isinstance(each, Trade)]
    assert numbers == sorted({int(each.id) for each in (*live, *history)})
    assert counters["backfilled"] == len(history)


# -- on a line, where fetch has a thread of its own


class Desk:
    """A line, a way in, and a history that waits until it is let go."""

    def __init__(self, fetch: Callable[[Gap], Iterable[Event]], **options: Any) -> None:
        self.now = 0
        self.line = Line(clock=self.tick)
        self.source = Subject[Event]()
        self.inlet: Inlet[Callable[[], object]] = self.line.inlet(lambda act: act())
        self.counters = Counters()
        self.got: list[Any] = []
        self._fetch = fetch
        self.go, self.asked = threading.Event(), threading.Event()
        self.threads: set[str] = set()
        self._changed = threading.Condition()
        filling = backfill(self.fetch, counters=self.counters, **options)
        piped: Observable[Event] = self.source.pipe(filling)
        self.subscription: abc.DisposableBase = piped.subscribe(self.note, self.note, partial(self.note, "|"))

    def tick(self) -> int:
        """A clock that goes on by itself, a nanosecond each time somebody looks."""
        self.now += 1
        return self.now

    def fetch(self, gap: Gap) -> Iterable[Event]:
        self.threads.add(threading.current_thread().name)
        self.asked.set()
        assert self.go.wait(WAIT)
        return self._fetch(gap)

    def note(self, item: Any) -> None:
        with self._changed:
            self.threads.add(threading.current_thread().name)
            self.got.append(item)
            self._changed.notify_all()

    def say(self, *events: Event) -> None:
        for event in events:
            self.act(partial(self.source.on_next, event))

    def act(self, action: Callable[[], object]) -> None:
        self.inlet.stamp()
        self.inlet.put([action])

    def until(self, *items: Any) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= len(items), WAIT), self.got
            assert self.got == [*items]

    def settle(self) -> None:
        """Until everything said so far was heard."""
        heard = threading.Event()
        self.act(heard.set)
        assert heard.wait(WAIT)

    def close(self) -> None:
        self.go.set()
        self.subscription.dispose()
        self.inlet.close()
        assert self.line.join(WAIT)
        for thread in threading.enumerate():
            if thread.name == "rtflow-backfill":
                thread.join(WAIT)


def desk(fetch: Callable[[Gap], Iterable[Event]], **options: Any) -> Desk:
    return Desk(fetch, **options)


def test_what_comes_meanwhile_is_held_back_and_the_line_does_not_wait() -> None:
    place = desk(lambda gap: [trade(3), trade(7)])
    place.say(trade(1), OPEN, CLOSED, trade(7), trade(8))
    place.settle()
    assert place.got == [trade(1), OPEN]
    place.go.set()
    place.until(trade(1), OPEN, filled(2), trade(3), trade(7), trade(8))
    place.say(trade(9))
    place.settle()
    assert place.got[-1] == trade(9)
    assert place.threads == {"rtflow-backfill", "rtflow-line"}
    place.close()


def test_a_second_gap_waits_for_the_first() -> None:
    later = Gap(8, 10, 2, 10, "again", "v")
    place = desk(lambda gap: [trade(3)] if gap == CLOSED else [trade(9)])
    place.say(CLOSED, trade(7), later, trade(10))
    place.go.set()
    place.until(filled(1), trade(3), trade(7), filled(1, later), trade(9), trade(10))
    place.close()


def test_what_takes_too_long_is_let_go_when_it_comes() -> None:
    place = desk(lambda gap: [trade(3)], within=5.0)
    place.say(CLOSED, trade(7))
    assert place.asked.wait(WAIT)
    place.now = 5 * SECOND
    place.act(lambda: None)
    place.until(unfilled("nothing came within 5 s"), trade(7))
    place.go.set()
    place.close()
    assert len(place.got) == 2
    assert place.counters == {"unfilled": 1}


def test_too_much_held_back_is_released() -> None:
    place = desk(lambda gap: [trade(3)], capacity=2)
    place.say(CLOSED, trade(7), trade(8))
    place.settle()
    assert place.got == []
    place.say(trade(9))
    place.until(unfilled("2 events waited for it"), trade(7), trade(8), trade(9))
    place.close()
    assert len(place.got) == 4


def test_the_end_of_the_stream_waits_for_the_history_and_an_error_does_not() -> None:
    place = desk(lambda gap: [trade(3)])
    place.say(CLOSED, trade(7))
    place.act(place.source.on_completed)
    place.settle()
    assert place.got == []
    place.go.set()
    place.until(filled(1), trade(3), trade(7), "|")
    place.close()

    place, error = desk(lambda gap: [trade(3)]), Disconnected("gone")
    place.say(CLOSED, trade(7))
    place.act(lambda: place.source.on_error(error))
    place.until(unfilled("the stream ended"), trade(7), error)
    place.close()


def test_who_has_left_gets_nothing_more() -> None:
    place = desk(lambda gap: [trade(3)])
    place.say(CLOSED, trade(7))
    assert place.asked.wait(WAIT)
    place.act(place.subscription.dispose)
    place.settle()
    place.close()
    assert place.got == []


def test_other_events_pass_and_are_never_taken_for_repeated() -> None:
    quote, status = Quote("A", 1, 1, 1.0, 1.0, 2.0, 1.0), Status("heartbeat", 1)
    events: list[Event] = [quote, quote, status, status]
    assert seen(events, lambda gap: ())[0] == [*events, "|"]


@pytest.mark.parametrize("found", [Frame(FrameKind.TEXT, b"{}", 3), Columns.of([trade(3)])])
def test_a_history_of_what_are_no_events_leaves_the_gap_labelled(found: Any) -> None:
    counters = Counters()
    (gap,) = reactivex.of(CLOSED).pipe(backfill(lambda _: [found], counters=counters), ops.to_list()).run()
    assert isinstance(gap, Gap)
    assert gap.filled is None
    assert "; not filled: " in gap.reason
    assert counters == {"unfilled": 1}


def test_a_batch_ends_the_stream_and_not_its_source() -> None:
    failed: list[Exception] = []
    batch: Any = Columns.of([trade(3)])
    reactivex.of(batch).pipe(backfill(lambda _: ())).subscribe(on_error=failed.append)
    assert [type(error) for error in failed] == [TypeError]


def test_history_is_a_function() -> None:
    with pytest.raises(TypeError, match=r"backfill\(\) takes a function of a Gap, not 5"):
        backfill(5)  # type: ignore[arg-type]
