"""One subscription, one connection: what goes over the wire, what comes down the line, what is left."""

from __future__ import annotations

import base64
import hashlib
import queue
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websocket
from reactivex import abc
from reactivex import operators as ops
from reactivex.disposable import SerialDisposable

from rtflow import transport
from rtflow.counters import Counters
from rtflow.errors import Disconnected, FeedError, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import Closing, Frame, FrameKind, Lost, Status
from rtflow.provider import (
    Answer,
    Decoder,
    Fetch,
    Refused,
    Request,
    Send,
    Session,
    Subscription,
    Traffic,
    check_kinds,
)
from rtflow.rfc6455 import Opcode, closing
from rtflow.scheduler import Line
from rtflow.transport import Feed, Socket, connect
from tests.watching import SOON

BOUND = 5.0  # seconds that a test waits for another thread before it fails


# -- the venue: a provider, and the other end of its sockets -------------------------------------------------


class Talk(Session):
    """Does what it is told: ``!`` begins a control message, ``~`` a heartbeat, all else is data."""

    def __init__(self, venue: Venue, subscription: Subscription) -> None:
        self.venue = venue
        self.subscription = subscription

    def started(self, now: int) -> None:
        self.venue.started.append(now)

    def opened(self) -> Iterable[Send]:
        yield f"want {spelled(self.subscription)}"
        yield from self.venue.opening

    def classify(self, payload: bytes) -> Traffic:
        return {b"!": Traffic.CONTROL, b"~": Traffic.HEARTBEAT}.get(payload[:1], Traffic.DATA)

    def received(self, frame: Frame) -> Iterable[Answer]:
        if frame.kind is FrameKind.HTTP:
            label, body = Fetch.document(frame.payload)
            yield f"got {label}: {body.decode()}"
            return
        verb, _, rest = frame.payload.decode()[1:].partition(" ")
        if verb == "say":
            yield rest
        elif verb == "fetch":
            label, _, url = rest.partition(" ")
            yield Fetch(label, url or "http://fake.example/doc", {"X-Key": "secret"})
        elif verb in ("refuse", "deny"):
            yield Refused((("trades", rest),), "no such symbol", told=verb == "refuse")
        elif verb == "throttle":
            yield Throttled(rest, retry_after=3.0)
        elif verb == "reject":
            yield Rejected(rest, code=402)
        else:
            raise ZeroDivisionError(rest)

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        yield f"+{spelled(added)} -{spelled(removed)}"

    def resync(self, symbol: str) -> Iterable[Send]:
        yield f"resync {symbol}"

    def due(self) -> int | None:
        self.venue.asked += 1
        return self.venue.due

    def unfetched(self, fetch: Fetch, error: RtflowError, now: int) -> Iterable[Answer]:
        yield f"no {fetch.label}: {type(error).__name__}"
        if fetch.label == "must":
            yield error
        elif fetch.label == "optional":
            yield Refused((("trades", "A"),), "no document")

    def wake(self, now: int) -> Iterable[Send | RtflowError]:
        assert self.venue.due is not None
        self.venue.due = self.venue.next_due
        yield f"beat {now}"

    def closed(self, code: int, reason: str) -> RtflowError:
        return Disconnected(f"{code} {reason}", code=code, announced=code == 1000)


def spelled(subscription: Subscription) -> str:
    return ",".join(f"{kind}:{symbol}" for kind, symbol in sorted(subscription.topics))


class Peer:
    """The venue's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(BOUND)

    def send(self, *payloads: str | bytes) -> None:
        """Messages, all in one write: ``str`` as text, ``bytes`` as binary."""
        self.sock.sendall(b"".join(map(message, payloads)))

    def raw(self, opcode: int, payload: bytes = b"") -> None:
        self.sock.sendall(framed(opcode, payload))

    def hears(self) -> tuple[Opcode, bytes]:
        """The next frame from the client, unmasked."""
        first, second = self._exactly(2)
        assert first & 0x80
        assert second & 0x80, "a client masks its frames"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        mask = self._exactly(4)
        payload = self._exactly(size)
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return Opcode(first & 15), (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")

    def hears_text(self) -> str:
        opcode, payload = self.hears()
        assert opcode is Opcode.TEXT
        return payload.decode()

    def hears_the_end(self) -> int:
        """The code of the client's close frame, after which nothing may come."""
        opcode, payload = self.hears()
        assert opcode is Opcode.CLOSE
        assert self.sock.recv(1) == b""
        return closing(payload)[0]

    def close(self) -> None:
        self.sock.close()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            assert chunk, "the client hung up"
            data += chunk
        return bytes(data)


def message(payload: str | bytes) -> bytes:
    return (
        framed(Opcode.TEXT, payload.encode()) if isinstance(payload, str) else framed(Opcode.BINARY, payload)
    )


def framed(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)
    return bytes([0x80 | opcode]) + length + payload


class Venue:
    """A provider whose connections are pairs of sockets, one end of which the test holds."""

    name = "fake"
    kinds = ("trades", "books", "quotes")

    def __init__(self) -> None:
        self.url = "ws://user:secret@fake.example:9/v1?key=secret"
        self.headers: dict[str, str] = {}
        self.certificate, self.verified = "", True
        self.opening: list[Send] = []
        self.started: list[int] = []
        self.due: int | None = None
        self.next_due: int | None = None
        self.asked = 0  # how often the reader looked for the time of the next beat
        self.made: list[Peer] = []
        self._peers = queue.Queue[Peer]()

    def request(self, subscription: Subscription) -> Request:
        check_kinds(self, subscription)
        return Request(self.url, self.headers, "c=1", self.certificate, self.verified)

    def session(self, subscription: Subscription) -> Session:
        return Talk(self, subscription)

    def decoder(self) -> Decoder:
        raise AssertionError("the transport does not decode")

    def open(self, request: Request, timeout: float) -> Socket:
        ours, theirs = socket.socketpair()
        peer = Peer(theirs)
        self.made.append(peer)
        self._peers.put(peer)
        return ours

    def peer(self, greeting: bool = True) -> Peer:
        """The venue's end of the next connection, with the session's greeting heard."""
        peer = self._peers.get(timeout=BOUND)
        if greeting:
            assert peer.hears_text().startswith("want ")
        return peer


class Clock:
    """A clock that a test turns by hand."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Got(abc.ObserverBase[Frame]):
    """A subscriber that remembers, and lets a test wait for what it got."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.errors: list[Exception] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def on_next(self, frame: Frame) -> None:
        self._note(partial(self.frames.append, frame))

    def on_error(self, error: Exception) -> None:
        self._note(partial(self.errors.append, error))

    def on_completed(self) -> None:
        raise AssertionError("a live feed never completes")

    def until(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, BOUND), (self.frames, self.errors)

    def wait(self, *payloads: str | bytes) -> None:
        """Until these are the venue's messages so far."""
        expected = [each.encode() if isinstance(each, str) else each for each in payloads]
        self.until(lambda: len(self.payloads) >= len(expected))
        assert self.payloads == expected

    def until_there_are(self, count: int) -> None:
        """Until the venue's messages so far are so many."""
        self.until(lambda: len(self.payloads) == count)

    def error(self) -> Exception:
        self.until(lambda: self.errors)
        (error,) = self.errors
        return error

    @property
    def payloads(self) -> list[bytes]:
        return [frame.payload for frame in self.frames if frame.kind in (FrameKind.TEXT, FrameKind.BINARY)]

    @property
    def kinds(self) -> list[str]:
        return [frame.kind.value for frame in self.frames]

    @property
    def closing(self) -> Closing:
        assert self.frames[-1].kind is FrameKind.CLOSE
        return msgspec.json.decode(self.frames[-1].payload, type=Closing)

    def _note(self, remember: Callable[[], None]) -> None:
        with self._changed:
            self.threads.add(threading.current_thread().name)
            remember()
            self._changed.notify_all()


@pytest.fixture
def venue() -> Iterator[Venue]:
    venue = Venue()
    yield venue
    until_no_thread_is_left()  # as one may be making a connection still
    for peer in venue.made:
        peer.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(venue: Venue, clock: Clock) -> Feed:
    return connect(venue, trades=["A"], clock=clock, open_socket=venue.open)


@pytest.fixture
def got() -> Got:
    return Got()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until_no_thread_is_left()


def until_no_thread_is_left() -> None:
    deadline = time.monotonic() + BOUND
    while left := our_threads():
        assert time.monotonic() < deadline, left
        left[0].join(0.01)


def our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("rtflow")]


def until_nobody_is_opening() -> None:
    """Who opened a connection is on its way out still when the first frames come."""
    for thread in our_threads():
        if thread.name == "rtflow-opening":
            thread.join(BOUND)


# -- a connection's life -------------------------------------------------------------------------------------


def test_a_connection_opens_with_open_and_its_frames_follow(
    venue: Venue, feed: Feed, clock: Clock, got: Got
) -> None:
    assert feed.epoch == 0
    with feed.subscribe(got):
        peer = venue.peer()
        clock.now = 2_000
        peer.send("one", b"\xff\x00", "two")
        got.wait("one", b"\xff\x00", "two")
    assert got.frames == [
        Frame(FrameKind.OPEN, b"ws://fake.example:9/v1", 1_000, 1),
        Frame(FrameKind.TEXT, b"one", 2_000, 1),
        Frame(FrameKind.BINARY, b"\xff\x00", 2_000, 1),
        Frame(FrameKind.TEXT, b"two", 2_000, 1),
    ]
    assert venue.started == [1_000]
    assert feed.counters["received"] == 3
    assert got.threads == {"rtflow-line"}


def test_nothing_is_opened_before_somebody_subscribes(venue: Venue, feed: Feed) -> None:
    assert not venue.made
    assert not our_threads()


def test_the_session_speaks_first_in_text_and_binary(venue: Venue, feed: Feed, got: Got) -> None:
    venue.opening = ["héllo", b"\x00\x01", "x" * 70_000]
    with feed.subscribe(got):
        peer = venue.peer(greeting=False)
        assert peer.hears() == (Opcode.TEXT, b"want trades:A")
        assert peer.hears() == (Opcode.TEXT, "héllo".encode())
        assert peer.hears() == (Opcode.BINARY, b"\x00\x01")
        assert peer.hears() == (Opcode.TEXT, b"x" * 70_000)


def test_each_frame_is_masked_anew(
    venue: Venue, feed: Feed, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = list[int]()

    def urandom(size: int) -> bytes:
        masks.append(size)
        return bytes(size)

    monkeypatch.setattr("rtflow.transport.os.urandom", urandom)
    venue.opening = ["again"]
    with feed.subscribe(got):
        assert venue.peer().hears_text() == "again"
    assert masks == [4, 4, 4]  # the goodbye has one too


def test_a_ping_is_answered_and_a_pong_ignored(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.subscribe(got):
        peer = venue.peer()
        peer.raw(Opcode.PONG, b"?")
        peer.raw(Opcode.PING, b"still there")
        assert peer.hears() == (Opcode.PONG, b"still there")
        peer.send("and on")
        got.wait("and on")


def test_a_close_frame_is_echoed_and_told_and_the_error_comes_after_it(
    venue: Venue, feed: Feed, clock: Clock, got: Got
) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    clock.now = 3_000
    peer.sock.sendall(message("last") + framed(Opcode.CLOSE, b"\x03\xe8so long"))
    error = got.error()
    assert type(error) is Disconnected
    assert (error.code, error.announced) == (1000, True)
    assert got.kinds == ["open", "text", "close"]
    assert got.frames[-1].ts_recv == 3_000
    assert got.closing == Closing("Disconnected", "1000 so long", 1000)
    assert got.threads == {"rtflow-line"}
    assert peer.hears_the_end() == 1000


def test_a_close_frame_without_a_code_is_1005(venue: Venue, feed: Feed, got: Got) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    peer.raw(Opcode.CLOSE)
    got.error()
    assert got.closing.code == 1005
    assert peer.hears_the_end() == 1005


def test_a_line_that_just_ends_is_1006(venue: Venue, feed: Feed, got: Got) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    peer.send("one")
    peer.close()
    assert str(got.error()) == "1006 the line ended without a close frame"
    assert got.kinds == ["open", "text", "close"]
    assert got.closing.code == 1006


def test_a_venue_that_only_stopped_sending_still_hears_our_goodbye(
    venue: Venue, feed: Feed, got: Got
) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    peer.sock.shutdown(socket.SHUT_WR)
    got.error()
    assert peer.hears_the_end() == 1000


def test_a_violation_ends_it_with_its_code_and_keeps_what_came_before(
    venue: Venue, feed: Feed, got: Got
) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    peer.sock.sendall(message("good") + framed(Opcode.TEXT, b"\xff"))
    error = got.error()
    assert isinstance(error, Disconnected)
    assert (error.code, error.announced) == (1007, False)
    assert str(error) == "fake broke the WebSocket protocol: a text message that is not UTF-8"
    assert got.payloads == [b"good"]
    assert got.closing == Closing("Disconnected", str(error), 1007)
    assert peer.hears_the_end() == 1007


def test_each_subscription_is_a_new_connection_and_epochs_count_them(venue: Venue, feed: Feed) -> None:
    for epoch in (1, 2, 3):
        got = Got()
        feed.subscribe(got)
        venue.peer().close()
        got.error()
        assert [frame.epoch for frame in got.frames] == [epoch, epoch]
        assert feed.epoch == epoch


def test_a_failed_attempt_has_no_frames_and_no_epoch(venue: Venue, got: Got) -> None:
    def refuse(request: Request, timeout: float) -> Socket:
        raise ConnectionRefusedError

    feed = connect(venue, trades=["A"], open_socket=refuse)
    feed.subscribe(got)
    assert isinstance(got.error(), Disconnected)
    assert got.frames == []
    assert got.threads == {"rtflow-line"}
    assert feed.epoch == 0


def test_a_second_subscription_is_pointed_to_broadcast(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.subscribe(got):
        with pytest.raises(RuntimeError, match=r"op\.broadcast\(\)"):
            feed.subscribe(lambda _: None)
        venue.peer().send("still here")
        got.wait("still here")
    with feed.subscribe(Got()):
        venue.peer()


def test_stamps_never_go_back(venue: Venue, feed: Feed, clock: Clock, got: Got) -> None:
    with feed.subscribe(got):
        peer = venue.peer()
        for turn, now in enumerate((5_000, 4_000, 6_000), 1):
            clock.now = now
            peer.send(str(now))
            got.until_there_are(turn)
    assert [frame.ts_recv for frame in got.frames] == [1_000, 5_000, 5_000, 6_000]


def test_timers_due_before_a_frame_run_before_it_with_their_own_time(
    venue: Venue, feed: Feed, clock: Clock, got: Got
) -> None:
    order = list[tuple[str, int]]()

    def arm(frame: Frame) -> None:
        order.append((frame.kind.value, feed.line.now_ns))
        if frame.kind is FrameKind.OPEN:
            feed.line.at(1_500, lambda: order.append(("timer", feed.line.now_ns)))
            feed.line.at(2_000, lambda: order.append(("timer", feed.line.now_ns)))

    with feed.pipe(ops.do_action(arm)).subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)
        clock.now = 2_000
        peer.send("data of the instant goes first")
        got.until_there_are(1)
        clock.now = 2_001
        peer.send("and on")
        got.until_there_are(2)
    assert order == [("open", 1_000), ("timer", 1_500), ("text", 2_000), ("timer", 2_000), ("text", 2_001)]


def test_two_feeds_may_share_a_line(venue: Venue, clock: Clock, got: Got) -> None:
    line = Line(clock=clock)
    one, two = (connect(venue, trades=[s], line=line, open_socket=venue.open) for s in "AB")
    with one.subscribe(got):
        peer = venue.peer()
        with two.subscribe(got):
            other = venue.peer()
            for turn in range(3):
                clock.now += 1
                peer.send(f"1 {turn}")
                got.until_there_are(2 * turn + 1)
                clock.now += 1
                other.send(f"2 {turn}")
                got.until_there_are(2 * turn + 2)
        peer.send("the other has left")
        got.until_there_are(7)
    assert one.line is two.line is line
    assert got.threads == {"rtflow-line"}


# -- what the session makes of it ----------------------------------------------------------------------------


def test_a_control_frame_is_answered_and_delivered_in_its_place(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("a", "!say b", "c", "~", "!say d")
        assert peer.hears_text() == "b"
        assert peer.hears_text() == "d"
        got.wait("a", "!say b", "c", "~", "!say d")


@pytest.mark.parametrize(
    ("order", "expected"), [("!throttle slow down", Throttled), ("!reject bad key", Rejected)]
)
def test_an_error_from_the_session_ends_the_connection_with_it(
    venue: Venue, feed: Feed, got: Got, order: str, expected: type[Exception]
) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    peer.send("before", order, "read together")
    error = got.error()
    assert type(error) is expected
    assert got.payloads == [b"before", order.encode(), b"read together"]
    assert got.closing == Closing(expected.__name__, order.partition(" ")[2], 1006)
    assert peer.hears_the_end() == 1000


def test_a_bug_in_a_session_comes_out_as_it_is(venue: Venue, feed: Feed, got: Got) -> None:
    feed.subscribe(got)
    venue.peer().send("before", "!bug oops")
    assert isinstance(got.error(), ZeroDivisionError)
    assert got.payloads == [b"before", b"!bug oops"]
    assert got.closing == Closing("ZeroDivisionError", "oops")


def test_a_bug_in_a_provider_comes_out_as_it_is(venue: Venue, feed: Feed, got: Got) -> None:
    def request(subscription: Subscription) -> Request:
        raise Unsupported("not in this combination")

    venue.request = request  # type: ignore[method-assign]
    feed.subscribe(got)
    assert isinstance(got.error(), Unsupported)
    assert got.frames == []


def test_delivered_for_counts_from_the_first_data_to_the_last(
    venue: Venue, feed: Feed, clock: Clock, got: Got
) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    sent = list[str]()
    for seconds, payload in [(1, "~"), (2, "!say x"), (10, "data"), (25, "data"), (90, "~")]:
        clock.now = seconds * 1_000_000_000
        peer.send(payload)
        sent.append(payload)
        got.wait(*sent)
    peer.close()
    error = got.error()
    assert isinstance(error, FeedError)
    assert error.delivered_for == 15.0


def test_a_connection_without_data_delivered_for_no_time(venue: Venue, feed: Feed, got: Got) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    peer.send("~", "!say x")
    peer.close()
    error = got.error()
    assert isinstance(error, FeedError)
    assert error.delivered_for == 0.0


def test_a_beat_is_sent_when_it_is_due_by_the_feeds_clock(
    venue: Venue, feed: Feed, clock: Clock, got: Got
) -> None:
    venue.due, venue.next_due = 10**18, 10**18
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("not yet")
        got.wait("not yet")
        clock.now = 10**18
        peer.send("now")
        assert peer.hears_text() == f"beat {10**18}"


def test_a_beat_needs_no_traffic(venue: Venue, got: Got) -> None:
    feed = connect(venue, trades=["A"], open_socket=venue.open)
    venue.due = due = time.time_ns() + 30_000_000
    with feed.subscribe(got):
        beat = venue.peer().hears_text()
    assert int(beat.removeprefix("beat ")) >= due


def test_a_reader_without_work_sleeps(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("x")
        got.wait("x")
        time.sleep(0.05)
        asked = venue.asked
        time.sleep(0.1)
        assert venue.asked == asked


# -- what is wanted ------------------------------------------------------------------------------------------


def test_connect_and_add_refuse_what_the_venue_has_not(venue: Venue, feed: Feed) -> None:
    with pytest.raises(Unsupported, match="fake has no 'bars'"):
        connect(venue, bars=["A"])
    with pytest.raises(Unsupported, match="fake has no 'news'"):
        connect(venue, news=["A"])
    with pytest.raises(Unsupported, match="fake has no 'bars'"):
        feed.add(bars=["A"], trades=["B"])
    assert feed.wanted == Subscription.of(trades=["A"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"capacity": 0}, "capacity must be 1 or more, not 0"),
        ({"timeout": -1.0}, "timeout must be more than 0 seconds, not -1.0"),
        ({"keepalive": 0.0}, "keepalive must be more than 0 seconds, not 0.0"),
        ({"timeout": float("nan")}, "timeout must be more than 0 seconds, not nan"),
    ],
)
def test_options_of_nothing_are_refused(venue: Venue, options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        connect(venue, trades=["A"], **options)


@pytest.mark.parametrize("provider", [Venue, "kraken", None])
def test_what_is_no_provider_is_refused(provider: Any) -> None:
    with pytest.raises(TypeError, match=r"connect\(\) takes a provider, as in connect\(Kraken\(\), …\)"):
        connect(provider, trades=["A"])


def test_changes_before_the_connection_are_in_its_first_request(venue: Venue, feed: Feed, got: Got) -> None:
    feed.add(books=["B"], trades="C")
    feed.remove(trades=["A"])
    assert feed.wanted == Subscription.of(books=["B"], trades=["C"])
    with feed.subscribe(got):
        assert venue.peer(greeting=False).hears_text() == "want books:B,trades:C"


def test_changes_while_connected_are_told_as_a_difference(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.subscribe(got):
        peer = venue.peer()
        feed.add(trades=["B", "A"])
        assert peer.hears_text() == "+trades:B -"
        feed.remove(trades=["A"])
        assert peer.hears_text() == "+ -trades:A"
        feed.remove(trades=["never wanted"])
        feed.add(quotes=["Q"])
        assert peer.hears_text() == "+quotes:Q -"


def test_changes_while_it_is_busy_collapse_into_one(venue: Venue, feed: Feed, got: Got) -> None:
    going, go = threading.Event(), threading.Event()

    def slow(payload: bytes) -> Traffic:
        going.set()
        assert go.wait(BOUND)
        return Traffic.DATA

    session = Talk(venue, feed.wanted)
    session.classify = slow  # type: ignore[method-assign]
    venue.session = lambda subscription: session  # type: ignore[method-assign]
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("x")
        assert going.wait(BOUND)
        for turn in range(2_000):  # more nudges than the pipe holds
            feed.add(trades=[f"B{turn}"])
            feed.remove(trades=[f"B{turn}"])
        feed.add(trades=["B"])
        feed.add(trades=["C"])
        feed.remove(trades=["B", "A"])
        feed.add(trades=["A"])
        go.set()
        assert peer.hears_text() == "+trades:C -"
        feed.add(trades=["B"])
        feed.remove(trades=["B"])
        feed.add(trades=["D"])
        told = ""
        while "D" not in told:
            told = peer.hears_text()


def test_changes_while_connecting_are_told_after_the_first_request(venue: Venue, got: Got) -> None:
    going, go = threading.Event(), threading.Event()

    def slowly(request: Request, timeout: float) -> Socket:
        going.set()
        assert go.wait(BOUND)
        return venue.open(request, timeout)

    feed = connect(venue, trades=["A"], open_socket=slowly)
    with feed.subscribe(got):
        assert going.wait(BOUND)
        feed.add(books=["B"])
        feed.resync("A")  # there is no connection yet: nothing to ask of, nothing to end
        feed.reconnect()
        go.set()
        peer = venue.peer(greeting=False)
        assert peer.hears_text() == "want trades:A"
        assert peer.hears_text() == "+books:B -"
        peer.send("on")
        got.wait("on")


def test_what_is_wanted_survives_the_connection(venue: Venue, feed: Feed, got: Got) -> None:
    feed.subscribe(got)
    peer = venue.peer()
    feed.add(books=["B"])
    assert peer.hears_text() == "+books:B -"
    peer.close()
    got.error()
    feed.remove(trades=["A"])
    with feed.subscribe(Got()):
        assert venue.peer(greeting=False).hears_text() == "want books:B"


def test_refused_topics_leave_what_is_wanted_and_the_venue_is_not_told_so(
    venue: Venue, feed: Feed, got: Got
) -> None:
    feed.add(trades=["XXX"])
    seen = list[Subscription]()
    with feed.pipe(ops.do_action(lambda _: seen.append(feed.wanted))).subscribe(got):
        peer = venue.peer()
        peer.send("!refuse XXX")
        got.wait("!refuse XXX")
        assert feed.wanted == seen[-1] == Subscription.of(trades=["A"])
        feed.add(trades=["B"])
        assert peer.hears_text() == "+trades:B -"
        feed.add(trades=["XXX"])  # whoever insists is told on
        assert peer.hears_text() == "+trades:XXX -"


def test_a_refusal_that_names_nobody_is_said_in_the_stream_behind_its_frame(
    venue: Venue, feed: Feed, got: Got
) -> None:
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("!refuse A", "!deny A", "after")
        got.wait("!refuse A", "!deny A", "after")
        got.until(lambda: FrameKind.STATUS.value in got.kinds)
    frames = [each for each in got.frames if each.kind in (FrameKind.TEXT, FrameKind.STATUS)]
    payloads = [each.payload for each in frames if each.kind is FrameKind.TEXT]
    [said] = [each for each in frames if each.kind is FrameKind.STATUS]
    assert payloads == [b"!refuse A", b"!deny A", b"after"]
    status = msgspec.json.decode(said.payload, type=Status)
    assert (status.state, status.kind, status.symbol) == ("rejected", "trades", "A")
    assert (status.text, status.ts_recv, said.epoch) == ("no such symbol", said.ts_recv, 1)


def test_resync_asks_the_venue_and_only_while_there_is_one(venue: Venue, feed: Feed, got: Got) -> None:
    feed.resync("A")
    with feed.subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)
        feed.resync("B")
        feed.resync("C")
        assert [peer.hears_text(), peer.hears_text()] == ["resync B", "resync C"]
    feed.resync("D")


def test_reconnect_ends_this_connection_so_that_a_retry_makes_another(
    venue: Venue, feed: Feed, got: Got
) -> None:
    feed.reconnect()
    with feed.pipe(ops.retry(2)).subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)
        feed.reconnect()
        assert peer.hears_the_end() == 1000
        venue.peer().send("again")
        got.wait("again")
        assert got.kinds == ["open", "close", "open", "text"]
        told = msgspec.json.decode(got.frames[1].payload, type=Closing)
        assert told == Closing("Disconnected", "reconnect asked for", 1000)


def test_what_is_removed_while_nothing_is_connected_is_said_before_the_next_connection_opens(
    venue: Venue, feed: Feed, got: Got
) -> None:
    feed.add(trades=["B", "C"])
    with feed.subscribe(got):
        venue.peer().close()
        got.error()
    feed.remove(trades=["B", "C"])
    feed.add(trades=["C"])
    again = Got()
    with feed.subscribe(again):
        venue.peer().send("again")
        again.wait("again")
    assert again.kinds == ["status", "open", "text"]
    told = msgspec.json.decode(again.frames[0].payload, type=Status)
    assert (told.state, told.kind, told.symbol, told.epoch) == ("unsubscribed", "trades", "B", 1)
    assert told.text == "it was removed while nothing was connected"


def test_an_error_handler_may_subscribe_again_at_once(venue: Venue, feed: Feed) -> None:
    second, holder = Got(), SerialDisposable()

    def again(error: Exception) -> None:
        holder.disposable = feed.subscribe(second)

    feed.subscribe(lambda _: None, again)
    venue.peer().close()
    venue.peer().send("again")
    second.wait("again")
    holder.dispose()


def test_a_timer_on_the_line_may_subscribe_again(venue: Venue, feed: Feed, clock: Clock) -> None:
    first, second, holder = Got(), Got(), SerialDisposable()

    def later(error: Exception) -> None:
        feed.line.at(clock.now - 1, lambda: setattr(holder, "disposable", feed.subscribe(second)))
        first.on_error(error)

    feed.subscribe(first.on_next, later)
    venue.peer().close()
    first.error()
    venue.peer().send("again")
    second.wait("again")
    holder.dispose()
    assert second.frames[0].epoch == 2


# -- leaving -------------------------------------------------------------------------------------------------


def test_dispose_says_goodbye_closes_the_socket_and_joins_the_threads(
    venue: Venue, feed: Feed, got: Got
) -> None:
    subscription = feed.subscribe(got)
    peer = venue.peer()
    peer.send("one")
    got.wait("one")
    until_nobody_is_opening()
    subscription.dispose()
    assert not our_threads()
    assert peer.hears_the_end() == 1000
    assert got.kinds == ["open", "text"]
    assert not got.errors
    subscription.dispose()
    feed.add(trades=["B"])
    feed.resync("A")
    feed.reconnect()


def test_dispose_while_data_pours_in_is_quick_and_final(venue: Venue, feed: Feed, got: Got) -> None:
    subscription = feed.subscribe(got)
    peer = venue.peer()
    stop = threading.Event()

    def pour() -> None:
        try:
            while not stop.is_set():
                peer.send(*["x" * 100] * 500)
        except OSError:
            return

    pouring = threading.Thread(target=pour)
    pouring.start()
    got.until(lambda: len(got.frames) > 1000)
    until_nobody_is_opening()
    before = time.monotonic()
    subscription.dispose()
    assert time.monotonic() - before < SOON
    count = len(got.frames)
    assert not our_threads()
    stop.set()
    pouring.join(BOUND)
    assert len(got.frames) == count


def test_dispose_from_inside_a_callback(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.pipe(ops.take(2)).subscribe(got.on_next):
        peer = venue.peer()
        peer.send("one", "two", "three")
        assert peer.hears_the_end() == 1000
        got.wait("one")
    assert got.kinds == ["open", "text"]


def test_subscribing_again_from_inside_the_callback_that_left(venue: Venue, feed: Feed, got: Got) -> None:
    with feed.pipe(ops.take(2), ops.repeat(2)).subscribe(got.on_next):
        venue.peer().send("one", "lost")
        venue.peer().send("two", "lost")
        got.wait("one", "two")
    assert [frame.epoch for frame in got.frames] == [1, 1, 2, 2]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispose that waits for anybody waits for long."""
    monkeypatch.setattr(transport, "_PATIENCE", BOUND)


def test_dispose_while_connecting_does_not_wait_and_the_late_socket_is_closed(
    venue: Venue, got: Got, patient: None
) -> None:
    going, go = threading.Event(), threading.Event()

    def slowly(request: Request, timeout: float) -> Socket:
        going.set()
        assert go.wait(BOUND)
        return venue.open(request, timeout)

    feed = connect(venue, trades=["A"], open_socket=slowly)
    subscription = feed.subscribe(got)
    assert going.wait(BOUND)
    before = time.monotonic()
    subscription.dispose()
    assert time.monotonic() - before < SOON
    assert [thread.name for thread in our_threads()] == ["rtflow-opening"]
    go.set()
    assert venue.peer(greeting=False).sock.recv(1) == b""
    assert not got.frames
    assert not got.errors


def test_dispose_while_the_socket_arrives_closes_it(venue: Venue, got: Got) -> None:
    feed = connect(venue, trades=["A"], open_socket=venue.open)
    for _ in range(20):
        feed.subscribe(got).dispose()
    until_no_thread_is_left()
    for peer in venue.made:
        while peer.sock.recv(100):
            pass


def test_an_attempt_that_fails_after_it_was_abandoned_troubles_nobody(venue: Venue, got: Got) -> None:
    going, go = threading.Event(), threading.Event()

    def fail(request: Request, timeout: float) -> Socket:
        going.set()
        assert go.wait(BOUND)
        raise OSError

    subscription = connect(venue, trades=["A"], open_socket=fail).subscribe(got)
    assert going.wait(BOUND)
    subscription.dispose()
    go.set()
    assert not got.errors


def test_dispose_waits_for_the_callback_that_is_running_and_no_longer_than_a_second(
    venue: Venue, feed: Feed, got: Got
) -> None:
    going, go = threading.Event(), threading.Event()

    def stuck(frame: Frame) -> None:
        going.set()
        assert go.wait(BOUND)

    subscription = feed.subscribe(stuck)
    venue.peer()
    assert going.wait(BOUND)
    before = time.monotonic()
    subscription.dispose()
    assert 0.4 < time.monotonic() - before < SOON
    go.set()


def test_dispose_does_not_wait_for_timers_of_others_on_the_line(
    venue: Venue, feed: Feed, got: Got, patient: None
) -> None:
    subscription = feed.subscribe(got)
    venue.peer()
    got.until(lambda: got.frames)
    until_nobody_is_opening()
    timer = feed.line.at(10**18, lambda: None)
    before = time.monotonic()
    subscription.dispose()
    assert time.monotonic() - before < SOON
    assert [thread.name for thread in our_threads()] == ["rtflow-line"]
    timer.dispose()


def test_a_subscriber_that_raises_gets_its_own_exception_and_the_connection_is_closed(
    venue: Venue, feed: Feed, got: Got
) -> None:
    feed.subscribe(lambda frame: [][0], got.on_error)
    peer = venue.peer(greeting=False)
    assert isinstance(got.error(), IndexError)
    while peer.sock.recv(100):
        pass
    with feed.subscribe(Got()):
        venue.peer()


def test_a_subscriber_that_raises_on_a_shared_line_leaves_its_sibling_alone(venue: Venue, got: Got) -> None:
    line, hurt = Line(), Got()
    one, two = (connect(venue, trades=[s], line=line, open_socket=venue.open) for s in "AB")
    one.subscribe(lambda frame: [][0], hurt.on_error)
    venue.peer(greeting=False)
    with two.subscribe(got):
        peer = venue.peer()
        assert isinstance(hurt.error(), IndexError)
        peer.send("unharmed")
        got.wait("unharmed")


def test_a_subscriber_that_raises_after_it_left_is_reported_by_the_thread(
    venue: Venue, feed: Feed, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = queue.Queue[type[BaseException]]()
    monkeypatch.setattr(threading, "excepthook", lambda report: reported.put(report.exc_type))
    holder, held = SerialDisposable(), threading.Event()

    def leave_and_raise(frame: Frame) -> None:
        assert held.wait(BOUND)
        holder.dispose()
        raise ZeroDivisionError

    holder.disposable = feed.subscribe(leave_and_raise, got.on_error)
    held.set()
    assert reported.get(timeout=BOUND) is ZeroDivisionError
    assert not got.errors


def test_an_error_that_nobody_handles_is_reported_by_the_thread(
    venue: Venue, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = queue.Queue[type[BaseException]]()
    monkeypatch.setattr(threading, "excepthook", lambda report: reported.put(report.exc_type))
    feed.subscribe(lambda _: None)
    venue.peer().close()
    assert reported.get(timeout=BOUND) is Disconnected


def test_no_descriptor_is_left(venue: Venue, feed: Feed) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("this system does not list a process's descriptors")
    before = len(list(descriptors.iterdir()))
    for turn in range(10):
        got = Got()
        with feed.subscribe(got):
            peer = venue.peer()
            if turn % 2:
                peer.close()
                got.error()
        peer.close()
    assert len(list(descriptors.iterdir())) == before


# -- the ring ------------------------------------------------------------------------------------------------


class Stuck(Got):
    """A subscriber that does not come back from its first frame until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def on_next(self, frame: Frame) -> None:
        super().on_next(frame)
        assert self.go.wait(BOUND)


def lost(frame: Frame) -> Lost:
    assert frame.kind is FrameKind.STATUS
    return msgspec.json.decode(frame.payload, type=Lost)


def received(feed: Feed, count: int) -> None:
    """Wait until the reader has read that many frames."""
    deadline = time.monotonic() + BOUND
    while feed.counters["received"] < count:
        assert time.monotonic() < deadline, feed.counters
        time.sleep(0.001)


def overflowing(venue: Venue, clock: Clock) -> Feed:
    return connect(venue, trades=["A"], clock=clock, open_socket=venue.open, capacity=3)


def test_what_does_not_fit_is_counted_and_told_in_its_place(venue: Venue, clock: Clock) -> None:
    feed, got = overflowing(venue, clock), Stuck()
    with feed.subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)  # the line is stuck in OPEN, which takes one place
        for now, payloads in [(2_000, "abc"), (3_000, "de"), (4_000, "f")]:
            clock.now = now
            peer.send(*payloads)
            received(feed, {2_000: 3, 3_000: 5, 4_000: 6}[now])
        assert feed.counters == {"received": 6, "overflowed": 4}
        got.go.set()
        got.until(lambda: len(got.frames) == 4)
        peer.send("g")
        got.until(lambda: len(got.frames) == 5)
    assert [frame.payload for frame in got.frames[1:3]] == [b"a", b"b"]
    assert lost(got.frames[3]) == Lost("", "frames", 4, 2_000, 4_000, "ring", 4_000)
    assert (got.frames[3].ts_recv, got.frames[3].epoch) == (4_000, 1)
    assert got.frames[4].payload == b"g"
    assert feed.counters == {"received": 7, "overflowed": 4}


def test_the_report_of_a_loss_may_fill_the_ring_itself(venue: Venue, clock: Clock) -> None:
    feed, got = overflowing(venue, clock), Stuck()
    with feed.subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)
        peer.send(*"abcd")  # c and d are lost
        received(feed, 4)
        connection = feed._connection
        assert connection is not None
        inlet = connection._inlet
        with feed.line._changed:  # one place comes free just before the next read
            inlet.held_items -= 1
            clock.now = 2_000
            peer.send(*"ef")
            time.sleep(0.02)
        received(feed, 6)
        got.go.set()
        got.until(lambda: len(got.frames) == 5)
        peer.send("g")
        got.until(lambda: len(got.frames) == 6)
    reports = [lost(frame) for frame in got.frames if frame.kind is FrameKind.STATUS]
    assert [report.count for report in reports] == [2, 2]
    assert (reports[1].ts_first, reports[1].ts_last) == (2_000, 2_000)
    assert got.payloads == [b"a", b"b", b"g"]


def test_the_end_gets_in_however_full_it_is_behind_what_was_lost(venue: Venue, clock: Clock) -> None:
    feed, got = overflowing(venue, clock), Stuck()
    feed.subscribe(got)
    peer = venue.peer()
    got.until(lambda: got.frames)
    peer.send(*"abcdef")
    received(feed, 6)
    peer.close()
    time.sleep(0.02)
    got.go.set()
    assert isinstance(got.error(), Disconnected)
    assert got.kinds == ["open", "text", "text", "status", "close"]
    assert lost(got.frames[3]).count == 4


def test_open_and_close_get_in_where_nothing_else_does(venue: Venue) -> None:
    feed, got = connect(venue, trades=["A"], open_socket=venue.open), Got()
    feed._capacity = 0
    feed.subscribe(got)
    peer = venue.peer()
    peer.send("x")
    peer.close()
    got.error()
    assert got.kinds == ["open", "status", "close"]


def test_a_silent_line_is_pinged_and_an_answer_keeps_it(venue: Venue, got: Got) -> None:
    with connect(venue, trades=["A"], open_socket=venue.open, keepalive=0.2).subscribe(got):
        peer = venue.peer()
        for _ in range(5):
            assert peer.hears() == (Opcode.PING, b"")
            peer.raw(Opcode.PONG)
        peer.send("x")
        got.wait("x")
        assert peer.hears() == (Opcode.PING, b"")


def test_a_line_that_answers_no_ping_is_dead(venue: Venue, got: Got) -> None:
    began = time.monotonic()
    connect(venue, trades=["A"], open_socket=venue.open, keepalive=0.02).subscribe(got)
    peer = venue.peer()
    assert peer.hears() == (Opcode.PING, b"")
    error = got.error()
    assert type(error) is Disconnected
    _, silent = str(error).split("the line is dead: silent for ")
    assert 0.06 <= float(silent.split(" s, ")[0]) <= 1.01 * (time.monotonic() - began), "to three digits"
    assert peer.hears_the_end() == 1000


def test_work_of_our_own_between_the_question_and_the_end_changes_nothing(venue: Venue, got: Got) -> None:
    connect(venue, trades=["A"], open_socket=venue.open, keepalive=0.1).subscribe(got)
    peer = venue.peer()
    assert peer.hears()[0] is Opcode.PING
    feed = connect(venue, trades=["A"], open_socket=venue.open, keepalive=0.3)
    other = Got()
    subscription = feed.subscribe(other)
    second = venue.peer()
    assert second.hears()[0] is Opcode.PING
    feed.add(trades=["B"])
    assert second.hears_text() == "+trades:B -"
    subscription.dispose()
    assert "the line is dead" in str(got.error())


def test_anything_at_all_is_a_sign_of_life(venue: Venue, got: Got) -> None:
    with connect(venue, trades=["A"], open_socket=venue.open, keepalive=0.2).subscribe(got):
        peer = venue.peer()
        assert peer.hears() == (Opcode.PING, b"")
        peer.sock.sendall(b"\x81\x05he")  # the beginning of a frame, and no pong
        assert peer.hears() == (Opcode.PING, b""), "asked again, not given up"
        peer.sock.sendall(b"llo")
        got.wait("hello")


def test_a_line_that_need_not_answer_is_never_asked(venue: Venue, got: Got) -> None:
    with connect(venue, trades=["A"], open_socket=venue.open, keepalive=None).subscribe(got):
        peer = venue.peer()
        peer.send("!say done")
        assert peer.hears_text() == "done"


def test_a_beat_comes_in_time_even_while_a_loss_waits(venue: Venue, clock: Clock) -> None:
    feed, got = overflowing(venue, clock), Stuck()
    venue.due = 10**18
    with feed.subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)
        peer.send(*"abcdef")
        received(feed, 6)
        clock.now = 10**18
        assert peer.hears_text() == f"beat {10**18}"
        got.go.set()


def test_pings_are_answered_however_slow_the_subscriber_is(venue: Venue, clock: Clock) -> None:
    feed, got = overflowing(venue, clock), Stuck()
    with feed.subscribe(got):
        peer = venue.peer()
        got.until(lambda: got.frames)
        peer.raw(Opcode.PING, b"?")
        assert peer.hears() == (Opcode.PONG, b"?")
        got.go.set()


def test_what_is_read_while_leaving_is_not_lost_but_left(venue: Venue, feed: Feed, got: Got) -> None:
    going, go = threading.Event(), threading.Event()

    def slow(payload: bytes) -> Traffic:
        going.set()
        assert go.wait(BOUND)
        return Traffic.DATA

    session = Talk(venue, feed.wanted)
    session.classify = slow  # type: ignore[method-assign]
    venue.session = lambda subscription: session  # type: ignore[method-assign]
    subscription = feed.subscribe(got)
    peer = venue.peer()
    got.until(lambda: got.kinds == ["open"])
    peer.send("x")
    assert going.wait(BOUND)
    peer.send("still unread")
    connection = feed._connection
    assert connection is not None
    leaving = threading.Thread(target=subscription.dispose)
    leaving.start()
    while not connection._inlet.closed:
        time.sleep(0.001)
    go.set()
    leaving.join(BOUND)
    until_no_thread_is_left()
    assert feed.counters == {"received": 1}
    assert got.kinds == ["open"]
    assert peer.hears_the_end() == 1000


def test_counters_may_be_shared(venue: Venue, got: Got) -> None:
    counters = Counters()
    feed = connect(venue, trades=["A"], open_socket=venue.open, counters=counters)
    with feed.subscribe(got):
        venue.peer().send("x")
        got.wait("x")
    assert feed.counters is counters
    assert counters == {"received": 1}


# -- what the reader asks of the line ------------------------------------------------------------------------


def test_what_follows_a_batch_always_fits_and_comes_after_it() -> None:
    line, done, got = Line(), threading.Event(), list[str]()

    def then() -> None:
        got.append("then")
        done.set()

    inlet = line.inlet(got.append, capacity=1)
    inlet.stamp()
    assert inlet.put(["a", "b"], then=then) == 1
    assert done.wait(BOUND)
    assert got == ["a", "then"]
    inlet.close()
    assert inlet.join(BOUND)


def test_what_follows_a_batch_does_not_follow_a_close() -> None:
    line, got = Line(), list[str]()

    def deliver(item: str) -> None:
        got.append(item)
        inlet.close()

    inlet = line.inlet(deliver)
    inlet.stamp()
    inlet.put(["a"], then=lambda: got.append("then"))
    assert line.join(BOUND)
    assert got == ["a"]


def test_what_an_item_raises_goes_to_the_inlet_and_the_next_item_comes() -> None:
    line, done, got = Line(), threading.Event(), list[object]()

    def deliver(item: str) -> None:
        got.append(item)
        raise ZeroDivisionError

    inlet = line.inlet(deliver, failed=lambda error: got.append(type(error)))
    inlet.stamp()
    inlet.put(["a", "b"], then=done.set)
    assert done.wait(BOUND)
    assert got == ["a", ZeroDivisionError, "b", ZeroDivisionError]
    inlet.close()
    assert inlet.join(BOUND)


def test_a_timer_of_the_far_future_does_not_stop_the_line() -> None:
    line, done = Line(), threading.Event()
    timer = line.at(10**30, lambda: None)
    line.at(0, done.set)
    assert done.wait(BOUND)
    line.at(1, timer.dispose)
    assert line.join(BOUND)


def test_a_closed_inlet_waits_for_what_runs_and_not_for_the_timers_of_others() -> None:
    line, going, go = Line(), threading.Event(), threading.Event()

    def stuck(item: str) -> None:
        going.set()
        assert go.wait(BOUND)

    inlet = line.inlet(stuck)
    timer = line.at(time.time_ns() + 10**15, lambda: None)
    inlet.stamp()
    inlet.put(["a"])
    assert going.wait(BOUND)
    inlet.close()
    assert not inlet.join(0.01)
    go.set()
    assert inlet.join(BOUND)
    assert our_threads()
    timer.dispose()


# -- sockets that are slow, full or broken -------------------------------------------------------------------


def test_a_long_message_goes_out_in_parts_as_the_venue_reads(venue: Venue, feed: Feed, got: Got) -> None:
    venue.opening = ["x" * 5_000_000]
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("read on meanwhile")
        got.wait("read on meanwhile")
        assert peer.hears_text() == "x" * 5_000_000
        feed.add(trades=["B"])
        assert peer.hears_text() == "+trades:B -"


def test_a_venue_that_stops_reading_is_left(
    venue: Venue, feed: Feed, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_MOST_UNSENT", 1_000_000)
    venue.opening = ["x" * 5_000_000]
    feed.subscribe(got)
    venue.peer(greeting=False).raw(Opcode.PING)
    assert str(got.error()) == "fake has stopped reading what we send"
    assert got.kinds == ["open", "close"]


def test_a_flood_gives_others_their_turn(
    venue: Venue, feed: Feed, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_READ", 2)
    monkeypatch.setattr(transport, "_READS", 3)
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send(*["abcdef"] * 20)
        got.wait(*["abcdef"] * 20)


class Odd:
    """A socket that does something else first."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.recv_first: list[Exception] = []
        self.send_first: list[Exception] = []

    def fileno(self) -> int:
        return self.sock.fileno()

    def setblocking(self, flag: bool, /) -> None:
        self.sock.setblocking(flag)

    def recv(self, size: int, /) -> bytes:
        if self.recv_first:
            raise self.recv_first.pop(0)
        return self.sock.recv(size)

    def send(self, data: bytearray, /) -> int:
        if self.send_first:
            raise self.send_first.pop(0)
        return self.sock.send(data)

    def close(self) -> None:
        self.sock.close()


class OddTLS(Odd):
    """A socket that holds bytes which a selector does not see, and gives them four at a time."""

    held = b""

    def pending(self) -> int:
        return len(self.held)

    def recv(self, size: int, /) -> bytes:
        if self.recv_first:
            raise self.recv_first.pop(0)
        if not self.held:
            try:
                self.held = self.sock.recv(65536)
            except BlockingIOError:
                raise ssl.SSLWantReadError from None
        chunk, self.held = self.held[:4], self.held[4:]
        return chunk


def odd(venue: Venue, prepare: Callable[[socket.socket], Odd]) -> Feed:
    def open_socket(request: Request, timeout: float) -> Socket:
        ours = venue.open(request, timeout)
        assert isinstance(ours, socket.socket)
        return prepare(ours)

    return connect(venue, trades=["A"], open_socket=open_socket)


def test_bytes_that_tls_holds_are_not_waited_for(
    venue: Venue, got: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_READS", 2)

    def prepare(sock: socket.socket) -> Odd:
        tls = OddTLS(sock)
        tls.held = message("right behind the upgrade")
        return tls

    with odd(venue, prepare).subscribe(got):
        peer = venue.peer()
        got.wait("right behind the upgrade")
        peer.send("and on, in more turns than one")
        got.wait("right behind the upgrade", "and on, in more turns than one")


def test_tls_that_must_write_before_it_reads_waits_for_neither_data_nor_nudge(venue: Venue, got: Got) -> None:
    def prepare(sock: socket.socket) -> Odd:
        tls = OddTLS(sock)
        tls.held = message("x")
        tls.recv_first = [ssl.SSLWantWriteError()]
        return tls

    with odd(venue, prepare).subscribe(got):
        got.wait("x")


def test_tls_may_have_to_write_before_it_reads_and_read_before_it_writes(venue: Venue, got: Got) -> None:
    def prepare(sock: socket.socket) -> Odd:
        tls = OddTLS(sock)
        tls.recv_first = [ssl.SSLWantWriteError()]
        tls.send_first = [ssl.SSLWantReadError(), ssl.SSLWantWriteError(), BlockingIOError()]
        return tls

    with odd(venue, prepare).subscribe(got):
        peer = venue.peer(greeting=False)
        peer.send("one")
        assert peer.hears_text() == "want trades:A"
        got.wait("one")


def test_a_line_that_breaks_while_reading_says_how(venue: Venue, got: Got) -> None:
    def prepare(sock: socket.socket) -> Odd:
        broken = Odd(sock)
        broken.recv_first = [ConnectionResetError("reset by peer")]
        return broken

    odd(venue, prepare).subscribe(got)
    venue.peer().send("x")
    assert str(got.error()) == "1006 the line broke: reset by peer"
    assert isinstance(got.error().__cause__, ConnectionResetError)


def test_a_line_that_breaks_while_writing_still_gives_the_venues_last_words(venue: Venue, got: Got) -> None:
    def prepare(sock: socket.socket) -> Odd:
        broken = Odd(sock)
        broken.send_first = [BrokenPipeError("broken pipe")]
        venue.made[-1].sock.sendall(message("!reject you") + framed(Opcode.CLOSE, b"\x03\xf0no"))
        return broken

    odd(venue, prepare).subscribe(got)
    assert isinstance(got.error(), Rejected)
    assert got.payloads == [b"!reject you"]


def test_a_line_that_breaks_while_writing_and_has_no_last_words_says_how(venue: Venue, got: Got) -> None:
    def prepare(sock: socket.socket) -> Odd:
        broken = Odd(sock)
        broken.send_first = [BrokenPipeError("broken pipe")]
        return broken

    odd(venue, prepare).subscribe(got)
    assert str(got.error()) == "1006 the line broke: broken pipe"


def test_a_goodbye_to_who_is_gone_is_no_error(venue: Venue, got: Got) -> None:
    def prepare(sock: socket.socket) -> Odd:
        return Odd(sock)

    subscription = odd(venue, prepare).subscribe(got)
    peer = venue.peer()
    got.until(lambda: got.frames)
    subscription.dispose()
    peer.close()
    assert not got.errors


# -- opening: websocket-client, for real ---------------------------------------------------------------------


class Door:
    """A listening socket on this machine, which a test opens by hand."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(BOUND)
        self.port = self.listening.getsockname()[1]
        self.context = context
        self.peers: list[Peer] = []

    def peer(self) -> Peer:
        """The next that comes in."""
        sock, _ = self.listening.accept()
        sock.settimeout(BOUND)
        if self.context is not None:
            sock = self.context.wrap_socket(sock, server_side=True)
        self.peers.append(Peer(sock))
        return self.peers[-1]

    def close(self) -> None:
        self.listening.close()
        for peer in self.peers:
            peer.close()


def asked(peer: Peer) -> dict[str, str]:
    """The head of a request, with its first line under ``""``."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.sock.recv(1)
    first, *lines = head.decode().strip().split("\r\n")
    return {"": first} | {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def upgrade(peer: Peer, then: bytes = b"") -> dict[str, str]:
    """Answer the upgrade; ``then`` comes in the same write."""
    head = asked(peer)
    key = head["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
    peer.sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + then
    )
    return head


def answer(peer: Peer, status: str, body: bytes = b"", *headers: str) -> None:
    asked(peer)
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    peer.sock.sendall(head.encode() + body)


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


@pytest.fixture
def real(venue: Venue, door: Door, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """A feed that opens real connections, on a machine whose proxy knows nothing of this one."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "elsewhere.example")
    venue.url = f"ws://127.0.0.1:{door.port}/v1?key=secret"
    return connect(venue, trades=["A"], timeout=2.0)


def test_a_real_upgrade_carries_query_headers_and_cookies(
    venue: Venue, real: Feed, door: Door, got: Got
) -> None:
    venue.headers = {"X-Key": "k"}
    with real.subscribe(got):
        peer = door.peer()
        head = upgrade(peer, then=message("right behind"))
        assert head[""] == "GET /v1?key=secret HTTP/1.1"
        assert (head["x-key"], head["cookie"]) == ("k", "c=1")
        assert peer.hears_text() == "want trades:A"
        got.wait("right behind")
    assert got.frames[0].payload == f"ws://127.0.0.1:{door.port}/v1".encode()
    assert peer.hears_the_end() == 1000


@pytest.mark.parametrize(
    ("status", "body", "expected", "text"),
    [
        ("401 Unauthorized", b"bad key", Rejected, "HTTP 401 Unauthorized: bad key"),
        ("429 Too Many", b"", Throttled, "HTTP 429 Too Many"),
        ("503", b"\xff" * 1000, Disconnected, "HTTP 503 " + "\N{REPLACEMENT CHARACTER}" * 300),
    ],
)
def test_an_answer_other_than_the_upgrade_is_the_sessions_to_understand(
    real: Feed, door: Door, got: Got, status: str, body: bytes, expected: type[Exception], text: str
) -> None:
    real.subscribe(got)
    answer(door.peer(), status, body)
    assert type(got.error()) is expected
    assert str(got.error()) == text
    assert isinstance(got.error().__cause__, websocket.WebSocketBadStatusException)
    assert got.frames == []


def test_a_redirect_is_not_followed_with_our_headers(real: Feed, door: Door, got: Got) -> None:
    real.subscribe(got)
    answer(door.peer(), "302 Found", b"", f"Location: ws://127.0.0.1:{door.port}/elsewhere")
    assert isinstance(got.error(), Disconnected)
    door.listening.settimeout(0.05)
    with pytest.raises(TimeoutError):
        door.peer()


def test_nobody_listening_says_so(venue: Venue, real: Feed, door: Door, got: Got) -> None:
    door.listening.close()
    real.subscribe(got)
    assert type(got.error()) is Disconnected
    assert str(got.error()).startswith(f"127.0.0.1:{door.port} refused the connection: ")


def test_silence_ends_at_the_timeout(venue: Venue, real: Feed, door: Door, got: Got) -> None:
    feed = connect(venue, trades=["A"], timeout=0.1)
    feed.subscribe(got)
    assert type(got.error()) is Disconnected
    assert str(got.error()).startswith(f"127.0.0.1:{door.port} did not answer within 0.1 s")


def test_an_upgrade_that_trickles_ends_at_the_timeout_too(
    venue: Venue, real: Feed, door: Door, got: Got
) -> None:
    feed = connect(venue, trades=["A"], timeout=0.3)
    feed.subscribe(got)
    peer = door.peer()
    for letter in "HTTP/1.1 101 Switching":
        peer.sock.sendall(letter.encode())
        time.sleep(0.02)
        if got.errors:
            break
    assert str(got.error()).startswith(f"127.0.0.1:{door.port} did not answer within 0.3 s")
    peer.close()


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 Sure\r\n\r\n", b""])
def test_another_kind_of_server_says_so(real: Feed, door: Door, got: Got, said: bytes) -> None:
    real.subscribe(got)
    peer = door.peer()
    asked(peer)
    peer.sock.sendall(said)
    peer.close()
    assert type(got.error()) is Disconnected
    assert str(got.error()).startswith(f"127.0.0.1:{door.port} did not answer as a WebSocket server should: ")


def test_a_url_of_another_kind_is_the_callers_mistake(venue: Venue, got: Got) -> None:
    venue.url = "ftp://127.0.0.1/"
    connect(venue, trades=["A"]).subscribe(got)
    assert isinstance(got.error(), ValueError)


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (websocket.WebSocketAddressException("unknown name"), "no address is known for fake.example:9"),
        (socket.gaierror("unknown name"), "no address is known for fake.example:9"),
        (websocket.WebSocketProxyException("403"), "the proxy on the way to fake.example:9"),
        (websocket.WebSocketTimeoutException("late"), "fake.example:9 did not answer within 10 s"),
        (TimeoutError("late"), "fake.example:9 did not answer within 10 s"),
        (ssl.SSLError(1, "handshake failure"), "fake.example:9 does not speak TLS as we do"),
        (OSError(113, "No route to host"), "fake.example:9 could not be reached"),
    ],
)
def test_each_way_to_fail_names_whose_fault_it_is(
    venue: Venue, got: Got, raised: Exception, text: str
) -> None:
    def fail(request: Request, timeout: float) -> Socket:
        raise raised

    connect(venue, trades=["A"], open_socket=fail).subscribe(got)
    assert type(got.error()) is Disconnected
    assert str(got.error()).startswith(text)
    assert "secret" not in str(got.error())
    assert got.error().__cause__ is raised


def test_a_proxy_is_asked_to_connect_us(venue: Venue, got: Got) -> None:
    venue.url = "ws://venue.example/v1"
    proxy = Door()
    with connect(venue, trades=["A"], proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}").subscribe(got):
        peer = proxy.peer()
        head = asked(peer)
        assert head[""] == "CONNECT venue.example:80 HTTP/1.1"
        assert head["proxy-authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert upgrade(peer)["host"] == "venue.example"
        assert peer.hears_text() == "want trades:A"
    proxy.close()


def test_a_proxy_without_a_password_is_not_told_one(venue: Venue, got: Got) -> None:
    venue.url = "ws://venue.example/v1"
    proxy = Door()
    connect(venue, trades=["A"], proxy=f"http://127.0.0.1:{proxy.port}").subscribe(got)
    peer = proxy.peer()
    assert "proxy-authorization" not in asked(peer)
    peer.sock.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert str(got.error()).startswith("the proxy on the way to venue.example did not let us through")
    proxy.close()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "127.0.0.1:8080", "http://"])
def test_a_proxy_of_another_sort_is_refused_at_once(venue: Venue, proxy: str) -> None:
    with pytest.raises(ValueError, match=r"http://\[user:password@\]host:port"):
        connect(venue, trades=["A"], proxy=proxy)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that it signed itself, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=rtflow "
        "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:TRUE"
    )
    try:
        subprocess.run(
            [*command.split(), "-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("making a certificate takes the openssl command, which is not here")
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def test_a_gateway_s_own_certificate_is_trusted_when_the_provider_names_it(
    venue: Venue, tls: Door, certificate: Path, got: Got
) -> None:
    venue.url, venue.certificate = f"wss://127.0.0.1:{tls.port}/v1", str(certificate)
    with connect(venue, trades=["A"]).subscribe(got):
        peer = tls.peer()
        upgrade(peer)
        assert peer.hears_text() == "want trades:A"


def test_whoever_answers_is_trusted_when_the_provider_says_so(venue: Venue, tls: Door, got: Got) -> None:
    venue.url, venue.verified = f"wss://127.0.0.1:{tls.port}/v1", False
    with connect(venue, trades=["A"]).subscribe(got):
        peer = tls.peer()
        upgrade(peer)
        assert peer.hears_text() == "want trades:A"


def test_a_certificate_that_is_not_there_ends_the_attempt(venue: Venue, tls: Door, got: Got) -> None:
    venue.url, venue.certificate = f"wss://127.0.0.1:{tls.port}/v1", "no/such.pem"
    connect(venue, trades=["A"]).subscribe(got)
    assert type(got.error()) is Rejected
    assert str(got.error()).startswith("the certificate no/such.pem cannot be read: ")


@pytest.fixture
def tls(certificate: Path) -> Iterator[Door]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    door = Door(context)
    yield door
    door.close()


def test_tls_carries_more_than_a_record_and_less(
    venue: Venue, tls: Door, certificate: Path, got: Got
) -> None:
    venue.url = f"wss://127.0.0.1:{tls.port}/v1"
    venue.opening = ["y" * 300_000]
    trusting = ssl.create_default_context(cafile=str(certificate))
    with connect(venue, trades=["A"], ssl_context=trusting).subscribe(got):
        peer = tls.peer()
        upgrade(peer, then=message("right behind"))
        assert peer.hears_text() == "want trades:A"
        assert peer.hears_text() == "y" * 300_000
        payloads = ["right behind", *("x" * (size * 100) for size in range(1, 600))]
        peer.send(*payloads[1:])
        got.wait(*payloads)
        peer.raw(Opcode.PING, b"?")
        assert peer.hears() == (Opcode.PONG, b"?")
        received_at = got.frames[-1].ts_recv
        assert 0 < time.time_ns() - received_at < BOUND * 1e9


def test_a_certificate_that_nobody_vouches_for_is_refused(venue: Venue, tls: Door, got: Got) -> None:
    venue.url = f"wss://127.0.0.1:{tls.port}/v1"
    connect(venue, trades=["A"]).subscribe(got)
    with pytest.raises(ssl.SSLError):
        tls.peer()
    assert type(got.error()) is Disconnected
    assert str(got.error()).startswith(f"the certificate of 127.0.0.1:{tls.port} does not convince us (")


def test_tls_spoken_to_a_server_without_it_says_so(venue: Venue, door: Door, got: Got) -> None:
    venue.url = f"wss://127.0.0.1:{door.port}/v1"
    connect(venue, trades=["A"]).subscribe(got)
    peer = door.peer()
    peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert str(got.error()).startswith(f"127.0.0.1:{door.port} does not speak TLS as we do: ")
