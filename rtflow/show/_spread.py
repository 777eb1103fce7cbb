"""spread: best bid and best ask over time, and below them how far they are apart."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from statistics import median
from typing import Any

from reactivex import Observable

from rtflow.book import BookState
from rtflow.show._books import OneBook
from rtflow.show._picture import Head, Message
from rtflow.show._sheet import Sheet, clock, decimals, moments, said, ticks
from rtflow.show._view import View
from rtflow.time import Duration, nanoseconds


def spread(
    books: Observable[Any] | Iterable[Any],
    *,
    every: Duration = 0.1,
    history: int = 1200,
    symbol: str | None = None,
    venue: str | None = None,
    rate: float = 10.0,
) -> View:
    """The best bid and ask above, their distance in units of price below, over the time at which they came.

    Takes what :func:`~rtflow.show.ladder` takes. What changes within ``every`` seconds is one point, the
    last; ``history`` of them are kept. Where the book was not live or lacked a side there is no line.

    >>> from rtflow import OrderBook
    >>> book = OrderBook.of(bids=[(99.0, 2.0)], asks=[(101.0, 1.0)])
    >>> spread([book.view("A", second, second * 10**9) for second in range(5)])
    <show.spread finished>

    Raises TypeError for what is neither a stream nor a list, ValueError for options that are not positive.
    """
    return View.of(_Spread(nanoseconds(every), history, symbol, venue), books, rate=rate)


class _Spread(OneBook):
    script = "spread"
    height = 280

    def __init__(self, every: int, history: int, symbol: str | None, venue: str | None) -> None:
        super().__init__(symbol, venue)
        if every <= 0 or history < 1:
            raise ValueError(f"every and history are positive, not {every} ns and {history}")
        self._every, self._history = every, history
        self._points: dict[int, tuple[float, float, float]] = {}  # by slot: seconds, bid and ask
        self._slot = 0
        self._told = -1  # the last slot that was told, which may have changed since
        self._digits = 0

    def see(self, book: BookState) -> None:
        self._slot = slot = max(self._slot, book.ts_recv // self._every)
        bid, ask = (book.bid, book.ask) if book.status == "live" else (None, None)
        if bid is None or ask is None:
            bid = ask = math.nan
        else:
            self._digits = max(self._digits, decimals((bid, ask)))
        self._points[slot] = (book.ts_recv / 1e9, bid, ask)
        if len(self._points) > self._history:
            del self._points[next(iter(self._points))]

    def head(self) -> Head:
        head = super().head()
        spreads = [ask - bid for _, bid, ask in self._points.values() if bid == bid]
        if not spreads or self.book is None or self.book.spread is None or not self.book.mid:
            return head
        now = self.book.spread
        words = (
            f"spread {said(now, self._digits)} ({10_000 * now / self.book.mid:.2f} bps),"
            f" median {said(median(spreads), self._digits)}"
        )
        return head._replace(note=", ".join(filter(None, (head.note, words))))

    def whole(self) -> Message:
        self._told = -1
        return self.changes()

    def changes(self) -> Message:
        points = array("d")
        for slot in reversed(self._points):  # the newest first: old ones are never looked at again
            if slot < self._told:
                break
            points.extend(reversed(self._points[slot]))
        points.reverse()
        self._told = self._slot
        return {
            "points": points.tobytes(),
            "digits": self._digits,
            "history": self._history,
            "every": self._every / 1e9,
        }

    def _points_for(self, width: int) -> list[tuple[float, float, float]]:
        """As many as a picture so wide can tell apart: of neighbours the one with the widest spread."""
        points = list(self._points.values())
        step = -(-len(points) // width)
        return [
            max(
                points[place : place + step],
                key=lambda each: math.inf if each[1] != each[1] else each[2] - each[1],
            )
            for place in range(0, len(points), step)
        ]

    def draw(self, sheet: Sheet, top: int) -> None:
        points = self._points_for(sheet.width)
        known = [each for each in points if each[1] == each[1]]
        left, right = (
            2.0,
            sheet.width
            - 16.0
            - 6.6 * max(7, len(said(max((ask for *_, ask in known), default=0.0), self._digits))),
        )
        floor, ceiling, bottom = top + 170.0, top + 192.0, top + self.height - 20.0
        start, end = points[0][0], points[-1][0]
        length = (end - start) or 1.0

        def at(second: float) -> float:
            return left + (right - left) * (second - start) / length

        if known:
            low, high = _padded(min(bid for _, bid, _ in known), max(ask for *_, ask in known))
            wide = max(0.0, max(ask - bid for _, bid, ask in known)) or 1.0
            least = min(0.0, min(ask - bid for _, bid, ask in known))

            def up(price: float) -> float:
                return floor - (floor - top - 22) * (price - low) / (high - low)

            def tall(distance: float) -> float:
                return bottom - (bottom - ceiling) * (distance - least) / (wide - least)

            _scale(sheet, ticks(low, high, 4), up, left, right)
            _scale(sheet, ticks(least, wide, 3), tall, left, right)
            for run in _runs(points):
                bids, asks = _stairs(run, 1, end), _stairs(run, 2, end)
                band = [(at(x), up(y)) for x, y in bids] + [(at(x), up(y)) for x, y in reversed(asks)]
                sheet.area(band, "faint", opacity=0.15)
                sheet.path([(at(x), up(y)) for x, y in bids], "bid")
                sheet.path([(at(x), up(y)) for x, y in asks], "ask")
                gaps = _stairs([(second, ask - bid, 0.0) for second, bid, ask in run], 1, end)
                sheet.path([(at(x), tall(y)) for x, y in gaps], "other")
        for blank in _blanks(points):
            sheet.box(
                at(blank[0]), top + 6, at(blank[1]) - at(blank[0]), bottom - top - 6, "warn", opacity=0.14
            )
            if at(blank[1]) - at(blank[0]) > 56:
                sheet.text(
                    (at(blank[0]) + at(blank[1])) / 2,
                    top + 18,
                    "not live",
                    "warn",
                    anchor="middle",
                    small=True,
                )
        sheet.text(left + 4, ceiling - 7, "spread", "other", small=True)
        sheet.text(left + 4, top + 14, "ask", "ask", small=True)
        sheet.text(left + 28, top + 14, "bid", "bid", small=True)
        for moment, places in moments(
            round(start * 1e9), round(end * 1e9), max(2, int((right - left) / 110))
        ):
            if left + 26 < (x := at(moment / 1e9)) < right - 26:
                sheet.text(x, bottom + 15, clock(moment, places), "faint", anchor="middle", small=True)


def _scale(sheet: Sheet, marks: list[float], up: Any, left: float, right: float) -> None:
    digits = decimals(marks)
    for mark in marks:
        sheet.line(left, up(mark), right, up(mark))
        sheet.text(right + 6, up(mark) + 4, said(mark, digits), "faint", small=True)


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = (high - low) * 0.06 or abs(high) * 0.0001 or 1.0
    return low - pad, high + pad


def _runs(points: list[tuple[float, float, float]]) -> list[list[tuple[float, float, float]]]:
    """Stretches of points that are known; each ends with where the next unknown one begins."""
    runs: list[list[tuple[float, float, float]]] = [[]]
    for second, bid, ask in points:
        if bid == bid:
            runs[-1].append((second, bid, ask))
        elif runs[-1]:
            runs[-1].append((second, *runs[-1][-1][1:]))
            runs.append([])
    return [run for run in runs if run]


def _blanks(points: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """From when to when nothing was known."""
    blanks: list[tuple[float, float]] = []
    since: float | None = None
    for second, bid, _ in points:
        if bid != bid and since is None:
            since = second
        elif bid == bid and since is not None:
            blanks.append((since, second))
            since = None
    return blanks if since is None else [*blanks, (since, points[-1][0])]


def _stairs(run: list[tuple[float, float, float]], place: int, end: float) -> list[tuple[float, float]]:
    """A value holds until the next one comes."""
    corners = [(run[0][0], run[0][place])]
    for each in run[1:]:
        corners += [(each[0], corners[-1][1]), (each[0], each[place])]
    return corners if len(run) > 1 else [*corners, (end, corners[-1][1])]
