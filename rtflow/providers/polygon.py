"""Massive, once Polygon.io, market data by WebSocket: https://massive.com/docs/websocket/quickstart

The venue's rules, by number where they are obeyed below; where its pages are silent, from the specification
that comes with its client, https://github.com/massive-com/client-python/blob/master/.massive/websocket.json.

1.  One connection serves one cluster, which is an asset class and the path of the address; the host chooses
    between real time, 15 minutes' delay and the feeds of special plans. Hosts end in ``massive.com``, as they
    ended in ``polygon.io`` before 2025-10-30; the protocol is the same.
2.  Everything the venue says is a JSON array of objects, types mixed, ``ev`` naming each one's type. What we
    say is one object.
3.  The venue greets with the status ``connected``, or ``success`` in its specification: what comes first is
    the greeting. It is answered with ``auth`` and the key, and that with ``auth_success``, which is not yet a
    place to stay (rule 7).
4.  ``subscribe`` and ``unsubscribe`` take a comma-separated list of ``TOPIC.TICKER``; a ticker may have dots
    of its own. They add and take away, and each topic is answered by a status of its own: ``success``, which
    names it, or ``error``, which may not.
5.  The ticker ``*`` is all of them. Quotes and fair values of options have no such thing, and a connection
    takes 1,000 contracts of them; nor have values of indices.
    https://massive.com/docs/websocket/options/fair-market-value
6.  ``auth_failed`` is the key or the plan, for good. ``auth_required`` says that we are not, or no longer,
    admitted. ``error`` is about one topic, and the rest goes on.
7.  ``max_connections`` means that the account has one connection too many, and ours is the one to go; the
    venue closes with 1008, and who comes back at once throws the other out. ``slow_consumer`` is our reading,
    ``force_disconnect`` the operator, ``auth_timeout`` our silence: each ends the connection.
    https://massive.com/knowledge-base/categories/websockets
8.  Nothing is said in a pause but the pings of RFC 6455, nothing is replayed after a reconnect, and nothing
    sends a snapshot: the next event is the first.
9.  Stamps are milliseconds, but some types are shown in microseconds or nanoseconds; their size tells.

Stocks: https://massive.com/docs/websocket/stocks/overview

10. A trade's id is unique per ticker, exchange, reporting facility and day. Sequence numbers grow per ticker
    and have holes, so they show no loss; where a trade has no id (options, futures) the number is one.
11. A size is whole shares; ``ds`` is the same with its fraction. Conditions are the venue's numbers, and none
    at all for a regular sale: https://massive.com/glossary/us/stocks/conditions-indicators
12. Quote sizes are in round lots. A price or a size of 0, or none, is no quote.
13. A bar is sent when its second or minute is over, if something traded that counts. It may come late, or
    again with the same start: the later one holds. How many trades it has is not said, but of futures.
14. Price bands and imbalances name their ticker ``T``.

Pairs: https://massive.com/docs/websocket/forex/overview, https://massive.com/docs/websocket/crypto/overview

15. ``EUR/USD`` is a pair of currencies, ``BTC-USD`` one of coins. Fair values, and whatever the launchpad
    feed sends, spell them ``C:EURUSD`` and ``X:BTC-USD``; here each pair has one spelling.
16. Quotes of currencies have no sizes. A bar of theirs may lack its end.
17. A coin's trade with condition 2 was bought, with condition 1 sold. A quote is of one exchange.
18. A book comes whole, up to 100 levels a side, and replaces the one of the same pair and exchange. The venue
    has deprecated books: be prepared for a refusal, or for silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, get_args

import msgspec
from msgspec import Meta, Raw, Struct, field

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    Imbalance,
    Level,
    Malformed,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Side,
    State,
    Status,
    Trade,
)
from rtflow.provider import (
    Answer,
    Profile,
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
from rtflow.time import SECOND

FEEDS = (
    "socket",
    "delayed",
    "nasdaqfeed",
    "polyfeed",
    "polyfeedplus",
    "starterfeed",
    "launchpad",
    "business",
    "edgx-business",
    "iex-business",
    "delayed-business",
    "delayed-edgx-business",
    "delayed-nasdaq-last-sale-business",
    "delayed-nasdaq-basic-business",
    "delayed-fullmarket-business",
    "fullmarket-business",
    "nasdaq-last-sale-business",
    "nasdaq-basic-business",
)
"""The feeds, each with a host of its own (rule 1): in real time, delayed, and those of special plans."""

_HOSTS = {"massive": "massive.com", "polygon": "polygon.io"}


class Polygon(Streams):
    """Massive, once Polygon.io: one cluster of it.

    ``cluster`` is ``stocks``, ``options``, ``forex``, ``crypto``, ``indices`` or ``futures`` (all of them, or
    one exchange's: ``futures/cme``, ``futures/cbot``, ``futures/nymex``, ``futures/comex``); what can be
    subscribed follows from it, see ``kinds``. ``feed`` is one of :data:`FEEDS`, ``socket`` for real time and
    ``delayed`` for 15 minutes later; ``host`` is ``massive``, or ``polygon`` for the addresses before the
    renaming. ``url`` replaces the whole address (a twin's). Stock quotes come in lots of ``lot`` shares, and
    leave in shares.

    Symbols are ``AAPL``, ``O:SPY241220P00720000``, ``EUR/USD``, ``BTC-USD``, ``I:SPX``; ``*`` is all of them,
    where the venue allows it. The launchpad feed has ``bars`` and ``values`` alone, the latter as marks.

        >>> polygon = Polygon("key", cluster="crypto", feed="delayed")
        >>> polygon.request(Subscription.of(trades=["BTC-USD"]))
        Request('wss://delayed.massive.com/crypto')
        >>> from rtflow.events import FrameKind
        >>> frame = Frame(FrameKind.TEXT, b'[{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,'
        ...     b'"s":0.01616617,"c":[2],"i":14272084,"x":3,"r":1610462007576}]', ts_recv=1)
        >>> [(trade.symbol, trade.price, trade.side.name) for trade in polygon.decoder().decode(frame)]
        [('BTC-USD', 33021.9, 'BUY')]

    Raises Unsupported for a cluster or a feed that there is not, ValueError for any other argument it cannot
    use.
    """

    name = "polygon"
    profile = Profile(
        title="Polygon.io (Massive)",
        documents="https://massive.com/docs/websocket/quickstart",
        markets="US stocks, options, indices, futures; currencies; coins",
        encoding="JSON, arrays of objects",
        auth="key, in a message",
        kinds=(
            "trades",
            "quotes",
            "books",
            "second_bars",
            "bars",
            "lulds",
            "imbalances",
            "fair_values",
            "values",
        ),
        depth="100, per exchange (coins)",
        sequence="per symbol, with holes",
        checksum="–",
        heartbeat="WebSocket pings",
        limits="one connection per cluster; 1,000 contracts of option quotes",
    )

    def __init__(
        self,
        key: str,
        *,
        cluster: str = "stocks",
        feed: str = "socket",
        host: Literal["massive", "polygon"] = "massive",
        url: str | None = None,
        lot: float = 100.0,
    ) -> None:
        if cluster not in _CLUSTERS:
            raise Unsupported(f"{self.name} has no cluster {cluster!r}; it offers {', '.join(_CLUSTERS)}")
        if feed not in FEEDS:
            raise Unsupported(f"{self.name} has no feed {feed!r}; it offers {', '.join(FEEDS)}")
        if host not in _HOSTS:
            raise ValueError(f"host is massive or polygon, not {host!r}")
        if not key:
            raise ValueError("an API key is needed; without one the venue admits nobody")
        if not 0 < lot <= _LARGEST:
            raise ValueError(f"a lot is a number of shares, not {lot!r}")
        self.cluster = cluster
        self.feed = feed
        self.url = url or f"wss://{feed}.{_HOSTS[host]}/{cluster}"
        self._market = market = _CLUSTERS[cluster]
        self._codes = market.launchpad if feed == "launchpad" else market.codes
        if not self._codes:
            raise Unsupported(f"{self.name}'s launchpad feed has no {cluster}")
        self._key = key
        self._lot = lot if cluster == "stocks" else 1.0

    def __repr__(self) -> str:
        return f"Polygon(cluster={self.cluster!r}, feed={self.feed!r})"

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of data that the cluster has."""
        return tuple(self._codes)

    def request(self, subscription: Subscription) -> Request:
        """Where to connect; no header, as the key goes in a message (rule 3).

        Raises Unsupported for a kind that the cluster lacks, for ``*`` where the venue has no wildcard, for
        more contracts than a connection takes (rule 5), and for a symbol that the venue spells otherwise.
        """
        try:
            check_kinds(self, subscription)
        except Unsupported as error:
            raise Unsupported(f"{error} on its cluster {self.cluster}") from None
        market = self._market
        for kind, symbol in sorted(subscription.topics):
            if symbol == "*" and kind in market.singly:
                raise Unsupported(
                    f"{self.name} has no wildcard for {kind} of {self.cluster}; name the symbols"
                )
            if not _SYMBOL.fullmatch(symbol):
                raise Unsupported(f"no symbol of {self.name} is spelled {symbol!r}")
            if (spelled := market.spelled(symbol)) != symbol:
                raise Unsupported(f"{self.name}'s cluster {self.cluster} spells {symbol!r} {spelled!r}")
        if self.cluster == "options":
            contracts = {symbol for kind, symbol in subscription.topics if kind in market.singly}
            if len(contracts) > _CONTRACTS:
                raise Unsupported(
                    f"a connection to {self.name} takes quotes and fair values of {_CONTRACTS} contracts, "
                    f"not of {len(contracts)}"
                )
        return Request(self.url)

    def session(self, subscription: Subscription) -> PolygonSession:
        """A conversation that authenticates, then subscribes what is wanted, one request at a time."""
        return PolygonSession(subscription, self._market, self._codes, self._key)

    def decoder(self) -> PolygonDecoder:
        """A reader of the cluster's frames."""
        return PolygonDecoder(self._market, self._lot)


_SYMBOL = re.compile(r"[^\s,]+")  # rule 4: what separates topics is part of none
_CONTRACTS = 1000


# ---------------------------------------------------------------------------------------------- talking

_PATIENCE = 10 * SECOND  # for the greeting, for the answer to the key, and for those to a request
_AT_ONCE = 0  # a deadline of which we know only that it begins now: the first wake() tells when now is
_CHUNK = 500  # topics a request; the venue names no limit
_RETRY_AFTER = 30.0  # seconds that a place may take to be free again, rule 7


class PolygonSession(Session):
    """What the venue serves, and the one request that is to bring it closer to what is wanted.

    One request at a time: an ``error`` may not say which topic it is about (rule 4), but of a request whose
    other topics have been acknowledged, it is about what is left.
    """

    def __init__(
        self, subscription: Subscription, market: _Market, codes: Mapping[str, str], key: str
    ) -> None:
        self._market = market
        self._codes = codes
        self._key = key
        self._wanted = set(subscription.topics)
        self._served: set[Topic] = set()
        self._asked: _Asked | None = None  # in flight
        self._suspects: list[Topic] = []  # one of them was refused, and nobody knows which
        self._unheard: set[Topic] = set()  # asked for, and not answered at all
        self._greeted = False
        self._admitted = False
        self._forgotten = False  # admitted, and then told that we are not
        self._answer_by: int | None = None

    def started(self, now: int) -> None:
        self._answer_by = now + _PATIENCE

    def opened(self) -> Iterable[Send]:
        return ()  # rule 3: the venue speaks first

    def classify(self, payload: bytes) -> Traffic:
        # Statuses may travel among data, so a look at the beginning is not enough; to search is not to parse.
        if payload[:8] == b'[{"ev":"':
            return _CONTROL if b'"status"' in payload else _DATA
        return self._looked_into(payload)

    def received(self, frame: Frame) -> Iterable[Answer]:
        try:
            elements = _split(frame.payload)
        except _BROKEN:
            return ()  # the decoder reads the same frame and says so
        answers: list[Answer] = []
        for element in elements:
            try:
                said = _read_status(element)
            except _BROKEN:  # data, or nothing that anybody can read
                continue
            answers.extend(self._heard(said, frame.ts_recv))
        return answers

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        self._wanted |= added.topics
        self._wanted -= removed.topics
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
        if self._asked is None:
            awaited = "an answer to the key" if self._greeted else "a greeting"
            return (Disconnected(f"waited {_PATIENCE // SECOND} s for {awaited}"),)
        self._unanswered(self._asked)
        return self._next(now)

    def closed(self, code: int, reason: str) -> RtflowError:
        if code == 1008:  # rule 7, even where the status that explains it was lost
            return Throttled(reason or "closed with code 1008", retry_after=_RETRY_AFTER)
        return super().closed(code, reason)

    def _looked_into(self, payload: bytes) -> Traffic:
        """What traffic a frame is that begins as no other does; one that nobody can read delivers nothing."""
        try:
            types = {_read_head(element).ev for element in _split(payload)}
        except _BROKEN:
            return _CONTROL
        return _CONTROL if "status" in types or not types & self._market.types else _DATA

    def _heard(self, said: _Status, now: int) -> Iterable[Answer]:
        reason = f"{said.status}: {said.message}"
        match said.status:
            case "auth_failed":
                return (Rejected(reason, code=said.status),)
            case "max_connections":
                return (Throttled(reason, retry_after=_RETRY_AFTER),)
            case "slow_consumer":
                return (Disconnected(f"{reason} (we read slower than the venue sends)"),)
            case "force_disconnect" | "auth_timeout":
                return (Disconnected(reason),)
            case "auth_success":
                return self._welcome(now)
            case "auth_required":
                return self._forgot(reason, now)
            case "error":
                return self._declined(said.message, now)
            case _ if not self._greeted:  # rule 3: whatever it is called
                self._greeted = True
                return self._authenticate(now)
            case "success" if not self._admitted:  # as the answer to the key was called until 2020
                return self._welcome(now)
            case "success":
                return self._acknowledged(said, now)
            case _:
                return ()

    def _authenticate(self, now: int) -> Iterable[Send]:
        self._answer_by = now + _PATIENCE
        return (_write({"action": "auth", "params": self._key}),)

    def _welcome(self, now: int) -> Iterable[Send]:
        if self._admitted:
            return ()
        self._greeted = self._admitted = True
        self._answer_by = None
        return self._next(now)

    def _forgot(self, reason: str, now: int) -> Iterable[Send | RtflowError]:
        """Rule 6. It is said once a topic; the first makes us introduce ourselves again, once."""
        if not self._admitted:
            return ()
        if self._forgotten:
            return (Disconnected(reason),)
        self._forgotten = True
        self._admitted = False
        self._asked = None
        self._served.clear()
        return self._authenticate(now)

    def _acknowledged(self, said: _Status, now: int) -> Iterable[Answer]:
        topics = self._market.named(said.message)
        if said.message.startswith("unsubscribed"):
            # nobody says whether a symbol of its own outlives its wildcard: it is asked for again
            whole = {kind for kind, symbol in topics if symbol == "*"}
            self._served = {each for each in self._served if each not in topics and each[0] not in whole}
        else:
            self._served.update(topics)
            self._unheard.difference_update(topics)
        return self._settled(topics, now)

    def _declined(self, reason: str, now: int) -> Iterable[Answer]:
        if not self._admitted:
            return (Rejected(reason, code="error") if self._greeted else Disconnected(reason),)
        topics = self._market.named(reason)
        asked = set[Topic]() if self._asked is None else self._asked.topics
        stars = {kind for kind, symbol in topics if symbol == "*" and (kind, symbol) not in asked}
        meant = [topic for topic in asked if topic[0] in stars]  # nobody asked for a star: all of its kind
        topics += meant
        refused = sorted(self._wanted & set(topics))
        if refused:
            self._wanted.difference_update(refused)
            self._served.difference_update(refused)
            return [Refused(tuple(refused), reason, told=not meant), *self._settled(topics, now)]
        if not topics and self._asked is not None:
            self._asked.refusals.append(reason)
        self._served.difference_update(topics)  # not subscribed, it says, and neither do we want it
        return self._settled(topics, now)

    def _settled(self, topics: Collection[Topic], now: int) -> Iterator[Answer]:
        """These topics have their answer. A request is over when all of its topics have one, named or not."""
        asked = self._asked
        if asked is not None:
            asked.topics.difference_update(topics)
            if len(asked.refusals) < len(asked.topics):
                return
            self._asked = self._answer_by = None
            if asked.action == "unsubscribe":
                self._served -= asked.topics  # they may go on coming; we have no other way to ask
            elif asked.topics:
                self._wanted -= asked.topics
                yield Refused(tuple(sorted(asked.topics)), asked.refusals[0])
        yield from self._next(now)

    def _unanswered(self, asked: _Asked) -> None:
        """Nothing more will come in answer to this request."""
        self._asked = None
        if asked.action == "unsubscribe":
            self._served -= asked.topics
        elif asked.refusals:  # of some, not of all: alone, each will have an answer of its own
            self._suspects = sorted(asked.topics)
        else:  # it is asked once more; then we take it as heard, and the data will tell
            self._served |= asked.topics & self._unheard
            self._unheard ^= asked.topics

    def _next(self, now: int | None) -> Iterable[Send]:
        """The next request, if one is needed and none is in flight; what frees places goes first."""
        if self._asked is not None or not self._admitted:
            return ()
        whole = {kind for kind, symbol in self._wanted if symbol == "*"}
        gone = {each for each in self._served - self._wanted if each[0] not in whole}
        if gone:
            return self._ask("unsubscribe", gone, now)
        missing = {each for each in self._wanted - self._served if each[1] == "*" or each[0] not in whole}
        while self._suspects:
            suspect = self._suspects.pop()
            if suspect in missing:
                return self._ask("subscribe", {suspect}, now)
        return self._ask("subscribe", missing, now) if missing else ()

    def _ask(
        self, action: Literal["subscribe", "unsubscribe"], topics: set[Topic], now: int | None
    ) -> Iterable[Send]:
        chosen = sorted(topics)[:_CHUNK]
        self._asked = _Asked(action, set(chosen), [])
        self._answer_by = _AT_ONCE if now is None else now + _PATIENCE
        params = ",".join([f"{self._codes[kind]}.{symbol}" for kind, symbol in chosen])
        return (_write({"action": action, "params": params}),)


class _Asked(NamedTuple):
    """A request to the venue, those of its topics that have no answer yet, and refusals that name none."""

    action: Literal["subscribe", "unsubscribe"]
    topics: set[Topic]
    refusals: list[str]


def _write(request: dict[str, str]) -> str:
    return msgspec.json.encode(request).decode()


# ---------------------------------------------------------------------------------------------- meaning


class PolygonDecoder:
    """What one cluster's frames say. No message needs another to be understood, so nothing is remembered."""

    def __init__(self, market: _Market, lot: float) -> None:
        self.skipped = 0
        self._market = market
        self._read = market.read
        self._lot = lot

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        lot = self._lot
        events: list[Event] = []
        try:
            for message in self._read(frame.payload):  # a comprehension would slow down the one message
                events.append(message.event(frame, lot))
        except _BROKEN:  # not data, or some of it not whole
            return tuple(self._one_by_one(frame))
        return events

    def state(self) -> object:
        """How much was passed over: there is nothing else to know."""
        return {"skipped": self.skipped}

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        self.skipped = msgspec.convert(state, _Known).skipped

    def _one_by_one(self, frame: Frame) -> Iterator[Event]:
        try:
            elements = _split(frame.payload)
        except _BROKEN as error:
            yield Malformed(frame, str(error), frame.ts_recv)
            return
        for position, element in enumerate(elements):
            try:
                kind = _read_head(element).ev
                if kind in self._market.types:
                    yield self._market.read_one(element).event(frame, self._lot)
                elif kind == "status":
                    yield from self._statuses(frame, _read_status(element))
                else:
                    self.skipped += 1
            except _BROKEN as error:
                yield Malformed(frame, f"element {position}: {error}", frame.ts_recv)

    def _statuses(self, frame: Frame, said: _Status) -> Iterable[Status]:
        """What a status says: of each topic it names, or of the connection."""
        state, text = said.state, said.text
        topics = self._market.named(said.message) if state in _OF_TOPICS else []
        return [
            Status(state, frame.ts_recv, text, symbol, kind, frame.epoch, _VENUE)
            for kind, symbol in topics or [("", "")]
        ]


class _Known(Struct):
    """What a decoder knows."""

    skipped: int


_OF_TOPICS = frozenset({"subscribed", "unsubscribed", "rejected"})


# -------------------------------------------------------------------------- the wire, as the venue spells it

# A letter means many things here: "c" conditions, one condition, or a close; "p" a price, a pair, or a paired
# quantity; "s" a size or a start; "a" an ask, asks, or an auction. So each type spells out its own keys; keys
# without a field are not read.

_VENUE = Polygon.name
_LARGEST = 1e150  # beyond any number of a market's, and the product of two is still finite
_Amount: TypeAlias = Annotated[float, Meta(ge=0.0, le=_LARGEST)]  # neither negative nor infinite nor NaN
_Positive: TypeAlias = Annotated[float, Meta(gt=0.0, le=_LARGEST)]
_Signed: TypeAlias = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]  # oil was once sold below nothing
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Numbers: TypeAlias = tuple[int, ...] | None
_Id: TypeAlias = int | str  # the specification's types and its examples differ

_MINUTE = 60 * SECOND
_LAST_STAMP = 2**63 - 1
_TAPES = {1: "A", 2: "B", 3: "C"}
_UNKNOWN = Side.UNKNOWN
_SIDES: dict[tuple[int, ...], Side] = {(1,): Side.SELL, (2,): Side.BUY}  # rule 17
_DATA, _CONTROL = Traffic.DATA, Traffic.CONTROL
_BROKEN = (ValueError, RecursionError)  # msgspec's errors are ValueErrors, bad UTF-8 is one too


def _stamp(number: int) -> int:
    """Nanoseconds of a stamp in whatever unit its size tells (rule 9)."""
    if 100_000_000_000 <= number < 9_223_372_036_854:  # milliseconds, and they fit: the usual case
        return number * 1_000_000
    if number < 100_000_000_000:
        stamp = number * SECOND
    elif number < 100_000_000_000_000:
        stamp = number * 1_000_000
    elif number < 100_000_000_000_000_000:
        stamp = number * 1000
    else:
        return number
    if stamp > _LAST_STAMP:
        raise ValueError(f"a stamp has 64 bits of nanoseconds, which do not reach to {number}")
    return stamp


@lru_cache(maxsize=4096)
def _texts(numbers: tuple[int, ...]) -> tuple[str, ...]:
    """Conditions as text; few combinations are in use."""
    return tuple(map(str, numbers))


@lru_cache(maxsize=4096)
def _alone(number: int | None) -> tuple[str, ...]:
    """A condition that comes by itself, as text."""
    return () if number is None else (str(number),)


_text = lru_cache(maxsize=4096)(str)  # of an exchange's number: there are some dozens


_DECIMAL = re.compile(r"\d+(\.\d+)?", re.ASCII)


def _fraction(text: str) -> float:
    """A size that comes as decimal text."""
    size = float(text) if _DECIMAL.fullmatch(text) else 2 * _LARGEST
    if size > _LARGEST:
        raise ValueError(f"not a size: {text!r}")
    return size


class _Data(Protocol):
    """A message that is one event of the market."""

    def event(self, frame: Frame, lot: float) -> Event: ...


class _Message(Struct, gc=False, tag_field="ev"):
    """A message of the market."""


class _StockTrade(_Message, tag="T"):
    """``{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,
    "q":3681328}``; off an exchange also ``"trfi":202,"trft":1714568400120``, and lately ``"ds":"0.25"``."""

    symbol: str = field(name="sym")
    exchange: int = field(name="x")
    price: _Amount = field(name="p")
    size: _Amount = field(name="s")
    at: _Count = field(name="t")
    id: _Id = field(name="i")
    conditions: _Numbers = field(name="c", default=())
    tape: int = field(name="z", default=0)
    fractional: str | None = field(name="ds", default=None)
    facility: int | None = field(name="trfi", default=None)

    def event(self, frame: Frame, lot: float) -> Trade:
        exchange = _text(self.exchange)
        return Trade(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size if self.fractional is None else _fraction(self.fractional),  # rule 11
            _UNKNOWN,
            # rule 10
            f"{exchange}:{self.id}" if self.facility is None else f"{exchange}:{self.id}:{self.facility}",
            _VENUE,
            exchange,
            _texts(self.conditions) if self.conditions else (),
            _TAPES.get(self.tape, ""),
        )


class _OptionTrade(_Message, tag="T"):
    """``{"ev":"T","sym":"O:AMC210827C00037000","x":65,"p":1.54,"s":1,"c":[233],"t":1629820676333,
    "q":651921857}``"""

    symbol: str = field(name="sym")
    exchange: int = field(name="x")
    price: _Amount = field(name="p")
    size: _Amount = field(name="s")
    at: _Count = field(name="t")
    sequence: int = field(name="q")
    conditions: _Numbers = field(name="c", default=())

    def event(self, frame: Frame, lot: float) -> Trade:
        return Trade(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size,
            _UNKNOWN,
            str(self.sequence),  # rule 10
            _VENUE,
            _text(self.exchange),
            _texts(self.conditions) if self.conditions else (),
        )


class _FutureTrade(_Message, tag="T"):
    """``{"ev":"T","sym":"ESZ5","p":6610.25,"s":2,"t":1758900000123,"q":991}``"""

    symbol: str = field(name="sym")
    price: _Signed = field(name="p")
    size: _Amount = field(name="s")
    at: _Count = field(name="t")
    sequence: int = field(name="q")

    def event(self, frame: Frame, lot: float) -> Trade:
        return Trade(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size,
            id=str(self.sequence),
            venue=_VENUE,
        )


class _CoinTrade(_Message, tag="XT"):
    """``{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.01616617,"c":[2],"i":14272084,"x":3,
    "r":1610462007576}``"""

    symbol: str = field(name="pair")
    price: _Amount = field(name="p")
    at: _Count = field(name="t")
    size: _Amount = field(name="s")
    exchange: _Id = field(name="x")
    conditions: _Numbers = field(name="c", default=())
    id: _Id | None = field(name="i", default=None)

    def event(self, frame: Frame, lot: float) -> Trade:
        exchange, conditions = _text(self.exchange), self.conditions or ()
        return Trade(
            _pair(self.symbol),
            _stamp(self.at),
            frame.ts_recv,
            self.price,
            self.size,
            _SIDES.get(conditions, _UNKNOWN),
            "" if self.id is None else f"{exchange}:{self.id}",
            _VENUE,
            exchange,
            _texts(conditions),
        )


class _StockQuote(_Message, tag="Q"):
    """``{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],
    "t":1536036818784,"q":50385480,"z":3}``; of options without ``c``, ``i`` and ``z``, in contracts."""

    symbol: str = field(name="sym")
    at: _Count = field(name="t")
    bid: _Amount = field(name="bp", default=0.0)
    bid_size: _Amount = field(name="bs", default=0.0)
    ask: _Amount = field(name="ap", default=0.0)
    ask_size: _Amount = field(name="as", default=0.0)
    bid_exchange: int = field(name="bx", default=0)
    ask_exchange: int = field(name="ax", default=0)
    condition: int | None = field(name="c", default=None)
    tape: int = field(name="z", default=0)

    def event(self, frame: Frame, lot: float) -> Quote:
        has_bid, has_ask = self.bid and self.bid_size, self.ask and self.ask_size  # rule 12
        return Quote(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.bid if has_bid else None,
            self.bid_size * lot if has_bid else None,
            self.ask if has_ask else None,
            self.ask_size * lot if has_ask else None,
            _VENUE,
            _text(self.bid_exchange) if self.bid_exchange else "",
            _text(self.ask_exchange) if self.ask_exchange else "",
            _alone(self.condition),
            _TAPES.get(self.tape, ""),
            lot,
        )


class _FutureQuote(_Message, tag="Q"):
    """``{"ev":"Q","sym":"ESZ5","bp":6610,"bs":12,"bt":1758900000120,"ap":6610.25,"as":8,"at":1758900000121,
    "t":1758900000123}``; a price of 0 is one, so the size tells whether there is a quote."""

    symbol: str = field(name="sym")
    at: _Count = field(name="t")
    bid: _Signed | None = field(name="bp", default=None)
    bid_size: _Amount = field(name="bs", default=0.0)
    ask: _Signed | None = field(name="ap", default=None)
    ask_size: _Amount = field(name="as", default=0.0)

    def event(self, frame: Frame, lot: float) -> Quote:
        has_bid = self.bid is not None and self.bid_size
        has_ask = self.ask is not None and self.ask_size
        return Quote(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.bid if has_bid else None,
            self.bid_size if has_bid else None,
            self.ask if has_ask else None,
            self.ask_size if has_ask else None,
            _VENUE,
        )


class _CoinQuote(_Message, tag="XQ"):
    """``{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0.48,"ap":33073.19,"as":0.601,"t":1610462411115,"x":1,
    "r":1610462411128}``"""

    symbol: str = field(name="pair")
    at: _Count = field(name="t")
    exchange: _Id = field(name="x")
    bid: _Amount = field(name="bp", default=0.0)
    bid_size: _Amount = field(name="bs", default=0.0)
    ask: _Amount = field(name="ap", default=0.0)
    ask_size: _Amount = field(name="as", default=0.0)

    def event(self, frame: Frame, lot: float) -> Quote:
        exchange = _text(self.exchange)
        has_bid, has_ask = self.bid and self.bid_size, self.ask and self.ask_size
        return Quote(
            _pair(self.symbol),
            _stamp(self.at),
            frame.ts_recv,
            self.bid if has_bid else None,
            self.bid_size if has_bid else None,
            self.ask if has_ask else None,
            self.ask_size if has_ask else None,
            _VENUE,
            exchange,
            exchange,
        )


class _CurrencyQuote(_Message, tag="C"):
    """``{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363,"t":1536036818784}``, rule 16."""

    symbol: str = field(name="p")
    at: _Count = field(name="t")
    exchange: _Id = field(name="x", default="")
    ask: _Amount = field(name="a", default=0.0)
    bid: _Amount = field(name="b", default=0.0)

    def event(self, frame: Frame, lot: float) -> Quote:
        exchange = _text(self.exchange)
        return Quote(
            _pair(self.symbol),
            _stamp(self.at),
            frame.ts_recv,
            self.bid or None,
            None,
            self.ask or None,
            None,
            _VENUE,
            exchange,
            exchange,
        )


class _Bar(_Message, kw_only=True):
    """What all bars have; those of an index have no more, and may be below zero."""

    width: ClassVar[int]  # nanoseconds

    symbol: str = field(name="sym")
    start: _Count = field(name="s")
    end: _Count | None = field(name="e", default=None)
    open: _Signed = field(name="o")
    high: _Signed = field(name="h")
    low: _Signed = field(name="l")
    close: _Signed = field(name="c")

    def event(self, frame: Frame, lot: float) -> Bar:
        return self.bar(frame)

    def bar(self, frame: Frame, volume: float = 0.0, value: float = 0.0, count: int = 0) -> Bar:
        """The bar, as wide as it says, or else as its type is."""
        start = _stamp(self.start)
        end = 0 if self.end is None else _stamp(self.end)
        if end <= start:  # rule 16; and the example of an index begins and ends at one instant
            end = start + self.width
            if end > _LAST_STAMP:
                raise ValueError(f"a bar from {self.start} on ends beyond all stamps")
        return Bar(
            self.symbol,
            start,
            end,
            self.open,
            self.high,
            self.low,
            self.close,
            volume,
            count,
            value,
            ts_recv=frame.ts_recv,
            venue=_VENUE,
            interval="1s" if self.width == SECOND else "1m",
        )


class _TradedBar(_Bar, kw_only=True):
    """A bar of what was traded; ``dv`` is ``v`` with its fraction."""

    open: _Amount = field(name="o")
    high: _Amount = field(name="h")
    low: _Amount = field(name="l")
    close: _Amount = field(name="c")
    volume: _Amount = field(name="v")
    average: _Amount | None = field(name="vw", default=None)
    fractional: str | None = field(name="dv", default=None)

    def event(self, frame: Frame, lot: float) -> Bar:
        volume = self.volume if self.fractional is None else _fraction(self.fractional)
        average = self.close if self.average is None else self.average
        return self.bar(frame, volume, volume * average)


class _SecondBar(_TradedBar, tag="A"):
    """``{"ev":"A","sym":"SPCE","v":200,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":25.39,"h":25.39,
    "l":25.39,"a":25.3714,"z":50,"s":1610144868000,"e":1610144869000}``"""

    width = SECOND


class _MinuteBar(_TradedBar, tag="AM"):
    """``{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,
    "h":0.4489,"l":0.4486,"a":0.4352,"z":685,"s":1610144640000,"e":1610144700000}``"""

    width = _MINUTE


class _PairBar(_TradedBar):
    """A bar of a pair, however it is spelled (rule 15)."""

    def event(self, frame: Frame, lot: float) -> Bar:
        return msgspec.structs.replace(_TradedBar.event(self, frame, lot), symbol=_pair(self.symbol))


class _LaunchpadBar(_PairBar, tag="AM"):
    """The same with ``"sym":"C:EURUSD"`` or ``"sym":"X:BTC-USD"``."""

    width = _MINUTE


class _CurrencySecondBar(_PairBar, tag="CAS", kw_only=True):
    """``{"ev":"CAS","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,
    "s":1539145740000}``"""

    symbol: str = field(name="pair")

    width = SECOND


class _CurrencyMinuteBar(_PairBar, tag="CA", kw_only=True):
    """``{"ev":"CA","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,
    "s":1539145740000}``"""

    symbol: str = field(name="pair")

    width = _MINUTE


class _CoinSecondBar(_PairBar, tag="XAS", kw_only=True):
    """``{"ev":"XAS","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,
    "s":1610463240000,"e":1610463241000}``"""

    symbol: str = field(name="pair")

    width = SECOND


class _CoinMinuteBar(_PairBar, tag="XA", kw_only=True):
    """``{"ev":"XA","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,
    "s":1610463240000,"e":1610463300000}``"""

    symbol: str = field(name="pair")

    width = _MINUTE


class _IndexSecondBar(_Bar, tag="A"):
    """``{"ev":"A","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.67,"h":3985.67,"l":3985.67,
    "s":1678220675805,"e":1678220675805}``"""

    width = SECOND


class _IndexMinuteBar(_Bar, tag="AM"):
    """``{"ev":"AM","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.67,"h":3985.67,"l":3985.67,
    "s":1678220640000,"e":1678220700000}``"""

    width = _MINUTE


class _FutureBar(_Bar, kw_only=True):
    """A bar of futures: here ``dv`` is what was paid in all, and ``n`` how many trades there were."""

    volume: _Amount = field(name="v")
    value: _Signed | str | None = field(name="dv", default=None)
    count: _Count = field(name="n", default=0)

    def event(self, frame: Frame, lot: float) -> Bar:
        value = _fraction(self.value) if isinstance(self.value, str) else self.value
        if value is None:
            value = self.close * self.volume
        return self.bar(frame, self.volume, value, self.count)


class _FutureSecondBar(_FutureBar, tag="A"):
    """``{"ev":"A","sym":"ESZ5","v":3,"dv":19830.5,"o":6610,"c":6610.25,"h":6610.25,"l":6610,"n":2,
    "s":1758900000000,"e":1758900001000}``"""

    width = SECOND


class _FutureMinuteBar(_FutureBar, tag="AM"):
    """``{"ev":"AM","sym":"ESZ5","v":3,"dv":19830.5,"o":6610,"c":6610.25,"h":6610.25,"l":6610,"n":2,
    "s":1758900000000,"e":1758900060000}``"""

    width = _MINUTE


class _PriceBands(_Message, tag="LULD"):
    """``{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":1601316752683746,"q":290317}``"""

    symbol: str = field(name="T")
    up: _Amount = field(name="h")
    down: _Amount = field(name="l")
    at: _Count = field(name="t")
    indicators: _Numbers = field(name="i", default=())
    tape: int = field(name="z", default=0)

    def event(self, frame: Frame, lot: float) -> PriceBands:
        return PriceBands(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.up or None,
            self.down or None,
            ",".join(_texts(self.indicators or ())),
            _VENUE,
            _TAPES.get(self.tape, ""),
        )


class _Imbalance(_Message, tag="NOI"):
    """``{"ev":"NOI","T":"NTEST.Q","t":1601318039223013600,"at":930,"a":"M","i":44,"x":10,"o":480,"p":440,
    "b":25.03}``; on which side it is, is not said."""

    symbol: str = field(name="T")
    at: _Count = field(name="t")
    price: _Amount = field(name="b")
    size: _Amount | None = field(name="o", default=None)
    paired: _Amount | None = field(name="p", default=None)
    auction: str = field(name="a", default="")

    def event(self, frame: Frame, lot: float) -> Imbalance:
        return Imbalance(
            self.symbol,
            _stamp(self.at),
            frame.ts_recv,
            self.price,
            _VENUE,
            size=self.size,
            paired=self.paired,
            auction=self.auction,
        )


class _FairValue(_Message, tag="FMV"):
    """``{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":1678220098130}``; rule 15 is about pairs."""

    symbol: str = field(name="sym")
    price: _Amount = field(name="fmv")
    at: _Count = field(name="t")

    def event(self, frame: Frame, lot: float) -> ReferencePrice:
        symbol = _pair(self.symbol)
        return ReferencePrice(symbol, _stamp(self.at), frame.ts_recv, self.price, "fair", _VENUE)


class _Mark(_Message, tag="LV"):
    """``{"ev":"LV","val":189.22,"sym":"AAPL","t":1678220098130}``"""

    symbol: str = field(name="sym")
    price: _Amount = field(name="val")
    at: _Count = field(name="t")

    def event(self, frame: Frame, lot: float) -> ReferencePrice:
        symbol = _pair(self.symbol)
        return ReferencePrice(symbol, _stamp(self.at), frame.ts_recv, self.price, "mark", _VENUE)


class _IndexValue(_Message, tag="V"):
    """``{"ev":"V","val":3988.5,"T":"I:SPX","t":1678220098130}``"""

    symbol: str = field(name="T")
    price: _Signed = field(name="val")
    at: _Count = field(name="t")

    def event(self, frame: Frame, lot: float) -> ReferencePrice:
        return ReferencePrice(self.symbol, _stamp(self.at), frame.ts_recv, self.price, "index", _VENUE)


_Levels: TypeAlias = tuple[tuple[_Positive, _Amount], ...] | None
_DEPTH = 100


class _Book(_Message, tag="XL2"):
    """``{"ev":"XL2","pair":"BTC-USD","t":1610462411115,"r":1610462411128,"x":1,
    "b":[[33712.71,0.18635],[33712.7,0.134]],"a":[[33718.23,3.5527483],[33718.24,0.1]]}``, rule 18."""

    symbol: str = field(name="pair")
    at: _Count = field(name="t")
    exchange: _Id = field(name="x")
    bids: _Levels = field(name="b", default=())
    asks: _Levels = field(name="a", default=())

    def event(self, frame: Frame, lot: float) -> OrderBookUpdate:
        return OrderBookUpdate(
            _pair(self.symbol),
            _stamp(self.at),
            frame.ts_recv,
            _standing(self.bids),
            _standing(self.asks),
            True,
            frame.epoch,
            _VENUE,
            _DEPTH,
            exchange=_text(self.exchange),
        )


def _standing(levels: _Levels) -> tuple[Level, ...]:
    """The levels that hold something: in a whole book a size of 0 is no level."""
    return tuple([level for level in levels or () if level[1]])


_CURRENCIES = re.compile(r"(?:C:)?([A-Z]{3})[/-]?([A-Z]{3})")


@lru_cache(maxsize=4096)
def _pair(symbol: str) -> str:
    """A symbol as its own cluster spells it (rule 15).

    >>> _pair("X:BTC-USD"), _pair("C:EURUSD"), _pair("O:SPY241220P00720000")
    ('BTC-USD', 'EUR/USD', 'O:SPY241220P00720000')
    """
    if symbol.startswith("X:"):
        return symbol[2:]
    if symbol.startswith("C:") and (found := _CURRENCIES.fullmatch(symbol)):
        return "/".join(found.groups())
    return symbol


class _Head(Struct, gc=False):
    """The one key that every message has."""

    ev: str


class _Status(Struct, gc=False, tag_field="ev", tag="status"):
    """``{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}``"""

    status: str
    message: str = ""

    @property
    def state(self) -> State:
        match self.status:
            case "success" if self.message.startswith("subscribed"):
                return "subscribed"
            case "success" if self.message.startswith("unsubscribed"):
                return "unsubscribed"
            case "auth_success":
                return "authenticated"
            case "success" if self.message == "authenticated":
                return "authenticated"
            case "error" | "auth_failed" | "auth_required":
                return "rejected"
            case "max_connections":
                return "throttled"
            case _:
                return "venue"

    @property
    def text(self) -> str:
        return self.message if self.status in ("success", "error") else f"{self.status}: {self.message}"


_split = msgspec.json.Decoder(list[Raw]).decode
_read_head = msgspec.json.Decoder(_Head).decode
_read_status = msgspec.json.Decoder(_Status).decode


class _Market:
    """What one cluster has: its topics, and how its messages are read."""

    def __init__(
        self,
        messages: Any,
        codes: dict[str, str],
        *,
        launchpad: dict[str, str] | None = None,
        singly: Collection[str] = (),
        currencies: bool = False,
    ) -> None:
        self.codes = codes  # by kind
        self.launchpad = launchpad or {}  # what is there, if the feed is
        self.singly = frozenset(singly)  # kinds without a wildcard
        self.types = frozenset(message.__struct_config__.tag for message in get_args(messages))
        self.read: Callable[[bytes], list[_Data]] = msgspec.json.Decoder(list[messages]).decode
        self.read_one: Callable[[Raw], _Data] = msgspec.json.Decoder(messages).decode
        self._kinds = {code: kind for each in (self.launchpad, codes) for kind, code in each.items()}
        self._currencies = currencies

    def spelled(self, symbol: str) -> str:
        """A symbol, however the venue or a user has put it, as it is spelled on this cluster."""
        if self._currencies and (found := _CURRENCIES.fullmatch(symbol)):
            return "/".join(found.groups())
        return _pair(symbol)

    def named(self, message: str) -> list[Topic]:
        """The topics that a status speaks of: ``subscribed to: T.MSFT``, or a sentence with one in it."""
        topics: list[Topic] = []
        for word in message.replace(",", " ").split():
            code, _, symbol = word.strip("\"'()[];:!?.").partition(".")  # rule 4: the first dot
            if symbol and code in self._kinds:
                topics.append((self._kinds[code], self.spelled(symbol)))
        return topics


_LAUNCHPAD = {"bars": "AM", "values": "LV"}
_OF_ALL = {"trades": "T", "quotes": "Q", "second_bars": "A", "bars": "AM"}

_FUTURES = _Market(_FutureTrade | _FutureQuote | _FutureSecondBar | _FutureMinuteBar, _OF_ALL)
_CLUSTERS: dict[str, _Market] = {
    "stocks": _Market(
        _StockTrade | _StockQuote | _SecondBar | _MinuteBar | _PriceBands | _Imbalance | _FairValue | _Mark,
        _OF_ALL | {"lulds": "LULD", "imbalances": "NOI", "fair_values": "FMV"},
        launchpad=_LAUNCHPAD,
    ),
    "options": _Market(
        _OptionTrade | _StockQuote | _SecondBar | _MinuteBar | _FairValue | _Mark,
        _OF_ALL | {"fair_values": "FMV"},
        launchpad=_LAUNCHPAD,
        singly=("quotes", "fair_values"),
    ),
    "forex": _Market(
        _CurrencyQuote | _CurrencySecondBar | _CurrencyMinuteBar | _FairValue | _Mark | _LaunchpadBar,
        {"quotes": "C", "second_bars": "CAS", "bars": "CA", "fair_values": "FMV"},
        launchpad=_LAUNCHPAD,
        currencies=True,
    ),
    "crypto": _Market(
        _CoinTrade
        | _CoinQuote
        | _Book
        | _CoinSecondBar
        | _CoinMinuteBar
        | _FairValue
        | _Mark
        | _LaunchpadBar,
        {
            "trades": "XT",
            "quotes": "XQ",
            "books": "XL2",
            "second_bars": "XAS",
            "bars": "XA",
            "fair_values": "FMV",
        },
        launchpad=_LAUNCHPAD,
    ),
    "indices": _Market(
        _IndexValue | _IndexSecondBar | _IndexMinuteBar,
        {"values": "V", "second_bars": "A", "bars": "AM"},
        singly=("values",),
    ),
    "futures": _FUTURES,
    "futures/cme": _FUTURES,
    "futures/cbot": _FUTURES,
    "futures/nymex": _FUTURES,
    "futures/comex": _FUTURES,
}
