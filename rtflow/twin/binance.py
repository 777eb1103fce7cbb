"""Binance's side of its public market streams, of spot or USD-M futures, and of the snapshots of its books.

What it says and in which spelling: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams,
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#order-book and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from random import Random
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote

import msgspec

from rtflow.time import SECOND
from rtflow.twin.market import NEVER, Fill, Listing, Market, Move, decimal
from rtflow.twin.venue import Conversation, Denied, Page, Venue

DEPTHS = (5, 10, 20)
INTERVALS = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "8h": 28800,
    "12h": 43200,
    "1d": 86400,
    "3d": 259200,
}
"""What klines the twin makes, in seconds; weeks and months are accepted, and silent."""

_MILLISECOND = 1_000_000
_MINUTE = 60 * SECOND
_FUNDING = 8 * 60 * _MINUTE
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_BAN = 120 * SECOND
_PUBLIC = re.compile(r".+@(?:depth|bookTicker).*")


class _Rules(NamedTuple):
    """What differs between spot and USD-M."""

    page: str
    speeds: tuple[int, ...]  # ms; the last is the one without a suffix
    tick: int  # ms that they all are multiples of
    messages: int  # a second, to us
    allowance: int  # weight a minute
    weights: Mapping[int, int]  # of a snapshot, by the levels it reaches to


_RULES = {
    "spot": _Rules("/api/v3/depth", (100, 1000), 100, 5, 6000, {100: 5, 500: 25, 1000: 50, 5000: 250}),
    "usdm": _Rules(
        "/fapi/v1/depth",
        (100, 500, 250),
        50,
        10,
        2400,
        {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20},
    ),
}


class BinanceVenue(Venue):
    """Binance as one market shows it: every listing that is a coin, spelled without its slash.

    ``kind`` is ``spot`` or ``usdm``, which numbers all books together and has two paths. Differences are cut
    on a grid of milliseconds, for everybody at the same places. A snapshot stands where the last difference
    of 100 ms ends, or with ``midway=True`` wherever the book does. The venue's own limits are ``messages`` a
    second, ``streams`` a connection, the ``lifetime`` of one in seconds and the ``allowance`` of weight a
    minute. ``nested`` answers an error in the other of its two shapes.
    """

    path = ""
    listings = (
        Listing("BTC/USDT", 65_000_00, 2, 5, size=25_000, spacing=120, levels=250, rate=60.0),
        Listing("ETH/USDT", 3_500_00, 2, 4, size=30_000, spacing=8, levels=250, rate=40.0),
        Listing("SOL/USDT", 150_00, 2, 3, size=40_000, spacing=2, levels=250, rate=15.0),
        Listing("DOGE/USDT", 12_000, 5, 0, size=5_000, spacing=3, levels=250, rate=0.5),
    )

    def __init__(
        self,
        market: Market,
        *,
        kind: Literal["spot", "usdm"] = "spot",
        midway: bool = False,
        messages: int | None = None,
        streams: int = 1024,
        lifetime: float = 86_400.0,
        allowance: int | None = None,
        nested: bool = False,
    ) -> None:
        super().__init__(market)
        rules = _RULES[kind]
        self.futures = kind == "usdm"
        self.rules = rules
        self.messages = messages or rules.messages
        self.streams = streams
        self.lifetime = round(lifetime * SECOND)
        self.nested = nested
        self._midway = midway
        self._allowance = allowance or rules.allowance
        ids = _Ids(Random(f"{market.seed} update ids").getrandbits(40))
        self.chains = {
            each.symbol: _Chain(each, market, rules.speeds, ids if self.futures else None)
            for each in market.listings.values()
            if not each.stock
        }
        self._spelled = {each.symbol: each for each in self.chains.values()}
        self._tick = rules.tick * _MILLISECOND
        self._due = market.now // self._tick * self._tick + self._tick
        self._minute = 0
        self._used = 0
        self._warned = 0
        self._banned_until = 0
        self._failures: deque[Page] = deque()
        self._missing = self._repeated = 0

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at ``/ws`` or ``/stream``, on USD-M below ``/public`` or ``/market``."""
        place, _, query = path.partition("?")
        route = ""
        if self.futures:
            route, place = place[:7], place[7:]
            if route not in ("/public", "/market"):
                raise Denied(404, "Not Found")
        options = parse_qs(query)
        names: list[str] = []
        if place.startswith("/ws/"):
            names = unquote(place[4:]).split("/")
        elif place == "/stream" and "streams" in options:
            names = options["streams"][0].split("/")
        elif place not in ("/ws", "/stream"):
            raise Denied(404, "Not Found")
        if len(names) > self.streams:
            raise Denied(400, "Bad Request")
        fine = options.get("timeUnit", [""])[0].upper() == "MICROSECOND" and not self.futures
        return BinanceConversation(self, route, names, combined=place == "/stream", fine=fine)

    def moved(self, move: Move) -> None:
        """Number what changed, and remember what is to be told of it later."""
        chain = self.chains.get(move.symbol)
        if chain is not None:
            chain.moved(move)

    def due(self) -> int:
        """The next point of the grid."""
        return self._due

    def wake(self, now: int) -> None:
        """Cut the differences that end here, and say what comes at intervals."""
        self._due = now + self._tick
        millisecond = now // _MILLISECOND
        for chain in self.chains.values():
            for speed in self.rules.speeds:
                if millisecond % speed == 0:
                    difference = chain.cut(speed)
                    if difference is not None:
                        self._tell(chain, difference, now)
            if now % SECOND == 0:
                self._tell_by_the_second(chain, now)

    def _tell(self, chain: _Chain, difference: _Difference, now: int) -> None:
        name = f"{chain.lower}@depth{self.suffix(difference.speed)}"
        listeners = [each for each in self._listeners() if each.has(name)]
        times = 1
        if listeners and self._missing:
            self._missing -= 1
            times = 0
        elif listeners and self._repeated:
            self._repeated -= 1
            times = 2
        for each in listeners * times:
            each.say_difference(name, chain, difference, now)
        for each in self._listeners():
            each.say_tops(chain, difference, now)

    def _tell_by_the_second(self, chain: _Chain, now: int) -> None:
        listeners = self._listeners()
        for interval in INTERVALS:
            if interval == "1s" or now % (2 * SECOND) == 0:
                for candle in chain.told(interval, now):
                    for each in listeners:
                        each.say_kline(chain, interval, candle, now)
        if self.futures:
            for each in listeners:
                each.say_mark(chain, now)

    def _listeners(self) -> list[BinanceConversation]:
        return [each for each in self.conversations if isinstance(each, BinanceConversation)]

    def suffix(self, speed: int) -> str:
        """What a depth stream of this speed has behind its name."""
        return "" if speed == self.rules.speeds[-1] else f"@{speed}ms"

    # --- documents ------------------------------------------------------------------------------------------

    def page(self, path: str, headers: Mapping[str, str]) -> Page:
        """The snapshot of a book: ``/api/v3/depth?symbol=BTCUSDT&limit=100``, weighed."""
        place, _, query = path.partition("?")
        if place != self.rules.page:
            return super().page(path, headers)
        if self._failures:
            return self._failures.popleft()
        params = dict(parse_qsl(query, keep_blank_values=True))
        text = params.get("limit", "100")
        limit = int(text) if text.isdecimal() else 0
        weight = next((each for reach, each in self.rules.weights.items() if limit <= reach), 0)
        if (refusal := self._weigh(weight)) is not None:
            return refusal
        used = {"X-MBX-USED-WEIGHT-1M": str(self._used)}
        if not params.get("symbol"):
            reason = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            return _error(400, -1102, reason, used)
        chain = self._spelled.get(params["symbol"])
        if chain is None:
            return _error(400, -1121, "Invalid symbol.", used)
        if not weight or not limit or (self.futures and limit not in self.rules.weights):
            return _error(400, -1130, "Data sent for parameter 'limit' is not valid.", used)
        return Page(self._snapshot(chain, limit), headers=used)

    def _snapshot(self, chain: _Chain, limit: int) -> bytes:
        last, bids, asks = chain.snapshot(self.market) if self._midway else chain.boundary()
        times = ""
        if self.futures:
            times = f'"E":{self.now // _MILLISECOND},"T":{chain.stamp // _MILLISECOND},'
        levels = f'"bids":[{self.levels(chain, bids[:limit])}],"asks":[{self.levels(chain, asks[:limit])}]'
        return f'{{"lastUpdateId":{last},{times}{levels}}}'.encode()

    def _weigh(self, weight: int) -> Page | None:
        """Count what is asked for; who goes on after being told to stop is banned."""
        minute: int = self.now // _MINUTE
        if minute != self._minute:
            self._minute = minute
            self._used = self._warned = 0
        if self.now < self._banned_until:
            return _stop(418, self._banned_until - self.now)
        self._used += weight
        if self._used <= self._allowance:
            return None
        self._warned += 1
        if self._warned > 3:
            self._banned_until = self.now + _BAN
            return _stop(418, _BAN)
        return _stop(429, (minute + 1) * _MINUTE - self.now)

    def levels(self, chain: _Chain, levels: Iterable[tuple[int, int]]) -> str:
        """Levels of a book as they are spelled."""
        return ",".join(
            f'["{self.price(chain, price)}","{self.size(chain, size)}"]' for price, size in levels
        )

    def price(self, chain: _Chain, units: int) -> str:
        """A price as it is spelled: with eight decimals on spot."""
        return decimal(units, chain.places) if self.futures else _fixed(units, chain.places)

    def size(self, chain: _Chain, units: int) -> str:
        """A quantity as it is spelled."""
        return decimal(units, chain.decimals) if self.futures else _fixed(units, chain.decimals)

    # --- what can be provoked -------------------------------------------------------------------------------

    def provoke_missing_difference(self, count: int = 1) -> None:
        """Send the next ``count`` differences to nobody."""
        self._missing += count

    def provoke_repeated_difference(self, count: int = 1) -> None:
        """Send the next ``count`` differences twice."""
        self._repeated += count

    def provoke_old_snapshot(self, symbol: str, count: int = 1) -> None:
        """Answer the next ``count`` requests with the book of ``symbol`` (``BTCUSDT``) as it is now."""
        page = Page(self._snapshot(self._spelled[symbol], max(self.rules.weights)))
        self._failures.extend([page] * count)

    def provoke_no_book(self, count: int = 1) -> None:
        """Answer the next ``count`` requests as for a listing that has no book yet."""
        page = Page(b'{"lastUpdateId":-1,"bids":[],"asks":[]}')
        self._failures.extend([page] * count)

    def provoke_rest_failure(self, status: int = 503, retry_after: int = 0, count: int = 1) -> None:
        """Answer the next ``count`` requests with this HTTP status, and a time to wait if there is one."""
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        page = Page(b'{"code":-1003,"msg":"no"}', status, headers)
        self._failures.extend([page] * count)

    def provoke_server_shutdown(self, seconds: float = 10.0) -> None:
        """Announce to everybody that this server goes away, and do so after so many market seconds."""
        for each in self._listeners():
            each.announce_end(self.now + round(seconds * SECOND))

    def provoke_cut(self, stream: str, code: int = 1011) -> None:
        """End the connections that have this stream (``btcusdt@trade``), and no others, with this code."""
        for each in self._listeners():
            if each.has(stream):
                each.hang_up(code, "internal error")

    def provoke_day_over(self) -> None:
        """End every connection as after its 24 hours."""
        for each in self._listeners():
            each.end()


def _error(status: int, code: int, message: str, headers: Mapping[str, str]) -> Page:
    return Page(msgspec.json.encode({"code": code, "msg": message}), status, headers)


def _stop(status: int, wait: int) -> Page:
    seconds = -(-wait // SECOND)
    return _error(status, -1003, "Too much request weight used.", {"Retry-After": str(seconds)})


def _fixed(units: int, places: int) -> str:
    """``units * 10**-places`` with eight decimals, cut where there are more.

    >>> _fixed(6168599, 2), _fixed(123456789012, 9)
    ('61685.99000000', '123.45678901')
    """
    return decimal(units * 10 ** (8 - places) if places <= 8 else units // 10 ** (places - 8), 8)


class BinanceConversation(Conversation):
    """One connection: the streams it listens to, wrapped or bare."""

    def __init__(
        self, venue: BinanceVenue, route: str, names: Iterable[str], *, combined: bool, fine: bool
    ) -> None:
        super().__init__()
        self._venue = venue
        self._route = route
        self._names: dict[str, bool] = {}  # in the order they came, and whether they are served here
        self._combined = combined
        self._unit = 1000 if fine else _MILLISECOND
        self._heard: deque[int] = deque(maxlen=venue.messages)
        self._ends = venue.now + venue.lifetime
        self._subscribe(names)

    @property
    def listening(self) -> bool:
        """Whether any stream is subscribed."""
        return bool(self._names)

    def has(self, name: str) -> bool:
        """Whether this stream is subscribed, and served here."""
        return self._names.get(name, False)

    def opened(self) -> None:
        """Nothing is said without being asked."""

    def due(self) -> int:
        """The end of its life."""
        return self._ends

    def wake(self, now: int) -> None:
        """It has come."""
        self.end()

    def end(self) -> None:
        """End as after 24 hours."""
        self._ends = NEVER
        self.hang_up(1001, "connection lifetime is over")

    def announce_end(self, stamp: int) -> None:
        """Say that the server goes away, and end then."""
        self._ends = min(self._ends, stamp)
        payload = f'{{"e":"serverShutdown","E":{self._at(self._venue.now)}}}'
        self.say(f'{{"stream":"!serverShutdown","data":{payload}}}' if self._combined else payload)

    # --- requests -------------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """One request; one too many within a second is the end."""
        now, heard = self._venue.now, self._heard
        if len(heard) == heard.maxlen and heard[0] > now - SECOND:
            self.hang_up(1008, "Too many requests")
            return
        heard.append(now)
        try:
            request = msgspec.json.decode(payload, type=dict[str, object])
            params = msgspec.convert(request.get("params", []), list[object])
        except msgspec.ValidationError:
            self._refuse(None, 2, "Invalid request: invalid type")
            return
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._refuse(None, 3, "Invalid JSON: expected value at line 1 column 1")
            return
        method, number = request.get("method"), request.get("id")
        if "method" not in request:
            self._refuse(None, 2, f"Invalid request: missing field `method` at line 1 column {len(payload)}")
        elif not (number is None or isinstance(number, str) or (type(number) is int and number >= 0)):
            self._refuse(None, 2, "Invalid request: request ID must be an unsigned integer")
        elif not isinstance(method, str) or method not in _METHODS:
            choices = ", ".join(f"`{each}`" for each in _METHODS)
            self._refuse(number, 2, f"Invalid request: unknown variant `{method}`, expected one of {choices}")
        else:
            self._obey(method, params, number)

    def _obey(self, method: str, params: list[object], number: object) -> None:
        names = [each for each in params if isinstance(each, str)]
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if len(names) < len(params) or not all("@" in each or each.startswith("!") for each in names):
                self._refuse(number, 2, "Invalid request: invalid stream")
            elif method == "UNSUBSCRIBE":
                for name in names:
                    self._names.pop(name, None)
                self._reply(number, None)
            elif len({*self._names, *names}) > self._venue.streams:
                self._refuse(number, 2, "Invalid request: too many parameters")
            else:
                self._reply(number, None)
                self._subscribe(names)
        elif method == "LIST_SUBSCRIPTIONS":
            self._reply(number, [*self._names])
        elif not names or names[0] != params[0]:
            self._refuse(number, 2, "Invalid request: property name must be a string")
        elif names[0] != "combined":
            self._refuse(number, 0, "Unknown property")
        elif method == "GET_PROPERTY":
            self._reply(number, self._combined)
        elif len(params) < 2 or not isinstance(params[1], bool):
            self._refuse(number, 1, "Invalid value type: expected Boolean")
        else:
            self._combined = params[1]
            self._reply(number, None)

    def _subscribe(self, names: Iterable[str]) -> None:
        for name in names:
            served = not self._route or (self._route == "/public") == bool(_PUBLIC.fullmatch(name))
            self._names[name] = served

    def _reply(self, number: object, result: object) -> None:
        self.say(msgspec.json.encode({"result": result, "id": number}).decode())

    def _refuse(self, number: object, code: int, message: str) -> None:
        fault: dict[str, object] = {"code": code, "msg": message}
        answer: dict[str, object] = {"error": fault} if self._venue.nested else fault
        if number is not None:
            answer["id"] = number
        self.say(msgspec.json.encode(answer).decode())

    # --- data -----------------------------------------------------------------------------------------------

    def moved(self, move: Move) -> None:
        """What each stream says of ``move`` at once: the trades, and the best prices that they left."""
        venue = self._venue
        chain = venue.chains.get(move.symbol)
        if chain is None:
            return
        at = self._at(move.stamp)
        head = f'"E":{at},"s":"{chain.symbol}"'
        if self.has(name := f"{chain.lower}@trade"):
            for fill in move.trades:
                self._say(
                    name,
                    f'{{"e":"trade",{head},"t":{fill.id},{self._fill(chain, fill.price, fill.size)},'
                    f'"T":{at},"m":{_false_if(fill.side > 0)},"M":true}}',
                )
        if self.has(name := f"{chain.lower}@aggTrade"):
            tail = "" if venue.futures else ',"M":true'
            for each in chain.aggregates:
                self._say(
                    name,
                    f'{{"e":"aggTrade",{head},"a":{each.id},{self._fill(chain, each.price, each.size)},'
                    f'"f":{each.first},"l":{each.last},"T":{at},"m":{_false_if(each.side > 0)}{tail}}}',
                )
        if move.touched and self.has(name := f"{chain.lower}@bookTicker"):
            kind = '"e":"bookTicker",' if venue.futures else ""
            tail = f',"T":{at},"E":{at}' if venue.futures else ""
            self._say(
                name,
                f'{{{kind}"u":{chain.last},"s":"{chain.symbol}",'
                f'"b":"{venue.price(chain, move.bid)}","B":"{venue.size(chain, move.bid_size)}",'
                f'"a":"{venue.price(chain, move.ask)}","A":"{venue.size(chain, move.ask_size)}"{tail}}}',
            )

    def say_difference(self, name: str, chain: _Chain, difference: _Difference, now: int) -> None:
        """One difference of a book."""
        self._say(name, self._depth_update(chain, difference, difference.bids, difference.asks, now))

    def say_tops(self, chain: _Chain, difference: _Difference, now: int) -> None:
        """The best levels, after a difference; whole."""
        venue = self._venue
        for depth in DEPTHS:
            if self.has(name := f"{chain.lower}@depth{depth}{venue.suffix(difference.speed)}"):
                last, bids, asks = chain.snapshot(venue.market)
                bids, asks = bids[:depth], asks[:depth]
                if venue.futures:
                    self._say(name, self._depth_update(chain, difference, bids, asks, now))
                else:
                    self._say(
                        name,
                        f'{{"lastUpdateId":{last},"bids":[{venue.levels(chain, bids)}],'
                        f'"asks":[{venue.levels(chain, asks)}]}}',
                    )

    def say_kline(self, chain: _Chain, interval: str, candle: _Candle, now: int) -> None:
        """A kline as it stands."""
        venue = self._venue
        if not self.has(name := f"{chain.lower}@kline_{interval}"):
            return
        begin, end = self._at(candle.begin), self._at(candle.begin + INTERVALS[interval] * SECOND) - 1
        prices = zip("ochl", (candle.open, candle.close, candle.high, candle.low), strict=True)
        volume, taken = venue.size(chain, candle.volume), venue.size(chain, candle.taken)
        places = chain.places + chain.decimals
        value, paid = (
            decimal(each, places) if venue.futures else _fixed(each, places)
            for each in (candle.value, candle.paid)
        )
        self._say(
            name,
            f'{{"e":"kline","E":{self._at(now)},"s":"{chain.symbol}","k":{{"t":{begin},"T":{end},'
            f'"s":"{chain.symbol}","i":"{interval}","f":{candle.first},"L":{candle.last},'
            + ",".join(f'"{letter}":"{venue.price(chain, price)}"' for letter, price in prices)
            + f',"v":"{volume}","n":{candle.count},"x":{"true" if candle.closed else "false"},"q":"{value}",'
            f'"V":"{taken}","Q":"{paid}","B":"0"}}}}',
        )

    def say_mark(self, chain: _Chain, now: int) -> None:
        """The mark price: here the mid; each second, or each third without ``@1s``."""
        bids, asks = self._venue.market.book(chain.listing.symbol)
        mark = _fixed((bids.keys[-1] - asks.keys[-1]) * 5, chain.places + 1)
        funding = (now // _FUNDING + 1) * _FUNDING // _MILLISECOND
        for name in (f"{chain.lower}@markPrice@1s", f"{chain.lower}@markPrice"):
            if self.has(name) and (name.endswith("@1s") or now % (3 * SECOND) == 0):
                self._say(
                    name,
                    f'{{"e":"markPriceUpdate","E":{self._at(now)},"s":"{chain.symbol}","p":"{mark}",'
                    f'"i":"{mark}","P":"{mark}","r":"0.00010000","T":{funding}}}',
                )

    def _depth_update(
        self,
        chain: _Chain,
        difference: _Difference,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
        now: int,
    ) -> str:
        venue = self._venue
        engine = f'"T":{self._at(chain.stamp)},' if venue.futures else ""
        before = f'"pu":{difference.before},' if venue.futures else ""
        return (
            f'{{"e":"depthUpdate","E":{self._at(now)},{engine}"s":"{chain.symbol}","U":{difference.first},'
            f'"u":{difference.last},{before}"b":[{venue.levels(chain, bids)}],'
            f'"a":[{venue.levels(chain, asks)}]}}'
        )

    def _fill(self, chain: _Chain, price: int, size: int) -> str:
        return f'"p":"{self._venue.price(chain, price)}","q":"{self._venue.size(chain, size)}"'

    def _at(self, stamp: int) -> int:
        return stamp // self._unit

    def _say(self, name: str, payload: str) -> None:
        self.say(f'{{"stream":"{name}","data":{payload}}}' if self._combined else payload, data=True)


def _false_if(bought: bool) -> str:
    """``m``: whether the buyer was the maker."""
    return "false" if bought else "true"


# --- what is remembered of a symbol -------------------------------------------------------------------------


class _Ids:
    """Where update ids come from."""

    def __init__(self, first: int) -> None:
        self.last = first


class _Difference(NamedTuple):
    """What changed in a stretch: ids from ``first`` to ``last``, and the ``last`` of the one before."""

    speed: int
    first: int
    last: int
    before: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class _Changes:
    """What has changed since the last cut, and where that was."""

    def __init__(self, before: int) -> None:
        self.before = before
        self.first: int | None = None
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}


class _Aggregate(NamedTuple):
    """The fills of one order at one price."""

    id: int
    first: int
    last: int
    side: int
    price: int
    size: int


class _Chain:
    """One symbol: the numbers of its changes, where they are cut, and its klines."""

    def __init__(self, listing: Listing, market: Market, speeds: Iterable[int], ids: _Ids | None) -> None:
        random = Random(f"{market.seed} {listing.symbol} update ids")
        self.listing = listing
        self.symbol = listing.symbol.replace("/", "")
        self.lower = self.symbol.lower()
        self.places, self.decimals = listing.price_precision, listing.size_precision
        self.stamp = market.now
        self.aggregates: list[_Aggregate] = []  # of the last move
        self._ids = ids or _Ids(random.getrandbits(36))  # on USD-M all symbols count together
        self.last = self._ids.last
        self._aggregated = random.getrandbits(24)
        self._changes = {speed: _Changes(self.last) for speed in speeds}
        bids, asks = market.book(listing.symbol)
        self._bids, self._asks = dict(bids.levels()), dict(asks.levels())
        self._candles: dict[str, _Candle] = {}
        self._closed: dict[str, list[_Candle]] = {interval: [] for interval in INTERVALS}

    def moved(self, move: Move) -> None:
        """Take in one move."""
        count = len(move.bids) + len(move.asks)
        if count:
            first = self._ids.last + 1
            self._ids.last = self.last = first + count - 1
            self.stamp = move.stamp
            for changes in self._changes.values():
                changes.first = first if changes.first is None else changes.first
                changes.bids.update(move.bids)
                changes.asks.update(move.asks)
        self.aggregates = [*self._aggregate(move.trades)]
        for fill in move.trades:
            for interval, seconds in INTERVALS.items():
                self._add(fill, interval, fill.stamp // (seconds * SECOND) * seconds * SECOND)

    def cut(self, speed: int) -> _Difference | None:
        """What has changed since the last cut at this speed; None for nothing."""
        changes = self._changes[speed]
        if changes.first is None:
            return None
        self._changes[speed] = _Changes(self.last)
        if speed == 100:
            for side, changed in ((self._bids, changes.bids), (self._asks, changes.asks)):
                for price, size in changed.items():
                    side[price] = size
                    if not size:
                        del side[price]
        bids = sorted(changes.bids.items(), reverse=True)
        return _Difference(
            speed, changes.first, self.last, changes.before, bids, sorted(changes.asks.items())
        )

    def boundary(self) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        """The book where the last difference of 100 ms ended, and its number; best levels first."""
        last = self._changes[100].before
        return last, sorted(self._bids.items(), reverse=True), sorted(self._asks.items())

    def snapshot(self, market: Market) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        """The book as it stands, and its number."""
        bids, asks = market.book(self.listing.symbol)
        return self.last, bids.levels(), asks.levels()

    def told(self, interval: str, now: int) -> Iterator[_Candle]:
        """The klines that are over, and the one that forms if it has changed since it was told."""
        candle = self._candles.get(interval)
        if candle is not None and now >= candle.begin + INTERVALS[interval] * SECOND:
            self._closed[interval].append(self._candles.pop(interval))
            candle = None
        closed, self._closed[interval] = self._closed[interval], []
        for each in closed:
            each.closed = True
            yield each
        if candle is not None and candle.changed:
            candle.changed = False
            yield candle

    def _aggregate(self, fills: Iterable[Fill]) -> Iterator[_Aggregate]:
        for price, group in groupby(fills, lambda fill: fill.price):
            same = list(group)
            self._aggregated += 1
            size = sum(fill.size for fill in same)
            yield _Aggregate(self._aggregated, same[0].id, same[-1].id, same[0].side, price, size)

    def _add(self, fill: Fill, interval: str, begin: int) -> None:
        candle = self._candles.get(interval)
        if candle is not None and candle.begin < begin:
            self._closed[interval].append(candle)
            candle = None
        if candle is None:
            candle = self._candles[interval] = _Candle(begin, fill)
        candle.add(fill)


class _Candle:
    """A kline; ``taken`` and ``paid`` are the parts of its volume and value that takers bought."""

    def __init__(self, begin: int, fill: Fill) -> None:
        self.begin = begin
        self.first = fill.id
        self.open = self.high = self.low = fill.price
        self.volume = self.value = self.taken = self.paid = self.count = 0
        self.closed = False

    def add(self, fill: Fill) -> None:
        """Take in one trade."""
        self.last = fill.id
        self.close = fill.price
        self.high = max(self.high, fill.price)
        self.low = min(self.low, fill.price)
        self.volume += fill.size
        self.value += fill.price * fill.size
        if fill.side > 0:
            self.taken += fill.size
            self.paid += fill.price * fill.size
        self.count += 1
        self.changed = True
