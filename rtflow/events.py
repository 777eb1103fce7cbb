"""The vocabulary: everything that travels right of the socket.

All stamps are ``int`` nanoseconds since the Unix epoch, UTC: ``ts_event`` is the venue's clock, ``ts_recv``
is ours, taken once where the frame left the socket. Prices and sizes are ``float``, the shortest that prints
as the venue's decimal text, so equal texts are equal floats. Every type is a frozen, tagged
:class:`msgspec.Struct`: comparable, cheap, and encodable as it stands.

    >>> import msgspec
    >>> trade = Trade("BTC/USD", ts_event=1, ts_recv=2, price=83744.3, size=0.5, side=Side.SELL)
    >>> trade.side * trade.size
    -0.5
    >>> msgspec.json.decode(msgspec.json.encode(trade), type=Event) == trade
    True
"""

from __future__ import annotations

import enum
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from rtflow import html, time

_T = TypeVar("_T")


class Side(enum.IntEnum):
    """Who was the aggressor (taker); signed, so that ``side * size`` is signed flow."""

    BUY = 1
    SELL = -1
    UNKNOWN = 0


class FrameKind(enum.Enum):
    """What a :class:`Frame` holds."""

    OPEN = "open"  # a connection was made; payload: the URL without its query, or an Opening
    TEXT = "text"  # the venue's text message, untouched
    BINARY = "binary"  # the venue's binary message, untouched
    CLOSE = "close"  # the connection ended; payload: a Closing
    HTTP = "http"  # a REST snapshot that the transport fetched, in order with the rest
    STATUS = "status"  # said by rtflow itself, not by the venue; payload: a Status or a Lost


class _Event(msgspec.Struct, frozen=True, gc=False, tag=True, omit_defaults=True):
    """What all events share: frozen, tagged with their name, unknown to the garbage collector."""


class Frame(_Event, frozen=True, gc=False):
    """One message of one connection, as it left the socket.

    ``epoch`` counts the connections of a feed from 1; all frames of a connection carry the same.
    """

    kind: FrameKind
    payload: bytes
    ts_recv: int
    epoch: int = 1


class Opening(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The payload of the ``OPEN`` of a connection that is not the only one of its feed.

    One that is to take over ``after`` another one is open beside that until its ``CLOSE``; the ``lane`` is
    the number of a connection that serves a part of what is wanted. Frames of several connections are mixed,
    each with its own epoch.
    """

    url: str  # without its query
    after: int | None = None  # the epoch of the connection that will be cut
    lane: int | None = None  # None where one connection serves all


class Closing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The payload of a ``CLOSE`` frame: how a connection ended."""

    error: str  # the name of the class in rtflow.errors, e.g. "Disconnected"; "" when we let it go ourselves
    reason: str = ""
    code: int = 1006  # RFC 6455 section 7.4; 1006 when no close frame came
    symbols: tuple[str, ...] = ()  # that it served, where it was one of several
    left: tuple[tuple[str, str], ...] = ()  # kinds and symbols that it was told to serve no longer


class Trade(_Event, frozen=True, gc=False):
    """One print, or one sampled last price where the venue has no prints (``sampled=True``)."""

    symbol: str
    ts_event: int
    ts_recv: int
    price: float
    size: float  # in the venue's natural unit: shares, coins, contracts
    side: Side = Side.UNKNOWN
    id: str = ""  # unique per venue, symbol and day; "" where the venue has none
    venue: str = ""
    exchange: str = ""  # the exchange's letter on a consolidated feed
    conditions: tuple[str, ...] = ()  # sale conditions as the venue spells them
    tape: str = ""  # A, B, C or O on consolidated US feeds
    sampled: bool = False


class TradeCorrection(_Event, frozen=True, gc=False):
    """The venue corrected a trade: ``original_id`` is void, the fields here replace it."""

    symbol: str
    ts_event: int
    ts_recv: int
    original_id: str
    original_price: float
    original_size: float
    id: str
    price: float
    size: float
    venue: str = ""
    exchange: str = ""
    conditions: tuple[str, ...] = ()
    tape: str = ""
    original_conditions: tuple[str, ...] = ()


class TradeCancel(_Event, frozen=True, gc=False):
    """The venue took a trade back."""

    symbol: str
    ts_event: int
    ts_recv: int
    id: str
    price: float
    size: float
    venue: str = ""
    exchange: str = ""
    action: str = ""  # the venue's own letter
    tape: str = ""


class Quote(_Event, frozen=True, gc=False):
    """The best bid and offer. A side without a quote is ``None``, never 0."""

    symbol: str
    ts_event: int
    ts_recv: int
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    venue: str = ""
    bid_exchange: str = ""
    ask_exchange: str = ""
    conditions: tuple[str, ...] = ()
    tape: str = ""
    lot: float = 1.0  # sizes here are in shares; size / lot is the venue's raw number
    sampled: bool = False


class Excluded(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A venue whose prices do not count at present, and why."""

    venue: str
    reason: str
    exchange: str = ""


class BestQuote(_Event, frozen=True, gc=False):
    """The best bid and offer of one symbol over several venues, each with the venue whose it is.

    A side that no venue has is ``None``. ``size`` is what rests at that venue, not at all of them.
    ``excluded`` are the venues known for this symbol that were left out.

    >>> best = BestQuote("BTC/USD", 1, 2, 100.5, 1.0, 100.25, 3.0, "kraken", "coinbase")
    >>> best.crossed, best.locked
    (True, False)
    """

    symbol: str
    ts_event: int  # the newest of its venues' clocks
    ts_recv: int
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    bid_venue: str = ""
    ask_venue: str = ""
    bid_exchange: str = ""
    ask_exchange: str = ""
    excluded: tuple[Excluded, ...] = ()

    @property
    def crossed(self) -> bool:
        """Whether one venue bids more than another asks."""
        return self.bid is not None and self.ask is not None and self.bid > self.ask

    @property
    def locked(self) -> bool:
        """Whether one venue bids what another asks."""
        return self.bid is not None and self.bid == self.ask


Level: TypeAlias = tuple[float, float]
"""``(price, size)``; in an update a size is absolute and 0 removes the level."""


class OrderBookUpdate(_Event, frozen=True, gc=False):
    """One atomic group of level changes, or a whole book (``snapshot=True``) that replaces what was known.

    Where the venue sends a checksum, ``bid_digits`` and ``ask_digits`` run parallel to ``bids`` and ``asks``
    with the digits the sum is taken over, and ``checksum_rule`` names the function in
    :data:`rtflow.book.CHECKSUMS` that takes it.

    Where the venue numbers a symbol's changes, ``sequence`` is the number of the last one in here, and an
    update joins on to the one before if it is one higher. ``first_sequence`` is the number of the first one,
    where several travel together: the update joins on where it covers the next number. ``previous_sequence``
    is the ``sequence`` of the update before, where the venue says it because its numbers have holes.
    """

    symbol: str
    ts_event: int
    ts_recv: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    snapshot: bool = False
    epoch: int = 1
    venue: str = ""
    depth: int | None = None  # levels a side that the venue keeps for us; what falls out is not deleted by it
    sequence: int | None = None
    checksum: int | None = None
    checksum_rule: str = ""
    bid_digits: tuple[str, ...] = ()
    ask_digits: tuple[str, ...] = ()
    first_sequence: int | None = None
    previous_sequence: int | None = None
    exchange: str = ""  # where one venue sends the books of several exchanges apart
    limit: int | None = None  # of a snapshot: a side with so many levels may go on, and how is not known


class Bar(_Event, frozen=True, gc=False):
    """Open, high, low, close and volume of ``[start, end)``."""

    symbol: str
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    count: int
    value: float  # the sum of price * size
    buy_volume: float = 0.0
    sell_volume: float = 0.0
    ts_open: int = 0  # ts_event of the first and the last trade: what makes merge() exact
    ts_close: int = 0
    ts_recv: int = 0  # of the last item that went into it
    venue: str = ""
    partial: Literal["start", "end"] | None = None  # we began, or were cut off, during this bar
    gap: bool = False  # a Gap or a counted loss overlaps it
    synthetic: bool = False  # no trade: carried from the last close, or all of its trades taken back
    final: bool = True  # False for a forming bar
    revision: int = 0
    interval: str = ""  # the venue's own bars only: "1s", "1m", "1m:updated", "1d"

    @property
    def vwap(self) -> float:
        """The volume-weighted average price; the close where there was no volume.

        >>> Bar("A", 0, 60, 1.0, 3.0, 1.0, 3.0, volume=4.0, count=2, value=10.0).vwap
        2.5
        """
        return self.value / self.volume if self.volume else self.close

    def _repr_html_(self) -> str:
        marks = {"gap": self.gap, f"partial {self.partial}": self.partial, "synthetic": self.synthetic}
        marks["forming"] = not self.final
        note = ", ".join(filter(None, [self.venue, *(mark for mark, holds in marks.items() if holds)]))
        names = ("start", "open", "high", "low", "close", "volume", "count")
        row = (time.format(self.start, 3), *(getattr(self, name) for name in names[1:]))
        return html.table(self.symbol, note, names, [row])

    def merge(self, later: Bar) -> Bar:
        """What two bars of one symbol make together, from the earlier start to the later end.

        Open and close are those of the first and the last trade by ``ts_open`` and ``ts_close``; of trades
        of one moment, those of ``self`` came first. Prices of a synthetic bar give way to real ones. The
        outcome is cut off (``partial="end"``) if either was, else began late if either did; ``gap`` if either
        has one, ``final`` if both are. Associative: how many bars are grouped cannot matter, as far as sums
        of floats allow.

        >>> first = Bar("A", 0, 60, 1.0, 3.0, 1.0, 2.0, 4.0, 2, 10.0, ts_open=1, ts_close=59)
        >>> second = Bar("A", 60, 120, 2.5, 2.5, 0.5, 0.5, 2.0, 2, 3.0, ts_open=60, ts_close=70)
        >>> both = first.merge(second)
        >>> both.start, both.end, both.open, both.high, both.low, both.close, both.volume, both.count
        (0, 120, 1.0, 3.0, 0.5, 0.5, 6.0, 4)

        Raises ValueError for bars of different symbols or venues.
        """
        if self.symbol != later.symbol or self.venue != later.venue:
            raise ValueError(
                f"{self.symbol} of {self.venue!r} and {later.symbol} of {later.venue!r} do not add up"
            )
        if self.synthetic != later.synthetic:
            first = last = later if self.synthetic else self
            high, low = first.high, first.low
        else:
            first = later if later.ts_open < self.ts_open else self
            last = self if later.ts_close < self.ts_close else later
            high, low = max(self.high, later.high), min(self.low, later.low)
        return Bar(
            self.symbol,
            min(self.start, later.start),
            max(self.end, later.end),
            first.open,
            high,
            low,
            last.close,
            self.volume + later.volume,
            self.count + later.count,
            self.value + later.value,
            self.buy_volume + later.buy_volume,
            self.sell_volume + later.sell_volume,
            first.ts_open,
            last.ts_close,
            max(self.ts_recv, later.ts_recv),
            self.venue,
            "end" if "end" in (self.partial, later.partial) else self.partial or later.partial,
            self.gap or later.gap,
            self.synthetic and later.synthetic,
            self.final and later.final,
            max(self.revision, later.revision),
        )


class Ticker(_Event, frozen=True, gc=False):
    """A venue's running summary of one symbol; ``None`` where it does not say."""

    symbol: str
    ts_event: int
    ts_recv: int
    last: float | None = None
    last_size: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None  # the day before's
    volume: float | None = None
    value: float | None = None  # the sum of price * size
    vwap: float | None = None
    open_interest: float | None = None
    total_bid_size: float | None = None  # of all orders, not of the best level
    total_ask_size: float | None = None
    ts_trade: int | None = None  # of the last trade
    window: str = ""  # what it sums up: "day" is the venue's trading day, "24h" rolls
    venue: str = ""


class ReferencePrice(_Event, frozen=True, gc=False):
    """A price at which nobody need have traded: an index's value, a fair value, a mark."""

    symbol: str
    ts_event: int
    ts_recv: int
    price: float
    source: Literal["index", "fair", "mark"]
    venue: str = ""


class News(_Event, frozen=True, gc=False):
    """An article about some symbols."""

    symbols: tuple[str, ...]
    ts_event: int  # when it was last put right
    ts_recv: int
    id: str
    headline: str
    summary: str = ""
    content: str = ""  # HTML, where the venue sends it
    author: str = ""
    url: str = ""
    source: str = ""
    ts_created: int = 0
    venue: str = ""


class PriceBands(_Event, frozen=True, gc=False):
    """Limit up, limit down; ``None`` where no band is in force."""

    symbol: str
    ts_event: int
    ts_recv: int
    limit_up: float | None
    limit_down: float | None
    indicator: str = ""
    venue: str = ""
    tape: str = ""


class TradingStatus(_Event, frozen=True, gc=False):
    """A symbol's trading was halted, resumed, or changed otherwise; codes are the venue's own."""

    symbol: str
    ts_event: int
    ts_recv: int
    code: str
    text: str = ""
    reason_code: str = ""
    reason: str = ""
    venue: str = ""
    tape: str = ""


class Imbalance(_Event, frozen=True, gc=False):
    """An order imbalance before an auction."""

    symbol: str
    ts_event: int
    ts_recv: int
    price: float
    venue: str = ""
    tape: str = ""
    size: float | None = None  # what remains unpaired
    side: Side = Side.UNKNOWN  # of what remains
    paired: float | None = None  # what would trade
    auction: str = ""  # the venue's own letter or words


class Instrument(_Event, frozen=True, gc=False):
    """What a venue says of one symbol: its precision, its steps, whether it trades."""

    symbol: str
    ts_recv: int
    status: str
    price_precision: int
    size_precision: int
    price_increment: float
    size_increment: float
    size_min: float
    base: str = ""
    quote: str = ""
    venue: str = ""


class Gap(_Event, frozen=True, gc=False):
    """A hole in the stream: between ``ts_start`` and ``ts_end`` events may be missing.

    It comes twice: at the moment the line is lost with ``ts_end=None``, and at the first data after it with
    both ends (``ts_recv`` stamps of the last data before and the first data after).
    """

    ts_start: int
    ts_end: int | None
    epoch: int  # of the connection that was lost
    ts_recv: int  # when we said so
    reason: str = ""
    venue: str = ""
    symbols: tuple[str, ...] = ()  # empty: all of them
    kind: str = ""  # trades, books, …; "" for all of them
    filled: int | None = None  # by op.backfill: the next so many events are what was missing


State: TypeAlias = Literal[
    "open",  # connected; what follows carries this epoch
    "authenticated",
    "subscribed",
    "unsubscribed",
    "rejected",  # the venue refused one symbol or one request; text says why
    "throttled",
    "venue",  # the venue speaks of itself: online, maintenance, …
    "heartbeat",
    "closed",
    "joined",  # as "open", of one of several connections: what the others serve is untouched
    "parted",  # as "closed", of one of several
    "bridging",  # a second connection is open, to take over from one that the venue is about to cut
    "bridged",  # it has: what follows carries this epoch, and nothing was lost
    "unbridged",  # it was lost before it could; the old one goes on
    "waiting",  # for our turn at a host, which all feeds of the process share: wait says how long
    "retrying",  # attempt and wait are set
    "parked",  # the retries are spent, and we keep trying at the longest wait
    "unfetched",  # a document that the session asked for by HTTP did not come; text says which and why
]


class Status(_Event, frozen=True, gc=False):
    """What happened to the connection or to one subscription.

    ``text`` is the venue's own word for it, or the reason; ``kind`` and ``symbol`` say which subscription, as
    far as the venue does. ``attempt`` and ``wait`` belong to a retry: the next attempt's number, counted from
    1 since the line was last well, and how long until it is made.
    """

    state: State
    ts_recv: int
    text: str = ""
    symbol: str = ""  # "" when it concerns the whole connection
    kind: str = ""  # trades, quotes, books, …
    epoch: int = 1
    venue: str = ""
    attempt: int = 0
    wait: float = 0.0  # seconds


class Lost(_Event, frozen=True, gc=False):
    """Items that a full buffer could not hold, in order with what it could."""

    symbol: str  # "" when they were of several symbols
    kind: str  # the name of their type, such as "Trade"; "frames" before they are read; "" when of several
    count: int
    ts_first: int  # ts_recv of the first and of the last one lost
    ts_last: int
    where: str  # "ring" between the reader and the line, "tape", or what the handoff is called
    ts_recv: int = 0


class Stale(_Event, frozen=True, gc=False):
    """Nothing has come for longer than it should; ``action`` is what was asked for, ``""`` for nothing."""

    ts_recv: int
    silent_for: float  # seconds
    symbol: str = ""  # "" when the whole stream is silent
    tier: Literal["transport", "stream", "symbol"] = "stream"
    action: Literal["", "resync", "reconnect"] = ""
    venue: str = ""


class LateTrade(_Event, frozen=True, gc=False):
    """A trade that came after its bar could still take it."""

    trade: Trade
    bar_start: int
    bar_end: int
    ts_recv: int


class Rolled(_Event, Generic[_T], frozen=True, gc=True):
    """What a fold made of one symbol's latest items, when the last of them had come or one had left.

    >>> Rolled("A", 5, 6, value=10.5, count=2).value
    10.5
    """

    symbol: str
    ts_event: int  # the end of the window, on the clock that it goes by
    ts_recv: int  # of the item that changed it, or the moment at which time did
    value: _T | None  # None where the window is empty
    count: int  # items in the window
    venue: str = ""
    partial: bool = False  # we have not watched for as long as the window reaches
    gap: bool = False  # the window reaches into a Gap or a counted loss


class Vwap(_Event, frozen=True, gc=False):
    """The volume-weighted average price of one symbol's latest trades.

    >>> Vwap("A", 5, 6, price=10.5, volume=2.0, value=21.0, count=2).price
    10.5
    """

    symbol: str
    ts_event: int  # the end of the window, on the clock that it goes by
    ts_recv: int
    price: float | None  # None where nothing was traded
    volume: float
    value: float  # the sum of price * size
    count: int  # trades in the window
    venue: str = ""
    partial: bool = False  # we have not watched for as long as the window reaches
    gap: bool = False  # the window reaches into a Gap or a counted loss


class Sample(_Event, Generic[_T], frozen=True, gc=True):
    """The last item of one symbol, as it was known at one moment of a grid.

    >>> Sample("A", 60, "the last one", age=2, fresh=0).age
    2
    """

    symbol: str
    ts_recv: int  # the moment on the grid
    item: _T
    age: int  # ns that had passed since the item came
    fresh: int  # items that came since the moment before; 0: this is the same one again
    venue: str = ""
    gap: bool = False  # the line was lost after it came: there may be a newer one that we do not know


class Anomaly(_Event, frozen=True, gc=False):
    """A trade or a quote that is off, and in which way; ``value`` is beyond what ``limit`` allows.

    >>> wrong = Trade("A", 5, 6, price=-1.0, size=1.0)
    >>> Anomaly("A", 5, 6, "price", "price -1.0", -1.0, 0.0, wrong).reason
    'price'
    """

    symbol: str
    ts_event: int
    ts_recv: int
    reason: Literal["price", "size", "crossed", "backwards", "stale", "outlier"]
    detail: str
    value: float  # the price, the size, bid - ask, seconds, repeats, the robust z-score
    limit: float
    item: Trade | Quote
    venue: str = ""


class Malformed(_Event, frozen=True, gc=False):
    """A frame, or one element of it, that does not say what its venue's documents promise."""

    frame: Frame
    reason: str
    ts_recv: int


Event: TypeAlias = (
    Trade
    | TradeCorrection
    | TradeCancel
    | Quote
    | OrderBookUpdate
    | Bar
    | Ticker
    | ReferencePrice
    | News
    | PriceBands
    | TradingStatus
    | Imbalance
    | Instrument
    | Gap
    | Status
    | Lost
    | Stale
    | LateTrade
    | Malformed
)
"""Everything that ``op.normalize`` may emit."""

Market: TypeAlias = (
    Trade
    | TradeCorrection
    | TradeCancel
    | Quote
    | OrderBookUpdate
    | Bar
    | Ticker
    | ReferencePrice
    | News
    | PriceBands
    | TradingStatus
    | Imbalance
    | Instrument
)
"""The events that are the market's own, as opposed to what is said about the line."""
