"""Massive's side (once Polygon.io's) of its clusters: stocks, options, forex, crypto and indices.

What it says and in which spelling: https://massive.com/docs/websocket/quickstart, and
https://github.com/massive-com/client-python/blob/master/.massive/websocket.json; who is thrown out when:
https://massive.com/knowledge-base/categories/websockets.

Stocks and coins are the market's own. Pairs of two currencies are what is traded as forex; options follow
from the stocks' touches and trades, and the one index, ``I:TWIN``, is the mean of all stocks' middles.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import Literal

import msgspec

from rtflow.errors import Unsupported
from rtflow.time import SECOND
from rtflow.twin.ledger import FINER, Bands, Bar, Contract, Imbalance, Ledger, OptionPrint, Point, Print
from rtflow.twin.market import LISTINGS, NEVER, Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Venue

TOPICS = {
    "stocks": ("T", "Q", "A", "AM", "LULD", "NOI", "FMV", "LV"),
    "options": ("T", "Q", "A", "AM", "FMV", "LV"),
    "forex": ("C", "CAS", "CA", "FMV", "LV", "AM"),
    "crypto": ("XT", "XQ", "XL2", "XAS", "XA", "FMV", "LV", "AM"),
    "indices": ("V", "A", "AM"),
}
"""What can be subscribed, by cluster; ``LV`` and, for pairs, ``AM`` are the launchpad's."""

INDEX = "I:TWIN"
"""The one index."""

_CURRENCIES = {"AUD", "CAD", "CHF", "CNH", "EUR", "GBP", "JPY", "NZD", "SEK", "USD"}
_SINGLY = {("options", "Q"), ("options", "FMV"), ("indices", "V")}  # topics without a wildcard
_LIMITED = ("Q", "FMV")  # of options
_AUTH = 10 * SECOND
_MINUTE = 60 * SECOND
_DEPTH = 100
_EXCHANGES = (11, 10, 12, 4, 8, 19, 21, 15)
_FACILITY = 4  # reports what was traded off the exchanges
_TAPES = {"A": 1, "B": 2, "C": 3}
_UNITS = {"ms": 1_000_000, "us": 1000, "ns": 1}
_EXAMPLES = {"LULD": "us", "NOI": "ns", "FMV": "ms"}  # the units that the documents' examples are in
_SECOND_BARS = {"stocks": "A", "options": "A", "forex": "CAS", "crypto": "XAS", "indices": "A"}
_MINUTE_BARS = {"stocks": "AM", "options": "AM", "forex": "CA", "crypto": "XA", "indices": "AM"}
_FULL = (
    "Maximum number of websocket connections exceeded. "
    "You have reached the connection limit for your account."
)

_Message = dict[str, object]


class PolygonVenue(Venue):
    """Massive's clusters over one market, each at the path of its name.

    ``cluster`` is where clients are expected: ``stocks``, or ``crypto`` without any stock. ``keys`` are
    those that are accepted (None: any that is not empty), ``clusters`` and ``topics`` what the plan covers
    (None: all). A key has ``connections`` per cluster; when one comes too many, ``evicts`` says which goes:
    the ``oldest``, the ``newest`` or a ``random`` one. ``contracts`` bounds the option contracts whose quotes
    and fair values one connection may have. ``stamps`` is the unit of price bands, imbalances and fair
    values: ``ms``, ``us`` or ``ns`` (None: as in the documents, whose examples differ). ``sparse`` leaves out
    every key that may be missing.
    """

    listings = (
        *LISTINGS.values(),
        Listing("EUR/USD", 1_08500, 5, 0, size=1_000_000, rate=30.0),
        Listing("USD/JPY", 150_000, 3, 0, size=1_000_000, rate=20.0),
    )

    def __init__(
        self,
        market: Market,
        *,
        cluster: str | None = None,
        keys: Collection[str] | None = None,
        clusters: Collection[str] | None = None,
        topics: Collection[str] | None = None,
        connections: int = 1,
        evicts: Literal["oldest", "newest", "random"] = "oldest",
        contracts: int = 1000,
        stamps: Literal["ms", "us", "ns"] | None = None,
        sparse: bool = False,
    ) -> None:
        super().__init__(market)
        self.stocks = {each.symbol: each for each in market.listings.values() if each.stock}
        if cluster is not None and cluster not in TOPICS:
            raise Unsupported(f"polygon's twin has no cluster {cluster!r}; it has {', '.join(TOPICS)}")
        self.path = f"/{cluster or ('stocks' if self.stocks else 'crypto')}"
        self.keys = keys
        self.clusters = clusters
        self.topics = topics
        self.connections = connections
        self.evicts = evicts
        self.contracts = contracts
        self.revoked: set[str] = set()
        self.mumbles = False
        self._stamps = stamps
        self._sparse = sparse
        self._ledger = Ledger(market)
        self._random = Random(f"{market.seed} polygon")
        self._second = market.now // SECOND * SECOND + SECOND
        self._windows: dict[tuple[str, str, int], _Window] = {}
        self._days: dict[tuple[str, str], _Day] = {}
        self._touches = {each: _both(market, each) for each in self.stocks}
        self._index = self._mean()
        self._muted = 0

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at the path of a cluster; Denied with 404 elsewhere."""
        cluster = path.partition("?")[0].removeprefix("/")
        if cluster not in TOPICS:
            raise Denied(404, "Not Found")
        return PolygonConversation(self, cluster)

    # --- what it can do wrong ---------------------------------------------------------------------------

    def provoke_end(self, status: str, message: str = "") -> None:
        """End every connection by ``max_connections``, ``slow_consumer`` or ``force_disconnect``."""
        for each in self._talks():
            each.end(status, message or status)

    def provoke_forget(self) -> None:
        """Forget who they all are and what they subscribed, and tell them."""
        for each in self._talks():
            each.forget()

    def provoke_revoke(self, topic: str) -> None:
        """The plan no longer covers ``T.AAPL``, say: who has it is told, and nobody gets it any more."""
        self.revoked.add(topic)
        for each in self._talks():
            each.revoke(topic)

    def provoke_mumble(self) -> None:
        """Refusals no longer say which topic they are about."""
        self.mumbles = True

    def provoke_mute(self, count: int = 1) -> None:
        """The next answers about topics are never sent, though what they say is so."""
        self._muted += count

    def provoke_slip(self, element: object) -> None:
        """Put ``element`` among the next data of every connection: a status, an unknown type, nonsense."""
        for each in self._talks():
            each.slip(element)

    def mutes(self) -> bool:
        """Whether the answer at hand is to be swallowed; asked once per answer."""
        if not self._muted:
            return False
        self._muted -= 1
        return True

    # --- who is here ------------------------------------------------------------------------------------

    def _talks(self) -> list[PolygonConversation]:
        return [each for each in self.conversations if isinstance(each, PolygonConversation)]

    def crowded(self, newest: PolygonConversation) -> None:
        """One more connection has been admitted; throw one out if that is one too many."""
        same = (newest.cluster, newest.key)
        peers = [each for each in self._talks() if (each.cluster, each.key) == same and not each.over]
        if len(peers) <= self.connections:
            return
        if self.evicts == "newest":
            newest.doomed = True  # it is told after its first request only
        else:
            chosen = 0 if self.evicts == "oldest" else self._random.randrange(len(peers))
            peers[chosen].end("max_connections", _FULL)

    # --- what the market does ---------------------------------------------------------------------------

    def moved(self, move: Move) -> None:
        """Tell of ``move`` what each topic makes of it."""
        listing = self.market.listings[move.symbol]
        self._tell_all(self._ledger.moved(move))
        if listing.stock:
            if move.touched:
                self._quote_stock(listing, move)
                self._value(move)
        elif _is_forex(listing):
            if move.touched:
                self._quote_currencies(listing, move)
        else:
            self._show_coin(listing, move)

    def due(self) -> int:
        """The next second, or the ledger's next entry."""
        return min(self._second, self._ledger.due())

    def wake(self, now: int) -> None:
        """What the ledger has to tell; at a full second its bars, and at a minute those of the minute."""
        if self._ledger.due() <= now:
            self._tell_all(self._ledger.wake(now))
        if self._second <= now:
            self._second += SECOND
            for (cluster, symbol, width), window in [*self._windows.items()]:
                if window.start + width <= now:
                    self._close(cluster, symbol, width)
            self._appraise(now)

    def _tell(self, cluster: str, code: str, symbol: str, message: _Message) -> None:
        for each in self._talks():
            if each.cluster == cluster and each.covers(code, symbol):
                each.add(message)

    def _heeded(self, cluster: str, code: str, symbol: str) -> bool:
        """Whether anybody wants to know."""
        return any(each.cluster == cluster and each.covers(code, symbol) for each in self._talks())

    def _tell_all(self, points: list[Point]) -> None:
        """Trades, bars put right, bands and imbalances; of halts and news the venue says nothing here."""
        for point in points:
            match point:
                case Print():
                    self._print(self.market.listings[point.symbol], point)
                case OptionPrint():
                    self._print_option(point)
                case Bar(channel="updatedBars", symbol=symbol) if symbol in self.stocks:
                    self._tell("stocks", "AM", symbol, self._barred("stocks", "AM", point, _MINUTE))
                case Bands():
                    listing = self.market.listings[point.symbol]
                    message: _Message = {
                        "ev": "LULD",
                        "T": point.symbol,
                        "h": _number(point.up, listing.price_precision),
                        "l": _number(point.down, listing.price_precision),
                        "i": [21],
                        "z": _TAPES[listing.tape],
                        "t": self._stamped("LULD", point.stamp),
                        "q": point.stamp // SECOND,
                    }
                    self._tell("stocks", "LULD", point.symbol, self._bared(message, "i"))
                case Imbalance():
                    self._tell("stocks", "NOI", point.symbol, self._imbalance(point))
                case _:
                    pass

    def _print(self, listing: Listing, point: Print) -> None:
        if _is_forex(listing):
            return  # of currencies there are quotes only
        cluster, symbol = ("stocks", point.symbol) if listing.stock else ("crypto", _coin(point.symbol))
        price, places = point.price, listing.price_precision
        self._count(cluster, symbol, point.stamp, price, point.size, priced=point.size >= listing.lot)
        if listing.stock:
            exchange = _EXCHANGES[point.id % len(_EXCHANGES)]
            conditions = [*([14] if point.sweep else []), *([37] if point.size < listing.lot else [])]
            stamp = point.stamp // 1_000_000
            off = {"trfi": 202, "trft": stamp} if exchange == _FACILITY else {}
            message: _Message = {
                "ev": "T",
                "sym": symbol,
                "x": exchange,
                "i": str(point.id),
                "z": _TAPES[listing.tape],
                "p": _number(price, places),
                "s": point.size,
                **({"c": conditions} if conditions else {}),  # absent, not empty
                "t": stamp,
                "q": _sequence(point.id),
                **off,
            }
            self._tell(cluster, "T", symbol, message)
        else:
            message = {
                "ev": "XT",
                "pair": symbol,
                "p": _number(price, places),
                "t": point.stamp // 1_000_000,
                "s": _number(point.size, listing.size_precision),
                "c": [2 if point.side > 0 else 1],
                "i": str(point.id),
                "x": 1,
                "r": point.stamp // 1_000_000 + 5,
            }
            self._tell(cluster, "XT", symbol, message)

    def _print_option(self, point: OptionPrint) -> None:
        symbol = f"O:{point.symbol}"
        places = self.stocks[self._stock_of(point.symbol)].price_precision
        self._count("options", symbol, point.stamp, point.price, point.size)
        message: _Message = {
            "ev": "T",
            "sym": symbol,
            "x": 300 + point.id % 16,
            "p": _number(point.price, places),
            "s": point.size,
            "c": [209 + point.id % 3],
            "t": point.stamp // 1_000_000,
            "q": _sequence(point.id),
        }
        self._tell("options", "T", symbol, self._bared(message, "c"))

    def _stock_of(self, contract: str) -> str:
        return contract[:-15]  # six digits of a day, C or P, eight of a price

    def _quote_stock(self, listing: Listing, move: Move) -> None:
        symbol, places = move.symbol, listing.price_precision
        if self._heeded("stocks", "Q", symbol):
            message: _Message = {
                "ev": "Q",
                "sym": symbol,
                "bx": _EXCHANGES[move.bid % len(_EXCHANGES)],
                "bp": _number(move.bid, places),
                "bs": move.bid_size // listing.lot,  # in round lots
                "ax": _EXCHANGES[move.ask % len(_EXCHANGES)],
                "ap": _number(move.ask, places),
                "as": move.ask_size // listing.lot,
                "c": 1,
                "i": [604],
                "t": move.stamp // 1_000_000,
                "q": move.stamp,
                "z": _TAPES[listing.tape],
            }
            self._tell("stocks", "Q", symbol, self._bared(message, "c", "i"))
        for contract in self._ledger.contracts[symbol]:
            if self._heeded("options", "Q", f"O:{contract.symbol}"):
                self._quote_option(listing, contract, move)

    def _quote_option(self, listing: Listing, contract: Contract, move: Move) -> None:
        symbol = f"O:{contract.symbol}"
        bid, bid_size, ask, ask_size = contract.touch(move, listing.lot)
        message: _Message = {
            "ev": "Q",
            "sym": symbol,
            "bx": 302,
            "ax": 302,
            "bp": _number(bid, listing.price_precision),
            "ap": _number(ask, listing.price_precision),
            "bs": bid_size,  # 0, as the price, where there is no bid
            "as": ask_size,
            "t": move.stamp // 1_000_000,
            "q": move.stamp,
        }
        self._tell("options", "Q", symbol, message)

    def _quote_currencies(self, listing: Listing, move: Move) -> None:
        symbol, places = move.symbol, listing.price_precision
        self._count("forex", symbol, move.stamp, move.bid, 1)
        message: _Message = {
            "ev": "C",
            "p": symbol,
            "x": "44",  # text in the documents' example, a number in their words
            "a": _number(move.ask, places),
            "b": _number(move.bid, places),
            "t": move.stamp // 1_000_000,
        }
        self._tell("forex", "C", symbol, message)

    def _show_coin(self, listing: Listing, move: Move) -> None:
        symbol = _coin(move.symbol)
        if move.touched and self._heeded("crypto", "XQ", symbol):
            places, decimals = listing.price_precision, listing.size_precision
            message: _Message = {
                "ev": "XQ",
                "pair": symbol,
                "bp": _number(move.bid, places),
                "bs": _number(move.bid_size, decimals),
                "ap": _number(move.ask, places),
                "as": _number(move.ask_size, decimals),
                "t": move.stamp // 1_000_000,
                "x": 1,
                "r": move.stamp // 1_000_000 + 5,
            }
            self._tell("crypto", "XQ", symbol, message)
        for each in self._talks():
            if each.cluster == "crypto" and each.covers("XL2", symbol):
                each.books[move.symbol] = move.stamp

    def book(self, symbol: str, stamp: int) -> _Message:
        """The book of a coin, whole."""
        listing, (bids, asks) = self.market.listings[symbol], self.market.book(symbol)
        bid_levels, ask_levels = (
            [
                [_number(price, listing.price_precision), _number(size, listing.size_precision)]
                for price, size in ladder.levels(_DEPTH)
            ]
            for ladder in (bids, asks)
        )
        return {
            "ev": "XL2",
            "pair": _coin(symbol),
            "t": stamp // 1_000_000,
            "r": stamp // 1_000_000 + 5,
            "x": 1,
            "b": bid_levels,
            "a": ask_levels,
        }

    # --- values -----------------------------------------------------------------------------------------

    def _mean(self) -> int:
        """The index, in units of 0.0001; 0 where there is no stock."""
        touches = [
            touch * 10**4 // 10 ** self.stocks[symbol].price_precision
            for symbol, touch in self._touches.items()
        ]
        return sum(touches) // (2 * len(touches)) if touches else 0

    def _value(self, move: Move) -> None:
        """The index after ``move``, if it has changed."""
        self._touches[move.symbol] = move.bid + move.ask
        value = self._mean()
        if value != self._index:
            self._index = value
            self._count("indices", INDEX, move.stamp, value, 0)
            message: _Message = {
                "ev": "V",
                "val": _number(value, 4),
                "T": INDEX,
                "t": move.stamp // 1_000_000,
            }
            self._tell("indices", "V", INDEX, message)

    def _appraise(self, now: int) -> None:
        """Each second, what everything would be worth: its middle."""
        for symbol, listing in self.market.listings.items():
            both, places = _both(self.market, symbol), listing.price_precision
            if _is_forex(listing):
                self._worth("forex", symbol, both, places, now)
            elif not listing.stock:
                self._worth("crypto", _coin(symbol), both, places, now)
            else:
                self._worth("stocks", symbol, both, places, now)
                bids, asks = self.market.book(symbol)
                (bid, bid_size), (ask, ask_size) = bids.levels(1)[0], asks.levels(1)[0]
                move = Move(symbol, now, (), (), (), bid, bid_size, ask, ask_size, False)
                for contract in self._ledger.contracts[symbol]:
                    low, _, high, _ = contract.touch(move, listing.lot)
                    self._worth("options", f"O:{contract.symbol}", low + high, places, now)

    def _worth(self, cluster: str, symbol: str, both: int, places: int, now: int) -> None:
        """The middle of a bid and an ask, of which ``both`` is the sum."""
        value, name = _number(5 * both, places + 1), _long(cluster, symbol)
        stamp = self._stamped("FMV", now)
        self._tell(cluster, "FMV", symbol, {"ev": "FMV", "fmv": value, "sym": name, "t": stamp})
        self._tell(cluster, "LV", symbol, {"ev": "LV", "val": value, "sym": name, "t": now // 1_000_000})

    def _imbalance(self, point: Imbalance) -> _Message:
        places = self.market.listings[point.symbol].price_precision
        return {
            "ev": "NOI",
            "T": point.symbol,
            "t": self._stamped("NOI", point.stamp),
            "at": 1600,
            "a": "C",
            "i": point.stamp // _MINUTE,
            "x": 10,
            "o": point.price % 1000,
            "p": 10 * (point.price % 5000),
            "b": _number(point.price, places),
        }

    # --- bars -------------------------------------------------------------------------------------------

    def _count(
        self, cluster: str, symbol: str, stamp: int, price: int, size: int, *, priced: bool = True
    ) -> None:
        """Take something that happened into its second and its minute; what comes too late is in neither."""
        day = self._days.setdefault((cluster, symbol), _Day(price))
        day.volume += size
        day.value += price * size
        for width in (SECOND, _MINUTE):
            start = stamp // width * width
            window = self._windows.get((cluster, symbol, width))
            if window is not None and window.start < start:
                self._close(cluster, symbol, width)
                window = None
            if window is None:
                if start + width <= self.now:
                    continue  # its bar has been told
                window = self._windows[cluster, symbol, width] = _Window(start)
            if window.start == start:
                window.add(price, size, priced=priced)

    def _close(self, cluster: str, symbol: str, width: int) -> None:
        """A stretch is over: tell its bar, if it has one."""
        window = self._windows.pop((cluster, symbol, width))
        if not window.prices:
            return  # odd lots alone
        code = (_SECOND_BARS if width == SECOND else _MINUTE_BARS)[cluster]
        prices = window.prices
        average = window.value * 10**FINER // window.weight if window.weight else 0
        bar = Bar(
            "bars",
            symbol,
            window.start,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            window.volume,
            window.count,
            average,
        )
        self._tell(cluster, code, symbol, self._barred(cluster, code, bar, width))
        if width == _MINUTE and cluster in ("forex", "crypto"):
            self._tell(cluster, "AM", symbol, self._barred(cluster, "AM", bar, width))

    def _barred(self, cluster: str, code: str, bar: Bar, width: int) -> _Message:
        """A bar as its topic spells it."""
        places, decimals = self._precision(cluster, bar.symbol)
        pair = cluster in ("forex", "crypto") and code != "AM"
        message: _Message = {
            "ev": code,
            "pair" if pair else "sym": bar.symbol if pair else _long(cluster, bar.symbol),
        }
        if cluster != "indices":
            message["v"] = _number(bar.volume, decimals)
        if cluster in ("stocks", "options"):
            day = self._days[cluster, bar.symbol]
            message |= {
                "av": day.volume,
                "op": _number(day.open, places),
                "a": _number(day.value * 10**FINER // day.volume, places + FINER),
            }
        if cluster in ("stocks", "options", "crypto"):
            message |= {
                "vw": _number(bar.vwap, places + FINER),
                "z": bar.volume // (bar.count * 10**decimals),
            }
        message |= {
            "o": _number(bar.open, places),
            "c": _number(bar.close, places),
            "h": _number(bar.high, places),
            "l": _number(bar.low, places),
            "s": bar.stamp // 1_000_000,
            "e": (bar.stamp + width) // 1_000_000,
        }
        return self._bared(message, "av", "op", "a", "vw", "z", *(["e"] if pair else []))

    def _precision(self, cluster: str, symbol: str) -> tuple[int, int]:
        """The decimals of a price and of a size."""
        match cluster:
            case "indices":
                return 4, 0
            case "options":
                return self.stocks[self._stock_of(symbol[2:])].price_precision, 0
            case "crypto":
                listing = self.market.listings[symbol.replace("-", "/")]
                return listing.price_precision, listing.size_precision
            case _:
                return self.market.listings[symbol].price_precision, 0

    def _bared(self, message: _Message, *optional: str) -> _Message:
        """``message``, if so asked without what may be missing."""
        if not self._sparse:
            return message
        return {key: value for key, value in message.items() if key not in optional}

    def _stamped(self, code: str, stamp: int) -> int:
        return stamp // _UNITS[self._stamps or _EXAMPLES[code]]


class PolygonConversation(Conversation):
    """One connection to one cluster."""

    def __init__(self, venue: PolygonVenue, cluster: str) -> None:
        super().__init__()
        self.cluster = cluster
        self.key = ""  # once admitted
        self.over = False
        self.doomed = False  # to be thrown out after its next request
        self.books: dict[str, int] = {}  # coins whose books have changed, and when
        self._venue = venue
        self._subscribed: dict[str, set[str]] = {code: set() for code in TOPICS[cluster]}
        self._deadline = venue.now + _AUTH
        self._messages: list[object] = []
        self._slipped: list[object] = []

    @property
    def listening(self) -> bool:
        """Whether any topic has a symbol."""
        return any(self._subscribed.values())

    def opened(self) -> None:
        """The greeting comes at once."""
        self._status("connected", "Connected Successfully")

    def due(self) -> int:
        """When the venue stops waiting for the key."""
        return self._deadline

    def wake(self, now: int) -> None:
        """Too late to authenticate."""
        self.end("auth_timeout", "authentication timed out")

    def lagging(self) -> None:
        """What has been gathered is lost, and so is the reader."""
        self._messages.clear()
        self.end("slow_consumer", "the buffer of this connection is full")

    def moved(self, move: Move) -> None:
        """The venue tells of moves; there is nothing to be done here."""

    # --- requests ---------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """One request."""
        if self.over:
            return
        self.flush()  # what was said before the answer stays before it
        try:
            request = msgspec.json.decode(payload, type=_Request)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._status("error", "the request cannot be read")
            return
        if request.action == "auth":
            self._authenticate(request.params)
        elif request.action in ("subscribe", "unsubscribe"):
            for topic in request.params.split(","):
                self._change(topic.strip(), subscribe=request.action == "subscribe")
            if self.doomed:
                self.end("max_connections", _FULL)
        else:
            self._status("error", f"unknown action: {request.action}")

    def _authenticate(self, key: str) -> None:
        venue = self._venue
        if not key or (venue.keys is not None and key not in venue.keys):
            self.end("auth_failed", "authentication failed")
        elif venue.clusters is not None and self.cluster not in venue.clusters:
            self.end("auth_failed", "Your plan doesn't include websocket access.")
        else:
            self._deadline = NEVER
            self._status("auth_success", "authenticated")
            if not self.key:
                self.key = key
                venue.crowded(self)

    def _change(self, topic: str, *, subscribe: bool) -> None:
        venue = self._venue
        if not self.key:
            self._answer("auth_required", f"not authenticated: {topic}")
            return
        code, _, symbol = topic.partition(".")  # tickers have dots of their own
        if refusal := self._refusal(topic, code, symbol):
            self._answer("error", refusal if venue.mumbles else f"{refusal}: {topic}")
        elif subscribe:
            self._subscribed[code].add(symbol)
            self._answer("success", f"subscribed to: {topic}")
        else:
            self._subscribed[code].discard(symbol)
            self._answer("success", f"unsubscribed to: {topic}")

    def _refusal(self, topic: str, code: str, symbol: str) -> str:
        """Why this topic cannot be had; empty if it can."""
        venue = self._venue
        if code not in self._subscribed or not symbol:
            return "unknown topic"
        if (venue.topics is not None and code not in venue.topics) or topic in venue.revoked:
            return "not entitled"
        if symbol == "*" and (self.cluster, code) in _SINGLY:
            return "no wildcard for this topic"
        if self.cluster == "options" and code in _LIMITED:
            contracts = {symbol}.union(*[self._subscribed[each] for each in _LIMITED])
            if len(contracts) > venue.contracts:
                return f"more than {venue.contracts} contracts"
        return ""

    def _answer(self, status: str, message: str) -> None:
        if not self._venue.mutes():
            self._status(status, message)

    def _status(self, status: str, message: str) -> None:
        """A status travels alone."""
        self.say(msgspec.json.encode([_status(status, message)]).decode())

    # --- the venue's doing ------------------------------------------------------------------------------

    def end(self, status: str, message: str) -> None:
        """Say why, and hang up."""
        if not self.over:
            self.over = True
            self._deadline = NEVER
            self._subscribed = {each: set() for each in self._subscribed}
            self.flush()
            self._status(status, message)
            self.hang_up(1008 if status == "max_connections" else 1000, status)

    def forget(self) -> None:
        """Back to before the key."""
        if self.key:
            self.key = ""
            self._deadline = self._venue.now + _AUTH
            self._subscribed = {code: set() for code in self._subscribed}
            self._status("auth_required", "not authenticated")

    def revoke(self, topic: str) -> None:
        """One topic is over, if it was subscribed."""
        code, _, symbol = topic.partition(".")
        if symbol in self._subscribed.get(code, ()):
            self._subscribed[code].discard(symbol)
            self._status("error", f"no longer entitled: {topic}")

    def slip(self, element: object) -> None:
        """Have ``element`` among the next data."""
        self._slipped.append(element)

    # --- data -------------------------------------------------------------------------------------------

    def covers(self, code: str, symbol: str) -> bool:
        """Whether this is subscribed."""
        symbols = self._subscribed[code]
        return symbol in symbols or "*" in symbols

    def add(self, message: _Message) -> None:
        """Something to be said with the next flush."""
        self._messages.append(message)

    def flush(self) -> None:
        """All that was gathered leaves in one array, and what was slipped in is in its middle."""
        for symbol, stamp in self.books.items():
            self._messages.append(self._venue.book(symbol, stamp))
        self.books.clear()
        if self._messages:
            middle = (len(self._messages) + 1) // 2
            self._messages[middle:middle] = self._slipped
            self.say(msgspec.json.encode(self._messages).decode(), data=True)
            self._messages, self._slipped = [], []


class _Request(msgspec.Struct):
    """``{"action":"subscribe","params":"T.AAPL,Q.AAPL"}``"""

    action: str
    params: str = ""


class _Window:
    """What happened in one stretch; what is too small to set a price only adds to the volume."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.prices: list[int] = []
        self.volume = self.count = self.weight = self.value = 0

    def add(self, price: int, size: int, *, priced: bool) -> None:
        """Take in one trade, quote or value."""
        self.volume += size
        self.count += 1
        if priced:
            self.prices.append(price)
            self.weight += size
            self.value += price * size


class _Day:
    """The day so far."""

    def __init__(self, price: int) -> None:
        self.open = price
        self.volume = self.value = 0


def _status(status: str, message: str) -> dict[str, str]:
    return {"ev": "status", "status": status, "message": message}


def _number(units: int, places: int) -> int | float:
    """A number as JSON has it: whole, or the shortest that prints as the decimal text."""
    scale: int = 10**places
    whole, rest = divmod(units, scale)
    return units / scale if rest else whole


def _sequence(number: int) -> int:
    """Growing, and with holes."""
    return 2 * number + number % 2


def _coin(symbol: str) -> str:
    return symbol.replace("/", "-")


def _is_forex(listing: Listing) -> bool:
    return not listing.stock and _CURRENCIES.issuperset(listing.symbol.split("/"))


def _long(cluster: str, symbol: str) -> str:
    """A symbol as fair values and the launchpad spell it."""
    match cluster:
        case "forex":
            return f"C:{symbol.replace('/', '')}"
        case "crypto":
            return f"X:{symbol}"
        case _:
            return symbol


def _both(market: Market, symbol: str) -> int:
    """The best bid and the best ask together."""
    bids, asks = market.book(symbol)
    return bids.keys[-1] - asks.keys[-1]
