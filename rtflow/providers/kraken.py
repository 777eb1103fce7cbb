"""Kraken spot, public market data by WebSocket API v2: https://docs.kraken.com/api/docs/guides/spot-ws-intro

What the venue says, and what is done about it:

 1. One JSON object per text message. Nothing but a ``status`` comes until a subscription is accepted; then a
    ``heartbeat`` about every second, busy or not: it says that the venue lives, not that it is idle.
    https://docs.kraken.com/api/docs/websocket-v2/heartbeat
 2. A request may name many symbols; every symbol is acknowledged or refused on its own, with the ``req_id``
    of the request. A refusal names the symbol and not the channel, so our numbers say the kind: 300000007 is
    the seventh request, and of quotes. https://docs.kraken.com/api/docs/websocket-v2/book
 3. One unknown symbol is refused alone. A depth, an interval, a field or an endpoint that does not exist is
    our configuration: the socket would stay open and empty, so it ends the connection as Rejected.
 4. ``Already subscribed`` and ``Subscription Not Found`` (which claims ``"method":"subscribe"`` in answer to
    an unsubscribe) leave us where we wanted to be, but the former brings no snapshot.
 5. ``{"Error":"Exceeded msg rate"}`` names no request: after a pause, every request without an answer is sent
    again. Requests are paced to stay clear of it.
 6. A book has no sequence number. Its ``checksum`` is a CRC-32 over the digits of the best ten levels a side
    *as they are spelled on the wire*, so the text of every number is kept beside the float; the book is cut
    to the subscribed depth first. https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2
 7. A fresh snapshot of one book: unsubscribe it, wait for the answer, subscribe again. So does a book whose
    snapshot has not come ten seconds after the subscription was accepted.
 8. ``trade.side`` is the taker's. Rows of a snapshot have no promised order; they leave by ``trade_id``.
    https://docs.kraken.com/api/docs/websocket-v2/trade
 9. A ``ticker`` of zeros, stamped 1970, is a pair without orders: a side without a quote is None.
    https://docs.kraken.com/api/docs/websocket-v2/ticker
10. An ``ohlc`` row is the bar still forming, and a finished one is never sent again: it is finished when a
    row with a later ``interval_begin`` comes. ``timestamp`` there is the end, not the beginning.
    https://docs.kraken.com/api/docs/websocket-v2/ohlc
11. ``instrument`` has an object for ``data``, and one subscription covers all pairs: its symbol here is
    ``*``. An update lists what changed; where it is a pair's precision, the book fails its checksum and is
    taken anew. https://docs.kraken.com/api/docs/websocket-v2/instrument
12. The engine's state comes as ``status``; in ``maintenance`` a disconnect follows, and new attempts come no
    faster than one in 5 s. https://docs.kraken.com/api/docs/websocket-v2/status
13. A connection without subscriptions is closed after about a minute of silence; a ``ping`` keeps it.
    https://docs.kraken.com/api/docs/websocket-v2/ping
14. About 150 attempts to connect in ten minutes, then a ban of ten minutes (HTTP 429 or 403).
    https://docs.kraken.com/api/docs/guides/spot-ws-intro
15. Channels and fields are added without a new version: unknown ones are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    Instrument,
    Level,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    State,
    Status,
    Trade,
)
from rtflow.provider import (
    Profile,
    Rate,
    Refused,
    Request,
    Send,
    Session,
    Subscription,
    Topic,
    Traffic,
    check_kinds,
    denied,
    either,
)
from rtflow.streams import Streams
from rtflow.time import SECOND, parse


class Kraken(Streams):
    """Kraken's spot market: trades, quotes, books, bars and instruments (symbol ``*``). Needs no key.

    ``depth`` is the number of levels a side of a book (10, 25, 100, 500 or 1000), ``interval`` the length of
    a bar in minutes (1, 5, 15, 30, 60, 240, 1440, 10080 or 21600). Symbols are spelled ``BTC/USD``, in upper
    case with a slash, and say ``BTC`` and ``DOGE``.

    Raises Unsupported for any other depth or interval: the venue does not round. ValueError for a ``url``
    that is no WebSocket's.

    >>> kraken = Kraken(depth=25)
    >>> session = kraken.session(Subscription.of(trades="BTC/USD"))
    >>> list(session.opened())
    ['{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":false},"req_id":400000001}']
    """

    name = "kraken"
    kinds: Collection[str] = ("trades", "quotes", "books", "bars", "instruments")
    profile = Profile(
        title="Kraken",
        documents="https://docs.kraken.com/api/docs/guides/spot-ws-intro",
        markets="crypto spot",
        encoding="JSON",
        auth="–",
        kinds=("trades", "quotes", "books", "bars", "instruments"),
        depth="10, 25, 100, 500 or 1000",
        sequence="–",
        checksum="CRC-32 of the best ten levels, on every book message",
        heartbeat="the venue, every second; we ping after five silent ones",
        limits="150 connections in 10 minutes; requests at a moving rate, here 20 a second",
    )

    def __init__(self, *, depth: int = 10, interval: int = 1, url: str = "wss://ws.kraken.com/v2") -> None:
        if depth not in _DEPTHS:
            raise Unsupported(f"kraken keeps books of {either(_DEPTHS)} levels a side, not {depth}")
        if interval not in _INTERVALS:
            raise Unsupported(f"kraken makes bars of {either(_INTERVALS)} minutes, not {interval}")
        if not url.startswith(("ws://", "wss://")):
            raise ValueError(f"url is a WebSocket's address, ws://… or wss://…, not {url!r}")
        self.depth = depth
        self.interval = interval
        self.url = url

    def request(self, subscription: Subscription) -> Request:
        """Where to connect. Raises Unsupported for a kind it lacks, and for instruments other than ``*``."""
        check_kinds(self, subscription)
        for symbol in subscription.symbols("instruments"):
            if symbol != "*":
                raise Unsupported(f"kraken lists all instruments at once; ask for '*', not {symbol!r}")
        return Request(self.url, attempts=_ATTEMPTS)

    def session(self, subscription: Subscription) -> KrakenSession:
        """A fresh conversation that is to end with ``subscription`` being served."""
        return KrakenSession(subscription, self.depth, self.interval)

    def decoder(self) -> KrakenDecoder:
        """A fresh reader of one connection's frames."""
        return KrakenDecoder(self.depth)


_ATTEMPTS = Rate(120, 600.0)  # rule 14, and room for who else shares our address
_DEPTHS = (10, 25, 100, 500, 1000)
_INTERVALS = {
    1: "1m",
    5: "5m",
    15: "15m",
    30: "30m",
    60: "1h",
    240: "4h",
    1440: "1d",
    10080: "1w",
    21600: "15d",
}
_CHANNELS = {
    "instruments": "instrument",
    "books": "book",
    "quotes": "ticker",
    "trades": "trade",
    "bars": "ohlc",
}
_KINDS = {channel: kind for kind, channel in _CHANNELS.items()}
_NUMBERED = dict(enumerate(_CHANNELS, 1))  # rule 2: the kind that the number of a request begins with
_NUMBERS = {kind: number * 100_000_000 for number, kind in _NUMBERED.items()}  # all below 2**31


# ---------------------------------------------------------------------------------------------- talking


class KrakenSession(Session):
    """What we say to Kraken on one connection, and what its answers make of it.

    Three sets of topics tell everything: those wanted, those served, and those in flight (asked, not
    answered). Whatever is out of balance and not in flight is asked next; so each topic has one request under
    way at most, and an answer that was lost can never be mistaken for another.
    """

    def __init__(self, subscription: Subscription, depth: int, interval: int) -> None:
        self._depth = depth
        self._interval = interval
        self._wanted = set(subscription.topics)
        self._served: set[Topic] = set()
        self._stale: set[Topic] = set()  # books to let go and take again
        self._flying: set[Topic] = set()
        self._asked: dict[int, _Asked] = {}  # by req_id, oldest first
        self._awaited: dict[str, int] = {}  # books without a snapshot yet, and until when that may be
        self._unbalanced = True
        self._last_id = 0
        self._now = 0
        self._pace = 0  # a bucket of _BURST requests that refills one in _SPACING: full at this stamp
        self._pausing = False
        self._pause = _PAUSE
        self._frames = 0
        self._counted = 0  # of _frames, at the last look
        self._heard = 0
        self._pinged: int | None = None
        self._look = _LOOK
        self._maintenance = False

    def started(self, now: int) -> None:
        self._now = self._heard = now
        self._look = now + _LOOK

    def opened(self) -> Iterable[Send]:
        return list(self._requests())

    def classify(self, payload: bytes) -> Traffic:
        self._frames += 1
        if self._awaited:
            for symbol in _whole_books(payload):
                self._awaited.pop(symbol, None)
        return _TRAFFIC.get(payload[:16]) or _classify(payload)

    def received(self, frame: Frame) -> Iterable[Send | Refused | RtflowError]:
        self._now = frame.ts_recv
        try:
            answer = _read_other(frame.payload)
            if answer.channel == "status":
                for system in _read_systems(answer.data):
                    self._maintenance = system.system == "maintenance"
        except (ValueError, RecursionError):  # the decoder says Malformed
            return ()
        answers: list[Send | Refused | RtflowError] = []
        if answer.throttled:
            self._hold_back()
        elif answer.method in ("subscribe", "unsubscribe"):
            answers.extend(self._settle(answer))
        elif answer.refusal and _is_fatal(answer.refusal):
            answers.append(Rejected(answer.refusal))
        answers.extend(self._requests())
        return answers

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        self._wanted |= added.topics
        self._wanted -= removed.topics
        self._unbalanced = True
        return list(self._requests())

    def resync(self, symbol: str) -> Iterable[Send]:
        topic = ("books", symbol)
        if topic in self._served:  # else nobody wants it, or a snapshot is on its way already
            self._stale.add(topic)
            self._unbalanced = True
        return list(self._requests())

    def due(self) -> int | None:
        return min(self._look, self._pace - _BURST) if self._unbalanced else self._look

    def wake(self, now: int) -> Iterable[Send | RtflowError]:
        self._now = now
        says: list[Send | RtflowError] = []
        if now >= self._look:
            self._look = now + _LOOK
            says.extend(self._listen(now))
            while self._asked and next(iter(self._asked.values())).sent + _PATIENCE <= now:
                self._give_up(next(iter(self._asked)))
            for symbol in [symbol for symbol, until in self._awaited.items() if until <= now]:  # rule 7
                del self._awaited[symbol]
                self._stale.add(("books", symbol))
                self._unbalanced = True
        says.extend(self._requests())
        return says

    def denied(self, status: int, text: str) -> RtflowError:
        if status in (403, 429):
            return Throttled(f"HTTP {status} {text}".rstrip(), retry_after=600.0)
        return denied(status, text)

    def closed(self, code: int, reason: str) -> RtflowError:
        error = super().closed(code, reason)
        return _maintained(error) if self._maintenance else error

    def _listen(self, now: int) -> Iterator[Send | RtflowError]:
        """Any frame is a sign of life; without one we ask, and without an answer the line is dead."""
        if self._frames != self._counted:
            self._counted = self._frames
            self._heard = now
            self._pinged = None
        elif self._pinged is None:
            if now - self._heard >= _SILENCE:
                self._pinged = now
                yield _json({"method": "ping", "req_id": self._next_id()})
        elif now - self._pinged >= _SILENCE:
            silence = (now - self._heard) // SECOND
            error = Disconnected(f"silent for {silence} s, and no answer to a ping")
            yield _maintained(error) if self._maintenance else error

    def _requests(self) -> Iterator[Send]:
        """What may be asked by now, in chunks and at the pace."""
        while self._unbalanced and self._pace - _BURST <= self._now:
            if self._pausing:
                self._pausing = False
                for request in list(self._asked):
                    self._give_up(request)
            chunk = self._next_chunk()
            if chunk is None:
                self._unbalanced = False
                return
            method, kind, symbols = chunk
            params: dict[str, object] = {"channel": _CHANNELS[kind]}
            if kind != "instruments":
                params["symbol"] = symbols
            if kind == "books":
                params["depth"] = self._depth
            elif kind == "quotes":
                params["event_trigger"] = "bbo"
            elif kind == "bars":
                params["interval"] = self._interval
            if method == "subscribe":
                params["snapshot"] = kind != "trades"
            request = self._next_id() + _NUMBERS[kind]
            topics = {(kind, symbol) for symbol in symbols}
            self._asked[request] = _Asked(request, method, kind, topics, self._now)
            if method == "subscribe" and kind == "books":  # one read may bring answer and snapshot together
                self._awaited |= dict.fromkeys(symbols, _NEVER)
            self._flying |= topics
            self._pace = max(self._pace, self._now) + _SPACING
            yield _json({"method": method, "params": params, "req_id": request})

    def _next_chunk(self) -> tuple[str, str, list[str]] | None:
        """Method, kind and symbols of the request that comes next; None when all is in balance."""
        leave = ((self._served - self._wanted) | self._stale) - self._flying
        take = self._wanted - self._served - self._flying
        for method, topics in (("unsubscribe", leave), ("subscribe", take)):
            for kind in _CHANNELS:
                symbols = sorted(symbol for each, symbol in topics if each == kind)
                if symbols:
                    return method, kind, symbols[:_CHUNK]
        return None

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _settle(self, answer: _Other) -> Iterator[Refused | RtflowError]:
        """What one acknowledgement or refusal means for the topics it speaks of."""
        error = answer.refusal
        if error and _is_fatal(error):
            yield Rejected(error)
            return
        result = answer.result or _Result()
        asked = self._find(answer, result)
        if asked is None:  # nobody waits for it; the decoder tells what it said
            return
        if result.depth not in (None, self._depth):
            yield Rejected(f"asked for books of depth {self._depth}, was given {result.depth}")
            return
        symbol = result.symbol or answer.symbol
        topics = {(asked.kind, symbol)} & asked.topics if symbol else set(asked.topics)
        asked.topics -= topics
        self._flying -= topics
        if not asked.topics:
            del self._asked[asked.request]
        awaited = {each for kind, each in topics if kind == "books" and each in self._awaited}
        if asked.method == "unsubscribe":  # whatever the answer, there is no more to be had by asking again
            self._served -= topics
            self._stale -= topics
            self._await(awaited, None)
        elif error in ("", "Already subscribed"):
            self._served |= topics
            self._await(awaited, self._now + _PATIENCE)
        elif topics:
            self._wanted -= topics
            self._await(awaited, None)
            # the decoder knows the kind by the number alone, rule 2
            yield Refused(tuple(sorted(topics)), error, told=bool(symbol and answer.req_id))
        self._pause = _PAUSE
        if any((topic in self._wanted) != (topic in self._served) for topic in topics):
            self._unbalanced = True

    def _await(self, symbols: set[str], until: int | None) -> None:
        """Their snapshots may take until then; None where none will come."""
        for symbol in symbols:
            del self._awaited[symbol]
            if until is not None:
                self._awaited[symbol] = until

    def _find(self, answer: _Other, result: _Result) -> _Asked | None:
        """The request that is answered: by its id, or, where the answer has none, by what it speaks of."""
        if answer.req_id is not None:
            asked = self._asked.get(answer.req_id)
            return asked if asked and result.channel in ("", _CHANNELS[asked.kind]) else None
        symbol = result.symbol or answer.symbol or "*"
        for asked in self._asked.values():
            if result.channel in ("", _CHANNELS[asked.kind]) and (asked.kind, symbol) in asked.topics:
                return asked
        return None

    def _give_up(self, request: int) -> None:
        """No answer will come: its topics are to be asked for again."""
        self._flying -= self._asked.pop(request).topics
        self._unbalanced = True

    def _hold_back(self) -> None:
        """Too many requests. Answers under way still count; what has none after the pause is asked again."""
        self._pace = self._now + self._pause + _BURST
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._pausing = self._unbalanced = True


class _Asked(msgspec.Struct):
    """A request in flight, and those of its topics that have no answer yet."""

    request: int
    method: str
    kind: str
    topics: set[Topic]
    sent: int


_CHUNK = 50  # symbols a request; the venue names no limit, and one request is one message to it
_SPACING = SECOND // 20  # 20 requests a second; the venue's limit moves and is not published
_BURST = 9 * _SPACING  # so ten go out at once
_PAUSE = SECOND  # after "Exceeded msg rate"; doubles while it goes on
_LONGEST_PAUSE = 32 * SECOND
_PATIENCE = 10 * SECOND  # for an answer, and for the snapshot after it
_NEVER = 2**63
_LOOK = SECOND  # how often we look for signs of life
_SILENCE = 5 * SECOND  # five heartbeats missed, or a ping unanswered

_FATAL = (
    "Subscription depth not supported",
    "Subscription ohlc interval not supported",
    "Subscription ohlc requires interval",
    "Subscription name invalid",
    "Public market data subscriptions are unavailable",
    "Private data and trading are unavailable",
    "ESession:",
    "Unsupported field",
    "Malformed request",
    "Event(s) not found",
)

_TRAFFIC = {  # sixteen bytes tell them all apart
    b'{"channel":"trad': Traffic.DATA,
    b'{"channel":"tick': Traffic.DATA,
    b'{"channel":"book': Traffic.DATA,
    b'{"channel":"ohlc': Traffic.DATA,
    b'{"channel":"inst': Traffic.DATA,
    b'{"channel":"hear': Traffic.HEARTBEAT,
    b'{"channel":"stat': Traffic.CONTROL,
    b'{"method":"pong"': Traffic.HEARTBEAT,
    b'{"method":"subsc': Traffic.CONTROL,
    b'{"method":"unsub': Traffic.CONTROL,
}


def _is_fatal(error: str) -> bool:
    return error.startswith(_FATAL)


def _maintained(error: RtflowError) -> Throttled:
    """The end of a connection while the venue is in maintenance: it asks for 5 s between attempts."""
    return Throttled(f"{error}, in maintenance", retry_after=5.0)


def _classify(payload: bytes) -> Traffic:
    """The same by reading: for control frames, and for keys in an order nobody has seen yet."""
    try:
        other = _read_other(payload)
    except (ValueError, RecursionError):
        return Traffic.CONTROL
    if other.channel == "heartbeat" or other.method == "pong":
        return Traffic.HEARTBEAT
    return Traffic.DATA if other.channel in _KINDS and not other.refusal else Traffic.CONTROL


def _whole_books(payload: bytes) -> list[str]:
    """The symbols whose snapshot this is."""
    try:
        arrived = _read_arrival(payload)
    except (ValueError, RecursionError):
        return []
    return [row.symbol for row in arrived.data] if arrived.type == "snapshot" else []


def _json(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()


# ---------------------------------------------------------------------------------------------- meaning


class KrakenDecoder:
    """What Kraken's frames say; remembers the forming bar of each symbol, as nobody else will finish it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._forming: dict[str, Bar] = {}
        self._skipped = 0

    @property
    def skipped(self) -> int:
        """How many messages of a type nobody here knows have been passed over."""
        return self._skipped

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        try:
            return _read(frame.payload).events(frame, self)
        except (ValueError, RecursionError) as error:  # of msgspec, of a stamp, of a number
            return self._decode_other(frame, error)

    def state(self) -> object:
        """The forming bars and the count of what was passed over, as plain data."""
        return msgspec.to_builtins(_Memory(self._forming, self._skipped))

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        memory = msgspec.convert(state, _Memory)
        self._forming, self._skipped = memory.forming, memory.skipped

    def finished(self, bars: list[Bar], *, snapshot: bool) -> Iterator[Bar]:
        """``bars``, ascending, and between them the forming ones that they finish, once more as final.

        Of the bars in a snapshot only the last of each symbol can still be forming.
        """
        last = {bar.symbol: bar.start for bar in bars} if snapshot else {}
        for bar in bars:
            before = self._forming.pop(bar.symbol, None)
            if before is not None and before.start > bar.start:  # the past, told once more
                self._forming[bar.symbol] = before
                yield _final(bar)
                continue
            if before is not None and before.start < bar.start:
                yield _final(before)
            if last.get(bar.symbol, bar.start) > bar.start:
                yield _final(bar)
            else:
                self._forming[bar.symbol] = bar
                yield bar

    def _decode_other(self, frame: Frame, error: Exception) -> Iterable[Event]:
        """Answers, what nobody knows, and what has a flaw somewhere."""
        try:
            other = _read_other(frame.payload)
        except (ValueError, RecursionError) as broken:
            return (_malformed(frame, broken),)
        if other.channel in _KNOWN and not other.refusal:
            return self._decode_one_by_one(frame, other, error)
        said = other.says(frame)
        if said is None:
            self._skipped += other.method != "pong"
            return ()
        return (said,)

    def _decode_one_by_one(self, frame: Frame, other: _Other, error: Exception) -> Iterable[Event]:
        """A frame with a flaw: its good elements together, as ever, and a Malformed for each bad one."""
        wrap = _wrap_pairs if other.channel == "instrument" else _wrap_rows
        try:
            rows = _read_pairs(other.data).pairs if other.channel == "instrument" else _read_rows(other.data)
            _read(wrap(other, []))
        except (ValueError, RecursionError):
            return (_malformed(frame, error),)
        good: list[msgspec.Raw] = []
        bad: list[Event] = []
        trial = KrakenDecoder(self.depth)  # so that what fails half-way leaves no trace
        for row in rows:
            try:
                for _ in _read(wrap(other, [row])).events(frame, trial):
                    pass
                good.append(row)
            except (ValueError, RecursionError) as flaw:
                bad.append(_malformed(frame, flaw))
        return [*_read(wrap(other, good)).events(frame, self), *bad]


class _Memory(msgspec.Struct):
    """A decoder's state."""

    forming: dict[str, Bar]
    skipped: int


def _final(bar: Bar) -> Bar:
    return msgspec.structs.replace(bar, final=True)


def _malformed(frame: Frame, error: Exception) -> Malformed:
    return Malformed(frame, str(error), frame.ts_recv)


# -------------------------------------------------------------------------- the wire, as the venue spells it

_Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
_NotNegative: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Crc: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Minutes: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Kind: TypeAlias = Literal["snapshot", "update"]


class _Wire(msgspec.Struct, gc=False):
    """What every type here shares: gone before the next frame comes, so no work for the collector."""


# {"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,"ord_type":"limit","trade_id":109116693,
#  "timestamp":"2026-09-25T17:48:26.844359Z"}
class _Trade(_Wire, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: _Positive
    qty: _NotNegative
    trade_id: _Count
    timestamp: str


# {"channel":"trade","type":"update","data":[…]}
class _Trades(_Wire, gc=False, tag_field="channel", tag="trade"):
    type: _Kind
    data: list[_Trade]

    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        if self.type == "snapshot":
            self.data.sort(key=_trade_id)
        trades: list[Event] = []
        received = frame.ts_recv
        for row in self.data:  # a comprehension costs a quarter more for the usual single row
            trades.append(
                Trade(
                    row.symbol,
                    parse(row.timestamp),
                    received,
                    row.price,
                    row.qty,
                    _BUY if row.side == "buy" else _SELL,
                    str(row.trade_id),
                    "kraken",
                )
            )
        return trades


def _trade_id(row: _Trade) -> int:
    return row.trade_id


# looking a member up in its enumeration would cost more than making the trade
_BUY = Side.BUY
_SELL = Side.SELL


# {"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,"ask":83744.3,"ask_qty":0.00044780,"last":83744.3, …,
#  "timestamp":"2026-09-25T17:48:26.844359Z"}
class _Ticker(_Wire, gc=False):
    symbol: str
    bid: _NotNegative
    bid_qty: _NotNegative
    ask: _NotNegative
    ask_qty: _NotNegative
    timestamp: str | None = None  # the venue began to send it in 2025


# {"channel":"ticker","type":"update","data":[…]}
class _Tickers(_Wire, gc=False, tag_field="channel", tag="ticker"):
    type: _Kind
    data: list[_Ticker]

    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        quotes: list[Event] = []
        received = frame.ts_recv
        for row in self.data:
            bid: float | None = row.bid
            bid_size: float | None = row.bid_qty
            ask: float | None = row.ask
            ask_size: float | None = row.ask_qty
            if not (bid and bid_size):
                bid = bid_size = None
            if not (ask and ask_size):
                ask = ask_size = None
            stamp = parse(row.timestamp) if row.timestamp else 0  # 1970 is no stamp either
            quotes.append(
                Quote(row.symbol, stamp or received, received, bid, bid_size, ask, ask_size, "kraken")
            )
        return quotes


# {"price":78500.6,"qty":0.11555097}
class _Level(_Wire, gc=False):
    price: msgspec.Raw  # the text itself, as the checksum is taken over it
    qty: msgspec.Raw


# {"symbol":"BTC/USD","bids":[…],"asks":[…],"checksum":1888871690,"timestamp":"2026-08-26T11:55:57.950753Z"}
class _Book(_Wire, gc=False):
    symbol: str
    checksum: _Crc
    bids: list[_Level] = []
    asks: list[_Level] = []
    timestamp: str | None = None  # snapshots of 2023 and 2025 had none


# {"channel":"book","type":"update","data":[…]}
class _Books(_Wire, gc=False, tag_field="channel", tag="book"):
    type: _Kind
    data: list[_Book]

    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        updates: list[Event] = []
        received = frame.ts_recv
        for row in self.data:
            bids, bid_digits = _side(row.bids) if row.bids else _EMPTY
            asks, ask_digits = _side(row.asks) if row.asks else _EMPTY
            updates.append(
                OrderBookUpdate(
                    row.symbol,
                    parse(row.timestamp) if row.timestamp else received,
                    received,
                    bids,
                    asks,
                    self.type == "snapshot",
                    frame.epoch,
                    "kraken",
                    decoder.depth,
                    None,
                    row.checksum,
                    "crc32-top10",
                    bid_digits,
                    ask_digits,
                )
            )
        return updates


_Side: TypeAlias = tuple[tuple[Level, ...], tuple[str, ...]]
_EMPTY: _Side = ((), ())
_INFINITE = float("inf")


def _side(rows: list[_Level]) -> _Side:
    """One side's levels, and beside them their digits: without the point and without leading zeros.

    Raises ValueError for a number that is not plain decimal text, positive and finite (a size may be 0).
    """
    levels: list[Level] = []
    digits: list[str] = []
    for row in rows:
        price_text = str(row.price, "ascii")
        size_text = str(row.qty, "ascii")
        price = float(price_text)
        size = float(size_text)
        text = (price_text.lstrip("0.") + size_text.lstrip("0.")).replace(".", "")
        # a sign, an exponent or a quotation mark is no digit
        if not (price > 0.0 and price + size < _INFINITE and text.isdecimal()):
            raise ValueError(f"not a level: price {price_text}, qty {size_text}")
        levels.append((price, size))
        digits.append(text)
    return tuple(levels), tuple(digits)


# {"symbol":"BTC/USD","open":83729.5,"high":83745.2,"low":83729.4,"close":83744.3,"trades":33,
#  "volume":0.21155628,"vwap":83736.4,"interval_begin":"2026-09-25T17:48:00.000000000Z","interval":1, …}
class _Row(_Wire, gc=False):
    symbol: str
    open: _Positive
    high: _Positive
    low: _Positive
    close: _Positive
    vwap: _NotNegative
    volume: _NotNegative
    trades: _Count
    interval: _Minutes
    interval_begin: str


# {"channel":"ohlc","type":"update","timestamp":"2026-09-25T17:48:26.844359566Z","data":[…]}
class _Rows(_Wire, gc=False, tag_field="channel", tag="ohlc"):
    type: _Kind
    data: list[_Row]

    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        bars = [_bar(row, frame.ts_recv) for row in self.data]
        snapshot = self.type == "snapshot"
        if snapshot:
            bars.sort(key=_start)
        return list(decoder.finished(bars, snapshot=snapshot))


def _bar(row: _Row, received: int) -> Bar:
    start = parse(row.interval_begin)
    end = start + row.interval * 60 * SECOND
    value = row.vwap * row.volume
    if end > _LAST_STAMP or value == _INFINITE:
        raise ValueError(f"a bar beyond all bounds: it begins at {row.interval_begin} and traded {value}")
    return Bar(
        row.symbol,
        start,
        end,
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.trades,
        value,
        ts_recv=received,
        venue="kraken",
        final=False,
        interval=_INTERVALS.get(row.interval) or f"{row.interval}m",
    )


_LAST_STAMP = 2**63 - 1  # in 2262; what is remembered must stay encodable


def _start(bar: Bar) -> int:
    return bar.start


# {"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,
#  "price_precision":1, …,"price_increment":0.1,"qty_min":5e-05}
class _Pair(_Wire, gc=False):
    symbol: str
    base: str
    quote: str
    status: str
    price_precision: _Count
    price_increment: _NotNegative
    qty_precision: _Count
    qty_increment: _NotNegative
    qty_min: _NotNegative


class _Pairs(_Wire, gc=False):
    pairs: list[_Pair] = []


# {"channel":"instrument","type":"snapshot","data":{"assets":[…],"pairs":[…]}}
class _Instruments(_Wire, gc=False, tag_field="channel", tag="instrument"):
    type: _Kind
    data: _Pairs

    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        return [
            Instrument(
                pair.symbol,
                frame.ts_recv,
                pair.status,
                pair.price_precision,
                pair.qty_precision,
                pair.price_increment,
                pair.qty_increment,
                pair.qty_min,
                pair.base,
                pair.quote,
                "kraken",
            )
            for pair in self.data.pairs
        ]


# {"version":"2.0.10","system":"online","api_version":"v2","connection_id":17408390984690501469}
class _System(_Wire, gc=False):
    system: str


# {"channel":"status","type":"update","data":[…]}
class _Systems(_Wire, gc=False, tag_field="channel", tag="status"):
    data: list[_System]

    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        return [
            Status("venue", frame.ts_recv, each.system, "", "", frame.epoch, "kraken") for each in self.data
        ]


# {"channel":"heartbeat"}
class _Heartbeat(_Wire, gc=False, tag_field="channel", tag="heartbeat"):
    def events(self, frame: Frame, decoder: KrakenDecoder) -> Iterable[Event]:
        return ()


# {"channel":"book","depth":25,"snapshot":true,"symbol":"BTC/USD"}
class _Result(_Wire, gc=False):
    channel: str = ""
    symbol: str = ""
    depth: int | None = None
    warnings: list[str] = []


# {"method":"subscribe","req_id":1,"result":{…},"success":true,"time_in":"…","time_out":"…"}
# {"error":"Currency pair not supported NOPE/USD","method":"subscribe","req_id":1,"success":false,
#  "symbol":"NOPE/USD","time_in":"…","time_out":"…"}
# {"method":"pong","req_id":101,"time_in":"…","time_out":"…"}
# {"Error":"Exceeded msg rate"}
class _Other(_Wire, gc=False):
    """Any object: an answer, or the envelope of anything else."""

    channel: str = ""
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    method: str = ""
    req_id: int | None = None
    result: _Result | None = None
    success: bool | None = None
    error: str | None = None
    symbol: str | None = None
    throttled: str = msgspec.field(default="", name="Error")

    @property
    def refusal(self) -> str:
        """Why the venue said no; empty where it did not."""
        return self.error or ("no reason given" if self.success is False else "")

    def says(self, frame: Frame) -> Status | None:
        """What an answer says of a subscription, or of us; None for what is no answer."""
        stamp, epoch = frame.ts_recv, frame.epoch
        result = self.result or _Result()
        symbol = result.symbol or self.symbol or ""
        channel = result.channel or self.channel
        kind = _KINDS.get(channel, channel) or _NUMBERED.get((self.req_id or 0) // 100_000_000, "")
        if self.throttled:
            return Status("throttled", stamp, self.throttled, "", "", epoch, "kraken")
        if self.error == "Already subscribed":
            return Status("subscribed", stamp, self.error, symbol, kind, epoch, "kraken")
        if self.error == "Subscription Not Found":
            return Status("unsubscribed", stamp, self.error, symbol, kind, epoch, "kraken")
        if self.refusal:
            return Status("rejected", stamp, self.refusal, symbol, kind, epoch, "kraken")
        if self.method in ("subscribe", "unsubscribe"):
            symbol = symbol or ("*" if kind == "instruments" else "")
            text = "; ".join(result.warnings)
            state: State = "subscribed" if self.method == "subscribe" else "unsubscribed"
            return Status(state, stamp, text, symbol, kind, epoch, "kraken")
        return None


class _Named(_Wire, gc=False):
    symbol: str


# {"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD", …}]}
class _Arrival(_Wire, gc=False, tag_field="channel", tag="book"):
    type: _Kind
    data: list[_Named]


class _RawPairs(_Wire, gc=False):
    pairs: list[msgspec.Raw] = []


_Message: TypeAlias = _Books | _Trades | _Tickers | _Rows | _Instruments | _Systems | _Heartbeat
_KNOWN = frozenset((*_KINDS, "status", "heartbeat"))

_read: Callable[[bytes], _Message] = msgspec.json.Decoder(_Message).decode
_read_other = msgspec.json.Decoder(_Other).decode
_read_arrival = msgspec.json.Decoder(_Arrival).decode
_read_systems = msgspec.json.Decoder(list[_System]).decode
_read_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_pairs = msgspec.json.Decoder(_RawPairs).decode


def _wrap_rows(other: _Other, rows: list[msgspec.Raw]) -> bytes:
    """The frame that ``other`` came in, with these rows alone."""
    return msgspec.json.encode({"channel": other.channel, "type": other.type, "data": rows})


def _wrap_pairs(other: _Other, rows: list[msgspec.Raw]) -> bytes:
    """The same for instruments, whose data is an object."""
    return msgspec.json.encode({"channel": other.channel, "type": other.type, "data": {"pairs": rows}})
