"""The twin over a real loopback socket: its clock, its faults, its end."""

from __future__ import annotations

import gc
import json
import math
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as dial

from rtflow.errors import Unsupported
from rtflow.time import SECOND
from rtflow.twin import Listing, Twin, server
from tests.watching import SOON, within

START = 1_790_358_500 * SECOND
WAIT = 10.0
BOOK = '{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}'
TRADE = '{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}'


def kraken(**options: Any) -> Twin:
    """A twin whose time passes only by advance(), unless told otherwise."""
    quiet: dict[str, Any] = {"symbols": ["BTC/USD"], "start": START, "pace": 0.0, "warmup": 1.0}
    return Twin("kraken", **quiet | {"lifetime": 60.0} | options)


def connect(url: str, **options: Any) -> ClientConnection:
    """A client that takes whatever comes, so that the twin never waits for it."""
    client: ClientConnection = dial(url, max_queue=None, **options)
    return client


def recv(client: ClientConnection) -> str:
    return str(client.recv(timeout=WAIT))


def subscribed(client: ClientConnection, *requests: str) -> None:
    """Past the status, the acknowledgements and the snapshots."""
    for request in requests or [BOOK]:
        client.send(request)
    drained(client)


def drained(client: ClientConnection) -> list[str]:
    """Everything up to the answer to a ping."""
    client.send('{"method":"ping","req_id":77}')
    said: list[str] = []
    while '"req_id":77' not in (text := recv(client)):
        said.append(text)
    return said


def eventually(true: Callable[[], bool]) -> bool:
    return within(WAIT, true)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [each for each in threading.enumerate() if each.name == "rtflow-twin"]


def test_time_passes_on_request_and_everything_is_told() -> None:
    with kraken() as twin, connect(twin.url) as client:
        subscribed(client, BOOK, TRADE)
        twin.advance(3.0)
        told = [json.loads(each) for each in drained(client)]
        ids = [row["trade_id"] for each in told if each.get("channel") == "trade" for row in each["data"]]
        assert ids == [fill.id for fill in twin.trades]
        assert twin.now == START + 3 * SECOND
        assert [twin.connections, twin.accepted] == [1, 1]
    assert twin.now == START + 3 * SECOND, "what is true stays readable after the end"
    assert len(twin.trades) == len(ids)
    assert twin.market.now <= twin.now


def test_the_same_requests_get_the_same_frames_byte_for_byte() -> None:
    def frames(**options: Any) -> list[str]:
        with kraken(**options) as twin, connect(twin.url) as client:
            client.send(BOOK)
            client.send(TRADE)
            if not twin_paced(options):
                time.sleep(0.05)
                twin.advance(2.0)
            return [recv(client) for _ in range(60)]

    def twin_paced(options: dict[str, Any]) -> bool:
        return bool(options)

    assert frames() == frames() == frames(pace=1.0) == frames(pace=math.inf)


def test_held_time_passes_in_any_case_when_a_client_says_nothing() -> None:
    with Twin("alpaca", symbols=["AAPL"], start=START, pace=20.0) as twin, connect(twin.url) as client:
        assert "connected" in recv(client)
        assert "auth timeout" in recv(client)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=WAIT)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


def test_without_a_start_time_is_now_and_passes_at_once() -> None:
    with kraken(start=None, pace=1.0) as twin:
        assert eventually(lambda: bool(twin.moves))
        assert abs(time.time_ns() - twin.now) < 2 * SECOND


def test_a_racing_market_ends_after_its_steps_and_then_beats_once_a_second() -> None:
    with kraken(pace=math.inf, steps=3000) as twin, connect(twin.url) as client:
        subscribed(client)
        assert eventually(lambda: len(twin.moves) == 3000)
        passed = twin.now
        said = drained(client)
        assert len(said) > 1500
        assert passed > START + 30 * SECOND
        assert twin.now - passed < 3 * SECOND


def test_an_abrupt_cut_has_no_close_frame() -> None:
    with kraken() as twin, connect(twin.url) as client:
        recv(client)
        twin.disconnect()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=WAIT)
        assert closed.value.rcvd is None
        assert eventually(lambda: twin.connections == 0)


def test_an_announced_end_has_its_code_and_reason() -> None:
    with kraken() as twin, connect(twin.url) as client:
        recv(client)
        twin.disconnect(1012, "restart")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=WAIT)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "restart")


def test_a_silent_twin_keeps_the_socket_and_loses_what_it_had_to_say() -> None:
    with kraken() as twin, connect(twin.url) as client:
        subscribed(client)
        twin.silence(0.5)
        twin.advance(2.0)
        assert client.ping().wait(WAIT), "pings are answered"
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.05)
        time.sleep(0.5)
        twin.advance(2.0)
        first = json.loads(recv(client))
        assert first["channel"] in ("book", "heartbeat")
        stamps = [
            row["timestamp"] for row in [json.loads(each) for each in drained(client)][-1].get("data", [])
        ]
        assert all(stamp > "2026-09-25T17:48:22" for stamp in stamps)


def test_a_gap_drops_so_many_data_messages() -> None:
    with kraken() as twin, connect(twin.url) as client:
        subscribed(client, TRADE)
        twin.gap(3)
        twin.advance(10.0)
        rows = [json.loads(each) for each in drained(client)]
        told = [row["trade_id"] for each in rows if each["channel"] == "trade" for row in each["data"]]
        lost = [fill.id for move in [each for each in twin.moves if each.trades][:3] for fill in move.trades]
        assert lost + told == [fill.id for fill in twin.trades]
        assert {"channel": "heartbeat"} in rows, "heartbeats are not data"


def test_upgrades_are_refused_for_a_while() -> None:
    with kraken() as twin:
        twin.refuse(0.3, status=429)
        with pytest.raises(InvalidStatus) as refused:
            connect(twin.url)
        assert refused.value.response.status_code == 429
        time.sleep(0.35)
        with connect(twin.url) as client:
            assert "status" in recv(client)
        assert twin.accepted == 1


def test_a_plain_get_is_answered_with_a_page_or_with_none() -> None:
    with kraken() as twin:
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(f"{twin.rest_url}/0/public/Depth", timeout=WAIT)
        assert (missing.value.code, missing.value.read()) == (404, b"not found")
        missing.value.close()
        twin.refuse(WAIT, status=503)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{twin.rest_url}/0/public/Depth", timeout=WAIT)
        assert (refused.value.code, refused.value.headers["Content-Type"]) == (503, "text/plain")
        refused.value.close()


def test_one_frame_is_malformed_on_request() -> None:
    with kraken() as twin, connect(twin.url) as client:
        subscribed(client)
        twin.corrupt()
        twin.advance(2.0)
        broken, *whole = drained(client)
        with pytest.raises(json.JSONDecodeError):
            json.loads(broken)
        assert len(whole) > 10
        assert all(json.loads(each) for each in whole)


def test_one_checksum_is_wrong_on_request() -> None:
    sums: list[list[int]] = []
    for spoil in (False, True):
        with kraken() as twin, connect(twin.url) as client:
            subscribed(client)
            if spoil:
                twin.provoke("wrong_checksum")
            twin.advance(2.0)
            sums.append(
                [each["data"][0]["checksum"] for each in map(json.loads, drained(client)) if "data" in each]
            )
    right, wrong = sums
    assert right[1:] == wrong[1:]
    assert right[0] == wrong[0] ^ 1


def test_the_engine_announces_maintenance() -> None:
    with kraken() as twin, connect(twin.url) as client:
        recv(client)
        twin.provoke("announce", system="maintenance")
        assert '"system":"maintenance"' in recv(client)


def test_a_fault_has_the_options_of_its_method_and_no_others() -> None:
    with kraken() as twin, pytest.raises(TypeError, match=r"provoke_announce\(\) .*'state'"):
        twin.provoke("announce", state="maintenance")


def test_what_a_venue_does_not_have_it_cannot_do() -> None:
    with Twin("alpaca", symbols="AAPL") as twin, pytest.raises(Unsupported, match="no 'wrong_checksum'"):
        twin.provoke("wrong_checksum")


def test_a_twin_has_no_address_before_it_serves() -> None:
    with pytest.raises(RuntimeError, match="inside its with block"):
        Twin("kraken").url_of("/v2")


def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_served() -> None:
    with kraken(pace=1.0, rate=1000.0, buffer=1 << 16, start=None) as twin, connect(twin.url) as client:
        slow = raw(twin)
        slow.sendall(masked(BOOK.encode()))
        assert eventually(lambda: twin.accepted == 2 and twin.connections == 1)
        slow.close()
        assert len(drained(client)) == 1, "its status"


def test_a_racing_market_waits_for_its_readers_but_not_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 0.2)
    with kraken(pace=math.inf, steps=None) as twin:
        slow = raw(twin)
        slow.sendall(masked(BOOK.encode()))
        assert eventually(lambda: twin.accepted == 1 and twin.connections == 0)
        slow.close()


def test_a_racing_market_goes_on_when_its_reader_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", WAIT)
    with kraken(pace=math.inf, steps=None) as twin:
        client = raw(twin, 1 << 15)
        client.sendall(masked(BOOK.encode()))
        assert eventually(lambda: any(each.choked for each in twin._server.clients))
        stood = len(twin.moves)
        while len(twin.moves) < stood + 1000:
            client.recv(1 << 16)
        assert twin.connections == 1
        client.close()


def test_the_end_is_announced_and_comes_within_a_second() -> None:
    with kraken() as twin, connect(twin.url) as client:
        recv(client)
        mute, silent = raw(twin), narrow(twin)  # one never answers the close frame, one never even upgraded
        begun = time.monotonic()
        twin.close()
        assert time.monotonic() - begun < SOON
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=WAIT)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        twin.close()
        with pytest.raises(RuntimeError, match="stopped"):
            twin.disconnect()
        mute.close()
        silent.close()


def test_who_comes_as_it_ends_is_told_too() -> None:
    late: list[socket.socket] = []

    def come() -> None:
        """In the twin's thread, so that it sees who has come when it is due to end, and not before."""
        late.append(socket.create_connection(("127.0.0.1", port_of(twin)), WAIT))
        twin._server.stop()
        time.sleep(0.05)

    with kraken() as twin, raw(twin):  # who never answers, and so is waited for
        twin._ask(come)
        twin.close()
        with late[0] as client:
            assert client.recv(1) == b""
    assert not twin._server.clients
    gc.collect()  # what was left open would complain here


def test_a_twin_ends_by_itself() -> None:
    with kraken(lifetime=0.1) as twin:
        assert eventually(lambda: not [each for each in threading.enumerate() if each.name == "rtflow-twin"])
        with pytest.raises(RuntimeError, match="stopped"):
            twin.advance(1.0)
        with pytest.raises(OSError, match="refused"):
            connect(twin.url)


def test_who_waits_for_time_is_told_when_the_twin_stops() -> None:
    with kraken(lifetime=0.3, rate=100.0) as twin, pytest.raises(RuntimeError, match="stopped"):
        twin.advance(100_000.0)


def test_nothing_can_be_asked_of_a_twin_that_was_never_started() -> None:
    twin = kraken()
    with pytest.raises(RuntimeError, match="stopped"):
        twin.gap(1)
    assert twin.moves == []
    twin.close()


def test_a_wrong_ask_is_the_callers_own_error() -> None:
    with kraken() as twin, connect(twin.url) as client:
        recv(client)
        with pytest.raises(Exception, match="status code"):
            twin.disconnect(1)


def test_a_taken_port_is_an_error_of_the_start() -> None:
    with kraken() as twin, pytest.raises(OSError, match="in use"), kraken(port=port_of(twin)):
        pass


def test_without_websockets_the_twin_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtflow.twin.wire", None)
    with pytest.raises(ImportError, match=r"rtflow\[cli\]"), kraken():
        pass


@pytest.mark.parametrize("venue", ["nasdaq", ""])
def test_an_unknown_venue_is_unsupported(venue: str) -> None:
    with pytest.raises(Unsupported, match="alpaca, "):
        Twin(venue)


def test_kraken_has_none_of_alpacas_options() -> None:
    with pytest.raises(Unsupported, match="knows no keys; it knows message_rate, burst, seed, symbols, "):
        Twin("kraken", keys={"a": "b"})


@pytest.mark.parametrize(
    ("symbols", "feed", "path"),
    [
        (["AAPL", "BTC/USD"], None, "/v2/iex"),
        (["BTC/USD"], None, "/v1beta3/crypto/us"),
        (["AAPL"], "sip", "/v2/sip"),
    ],
)
def test_the_url_names_the_feed(symbols: list[str], feed: str | None, path: str) -> None:
    with Twin("alpaca", symbols=symbols, feed=feed, keys={"k": "s"}) as twin, connect(twin.url) as client:
        assert twin.url.endswith(path)
        assert twin.url_of("/x").endswith("/x")
        recv(client)
        client.send('{"action":"auth","key":"k","secret":"s"}')
        assert "authenticated" in recv(client)


def test_an_unknown_path_is_not_found() -> None:
    with kraken() as twin, pytest.raises(InvalidStatus) as refused:
        connect(twin.url_of("/v9"))
    assert refused.value.response.status_code == 404


def test_msgpack_travels_in_binary_frames() -> None:
    with Twin("alpaca", symbols=["AAPL"], start=START, pace=0.0) as twin:
        headers = {"Content-Type": "application/msgpack"}
        with connect(twin.url, additional_headers=headers) as client:
            assert client.recv(timeout=WAIT) == bytes.fromhex(
                "9182a154a773756363657373a36d7367a9636f6e6e6563746564"
            )


def test_deflate_is_spoken_only_if_asked_for() -> None:
    for deflate in (False, True):
        with kraken(deflate=deflate) as twin, connect(twin.url) as client:
            assert bool(client.protocol.extensions) == deflate
            subscribed(client)
            twin.advance(1.0)
            assert drained(client)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_tls_is_spoken_with_a_context(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject]
    subprocess.run(made, check=True, capture_output=True)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    with kraken(ssl_context=ours) as twin:
        assert twin.url.startswith("wss://")
        with connect(twin.url, ssl=ssl.create_default_context(cafile=str(certificate))) as client:
            subscribed(client)


def test_a_listing_of_ones_own_is_served() -> None:
    with kraken(symbols=[Listing("ABC/XYZ", 10_000, rate=500.0)]) as twin, connect(twin.url) as client:
        subscribed(client, BOOK.replace("BTC/USD", "ABC/XYZ"))
        twin.advance(1.0)
        assert drained(client)


# --- clients that do not keep the rules ---------------------------------------------------------------------


def port_of(twin: Twin) -> int:
    return int(twin.url.rsplit(":")[-1].partition("/")[0])


def narrow(twin: Twin, size: int = 4096) -> socket.socket:
    """A connected socket that holds little of what it does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    client.settimeout(WAIT)
    client.connect(("127.0.0.1", port_of(twin)))
    return client


def raw(twin: Twin, size: int = 4096) -> socket.socket:
    """An upgraded socket, and nobody who reads it."""
    client = narrow(twin, size)
    client.sendall(
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def masked(payload: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    assert len(payload) < 126
    return bytes([fin << 7 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def rest(client: socket.socket) -> bytes:
    said = b""
    while chunk := client.recv(4096):
        said += chunk
    return said


def test_a_request_may_come_in_fragments_around_a_ping() -> None:
    with kraken() as twin:
        client = raw(twin)
        client.sendall(
            masked(b'{"method":', fin=False)
            + masked(b"hi", opcode=9)
            + masked(b'"ping"', 0, False)
            + masked(b"}", 0)
        )
        said = b""
        while b'"pong"' not in said:
            said += client.recv(4096)
        assert b"\x8a\x02hi" in said
        client.close()


def test_text_that_is_not_utf8_ends_the_connection_with_1007() -> None:
    with kraken() as twin:
        client = raw(twin)
        client.sendall(masked(b"\xff"))
        assert b"\x03\xef" in rest(client)
        client.close()


def test_an_unmasked_frame_is_a_protocol_error() -> None:
    with kraken() as twin:
        client = raw(twin)
        client.sendall(b"\x81\x02{}")
        assert b"\x03\xea" in rest(client)
        client.close()


@pytest.mark.parametrize("words", [b"hello\r\n\r\n", b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_who_does_not_upgrade_is_not_served(words: bytes) -> None:
    with kraken() as twin:
        client = narrow(twin)
        client.sendall(words)
        assert b"101 " not in rest(client)
        client.close()
        assert eventually(lambda: twin.connections == 0)


def test_after_its_close_frame_the_twin_says_no_more_and_cuts_who_does_not_answer() -> None:
    with kraken() as twin:
        client = raw(twin)
        client.sendall(masked(BOOK.encode()))
        assert eventually(lambda: any(each.listening for each in twin._venue.conversations))
        twin.disconnect(1001, "bye")
        twin.advance(1.0)
        said = rest(client)
        assert said.endswith(b"\x88\x05\x03\xe9bye")
        client.close()


@pytest.mark.parametrize(
    ("venue", "options", "words"),
    [
        ("alpaca", {"feed": "nope"}, "alpaca's twin has no feed 'nope'; it has iex, "),
        (
            "polygon",
            {"cluster": "optons"},
            "polygon's twin has no cluster 'optons'; it has stocks, options, ",
        ),
    ],
)
def test_a_misspelt_place_is_unsupported(venue: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        Twin(venue, **options)
