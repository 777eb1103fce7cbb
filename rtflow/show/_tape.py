"""tape: time and sales, the newest on top."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from reactivex import Observable

from rtflow.events import Gap, Lost, Side, Trade
from rtflow.show._picture import Head, Message, Picture
from rtflow.show._sheet import Sheet, clock, decimals, said
from rtflow.show._view import View


def tape(
    trades: Observable[Any] | Iterable[Any],
    *,
    rows: int = 15,
    symbol: str | None = None,
    rate: float = 10.0,
) -> View:
    """The last ``rows`` trades, the newest on top: when, what, which side took (▲ buy, ▼ sell), price, size.

    ``trades`` is a stream with ``Trade`` in it, or a list of such; of other symbols than ``symbol`` they are
    left out if that is given. A ``Gap`` and a ``Lost`` stand where they came, because trades may be missing
    there. All are counted, however few can be seen.

    >>> from rtflow import Trade
    >>> "▲" in tape([Trade("BTC/USD", 1, 2, price=9.5, size=1.0, side=1)]).svg()
    True

    Raises TypeError for what is neither a stream nor a list, ValueError where ``rows`` is below 1.
    """
    return View.of(_Tape(rows, symbol), trades, rate=rate)


_ROW = 18
_SIGNS = {Side.BUY: "▲ buy", Side.SELL: "▼ sell", Side.UNKNOWN: "·"}


class _Tape(Picture):
    script = "tape"
    awaits = "trades"

    def __init__(self, rows: int, symbol: str | None) -> None:
        super().__init__()
        if rows < 1:
            raise ValueError(f"a tape shows one row or more, not {rows}")
        self._symbol = symbol
        self._rows: deque[tuple[int, Trade | Gap | Lost]] = deque(maxlen=rows)
        self._number = 0  # of the newest row
        self._told = 0
        self._count = 0
        self._digits = [0, 0]
        self.height = (rows + 1) * _ROW + 4

    def take(self, item: Any) -> None:
        if isinstance(item, Trade):
            if self._symbol not in (None, item.symbol):
                return
            self._count += 1
        elif not isinstance(item, Gap | Lost):
            self.stranger(item)
            return
        self._number += 1
        self._rows.append((self._number, item))

    def empty(self) -> bool:
        return not self._rows

    def head(self) -> Head:
        symbols = sorted({item.symbol for _, item in self._rows if isinstance(item, Trade)})
        title = self._symbol or (symbols[0] if len(symbols) == 1 else "trades")
        newest = self._rows[-1][1] if self._rows else None
        if newest is None:
            return Head(title, "", "waiting")
        if isinstance(newest, Gap) and newest.ts_end is None:
            return Head(title, f"{self._count:,} trades", "line lost", "warn")
        return Head(title, f"{self._count:,} trades")

    def whole(self) -> Message:
        self._told = 0
        return self.changes()

    def changes(self) -> Message:
        self._measure()
        new = [_row(number, item) for number, item in self._rows if number > self._told]
        self._told = self._number
        return {"rows": new, "most": self._rows.maxlen, "digits": self._digits}

    def _measure(self) -> None:
        trades = [item for _, item in self._rows if isinstance(item, Trade)]
        self._digits = [
            max(self._digits[0], decimals(trade.price for trade in trades)),
            max(self._digits[1], decimals((trade.size for trade in trades), most=6)),
        ]

    def draw(self, sheet: Sheet, top: int) -> None:
        self._measure()
        wide = sheet.width
        columns = (
            (4, "start"),
            (wide * 0.2 + 20, "start"),
            (wide * 0.42 + 16, "start"),
            (wide * 0.78, "end"),
            (wide - 4, "end"),
        )
        for (x, anchor), words in zip(columns, ("time", "symbol", "side", "price", "size"), strict=True):
            sheet.text(x, top + 13, words, "faint", anchor=anchor, small=True)  # type: ignore[arg-type]
        sheet.line(0, top + _ROW + 0.5, wide, top + _ROW + 0.5)
        for place, (_, item) in enumerate(reversed(self._rows)):
            y = top + (place + 2) * _ROW - 4
            if not isinstance(item, Trade):
                sheet.box(0, y - 13, wide, _ROW, "warn", opacity=0.14)
                sheet.text(4, y, _words(item), "warn", room=wide - 8)
                continue
            fill = {Side.BUY: "bid", Side.SELL: "ask"}.get(Side(item.side), "ink")
            sheet.text(4, y, clock(item.ts_event, 3), "faint")
            sheet.text(columns[1][0], y, item.symbol, room=wide * 0.2)
            sheet.text(columns[2][0], y, _SIGNS[Side(item.side)], fill)
            sheet.text(columns[3][0], y, said(item.price, self._digits[0]), fill, anchor="end")
            sheet.text(columns[4][0], y, said(item.size, self._digits[1]), anchor="end")


def _row(number: int, item: Trade | Gap | Lost) -> list[Any]:
    if isinstance(item, Trade):
        return [number, clock(item.ts_event, 3), item.symbol, int(item.side), item.price, item.size]
    return [number, _words(item)]


def _words(item: Gap | Lost) -> str:
    if isinstance(item, Lost):
        return f"{clock(item.ts_last, 3)}  lost: {item.count:,} {item.kind or 'items'} in {item.where}"
    if item.ts_end is None:
        return f"{clock(item.ts_start, 3)}  gap begins: {item.reason}".rstrip(": ")
    return (
        f"{clock(item.ts_end, 3)}  gap of {(item.ts_end - item.ts_start) / 1e9:.3f} s: {item.reason}".rstrip(
            ": "
        )
    )
