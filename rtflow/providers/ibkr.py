"""Interactive Brokers, market data by the WebSocket of the Client Portal API, of a gateway or of IBKR itself.

What the venue says, and what is done about it. The documents:
https://interactivebrokers.github.io/cpwebapi/websockets (guide),
https://www.interactivebrokers.com/campus/ibkr-api-page/cpapi-v1/#websockets (reference),
https://www.interactivebrokers.com/campus/ibkr-api-page/cpapi-v1/#market-data-fields (fields).

The connection

 1. The socket does not log in: a session of the REST service must be, with a call of ``/iserver/accounts``
    in it, and goes along as a cookie, which a gateway wants as ``api={"session":"…"}`` and IBKR itself as
    ``api=…``, or as the first message. IBKR itself takes an OAuth token too, in the query of the address.
 2. Whoever is greeted by ``waiting for session`` may still be known by the cookie: the message follows only
    where no ``sts`` does. Nothing is asked before ``sts`` says ``authenticated``, sometimes as text.
 3. ``authenticated: false`` in a greeting is waited out on the open socket for ten minutes, as somebody may
    be logging in; later (at the nightly reset, say) it ends all streams, and so the connection: Disconnected.
 4. ``competing`` means that the user name is in use elsewhere, and only one session can be: Rejected.
 5. The venue sends ``hb`` each ten seconds. It wants ``tic`` for the session and ``ech+hb`` for the socket,
    each at least once a minute. After 20 s without a frame we ask, and after 30 s the line is dead.
 6. One JSON object a frame, and the frames are binary; what we say is text and no JSON document:
    ``topic+target+{arguments}``, where quotation marks are double. There is one update a frame.
 7. Nothing is acknowledged: the first data of a topic is its acknowledgement. What has none within 30 s is
    asked for again. An ``error`` refuses what its topic or its text names, and else nothing of ours.

Top of the book: ``smd``, ``umd``

 8. A stream of one contract has fields; the union of what our kinds need is asked for, and asked again when
    it grows. When it shrinks the stream is ended first: the guide lets a second request add fields.
 9. A stream ends after 15 minutes without a word, so each is asked for again after nine. About 100 streams
    may be open at a time. Requests keep to the ten a second that the REST service allows.
10. A frame has the fields that changed; each field is merged into what is known of the contract. Frames
    may overtake each other: an older one changes nothing that one of the last few has told anew.
11. Values are text or numbers: ``118.75``, ``3,500``, ``12.2M``, ``1.20%``. Empty is none, and so are a price
    of -1 without a size and a side of size 0; prices may be negative. ``C`` before the last price makes it
    the day before's close, which is neither a trade nor a last price; ``H`` says that trading is halted.
12. There are no prints, only samples of the last one, without an id or a side. One is seen where the volume
    (7762) has grown, or, in a frame without it, where the last size came and it or the price changed; the
    volume that follows in a frame of its own is that trade's. What is known first is old, and no trade.
13. ``_updated`` is when the venue looked, in milliseconds, and not when anybody traded.
14. A field that cannot be read is unknown from then on. Its frame is malformed and says nothing else; what
    it changed is told with the next frame, but for a trade.
15. ``6509`` tells how good the data is: real time (R), delayed (D), frozen (Z, Y), or not subscribed (N),
    which is a refusal.

The BookTrader's ladder: ``sbd``, ``ubd``

16. An account has one ladder, by account, contract and, if wanted, exchange. Rows are positions and not
    prices: the rows of a frame replace those of their numbers, all rows where most of them come, the first
    among them. So every frame makes a whole book. It has no stamp and no number.

History: ``smh``, ``umh``

17. A request is answered once and then holds one of five places until it is given back by ``umh`` with the
    ``serverId`` of the answer. The answer does not name an exchange, so none is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    State,
    Status,
    Ticker,
    Trade,
    TradingStatus,
)
from rtflow.provider import (
    Answer,
    Profile,
    Refused,
    Request,
    Session,
    Subscription,
    Topic,
    Traffic,
    check_kinds,
    denied,
)
from rtflow.streams import Streams
from rtflow.time import SECOND

_GATEWAY = "wss://localhost:5000/v1/api/ws"
_OWN = "wss://api.ibkr.com/v1/api/ws"


class InteractiveBrokers(Streams):
    """Interactive Brokers by the Client Portal gateway, or by its own address with OAuth.

    A symbol is a contract id (``265598``), if need be of one exchange (``265598@ISLAND``), or a name of your
    own for one, out of ``names``. Quotes and trades are samples; ``tickers`` are the figures of the day.
    ``books`` is the BookTrader's ladder, one contract at a time, of ``account`` or of the one that the venue
    says is selected. ``bars`` are a history of ``period`` in bars of ``bar``, told once. Halts come unasked,
    as TradingStatus, with trades and tickers.

    ``session`` is what ``/tickle`` calls so, or a function that remembers it, as another connection may need
    another one; it travels in a cookie, or with ``auth="message"`` in a message. With ``oauth_token`` the
    address is IBKR's own. ``certificate`` is the file (PEM) of a gateway that signs its own; without it, only
    ``verified=False`` makes us trust such a one. ``lines`` is how many streams your account allows. Where
    your account shows the sizes of quotes in lots, ``lot`` turns them into shares. ``ladder`` is the symbol
    that an old gateway means, whose books do not name their contract.

        >>> ibkr = InteractiveBrokers("aeccc9d7515398c50fa894d967d099b1", names={"AAPL": "265598"})
        >>> ibkr
        InteractiveBrokers(url='wss://localhost:5000/v1/api/ws')
        >>> from rtflow.events import FrameKind
        >>> payload = b'{"topic":"smd+265598","_updated":1702334859712,"84":"195.25","88":"3,500"}'
        >>> frame = Frame(FrameKind.BINARY, payload, ts_recv=1)
        >>> [event.bid_size for event in ibkr.decoder().decode(frame) if isinstance(event, Quote)]
        [3500.0]

    Raises ValueError for arguments it cannot use, Unsupported for a period or a bar that the venue lacks.
    """

    name = "ibkr"
    kinds: Collection[str] = ("trades", "quotes", "tickers", "books", "bars")
    profile = Profile(
        title="Interactive Brokers (Client Portal)",
        documents="https://interactivebrokers.github.io/cpwebapi/websockets",
        markets="stocks, options, futures, forex, bonds, funds",
        encoding="JSON in binary frames, text commands",
        auth="REST session by cookie or message; OAuth",
        kinds=("trades", "quotes", "tickers", "books", "bars"),
        depth="BookTrader's ladder, one per account",
        sequence="–",
        checksum="–",
        heartbeat="venue's each 10 s; ours within 60 s",
        limits="100 streams, 15 min each; 5 histories; 1 session",
    )

    def __init__(
        self,
        session: str | Callable[[], str] = "",
        *,
        oauth_token: str = "",
        auth: Literal["cookie", "message"] = "cookie",
        url: str | None = None,
        names: Mapping[str, str] | None = None,
        account: str = "",
        period: str = "1d",
        bar: str = "1min",
        outside_hours: bool = False,
        certificate: str = "",
        verified: bool = True,
        lines: int = 100,
        lot: float = 1.0,
        ladder: str = "",
    ) -> None:
        if auth not in ("cookie", "message"):
            raise ValueError(f"auth is cookie or message, not {auth!r}")
        if auth == "message" and not session:
            raise ValueError("auth='message' needs a session to send")
        if account and not _ACCOUNT.fullmatch(account):
            raise ValueError(f"an account is letters and digits, as DU1234567, not {account!r}")
        if lines < 1:
            raise ValueError(f"lines is a number of streams, not {lines!r}")
        if not 0 < lot <= _LARGEST:
            raise ValueError(f"a lot is a number of shares, not {lot!r}")
        if bar not in _BARS:
            raise Unsupported(f"ibkr makes bars of {', '.join(_BARS)}, not {bar!r}")
        _check_period(period)
        self._contracts = dict(names or {})
        self._names = {contract: name for name, contract in self._contracts.items()}
        if len(self._names) < len(self._contracts):
            raise ValueError("two names for one contract: its events could have only one of them")
        for name, contract in self._contracts.items():
            if not _CONTRACT.fullmatch(contract):
                raise ValueError(f"{name!r} names a contract as 265598 or 265598@ISLAND, not {contract!r}")
        self.url = url or (_OWN if oauth_token else _GATEWAY)
        self._session = session
        self._oauth_token = oauth_token
        self._by_message = auth == "message"
        self._account = account
        self._history = {"period": period, "bar": bar, "outsideRth": outside_hours, "source": "trades"}
        self._certificate = certificate
        self._verified = verified
        self._lines = lines
        self._lot = lot
        self._ladder = ladder and self._contract(ladder)
        if isinstance(session, str):
            self._known_session()

    def __repr__(self) -> str:
        return f"InteractiveBrokers(url={self.url.partition('?')[0]!r})"

    def request(self, subscription: Subscription) -> Request:
        """The address, with the session in a cookie and the OAuth token in the query (rule 1).

        Raises Unsupported for a kind it lacks, for what is no contract, and for more than the limits of
        rules 9 and 16.
        """
        check_kinds(self, subscription)
        contracts = {
            kind: {self._contract(each) for each in subscription.symbols(kind)} for kind in self.kinds
        }
        lines = set[str]().union(*(contracts[kind] for kind in _FIELDS))
        if len(lines) > self._lines:
            raise Unsupported(f"ibkr streams {self._lines} contracts at a time, not {len(lines)}")
        if len(contracts["books"]) > 1:
            raise Unsupported(
                f"ibkr has one ladder per account, not {len(contracts['books'])} books at a time"
            )
        for contract in sorted(contracts["bars"]):
            if "@" in contract:
                raise Unsupported(f"ibkr's history does not say its exchange; ask without, not {contract!r}")
        url, cookie = self.url, ""
        headers: dict[str, str] = {}
        if self._oauth_token:
            url += f"{'&' if '?' in url else '?'}oauth_token={quote(self._oauth_token, safe='')}"
            headers["User-Agent"] = "ClientPortalGW/1"
        if not self._by_message and (session := self._known_session()):
            cookie = f"api={session}" if self._oauth_token else f'api={{"session":"{session}"}}'
        return Request(url, headers, cookie, self._certificate, self._verified)

    def session(self, subscription: Subscription) -> InteractiveBrokersSession:
        """A fresh conversation that is to end with ``subscription`` being served."""
        return InteractiveBrokersSession(
            subscription,
            self._contracts,
            self._account,
            self._history,
            self._known_session(),
            self._by_message,
        )

    def decoder(self) -> InteractiveBrokersDecoder:
        """A fresh reader of one connection's frames."""
        return InteractiveBrokersDecoder(self._names, self._lot, self._ladder)

    def _contract(self, symbol: str) -> str:
        """The contract that ``symbol`` stands for."""
        contract = self._contracts.get(symbol, symbol)
        if contract == symbol and symbol in self._names:
            raise Unsupported(f"contract {symbol} goes by its name here; ask for {self._names[symbol]!r}")
        if not _CONTRACT.fullmatch(contract):
            raise Unsupported(
                f"ibkr's symbols are contracts, as 265598 or 265598@ISLAND, or names of them; not {symbol!r}"
            )
        return contract

    def _known_session(self) -> str:
        session = self._session if isinstance(self._session, str) else self._session()
        if session and not _SECRET.fullmatch(session):
            raise ValueError("a session is letters, digits and .-_ as /tickle tells it")  # and is not shown
        return session


_CONTRACT = re.compile(r"[1-9]\d{0,17}(@[A-Z0-9.]{1,20})?", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)
_SECRET = re.compile(r"[\w.-]{1,200}", re.ASCII)  # nothing that ends a cookie or a JSON text
_LARGEST = 1e150  # beyond any number of a market's, and the product of two is still finite

_FIELDS = {  # rule 8. No field but 31 is in two of them, so that a frame tells whose it is.
    "quotes": ("84", "85", "86", "88", "7057", "7068"),
    "trades": ("31", "7058", "7059", "7762"),
    "tickers": ("31", "70", "71", "87", "7295", "7741"),
}
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_BARS = {  # a month has no one length
    **{f"{count}min": count * _MINUTE for count in (1, 2, 3, 5, 10, 15, 30)},
    **{f"{count}h": count * _HOUR for count in (1, 2, 3, 4, 8)},
    "1d": _DAY,
    "1w": 7 * _DAY,
}
_INTERVALS = {seconds: bar.replace("min", "m") for bar, seconds in _BARS.items()}
_PERIODS = {"min": 30, "h": 8, "d": 1000, "w": 792, "m": 182, "y": 15}


def _check_period(period: str) -> None:
    found = re.fullmatch(r"([1-9]\d{0,3})(min|h|d|w|m|y)", period, re.ASCII)
    if found is None or int(found[1]) > _PERIODS[found[2]]:
        offer = ", ".join(f"1{unit} to {most}{unit}" for unit, most in _PERIODS.items())
        raise Unsupported(f"ibkr tells histories of {offer}, not {period!r}")


# ---------------------------------------------------------------------------------------------- talking


class InteractiveBrokersSession(Session):
    """What we say to Interactive Brokers on one connection.

    What is wanted is compared with what has been asked for, contract by contract, whenever there may be
    something to say; as nothing is acknowledged (rule 7), what was asked and not heard of is asked again.
    """

    def __init__(
        self,
        subscription: Subscription,
        contracts: Mapping[str, str],
        account: str,
        history: Mapping[str, object],
        session: str,
        by_message: bool,
    ) -> None:
        self._contracts = contracts
        self._history = _json(history)
        self._session = session
        self._by_message = by_message
        self._account = account
        self._wanted = set(subscription.topics)
        self._lines: dict[str, _Line] = {}  # by contract
        self._unheard: set[str] = set()  # lines that have brought nothing yet
        self._ladder = ""  # the contract of the one we have
        self._ladder_asked: int | None = None  # when; None once it has come
        self._places: dict[str, int] = {}  # contract to when its history was asked for, rule 17
        self._told: set[str] = set()  # contracts whose history has come
        self._unbalanced = True
        self._renew_at: int | None = None  # when something is to be asked for again
        self._authenticated = False
        self._awaited = False  # the venue said that it waits for our session
        self._attach_at: int | None = None  # rule 2
        self._login_by = _LOGIN
        self._logged_out = False
        self._now = 0
        self._pace = 0  # a bucket of _BURST requests that refills one in _SPACING: full at this stamp
        self._frames = 0
        self._counted = 0  # of _frames, at the last look
        self._heard = 0
        self._asked = False  # whether anybody is there
        self._look = _LOOK
        self._alive = _ALIVE

    def started(self, now: int) -> None:
        self._now = self._heard = now
        self._look = now + _LOOK
        self._alive = now + _ALIVE
        self._login_by = now + _LOGIN

    def opened(self) -> Iterable[Answer]:
        return (self._attachment(),) if self._by_message else ()

    def classify(self, payload: bytes) -> Traffic:
        self._frames += 1
        start = payload.find(_MARKET_DATA)
        if start >= 0:
            if self._unheard:
                start += len(_MARKET_DATA)
                contract = payload[start : payload.find(b'"', start)].decode(errors="replace")
                self._unheard.discard(contract)
            return _CONTROL if _UNENTITLED in payload or _ERROR in payload else _DATA
        if payload.startswith(_LADDER) and _ERROR not in payload:
            self._ladder_asked = None
            return _DATA
        return _classify(payload)

    def received(self, frame: Frame) -> Iterable[Answer]:
        self._now = frame.ts_recv
        answers: list[Answer] = []
        try:
            said = _read_control(frame.payload)
            topic, _, target = said.topic.partition("+")
            match topic:
                case "sts":
                    answers.extend(self._judge(_read_state(said.args)))
                case "act":
                    self._meet(_read_accounts(said.args))
                case _ if said.problem:
                    answers.extend(self._refuse(said))
                case "smh":
                    answers.extend(self._finish(target, said.server_id))
                case "smd" if said.unentitled:
                    reason = f"market data is not subscribed ({_AVAILABILITY} is {said.quality})"
                    answers.extend(self._withdraw(self._topics(target, _FIELDS), reason))
                case "" if said.message == _WAITING and not self._awaited:  # rule 2
                    self._awaited = True
                    if self._session and not self._by_message:
                        self._attach_at = self._now + _MOMENT
                case _:
                    pass
        except _BROKEN:  # the decoder says Malformed
            return ()
        answers.extend(self._requests())
        return answers

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Answer]:
        self._wanted |= added.topics
        self._wanted -= removed.topics
        self._told -= {self._contract(symbol) for symbol in removed.symbols("bars")}
        self._unbalanced = True
        return list(self._requests())

    def resync(self, symbol: str) -> Iterable[Answer]:
        if self._ladder and self._ladder == self._contract(symbol):
            self._ladder, self._ladder_asked = "", None
            self._unbalanced = True
            return [f"ubd+{self._account}", *self._requests()]
        return ()

    def due(self) -> int | None:
        stamps = [self._look, self._alive]
        if self._attach_at is not None:
            stamps.append(self._attach_at)
        if self._authenticated:
            if self._unbalanced:
                stamps.append(self._pace - _BURST)
            if self._renew_at is not None:
                stamps.append(self._renew_at)
        else:
            stamps.append(self._login_by)
        return min(stamps)

    def wake(self, now: int) -> Iterable[Answer]:
        self._now = now
        says: list[Answer] = []
        if not self._authenticated:
            if now >= self._login_by:
                says.append(self._not_logged_in())
            if self._attach_at is not None and now >= self._attach_at:
                self._attach_at = None
                says.append(self._attachment())
        if now >= self._alive:
            self._alive = now + _ALIVE
            says += ["tic", "ech+hb"]
        if now >= self._look:
            self._look = now + _LOOK
            says.extend(self._listen(now))
        if self._renew_at is not None and now >= self._renew_at:
            self._places = {each: asked for each, asked in self._places.items() if asked + _PATIENCE > now}
            self._renew_at = None
            self._unbalanced = True
        says.extend(self._requests())
        return says

    def denied(self, status: int, text: str) -> RtflowError:
        if status == 429:  # the REST service's penalty
            return Throttled(f"HTTP {status} {text}".rstrip(), retry_after=900.0)
        return denied(status, text)

    # -- rules 1 to 5

    def _attachment(self) -> str:
        return _json({"session": self._session})

    def _judge(self, state: _State) -> Iterator[Answer]:
        """What the state of the session means for us."""
        if _truth(state.competing):
            yield Rejected(_COMPETING, code="competing")
        authenticated = _truth(state.authenticated)
        if authenticated:
            self._authenticated = self._unbalanced = True
            self._attach_at = None
        elif authenticated is False and self._authenticated:
            yield Disconnected(f"the venue logged us out{f': {state.fail}' if state.fail else ''}")
        elif authenticated is False and not self._logged_out:
            self._logged_out = True
            self._login_by = self._now + _SIGN_ON

    def _not_logged_in(self) -> RtflowError:
        self._login_by = self._now + _LOGIN
        if self._logged_out:
            return Disconnected(f"nobody has logged in within {_SIGN_ON // SECOND} s")
        if self._awaited:
            return Rejected(f"the venue waits for a session, and did not take ours in {_LOGIN // SECOND} s")
        return Disconnected(f"no word of our session within {_LOGIN // SECOND} s")

    def _meet(self, accounts: _Accounts) -> None:
        """Rule 16: whose ladder it is to be, unless we were told."""
        account = accounts.selected or next(iter(accounts.accounts), "")
        if not self._account and _ACCOUNT.fullmatch(account):
            self._account = account
            self._unbalanced = True

    def _listen(self, now: int) -> Iterator[Answer]:
        """Any frame is a sign of life; without one we ask, and without an answer the line is dead."""
        if self._frames != self._counted:
            self._counted = self._frames
            self._heard = now
            self._asked = False
        elif not self._asked:
            if now - self._heard >= _SILENCE:
                self._asked = True
                self._heard = now - _SILENCE  # we may have slept: time for an answer there must be
                yield "ech+hb"
        elif now - self._heard >= _SILENCE + _ANSWER:
            yield Disconnected(f"silent for {(now - self._heard) // SECOND} s, and no echo")

    # -- what we ask for

    def _contract(self, symbol: str) -> str:
        return self._contracts.get(symbol, symbol)

    def _topics(self, contract: str, kinds: Collection[str]) -> tuple[Topic, ...]:
        return tuple(
            sorted(
                (kind, symbol)
                for kind, symbol in self._wanted
                if kind in kinds and self._contract(symbol) == contract
            )
        )

    def _expiry(self, contract: str) -> int:
        """When a line is to be asked for again: rule 9, or rule 7."""
        return self._lines[contract].asked + (_PATIENCE if contract in self._unheard else _RENEWAL)

    def _requests(self) -> Iterator[Answer]:
        """What may be asked by now, at the pace."""
        while self._authenticated and self._unbalanced and self._pace - _BURST <= self._now:
            request = self._next()
            if request is None:
                self._unbalanced = False
                stamps = [self._expiry(contract) for contract in self._lines]
                stamps += [asked + _PATIENCE for asked in self._places.values()]
                if self._ladder_asked is not None:
                    stamps.append(self._ladder_asked + _PATIENCE)
                self._renew_at = min(stamps, default=None)
                return
            self._pace = max(self._pace, self._now) + _SPACING
            yield request

    def _next(self) -> str | None:
        """The request that comes next; None when all is in balance."""
        return self._next_line() or self._next_ladder() or self._next_history()

    def _next_line(self) -> str | None:
        wanted: dict[str, set[str]] = {}
        for kind, symbol in self._wanted:
            if kind in _FIELDS:
                wanted.setdefault(self._contract(symbol), set()).update(_FIELDS[kind])
        for contract, line in self._lines.items():
            if not line.fields <= wanted.get(contract, set()):  # rule 8
                del self._lines[contract]
                self._unheard.discard(contract)
                return f"umd+{contract}+{{}}"
        for contract in sorted(wanted):
            asked = self._lines.get(contract)
            if asked is None or asked.fields < wanted[contract]:
                self._unheard.add(contract)
            elif self._expiry(contract) > self._now:
                continue
            self._lines[contract] = _Line(wanted[contract], self._now)
            return f"smd+{contract}+{_json({'fields': sorted(wanted[contract], key=int)})}"
        return None

    def _next_ladder(self) -> str | None:
        if not self._account:
            return None  # rule 16; it comes with "act"
        wanted = next((self._contract(symbol) for kind, symbol in self._wanted if kind == "books"), "")
        if wanted == self._ladder:
            if self._ladder_asked is None or self._ladder_asked + _PATIENCE > self._now:
                return None
        elif self._ladder:
            self._ladder, self._ladder_asked = "", None
            return f"ubd+{self._account}"
        self._ladder, self._ladder_asked = wanted, self._now
        conid, _, exchange = wanted.partition("@")
        return f"sbd+{self._account}+{conid}" + (f"+{exchange}" if exchange else "")

    def _next_history(self) -> str | None:
        wanted = {self._contract(symbol) for kind, symbol in self._wanted if kind == "bars"}
        waiting = sorted(wanted - self._told - self._places.keys())
        if not waiting or len(self._places) >= _PLACES:
            return None
        self._places[waiting[0]] = self._now
        return f"smh+{waiting[0]}+{self._history}"

    def _finish(self, contract: str, server_id: object) -> Iterator[Answer]:
        """A history has come, and its place is given back (rule 17)."""
        self._places.pop(contract, None)
        self._unbalanced = True
        if self._topics(contract, ("bars",)):
            self._told.add(contract)
        if isinstance(server_id, str) and _SECRET.fullmatch(server_id):
            yield f"umh+{server_id}"

    def _refuse(self, said: _Control) -> Iterator[Answer]:
        """Rule 7: what an error refuses, by its topic or by the request that it quotes."""
        named = _REQUEST.search(said.topic) or _REQUEST.search(said.problem)
        if named is None:
            return
        topic, contract, exchange = named[1], named[2], named[3]
        kinds: Collection[str] = _FIELDS
        if topic == "smd":
            self._lines.pop(contract, None)
        elif topic == "smh":
            kinds = ("bars",)
            self._places.pop(contract, None)
        else:
            kinds = ("books",)
            contract = f"{contract}@{exchange}" if exchange else contract
        self._unbalanced = True
        yield from self._withdraw(self._topics(contract, kinds), said.problem)

    def _withdraw(self, topics: tuple[Topic, ...], reason: str) -> Iterator[Answer]:
        if topics:
            self._wanted.difference_update(topics)
            self._unbalanced = True
            yield Refused(topics, reason)


class _Line(NamedTuple):
    """A stream that we asked for: with which fields, and when."""

    fields: set[str]
    asked: int


_SPACING = SECOND // 10
_BURST = 9 * _SPACING  # so ten go out at once
_PLACES = 5  # rule 17
_RENEWAL = 9 * 60 * SECOND  # rule 9
_PATIENCE = 30 * SECOND  # rule 7
_LOGIN = 30 * SECOND  # for a word of our session
_SIGN_ON = 600 * SECOND  # rule 3
_MOMENT = 2 * SECOND  # rule 2
_ALIVE = 50 * SECOND  # rule 5
_LOOK = SECOND  # how often we look for signs of life
_SILENCE = 20 * SECOND
_ANSWER = 10 * SECOND

_DATA, _CONTROL, _HEARTBEAT = Traffic.DATA, Traffic.CONTROL, Traffic.HEARTBEAT
_MARKET_DATA = b'"topic":"smd+'  # first in some frames, last in others
_LADDER = b'{"topic":"sbd'
_UNENTITLED = b'"6509":"N'  # rule 15
_ERROR = b'"error":'
_WAITING = "waiting for session"
_REQUEST = re.compile(
    r"(?:(smd|smh)|sbd\+[A-Za-z0-9]+)\+([1-9]\d*(?:@[A-Z0-9.]+)?)(?:\+([A-Z0-9.]+))?", re.ASCII
)


def _classify(payload: bytes) -> Traffic:
    """The same by reading: for control frames, and for those that are spelled as none has been yet."""
    if payload.startswith(b"ech+"):
        return _HEARTBEAT
    try:
        said = _read_control(payload)
    except _BROKEN:
        return _CONTROL
    topic = said.topic[:3]
    if said.problem:
        return _CONTROL
    if topic in ("tic", "ech") or (said.topic == "system" and said.beat is not None):
        return _HEARTBEAT
    return _DATA if topic == "sbd" or (topic == "smd" and not said.unentitled) else _CONTROL


def _json(message: object) -> str:
    return msgspec.json.encode(message).decode()


# ---------------------------------------------------------------------------------------------- meaning


class InteractiveBrokersDecoder:
    """What the frames say; remembers the newest value of each field, as frames say only what changed."""

    def __init__(self, names: Mapping[str, str], lot: float, ladder: str) -> None:
        self._names = names
        self._lot = lot
        self._ladder = ladder  # the contract of a book that names none
        self._contracts: dict[str, _Contract] = {}
        self._ladders: dict[str, dict[int, _Rung]] = {}
        self._histories: dict[str, str] = {}  # serverId to contract
        self._skipped = 0

    @property
    def skipped(self) -> int:
        """How many messages of a type nobody here knows have been passed over."""
        return self._skipped

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one frame. Never raises for what the venue sent."""
        payload = frame.payload
        try:
            if payload.startswith(_LADDER):
                return self._book(frame)
            try:
                said = _read_fields(payload)
            except msgspec.MsgspecError:  # not flat, so not the top of a book
                return self._decode_other(frame)
            topic = said.get("topic")
            if isinstance(topic, str) and topic.startswith("smd+") and not said.get("error"):
                return self._merge(frame, said, topic[4:])
            return self._decode_other(frame)
        except _BROKEN as error:
            return (_malformed(frame, error),)

    def state(self) -> object:
        """What is known of each contract, each ladder and each history, as plain data."""
        ladders = {name: list(rungs.values()) for name, rungs in self._ladders.items()}
        return msgspec.to_builtins(_Memory(self._contracts, ladders, self._histories, self._skipped))

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        memory = msgspec.convert(state, _Memory)
        self._contracts, self._histories, self._skipped = memory.contracts, memory.histories, memory.skipped
        self._ladders = {name: {each.row: each for each in rungs} for name, rungs in memory.ladders.items()}

    # -- the top of the book

    def _merge(self, frame: Frame, said: dict[str, Any], name: str) -> Iterable[Event]:
        """What changed of one contract."""
        received = frame.ts_recv
        contract = self._contracts.get(name) or self._met(name)
        conid = said.get("conid")
        if conid != contract.conid and conid is not None and conid != str(contract.conid):
            raise ValueError(f"topic and conid name two contracts: {name} and {conid!r}")
        stamp = said.get("_updated")
        if stamp is None:
            stamp = received
        elif stamp.__class__ is int and 0 <= stamp <= _LAST_MILLISECOND:
            stamp *= 1_000_000
            recent = contract.recent
            if stamp < contract.newest:
                said = contract.without_later(said, stamp)
                contract.newest = max(when for when, _ in recent)  # which forgets a clock that was wrong
            else:
                contract.newest = stamp
            recent.append((stamp, said))
            if len(recent) > _RECENT:
                del recent[0]
        else:
            raise ValueError(f"_updated is no stamp in milliseconds: {stamp!r}")
        self._contracts[name] = contract
        if "87_raw" in said:
            said[_DAY_VOLUME] = said["87_raw"]
        known = contract.values
        before = (known[_LAST], known[_LAST_SIZE], known[_VOLUME], contract.prefix)
        present = changed = contract.unsaid
        flaw = ""
        for key, value in said.items():
            if key in _READERS:
                bit, read = _READERS[key]
                present |= bit
                try:
                    new = read(value)
                except ValueError as error:
                    new, flaw = None, f"field {key}: {error}"
                if new != known[key]:
                    known[key] = new
                    changed |= bit
        if present & _IS_LAST:
            contract.prefix = _prefix(said[_LAST])
        traded = present & _OF_TRADES and _traded(contract, present, *before)
        contract.unsaid = 0
        if flaw:  # rule 14
            contract.unsaid = changed & ~_OF_TRADES
            return (Malformed(frame, flaw, received),)
        events: list[Event] = []
        if present & ~contract.heard:
            events.extend(_news(contract, frame, present))
        if changed & _IS_QUOTE:
            events.append(_quote(contract, stamp, received, self._lot))
        if traded:
            events.append(_trade(contract, stamp, received))
        if contract.halted is not (contract.prefix == "H"):
            contract.halted = not contract.halted
            code, text = ("H", "halted") if contract.halted else ("", "resumed")
            events.append(TradingStatus(contract.symbol, stamp, received, code, text, venue="ibkr"))
        if present & _IS_TICKER and changed & (_IS_TICKER | _IS_LAST):
            events.append(_ticker(contract, stamp, received))
        if changed & _IS_QUALITY:
            events.extend(_quality(contract, frame))
        return events

    def _met(self, name: str) -> _Contract:
        return _Contract(self._symbol(name), int(name.partition("@")[0]))

    def _symbol(self, name: str) -> str:
        """What the contract is called here. Raises ValueError for what is no contract."""
        if not _CONTRACT.fullmatch(name):
            raise ValueError(f"not a contract: {name!r}")
        return self._names.get(name, name)

    # -- the ladder

    def _book(self, frame: Frame) -> Iterable[Event]:
        """The ladder after this frame, as a book (rule 16)."""
        said = _read_ladder(frame.payload)
        if said.error:
            return self._decode_other(frame)
        name = "@".join(said.topic.split("+")[2:4]) or self._ladder
        if not name:
            raise ValueError("a book that names no contract, as an old gateway's; say whose by ladder=")
        symbol = self._symbol(name)
        events: list[Event] = []
        rungs: dict[int, _Rung] = {}
        spoiled: set[int | None] = set()  # what bad rows were about; None where they do not say
        for raw in said.data:
            try:
                rung = _read_row(raw).rung()
                rungs[rung.row] = rung
            except _BROKEN as error:
                events.append(_malformed(frame, error))
                spoiled.add(_row_of(raw))
        if not rungs:
            return events
        known = self._ladders.get(name)
        if known is None:
            events.append(Status("subscribed", frame.ts_recv, "", symbol, "books", frame.epoch, "ibkr"))
        elif None not in spoiled and not (0 in rungs and 2 * len(rungs.keys() & known.keys()) > len(known)):
            rungs = {row: rung for row, rung in known.items() if row not in spoiled} | rungs
        self._ladders[name] = rungs
        bids = {rung.price: rung.bid for rung in rungs.values() if rung.bid}
        asks = {rung.price: rung.ask for rung in rungs.values() if rung.ask}
        events.append(
            OrderBookUpdate(
                symbol,
                frame.ts_recv,
                frame.ts_recv,
                tuple(sorted(bids.items(), reverse=True)),
                tuple(sorted(asks.items())),
                True,
                frame.epoch,
                "ibkr",
            )
        )
        return events

    # -- all the rest

    def _decode_other(self, frame: Frame) -> Iterable[Event]:
        if frame.payload.startswith(_ECHO):
            return (_status("heartbeat", frame),)
        said = _read_control(frame.payload)
        if said.problem:
            return (_status("rejected", frame, said.problem),)
        topic, _, target = said.topic.partition("+")
        match topic:
            case "smd":
                return self._merge(frame, _read_fields(frame.payload), target)  # it is not flat, and raises
            case "sbd":
                return self._book(frame)
            case "smh":
                return self._bars(frame, target)
            case "sts":
                return list(_states(frame, _read_state(said.args)))
            case "tic" | "ech":
                return (_status("heartbeat", frame),)
            case "system":
                return (_status("venue" if said.beat is None else "heartbeat", frame),)
            case "ntf" | "blt":
                return [_status("venue", frame, text) for text in _texts(said.args) if text]
            case "act":
                return ()
            case "" if isinstance(said.message, str):
                return (self._message(frame, said.message),)
            case "" if isinstance(said.result, str):  # of topics that are not ours
                return ()
            case _:
                self._skipped += 1
                return ()

    def _message(self, frame: Frame, message: str) -> Status:
        """``{"message":"Unsubscribed 341115"}`` gives a history's place back; else it is talk."""
        contract = self._histories.pop(message.removeprefix("Unsubscribed "), None)
        if contract is None:
            return _status("venue", frame, message)
        return Status("unsubscribed", frame.ts_recv, "", self._symbol(contract), "bars", frame.epoch, "ibkr")

    def _bars(self, frame: Frame, contract: str) -> Iterable[Event]:
        """A history (rule 17)."""
        said = _read_history(frame.payload)
        symbol = self._symbol(contract)
        self._histories[said.server_id] = contract
        events: list[Event] = [Status("subscribed", frame.ts_recv, "", symbol, "bars", frame.epoch, "ibkr")]
        for raw in said.data:
            try:
                events.append(_read_bar(raw).event(symbol, said, frame.ts_recv))
            except _BROKEN as error:
                events.append(_malformed(frame, error))
        return events


_ECHO = b"ech+"
_RECENT = 4  # frames of a contract that are remembered, rule 10
_LAST_STAMP = 2**63 - 1  # in 2262
_LAST_MILLISECOND = _LAST_STAMP // 1_000_000
_BROKEN = (
    ValueError,
    OverflowError,
    RecursionError,
)  # msgspec's errors are ValueErrors, bad UTF-8 is one too


def _malformed(frame: Frame, error: Exception) -> Malformed:
    return Malformed(frame, str(error), frame.ts_recv)


def _status(state: State, frame: Frame, text: str = "") -> Status:
    return Status(state, frame.ts_recv, text, "", "", frame.epoch, "ibkr")


def _states(frame: Frame, said: _State) -> Iterable[Status]:
    """What is said of the session; most frames say one thing."""
    authenticated, competing = _truth(said.authenticated), _truth(said.competing)
    if authenticated is not None:
        text = "" if authenticated else "not authenticated"
        yield _status("authenticated" if authenticated else "venue", frame, text)
    if competing:
        yield _status("rejected", frame, _COMPETING)
    for text in (said.message, said.fail):
        if text:
            yield _status("venue", frame, text)


# ------------------------------------------------------------------------- the wire, as the venue spells it

_Text: TypeAlias = str | float | None
_Value: TypeAlias = str | int | float | None

_LAST, _LAST_EXCHANGE, _LAST_SIZE, _VOLUME = "31", "7058", "7059", "7762"
_BID, _BID_SIZE, _BID_EXCHANGE = "84", "88", "7068"
_ASK, _ASK_SIZE, _ASK_EXCHANGE = "86", "85", "7057"
_HIGH, _LOW, _DAY_VOLUME, _OPEN, _PRIOR_CLOSE = "70", "71", "87", "7295", "7741"
_AVAILABILITY = "6509"

_IS_LAST, _IS_LAST_SIZE, _IS_VOLUME, _IS_QUOTE, _IS_TICKER, _IS_QUALITY, _IS_OTHER = (
    1 << bit for bit in range(7)
)
_OF_TRADES = _IS_LAST | _IS_LAST_SIZE | _IS_VOLUME


class _Contract(msgspec.Struct):
    """What is known of one contract, by field id."""

    symbol: str
    conid: int
    values: dict[str, Any] = {}  # numbers, and the letters of exchanges and of the quality
    newest: int = 0  # the latest stamp so far
    recent: list[tuple[int, dict[str, Any]]] = []  # the last few frames, and their stamps
    prefix: str = ""  # of the last price
    halted: bool = False
    quality: str = "R"  # as it was told last
    ahead: bool = False  # a trade was told whose volume has yet to come, rule 12
    heard: int = 0  # the sorts of field that have come
    unsaid: int = 0  # those that a flawed frame changed

    def __post_init__(self) -> None:
        """Each field has a value, None at first: to look one up that may be missing takes twice as long."""
        self.values = dict.fromkeys(_READERS) | self.values

    def without_later(self, said: dict[str, Any], stamp: int) -> dict[str, Any]:
        """What an older frame says that no later one has said already (rule 10)."""
        later = [each.keys() for when, each in self.recent if when > stamp]
        return {key: value for key, value in said.items() if not any(key in keys for keys in later)}


# {"server_id":"q0","conid":265598,"_updated":1615300714892,"6119":"q0","87":"12.2M","87_raw":1.22E7,
#  "31":"119.46","6509":"RpB","topic":"smd+265598"}
_read_fields: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, _Value]).decode

_NUMBER = re.compile(r"[A-Z]?([+-]?(?:\d[\d,]*(?:\.\d*)?|\.\d+))(?:([KMB])|%)?", re.ASCII)
_POWERS = {None: "", "K": "e3", "M": "e6", "B": "e9"}


@lru_cache(maxsize=16384)  # the same few come again and again
def _price(value: _Value) -> float | None:
    """The number in a value (rule 11).

    >>> _price("C118.75"), _price("12.2M"), _price("3,500"), _price(420.49), _price("")
    (118.75, 12200000.0, 3500.0, 420.49, None)
    """
    if value is None:
        return None
    if isinstance(value, str):
        if not (stripped := value.strip()):
            return None
        found = _NUMBER.fullmatch(stripped)
        if found is None:
            raise ValueError(f"not a number: {value[:40]!r}")
        digits, power = found.groups()
        value = float(digits.replace(",", "") + _POWERS[power])
    if not -_LARGEST <= value <= _LARGEST:
        raise ValueError("a number beyond all bounds")
    return float(value)


@lru_cache(maxsize=16384)
def _size(value: _Value) -> float | None:
    number = _price(value)
    if number is not None and number < 0:
        raise ValueError(f"a size below zero: {value!r}")
    return number


def _prefix(value: _Value) -> str:
    """The letter before a price; "" without."""
    first = value.strip()[:1] if isinstance(value, str) else ""
    return first if first.isalpha() else ""


def _letters(value: _Value) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"not a text: {value!r}")


_READERS: dict[str, tuple[int, Callable[[Any], float | str | None]]] = {
    _LAST: (_IS_LAST, _price),
    _LAST_SIZE: (_IS_LAST_SIZE, _size),
    _LAST_EXCHANGE: (_IS_OTHER, _letters),
    _VOLUME: (_IS_VOLUME, _size),
    _BID: (_IS_QUOTE, _price),
    _BID_SIZE: (_IS_QUOTE, _size),
    _BID_EXCHANGE: (_IS_QUOTE, _letters),
    _ASK: (_IS_QUOTE, _price),
    _ASK_SIZE: (_IS_QUOTE, _size),
    _ASK_EXCHANGE: (_IS_QUOTE, _letters),
    _HIGH: (_IS_TICKER, _price),
    _LOW: (_IS_TICKER, _price),
    _DAY_VOLUME: (_IS_TICKER, _size),
    _OPEN: (_IS_TICKER, _price),
    _PRIOR_CLOSE: (_IS_TICKER, _price),
    _AVAILABILITY: (_IS_QUALITY, _letters),
}
_ACKNOWLEDGED = (
    (_IS_QUOTE, "quotes"),
    (_IS_LAST_SIZE | _IS_VOLUME, "trades"),
    (_IS_TICKER, "tickers"),
)


def _traded(
    contract: _Contract,
    present: int,
    was_last: float | None,
    was_size: float | None,
    was_volume: float | None,
    was_prefix: str,
) -> bool:
    """Whether a frame, merged already, shows a trade that those before it did not (rule 12)."""
    values = contract.values
    last, size, volume = values[_LAST], values[_LAST_SIZE], values[_VOLUME]
    ahead, contract.ahead = contract.ahead, False
    if last is None or not size or was_last is None or contract.prefix == "C":
        return False
    if was_prefix == "C" and not contract.prefix:
        return True  # the first one of the day
    if present & _IS_VOLUME:
        grown = was_volume is not None and volume is not None and volume > was_volume
        return grown and not (ahead and present & _OF_TRADES == _IS_VOLUME)
    if present & _IS_LAST_SIZE and was_size is not None and (last, size) != (was_last, was_size):
        contract.ahead = volume is not None
        return True
    contract.ahead = ahead
    return False


def _news(contract: _Contract, frame: Frame, present: int) -> Iterator[Status]:
    """The first data of a topic is its acknowledgement (rule 7)."""
    heard, contract.heard = contract.heard, contract.heard | present
    for bits, kind in _ACKNOWLEDGED:
        if present & bits and not heard & bits:
            yield Status("subscribed", frame.ts_recv, "", contract.symbol, kind, frame.epoch, "ibkr")


def _quality(contract: _Contract, frame: Frame) -> Iterator[Status]:
    """Said where it is not real time, or no longer otherwise (rule 15)."""
    code = contract.values[_AVAILABILITY] or ""
    if code[:1] != contract.quality:
        contract.quality = code[:1]
        text = f"market data is {_QUALITIES.get(code[:1], 'of unknown quality')} ({_AVAILABILITY} is {code})"
        yield Status("venue", frame.ts_recv, text, contract.symbol, "", frame.epoch, "ibkr")


_QUALITIES = {
    "R": "real time",
    "D": "delayed",
    "Z": "frozen",
    "Y": "frozen and delayed",
    "N": "not subscribed",
}


def _trade(contract: _Contract, stamp: int, received: int) -> Trade:
    values = contract.values
    return Trade(
        contract.symbol,
        stamp,
        received,
        values[_LAST],
        values[_LAST_SIZE],
        _UNKNOWN,
        "",
        "ibkr",
        values[_LAST_EXCHANGE] or "",
        _HALTED if contract.prefix == "H" else (),
        "",
        True,
    )


_UNKNOWN = Side.UNKNOWN
_HALTED = ("H",)


def _quote(contract: _Contract, stamp: int, received: int, lot: float) -> Quote:
    known = contract.values
    bid, bid_size = _touch(known[_BID], known[_BID_SIZE], lot)
    ask, ask_size = _touch(known[_ASK], known[_ASK_SIZE], lot)
    return Quote(
        contract.symbol,
        stamp,
        received,
        bid,
        bid_size,
        ask,
        ask_size,
        "ibkr",
        known[_BID_EXCHANGE] or "",
        known[_ASK_EXCHANGE] or "",
        (),
        "",
        lot,
        True,
    )


def _touch(price: float | None, size: float | None, lot: float) -> tuple[float | None, float | None]:
    """One side of a quote (rule 11); its size may be unknown."""
    if price is None or size == 0 or (size is None and price == -1):
        return None, None
    return price, None if size is None else size * lot


def _ticker(contract: _Contract, stamp: int, received: int) -> Ticker:
    known = contract.values
    return Ticker(
        contract.symbol,
        stamp,
        received,
        None if contract.prefix == "C" else known[_LAST],
        None,
        known[_OPEN],
        known[_HIGH],
        known[_LOW],
        known[_PRIOR_CLOSE],
        known[_DAY_VOLUME],
        window="day",
        venue="ibkr",
    )


class _Wire(msgspec.Struct, gc=False):
    """What every type below shares: gone before the next frame comes, so no work for the collector."""


class _Rung(_Wire, gc=False):
    """A row of the ladder; without a price it has no sizes."""

    row: int
    price: float
    bid: float
    ask: float


_RowNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class _Place(_Wire, gc=False):
    """Which row something is."""

    row: _RowNumber


# {"row":1,"focus":1,"price":"123.45","ask":"200"}
class _Row(_Place, gc=False):
    price: _Text = None
    bid: _Text = None
    ask: _Text = None

    def rung(self) -> _Rung:
        price = self.price
        if isinstance(price, str):  # that of the last trade may have its size behind it: "123.45 x 200"
            price = price.partition(" x ")[0]
        number, bid, ask = _price(price), _size(self.bid) or 0.0, _size(self.ask) or 0.0
        return _Rung(self.row, 0.0, 0.0, 0.0) if number is None else _Rung(self.row, number, bid, ask)


# {"topic":"sbd+DU1234567+265598+ARCA","data":[…]}; of old gateways {"topic":"sbd","data":[…]}
class _Ladder(_Wire, gc=False):
    topic: str
    data: list[msgspec.Raw] = []
    error: object = None


_NotNegative: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)]
_Number: TypeAlias = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
_Millisecond: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_LAST_MILLISECOND)]


# {"serverId":"341115","symbol":"AAPL","text":"AAPLE INC","priceFactor":100,"startTime":"20210317-18:00:00",
#  "high":"12586/14469/65","low":"12283/34103/0","timePeriod":"7200s","barLength":300,"mdAvailability":"S",
#  "mktDataDelay":0,"outsideRth":false,"volumeFactor":1, …,"data":[…],"points":23,"topic":"smh+265598"}
class _History(_Wire, gc=False, rename="camel"):
    server_id: str
    bar_length: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]  # seconds
    volume_factor: _NotNegative = 1.0
    data: list[msgspec.Raw] = []


# {"o":366.79,"c":363.95,"h":368.38,"l":363.15,"v":25544,"t":1669645800000}
class _Bar(_Wire, gc=False):
    o: _Number
    h: _Number
    l: _Number  # noqa: E741 - the venue's name
    c: _Number
    t: _Millisecond
    v: _NotNegative = 0.0

    def event(self, symbol: str, history: _History, received: int) -> Bar:
        start = self.t * 1_000_000
        end = start + history.bar_length * SECOND
        volume = self.v * history.volume_factor
        value = volume * self.c  # the venue tells no average
        if end > _LAST_STAMP or not abs(value) < float("inf"):
            raise ValueError(f"a bar beyond all bounds: it begins at {self.t} and traded {self.v}")
        return Bar(
            symbol,
            start,
            end,
            self.o,
            self.h,
            self.l,
            self.c,
            volume,
            0,
            value,
            ts_recv=received,
            venue="ibkr",
            final=end <= received,
            interval=_INTERVALS.get(history.bar_length) or f"{history.bar_length}s",
        )


# {"topic":"sts","args":{"authenticated":true}}   {"topic":"act","args":{…}}   {"topic":"ntf","args":{…}}
# {"topic":"system","success":"user123","isFT":true,"isPaper":true}   {"topic":"system","hb":1702334859712}
# {"topic":"tic","alive":true,"id":"…","lastAccessed":1702334859712}
# {"message":"waiting for session"}   {"message":"Unsubscribed 341115"}   {"error":"Topic unknown …","code":1}
_QUOTED_SESSION = re.compile(r"""(\\?"session\\?"\s*:\s*\\?")[^"\\]*""")
"""A request that the venue quotes back may have been our attachment (rule 2), whose text is a secret."""


class _Control(_Wire, gc=False):
    """The envelope of anything; of the topics that are not ours nothing is promised but the topic."""

    topic: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")
    beat: object = msgspec.field(default=None, name="hb")
    message: object = None
    result: object = None
    error: object = None
    server_id: object = msgspec.field(default="", name="serverId")
    quality: object = msgspec.field(default="", name=_AVAILABILITY)

    @property
    def problem(self) -> str:
        """Why the venue said no; empty where it did not."""
        said = str(self.error) if self.error else ""
        if not said and self.topic == "error":
            said = bytes(self.args).decode(errors="replace")
        return _QUOTED_SESSION.sub(r"\1…", said)

    @property
    def unentitled(self) -> bool:
        """Whether market data is not subscribed (rule 15)."""
        return isinstance(self.quality, str) and self.quality.startswith("N")


# {"authenticated":true}   {"competing":false}   {"message":""}   {"fail":""}: each comes alone
class _State(_Wire, gc=False):
    authenticated: bool | str | None = None
    competing: bool | str | None = None
    message: str = ""
    fail: str = ""


def _truth(value: bool | str | None) -> bool | None:
    """A truth, which may be spelled as text (rule 2)."""
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError(f"neither true nor false: {value!r}")
        return value == "true"
    return value


_COMPETING = "competing: the user name is in use by another session"


# {"accounts":["DU1234567"],"selectedAccount":"DU1234567", …}
class _Accounts(_Wire, gc=False):
    accounts: list[str] = []
    selected: str = msgspec.field(default="", name="selectedAccount")


# {"id":"INDICATIVE_DATA_SUGGESTION","text":"CFD quotes reference …","title":"Warning","url":"…"}
# {"id":"","message":""}
class _Note(_Wire, gc=False):
    title: str = ""
    text: str = ""
    message: str = ""


def _texts(args: msgspec.Raw) -> list[str]:
    """What notifications or a bulletin say."""
    notes = _read_notes(args)
    return [
        ": ".join(part for part in (note.title, note.text, note.message) if part)
        for note in (notes if isinstance(notes, list) else [notes])
    ]


class _Memory(msgspec.Struct):
    """A decoder's state."""

    contracts: dict[str, _Contract]
    ladders: dict[str, list[_Rung]]
    histories: dict[str, str]
    skipped: int


_read_control = msgspec.json.Decoder(_Control).decode
_read_state = msgspec.json.Decoder(_State).decode
_read_accounts = msgspec.json.Decoder(_Accounts).decode
_read_notes: Callable[[msgspec.Raw], list[_Note] | _Note] = msgspec.json.Decoder(list[_Note] | _Note).decode
_read_ladder = msgspec.json.Decoder(_Ladder).decode
_read_row = msgspec.json.Decoder(_Row).decode
_read_place = msgspec.json.Decoder(_Place).decode
_read_history = msgspec.json.Decoder(_History).decode
_read_bar = msgspec.json.Decoder(_Bar).decode


def _row_of(raw: msgspec.Raw) -> int | None:
    """Which row a bad one is about, if it still says so."""
    try:
        return _read_place(raw).row
    except _BROKEN:
        return None
