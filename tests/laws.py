"""The laws that every kernel is held to, to be called by each one's own tests, and streams to try them on.

::

    @given(event_streams())
    def test_it_resumes_anywhere(events: list[Event]) -> None:
        resumes_anywhere(window_to_bar(1), events)
        same_live_and_virtual(window_to_bar(1), events)

The laws themselves are public, in :mod:`rtflow.testing`; here are the streams, which hypothesis makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from hypothesis import strategies as st

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
from rtflow.testing import Made, arrived, live, resumes_anywhere, run, same_live_and_virtual, virtually
from rtflow.time import SECOND

__all__ = [
    "BEGIN",
    "TICK",
    "Made",
    "arrived",
    "event_streams",
    "live",
    "resumes_anywhere",
    "run",
    "same_live_and_virtual",
    "virtually",
]

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
