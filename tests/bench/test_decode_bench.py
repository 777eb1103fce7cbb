"""What a message costs to decode, beside the venue's official Python client, on the same bytes in the same run.

The frames are what the twins say in some seconds of their time. rtflow makes events of them; a peer makes
what its own user is handed by its own callback, and no more: no socket, no callback, no thread.

pytest tests/bench/test_decode_bench.py --benchmark-only -s

with the peers: ``pip install 'rtflow[conformance]'``. Aim: four times as fast as each of them, twenty-five
times as fast as smartapi-python, whose parser unpacks field by field.

Peers that make no objects: binance-connector hands out the text of a message as it came, python-kraken-sdk
and Kraken's own examples what ``json.loads`` made of it; Kraken has no official Python client. Beside those two
it is ``json.loads`` that is timed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow.events import Frame
from rtflow.provider import Provider, Subscription
from rtflow.providers import Alpaca, Kraken
from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.kraken import KrakenVenue
from rtflow.twin.market import Market
from tests.conformance.dialogue import dialogue, official, working_in

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
    return stream(provider, dialogue(provider, wanted(kinds, symbols), venue, 60.0))


def kraken() -> Stream:
    provider = Kraken()
    venue = KrakenVenue(Market(7, COINS, start=START))
    return stream(provider, dialogue(provider, wanted(("trades", "quotes", "books"), COINS), venue, 60.0))


def wanted(kinds: tuple[str, ...], symbols: tuple[str, ...]) -> Subscription:
    return Subscription.of(**dict.fromkeys(kinds, symbols))


def stream(provider: Provider, frames: list[Frame]) -> Stream:
    frames = frames[:FRAMES]
    read = provider.decoder().decode
    return Stream(provider, frames, sum(len(list(read(frame))) for frame in frames))


STREAMS: dict[str, Callable[[], Stream]] = {
    "alpaca stocks": lambda: alpaca(("trades", "quotes", "bars"), "sip", STOCKS),
    "alpaca crypto": lambda: alpaca(("trades", "quotes", "books", "bars"), "crypto/us", COINS),
    "kraken": kraken,
}


# -- the peers: each as its own receiving loop does it ----------------------------------------------------


def alpaca_py() -> Read:
    websocket = official("alpaca.data.live.websocket", "alpaca-py")
    unpack = official("msgpack", "alpaca-py").unpackb
    cast = websocket.DataStream("ws://127.0.0.1", "key", "secret")._cast
    return lambda frame: [cast(message) for message in unpack(frame.payload)]


def json_loads() -> Read:
    return lambda frame: json.loads(frame.payload)


PEERS: dict[str, tuple[str, Callable[[], Read]]] = {
    "alpaca stocks": ("alpaca-py", alpaca_py),
    "alpaca crypto": ("alpaca-py", alpaca_py),
    "kraken": ("json.loads", json_loads),
}


# -- the race ---------------------------------------------------------------------------------------------


class Row(NamedTuple):
    frames: int
    messages: int
    microseconds: dict[str, float]  # by reader, of one message


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, Row]]:
    """Filled by the tests below, shown at their end."""
    rows: dict[str, Row] = {}
    yield rows
    head = f"{'venue':18}{'frames':>8}{'messages':>10}{'rtflow µs':>11}{'peer µs':>10}{'ratio':>8}  peer"
    print(f"\n\n{head}\n{'-' * len(head)}")
    for venue, (frames, messages, times) in rows.items():
        ours = times.get("rtflow")
        peers = [each for each in times if each != "rtflow"]
        for peer in peers or ["not installed"]:
            theirs = times.get(peer)
            ratio = f"{theirs / ours:.1f}×" if ours and theirs else "–"
            shown = [f"{each:.2f}" if each else "–" for each in (ours, theirs)]
            print(f"{venue:18}{frames:8,}{messages:10,}{shown[0]:>11}{shown[1]:>10}{ratio:>8}  {peer}")


@pytest.fixture(scope="module")
def streams() -> dict[str, Stream]:
    """Made once, when first asked for."""
    return {}


def measured(
    benchmark: BenchmarkFixture, venue: str, reader: str, read: Read, made: Stream, table: dict[str, Row]
) -> None:
    frames, messages = made.frames, made.messages

    def run() -> None:
        for frame in frames:
            read(frame)

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    assert benchmark.stats is not None
    each = benchmark.stats.stats.median / messages * 1e6
    benchmark.extra_info["µs a message"] = round(each, 3)
    table.setdefault(venue, Row(len(frames), messages, {})).microseconds[reader] = each


def made_of(venue: str, streams: dict[str, Stream]) -> Stream:
    if venue not in streams:
        streams[venue] = STREAMS[venue]()
    return streams[venue]


@pytest.mark.benchmark(group="decoding (figures are for all frames, see extra_info)")
@pytest.mark.parametrize("venue", STREAMS)
def test_rtflow_decodes(
    benchmark: BenchmarkFixture, venue: str, streams: dict[str, Stream], table: dict[str, Row]
) -> None:
    made = made_of(venue, streams)
    decode = made.provider.decoder().decode
    measured(benchmark, venue, "rtflow", lambda frame: list(decode(frame)), made, table)


@pytest.mark.benchmark(group="decoding (figures are for all frames, see extra_info)")
@pytest.mark.parametrize("venue", PEERS)
def test_its_peer_does(
    benchmark: BenchmarkFixture,
    venue: str,
    streams: dict[str, Stream],
    table: dict[str, Row],
    tmp_path: Path,
) -> None:
    peer, made = PEERS[venue]
    with working_in(tmp_path):
        read = made()
        measured(benchmark, venue, peer, read, made_of(venue, streams), table)
