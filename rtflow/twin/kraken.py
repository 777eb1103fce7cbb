"""Kraken's side of its public spot feed, WebSocket API v2.

What it says and in which spelling: https://docs.kraken.com/api/docs/websocket-v2/book (and trade, ticker,
ohlc, instrument, status, heartbeat, ping); the checksum: https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from random import Random

import msgspec

from rtflow.time import SECOND
from rtflow.time import format as rfc3339
from rtflow.twin.market import NEVER, Fill, Ladder, Listing, Market, Move, decimal
from rtflow.twin.venue import Conversation, Denied, Venue

DEPTHS = (10, 25, 100, 500, 1000)
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)

_IDLE = 60 * SECOND  # a connection that subscribes nothing is closed after this
_MINUTE = 60 * SECOND
_SUMMED = 10  # levels a side that the checksum is taken over, whatever the depth
_TURNAROUND = 21_000  # ns between time_in and time_out
_WARNINGS = {
    "instrument": ["tick_size is deprecated, use price_increment"],
    "ohlc": ["timestamp is deprecated, use interval_begin"],
}
_FIELDS = {
    "book": {"channel", "symbol", "snapshot", "depth"},
    "trade": {"channel", "symbol", "snapshot"},
    "ticker": {"channel", "symbol", "snapshot", "event_trigger"},
    "ohlc": {"channel", "symbol", "snapshot", "interval"},
    "instrument": {"channel", "snapshot", "include_tokenized_assets"},
}
_PRIVATE = {"executions", "balances", "level3"}


class KrakenVenue(Venue):
    """Kraken as one market shows it: every listing that is a coin.

    ``message_rate`` and ``burst`` bound a connection's requests: so many a second, so many at once.
    """

    path = "/v2"

    def __init__(self, market: Market, *, message_rate: float = 20.0, burst: int = 60) -> None:
        super().__init__(market)
        self.pairs = {each.symbol: each for each in market.listings.values() if not each.stock}
        self.patience = round(SECOND / message_rate)
        self.burst = burst
        self.system = "online"
        self.statuses = dict.fromkeys(self.pairs, "online")
        self._memories = {each.symbol: _Memory(each) for each in self.pairs.values()}
        self._connected = 0
        self._owed: Counter[str] = Counter()  # the faults that are still to come, by name

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at ``/v2``; Denied with 404 elsewhere."""
        if path.partition("?")[0] != self.path:
            raise Denied(404, "Not Found")
        self._connected += 1
        random = Random(f"{self.market.seed} connection {self._connected}")
        return KrakenConversation(self, random.getrandbits(64) | 1 << 63)  # above a signed 64-bit integer

    def moved(self, move: Move) -> None:
        """Remember the trades of ``move``."""
        if move.trades and move.symbol in self.pairs:
            self._memories[move.symbol].add(move.trades)

    def remembered(self, symbol: str) -> _Memory:
        """What is known of the trades of ``symbol``."""
        return self._memories[symbol]

    def provoke_announce(self, system: str) -> None:
        """The engine's state changes: ``online``, ``maintenance``, ``cancel_only`` or ``post_only``."""
        self.system = system
        for each in self._talks():
            each.say_status()

    def provoke_instrument_update(self, symbol: str, status: str = "cancel_only") -> None:
        """The status of a pair changes, for whoever listens to instruments now or later."""
        self.pairs[symbol]  # KeyError for a pair that is not listed
        self.statuses[symbol] = status
        for each in self._talks():
            each.say_instrument_update(symbol)

    def provoke_zero_ticker(self, symbol: str) -> None:
        """A ticker of nothing but zeros, stamped 1970, as of a pair without orders; once, and at once."""
        for each in self._talks():
            each.say_zero_ticker(symbol)

    def provoke_unknown_channel(self) -> None:
        """Everybody is told something by a channel that nobody knows; once, and at once."""
        for each in self._talks():
            each.say('{"channel":"weather","type":"update","data":[{"symbol":"BTC/USD","rain":0.5}]}')

    def provoke_unknown_fields(self) -> None:
        """The next message of market data has fields that nobody knows, around its rows and in the first."""
        self._owed["unknown_fields"] += 1

    def provoke_wrong_checksum(self) -> None:
        """Make the checksum of the next book update wrong."""
        self._owed["wrong_checksum"] += 1

    def provoke_early_update(self) -> None:
        """Before the snapshot of the next book that somebody subscribes comes an update of it."""
        self._owed["early_update"] += 1

    def provoke_duplicate_price(self) -> None:
        """The best ask of the next book snapshot is in it twice; the second time is right."""
        self._owed["duplicate_price"] += 1

    def provoke_exceeded_rate(self, requests: int = 1) -> None:
        """The next so many requests are too many: each is lost, and its answer does not name it."""
        self._owed["exceeded_rate"] += requests

    def owes(self, fault: str) -> bool:
        """Whether ``fault`` is to happen now; asked where it can happen, and then it is done with."""
        if not self._owed[fault]:
            return False
        self._owed[fault] -= 1
        return True

    def _talks(self) -> Iterator[KrakenConversation]:
        for each in self.conversations:
            assert isinstance(each, KrakenConversation)
            yield each


class KrakenConversation(Conversation):
    """One connection to ``/v2``."""

    def __init__(self, venue: KrakenVenue, number: int) -> None:
        super().__init__()
        self._venue = venue
        self._number = number
        self._books: dict[str, _Window] = {}
        self._trades: set[str] = set()
        self._tickers: dict[str, str] = {}
        self._candles: dict[str, list[int]] = {}
        self._instruments = False
        self._beat = NEVER
        self._heard = venue.now
        self._credit = venue.now

    @property
    def listening(self) -> bool:
        """Whether any channel is subscribed."""
        return bool(self._books or self._trades or self._tickers or self._candles or self._instruments)

    def opened(self) -> None:
        """``status`` comes without being asked, and nothing else does."""
        self.say_status()

    def say_status(self) -> None:
        """The engine's state."""
        self.say(
            '{"channel":"status","type":"update","data":[{"version":"2.0.10",'
            f'"system":"{self._venue.system}","api_version":"v2","connection_id":{self._number},'
            '"upcoming_maintenance":[],"emergency":[]}]}'
        )

    def due(self) -> int:
        """The next heartbeat, or the end of the venue's patience with a connection that wants nothing."""
        return self._beat if self.listening else self._heard + _IDLE

    def wake(self, now: int) -> None:
        """A heartbeat each second from the first subscription on; a minute without any is the end."""
        if self.listening:
            self._beat += SECOND
            self.say('{"channel":"heartbeat"}')
        else:
            self._heard = now + NEVER
            self.hang_up(1000, "idle")

    # --- requests -------------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """One request."""
        venue = self._venue
        self._heard = venue.now
        self._credit = max(self._credit, venue.now)
        if venue.owes("exceeded_rate") or self._credit > venue.now + venue.burst * venue.patience:
            self.say('{"Error":"Exceeded msg rate"}')  # neither the method nor the req_id is named
            return
        self._credit += venue.patience
        try:
            request = msgspec.json.decode(payload, type=_Request)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._refuse(_Request(""), "Malformed request")
            return
        if request.method == "ping":
            self._reply(request, "pong", {})
        elif request.method in ("subscribe", "unsubscribe"):
            self._change(request)
        else:
            self._refuse(request, "Event(s) not found")

    def _change(self, request: _Request) -> None:
        params = request.params
        wanted = self._understood(params)
        if isinstance(wanted, str):
            self._refuse(request, wanted)
        elif request.method == "subscribe":
            accepted = [symbol for symbol in wanted if self._subscribe(request, symbol)]
            if accepted and self._beat == NEVER:
                self._beat = self._venue.now + SECOND
            if params.get("snapshot", params["channel"] != "trade"):
                for symbol in accepted:
                    self._snapshot(params, symbol)
        else:
            for symbol in wanted:
                self._unsubscribe(request, symbol)
            if not self.listening:
                self._beat = NEVER

    def _understood(self, params: dict[str, object]) -> str | list[str]:
        """The symbols of a request, or what is wrong with all of it. ``instrument`` has the symbol ``""``."""
        channel = params.get("channel")
        if channel in _PRIVATE:
            return "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
        if not isinstance(channel, str) or channel not in _FIELDS:
            return "Subscription name invalid"
        for field in params:
            if field not in _FIELDS[channel]:
                return f"Unsupported field: '{field}' for the given msg type: {channel}"
        if not isinstance(params.get("snapshot", True), bool):
            return "Malformed request"
        if not _among(params.get("depth", 10), DEPTHS):
            return "Subscription depth not supported"
        if not _among(params.get("interval", 1), INTERVALS):
            return "Subscription ohlc interval not supported"
        if params.get("event_trigger", "trades") not in ("trades", "bbo"):
            return "Malformed request"
        if channel == "instrument":
            return [""]
        try:
            return msgspec.convert(params.get("symbol"), list[str])
        except msgspec.ValidationError:
            return "Malformed request"

    def _subscribe(self, request: _Request, symbol: str) -> bool:
        params, fault = request.params, ""
        if symbol and "/" not in symbol:
            fault = f"Currency pair not in ISO 4217-A3 format {symbol}"
        elif symbol and symbol not in self._venue.pairs:
            fault = f"Currency pair not supported {symbol}"
        elif self._has(params, symbol, exactly=False):
            fault = "Already subscribed"
        if fault:
            self._refuse(request, fault, symbol)
            return False
        match params["channel"]:
            case "book":
                self._books[symbol] = _Window(_option(params), *self._venue.market.book(symbol))
            case "trade":
                self._trades.add(symbol)
            case "ticker":
                self._tickers[symbol] = str(params.get("event_trigger", "trades"))
            case "ohlc":
                self._candles.setdefault(symbol, []).append(_option(params))
            case _:
                self._instruments = True
        self._reply(request, "subscribe", {"result": _result(params, symbol, subscribed=True)})
        return True

    def _unsubscribe(self, request: _Request, symbol: str) -> None:
        params = request.params
        if not self._has(params, symbol, exactly=True):
            # the venue's own slip: the method of this refusal is always "subscribe"
            odd = _Request("subscribe", params, request.req_id)
            self._refuse(odd, "Subscription Not Found", symbol)
            return
        match params["channel"]:
            case "book":
                del self._books[symbol]
            case "trade":
                self._trades.discard(symbol)
            case "ticker":
                del self._tickers[symbol]
            case "ohlc":
                self._candles[symbol].remove(_option(params))
                self._candles = {each: intervals for each, intervals in self._candles.items() if intervals}
            case _:
                self._instruments = False
        self._reply(request, "unsubscribe", {"result": _result(params, symbol, subscribed=False)})

    def _has(self, params: dict[str, object], symbol: str, *, exactly: bool) -> bool:
        """Whether this is subscribed: with these very options, or with any that exclude them."""
        match params["channel"]:
            case "book":
                window = self._books.get(symbol)
                return window is not None and (not exactly or window.depth == _option(params))
            case "trade":
                return symbol in self._trades
            case "ticker":
                trigger = self._tickers.get(symbol)
                return trigger is not None and (
                    not exactly or trigger == params.get("event_trigger", "trades")
                )
            case "ohlc":
                return _option(params) in self._candles.get(symbol, ())
            case _:
                return self._instruments

    def _refuse(self, request: _Request, error: str, symbol: str = "") -> None:
        reply: dict[str, object] = {"error": error}
        if request.method:
            reply["method"] = request.method
        if request.req_id is not None:
            reply["req_id"] = request.req_id
        reply["success"] = False
        if symbol:
            reply["symbol"] = symbol
        self._stamped(reply)

    def _reply(self, request: _Request, method: str, rest: dict[str, object]) -> None:
        reply: dict[str, object] = {"method": method}
        if request.req_id is not None:
            reply["req_id"] = request.req_id
        if rest:
            reply |= rest | {"success": True}
        self._stamped(reply)

    def _stamped(self, reply: dict[str, object]) -> None:
        now = self._venue.now
        reply["time_in"], reply["time_out"] = rfc3339(now, 6), rfc3339(now + _TURNAROUND, 6)
        self.say(msgspec.json.encode(reply).decode())

    # --- data -----------------------------------------------------------------------------------------------

    def moved(self, move: Move) -> None:
        """What each subscribed channel says of ``move``; a book first, then what the trades made."""
        symbol = move.symbol
        window = self._books.get(symbol)
        if window is not None and (move.bids or move.asks):
            changes = window.update(move)
            if changes is not None:
                self._say_book("update", symbol, *changes, move.stamp)
        if move.trades and symbol in self._trades:
            self._say_trades("update", symbol, move.trades)
        trigger = self._tickers.get(symbol)
        if trigger is not None and (move.touched if trigger == "bbo" else move.trades):
            self._say_ticker("update", symbol, move.stamp)
        if move.trades and symbol in self._candles:
            for interval in self._candles[symbol]:
                newest = [self._venue.remembered(symbol).candles[interval][-1]]
                self._say_candles("update", symbol, interval, newest, move.stamp)

    def _snapshot(self, params: dict[str, object], symbol: str) -> None:
        now = self._venue.now
        match params["channel"]:
            case "book":
                bids, asks = self._books[symbol].snapshot()
                if self._venue.owes("early_update"):
                    self._say_book("update", symbol, bids[:1], [], now)
                if self._venue.owes("duplicate_price"):
                    (price, size), *_ = asks
                    asks = [(price, size + 1), *asks]
                self._say_book("snapshot", symbol, bids, asks, now)
            case "trade":
                self._say_trades("snapshot", symbol, self._venue.remembered(symbol).recent)
            case "ticker":
                self._say_ticker("snapshot", symbol, now)
            case "ohlc":
                interval = _option(params)
                rows = self._venue.remembered(symbol).candles[interval]
                self._say_candles("snapshot", symbol, interval, rows, now)
            case _:
                self._say_all_instruments()

    def _say_book(
        self, type_: str, symbol: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], stamp: int
    ) -> None:
        listing = self._venue.pairs[symbol]
        checksum = self._books[symbol].checksum()
        if type_ == "update" and self._venue.owes("wrong_checksum"):
            checksum ^= 1
        self._say_data(
            f'{{"channel":"book","type":"{type_}","data":[{{"symbol":"{symbol}",'
            f'"bids":[{_levels(listing, bids)}],"asks":[{_levels(listing, asks)}],'
            f'"checksum":{checksum},"timestamp":"{rfc3339(stamp, 6)}"}}]}}'
        )

    def _say_trades(self, type_: str, symbol: str, fills: Iterable[Fill]) -> None:
        listing = self._venue.pairs[symbol]
        rows = ",".join(
            f'{{"symbol":"{symbol}","side":"{"buy" if each.side > 0 else "sell"}",'
            f'"price":{decimal(each.price, listing.price_precision)},'
            f'"qty":{decimal(each.size, listing.size_precision)},'
            f'"ord_type":"{"market" if each.market else "limit"}","trade_id":{each.id},'
            f'"timestamp":"{rfc3339(each.stamp, 6)}"}}'
            for each in fills
        )
        self._say_data(f'{{"channel":"trade","type":"{type_}","data":[{rows}]}}')

    def _say_ticker(self, type_: str, symbol: str, stamp: int) -> None:
        listing, day = self._venue.pairs[symbol], self._venue.remembered(symbol).day
        bids, asks = self._venue.market.book(symbol)
        (bid, bid_size), (ask, ask_size) = bids.levels(1)[0], asks.levels(1)[0]
        places = listing.price_precision
        change = day.close - day.open
        self._say_data(
            f'{{"channel":"ticker","type":"{type_}","data":[{{"symbol":"{symbol}",'
            f'"bid":{decimal(bid, places)},"bid_qty":{decimal(bid_size, listing.size_precision)},'
            f'"ask":{decimal(ask, places)},"ask_qty":{decimal(ask_size, listing.size_precision)},'
            f'"last":{decimal(day.close, places)},"volume":{decimal(day.volume, listing.size_precision)},'
            f'"vwap":{decimal(day.vwap, places)},"low":{decimal(day.low, places)},'
            f'"high":{decimal(day.high, places)},"change":{decimal(change, places)},'
            f'"change_pct":{decimal(round(change * 10_000 / day.open), 2)},"trades":{day.count},'
            f'"timestamp":"{rfc3339(stamp, 6)}"}}]}}'
        )

    def say_zero_ticker(self, symbol: str) -> None:
        """A ticker without a quote, if the pair's is subscribed."""
        if symbol in self._tickers:
            none, nothing = decimal(0, self._venue.pairs[symbol].price_precision), decimal(0, 8)
            self._say_data(
                f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}",'
                f'"bid":{none},"bid_qty":{nothing},"ask":{none},"ask_qty":{nothing},"last":{none},'
                f'"volume":{nothing},"vwap":{none},"low":{none},"high":{none},"change":{none},'
                '"change_pct":0.00,"trades":0,"timestamp":"1970-01-01T00:00:00.000000Z"}]}'
            )

    def _say_candles(
        self, type_: str, symbol: str, interval: int, candles: Iterable[_Candle], stamp: int
    ) -> None:
        listing = self._venue.pairs[symbol]
        places = listing.price_precision
        rows = ",".join(
            f'{{"symbol":"{symbol}","open":{decimal(each.open, places)},"high":{decimal(each.high, places)},'
            f'"low":{decimal(each.low, places)},"close":{decimal(each.close, places)},"trades":{each.count},'
            f'"volume":{decimal(each.volume, listing.size_precision)},"vwap":{decimal(each.vwap, places)},'
            f'"interval_begin":"{rfc3339(each.begin)}","interval":{interval},'
            f'"timestamp":"{rfc3339(each.begin + interval * _MINUTE, 6)}"}}'
            for each in candles
        )
        head = f'{{"channel":"ohlc","type":"{type_}","timestamp":"{rfc3339(stamp)}"'
        self._say_data(f'{head},"data":[{rows}]}}')

    def say_instrument_update(self, symbol: str) -> None:
        """The pair that changed, alone, if instruments are subscribed."""
        if self._instruments:
            self._say_instruments("update", [self._venue.pairs[symbol]], "")

    def _say_all_instruments(self) -> None:
        pairs = self._venue.pairs.values()
        names = sorted({name for each in pairs for name in each.symbol.split("/")})
        assets = ",".join(
            f'{{"id":"{name}","status":"enabled","precision":{4 if name == "USD" else 10},'
            f'"precision_display":{2 if name == "USD" else 5},"borrowable":true,"collateral_value":1.0,'
            '"margin_rate":0.01}'
            for name in names
        )
        self._say_instruments("snapshot", pairs, assets)

    def _say_instruments(self, type_: str, pairs: Iterable[Listing], assets: str) -> None:
        rows = ",".join(
            f'{{"symbol":"{each.symbol}","base":"{each.symbol.partition("/")[0]}",'
            f'"quote":"{each.symbol.partition("/")[2]}","status":"{self._venue.statuses[each.symbol]}",'
            f'"qty_precision":{each.size_precision},"qty_increment":{10.0**-each.size_precision!r},'
            f'"price_precision":{each.price_precision},"cost_precision":5,"marginable":true,"has_index":true,'
            '"cost_min":0.5,"margin_initial":0.1,"position_limit_long":350,"position_limit_short":250,'
            f'"tick_size":{10.0**-each.price_precision!r},"price_increment":{10.0**-each.price_precision!r},'
            f'"qty_min":{5 * 10.0**-each.size_precision!r}}}'
            for each in pairs
        )
        self._say_data(
            f'{{"channel":"instrument","type":"{type_}","data":{{"assets":[{assets}],"pairs":[{rows}]}}}}'
        )

    def _say_data(self, message: str) -> None:
        if self._venue.owes("unknown_fields"):
            message = message.replace('{"symbol":', '{"mood":{"of":[1,null]},"symbol":', 1)
            message = message[:-1] + ',"season":"winter"}'
        self.say(message, data=True)


class _Request(msgspec.Struct):
    """The envelope of a request; ``params`` are judged by channel."""

    method: str
    params: dict[str, object] = {}
    req_id: int | None = None


def _among(value: object, choices: tuple[int, ...]) -> bool:
    return type(value) is int and value in choices  # neither 10.0 nor true is a depth


def _option(params: dict[str, object]) -> int:
    """The depth of a book, the interval of an ohlc."""
    value = params.get("depth", 10) if params["channel"] == "book" else params.get("interval", 1)
    assert isinstance(value, int)
    return value


def _result(params: dict[str, object], symbol: str, *, subscribed: bool) -> dict[str, object]:
    """The effective parameters, keys in alphabetical order, with the one symbol."""
    channel = str(params["channel"])
    result: dict[str, object] = {"channel": channel}
    if channel == "book":
        result["depth"] = _option(params)
    elif channel == "ticker":
        result["event_trigger"] = params.get("event_trigger", "trades")
    elif channel == "ohlc":
        result["interval"] = _option(params)
    if subscribed:
        result["snapshot"] = params.get("snapshot", channel != "trade")
    if symbol:
        result["symbol"] = symbol
    if subscribed and channel in _WARNINGS:
        result["warnings"] = _WARNINGS[channel]
    return result


def _levels(listing: Listing, levels: list[tuple[int, int]]) -> str:
    places, decimals = listing.price_precision, listing.size_precision
    return ",".join(
        f'{{"price":{decimal(price, places)},"qty":{decimal(size, decimals)}}}' for price, size in levels
    )


class _Window:
    """What a subscriber of ``depth`` levels sees of a book: changes inside, and what enters from below."""

    def __init__(self, depth: int, bids: Ladder, asks: Ladder) -> None:
        self.depth = depth
        self._ladders = (bids, asks)
        self._floors = [_floor(bids, depth), _floor(asks, depth)]

    def snapshot(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Both sides, best first."""
        bids, asks = self._ladders
        return bids.levels(self.depth), asks.levels(self.depth)

    def update(self, move: Move) -> tuple[list[tuple[int, int]], list[tuple[int, int]]] | None:
        """What to send of ``move``, which the book has taken in; None if nothing of it is in sight."""
        bids, asks = self._side(0, move.bids), self._side(1, move.asks)
        return (bids, asks) if bids or asks else None

    def checksum(self) -> int:
        """CRC-32 over the digits of the best ten asks, then bids; a price is its units, so are its digits."""
        bids, asks = self._ladders
        digits = [f"{price}{size}" for ladder in (asks, bids) for price, size in ladder.levels(_SUMMED)]
        return zlib.crc32("".join(digits).encode())

    def _side(self, index: int, changed: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
        if not changed:
            return []
        ladder, before = self._ladders[index], self._floors[index]
        after = self._floors[index] = _floor(ladder, self.depth)
        sign = ladder.sign
        # a level that was in sight and is gone is deleted; one pushed out below the window is not
        told = [(price, size) for price, size in changed if price * sign >= (after if size else before)]
        if after < before:
            known = {price for price, _ in changed}
            entered = ladder.keys[bisect_left(ladder.keys, after) : bisect_left(ladder.keys, before)]
            told += [(key * sign, ladder.sizes[key]) for key in reversed(entered) if key * sign not in known]
        return told


_LOWEST = -(1 << 63)


def _floor(ladder: Ladder, depth: int) -> int:
    """The worst key in sight; without end where the side has fewer levels than the window."""
    return ladder.keys[-depth] if len(ladder.keys) >= depth else _LOWEST


class _Candle:
    """Open, high, low, close, volume, value and count of a stretch that begins at ``begin``."""

    def __init__(self, begin: int, price: int) -> None:
        self.begin = begin
        self.open = self.high = self.low = self.close = price
        self.volume = self.value = self.count = 0

    def add(self, fill: Fill) -> None:
        """Take in one trade."""
        self.high = max(self.high, fill.price)
        self.low = min(self.low, fill.price)
        self.close = fill.price
        self.volume += fill.size
        self.value += fill.price * fill.size
        self.count += 1

    @property
    def vwap(self) -> int:
        """The volume-weighted average price, rounded; the close before the first trade."""
        return (2 * self.value + self.volume) // (2 * self.volume) if self.volume else self.close


class _Memory:
    """One pair's trades: the day, the newest fifty, the newest ten candles of each interval."""

    def __init__(self, listing: Listing) -> None:
        self.day = _Candle(0, listing.price)
        self.recent: deque[Fill] = deque(maxlen=50)
        self.candles: dict[int, deque[_Candle]] = {each: deque(maxlen=10) for each in INTERVALS}

    def add(self, fills: tuple[Fill, ...]) -> None:
        """Take in the trades of one move."""
        self.recent.extend(fills)
        for fill in fills:
            self.day.add(fill)
            for interval, candles in self.candles.items():
                begin = fill.stamp // (interval * _MINUTE) * (interval * _MINUTE)
                if not candles or candles[-1].begin < begin:
                    candles.append(_Candle(begin, fill.price))
                candles[-1].add(fill)
