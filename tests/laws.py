"""The laws that every kernel is held to, to be called by each one's own tests, and streams to try them on.

::

    @given(event_streams())
    def test_it_resumes_anywhere(events: list[Event]) -> None:
        resumes_anywhere(window_to_bar(1), events)
        same_live_and_virtual(window_to_bar(1), events)

A law takes an operator made by ``lift`` or a function that makes a kernel. Items come in the order of their
``ts_recv``; where they have none, ``at`` tells an item's stamp.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex.subject import Subject

from rtflow.events import (
    Event,
    Gap,
    Instrument,
    Lost,
    OrderBookUpdate,
    Quote,
    Side,
    Status,
    Trade,
    TradeCancel,
)
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.scheduler import Inlet, Line, NanoScheduler, running
from rtflow.time import SECOND

_A = TypeVar("_A")
_B = TypeVar("_B")

Made: TypeAlias = Lifted[_A, _B] | Callable[[], Kernel[_A, _B]]
"""An operator, or a function that makes a kernel."""


def arrived(item: Any) -> int:
    """The stamp at which an item came; 0 for one without."""
    return int(getattr(item, "ts_recv", 0))


def resumes_anywhere(made: Made[_A, _B], items: Sequence[_A], *, at: Callable[[_A], int] = arrived) -> None:
    """A kernel that is cut anywhere, encoded, decoded and restored goes on as if nothing had happened.

    It is cut before each item, each timer and the completion.
    """
    kernel = _fresh(made)
    whole: list[_B] = []
    cuts: list[tuple[bytes, int, int]] = []
    for consumed, step in _steps(kernel, items, at):
        cuts.append((msgspec.json.encode(kernel.state()), consumed, len(whole)))
        whole.extend(step())
    for state, consumed, before in cuts:
        resumed = _fresh(made)
        resumed.restore(msgspec.json.decode(state))
        rest = run(resumed, items[consumed:], at=at)
        assert rest == whole[before:], f"resumed after {consumed} items from {state!r}"


def same_live_and_virtual(
    made: Made[_A, _B], items: Sequence[_A], *, at: Callable[[_A], int] = arrived
) -> None:
    """What comes out is the same for a bare kernel, in virtual time, and on a line with its own thread."""
    expected = run(_fresh(made), items, at=at)
    assert virtually(made, items, at=at) == expected, "in virtual time, by the scheduler of subscribe()"
    assert virtually(made, items, at=at, named=False) == expected, "in virtual time, by the running line"
    assert live(made, items, at=at) == expected, "on a line"


def run(kernel: Kernel[_A, _B], items: Sequence[_A], *, at: Callable[[_A], int] = arrived) -> list[_B]:
    """What a kernel makes of ``items`` and their end, woken when it is due before an item."""
    return [each for _, step in _steps(kernel, items, at) for each in step()]


def virtually(
    made: Made[_A, _B], items: Iterable[_A], *, at: Callable[[_A], int] = arrived, named: bool = True
) -> list[_B]:
    """The same under NanoScheduler, which ``subscribe`` is told of if ``named``."""
    scheduler, source = NanoScheduler(), Subject[_A]()
    caught = _Caught(source.pipe(_lifted(made)), scheduler if named else None)
    for item in items:
        scheduler.advance_to(at(item), inclusive=False)
        with running(scheduler):
            source.on_next(item)
    source.on_completed()
    return caught.everything()


def live(made: Made[_A, _B], items: Iterable[_A], *, at: Callable[[_A], int] = arrived) -> list[_B]:
    """The same on a line, fed by a reader whose clock shows the stamps of ``items``."""
    now, source = 0, Subject[_A]()
    caught = _Caught(source.pipe(_lifted(made)))
    line = Line(clock=lambda: now)
    inlet: Inlet[Callable[[], None]] = line.inlet(_call)
    for item in items:
        now = at(item)
        inlet.stamp()
        inlet.put([partial(source.on_next, item)])
    inlet.stamp()
    inlet.put([source.on_completed])
    try:
        return caught.everything()
    finally:
        inlet.close()
        assert line.join(5.0), "the line does not end"


class _Caught(Generic[_B]):
    """All that an observable emits, and how it ends."""

    def __init__(self, source: Observable[_B], scheduler: abc.SchedulerBase | None = None) -> None:
        self._items: list[_B] = []
        self._error: Exception | None = None
        self._ended = threading.Event()
        source.subscribe(self._items.append, self._failed, self._ended.set, scheduler=scheduler)

    def _failed(self, error: Exception) -> None:
        self._error = error
        self._ended.set()

    def everything(self) -> list[_B]:
        assert self._ended.wait(5.0), "it does not end"
        if self._error is not None:
            raise self._error
        return self._items


def _steps(
    kernel: Kernel[_A, _B], items: Sequence[_A], at: Callable[[_A], int]
) -> Iterator[tuple[int, Callable[[], Iterable[_B]]]]:
    """Each next thing to do to a kernel, and how many items it has had before."""
    for consumed, item in enumerate(items):
        while (due := kernel.due()) is not None and due < at(item):
            yield consumed, partial(kernel.wake, due)
            after = kernel.due()
            assert after is None or after > due, f"wake({due}) must move due() on, not to {after}"
        yield consumed, partial(kernel.push, item)
    yield len(items), kernel.flush


def _fresh(made: Made[_A, _B]) -> Kernel[_A, _B]:
    return made.kernel() if isinstance(made, Lifted) else made()


def _lifted(made: Made[_A, _B]) -> Lifted[_A, _B]:
    return made if isinstance(made, Lifted) else lift(made)


def _call(action: Callable[[], None]) -> None:
    action()


TICK = SECOND // 4
"""The time unit of :func:`event_streams`: coarse, so that stamps coincide and fall on boundaries."""

BEGIN = 1_000 * SECOND
"""Where :func:`event_streams` begins, give or take a tick."""


@st.composite
def event_streams(
    draw: st.DrawFn,
    *,
    symbols: Sequence[str] = ("A", "B"),
    venues: Sequence[str] = ("x",),
    lost_lines: bool = True,
    max_size: int = 40,
) -> list[Event]:
    """A few symbols' plausible events in the order of ``ts_recv``, as ``op.normalize`` would say them.

    Trades and quotes come simultaneously, late, out of order and now and then from the future, all on a grid
    of :data:`TICK`; books, instruments and cancels pass by; lines are lost and come back (unless
    ``lost_lines=False``), and subscriptions are acknowledged or not. Prices and sizes are small multiples of
    1/8, so that sums are exact.
    """
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(_KINDS if lost_lines else _KINDS[:-2]),
                st.sampled_from(symbols),
                st.sampled_from(venues),
                st.sampled_from(_ELAPSED),
                st.sampled_from(_DELAYS),
                st.integers(1, 40),
                st.integers(1, 8),
                st.sampled_from(Side),
            ),
            max_size=max_size,
        )
    )
    wires = {venue: _Wire(venue) for venue in venues}
    events: list[Event] = []
    now = BEGIN + draw(st.integers(0, 7)) * TICK
    for kind, symbol, venue, elapsed, delay, price, size, side in steps:
        now += elapsed * TICK
        wire = wires[venue]
        if kind == "lose":
            events += wire.lose(now)
            continue
        if kind == "acknowledge":
            events += wire.say(Status("subscribed", now, "", symbol, "trades", venue=venue), now)
            continue
        if kind == "overflow":
            events.append(Lost(draw(st.sampled_from(("", symbol))), "Trade", 1, now - TICK, now, "ring", now))
            continue
        event = _event(kind, symbol, venue, now - delay * TICK, now, price / 8, size / 8, side)
        events += wire.say(event, now)
    return events


_KINDS = ("trade",) * 8 + (
    "quote",
    "quote",
    "book",
    "instrument",
    "cancel",
    "acknowledge",
    "lose",
    "overflow",
)
_ELAPSED = (0, 0, 0, 1, 1, 2, 3, 9, 40)
_DELAYS = (0, 0, 0, 1, 1, 2, 5, 12, -1, -20)


def _event(
    kind: str, symbol: str, venue: str, ts_event: int, ts_recv: int, price: float, size: float, side: Side
) -> Event:
    if kind == "trade":
        return Trade(symbol, ts_event, ts_recv, price, size, side, venue=venue)
    if kind == "quote":
        return Quote(symbol, ts_event, ts_recv, price, size, price + 0.125, size, venue)
    if kind == "book":
        return OrderBookUpdate(symbol, ts_event, ts_recv, ((price, size),), (), snapshot=True, venue=venue)
    if kind == "cancel":
        return TradeCancel(symbol, ts_event, ts_recv, "1", price, size, venue)
    return Instrument(symbol, ts_recv, "online", 2, 8, 0.01, 1e-8, 0.125, venue=venue)


class _Wire:
    """A venue's line, and what is said when it is lost and comes back."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.epoch = 0
        self.up = False
        self.heard: int | None = None
        self.gap: Gap | None = None

    def say(self, event: Event, now: int) -> Iterator[Event]:
        if not self.up:
            self.up, self.epoch = True, self.epoch + 1
            yield Status("open", now, epoch=self.epoch, venue=self.venue)
        if not isinstance(event, Status):
            self.heard = now
            if self.gap is not None:
                yield msgspec.structs.replace(self.gap, ts_end=now, ts_recv=now)
                self.gap = None
        yield event

    def lose(self, now: int) -> Iterator[Event]:
        if not self.up:
            return
        self.up = False
        yield Status("closed", now, epoch=self.epoch, venue=self.venue)
        if self.gap is None:
            self.gap = Gap(self.heard or now, None, self.epoch, now, venue=self.venue)
            yield self.gap
