"""Twin: a venue on the loopback interface, over a real WebSocket, with faults on request.

The market's time is virtual and passes in ticks. One thread turns the clock's time into ticks and carries
bytes between sockets and the venue's sans-IO dialect; the rest is the dialect's. So a twin that was told its
start says the same frames to the same requests, byte for byte.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rtflow.errors import Unsupported
from rtflow.time import SECOND
from rtflow.twin.dialects import DIALECTS
from rtflow.twin.market import NEVER, Fill, Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Message, Page, Venue

if TYPE_CHECKING:
    from rtflow.twin.wire import Wire

T = TypeVar("T")

FOREVER = float("inf")

_SETTLED = 0.05  # seconds without a request after which the first subscriptions are taken as complete
_PATIENCE = 1.0  # seconds that held time waits for a subscription, and a racing market for a reader
_STRIDE = 16  # ticks of a race between two looks at whether it is over
_HANDSHAKE = 0.1  # seconds that one under way has when the twin ends
_BREATH = 0.005  # seconds between two looks at the sockets, however much there is to catch up with
_STOPPED = "the twin has stopped"


class Twin:
    """A venue's twin at :attr:`url` for as long as the ``with`` block runs, ``lifetime`` seconds at most.

    ``venue`` is one of :data:`rtflow.twin.dialects.DIALECTS`, and ``options`` are that class's own; ``seed``,
    ``symbols``, ``rate`` and ``flaws`` are the :class:`Market`'s.
    ``start`` is the stamp at which the venue opens, after ``warmup`` seconds of market that nobody saw.

    Without a ``start`` it is now, and time passes at once. With one, and wherever ``pace`` is infinite, time
    begins to pass when the first client has subscribed, so that the same requests get the same frames.
    ``pace`` is market seconds per real second: ``math.inf`` goes as fast as the clients read, 0 stands still
    but for :meth:`advance`. After ``steps`` moves the market stands still, and an infinite pace becomes 1.
    ``tick`` is the market seconds between two flushes. A client that lets more than ``buffer`` bytes wait is
    cut off.

    ``keep`` bounds :attr:`moves` and :attr:`trades`.

    >>> with Twin("kraken", seed=7, symbols=["BTC/USD"]) as twin:
    ...     twin.url.startswith("ws://127.0.0.1:")
    True

    Raises Unsupported for another venue and for an option that the venue lacks.
    """

    def __init__(
        self,
        venue: str,
        *,
        seed: int = 1,
        symbols: Iterable[str | Listing] | str | Listing | None = None,
        rate: float = 1.0,
        start: int | None = None,
        warmup: float = 30.0,
        flaws: float = 0.0,
        pace: float = 1.0,
        steps: int | None = 1_000_000,
        tick: float = 0.01,
        lifetime: float = 120.0,
        port: int = 0,
        buffer: int = 4 << 20,
        keep: int = 50_000,
        deflate: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        dialect = DIALECTS.get(venue)
        if dialect is None:
            raise Unsupported(f"there is no twin of {venue!r}; there are {', '.join(DIALECTS)}")
        known = [*inspect.signature(dialect).parameters][1:]
        if unknown := sorted(options.keys() - set(known)):
            common = [*inspect.signature(Twin).parameters][1:-1]
            raise Unsupported(
                f"{venue}'s twin knows no {', '.join(unknown)}; it knows {', '.join([*known, *common])}"
            )
        opens = time.time_ns() if start is None else start
        began = opens - round(warmup * SECOND)
        market = Market(seed, dialect.listed(symbols), start=began, rate=rate, flaws=flaws)
        self._venue = dialect(market, **options)
        self._venue.advance(opens)
        market.steps = None if steps is None else market.moved + steps
        self._server = Server(
            self._venue,
            pace=pace,
            held=start is not None or pace == FOREVER,
            tick=round(tick * SECOND),
            buffer=buffer,
            keep=keep,
            deflate=deflate,
        )
        self._lifetime, self._port, self._ssl = lifetime, port, ssl_context
        self._ready: Future[int] = Future()
        self._thread = threading.Thread()

    def __enter__(self) -> Self:
        """Start serving; returns when clients can connect.

        Raises ImportError where the websockets package is missing, OSError where the port is taken.
        """
        try:
            from rtflow.twin.wire import Wire  # here, not above: a market alone needs no websockets
        except ImportError as error:
            raise ImportError("a twin serves by the websockets package: install 'rtflow[cli]'") from error
        self._thread = threading.Thread(target=self._main, args=[Wire], name="rtflow-twin", daemon=True)
        self._thread.start()
        self._port = self._wait(self._ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving: :meth:`close`."""
        self.close()

    def close(self) -> None:
        """Say goodbye (1001), cut off who does not answer, end the thread; within a second."""
        try:
            self._ask(self._server.stop)
        except RuntimeError:
            return  # it has ended by itself
        self._thread.join()

    def _main(self, wire: type[Wire]) -> None:
        try:
            asyncio.run(self._server.serve(wire, self._port, self._ssl, self._lifetime, self._ready))
        except OSError as error:
            self._ready.set_exception(error)

    @property
    def url(self) -> str:
        """Where to connect; known inside the ``with`` block, as the system chooses the port."""
        return self.url_of(self._venue.path)

    def url_of(self, path: str) -> str:
        """The URL of another path of this twin, as ``/v2/sip``."""
        return f"{'ws' if self._ssl is None else 'wss'}://{self._address}{path}"

    @property
    def rest_url(self) -> str:
        """Where the venue's REST service is, without a path; known inside the ``with`` block."""
        return f"{'http' if self._ssl is None else 'https'}://{self._address}"

    @property
    def _address(self) -> str:
        if not self._port:
            raise RuntimeError("a twin has an address inside its with block: the system chooses the port")
        return f"127.0.0.1:{self._port}"

    # --- what is true ---------------------------------------------------------------------------------------

    @property
    def market(self) -> Market:
        """The market; it moves in the twin's thread, so look at it with ``pace=0`` or after the end."""
        return self._venue.market

    @property
    def moves(self) -> list[Move]:
        """What has happened since the start, the newest ``keep`` of it."""
        return self._look(lambda: list(self._server.moves))

    @property
    def trades(self) -> list[Fill]:
        """The trades of :attr:`moves`."""
        return [fill for move in self.moves for fill in move.trades]

    @property
    def now(self) -> int:
        """The venue's time, ns."""
        return self._look(lambda: self._venue.now)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._look(lambda: len(self._venue.conversations))

    @property
    def accepted(self) -> int:
        """How many connections there have been."""
        return self._look(lambda: self._server.accepted)

    # --- what can be asked of it: each returns when it is done; RuntimeError after the end ------------------

    def advance(self, seconds: float) -> None:
        """Let so many market seconds pass, and return when all that was said in them is on its way."""
        passed: Future[None] = Future()
        self._ask(lambda: self._server.owed.append((round(seconds * SECOND), passed)))
        self._wait(passed)

    def disconnect(self, code: int = 1006, reason: str = "") -> None:
        """End every connection: cut without a word (1006), or by a close frame with another ``code``."""
        self._ask(lambda: self._server.disconnect(code, reason))

    def silence(self, seconds: float, about: str = "") -> None:
        """Say nothing for so many real seconds, or no message with the text ``about`` in it.

        Sockets stay open and pings are answered; what was to be said is lost.
        """
        self._ask(lambda: self._server.silence(seconds, about.encode()))

    def gap(self, count: int = 1) -> None:
        """Drop the next ``count`` data messages on the floor, whosever they are."""
        self._ask(lambda: self._server.gap(count))

    def refuse(self, seconds: float, status: int = 503) -> None:
        """Answer every upgrade with this HTTP status for so many real seconds."""
        self._ask(lambda: self._server.refuse(seconds, status))

    def corrupt(self) -> None:
        """Send only the first half of the next data message: one malformed frame."""
        self._ask(self._server.corrupt)

    def provoke(self, fault: str, **details: Any) -> None:
        """Do wrong what only this venue can: ``twin.provoke("announce", system="maintenance")`` on Kraken.

        ``fault`` is a method of the dialect's class, such as ``Kraken.provoke_announce(system)``, by the part
        of its name after ``provoke_``; its options go by name. :attr:`provocations` lists what there is.
        Raises Unsupported for a fault that is not there, TypeError for options that it does not take.
        """
        self._ask(lambda: self._server.provoke(fault, details))

    @property
    def provocations(self) -> tuple[str, ...]:
        """What :meth:`provoke` can be asked for."""
        names = (name for name in dir(self._venue) if name.startswith("provoke_"))
        return tuple(name.removeprefix("provoke_") for name in names)

    def _look(self, act: Callable[[], T]) -> T:
        """``act()``, in the twin's thread while there is one."""
        try:
            return self._ask(act)
        except RuntimeError:
            return act()

    def _ask(self, act: Callable[[], T]) -> T:
        """``act()`` in the twin's thread; RuntimeError when that has ended."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(act())
            except Exception as error:  # noqa: BLE001 - it is the caller's, and is raised there
                answer.set_exception(error)

        loop = self._server.loop
        if loop is None:
            raise RuntimeError(_STOPPED)
        try:
            loop.call_soon_threadsafe(run)
        except RuntimeError:  # asyncio's own word for it: the event loop is closed
            raise RuntimeError(_STOPPED) from None
        return self._wait(answer)

    def _wait(self, answer: Future[T]) -> T:
        while True:
            alive = self._thread.is_alive()  # asked first: what it left behind is an answer too
            try:
                return answer.result(0.05 if alive else 0)
            except TimeoutError:
                if not alive:
                    raise RuntimeError(_STOPPED) from None


async def _under_way() -> None:
    """What this loop is at comes to its end: who is just being let in is in then, and can be told."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait([asyncio.create_task(asyncio.sleep(0)), *others], timeout=_HANDSHAKE)


class Server:
    """What runs in the twin's thread: the clock, the clients, the faults."""

    def __init__(
        self,
        venue: Venue,
        *,
        pace: float,
        held: bool,
        tick: int,
        buffer: int,
        keep: int,
        deflate: bool,
    ) -> None:
        self.venue = venue
        self.clients: set[Wire] = set()
        self.guests: list[Callable[[], object]] = []  # what else lives on this loop, and how to end it
        self.accepted = 0
        self.moves: deque[Move] = deque(maxlen=keep)
        self.owed: deque[tuple[int, Future[None]]] = deque()
        self.buffer = buffer
        self.deflate = deflate
        self.loop: asyncio.AbstractEventLoop | None = None
        venue.watch = self.moves.append
        self._pace = pace
        self._held = held
        self._tick = tick
        self._stopping = False
        self._refused_until, self._refusal = 0.0, 503
        self._silent: dict[bytes, float] = {}  # about what ("" is everything), and until when
        self._gaps = self._corruptions = 0
        self._met = FOREVER  # when the first client came
        self._heard = 0.0  # when the last request came

    # --- what the twin asks of it ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End :meth:`serve`."""
        self._stopping = True

    def disconnect(self, code: int, reason: str) -> None:
        """See :meth:`Twin.disconnect`."""
        for client in [*self.clients]:
            if code == 1006:
                client.abort()
            else:
                client.hang_up(code, reason)

    def silence(self, seconds: float, about: bytes) -> None:
        """See :meth:`Twin.silence`."""
        self._silent[about] = self._clock() + seconds

    def gap(self, count: int) -> None:
        """See :meth:`Twin.gap`."""
        self._gaps += count

    def refuse(self, seconds: float, status: int) -> None:
        """See :meth:`Twin.refuse`."""
        self._refused_until, self._refusal = self._clock() + seconds, status

    def corrupt(self) -> None:
        """See :meth:`Twin.corrupt`."""
        self._corruptions += 1

    def provoke(self, fault: str, details: Mapping[str, Any]) -> None:
        """See :meth:`Twin.provoke`."""
        self.venue.provoke(fault, **details)
        for client in [*self.clients]:
            client.speak()
            client.write()

    # --- time -----------------------------------------------------------------------------------------------

    async def serve(
        self,
        wire: type[Wire],
        port: int,
        ssl_context: ssl.SSLContext | None,
        lifetime: float,
        ready: Future[int],
    ) -> None:
        """Serve until stopped or ``lifetime`` is over; tells ``ready`` the port."""
        self.loop = asyncio.get_running_loop()
        server = await self.loop.create_server(lambda: wire(self), "127.0.0.1", port, ssl=ssl_context)
        self._ends = self._clock() + lifetime
        self._count_from(self._clock() - (time.time_ns() - self.venue.now) / SECOND)
        ready.set_result(server.sockets[0].getsockname()[1])
        while not self._over:
            await self._pass()
            await asyncio.sleep(0 if self._racing else min(0.01, self._tick / SECOND))
        server.close()
        self._end_guests()
        await _under_way()
        self._end_guests()  # of those, too, who were just being let in
        self.disconnect(1001, "going away")
        patience = self._clock() + _PATIENCE
        while self.clients and self._clock() < patience:  # each answers, or is cut
            await asyncio.sleep(0.01)
        self.disconnect(1006, "")
        await asyncio.sleep(0)

    def _end_guests(self) -> None:
        for end in [*self.guests]:
            end()

    def _clock(self) -> float:
        assert self.loop is not None
        return self.loop.time()

    def _count_from(self, began: float) -> None:
        """Market time, as it is, was at ``began`` of the clock."""
        self._began, self._origin = began, self.venue.now

    @property
    def _over(self) -> bool:
        return self._stopping or self._clock() >= self._ends

    @property
    def _racing(self) -> bool:
        return self._pace == FOREVER and not self._held

    async def _pass(self) -> None:
        """Let pass the time that somebody is owed, then what the clock says; in whole ticks."""
        while self.owed:
            span, passed = self.owed[0]
            await self._pass_until(self.venue.now + span, patient=True)
            if self._over:
                return  # who waits for the rest will see that the thread has ended
            self.owed.popleft()
            passed.set_result(None)
        if self._held:
            self._release()
        elif self._racing:
            await self._pass_until(self.venue.now + _STRIDE * self._tick, patient=True)
            if self.venue.market.due == NEVER:  # the race is over; heartbeats go on at their own pace
                self._pace = 1.0
                self._count_from(self._clock())
        else:
            reached = (
                round((self._clock() - self._began) * self._pace * SECOND) + self._origin - self.venue.now
            )
            await self._pass_until(self.venue.now + reached // self._tick * self._tick, patient=False)

    def _release(self) -> None:
        """Held time begins to pass when a client has said what it wants, or has had its chance to."""
        now = self._clock()
        listening = any(each.listening for each in self.venue.conversations)
        if (listening and now >= self._heard + _SETTLED) or now >= self._met + _PATIENCE:
            self._held = False
            self._count_from(now)

    async def _pass_until(self, stamp: int, *, patient: bool) -> None:
        """The market moves tick by tick and the venue speaks; slow readers are waited for or cut off."""
        while self.venue.now < stamp and not self._over:
            breath = self._clock() + _BREATH
            while self.venue.now < stamp and self._clock() < breath:
                self.venue.advance(min(stamp, self.venue.now + self._tick))
                for client in [*self.clients]:
                    client.speak()
            for client in self.clients:
                client.write()
            await asyncio.sleep(0)
            patience = self._clock() + _PATIENCE
            while patient and any(each.choked for each in self.clients) and self._clock() < patience:
                await asyncio.sleep(0.001)
            for client in [*self.clients]:
                if client.waiting > self.buffer or (patient and client.choked):
                    client.cut_off()

    # --- clients --------------------------------------------------------------------------------------------

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A client wants to upgrade. Raises Denied where the venue would, and while it was told to."""
        if self._clock() < self._refused_until:
            raise Denied(self._refusal, "refused")
        conversation = self.venue.connect(path, headers)
        self.accepted += 1
        self._met = min(self._met, self._clock())
        return conversation

    def page(self, path: str, headers: Mapping[str, str]) -> Page:
        """Somebody asks for a page by plain HTTP."""
        if self._clock() < self._refused_until:
            return Page(b"refused", self._refusal, content_type="text/plain")
        return self.venue.page(path, {name.lower(): value for name, value in headers.items()})

    def heard(self) -> None:
        """A client has said something."""
        self._heard = self._clock()

    def faulty(self, message: Message) -> str | bytes | None:
        """What arrives of ``message``: all, half, or nothing of it."""
        if self._silent and self._is_silent_about(message.payload):
            return None
        if message.data and self._gaps:
            self._gaps -= 1
            return None
        if message.data and self._corruptions:
            self._corruptions -= 1
            return message.payload[: len(message.payload) // 2]
        return message.payload

    def _is_silent_about(self, payload: str | bytes) -> bool:
        now, said = self._clock(), payload.encode() if isinstance(payload, str) else payload
        self._silent = {about: until for about, until in self._silent.items() if now < until}
        return any(about in said for about in self._silent)
