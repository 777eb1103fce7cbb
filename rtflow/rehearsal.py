"""rehearsal: a provider and its venue's twin in virtual time, without a socket or a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rtflow.counters import Counters
from rtflow.errors import Disconnected, FeedError, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import Closing, Frame, FrameKind, Status
from rtflow.farewells import Farewells
from rtflow.faults import Faults
from rtflow.kernel import Lifted
from rtflow.provider import Answer, Expiring, Fetch, Provider, Refused, Subscription, Traffic
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND, Duration, nanoseconds
from rtflow.twin.dialects import DIALECTS
from rtflow.twin.market import Fill, Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Hangup, Message, Venue


def venue(
    name: str,
    *,
    seed: int = 1,
    symbols: Iterable[str | Listing] | str | None = None,
    rate: float = 1.0,
    start: int = 1_700_000_000_000_000_000,
    warmup: Duration = 30.0,
    flaws: float = 0.0,
    **options: Any,
) -> Venue:
    """A venue's side of all conversations, over a market of its own, as :class:`~rtflow.twin.Twin` has it.

    >>> kraken = venue("kraken", seed=7, symbols="BTC/USD", start=0)
    >>> [message.payload[:20] for message in kraken.connect("/v2", {}).take()]
    ['{"channel":"status",']

    Raises Unsupported for a venue without a twin.
    """
    if name not in DIALECTS:
        raise Unsupported(f"there is no twin of {name!r}; there are {', '.join(DIALECTS)}")
    dialect = DIALECTS[name]
    market = Market(seed, dialect.listed(symbols), start=start - nanoseconds(warmup), rate=rate, flaws=flaws)
    made = dialect(market, **options)
    made.advance(start)
    return made


class Rehearsal(Observable[Frame]):
    """What a :class:`~rtflow.transport.Feed` is, between ``provider`` and ``venue``, in virtual time.

    ::

        O--f-ff---f--C#      OPEN, the venue's frames, CLOSE and then the error

    The same session talks, so everything is as live: subscriptions and their answers, ``add``, ``remove``
    and ``resync``, refusals, documents by HTTP, heartbeats, and the errors that a retry is there for. But
    what one side says the other hears at once, the market moves by ``tick``, and time passes only by
    :meth:`advance`; so a minute takes a moment, and the same twice. What is subscribed waits on
    :attr:`scheduler`.

    ``faults`` is what the line does to the venue's frames before anybody reads them, one of
    :mod:`rtflow.faults`; it goes on from one connection to the next.

    >>> from rtflow import operators as op
    >>> from rtflow.events import Trade
    >>> from rtflow.providers import Kraken
    >>> kraken = Kraken()
    >>> show = Rehearsal(kraken, venue("kraken", seed=7, symbols="BTC/USD"), trades="BTC/USD")
    >>> got = []
    >>> with show.pipe(op.normalize(kraken)).subscribe(got.append, scheduler=show.scheduler):
    ...     show.advance(5)
    >>> len([event for event in got if isinstance(event, Trade)]) == len(show.trades)
    True
    """

    def __init__(
        self,
        provider: Provider,
        venue: Venue,
        *,
        faults: Lifted[Frame, Frame] | None = None,
        tick: Duration = 0.01,
        counters: Counters | None = None,
        **kinds: Iterable[str],
    ) -> None:
        super().__init__()
        wanted = Subscription.of(**kinds)
        provider.request(wanted)  # says so if the venue cannot serve it
        self.provider = provider
        self.venue = venue
        self.scheduler = NanoScheduler(venue.now)
        self.counters = Counters() if counters is None else counters
        self.moves: list[Move] = []
        """What has happened on the market since we began."""
        self._wanted = wanted
        self._epoch = 0
        self._farewells = Farewells()
        self._faults = None if faults is None else faults.kernel()
        self._tick = nanoseconds(tick)
        self._call: _Call | None = None
        self._harms = self.scheduler.at(venue.now, self._harm)
        venue.watch = self.moves.append
        self._wait_for_a_tick()

    @property
    def wanted(self) -> Subscription:
        """What is wanted at this moment."""
        return self._wanted

    @property
    def epoch(self) -> int:
        """How many connections have been opened."""
        return self._epoch

    @property
    def trades(self) -> list[Fill]:
        """The trades of :attr:`moves`."""
        return [fill for move in self.moves for fill in move.trades]

    def advance(self, duration: Duration) -> None:
        """Let so much time pass (seconds or ``timedelta``)."""
        self.scheduler.advance_by(duration)

    def add(self, **kinds: Iterable[str]) -> None:
        """Want these symbols too; Unsupported as of :meth:`rtflow.transport.Feed.add`."""
        wanted = self._wanted | Subscription.of(**kinds)
        self.provider.request(wanted)
        self._want(wanted)

    def remove(self, **kinds: Iterable[str]) -> None:
        """Want these symbols no longer."""
        self._want(self._wanted - Subscription.of(**kinds))

    def resync(self, symbol: str) -> None:
        """Ask the venue for a fresh snapshot of this book; nothing happens while there is no connection."""
        self._soon(lambda call: call.say(call.session.resync(symbol)))

    def reconnect(self) -> None:
        """End the present connection with Disconnected."""
        self._soon(lambda call: call.end(Disconnected("reconnect asked for", code=1000), 1000))

    def _want(self, wanted: Subscription) -> None:
        self._wanted = wanted
        self._soon(_Call.catch_up)

    def _soon(self, act: Callable[[_Call], object]) -> None:
        """In a moment, but not from within somebody's ``on_next``."""
        call = self._call
        if call is not None:
            self.scheduler.at(self.scheduler.now_ns, lambda: call.turn(partial(act, call)))

    def _subscribe_core(
        self, observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self._call is not None:
            raise RuntimeError("this rehearsal has its one connection already; put op.broadcast() behind it")
        call = self._call = _Call(self, observer)
        self.scheduler.at(self.scheduler.now_ns, partial(call.turn, call.begin), first=True)
        return Disposable(call.leave)

    def _wait_for_a_tick(self) -> None:
        self.scheduler.at(self.scheduler.now_ns + self._tick, self._ticked, first=True)

    def _ticked(self) -> None:
        self._wait_for_a_tick()
        self.venue.advance(self.scheduler.now_ns)
        if self._call is not None:
            self._call.turn()

    def _put(self, frame: Frame) -> tuple[Frame, ...]:
        """What the line makes of a frame that the venue has sent."""
        if self._faults is None:
            return (frame,)
        made = tuple(self._faults.push(frame))
        self._wait_for_harm()
        return made

    def _wait_for_harm(self) -> None:
        due = None if self._faults is None else self._faults.due()
        self._harms.dispose()
        if due is not None:
            self._harms = self.scheduler.at(due, self._harm, first=True)

    def _harm(self) -> None:
        """The line does something by itself."""
        made = () if self._faults is None else tuple(self._faults.wake(self.scheduler.now_ns))
        if self._call is not None:
            self._call.turn(partial(self._call.arrive, made))
        self._wait_for_harm()

    def _admitted(self, path: str, headers: Mapping[str, str]) -> Conversation:
        if isinstance(self._faults, Faults) and self._faults.refuses(self.scheduler.now_ns):
            raise Denied(503, "refused")
        return self.venue.connect(path, headers)


class _Call:
    """One subscription: one connection, or the attempt at one."""

    def __init__(self, feed: Rehearsal, observer: abc.ObserverBase[Frame]) -> None:
        self.session = feed.provider.session(feed.wanted)
        self._feed = feed
        self._observer = observer
        self._told = feed.wanted  # what the session knows of what is wanted …
        self._asked = self._told  # … and of what ever was
        self._talk: Conversation | None = None
        self._documents: deque[Fetch] = deque()
        self._untold: list[Refused] = []
        self._wakes: abc.DisposableBase = Disposable()
        self._wakes_at: int | None = None
        self._first_data: int | None = None
        self._last_data = 0
        self._over = False

    def begin(self) -> None:
        """The upgrade, and the first words."""
        feed, request = self._feed, self._feed.provider.request(self._told)
        address = urlsplit(request.url)
        place = address.path or "/"  # what a request line says where a URL says nothing
        path = f"{place}?{address.query}" if address.query else place
        headers = dict(request.headers) | ({"Cookie": request.cookie} if request.cookie else {})
        try:
            self._talk = feed._admitted(path, headers)
        except Denied as denied:
            self.leave()
            self._observer.on_error(self.session.denied(denied.status, denied.text))
            return
        now = feed.scheduler.now_ns
        wanted, asked = feed.wanted.topics, self._asked.topics
        for frame in feed._farewells.opening(wanted, asked, now, feed.epoch, feed.provider.name):
            self._observer.on_next(frame)
        feed._epoch += 1
        url = f"{address.scheme}://{address.netloc}{address.path}"
        opened = feed._put(Frame(FrameKind.OPEN, url.encode(), now, feed._epoch))
        self.session.started(now)
        self.say(self.session.opened())
        self.arrive(opened)

    def turn(self, act: Callable[[], object] | None = None) -> None:
        """Do something, and hear what comes of it."""
        if self._over:
            return
        try:
            if act is not None:
                act()
            self._listen()
        except RtflowError as error:
            self.end(error)
        self._wait()

    def catch_up(self) -> None:
        """What is wanted has changed."""
        told, self._told = self._told, self._feed.wanted
        self._asked |= self._told
        added, removed = self._told - told, told - self._told
        if added or removed:
            self.say(self.session.wanted(added, removed))

    def say(self, answers: Iterable[Answer]) -> None:
        """Tell the venue, and do what else the session wants; raises what ends the connection."""
        for answer in answers:
            if isinstance(answer, str | bytes):
                assert self._talk is not None, "a session speaks when there is somebody to speak to"
                self._talk.received(answer)
            elif isinstance(answer, Fetch):
                self._documents.append(answer)
            elif isinstance(answer, Refused):
                self._feed._wanted -= Subscription(frozenset(answer.topics))
                self._told -= Subscription(frozenset(answer.topics))
                if not answer.told:
                    self._untold.append(answer)
            elif isinstance(answer, Expiring):  # there is one connection at a time here: it is left at once
                raise Disconnected(answer.reason, announced=True)
            else:
                raise answer

    def arrive(self, frames: Iterable[Frame]) -> None:
        """What has come through the line: to the session, and to the subscriber."""
        for frame in frames:
            if self._over:
                return
            if frame.kind is FrameKind.CLOSE:
                said = msgspec.json.decode(frame.payload, type=Closing)
                self.end(self.session.closed(said.code, said.reason), said.code)
                return
            try:
                self._read(frame)
            finally:
                self._observer.on_next(frame)
                self._tell_refusals()

    def end(self, error: RtflowError, code: int = 1006) -> None:
        """CLOSE, where there was an OPEN, and then the error."""
        if self._over:
            return
        if isinstance(error, FeedError) and self._first_data is not None:
            error.delivered_for = (self._last_data - self._first_data) / SECOND
        reason = error.reason if isinstance(error, FeedError) else str(error)
        left = self._asked.topics - self._feed.wanted.topics
        self._feed._farewells.ended(self._asked.topics - left)
        told = msgspec.json.encode(Closing(type(error).__name__, reason, code, left=tuple(sorted(left))))
        self.leave()
        self._observer.on_next(Frame(FrameKind.CLOSE, told, self._feed.scheduler.now_ns, self._feed.epoch))
        self._observer.on_error(error)

    def leave(self) -> None:
        """Hang up without a word to the subscriber."""
        self._over = True
        self._wakes.dispose()
        if self._feed._call is self:
            self._feed._call = None
        if self._talk is not None:
            self._feed.venue.leave(self._talk)

    def _read(self, frame: Frame) -> None:
        kind, now = frame.kind, self._feed.scheduler.now_ns
        if kind is FrameKind.HTTP:
            self.say(self.session.received(frame))
        elif kind is FrameKind.TEXT or kind is FrameKind.BINARY:
            traffic = self.session.classify(frame.payload)
            if traffic is Traffic.DATA:
                self._first_data = now if self._first_data is None else self._first_data
                self._last_data = now
            elif traffic is Traffic.CONTROL:
                self.say(self.session.received(frame))

    def _listen(self) -> None:
        """All that the venue has said by now, and all that this leads to."""
        talk = self._talk
        while not self._over and talk is not None:
            said = talk.take()
            if not said and not self._documents:
                return
            for each in said:
                self.arrive(self._feed._put(self._framed(each)))
            while self._documents and not self._over:
                self._get(self._documents.popleft())

    def _framed(self, said: Message | Hangup) -> Frame:
        now, epoch = self._feed.scheduler.now_ns, self._feed.epoch
        if isinstance(said, Hangup):
            closing = msgspec.json.encode(Closing("Disconnected", said.reason, said.code))
            return Frame(FrameKind.CLOSE, closing, now, epoch)
        if isinstance(said.payload, str):
            return Frame(FrameKind.TEXT, said.payload.encode(), now, epoch)
        return Frame(FrameKind.BINARY, said.payload, now, epoch)

    def _get(self, fetch: Fetch) -> None:
        """A document, or why there is none."""
        feed, address = self._feed, urlsplit(fetch.url)
        now, epoch = feed.scheduler.now_ns, feed.epoch
        headers = {name.lower(): value for name, value in fetch.headers.items()}
        page = feed.venue.page(f"{address.path}?{address.query}" if address.query else address.path, headers)
        if page.status == 200:
            payload = fetch.label.encode() + b"\n" + page.body
            self.arrive(feed._put(Frame(FrameKind.HTTP, payload, now, epoch)))
            return
        error = _unfetched(page.status, page.headers.get("Retry-After", ""))
        told = Status("unfetched", now, f"{fetch.label}: {error}", epoch=epoch, venue=feed.provider.name)
        self._observer.on_next(Frame(FrameKind.STATUS, msgspec.json.encode(told), now, epoch))
        self.say(self.session.unfetched(fetch, error, now))

    def _tell_refusals(self) -> None:
        """What the venue refused without naming it, in our own words."""
        untold, self._untold = self._untold, []
        now, epoch, name = self._feed.scheduler.now_ns, self._feed.epoch, self._feed.provider.name
        for refused in untold:
            for kind, symbol in refused.topics:
                told = Status("rejected", now, refused.reason, symbol, kind, epoch, name)
                self._observer.on_next(Frame(FrameKind.STATUS, msgspec.json.encode(told), now, epoch))

    def _wait(self) -> None:
        """Until the session has something to do."""
        due = None if self._over or self._talk is None else self.session.due()
        if due != self._wakes_at:
            self._wakes.dispose()
            self._wakes_at = due
            if due is not None:
                self._wakes = self._feed.scheduler.at(due, self._wake_up)

    def _wake_up(self) -> None:
        self._wakes_at = None
        self.turn(self._wake)

    def _wake(self) -> None:
        self.say(self.session.wake(self._feed.scheduler.now_ns))


def _unfetched(status: int, retry_after: str) -> RtflowError:
    """What an HTTP answer other than 200 means."""
    reason = f"HTTP {status}"
    if status in (418, 429):
        return Throttled(reason, retry_after=float(retry_after) if retry_after.isdecimal() else 1.0)
    return Disconnected(reason) if status >= 500 else Rejected(reason, code=status)
