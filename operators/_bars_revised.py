"""Bars by time, with care: prints that may not set every price, and bars that change after they have left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from rtflow.counters import Counters
from rtflow.events import Bar, LateTrade, Trade, TradeCancel, TradeCorrection
from rtflow.operators._bars_by_time import TimeBars, TimeRules, Venue
from rtflow.operators._forming import Counts, Forming, Judge, Print, Rule
from rtflow.operators._stretches import Stretch


class RevisedBars(TimeBars):
    """The same clockwork; each print is judged, and kept for as long as it may be put right."""

    def __init__(self, rules: TimeRules, judge: Judge, counters: Counters) -> None:
        super().__init__(rules, counters)
        self._plain = None
        self._judge = judge

    def flush(self) -> Iterator[Bar]:
        venues = [*self._venues.values()]
        yield from super().flush()
        for venue in venues:
            self._settle(venue, all=True)

    def _apply(self, venue: Venue, event: Any, stamp: int) -> tuple[Bar | LateTrade, ...]:
        return self._take(venue, event, stamp) if isinstance(event, Trade) else self._put_right(venue, event)

    def _take(self, venue: Venue, trade: Trade, stamp: int) -> tuple[Bar | LateTrade, ...]:
        bar, stretches = venue.bars.get(trade.symbol), self._rules.stretches
        if (
            bar is None
            or not bar.start <= stamp < bar.end
            or (stretches is not None and stretches.around(stamp) is None)
        ):
            bar = self._open_bar(venue, trade, stamp) or self._closed_bar(venue, trade, stamp)
            if bar is None:
                return self._late(trade, stamp)
        rule = self._judge(trade.conditions, trade.tape)
        if self._rules.revise_for:
            bar.prints.append(Print(trade.id, stamp, trade.price, trade.size, trade.side, _copy(rule)))
        bar.add(trade.price, trade.size, trade.side, stamp, rule)
        bar.ts_recv = trade.ts_recv
        return self._tell(venue, bar)

    def _put_right(self, venue: Venue, event: TradeCorrection | TradeCancel) -> tuple[Bar, ...]:
        """The bar without the print that was taken back, or with what takes its place."""
        id = event.id if isinstance(event, TradeCancel) else event.original_id  # noqa: A001
        bar, place = self._find(venue, event.symbol, id, venue.watermark(event.ts_recv))
        if bar is None:
            self._counters.add("unapplied")
            return ()
        if isinstance(event, TradeCancel):
            del bar.prints[place]
        else:
            rule = _copy(self._judge(event.conditions, event.tape))
            bar.prints[place] = replace(
                bar.prints[place], id=event.id or id, price=event.price, size=event.size, rule=rule
            )
        bar.clear()
        for each in bar.prints:
            bar.add(each.price, each.size, each.side, each.stamp, each.rule)
        bar.ts_recv = event.ts_recv
        return self._tell(venue, bar)

    def _find(self, venue: Venue, symbol: str, id: str, reached: int) -> tuple[Forming | None, int]:  # noqa: A002
        """The bar that a print is in, and its place there, for as long as that bar may change."""
        for bar in (*venue.open_bars(), *venue.kept.get(symbol, ())):
            if id and bar.symbol == symbol and bar.end + self._rules.open_for > reached:
                for place, each in enumerate(bar.prints):
                    if each.id == id:
                        return bar, place
        return None, -1

    def _begin(self, venue: Venue, trade: Trade, stamp: int, stretch: Stretch) -> Forming:
        bar = super()._begin(venue, trade, stamp, stretch)
        bar.clear()
        return bar

    def _closed_bar(self, venue: Venue, trade: Trade, stamp: int) -> Forming | None:
        """The bar over that takes a late trade, begun if its stretch had none; None where it is too late."""
        stretch = self._rules.around(stamp)
        if stretch is None or stretch[1] + self._rules.open_for <= venue.watermark(trade.ts_recv):
            return None
        late = self._begin(venue, trade, stamp, stretch)
        for bar in venue.kept.get(trade.symbol, ()):
            if bar.start == late.start:
                return bar
        self._settle(venue)  # though no bar closes, no more of them are kept than may change
        late.over = True
        venue.kept.setdefault(trade.symbol, []).append(late)
        return late

    def _tell(self, venue: Venue, bar: Forming) -> tuple[Bar, ...]:
        """What a change makes: the bar so far, or the next revision of one that is over."""
        if not bar.over:
            return (venue.bar(bar, final=False),) if self._updates and bar.priced else ()
        if not bar.priced and bar.revision < 0:
            return ()
        bar.revision += 1
        made = venue.bar(bar, revision=bar.revision)
        return (made if bar.priced else _void(made),)

    def _finish(self, venue: Venue, bar: Forming) -> tuple[Bar, ...]:
        bar.over = True
        venue.kept.setdefault(bar.symbol, []).append(bar)
        return self._tell(venue, bar)

    def _close(self, venue: Venue, watermark: int) -> tuple[Bar, ...]:
        made = super()._close(venue, watermark)
        self._settle(venue)
        return made

    def _settle(self, venue: Venue, *, all: bool = False) -> None:  # noqa: A002
        """Forget the bars that nothing can change any more, and count the trades of which no bar tells."""
        reached = max(venue.closed, venue.newest)
        kept, venue.kept = venue.kept, {}
        for symbol, bars in kept.items():
            for bar in bars:
                if bar.end + self._rules.open_for > reached and not all:
                    venue.kept.setdefault(symbol, []).append(bar)
                elif bar.count and not bar.priced:
                    self._counters.add("unpriced", bar.count)


def _copy(rule: Rule) -> Counts:
    return Counts(rule.volume, rule.high_low, rule.open, rule.close, rule.close_if_none)


def _void(bar: Bar) -> Bar:
    """Of a bar that has lost all that set its prices: nothing traded, at the price where it had closed."""
    return Bar(
        bar.symbol,
        bar.start,
        bar.end,
        bar.close,
        bar.close,
        bar.close,
        bar.close,
        volume=0.0,
        count=0,
        value=0.0,
        ts_open=bar.start,
        ts_close=bar.start,
        ts_recv=bar.ts_recv,
        venue=bar.venue,
        partial=bar.partial,
        gap=bar.gap,
        synthetic=True,
        revision=bar.revision,
    )
