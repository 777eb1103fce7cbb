"""quotes_from_book: books to quotes."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rtflow.book import BookState
from rtflow.columns import pass_over
from rtflow.events import Event, Quote
from rtflow.kernel import Kernel, Lifted, lift


def quotes_from_book() -> Lifted[BookState | Event, Quote]:
    """The touch of each book as a ``Quote``, whenever a price or a size of it changed.

    ::

        --L1---L2---L3---S----L4--|     L: live, S: syncing
        [  quotes_from_book()     ]     L2 and L3 differ below the touch
        --q1---q2--------q-----q4-|     q: neither side

    A side that is empty, and both sides of a book that is not live, are ``None``. Stamps are the state's.
    Anything else is passed over, but a frame raises TypeError: ``normalize`` and ``book_apply`` come first.

        >>> from rtflow.book import OrderBook
        >>> book, kernel = OrderBook.of(bids=[(99.0, 2.0)]), quotes_from_book().kernel()
        >>> for price, size in (98.0, 5.0), (99.0, 1.0):
        ...     book.add("bid", price, size)
        ...     for quote in kernel.push(book.view("BTC/USD", ts_event=1, ts_recv=2)):
        ...         print(quote.bid, quote.bid_size, quote.ask)
        99.0 2.0 None
        99.0 1.0 None
    """
    return lift(_QuotesFromBook)


_Place: TypeAlias = tuple[str, str, str]
"""Venue, exchange and symbol."""

_Touch: TypeAlias = tuple[float | None, float | None, float | None, float | None]

_NOTHING: _Touch = (None, None, None, None)


class _QuotesFromBook(Kernel[BookState | Event, Quote]):
    """The touch of each book as last said."""

    def __init__(self) -> None:
        self._said: dict[_Place, _Touch] = {}

    def push(self, item: BookState | Event) -> tuple[Quote, ...]:
        if not isinstance(item, BookState):
            pass_over(item, "quotes_from_book")
            return ()
        place = (item.venue, item.exchange, item.symbol)
        touch = (item.bid, item.bid_size, item.ask, item.ask_size) if item.status == "live" else _NOTHING
        if touch == self._said.get(place, _NOTHING):
            return ()
        self._said[place] = touch
        return (
            Quote(
                item.symbol,
                item.ts_event,
                item.ts_recv,
                *touch,
                item.venue,
                item.exchange,
                item.exchange,
            ),
        )

    def state(self) -> Any:
        return list(self._said.items())

    def restore(self, state: Any) -> None:
        self._said = dict(msgspec.convert(state, list[tuple[_Place, _Touch]]))
