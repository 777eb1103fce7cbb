"""binance-connector and binance-sdk-spot, unmodified: what they make of a frame, and of Binance's twin.

Two official clients. binance-connector hands its user the text of each message as it came, and has nothing to
compare but that; binance-sdk-spot makes a pydantic model of each. What they do otherwise than rtflow:

1. Prices and sizes stay decimal text, stamps milliseconds: the user's to read.
2. The models check types, not values: a price may be ``abc``, negative, or missing.
3. A partial book has no symbol: the stream's name, which binance-sdk-spot takes off, is the only one.
4. A kline's last millisecond is inside it; rtflow's bars end where the next one begins.
5. ``stop()`` of binance-connector leaves its socket open, to the garbage collector.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.events import Bar, Event, Frame, FrameKind, Malformed, OrderBookUpdate, Quote, Trade
from rtflow.provider import Subscription
from rtflow.providers.binance import Binance
from rtflow.twin import Twin
from rtflow.twin.binance import BinanceVenue
from rtflow.twin.market import Market
from tests.conformance.dialogue import decoded, dialogue, official, until

models = official("binance_sdk_spot.websocket_streams.models", "binance-sdk-spot")

NOW = 1_790_358_470_000_000_000

MODELS = {
    "trade": "TradeResponse",
    "aggTrade": "AggTradeResponse",
    "bookTicker": "BookTickerResponse",
    "depth": "DiffBookDepthResponse",
    "depth20": "PartialBookDepthResponse",
    "kline_1m": "KlineResponse",
}


def read_by_the_sdk(payload: bytes) -> Any:
    """What its user's callback is handed; parsed as its receiving loop does."""
    message = json.loads(payload)
    model = getattr(models, MODELS[message["stream"].split("@")[1]])
    return model.model_validate_json(json.dumps(message["data"]))


def as_the_sdk(event: Event, stream: str) -> dict[str, Any]:
    """An event of ours under the venue's letters."""
    match event:
        case Trade():
            number = "a" if stream.endswith("aggTrade") else "t"
            return {
                "s": event.symbol,
                number: int(event.id.removeprefix("a")),
                "p": event.price,
                "q": event.size,
                "T": event.ts_event // 1_000_000,
                "m": event.side == -1,
            }
        case Quote():
            return {
                "s": event.symbol,
                "b": event.bid or 0.0,
                "B": event.bid_size or 0.0,
                "a": event.ask or 0.0,
                "A": event.ask_size or 0.0,
            }
        case OrderBookUpdate(snapshot=False):
            return {
                "s": event.symbol,
                "E": event.ts_event // 1_000_000,
                "U": event.first_sequence,
                "u": event.sequence,
                "b": [list(level) for level in event.bids],
                "a": [list(level) for level in event.asks],
            }
        case OrderBookUpdate():
            return {
                "lastUpdateId": event.sequence,
                "bids": [list(level) for level in event.bids],
                "asks": [list(level) for level in event.asks],
            }
        case Bar():
            return {
                "s": event.symbol,
                "t": event.start // 1_000_000,
                "T": event.end // 1_000_000 - 1,  # fault 4
                "i": event.interval,
                "o": event.open,
                "h": event.high,
                "l": event.low,
                "c": event.close,
                "v": event.volume,
                "n": event.count,
                "q": event.value,
                "V": event.buy_volume,
                "x": event.final,
            }
        case _:
            raise AssertionError(event)


def as_told(model: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """The same of what the SDK made, its texts read as numbers (fault 1)."""
    fields: dict[str, Any] = model.model_dump(by_alias=True)
    flat = fields | (fields.pop("k", None) or {})
    return {name: numbers(flat[name]) if name not in ("s", "i") else flat[name] for name in wanted}


def numbers(value: Any) -> Any:
    if isinstance(value, str):
        return float(value)
    return [numbers(each) for each in value] if isinstance(value, list) else value


def agree(payload: bytes, events: list[Event]) -> None:
    """Assert that both read the same out of one frame."""
    (event,) = events
    stream = json.loads(payload)["stream"]
    wanted = as_the_sdk(event, stream)
    assert as_told(read_by_the_sdk(payload), wanted) == wanted
    assert getattr(event, "symbol", None) == stream.split("@")[0].upper()  # fault 3


PRICE = st.integers(1, 10**13).map(lambda number: f"{number // 10**8}.{number % 10**8:08d}")
SIZE = st.integers(0, 10**13).map(lambda number: f"{number // 10**8}.{number % 10**8:08d}")
SYMBOL = st.sampled_from(["BTCUSDT", "ETHUSDT", "1000SATSUSDT"])
NUMBER = st.integers(0, 2**53)
STAMP = st.integers(1_500_000_000_000, 4_000_000_000_000)
LEVELS = st.lists(st.tuples(PRICE, SIZE), max_size=8)
SIGNED = {"E": STAMP, "s": SYMBOL}
TRADED = {"p": PRICE, "q": SIZE, "T": STAMP, "m": st.booleans(), "M": st.just(True)}
CANDLE = {
    "t": STAMP,
    "i": st.just("1m"),
    "f": NUMBER,
    "L": NUMBER,
    "n": st.integers(0, 10**6),
    **dict.fromkeys("ohlc", PRICE),
    "v": SIZE,
    "q": SIZE,
    "x": st.booleans(),
    "Q": SIZE,
    "B": st.just("0"),
}


def a_candle(row: dict[str, Any], share: int) -> dict[str, Any]:
    bought = round(float(row["v"]) * share / 100, 8)
    return row | {"T": row["t"] + 59_999, "V": f"{min(bought, float(row['v'])):.8f}"}


DATA: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "trade": st.fixed_dictionaries({"e": st.just("trade"), **SIGNED, "t": NUMBER, **TRADED}),
    "aggTrade": st.fixed_dictionaries(
        {"e": st.just("aggTrade"), **SIGNED, "a": NUMBER, "f": NUMBER, "l": NUMBER, **TRADED}
    ),
    "bookTicker": st.fixed_dictionaries(
        {"u": NUMBER, "s": SYMBOL, "b": PRICE, "B": PRICE, "a": PRICE, "A": PRICE}
    ),
    "depth": st.builds(
        lambda event, first, more, rest: event | {"U": first, "u": first + more} | rest,
        st.fixed_dictionaries({"e": st.just("depthUpdate"), **SIGNED}),
        NUMBER,
        st.integers(0, 100),
        st.fixed_dictionaries({"b": LEVELS, "a": LEVELS}),
    ),
    "depth20": st.fixed_dictionaries({"lastUpdateId": NUMBER, "bids": LEVELS, "asks": LEVELS}),
    "kline_1m": st.builds(
        lambda event, row, share: event | {"k": {"s": event["s"]} | a_candle(row, share)},
        st.fixed_dictionaries({"e": st.just("kline"), **SIGNED}),
        st.fixed_dictionaries(CANDLE),
        st.integers(0, 100),
    ),
}


@pytest.mark.parametrize("stream", DATA)
def test_whatever_the_venue_may_say_is_read_alike(stream: str) -> None:
    count = 0

    @settings(max_examples=500)
    @given(DATA[stream])
    def check(data: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        name = f"{data.get('s', 'BTCUSDT').lower()}@{stream}"
        payload = msgspec.json.encode({"stream": name, "data": data})
        agree(payload, decoded(Binance(), [Frame(FrameKind.TEXT, payload, NOW)]))

    check()
    assert count >= 500


# -- the official client and the twin ---------------------------------------------------------------------

START = 1_790_358_470_000_000_000
WANTED = {"trades": ["BTCUSDT"], "quotes": ["BTCUSDT"], "books": ["BTCUSDT"], "top_books": ["ETHUSDT"]}
STREAMS = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@depth20@100ms"]


def said_to_rtflow(seconds: float) -> list[Frame]:
    """What a twin with seed 3 and this start says to rtflow."""
    venue = BinanceVenue(Market(3, BinanceVenue.listings, start=START - 30 * 10**9))
    venue.advance(START)
    frames = dialogue(Binance(), Subscription.of(**WANTED), venue, seconds)
    return [frame for frame in frames if frame.kind is FrameKind.TEXT]


def test_thousands_of_the_twins_messages_are_read_alike() -> None:
    frames = said_to_rtflow(100.0)
    decoder = Binance().decoder()
    for frame in frames:
        agree(frame.payload, list(decoder.decode(frame)))
    assert len(frames) > 3_000


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # the client leaves its socket to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_binance_connector_receives_and_prints_what_the_market_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    connector = official("binance.websocket.spot.websocket_stream", "binance-connector")
    expected = [frame.payload.decode() for frame in said_to_rtflow(30.0)]
    received: list[str] = []

    def on_message(_: Any, message: str) -> None:
        print(message)  # noqa: T201 - that a user sees something is what is shown here
        received.append(message)

    def data() -> dict[str, list[str]]:
        """By stream: of one instant, the order among streams is the order of the requests."""
        return {stream: [each for each in received if f'"{stream}"' in each] for stream in STREAMS}

    with Twin("binance", seed=3, start=START, pace=float("inf"), steps=5_000) as twin:
        client = connector.SpotWebsocketStreamClient(
            stream_url=twin.url.rstrip("/"), on_message=on_message, is_combined=True
        )
        try:
            client.subscribe(STREAMS)
            until(lambda: len(twin.moves) == 5_000)
            until(lambda: len(received) > len(expected))
            until(lambda: len(data()["btcusdt@trade"]) == sum(f.symbol == "BTC/USDT" for f in twin.trades))
        finally:
            client.stop()
            client.socket_manager.ws.shutdown()  # fault 5
        prices = [
            (json.loads(each)["data"]["p"], json.loads(each)["data"]["q"]) for each in data()["btcusdt@trade"]
        ]
        assert [(float(price), float(size)) for price, size in prices] == [
            (fill.price / 100, fill.size / 10**5) for fill in twin.trades if fill.symbol == "BTC/USDT"
        ]
    for stream, got in data().items():
        told = [each for each in expected if f'"{stream}"' in each]
        assert len(told) > 50
        first = got.index(told[0])  # rtflow spaces its requests out, so it may be served later
        assert first < 5
        assert got[first : first + len(told)] == told
    assert "btcusdt@trade" in capsys.readouterr().out


# -- the faults, each by itself ---------------------------------------------------------------------------


def test_fault_2_a_price_need_not_be_a_number() -> None:
    trade = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 1, "p": "abc", "q": "1", "T": 1, "m": True}
    payload = msgspec.json.encode({"stream": "btcusdt@trade", "data": trade})
    assert read_by_the_sdk(payload).p == "abc"
    (ours,) = decoded(Binance(), [Frame(FrameKind.TEXT, payload, NOW)])
    assert isinstance(ours, Malformed)


def test_fault_3_a_partial_book_is_of_nobody() -> None:
    whole = {"lastUpdateId": 1, "bids": [["1", "1"]], "asks": []}
    payload = msgspec.json.encode({"stream": "btcusdt@depth20", "data": whole})
    assert not hasattr(read_by_the_sdk(payload), "s")
    (ours,) = decoded(Binance(), [Frame(FrameKind.TEXT, payload, NOW)])
    assert isinstance(ours, OrderBookUpdate)
    assert ours.symbol == "BTCUSDT"
