"""ladder: the best levels of a book, asks above bids, each with a bar as long as its size."""

from __future__ import annotations

from typing import Any

from reactivex import Observable

from rtflow.book import BookState
from rtflow.show._books import Levels, OneBook
from rtflow.show._picture import Message
from rtflow.show._sheet import Sheet, said
from rtflow.show._view import View


def ladder(
    books: Observable[Any] | Any,
    *,
    depth: int = 10,
    symbol: str | None = None,
    venue: str | None = None,
    rate: float = 10.0,
) -> View:
    """The best ``depth`` levels of a side, asks on top, the spread between them.

    ``books`` is a stream with ``BookState`` in it, a list of such, one ``BookState`` or one ``OrderBook``.
    Of several books it follows the first that comes, or the one of ``symbol`` and ``venue``. A book that is
    not live keeps the levels it showed last, pale, and says what it is and why.

    At most ``rate`` times a second the browser is told the levels that changed. Give ``op.book_apply`` a
    depth too: a state that is held costs a copy of the levels it has.

    >>> from rtflow import OrderBook
    >>> ladder(OrderBook.of(bids=[(99.0, 2.0)], asks=[(101.0, 1.0)])).svg().count("<rect") > 0
    True

    Raises TypeError for what is neither a stream nor a book, ValueError for a depth below 1.
    """
    return View.of(_Ladder(depth, symbol, venue), books, rate=rate)


_ROW = 18


class _Ladder(OneBook):
    script = "ladder"

    def __init__(self, depth: int, symbol: str | None, venue: str | None) -> None:
        super().__init__(symbol, venue)
        self._depth = depth
        self._levels = Levels(depth)
        self.height = (2 * depth + 1) * _ROW + 4

    def see(self, book: BookState) -> None:
        if book.status != "live":
            self._levels.read(self.book)  # its last, else they are read when they are shown

    def whole(self) -> Message:
        self._levels.read(self.book)
        return {**self._levels.whole(), **self._facts()}

    def changes(self) -> Message:
        self._levels.read(self.book)
        return {**self._levels.changes(), **self._facts()}

    def _facts(self) -> Message:
        return {"depth": self._depth, "old": self.old}

    def draw(self, sheet: Sheet, top: int) -> None:
        levels = self._levels
        levels.read(self.book)
        old = self.old
        largest = max((size for _, size in levels.bids + levels.asks), default=1.0)
        middle = top + self._depth * _ROW
        price_at = sheet.width * 0.5
        for side, each, step in (("ask", levels.asks, -1), ("bid", levels.bids, 1)):
            for place, (price, size) in enumerate(each):
                y = middle - (place + 1) * _ROW if step < 0 else middle + (place + 1) * _ROW
                room = price_at - 20
                sheet.box(
                    price_at + 12, y + 2, room * size / largest, _ROW - 4, side, opacity=0.2 if old else 0.35
                )
                sheet.text(
                    price_at, y + 13, said(price, levels.price_digits), "faint" if old else side, anchor="end"
                )
                sheet.text(price_at + 18, y + 13, said(size, levels.size_digits), "faint" if old else "ink")
                if not place:
                    sheet.text(4, y + 13, f"best {side}", "faint", small=True)
        sheet.line(0, middle + 0.5, sheet.width, middle + 0.5)
        sheet.line(0, middle + _ROW - 0.5, sheet.width, middle + _ROW - 0.5)
        if levels.bids and levels.asks:
            spread = levels.asks[0][0] - levels.bids[0][0]
            sheet.text(price_at, middle + 13, said(spread, levels.price_digits), "faint", anchor="end")
            sheet.text(price_at + 18, middle + 13, "spread", "faint")
