"""vwap: the volume-weighted average price of the last seconds or the last trades."""

from __future__ import annotations

from typing import Any, Literal

from rtflow.counters import Counters
from rtflow.events import Trade, Vwap
from rtflow.kernel import Lifted, lift
from rtflow.operators._rolling import _Merged, _Rolling, _rules
from rtflow.time import Duration


def vwap(
    *,
    over: Duration | None = None,
    count: int | None = None,
    clock: Literal["event", "recv"] = "event",
    tolerance: Duration = 1.0,
    counters: Counters | None = None,
) -> Lifted[Any, Vwap]:
    """The average price of each symbol's trades of the last ``over`` seconds, weighted by their sizes.

    ::

        --t1--t2-----------t3----|      t1: 2 at 10, t2: 1 at 13, t3: 1 at 12
        [ vwap(over=60)          ]
        --10--11----13-----12.5--|      13: t1 has left by the time that passed

    It is the sum of ``price * size`` over the sum of ``size``, in the units of ``price``, or None where
    nothing was traded; both sums come with it. :func:`rolling` with these two sums: see there for what the
    last ``over`` seconds or ``count`` trades are, when it speaks, for gaps, late trades and errors, and why
    no rounding adds up, however long it runs.

    Every trade counts, odd lots and sampled prices too. For the average of each minute, or of the day so far,
    see :attr:`Bar.vwap <rtflow.events.Bar.vwap>` of ``window_to_bar``, with ``emit="update"`` for "so far".

        >>> from rtflow.time import SECOND
        >>> kernel = vwap(over=60).kernel()
        >>> for second, price, size in (0, 10.0, 2.0), (15, 13.0, 1.0):
        ...     for made in kernel.push(Trade("A", second * SECOND, second * SECOND, price, size)):
        ...         print(made.price, made.volume, made.count)
        10.0 2.0 1
        11.0 3.0 2
        >>> [(made.price, made.ts_recv // SECOND) for made in kernel.wake(75 * SECOND)]
        [(13.0, 60), (None, 75)]
    """
    rules = _rules("vwap", Trade, over, count, clock, tolerance)
    counted = Counters() if counters is None else counters
    return lift(lambda: _Rolling(rules, lambda: _Merged(_traded, _sum), _vwap, counted))


def _traded(trade: Trade) -> tuple[float, float]:
    """Value and volume."""
    return trade.price * trade.size, trade.size


def _sum(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
    return one[0] + two[0], one[1] + two[1]


def _vwap(
    symbol: str,
    ts_event: int,
    ts_recv: int,
    sums: tuple[float, float] | None,
    count: int,
    venue: str,
    partial: bool,
    gap: bool,
) -> Vwap:
    value, volume = sums or (0.0, 0.0)
    price = value / volume if volume else None
    return Vwap(symbol, ts_event, ts_recv, price, volume, value, count, venue, partial, gap)
