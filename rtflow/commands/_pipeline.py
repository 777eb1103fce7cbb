"""From events to what is shown, and the wait for its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_args

from reactivex import Observable

from rtflow import operators as op
from rtflow.commands._failures import arguments
from rtflow.counters import Counters
from rtflow.events import Event, Gap, Lost, Malformed, Market, OrderBookUpdate, Quote, Stale, Status, Trade
from rtflow.provider import Provider
from rtflow.scheduler import wait
from rtflow.terminal import Item
from rtflow.time import Duration
from rtflow.transport import Feed, connect

_T = TypeVar("_T")

_LINE = (Gap, Status, Lost, Stale, Malformed)  # what is said about the line is always shown
_NAMED = (Trade, Quote, OrderBookUpdate)  # and these where they were asked for
_OTHERS = tuple(kind for kind in get_args(Market) if kind not in _NAMED)


class Asked(NamedTuple):
    """What somebody wants to see; trades, where nothing was named."""

    trades: bool = False
    quotes: bool = False
    book: bool = False
    bars: str | None = None
    kinds: tuple[str, ...] = ()
    depth: int = 10

    @classmethod
    def of(
        cls, trades: bool, quotes: bool, book: bool, bars: str | None, kinds: list[str] | None, depth: int
    ) -> Asked:
        """What the options of a command say."""
        nothing = not (trades or quotes or book or bars or kinds)
        return cls(trades or nothing, quotes, book, bars, tuple(kinds or ()), depth)

    def subscription(self, symbols: list[str]) -> dict[str, list[str]]:
        """What to subscribe for it: bars are made of trades."""
        kinds = dict.fromkeys(self.kinds, symbols)
        wanted = {"trades": self.trades or self.bars, "quotes": self.quotes, "books": self.book}
        return kinds | {kind: symbols for kind, on in wanted.items() if on}

    @property
    def shows(self) -> list[str]:
        """The parts of a screen."""
        parts = {"trades": self.trades, "quotes": self.quotes, "bars": self.bars, "books": self.book}
        return [name for name, on in parts.items() if on]

    @property
    def _types(self) -> tuple[type[Any], ...]:
        shown = [*_LINE]
        shown += [Trade] if self.trades or any("trades" in kind for kind in self.kinds) else []
        shown += [Quote] if self.quotes or "quotes" in self.kinds else []
        shown += [OrderBookUpdate] if any("books" in kind for kind in self.kinds) else []
        return (*shown, *(_OTHERS if self.kinds else ()))

    def made_of(
        self,
        events: Observable[Event],
        counters: Counters,
        *,
        resync: Callable[[str], object] | None = None,
        book_every: Duration | str = "update",
    ) -> Observable[Item]:
        """The events, bars and books that were asked for, in one stream."""
        with arguments():
            makers: list[Any] = [op.only(*self._types)]
            if self.bars:
                makers.append(op.window_to_bar(self.bars, counters=counters))
            if self.book:
                emit: Any = book_every
                makers.append(op.book_apply(depth=self.depth, emit=emit, resync=resync, counters=counters))

        return events.pipe(op.together(*makers))


def feed_of(provider: Provider, wanted: dict[str, list[str]], *, timeout: float = 10.0) -> Feed:
    """A feed of ``wanted``, symbols by kind; the command line is to blame for what the venue cannot serve."""
    with arguments():
        feed = connect(provider, timeout=timeout)
        feed.add(**wanted)
    return feed


def follow(items: Observable[_T], show: Callable[[_T], object], *, seconds: float | None = None) -> None:
    """Show items until they end, or ``seconds`` have passed.

    Raises what ended them, or what ``show`` raised.
    """
    over, failures = threading.Event(), list[Exception]()

    def fail(error: Exception) -> None:
        failures.append(error)
        over.set()

    def on_next(item: _T) -> None:
        try:
            if not failures:
                show(item)
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it
            fail(error)

    subscription = items.subscribe(on_next, fail, over.set)
    try:
        wait(over, seconds)
    finally:
        subscription.dispose()
    if failures:
        raise failures[0]
