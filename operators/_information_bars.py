"""Information bars: trades are signed, and a bar is full when one side has traded more than was expected."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, nan
from operator import index
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from rtflow.counters import Counters
from rtflow.events import Bar, Side, Trade
from rtflow.operators._bars_by_trades import Measure, Memory, Run, TradeBars, Venue, blank, units
from rtflow.operators._forming import Judge, Rule

Signs: TypeAlias = Literal["side_or_tick", "side", "tick"]
"""What says who bought: ``Trade.side``, the tick rule, or the second where the first is unknown."""

_BUY, _SELL = Side.BUY, Side.SELL


class InformationRules(msgspec.Struct, frozen=True):
    """What is measured, and when a bar is full."""

    measure: Measure
    threshold: Fraction | None  # None: what is expected, and the first bar is one of so many trades:
    trades: int
    span: float
    bounds: tuple[float, float]
    signs: Signs
    updates: bool  # emit="update"

    @property
    def per_bar(self) -> float:
        """What the last bar weighs in a moving average over bars."""
        return 2 / (self.span + 1)

    @property
    def per_trade(self) -> float:
        """What the last trade weighs in one over the trades of as many bars."""
        return 2 / (self.span * self.trades + 1)


class InformationMemory(Memory, frozen=True, kw_only=True):
    """The last price and the last sign: what the tick rule goes by."""

    price: float | None = None
    sign: int = 0


_M = TypeVar("_M", bound=InformationMemory)


@dataclass(slots=True)
class InformationRun(Run[_M]):
    """A bar, and what each side has traded in it; ``flow`` is the moving average, with the signs."""

    price: float = nan
    sign: int = 0
    up: int = 0
    down: int = 0
    ups: int = 0
    downs: int = 0
    flow: float = 0.0


class InformationBars(TradeBars[_M, InformationRun[_M]], Generic[_M]):
    """What imbalance bars and run bars share; they differ in what they add up and in what they expect."""

    _smooth = 0.0  # what a trade weighs in ``flow``; 0 where nobody asks for it

    def __init__(self, rules: InformationRules, first: _M, judge: Judge, counters: Counters) -> None:
        super().__init__(first, judge, counters, updates=rules.updates)
        self._rules = rules
        self._measure: Measure = rules.measure
        self._by_side, self._by_tick = rules.signs != "tick", rules.signs != "side"

    @abstractmethod
    def _full(self, run: InformationRun[_M]) -> bool:
        """Whether one side, or what it has more than the other, has reached the goal."""

    @abstractmethod
    def _expected(self, memory: _M) -> float | None:
        """What the next bar is full at; None while nothing is known."""

    @abstractmethod
    def _learned(self, run: InformationRun[_M]) -> _M:
        """What a full bar adds to what is known."""

    def _begin(self, symbol: str, memory: _M) -> InformationRun[_M]:
        threshold = self._threshold(memory)
        run = InformationRun(blank(symbol), memory, *units(memory, self._measure, threshold or Fraction()))
        if threshold is None:
            run.goal = 0
        run.price = nan if memory.price is None else memory.price
        run.sign = memory.sign
        return run

    def _threshold(self, memory: _M) -> Fraction | None:
        if self._rules.threshold is not None:
            return self._rules.threshold
        expected = self._expected(memory)
        return None if expected is None else Fraction(expected)

    def _take(
        self, venue: Venue[InformationRun[_M]], run: InformationRun[_M], trade: Trade, rule: Rule
    ) -> tuple[Bar, ...]:
        size, value = run.add(trade, rule)
        if rule.volume:
            measure, side = self._measure, trade.side
            amount = 1 if measure == "ticks" else size if measure == "volume" else abs(value)
            if side is _BUY and self._by_side:
                sign = 1
            elif side is _SELL and self._by_side:
                sign = -1
            elif not self._by_tick:
                sign = 0
            else:
                sign = 1 if trade.price > run.price else -1 if trade.price < run.price else run.sign
            run.sign = sign
            if sign > 0:
                run.up += amount
                run.ups += 1
            elif sign < 0:
                run.down += amount
                run.downs += 1
            if self._smooth:
                run.flow += self._smooth * (sign * amount / run.unit - run.flow)
        if rule.close and not rule.close_if_none:
            run.price = trade.price
        full = self._full(run) if run.goal else run.count >= self._rules.trades
        if not full or not run.forming.priced:
            return self._told(venue, run) if self._updates else ()
        made = run.bar(venue.name, gap=venue.gap(run))
        venue.runs[trade.symbol] = self._begin(trade.symbol, self._learned(run))
        return (made,)


def information_rules(
    of: Measure,
    threshold: float | None,
    trades: int | None,
    span: float,
    bounds: tuple[float, float],
    signs: Signs,
    emit: Literal["final", "update"],
) -> InformationRules:
    """The options of both kinds of bars, checked."""
    for word, known in (
        (of, ("ticks", "volume", "value")),
        (signs, ("side_or_tick", "side", "tick")),
        (emit, ("final", "update")),
    ):
        if word not in known:
            raise ValueError(f"{word!r} is none of {', '.join(map(repr, known))}")
    if (threshold is None) == (trades is None):
        raise ValueError("a bar is full by exactly one of threshold and trades")
    if threshold is not None and not 0 < threshold < float("inf"):
        raise ValueError(f"a bar needs a positive threshold, not {threshold!r}")
    if trades is not None and index(trades) < 1:
        raise ValueError(f"a bar is expected to have a trade at least, not {trades!r}")
    if not 0 < span < float("inf"):
        raise ValueError(f"an average needs a positive span, not {span!r}")
    low, high = bounds
    if not 0 < low <= high or not isfinite(high):
        raise ValueError(f"bounds are two positive numbers, the lower one first, not {bounds!r}")
    exact = None if threshold is None else Fraction(str(threshold))
    return InformationRules(of, exact, trades or 1, span, (low, high), signs, emit == "update")
