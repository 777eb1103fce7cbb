"""What a message costs to decode, beside the venue's official Python client: same bytes, same run.

The frames are what the twins say in some seconds of their time. rtflow makes events of them; a peer makes
what its own user is handed by its own callback, and no more: no socket, no callback, no thread.

pytest tests/bench/test_decode_bench.py --benchmark-only -s

with the peers: ``pip install 'rtflow[conformance]'``. Aim: four times as fast as each of them, and
twenty-five times as fast as smartapi-python, whose parser unpacks field by field.

Where a client parses nothing, the peer is ``json.loads``, which is left to its user: binance-connector hands
out the text of a message as it came. Kraken has no official Python client, and what people use instead hands
out what ``json.loads`` made. Interactive Brokers' peer is ibind, which is not official either, and renames
fields but reads no number. coinbase-advanced-py needs a folder of its own, see tests/conformance.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow.events import Frame, FrameKind, Malformed
from rtflow.provider import Provider, Subscription
from rtflow.providers.alpaca import Alpaca
from rtflow.providers.angelone import AngelOne, columns
from rtflow.providers.binance import Binance
from rtflow.providers.coinbase import Coinbase
from rtflow.providers.ibkr import InteractiveBrokers
from rtflow.providers.kraken import Kraken
from rtflow.providers.polygon import Polygon
from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.angelone import AngelOneVenue
from rtflow.twin.binance import BinanceVenue
from rtflow.twin.coinbase import CoinbaseVenue
from rtflow.twin.ibkr import IbkrVenue, conid
from rtflow.twin.kraken import KrakenVenue
from rtflow.twin.market import Market
from rtflow.twin.polygon import PolygonVenue
from tests.conformance.dialogue import coinbase_advanced, decoded, dialogue, official, working_in

START = 1_790_358_440_000_000_000
COINS, STOCKS = ("BTC/USD", "ETH/USD"), ("AAPL", "SPY")
FRAMES = 4_000

Read = Callable[[Frame], object]


class Stream(NamedTuple):
    """What one venue said: who reads it, the frames, how many messages are in them."""

    provider: Provider
    frames: list[Frame]
    messages: int


def alpaca(kinds: tuple[str, ...], feed: str, symbols: tuple[str, ...]) -> Stream:
    provider = Alpaca("key", "secret", feed=feed, encoding="msgpack")
    venue = AlpacaVenue(Market(7, symbols, start=START, rate=3.0))
    frames = dialogue(provider, wanted(kinds, symbols), venue, 60.0)
    return stream(provider, frames, msgspec.msgpack.Decoder(list[object]).decode)


def kraken() -> Stream:
    provider = Kraken()
    venue = KrakenVenue(Market(7, COINS, start=START))
    return stream(provider, dialogue(provider, wanted(("trades", "quotes", "books"), COINS), venue, 60.0))


def wanted(kinds: tuple[str, ...], symbols: tuple[str, ...]) -> Subscription:
    return Subscription.of(**dict.fromkeys(kinds, symbols))


def stream(
    provider: Provider, frames: list[Frame], split: Callable[[bytes], list[object]] | None = None
) -> Stream:
    """``split``: how to take a frame of many messages apart."""
    frames = frames[:FRAMES]
    assert not any(isinstance(event, Malformed) for event in decoded(provider, frames))
    return Stream(provider, frames, sum(len(split(frame.payload)) if split else 1 for frame in frames))


def binance() -> Stream:
    provider = Binance()
    venue = BinanceVenue(Market(7, BinanceVenue.listings, start=START, rate=3.0))
    kinds = ("trades", "quotes", "books", "bars")
    frames = dialogue(provider, wanted(kinds, ("BTCUSDT", "ETHUSDT")), venue, 40.0)
    return stream(provider, [frame for frame in frames if frame.kind is FrameKind.TEXT])


def angelone(kind: str, seconds: float) -> Stream:
    provider = AngelOne("jwt", "key", "A123456", "feed")
    venue = AngelOneVenue(Market(7, AngelOneVenue.listings, start=START, rate=3.0))
    symbols = ("nse_cm:3045", "nse_cm:2885")
    return stream(provider, dialogue(provider, wanted((kind,), symbols), venue, seconds))


def coinbase() -> Stream:
    provider = Coinbase()
    venue = CoinbaseVenue(Market(7, CoinbaseVenue.listings, start=START, rate=3.0), client_id=True)
    kinds = ("trades", "quotes", "books")
    return stream(provider, dialogue(provider, wanted(kinds, ("BTC-USD", "ETH-USD")), venue, 60.0))


def ibkr() -> Stream:
    provider = InteractiveBrokers("twin", names={symbol: str(conid(symbol)) for symbol in STOCKS})
    venue = IbkrVenue(Market(7, STOCKS, start=START), interval=0.0)
    return stream(provider, dialogue(provider, wanted(("trades", "quotes"), STOCKS), venue, 120.0))


def polygon() -> Stream:
    provider = Polygon("key")
    venue = PolygonVenue(Market(7, STOCKS, start=START, rate=3.0))
    frames = dialogue(provider, wanted(("trades", "quotes", "second_bars"), STOCKS), venue, 60.0)
    return stream(provider, frames, msgspec.json.Decoder(list[object]).decode)


STREAMS: dict[str, Callable[[], Stream]] = {
    "alpaca stocks": lambda: alpaca(("trades", "quotes", "bars"), "sip", STOCKS),
    "alpaca crypto": lambda: alpaca(("trades", "quotes", "books", "bars"), "crypto/us", COINS),
    "angelone ltp": lambda: angelone("trades", 400.0),
    "angelone quote": lambda: angelone("tickers", 60.0),
    "angelone snap": lambda: angelone("books", 60.0),
    "binance": binance,
    "coinbase": coinbase,
    "ibkr": ibkr,
    "kraken": kraken,
    "polygon": polygon,
}


# -- the peers: each as its own receiving loop does it ----------------------------------------------------


def alpaca_py() -> Read:
    websocket = official("alpaca.data.live.websocket", "alpaca-py")
    unpack = official("msgpack", "alpaca-py").unpackb
    cast = websocket.DataStream("ws://127.0.0.1", "key", "secret")._cast
    return lambda frame: [cast(message) for message in unpack(frame.payload)]


def smartapi() -> Read:
    module = official("SmartApi.smartWebSocketV2", "smartapi-python")
    parse = module.SmartWebSocketV2("jwt", "key", "A123456", "feed")._parse_binary_data
    for handler in [*module.logger.handlers]:  # it opens a log where it runs
        module.logger.removeHandler(handler)
        handler.close()
    return lambda frame: parse(frame.payload)


def binance_sdk() -> Read:
    models = official("binance_sdk_spot.websocket_streams.models", "binance-sdk-spot")
    names = {
        "trade": models.TradeResponse,
        "bookTicker": models.BookTickerResponse,
        "depth": models.DiffBookDepthResponse,
        "kline_1m": models.KlineResponse,
    }

    def read(frame: Frame) -> object:
        message = json.loads(frame.payload)
        model = names[message["stream"].split("@")[1]]
        return model.model_validate_json(json.dumps(message["data"]))

    return read


def coinbase_advanced_py() -> Read:
    make = coinbase_advanced("coinbase.websocket.types.websocket_response").WebsocketResponse
    return lambda frame: make(json.loads(frame.payload))


def ibind() -> Read:
    route = official("ibind.ibkr_ws.ibkr_router", "ibind").IbkrRouter().route
    return lambda frame: route(frame.payload.decode())


def massive() -> Read:
    models = official("massive.websocket.models", "massive")
    parse, market, logger = models.parse, models.Market.Stocks, logging.getLogger("massive")
    return lambda frame: parse(json.loads(frame.payload), logger, market)


def json_loads() -> Read:
    return lambda frame: json.loads(frame.payload)


PEERS: dict[str, dict[str, Callable[[], Read]]] = {
    "alpaca stocks": {"alpaca-py": alpaca_py},
    "alpaca crypto": {"alpaca-py": alpaca_py},
    "angelone ltp": {"smartapi-python": smartapi},
    "angelone quote": {"smartapi-python": smartapi},
    "angelone snap": {"smartapi-python": smartapi},
    "binance": {"binance-sdk-spot": binance_sdk, "json.loads (binance-connector)": json_loads},
    "coinbase": {"coinbase-advanced-py": coinbase_advanced_py},
    "ibkr": {"ibind (not official)": ibind},
    "kraken": {"json.loads (no official client)": json_loads},
    "polygon": {"massive": massive},
}


# -- the race ---------------------------------------------------------------------------------------------

ROUNDS = 9
DOORS = ("", ", columns")

ReadAll = Callable[[list[Frame]], object]


class Row(NamedTuple):
    """One line of the table."""

    frames: int
    messages: int
    ours: float  # µs a message
    theirs: float | None
    ratio: float | None
    peer: str


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, Row]]:
    """Filled by the tests below, shown at their end."""
    rows: dict[str, Row] = {}
    yield rows
    head = f"{'venue':24}{'frames':>8}{'messages':>10}{'rtflow µs':>11}{'peer µs':>10}{'ratio':>8}  peer"
    print(f"\n\n{head}\n{'-' * len(head)}")
    for name, row in rows.items():
        theirs = "–" if row.theirs is None else f"{row.theirs:.2f}"
        ratio = "–" if row.ratio is None else f"{row.ratio:.1f}×"
        venue = name.partition(" beside ")[0]
        print(
            f"{venue:24}{row.frames:8,}{row.messages:10,}{row.ours:11.2f}{theirs:>10}{ratio:>8}  {row.peer}"
        )


def one_by_one(read: Read) -> ReadAll:
    def read_all(frames: list[Frame]) -> None:
        for frame in frames:
            read(frame)

    return read_all


def readers(venue: str, provider: Provider) -> tuple[dict[str, ReadAll], dict[str, str]]:
    """Who reads the frames, ours first; and who is not here, with the reason."""
    decode = provider.decoder().decode

    def rtflow(frame: Frame) -> None:
        for _ in decode(frame):
            pass

    found = {"": one_by_one(rtflow)}
    missing: dict[str, str] = {}
    if venue.startswith("angelone"):
        found[", columns"] = columns
    for name, make in PEERS[venue].items():
        try:
            found[name] = one_by_one(make())
        except pytest.skip.Exception as reason:
            missing[name] = str(reason)
    return found, missing


@pytest.mark.benchmark(group="decoding by rtflow and by its peers, together (see the table)")
@pytest.mark.parametrize("venue", STREAMS)
def test_decoding(benchmark: BenchmarkFixture, venue: str, table: dict[str, Row], tmp_path: Path) -> None:
    """A round has everybody read all frames, one after the other: who disturbs one disturbs all."""
    provider, frames, messages = STREAMS[venue]()
    with working_in(tmp_path):
        reads, missing = readers(venue, provider)
    times: dict[str, list[float]] = {name: [] for name in reads}

    def everybody_reads() -> None:
        for name, read_all in reads.items():
            began = time.process_time()
            read_all(frames)
            times[name].append((time.process_time() - began) / messages * 1e6)

    benchmark.pedantic(everybody_reads, rounds=ROUNDS, warmup_rounds=1)
    for door in [door for door in DOORS if door in reads]:
        for peer in PEERS[venue]:
            ours, theirs, ratio = min(times[door]), None, None
            if peer in reads:
                theirs = min(times[peer])
                ratio = median(their / our for our, their in zip(times[door], times[peer], strict=True))
            shown = missing.get(peer, peer)
            table[f"{venue}{door} beside {peer}"] = Row(len(frames), messages, ours, theirs, ratio, shown)
            benchmark.extra_info[f"ratio{door} to {peer}"] = ratio and round(ratio, 1)
