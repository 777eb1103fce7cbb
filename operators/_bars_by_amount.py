"""Bars by amount: so many trades, so much volume or value, however long that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, Literal

import msgspec

from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Lost, Side, Status, Trade, TradeCancel, TradeCorrection
from rtflow.kernel import Kernel
from rtflow.operators._forming import Forming, Judge, Partial, Rule

_EXACT = Context(prec=60, traps=[])  # a product of two floats has 34 digits; the rest is for sums
_NONE = Decimal(0)
_ONE = Decimal(1)
_NEVER = (1 << 63) - 1


class AmountRules(msgspec.Struct, frozen=True):
    """What is measured, and how much of it makes a bar."""

    measure: Literal["ticks", "volume", "value"]
    target: Decimal
    splits: bool  # overshoot="split", of what can be split
    updates: bool  # emit="update"


class AmountBars(Kernel[Event, Bar]):
    """Each venue's symbols, and how far their bars are filled.

    Sums are decimal, for a price and a size are exact in decimal: ten trades of 0.1 are 1, and what a split
    leaves of a trade is the rest of it. They are rounded once, where a bar leaves.
    """

    def __init__(self, rules: AmountRules, judge: Judge, counters: Counters) -> None:
        self._rules = rules
        self._judge = judge
        self._counters = counters
        self._venues: dict[str, _Venue] = {}

    def push(self, item: Event) -> tuple[Bar, ...]:
        if type(item) is Trade:
            return self._take(item)
        if isinstance(item, TradeCorrection | TradeCancel):
            self._counters.add("unapplied")
        elif isinstance(item, Gap):
            if item.kind in ("", "trades"):
                self._venue(item.venue).remember(item)
        elif isinstance(item, Lost):
            for venue in self._venues.values():
                venue.mark((item.symbol,) if item.symbol else ())
        elif isinstance(item, Status) and item.state == "unsubscribed" and item.kind in ("", "trades"):
            return tuple(self._cut_off(self._venue(item.venue), item.venue, item.symbol))
        return ()

    def flush(self) -> Iterator[Bar]:
        venues, self._venues = self._venues, {}
        for name in sorted(venues):
            for symbol in sorted(venues[name].runs):
                yield from self._cut_off(venues[name], name, symbol)

    def state(self) -> Any:
        return msgspec.to_builtins(self._venues)

    def restore(self, state: Any) -> None:
        self._venues = msgspec.convert(state, dict[str, _Venue])

    def _venue(self, name: str) -> _Venue:
        return self._venues.setdefault(name, _Venue())

    def _take(self, trade: Trade) -> tuple[Bar, ...]:
        rules, venue = self._rules, self._venue(trade.venue)
        run = venue.runs.get(trade.symbol) or venue.begin(trade.symbol)
        rule = self._judge(trade.conditions, trade.tape)
        if not (rule.volume or rule.high_low or rule.open or rule.close):
            return ()
        rest = self._whole(trade) if rule.volume else _NO_PART
        sets_price = rule.high_low and rule.open and rule.close
        made: list[Bar] = []
        while rules.splits and (sets_price or run.forming.priced):
            room = _EXACT.subtract(rules.target, run.filled)
            if not 0 < room < rest.amount:
                break
            part = self._part(rest, room)
            run.add(trade, rule, part)
            made.append(venue.bar(trade.venue, run))
            run, rest = venue.begin(trade.symbol), rest.without(part)
        run.add(trade, rule, rest)
        if run.filled >= rules.target and run.forming.priced:
            made.append(venue.bar(trade.venue, run))
            venue.begin(trade.symbol)
        elif rules.updates and run.forming.priced:
            made.append(venue.bar(trade.venue, run, final=False))
        return tuple(made)

    def _whole(self, trade: Trade) -> _Part:
        size = Decimal(str(trade.size))
        value = _EXACT.multiply(Decimal(str(trade.price)), size)
        if not value.is_finite():
            raise ValueError(f"no bar adds up with {trade}")
        measure = self._rules.measure
        amount = size if measure == "volume" else abs(value) if measure == "value" else _ONE
        return _Part(amount, size, value, 1)

    def _part(self, whole: _Part, room: Decimal) -> _Part:
        """As much of a trade as there is room for."""
        share = _EXACT.divide(_EXACT.multiply(whole.size, room), whole.amount)
        value = _EXACT.divide(_EXACT.multiply(whole.value, room), whole.amount)
        return _Part(room, share, value, whole.count)

    def _cut_off(self, venue: _Venue, name: str, symbol: str) -> Iterator[Bar]:
        run = venue.runs.pop(symbol, None)
        if run is not None and run.forming.priced:
            yield venue.bar(name, run, partial="end")
        elif run is not None and run.count:
            self._counters.add("unpriced", run.count)


class _Part(msgspec.Struct, frozen=True, gc=False):
    """A trade, or a part of it."""

    amount: Decimal  # of what is measured
    size: Decimal
    value: Decimal
    count: int  # a trade counts where it begins: what is left of it counts no more

    def without(self, part: _Part) -> _Part:
        subtract = _EXACT.subtract
        return _Part(
            subtract(self.amount, part.amount),
            subtract(self.size, part.size),
            subtract(self.value, part.value),
            self.count - part.count,
        )


_NO_PART = _Part(_NONE, _NONE, _NONE, 0)


@dataclass(slots=True)
class _Run:
    """A symbol's bar, and the exact sums of it."""

    forming: Forming
    filled: Decimal = _NONE
    volume: Decimal = _NONE
    value: Decimal = _NONE
    bought: Decimal = _NONE
    sold: Decimal = _NONE
    count: int = 0
    gap: bool = False  # something is missing since the bar before

    def add(self, trade: Trade, rule: Rule, part: _Part) -> None:
        stamp, forming = trade.ts_event, self.forming
        forming.start, forming.end = min(forming.start, stamp), max(forming.end, stamp + 1)
        forming.ts_recv = trade.ts_recv
        forming.price(trade.price, stamp, rule)
        self.filled = _EXACT.add(self.filled, part.amount)
        self.volume = _EXACT.add(self.volume, part.size)
        self.value = _EXACT.add(self.value, part.value)
        self.count += part.count
        if trade.side is Side.BUY:
            self.bought = _EXACT.add(self.bought, part.size)
        elif trade.side is Side.SELL:
            self.sold = _EXACT.add(self.sold, part.size)


@dataclass(slots=True)
class _Hole:
    """A Gap that has not ended."""

    ts_start: int
    symbols: tuple[str, ...]  # empty: all of them


@dataclass(slots=True)
class _Venue:
    """A venue's symbols, each with the bar that is being filled, and the gaps that are open."""

    runs: dict[str, _Run] = field(default_factory=dict[str, _Run])
    holes: list[_Hole] = field(default_factory=list[_Hole])

    def begin(self, symbol: str) -> _Run:
        nothing = Forming(symbol, _NEVER, -_NEVER, 0.0, 0.0, 0.0, 0.0, 0, 0, 0)
        nothing.clear()
        run = self.runs[symbol] = _Run(nothing)
        return run

    def bar(self, name: str, run: _Run, *, partial: Partial = None, final: bool = True) -> Bar:
        """What a bar that is priced is now."""
        forming = run.forming
        forming.volume, forming.value, forming.count = float(run.volume), float(run.value), run.count
        forming.buy_volume, forming.sell_volume = float(run.bought), float(run.sold)
        forming.partial = partial
        gap = run.gap or any(not hole.symbols or forming.symbol in hole.symbols for hole in self.holes)
        return forming.bar(name, gap=gap, final=final)

    def mark(self, symbols: tuple[str, ...]) -> None:
        """Something is missing in the bars of these symbols; of all, if none is named."""
        for symbol in symbols or self.runs:
            if symbol in self.runs:
                self.runs[symbol].gap = True

    def remember(self, gap: Gap) -> None:
        """A gap, or what has become of it."""
        hole = _Hole(gap.ts_start, gap.symbols)
        self.holes = [each for each in self.holes if each != hole]
        if gap.ts_end is None:
            self.holes.append(hole)
        elif gap.filled is None:  # else what was missing follows
            self.mark(gap.symbols)
