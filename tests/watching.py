"""Subscribers for tests over real sockets: they keep what they are told, and can be waited with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from reactivex import abc

from rtflow.book import BookState
from rtflow.events import OrderBookUpdate, Status
from rtflow.transport import Feed
from rtflow.twin import Twin

_T = TypeVar("_T")

PATIENCE = 10.0  # seconds that anything may take before a test fails
SOON = 2.0  # seconds for what takes one at most, on a machine that has other things to do


class Listener:
    """A subscriber that keeps what it is told, and can be waited with."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.error: Exception | None = None
        self._changed = threading.Condition()

    def on_next(self, item: object) -> None:
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def on_error(self, error: Exception) -> None:
        with self._changed:
            self.error = error
            self._changed.notify_all()

    def until(self, happened: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, PATIENCE), (self.error, self.items[-20:])

    def until_moving(self, twin: Twin, happened: Callable[[], object]) -> None:
        """The same, while a market that stands still by itself moves in small steps."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, self.items[-20:]
            twin.advance(0.02)
            time.sleep(0.005)

    def of(self, kind: type[_T], symbol: str | None = None) -> list[_T]:
        return [
            item
            for item in self.items
            if isinstance(item, kind) and symbol in (None, getattr(item, "symbol", None))
        ]


class Watch(Listener):
    """One that asks after statuses and books."""

    def statuses(self, state: str, epoch: int | None = None) -> list[Status]:
        return [
            each for each in self.of(Status) if each.state == state and (epoch is None or each.epoch == epoch)
        ]

    def subscribed(self, topics: int, epoch: int = 1) -> None:
        """Wait until the venue has said so of so many topics on that connection."""
        self.until(lambda: len(self.statuses("subscribed", epoch)) >= topics)

    def book(self, symbol: str) -> BookState | None:
        return next((each for each in reversed(self.of(BookState)) if each.symbol == symbol), None)

    def snapshots(self, symbol: str) -> int:
        return sum(each.snapshot for each in self.of(OrderBookUpdate, symbol))


def within(seconds: float, happened: Callable[[], object]) -> bool:
    """Whether it happened within so many seconds; waits no longer than it must."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not happened():
        if time.monotonic() >= deadline:
            return False
        pause.wait(0.002)
    return True


def end_between_frames(feed: Feed, subscription: abc.DisposableBase) -> None:
    """Dispose on the line: of the last frame that was heard, all that it says has been told."""
    over = threading.Event()

    def end() -> None:
        subscription.dispose()
        over.set()

    feed.line.at(0, end)
    assert over.wait(PATIENCE)


def left_over() -> list[str]:
    """Threads of ours that are still there, after they had a moment to end."""
    ours = [
        each
        for each in threading.enumerate()
        if each.name.startswith("rtflow") and each.name != "rtflow-twin"
    ]
    for each in ours:
        each.join(1.0)
    return [each.name for each in ours if each.is_alive()]
