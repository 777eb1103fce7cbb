"""A seeded market: for each symbol one order book, the trades that consume it, and the touch they leave.

Plain state, no clock, no thread. Everything is an integer: stamps are nanoseconds, prices count units of
``10**-price_precision``, sizes units of ``10**-size_precision``. So nothing drifts, and one seed is one
market on every machine and every Python. Each symbol has its own generator: what else is listed changes
nothing for it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from heapq import heapify, heapreplace
from random import Random
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from rtflow.time import SECOND

NEVER = 1 << 63
"""A stamp that does not come."""


class Listing(msgspec.Struct, frozen=True):
    """What is traded, how it is spelled, and how busy it is."""

    symbol: str
    price: int  # where the market opens
    price_precision: int = 2
    size_precision: int = 0
    size: int = 400  # of a typical order
    lot: int = 1  # no level shows less
    spacing: int = 1  # typical distance between levels, in units of price
    levels: int = 200  # a side
    rate: float = 20.0  # moves per second of market time
    halts: float = 0.0  # mean seconds between trading halts; 0 for none
    tape: str = ""  # A, B or C for a US stock; "" for a coin

    @property
    def stock(self) -> bool:
        """Whether this is a stock (it has a tape) and not a coin."""
        return bool(self.tape)


def decimal(units: int, places: int) -> str:
    """``units * 10**-places`` as decimal text with exactly ``places`` decimals, never an exponent.

    >>> decimal(5, 3), decimal(-429_30, 2), decimal(7, 0)
    ('0.005', '-429.30', '7')
    """
    if not places:
        return str(units)
    digits = str(abs(units)).zfill(places + 1)
    return f"{'-' if units < 0 else ''}{digits[:-places]}.{digits[-places:]}"


LISTINGS: dict[str, Listing] = {
    each.symbol: each
    for each in (
        Listing("BTC/USD", 65000_0, 1, 8, size=25_000_000, spacing=12, levels=250, rate=60.0),
        Listing("ETH/USD", 3500_00, 2, 8, size=300_000_000, spacing=8, levels=250, rate=40.0),
        Listing("SOL/USD", 150_00, 2, 8, size=4_000_000_000, spacing=2, levels=250, rate=15.0),
        Listing("ADA/USD", 450_000, 6, 8, size=90_000_000_000, spacing=25, levels=250, rate=3.0),
        Listing("DOGE/USD", 1_200_000, 7, 8, size=500_000_000_000, spacing=60, levels=250, rate=0.5),
        Listing("AAPL", 230_00, lot=100, rate=25.0, tape="C"),
        Listing("MSFT", 430_00, lot=100, rate=20.0, tape="C"),
        Listing("SPY", 570_00, lot=100, size=900, rate=40.0, tape="B"),
        Listing("TSLA", 250_00, lot=100, spacing=2, rate=25.0, halts=90.0, tape="C"),
        Listing("GME", 24_00, lot=100, rate=0.5, tape="A"),
        Listing("FAKEPACA", 134_00, lot=100, spacing=3, rate=10.0, tape="A"),
    )
}
"""The symbols a market lists unless told otherwise: busy and quiet ones, coins and stocks."""


Flaw: TypeAlias = Literal["price", "stamp"]
"""What is wrong with a trade as it was printed."""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One trade: the taker's ``side`` (1 bought, -1 sold) met a level at the touch."""

    id: int  # consecutive per symbol
    symbol: str
    stamp: int
    side: Literal[1, -1]
    price: int
    size: int
    market: bool  # the taker's order was a market order, not a limit


class Move(msgspec.Struct, frozen=True, gc=False):
    """What one order did to one symbol at one instant.

    First the trades in order, each at the touch of its moment; then the levels that they or the order
    changed, as absolute sizes (0 when the level is gone); then the touch as it stands.
    """

    symbol: str
    stamp: int
    trades: tuple[Fill, ...]
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    touched: bool  # the touch differs from the one before
    status: Literal["", "halted", "resumed"] = ""


class Ladder:
    """One side of a book, best level last.

    A key is a price with the side's sign, so that on both sides the larger key is the better price.
    """

    __slots__ = ("keys", "sign", "sizes")

    def __init__(self, sign: Literal[1, -1]) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.sizes: dict[int, int] = {}

    def put(self, key: int, size: int) -> None:
        """Make ``size`` what stands at ``key``; 0 takes the level away."""
        if not size:
            del self.sizes[key]
            del self.keys[bisect_left(self.keys, key)]
        else:
            if key not in self.sizes:
                insort(self.keys, key)
            self.sizes[key] = size

    def levels(self, count: int | None = None) -> list[tuple[int, int]]:
        """``(price, size)`` of the best ``count`` levels (all of them without), best first."""
        keys = self.keys[::-1] if count is None else self.keys[: -count - 1 : -1]
        return [(key * self.sign, self.sizes[key]) for key in keys]


class Market:
    """One seeded market of many symbols, in virtual nanoseconds.

    ``symbols`` are :class:`Listing` or names: those of :data:`LISTINGS` are known, any other name becomes a
    coin if it has a slash and a stock if not. ``rate`` makes all of them that many times busier. After
    ``steps`` moves nothing moves any more.

    ``flaws`` is the share of trades that are printed wrongly: at a price that is 3 to 10 % off, or with a
    stamp that is 2 to 10 seconds old. :attr:`flaws` says which, for whoever would find them. Nothing else
    differs from the market without them.

    >>> market = Market(seed=7, symbols=["BTC/USD", "AAPL"])
    >>> [move.symbol for move in market.until(50_000_000)]
    ['BTC/USD']
    >>> bid, ask = market.book("BTC/USD")
    >>> bid.levels(1), ask.levels(1)
    ([(649988, 17236601)], [(650000, 75489692)])

    Raises ValueError for two listings of one symbol, and for a listing with fewer than four levels a side,
    with a book that would reach down to zero, or with a rate that is not above zero; and for a share of flaws
    that is none.
    """

    def __init__(
        self,
        seed: int = 1,
        symbols: Iterable[str | Listing] | None = None,
        *,
        start: int = 0,
        rate: float = 1.0,
        steps: int | None = None,
        flaws: float = 0.0,
    ) -> None:
        if not 0 <= flaws <= 1:
            raise ValueError(f"flaws are a share of all trades, 0 to 1, not {flaws!r}")
        listings = [each if isinstance(each, Listing) else _listing(each) for each in symbols or LISTINGS]
        self.listings = {each.symbol: each for each in listings}
        if len(self.listings) < len(listings):
            raise ValueError("a symbol is listed twice")
        self.seed = seed
        self.now = start
        self.moved = 0
        self.steps = steps
        self.flaws: dict[tuple[str, int], Flaw] = {}
        """What is wrong with a trade, by its symbol and id."""
        self._share, self._chance = flaws, Random(f"{seed} flaws")
        self._symbols = [_Symbol(each, seed, start, rate) for each in listings]
        self._named = {each.symbol: each for each in self._symbols}
        self._next = [(each.due, index) for index, each in enumerate(self._symbols)]
        heapify(self._next)

    def book(self, symbol: str) -> tuple[Ladder, Ladder]:
        """The bids and the asks of ``symbol`` as they stand, to be read only; KeyError if not listed."""
        each = self._named[symbol]
        return each.bids, each.asks

    @property
    def due(self) -> int:
        """The stamp of the next move; :data:`NEVER` after the last."""
        return NEVER if self.steps is not None and self.moved >= self.steps else self._next[0][0]

    def step(self) -> Move:
        """The next move of any symbol."""
        stamp, index = self._next[0]
        symbol = self._symbols[index]
        move = symbol.step(stamp)
        heapreplace(self._next, (symbol.due, index))
        self.now = stamp
        self.moved += 1
        if self._share and move.trades:
            return replace(move, trades=tuple(map(self._printed, move.trades)))
        return move

    def until(self, stamp: int) -> list[Move]:
        """All moves up to and including ``stamp``, in order; the market stands at ``stamp`` then."""
        moves: list[Move] = []
        while self.due <= stamp:
            moves.append(self.step())
        self.now = max(self.now, stamp)
        return moves

    def _printed(self, fill: Fill) -> Fill:
        """A trade as the venue prints it, by chance wrongly."""
        chance = self._chance
        if chance.random() >= self._share:
            return fill
        if chance.random() < 0.5:
            self.flaws[fill.symbol, fill.id] = "price"
            off = chance.choice((1, -1)) * (fill.price * chance.randint(30, 100) // 1000)
            return replace(fill, price=fill.price + off)
        self.flaws[fill.symbol, fill.id] = "stamp"
        return replace(fill, stamp=fill.stamp - chance.randint(2 * SECOND, 10 * SECOND))


def _listing(symbol: str) -> Listing:
    if symbol in LISTINGS:
        return LISTINGS[symbol]
    if "/" in symbol:
        return Listing(symbol, 100_0000, 4, 8, size=1_000_000_000, spacing=20, levels=250)
    return Listing(symbol, 100_00, lot=100, tape="C")


_MEAN = 1024
# quantiles of an exponential law in 1/1024 of its mean: waits and sizes by table, so that no
# platform's logarithm has a say in them
_EXPONENTIAL = [round(-_MEAN * math.log((index + 0.5) / 256)) for index in range(256)]

_SWEEP = 4  # levels that one order takes at most
_HALT = 5 * SECOND
_BUY, _EVEN = 1, 1 << 15


class _Symbol:
    """One symbol: its book, its generator, and the moment of its next move."""

    def __init__(self, listing: Listing, seed: int, start: int, rate: float) -> None:
        if listing.levels < 4:
            raise ValueError(f"{listing.symbol} needs four levels a side or more")
        if listing.price < 4 * listing.levels * listing.spacing:
            raise ValueError(f"the book of {listing.symbol} would reach down to zero")
        if not rate * listing.rate > 0:
            raise ValueError(f"{listing.symbol} needs a rate above zero")
        self.symbol = listing.symbol
        self.bids = Ladder(1)
        self.asks = Ladder(-1)
        self._listing = listing
        self._reach = 2 * listing.levels * listing.spacing  # how far from the touch a level may stand
        self._few = listing.levels - listing.levels // 16 - 1
        self._reserve = min(20, listing.levels // 4 + 1)  # levels that no order takes
        self._mean = max(1, round(SECOND / (rate * listing.rate)))
        # a text seed is hashed the same way everywhere, and differs by symbol
        self._bits = Random(f"{seed} {listing.symbol}").getrandbits
        self._id = 1_000_000 + self._bits(24)
        self._touch = (0, 0, 0, 0)
        self._halted = False
        self._halt_at = start + self._wait(round(listing.halts * SECOND)) if listing.halts else NEVER
        for ladder, best in ((self.bids, listing.price - listing.spacing), (self.asks, -listing.price)):
            for _ in range(listing.levels):
                ladder.put(best, self._size())
                best -= 1 + self._below(2 * listing.spacing - 1)
        self.due = start + self._wait(self._mean)

    def step(self, stamp: int) -> Move:
        """What happens at ``stamp``, which is ``due``; moves ``due`` on."""
        trades: tuple[Fill, ...] = ()
        status: Literal["", "halted", "resumed"] = ""
        changed: list[tuple[int, int]]
        ladder = self.bids if self._bits(1) else self.asks
        if self._halted:
            status, changed, self._halted = "resumed", [], False
            self._halt_at = stamp + self._wait(round(self._listing.halts * SECOND))
        elif stamp >= self._halt_at:
            status, changed, self._halted = "halted", [], True
        else:
            count, draw = len(ladder.keys), self._bits(8)
            if count > self._listing.levels or ladder.keys[0] <= ladder.keys[-1] - self._reach:
                changed = [self._remove(ladder, 0)]
            elif count < self._few:
                changed = [self._refill(ladder)]
            elif draw < 36:
                ladder, trades, changed = self._take(stamp)
            elif draw < 150:
                changed = [self._place(ladder)]
            else:
                changed = [self._withdraw(ladder)]
        self.due = stamp + (_HALT if self._halted else self._wait(self._mean))
        levels = tuple(changed)
        bid_key, ask_key = self.bids.keys[-1], self.asks.keys[-1]
        touch = (bid_key, self.bids.sizes[bid_key], -ask_key, self.asks.sizes[ask_key])
        touched = touch != self._touch
        self._touch = touch
        if ladder.sign == 1:
            return Move(self.symbol, stamp, trades, levels, (), *touch, touched, status)
        return Move(self.symbol, stamp, trades, (), levels, *touch, touched, status)

    def _take(self, stamp: int) -> tuple[Ladder, tuple[Fill, ...], list[tuple[int, int]]]:
        """A taker's order: it consumes the other side from the touch inwards."""
        listing = self._listing
        # far from where it opened the market leans back, so that no seed walks down to zero
        lean = (listing.price - self.bids.keys[-1]) * 20 * _EVEN // listing.price
        side: Literal[1, -1] = 1 if self._bits(16) < _EVEN + max(-_EVEN // 2, min(_EVEN // 2, lean)) else -1
        ladder = self.asks if side == _BUY else self.bids
        left = max(1, listing.size * _EXPONENTIAL[self._bits(8)] // (2 * _MEAN))
        if self._bits(2):  # one order in four is an odd lot
            left = max(listing.lot, left // listing.lot * listing.lot)
        market = bool(self._bits(1))
        fills: list[Fill] = []
        changed: list[tuple[int, int]] = []
        while left > 0 and len(fills) < _SWEEP and len(ladder.keys) > self._reserve:
            key = ladder.keys[-1]
            there = ladder.sizes[key]
            size = left if there - left >= listing.lot else there  # less than a lot is not left standing
            left -= size
            ladder.put(key, there - size)
            price = key * ladder.sign
            fills.append(Fill(self._id, self.symbol, stamp, side, price, size, market))
            changed.append((price, there - size))
            self._id += 1
        return ladder, tuple(fills), changed

    def _place(self, ladder: Ladder) -> tuple[int, int]:
        """A maker's order: better than the touch, near it, or deep; it never crosses."""
        other = self.asks if ladder.sign == 1 else self.bids
        best, spacing = ladder.keys[-1], self._listing.spacing
        room = -other.keys[-1] - best - 1  # free prices inside the spread
        draw = self._bits(3)
        if draw < 3 and room:
            key = best + 1 + self._below(room)
        elif draw < 6:
            key = best - self._below(6 * spacing)
        else:
            key = best - self._below(self._listing.levels * spacing)
        return self._set(ladder, key, ladder.sizes.get(key, 0) + self._size())

    def _withdraw(self, ladder: Ladder) -> tuple[int, int]:
        """A maker takes an order back, or makes it smaller; more often near the touch."""
        count = len(ladder.keys)
        index = -1 - self._below(min(8, count) if self._bits(1) else count)
        size, lot = ladder.sizes[ladder.keys[index]], self._listing.lot
        rest = size // (2 * lot) * lot if self._bits(1) else 0
        return self._set(ladder, ladder.keys[index], rest) if rest else self._remove(ladder, index)

    def _remove(self, ladder: Ladder, index: int) -> tuple[int, int]:
        return self._set(ladder, ladder.keys[index], 0)

    def _refill(self, ladder: Ladder) -> tuple[int, int]:
        """A maker's order anywhere, where a side has become short."""
        key = ladder.keys[-1] - self._below(self._reach)
        return self._set(ladder, key, ladder.sizes.get(key, 0) + self._size())

    def _set(self, ladder: Ladder, key: int, size: int) -> tuple[int, int]:
        ladder.put(key, size)
        return key * ladder.sign, size

    def _size(self) -> int:
        lot = self._listing.lot
        return max(lot, self._listing.size * _EXPONENTIAL[self._bits(8)] // _MEAN // lot * lot) + (
            self._bits(12) if lot == 1 else 0  # so that a coin's size uses all its decimals
        )

    def _wait(self, mean: int) -> int:
        return 1 + mean * _EXPONENTIAL[self._bits(8)] // _MEAN + self._bits(10)

    def _below(self, bound: int) -> int:
        """A number from 0 up to, not including, ``bound``."""
        return self._bits(32) * bound >> 32
