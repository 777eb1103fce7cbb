"""alpaca-py, unmodified, against Alpaca's twin; and what rtflow makes of a frame against what alpaca-py does.

What alpaca-py does otherwise than its venue documents, each proved below:

1. Its stamps are ``datetime``: the last three of nine digits are lost.
2. It has no field for a coin's taker side, nor for whether a side of a quote is there: it reports zeros.
3. It takes a cancel or a correction only from exchanges that it has a letter for; rtflow takes any.
4. It has no model for price bands and none for imbalances: bands come raw, imbalances not at all.
5. It reads sizes of stock quotes as they come, in lots of 100 shares; so does rtflow, and multiplies.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    News,
    OrderBookUpdate,
    PriceBands,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
)
from rtflow.provider import Subscription
from rtflow.providers import Alpaca
from rtflow.time import to_datetime
from rtflow.twin import Twin
from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.market import Market
from tests.conformance.dialogue import decoded, dialogue, official, until

live = official("alpaca.data.live", "alpaca-py")
websocket = official("alpaca.data.live.websocket", "alpaca-py")
models = official("alpaca.data.models", "alpaca-py")
enums = official("alpaca.data.enums", "alpaca-py")
msgpack = official("msgpack", "alpaca-py")

START = 1_790_358_470_000_000_000  # ten seconds before a minute of a trading day
COINS, STOCKS = ("BTC/USD", "ETH/USD"), ("AAPL", "SPY")

# Said by websockets to those who still use its old client, as alpaca-py does.
pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")


# -- the official client and the twin -------------------------------------------------------------------


@contextlib.contextmanager
def running(stream: Any, twin: Twin) -> Iterator[None]:
    """``stream.run()`` in a thread that ends: asked to stop, it still waits for something to come.

    Stop it when it has read all there is: a closing handshake behind what it does not read takes ten seconds.
    """
    thread = threading.Thread(target=stream.run, name="alpaca-py", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stream.stop()
        twin.disconnect(1000)
        thread.join(10)
        assert not thread.is_alive()


class Received:
    """Handlers that print what they are handed, and keep it."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    async def handler(self, item: Any) -> None:
        print(item)  # noqa: T201 - that a user sees something is what is shown here
        self.items.append(item)

    def of(self, kind: Any) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]


def test_alpaca_py_receives_and_prints_what_stocks_did(capsys: pytest.CaptureFixture[str]) -> None:
    received = Received()
    with Twin("alpaca", seed=3, symbols=STOCKS, start=START, pace=float("inf"), steps=3_000) as twin:
        stream = live.StockDataStream("key", "secret", url_override=twin.url)
        stream.subscribe_trades(received.handler, *STOCKS)
        stream.subscribe_quotes(received.handler, *STOCKS)
        stream.subscribe_bars(received.handler, *STOCKS)
        stream.subscribe_daily_bars(received.handler, "*")
        stream.subscribe_updated_bars(received.handler, "*")
        stream.subscribe_trading_statuses(received.handler, "*")
        with running(stream, twin):
            until(lambda: len(twin.moves) == 3_000)
            until(lambda: len(received.of(models.Trade)) == len(twin.trades))
            got = sorted((each.symbol, each.id, each.price, each.size) for each in received.of(models.Trade))
            assert got == sorted((f.symbol, f.id, f.price / 100, f.size) for f in twin.trades)
            for symbol in STOCKS:
                bids, asks = twin.market.book(symbol)
                (bid, bid_size), (ask, ask_size) = bids.levels(1)[0], asks.levels(1)[0]
                touch = bid / 100, bid_size // 100, ask / 100, ask_size // 100  # in lots, fault 5
                until(lambda: touch == last_quote(received, symbol), touch)  # noqa: B023 - it waits here
            assert {bar.symbol for bar in received.of(models.Bar)} == set(STOCKS)
    assert "price=" in capsys.readouterr().out


def test_alpaca_py_receives_and_prints_what_coins_did(capsys: pytest.CaptureFixture[str]) -> None:
    received = Received()
    with Twin("alpaca", seed=3, symbols=COINS, start=START, pace=float("inf"), steps=3_000) as twin:
        stream = live.CryptoDataStream("key", "secret", url_override=twin.url)
        stream.subscribe_trades(received.handler, *COINS)
        stream.subscribe_quotes(received.handler, *COINS)
        stream.subscribe_orderbooks(received.handler, *COINS)
        stream.subscribe_bars(received.handler, *COINS)
        with running(stream, twin):
            until(lambda: len(twin.moves) == 3_000)
            changes = sum(1 for move in twin.moves if move.bids or move.asks)
            until(lambda: len(received.of(models.Orderbook)) == changes + len(COINS))
            until(lambda: len(received.of(models.Trade)) == len(twin.trades))
            for symbol in COINS:
                listing, (bids, asks) = twin.market.listings[symbol], twin.market.book(symbol)
                places = 10**listing.price_precision, 10**listing.size_precision
                kept = kept_by_a_user_of_alpaca_py(received.of(models.Orderbook), symbol)
                for there, here in zip((bids, asks), kept, strict=True):
                    assert here == {price / places[0]: size / places[1] for price, size in there.levels()}
    assert "price=" in capsys.readouterr().out


@pytest.fixture(params=["indicative", "opra"])
def options_feed(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_alpaca_py_receives_and_prints_what_options_did(
    options_feed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    received, contracts = Received(), contracts_of("AAPL")
    expected = [
        as_alpaca_py(event)
        for event in said_to_rtflow(options_feed, ("AAPL",), 500, trades=contracts, quotes=contracts)
        if isinstance(event, Trade | Quote)
    ]
    assert len(expected) > 1_000
    with Twin(
        "alpaca", seed=3, symbols="AAPL", start=START, pace=float("inf"), steps=500, feed=options_feed
    ) as twin:
        stream = live.OptionDataStream("key", "secret", url_override=twin.url)
        stream.subscribe_trades(received.handler, *contracts)
        stream.subscribe_quotes(received.handler, *contracts)
        with running(stream, twin):
            until(lambda: len(received.items) >= len(expected))
    assert [as_told(item) for item in received.items] == expected
    assert {type(item) for item in received.items} == {models.Trade, models.Quote}
    assert "price=" in capsys.readouterr().out


def test_alpaca_py_receives_and_prints_the_news(capsys: pytest.CaptureFixture[str]) -> None:
    received = Received()
    with Twin("alpaca", seed=3, symbols=STOCKS, start=START, pace=0.0, feed="news") as twin:
        stream = live.NewsDataStream("key", "secret", url_override=twin.url)
        stream.subscribe_news(received.handler, "*")
        with running(stream, twin):

            def published() -> bool:  # again until it has subscribed
                twin.provoke("news", headline="Nothing happened", symbols=["AAPL"])
                return bool(received.items)

            until(published)
    assert isinstance(received.items[0], models.News)
    assert received.items[0].headline == "Nothing happened"
    assert received.items[0].symbols == ["AAPL"]
    assert "Nothing happened" in capsys.readouterr().out


def contracts_of(stock: str) -> tuple[str, ...]:
    """Some options, as the venue lists them."""
    venue = AlpacaVenue(Market(3, [stock], start=START))
    page = json.loads(venue.page(f"/v2/options/contracts?underlying_symbols={stock}", {}).body)
    return tuple(each["symbol"] for each in page["option_contracts"])[:20]


def said_to_rtflow(feed: str, symbols: tuple[str, ...], steps: int, **wanted: Any) -> list[Event]:
    """What a twin with the same seed, the same start and as many ``steps`` says to rtflow."""
    market = Market(3, symbols, start=START - 30 * 10**9)
    venue = AlpacaVenue(market, feed=feed)
    venue.advance(START)
    market.steps = market.moved + steps
    provider = Alpaca("key", "secret", feed=feed)
    events = decoded(provider, dialogue(provider, Subscription.of(**wanted), venue, 120.0))
    assert market.moved == market.steps
    return events


def last_quote(received: Received, symbol: str) -> tuple[float, ...]:
    quote = [each for each in received.of(models.Quote) if each.symbol == symbol][-1]
    return quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size


def kept_by_a_user_of_alpaca_py(updates: list[Any], symbol: str) -> tuple[dict[float, float], ...]:
    """The book that its documents say to keep."""
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    for update in updates:
        if update.symbol != symbol:
            continue
        for side, levels in (bids, update.bids), (asks, update.asks):
            if update.reset:
                side.clear()
            for level in levels:
                if level.size:
                    side[level.price] = level.size
                else:
                    side.pop(level.price, None)
    return bids, asks


def test_alpaca_py_is_turned_away_like_anybody_else(caplog: pytest.LogCaptureFixture) -> None:
    with Twin("alpaca", symbols=STOCKS, keys={"key": "secret"}) as twin:
        stream = live.StockDataStream("key", "wrong", url_override=twin.url)
        stream.subscribe_trades(Received().handler, "AAPL")
        with running(stream, twin):
            until(lambda: "auth failed" in caplog.text)


# -- one frame, two readers -----------------------------------------------------------------------------


def read_by_alpaca_py(payload: bytes) -> list[Any]:
    """What its handlers would be handed."""
    stream = websocket.DataStream("ws://127.0.0.1", "key", "secret")
    return [stream._cast(message) for message in msgpack.unpackb(payload)]


def as_alpaca_py(event: Event) -> dict[str, Any] | None:
    """An event of ours with alpaca-py's names; None for what it has no model for (fault 4)."""
    match event:
        case Trade():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.ts_event),
                "exchange": event.exchange or None,
                "price": event.price,
                "size": event.size,
                "id": int(event.id.rpartition(":")[2]) if event.id else None,
                "conditions": list(event.conditions) or None,
                "tape": event.tape or None,
            }
        case Quote():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.ts_event),
                "bid_price": event.bid or 0.0,
                "bid_size": (event.bid_size or 0.0) / event.lot,
                "bid_exchange": event.bid_exchange or None,
                "ask_price": event.ask or 0.0,
                "ask_size": (event.ask_size or 0.0) / event.lot,
                "ask_exchange": event.ask_exchange or None,
                "conditions": list(event.conditions) or None,
                "tape": event.tape or None,
            }
        case Bar():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.start),
                "open": event.open,
                "high": event.high,
                "low": event.low,
                "close": event.close,
                "volume": event.volume,
                "trade_count": event.count,
                "value": pytest.approx(event.value),
            }
        case OrderBookUpdate():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.ts_event),
                "bids": [{"price": price, "size": size} for price, size in event.bids],
                "asks": [{"price": price, "size": size} for price, size in event.asks],
                "reset": event.snapshot,
            }
        case TradingStatus():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.ts_event),
                "status_code": event.code,
                "status_message": event.text,
                "reason_code": event.reason_code,
                "reason_message": event.reason,
                "tape": event.tape,
            }
        case TradeCorrection():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.ts_event),
                "exchange": event.exchange,
                "original_id": int(event.original_id.rpartition(":")[2]),
                "original_price": event.original_price,
                "original_size": event.original_size,
                "original_conditions": list(event.original_conditions),
                "corrected_id": int(event.id.rpartition(":")[2]),
                "corrected_price": event.price,
                "corrected_size": event.size,
                "corrected_conditions": list(event.conditions),
                "tape": event.tape,
            }
        case TradeCancel():
            return {
                "symbol": event.symbol,
                "timestamp": stamped(event.ts_event),
                "exchange": event.exchange,
                "price": event.price,
                "size": event.size,
                "id": int(event.id.rpartition(":")[2]),
                "action": event.action,
                "tape": event.tape,
            }
        case News():
            return {
                "id": int(event.id),
                "headline": event.headline,
                "source": event.source,
                "url": event.url,
                "summary": event.summary,
                "created_at": stamped(event.ts_created),
                "updated_at": stamped(event.ts_event),
                "symbols": list(event.symbols),
                "author": event.author,
                "content": event.content,
                "images": None,
            }
        case _:
            return None


def stamped(stamp: int) -> datetime:
    return to_datetime(stamp)  # fault 1


def as_told(item: Any) -> dict[str, Any] | None:
    """The same of what alpaca-py made."""
    if isinstance(item, dict):
        return None
    fields: dict[str, Any] = item.model_dump(mode="python")
    if isinstance(item, models.Bar):
        average = fields.pop("vwap")
        fields["value"] = (fields["close"] if average is None else average) * fields["volume"]
        fields["trade_count"] = fields["trade_count"] or 0
    for name, value in fields.items():
        if isinstance(value, enums.Exchange):
            fields[name] = value.value
        if name.endswith("conditions") and isinstance(value, str):
            fields[name] = [value]
    return fields


def agree(payload: bytes, events: list[Event]) -> int:
    """Assert that both read the same out of one frame; how many things that were."""
    told = [as_told(item) for item in read_by_alpaca_py(payload)]
    assert [as_alpaca_py(event) for event in events] == told
    return len(told)


EVERYTHING = {
    "crypto/us": (COINS, ("trades", "quotes", "books", "bars", "updated_bars", "daily_bars")),
    "sip": (
        STOCKS,
        ("trades", "quotes", "bars", "updated_bars", "daily_bars", "statuses", "lulds"),
    ),
}


@pytest.mark.parametrize("feed", EVERYTHING)
def test_thousands_of_the_twins_messages_are_read_alike(feed: str) -> None:
    symbols, kinds = EVERYTHING[feed]
    provider = Alpaca("key", "secret", feed=feed, encoding="msgpack")
    venue = AlpacaVenue(Market(7, symbols, start=START, rate=5.0))
    frames = dialogue(provider, Subscription.of(**dict.fromkeys(kinds, symbols)), venue, 60.0)
    decoder, seen, kinds_seen = provider.decoder(), 0, set[type]()
    for frame in frames:
        events = list(decoder.decode(frame))
        kinds_seen |= {type(event) for event in events}
        seen += agree(frame.payload, events)
    assert seen > 3_000
    assert decoder.skipped == 0
    assert {Trade, Quote, Bar} <= kinds_seen
    assert ({OrderBookUpdate} if feed.startswith("crypto") else {TradeCancel, PriceBands}) <= kinds_seen


AMOUNT = st.integers(1, 10**12).map(lambda number: number / 10**4) | st.integers(1, 10**6)
SIZE = st.integers(1, 10**9) | AMOUNT
STAMP = st.integers(0, 4_000_000_000_000_000_000)
LETTER = st.sampled_from("ABCDHIJKLMNPQSTVWXYZ")
LETTERS = st.lists(st.sampled_from(["@", " ", "F", "I", "T", "4", "Z", "7"]), max_size=4)
TICKER = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ.", min_size=1, max_size=6)
TAPE = st.sampled_from("ABC")
NUMBER = st.integers(0, 2**63 - 1)
LEVELS = st.lists(st.fixed_dictionaries({"p": AMOUNT, "s": AMOUNT | st.just(0)}), max_size=5)


def a_message(kind: str, fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"T": st.just(kind), "S": TICKER, **fields, "t": STAMP.map(extension)})


def extension(stamp: int) -> msgspec.msgpack.Ext:
    """A stamp as MessagePack writes it in eight bytes."""
    seconds, rest = divmod(stamp, 10**9)
    return msgspec.msgpack.Ext(-1, (rest << 34 | seconds).to_bytes(8, "big"))


PRICES = dict.fromkeys(("o", "h", "l", "c", "vw"), AMOUNT)
BARS = [a_message(kind, PRICES | {"v": SIZE, "n": st.integers(0, 10**6)}) for kind in "bud"]
TRADE = {"i": NUMBER, "x": LETTER, "p": AMOUNT, "s": SIZE, "z": TAPE}
LOTS = st.integers(1, 10**6)
QUOTE = {"bx": LETTER, "bp": AMOUNT, "bs": LOTS, "ax": LETTER, "ap": AMOUNT, "as": LOTS, "z": TAPE}
WRONG = {"oi": NUMBER, "op": AMOUNT, "os": SIZE, "oc": LETTERS}
RIGHT = {"ci": NUMBER, "cp": AMOUNT, "cs": SIZE, "cc": LETTERS}
CONTRACT = st.sampled_from(["AAPL240315C00172500", "SPXW240327P04925000"])
LETTER_OR_NONE = st.sampled_from("ABCEHNQX? ")
OPTION_TOUCH = {"bx": LETTER, "bp": AMOUNT, "bs": LOTS, "ax": LETTER, "ap": AMOUNT, "as": LOTS}
ARTICLE = {
    "T": st.just("n"),
    "id": st.integers(1, 10**9),
    "symbols": st.lists(TICKER, max_size=4),
    **dict.fromkeys(("headline", "summary", "author", "content", "source"), st.text(max_size=40)),
    **dict.fromkeys(("created_at", "updated_at"), STAMP.map(lambda stamp: extension(stamp))),
    "url": st.just("https://news.example/1"),
}
MESSAGES = {
    "opra": st.one_of(
        a_message("t", {"S": CONTRACT, "p": AMOUNT, "s": LOTS, "x": LETTER, "c": LETTER_OR_NONE}),
        a_message("q", {"S": CONTRACT, "c": LETTER_OR_NONE} | OPTION_TOUCH),
    ),
    "news": st.fixed_dictionaries(ARTICLE),
    "sip": st.one_of(
        a_message("t", TRADE | {"c": LETTERS.filter(bool)}),
        a_message("q", QUOTE | {"c": LETTERS.filter(bool)}),
        a_message("s", {"sc": LETTER, "sm": st.text(), "rc": LETTER, "rm": st.text(), "z": TAPE}),
        a_message("x", TRADE | {"a": st.sampled_from("CE")}),
        a_message("c", {"x": LETTER} | WRONG | RIGHT | {"z": TAPE}),
        a_message("l", {"u": AMOUNT, "d": AMOUNT, "i": LETTER, "z": TAPE}),
        *BARS,
    ),
    "crypto/us": st.one_of(
        a_message("t", {"p": AMOUNT, "s": AMOUNT, "i": NUMBER, "tks": st.sampled_from("BS")}),
        a_message("q", dict.fromkeys(("bp", "bs", "ap", "as"), AMOUNT)),
        a_message("o", {"b": LEVELS, "a": LEVELS}),
        a_message("o", {"b": LEVELS, "a": LEVELS, "r": st.just(True)}),
        *BARS,
    ),
}


@pytest.mark.parametrize("feed", MESSAGES)
def test_whatever_the_venue_may_say_is_read_alike(feed: str) -> None:
    provider = Alpaca("key", "secret", feed=feed, encoding="msgpack")
    count = 0

    @settings(max_examples=400)
    @given(st.lists(MESSAGES[feed], min_size=1, max_size=6))
    def check(messages: list[dict[str, Any]]) -> None:
        nonlocal count
        payload = msgspec.msgpack.encode(messages)
        count += agree(payload, decoded(provider, [Frame(FrameKind.BINARY, payload, START)]))

    check()
    assert count > 1_000


# -- the faults, each by itself ---------------------------------------------------------------------------


def one(feed: str, **message: Any) -> tuple[Any, Event]:
    payload = msgspec.msgpack.encode([message | {"t": extension(message.get("t", START))}])
    (event,) = decoded(
        Alpaca("key", "secret", feed=feed, encoding="msgpack"), [Frame(FrameKind.BINARY, payload, START)]
    )
    return read_by_alpaca_py(payload)[0], event


def test_fault_1_three_digits_of_nine_are_lost() -> None:
    theirs, ours = one("crypto/us", T="t", S="BTC/USD", p=1.0, s=1.0, i=1, tks="B", t=START + 123_456_789)
    assert theirs.timestamp.microsecond == 123_456
    assert isinstance(ours, Trade)
    assert ours.ts_event == START + 123_456_789


def test_fault_2_a_takers_side_has_no_field_and_a_missing_quote_is_zero() -> None:
    theirs, ours = one("crypto/us", T="t", S="BTC/USD", p=1.0, s=1.0, i=1, tks="S")
    assert not {"tks", "side", "taker_side"} & set(theirs.model_dump())
    assert isinstance(ours, Trade)
    assert ours.side == -1
    theirs, ours = one("crypto/us", T="q", S="BTC/USD", bp=0, bs=0, ap=2.0, **{"as": 1.0})
    assert theirs.bid_price == 0.0
    assert isinstance(ours, Quote)
    assert ours.bid is None


def test_fault_3_an_exchange_without_a_letter_is_an_error_to_alpaca_py_and_none_to_rtflow() -> None:
    message = {"T": "x", "S": "A", "i": 1, "x": "O", "p": 1.0, "s": 1, "a": "C", "z": "A"}
    payload = msgspec.msgpack.encode([message | {"t": extension(START)}])
    with pytest.raises(ValueError, match="exchange"):
        read_by_alpaca_py(payload)
    (event,) = decoded(
        Alpaca("key", "secret", feed="sip", encoding="msgpack"), [Frame(FrameKind.BINARY, payload, START)]
    )
    assert isinstance(event, TradeCancel)
    assert event.exchange == "O"


def test_fault_4_price_bands_come_as_the_raw_message() -> None:
    theirs, ours = one("sip", T="l", S="A", u=2.0, d=1.0, i="B", z="A")
    assert isinstance(theirs, dict)
    assert isinstance(ours, PriceBands)
