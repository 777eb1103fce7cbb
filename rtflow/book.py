"""OrderBook: one book as plain state; BookState: what it was at one moment, cheap to say after each update.

    >>> book = OrderBook.of(bids=[(99.0, 2.0), (98.0, 5.0)], asks=[(101.0, 6.0), (102.0, 1.0)])
    >>> book.best_bid, book.mid, book.spread
    ((99.0, 2.0), 100.0, 2.0)
    >>> state = book.view("BTC/USD", ts_event=1, ts_recv=2)
    >>> book.remove("bid", 99.0)
    >>> book.best_bid, state.bids       # what was said stays said
    ((98.0, 5.0), ((99.0, 2.0), (98.0, 5.0)))

A side is a dict of sizes, a sorted list of its prices, and the best level, which an update looks up again
only where it has touched it. A dict alone, searched whenever the best goes, was measured as quicker at 10
levels and as half as quick at 1,000; ten levels out of it cost eight times as much, and a feed that is cut to
a depth asks for the worst price too.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import zip_longest
from math import inf, isfinite
from operator import neg
from typing import Any, Literal, TypeAlias
from weakref import ReferenceType, ref

import msgspec
from msgspec.structs import force_setattr

from rtflow import html
from rtflow.events import Level, OrderBookUpdate, Side

BookSide: TypeAlias = Literal["bid", "ask"]
"""A side of the book; :class:`rtflow.events.Side` is the side of an order."""

BookStatus: TypeAlias = Literal[
    "empty",  # nothing is known and nothing is expected
    "syncing",  # nothing is known, a snapshot is expected
    "live",  # what is shown is the venue's book
    "suspect",  # known to be wrong, so nothing is shown
    "failed",  # given up, or refused by the venue
]
"""How far a book can be trusted. Only a live one shows levels."""


class _Questions:
    """What a book can be asked, whether it still changes or not."""

    __slots__ = ()

    @property
    def best_bid(self) -> Level | None:
        """The highest bid and its size."""
        raise NotImplementedError

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask and its size."""
        raise NotImplementedError

    def levels(self, side: BookSide, n: int | None = None) -> tuple[Level, ...]:
        """The best ``n`` levels of ``side``, best first; all that are known for ``None``.

        >>> OrderBook.of(asks=[(102.0, 1.0), (101.0, 6.0), (103.0, 2.0)]).levels("ask", 2)
        ((101.0, 6.0), (102.0, 1.0))
        """
        raise NotImplementedError

    @property
    def spread(self) -> float | None:
        """Best ask less best bid, in units of price: 0 when locked, negative when crossed.

        >>> OrderBook.of(bids=[(99.0, 1.0)], asks=[(101.5, 1.0)]).spread
        2.5
        """
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else ask[0] - bid[0]

    @property
    def mid(self) -> float | None:
        """The price halfway between best bid and best ask; None unless there are both.

        >>> OrderBook.of(bids=[(99.0, 1.0)]).mid is None
        True
        """
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else (bid[0] + ask[0]) / 2

    @property
    def microprice(self) -> float | None:
        """The mid weighted by the size on the *other* side: ``(bid * ask_size + ask * bid_size) / sizes``.

        It leans to where the next trade is likelier: towards the ask when the bid is the heavier. This is
        the weighted mid of Gatheral and Oomen, "Zero-intelligence realized variance estimation", Finance
        and Stochastics 14 (2010), from which Stoikov's micro-price starts.

        >>> OrderBook.of(bids=[(99.0, 3.0)], asks=[(101.0, 1.0)]).microprice
        100.5
        """
        bid, ask = self.best_bid, self.best_ask
        if bid is None or ask is None:
            return None
        return (bid[0] * ask[1] + ask[0] * bid[1]) / (bid[1] + ask[1])

    def imbalance(self, n: int = 1) -> float | None:
        """``(B - A) / (B + A)`` of the sizes on the best ``n`` levels: from -1, all asks, to 1, all bids.

        None where a side is empty. Gould and Bonart, "Queue imbalance as a one-tick-ahead price predictor
        in a limit order book", Market Microstructure and Liquidity 2 (2016), with ``n=1``.

        >>> OrderBook.of(bids=[(99.0, 3.0), (98.0, 1.0)], asks=[(101.0, 1.0)]).imbalance(2)
        0.6
        """
        bids, asks = self.levels("bid", n), self.levels("ask", n)
        if not bids or not asks:
            return None
        bid, ask = sum(size for _, size in bids), sum(size for _, size in asks)
        return (bid - ask) / (bid + ask)

    def depth_at(self, price: float) -> float | None:
        """The size that rests at exactly ``price``, of both sides where they meet; None without a level.

        >>> OrderBook.of(bids=[(99.0, 3.0)]).depth_at(99.0)
        3.0
        """
        found = [size for side in _SIDES for each, size in self.levels(side) if each == price]
        return sum(found) if found else None

    def size_within(self, bps: float) -> tuple[float, float] | None:
        """The sizes of bids and of asks no further than ``bps`` (hundredths of a percent) from the mid.

        Of what is known: where a feed is cut to a depth, more may rest beyond it. None without a mid.

        >>> OrderBook.of(bids=[(99.0, 3.0), (90.0, 7.0)], asks=[(101.0, 1.0)]).size_within(100)
        (3.0, 1.0)
        """
        mid = self.mid
        if mid is None:
            return None
        reach = abs(mid) * bps / 10_000
        return (
            sum(size for price, size in self.levels("bid") if mid - price <= reach),
            sum(size for price, size in self.levels("ask") if price - mid <= reach),
        )

    def average_price(self, side: Side, size: float) -> float | None:
        """What an order of ``size`` would pay (``BUY``) or get (``SELL``) a unit if it took the book now.

        None where the known levels do not hold as much. Raises ValueError for a side other than these two
        or a size that is not positive.

        >>> OrderBook.of(asks=[(101.0, 1.0), (102.0, 5.0)]).average_price(Side.BUY, 2.0)
        101.5
        """
        if side not in (Side.BUY, Side.SELL) or not size > 0:
            raise ValueError(f"an order buys or sells a positive size, not {side!r} {size!r}")
        left, paid = size, 0.0
        for price, available in self.levels("ask" if side == Side.BUY else "bid"):
            taken = min(left, available)
            paid += taken * price
            left -= taken
            if not left:
                return paid / size
        return None

    def grouped(self, tick: float) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Bids and asks, best first, with the sizes gathered on multiples of ``tick``.

        Bids go down to theirs and asks up, so that grouping never brings the sides closer than they are.
        Raises ValueError for a tick that is not positive.

        >>> OrderBook.of(bids=[(99.9, 3.0), (99.6, 1.0)], asks=[(100.1, 2.0)]).grouped(0.5)
        (((99.5, 4.0),), ((100.5, 2.0),))
        """
        if not tick > 0:
            raise ValueError(f"prices are grouped by a positive tick, not {tick!r}")
        return _gathered(self.levels("bid"), tick, 1), _gathered(self.levels("ask"), tick, -1)

    def _repr_html_(self) -> str:
        bids, asks = self.levels("bid", _SHOWN), self.levels("ask", _SHOWN)
        rows = [
            (*(reversed(bid) if bid else (None, None)), *(ask or (None, None)))
            for bid, ask in zip_longest(bids, asks)
        ]
        return html.table(*self._heading(), ("size", "bid", "ask", "size"), rows)

    def _heading(self) -> tuple[str, str]:
        """What stands above the table: whose book, and how it is."""
        raise NotImplementedError


class OrderBook(_Questions):
    """One book, both sides, as it changes. Reads are cheap after each change; nothing here knows a clock.

    Prices and sizes are floats that print as the venue's text, so that equal prices are equal keys.
    """

    __slots__ = (
        "_ask_digits",
        "_ask_prices",
        "_asks",
        "_bid_digits",
        "_bid_prices",
        "_bids",
        "_highest_ask",
        "_least",
        "_lowest_bid",
        "_spelled",
        "_viewer",
        "best_ask",
        "best_bid",
        "limited",
    )

    def __init__(self) -> None:
        self._viewer: ReferenceType[BookState] | None = None  # the last state that reads from here
        self._spelled = False  # whether any digits have come
        self._empty()

    @classmethod
    def of(cls, bids: Iterable[Level] = (), asks: Iterable[Level] = ()) -> OrderBook:
        """A book of these levels, in any order."""
        book = cls()
        book.apply(OrderBookUpdate("", 0, 0, tuple(bids), tuple(asks)))
        return book

    def apply(self, update: OrderBookUpdate) -> None:
        """Take over ``update``.

        A snapshot replaces everything. Sizes are absolute: 0 deletes, and deleting what is not there is
        normal; of a price that comes twice the last size counts. Then each side is cut to ``update.depth``,
        because the venue does not delete what falls out of a window.

        Where a snapshot has as many levels as its ``limit``, what rests beyond its last one is not known, and
        of a change there nothing could be told but the one level: so nothing is kept that far out. The book
        is right as far as it goes, and becomes shorter as prices move that way (see :attr:`reach`).

        Raises ValueError where there are digits for some levels only, and has changed nothing; and for a
        level that can be none (a size that is negative or NaN, a price that is not finite): then the book is
        empty, because half an update makes no book.

        >>> book = OrderBook.of(bids=[(99.0, 2.0), (98.0, 5.0)])
        >>> book.apply(OrderBookUpdate("A", 0, 0, bids=((99.5, 1.0), (97.0, 0.0)), asks=(), depth=2))
        >>> book.levels("bid")
        ((99.5, 1.0), (99.0, 2.0))
        """
        if update.bid_digits or update.ask_digits:
            _spelled_throughout(update)
            self._spelled = True
        if (viewer := self._viewer) is not None:
            self._viewer = None
            if (held := viewer()) is not None:
                _release(held, self)
        if update.snapshot:
            self._empty()
            if update.limit is not None:
                self._bound(update, update.limit)
        # Written out for each side: a function for both would cost a tenth of the whole change.
        if bids := update.bids:
            best, sizes = self.best_bid, self._bids
            for price, size in bids:
                if price in sizes:
                    if size > 0.0:
                        sizes[price] = size
                    elif size == 0.0:
                        del sizes[price]
                        prices = self._bid_prices
                        del prices[bisect_left(prices, price)]
                    else:
                        raise self._broken(update, price, size)
                elif size > 0.0 and isfinite(price):
                    if price >= self._lowest_bid:
                        insort(self._bid_prices, price)
                        sizes[price] = size
                elif size or not isfinite(price):
                    raise self._broken(update, price, size)
                if best is not None and price >= best[0]:
                    best = (price, size) if size else None  # None: to be found anew
            if best is None and (prices := self._bid_prices):
                price = prices[-1]
                best = price, sizes[price]
            self.best_bid = best
        if asks := update.asks:
            best, sizes = self.best_ask, self._asks
            for price, size in asks:
                if price in sizes:
                    if size > 0.0:
                        sizes[price] = size
                    elif size == 0.0:
                        del sizes[price]
                        prices = self._ask_prices
                        del prices[bisect_left(prices, -price)]
                    else:
                        raise self._broken(update, price, size)
                elif size > 0.0 and isfinite(price):
                    if price <= self._highest_ask:
                        insort(self._ask_prices, -price)
                        sizes[price] = size
                elif size or not isfinite(price):
                    raise self._broken(update, price, size)
                if best is not None and price <= best[0]:
                    best = (price, size) if size else None
            if best is None and (prices := self._ask_prices):
                price = -prices[-1]
                best = price, sizes[price]
            self.best_ask = best
        if self._spelled:
            _note(self._bid_digits, self._bids, bids, update.bid_digits)
            _note(self._ask_digits, self._asks, asks, update.ask_digits)
        depth = update.depth
        if depth is not None and (len(self._bid_prices) > depth or len(self._ask_prices) > depth):
            self._cut(depth)

    def add(self, side: BookSide, price: float, size: float) -> None:
        """Set one level to ``size``, for books built by hand; ValueError unless it is positive."""
        if not size > 0:
            raise ValueError(f"a level has a positive size, not {size!r}; remove() takes it away")
        self._set(side, price, size)

    def remove(self, side: BookSide, price: float) -> None:
        """Take one level away; one that is not there is no error."""
        self._set(side, price, 0.0)

    def clear(self) -> None:
        """Forget every level."""
        self.apply(OrderBookUpdate("", 0, 0, (), (), snapshot=True))

    def levels(self, side: BookSide, n: int | None = None) -> tuple[Level, ...]:
        if n is not None and n < 1:
            raise _too_few(n)
        stop = None if n is None else -n - 1
        if side == "bid":
            sizes = self._bids
            return tuple([(price, sizes[price]) for price in self._bid_prices[:stop:-1]])
        if side == "ask":
            sizes = self._asks
            return tuple([(price, sizes[price]) for price in map(neg, self._ask_prices[:stop:-1])])
        raise _no_side(side)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is above the best ask; equal is locked, which is legal."""
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid[0] > ask[0]

    @property
    def reach(self) -> int | None:
        """How many levels a side are known where the last snapshot was limited; None where all of them are.

        >>> book = OrderBook()
        >>> bids = (99.0, 2.0), (98.0, 5.0)
        >>> book.apply(OrderBookUpdate("A", 0, 0, bids, asks=((101.0, 1.0),), snapshot=True, limit=2))
        >>> book.apply(OrderBookUpdate("A", 0, 0, bids=((99.0, 0.0), (97.0, 3.0)), asks=((105.0, 4.0),)))
        >>> book.levels("bid"), book.reach, book.levels("ask")      # at 97.5 there may be a bid, or none
        (((98.0, 5.0),), 1, ((101.0, 1.0), (105.0, 4.0)))
        """
        if not self.limited:
            return None
        bids = len(self._bids) if self._lowest_bid > -inf else len(self._asks)
        return min(bids, len(self._asks)) if self._highest_ask < inf else bids

    @property
    def exhausted(self) -> bool:
        """Whether less than a tenth is left on a side of what a limited snapshot said of it."""
        reach = self.reach
        return reach is not None and reach < self._least

    def depth_at(self, price: float) -> float | None:
        bid, ask = self._bids.get(price), self._asks.get(price)
        return ask if bid is None else bid if ask is None else bid + ask

    def digits(self, side: BookSide, n: int) -> list[str]:
        """The digits of the best ``n`` levels, best first; "" for a level that came without."""
        if side == "bid":
            digits = self._bid_digits
            return [digits.get(price, "") for price in self._bid_prices[: -n - 1 : -1]]
        if side == "ask":
            digits = self._ask_digits
            return [digits.get(-price, "") for price in self._ask_prices[: -n - 1 : -1]]
        raise _no_side(side)

    def view(
        self,
        symbol: str,
        ts_event: int,
        ts_recv: int,
        status: BookStatus = "live",
        venue: str = "",
        epoch: int = 1,
        sequence: int | None = None,
        known_depth: int | None = None,
        reason: str = "",
        depth: int | None = None,
        exchange: str = "",
    ) -> BookState:
        """This book as it is now, which no later change will alter; at most ``depth`` levels a side."""
        if (viewer := self._viewer) is not None and (held := viewer()) is not None:
            _release(held, self)
        bid, bid_size = self.best_bid or _NO_LEVEL
        ask, ask_size = self.best_ask or _NO_LEVEL
        state = BookState(
            symbol,
            ts_event,
            ts_recv,
            status,
            bid,
            bid_size,
            ask,
            ask_size,
            venue,
            epoch,
            sequence,
            known_depth,
            bid is not None and ask is not None and bid > ask,
            reason,
            depth,
            exchange,
            self,
        )
        self._viewer = ref(state)
        return state

    def copy(self, depth: int | None = None) -> OrderBook:
        """Another book with the best ``depth`` levels of each side, or all; without digits."""
        book = OrderBook()
        book._bid_prices = prices = self._bid_prices[-depth if depth else None :]
        sizes = self._bids
        book._bids = sizes.copy() if len(prices) == len(sizes) else {price: sizes[price] for price in prices}
        book._ask_prices = prices = self._ask_prices[-depth if depth else None :]
        sizes = self._asks
        book._asks = (
            sizes.copy() if len(prices) == len(sizes) else {-price: sizes[-price] for price in prices}
        )
        book.best_bid, book.best_ask = self.best_bid, self.best_ask
        book._lowest_bid, book._highest_ask = self._lowest_bid, self._highest_ask
        book._least, book.limited = self._least, self.limited
        return book

    def state(self) -> dict[str, Any]:
        """Everything the book knows, as plain data that msgspec encodes; best levels first."""
        bids, asks = self.levels("bid"), self.levels("ask")
        return {
            "bids": bids,
            "asks": asks,
            "bid_digits": self.digits("bid", len(bids)) if self._bid_digits else (),
            "ask_digits": self.digits("ask", len(asks)) if self._ask_digits else (),
            "lowest_bid": self._lowest_bid if self._lowest_bid > -inf else None,
            "highest_ask": self._highest_ask if self._highest_ask < inf else None,
            "least": self._least,
        }

    def restore(self, state: Any) -> None:
        """Become the book that said ``state``, which may have been through msgspec and back."""
        known = msgspec.convert(state, _Known)
        self.clear()
        for update in (
            OrderBookUpdate("", 0, 0, known.bids, (), bid_digits=known.bid_digits),
            OrderBookUpdate("", 0, 0, (), known.asks, ask_digits=known.ask_digits),
        ):
            self.apply(update)
        self._lowest_bid = -inf if known.lowest_bid is None else known.lowest_bid
        self._highest_ask = inf if known.highest_ask is None else known.highest_ask
        self._least = known.least
        self.limited = self._lowest_bid > -inf or self._highest_ask < inf

    def __eq__(self, other: object) -> bool:
        """Whether the levels are the same; digits do not count."""
        if not isinstance(other, OrderBook):
            return NotImplemented
        return self._bids == other._bids and self._asks == other._asks

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        touch = _touch(self.best_bid, self.best_ask)
        return f"<OrderBook {touch}, {len(self._bids)} bids, {len(self._asks)} asks>"

    def _heading(self) -> tuple[str, str]:
        return "OrderBook", f"{len(self._bids)} bids, {len(self._asks)} asks"

    def _set(self, side: BookSide, price: float, size: float) -> None:
        if side not in _SIDES:
            raise _no_side(side)
        level = ((price, size),)
        self.apply(OrderBookUpdate("", 0, 0, level if side == "bid" else (), level if side == "ask" else ()))

    def _empty(self) -> None:
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
        # Ascending with the best last, where a change moves the least: of the asks, the negative prices.
        self._bid_prices: list[float] = []
        self._ask_prices: list[float] = []
        self._bid_digits: dict[float, str] = {}
        self._ask_digits: dict[float, str] = {}
        # Plain attributes, because they are read after each change, and a property takes ten times as long.
        self.best_bid: Level | None = None  # pyright: ignore[reportIncompatibleMethodOverride]
        self.best_ask: Level | None = None  # pyright: ignore[reportIncompatibleMethodOverride]

        self.limited = False  # whether a snapshot did not say all: then a side is known up to …
        self._lowest_bid = -inf
        self._highest_ask = inf
        self._least = 0

    def _bound(self, snapshot: OrderBookUpdate, limit: int) -> None:
        """Remember how far a limited snapshot reaches."""
        if len(snapshot.bids) >= limit:
            self._lowest_bid = min(price for price, _ in snapshot.bids)
        if len(snapshot.asks) >= limit:
            self._highest_ask = max(price for price, _ in snapshot.asks)
        self.limited = self._lowest_bid > -inf or self._highest_ask < inf
        self._least = max(1, limit // 10)

    def _broken(self, update: OrderBookUpdate, price: float, size: float) -> ValueError:
        self._empty()
        return ValueError(f"an update of {update.symbol} has a level with the price {price!r}, size {size!r}")

    def _cut(self, depth: int) -> None:
        for price in self._bid_prices[:-depth]:
            del self._bids[price]
            self._bid_digits.pop(price, None)
        for price in self._ask_prices[:-depth]:
            del self._asks[-price]
            self._ask_digits.pop(-price, None)
        del self._bid_prices[:-depth], self._ask_prices[:-depth]


class BookState(_Questions, msgspec.Struct, frozen=True, eq=False, weakref=True):
    """What one book was at one moment. It never changes, whatever the book does later.

    The touch is in the fields; :attr:`bids` and :attr:`asks` are made when asked for, and only a state that
    somebody still holds when the book moves on costs a copy of its levels. Any thread may read it.

    ``ts_event`` is of the last update that went in, ``ts_recv`` is when this was said, from which
    :meth:`age` tells how old it is at any later moment; ``known_depth`` is
    how many levels a side can be known (what the venue sends, what is left of a snapshot that was limited, or
    fewer where fewer were asked for), None for all; ``sequence`` is the venue's, where it has one. States are
    equal when everything they show is.

    >>> OrderBook.of(bids=[(99.0, 2.0)]).view("BTC/USD", 1, 2, venue="kraken")
    <BookState kraken BTC/USD live 99.0×2.0 | –>
    """

    symbol: str
    ts_event: int
    ts_recv: int
    status: BookStatus
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    venue: str
    epoch: int
    sequence: int | None
    known_depth: int | None
    crossed: bool  # bid > ask; equal is locked, which is legal
    reason: str  # why it is not live, "" when it is
    depth: int | None  # levels a side that this state shows at most
    exchange: str  # whose book, where one venue sends the books of several
    _book: OrderBook

    @property
    def bids(self) -> tuple[Level, ...]:
        """The bids, best first."""
        return self.levels("bid")

    @property
    def asks(self) -> tuple[Level, ...]:
        """The asks, best first."""
        return self.levels("ask")

    @property
    def best_bid(self) -> Level | None:
        return None if self.bid is None or self.bid_size is None else (self.bid, self.bid_size)

    @property
    def best_ask(self) -> Level | None:
        return None if self.ask is None or self.ask_size is None else (self.ask, self.ask_size)

    def age(self, now: int) -> int:
        """How many nanoseconds before the stamp ``now`` this was said.

        A book is said anew when it changes, and when it can no longer be trusted. So an old state that was
        live, on a line that lives, is a quiet book's; whether the line lives, ``op.watchdog`` tells.

        >>> OrderBook.of(bids=[(99.0, 2.0)]).view("BTC/USD", ts_event=1, ts_recv=2).age(now=1_000_000_002)
        1000000000
        """
        return now - self.ts_recv

    def levels(self, side: BookSide, n: int | None = None) -> tuple[Level, ...]:
        if n is None or (self.depth is not None and n > self.depth):
            n = self.depth
        while True:
            book = self._book
            try:
                levels = book.levels(side, n)
            except KeyError:  # another thread is in the middle of changing it …
                if self._book is book:
                    raise
                continue
            if self._book is book:  # … before which it would have given us a book of our own
                return levels

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BookState):
            return NotImplemented
        return self._shown() == other._shown() and self.bids == other.bids and self.asks == other.asks

    def __ne__(self, other: object) -> bool:
        return not self == other  # a Struct without an __eq__ of its own brings one that compares identities

    def __hash__(self) -> int:
        return hash(self._shown())

    def __repr__(self) -> str:
        names = " ".join(filter(None, (self.venue, self.exchange, self.symbol, self.status)))
        said = [text for text in (self.crossed and "crossed", self.reason) if text]
        return f"<BookState {', '.join([f'{names} {_touch(self.best_bid, self.best_ask)}', *said])}>"

    def _heading(self) -> tuple[str, str]:
        said = (self.venue, self.exchange, self.status, "crossed" if self.crossed else "", self.reason)
        return self.symbol, " ".join(filter(None, said))

    def __reduce__(self) -> tuple[Any, ...]:
        return BookState, (*self._shown(), OrderBook.of(self.bids, self.asks))

    def _shown(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__[:-1])


class SpreadStats(msgspec.Struct, frozen=True, gc=False, tag=True, omit_defaults=True):
    """What one book was from ``start`` to ``end``, each moment counting for as long as it lasted.

    The averages are over the time during which the book was live with both sides and not crossed, and
    ``None`` where there was none; depths are the sizes on the best ``levels`` of a side, together.

    >>> stats = SpreadStats("BTC/USD", 0, 60, 60, 60.0, live=0.5, crossed=0.0, spread=0.25)
    >>> stats.spread, stats.imbalance is None
    (0.25, True)
    """

    symbol: str
    start: int
    end: int
    ts_recv: int  # when this was said: at the end, or when the book or the source ended
    seen: float  # seconds for which there was a book: fewer where it came or went in between
    live: float  # the part of these for which it was live
    crossed: float  # … and for which it bid more than it asked
    spread: float | None = None  # best ask less best bid, in units of price
    spread_bps: float | None = None  # the same, in hundredths of a percent of the mid
    mid: float | None = None
    bid_depth: float | None = None
    ask_depth: float | None = None
    imbalance: float | None = None  # from -1, all asks, to 1, all bids
    levels: int = 1
    venue: str = ""
    exchange: str = ""


def joins_on(update: OrderBookUpdate, last: int) -> bool:
    """Whether a numbered update goes on where a book ended with number ``last``; one without a number does.

    One number an update: the next one. A span, as Binance's spot market sends: it covers the next one,
    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams. Where each names the one
    before, as on Binance's futures, it names ``last``; only the first after a snapshot covers ``last``
    instead,
    https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly.

    >>> spans = [OrderBookUpdate("A", 1, 1, (), (), sequence=9, first_sequence=first) for first in (5, 6, 7)]
    >>> [joins_on(span, 5) for span in spans]
    [True, True, False]
    """
    if update.sequence is None:
        return True
    first = update.sequence if update.first_sequence is None else update.first_sequence
    if update.previous_sequence is None:
        return first <= last + 1
    return update.previous_sequence == last or first <= last


ChecksumRule: TypeAlias = Callable[[OrderBook], int]
"""What a venue's checksum of a book must be."""


def crc32_top10(book: OrderBook) -> int:
    """CRC-32 of the digits of the best ten asks, lowest first, then of the best ten bids, highest first.

    Where a side has fewer, of those. Kraken's rule:
    https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2

    >>> book = OrderBook()
    >>> book.apply(OrderBookUpdate("A/B", 0, 0, ((0.0000123, 0.5),), ((0.00001235, 10.0),), True,
    ...                            bid_digits=("123050000000",), ask_digits=("12351000000000",)))
    >>> crc32_top10(book)
    353388398
    """
    return zlib.crc32("".join(book.digits("ask", 10) + book.digits("bid", 10)).encode("ascii"))


CHECKSUMS: dict[str, ChecksumRule] = {"crc32-top10": crc32_top10}
"""The rules that ``OrderBookUpdate.checksum_rule`` may name; a provider of yours may add its own."""


class _Known(msgspec.Struct):
    """What :meth:`OrderBook.state` says."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    bid_digits: tuple[str, ...]
    ask_digits: tuple[str, ...]
    lowest_bid: float | None = None
    highest_ask: float | None = None
    least: int = 0


_SIDES: tuple[BookSide, BookSide] = ("bid", "ask")
_SHOWN = 5  # levels of each side in a notebook


_NO_LEVEL = None, None


def _release(held: BookState, book: OrderBook) -> None:
    """Before anything changes: somebody still holds the last state, so give it levels of its own."""
    force_setattr(held, "_book", book.copy(held.depth))


def _spelled_throughout(update: OrderBookUpdate) -> None:
    for digits, levels in (update.bid_digits, update.bids), (update.ask_digits, update.asks):
        if digits and len(digits) != len(levels):
            raise ValueError(f"an update of {update.symbol} has digits for some of its levels only")


def _note(
    known: dict[float, str], sizes: dict[float, float], levels: Sequence[Level], digits: Sequence[str]
) -> None:
    """Keep the digits of what is in the book, and none of what is not or came without."""
    for (price, _), text in zip(levels, digits or ("",) * len(levels), strict=True):
        if text and price in sizes:
            known[price] = text
        else:
            known.pop(price, None)


def _gathered(levels: Iterable[Level], tick: float, down: int) -> tuple[Level, ...]:
    """Exact in the decimals that the floats stand for: 0.3 is three times 0.1 here."""
    step = Fraction(repr(tick)) * down
    sums: dict[float, float] = {}
    for price, size in levels:
        multiple = float(Fraction(repr(price)) // step * step)
        sums[multiple] = sums.get(multiple, 0.0) + size
    return tuple(sums.items())


def _too_few(n: int) -> ValueError:
    return ValueError(f"a book shows one level or more, not {n}")


def _no_side(side: object) -> ValueError:
    return ValueError(f"a book has a 'bid' and an 'ask' side, no {side!r}")


def _touch(bid: Level | None, ask: Level | None) -> str:
    return " | ".join("–" if level is None else f"{level[0]}×{level[1]}" for level in (bid, ask))
