"""Bridge: what two connections of one feed say at once, told once.

A planned cut is bridged by opening the new connection before the old one closes. Until then the old one is
believed, and what the new one says is held; from then on the new one is believed, first what it has held and
the old one had not said. So the order is each connection's own, and nothing is told twice or late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import itemgetter
from typing import Any, TypeAlias, get_args

import msgspec

from rtflow.book import OrderBook, joins_on
from rtflow.events import (
    Bar,
    Event,
    Instrument,
    Lost,
    Market,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Status,
    Ticker,
    Trade,
)


class Bridge:
    """Plain state: tell it what the old connection :meth:`said`, have it :meth:`hold` what the new one says.

    - What happened (trades, final bars, news …) is the same if its id is, and where it has none if all that
      the venue said of it is; of several that are alike each is matched with one.
    - Of what is (quotes, tickers, forming bars …) only the latest matters.
    - A book passes to the new connection whole: its snapshot there, and what changed it since.

    What is said of the line and of subscriptions is not the market's and not held. At most so many events
    wait as :data:`MOST` says; the oldest give way, and :meth:`cross` says how many did, as ``Lost``.

    >>> bridge = Bridge()
    >>> bridge.said([Trade("A", 1, 10, 5.0, 1.0, id="7")])
    >>> bridge.hold(Trade("A", at, at + 10, 5.0, 1.0, id=id) for at, id in ((1, "7"), (2, "8")))
    []
    >>> [trade.id for trade in bridge.cross(20)]
    ['8']
    """

    def __init__(self) -> None:
        self._told: dict[str, int] = {}  # by the old one, and not yet by the new one; how often
        self._held: dict[str, list[_Numbered]] = {}  # said by the new one, and not yet by the old one
        self._number = 0  # of the last one that was held
        self._holding = 0  # how many are
        self._shown: dict[str, Event] = {}  # the latest state of each kind and symbol, by the old one
        self._known: dict[str, Event] = {}  # and by the new one
        self._reached: dict[str, int] = {}  # the number that the old one's books have reached
        self._books: dict[str, _Whole] = {}
        self._lost: dict[str, Lost] = {}  # by kind

    def said(self, events: Iterable[Event]) -> None:
        """What the old connection says, which is told."""
        for event in events:
            if isinstance(event, OrderBookUpdate):
                if event.sequence is not None:
                    place = _place(event)
                    self._reached[place] = max(event.sequence, self._reached.get(place, 0))
            elif isinstance(event, _STATES) and not _is_final(event):
                self._shown[_place(event)] = event
            elif event.__class__ in _MARKET:
                key = _key(event)
                if key in self._held:
                    self._let_go(key)
                else:
                    self._told[key] = self._told.get(key, 0) + 1
                    if len(self._told) > MOST:
                        del self._told[next(iter(self._told))]

    def hold(self, events: Iterable[Event]) -> list[Event]:
        """What the new connection says; comes back what is not the market's."""
        return [event for event in events if not self._keeps(event)]

    def cross(self, now: int) -> Iterator[Event]:
        """The old connection is gone: what the new one has said beyond it."""
        for lost in self._lost.values():
            yield msgspec.structs.replace(lost, ts_recv=now)
        held = sorted((each for alike in self._held.values() for each in alike), key=itemgetter(0))
        yield from (event for _, event in held)
        for place, event in self._known.items():
            shown = self._shown.get(place)
            if shown is None or (_moment(event) >= _moment(shown) and _content(event) != _content(shown)):
                yield event
        for place in (*self._books,):
            yield from self._whole(place, now)
        self._held, self._known, self._shown, self._lost, self._holding = {}, {}, {}, {}, 0

    def settle(self, events: Iterable[Event]) -> Iterator[Event]:
        """What the new connection says after that, without what the old one had told before it ended."""
        for event in events:
            if isinstance(event, OrderBookUpdate):
                place = _place(event)
                if place in self._books:
                    self._books[place].take(event)
                    yield from self._whole(place, event.ts_recv)
                else:
                    yield event
            elif not (self._told and event.__class__ in _MARKET and self._was_told(_key(event))):
                yield event

    def state(self) -> Any:
        """All it knows, as plain data."""
        books = {place: each.state() for place, each in self._books.items()}
        said = self._held, self._number, self._shown, self._known
        return msgspec.to_builtins(_Saved(self._told, *said, self._reached, books, self._lost))

    def restore(self, state: Any) -> None:
        """Become the bridge that said ``state``."""
        saved = msgspec.convert(state, _Saved)
        self._told, self._held, self._number = saved.told, saved.held, saved.number
        self._holding = sum(map(len, saved.held.values()))
        self._shown, self._known = saved.shown, saved.known
        self._reached = saved.reached
        self._books = {place: _Whole.of(*each) for place, each in saved.books.items()}
        self._lost = saved.lost

    def _keeps(self, event: Event) -> bool:
        if event.__class__ not in _MARKET:
            if isinstance(event, Status) and event.state in ("unsubscribed", "rejected"):
                self._forget_book(event)
            return False
        if isinstance(event, OrderBookUpdate):
            self._books.setdefault(_place(event), _Whole(event.symbol)).take(event)
        elif isinstance(event, _STATES) and not _is_final(event):
            self._known[_place(event)] = event
        elif not self._was_told(key := _key(event)):
            self._number += 1
            self._holding += 1
            self._held.setdefault(key, []).append((self._number, event))
            if self._holding > MOST:
                self._lose(self._let_go(next(iter(self._held))))
        return True

    def _forget_book(self, farewell: Status) -> None:
        """Of a book that nobody serves any more there is nothing to hand on."""
        if farewell.kind.endswith("books"):
            for place, whole in [*self._books.items()]:
                if whole.symbol == farewell.symbol:
                    del self._books[place]

    def _was_told(self, key: str) -> bool:
        """Whether the old one had told the like of it, which then counts as this one."""
        times = self._told.pop(key, 0)
        if times > 1:
            self._told[key] = times - 1
        return times > 0

    def _let_go(self, key: str) -> Event:
        """The oldest that is held of those with this key, no longer held."""
        alike = self._held[key]
        _, event = alike.pop(0)
        if not alike:
            del self._held[key]
        self._holding -= 1
        return event

    def _lose(self, event: Event) -> None:
        kind, at = type(event).__name__, event.ts_recv
        before = self._lost.get(kind, Lost("", kind, 0, at, at, "bridge"))
        self._lost[kind] = msgspec.structs.replace(before, count=before.count + 1, ts_last=at)

    def _whole(self, place: str, now: int) -> Iterator[OrderBookUpdate]:
        """The book of the new connection, unless it has yet to reach where the old one's was."""
        last = self._books[place].last
        number = None if last is None else last.sequence
        if number is None or number >= self._reached.get(place, 0):
            yield from self._books.pop(place).told(now)


MOST = 65_536
"""How many events of each connection are remembered, beside the latest state and the book of each symbol."""

_MARKET: frozenset[type] = frozenset(get_args(Market))
_STATES = (Quote, Ticker, ReferencePrice, PriceBands, Instrument, Bar)
_EARLIEST = 1000  # changes of one book that wait for its snapshot


_Numbered: TypeAlias = tuple[int, Event]
"""An event, and how many had been held before it."""


class _Whole:
    """A book that is about to be told as a whole, with the last update that went into it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last: OrderBookUpdate | None = None
        self._early: list[OrderBookUpdate] = []  # came before the snapshot
        self._book = OrderBook()

    @classmethod
    def of(
        cls, symbol: str, last: OrderBookUpdate | None, early: list[OrderBookUpdate], levels: Any
    ) -> _Whole:
        """What said this as its state."""
        whole = cls(symbol)
        whole.last, whole._early = last, early
        whole._book.restore(levels)
        return whole

    def state(self) -> _SavedWhole:
        return self.symbol, self.last, self._early, self._book.state()

    def take(self, update: OrderBookUpdate) -> None:
        number = update.sequence
        reached = None if self.last is None else self.last.sequence
        late = number is not None and reached is not None and number <= reached
        if update.snapshot:
            if not late:
                self._apply(update)
                early, self._early = self._early, []
                for each in early:
                    self.take(each)
        elif self.last is None:
            if number is not None:
                self._early = [*self._early[1 - _EARLIEST :], update]
        elif not late:
            if reached is not None and not joins_on(update, reached):
                self.last, self._early = None, [update]  # a hole: the next snapshot makes it whole
            else:
                self._apply(update)

    def _apply(self, update: OrderBookUpdate) -> None:
        self.last = None  # as behind a hole: what is broken or used up has to be sent anew
        with suppress(ValueError):
            self._book.apply(update)
            if not self._book.exhausted:
                self.last = msgspec.structs.replace(update, bids=(), asks=(), bid_digits=(), ask_digits=())

    def told(self, now: int) -> Iterable[OrderBookUpdate]:
        """One snapshot, as of ``now``; without any, the changes that wait for it."""
        if self.last is None:
            return self._early
        bids, asks = self._book.levels("bid"), self._book.levels("ask")
        bid_digits, ask_digits = (self._digits("bid", len(bids)), self._digits("ask", len(asks)))
        return (
            msgspec.structs.replace(
                self.last,
                ts_recv=now,
                bids=bids,
                asks=asks,
                bid_digits=bid_digits,
                ask_digits=ask_digits,
                snapshot=True,
                first_sequence=None,
                previous_sequence=None,
                limit=self._book.reach,
            ),
        )

    def _digits(self, side: Any, count: int) -> tuple[str, ...]:
        digits = tuple(self._book.digits(side, count)) if count else ()
        return digits if any(digits) else ()


_SavedWhole: TypeAlias = tuple[str, OrderBookUpdate | None, list[OrderBookUpdate], Any]


class _Saved(msgspec.Struct):
    """What :meth:`Bridge.state` says."""

    told: dict[str, int]
    held: dict[str, list[_Numbered]]
    number: int
    shown: dict[str, Event]
    known: dict[str, Event]
    reached: dict[str, int]
    books: dict[str, _SavedWhole]
    lost: dict[str, Lost]


def _is_final(event: Event) -> bool:
    return isinstance(event, Bar) and event.final


def _place(event: Any) -> str:
    """What a state is of: one kind, one symbol."""
    parts = (type(event).__name__, event.symbol, *(getattr(event, name, "") for name in _APART))
    return " ".join(parts)


_APART = ("exchange", "interval", "source")


def _key(event: Event) -> str:
    """What tells that two connections speak of the same."""
    if isinstance(event, Trade) and event.id:
        return f"{event.symbol} {event.exchange} {event.id}"
    return msgspec.json.encode(_content(event)).decode()


def _content(event: Any) -> Event:
    """What the venue said; where it gave no time, ``ts_event`` is our own, and does not count either."""
    ours = {"ts_event": 0} if getattr(event, "ts_event", None) == event.ts_recv else {}
    content: Event = msgspec.structs.replace(event, ts_recv=0, **ours)
    return content


def _moment(event: Any) -> int:
    moment: int = getattr(event, "ts_event", event.ts_recv)
    return moment
