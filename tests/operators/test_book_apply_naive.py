"""book_apply against a naive book, over a venue and a line that do their worst: identical, or not live."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.book import BookSide, BookState
from rtflow.counters import Counters
from rtflow.events import Event, Gap, Level, Lost, OrderBookUpdate, Status
from rtflow.operators._book_apply import book_apply
from rtflow.time import SECOND

Book: TypeAlias = dict[BookSide, dict[float, float]]
Levels: TypeAlias = tuple[Level, ...]

PRICES: dict[BookSide, tuple[float, ...]] = {"bid": (99.0, 98.0, 97.0, 96.0), "ask": (101.0, 102.0, 103.0)}
RULES = ("one by one", "spans", "previous", "checksums", "nothing")
"""How a venue lets its reader see that something is missing: its updates have one number each, or cover a
span of them (Binance's spot market), or name the one before (its futures), or bear a checksum; or nothing
does, on a line that loses and repeats nothing without saying so."""


class Naive:
    """Dicts, and a sort for every question."""

    def __init__(self) -> None:
        self.book: Book = {"bid": {}, "ask": {}}

    def set(self, side: BookSide, price: float, size: float) -> None:
        self.book[side].pop(price, None)
        if size:
            self.book[side][price] = size

    def levels(self, depth: int | None) -> dict[BookSide, Levels]:
        return {
            side: tuple(sorted(self.book[side].items(), reverse=side == "bid"))[:depth] for side in self.book
        }


@dataclass
class Venue:
    """The true book, everything it ever was, and how the venue tells of it."""

    rule: str
    depth: int | None
    number: int = 100  # of the last change
    told: int = 100  # the last number of the last update
    epoch: int = 1
    naive: Naive = field(default_factory=Naive)
    shown: dict[tuple[int, int], dict[BookSide, Levels]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._remember()

    def change(self, side: BookSide, price: float, size: float, skip: int) -> None:
        self.number += 1 + (skip if self.rule == "previous" else 0)  # the numbers are other symbols', too
        self.naive.set(side, price, size)
        self._remember()

    def connect(self) -> None:
        """Numbers begin where they please."""
        self.epoch += 1
        self.number = self.told = 40
        self._remember()

    def _remember(self) -> None:
        self.shown[self.epoch, self.number] = self.naive.levels(self.depth)

    def update(self, now: int) -> OrderBookUpdate:
        """All changes since the last one. Of what fell out of a window nothing is said."""
        before, after = self.shown[self.epoch, self.told], self.shown[self.epoch, self.number]
        sides: dict[BookSide, Levels] = {}
        for side in before:
            left = {price for price, _ in before[side]} - self.naive.book[side].keys()
            new = set(after[side]) - set(before[side])
            sides[side] = tuple(sorted({*new, *((price, 0.0) for price in left)}))
        first, previous, self.told = self.told + 1, self.told, self.number
        spanned = {"first_sequence": first} if self.rule in ("spans", "previous") else {}
        named = {"previous_sequence": previous} if self.rule == "previous" else {}
        return self._said(now, sides, **spanned, **named)

    def snapshot(self, now: int) -> OrderBookUpdate:
        return self._said(now, self.shown[self.epoch, self.told], snapshot=True)

    def _said(self, now: int, sides: dict[BookSide, Levels], **other: Any) -> OrderBookUpdate:
        if self.rule == "checksums":
            right = self.shown[self.epoch, self.told]
            digits = "".join(spelled(level) for level in (*right["ask"], *right["bid"]))
            other |= {"checksum": zlib.crc32(digits.encode()), "checksum_rule": "crc32-top10"}
            other |= {f"{side}_digits": tuple(map(spelled, sides[side])) for side in sides}
        elif self.rule != "nothing":
            other["sequence"] = self.told
        stamp = self.epoch * 1000 + self.told  # tells which book it is that an update makes
        return OrderBookUpdate(
            "A",
            stamp,
            now,
            sides["bid"],
            sides["ask"],
            epoch=self.epoch,
            venue="v",
            depth=self.depth,
            **other,
        )


def spelled(level: Level) -> str:
    return f"{level[0]}{level[1]}".replace(".", "")


def _nobody_draws(what: st.SearchStrategy[Any]) -> Any:
    raise AssertionError(f"nothing is drawn from {what}")


class Line:
    """What comes of what the venue says: late, twice, in another order, or never."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.now = SECOND
        self.events: list[Event] = []
        self.held: list[OrderBookUpdate] = []

    def say(self, update: OrderBookUpdate) -> None:
        """With the stamp of now, however old it is."""
        fields = {name: getattr(update, name) for name in update.__struct_fields__}
        self.events.append(OrderBookUpdate(**{**fields, "ts_recv": self.now}))

    def act(self, what: str, draw: Callable[[st.SearchStrategy[Any]], Any] = _nobody_draws) -> None:
        venue = self.venue
        faulty = venue.rule != "nothing"
        match what:
            case "lose" if faulty:
                venue.update(self.now)
            case "lose":
                venue.update(self.now)
                told = draw(st.booleans())
                gap = Gap(self.now, self.now, venue.epoch, self.now, "lost", "v")
                self.events.append(gap if told else Lost("A", "OrderBookUpdate", 1, 1, 1, "ring", self.now))
            case "repeat" if faulty:
                update = venue.update(self.now)
                self.say(update)
                self.say(update)
            case "hold" if faulty:
                self.held.append(venue.update(self.now))
            case "hold a snapshot" if faulty:
                self.held.append(venue.snapshot(self.now))
            case "release":
                self.held.reverse()
                while self.held:
                    self.say(self.held.pop(draw(st.integers(0, len(self.held) - 1))))
            case "snapshot":
                self.say(venue.snapshot(self.now))
            case "line":
                self.events.append(Gap(self.now, None, venue.epoch, self.now, "the line is lost", "v"))
                venue.connect()
                self.events.append(Status("open", self.now, epoch=venue.epoch, venue="v"))
            case _:
                self.say(venue.update(self.now))


ACTS = (
    *("update",) * 8,
    *("snapshot",) * 3,
    "lose",
    "repeat",
    "hold",
    "hold a snapshot",
    "release",
    "release",
    "line",
)
changes = st.lists(
    st.sampled_from([(side, price) for side, prices in PRICES.items() for price in prices]).flatmap(
        lambda level: st.tuples(st.just(level), st.sampled_from([0.0, 0.0, 0.5, 1.0]), st.integers(0, 2))
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def streams(draw: st.DrawFn, rule: str) -> tuple[Venue, list[Event]]:
    """What came of a venue's book on a line, and what the book truly was."""
    venue = Venue(rule, draw(st.sampled_from([None, 1, 2])))
    line = Line(venue)
    if draw(st.sampled_from([True, True, False])):
        line.act("snapshot", draw)
    for what in draw(st.lists(st.sampled_from(ACTS), max_size=20)):
        line.now += draw(st.sampled_from([1, SECOND // 2, 40 * SECOND]))
        changed = draw(changes)
        for (side, price), size, skip in changed[:1] if rule == "one by one" else changed:
            venue.change(side, price, size, skip)
        line.act(what, draw)
    return venue, line.events


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([True, False]), st.sampled_from(["update", 1e-9]))
def test_after_every_update_the_book_is_what_it_was_at_the_venue_or_it_is_not_live(
    rule: str, data: st.DataObject, resync: bool, emit: Any
) -> None:
    venue, events = data.draw(streams(rule))
    kernel = book_apply(resync=len if resync else None, emit=emit).kernel()
    for event in events:
        states: list[BookState] = []
        while (due := kernel.due()) is not None and due < event.ts_recv:
            states += kernel.wake(due)
        for state in (*states, *kernel.push(event)):
            if state.status == "live":
                right = venue.shown[state.epoch, state.ts_event % 1000]
                assert {"bid": state.bids, "ask": state.asks} == right
                assert rule in ("checksums", "nothing") or state.sequence == state.ts_event % 1000
            else:
                assert (state.bid, state.ask, state.bids, state.asks) == (None, None, (), ())


@pytest.mark.parametrize("rule", RULES)
def test_a_line_that_does_nothing_wrong_is_live_after_every_update(rule: str) -> None:
    venue = Venue(rule, 2)
    line = Line(venue)
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    line.act("snapshot")
    for at, price in enumerate((99.0, 98.0, 97.0, 99.0, 96.0, 97.0)):
        line.now += 1
        venue.change("bid", price, float(at % 3), 1)
        line.act("update")
    statuses = [state.status for event in line.events for state in kernel.push(event)]
    assert statuses == ["live"] * 7
    assert counters == {}
