"""A bar in the making: its sums, and the prices that its prints have set."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from rtflow.events import Bar, Side

Partial: TypeAlias = Literal["start", "end"] | None


class Rule(Protocol):
    """What one print does to a bar, field by field: :class:`rtflow.conditions.Eligibility` is one."""

    @property
    def volume(self) -> bool: ...
    @property
    def high_low(self) -> bool: ...
    @property
    def open(self) -> bool: ...
    @property
    def close(self) -> bool: ...
    @property
    def close_if_none(self) -> bool: ...


@runtime_checkable
class Table(Protocol):
    """Says what a print with these conditions may do: :data:`rtflow.conditions.SALE_CONDITIONS` is one."""

    def eligibility(self, conditions: tuple[str, ...], tape: str = "", *, daily: bool = False) -> Rule: ...


Judge: TypeAlias = Callable[[tuple[str, ...], str], Rule]
"""The rule of a print, by its conditions and its tape."""


class Counts(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A rule of our own, to keep beside a print."""

    volume: bool = True
    high_low: bool = True
    open: bool = True
    close: bool = True
    close_if_none: bool = False


EVERYTHING = Counts()
_start = attrgetter("start")


def judge_by(eligibility: Table | Judge | None, *, daily: bool) -> Judge:
    """How prints are judged; without a table, each counts in full. TypeError for what cannot judge."""
    if eligibility is None:
        return lambda conditions, tape: EVERYTHING
    if isinstance(eligibility, Table):
        return partial(eligibility.eligibility, daily=daily)
    if not callable(eligibility):
        raise TypeError(
            f"eligibility= wants a table such as SALE_CONDITIONS or a function, not {eligibility!r}"
        )
    return eligibility


class Print(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a bar has to remember of a trade, should it be put right."""

    id: str
    stamp: int
    price: float
    size: float
    side: Side
    rule: Counts


@dataclass(slots=True)
class Forming:
    """A bar that may still change."""

    symbol: str
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    ts_open: int
    ts_close: int
    ts_recv: int
    volume: float = 0.0
    count: int = 0
    value: float = 0.0
    buy_volume: float = 0.0
    sell_volume: float = 0.0
    partial: Partial = None
    # Where a print may set some prices and not others: which of them have been set.
    opened: bool = True
    ranged: bool = True
    closed: bool = True
    yields: bool = False  # the close is one that gives way (close_if_none)
    # Where trades may be put right: all of them, and how often the bar has left. -1: not yet.
    prints: list[Print] = field(default_factory=list[Print])
    revision: int = -1
    over: bool = False  # its stretch has closed
    parts: tuple[Bar, ...] = ()  # where it is made of smaller bars: these, in order

    @property
    def priced(self) -> bool:
        """Whether it has all its prices; without them it cannot leave."""
        return self.opened and self.ranged and self.closed

    def clear(self) -> None:
        """As before the first print."""
        self.volume = self.value = self.buy_volume = self.sell_volume = 0.0
        self.count = 0
        self.opened = self.ranged = self.closed = self.yields = False

    def add(self, price: float, size: float, side: Side, stamp: int, rule: Rule) -> None:
        """Take a print, as far as its rule lets it."""
        if rule.volume:
            self.volume += size
            self.value += price * size
            self.count += 1
            if side is Side.BUY:
                self.buy_volume += size
            elif side is Side.SELL:
                self.sell_volume += size
        self.price(price, stamp, rule)

    def price(self, price: float, stamp: int, rule: Rule) -> None:
        """Let a print set the prices that its rule allows; those of one moment count as they came."""
        if rule.high_low:
            if not self.ranged:
                self.high, self.low, self.ranged = price, price, True
            elif price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
        if rule.open and (not self.opened or stamp < self.ts_open):
            self.open, self.ts_open, self.opened = price, stamp, True
        if rule.close:
            if rule.close_if_none:
                if self.closed:
                    return
                self.yields = True
            elif self.closed and not self.yields and stamp < self.ts_close:
                return
            else:
                self.yields = False
            self.close, self.ts_close, self.closed = price, stamp, True

    def put(self, part: Bar) -> bool:
        """Take a smaller bar, in the place of what it was before; False where another is in its way."""
        place = rest = bisect_left(self.parts, part.start, key=_start)
        for near in self.parts[max(place - 1, 0) : place + 1]:
            if (near.start, near.end) == (part.start, part.end):
                rest = place + 1
            elif near.start < part.end and part.start < near.end:
                return False
        self.parts = (*self.parts[:place], part, *self.parts[rest:])
        return True

    def bar(self, venue: str, *, gap: bool, final: bool = True, revision: int = 0) -> Bar:
        """What it is now."""
        return Bar(
            self.symbol,
            self.start,
            self.end,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.count,
            self.value,
            self.buy_volume,
            self.sell_volume,
            self.ts_open,
            self.ts_close,
            self.ts_recv,
            venue,
            self.partial,
            gap,
            final=final,
            revision=revision,
        )
