"""candles: bars as candlesticks with their volume below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reactivex import Observable

from rtflow.events import Bar
from rtflow.show._picture import Head, Message, Picture, names
from rtflow.show._sheet import Sheet, clock, decimals, moments, said, short, ticks
from rtflow.show._view import View


def candles(
    bars: Observable[Any] | Iterable[Any],
    *,
    symbol: str | None = None,
    history: int = 500,
    rate: float = 10.0,
) -> View:
    """Bars as candlesticks: rising ones blue and hollow, falling ones orange and filled, volume below.

    ``bars`` is a stream with ``Bar`` in it, or a list of such; a forming bar changes until it is final, a
    revision replaces what it revises. A bar that a gap touches is marked. The last ``history`` bars are
    kept. Of several symbols it follows the first that comes, or ``symbol``.

    The live view is drawn by TradingView's Lightweight Charts, which is bundled.

    >>> from rtflow import Bar
    >>> candles([Bar("BTC/USD", 0, 60, 1.0, 3.0, 1.0, 2.0, volume=4.0, count=2, value=8.0)])
    <show.candles finished>

    Raises TypeError for what is neither a stream nor a list, ValueError for a history below 1.
    """
    return View.of(_Candles(symbol, history), bars, rate=rate)


_APART = 1_000  # ns between two bars that began at the same moment, as bars of trades may


class _Candles(Picture):
    script = "candles"
    awaits = "bars"
    height = 320

    def __init__(self, symbol: str | None, history: int) -> None:
        super().__init__()
        if history < 1:
            raise ValueError(f"a history is one bar or more, not {history}")
        self._symbol = symbol
        self._history = history
        self._bars: dict[int, Bar] = {}
        self._touched: set[int] = set()
        self._digits = 0
        self._others: dict[str, None] = {}

    def take(self, item: Any) -> None:
        if not isinstance(item, Bar):
            self.stranger(item)
        elif self._symbol not in (None, item.symbol):
            if len(self._others) < 20:
                self._others[item.symbol] = None
        else:
            self._symbol = item.symbol
            place = self._place(item)
            self._bars[place] = item
            self._touched.add(place)
            self._digits = max(self._digits, decimals((item.open, item.high, item.low, item.close)))
            if len(self._bars) > self._history:
                oldest = min(self._bars)
                del self._bars[oldest]
                self._touched.discard(oldest)

    def _place(self, bar: Bar) -> int:
        place = bar.start
        while (there := self._bars.get(place)) is not None and there.final and bar.revision <= there.revision:
            if there.end == bar.end and there.count == bar.count:
                break  # the same one again
            place += _APART
        return place

    def empty(self) -> bool:
        return not self._bars

    def head(self) -> Head:
        if not self._bars:
            return Head(self._symbol or "bars", "", "waiting")
        bar = self._bars[max(self._bars)]
        prices = "  ".join(
            f"{word} {said(price, self._digits)}"
            for word, price in (("O", bar.open), ("H", bar.high), ("L", bar.low), ("C", bar.close))
        )
        state = "gap" if bar.gap else "final" if bar.final else "forming"
        return Head(bar.symbol, f"{prices}  V {short(bar.volume)}", state, "warn" if bar.gap else "quiet")

    def foot(self) -> str:
        marks = "! trades may be missing here (gap)" if any(bar.gap for bar in self._bars.values()) else ""
        return "; ".join(filter(None, (marks, names(list(self._others), "choose by symbol="))))

    def whole(self) -> Message:
        self._touched = set(self._bars)
        return self.changes()

    def changes(self) -> Message:
        told = [_row(place, self._bars[place]) for place in sorted(self._touched)]
        self._touched = set()
        return {"bars": told, "history": self._history, "digits": self._digits}

    def draw(self, sheet: Sheet, top: int) -> None:
        left, right, bottom = (
            4.0,
            sheet.width - 14.0 - 7 * len(said(self._highest(), self._digits)),
            top + self.height,
        )
        room = right - left
        shown = [self._bars[place] for place in sorted(self._bars)][-max(1, int(room / 3)) :]
        step = min(24.0, room / len(shown))
        body = max(1.5, step * 0.66)
        floor, volumes = bottom - 76.0, bottom - 22.0
        low, high = min(bar.low for bar in shown), max(bar.high for bar in shown)
        pad = (high - low) * 0.05 or abs(high) * 0.001 or 1.0
        low, high = low - pad, high + pad

        def up(price: float) -> float:
            return floor - (floor - top - 16) * (price - low) / (high - low)

        marks = ticks(low, high, 5)
        digits = max(decimals(marks), 0)
        for price in marks:
            sheet.line(left, up(price), right, up(price))
            sheet.text(right + 6, up(price) + 4, said(price, digits), "faint", small=True)
        largest = max(bar.volume for bar in shown) or 1.0
        start, end = shown[0].start, shown[-1].end
        for place, bar in enumerate(shown):
            x = left + step * (place + 0.5)
            if bar.gap:
                sheet.box(x - step / 2, top + 4, step, volumes - top - 4, "warn", opacity=0.18)
                sheet.text(x, top + 14, "gap" if step >= 18 else "!", "warn", anchor="middle", small=True)
            colour = "faint" if bar.synthetic else "bid" if bar.close >= bar.open else "ask"
            sheet.line(x, up(bar.high), x, up(bar.low), colour)
            upper, lower = up(max(bar.open, bar.close)), up(min(bar.open, bar.close))
            if bar.close >= bar.open and body > 3:
                sheet.frame(
                    x - body / 2,
                    upper,
                    body,
                    max(1.0, lower - upper),
                    colour,
                    dash="" if bar.final else "2 2",
                )
            else:
                sheet.box(
                    x - body / 2,
                    upper,
                    body,
                    max(1.0, lower - upper),
                    colour,
                    opacity=1 if bar.final else 0.5,
                )
            tall = 44.0 * bar.volume / largest
            sheet.box(x - body / 2, volumes - tall, body, tall, colour, opacity=0.4)
        sheet.line(left, volumes + 0.5, right, volumes + 0.5)
        wide = 12 if end - start < 60_000_000_000 else 8
        last = -100.0
        for moment, places in moments(start, end, max(2, int(step * len(shown) / 90))):
            place = next((index for index, bar in enumerate(shown) if bar.end > moment), len(shown) - 1)
            x = left + step * (place + 0.5)
            if x - last > wide * 7 and left + 24 < x < right - 10:
                sheet.text(x, bottom - 7, clock(moment, places), "faint", anchor="middle", small=True)
                last = x

    def _highest(self) -> float:
        return max(bar.high for bar in self._bars.values())


def _row(place: int, bar: Bar) -> list[Any]:
    told = {"g": bar.gap, "p": bar.partial, "s": bar.synthetic, "f": not bar.final}
    marks = "".join(letter for letter, holds in told.items() if holds)
    return [place / 1e9, bar.open, bar.high, bar.low, bar.close, bar.volume, marks]
