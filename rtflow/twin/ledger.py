"""What a consolidated feed makes of a market's trades: prints, bars, bands and halts.

A few prints come late, a few are put right or taken back seconds later; the market itself is never wrong,
only its reporting is, by a seeded chance. Which trades make a bar:
https://docs.alpaca.markets/docs/market-data-faq.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Literal, TypeAlias

import msgspec

from rtflow.time import SECOND
from rtflow.twin.market import Fill, Listing, Market, Move

FINER = 6
"""Decimals that a volume-weighted average has more than a price."""

_MINUTE = 60 * SECOND
_DAY = 24 * 60 * _MINUTE

Channel: TypeAlias = Literal[
    "trades",
    "quotes",
    "orderbooks",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "imbalances",
    "corrections",
    "cancelErrors",
]


class Point(msgspec.Struct, frozen=True):
    """Something to tell of one symbol on one channel."""

    channel: Channel
    symbol: str
    stamp: int


class Print(Point, frozen=True):
    """A trade as it is reported."""

    id: int
    side: int
    price: int
    size: int
    sweep: bool  # one of several that one market order took


class Correction(Point, frozen=True):
    """``was`` is void; ``now`` replaces it."""

    was: Print
    now: Print


class Cancel(Point, frozen=True):
    """``was`` is void."""

    was: Print


class Bar(Point, frozen=True):
    """A minute or a day; ``stamp`` is its left edge."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    count: int
    vwap: int  # with FINER more decimals


class Halt(Point, frozen=True):
    """Trading stopped, or goes on."""

    halted: bool


class Bands(Point, frozen=True):
    """Limit up, limit down."""

    up: int
    down: int


class Imbalance(Point, frozen=True):
    """An order imbalance at a price."""

    price: int


class Ledger:
    """The entries of all symbols of one market, and the agenda of what is still to be entered."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._random = Random(f"{market.seed} ledger")
        self._minutes: dict[str, dict[int, dict[int, Print]]] = {each: {} for each in market.listings}
        self._bars: dict[str, dict[int, Bar]] = {each: {} for each in market.listings}
        self._agenda: list[
            tuple[int, int, Print | Correction | Cancel | None]
        ] = []  # None: a half minute's mark
        self._entries = 0
        self._corrected = 50_000_000_000_000
        self._enter(market.now // (_MINUTE // 2) * (_MINUTE // 2) + _MINUTE // 2, None)

    def due(self) -> int:
        """The stamp of the next entry."""
        return self._agenda[0][0]

    def moved(self, move: Move) -> list[Point]:
        """What there is to tell of ``move`` at once."""
        points: list[Point] = []
        if move.status:
            points.append(Halt("statuses", move.symbol, move.stamp, move.status == "halted"))
        listing = self._market.listings[move.symbol]
        for fill in move.trades:
            entry = Print(
                "trades",
                fill.symbol,
                fill.stamp,
                fill.id,
                fill.side,
                fill.price,
                fill.size,
                listing.stock and fill.market and len(move.trades) > 1,
            )
            if listing.stock and self._late(fill):
                self._enter(fill.stamp + 2 * SECOND, entry)
            else:
                points += self._printed(entry, move.stamp)
        return points

    def wake(self, now: int) -> list[Point]:
        """What there is to tell at ``now``; moves :meth:`due` on."""
        points: list[Point] = []
        while self._agenda[0][0] <= now:
            due, _, point = heappop(self._agenda)
            if point is None:
                points += self._marked(due)
                self._enter(due + _MINUTE // 2, None)
            elif isinstance(point, Print):
                points += self._printed(point, due)
            else:
                points += self._amended(point, due)
        return points

    def _late(self, fill: Fill) -> bool:
        """One trade in four of a minute's last second is reported after the minute's bar."""
        return fill.stamp % _MINUTE >= _MINUTE - SECOND and self._random.getrandbits(2) == 0

    def _printed(self, entry: Print, now: int) -> list[Point]:
        minute = entry.stamp // _MINUTE * _MINUTE
        self._minutes[entry.symbol].setdefault(minute, {})[entry.id] = entry
        if self._market.listings[entry.symbol].stock and self._random.getrandbits(8) == 0:
            # seconds later, and before the minute is forgotten
            self._enter(now + 2 * SECOND + self._random.getrandbits(33), self._amendment(entry))
        return [entry]

    def _amendment(self, entry: Print) -> Correction | Cancel:
        stamp = entry.stamp
        if self._random.getrandbits(1):
            return Cancel("cancelErrors", entry.symbol, stamp, entry)
        self._corrected += 1
        right = msgspec.structs.replace(entry, id=self._corrected, price=entry.price + 1)
        return Correction("corrections", entry.symbol, stamp, entry, right)

    def _amended(self, point: Correction | Cancel, now: int) -> list[Point]:
        minute = self._minutes[point.symbol][point.stamp // _MINUTE * _MINUTE]
        del minute[point.was.id]
        if isinstance(point, Correction):
            minute[point.now.id] = point.now
        return [msgspec.structs.replace(point, stamp=now)]

    def _marked(self, now: int) -> list[Point]:
        """At a full minute its bars, the day so far and the bands; at a half the bars that changed since."""
        points: list[Point] = []
        whole = now % _MINUTE == 0
        minute = now - _MINUTE if whole else now // _MINUTE * _MINUTE - _MINUTE
        for symbol, listing in self._market.listings.items():
            prints = self._minutes[symbol].get(minute, {})
            bars = self._bars[symbol]
            bar = self._fold(listing, minute, list(prints.values()))
            if not whole:
                for old in [each for each in self._minutes[symbol] if each <= minute]:
                    del self._minutes[symbol][old]
                if bar is not None and bar != bars.get(minute):
                    bars[minute] = bar
                    points.append(msgspec.structs.replace(bar, channel="updatedBars"))
                continue
            if bar is not None:
                bars[minute] = bar
                points.append(bar)
            midnight = _midnight(minute)
            day = [each for each in bars.values() if each.stamp >= midnight]
            if day:
                points.append(_merged(symbol, midnight, day))
            if listing.stock:
                points += self._bands(listing, now)
        return points

    def _fold(self, listing: Listing, minute: int, prints: list[Print]) -> Bar | None:
        """The bar of a minute's prints: an odd lot sets no price; a coin without trades has its mid."""
        prints.sort(key=lambda each: each.stamp)
        priced = [each for each in prints if each.size >= listing.lot]
        if not priced:
            if listing.stock or prints:
                return None
            bids, asks = self._market.book(listing.symbol)
            middle = (bids.keys[-1] - asks.keys[-1]) // 2
            return Bar("bars", listing.symbol, minute, middle, middle, middle, middle, 0, 0, 0)
        prices = [each.price for each in priced]
        volume = sum(each.size for each in priced)
        value = sum(each.price * each.size for each in priced)
        return Bar(
            "bars",
            listing.symbol,
            minute,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(each.size for each in prints),
            len(prints),
            value * 10**FINER // volume,
        )

    def _bands(self, listing: Listing, now: int) -> list[Point]:
        bids, asks = self._market.book(listing.symbol)
        middle = (bids.keys[-1] - asks.keys[-1]) // 2
        return [
            Bands("lulds", listing.symbol, now, middle * 105 // 100, middle * 95 // 100),
            Imbalance("imbalances", listing.symbol, now, middle),
        ]

    def _enter(self, stamp: int, point: Print | Correction | Cancel | None) -> None:
        self._entries += 1
        heappush(self._agenda, (stamp, self._entries, point))


def _merged(symbol: str, midnight: int, bars: list[Bar]) -> Bar:
    """The day so far, of its minutes in order."""
    volume = sum(each.volume for each in bars)
    return Bar(
        "dailyBars",
        symbol,
        midnight,
        bars[0].open,
        max(each.high for each in bars),
        min(each.low for each in bars),
        bars[-1].close,
        volume,
        sum(each.count for each in bars),
        sum(each.vwap * each.volume for each in bars) // volume if volume else 0,
    )


def _midnight(stamp: int) -> int:
    """The midnight in New York that began the day of ``stamp``, whatever the season."""
    day = (stamp - _behind(stamp)) // _DAY * _DAY
    return day + _behind(day + 5 * 60 * _MINUTE)


def _behind(stamp: int) -> int:
    """How far New York is behind UTC: four hours from the second Sunday of March to the first of November."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=stamp // SECOND)
    begins = _sunday(moment.year, 3, 8).replace(hour=7)
    ends = _sunday(moment.year, 11, 1).replace(hour=6)
    return (4 if begins <= moment < ends else 5) * 60 * _MINUTE


def _sunday(year: int, month: int, day: int) -> datetime:
    """The first Sunday on or after that day."""
    first = datetime(year, month, day, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7)
