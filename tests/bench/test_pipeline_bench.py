"""The whole live line from a frame in memory to a bar and the top of the book, one message a frame.

pytest tests/bench/test_pipeline_bench.py --benchmark-only -s
"""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rtflow import operators as op
from rtflow.events import Frame, FrameKind
from rtflow.providers import Alpaca
from rtflow.scheduler import NanoScheduler, running
from rtflow.time import format as spell

START = 1_790_358_500_000_000_000
MESSAGES = 20_000
MILLION = 1_000_000


def messages() -> Iterator[Frame]:
    """A market without end: two trades, then one change of the book at its touch, a millisecond apart."""
    stamp = START
    yield Frame(FrameKind.OPEN, b"ws://127.0.0.1/", stamp)
    book = '[{{"T":"o","S":"BTC/USD","t":"{}","b":[{}],"a":[{}],"r":true}}]'
    levels = [f'{{"p":{price},"s":1.5}}' for price in range(99_990, 100_011)]
    bids, asks = ",".join(levels[:10]), ",".join(levels[11:])
    yield Frame(FrameKind.TEXT, book.format(spell(stamp), bids, asks).encode(), stamp)
    change = '[{{"T":"o","S":"BTC/USD","t":"{}","b":[{{"p":99999,"s":{}}}],"a":[]}}]'
    trade = '[{{"T":"t","S":"BTC/USD","p":{},"s":0.25,"t":"{}","i":{},"tks":"B"}}]'
    number = 0
    while True:
        number += 1
        stamp += 1_000_000
        if number % 3:
            text = trade.format(100_000 + number % 7, spell(stamp), number)
        else:
            text = change.format(spell(stamp), 1 + number % 5)
        yield Frame(FrameKind.TEXT, text.encode(), stamp)


Push: TypeAlias = Callable[[Frame], None]


def pipeline(scheduler: NanoScheduler, counts: dict[str, int]) -> Push:
    """The pipeline, subscribed; what comes back takes the frames, as a feed's root does."""
    root: list[Push] = []

    def subscribe(
        observer: abc.ObserverBase[Frame], _: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        root.append(observer.on_next)
        return Disposable()

    events = Observable(subscribe).pipe(
        op.normalize(Alpaca("key", "secret", feed="crypto/us")), op.broadcast()
    )

    def count(name: str) -> Any:
        counts[name] = 0

        def on_next(_: object) -> None:
            counts[name] += 1

        return on_next

    events.pipe(op.window_to_bar(every=1)).subscribe(count("bars"), scheduler=scheduler)
    events.pipe(op.book_apply(depth=10)).subscribe(count("books"), scheduler=scheduler)
    return root[0]


def push_all(push: Push, scheduler: NanoScheduler, many: Iterator[Frame]) -> None:
    """As replay does: the clock to each frame, the timers before it, then the frame."""
    timers = scheduler._timers
    with running(scheduler):
        for frame in many:
            if timers and timers[0][0] < frame.ts_recv:
                scheduler.advance_to(frame.ts_recv, inclusive=False)
            push(frame)


def test_from_a_frame_in_memory_to_bar_and_top_of_book(benchmark: BenchmarkFixture) -> None:
    made = list(islice(messages(), MESSAGES))
    counts: dict[str, int] = {}

    def fresh() -> tuple[tuple[Push, NanoScheduler, Iterator[Frame]], dict[str, Any]]:
        scheduler = NanoScheduler(START)
        return (pipeline(scheduler, counts), scheduler, iter(made)), {}

    benchmark.pedantic(push_all, setup=fresh, rounds=15, warmup_rounds=2)
    assert counts["books"] > MESSAGES // 4
    assert counts["bars"] == (MESSAGES - 3) // 1000
    assert benchmark.stats is not None
    each = benchmark.stats.stats.median / MESSAGES * 1e9
    benchmark.extra_info["ns a message"] = round(each)
    print(f"\n{each:,.0f} ns a message")


@pytest.mark.skipif(sys.platform == "win32", reason="resource is a POSIX module")
def test_memory_stays_flat_over_ten_million_frames(benchmark: BenchmarkFixture) -> None:
    scheduler, counts = NanoScheduler(START), dict[str, int]()
    push, many = pipeline(scheduler, counts), messages()

    def resident() -> int:
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux: the highest so far

    push_all(push, scheduler, islice(many, MILLION))
    after_one = resident()
    benchmark.pedantic(push_all, args=(push, scheduler, islice(many, 9 * MILLION)), rounds=1)
    after_ten = resident()
    one, ten = after_one / 1024, after_ten / 1024
    print(f"\nhighest resident memory after 1 M frames {one:,.1f} MiB, after 10 M {ten:,.1f} MiB")
    benchmark.extra_info["MiB grown"] = (after_ten - after_one) / 1024
    assert counts["bars"] == 10 * MILLION // 1000 - 1
    assert after_ten - after_one < 8 * 1024
