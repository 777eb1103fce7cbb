"""consolidate: the best bid and offer over several venues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from rtflow.book import BookState
from rtflow.columns import pass_over
from rtflow.events import BestQuote, Event, Excluded, Frame, Gap, Lost, Quote, Status
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import SECOND, Duration, nanoseconds

Names: TypeAlias = Callable[[str, str], str] | Mapping[tuple[str, str], str] | Mapping[str, str]
"""What a venue's symbol is called here: by a function of both, by a table of ``(venue, symbol)``, or by one
of symbols; what is in no table keeps its name."""


def consolidate(
    *, names: Names | None = None, stale_after: Duration | None = 30.0
) -> Lifted[BookState | Event, BestQuote]:
    """The best bid and offer of each symbol over all venues, whenever it changes, and whose it is.

    ::

        --x1---y1---x2------Sx--x3----------|     x, y: two venues; S: the book is syncing
        [ consolidate(stale_after=30)       ]
        --b1---b2---b3------b4--b5-----b6---|     b4: x is excluded; b6: so is y, silent for 30 seconds

    Merge the books of several venues into one stream (or of several exchanges: they are told apart), or their
    quotes, or both; of a venue that says both, the last word counts. ``names`` makes one symbol of what
    venues spell differently: ``{"BTCUSDT": "BTC/USD", ("deribit", "BTC_USDC"): "BTC/USD"}``.

    A venue is left out, and named with the reason in ``excluded``, while

    - its book is not live, or is crossed in itself;
    - it has said nothing of the symbol for ``stale_after`` (None: nothing is ever stale). A book that speaks
      only when its touch moves, ``emit="top"``, is quiet for longer than one that does at each update;
    - its quotes may have been missed: after a ``Gap`` of its line, a ``Lost`` or the end of a subscription,
      until the next one. So give it those events along with quotes; books know for themselves.

    Of venues with the same best price the one with the larger size is named, or else the one met first. That
    one venue bids more than another asks (``crossed``) is shown as it is: they are not one market.

        >>> kernel = consolidate(names={"XBT/USD": "BTC/USD"}).kernel()
        >>> for quote in (Quote("BTC/USD", 1, 1, 99.0, 2.0, 101.0, 1.0, venue="a"),
        ...               Quote("XBT/USD", 2, 2, 98.0, 2.0, 100.0, 1.0, venue="b")):
        ...     for best in kernel.push(quote):
        ...         print(best.symbol, best.bid, best.bid_venue, best.ask, best.ask_venue)
        BTC/USD 99.0 a 101.0 a
        BTC/USD 99.0 a 100.0 b

    Raises ValueError for a ``stale_after`` that is not positive, TypeError for ``names`` that are neither a
    function nor a table, and for a frame, which ``normalize`` has to read first.
    """
    patience = None if stale_after is None else nanoseconds(stale_after)
    if patience is not None and patience <= 0:
        raise ValueError(f"stale_after must be more than no time, not {stale_after!r}")
    name = _naming(names)
    return lift(lambda: _Consolidate(name, patience))


def _naming(names: Names | None) -> Callable[[str, str], str]:
    if names is None:
        return lambda venue, symbol: symbol
    if isinstance(names, Mapping):
        table = cast("Mapping[Any, str]", names)
        return lambda venue, symbol: table.get((venue, symbol)) or table.get(symbol, symbol)
    if not callable(names):
        raise TypeError(f"names are a function of venue and symbol or a table of them, not {names!r}")
    return names


_Touch: TypeAlias = tuple[float | None, float | None, float | None, float | None]

_NOTHING: _Touch = (None, None, None, None)


class _Source(msgspec.Struct):
    """What one venue, or one exchange of it, said last of one of its symbols."""

    venue: str
    exchange: str
    symbol: str  # as the venue spells it
    touch: _Touch = _NOTHING
    why_not: str = ""  # it does not count; "" where it does
    quoted: bool = False  # by a quote, which does not know when it is no longer true
    ts_event: int = 0
    ts_recv: int = 0


_Shown: TypeAlias = tuple[
    float | None, float | None, float | None, float | None, str, str, str, str, tuple[Excluded, ...]
]


class _Best(msgspec.Struct):
    """The venues that have one symbol, in the order they came, and what was said of it last."""

    sources: list[_Source] = []
    shown: _Shown = (*_NOTHING, "", "", "", "", ())

    def source(self, venue: str, exchange: str, symbol: str) -> _Source:
        for source in self.sources:
            if source.venue == venue and source.symbol == symbol and source.exchange == exchange:
                return source
        self.sources.append(_Source(venue, exchange, symbol))
        return self.sources[-1]

    def look(self) -> _Shown:
        """What there is to show now."""
        nobody = _Source("", "", "")
        bidder = asker = nobody
        bid = ask = bid_size = ask_size = None
        excluded: list[Excluded] = []
        for source in self.sources:
            if source.why_not:
                excluded.append(Excluded(source.venue, source.why_not, source.exchange))
                continue
            price, size, offer, offered = source.touch
            if price is not None and (
                bid is None or price > bid or (price == bid and (size or 0.0) > (bid_size or 0.0))
            ):
                bid, bid_size, bidder = price, size, source
            if offer is not None and (
                ask is None or offer < ask or (offer == ask and (offered or 0.0) > (ask_size or 0.0))
            ):
                ask, ask_size, asker = offer, offered, source
        venues = bidder.venue, asker.venue, bidder.exchange, asker.exchange
        return (bid, bid_size, ask, ask_size, *venues, tuple(excluded))


class _Consolidate(Kernel[BookState | Event, BestQuote]):
    """The symbols, and a moment before which no venue's word can be too old."""

    def __init__(self, name: Callable[[str, str], str], stale_after: int | None) -> None:
        self._name = name
        self._stale_after = stale_after
        self._bests: dict[str, _Best] = {}
        self._due: int | None = None

    def push(self, item: BookState | Event) -> tuple[BestQuote, ...]:
        now = item.ts_recv
        made: tuple[BestQuote, ...] = ()
        while self._due is not None and self._due < now:  # nobody woke us
            made += self.wake(self._due)
        if isinstance(item, BookState):
            why_not = "crossed" if item.crossed else ""
            if item.status != "live":
                why_not = f"{item.status}: {item.reason}" if item.reason else item.status
            touch = (item.bid, item.bid_size, item.ask, item.ask_size)
            return made + self._take(item, item.exchange, touch, why_not, quoted=False)
        if isinstance(item, Quote):
            touch = (item.bid, item.bid_size, item.ask, item.ask_size)
            exchange = item.bid_exchange if item.bid_exchange == item.ask_exchange else ""
            return made + self._take(item, exchange, touch, "", quoted=True)
        return made + self._heed(item)

    def due(self) -> int | None:
        return self._due

    def wake(self, now: int) -> tuple[BestQuote, ...]:
        patience = self._stale_after
        assert patience is not None, "without it, nothing is ever due"
        made: tuple[BestQuote, ...] = ()
        due: list[int] = []
        for name, best in self._bests.items():
            fresh = [source for source in best.sources if not source.why_not]
            stale = [source for source in fresh if source.ts_recv + patience <= now]
            for source in stale:
                source.why_not = f"stale: nothing for {patience / SECOND:g} s"
            made += self._say(name, best, now) if stale else ()
            due += [source.ts_recv + patience for source in fresh if source not in stale]
        self._due = min(due, default=None)
        return made

    def state(self) -> Any:
        return msgspec.to_builtins([self._bests, self._due])

    def restore(self, state: Any) -> None:
        self._bests, self._due = msgspec.convert(state, tuple[dict[str, _Best], int | None])

    def _take(
        self, item: BookState | Quote, exchange: str, touch: _Touch, why_not: str, *, quoted: bool
    ) -> tuple[BestQuote, ...]:
        """A venue's word."""
        name = self._name(item.venue, item.symbol)
        best = self._bests.get(name)
        if best is None:
            best = self._bests[name] = _Best()
        source = best.source(item.venue, exchange, item.symbol)
        same = source.touch == touch and source.why_not == why_not
        source.touch, source.why_not, source.quoted = touch, why_not, quoted
        source.ts_event, source.ts_recv = item.ts_event, item.ts_recv
        if self._due is None and self._stale_after is not None:
            self._due = item.ts_recv + self._stale_after
        return () if same else self._say(name, best, item.ts_recv)

    def _heed(self, item: Event | Frame) -> tuple[BestQuote, ...]:
        """What is said about the line and the subscriptions, and concerns quotes."""
        match item:
            case Gap(kind="" | "quotes"):
                return self._doubt(item.venue, item.symbols, f"gap: {item.reason}", item.ts_recv)
            case Lost(kind="" | "Quote"):
                symbols = (item.symbol,) if item.symbol else ()
                why_not = f"gap: {item.count} quotes lost in the {item.where}"
                return self._doubt("", symbols, why_not, item.ts_recv or item.ts_last)
            case Status(kind="quotes", state="rejected" | "unsubscribed") if item.symbol:
                why_not = f"{item.state}: {item.text}" if item.text else item.state
                return self._doubt(item.venue, (item.symbol,), why_not, item.ts_recv)
            case _:
                pass_over(item, "consolidate")
                return ()

    def _doubt(self, venue: str, symbols: tuple[str, ...], why_not: str, now: int) -> tuple[BestQuote, ...]:
        """The quotes of ``venue`` and of ``symbols`` count no more; "" and () are all."""
        made: tuple[BestQuote, ...] = ()
        for name, best in self._bests.items():
            for source in best.sources:
                if (
                    source.quoted
                    and not source.why_not
                    and source.venue == (venue or source.venue)
                    and source.symbol in (symbols or (source.symbol,))
                ):
                    source.why_not = why_not
            made += self._say(name, best, now)
        return made

    def _say(self, name: str, best: _Best, now: int) -> tuple[BestQuote, ...]:
        """What the venues have together, if that is something else than before."""
        shown = best.look()
        if shown == best.shown:
            return ()
        best.shown = shown
        newest = max(source.ts_event for source in best.sources)
        return (BestQuote(name, newest, now, *shown),)
