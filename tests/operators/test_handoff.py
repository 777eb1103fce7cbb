"""handoff: from the line to another thread, through a ring that is bounded and says what it lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex.disposable import Disposable
from reactivex.scheduler import EventLoopScheduler, ImmediateScheduler, ThreadPoolScheduler
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.book import OrderBook
from rtflow.counters import Counters
from rtflow.errors import Overflow
from rtflow.events import Bar, Gap, LateTrade, Lost, Quote, ReferencePrice, Status, Ticker, Trade
from rtflow.operators._handoff import handoff
from rtflow.scheduler import Line, NanoScheduler

WAIT = 10.0  # seconds a thread may take before the test fails


class Source:
    """A source that the test speaks through, and that knows whether it was left."""

    def __init__(self) -> None:
        self.observer: abc.ObserverBase[Any] = reactivex.Subject()
        self.left = threading.Event()

    def observable(self) -> Observable[Any]:
        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            self.observer = observer
            return Disposable(self.left.set)

        return Observable(subscribe)


class Slow:
    """A subscriber that, while held, stays with the item it is at."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.threads: set[str] = set()
        self.errors: list[Exception] = []
        self.at_one = threading.Event()
        self.free = threading.Event()
        self.over = threading.Event()

    def on_next(self, item: Any) -> None:
        self.got.append(item)
        self.threads.add(threading.current_thread().name)
        self.at_one.set()
        assert self.free.wait(WAIT)

    def on_error(self, error: Exception) -> None:
        self.errors.append(error)
        self.over.set()

    def subscribe_to(self, source: Observable[Any]) -> abc.DisposableBase:
        return source.subscribe(self.on_next, self.on_error, self.over.set)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("rtflow-handoff")]


@pytest.fixture(autouse=True)
def every_thread_ends() -> Iterator[None]:
    before = readers()
    yield
    for thread in readers():
        if thread not in before:
            thread.join(WAIT)
            assert not thread.is_alive()


def balance(counters: Counters, name: str = "handoff") -> tuple[int, int, int, int, int]:
    """in, out, conflated, dropped, held: read at one moment."""
    now = dict(counters)
    entered, out, conflated, dropped, held = (
        now[f"{name}.{what}"] for what in ("in", "out", "conflated", "dropped", "held")
    )
    assert entered == out + conflated + dropped + held
    return entered, out, conflated, dropped, held


def through(
    items: list[Any], *, reads: Callable[[int], bool] = lambda _: False, **options: Any
) -> tuple[list[Any], Counters]:
    """What ``items`` become, on a virtual line that reads after each item that ``reads``, and at the end."""
    scheduler, source, counters = NanoScheduler(), Source(), Counters()
    got: list[Any] = []
    source.observable().pipe(handoff(to=scheduler, counters=counters, **options)).subscribe(
        got.append, got.append, lambda: got.append("|")
    )
    for number, item in enumerate(items):
        source.observer.on_next(item)
        balance(counters)
        if reads(number):
            scheduler.run()
            assert balance(counters)[4] == 0
    source.observer.on_completed()
    scheduler.run()
    assert balance(counters)[4] == 0
    return got, counters


def trade(symbol: str, ts: int) -> Trade:
    return Trade(symbol, ts, ts, 1.0, 1.0)


def quote(symbol: str, ts: int, venue: str = "") -> Quote:
    return Quote(symbol, ts, ts, 1.0, 1.0, 2.0, 1.0, venue)


def bar(start: int, high: float, *, final: bool = False) -> Bar:
    return Bar("A", start, start + 60, 1.0, high, 1.0, 1.0, 1.0, 1, 1.0, final=final)


# On a thread of its own


def test_items_arrive_in_order_on_a_daemon_thread_that_ends() -> None:
    threads: set[threading.Thread] = set()
    got: list[int] = []
    over = threading.Event()

    def on_next(item: int) -> None:
        threads.add(threading.current_thread())
        got.append(item)

    numbers: Observable[int] = reactivex.from_iterable(range(10_000))
    numbers.pipe(handoff(capacity=100)).subscribe(on_next, on_completed=over.set)
    assert over.wait(WAIT)
    assert got == list(range(10_000))
    (thread,) = threads
    assert (thread.name, thread.daemon) == ("rtflow-handoff", True)
    thread.join(WAIT)
    assert not thread.is_alive()


def test_its_thread_and_counters_carry_its_name() -> None:
    counters, slow = Counters(), Slow()
    slow.free.set()
    slow.subscribe_to(reactivex.of(1, 2).pipe(handoff(name="handoff-chart", counters=counters)))
    assert slow.over.wait(WAIT)
    assert slow.threads == {"rtflow-handoff-chart"}
    assert balance(counters, "handoff-chart") == (2, 2, 0, 0, 0)


def test_an_error_comes_after_what_is_held() -> None:
    source, slow = Source(), Slow()
    slow.subscribe_to(source.observable().pipe(handoff()))
    for number in range(5):
        source.observer.on_next(number)
    source.observer.on_error(ValueError("over"))
    assert slow.at_one.wait(WAIT)
    assert slow.errors == []
    slow.free.set()
    assert slow.over.wait(WAIT)
    assert slow.got == [0, 1, 2, 3, 4]
    assert [str(error) for error in slow.errors] == ["over"]


def test_block_lets_the_source_wait_for_room() -> None:
    source, slow, counters = Source(), Slow(), Counters()
    slow.subscribe_to(source.observable().pipe(handoff(capacity=2, counters=counters)))
    source.observer.on_next(0)
    assert slow.at_one.wait(WAIT)
    passed = threading.Event()

    def write() -> None:
        for number in range(1, 4):
            source.observer.on_next(number)
        passed.set()
        source.observer.on_completed()

    writer = threading.Thread(target=write)
    writer.start()
    assert not passed.wait(0.05)  # nothing to wait on but time: it is the writer that waits
    assert balance(counters) == (3, 0, 0, 0, 3)
    slow.free.set()
    writer.join(WAIT)
    assert slow.over.wait(WAIT)
    assert slow.got == [0, 1, 2, 3]
    assert balance(counters) == (4, 4, 0, 0, 0)


def test_dispose_frees_a_source_that_waits_for_room() -> None:
    source, slow, counters = Source(), Slow(), Counters()
    subscription = slow.subscribe_to(source.observable().pipe(handoff(capacity=1, counters=counters)))
    source.observer.on_next(0)
    assert slow.at_one.wait(WAIT)
    source.observer.on_next(1)
    writer = threading.Thread(target=lambda: source.observer.on_next(2))
    writer.start()
    subscription.dispose()
    writer.join(WAIT)
    assert not writer.is_alive()
    assert source.left.is_set()
    slow.free.set()
    for thread in readers():
        thread.join(WAIT)
    assert slow.got == [0]
    assert balance(counters) == (2, 1, 0, 1, 0)


@pytest.mark.parametrize("timeout", [0.01, 0.3])
def test_patience_ends(timeout: float) -> None:
    source, slow, counters = Source(), Slow(), Counters()
    slow.subscribe_to(source.observable().pipe(handoff(capacity=1, timeout=timeout, counters=counters)))
    source.observer.on_next(0)
    assert slow.at_one.wait(WAIT)
    source.observer.on_next(1)
    source.observer.on_next(2)
    assert source.left.is_set()
    slow.free.set()
    assert slow.over.wait(WAIT)
    assert slow.got == [0, 1]
    assert [repr(error) for error in slow.errors] == [f"Overflow('handoff was full for {timeout} s')"]
    assert balance(counters) == (3, 2, 0, 1, 0)


def test_it_does_not_wait_for_itself() -> None:
    source = Source()
    over = threading.Event()
    errors: list[Exception] = []

    def on_next(item: int) -> None:
        if item == 0:
            for number in (1, 2):
                source.observer.on_next(number)

    def on_error(error: Exception) -> None:
        errors.append(error)
        over.set()

    source.observable().pipe(handoff(capacity=1)).subscribe(on_next, on_error)
    source.observer.on_next(0)
    assert over.wait(WAIT)
    assert [str(error) for error in errors] == ["handoff is full, and who fills it is who should empty it"]


def test_dispose_inside_on_next_ends_the_thread() -> None:
    source, counters = Source(), Counters()
    got: list[int] = []
    at_one, filled = threading.Event(), threading.Event()

    def on_next(item: int) -> None:
        got.append(item)
        at_one.set()
        assert filled.wait(WAIT)
        subscription.dispose()

    subscription = source.observable().pipe(handoff(counters=counters)).subscribe(on_next)
    source.observer.on_next(0)
    assert at_one.wait(WAIT)
    for number in range(1, 100):
        source.observer.on_next(number)
    filled.set()
    assert source.left.wait(WAIT)
    for thread in readers():
        thread.join(WAIT)
    assert got == [0]
    assert balance(counters) == (100, 1, 0, 99, 0)


def test_dispose_in_the_middle_of_what_was_taken_out_delivers_no_more() -> None:
    scheduler, source, counters = NanoScheduler(), Source(), Counters()
    got: list[int] = []

    def on_next(item: int) -> None:
        got.append(item)
        if item == 2:
            subscription.dispose()

    subscription = source.observable().pipe(handoff(to=scheduler, counters=counters)).subscribe(on_next)
    for number in range(100):
        source.observer.on_next(number)
    scheduler.run()
    assert got == [0, 1, 2]
    assert balance(counters) == (100, 3, 0, 97, 0)


def test_the_thread_ends_with_the_stream_before_the_subscription_is_quite_made() -> None:
    ended: list[bool] = []

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        (thread,) = readers()
        observer.on_completed()
        thread.join(WAIT)
        ended.append(not thread.is_alive())
        return Disposable()

    numbers: Observable[int] = Observable(subscribe)
    numbers.pipe(handoff()).subscribe()
    assert ended == [True]


def test_dispose_while_idle_ends_the_thread() -> None:
    source = Source()
    subscription = source.observable().pipe(handoff()).subscribe()
    (thread,) = readers()
    subscription.dispose()
    subscription.dispose()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_a_subscriber_that_raises_gets_its_own_exception_and_the_source_is_left() -> None:
    source, slow, counters = Source(), Slow(), Counters()

    def on_next(item: int) -> None:
        slow.on_next(item)
        raise ValueError("boom")

    source.observable().pipe(handoff(counters=counters)).subscribe(on_next, slow.on_error)
    source.observer.on_next(0)
    assert slow.at_one.wait(WAIT)
    source.observer.on_next(1)
    slow.free.set()
    assert slow.over.wait(WAIT)
    assert source.left.wait(WAIT)
    for thread in readers():
        thread.join(WAIT)
    assert slow.got == [0]
    assert [str(error) for error in slow.errors] == ["boom"]
    assert balance(counters) == (2, 1, 0, 1, 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_a_subscriber_ended_leaves_the_source() -> None:
    source = Source()

    def leave(item: object) -> None:
        raise SystemExit

    source.observable().pipe(handoff(capacity=1)).subscribe(leave)
    source.observer.on_next(1)
    assert source.left.wait(WAIT)
    for number in range(5):
        source.observer.on_next(number)  # and nobody waits for room


def test_a_subscriber_that_raises_and_has_no_on_error_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: reported.append(arguments.exc_value))
    source = Source()

    def boom(_: int) -> None:
        raise ValueError("boom")

    source.observable().pipe(handoff()).subscribe(boom)
    (thread,) = readers()
    source.observer.on_next(0)
    thread.join(WAIT)
    assert [str(error) for error in reported] == ["boom"]
    assert source.left.is_set()


@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "conflate", "error"])
def test_the_counters_balance_at_every_moment(overflow: Any) -> None:
    counters, over = Counters(), threading.Event()
    source = Source()
    out: list[Any] = []
    source.observable().pipe(handoff(capacity=50, overflow=overflow, counters=counters)).subscribe(
        out.append, lambda _: over.set(), over.set
    )
    moments = [0]

    def watch() -> None:
        while not over.is_set():
            assert balance(counters)[4] <= 50 + 64
            moments[0] += 1

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for number in range(5000):
        source.observer.on_next(quote("ABC"[number % 3], number) if number % 2 else trade("A", number))
    source.observer.on_completed()
    assert over.wait(WAIT)
    for watcher in watchers:
        watcher.join(WAIT)
        assert not watcher.is_alive()
    assert moments[0] > 0
    entered, went, conflated, dropped, held = balance(counters)
    lost = sum(item.count for item in out if isinstance(item, Lost))
    items = [item for item in out if not isinstance(item, Lost)]
    assert went == len(items)
    assert held == 0
    if overflow == "error":
        assert dropped == (entered < 5000 or went < 5000)
    else:
        assert (entered, dropped) == (5000, lost)
    if overflow in ("block", "drop_oldest"):
        assert conflated == 0
        assert [item.ts_recv for item in items] == sorted(item.ts_recv for item in items)
    trades = [item.ts_recv for item in items if isinstance(item, Trade)]
    assert trades == sorted(trades)


# What each overflow does, on a virtual line


def test_drop_oldest_says_in_its_place_what_was_dropped() -> None:
    got, counters = through(
        [trade("A", ts) for ts in range(1, 7)], capacity=2, overflow="drop_oldest", reads=lambda n: n == 0
    )
    assert got == [
        trade("A", 1),
        Lost("A", "Trade", 3, 2, 4, "handoff", 6),
        trade("A", 5),
        trade("A", 6),
        "|",
    ]
    assert balance(counters) == (6, 3, 0, 3, 0)


def test_each_hole_is_a_loss_of_its_own() -> None:
    got, _ = through(
        [trade("A", ts) for ts in range(5)], capacity=1, overflow="drop_oldest", reads=lambda n: n == 2
    )
    assert [item.count for item in got if isinstance(item, Lost)] == [2, 1]


def test_who_is_always_late_hears_of_more_than_losses() -> None:
    scheduler, source, numbers = NanoScheduler(), Source(), iter(range(1, 13))
    got: list[Any] = []

    def late(item: Any) -> None:
        got.append(item)
        for number in islice(numbers, 3):
            source.observer.on_next(number)

    operator: Any = handoff(capacity=1, overflow="drop_oldest", to=scheduler)
    source.observable().pipe(operator).subscribe(late)
    source.observer.on_next(0)
    scheduler.run()
    assert [item if isinstance(item, int) else f"{item.count} lost" for item in got] == [
        0,
        "2 lost",
        3,
        "5 lost",
        9,
        "2 lost",
        12,
    ]


def test_a_loss_of_several_symbols_and_types_names_none() -> None:
    got, _ = through([trade("A", 1), quote("B", 2), trade("B", 3)], capacity=1, overflow="drop_oldest")
    assert got[0] == Lost("", "", 2, 1, 2, "handoff", 3)


def test_a_loss_that_is_lost_is_added_up() -> None:
    before = Lost("A", "Trade", 5, 1, 4, "ring", 4)
    got, _ = through([trade("A", 0), before, trade("A", 9)], capacity=1, overflow="drop_oldest")
    assert got[0] == Lost("A", "Trade", 6, 0, 4, "handoff", 9)


def test_what_has_no_stamp_is_lost_at_none() -> None:
    got, _ = through([1, 2], capacity=1, overflow="drop_oldest")
    assert got == [Lost("", "int", 1, 0, 0, "handoff", 0), 2, "|"]


def test_dispose_forgets_a_hole_not_yet_said() -> None:
    scheduler, source = NanoScheduler(), Source()
    got: list[Any] = []
    operator: Any = handoff(capacity=1, overflow="drop_oldest", to=scheduler)
    subscription = source.observable().pipe(operator).subscribe(got.append)
    source.observer.on_next(1)
    source.observer.on_next(2)
    subscription.dispose()
    scheduler.run()
    assert got == []


def test_error_ends_the_stream_after_what_is_held() -> None:
    got, counters = through([1, 2, 3, 4], capacity=2, overflow="error")
    assert got[:2] == [1, 2]
    assert repr(got[2]) == "Overflow('handoff is full: 2 items wait')"
    assert got[3:] == []
    assert balance(counters) == (3, 2, 0, 1, 0)


def test_an_overflow_is_the_end_even_if_the_source_cannot_be_left_yet() -> None:
    scheduler = NanoScheduler()
    got: list[Any] = []

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        for number in range(4):
            observer.on_next(number)
        observer.on_completed()
        return Disposable()

    numbers: Observable[int] = Observable(subscribe)
    numbers.pipe(handoff(capacity=2, overflow="error", to=scheduler)).subscribe(
        got.append, lambda error: got.append(type(error)), lambda: got.append("|")
    )
    scheduler.run()
    assert got == [0, 1, Overflow]


def test_state_conflates_to_its_latest_and_events_are_kept() -> None:
    items = [quote("A", 1), trade("A", 2), quote("A", 3), quote("B", 4), trade("A", 5), quote("A", 6)]
    got, counters = through(items, overflow="conflate")
    assert got == [quote("A", 6), trade("A", 2), quote("B", 4), trade("A", 5), "|"]
    assert balance(counters) == (6, 4, 2, 0, 0)


def test_what_went_out_is_replaced_no_more() -> None:
    got, counters = through(
        [quote("A", 1), quote("A", 2), quote("A", 3)], overflow="conflate", reads=lambda n: n == 0
    )
    assert got == [quote("A", 1), quote("A", 3), "|"]
    assert balance(counters) == (3, 2, 1, 0, 0)


def test_a_busy_symbol_does_not_starve_a_quiet_one() -> None:
    """Whoever reads one item for three that are written still hears of the quiet symbol within two reads."""
    scheduler, source, slow = NanoScheduler(), Source(), Slow()
    slow.subscribe_to(source.observable().pipe(handoff(overflow="conflate", capacity=4)))
    source.observer.on_next(quote("BUSY", 0))
    assert slow.at_one.wait(WAIT)
    source.observer.on_next(quote("BUSY", 1))
    source.observer.on_next(quote("QUIET", 2))
    for ts in range(3, 100):
        source.observer.on_next(quote("BUSY", ts))
    source.observer.on_completed()
    slow.free.set()
    assert slow.over.wait(WAIT)
    assert slow.got == [quote("BUSY", 0), quote("BUSY", 99), quote("QUIET", 2)]
    assert scheduler.now_ns == 0


def test_quotes_of_two_venues_do_not_replace_each_other() -> None:
    items = [quote("A", 1, "x"), quote("A", 2, "y"), quote("A", 3, "x")]
    assert through(items, overflow="conflate")[0] == [quote("A", 3, "x"), quote("A", 2, "y"), "|"]


def test_book_states_conflate() -> None:
    book = OrderBook.of(bids=[(99.0, 2.0)])
    states = [book.view("A", ts, ts, venue="v") for ts in range(3)]
    got, _ = through([*states], overflow="conflate")
    assert [item.ts_recv for item in got[:-1]] == [2]


def test_books_of_two_exchanges_do_not_take_each_others_place() -> None:
    book = OrderBook.of(bids=[(1.0, 1.0)])
    one, two, newer = (
        book.view("A", ts, ts, venue="v", exchange=name) for ts, name in ((1, "1"), (2, "2"), (3, "1"))
    )
    got, _ = through([one, two, newer], overflow="conflate")
    assert got == [newer, two, "|"]


def test_tickers_and_reference_prices_conflate_by_symbol_and_source() -> None:
    tickers = [Ticker("A", ts, ts, last=float(ts)) for ts in (1, 2)]
    mark, index = ReferencePrice("A", 1, 1, 1.0, "mark"), ReferencePrice("A", 2, 2, 1.0, "index")
    prices = [mark, index, ReferencePrice("A", 3, 3, 1.0, "mark")]
    got, counters = through([*tickers, *prices], overflow="conflate")
    assert got == [tickers[1], prices[2], prices[1], "|"]
    assert balance(counters)[2] == 2


def test_a_forming_bar_conflates_and_a_final_one_does_not() -> None:
    items = [bar(0, 1), bar(0, 2), bar(0, 3, final=True), bar(60, 1), bar(60, 2), bar(60, 3, final=True)]
    got, _ = through(items, overflow="conflate")
    assert got == [bar(0, 2), bar(0, 3, final=True), bar(60, 2), bar(60, 3, final=True), "|"]


@pytest.mark.parametrize(
    "barrier", [Gap(1, None, 1, 2), Status("closed", 2), Lost("", "", 1, 1, 1, "ring", 2)]
)
def test_no_state_moves_ahead_of_what_is_said_of_the_line(barrier: Gap | Status | Lost) -> None:
    items = [quote("A", 1), barrier, quote("A", 3), quote("A", 4)]
    assert through(items, overflow="conflate")[0] == [quote("A", 1), barrier, quote("A", 4), "|"]


def test_a_full_ring_of_events_drops_the_oldest_and_says_so() -> None:
    items = [trade("A", 1), quote("A", 2), trade("A", 3), trade("A", 4), quote("A", 5)]
    got, counters = through(items, overflow="conflate", capacity=2)
    assert got == [Lost("A", "", 3, 1, 3, "handoff", 5), trade("A", 4), quote("A", 5), "|"]
    assert balance(counters) == (5, 2, 0, 3, 0)


def test_a_key_of_ones_own_decides_for_state_and_foreign_items_only() -> None:
    late = LateTrade(trade("A", 1), 0, 1, 1)
    items = [1, 11, trade("A", 1), 2, 21, trade("A", 2), late, quote("A", 1), quote("B", 2), "x", "y"]
    got, _ = through(
        items,
        overflow="conflate",
        key=lambda item: None if isinstance(item, str) else item % 10 if isinstance(item, int) else "all",
    )
    assert got == [21, trade("A", 1), 2, trade("A", 2), late, quote("B", 2), "x", "y", "|"]


def test_foreign_items_are_events_unless_a_key_says_otherwise() -> None:
    assert through([1, 1, 1], overflow="conflate")[0] == [1, 1, 1, "|"]


def test_a_key_that_raises_is_the_streams_error() -> None:
    def key(item: Any) -> Any:
        raise KeyError(item)

    scheduler, source = NanoScheduler(), Source()
    got: list[Any] = []
    source.observable().pipe(handoff(overflow="conflate", key=key, to=scheduler)).subscribe(
        got.append, got.append
    )
    source.observer.on_next(trade("A", 1))
    source.observer.on_next(1)
    assert source.left.is_set()
    scheduler.run()
    assert got[0] == trade("A", 1)
    assert isinstance(got[1], KeyError)


def test_after_a_key_that_raised_nothing_comes_in_even_if_the_source_cannot_be_left_yet() -> None:
    scheduler = NanoScheduler()
    got: list[Any] = []

    def subscribe(
        observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        observer.on_next("no number")
        observer.on_next(trade("A", 1))
        return Disposable()

    items: Observable[Any] = Observable(subscribe)
    items.pipe(handoff(overflow="conflate", key=int, to=scheduler)).subscribe(got.append, got.append)
    scheduler.run()
    assert [type(item) for item in got] == [ValueError]


def test_nothing_conflates_into_a_ring_that_is_closed() -> None:
    scheduler, counters = NanoScheduler(), Counters()
    writers: list[abc.ObserverBase[Any]] = []

    def subscribe(
        observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        writers.append(observer)
        observer.on_next(quote("A", 1))
        subscription[0].dispose()
        observer.on_next(quote("A", 2))
        return Disposable()

    subscription: list[abc.DisposableBase] = [Disposable()]
    quotes: Observable[Any] = Observable(subscribe)
    ring = quotes.pipe(handoff(overflow="conflate", to=scheduler, counters=counters))
    first = Source()
    switch: Observable[Any] = reactivex.merge(first.observable(), ring)
    subscription[0] = switch.subscribe()
    assert balance(counters)[0] == 2
    subscription[0].dispose()
    assert balance(counters) == (2, 0, 1, 1, 0)
    writers[0].on_next(quote("A", 3))
    assert balance(counters) == (2, 0, 1, 1, 0)


events = st.lists(st.tuples(st.booleans(), st.sampled_from("ABC")), max_size=60).map(
    lambda made: [(trade if is_trade else quote)(symbol, ts) for ts, (is_trade, symbol) in enumerate(made, 1)]
)


@settings(max_examples=150, deadline=None)
@given(
    events,
    st.sampled_from(["block", "drop_oldest", "conflate"]),
    st.integers(1, 8),
    st.integers(1, 8),
)
def test_what_comes_out_is_what_went_in_less_what_is_said_to_be_missing(
    items: list[Trade | Quote], overflow: Any, capacity: int, every: int
) -> None:
    room = max(capacity, every) if overflow == "block" else capacity
    got, counters = through(items, capacity=room, overflow=overflow, reads=lambda n: n % every == every - 1)
    kept = [item for item in got[:-1] if not isinstance(item, Lost)]
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(items)
    assert sum(item.count for item in got if isinstance(item, Lost)) == counters["handoff.dropped"]
    assert len(kept) == counters["handoff.out"]
    trades = [item for item in kept if isinstance(item, Trade)]
    assert trades == sorted(trades, key=lambda item: item.ts_recv)
    if overflow == "conflate" and not counters["handoff.dropped"]:
        assert trades == [item for item in items if isinstance(item, Trade)]
        for symbol in "ABC":
            own = [item for item in items if isinstance(item, Quote) and item.symbol == symbol]
            out = [item for item in kept if isinstance(item, Quote) and item.symbol == symbol]
            assert out[-1:] == own[-1:]


# To a scheduler


def test_it_takes_turns_on_the_scheduler_it_is_given() -> None:
    scheduler = NanoScheduler()
    source = Source()
    got: list[Any] = []
    source.observable().pipe(handoff(to=scheduler)).subscribe(got.append)
    for number in range(100):
        source.observer.on_next(number)
    assert got == []
    scheduler.schedule(lambda *_: got.append("another's turn"))
    scheduler.run()
    assert got == [*range(64), "another's turn", *range(64, 100)]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_its_turns_are_as_long_where_it_reads_one_by_one(overflow: Any) -> None:
    scheduler = NanoScheduler()
    source = Source()
    got: list[Any] = []
    source.observable().pipe(handoff(to=scheduler, overflow=overflow)).subscribe(got.append)
    for number in range(100):
        source.observer.on_next(number)
    scheduler.schedule(lambda *_: got.append("another's turn"))
    scheduler.run()
    assert got == [*range(64), "another's turn", *range(64, 100)]


def test_on_virtual_time_it_does_not_wait_for_itself() -> None:
    stock = TestScheduler()
    source = Source()
    got: list[Any] = []
    source.observable().pipe(handoff(capacity=1, to=stock)).subscribe(got.append, got.append)
    source.observer.on_next(1)
    source.observer.on_next(2)
    stock.start()
    assert [str(item) for item in got] == ["1", "handoff is full, and who fills it is who should empty it"]


def test_on_the_line_that_writes_it_does_not_wait_for_itself() -> None:
    scheduler = NanoScheduler()
    source = Source()
    got: list[Any] = []
    source.observable().pipe(handoff(capacity=1, to=scheduler)).subscribe(got.append, got.append)
    scheduler.at(1, lambda: [source.observer.on_next(number) for number in (1, 2)])
    scheduler.run()
    assert [str(item) for item in got] == ["1", "handoff is full, and who fills it is who should empty it"]


def test_a_thread_that_once_read_is_not_who_reads_now() -> None:
    scheduler, source = NanoScheduler(), Source()
    got: list[Any] = []
    operator = handoff(capacity=1, to=scheduler, timeout=0.001)
    source.observable().pipe(operator).subscribe(got.append, got.append)
    source.observer.on_next(1)
    scheduler.run()
    for number in (2, 3):
        source.observer.on_next(number)
    scheduler.run()
    assert [str(item) for item in got] == ["1", "2", "handoff was full for 0.001 s"]


def test_it_moves_items_from_one_line_to_another() -> None:
    line, slow = Line(name="rtflow-other-line"), Slow()
    slow.free.set()
    slow.subscribe_to(reactivex.from_iterable(range(1000)).pipe(handoff(capacity=10, to=line)))
    assert slow.over.wait(WAIT)
    assert slow.got == list(range(1000))
    assert slow.threads == {"rtflow-other-line"}
    assert line.join(WAIT)


@pytest.mark.parametrize("make", [EventLoopScheduler, lambda: ThreadPoolScheduler(3)])
def test_on_threads_of_reactivex_it_keeps_the_order(make: Callable[[], Any]) -> None:
    scheduler, slow = make(), Slow()
    slow.free.set()
    slow.subscribe_to(reactivex.from_iterable(range(1000)).pipe(handoff(capacity=10, to=scheduler)))
    assert slow.over.wait(WAIT)
    assert slow.got == list(range(1000))
    if isinstance(scheduler, EventLoopScheduler):
        scheduler.dispose()
    else:
        scheduler.executor.shutdown()


def test_on_a_scheduler_that_runs_at_once_it_is_a_plain_pass() -> None:
    got: list[Any] = []
    reactivex.of(1, 2, 3).pipe(handoff(capacity=1, to=ImmediateScheduler.singleton())).subscribe(
        got.append, on_completed=lambda: got.append("|")
    )
    assert got == [1, 2, 3, "|"]


def test_two_subscribers_have_a_ring_each_and_counts_together() -> None:
    scheduler, counters, source = NanoScheduler(), Counters(), reactivex.Subject[int]()
    shared = source.pipe(handoff(to=scheduler, counters=counters))
    a: list[Any] = []
    b: list[Any] = []
    shared.subscribe(a.append)
    leave = shared.subscribe(b.append)
    source.on_next(1)
    assert balance(counters) == (2, 0, 0, 0, 2)
    leave.dispose()
    assert balance(counters) == (2, 0, 0, 1, 1)
    scheduler.run()
    assert (a, b) == ([1], [])
    assert balance(counters) == (2, 1, 0, 1, 0)


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, 1),
        ReactiveTest.on_next(220, 2),
        ReactiveTest.on_next(220, 3),
        ReactiveTest.on_completed(230),
    )
    got = scheduler.start(lambda: source.pipe(handoff(to=scheduler)))
    assert got.messages == [
        ReactiveTest.on_next(210, 1),
        ReactiveTest.on_next(220, 2),
        ReactiveTest.on_next(220, 3),
        ReactiveTest.on_completed(230),
    ]


def test_marble_under_the_nano_scheduler() -> None:
    scheduler = NanoScheduler()
    source: reactivex.Subject[int] = reactivex.Subject()
    got: list[tuple[int, Any]] = []
    source.pipe(handoff(to=scheduler)).subscribe(lambda item: got.append((scheduler.now_ns, item)))
    for at in (1_000_000_001, 1_000_000_002):
        scheduler.at(at, lambda at=at: source.on_next(at))  # type: ignore[misc]
    scheduler.run()
    assert got == [(1_000_000_001, 1_000_000_001), (1_000_000_002, 1_000_000_002)]


@pytest.mark.parametrize("options", [{"capacity": 0}, {"overflow": "drop"}])
def test_options_that_make_no_sense_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        handoff(**options)
