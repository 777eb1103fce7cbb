"""Angel One's side of SmartStream: binary packets of four modes, sampled from the market.

What it says and in which layout: https://smartapi.angelbroking.com/docs/WebSocket2. A listing is spelled as
the exchange and the token, ``nse_cm:3045``; other listings of the market are not traded here.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from rtflow.time import SECOND
from rtflow.twin.market import NEVER, Ladder, Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Page, Venue

EXCHANGES = {
    "nse_cm": (1, "NSE"),
    "nse_fo": (2, "NFO"),
    "bse_cm": (3, "BSE"),
    "bse_fo": (4, "BFO"),
    "mcx_fo": (5, "MCX"),
    "ncx_fo": (7, "NCDEX"),
    "cde_fo": (13, "CDS"),
}
"""What the stream calls an exchange, its number there, and its name in the instrument file."""

INSTRUMENT_FILE = "/OpenAPI_File/files/OpenAPIScripMaster.json"
"""Where the twin's own instrument file is, by plain HTTP."""

_NAMES = {
    "nse_cm:3045": "SBIN-EQ",
    "nse_cm:2885": "RELIANCE-EQ",
    "nse_cm:99926000": "Nifty 50",
    "nse_fo:53001": "NIFTY25NOVFUT",
    "bse_cm:500325": "RELIANCE",
    "mcx_fo:234230": "CRUDEOIL25NOVFUT",
    "cde_fo:1185": "USDINR25NOVFUT",
}
_INDICES = "999"  # how the tokens of indices begin
_MODES = (1, 2, 3, 4)
_SNAP_QUOTE, _DEPTH = 3, 4

_HEAD = struct.Struct("<BB25s")
_TRADED = struct.Struct("<qqq")
_DAY = struct.Struct("<qqqddqqqq")
_INTEREST = struct.Struct("<qqd")
_ENTRY = struct.Struct("<hqqh")
_RANGES = struct.Struct("<qqqq")
_STAMPS = struct.Struct("<qq")
_LEVEL = struct.Struct("<iih")
_MOST = 2**31 - 1  # that a level of mode 4 can say
_STAMPED = 43  # bytes, after which a packet says what may have changed

_REFUSALS = {  # in the order of the checks: header, its name in a query, what is said
    "authorization": ("", "Invalid Auth token"),
    "x-client-code": ("clientCode", "Invalid Client Code"),
    "x-api-key": ("apiKey", "Invalid API Key"),
    "x-feed-token": ("feedToken", "Invalid Feed Token"),
}


class AngelOneVenue(Venue):
    """Angel One as one market shows it.

    ``credentials`` are what the upgrade must carry, by header (``authorization``, ``x-api-key``,
    ``x-client-code``, ``x-feed-token``); whatever is not among them may be anything but empty.
    ``subscriptions`` bounds the tokens of a connection, one in two modes counted twice, ``deep`` those of
    mode 4, ``connections`` the connections of a client code; one too many is answered by the HTTP status
    ``crowded``. With ``withdrawn`` there is no mode 4, as since April 2025. ``every`` is the least number of
    seconds between two packets of a subscription. A client that says nothing for ``patience`` seconds is cut
    off; never, unless told, as a WebSocket's own pings do not come this far.
    """

    path = "/smart-stream"
    listings: ClassVar[Iterable[str | Listing] | None] = (
        Listing("nse_cm:3045", 820_00, size=300, spacing=5, rate=25.0),
        Listing("nse_cm:2885", 2900_00, size=120, spacing=5, rate=20.0),
        Listing("nse_cm:99926000", 24500_00, size=75, spacing=5, rate=4.0),
        Listing("nse_fo:53001", 24550_00, size=150, lot=75, spacing=10, rate=30.0),
        Listing("bse_cm:500325", 2900_50, size=40, spacing=10, rate=5.0),
        Listing("mcx_fo:234230", 6100_00, size=4, spacing=10, rate=10.0),
        Listing("cde_fo:1185", 83_2500, 4, size=50, spacing=25, rate=3.0),
    )

    def __init__(
        self,
        market: Market,
        *,
        credentials: Mapping[str, str] | None = None,
        subscriptions: int = 1000,
        deep: int = 50,
        connections: int = 3,
        crowded: int = 429,
        withdrawn: bool = False,
        every: float = 0.0,
        patience: float | None = None,
    ) -> None:
        super().__init__(market)
        self.instruments = {
            (EXCHANGES[exchange][0], token): _Instrument(listing, EXCHANGES[exchange][0], token)
            for listing in market.listings.values()
            for exchange, found, token in [listing.symbol.partition(":")]
            if found and exchange in EXCHANGES
        }
        self.subscriptions = subscriptions
        self.deep = deep
        self.modes = _MODES[:-1] if withdrawn else _MODES
        self.every = round(every * SECOND)
        self.patience = None if patience is None else round(patience * SECOND)
        self.answering = True
        self._credentials = dict(credentials or {})
        self._connections, self._crowded = connections, crowded
        self._symbols = {each.listing.symbol: each for each in self.instruments.values()}
        self._expired = False
        self._harms: deque[str] = deque()

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at ``/smart-stream``; Denied with 404 elsewhere, 401 for a wrong credential."""
        address = urlsplit(path)
        if address.path != self.path:
            raise Denied(404, "Not Found")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        by_query = "clientCode" in query  # as browsers must, which can send no headers; it has no JWT
        client = ""
        for header, (name, reason) in _REFUSALS.items():
            given = query.get(name, "") if by_query else headers.get(header, "")
            given = given.removeprefix("Bearer ")
            wanted = self._credentials.get(header, given).removeprefix("Bearer ")
            if (not given or given != wanted or self._expired) and (name or not by_query):
                message = f"Invalid Header - {reason}"
                raise Denied(401, "Unauthorized", {"x-error-message": message})
            client = given if header == "x-client-code" else client
        here = [each for each in self.conversations if isinstance(each, AngelOneConversation)]
        if sum(each.client == client for each in here) >= self._connections:
            raise Denied(self._crowded, "Too Many Connections")
        return AngelOneConversation(self, client)

    def page(self, path: str, headers: Mapping[str, str]) -> Page:
        """The instrument file, at :data:`INSTRUMENT_FILE`."""
        if path != INSTRUMENT_FILE:
            return super().page(path, headers)
        return Page(msgspec.json.encode([each.row() for each in self._symbols.values()]))

    def moved(self, move: Move) -> None:
        """Remember the trades of ``move``, and that its exchange has moved."""
        instrument = self._symbols.get(move.symbol)
        if instrument is not None:
            instrument.add(move)

    def instrument(self, symbol: str) -> _Instrument | None:
        """What is traded as ``symbol``; None where that is nothing here."""
        return self._symbols.get(symbol)

    def packet(self, mode: int, instrument: _Instrument) -> bytes:
        """The packet of ``mode`` as the market stands, without harm."""
        return instrument.packet(mode, *self.market.book(instrument.listing.symbol))

    def harmed(self, packet: bytes) -> bytes:
        """What becomes of a packet on its way: nothing, unless something was provoked that fits it."""
        for harm in self._harms:
            spoiled = _HARMS[harm](packet)
            if spoiled is not None:
                self._harms.remove(harm)
                return spoiled
        return packet

    def provoke_harm(self, harm: str) -> None:
        """Spoil the next packet that it fits.

        ``flags``: buys are flagged as sells and sells as buys, the prices stay. ``order``: two prices of one
        side have changed places. ``sides``: the sells stand first, rightly flagged, which is no fault.
        ``stamp``: no exchange stamp. ``longer``: fields behind the known ones. ``token``: junk behind its
        NUL. ``mode`` and ``exchange``: of a number that nobody knows. ``negative``: the last price is.
        """
        if harm not in _HARMS:
            raise ValueError(f"no packet can be harmed by {harm!r}; there are {', '.join(_HARMS)}")
        self._harms.append(harm)

    def provoke_expire(self) -> None:
        """The day ends: every connection is closed, and no credential is good any more."""
        self._expired = True
        for each in self.conversations:
            each.hang_up(1000, "session expired")

    def provoke_error(self, code: str = "E1001", message: str = "Invalid Request Payload.") -> None:
        """Say an error that names no request."""
        for each in self.conversations:
            each.say(_json({"errorCode": code, "errorMessage": message}))

    def provoke_ping(self) -> None:
        """Ask every client whether it is there."""
        for each in self.conversations:
            each.say("ping")

    def provoke_no_pong(self) -> None:
        """Answer no more pings."""
        self.answering = False


class AngelOneConversation(Conversation):
    """One connection to ``/smart-stream``."""

    def __init__(self, venue: AngelOneVenue, client: str) -> None:
        super().__init__()
        self.client = client
        self._venue = venue
        self._subscribed: dict[tuple[int, int, str], _Sent] = {}  # by mode, exchange and token
        self._streams: dict[str, list[tuple[int, _Sent]]] = {}  # by symbol, modes as they came
        self._waiting: list[tuple[int, str]] = []  # when a packet that came too soon may go, and its symbol
        self._heard = venue.now

    @property
    def listening(self) -> bool:
        """Whether anything is subscribed."""
        return bool(self._subscribed)

    def opened(self) -> None:
        """The venue does not greet."""

    def due(self) -> int:
        """When a packet that was held back may go, or the venue's patience ends."""
        patience = self._venue.patience
        ends = NEVER if patience is None else self._heard + patience
        return min(ends, self._waiting[0][0]) if self._waiting else ends

    def wake(self, now: int) -> None:
        """Packets that were held back; the end of a client that says nothing."""
        while self._waiting and self._waiting[0][0] <= now:
            self._tell(self._waiting.pop(0)[1])
        if self._venue.patience is not None and now - self._heard >= self._venue.patience:
            self._heard = NEVER
            self.hang_up(1000, "idle")

    # --- requests -------------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """A ping, or one request. Success is not answered, but by packets."""
        self._heard = self._venue.now
        if payload == "ping":
            if self._venue.answering:
                self.say("pong")
            return
        if payload == "pong":
            return
        correlation = ""
        try:
            correlation = msgspec.json.decode(payload, type=_Correlated).correlationID
            request = msgspec.json.decode(payload, type=_Request)
            fault = self._understood(request)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            fault = "E1001"
        if fault:
            said = {"correlationID": correlation} if correlation else {}
            self.say(_json(said | {"errorCode": fault, "errorMessage": _ERRORS[fault]}))

    def _understood(self, request: _Request) -> str:
        """Do as asked; the code of the error where that cannot be, and then nothing is done."""
        mode = request.params.mode
        if len(request.correlationID) > 10 or request.action not in (0, 1) or mode not in self._venue.modes:
            return "E1001"
        asked = [
            (mode, part.exchangeType, token) for part in request.params.tokenList for token in part.tokens
        ]
        numbers = (1,) if mode == _DEPTH else [number for number, _ in EXCHANGES.values()]
        if not asked or any(exchange not in numbers for _, exchange, _ in asked):
            return "E1001"
        if request.action == 0:
            for key in asked:
                self._unsubscribe(*key)
            return ""
        after = self._subscribed.keys() | asked
        deep = sum(mode == _DEPTH for mode, _, _ in after)
        if len(after) > self._venue.subscriptions or deep > self._venue.deep:
            return "E1002"
        for key in asked:
            self._subscribe(*key)
        return ""

    def _subscribe(self, mode: int, exchange: int, token: str) -> None:
        if (mode, exchange, token) in self._subscribed:
            return  # twice is once
        sent = self._subscribed[mode, exchange, token] = _Sent()
        instrument = self._venue.instruments.get((exchange, token))
        if instrument is not None:  # of an unknown token there is nothing to say, and no error
            self._streams.setdefault(instrument.listing.symbol, []).append((mode, sent))
            self._say_packet(mode, sent, instrument)

    def _unsubscribe(self, mode: int, exchange: int, token: str) -> None:
        sent = self._subscribed.pop((mode, exchange, token), None)
        instrument = self._venue.instruments.get((exchange, token))
        if sent is not None and instrument is not None:
            self._streams[instrument.listing.symbol].remove((mode, sent))

    # --- data -----------------------------------------------------------------------------------------------

    def moved(self, move: Move) -> None:
        """A packet for each mode in which ``move`` changed something."""
        if move.symbol in self._streams:
            self._tell(move.symbol)

    def _tell(self, symbol: str) -> None:
        instrument = self._venue.instrument(symbol)
        assert instrument is not None
        now = self._venue.now
        for mode, sent in self._streams[symbol]:
            if now >= sent.at + self._venue.every:
                self._say_packet(mode, sent, instrument)
            elif not any(each == symbol for _, each in self._waiting):
                self._waiting.append((sent.at + self._venue.every, symbol))
                self._waiting.sort()

    def _say_packet(self, mode: int, sent: _Sent, instrument: _Instrument) -> None:
        packet = self._venue.packet(mode, instrument)
        if packet[_STAMPED:] != sent.content:
            sent.content, sent.at = packet[_STAMPED:], self._venue.now
            self.say(self._venue.harmed(packet), data=True)


class _Sent:
    """What a subscription was told last, and when."""

    def __init__(self) -> None:
        self.content = b""
        self.at = -NEVER


class _Instrument:
    """One listing: how it is spelled in packets, and its day so far."""

    def __init__(self, listing: Listing, exchange: int, token: str) -> None:
        self.listing = listing
        places = 7 if exchange == EXCHANGES["cde_fo"][0] else 2
        if listing.price_precision > places or listing.size_precision:
            raise ValueError(f"{listing.symbol} has prices of {places} decimals at most, and whole sizes")
        self._head = (exchange, token.encode())
        self._scale = 10 ** (places - listing.price_precision)
        self._index = token.startswith(_INDICES)
        self._derived = "_cm" not in listing.symbol
        self._moves = 0
        self._stamp = 0
        self._open = self._high = self._low = self._last = self._size = self._at = 0
        self._volume = self._value = 0

    def row(self) -> dict[str, str]:
        """The instrument as a row of the instrument file."""
        exchange, _, token = self.listing.symbol.partition(":")
        return {
            "token": token,
            "symbol": _NAMES.get(self.listing.symbol, f"{EXCHANGES[exchange][1]}{token}"),
            "name": _NAMES.get(self.listing.symbol, token).partition("-")[0],
            "expiry": "",
            "strike": "-1.000000",
            "lotsize": str(self.listing.lot),
            "instrumenttype": "AMXIDX" if self._index else "",
            "exch_seg": EXCHANGES[exchange][1],
            "tick_size": f"{self._scale}.000000",
        }

    def add(self, move: Move) -> None:
        """Take in one move."""
        self._moves += 1
        self._stamp = move.stamp
        for fill in move.trades:
            self._open = self._open or fill.price
            self._high = max(self._high, fill.price)
            self._low = min(self._low or fill.price, fill.price)
            self._last, self._size, self._at = fill.price, fill.size, fill.stamp // SECOND
            self._volume += fill.size
            self._value += fill.price * fill.size

    def packet(self, mode: int, bids: Ladder, asks: Ladder) -> bytes:
        """Everything that ``mode`` says."""
        head = _HEAD.pack(mode, *self._head)
        time = self._stamp // 1_000_000
        if mode == _DEPTH:
            levels = b"".join(
                _LEVEL.pack(min(size, _MOST), price * self._scale, 1 + size % 9)
                for price, size in self._entries(bids, 20) + self._entries(asks, 20)
            )
            return head + _STAMPS.pack(time, time + 5) + levels
        packet = head + _TRADED.pack(self._sequence, time, self._last * self._scale)
        if mode > 1:
            packet += self._day(bids, asks)
        if mode == _SNAP_QUOTE:
            packet += self._snap(bids, asks)
        return packet

    @property
    def _sequence(self) -> int:
        return -self._stamp if self._index else self._moves  # garbage, for an index

    def _entries(self, ladder: Ladder, count: int) -> list[tuple[int, int]]:
        """The best levels; zeros where there are none, and for an index, which has no orders."""
        levels = [] if self._index else ladder.levels(count)
        return levels + [(0, 0)] * (count - len(levels))

    def _day(self, bids: Ladder, asks: Ladder) -> bytes:
        traded = not self._index
        average = (2 * self._value + self._volume) * self._scale // (2 * self._volume) if self._volume else 0
        prices = (self._open, self._high, self._low, self.listing.price)
        return _DAY.pack(
            self._size * traded,
            average * traded,
            self._volume * traded,
            float(sum(bids.sizes.values()) * traded),
            float(sum(asks.sizes.values()) * traded),
            *[price * self._scale for price in prices],
        )

    def _snap(self, bids: Ladder, asks: Ladder) -> bytes:
        entries = b"".join(
            _ENTRY.pack(flag, size, price * self._scale, (1 + size % 9) * bool(size))
            for flag, ladder in ((1, bids), (0, asks))
            for price, size in self._entries(ladder, 5)
        )
        ranges = [self.listing.price * percent // 100 * self._scale for percent in (110, 90, 125, 75)]
        interest = _INTEREST.pack(self._at, self._volume // 2 * self._derived, 1.5)
        return interest + entries + _RANGES.pack(*ranges)


class _Tokens(msgspec.Struct):
    exchangeType: int  # noqa: N815 - as the venue spells it
    tokens: list[str]


class _Params(msgspec.Struct):
    mode: int
    tokenList: list[_Tokens]  # noqa: N815


class _Correlated(msgspec.Struct):
    """What of a request an error names."""

    correlationID: str = ""  # noqa: N815


class _Request(_Correlated, kw_only=True):
    """A request; everything is needed but the name."""

    action: int
    params: _Params


_ERRORS = {
    "E1001": "Invalid Request Payload.",
    "E1002": "Invalid Request. Subscription Limit Exceeded",
}


def _json(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


# ------------------------------------------------------------------------- what can be wrong with a packet

_SIZE = _ENTRY.size
_FIRST = 147  # where the ten entries of a snap quote begin


def _flags(packet: bytes) -> bytes | None:
    return _entries(packet, lambda entries: [bytes([1 - entry[0]]) + entry[1:] for entry in entries])


def _order(packet: bytes) -> bytes | None:
    return _entries(packet, lambda entries: [entries[1], entries[0], *entries[2:]])


def _sides(packet: bytes) -> bytes | None:
    return _entries(packet, lambda entries: entries[5:] + entries[:5])


def _entries(packet: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes | None:
    """A snap quote with its ten entries changed; None for a packet that has none."""
    if packet[0] != _SNAP_QUOTE:
        return None
    end = _FIRST + 10 * _SIZE
    entries = [packet[start : start + _SIZE] for start in range(_FIRST, end, _SIZE)]
    return packet[:_FIRST] + b"".join(change(entries)) + packet[end:]


def _stamp(packet: bytes) -> bytes:
    start = 27 if packet[0] == _DEPTH else 35
    return packet[:start] + bytes(8) + packet[start + 8 :]


def _negative(packet: bytes) -> bytes | None:
    return None if packet[0] == _DEPTH else packet[:43] + b"\xff" * 8 + packet[51:]


_HARMS: dict[str, Callable[[bytes], bytes | None]] = {
    "flags": _flags,
    "order": _order,
    "sides": _sides,
    "stamp": _stamp,
    "longer": lambda packet: packet + b"\xff" * 8,
    "token": lambda packet: packet[:24] + b"\xff\xfe\xfd" + packet[27:],
    "mode": lambda packet: b"\x09" + packet[1:],
    "exchange": lambda packet: packet[:1] + b"\x06" + packet[2:],
    "negative": _negative,
}
