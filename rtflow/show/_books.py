"""OneBook: a picture of one book, out of a stream that may hold several."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from rtflow.book import BookState, BookStatus, OrderBook
from rtflow.events import Level
from rtflow.show._picture import Head, Message, Picture, Tone, names
from rtflow.show._sheet import decimals

_MOST_OTHERS = 20


class OneBook(Picture):
    """Follows ``symbol``, or the first that comes, at the one venue where it came first."""

    awaits = "a book"

    def __init__(self, symbol: str | None, venue: str | None) -> None:
        super().__init__()
        self.book: BookState | None = None
        self._followed: tuple[str | None, str | None, str | None] = (symbol, venue, None)
        self._others: dict[str, None] = {}

    @abstractmethod
    def see(self, book: BookState) -> None:
        """The book becomes this; ``self.book`` is still what it was."""

    @property
    def old(self) -> bool:
        """Whether what is shown is not the venue's book now."""
        return self.book is not None and self.book.status != "live"

    def take(self, item: Any) -> None:
        if isinstance(item, OrderBook):
            item = item.view(self.symbol or "", 0, 0)
        if not isinstance(item, BookState):
            self.stranger(item)
            return
        its = item.symbol, item.venue, item.exchange
        if all(asked in (None, each) for asked, each in zip(self._followed, its, strict=True)):
            self._followed = its
            self.see(item)
            self.book = item
        elif len(self._others) < _MOST_OTHERS:
            self._others[" ".join(filter(None, (item.venue, item.exchange, item.symbol)))] = None

    @property
    def symbol(self) -> str | None:
        """Whose book it is, once that is known."""
        return self._followed[0]

    def empty(self) -> bool:
        return self.book is None

    def head(self) -> Head:
        book = self.book
        if book is None:
            return Head(self.symbol or "order book", self._followed[1] or "", "waiting")
        where = " ".join(filter(None, (book.venue, book.exchange)))
        note = ", ".join(filter(None, (where, "crossed" if book.crossed else "", book.reason)))
        return Head(book.symbol or "order book", note, book.status, _TONES[book.status])

    def foot(self) -> str:
        return names(list(self._others), "choose by symbol= and venue=")


_TONES: dict[BookStatus, Tone] = {
    "live": "good",
    "syncing": "warn",
    "suspect": "bad",
    "failed": "bad",
    "empty": "quiet",
}


class Levels:
    """The best levels of both sides of a book, and how they differ from what was last told."""

    def __init__(self, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"a book shows one level or more, not {depth}")
        self._depth = depth
        self.bids: tuple[Level, ...] = ()
        self.asks: tuple[Level, ...] = ()
        self.price_digits = self.size_digits = 0
        self._told: tuple[dict[float, float], dict[float, float]] = ({}, {})

    def read(self, book: BookState | None) -> None:
        """Take the levels of ``book`` over, unless it is dead: what it showed last stays, for the eye."""
        if book is None or book.status != "live":
            return
        self.bids, self.asks = book.levels("bid", self._depth), book.levels("ask", self._depth)
        both = self.bids + self.asks
        self.price_digits = max(self.price_digits, decimals(price for price, _ in both))
        self.size_digits = max(self.size_digits, decimals((size for _, size in both), most=6))

    def whole(self) -> Message:
        """All of them."""
        self._told = {}, {}
        return self.changes()

    def changes(self) -> Message:
        """Prices and their sizes that changed, size 0 where a price is gone."""
        bids, asks = dict(self.bids), dict(self.asks)
        told: Message = {
            "bids": _difference(self._told[0], bids),
            "asks": _difference(self._told[1], asks),
            "digits": [self.price_digits, self.size_digits],
        }
        self._told = bids, asks
        return told


def _difference(before: dict[float, float], now: dict[float, float]) -> list[Level]:
    changed = [(price, size) for price, size in now.items() if before.get(price) != size]
    return changed + [(price, 0.0) for price in before if price not in now]
