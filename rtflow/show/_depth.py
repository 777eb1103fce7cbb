"""depth: how much rests on either side of the mid up to each price, added up."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from reactivex import Observable

from rtflow.book import BookState
from rtflow.events import Level
from rtflow.show._books import Levels, OneBook
from rtflow.show._picture import Message
from rtflow.show._sheet import Anchor, Sheet, decimals, said, short, ticks
from rtflow.show._view import View


def depth(
    books: Observable[Any] | Any,
    *,
    levels: int = 100,
    symbol: str | None = None,
    venue: str | None = None,
    rate: float = 10.0,
) -> View:
    """The sizes of the best ``levels`` of each side, added up from the touch outwards, over the price.

    Takes what :func:`~rtflow.show.ladder` takes. A step as high as the curve is what an order that goes to
    that price would find.

    >>> from rtflow import OrderBook
    >>> "99" in depth(OrderBook.of(bids=[(99.0, 2.0), (98.0, 1.0)], asks=[(101.0, 1.0)])).svg()
    True

    Raises TypeError for what is neither a stream nor a book, ValueError for ``levels`` below 1.
    """
    return View.of(_Depth(levels, symbol, venue), books, rate=rate)


class _Depth(OneBook):
    script = "depth"
    height = 260

    def __init__(self, levels: int, symbol: str | None, venue: str | None) -> None:
        super().__init__(symbol, venue)
        self._levels = Levels(levels)

    def see(self, book: BookState) -> None:
        if book.status != "live":
            self._levels.read(self.book)  # its last, else they are read when they are shown

    def whole(self) -> Message:
        self._levels.read(self.book)
        return {**self._levels.whole(), "old": self.old}

    def changes(self) -> Message:
        self._levels.read(self.book)
        return {**self._levels.changes(), "old": self.old}

    def draw(self, sheet: Sheet, top: int) -> None:
        levels = self._levels
        levels.read(self.book)
        both = levels.bids + levels.asks
        if not both:
            return
        left, right, bottom = 52.0, sheet.width - 10.0, top + self.height - 22.0
        low, high = min(price for price, _ in both), max(price for price, _ in both)
        if low == high:
            low, high = low - 1, high + 1
        pad = (high - low) * 0.02  # so that the last step can be seen
        low, high = low - pad, high + pad
        most = max(sum(size for _, size in side) for side in (levels.bids, levels.asks))

        def at(price: float) -> float:
            return left + (right - left) * (price - low) / (high - low)

        def up(size: float) -> float:
            return bottom - (bottom - top - 8) * size / most

        for size in ticks(0.0, most, 4):
            sheet.line(left, up(size), right, up(size))
            sheet.text(left - 6, up(size) + 4, short(size), "faint", anchor="end", small=True)
        across = ticks(low, high, max(2, int((right - left) / 110)))
        digits = decimals(across)
        for price in across:
            edge: Anchor = "middle"
            if at(price) < left + 20:
                edge = "start"
            elif at(price) > right - 30:
                edge = "end"
            sheet.text(at(price), bottom + 15, said(price, digits), "faint", anchor=edge, small=True)
        for side, each in (("bid", levels.bids), ("ask", levels.asks)):
            if each:
                steps = [
                    (at(price), up(size)) for price, size in _steps(each, low if side == "bid" else high)
                ]
                sheet.area(
                    [*steps, (steps[-1][0], bottom), (steps[0][0], bottom)],
                    side,
                    opacity=0.1 if self.old else 0.22,
                )
                sheet.path(steps, "faint" if self.old else side)
        if levels.bids and levels.asks:
            mid = (levels.bids[0][0] + levels.asks[0][0]) / 2
            sheet.line(at(mid), top + 4, at(mid), bottom, "faint", dash="3 3")
            words = f"mid {said(mid, min(6, decimals([mid])))}"
            if at(mid) > right - 90:
                sheet.text(at(mid) - 5, top + 13, words, "faint", anchor="end", small=True)
            else:
                sheet.text(at(mid) + 5, top + 13, words, "faint", small=True)


def _steps(levels: tuple[Level, ...], end: float) -> list[tuple[float, float]]:
    """The corners of a side's stairs, from the touch outwards."""
    sums = list(accumulate(size for _, size in levels))
    corners = [(levels[0][0], 0.0)]
    for place, (price, _) in enumerate(levels):
        corners += [(price, sums[place - 1] if place else 0.0), (price, sums[place])]
    return [*corners, (end, sums[-1])]
