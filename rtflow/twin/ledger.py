"""What feeds make of a market: prints, bars, bands and halts; options on its stocks, and news of all of it.

A few prints come late, a few are put right or taken back seconds later; the market itself is never wrong,
only its reporting is, by a seeded chance. Which trades make a bar:
https://docs.alpaca.markets/docs/market-data-faq. What an option is worth follows from its stock's touch
alone, and who trades it from the stock's trades.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
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
    "news",
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


class OptionPrint(Point, frozen=True):
    """A trade of an option, made of its stock's."""

    id: int  # of the stock's trade
    price: int
    size: int


class Article(Point, frozen=True):
    """Some news; ``stamp`` is when it was last put right."""

    id: int
    symbols: tuple[str, ...]
    headline: str
    created: int


class Contract(msgspec.Struct, frozen=True):
    """An option on ``stock``; prices are in units of the stock's.

    >>> call, put, *_ = contracts(Listing("AAPL", 230_00, lot=100, tape="C"), opened=0)
    >>> call.symbol, put.symbol
    ('AAPL700116C00200000', 'AAPL700116P00200000')
    >>> call.touch(Move("AAPL", 0, (), (), (), 230_00, 400, 230_02, 300, True), lot=100)
    (2970, 5, 3032, 4)
    """

    symbol: str
    stock: str
    number: int  # among the stock's
    call: bool
    strike: int
    expires: date
    span: int  # what its time is worth at the strike; a quarter less for each unit away

    def touch(self, move: Move, lot: int) -> tuple[int, int, int, int]:
        """Bid, its size, ask and its size after ``move`` of the stock; a bid of 0 is none."""
        middle = (move.bid + move.ask) // 2
        gain = middle - self.strike if self.call else self.strike - middle
        worth = max(0, gain) + max(0, self.span - abs(gain) // 4)
        half = 1 + worth // 100
        bid = max(0, worth - half)
        sizes = [1 + (size // lot + self.number) % 50 for size in (move.bid_size, move.ask_size)]
        return bid, sizes[0] if bid else 0, worth + half, sizes[1]


def contracts(listing: Listing, opened: int) -> tuple[Contract, ...]:
    """The options on a stock: calls and puts of up to seven strikes around the price that it opens at.

    They expire on the first third Friday of a month that is a week or more after ``opened``.
    """
    dollar = 10**listing.price_precision
    step = dollar * (1 if listing.price < 25 * dollar else 5 if listing.price < 200 * dollar else 10)
    middle = (listing.price + step // 2) // step * step
    strikes = [strike for strike in range(middle - 3 * step, middle + 4 * step, step) if strike > 0]
    expires = _third_friday(opened + 7 * _DAY)
    return tuple(
        Contract(
            f"{listing.symbol}{expires:%y%m%d}{'C' if call else 'P'}{strike * 1000 // dollar:08}",
            listing.symbol,
            2 * index + (not call),
            call,
            strike,
            expires,
            listing.price * 3 // 100,
        )
        for index, strike in enumerate(strikes)
        for call in (True, False)
    )


class Ledger:
    """The entries of all symbols of one market, and the agenda of what is still to be entered."""

    def __init__(self, market: Market) -> None:
        self.contracts = {
            each.symbol: contracts(each, market.now) if each.stock else ()
            for each in market.listings.values()
        }
        self._market = market
        self._random = Random(f"{market.seed} ledger")
        self._minutes: dict[str, dict[int, dict[int, Print]]] = {each: {} for each in market.listings}
        self._bars: dict[str, dict[int, Bar]] = {each: {} for each in market.listings}
        self._agenda: list[
            tuple[int, int, Print | Correction | Cancel | Article | None]
        ] = []  # None: a half minute's mark
        self._entries = 0
        self._desk = Random(f"{market.seed} news")
        self._articles = 40_000_000
        self._corrected = 50_000_000_000_000
        self._enter(market.now // (_MINUTE // 2) * (_MINUTE // 2) + _MINUTE // 2, None)
        self._write(market.now)

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
            points += self._optioned(move, fill)
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
            elif isinstance(point, Article):
                points.append(point)
                if point.stamp == point.created:
                    self._write(due)
            else:
                points += self._amended(point, due)
        return points

    def article(self, stamp: int, headline: str = "", symbols: Collection[str] | None = None) -> Article:
        """A fresh piece of news, of no consequence; what is not said is drawn."""
        draw = self._desk.getrandbits
        if symbols is None:
            listed = [*self._market.listings]
            symbols = [listed[draw(16) % len(listed)] for _ in range(draw(2))]
        names = tuple(sorted({each.replace("/", "") for each in symbols}))  # coins are spelled without
        drawn = _HEADLINES[draw(16) % len(_HEADLINES)].format(" And ".join(names) or "The Market")
        self._articles += 1 + draw(4)
        return Article("news", "", stamp, self._articles, names, headline or drawn, stamp)

    def _write(self, now: int) -> None:
        """Put the next article on the agenda, minutes ahead; one in four is put right soon after."""
        draw = self._desk.getrandbits
        article = self.article(now + 60 * SECOND + draw(38))
        self._enter(article.stamp, article)
        if draw(2) == 0:
            stamp = article.stamp + SECOND + draw(34)
            right = msgspec.structs.replace(article, headline=f"{article.headline} (Updated)", stamp=stamp)
            self._enter(stamp, right)

    def _optioned(self, move: Move, fill: Fill) -> list[Point]:
        """One trade of a stock in four makes one of an option, at its touch, if there is one."""
        chain = self.contracts[fill.symbol]
        if not chain or fill.id % 4:
            return []
        contract = chain[fill.id // 4 % len(chain)]
        lot = self._market.listings[fill.symbol].lot
        bid, _, ask, _ = contract.touch(move, lot)
        price, size = ask if fill.side > 0 else bid, 1 + fill.size // lot
        return [OptionPrint("trades", contract.symbol, fill.stamp, fill.id, price, size)] if price else []

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

    def _enter(self, stamp: int, point: Print | Correction | Cancel | Article | None) -> None:
        self._entries += 1
        heappush(self._agenda, (stamp, self._entries, point))


_HEADLINES = (
    "{} In Focus As Volume Picks Up",
    "Analyst Says Little New About {}",
    "Why {} Is Where It Is",
    "A Closer Look At {}",
)


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


def _third_friday(stamp: int) -> date:
    """The first third Friday of a month on or after the day of ``stamp``."""
    day = date(1970, 1, 1) + timedelta(days=stamp // _DAY)
    while day.weekday() != _FRIDAY or not 15 <= day.day <= 21:
        day += timedelta(days=1)
    return day


_FRIDAY = 4
