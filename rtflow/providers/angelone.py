"""Angel One SmartAPI, WebSocket Streaming 2.0: https://smartapi.angelbroking.com/docs/WebSocket2

What the venue says, and what is done about it:

 1. Four credentials go into the upgrade's headers: JWT, API key, client code, feed token. There is no
    greeting and no authentication message. A refusal is HTTP 401, with the reason in the header
    ``x-error-message``; JWT and feed token end with the day, so it is Rejected, and a new login is the only
    cure.
 2. A request is JSON text: ``action`` 1 subscribes, 0 unsubscribes, one ``mode``, tokens by exchange.
    Subscribing is additive, twice is once, and a request that fails leaves what was there alone. **No
    request is acknowledged:** the first packet is the acknowledgement, and becomes ``Status("subscribed")``
    once for each kind that its mode serves. The end of a subscription is never told.
 3. Errors are JSON text with the ``correlationID`` of the request, if that had one: E1001 for a request that
    the venue does not understand, E1002 for one beyond the limit. An E1001 is narrowed down by halves to the
    tokens it is about.
 4. At most 1000 subscriptions on a connection, where a token in two modes counts twice, and three
    connections for a client code. Nothing says how the fourth is refused; HTTP 429 is taken for it.
    https://smartapi.angelbroking.com/topic/4391
 5. We say ``ping`` as text every 10 s, the venue ``pong``; it hangs up on 30 s of silence. A ``ping`` of its
    own is answered. Nothing at all for 20 s means that the line is dead.
 6. Everything else is binary, one little-endian packet a message, and a sample of the state, sent when it
    changed: several trades can hide in one. Whoever subscribes is sent the state at once. A packet that is
    longer than its mode's has fields that nobody knows yet; a shorter one is Malformed.
 7. Prices are whole numbers of paise (1/100 rupee); of currency derivatives (``cde_fo``), of 1/10,000,000.
 8. Stamps are milliseconds of the epoch, UTC. 0 is none: such an event is stamped when it came. The last
    trade's has been seen in seconds too: below 1e11 it is those.
 9. Sequence numbers count a whole exchange, and are garbage for indices: they tell of no gap, so are not
    used.
10. ``close`` is the close of the day before. The change of open interest is a dummy, says the venue.
11. The best five come as ten entries with a flag, 1 for buy and 0 for sell. The side is by the flag; prices
    must then fall from the best buy and rise from the best sell, or the packet is Malformed. An entry of
    size 0 is no level. The best buy may be above the best sell: before the market opens it is.
12. Twenty levels (mode 4): only of ``nse_cm``, for 50 tokens at most, and withdrawn in April 2025. It is
    asked for where somebody says ``deep_books``, and what comes is read.
13. A token is unique on its exchange only, and ends at its first NUL; what stands behind that is undefined.
14. The server remembers nothing: a new connection asks for everything anew, and nothing is replayed.

What is asked for. The modes include one another, so a symbol is subscribed in the least that serves all
kinds wanted of it, and no event comes twice:

====  ==============  ====================================================================================
mode  is asked for    what its packet becomes
====  ==============  ====================================================================================
1     ``trades``      Trade, with size 0: the packet has none
2     ``tickers``     Ticker, and Trade with the last size, if anything was traded since the packet before
3     ``quotes``,     the same, the Trade with its own stamp, and Quote, OrderBookUpdate (whole, five
      ``books``       levels), and PriceBands where the circuit limits are new
4     ``deep_books``  Quote and OrderBookUpdate (whole, twenty levels); for trades or tickers mode 1 or 2
                      comes beside it; not together with quotes or books, for it may say nothing (rule 12)
====  ==============  ====================================================================================

All are samples of a state, and the first Trade after subscribing is the last one before it, however old.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import gt, lt
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Event,
    Frame,
    FrameKind,
    Level,
    Malformed,
    OrderBookUpdate,
    PriceBands,
    Quote,
    Side,
    Status,
    Ticker,
    Trade,
)
from rtflow.provider import (
    Profile,
    Refused,
    Request,
    Room,
    Session,
    Subscription,
    Topic,
    Traffic,
    check_kinds,
    denied,
)
from rtflow.streams import Streams
from rtflow.time import SECOND


class Table(Protocol):
    """Symbols for tokens and tokens for symbols; :class:`rtflow.instruments.Instruments` is one."""

    def address(self, symbol: str) -> tuple[str, str]:
        """Exchange and token of ``symbol``; Unsupported where it has none, or several."""
        ...

    def symbol(self, exchange: str, token: str) -> str | None:
        """The symbol at that address; None where it has none of its own."""
        ...


class AngelOne(Streams):
    """Angel One's SmartStream: Indian stocks, indices, futures and options, commodities and currencies.

    The four credentials are what the login returns: ``jwt`` as it came, with or without ``Bearer``, the API
    key, the client code and the feed token. Symbols are ``exchange:token``, as ``nse_cm:3045``, with the
    exchanges nse_cm, nse_fo, bse_cm, bse_fo, mcx_fo, ncx_fo and cde_fo. With ``instruments``, a table read by
    :meth:`rtflow.instruments.Instruments.read`, they are the venue's trading symbols, as ``SBIN-EQ``, in what
    is asked for and in events; what the table does not name alone keeps its address.

    >>> angel = AngelOne("Bearer eyJ...", "key", "A123456", "feed")
    >>> print(*angel.session(Subscription.of(trades=["nse_cm:3045"])).opened())
    {"correlationID":"1","action":1,"params":{"mode":1,"tokenList":[{"exchangeType":1,"tokens":["3045"]}]}}

    Raises ValueError for a credential that is empty or cannot stand in a header.
    """

    name = "angelone"
    kinds: Collection[str] = ("trades", "tickers", "quotes", "books", "deep_books")
    profile = Profile(
        title="Angel One SmartAPI",
        documents="https://smartapi.angelbroking.com/docs/WebSocket2",
        markets="Indian stocks, indices, derivatives, commodities, currencies",
        encoding="binary packets; JSON errors",
        auth="four headers at the upgrade",
        kinds=("trades", "tickers", "quotes", "books", "deep_books"),
        depth="5; 20 (withdrawn in 2025)",
        sequence="–",
        checksum="–",
        heartbeat="we say ping every 10 s",
        limits="1000 tokens × modes, 3 connections",
    )

    def __init__(
        self,
        jwt: str,
        api_key: str,
        client_code: str,
        feed_token: str,
        *,
        instruments: Table | None = None,
        url: str = "wss://smartapisocket.angelone.in/smart-stream",
    ) -> None:
        credentials = {"jwt": jwt, "api_key": api_key, "client_code": client_code, "feed_token": feed_token}
        for name, value in credentials.items():
            if not (value and value.isascii() and value.isprintable()):
                raise ValueError(f"{name} is empty, or has characters that no header can have")
        self.url = url
        self.room = _ROOM
        self._instruments = instruments
        self._headers = {  # rule 1
            "Authorization": jwt,
            "x-api-key": api_key,
            "x-client-code": client_code,
            "x-feed-token": feed_token,
        }

    def __repr__(self) -> str:
        return f"AngelOne({self.url.partition('?')[0]!r})"

    def request(self, subscription: Subscription) -> Request:
        """Where to connect, with the credentials in the headers.

        Raises Unsupported for a kind that there is not, for a symbol that names no instrument, and for more
        than rules 4 and 12 allow.
        """
        check_kinds(self, subscription)
        whole = {*subscription.symbols("quotes"), *subscription.symbols("books")}
        if both := whole & {*subscription.symbols("deep_books")}:
            raise Unsupported(
                f"of {min(both)} either deep_books or quotes and books: {self.name} withdrew deep_books in "
                "April 2025, and may answer them with silence"
            )
        streams = _plan(subscription.topics, self._place)
        if len(streams) > _MOST_STREAMS:
            raise Unsupported(
                f"{self.name} serves {_MOST_STREAMS} tokens a connection, one in two modes counted twice, "
                f"not {len(streams)}; a client code may have 3 connections"
            )
        deep = [stream for stream in streams if stream.mode == _DEPTH]
        if len(deep) > _MOST_DEEP:
            raise Unsupported(f"{self.name} serves deep_books of {_MOST_DEEP} tokens, not {len(deep)}")
        for stream in deep:
            if stream.exchange != _NSE_CM:
                exchange = _EXCHANGES[stream.exchange]
                raise Unsupported(f"{self.name} has deep_books of nse_cm only, not of {exchange}")
        return Request(self.url, self._headers)

    def session(self, subscription: Subscription) -> AngelOneSession:
        """A fresh conversation that asks for ``subscription``."""
        return AngelOneSession(subscription, self._place)

    def decoder(self) -> AngelOneDecoder:
        """A fresh reader of one connection's frames."""
        return AngelOneDecoder(self._name)

    def _place(self, symbol: str) -> tuple[int, str]:
        """Exchange type and token of ``symbol``."""
        exchange, _, token = symbol.partition(":")
        number = _NUMBERS.get(exchange)
        if number is None:
            if self._instruments is None:
                raise Unsupported(
                    f"{self.name} knows exchange:token, as nse_cm:3045, with an exchange of "
                    f"{', '.join(_NUMBERS)}; for {symbol!r} give it a table of instruments"
                )
            exchange, token = self._instruments.address(symbol)
            return _NUMBERS[exchange], token
        if not _is_token(token):
            raise Unsupported(f"a token is 1 to 25 letters or digits, not {token!r}")
        name = self._name(exchange, token)
        if name != symbol:  # one instrument under two names would be served twice, and told under one
            raise Unsupported(f"{symbol!r} is called {name!r} in the table of instruments")
        return number, token

    def _name(self, exchange: str, token: str) -> str:
        """What the instrument at this address is called."""
        named = None if self._instruments is None else self._instruments.symbol(exchange, token)
        return f"{exchange}:{token}" if named is None else named


_EXCHANGES = {
    1: "nse_cm",
    2: "nse_fo",
    3: "bse_cm",
    4: "bse_fo",
    5: "mcx_fo",
    7: "ncx_fo",
    13: "cde_fo",
}
_NUMBERS = {name: number for number, name in _EXCHANGES.items()}
_NSE_CM, _CDE_FO = 1, 13
_CASH = ("nse_cm", "bse_cm")

_LTP, _QUOTE, _SNAP_QUOTE, _DEPTH = 1, 2, 3, 4
_ASKED_FOR = {
    _LTP: ("trades",),
    _QUOTE: ("tickers",),
    _SNAP_QUOTE: ("quotes", "books"),
    _DEPTH: ("deep_books",),
}
_SERVES = {
    _LTP: ("trades",),
    _QUOTE: ("trades", "tickers"),
    _SNAP_QUOTE: ("trades", "tickers", "quotes", "books"),
    _DEPTH: ("quotes", "books", "deep_books"),
}

_MOST_STREAMS = 1000
_ROOM = Room(_MOST_STREAMS, 3, weigh=lambda topics: len([*_modes({kind for kind, _ in topics})]))
_MOST_DEEP = 50


def _is_token(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= _TOKEN.itemsize


# -------------------------------------------------------------------------- a packet, and a day of them

_TOKEN = np.dtype("S25")
_HEAD = [("mode", "u1"), ("exchange", "u1"), ("token", _TOKEN)]
_TRADED = [*_HEAD, ("sequence", "<i8"), ("time", "<i8"), ("price", "<i8")]
_DAY = [
    *_TRADED,
    ("size", "<i8"),
    ("average", "<i8"),
    ("volume", "<i8"),
    ("total_bid_size", "<f8"),
    ("total_ask_size", "<f8"),
    ("open", "<i8"),
    ("high", "<i8"),
    ("low", "<i8"),
    ("close", "<i8"),
]

BEST_FIVE = np.dtype([("flag", "<i2"), ("size", "<i8"), ("price", "<i8"), ("orders", "<i2")])
"""One of the ten entries in a snap quote, 20 bytes."""

DEPTH_LEVEL = np.dtype([("size", "<i4"), ("price", "<i4"), ("orders", "<i2")])
"""One of the forty levels of a depth packet, 10 bytes."""

LTP = np.dtype(_TRADED)
"""Mode 1, the last traded price, 51 bytes. Numbers here and below are the venue's own: see rules 7 to 13."""

QUOTE = np.dtype(_DAY)
"""Mode 2, the day so far, 123 bytes."""

SNAP_QUOTE = np.dtype(
    [
        *_DAY,
        ("trade_time", "<i8"),
        ("open_interest", "<i8"),
        ("open_interest_change", "<f8"),
        ("levels", BEST_FIVE, (10,)),
        ("upper_circuit", "<i8"),
        ("lower_circuit", "<i8"),
        ("year_high", "<i8"),
        ("year_low", "<i8"),
    ]
)
"""Mode 3, the day so far and the best five, 379 bytes."""

DEPTH_20 = np.dtype(
    [
        *_HEAD,
        ("time", "<i8"),
        ("received", "<i8"),
        ("bids", DEPTH_LEVEL, (20,)),
        ("asks", DEPTH_LEVEL, (20,)),
    ]
)
"""Mode 4, twenty levels a side, 443 bytes."""

_PACKETS = {_LTP: LTP, _QUOTE: QUOTE, _SNAP_QUOTE: SNAP_QUOTE, _DEPTH: DEPTH_20}


class Packets(NamedTuple):
    """All packets of one mode, each a row of its dtype, and beside them when they came."""

    rows: NDArray[np.void]
    ts_recv: NDArray[np.int64]

    def prices(self, field: str = "price") -> NDArray[np.float64]:
        """A field's prices as people trade at them, by the scale of each row's exchange (rule 7).

        Of ``levels``, ``bids`` and ``asks`` a row of prices each.
        """
        raw = self.rows[field]
        if raw.dtype.names:  # levels
            raw = raw["price"]
        scale = np.where(self.rows["exchange"] == _CDE_FO, _CURRENCY, _PAISE)
        return np.asarray(raw / scale.reshape(-1, *[1] * (raw.ndim - 1)), dtype=np.float64)

    def ts_event(self) -> NDArray[np.int64]:
        """The venue's stamps in nanoseconds; where it has none, ours (rule 8)."""
        time = self.rows["time"]
        return np.where(time > 0, time * _MILLISECOND, self.ts_recv)


def columns(frames: Iterable[Frame]) -> dict[int, Packets]:
    """A day's frames as columns, by mode: everything that is in the packets, as the venue sent it.

    What is no whole packet of some mode is left out; nothing else is checked. A token that has something
    undefined behind its NUL has it here too (rule 13).

    >>> packet = bytes.fromhex(
    ...     "010131303632360000000000000000000000000000000000000000"
    ...     "65000000000000007b68e5cf8b0100000779020000000000"
    ... )
    >>> day = columns([Frame(FrameKind.BINARY, packet, ts_recv=1)] * 3)
    >>> day[1].rows["token"], day[1].prices()
    (array([b'10626', b'10626', b'10626'], dtype='|S25'), array([1620.55, 1620.55, 1620.55]))
    """
    payloads: dict[int, list[bytes]] = {mode: [] for mode in _PACKETS}
    stamps: dict[int, list[int]] = {mode: [] for mode in _PACKETS}
    sizes = {mode: packet.itemsize for mode, packet in _PACKETS.items()}
    for frame in frames:
        payload = frame.payload
        if frame.kind is _BINARY and payload and (size := sizes.get(payload[0])) and len(payload) >= size:
            payloads[payload[0]].append(payload if len(payload) == size else payload[:size])
            stamps[payload[0]].append(frame.ts_recv)
    return {
        mode: Packets(np.frombuffer(b"".join(payloads[mode]), packet), np.array(stamps[mode], dtype=np.int64))
        for mode, packet in _PACKETS.items()
        if payloads[mode]
    }


_FORMATS = {"i8": "q", "i4": "i", "i2": "h", "u1": "B", "f8": "d"}


def layout(packet: np.dtype[Any], *names: str) -> struct.Struct:
    """How :mod:`struct` reads the fields of these names, or all, of ``packet``, in order, levels flattened.

    For one packet it takes a fifth of the time that numpy does; the dtype stays the only description.

    >>> layout(LTP).format, layout(LTP, "time", "price").format
    ('<BB25sqqq', '<1x1x25x8xqq')
    """
    return struct.Struct(f"<{_format(packet, names)}")


def _fields(packet: np.dtype[Any]) -> Mapping[str, Any]:
    """Each field's type and offset, by its name."""
    return cast("Mapping[str, Any]", packet.fields)


def _format(packet: np.dtype[Any], names: Collection[str]) -> str:
    written = ""
    for name, (field, *_) in _fields(packet).items():
        if names and name not in names:
            written += f"{field.itemsize}x"
        elif field.subdtype is not None:
            written += _format(field.subdtype[0], names) * field.shape[0]
        elif field.kind == "S":
            written += f"{field.itemsize}s"
        else:
            written += _FORMATS[field.str[1:]]
    return written


_DAY_NAMES = (
    *("time", "price", "size", "average", "volume", "total_bid_size", "total_ask_size"),
    *("open", "high", "low", "close"),
)
_read_ltp = layout(LTP, "time", "price").unpack_from
_read_quote = layout(QUOTE, *_DAY_NAMES).unpack_from
_read_snap = layout(
    SNAP_QUOTE, *_DAY_NAMES, "trade_time", "open_interest", "levels", "flag", "upper_circuit", "lower_circuit"
).unpack_from
_read_depth = layout(DEPTH_20, "time", "bids", "asks", "size", "price").unpack_from


def _offset(packet: np.dtype[Any], name: str) -> int:
    """Where the field begins."""
    offset: int = _fields(packet)[name][1]
    return offset


# ---------------------------------------------------------------------------------------------- talking


class _Stream(NamedTuple):
    """What one subscription is to the venue, and to its limits."""

    mode: int
    exchange: int
    token: str


_Place: TypeAlias = Callable[[str], tuple[int, str]]
_Answer: TypeAlias = str | Refused | RtflowError


def _plan(topics: Iterable[Topic], place: _Place) -> dict[_Stream, str]:
    """What to subscribe so that all topics are served and none twice; with it the symbol that wants it."""
    wanted: dict[str, set[str]] = {}
    for kind, symbol in topics:
        wanted.setdefault(symbol, set()).add(kind)
    return {
        _Stream(mode, *place(symbol)): symbol for symbol, kinds in wanted.items() for mode in _modes(kinds)
    }


def _modes(kinds: set[str]) -> Iterator[int]:
    deep = "deep_books" in kinds
    if deep:
        yield _DEPTH
    if not deep and not kinds.isdisjoint(_ASKED_FOR[_SNAP_QUOTE]):
        yield _SNAP_QUOTE
    elif "tickers" in kinds:
        yield _QUOTE
    elif "trades" in kinds:
        yield _LTP


class AngelOneSession(Session):
    """What we say on one connection.

    Nothing is acknowledged (rule 2), so what was asked for stands until an error says that it does not. What
    is wanted and does not stand is asked for at once, and what stands unwanted is given up before that, as it
    frees places.
    """

    def __init__(self, subscription: Subscription, place: _Place) -> None:
        self._wanted = set(subscription.topics)
        self._place = place
        self._standing: set[_Stream] = set()
        self._asked: dict[str, list[_Stream]] = {}  # by correlationID, oldest first: an error may still come
        self._last_id = 0
        self._frames = 0
        self._counted = 0  # of _frames, at the last look
        self._heard = 0
        self._look = 0

    def started(self, now: int) -> None:
        self._heard = now
        self._look = now + _LOOK

    def opened(self) -> Iterable[str]:
        return list(self._requests())

    def classify(self, payload: bytes) -> Traffic:
        self._frames += 1
        return _TRAFFIC.get(payload[:1]) or (Traffic.HEARTBEAT if payload == _PONG else Traffic.CONTROL)

    def received(self, frame: Frame) -> Iterable[_Answer]:
        if frame.payload == _PING:
            return ("pong",)
        try:
            error = _read_error(frame.payload)
        except (ValueError, RecursionError):  # the decoder says Malformed
            return ()
        return list(self._refused(error)) if error.errorCode else ()

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[str]:
        self._wanted |= added.topics
        self._wanted -= removed.topics
        return list(self._requests())

    def resync(self, symbol: str) -> Iterable[str]:
        """Rule 6: whoever subscribes is sent the state at once."""
        stale = [
            stream
            for stream, wanting in _plan(self._wanted, self._place).items()
            if wanting == symbol and stream.mode in (_SNAP_QUOTE, _DEPTH) and stream in self._standing
        ]
        return [*self._ask(_UNSUBSCRIBE, stale), *self._ask(_SUBSCRIBE, stale)]

    def due(self) -> int | None:
        return self._look

    def wake(self, now: int) -> Iterable[_Answer]:
        """Rule 5. Any frame is a sign of life."""
        if now < self._look:
            return ()
        self._look = now + _LOOK
        if self._frames != self._counted:
            self._counted = self._frames
            self._heard = now
        elif now - self._heard >= _SILENCE:
            return (Disconnected(f"silent for {(now - self._heard) // SECOND} s, and no answer to a ping"),)
        return ("ping",)

    def denied(self, status: int, text: str) -> RtflowError:
        reason = f"HTTP {status} {text}".rstrip()
        if status == 401:
            return Rejected(
                f"{reason}; the JWT and the feed token end with the day: log in anew", code=status
            )
        if status == 429:
            return Throttled(f"{reason}; a client code may have 3 connections", retry_after=_RETRY_AFTER)
        return denied(status, text)

    def _requests(self) -> Iterator[str]:
        """What brings what stands closer to what is wanted."""
        wanted = _plan(self._wanted, self._place).keys()
        yield from self._ask(_UNSUBSCRIBE, sorted(self._standing - wanted))
        yield from self._ask(_SUBSCRIBE, sorted(wanted - self._standing))

    def _ask(self, action: int, streams: list[_Stream]) -> Iterator[str]:
        """Requests for these, by mode and in chunks."""
        for mode in _PACKETS:
            tokens = [stream for stream in streams if stream.mode == mode]
            for start in range(0, len(tokens), _CHUNK):
                yield self._request(action, mode, tokens[start : start + _CHUNK])

    def _request(self, action: int, mode: int, streams: list[_Stream]) -> str:
        self._last_id += 1
        request = str(self._last_id)
        if action == _SUBSCRIBE:
            self._standing.update(streams)
            self._asked[request] = streams
            if len(self._asked) > _REMEMBERED:
                del self._asked[next(iter(self._asked))]
        else:
            self._standing.difference_update(streams)
        by_exchange: dict[int, list[str]] = {}
        for stream in streams:
            by_exchange.setdefault(stream.exchange, []).append(stream.token)
        tokens = [{"exchangeType": exchange, "tokens": each} for exchange, each in by_exchange.items()]
        params = {"mode": mode, "tokenList": tokens}
        return msgspec.json.encode({"correlationID": request, "action": action, "params": params}).decode()

    def _refused(self, error: _Error) -> Iterator[_Answer]:
        """Rule 3. What a request asked for does not stand; an unsubscribe has nothing to lose."""
        streams = self._asked.pop(error.correlationID or "", [])
        wanted = _plan(self._wanted, self._place)
        refused = [stream for stream in streams if stream in wanted and stream in self._standing]
        self._standing.difference_update(refused)
        if error.errorCode == _NOT_UNDERSTOOD and len(refused) > 1:
            middle = len(refused) // 2
            yield from self._ask(_SUBSCRIBE, refused[:middle])
            yield from self._ask(_SUBSCRIBE, refused[middle:])
        elif refused:
            named = {(kind, wanted[stream]) for stream in refused for kind in _ASKED_FOR[stream.mode]}
            topics = tuple(sorted(named & self._wanted))
            self._wanted -= named
            yield Refused(topics, error.text)
            yield from self._requests()  # what came along in that mode may do with a lesser one


_SUBSCRIBE, _UNSUBSCRIBE = 1, 0
_CHUNK = 100  # tokens a request; the venue names no limit, and refuses a request as a whole
_REMEMBERED = 256  # requests; an error follows its request at once
_LOOK = 10 * SECOND
_SILENCE = 20 * SECOND
_RETRY_AFTER = 30.0  # seconds, after which the venue has noticed that a connection of ours is dead
_NOT_UNDERSTOOD = "E1001"
_PING, _PONG = b"ping", b"pong"
_TRAFFIC = {bytes([mode]): Traffic.DATA for mode in _PACKETS}


# ---------------------------------------------------------------------------------------------- meaning


class AngelOneDecoder:
    """What the frames say. Remembers of each instrument its last trade and its bands, to tell what is new."""

    def __init__(self, name: Callable[[str, str], str]) -> None:
        self._name = name
        self._skipped = 0
        self._instruments: dict[tuple[int, str], _Instrument] = {}
        self._readers: dict[bytes, _Reader] = {}  # by the first 27 bytes: mode, exchange, token

    @property
    def skipped(self) -> int:
        """How many messages of a type nobody here knows have been passed over."""
        return self._skipped

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        if frame.kind is not _BINARY:
            return self._decode_text(frame)
        try:
            reader = self._readers.get(frame.payload[:_KEY])
            return reader.events(frame) if reader is not None else self._decode_first(frame)
        except (ValueError, struct.error) as error:
            return (Malformed(frame, str(error), frame.ts_recv),)

    def state(self) -> object:
        """What is remembered of each instrument, and the count of what was passed over, as plain data."""
        return msgspec.to_builtins(_Memory(list(self._instruments.values()), self._skipped))

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        memory = msgspec.convert(state, _Memory)
        self._skipped = memory.skipped
        self._instruments = {(each.exchange, each.token): each for each in memory.instruments}
        self._readers = {
            _key(mode, each.exchange, each.token): self._reader(mode, each)
            for each in memory.instruments
            for mode in each.modes
        }

    def _reader(self, mode: int, instrument: _Instrument) -> _Reader:
        return _READERS[mode](instrument, self._name(_EXCHANGES[instrument.exchange], instrument.token))

    def _decode_first(self, frame: Frame) -> Iterable[Event]:
        """The first packet of an instrument in a mode: it is served (rule 2)."""
        payload = frame.payload
        if len(payload) < _KEY:
            raise ValueError(f"a packet of {len(payload)} bytes")
        mode, exchange = payload[0], payload[1]
        if mode not in _READERS or exchange not in _EXCHANGES:
            self._skipped += 1
            return ()
        token = payload[2:_KEY].partition(b"\0")[0].decode("ascii")  # rule 13
        if not _is_token(token):
            raise ValueError(f"not a token: {token!r}")
        reader = self._readers.get(_key(mode, exchange, token))
        if reader is not None:
            return reader.events(frame)
        instrument = self._instruments.get((exchange, token)) or _Instrument(exchange, token)
        reader = self._reader(mode, instrument)
        events = reader.events(frame)
        self._instruments[exchange, token] = instrument
        self._readers[_key(mode, exchange, token)] = reader
        instrument.modes.append(mode)
        served = [
            Status("subscribed", frame.ts_recv, "", reader.symbol, kind, frame.epoch, _VENUE)
            for kind in _SERVES[mode]
        ]
        return (*served, *events)

    def _decode_text(self, frame: Frame) -> Iterable[Event]:
        """An error, or a word of the heartbeat."""
        if frame.payload in (_PING, _PONG):
            return ()
        try:
            error = _read_error(frame.payload)
        except (ValueError, RecursionError) as flaw:
            return (Malformed(frame, str(flaw), frame.ts_recv),)
        if not error.errorCode:
            self._skipped += 1
            return ()
        return (Status("rejected", frame.ts_recv, error.text, epoch=frame.epoch, venue=_VENUE),)


class _Instrument(msgspec.Struct):
    """What is remembered of an instrument, in numbers as the venue sends them; -1 for never."""

    exchange: int
    token: str
    modes: list[int] = []
    last: tuple[int, int, int, int] = (-1, -1, -1, 0)  # volume, price, size, and its stamp, 0 if never said
    bands: tuple[int, int] = (-1, -1)

    def traded(self, volume: int, price: int, size: int, at: int) -> bool:
        """Whether this is a trade that nobody was told of; a volume that shrinks was only put right."""
        before, last_price, last_size, last_at = self.last
        self.last = (volume, price, size, at or last_at)  # a packet of mode 2 says no stamp
        new = volume > before or price != last_price or size != last_size or at > last_at > 0
        return new and price > 0


class _Memory(msgspec.Struct):
    """A decoder's state."""

    instruments: list[_Instrument]
    skipped: int


class _Reader(ABC):
    """Reads one instrument's packets of one mode."""

    __slots__ = ("_has_interest", "_instrument", "_scale", "symbol")

    def __init__(self, instrument: _Instrument, symbol: str) -> None:
        self.symbol = symbol
        self._instrument = instrument
        self._scale = _CURRENCY if instrument.exchange == _CDE_FO else _PAISE  # rule 7
        self._has_interest = _EXCHANGES[instrument.exchange] not in _CASH

    @abstractmethod
    def events(self, frame: Frame) -> tuple[Event, ...]:
        """What the packet says. Raises ValueError or struct.error for one that fails its checks."""

    def _day(
        self, day: tuple[Any, ...], received: int, traded: int, interest: int | None
    ) -> tuple[Trade, Ticker] | tuple[Ticker]:
        """What the fields from ``time`` to ``close`` say: the day so far, and the trade if it is new."""
        time, price, size, average, volume, bid_size, ask_size, first, high, low, close = day
        if not bid_size + ask_size < _INFINITE:  # and so neither is NaN
            raise ValueError(f"total quantities of {bid_size} and {ask_size}")
        stamp = _stamp(time) or received
        at = traded and _stamp(traded * 1000 if traded < _SECONDS else traded)  # rule 8
        scale = self._scale
        ticker = Ticker(
            self.symbol,
            stamp,
            received,
            price / scale if price else None,
            float(size) if size else None,
            first / scale if first else None,
            high / scale if high else None,
            low / scale if low else None,
            close / scale if close else None,
            float(volume),
            None,
            average / scale if average else None,
            interest if interest is None else float(interest),
            bid_size,
            ask_size,
            at or None,
            "day",
            _VENUE,
        )
        known = self._instrument
        if known.last == (volume, price, size, at) or not known.traded(volume, price, size, at):
            return (ticker,)
        last, amount = price / scale, float(size)
        trade = Trade(
            self.symbol, at or stamp, received, last, amount, _UNKNOWN, "", _VENUE, "", (), "", True
        )
        return (trade, ticker)

    def _book(
        self, frame: Frame, stamp: int, bids: tuple[Level, ...], asks: tuple[Level, ...], depth: int
    ) -> tuple[Quote, OrderBookUpdate]:
        """A whole book and its touch."""
        received = frame.ts_recv
        bid, bid_size = bids[0] if bids else _NONE
        ask, ask_size = asks[0] if asks else _NONE
        quote = Quote(
            self.symbol, stamp, received, bid, bid_size, ask, ask_size, _VENUE, "", "", (), "", 1.0, True
        )
        return quote, OrderBookUpdate(
            self.symbol, stamp, received, bids, asks, True, frame.epoch, _VENUE, depth
        )

    def _side(
        self, sizes: tuple[int, ...], prices: tuple[int, ...], better: Callable[[int, int], bool]
    ) -> tuple[Level, ...]:
        """The levels of one side, each price ``better`` than the next; what has no size is no level."""
        if min(sizes) <= 0:
            sizes, prices = _without_empty(sizes, prices)
            if not sizes:
                return ()
        if not (min(prices[0], prices[-1]) > 0 and all(map(better, prices, prices[1:]))):
            raise ValueError(f"no side of a book: prices {prices}")
        scale = self._scale
        return tuple([(price / scale, float(size)) for price, size in zip(prices, sizes, strict=True)])


# 01 01 3130363236000000… 6500000000000000 7b68e5cf8b010000 0779020000000000
class _LtpReader(_Reader):
    """nse_cm, 10626, number 101, 1700000000123 ms, 1620.55"""

    __slots__ = ()

    def events(self, frame: Frame) -> tuple[Event, ...]:
        time, price = _read_ltp(frame.payload)
        received = frame.ts_recv
        stamp = time * _MILLISECOND if 0 < time <= _LAST else _stamp(time) or received
        if price <= 0:
            if price < 0:
                raise ValueError(f"a price of {price}")
            return ()  # before the first trade
        price /= self._scale
        return (Trade(self.symbol, stamp, received, price, 0.0, _UNKNOWN, "", _VENUE, "", (), "", True),)


# 02 … 0a00000000000000 d178020000000000 40e2010000000000 000000000088b340 000000000070b740 0071020000000000 …
class _QuoteReader(_Reader):
    """The same; size 10, average 1620.01, volume 123456, 5000.0 bid and 6000.0 offered, open 1600, …"""

    __slots__ = ()

    def events(self, frame: Frame) -> tuple[Event, ...]:
        day = _read_quote(frame.payload)
        if not frame.payload[_SIGNS_OF_DAY].isascii():
            raise ValueError(f"a negative number where none can be: {day}")
        return self._day(day, frame.ts_recv, 0, None)


# 03 … f153650000000000 0000000000000000 000000000000f83f 0100 6400000000000000 0279020000000000 0300 …
class _SnapQuoteReader(_Reader):
    """The same; traded at 1700000000 s, open interest 0, a dummy, a buy of 100 at 1620.50 by 3 orders, …"""

    __slots__ = ()

    def events(self, frame: Frame) -> tuple[Event, ...]:
        payload = frame.payload
        values = _read_snap(payload)
        if not payload[_SIGNS_OF_SNAP].isascii():
            raise ValueError(f"a negative number where none can be: {values}")
        traded, interest, upper, lower = values[11], values[12], values[43], values[44]
        if upper < 0 or lower < 0:
            raise ValueError(f"circuit limits of {upper} and {lower}")
        flags, sizes, prices = values[13:43:3], values[14:43:3], values[15:43:3]
        b0, b1, b2, b3, b4, a0, a1, a2, a3, a4 = prices
        if (  # rule 11, for a full book; _by_flag and _side judge every other one
            flags == _BUYS_THEN_SELLS
            and min(sizes) > 0
            and b0 > b1 > b2 > b3 > b4 > 0 < a0 < a1 < a2 < a3 < a4
        ):
            scale = self._scale
            levels = tuple([(price / scale, float(size)) for price, size in zip(prices, sizes, strict=True)])
            bids, asks = levels[:5], levels[5:]
        else:
            buys, sells = _by_flag(flags, sizes, prices)
            bids, asks = self._side(*buys, gt), self._side(*sells, lt)
        told = self._day(values[:11], frame.ts_recv, traded, interest if self._has_interest else None)
        stamp = told[-1].ts_event
        quote, book = self._book(frame, stamp, bids, asks, 5)
        if self._instrument.bands == (upper, lower):
            return (*told, quote, book)
        self._instrument.bands = (upper, lower)
        scale = self._scale
        up, down = upper / scale if upper else None, lower / scale if lower else None
        return (PriceBands(self.symbol, stamp, frame.ts_recv, up, down, "", _VENUE), *told, quote, book)


# 04 01 3130363236000000… 7b68e5cf8b010000 8068e5cf8b010000 64000000 02790200 0300 …
class _DepthReader(_Reader):
    """nse_cm, 10626, 1700000000123 ms, received 5 ms later, 100 bid at 1620.50 by 3 orders, …"""

    __slots__ = ()

    def events(self, frame: Frame) -> tuple[Event, ...]:
        values = _read_depth(frame.payload)
        stamp = _stamp(values[0]) or frame.ts_recv
        sizes, prices = values[1::2], values[2::2]
        bids, asks = self._side(sizes[:20], prices[:20], gt), self._side(sizes[20:], prices[20:], lt)
        return self._book(frame, stamp, bids, asks, 20)


# {"correlationID":"abcde12345","errorCode":"E1002",
#  "errorMessage":"Invalid Request. Subscription Limit Exceeded"}
class _Error(msgspec.Struct, gc=False):
    errorCode: str = ""  # noqa: N815 - as the venue spells it
    errorMessage: str = ""  # noqa: N815
    correlationID: str | None = None  # noqa: N815

    @property
    def text(self) -> str:
        return f"{self.errorCode} {self.errorMessage}".rstrip()


_READERS: dict[int, type[_Reader]] = {
    _LTP: _LtpReader,
    _QUOTE: _QuoteReader,
    _SNAP_QUOTE: _SnapQuoteReader,
    _DEPTH: _DepthReader,
}
_read_error = msgspec.json.Decoder(_Error).decode

_VENUE = AngelOne.name
_BINARY = FrameKind.BINARY
_UNKNOWN = Side.UNKNOWN
_PAISE, _CURRENCY = 100.0, 10_000_000.0
_MILLISECOND = SECOND // 1000
_LAST = (2**63 - 1) // _MILLISECOND  # ms, whose nanoseconds still fit into 64 bits
_SECONDS = 10**11  # ms of 1973, or seconds of the year 5138
_INFINITE = float("inf")
_NONE: tuple[None, None] = (None, None)
_BUYS_THEN_SELLS = (1,) * 5 + (0,) * 5
_KEY = _offset(LTP, "sequence")

# Of the numbers from ``time`` on, the bytes with the sign: little endian, so each one's last. ASCII is what
# has no eighth bit, so one look at these bytes tells whether any number is negative.
_SIGNS_OF_DAY = slice(_offset(QUOTE, "time") + 7, QUOTE.itemsize, 8)
_SIGNS_OF_SNAP = slice(_offset(SNAP_QUOTE, "time") + 7, _offset(SNAP_QUOTE, "open_interest_change"), 8)


def _stamp(time: int) -> int:
    """Milliseconds as nanoseconds, 0 for none."""
    if not 0 <= time <= _LAST:
        raise ValueError(f"not a stamp: {time} ms")
    return time * _MILLISECOND


def _key(mode: int, exchange: int, token: str) -> bytes:
    """How the packets of one subscription begin, as long as nothing stands behind the token's NUL."""
    return bytes([mode, exchange]) + token.encode().ljust(_TOKEN.itemsize, b"\0")


_Entries: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # sizes and prices


def _without_empty(sizes: tuple[int, ...], prices: tuple[int, ...]) -> _Entries:
    """The same without the entries of size 0. Raises ValueError for a size below."""
    if min(sizes) < 0:
        raise ValueError(f"sizes of {sizes}")
    kept = [(size, price) for size, price in zip(sizes, prices, strict=True) if size]
    return tuple([size for size, _ in kept]), tuple([price for _, price in kept])


def _by_flag(
    flags: tuple[int, ...], sizes: tuple[int, ...], prices: tuple[int, ...]
) -> tuple[_Entries, _Entries]:
    """The buys and the sells, each in the order they came; an empty entry is on either side."""
    sides: list[_Entries] = []
    for side in (1, 0):
        here = [index for index, flag in enumerate(flags) if flag == side or not sizes[index]]
        sides.append((tuple([sizes[index] for index in here]), tuple([prices[index] for index in here])))
        if sum(1 for size in sides[-1][0] if size) > 5:
            raise ValueError(f"more than five entries of one side: flags {flags}")
    if any(size and flag not in (0, 1) for flag, size in zip(flags, sizes, strict=True)):
        raise ValueError(f"flags of {flags}")
    return sides[0], sides[1]
