"""renko_bars: a brick for every so much that the price has moved, however long that takes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, inf
from typing import Any, Literal

from msgspec.structs import replace

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Trade
from rtflow.kernel import Lifted, lift
from rtflow.operators._bars_by_trades import (
    MOST_AT_ONCE,
    Memory,
    Run,
    TradeBars,
    Venue,
    blank,
    units,
)
from rtflow.operators._forming import Judge, Rule, Table, judge_by


def renko_bars(
    *,
    brick: float,
    wicks: bool = False,
    emit: Literal["final", "update"] = "final",
    eligibility: Table | Judge | None = None,
    counters: Counters | None = None,
) -> Lifted[Event | Columns[Any], Bar]:
    """One bar, a brick, for every symbol whenever its price has moved by ``brick`` beyond the brick before.

    ::

        --10--10.6--11--12.3------11.5----9.9-----|
        [          renko_bars(brick=1)            ]
        ------------u---u-----------------d-------p|    u: 10 to 11, 11 to 12; d: 11 to 10; p: cut off

    Bricks lie between whole multiples of ``brick``, whenever one began to watch. A brick up needs a price at
    the multiple above the last brick, a brick down one at the multiple below it; so a price that turns round
    has to come back by the whole last brick and one more, two bricks from where it had closed: the usual
    rule of reversal. Before the first brick the last one is taken to be where the first price lies, between
    two multiples, or on one.

    ``open`` and ``close`` are the ends of the brick, ``high`` and ``low`` too; with ``wicks=True`` the low of
    a brick up, and the high of one down, is how far its trades had gone the other way. A price that may not
    be the last one (see ``eligibility``) moves no brick.

    **Volume.** A brick holds all that was traded since the brick before, with the whole trade that completes
    it: volume, value and count are conserved. One trade may complete several bricks: the first has all of
    that, the others have no volume and count nothing. A brick lies between the stamps of its trades,
    ``[first, last + 1)``, an empty one at the stamp of the trade that made it.

    **Marks.** ``gap=True``: something may be missing since the brick before; where one trade completes
    several, all of them say so, since nobody knows when the price went there. ``partial="end"``: no brick,
    but what was traded since the last one when the source completed or the symbol was unsubscribed; its
    prices are those traded, as are those of ``emit="update"``, the bar so far at each trade that completes no
    brick.

    ``eligibility``, corrections and cancels, and sums that are exact in decimal: as *By amount* in
    :func:`window_to_bar`; bricks that have left stay. Trades are taken as they arrive.

        >>> from rtflow.events import Trade
        >>> kernel = renko_bars(brick=1).kernel()
        >>> for price in 10.0, 10.6, 12.3, 11.5, 9.9:
        ...     for bar in kernel.push(Trade("A", 0, 0, price, size=1.0)):
        ...         print(bar.open, bar.close, bar.volume, bar.count)
        10.0 11.0 3.0 3
        11.0 12.0 0.0 0
        11.0 10.0 2.0 2

    Raises ValueError for a ``brick`` that is not positive and a word that is none of the above; and, for the
    stream, at a trade that would complete more than 100,000 bricks: its price is wrong, or bricks are much
    too small for such prices.
    """
    if emit not in ("final", "update"):
        raise ValueError(f"{emit!r} is none of 'final', 'update'")
    if not 0 < brick < inf:
        raise ValueError(f"a brick needs a positive height, not {brick!r}")
    height, updates = Fraction(str(brick)), emit == "update"
    judge, counted = judge_by(eligibility, daily=False), Counters() if counters is None else counters
    return lift(lambda: _RenkoBars(height, judge, counted, wicks=wicks, updates=updates))


class _Memory(Memory, frozen=True, kw_only=True):
    """The ends of the last brick, in bricks; None before the first price."""

    ends: tuple[int, int] | None = None


@dataclass(slots=True)
class _Run(Run[_Memory]):
    """What was traded since the last brick, and the prices that complete the next, up or down."""

    ends: tuple[int, int] | None = None
    above: float = inf
    below: float = -inf


class _RenkoBars(TradeBars[_Memory, _Run]):
    """A price far enough away leaves a brick, or several."""

    _operator = "renko_bars"

    def __init__(
        self, height: Fraction, judge: Judge, counters: Counters, *, wicks: bool, updates: bool
    ) -> None:
        super().__init__(_Memory(), judge, counters, updates=updates)
        self._height = height
        self._wicks = wicks

    def _begin(self, symbol: str, memory: _Memory) -> _Run:
        run = _Run(blank(symbol), memory, *units(memory, "ticks", Fraction(1)))
        if memory.ends is not None:
            self._lie(run, *memory.ends)
        return run

    def _take(self, venue: Venue[_Run], run: _Run, trade: Trade, rule: Rule) -> tuple[Bar, ...]:
        run.add(trade, rule)
        if rule.close and not rule.close_if_none:
            if run.ends is None:
                place = self._in_bricks(trade.price)
                self._lie(run, floor(place), ceil(place))
            elif trade.price >= run.above or trade.price <= run.below:
                return self._bricks(venue, run, trade, *run.ends)
        return self._told(venue, run) if self._updates else ()

    def _lie(self, run: _Run, low: int, high: int) -> None:
        """Put the last brick there."""
        run.ends = low, high
        run.above, run.below = self._price(high + 1), self._price(low - 1)

    def _bricks(self, venue: Venue[_Run], run: _Run, trade: Trade, low: int, high: int) -> tuple[Bar, ...]:
        """The bricks from the last one to a price."""
        place, stamp = self._in_bricks(trade.price), trade.ts_event
        opens = range(high, floor(place)) if place > high else range(low, ceil(place), -1)
        if abs(opens.stop - opens.start) > MOST_AT_ONCE:
            raise ValueError(f"more than {MOST_AT_ONCE:,} bricks of {float(self._height)} at {trade}")
        traded = run.bar(venue.name, gap=venue.gap(run))
        made: list[Bar] = []
        for open in opens:  # noqa: A001
            wick = (traded.low, traded.high) if self._wicks and run.forming.ranged and not made else ()
            made.append(self._brick(traded, open, open + opens.step, wick))
            low, high = sorted((open, open + opens.step))
            traded = replace(
                traded,
                start=stamp,
                end=stamp + 1,
                volume=0.0,
                count=0,
                value=0.0,
                buy_volume=0.0,
                sell_volume=0.0,
            )
        venue.runs[trade.symbol] = self._begin(trade.symbol, replace(run.memory, ends=(low, high)))
        return tuple(made)

    def _brick(self, traded: Bar, start: int, end: int, wick: tuple[float, ...]) -> Bar:
        """What was traded, between the ends of a brick."""
        open, close = self._price(start), self._price(end)  # noqa: A001
        low, high = min(open, close, *wick), max(open, close, *wick)
        if end > start:
            high = close  # where the price has gone beyond it belongs to the next one
        else:
            low = close
        return replace(
            traded,
            open=open,
            high=high,
            low=low,
            close=close,
            ts_open=traded.start,
            ts_close=traded.end - 1,
        )

    def _in_bricks(self, price: float) -> Fraction:
        return Fraction(str(float(price))) / self._height

    def _price(self, bricks: int) -> float:
        return float(bricks * self._height)
