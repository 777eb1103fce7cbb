"""Coinbase: two public feeds of one matching engine, Advanced Trade's and the Exchange's.

What both say, and what is done about it:

 1. One JSON object per text message. The venue says nothing until it is asked, and closes a connection that
    has asked for nothing within five seconds.
    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview
 2. Requests have no number. ``subscriptions`` answers a request with the list of all that is subscribed now,
    an ``error`` refuses it whole; so one request is in flight at a time, and one channel in a request.
 3. What is missing from the list was refused without a word: it is asked for once more and then given up. An
    error that names products refuses those; one that names none is narrowed down by halves.
 4. A book comes whole (``snapshot``), then in absolute sizes, 0 removing the level; it has no checksum and
    its depth no limit. A fresh snapshot of one book: unsubscribe it, wait for the answer, subscribe again.
 5. Of a trade, ``side`` is the **maker's** on both feeds: the aggressor is the other one. Of the Exchange's
    ``ticker`` it is the taker's, and it goes nowhere, as a quote has no side.
    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
 6. What was traded before we subscribed (a ``snapshot`` of trades, a ``last_match``) is history, not news: it
    leaves no event, or volume would be counted twice.
 7. Channels, types and keys are added without notice; unknown ones are passed over.
 8. ``failure to subscribe`` refuses a request, ``authentication failure`` a kind of data: there is none of it
    without a key. With a key it says that the key is bad, and ends the connection as Rejected.
 9. Eight requests a second, and eight new connections; our requests are paced to half of that. ``rate limit
    exceeded`` names no request: after a pause, what was asked is asked again.
    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-rate-limits
10. A level whose size is no number (``0.-10000`` has been sent) is left out of a snapshot, as it may be there
    each time; in an update it makes the whole group Malformed, and its book has a Gap.

Advanced Trade: https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels

11. ``sequence_num`` counts every frame of a connection from 0, over all channels. One that is too high is a
    Gap of everything, and all books are subscribed anew; one that is too low is late or comes twice, and is
    dropped. An ``error`` has none.
12. The snapshot of a channel comes *before* the answer to its request.
13. A channel without news for a minute or so is closed, unless ``heartbeats`` is subscribed. So it always is,
    unasked: once a second, and five seconds without any frame mean that the line is dead.
    https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/websocket/heartbeats
14. Trades come newest first and leave oldest first. Their ids are texts of numbers.
    https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/websocket/market-trades
15. The channel ``level2`` answers as ``l2_data``, and calls its asks ``offer``. A level's ``event_time`` may
    be 1970: then the frame's ``timestamp`` counts.
    https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/websocket/level2
16. ``ticker`` says the touch (a quote), ``ticker_batch`` the last day every five seconds (a ticker), now and
    then with every text empty: such a row is nothing. Neither has a stamp but the frame's.
17. ``candles`` are bars of five minutes, and ``start`` is in seconds. The one that is forming is repeated; it
    is finished when a later one begins. What was traded is not said, so ``value`` is taken at the close.
18. ``status`` lists the products, all of them: its symbol here is ``*``. The least size is one increment.
19. What is subscribed as ``BTC-USDC`` comes as ``BTC-USD``, except ``USDT-USDC`` and ``EURC-USDC``.
20. A key is optional: a ``jwt`` in each request, good for two minutes, so each request has a new one.

The Exchange: https://docs.cdp.coinbase.com/exchange/websocket-feed

21. ``level2_batch`` (its answer may call it ``level2_50``) is the same book as ``level2``, in bundles of
    50 ms; ``level2`` wants requests that are signed.
22. The answer to a request comes before the first data. It lists products in no order.
23. Books have no sequence at all. Trades have: a ``trade_id`` that is not the next one, or one that
    two heartbeats have named and that never came, is a Gap of that product, its book included.
24. ``heartbeat`` goes by product, once a second; it is subscribed unasked for every product we want.
25. ``time`` may be missing from a snapshot, and may be the year 1: then the one before counts.
26. Sizes beside the touch are missing from older tickers. ``ticker_batch`` answers as ``ticker``.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeAlias

import msgspec

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    Gap,
    Instrument,
    Level,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    State,
    Status,
    Ticker,
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
)
from rtflow.streams import Streams
from rtflow.time import SECOND, parse


class Coinbase(Streams):
    """Coinbase's Advanced Trade: trades, quotes, tickers, books, bars and instruments (symbol ``*``).

    Needs no key. ``jwt`` is a function that signs a fresh token, called for each request; what it signs with
    stays with it. Symbols are spelled ``BTC-USD``. A bar is five minutes long. The books are whole, which
    for the busiest products means a first message of several megabytes.

    >>> session = Coinbase().session(Subscription.of(trades="BTC-USD"))
    >>> list(session.opened())
    ['{"type":"subscribe","channel":"heartbeats"}']
    >>> from rtflow.events import FrameKind
    >>> frame = Frame(FrameKind.TEXT, b'{"channel":"market_trades","timestamp":"2026-09-30T02:39:59.5Z",'
    ...     b'"sequence_num":0,"events":[{"type":"update","trades":[{"product_id":"ETH-USD","trade_id":'
    ...     b'"846155167","price":"2667.2","size":"1","time":"2026-09-30T02:39:59.4Z","side":"SELL"}]}]}', 1)
    >>> [(trade.symbol, trade.price, trade.side.name) for trade in Coinbase().decoder().decode(frame)]
    [('ETH-USD', 2667.2, 'BUY')]
    """

    name = "coinbase"
    kinds: Collection[str] = ("trades", "quotes", "tickers", "books", "bars", "instruments")
    profile = Profile(
        title="Coinbase Advanced Trade",
        documents="https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview",
        markets="crypto",
        encoding="JSON",
        auth="none; a JWT if you like",
        kinds=("trades", "quotes", "tickers", "books", "bars", "instruments"),
        depth="all",
        sequence="every frame of a connection",
        checksum="–",
        heartbeat="venue, 1 s",
        limits="8 requests and 8 connections a second",
    )

    def __init__(
        self, *, jwt: Callable[[], str] | None = None, url: str = "wss://advanced-trade-ws.coinbase.com"
    ) -> None:
        if not (jwt is None or callable(jwt)):  # not shown: it may well be a token
            raise TypeError("jwt is a function that signs a fresh token: one is good for two minutes only")
        self.url = url
        self._jwt = jwt

    def __repr__(self) -> str:
        return f"Coinbase(url={self.url!r})"

    def request(self, subscription: Subscription) -> Request:
        """Where to connect.

        Raises Unsupported for a kind it lacks, for instruments other than ``*``, and for a product whose data
        would come under another name (rule 19).
        """
        _check(self, subscription)
        for _, symbol in sorted(subscription.topics):
            if symbol.endswith("-USDC") and symbol not in _OWN_USDC:
                raise Unsupported(f"coinbase serves {symbol} as {symbol[:-1]}; ask for that")
        return Request(self.url, attempts=_ATTEMPTS)

    def session(self, subscription: Subscription) -> CoinbaseSession:
        """A conversation that asks for heartbeats and then, request by request, for what is wanted."""
        return AdvancedSession(subscription, self._jwt)

    def decoder(self) -> AdvancedDecoder:
        """A fresh reader of one connection's frames, which counts them."""
        return AdvancedDecoder()


class CoinbaseExchange(Streams):
    """Coinbase's Exchange feed: trades, quotes, tickers, books and instruments (symbol ``*``). Needs no key.

    ``sign`` is a function that gives the fields of a signed request (``signature``, ``key``, ``passphrase``
    and ``timestamp``), called for each; with it books come change by change and not in bundles of 50 ms.
    Symbols are spelled ``BTC-USD``.

    >>> session = CoinbaseExchange().session(Subscription.of(trades="BTC-USD"))
    >>> list(session.opened())
    ['{"type":"subscribe","product_ids":["BTC-USD"],"channels":["heartbeat"]}']
    """

    name = "coinbase_exchange"
    kinds: Collection[str] = ("trades", "quotes", "tickers", "books", "instruments")
    profile = Profile(
        title="Coinbase Exchange",
        documents="https://docs.cdp.coinbase.com/exchange/websocket-feed",
        markets="crypto",
        encoding="JSON",
        auth="none; signed requests for unbundled books",
        kinds=("trades", "quotes", "tickers", "books", "instruments"),
        depth="all",
        sequence="trade ids",
        checksum="–",
        heartbeat="venue, 1 s, by product",
        limits="8 requests a second",
    )

    def __init__(
        self,
        *,
        sign: Callable[[], Mapping[str, str]] | None = None,
        url: str = "wss://ws-feed.exchange.coinbase.com",
    ) -> None:
        if not (sign is None or callable(sign)):  # not shown: it may well be a secret
            raise TypeError("sign is a function that makes the signed fields of a request, each time anew")
        self.url = url
        self._sign = sign

    def __repr__(self) -> str:
        return f"CoinbaseExchange(url={self.url!r})"

    def request(self, subscription: Subscription) -> Request:
        """Where to connect. Raises Unsupported for a kind it lacks, and for instruments other than ``*``."""
        _check(self, subscription)
        return Request(self.url, attempts=_ATTEMPTS)

    def session(self, subscription: Subscription) -> CoinbaseSession:
        """A conversation that asks for all products' heartbeats, then, request by request, for the rest."""
        return ExchangeSession(subscription, self._sign)

    def decoder(self) -> ExchangeDecoder:
        """A fresh reader of one connection's frames, which follows the trades' ids."""
        return ExchangeDecoder()


_ATTEMPTS = Rate(6, 1.0)  # rule 9: eight connections a second from one address
_OWN_USDC = frozenset(("USDT-USDC", "EURC-USDC"))


def _check(provider: Coinbase | CoinbaseExchange, subscription: Subscription) -> None:
    check_kinds(provider, subscription)
    for symbol in subscription.symbols("instruments"):
        if symbol != "*":
            raise Unsupported(f"{provider.name} lists all instruments at once; ask for '*', not {symbol!r}")
    for kind, symbol in sorted(subscription.topics):
        if "-" not in symbol and symbol != "*":
            raise Unsupported(f"{provider.name} spells symbols as in 'BTC-USD', not {symbol!r} ({kind})")


_KINDS = {  # by channel, as either feed spells it when it answers
    "heartbeats": "heartbeats",
    "heartbeat": "heartbeats",
    "market_trades": "trades",
    "matches": "trades",
    "ticker": "quotes",
    "ticker_batch": "tickers",
    "candles": "bars",
    "status": "instruments",
    "level2": "books",
    "level2_batch": "books",
    "level2_50": "books",
}
_WITHOUT_PRODUCTS = frozenset(("heartbeats", "status"))


def _topics(channel: str, products: Iterable[str]) -> Iterable[Topic]:
    """What the venue lists under ``channel``, as topics; nothing for a channel that we never ask for."""
    kind = _KINDS.get(channel)
    if kind is None:
        return ()
    return [(kind, product) for product in (("*",) if channel in _WITHOUT_PRODUCTS else products)]


# ---------------------------------------------------------------------------------------------- talking


class CoinbaseSession(Session):
    """What we say on one connection of either feed, and what the answers make of it.

    What is wanted, what is served (as the last answer listed it), and the one request in flight that is to
    bring the two closer. ``_background`` is what we want for ourselves: the heartbeats.
    """

    _channels: ClassVar[Mapping[str, str]]  # by kind, in the order in which they are asked for

    def __init__(self, subscription: Subscription) -> None:
        self._wanted = set(subscription.topics)
        self._served: frozenset[Topic] = frozenset()
        self._asked: _Change | None = None
        self._stale: set[Topic] = set()  # books to let go and take again
        self._missed: frozenset[Topic] = frozenset()  # left out of an answer, once
        self._spurned: set[Topic] = set()  # of the background, what the venue refused
        self._suspects: list[frozenset[Topic]] = []  # parts of a request that was refused for some part of it
        self._unbalanced = True
        self._hole = False
        self._now = 0
        self._pace = 0  # a bucket of _BURST requests that refills one in _SPACING: full at this stamp
        self._pause = _PAUSE
        self._frames = 0
        self._counted = 0  # of _frames, at the last look
        self._heard = 0
        self._look = _LOOK

    def started(self, now: int) -> None:
        self._now = self._heard = now
        self._look = now + _LOOK

    def opened(self) -> Iterable[Send]:
        return list(self._next())

    def classify(self, payload: bytes) -> Traffic:
        self._frames += 1
        return _TRAFFIC.get(payload[:16]) or _classify(payload)

    def received(self, frame: Frame) -> Iterable[Send | Refused | RtflowError]:
        self._now = frame.ts_recv
        try:
            said = _read_said(frame.payload)
            answers: list[Send | Refused | RtflowError] = []
            if said.type == "error":
                answers.extend(self._declined(said.text))
            elif "subscriptions" in (said.channel, said.type):
                answers.extend(self._answered(said.topics()))
        except _BROKEN:  # the decoder says Malformed
            return ()
        answers.extend(self._next())
        return answers

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        self._wanted |= added.topics
        self._wanted -= removed.topics
        self._missed -= added.topics  # a new wish is a new chance
        self._unbalanced = True
        return list(self._next())

    def resync(self, symbol: str) -> Iterable[Send]:
        topic = ("books", symbol)
        if topic in self._served:  # else nobody wants it, or a snapshot is on its way already
            self._stale.add(topic)
            self._unbalanced = True
        return list(self._next())

    def due(self) -> int | None:
        if self._hole:
            return self._now
        if self._unbalanced and self._asked is None:
            return min(self._look, self._pace - _BURST)
        return self._look

    def wake(self, now: int) -> Iterable[Send | RtflowError]:
        self._now = now
        if self._hole:
            self._hole = False
            self._take_books_again()
        if now >= self._look:
            self._look = now + _LOOK
            error = self._overdue(now)
            if error is not None:
                return (error,)
        return list(self._next())

    def closed(self, code: int, reason: str) -> RtflowError:
        said = reason.lower()
        if "slow" in said or code == 1009:
            return Disconnected(f"{reason or 'a message too big'}: we read slower than it sends", code=code)
        if _is_throttling(said):
            return Throttled(reason, retry_after=1.0)
        return super().closed(code, reason)

    @abstractmethod
    def _background(self) -> set[Topic]:
        """The heartbeats that go with what is wanted."""

    @abstractmethod
    def _write(self, action: str, channel: str, products: list[str]) -> Send:
        """One request; no products for a channel that has none."""

    @property
    @abstractmethod
    def _signed(self) -> bool:
        """Whether we say who we are."""

    def _overdue(self, now: int) -> Disconnected | None:
        """Any frame is a sign of life; heartbeats make sure that there is one, once they are served."""
        if self._frames != self._counted:
            self._counted = self._frames
            self._heard = now
        elif now - self._heard >= _SILENCE and any(kind == "heartbeats" for kind, _ in self._served):
            return Disconnected(f"silent for {(now - self._heard) // SECOND} s, although it sends heartbeats")
        asked = self._asked
        if asked is not None and now - asked.sent >= _PATIENCE:
            return Disconnected(f"no answer to {asked.action} {asked.channel} within {_PATIENCE // SECOND} s")
        return None

    def _take_books_again(self) -> None:
        """Frames were lost: whatever book we have, or are about to get, may be wrong."""
        coming = self._asked.topics if self._asked is not None else frozenset[Topic]()
        self._stale |= {topic for topic in self._served | coming if topic[0] == "books"}
        self._unbalanced = True

    def _next(self) -> Iterator[Send]:
        """The next request, if one is needed, none is in flight, and it is not too soon."""
        if self._asked is not None or self._pace - _BURST > self._now:
            return
        change = self._change()
        if change is None:
            self._unbalanced = False
            return
        self._asked = change
        self._pace = max(self._pace, self._now) + _SPACING
        without = change.channel in _WITHOUT_PRODUCTS
        products = [] if without else sorted(symbol for _, symbol in change.topics)
        yield self._write(change.action, change.channel, products)

    def _change(self) -> _Change | None:
        """What comes next; letting go first, so that nothing is taken twice."""
        goal = (self._wanted | self._background()) - self._spurned
        self._stale &= goal
        leave = self._served - (goal - self._stale)
        take = goal - self._served
        while self._suspects and not leave:
            suspects = self._suspects.pop() & take
            if suspects:
                return self._chunk("subscribe", suspects)
        if leave:
            return self._chunk("unsubscribe", leave)
        return self._chunk("subscribe", take) if take else None

    def _chunk(self, action: str, topics: Collection[Topic]) -> _Change:
        kind = next(kind for kind in self._channels if any(kind == each for each, _ in topics))
        some = sorted(topic for topic in topics if topic[0] == kind)[:_CHUNK]
        return _Change(action, self._channels[kind], frozenset(some), self._now)

    def _answered(self, served: frozenset[Topic]) -> Iterator[Refused]:
        """The list of what is subscribed now (rules 2 and 3)."""
        asked, self._asked = self._asked, None
        self._served = frozenset(topic for topic in served if topic[0] in self._channels)
        self._unbalanced = True
        self._pause = _PAUSE
        if asked is None:
            return
        if asked.action == "unsubscribe":
            self._served -= asked.topics  # if it goes on coming, we have no other way to ask
            self._stale -= asked.topics
            return
        missing = asked.topics - served
        again = missing & self._missed
        self._missed = (self._missed | missing) - again - served
        yield from self._give_up(again, "left out of the answer")

    def _declined(self, text: str) -> Iterator[Refused | RtflowError]:
        """The request in flight was refused (rule 8), or comes too soon (rule 9)."""
        asked, self._asked = self._asked, None
        self._unbalanced = True
        if _is_throttling(text.lower()):
            self._pace = self._now + self._pause + _BURST
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return
        unauthenticated = "authentication" in text.lower()
        if unauthenticated and self._signed:
            yield Rejected(text)
        elif asked is None:
            return
        elif asked.action == "unsubscribe":
            self._served -= asked.topics
            self._stale -= asked.topics
        elif unauthenticated:
            yield from self._give_up(asked.topics, text)
        else:
            words = set(_WORD.findall(text))
            named = frozenset(topic for topic in asked.topics if topic[1] in words)
            if named or len(asked.topics) == 1:
                yield from self._give_up(named or asked.topics, text)
            else:
                topics = sorted(asked.topics)
                middle = len(topics) // 2
                self._suspects += [frozenset(topics[middle:]), frozenset(topics[:middle])]

    def _give_up(self, topics: frozenset[Topic], reason: str) -> Iterator[Refused]:
        """The venue will not serve these; those that nobody but us wanted need no telling."""
        self._spurned |= {topic for topic in topics if topic[0] == "heartbeats"}
        told = sorted(topics & self._wanted)
        self._wanted -= topics
        if told:
            yield Refused(tuple(told), reason)


class AdvancedSession(CoinbaseSession):
    """What we say to Advanced Trade; follows ``sequence_num`` to know when to take the books again."""

    _channels: ClassVar[Mapping[str, str]] = {
        "heartbeats": "heartbeats",
        "trades": "market_trades",
        "quotes": "ticker",
        "tickers": "ticker_batch",
        "bars": "candles",
        "instruments": "status",
        "books": "level2",  # last, as the answer comes behind megabytes of snapshot
    }

    def __init__(self, subscription: Subscription, jwt: Callable[[], str] | None) -> None:
        super().__init__(subscription)
        self._jwt = jwt
        self._expected = 0

    def classify(self, payload: bytes) -> Traffic:
        at = payload.find(_SEQUENCE, 0, _HEAD)
        if at >= 0:
            digits = payload[at + len(_SEQUENCE) : payload.find(b",", at, _HEAD)]
            if digits.isdigit():
                number = int(digits)
                if number > self._expected or number == 0 < self._expected:
                    self._hole = True
                if number >= self._expected or number == 0:
                    self._expected = number + 1
        return super().classify(payload)

    def _background(self) -> set[Topic]:
        return {("heartbeats", "*")}

    def _write(self, action: str, channel: str, products: list[str]) -> Send:
        request: dict[str, object] = {"type": action}
        if products:
            request["product_ids"] = products
        request["channel"] = channel
        if self._jwt is not None:
            request["jwt"] = self._jwt()
        return _json(request)

    @property
    def _signed(self) -> bool:
        return self._jwt is not None


class ExchangeSession(CoinbaseSession):
    """What we say to the Exchange."""

    _channels: ClassVar[Mapping[str, str]] = {
        "heartbeats": "heartbeat",
        "trades": "matches",
        "quotes": "ticker",
        "tickers": "ticker_batch",
        "instruments": "status",
        "books": "level2_batch",
    }

    def __init__(self, subscription: Subscription, sign: Callable[[], Mapping[str, str]] | None) -> None:
        super().__init__(subscription)
        self._sign = sign

    def _background(self) -> set[Topic]:
        products = {symbol for _, symbol in self._wanted if symbol != "*"}
        return {("heartbeats", product) for product in products or _ALWAYS}

    def _write(self, action: str, channel: str, products: list[str]) -> Send:
        request: dict[str, object] = {"type": action}
        if products:
            request["product_ids"] = products
        request["channels"] = ["level2" if self._signed and channel == "level2_batch" else channel]
        if self._sign is not None:
            request |= self._sign()
        return _json(request)

    @property
    def _signed(self) -> bool:
        return self._sign is not None


class _Change(NamedTuple):
    """A request to the venue."""

    action: str
    channel: str
    topics: frozenset[Topic]
    sent: int


_CHUNK = 50  # products a request; the venue names no limit
_SPACING = SECOND // 4  # four requests a second, of the eight that all connections from one address may make
_BURST = 3 * _SPACING  # so four go out at once
_PAUSE = SECOND  # after "rate limit exceeded"; doubles while it goes on
_LONGEST_PAUSE = 32 * SECOND
_PATIENCE = 30 * SECOND  # for an answer, which may come behind many megabytes of snapshots
_LOOK = SECOND  # how often we look for signs of life
_SILENCE = 5 * SECOND  # five heartbeats missed
_ALWAYS = ("BTC-USD",)  # a product that is always there: its heartbeat, where we want no other
_SEQUENCE = b'"sequence_num":'
_HEAD = 160  # bytes within which it comes: behind the channel, the timestamp and perhaps a client_id
_WORD = re.compile(r"[\w-]+")

_TRAFFIC = {  # sixteen bytes tell them all apart
    b'{"channel":"l2_d': Traffic.DATA,
    b'{"channel":"mark': Traffic.DATA,
    b'{"channel":"tick': Traffic.DATA,
    b'{"channel":"cand': Traffic.DATA,
    b'{"channel":"stat': Traffic.DATA,
    b'{"channel":"hear': Traffic.HEARTBEAT,
    b'{"channel":"subs': Traffic.CONTROL,
    b'{"type":"l2updat': Traffic.DATA,
    b'{"type":"match",': Traffic.DATA,
    b'{"type":"ticker"': Traffic.DATA,
    b'{"type":"snapsho': Traffic.DATA,
    b'{"type":"last_ma': Traffic.DATA,
    b'{"type":"status"': Traffic.DATA,
    b'{"type":"heartbe': Traffic.HEARTBEAT,
    b'{"type":"subscri': Traffic.CONTROL,
    b'{"type":"error",': Traffic.CONTROL,
}


def _classify(payload: bytes) -> Traffic:
    """The same by reading, for keys in an order nobody has seen yet."""
    try:
        said = _read_said(payload)
    except _BROKEN:
        return Traffic.CONTROL
    name = said.channel or said.type
    if name in ("heartbeats", "heartbeat"):
        return Traffic.HEARTBEAT
    return Traffic.DATA if name in _DATA else Traffic.CONTROL


def _is_throttling(text: str) -> bool:
    return "rate limit" in text or "too many" in text


def _json(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()


# ---------------------------------------------------------------------------------------------- meaning


class AdvancedDecoder:
    """What Advanced Trade's frames say.

    Remembers how far they were counted, the forming bar of each symbol, and what is subscribed, to say what
    changed.
    """

    def __init__(self) -> None:
        self._expected = 0
        self._heard: int | None = None  # ts_recv of the last frame that was counted
        self._subscribed: frozenset[Topic] = frozenset()
        self._forming: dict[str, Bar] = {}
        self._skipped = 0

    @property
    def skipped(self) -> int:
        """How many messages of a type nobody here knows, or that came twice, have been passed over."""
        return self._skipped

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        try:
            message = _read_advanced(frame.payload)
            if message.sequence_num == self._expected:
                events = message.decoded(frame, self)
                self._expected += 1
                self._heard = frame.ts_recv
                return events
        except _BROKEN as error:
            return self._decode_other(frame, error)
        step = self._step(message.sequence_num, frame)
        if step is None:
            return ()
        return (*step, *self.decode(frame))

    def state(self) -> object:
        """All of it, as plain data."""
        memory = _AdvancedMemory(
            self._expected, self._heard, sorted(self._subscribed), self._forming, self._skipped
        )
        return msgspec.to_builtins(memory)

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        memory = msgspec.convert(state, _AdvancedMemory)
        self._expected, self._heard = memory.expected, memory.heard
        self._subscribed = frozenset(memory.subscribed)
        self._forming, self._skipped = memory.forming, memory.skipped

    def listed(self, topics: frozenset[Topic], frame: Frame) -> list[Event]:
        """What came and what went since the venue last said what is subscribed."""
        before, self._subscribed = self._subscribed, topics
        return _changes(before, topics, frame, "coinbase")

    def finished(self, bars: list[Bar]) -> list[Event]:
        """``bars``, and between them the forming ones that they finish, once more as final."""
        bars.sort(key=_start)
        newest = {bar.symbol: bar.start for bar in bars}
        told: list[Event] = []
        for bar in bars:
            before = self._forming.get(bar.symbol)
            if before is not None and before.start < bar.start:
                told.append(_final(before))
            if bar.start < newest[bar.symbol] or (before is not None and bar.start < before.start):
                told.append(_final(bar))
                if before is not None and before.start <= bar.start:
                    del self._forming[bar.symbol]
            else:
                told.append(bar)
                self._forming[bar.symbol] = bar
        return told

    def _step(self, number: int, frame: Frame) -> tuple[Gap, ...] | None:
        """What a frame's number says (rule 11): nothing, a hole before it, or None where it is to be dropped.

        0 again means that the venue counts anew.
        """
        if number == self._expected:
            return ()
        if 0 < number < self._expected:
            self._skipped += 1
            return None
        reason = f"sequence {number} came, not {self._expected}"
        self._expected = number
        return (_gap(self._heard, frame, reason, "coinbase"),)

    def _decode_other(self, frame: Frame, error: Exception) -> Iterable[Event]:
        """Errors, what nobody knows, and what has a flaw somewhere."""
        try:
            said = _read_said(frame.payload)
        except _BROKEN as broken:
            return (_malformed(frame, broken),)  # if it had a number, the next frame tells that it is missing
        if said.type == "error":
            return (said.status(frame, "coinbase"),)
        if said.sequence_num is None:
            if said.channel in _ADVANCED:
                return (_malformed(frame, error),)
            self._skipped += 1
            return ()
        step = self._step(said.sequence_num, frame)
        if step is None:
            return ()
        self._expected += 1
        self._heard = frame.ts_recv
        if said.channel in _ADVANCED:
            return (*step, *self._decode_one_by_one(frame, said, error))
        self._skipped += 1
        return step

    def _decode_one_by_one(self, frame: Frame, said: _Said, error: Exception) -> Iterator[Event]:
        """A frame with a flaw: what is whole in it, and a Malformed for each element that is not."""
        rows_are = _ROWS.get(said.channel)
        if rows_are is None:  # nothing in it could stand alone
            yield _malformed(frame, error)
            return
        try:
            _tried(frame, said)
            events = _read_raws(said.events)
        except _BROKEN as broken:
            yield _malformed(frame, broken)
            return
        for event in events:
            try:
                fields = _read_fields(event)
                rows = _read_raws(fields[rows_are])
                fields = {name: fields[name] for name in ("type", "product_id") if name in fields}
                _tried(frame, said, fields | {rows_are: _NONE})
            except (*_BROKEN, KeyError) as broken:
                yield _malformed(frame, broken)
                continue
            good: list[msgspec.Raw] = []
            bad: list[Malformed] = []
            parts = [rows] if rows else []
            while (
                parts
            ):  # halves, until a part is whole or a single row: flaws are few, rows may be thousands
                part = parts.pop()
                try:
                    _tried(frame, said, fields | {rows_are: part})
                    good += part
                except _BROKEN as flaw:
                    if len(part) > 1:
                        parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    elif _is_blank(part[0]):
                        self._skipped += 1
                    else:
                        bad.append(_malformed(frame, flaw))
            yield from self._told(frame, said, fields | {rows_are: good}, bad)

    def _told(
        self, frame: Frame, said: _Said, fields: Mapping[str, object], bad: list[Malformed]
    ) -> Iterator[Event]:
        """The good rows of an event together, as ever, and its bad ones; half an update is none (rule 10)."""
        message = _read_advanced(_wrap(said, fields))
        torn = isinstance(message, _Books) and bad and message.events[0].type == "update"
        if not torn:
            yield from message.decoded(frame, self)
        yield from bad
        if torn:
            assert isinstance(message, _Books)
            symbol = message.events[0].product_id
            yield _gap(frame.ts_recv, frame, "an update that cannot be read", "coinbase", symbol)


def _tried(frame: Frame, said: _Said, *events: Mapping[str, object]) -> None:
    """Read them for another, so that what fails half-way leaves no trace."""
    _read_advanced(_wrap(said, *events)).decoded(frame, AdvancedDecoder())


class ExchangeDecoder:
    """What the Exchange's frames say.

    Remembers the last trade of each product and what its heartbeat has named, the last stamp of a book, and
    what is subscribed.
    """

    def __init__(self) -> None:
        self._subscribed: frozenset[Topic] = frozenset()
        self._last: dict[str, tuple[int, int]] = {}  # the id of a product's last trade, and when it came
        self._named: dict[str, int] = {}  # the id that its last heartbeat named
        self._stamp = 0  # of the last book update
        self._skipped = 0

    @property
    def skipped(self) -> int:
        """How many messages of a type nobody here knows, or that came twice, have been passed over."""
        return self._skipped

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        try:
            return _read_exchange(frame.payload).decoded(frame, self)
        except _BROKEN as error:
            return self._decode_other(frame, error)

    def state(self) -> object:
        """All of it, as plain data."""
        memory = _ExchangeMemory(
            sorted(self._subscribed), self._last, self._named, self._stamp, self._skipped
        )
        return msgspec.to_builtins(memory)

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        memory = msgspec.convert(state, _ExchangeMemory)
        self._subscribed, self._last = frozenset(memory.subscribed), memory.last
        self._named, self._stamp, self._skipped = memory.named, memory.stamp, memory.skipped

    def listed(self, topics: frozenset[Topic], frame: Frame) -> list[Event]:
        """What came and what went since the venue last said what is subscribed."""
        before, self._subscribed = self._subscribed, topics
        for kind, product in before - topics:
            if kind == "trades":  # from here on its ids may leap
                self._last.pop(product, None)
                self._named.pop(product, None)
        return _changes(before, topics, frame, "coinbase_exchange")

    def stamped(self, time: str | None, frame: Frame) -> int:
        """When a book was what it says (rule 25)."""
        if time is not None and time[:4] != "0001":
            self._stamp = parse(time)
        return self._stamp or frame.ts_recv

    def summed_up(self, product: str) -> tuple[bool, bool]:
        """Whether a ticker of ``product`` is wanted as a quote, and whether as a ticker (rule 26)."""
        batched = ("tickers", product) in self._subscribed
        return not batched or ("quotes", product) in self._subscribed, batched

    def began(self, product: str, trade: int, frame: Frame) -> None:
        """``trade`` was the last one before we subscribed."""
        self._last[product] = trade, frame.ts_recv

    def followed(self, product: str, trade: int, frame: Frame) -> tuple[Gap, ...] | None:
        """What a trade's id says (rule 23): nothing, a hole before it, or None where it came before."""
        last = self._last.get(product)
        if last is not None and trade <= last[0]:
            self._skipped += 1
            return None
        self._last[product] = trade, frame.ts_recv
        if last is None or trade == last[0] + 1:
            return ()
        reason = f"trade {trade} came, not {last[0] + 1}"
        return (_gap(last[1], frame, reason, "coinbase_exchange", product),)

    def beaten(self, product: str, trade: int, frame: Frame) -> tuple[Gap, ...]:
        """What a heartbeat says that names the last trade: it may be on its way, but only until the next."""
        named, self._named[product] = self._named.get(product), trade
        last = self._last.get(product)
        if last is None or named is None or named <= last[0] or ("trades", product) not in self._subscribed:
            return ()
        self._last[product] = named, frame.ts_recv
        return (_gap(last[1], frame, f"trade {named} did not come", "coinbase_exchange", product),)

    def _decode_other(self, frame: Frame, error: Exception) -> Iterable[Event]:
        """Errors, what nobody knows, and what has a flaw somewhere."""
        try:
            said = _read_said(frame.payload)
        except _BROKEN as broken:
            torn = _BOOK.match(frame.payload)
            product = torn[1].decode(errors="replace") if torn else ""
            return (_malformed(frame, broken), *_unreadable(frame, product))
        if said.type == "error":
            return (said.status(frame, "coinbase_exchange"),)
        if said.type == "snapshot":
            return self._decode_by_level(frame, error)
        if said.type == "status":
            return self._decode_by_product(frame, error)
        if said.type == "l2update":
            return (_malformed(frame, error), *_unreadable(frame, said.product_id))
        if said.type in _EXCHANGE:
            return (_malformed(frame, error),)
        self._skipped += 1
        return ()

    def _decode_by_level(self, frame: Frame, error: Exception) -> Iterable[Event]:
        """A snapshot with a flaw: the levels that are whole, a Malformed for each that is not (rule 10)."""
        try:
            book = _read_raw_book(frame.payload)
            sides: dict[str, list[msgspec.Raw]] = {"bids": [], "asks": []}
            bad: list[Event] = []
            for name, rows in (("bids", book.bids), ("asks", book.asks)):
                for row in rows:
                    try:
                        _read_level(row)
                        sides[name].append(row)
                    except _BROKEN as flaw:
                        bad.append(_malformed(frame, flaw))
            whole = {"type": "snapshot", "product_id": book.product_id, "time": book.time, **sides}
            return (*_read_exchange(msgspec.json.encode(whole)).decoded(frame, self), *bad)
        except _BROKEN:
            return (_malformed(frame, error), *_unreadable(frame, _read_said(frame.payload).product_id))

    def _decode_by_product(self, frame: Frame, error: Exception) -> Iterable[Event]:
        """A list of products with a flaw, in the same way."""
        try:
            rows = _read_raw_products(frame.payload).products
        except _BROKEN:
            return (_malformed(frame, error),)
        told: list[Event] = []
        for row in rows:
            try:
                told.append(_read_product(row).instrument(frame, "coinbase_exchange"))
            except _BROKEN as flaw:
                told.append(_malformed(frame, flaw))
        return told


_BROKEN = (ValueError, RecursionError)  # of msgspec, of UTF-8, of a stamp, of a number


class _AdvancedMemory(msgspec.Struct):
    """A decoder's state."""

    expected: int
    heard: int | None
    subscribed: list[Topic]
    forming: dict[str, Bar]
    skipped: int


class _ExchangeMemory(msgspec.Struct):
    """A decoder's state."""

    subscribed: list[Topic]
    last: dict[str, tuple[int, int]]
    named: dict[str, int]
    stamp: int
    skipped: int


def _changes(before: frozenset[Topic], after: frozenset[Topic], frame: Frame, venue: str) -> list[Event]:
    """What is no longer subscribed, and what is now; the heartbeats, which nobody asked for, are not told."""
    moves: tuple[tuple[State, frozenset[Topic]], ...] = (
        ("unsubscribed", before - after),
        ("subscribed", after - before),
    )
    return [
        Status(state, frame.ts_recv, "", symbol, kind, frame.epoch, venue)
        for state, topics in moves
        for kind, symbol in sorted(topics)
        if kind != "heartbeats"
    ]


def _gap(since: int | None, frame: Frame, reason: str, venue: str, symbol: str = "") -> Gap:
    """A hole that this frame has shown: the line itself goes on."""
    now = frame.ts_recv
    symbols = (symbol,) if symbol else ()
    return Gap(now if since is None else since, now, frame.epoch, now, reason, venue, symbols)


def _unreadable(frame: Frame, product: str) -> tuple[Gap, ...]:
    """The hole in a book that its message, being no message, leaves behind."""
    reason = "a message of its book cannot be read"
    return (_gap(frame.ts_recv, frame, reason, "coinbase_exchange", product),) if product else ()


def _malformed(frame: Frame, error: Exception) -> Malformed:
    return Malformed(frame, str(error) or type(error).__name__, frame.ts_recv)


def _final(bar: Bar) -> Bar:
    return msgspec.structs.replace(bar, final=True)


def _start(bar: Bar) -> int:
    return bar.start


# ------------------------------------------------------------------ the wire, as Advanced Trade spells it

_LARGEST = 1e150  # beyond any number of a market's, and the product of two is still finite
_Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]
_NotNegative: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 2)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_Type: TypeAlias = Literal["snapshot", "update"]

# looking a member up in its enumeration would cost more than making the trade
_BUY = Side.BUY
_SELL = Side.SELL


class _Wire(msgspec.Struct, gc=False):
    """What every type here shares: gone before the next frame comes, so no work for the collector."""


class _Advanced(_Wire, gc=False, tag_field="channel"):
    """The envelope; what is inside depends on the channel."""

    sequence_num: _Count
    timestamp: str


# {"side":"bid","event_time":"2026-09-30T02:39:53.718078Z","price_level":"2332.78",
#  "new_quantity":"0.00857346"}
class _BookRow(_Wire, gc=False):
    side: Literal["bid", "offer"]
    event_time: str
    price_level: _Positive
    new_quantity: _NotNegative


# {"type":"update","product_id":"ETH-USD","updates":[…]}
class _Book(_Wire, gc=False):
    type: _Type
    product_id: _Name
    updates: list[_BookRow]


# {"channel":"l2_data","timestamp":"2026-09-30T02:39:53.787841965Z","sequence_num":6,"events":[…]}
class _Books(_Advanced, gc=False, tag="l2_data"):
    events: list[_Book]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        updates: list[Event] = []
        for event in self.events:
            bids: list[Level] = []
            asks: list[Level] = []
            time: str | None = None
            stamp = 0
            for row in event.updates:
                (bids if row.side == "bid" else asks).append((row.price_level, row.new_quantity))
                if row.event_time != time:  # nearly always the same in all of them
                    time = row.event_time
                    if time[:4] not in _NO_YEAR:
                        stamp = max(stamp, parse(time))
            updates.append(
                OrderBookUpdate(
                    event.product_id,
                    stamp or parse(self.timestamp),
                    frame.ts_recv,
                    tuple(bids),
                    tuple(asks),
                    event.type == "snapshot",
                    frame.epoch,
                    "coinbase",
                )
            )
        return updates


_NO_YEAR = ("1970", "0001")  # what a computer says that does not know the time


# {"product_id":"ETH-USD","trade_id":"846155167","price":"2667.2","size":"0.84275842",
#  "time":"2026-09-30T02:39:59.4104Z","side":"SELL"}
class _TradeRow(_Wire, gc=False):
    product_id: _Name
    trade_id: _Count
    price: _Positive
    size: _NotNegative
    time: str
    side: Literal["BUY", "SELL"]  # the maker's


# {"type":"update","trades":[…]}
class _TradeRows(_Wire, gc=False):
    type: _Type
    trades: list[_TradeRow]


# {"channel":"market_trades","timestamp":"2026-09-30T02:39:59.551901038Z","sequence_num":247,"events":[…]}
class _Trades(_Advanced, gc=False, tag="market_trades"):
    events: list[_TradeRows]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        trades: list[Event] = []
        for event in self.events:
            if event.type == "snapshot":  # rule 6
                for row in event.trades:
                    parse(row.time)
                continue
            if len(event.trades) > 1:
                event.trades.sort(key=_trade_id)
            for row in event.trades:
                trades.append(
                    Trade(
                        row.product_id,
                        parse(row.time),
                        frame.ts_recv,
                        row.price,
                        row.size,
                        _SELL if row.side == "BUY" else _BUY,
                        str(row.trade_id),
                        "coinbase",
                    )
                )
        return trades


def _trade_id(row: _TradeRow) -> int:
    return row.trade_id


# {"type":"ticker","product_id":"BTC-USD","price":"83277.25","volume_24_h":"5123.11","low_24_h":"82100.1",
#  "high_24_h":"84000", …,"best_bid":"83277.25","best_bid_quantity":"0.00715626","best_ask":"83277.26",
#  "best_ask_quantity":"0.12"}
class _TickerRow(_Wire, gc=False):
    product_id: _Name
    price: _NotNegative
    volume_24_h: _NotNegative | None = None
    low_24_h: _NotNegative | None = None
    high_24_h: _NotNegative | None = None
    best_bid: _NotNegative | None = None
    best_bid_quantity: _NotNegative | None = None
    best_ask: _NotNegative | None = None
    best_ask_quantity: _NotNegative | None = None


# {"type":"update","tickers":[…]}
class _TickerRows(_Wire, gc=False):
    type: _Type
    tickers: list[_TickerRow]


# {"channel":"ticker","timestamp":"2026-09-30T02:40:00.100000000Z","sequence_num":260,"events":[…]}
class _Tickers(_Advanced, gc=False, tag="ticker"):
    events: list[_TickerRows]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        stamp = parse(self.timestamp)
        received = frame.ts_recv
        quotes: list[Event] = []
        for event in self.events:
            for row in event.tickers:
                bid = row.best_bid or None
                ask = row.best_ask or None
                bid_size = row.best_bid_quantity if bid else None
                ask_size = row.best_ask_quantity if ask else None
                quotes.append(
                    Quote(row.product_id, stamp, received, bid, bid_size, ask, ask_size, "coinbase")
                )
        return quotes


# {"channel":"ticker_batch","timestamp":"2023-03-01T12:15:18.382173051Z","sequence_num":0,"events":[…]}
class _BatchedTickers(_Advanced, gc=False, tag="ticker_batch"):
    events: list[_TickerRows]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        stamp = parse(self.timestamp)
        return [
            Ticker(
                row.product_id,
                stamp,
                frame.ts_recv,
                last=row.price or None,
                high=row.high_24_h,
                low=row.low_24_h,
                volume=row.volume_24_h,
                window="24h",
                venue="coinbase",
            )
            for event in self.events
            for row in event.tickers
        ]


# {"start":"1775521800","high":"68950.00","low":"68850.00","open":"68900.00","close":"68920.50",
#  "volume":"42.15000000","product_id":"BTC-USD"}
class _Candle(_Wire, gc=False):
    product_id: _Name
    start: Annotated[int, msgspec.Meta(ge=0, le=2**63 // SECOND - 300)]  # so that its end is a stamp, too
    open: _Positive
    high: _Positive
    low: _Positive
    close: _Positive
    volume: _NotNegative

    def bar(self, received: int) -> Bar:
        start = self.start * SECOND
        return Bar(
            self.product_id,
            start,
            start + 300 * SECOND,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            0,
            self.close * self.volume,
            ts_recv=received,
            venue="coinbase",
            final=False,
            interval="5m",
        )


# {"type":"update","candles":[…]}
class _CandleRows(_Wire, gc=False):
    type: _Type
    candles: list[_Candle]


# {"channel":"candles","timestamp":"2026-04-07T14:35:01.000000Z","sequence_num":400,"events":[…]}
class _Candles(_Advanced, gc=False, tag="candles"):
    events: list[_CandleRows]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        return decoder.finished([row.bar(frame.ts_recv) for event in self.events for row in event.candles])


# {"product_type":"SPOT","id":"BTC-USD","base_currency":"BTC","quote_currency":"USD",
#  "base_increment":"0.00000001","quote_increment":"0.01","display_name":"BTC/USD","status":"online",
#  "status_message":"","min_market_funds":"1"}
class _Product(_Wire, gc=False):
    id: _Name
    base_currency: str
    quote_currency: str
    base_increment: Annotated[str, msgspec.Meta(max_length=40)]
    quote_increment: Annotated[str, msgspec.Meta(max_length=40)]
    status: str

    def instrument(self, frame: Frame, venue: str) -> Instrument:
        size, size_precision = _increment(self.base_increment)
        price, price_precision = _increment(self.quote_increment)
        return Instrument(
            self.id,
            frame.ts_recv,
            self.status,
            price_precision,
            size_precision,
            price,
            size,
            size,
            self.base_currency,
            self.quote_currency,
            venue,
        )


def _increment(text: str) -> tuple[float, int]:
    """A step as a number, and how many decimals it has; raises ValueError for what is no step."""
    whole, _, fraction = text.partition(".")
    if not (f"{whole}{fraction}".isdecimal() and text.isascii()):
        raise ValueError(f"not an increment: {text!r}")
    return float(text), len(fraction.rstrip("0"))


# {"type":"snapshot","products":[…]}
class _ProductRows(_Wire, gc=False):
    type: _Type
    products: list[_Product]


# {"channel":"status","timestamp":"2026-09-30T02:40:10.000000Z","sequence_num":301,"events":[…]}
class _Statuses(_Advanced, gc=False, tag="status"):
    events: list[_ProductRows]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        return [product.instrument(frame, "coinbase") for event in self.events for product in event.products]


# {"channel":"heartbeats","timestamp":"2026-09-07T23:37:22.675755362Z","sequence_num":3,"events":[
#  {"current_time":"2026-09-07 23:37:22.674409 +0000 UTC m=+139651.272674714","heartbeat_counter":139651}]}
class _Heartbeats(_Advanced, gc=False, tag="heartbeats"):
    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        return (Status("heartbeat", frame.ts_recv, epoch=frame.epoch, venue="coinbase"),)


# {"subscriptions":{"heartbeats":["heartbeats"],"level2":["BTC-PERP-INTX","ETH-PERP-INTX"]}}
class _Listing(_Wire, gc=False):
    subscriptions: dict[str, list[str]]


# {"channel":"subscriptions","timestamp":"2026-09-07T23:37:22.278739877Z","sequence_num":2,"events":[…]}
class _Subscriptions(_Advanced, gc=False, tag="subscriptions"):
    events: list[_Listing]

    def decoded(self, frame: Frame, decoder: AdvancedDecoder) -> Iterable[Event]:
        return decoder.listed(_all_topics(self.events), frame)


def _all_topics(listings: list[_Listing]) -> frozenset[Topic]:
    return frozenset(
        topic
        for listing in listings
        for channel, products in listing.subscriptions.items()
        for topic in _topics(channel, products)
    )


# {"type":"error","message":"authentication failure"}
# {"type":"error","message":"Authentication Failed","reason":"{\"message\":\"Invalid API Key\"}"}
class _Said(_Wire, gc=False):
    """Any object: an answer, an error, or the envelope of anything else."""

    channel: str = ""
    type: str = ""
    product_id: str = ""
    sequence_num: _Count | None = None
    timestamp: str | None = None
    message: str = ""
    reason: str = ""
    events: msgspec.Raw = msgspec.Raw(b"null")
    channels: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def text(self) -> str:
        """Why the venue said no."""
        return ": ".join(part for part in (self.message, self.reason) if part) or "no reason given"

    def status(self, frame: Frame, venue: str) -> Status:
        """An error, as an event."""
        state: State = "throttled" if _is_throttling(self.text.lower()) else "rejected"
        return Status(state, frame.ts_recv, self.text, epoch=frame.epoch, venue=venue)

    def topics(self) -> frozenset[Topic]:
        """What an answer lists, of either feed."""
        if self.channel:
            return _all_topics(_read_listings(self.events))
        return _exchange_topics(_read_channels(self.channels))


class _Blank(_Wire, gc=False):
    product_id: str


def _is_blank(row: msgspec.Raw) -> bool:
    """Whether a row names no product: the venue has nothing to say (rule 16)."""
    try:
        return not _read_blank(row).product_id
    except _BROKEN:
        return False


_ROWS = {
    "l2_data": "updates",
    "market_trades": "trades",
    "ticker": "tickers",
    "ticker_batch": "tickers",
    "candles": "candles",
    "status": "products",
}
_ADVANCED = frozenset((*_ROWS, "heartbeats", "subscriptions"))
_NONE: list[msgspec.Raw] = []


def _wrap(said: _Said, *events: Mapping[str, object]) -> bytes:
    """The frame that ``said`` came in, with these events alone."""
    return msgspec.json.encode(
        {
            "channel": said.channel,
            "timestamp": said.timestamp,
            "sequence_num": said.sequence_num,
            "events": events,
        }
    )


# ------------------------------------------------------------------ the wire, as the Exchange spells it


class _Exchange(_Wire, gc=False, tag_field="type"):
    """A message is one thing."""


# {"type":"l2update","product_id":"ETH-USD","changes":[["buy","2631.25","0.00100000"],["sell","2674.51","0"]],
#  "time":"2026-09-30T02:03:12.699555Z"}
class _L2Update(_Exchange, gc=False, tag="l2update"):
    product_id: _Name
    changes: list[tuple[Literal["buy", "sell"], _Positive, _NotNegative]]
    time: str | None = None

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        changes = self.changes
        bids: tuple[Level, ...] = ()
        asks: tuple[Level, ...] = ()
        if len(changes) == 1:  # as level2 has it
            ((side, price, size),) = changes
            if side == "buy":
                bids = ((price, size),)
            else:
                asks = ((price, size),)
        else:
            bids = tuple([(price, size) for side, price, size in changes if side == "buy"])
            asks = tuple([(price, size) for side, price, size in changes if side == "sell"])
        return (
            OrderBookUpdate(
                self.product_id,
                decoder.stamped(self.time, frame),
                frame.ts_recv,
                bids,
                asks,
                False,
                frame.epoch,
                "coinbase_exchange",
            ),
        )


# {"type":"snapshot","product_id":"BTC-USD","asks":[["83420.21","0.08080000"]],
#  "bids":[["83420.20","0.07599840"]],"time":"2026-09-30T02:03:12.999999Z"}
class _Snapshot(_Exchange, gc=False, tag="snapshot"):
    product_id: _Name
    asks: list[tuple[_Positive, _NotNegative]]
    bids: list[tuple[_Positive, _NotNegative]]
    time: str | None = None

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        return (
            OrderBookUpdate(
                self.product_id,
                decoder.stamped(self.time, frame),
                frame.ts_recv,
                tuple(self.bids),
                tuple(self.asks),
                True,
                frame.epoch,
                "coinbase_exchange",
            ),
        )


# {"type":"match","trade_id":1100243522,"maker_order_id":"fe46…","taker_order_id":"a272…","side":"buy",
#  "size":"0.00000026","price":"83432.17","product_id":"BTC-USD","sequence":136999334834,
#  "time":"2026-09-30T02:03:22.743248Z"}
class _Match(_Exchange, gc=False, tag="match"):
    product_id: _Name
    trade_id: _Count
    side: Literal["buy", "sell"]  # the maker's
    size: _NotNegative
    price: _Positive
    time: str

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        trade = Trade(
            self.product_id,
            parse(self.time),
            frame.ts_recv,
            self.price,
            self.size,
            _SELL if self.side == "buy" else _BUY,
            str(self.trade_id),
            "coinbase_exchange",
        )
        hole = decoder.followed(self.product_id, self.trade_id, frame)
        if hole is None:
            return ()
        return (*hole, trade)


# the same, with "type":"last_match"
class _LastMatch(_Exchange, gc=False, tag="last_match"):
    product_id: _Name
    trade_id: _Count

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        decoder.began(self.product_id, self.trade_id, frame)
        return ()


# {"type":"ticker","sequence":50978628538,"product_id":"BTC-USD","price":"17165.16","open_24h":"16437.94",
#  "volume_24h":"42492.05081975","low_24h":"16423.37","high_24h":"17259.37","volume_30d":"1093827.95195495",
#  "best_bid":"17165.15","best_bid_size":"0.61540890","best_ask":"17167.76","best_ask_size":"0.18528568",
#  "side":"sell","time":"2022-12-01T00:00:00.122581Z","trade_id":463751434,"last_size":"0.05"}
class _Ticker(_Exchange, gc=False, tag="ticker"):
    product_id: _Name
    price: _NotNegative
    time: str | None = None
    best_bid: _NotNegative | None = None
    best_bid_size: _NotNegative | None = None
    best_ask: _NotNegative | None = None
    best_ask_size: _NotNegative | None = None
    open_24h: _NotNegative | None = None
    low_24h: _NotNegative | None = None
    high_24h: _NotNegative | None = None
    volume_24h: _NotNegative | None = None
    last_size: _NotNegative | None = None

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        stamp = frame.ts_recv if self.time is None else parse(self.time)
        quoted, batched = decoder.summed_up(self.product_id)
        told: list[Event] = []
        if quoted:
            bid = self.best_bid or None
            ask = self.best_ask or None
            told.append(
                Quote(
                    self.product_id,
                    stamp,
                    frame.ts_recv,
                    bid,
                    self.best_bid_size if bid else None,
                    ask,
                    self.best_ask_size if ask else None,
                    "coinbase_exchange",
                )
            )
        if batched:
            told.append(
                Ticker(
                    self.product_id,
                    stamp,
                    frame.ts_recv,
                    last=self.price or None,
                    last_size=self.last_size,
                    open=self.open_24h,
                    high=self.high_24h,
                    low=self.low_24h,
                    volume=self.volume_24h,
                    ts_trade=None if self.time is None else stamp,
                    window="24h",
                    venue="coinbase_exchange",
                )
            )
        return told


# {"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD",
#  "time":"2014-11-07T08:19:28.464459Z"}
class _Heartbeat(_Exchange, gc=False, tag="heartbeat"):
    product_id: _Name
    last_trade_id: _Count = 0

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        hole = decoder.beaten(self.product_id, self.last_trade_id, frame)
        name = self.product_id
        beat = Status("heartbeat", frame.ts_recv, "", name, "", frame.epoch, "coinbase_exchange")
        return (*hole, beat)


# {"type":"status","products":[…],"currencies":[…]}
class _Status(_Exchange, gc=False, tag="status"):
    products: list[_Product]

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        return [product.instrument(frame, "coinbase_exchange") for product in self.products]


# {"name":"level2_50","product_ids":["ETH-USD","BTC-USD"],"account_ids":null}
class _Channel(_Wire, gc=False):
    name: str
    product_ids: list[str] | None = None


# {"type":"subscriptions","channels":[…]}
class _Channels(_Exchange, gc=False, tag="subscriptions"):
    channels: list[_Channel]

    def decoded(self, frame: Frame, decoder: ExchangeDecoder) -> Iterable[Event]:
        return decoder.listed(_exchange_topics(self.channels), frame)


def _exchange_topics(channels: list[_Channel]) -> frozenset[Topic]:
    return frozenset(
        topic for channel in channels for topic in _topics(channel.name, channel.product_ids or ())
    )


class _RawBook(_Wire, gc=False):
    product_id: str
    asks: list[msgspec.Raw]
    bids: list[msgspec.Raw]
    time: str | None = None


class _RawProducts(_Wire, gc=False):
    products: list[msgspec.Raw]


_BOOK = re.compile(rb'\{"type":"(?:snapshot|l2update)","product_id":"([^"\\]+)"')
_EXCHANGE = frozenset(
    ("l2update", "snapshot", "match", "last_match", "ticker", "heartbeat", "status", "subscriptions")
)
_DATA = (_EXCHANGE | _ADVANCED) - {"heartbeat", "heartbeats", "subscriptions"}

_AdvancedMessage: TypeAlias = (
    _Books | _Trades | _Tickers | _BatchedTickers | _Candles | _Statuses | _Heartbeats | _Subscriptions
)
_ExchangeMessage: TypeAlias = (
    _L2Update | _Match | _Ticker | _Snapshot | _LastMatch | _Heartbeat | _Status | _Channels
)

# Numbers travel as texts, which is what strict=False is for; a text that is no number stays an error.
_read_advanced: Callable[[bytes], _AdvancedMessage] = msgspec.json.Decoder(
    _AdvancedMessage, strict=False
).decode
_read_exchange: Callable[[bytes], _ExchangeMessage] = msgspec.json.Decoder(
    _ExchangeMessage, strict=False
).decode
_read_said = msgspec.json.Decoder(_Said, strict=False).decode
_read_listings = msgspec.json.Decoder(list[_Listing]).decode
_read_channels = msgspec.json.Decoder(list[_Channel]).decode
_read_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_blank = msgspec.json.Decoder(_Blank).decode
_read_raw_book = msgspec.json.Decoder(_RawBook).decode
_read_level = msgspec.json.Decoder(tuple[_Positive, _NotNegative], strict=False).decode
_read_raw_products = msgspec.json.Decoder(_RawProducts).decode
_read_product = msgspec.json.Decoder(_Product, strict=False).decode
