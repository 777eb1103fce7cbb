"""Alpaca, market data over WebSocket: https://docs.alpaca.markets/docs/streaming-market-data

The venue's rules, by number where they are obeyed below:

1.  One address per feed, and in most plans one connection per address and user.
2.  The upgrade's ``Content-Type`` chooses JSON (text frames) or MessagePack (binary frames), both ways.
3.  The venue greets with ``connected``, wants ``auth`` within ten seconds and answers ``authenticated``.
    Whoever sends the key in the upgrade's headers gets there without ``auth``.
4.  The venue's every frame is an array of maps; ``success``, ``error`` and ``subscription`` travel alone in
    theirs, data is batched and mixed. What we say is one map, never an array.
5.  ``subscribe`` adds, ``unsubscribe`` takes away, the answer lists everything that is now subscribed.
    Requests have no numbers, so one is in flight at a time; the venue's own client sends no frame of more
    than 32 KiB, so many symbols leave in several.
6.  A refused request changes nothing, not even in part. Which errors are whose fault: see ``_error``.
7.  Nothing is replayed after a reconnect, and nothing numbers the messages.
8.  Stamps have up to nine decimals: RFC 3339 text, or MessagePack's timestamp extension.
9.  A plan may bound trades and quotes: each counts, per symbol. Bars, books and the rest are not counted.
    https://docs.alpaca.markets/docs/about-market-data-api

Stocks: https://docs.alpaca.markets/docs/real-time-stock-pricing-data

10. Corrections and cancels come unasked with the trades; a trade's id is unique per symbol, exchange and day.
11. Quote sizes are in round lots. A price or a size of 0 is no quote.
12. A bar carries the left edge of its stretch. An updated bar replaces the minute bar of the same edge; a
    daily bar grows, and is sent again each minute.
13. ``boats`` (Blue Ocean's system) and ``overnight`` (made of it) say the same messages, from 20:00 to 04:00
    in New York before a trading day, and are silent otherwise. ``overnight`` is indicative: its quotes are
    derived, its trades 15 minutes late and moved into the spread. https://docs.alpaca.markets/docs/245-trading

Crypto: https://docs.alpaca.markets/docs/real-time-crypto-pricing-data

14. ``tks`` is the taker's side. Sizes are coins.
15. An order book comes whole (``r`` is true) after subscribing, and again whenever the venue likes; in
    between come absolute sizes, 0 removing the level. No gap can be seen, so a new subscription is the only
    resync.

Options: https://docs.alpaca.markets/docs/real-time-option-data

16. MessagePack only, trades and quotes only. Symbols are contracts (``AAPL240315C00172500``), sizes are of
    contracts. A condition is one letter, not a list; a trade has no id.
17. There is no ``*`` for the quotes of options, and a plan has at most 200 of them (``indicative``, which is
    delayed and derived) or 1000 (``opra``). Trades are not counted.

News: https://docs.alpaca.markets/docs/streaming-real-time-news

18. An article names all its symbols, or none: coins without the slash. It is told once, however many of them
    are subscribed; ``*`` is all articles. It may come again, put right, with a later ``updated_at``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypeAlias, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.msgpack import Ext

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Imbalance,
    Malformed,
    News,
    OrderBookUpdate,
    PriceBands,
    Quote,
    Side,
    State,
    Status,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
)
from rtflow.provider import (
    Decoder,
    Profile,
    Refused,
    Request,
    Send,
    Session,
    Subscription,
    Topic,
    Traffic,
    check_kinds,
    denied,
)
from rtflow.streams import Streams
from rtflow.time import SECOND, from_datetime, parse, to_datetime

_PATHS = {  # rule 1
    "iex": "v2/iex",
    "sip": "v2/sip",
    "delayed_sip": "v2/delayed_sip",
    "test": "v2/test",
    "boats": "v1beta1/boats",
    "overnight": "v1beta1/overnight",
    "crypto/us": "v1beta3/crypto/us",
    "crypto/us-1": "v1beta3/crypto/us-1",
    "crypto/eu-1": "v1beta3/crypto/eu-1",
    "indicative": "v1beta1/indicative",
    "opra": "v1beta1/opra",
    "news": "v1beta1/news",
}
_OPTION_QUOTES = {"indicative": 200, "opra": 1000}  # rule 17


class Alpaca(Streams):
    """Alpaca's stocks, crypto, options or news: one feed of them.

    ``feed`` is ``iex`` (free), ``sip``, ``delayed_sip``, ``boats``, ``overnight`` or ``test`` for stocks,
    ``crypto/us``, ``crypto/us-1`` or ``crypto/eu-1``, ``indicative`` (free) or ``opra`` for options, or
    ``news``; what can be subscribed follows from it, see ``kinds``. ``url`` replaces the whole address (the
    sandbox's, a twin's). ``encoding`` is ``json`` or ``msgpack``; options have only the latter.
    ``auth="headers"`` sends the key with the upgrade instead of in a message of its own. An OAuth token goes
    in as key ``"oauth"``, a broker's access token as key ``"access_token"``, the token as the secret.
    Stock quotes come in lots of ``lot`` shares, and leave in shares.

    ``symbol_limit`` is what your plan allows: 30 on the free one. To ask for more trades and quotes, each
    counted per symbol, is refused here before the venue refuses it. Options' quotes are limited anyway.

        >>> alpaca = Alpaca("PK…", "…", feed="crypto/us")
        >>> alpaca.request(Subscription.of(trades=["BTC/USD"]))
        Request('wss://stream.data.alpaca.markets/v1beta3/crypto/us')
        >>> frame = Frame(FrameKind.TEXT, b'[{"T":"t","S":"BTC/USD","p":71859.5,"s":0.001,'
        ...     b'"t":"2024-03-12T10:27:49Z","i":3447222699101865077,"tks":"B"}]', ts_recv=1)
        >>> [(trade.symbol, trade.price, trade.side.name) for trade in alpaca.decoder().decode(frame)]
        [('BTC/USD', 71859.5, 'BUY')]

    Raises Unsupported for a feed or an encoding of it that Alpaca does not have, ValueError for a key or a
    secret that is missing and for any other argument it cannot use.
    """

    name = "alpaca"
    profile = Profile(
        title="Alpaca",
        documents="https://docs.alpaca.markets/docs/streaming-market-data",
        markets="US stocks, US options, crypto, news",
        encoding="JSON or MessagePack; options MessagePack only",
        auth="key and secret, in a message or in headers",
        kinds=(
            "trades",
            "quotes",
            "books",
            "bars",
            "updated_bars",
            "daily_bars",
            "statuses",
            "lulds",
            "imbalances",
            "news",
        ),
        depth="all levels, crypto only",
        sequence="–",
        checksum="–",
        heartbeat="–",
        limits="1 connection per feed; free: 30 symbols, 200 option quotes; paid: 1000 option quotes",
    )

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        feed: str = "iex",
        url: str | None = None,
        encoding: Literal["json", "msgpack"] | None = None,
        auth: Literal["message", "headers"] = "message",
        lot: float = 100.0,
        symbol_limit: int | None = None,
    ) -> None:
        if not (key and key.strip() and secret and secret.strip()):
            raise ValueError(
                "alpaca needs a key and its secret: make them at https://app.alpaca.markets and give both, "
                "as in Alpaca(key, secret)"
            )
        if feed not in _PATHS:
            raise Unsupported(f"{self.name} has no feed {feed!r}; it offers {', '.join(_PATHS)}")
        options = feed in _OPTION_QUOTES
        encoding = encoding or ("msgpack" if options else "json")
        if encoding not in _ENCODERS:
            raise ValueError(f"encoding is json or msgpack, not {encoding!r}")
        if options and encoding != "msgpack":
            raise Unsupported(f"{self.name} sends options as msgpack only, not as {encoding}")  # rule 16
        if auth not in ("message", "headers"):
            raise ValueError(f"auth is message or headers, not {auth!r}")
        if not 0 < lot <= _LARGEST:
            raise ValueError(f"a lot is a number of shares, not {lot!r}")
        if symbol_limit is not None and symbol_limit < 1:
            raise ValueError(f"a plan allows one symbol or more, not {symbol_limit!r}")
        self.feed = feed
        self.url = f"wss://stream.data.alpaca.markets/{_PATHS[feed]}" if url is None else url
        if not self.url.startswith(("ws://", "wss://")):
            raise ValueError(f"url is a WebSocket's address, ws://… or wss://…, not {url!r}")
        self._asset = _ASSETS.get(feed.partition("/")[0], _STOCKS)
        self._encoding = encoding
        self._by_headers = auth == "headers"
        self._key = key
        self._secret = secret
        self._lot = lot
        self._symbol_limit = symbol_limit

    def __repr__(self) -> str:
        return f"Alpaca(feed={self.feed!r})"

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of data that the feed has."""
        return self._asset.kinds

    def request(self, subscription: Subscription) -> Request:
        """The feed's address, its encoding (rule 2) and, if so asked, the key (rule 3) in the headers.

        Raises Unsupported for a kind that the feed lacks, for more trades and quotes than ``symbol_limit``
        (rule 9), and for ``*`` or too many among the quotes of options (rule 17).
        """
        check_kinds(self, subscription)
        self._check_limits(subscription)
        headers = {"Content-Type": f"application/{self._encoding}"}
        if self._by_headers:
            headers |= {"APCA-API-KEY-ID": self._key, "APCA-API-SECRET-KEY": self._secret}
        return Request(self.url, headers)

    def _check_limits(self, subscription: Subscription) -> None:
        options = self.feed in _OPTION_QUOTES
        counted = [
            symbol
            for kind, symbol in subscription.topics
            if kind == "quotes" or (kind == "trades" and not options)
        ]
        if options and "*" in counted:
            raise Unsupported(f"{self.name} has no '*' for the quotes of options; name the contracts")
        limit = self._symbol_limit or _OPTION_QUOTES.get(self.feed)
        if limit is None or (len(counted) <= limit and "*" not in counted):
            return
        wanted = "all of them" if "*" in counted else str(len(counted))
        what = "quotes of options" if options else "trades and quotes together"
        raise Unsupported(
            f"{self.name}'s plan allows {limit} {what} on {self.feed}, and not {wanted}; "
            "if yours allows more, say so by symbol_limit="
        )

    def session(self, subscription: Subscription) -> Session:
        """A conversation that authenticates, then subscribes what is wanted, one request at a time."""
        write = _ENCODERS[self._encoding]
        authentication = write({"action": "auth", "key": self._key, "secret": self._secret})
        return _Conversation(subscription.topics, self._asset, write, authentication, self._by_headers)

    def decoder(self) -> Decoder:
        """A reader of the feed's frames, whichever encoding they are in."""
        return _Reader(self._asset, self._lot)


_Answer: TypeAlias = Send | Refused | RtflowError

_PATIENCE = 10 * SECOND  # rule 3; and as much for the answer to a request
_AT_ONCE = 0  # a deadline of which we know only that it begins now: the first wake() tells when now is
_CHUNK = 1000  # topics a request: a contract's symbol takes 24 bytes of it, rule 5
_STAR_QUOTES: frozenset[Topic] = frozenset({("quotes", "*")})
_ADVICE = {
    402: ": check key and secret",
    409: ": your plan does not cover this feed",
    411: ": your token does not cover market data",
}
_RETRY_AFTER = 1.0  # seconds; a place that a dead connection of ours holds is not free at once


class _Conversation(Session):
    """What the venue serves, and the one request that is to bring it closer to what is wanted."""

    def __init__(
        self,
        wanted: frozenset[Topic],
        asset: _Asset,
        write: Callable[[object], Send],
        authentication: Send,
        by_headers: bool,
    ) -> None:
        self._wanted = wanted
        self._served: frozenset[Topic] = frozenset()  # as of the last acknowledgement
        self._asked: _Change | None = None  # in flight
        self._suspects: list[frozenset[Topic]] = []  # parts of a request that was refused for some part of it
        self._stale: frozenset[Topic] = frozenset()  # served, but to be unsubscribed and subscribed anew
        self._asset = asset
        self._write = write
        self._authentication = authentication
        self._by_headers = by_headers
        self._authenticated = False
        self._acknowledged = False  # at least once
        self._forgotten = False  # authenticated, and then told that we are not
        self._answer_by: int | None = None

    def started(self, now: int) -> None:
        self._answer_by = now + _PATIENCE

    def opened(self) -> Iterable[Send]:
        return ()  # rule 3: the venue speaks first

    def classify(self, payload: bytes) -> Traffic:
        # Rule 4. Types of data are one letter long, those of control messages are words.
        if payload[:7] == b'[{"T":"':
            return _DATA if payload[8:9] == b'"' else _CONTROL
        if payload[2:4] == b"\xa1T":  # an array of up to fifteen, a map, the text "T"
            return _DATA if payload[4:5] == b"\xa1" else _CONTROL
        if payload[:1] == b"\xdc" and payload[4:7] == b"\xa1T\xa1":  # an array of many
            return _DATA
        return self._looked_into(payload)

    def received(self, frame: Frame) -> Iterable[_Answer]:
        encoding = self._asset.binary if frame.kind is _BINARY else self._asset.text
        try:
            messages = [encoding.read_control(element) for element in encoding.split(frame.payload)]
        except _BROKEN:
            return ()  # the decoder reads the same frame and says so
        return [answer for message in messages for answer in self._heard(message, frame.ts_recv)]

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        self._wanted = (self._wanted | added.topics) - removed.topics
        return self._next(None)

    def denied(self, status: int, text: str) -> RtflowError:
        error = denied(status, text)
        return Rejected(f"{error}{_ADVICE[402]}", code=status) if status in (401, 403) else error

    def resync(self, symbol: str) -> Iterable[Send]:
        explicit: Topic = ("books", symbol)
        topic = explicit if explicit in self._wanted else ("books", "*")
        self._stale |= {topic} & self._wanted & self._served  # one not yet served comes whole anyway, rule 15
        return self._next(None)

    def due(self) -> int | None:
        return self._answer_by

    def wake(self, now: int) -> Iterable[Send | RtflowError]:
        if self._answer_by is None or now < self._answer_by:
            return ()
        if self._answer_by == _AT_ONCE:
            self._answer_by = now + _PATIENCE
            return ()
        self._answer_by = None
        request = self._asked.action if self._asked else "auth"
        return (Disconnected(f"no answer to {request} within {_PATIENCE // SECOND} s"),)

    def _looked_into(self, payload: bytes) -> Traffic:
        """What traffic a frame is that begins as no other does; one that nobody can read delivers nothing."""
        encoding = self._asset.text if payload[:1] < b"\x80" else self._asset.binary
        try:
            kinds = [encoding.read_head(element).T for element in encoding.split(payload)]
        except _BROKEN:
            return _CONTROL
        return _DATA if any(len(kind) == 1 for kind in kinds) else _CONTROL

    def _heard(self, message: _Control, now: int) -> Iterable[_Answer]:
        if isinstance(message, _Subscriptions):
            return self._acknowledgement(message.topics(), now)
        if isinstance(message, _Error):
            return self._error(message, now)
        if message.msg == "authenticated":
            return self._admitted(now)
        if message.msg == "connected" and not self._by_headers:
            return (self._authentication,)
        return ()

    def _admitted(self, now: int) -> Iterable[Send]:
        if self._authenticated:
            return ()
        self._authenticated = True
        self._answer_by = None
        return self._next(now)

    def _acknowledgement(self, served: frozenset[Topic], now: int) -> Iterator[_Answer]:
        """Rule 5. The order within the lists means nothing, and a list that is left out is empty."""
        asked, self._asked, self._answer_by = self._asked, None, None
        self._acknowledged = True
        self._served = served | {topic for topic in self._wanted if (topic[0], "*") in served}
        if asked is not None and asked.action == "unsubscribe":
            self._served -= asked.topics
        elif asked is not None:
            left_out = (asked.topics & self._wanted) - self._served
            if left_out:
                self._wanted -= left_out
                yield Refused(tuple(sorted(left_out)), "left out of the acknowledgement")
        yield from self._next(now)

    def _error(self, error: _Error, now: int) -> Iterator[_Answer]:
        """Rule 6. Codes decide; the texts have changed before."""
        code, reason = error.code, f"{error.code} {error.msg}"
        match code:
            case 402 | 408 | 409 | 411 | 412:  # key, account, plan, scope, encoding: what we are
                yield Rejected(reason + _ADVICE.get(code, ""), code=code)
            case 410 if not self._acknowledged:  # a kind this address does not have: a wrong feed
                yield Rejected(reason, code=code)
            case 400 | 405 | 410 | 413:  # syntax, plan limit, kind, wildcard: what we asked
                yield from self._declined(reason, code, now)
            case 401 if not self._forgotten:  # not authenticated
                self._forgotten = True
                self._authenticated = False
                self._asked = None
                self._answer_by = now + _PATIENCE
                yield self._authentication
            case 403:  # already authenticated
                yield from self._admitted(now)
            case 406 | 429:  # rule 1: another connection has our place, or our last one still does
                yield Throttled(reason, retry_after=_RETRY_AFTER)
            case 407:
                yield Disconnected(f"{reason}: we read slower than the venue sends, and its buffer is full")
            case _:  # 404 authenticated too late, 500 the venue's own, and what nobody has documented
                yield Disconnected(reason)

    def _declined(self, reason: str, code: int, now: int) -> Iterator[_Answer]:
        """The request in flight was refused as a whole."""
        asked, self._asked = self._asked, None
        if asked is None:
            if not self._authenticated:  # it was the authentication
                yield Rejected(reason + _ADVICE[402], code=code)
            return
        self._answer_by = None
        if asked.action == "unsubscribe":
            self._served -= asked.topics  # it may go on coming; we have no other way to ask
        elif code == 400 and len(asked.topics) > 1:  # some symbol is misspelt: halve until it stands alone
            topics = sorted(asked.topics)
            middle = len(topics) // 2
            self._suspects += [frozenset(topics[middle:]), frozenset(topics[:middle])]
        else:
            refused = asked.topics & _STAR_QUOTES if code == 413 else asked.topics  # rule 17
            self._wanted -= refused or asked.topics
            yield Refused(tuple(sorted(refused or asked.topics)), reason)
        yield from self._next(now)

    def _next(self, now: int | None) -> Iterable[Send]:
        """The next request, if one is needed and none is in flight; what frees places goes first."""
        if self._asked is None and self._authenticated:
            self._stale &= self._served
            gone = self._served - (self._wanted - self._stale)
            if gone:
                return self._ask("unsubscribe", gone, now)
            missing = self._wanted - self._served
            while self._suspects:
                suspects = self._suspects.pop() & missing
                if suspects:
                    return self._ask("subscribe", suspects, now)
            if missing:
                return self._ask("subscribe", missing, now)
        return ()

    def _ask(self, action: _Action, topics: frozenset[Topic], now: int | None) -> Iterable[Send]:
        first = sorted(topics)[:_CHUNK]  # rule 5; the rest follows the answer
        self._asked = _Change(action, frozenset(first))
        self._answer_by = _AT_ONCE if now is None else now + _PATIENCE
        request: dict[str, Any] = {"action": action}
        for kind, symbol in first:
            request.setdefault(_CHANNELS.get(kind, kind), []).append(symbol)
        return (self._write(request),)


_Action: TypeAlias = Literal["subscribe", "unsubscribe"]


class _Change(NamedTuple):
    """A request to the venue."""

    action: _Action
    topics: frozenset[Topic]


class _Reader:
    """Frames of one asset class to events. Remembers only what is subscribed, to say what changed."""

    def __init__(self, asset: _Asset, lot: float) -> None:
        self.skipped = 0
        self._asset = asset
        self._lot = lot
        self._text = (asset.text.read, asset.text.stamp)
        self._binary = (asset.binary.read, asset.binary.stamp)
        self._subscribed: frozenset[Topic] = frozenset()

    def decode(self, frame: Frame) -> Iterable[Event]:
        read, stamp = self._binary if frame.kind is _BINARY else self._text
        lot = self._lot
        events: list[Event] = []
        try:
            for message in read(frame.payload):  # a comprehension would slow down the one message
                events.append(message.event(frame, stamp, lot))
        except _BROKEN:  # not data, or some of it not whole
            return tuple(self._one_by_one(frame))
        return events

    def state(self) -> object:
        return _Known(tuple(sorted(self._subscribed)), self.skipped)

    def restore(self, state: object) -> None:
        known = msgspec.convert(state, _Known)
        self._subscribed, self.skipped = frozenset(known.subscribed), known.skipped

    def _one_by_one(self, frame: Frame) -> Iterator[Event]:
        encoding = self._asset.binary if frame.kind is _BINARY else self._asset.text
        try:
            elements = encoding.split(frame.payload)
        except _BROKEN as error:
            yield Malformed(frame, str(error), frame.ts_recv)
            return
        for position, element in enumerate(elements):
            try:
                kind = encoding.read_head(element).T
                if kind in self._asset.types:
                    yield encoding.read_data(element).event(frame, encoding.stamp, self._lot)
                elif kind in _CONTROL_TYPES:
                    yield from self._statuses(frame, encoding.read_control(element))
                else:
                    self.skipped += 1
            except _BROKEN as error:
                yield Malformed(frame, f"element {position}: {error}", frame.ts_recv)

    def _statuses(self, frame: Frame, message: _Control) -> Iterable[Status]:
        """What a control message says: of the connection, or of each topic that came or went."""
        if not isinstance(message, _Subscriptions):
            return (Status(message.state, frame.ts_recv, message.text, epoch=frame.epoch, venue=_VENUE),)
        before, self._subscribed = self._subscribed, message.topics()
        changes: tuple[tuple[State, frozenset[Topic]], ...] = (
            ("unsubscribed", before - self._subscribed),
            ("subscribed", self._subscribed - before),
        )
        return [
            Status(state, frame.ts_recv, "", symbol, kind, frame.epoch, _VENUE)
            for state, topics in changes
            for kind, symbol in sorted(topics)
        ]


class _Known(Struct):
    """What a decoder knows."""

    subscribed: tuple[Topic, ...]
    skipped: int


# The wire types. Keys without a name here are not read; where a list is empty the venue may also write null.

_LETTERS = {  # of the venue, which tells upper from lower case
    "symbol": "S",
    "at": "t",
    "id": "i",
    "exchange": "x",
    "price": "p",
    "size": "s",
    "conditions": "c",  # a list
    "condition": "c",  # a text, of options
    "tape": "z",
    "taker_side": "tks",
    "bid": "bp",
    "bid_size": "bs",
    "bid_exchange": "bx",
    "ask": "ap",
    "ask_size": "as",
    "ask_exchange": "ax",
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "count": "n",
    "average": "vw",  # weighted by volume
    "original_id": "oi",
    "original_price": "op",
    "original_size": "os",
    "original_conditions": "oc",
    "corrected_id": "ci",
    "corrected_price": "cp",
    "corrected_size": "cs",
    "corrected_conditions": "cc",
    "action": "a",
    "limit_up": "u",
    "limit_down": "d",
    "indicator": "i",
    "code": "sc",
    "text": "sm",
    "reason_code": "rc",
    "reason": "rm",
    "bids": "b",
    "asks": "a",
    "whole": "r",
}

_VENUE = Alpaca.name
_LARGEST = 1e150  # beyond any number of a market's, and the product of two is still finite
_Amount: TypeAlias = Annotated[float, Meta(ge=0.0, le=_LARGEST)]  # neither negative nor infinite nor NaN
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Conditions: TypeAlias = tuple[str, ...] | None
_Symbols: TypeAlias = tuple[str, ...] | None
_Instant: TypeAlias = str | Ext
_Stamp: TypeAlias = Callable[[Any], int]  # an _Instant, to nanoseconds


class _Data(Protocol):
    """A message that is one event of the market."""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Event: ...


class _Message(Struct, gc=False, tag_field="T", rename=_LETTERS):
    """A message of the market. What comes most often has its fields in the order of the wire, for speed."""


class _StockTrade(_Message, tag="t", kw_only=True):
    """``{"T":"t","S":"AAPL","i":628,"x":"K","p":162.92,"s":3,"c":["@","F","T","I"],"z":"C",
    "t":"2023-04-06T11:54:26.838232225Z"}``"""

    symbol: str
    id: int
    exchange: str
    price: _Amount
    size: _Amount
    conditions: _Conditions = ()
    tape: str = ""
    at: _Instant

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Trade:
        return Trade(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size,
            _UNKNOWN,
            f"{self.exchange}:{self.id}",  # rule 10
            _VENUE,
            self.exchange,
            self.conditions or (),
            self.tape,
        )


class _StockQuote(_Message, tag="q", kw_only=True):
    """``{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,
    "t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"}``"""

    symbol: str
    bid_exchange: str = ""
    bid: _Amount
    bid_size: _Amount
    ask_exchange: str = ""
    ask: _Amount
    ask_size: _Amount
    at: _Instant
    conditions: _Conditions = ()
    tape: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Quote:
        has_bid, has_ask = self.bid and self.bid_size, self.ask and self.ask_size  # rule 11
        return Quote(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.bid if has_bid else None,
            self.bid_size * lot if has_bid else None,
            self.ask if has_ask else None,
            self.ask_size * lot if has_ask else None,
            _VENUE,
            self.bid_exchange,
            self.ask_exchange,
            self.conditions or (),
            self.tape,
            lot,
        )


class _TradeCorrection(_Message, tag="c"):
    """``{"T":"c","S":"EEM","x":"M","oi":52983525033527,"op":39.1582,"os":440000,"oc":[" ","7"],
    "ci":52983525034326,"cp":39.1809,"cs":440000,"cc":[" ","7"],"z":"B",
    "t":"2023-04-06T14:25:06.542305024Z"}``"""

    symbol: str
    exchange: str
    original_id: int
    original_price: _Amount
    original_size: _Amount
    corrected_id: int
    corrected_price: _Amount
    corrected_size: _Amount
    at: _Instant
    original_conditions: _Conditions = ()
    corrected_conditions: _Conditions = ()
    tape: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> TradeCorrection:
        return TradeCorrection(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            f"{self.exchange}:{self.original_id}",
            self.original_price,
            self.original_size,
            f"{self.exchange}:{self.corrected_id}",
            self.corrected_price,
            self.corrected_size,
            _VENUE,
            self.exchange,
            self.corrected_conditions or (),
            self.tape,
            self.original_conditions or (),
        )


class _TradeCancel(_Message, tag="x"):
    """``{"T":"x","S":"GOOGL","i":465,"x":"D","p":105.31,"s":300,"a":"C","z":"C",
    "t":"2023-04-06T13:15:42.83540958Z"}``; ``a`` is C for a cancel, E for an error, and not only those."""

    symbol: str
    id: int
    exchange: str
    price: _Amount
    size: _Amount
    at: _Instant
    action: str = ""
    tape: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> TradeCancel:
        return TradeCancel(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            f"{self.exchange}:{self.id}",
            self.price,
            self.size,
            _VENUE,
            self.exchange,
            self.action,
            self.tape,
        )


class _PriceBands(_Message, tag="l"):
    """``{"T":"l","S":"IONM","u":3.24,"d":2.65,"i":"B","t":"2023-04-06T13:34:45.565004401Z","z":"C"}``"""

    symbol: str
    limit_up: _Amount
    limit_down: _Amount
    at: _Instant
    indicator: str = ""
    tape: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> PriceBands:
        return PriceBands(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.limit_up or None,
            self.limit_down or None,
            self.indicator,
            _VENUE,
            self.tape,
        )


class _TradingStatus(_Message, tag="s"):
    """``{"T":"s","S":"AAPL","sc":"H","sm":"Trading Halt","rc":"T12",
    "rm":"Trading Halted; For information requested by NASDAQ","t":"2021-02-22T19:15:00Z","z":"C"}``"""

    symbol: str
    code: str
    at: _Instant
    text: str = ""
    reason_code: str = ""
    reason: str = ""
    tape: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> TradingStatus:
        return TradingStatus(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.code,
            self.text,
            self.reason_code,
            self.reason,
            _VENUE,
            self.tape,
        )


class _Imbalance(_Message, tag="i"):
    """``{"T":"i","S":"INAQU","p":9.12,"z":"C","t":"2024-12-13T19:58:09.242138635Z"}``"""

    symbol: str
    price: _Amount
    at: _Instant
    tape: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Imbalance:
        return Imbalance(self.symbol, stamp(self.at), frame.ts_recv, self.price, _VENUE, self.tape)


class _Bar(_Message):
    """What the three bars share, for stocks and crypto."""

    symbol: str
    open: _Amount
    high: _Amount
    low: _Amount
    close: _Amount
    volume: _Amount
    at: _Instant
    count: _Count = 0
    average: _Amount | None = None

    def bar(self, start: int, end: int, ts_recv: int, interval: str, final: bool, revision: int) -> Bar:
        average = self.close if self.average is None else self.average  # the oldest bars have none
        return Bar(
            self.symbol,
            start,
            end,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.count,
            average * self.volume,
            ts_recv=ts_recv,
            venue=_VENUE,
            final=final,
            revision=revision,
            interval=interval,
        )


class _MinuteBar(_Bar, tag="b"):
    """``{"T":"b","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":49378,"n":461,"vw":389.062639,
    "t":"2021-02-22T19:15:00Z"}``"""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Bar:
        start = stamp(self.at)
        return self.bar(start, start + _MINUTE, frame.ts_recv, "1m", True, 0)


class _UpdatedBar(_Bar, tag="u"):
    """``{"T":"u","S":"TEST","o":100,"h":101.2,"l":98.67,"c":101.3,"v":2570,"t":"2021-03-05T16:00:00Z","n":1235,
    "vw":100.123457}``; half a minute after the bar that it replaces whole, rule 12."""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Bar:
        start = stamp(self.at)
        return self.bar(start, start + _MINUTE, frame.ts_recv, "1m:updated", True, 1)


class _DailyBar(_Bar, tag="d"):
    """``{"T":"d","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":749378,
    "t":"2021-02-16T05:00:00Z"}``; the day so far, rule 12."""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Bar:
        start = stamp(self.at)
        return self.bar(start, _a_day_after(start), frame.ts_recv, "1d", False, 0)


class _CryptoTrade(_Message, tag="t"):
    """``{"T":"t","S":"AVAX/USD","p":47.299,"s":29.205707815,"t":"2024-03-12T10:27:48.858228144Z",
    "i":3447222699101865076,"tks":"S"}``"""

    symbol: str
    price: _Amount
    size: _Amount
    at: _Instant
    id: int
    taker_side: str = ""
    exchange: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Trade:
        return Trade(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size,
            _SIDES.get(self.taker_side, _UNKNOWN),  # rule 14
            str(self.id),
            _VENUE,
            self.exchange,
        )


class _CryptoQuote(_Message, tag="q"):
    """``{"T":"q","S":"BAT/USD","bp":0.35718,"bs":13445.46,"ap":0.3581,"as":13561.902,
    "t":"2024-03-12T10:29:43.111588173Z"}``"""

    symbol: str
    bid: _Amount
    bid_size: _Amount
    ask: _Amount
    ask_size: _Amount
    at: _Instant
    exchange: str = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Quote:
        has_bid, has_ask = self.bid and self.bid_size, self.ask and self.ask_size
        return Quote(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.bid if has_bid else None,
            self.bid_size if has_bid else None,
            self.ask if has_ask else None,
            self.ask_size if has_ask else None,
            _VENUE,
            self.exchange,
            self.exchange,
        )


class _OptionTrade(_Message, tag="t"):
    """``{"T":"t","S":"AAPL240315C00172500","t":"2024-03-11T13:35:35.13312256Z","p":2.84,"s":1,"x":"N",
    "c":"S"}``"""

    symbol: str
    price: _Amount
    size: _Amount
    at: _Instant
    exchange: str = ""
    condition: str | None = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Trade:
        return Trade(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size,
            _UNKNOWN,
            "",  # rule 16
            _VENUE,
            self.exchange,
            (self.condition,) if self.condition else (),
        )


class _OptionQuote(_Message, tag="q"):
    """``{"T":"q","S":"SPXW240327P04925000","t":"2024-03-12T11:59:38.897261568Z","bx":"C","bp":9.46,"bs":53,
    "ax":"C","ap":9.66,"as":38,"c":"A"}``"""

    symbol: str
    bid: _Amount
    bid_size: _Amount
    ask: _Amount
    ask_size: _Amount
    at: _Instant
    bid_exchange: str = ""
    ask_exchange: str = ""
    condition: str | None = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> Quote:
        has_bid, has_ask = self.bid and self.bid_size, self.ask and self.ask_size  # rule 11
        return Quote(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            self.bid if has_bid else None,
            self.bid_size if has_bid else None,
            self.ask if has_ask else None,
            self.ask_size if has_ask else None,
            _VENUE,
            self.bid_exchange,
            self.ask_exchange,
            (self.condition,) if self.condition else (),
        )


_Text: TypeAlias = str | None


class _Article(_Message, tag="n", rename={"at": "updated_at", "created": "created_at"}):
    """``{"T":"n","id":24918784,"headline":"Corsair Reports Purchase Of Majority Ownership In iDisplay, …",
    "summary":"…","author":"Benzinga Newsdesk","created_at":"2022-01-05T22:00:37Z",
    "updated_at":"2022-01-05T22:00:38Z","url":"https://www.benzinga.com/…","content":"…","symbols":["CRSR"],
    "source":"benzinga"}``; rule 18."""

    id: int
    headline: str
    at: _Instant
    created: _Instant
    symbols: _Symbols = ()
    summary: _Text = ""
    content: _Text = ""
    author: _Text = ""
    url: _Text = ""
    source: _Text = ""

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> News:
        return News(
            self.symbols or (),
            stamp(self.at),
            frame.ts_recv,
            str(self.id),
            self.headline,
            self.summary or "",
            self.content or "",
            self.author or "",
            self.url or "",
            self.source or "",
            stamp(self.created),
            _VENUE,
        )


class _Level(Struct, gc=False, rename=_LETTERS):
    """``{"p":71859.53,"s":0.27994}``"""

    price: _Amount
    size: _Amount


class _OrderBook(_Message, tag="o"):
    """``{"T":"o","S":"BTC/USD","t":"2024-03-12T10:38:50.79613221Z","b":[{"p":71859.53,"s":0.27994}],
    "a":[{"p":71939.7,"s":0.83953}],"r":true}``; an update has no ``r``, rule 15."""

    symbol: str
    at: _Instant
    bids: tuple[_Level, ...] | None = ()
    asks: tuple[_Level, ...] | None = ()
    whole: bool | None = False

    def event(self, frame: Frame, stamp: _Stamp, lot: float) -> OrderBookUpdate:
        return OrderBookUpdate(
            self.symbol,
            stamp(self.at),
            frame.ts_recv,
            tuple([(level.price, level.size) for level in self.bids or ()]),
            tuple([(level.price, level.size) for level in self.asks or ()]),
            bool(self.whole),
            frame.epoch,
            _VENUE,
        )


class _Said(Struct, gc=False, tag_field="T"):
    """A message of the venue about the connection."""


class _Success(_Said, tag="success"):
    """``{"T":"success","msg":"connected"}``, and ``authenticated``."""

    msg: str = ""

    @property
    def state(self) -> State:
        return "authenticated" if self.msg == "authenticated" else "venue"

    @property
    def text(self) -> str:
        return self.msg


class _Error(_Said, tag="error"):
    """``{"T":"error","code":406,"msg":"connection limit exceeded"}``"""

    code: int
    msg: str = ""

    @property
    def state(self) -> State:
        match self.code:
            case 406 | 429:
                return "throttled"
            case 400 | 401 | 402 | 405 | 408 | 409 | 410 | 411 | 412 | 413:
                return "rejected"
            case _:
                return "venue"

    @property
    def text(self) -> str:
        return f"{self.code} {self.msg}"


_CHANNELS = {"books": "orderbooks", "updated_bars": "updatedBars", "daily_bars": "dailyBars"}  # else the kind


class _Subscriptions(_Said, tag="subscription", rename=_CHANNELS):
    """``{"T":"subscription","trades":["AAPL"],"quotes":["AMD","CLDR"],"bars":["*"],"updatedBars":[],
    "dailyBars":[],"statuses":[],"lulds":[],"corrections":["AAPL"],"cancelErrors":["AAPL"]}``; the last two
    mirror the trades and cannot be asked for, rule 10."""

    trades: _Symbols = ()
    quotes: _Symbols = ()
    books: _Symbols = ()
    bars: _Symbols = ()
    updated_bars: _Symbols = ()
    daily_bars: _Symbols = ()
    statuses: _Symbols = ()
    lulds: _Symbols = ()
    imbalances: _Symbols = ()
    news: _Symbols = ()

    def topics(self) -> frozenset[Topic]:
        return frozenset(
            (kind, symbol) for kind in self.__struct_fields__ for symbol in getattr(self, kind) or ()
        )


class _Head(Struct, gc=False):
    """The one key that every message has."""

    T: str


_Stock: TypeAlias = (
    _StockTrade
    | _StockQuote
    | _MinuteBar
    | _UpdatedBar
    | _DailyBar
    | _TradeCorrection
    | _TradeCancel
    | _PriceBands
    | _TradingStatus
    | _Imbalance
)
_Crypto: TypeAlias = _CryptoTrade | _CryptoQuote | _OrderBook | _MinuteBar | _UpdatedBar | _DailyBar
_Option: TypeAlias = _OptionTrade | _OptionQuote
_Control: TypeAlias = _Success | _Error | _Subscriptions


def _instant(text: str | Ext) -> int:
    """The stamp in a MessagePack frame, all nine digits of it (rule 8).

    See "Timestamp extension type", https://github.com/msgpack/msgpack/blob/master/spec.md; a ``datetime``
    would keep six.
    """
    if not isinstance(text, Ext):
        return parse(text)
    data: bytes = text.data  # type: ignore[assignment]  # any buffer can be put in; bytes come out
    if text.code == -1 and len(data) == 8:  # nearly all of them
        number = _unsigned(data, "big")
        second, fraction = number & 0x3_FFFF_FFFF, number >> 34
    elif text.code == -1 and len(data) == 4:
        second, fraction = _unsigned(data, "big"), 0
    elif text.code == -1 and len(data) == 12:
        second, fraction = int.from_bytes(data[4:], "big", signed=True), _unsigned(data[:4], "big")
    else:
        raise ValueError(f"not a timestamp: extension {text.code} of {len(data)} bytes")
    if fraction >= SECOND or not _FIRST_SECOND <= second <= _LAST_SECOND:
        raise ValueError(f"not a timestamp: {second} s and {fraction} ns")
    return second * SECOND + fraction


_unsigned = int.from_bytes  # a class's method takes as long to find as to run


@lru_cache(maxsize=256)
def _a_day_after(start: int) -> int:
    """The same time of the next day in New York, 23 to 25 hours later; of a UTC day, midnight again."""
    if start % _DAY == 0:
        return start + _DAY
    return from_datetime(to_datetime(start).astimezone(ZoneInfo("America/New_York")) + timedelta(days=1))


_MINUTE = 60 * SECOND
_DAY = 86_400 * SECOND
_LAST_SECOND = 2**63 // SECOND - 1  # whose nanoseconds still fit into 64 bits
_FIRST_SECOND = -_LAST_SECOND
_SIDES = {"B": Side.BUY, "S": Side.SELL}
_UNKNOWN = Side.UNKNOWN
_BINARY = FrameKind.BINARY
_DATA, _CONTROL = Traffic.DATA, Traffic.CONTROL
_BROKEN = (
    ValueError,
    OverflowError,
    RecursionError,
)  # msgspec's errors are ValueErrors, bad UTF-8 is one too

_CONTROL_TYPES = frozenset({"success", "error", "subscription"})

_ENCODERS: dict[str, Callable[[object], Send]] = {  # rule 2
    "json": lambda message: msgspec.json.encode(message).decode(),
    "msgpack": msgspec.msgpack.encode,
}


class _Encoding(NamedTuple):
    """How the messages of one asset class are read from one encoding."""

    stamp: _Stamp
    read: Callable[[bytes], list[_Data]]
    split: Callable[[bytes], list[Raw]]
    read_head: Callable[[Raw], _Head]
    read_data: Callable[[Raw], _Data]
    read_control: Callable[[Raw], _Control]


class _Asset(NamedTuple):
    """An asset class: what can be subscribed, what comes, and how it is read."""

    kinds: tuple[str, ...]
    types: frozenset[str]  # the values of T
    text: _Encoding
    binary: _Encoding


def _asset(messages: Any, *kinds: str) -> _Asset:
    def encoding(stamp: _Stamp, decoder: Callable[[Any], Any]) -> _Encoding:
        types = (list[messages], list[Raw], _Head, messages, _Control)
        return _Encoding(stamp, *(decoder(each).decode for each in types))

    return _Asset(
        kinds,
        frozenset(message.__struct_config__.tag for message in get_args(messages) or (messages,)),
        encoding(parse, msgspec.json.Decoder),
        encoding(_instant, msgspec.msgpack.Decoder),
    )


_STOCKS = _asset(
    _Stock, "trades", "quotes", "bars", "updated_bars", "daily_bars", "statuses", "lulds", "imbalances"
)
_CRYPTO = _asset(_Crypto, "trades", "quotes", "books", "bars", "updated_bars", "daily_bars")
_OPTIONS = _asset(_Option, "trades", "quotes")
_NEWS = _asset(_Article, "news")
_ASSETS = {"crypto": _CRYPTO, "indicative": _OPTIONS, "opra": _OPTIONS, "news": _NEWS}
