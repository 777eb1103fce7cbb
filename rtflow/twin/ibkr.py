"""Interactive Brokers' side of the Client Portal WebSocket: sampled top of the book, the ladder, histories.

What it says and in which spelling: https://interactivebrokers.github.io/cpwebapi/websockets and
https://www.interactivebrokers.com/campus/ibkr-api-page/cpapi-v1/#websockets; the fields:
https://www.interactivebrokers.com/campus/ibkr-api-page/cpapi-v1/#market-data-fields.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec

from rtflow.time import SECOND
from rtflow.time import format as rfc3339
from rtflow.twin.market import NEVER, Fill, Listing, Market, Move, decimal
from rtflow.twin.venue import Conversation, Denied, Page, Venue

_MILLISECOND = 1_000_000
_BEAT = 10 * SECOND
_PATIENCE = 30 * SECOND  # with a connection that does not say whose session it is
_MINUTE = 60 * SECOND
_KEPT = 3000  # minutes
_SECONDS = {"min": 60, "h": 3600, "d": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000}


def conid(symbol: str) -> int:
    """The contract id of a listing: 100,000,000 and the CRC-32 of its symbol.

    >>> conid("AAPL"), conid("BTC/USD")
    (3160094812, 3131763835)
    """
    return 100_000_000 + zlib.crc32(symbol.encode())


class IbkrVenue(Venue):
    """Interactive Brokers as one market shows it; the contracts are :func:`conid` of each listing.

    ``session`` is the one that cookies and messages must name, and ``oauth_token`` the one in the query;
    without them anybody may come. A connection has ``lines`` streams, each for ``expiry`` seconds, and
    ``histories`` at a time. The top of a book is sampled each ``interval`` seconds, or with 0 at each move,
    and the ladder has ``rows`` levels a side. ``authenticated=False`` is a gateway where nobody has logged
    in yet.
    """

    path = "/v1/api/ws"

    def __init__(
        self,
        market: Market,
        *,
        session: str = "",
        oauth_token: str = "",
        account: str = "DU1234567",
        lines: int = 100,
        histories: int = 5,
        expiry: float = 900.0,
        interval: float = 0.25,
        rows: int = 10,
        authenticated: bool = True,
    ) -> None:
        super().__init__(market)
        self.contracts = {str(conid(symbol)): listing for symbol, listing in market.listings.items()}
        self.days = {symbol: Day(listing) for symbol, listing in market.listings.items()}
        self.session = session
        self.oauth_token = oauth_token
        self.account = account
        self.lines = lines
        self.histories = histories
        self.expiry = round(expiry * SECOND)
        self.interval = round(interval * SECOND)
        self.rows = rows
        self.authenticated = authenticated
        self.muted_until = 0
        self._login_at = NEVER
        self._requests = 0
        self._garbled: set[str] = set()

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at ``/v1/api/ws``; Denied with 404 elsewhere, with 401 for a wrong secret."""
        place, _, query = path.partition("?")
        if place != self.path:
            raise Denied(404, "Not Found")
        if self.oauth_token and parse_qs(query).get("oauth_token") != [self.oauth_token]:
            raise Denied(401, "Unauthorized")
        session = _in_cookie(headers.get("cookie", ""))
        if self.session and session not in ("", self.session):
            raise Denied(401, "Unauthorized")
        return IbkrConversation(self, bool(session))

    def page(self, path: str, headers: Mapping[str, str]) -> Page:
        """What of the REST service a client needs before the socket: the session, and the accounts."""
        match path:
            case "/v1/api/tickle":
                status = {"authenticated": self.authenticated, "competing": False, "connected": True}
                told: object = {"session": self.session or "twin", "iserver": {"authStatus": status}}
            case "/v1/api/iserver/accounts":
                told = {"accounts": [self.account], "selectedAccount": self.account}
            case _:
                return super().page(path, headers)
        return Page(msgspec.json.encode(told))

    def moved(self, move: Move) -> None:
        """Remember the day."""
        self.days[move.symbol].add(move)

    def due(self) -> int:
        """When somebody logs in again."""
        return self._login_at

    def wake(self, now: int) -> None:
        """Somebody logs in."""
        self._login_at = NEVER
        self._sign(authenticated=True)

    def marker(self) -> str:
        """The mark of the next request: q0, q1, …"""
        self._requests += 1
        return f"q{self._requests - 1}"

    def garbles(self, symbol: str) -> bool:
        """Whether the update at hand is to have a field that nobody can read; asked once per update."""
        if symbol not in self._garbled:
            return False
        self._garbled.remove(symbol)
        return True

    # --- what it can do wrong -------------------------------------------------------------------------------

    def provoke_logout(self, seconds: float = 60.0) -> None:
        """The session ends, and so do all streams; after so many market seconds somebody logs in again."""
        self._login_at = self.now + round(seconds * SECOND)
        self._sign(authenticated=False)

    def provoke_compete(self) -> None:
        """Another session of the same user takes over."""
        for each in self._conversations():
            each.state(competing=True)

    def provoke_halt(self, symbol: str) -> None:
        """Trading of ``symbol`` is shown as halted, whatever the market does."""
        self.days[symbol].halted = True
        self._show(symbol)

    def provoke_resume(self, symbol: str) -> None:
        """Trading of ``symbol`` goes on."""
        self.days[symbol].halted = False
        self._show(symbol)

    def provoke_quality(self, symbol: str, code: str = "DPB") -> None:
        """The data of ``symbol`` is of another quality: D delayed, Z frozen, N not subscribed, …"""
        self.days[symbol].quality = code
        self._show(symbol)

    def provoke_expire(self) -> None:
        """All streams stop without a word, as they do after their time."""
        for each in self._conversations():
            each.expire()

    def provoke_mute(self, seconds: float = 60.0) -> None:
        """No heartbeat and no answer to ours for so many market seconds."""
        self.muted_until = self.now + round(seconds * SECOND)

    def provoke_reorder(self) -> None:
        """The next two updates of each connection overtake each other."""
        for each in self._conversations():
            each.reorder()

    def provoke_garble(self, symbol: str) -> None:
        """The next update of ``symbol`` has a field that nobody can read."""
        self._garbled.add(symbol)

    def provoke_notify(self, text: str, title: str = "Warning") -> None:
        """A notification."""
        for each in self._conversations():
            each.tell({"topic": "ntf", "args": {"id": "TWIN", "text": text, "title": title, "url": ""}})

    def provoke_announce(self, text: str) -> None:
        """A bulletin."""
        for each in self._conversations():
            each.tell({"topic": "blt", "args": {"id": "1", "message": text}})

    def _sign(self, *, authenticated: bool) -> None:
        self.authenticated = authenticated
        for each in self._conversations():
            each.expire()
            each.state(authenticated=authenticated)

    def _show(self, symbol: str) -> None:
        for each in self._conversations():
            each.show(symbol)

    def _conversations(self) -> Iterable[IbkrConversation]:
        return [each for each in self.conversations if isinstance(each, IbkrConversation)]


class IbkrConversation(Conversation):
    """One connection to ``/v1/api/ws``."""

    def __init__(self, venue: IbkrVenue, attached: bool) -> None:
        super().__init__()
        self._venue = venue
        self._attached = attached
        self._streams: dict[str, _Stream] = {}  # by target, as 265598@ISLAND
        self._changed: set[str] = set()  # symbols, since the last sample
        self._ladder: _Ladder | None = None
        self._places: set[str] = set()  # of histories, by serverId
        self._beat = venue.now + (_BEAT if attached else _PATIENCE)
        self._sample = NEVER
        self._held: bytes | None = None  # of two updates that overtake each other, the first
        self._reorders = 0

    @property
    def listening(self) -> bool:
        """Whether anything is streamed."""
        return bool(self._streams or self._ladder)

    def tell(self, message: object, *, data: bool = False) -> None:
        """Say a JSON object, in a binary frame."""
        self.say(msgspec.json.encode(message), data=data)

    def opened(self) -> None:
        """Whose session it is known to be is greeted; all others are waited for."""
        if self._attached:
            self._greet()
        else:
            self.tell({"message": "waiting for session"})

    def due(self) -> int:
        """The next heartbeat or sample, or the end of our patience."""
        return min(self._beat, self._sample)

    def wake(self, now: int) -> None:
        """A heartbeat each ten seconds, a sample where something changed."""
        if now >= self._sample:
            self._sample = NEVER
            self._say_changes()
        if now >= self._beat:
            self._beat = now + _BEAT
            if not self._attached:
                self._beat = NEVER
                self.hang_up(1008, "no session")
            elif now >= self._venue.muted_until:
                self.tell({"topic": "system", "hb": now // _MILLISECOND})

    def state(self, **args: bool) -> None:
        """Say something of the session, to whom it belongs."""
        if self._attached:
            self.tell({"topic": "sts", "args": args})

    def expire(self) -> None:
        """All streams stop without a word."""
        self._streams.clear()
        self._ladder = None

    def reorder(self) -> None:
        """Have the next two updates overtake each other."""
        self._reorders += 1

    def _greet(self) -> None:
        self._attached = True
        self._beat = self._venue.now + _BEAT
        account = self._venue.account
        self.tell({"topic": "system", "success": "twin", "isFT": False, "isPaper": True})
        self.tell({"topic": "act", "args": {"accounts": [account], "selectedAccount": account}})
        self.state(authenticated=self._venue.authenticated)

    # --- requests -------------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """One request."""
        text = payload if isinstance(payload, str) else payload.decode(errors="replace")
        if not self._attached:
            self._attach(text)
            return
        topic, _, rest = text.partition("+")
        target, _, argument = rest.partition("+")
        if self._venue.now < self._venue.muted_until and topic in ("tic", "ech"):
            return
        match topic:
            case "tic":
                now = self._venue.now // _MILLISECOND
                self.tell({"topic": "tic", "alive": True, "id": "twin", "lastAccessed": now})
            case "ech":
                self.tell({"topic": text})
            case _ if not self._venue.authenticated:
                pass  # nobody listens
            case "smd":
                self._stream(text, target, argument)
            case "umd":
                self._streams.pop(target, None)
            case "sbd":
                self._climb(target, argument)
            case "ubd":
                self._ladder = None
            case "smh":
                self._look_back(text, target, argument)
            case "umh":
                self._places.discard(target)
                self.tell({"message": f"Unsubscribed {target}"})
            case _:
                self._refuse(text)

    def _attach(self, text: str) -> None:
        """The first message may say whose session it is."""
        try:
            session = msgspec.json.decode(text, type=_Session).session
        except msgspec.MsgspecError:
            return  # what comes before the session is not heard
        if self._venue.session in ("", session):
            self._greet()

    def _stream(self, text: str, target: str, argument: str) -> None:
        venue = self._venue
        try:
            fields = msgspec.json.decode(argument, type=_Fields).fields
        except msgspec.MsgspecError:
            self._refuse(text)
            return
        listing = venue.contracts.get(target.partition("@")[0])
        if listing is None:
            self.tell({"topic": f"smd+{target}", "error": "no such contract", "code": 2})
            return
        expires = venue.now + venue.expiry
        self._drop_expired()
        stream = self._streams.get(target)
        if stream is None and len(self._streams) >= venue.lines:
            return  # over the limit there is no data, and no word either
        marker = venue.marker() if stream is None else stream.marker
        self._streams[target] = stream = _Stream(listing, fields, marker, expires)
        values = venue.days[listing.symbol].values(fields, *_touch(venue.market, listing))
        # the first frame has the last price and some of the rest, the second has the others
        first = dict(list(values.items())[: (len(values) + 1) // 2])
        if "31" in values:
            first["31"] = values["31"]
        for part in (first, {key: value for key, value in values.items() if key not in first}):
            self._say_update(target, stream, part)
        stream.said = values

    def _climb(self, account: str, rest: str) -> None:
        contract, _, exchange = rest.partition("+")
        listing = self._venue.contracts.get(contract)
        topic = "+".join(part for part in ("sbd", account, contract, exchange) if part)
        if account != self._venue.account or listing is None:
            self.tell({"topic": topic, "error": "no such ladder", "code": 2})
            return
        self._ladder = _Ladder(topic, listing)
        self._say_ladder(self._ladder)

    def _look_back(self, text: str, target: str, argument: str) -> None:
        venue = self._venue
        listing = venue.contracts.get(target)
        try:
            asked = msgspec.json.decode(argument, type=_Look)
            period, bar = _span(asked.period), _span(asked.bar)
        except ValueError:
            self._refuse(text)
            return
        if listing is None or len(self._places) >= venue.histories:
            problem = "no such contract" if listing is None else "too many histories"
            self.tell({"topic": f"smh+{target}", "error": problem, "code": 3})
            return
        server_id = f"34111{venue.marker()[1:]}"
        self._places.add(server_id)
        bars = venue.days[listing.symbol].bars(bar, venue.now - period * SECOND)
        start = rfc3339(bars[0].start if bars else venue.now, 0).rstrip("Z")
        self.tell(
            {
                "serverId": server_id,
                "symbol": listing.symbol,
                "text": listing.symbol,
                "priceFactor": 10**listing.price_precision,
                "startTime": start.replace("-", "").replace("T", "-"),
                "timePeriod": f"{period}s",
                "barLength": bar,
                "mdAvailability": "S",
                "mktDataDelay": 0,
                "outsideRth": asked.outsideRth,
                "volumeFactor": 1,
                "messageVersion": 2,
                "data": [each.row(listing) for each in bars],
                "points": len(bars),
                "topic": f"smh+{target}",
            }
        )

    def _refuse(self, text: str) -> None:
        self.tell({"error": f"Topic unknown {text}", "code": 1})

    # --- data -----------------------------------------------------------------------------------------------

    def moved(self, move: Move) -> None:
        """Note what changed; it is told with the next sample, or at once where there is no interval."""
        self.show(move.symbol)

    def show(self, symbol: str) -> None:
        """Something of ``symbol`` is new."""
        self._changed.add(symbol)
        if not self._venue.interval:
            self._say_changes()
        elif self.listening and self._sample == NEVER:
            interval = self._venue.interval
            self._sample = (self._venue.now // interval + 1) * interval

    def _drop_expired(self) -> None:
        now = self._venue.now
        self._streams = {each: stream for each, stream in self._streams.items() if stream.expires > now}

    def _say_changes(self) -> None:
        changed, self._changed = self._changed, set()
        self._drop_expired()
        for target, stream in self._streams.items():
            symbol = stream.listing.symbol
            if symbol in changed:
                day = self._venue.days[symbol]
                values = day.values(stream.fields, *_touch(self._venue.market, stream.listing))
                news = {key: value for key, value in values.items() if value != stream.said.get(key)}
                if news:
                    self._say_update(target, stream, news)
                    stream.said = values
        if self._ladder is not None and self._ladder.listing.symbol in changed:
            self._say_ladder(self._ladder)

    def _say_update(self, target: str, stream: _Stream, values: Mapping[str, object]) -> None:
        contract, _, exchange = target.partition("@")
        update: dict[str, object] = {
            "server_id": stream.marker,
            "conid": int(contract),
            "_updated": self._venue.now // _MILLISECOND,
            "6119": stream.marker,
            **values,
        }
        if exchange:
            update["conidEx"] = target
        if self._venue.garbles(stream.listing.symbol):
            update["84"] = "n/a"
        payload = msgspec.json.encode(update | {"topic": f"smd+{target}"})
        if self._held is not None:
            self.say(payload, data=True)
            payload, self._held = self._held, None
        elif self._reorders:
            self._reorders -= 1
            self._held = payload
            return
        self.say(payload, data=True)

    def _say_ladder(self, ladder: _Ladder) -> None:
        rows = self._venue.days[ladder.listing.symbol].ladder(self._venue.market, self._venue.rows)
        if rows != ladder.said:
            ladder.said = rows
            self.tell({"topic": ladder.topic, "data": rows}, data=True)


class _Session(msgspec.Struct):
    session: str


class _Fields(msgspec.Struct):
    fields: list[str]


class _Look(msgspec.Struct):
    period: str
    bar: str
    outsideRth: bool = False  # noqa: N815 - the venue's name


class _Stream(msgspec.Struct):
    """The top of one book, as it is told to one client."""

    listing: Listing
    fields: list[str]
    marker: str
    expires: int
    said: dict[str, object] = {}


class _Ladder(msgspec.Struct):
    """A ladder, as it is told to one client."""

    topic: str
    listing: Listing
    said: list[dict[str, object]] = []


def _in_cookie(cookie: str) -> str:
    """The session that a cookie names: as it stands, or within a JSON object; "" without."""
    found = re.search(r"(?:^|; *)api=(?:\{ *\"session\" *: *\"([^\"]*)\" *\}|([^;{]*))", cookie)
    return (found[1] or found[2] or "") if found else ""


def _span(text: str) -> int:
    """The seconds of ``5min``, ``2h`` or ``1d``; ValueError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,3})(min|h|d|w|m|y)", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _SECONDS[found[2]]


def _touch(market: Market, listing: Listing) -> tuple[int, int, int, int]:
    bids, asks = market.book(listing.symbol)
    return *bids.levels(1)[0], *asks.levels(1)[0]


class _Candle(NamedTuple):
    """Open, high, low, close and volume of a stretch."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    def then(self, later: _Candle) -> _Candle:
        """What the two make together."""
        return _Candle(
            self.start,
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            self.volume + later.volume,
        )

    def row(self, listing: Listing) -> dict[str, object]:
        """As it is told."""
        prices = (self.open, self.close, self.high, self.low)
        told: dict[str, object] = {
            name: _raw(decimal(price, listing.price_precision))
            for name, price in zip("ochl", prices, strict=True)
        }
        volume = _raw(decimal(self.volume, listing.size_precision))
        return told | {"v": volume, "t": self.start // _MILLISECOND}


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


class Day:
    """One listing's day: what the fields of its top of the book are made of, and its minutes."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.halted = False
        self.quality = "RpB"
        self._whole: _Candle | None = None
        self._last: Fill | None = None
        self._minutes: dict[int, _Candle] = {}

    def add(self, move: Move) -> None:
        """Take in a move."""
        if move.status:
            self.halted = move.status == "halted"
        for fill in move.trades:
            start = fill.stamp // _MINUTE * _MINUTE
            candle = _Candle(start, fill.price, fill.price, fill.price, fill.price, fill.size)
            self._last = fill
            self._whole = candle if self._whole is None else self._whole.then(candle)
            minute = self._minutes.get(start)
            self._minutes[start] = candle if minute is None else minute.then(candle)
            if len(self._minutes) > _KEPT:
                del self._minutes[next(iter(self._minutes))]

    def bars(self, length: int, since: int) -> list[_Candle]:
        """The day in bars of so many seconds."""
        made: dict[int, _Candle] = {}
        for minute in self._minutes.values():
            if minute.start >= since:
                start = minute.start // (length * SECOND) * (length * SECOND)
                before = made.get(start)
                made[start] = minute._replace(start=start) if before is None else before.then(minute)
        return list(made.values())

    def values(
        self, fields: Collection[str], bid: int, bid_size: int, ask: int, ask_size: int
    ) -> dict[str, object]:
        """Of the ``fields`` those that have a value, and what is always told."""
        places, last, whole = self.listing.price_precision, self._last, self._whole
        price = decimal(last.price if last else self.listing.price, places)
        volume = whole.volume if whole else 0
        has: dict[str, object] = {
            "31": ("H" if self.halted else "" if last else "C") + price,
            "55": self.listing.symbol,
            "84": decimal(bid, places),
            "85": _grouped(self._size(ask_size)),
            "86": decimal(ask, places),
            "87": _short(volume // 10**self.listing.size_precision),
            "87_raw": _raw(_java(self._size(volume))),
            "88": _grouped(self._size(bid_size)),
            "7057": "Q",
            "7068": "N",
            "7741": decimal(self.listing.price, places),
            "7762": self._size(volume),
        }
        if last and whole:
            has |= {
                "70": decimal(whole.high, places),
                "71": decimal(whole.low, places),
                "7058": "NQKZ"[last.id % 4],
                "7059": _grouped(self._size(last.size)),
                "7295": decimal(whole.open, places),
            }
        if self.quality.startswith("N"):
            has.clear()
        return {key: has[key] for key in has if key.removesuffix("_raw") in fields} | {"6509": self.quality}

    def ladder(self, market: Market, count: int) -> list[dict[str, object]]:
        """The rows of the ladder, from the highest price down."""
        bids, asks = market.book(self.listing.symbol)
        rows = [("ask", *level) for level in reversed(asks.levels(count))]
        rows += [("bid", *level) for level in bids.levels(count)]
        last = self._last.price if self._last else None
        return [
            {
                "row": row,
                "focus": int(price == last),
                "price": decimal(price, self.listing.price_precision),
                side: _grouped(self._size(size)),
            }
            for row, (side, price, size) in enumerate(rows)
        ]

    def _size(self, size: int) -> str:
        return decimal(size, self.listing.size_precision)


def _grouped(text: str) -> str:
    """With commas between the thousands.

    >>> _grouped("1234567.50"), _grouped("500")
    ('1,234,567.50', '500')
    """
    whole, point, rest = text.partition(".")
    return f"{int(whole):,}{point}{rest}"


def _short(number: int) -> str:
    """As a person would say it.

    >>> _short(12_345_678), _short(1_250), _short(999)
    ('12.3M', '1.2K', '999')
    """
    if number >= 1_000_000:
        return decimal(number // 100_000, 1) + "M"
    return decimal(number // 100, 1) + "K" if number >= 1_000 else str(number)


def _java(text: str) -> str:
    """As Java prints a double: with an exponent from ten millions on.

    >>> _java("12200000"), _java("30000000"), _java("150.50")
    ('1.22E7', '3.0E7', '150.5')
    """
    number = Decimal(text).normalize()
    if number < 10_000_000:
        plain = f"{number:f}"
        return plain if "." in plain else f"{plain}.0"
    mantissa, _, exponent = f"{number:E}".partition("E+")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{exponent}"
