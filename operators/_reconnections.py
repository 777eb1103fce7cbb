"""reconnections: each time the market is there again after the line was lost, and what that cost."""

from __future__ import annotations

from typing import Any

import msgspec

from rtflow.events import Event, Gap, Status
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import SECOND


class Reconnected(msgspec.Struct, frozen=True, gc=False, tag=True, omit_defaults=True):
    """The line was lost, and now data flows again.

    ``gap`` is the hole, with both its ends; ``downtime`` is only the time without a connection.
    """

    ts_recv: int  # of the first data
    attempt: int  # how many times a connection was tried: 1 if the first one stood
    downtime: float  # seconds from the loss of the line to the new connection
    gap: Gap
    venue: str = ""


def reconnections() -> Lifted[Event, Reconnected]:
    """A ``Reconnected`` at the first data after the line was lost, for each venue in the stream.

    Where several connections share what is wanted, for each of them; its ``gap`` names the symbols.

    ::

        --t1--G--R1----R2----O--g--t2--|     G: the line is lost; R: retrying; O: open; g: the gap, closed
        [      reconnections()         ]
        ------------------------r------|     r: attempt 2, downtime from G to O, and g

    Give it the whole event stream. Where ``op.backfill`` fills gaps, let that stand before it.

        >>> kernel = reconnections().kernel()
        >>> lost = Gap(1_000_000_000, None, epoch=1, ts_recv=2_000_000_000)
        >>> closed = Gap(1_000_000_000, 6_000_000_000, epoch=1, ts_recv=6_000_000_000)
        >>> for event in (lost, Status("retrying", 2_000_000_000), Status("open", 5_000_000_000), closed):
        ...     for made in kernel.push(event):
        ...         print(made.attempt, made.downtime, made.gap == closed)
        1 3.0 True
    """
    return lift(_Reconnections)


class _Down(msgspec.Struct):
    """A connection to a venue that was lost."""

    since: int  # ts_recv: when we noticed
    start: int  # ts_start of its Gap, by which that is known again
    venue: str
    attempts: int = 0
    opened: int | None = None  # ts_recv of the last new connection


class _Reconnections(Kernel[Event, Reconnected]):
    """The connections that are lost, or have not sent anything since."""

    def __init__(self) -> None:
        self._down: dict[str, _Down] = {}

    def push(self, item: Event) -> tuple[Reconnected, ...]:
        if isinstance(item, Gap):
            return self._gap(item)
        if isinstance(item, Status):
            for down in self._down.values():
                if down.venue == item.venue:
                    if item.state in ("open", "joined"):
                        down.opened = item.ts_recv
                    elif item.state in ("retrying", "parked"):
                        down.attempts += 1
        return ()

    def state(self) -> Any:
        return msgspec.to_builtins(self._down)

    def restore(self, state: Any) -> None:
        self._down = msgspec.convert(state, dict[str, _Down])

    def _gap(self, gap: Gap) -> tuple[Reconnected, ...]:
        if gap.kind:
            return ()  # a hole on a line that stands
        place = " ".join((gap.venue, *gap.symbols))
        if gap.ts_end is None:
            self._down[place] = _Down(gap.ts_recv, gap.ts_start, gap.venue)
            return ()
        down = self._down.get(place)
        if down is None or down.start != gap.ts_start:
            return ()  # another one
        del self._down[place]
        opened = gap.ts_recv if down.opened is None else down.opened
        downtime = (opened - down.since) / SECOND
        return (Reconnected(gap.ts_recv, down.attempts, downtime, gap, gap.venue),)
