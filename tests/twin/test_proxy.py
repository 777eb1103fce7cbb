"""A line to a twin breaks where TCP breaks, and the feed behind it says what became of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any

import pytest

from rtflow.errors import Disconnected
from rtflow.events import Trade
from rtflow.operators._normalize import normalize
from rtflow.providers import Kraken
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.proxy import Proxy, _Pair
from tests.watching import within

PATIENCE = 10.0


class Watch:
    """A subscriber that keeps what it is told, and can be waited with."""

    def __init__(self, feed: Feed) -> None:
        self.trades = 0
        self.error: Exception | None = None
        self._changed = threading.Condition()
        self._subscription = feed.pipe(normalize(feed.provider)).subscribe(self._came, self._failed)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscription.dispose()

    def _came(self, item: object) -> None:
        with self._changed:
            self.trades += isinstance(item, Trade)
            self._changed.notify_all()

    def _failed(self, error: Exception) -> None:
        with self._changed:
            self.error = error
            self._changed.notify_all()

    def until(self, happened: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, PATIENCE), (self.error, self.trades)

    def flows(self) -> None:
        """Wait for a trade that is yet to come."""
        count = self.trades
        self.until(lambda: self.trades > count)


@pytest.fixture
def twin() -> Iterator[Twin]:
    with Twin("kraken", seed=5, symbols=["BTC/USD"], rate=10.0, warmup=1.0) as twin:
        yield twin


@pytest.fixture
def line(twin: Twin) -> Iterator[Proxy]:
    with Proxy(twin) as line:
        yield line


def feed_of(line: Proxy, *, timeout: float = 5.0, keepalive: float = 20.0) -> Feed:
    return connect(Kraken(url=line.url), trades=["BTC/USD"], timeout=timeout, keepalive=keepalive)


def until(happened: Callable[[], object]) -> None:
    assert within(PATIENCE, happened)


def test_bytes_go_through_untouched(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line)) as watch:
        watch.flows()
        assert (line.accepted, line.connections, twin.connections) == (1, 1, 1)
    until(lambda: line.connections == twin.connections == 0)
    assert line.accepted == 1


def test_other_urls_of_the_twin_lead_through_it_too(twin: Twin, line: Proxy) -> None:
    port = line.url.split(":")[2].split("/")[0]
    assert line.through(twin.rest_url) == f"http://127.0.0.1:{port}"
    with pytest.raises(ValueError, match="is not one of the twin at"):
        line.through("ws://example.org")


def test_a_cut_line_ends_by_a_reset_and_without_a_close_frame(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line)) as watch:
        watch.flows()
        line.cut()
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert "the line broke" in watch.error.reason
    assert (watch.error.code, watch.error.announced) == (1006, False)
    until(lambda: twin.connections == 0)


def test_a_twin_that_says_goodbye_does_so_through_the_line(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line)) as watch:
        watch.flows()
        twin.disconnect(1001, "bye")
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert (watch.error.code, watch.error.announced) == (1001, True)


def test_a_half_open_line_is_found_dead_by_a_ping(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line, keepalive=0.1)) as watch:
        watch.flows()
        line.half_open()
        watch.until(lambda: watch.error)
        assert twin.connections == 1, "nobody has told the other side"
    assert isinstance(watch.error, Disconnected)
    assert "the line is dead" in watch.error.reason


def test_a_stalled_line_brings_everything_later(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line)) as watch:
        watch.flows()
        line.stall(0.3)
        threading.Event().wait(0.05)  # what was under way has come
        count, began = watch.trades, time.monotonic()
        watch.until(lambda: watch.trades > count)
        assert time.monotonic() - began > 0.15
        assert watch.error is None
    assert line.accepted == 1


def test_an_upgrade_that_trickles_in_is_not_waited_for_for_ever(line: Proxy) -> None:
    line.trickle(20, PATIENCE)
    with Watch(feed_of(line, timeout=0.3)) as watch:
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert "did not answer within 0.3 s" in watch.error.reason


def test_what_trickles_comes_whole_and_then_as_fast_as_ever(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line)) as watch:
        watch.flows()
        line.trickle(5_000, 0.2)
        watch.flows()
        threading.Event().wait(0.25)
        watch.flows()
        watch.until(lambda: watch.trades > 20)
        assert watch.error is None
    with pytest.raises(ValueError, match="at 1 byte a second or more, not 0"):
        line.trickle(0, 1.0)


def test_what_trickles_can_be_held_up_too(twin: Twin, line: Proxy) -> None:
    with Watch(feed_of(line)) as watch:
        watch.flows()
        line.trickle(200, 0.5)
        until(lambda: twin._look(lambda: any(pair._drops for pair in line._pairs)))
        line.stall(0.2)
        threading.Event().wait(0.5)
        watch.until(lambda: watch.trades > 20)
        assert watch.error is None


def test_a_flapping_line_accepts_and_drops(twin: Twin, line: Proxy) -> None:
    line.flap(0.5)
    with Watch(feed_of(line)) as watch:
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert (line.accepted, twin.accepted) == (1, 0)
    threading.Event().wait(0.5)
    with Watch(feed_of(line)) as watch:
        watch.flows()


def test_a_garbled_answer_is_no_websocket_server_and_no_tls(line: Proxy) -> None:
    line.garble(PATIENCE)
    with Watch(feed_of(line)) as watch:
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert "did not answer as a WebSocket server should" in watch.error.reason
    secure = connect(Kraken(url=line.url.replace("ws:", "wss:")), ssl_context=ssl.create_default_context())
    with Watch(secure) as watch:
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert "does not speak TLS as we do" in watch.error.reason


def test_a_refused_line_is_one_where_nobody_listens_for_a_while(line: Proxy) -> None:
    line.refuse(0.3)
    line.refuse(0.0)  # nobody listens already
    with Watch(feed_of(line)) as watch:
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert "nothing listens there" in watch.error.reason
    threading.Event().wait(0.35)
    with Watch(feed_of(line)) as watch:
        watch.flows()


def test_a_reader_that_does_not_read_is_held_up_alone() -> None:
    wants = b'{"method":"subscribe","params":{"channel":"book","depth":1000,"symbol":["BTC/USD"]}}'
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    with (
        Twin("kraken", seed=5, symbols=["BTC/USD"], rate=20.0, warmup=0.1) as twin,
        Proxy(twin) as line,
        socket.socket() as lazy,
        Watch(feed_of(line)) as watch,
    ):
        host, port = line.url.split("/")[2].split(":")
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((host, int(port)))
        upgrade = (
            f"GET /v2 HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n"
        )
        lazy.sendall(upgrade.encode())
        lazy.sendall(struct.pack(">BBI", 0x81, 0x80 | len(wants), 0) + wants)

        def choked() -> bool:
            return twin._look(lambda: any(side.choked for pair in line._pairs for side in pair._sides))

        until(choked)
        watch.flows()
        twin._look(lambda: setattr(twin.market, "steps", twin.market.moved))  # what there is can be read
        until(lambda: lazy.recv(1 << 16) and not choked())
        twin._look(lambda: setattr(twin.market, "steps", None))
        watch.flows()


def test_a_line_whose_twin_is_gone_is_cut_off(twin: Twin, line: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    twin._look(lambda: setattr(twin, "_port", nobody))
    url = line.url
    with Watch(connect(Kraken(url=url), trades=["BTC/USD"])) as watch:
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)


def test_a_line_ends_with_its_twin_and_needs_one_that_serves() -> None:
    with Twin("kraken", seed=5, symbols=["BTC/USD"]) as twin:
        line = Proxy(twin).__enter__()
        watch = Watch(feed_of(line))
        watch.flows()
        line.refuse(PATIENCE)
        twin.close()
        watch.until(lambda: watch.error)
    line.close()
    assert line.connections == 0
    with pytest.raises(RuntimeError, match="the twin has stopped"):
        Proxy(twin).__enter__()


def test_a_line_that_is_closed_while_somebody_connects_leaves_nothing(twin: Twin) -> None:
    line = Proxy(twin).__enter__()
    line.half_open()
    with Watch(feed_of(line)) as watch:
        until(lambda: line.accepted)
        line.close()
        line.close()
        watch.until(lambda: watch.error)
    until(lambda: twin.connections == 0)


def test_a_client_that_does_not_wait_is_forgotten(twin: Twin, line: Proxy) -> None:
    def hasty(
        connect: Callable[[int], Coroutine[Any, Any, None]],
    ) -> Callable[[int], Coroutine[Any, Any, None]]:
        async def reset_first(port: int) -> None:
            pair.reset()
            await connect(port)

        return reset_first

    pair = _Pair(line)
    setattr(pair, "connect", hasty(pair.connect))  # noqa: B010 - a method that mypy would not let us replace
    twin._look(lambda: setattr(line, "_accept", lambda: pair))
    host, port = line.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    until(lambda: len(pair._sides) == 2 and pair._sides[1].transport.is_closing())
    assert twin.connections == 0


def test_what_is_under_way_is_given_up_at_the_end(twin: Twin) -> None:
    line = Proxy(twin).__enter__()
    twin._look(lambda: line._start(asyncio.sleep(PATIENCE)))
    line.close()
    until(lambda: not line._tasks)
