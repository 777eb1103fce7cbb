"""heatmap: what rested at each price over time, and the trades that took of it."""

from __future__ import annotations

import base64
import struct
import zlib
from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

from reactivex import Observable

from rtflow.book import BookState
from rtflow.events import Trade
from rtflow.show._books import OneBook
from rtflow.show._picture import Message
from rtflow.show._sheet import Sheet, clock, decimals, moments, round_step, said, ticks
from rtflow.show._theme import COLOURS
from rtflow.show._view import View, stream
from rtflow.time import Duration, nanoseconds

ROWS = 64
"""Prices that a column has."""


def heatmap(
    books: Observable[Any] | Iterable[Any],
    trades: Observable[Any] | Iterable[Any] = (),
    *,
    every: Duration = 0.25,
    tick: float | None = None,
    history: int = 240,
    symbol: str | None = None,
    venue: str | None = None,
    rate: float = 5.0,
) -> View:
    """Liquidity over time: a column each ``every`` seconds, the stronger the colour the more rests there.

    Bids are blue and below, asks orange and above; trades are dots in the colour of their side, as large as
    what was traded at that price in that column. ``books`` is what :func:`~rtflow.show.ladder` takes; trades
    may come in it, or as ``trades``. Prices are gathered on multiples of ``tick``, by default such that the
    first live book fits. A time without a live book stays blank and is marked. The last ``history`` columns
    are kept.

    >>> from rtflow import OrderBook
    >>> book = OrderBook.of(bids=[(99.0, 2.0)], asks=[(101.0, 1.0)])
    >>> heatmap([book.view("A", second, second * 10**9) for second in range(5)])
    <show.heatmap finished>

    Raises TypeError for what is neither a stream nor a list, ValueError for options that are not positive.
    """
    picture = _Heatmap(nanoseconds(every), tick, history, symbol, venue)
    return View(picture, [(stream(books), picture.take), (stream(trades), picture.take)], rate=rate)


class _Column(NamedTuple):
    """Sizes at ``ROWS`` prices from ``base`` (in ticks) up, asks negative; none of them of a dead book."""

    base: int
    sizes: array[float]
    live: bool


class _Heatmap(OneBook):
    script = "heatmap"
    height = 340

    def __init__(
        self, every: int, tick: float | None, history: int, symbol: str | None, venue: str | None
    ) -> None:
        super().__init__(symbol, venue)
        if every <= 0 or history < 1 or (tick is not None and not tick > 0):
            raise ValueError(f"every, history and tick are positive, not {every} ns, {history}, {tick}")
        self._every, self._tick, self._history = every, tick, history
        self._columns: dict[int, _Column] = {}
        self._slot = -1  # of the book we hold
        self._held: BookState | None = None
        self._untold: set[int] = set()
        self._trades: dict[int, dict[tuple[float, int], float]] = {}  # sizes by slot, price and side
        self._untold_trades: set[int] = set()

    def take(self, item: Any) -> None:
        if isinstance(item, Trade):
            if self.symbol in (None, item.symbol):
                slot, key = item.ts_recv // self._every, (item.price, int(item.side))
                sizes = self._trades.setdefault(slot, {})
                sizes[key] = sizes.get(key, 0.0) + item.size
                self._untold_trades.add(slot)
                if len(self._trades) > self._history:
                    oldest = min(self._trades)
                    del self._trades[oldest]
                    self._untold_trades.discard(oldest)
        else:
            super().take(item)

    def see(self, book: BookState) -> None:
        slot = max(self._slot, book.ts_recv // self._every)
        if self._held is not None and slot > self._slot:
            self._fill(slot)
        self._slot, self._held = slot, book

    def _fill(self, until: int) -> None:
        """Columns of the book we hold, up to ``until``, where another takes over."""
        assert self._held is not None
        column = self._column(self._held)
        for slot in range(max(self._slot, until - self._history), until):
            self._put(slot, column)

    def _put(self, slot: int, column: _Column) -> None:
        self._columns[slot] = column
        self._untold.add(slot)
        while len(self._columns) > self._history:
            oldest = next(iter(self._columns))
            del self._columns[oldest]
            self._untold.discard(oldest)

    def _column(self, book: BookState) -> _Column:
        sizes = array("f", bytes(4 * ROWS))
        bids, asks = book.levels("bid", 4 * ROWS), book.levels("ask", 4 * ROWS)
        middle = book.mid if book.mid is not None else bids[0][0] if bids else asks[0][0] if asks else None
        if middle is None or book.status != "live":
            return _Column(0, sizes, False)
        tick = self._step(book)
        base = int(middle // tick) - ROWS // 2
        for levels, sign in ((bids, 1.0), (asks, -1.0)):
            for price, size in levels:
                place = int(price / tick + 1e-6) - base
                if 0 <= place < ROWS:
                    sizes[place] += sign * size
        return _Column(base, sizes, True)

    def _step(self, book: BookState) -> float:
        if self._tick is None:
            prices = [price for price, _ in book.levels("bid", ROWS) + book.levels("ask", ROWS)]
            finest = 10.0 ** -decimals(prices)
            self._tick = max(finest, round_step(max(finest, (max(prices) - min(prices)) / ROWS)))
        return self._tick

    def _current(self) -> None:
        """The column that is still being written, as it stands."""
        if self._held is not None:
            self._put(self._slot, self._column(self._held))

    def whole(self) -> Message:
        self._untold = set(self._columns)
        self._untold_trades = set(self._trades)
        return self.changes()

    def changes(self) -> Message:
        self._current()
        slots = sorted(self._untold)
        told = [self._columns[slot] for slot in slots]
        self._untold = set()
        trades = [
            [slot, [[price, size, side] for (price, side), size in self._trades[slot].items()]]
            for slot in sorted(self._untold_trades)
        ]
        self._untold_trades = set()
        return {
            "columns": [[slot, each.base, each.live] for slot, each in zip(slots, told, strict=True)],
            "sizes": b"".join(each.sizes.tobytes() for each in told),
            "rows": ROWS,
            "tick": self._tick or 1.0,
            "every": self._every / 1e9,
            "history": self._history,
            "trades": trades,
        }

    def draw(self, sheet: Sheet, top: int) -> None:
        self._current()
        tick = self._tick or 1.0
        columns = dict(sorted(self._columns.items()))
        live = [each for each in columns.values() if each.live]
        left, bottom = 2.0, top + self.height - 20.0
        used = [each.base + place for each in live for place, size in enumerate(each.sizes) if size]
        low, high = (min(used), max(used) + 1) if used else (0, 1)
        digits = decimals([tick])
        right = sheet.width - 14.0 - 6.6 * len(said(high * tick, digits))
        first, last = next(iter(columns)), next(reversed(columns)) + 1

        def at(slot: float) -> float:
            return left + (right - left) * (slot - first) / (last - first)

        def up(price: float) -> float:
            return bottom - (bottom - top - 4) * (price / tick - low) / (high - low)

        sheet.image(left, top + 4, right - left, bottom - top - 4, _pixels(columns, first, last, low, high))
        dead = [slot for slot, each in columns.items() if not each.live]
        for start, end in _runs(dead):
            sheet.box(at(start), top + 4, at(end) - at(start), bottom - top - 4, "warn", opacity=0.16)
            if at(end) - at(start) > 60:
                sheet.text(
                    (at(start) + at(end)) / 2, top + 18, "not live", "warn", anchor="middle", small=True
                )
        for price in ticks(low * tick, high * tick, 6):
            sheet.text(right + 6, up(price) + 4, said(price, digits), "faint", small=True)
            sheet.line(right, up(price), right + 3, up(price))
        for moment, places in moments(
            first * self._every, last * self._every, max(2, int((right - left) / 110))
        ):
            if left + 26 < (x := at(moment / self._every)) < right - 26:
                sheet.text(x, bottom + 15, clock(moment, places), "faint", anchor="middle", small=True)
        shown = [
            (slot + 0.5, price, size, side)
            for slot, sizes in self._trades.items()
            for (price, side), size in sizes.items()
            if first <= slot < last and low <= price / tick <= high
        ]
        largest = max((size for _, _, size, _ in shown), default=1.0)
        for slot, price, size, side in shown:
            radius = 1.5 + 4 * (size / largest) ** 0.5
            sheet.dot(at(slot), up(price), radius, {1: "bid", -1: "ask"}.get(side, "ink"))
        sheet.line(left, bottom + 0.5, right, bottom + 0.5)


def _runs(slots: list[int]) -> list[tuple[int, int]]:
    """Neighbouring slots as stretches, ends excluded."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and runs[-1][1] == slot:
            runs[-1] = (runs[-1][0], slot + 1)
        else:
            runs.append((slot, slot + 1))
    return runs


def _pixels(columns: dict[int, _Column], first: int, last: int, low: int, high: int) -> str:
    """One pixel a price and column, as a PNG in a URL; its opacity is the size, so that it suits any page."""
    width, height = last - first, high - low
    largest = sorted(abs(size) for each in columns.values() for size in each.sizes if size)
    full = largest[int(0.97 * (len(largest) - 1))] if largest else 1.0
    rows = [bytearray(1 + 4 * width) for _ in range(height)]
    colours = [_rgb(COLOURS[name].dark) for name in ("bid", "ask")]
    for slot, column in columns.items():
        for place, size in enumerate(column.sizes):
            row = high - 1 - (column.base + place)
            if size and 0 <= row < height:
                at = 1 + 4 * (slot - first)
                alpha = round(20 + 235 * min(1.0, abs(size) / full) ** 0.7)
                rows[row][at : at + 4] = bytes((*colours[size < 0], alpha))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
