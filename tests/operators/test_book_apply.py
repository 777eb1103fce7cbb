"""book_apply: never a live book that is wrong, and never a silent one that is not live."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.errors import Unsupported
from rtflow.events import Event, Frame, FrameKind, Gap, Level, Lost, Malformed, OrderBookUpdate, Status, Trade
from rtflow.kernel import Kernel
from rtflow.operators._book_apply import book_apply
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND
from tests.laws import resumes_anywhere, same_live_and_virtual

BIDS: tuple[Level, ...] = ((99.0, 2.0), (98.0, 5.0))
ASKS: tuple[Level, ...] = ((101.0, 6.0), (102.0, 1.0))


def snapshot(at: int, symbol: str = "A", **other: Any) -> OrderBookUpdate:
    fields = {"bids": BIDS, "asks": ASKS, "venue": "v", **other}
    return OrderBookUpdate(symbol, at - 1, at, snapshot=True, **fields)


def delta(
    at: int, *bids: Level, symbol: str = "A", asks: tuple[Level, ...] = (), **other: Any
) -> OrderBookUpdate:
    return OrderBookUpdate(symbol, at - 1, at, bids, asks, **{"venue": "v", **other})


def summed(update: OrderBookUpdate, checksum: int | None = None) -> OrderBookUpdate:
    """A snapshot with the digits "1" on each level, and the checksum that goes with them."""
    bids, asks = ("1",) * len(update.bids), ("1",) * len(update.asks)
    right = zlib.crc32(b"1" * (len(bids) + len(asks)))
    return msgspec.structs.replace(
        update,
        checksum=right if checksum is None else checksum,
        checksum_rule="crc32-top10",
        bid_digits=bids,
        ask_digits=asks,
    )


def wrong(at: int, symbol: str = "A", **other: Any) -> OrderBookUpdate:
    return summed(snapshot(at, symbol, **other), checksum=7)


def said(kernel: Kernel[Event, BookState], *events: Event) -> list[BookState]:
    return [state for event in events for state in kernel.push(event)]


def nobody(symbol: str) -> None:
    """Asked for a resync, does nothing."""


def statuses(states: Iterable[BookState]) -> list[str]:
    return [state.status for state in states]


def _status(state: BookState) -> str:
    return state.status


def brief(states: Iterable[BookState]) -> list[tuple[int, str, str]]:
    return [(state.ts_recv, state.status, state.reason) for state in states]


# -- live


def test_a_snapshot_makes_a_book_live_and_each_update_says_it_anew() -> None:
    kernel = book_apply().kernel()
    first, second = said(kernel, snapshot(10), delta(20, (99.0, 0.0), (98.5, 1.0), asks=((101.0, 2.0),)))
    assert (first.status, first.bids, first.asks) == ("live", BIDS, ASKS)
    assert (second.symbol, second.venue, second.status, second.reason) == ("A", "v", "live", "")
    assert (second.ts_event, second.ts_recv, second.epoch, second.sequence) == (19, 20, 1, None)
    assert (second.bid, second.bid_size, second.ask, second.ask_size) == (98.5, 1.0, 101.0, 2.0)
    assert second.bids == ((98.5, 1.0), (98.0, 5.0))
    assert first.bids == BIDS


def test_a_snapshot_replaces_a_live_book() -> None:
    kernel = book_apply().kernel()
    states = said(kernel, snapshot(10), snapshot(20, bids=((50.0, 1.0),), asks=()))
    assert (states[1].bids, states[1].asks, states[1].ask) == (((50.0, 1.0),), (), None)


def test_each_venue_and_symbol_has_a_book_of_its_own() -> None:
    kernel = book_apply().kernel()
    states = said(
        kernel,
        snapshot(1, "A"),
        snapshot(2, "B", bids=((1.0, 1.0),)),
        snapshot(3, "A", venue="w", bids=((2.0, 1.0),)),
        delta(4, (3.0, 1.0), symbol="B"),
        delta(5, (4.0, 1.0), symbol="A"),
        delta(6, (5.0, 1.0), symbol="A", venue="w"),
    )
    assert [state.levels("bid")[-1][0] for state in states] == [98.0, 1.0, 2.0, 1.0, 4.0, 2.0]


def test_other_events_are_none_of_its_business() -> None:
    frame = Frame(FrameKind.TEXT, b"?", 3)
    kernel = book_apply().kernel()
    events = (
        Trade("A", 1, 1, 1.0, 1.0),
        Malformed(frame, "?", 3),
        Status("heartbeat", 4),
        Lost("", "frames", 1, 1, 1, "ring"),
    )
    assert said(kernel, snapshot(1), *events)[1:] == []
    assert statuses(said(kernel, delta(5))) == ["live"]


@pytest.mark.parametrize(
    ("venue_keeps", "asked_for", "known", "shown"),
    [(None, None, None, 3), (2, None, 2, 2), (None, 2, 2, 2), (2, 1, 1, 1), (2, 5, 2, 2), (5, 1, 1, 1)],
)
def test_a_state_says_how_deep_it_can_be(
    venue_keeps: int | None, asked_for: int | None, known: int | None, shown: int
) -> None:
    bids = (*BIDS, (97.0, 1.0))
    (state,) = said(book_apply(depth=asked_for).kernel(), snapshot(1, bids=bids, depth=venue_keeps))
    assert (state.known_depth, state.bids) == (known, bids[:shown])


def test_top_says_only_what_moves_the_touch() -> None:
    kernel = book_apply(emit="top").kernel()
    states = said(
        kernel,
        snapshot(1),
        delta(2, (98.0, 9.0)),
        delta(3, (99.0, 3.0)),
        delta(4, (99.0, 3.0)),
        delta(5, asks=((101.0, 1.0),)),
        Gap(5, None, 1, 6, venue="v"),
        snapshot(7, epoch=2),
        snapshot(8, epoch=2),
    )
    assert [state.ts_recv for state in states] == [1, 3, 5, 6, 7]


def test_top_says_of_a_feed_of_snapshots_no_more() -> None:
    kernel = book_apply(emit="top").kernel()
    deeper = ((99.0, 2.0), (97.0, 1.0))
    states = said(kernel, snapshot(1), snapshot(2), snapshot(3, bids=deeper), snapshot(4, asks=()))
    assert [(state.ts_recv, state.ask) for state in states] == [(1, 101.0), (4, None)]


# -- by the clock


def by_the_clock(every: Any = 10e-9, **options: Any) -> Kernel[Event, BookState]:
    return book_apply(emit=every, **options).kernel()


def moments(states: Iterable[BookState]) -> list[tuple[int, str, float | None]]:
    return [(state.ts_recv, state.status, state.bid_size) for state in states]


def test_by_the_clock_a_book_says_at_the_end_of_a_stretch_what_it_then_is() -> None:
    kernel = by_the_clock()
    assert moments(said(kernel, snapshot(13))) == [(13, "live", 2.0)], "it has become live"
    assert said(kernel, delta(14, (99.0, 3.0)), delta(17, (99.0, 4.0), (98.0, 0.0))) == []
    assert kernel.due() == 20
    (state,) = kernel.wake(20)
    assert (state.ts_event, state.ts_recv, state.bids) == (16, 20, ((99.0, 4.0),))
    assert kernel.due() is None, "where nothing was updated, there is nothing to say"


def test_by_the_clock_data_of_the_very_nanosecond_comes_first() -> None:
    kernel = by_the_clock()
    said(kernel, snapshot(13), delta(17, (99.0, 3.0)), delta(20, (99.0, 4.0)))
    assert moments(kernel.wake(20)) == [(20, "live", 4.0)]
    said(kernel, delta(30, (99.0, 5.0)))
    assert kernel.due() == 30


def test_by_the_clock_each_book_speaks_for_itself() -> None:
    kernel = by_the_clock()
    said(kernel, snapshot(1, "A"), snapshot(1, "B"), snapshot(1, "C"), delta(12, symbol="B"), delta(13))
    assert [state.symbol for state in kernel.wake(20)] == ["A", "B"]
    said(kernel, delta(24, symbol="C"))
    assert [state.symbol for state in said(kernel, delta(35, symbol="A"), delta(47, symbol="B"))] == [
        "C",
        "A",
    ], "where nothing can wait, the updates tell the time"
    assert kernel.due() == 50


def test_by_the_clock_a_book_that_is_not_to_be_trusted_says_so_at_once_and_nothing_after() -> None:
    kernel = by_the_clock(resync=nobody)
    states = said(kernel, snapshot(11), delta(12, (99.0, 3.0)), wrong(13))
    assert statuses(states) == ["live", "suspect", "syncing"]
    assert kernel.due() == 13 + 10 * SECOND, "what it held is void"
    assert moments(said(kernel, snapshot(15))) == [(15, "live", 2.0)]
    assert statuses(said(kernel, delta(16), Gap(16, None, 1, 17, "lost", "v"))) == ["syncing"]
    assert kernel.due() is None


def test_by_the_clock_what_was_due_before_a_hole_is_said_before_it() -> None:
    kernel = by_the_clock()
    states = said(kernel, snapshot(11), delta(12, (99.0, 3.0)), Gap(12, None, 1, 27, "lost", "v"))
    assert moments(states) == [(11, "live", 2.0), (20, "live", 3.0), (27, "syncing", None)]


def test_by_the_clock_a_feed_of_snapshots_waits_like_any_other() -> None:
    kernel = by_the_clock()
    again = snapshot(13, bids=((99.0, 3.0),), depth=5)
    assert moments(said(kernel, snapshot(11), again)) == [(11, "live", 2.0)]
    (state,) = kernel.wake(20)
    assert (state.bid_size, state.known_depth) == (3.0, 5)


def test_by_the_clock_deltas_that_waited_for_their_snapshot_are_said_with_it() -> None:
    kernel = by_the_clock()
    early = [delta(at, (99.0, float(at)), sequence=at) for at in (4, 5, 6)]
    states = said(kernel, *early, snapshot(37, sequence=3))
    assert [(state.ts_recv, state.status, state.sequence) for state in states[1:]] == [(37, "live", 6)]
    assert kernel.due() is None, "all is said"


def test_by_the_clock_the_last_word_comes_with_the_end() -> None:
    kernel = by_the_clock()
    said(kernel, snapshot(11, "A"), snapshot(11, "B"), delta(12, (99.0, 3.0), symbol="B"))
    assert [(state.symbol, *entry) for state in kernel.flush() for entry in moments([state])] == [
        ("B", 12, "live", 3.0)
    ]
    assert tuple(book_apply().kernel().flush()) == ()


def test_by_the_clock_a_crossed_book_has_as_long_as_ever() -> None:
    kernel = by_the_clock(timedelta(seconds=10), resync=nobody)
    said(kernel, snapshot(1), delta(2, (101.5, 1.0)), delta(3, (101.4, 1.0)))
    assert kernel.due() == 2 + SECOND
    assert statuses(kernel.wake(2 + SECOND)) == ["suspect", "syncing"]
    said(
        kernel, snapshot(4 * SECOND), delta(4 * SECOND + 1, (101.5, 1.0)), delta(4 * SECOND + 2, (101.5, 0.0))
    )
    assert kernel.due() == 10 * SECOND
    (state,) = kernel.wake(10 * SECOND)
    assert (state.status, state.crossed) == ("live", False)


def test_by_the_clock_in_virtual_time() -> None:
    scheduler, source = NanoScheduler(), reactivex.Subject[Event]()
    got: list[tuple[int, str, float | None]] = []
    source.pipe(book_apply(emit=1)).subscribe(lambda state: got.extend(moments([state])), scheduler=scheduler)
    for at in range(1, 40):
        scheduler.advance_to(at * SECOND // 10, inclusive=False)
        source.on_next(snapshot(scheduler.now_ns) if at == 1 else delta(scheduler.now_ns, (99.0, float(at))))
    scheduler.advance_by(60)
    assert got == [(SECOND // 10, "live", 2.0)] + [
        (second * SECOND, "live", min(second * 10.0, 39.0)) for second in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize("emit", [0, 0.0, -1.0, timedelta(0)])
def test_a_stretch_takes_time(emit: Any) -> None:
    with pytest.raises(ValueError, match="emit must be more than no time"):
        book_apply(emit=emit)


# -- the checksum


def test_a_right_checksum_is_taken_before_the_user_s_depth() -> None:
    (state,) = said(book_apply(depth=1).kernel(), summed(snapshot(1)))
    assert (state.status, state.bids) == ("live", BIDS[:1])


def test_a_wrong_checksum_suspects_the_book_and_has_it_sent_anew() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, counters=counters).kernel()
    states = said(
        kernel, summed(snapshot(1)), snapshot(1, "B"), wrong(2), delta(3, (1.0, 1.0)), delta(3, symbol="B")
    )
    right = zlib.crc32(b"1111")
    reason = f"checksum {right}, the venue says 7"
    assert brief(states[2:]) == [
        (2, "suspect", reason),
        (2, "syncing", f"resync 1 of 5: {reason}"),
        (3, "live", ""),
    ]
    assert all(state.bids == state.asks == () and state.bid is None for state in states[2:4])
    assert states[4].symbol == "B"
    assert asked == ["A"]
    assert counters == {"checksum": 1, "resyncs": 1, "before_snapshot": 1}
    assert statuses(said(kernel, summed(snapshot(4)))) == ["live"]


def test_verify_never_believes_the_venue() -> None:
    assert statuses(said(book_apply(verify="never").kernel(), wrong(1))) == ["live"]


def test_without_resync_a_suspect_book_waits_for_a_snapshot() -> None:
    kernel = book_apply().kernel()
    states = said(kernel, summed(snapshot(1)), wrong(2), delta(3), wrong(4), summed(snapshot(5)))
    assert statuses(states) == ["live", "suspect", "suspect", "live"]
    assert kernel.due() is None


def test_a_rule_that_nobody_wrote_is_an_error() -> None:
    update = msgspec.structs.replace(wrong(1), checksum_rule="md5")
    with pytest.raises(Unsupported, match=r"A: no checksum rule 'md5' .* crc32-top10"):
        said(book_apply().kernel(), update)


# -- resyncs


def test_resyncs_are_asked_for_at_once_then_after_1_5_and_30_seconds_and_then_no_more() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append, resyncs=6).kernel()
    moments: list[int] = []
    states = said(kernel, wrong(1), wrong(1))
    while (due := kernel.due()) is not None and len(moments) < 50:
        before = len(asked)
        states += kernel.wake(due)
        if len(asked) > before:
            moments.append(due - 1)
            states += said(kernel, wrong(due))
    assert [moment / SECOND for moment in moments] == [1, 6, 36, 66, 96]  # after the first, at 0
    assert asked == ["A"] * 6
    assert statuses(states) == ["suspect", "syncing"] * 6 + ["failed"]
    assert states[-1].reason.endswith("the venue says 7, after 6 resyncs")
    assert said(kernel, delta(states[-1].ts_recv + 1)) == []


def test_a_snapshot_that_does_not_come_is_asked_for_again() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append, resyncs=2).kernel()
    states = said(kernel, wrong(0))
    assert kernel.due() == 10 * SECOND
    states += kernel.wake(10 * SECOND)
    assert kernel.due() == 11 * SECOND
    states += kernel.wake(11 * SECOND)
    assert kernel.due() == 21 * SECOND
    states += kernel.wake(22 * SECOND)
    assert kernel.due() is None
    assert brief(states[2:]) == [
        (10 * SECOND, "suspect", "no snapshot within 10 s"),
        (11 * SECOND, "syncing", "resync 2 of 2: the last one did not help"),
        (22 * SECOND, "failed", "no snapshot within 10 s, after 2 resyncs"),
    ]


def test_a_snapshot_revives_a_failed_book_but_gives_it_no_more_resyncs() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, resyncs=1, counters=counters).kernel()
    states = said(kernel, wrong(1), wrong(2), delta(3), snapshot(4), delta(5), wrong(6))
    assert statuses(states) == ["suspect", "syncing", "failed", "live", "live", "failed"]
    assert states[2].reason.endswith("after 1 resync")
    assert asked == ["A"]
    assert counters["unwanted"] == 1


@pytest.mark.parametrize(("good_for", "asked_again"), [(30 * SECOND - 1, ["A"]), (30 * SECOND, ["A", "A"])])
def test_thirty_good_seconds_give_the_resyncs_back(good_for: int, asked_again: list[str]) -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    said(kernel, wrong(1), summed(snapshot(100)), wrong(100 + good_for))
    assert asked == asked_again


def test_good_seconds_end_with_a_gap_or_a_farewell() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    said(
        kernel,
        wrong(1),
        snapshot(SECOND),
        Status("unsubscribed", 2 * SECOND, "", "A", "books", venue="v"),
        snapshot(40 * SECOND),
        wrong(41 * SECOND),
    )
    assert asked == ["A"]
    said(kernel, snapshot(50 * SECOND))
    assert asked == ["A", "A"]  # after the pause
    said(kernel, Gap(60 * SECOND, 80 * SECOND, 1, 80 * SECOND, "some frames lost", "v"))
    assert asked == ["A", "A", "A"]  # at once


def test_a_pause_ends_with_a_snapshot_that_comes_by_itself() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(kernel, wrong(1), wrong(2), delta(3), snapshot(4))
    assert statuses(states) == ["suspect", "syncing", "suspect", "live"]
    assert kernel.due() is None
    assert asked == ["A"]


# -- deltas before a snapshot


def test_a_symbol_first_met_by_a_delta_is_asked_for_once() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, counters=counters).kernel()
    states = said(kernel, delta(1), delta(2), snapshot(3))
    assert brief(states) == [
        (1, "syncing", "resync 1 of 5: a delta came before any snapshot"),
        (3, "live", ""),
    ]
    assert asked == ["A"]
    assert counters == {"before_snapshot": 2, "resyncs": 1}


def test_without_resync_it_says_that_it_waits() -> None:
    states = said(book_apply().kernel(), delta(1), delta(2), snapshot(3))
    assert brief(states) == [(1, "syncing", "a delta came before any snapshot"), (3, "live", "")]


def test_deltas_with_a_sequence_wait_for_the_snapshot() -> None:
    counters = Counters()
    kernel = book_apply(pending=3, counters=counters).kernel()
    early = [delta(at, (99.0, float(at)), sequence=at) for at in (4, 5, 6, 7)]
    states = said(kernel, *early, snapshot(8, sequence=5))
    assert [(state.status, state.sequence, state.bid_size, state.ts_event) for state in states[1:]] == [
        ("live", 7, 7.0, 6)
    ], "one live state, when all are in: the ones before were never the venue's book of that moment"
    assert states[-1].ts_recv == 8
    assert counters == {"before_snapshot": 1, "duplicate": 1}


def test_deltas_that_waited_for_a_snapshot_without_a_sequence_cannot_be_placed() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    assert statuses(said(kernel, delta(1, sequence=1), delta(2, sequence=2), snapshot(3))) == [
        "syncing",
        "live",
    ]
    assert counters == {"before_snapshot": 2}


def test_what_waited_may_itself_be_broken() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    early = [delta(at, sequence=at) for at in (7, 9, 10)]
    states = said(kernel, *early, snapshot(11, sequence=6))
    assert statuses(states) == ["syncing", "suspect", "syncing"]
    assert states[1].reason == "sequence 9 came after 7"


@pytest.mark.parametrize(
    "event",
    [
        Gap(3, None, 1, 3, venue="v"),
        Lost("A", "OrderBookUpdate", 1, 3, 3, "handoff"),
        Status("rejected", 3, "no", "A", "books", venue="v"),
        Status("open", 3, epoch=2, venue="v"),
    ],
    ids=["gap", "lost", "rejected", "open"],
)
def test_what_waited_is_void_and_counted_when_the_stream_breaks(event: Event) -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    said(kernel, delta(1, sequence=1), delta(2, sequence=2), event)
    assert counters == {"before_snapshot": 2}


# -- sequences


def test_a_break_in_the_sequence_suspects_and_a_repetition_is_dropped() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    states = said(
        kernel,
        snapshot(1, sequence=5),
        delta(2, sequence=6),
        delta(3, (99.0, 7.0), sequence=6),
        delta(4, sequence=7),
        delta(5, sequence=9),
    )
    assert [(state.status, state.sequence) for state in states] == [
        ("live", 5),
        ("live", 6),
        ("live", 7),
        ("suspect", None),
    ]
    assert counters == {"duplicate": 1, "sequence": 1}


def test_a_sequence_may_begin_after_the_snapshot() -> None:
    kernel = book_apply().kernel()
    states = said(kernel, snapshot(1), delta(2, sequence=70), delta(3, sequence=71), delta(4, sequence=73))
    assert statuses(states) == ["live", "live", "live", "suspect"]


# -- holes and connections


def test_a_gap_clears_every_book_it_concerns_and_says_so_once() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1, "A"), snapshot(2, "B"), snapshot(3, "A", venue="w"))
    states = said(
        kernel, Gap(3, None, 1, 4, "the line is lost", "v"), Gap(3, 5, 1, 5, "the line is lost", "v")
    )
    assert [(state.venue, state.symbol) for state in states] == [("v", "A"), ("v", "B")]
    assert brief(states) == [(4, "syncing", "the line is lost")] * 2
    assert all(state.bids == () and state.bid is state.ask is None for state in states)
    assert states[0].ts_event == 0
    assert statuses(said(kernel, delta(6, symbol="A", venue="w"))) == ["live"]


def test_a_gap_may_concern_some_symbols_and_give_no_reason() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1, "A"), snapshot(2, "B"))
    states = said(kernel, Gap(3, None, 1, 4, symbols=("B",)))
    assert [(state.symbol, state.reason) for state in states] == [("B", "there is a gap")]


def word(state: Any, at: int, epoch: int) -> Status:
    return Status(state, at, symbol="A", kind="books", epoch=epoch, venue="v")


def test_what_one_of_several_connections_lost_is_nothing_to_a_book_of_another() -> None:
    """A symbol's trades and its book may come over two connections."""
    kernel = book_apply().kernel()
    lost = Gap(2, None, 2, 3, venue="v", symbols=("A",))
    states = said(kernel, snapshot(1), lost, delta(4), msgspec.structs.replace(lost, epoch=1), delta(5))
    assert statuses(states) == ["live", "live", "syncing"]


def test_a_snapshot_of_a_newer_connection_takes_over_a_live_book_in_place() -> None:
    kernel = book_apply().kernel()
    states = said(kernel, snapshot(1, sequence=9), snapshot(2, epoch=2, sequence=9), delta(3, epoch=1))
    assert [(each.status, each.epoch) for each in states] == [("live", 1), ("live", 2)]


def test_a_book_that_was_unsubscribed_may_be_served_by_an_older_connection() -> None:
    for said_first in word("subscribed", 3, 3), snapshot(3, epoch=3):
        kernel = book_apply().kernel()
        states = said(kernel, snapshot(1, epoch=5), word("unsubscribed", 2, 5), said_first)
        states += said(kernel, snapshot(4, epoch=3), delta(5, epoch=3))
        assert [(each.status, each.epoch) for each in states][-2:] == [("live", 3)] * 2
        assert statuses(states)[:2] == ["live", "empty"]


def test_a_book_that_another_connection_serves_before_this_one_lets_go_is_asked_for_there() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(
        kernel,
        snapshot(1, epoch=5),
        word("subscribed", 2, 3),
        delta(3, epoch=5, sequence=None),
        word("unsubscribed", 4, 5),
        delta(5, epoch=3),
        snapshot(6, epoch=3),
    )
    assert [(each.status, each.epoch) for each in states] == [
        ("live", 5),
        ("live", 5),
        ("syncing", 3),
        ("syncing", 3),
        ("live", 3),
    ]
    assert asked == ["A"]


def test_who_served_it_besides_is_forgotten_with_the_next_connection() -> None:
    kernel = book_apply().kernel()
    opened = Status("open", 4, epoch=3, venue="v")
    states = said(kernel, snapshot(1), word("subscribed", 2, 2), opened, snapshot(5, epoch=3))
    assert statuses(states + said(kernel, word("unsubscribed", 6, 3)))[-2:] == ["live", "empty"]


def test_a_successor_that_was_lost_serves_no_book() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1), snapshot(1, "B"), word("subscribed", 2, 2))
    states = said(kernel, Status("unbridged", 3, epoch=2, venue="v"), word("unsubscribed", 4, 1))
    assert statuses(states) == ["empty"]


def test_after_a_gap_the_next_connection_s_snapshot_makes_it_live_again() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, counters=counters).kernel()
    states = said(
        kernel,
        snapshot(1),
        Gap(1, None, 1, 2, venue="v"),
        delta(3),  # the lost connection has nothing more to say
        snapshot(4),
        Status("open", 5, epoch=2, venue="v"),
        Gap(1, 6, 1, 6, venue="v"),
        snapshot(6, epoch=2),
        delta(7, epoch=1),
        delta(8, epoch=2),
    )
    assert [(state.ts_recv, state.status, state.epoch) for state in states] == [
        (1, "live", 1),
        (2, "syncing", 1),
        (6, "live", 2),
        (8, "live", 2),
    ]
    assert counters == {"old_epoch": 3}
    assert asked == []


def test_where_nobody_says_open_the_closed_gap_and_the_snapshot_say_it() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(
        kernel, snapshot(1), Gap(1, None, 1, 2, venue="v"), Gap(1, 6, 1, 6, venue="v"), snapshot(6, epoch=2)
    )
    assert statuses(states) == ["live", "syncing", "live"]
    assert asked == []


def test_a_new_connection_supersedes_without_a_gap() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1), snapshot(1, "A", venue="w"))
    states = said(kernel, Status("open", 2, epoch=2, venue="v"), Status("open", 2, epoch=2, venue="v"))
    assert [
        (state.venue, state.epoch, *entry) for state, entry in zip(states, brief(states), strict=True)
    ] == [("v", 2, 2, "syncing", "a new connection")]


def test_the_first_update_of_a_new_connection_supersedes_too() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(kernel, snapshot(1), delta(2, epoch=2))
    assert brief(states[1:]) == [
        (2, "syncing", "a new connection"),
        (2, "syncing", "resync 1 of 5: a delta came before any snapshot"),
    ]


def test_a_symbol_first_met_late_belongs_to_its_venue_s_newest_connection() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    states = said(
        kernel,
        Status("open", 1, epoch=3, venue="v"),
        Status("open", 1, epoch=2, venue="v"),
        snapshot(2, epoch=2),
        snapshot(3, epoch=3),
    )
    assert [(state.status, state.epoch) for state in states] == [("live", 3)]
    assert counters == {"old_epoch": 1}


def test_a_gap_within_a_connection_that_lives_asks_at_once() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(kernel, snapshot(1), snapshot(1, "B"), Gap(2, 3, 1, 3, "9 frames lost in the ring", "v"))
    assert (
        brief(states[2:])
        == [
            (3, "syncing", "9 frames lost in the ring"),
            (3, "syncing", "resync 1 of 5: 9 frames lost in the ring"),
        ]
        * 2
    )
    assert asked == ["A", "B"]


def test_while_the_line_is_down_nothing_is_asked_for() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(kernel, wrong(1), wrong(2), Gap(2, None, 1, 3, "lost", "v"), Gap(2, 5, 1, 5, "lost", "v"))
    assert kernel.due() is None
    assert brief(states[3:]) == [(3, "syncing", "lost")]
    assert asked == ["A"]


def test_a_new_connection_is_a_new_chance_for_a_failed_book() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append, resyncs=1).kernel()
    states = said(kernel, wrong(1), wrong(2), Gap(2, None, 1, 3, "lost", "v"))
    assert statuses(states) == ["suspect", "syncing", "failed"]
    states = said(kernel, Status("open", 4, epoch=2, venue="v"), wrong(5, epoch=2))
    assert statuses(states) == ["syncing", "suspect", "syncing"]
    assert asked == ["A", "A"]


def test_updates_that_a_buffer_lost_suspect_their_book() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    said(kernel, snapshot(1), snapshot(1, "B"))
    (lost, _) = said(kernel, Lost("B", "OrderBookUpdate", 3, 2, 4, "handoff"))
    assert (lost.symbol, lost.ts_recv, lost.status) == ("B", 4, "suspect")
    assert lost.reason == "3 updates lost in the handoff"
    states = said(kernel, Lost("", "", 3, 2, 4, "handoff", ts_recv=9), Lost("A", "Trade", 3, 2, 4, "handoff"))
    assert [(state.symbol, state.ts_recv) for state in states] == [("A", 9), ("A", 9)]
    assert asked == ["B", "A"]


# -- subscriptions


def test_a_refused_symbol_fails_with_what_the_venue_said() -> None:
    kernel = book_apply().kernel()
    refused = Status("rejected", 2, "Currency pair not supported", "A", "books", 1, "v")
    states = said(kernel, snapshot(1, "B"), refused, refused, delta(3), delta(3, symbol="B"))
    assert brief(states) == [(1, "live", ""), (2, "failed", "Currency pair not supported"), (3, "live", "")]
    assert said(kernel, Status("open", 4, epoch=2, venue="v"))[0].symbol == "B"
    assert statuses(said(kernel, snapshot(5, epoch=2))) == ["live"]


def test_a_refused_symbol_that_is_served_after_all_begins_anew() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    refused = Status("rejected", 2, "no", "A", "books", 1, "v")
    states = said(kernel, wrong(1), refused, snapshot(3), wrong(4))
    assert statuses(states) == ["suspect", "syncing", "failed", "live", "suspect", "syncing"]
    states = said(kernel, snapshot(5), Status("open", 6, epoch=2, venue="v"), delta(7, epoch=2))
    assert statuses(states) == ["live", "syncing", "syncing"]
    assert asked == ["A", "A", "A"]


def test_what_is_said_of_other_kinds_or_of_no_symbol_is_passed_over() -> None:
    kernel = book_apply().kernel()
    others = (
        Status("rejected", 2, "no", "A", "trades", venue="v"),
        Status("rejected", 2, "no", "", "books", venue="v"),
        Status("throttled", 2, "slow down", "A", "books", venue="v"),
    )
    assert statuses(said(kernel, snapshot(1), *others, delta(3))) == ["live", "live"]


def test_an_unsubscribed_book_is_empty_and_stays_so() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, counters=counters).kernel()
    left = Status("unsubscribed", 2, "", "A", "books", venue="v")
    states = said(kernel, snapshot(1), left, left, delta(3))
    assert brief(states[1:]) == [(2, "empty", "unsubscribed")]
    assert (asked, counters) == ([], {"unwanted": 1})
    states = said(kernel, Status("subscribed", 4, "", "A", "books", venue="v"), delta(5))
    assert statuses(states) == ["syncing"]
    assert asked == ["A"]


def test_a_resync_that_begins_with_an_unsubscribe_is_no_farewell() -> None:
    kernel = book_apply(resync=nobody).kernel()
    states = said(
        kernel,
        wrong(1),
        Status("unsubscribed", 2, "", "A", "books", venue="v"),
        Status("subscribed", 3, "", "A", "books", venue="v"),
        snapshot(4),
    )
    assert statuses(states) == ["suspect", "syncing", "live"]


def test_an_unsubscribed_failed_book_is_not_revived_by_a_new_connection() -> None:
    kernel = book_apply(resync=nobody, resyncs=1).kernel()
    said(kernel, wrong(1), wrong(2), Status("unsubscribed", 3, "", "A", "books", venue="v"))
    assert said(kernel, Status("open", 4, epoch=2, venue="v")) == []


# -- crossed


def test_a_crossed_book_is_flagged_at_once_and_resynced_after_a_second() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, counters=counters).kernel()
    states = said(kernel, snapshot(1), delta(2, (101.5, 1.0)), delta(3, (101.4, 1.0)))
    assert [(state.status, state.crossed) for state in states] == [
        ("live", False),
        ("live", True),
        ("live", True),
    ]
    assert kernel.due() == 2 + SECOND
    states = list(kernel.wake(2 + SECOND))
    assert brief(states) == [
        (2 + SECOND, "suspect", "crossed for 1 s"),
        (2 + SECOND, "syncing", "resync 1 of 5: crossed for 1 s"),
    ]
    assert asked == ["A"]
    assert counters["crossed"] == 1


def test_a_feed_of_snapshots_that_stay_crossed_is_suspect_too() -> None:
    kernel = book_apply(resync=nobody).kernel()
    crossed = [snapshot(at * SECOND // 2, bids=((101.5, 1.0),)) for at in (1, 2, 3, 4)]
    assert statuses(said(kernel, *crossed)) == ["live"] * 3 + ["suspect", "syncing", "live"]


def test_a_book_that_uncrosses_in_time_is_well() -> None:
    kernel = book_apply(crossed_for=2).kernel()
    states = said(kernel, snapshot(1), delta(2, (101.5, 1.0)), delta(3, (101.5, 0.0)))
    assert kernel.due() is None
    assert [state.crossed for state in states] == [False, True, False]


def test_a_locked_book_is_well() -> None:
    kernel = book_apply().kernel()
    assert said(kernel, snapshot(1), delta(2, (101.0, 1.0)))[1].crossed is False
    assert kernel.due() is None


def test_where_nothing_can_wait_the_updates_tell_the_time() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    crossed, now = delta(2, (101.5, 1.0)), 2 + SECOND
    states = said(kernel, snapshot(1), snapshot(1, "B"), crossed, delta(now, symbol="B"), snapshot(now, "B"))
    assert statuses(states) == ["live"] * 5  # an item of the very nanosecond comes first
    states = said(kernel, delta(now + 1, symbol="B"))
    assert [(state.symbol, *entry[:2]) for state, entry in zip(states, brief(states), strict=True)] == [
        ("A", now, "suspect"),
        ("A", now, "syncing"),
        ("B", now + 1, "live"),
    ]


def test_those_that_waited_longest_are_seen_to_first() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    said(
        kernel, snapshot(1, "A"), snapshot(1, "B"), delta(2, (200.0, 1.0), symbol="B"), delta(3, (200.0, 1.0))
    )
    assert [state.symbol for state in kernel.wake(9 * SECOND)] == ["B", "B", "A", "A"]


# -- options, marbles, laws


def test_the_snapshot_a_book_begins_with_is_no_failure_of_anybodys() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    said(kernel, delta(1, sequence=5), snapshot(2, sequence=5))
    states = said(kernel, delta(3, sequence=9))
    assert [(state.status, state.reason) for state in states] == [
        ("suspect", "sequence 9 came after 5"),
        ("syncing", "resync 1 of 5: sequence 9 came after 5"),
    ], "at once, and not after the pause that a resync in vain would cost"
    assert asked == ["A", "A"]


def test_our_own_farewell_is_ours_even_behind_a_snapshot_that_was_on_its_way() -> None:
    kernel = book_apply(resync=nobody).kernel()
    said(kernel, snapshot(1, sequence=5), delta(2, sequence=9), snapshot(3, sequence=9))
    left = Status("unsubscribed", 4, "", "A", "books", venue="v")
    (state,) = said(kernel, left)
    assert (state.status, state.reason) == ("syncing", "taken anew")
    assert statuses(said(kernel, snapshot(5, sequence=9))) == ["live"]
    much_later = msgspec.structs.replace(left, ts_recv=60 * SECOND)
    assert statuses(said(kernel, much_later)) == ["empty"]


def test_a_snapshot_may_be_given_more_time() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append, snapshot_within=60).kernel()
    said(kernel, delta(1))
    assert kernel.due() == 1 + 60 * SECOND
    (state,) = kernel.wake(1 + 60 * SECOND)
    assert (state.status, state.reason) == ("suspect", "no snapshot within 60 s")
    with pytest.raises(ValueError, match="snapshot_within must be more than nothing, not 0"):
        book_apply(snapshot_within=0)


@pytest.mark.parametrize("kind", ["books", "top_books", "deep_books"])
def test_whatever_kind_of_book_it_is_its_unsubscription_ends_it(kind: str) -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1))
    (state,) = said(kernel, Status("unsubscribed", 2, "", "A", kind, venue="v"))
    assert state.status == "empty"


# -- sequences that come in spans: Binance's two procedures


def span(at: int, first: int, last: int, previous: int | None = None, **other: Any) -> OrderBookUpdate:
    return delta(
        at, (90.0 + last % 9, 1.0), sequence=last, first_sequence=first, previous_sequence=previous, **other
    )


def test_a_span_joins_on_where_it_covers_the_next_number() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    early = [span(1, 90, 95), span(2, 96, 103), span(3, 104, 104)]
    states = said(kernel, *early, snapshot(4, sequence=100), span(5, 105, 110))
    assert [(state.status, state.sequence) for state in states] == [
        ("syncing", None),
        ("live", 104),
        ("live", 110),
    ]
    assert counters == {"duplicate": 1}


@pytest.mark.parametrize(
    ("first", "last", "status"), [(105, 107, "live"), (103, 105, "live"), (106, 107, "suspect")]
)
def test_a_span_that_leaves_a_hole_suspects_the_book(first: int, last: int, status: str) -> None:
    kernel = book_apply().kernel()
    states = said(kernel, snapshot(1, sequence=104), span(2, first, last))
    assert states[-1].status == status
    assert states[-1].reason == ("sequence 106 came after 104" if status == "suspect" else "")


def test_a_snapshot_older_than_everything_that_waited_is_of_no_use() -> None:
    asked: list[str] = []
    kernel = book_apply(resync=asked.append).kernel()
    states = said(kernel, span(1, 96, 103), snapshot(2, sequence=90), snapshot(3, sequence=103))
    assert statuses(states) == ["syncing", "suspect", "syncing", "live"]
    assert asked == ["A", "A"]


def test_where_numbers_have_holes_each_update_names_the_one_before() -> None:
    kernel = book_apply().kernel()
    early = [span(1, 80, 95, 79), span(2, 97, 103, 95), span(3, 110, 120, 103)]
    states = said(kernel, *early, snapshot(4, sequence=100), span(5, 130, 140, 120), span(6, 150, 151, 141))
    assert [(state.status, state.sequence) for state in states] == [
        ("syncing", None),
        ("live", 120),
        ("live", 140),
        ("suspect", None),
    ]
    assert states[-1].reason == "sequence 150 came after 140"


def test_the_first_update_after_a_snapshot_covers_its_number() -> None:
    covers, follows = span(2, 100, 103, 99), span(2, 101, 103, 99)
    assert statuses(said(book_apply().kernel(), snapshot(1, sequence=100), covers)) == ["live", "live"]
    assert statuses(said(book_apply().kernel(), snapshot(1, sequence=100), follows)) == ["live", "suspect"]


def test_a_live_book_takes_no_older_snapshot() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    states = said(kernel, snapshot(1, sequence=7), snapshot(2, sequence=6), snapshot(3, sequence=7))
    assert [(state.status, state.ts_recv) for state in states] == [("live", 1), ("live", 3)]
    assert counters == {"old_snapshot": 1}


# -- books of several exchanges from one venue


def test_the_books_of_two_exchanges_are_two_books() -> None:
    kernel = book_apply().kernel()
    one, other = snapshot(1, exchange="1"), snapshot(2, exchange="2", bids=((50.0, 1.0),))
    states = said(kernel, one, other, delta(3, (99.5, 1.0), exchange="1"))
    assert [(state.exchange, state.bid) for state in states] == [("1", 99.0), ("2", 50.0), ("1", 99.5)]
    restored = book_apply().kernel()
    restored.restore(kernel.state())
    (state,) = said(restored, delta(4, (99.0, 0.0), exchange="1"))
    assert (state.exchange, state.bid) == ("1", 99.5)
    assert repr(state).startswith("<BookState v 1 A live 99.5")


def test_a_symbol_refused_is_refused_on_every_exchange() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1, exchange="1"), snapshot(2, exchange="2"))
    states = said(kernel, Status("rejected", 3, "no", "A", "books", venue="v"))
    assert [(state.exchange, state.status) for state in states] == [("1", "failed"), ("2", "failed")]


@pytest.mark.parametrize("option", [{"emit": "all"}, {"verify": "sometimes"}])
def test_a_word_that_is_no_option_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is '"):
        book_apply(**option)


@pytest.mark.parametrize("option", ["depth", "resyncs", "pending"])
def test_options_begin_at_one(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be a whole number, 1 or more"):
        book_apply(**{option: 0})  # type: ignore[arg-type]
    for other in (2.5, "10", True):
        with pytest.raises(TypeError, match=f"{option} is a whole number, not {other!r}"):
            book_apply(**{option: other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "option",
    [{"emit": None}, {"emit": True}, {"verify": True}, {"resync": 1}, {"resync": "A"}, {"counters": {}}],
    ids=str,
)
def test_an_option_of_another_type_is_refused_at_once(option: dict[str, Any]) -> None:
    with pytest.raises(
        TypeError, match=rf"^{next(iter(option))} is .*, not {next(iter(option.values()))!r}$"
    ):
        book_apply(**option)


def test_frames_that_nobody_has_read_are_an_error_and_not_silence() -> None:
    frame = Frame(FrameKind.TEXT, b"{}", 3)
    with pytest.raises(
        TypeError, match=r"book_apply\(\) takes events, .* put op.normalize\(provider\) before it"
    ):
        said(book_apply().kernel(), frame)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "level", [(99.0, -1.0), (99.0, float("nan")), (float("nan"), 1.0), (float("inf"), 1.0)]
)
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_level_that_can_be_none_makes_its_book_suspect_and_no_other(side: str, level: Level) -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, counters=counters).kernel()
    levels = ((98.0, 1.0), level)
    broken = delta(3, *levels) if side == "bids" else delta(3, asks=levels)
    states = said(kernel, snapshot(1), snapshot(2, "B"), broken, delta(4, symbol="B"), snapshot(5))
    assert [(state.symbol, state.status) for state in states[2:]] == [
        ("A", "suspect"),
        ("A", "syncing"),
        ("B", "live"),
        ("A", "live"),
    ]
    assert states[2].reason == f"an update of A has a level with the price {level[0]!r}, size {level[1]!r}"
    assert (states[2].bids, states[2].asks) == ((), ())
    assert (states[-1].bids, states[-1].asks) == (BIDS, ASKS)
    assert (asked, counters) == (["A"], {"broken": 1, "resyncs": 1})


def test_a_snapshot_of_a_newer_connection_finds_a_live_book_live_and_leaves_it_so() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    moved = snapshot(3, epoch=2, sequence=4, bids=((98.5, 1.0),))
    states = said(
        kernel,
        snapshot(1, sequence=70),
        snapshot(1, "B", sequence=70),
        moved,
        delta(4, (99.0, 9.0), sequence=71),  # of the connection that is going
        delta(5, (98.0, 1.0), epoch=2, sequence=5),
        delta(6, (97.0, 1.0), symbol="B", sequence=71),
    )
    assert [
        (state.symbol, state.status, state.epoch, state.sequence, state.bids[0]) for state in states[2:]
    ] == [
        ("A", "live", 2, 4, (98.5, 1.0)),
        ("A", "live", 2, 5, (98.5, 1.0)),
        ("B", "live", 1, 71, (99.0, 2.0)),
    ]
    assert counters == {"old_epoch": 1}


# -- snapshots that do not say all


def limited(at: int, first: int, symbol: str = "A", **other: Any) -> OrderBookUpdate:
    """The best 20 bids, from ``first`` down, of a venue that has more."""
    bids = tuple((float(first - down), 1.0) for down in range(20))
    return snapshot(at, symbol, bids=bids, asks=((400.0, 1.0),), limit=20, **other)


def test_beyond_a_limited_snapshot_nothing_is_believed() -> None:
    states = said(book_apply().kernel(), limited(1, 100), delta(2, (80.0, 5.0), (81.0, 5.0), (100.0, 0.0)))
    assert [(state.known_depth, len(state.bids)) for state in states] == [(20, 20), (19, 19)]
    assert states[1].bids[-1] == (81.0, 5.0), "the venue may have a bid between it and 80"


def test_where_prices_leave_what_a_limited_snapshot_reached_the_book_is_sent_anew() -> None:
    asked: list[str] = []
    counters = Counters()
    kernel = book_apply(resync=asked.append, resyncs=1, counters=counters).kernel()
    said(kernel, limited(0, 100, "B", sequence=9))
    for again in range(3):
        now, first, number = 10 * again, 100 - 20 * again, 100 * again
        said(kernel, limited(now + 1, first, sequence=number + 10))
        falls = [
            delta(now + 2, (float(first - down), 0.0), sequence=number + 11 + down) for down in range(19)
        ]
        states = said(kernel, *falls, delta(now + 3, symbol="B", sequence=10 + again))
        assert statuses(states) == ["live"] * 18 + ["suspect", "syncing", "live"]
        assert states[17].known_depth == 2
        assert states[18].reason == "prices left what the snapshot reached"
        assert states[20].symbol == "B"
    assert asked == ["A"] * 3, "though one resync in a row is all there is"
    assert counters["exhausted"] == 3


def test_a_limited_book_that_is_saved_knows_its_limits() -> None:
    kernel, again = book_apply(depth=5).kernel(), book_apply(depth=5).kernel()
    said(kernel, limited(1, 100))
    again.restore(msgspec.json.decode(msgspec.json.encode(kernel.state())))
    (state,) = said(again, delta(2, (80.0, 5.0), *((float(100 - down), 0.0) for down in range(17))))
    assert (state.known_depth, state.bids) == (3, ((83.0, 1.0), (82.0, 1.0), (81.0, 1.0)))


def test_by_the_clock_a_limited_book_says_how_much_of_it_is_left() -> None:
    kernel = by_the_clock()
    said(kernel, limited(11, 100), delta(12, (100.0, 0.0), (80.0, 1.0)))
    assert [state.known_depth for state in kernel.wake(20)] == [19]


def test_what_resync_raises_ends_the_stream() -> None:
    def gone(symbol: str) -> None:
        raise LookupError(symbol)

    with pytest.raises(LookupError):
        reactivex.of(snapshot(1), wrong(2), snapshot(3)).pipe(book_apply(resync=gone)).run()


def test_marbles_under_the_stock_test_scheduler() -> None:
    scheduler = TestScheduler()
    asked: list[str] = []
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, snapshot(210 * SECOND)),
        ReactiveTest.on_next(220, delta(220 * SECOND, (101.5, 1.0))),
        ReactiveTest.on_next(230, snapshot(230 * SECOND)),
        ReactiveTest.on_completed(240),
    )
    statuses_in_time = source.pipe(book_apply(resync=asked.append), ops.map(_status))
    assert scheduler.start(lambda: statuses_in_time).messages == [
        ReactiveTest.on_next(210, "live"),
        ReactiveTest.on_next(220, "live"),
        ReactiveTest.on_next(221, "suspect"),
        ReactiveTest.on_next(221, "syncing"),
        ReactiveTest.on_next(230, "live"),
        ReactiveTest.on_completed(240),
    ]
    assert asked == ["A"]


def test_marbles_in_virtual_nanoseconds() -> None:
    scheduler = NanoScheduler()
    source: reactivex.Subject[Event] = reactivex.Subject()
    got: list[tuple[int, str]] = []
    asked: list[int] = []
    apply = book_apply(resync=lambda _: asked.append(scheduler.now_ns), resyncs=2)
    source.pipe(apply).subscribe(
        lambda state: got.append((scheduler.now_ns, state.status)), scheduler=scheduler
    )
    for event in (snapshot(7), delta(9, (101.5, 1.0))):
        scheduler.advance_to(event.ts_recv)
        source.on_next(event)
    scheduler.advance_by(60)
    crossed = 9 + SECOND
    assert asked == [crossed, crossed + 11 * SECOND]
    assert got == [
        (7, "live"),
        (9, "live"),
        (crossed, "suspect"),
        (crossed, "syncing"),
        (crossed + 10 * SECOND, "suspect"),
        (crossed + 11 * SECOND, "syncing"),
        (crossed + 21 * SECOND, "failed"),
    ]


some_levels = st.lists(
    st.tuples(st.sampled_from([98.0, 98.5, 99.0, 99.5]), st.sampled_from([0.0, 1.0, 2.0])), max_size=3
).map(tuple)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """What a venue and a line may do, with epochs that go up and stamps that do, too."""
    events: list[Event] = []
    now, epoch = 0, 1
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.sampled_from([1, SECOND, 12 * SECOND]))
        symbol = draw(st.sampled_from(["A", "B"]))
        match draw(st.integers(0, 11)):
            case 0:
                events.append(Gap(now, draw(st.sampled_from([None, now])), epoch, now, "lost", "v"))
            case 1:
                epoch += 1
                events.append(Status("open", now, epoch=epoch, venue="v"))
            case 2:
                state: Any = draw(st.sampled_from(["rejected", "subscribed", "unsubscribed"]))
                events.append(Status(state, now, "no", symbol, "books", epoch, "v"))
            case 3:
                events.append(Lost(symbol, "OrderBookUpdate", 1, now, now, "handoff", now))
            case kind:
                update = OrderBookUpdate(
                    symbol,
                    now,
                    now,
                    draw(some_levels),
                    draw(some_levels),
                    kind < 7,
                    draw(st.sampled_from([epoch, epoch, epoch, 1])),
                    "v",
                    sequence=draw(st.sampled_from([None, None, len(events)])),
                )
                events.append(wrong(now, symbol, epoch=epoch) if kind == 4 else update)
    return events


def run(kernel: Kernel[Event, BookState], events: Iterable[Event]) -> list[BookState]:
    states: list[BookState] = []
    for event in events:
        now = event.ts_recv
        while (due := kernel.due()) is not None and due < now:
            states += kernel.wake(due)
        states += kernel.push(event)
    return states


@settings(max_examples=150, deadline=None)
@given(streams(), st.integers(0, 25), st.sampled_from(["update", "top", 2.5]))
def test_cut_anywhere_the_rest_is_the_same(events: list[Event], cut: int, emit: Any) -> None:
    asked: list[str] = []
    asked_again: list[str] = []
    whole = book_apply(resync=asked.append, emit=emit, resyncs=2).kernel()
    run(whole, events[:cut])
    again = book_apply(resync=asked_again.append, emit=emit, resyncs=2).kernel()
    again.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    asked.clear()
    assert run(again, events[cut:]) == run(whole, events[cut:])
    assert again.due() == whole.due()
    assert again.state() == whole.state()
    assert asked_again == asked


@settings(max_examples=100, deadline=None)
@given(streams(), st.sampled_from(["update", "top", 2.5, 1e-9]))
def test_it_is_held_to_the_laws(events: list[Event], emit: Any) -> None:
    def made() -> Kernel[Event, BookState]:
        return book_apply(resync=nobody, emit=emit, resyncs=2).kernel()

    resumes_anywhere(made, events)
    same_live_and_virtual(made, events)


@settings(max_examples=150, deadline=None)
@given(streams(), st.sampled_from([1e-9, 1, 2.5]))
def test_by_the_clock_the_last_states_of_the_stretches_are_said_and_every_change_of_status(
    events: list[Event], every: float
) -> None:
    """Against what ``emit="update"`` says: no more than one a stretch, and none that it would not say."""
    everything = run(book_apply(resync=nobody, resyncs=2).kernel(), events)
    kernel = by_the_clock(every, resync=nobody, resyncs=2)
    states = [*run(kernel, events), *kernel.flush()]
    width = round(every * SECOND)
    for symbol in "A", "B":
        whole = [state for state in everything if state.symbol == symbol]
        expected: list[tuple[int, str, Any]] = []
        held: BookState | None = None
        for before, state in zip([None, *whole], whole, strict=False):
            if held is not None and (end := -(-held.ts_recv // width) * width) < state.ts_recv:
                expected.append((end, "live", held.bids))
                held = None
            if state.status == "live" and before is not None and before.status == "live":
                held = state
            else:
                expected.append((state.ts_recv, state.status, state.bids))
                held = None
        if held is not None:
            end = -(-held.ts_recv // width) * width
            expected.append((end if end < events[-1].ts_recv else held.ts_recv, "live", held.bids))
        assert [
            (each.ts_recv, each.status, each.bids) for each in states if each.symbol == symbol
        ] == expected


@settings(max_examples=150, deadline=None)
@given(streams())
def test_a_live_book_is_never_wrong_and_no_other_shows_anything(events: list[Event]) -> None:
    kernel = book_apply(resync=nobody, verify="never", resyncs=2).kernel()
    levels: dict[str, dict[float, float]] = {}
    for event in events:
        states = run(kernel, [event])
        for state in states:
            if state.status != "live":
                levels.pop(state.symbol, None)
                assert (state.bid, state.ask, state.bids, state.asks) == (None, None, (), ())
                continue
            assert isinstance(event, OrderBookUpdate)
            if event.snapshot:
                levels[state.symbol] = {}
            bids = levels[state.symbol]
            for price, size in event.bids if state.ts_event == event.ts_event else ():
                bids[price] = size
            assert dict(state.bids) == {price: size for price, size in bids.items() if size}
            assert state.crossed == (
                state.bid is not None and state.ask is not None and state.bid > state.ask
            )


def test_a_restored_book_still_knows_its_digits() -> None:
    kernel, again = book_apply().kernel(), book_apply().kernel()
    said(kernel, summed(snapshot(1)))
    again.restore(msgspec.json.decode(msgspec.json.encode(kernel.state())))
    right = zlib.crc32(b"1211")
    update = delta(
        2,
        (99.0, 3.0),
        bid_digits=("1",),
        asks=((102.0, 4.0),),
        ask_digits=("2",),
        checksum=right,
        checksum_rule="crc32-top10",
    )
    assert statuses(said(again, update)) == ["live"]


# -- the words of a subscription concern one book, and only its own


def about(state: str, at: int, symbol: str = "A", venue: str = "v", text: str = "") -> Status:
    return Status(state, at, text, symbol, "books", venue=venue)  # type: ignore[arg-type]


CROSSING = ((101.5, 1.0),)


@pytest.mark.parametrize("uncrossed", [False, True])
def test_a_book_that_is_or_was_crossed_says_farewell(uncrossed: bool) -> None:
    kernel = book_apply(resync=nobody).kernel()
    said(kernel, snapshot(10), delta(20, *CROSSING))
    if uncrossed:
        said(kernel, delta(30, (101.5, 0.0)))
    assert brief(said(kernel, about("unsubscribed", 40))) == [(40, "empty", "unsubscribed")]


def test_a_crossed_snapshot_has_as_long_to_uncross_as_a_crossing_delta() -> None:
    kernel = book_apply(crossed_for=5.0, resync=nobody).kernel()
    said(kernel, snapshot(10), wrong(20), snapshot(30, bids=CROSSING))
    assert kernel.due() == 30 + 5 * SECOND


def test_an_unsubscription_concerns_the_symbol_of_its_venue_alone() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(1), snapshot(2, "B"), snapshot(3, venue="w"))
    assert [(each.venue, each.symbol) for each in said(kernel, about("unsubscribed", 9))] == [("v", "A")]


def test_a_subscription_concerns_the_symbol_of_its_venue_alone() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    said(kernel, snapshot(1), snapshot(2, "B"), snapshot(3, venue="w"))
    said(kernel, about("unsubscribed", 4), about("unsubscribed", 5, "B"), about("unsubscribed", 6, venue="w"))
    said(kernel, about("subscribed", 7))
    said(kernel, delta(8), delta(9, symbol="B"), delta(10, venue="w"))
    assert (counters["before_snapshot"], counters["unwanted"]) == (1, 2)


def test_a_failed_book_says_no_farewell_but_is_told_of_a_rejection_once() -> None:
    kernel = book_apply(resync=nobody, resyncs=1).kernel()
    assert statuses(said(kernel, snapshot(10), wrong(20), wrong(30)))[-1] == "failed"
    rejected = said(kernel, about("rejected", 50, text="no"), about("rejected", 60, text="no"))
    assert brief(rejected) == [(50, "failed", "no")]
    assert said(kernel, about("unsubscribed", 70)) == []


def test_an_open_that_is_heard_again_changes_nothing() -> None:
    kernel = book_apply().kernel()
    said(kernel, snapshot(10))
    assert said(kernel, Status("open", 20, epoch=1, venue="v")) == []
    assert statuses(said(kernel, delta(30, (98.5, 1.0)))) == ["live"]


def test_of_too_many_waiting_deltas_the_oldest_goes() -> None:
    counters = Counters()
    kernel = book_apply(pending=2, counters=counters).kernel()
    said(kernel, *(delta(at, (90.0 + at, 1.0), sequence=at) for at in (5, 6, 7)))
    assert counters["before_snapshot"] == 1
    assert [state.bids for state in said(kernel, snapshot(9, sequence=5))] == [
        ((99.0, 2.0), (98.0, 5.0), (97.0, 1.0), (96.0, 1.0))
    ], "the sixth and the seventh waited, the fifth gave way"


def test_a_thousand_deltas_wait_unless_told_otherwise() -> None:
    counters = Counters()
    kernel = book_apply(counters=counters).kernel()
    said(kernel, *(delta(at, sequence=at) for at in range(1, 1002)))
    assert counters["before_snapshot"] == 1


def test_a_state_that_is_not_live_has_the_depth_that_was_asked_for() -> None:
    kernel = book_apply(depth=1).kernel()
    said(kernel, snapshot(10))
    assert [state.depth for state in said(kernel, about("unsubscribed", 20))] == [1]


def test_a_book_that_was_rejected_while_it_waited_can_be_saved() -> None:
    kernel, resumed = (book_apply(resync=nobody).kernel() for _ in range(2))
    said(kernel, snapshot(10), wrong(20), about("rejected", 30))
    resumed.restore(msgspec.json.decode(msgspec.json.encode(kernel.state())))
    assert resumed.due() is None
