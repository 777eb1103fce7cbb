"""What callbacks cost: the engine beside the same operators written down, one Alpaca message a frame.

pytest tests/bench/test_engine_bench.py --benchmark-only -s
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rtflow import RealtimeEngine, Trade
from rtflow import operators as op
from rtflow.events import Frame
from rtflow.providers import Alpaca
from rtflow.scheduler import NanoScheduler
from tests.bench.test_pipeline_bench import START, Push, messages, push_all

MESSAGES = 20_000
PAIRS = 15


class Root(Observable[Frame]):
    """A feed without a socket: what subscribes to it is pushed into by hand."""

    push: Push

    def _subscribe_core(
        self, observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        self.push = observer.on_next
        return Disposable()

    def resync(self, symbol: str) -> None:
        raise AssertionError(symbol)

    def reconnect(self) -> None:
        raise AssertionError("a market that never rests")


class Counted:
    """What is called, and when it has been called so often."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.over = threading.Event()

    def __call__(self, _: object) -> None:
        self.left -= 1
        if not self.left:
            self.over.set()


def provider() -> Alpaca:
    return Alpaca("key", "secret", feed="crypto/us")


def by_hand(root: Root, called: Counted, *, handed: bool) -> abc.DisposableBase:
    """The engine's operators as README writes them: trades, bars and books, by way of a handoff or not."""
    events = root.pipe(
        op.retry_with_backoff(park=True),
        op.normalize(provider()),
        op.watchdog(resync=root.resync, reconnect=root.reconnect),
        op.broadcast(),
    )
    parts: list[Observable[Any]] = [
        events.pipe(op.only(Trade)),
        events.pipe(op.window_to_bar(1)),
        events.pipe(op.book_apply(resync=root.resync)),
    ]
    if not handed:
        return CompositeDisposable(*(each.subscribe(called) for each in parts))

    def together(
        observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return CompositeDisposable(*(each.subscribe(observer.on_next) for each in parts))

    return Observable(together).pipe(op.handoff(capacity=65_536)).subscribe(called)


def by_engine(root: Root, called: Counted) -> abc.DisposableBase:
    engine = RealtimeEngine(provider(), connect=lambda *_, **__: root)  # type: ignore[arg-type]
    for hook in (engine.on_trade, engine.on_bar, engine.on_book_update):
        hook(called)
    engine.start(trades=["BTC/USD"], books=["BTC/USD"])
    return Disposable(engine.stop)


def seconds(make: Callable[[Root, Counted], abc.DisposableBase], frames: list[Frame], expected: int) -> float:
    """What all threads worked from the first frame to the last callback."""
    root, called, scheduler = Root(), Counted(expected), NanoScheduler(START)
    subscription = make(root, called)
    began = time.process_time()
    push_all(root.push, scheduler, iter(frames))
    assert called.over.wait(60), called.left
    took = time.process_time() - began
    subscription.dispose()
    return took


def test_the_engine_costs_little_more_than_its_pipeline(benchmark: BenchmarkFixture) -> None:
    frames = list(islice(messages(), MESSAGES))
    all_of_it = Counted(-1)
    subscription = by_hand(root := Root(), all_of_it, handed=False)
    push_all(root.push, NanoScheduler(START), iter(frames))
    subscription.dispose()
    expected = -1 - all_of_it.left
    ways: dict[str, Callable[[Root, Counted], abc.DisposableBase]] = {
        "on the line": partial(by_hand, handed=False),
        "with op.handoff": partial(by_hand, handed=True),
        "the engine": by_engine,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}

    def round_of_all() -> None:
        for name, make in ways.items():
            took[name].append(seconds(make, frames, expected))

    round_of_all()
    for each in took.values():
        each.clear()
    benchmark.pedantic(round_of_all, rounds=PAIRS)
    print()
    for name, each in took.items():
        ratios = [mine / bare for mine, bare in zip(took["the engine"], each, strict=True)]
        ratio = statistics.median(ratios)
        print(
            f"{name:>16}: {statistics.median(each) / MESSAGES * 1e9:,.0f} ns a message; engine {ratio:.2f} ×"
        )
        benchmark.extra_info[f"engine / {name}"] = round(ratio, 2)
    pairs = zip(took["the engine"], took["with op.handoff"], strict=True)
    assert statistics.median(mine / bare for mine, bare in pairs) < 1.2
