"""Every way in which a venue's procedure for books can be violated, and the way back from each.

Two books of each venue's twin, in virtual time: what is said to the first is spoiled on its way, and the
stream says so and comes back to the market's own book; the second one is right at every look, all the while.
What nothing on the wire betrays is in the table too: there the stream has nothing to say, and the test shows
what mends the book. At the end the same over real sockets, once a venue.
"""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec
import pytest
from reactivex import Subject, abc
from reactivex.disposable import CompositeDisposable

from rtflow.book import BookState
from rtflow.errors import Disconnected, FeedError, Rejected, RtflowError, Throttled
from rtflow.events import Closing, Event, Frame, FrameKind, Gap, Malformed, Status
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.provider import Answer, Expiring, Fetch, Provider, Refused, Subscription, Traffic
from rtflow.providers import (
    Alpaca,
    AngelOne,
    Binance,
    Coinbase,
    CoinbaseExchange,
    InteractiveBrokers,
    Kraken,
    Polygon,
)
from rtflow.time import SECOND
from rtflow.transport import connect
from rtflow.twin import Twin
from rtflow.twin.angelone import AngelOneVenue
from rtflow.twin.dialects import DIALECTS
from rtflow.twin.ibkr import conid
from rtflow.twin.market import Listing, Market
from rtflow.twin.venue import Conversation, Hangup, Message, Page

_T = TypeVar("_T")

START = 1_790_358_500_000_000_000
TICK = SECOND // 100
LOOK = SECOND // 10  # whatever venues gather, they have said it all by each such moment
LATENCY = 3 * LOOK // 2  # of a document
HIGH = "99999"  # above any ask here

Payload: TypeAlias = str | bytes
Harm: TypeAlias = Callable[[Payload], tuple[Payload, ...]]
"""What arrives instead of a message."""


# -- the venues ------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A venue: its twin, who speaks to it, and what is looked at there."""

    dialect: str
    provider: Callable[[str, str], Provider]  # of a WebSocket's address and that of documents, without paths
    first: str
    second: str
    refused: str  # of this one it wants to hear nothing
    book: str  # the pattern by which a message of a book is known
    depth: int | None = None  # levels a side that it keeps for us
    options: Mapping[str, Any] = {}  # of the twin
    kinds: tuple[str, ...] = ("books",)
    alone: bool = False  # it has one book a connection, so the other one has a connection of its own
    whole: bool = False  # each message is a whole book
    rate: float = 1.0  # how busy it is; a hundred levels in each message take their time


PLACES = {
    "kraken": Place(
        "kraken",
        lambda ws, _: Kraken(url=f"{ws}/v2"),
        "BTC/USD",
        "ETH/USD",
        "NOPE/USD",
        '"channel":"book"',
        depth=10,
    ),
    "alpaca": Place(
        "alpaca",
        lambda ws, _: Alpaca("key", "secret", feed="crypto/us", url=f"{ws}/v1beta3/crypto/us"),
        "BTC/USD",
        "ETH/USD",
        "btc/usd",
        '"T":"o"',
    ),
    "coinbase": Place(
        "coinbase",
        lambda ws, _: Coinbase(url=f"{ws}/"),
        "BTC-USD",
        "ETH-USD",
        "NOPE-USD",
        '"channel":"l2_data"',
    ),
    "coinbase_exchange": Place(
        "coinbase",
        lambda ws, _: CoinbaseExchange(url=f"{ws}/"),
        "BTC-USD",
        "ETH-USD",
        "NOPE-USD",
        '"type":"(l2update|snapshot)"',
        options={"feed": "exchange"},
        kinds=("books", "trades"),
    ),
    "binance": Place(
        "binance",
        lambda ws, http: Binance(url=ws, rest_url=http),
        "BTCUSDT",
        "ETHUSDT",
        "NOPE",
        "@depth",
    ),
    "binance_usdm": Place(
        "binance",
        lambda ws, http: Binance("usdm", url=ws, rest_url=http),
        "BTCUSDT",
        "ETHUSDT",
        "NOPE",
        "@depth",
        options={"kind": "usdm"},
    ),
    "polygon": Place(
        "polygon",
        lambda ws, _: Polygon("key", cluster="crypto", url=f"{ws}/crypto"),
        "BTC-USD",
        "ETH-USD",
        "NOPE-USD",
        '"ev":"XL2"',
        depth=100,
        whole=True,
        rate=0.3,
    ),
    "angelone": Place(
        "angelone",
        lambda ws, _: AngelOne("jwt", "key", "A123456", "feed", url=f"{ws}/smart-stream"),
        "nse_cm:3045",
        "nse_cm:2885",
        "nse_cm:99999",
        "",
        depth=5,
        options={"subscriptions": 2},  # so a third is refused
        whole=True,
    ),
    "ibkr": Place(
        "ibkr",
        lambda ws, _: InteractiveBrokers("aeccc9d7515398c5", url=f"{ws}/v1/api/ws"),
        str(conid("AAPL")),
        str(conid("MSFT")),
        "1",
        '"sbd+',
        depth=10,
        options={"interval": 0.0},
        alone=True,
        whole=True,
    ),
}
LISTED = {
    **{spelled: pair for pair in ("BTC/USD", "ETH/USD") for spelled in (pair, pair.replace("/", "-"))},
    **{pair.replace("/", ""): pair for pair in ("BTC/USDT", "ETH/USDT")},
    **{str(conid(stock)): stock for stock in ("AAPL", "MSFT")},
}
"""What the market calls a symbol, where that is not what the venue calls it."""


def listings(place: Place) -> list[str | Listing]:
    """What is traded: the two, as the venue's own market has them."""
    dialect = DIALECTS[place.dialect]
    own: dict[str, str | Listing] = {
        each.symbol: each for each in dialect.listings or () if isinstance(each, Listing)
    }
    return [
        own.get(symbol) or own.get(LISTED[symbol], LISTED[symbol]) for symbol in (place.first, place.second)
    ]


def truth(market: Market, symbol: str, depth: int | None) -> tuple[list[tuple[float, float]], ...]:
    """The bids and the asks of the market itself. What divides exactly is read as the text would be."""
    listing = market.listings.get(symbol) or market.listings[LISTED[symbol]]
    prices, sizes = 10**listing.price_precision, 10**listing.size_precision
    return tuple(
        [(price / prices, size / sizes) for price, size in ladder.levels(depth)]
        for ladder in market.book(listing.symbol)
    )


def is_right(state: BookState, market: Market, depth: int | None) -> bool:
    """Whether a book is live, and the market's own."""
    shown = list(state.bids), list(state.asks)
    return state.status == "live" and shown == truth(market, state.symbol, depth)


def tells(told: Sequence[str], said: Sequence[str]) -> bool:
    """Whether a story is the one that was expected, stars standing for anything."""
    return len(told) == len(said) and all(map(fnmatchcase, told, said))


everywhere = pytest.mark.parametrize("venue", PLACES)
whole = pytest.mark.parametrize("venue", [venue for venue, place in PLACES.items() if place.whole])
unsummed = pytest.mark.parametrize("venue", [venue for venue in PLACES if venue != "kraken"])
by_updates = pytest.mark.parametrize("venue", [venue for venue, place in PLACES.items() if not place.whole])


# -- a street without sockets ----------------------------------------------------------------------------


class Street:
    """A venue, its market and who listens there, in virtual time.

    What either side says arrives with the next tick; a document is made at once, and arrives later.
    """

    def __init__(self, name: str, *, resyncs: int = 5, **options: Any) -> None:
        place = PLACES[name]
        self.place, self.first, self.second = place, place.first, place.second
        self.venue = DIALECTS[place.dialect](
            Market(5, listings(place), start=START - SECOND, rate=place.rate), **{**place.options, **options}
        )
        self.venue.advance(START)
        self.provider = place.provider("ws://twin", "http://twin")
        self.resyncs = resyncs
        self.states: list[BookState] = []
        self.events: list[Event] = []
        self.asked: list[str] = []  # which books were to be sent anew
        self.harms: list[tuple[str, Harm]] = []  # to the next message about the first book with such a text
        self.always: tuple[str, Harm] | None = None  # to all of them
        self.exact: set[str] = set()  # books that must be live, and right, whenever we look
        topics = dict.fromkeys(place.kinds, (self.first, self.second))
        if place.alone:
            self.lines = [Line(self, {kind: [symbol] for kind in topics}) for symbol in topics["books"]]
        else:
            self.lines = [Line(self, topics)]
        self.began = 0
        self.run(1.0)
        assert self.right(self.first)
        assert self.right(self.second)
        self.began = len(self.states)
        self.asked.clear()
        self.exact.add(self.second)

    def run(self, seconds: float) -> None:
        end = self.venue.now + round(seconds * SECOND)
        while self.venue.now < end:
            now = self.venue.now + TICK
            self.venue.advance(now)
            for line in self.lines:
                line.tick(now)
            if now % LOOK == 0:
                for symbol in self.exact:
                    assert self.right(symbol), (symbol, self.story(symbol))

    def run_until(self, happened: Callable[[], bool], within: float = 20.0) -> None:
        end = self.venue.now + round(within * SECOND)
        while not happened():
            assert self.venue.now < end, (self.story(self.first), self.harms)
            self.run(LOOK / SECOND)

    def of(self, kind: type[_T]) -> list[_T]:
        return [event for event in self.events if isinstance(event, kind)]

    def states_of(self, symbol: str) -> list[BookState]:
        """What has been said of a book since we began."""
        return [each for each in self.states[self.began :] if each.symbol == symbol]

    def state(self, symbol: str) -> BookState | None:
        return next((each for each in reversed(self.states) if each.symbol == symbol), None)

    def status(self, symbol: str) -> str:
        state = self.state(symbol)
        return "" if state is None else state.status

    def right(self, symbol: str) -> bool:
        """Whether a book is live, and the market's own."""
        state = self.state(symbol)
        return state is not None and is_right(state, self.venue.market, self.place.depth)

    def story(self, symbol: str) -> list[str]:
        """What has been said of a book since we began: its statuses, with the reasons, as they changed."""
        said = [f"{each.status}: {each.reason}".removesuffix(": ") for each in self.states_of(symbol)]
        return [each for each, _ in groupby(said)]

    def doubts(self, symbol: str) -> list[str]:
        """The same without the good parts."""
        return [said for said in self.story(symbol) if said != "live"]

    def line(self, symbol: str) -> Line:
        return self.lines[-1] if symbol == self.second else self.lines[0]

    def spoil(self, message: Message) -> tuple[Payload, ...]:
        """What arrives of a message of market data."""
        payload = message.payload
        text = payload if isinstance(payload, str) else payload.decode("latin-1")
        first, second = (symbol.rpartition(":")[2] for symbol in (self.first, self.second))
        if not message.data or first not in text:
            return (payload,)
        if self.always is not None and re.search(self.always[0], text):
            return self.always[1](payload)
        if self.harms and second not in text and re.search(self.harms[0][0], text):
            return self.harms.pop(0)[1](payload)
        return (payload,)


class Line:
    """A connection, and the next one after it: the session talks, normalize and book_apply listen."""

    def __init__(self, street: Street, wanted: dict[str, Any]) -> None:
        self.epoch = 0
        self._street = street
        self._wanted = Subscription.of(**wanted)
        self._normalize = normalize(street.provider).kernel()
        self._books = book_apply(resync=self.resync, resyncs=street.resyncs).kernel()
        self._talk: Conversation | None = None
        self._resyncs: list[str] = []
        self._documents: list[tuple[int, Fetch, Page]] = []
        self._away_until = 0

    @property
    def wanted(self) -> Subscription:
        return self._wanted

    def resync(self, symbol: str) -> None:
        self._street.asked.append(symbol)
        self._resyncs.append(symbol)

    def want(self, wanted: Subscription) -> None:
        before, self._wanted = self._wanted, wanted
        self._say(self._session.wanted(wanted - before, before - wanted))

    def cut(self, seconds: float) -> None:
        """The connection is lost, and no other can be had for so long."""
        self._away_until = self._street.venue.now + round(seconds * SECOND)
        self._close(Disconnected("the line is cut"))

    def tick(self, now: int) -> None:
        if self._talk is None and now >= self._away_until:
            self._open(now)
        if self._talk is not None:
            try:
                self._listen(self._talk, now)
            except FeedError as error:
                self._close(error)
        while (due := self._books.due()) is not None and due <= now:
            self._street.states += self._books.wake(due)

    def _open(self, now: int) -> None:
        request = self._street.provider.request(self._wanted)
        url = urlsplit(request.url)
        headers = {**request.headers, **({"cookie": request.cookie} if request.cookie else {})}
        self._talk = self._street.venue.connect(f"{url.path}?{url.query}" if url.query else url.path, headers)
        self._session = self._street.provider.session(self._wanted)
        self.epoch += 1
        self._hear(FrameKind.OPEN, b"ws://twin")
        self._session.started(now)
        self._say(self._session.opened())

    def _close(self, error: FeedError) -> None:
        assert self._talk is not None
        self._street.venue.leave(self._talk)
        self._talk = None
        self._resyncs.clear()
        self._documents.clear()
        self._hear(FrameKind.CLOSE, msgspec.json.encode(Closing(type(error).__name__, error.reason)))

    def _listen(self, talk: Conversation, now: int) -> None:
        for said in talk.take():
            if isinstance(said, Hangup):
                raise Disconnected(said.reason)
            for payload in self._street.spoil(said):
                self._read(payload)
        while self._documents and self._documents[0][0] <= now:
            self._fetched(*self._documents.pop(0))
        while self._resyncs:
            self._say(self._session.resync(self._resyncs.pop(0)))
        due = self._session.due()
        if due is not None and due <= now:
            self._say(self._session.wake(now))

    def _read(self, payload: Payload) -> None:
        kind = FrameKind.TEXT if isinstance(payload, str) else FrameKind.BINARY
        data = payload.encode() if isinstance(payload, str) else payload
        if self._session.classify(data) is Traffic.CONTROL:
            refused = self._say(self._session.received(self._frame(kind, data)))
        else:
            refused = []
        self._hear(kind, data)
        self._tell(refused)

    def _fetched(self, now: int, fetch: Fetch, page: Page) -> None:
        if page.status == 200:
            frame = self._frame(FrameKind.HTTP, fetch.label.encode() + b"\n" + page.body)
            self._say(self._session.received(frame))
            self._hear(frame.kind, frame.payload)
        else:
            self._tell(self._say(self._session.unfetched(fetch, _unfetched(page), now)))

    def _frame(self, kind: FrameKind, payload: bytes) -> Frame:
        return Frame(kind, payload, self._street.venue.now, self.epoch)

    def _hear(self, kind: FrameKind, payload: bytes) -> None:
        for event in self._normalize.push(self._frame(kind, payload)):
            self._street.events.append(event)
            self._street.states += self._books.push(event)

    def _say(self, answers: Iterable[Answer]) -> list[Refused]:
        """Tell the venue; what it has refused without a word in the stream is handed back."""
        refused: list[Refused] = []
        for answer in answers:
            if isinstance(answer, RtflowError):
                raise answer
            if isinstance(answer, Fetch):
                venue, url = self._street.venue, urlsplit(answer.url)
                page = venue.page(f"{url.path}?{url.query}", answer.headers)
                self._documents.append((venue.now + LATENCY, answer, page))
            elif isinstance(answer, Refused):
                self._wanted -= Subscription(frozenset(answer.topics))
                refused += [] if answer.told else [answer]
            elif not isinstance(answer, Expiring):  # nobody shuts down here
                assert self._talk is not None
                self._talk.received(answer)
        return refused

    def _tell(self, refused: Iterable[Refused]) -> None:
        now, name = self._street.venue.now, self._street.provider.name
        for each in refused:
            for kind, symbol in each.topics:
                said = Status("rejected", now, each.reason, symbol, kind, self.epoch, name)
                self._hear(FrameKind.STATUS, msgspec.json.encode(said))


def _unfetched(page: Page) -> RtflowError:
    reason = f"HTTP {page.status}"
    if page.status in (418, 429):
        return Throttled(reason, retry_after=float(page.headers.get("Retry-After", "1")))
    return Disconnected(reason) if page.status >= 500 else Rejected(reason, code=page.status)


# -- what can go wrong on the way ------------------------------------------------------------------------

Violation: TypeAlias = Callable[[Street], object]


def missing(payload: Payload) -> tuple[Payload, ...]:
    return ()


def repeated(payload: Payload) -> tuple[Payload, ...]:
    return (payload, payload)


def halved(payload: Payload) -> tuple[Payload, ...]:
    return (payload[: len(payload) // 2],)


def told_otherwise(pattern: str, by: str | Callable[[re.Match[str]], str]) -> Harm:
    """A text that says something else in one place."""

    def tell(payload: Payload) -> tuple[Payload, ...]:
        text = payload if isinstance(payload, str) else payload.decode()
        told, times = re.subn(pattern, by, text, count=1)
        assert times, text
        return (told if isinstance(payload, str) else told.encode(),)

    return tell


def one_more(name: str, more: int = 1) -> Harm:
    """A number in a JSON text is another one."""
    return told_otherwise(f'"{name}":(\\d+)', lambda found: f'"{name}":{int(found[1]) + more}')


def comes(harm: Harm, *then: Violation, within: str = "") -> Violation:
    """The next message about the first book comes to harm, or the next one with a text ``within``."""

    def violate(street: Street) -> None:
        street.harms.append((within or street.place.book, harm))
        for each in then:
            each(street)

    return violate


def provoked(fault: str, *then: Violation, **details: Any) -> Violation:
    """The twin does what only this venue can."""

    def violate(street: Street) -> None:
        street.venue.provoke(fault, **details)
        for each in then:
            each(street)

    return violate


def late(behind: int = 1, *, lost: bool = True) -> Violation:
    """The next message about the first book comes behind some of those after it; if not ``lost``, again."""

    def violate(street: Street) -> None:
        held: list[Payload] = []

        def hold(payload: Payload) -> tuple[Payload, ...]:
            held.append(payload)
            return () if lost else (payload,)

        passed = [lambda payload: (payload,)] * (behind - 1)
        for harm in (hold, *passed, lambda payload: (payload, *held)):
            street.harms.append((street.place.book, harm))

    return violate


def whole_again(street: Street) -> None:
    """In place of Alpaca's next update of the first book comes all of it, unasked."""

    def tell(payload: Payload) -> tuple[Payload, ...]:
        *_, update = msgspec.json.decode(payload)
        sides = zip("ba", truth(street.venue.market, street.first, None), strict=True)
        book = {name: [{"p": price, "s": size} for price, size in levels] for name, levels in sides}
        return (msgspec.json.encode([update | book | {"r": True}]).decode(),)

    street.harms.append((street.place.book, tell))


def crossed_for(seconds: float) -> Violation:
    """For so long each message about the first book has a bid above every ask."""

    def violate(street: Street) -> None:
        street.always = (street.place.book, crossing(street.provider.name, street.first))
        street.run(seconds)
        street.always = None

    return violate


def crossing(venue: str, symbol: str) -> Harm:
    """A message has a bid above every ask."""

    def cross(document: Any) -> None:
        match document:
            case {"events": [{"updates": updates}]}:  # Coinbase's Advanced Trade
                row = {"side": "bid", "event_time": "1970-01-01T00:00:00Z"}
                updates.append(row | {"price_level": HIGH, "new_quantity": "1"})
            case {"changes": changes}:  # its Exchange
                changes.append(["buy", HIGH, "1"])
            case {"type": "snapshot", "bids": bids} | {"data": {"b": bids}}:  # … and Binance
                bids.append([HIGH, "1"])
            case {"data": rows}:  # Interactive Brokers
                next(row for row in rows if "bid" in row)["price"] = HIGH
            case elements:  # Alpaca and Polygon
                for element in elements:
                    if element.get("S") == symbol:
                        element["b"].append({"p": int(HIGH), "s": 1})
                    elif element.get("pair") == symbol:
                        element["b"].insert(0, [int(HIGH), 1])

    def spoil(payload: Payload) -> tuple[Payload, ...]:
        if venue == "angelone":  # the first of ten entries, by its place in the packet
            assert isinstance(payload, bytes)
            (best,) = struct.unpack_from("<q", payload, 157)
            return (payload[:157] + struct.pack("<q", 2 * best) + payload[165:],)
        document = msgspec.json.decode(payload)
        cross(document)
        told = msgspec.json.encode(document)
        return (told.decode() if isinstance(payload, str) else told,)

    return spoil


def harmed(harm: str) -> Violation:
    """The next packet of the first book is spoiled as Angel One's twin knows to."""

    def violate(street: Street) -> None:
        def spoil(payload: Payload) -> tuple[Payload, ...]:
            assert isinstance(street.venue, AngelOneVenue)
            assert isinstance(payload, bytes)
            street.venue.provoke_harm(harm)
            return (street.venue.harmed(payload),)

        street.harms.append(("", spoil))

    return violate


def changed_rows_only(street: Street) -> None:
    """From now on the ladder of the first book comes without the rows that are as before.

    But all of it does where it begins with the first row and has more than half: so much means all of it.
    """
    before: list[Any] = []

    def tell(payload: Payload) -> tuple[Payload, ...]:
        document = msgspec.json.decode(payload)
        rows = document["data"]
        changed = [row for row in rows if row not in before]
        if changed[0]["row"] != 0 or 2 * len(changed) <= len(rows):
            document["data"] = changed
        before[:] = rows
        return (msgspec.json.encode(document),)

    street.always = (street.place.book, tell)


# -- what can be noticed ---------------------------------------------------------------------------------

SNAPSHOT = '"type":"snapshot"'
CHECKSUM = ("suspect: checksum * the venue says *", "syncing: resync 1 of 5: checksum * the venue says *")
SEQUENCE = ("suspect: sequence * came after *", "syncing: resync * of 5: *")
CROSSED = ("suspect: crossed for 1 s", "syncing: resync * of 5: *")
IN_VAIN = "syncing: resync 2 of 5: the last one did not help"
NO_SNAPSHOT = "suspect: no snapshot within 10 s"
UNREADABLE = ("syncing: * cannot be read", "syncing: resync 1 of 5: * cannot be read")
UNTRADED = ("syncing: trade * came, not *", "syncing: resync 1 of 5: trade * came, not *")
OTHER_SUM = one_more("checksum")
NO_LONGER_WHOLE = told_otherwise(SNAPSHOT, '"type":"update"')

Row: TypeAlias = tuple[str, str, Violation, tuple[str, ...]]
"""A venue, what goes wrong there, how that is brought about, and what is said of the book till it is live."""


def differences(venue: str) -> list[Row]:
    """What Binance's two procedures have in common."""
    return [
        (venue, "a difference is missing", comes(missing), SEQUENCE),
        (venue, "a difference comes behind the next one", late(), SEQUENCE),
        (venue, "a difference comes behind the third after it", late(3), SEQUENCE),
        (venue, "a difference is cut off", comes(halved), SEQUENCE),
        (
            venue,
            "a difference is missing, and the snapshot is older than the next one",
            provoked("old_snapshot", comes(missing), symbol="BTCUSDT"),
            SEQUENCE * 2,
        ),
        (
            venue,
            "a difference is missing, and there is no book yet",
            provoked("no_book", comes(missing)),
            SEQUENCE,
        ),
        *[
            (
                venue,
                f"a difference is missing, and the document is answered by {status}",
                provoked("rest_failure", comes(missing), status=status, retry_after=1),
                SEQUENCE,
            )
            for status in (503, 429, 418)
        ],
        (venue, "the bid is above the ask", crossed_for(0.2), CROSSED),
    ]


NOTICED: list[Row] = [
    ("kraken", "a checksum is wrong", comes(OTHER_SUM), CHECKSUM),
    ("kraken", "a size is wrong", comes(told_otherwise(r'"qty":\d', '"qty":9')), CHECKSUM),
    ("kraken", "updates are missing", comes(missing, comes(missing), comes(missing)), CHECKSUM),
    ("kraken", "an update comes behind the next one", late(), CHECKSUM),
    ("kraken", "updates are cut off", comes(halved, comes(halved), comes(halved)), CHECKSUM),
    (
        "kraken",
        "a checksum is wrong, and an update comes before the snapshot",
        provoked("early_update", comes(OTHER_SUM)),
        CHECKSUM,
    ),
    (
        "kraken",
        "a checksum is wrong, and a price is in the snapshot twice",
        provoked("duplicate_price", comes(OTHER_SUM)),
        CHECKSUM,
    ),
    (
        "kraken",
        "a checksum is wrong, and so is that of the snapshot",
        comes(OTHER_SUM, comes(OTHER_SUM, within=SNAPSHOT)),
        (*CHECKSUM, CHECKSUM[0], IN_VAIN),
    ),
    ("alpaca", "the bid is above the ask", crossed_for(0.2), CROSSED),
    (
        "alpaca",
        "the bid is above the ask, and the snapshot does not say that it is one",
        comes(told_otherwise(',"r":true', ""), crossed_for(0.2), within='"r":true'),
        (*CROSSED, NO_SNAPSHOT, IN_VAIN),
    ),
    ("coinbase", "a size is no number", provoked("broken_level", symbol="BTC-USD"), UNREADABLE),
    ("coinbase", "the bid is above the ask", crossed_for(0.2), CROSSED),
    (
        "coinbase",
        "the bid is above the ask, and an update comes where a snapshot should",
        comes(NO_LONGER_WHOLE, crossed_for(0.2), within=SNAPSHOT),
        (*CROSSED, NO_SNAPSHOT, IN_VAIN),
    ),
    ("coinbase_exchange", "a size is no number", provoked("broken_level", symbol="BTC-USD"), UNREADABLE),
    ("coinbase_exchange", "an update is cut off", comes(halved), UNREADABLE),
    ("coinbase_exchange", "a trade is missing", comes(missing, within='"type":"match"'), UNTRADED),
    ("coinbase_exchange", "the bid is above the ask", crossed_for(0.2), CROSSED),
    (
        "coinbase_exchange",
        "the bid is above the ask, and an update comes where a snapshot should",
        comes(NO_LONGER_WHOLE, crossed_for(0.2), within=SNAPSHOT),
        (*CROSSED, NO_SNAPSHOT, IN_VAIN),
    ),
    *differences("binance"),
    ("binance", "a difference begins too late", comes(one_more("U")), SEQUENCE),
    *differences("binance_usdm"),
    ("binance_usdm", "a difference names another one before it", comes(one_more("pu")), SEQUENCE),
    ("polygon", "the bid is above the ask", crossed_for(1.4), CROSSED),
    ("angelone", "the bid is above the ask", crossed_for(1.1), CROSSED),
    ("ibkr", "the bid is above the ask", crossed_for(1.1), CROSSED),
]


def table(rows: Iterable[tuple[Any, ...]]) -> Any:
    return [pytest.param(venue, *rest, id=f"{venue}: {what}") for venue, what, *rest in rows]


@pytest.mark.parametrize(("venue", "violation", "said"), table(NOTICED))
def test_what_can_be_noticed_is_said_and_the_book_comes_back_while_the_other_goes_on(
    venue: str, violation: Violation, said: tuple[str, ...]
) -> None:
    street = Street(venue)
    violation(street)
    street.run_until(lambda: tells(street.doubts(street.first), said) and street.right(street.first))
    street.exact.add(street.first)
    street.run(1.0)
    assert tells(street.doubts(street.first), said)
    assert street.story(street.second) == ["live"], "and right at each look"
    assert set(street.asked) == {street.first}
    assert not street.harms
    assert not any(state.bids or state.asks for state in street.states if state.status != "live")


def test_where_heartbeats_name_the_last_trade_none_need_come_to_show_that_one_is_missing() -> None:
    said = ("syncing: trade * did not come", "syncing: resync 1 of 5: trade * did not come")
    street = Street("coinbase_exchange")
    street.always = ('"type":"match"', missing)
    street.run_until(lambda: tells(street.doubts(street.first), said))
    street.always = None
    street.run(3.0)
    assert tells(street.doubts(street.first)[:2], said)
    assert street.right(street.first)
    assert street.story(street.second) == ["live"]


def test_kraken_s_session_asks_by_itself_for_a_snapshot_that_does_not_come() -> None:
    street = Street("kraken", resyncs=1)
    comes(OTHER_SUM, comes(missing, within=SNAPSHOT))(street)
    said = (
        CHECKSUM[0],
        "syncing: resync 1 of 1: *",
        "failed: no snapshot within 10 s, after 1 resync",
    )
    street.run_until(lambda: tells(street.doubts(street.first), said) and street.right(street.first))
    street.exact.add(street.first)
    street.run(1.0)
    assert street.story(street.second) == ["live"]


NUMBERED = [
    ("coinbase", "a frame is missing", comes(missing)),
    ("coinbase", "a frame is cut off", comes(halved)),
    ("coinbase", "a frame comes behind the next one", provoked("reorder")),
    ("coinbase", "a number is left out", provoked("sequence_gap")),
]


@pytest.mark.parametrize(("venue", "violation"), table(NUMBERED))
def test_where_all_frames_are_counted_together_a_missing_one_may_be_any_book_s(
    venue: str, violation: Violation
) -> None:
    said = ("syncing: sequence * came, not *", "syncing: resync 1 of 5: sequence * came, not *")
    street = Street(venue)
    street.exact.clear()
    violation(street)
    street.run_until(
        lambda: all(
            tells(street.doubts(symbol), said) and street.right(symbol)
            for symbol in (street.first, street.second)
        )
    )
    street.exact |= {street.first, street.second}
    street.run(1.0)
    assert sorted(street.asked) == sorted([street.first, street.second])


# -- what cannot -----------------------------------------------------------------------------------------

UNKNOWN_LEVEL = {  # in front of the others, where there are any; of size 0
    "kraken": (r'"asks":\[(?=\{)', f'"asks":[{{"price":{HIGH}.0,"qty":0.00000000}},'),
    "alpaca": (r'"a":\[(?=\{)', f'"a":[{{"p":{HIGH},"s":0}},'),
    "coinbase_exchange": (r'"changes":\[(?=\[)', f'"changes":[["sell","{HIGH}.00","0.00000000"],'),
    "binance": (r'"a":\[(?=\[)', f'"a":[["{HIGH}.00000000","0.00000000"],'),
    "binance_usdm": (r'"a":\[(?=\[)', f'"a":[["{HIGH}.00","0"],'),
}
TWO_SIZES = {  # of one price, and the second one counts
    "kraken": (r'"asks":\[(\{"price":[\d.]+,)', r'"asks":[\1"qty":9.00000000},\1'),
    "coinbase_exchange": (r'"changes":\[(\["\w+","[\d.]+",)', r'"changes":[\1"9.00000000"],\1'),
}
HARMLESS: list[tuple[str, str, Violation]] = [
    *[
        (venue, "a level is removed that is not there", comes(told_otherwise(*level), within=level[0]))
        for venue, level in UNKNOWN_LEVEL.items()
    ],
    *[
        (venue, "a price comes twice in an update", comes(told_otherwise(*sizes), within=sizes[0]))
        for venue, sizes in TWO_SIZES.items()
    ],
    ("kraken", "an update comes twice", comes(repeated)),
    ("alpaca", "an update comes twice", comes(repeated)),
    ("alpaca", "a book comes whole, unasked", whole_again),
    ("coinbase", "an update comes twice", comes(repeated)),
    ("coinbase", "a frame comes twice", provoked("duplicate")),
    ("coinbase_exchange", "an update comes twice", comes(repeated)),
    *[
        (venue, what, violation)
        for venue in ("binance", "binance_usdm")
        for what, violation in (
            ("a difference comes twice", comes(repeated)),
            ("a difference comes again behind the third after it", late(3, lost=False)),
            ("a difference begins before the last one has ended", comes(one_more("U", -1))),
        )
    ],
    ("binance_usdm", "a difference begins anywhere, as long as it names the last", comes(one_more("U"))),
    ("polygon", "a book comes twice", comes(repeated)),
    ("polygon", "a level has nothing", comes(told_otherwise(r'"b":\[', f'"b":[[{HIGH},0],'))),
    ("angelone", "a packet comes twice", comes(repeated)),
    ("angelone", "the sells stand before the buys", harmed("sides")),
    ("angelone", "a packet has no stamp", harmed("stamp")),
    ("angelone", "a packet is longer than it was", harmed("longer")),
    ("angelone", "junk stands behind a token", harmed("token")),
    ("ibkr", "a ladder comes twice", comes(repeated)),
    ("ibkr", "only rows that have changed come", changed_rows_only),
]


@pytest.mark.parametrize(("venue", "violation"), table(HARMLESS))
def test_what_does_no_harm_is_no_reason_for_doubt(venue: str, violation: Violation) -> None:
    street = Street(venue)
    street.exact.add(street.first)
    violation(street)
    street.run(2.0)
    assert street.story(street.first) == street.story(street.second) == ["live"]
    assert street.asked == []
    assert not street.harms
    assert not street.of(Malformed)


UNREADABLE_ROW = told_otherwise('"price":"[^"]*"', '"price":"?"')
WHOLE = [
    ("polygon", "a book is missing", comes(missing), 0),
    ("polygon", "a book is cut off", comes(halved), 1),
    ("polygon", "a book comes behind the next one", late(), 0),
    ("polygon", "the venue forgets who we are", provoked("forget"), 0),
    ("angelone", "a packet is missing", comes(missing), 0),
    ("angelone", "a packet is cut off", comes(halved), 1),
    ("angelone", "a packet comes behind the next one", late(), 0),
    ("angelone", "buys are flagged as sells", harmed("flags"), 1),
    ("angelone", "prices are in disorder", harmed("order"), 1),
    ("angelone", "a price is negative", harmed("negative"), 1),
    ("angelone", "a mode is unknown", harmed("mode"), 0),
    ("angelone", "an exchange is unknown", harmed("exchange"), 0),
    ("ibkr", "a ladder is missing", comes(missing), 0),
    ("ibkr", "a ladder is cut off", comes(halved), 1),
    ("ibkr", "a ladder comes behind the next one", late(), 0),
    ("ibkr", "a row cannot be read", comes(UNREADABLE_ROW), 1),
]


@pytest.mark.parametrize(("venue", "violation", "malformed"), table(WHOLE))
def test_where_each_message_is_a_whole_book_the_next_one_mends_it(
    venue: str, violation: Violation, malformed: int
) -> None:
    street = Street(venue)
    street.exact.clear()
    violation(street)
    street.run(0.5)
    street.run_until(lambda: not street.harms and street.right(street.first))
    street.exact |= {street.first, street.second}
    street.run(1.0)
    assert street.story(street.first) == street.story(street.second) == ["live"]
    assert street.asked == []
    assert len(street.of(Malformed)) == malformed


@whole
def test_a_whole_book_is_had_by_subscribing_anew_where_the_venue_greets_with_one(venue: str) -> None:
    street = Street(venue)
    market = street.venue.market
    crossed_for(0.5)(street)
    market.steps = market.moved  # nothing moves any more
    street.run(3.0)
    assert street.right(street.first) == (venue != "polygon")  # which says nothing but what is new
    market.steps = None
    street.run(1.0)
    assert street.right(street.first)
    assert tells(street.doubts(street.first), CROSSED)
    assert street.story(street.second) == ["live"]


UNNUMBERED = [
    ("alpaca", "an update is missing", missing, 0),
    ("alpaca", "an update is cut off", halved, 1),
    ("coinbase_exchange", "an update is missing", missing, 0),
]


@pytest.mark.parametrize(("venue", "harm", "malformed"), table(UNNUMBERED))
def test_where_nothing_numbers_the_updates_a_lost_one_cannot_be_noticed_and_the_next_snapshot_mends_it(
    venue: str, harm: Harm, malformed: int
) -> None:
    """It is the venue's word that none is lost; a book that is to be sure of it is asked for now and then."""
    street = Street(venue)
    for _ in range(20):  # of one alone the market might make up for in a moment
        comes(harm)(street)
    street.run_until(lambda: not street.harms)
    street.run(0.1)
    assert street.story(street.first) == ["live"], "nobody can know"
    assert not street.right(street.first)
    assert len(street.of(Malformed)) == 20 * malformed, "which says that something was lost, and not of what"
    street.line(street.first).resync(street.first)
    street.run(0.5)
    street.exact.add(street.first)
    street.run(1.0)
    assert street.story(street.second) == ["live"]


@pytest.mark.parametrize("venue", ["binance", "binance_usdm"])
def test_a_snapshot_from_the_middle_of_a_difference_joins_on(venue: str) -> None:
    street = Street(venue, midway=True)
    comes(missing)(street)
    street.run_until(lambda: tells(street.doubts(street.first), SEQUENCE) and street.right(street.first))
    street.exact.add(street.first)
    street.run(1.0)
    assert len(street.doubts(street.first)) == len(SEQUENCE)


# -- what may happen anywhere ----------------------------------------------------------------------------


@everywhere
def test_books_are_the_venue_s_own_and_as_deep_as_it_keeps_them(venue: str) -> None:
    street = Street(venue)
    street.exact.add(street.first)
    street.run(5.0)
    states = street.states[street.began :]
    assert {state.status for state in states} == {"live"}
    deepest = max(len(levels) for state in states for levels in (state.bids, state.asks))
    assert deepest == street.place.depth if street.place.depth else deepest > 100
    assert len(states) > 50


@everywhere
def test_a_lost_line_makes_every_book_worthless_and_the_next_connection_begins_anew(venue: str) -> None:
    street = Street(venue)
    street.exact.clear()
    for line in street.lines:
        line.cut(0.5)
    street.run(0.4)
    for symbol in (street.first, street.second):
        assert street.story(symbol) == ["syncing: the line is cut"]
    street.run(2.0)
    street.exact |= {street.first, street.second}
    street.run(1.0)
    for symbol in (street.first, street.second):
        assert tells(street.doubts(symbol)[:1], ["syncing: the line is cut"])
        assert {state.epoch for state in street.states_of(symbol) if state.status == "live"} == {2}
    assert "suspect" not in {state.status for state in street.states}


@everywhere
def test_a_book_that_is_unsubscribed_is_empty_and_subscribed_again_it_is_live(venue: str) -> None:
    street = Street(venue)
    line, book = street.line(street.first), Subscription.of(books=street.first)
    line.want(line.wanted - book)
    street.run(1.0)
    told = [] if venue in ("angelone", "ibkr") else ["empty: unsubscribed*"]  # those two do not answer
    assert tells(street.doubts(street.first), told)
    silent = len(street.states_of(street.first))
    street.run(1.0)
    assert len(street.states_of(street.first)) == silent
    line.want(line.wanted | book)
    street.run(1.0)
    street.exact.add(street.first)
    street.run(1.0)
    assert tells(street.doubts(street.first)[: len(told)], told)
    assert "suspect" not in {state.status for state in street.states}
    assert street.story(street.second) == ["live"]


REFUSALS = {
    "kraken": "Currency pair not supported NOPE/USD",
    "alpaca": "400 invalid syntax",
    "coinbase": "failure to subscribe",
    "coinbase_exchange": "Failed to subscribe: NOPE-USD is not a valid product",
    "binance": "depth NOPE: HTTP 400",
    "binance_usdm": "depth NOPE: HTTP 400",
    "polygon": "not entitled: XL2.NOPE-USD",
    "angelone": "E1002 Invalid Request. Subscription Limit Exceeded",
    "ibkr": "no such ladder",
}


@everywhere
def test_a_book_that_is_refused_has_failed_and_the_others_go_on(venue: str) -> None:
    street = Street(venue)
    street.exact.add(street.first)
    if venue == "polygon":
        street.venue.provoke("revoke", topic="XL2.NOPE-USD")
    if street.place.alone:
        street.lines.append(Line(street, {"books": [street.place.refused]}))
    else:
        line = street.lines[0]
        line.want(line.wanted | Subscription.of(books=street.place.refused))
    street.run(4.0)
    assert street.story(street.place.refused) == [f"failed: {REFUSALS[venue]}"]
    assert len(street.states_of(street.place.refused)) == 1
    assert ("books", street.place.refused) not in street.lines[-1].wanted.topics
    assert street.story(street.first) == street.story(street.second) == ["live"]


def test_a_book_that_is_no_longer_served_has_failed_and_the_other_goes_on() -> None:
    street = Street("polygon")
    street.venue.provoke("revoke", topic="XL2.BTC-USD")
    street.run(2.0)
    assert street.doubts(street.first) == ["failed: no longer entitled: XL2.BTC-USD"]
    assert street.story(street.second) == ["live"]


@unsummed
def test_a_bid_above_the_ask_is_flagged_at_once_and_borne_for_a_second(venue: str) -> None:
    street = Street(venue)
    street.always = (street.place.book, crossing(street.provider.name, street.first))
    street.run(0.9)
    states = street.states_of(street.first)
    first = next(index for index, state in enumerate(states) if state.crossed)
    assert all(state.crossed == (index >= first) for index, state in enumerate(states))
    assert street.story(street.first) == street.story(street.second) == ["live"]


@by_updates
def test_resyncs_that_never_help_end_in_failure_which_is_said_once(venue: str) -> None:
    street = Street(venue, resyncs=2)
    harm = OTHER_SUM if venue == "kraken" else crossing(street.provider.name, street.first)
    street.always = (street.place.book, harm)
    street.run_until(lambda: street.status(street.first) == "failed")
    told = street.story(street.first)
    street.run(5.0)
    assert street.story(street.first) == told
    assert street.states_of(street.first)[-1].reason.endswith(", after 2 resyncs")
    assert [state.status for state in street.states_of(street.first)].count("failed") == 1
    assert street.story(street.second) == ["live"]


@whole
def test_where_each_message_is_a_whole_book_the_next_one_revives_what_has_failed(venue: str) -> None:
    street = Street(venue, resyncs=1)
    street.always = (street.place.book, crossing(street.provider.name, street.first))
    street.run_until(lambda: street.status(street.first) == "failed")
    assert street.states_of(street.first)[-1].reason == "crossed for 1 s, after 1 resync"
    street.always = None
    street.run(1.0)
    street.exact.add(street.first)
    street.run(1.0)
    assert street.asked == [street.first]
    assert street.story(street.second) == ["live"]


# -- over real sockets -----------------------------------------------------------------------------------


class Watch:
    """A subscriber that keeps what it is told, and can be waited with."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self._changed = threading.Condition()

    def hear(self, item: object) -> None:
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def of(self, kind: type[_T]) -> list[_T]:
        return [item for item in self.items if isinstance(item, kind)]

    def states(self, symbol: str) -> list[BookState]:
        return [state for state in self.of(BookState) if state.symbol == symbol]

    def waited(self, happened: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(happened, seconds)


@everywhere
def test_books_come_back_over_real_sockets_from_lost_and_broken_frames_and_a_lost_line(venue: str) -> None:
    place, watch = PLACES[venue], Watch()
    symbols = (place.first, place.second)
    options = {**place.options}
    if place.dialect == "binance":
        options["messages"] = 100  # its market's time stands still while we speak

    def right(epoch: int) -> bool:
        return all(
            watch.states(symbol)
            and watch.states(symbol)[-1].epoch == epoch
            and is_right(watch.states(symbol)[-1], twin.market, place.depth)
            for symbol in symbols
        )

    def settle(epoch: int) -> None:
        for _ in range(100):
            if watch.waited(partial(right, epoch), 0.1):
                return
            twin.advance(0.1)
        raise AssertionError((twin.connections, watch.items[-10:]))

    def listen(symbols: tuple[str, ...]) -> abc.DisposableBase:
        wanted: dict[str, Any] = dict.fromkeys(place.kinds, symbols)
        feed = connect(provider, **wanted)
        events: Subject[Event] = Subject()
        books = events.pipe(book_apply(resync=feed.resync))
        told = [each.subscribe(watch.hear) for each in (events, books)]
        frames = feed.pipe(retry_with_backoff(base=0.02, cap=0.1, jitter=None, retries=None))
        return CompositeDisposable(*told, frames.pipe(normalize(provider)).subscribe(events))

    with Twin(place.dialect, seed=5, symbols=listings(place), start=START, pace=0.0, **options) as twin:
        provider = place.provider(twin.url_of(""), twin.rest_url)
        lines = [listen((each,)) for each in symbols] if place.alone else [listen(symbols)]
        settle(epoch=1)
        twin.corrupt()
        twin.gap(2)
        twin.advance(0.5)
        watch.waited(lambda: bool(watch.of(Malformed)), 5.0)
        twin.disconnect()
        settle(epoch=2)
        for each in lines:
            each.dispose()
        assert twin.accepted == 2 * len(lines)
    assert len(watch.of(Malformed)) == 1
    for symbol in symbols:
        statuses = [state.status for state in watch.states(symbol)]
        assert "syncing" in statuses
        assert "failed" not in statuses
    assert [gap.ts_end for gap in watch.of(Gap)].count(None) == len(lines)
