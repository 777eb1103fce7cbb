"""WebSocketDataStream: each thing twice, on a mocked WebSocket and over a real one to the twin."""

from __future__ import annotations

import json
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import reactivex
import websocket
from pytest_mock import MockerFixture
from reactivex import operators as ops

from rtflow import WebSocketDataStream
from rtflow import operators as op
from rtflow.errors import Disconnected, Rejected, Unsupported
from rtflow.events import Status
from rtflow.instruments import Instruments
from rtflow.ticks import Key, Tick
from rtflow.twin import Twin
from tests.watching import PATIENCE, left_over, within

CLIENT = {"jwt": "Bearer jwt", "api_key": "key", "client_code": "A123456", "feed_token": "feed"}
SBIN, RELIANCE, FUTURE = ("SBIN-EQ", "NSE"), ("RELIANCE-EQ", "NSE"), ("NIFTY25NOVFUT", "NFO")
TOKENS = {SBIN: "3045", RELIANCE: "2885", FUTURE: "53001"}
ADDRESSES = {SBIN: (1, "3045"), RELIANCE: (1, "2885"), FUTURE: (2, "53001")}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def until(happened: Callable[[], object]) -> None:
    assert within(PATIENCE, happened), "it did not happen"


# -- two venues ------------------------------------------------------------------------------------------


class World(ABC):
    """A venue, and what can be done to it."""

    def __init__(self) -> None:
        self.streams: list[WebSocketDataStream] = []
        self.url: str | None = None

    def stream(self, callback: Callable[[Tick], object] | None = None, **options: Any) -> WebSocketDataStream:
        retry = op.retry_with_backoff(base=0.02, cap=0.05, retries=None)
        made = WebSocketDataStream(CLIENT, callback, url=self.url, instruments=TOKENS, retry=retry, **options)
        self.streams.append(made)
        return made

    def close(self) -> None:
        for each in self.streams:
            each.disconnect()

    @abstractmethod
    def tick(self, key: Key, times: int = 1) -> None:
        """Send at least so many ticks more."""

    @abstractmethod
    def wanted(self) -> set[tuple[int, str]]:
        """Exchanges and tokens that are subscribed."""

    @abstractmethod
    def cut(self) -> None:
        """Cut the line."""

    @abstractmethod
    def refuse(self) -> None:
        """Let nobody in, for good."""

    @property
    @abstractmethod
    def connections(self) -> int:
        """How many there have been."""


QUOTE = struct.Struct("<BB25sqqqqqqddqqqq")


def packet(place: tuple[int, str], number: int) -> bytes:
    """A quote of which every field tells the same number."""
    exchange, token = place
    day = (100 + number, 300 + number, 50 + number, 90 + number)
    return QUOTE.pack(
        2, exchange, token.encode(), number, number, 200 + number, 1, number, number, 1.0, 1.0, *day
    )


class Mocked(World):
    """``websocket.create_connection`` as pytest-mock replaces it; behind it, a venue of a few lines."""

    def __init__(self, mocker: MockerFixture) -> None:
        super().__init__()
        self.created = mocker.patch.object(websocket, "create_connection", side_effect=self._create)
        self._refusal: Exception | None = None
        self._ends: list[socket.socket] = []
        self._subscribed: set[tuple[int, str]] = set()
        self._sending = threading.Lock()
        self._numbers = count(1)
        self.sent: dict[tuple[int, str], list[int]] = {}

    def _create(self, *_: Any, **__: Any) -> Any:
        if self._refusal is not None:
            raise self._refusal
        ours, theirs = socket.socketpair()
        self._subscribed = set()
        self._ends.append(theirs)
        threading.Thread(target=self._hear, args=[theirs], daemon=True).start()
        return SimpleNamespace(sock=ours)

    def _hear(self, end: socket.socket) -> None:
        """Take requests, and answer each subscription with the state, as the venue does."""
        with suppress(OSError, ValueError):
            while payload := heard(end):
                if not payload.startswith(b"{"):
                    continue
                request = json.loads(payload)
                for part in request["params"]["tokenList"]:
                    for token in part["tokens"]:
                        place = (part["exchangeType"], token)
                        if request["action"] == 0:
                            self._subscribed.discard(place)
                        else:
                            self._subscribed.add(place)
                            self.send(place)

    def send(self, *places: tuple[int, str]) -> None:
        """A tick of each, numbered as they leave."""
        with self._sending:
            numbered = [(place, next(self._numbers)) for place in places]
            for place, number in numbered:
                self.sent.setdefault(place, []).append(number)
            frames = (b"\x82" + lengthened(packet(*each)) for each in numbered)
            self._ends[-1].sendall(b"".join(frames))

    def tick(self, key: Key, times: int = 1) -> None:
        until(lambda: ADDRESSES[key] in self._subscribed)
        self.send(*[ADDRESSES[key]] * times)

    def wanted(self) -> set[tuple[int, str]]:
        return set(self._subscribed)

    def cut(self) -> None:
        self._subscribed = set()
        self._ends[-1].shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        self._refusal = ConnectionRefusedError()

    @property
    def connections(self) -> int:
        return len(self._ends)

    def close(self) -> None:
        super().close()
        for each in self._ends:
            each.close()


def lengthened(payload: bytes) -> bytes:
    size = len(payload)
    return (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)) + payload


def heard(end: socket.socket) -> bytes:
    """The payload of the client's next frame; b"" at the end."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = end.recv(size - len(data))
            if not chunk:
                raise ValueError("the client has gone")
            data += chunk
        return data

    first, second = exactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", exactly(2))
    mask = exactly(4)
    payload = bytes(each ^ mask[index % 4] for index, each in enumerate(exactly(size)))
    return b"" if first & 15 == 8 else payload


class Real(World):
    """The twin, at the other end of a socket."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.twin = self._stack.enter_context(Twin("angelone", seed=5, pace=0.0))
        self.url = self.twin.url

    @property
    def venue(self) -> Any:
        return self.twin._venue

    def tick(self, key: Key, times: int = 1) -> None:
        symbol = {SBIN: "nse_cm:3045", RELIANCE: "nse_cm:2885", FUTURE: "nse_fo:53001"}[key]
        until(lambda: ADDRESSES[key] in self.wanted())
        before = len(self.twin.moves)
        while sum(move.symbol == symbol and bool(move.trades) for move in self.twin.moves[before:]) < times:
            self.twin.advance(0.5)

    def wanted(self) -> set[tuple[int, str]]:
        conversations = self.twin._look(lambda: list(self.venue.conversations))
        return {key[1:] for each in conversations for key in list(each._subscribed)}

    def cut(self) -> None:
        self.twin.disconnect()

    def refuse(self) -> None:
        self.twin.refuse(PATIENCE, 401)

    @property
    def connections(self) -> int:
        return self.twin.accepted

    def close(self) -> None:
        super().close()
        self._stack.close()


@pytest.fixture(params=["mocked", "twin"])
def world(request: pytest.FixtureRequest, mocker: MockerFixture) -> Iterator[World]:
    made: World = Mocked(mocker) if request.param == "mocked" else Real()
    yield made
    made.close()


# -- connecting ------------------------------------------------------------------------------------------


def test_connect_success(world: World) -> None:
    stream = world.stream()
    assert stream.connect() is True
    assert stream.connected
    assert stream.error is None
    assert stream.connect() is True, "twice is once"
    assert world.connections == 1
    stream.disconnect()
    stream.disconnect()
    assert repr(stream) == "<WebSocketDataStream not connected, 0 symbols>"
    assert stream.connect() is True, "and again"
    assert world.connections == 2


def test_connect_failure(world: World) -> None:
    world.refuse()
    stream = world.stream()
    assert stream.connect() is False
    assert not stream.connected
    assert isinstance(stream.error, Rejected if isinstance(world, Real) else Disconnected)
    assert left_over() == [], "nothing is left open"
    with pytest.raises(type(stream.error)):
        stream.__enter__()


def test_connect_failure_by_silence(mocker: MockerFixture) -> None:
    release = threading.Event()
    mocker.patch.object(websocket, "create_connection", side_effect=lambda *_, **__: release.wait(PATIENCE))
    stream = WebSocketDataStream(CLIENT, timeout=0.05)
    assert stream.connect() is False
    assert "0.05 s" in str(stream.error)
    release.set()


def test_reconnect_on_disconnect(world: World) -> None:
    stream = world.stream()
    with stream:
        world.cut()
        until(lambda: world.connections == 2 and stream.connected)
        assert stream.connect() is True
    assert not stream.connected


def test_to_disconnect_ends_an_attempt_that_is_under_way(mocker: MockerFixture) -> None:
    under_way, release = threading.Event(), threading.Event()

    def create(*_: Any, **__: Any) -> None:
        under_way.set()
        release.wait(PATIENCE)

    mocker.patch.object(websocket, "create_connection", side_effect=create)
    stream, said = WebSocketDataStream(CLIENT), list[bool]()
    connecting = threading.Thread(target=lambda: said.append(stream.connect()))
    connecting.start()
    assert under_way.wait(PATIENCE)
    stream.disconnect()
    connecting.join(PATIENCE / 2)  # of the 10 s that an attempt may take
    assert said == [False]
    assert str(stream.error) == "disconnect() was called"
    release.set()


def test_to_connect_while_the_line_is_lost_is_a_new_try(mocker: MockerFixture) -> None:
    world = Mocked(mocker)
    patient = op.retry_with_backoff(base=60.0, jitter=None)
    stream = WebSocketDataStream(CLIENT, retry=patient)
    assert stream.connect()
    world.refuse()
    world.cut()
    until(lambda: not stream.connected)
    assert stream.connect() is False, "and not in a minute"
    assert isinstance(stream.error, Disconnected)
    world.close()


def test_a_retry_that_says_nothing_is_not_waited_for_without_end(mocker: MockerFixture) -> None:
    mocker.patch.object(websocket, "create_connection", side_effect=ConnectionRefusedError())
    silent = ops.catch(lambda *_: reactivex.never())
    stream = WebSocketDataStream(CLIENT, timeout=0.05, retry=silent)
    assert stream.connect() is False
    assert str(stream.error) == "no answer within 0.05 s"


def test_what_a_connection_says_that_was_left_changes_nothing(mocker: MockerFixture) -> None:
    world = Mocked(mocker)
    stream = world.stream()
    assert stream.connect()
    before = stream._run
    stream.disconnect()
    stream._note(before, Status("open", 1))
    assert repr(stream).startswith("<WebSocketDataStream not connected")
    assert stream.connect()
    stream._fail(before, Disconnected("long ago"))
    assert repr(stream).startswith("<WebSocketDataStream connected")
    assert stream.error is None
    world.close()


def test_a_line_that_is_lost_is_not_connected(world: World) -> None:
    stream = world.stream()
    assert stream.connect()
    world.refuse()
    world.cut()
    until(lambda: not stream.connected)


def test_the_end_of_the_day_is_told_and_a_new_connection_is_a_new_try() -> None:
    world = Real()
    stream = world.stream(print)
    assert stream.connect()
    world.twin.provoke("expire")
    until(lambda: stream.error is not None)
    assert isinstance(stream.error, Rejected)
    assert not stream.connected
    assert left_over() == [], "nor the callback's thread"
    assert stream.connect() is False
    world.close()


# -- subscribing -----------------------------------------------------------------------------------------


def test_subscribe_symbols(world: World) -> None:
    stream = world.stream()
    stream.connect()
    stream.subscribe([SBIN])
    until(lambda: world.wanted() == {ADDRESSES[SBIN]})
    assert stream.subscribed == [SBIN]
    until(lambda: stream.get_latest_ticks(*SBIN))


def test_unsubscribe_symbols(world: World) -> None:
    stream = world.stream()
    stream.subscribe([SBIN, RELIANCE])
    stream.connect()
    until(lambda: stream.get_latest_ticks(*SBIN) and stream.get_latest_ticks(*RELIANCE))
    stream.unsubscribe([SBIN, FUTURE])
    until(lambda: world.wanted() == {ADDRESSES[RELIANCE]})
    assert stream.subscribed == [RELIANCE]
    assert stream.get_latest_ticks(*SBIN) == []
    assert stream.get_latest_ticks(*RELIANCE)
    assert stream.dropped(*SBIN) == 0


def test_subscribe_multiple(world: World) -> None:
    stream = world.stream()
    stream.connect()
    stream.subscribe([SBIN, RELIANCE])
    stream.subscribe([FUTURE, SBIN])
    until(lambda: world.wanted() == set(ADDRESSES.values()))
    assert stream.subscribed == sorted([SBIN, RELIANCE, FUTURE])
    for key in ADDRESSES:
        until(lambda key=key: stream.get_latest_ticks(*key))  # type: ignore[misc]


def test_resubscribe_after_reconnect(world: World) -> None:
    stream = world.stream()
    stream.subscribe([SBIN, FUTURE])
    stream.connect()
    until(lambda: world.wanted() == {ADDRESSES[SBIN], ADDRESSES[FUTURE]})
    world.cut()
    until(lambda: world.connections == 2 and world.wanted() == {ADDRESSES[SBIN], ADDRESSES[FUTURE]})
    before = len(stream.get_latest_ticks(*SBIN))
    world.tick(SBIN, 3)
    until(lambda: len(stream.get_latest_ticks(*SBIN)) > before)


# -- ticks -----------------------------------------------------------------------------------------------


def test_receive_tick_data(world: World) -> None:
    came: list[Tick] = []
    threads: set[str] = set()

    def callback(tick: Tick) -> None:
        came.append(tick)
        threads.add(threading.current_thread().name)

    stream = world.stream(callback)
    stream.subscribe([SBIN])
    stream.connect()
    world.tick(SBIN, 5)
    until(lambda: len(came) >= 6)
    until(lambda: came == stream.get_latest_ticks(*SBIN))
    assert threads == {"rtflow-ticks.callback"}
    assert all((tick["symbol"], tick["exchange"]) == SBIN for tick in came)


def test_tick_normalization(world: World) -> None:
    stream = world.stream()
    stream.subscribe([SBIN])
    stream.connect()
    world.tick(SBIN, 3)
    if isinstance(world, Mocked):
        number = world.sent[ADDRESSES[SBIN]][-1]
        paise = [100 + number, 300 + number, 50 + number, 200 + number]
        expected = [*(each / 100 for each in paise), float(number), 1.0, (90 + number) / 100]
    elif isinstance(world, Real):
        instrument = world.venue.instruments[ADDRESSES[SBIN]]
        paise = [getattr(instrument, name) for name in ("_open", "_high", "_low", "_last")]
        volume, size, previous = instrument._volume, instrument._size, instrument.listing.price / 100
        expected = [*(each / 100 for each in paise), float(volume), float(size), previous]
    names = ("open", "high", "low", "close", "volume", "last_size", "previous_close")
    until(
        lambda: [[tick[name] for name in names] for tick in stream.get_latest_ticks(*SBIN)][-1:] == [expected]
    )
    tick = stream.get_latest_ticks(*SBIN)[-1]
    assert tick["low"] <= tick["open"] <= tick["high"]
    assert tick["ts_event"] % 1_000_000 == 0, "the venue has milliseconds"
    assert tick["timestamp"].endswith("Z")
    assert {*tick} == {"symbol", "exchange", "timestamp", "ts_event", "ts_recv", "vwap", *names}


def test_tick_buffering(world: World) -> None:
    stream = world.stream(capacity=4)
    stream.subscribe([SBIN])
    stream.connect()
    world.tick(SBIN, 10)
    until(lambda: stream.dropped(*SBIN) >= 7)
    ticks = stream.get_latest_ticks(*SBIN)
    assert len(ticks) == 4
    volumes = [tick["volume"] for tick in ticks]
    assert volumes == sorted(volumes), "oldest first"
    ticks[0]["close"] = "mine"  # dictionaries of one's own …
    ticks.clear()  # … in a list of one's own
    assert len(stream.get_latest_ticks(*SBIN)) == 4
    assert all(tick["close"] != "mine" for tick in stream.get_latest_ticks(*SBIN))
    counters = stream.counters
    assert counters["ticks.held"] == 4
    assert counters["ticks.in"] == 4 + counters["ticks.dropped"]


def test_concurrent_tick_access(world: World) -> None:
    stream = world.stream(capacity=50)
    stream.subscribe([SBIN])
    stream.connect()
    over, faults, reads = threading.Event(), list[object](), list[int]()

    def read() -> None:
        last, count = -1.0, 0
        while not over.is_set():
            ticks = stream.get_latest_ticks(*SBIN)
            volumes = [tick["volume"] for tick in ticks]
            if volumes != sorted(volumes) or (volumes and volumes[-1] < last):
                faults.append(volumes)
            last = volumes[-1] if volumes else last
            count += 1
        reads.append(count)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for each in readers:
        each.start()
    world.tick(SBIN, 100)
    until(lambda: stream.dropped(*SBIN) >= 50)
    over.set()
    for each in readers:
        each.join(PATIENCE)
    assert not faults
    assert len(reads) == 8
    assert all(reads)


def test_concurrent_subscribe(world: World) -> None:
    stream = world.stream()
    stream.connect()
    start = threading.Barrier(6)
    errors: list[Exception] = []

    def change(key: Key, last: Callable[[list[Key]], None]) -> None:
        start.wait(PATIENCE)
        try:
            for _ in range(20):
                stream.subscribe([key])
                stream.unsubscribe([key])
            last([key])
        except Exception as error:  # noqa: BLE001 - the test tells it
            errors.append(error)

    lasts = [stream.subscribe, stream.unsubscribe, stream.subscribe]
    keys = [SBIN, RELIANCE, FUTURE]
    threads = [
        threading.Thread(target=change, args=[key, last]) for key, last in zip(keys, lasts, strict=True)
    ]
    threads += [threading.Thread(target=change, args=[FUTURE, stream.subscribe]) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    stream.subscribe([FUTURE])
    assert not errors
    assert stream.subscribed == sorted([SBIN, FUTURE])
    until(lambda: world.wanted() == {ADDRESSES[SBIN], ADDRESSES[FUTURE]})


# -- under stress ----------------------------------------------------------------------------------------


def test_100_000_ticks_while_eight_read_and_four_subscribe_and_unsubscribe(mocker: MockerFixture) -> None:
    ticks, batch = 100_000, 500
    world = Mocked(mocker)
    stream = world.stream(capacity=50)
    stream.subscribe([SBIN, RELIANCE])
    assert stream.connect()
    until(lambda: len(world.wanted()) == 2)
    over, breath, faults = threading.Event(), threading.Event(), list[object]()
    counters, places = stream.counters, [ADDRESSES[SBIN], ADDRESSES[RELIANCE]]

    def read() -> None:
        for key in (SBIN, RELIANCE):
            latest = stream.get_latest_ticks(*key)
            numbers = [tick["volume"] for tick in latest]
            if any(after <= before for before, after in pairwise(numbers)):
                faults.append(("twice, or out of order", numbers))
            for tick in latest[-5:]:
                told = [round(tick[name] * 100 - tick["volume"]) for name in ("open", "high", "low", "close")]
                if told != [100, 300, 50, 200]:
                    faults.append(("torn", tick))

    def count() -> None:
        now = {name.removeprefix("ticks."): number for name, number in dict(counters).items()}
        if now.get("in", 0) != sum(now.get(each, 0) for each in ("held", "dropped", "unwanted")):
            faults.append(now)

    def change() -> None:
        stream.subscribe([RELIANCE, FUTURE])
        breath.wait(0.002)
        stream.unsubscribe([RELIANCE])

    def work(turn: Callable[[], None]) -> None:
        try:
            while not over.is_set():
                turn()
                breath.wait(0.01)
        except Exception as error:  # noqa: BLE001 - the test tells it
            faults.append(error)

    threads = [threading.Thread(target=work, args=[turn]) for turn in [read] * 8 + [change] * 4 + [count]]
    for each in threads:
        each.start()
    for sent in range(0, ticks, batch):
        world.send(*places * (batch // 2))
        until(lambda sent=sent: counters["ticks.in"] > sent - 20_000)  # type: ignore[misc]
    over.set()
    for each in threads:
        each.join(PATIENCE)
    until(lambda: counters["ticks.in"] == sum(map(len, world.sent.values())))
    assert not faults
    assert counters["ticks.in"] >= ticks, "and the state that each subscription is answered with"
    assert counters["ticks.in"] == (
        counters["ticks.held"] + counters["ticks.dropped"] + counters["ticks.unwanted"]
    )
    kept = [tick["volume"] for tick in stream.get_latest_ticks(*SBIN)]
    assert kept == world.sent[ADDRESSES[SBIN]][-50:]
    assert stream.dropped(*SBIN) == len(world.sent[ADDRESSES[SBIN]]) - 50
    world.close()


# -- callbacks, credentials, symbols ---------------------------------------------------------------------


def test_a_callback_that_raises_is_told_of_and_gets_the_next_tick(mocker: MockerFixture) -> None:
    raised = mocker.patch("threading.excepthook")
    world, came = Mocked(mocker), list[Tick]()

    def callback(tick: Tick) -> None:
        came.append(tick)
        raise ValueError("mine")

    stream = world.stream(callback)
    stream.subscribe([SBIN])
    with stream:
        world.tick(SBIN, 2)
        until(lambda: len(came) == 3)
    until(lambda: raised.call_count == 3)
    assert str(raised.call_args[0][0].exc_value) == "mine"
    world.close()


def test_a_callback_may_disconnect_and_unsubscribe(mocker: MockerFixture) -> None:
    world, came = Mocked(mocker), list[Tick]()

    def callback(tick: Tick) -> None:
        came.append(tick)
        stream.unsubscribe([SBIN])
        stream.disconnect()

    stream = world.stream(callback)
    stream.subscribe([SBIN])
    stream.connect()
    until(lambda: came and not stream.connected)
    assert stream.subscribed == []
    world.close()


def test_a_slow_callback_misses_the_oldest_and_it_is_counted(mocker: MockerFixture) -> None:
    world, came = Mocked(mocker), list[Tick]()
    busy, go_on = threading.Event(), threading.Event()

    def callback(tick: Tick) -> None:
        came.append(tick)
        busy.set()
        go_on.wait(PATIENCE)

    stream = world.stream(callback, waiting=2)
    stream.subscribe([SBIN])
    with stream:
        busy.wait(PATIENCE)
        world.tick(SBIN, 10)
        until(lambda: stream.counters["ticks.callback.dropped"] == 8)
        go_on.set()
        until(lambda: len(came) == 3)
    assert [tick["volume"] for tick in came] == [1, 10, 11]
    world.close()


def test_ticks_that_wait_for_the_callback_are_let_go_with_their_symbol(mocker: MockerFixture) -> None:
    world, came = Mocked(mocker), list[Tick]()
    busy, go_on = threading.Event(), threading.Event()

    def callback(tick: Tick) -> None:
        came.append(tick)
        busy.set()
        go_on.wait(PATIENCE)

    stream = world.stream(callback)
    stream.subscribe([SBIN])
    with stream:
        busy.wait(PATIENCE)
        world.tick(SBIN, 3)
        until(lambda: len(stream.get_latest_ticks(*SBIN)) == 4)
        stream.unsubscribe([SBIN])
        go_on.set()
        until(lambda: stream.counters["ticks.callback.out"] == 4)
    assert len(came) == 1
    world.close()


class SmartConnect:
    """Credentials under the names that smartapi-python gives them."""

    api_key, userId, feed_token, access_token = "key", "A123456", "feed", "jwt"  # noqa: N815


@pytest.mark.parametrize(
    "client",
    [
        SmartConnect(),
        {"apiKey": "key", "client_id": "A123456", "feedToken": "feed", "jwtToken": "Bearer jwt"},
    ],
)
def test_a_client_is_whatever_has_the_four_credentials(client: Any) -> None:
    with Twin("angelone", credentials={"x-client-code": "A123456", "x-feed-token": "feed"}) as twin:
        stream = WebSocketDataStream(client, url=twin.url)
        assert stream.connect()
        assert repr(stream) == "<WebSocketDataStream connected, 0 symbols>"
        stream.disconnect()
    assert repr(stream) == "<WebSocketDataStream not connected, 0 symbols>"


@pytest.mark.parametrize("client", [{}, None, CLIENT | {"feed_token": ""}, CLIENT | {"feed_token": 5}])
def test_a_client_without_them_is_told_what_is_missing(client: Any) -> None:
    with pytest.raises(TypeError, match=r"has no (jwt|feed_token): none of .* is a text in it") as caught:
        WebSocketDataStream(client)
    assert "key" not in str(caught.value).replace("api_key", "")


def test_a_table_of_instruments_knows_the_tokens() -> None:
    table = Instruments([("GOLD", ("mcx_fo", "1")), ("GOLD", ("bse_cm", "2")), ("A", ("nse_cm", "3"))])
    stream = WebSocketDataStream(CLIENT, instruments=table)
    stream.subscribe([("GOLD", "MCX"), ("A", "NSE"), ("7", "nse_fo")])
    assert stream._feed.wanted.symbols("tickers") == ("mcx_fo:1", "nse_cm:3", "nse_fo:7")
    assert stream.get_latest_ticks("GOLD", "mcx_fo") == []


@pytest.mark.parametrize("instruments", [None, TOKENS, Instruments([])])
@pytest.mark.parametrize("key", [("NOBODY", "NSE"), ("3045", "NYSE")])
def test_an_unknown_symbol_is_refused_and_nothing_is_subscribed(instruments: Any, key: Key) -> None:
    stream = WebSocketDataStream(CLIENT, instruments=instruments)
    with pytest.raises(Unsupported):
        stream.subscribe([("3045", "NSE"), key])
    assert stream.subscribed == []


@pytest.mark.parametrize("wrong", ["SBIN-EQ", ["SBIN-EQ"], [("SBIN-EQ",)], [("SBIN-EQ", 5)]])
def test_what_is_no_pair_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"\(symbol, exchange\) pairs"):
        WebSocketDataStream(CLIENT).subscribe(wrong)


def test_a_ring_holds_at_least_one() -> None:
    with pytest.raises(ValueError, match="capacity must be 1 or more"):
        WebSocketDataStream(CLIENT, capacity=0)
