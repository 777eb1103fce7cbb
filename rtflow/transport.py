"""transport: from a provider to an observable of frames; all the sockets, and where ``ts_recv`` is taken.

websocket-client opens the connection (TLS with verification, headers, cookies, proxies, the upgrade); then a
reader thread of ours takes its socket over. It does all the reading, writing, stamping and answering, and
never runs a user's code: that happens on the :class:`~rtflow.scheduler.Line`, which it feeds through a
bounded ring.
"""

from __future__ import annotations

import http.client
import math
import os
import selectors
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec
import websocket
from reactivex import Observable, abc

from rtflow.counters import Counters
from rtflow.errors import Disconnected, FeedError, Rejected, RtflowError, Throttled
from rtflow.events import Closing, Frame, FrameKind, Lost, Status
from rtflow.provider import (
    Answer,
    Fetch,
    Provider,
    Refused,
    Request,
    Session,
    Subscription,
    Topic,
    Traffic,
    check_kinds,
)
from rtflow.rfc6455 import Opcode, Run, Splitter, closing, encode
from rtflow.scheduler import Line
from rtflow.time import SECOND


class Socket(Protocol):
    """What the reader needs of a socket on which the upgrade is done."""

    def fileno(self) -> int: ...
    def setblocking(self, flag: bool, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytearray, /) -> int: ...
    def close(self) -> None: ...


OpenSocket: TypeAlias = Callable[[Request, float], Socket]
"""Opens and upgrades, within so many seconds for each step; raises what websocket-client raises."""

GetDocument: TypeAlias = Callable[[Fetch, Request, float], bytes]
"""Gets a body by HTTP, within so many seconds for each step; raises what urllib raises."""


def connect(
    provider: Provider,
    *,
    trades: Iterable[str] = (),
    quotes: Iterable[str] = (),
    books: Iterable[str] = (),
    bars: Iterable[str] = (),
    clock: Callable[[], int] = time.time_ns,
    line: Line | None = None,
    capacity: int = 65_536,
    timeout: float = 10.0,
    keepalive: float | None = 20.0,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    open_socket: OpenSocket | None = None,
    get_document: GetDocument | None = None,
    counters: Counters | None = None,
    **kinds: Iterable[str],
) -> Feed:
    """A feed of what ``provider`` serves of these symbols, by kind; a subscription opens the connection.

    ``clock`` (ns) stamps the frames; where a ``line`` is given to share with other feeds, its clock does. At
    most ``capacity`` frames wait for the line. Opening, upgrade included, takes at most ``timeout`` seconds.
    After ``keepalive`` seconds without a byte we ping; without a byte for twice that behind the ping the line
    is dead, which is Disconnected (None: never ask).
    ``ssl_context`` replaces the default one, which verifies; ``proxy`` is ``http://[user:password@]host:port``
    and replaces what the environment says. ``open_socket`` replaces all of that, and ``get_document`` what
    gets the documents that a session asks for.

    Raises Unsupported for a kind that the venue does not have or for more than it allows, TypeError for what
    is no provider, ValueError for a proxy of another sort and for a capacity or a timeout of nothing.
    """
    if isinstance(provider, type) or not isinstance(getattr(provider, "name", None), str):
        raise TypeError(f"connect() takes a provider, as in connect(Kraken(), …), not {provider!r}")
    if capacity < 1:
        raise ValueError(f"capacity must be 1 or more, not {capacity}")
    for name, seconds in ("timeout", timeout), ("keepalive", keepalive):
        if seconds is not None and not seconds > 0:
            raise ValueError(f"{name} must be more than 0 seconds, not {seconds}")
    wanted = Subscription.of(trades=trades, quotes=quotes, books=books, bars=bars, **kinds)
    provider.request(wanted)  # says so if the venue cannot serve it, and knows best how to say it
    check_kinds(provider, wanted)
    proxied = _proxy_options(proxy)
    return Feed(
        provider,
        wanted,
        line=line or Line(clock=clock),
        capacity=capacity,
        timeout=timeout,
        keepalive=keepalive,
        open_socket=open_socket or partial(_open, ssl_context=ssl_context, proxy=proxied),
        get_document=get_document or partial(_get, ssl_context=ssl_context, proxy=proxy),
        counters=Counters() if counters is None else counters,
    )


class Feed(Observable[Frame]):
    """One venue's frames, cold: each subscription is one connection, and there is one at a time.

    ::

        O--f-ff---f--C#      OPEN, the venue's frames, CLOSE and then the error

    It never completes. It ends when it is disposed, which closes the socket and waits for the threads, a
    second at most, or with an error: Disconnected, Throttled or Rejected, as the session understood it, with
    ``delivered_for`` set. An attempt that fails has no frames at all. A subscriber that raises is given
    its own exception through ``on_error``, and the connection is closed.

    Of the frames ``received``, those that the ring could not hold are counted as ``overflowed`` and reported
    in their place, as soon as there is room, by a ``STATUS`` frame with a :class:`~rtflow.events.Lost`.

    What is wanted belongs to the feed and survives the connection; change it from any thread, at any time.
    """

    def __init__(
        self,
        provider: Provider,
        wanted: Subscription,
        *,
        line: Line,
        capacity: int,
        timeout: float,
        keepalive: float | None,
        open_socket: OpenSocket,
        get_document: GetDocument,
        counters: Counters,
    ) -> None:
        super().__init__()
        self.provider = provider
        self.line = line
        self.counters = counters
        self._capacity = capacity
        self._timeout = timeout
        self._keepalive = keepalive
        self._open_socket = open_socket
        self._get_document = get_document
        self._guard = threading.Lock()
        self._wanted = wanted
        self._epoch = 0
        self._connection: _Connection | None = None

    @property
    def wanted(self) -> Subscription:
        """What is wanted at this moment."""
        return self._wanted

    @property
    def epoch(self) -> int:
        """How many connections have been opened; the frames of the present one carry it."""
        return self._epoch

    def add(self, **kinds: Iterable[str]) -> None:
        """Want these symbols too; the venue is told at once, or when there is a connection.

        Raises Unsupported for a kind that the venue does not have, and for more than it allows.
        """
        added = Subscription.of(**kinds)
        self._want(lambda wanted: wanted | added)

    def remove(self, **kinds: Iterable[str]) -> None:
        """Want these symbols no longer."""
        removed = Subscription.of(**kinds)
        self._want(lambda wanted: wanted - removed)

    def resync(self, symbol: str) -> None:
        """Ask the venue for a fresh snapshot of this book; nothing happens while there is no connection."""
        if connection := self._connection:
            connection.resync(symbol)

    def reconnect(self) -> None:
        """End the present connection with Disconnected, so that a retry makes a new one."""
        if connection := self._connection:
            connection.reconnect()

    def _want(self, change: Callable[[Subscription], Subscription]) -> None:
        with self._guard:
            wanted = change(self._wanted)
            self.provider.request(wanted)
            check_kinds(self.provider, wanted)
            self._wanted = wanted
            connection = self._connection
        if connection is not None:
            connection.nudge()

    def _subscribe_core(
        self, observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        with self._guard:
            if self._connection is not None:
                raise RuntimeError(
                    f"this feed of {self.provider.name} has its one connection already; to share it, "
                    "put op.broadcast() behind it and subscribe to that"
                )
            self._connection = connection = _Connection(self, observer)
        connection.start()
        return connection

    def _opened(self) -> int:
        self._epoch += 1
        return self._epoch

    def _refused(self, topics: Iterable[Topic]) -> None:
        with self._guard:
            self._wanted = self._wanted - Subscription(frozenset(topics))

    def _left(self) -> None:
        with self._guard:
            self._connection = None


class _Connection(abc.DisposableBase):
    """One subscription: an attempt, the connection it may lead to, and the thread that reads it.

    The reader's own state needs no lock, as nobody else touches it. Others set ``_disposed``, ``_reconnect``
    and ``_resyncs``, and nudge.
    """

    def __init__(self, feed: Feed, observer: abc.ObserverBase[Frame]) -> None:
        self._feed = feed
        self._observer = observer
        self._thread = threading.Thread(target=self._run, name="rtflow-reader", daemon=True)

        self._guard = threading.Lock()
        self._disposed = False
        self._connected = False
        self._reconnect = False
        self._resyncs = deque[str]()
        self._selector = selectors.DefaultSelector()
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._listening = True
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._inlet = feed.line.inlet(
            observer.on_next, failed=self._subscriber_raised, capacity=feed._capacity
        )

        self._socket: Socket | None = None
        self._splitter = Splitter()
        self._outgoing = bytearray()
        self._heard = 0.0  # time.monotonic() of the last byte
        self._pinged: float | None = None  # and of our ping since then
        self._more = False  # TLS holds bytes that the selector does not see
        self._read_wants_write = False  # TLS must write before it can read on
        self._close_code = 1006
        self._close_sent = False
        self._documents = _Documents(self.nudge)
        self._told = feed.wanted  # what the session knows of what is wanted
        self._untold: list[Refused] = []  # what the stream has yet to say of refusals
        self._epoch = 0
        self._first_data: int | None = None
        self._last_data = 0
        self._lost = 0
        self._lost_first = 0
        self._lost_last = 0

    # -- from any thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def resync(self, symbol: str) -> None:
        if self._connected:
            self._resyncs.append(symbol)
            self.nudge()

    def reconnect(self) -> None:
        if self._connected:
            self._reconnect = True
            self.nudge()

    def nudge(self) -> None:
        """Wake the reader: something it should know has changed."""
        with self._guard:
            if self._listening:
                with suppress(BlockingIOError):  # the pipe is full of nudges: one more says nothing new
                    self._bell.send(b"\0")

    def dispose(self) -> None:
        with self._guard:
            if self._disposed:
                return
            self._disposed = True
        self._inlet.close()
        self.nudge()
        self._thread.join(_PATIENCE)
        self._feed._left()
        self._inlet.join(_PATIENCE)

    # -- on the line ---------------------------------------------------------------------------------------

    def _subscriber_raised(self, error: Exception) -> None:
        if self._disposed:
            raise error  # it has left and hears no on_error: the thread's excepthook does
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.dispose()  # before the observer hears of it: a retry may subscribe again from inside on_error
        self._observer.on_error(error)

    # -- on the reader -------------------------------------------------------------------------------------

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            self._attempt()
            self._serve()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection and is told below
            failure = error
        self._hang_up()
        if failure is not None:
            self._report(failure)

    def _attempt(self) -> None:
        """Get a socket, say OPEN, and let the session begin."""
        feed = self._feed
        request = feed.provider.request(self._told)
        self._documents.get = lambda fetch: feed._get_document(fetch, request, feed._timeout)
        self._session = feed.provider.session(self._told)
        self._classify = self._session.classify
        deadline = time.monotonic() + feed._timeout
        opening = _Opening(feed._open_socket, request, feed._timeout, self.nudge)
        while (outcome := opening.outcome) is None:
            remaining = deadline - time.monotonic()
            if self._disposed or remaining <= 0:
                opening.abandon()
                if self._disposed:
                    return
                outcome = TimeoutError()
                break
            self._wait(remaining)
        if isinstance(outcome, Exception):
            raise _explained(outcome, request, feed._timeout, self._session) from outcome
        self._socket = outcome
        outcome.setblocking(False)
        self._pending: Callable[[], int] | None = getattr(outcome, "pending", None)
        self._more = self._pending is not None and self._pending() > 0
        self._selector.register(outcome, selectors.EVENT_READ)
        self._epoch = feed._opened()
        stamp = self._inlet.stamp()
        opened = Frame(FrameKind.OPEN, _address(request.url).encode(), stamp, self._epoch)
        self._inlet.put([opened], even_if_full=True)
        self._connected = True
        self._heard = time.monotonic()
        self._session.started(stamp)
        self._say(self._session.opened())

    def _serve(self) -> None:
        while not self._disposed:
            self._obey()
            self._keep_time()
            if self._lost:
                self._hand_over([], self._inlet.stamp())
            self._flush()
            if self._wait(self._patience()) or self._more:
                self._read()
            else:
                self._ask_for_life()

    def _wait(self, seconds: float) -> bool:
        """Until there is something to do; True if it is on the socket."""
        ready = False
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._ear:
                self._ear.recv(4096)
            else:
                ready = True
        return ready

    def _patience(self) -> float:
        """How many seconds we may sleep if nothing comes."""
        if self._more:
            return 0.0
        due = self._session.due()
        waits = [_LONGEST_SLEEP if due is None else max(0.0, (due - self._feed.line.now_ns) / SECOND)]
        if self._lost:
            waits.append(_LOSS_AGAIN)
        if (patience := self._feed._keepalive) is not None:
            silent_by = self._heard + patience if self._pinged is None else self._pinged + 2 * patience
            waits.append(max(0.0, silent_by - time.monotonic()))
        return min(waits)

    def _ask_for_life(self) -> None:
        """There is nothing to read: since when?"""
        patience, now = self._feed._keepalive, time.monotonic()
        if patience is None:
            return
        if self._pinged is None:
            if now >= self._heard + patience:
                self._pinged = now
                self._send(Opcode.PING, b"")
        elif now >= self._pinged + 2 * patience:
            raise Disconnected(f"the line is dead: silent for {now - self._heard:.3g} s, though we pinged")

    def _obey(self) -> None:
        """Do what other threads asked for."""
        if self._reconnect:
            self._close_code = 1000
            raise Disconnected("reconnect asked for", code=1000)
        while self._resyncs:
            self._say(self._session.resync(self._resyncs.popleft()))
        while self._documents.come:
            self._heed(*self._documents.come.popleft())
        wanted = self._feed.wanted
        if wanted is not self._told:
            told, self._told = self._told, wanted
            added, removed = wanted - told, told - wanted
            if added or removed:
                self._say(self._session.wanted(added, removed))

    def _heed(self, fetch: Fetch, outcome: bytes | Exception) -> None:
        """A document has come, or not: the session hears of it, and so does the stream."""
        stamp = self._inlet.stamp()
        frames: list[Frame] = []
        try:
            if isinstance(outcome, bytes):
                payload = fetch.label.encode() + b"\n" + outcome
                frames.append(Frame(FrameKind.HTTP, payload, stamp, self._epoch))
                self._say(self._session.received(frames[0]))
            else:
                error = _unfetched(outcome, fetch, self._feed._timeout)
                venue = self._feed.provider.name
                told = Status("unfetched", stamp, f"{fetch.label}: {error}", epoch=self._epoch, venue=venue)
                frames.append(Frame(FrameKind.STATUS, msgspec.json.encode(told), stamp, self._epoch))
                self._say(self._session.unfetched(fetch, error, stamp))
        finally:
            frames += self._refusals(stamp)
            self._hand_over(frames, stamp)

    def _keep_time(self) -> None:
        due = self._session.due()
        if due is not None and (now := self._feed.line.now_ns) >= due:
            self._say(self._session.wake(now))

    def _read(self) -> None:
        """What has come; a flood gets a turn of so many reads, and then the rest of us does."""
        self._more = False
        socket, pending = self._socket, self._pending
        assert socket is not None
        for _ in range(_READS):
            try:
                chunk = socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except ssl.SSLWantWriteError:
                self._read_wants_write = True
                return
            except OSError as error:
                raise self._session.closed(1006, f"the line broke: {error}") from error
            if not chunk:
                raise self._session.closed(1006, "the line ended without a close frame")
            self._take(chunk)
            if pending is None and len(chunk) < _READ:
                return  # the socket is empty; the selector will say when it is not
        self._more = pending is not None and pending() > 0

    def _take(self, chunk: bytes) -> None:
        """Stamp, split, answer, hand over."""
        self._heard, self._pinged = time.monotonic(), None
        stamp = self._inlet.stamp()
        frames: list[Frame] = []
        try:
            runs = self._splitter.feed(chunk)
            epoch = self._epoch
            for opcode, payloads in runs:
                if opcode <= Opcode.BINARY:
                    kind = _KINDS[opcode]
                    frames += [Frame(kind, payload, stamp, epoch) for payload in payloads]
            self._answer(runs, frames, stamp)
        finally:
            frames += self._refusals(stamp)
            self._hand_over(frames, stamp)

    def _refusals(self, stamp: int) -> list[Frame]:
        """What the venue refused without naming it, in our own words."""
        said = [
            Status("rejected", stamp, refused.reason, symbol, kind, self._epoch, self._feed.provider.name)
            for refused in self._untold
            for kind, symbol in refused.topics
        ]
        self._untold.clear()
        return [Frame(FrameKind.STATUS, msgspec.json.encode(each), stamp, self._epoch) for each in said]

    def _answer(self, runs: list[Run], frames: list[Frame], stamp: int) -> None:
        """Say what these messages ask us to say; raises what ends the connection."""
        position = 0
        for opcode, payloads in runs:
            if opcode <= Opcode.BINARY:
                traffic = list(map(self._classify, payloads))
                data = traffic.count(Traffic.DATA)
                if data:
                    self._last_data = stamp
                    if self._first_data is None:
                        self._first_data = stamp
                if data < len(traffic):
                    for index, sort in enumerate(traffic, position):
                        if sort is Traffic.CONTROL:
                            self._say(self._session.received(frames[index]))
                position += len(payloads)
            elif opcode is Opcode.PING:
                for payload in payloads:
                    self._send(Opcode.PONG, payload)
            elif opcode is Opcode.CLOSE:
                self._close_code, reason = closing(payloads[0])
                self._send(Opcode.CLOSE, payloads[0][:2])
                raise self._session.closed(self._close_code, reason)
        if violation := self._splitter.violation:
            self._close_code = violation.code
            self._send(Opcode.CLOSE, violation.code.to_bytes(2))
            name = self._feed.provider.name
            raise Disconnected(
                f"{name} broke the WebSocket protocol: {violation.reason}", code=violation.code
            ) from violation

    def _hand_over(self, frames: list[Frame], stamp: int) -> None:
        """Put frames into the ring, behind the report of those that did not fit before."""
        self._feed.counters.add("received", len(frames))
        reported = [self._loss(stamp)] if self._lost else []
        taken = self._inlet.put(reported + frames if reported else frames)
        if self._disposed:
            return
        if taken and reported:
            taken -= 1
            self._lost = 0
        if taken < len(frames):
            if not self._lost:
                self._lost_first = stamp
            self._lost_last = stamp
            self._lost += len(frames) - taken
            self._feed.counters.add("overflowed", len(frames) - taken)

    def _loss(self, stamp: int) -> Frame:
        lost = Lost("", "frames", self._lost, self._lost_first, self._lost_last, "ring", stamp)
        return Frame(FrameKind.STATUS, msgspec.json.encode(lost), stamp, self._epoch)

    def _say(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, str):
                self._send(Opcode.TEXT, answer.encode())
            elif isinstance(answer, bytes):
                self._send(Opcode.BINARY, answer)
            elif isinstance(answer, Fetch):
                self._documents.fetch(answer)
            elif isinstance(answer, Refused):
                self._feed._refused(answer.topics)
                if not answer.told:
                    self._untold.append(answer)
                self._told = self._told - Subscription(frozenset(answer.topics))  # it said so itself
            else:
                raise answer

    def _send(self, opcode: Opcode, payload: bytes) -> None:
        if len(self._outgoing) > _MOST_UNSENT and opcode is not Opcode.CLOSE:
            raise Disconnected(f"{self._feed.provider.name} has stopped reading what we send")
        self._outgoing += encode(opcode, payload, os.urandom(4))
        self._close_sent = self._close_sent or opcode is Opcode.CLOSE

    def _flush(self) -> None:
        """Send what the socket takes, and have the selector say when it takes more."""
        assert self._socket is not None
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._read_wants_write else 0)
        self._read_wants_write = False
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except (BlockingIOError, ssl.SSLWantWriteError):
            events |= selectors.EVENT_WRITE
        except ssl.SSLWantReadError:
            pass  # TLS must read before it can write on, and reading is what we do next
        except OSError as error:
            self._outgoing.clear()
            self._read()  # the venue's last words explain more than a broken pipe
            raise self._session.closed(1006, f"the line broke: {error}") from error
        if events != self._selector.get_key(self._socket).events:
            self._selector.modify(self._socket, events)

    def _hang_up(self) -> None:
        """Say goodbye without waiting for an answer, and leave nothing open."""
        self._connected = False
        self._documents.abandon()
        if self._socket is not None:
            with suppress(OSError):  # who is gone cannot be told goodbye
                if not self._close_sent:
                    self._send(Opcode.CLOSE, (1000).to_bytes(2))
                while self._outgoing:
                    del self._outgoing[: self._socket.send(self._outgoing)]
                for _ in range(_READS):  # unread bytes would make it a reset, and cost them our goodbye
                    self._socket.recv(_READ)
            self._socket.close()
        with self._guard:
            self._listening = False
            self._selector.close()
            self._ear.close()
            self._bell.close()

    def _report(self, error: Exception) -> None:
        """CLOSE, where there was an OPEN, and then the error; both through the ring, so in order."""
        if isinstance(error, FeedError) and self._first_data is not None:
            error.delivered_for = (self._last_data - self._first_data) / SECOND
        frames: list[Frame] = []
        stamp = self._inlet.stamp()
        if self._epoch:
            reason = error.reason if isinstance(error, FeedError) else str(error)
            told = Closing(type(error).__name__, reason, self._close_code)
            if self._lost:
                frames.append(self._loss(stamp))
            frames.append(Frame(FrameKind.CLOSE, msgspec.json.encode(told), stamp, self._epoch))
        self._inlet.put(frames, even_if_full=True, then=partial(self._fail, error))


class _Opening:
    """An attempt to open a socket, on a thread of its own: looking up a name cannot be interrupted.

    Once abandoned, a socket that still arrives is closed.
    """

    def __init__(
        self, open_socket: OpenSocket, request: Request, timeout: float, arrived: Callable[[], None]
    ) -> None:
        self.outcome: Socket | Exception | None = None
        self._open = partial(open_socket, request, timeout)
        self._arrived = arrived
        self._abandoned = False
        self._guard = threading.Lock()
        threading.Thread(target=self._run, name="rtflow-opening", daemon=True).start()

    def abandon(self) -> None:
        with self._guard:
            self._abandoned = True
            self._close_if_abandoned()

    def _run(self) -> None:
        outcome: Socket | Exception
        try:
            outcome = self._open()
        except Exception as error:  # noqa: BLE001 - the reader raises it
            outcome = error
        with self._guard:
            self.outcome = outcome
            self._close_if_abandoned()
        self._arrived()

    def _close_if_abandoned(self) -> None:
        if self._abandoned and self.outcome is not None and not isinstance(self.outcome, Exception):
            self.outcome.close()


class _Documents:
    """Gets documents by HTTP, one after another, on a thread of its own that lives while there are any.

    Once abandoned, it asks for no more, and what still comes is let go.
    """

    get: Callable[[Fetch], bytes]

    def __init__(self, arrived: Callable[[], None]) -> None:
        self.come = deque[tuple[Fetch, bytes | Exception]]()
        self._wanted = deque[Fetch]()
        self._arrived = arrived
        self._running = False
        self._guard = threading.Lock()

    def fetch(self, fetch: Fetch) -> None:
        with self._guard:
            self._wanted.append(fetch)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="rtflow-documents", daemon=True).start()

    def abandon(self) -> None:
        with self._guard:
            self._wanted.clear()

    def _run(self) -> None:
        while True:
            with self._guard:
                if not self._wanted:
                    self._running = False
                    return
                fetch = self._wanted.popleft()
            outcome: bytes | Exception
            try:
                outcome = self.get(fetch)
            except Exception as error:  # noqa: BLE001 - the reader says what it means
                outcome = error
            self.come.append((fetch, outcome))
            self._arrived()


_PATIENCE = 0.5  # seconds that a dispose waits for each of the two threads
_READ = 131_072  # bytes
_READS = 16
_MOST_UNSENT = 16 * 1024 * 1024  # bytes
_LOSS_AGAIN = 0.01  # seconds between looks for room in a full ring, while a loss waits to be told
_LONGEST_SLEEP = 3600.0  # seconds; selectors do not know larger numbers than some

_KINDS = {Opcode.TEXT: FrameKind.TEXT, Opcode.BINARY: FrameKind.BINARY}


def _open(
    request: Request, timeout: float, *, ssl_context: ssl.SSLContext | None, proxy: dict[str, Any]
) -> Socket:
    """A socket from websocket-client, at the first byte after the upgrade."""
    address = urlsplit(request.url)
    if not proxy and _is_here(request.url):
        # A proxy from the environment would look for this machine's port on its own. websocket-client
        # takes exceptions to proxies only together with a proxy.
        proxy = {"http_proxy_host": "none", "http_proxy_port": 1, "http_no_proxy": ["*"]}
    tls = address.scheme == "wss"
    opened = websocket.create_connection(
        request.url,
        timeout=timeout,
        header=dict(request.headers),
        cookie=request.cookie or None,
        sslopt={"context": ssl_context or _trust(request)} if tls else None,
        redirect_limit=0,  # our headers are for this host alone
        enable_multithread=False,
        skip_utf8_validation=True,
        **proxy,
    )
    taken, opened.sock = opened.sock, None
    assert taken is not None
    return taken


def _is_here(url: str) -> bool:
    """Whether this machine is meant: a proxy would look for its port on its own."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.")


def _trust(request: Request) -> ssl.SSLContext:
    """Whom to believe who they are: the well-known authorities, and what the provider was told to trust."""
    context = ssl.create_default_context()
    if request.certificate:
        try:
            context.load_verify_locations(cafile=request.certificate)
        except OSError as error:  # an SSLError, where it is no certificate, is one too
            raise Rejected(f"the certificate {request.certificate} cannot be read: {error}") from error
    if not request.verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Our headers are for this host alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # the refusal to go on; the HTTPError tells
        return None


def _get(
    fetch: Fetch, request: Request, timeout: float, *, ssl_context: ssl.SSLContext | None, proxy: str | None
) -> bytes:
    """The body of a document."""
    if _is_here(fetch.url) and proxy is None:
        proxies = urllib.request.ProxyHandler({})
    else:
        proxies = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
    opener = urllib.request.build_opener(
        proxies, _NoRedirect(), urllib.request.HTTPSHandler(context=ssl_context or _trust(request))
    )
    asked = urllib.request.Request(fetch.url, headers={"User-Agent": "rtflow", **fetch.headers})
    try:
        answer = opener.open(asked, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer, too, and holds the socket
        raise
    with answer:
        body, ends = bytearray(), time.monotonic() + _STEPS * timeout
        while chunk := answer.read1(_READ):
            body += chunk
            if len(body) > _LONGEST_DOCUMENT:
                raise http.client.HTTPException(f"more than {_LONGEST_DOCUMENT >> 20} MiB")
            if time.monotonic() > ends:
                raise http.client.HTTPException(f"not all of it within {_STEPS * timeout:g} s")
        if answer.length:  # read in parts, the end of the line is taken for the end of the document
            raise http.client.IncompleteRead(bytes(body), answer.length)
    return bytes(body)


def _unfetched(error: Exception, fetch: Fetch, timeout: float) -> RtflowError:
    """Why a document did not come; a bug stays what it is."""
    host = urlsplit(fetch.url).netloc.rpartition("@")[2]
    if isinstance(error, urllib.error.HTTPError):
        reason = f"HTTP {error.code} {error.reason}".rstrip()
        if error.code in _UNSAID:
            wait = _retry_after(error.headers.get("Retry-After", ""))
            return Throttled(reason, retry_after=_UNSAID[error.code] if wait is None else wait)
        return Disconnected(reason) if error.code >= 500 else Rejected(reason, code=error.code)
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, http.client.HTTPException):
        return Disconnected(f"{host} did not answer as an HTTP server should: {error!r}")
    if (unreachable := _unreachable(error, host, timeout)) is not None:
        return unreachable
    raise error


def _retry_after(header: str) -> float | None:
    """Seconds to wait, by a header that says them or a date (RFC 9110, section 10.2.3); None for neither."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 1.0), _LONGEST_BAN) if not math.isnan(seconds) else None


def _proxy_options(proxy: str | None) -> dict[str, Any]:
    """A proxy's URL in websocket-client's words."""
    if proxy is None:
        return {}
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("a proxy is written http://[user:password@]host:port")
    options: dict[str, Any] = {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port or 80}
    if parts.username:
        options["http_proxy_auth"] = (unquote(parts.username), unquote(parts.password or ""))
    return options


def _address(url: str) -> str:
    """A URL without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _explained(error: Exception, request: Request, timeout: float, session: Session) -> Exception:
    """Why there is no connection, whose fault it is and what to do; a bug stays what it is."""
    host = urlsplit(request.url).netloc.rpartition("@")[2]
    if isinstance(error, websocket.WebSocketBadStatusException):
        body = (error.resp_body or b"").decode(errors="replace").strip()
        headers: dict[str, str] = getattr(error, "resp_headers", None) or {}
        said = headers.get("x-error-message", "")  # where Angel One, for one, says why
        text = ": ".join(part for part in (error.status_message or "", said, body[:_LONGEST_BODY]) if part)
        return session.denied(error.status_code, text)
    if isinstance(error, websocket.WebSocketProxyException):
        return Disconnected(f"the proxy on the way to {host} did not let us through: {error}")
    if (unreachable := _unreachable(error, host, timeout)) is not None:
        return unreachable
    if isinstance(error, websocket.WebSocketException):
        return Disconnected(f"{host} did not answer as a WebSocket server should: {error}")
    return error


def _unreachable(error: Exception, host: str, timeout: float) -> Disconnected | None:
    """Why a host could not be reached, for what the operating system and TLS say; None for all else."""
    if isinstance(error, websocket.WebSocketAddressException | socket.gaierror):
        return Disconnected(
            f"no address is known for {host}: check the name, and this machine's DNS: {error}"
        )
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return Disconnected(
            f"{host} did not answer within {timeout:g} s; it is down, or a firewall is silent"
        )
    if isinstance(error, ConnectionRefusedError):
        return Disconnected(f"{host} refused the connection: nothing listens there, or a firewall says no")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Disconnected(
            f"the certificate of {host} does not convince us ({error.verify_message}): check this machine's "
            "time and root certificates, or pass ssl_context="
        )
    if isinstance(error, ssl.SSLError):
        return Disconnected(f"{host} does not speak TLS as we do: {error}")
    if isinstance(error, OSError):
        return Disconnected(f"{host} could not be reached: {error}")
    return None


_LONGEST_DOCUMENT = 64 << 20  # bytes
_STEPS = 6  # times the patience with each step of getting a document, for all of it
_LONGEST_BAN = 7 * 86_400.0  # seconds
_UNSAID = {429: 60.0, 418: 120.0}  # seconds, where a server that has had too much does not say how long
_LONGEST_BODY = 300  # characters of an HTTP error's page
