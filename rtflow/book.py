"""OrderBook: one book as plain state; BookState: what it was at one moment, cheap to say after each update.

    >>> book = OrderBook.of(bids=[(99.0, 2.0), (98.0, 5.0)], asks=[(101.0, 6.0), (102.0, 1.0)])
    >>> book.best_bid, book.mid, book.spread
    ((99.0, 2.0), 100.0, 2.0)
    >>> state = book.view("BTC/USD", ts_event=1, ts_recv=2)
    >>> book.remove("bid", 99.0)
    >>> book.best_bid, state.bids       # what was said stays said
    ((98.0, 5.0), ((99.0, 2.0), (98.0, 5.0)))

Two arrangements of a side were measured, 60 % of the changes to sizes, most of them near the touch. A dict
with the best price beside it, searched again when the best goes, takes 250 ns a change at 10 levels where a
dict and a sorted list of its prices take 350, but 450 against 220 at 1,000, and ten levels out of it cost
6,000 against 700; a feed that is cut to a depth asks for the worst price too. So a side is a dict and a list.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias
from weakref import ReferenceType, ref

import msgspec
from msgspec.structs import force_setattr

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
        _at_least_one(n)
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


class OrderBook(_Questions):
    """One book, both sides, as it changes. Reads are cheap after each change; nothing here knows a clock.

    Prices and sizes are floats that print as the venue's text, so that equal prices are equal keys.
    """

    __slots__ = ("_ask_digits", "_ask_prices", "_asks", "_bid_digits", "_bid_prices", "_bids", "_viewer")

    def __init__(self) -> None:
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
        self._bid_prices: list[float] = []  # both ascending: the best bid is the last, the best ask the first
        self._ask_prices: list[float] = []
        self._bid_digits: dict[float, str] = {}
        self._ask_digits: dict[float, str] = {}
        self._viewer: ReferenceType[BookState] | None = None  # the last state that reads from here

    @classmethod
    def of(cls, bids: Iterable[Level] = (), asks: Iterable[Level] = ()) -> OrderBook:
        """A book of these levels, in any order."""
        book = cls()
        _change(book._bids, book._bid_prices, bids)
        _change(book._asks, book._ask_prices, asks)
        return book

    def apply(self, update: OrderBookUpdate) -> None:
        """Take over ``update``, whole or, where it is broken, not at all.

        A snapshot replaces everything. Sizes are absolute: 0 deletes, and deleting what is not there is
        normal; of a price that comes twice the last size counts. Then each side is cut to ``update.depth``,
        because the venue does not delete what falls out of a window. Raises ValueError where there are
        digits for some levels only.

        >>> book = OrderBook.of(bids=[(99.0, 2.0), (98.0, 5.0)])
        >>> book.apply(OrderBookUpdate("A", 0, 0, bids=((99.5, 1.0), (97.0, 0.0)), asks=(), depth=2))
        >>> book.levels("bid")
        ((99.5, 1.0), (99.0, 2.0))
        """
        bids, asks = update.bids, update.asks
        bid_digits, ask_digits = update.bid_digits, update.ask_digits
        if (bid_digits and len(bid_digits) != len(bids)) or (ask_digits and len(ask_digits) != len(asks)):
            raise ValueError(f"an update of {update.symbol} has digits for some of its levels only")
        if (viewer := self._viewer) is not None and (held := viewer()) is not None:
            self._release(held)
        if update.snapshot:
            self._empty()
        if bids:
            _change(self._bids, self._bid_prices, bids)
            if bid_digits or self._bid_digits:
                _note(self._bid_digits, self._bids, bids, bid_digits)
        if asks:
            _change(self._asks, self._ask_prices, asks)
            if ask_digits or self._ask_digits:
                _note(self._ask_digits, self._asks, asks, ask_digits)
        depth = update.depth
        if depth is not None:
            prices = self._bid_prices
            if len(prices) > depth:
                _forget(self._bids, self._bid_digits, prices[:-depth])
                del prices[:-depth]
            prices = self._ask_prices
            if len(prices) > depth:
                _forget(self._asks, self._ask_digits, prices[depth:])
                del prices[depth:]

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
        if (viewer := self._viewer) is not None and (held := viewer()) is not None:
            self._release(held)
        self._empty()

    @property
    def best_bid(self) -> Level | None:
        prices = self._bid_prices
        if not prices:
            return None
        price = prices[-1]
        return price, self._bids[price]

    @property
    def best_ask(self) -> Level | None:
        prices = self._ask_prices
        if not prices:
            return None
        price = prices[0]
        return price, self._asks[price]

    def levels(self, side: BookSide, n: int | None = None) -> tuple[Level, ...]:
        if n is not None:
            _at_least_one(n)
        if side == "bid":
            sizes, prices = self._bids, self._bid_prices[-n if n else None :]
            prices.reverse()
        else:
            sizes, prices = self._asks, self._ask_prices[:n]
        return tuple([(price, sizes[price]) for price in prices])

    @property
    def crossed(self) -> bool:
        """Whether the best bid is above the best ask; equal is locked, which is legal."""
        bids, asks = self._bid_prices, self._ask_prices
        return bool(bids) and bool(asks) and bids[-1] > asks[0]

    def depth_at(self, price: float) -> float | None:
        bid, ask = self._bids.get(price), self._asks.get(price)
        return ask if bid is None else bid if ask is None else bid + ask

    def digits(self, side: BookSide, n: int) -> list[str]:
        """The digits of the best ``n`` levels, best first; "" for a level that came without."""
        if side == "bid":
            digits, prices = self._bid_digits, self._bid_prices[: -n - 1 : -1]
        else:
            digits, prices = self._ask_digits, self._ask_prices[:n]
        return [digits.get(price, "") for price in prices]

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
            self._release(held)
        bid = bid_size = ask = ask_size = None
        crossed = False
        if prices := self._bid_prices:
            bid = prices[-1]
            bid_size = self._bids[bid]
        if prices := self._ask_prices:
            ask = prices[0]
            ask_size = self._asks[ask]
            crossed = bid is not None and bid > ask
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
            crossed,
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
        book._ask_prices = prices = self._ask_prices[:depth]
        sizes = self._asks
        book._asks = sizes.copy() if len(prices) == len(sizes) else {price: sizes[price] for price in prices}
        return book

    def state(self) -> dict[str, Any]:
        """Everything the book knows, as plain data that msgspec encodes; best levels first."""
        bids, asks = self.levels("bid"), self.levels("ask")
        return {
            "bids": bids,
            "asks": asks,
            "bid_digits": self.digits("bid", len(bids)) if self._bid_digits else (),
            "ask_digits": self.digits("ask", len(asks)) if self._ask_digits else (),
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

    def __eq__(self, other: object) -> bool:
        """Whether the levels are the same; digits do not count."""
        if not isinstance(other, OrderBook):
            return NotImplemented
        return self._bids == other._bids and self._asks == other._asks

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        touch = _touch(self.best_bid, self.best_ask)
        return f"<OrderBook {touch}, {len(self._bids)} bids, {len(self._asks)} asks>"

    def _set(self, side: BookSide, price: float, size: float) -> None:
        if (viewer := self._viewer) is not None and (held := viewer()) is not None:
            self._release(held)
        if side == "bid":
            _change(self._bids, self._bid_prices, ((price, size),))
            self._bid_digits.pop(price, None)
        else:
            _change(self._asks, self._ask_prices, ((price, size),))
            self._ask_digits.pop(price, None)

    def _empty(self) -> None:
        self._bids.clear()
        self._asks.clear()
        self._bid_prices.clear()
        self._ask_prices.clear()
        self._bid_digits.clear()
        self._ask_digits.clear()

    def _release(self, held: BookState) -> None:
        """Before anything changes: somebody still holds the last state, so give it levels of its own."""
        force_setattr(held, "_book", self.copy(held.depth))
        self._viewer = None


class BookState(_Questions, msgspec.Struct, frozen=True, eq=False, weakref=True):
    """What one book was at one moment. It never changes, whatever the book does later.

    The touch is in the fields; :attr:`bids` and :attr:`asks` are made when asked for, and only a state that
    somebody still holds when the book moves on costs a copy of its levels. Any thread may read it.

    ``ts_event`` is of the last update that went in, ``ts_recv`` is when this was said, from which
    :meth:`age` tells how old it is at any later moment; ``known_depth`` is
    how many levels a side can be known (what the venue sends, or fewer where fewer were asked for), None
    for all; ``sequence`` is the venue's, where it has one. States are equal when everything they show is.

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


_SIDES: tuple[BookSide, BookSide] = ("bid", "ask")


def _change(sizes: dict[float, float], prices: list[float], levels: Iterable[Level]) -> None:
    for price, size in levels:
        if size:
            if price not in sizes:
                insort(prices, price)
            sizes[price] = size
        elif price in sizes:
            del sizes[price]
            del prices[bisect_left(prices, price)]


def _note(
    known: dict[float, str], sizes: dict[float, float], levels: Sequence[Level], digits: Sequence[str]
) -> None:
    """Keep the digits of what is in the book, and none of what is not or came without."""
    for (price, _), text in zip(levels, digits or ("",) * len(levels), strict=True):
        if text and price in sizes:
            known[price] = text
        else:
            known.pop(price, None)


def _forget(sizes: dict[float, float], digits: dict[float, str], prices: Iterable[float]) -> None:
    for price in prices:
        del sizes[price]
        digits.pop(price, None)


def _gathered(levels: Iterable[Level], tick: float, down: int) -> tuple[Level, ...]:
    """Exact in the decimals that the floats stand for: 0.3 is three times 0.1 here."""
    step = Fraction(repr(tick)) * down
    sums: dict[float, float] = {}
    for price, size in levels:
        multiple = float(Fraction(repr(price)) // step * step)
        sums[multiple] = sums.get(multiple, 0.0) + size
    return tuple(sums.items())


def _at_least_one(n: int) -> None:
    if n < 1:
        raise ValueError(f"a book shows one level or more, not {n}")


def _touch(bid: Level | None, ask: Level | None) -> str:
    return " | ".join("–" if level is None else f"{level[0]}×{level[1]}" for level in (bid, ask))
