"""massive, unmodified, against Polygon.io's (now Massive's) twin; and its parser against rtflow's.

The package ``massive`` is ``polygon-api-client`` under the venue's new name: the same classes, other hosts.
What it does otherwise than its venue documents, each proved below or allowed for:

1. It takes what comes: nothing is checked, and what is missing is None. A price as text stays text.
2. Sizes of stock quotes stay in lots of 100 shares, and a side without a quote stays 0.
3. A bar whose message has no end has none.
4. Stamps stay in whatever unit the message has them, milliseconds or nanoseconds.
5. The fraction of a size (``ds``) stays text beside the size rounded down.
6. Statuses are logged and not handed out: a topic that the venue refuses looks like silence.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Imbalance,
    Malformed,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Status,
    Trade,
)
from rtflow.provider import Subscription
from rtflow.providers.polygon import Polygon
from rtflow.twin import Twin
from rtflow.twin.market import Market
from rtflow.twin.polygon import PolygonVenue
from tests.conformance.dialogue import decoded, dialogue, official, until

massive = official("massive", "massive")
models = official("massive.websocket.models", "massive")

NOW = 1_790_358_470_000_000_000
TAPES = {1: "A", 2: "B", 3: "C"}
WIDTHS = {"A": 1_000, "XAS": 1_000, "CAS": 1_000, "AM": 60_000, "XA": 60_000, "CA": 60_000}
SIDES = {(1,): -1, (2,): 1}


def read_by_massive(payload: bytes, cluster: str) -> list[Any]:
    """What its user's function is handed."""
    told: list[Any] = models.parse(json.loads(payload), logging.getLogger("massive"), models.Market(cluster))
    return told


def agree(theirs: Any, ours: Event, cluster: str) -> None:
    """Assert that an event says what an object of the official client says."""
    lot = 100.0 if cluster == "stocks" else 1.0
    name = type(theirs).__name__
    symbol = next(
        each
        for each in (getattr(theirs, field, None) for field in ("symbol", "pair", "ticker"))
        if each is not None
    )
    expected: dict[str, Any]
    match name:
        case "EquityTrade":
            assert isinstance(ours, Trade)
            if cluster == "stocks":
                id_ = f"{theirs.exchange}:{theirs.id}" + (f":{theirs.trf_id}" if theirs.trf_id else "")
            else:
                id_ = str(theirs.sequence_number)
            expected = {
                "ts_event": nanoseconds(theirs.timestamp),
                "price": theirs.price,
                "size": theirs.size if theirs.fractional_shares is None else float(theirs.fractional_shares),
                "id": id_,
                "exchange": str(theirs.exchange),
                "conditions": tuple(str(each) for each in theirs.conditions or ()),
                "tape": TAPES.get(theirs.tape, ""),
                "side": 0,
            }
        case "CryptoTrade":
            expected = {
                "ts_event": nanoseconds(theirs.timestamp),
                "price": theirs.price,
                "size": theirs.size,
                "id": f"{theirs.exchange}:{theirs.id}" if theirs.id is not None else "",
                "exchange": str(theirs.exchange),
                "conditions": tuple(str(each) for each in theirs.conditions or ()),
                "side": SIDES.get(tuple(theirs.conditions or ()), 0),
            }
        case "EquityQuote" | "CryptoQuote":
            equity = name == "EquityQuote"
            has_bid, has_ask = theirs.bid_price and theirs.bid_size, theirs.ask_price and theirs.ask_size
            expected = {
                "ts_event": nanoseconds(theirs.timestamp),
                "bid": theirs.bid_price if has_bid else None,
                "bid_size": theirs.bid_size * lot if has_bid else None,
                "ask": theirs.ask_price if has_ask else None,
                "ask_size": theirs.ask_size * lot if has_ask else None,
                "bid_exchange": str(theirs.bid_exchange_id if equity else theirs.exchange_id),
                "ask_exchange": str(theirs.ask_exchange_id if equity else theirs.exchange_id),
                "tape": TAPES.get(theirs.tape, "") if equity else "",
            }
        case "ForexQuote":
            expected = {
                "ts_event": nanoseconds(theirs.timestamp),
                "bid": theirs.bid_price,
                "ask": theirs.ask_price,
                "bid_size": None,
                "bid_exchange": str(theirs.exchange_id),
            }
        case "EquityAgg" | "CurrencyAgg":
            volume = theirs.volume
            if getattr(theirs, "fractional_volume", None) is not None:
                volume = float(theirs.fractional_volume)  # fault 5
            average = theirs.close if theirs.vwap is None else theirs.vwap
            end = theirs.end_timestamp or theirs.start_timestamp + WIDTHS[theirs.event_type]  # fault 3
            expected = {
                "start": nanoseconds(theirs.start_timestamp),
                "end": nanoseconds(end),
                "open": theirs.open,
                "high": theirs.high,
                "low": theirs.low,
                "close": theirs.close,
            }
            if cluster != "indices":
                expected |= {"volume": volume, "value": volume * average}
        case "LimitUpLimitDown":
            expected = {
                "ts_event": nanoseconds(theirs.timestamp),
                "limit_up": theirs.high_price,
                "limit_down": theirs.low_price,
                "indicator": ",".join(str(each) for each in theirs.indicators or ()),
                "tape": TAPES.get(theirs.tape, ""),
            }
        case "Imbalance":
            expected = {
                "ts_event": nanoseconds(theirs.time_stamp),
                "price": theirs.book_clearing_price,
                "size": theirs.imbalance_quantity,
                "paired": theirs.paired_quantity,
                "auction": theirs.auction_type,
            }
        case "Level2Book":
            expected = {
                "ts_event": nanoseconds(theirs.timestamp),
                "bids": tuple((float(price), float(size)) for price, size in theirs.bid_prices),
                "asks": tuple((float(price), float(size)) for price, size in theirs.ask_prices),
                "snapshot": True,
                "exchange": str(theirs.exchange_id),
            }
        case "FairMarketValue":
            expected = {"ts_event": nanoseconds(theirs.timestamp), "price": theirs.fmv, "source": "fair"}
        case "IndexValue":
            expected = {"ts_event": nanoseconds(theirs.timestamp), "price": theirs.value, "source": "index"}
        case _:
            raise AssertionError(theirs)
    said = {field: getattr(ours, field) for field in expected}
    assert said == expected
    assert getattr(ours, "symbol", None) == symbol


def nanoseconds(stamp: int) -> int:
    """A stamp of the venue, whose size tells its unit (fault 4)."""
    for limit, unit in ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3)):
        if stamp < limit:
            return stamp * unit
    return stamp


TYPES: dict[str, type] = {
    "EquityTrade": Trade,
    "CryptoTrade": Trade,
    "EquityQuote": Quote,
    "CryptoQuote": Quote,
    "ForexQuote": Quote,
    "EquityAgg": Bar,
    "CurrencyAgg": Bar,
    "LimitUpLimitDown": PriceBands,
    "Imbalance": Imbalance,
    "Level2Book": OrderBookUpdate,
    "FairMarketValue": ReferencePrice,
    "IndexValue": ReferencePrice,
}


def all_agree(payload: bytes, events: list[Event], cluster: str) -> int:
    """Assert that both read the same out of one frame, and how many things that were."""
    told = read_by_massive(payload, cluster)
    ours = [event for event in events if not isinstance(event, Status)]  # fault 6
    assert [TYPES[type(each).__name__] for each in told] == [type(event) for event in ours]
    for theirs, event in zip(told, ours, strict=True):
        agree(theirs, event, cluster)
    return len(told)


PRICE = st.integers(1, 10**10).map(lambda number: number / 10**4) | st.integers(1, 10**6)
SIZE = st.integers(1, 10**9)
COIN_SIZE = st.integers(1, 10**14).map(lambda number: number / 10**8)
MILLISECONDS = st.integers(10**11, 4 * 10**12)
ANY_STAMP = MILLISECONDS | MILLISECONDS.map(lambda each: each * 1_000_000 + 7)
NUMBER = st.integers(1, 500)
NUMBERS = st.lists(st.integers(0, 60), max_size=4)
TICKER = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ.", min_size=1, max_size=6)
COUNT = st.integers(0, 2**40)
PRICES = dict.fromkeys("ohlc", PRICE)
WINDOW = {"s": st.integers(10**11, 4 * 10**12)}
COIN_IDS = {"pair": st.sampled_from(["BTC-USD", "ETH-EUR"]), "x": NUMBER}
LEVELS = st.lists(st.tuples(PRICE, COIN_SIZE), max_size=6)


def a_message(
    kind: str,
    must: dict[str, st.SearchStrategy[Any]],
    may: dict[str, st.SearchStrategy[Any]] | None = None,
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"ev": st.just(kind), **must}, optional=may or {})


def a_bar(
    kind: str, must: dict[str, st.SearchStrategy[Any]], may: dict[str, st.SearchStrategy[Any]] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """With its end, or without where it may lack it."""

    def ended(bar: dict[str, Any]) -> dict[str, Any]:
        return bar | {"e": bar["s"] + WIDTHS[kind]}

    bar = a_message(kind, PRICES | WINDOW | must, may)
    return bar.map(ended) if kind in ("A", "AM", "XA", "XAS") else bar | bar.map(ended)


SYMBOL, CONTRACT, PAIR = {"sym": TICKER}, {"sym": TICKER.map("O:".__add__)}, {"pair": st.just("EUR/USD")}
TRADED = {"v": SIZE, "vw": PRICE, "av": SIZE, "z": SIZE}
TOUCH = {"bx": NUMBER, "bp": PRICE, "bs": SIZE, "ax": NUMBER, "ap": PRICE, "as": SIZE, "t": MILLISECONDS}
TAPE = {"z": st.integers(1, 3)}
PRINT = {"x": NUMBER, "p": PRICE, "s": SIZE, "t": MILLISECONDS, "q": COUNT}
FRACTION = COIN_SIZE.map(lambda size: f"{size:.6f}")
MESSAGES = {
    "stocks": st.one_of(
        a_message(
            "T",
            SYMBOL | PRINT | TAPE | {"i": COUNT.map(str)},
            {"c": NUMBERS, "ds": FRACTION, "trfi": st.integers(201, 203), "trft": MILLISECONDS},
        ),
        a_message("Q", SYMBOL | TOUCH | TAPE | {"q": COUNT}, {"c": NUMBER, "i": NUMBERS}),
        a_bar("A", SYMBOL | TRADED, {"op": PRICE, "a": PRICE, "otc": st.just(True), "dv": FRACTION}),
        a_bar("AM", SYMBOL | TRADED, {"op": PRICE, "a": PRICE}),
        a_message("LULD", {"T": TICKER, "h": PRICE, "l": PRICE, "t": ANY_STAMP} | TAPE, {"i": NUMBERS}),
        a_message(
            "NOI",
            {"T": TICKER, "t": ANY_STAMP, "b": PRICE, "o": SIZE, "p": SIZE, "a": st.sampled_from("OMHC")},
            {"at": st.just(930), "i": COUNT, "x": NUMBER},
        ),
        a_message("FMV", SYMBOL | {"fmv": PRICE, "t": ANY_STAMP}),
    ),
    "options": st.one_of(
        a_message("T", CONTRACT | PRINT, {"c": NUMBERS}),
        a_message("Q", CONTRACT | TOUCH | {"q": COUNT}),
        a_bar("A", CONTRACT | TRADED),
        a_bar("AM", CONTRACT | TRADED),
    ),
    "crypto": st.one_of(
        a_message(
            "XT",
            COIN_IDS | {"p": PRICE, "s": COIN_SIZE, "t": MILLISECONDS, "r": MILLISECONDS},
            {"c": st.sampled_from([[1], [2], [0], []]), "i": COUNT | COUNT.map(str)},
        ),
        a_message(
            "XQ", COIN_IDS | {"bp": PRICE, "bs": COIN_SIZE, "ap": PRICE, "as": COIN_SIZE, "t": MILLISECONDS}
        ),
        a_message("XL2", COIN_IDS | {"b": LEVELS, "a": LEVELS, "t": MILLISECONDS, "r": MILLISECONDS}),
        a_bar("XA", {"pair": COIN_IDS["pair"], "v": COIN_SIZE, "vw": PRICE, "z": SIZE}),
        a_bar("XAS", {"pair": COIN_IDS["pair"], "v": COIN_SIZE, "vw": PRICE, "z": SIZE}),
    ),
    "forex": st.one_of(
        a_message(
            "C",
            {
                "p": st.just("EUR/USD"),
                "x": NUMBER | NUMBER.map(str),
                "a": PRICE,
                "b": PRICE,
                "t": MILLISECONDS,
            },
        ),
        a_bar("CA", PAIR | {"v": SIZE}),
        a_bar("CAS", PAIR | {"v": SIZE}),
    ),
    "indices": st.one_of(
        a_message("V", {"T": TICKER.map("I:".__add__), "val": PRICE, "t": MILLISECONDS}),
        a_bar("A", {"sym": TICKER.map("I:".__add__)}),
        a_bar("AM", {"sym": TICKER.map("I:".__add__)}),
    ),
}


@pytest.mark.parametrize("cluster", MESSAGES)
def test_whatever_the_venue_may_say_is_read_alike(cluster: str) -> None:
    provider = Polygon("key", cluster=cluster)
    count = 0

    @settings(max_examples=400)
    @given(st.lists(MESSAGES[cluster], min_size=2, max_size=8))
    def check(messages: list[dict[str, Any]]) -> None:
        nonlocal count
        payload = msgspec.json.encode(messages)
        count += all_agree(payload, decoded(provider, [Frame(FrameKind.TEXT, payload, NOW)]), cluster)

    check()
    assert count > 1_000


# -- the official client and the twin ---------------------------------------------------------------------

START = 1_790_358_470_000_000_000
EVERYTHING: dict[str, dict[str, tuple[str, ...]]] = {
    "stocks": {
        **dict.fromkeys(("trades", "quotes", "second_bars", "bars"), ("AAPL", "SPY")),
        **dict.fromkeys(("lulds", "imbalances", "fair_values"), ("AAPL",)),
    },
    "options": dict.fromkeys(("trades", "second_bars"), ("*",)),
    "forex": dict.fromkeys(("quotes", "second_bars"), ("EUR/USD",)),
    "crypto": dict.fromkeys(("trades", "quotes", "books", "second_bars"), ("BTC-USD", "ETH-USD")),
    "indices": {"values": ("I:TWIN",), "second_bars": ("I:TWIN",)},
}
TOPICS = {
    "stocks": {"trades": "T", "quotes": "Q", "second_bars": "A", "bars": "AM", "lulds": "LULD"}
    | {"imbalances": "NOI", "fair_values": "FMV"},
    "options": {"trades": "T", "second_bars": "A"},
    "forex": {"quotes": "C", "second_bars": "CAS"},
    "crypto": {"trades": "XT", "quotes": "XQ", "books": "XL2", "second_bars": "XAS"},
    "indices": {"values": "V", "second_bars": "A"},
}


def said_to_rtflow(cluster: str, seconds: float) -> list[Frame]:
    """What a twin with seed 3 and this start says to rtflow."""
    venue = PolygonVenue(Market(3, PolygonVenue.listings, start=START - 30 * 10**9), cluster=cluster)
    venue.advance(START)
    return dialogue(Polygon("key", cluster=cluster), Subscription.of(**EVERYTHING[cluster]), venue, seconds)


@pytest.mark.parametrize("cluster", EVERYTHING)
def test_thousands_of_the_twins_messages_are_read_alike(cluster: str) -> None:
    decoder, count = Polygon("key", cluster=cluster).decoder(), 0
    for frame in said_to_rtflow(cluster, 90.0):
        count += all_agree(frame.payload, list(decoder.decode(frame)), cluster)
    assert count > (90 if cluster == "options" else 500)
    assert decoder.skipped == 0


def by_type(told: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """Fields of objects, by type: of one instant, the order among topics is the order of the requests."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in told:
        found.setdefault(f"{each.event_type}", []).append(vars(each))
    return found


def sent_away(twin: Twin, thread: threading.Thread) -> bool:
    """Whether the client has ended. It takes a close frame for the end, and comes back if it was cut off."""
    twin.disconnect(1000)
    thread.join(0.5)
    return not thread.is_alive()


@pytest.mark.parametrize("cluster", EVERYTHING)
def test_massive_receives_and_prints_what_the_market_did(
    cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = said_to_rtflow(cluster, 10.0)
    expected = by_type([each for frame in frames for each in read_by_massive(frame.payload, cluster)])
    received: list[Any] = []

    def handle(told: list[Any]) -> None:
        for each in told:
            print(each)  # noqa: T201 - that a user sees something is what is shown here
        received.extend(told)

    with Twin("polygon", seed=3, start=START, pace=float("inf"), steps=3_500, cluster=cluster) as twin:
        client = massive.WebSocketClient(
            api_key="key",
            feed=urlsplit(twin.url).netloc,
            market=cluster,
            secure=False,
            subscriptions=[
                f"{TOPICS[cluster][kind]}.{symbol}"
                for kind, symbols in EVERYTHING[cluster].items()
                for symbol in symbols
            ],
        )
        thread = threading.Thread(target=client.run, args=(handle,), name="massive", daemon=True)
        thread.start()
        try:
            until(
                lambda: all(len(by_type(received).get(kind, [])) >= len(expected[kind]) for kind in expected)
            )
        finally:
            until(lambda: sent_away(twin, thread))
    assert len(expected) > 1
    for kind, told in expected.items():
        assert by_type(received)[kind][: len(told)] == told
    assert "timestamp=" in capsys.readouterr().out


def test_massive_is_turned_away_like_anybody_else() -> None:
    with Twin("polygon", cluster="stocks", keys=["key"]) as twin:
        client = massive.WebSocketClient(
            api_key="wrong", feed=urlsplit(twin.url).netloc, secure=False, subscriptions=["T.AAPL"]
        )
        with pytest.raises(massive.exceptions.AuthError):
            client.run(print)


# -- the faults, each by itself ---------------------------------------------------------------------------

TRADE = {"ev": "T", "sym": "A", "x": 4, "i": "1", "z": 1, "p": 1.5, "s": 100, "t": 1_700_000_000_000, "q": 1}


def one(message: dict[str, Any], cluster: str = "stocks") -> tuple[list[Any], list[Event]]:
    payload = msgspec.json.encode([message])
    frame = Frame(FrameKind.TEXT, payload, NOW)
    return read_by_massive(payload, cluster), decoded(Polygon("key", cluster=cluster), [frame])


def test_fault_1_nothing_is_checked() -> None:
    (theirs,), (ours,) = one(TRADE | {"p": "1.5"})
    assert theirs.price == "1.5"
    assert isinstance(ours, Malformed)
    (theirs,), (ours,) = one({"ev": "T"})
    assert theirs.price is None
    assert isinstance(ours, Malformed)


def test_fault_2_sizes_stay_in_lots_and_no_quote_is_zero() -> None:
    quote = {"ev": "Q", "sym": "A", "bp": 0, "bs": 0, "ap": 3.1, "as": 4, "ax": 12, "t": 1_700_000_000_000}
    (theirs,), (ours,) = one(quote)
    assert (theirs.bid_price, theirs.ask_size) == (0, 4)
    assert isinstance(ours, Quote)
    assert (ours.bid, ours.ask_size) == (None, 400.0)


def test_fault_6_what_the_venue_refuses_looks_like_silence() -> None:
    theirs, ours = one({"ev": "status", "status": "error", "message": "not authorized"})
    assert theirs == []
    assert [type(event) for event in ours] == [Status]
