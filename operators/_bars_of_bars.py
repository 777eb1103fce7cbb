"""Bars of bars: large ones from small ones, which may come again as revisions."""

from __future__ import annotations

from functools import reduce
from typing import Any

from msgspec.structs import replace

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.events import Bar, Event, LateTrade, Trade
from rtflow.operators._bars_by_time import STAMPED, TimeRules, Venue
from rtflow.operators._bars_revised import RevisedBars
from rtflow.operators._forming import Forming, judge_by


class BarsOfBars(RevisedBars):
    """The same clockwork; a small bar is to it as a trade at its start, which comes no sooner than its end.

    So the clock of a venue stands where its latest small bar begins, since others of that time may follow. A
    large bar does not wait for the clock where the small one that ends it is there.
    """

    _prints = frozenset((Trade,))  # in the guise of which small bars come: see push()
    _kinds = frozenset(("", "trades", "bars", "updated_bars", "second_bars"))

    def __init__(self, rules: TimeRules, counters: Counters) -> None:
        super().__init__(rules, judge_by(None, daily=False), counters)
        self._part: Bar  # the small bar behind the guise

    def push(self, item: Event | Columns[Any]) -> tuple[Bar | LateTrade, ...]:
        if isinstance(item, Bar) and item.final:
            self._part = item
            came = max(item.ts_recv, item.end)  # it is stamped by its last trade, and left later
            return super().push(
                Trade(item.symbol, item.start, came, item.open, item.volume, venue=item.venue)
            )
        if isinstance(item, Bar) or type(item) in STAMPED:
            return self._pass(item.ts_recv - 1)  # a venue's time, as they tell it, runs ahead of its bars
        return super().push(item)

    def _apply(self, venue: Venue, event: Any, stamp: int) -> tuple[Bar | LateTrade, ...]:
        part, stretch = self._part, self._rules.around(stamp)
        if stretch is None:
            return self._late(event, stamp)
        if part.end > stretch[1]:
            self._counters.add("unfit")
            return ()
        bar = (
            self._known(venue, event, stamp)
            or self._open_bar(venue, event, stamp)
            or self._closed_bar(venue, event, stamp)
        )
        if bar is None:
            return self._late(event, stamp)
        if not bar.put(part):
            self._counters.add("unfit")
            return ()
        made = self._tell(venue, bar)
        if part.end == bar.end and not bar.over and not self._rules.grace:
            made += self._complete(venue, bar)
        return made

    def _known(self, venue: Venue, event: Trade, stamp: int) -> Forming | None:
        """The large bar that was begun, for as long as it may change."""
        reached = venue.watermark(event.ts_recv)
        for bar in venue.kept.get(event.symbol, ()):
            if bar.start <= stamp < bar.end and bar.end + self._rules.open_for > reached:
                return bar
        latest = venue.bars.get(event.symbol)
        return latest if latest is not None and latest.start <= stamp < latest.end else None

    def _complete(self, venue: Venue, bar: Forming) -> tuple[Bar, ...]:
        """Let a bar leave whose last part has come."""
        venue.drop(bar)
        made = self._finish(venue, bar)
        self._settle(venue)
        self._set_boundary(venue)
        return made

    def _tell(self, venue: Venue, bar: Forming) -> tuple[Bar, ...]:
        if bar.over:
            bar.revision += 1
        elif not self._updates:
            return ()
        whole = reduce(Bar.merge, bar.parts)
        return (
            replace(
                whole,
                start=bar.start,
                end=bar.end,
                partial="end" if "end" in (bar.partial, whole.partial) else bar.partial or whole.partial,
                gap=whole.gap or venue.touched(bar.symbol, bar.start, bar.end),
                final=bar.over,
                revision=max(bar.revision, 0),
                interval="",
            ),
        )
