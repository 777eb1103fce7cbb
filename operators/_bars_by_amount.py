"""Bars by amount: so many trades, so much volume or value, however long that takes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from msgspec.structs import replace

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.events import Bar, Side, Trade
from rtflow.operators._amounts_in_columns import amount_bars
from rtflow.operators._bars_by_trades import (
    MOST_AT_ONCE,
    Measure,
    Memory,
    Run,
    Sums,
    TradeBars,
    Venue,
    blank,
    places_of,
    units,
)
from rtflow.operators._forming import Judge, Rule


class AmountRules(msgspec.Struct, frozen=True):
    """What is measured, and how much of it makes a bar."""

    measure: Measure
    target: Decimal
    splits: bool  # overshoot="split", of what can be split
    updates: bool  # emit="update"


class _Rest(msgspec.Struct, frozen=True):
    """What a bar had no room for of its last trade, which counted there and counts no more."""

    trade: Trade
    share: Fraction  # of the whole trade


class _Memory(Memory, frozen=True, kw_only=True):
    rest: _Rest | None = None


@dataclass(slots=True)
class _Run(Run[_Memory]):
    """A bar, and how far it is filled."""

    filled: int = 0
    parts: Sums = (0, 0, 0, 0)  # of trades that are shared by bars

    def share(self, trade: Trade, share: Fraction) -> None:
        """Add a part of a trade to the sums; take one out where it is negative."""
        price, size = self.read(trade)
        part, side = _times(size, share), trade.side
        volume, value, bought, sold = self.parts
        self.parts = (
            volume + part,
            value + _times(price * size, share),
            bought + part * (side is Side.BUY),
            sold + part * (side is Side.SELL),
        )

    def sums(self) -> Sums:
        if self.parts == (0, 0, 0, 0):
            return self.volume, self.value, self.bought, self.sold
        volume, value, bought, sold = self.parts
        return self.volume + volume, self.value + value, self.bought + bought, self.sold + sold


class AmountBars(TradeBars[_Memory, _Run]):
    """A bar leaves with the trade that fills it; what is too much of that trade is the next one's."""

    def __init__(self, rules: AmountRules, judge: Judge, counters: Counters) -> None:
        places = places_of(rules.target)  # as fine as the target at least: it is a whole number of units
        first = _Memory(price_places=places) if rules.measure == "value" else _Memory(size_places=places)
        super().__init__(first, judge, counters, updates=rules.updates)
        self._measure: Measure = rules.measure
        self._target = Fraction(rules.target)
        self._splits = rules.splits

    def _begin(self, symbol: str, memory: _Memory) -> _Run:
        run = _Run(blank(symbol), memory, *units(memory, self._measure, self._target))
        if memory.rest is not None:
            trade, share = memory.rest.trade, memory.rest.share
            run.see(trade, self._judge(trade.conditions, trade.tape))
            run.share(trade, share)
            run.filled = abs(int(run.parts[0 if self._measure == "volume" else 1]))
        return run

    def _take_batch(self, batch: Columns[Any]) -> tuple[Bar, ...]:
        return amount_bars(self, batch)

    def _take(self, venue: Venue[_Run], run: _Run, trade: Trade, rule: Rule) -> tuple[Bar, ...]:
        size, value = run.add(trade, rule)
        measure = self._measure
        amount = size if measure == "volume" else abs(value) if measure == "value" else int(rule.volume)
        run.filled += amount
        if run.filled >= run.goal and run.forming.priced:
            return self._leave(venue, run, trade, amount)
        return self._told(venue, run) if self._updates else ()

    def _leave(self, venue: Venue[_Run], run: _Run, trade: Trade, amount: int) -> tuple[Bar, ...]:
        """All that one trade fills, of which ``amount`` has come into the bar."""
        if self._splits and run.filled > run.goal * MOST_AT_ONCE:
            raise ValueError(f"more than {MOST_AT_ONCE:,} bars of {float(self._target)} at {trade}")
        made: list[Bar] = []
        whole = amount
        while run.filled >= run.goal and run.forming.priced:
            excess = run.filled - run.goal
            rest = _Rest(trade, Fraction(excess, whole)) if self._splits and 0 < excess < amount else None
            if rest is not None:
                run.share(trade, -rest.share)
            made.append(run.bar(venue.name, gap=venue.gap(run)))
            run = venue.runs[trade.symbol] = self._begin(trade.symbol, replace(run.memory, rest=rest))
            amount = excess
        return (*made, *self._told(venue, run))


def _times(whole: int, share: Fraction) -> int | Fraction:
    """The share of a number, as a whole one where it is: those are added faster."""
    product, remainder = divmod(whole * share.numerator, share.denominator)
    return Fraction(whole) * share if remainder else product
