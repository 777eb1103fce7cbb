"""Proxy: a line to a twin that can be at fault where TCP can: cut, held up, dripping, dead, refused.

It lives on the twin's own thread and on the loopback interface, and ends with the twin at the latest.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from rtflow.twin.server import Twin


class Proxy:
    """A port that leads to ``twin``, which must be serving, for as long as the ``with`` block runs.

    Bytes go through untouched until a fault is asked for. Each returns when it has begun; those that have a
    time end by themselves, in real seconds, and the others with the connections that they hit.

    >>> with Twin("kraken") as twin, Proxy(twin) as proxy:
    ...     proxy.url.startswith("ws://127.0.0.1:") and proxy.url != twin.url
    True
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._port = 0
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._flapping_until = self._garbling_until = 0.0
        self._rate, self._trickling_until = 0, 0.0

    def __enter__(self) -> Self:
        """Listen; RuntimeError where the twin does not serve."""
        listening: Future[None] = Future()

        def begin() -> None:
            self._twin._server.guests.append(self._end)
            self._start(self._listen(listening))

        self._twin._ask(begin)
        self._twin._wait(listening)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: :meth:`close`."""
        self.close()

    def close(self) -> None:
        """Listen no more, and cut every connection; a second time does nothing."""
        self._twin._look(self._end)

    @property
    def url(self) -> str:
        """Where to connect, in place of the twin's own."""
        return self.through(self._twin.url)

    def through(self, url: str) -> str:
        """Another URL of the twin, REST or not, by way of this line."""
        there = self._twin._address
        if there not in url:
            raise ValueError(f"{url!r} is not one of the twin at {there}")
        return url.replace(there, f"127.0.0.1:{self._port}", 1)

    @property
    def accepted(self) -> int:
        """How many connections there have been."""
        return self._twin._look(lambda: self._accepted)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._twin._look(lambda: len(self._pairs))

    # --- faults ---------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset every connection: no close frame, no word, and what was under way is lost."""
        self._ask(lambda pair: pair.reset())

    def half_open(self) -> None:
        """From now on nothing gets through the connections that are open, and nobody is told."""
        self._ask(lambda pair: pair.hold())

    def stall(self, seconds: float) -> None:
        """For so long nothing gets through the connections that are open, and then all of it does."""

        def stall(pair: _Pair) -> None:
            pair.hold()
            self._later(seconds, pair.let_go)

        self._ask(stall)

    def trickle(self, rate: int, seconds: float) -> None:
        """For so long the twin's bytes come ``rate`` a second, on every connection; ValueError for none."""
        if rate < 1:
            raise ValueError(f"what trickles does so at 1 byte a second or more, not {rate}")

        def begin() -> None:
            self._rate, self._trickling_until = rate, self._clock() + seconds

        self._twin._ask(begin)

    def flap(self, seconds: float) -> None:
        """For so long every connection, old and new, is reset as soon as it stands."""

        def begin() -> None:
            self._flapping_until = self._clock() + seconds

        self._twin._ask(begin)
        self.cut()

    def garble(self, seconds: float) -> None:
        """For so long every new connection is answered with something that is neither TLS nor HTTP."""

        def begin() -> None:
            self._garbling_until = self._clock() + seconds

        self._twin._ask(begin)

    def refuse(self, seconds: float) -> None:
        """For so long nobody listens here: a new connection is refused by the system itself."""

        def begin() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None
                self._later(seconds, lambda: self._start(self._listen()))

        self._twin._ask(begin)

    # --- in the twin's thread -------------------------------------------------------------------------------

    def _ask(self, act: Callable[[_Pair], object]) -> None:
        """Do something to every connection."""

        def run() -> None:
            for pair in [*self._pairs]:
                act(pair)

        self._twin._ask(run)

    @property
    def _drip(self) -> int:
        """How many bytes may come a second; 0 for any number."""
        return self._rate if self._clock() < self._trickling_until else 0

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    def _later(self, seconds: float, act: Callable[[], object]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, act)
        self._timers = [each for each in self._timers if each.when() >= loop.time()] + [timer]
        return timer

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, listening: Future[None] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self._accept()), "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        if listening is not None:
            listening.set_result(None)

    def _accept(self) -> _Pair:
        """Somebody has come."""
        self._accepted += 1
        pair = _Pair(self)
        self._pairs.add(pair)
        return pair

    def _met(self, pair: _Pair) -> None:
        """The connection stands: what becomes of it?"""
        now = self._clock()
        if now < self._flapping_until:
            pair.reset()
        elif now < self._garbling_until:
            pair.client.transport.write(_GARBLE)
            pair.client.transport.close()
        else:
            self._start(pair.connect(self._twin._port))

    def _left(self, pair: _Pair) -> None:
        self._pairs.discard(pair)

    def _end(self) -> None:
        """It is over, in the twin's thread or after that."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for timer in self._timers:
            timer.cancel()
        for task in [*self._tasks]:
            task.cancel()
        for pair in [*self._pairs]:
            pair.reset()


_KERNEL = 1 << 15  # bytes on their way in the kernel
_GARBLE = b"\0 what? \0\r\n\r\n"
_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # closing is a reset


class _Pair:
    """One connection to us and the one it leads to."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._held = False
        self._drops = bytearray()  # what is still to trickle to the client …
        self._dripping: asyncio.TimerHandle | None = None  # … and when the next of it does
        self._sides: list[_Side] = []

    @property
    def client(self) -> _Side:
        """The side that came first."""
        return self._sides[0]

    def joined(self, side: _Side) -> None:
        """A side has its socket."""
        self._sides.append(side)
        # what waits for a slow reader is to wait here, and hold the other side up, and not in the kernel
        side.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL)
        if self.client.transport.is_closing():
            side.transport.abort()  # the client did not wait
        elif side is self.client:
            side.transport.pause_reading()  # until there is somebody to tell
            self.proxy._met(self)
        else:
            self.tune()

    async def connect(self, port: int) -> None:
        """Find the twin; without one, the client is cut off."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Side(self), "127.0.0.1", port)
        except OSError:
            self.reset()

    def forward(self, origin: _Side, data: bytes) -> None:
        """Bytes have come from one side."""
        if origin is not self.client and (self.proxy._drip or self._drops):
            self._drops += data
            self._dripping = self._dripping or self.proxy._later(0, self._drip)
            self.tune()
        else:
            for side in self._sides:
                if side is not origin:
                    side.transport.write(data)

    def hold(self) -> None:
        """Nothing gets through."""
        self._held = True
        self.tune()

    def let_go(self) -> None:
        """All that was held up gets through."""
        self._held = False
        self.tune()

    def tune(self) -> None:
        """Read from a side what the other may have."""
        for side in self._sides:
            others_choked = any(other.choked for other in self._sides if other is not side)
            if (
                self._held
                or others_choked
                or len(self._sides) < 2
                or (side is not self.client and self._drops)
            ):
                side.transport.pause_reading()
            else:
                side.transport.resume_reading()

    def reset(self) -> None:
        """Both sides end at once, and are told so by a reset."""
        for side in self._sides:
            side.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            side.transport.abort()

    def lost(self, side: _Side) -> None:
        """One side has ended, and so does the other, behind what it was told."""
        self.proxy._left(self)
        for other in self._sides:
            if other is not side:
                other.transport.close()

    def _drip(self) -> None:
        """The next few bytes."""
        rate = self.proxy._drip
        count = max(1, round(rate * _DRIP)) if rate else len(self._drops)
        if not self._held:
            self.client.transport.write(bytes(self._drops[:count]))
            del self._drops[:count]
        if self._drops and not self.client.transport.is_closing():
            wait = _DRIP if rate * _DRIP > 1 else 1 / max(1, rate)
            self._dripping = self.proxy._later(wait, self._drip)
        else:
            self._dripping = None
            self.tune()


_DRIP = 0.01  # seconds between two looks at what trickles


class _Side(asyncio.Protocol):
    """One of the two sockets; asyncio calls its methods."""

    def __init__(self, pair: _Pair) -> None:
        self.choked = False
        self._pair = pair

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._pair.joined(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._pair.forward(self, data)

    def pause_writing(self) -> None:
        """Whoever is there reads more slowly than the other side writes."""
        self.choked = True
        self._pair.tune()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.choked = False
        self._pair.tune()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._pair.lost(self)
