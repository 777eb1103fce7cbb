"""Documents: what a session needs by HTTP comes in order with the frames, and its absence is said."""

from __future__ import annotations

import http.client
import threading
import urllib.error
from collections.abc import Iterator
from email.message import Message

import msgspec
import pytest

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled
from rtflow.events import Frame, FrameKind, Status
from rtflow.provider import Fetch, Request
from rtflow.transport import _Documents, _retry_after, _unfetched, connect
from tests.test_transport import (  # noqa: F401 - fixtures
    BOUND,
    Door,
    Got,
    Venue,
    _no_thread_is_left,
    asked,
    certificate,
    got,
    tls,
    venue,
)


class Library:
    """Documents by label, each of which waits until the test lets it go."""

    def __init__(self, **documents: bytes | Exception) -> None:
        self.documents = documents
        self.asked: list[tuple[str, str, float]] = []
        self.entered = threading.Event()  # somebody has asked
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, fetch: Fetch, request: Request, timeout: float) -> bytes:
        self.asked.append((fetch.label, request.url, timeout))
        self.entered.set()
        assert self.gate.wait(BOUND)
        document = self.documents[fetch.label]
        if isinstance(document, Exception):
            raise document
        return document


def status(frame: Frame) -> Status:
    return msgspec.json.decode(frame.payload, type=Status)


def test_a_document_comes_as_a_frame_and_the_session_hears_of_it(venue: Venue, got: Got) -> None:
    library = Library(first=b'{"a":1}', second=b"line\nline")
    feed = connect(venue, trades=["A"], open_socket=venue.open, get_document=library, timeout=3.0)
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("!fetch first", "!fetch second")
        assert peer.hears_text() == 'got first: {"a":1}'
        assert peer.hears_text() == "got second: line\nline"
        peer.send("data")
        got.until(lambda: len(got.frames) == 6)
    documents = [frame for frame in got.frames if frame.kind is FrameKind.HTTP]
    assert [frame.payload for frame in documents] == [b'first\n{"a":1}', b"second\nline\nline"]
    assert {frame.epoch for frame in documents} == {1}
    assert got.kinds[-1] == "text", "in order with the rest"
    assert library.asked == [("first", venue.url, 3.0), ("second", venue.url, 3.0)]
    assert feed.counters["received"] == 5


def test_frames_go_on_while_a_document_is_under_way(venue: Venue, got: Got) -> None:
    library = Library(slow=b"{}")
    library.gate.clear()
    feed = connect(venue, trades=["A"], open_socket=venue.open, get_document=library)
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("!fetch slow", "data")
        got.wait("!fetch slow", "data")
        library.gate.set()
        assert peer.hears_text() == "got slow: {}"
        got.until(lambda: got.kinds == ["open", "text", "text", "http"])


def test_a_document_that_does_not_come_is_said_and_the_session_decides(venue: Venue, got: Got) -> None:
    library = Library(optional=urllib.error.URLError(ConnectionRefusedError(111, "refused")))
    feed = connect(venue, trades=["A"], open_socket=venue.open, get_document=library)
    with feed.subscribe(got):
        peer = venue.peer()
        peer.send("!fetch optional")
        assert peer.hears_text() == "no optional: Disconnected"
        got.until(lambda: len(got.frames) == 4)
    reason = "fake.example refused the connection: nothing listens there, or a firewall says no"
    assert status(got.frames[2]) == Status(
        "unfetched", got.frames[2].ts_recv, f"optional: {reason}", venue="fake"
    )
    assert status(got.frames[3]).state == "rejected"
    assert not feed.wanted


def test_a_session_may_end_the_connection_over_it(venue: Venue, got: Got) -> None:
    library = Library(must=TimeoutError())
    connect(venue, trades=["A"], open_socket=venue.open, get_document=library, timeout=7).subscribe(got)
    venue.peer().send("!fetch must")
    assert str(got.error()) == "fake.example did not answer within 7 s; it is down, or a firewall is silent"
    assert got.kinds == ["open", "text", "status", "close"]


def test_a_bug_in_getting_a_document_goes_through_untouched(venue: Venue, got: Got) -> None:
    connect(venue, trades=["A"], open_socket=venue.open, get_document=Library()).subscribe(got)
    venue.peer().send("!fetch unknown")
    assert type(got.error()) is KeyError


def test_who_has_left_gets_no_document(venue: Venue, got: Got) -> None:
    library = Library(slow=b"{}", next=b"{}")
    library.gate.clear()
    feed = connect(venue, trades=["A"], open_socket=venue.open, get_document=library)
    with feed.subscribe(got):
        venue.peer().send("!fetch slow", "!fetch next", "data")
        got.until(lambda: len(got.payloads) == 3)
        assert library.entered.wait(BOUND)
    library.gate.set()
    assert [label for label, _, _ in library.asked] == ["slow"]
    assert "http" not in got.kinds


def test_documents_come_one_after_another_and_the_thread_ends_with_the_last() -> None:
    arrived = threading.Event()
    documents = _Documents(arrived.set)
    documents.get = lambda fetch: fetch.label.encode()
    for label in ("a", "b"):
        arrived.clear()
        documents.fetch(Fetch(label, "http://x"))
        assert arrived.wait(BOUND)
    assert [outcome for _, outcome in documents.come] == [b"a", b"b"]


# -- for real ----------------------------------------------------------------------------------------------


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


def fetched(venue: Venue, got: Got, door: Door, answer: bytes) -> tuple[dict[str, str], str]:
    """What was asked of a server that answers so, and what the session heard."""
    scheme = "http" if door.context is None else "https"
    with connect(venue, trades=["A"], open_socket=venue.open).subscribe(got):
        peer = venue.peer()
        peer.send(f"!fetch doc {scheme}://127.0.0.1:{door.port}/depth?symbol=A")
        server = door.peer()
        request = asked(server)
        server.sock.sendall(answer)
        server.close()
        heard = peer.hears_text()
        got.until(lambda: len(got.frames) == 3)
        return request, heard


def page(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_page_is_asked_for_with_its_headers(venue: Venue, got: Got, door: Door) -> None:
    request, heard = fetched(venue, got, door, page("200 OK", b'{"bids":[]}'))
    assert heard == 'got doc: {"bids":[]}'
    assert request[""] == "GET /depth?symbol=A HTTP/1.1"
    assert request["x-key"] == "secret"
    assert request["user-agent"] == "rtflow"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            page("429 Too Many Requests", b"", "Retry-After: 17"),
            Throttled("HTTP 429 Too Many Requests", retry_after=17.0),
        ),
        (page("418 I'm a teapot"), Throttled("HTTP 418 I'm a teapot", retry_after=120.0)),
        (page("429 Slow", b"", "Retry-After: tomorrow"), Throttled("HTTP 429 Slow", retry_after=60.0)),
        (page("400 Bad Request", b'{"code":-1121}'), Rejected("HTTP 400 Bad Request", code=400)),
        (page("503 Service Unavailable"), Disconnected("HTTP 503 Service Unavailable")),
        (page("302 Found", b"", "Location: http://127.0.0.1:1/"), Rejected("HTTP 302 Found", code=302)),
    ],
)
def test_what_a_status_means(venue: Venue, got: Got, door: Door, answer: bytes, error: RtflowError) -> None:
    _, heard = fetched(venue, got, door, answer)
    assert heard == f"no doc: {type(error).__name__}"
    assert status(got.frames[2]).text == f"doc: {error}"
    assert vars(_meaning(answer)) == vars(error)


def _meaning(answer: bytes) -> RtflowError:
    """What a status line and its headers mean, without a server."""
    head, *lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    _, code, reason = head.split(" ", 2)
    headers = Message()
    for name, _, value in (line.partition(": ") for line in lines):
        headers[name] = value
    error = urllib.error.HTTPError("http://x/", int(code), reason, headers, None)
    return _unfetched(error, Fetch("doc", "http://x/"), 1.0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"what?\r\n\r\n", "did not answer as an HTTP server should: BadStatusLine("),
        (b"", "did not answer as an HTTP server should: RemoteDisconnected("),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            "did not answer as an HTTP server should: IncompleteRead(",
        ),
    ],
)
def test_a_server_that_breaks_http_is_said_to(
    venue: Venue, got: Got, door: Door, answer: bytes, error: str
) -> None:
    _, heard = fetched(venue, got, door, answer)
    assert heard == "no doc: Disconnected"
    assert status(got.frames[2]).text.startswith(f"doc: 127.0.0.1:{door.port} {error}")


def test_a_document_without_end_is_given_up(
    venue: Venue, got: Got, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtflow.transport._LONGEST_DOCUMENT", 10)
    assert fetched(venue, got, door, page("200 OK", b"x" * 11))[1] == "no doc: Disconnected"


def test_a_document_that_trickles_in_is_given_up(
    venue: Venue, got: Got, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtflow.transport._STEPS", 0)
    assert fetched(venue, got, door, page("200 OK", b"{}"))[1] == "no doc: Disconnected"
    assert "not all of it within 0 s" in status(got.frames[2]).text


def test_a_document_by_tls_is_verified_like_the_feed(
    venue: Venue, got: Got, tls: Door, certificate: object
) -> None:
    venue.certificate = str(certificate)
    assert fetched(venue, got, tls, page("200 OK", b"{}"))[1] == "got doc: {}"


def test_a_proxy_carries_documents_too(venue: Venue, got: Got, door: Door) -> None:
    with connect(
        venue, trades=["A"], open_socket=venue.open, proxy=f"http://127.0.0.1:{door.port}"
    ).subscribe(got):
        peer = venue.peer()
        peer.send("!fetch doc http://rest.example/depth")
        server = door.peer()
        assert asked(server)[""] == "GET http://rest.example/depth HTTP/1.1"
        server.sock.sendall(page("200 OK", b"{}"))
        assert peer.hears_text() == "got doc: {}"


def test_a_proxy_from_the_environment_carries_documents_from_elsewhere(
    venue: Venue, got: Got, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{door.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    with connect(venue, trades=["A"], open_socket=venue.open).subscribe(got):
        peer = venue.peer()
        peer.send("!fetch doc http://rest.example/depth")
        server = door.peer()
        assert asked(server)[""] == "GET http://rest.example/depth HTTP/1.1"
        server.sock.sendall(page("200 OK", b"{}"))
        assert peer.hears_text() == "got doc: {}"


def test_an_address_that_cannot_be_asked_is_said_to_be_one() -> None:
    error = _unfetched(urllib.error.URLError("unknown url type: gopher"), Fetch("doc", "gopher://x/"), 1.0)
    assert str(error) == "x could not be reached: <urlopen error unknown url type: gopher>"
    assert type(_unfetched(http.client.InvalidURL("no"), Fetch("doc", "http://x/"), 1.0)) is Disconnected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        ("120.5", 120.5),
        ("0", 1.0),
        ("-3", 1.0),
        ("9" * 400, 7 * 86_400.0),
        ("inf", 7 * 86_400.0),
        ("nan", None),
        ("", None),
        ("tomorrow", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
        ("Wed, 21 Oct 2115 07:28:00 GMT", 7 * 86_400.0),
    ],
)
def test_how_long_to_wait_is_said_in_seconds_or_by_a_date(header: str, seconds: float | None) -> None:
    assert _retry_after(header) == seconds
