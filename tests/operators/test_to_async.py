"""to_async: a loop takes the items as it can, is told what it could not, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rtflow import operators as op
from rtflow.counters import Counters
from rtflow.errors import Overflow
from rtflow.events import Lost, Quote, Trade
from rtflow.operators._to_async import to_async
from rtflow.providers import Kraken
from rtflow.transport import connect
from rtflow.twin import Twin
from tests.watching import PATIENCE, left_over


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def bounded(main: Any) -> Any:
    """What ``main`` returns, on a loop of its own, if it does so in time."""
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def from_a_thread(make: Callable[[abc.ObserverBase[Any]], None]) -> Observable[Any]:
    """What ``make`` says to each subscriber, from a thread of its own."""

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        threading.Thread(target=make, args=[observer], name="rtflow-test-source", daemon=True).start()
        return Disposable()

    return Observable(subscribe)


async def all_of(items: Any, into: list[Any] | None = None) -> list[Any]:
    got: list[Any] = [] if into is None else into
    async for each in items:
        got.append(each)
    return got


def trade(number: int) -> Trade:
    return Trade("A", number, number, 1.0, 1.0)


# -- what comes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "conflate", "error"])
def test_the_items_come_in_order_and_completion_ends_the_loop(overflow: Any) -> None:
    assert bounded(all_of(reactivex.of(*range(200)).pipe(to_async(overflow=overflow, key=None)))) == [
        *range(200)
    ]


def test_many_more_than_the_ring_holds_come_through_it_from_another_thread() -> None:
    def count(observer: abc.ObserverBase[int]) -> None:
        for number in range(20_000):
            observer.on_next(number)
        observer.on_completed()

    counters = Counters()
    items = from_a_thread(count).pipe(to_async(capacity=8, counters=counters))
    assert bounded(all_of(items)) == [*range(20_000)]
    assert (counters["to_async.in"], counters["to_async.out"], counters["to_async.held"]) == (
        20_000,
        20_000,
        0,
    )


def test_an_error_is_raised_after_what_came_before_it() -> None:
    source = reactivex.concat(reactivex.of(1, 2), reactivex.throw(ZeroDivisionError("mine")))
    got: list[int] = []
    with pytest.raises(ZeroDivisionError, match="mine"):
        bounded(all_of(source.pipe(to_async()), got))
    assert got == [1, 2]


def test_each_iteration_is_a_subscription_of_its_own() -> None:
    items = reactivex.of(1, 2).pipe(to_async())
    assert bounded(all_of(items)) == bounded(all_of(items)) == [1, 2]


def test_a_market_is_watched_in_a_loop_that_runs_already() -> None:
    async def main() -> list[Trade]:
        got: list[Trade] = []
        with Twin("kraken", symbols=["BTC/USD"]) as twin:
            kraken = Kraken(url=twin.url)
            trades = connect(kraken, trades=["BTC/USD"]).pipe(op.normalize(kraken), op.only(Trade))
            async with aclosing(aiter(trades.pipe(to_async()))) as items:
                async for each in items:
                    got.append(each)
                    if len(got) == 3:
                        break
            assert left_over() == []
        return got

    assert [type(each) for each in bounded(main())] == [Trade] * 3


# -- loss is told ----------------------------------------------------------------------------------------


def test_what_a_slow_loop_could_not_take_is_told_in_its_place() -> None:
    async def main() -> list[Any]:
        source, counters = Subject[Trade](), Counters()
        items = aiter(source.pipe(to_async(capacity=2, overflow="drop_oldest", counters=counters)))
        first = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        for number in range(1, 6):
            source.on_next(trade(number))
        source.on_completed()
        got: list[Any] = [await first, *[each async for each in items]]
        assert dict(counters) == {
            "to_async.in": 5,
            "to_async.out": 2,
            "to_async.conflated": 0,
            "to_async.dropped": 3,
            "to_async.held": 0,
        }
        return got

    assert bounded(main()) == [Lost("A", "Trade", 3, 1, 3, "to_async", 5), trade(4), trade(5)]


def test_a_state_gives_way_to_the_next_one_of_its_key() -> None:
    async def main() -> list[Any]:
        source = Subject[Quote]()
        items = aiter(source.pipe(to_async(overflow="conflate")))
        first = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        for number in range(5):
            source.on_next(Quote("A", number, number, 1.0, 1.0, 2.0, 1.0))
        source.on_completed()
        return [await first, *[each async for each in items]]

    assert bounded(main()) == [Quote("A", 4, 4, 1.0, 1.0, 2.0, 1.0)]


def test_a_source_on_the_loops_own_thread_cannot_wait_for_the_loop() -> None:
    got: list[int] = []
    with pytest.raises(Overflow, match="who fills it is who should empty it"):
        bounded(all_of(reactivex.of(*range(10)).pipe(to_async(capacity=4)), got))
    assert got == [0, 1, 2, 3]


def test_an_event_loop_elsewhere_is_not_the_one_that_is_waited_for() -> None:
    """The source's thread runs a loop of its own: the ring is full, and it waits."""

    def count(observer: abc.ObserverBase[int]) -> None:
        async def main() -> None:
            for number in range(100):
                observer.on_next(number)
            observer.on_completed()

        asyncio.run(main())

    assert bounded(all_of(from_a_thread(count).pipe(to_async(capacity=1)))) == [*range(100)]


def test_who_waits_for_room_is_let_go_by_whoever_ends_the_stream() -> None:
    async def main() -> list[int]:
        source = Subject[int]()
        items = aiter(source.pipe(to_async(capacity=1)))
        first = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)

        def write() -> None:
            for each in range(3):
                source.on_next(each)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        writer.join(0.05)
        assert writer.is_alive(), "it waits for the loop, which waits here"
        source.on_completed()
        writer.join(PATIENCE)
        assert not writer.is_alive()
        return [await first, *[each async for each in items]]

    assert bounded(main()) == [0]


@pytest.mark.parametrize("wrong", [{"capacity": 0}, {"overflow": "forget"}])
def test_wrong_options_are_refused_at_once(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        to_async(**wrong)


# -- leaving ---------------------------------------------------------------------------------------------


class Tap:
    """A source that tells who listens."""

    def __init__(self) -> None:
        self.observers: list[abc.ObserverBase[int]] = []
        self.source = Observable(self._subscribe)

    def _subscribe(
        self, observer: abc.ObserverBase[int], _: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        self.observers.append(observer)
        return Disposable(lambda: self.observers.remove(observer))


def test_cancellation_while_waiting_disposes() -> None:
    async def main() -> None:
        tap = Tap()
        task = asyncio.ensure_future(all_of(tap.source.pipe(to_async())))
        await asyncio.sleep(0)
        assert len(tap.observers) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not tap.observers

    bounded(main())


def test_cancellation_reaches_a_loop_that_always_has_something_to_take() -> None:
    async def main() -> None:
        over = threading.Event()

        def flood(observer: abc.ObserverBase[int]) -> None:
            while not over.is_set():
                observer.on_next(1)

        task = asyncio.ensure_future(all_of(from_a_thread(flood).pipe(to_async(capacity=4))))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        over.set()

    bounded(main())


def test_others_on_the_loop_have_their_turns_while_there_is_much_to_take() -> None:
    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.ensure_future(count())
        await all_of(reactivex.of(*range(1000)).pipe(to_async(capacity=1000)))
        other.cancel()
        return turns

    assert bounded(main()) >= 1000 // 64


def test_a_break_disposes_soon_and_a_closing_at_once() -> None:
    async def main() -> None:
        tap = Tap()
        source = reactivex.concat(reactivex.of(1), tap.source)
        async for _ in source.pipe(to_async()):
            break
        while tap.observers:  # asyncio closes the iterator that nobody holds any more
            await asyncio.sleep(0)
        async with aclosing(aiter(source.pipe(to_async()))) as items:
            assert await anext(items) == 1
            assert len(tap.observers) == 1
        assert not tap.observers

    bounded(main())


def test_an_exception_in_the_body_disposes() -> None:
    tap = Tap()

    async def main() -> None:
        source = reactivex.concat(reactivex.of(1), tap.source)
        async with aclosing(aiter(source.pipe(to_async()))) as items:
            async for _ in items:
                raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        bounded(main())
    assert not tap.observers


def test_a_source_that_outlives_the_loop_is_disposed_when_it_next_speaks() -> None:
    tap = Tap()

    async def start(items: Any) -> None:
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        assert not waiting.done()

    loop = asyncio.new_event_loop()  # not closed as asyncio.run() would: nobody shuts the iterator down
    items = aiter(tap.source.pipe(to_async()))
    loop.run_until_complete(start(items))
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as in a program that just ends
    loop.close()
    assert len(tap.observers) == 1
    tap.observers[0].on_next(1)
    assert not tap.observers


def test_a_source_that_waits_for_room_is_let_go_though_the_loop_was_closed() -> None:
    async def start(items: Any) -> None:
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        assert not waiting.done()

    tap, loop = Tap(), asyncio.new_event_loop()
    items = aiter(tap.source.pipe(to_async(capacity=1)))
    loop.run_until_complete(start(items))
    tap.observers[0].on_next(1)  # for a loop that is to turn no more
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as in a program that just ends
    loop.close()
    pushing = threading.Thread(target=tap.observers[0].on_next, args=[2], daemon=True)
    pushing.start()
    pushing.join(PATIENCE)
    assert not pushing.is_alive()
    assert not tap.observers
