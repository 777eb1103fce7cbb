"""Binance, public market streams of spot, USD-M futures and Binance.US.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams

What the venue says, and what is done about it:

 1. Combined streams always, ``{"stream":"btcusdt@trade","data":{…}}``: alone, a ``bookTicker`` of spot has no
    type, and a partial book has neither type nor symbol. Names of streams are in lower case, symbols in
    upper case everywhere else. Answers to requests are never wrapped.
 2. A request names many streams and is answered as a whole, ``{"result":null,"id":1}``, or refused as a
    whole, in either of two shapes, one of them without the ``id``. So one is in flight at a time, and what
    was refused is asked again in halves until the culprit stands alone. Data may come before the answer.
 3. A stream of a symbol that does not exist is accepted, and silent. Only a book betrays it: its snapshot is
    refused (rule 8), and so the book is. Of the other kinds nobody will ever know.
 4. As an answer names no stream, ``LIST_SUBSCRIPTIONS`` is asked after each change: its answer, a list of
    names, is what is told as subscribed. It also stands in for a ping when nothing has come for 30 s.
 5. 5 messages a second to the venue on spot, 10 on USD-M, pongs included; beyond that it hangs up. 1,024
    streams a connection. 300 attempts to connect in 5 minutes.
    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#websocket-limits
 6. The venue sends ping frames, each 20 s on spot, each 3 minutes on USD-M; the transport answers.
 7. A connection lives for 24 hours. ``serverShutdown`` says that one ends sooner. Either way a new one is
    made while the old one still serves, an hour before the 24 are over.
 8. A book is a REST snapshot, joined by its ``lastUpdateId`` with a stream of differences. The stream is
    opened first, the snapshot is asked for when the stream is acknowledged or its first difference has come,
    and once more, later, if it is older than that difference. Sizes are absolute, 0 removes.
    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly
 9. On spot a difference covers the numbers ``U`` to ``u``, and ``U`` is one above the ``u`` before. On USD-M
    all symbols share the numbers, and ``pu`` names the ``u`` before.
    https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly
10. A document has a weight that grows with its levels, an address so much weight a minute: 6,000 on spot,
    2,400 on USD-M, 1,200 on Binance.US. Beyond that it answers 429, then 418, with a time to wait; 403 is
    its firewall. We use at most half, all feeds together, and after any of these ask for nothing until the
    time is over.
    https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
11. ``m`` says that the buyer was the maker: then the aggressor sold. An aggregate joins what one taker got
    at one price; its numbers are its own, so its id here begins with an ``a``.
12. Stamps are milliseconds, or microseconds where the address asks for them. The best bid and ask and the
    partial book of spot have none: theirs is our own. USD-M says when the engine did it (``T``), and that is
    taken, not when the message was made (``E``).
13. A partial book is whole each time. On USD-M it looks like a difference, and only its stream's name tells.
    https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/Partial-Book-Depth-Streams
14. A kline is sent as it forms, about each 2 s, and a last time with ``x`` true.
15. USD-M has two addresses: ``/public`` for books and quotes, ``/market`` for everything else.
    https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/Important-WebSocket-Change-Notice
16. Streams and fields are added without a new version: unknown ones are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Annotated, Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Malformed,
    OrderBookUpdate,
    Quote,
    ReferencePrice,
    Side,
    State,
    Status,
    Trade,
)
from rtflow.provider import (
    Answer,
    Expiring,
    Fetch,
    Profile,
    Rate,
    Refused,
    Request,
    Room,
    Session,
    Subscription,
    Topic,
    Traffic,
    check_kinds,
    denied,
    either,
)
from rtflow.streams import Streams
from rtflow.time import SECOND


class Binance(Streams):
    """One of Binance's markets: ``spot``, ``usdm`` (USD-M futures) or ``us`` (Binance.US). Needs no key.

    Symbols are spelled ``BTCUSDT``. The venue accepts one that it does not have, and is silent; of ``books``
    alone it says so, and then the stream does: ``Status("rejected")``. So look twice at how it is spelled.

    - ``books`` are kept by differences each ``speed`` milliseconds. They begin with a snapshot of ``levels``
      a side that the feed gets by HTTP; what lies deeper is unknown until it changes.
    - ``top_books`` are the best ``depth`` levels (5, 10 or 20), whole each time.
    - ``bars`` are the venue's own, of ``interval`` (``1m``, ``1h``, ``1d`` …).
    - ``aggregate_trades`` are the ``trades``, joined; USD-M has only these. It has ``mark_prices``, too.

    Of one symbol have either ``books`` or ``top_books``, either ``trades`` or ``aggregate_trades``: both
    would make one book of two, and count the same trades twice. On USD-M ``books``, ``top_books`` and
    ``quotes`` have a connection of their own, as the venue serves them elsewhere; so has what goes beyond the
    1,024 streams of one.

    ``microseconds`` asks for finer stamps (spot only). ``url`` and ``rest_url`` replace the venue's hosts,
    each without a path: a nearer one, one with market data only, a twin's (both, or its books would begin
    with the real market's).

    >>> session = Binance().session(Subscription.of(books="BTCUSDT"))
    >>> list(session.opened())
    ['{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}']
    >>> list(session.received(Frame(FrameKind.TEXT, b'{"result":null,"id":1}', ts_recv=1)))
    [Fetch('depth BTCUSDT')]

    Raises Unsupported for what the market does not have, ValueError for a twin's ``url`` without its
    ``rest_url``.
    """

    profile = Profile(
        title="Binance",
        documents="https://developers.binance.com/docs",
        markets="crypto: spot, USD-M futures, Binance.US",
        encoding="JSON",
        auth="–",
        kinds=("trades", "aggregate_trades", "quotes", "books", "top_books", "bars", "mark_prices"),
        depth="5,000 by REST (1,000 on USD-M), then all that changes; or 5, 10, 20",
        sequence="U to u, pu on USD-M",
        checksum="–",
        heartbeat="ping frame: 20 s, USD-M 3 min",
        limits="1,024 streams; 5 messages/s, USD-M 10",
        transport="WebSocket; snapshots by REST",
    )

    def __init__(
        self,
        market: Literal["spot", "usdm", "us"] = "spot",
        *,
        depth: int = 20,
        levels: int = 1000,
        speed: int = 100,
        interval: str = "1m",
        microseconds: bool = False,
        url: str | None = None,
        rest_url: str | None = None,
    ) -> None:
        place = _MARKETS.get(market)
        if place is None:
            raise Unsupported(f"binance has no market {market!r}; it has {', '.join(_MARKETS)}")
        if depth not in _DEPTHS:
            raise Unsupported(f"{place.name} sends the best {either(_DEPTHS)} levels, not {depth}")
        if speed not in place.speeds:
            raise Unsupported(f"{place.name} sends books each {either(place.speeds)} ms, not {speed}")
        if interval not in place.intervals:
            raise Unsupported(f"{place.name} has bars of {either(place.intervals)}, not {interval!r}")
        if microseconds and market != "spot":
            raise Unsupported(f"{place.name} has no stamps in microseconds; spot does")
        if url is not None and url.startswith("ws:") and rest_url is None:
            raise ValueError(f"a twin's snapshots are its own: say rest_url= beside url={url!r}")
        self.market = market
        self.name = place.name
        self.kinds: Collection[str] = place.kinds
        self.url = (url or place.url).rstrip("/")
        self.room = Room(_STREAMS, apart=lambda topic: _path(place.paths, topic[0]))
        self._place = place
        self._levels = levels
        self._weight = place.weight(levels)
        self._query = "?timeUnit=MICROSECOND" if microseconds else ""
        self._document = f"{(rest_url or place.rest).rstrip('/')}{place.page}?limit={levels}&symbol="
        every = "" if speed == place.speeds[-1] else f"@{speed}ms"
        self._streams = {
            "trades": "trade",
            "aggregate_trades": "aggTrade",
            "quotes": "bookTicker",
            "books": f"depth{every}",
            "top_books": f"depth{depth}{every}",
            "bars": f"kline_{interval}",
            "mark_prices": "markPrice@1s",
        }

    def __repr__(self) -> str:
        return f"Binance({self.market!r})"

    def request(self, subscription: Subscription) -> Request:
        """Where to connect.

        Raises Unsupported for a kind or a symbol it cannot have, for more streams than a connection carries,
        and for what excludes each other.
        """
        check_kinds(self, subscription)
        for kind, symbol in subscription.topics:
            if not _SYMBOL.fullmatch(symbol) or symbol.lower().upper() != symbol:
                raise Unsupported(f"{self.name} spells symbols as in 'BTCUSDT', not {symbol!r} ({kind})")
        if len(subscription.topics) > _STREAMS:
            raise Unsupported(
                f"{self.name} allows {_STREAMS} streams a connection, not {len(subscription.topics)}"
            )
        for one, other in _EXCLUSIVE:
            both = {*subscription.symbols(one)} & {*subscription.symbols(other)}
            if both:
                raise Unsupported(
                    f"of {min(both)} either {one} or {other}: together they would be taken for one"
                )
        return Request(f"{self.url}{self._route(subscription)}/stream{self._query}", attempts=_ATTEMPTS)

    def session(self, subscription: Subscription) -> BinanceSession:
        """A fresh conversation that is to end with ``subscription`` being served."""
        return BinanceSession(
            subscription,
            self._streams,
            self._place.paths,
            self._document,
            self._weight,
            Rate(self._place.allowance // 2, 60.0),
            SECOND // (self._place.messages - 2),  # a second has both ends, and there are pongs
        )

    def decoder(self) -> BinanceDecoder:
        """A fresh reader of one connection's frames."""
        return BinanceDecoder(self.name, _FUTURES if self.market == "usdm" else _SPOT, self._levels)

    def _route(self, subscription: Subscription) -> str:
        paths = {_path(self._place.paths, kind): kind for kind in subscription.kinds}
        if len(paths) > 1:
            one, other = paths.values()
            raise Unsupported(
                f"{self.name} serves {one} and {other} at two addresses, not over one connection"
            )
        return next(iter(paths), _path(self._place.paths, "books"))


_STREAMS = 1024  # rule 5
_ATTEMPTS = Rate(250, 300.0)  # rule 5, and room for who else shares our address
_DEPTHS = (5, 10, 20)
_MINUTES = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
_EXCLUSIVE = (("books", "top_books"), ("trades", "aggregate_trades"))
_SYMBOL = re.compile(r"[\w.-]+")  # letters of any alphabet: symbols in Chinese exist


class _Market(NamedTuple):
    """What is different from market to market."""

    name: str
    url: str
    rest: str
    page: str  # of the snapshots
    kinds: tuple[str, ...]
    speeds: tuple[int, ...]  # the last is the one without a suffix
    intervals: tuple[str, ...]
    messages: int  # a second
    allowance: int  # weight a minute
    weights: Mapping[int, int]  # of a snapshot, by the levels it reaches to
    exact: bool  # whether only these levels can be had, and none in between
    paths: Mapping[str, str] = {}  # by kind, where not all are served at one; rule 15

    def weight(self, levels: int) -> int:
        """What a snapshot of so many levels weighs; Unsupported where there is none."""
        if not 1 <= levels <= max(self.weights) or (self.exact and levels not in self.weights):
            offer = either(self.weights) if self.exact else f"1 to {max(self.weights)}"
            raise Unsupported(f"{self.name} has snapshots of {offer} levels, not {levels}")
        return next(weight for reach, weight in self.weights.items() if levels <= reach)


def _path(paths: Mapping[str, str], kind: str) -> str:
    return paths.get(kind, "")


_SPOT_KINDS = ("trades", "aggregate_trades", "quotes", "books", "top_books", "bars")
_SPOT_WEIGHTS = {100: 5, 500: 25, 1000: 50, 5000: 250}
_MARKETS = {
    "spot": _Market(
        "binance",
        "wss://stream.binance.com:9443",
        "https://api.binance.com",
        "/api/v3/depth",
        _SPOT_KINDS,
        (100, 1000),
        ("1s", *_MINUTES),
        5,
        6000,
        _SPOT_WEIGHTS,
        False,
    ),
    "usdm": _Market(
        "binance_usdm",
        "wss://fstream.binance.com",
        "https://fapi.binance.com",
        "/fapi/v1/depth",
        ("aggregate_trades", "quotes", "books", "top_books", "bars", "mark_prices"),
        (100, 500, 250),
        _MINUTES,
        10,
        2400,
        {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20},
        True,
        {
            "quotes": "/public",
            "books": "/public",
            "top_books": "/public",
            "aggregate_trades": "/market",
            "bars": "/market",
            "mark_prices": "/market",
        },
    ),
    "us": _Market(
        "binance_us",
        "wss://stream.binance.us:9443",
        "https://api.binance.us",
        "/api/v3/depth",
        _SPOT_KINDS,
        (100, 1000),
        _MINUTES,
        5,
        1200,
        _SPOT_WEIGHTS,
        False,
    ),
}


# ---------------------------------------------------------------------------------------------- talking


class BinanceSession(Session):
    """What we say to Binance on one connection, and what its answers make of it.

    Topics are wanted, served, or in the one request under way; whatever is out of balance is asked next. Each
    book has a snapshot under way or queued at most, so nobody who asks for one twice gets two.
    """

    def __init__(
        self,
        subscription: Subscription,
        streams: Mapping[str, str],
        paths: Mapping[str, str],
        document: str,
        weight: int,
        allowance: Rate,
        spacing: int,
    ) -> None:
        self._streams = streams
        self._paths = paths
        self._path = _path(paths, next(iter(subscription.kinds), "books"))
        self._document = document
        self._weight = weight
        self._allowance = allowance
        self._document_spacing = weight * round(allowance.within * SECOND) // allowance.most
        self._burst = min(9 * self._document_spacing, _LONGEST_BURST)  # ten at once, after a while without
        self._spacing = spacing
        self._wanted = set(subscription.topics)
        self._served: set[Topic] = set()
        self._asked: _Asked | None = None
        self._suspects: list[set[Topic]] = []  # parts of a request that was refused for some part of it
        self._unbalanced = True
        self._listed = True  # nothing has changed since the venue listed what is subscribed
        self._unlisted: set[Topic] = set()  # subscribed since then
        self._last_id = 0
        self._now = 0
        self._pace = 0  # when the next request may leave
        self._books: dict[str, _Book] = {}
        self._awaited: dict[bytes, str] = {}  # stream to symbol, of books whose first difference has not come
        self._queue: list[tuple[int, str]] = []  # when to fetch which book
        self._full = 0  # a bucket of _burst that refills one document in a spacing: full at this stamp
        self._frames = 0
        self._counted = 0  # of _frames, at the last look
        self._heard = 0
        self._look = _LOOK
        self._ends = self._renews = 1 << 63

    def started(self, now: int) -> None:
        self._now = self._heard = now
        self._look = now + _LOOK
        self._ends = now + _LIFE
        self._renews = now + _RENEWAL

    def opened(self) -> Iterable[Answer]:
        return list(self._requests())

    def classify(self, payload: bytes) -> Traffic:
        self._frames += 1
        if payload[:11] != b'{"stream":"':
            return _classify(payload)
        if self._awaited and payload[11 : payload.find(b'"', 11)] in self._awaited:
            return Traffic.CONTROL  # the first difference tells how old a snapshot may be
        return Traffic.CONTROL if payload[11:12] == b"!" else Traffic.DATA

    def received(self, frame: Frame) -> Iterable[Answer]:
        self._now = frame.ts_recv
        answers: list[Answer] = []
        if frame.kind is FrameKind.HTTP:
            self._arrived(*Fetch.document(frame.payload))
        else:
            try:
                other = _read_other(frame.payload)
                if other.stream:
                    self._begun(other)
            except _BROKEN:  # the decoder says Malformed
                return ()
            if other.shuts_down:
                self._ends = self._now  # whenever it comes, it was announced
                return (Expiring("the venue shuts this server down"),)
            if other.result is not UNSET or other.fault is not None:
                answers.extend(self._settle(other))
        answers.extend(self._requests())
        return answers

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Answer]:
        self._wanted |= added.topics
        self._wanted -= removed.topics
        self._unbalanced = True
        if any(_path(self._paths, kind) != self._path for kind in added.kinds):
            return (Disconnected("what is wanted now is served at another address", announced=True),)
        for symbol in added.symbols("books"):
            book = self._books.get(symbol)
            if book is not None and book.last is None:
                self._enqueue(symbol, book, self._now)
        return list(self._requests())

    def resync(self, symbol: str) -> Iterable[Answer]:
        book = self._books.get(symbol)
        if book is not None:
            self._enqueue(symbol, book, self._now)
        return list(self._requests())

    def due(self) -> int | None:
        due = self._look
        if self._unbalanced and self._asked is None:
            due = min(due, self._pace)
        if self._queue:
            due = min(due, max(self._queue[0][0], self._full - self._burst))
        return due

    def wake(self, now: int) -> Iterable[Answer]:
        self._now = now
        if now >= self._look:
            self._look = now + _LOOK
            if self._asked is not None and now >= self._asked.until:
                silence = (now - self._heard) // SECOND
                return (
                    Disconnected(f"no answer to {self._asked.method} within 10 s, silent for {silence} s"),
                )
            if self._frames != self._counted:
                self._counted = self._frames
                self._heard = now
            elif now - self._heard >= _SILENCE:
                self._listed = False
                self._unbalanced = True
        answers: list[Answer] = list(self._requests())
        if now >= self._renews:
            self._renews = 1 << 63
            answers.append(Expiring("its 24 hours are almost over"))
        return answers

    def serving(self) -> bool:
        return (
            self._listed
            and self._wanted == self._served
            and all(
                (book := self._books.get(symbol)) is not None and book.settled
                for kind, symbol in self._wanted
                if kind == "books"
            )
        )

    def unfetched(self, fetch: Fetch, error: RtflowError, now: int) -> Iterable[Answer]:
        self._now = now
        symbol = fetch.label.removeprefix(_LABEL)
        book = self._books.get(symbol)
        answers: list[Answer] = []
        if isinstance(error, Throttled):
            self._full = max(self._full, now + round(error.retry_after * SECOND) + self._burst)
        elif isinstance(error, Rejected) and error.code == 403:
            self._full = max(self._full, now + _FIREWALLED + self._burst)
        elif isinstance(error, Rejected) and book is not None:  # rule 3
            topic = ("books", symbol)
            self._wanted.discard(topic)
            self._unlisted.discard(topic)  # it is told as rejected
            answers.append(Refused((topic,), f"{fetch.label}: {error}"))
        if book is not None:
            book.under_way = False
            self._unbalanced = True
            self._later(symbol, book)
        answers.extend(self._requests())
        return answers

    def denied(self, status: int, text: str) -> RtflowError:
        wait = _DENIED.get(status)
        if wait is None:
            return denied(status, text)
        return Throttled(f"HTTP {status} {text}".rstrip(), retry_after=wait)

    def closed(self, code: int, reason: str) -> RtflowError:
        if code == 1008 and "too many" in reason.lower():
            return Throttled(reason, retry_after=_DENIED[429])
        if self._now >= self._ends:
            reason = reason or f"closed with code {code}"
            return Disconnected(f"{reason}, as was announced", code=code, announced=True)
        return super().closed(code, reason)

    # -- requests

    def _requests(self) -> Iterator[Answer]:
        """What may be asked by now: of the venue, and by HTTP."""
        if self._unbalanced and self._asked is None and self._pace <= self._now:
            change = self._next_change()
            if change is None:
                self._unbalanced = False
            else:
                yield self._ask(*change)
        yield from self._fetches()

    def _next_change(self) -> tuple[str, set[Topic]] | None:
        """Method and topics of the request that comes next; None when all is in balance."""
        under_way = {("books", symbol) for symbol, book in self._books.items() if book.under_way}
        leave = self._served - self._wanted - under_way  # a snapshot would come after the farewell
        if leave & self._unlisted:  # rule 4: what was never told as subscribed is never told as unsubscribed
            return "LIST_SUBSCRIPTIONS", set()
        if leave:
            return "UNSUBSCRIBE", {*sorted(leave)[:_CHUNK]}
        missing = self._wanted - self._served
        while self._suspects:
            suspects = self._suspects.pop() & missing
            if suspects:
                return "SUBSCRIBE", suspects
        if missing:
            return "SUBSCRIBE", {*sorted(missing)[:_CHUNK]}
        return None if self._listed else ("LIST_SUBSCRIPTIONS", set())

    def _ask(self, method: str, topics: set[Topic]) -> str:
        self._last_id += 1
        self._pace = self._now + self._spacing
        self._asked = _Asked(self._last_id, method, topics, self._now + _PATIENCE)
        request: dict[str, object] = {"method": method}
        if topics:
            request["params"] = [self._stream(topic) for topic in sorted(topics)]
        if method == "SUBSCRIBE":
            for kind, symbol in topics:
                if kind == "books":
                    self._awaited[self._stream((kind, symbol)).encode()] = symbol
        request["id"] = self._last_id
        return msgspec.json.encode(request).decode()

    def _stream(self, topic: Topic) -> str:
        kind, symbol = topic
        return f"{symbol.lower()}@{self._streams[kind]}"

    def _settle(self, answer: _Other) -> Iterator[Answer]:
        """What an answer means for the topics of the request that it answers."""
        asked, fault = self._asked, answer.fault
        if fault is not None and 500 <= fault.code < 600:
            yield Disconnected(f"{fault.code} {fault.msg}")
            return
        if asked is None or answer.id not in (None, asked.id):
            return  # nobody waits for it; the decoder tells what it said
        self._asked = None
        self._unbalanced = True
        if fault is not None and fault.code != 2:
            yield Rejected(f"{fault.code} {fault.msg}", code=fault.code)
        elif asked.method == "LIST_SUBSCRIPTIONS":
            self._listed = True
            self._unlisted.clear()
        elif asked.method == "UNSUBSCRIBE":  # whatever the answer, there is no more to be had by asking again
            self._listed = False
            self._served -= asked.topics
            self._forget(asked.topics)
        elif fault is None:
            self._listed = False
            self._served |= asked.topics
            self._unlisted |= asked.topics
            for kind, symbol in sorted(asked.topics):
                if kind == "books":
                    self._begin(symbol)
        else:
            self._forget(asked.topics)
            yield from self._declined(asked.topics, f"{fault.code} {fault.msg}")

    def _declined(self, topics: set[Topic], reason: str) -> Iterator[Answer]:
        """Rule 2."""
        if len(topics) > 1:
            listed = sorted(topics)
            middle = len(listed) // 2
            self._suspects += [{*listed[middle:]}, {*listed[:middle]}]
        else:
            self._wanted -= topics
            yield Refused(tuple(topics), reason)

    # -- books

    def _begin(self, symbol: str) -> _Book:
        """The book of ``symbol``, whose stream has begun; a new one wants a snapshot."""
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = _Book()
            self._enqueue(symbol, book, self._now)
        return book

    def _forget(self, topics: set[Topic]) -> None:
        for topic in topics:
            if topic[0] == "books":
                self._books.pop(topic[1], None)
                self._awaited.pop(self._stream(topic).encode(), None)

    def _begun(self, other: _Other) -> None:
        """A stream speaks: if it is a book's, and the first time, its snapshot must reach to here."""
        name = other.stream.encode()
        if name in self._awaited:
            first = _read_first(other.data)
            symbol = self._awaited.pop(name)
            book = self._begin(symbol)
            book.before = first.U - 1 if first.pu is None else first.pu
            self._check(symbol, book)

    def _arrived(self, label: str, body: bytes) -> None:
        """A document: the snapshot of a book."""
        symbol = label.removeprefix(_LABEL)
        book = self._books.get(symbol)
        if book is None:
            return
        book.under_way = False
        self._unbalanced = True  # it may have been waited for, to let the book go
        try:
            book.last = _read_number(body).last
        except _BROKEN:  # the decoder says Malformed
            self._later(symbol, book)
        else:
            self._check(symbol, book)

    def _check(self, symbol: str, book: _Book) -> None:
        """Have a snapshot taken anew that is older than the first difference of its stream."""
        if book.last is None:
            return
        if book.last < 0 or (book.before is not None and book.last < book.before):
            self._later(symbol, book)
        else:
            book.tries = 0

    def _later(self, symbol: str, book: _Book) -> None:
        """The next attempt, after a wait that grows."""
        wait = min(_LONGEST_WAIT, SECOND << min(book.tries, 10))
        book.tries += 1
        self._enqueue(symbol, book, self._now + wait)

    def _enqueue(self, symbol: str, book: _Book, at: int) -> None:
        if not book.under_way and book.at is None and ("books", symbol) in self._wanted:
            book.at = at
            heappush(self._queue, (at, symbol))

    def _fetches(self) -> Iterator[Fetch]:
        """The documents that may be asked for by now; rule 10."""
        while self._queue and max(self._queue[0][0], self._full - self._burst) <= self._now:
            at, symbol = heappop(self._queue)
            book = self._books.get(symbol)
            if book is None or book.at != at:
                continue  # another book has taken its place
            book.at = None
            if ("books", symbol) in self._wanted:
                book.under_way = True
                self._full = max(self._full, self._now) + self._document_spacing
                url = self._document + quote(symbol)
                yield Fetch(f"{_LABEL}{symbol}", url, weight=self._weight, allowance=self._allowance)


class _Asked(NamedTuple):
    """The request in flight."""

    id: int
    method: str
    topics: set[Topic]
    until: int


class _Book(msgspec.Struct):
    """A book whose stream runs, and where its snapshot is."""

    at: int | None = None  # when it is to be fetched
    under_way: bool = False
    tries: int = 0  # in a row that did not help
    before: int | None = None  # the number before the stream's first difference
    last: int | None = None  # the number of the newest snapshot

    @property
    def settled(self) -> bool:
        """Whether it has its snapshot, and needs no other."""
        return self.last is not None and self.at is None and not self.under_way


_CHUNK = 100  # streams a request
_PATIENCE = 10 * SECOND  # for an answer
_LOOK = SECOND  # how often we look for signs of life
_SILENCE = 30 * SECOND
_LONGEST_BURST = 30 * SECOND  # with heavy documents: a half of what a minute allows, and this, are within it
_LONGEST_WAIT = 60 * SECOND  # between two attempts at a document
_LIFE = (24 * 60 - 1) * 60 * SECOND  # a minute short of rule 7: clocks differ
_RENEWAL = 23 * 60 * 60 * SECOND  # an hour, as the snapshots of a thousand books take half of one
_FIREWALLED = 300 * SECOND
_DENIED = {
    403: 300.0,
    418: 120.0,
    429: 60.0,
}  # seconds to wait, by HTTP status; the venue's least where it says
_LABEL = "depth "
_BROKEN = (ValueError, RecursionError)  # msgspec's errors are ValueErrors, bad UTF-8 is one too


def _classify(payload: bytes) -> Traffic:
    """By reading: for answers, and for keys in an order that nobody has seen yet."""
    try:
        stream = _read_other(payload).stream
    except _BROKEN:
        return Traffic.CONTROL
    return Traffic.DATA if stream and not stream.startswith("!") else Traffic.CONTROL


# ---------------------------------------------------------------------------------------------- meaning


class BinanceDecoder:
    """What Binance's frames say. Remembers only what is subscribed, to say what changed."""

    def __init__(self, venue: str, readers: Mapping[str, _Read], levels: int) -> None:
        self.skipped = 0
        self._venue = venue
        self._levels = levels  # of a snapshot, at most
        self._readers = readers
        self._known: dict[bytes, tuple[_Read, _Stream]] = {}  # by the name of the stream
        self._subscribed: frozenset[Topic] = frozenset()

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        payload = frame.payload
        known = self._known.get(payload[11 : payload.find(b'"', 11)])
        try:
            if known is not None:
                read, stream = known
                return read(payload).data.events(frame, stream)
            if frame.kind is FrameKind.HTTP:
                return self._document(frame)
            return self._other(frame, _read_other(payload))
        except _BROKEN as error:
            return (Malformed(frame, str(error), frame.ts_recv),)

    def state(self) -> object:
        """What is subscribed and the count of what was passed over, as plain data."""
        return _Memory(tuple(sorted(self._subscribed)), self.skipped)

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        memory = msgspec.convert(state, _Memory)
        self._subscribed, self.skipped = frozenset(memory.subscribed), memory.skipped

    def _document(self, frame: Frame) -> Iterable[Event]:
        label, body = Fetch.document(frame.payload)
        if not label.startswith(_LABEL):
            self.skipped += 1
            return ()
        symbol = label.removeprefix(_LABEL)
        snapshot = _read_snapshot(body)
        if snapshot.last < 0:
            return (self._status(frame, "venue", "there is no book yet", symbol, "books"),)
        return snapshot.events(frame, _Stream("books", symbol, self._venue), self._levels)

    def _other(self, frame: Frame, other: _Other) -> Iterable[Event]:
        """The first frame of a stream, an answer, and what nobody knows."""
        if other.shuts_down:
            return (self._status(frame, "venue", "serverShutdown"),)
        if other.stream:
            return self._first(frame, other.stream)
        fault = other.fault
        if fault is not None:
            state: State = "venue" if 500 <= fault.code < 600 else "rejected"
            return (self._status(frame, state, f"{fault.code} {fault.msg}"),)
        if isinstance(other.result, list):
            return self._listed(frame, other.result)
        self.skipped += other.result is UNSET
        return ()

    def _first(self, frame: Frame, name: str) -> Iterable[Event]:
        stream = _stream(name, self._venue)
        read = self._readers.get(stream.kind) if stream else None
        if stream is None or read is None:
            self.skipped += 1
            return ()
        if len(self._known) < _REMEMBERED:
            self._known[name.encode()] = read, stream
        return read(frame.payload).data.events(frame, stream)

    def _listed(self, frame: Frame, streams: list[str]) -> Iterable[Status]:
        """Rule 4."""
        before = self._subscribed
        self._subscribed = frozenset((each.kind, each.symbol) for name in streams if (each := _stream(name)))
        changes: tuple[tuple[State, frozenset[Topic]], ...] = (
            ("unsubscribed", before - self._subscribed),
            ("subscribed", self._subscribed - before),
        )
        return tuple(
            self._status(frame, state, "", symbol, kind)
            for state, topics in changes
            for kind, symbol in sorted(topics)
        )

    def _status(self, frame: Frame, state: State, text: str, symbol: str = "", kind: str = "") -> Status:
        return Status(state, frame.ts_recv, text, symbol, kind, frame.epoch, self._venue)


class _Memory(msgspec.Struct):
    """A decoder's state."""

    subscribed: tuple[Topic, ...]
    skipped: int


_REMEMBERED = 4096  # names of streams
_NAME = re.compile(
    r"(?P<symbol>[^@]+)@(?:(?P<trades>trade)|(?P<aggregate_trades>aggTrade)|(?P<quotes>bookTicker)"
    r"|depth(?P<depth>[1-9]\d{0,3})?(?:@\d+ms)?|(?P<bars>kline)_\w+(?:@[+-]\d\d:\d\d)?"
    r"|(?P<mark_prices>markPrice)(?:@1s)?)"
)


class _Stream(msgspec.Struct, frozen=True):
    """What a stream is about."""

    kind: str
    symbol: str
    venue: str = ""
    depth: int | None = None


def _stream(name: str, venue: str = "") -> _Stream | None:
    """What the stream of this name is about; None if nobody knows.

    >>> _stream("btcusdt@depth20@100ms")
    _Stream(kind='top_books', symbol='BTCUSDT', venue='', depth=20)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    symbol, depth = match["symbol"].upper(), match["depth"]
    if depth:
        return _Stream("top_books", symbol, venue, int(depth))
    kinds = [kind for kind in _KINDS if match[kind]]
    return _Stream(kinds[0] if kinds else "books", symbol, venue)


_KINDS = ("trades", "aggregate_trades", "quotes", "bars", "mark_prices")

# -------------------------------------------------------------------------- the wire, as the venue spells it

_LARGEST = 1e150  # beyond any number of a market's, and the product of two is still finite
_Positive: TypeAlias = Annotated[float, Meta(gt=0.0, le=_LARGEST)]  # decimal text; not infinite and not NaN
_NotNegative: TypeAlias = Annotated[float, Meta(ge=0.0, le=_LARGEST)]
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_At: TypeAlias = Annotated[int, Meta(ge=0, le=(2**63 - 1) // 1000)]
_Levels: TypeAlias = tuple[tuple[_Positive, _NotNegative], ...]

_LAST_STAMP = 2**63 - 1
_LAST_MILLISECOND = _LAST_STAMP // 1_000_000  # as microseconds a day of April 1970


def _stamp(at: int) -> int:
    """Nanoseconds of milliseconds or microseconds, whichever it is; rule 12.

    >>> _stamp(1723161601438), _stamp(1723161601438000)
    (1723161601438000000, 1723161601438000000)
    """
    return at * 1_000_000 if at <= _LAST_MILLISECOND else at * 1_000


def _wrong(said: str, symbol: str) -> ValueError:
    """A frame names its symbol twice, and not the same."""
    return ValueError(f"a stream of {symbol} speaks of {said}")


# looking a member up in its enumeration would cost more than making the trade
_BUY = Side.BUY
_SELL = Side.SELL


class _Wire(msgspec.Struct, gc=False):
    """What every type here shares: gone before the next frame comes, so no work for the collector."""


_Row = TypeVar("_Row")


# {"stream":"btcusdt@trade","data":{…}}
class _Combined(_Wire, Generic[_Row], gc=False):
    stream: str
    data: _Row


# {"e":"trade","E":1723161601438,"s":"BTCUSDT","t":3735693016,"p":"61685.99000000","q":"0.00017000",
#  "T":1723161601437,"m":true,"M":true}
class _Trade(_Wire, gc=False, tag_field="e", tag="trade"):
    s: str
    t: _Count
    p: _Positive
    q: _NotNegative
    T: _At
    m: bool

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        symbol = stream.symbol
        if self.s != symbol:
            raise _wrong(self.s, symbol)
        return (
            Trade(
                symbol,
                _stamp(self.T),
                frame.ts_recv,
                self.p,
                self.q,
                _SELL if self.m else _BUY,  # rule 11
                str(self.t),
                stream.venue,
            ),
        )


# {"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000",
#  "f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}
class _AggregateTrade(_Wire, gc=False, tag_field="e", tag="aggTrade"):
    s: str
    a: _Count
    p: _Positive
    q: _NotNegative
    T: _At
    m: bool

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        symbol = stream.symbol
        if self.s != symbol:
            raise _wrong(self.s, symbol)
        return (
            Trade(
                symbol,
                _stamp(self.T),
                frame.ts_recv,
                self.p,
                self.q,
                _SELL if self.m else _BUY,
                f"a{self.a}",
                stream.venue,
            ),
        )


# {"u":35346513501,"s":"ETHUSDT","b":"2683.80000000","B":"3.02920000","a":"2683.81000000","A":"31.43950000"}
# {"e":"bookTicker","u":600859603936,"s":"SUSHIUSDT","b":"7.6110","B":"6","a":"7.6120","A":"297",
#  "T":1626992741163,"E":1626992741167}
class _BookTicker(_Wire, gc=False, tag_field="e", tag="bookTicker"):
    s: str
    b: _NotNegative
    B: _NotNegative
    a: _NotNegative
    A: _NotNegative
    T: _At | None = None

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        symbol = stream.symbol
        if self.s != symbol:
            raise _wrong(self.s, symbol)
        received = frame.ts_recv
        bid: float | None = self.b
        bid_size: float | None = self.B
        ask: float | None = self.a
        ask_size: float | None = self.A
        if not (bid and bid_size):
            bid = bid_size = None
        if not (ask and ask_size):
            ask = ask_size = None
        stamp = received if self.T is None else _stamp(self.T)
        return (Quote(symbol, stamp, received, bid, bid_size, ask, ask_size, stream.venue),)


# {"e":"depthUpdate","E":1723161255508,"s":"ETHUSDT","U":35346513513,"u":35346513514,
#  "b":[["2676.78000000","4.24540000"],["2672.03000000","0.00000000"]],"a":[]}
# {"e":"depthUpdate","E":1626992741140,"T":1626992741123,"s":"SUSHIUSDT","U":600859601193,"u":600859602861,
#  "pu":600859600917,"b":[["7.5980","1433"]],"a":[["7.6170","534"]]}
class _Difference(_Wire, gc=False, tag_field="e", tag="depthUpdate"):
    E: _At
    s: str
    U: _Count
    u: _Count
    b: _Levels
    a: _Levels
    T: _At | None = None
    pu: _Count | None = None

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        symbol = stream.symbol
        if self.s != symbol:
            raise _wrong(self.s, symbol)
        first, last, before = self.U, self.u, self.pu
        if not first <= last or (before is not None and before >= last):
            raise ValueError(f"a difference from {first} to {last} after {before}")
        return (
            OrderBookUpdate(
                symbol,
                _stamp(self.E if self.T is None else self.T),
                frame.ts_recv,
                self.b,
                self.a,
                False,
                frame.epoch,
                stream.venue,
                None,
                last,
                None,
                "",
                (),
                (),
                first,
                before,
            ),
        )


# {"e":"depthUpdate","E":1571889248277,"T":1571889248276,"s":"BTCUSDT","U":390497796,"u":390497878,
#  "pu":390497794,"b":[["7403.89","0.002"]],"a":[["7405.96","3.340"]]}
class _FuturesTop(_Wire, gc=False, tag_field="e", tag="depthUpdate"):
    """Rule 13."""

    T: _At
    s: str
    u: _Count
    b: _Levels
    a: _Levels

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        if self.s != stream.symbol:
            raise _wrong(self.s, stream.symbol)
        return _whole(frame, stream, _stamp(self.T), self.b, self.a, self.u)


# {"lastUpdateId":35346513512,"bids":[["2683.80000000","3.02920000"]],
#  "asks":[["2683.81000000","31.43950000"]]}
# {"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,"bids":[["4.00000000","431.00000000"]],
#  "asks":[["4.00000200","12.00000000"]]}
class _Whole(_Wire, gc=False):
    """A partial book of spot, and the snapshot of a book; that of USD-M has a stamp."""

    last: Annotated[int, Meta(ge=-1, le=2**63 - 1)] = msgspec.field(name="lastUpdateId")  # -1: no book yet
    bids: _Levels
    asks: _Levels
    T: _At | None = None

    def events(self, frame: Frame, stream: _Stream, limit: int | None = None) -> tuple[Event, ...]:
        stamp = frame.ts_recv if self.T is None else _stamp(self.T)
        return _whole(frame, stream, stamp, self.bids, self.asks, self.last, limit)


def _whole(
    frame: Frame,
    stream: _Stream,
    stamp: int,
    bids: _Levels,
    asks: _Levels,
    last: int,
    limit: int | None = None,
) -> tuple[Event, ...]:
    return (
        OrderBookUpdate(
            stream.symbol,
            stamp,
            frame.ts_recv,
            bids,
            asks,
            True,
            frame.epoch,
            stream.venue,
            stream.depth,
            last,
            limit=limit,
        ),
    )


# {"t":1633998480000,"T":1633998539999,"s":"NKNUSDT","i":"1m","f":19862761,"L":19862790,"o":"0.35270000",
#  "c":"0.35280000","h":"0.35280000","l":"0.35220000","v":"25877.00000000","n":30,"x":false,
#  "q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}
class _Candle(_Wire, gc=False):
    t: _At
    T: _At
    i: str
    o: _Positive
    c: _Positive
    h: _Positive
    l: _Positive  # noqa: E741 - the venue's own letter
    v: _NotNegative
    n: _Count
    x: bool
    q: _NotNegative
    V: _NotNegative


# {"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{…}}
class _Kline(_Wire, gc=False, tag_field="e", tag="kline"):
    s: str
    k: _Candle

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        symbol, row = stream.symbol, self.k
        if self.s != symbol:
            raise _wrong(self.s, symbol)
        start = _stamp(row.t)
        end = _stamp(row.T) + (1_000_000 if row.T <= _LAST_MILLISECOND else 1_000)  # T is the last one inside
        if not (start < end <= _LAST_STAMP and row.v >= row.V):
            raise ValueError(f"a bar from {row.t} to {row.T} with {row.V} of {row.v} bought")
        return (
            Bar(
                symbol,
                start,
                end,
                row.o,
                row.h,
                row.l,
                row.c,
                row.v,
                row.n,
                row.q,
                row.V,
                round(row.v - row.V, 8),  # no size has more decimals
                ts_recv=frame.ts_recv,
                venue=stream.venue,
                synthetic=row.n == 0,
                final=row.x,
                interval=row.i,
            ),
        )


# {"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091",
#  "P":"11784.25641265","r":"0.00038167","T":1562306400000}
class _MarkPrice(_Wire, gc=False, tag_field="e", tag="markPriceUpdate"):
    E: _At  # T is when funding is due
    s: str
    p: _Positive

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]:
        if self.s != stream.symbol:
            raise _wrong(self.s, stream.symbol)
        return (ReferencePrice(stream.symbol, _stamp(self.E), frame.ts_recv, self.p, "mark", stream.venue),)


# {"code":2,"msg":"Invalid request: invalid stream"}
class _Fault(_Wire, gc=False):
    code: int
    msg: str = ""


# {"result":null,"id":1}
# {"result":["btcusdt@aggTrade"],"id":3}
# {"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}
# {"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}
# {"e":"serverShutdown","E":1770123456789}
# {"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}
class _Other(_Wire, gc=False):
    """Any object: an answer, or the envelope of anything else."""

    stream: str = ""
    data: Raw = Raw(b"null")
    result: list[str] | bool | UnsetType | None = UNSET
    id: int | str | None = None
    error: _Fault | None = None
    code: int | None = None
    msg: str = ""
    e: str = ""

    @property
    def fault(self) -> _Fault | None:
        """What the venue found wrong."""
        return self.error if self.code is None else _Fault(self.code, self.msg)

    @property
    def shuts_down(self) -> bool:
        """Rule 7."""
        return self.stream == "!serverShutdown" or self.e == "serverShutdown"


class _First(_Wire, gc=False):
    """As much of a difference as tells where its stream begins."""

    U: _Count
    pu: _Count | None = None


class _Number(_Wire, gc=False):
    """As much of a snapshot as tells where it stands."""

    last: int = msgspec.field(name="lastUpdateId")


class _Message(Protocol):
    """The data of a stream."""

    def events(self, frame: Frame, stream: _Stream) -> tuple[Event, ...]: ...


_Read: TypeAlias = Callable[[bytes], _Combined[_Message]]

_read_other = msgspec.json.Decoder(_Other).decode
_read_first = msgspec.json.Decoder(_First).decode
_read_number = msgspec.json.Decoder(_Number).decode
_read_snapshot = msgspec.json.Decoder(_Whole, strict=False).decode


def _reader(message: type[_Message]) -> _Read:
    """Reads the frames of a stream; numbers are in text, and leave as the floats that they spell."""
    combined: Any = _Combined[message]  # type: ignore[valid-type]  # a type made of an argument
    decoder: msgspec.json.Decoder[_Combined[_Message]] = msgspec.json.Decoder(combined, strict=False)
    return decoder.decode


_SPOT: dict[str, _Read] = {
    "trades": _reader(_Trade),
    "aggregate_trades": _reader(_AggregateTrade),
    "quotes": _reader(_BookTicker),
    "books": _reader(_Difference),
    "top_books": _reader(_Whole),
    "bars": _reader(_Kline),
}
_FUTURES: dict[str, _Read] = {
    "aggregate_trades": _SPOT["aggregate_trades"],
    "quotes": _SPOT["quotes"],
    "books": _SPOT["books"],
    "top_books": _reader(_FuturesTop),
    "bars": _SPOT["bars"],
    "mark_prices": _reader(_MarkPrice),
}
