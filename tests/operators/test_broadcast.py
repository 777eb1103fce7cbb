"""broadcast: one source, many subscribers, none of whom can hurt another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.events import Event, Frame, FrameKind, Status, Trade
from rtflow.operators._broadcast import _Broadcast, _Run, _Subscriber, broadcast
from rtflow.scheduler import NanoScheduler

WAIT = 10.0  # seconds a thread may take before the test fails


class Source:
    """A source that the test speaks through, and that knows who has come and gone."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.observer: abc.ObserverBase[Any] = Subject()
        self.schedulers: list[abc.SchedulerBase | None] = []
        self.on_dispose: Callable[[], None] = lambda: None

    def observable(self) -> Observable[Any]:
        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            self.story.append("came")
            self.observer = observer
            self.schedulers.append(scheduler)
            return Disposable(self._left)

        return Observable(subscribe)

    def _left(self) -> None:
        self.story.append("leaving")
        self.on_dispose()
        self.story.append("left")


def boom(_: object) -> None:
    raise ValueError("boom")


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    errors: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: errors.append(arguments.exc_value))
    return errors


def test_everyone_gets_everything_over_one_subscription() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    a: list[int] = []
    b: list[int] = []
    leave_a = shared.subscribe(a.append)
    source.observer.on_next(1)
    leave_b = shared.subscribe(b.append)
    source.observer.on_next(2)
    leave_a.dispose()
    source.observer.on_next(3)
    assert source.story == ["came"]
    leave_b.dispose()
    assert source.story == ["came", "leaving", "left"]
    assert (a, b) == ([1, 2], [2, 3])


def test_who_comes_after_the_last_left_begins_anew() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    shared.subscribe().dispose()
    got: list[int] = []
    shared.subscribe(got.append)
    source.observer.on_next(1)
    assert source.story == ["came", "leaving", "left", "came"]
    assert got == [1]


def test_the_source_is_subscribed_on_the_first_subscribers_scheduler() -> None:
    source = Source()
    scheduler = NanoScheduler()
    shared = source.observable().pipe(broadcast())
    shared.subscribe(scheduler=scheduler)
    shared.subscribe(scheduler=NanoScheduler())
    assert source.schedulers == [scheduler]


def test_a_subscriber_that_raises_hurts_itself_only() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    before: list[int] = []
    after: list[int] = []
    errors: list[Exception] = []
    shared.subscribe(before.append)
    shared.subscribe(boom, errors.append)
    shared.subscribe(after.append)
    source.observer.on_next(1)
    source.observer.on_next(2)
    assert [str(error) for error in errors] == ["boom"]
    assert before == after == [1, 2]


def test_the_only_subscriber_raising_gives_up_the_source() -> None:
    source = Source()
    errors: list[Exception] = []
    source.observable().pipe(broadcast()).subscribe(boom, errors.append)
    source.observer.on_next(1)
    assert [type(error) for error in errors] == [ValueError]
    assert source.story == ["came", "leaving", "left"]


def test_a_subscriber_that_raises_and_has_no_on_error_is_reported(
    reported: list[BaseException | None],
) -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    got: list[int] = []
    shared.subscribe(boom)
    shared.subscribe(got.append)
    source.observer.on_next(1)
    source.observer.on_next(2)
    assert [str(error) for error in reported] == ["boom"]
    assert got == [1, 2]


def test_error_and_completion_go_to_all(reported: list[BaseException | None]) -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    told: list[str] = []
    shared.subscribe(on_error=boom)
    shared.subscribe(on_error=lambda error: told.append(str(error)))
    source.observer.on_error(RuntimeError("over"))
    assert told == ["over"]
    assert [str(error) for error in reported] == ["boom"]
    shared.subscribe(on_completed=lambda: told.append("done a"))
    shared.subscribe(on_completed=lambda: told.append("done b"))
    source.observer.on_completed()
    assert told == ["over", "done a", "done b"]
    assert source.story == ["came", "leaving", "left"] * 2


def test_who_comes_when_told_of_the_end_begins_anew() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    got: list[int] = []

    def begin_anew() -> None:
        shared.subscribe(got.append)

    shared.subscribe(on_completed=begin_anew)
    source.observer.on_completed()
    source.observer.on_next(1)
    assert source.story == ["came", "leaving", "left", "came"]
    assert got == [1]


def test_a_source_that_ends_while_being_subscribed_is_told_and_left() -> None:
    shared = reactivex.of(1, 2).pipe(broadcast())
    for _ in range(2):
        got: list[int] = []
        shared.subscribe(got.append, on_completed=lambda got=got: got.append(0))  # type: ignore[misc]
        assert got == [1, 2, 0]


def test_who_leaves_inside_on_next_gets_nothing_more_and_the_others_do() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    a: list[int] = []
    b: list[int] = []
    leave_b: list[abc.DisposableBase] = []

    def first(item: int) -> None:
        a.append(item)
        leave_b[0].dispose()

    shared.subscribe(first)
    leave_b.append(shared.subscribe(b.append))
    source.observer.on_next(1)
    source.observer.on_next(2)
    assert (a, b) == ([1, 2], [])


def test_who_leaves_inside_the_first_item_of_a_source_that_speaks_at_once_is_gone() -> None:
    left: list[str] = []

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        observer.on_next(1)
        observer.on_next(2)
        observer.on_completed()
        return Disposable(lambda: left.append("left"))

    got: list[int] = []

    def once(item: int) -> None:
        got.append(item)
        raise ValueError

    Observable(subscribe).pipe(broadcast()).subscribe(once, lambda _: None)
    assert (got, left) == ([1], ["left"])


def test_who_comes_inside_on_next_gets_the_next_item_on() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    late: list[int] = []

    def first(item: int) -> None:
        if item == 1:
            shared.subscribe(late.append)

    shared.subscribe(first)
    source.observer.on_next(1)
    source.observer.on_next(2)
    assert late == [2]


OPEN = Frame(FrameKind.OPEN, b"wss://venue", 1)
TEXT = Frame(FrameKind.TEXT, b"1", 2)
CLOSE = Frame(FrameKind.CLOSE, b"{}", 3)
AGAIN = Frame(FrameKind.OPEN, b"wss://venue", 4, 2)
OPENED, HEARTBEAT, CLOSED = Status("open", 1), Status("heartbeat", 2), Status("closed", 3)
TRADE = Trade("A", 2, 2, 1.0, 1.0)


@pytest.mark.parametrize(
    ("items", "first"),
    [
        ([], []),
        ([TEXT], []),
        ([OPEN, TEXT], [OPEN]),
        ([OPEN, TEXT, CLOSE], []),
        ([OPEN, CLOSE, AGAIN], [AGAIN]),
        ([OPEN, AGAIN], [AGAIN]),
        ([OPENED, TRADE, HEARTBEAT], [OPENED]),
        ([OPENED, CLOSED, HEARTBEAT], []),
    ],
)
def test_who_comes_late_is_first_told_how_the_connection_opened(items: list[Any], first: list[Any]) -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    shared.subscribe()
    for item in items:
        source.observer.on_next(item)
    got: list[Any] = []
    shared.subscribe(got.append)
    assert got == first
    source.observer.on_next(TRADE)
    assert got == [*first, TRADE]


def test_a_new_run_knows_nothing_of_the_last_ones_connection() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    leave = shared.subscribe()
    source.observer.on_next(OPEN)
    leave.dispose()
    got: list[Frame] = []
    shared.subscribe(got.append)
    assert got == []


def test_who_raises_at_the_opening_is_removed_like_any_other() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    got: list[Frame] = []
    shared.subscribe(got.append)
    source.observer.on_next(OPEN)
    errors: list[Exception] = []
    shared.subscribe(boom, errors.append)
    source.observer.on_next(TEXT)
    assert [type(error) for error in errors] == [ValueError]
    assert got == [OPEN, TEXT]


def test_what_comes_while_the_opening_is_told_waits_its_turn() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    shared.subscribe()
    source.observer.on_next(OPEN)
    told: list[str] = []

    def slow(frame: Frame) -> None:
        if frame is OPEN:
            for each in (lambda: source.observer.on_next(TEXT), source.observer.on_completed):
                thread = threading.Thread(target=each)
                thread.start()
                thread.join(WAIT)
                assert not thread.is_alive()
        told.append(frame.kind.value)

    shared.subscribe(slow, on_completed=lambda: told.append("done"))
    assert told == ["open", "text", "done"]


def test_an_item_on_its_way_when_the_telling_ends_is_not_lost() -> None:
    got: list[int] = []
    subscriber = _Subscriber(reactivex.Observer[int](got.append), [1])
    on_its_way = subscriber.emit
    subscriber.catch_up()
    on_its_way(2)
    subscriber.emit(3)
    assert got == [1, 2, 3]


def test_who_comes_while_the_last_is_leaving_waits_until_the_old_subscription_ended() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    got: list[int] = []
    leave = shared.subscribe()

    def come() -> None:
        shared.subscribe(got.append)

    source.on_dispose = come
    leave.dispose()
    assert source.story == ["came", "leaving", "left", "came"]
    source.observer.on_next(1)
    assert got == [1]


def test_who_comes_and_goes_while_the_last_is_leaving_begins_nothing() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    leave = shared.subscribe()
    source.on_dispose = lambda: shared.subscribe().dispose()
    leave.dispose()
    assert source.story == ["came", "leaving", "left"]


def test_the_end_of_a_source_already_left_is_not_the_end_of_its_successor() -> None:
    writers: list[abc.ObserverBase[int]] = []
    handles: list[abc.DisposableBase] = []
    got: list[int] = []

    def come() -> None:
        if len(handles) == 1:
            handles.append(shared.subscribe(lambda _: handles[1].dispose()))

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        writers.append(observer)
        if len(writers) == 2:  # on behalf of who came while the first was leaving
            observer.on_next(1)
            handles.append(shared.subscribe(got.append))
            observer.on_completed()
        return Disposable(come)

    shared = Observable(subscribe).pipe(broadcast())
    handles.append(shared.subscribe())
    handles[0].dispose()
    handles.append(shared.subscribe(got.append))
    writers[2].on_next(2)
    assert len(writers) == 3
    assert got == [2, 2]


def test_a_run_that_was_left_before_it_began_does_not_begin() -> None:
    # one leaves, another comes, and leaves again between the leaver's last look and its connecting
    source = Source()
    run: _Run[Any] = _Run(_Broadcast(source.observable()), None)
    run._shared.run = run
    run.leave(Any)  # type: ignore[arg-type]
    run.connect()
    assert source.story == []


def test_subscribers_come_and_go_on_many_threads_while_items_flow() -> None:
    source = Source()
    shared = source.observable().pipe(broadcast())
    steady: list[int] = []
    shared.subscribe(steady.append)
    wrong: list[list[int]] = []

    def come_and_go() -> None:
        for _ in range(100):
            got: list[int] = []
            shared.subscribe(got.append).dispose()
            if got and got != list(range(got[0], got[0] + len(got))):
                wrong.append(got)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(5000):
        source.observer.on_next(number)
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert wrong == []
    assert steady == list(range(5000))
    assert source.story == ["came"]


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, 1),
        ReactiveTest.on_next(220, 2),
        ReactiveTest.on_next(230, 3),
        ReactiveTest.on_completed(240),
    )
    shared = source.pipe(broadcast())
    late = scheduler.create_observer()
    scheduler.schedule_absolute(215, lambda *_: shared.subscribe(late))
    got = scheduler.start(lambda: shared)
    assert [message.time for message in got.messages] == [210, 220, 230, 240]
    assert late.messages == got.messages[1:]
    assert [(each.subscribe, each.unsubscribe) for each in source.subscriptions] == [(200, 240)]


def test_marble_under_the_nano_scheduler() -> None:
    scheduler = NanoScheduler()
    source: Subject[Event] = Subject()
    shared = source.pipe(broadcast())
    got: list[tuple[str, int, Event]] = []
    shared.subscribe(lambda event: got.append(("a", scheduler.now_ns, event)))
    scheduler.at(10, lambda: source.on_next(OPENED))
    scheduler.at(15, lambda: shared.subscribe(lambda event: got.append(("b", scheduler.now_ns, event))))
    scheduler.at(20, lambda: source.on_next(TRADE))
    scheduler.run()
    assert got == [("a", 10, OPENED), ("b", 15, OPENED), ("a", 20, TRADE), ("b", 20, TRADE)]
