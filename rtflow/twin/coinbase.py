"""Coinbase's side of its two public feeds, Advanced Trade's and the Exchange's.

What they say and in which spelling: https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
and https://docs.cdp.coinbase.com/exchange/websocket-feed/channels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from random import Random
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from rtflow.errors import Unsupported
from rtflow.time import SECOND
from rtflow.time import format as rfc3339
from rtflow.twin.market import NEVER, Fill, Listing, Market, Move, decimal
from rtflow.twin.venue import Conversation, Denied, Venue

_Levels: TypeAlias = Iterable[tuple[int, int]]
_Wanted: TypeAlias = list[tuple[str, list[str]]]  # products by channel
_Fault: TypeAlias = tuple[str, str]  # message and reason

_DEADLINE = 5 * SECOND  # for the first subscription
_BUNDLE = SECOND // 20  # of book changes
_GATHERED = SECOND // 4  # trades of Advanced Trade
_BATCH = 5 * SECOND  # between two tickers of ticker_batch, and two lists of products
_IDLE = 75 * SECOND  # a channel without news is closed, where no heartbeats are subscribed
_BAR = 300 * SECOND
_RECENT = 100  # trades in a snapshot


class CoinbaseVenue(Venue):
    """Coinbase as one market shows it: ``feed`` is ``advanced`` or ``exchange``.

    A listing ``BTC/USD`` is spelled ``BTC-USD``. ``keys`` are the tokens (or, on the Exchange, the keys of
    signed requests) that are good; None takes any. ``keyed`` are the channels that want one: ``level2`` on
    the Exchange, unless told otherwise. ``message_rate`` and ``burst`` bound a connection's requests: so many
    a second, so many at once. ``client_id`` puts the empty field into the envelope that some hosts of
    Advanced Trade send and some do not. ``silent_refusals`` leaves an unknown product out of the answer
    instead of refusing the request.

    Raises Unsupported for another feed.
    """

    path = "/"
    listings: ClassVar[Iterable[str | Listing] | None] = (
        Listing("BTC-USD", 65000_00, 2, 8, size=25_000_000, spacing=120, levels=250, rate=60.0),
        Listing("ETH-USD", 3500_00, 2, 8, size=300_000_000, spacing=8, levels=250, rate=40.0),
        Listing("SOL-USD", 150_00, 2, 8, size=4_000_000_000, spacing=2, levels=250, rate=15.0),
        Listing("ADA-USD", 4500, 4, 8, size=90_000_000_000, levels=250, rate=3.0),
        Listing("DOGE-USD", 12_000, 5, 1, size=50_000, spacing=1, levels=250, rate=0.5),
    )

    def __init__(
        self,
        market: Market,
        *,
        feed: str = "advanced",
        keys: Collection[str] | None = None,
        keyed: Collection[str] | None = None,
        message_rate: float = 8.0,
        burst: int = 20,
        client_id: bool = False,
        silent_refusals: bool = False,
    ) -> None:
        if feed not in ("advanced", "exchange"):
            raise Unsupported(f"coinbase's twin has no feed {feed!r}; it has advanced and exchange")
        super().__init__(market)
        self.products = {each.symbol.replace("/", "-"): each for each in market.listings.values()}
        self.names = {each.symbol: name for name, each in self.products.items()}
        self.keys = keys
        self.keyed = (() if feed == "advanced" else ("level2",)) if keyed is None else keyed
        self.patience = round(SECOND / message_rate)
        self.burst = burst
        self.client_id = client_id
        self.silent_refusals = silent_refusals
        self.days = {name: _Day(each) for name, each in self.products.items()}
        self.status = "online"
        self._talk: Callable[[CoinbaseVenue], CoinbaseConversation] = (
            AdvancedConversation if feed == "advanced" else ExchangeConversation
        )

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at ``/``; Denied with 404 elsewhere."""
        if path.partition("?")[0] != self.path:
            raise Denied(404, "Not Found")
        return self._talk(self)

    def moved(self, move: Move) -> None:
        """Remember the trades of ``move``."""
        self.days[self.names[move.symbol]].take(move.trades)

    def accepts(self, key: object) -> bool:
        """Whether a token or a key is good."""
        return isinstance(key, str) and (self.keys is None or key in self.keys)

    # --- what it can be made to do wrong --------------------------------------------------------------------

    def provoke_sequence_gap(self, count: int = 1) -> None:
        """Skip so many numbers, as if that many frames had been lost on the way."""
        for each in self._talks():
            each.skip(count)

    def provoke_duplicate(self) -> None:
        """Send the next data message twice."""
        for each in self._talks():
            each.twice += 1

    def provoke_reorder(self) -> None:
        """Send the next data message behind the one after it."""
        for each in self._talks():
            each.late += 1

    def provoke_error(self, message: str = "internal error", reason: str = "") -> None:
        """Say that something failed, to everybody."""
        for each in self._talks():
            each.say_error(message, reason)

    def provoke_slow_consumer(self) -> None:
        """Close every connection as too slow."""
        for each in self._talks():
            each.lagging()

    def provoke_rate_limit(self) -> None:
        """Take the next request of every connection as one too many."""
        for each in self._talks():
            each.exhaust()

    def provoke_status(self, status: str) -> None:
        """Every product's status changes, and is told with the next list of products."""
        self.status = status

    def provoke_blank_ticker(self) -> None:
        """Send a row of empty texts on ``ticker_batch`` (Advanced Trade)."""
        for each in self._talks():
            each.say_blank()

    def provoke_broken_level(self, symbol: str) -> None:
        """Send a book change with a size that is no number."""
        for each in self._talks():
            each.say_broken_level(symbol)

    def _talks(self) -> list[CoinbaseConversation]:
        return [each for each in self.conversations if isinstance(each, CoinbaseConversation)]


class CoinbaseConversation(Conversation):
    """One connection to either feed: what is subscribed, and what is gathered until it is said."""

    known: ClassVar[frozenset[str]]  # channels
    _bad_key: ClassVar[_Fault]
    without_products: ClassVar[frozenset[str]]

    def __init__(self, venue: CoinbaseVenue) -> None:
        super().__init__()
        self.twice = 0
        self.late = 0
        self._venue = venue
        self._channels: dict[str, dict[str, None]] = {}  # products by channel, in the order of asking
        self._deadline = venue.now + _DEADLINE
        self._credit = venue.now
        self._timers: dict[str, int] = {}
        self._changes: dict[
            str, tuple[dict[int, int], dict[int, int]]
        ] = {}  # bids and asks since the last bundle
        self._random = Random(f"{venue.market.seed} coinbase")
        self._held = ""

    @property
    def listening(self) -> bool:
        """Whether any channel is subscribed."""
        return bool(self._channels)

    def opened(self) -> None:
        """The venue says nothing until it is asked."""

    def due(self) -> int:
        """The next heartbeat, bundle or batch; or the end of the venue's patience."""
        return min([self._deadline, *self._timers.values()])

    def wake(self, now: int) -> None:
        """Say what it is time for."""
        if now >= self._deadline:
            self._deadline = NEVER
            self.hang_up(1008, "no subscription within 5 s")
        for name in [name for name, due in self._timers.items() if due <= now]:
            self._ring(name, now)

    def lagging(self) -> None:
        """The client reads too slowly: the venue's own word for it."""
        self.hang_up(1008, "ErrSlowConsume")

    # --- requests -------------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """One request."""
        venue = self._venue
        self._credit = max(self._credit, venue.now)
        if self._credit > venue.now + venue.burst * venue.patience:
            self.say_error("rate limit exceeded")
            return
        self._credit += venue.patience
        try:
            request = msgspec.json.decode(payload, type=_Request)
            wanted = self._wanted(request)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.say_error(*self._refusal("malformed request"))
            return
        if request.type not in ("subscribe", "unsubscribe"):
            self.say_error(*self._refusal(f"{request.type} is not a type"))
            return
        fault = self._fault(request, wanted)
        if fault is not None:
            self.say_error(*fault)
        elif request.type == "subscribe":
            self._subscribe(wanted)
        else:
            self._unsubscribe(wanted)

    def exhaust(self) -> None:
        """The client's requests are used up, for the moment."""
        self._credit = self._venue.now + (self._venue.burst + 1) * self._venue.patience

    def say_error(self, message: str, reason: str = "") -> None:
        """An error, which has neither a channel nor a number."""
        error = {"type": "error", "message": message}
        self.say(_json(error | ({"reason": reason} if reason else {})))

    def _fault(self, request: _Request, wanted: _Wanted) -> _Fault | None:
        """What is wrong with a request, as message and reason; None for nothing."""
        key = request.jwt or request.key
        for channel, products in wanted:
            if channel not in self.known:
                return self._unknown(channel)
            if key is None and channel in self._venue.keyed:
                return self._locked(channel)
            if key is not None and not self._venue.accepts(key):
                return self._bad_key
            if not products and request.type == "subscribe" and channel not in self.without_products:
                return self._refusal("product_ids required")
            for product in products:
                if product not in self._venue.products and not self._venue.silent_refusals:
                    return self._refusal(f"{product} is not a valid product")
        return None

    def _subscribe(self, wanted: _Wanted) -> None:
        self._deadline = NEVER
        fresh: list[tuple[str, str]] = []
        for channel, products in wanted:
            there = self._channels.setdefault(channel, {})
            named = [""] if channel in self.without_products else products
            for product in named:
                if product not in there and (not product or product in self._venue.products):
                    there[product] = None
                    fresh.append((channel, product))
            if not there:
                del self._channels[channel]
        self._began(fresh)

    def _unsubscribe(self, wanted: _Wanted) -> None:
        for channel, products in wanted:
            there = self._channels.get(channel, {})
            for product in products or list(there):
                there.pop(product, None)
            if not there:
                self._channels.pop(channel, None)
                self._timers.pop(channel, None)
        self.say_subscriptions()

    def _has(self, channel: str, product: str) -> bool:
        return product in self._channels.get(channel, ())

    def _at(self, name: str, due: int) -> None:
        """Ring at ``due``, unless that is to happen before."""
        self._timers[name] = min(due, self._timers.get(name, NEVER))

    def _say_data(self, text: str) -> None:
        """One data message; twice, or behind the next one, if so provoked."""
        if self.late and not self._held:
            self.late -= 1
            self._held = text
            return
        self.say(text, data=True)
        if self._held:
            self.say(self._held, data=True)
            self._held = ""
        if self.twice:
            self.twice -= 1
            self.say(text, data=True)

    def _gather(self, name: str, move: Move) -> None:
        """Keep the changes of ``move`` for the next bundle."""
        bids, asks = self._changes.setdefault(name, ({}, {}))
        for gathered, levels in ((bids, move.bids), (asks, move.asks)):
            for price, size in levels:
                gathered[price] = size
        self._at("bundle", move.stamp // _BUNDLE * _BUNDLE + _BUNDLE)

    @abstractmethod
    def _wanted(self, request: _Request) -> _Wanted:
        """Channels and products of a request."""

    @abstractmethod
    def _refusal(self, reason: str) -> _Fault:
        """How this feed refuses a request."""

    @abstractmethod
    def _unknown(self, channel: str) -> _Fault:
        """How it refuses a channel that it does not have."""

    @abstractmethod
    def _locked(self, channel: str) -> _Fault:
        """How it refuses a channel that wants a key."""

    @abstractmethod
    def _began(self, fresh: list[tuple[str, str]]) -> None:
        """These are subscribed now: snapshots and the list of all, in this feed's order."""

    @abstractmethod
    def _ring(self, name: str, now: int) -> None:
        """It is time for ``name``, which is a channel or ``bundle`` or ``trades``."""

    @abstractmethod
    def say_subscriptions(self) -> None:
        """The list of all that is subscribed."""

    @abstractmethod
    def say_broken_level(self, symbol: str) -> None:
        """A book change that says no size."""

    def skip(self, count: int) -> None:
        """Leave out so many numbers."""

    def say_blank(self) -> None:
        """A ticker that says nothing."""


class AdvancedConversation(CoinbaseConversation):
    """One connection to Advanced Trade: every frame but an error is counted."""

    known = frozenset(
        ("level2", "market_trades", "ticker", "ticker_batch", "candles", "status", "heartbeats")
    )
    without_products = frozenset(("status", "heartbeats"))
    _bad_key = ("authentication failure", "")

    def __init__(self, venue: CoinbaseVenue) -> None:
        super().__init__(venue)
        self._number = 0
        self._fills: dict[str, list[Fill]] = {}
        self._formed: dict[str, int] = {}  # the bar last said of each product
        self._news: dict[str, int] = {}  # when a channel last said something

    def moved(self, move: Move) -> None:
        """What each subscribed channel says of ``move``, or keeps for later."""
        name = self._venue.names[move.symbol]
        if self._has("level2", name) and (move.bids or move.asks):
            self._gather(name, move)
        if not move.trades:
            return
        if self._has("market_trades", name):
            self._fills.setdefault(name, []).extend(move.trades)
            self._at("trades", move.stamp // _GATHERED * _GATHERED + _GATHERED)
        if self._has("ticker", name):
            self._say_tickers("ticker", "update", [name])
        if self._has("candles", name):
            self._at("candles", move.stamp // SECOND * SECOND + SECOND)

    def skip(self, count: int) -> None:
        """Leave out so many numbers."""
        self._number += count

    def say_subscriptions(self) -> None:
        """The list of all that is subscribed, by channel."""
        listed = {
            channel: [product or channel for product in sorted(products)]
            for channel, products in sorted(self._channels.items())
        }
        self._say("subscriptions", [{"subscriptions": listed}], data=False)
        self._watch()

    def say_blank(self) -> None:
        """A ticker whose every text is empty."""
        names = ("product_id", "price", "volume_24_h", "low_24_h", "high_24_h", "low_52_w", "high_52_w")
        blank = {"type": "ticker", **dict.fromkeys(names, ""), "price_percent_chg_24_h": ""}
        self._say("ticker_batch", [{"type": "update", "tickers": [blank]}])

    def say_broken_level(self, symbol: str) -> None:
        """A book change that says no size."""
        row = {"side": "bid", "event_time": rfc3339(self._venue.now, 6)}
        row |= {"price_level": "1", "new_quantity": "0.-10000"}
        self._say("l2_data", [{"type": "update", "product_id": symbol, "updates": [row]}])

    def _wanted(self, request: _Request) -> _Wanted:
        return [(request.channel, request.product_ids)]

    def _refusal(self, reason: str) -> _Fault:
        return "failure to subscribe", ""  # this feed gives no reasons

    def _unknown(self, channel: str) -> _Fault:
        return "authentication failure", ""  # it takes what it does not know for something private

    def _locked(self, channel: str) -> _Fault:
        return "authentication failure", ""

    def _began(self, fresh: list[tuple[str, str]]) -> None:
        now = self._venue.now
        for channel, product in fresh:
            self._news.setdefault(channel, now)
            match channel:
                case "level2":
                    bids, asks = self._venue.market.book(self._venue.products[product].symbol)
                    self._changes.pop(product, None)
                    self._say_book("snapshot", product, bids.levels(), asks.levels(), now)
                case "market_trades":
                    self._fills.pop(product, None)
                    self._say_trades("snapshot", product, self._venue.days[product].recent)
                case "ticker" | "ticker_batch":
                    self._say_tickers(channel, "snapshot", [product])
                case "candles":
                    self._say_candles("snapshot", product, list(self._venue.days[product].bars))
                case "status":
                    self._say_products("snapshot")
                case _:
                    pass
            if channel in _PERIODS:
                self._at(channel, now + _PERIODS[channel])
        self.say_subscriptions()

    def _ring(self, name: str, now: int) -> None:
        del self._timers[name]
        match name:
            case "bundle":
                changes, self._changes = self._changes, {}
                for product, (bids, asks) in changes.items():
                    if self._has("level2", product):
                        self._say_book(
                            "update", product, sorted(bids.items())[::-1], sorted(asks.items()), now
                        )
            case "trades":
                gathered, self._fills = self._fills, {}
                for product, fills in gathered.items():
                    if self._has("market_trades", product):
                        self._say_trades("update", product, fills)
            case "candles":
                for product in self._channels.get("candles", ()):
                    bars = self._venue.days[product].bars
                    if bars:
                        last = self._formed.get(product, 0)
                        self._say_candles("update", product, [bar for bar in bars if bar.start >= last][-1:])
            case "heartbeats":
                count, part = divmod(now, SECOND)
                moment = rfc3339(now, 9).replace("T", " ").replace("Z", " +0000 UTC")
                beat = {"current_time": f"{moment} m=+{count}.{part:09d}", "heartbeat_counter": count}
                self._say("heartbeats", [beat], data=False)
            case "ticker_batch":
                self._say_tickers("ticker_batch", "update", list(self._channels["ticker_batch"]))
            case "status":
                self._say_products("update")
            case _:
                self._close_idle(now)
        if name in _PERIODS:
            self._at(name, now + _PERIODS[name])
        self._watch()

    def _watch(self) -> None:
        """Without heartbeats, a channel that has nothing to say is closed."""
        if self._channels and "heartbeats" not in self._channels:
            self._timers["idle"] = min(self._news[each] for each in self._channels) + _IDLE
        else:
            self._timers.pop("idle", None)

    def _close_idle(self, now: int) -> None:
        for channel in [each for each in self._channels if self._news[each] + _IDLE <= now]:
            del self._channels[channel]
            self._timers.pop(channel, None)

    def _say(self, channel: str, events: list[Mapping[str, Any]], *, data: bool = True) -> None:
        """One frame, counted."""
        head: dict[str, object] = {"channel": channel}
        if self._venue.client_id:
            head["client_id"] = ""
        head |= {"timestamp": rfc3339(self._venue.now), "sequence_num": self._number, "events": events}
        self._number += 1
        self._news["level2" if channel == "l2_data" else channel] = self._venue.now
        if data:
            self._say_data(_json(head))
        else:
            self.say(_json(head))

    def _say_book(self, type_: str, product: str, bids: _Levels, asks: _Levels, stamp: int) -> None:
        listing = self._venue.products[product]
        time = rfc3339(stamp, 6)
        updates = [
            {
                "side": side,
                "event_time": time,
                "price_level": _stripped(price, listing.price_precision),
                "new_quantity": _stripped(size, listing.size_precision),
            }
            for side, levels in (("bid", bids), ("offer", asks))
            for price, size in levels
        ]
        self._say("l2_data", [{"type": type_, "product_id": product, "updates": updates}])

    def _say_trades(self, type_: str, product: str, fills: Iterable[Fill]) -> None:
        """Newest first, and the side is the maker's."""
        listing = self._venue.products[product]
        trades = [
            {
                "product_id": product,
                "trade_id": str(each.id),
                "price": _stripped(each.price, listing.price_precision),
                "size": _stripped(each.size, listing.size_precision),
                "time": _stripped_time(each.stamp),
                "side": "SELL" if each.side > 0 else "BUY",
            }
            for each in list(fills)[::-1]
        ]
        self._say("market_trades", [{"type": type_, "trades": trades}])

    def _say_tickers(self, channel: str, type_: str, products: list[str]) -> None:
        rows: list[dict[str, str]] = []
        for product in products:
            listing, day = self._venue.products[product], self._venue.days[product]
            places, decimals = listing.price_precision, listing.size_precision
            bids, asks = self._venue.market.book(listing.symbol)
            (bid, bid_size), (ask, ask_size) = bids.levels(1)[0], asks.levels(1)[0]
            row = {
                "type": "ticker",
                "product_id": product,
                "price": _stripped(day.close, places),
                "volume_24_h": _stripped(day.volume, decimals),
                "low_24_h": _stripped(day.low, places),
                "high_24_h": _stripped(day.high, places),
                "low_52_w": _stripped(day.low, places),
                "high_52_w": _stripped(day.high, places),
                "price_percent_chg_24_h": decimal(round((day.close - day.open) * 10_000 / day.open), 2),
            }
            if channel == "ticker":
                row["best_bid"] = _stripped(bid, places)
                row["best_bid_quantity"] = _stripped(bid_size, decimals)
                row["best_ask"] = _stripped(ask, places)
                row["best_ask_quantity"] = _stripped(ask_size, decimals)
            rows.append(row)
        self._say(channel, [{"type": type_, "tickers": rows}])

    def _say_candles(self, type_: str, product: str, bars: list[_FiveMinutes]) -> None:
        listing = self._venue.products[product]
        places = listing.price_precision
        rows = [
            {
                "start": str(each.start // SECOND),
                "high": _stripped(each.high, places),
                "low": _stripped(each.low, places),
                "open": _stripped(each.open, places),
                "close": _stripped(each.close, places),
                "volume": _stripped(each.volume, listing.size_precision),
                "product_id": product,
            }
            for each in bars
        ]
        self._formed[product] = bars[-1].start if bars else 0
        self._say("candles", [{"type": type_, "candles": rows}])

    def _say_products(self, type_: str) -> None:
        rows = [
            {"product_type": "SPOT", **_product(name, each, self._venue.status)}
            for name, each in self._venue.products.items()
        ]
        self._say("status", [{"type": type_, "products": rows}])


class ExchangeConversation(CoinbaseConversation):
    """One connection to the Exchange: nothing is counted but trades."""

    known = frozenset(("level2", "level2_batch", "matches", "ticker", "ticker_batch", "heartbeat", "status"))
    without_products = frozenset(("status",))
    _bad_key = ("Authentication Failed", '{"message":"Invalid API Key"}')

    def __init__(self, venue: CoinbaseVenue) -> None:
        super().__init__(venue)
        self._lost = 0

    def moved(self, move: Move) -> None:
        """For each trade a match, then a ticker of the same sequence; then the book."""
        name = self._venue.names[move.symbol]
        for fill in move.trades:
            if self._has("matches", name):
                if self._lost:
                    self._lost -= 1
                else:
                    self._say_match("match", name, fill)
            if self._has("ticker", name):
                self._say_ticker(name, fill)
        if self._has("level2_batch", name) and (move.bids or move.asks):
            self._gather(name, move)
        if self._has("level2", name):
            for side, levels in (("buy", move.bids), ("sell", move.asks)):
                for price, size in levels:
                    self._say_changes(name, [(side, price, size)], move.stamp)

    def skip(self, count: int) -> None:
        """Lose so many trades: their ids are the only numbers here."""
        self._lost += count

    def say_subscriptions(self) -> None:
        """The list of all; its products in no order, and the batched books under another name."""
        channels = [
            {
                "name": "level2_50" if channel == "level2_batch" else channel,
                "product_ids": self._random.sample(
                    sorted(filter(None, products)), len([*filter(None, products)])
                ),
                "account_ids": None,
            }
            for channel, products in self._channels.items()
        ]
        self.say(_json({"type": "subscriptions", "channels": channels}))

    def say_broken_level(self, symbol: str) -> None:
        """A book change that says no size."""
        self._say_data(
            _json(
                {
                    "type": "l2update",
                    "product_id": symbol,
                    "changes": [["buy", "1.00", "0.-10000"]],
                    "time": rfc3339(self._venue.now, 6),
                }
            )
        )

    def _wanted(self, request: _Request) -> _Wanted:
        return [
            (each, request.product_ids)
            if isinstance(each, str)
            else (each.name, each.product_ids or request.product_ids)
            for each in request.channels
        ]

    def _refusal(self, reason: str) -> _Fault:
        return "Failed to subscribe", reason

    def _unknown(self, channel: str) -> _Fault:
        return self._refusal(f"{channel} is not a valid channel")

    def _locked(self, channel: str) -> _Fault:
        return self._refusal(f"{channel} requires authentication")

    def _began(self, fresh: list[tuple[str, str]]) -> None:
        self.say_subscriptions()
        for channel, product in fresh:
            match channel:
                case "matches" | "ticker":
                    recent = self._venue.days[product].recent
                    if recent and channel == "matches":
                        self._say_match("last_match", product, recent[-1])
                    elif recent:
                        self._say_ticker(product, recent[-1])
                case "level2" | "level2_batch":
                    self._changes.pop(product, None)
                    self._say_snapshot(product)
                case "status":
                    self._say_products()
                case _:
                    pass
            if channel in _PERIODS:
                self._at(channel, self._venue.now + _PERIODS[channel])

    def _ring(self, name: str, now: int) -> None:
        del self._timers[name]
        match name:
            case "bundle":
                changes, self._changes = self._changes, {}
                for product, sides in changes.items():
                    if self._has("level2_batch", product):
                        listed = [
                            (side, price, size)
                            for side, levels in zip(("buy", "sell"), sides, strict=True)
                            for price, size in levels.items()
                        ]
                        self._say_changes(product, listed, now)
            case "heartbeat":
                for product in self._channels["heartbeat"]:
                    self._say_heartbeat(product, now)
            case "ticker_batch":
                for product in self._channels["ticker_batch"]:
                    recent = self._venue.days[product].recent
                    if recent:
                        self._say_ticker(product, recent[-1])
            case _:
                self._say_products()
        if name in _PERIODS:
            self._at(name, now + _PERIODS[name])

    def _say_match(self, type_: Literal["match", "last_match"], product: str, fill: Fill) -> None:
        listing = self._venue.products[product]
        self._say_data(
            _json(
                {
                    "type": type_,
                    "trade_id": fill.id,
                    "maker_order_id": _uuid(fill.id),
                    "taker_order_id": _uuid(fill.id + 1),
                    "side": "sell" if fill.side > 0 else "buy",
                    "size": decimal(fill.size, listing.size_precision),
                    "price": decimal(fill.price, listing.price_precision),
                    "product_id": product,
                    "sequence": _sequence(fill.stamp),
                    "time": rfc3339(fill.stamp, 6),
                }
            )
        )

    def _say_ticker(self, product: str, fill: Fill) -> None:
        """The side here is the taker's."""
        listing, day = self._venue.products[product], self._venue.days[product]
        places, decimals = listing.price_precision, listing.size_precision
        bids, asks = self._venue.market.book(listing.symbol)
        (bid, bid_size), (ask, ask_size) = bids.levels(1)[0], asks.levels(1)[0]
        self._say_data(
            _json(
                {
                    "type": "ticker",
                    "sequence": _sequence(fill.stamp),
                    "product_id": product,
                    "price": decimal(fill.price, places),
                    "open_24h": decimal(day.open, places),
                    "volume_24h": decimal(day.volume, decimals),
                    "low_24h": decimal(day.low, places),
                    "high_24h": decimal(day.high, places),
                    "volume_30d": decimal(day.volume, decimals),
                    "best_bid": decimal(bid, places),
                    "best_bid_size": decimal(bid_size, decimals),
                    "best_ask": decimal(ask, places),
                    "best_ask_size": decimal(ask_size, decimals),
                    "side": "buy" if fill.side > 0 else "sell",
                    "time": rfc3339(fill.stamp, 6),
                    "trade_id": fill.id,
                    "last_size": decimal(fill.size, decimals),
                }
            )
        )

    def _say_snapshot(self, product: str) -> None:
        listing = self._venue.products[product]
        bids, asks = self._venue.market.book(listing.symbol)
        sides = {
            name: [
                [decimal(price, listing.price_precision), decimal(size, listing.size_precision)]
                for price, size in ladder.levels()
            ]
            for name, ladder in (("asks", asks), ("bids", bids))
        }
        now = rfc3339(self._venue.now, 6)
        self._say_data(_json({"type": "snapshot", "product_id": product, **sides, "time": now}))

    def _say_changes(self, product: str, changes: list[tuple[str, int, int]], stamp: int) -> None:
        listing = self._venue.products[product]
        spelled = [
            [side, decimal(price, listing.price_precision), decimal(size, listing.size_precision)]
            for side, price, size in changes
        ]
        time = rfc3339(stamp, 6)
        self._say_data(_json({"type": "l2update", "product_id": product, "changes": spelled, "time": time}))

    def _say_heartbeat(self, product: str, now: int) -> None:
        recent = self._venue.days[product].recent
        last = recent[-1].id if recent else 0
        beat = {"type": "heartbeat", "sequence": _sequence(now), "last_trade_id": last}
        self.say(_json(beat | {"product_id": product, "time": rfc3339(now, 6)}))

    def _say_products(self) -> None:
        rows = [_product(name, each, self._venue.status) for name, each in self._venue.products.items()]
        self._say_data(_json({"type": "status", "products": rows, "currencies": []}))


_PERIODS = {"heartbeats": SECOND, "heartbeat": SECOND, "ticker_batch": _BATCH, "status": _BATCH}


class _Named(msgspec.Struct):
    """A channel of the Exchange with products of its own."""

    name: str
    product_ids: list[str] = []


class _Request(msgspec.Struct):
    """A request of either feed."""

    type: str
    product_ids: list[str] = []
    channel: str = ""
    channels: list[str | _Named] = []
    jwt: str | None = None
    key: str | None = None


def _json(message: Mapping[str, object]) -> str:
    return msgspec.json.encode(message).decode()


def _stripped(units: int, places: int) -> str:
    """Advanced Trade's spelling of a number: without zeros that say nothing."""
    text = decimal(units, places)
    return text.rstrip("0").rstrip(".") if places else text


def _stripped_time(stamp: int) -> str:
    """A stamp with as many decimals as it needs, six at most."""
    return rfc3339(stamp, 6)[:-1].rstrip("0").rstrip(".") + "Z"


def _uuid(number: int) -> str:
    """An order's name, of a trade's number."""
    digits = f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 & (1 << 128) - 1:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _sequence(stamp: int) -> int:
    """The full feed's number at a moment: it leaps, as here nobody sees that feed."""
    return stamp // 1000 % 10**12


def _product(name: str, listing: Listing, status: str) -> dict[str, str]:
    base, _, quote = name.partition("-")
    return {
        "id": name,
        "base_currency": base,
        "quote_currency": quote,
        "base_increment": decimal(1, listing.size_precision),
        "quote_increment": decimal(1, listing.price_precision),
        "display_name": f"{base}/{quote}",
        "status": status,
        "status_message": "",
        "min_market_funds": "1",
    }


class _FiveMinutes:
    """Open, high, low, close and volume of five minutes."""

    def __init__(self, start: int, price: int) -> None:
        self.start = start
        self.open = self.high = self.low = self.close = price
        self.volume = 0

    def add(self, fill: Fill) -> None:
        """Take in one trade."""
        self.high = max(self.high, fill.price)
        self.low = min(self.low, fill.price)
        self.close = fill.price
        self.volume += fill.size


class _Day(_FiveMinutes):
    """One product's day, its newest trades and bars."""

    def __init__(self, listing: Listing) -> None:
        super().__init__(0, listing.price)
        self.recent: deque[Fill] = deque(maxlen=_RECENT)
        self.bars: deque[_FiveMinutes] = deque(maxlen=10)

    def take(self, fills: Iterable[Fill]) -> None:
        """Take in the trades of one move."""
        for fill in fills:
            self.add(fill)
            self.recent.append(fill)
            start = fill.stamp // _BAR * _BAR
            if not self.bars or self.bars[-1].start < start:
                self.bars.append(_FiveMinutes(start, fill.price))
            self.bars[-1].add(fill)
