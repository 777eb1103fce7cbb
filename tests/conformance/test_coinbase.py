"""coinbase-advanced-py, unmodified, against Coinbase's twin; and its objects against rtflow's events.

It cannot be installed beside rtflow's twins: it needs a version of websockets before 14, they need 15. So it
lives in a folder of its own, and its receiving half runs in a process of its own::

    pip install --target FOLDER coinbase-advanced-py
    COINBASE_ADVANCED_PY=FOLDER pytest tests/conformance/test_coinbase.py

(Its releases up to 1.7.0 do not say so, install beside anything, and cannot open a connection.) What it does
otherwise than its venue documents, each proved below or allowed for:

1. Its user is handed the text of a message; ``WebsocketResponse``, which makes objects, is theirs to call.
2. The objects hold decimal text and RFC 3339 text, unchecked, whatever it says.
3. The side of a trade stays the maker's.
4. What it documents as ``level2`` comes as ``l2_data``, and a snapshot of trades looks like news.
5. A message without a ``client_id`` is an error to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
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
    Instrument,
    Malformed,
    OrderBookUpdate,
    Quote,
    Ticker,
    Trade,
)
from rtflow.provider import Subscription
from rtflow.providers.coinbase import Coinbase
from rtflow.time import format as rfc3339
from rtflow.time import parse
from rtflow.twin import Twin
from rtflow.twin.coinbase import CoinbaseVenue
from rtflow.twin.market import Market
from tests.conformance.dialogue import COINBASE, coinbase_advanced, decoded, dialogue, until

NOW = 1_790_358_470_000_000_000

responses = coinbase_advanced("coinbase.websocket.types.websocket_response")


def read_by_coinbase(payload: bytes) -> Any:
    """The object that its documents say to make of a message."""
    return responses.WebsocketResponse(json.loads(payload))


def expected_of(response: Any) -> Iterator[tuple[type, dict[str, Any]]]:
    """What rtflow must say of it, in order."""
    for event in response.events:
        match response.channel:
            case "market_trades":
                if event.type == "snapshot":  # fault 4: they have been told before
                    continue
                for trade in sorted(event.trades, key=lambda each: int(each.trade_id)):
                    yield (
                        Trade,
                        {
                            "symbol": trade.product_id,
                            "id": trade.trade_id,
                            "price": float(trade.price),
                            "size": float(trade.size),
                            "ts_event": parse(trade.time),
                            "side": {"BUY": -1, "SELL": 1}[trade.side],  # fault 3
                        },
                    )
            case "l2_data":
                sides = {
                    side: tuple(
                        (float(each.price_level), float(each.new_quantity))
                        for each in event.updates
                        if each.side == side
                    )
                    for side in ("bid", "offer")
                }
                yield (
                    OrderBookUpdate,
                    {
                        "symbol": event.product_id,
                        "bids": sides["bid"],
                        "asks": sides["offer"],
                        "snapshot": event.type == "snapshot",
                        "ts_event": max(parse(each.event_time) for each in event.updates),
                    },
                )
            case "ticker":
                for row in event.tickers:
                    yield (
                        Quote,
                        {
                            "symbol": row.product_id,
                            "bid": float(row.best_bid),
                            "bid_size": float(row.best_bid_quantity),
                            "ask": float(row.best_ask),
                            "ask_size": float(row.best_ask_quantity),
                            "ts_event": parse(response.timestamp),
                        },
                    )
            case "ticker_batch":
                for row in event.tickers:
                    yield (
                        Ticker,
                        {
                            "symbol": row.product_id,
                            "last": float(row.price),
                            "high": float(row.high_24_h),
                            "low": float(row.low_24_h),
                            "volume": float(row.volume_24_h),
                            "ts_event": parse(response.timestamp),
                        },
                    )
            case "candles":
                for row in sorted(event.candles, key=lambda each: int(each.start)):
                    yield (
                        Bar,
                        {
                            "symbol": row.product_id,
                            "start": int(row.start) * 10**9,
                            "open": float(row.open),
                            "high": float(row.high),
                            "low": float(row.low),
                            "close": float(row.close),
                            "volume": float(row.volume),
                        },
                    )
            case "status":
                for row in event.products:
                    yield (
                        Instrument,
                        {
                            "symbol": row.id,
                            "base": row.base_currency,
                            "quote": row.quote_currency,
                            "status": row.status,
                            "price_increment": float(row.quote_increment),
                            "size_increment": float(row.base_increment),
                        },
                    )
            case other:
                raise AssertionError(other)


MARKET = (Trade, OrderBookUpdate, Quote, Ticker, Bar, Instrument)


def agree(payload: bytes, events: list[Event]) -> int:
    """Assert that both read the same out of one frame; how many things that were."""
    wanted = list(expected_of(read_by_coinbase(payload)))
    ours = [
        event
        for event in events
        if isinstance(event, MARKET) and not (isinstance(event, Bar) and event.final)
    ]
    assert [type(event) for event in ours] == [kind for kind, _ in wanted]
    for event, (_, fields) in zip(ours, wanted, strict=True):
        assert {name: getattr(event, name) for name in fields} == fields
    return len(ours)


def decimal(places: int) -> st.SearchStrategy[str]:
    return st.integers(1, 10**12).map(
        lambda number: f"{number // 10**places}.{number % 10**places:0{places}d}"
    )


PRODUCT = st.sampled_from(["BTC-USD", "ETH-USD", "DOGE-EUR"])
PRICE, SIZE = decimal(2), decimal(8)
STAMP = st.integers(10**18, 2 * 10**18).map(lambda stamp: rfc3339(stamp, 6))
UPDATE = st.sampled_from(["update", "snapshot"])


def rows(row: dict[str, st.SearchStrategy[Any]], by: str | None = None) -> st.SearchStrategy[list[Any]]:
    return st.lists(
        st.fixed_dictionaries(row), min_size=1, max_size=6, unique_by=(lambda each: each[by]) if by else None
    )


TICKER = {
    "type": st.just("ticker"),
    "product_id": PRODUCT,
    **dict.fromkeys(("price", "low_24_h", "high_24_h", "low_52_w", "high_52_w"), PRICE),
    **dict.fromkeys(("best_bid", "best_ask"), PRICE),
    **dict.fromkeys(("volume_24_h", "best_bid_quantity", "best_ask_quantity"), SIZE),
    "price_percent_chg_24_h": PRICE,
}
CHANNELS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "market_trades": {
        "type": UPDATE,
        "trades": rows(
            {
                "product_id": PRODUCT,
                "trade_id": st.integers(1, 10**12).map(str),
                "price": PRICE,
                "size": SIZE,
                "time": STAMP,
                "side": st.sampled_from(["BUY", "SELL"]),
            },
            by="trade_id",
        ),
    },
    "l2_data": {
        "type": UPDATE,
        "product_id": PRODUCT,
        "updates": rows(
            {
                "side": st.sampled_from(["bid", "offer"]),
                "event_time": STAMP,
                "price_level": PRICE,
                "new_quantity": SIZE | st.just("0"),
            }
        ),
    },
    "ticker": {"type": UPDATE, "tickers": rows(TICKER)},
    "ticker_batch": {"type": UPDATE, "tickers": rows(TICKER)},
    "candles": {
        "type": UPDATE,
        "candles": rows(
            {
                "start": st.integers(10**9, 2 * 10**9).map(str),
                **dict.fromkeys(("high", "low", "open", "close"), PRICE),
                "volume": SIZE,
                "product_id": PRODUCT,
            },
            by="product_id",
        ),
    },
    "status": {
        "type": st.just("snapshot"),
        "products": rows(
            {
                "product_type": st.just("SPOT"),
                "id": PRODUCT,
                "base_currency": st.just("BTC"),
                "quote_currency": st.just("USD"),
                "base_increment": st.sampled_from(["0.00000001", "0.1", "1"]),
                "quote_increment": st.sampled_from(["0.01", "0.00001"]),
                "display_name": st.just("BTC/USD"),
                "status": st.sampled_from(["online", "offline"]),
                "status_message": st.just(""),
                "min_market_funds": st.just("1"),
            }
        ),
    },
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_whatever_the_venue_may_say_is_read_alike(channel: str) -> None:
    count = 0

    @settings(max_examples=400)
    @given(st.lists(st.fixed_dictionaries(CHANNELS[channel]), min_size=1, max_size=1), STAMP)
    def check(events: list[dict[str, Any]], stamp: str) -> None:
        nonlocal count
        head = {"channel": channel, "client_id": "", "timestamp": stamp, "sequence_num": 0}
        payload = msgspec.json.encode(head | {"events": events})
        count += agree(payload, decoded(Coinbase(), [Frame(FrameKind.TEXT, payload, NOW)]))

    check()
    assert count >= 400


# -- the twin, and the official client --------------------------------------------------------------------

START = 1_790_358_470_000_000_000
PRODUCTS = ("BTC-USD", "ETH-USD")
EVERYTHING = dict.fromkeys(("trades", "quotes", "tickers", "books", "bars"), PRODUCTS)


def test_thousands_of_the_twins_messages_are_read_alike() -> None:
    venue = CoinbaseVenue(Market(3, CoinbaseVenue.listings, start=START), client_id=True)  # fault 5
    subscription = Subscription.of(**EVERYTHING, instruments="*")
    decoder, count = Coinbase().decoder(), 0
    for frame in dialogue(Coinbase(), subscription, venue, 60.0, data=False):
        events = list(decoder.decode(frame))
        if json.loads(frame.payload)["channel"] not in ("subscriptions", "heartbeats"):
            count += agree(frame.payload, events)
    assert count > 3_000
    assert decoder.skipped == 0


CLIENT = """
import json, sys
from coinbase.websocket import WSClient, WSUserClient
from coinbase.websocket.types.websocket_response import WebsocketResponse

def on_message(text):
    print(json.dumps(WebsocketResponse(json.loads(text)).to_dict()), flush=True)

kind, url, products, channels = sys.argv[1:]
client = {"WSClient": WSClient, "WSUserClient": WSUserClient}[kind](
    base_url=url, on_message=on_message, retry=False
)
client.open()
client.subscribe(product_ids=[each for each in products.split(",") if each], channels=channels.split(","))
sys.stdin.read()
client.close()
"""


class Client:
    """A process of the official client, which prints what it is told, one object a line."""

    def __init__(self, kind: str, url: str, products: tuple[str, ...], *channels: str) -> None:
        self.told: list[Any] = []
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CLIENT, kind, url, ",".join(products), ",".join(channels)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": COINBASE},
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="coinbase-advanced-py", daemon=True)

    def __enter__(self) -> Client:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)
        finally:
            self._process.kill()
            self._reader.join(10)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(line, end="")  # noqa: T201 - that a user sees something is what is shown here
            self.told.append(json.loads(line))

    def events(self, channel: str, kind: str) -> list[Any]:
        return [
            event
            for message in [*self.told]
            if message["channel"] == channel
            for event in message["events"]
            if event["type"] == kind
        ]


def test_coinbase_advanced_py_receives_and_prints_what_the_market_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Twin("coinbase", seed=3, start=START, pace=float("inf"), steps=3_000, client_id=True) as twin:
        url = twin.url
        with Client("WSClient", url, PRODUCTS, "market_trades", "level2", "ticker", "heartbeats") as client:

            def trades() -> set[tuple[str, str, float, float, str]]:
                rows = [row for each in client.events("market_trades", "update") for row in each["trades"]]
                return {
                    (row["product_id"], row["trade_id"], float(row["price"]), float(row["size"]), row["side"])
                    for row in rows
                }

            until(lambda: len(twin.moves) == 3_000)
            true = {
                (
                    fill.symbol,
                    str(fill.id),
                    fill.price / 10 ** twin.market.listings[fill.symbol].price_precision,
                    fill.size / 10 ** twin.market.listings[fill.symbol].size_precision,
                    "SELL" if fill.side > 0 else "BUY",  # the maker's, fault 3
                )
                for fill in twin.trades
                if fill.symbol in PRODUCTS
            }
            until(lambda: trades() == true)
            for product in PRODUCTS:
                listing, sides = twin.market.listings[product], twin.market.book(product)
                places = 10**listing.price_precision, 10**listing.size_precision
                truth = [
                    {price / places[0]: size / places[1] for price, size in each.levels()} for each in sides
                ]
                until(lambda: kept(client, product) == truth, product)  # noqa: B023 - it waits here
    assert "market_trades" in capsys.readouterr().out


def kept(client: Client, product: str) -> list[dict[float, float]]:
    """The book that the venue's documents say to keep."""
    sides: dict[str, dict[float, float]] = {"bid": {}, "offer": {}}
    for event in [*client.events("l2_data", "snapshot"), *client.events("l2_data", "update")]:
        for row in event["updates"] if event["product_id"] == product else ():
            price, size = float(row["price_level"]), float(row["new_quantity"])
            sides[row["side"]][price] = size
            if not size:
                del sides[row["side"]][price]
    return [sides["bid"], sides["offer"]]


def test_its_user_client_hears_the_heartbeats() -> None:
    with (
        Twin("coinbase", client_id=True) as twin,
        Client("WSUserClient", twin.url, (), "heartbeats") as client,
    ):
        until(lambda: [each for each in client.told if each["channel"] == "heartbeats"])
        assert client.told[-1]["events"][0]["heartbeat_counter"]


# -- the faults, each by itself ---------------------------------------------------------------------------

TRADE = {"trade_id": "1", "product_id": "BTC-USD", "price": "1", "size": "1", "time": "", "side": "BUY"}
MESSAGE = {"channel": "market_trades", "client_id": "", "timestamp": "", "sequence_num": 0}


def test_fault_2_a_price_need_not_be_a_number() -> None:
    events = [{"type": "update", "trades": [TRADE | {"price": "abc"}]}]
    payload = msgspec.json.encode(MESSAGE | {"events": events})
    assert read_by_coinbase(payload).events[0].trades[0].price == "abc"
    assert Malformed in {type(event) for event in decoded(Coinbase(), [Frame(FrameKind.TEXT, payload, NOW)])}


def test_fault_5_a_message_without_a_client_id_is_an_error_to_it_and_none_to_rtflow() -> None:
    events = [{"type": "update", "trades": [TRADE | {"time": "2026-09-30T02:39:59Z"}]}]
    message = {key: value for key, value in MESSAGE.items() if key != "client_id"}
    payload = msgspec.json.encode(message | {"events": events})
    with pytest.raises(KeyError, match="client_id"):
        read_by_coinbase(payload)
    assert Trade in {type(event) for event in decoded(Coinbase(), [Frame(FrameKind.TEXT, payload, NOW)])}
