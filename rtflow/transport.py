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
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec
import websocket
from reactivex import Observable, abc

from rtflow.backoff import backoff
from rtflow.budgets import SHARED, Budget, Budgets
from rtflow.counters import Counters
from rtflow.errors import Disconnected, FeedError, Rejected, RtflowError, Throttled
from rtflow.events import Closing, Frame, FrameKind, Lost, Opening, State, Status
from rtflow.farewells import Farewells
from rtflow.provider import (
    Answer,
    Expiring,
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
from rtflow.shards import spread
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
    budgets: Budgets = SHARED,
    **kinds: Iterable[str],
) -> Feed:
    """A feed of what ``provider`` serves of these symbols, by kind; a subscription opens the connection.

    ``clock`` (ns) stamps the frames; where a ``line`` is given to share with other feeds, its clock does. At
    most ``capacity`` frames wait for the line. Opening, upgrade included, takes at most ``timeout`` seconds.
    After ``keepalive`` seconds without a byte we ping; without a byte for twice that behind the ping the line
    is dead, which is Disconnected (None: never ask).
    ``ssl_context`` replaces the default one, which verifies; ``proxy`` is ``http://[user:password@]host:port``
    and replaces what the environment says. ``open_socket`` replaces all of that, and ``get_document`` what
    gets the documents that a session asks for. ``budgets`` are what the feeds of a process share: how often
    they connect to one host, and how much they get from it.

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
    shards = _shared_out(provider, wanted, ())
    proxied = _proxy_options(proxy)
    return Feed(
        provider,
        wanted,
        shards,
        line=line or Line(clock=clock),
        capacity=capacity,
        timeout=timeout,
        keepalive=keepalive,
        open_socket=open_socket or partial(_open, ssl_context=ssl_context, proxy=proxied),
        get_document=get_document or partial(_get, ssl_context=ssl_context, proxy=proxy),
        counters=Counters() if counters is None else counters,
        budgets=budgets,
    )


def _shared_out(
    provider: Provider, wanted: Subscription, shards: Sequence[Subscription]
) -> tuple[Subscription, ...]:
    """What goes over which connection; raises Unsupported for what the venue cannot serve."""
    shared = spread(wanted, shards, getattr(provider, "room", None))
    for shard in shared:
        provider.request(shard)  # says so if the venue cannot serve it, and knows best how to say it
    check_kinds(provider, wanted)
    return shared


class Feed(Observable[Frame]):
    """One venue's frames, cold: each subscription is one connection, and there is one subscription at a time.

    ::

        O--f-ff---f--C#      OPEN, the venue's frames, CLOSE and then the error

    It never completes. It ends when it is disposed, which closes the socket and waits for the threads, a
    second at most, or with an error: Disconnected, Throttled or Rejected, as the session understood it, with
    ``delivered_for`` set. An attempt that fails has no frames at all. A subscriber that raises is given
    its own exception through ``on_error``, and the connection is closed.

    Of the frames ``received``, those that the ring could not hold are counted as ``overflowed`` and reported
    in their place, as soon as there is room, by a ``STATUS`` frame with a :class:`~rtflow.events.Lost`.

    What is wanted belongs to the feed and survives the connection; change it from any thread, at any time.

    Where the venue serves only so much over one connection (``provider.room``), there are several, and their
    frames are mixed, each with its own epoch. One that fails is made anew while the others go on, and with
    waits of its own; only when none is left does the feed fail.
    """

    def __init__(
        self,
        provider: Provider,
        wanted: Subscription,
        shards: tuple[Subscription, ...],
        *,
        line: Line,
        capacity: int,
        timeout: float,
        keepalive: float | None,
        open_socket: OpenSocket,
        get_document: GetDocument,
        counters: Counters,
        budgets: Budgets,
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
        self._budgets = budgets
        self._guard = threading.Lock()
        self._wanted = wanted
        self._shards = shards  # by connection, where one cannot carry them all
        self._epoch = 0
        self._farewells = Farewells()
        self._connection: _Reader | None = None

    @property
    def wanted(self) -> Subscription:
        """What is wanted at this moment."""
        return self._wanted

    @property
    def epoch(self) -> int:
        """How many connections have been opened; the frames of the newest carry it."""
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
        """End what is connected with Disconnected, so that a retry makes it anew."""
        if connection := self._connection:
            connection.reconnect()

    def _want(self, change: Callable[[Subscription], Subscription]) -> None:
        with self._guard:
            wanted = change(self._wanted)
            self._shards = _shared_out(self.provider, wanted, self._shards)
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
            self._connection = connection = _Reader(self, observer)
        connection.start()
        return connection

    def _opened(self) -> int:
        self._epoch += 1
        return self._epoch

    def _refused(self, topics: Iterable[Topic]) -> None:
        refused = Subscription(frozenset(topics))
        with self._guard:
            self._wanted = self._wanted - refused
            self._shards = tuple(each - refused for each in self._shards)

    def _left(self) -> None:
        with self._guard:
            self._connection = None


class _Reader(abc.DisposableBase):
    """One subscription: the thread that reads for it, and the connections it reads.

    What belongs to the thread needs no lock, as nobody else touches it. Others set ``disposed``,
    ``_reconnect`` and ``_resyncs``, and nudge.
    """

    def __init__(self, feed: Feed, observer: abc.ObserverBase[Frame]) -> None:
        self.feed = feed
        self._observer = observer
        self._thread = threading.Thread(target=self._run, name="rtflow-reader", daemon=True)

        self._guard = threading.Lock()
        self.disposed = False
        self._connected = False
        self._reconnect = False
        self._resyncs = deque[str]()
        self.selector = selectors.DefaultSelector()
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._listening = True
        self.selector.register(self._ear, selectors.EVENT_READ)
        self._inlet = feed.line.inlet(
            observer.on_next, failed=self._subscriber_raised, capacity=feed._capacity
        )

        self._lanes: dict[int, _Lane] = {}
        self._unsaid: list[Status] = []  # of ourselves
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
            if self.disposed:
                return
            self.disposed = True
        self._inlet.close()
        self.nudge()
        self._thread.join(_PATIENCE)
        self.feed._left()
        self._inlet.join(_PATIENCE)

    # -- on the line ---------------------------------------------------------------------------------------

    def _subscriber_raised(self, error: Exception) -> None:
        if self.disposed:
            raise error  # it has left and hears no on_error: the thread's excepthook does
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.dispose()  # before the observer hears of it: a retry may subscribe again from inside on_error
        self._observer.on_error(error)

    # -- on the reader -------------------------------------------------------------------------------------

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            while not self.disposed:
                self._turn()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this subscription and is told below
            failure = error
        self._hang_up()
        if failure is not None:
            self._report(failure)

    def _turn(self) -> None:
        """Whatever there is to do, then a sleep until there is more, then what has come."""
        self._obey()
        self._share_out()
        for lane in self._lanes.values():
            lane.work()
        self._speak()
        if self._lost:
            self.hand_over([], self.stamp())
        for lane, link in self._links():
            lane.attend(link, link.flush)
        ready = self._wait(self._patience())
        for lane, link in self._links():
            lane.attend(link, link.read if link.more or link.socket in ready else link.ask_for_life)

    def _links(self) -> list[tuple[_Lane, _Link]]:
        return [(lane, link) for lane in self._lanes.values() for link in lane.links]

    def _share_out(self) -> None:
        """A lane for each part of what is wanted; at least one, as a connection may be wanted for itself."""
        shards = self.feed._shards
        for number, shard in enumerate(shards):
            needed = bool(shard) or (number == 0 and not any(shards))
            if needed and number not in self._lanes:
                self._lanes[number] = _Lane(self, number)
            elif not needed and number in self._lanes:
                self._lanes[number].let_go()
                del self._lanes[number]

    def others_serve(self, lane: _Lane) -> bool:
        """Whether there is a connection, or an attempt at one, beside those of ``lane``."""
        return any(each.links for each in self._lanes.values() if each is not lane)

    @property
    def single(self) -> bool:
        """Whether one connection serves all there is."""
        return [*self._lanes] == [0]

    def _wait(self, seconds: float) -> list[object]:
        """Until there is something to do; the sockets on which it is."""
        ready: list[object] = []
        for key, _ in self.selector.select(seconds):
            if key.fileobj is self._ear:
                self._ear.recv(4096)
            else:
                ready.append(key.fileobj)
        return ready

    def _patience(self) -> float:
        """How many seconds we may sleep if nothing comes."""
        waits = [_LONGEST_SLEEP, *(lane.patience() for lane in self._lanes.values())]
        if self._lost:
            waits.append(_LOSS_AGAIN)
        return min(waits)

    def _obey(self) -> None:
        """Do what other threads asked for."""
        if self._reconnect:
            for _, link in self._links():
                link.close_code = 1000
            raise Disconnected("reconnect asked for", code=1000)
        while self._resyncs:
            symbol = self._resyncs.popleft()
            for lane in self._lanes.values():
                lane.resync(symbol)

    # -- into the ring -------------------------------------------------------------------------------------

    def stamp(self) -> int:
        return self._inlet.stamp()

    def say_waiting(self, seconds: float, what: str) -> None:
        """Something waits its turn, as the host allows only so much."""
        text = f"{what}: all feeds of this process together have done what the host allows for now"
        epoch, venue = self.feed.epoch, self.feed.provider.name
        self._unsaid.append(Status("waiting", 0, text, epoch=epoch, venue=venue, wait=seconds))

    def say_retrying(self, state: State, text: str, attempt: int, wait: float) -> None:
        """One of our connections is tried again, or never again."""
        epoch, venue = self.feed.epoch, self.feed.provider.name
        self._unsaid.append(Status(state, 0, text, epoch=epoch, venue=venue, attempt=attempt, wait=wait))

    def _speak(self) -> None:
        """Say what there is to say of ourselves; not while somebody holds a stamp."""
        if self._unsaid:
            stamp = self.stamp()
            said = [msgspec.structs.replace(each, ts_recv=stamp) for each in self._unsaid]
            self._unsaid.clear()
            frames = [Frame(FrameKind.STATUS, msgspec.json.encode(each), stamp, each.epoch) for each in said]
            self._inlet.put(frames, even_if_full=True)

    def say_opened(self, link: _Link, payload: bytes) -> int:
        """Number a connection and say that it is open; when that was."""
        feed, stamp = self.feed, self.stamp()
        asked = {topic for _, each in self._links() for topic in each.asked.topics}
        wanted = feed.wanted.topics
        frames = feed._farewells.opening(wanted, asked, stamp, feed.epoch, feed.provider.name)
        link.epoch = feed._opened()
        frames.append(Frame(FrameKind.OPEN, payload, stamp, link.epoch))
        self._inlet.put(frames, even_if_full=True)
        self._connected = True
        return stamp

    def say_closed(self, link: _Link, told: Closing) -> None:
        stamp = self.stamp()
        frame = Frame(FrameKind.CLOSE, msgspec.json.encode(told), stamp, link.epoch)
        self._inlet.put([*self._losses(stamp), frame], even_if_full=True)

    def hand_over(self, frames: list[Frame], stamp: int) -> None:
        """Put frames into the ring, behind the report of those that did not fit before."""
        self.feed.counters.add("received", len(frames))
        reported = [self._loss(stamp)] if self._lost else []
        taken = self._inlet.put(reported + frames if reported else frames)
        if self.disposed:
            return
        if taken and reported:
            taken -= 1
            self._lost = 0
        if taken < len(frames):
            if not self._lost:
                self._lost_first = stamp
            self._lost_last = stamp
            self._lost += len(frames) - taken
            self.feed.counters.add("overflowed", len(frames) - taken)

    def _losses(self, stamp: int) -> list[Frame]:
        """The report of what did not fit, if anything: what it goes with must get in."""
        told = [self._loss(stamp)] if self._lost else []
        self._lost = 0
        return told

    def _loss(self, stamp: int) -> Frame:
        lost = Lost("", "frames", self._lost, self._lost_first, self._lost_last, "ring", stamp)
        return Frame(FrameKind.STATUS, msgspec.json.encode(lost), stamp, self.feed.epoch)

    # -- the end -------------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        """Leave nothing open."""
        self._connected = False
        for _, link in self._links():
            link.hang_up()
        with self._guard:
            self._listening = False
            self.selector.close()
            self._ear.close()
            self._bell.close()

    def _report(self, error: Exception) -> None:
        """CLOSE, where there was an OPEN, and then the error; both through the ring, so in order."""
        links = self._links()
        if isinstance(error, FeedError):
            error.delivered_for = max((link.delivered_for for _, link in links), default=0.0)
        reason = error.reason if isinstance(error, FeedError) else str(error)
        self._speak()
        stamp = self.stamp()
        opened = [(lane, link) for lane, link in reversed(links) if link.epoch]
        frames = self._losses(stamp) if opened else []
        for lane, link in opened:
            told = lane.closing(link, type(error).__name__, reason, link.close_code)
            frames.append(Frame(FrameKind.CLOSE, msgspec.json.encode(told), stamp, link.epoch))
        self._inlet.put(frames, even_if_full=True, then=partial(self._fail, error))


class _Lane:
    """A part of what is wanted: its connection, and while a planned cut is bridged the successor of that."""

    def __init__(self, reader: _Reader, number: int) -> None:
        self.number = number
        self.links: list[_Link] = []  # the one that is believed, then its successor
        self._reader = reader
        self._feed = reader.feed
        self._attempts = _Attempts()  # at a connection
        self._bridging = _Attempts()  # at a successor

    @property
    def wanted(self) -> Subscription:
        return self._feed._shards[self.number]

    def work(self) -> None:
        """What is due, whether or not anything has come."""
        if not self.links and self._is_due(self._attempts.next_one):
            self._attempt()
        for link in (*self.links,):
            self.attend(link, link.work)
        if self.links:
            self._bridge()

    def patience(self) -> float:
        """How many seconds we may sleep if nothing comes."""
        waits = [_LONGEST_SLEEP, *(link.patience() for link in self.links)]
        at = self._bridging_at() if self.links else self._attempts.next_one
        if at is not None:
            waits.append(max(0.0, (at - self._feed.line.now_ns) / SECOND))
        return min(waits)

    def attend(self, link: _Link, act: Callable[[], None]) -> None:
        """Do something for a connection; where it fails, another may be there to go on."""
        try:
            if link in self.links and not self._reader.disposed:
                act()
        except FeedError as error:
            if link is not self.links[0]:
                self._successor_failed(link, error)
            elif len(self.links) > 1 and self.links[1].epoch:
                self._cross(error)
            elif self._reader.others_serve(self):
                self._failed(link, error)
            else:
                raise
        except Rejected as error:
            if link is self.links[0]:
                raise
            self._successor_failed(link, error)

    def resync(self, symbol: str) -> None:
        ours = self._reader.single or any(symbol == each for _, each in self.wanted.topics)
        if ours and self.links and (link := self.links[0]).epoch:  # else its snapshots come with the opening
            self.attend(link, partial(link.resync, symbol))

    def let_go(self) -> None:
        """Nothing is wanted of it any more."""
        for link in reversed(self.links):
            self._end(link, self.closing(link, "", "nothing is wanted of it any more", 1000))

    def closing(self, link: _Link, error: str, reason: str, code: int) -> Closing:
        """How a connection ended, and what it served where others serve the rest."""
        symbols = set[str]() if self._reader.single else {symbol for _, symbol in link.told.topics}
        left = link.asked.topics - self.wanted.topics
        self._feed._farewells.ended(link.asked.topics - left)
        return Closing(error, reason, code, tuple(sorted(symbols)), tuple(sorted(left)))

    def opening(self, url: str, after: int | None) -> bytes:
        """The payload of an OPEN."""
        lane = None if self._reader.single else self.number
        if after is None and lane is None:
            return url.encode()
        return msgspec.json.encode(Opening(url, after, lane))

    def _is_due(self, at: int | None) -> bool:
        return at is not None and self._feed.line.now_ns >= at

    def _attempt(self, after: int | None = None) -> None:
        link = _Link(self._reader, self, after)
        self.links.append(link)
        self.attend(link, link.attempt)

    def _end(self, link: _Link, told: Closing) -> None:
        link.hang_up()
        self.links.remove(link)
        if link.epoch:
            self._reader.say_closed(link, told)

    def _failed(self, link: _Link, error: FeedError) -> None:
        """The others go on, and another attempt is made at this one, later."""
        self._end(link, self.closing(link, type(error).__name__, error.reason, link.close_code))
        if link.delivered_for >= _STABLE_FOR:
            self._attempts = _Attempts()
        self._bridging = _Attempts()
        wait = self._attempts.failed(error, self._feed.line.now_ns)
        text = f"connection {self.number + 1} of {len(self._feed._shards)}: {error}"
        self._reader.say_retrying("retrying", text, self._attempts.failures, wait)

    # -- a planned cut: the new connection opens before the old one closes -----------------------------------

    def _bridging_at(self) -> int | None:
        """When there is something to do about a planned cut; None while none is planned."""
        if len(self.links) > 1:
            old, new = self.links
            if new.served_since is None:
                return None
            return new.served_since + (_OVERLAP if old.lives_since(new.served_since) else _SILENT)
        return self._bridging.next_one if self.links[0].ends else None

    def _bridge(self) -> None:
        for successor in self.links[1:]:
            if successor.begins_to_serve(self._feed.line.now_ns):
                self.attend(self.links[0], self.links[0].ask_whether_it_lives)
        if self._is_due(self._bridging_at()):
            if len(self.links) > 1:
                self._cross()
            else:
                self._attempt(after=self.links[0].epoch)

    def _cross(self, error: FeedError | None = None) -> None:
        """The successor is believed from here on.

        Nothing is lost where it serves all that is wanted, and the old connection has spoken since: only then
        do we have all that came before.
        """
        old, new = self.links
        told = self.closing(old, "", f"connection {new.epoch} has taken over", 1000)
        if new.served_since is None or not old.lives_since(new.served_since):
            error = error or Disconnected("it was silent when its successor took over")
            told = self.closing(old, type(error).__name__, error.reason, old.close_code)
        self._bridging = _Attempts(self._feed.line.now_ns + _AGAIN)
        self._end(old, told)

    def _successor_failed(self, link: _Link, error: FeedError | Rejected) -> None:
        """The old connection goes on, and another attempt is made, later."""
        self._end(link, self.closing(link, type(error).__name__, error.reason, link.close_code))
        wait = self._bridging.failed(error, self._feed.line.now_ns)
        state: State = "rejected" if self._bridging.next_one is None else "retrying"
        text = f"the planned cut is not bridged: {error}"
        self._reader.say_retrying(state, text, self._bridging.failures, wait)


class _Attempts:
    """Those that failed in a row, and when the next one is due."""

    def __init__(self, next_one: int = 0) -> None:
        self.failures = 0
        self.next_one: int | None = next_one  # the stamp; None for never
        self._waits = backoff(1.0, 60.0, "full", Random())

    def failed(self, error: FeedError | Rejected, now: int) -> float:
        """The seconds until the next one; there is none where the venue refuses what we are.

        As behind a retry, an announced end is answered at once, the first time.
        """
        self.failures += 1
        if isinstance(error, Rejected):
            self.next_one = None
            return 0.0
        courtesy = self.failures == 1 and isinstance(error, Disconnected) and error.announced
        wait = 0.0 if courtesy else next(self._waits)
        if isinstance(error, Throttled):
            wait = max(wait, error.retry_after)
        self.next_one = now + round(wait * SECOND)
        return wait


class _Link:
    """One connection: the attempt at it, its socket, and the session that talks over it."""

    def __init__(self, reader: _Reader, lane: _Lane, after: int | None) -> None:
        feed = reader.feed
        self.epoch = 0  # before it is open
        self.socket: Socket | None = None
        self.more = False  # TLS holds bytes that the selector does not see
        self.close_code = 1006
        self.ends = ""  # why the venue will cut it, where that is known
        self.served_since: int | None = None  # the stamp since which all that is wanted has been served
        self.told = lane.wanted  # what the session knows of what is wanted …
        self.asked = self.told  # … and of what ever was
        self._reader = reader
        self._lane = lane
        self._feed = feed
        self._after = after
        self._opening: _Attempt | None = None
        self._opens_at: float | None = None  # time.monotonic() of our turn at the host
        self._attempts: Budget | None = None
        self._fetches: list[tuple[float, int, Fetch]] = []  # by when it is their turn, and who was first
        self._fetched = 0  # how many have been asked for
        self._under_way: Fetch | None = None
        self._splitter = Splitter()
        self._outgoing = bytearray()
        self._heard = 0.0  # time.monotonic() of the last byte
        self._pinged: float | None = None  # and of our ping since then
        self._read_wants_write = False  # TLS must write before it can read on
        self._close_sent = False
        self._documents = _Documents(reader.nudge)
        self._untold: list[Refused] = []  # what the stream has yet to say of refusals
        self._last_stamp = 0  # of the last byte
        self._first_data: int | None = None
        self._last_data = 0

    @property
    def delivered_for(self) -> float:
        """The seconds from the first market data to the last."""
        return 0.0 if self._first_data is None else (self._last_data - self._first_data) / SECOND

    def attempt(self) -> None:
        """Begin to open a socket."""
        feed = self._feed
        self._request = request = feed.provider.request(self.told)
        self._documents.get = lambda fetch: feed._get_document(fetch, request, feed._timeout)
        self._session = feed.provider.session(self.told)
        self._classify = self._session.classify
        wait, now = 0.0, time.monotonic()
        if request.attempts is not None:
            host = urlsplit(request.url).netloc
            self._attempts = feed._budgets.of(host, "attempts", request.attempts)
            wait = self._attempts.reserve(1, now)
            if wait > request.attempts.within:
                raise Throttled(f"{_address(request.url)} has been connected to too often", retry_after=wait)
        self._opens_at = now + wait
        if wait:
            self._reader.say_waiting(wait, f"a connection to {_address(request.url)}")

    def work(self) -> None:
        """What is due, whether or not anything has come."""
        if self._opens_at is not None and (now := time.monotonic()) >= self._opens_at:
            self._opens_at = now + (0.0 if self._attempts is None else self._attempts.resting(now))
            if self._opens_at == now:
                self._open()
        if self._opening is not None:
            self._look_for_a_socket(self._opening)
        if self.epoch:
            self._obey()
            self._keep_time()

    def _open(self) -> None:
        feed = self._feed
        self._opens_at = None
        self._deadline = time.monotonic() + feed._timeout
        self._opening = _Attempt(feed._open_socket, self._request, feed._timeout, self._reader.nudge)

    def begins_to_serve(self, now: int) -> bool:
        """Whether all that is wanted is served, and was not before."""
        if not (self.epoch and self._session.serving()):
            self.served_since = None
            return False
        begins = self.served_since is None
        if begins:
            self.served_since = now
        return begins

    def lives_since(self, stamp: int) -> bool:
        """Whether anything has come over it since then."""
        return self._last_stamp >= stamp

    def ask_whether_it_lives(self) -> None:
        """By a ping, whether or not it is silent."""
        self._send(Opcode.PING, b"")

    def patience(self) -> float:
        """How many seconds we may sleep if nothing comes."""
        if self._opens_at is not None:
            return max(0.0, self._opens_at - time.monotonic())
        if self._opening is not None:
            return max(0.0, self._deadline - time.monotonic())
        if self.more:
            return 0.0
        due = self._session.due()
        waits = [_LONGEST_SLEEP if due is None else max(0.0, (due - self._feed.line.now_ns) / SECOND)]
        if self._fetches and self._under_way is None:
            waits.append(max(0.0, self._fetches[0][0] - time.monotonic()))
        if (patience := self._feed._keepalive) is not None:
            silent_by = self._heard + patience if self._pinged is None else self._pinged + 2 * patience
            waits.append(max(0.0, silent_by - time.monotonic()))
        return min(waits)

    def _look_for_a_socket(self, opening: _Attempt) -> None:
        outcome = opening.outcome
        if outcome is None:
            if time.monotonic() < self._deadline:
                return
            opening.abandon()
            outcome = TimeoutError()
        self._opening = None
        if isinstance(outcome, Exception):
            error = _explained(outcome, self._request, self._feed._timeout, self._session)
            if isinstance(error, Throttled) and self._attempts is not None:
                self._attempts.rest(error.retry_after, time.monotonic())
            raise error from outcome
        self.socket = outcome
        outcome.setblocking(False)
        self._pending: Callable[[], int] | None = getattr(outcome, "pending", None)
        self.more = self._pending is not None and self._pending() > 0
        self._reader.selector.register(outcome, selectors.EVENT_READ)
        self._heard = time.monotonic()
        payload = self._lane.opening(_address(self._request.url), self._after)
        stamp = self._reader.say_opened(self, payload)
        self._session.started(stamp)
        self._say(self._session.opened())

    def ask_for_life(self) -> None:
        """There is nothing to read: since when?"""
        patience, now = self._feed._keepalive, time.monotonic()
        if patience is None or self.socket is None:
            return
        if self._pinged is None:
            if now >= self._heard + patience:
                self._pinged = now
                self._send(Opcode.PING, b"")
        elif now >= self._pinged + 2 * patience:
            raise Disconnected(f"the line is dead: silent for {now - self._heard:.3g} s, though we pinged")

    def resync(self, symbol: str) -> None:
        self._say(self._session.resync(symbol))

    def _obey(self) -> None:
        """Do what other threads asked for."""
        while self._documents.come:
            self._heed(*self._documents.come.popleft())
        wanted = self._lane.wanted
        if wanted is not self.told:
            told, self.told = self.told, wanted
            self.asked |= wanted
            added, removed = wanted - told, told - wanted
            if added or removed:
                self._say(self._session.wanted(added, removed))

    def _heed(self, fetch: Fetch, outcome: bytes | Exception) -> None:
        """A document has come, or not: the session hears of it, and so does the stream."""
        if fetch is self._under_way:
            self._under_way = None
        stamp = self._reader.stamp()
        frames: list[Frame] = []
        try:
            if isinstance(outcome, bytes):
                payload = fetch.label.encode() + b"\n" + outcome
                frames.append(Frame(FrameKind.HTTP, payload, stamp, self.epoch))
                self._say(self._session.received(frames[0]))
            else:
                error = _unfetched(outcome, fetch, self._feed._timeout)
                budget = None if error is outcome else self._budget(fetch)  # it was the host who said so
                if isinstance(error, Throttled) and budget is not None:
                    budget.rest(error.retry_after, time.monotonic())
                venue = self._feed.provider.name
                told = Status("unfetched", stamp, f"{fetch.label}: {error}", epoch=self.epoch, venue=venue)
                frames.append(Frame(FrameKind.STATUS, msgspec.json.encode(told), stamp, self.epoch))
                self._say(self._session.unfetched(fetch, error, stamp))
        finally:
            frames += self._refusals(stamp)
            self._reader.hand_over(frames, stamp)

    def _budget(self, fetch: Fetch) -> Budget | None:
        if fetch.allowance is None:
            return None
        return self._feed._budgets.of(urlsplit(fetch.url).netloc, "documents", fetch.allowance)

    def _fetch(self, fetch: Fetch) -> None:
        """Ask for a document when it is our turn at the host."""
        budget, now = self._budget(fetch), time.monotonic()
        wait = 0.0 if budget is None else budget.reserve(fetch.weight, now)
        if fetch.allowance is not None and wait > fetch.allowance.within:
            self._documents.come.append((fetch, Throttled("the host needs a rest", retry_after=wait)))
            self._reader.nudge()
        else:
            self._fetched += 1
            heappush(self._fetches, (now + wait, self._fetched, fetch))
            if wait:
                self._reader.say_waiting(wait, fetch.label)

    def _keep_time(self) -> None:
        while (
            self._fetches and self._under_way is None and self._fetches[0][0] <= (clock := time.monotonic())
        ):
            _, number, fetch = heappop(self._fetches)
            budget = self._budget(fetch)
            if budget is not None and (rest := budget.resting(clock)) > 0.0:
                heappush(self._fetches, (clock + rest, number, fetch))
            else:
                self._under_way = fetch
                self._documents.fetch(fetch)
        due = self._session.due()
        if due is not None and (now := self._feed.line.now_ns) >= due:
            self._say(self._session.wake(now))

    def read(self) -> None:
        """What has come; a flood gets a turn of so many reads, and then the rest of us does."""
        self.more = False
        socket, pending = self.socket, self._pending
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
        self.more = pending is not None and pending() > 0

    def _take(self, chunk: bytes) -> None:
        """Stamp, split, answer, hand over."""
        self._heard, self._pinged = time.monotonic(), None
        stamp = self._last_stamp = self._reader.stamp()
        frames: list[Frame] = []
        try:
            runs = self._splitter.feed(chunk)
            epoch = self.epoch
            for opcode, payloads in runs:
                if opcode <= Opcode.BINARY:
                    kind = _KINDS[opcode]
                    frames += [Frame(kind, payload, stamp, epoch) for payload in payloads]
            self._answer(runs, frames, stamp)
        finally:
            frames += self._refusals(stamp)
            self._reader.hand_over(frames, stamp)

    def _refusals(self, stamp: int) -> list[Frame]:
        """What the venue refused without naming it, in our own words."""
        said = [
            Status("rejected", stamp, refused.reason, symbol, kind, self.epoch, self._feed.provider.name)
            for refused in self._untold
            for kind, symbol in refused.topics
        ]
        self._untold.clear()
        return [Frame(FrameKind.STATUS, msgspec.json.encode(each), stamp, self.epoch) for each in said]

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
                self.close_code, reason = closing(payloads[0])
                self._send(Opcode.CLOSE, payloads[0][:2])
                raise self._session.closed(self.close_code, reason)
        if violation := self._splitter.violation:
            self.close_code = violation.code
            self._send(Opcode.CLOSE, violation.code.to_bytes(2))
            name = self._feed.provider.name
            raise Disconnected(
                f"{name} broke the WebSocket protocol: {violation.reason}", code=violation.code
            ) from violation

    def _say(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, str):
                self._send(Opcode.TEXT, answer.encode())
            elif isinstance(answer, bytes):
                self._send(Opcode.BINARY, answer)
            elif isinstance(answer, Fetch):
                self._fetch(answer)
            elif isinstance(answer, Refused):
                self._feed._refused(answer.topics)
                if not answer.told:
                    self._untold.append(answer)
                self.told = self.told - Subscription(frozenset(answer.topics))  # it said so itself
            elif isinstance(answer, Expiring):
                self.ends = answer.reason
            else:
                raise answer

    def _send(self, opcode: Opcode, payload: bytes) -> None:
        if len(self._outgoing) > _MOST_UNSENT and opcode is not Opcode.CLOSE:
            raise Disconnected(f"{self._feed.provider.name} has stopped reading what we send")
        self._outgoing += encode(opcode, payload, os.urandom(4))
        self._close_sent = self._close_sent or opcode is Opcode.CLOSE

    def flush(self) -> None:
        """Send what the socket takes, and have the selector say when it takes more."""
        if self.socket is None:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._read_wants_write else 0)
        self._read_wants_write = False
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
        except (BlockingIOError, ssl.SSLWantWriteError):
            events |= selectors.EVENT_WRITE
        except ssl.SSLWantReadError:
            pass  # TLS must read before it can write on, and reading is what we do next
        except OSError as error:
            self._outgoing.clear()
            self.read()  # the venue's last words explain more than a broken pipe
            raise self._session.closed(1006, f"the line broke: {error}") from error
        if events != self._reader.selector.get_key(self.socket).events:
            self._reader.selector.modify(self.socket, events)

    def hang_up(self) -> None:
        """Say goodbye without waiting for an answer, and leave nothing open."""
        self._documents.abandon()
        if self._opening is not None:
            self._opening.abandon()
        if self.socket is not None:
            self._reader.selector.unregister(self.socket)
            with suppress(OSError):  # who is gone cannot be told goodbye
                if not self._close_sent:
                    self._send(Opcode.CLOSE, (1000).to_bytes(2))
                while self._outgoing:
                    del self._outgoing[: self.socket.send(self._outgoing)]
                for _ in range(_READS):  # unread bytes would make it a reset, and cost them our goodbye
                    self.socket.recv(_READ)
            self.socket.close()


class _Attempt:
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
_OVERLAP = SECOND  # that both connections serve before the old one is let go
_SILENT = 10 * SECOND  # the same, if the old one does not answer: it is dead, and nobody has said so
_STABLE_FOR = 30.0  # seconds of market data after which earlier failures are forgotten
_AGAIN = 30 * SECOND  # between one bridge and the next: a venue that keeps announcing ends is not hammered
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
    if isinstance(error, Throttled):
        return error  # it was not even asked for
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
