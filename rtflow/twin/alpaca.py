"""Alpaca's side of its market data stream: stocks, crypto, options and news, JSON and MessagePack.

What it says and in which spelling: https://docs.alpaca.markets/docs/streaming-market-data,
https://docs.alpaca.markets/docs/real-time-stock-pricing-data,
https://docs.alpaca.markets/docs/real-time-crypto-pricing-data,
https://docs.alpaca.markets/docs/real-time-option-data and
https://docs.alpaca.markets/docs/streaming-real-time-news; which trades make a bar:
https://docs.alpaca.markets/docs/market-data-faq. What the venue delays by 15 minutes is not late here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Annotated, TypeAlias
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

import msgspec

from rtflow.errors import Unsupported
from rtflow.time import SECOND
from rtflow.time import format as rfc3339
from rtflow.twin.ledger import (
    FINER,
    Article,
    Bands,
    Bar,
    Cancel,
    Channel,
    Contract,
    Correction,
    Halt,
    Imbalance,
    Ledger,
    OptionPrint,
    Point,
    Print,
)
from rtflow.twin.market import NEVER, Listing, Market, Move, decimal
from rtflow.twin.venue import Conversation, Denied, Page, Venue

PATHS = {
    "iex": "/v2/iex",
    "sip": "/v2/sip",
    "delayed_sip": "/v2/delayed_sip",
    "test": "/v2/test",
    "boats": "/v1beta1/boats",
    "overnight": "/v1beta1/overnight",
    "crypto/us": "/v1beta3/crypto/us",
    "crypto/us-1": "/v1beta3/crypto/us-1",
    "crypto/eu-1": "/v1beta3/crypto/eu-1",
    "indicative": "/v1beta1/indicative",
    "opra": "/v1beta1/opra",
    "news": "/v1beta1/news",
}
"""Where each feed is found."""

ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    411: "insufficient scope",
    412: "option messages are only available in MsgPack format",
    413: "star subscription is not allowed for option quotes",
    500: "internal error",
}
_FATAL = {402, 404, 407, 409, 411, 412}  # the venue hangs up after these

_AUTH = 10 * SECOND
_TEST_SYMBOL = "FAKEPACA"
_CRYPTO = ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars")
_STOCKS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances")
_TEST = ("trades", "quotes", "bars")
_OPTIONS = ("trades", "quotes")
_NEWS = ("news",)
_OPTION_QUOTES = {"indicative": 200, "opra": 1000}  # that a plan allows
_MIRRORS = ("corrections", "cancelErrors")  # follow trades on stock feeds; nobody subscribes them
_Symbol: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(\*|[A-Z0-9]+([./-][A-Z0-9]+)?)$")]
_EXCHANGES = "VQNPKZDB"  # letters that the consolidated feeds deal out


class AlpacaVenue(Venue):
    """Alpaca's endpoints over one market: its coins, its stocks, the options on them, and the news.

    ``feed`` is the one of :data:`PATHS` where clients are expected: ``iex``, or ``crypto/us`` where no stock
    is listed. ``keys`` maps the accepted keys to their secrets (None accepts any that are not empty),
    ``feeds`` names what the plan covers (None: all), ``symbol_limit`` bounds trades and quotes subscriptions
    together; of options the quotes alone, and without it to what the venue's documents say.

    Which options there are, the page ``/v2/options/contracts`` says, as the venue's does.
    """

    def __init__(
        self,
        market: Market,
        *,
        feed: str | None = None,
        keys: Mapping[str, str] | None = None,
        feeds: Collection[str] | None = None,
        symbol_limit: int | None = None,
    ) -> None:
        super().__init__(market)
        stocks = any(each.stock for each in market.listings.values())
        if feed is not None and feed not in PATHS:
            raise Unsupported(f"alpaca's twin has no feed {feed!r}; it has {', '.join(PATHS)}")
        self.path = PATHS[feed or ("iex" if stocks else "crypto/us")]
        self.keys = keys
        self.feeds = feeds
        self.symbol_limit = symbol_limit
        self.sessions: set[tuple[str, str]] = set()
        self.ledger = Ledger(market)

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation at one of :data:`PATHS`; Denied with 404 elsewhere."""
        for feed, place in PATHS.items():
            if path.partition("?")[0] == place:
                return AlpacaConversation(self, feed, headers)
        raise Denied(404, "Not Found")

    def page(self, path: str, headers: Mapping[str, str]) -> Page:
        """The options on ``underlying_symbols``, or on every stock, all in one page."""
        place, _, query = path.partition("?")
        if place != "/v2/options/contracts":
            return super().page(path, headers)
        wanted = parse_qs(query).get("underlying_symbols", [",".join(self.ledger.contracts)])[-1].split(",")
        found = [
            _contract(self.market.listings[stock], each)
            for stock in wanted
            for each in self.ledger.contracts.get(stock, ())
        ]
        return Page(msgspec.json.encode({"option_contracts": found, "next_page_token": None}))

    def provoke_news(self, headline: str = "", symbols: Collection[str] | None = None) -> None:
        """An article now, about these symbols; what is not said is drawn."""
        self._tell([self.ledger.article(self.now, headline, symbols)])
        for each in self.conversations:
            each.flush()

    def provoke_error(self, code: int = 500) -> None:
        """Tell everybody one of :data:`ERRORS`, and hang up where the venue would."""
        for each in self.conversations:
            assert isinstance(each, AlpacaConversation)
            each.complain(code)

    def moved(self, move: Move) -> None:
        """Enter the trades of ``move`` into the ledger, and tell who listens what that makes."""
        self._tell(self.ledger.moved(move))

    def due(self) -> int:
        """The ledger's next entry: a minute mark, a late trade, a correction, a band."""
        return self.ledger.due()

    def wake(self, now: int) -> None:
        """Make the ledger's entries that are due, and tell who listens."""
        self._tell(self.ledger.wake(now))

    def _tell(self, points: list[Point]) -> None:
        for point in points:
            for each in self.conversations:
                assert isinstance(each, AlpacaConversation)
                each.told(point)


class AlpacaConversation(Conversation):
    """One connection to one feed."""

    def __init__(self, venue: AlpacaVenue, feed: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._venue = venue
        self._feed = feed
        self._headers = headers
        encoding = headers.get("content-type", "").partition(";")[0].strip()
        self._codec: _Json | _MsgPack = _MsgPack() if encoding == "application/msgpack" else _Json()
        self._crypto = feed.startswith("crypto")
        self._options = feed in _OPTION_QUOTES
        self._channels = _CRYPTO if self._crypto else _CHANNELS.get(feed, _STOCKS)
        self._subscribed: dict[str, set[str]] = {each: set() for each in self._channels}
        self._session: tuple[str, str] | None = None
        self._deadline = NEVER
        self._points: list[dict[str, object]] = []
        self._touches: dict[str, tuple[int, int, int, int]] = {}  # of options, as last quoted
        listings = venue.market.listings.values()
        self._listed = {
            each.symbol: each
            for each in listings
            if each.stock != self._crypto and (feed != "test" or each.symbol == _TEST_SYMBOL)
        }
        if self._options:
            chains = venue.ledger.contracts
            self._listed = {option.symbol: each for each in listings for option in chains[each.symbol]}

    @property
    def listening(self) -> bool:
        """Whether any channel has a symbol."""
        return any(self._subscribed.values())

    def opened(self) -> None:
        """``connected`` comes at once; credentials in the headers are judged at once too."""
        if self._options and isinstance(self._codec, _Json):
            self.complain(412)
            return
        self._control(T="success", msg="connected")
        self._deadline = self._venue.now + _AUTH
        credentials = _credentials(self._headers)
        if credentials is not None:
            self._authenticate(*credentials)

    def due(self) -> int:
        """When the venue stops waiting for credentials."""
        return self._deadline

    def wake(self, now: int) -> None:
        """Too late to authenticate."""
        self.complain(404)

    def lagging(self) -> None:
        """407, if it still arrives."""
        self._points.clear()
        self.complain(407)

    def closed(self) -> None:
        """The session's place is free again."""
        if self._session is not None:
            self._venue.sessions.discard(self._session)

    # --- requests -------------------------------------------------------------------------------------------

    def received(self, payload: str | bytes) -> None:
        """One request, in JSON as text, in the connection's encoding as binary."""
        self.flush()  # what was said before the answer stays before it
        try:
            request = _Json().decode(payload) if isinstance(payload, str) else self._codec.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.complain(400)
            return
        action = request.pop("action", None)
        if action == "auth":
            key, secret = request.get("key"), request.get("secret")
            if isinstance(key, str) and isinstance(secret, str):
                self._authenticate(key, secret)
            else:
                self.complain(400)
        elif action not in ("subscribe", "unsubscribe"):
            self.complain(400)
        elif self._session is None:
            self.complain(401)
        else:
            self._change(request, subscribe=action == "subscribe")

    def _authenticate(self, key: str, secret: str) -> None:
        venue = self._venue
        if self._session is not None:
            self.complain(403)
        elif not _accepted(venue.keys, key, secret):
            self.complain(402)
        elif venue.feeds is not None and self._feed not in venue.feeds:
            self.complain(409)
        elif (session := (self._feed, secret if key in _TOKENS else key)) in venue.sessions:
            self._deadline = venue.now + _AUTH  # the other one may leave meanwhile: it may ask again
            self.complain(406)
        else:
            self._session = session
            venue.sessions.add(session)
            self._deadline = NEVER
            self._control(T="success", msg="authenticated")

    def _change(self, request: dict[str, object], *, subscribe: bool) -> None:
        try:
            changes = msgspec.convert(request, dict[str, set[_Symbol]])
        except msgspec.ValidationError:
            self.complain(400)
            return
        changes = {channel: symbols for channel, symbols in changes.items() if symbols}
        if not changes.keys() <= self._subscribed.keys():
            self.complain(410)
            return
        if self._options and subscribe and "*" in changes.get("quotes", ()):
            self.complain(413)
            return
        change = set[str].union if subscribe else set[str].difference
        after = {
            channel: change(symbols, changes.get(channel, set()))
            for channel, symbols in self._subscribed.items()
        }
        limit = self._venue.symbol_limit or _OPTION_QUOTES.get(self._feed)
        if subscribe and limit is not None and self._weight(after) > limit:
            self.complain(405)
            return
        before, self._subscribed = self._subscribed, after
        self._acknowledge()
        if self._crypto:
            for symbol in self._listed:
                if _covers(after["orderbooks"], symbol) and not _covers(before["orderbooks"], symbol):
                    self._snapshot(symbol)
        self.flush()

    def _weight(self, subscribed: dict[str, set[str]]) -> int:
        """How many of the plan's symbols this takes; a wildcard takes as many as there are."""
        counted = ("quotes",) if self._options else ("trades", "quotes")
        wanted = [subscribed.get(channel, set()) for channel in counted]
        return sum(len(self._listed) if "*" in each else len(each) for each in wanted)

    def _acknowledge(self) -> None:
        state = {channel: sorted(symbols) for channel, symbols in self._subscribed.items()}
        imbalances = state.pop("imbalances", [])
        if self._channels is _STOCKS:
            state |= dict.fromkeys(_MIRRORS, state["trades"])
        if imbalances:  # listed only where somebody asked for them
            state["imbalances"] = imbalances
        self._control(T="subscription", **state)

    def complain(self, code: int) -> None:
        """One of :data:`ERRORS`; some are the last word."""
        self._control(T="error", code=code, msg=ERRORS[code])
        if code in _FATAL:
            self._deadline = NEVER
            self.hang_up(1000, ERRORS[code])

    def _control(self, **message: object) -> None:
        """A control message always travels alone."""
        self.say(self._codec.encode([message]))

    # --- data -----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """All data points gathered leave in one array."""
        if self._points:
            self.say(self._codec.encode(self._points), data=True)
            self._points = []

    def moved(self, move: Move) -> None:
        """The touch and the levels that ``move`` left."""
        if self._options:
            if move.touched:
                self._requote(move)
            return
        listing = self._listed.get(move.symbol)
        if listing is None or self._feed == "news":
            return
        if move.touched and _covers(self._subscribed["quotes"], move.symbol):
            self._points.append(self._quote(listing, move))
        if (move.bids or move.asks) and self._crypto and _covers(self._subscribed["orderbooks"], move.symbol):
            self._points.append(self._book(listing, move.stamp, move.bids, move.asks))

    def told(self, point: Point) -> None:
        """Something the ledger says of a symbol, for those who subscribed its channel."""
        if isinstance(point, Article):
            wanted = self._subscribed.get("news", set())
            if "*" in wanted or not wanted.isdisjoint(point.symbols):
                self._points.append(self._article(point))
            return
        listing = self._listed.get(point.symbol)
        channel = "trades" if point.channel in _MIRRORS else point.channel
        if listing is not None and _covers(self._subscribed.get(channel, ()), point.symbol):
            self._points.append(self._spelled(listing, point))

    def _requote(self, move: Move) -> None:
        """The options whose own touch is another than before."""
        wanted = self._subscribed["quotes"]
        for option in self._venue.ledger.contracts[move.symbol]:
            if option.symbol not in wanted:
                continue
            listing = self._listed[option.symbol]
            touch = option.touch(move, listing.lot)
            if touch == self._touches.get(option.symbol):
                continue
            self._touches[option.symbol] = touch
            bid, bid_size, ask, ask_size = touch
            self._points.append(
                {
                    "T": "q",
                    "S": option.symbol,
                    "t": self._codec.stamp(move.stamp),
                    "bx": _OPTION_EXCHANGES[bid % len(_OPTION_EXCHANGES)] if bid else "?",
                    "bp": self._price(listing, bid),
                    "bs": bid_size,
                    "ax": _OPTION_EXCHANGES[ask % len(_OPTION_EXCHANGES)],
                    "ap": self._price(listing, ask),
                    "as": ask_size,
                    "c": "A" if bid else " ",
                }
            )

    def _article(self, article: Article) -> dict[str, object]:
        about = ", ".join(article.symbols) or "the market"
        return {
            "T": "n",
            "id": article.id,
            "headline": article.headline,
            "summary": f"Nothing has happened to {about}.",
            "author": "Twin Newsdesk",
            "created_at": self._codec.stamp(article.created),
            "updated_at": self._codec.stamp(article.stamp),
            "url": f"https://news.example/{article.id}",
            "content": f"<p>Nothing has happened to {about}, and it is not known when it will.</p>",
            "symbols": list(article.symbols),
            "source": "twin",
        }

    def _snapshot(self, symbol: str) -> None:
        listing, (bids, asks) = self._listed[symbol], self._venue.market.book(symbol)
        book = self._book(listing, self._venue.now, bids.levels(), asks.levels())
        self._points.append(book | {"r": True})  # absent, not false, on what follows

    def _book(
        self,
        listing: Listing,
        stamp: int,
        bids: Collection[tuple[int, int]],
        asks: Collection[tuple[int, int]],
    ) -> dict[str, object]:
        number, places, decimals = self._codec.number, listing.price_precision, listing.size_precision
        return {
            "T": "o",
            "S": listing.symbol,
            "t": self._codec.stamp(stamp),
            "b": [{"p": number(price, places), "s": number(size, decimals)} for price, size in bids],
            "a": [{"p": number(price, places), "s": number(size, decimals)} for price, size in asks],
        }

    def _quote(self, listing: Listing, move: Move) -> dict[str, object]:
        price, stamp = self._price(listing, move.bid), self._codec.stamp(move.stamp)
        ask = self._price(listing, move.ask)
        if self._crypto:
            size = self._codec.number
            return {
                "T": "q",
                "S": listing.symbol,
                "bp": price,
                "bs": size(move.bid_size, listing.size_precision),
                "ap": ask,
                "as": size(move.ask_size, listing.size_precision),
                "t": stamp,
            }
        bid_exchange, ask_exchange = self._exchange(move.bid), self._exchange(move.ask)
        if self._feed == "test":
            bid_exchange, ask_exchange = "O", "R"
        return {
            "T": "q",
            "S": listing.symbol,
            "bx": bid_exchange,
            "bp": price,
            "bs": move.bid_size // listing.lot,  # in round lots
            "ax": ask_exchange,
            "ap": ask,
            "as": move.ask_size // listing.lot,
            "c": ["R"],
            "z": listing.tape,
            "t": stamp,
        }

    def _spelled(self, listing: Listing, point: Point) -> dict[str, object]:
        """A point as this connection's feed and encoding spell it; ``T`` first, as clients may insist."""
        head: dict[str, object] = {"T": _TYPES[point.channel], "S": point.symbol}
        stamp = self._codec.stamp(point.stamp)
        match point:
            case OptionPrint():
                return head | {
                    "t": stamp,
                    "p": self._price(listing, point.price),
                    "s": point.size,
                    "x": _OPTION_EXCHANGES[point.id % len(_OPTION_EXCHANGES)],
                    "c": _OPTION_CONDITIONS[point.id % len(_OPTION_CONDITIONS)],
                }
            case Print():
                return head | self._print(listing, point) | {"t": stamp}
            case Correction(was=was, now=now):
                wrong, right = self._print(listing, was), self._print(listing, now)
                return {
                    **head,
                    "x": right["x"],
                    **{f"o{key}": wrong[key] for key in "ipsc"},
                    **{f"c{key}": right[key] for key in "ipsc"},
                    "z": listing.tape,
                    "t": stamp,
                }
            case Cancel(was=fill):
                entry = self._print(listing, fill)
                return head | {key: entry[key] for key in "ixps"} | {"a": "C", "z": listing.tape, "t": stamp}
            case Bar():
                price, size = self._codec.number, self._codec.size
                return head | {
                    "o": price(point.open, listing.price_precision),
                    "h": price(point.high, listing.price_precision),
                    "l": price(point.low, listing.price_precision),
                    "c": price(point.close, listing.price_precision),
                    "v": size(point.volume, listing.size_precision),
                    "t": stamp,
                    "n": point.count,
                    "vw": self._codec.number(point.vwap, listing.price_precision + FINER),
                }
            case Halt(halted=halted):
                return head | _halt(listing, halted) | {"t": stamp, "z": listing.tape}
            case Bands():
                return head | {
                    "u": self._price(listing, point.up),
                    "d": self._price(listing, point.down),
                    "i": "B",
                    "t": stamp,
                    "z": listing.tape,
                }
            case _:
                assert isinstance(point, Imbalance)
                return head | {"p": self._price(listing, point.price), "z": listing.tape, "t": stamp}

    def _print(self, listing: Listing, fill: Print) -> dict[str, object]:
        """The fields of a trade after ``T`` and ``S``, before ``t``."""
        price, size = self._price(listing, fill.price), self._codec.size(fill.size, listing.size_precision)
        if self._crypto:
            taker = "B" if fill.side > 0 else "S"
            return {"p": price, "s": size, "i": _COIN_IDS + fill.id, "tks": taker}
        return {
            "i": fill.id,
            "x": self._exchange(fill.id),
            "p": price,
            "s": size,
            "c": _conditions(listing, fill),
            "z": listing.tape,
        }

    def _exchange(self, lot: int) -> str:
        """The letter of an exchange: one on the feeds of one exchange, dealt out on consolidated ones."""
        if self._feed == "test":
            return "O"
        return _EXCHANGES[lot % len(_EXCHANGES)] if "sip" in self._feed else "V"

    def _price(self, listing: Listing, price: int) -> int | float:
        return self._codec.number(price, listing.price_precision)


_CHANNELS = {"test": _TEST, "indicative": _OPTIONS, "opra": _OPTIONS, "news": _NEWS}
_OPTION_EXCHANGES = "NCXQABWZ"
_OPTION_CONDITIONS = "ISa"
_TOKENS = ("access_token", "oauth")  # the key of an auth message whose secret is a token
_COIN_IDS = 3_447_222_699_000_000_000  # coins have ids of 19 digits


def _credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Key and secret out of the upgrade's headers, in any of the three spellings; None without any."""
    key, secret = headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
    if key is not None and secret is not None:
        return key, secret
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme == "Bearer":
        return "access_token", rest
    if scheme == "Basic":
        try:
            key, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return key, secret
    return None


def _accepted(keys: Mapping[str, str] | None, key: str, secret: str) -> bool:
    if keys is None:
        return bool(key and secret)
    return secret in keys.values() if key in _TOKENS else keys.get(key) == secret


def _covers(symbols: Collection[str], symbol: str) -> bool:
    return symbol in symbols or "*" in symbols


def _conditions(listing: Listing, fill: Print) -> list[str]:
    regular = "@" if listing.tape in "CO" else " "
    return [regular, *(["F"] if fill.sweep else []), *(["I"] if fill.size < listing.lot else [])]


def _contract(listing: Listing, option: Contract) -> dict[str, object]:
    """An option as the page of contracts lists it."""
    strike = decimal(option.strike, listing.price_precision)
    if "." in strike:
        strike = strike.rstrip("0").rstrip(".")
    kind = "call" if option.call else "put"
    return {
        "id": str(uuid5(NAMESPACE_URL, option.symbol)),
        "symbol": option.symbol,
        "name": f"{option.stock} {option.expires:%b %d %Y} {strike} {kind.capitalize()}",
        "status": "active",
        "tradable": True,
        "expiration_date": f"{option.expires:%Y-%m-%d}",
        "root_symbol": option.stock,
        "underlying_symbol": option.stock,
        "underlying_asset_id": str(uuid5(NAMESPACE_URL, option.stock)),
        "type": kind,
        "style": "american",
        "strike_price": strike,
        "size": "100",
    }


def _halt(listing: Listing, halted: bool) -> dict[str, object]:
    """A volatility pause, as the two tape plans code it."""
    if listing.tape in "AB":
        code, text, reason = "2" if halted else "3", "Trading Halt" if halted else "Resume", "M"
    else:
        code, text, reason = (
            "H" if halted else "T",
            "Trading Halt" if halted else "Trading Resumption",
            "LUDP",
        )
    return {"sc": code, "sm": text, "rc": reason, "rm": "Volatility Trading Pause"}


class _Json:
    """RFC 3339 stamps with the zeros trimmed; whole numbers without a point."""

    def encode(self, messages: list[dict[str, object]]) -> str | bytes:
        return msgspec.json.encode(messages).decode()

    def decode(self, payload: str | bytes) -> dict[str, object]:
        return msgspec.json.decode(payload, type=dict[str, object])

    def stamp(self, stamp: int) -> object:
        return rfc3339(stamp, 9).rstrip("0Z").rstrip(".") + "Z" if stamp % SECOND else rfc3339(stamp, 0)

    def number(self, units: int, places: int) -> int | float:
        whole, rest = divmod(units, 10**places)
        return units / float(10**places) if rest else whole

    size = number


class _MsgPack:
    """Stamps as the standard extension -1 in its shortest form; prices always as floats."""

    def encode(self, messages: list[dict[str, object]]) -> str | bytes:
        return msgspec.msgpack.encode(messages)

    def decode(self, payload: str | bytes) -> dict[str, object]:
        assert isinstance(payload, bytes)
        return msgspec.msgpack.decode(payload, type=dict[str, object])

    def stamp(self, stamp: int) -> object:
        seconds, rest = divmod(stamp, SECOND)
        if not rest and seconds < 1 << 32:
            return msgspec.msgpack.Ext(-1, seconds.to_bytes(4, "big"))
        return msgspec.msgpack.Ext(-1, (rest << 34 | seconds).to_bytes(8, "big"))

    def number(self, units: int, places: int) -> int | float:
        return units / float(10**places)

    def size(self, units: int, places: int) -> int | float:
        return units / float(10**places) if places else units


_TYPES: dict[Channel, str] = {
    "trades": "t",
    "quotes": "q",
    "orderbooks": "o",
    "bars": "b",
    "updatedBars": "u",
    "dailyBars": "d",
    "statuses": "s",
    "lulds": "l",
    "imbalances": "i",
    "corrections": "c",
    "cancelErrors": "x",
    "news": "n",
}
