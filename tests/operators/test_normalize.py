"""normalize: frames in, the market's events and the line's story out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec
import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.errors import MalformedFrame
from rtflow.events import (
    Closing,
    Event,
    Frame,
    FrameKind,
    Gap,
    Lost,
    Malformed,
    Opening,
    Quote,
    Stale,
    Status,
    Trade,
)
from rtflow.operators._normalize import normalize
from rtflow.provider import Decoder, Request, Session, Subscription
from rtflow.scheduler import NanoScheduler


class Words:
    """A venue whose frames are words: a price is a trade, "-" bad, "ack" a status, "?" of a type unknown."""

    name = "words"
    kinds: Collection[str] = ("trades",)

    def __init__(self, made: Callable[[Iterator[Event]], Iterable[Event]] = tuple) -> None:
        self.made = made
        self.decoders = 0

    def request(self, subscription: Subscription) -> Request:
        return Request("wss://words")

    def session(self, subscription: Subscription) -> Session:
        raise NotImplementedError

    def decoder(self) -> Decoder:
        self.decoders += 1
        return WordsDecoder(self.made)


class WordsDecoder:
    """Numbers the trades of its connection from 1, so that a decoder that was kept shows."""

    def __init__(self, made: Callable[[Iterator[Event]], Iterable[Event]]) -> None:
        self.made = made
        self.trades = 0
        self.skipped = 0

    def decode(self, frame: Frame) -> Iterable[Event]:
        return self.made(self._words(frame))

    def _words(self, frame: Frame) -> Iterator[Event]:
        for word in frame.payload.decode().split():
            if word == "?":
                self.skipped += 1
            elif word == "-":
                yield Malformed(frame, "a dash", frame.ts_recv)
            elif word == "ack":
                yield Status("subscribed", frame.ts_recv, epoch=frame.epoch, venue="words")
            else:
                self.trades += 1
                yield Trade("A", 0, frame.ts_recv, float(word), 1.0, id=str(self.trades))

    def state(self) -> object:
        return {"trades": self.trades, "skipped": self.skipped}

    def restore(self, state: Any) -> None:
        self.trades, self.skipped = state["trades"], state["skipped"]


def opened(ts: int, epoch: int = 1) -> Frame:
    return Frame(FrameKind.OPEN, b"wss://words", ts, epoch)


def said(ts: int, words: str, epoch: int = 1, kind: FrameKind = FrameKind.TEXT) -> Frame:
    return Frame(kind, words.encode(), ts, epoch)


def closed(ts: int, epoch: int = 1, reason: str = "bye") -> Frame:
    return Frame(FrameKind.CLOSE, msgspec.json.encode(Closing("Disconnected", reason)), ts, epoch)


def takes_over(ts: int, epoch: int, after: int) -> Frame:
    return Frame(FrameKind.OPEN, msgspec.json.encode(Opening("wss://words", after)), ts, epoch)


def let_go(ts: int, epoch: int = 1) -> Frame:
    return Frame(FrameKind.CLOSE, msgspec.json.encode(Closing("", "it has taken over", 1000)), ts, epoch)


def noted(ts: int, what: Status | Lost, epoch: int = 1) -> Frame:
    return Frame(FrameKind.STATUS, msgspec.json.encode(what), ts, epoch)


def events_of(*frames: Frame, counters: Counters | None = None) -> list[Event]:
    kernel = normalize(Words(), counters=counters).kernel()
    return [event for frame in frames for event in kernel.push(frame)]


def trade(ts: int, price: float, number: int) -> Trade:
    return Trade("A", 0, ts, price, 1.0, id=str(number))


def gap(start: int, end: int | None, epoch: int, ts: int, reason: str = "bye") -> Gap:
    return Gap(start, end, epoch, ts, reason, "words")


CUT = "the connection ended without a CLOSE"


def test_a_connection_opens_flows_and_closes() -> None:
    assert events_of(opened(10), said(20, "1.5 1.6"), said(25, "1.7", kind=FrameKind.BINARY), closed(30)) == [
        Status("open", 10, "wss://words", epoch=1, venue="words"),
        trade(20, 1.5, 1),
        trade(20, 1.6, 2),
        trade(25, 1.7, 3),
        Status("closed", 30, "bye", epoch=1, venue="words"),
        gap(25, None, 1, 30),
    ]


def test_the_gap_is_closed_by_the_first_market_event_of_the_next_connection() -> None:
    got = events_of(
        opened(10),
        said(20, "1"),
        closed(30),
        opened(40, 2),
        said(50, "ack", 2),
        said(60, "ack 2 3", 2),
        said(70, "4", 2),
    )
    assert got[5:] == [
        Status("subscribed", 50, epoch=2, venue="words"),
        Status("subscribed", 60, epoch=2, venue="words"),
        gap(20, 60, 1, 60),
        trade(60, 2, 1),
        trade(60, 3, 2),
        trade(70, 4, 3),
    ]


def test_a_gap_starts_at_the_last_data_and_not_at_the_last_frame() -> None:
    assert events_of(opened(10), said(20, "1"), said(25, "ack"), said(26, ""), closed(30))[-1] == gap(
        20, None, 1, 30
    )


def test_where_no_data_ever_came_the_gap_starts_at_the_first_open() -> None:
    got = events_of(opened(10), said(15, "ack"), closed(30), opened(40, 2), closed(45, 2), opened(50, 3))
    assert [event for event in got if isinstance(event, Gap)] == [gap(10, None, 1, 30)]


def test_connections_without_data_in_between_are_one_hole() -> None:
    frames = (
        opened(10),
        said(20, "1"),
        closed(30),
        opened(40, 2),
        closed(45, 2),
        opened(50, 3),
        opened(55, 4),
    )
    got = events_of(*frames, said(60, "2", 4), closed(70, 4))
    assert [event for event in got if isinstance(event, Gap)] == [
        gap(20, None, 1, 30),
        gap(20, 60, 1, 60),
        gap(60, None, 4, 70),
    ]


def test_an_open_without_a_close_before_it_opens_the_gap() -> None:
    got = events_of(opened(10), said(20, "1"), opened(40, 2), said(50, "2", 2))
    assert got[2:] == [
        gap(20, None, 1, 40, CUT),
        Status("open", 40, "wss://words", epoch=2, venue="words"),
        gap(20, 50, 1, 50, CUT),
        trade(50, 2, 1),
    ]


def test_a_frame_of_another_epoch_is_a_new_connection() -> None:
    got = events_of(opened(10), said(20, "1"), said(50, "2", 2), said(60, "3", 2))
    assert got[2:] == [
        gap(20, None, 1, 50, CUT),
        gap(20, 50, 1, 50, CUT),
        trade(50, 2, 1),  # number 1: a fresh decoder read it
        trade(60, 3, 2),
    ]


def test_a_close_of_another_epoch_ends_both_connections_in_one_hole() -> None:
    got = events_of(opened(10), said(20, "1"), closed(50, 2))
    assert got[2:] == [gap(20, None, 1, 50, CUT), Status("closed", 50, "bye", epoch=2, venue="words")]


def test_a_tape_that_begins_in_the_middle_is_read_from_there() -> None:
    assert events_of(said(20, "1", 7), said(21, "2", 7), closed(30, 7)) == [
        trade(20, 1, 1),
        trade(21, 2, 2),
        Status("closed", 30, "bye", epoch=7, venue="words"),
        gap(21, None, 7, 30),
    ]


def test_a_tape_that_begins_with_a_close_has_its_hole_there() -> None:
    assert events_of(closed(30))[-1] == gap(30, None, 1, 30)


def test_a_tape_that_begins_in_the_middle_without_data_has_its_hole_from_its_first_frame() -> None:
    assert events_of(said(20, "ack"), closed(30))[-1] == gap(20, None, 1, 30)


def test_a_http_frame_is_decoded_like_the_rest() -> None:
    got = events_of(opened(10), said(20, "1"), said(25, "2", kind=FrameKind.HTTP), said(30, "3"), closed(40))
    assert got[1:4] == [trade(20, 1, 1), trade(25, 2, 2), trade(30, 3, 3)]


def test_every_open_gets_a_fresh_decoder() -> None:
    venue = Words()
    kernel = normalize(venue).kernel()
    frames = (
        opened(1),
        said(2, "1"),
        closed(3),
        opened(4, 2),
        said(5, "1", 2),
        opened(6, 2),
        said(7, "1", 2),
    )
    got = [event for frame in frames for event in kernel.push(frame)]
    assert [event.id for event in got if isinstance(event, Trade)] == ["1", "1", "1"]
    assert venue.decoders == 3


def test_a_close_without_a_reason_names_its_error() -> None:
    got = events_of(opened(10), closed(30, reason=""))
    assert got[-2:] == [Status("closed", 30, "", venue="words"), gap(10, None, 1, 30, "Disconnected")]


def test_what_a_retry_says_passes_through() -> None:
    waits = Status("retrying", 35, "refused", attempt=2, wait=4.0)
    assert events_of(opened(10, 3), closed(30, 3), noted(35, waits, 3))[-1] == Status(
        "retrying", 35, "refused", epoch=3, venue="words", attempt=2, wait=4.0
    )


def test_what_a_retry_says_neither_opens_nor_closes_anything() -> None:
    waits = Status("retrying", 35, attempt=1, wait=1.0)
    got = events_of(noted(5, waits, 0), opened(10), said(20, "1"), noted(21, waits, 7), said(25, "2"))
    assert not [event for event in got if isinstance(event, Gap)]


def test_a_status_that_names_its_venue_keeps_it() -> None:
    assert events_of(noted(5, Status("venue", 5, venue="elsewhere")))[0] == Status(
        "venue", 5, venue="elsewhere"
    )


def test_frames_lost_in_the_ring_are_a_lost_and_a_closed_gap() -> None:
    lost = Lost("", "", 12, 100, 190, "ring", 200)
    assert events_of(opened(10), said(20, "1"), noted(200, lost))[2:] == [
        lost,
        gap(100, 200, 1, 200, "12 frames lost in the ring"),
    ]


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"type":"Status","state":"\xff"}'])
def test_a_status_frame_that_is_none_is_malformed(payload: bytes) -> None:
    counters = Counters()
    (got,) = events_of(Frame(FrameKind.STATUS, payload, 5), counters=counters)
    assert isinstance(got, Malformed)
    assert got.reason.startswith("neither a Status nor a Lost: ")
    assert counters == {"malformed": 1}


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"error":"\xff"}'])
def test_a_close_that_says_nothing_readable_is_malformed_and_a_close(payload: bytes) -> None:
    bad = Frame(FrameKind.CLOSE, payload, 30)
    got = events_of(opened(10), bad)
    assert isinstance(got[1], Malformed)
    assert (got[1].frame, got[1].ts_recv) == (bad, 30)
    assert got[1].reason.startswith("not a Closing: ")
    assert got[2:] == [Status("closed", 30, venue="words"), gap(10, None, 1, 30, "")]


def test_an_open_with_a_damaged_url_still_opens() -> None:
    (got,) = events_of(Frame(FrameKind.OPEN, b"wss://\xff", 10))
    assert got == Status("open", 10, "wss://�", venue="words")


def test_the_malformed_are_counted_and_their_neighbours_intact() -> None:
    counters = Counters()
    got = events_of(opened(10), said(20, "1 - 2"), said(21, "-"), said(22, "3"), counters=counters)
    assert [type(event) for event in got[1:]] == [Trade, Malformed, Trade, Malformed, Trade]
    assert counters == {"malformed": 2}


def test_the_malformed_end_the_stream_where_that_was_asked() -> None:
    bad = said(20, "1 -")
    kernel = normalize(Words(), malformed="raise").kernel()
    kernel.push(opened(10))
    with pytest.raises(MalformedFrame, match="a dash") as raised:
        kernel.push(bad)
    assert raised.value.frame == bad


def test_messages_of_unknown_types_are_counted_across_connections() -> None:
    counters = Counters()
    frames = (
        opened(10),
        said(20, "?"),
        said(21, "1"),
        said(22, "? 1 ?"),
        opened(30, 2),
        said(40, "? ? 1", 2),
    )
    events_of(*frames, counters=counters)
    assert counters["skipped"] == 5


@pytest.mark.parametrize("made", [tuple, list, iter])
def test_a_decoder_may_give_any_iterable(made: Callable[[Iterator[Event]], Iterable[Event]]) -> None:
    kernel = normalize(Words(made)).kernel()
    got = [event for frame in (opened(10), said(20, "1 2"), said(30, "3")) for event in kernel.push(frame)]
    assert got[1:] == [trade(20, 1, 1), trade(20, 2, 2), trade(30, 3, 3)]


words = st.lists(st.sampled_from(["1", "2.5", "-", "ack", "?"]), max_size=3).map(" ".join)
epochs = st.integers(1, 3)
takeovers = st.builds(Opening, st.just("wss://words"), st.none() | epochs, st.none() | st.integers(0, 2)).map(
    msgspec.json.encode
)
frames = st.lists(
    st.builds(
        Frame,
        st.sampled_from(FrameKind).filter(lambda kind: kind is not FrameKind.STATUS),
        words.map(str.encode),
        st.just(0),
        epochs,
    )
    | st.builds(Frame, st.just(FrameKind.OPEN), takeovers, st.just(0), epochs)
    | epochs.map(lambda epoch: let_go(0, epoch)),
    max_size=12,
).map(lambda some: [msgspec.structs.replace(frame, ts_recv=10 * at) for at, frame in enumerate(some)])


@settings(max_examples=200, deadline=None)
@given(frames, st.data())
def test_cut_anywhere_and_resumed_it_says_and_counts_the_same(
    frames: list[Frame], data: st.DataObject
) -> None:
    counts = [Counters(), Counters(), Counters()]
    whole, resumed, same = (normalize(Words(), counters=each).kernel() for each in counts)
    cut = data.draw(st.integers(0, len(frames)))
    for frame in frames[:cut]:
        whole.push(frame)
    resumed.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    same.restore(whole.state())
    counts[0].clear()
    for frame in frames[cut:]:
        said = whole.push(frame)
        assert resumed.push(frame) == said
        assert same.push(frame) == said
    assert counts[0]["skipped"] == counts[1]["skipped"] == counts[2]["skipped"]
    assert counts[0]["malformed"] == counts[1]["malformed"] == counts[2]["malformed"]


@settings(max_examples=200, deadline=None)
@given(frames)
def test_gaps_open_and_close_in_turn_and_no_market_event_is_inside_one(frames: list[Frame]) -> None:
    frames = [each for each in frames if b"lane" not in each.payload]
    hole: Gap | None = None
    for event in events_of(*frames):
        if isinstance(event, Gap) and event.ts_end is None:
            assert hole is None
            hole = event
        elif isinstance(event, Gap):
            assert hole == msgspec.structs.replace(event, ts_end=None, ts_recv=hole.ts_recv if hole else 0)
            hole = None
        else:
            assert hole is None or not isinstance(event, Trade | Quote)


def test_resumed_in_full_flow_it_counts_on_from_what_was_counted() -> None:
    counters = Counters()
    whole, resumed = normalize(Words()).kernel(), normalize(Words(), counters=counters).kernel()
    for frame in (opened(10), said(20, "1 ? ?")):
        whole.push(frame)
    resumed.restore(whole.state())
    assert list(resumed.push(said(30, "2 ?"))) == [trade(30, 2, 2)]
    assert counters["skipped"] == 1


def test_a_broken_word_about_the_line_is_reported_with_its_frame_and_time() -> None:
    frame = Frame(FrameKind.STATUS, b"{", 20, 1)
    (event,) = events_of(frame)
    assert isinstance(event, Malformed)
    assert (event.frame, event.ts_recv) == (frame, 20)


# The operator, in virtual time


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, opened(10)),
        ReactiveTest.on_next(220, said(20, "1 2")),
        ReactiveTest.on_next(230, closed(30)),
        ReactiveTest.on_completed(240),
    )
    got = scheduler.start(lambda: source.pipe(normalize(Words())))
    assert got.messages == [
        ReactiveTest.on_next(210, Status("open", 10, "wss://words", venue="words")),
        ReactiveTest.on_next(220, trade(20, 1, 1)),
        ReactiveTest.on_next(220, trade(20, 2, 2)),
        ReactiveTest.on_next(230, Status("closed", 30, "bye", venue="words")),
        ReactiveTest.on_next(230, gap(20, None, 1, 30)),
        ReactiveTest.on_completed(240),
    ]


def test_marble_under_the_nano_scheduler() -> None:
    scheduler = NanoScheduler()
    source: reactivex.Subject[Frame] = reactivex.Subject()
    got: list[tuple[int, Event]] = []
    source.pipe(normalize(Words())).subscribe(
        lambda event: got.append((scheduler.now_ns, event)), scheduler=scheduler
    )
    for frame in (opened(10), said(20, "1"), said(21, "2")):
        scheduler.at(frame.ts_recv, lambda frame=frame: source.on_next(frame))  # type: ignore[misc]
    scheduler.run()
    assert got[1:] == [(20, trade(20, 1, 1)), (21, trade(21, 2, 2))]


def test_a_raised_malformed_is_the_streams_error_and_the_source_is_left() -> None:
    source: reactivex.Subject[Frame] = reactivex.Subject()
    errors: list[Exception] = []
    source.pipe(normalize(Words(), malformed="raise")).subscribe(on_error=errors.append)
    source.on_next(opened(10))
    source.on_next(said(20, "-"))
    assert [type(error) for error in errors] == [MalformedFrame]
    assert not source.observers


def test_each_subscription_reads_for_itself() -> None:
    events: Observable[Event] = reactivex.of(opened(10), said(20, "1")).pipe(normalize(Words()))
    for _ in range(2):
        assert events.run() == trade(20, 1, 1)


@pytest.mark.parametrize("provider", [Words, "kraken", None])
def test_what_is_no_provider_cannot_be_normalized(provider: Any) -> None:
    with pytest.raises(TypeError, match=r"normalize\(\) takes a provider, as in normalize\(kraken\), not "):
        normalize(provider)


def test_events_that_have_been_normalized_are_refused_by_name() -> None:
    events: list[Any] = [
        opened(10),
        said(20, "1"),
        said(30, "-"),
        closed(40),
        opened(50, 2),
        said(60, "1", 2),
    ]
    once = [event for frame in events for event in normalize(Words()).kernel().push(frame)]
    assert {type(event) for event in once} >= {Status, Trade}
    refused: list[Any] = [
        *once,
        Gap(1, None, 1, 3),
        Lost("", "", 1, 1, 2, "ring"),
        Columns.of([trade(2, 1, 1)]),
    ]
    for event in refused:
        name = type(event).__name__
        words = rf"^normalize\(\) takes frames, and this is a {name}: one op.normalize is enough$"
        with pytest.raises(TypeError, match=words):
            normalize(Words()).kernel().push(event)


def test_a_second_normalize_ends_the_stream() -> None:
    failed: list[Exception] = []
    again: Any = normalize(Words())
    reactivex.of(opened(10)).pipe(normalize(Words()), again).subscribe(on_error=failed.append)
    assert [type(error) for error in failed] == [TypeError]


def test_another_word_for_what_becomes_of_malformed_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="malformed is 'report' or 'raise', not 'drop'"):
        normalize(Words(), malformed="drop")  # type: ignore[arg-type]


# -- two connections at once -------------------------------------------------------------------------------


def line(state: str, ts: int, epoch: int, text: str = "wss://words") -> Status:
    return Status(state, ts, text, epoch=epoch, venue="words")  # type: ignore[arg-type]  # one of the states


def test_a_bridged_cut_tells_everything_once_and_says_no_gap() -> None:
    assert events_of(
        opened(10),
        takes_over(20, 2, after=1),
        said(30, "1.1"),
        said(31, "ack", 2),
        said(40, "1.2"),
        said(41, "1.1", 2),
        said(42, "1.2 1.3", 2),
        said(43, "1.3"),
        said(50, "1.4", 2),
        let_go(60),
        said(70, "1.5", 2),
    ) == [
        line("open", 10, 1),
        line("bridging", 20, 2),
        trade(30, 1.1, 1),
        Status("subscribed", 31, epoch=2, venue="words"),
        trade(40, 1.2, 2),
        trade(43, 1.3, 3),
        line("bridged", 60, 2, "it has taken over"),
        trade(50, 1.4, 4),
        trade(70, 1.5, 5),
    ]


def test_a_new_connection_that_lags_repeats_nothing_for_a_while() -> None:
    said_twice = events_of(
        opened(10),
        takes_over(20, 2, after=1),
        said(30, "1.1 1.2"),
        let_go(40),
        said(50, "1.1 1.2 1.3", 2),
        said(20_000_000_000, "1.4", 2),
        said(20_000_000_001, "1.5", 2),
    )
    assert [event.price for event in said_twice if isinstance(event, Trade)] == [1.1, 1.2, 1.3, 1.4, 1.5]


def test_a_successor_that_is_lost_leaves_no_trace() -> None:
    counters = Counters()
    assert events_of(
        opened(10),
        takes_over(20, 2, after=1),
        said(21, "1.1 ? -", 2),
        closed(30, 2, "refused"),
        said(40, "1.1"),
        takes_over(50, 3, after=1),
        said(60, "1.1 1.2", 3),
        let_go(70),
        counters=counters,
    ) == [
        line("open", 10, 1),
        line("bridging", 20, 2),
        Malformed(said(21, "1.1 ? -", 2), "a dash", 21),
        line("unbridged", 30, 2, "refused"),
        trade(40, 1.1, 1),
        line("bridging", 50, 3),
        line("bridged", 70, 3, "it has taken over"),
        trade(60, 1.1, 1),
        trade(60, 1.2, 2),
    ]
    assert (counters["skipped"], counters["malformed"]) == (1, 1)


def test_an_old_connection_that_fails_is_a_gap_which_its_successor_closes() -> None:
    assert events_of(
        opened(10),
        said(20, "1.1"),
        takes_over(30, 2, after=1),
        said(40, "1.1 1.2", 2),
        closed(50),
        said(60, "1.3", 2),
    ) == [
        line("open", 10, 1),
        trade(20, 1.1, 1),
        line("bridging", 30, 2),
        line("closed", 50, 1, "bye"),
        gap(20, None, 1, 50),
        line("open", 50, 2),
        gap(20, 50, 1, 50),
        trade(40, 1.1, 1),
        trade(40, 1.2, 2),
        trade(60, 1.3, 3),
    ]


def test_a_tape_that_begins_where_a_connection_takes_over_is_read_from_there() -> None:
    assert events_of(takes_over(10, 2, after=1), said(20, "1.1", 2)) == [
        line("open", 10, 2),
        trade(20, 1.1, 1),
    ]


@pytest.mark.parametrize("payload", [b"{", b'{"after":1}', b'{"url":"\xff","after":1}'])
def test_an_opening_that_cannot_be_read_is_an_open_like_any_other(payload: bytes) -> None:
    events = events_of(opened(10), said(20, "1.1"), Frame(FrameKind.OPEN, payload, 30, 2))
    assert events[-2:] == [gap(20, None, 1, 30, CUT), line("open", 30, 2, payload.decode(errors="replace"))]


def test_a_hole_that_was_open_when_a_bridge_began_is_closed_by_either() -> None:
    whole = events_of(
        opened(10),
        said(20, "1.1"),
        closed(30),
        opened(40, 2),
        takes_over(50, 3, after=2),
        said(60, "1.1", 3),
        let_go(70, 2),
    )
    assert whole[-3:] == [line("bridged", 70, 3, "it has taken over"), gap(20, 70, 1, 70), trade(60, 1.1, 1)]


# -- several connections that share what is wanted ---------------------------------------------------------


def joins(ts: int, epoch: int, lane: int, after: int | None = None) -> Frame:
    return Frame(FrameKind.OPEN, msgspec.json.encode(Opening("wss://words", after, lane)), ts, epoch)


def parts(ts: int, epoch: int, *symbols: str, error: str = "Disconnected") -> Frame:
    code = 1006 if error else 1000
    return Frame(FrameKind.CLOSE, msgspec.json.encode(Closing(error, "bye", code, symbols)), ts, epoch)


SHARED = [
    joins(10, 1, lane=0),
    joins(11, 2, lane=1),
    said(20, "1.1", 1),
    said(21, "2.1", 2),
    parts(30, 2, "B", "C"),
    said(40, "1.2", 1),
    joins(50, 3, lane=1),
    said(60, "1.3", 1),
    said(61, "2.2", 3),
    joins(70, 4, lane=1, after=3),
    said(80, "2.3", 4),
    said(81, "1.4", 1),
    parts(90, 3, "B", "C", error=""),
    said(91, "2.4", 4),
    joins(92, 5, lane=0, after=1),
    parts(93, 1, "A"),
    said(94, "1.5", 5),
    parts(95, 4, "B", "C", error=""),
]


def test_of_several_connections_each_has_its_own_gaps_and_its_own_bridges() -> None:
    first, again = trade(20, 1.1, 1), [trade(40, 1.2, 2), trade(60, 1.3, 3)]
    hole = Gap(21, None, 2, 30, "bye", "words", ("B", "C"))
    other = Gap(81, None, 1, 93, "bye", "words", ("A",))
    assert events_of(*SHARED) == [
        line("joined", 10, 1),
        line("joined", 11, 2),
        first,
        trade(21, 2.1, 1),
        line("parted", 30, 2, "bye"),
        hole,
        again[0],
        line("joined", 50, 3),
        again[1],
        msgspec.structs.replace(hole, ts_end=61, ts_recv=61),
        trade(61, 2.2, 1),
        line("bridging", 70, 4),
        trade(81, 1.4, 4),
        line("bridged", 90, 4, "bye"),
        trade(80, 2.3, 1),
        trade(91, 2.4, 2),
        line("bridging", 92, 5),
        line("parted", 93, 1, "bye"),
        other,
        line("joined", 93, 5),
        msgspec.structs.replace(other, ts_end=94, ts_recv=94),
        trade(94, 1.5, 1),
        line("parted", 95, 4, "bye"),
    ]


@pytest.mark.parametrize("cut", range(len(SHARED) + 1))
def test_cut_anywhere_among_several_connections_and_resumed_it_says_the_same(cut: int) -> None:
    whole, resumed = normalize(Words()).kernel(), normalize(Words()).kernel()
    for frame in SHARED[:cut]:
        whole.push(frame)
    resumed.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    for frame in SHARED[cut:]:
        assert resumed.push(frame) == whole.push(frame)


def test_what_came_while_a_bridge_was_open_is_resumed_with_it() -> None:
    frames = [opened(10), takes_over(20, 2, after=1), said(30, "1.1"), said(31, "1.1 1.2", 2)]
    whole, resumed = normalize(Words()).kernel(), normalize(Words()).kernel()
    for frame in frames:
        whole.push(frame)
    resumed.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    for frame in (let_go(40), said(50, "1.3", 2)):
        assert resumed.push(frame) == whole.push(frame)
    assert list(whole.push(said(60, "1.4", 2))) == [trade(60, 1.4, 4)]


def test_the_last_of_several_connections_that_is_lost_is_closed() -> None:
    both = [joins(10, 1, lane=0), joins(11, 2, lane=1)]
    for first, last in ((1, "A"), (2, "B")), ((2, "B"), (1, "A")):
        states = [
            (each.state, each.epoch)
            for each in events_of(*both, parts(20, *first), parts(30, *last))
            if isinstance(each, Status)
        ]
        assert states[2:] == [("parted", first[0]), ("closed", last[0])]


def test_one_connection_for_everything_ends_several_that_never_closed() -> None:
    *_, last = events_of(joins(10, 1, lane=0), joins(11, 2, lane=1), said(20, "2.1", 2), opened(30, 3))
    assert last == line("open", 30, 3)
    lost, *_ = events_of(joins(11, 2, lane=1), said(20, "2.1", 2), opened(30, 3), said(40, "1", 3))[2:]
    assert lost == gap(30, None, 2, 30, "the connection ended without a CLOSE")


def leaves(ts: int, epoch: int, *left: str, error: str = "") -> Frame:
    code = 1006 if error else 1000
    told = Closing(error, "bye", code, ("Z",), tuple(("books", symbol) for symbol in left))
    return Frame(FrameKind.CLOSE, msgspec.json.encode(told), ts, epoch)


def farewells(*frames: Frame) -> list[tuple[str, str, int]]:
    return [
        (each.kind, each.symbol, each.epoch)
        for each in events_of(*frames)
        if isinstance(each, Status) and each.text == "it was not wanted any more"
    ]


@pytest.mark.parametrize("error", ["", "Disconnected"])
def test_what_a_connection_was_to_leave_and_nobody_said_it_had_is_unsubscribed_at_its_end(error: str) -> None:
    def told(state: Any, symbol: str) -> Frame:
        return noted(15, Status(state, 15, symbol=symbol, kind="books"))

    words = [
        told("unsubscribed", "B"),
        told("rejected", "C"),
        told("unsubscribed", "D"),
        told("subscribed", "D"),
    ]
    end = leaves(20, 1, "A", "B", "C", "D", error=error)
    left = [("books", "A", 1), ("books", "D", 1)]
    assert farewells(opened(10), *words, end) == left
    bridged = [opened(10), *words, takes_over(18, 2, after=1), said(19, "1.1", 2), end]
    assert farewells(*bridged) == left
    assert farewells(*bridged, leaves(30, 2, "A", "E")) == [*left, ("books", "E", 2)]
    whole, resumed = normalize(Words()).kernel(), normalize(Words()).kernel()
    for frame in bridged[:-1]:
        whole.push(frame)
    resumed.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    assert resumed.push(end) == whole.push(end)


def test_what_is_neither_the_markets_nor_the_lines_passes_as_it_is() -> None:
    stale = Stale(20, 1.0)
    kernel = normalize(Words(lambda words: [stale])).kernel()
    assert [*kernel.push(opened(10)), *kernel.push(said(20, "1.1"))] == [line("open", 10, 1), stale]
