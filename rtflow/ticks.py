"""ticks: Angel One's ticks as dictionaries, kept for whoever asks, from any thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from reactivex import Subject
from reactivex.disposable import CompositeDisposable

from rtflow import operators as op
from rtflow import time as stamps
from rtflow.counters import Counters
from rtflow.errors import Disconnected, Unsupported
from rtflow.events import Event, Frame, Lost, Status, Ticker
from rtflow.instruments import EXCHANGES, Instruments
from rtflow.kernel import Operator
from rtflow.providers import AngelOne
from rtflow.scheduler import report
from rtflow.transport import OpenSocket, connect

Key: TypeAlias = tuple[str, str]
"""Symbol and exchange, as ``("SBIN-EQ", "NSE")``."""

Tick: TypeAlias = dict[str, Any]
"""What :meth:`WebSocketDataStream.get_latest_ticks` gives; see there."""


class WebSocketDataStream:
    """Angel One's live ticks: connect, subscribe, and read the latest ones from any thread.

    ``client`` is whatever has Angel One's four credentials, as attributes or as a mapping, under the names
    that its own libraries use: ``api_key``; ``client_code``, ``client_id`` or ``userId``; ``feed_token``;
    ``jwt``, ``jwtToken``, ``auth_token`` or ``access_token``. A SmartConnect that has logged in will do.

    A symbol is a token, as ``("3045", "NSE")``, or a trading symbol, as ``("SBIN-EQ", "NSE")``, for which
    ``instruments`` knows the token: :meth:`rtflow.instruments.Instruments.read` gives a whole table, and
    ``{("SBIN-EQ", "NSE"): "3045"}`` is a small one. Exchanges are NSE, NFO, BSE, BFO, MCX, NCDEX and CDS, or
    nse_cm and so on.

    ``on_tick_callback`` is called with each tick on a thread of its own, at most ``waiting`` of them behind;
    beyond that the oldest are dropped, and counted. What it raises is told to ``threading.excepthook``, and
    the next tick comes. Of each symbol the last ``capacity`` ticks are kept.

    When the line is lost it is made again, as ``retry`` says, and everything is subscribed anew. A failure
    that no retry can cure is in :attr:`error`.

        >>> stream = WebSocketDataStream(
        ...     {"api_key": "key", "client_code": "A123456", "feed_token": "feed", "jwt": "eyJ..."},
        ...     instruments={("SBIN-EQ", "NSE"): "3045"},
        ... )
        >>> stream.subscribe([("SBIN-EQ", "NSE"), ("2885", "NSE")])
        >>> stream.subscribed
        [('2885', 'NSE'), ('SBIN-EQ', 'NSE')]
        >>> stream.get_latest_ticks("SBIN-EQ", "NSE")
        []

    Raises TypeError for a client that lacks a credential, ValueError for one that no header can have and for
    a ``capacity`` below 1. Methods that are given a symbol raise Unsupported if nobody knows its token.
    """

    def __init__(
        self,
        client: object,
        on_tick_callback: Callable[[Tick], object] | None = None,
        *,
        instruments: Instruments | Mapping[Key, str] | None = None,
        capacity: int = 1000,
        waiting: int = 10_000,
        retry: Operator[Frame, Frame] | None = None,
        timeout: float = 10.0,
        url: str | None = None,
        open_socket: OpenSocket | None = None,
        counters: Counters | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more, not {capacity}")
        provider = AngelOne(
            _credential(client, "jwt"),
            _credential(client, "api_key"),
            _credential(client, "client_code"),
            _credential(client, "feed_token"),
        )
        provider.url = provider.url if url is None else url
        self.counters = Counters() if counters is None else counters
        """The feed's own, and ``ticks.in``, each ``ticks.held``, ``ticks.dropped`` or ``ticks.unwanted``."""
        self.error: Exception | None = None
        """Why there is no connection, where it is known."""
        self._instruments = instruments
        self._capacity = capacity
        self._timeout = timeout
        self._callback = on_tick_callback
        self._feed = connect(provider, timeout=timeout, open_socket=open_socket, counters=self.counters)
        self._events = self._feed.pipe(
            retry or op.retry_with_backoff(park=True),
            op.normalize(provider, counters=self.counters),
        )
        self._called: Operator[Ticker, Ticker | Lost] = op.handoff(
            capacity=waiting, overflow="drop_oldest", name="ticks.callback", counters=self.counters
        )
        self._connecting = threading.Lock()  # one connect() at a time
        self._switching = threading.Lock()  # the feed has one subscription at a time
        self._changed = threading.Condition()  # guards all that follows
        self._rings: dict[str, _Ring] = {}  # by the venue's own spelling of a symbol
        self._run = _Run()
        self._connected = False

    def __repr__(self) -> str:
        state = "connected" if self._connected else "not connected"
        return f"<WebSocketDataStream {state}, {len(self._rings)} symbols>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connected

    @property
    def subscribed(self) -> list[Key]:
        """What is subscribed, sorted."""
        with self._changed:
            return sorted(ring.key for ring in self._rings.values())

    def connect(self) -> bool:
        """Open the connection; whether it stands. If not, :attr:`error` says why and nothing is left open.

        From then on it is made again whenever it is lost, until :meth:`disconnect`. Called while it is lost,
        this is a new try, at once.
        """
        with self._connecting:
            with self._changed:
                if self._connected:
                    return True
                before, run = self._run, _Run()
                before.left, self._run, self.error = True, run, None
            with self._switching:
                before.subscriptions.dispose()
                self._begin(run)
            stands = self._stands(run)
            if not stands:
                self.disconnect()
            return stands

    def disconnect(self) -> None:
        """Close the connection, if there is one. What was subscribed stays so, for the next one.

        From any thread, also from the callback's, and while another one connects.
        """
        with self._changed:
            run, self._connected = self._run, False
            run.left = True
            self._changed.notify_all()
        with self._switching:
            run.subscriptions.dispose()

    def subscribe(self, symbols: Iterable[Key]) -> None:
        """Want the ticks of these (symbol, exchange) pairs too; before, while or after being connected.

        Raises Unsupported for a symbol or an exchange that nobody knows, and for more than the venue allows;
        then none of them is subscribed.
        """
        wanted = {self._address(*key): key for key in _pairs(symbols)}
        with self._changed:  # so that what is wanted and what is kept agree, whoever else asks
            self._feed.add(tickers=wanted)
            for address, key in wanted.items():
                self._rings.setdefault(address, _Ring(key, self._capacity))

    def unsubscribe(self, symbols: Iterable[Key]) -> None:
        """Want them no longer, and forget their ticks; a pair that was not subscribed is no error."""
        unwanted = [self._address(*key) for key in _pairs(symbols)]
        with self._changed:
            self._feed.remove(tickers=unwanted)
            for address in unwanted:
                if (ring := self._rings.pop(address, None)) is not None:
                    forgotten = len(ring.ticks)
                    self._count(held=-forgotten, dropped=forgotten)

    def get_latest_ticks(self, symbol: str, exchange: str) -> list[Tick]:
        """The ticks that are kept of this symbol, oldest first; none where it is not subscribed.

        Each is a dictionary of its own: ``symbol`` and ``exchange`` as you spelled them, ``timestamp`` (RFC
        3339) and, in nanoseconds since the epoch, ``ts_event`` (the exchange's clock) and ``ts_recv`` (ours);
        the day's ``open``, ``high``, ``low`` and ``volume`` so far, ``close``, which is the last price,
        ``last_size``, ``vwap`` and ``previous_close``. None is what the venue did not say.
        """
        with self._changed:
            ring = self._rings.get(self._address(symbol, exchange))
            ticks = [] if ring is None else list(ring.ticks)
        return [_tick((symbol, exchange), each) for each in ticks]

    def dropped(self, symbol: str, exchange: str) -> int:
        """How many ticks of this symbol gave way to newer ones since it was subscribed."""
        with self._changed:
            ring = self._rings.get(self._address(symbol, exchange))
            return 0 if ring is None else ring.dropped

    def __enter__(self) -> Self:
        """Connect; raises what :attr:`error` says where that fails."""
        if not self.connect():
            assert self.error is not None
            raise self.error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.disconnect()

    def _begin(self, run: _Run) -> None:
        if self._callback is not None:
            run.subscriptions.add(run.ticks.pipe(self._called).subscribe(self._call))
        run.subscriptions.add(self._events.subscribe(partial(self._note, run), partial(self._fail, run)))

    def _stands(self, run: _Run) -> bool:
        """Whether there is a connection, as soon as that is known; if not, there is an error."""
        with self._changed:
            known = self._changed.wait_for(  # an attempt says how it went within the timeout
                lambda: run.left or self._connected or self.error is not None, self._timeout + 1.0
            )
            if run.left or not known:
                why = "disconnect() was called" if run.left else f"no answer within {self._timeout:g} s"
                self.error = Disconnected(why)
            return self._connected

    # -- on the line ---------------------------------------------------------------------------------------

    def _note(self, run: _Run, event: Event) -> None:
        if isinstance(event, Ticker):
            if self._keep(event):
                run.ticks.on_next(event)
        elif isinstance(event, Status):
            if event.state in ("open", "joined"):
                run.opened = True
                self._become(run, connected=True)
            elif event.state == "closed":
                self._become(run, connected=False)
            elif event.state in ("retrying", "parked") and not run.opened:
                self._become(run, connected=False, error=Disconnected(event.text))

    def _fail(self, run: _Run, error: Exception) -> None:
        self._become(run, connected=False, error=error)
        run.ticks.on_completed()

    def _become(self, run: _Run, *, connected: bool, error: Exception | None = None) -> None:
        with self._changed:
            if not run.left:
                self._connected, self.error = connected, error
                self._changed.notify_all()

    def _keep(self, ticker: Ticker) -> bool:
        """Whether anybody wants it."""
        with self._changed:
            ring = self._rings.get(ticker.symbol)
            if ring is None:
                self._count(came=1, unwanted=1)  # it was under way when it was unsubscribed
                return False
            room = ring.keep(ticker)
            self._count(came=1, held=int(room), dropped=int(not room))
            return True

    def _count(self, *, came: int = 0, held: int = 0, dropped: int = 0, unwanted: int = 0) -> None:
        more = {"in": came, "held": held, "dropped": dropped, "unwanted": unwanted}
        counters = self.counters
        counts = {f"ticks.{what}": counters[f"ticks.{what}"] + count for what, count in more.items()}
        counters.update(counts)  # from a dict: all at once, for whoever reads on another thread

    # -- on the callback's thread --------------------------------------------------------------------------

    def _call(self, ticker: Ticker | Lost) -> None:
        ring = self._rings.get(ticker.symbol)
        if ring is None or isinstance(ticker, Lost) or self._callback is None:
            return  # unsubscribed meanwhile; a loss is in the counters
        try:
            self._callback(_tick(ring.key, ticker))
        except Exception as error:  # noqa: BLE001 - the callback's own: told, and the next tick comes
            report(error)

    # --------------------------------------------------------------------------------------------------------

    def _address(self, symbol: str, exchange: str) -> str:
        """How the venue spells it: exchange:token."""
        place = EXCHANGES.get(exchange, exchange)
        known = self._instruments
        if isinstance(known, Instruments):
            token = symbol if symbol.isdigit() else known.address(symbol, place)[1]
        else:
            token = (known or {}).get((symbol, exchange), symbol if symbol.isdigit() else "")
        if not token:
            raise Unsupported(f"no token is known of {symbol!r} on {exchange!r}: give it in instruments=")
        return f"{place}:{token}"


class _Run:
    """From one connect() to its end."""

    def __init__(self) -> None:
        self.ticks: Subject[Ticker] = Subject()  # to the callback
        self.subscriptions = CompositeDisposable()
        self.opened = False  # it had a connection
        self.left = False  # by disconnect(), or by another connect()


class _Ring:
    """The last ticks of one symbol."""

    def __init__(self, key: Key, capacity: int) -> None:
        self.key = key
        self.ticks: deque[Ticker] = deque(maxlen=capacity)
        self.dropped = 0

    def keep(self, ticker: Ticker) -> bool:
        """Whether there was room; else the oldest has gone."""
        room = len(self.ticks) < (self.ticks.maxlen or 0)
        self.dropped += not room
        self.ticks.append(ticker)
        return room


_SPELLINGS = {
    "jwt": ("jwt", "jwtToken", "jwt_token", "auth_token", "access_token"),
    "api_key": ("api_key", "apiKey"),
    "client_code": ("client_code", "clientCode", "client_id", "userId", "user_id"),
    "feed_token": ("feed_token", "feedToken"),
}


def _credential(client: object, name: str) -> str:
    if isinstance(client, Mapping):
        look = cast("Mapping[str, object]", client).get
    else:
        look = partial(_attribute, client)
    for spelling in _SPELLINGS[name]:
        value = look(spelling)
        if isinstance(value, str) and value:
            return value
    raise TypeError(f"the client has no {name}: none of {', '.join(_SPELLINGS[name])} is a text in it")


def _attribute(client: object, name: str) -> object:
    return getattr(client, name, None)


def _pairs(symbols: Iterable[object]) -> Iterator[Key]:
    for each in symbols:
        match each:
            case (str(symbol), str(exchange)):
                yield symbol, exchange
            case _:
                raise TypeError(f"symbols are (symbol, exchange) pairs, as ('SBIN-EQ', 'NSE'), not {each!r}")


def _tick(key: Key, ticker: Ticker) -> Tick:
    symbol, exchange = key
    return {
        "symbol": symbol,
        "exchange": exchange,
        "timestamp": stamps.format(ticker.ts_event, 3),
        "ts_event": ticker.ts_event,
        "ts_recv": ticker.ts_recv,
        "open": ticker.open,
        "high": ticker.high,
        "low": ticker.low,
        "close": ticker.last,
        "volume": ticker.volume,
        "last_size": ticker.last_size,
        "vwap": ticker.vwap,
        "previous_close": ticker.close,
    }
