"""Bars of what is offered: by the bid, the ask, or what lies between, of quotes and of books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.events import Bar, LateTrade, Quote, Trade
from rtflow.operators._bars_by_time import TimeRules, Venue
from rtflow.operators._bars_revised import RevisedBars
from rtflow.operators._forming import judge_by

PriceOf: TypeAlias = Literal["bid", "ask", "mid", "microprice"]
"""Which price of a quote or of a book."""


class PriceBars(RevisedBars):
    """The same clockwork; a quote or a book is to it as a trade of no size."""

    _prints = frozenset((Quote, BookState))
    _kinds = frozenset(("", "quotes", "books"))

    def __init__(self, rules: TimeRules, of: PriceOf, counters: Counters) -> None:
        super().__init__(rules, judge_by(None, daily=False), counters)
        self._price = PRICES[of]

    def _apply(self, venue: Venue, event: Any, stamp: int) -> tuple[Bar | LateTrade, ...]:
        said: Quote | BookState = event
        trusted = not isinstance(said, BookState) or said.status == "live"
        price = self._price(said) if trusted else None
        if price is None:
            self._counters.add("unpriced")
            return ()
        as_trade = Trade(said.symbol, said.ts_event, said.ts_recv, price, 0.0, venue=said.venue)
        return self._take(venue, as_trade, stamp)


def _bid(said: Quote | BookState) -> float | None:
    return said.bid


def _ask(said: Quote | BookState) -> float | None:
    return said.ask


def _mid(said: Quote | BookState) -> float | None:
    return None if said.bid is None or said.ask is None else (said.bid + said.ask) / 2


def _microprice(said: Quote | BookState) -> float | None:
    """As :attr:`rtflow.book.BookState.microprice`; none where nothing is offered on either side."""
    bid, ask, bid_size, ask_size = said.bid, said.ask, said.bid_size, said.ask_size
    if bid is None or ask is None or not bid_size or not ask_size:
        return None
    return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)


PRICES: dict[str, Callable[[Quote | BookState], float | None]] = {
    "bid": _bid,
    "ask": _ask,
    "mid": _mid,
    "microprice": _microprice,
}
