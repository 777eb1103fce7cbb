"""to_async: a stream for ``async for``, through a ring that is bounded and says what it lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Hashable
from typing import Any, Generic, Literal, TypeVar, overload

from reactivex import Observable, abc

from rtflow.counters import Counters
from rtflow.events import Lost
from rtflow.operators._handoff import Reader, Ring, RingMaker, ring_maker
from rtflow.time import Duration

_T = TypeVar("_T")


@overload
def to_async(
    *,
    capacity: int = ...,
    overflow: Literal["block", "error"] = ...,
    name: str = ...,
    counters: Counters | None = ...,
    timeout: Duration | None = ...,
) -> Callable[[Observable[_T]], AsyncItems[_T]]: ...
@overload
def to_async(
    *,
    capacity: int = ...,
    overflow: Literal["drop_oldest", "conflate"],
    key: Callable[[Any], Hashable] | None = ...,
    name: str = ...,
    counters: Counters | None = ...,
) -> Callable[[Observable[_T]], AsyncItems[_T | Lost]]: ...


def to_async(
    *,
    capacity: int = 1024,
    overflow: Literal["block", "drop_oldest", "conflate", "error"] = "block",
    key: Callable[[Any], Hashable] | None = None,
    name: str = "to_async",
    counters: Counters | None = None,
    timeout: Duration | None = None,
) -> Callable[[Observable[Any]], AsyncItems[Any]]:
    """The same items in the same order, for ``async for`` on any event loop of asyncio.

    ::

        --1--2--3--4--5--------6-|
        [ to_async(capacity=2, overflow="drop_oldest") ]
        --1-----------L45------6-|      the loop was busy with 1; L: Lost, 2 and 3

    It stands last in a ``pipe``. Each ``async for`` is a subscription of its own; the source keeps its
    threads, and the loop takes what they bring: a loop that runs already, as in a notebook, will do.
    ``capacity``, ``overflow``, ``key``, ``counters`` and ``timeout`` are those of ``op.handoff``: nothing is
    lost in silence, and a loop that is slow makes the source wait (``"block"``), conflate or drop, as said.
    A source that pushes on the loop's own thread cannot wait for it: with ``"block"``, a full ring is then
    the end, an :class:`~rtflow.errors.Overflow`.

    Completion ends the iteration, an error is raised by it, both after what came before them. To leave it,
    by ``break``, an exception or the cancellation of its task, disposes the subscription when the iterator
    is closed: asyncio does that soon, ``aclosing`` at once.

        >>> import reactivex
        >>> async def main():
        ...     async for item in reactivex.of(1, 2, 3).pipe(to_async()):
        ...         print(item)
        >>> asyncio.run(main())
        1
        2
        3

    ``async with aclosing(aiter(events.pipe(op.to_async()))) as items:`` is the same, closed at the end of
    the block (``from contextlib import aclosing``). Raises ValueError where ``capacity`` is not positive.
    """
    make_ring = ring_maker(
        capacity=capacity, overflow=overflow, key=key, name=name, counters=counters, timeout=timeout
    )

    def operator(source: Observable[Any]) -> AsyncItems[Any]:
        return AsyncItems(source, make_ring)

    return operator


class AsyncItems(AsyncIterable[_T]):
    """What ``async for`` takes: each iteration subscribes anew."""

    def __init__(self, source: Observable[Any], make_ring: RingMaker) -> None:
        self._source = source
        self._make_ring = make_ring

    async def __aiter__(self) -> AsyncGenerator[_T, None]:
        """The items of one subscription, which ends with the iterator."""
        end = _End[_T]()
        bell = _Bell(asyncio.get_running_loop())
        ring = self._make_ring(end, bell.of)
        subscription = ring.subscribe_to(self._source, None)
        try:
            while True:
                bell.muffle()  # first: what rings from here on has not been looked at
                if not ring.read():
                    await bell.rung()
                for _ in range(len(end.items)):
                    yield end.items.popleft()
                if end.error is not None:
                    raise end.error
                if end.over:
                    return
                await asyncio.sleep(0)  # a source that never rests leaves the loop its turns
        finally:
            subscription.dispose()


class _End(abc.ObserverBase[_T], Generic[_T]):
    """What has been taken out of the ring and not yet been asked for."""

    def __init__(self) -> None:
        self.items: deque[_T] = deque()
        self.error: Exception | None = None
        self.over = False

    def on_next(self, value: _T) -> None:
        self.items.append(value)

    def on_error(self, error: Exception) -> None:
        self.error = error

    def on_completed(self) -> None:
        self.over = True


class _Bell(Reader):
    """A ring's reader: it wakes the loop when there is something, and the loop reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()
        self._ring: Ring[Any] | None = None

    def of(self, ring: Ring[Any]) -> _Bell:
        self._ring = ring
        return self

    def muffle(self) -> None:
        self._event.clear()

    async def rung(self) -> None:
        await self._event.wait()

    def rouse(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # asyncio's word for a loop that is closed: nobody will ever ask again
            assert self._ring is not None
            self._ring.close()

    def gone(self) -> bool:
        return self._loop.is_closed()

    def stands_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False
